"""Chapter 1's glass: cooled melts, what the cooling rate leaves behind, and whether g(r) sees it.

A *run* is one melt cooled by ramps of one length, :func:`glasslib.studies.productions.cool_melts`:
a quenched structure for each temperature, from hot to cold. Runs go by (melt, steps of a ramp).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glasslib import frames, scores, stored, structure
from glasslib.frames import Frame
from glasslib.studies import productions
from glasslib.systems import System

Runs = Mapping[tuple[int, int], Sequence[Frame]]
#: temperatures of the paper's three regions, ε_AA: from, below
STATES: Mapping[str, tuple[float, float]] = {
    "liquid": (1.0, 2.1), "supercooled": (0.6, 1.0), "glass": (0.0, 0.6)
}  # fmt: skip


def name_rate(steps: int, system: System) -> str:
    """The rate of ramps of ``steps`` as the paper writes it, ``3.33·10⁻³``."""
    mantissa, exponent = f"{0.05 / (steps * system.dt):.2e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{raised}"


def load(
    folder: Path, system: System, wanted: Sequence[tuple[int, int]], *, kind: str = ""
) -> dict[tuple[int, int], list[Frame]]:
    """Runs by melt and steps of a ramp.

    Parameters
    ----------
    folder : path
        The chapter's data.
    wanted : sequence of (int, int)
        Melt and steps, such as :func:`glasslib.studies.productions.list_cooled` gives.
    kind : str
        ``""`` for quenched structures, ``"-displacements"`` for the runs from them.

    Raises
    ------
    glasslib.stored.StoredError
        Where one is missing; the line says which command makes it.
    """
    found = {}
    for melt, steps in wanted:
        path = find(folder, system, melt, steps, kind=kind)
        if not path.exists():
            raise stored.StoredError(
                f"melt {melt} was not cooled by ramps of {steps} steps at N = {system.n}, "
                f"composition {list(system.composition)}, density {system.density:g}. Make it: "
                f"{describe_command(system, steps, melt + 1)}"
            )
        found[melt, steps] = frames.read(path)
    return dict(sorted(found.items()))


def find(folder: Path, system: System, melt: int, steps: int, *, kind: str = "") -> Path:
    """The file of a run."""
    return Path(folder) / f"{productions.name_cooled(melt, steps, system)}{kind}.gsd"


def describe_command(system: System, steps: int, melts: int) -> str:
    """What makes runs of this mixture."""
    usual = productions.mix_disks()
    words = [f"-p ramps='[{steps}]'", f"-p melts='[{melts}]'"]
    words += [f"-p n={system.n}"] * (system.n != usual.n)
    if system.composition != usual.composition:
        words.append(f"-p composition='{list(system.composition)}'")
    words += [f"-p density={system.density:g}"] * (system.density != usual.density)
    return " ".join(["glasslib run 1/simulation --preset paper --timeout 0", *words])


# ------------------------------------------------------------------------------ along the cooling


def along(runs: Runs, steps: int, key: str) -> np.ndarray:
    """(melts, temperatures) float64 array: one log entry of all runs of one ramp."""
    return np.array(
        [[float(f.log[key][0]) for f in run] for (_, s), run in runs.items() if s == steps]
    )


def foretell_one_more(values: np.ndarray) -> float:
    """Half-width of the 95 % interval in which one further run falls, around the mean of these.

    Student's t for one draw from a normal distribution of unknown mean and variance.
    """
    from scipy import stats

    values = np.asarray(values, dtype=float)
    n = len(values)
    return float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n))


def average_over(runs: Runs, key: str, low: float, high: float) -> np.ndarray:
    """(runs,) float64 array: mean of a log entry over structures with low ≤ T < high."""
    return np.array([
        np.mean([f.log[key][0] for f in run if low <= round(float(f.log["kT"][0]), 9) < high])
        for run in runs.values()
    ])  # fmt: skip


def compare_rates(
    runs: Runs, key: str, *, fast: int, slow: int, low: float, high: float
) -> tuple[float, float, float]:
    """Slow minus fast, mean over low ≤ T < high, melt by melt; with the 95 % interval over melts.

    Melts that were cooled by both ramps count; a single one has no interval (NaN).
    """
    shared = sorted({m for m, s in runs if s == slow} & {m for m, s in runs if s == fast})
    if not shared:
        raise ValueError(f"no melt was cooled by ramps of {fast} and of {slow} steps.")
    a, b = (
        average_over({(m, s): runs[m, s] for m in shared}, key, low, high) for s in (fast, slow)
    )
    mean, below, above = scores.mean_interval(b - a)
    return float(mean), float(below), float(above)


# -------------------------------------------------------------------- pair distribution functions


@dataclass(frozen=True)
class Likeness:
    """Result of :func:`compare_structure`.

    Attributes
    ----------
    between : float
        Root-mean-square difference of g(r) of the glasses of two rates.
    within : float
        The same of two halves of the melts of one rate, mean over the two rates: what chance does.
    """

    between: float
    within: float

    @property
    def ratio(self) -> float:
        """1 where two rates differ as two sets of melts do."""
        return self.between / self.within


def select_glasses(
    runs: Runs, steps: int, melts: Sequence[int] | None = None, *, last: int = 5
) -> list[Frame]:
    """The ``last`` coldest structures of each run of one ramp."""
    return [
        f for (m, s), run in runs.items()
        if s == steps and (melts is None or m in melts) for f in run[-last:]
    ]  # fmt: skip


def measure_distance(
    a: Sequence[Frame], b: Sequence[Frame], pair: tuple[str, str] | None = None
) -> float:
    """Root-mean-square difference of two pair distribution functions over 0.6 < r < 4 σ_AA."""
    r, x = structure.radial_distribution(list(a), pair, r_max=4, bins=200)
    _, y = structure.radial_distribution(list(b), pair, r_max=4, bins=200)
    return float(np.sqrt(np.mean((x - y)[r > 0.6] ** 2)))


def compare_structure(
    runs: Runs, *, fast: int, slow: int, pair: tuple[str, str] | None = None
) -> Likeness:
    """Do two rates differ more in g(r) than two sets of melts cooled at one rate?

    Raises
    ------
    ValueError
        For fewer than two melts at the slow rate: no halves.
    """
    melts = sorted({m for m, s in runs if s == slow})
    half = len(melts) // 2
    if not half:
        raise ValueError(f"{len(melts)} melts at ramps of {slow} steps; two halves need two.")
    first, rest = melts[:half], melts[half:]
    between = measure_distance(
        select_glasses(runs, fast, melts), select_glasses(runs, slow, melts), pair
    )
    within = np.mean([
        measure_distance(select_glasses(runs, s, first), select_glasses(runs, s, rest), pair)
        for s in (fast, slow)
    ])  # fmt: skip
    return Likeness(between, float(within))


def measure_width(r: np.ndarray, g: np.ndarray, low: float, high: float) -> float:
    """Width of a peak of g(r): standard deviation of r over it, weighted by g, σ_AA.

    Parameters
    ----------
    r, g : (bins,) float arrays
    low, high : float
        Where the peak begins and ends.
    """
    inside = (r >= low) & (r < high)
    weight = np.asarray(g, dtype=float)[inside]
    if not weight.sum() > 0:
        raise ValueError(f"g(r) is empty from {low} to {high}; expected a peak there.")
    x = np.asarray(r, dtype=float)[inside]
    mean = np.average(x, weights=weight)
    return float(np.sqrt(np.average((x - mean) ** 2, weights=weight)))


def compare_widths(
    runs: Runs,
    *,
    fast: int,
    slow: int,
    pair: tuple[str, str] = ("B", "B"),
    low: float = 0.7,
    high: float = 1.2,
) -> tuple[float, float, float]:
    """Width of a peak of g(r), fast over slow, melt by melt; 95 % over melts (of the logarithm).

    The defaults hold the first peak of B–B, two small particles in contact.
    """
    shared = sorted({m for m, s in runs if s == slow} & {m for m, s in runs if s == fast})
    logs = []
    for m in shared:
        widths = [
            measure_width(
                *structure.radial_distribution(
                    select_glasses(runs, s, [m]), pair, r_max=3, bins=240
                ),
                low, high,
            )
            for s in (fast, slow)
        ]  # fmt: skip
        logs.append(np.log(widths[0] / widths[1]))
    return tuple(float(x) for x in np.exp(scores.mean_interval(np.array(logs))))
