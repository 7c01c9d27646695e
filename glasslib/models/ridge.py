r"""Linear regression of propensities on descriptors, with a ridge penalty.

For one species and one time, with descriptors standardised over the training set,

.. math:: \hat D = \bar D + \sum_k w_k \frac{x_k - \bar x_k}{\sigma_k}, \qquad
          w = \operatorname{argmin} \sum_i (D_i - \hat D_i)^2 + \alpha \sum_k w_k^2 .

Boattini, Smallenburg, Filion, Phys. Rev. Lett. 127, 088007 (2021), find that this, on descriptors
averaged over neighbourhoods, foretells propensities as well as a graph neural network.

Particles of one configuration are not independent: the penalty α is chosen by leaving out whole
**configurations** of the training set, one fold at a time, and never sees the test set.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from glasslib.models import files

FORMAT = "glasslib.PropensityRidge/1"
_STORED = ("coef", "intercept", "mean", "scale", "alpha", "cv_score")
ALPHAS = tuple(np.logspace(-1, 6, 22))  #: penalties tried, for standardised descriptors


class PropensityRidge(RegressorMixin, BaseEstimator):
    """Ridge regression of the propensities of one species at one or several times.

    Parameters
    ----------
    alphas : sequence of float
        Penalties to choose from, for descriptors of variance 1; one number is taken as it is.
    n_folds : int
        Folds of the cross-validation at most; with no more configurations than that, each is left
        out once.
    min_spread : float
        Columns of which the standard deviation over the training set is not larger than this get
        no weight. A shell in which hardly any particle has a neighbour teaches nothing, but
        divided by its tiny spread it would throw the one particle far off that has.

    Attributes
    ----------
    coef_ : (k, n_times) float64 array
        Weights of the standardised descriptors: comparable among each other.
    intercept_ : (n_times,) float64 array
        Mean propensities of the training set.
    mean_, scale_ : (k,) float64 arrays
        Of the descriptors over the training set; a scale of 0 marks a column that does not vary
        (enough), whose weight is 0.
    alpha_ : (n_times,) float64 array
        The penalty chosen for each time.
    cv_score_ : (n_alphas, n_times) float64 array
        Pearson correlation on configurations left out, the mean over configurations; absent where
        nothing was chosen.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 5))
    >>> D = 1 + X[:, :1] + 0.1 * rng.normal(size=(400, 1))
    >>> model = PropensityRidge().fit(X, D, groups=np.repeat(np.arange(4), 100))
    >>> bool(abs(model.coef_[0, 0] - 1) < 0.05)
    True
    """

    def __init__(
        self,
        *,
        alphas: float | Sequence[float] = ALPHAS,
        n_folds: int = 10,
        min_spread: float = 0.0,
    ) -> None:
        self.alphas = alphas
        self.n_folds = n_folds
        self.min_spread = min_spread

    def fit(
        self, X: np.ndarray, D: np.ndarray, groups: np.ndarray | None = None
    ) -> PropensityRidge:
        """Choose the penalties and fit.

        Parameters
        ----------
        X : (n, k) float array
            Descriptors of the particles of one species, all training configurations.
        D : (n,) or (n, n_times) float array
            Propensities, σ_AA.
        groups : (n,) array
            The configuration each particle belongs to; needed for more than one penalty.

        Raises
        ------
        ValueError
            For shapes that do not fit, numbers that are not finite, penalties that are not
            positive, or fewer than two configurations to choose a penalty with.
        """
        X, D = _table(X, D)
        alphas = self._penalties()
        if len(alphas) == 1:
            return self._fit(X, D, np.full(D.shape[1], alphas[0]))
        rows = _configurations(groups, len(X))
        center = X.mean(axis=0)
        return self._choose_and_fit(X, D, [_sums(X[r] - center, D[r]) for r in rows], alphas)

    def _penalties(self) -> np.ndarray:
        """Checked parameters; the penalties as an array."""
        alphas = np.atleast_1d(np.asarray(self.alphas, dtype=np.float64))
        if alphas.ndim != 1 or len(alphas) == 0 or not np.all((alphas > 0) & np.isfinite(alphas)):
            raise ValueError(f"alphas are {self.alphas!r}; expected positive numbers.")
        if not self.min_spread >= 0:
            raise ValueError(f"min_spread is {self.min_spread}; expected 0 or more.")
        return alphas

    def _choose_and_fit(self, X, D, sums: list[list], alphas: np.ndarray) -> PropensityRidge:
        """``sums`` of each configuration of the training set."""
        self.cv_score_ = _cross_validated(sums, alphas, self.n_folds, self.min_spread)
        return self._fit(X, D, alphas[np.argmax(self.cv_score_, axis=0)])

    def _fit(self, X: np.ndarray, D: np.ndarray, alpha: np.ndarray) -> PropensityRidge:
        self.n_features_in_ = X.shape[1]
        self.alpha_, self.mean_, self.intercept_ = alpha, X.mean(axis=0), D.mean(axis=0)
        Z = X - self.mean_
        scale = np.sqrt(np.mean(Z**2, axis=0))
        # what rounding leaves of a constant column is no variance
        enough = np.maximum(1e-9 * np.abs(self.mean_), self.min_spread)
        self.scale_ = np.where(scale > enough, scale, 0.0)
        Z /= _divisor(self.scale_)
        Z[:, self.scale_ == 0] = 0.0
        model = Ridge(alpha=alpha, fit_intercept=False, copy_X=False)
        self.coef_ = model.fit(Z, D - self.intercept_).coef_.reshape(D.shape[1], -1).T
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Propensities of particles with descriptors ``X`` (n, k) -> (n, n_times) float64."""
        if not hasattr(self, "coef_"):
            raise NotFittedError("this PropensityRidge is not fitted; call fit first.")
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has shape {X.shape}; expected (n, {self.n_features_in_}), as in training."
            )
        return self.intercept_ + (X - self.mean_) @ (self.coef_ / _divisor(self.scale_)[:, None])

    def save(self, path: str | os.PathLike, *, made: dict | None = None) -> Path:
        """Write the weights as safetensors, parameters as its JSON header; atomically.

        Parameters
        ----------
        made : dict, optional
            How the model was trained, e.g. the system behind its columns; anything that JSON can
            hold. :meth:`load` gives it back as ``made_``.
        """
        if not hasattr(self, "coef_"):
            raise NotFittedError("this PropensityRidge is not fitted; call fit first.")
        alphas = np.atleast_1d(self.alphas).astype(float).tolist()
        parameters = {"n_folds": int(self.n_folds), "min_spread": float(self.min_spread)}
        header = {"parameters": {"alphas": alphas, **parameters}, "made": made or {}}
        arrays = {k: getattr(self, f"{k}_") for k in _STORED if hasattr(self, f"{k}_")}
        return files.write(path, FORMAT, header, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> PropensityRidge:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is missing, damaged, or holds something else.
        """
        header, arrays = files.read(path, FORMAT)
        names = {"format": files.is_text, "parameters": files.is_object, "made": files.is_object}
        files.check_names(path, "header", header, names, optional=("made",))
        model = cls(**files.check_parameters(path, header["parameters"], cls()))
        try:
            penalties = model._penalties()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        k, n_times = (files.rows_of(path, arrays, name) for name in ("mean", "intercept"))
        files.check_arrays(
            path, arrays,
            {"mean": (k,), "scale": (k,), "coef": (k, n_times), "intercept": (n_times,),
             "alpha": (n_times,)},
            optional={"cv_score": None},
        )  # fmt: skip
        if "cv_score" in arrays and arrays["cv_score"].shape != (len(penalties), n_times):
            raise ValueError(
                f"{path}: cv_score has shape {arrays['cv_score'].shape}; expected "
                f"{(len(penalties), n_times)}. Train and save the model anew."
            )
        for name in _STORED:
            if name in arrays:
                setattr(model, f"{name}_", arrays[name])
        model.n_features_in_ = k
        model.made_ = header.get("made", {})
        return model

    @property
    def n_parameters_(self) -> int:
        """Weights and the constant of one time."""
        return int(np.sum(self.scale_ > 0)) + 1


def held_out(
    X: np.ndarray,
    D: np.ndarray,
    groups: np.ndarray,
    *,
    n_folds: int = 5,
    model: PropensityRidge | None = None,
    relative: bool = False,
) -> tuple[np.ndarray, list[PropensityRidge]]:
    """Predictions for every particle, by a model that never saw its configuration.

    Parameters
    ----------
    X : (n, k) float array
    D : (n,) or (n, n_times) float array
    groups : (n,) array
        The configuration of each row; at least three of them where a penalty is chosen.
    n_folds : int
        Configurations are dealt into so many folds at most, in the order of their names; each
        fold is left out once, and the penalty is chosen anew on what remains.
    model : PropensityRidge, optional
        Whose parameters are used; it is not changed.
    relative : bool
        Take from each prediction what its model says of the mean row of X. The constant of a fold
        is the mean of the *other* configurations, high where those left out are low, so that
        pooled over folds even a model that knows nothing correlates *negatively* with D.
        Differences that the descriptors foretell stay. For correlations over several folds;
        within a configuration nothing changes.

    Returns
    -------
    predictions : (n, n_times) float64 array
    models : list of PropensityRidge
        One a fold.
    """
    model = PropensityRidge() if model is None else model
    X, D = _table(X, D)
    rows = _configurations(groups, len(X))
    alphas = model._penalties()
    center = X.mean(axis=0)
    sums = [_sums(X[r] - center, D[r]) for r in rows] if len(alphas) > 1 else None
    if sums is not None and len(rows) < 3:
        raise ValueError(
            f"{len(rows)} configurations; choosing a penalty without the one left out needs three "
            "or more. Give one penalty in alphas."
        )
    predictions, models = np.empty_like(D), []
    for fold in _dealt(len(rows), n_folds):
        kept = [c for c in range(len(rows)) if c not in fold]
        train, test = (np.concatenate([rows[c] for c in part]) for part in (kept, fold))
        one = PropensityRidge(**model.get_params())
        if sums is None:
            one.fit(X[train], D[train])
        else:
            one._choose_and_fit(X[train], D[train], [sums[c] for c in kept], alphas)
        predictions[test] = one.predict(X[test])
        if relative:
            predictions[test] -= one.predict(center[None])
        models.append(one)
    return predictions, models


class Selection(NamedTuple):
    """Descriptors in the order in which forward selection takes them.

    Attributes
    ----------
    order : (n_selected,) int64 array
        Columns of X.
    correlation : (n_selected,) float64 array
        Multiple correlation of the target with the first 1, 2, … of them, on the training set.
    """

    order: np.ndarray
    correlation: np.ndarray


def forward_selection(
    X: np.ndarray,
    y: np.ndarray,
    *,
    n_selected: int | None = None,
    tol: float = 1e-9,
    min_spread: float = 0.0,
) -> Selection:
    r"""Rank descriptors greedily: next is the one that raises the correlation most.

    With the columns S chosen so far, the next is the one for which the least-squares prediction
    from S and it correlates best with the target; that correlation is the multiple correlation R,
    :math:`R^2 = c_S^\mathsf{T} C_{SS}^{-1} c_S` with the correlations C among descriptors and c
    with the target (Boattini, Bezem, Punnathanam, Smallenburg, Filion, J. Chem. Phys. 153, 064902
    (2020)). Each step is one row of a pivoted Cholesky decomposition of C, so that ranking costs
    as much as a few solutions.

    Parameters
    ----------
    X : (n, k) float array
        Descriptors of training particles.
    y : (n,) float array
        Their propensity at one time.
    n_selected : int, optional
        How many to rank; all by default.
    tol : float
        A descriptor of which no larger part than this share of its variance is new beside those
        chosen is never taken.
    min_spread : float
        Columns with no larger standard deviation are never taken, see :class:`PropensityRidge`.

    Returns
    -------
    Selection
        Shorter than ``n_selected`` where the other columns are combinations of those chosen.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(500, 4))
    >>> forward_selection(X, X[:, 2] + 0.5 * X[:, 1], n_selected=2).order.tolist()
    [2, 1]
    """
    y = np.asarray(y, dtype=np.float64)
    if y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}; expected (n,), the propensity at one time.")
    X, D = _table(X, y)
    k = X.shape[1]
    n_selected = k if n_selected is None else n_selected
    if not 1 <= n_selected <= k:
        raise ValueError(f"n_selected is {n_selected}; expected 1 to {k}, the number of columns.")
    if np.ptp(y) <= 1e-12 * np.abs(y).max():
        raise ValueError("y does not vary: there is nothing to select for.")
    sums = _sums(X - X.mean(axis=0), D - D.mean())
    _, scale, _, gram, moment = _standardised(sums, min_spread)
    n, variance = sums[0], sums[4] / sums[0]
    C, c = gram / n, moment[:, 0] / n / np.sqrt(variance[0])
    rows = np.zeros((n_selected, k))  # of the Cholesky factor, as far as it goes
    new = np.where(scale > 0, 1.0, 0.0)  # variance of each column beside those chosen
    order, reached, R2 = [], [], 0.0
    for step in range(n_selected):
        free = new > tol
        free[order] = False
        if not free.any():
            break
        gain = np.zeros(k)
        gain[free] = c[free] ** 2 / new[free]
        best = int(np.argmax(gain)) if gain.max() > 0 else int(np.flatnonzero(free)[0])
        row = (C[best] - rows[:step, best] @ rows[:step]) / np.sqrt(new[best])
        share = c[best] / np.sqrt(new[best])
        rows[step] = row
        c, new = c - share * row, new - row**2
        R2 += share**2
        order.append(best)
        reached.append(min(R2, 1.0))
    return Selection(np.array(order, dtype=np.int64), np.sqrt(reached))


# ------------------------------------------------------------------------------------ internals


def _table(X: np.ndarray, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Checked (n, k) and (n, n_times) float64 arrays."""
    X, D = np.asarray(X, dtype=np.float64), np.asarray(D, dtype=np.float64)
    if X.ndim != 2 or D.ndim not in (1, 2) or len(X) != len(D):
        raise ValueError(
            f"X has shape {X.shape} and D {D.shape}; expected (n, k) and (n, n_times): one row a "
            "particle."
        )
    if len(X) < 2 or X.shape[1] == 0:
        raise ValueError(f"X has shape {X.shape}; expected at least two rows and one column.")
    for name, values in (("X", X), ("D", D)):
        if not np.all(np.isfinite(values)):
            row = int(np.flatnonzero(~np.isfinite(values.reshape(len(X), -1)).all(axis=1))[0])
            raise ValueError(
                f"row {row} of {name} is not finite; leave such particles out before fitting."
            )
    return X, D.reshape(len(D), -1)


def _configurations(groups: np.ndarray | None, n: int) -> list[np.ndarray]:
    """Rows of each configuration."""
    if groups is None:
        raise ValueError(
            "groups is missing: the penalty is chosen over configurations; give the configuration "
            "of each row, or a single penalty in alphas."
        )
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise ValueError(f"groups has shape {groups.shape}; expected ({n},), one a row of X.")
    names, number = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            "there is one configuration; leaving one out needs two or more. To fit all rows with "
            "one penalty give it in alphas."
        )
    return [np.flatnonzero(number == c) for c in range(len(names))]


def _dealt(n: int, n_folds: int) -> list[list[int]]:
    """n configurations in folds, neighbours together."""
    if n_folds < 2:
        raise ValueError(f"n_folds is {n_folds}; expected 2 or more.")
    return [part.tolist() for part in np.array_split(np.arange(n), min(n, n_folds))]


def _sums(X: np.ndarray, D: np.ndarray) -> list:
    """n, Σx, Σd, XᵀX and Σd², XᵀD, about zero: sums over configurations add up."""
    return [len(X), X.sum(axis=0), D.sum(axis=0), X.T @ X, (D**2).sum(axis=0), X.T @ D]


def _added(sums: list[list]) -> list:
    return [sum(parts) for parts in zip(*sums, strict=True)]


def _divisor(scale: np.ndarray) -> np.ndarray:
    return np.where(scale > 0, scale, 1.0)


def _standardised(sums: list, min_spread: float) -> tuple[np.ndarray, ...]:
    """Mean, scale and mean propensity, and XᵀX, XᵀD of standardised, centred columns."""
    n, sx, sd, xx, _, xd = sums
    mean, target = sx / n, sd / n
    gram = xx - n * np.outer(mean, mean)
    variance = np.diagonal(gram) / n
    # what rounding leaves of a constant column is no variance
    enough = np.maximum(1e-12 * (np.diagonal(xx) / n + 1e-300), min_spread**2)
    scale = np.sqrt(np.where(variance > enough, variance, 0.0))
    with np.errstate(divide="ignore"):
        inverse = np.where(scale > 0, 1.0 / scale, 0.0)
    gram = gram * np.outer(inverse, inverse)
    return mean, scale, target, gram, (xd - n * np.outer(mean, target)) * inverse[:, None]


def _cross_validated(
    sums: list[list], alphas: np.ndarray, n_folds: int, min_spread: float
) -> np.ndarray:
    """(n_alphas, n_times) Pearson r on configurations left out, the mean over them.

    What scikit-learn's ``Ridge`` gives fold by fold and penalty by penalty. Sums over
    configurations are all it needs: one eigendecomposition a fold serves all penalties and
    times, and the covariances of predictions with propensities follow from the sums of the
    configuration left out.
    """
    scores = []
    for fold in _dealt(len(sums), n_folds):
        kept = [sums[c] for c in range(len(sums)) if c not in fold]
        _, scale, _, gram, moment = _standardised(_added(kept), min_spread)
        value, vector = np.linalg.eigh(gram)
        shares = (vector.T @ moment)[:, :, None]
        weights = shares / (np.maximum(value, 0)[:, None, None] + alphas)  # (k, n_times, n_alphas)
        weights = (vector / _divisor(scale)[:, None]) @ weights.reshape(len(value), -1)
        for c in fold:
            n, sx, sd, xx, dd, xd = sums[c]
            with_d = weights * np.repeat(xd - np.outer(sx, sd) / n, len(alphas), axis=1)
            spread = np.sum(weights * (xx @ weights), axis=0) - (sx @ weights) ** 2 / n
            # numpy's repeat gives (time 0, alpha 0), (time 0, alpha 1), … as in weights
            norm = np.maximum(spread, 0) * np.repeat(dd - sd**2 / n, len(alphas))
            r = with_d.sum(axis=0) / np.sqrt(np.where(norm > 0, norm, np.inf))
            scores.append(r.reshape(-1, len(alphas)).T)
    return np.mean(scores, axis=0)
