"""What every run is looked at by: mean-squared displacements and scattering functions."""

from __future__ import annotations

import numpy as np

from glasslib import dynamics, frames
from glasslib.frames import Frame
from glasslib.systems import System

#: half width of the shell of wave vectors of collective scattering functions, 1/σ_AA
SHELL = 0.2


def measure_curves(
    start: Frame, final: np.ndarray, system: System, relative: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """MSD and scattering functions between ``start`` and later unwrapped positions (T, N, 3).

    With ``relative``, cage-relative displacements (T, N, 3), of those too.
    """
    r0 = frames.unwrapped(start)
    kind = np.asarray(start.particles.typeid)
    d, out = system.dimensions, {}
    moves = {"": final - r0} | ({} if relative is None else {"cage_relative_": relative})
    for i, name in enumerate(start.particles.types):
        for prefix, moved in moves.items():
            b = moved[:, kind == i, :d]
            a = np.zeros(b.shape[1:])
            out[f"{prefix}msd_{name}"] = dynamics.mean_squared_displacement(a, b)
            if system.wavenumber:
                out[f"{prefix}self_isf_{name}"] = dynamics.self_intermediate_scattering(
                    a, b, system.wavenumber
                )
    if system.wavenumber:
        k = dynamics.wavevectors(start.configuration.box, system.wavenumber, width=SHELL)
        out["collective_isf"] = dynamics.collective_intermediate_scattering(
            r0[:, :d], final[:, :, :d], k
        )
    return {key: np.asarray(value, dtype=np.float32) for key, value in out.items()}
