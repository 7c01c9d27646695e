"""Tables of descriptors, for people who train models of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glasslib import frames, simulate
from glasslib.descriptors import (
    averaged_energies,
    averaged_radial_angular,
    bond_order,
    shell_average,
)
from glasslib.frames import Frame
from glasslib.systems import System

#: what :func:`tabulate` knows
DESCRIPTORS = ("radial-angular", "bond-order", "energies")


def tabulate(
    frame: Frame,
    kinds: Sequence[str],
    *,
    system: System | None = None,
    inherent: bool = False,
    r_c: float = 2.3,
    n_max: int = 0,
    engine: str = "auto",
) -> tuple[np.ndarray, list[str]]:
    """Descriptors of every particle of a frame, side by side, and the names of their columns.

    Parameters
    ----------
    kinds : sequence of str
        Of :data:`DESCRIPTORS`; energies are always those at rest.
    system : System, optional
        Whose potential quenches.
    inherent : bool
        Describe the inherent structure.
    r_c, n_max
        Averages of radial and angular descriptors and of bond order.

    Returns
    -------
    X : (N, k) float64 array
    names : list of str
    """
    alone, quiet = frames.copy(frame, log={}), None
    if inherent or "energies" in kinds:
        quiet = simulate.inherent_structure(alone, system, force_tolerance=1e-4, engine=engine)
    seen = quiet if inherent else alone
    parts, names = [], []
    for kind in kinds:
        if kind == "radial-angular":
            flat = {"angular": None} if frames.dimensions(frame) == 2 else {}
            X, columns = averaged_radial_angular(seen, r_c, n_max=n_max, **flat)
            parts.append(X)
            names += map(str, columns)
        elif kind == "bond-order":
            l = np.arange(1, 9)  # noqa: E741
            q = bond_order.averaged_bond_order(seen, l=l)
            parts.append(shell_average(q, seen, r_c, n_max=n_max) if n_max else q)
            own = bond_order.column_names(l)
            names += [
                f"{name}, n = {n}" if n_max else name for n in range(n_max + 1) for name in own
            ]
        else:
            X = averaged_energies(np.asarray(quiet.log["particles/energy"]), quiet)
            parts.append(X)
            names += [f"energies {k}" for k in range(X.shape[1])]
    return np.hstack(parts), names
