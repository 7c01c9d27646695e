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
MELTS = (5, 5, 5, 1)  #: melts cooled by each of the ramps; one costs hours at the slowest
MOVED = (0.3, 1, 3, 10, 30, 100, 300)  #: times of displacements, first melt; others the last, τ


def mix_disks(
    n: int = 500, composition: Sequence[float] = (0.65, 0.35), density: float = 1.2
) -> System:
    """Chapter 1's mixture, or another of its kind.

    Raises
    ------
    ValueError
        For shares that do not add up to 1.
    """
    shares = tuple(float(x) for x in composition)
    if len(shares) != 2 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"composition is {list(composition)}; expected shares of A and B, sum 1.")
    return systems.get("bihani-2d").with_(n=int(n), composition=shares, density=float(density))


def name_cooled(melt: int, steps: int, system: System | None = None) -> str:
    """Name of a cooled melt's file, ``melt0-rate3e-03``; another mixture's name begins with it."""
    rate = f"rate{RAMPS[steps]}" if steps in RAMPS else f"steps{steps}"
    return f"{_name_mixture(system)}melt{melt}-{rate}"


def _name_mixture(system: System | None) -> str:
    usual = mix_disks()
    if system is None or (system.n, system.composition, system.density) == (
        usual.n, usual.composition, usual.density,
    ):  # fmt: skip
        return ""
    return f"n{system.n}-a{system.composition[0]:g}-d{system.density:g}-"


def list_cooled(
    ramps: Sequence[int] = tuple(RAMPS), melts: Sequence[int] = MELTS
) -> list[tuple[int, int]]:
    """Melt and steps of a ramp of every cooling: ``melts`` says how many melts each ramp cools.

    One number serves all ramps.
    """
    counts = list(melts) * (len(ramps) if len(melts) == 1 else 1)
    if len(counts) != len(ramps):
        raise ValueError(
            f"melts has {len(counts)} values and ramps {len(ramps)}; expected one for each, or one "
            "for all."
        )
    return [(m, steps) for m in range(max(counts)) for steps, n in zip(ramps, counts) if m < n]


def cool_melts(
    folder: Path,
    *,
    n: int = 500,
    composition: Sequence[float] = (0.65, 0.35),
    density: float = 1.2,
    ramps: Sequence[int] = tuple(RAMPS),
    melts: Sequence[int] = MELTS,
    seed: int = 0,
    engine: str = "auto",
) -> list[Job]:
    """Chapter 1: every melt cooled at every rate, and displacements from its structures.

    Parameters
    ----------
    folder : path
    n, composition, density
        Of :func:`mix_disks`.
    ramps : sequence of int
        Time steps of a temperature ramp.
    melts : sequence of int
        How many melts are cooled by each of them (:func:`list_cooled`).
    """
    system = mix_disks(n, composition, density)
    cost = n / 500
    return [
        Job(
            partial(_melt_and_cool, folder, system, m, steps, seed=seed + m, engine=engine),
            (
                (folder / f"{name_cooled(m, steps, system)}.gsd", 40, cost * (steps + 5000)),
                (
                    folder / f"{name_cooled(m, steps, system)}-displacements.gsd",
                    40, cost * 1e5 * (2 if m == 0 else 1),
                ),
            ),
            soft=True,
        )
        for m, steps in list_cooled(ramps, melts)
    ]  # fmt: skip


def _melt_and_cool(
    folder: Path, system: System, melt: int, steps: int, *, seed: int, engine: str
) -> None:
    start = folder / f"{_name_mixture(system)}melt{melt}-liquid.gsd"
    name = name_cooled(melt, steps, system)
    with writing.claim(start, wait=True):  # ramps of one melt begin at the same time
        if not start.exists():
            hot = simulate.liquid(system, kT=2.0, duration=1500.0, seed=seed, engine=engine)
            frames.write(start, hot)
    cooled = simulate.cool(
        frames.read(start)[0], system, temperatures=np.array(COOLING), steps_per_ramp=steps,
        engine=engine, path=folder / f"{name}.gsd",
    )  # fmt: skip
    simulate.isoconfigurational(
        cooled, system, kT=0.25, ensemble="nve", n_replicas=2 if melt == 0 else 1,
        sample_times=list(MOVED) if melt == 0 else [300], seed=seed, engine=engine,
        path=folder / f"{name}-displacements.gsd",
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


def name_variant(name: str, *, n: int = 2000, density: float = 0.0, replicas: int = 32) -> System:
    """One of chapter 2's systems with another number of particles or density, named accordingly.

    Names of files begin with that of the system: ``wahnstrom-n500-0.7-0.gsd`` is never taken for
    ``wahnstrom-0.7-0.gsd``. Another number of draws gets a name too.

    Raises
    ------
    ValueError
        For an unknown name, or a density of hard particles, whose state is the packing fraction.
    """
    if name not in LIQUIDS:
        raise ValueError(f"system is {name!r}; expected one of {', '.join(LIQUIDS)}.")
    system = systems.get(name)
    if density and system.hard:
        raise ValueError(f"density is {density:g}, but {name} have packing fractions; leave it 0.")
    tail = f"-n{n}" * (n != 2000)
    if density and density != system.density:
        system, tail = system.with_(density=density), tail + f"-rho{density:g}"
    return system.with_(n=n, name=name + tail + f"-draws{replicas}" * (replicas != 32))


def list_states(
    system: str = "all",
    *,
    states: Sequence[float] = (),
    n: int = 2000,
    density: float = 0.0,
    replicas: int = 32,
) -> dict[str, tuple[float, ...]]:
    """State points by system, the deepest first.

    Raises
    ------
    ValueError
        For states, a density or a number of particles of three systems at once, or a state twice.
    """
    names = tuple(LIQUIDS) if system == "all" else (system,)
    other = {"states": bool(len(states)), "density": bool(density)}
    if system == "all" and any(other.values()):
        given = next(k for k, v in other.items() if v)
        raise ValueError(f"{given} are given for all systems at once; name one system.")
    for name in names:
        name_variant(name, n=n, density=density, replicas=replicas)
    if not len(states):
        return {name: tuple(LIQUIDS[name]) for name in names}
    points = sorted({float(s) for s in states}, reverse=systems.get(system).hard)
    if len(points) < len(states):
        raise ValueError(f"states are {list(states)}; expected each once.")
    return {system: tuple(points)}


def window_of(name: str, state: float) -> float:
    """Length of a window at any state of one of chapter 2's systems, τ.

    Between the paper's states, and beyond them, log-linear in packing fraction or 1/T.
    """
    known = LIQUIDS[name]
    if state in known:
        return known[state]
    hard = systems.get(name).hard
    x = np.array([s if hard else 1 / s for s in known])[::-1]
    y = np.log(list(known.values()))[::-1]
    at = state if hard else 1 / state
    k = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
    slope = (y[k] - y[k - 1]) / (x[k] - x[k - 1])
    return float(np.exp(y[k] + slope * (at - x[k])))


def make_liquids(
    folder: Path,
    *,
    system: str = "all",
    states: Sequence[float] = (),
    n: int = 2000,
    density: float = 0.0,
    replicas: int = 32,
    configurations: int = 3,
    seed: int = 0,
    engine: str = "auto",
) -> list[Job]:
    """Chapter 2: several configurations at the deepest state of each system, one at the others.

    Parameters are those of the page *simulation*; at their defaults the jobs are the paper's.
    """
    points = list_states(system, states=states, n=n, density=density, replicas=replicas)

    def job(name: str, state: float, c: int, last: float, draws: float | None) -> Job:
        return production.ensemble_job(
            name_variant(name, n=n, density=density, replicas=replicas), state, c, folder=folder,
            window=last, draws=draws, n_replicas=replicas, seed=seed, engine=engine,
            cost=_COST[name] * n / 2000,
        )  # fmt: skip

    made = [
        job(name, state, c, last := window_of(name, state), _DRAWS.get((name, state), last))
        for name, chosen in points.items()
        for state in chosen
        for c in range(configurations if state == chosen[0] else 1)
    ]
    if len(states):
        return made
    return made + [
        job(name, state, c, last, None)
        for name in points
        for state, last in CHECKS.get(name, {}).items()
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
    """The mixture of hard disks with this size ratio; the book's own at its own."""
    disks = systems.get("hard-disks")
    if np.isclose(ratio, disks.diameters["A"] / disks.diameters["B"], rtol=1e-9):
        return disks
    return replace(disks, name=f"hard-disks-{ratio:g}", diameters={"A": 1.0, "B": 1 / ratio})


def make_disks(
    folder: Path,
    *,
    ratio: float = 1.4,
    states: Sequence[float] = tuple(DISKS),
    windows: Sequence[float] = tuple(DISKS.values()),
    draws: Sequence[float] = tuple(t if eta <= DEEPEST else 0 for eta, t in DISKS.items()),
    configurations: Sequence[int] = tuple(3 if eta == DEEPEST else 1 for eta in DISKS),
    seed: int = 0,
) -> list[Job]:
    """Chapter 4: disks by packing fraction; with the book's own size ratio also the others.

    Parameters
    ----------
    ratio : float
        Diameter of the large disks over that of the small ones.
    states : sequence of float
        Packing fractions; of each, the other three:
    windows, draws : sequence of float
        Length of a window of the equilibration, and longest time of the velocity draws, τ; 0 for
        no draws.
    configurations : sequence of int
        How many; ``seed`` and their numbers seed them.

    Raises
    ------
    ValueError
        For lists of unequal length.
    """
    if len({len(states), len(windows), len(draws), len(configurations)}) != 1:
        raise ValueError(
            f"{len(states)} states, {len(windows)} windows, {len(draws)} draws and "
            f"{len(configurations)} configurations; expected one of each for every state."
        )
    common = {"seed": seed, "cage_relative": True}
    mixture, others = disks_of_ratio(ratio), []
    if mixture.name == "hard-disks":
        others = [
            production.ensemble_job(
                disks_of_ratio(other), eta, 0, folder=folder, window=last,
                draws=last if draws_too else None, **common,
            )
            for ratios, draws_too in ((RATIOS, True), (CONTROLS, False))
            for other, (eta, last) in ratios.items()
        ]  # fmt: skip
    return [
        production.ensemble_job(
            mixture, eta, c, folder=folder, window=window, draws=last or None, **common
        )
        for eta, window, last, n in zip(states, windows, draws, configurations)
        for c in range(n)
    ] + others


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
