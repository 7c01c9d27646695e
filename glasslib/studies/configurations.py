"""Are configurations samples of one equilibrium, and what are the public ones?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, engines, frames, geometry, scores, stored, structure, systems
from glasslib.frames import Frame
from glasslib.studies import averaged, productions
from glasslib.studies.averaged import Stock

PAIRS = (("A", "A"), ("A", "B"), ("B", "B"))


@dataclass(frozen=True)
class Set:
    """Configurations of one liquid.

    Attributes
    ----------
    system : System
    state : float
        Temperature, or packing fraction of hard particles.
    equal : list of frames
        Equilibrated, with the evidence.
    made : dict of frames
        With the labels of velocity draws, by name.
    level : float
        Of the self scattering function of A, where it gives the unit of time.
    """

    system: systems.System
    state: float
    equal: list[Frame]
    made: dict[str, Frame]
    level: float

    @property
    def label(self) -> str:
        """``Kob–Andersen, T = 0.5``."""
        return productions.name_liquid(self.system, self.state)

    @property
    def frames(self) -> list[Frame]:
        """Configurations with draws."""
        return list(self.made.values())

    @property
    def times(self) -> np.ndarray:
        """(n_times,) of the draws, τ."""
        return np.asarray(self.frames[0].log["times"])

    @property
    def tau(self) -> float:
        """Relaxation time, τ: where the mean scattering function falls to the level."""
        return dynamics.decay_time(self.frames, self.level)

    def ceilings(self, species: int) -> np.ndarray:
        """(n_configurations, n_times) noise ceilings."""
        return np.array([dynamics.ceiling(f, f.particles.typeid == species) for f in self.frames])


def gather(
    folders: Sequence[Path],
    name: str,
    state: float,
    n: int,
    *,
    level: float = averaged.LEVEL,
    source: str = "",
) -> Set:
    """The first n configurations of a liquid, from several folders; or those of a GSD file.

    Raises
    ------
    ValueError
        Where there is none with draws; the message says what makes them.
    """
    system = systems.get(name)
    if source:
        found = frames.read(source)
        return Set(system, state, [], {f"mine-{c}": f for c, f in enumerate(found)}, level)
    made = averaged.load_liquid(folders, system, state)
    equal = [frames.read_all(Path(p) / "equilibrated", f"{name}-{state:g}-*.gsd") for p in folders]
    if not made:
        raise ValueError(
            f"no configuration of {name} at {state:g} with draws is here; make {n} of them: "
            f"glasslib run 3/simulation --preset paper -p liquids '[\"{name}\"]' -p states "
            f"'[{state:g}]' -p configurations '[{n}]' -p windows '[700]' -p durations '[700]', "
            "with three relaxation times in place of 700."
        )
    every = [f for some in equal for f in some.values()]
    return Set(system, state, every[:n], dict(list(made.items())[:n]), level)


@dataclass(frozen=True)
class Windows:
    """Result of :func:`compare_windows`.

    Attributes
    ----------
    means : (n_configurations, n_windows) float64 array
        Of a quantity, window by window; the first window is left out.
    scatter, expected : float
        Standard deviation of the configurations' means, and what it would be if all windows were
        independent samples of one equilibrium.
    change : (3,) float64 array
        Last window minus the first that counts, mean over configurations, with 95 %.
    """

    means: np.ndarray
    scatter: float
    expected: float
    change: np.ndarray


def compare_windows(equal: Sequence[Frame], quantity: str = "potential_energy") -> Windows:
    """Do configurations scatter by more than the windows of each let them?

    If all are samples of one equilibrium, the mean over n windows scatters from configuration to
    configuration by what windows of one configuration scatter, divided by √n.
    """
    rows = np.array([f.log[f"equilibration/{quantity}"].mean(axis=1)[1:] for f in equal])
    expected = np.sqrt(rows.var(axis=1, ddof=1).mean() / rows.shape[1])
    change = np.array(scores.mean_interval(rows[:, -1] - rows[:, 0]))
    return Windows(rows, float(rows.mean(axis=1).std(ddof=1)), float(expected), change)


def distance_from_rest(made: Sequence[Frame], species: int = 0) -> np.ndarray:
    """(n,) distance of each particle of a species from its inherent position, σ_AA."""
    found = []
    for f in made:
        d = f.log["particles/inherent_position"] - f.particles.position
        moved = geometry.nearest_image(d, f.configuration.box)
        found.append(np.linalg.norm(moved, axis=1)[f.particles.typeid == species])
    return np.concatenate(found)


def describe_public(frame: Frame, by: Sequence[systems.System], *, engine: str = "auto") -> dict:
    """What is asked of a public configuration: energies by several potentials, ceilings, g(r)."""
    energy = {
        s.name: float(engines.choose(s, engine).evaluate(frame, s).log["potential_energy"][0])
        for s in by
    }
    D, v = (frame.log[f"particles/propensity{k}"] for k in ("", "_variance"))
    answer: dict = {"potential energy": energy}
    for s, species in enumerate("AB"):
        mine = frame.particles.typeid == s
        answer[f"mean propensity {species}"] = float(D[mine].mean())
        answer[f"ceiling {species}"] = float(dynamics.noise_ceiling(D[mine], v[mine], 32))
    for pair in PAIRS:
        r, g = structure.radial_distribution(frame, pair, r_max=2.0, bins=80)
        answer["r"], answer["g " + "–".join(pair)] = r.tolist(), g.round(4).tolist()
    return answer


def survey_set(
    folder: Path,
    stock: Stock,
    by: Sequence[systems.System],
    *,
    make: bool = False,
    engine: str = "auto",
) -> list[dict]:
    """:func:`describe_public` of every public configuration, stored in ``public-set.json``."""
    print_ = stored.fingerprint(
        settings={"systems": [s.name for s in by], "n": stock.n},
        inputs=stock.inputs,
        code=[structure, sys.modules[__name__]],
    )
    return stored.keep(
        Path(folder) / "public-set.json", "configurations", print_,
        lambda: [describe_public(f, by, engine=engine) for f in stock.load()],
        make=make, how="glasslib fetch botan, then glasslib run 3/simulation --preset paper",
    )  # fmt: skip


def peaks(
    curves: Mapping[str, np.ndarray], r: np.ndarray, *, seed: int = 0, n_boot: int = 1000
) -> dict[str, tuple[float, float, float, float]]:
    """Height of the first peak of each mean curve, with 95 %, and where it is.

    The peak of the mean, not the mean of peaks, which noise lifts; configurations are drawn with
    replacement.

    Parameters
    ----------
    curves : dict of (n_configurations, n) arrays
    r : (n,) array
    """
    rng, found = np.random.default_rng(seed), {}
    for name, g in curves.items():
        drawn = rng.integers(len(g), size=(n_boot, len(g)))
        low, high = np.percentile([g[rows].mean(axis=0).max() for rows in drawn], [2.5, 97.5])
        mean = g.mean(axis=0)
        found[name] = float(mean.max()), float(low), float(high), float(r[mean.argmax()])
    return found
