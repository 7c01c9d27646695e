"""Every relaxation time τ_α of the book: by definition, and by liquid.

"The" relaxation time is many: of which function of time, at which level of it or from which fit,
over windows of an equilibration or over velocity draws. Here each definition is written once and
read from the data of any liquid that has what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from glasslib import dynamics, systems
from glasslib.frames import Frame
from glasslib.studies import disks, temperatures
from glasslib.systems import System

FEW = 8  #: sample times below which a crossing is not read between two of them


@dataclass(frozen=True)
class Clock:
    """One definition of τ_α.

    Attributes
    ----------
    words : str
        What it is.
    used_by : str
        Pages that go by it.
    read : callable
        ``(system, windows, draws) -> float``, from the frames of one state; NaN where it cannot
        be read: no such function in the data, or it does not fall so far.
    """

    words: str
    used_by: str
    read: Callable[[System, Sequence[Frame], Sequence[Frame]], float]


def _decaying(system: System) -> str:
    """The function that chapter 2 fits: collective for hard spheres, of large particles else."""
    return "collective_isf" if system.hard else "self_isf_A"


def fit_windows(system: System, windows: Sequence[Frame], draws: Sequence[Frame]) -> float:
    """Time constant of a stretched exponential, windows after the first of all configurations."""
    key = f"equilibration/{_decaying(system)}"
    if not windows or key not in windows[0].log:
        return np.nan
    curves = np.concatenate([f.log[key][1:] for f in windows])
    return _fit(windows[0].log["equilibration/times"], curves)


def fit_draws(system: System, windows: Sequence[Frame], draws: Sequence[Frame]) -> float:
    """Time constant of a stretched exponential, velocity draws of the first configuration."""
    key = _decaying(system)
    return (
        _fit(draws[0].log["times"], draws[0].log[key]) if draws and key in draws[0].log else np.nan
    )


def _fit(t: np.ndarray, curves: np.ndarray) -> float:
    try:
        return float(dynamics.relaxation_time(t, curves).tau)
    except ValueError:  # the decay is not seen
        return np.nan


def pass_level(
    level: float = 1 / np.e, *, displacement: str = "plain", first: int | None = None
) -> Callable[..., float]:
    """A reader: where the mean over draws, and ``first`` configurations, falls through a level."""

    def read(system: System, windows: Sequence[Frame], draws: Sequence[Frame]) -> float:
        draws, key = draws[:first], disks.CURVES[displacement]
        if not draws or key not in draws[0].log or len(draws[0].log["times"]) < FEW:
            return np.nan
        mean = np.mean([f.log[key].mean(axis=0) for f in draws], axis=0)
        return dynamics.crossing(draws[0].log["times"], mean, level)

    return read


def average_draws(displacement: str) -> Callable[..., float]:
    """A reader: mean over configurations of where each falls through 1/e in its draws."""

    def read(system: System, windows: Sequence[Frame], draws: Sequence[Frame]) -> float:
        alone = pass_level(displacement=displacement)
        return float(np.mean([alone(system, windows, [f]) for f in draws])) if draws else np.nan

    return read


def average_windows(system: System, windows: Sequence[Frame], draws: Sequence[Frame]) -> float:
    """Mean over windows of where the cage-relative function of large particles passes 1/e."""
    key = f"equilibration/{disks.CURVES['cage-relative']}"
    return disks.relax(windows).tau[0] if windows and key in windows[0].log else np.nan


def pass_windows(system: System, windows: Sequence[Frame], draws: Sequence[Frame]) -> float:
    """Where the mean over all windows of the self function of large particles passes 1/e."""
    if not windows:
        return np.nan
    times, F = temperatures.scattering(windows)
    return dynamics.crossing(times, F.mean(axis=0), 1 / np.e)


def read_published(system: System, windows: Sequence[Frame], draws: Sequence[Frame]) -> float:
    """The time at which public sets take their labels."""
    if not system.alpha_times or not windows:
        return np.nan
    return float(system.alpha_time(float(windows[0].log["kT"][0])))


#: every clock of the book
CLOCKS: Sequence[Clock] = (
    Clock("stretched exponential, windows", "2/simulation", fit_windows),
    Clock("stretched exponential, draws of one configuration", "2/evaluation", fit_draws),
    Clock("F_A = 1/e, draws of one configuration", "2/evaluation", pass_level(first=1)),
    Clock("F_A = 1/e, draws of three configurations", "4, three dimensions", pass_level(first=3)),
    Clock("F_A = 1/e, draws of all", "3, hard spheres", pass_level()),
    Clock("F_A = 0.27, draws of all", "3, Kob–Andersen", pass_level(0.27)),
    Clock("cage-relative F_A = 1/e, windows", "4/simulation", average_windows),
    Clock("cage-relative F_A = 1/e, draws", "4", average_draws("cage-relative")),
    Clock("F_A = 1/e, draws, mean of configurations", "4, plain", average_draws("plain")),
    Clock("F_A = 1/e, windows", "5/simulation", pass_windows),
    Clock("when labels were published", "5", read_published),
)
#: liquids of the book: chapters with their draws (the first has the windows), system, state
LIQUIDS: Mapping[str, tuple[tuple[str, ...], str, float]] = MappingProxyType({
    "hard spheres .58": (("2", "3"), "hard-spheres", 0.58),
    "Wahnström .7": (("2",), "wahnstrom", 0.7),
    "Kob–Andersen .5": (("2", "3"), "kob-andersen", 0.5),
    "disks .78": (("4",), "hard-disks", 0.78),
    "force-shifted .56": (("5",), "kob-andersen-force-shifted", 0.56),
})  # fmt: skip


def read_clocks(
    find_data: Callable[[str], Path],
    liquids: Mapping[str, tuple[tuple[str, ...], str, float]] = LIQUIDS,
) -> dict[str, np.ndarray]:
    """Every clock of every liquid.

    Parameters
    ----------
    find_data : callable
        Chapter to the folder of its data.
    liquids : mapping
        Title to chapters, system and state; what has no data gives NaN.

    Returns
    -------
    dict
        Title to (n_clocks,) float64 array in τ, in the order of :data:`CLOCKS`.
    """
    found = {}
    for title, (chapters, name, state) in liquids.items():
        system, draws = systems.get(name), []
        windows = disks.load(find_data(chapters[0]), "equilibrated", system, [state])
        for c in chapters:
            made = disks.load(find_data(c), "isoconfigurational", system, [state])
            draws += made.get(state, [])
        of = system, windows.get(state, []), draws
        found[title] = np.array([clock.read(*of) for clock in CLOCKS])
    return found
