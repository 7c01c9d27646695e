"""What a straight line foretells on configurations it has not seen, and what it owes to chance.

Tables in, small results out: the rows of a table are the particles of several configurations, and
``groups`` says whose is which. Nothing is split by particle, unless a split is given to show what
goes wrong then. Boattini, Smallenburg, Filion, Phys. Rev. Lett. 127, 088007 (2021), call the model
linear regression; the penalty is that of :mod:`glasslib.models.ridge`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glasslib import scores
from glasslib.models.ridge import PropensityRidge, forward_selection, held_out
from glasslib.studies.correlation import Scores, score


def split(values: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Rows of each configuration, (n, …) -> a list of (n_c, …), in the order of their names."""
    return [values[groups == c] for c in np.unique(groups)]


def fold(groups: np.ndarray, n_folds: int) -> list[np.ndarray]:
    """Names of the configurations that are left out together, fold by fold."""
    names = np.unique(groups)
    return np.array_split(names, min(len(names), n_folds))


@dataclass(frozen=True)
class LeftOut:
    """Result of :func:`leave_out`.

    Attributes
    ----------
    scores : glasslib.studies.correlation.Scores
        On configurations left out; of :attr:`prediction`.
    alpha : (n_folds,) list of float
        Penalties chosen.
    alphas, cv : (n_alphas,) lists of float
        Penalties tried, and the mean over folds of r inside the training set.
    inside : (n_folds,) list of float
        The best r inside each training set.
    columns, parameters : int
        Columns given; weights and the constant of the largest model.
    seconds : float
        CPU time.
    as_predicted : (3,) list of float or None
        Pooled r with its interval where predictions of different models are pooled as they are.
    prediction : (n,) float64 array or None
        Relative to what each model says of the mean row; None where it was read from a file.
    """

    scores: Scores
    alpha: list[float]
    alphas: list[float]
    cv: list[float]
    inside: list[float]
    columns: int
    parameters: int
    seconds: float
    as_predicted: list[float] | None = None
    prediction: np.ndarray | None = None

    def as_json(self) -> dict:
        """What JSON can hold: all but the predictions."""
        named = {k: v for k, v in vars(self).items() if k not in ("scores", "prediction")}
        return self.scores.as_json() | named


def leave_out(
    X: np.ndarray,
    D: np.ndarray,
    groups: np.ndarray,
    *,
    n_folds: int = 5,
    model: PropensityRidge | None = None,
    split_by: np.ndarray | None = None,
) -> LeftOut:
    """Foretell every configuration by a model that never saw it.

    Parameters
    ----------
    X : (n, k) float array
        Descriptors of particles of one species.
    D : (n,) float array
        Their propensity, σ_AA.
    groups : (n,) array
        The configuration of each row.
    n_folds : int
        Configurations are dealt into so many folds in the order of their names.
    model : PropensityRidge, optional
        Whose parameters are used.
    split_by : (n,) array, optional
        Leave out parts of this in place of configurations: numbers drawn for each particle show
        what a leak looks like.

    Raises
    ------
    ValueError
        For tables that do not fit, or fewer than three configurations.
    """
    begin = time.process_time()
    by = groups if split_by is None else split_by
    prediction, models = held_out(X, D, by, n_folds=n_folds, model=model, relative=True)
    seconds, prediction = time.process_time() - begin, prediction[:, 0]
    level = [m.predict(X.mean(axis=0)[None])[0, 0] for m in models]
    plain = prediction + np.select([np.isin(by, left) for left in fold(by, n_folds)], level)
    whole = scores.correlate(plain, D, groups=groups)
    return LeftOut(
        scores=score(split(prediction, groups), split(D, groups)),
        alpha=[float(m.alpha_[0]) for m in models],
        alphas=[float(a) for a in np.atleast_1d(models[0].alphas)],
        cv=np.mean([m.cv_score_[:, 0] for m in models], axis=0).tolist(),
        inside=[float(m.cv_score_[:, 0].max()) for m in models],
        columns=X.shape[1],
        parameters=max(m.n_parameters_ for m in models),
        seconds=seconds,
        as_predicted=[whole.r, whole.low, whole.high],
        prediction=prediction,
    )


@dataclass(frozen=True)
class Followed:
    """Result of :func:`follow`: correlations at every time.

    Attributes
    ----------
    r : (n_configurations, n_times) float64 array
        Pearson r within each configuration, on configurations left out.
    pooled : (3, n_times) float64 array
        Of all particles together, and its 95 % interval.
    parameters : int
        Weights and the constant of one model.
    """

    r: np.ndarray
    pooled: np.ndarray
    parameters: int

    def as_json(self) -> dict:
        return {
            "r": self.r.tolist(), "pooled": self.pooled.tolist(), "parameters": self.parameters
        }  # fmt: skip


def correlate_each(prediction: np.ndarray, D: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Pearson r of two (n, n_times), each configuration and time: (n_configurations, n_times).

    Raises
    ------
    ValueError
        For predictions that are not finite, or arrays that do not fit each other.
    """
    if np.shape(prediction) != np.shape(D) or np.ndim(D) != 2 or len(groups) != len(D):
        raise ValueError(
            f"prediction {np.shape(prediction)}, truth {np.shape(D)} and {len(groups)} groups; "
            "expected equal (n, n_times) and (n,): a row a particle."
        )
    if not (np.all(np.isfinite(prediction)) and np.all(np.isfinite(D))):
        raise ValueError("predictions or labels hold numbers that are not finite.")
    return np.array(
        [
            [np.corrcoef(p, d)[0, 1] for p, d in zip(P.T, E.T)]
            for P, E in zip(split(prediction, groups), split(D, groups))
        ]
    )


def follow(
    X: np.ndarray,
    D: np.ndarray,
    groups: np.ndarray,
    *,
    n_folds: int = 6,
    model: PropensityRidge | None = None,
) -> Followed:
    """:func:`leave_out` at every time: D is (n, n_times), a model a time."""
    prediction, models = held_out(X, D, groups, n_folds=n_folds, model=model, relative=True)
    r = correlate_each(prediction, D, groups)
    each = [scores.correlate(p, d, groups=groups) for p, d in zip(prediction.T, D.T)]
    pooled = np.array([[getattr(c, what) for c in each] for what in ("r", "low", "high")])
    return Followed(r, pooled, models[0].n_parameters_)


def learn_from(
    X: np.ndarray,
    D: np.ndarray,
    groups: np.ndarray,
    n_train: int,
    *,
    n_folds: int = 5,
    model: PropensityRidge | None = None,
) -> np.ndarray:
    """A point of the learning curve: as :func:`leave_out`, from ``n_train`` configurations.

    They are those that follow the ones left out. With one there is nothing to choose a penalty
    on: it is 10⁴.

    Returns
    -------
    (n_configurations, n_times) float64 array
        Pearson r within each configuration.
    """
    model = PropensityRidge() if model is None else model
    D = D.reshape(len(D), -1)
    names, rows = np.unique(groups), []
    if not 1 <= n_train < len(names):
        raise ValueError(f"n_train is {n_train} of {len(names)} configurations; expected fewer.")
    for left in fold(groups, n_folds):
        after = np.roll(names, -int(np.searchsorted(names, left[-1])) - 1)[:n_train]
        if set(after) & set(left):
            raise ValueError(
                f"n_train is {n_train}, but {len(left)} of {len(names)} configurations are left "
                f"out at a time; expected {len(names) - len(left)} at most."
            )
        train = np.isin(groups, after)
        options = model.get_params() | ({} if n_train > 1 else {"alphas": 1e4})
        one = PropensityRidge(**options).fit(X[train], D[train], groups[train])
        test = np.isin(groups, left)
        rows.append(correlate_each(one.predict(X[test]), D[test], groups[test]))
    return np.concatenate(rows)


@dataclass(frozen=True)
class Selected:
    """Result of :func:`select`.

    Attributes
    ----------
    numbers : list of int
        How many descriptors were taken.
    r : (n_numbers, n_configurations) float64 array
        On configurations left out of ranking and fit.
    order, sign, reached : lists
        The first twenty columns, ranked on all configurations; the sign of each one's own
        correlation; the multiple correlation of it and those before it, on the same data.
    seconds : float
        CPU time of ranking all columns once.
    """

    numbers: list[int]
    r: np.ndarray
    order: list[int]
    sign: list[float]
    reached: list[float]
    seconds: float


def select(
    X: np.ndarray,
    D: np.ndarray,
    groups: np.ndarray,
    numbers: Sequence[int],
    *,
    n_folds: int = 5,
    model: PropensityRidge | None = None,
) -> Selected:
    """Greedy forward selection, ranked and fitted on training configurations alone.

    The scheme is that of :func:`glasslib.models.ridge.forward_selection`. A rank that has looked
    at the test would flatter itself, so each fold ranks anew.
    """
    model = PropensityRidge() if model is None else model
    options, numbers = model.get_params(), [n for n in numbers if n <= X.shape[1]]
    spread = {"min_spread": options["min_spread"]}
    begin = time.process_time()
    whole = forward_selection(X, D, **spread)
    seconds, rows = time.process_time() - begin, []
    for left in fold(groups, n_folds):
        test = np.isin(groups, left)
        Y, E = X[~test], D[~test]
        order = forward_selection(Y, E, n_selected=max(numbers), **spread).order
        scored = []
        for n in numbers:
            one = PropensityRidge(**options).fit(Y[:, order[:n]], E, groups[~test])
            said = one.predict(X[test][:, order[:n]])
            scored.append(correlate_each(said, D[test, None], groups[test])[:, 0])
        rows.append(scored)
    first = whole.order[:20]
    return Selected(
        numbers=numbers,
        r=np.concatenate(rows, axis=1),
        order=first.tolist(),
        sign=[float(np.sign(np.corrcoef(X[:, j], D)[0, 1])) for j in first],
        reached=whole.correlation[:20].tolist(),
        seconds=seconds,
    )


def choose(
    candidates: Mapping[str, LeftOut], D: np.ndarray, groups: np.ndarray, *, n_folds: int = 5
) -> tuple[Scores, list[str]]:
    """For each fold the model that does best *inside* its training set; what it says of the rest.

    Whoever tries many models and quotes the best has chosen with the test. Here the choice is
    made as the penalty is, and no test configuration has a part in it.

    Returns
    -------
    scores : glasslib.studies.correlation.Scores
    took : list of str
        Which candidate each fold took.

    Raises
    ------
    ValueError
        For candidates without finite predictions of all rows, such as those read from a file.
    """
    for name, one in candidates.items():
        said = one.prediction
        if np.shape(said) != np.shape(D) or not np.all(np.isfinite(said)):
            raise ValueError(
                f"candidate {name!r} has predictions {np.shape(said)}; expected {np.shape(D)} of "
                "finite numbers: learn it anew."
            )
    prediction, took = np.empty(len(D)), []
    for k, left in enumerate(fold(groups, n_folds)):
        took.append(max(candidates, key=lambda name: candidates[name].inside[k]))
        test = np.isin(groups, left)
        prediction[test] = candidates[took[-1]].prediction[test]
    return score(split(prediction, groups), split(D, groups)), took


def shuffle(D: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Values dealt out anew within each configuration: a control that knows no place."""
    out = np.array(D, dtype=float)
    for c in np.unique(groups):
        mine = groups == c
        out[mine] = np.random.default_rng((seed, int(c))).permutation(D[mine])
    return out


def learn_moved(
    X: np.ndarray,
    moved: np.ndarray,
    groups: np.ndarray,
    *,
    n_folds: int = 5,
    model: PropensityRidge | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What a model finds where there is nothing: learned and asked with fields moved as a whole.

    Parameters
    ----------
    moved : (n, n_moves) float array
        Propensities shifted by a random vector through the box of each configuration
        (:func:`glasslib.scores.moved`): as smooth as before, blind to the structure.

    Returns
    -------
    each : (n_moves, n_configurations) float64 array
    pooled : (n_moves,) float64 array
    """
    prediction, _ = held_out(X, moved, groups, n_folds=n_folds, model=model, relative=True)
    each = correlate_each(prediction, moved, groups).T
    return each, np.array([np.corrcoef(p, m)[0, 1] for p, m in zip(prediction.T, moved.T)])


def foresee_ceiling(ceiling: np.ndarray, draws: int, wanted: int) -> np.ndarray:
    r"""Noise ceiling with another number of velocity draws, from that with ``draws`` of them.

    The reliability R, the square of the ceiling, grows as Spearman and Brown say (Br. J. Psychol.
    3, 271 and 296 (1910)): :math:`R_M = k R / (1 + (k - 1) R)` with k = M / ``draws``.
    """
    R, k = np.square(np.asarray(ceiling, dtype=float)), wanted / draws
    return np.sqrt(k * R / (1 + (k - 1) * R))
