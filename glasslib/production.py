"""Long productions: many resumable jobs over the cores, one progress bar with the time left."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gsd.hoomd
import joblib
import numpy as np

from glasslib import dynamics, simulate, writing
from glasslib.frames import Frame
from glasslib.systems import System


@dataclass(frozen=True)
class Job:
    """One resumable run that writes one or more datasets of :mod:`glasslib.simulate`.

    Attributes
    ----------
    make : callable
        Takes no arguments; runs (or resumes) and writes. Must be picklable by joblib.
    writes : tuple of (path, configurations, cost)
        What it writes: file, number of configurations, and what one of them costs in any
        unit (e.g. particle steps); used for the bar and to start the longest job first.
    soft : bool
        Whether it moves soft particles, for which HOOMD-blue or LAMMPS may use a GPU.
    """

    make: Callable[[], object]
    writes: tuple[tuple[Path, int, float], ...]
    soft: bool = False

    @property
    def cost(self) -> float:
        """Cost of the whole job."""
        return sum(n * cost for _, n, cost in self.writes)

    def done(self) -> float:
        """Cost of the configurations that are finished on disk."""
        return sum(finished(path, n) * cost for path, n, cost in self.writes)


def finished(path: str | os.PathLike, n: int) -> float:
    """How many of the ``n`` configurations of a dataset are on disk, begun ones in part.

    The pieces of a begun configuration (draws, windows) say in their names how many make a
    whole: ``0000/0003-of-32.npz``.
    """
    path = Path(path)
    there = 0
    if path.exists():
        try:
            with gsd.hoomd.open(path) as file:  # fewer than n: see simulate.collect
                there = min(n, len(file))
        except (OSError, RuntimeError):
            there = n  # nothing to make; whoever reads it says what is wrong with it
    parts = Path(f"{path}.parts")
    if there == n or not parts.is_dir():
        return there
    try:
        done = float(len(list(parts.glob("[0-9]*.gsd"))))
        for folder in parts.glob("[0-9]*/"):
            if not (parts / f"{folder.name}.gsd").exists():
                done += sum(
                    1 / int(piece.stem.split("-of-")[1]) for piece in folder.glob("[0-9]*-of-*")
                )
    except FileNotFoundError:  # a worker has just put the pieces together
        return n if path.exists() else 0
    return min(n, max(there, done))


def produce(jobs: Sequence[Job], *, n_jobs: int = -1, poll: float = 2.0) -> None:
    """Run the jobs that are not finished, the longest first, in ``n_jobs`` processes.

    A killed production resumes where it stood when it is called again; its workers end with it,
    and what they have left beside their files is removed. What is finished is read, and refused
    if other settings made it. A job that fails ends the others at once, each resuming
    from its last draw or window, and its error is raised.

    Parameters
    ----------
    n_jobs : int
        Processes; -1 takes all cores that this process may use. Each runs single-threaded.
    poll : float
        Seconds between looks at the disk for the progress bar.
    """
    from joblib.externals.loky import ProcessPoolExecutor
    from tqdm import tqdm

    for job in jobs:
        for path, _, _ in job.writes:
            writing.tidy(Path(path))
    todo = sorted((j for j in jobs if j.done() < j.cost), key=lambda j: j.done() - j.cost)
    for j in jobs:
        if j.done() >= j.cost:
            j.make()  # reads and compares
    total = sum(j.cost for j in jobs)
    if not todo:
        print(f"All {len(jobs)} runs are finished; nothing to do.")
        return
    workers = joblib.cpu_count() if n_jobs < 1 else n_jobs
    with _deaf_to_interrupts():
        # of its own: joblib would find a reusable one and take it for its own kind
        executor = ProcessPoolExecutor(
            max_workers=min(workers, len(todo)), env={"OMP_NUM_THREADS": "1"},
            # workers of a killed production would go on for hours, and keep the next from their
            # paths
            initializer=writing.end_with, initargs=(os.getpid(),),
        )  # fmt: skip
        futures = [executor.submit(j.make) for j in todo]
    start = sum(j.done() for j in jobs)
    with tqdm(total=100.0, initial=100 * start / total, unit="%", desc="production",
              bar_format="{desc} {percentage:5.1f} % |{bar}| {elapsed} gone, {remaining} left",
              ) as bar:  # fmt: skip
        try:
            while not all(f.done() for f in futures):
                time.sleep(poll)
                bar.update(100 * sum(j.done() for j in jobs) / total - bar.n)
                for f in futures:
                    if f.done():
                        f.result()
            for f in futures:
                f.result()
            bar.update(100.0 - bar.n)
        except BaseException:
            with _deaf_to_interrupts():  # a second Ctrl-C may not leave workers behind
                executor.shutdown(wait=False, kill_workers=True)
            raise
    executor.shutdown()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes begun here leave Ctrl-C to their parent: one line instead of many tracebacks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ensemble_job(
    system: System,
    state: float,
    c: int,
    *,
    folder: Path,
    window: float,
    draws: float | None = None,
    seed: int = 0,
    n_replicas: int = 32,
    n_times: int = 20,
    cage_relative: bool = False,
    engine: str = "auto",
    cost: float = 1.0,
) -> Job:
    """One configuration of a liquid: equilibrated, then its isoconfigurational ensemble.

    Writes ``folder/equilibrated/NAME-STATE-C.gsd`` and, with ``draws``,
    ``folder/isoconfigurational/NAME-STATE-C.gsd``, by :func:`glasslib.simulate.equilibrated` and
    :func:`glasslib.simulate.isoconfigurational`.

    Parameters
    ----------
    state : float
        Packing fraction of hard particles, temperature of soft ones.
    c : int
        Number of the configuration; ``seed + c`` seeds its liquid and its velocity draws.
    window : float
        Length of each of the seven windows of the equilibration, τ.
    draws : float, optional
        Longest time of the draws, τ; None leaves them out.
    n_times : int
        Log-spaced times of windows and draws, from 0.01 τ.
    cage_relative : bool
        Also cage-relative displacements.
    engine : str
        For soft systems.
    cost : float
        Of one τ, in the unit of the other jobs.

    Returns
    -------
    Job
    """
    name = f"{system.name}-{state:g}-{c}.gsd"
    begin, end = folder / "equilibrated" / name, folder / "isoconfigurational" / name
    options = {
        "point": {"eta": state} if system.hard else {"kT": state, "engine": engine},
        "window": window, "draws": draws, "seed": seed + c, "n_replicas": n_replicas,
        "n_times": n_times, "cage_relative": cage_relative,
    }  # fmt: skip
    writes = [(begin, 1, 7 * cost * window)]
    if draws is not None:
        writes.append((end, 1, n_replicas * cost * draws))
    return Job(partial(_ensemble, system, begin, end, **options), tuple(writes), not system.hard)


def _ensemble(
    system, begin, end, *, point, window, draws, seed, n_replicas, n_times, cage_relative
) -> None:
    def times(last):
        return simulate.log_times(system, last, n=n_times)

    start = simulate.equilibrated(
        system, **point, sample_times=times(window), cage_relative=cage_relative, seed=seed,
        path=begin,
    )  # fmt: skip
    if draws is None:
        return
    relative = ["cage_relative_propensity", "cage_relative_propensity_variance"]
    simulate.isoconfigurational(
        start, system, **({} if system.hard else point), n_replicas=n_replicas,
        sample_times=times(draws), seed=seed, bond_cutoffs=system.bond_breaking_cutoffs,
        cage_relative=cage_relative, inherent=not system.hard,
        labels=["propensity", "propensity_variance", "bond_breaking", *relative * cage_relative],
        path=end,
    )  # fmt: skip


def trajectory_job(
    system: System,
    kT: float,
    melt: int,
    *,
    folder: Path,
    n_configurations: int,
    sample_times: Sequence[float],
    window: float,
    n_equilibration: int = 2,
    n_replicas: int = 32,
    pair_radius: float = 2.0,
    variances: bool = True,
    seed: int = 0,
    engine: str = "auto",
) -> Job:
    """Several configurations of one trajectory, and their isoconfigurational ensembles.

    A liquid is equilibrated for ``n_equilibration`` windows; the ends of as many further windows
    as there are configurations are what draws begin from. Writes
    ``folder/equilibrated/NAME-KT-MELT.gsd`` (:func:`glasslib.simulate.equilibrated`) and
    ``folder/isoconfigurational/NAME-KT-MELT.gsd``, a frame a configuration, thinned out by
    :func:`glasslib.dynamics.pack_pairs`.

    Parameters
    ----------
    kT : float
        Temperature, ε_AA.
    melt : int
        Number of the liquid; ``seed + melt`` seeds it.
    sample_times : sequence of float
        Of the labels, τ. Pairs are kept at the last.
    window : float
        Time between configurations, τ; ten relaxation times or more.
    variances : bool
        Keep variances over draws, and other choices of the bond-breaking distance: what a test
        set needs for its ceilings and a training set does not.

    Returns
    -------
    Job
    """
    name = f"{system.name}-{kT:g}-{melt}.gsd"
    begin, end = folder / "equilibrated" / name, folder / "isoconfigurational" / name
    n_windows = n_equilibration + n_configurations
    options = {
        "n_equilibration": n_equilibration, "n_windows": n_windows, "n_replicas": n_replicas,
        "sample_times": tuple(float(t) for t in sample_times), "window": window, "kT": kT,
        "pair_radius": pair_radius, "variances": variances, "seed": seed + melt, "engine": engine,
    }  # fmt: skip
    last = max(sample_times)
    writes = (
        (begin, 1, n_windows * window),
        (end, n_configurations, n_replicas * last),
    )
    return Job(partial(_trajectory, system, begin, end, **options), writes, not system.hard)


def _trajectory(
    system, begin, end, *, kT, n_equilibration, n_windows, n_replicas, sample_times, window,
    pair_radius, variances, seed, engine,
) -> None:  # fmt: skip
    start = simulate.equilibrated(
        system, kT=kT, n_windows=n_windows,
        sample_times=simulate.log_times(system, window, n=24, first=min(0.1, window / 100)),
        seed=seed, path=begin, engine=engine,
    )  # fmt: skip
    further = (1.5, 1.9) if variances else ()  # other choices of A2, shown on the page
    labels = ["propensity", "bond_breaking", "pair_change"]
    labels += [f"{name}_variance" for name in labels] * variances
    simulate.isoconfigurational(
        simulate.snapshots(start, first=n_equilibration), system, kT=kT, n_replicas=n_replicas,
        sample_times=sample_times, bond_cutoffs=(*system.bond_breaking_cutoffs, *further),
        seed=seed, inherent=True, pair_radius=pair_radius, labels=labels, finish=_thin, path=end,
        engine=engine,
    )  # fmt: skip


def _thin(frame: Frame) -> Frame:
    """Pairs at the last time alone, packed; other choices of A2 at the last time alone."""
    for name in [k for k in frame.log if k.startswith("particles/bond_breaking_")]:
        if name.rsplit("_", 1)[-1] == "variance" and name != "particles/bond_breaking_variance":
            del frame.log[name]
        elif name != "particles/bond_breaking_variance":
            frame.log[name] = np.ascontiguousarray(frame.log[name][:, -1:])
    return dynamics.pack_pairs(frame, time=-1)


def temperature_jobs(
    system: System,
    liquids: Mapping[float, Sequence[int]],
    *,
    folder: Path,
    draws: Sequence[int] = (32, 8),
    pair_radius: float = 2.0,
    seed: int = 0,
    engine: str = "auto",
) -> list[Job]:
    """:func:`trajectory_job` for several temperatures and liquids.

    Windows are seven times the published time near τ_α, ten relaxation times and more. Labels are
    taken at the system's own relaxation time (its ``relaxation_times``)
    and at the published one.

    Parameters
    ----------
    liquids : dict
        Temperature to the number of configurations of each liquid; the first is for tests.
    draws : (int, int)
        Velocity draws of a configuration, for tests and for training.
    """
    jobs = []
    for kT, counts in liquids.items():
        last = system.alpha_time(kT)
        times = sorted({system.relaxation_times.get(kT, last), last})
        for melt, count in enumerate(counts):
            jobs.append(
                trajectory_job(
                    system,
                    kT,
                    melt,
                    folder=folder,
                    n_configurations=count,
                    sample_times=times,
                    window=7 * last,
                    n_replicas=draws[min(melt, 1)],
                    variances=melt == 0,
                    pair_radius=pair_radius,
                    seed=seed,
                    engine=engine,
                )  # fmt: skip
            )
    return jobs
