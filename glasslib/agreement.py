"""How well engines agree: one frame, averages of runs, conservation of energy, outside files.

The page ``0-start/engines`` shows what these functions return. Results are plain dictionaries of
numbers and lists, so that those of an engine that is not installed here can be kept as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from glasslib import fetching, frames, structure
from glasslib.engines import Engine
from glasslib.frames import Frame
from glasslib.systems import TRUNCATIONS, System


def block_average(values: np.ndarray, blocks: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Mean of a correlated series and its standard error from block averages.

    Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989), at one block size: blocks must be longer
    than the correlation time.

    Parameters
    ----------
    values : (n_times, ...) array
    blocks : int
        Number of blocks; at least 2 and at most ``n_times``.

    Returns
    -------
    mean, error : (...) arrays
    """
    values = np.asarray(values, dtype=float)
    if not 2 <= blocks <= len(values):
        raise ValueError(
            f"blocks is {blocks} for {len(values)} values; expected 2 to {len(values)}."
        )
    means = np.stack([b.mean(axis=0) for b in np.array_split(values, blocks)])
    return means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(blocks)


def liquid_averages(
    engine: Engine,
    frame: Frame,
    system: System,
    *,
    kT: float,
    duration: float,
    samples: int = 200,
    r_max: float = 3.0,
    bins: int = 120,
) -> dict:
    """Mean energy, pressure, temperature and g(r) of a run at constant temperature.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        Equilibrated at ``kT``, with velocities; the first tenth of the run is left out all the
        same.
    duration : float
        τ.
    samples : int
        Frames taken, evenly over the rest of the run.

    Returns
    -------
    dict
        ``potential_energy``, ``pressure`` and ``kT``, each ``[mean, standard error]``; ``r``,
        ``g`` and ``g_error``, lists of length ``bins``.
    """
    times = np.linspace(0.1 * duration, duration, samples)
    scalars = {"potential_energy": [], "pressure": [], "kT": []}
    g = []
    for sample in engine.run(frame, system, kT=kT, duration=duration, sample_times=times):
        for name, values in scalars.items():
            values.append(sample.log[name][0])
        r, one = structure.radial_distribution(sample, r_max=r_max, bins=bins)
        g.append(one)
    mean, error = block_average(np.array(g))
    out = {name: [float(x) for x in block_average(v)] for name, v in scalars.items()}
    return {**out, "r": r.tolist(), "g": mean.tolist(), "g_error": error.tolist()}


def half_step_excess(force: np.ndarray, *, dt: float, dimensions: int) -> float:
    r"""By how much the temperature of half-step velocities exceeds that of full-step ones.

    With :math:`\mathbf v_{n+1/2} = \mathbf v_n + \mathbf F_n\,\delta t/2` (unit mass) and
    velocities independent of forces, :math:`\Delta T = \delta t^2 \langle F^2\rangle / 4d`.
    HOOMD-blue's thermostat acts between the two halves of a step and holds the half-step
    temperature, LAMMPS's holds the full-step one; frames of both have full-step velocities.

    Parameters
    ----------
    force : (N, 3) array, ε_AA/σ_AA
    dt : float
        Time step, τ.
    dimensions : {2, 3}

    Returns
    -------
    float
        ε_AA.
    """
    squares = np.sum(np.asarray(force, dtype=float) ** 2, axis=1)
    return float(dt**2 * squares.mean() / (4 * dimensions))


def energy_drift(
    engine: Engine,
    frame: Frame,
    system: System,
    *,
    truncation: str,
    duration: float,
    samples: int = 60,
) -> dict:
    """Total energy against time at constant energy, all pairs truncated in one way.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        With velocities.
    truncation : {"cut", "shift", "force_shift"}

    Returns
    -------
    dict
        ``time`` (τ) and ``energy``, the change of the total energy per particle since the start
        (ε_AA); lists. ``slope`` (ε_AA/τ) and ``rms`` (ε_AA) of a straight line through them.
    """
    pairs = {k: replace(p, truncation=truncation) for k, p in system.pairs.items()}
    times = np.linspace(0, duration, samples + 1)
    run = engine.run(
        frame, system.with_(pairs=pairs), kT=1.0, duration=duration, sample_times=times,
        ensemble="nve",
    )  # fmt: skip
    total = np.array([f.log["potential_energy"][0] + f.log["kinetic_energy"][0] for f in run])
    total -= total[0]
    line = np.polyfit(times, total, 1)
    rms = float(np.sqrt(np.mean((total - np.polyval(line, times)) ** 2)))
    return {
        "time": times.tolist(), "energy": total.tolist(), "slope": float(line[0]), "rms": rms,
    }  # fmt: skip


def measure(
    engine: Engine,
    starts: Sequence[tuple[Frame, System, float, float]],
    *,
    drift_duration: float,
    samples: int = 200,
) -> dict:
    """Everything that the page compares, from one engine.

    Parameters
    ----------
    starts : sequence of (frame, system, kT, duration)
        Liquids at ``kT`` and how long to average over each. The last one also runs at constant
        energy.
    drift_duration : float
        τ at constant energy.

    Returns
    -------
    dict
        ``provenance``; ``averages`` by name of the system; ``drift`` by kind of truncation.
    """
    averages = {
        system.name: liquid_averages(
            engine, frame, system, kT=kT, duration=duration, samples=samples
        )
        for frame, system, kT, duration in starts
    }
    frame, system, *_ = starts[-1]
    drift = {
        kind: energy_drift(engine, frame, system, truncation=kind, duration=drift_duration)
        for kind in TRUNCATIONS
    }
    return {"provenance": engine.provenance(), "averages": averages, "drift": drift}


# ----------------------------------------------------------------------------- files of others


def flatten(values: np.ndarray, dimensions: int) -> np.ndarray:
    """Energies (N,), or the components of forces (N, 3) that count, as one row of numbers."""
    values = np.asarray(values)
    return np.ravel(values[:, :dimensions]) if values.ndim == 2 else values


def largest_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of two rows of numbers over the largest of the first."""
    a, b = np.asarray(a), np.asarray(b)
    return float(np.abs(a - b).max() / np.abs(a).max())


def pull(a: Mapping, b: Mapping) -> float:
    """Rms difference of two g(r) of :func:`liquid_averages` in standard errors, where both have."""
    known = np.array(a["g_error"]) > 0
    gap = (np.array(b["g"]) - a["g"])[known]
    return float(np.sqrt(np.mean((gap / np.hypot(a["g_error"], b["g_error"])[known]) ** 2)))


def external(name: str, *, root: Path) -> Path | None:
    """A file that nobody in this project wrote, if it is here; they are not part of the book.

    The first of :func:`glasslib.fetching.folders` that has it: ``$GLASSLIB_EXTERNAL``, or
    ``external`` in the clone ``root``.
    """
    return fetching.find(name, root=root)


def against_rumd(engine: Engine, path: Path, system: System) -> dict:
    """Forces and energies of a Kob–Andersen frame that RUMD wrote, beside the engine's.

    Returns
    -------
    dict
        ``n``; ``force_rms`` and ``force_max`` over components (ε_AA/σ_AA); ``energy_rms`` over
        particles (ε_AA).
    """
    frame = frames.read(path)[0]
    log = engine.evaluate(frame, system).log
    force = log["particles/force"] - frame.log["particles/force"]
    energy = log["particles/energy"] - frame.log["particles/energy"]
    return {
        "n": int(frame.particles.N),
        "force_rms": float(np.sqrt(np.mean(force**2))),
        "force_max": float(np.abs(force).max()),
        "energy_rms": float(np.sqrt(np.mean(energy**2))),
    }


def against_ml_dos(engine: Engine, paths: Sequence[Path], system: System) -> dict:
    """Energies of particles in public ML-DOS graphs, beside the engine's.

    Returns
    -------
    dict
        ``n`` particles in all graphs; ``energy_rms`` over them (ε_AA); ``mean_error``, the largest
        error of the energy per particle of one graph.
    """
    errors = []
    for path in paths:
        (frame,) = frames.read(path, density=system.density)
        errors.append(
            engine.evaluate(frame, system).log["particles/energy"] - frame.log["particles/energy"]
        )
    return {
        "n": int(sum(map(len, errors))),
        "energy_rms": float(np.sqrt(np.mean(np.concatenate(errors) ** 2))),
        "mean_error": float(max(abs(e.mean()) for e in errors)),
    }
