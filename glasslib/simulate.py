"""Protocols: from a system to the frames that the chapters analyse.

Each protocol takes an engine by name (``engine="auto"``), is reproducible from its ``seed`` and,
when given a ``path``, writes one GSD frame a configuration, atomically, so that a killed run
resumes and loses at most the configuration under way.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from glasslib import engines, frames
from glasslib.engines import base
from glasslib.frames import Frame
from glasslib.systems import System

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
    kT: float,
    n: int | None = None,
    density: float | None = None,
    melt_kT: float = 2.0,
    melt_time: float = 150.0,
    duration: float = 300.0,
    seed: int = 0,
    engine: str = "auto",
) -> Frame:
    """A liquid at ``kT``: a lattice, relaxed, melted at ``melt_kT`` and brought to ``kT``.

    Parameters
    ----------
    kT : float
        Temperature to end at, ε_AA.
    n, density : optional
        Particles and number density; the system's own by default.
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
    driver = engines.choose(system, engine)
    base.check_temperature(kT)
    base.check_temperature(melt_kT)
    start = lattice(system, n=n, density=density, seed=seed)
    start = driver.minimize(start, system, force_tolerance=1e-2)
    melt_kT = max(melt_kT, kT)
    hot = _last(driver.run(start, system, kT=melt_kT, duration=melt_time, seed=seed))
    if melt_kT > kT:
        hot = _last(driver.run(hot, system, kT=(melt_kT, kT), duration=duration))
    return equilibrate(hot, system, kT=kT, duration=duration, engine=engine)


def equilibrate(
    frame: Frame, system: System, *, kT: float, duration: float, engine: str = "auto"
) -> Frame:
    """The frame after ``duration`` τ at constant volume and temperature ``kT``."""
    driver = engines.choose(system, engine)
    return _last(driver.run(frame, system, kT=kT, duration=duration))


def inherent_structure(
    frame: Frame,
    system: System,
    *,
    relax_box: bool = False,
    force_tolerance: float = 1e-6,
    engine: str = "auto",
) -> Frame:
    """The frame at its nearest energy minimum; at zero pressure too with ``relax_box``."""
    driver = engines.choose(system, engine)
    return driver.minimize(frame, system, force_tolerance=force_tolerance, relax_box=relax_box)


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
    driver = engines.choose(system, engine)
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
        "steps_per_ramp": int(steps_per_ramp),
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
        return _stamped(quenched, driver, **protocol)

    def expected(k: int) -> dict:
        first = {} if k else {"particles/thermal_position": frame.particles.position}
        asked = {} if engine == "auto" else {"engine": engine}
        return {**protocol, **asked, "kT": temperatures[k : k + 1], "cooling_rate": rate, **first}

    return _in_parts(
        path, len(temperatures), one, expected, progress, drop=("particles/thermal_velocity",)
    )


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
    kT: float,
    n_replicas: int,
    sample_times: Sequence[float],
    path: str | os.PathLike | None = None,
    ensemble: str = "nvt",
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
        Ascending, τ.
    path : path, optional
        GSD file to write, one frame a configuration, resumable as :func:`cool`.
    seed : int
        Draw *m* of configuration *c* uses ``SeedSequence((seed, c, m))``: what one replica
        does never depends on how many there are or on which core it runs.
    n_jobs : int
        Worker processes over replicas; -1 takes all cores.

    Returns
    -------
    list of gsd.hoomd.Frame
        The configurations with ``log``: ``times`` (n_times,), ``particles/propensity``,
        ``particles/propensity_variance`` (over replicas, unbiased; 0 for a single one) and
        ``particles/squared_displacement``, each (N, n_times), and
        ``particles/replica_distance`` (N, n_replicas) at the last time.
    """
    configurations = [configurations] if isinstance(configurations, Frame) else configurations
    configurations = list(configurations)
    if not configurations:
        raise ValueError("no configurations to run; expected at least one frame.")
    if n_replicas < 1:
        raise ValueError(f"n_replicas is {n_replicas}; expected at least 1.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected an integer from 0.")
    times = np.asarray(sample_times, dtype=float)
    driver = engines.choose(system, engine)
    for i, c in enumerate(configurations):
        frames.check(c, system=system, where=f"configuration {i}")
        configurations[i] = frames.wrapped(c)
    base.check_run(
        configurations[0], system, kT=kT, duration=times[np.isfinite(times)].max(initial=system.dt),
        sample_times=times, dt=None, ensemble=ensemble,
    )  # fmt: skip
    protocol = {
        "protocol": "isoconfigurational", "system": system.name, "dt": system.dt,
        "ensemble": ensemble, "seed": int(seed), "n_replicas": int(n_replicas),
    }  # fmt: skip

    # entries of every configuration: a GSD file lends those of its first frame to the others
    kept = set.intersection(
        {"kT", "cooling_rate", "potential_energy", "density", "particles/energy"},
        *(set(c.log) for c in configurations),
    )

    def one(c: int, _: Frame | None) -> Frame:
        start = frames.copy(configurations[c])
        jobs = [
            (driver, start, system, kT, times, ensemble, (seed, c, m)) for m in range(n_replicas)
        ]
        if n_jobs == 1:
            distances = [_replica(*job) for job in jobs]
        else:
            from joblib import Parallel, delayed

            distances = Parallel(n_jobs=n_jobs)(delayed(_replica)(*job) for job in jobs)
        r = np.stack(distances)  # (replica, particle, time)
        variance = r.var(axis=0, ddof=1) if n_replicas > 1 else np.zeros(r.shape[1:])
        keep = {k: v for k, v in start.log.items() if k in kept}
        new = frames.copy(start, log=keep)
        new.particles.velocity = None
        new.log.update(
            {
                "times": times,
                "run_kT": np.array([float(kT)]),
                "particles/propensity": r.mean(axis=0).astype(np.float32),
                "particles/propensity_variance": variance.astype(np.float32),
                "particles/squared_displacement": (r**2).mean(axis=0).astype(np.float32),
                "particles/replica_distance": np.ascontiguousarray(r[:, :, -1].T, np.float32),
            }
        )
        return _stamped(new, driver, **protocol)

    def expected(c: int) -> dict:
        asked = {} if engine == "auto" else {"engine": engine}
        start = {"position": configurations[c].particles.position}
        return {**protocol, **asked, "times": times, "run_kT": np.array([float(kT)]), **start}

    return _in_parts(path, len(configurations), one, expected, progress)


def _replica(driver, start, system, kT, times, ensemble, seed) -> np.ndarray:
    """|Δr| (N, n_times) of one velocity draw."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    start = frames.copy(start, log={})
    start.particles.velocity = base.thermal_velocities(
        start.particles.N, kT, rng, dimensions=system.dimensions
    )
    r0 = frames.unwrapped(start)
    run = driver.run(
        start, system, kT=kT, duration=float(times[-1]), sample_times=times, ensemble=ensemble
    )
    return np.stack([np.linalg.norm(frames.unwrapped(f) - r0, axis=1) for f in run], axis=1)


# --------------------------------------------------------------------------------------- internals


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
    drop: Sequence[str] = (),
) -> list[Frame]:
    """Make ``n`` frames one after the other, each from the one before, resuming from disk.

    Finished frames lie in ``path.parts/0000.gsd`` … until all are there; then ``path`` is
    written whole, without the log entries in ``drop``, and the parts are removed. Frame ``k``
    found on disk must hold what ``expected(k)`` says, see :func:`_check_same_run`.
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
        if len(stored) != n:
            raise frames.FrameError(
                f"{path} holds {len(stored)} configurations; this run makes {n}. Move it away to "
                "make it anew."
            )
        for k, frame in enumerate(stored):
            _check_same_run(frame, expected(k), f"{path}[{k}]")
        shutil.rmtree(parts, ignore_errors=True)  # left if the last call was killed at its very end
        if progress:
            progress(n, n)
        return stored
    frames.check_writable(path)
    for k in range(n):
        part = parts / f"{k:04d}.gsd"
        if not part.exists():
            frames.write(part, one(k, made[-1] if made else None))
        (frame,) = frames.read(part)
        _check_same_run(frame, expected(k), str(part))
        made.append(frame)
        if progress:
            progress(k + 1, n)
    made = [_without(f, drop) for f in made]
    frames.write(path, made)
    shutil.rmtree(parts)
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
        if isinstance(want, str):
            same = have == want
        else:
            same = np.shape(have) == np.shape(want) and np.allclose(have, want, rtol=1e-5)
        if not same:
            difference = (
                f"begins from other positions ({name})"
                if "position" in name
                else f"was made with {name} = {_short(have)}, this run has {_short(want)}"
            )
            raise frames.FrameError(
                f"{where} {difference}. Ask for what it holds, or move it away to make it anew."
            )


def _short(value: object) -> str:
    return frames._list(value) if np.ndim(value) else str(value)


def _without(frame: Frame, drop: Sequence[str]) -> Frame:
    return frames.copy(frame, log={k: v for k, v in frame.log.items() if k not in drop})
