"""Liquids: made, equilibrated, and with the evidence that they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from glasslib import dynamics, engines, frames, neighbors
from glasslib.engines import base
from glasslib.frames import Frame
from glasslib.simulate.curves import measure_curves
from glasslib.simulate.resume import (
    check_same_run,
    make_in_parts,
    record_interactions,
    stamp,
    take_last,
)  # fmt: skip
from glasslib.systems import System


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
    hot = take_last(driver.run(start, system, kT=melt_kT, duration=melt_time, seed=seed))
    if melt_kT > kT:
        hot = take_last(driver.run(hot, system, kT=(melt_kT, kT), duration=duration))
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
    return take_last(driver.run(frame, system, kT=kT, duration=duration))


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
        displacements, as in :func:`glasslib.simulate.isoconfigurational`.
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
        **record_interactions(system),
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
        curves = measure_curves(start, final, system, relative)
        end = frames.copy(sampled[-1], log={**state, "times": times, **series, **curves})
        return stamp(end, driver, **protocol, window=w)

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
                check_same_run(current, expected, str(part))
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
        return stamp(frames.copy(current, log=log), driver, **protocol)

    def expected(_: int) -> dict:
        return {**protocol, **asked, **state, "equilibration/times": times}

    return make_in_parts(path, 1, one, expected, None, driver)[0]


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
