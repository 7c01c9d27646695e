"""The isoconfigurational ensemble: one configuration, many velocity draws, and the labels."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from glasslib import dynamics, engines, frames, neighbors
from glasslib.engines import base
from glasslib.frames import Frame
from glasslib.simulate.curves import measure_curves
from glasslib.simulate.resume import make_in_parts, record_interactions, stamp
from glasslib.systems import System

#: labels of particles and of pairs that :func:`isoconfigurational` can store
LABELS = (
    "propensity", "propensity_variance", "squared_displacement", "replica_distance",
    "bond_breaking", "bond_breaking_variance", "cage_relative_propensity",
    "cage_relative_propensity_variance", "pair_change", "pair_change_variance",
)  # fmt: skip


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
        GSD file to write, one frame a configuration, resumable as that of
        :func:`glasslib.simulate.cool`; what is lost when a run is killed is the draws under way.
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
        ``self_isf_A``, …, and ``collective_isf``. What :func:`glasslib.simulate.equilibrated` found
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
        **record_interactions(system),
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
        new = stamp(new, driver, **protocol)
        return new if finish is None else finish(new)

    def expected(c: int) -> dict:
        start = {"position": configurations[c].particles.position}
        return {**protocol, **asked, "times": times, "run_kT": np.array([float(kT)]), **start}

    return make_in_parts(path, len(configurations), one, expected, None, driver)


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
    return stamp(start, driver, protocol="replicas", system=system.name,
                    n_replicas=len(moved), **record_interactions(system))  # fmt: skip


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
        recorded = {k: v for k, v in record_interactions(system).items() if k in made}
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
    draw.update(measure_curves(begin, final, system, relative))
    if path is not None:
        with frames.atomic(path) as temporary:
            np.savez(temporary, protocol=json.dumps(protocol | record_interactions(system)), **draw)
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
