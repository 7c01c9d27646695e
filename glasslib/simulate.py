"""Protocols: from a system to the frames that the chapters analyse.

Each protocol takes an engine by name (``engine="auto"``), is reproducible from its ``seed`` and,
when given a ``path``, writes one GSD frame a configuration, atomically, so that a killed run
resumes and loses at most the configuration under way.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from glasslib import dynamics, engines, frames, neighbors, writing
from glasslib.engines import base
from glasslib.frames import Frame
from glasslib.systems import System

#: labels of particles and of pairs that :func:`isoconfigurational` can store
LABELS = (
    "propensity", "propensity_variance", "squared_displacement", "replica_distance",
    "bond_breaking", "bond_breaking_variance", "cage_relative_propensity",
    "cage_relative_propensity_variance", "pair_change", "pair_change_variance",
)  # fmt: skip
#: half width of the shell of wave vectors of collective scattering functions, 1/σ_AA
SHELL = 0.2

# ------------------------------------------------------------------------------------- liquids


def lattice(
    system: System, *, n: int | None = None, density: float | None = None, seed: int = 0
) -> Frame:
    """A simple square or cubic lattice with species placed at random: a start, not a liquid.

    Parameters
    ----------
    n : int, optional
        Particles in all; the system's own by default.
    density : float, optional
        Number density; the system's own by default.
    seed : int
        Which particle is of which species.
    """
    n = system.n if n is None else n
    d = system.dimensions
    edge = system.box_length(n, density=density)
    side = int(np.ceil(n ** (1 / d) - 1e-9))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * d, indexing="ij"), axis=-1).reshape(-1, d)
    rng = np.random.default_rng(seed)
    keep = np.sort(rng.permutation(len(grid))[:n])
    position = (grid[keep] + 0.5) * edge / side - edge / 2
    typeid = np.repeat(np.arange(len(system.types)), system.counts(n))
    rng.shuffle(typeid)
    order = np.argsort(typeid, kind="stable")
    return frames.build(position[order], edge, typeid[order], types=system.types, dimensions=d)


def liquid(
    system: System,
    *,
    kT: float = 1.0,
    n: int | None = None,
    density: float | None = None,
    eta: float | None = None,
    melt_kT: float = 2.0,
    melt_time: float = 150.0,
    duration: float = 300.0,
    seed: int = 0,
    engine: str = "auto",
) -> Frame:
    """A liquid at ``kT``: a lattice, relaxed, melted at ``melt_kT`` and brought to ``kT``.

    Hard particles grow instead from random points to the packing fraction ``eta``
    (Lubachevsky and Stillinger) and then move for ``duration``.

    Parameters
    ----------
    kT : float
        Temperature to end at, ε_AA; 1 for hard particles.
    n, density : optional
        Particles and number density; the system's own by default.
    eta : float, optional
        Packing fraction of hard particles; the system's deepest by default.
    melt_kT : float
        Temperature of the melt; never below ``kT``.
    melt_time, duration : float
        Time at ``melt_kT`` and, after a ramp of the same length, at ``kT``; τ.
    seed : int
        Fixes species, velocities and so the liquid.
    engine : str
        See :func:`glasslib.engines.choose`.

    Returns
    -------
    gsd.hoomd.Frame
        With velocities; equilibrated only as far as ``duration`` suffices: below the onset
        temperature go on with :func:`equilibrate`, and look at two-time correlations.
    """
    driver = engines.choose(system, engine, n=n)
    _check_temperature(system, kT)
    if system.hard:
        from glasslib.engines import edmd

        if density is not None:
            system.box_length(n, density=density)  # says that eta is what to give
        grown = edmd.grow(system, n=n, eta=eta, seed=seed)
        return equilibrate(grown, system, kT=kT, duration=duration, engine=engine)
    if eta is not None:
        raise ValueError(f"eta is {eta}, but {system.name!r} is soft; give density instead.")
    base.check_temperature(melt_kT)
    start = lattice(system, n=n, density=density, seed=seed)
    start = driver.minimize(start, system, force_tolerance=1e-2)
    melt_kT = max(melt_kT, kT)
    hot = _last(driver.run(start, system, kT=melt_kT, duration=melt_time, seed=seed))
    if melt_kT > kT:
        hot = _last(driver.run(hot, system, kT=(melt_kT, kT), duration=duration))
    return equilibrate(hot, system, kT=kT, duration=duration, engine=engine)


def _check_temperature(system: System, kT: float) -> None:
    base.check_temperature(kT)
    if system.hard and kT != 1:
        raise ValueError(
            f"kT is {kT}, but {system.name!r} is hard: temperature only sets the unit of time, "
            "and is 1."
        )


def equilibrate(
    frame: Frame, system: System, *, kT: float, duration: float, engine: str = "auto"
) -> Frame:
    """The frame after ``duration`` τ at constant volume and temperature ``kT``."""
    driver = engines.choose(system, engine, n=frame.particles.N)
    return _last(driver.run(frame, system, kT=kT, duration=duration))


def equilibrated(
    system: System,
    *,
    kT: float = 1.0,
    eta: float | None = None,
    n: int | None = None,
    sample_times: Sequence[float],
    n_windows: int = 7,
    n_thermo: int = 20,
    cage_relative: bool = False,
    seed: int = 0,
    path: str | os.PathLike | None = None,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Frame:
    """An equilibrated configuration, with the evidence that it is one.

    A :func:`liquid` runs for ``n_windows`` windows one after the other, each as long as the
    last of ``sample_times``. In every window the mean-squared displacement and the
    intermediate scattering functions are taken from its own start: when the liquid no longer
    ages, windows agree, and so do energies and pressures. Seven windows of three relaxation
    times make more than twenty of them.

    Parameters
    ----------
    kT, eta, n, seed, engine
        See :func:`liquid`.
    sample_times : sequence of float
        Ascending, τ; the last is the length of a window.
    n_thermo : int
        Evenly spaced samples of energy and pressure in a window.
    cage_relative : bool
        Also mean squared displacements and self scattering functions of cage-relative
        displacements, as in :func:`isoconfigurational`.
    path : path, optional
        GSD file to write; a killed run resumes after the last whole window, also where it asked
        for more or fewer of them.

    Returns
    -------
    gsd.hoomd.Frame
        The end of the last window, with velocities and ``log``: ``kT``, ``eta`` (hard
        particles), ``equilibration/ages`` (n_windows,), the time of each window's start;
        ``equilibration/times`` (n_times,); per species ``equilibration/msd_A``,
        ``equilibration/self_isf_A``, …, (n_windows, n_times); over all particles
        ``equilibration/collective_isf``, same shape; ``equilibration/potential_energy`` (soft)
        and ``equilibration/pressure``, (n_windows, n_thermo). Scattering functions are at the
        system's ``wavenumber``. ``equilibration/position``, (n_windows, 3 N) float32: positions
        at the end of each window, x, y, z of one particle after the other.
    """
    driver = engines.choose(system, engine, n=n)
    _check_temperature(system, kT)
    times = base.check_times(sample_times)
    if system.dt:  # the steps that will be sampled
        times = base.check_times(np.rint(times / system.dt) * system.dt)
    if n_windows < 1 or n_thermo < 1:
        raise ValueError(f"n_windows is {n_windows}, n_thermo {n_thermo}; expected at least 1.")
    if system.hard and eta is None:
        eta = system.packing_fractions[0]
    state = {"kT": np.array([float(kT)])} | ({"eta": np.array([float(eta)])} if system.hard else {})
    protocol = {
        "protocol": "equilibrated", "system": system.name, "dt": system.dt, "seed": int(seed),
        "n_windows": int(n_windows), "n": int(n or system.n), "n_thermo": int(n_thermo),
        **_interactions(system),
    }  # fmt: skip
    protocol["cage_relative"] = bool(cage_relative)
    asked = {} if engine == "auto" else {"engine": engine}
    thermo = times[-1] * np.arange(1, n_thermo + 1) / n_thermo
    if system.dt:
        thermo = np.rint(thermo / system.dt) * system.dt
    parts = None if path is None else Path(f"{path}.parts") / "0000"

    def window(w: int, start: Frame) -> Frame:
        # samples on the same time step are one: the engines refuse them
        both = np.sort(np.concatenate([times, thermo]))
        both = both[np.concatenate([[True], np.diff(both) > (system.dt or 1e-9) / 2])]
        at = [int(np.argmin(np.abs(both - t))) for t in times]
        sampled = list(driver.run(start, system, kT=kT, duration=both[-1], sample_times=both))
        series = {}
        for key in ("pressure",) if system.hard else ("potential_energy", "pressure"):
            value = np.array([f.log[key][0] for f in sampled])
            if system.hard:  # pressures are means over the time since the sample before
                value = _means(both, value, thermo)
            else:
                value = value[[int(np.argmin(np.abs(both - t))) for t in thermo]]
            series[key] = value
        final = np.stack([frames.unwrapped(sampled[i]) for i in at])
        relative = None
        if cage_relative:
            near = neighbors.voronoi(start)
            relative = dynamics.cage_relative(frames.unwrapped(start), final, near)
        curves = _curves(start, final, system, relative)
        end = frames.copy(sampled[-1], log={**state, "times": times, **series, **curves})
        return _stamped(end, driver, **protocol, window=w)

    def one(_: int, __: Frame | None) -> Frame:
        current, made = None, []
        for w in range(n_windows):
            part = None if parts is None else parts / f"{w:04d}-of-{n_windows}.gsd"
            if part is not None and not part.exists():
                # a window does not know how many there will be: those of a longer or shorter
                # run of the same liquid are as good
                part = next(iter(sorted(parts.glob(f"{w:04d}-of-*.gsd"))), part)
            if part is None or not part.exists():
                if current is None:
                    melt = {"melt_time": 20.0, "duration": 10.0} if system.hard else {}
                    current = liquid(system, kT=kT, n=n, eta=eta, seed=seed, engine=engine, **melt)
                current = window(w, current)
                if part is not None:
                    frames.write(part, current)
            else:
                (current,) = frames.read(part)
                expected = {**protocol, **state, "times": times, "window": w}
                expected["engine"] = driver.name
                del expected["n_windows"]
                _check_same_run(current, expected, str(part))
            made.append(current)
            if progress:
                progress(w + 1, n_windows)
        log = {**state, "equilibration/ages": times[-1] * np.arange(n_windows)}
        log["equilibration/times"] = times
        for key in made[0].log:
            if key not in (*state, "times", "provenance"):
                stacked = np.stack([np.ravel(f.log[key]) for f in made])
                log[f"equilibration/{key}"] = stacked.astype(np.float32)
        log["equilibration/position"] = np.stack(
            [np.ravel(f.particles.position).astype(np.float32) for f in made]
        )
        return _stamped(frames.copy(current, log=log), driver, **protocol)

    def expected(_: int) -> dict:
        return {**protocol, **asked, **state, "equilibration/times": times}

    return _in_parts(path, 1, one, expected, None, driver)[0]


def snapshots(equilibrated: Frame, first: int = 0) -> list[Frame]:
    """The ends of the windows of :func:`equilibrated`: configurations of one trajectory.

    Parameters
    ----------
    equilibrated : gsd.hoomd.Frame
        With ``log['equilibration/position']``.
    first : int
        Windows left out at the start, while the liquid may still age.

    Returns
    -------
    list of gsd.hoomd.Frame
        Without velocities; ``log`` holds the state (``kT``, ``eta``) and ``age`` (1,), the time
        since the first window began, τ.
    """
    log = equilibrated.log
    if "equilibration/position" not in log:
        raise frames.FrameError(
            "the frame has no log['equilibration/position']; expected one of simulate.equilibrated."
        )
    ages = np.asarray(log["equilibration/ages"])
    length = float(log["equilibration/times"][-1])
    if not 0 <= first < len(ages):
        raise ValueError(f"first is {first}; expected 0 … {len(ages) - 1}, the last window.")
    out = []
    for age, position in list(zip(ages, log["equilibration/position"], strict=True))[first:]:
        new = frames.copy(equilibrated, log={k: log[k] for k in ("kT", "eta") if k in log})
        new.particles.position = np.reshape(position, (-1, 3)).astype(np.float32)
        new.particles.velocity = new.particles.image = None
        new.log["age"] = np.array([float(age) + length])
        out.append(frames.check(new))
    return out


def log_times(system: System, last: float, *, n: int = 20, first: float = 0.01) -> np.ndarray:
    """Times evenly spaced in their logarithm, on the time steps of the system -> (n,), τ.

    Raises
    ------
    ValueError
        Where two times would fall on one time step.
    """
    if not 0 < first < last or n < 2:
        raise ValueError(
            f"first is {first}, last {last}, n {n}; expected 0 < first < last and n of 2 or more."
        )
    times = np.geomspace(first, last, n)
    if system.dt:
        times = np.rint(times / system.dt) * system.dt
    if np.any(np.diff(times) <= 0) or times[0] <= 0:
        raise ValueError(
            f"{n} times from {first} to {last} do not fall on different steps of dt = "
            f"{system.dt}; ask for fewer or begin later."
        )
    return times


def _means(times: np.ndarray, value: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Time-weighted means of ``value[k]``, which holds since ``times[k - 1]``, up to each edge."""
    total = np.concatenate([[0.0], np.cumsum(value * np.diff(times, prepend=0.0))])
    grid = np.concatenate([[0.0], times])
    at = np.interp(np.concatenate([[0.0], edges]), grid, total)
    return np.diff(at) / np.diff(edges, prepend=0.0)


def _curves(
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


# ------------------------------------------------------------------------------------- cooling


def cool(
    frame: Frame,
    system: System,
    *,
    temperatures: Sequence[float],
    steps_per_ramp: int,
    path: str | os.PathLike | None = None,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Frame]:
    """Cool at constant volume; at each temperature, quench to the minimum at zero pressure.

    Linear ramps of ``steps_per_ramp`` time steps lead from each temperature to the next. The
    ramp goes on from the thermal frame; the quench is a side branch. Every ramp begins from
    the frame as it is stored (single precision, thermostat at rest), so a resumed cooling is
    the same as an uninterrupted one.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        Liquid equilibrated at ``temperatures[0]``, with velocities.
    temperatures : sequence of float
        Descending, ε_AA. The cooling rate is ΔT / (steps_per_ramp · dt).
    path : path, optional
        GSD file to write: one frame a temperature. While it grows, its configurations are in
        ``path + ".parts"``; when it is complete it replaces them. What an earlier call left
        there is gone on with; if that call asked for something else it is an error.
    progress : callable, optional
        Called with (configurations done, configurations in all).

    Returns
    -------
    list of gsd.hoomd.Frame
        Quenched structures with ``log``: ``kT``, ``cooling_rate``, ``potential_energy`` (per
        particle), ``density``, ``pressure``, ``max_force``, ``particles/energy`` (N,), and of
        the thermal frame it came from ``thermal_potential_energy``, ``thermal_pressure``,
        ``particles/thermal_position`` (N, 3) and ``thermal_box`` (6,).
    """
    temperatures = np.asarray(temperatures, dtype=float)
    if temperatures.ndim != 1 or len(temperatures) < 1:
        raise ValueError(f"temperatures has shape {temperatures.shape}; expected a list of them.")
    for kT in temperatures:
        base.check_temperature(kT)
    if np.any(np.diff(temperatures) >= 0):
        raise ValueError("temperatures must descend: cooling goes from hot to cold. Sort them.")
    if steps_per_ramp < 1:
        raise ValueError(f"steps_per_ramp is {steps_per_ramp}; expected at least 1.")
    driver = engines.choose(system, engine, n=frame.particles.N)
    frame = frames.wrapped(frames.check(frame, system=system))
    if frame.particles.velocity is None or not np.any(frame.particles.velocity):
        raise ValueError(
            "the frame has no velocities; expected a liquid at temperatures[0], e.g. from "
            "simulate.liquid."
        )
    duration = steps_per_ramp * system.dt
    drop = 0.0 if len(temperatures) < 2 else float(temperatures[0] - temperatures[1])
    rate = np.array([drop / duration])
    protocol = {
        "protocol": "cool", "system": system.name, "dt": system.dt,
        "steps_per_ramp": int(steps_per_ramp), **_interactions(system),
    }  # fmt: skip

    def one(k: int, previous: Frame | None) -> Frame:
        thermal = frames.copy(frame) if previous is None else _thermal(previous)
        if previous is None:
            thermal = frames.copy(thermal, log=driver.evaluate(thermal, system).log)
        else:
            kT = (float(temperatures[k - 1]), float(temperatures[k]))
            thermal = _last(driver.run(thermal, system, kT=kT, duration=duration))
        quenched = driver.minimize(thermal, system, relax_box=True)
        del quenched.log["particles/force"]
        quenched.log.update(
            {
                "particles/energy": quenched.log["particles/energy"].astype(np.float32),
                "kT": temperatures[k : k + 1],
                "cooling_rate": rate,
                "density": np.array([quenched.particles.N / frames.volume(quenched)]),
                "thermal_potential_energy": np.array(thermal.log["potential_energy"]),
                "thermal_pressure": np.array(thermal.log["pressure"]),
                "thermal_box": np.array(thermal.configuration.box, dtype=np.float32),
                "particles/thermal_position": np.array(thermal.particles.position),
                "particles/thermal_velocity": np.array(thermal.particles.velocity),
            }
        )
        quenched.configuration.step = k * int(steps_per_ramp)  # ramps begin from stored frames
        return _stamped(quenched, driver, **protocol)

    def expected(k: int) -> dict:
        first = {} if k else {"particles/thermal_position": frame.particles.position}
        asked = {} if engine == "auto" else {"engine": engine}
        return {**protocol, **asked, "kT": temperatures[k : k + 1], "cooling_rate": rate, **first}

    return _in_parts(
        path, len(temperatures), one, expected, progress, driver,
        drop=("particles/thermal_velocity",),
    )  # fmt: skip


def _thermal(quenched: Frame) -> Frame:
    """The thermal frame that a quenched one remembers."""
    log = quenched.log
    return frames.build(
        log["particles/thermal_position"],
        log["thermal_box"],
        quenched.particles.typeid,
        types=quenched.particles.types,
        dimensions=frames.dimensions(quenched),
        velocity=log["particles/thermal_velocity"],
    )


# ----------------------------------------------------------------------- isoconfigurational runs


def isoconfigurational(
    configurations: Frame | Sequence[Frame],
    system: System,
    *,
    kT: float = 1.0,
    n_replicas: int,
    sample_times: Sequence[float],
    path: str | os.PathLike | None = None,
    ensemble: str = "nvt",
    bond_cutoffs: Sequence[float] | None = None,
    cage_relative: bool = False,
    inherent: bool = False,
    pair_radius: float | None = None,
    labels: Sequence[str] = LABELS,
    finish: Callable[[Frame], Frame] | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Frame]:
    r"""Run each configuration from many velocity draws: the isoconfigurational ensemble.

    The propensity of particle *i* is the mean over draws of its displacement,
    :math:`D_i(t) = \langle |\mathbf r_i(t) - \mathbf r_i(0)| \rangle` (Widmer-Cooper, Harrowell
    and Fynewever, PRL 93, 135701 (2004)). Displacements are taken between unwrapped positions.

    Parameters
    ----------
    configurations : frame or sequence of frames
        Starting structures; their velocities are ignored.
    kT : float
        Temperature of the draws (and of the thermostat, if ``ensemble`` is ``"nvt"``).
    n_replicas : int
        Velocity draws per configuration.
    sample_times : sequence of float
        Ascending, τ; soft systems take the nearest time steps, and ``times`` says which.
    path : path, optional
        GSD file to write, one frame a configuration, resumable as :func:`cool`; what is lost
        when a run is killed is the draws under way.
    bond_cutoffs : (float, float, ...), optional
        Distances A1 and A2 in σ_AA: adds the bond-breaking correlation C_B, the share of the
        neighbours within A1 at the start that are within A2 later (see
        :func:`glasslib.dynamics.bond_breaking`). Further distances are other choices of A2;
        their labels carry them in the name, as ``bond_breaking_1.9``.
    cage_relative : bool
        Also take displacements relative to those of the Voronoi neighbours at the start
        (:func:`glasslib.dynamics.cage_relative`): labels, mean squared displacements and self
        scattering functions named ``cage_relative_…``. For two dimensions.
    inherent : bool
        Also store the inherent structure of each configuration (soft systems).
    pair_radius : float, optional
        Adds labels of pairs: all pairs closer than this in the inherent structure, σ_AA (soft
        systems; ``inherent`` must be True), and how their distance changes
        (:func:`glasslib.dynamics.distance_change`).
    labels : sequence of str
        Which labels of :data:`LABELS` to keep; a smaller file for fewer.
    finish : callable, optional
        ``frame -> frame``, applied to each configuration before it is written: to thin out what
        is stored. It must be picklable and keep the positions and the provenance.
    seed : int
        Draw *m* of configuration *c* uses ``SeedSequence((seed, c, m))``: what one replica
        does never depends on how many there are or on which core it runs.
    n_jobs : int
        Worker processes over replicas; -1 takes all cores.
    progress : callable, optional
        Called with (draws done, draws in all).

    Returns
    -------
    list of gsd.hoomd.Frame
        The configurations with ``log``: ``times`` (n_times,), ``particles/propensity``,
        ``particles/propensity_variance`` (over replicas, unbiased; 0 for a single one) and
        ``particles/squared_displacement``, each (N, n_times);
        ``particles/replica_distance`` (N, n_replicas) at the last time; with ``bond_cutoffs``
        ``particles/bond_breaking`` and its ``_variance``, (N, n_times); with ``inherent``
        ``particles/inherent_position`` (N, 3), ``particles/inherent_energy`` (N,) and
        ``inherent_energy`` (1,) per particle. With ``pair_radius`` ``bonds/pairs`` (n, 2), indices
        i < j in the order of :func:`glasslib.dynamics.bonds`, ``bonds/change`` and
        ``bonds/change_variance`` (n, n_times), σ_AA, and ``bonds/radius`` (1,). Per
        draw, (n_replicas, n_times): ``msd_A``, … and, where the system has a wavenumber,
        ``self_isf_A``, …, and ``collective_isf``. What :func:`equilibrated` found
        (``equilibration/…``, but its positions) stays.
    """
    configurations = [configurations] if isinstance(configurations, Frame) else configurations
    configurations = list(configurations)
    if not configurations:
        raise ValueError("no configurations to run; expected at least one frame.")
    if n_replicas < 1:
        raise ValueError(f"n_replicas is {n_replicas}; expected at least 1.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected an integer from 0.")
    seed = int(seed)
    unknown = sorted(set(labels) - set(LABELS))
    if unknown:
        raise ValueError(f"unknown labels {', '.join(unknown)}; known: {', '.join(LABELS)}.")
    if bond_cutoffs is not None and not (
        len(bond_cutoffs) > 1 and 0 < bond_cutoffs[0] <= min(bond_cutoffs[1:])
    ):
        raise ValueError(f"bond_cutoffs is {bond_cutoffs}; expected 0 < A1 <= A2.")
    if inherent and system.hard:
        raise ValueError(f"{system.name!r} is hard: it has no inherent structures; inherent=False.")
    if pair_radius is not None and not (inherent and pair_radius > 0):
        raise ValueError(
            f"pair_radius is {pair_radius} and inherent {inherent}; expected a positive distance, "
            "and inherent=True: pairs are those of the inherent structure."
        )
    driver = engines.choose(system, engine, n=configurations[0].particles.N)
    times = np.asarray(sample_times, dtype=float)
    for i, c in enumerate(configurations):
        frames.check(c, system=system, where=f"configuration {i}")
        configurations[i] = frames.wrapped(c)
        _warn_of_crystal(configurations[i], f"configuration {i}")
    if system.hard:
        base.check_temperature(kT)
        times = base.check_times(times)
    else:
        *_, steps, dt = base.check_run(
            configurations[0], system, kT=kT, sample_times=times, dt=None, ensemble=ensemble,
            duration=times[np.isfinite(times)].max(initial=system.dt),
        )  # fmt: skip
        times = steps * dt  # those that are sampled
    protocol = {
        "protocol": "isoconfigurational", "system": system.name, "dt": system.dt,
        "ensemble": ensemble, "seed": int(seed), "n_replicas": int(n_replicas),
        **_interactions(system),
    }  # fmt: skip
    if bond_cutoffs is not None:
        protocol["bond_cutoffs"] = [float(a) for a in bond_cutoffs]
    if pair_radius is not None:
        protocol["pair_radius"] = float(pair_radius)
    protocol |= {
        "cage_relative": bool(cage_relative), "inherent": bool(inherent),
        "labels": ", ".join(label for label in LABELS if label in labels),
    }  # fmt: skip
    asked = {} if engine == "auto" else {"engine": engine}

    # entries of every configuration: a GSD file lends those of its first frame to the others
    kept = {"kT", "eta", "cooling_rate", "potential_energy", "density", "particles/energy"}
    kept |= {k for k in configurations[0].log if k.startswith("equilibration/")}
    kept -= {"equilibration/position"}  # large, and of the liquid, not of its draws
    kept = kept.intersection(*(c.log for c in configurations))

    def one(c: int, _: Frame | None) -> Frame:
        start = frames.copy(configurations[c])
        folder = None if path is None else Path(f"{path}.parts") / f"{c:04d}"
        for piece in () if folder is None else folder.glob("[0-9]*-of-*"):
            if not piece.stem.endswith(f"-of-{n_replicas}"):
                raise frames.FrameError(
                    f"{piece} belongs to a run with another n_replicas, this one has {n_replicas}. "
                    f"Ask for what it holds, or move {folder.parent} away to make it anew."
                )
        near = neighbors.voronoi(start) if cage_relative else None
        quenched = driver.minimize(start, system) if inherent else None
        pairs = None if pair_radius is None else dynamics.bonds(quenched, pair_radius)
        jobs = [
            (driver, start, system, kT, times, ensemble, bond_cutoffs, near, pairs, (seed, c, m),
             None if folder is None else folder / f"{m:04d}-of-{n_replicas}.npz")
            for m in range(n_replicas)
        ]  # fmt: skip
        draws = []
        for m, draw in enumerate(_spread(_draw, jobs, n_jobs)):
            draws.append(draw)
            if progress:
                progress(c * n_replicas + m + 1, len(configurations) * n_replicas)
        new = frames.copy(start, log={k: v for k, v in start.log.items() if k in kept})
        new.particles.velocity = None
        new.log.update({"times": times, "run_kT": np.array([float(kT)])})
        if quenched is not None:
            new.log["particles/inherent_position"] = np.array(quenched.particles.position)
            energy = np.asarray(quenched.log["particles/energy"], dtype=np.float32)
            new.log["particles/inherent_energy"] = energy
            new.log["inherent_energy"] = np.array(quenched.log["potential_energy"])
        if pairs is not None:
            new.log["bonds/pairs"] = pairs.astype(np.uint32)
            new.log["bonds/radius"] = np.array([float(pair_radius)])
        new.log.update(_labels(draws, labels))
        new = _stamped(new, driver, **protocol)
        return new if finish is None else finish(new)

    def expected(c: int) -> dict:
        start = {"position": configurations[c].particles.position}
        return {**protocol, **asked, "times": times, "run_kT": np.array([float(kT)]), **start}

    return _in_parts(path, len(configurations), one, expected, None, driver)


def label_replicas(
    frame: Frame,
    system: System,
    *,
    bond_cutoffs: Sequence[float] | None = None,
    pair_radius: float | None = None,
    labels: Sequence[str] = LABELS,
    engine: str = "auto",
) -> Frame:
    """The labels of :func:`isoconfigurational`, of replicas that somebody else has run.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        With ``log['particles/replica_displacement']``: ``frames.read(path, replicas=True)`` of a
        public file.
    system : System
        The one that made the replicas (:func:`glasslib.systems.of_public_set`): its potential
        quenches.
    bond_cutoffs, pair_radius, labels, engine
        As for :func:`isoconfigurational`.

    Returns
    -------
    gsd.hoomd.Frame
        Labels have one time, in ``log['times']`` if the frame has it. The inherent structure is
        always there.
    """
    frames.check(frame, system=system)
    moved = frame.log.get("particles/replica_displacement")
    if moved is None:
        raise frames.FrameError(
            "the frame has no log['particles/replica_displacement']; expected one of "
            "frames.read(path, replicas=True)."
        )
    d = system.dimensions
    moved = np.reshape(moved, (frame.particles.N, -1, d)).transpose(1, 0, 2).astype(float)
    driver = engines.choose(system, engine, n=frame.particles.N)
    start = frames.copy(frame, log={k: frame.log[k] for k in ("times", "kT") if k in frame.log})
    quenched = driver.minimize(start, system)
    r0 = frames.unwrapped(start)[:, :d]
    pairs = None if pair_radius is None else dynamics.bonds(quenched, pair_radius)
    bonds = None if bond_cutoffs is None else dynamics.bonds(start, bond_cutoffs[0])
    box, draws = start.configuration.box, []
    for one in moved:
        draw = {"distance": np.linalg.norm(one, axis=1)[:, None].astype(np.float32)}
        for name, r_out in zip(_bond_names(bond_cutoffs or ()), (bond_cutoffs or ())[1:]):
            share = dynamics.bond_breaking(bonds, r0 + one, box, r_out)
            draw[name] = share[:, None].astype(np.float32)
        if pairs is not None:
            change = dynamics.distance_change(r0, r0 + one, pairs, box)
            draw["pair_change"] = change[:, None].astype(np.float32)
        draws.append(draw)
    log = start.log
    log["particles/inherent_position"] = np.array(quenched.particles.position)
    log["particles/inherent_energy"] = quenched.log["particles/energy"].astype(np.float32)
    log["inherent_energy"] = np.array(quenched.log["potential_energy"])
    if pairs is not None:
        log["bonds/pairs"], log["bonds/radius"] = pairs.astype(np.uint32), np.array([pair_radius])
    log.update(_labels(draws, labels))
    return _stamped(start, driver, protocol="replicas", system=system.name,
                    n_replicas=len(moved), **_interactions(system))  # fmt: skip


def _warn_of_crystal(frame: Frame, where: str) -> None:
    """Propensities of a crystal are not those of a glass former."""
    if frames.dimensions(frame) == 2:
        _warn_of_flat_crystal(frame, where)
        return
    if frame.particles.N < 100:
        return
    from glasslib.descriptors.bond_order import crystalline_fraction

    share = crystalline_fraction(frame)
    if share > 0.1:
        warnings.warn(
            f"{where}: {100 * share:.0f} % of the particles sit in a crystal (ten Wolde "
            "criterion), expected a liquid. Melt it first, or check what made it.",
            stacklevel=3,
        )


def _warn_of_flat_crystal(frame: Frame, where: str) -> None:
    """One orientation across the box; some 0.8 in a crystal of disks, 0.02 in a liquid of 2000."""
    if frame.particles.N < 100:
        return
    from glasslib.descriptors.hexatic import hexatic_order

    order = abs(np.nanmean(hexatic_order(frame, k=6)))
    if order > 0.4:
        warnings.warn(
            f"{where}: global hexatic order {order:.2f}: a crystal or a hexatic, expected a "
            "liquid. Melt it first, or check what made it.",
            stacklevel=4,
        )


def _spread(function: Callable, jobs: Sequence[tuple], n_jobs: int):
    """Results of ``function(*job)`` in order, over ``n_jobs`` processes."""
    if n_jobs == 1:
        yield from (function(*job) for job in jobs)
        return
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=n_jobs, return_as="generator")(delayed(function)(*j) for j in jobs)


def _draw(
    driver, start, system, kT, times, ensemble, bond_cutoffs, near, pairs, seed, path
) -> dict:
    """Distances, bonds and curves of one velocity draw; read from ``path`` if they are there."""
    protocol = {
        "engine": driver.name, "system": system.name, "dt": system.dt, "run_kT": float(kT),
        "times": [float(t) for t in times], "ensemble": ensemble,
        "bond_cutoffs": bond_cutoffs and [float(a) for a in bond_cutoffs], "seed": list(seed),
        "positions": hashlib.sha1(start.particles.position.tobytes()).hexdigest(),
    }  # fmt: skip
    if near is not None:
        protocol["cage_relative"] = True
    if pairs is not None:
        protocol["pairs"] = hashlib.sha1(pairs.tobytes()).hexdigest()
    if path is not None and path.exists():
        with np.load(path, allow_pickle=False) as stored:
            draw = {k: stored[k] for k in stored.files}
        made = json.loads(str(draw.pop("protocol")))
        recorded = {k: v for k, v in _interactions(system).items() if k in made}
        for name, want in ({"cage_relative": False} | protocol | recorded).items():
            if (have := made.get(name, False)) != want:
                difference = (
                    "begins from other positions" if name == "positions"
                    else f"was made with {name} = {have}, this run has {want}"
                )  # fmt: skip
                raise frames.FrameError(
                    f"{path} {difference}. Ask for what it holds, or move {path.parent.parent} "
                    "away to make it anew."
                )
        return draw
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    begin = frames.copy(start, log={})
    begin.particles.velocity = base.thermal_velocities(
        start.particles.N, kT, rng, dimensions=system.dimensions, mass=base.masses(start, system)
    )
    r0 = frames.unwrapped(begin)
    run = driver.run(
        begin, system, kT=kT, duration=float(times[-1]), sample_times=times, ensemble=ensemble
    )
    final = np.stack([frames.unwrapped(f) for f in run])
    draw = {"distance": np.linalg.norm(final - r0, axis=2).T.astype(np.float32)}
    if bond_cutoffs is not None:
        bonds = dynamics.bonds(begin, bond_cutoffs[0])
        for name, r_out in zip(_bond_names(bond_cutoffs), bond_cutoffs[1:], strict=True):
            share = dynamics.bond_breaking(bonds, final, start.configuration.box, r_out)
            draw[name] = share.T.astype(np.float32)
    if pairs is not None:
        change = dynamics.distance_change(r0, final, pairs, start.configuration.box)
        draw["pair_change"] = change.T.astype(np.float32)
    relative = None
    if near is not None:
        relative = dynamics.cage_relative(r0, final, near)
        draw["cage_relative_distance"] = np.linalg.norm(relative, axis=2).T.astype(np.float32)
    draw.update(_curves(begin, final, system, relative))
    if path is not None:
        with frames.atomic(path) as temporary:
            np.savez(temporary, protocol=json.dumps(protocol | _interactions(system)), **draw)
    return draw


def _bond_names(bond_cutoffs: Sequence[float]) -> list[str]:
    """Labels of the choices of A2: the first is ``bond_breaking``."""
    return ["bond_breaking", *(f"bond_breaking_{r:g}" for r in bond_cutoffs[2:])]


def _labels(draws: list[dict], labels: Sequence[str]) -> dict[str, np.ndarray]:
    """Means and variances over draws, as log entries."""
    r = np.stack([d["distance"] for d in draws]).astype(float)  # (draw, particle, time)

    def variance(x: np.ndarray) -> np.ndarray:
        return x.var(axis=0, ddof=1) if len(x) > 1 else np.zeros(x.shape[1:])

    out = {
        "propensity": lambda: r.mean(axis=0),
        "propensity_variance": lambda: variance(r),
        "squared_displacement": lambda: (r**2).mean(axis=0),
        "replica_distance": lambda: r[:, :, -1].T,
    }
    per_particle = [k for k in draws[0] if k.startswith("bond_breaking")]
    for name in per_particle:
        bonds = np.stack([d[name] for d in draws]).astype(float)
        out[name] = lambda bonds=bonds: bonds.mean(axis=0)
        out[f"{name}_variance"] = lambda bonds=bonds: variance(bonds)
    if "cage_relative_distance" in draws[0]:
        u = np.stack([d["cage_relative_distance"] for d in draws]).astype(float)
        out["cage_relative_propensity"] = lambda: u.mean(axis=0)
        out["cage_relative_propensity_variance"] = lambda: variance(u)
    log = {
        f"particles/{name}": np.ascontiguousarray(make(), dtype=np.float32)
        for name, make in out.items()
        if re.sub(r"_[\d.]+(?=_variance$|$)", "", name) in labels
    }
    if "pair_change" in draws[0]:
        change = np.stack([d["pair_change"] for d in draws])
        for name, make in {"": lambda x: x.mean(axis=0), "_variance": variance}.items():
            if f"pair_change{name}" in labels:
                log[f"bonds/change{name}"] = np.ascontiguousarray(make(change), dtype=np.float32)
    for key in draws[0]:
        if key not in ("distance", "cage_relative_distance", "pair_change", *per_particle):
            log[key] = np.stack([d[key] for d in draws])
    return log


# --------------------------------------------------------------------------------------- internals


def _interactions(system: System) -> dict:
    """What of a system a stored run must share beside its name, as JSON holds it."""
    pairs = [system.pair(a, b) for a in system.types for b in system.types if system.pairs]
    found = {
        "types": ", ".join(system.types),
        "composition": [float(c) for c in system.composition],
        "diameters": [float(system.diameters[t]) for t in system.types],
        "wavenumber": system.wavenumber,
        "thermostat_time": system.thermostat_time,
        "interactions": [float(x) for p in pairs for x in p.numbers],
        "truncations": ", ".join(p.truncation for p in pairs),
        "masses": [float(m) for m in system.mass(system.types)] if system.masses else None,
    }
    return {k: v for k, v in found.items() if v is not None and v != [] and v != ""}


def _last(run) -> Frame:
    return deque(run, maxlen=1)[-1]


def _stamped(frame: Frame, driver, **protocol) -> Frame:
    """Add who made the frame, and how, as JSON bytes (GSD logs hold numbers only)."""
    from glasslib import __version__

    made = {**driver.provenance(), **protocol, "glasslib": __version__}
    frame.log["provenance"] = np.frombuffer(json.dumps(made).encode(), dtype=np.uint8)
    return frame


def provenance(frame: Frame) -> dict:
    """Engine, version and protocol that made a frame; empty if it does not say."""
    stored = frame.log.get("provenance")
    return {} if stored is None else json.loads(bytes(np.asarray(stored, dtype=np.uint8)))


def _in_parts(
    path: str | os.PathLike | None,
    n: int,
    one: Callable[[int, Frame | None], Frame],
    expected: Callable[[int], dict],
    progress: Callable[[int, int], None] | None,
    driver: engines.Engine,
    drop: Sequence[str] = (),
) -> list[Frame]:
    """Make ``n`` frames one after the other, each from the one before, resuming from disk.

    Finished frames lie in ``path.parts/0000.gsd`` … until all are there; then ``path`` is
    written whole, without the log entries in ``drop``, and the parts are removed. Frame ``k``
    found on disk must hold what ``expected(k)`` says, see :func:`_check_same_run`; one that is
    gone on from must also be of the engine ``driver``, whole files may be of any that was not
    asked for otherwise. Of two runs
    on one path the second is refused while the first goes on (:func:`glasslib.writing.claim`).
    """
    made: list[Frame] = []
    if path is None:
        for k in range(n):
            made.append(one(k, made[-1] if made else None))
            if progress:
                progress(k + 1, n)
        return [_without(f, drop) for f in made]
    path = Path(path)
    parts = Path(f"{path}.parts")
    if path.exists():
        stored = frames.read(path)
        if len(stored) > n or (len(stored) < n and drop):
            raise frames.FrameError(
                f"{path} holds {len(stored)} configurations; this run makes {n}. Move it away to "
                "make it anew."
            )
        for k, frame in enumerate(stored):
            _check_same_run(frame, expected(k), f"{path}[{k}]")
        if len(stored) < n:  # the first of them, by :func:`collect`
            with writing.claim(path):
                for k, frame in enumerate(stored):
                    if not (part := parts / f"{k:04d}.gsd").exists():
                        frames.write(part, frame)
                return _make_parts(path, n, one, expected, progress, driver, drop)
        shutil.rmtree(parts, ignore_errors=True)  # left if the last call was killed at its very end
        if progress:
            progress(n, n)
        return stored
    frames.check_writable(path)
    with writing.claim(path):
        if not path.exists():
            return _make_parts(path, n, one, expected, progress, driver, drop)
    # another run has finished it since
    return _in_parts(path, n, one, expected, progress, driver, drop)


def collect(path: str | os.PathLike) -> int:
    """Write what an unfinished :func:`isoconfigurational` has finished as its file.

    The same run, called again, goes on after them. Draws of the configuration under way stay in
    ``path.parts``.

    Returns
    -------
    int
        How many configurations the file holds.

    Raises
    ------
    glasslib.geometry.FrameError
        Where there are none.
    """
    path = Path(path)
    with writing.claim(path):
        parts = sorted(Path(f"{path}.parts").glob("[0-9][0-9][0-9][0-9].gsd"))
        if [int(p.stem) for p in parts] != list(range(len(parts))) or not parts:
            raise frames.FrameError(f"{path}.parts holds no finished configurations.")
        if path.exists() and len(frames.read(path)) >= len(parts):
            return len(frames.read(path))
        frames.write(path, [frames.read(p)[0] for p in parts])
        return len(parts)


def _make_parts(path: Path, n: int, one, expected, progress, driver, drop) -> list[Frame]:
    """What :func:`_in_parts` says, by the only process that writes ``path``."""
    made, parts = [], Path(f"{path}.parts")
    for k in range(n):
        part = parts / f"{k:04d}.gsd"
        if not part.exists():
            frames.write(part, one(k, made[-1] if made else None))
        (frame,) = frames.read(part)
        _check_same_run(frame, {**expected(k), "engine": driver.name}, str(part))
        made.append(frame)
        if progress:
            progress(k + 1, n)
    made = [_without(f, drop) for f in made]
    frames.write(path, made)
    shutil.rmtree(parts, ignore_errors=True)
    return made


def _check_same_run(frame: Frame, expected: dict, where: str) -> None:
    """Refuse a frame from disk that another protocol, or the same with other numbers, made.

    Names in ``expected`` are ``position``, log entries or entries of the provenance; those that
    the frame does not record are passed over, save the name of the protocol.
    """
    made = provenance(frame)
    for name, want in expected.items():
        have = frame.log.get(name, made.get(name))
        if name == "position":
            have = frame.particles.position
        if have is None and name != "protocol":
            continue
        if isinstance(want, (str, int)):  # bool, too
            same = have == want
        else:
            half_a_step = 0.5 * (expected.get("dt") or 0.0) if name.endswith("times") else 0.0
            same = np.shape(have) == np.shape(want) and np.allclose(
                have, want, rtol=1e-5, atol=half_a_step + 1e-8
            )
        if not same:
            difference = (
                f"begins from other positions ({name})"
                if name in ("position", "particles/thermal_position")
                else f"was made with {name} = {_short(have)}, this run has {_short(want)}"
            )
            raise frames.FrameError(
                f"{where} {difference}. Ask for what it holds, or move it away to make it anew."
            )


def _short(value: object) -> str:
    return frames.list_numbers(value) if np.ndim(value) else str(value)


def _without(frame: Frame, drop: Sequence[str]) -> Frame:
    return frames.copy(frame, log={k: v for k, v in frame.log.items() if k not in drop})
