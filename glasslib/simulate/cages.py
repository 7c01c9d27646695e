"""What a configuration rattles about: its inherent structure, the cages of its particles."""

from __future__ import annotations

import numpy as np

from glasslib import engines, frames
from glasslib.engines import base
from glasslib.frames import Frame
from glasslib.systems import System


def inherent_structure(
    frame: Frame,
    system: System,
    *,
    relax_box: bool = False,
    force_tolerance: float = 1e-6,
    engine: str = "auto",
) -> Frame:
    """The frame at its nearest energy minimum; at zero pressure too with ``relax_box``."""
    driver = engines.choose(system, engine, n=frame.particles.N)
    return driver.minimize(frame, system, force_tolerance=force_tolerance, relax_box=relax_box)


def cage_positions(
    frame: Frame,
    system: System,
    *,
    kT: float = 1.0,
    duration: float = 10.0,
    n_runs: int = 4,
    n_samples: int = 50,
    seed: int = 0,
    engine: str = "auto",
) -> Frame:
    r"""The frame at the mean positions of its particles over a few short runs: their cages.

    A particle rattles about the middle of the cage that its neighbours make, long before it
    leaves. Alkemade, Smallenburg, Filion, J. Chem. Phys. 158, 134512 (2023), find that the mean
    position foretells motion better than the position. They average over Monte Carlo moves
    confined to the cage; here it is plain dynamics, short beside the relaxation time.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles; its velocities are not used.
    kT : float
        Temperature of the runs, ε_AA.
    duration : float
        Of each run, τ: long beside the rattling (some tenths of τ), short beside the relaxation.
    n_runs : int
        Runs, each with velocities of its own.
    n_samples : int
        Evenly spaced times of a run at which positions are taken.
    seed : int
        Of the velocities.

    Returns
    -------
    gsd.hoomd.Frame
        At the mean positions, without velocities, with ``log['particles/cage_size']``, (N,)
        float32: the root mean square distance from it, σ_AA.

    Raises
    ------
    ValueError
        For numbers that are not positive.
    """
    if n_runs < 1 or n_samples < 1:
        raise ValueError(f"n_runs is {n_runs}, n_samples {n_samples}; expected at least 1.")
    if not (np.isfinite(duration) and duration > 0):
        raise ValueError(f"duration is {duration} τ; expected a positive time.")
    frames.check(frame, system=system)
    driver = engines.choose(system, engine, n=frame.particles.N)
    times = duration * np.arange(1, n_samples + 1) / n_samples
    if system.dt:
        times = np.unique(np.maximum(np.rint(times / system.dt), 1)) * system.dt
    begin = frames.copy(frame, log={})
    origin = frames.unwrapped(begin)
    total, squares = np.zeros_like(origin), np.zeros(len(origin))
    for run in range(n_runs):
        begin.particles.velocity = base.thermal_velocities(
            frame.particles.N, kT, np.random.default_rng((seed, run)),
            dimensions=system.dimensions, mass=base.masses(frame, system),
        )  # fmt: skip
        for sample in driver.run(begin, system, kT=kT, duration=times[-1], sample_times=times):
            shift = frames.unwrapped(sample) - origin
            total += shift
            squares += np.sum(shift**2, axis=1)
    mean = total / (n_runs * len(times))
    size = np.sqrt(np.maximum(squares / (n_runs * len(times)) - np.sum(mean**2, axis=1), 0))
    caged = frames.copy(frame, log={"particles/cage_size": size.astype(np.float32)})
    caged.particles.velocity = None
    caged.particles.position = (origin + mean).astype(np.float32)
    caged.particles.image = None
    return frames.wrapped(caged)
