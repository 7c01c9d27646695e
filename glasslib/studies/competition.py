"""Who foretells motion best, when, and at what price: all predictors on the same particles.

A :class:`Predictor` describes every particle of a frame by numbers; one number a particle may stand
for itself, several go to a model. :func:`compete` leaves whole configurations out in turn, the same
for all, and returns one schema: a row a predictor, species and time. Whatever has scikit-learn's
``fit`` and ``predict`` can enter::

    mine = Predictor("neighbours", lambda f, system: count(f), RandomForestRegressor())
    table = compete([mine, *predictors.list_predictors(system)], frames, system)
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from glasslib import scores
from glasslib.frames import Frame
from glasslib.systems import System

N_FOLDS = 5  #: parts of the configurations that are left out in turn
ALL = "all"  #: particles of every species together: what composition says counts, too

Describe = Callable[[Frame, System], np.ndarray]


@dataclass(frozen=True)
class Predictor:
    """One that foretells motion from structure.

    Attributes
    ----------
    name : str
    describe : callable
        ``(frame, system) -> (N,) or (N, k)`` float array of finite numbers.
    model : estimator, optional
        With ``fit(X, D)`` or ``fit(X, D, groups)`` and ``predict(X)``; it is cloned, one a species
        and fold, and learns all times at once, D (n, n_times). None: the one number itself,
        written so that more of it means more motion.
    control : bool
        True: it learns from a field of motion that was moved as a whole by a random vector, and
        can know nothing of the structure.
    hard, flat : bool
        Whether it can be asked about hard particles, and about two dimensions.
    """

    name: str
    describe: Describe
    model: object | None = None
    control: bool = False
    hard: bool = True
    flat: bool = True

    @property
    def learns(self) -> bool:
        """Whether it needs configurations with labels to learn from."""
        return self.model is not None

    def suits(self, system: System) -> bool:
        """Whether it can be asked about this system."""
        return (self.hard or not system.hard) and (self.flat or system.dimensions == 3)


@dataclass(frozen=True)
class Row:
    """How one predictor did on one species at one time.

    Attributes
    ----------
    predictor, species : str
    time : float
        τ.
    each : tuple of float
        Pearson r within each configuration.
    spearman : float
        Mean over configurations.
    pooled : float
        Pearson r of all particles together; what a model says of its mean particle is taken off,
        as its level is that of other configurations. NaN for all species together.
    columns : int
        Numbers a particle.
    learned_from : int
        Configurations that a model saw; 0 of what does not learn.
    describe, learn, predict : float
        CPU seconds: to describe one particle; to fit one model, all times and this species; to
        predict one particle.
    """

    predictor: str
    species: str
    time: float
    each: tuple[float, ...]
    spearman: float
    pooled: float
    columns: int
    learned_from: int
    describe: float
    learn: float
    predict: float

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean r over configurations with its 95 % interval (Student's t), no further than ±1."""
        mean, low, high = (float(x) for x in scores.mean_interval(np.array(self.each)))
        return mean, max(low, -1.0), min(high, 1.0)


# -------------------------------------------------------------------------- the competition


def compete(
    predictors: Sequence[Predictor],
    made: Sequence[Frame],
    system: System,
    *,
    label: str = "propensity",
    n_folds: int = N_FOLDS,
    n_train: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """Ask all predictors about the same particles, learned from other configurations.

    Parameters
    ----------
    predictors : sequence of Predictor
        Those that do not suit the system are left out; those that learn, too, where there are
        fewer than three configurations.
    made : sequence of frames
        Labelled configurations of one state, ``log['particles/<label>']`` (N,) or (N, n_times),
        with the same times.
    label : {"propensity", "bond_breaking", …}
    n_folds : int
        Configurations are dealt into so many parts, the first to the first part and so on; each
        part is left out once.
    n_train : int, optional
        Learn from so many of the configurations that are not left out, for learning curves; from
        all by default.
    seed : int
        Of the moved fields.

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        Without configurations or finite labels; for times that differ, species in another order
        than the system's, two predictors of one name, fewer than two folds; for a description or
        a prediction that does not fit or is not finite.
    """
    labels, times = _labels(made, system, label)
    for name, value, least in (("n_folds", n_folds, 2), ("n_train", n_train, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}; expected {least} or more.")
    names = [one.name for one in predictors]
    if len(set(names)) < len(names):
        raise ValueError(f"predictors are called {names}; expected a name of its own for each.")
    rows: list[Row] = []
    for one in predictors:
        if one.suits(system) and (not one.learns or len(made) >= 3):
            rows += _ask(one, made, system, labels, times, n_folds, n_train, seed)
    return rows


def _labels(
    made: Sequence[Frame], system: System, label: str
) -> tuple[list[np.ndarray], np.ndarray]:
    if not made:
        raise ValueError("no configurations; expected one at least.")
    found = []
    for c, f in enumerate(made):
        for name in (f"particles/{label}", "times"):
            if name not in f.log:
                raise ValueError(
                    f"configuration {c} has no log[{name!r}]; label it with "
                    "simulate.isoconfigurational, or name another label."
                )
        if list(f.particles.types) != list(system.types):
            raise ValueError(
                f"configuration {c} has types {list(f.particles.types)}; expected "
                f"{list(system.types)} in this order: frames.build gives it."
            )
        values = np.asarray(f.log[f"particles/{label}"], dtype=float)
        if not np.all(np.isfinite(values)):
            raise ValueError(
                f"configuration {c}: log['particles/{label}'] holds numbers that are not finite; "
                "label all particles."
            )
        found.append(values.reshape(len(values), -1))
    times = np.asarray(made[0].log["times"], dtype=float)
    for c, (f, values) in enumerate(zip(made, found)):
        if values.shape[1] != len(times) or not np.allclose(f.log["times"], times):
            raise ValueError(
                f"configuration {c} has labels at times {np.asarray(f.log['times'])}; expected "
                f"those of the first, {times}."
            )
    return found, times


def _ask(one, made, system, labels, times, n_folds, n_train, seed) -> list[Row]:
    begin, tables = time.process_time(), []
    for c, f in enumerate(made):
        X = np.asarray(one.describe(f, system))
        if X.ndim == 0 or X.dtype.kind not in "biuf":
            raise ValueError(
                f"predictor {one.name!r}, configuration {c}: describe gave {type(X[()]).__name__}; "
                f"expected numbers of all {f.particles.N} particles."
            )
        X = X.reshape(len(X), -1).astype(float)
        if X.shape[1] != (tables[0] if tables else X).shape[1]:
            raise ValueError(
                f"predictor {one.name!r}, configuration {c}: {X.shape[1]} numbers a particle, "
                f"{tables[0].shape[1]} in the first; expected as many in each."
            )
        if len(X) != f.particles.N or not np.all(np.isfinite(X)):
            raise ValueError(
                f"predictor {one.name!r}, configuration {c}: a description of shape {X.shape}; "
                f"expected finite numbers of all {f.particles.N} particles."
            )
        tables.append(X)
    seconds = (time.process_time() - begin) / sum(map(len, tables))
    kinds = range(len(system.types))
    mine = {s: [f.particles.typeid == s for f in made] for s in kinds}
    found = [np.full(D.shape, np.nan) for D in labels]
    level = [np.zeros(D.shape) for D in labels]
    cost = {}
    for s in kinds:
        cost[s] = _foretell(
            one, made, tables, labels, mine[s], found, level, n_folds, n_train, seed
        )
    rows = []
    for s in [*kinds, ALL]:
        include = mine[s] if s != ALL else [np.ones(len(X), bool) for X in tables]
        costs = [cost[s]] if s != ALL else list(cost.values())
        learn, ask = (float(sum(c[k] for c in costs)) for k in (0, 1))
        seen = int(max(c[2] for c in costs))
        name = system.types[s] if s != ALL else ALL
        present = [c for c, m in enumerate(include) if m.any()]
        if not present:
            continue
        P, B, D = ([x[c][include[c]] for c in present] for x in (found, level, labels))
        for k, t in enumerate(times):
            each = [_pearson(p[:, k], d[:, k]) for p, d in zip(P, D)]
            ranked = [_pearson(_rank(p[:, k]), _rank(d[:, k])) for p, d in zip(P, D)]
            relative = np.concatenate([p[:, k] - b[:, k] for p, b in zip(P, B)])
            pooled = _pearson(relative, np.concatenate([d[:, k] for d in D]))
            rows.append(Row(
                one.name, name, float(t), tuple(each), float(np.mean(ranked)),
                pooled if s != ALL else np.nan, tables[0].shape[1], seen, seconds, learn, ask,
            ))  # fmt: skip
    return rows


def _foretell(one, made, tables, labels, mine, found, level, n_folds, n_train, seed) -> np.ndarray:
    """Fill ``found`` for one species; seconds to learn and to predict, configurations seen."""
    if not one.learns:
        for X, p, m in zip(tables, found, mine):
            if X.shape[1] != 1:
                raise ValueError(
                    f"predictor {one.name!r} gives {X.shape[1]} numbers a particle and has no "
                    "model; expected one number, or a model."
                )
            p[m] = X[m]
        return np.zeros(3)
    learned = [
        _move(f, D, m, seed + c) if one.control else D
        for c, (f, D, m) in enumerate(zip(made, labels, mine))
    ]
    learn, predict, asked, seen = 0.0, 0.0, 0, 0
    folds = [range(k, len(made), n_folds) for k in range(min(n_folds, len(made)))]
    for fold in folds:
        kept = [c for c in range(len(made)) if c not in fold and mine[c].any()][:n_train]
        if not kept or not any(mine[c].any() for c in fold):
            continue
        X = np.concatenate([tables[c][mine[c]] for c in kept])
        D = np.concatenate([learned[c][mine[c]] for c in kept])
        groups = np.repeat(kept, [mine[c].sum() for c in kept])
        model, begin = clone(one.model), time.process_time()
        wants = "groups" in inspect.signature(model.fit).parameters
        model.fit(X, D, *([groups] if wants else []))
        learn += time.process_time() - begin
        center = model.predict(X.mean(axis=0)[None]).reshape(-1)
        begin = time.process_time()
        for c in fold:
            told = np.asarray(model.predict(tables[c][mine[c]]), dtype=float)
            told = told[:, None] if told.ndim == 1 else told
            if told.shape != (mine[c].sum(), D.shape[1]) or not np.all(np.isfinite(told)):
                raise ValueError(
                    f"predictor {one.name!r}, configuration {c}: its model predicts an array "
                    f"{told.shape}; expected {(int(mine[c].sum()), D.shape[1])} of finite numbers."
                )
            found[c][mine[c]] = told
            level[c][mine[c]] = center
            asked += int(mine[c].sum())
        predict += time.process_time() - begin
        seen = max(seen, len(kept))
    return np.array([learn / len(folds), predict / max(asked, 1), seen])


def _move(frame: Frame, D: np.ndarray, mine: np.ndarray, seed: int) -> np.ndarray:
    moved = D.copy()
    moved[mine] = D[mine][scores.moved(frame, include=mine, n_shift=1, seed=seed)[:, 0]]
    return moved


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0


def _rank(x: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]  # ties share their mean rank
