"""What each chapter simulates, as jobs: one configuration (or one liquid) each.

Pages at preset ``paper``, ``glasslib data`` and batches (``workflow/``) take their jobs from here,
so that all leave the same files. A job runs alone, resumes where it stood, and needs no other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from glasslib import frames, production, simulate, systems, writing
from glasslib.production import Job
from glasslib.systems import System

# ------------------------------------------------------------------ chapter 1: cooling in 2D

#: steps of a temperature ramp, and the rate as files name it
RAMPS: Mapping[int, str] = MappingProxyType(
    {5_000: "3e-03", 50_000: "3e-04", 500_000: "3e-05", 5_000_000: "3e-06"}
)
COOLING = tuple(float(x) for x in np.round(np.arange(40, 0, -1) * 0.05, 10))  #: temperatures
#: melt and steps: the slowest ramp for the first melt alone
COOLED = tuple((m, steps) for m in range(5) for steps in RAMPS if m == 0 or steps < 5_000_000)
MOVED = (0.3, 1, 3, 10, 30, 100, 300)  #: times of displacements, first melt; others the last, τ


def name_cooled(melt: int, steps: int) -> str:
    """Name of a cooled melt's file, ``melt0-rate3e-03``."""
    return f"melt{melt}-rate{RAMPS[steps]}"


def cool_melts(folder: Path, *, seed: int = 0, engine: str = "auto") -> list[Job]:
    """Chapter 1: every melt cooled at every rate, and displacements from its structures."""
    return [
        Job(
            partial(_melt_and_cool, folder, melt, steps, seed=seed + melt, engine=engine),
            (
                (folder / f"{name_cooled(melt, steps)}.gsd", 40, steps + 5000),
                (
                    folder / f"{name_cooled(melt, steps)}-displacements.gsd",
                    40, 1e5 * (2 if melt == 0 else 1),
                ),
            ),
            soft=True,
        )
        for melt, steps in COOLED
    ]  # fmt: skip


def _melt_and_cool(folder: Path, melt: int, steps: int, *, seed: int, engine: str) -> None:
    system = systems.get("bihani-2d")
    start = folder / f"melt{melt}-liquid.gsd"
    with writing.claim(start, wait=True):  # ramps of one melt begin at the same time
        if not start.exists():
            hot = simulate.liquid(system, kT=2.0, duration=1500.0, seed=seed, engine=engine)
            frames.write(start, hot)
    cooled = simulate.cool(
        frames.read(start)[0], system, temperatures=np.array(COOLING), steps_per_ramp=steps,
        engine=engine, path=folder / f"{name_cooled(melt, steps)}.gsd",
    )  # fmt: skip
    simulate.isoconfigurational(
        cooled, system, kT=0.25, ensemble="nve", n_replicas=2 if melt == 0 else 1,
        sample_times=list(MOVED) if melt == 0 else [300], seed=seed, engine=engine,
        path=folder / f"{name_cooled(melt, steps)}-displacements.gsd",
    )  # fmt: skip


# ------------------------------------------------------------------ chapter 2: three 3D liquids

#: by system and state point, the deepest first: length of a window, and longest time of draws, τ
LIQUIDS: Mapping[str, Mapping[float, float]] = MappingProxyType({
    "hard-spheres": {0.58: 3000, 0.57: 3000, 0.56: 400, 0.55: 150, 0.54: 150},
    "wahnstrom": {0.7: 600, 0.75: 200, 0.8: 120, 0.9: 60, 1.0: 40},
    "kob-andersen": {0.5: 700, 0.55: 250, 0.6: 120, 0.7: 50, 0.8: 30},
})  # fmt: skip
_DRAWS = {("hard-spheres", 0.58): 6000, ("hard-spheres", 0.57): 500}  # where the draws differ, τ
#: equilibrated only, for published times: four liquids each
CHECKS: Mapping[str, Mapping[float, float]] = MappingProxyType(
    {"kob-andersen": {0.56: 160, 0.64: 60}}
)
_COST = {"hard-spheres": 1.0, "wahnstrom": 0.6, "kob-andersen": 3.0}


def make_liquids(folder: Path, *, seed: int = 0, engine: str = "auto") -> list[Job]:
    """Chapter 2: three configurations at the deepest state of each system, one at the others."""

    def job(name: str, state: float, c: int, last: float, draws: float | None) -> Job:
        return production.ensemble_job(
            systems.get(name), state, c, folder=folder, window=last, draws=draws, seed=seed,
            engine=engine, cost=_COST[name],
        )  # fmt: skip

    made = [
        job(name, state, c, last, _DRAWS.get((name, state), last))
        for name, states in LIQUIDS.items()
        for state, last in states.items()
        for c in range(3 if state == next(iter(states)) else 1)
    ]
    return made + [
        job(name, state, c, last, None)
        for name, states in CHECKS.items()
        for state, last in states.items()
        for c in range(4)
    ]


# ------------------------------------------------------------------ chapter 3: more configurations


#: systems, states, longest times of a window and of draws, τ, and configurations
SETS: Mapping[str, Sequence] = MappingProxyType({
    "liquids": ("kob-andersen", "hard-spheres"), "states": (0.5, 0.58), "windows": (700, 3000),
    "durations": (700, 6000), "configurations": (12, 6),
})  # fmt: skip


def name_liquid(system: System, state: float) -> str:
    """A liquid as figures name it, ``Kob–Andersen, T = 0.5``."""
    short = {"kob-andersen": "Kob–Andersen", "hard-spheres": "hard spheres"}
    symbol = "η" if system.hard else "T"
    return f"{short.get(system.name, system.title)}, {symbol} = {state:g}"


def count_earlier(name: str, state: float) -> int:
    """Configurations of a liquid that chapter 2 makes; chapter 3 numbers its own after them."""
    states = LIQUIDS.get(name, {})
    return 0 if state not in states else 3 if state == next(iter(states)) else 1


def add_configurations(
    folder: Path,
    *,
    liquids: Sequence[str] = SETS["liquids"],
    states: Sequence[float] = SETS["states"],
    windows: Sequence[float] = SETS["windows"],
    durations: Sequence[float] = SETS["durations"],
    configurations: Sequence[int] = SETS["configurations"],
    seed: int = 0,
    engine: str = "auto",
) -> list[Job]:
    """Chapter 3: the configurations that chapter 2 does not make. One value a liquid in each.

    Raises
    ------
    ValueError
        For sequences of different lengths.
    """
    rows = (liquids, states, windows, durations, configurations)
    if len({len(row) for row in rows}) > 1:
        raise ValueError(
            f"liquids, states, windows, durations and configurations have {[*map(len, rows)]} "
            "values; expected as many each."
        )
    return [
        production.ensemble_job(
            systems.get(name), state, c, folder=folder, window=window, draws=last, seed=seed,
            engine=engine,
        )
        for name, state, window, last, n in zip(*rows)
        for c in range(count_earlier(name, state), n)
    ]  # fmt: skip


# ------------------------------------------------------------------ chapter 4: disks

#: by packing fraction: length of a window, and longest time of draws, τ
DISKS: Mapping[float, float] = MappingProxyType(
    {0.79: 3000, 0.78: 1500, 0.77: 400, 0.76: 250, 0.74: 100}
)
#: deepest packing fraction with draws, and three configurations; beyond it windows age
DEEPEST = 0.78
#: other mixtures by size ratio: packing fraction, longest time
RATIOS: Mapping[float, tuple[float, float]] = MappingProxyType(
    {1.3: (0.78, 1500), 1.6: (0.78, 1500)}
)
#: mixtures that crystallise; no draws
CONTROLS: Mapping[float, tuple[float, float]] = MappingProxyType(
    {1.1: (0.76, 100), 1.2: (0.77, 400)}
)


def disks_of_ratio(ratio: float) -> System:
    """The mixture of hard disks with another size ratio."""
    disks = systems.get("hard-disks")
    return replace(disks, name=f"hard-disks-{ratio:g}", diameters={"A": 1.0, "B": 1 / ratio})


def make_disks(folder: Path, *, seed: int = 0) -> list[Job]:
    """Chapter 4: disks by packing fraction, and other size ratios."""
    disks, common = systems.get("hard-disks"), {"seed": seed, "cage_relative": True}
    return [
        production.ensemble_job(
            disks, eta, c, folder=folder, window=last, draws=last if eta <= DEEPEST else None,
            **common,
        )
        for eta, last in DISKS.items() for c in range(3 if eta == DEEPEST else 1)
    ] + [
        production.ensemble_job(
            disks_of_ratio(ratio), eta, 0, folder=folder, window=last,
            draws=last if draws else None, **common,
        )
        for ratios, draws in ((RATIOS, True), (CONTROLS, False))
        for ratio, (eta, last) in ratios.items()
    ]  # fmt: skip


# ------------------------------------------------------------------ chapter 5: one liquid, cold


def cool_liquid(
    folder: Path,
    *,
    system: str,
    n: int,
    temperatures: Sequence[float],
    configurations: Sequence[Sequence[int]],
    draws: Sequence[int] = (32, 8),
    pair_radius: float = 2.0,
    seed: int = 0,
    engine: str = "auto",
) -> list[Job]:
    """Chapter 5: :func:`glasslib.production.temperature_jobs` of a system; a liquid a job.

    Where ``configurations`` has one row, every temperature gets these.
    """
    rows = list(configurations)
    if len(rows) == 1:
        rows *= len(temperatures)
    if len(rows) != len(temperatures):
        raise ValueError(
            f"configurations has {len(rows)} rows and temperatures {len(temperatures)} values; "
            "expected a row for each, or one for all."
        )
    return production.temperature_jobs(
        systems.get(system).with_(n=n), dict(zip(temperatures, rows)), folder=folder, draws=draws,
        pair_radius=pair_radius, seed=seed, engine=engine,
    )  # fmt: skip


# ------------------------------------------------------------------ all of them

#: chapter number to what makes its jobs
CHAPTERS: Mapping[str, Callable[..., list[Job]]] = MappingProxyType({
    "1": cool_melts, "2": make_liquids, "3": add_configurations, "4": make_disks, "5": cool_liquid,
})  # fmt: skip


def list_jobs(chapter: str, folder: Path, **parameters: object) -> list[Job]:
    """Jobs of a chapter, in an order that only parameters change.

    Parameters
    ----------
    chapter : str
        ``"5"`` or ``"5-temperature-transfer"``.
    folder : path
        Where its data go.
    **parameters
        Those of the chapter's page *simulation*; what does not change jobs is left aside.

    Raises
    ------
    ValueError
        For a chapter that simulates nothing.
    """
    make = CHAPTERS.get(chapter.split("-")[0])
    if make is None:
        raise ValueError(
            f"chapter {chapter} has no simulations; expected one of {', '.join(CHAPTERS)}."
        )
    taken = inspect.signature(make).parameters
    return make(folder, **{name: value for name, value in parameters.items() if name in taken})


def name_job(job: Job) -> str:
    """What a job makes, ``kob-andersen-0.5-0``."""
    return job.writes[0][0].stem
