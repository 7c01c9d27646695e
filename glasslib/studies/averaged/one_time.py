"""What is learned from configurations at one time, the relaxation time: the public set."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from glasslib import dynamics, engines, scores, simulate, stored, systems
from glasslib.descriptors import averaged_energies, averaging, radial_angular
from glasslib.frames import Frame
from glasslib.models import ridge
from glasslib.studies import correlation, regression
from glasslib.studies.averaged import recipe as recipes
from glasslib.studies.averaged import stocks
from glasslib.studies.averaged.recipe import Recipe
from glasslib.studies.averaged.stocks import Stock, shift
from glasslib.studies.correlation import score
from glasslib.studies.regression import LeftOut

KINDS = ("thermal", "inherent", "cage")  #: whose positions are described
#: numbers a particle that are to be beaten
SINGLE = (
    "density", "thermal energy", "inherent energy", "cage size", "inherent energy, averaged twice",
)  # fmt: skip
NUMBERS = (1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200)  #: of selected descriptors
Table = Callable[[], np.ndarray]  #: makes a table when it is asked for


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
            show_range(self.each(name).mean(axis=1))
            if name.endswith(", moves")
            else tuple(float(x) for x in scores.mean_interval(self.each(name)))
        )

    def pooled(self, name: str) -> tuple[float, float, float]:
        """Pooled r with its 95 % interval; of moves their mean and range."""
        found = self.entries[name]["pooled"]
        if name.endswith(", moves"):
            return show_range(np.array(found))
        return found["r"], found["low"], found["high"]

    def gain(self, one: str, other: str) -> tuple[float, float, float]:
        """Mean r of one minus that of another, paired over configurations; 95 %."""
        return tuple(float(x) for x in scores.mean_interval(self.each(one) - self.each(other)))

    def selected(self, name: str, n: int) -> np.ndarray:
        """(n_configurations,) r of a line through ``n`` selected descriptors."""
        found = self.entries[name]
        return np.array(found["r"])[found["numbers"].index(n)]


def show_range(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, least and largest: what is shown of moves."""
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
              recipes, stocks, sys.modules[__name__]],
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
