"""Chapter 3's questions: averaged local structure, a straight line, and what it foretells.

Frames are labelled configurations; what they look like becomes tables (:class:`Recipe`), tables go
to :mod:`glasslib.studies.regression`, and what took long is kept by :mod:`glasslib.stored` under
the fingerprint of configurations, recipe and code.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from glasslib import dynamics, engines, frames, geometry, scores, simulate, stored, systems
from glasslib.descriptors import averaged_energies, averaging, radial_angular
from glasslib.descriptors.radial_angular import columns, shells
from glasslib.frames import Frame
from glasslib.models import ridge
from glasslib.models.ridge import PropensityRidge
from glasslib.studies import correlation, regression
from glasslib.studies.correlation import score
from glasslib.studies.regression import LeftOut
from glasslib.systems import System

KINDS = ("thermal", "inherent", "cage")  #: whose positions are described
LEVEL = 0.27  #: of F_A at the published times of Kob–Andersen mixtures
#: numbers a particle that are to be beaten
SINGLE = (
    "density", "thermal energy", "inherent energy", "cage size", "inherent energy, averaged twice",
)  # fmt: skip
NUMBERS = (1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200)  #: of selected descriptors
Table = Callable[[], np.ndarray]  #: makes a table when it is asked for


# ------------------------------------------------------------------------------------- a recipe


@dataclass(frozen=True)
class Recipe:
    """How particles are described and how a line is drawn through them.

    Attributes
    ----------
    r_c : float
        How far an average reaches, σ_AA: about the second minimum of the total g(r).
    n_max : int
        Generations of averages.
    radial, angular : spans of :func:`glasslib.descriptors.radial_angular.shells`
        (start, step, number, width) of shells, σ_AA.
    orders : int
        l = 1 … orders.
    penalties : (first, last, number)
        Powers of ten of the penalties tried.
    min_spread : float
        Columns that vary less get no weight: shells where nobody is.
    other_radii : tuple of float
        Other r_c, for comparison.
    n_moves : int
        Of the field of propensities, for the control.
    n_folds : int
        Parts that are left out in turn; 0: two configurations at a time.
    seed : int
        Of controls and of short runs.
    """

    r_c: float = 2.3
    n_max: int = 3
    radial: tuple = ((0.5, 0.03, 50, 0.03), (2.0, 0.06, 50, 0.06))
    angular: tuple = ((1.0, 0.1, 16, 0.1),)
    orders: int = 12
    penalties: tuple = (-1, 6, 22)
    min_spread: float = 1e-3
    other_radii: tuple = (1.5, 1.9, 3.0, 4.0)
    n_moves: int = 10
    n_folds: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("radial", "angular"):  # lists of a page's parameters
            rows = tuple(tuple(float(x) for x in row) for row in getattr(self, name))
            object.__setattr__(self, name, rows)
        object.__setattr__(self, "r_c", float(self.r_c))
        for name in ("penalties", "other_radii"):
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))

    def grid(self, system: System | None = None) -> dict:
        """Options of :func:`radial_angular`; of hard particles without shells where no pair is."""
        radial = _shells(self.radial)
        if system is not None and system.hard:
            size = system.diameters
            nearest = {s: min((d + size[s]) / 2 for d in size.values()) for s in size}
            radial = {s: radial[radial[:, 0] >= contact] for s, contact in nearest.items()}
        return {"radial": radial, "angular": _shells(self.angular), "l": range(1, self.orders + 1)}

    def columns(self, system: System | None = None, n_max: int = 0) -> list:
        """What the columns of a table are."""
        return columns(**self.grid(system), n_max=n_max)

    def describe(self, frame: Frame, system: System | None = None) -> np.ndarray:
        """(N, width) descriptors of all particles, not averaged."""
        return radial_angular(frame, **self.grid(system))

    def average(self, X: np.ndarray, frame: Frame, n_max: int | None = None) -> np.ndarray:
        """(N, (n_max + 1) width): X and its averages over the surroundings, eq. 4."""
        return averaging.shell_average(
            X, frame, self.r_c, n_max=self.n_max if n_max is None else n_max
        )

    def model(self) -> PropensityRidge:
        """The regression."""
        first, last, n = self.penalties
        return PropensityRidge(alphas=np.logspace(first, last, int(n)), min_spread=self.min_spread)

    def folds(self, n: int) -> int:
        """Parts that n configurations are dealt into."""
        return self.n_folds or max(2, n // 2)

    def differ(self, default: Recipe) -> list[str]:
        """Names of what is not as in another recipe."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)]

    def name(self, stem: str, default: Recipe) -> str:
        """File that holds results: ``public.json``, or ``public,r_c=3.json`` of another recipe."""
        parts = [f"{k}={_short(getattr(self, k))}" for k in self.differ(default)]
        return ",".join([stem, *parts]) + ".json"

    def command(self, page: str, default: Recipe) -> str:
        """What makes a result of this recipe."""
        values = {k: getattr(self, k) for k in self.differ(default)}
        told = [f"-p {k} '{json.dumps(v)}'" for k, v in values.items()]
        return " ".join([f"glasslib run 3/{page} --preset paper", *told])


#: of hard spheres: the second minimum of their g(r), and other reaches
HARD = Recipe(r_c=2.1, other_radii=(1.3, 1.6, 2.6, 3.2), n_folds=6)
SOFT = Recipe(n_folds=6)  #: of the book's own soft liquids


def _shells(spans: Sequence[Sequence[float]]) -> np.ndarray:
    return shells(*((a, b, int(n), d) for a, b, n, d in spans))


def _short(value: object) -> str:
    flat = np.ravel(np.array(value, dtype=float)) if not isinstance(value, str) else [value]
    return "-".join(f"{x:g}" if not isinstance(x, str) else x for x in flat)


def rest(frame: Frame) -> Frame:
    """The inherent structure that a labelled frame carries, as a frame of its own."""
    quiet = frames.copy(frame, log={})
    quiet.particles.position = frame.log["particles/inherent_position"]
    return quiet


def thin(recipe: Recipe, step: int = 3) -> Recipe:
    """A recipe with every ``step``-th shell and order: a trial of the code."""

    def fewer(spans: tuple) -> tuple:
        return tuple((a, b * step, max(1, int(n) // step), d) for a, b, n, d in spans)

    return replace(
        recipe, radial=fewer(recipe.radial), angular=fewer(recipe.angular),
        orders=max(1, recipe.orders // step),
    )  # fmt: skip


def shift(one: Frame, two: Frame, include: np.ndarray) -> np.ndarray:
    """(n,) distance of each included particle between two frames of one box, σ_AA."""
    d = np.asarray(one.particles.position, dtype=float) - two.particles.position
    return np.linalg.norm(geometry.nearest_image(d, one.configuration.box)[include], axis=1)


# ----------------------------------------------------------------------------- configurations


@dataclass(frozen=True)
class Stock:
    """Configurations with one label a particle.

    Attributes
    ----------
    system : System
        Who made them; whose potential quenches them.
    n : int
        How many there are.
    load : callable
        Reads them.
    inputs : list
        What tells them from others, for the fingerprint of what is learned from them.
    """

    system: System
    n: int
    load: Callable[[], list[Frame]]
    inputs: list


def take_public(root: Path) -> Stock:
    """The ten public configurations at T = 0.44; they need not be here to read what is stored."""
    from glasslib.studies import temperatures

    system, paths, checksums = temperatures.find_public(root)

    def load() -> list[Frame]:
        if not paths:
            raise stored.StoredError(
                "the public set is not here, and the result needs it; bring it with: "
                "glasslib fetch botan"
            )
        return [frames.read(path)[0] for path in paths]

    return Stock(system, len(checksums), load, list(checksums))


def take(source: str, system: System, root: Path) -> Stock:
    """:func:`take_frames` of a file, or :func:`take_public` where none is named.

    Raises
    ------
    ValueError
        Where the public set is asked for with a potential that did not make it.
    """
    if source:
        return take_frames(source, system)
    stock = take_public(root)
    if system.name != stock.system.name:
        raise ValueError(
            f"the public set was made by {stock.system.name}, and system is {system.name}; give "
            "frames, a GSD file of labelled configurations, or the potential that made the set."
        )
    return stock


def take_frames(source: str | Path | Sequence[Frame], system: System) -> Stock:
    """Labelled configurations of one's own: a GSD file, or frames.

    Of propensities at several times that at the relaxation time is taken, where the scattering
    function of A falls to :data:`LEVEL`; without such a function the last.

    Raises
    ------
    ValueError
        For frames without ``log['particles/propensity']``, or fewer than four of them.
    """
    made = list(frames.read(source)) if isinstance(source, (str, Path)) else list(source)
    missing = [k for k, f in enumerate(made) if "particles/propensity" not in f.log]
    if len(made) < 4 or missing:
        raise ValueError(
            f"{source if isinstance(source, (str, Path)) else 'frames'}: {len(made)} frames, "
            f"{len(missing)} of them without log['particles/propensity']; expected four or more "
            "labelled configurations, as simulate.isoconfigurational writes them."
        )
    made = [at_one_time(f) for f in made]
    inputs = [
        np.asarray(x) for f in made for x in (f.particles.position, f.log["particles/propensity"])
    ]
    return Stock(system, len(made), lambda: made, inputs)


def at_one_time(frame: Frame) -> Frame:
    """The frame with labels at one time, (N,): at the relaxation time, or the last."""
    names = [n for n in ("particles/propensity", "particles/propensity_variance") if n in frame.log]
    if np.ndim(frame.log[names[0]]) == 1:
        return frame
    k = -1
    if "self_isf_A" in frame.log:
        k = dynamics.nearest(frame.log["times"], dynamics.decay_time(frame, LEVEL))
    return frames.copy(frame, log={n: frame.log[n][:, k] for n in names})


def load_liquid(folders: Sequence[Path], system: System, state: float) -> dict[str, Frame]:
    """All configurations of a liquid with draws, from several folders, by name."""
    found: dict[str, Frame] = {}
    for folder in folders:
        found |= frames.read_all(
            Path(folder) / "isoconfigurational", f"{system.name}-{state:g}-*.gsd"
        )
    return found


# -------------------------------------------------------------- what is learned at one time


@dataclass(frozen=True)
class Survey:
    """Result of :func:`survey_public`: entries by name, and what can be asked of them.

    Attributes
    ----------
    entries : dict
        ``"A, inherent, n = 2"`` and its like: what :func:`plan` makes.
    made : str
        The day.
    """

    entries: dict[str, dict]
    made: str

    def each(self, name: str) -> np.ndarray:
        """(n_configurations,) Pearson r; of moves (n_moves, n_configurations)."""
        return np.array(self.entries[name]["each"], dtype=float)

    def mean(self, name: str) -> tuple[float, float, float]:
        """Mean r over configurations with its 95 % interval; of moves their mean and range."""
        return (
            _spread(self.each(name).mean(axis=1))
            if name.endswith(", moves")
            else tuple(float(x) for x in scores.mean_interval(self.each(name)))
        )

    def pooled(self, name: str) -> tuple[float, float, float]:
        """Pooled r with its 95 % interval; of moves their mean and range."""
        found = self.entries[name]["pooled"]
        if name.endswith(", moves"):
            return _spread(np.array(found))
        return found["r"], found["low"], found["high"]

    def gain(self, one: str, other: str) -> tuple[float, float, float]:
        """Mean r of one minus that of another, paired over configurations; 95 %."""
        return tuple(float(x) for x in scores.mean_interval(self.each(one) - self.each(other)))

    def selected(self, name: str, n: int) -> np.ndarray:
        """(n_configurations,) r of a line through ``n`` selected descriptors."""
        found = self.entries[name]
        return np.array(found["r"])[found["numbers"].index(n)]


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.mean()), float(values.min()), float(values.max())


class Tables:
    """Descriptors of a stock, made when they are asked for."""

    def __init__(self, stock: Stock, recipe: Recipe, engine: str = "auto", trial: bool = False):
        self.stock, self.recipe, self.engine, self.trial = stock, recipe, engine, trial
        self.frames = stock.load()
        self.other = systems.get("kob-andersen")
        if self.other.name == stock.system.name:
            self.other = systems.get("kob-andersen-force-shifted")
        self.kept: dict[tuple, list] = {}

    def once(self, name: str, make: Callable[[int, Frame], object]) -> list:
        """``make(number, frame)`` for all configurations, kept."""
        if name not in self.kept:
            self.kept[name] = [make(c, f) for c, f in enumerate(self.frames)]
        return self.kept[name]

    def include(self, species: str) -> list[np.ndarray]:
        """(N,) bool of each configuration."""
        kind = self.stock.system.types.index(species)
        return [f.particles.typeid == kind for f in self.frames]

    def groups(self, species: str) -> np.ndarray:
        """The configuration of each row, from 1."""
        mine = self.include(species)
        return np.repeat(np.arange(1, len(mine) + 1), [m.sum() for m in mine])

    def stack(self, rows: Sequence[np.ndarray], species: str) -> np.ndarray:
        """Values of one species, all configurations."""
        return np.concatenate([x[m] for x, m in zip(rows, self.include(species))])

    def label(self, species: str, name: str = "propensity") -> np.ndarray:
        """(n,) propensities, or their variances."""
        return self.stack([f.log[f"particles/{name}"] for f in self.frames], species)

    def positions(self, kind: str) -> list[Frame]:
        """Frames at the positions of a kind; with ``", other"`` by the other potential."""
        kind, _, other = kind.partition(", ")
        by = self.other if other else self.stock.system
        tolerance = 2.0 if self.trial else 1e-5

        def make(c: int, f: Frame) -> Frame:
            if kind == "thermal":
                return f
            if kind == "inherent":
                return simulate.inherent_structure(
                    f, by, force_tolerance=tolerance, engine=self.engine
                )
            short = {"duration": 0.5, "n_runs": 1} if self.trial else {}
            kT = float(f.log["kT"][0] if "kT" in f.log else self.stock.system.temperatures[0])
            return simulate.cage_positions(
                f, by, kT=kT, seed=self.recipe.seed + c + 1, engine=self.engine, **short
            )

        return self.once(f"positions, {kind}, {other}", make)

    def geometry(self, kind: str, species: str, n_max: int, r_c: float | None = None) -> np.ndarray:
        """(n, (n_max + 1) width) averaged descriptors of one species."""
        at = self.positions(kind)
        bare = self.once(f"bare, {kind}", lambda c, _: self.recipe.describe(at[c]))
        radius = self.recipe.r_c if r_c is None else r_c

        def average(c: int, n: int) -> np.ndarray:
            return averaging.shell_average(bare[c], at[c], radius, n_max=n)

        if self.trial:  # small tables are kept whole
            whole = self.once(
                f"averaged, {kind}, {radius}", lambda c, _: average(c, self.recipe.n_max)
            )
            width = bare[0].shape[1] * (n_max + 1)
            return np.concatenate([x[m, :width] for x, m in zip(whole, self.include(species))])
        return np.concatenate(
            [average(c, n_max)[m] for c, m in enumerate(self.include(species))]
        )  # fmt: skip

    def energy(self, kind: str) -> list[np.ndarray]:
        """(N,) energy of each particle at the positions of a kind, ε_AA."""
        at = self.positions(kind)
        if kind == "thermal":
            driver = engines.choose(self.stock.system, self.engine)
            return self.once(
                "thermal energy",
                lambda c, f: driver.evaluate(f, self.stock.system).log["particles/energy"],
            )
        return [f.log["particles/energy"] for f in at]

    def energies(self, species: str, kind: str = "inherent") -> np.ndarray:
        """(n, 64) averaged energies."""
        at, energy = self.positions(kind), self.energy(kind)
        rows = self.once(f"energies, {kind}", lambda c, _: averaged_energies(energy[c], at[c]))
        return self.stack(rows, species)

    def single(self, label: str, species: str) -> np.ndarray:
        """(n,) a number a particle, to be beaten."""
        quiet = self.positions("inherent")
        rows = {
            "density": lambda: [averaging.local_density(q, self.recipe.r_c) for q in quiet],
            "thermal energy": lambda: self.energy("thermal"),
            "inherent energy": lambda: self.energy("inherent"),
            "cage size": lambda: [f.log["particles/cage_size"] for f in self.positions("cage")],
            "inherent energy, averaged twice": lambda: [
                averaging.shell_average(e, q, 3.0, n_max=2)[:, 2]
                for e, q in zip(self.energy("inherent"), quiet)
            ],
        }[label]()
        return self.stack(rows, species)

    def moved(self, species: str) -> np.ndarray:
        """(n, n_moves) propensities shifted as a whole, each configuration by its own vectors."""
        rows = []
        for c, (f, mine) in enumerate(zip(self.frames, self.include(species)), start=1):
            index = scores.moved(
                f, include=mine, n_shift=self.recipe.n_moves, seed=self.recipe.seed + c
            )
            rows.append(f.log["particles/propensity"][mine][index])
        return np.concatenate(rows)


class _Planner:
    """What :func:`plan` makes of one species."""

    def __init__(self, tables: Tables, species: str) -> None:
        self.tables, self.species, recipe = tables, species, tables.recipe
        self.width = len(recipe.columns())
        n_folds = recipe.folds(tables.stock.n)
        self.options = {"n_folds": n_folds, "model": recipe.model()}
        self.learned: dict[str, LeftOut] = {}
        self.D = partial(tables.label, species)
        self.groups = partial(tables.groups, species)

    def at(self, kind: str, n_max: int = 2, r_c: float | None = None) -> Table:
        return partial(self.tables.geometry, kind, self.species, n_max, r_c)

    def beside(self, *tables: Table) -> Table:
        return lambda: np.hstack([table() for table in tables])

    def train(self, table: Table, D: Table | None = None, by: Table | None = None) -> dict:
        return self._train(table, D, by).as_json()

    def _train(self, table: Table, D: Table | None = None, by: Table | None = None) -> LeftOut:
        return regression.leave_out(
            table(), (D or self.D)(), self.groups(), **self.options,
            split_by=None if by is None else by(),
        )  # fmt: skip

    def train_named(self, name: str, table: Table) -> dict:
        self.learned[name] = self._train(table)
        return self.learned[name].as_json()

    def choose(self, candidates: Mapping[str, Table]) -> dict:
        for name, table in candidates.items():
            if name not in self.learned:  # of a run that was stopped and goes on
                self.learned[name] = self._train(table)
        offered = {name: self.learned[name] for name in candidates}
        n_folds = self.options["n_folds"]
        found, took = regression.choose(offered, self.D(), self.groups(), n_folds=n_folds)
        return found.as_json() | {"took": took}

    def learn_from(self, table: Table, n_train: int) -> dict:
        r = regression.learn_from(table(), self.D(), self.groups(), n_train, **self.options)
        return {"each": r[:, 0].tolist(), "n_train": n_train}

    def select(self, table: Table) -> dict:
        found = regression.select(table(), self.D(), self.groups(), NUMBERS, **self.options)
        names = self.tables.recipe.columns(n_max=2)
        kept = {k: v for k, v in asdict(found).items() if k != "order"}
        return kept | {"r": found.r.tolist(), "names": [str(names[j]) for j in found.order]}

    def learn_moved(self, table: Table) -> dict:
        moved = self.tables.moved(self.species)
        each, pooled = regression.learn_moved(table(), moved, self.groups(), **self.options)
        return {"each": each.tolist(), "pooled": pooled.tolist()}

    def ceiling(self) -> dict:
        D, V, group = self.D(), self.D("propensity_variance"), self.groups()
        parts = zip(regression.split(D, group), regression.split(V, group))
        each = [dynamics.noise_ceiling(d, v, 32) for d, v in parts]
        return {"each": each, "of all": dynamics.noise_ceiling(D, V, 32)}

    def alone(self, label: str) -> dict:
        x, group = self.tables.single(label, self.species), self.groups()
        return score(regression.split(x, group), regression.split(self.D(), group)).as_json()

    def shuffled(self) -> np.ndarray:
        return regression.shuffle(self.D(), self.groups(), seed=self.tables.recipe.seed)

    def dealt(self) -> np.ndarray:
        """A number for each particle: the wrong way to split."""
        return np.random.default_rng(self.tables.recipe.seed).integers(10, size=len(self.D()))

    def one_move(self) -> np.ndarray:
        return self.tables.moved(self.species)[:, 0]

    def shapes(self) -> dict[str, Table]:
        """Geometric models to choose among."""
        s, recipe = self.species, self.tables.recipe
        found = {
            f"{s}, {kind}, n = {n}": self.at(kind, n)
            for kind in KINDS[:2] for n in range(recipe.n_max + 1)
        }  # fmt: skip
        if s == "A":
            found |= {
                f"A, {kind}, r_c = {r}": self.at(kind, 2, r)
                for kind in KINDS[:2] for r in recipe.other_radii
            }  # fmt: skip
            found["A, several radii"] = self.several
            found["A, both structures, n = 2"] = self.beside(
                self.at("thermal"), self.at("inherent")
            )
        return found

    def several(self) -> np.ndarray:
        """Not averaged, and second averages at three radii."""
        recipe, X = self.tables.recipe, self.at("inherent")()
        radii = (min(recipe.other_radii), max(recipe.other_radii))
        far = [self.at("inherent", 2, r)()[:, 2 * self.width :] for r in radii]
        return np.hstack([X[:, : self.width], X[:, 2 * self.width :], *far])

    def others(self) -> dict[str, Table]:
        """Models that know energies or cages."""
        s, energies = self.species, partial(self.tables.energies, self.species)
        n_max = self.tables.recipe.n_max
        found = {f"{s}, cage, n = {n}": self.at("cage", n) for n in range(n_max + 1)}
        found[f"{s}, energies"] = energies
        if s == "A":
            for label, kind in (("inherent", "inherent"), ("cage", "cage")):
                found[f"A, energies and {label}, n = 2"] = self.beside(energies, self.at(kind))
        return found

    def plan(self) -> dict[str, Callable[[], dict]]:
        s, X, made = self.species, self.at("inherent"), {}
        made[f"{s}, ceiling"] = self.ceiling
        for name, table in (self.shapes() | self.others()).items():
            made[name] = partial(self.train_named, name, table)
        for label in SINGLE:
            made[f"{s}, alone, {label}"] = partial(self.alone, label)
        made[f"{s}, shuffled"] = partial(self.train, X, self.shuffled)
        made[f"{s}, moves"] = partial(self.learn_moved, X)
        return made | (self.plan_more() if s == "A" else {})

    def plan_more(self) -> dict[str, Callable[[], dict]]:
        """What is asked of A particles alone."""
        X, energies = self.at("inherent"), partial(self.tables.energies, "A")
        twins = {
            "inherent": self.at("inherent, other"),
            "energies": partial(self.tables.energies, "A", "inherent, other"),
            "cage": self.at("cage, other"),
        }
        made = {f"A, other potential, {k}": partial(self.train, t) for k, t in twins.items()}
        made["A, chosen, geometry"] = partial(self.choose, self.shapes())
        made["A, chosen, all"] = partial(self.choose, self.shapes() | self.others())
        radial = np.array([c.kind == "radial" for c in self.tables.recipe.columns()])
        for kind in KINDS[:2]:
            for part, mask in {"radial": radial, "angular": ~radial}.items():
                for n in (0, 2):
                    columns_of = partial(self.columns, kind, mask, n)
                    made[f"A, {kind}, {part}, n = {n}"] = partial(self.train, columns_of)
            made[f"A, {kind}, selection"] = partial(self.select, self.at(kind))
        n = self.tables.stock.n
        for k in [k for k in (1, 2, 4, 6, 8) if k <= n - -(-n // self.options["n_folds"])]:
            made[f"A, learning, {k}"] = partial(self.learn_from, X, k)
            made[f"A, thermal, learning, {k}"] = partial(self.learn_from, self.at("thermal"), k)
            made[f"A, energies, learning, {k}"] = partial(self.learn_from, energies, k)
        made["A, by particle"] = partial(self.train, X, by=self.dealt)
        made["A, moved, by particle"] = partial(self.train, X, self.one_move, self.dealt)
        return made

    def columns(self, kind: str, mask: np.ndarray, n_max: int) -> np.ndarray:
        """Radial or angular descriptors alone."""
        return self.at(kind, n_max)()[:, np.tile(mask, n_max + 1)]


def plan(tables: Tables) -> dict[str, Callable[[], dict]]:
    """Every result of :func:`survey_public` by name, and what makes it."""
    made: dict[str, Callable[[], dict]] = {
        "cost": partial(_measure_cost, tables), "quench": partial(_quench, tables)
    }  # fmt: skip
    for species in tables.stock.system.types[:2]:
        made |= _Planner(tables, species).plan()
    return made


def _measure_cost(tables: Tables) -> dict:
    """CPU seconds that describe one configuration, all generations."""
    recipe, frame = tables.recipe, tables.frames[0]
    recipe.describe(frame)  # compiled on the first call
    begin = time.process_time()
    recipe.average(recipe.describe(frame), frame)
    return {"seconds": time.process_time() - begin}


def _quench(tables: Tables) -> dict:
    """Energies and displacements of the quench, a value a configuration."""
    quiet, twin = tables.positions("inherent"), tables.positions("inherent, other")
    A = tables.include("A")

    def apart(ones: Sequence[Frame], twos: Sequence[Frame]) -> list[float]:
        far = [shift(a, b, m) for a, b, m in zip(ones, twos, A)]
        return [float(np.sqrt(np.mean(d**2))) for d in far]

    energy = {
        "thermal energy": tables.energy("thermal"), "energy": tables.energy("inherent"),
        "energy, other potential": tables.energy("inherent, other"),
    }  # fmt: skip
    means = {name: [float(np.mean(e)) for e in rows] for name, rows in energy.items()}
    moved = {"moved": apart(tables.frames, quiet), "between the two": apart(twin, quiet)}
    return means | moved


def fingerprint(stock: Stock, recipe: Recipe) -> Callable[[str], str]:
    """Of the entries of :func:`survey_public`: a function of their names."""
    whole = stored.fingerprint(
        settings={"system": stock.system.name, "recipe": asdict(recipe)},
        inputs=stock.inputs,
        code=[ridge, averaging, sys.modules[radial_angular.__module__], correlation, regression,
              sys.modules[__name__]],
    )  # fmt: skip
    return lambda key: stored.fingerprint(settings={"key": key, "of": whole})


def survey_public(
    folder: Path,
    stock: Stock,
    recipe: Recipe,
    *,
    mode: str = "read",
    engine: str = "auto",
    source: str = "",
) -> Survey:
    """All that is learned from configurations at one time, left out two by two.

    Parameters
    ----------
    folder : path
        Where ``public.json`` lies.
    mode : {"read", "make", "own"}
        Read what is stored; make what is missing, an entry at a time; or compute at once, store
        nothing and be quick: a trial of the code.
    source : str
        File of one's own frames, whose results have a file of their own.

    Raises
    ------
    glasslib.stored.StoredError
        At ``"read"``, where something is not there or is of other inputs, settings or code.
    """
    if stock.system.hard:
        raise ValueError(
            f"{stock.system.name} has no energies, so nothing of it can be quenched; expected a "
            "soft system. Page 3/evaluation learns from hard particles."
        )
    name = f"public,frames={Path(source).stem}" if source else "public"
    path = Path(folder) / recipe.name(name, Recipe())
    how = recipe.command("training", Recipe())
    if source:
        how += f" -p frames {source} -p system {stock.system.name}"
    print_ = fingerprint(stock, recipe)
    if mode == "read":
        names = list(plan(Tables(Stock(stock.system, stock.n, list, []), recipe)))
        found = {
            k: stored.keep(path, k, print_(k), dict, make=False, how=how) for k in names
        }  # fmt: skip
        return Survey(found, stored.made_on(path, names[0]))
    makers = plan(Tables(stock, recipe, engine, trial=mode == "own"))
    if mode == "own":
        return Survey({k: make() for k, make in makers.items()}, "now")
    found = {k: stored.keep(path, k, print_(k), make) for k, make in makers.items()}
    return Survey(found, stored.made_on(path, next(iter(found))))


# ------------------------------------------------------------------- what is learned at all times


@dataclass(frozen=True)
class Liquid:
    """Result of :func:`survey_liquid`: correlations at every time, on configurations left out.

    Attributes
    ----------
    times : (n_times,) float64 array
        τ.
    tau : float
        Where the self scattering function of A falls to the level asked for, τ.
    models : dict
        ``"A, LR(2), thermal"`` and its like: ``r`` (n_configurations, n_times), ``pooled``
        (3, n_times), ``parameters``; of the moved field ``by move`` (n_moves, n_times).
    made : str
        The day.
    """

    times: np.ndarray
    tau: float
    models: dict[str, dict]
    made: str

    @property
    def t(self) -> np.ndarray:
        """Times in units of the relaxation time."""
        return self.times / self.tau

    @property
    def n(self) -> int:
        """How many configurations were learned from and asked."""
        return len(next(iter(self.models.values()))["r"])

    def r(self, name: str) -> np.ndarray:
        """(n_configurations, n_times) Pearson r."""
        return np.array(self.models[name]["r"], dtype=float)

    def band(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean over configurations with 95 %, at every time; of moves their mean and range."""
        if "by move" in self.models[name]:
            moves = np.array(self.models[name]["by move"])
            return moves.mean(axis=0), moves.min(axis=0), moves.max(axis=0)
        return scores.mean_interval(self.r(name))

    def interpolate(self, rows: np.ndarray) -> np.ndarray:
        """Rows of curves (n, n_times) at the relaxation time, linear in ln t: (n,)."""
        return np.array([np.interp(0.0, np.log(self.t), row) for row in np.atleast_2d(rows)])

    def each(self, name: str) -> np.ndarray:
        """(n_configurations,) r at the relaxation time."""
        return self.interpolate(self.r(name))

    def mean(self, name: str) -> tuple[float, float, float]:
        """Mean r at the relaxation time, 95 %; of moves their mean and range."""
        if "by move" in self.models[name]:
            return _spread(self.interpolate(self.models[name]["by move"]))
        return tuple(float(x) for x in scores.mean_interval(self.each(name)))

    def pooled(self, name: str) -> tuple[float, float, float]:
        """Pooled r at the relaxation time, 95 %."""
        return tuple(float(x) for x in self.interpolate(self.models[name]["pooled"]))

    def gain(self, one: str, other: str) -> tuple[float, float, float]:
        """Difference of mean r at the relaxation time, paired over configurations; 95 %."""
        return tuple(float(x) for x in scores.mean_interval(self.each(one) - self.each(other)))

    def gain_last(self, one: str, other: str) -> tuple[float, float, float]:
        """:meth:`gain` at the last time."""
        gap = self.r(one)[:, -1] - self.r(other)[:, -1]
        return tuple(float(x) for x in scores.mean_interval(gap))

    def selected(self, species: str, n: int) -> np.ndarray:
        """(n_configurations,) r of ``n`` selected descriptors, at the sample next to τ_α."""
        found = self.models[f"{species}, selection"]
        return np.array(found["r"])[found["numbers"].index(n)]

    def peaks(self, name: str, after: float = 0.01) -> np.ndarray:
        """(n_configurations,) time of the largest r, τ_α; the first flight is left out."""
        late = self.t > after
        return self.t[late][self.r(name)[:, late].argmax(axis=1)]


def describe_liquid(
    frame: Frame, system: System, recipe: Recipe, *, engine: str = "auto"
) -> dict[str, np.ndarray]:
    """(N, width) tables: ``thermal``, and of soft particles ``inherent`` and ``energies``."""
    thermal = recipe.average(recipe.describe(frame, system), frame)
    if system.hard:
        return {"thermal": thermal}
    quiet = rest(frame)
    return {
        "thermal": thermal,
        "inherent": recipe.average(recipe.describe(quiet, system), quiet),
        "energies": energies_at_rest(frame, system, engine=engine),
    }


def energies_at_rest(frame: Frame, by: System, *, engine: str = "auto") -> np.ndarray:
    """(N, 64) averages of inherent energies by the potential of a system, and of composition."""
    quiet = rest(frame)
    e = engines.choose(by, engine).evaluate(quiet, by).log["particles/energy"]
    return averaged_energies(e, quiet)


def _single_liquid(frame: Frame, system: System, recipe: Recipe, engine: str) -> dict:
    """Numbers a particle that are to be beaten, (N,)."""
    found = {"local density": averaging.local_density(frame, recipe.r_c)}
    if not system.hard:
        quiet = rest(frame)
        e = engines.choose(system, engine).evaluate(quiet, system).log["particles/energy"]
        twice = averaging.shell_average(e, quiet, 3.0, n_max=2)[:, 2]
        found["inherent energy, averaged twice"] = twice
    return found


def learn_liquid(
    made: Sequence[Frame],
    system: System,
    recipe: Recipe,
    *,
    level: float = LEVEL,
    n_few: int = 5,
    engine: str = "auto",
) -> dict[str, dict]:
    """All models of one liquid, each trained at every time: what :class:`Liquid` holds.

    Parameters
    ----------
    made : sequence of frames
        Three or more configurations with ``log['particles/propensity']`` (N, n_times).
    level : float
        Of the scattering function, for the time at which descriptors are selected.
    n_few : int
        Of soft liquids: LR(2) also from so many configurations.
    """
    if len(made) < 3:
        raise ValueError(f"{len(made)} configurations; a penalty is chosen with three or more.")
    tables = [describe_liquid(f, system, recipe, engine=engine) for f in made]
    numbers = [_single_liquid(f, system, recipe, engine) for f in made]
    answer: dict[str, dict] = {}
    for kind, s in enumerate(system.types[:2]):
        mine = [f.particles.typeid == kind for f in made]
        labels = [f.log["particles/propensity"][m] for f, m in zip(made, mine)]
        D, group = np.concatenate(labels), np.repeat(np.arange(len(made)), [m.sum() for m in mine])
        for label in numbers[0]:
            x = np.concatenate([v[label][m] for v, m in zip(numbers, mine)])
            same = np.repeat(x[:, None], D.shape[1], axis=1)
            answer[f"{s}, {label}"] = {"r": regression.correlate_each(same, D, group).tolist()}
        for what in tables[0]:
            X = np.concatenate([t[what][m] for t, m in zip(tables, mine)])
            for label, columns_of in _models_of(X, what, system, recipe).items():
                found = regression.follow(
                    X[:, columns_of], D, group, n_folds=recipe.folds(len(made)),
                    model=recipe.model(),
                )  # fmt: skip
                answer[f"{s}, {label}"] = found.as_json()
        answer |= _learn_more(
            made, tables, mine, labels, system, recipe, s, level=level, n_few=n_few
        )
    return answer


def _models_of(X: np.ndarray, what: str, system: System, recipe: Recipe) -> dict[str, np.ndarray]:
    """Names of models and the columns of a table that each sees."""
    if what == "energies":
        return {what: np.arange(X.shape[1])}
    width = X.shape[1] // (recipe.n_max + 1)
    found = {f"LR({n}), {what}": np.arange(width * (n + 1)) for n in range(recipe.n_max + 1)}
    if what == "thermal":  # Figure 1c
        radial = np.array([c.kind == "radial" for c in recipe.columns(system)])
        for part, mask in {"radial": radial, "angular": ~radial}.items():
            for n in {0, min(2, recipe.n_max)}:
                found[f"LR({n}), {part}"] = np.flatnonzero(np.tile(mask, n + 1))
    return found


def _learn_more(made, tables, mine, labels, system, recipe, s, *, level, n_few) -> dict[str, dict]:
    """The control of a moved field; of hard particles other radii and selection; few for others."""
    D, group = np.concatenate(labels), np.repeat(np.arange(len(made)), [m.sum() for m in mine])
    width = tables[0]["thermal"].shape[1] // (recipe.n_max + 1)
    X = np.concatenate([t["thermal"][m, : 3 * width] for t, m in zip(tables, mine)])
    options = {"n_folds": recipe.folds(len(made)), "model": recipe.model()}
    moved = np.concatenate([  # every time of every move is a target of its own
        d[scores.moved(f, include=m, n_shift=recipe.n_moves, seed=recipe.seed + c)].reshape(
            len(d), -1
        )
        for c, (f, m, d) in enumerate(zip(made, mine, labels))
    ])  # fmt: skip
    each, _ = regression.learn_moved(X, moved, group, **options)
    r = each.T.reshape(len(made), recipe.n_moves, -1)
    answer = {
        f"{s}, moved field": {"r": r.mean(axis=1).tolist(), "by move": r.mean(axis=0).tolist()}
    }
    if not system.hard:
        few = regression.learn_from(
            X, D, group, min(n_few, len(made) - 1), n_folds=len(made), model=recipe.model()
        )
        answer[f"{s}, LR(2), thermal, from few"] = {"r": few.tolist(), "n_train": n_few}
        return answer
    for radius in recipe.other_radii:
        Y = np.concatenate([
            averaging.shell_average(t["thermal"][:, :width], f, radius, n_max=2)[m]
            for t, f, m in zip(tables, made, mine)
        ])  # fmt: skip
        answer[f"{s}, LR(2), r_c = {radius}"] = {
            "r": regression.follow(Y, D, group, **options).r.tolist()
        }
    k = dynamics.nearest(made[0].log["times"], dynamics.decay_time(made, level))
    numbers = (1, 2, 4, 6, 10, 20, 30, 50, 100)
    found = regression.select(X, D[:, k], group, numbers, n_folds=len(made), model=recipe.model())
    answer[f"{s}, selection"] = {"numbers": found.numbers, "r": found.r.tolist()}
    return answer


def survey_liquid(
    folder: Path,
    made: Mapping[str, Frame],
    system: System,
    recipe: Recipe,
    *,
    level: float = LEVEL,
    n_few: int = 5,
    mode: str = "read",
    engine: str = "auto",
    source: str = "",
) -> Liquid:
    """All models of one liquid at all times, stored in ``folder/own.json``.

    Parameters
    ----------
    made : dict
        Configurations by name, :func:`load_liquid`.
    mode : {"read", "make", "own"}
        As for :func:`survey_public`; ``"own"`` takes the first three configurations.
    source : str
        File of one's own frames. Their results, and those of a recipe that is neither
        :data:`SOFT` nor :data:`HARD`, have a file of their own.

    Raises
    ------
    glasslib.stored.StoredError
        At ``"read"``, where there is no result of these inputs, settings and code.
    ValueError
        For fewer than three configurations.
    """
    made = dict(list(made.items())[:3]) if mode == "own" else dict(made)
    if len(made) < 3:
        raise ValueError(
            f"{len(made)} configurations of {system.name} with draws; expected three or more: make "
            "them with page 3/simulation at preset paper, with these parameters."
        )
    every = list(made.values())
    missing = [k for k, f in made.items() if np.ndim(f.log.get("particles/propensity", 0)) != 2]
    if missing:
        raise ValueError(
            f"{missing[0]} has no log['particles/propensity'] (N, n_times); expected what "
            "simulate.isoconfigurational writes."
        )
    times, tau = np.asarray(every[0].log["times"]), dynamics.decay_time(every, level)
    options = {"level": level, "n_few": n_few, "engine": engine}
    if mode == "own":
        models = learn_liquid(every, system, recipe, **options)
        return Liquid(times, tau, _plain(models), "now")
    key, default = next(iter(made)).rsplit("-", 1)[0], HARD if system.hard else SOFT
    name = f"own,frames={Path(source).stem}" if source else "own"
    print_ = fingerprint_liquid(every, system, recipe, level=level, n_few=n_few)
    path = Path(folder) / recipe.name(name, default)
    value = stored.keep(
        path, key, print_, lambda: learn_liquid(every, system, recipe, **options),
        make=mode == "make", how=recipe.command("evaluation", default),
    )  # fmt: skip
    return Liquid(times, tau, value, stored.made_on(path, key))


def fingerprint_liquid(
    made: Sequence[Frame], system: System, recipe: Recipe, *, level: float, n_few: int
) -> str:
    """Of one entry of :func:`survey_liquid`: positions and labels, recipe and code."""
    labels = ["particles/propensity"] + ([] if system.hard else ["particles/inherent_position"])
    return stored.fingerprint(
        settings={
            "system": system.name, "recipe": asdict(recipe),
            "level": round(level, 4) if system.hard else None,  # where descriptors are selected
            "few": None if system.hard else n_few,
        },
        inputs=[
            np.asarray(x)
            for f in made for x in (f.particles.position, *(f.log[name] for name in labels))
        ],
        code=[ridge, averaging, sys.modules[radial_angular.__module__], correlation, regression,
              sys.modules[__name__]],
    )  # fmt: skip


def _plain(models: dict) -> dict:
    return {name: {k: np.asarray(v).tolist() for k, v in m.items()} for name, m in models.items()}
