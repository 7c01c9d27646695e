"""What is learned from the configurations of one liquid, at all times of their labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, engines, scores, stored
from glasslib.descriptors import averaged_energies, averaging, radial_angular
from glasslib.frames import Frame
from glasslib.models import ridge
from glasslib.studies import correlation, regression
from glasslib.studies.averaged import recipe as recipes
from glasslib.studies.averaged import stocks
from glasslib.studies.averaged.one_time import show_range
from glasslib.studies.averaged.recipe import HARD, SOFT, Recipe
from glasslib.studies.averaged.stocks import LEVEL, rest
from glasslib.systems import System


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
            return show_range(self.interpolate(self.models[name]["by move"]))
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
        Configurations by name, :func:`glasslib.studies.averaged.load_liquid`.
    mode : {"read", "make", "own"}
        As for :func:`glasslib.studies.averaged.survey_public`; ``"own"`` takes the first three
        configurations.
    source : str
        File of one's own frames. Their results, and those of a recipe that is neither ``SOFT`` nor
        ``HARD``, have a file of their own.

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
              recipes, stocks, sys.modules[__name__]],
    )  # fmt: skip


def _plain(models: dict) -> dict:
    return {name: {k: np.asarray(v).tolist() for k, v in m.items()} for name, m in models.items()}
