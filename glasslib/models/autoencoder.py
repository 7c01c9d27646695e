r"""Order parameters that nobody designed: autoencoder and Gaussian mixture (Boattini et al. 2020).

Each particle is a vector of *d* descriptors, for instance the eight :math:`\bar q_l`. An
autoencoder, trained on one snapshot, compresses it to *c* numbers and restores it

.. math:: d \to 10d\,\tanh \to c \to 10d\,\tanh \to d, \qquad
          \mathcal L = \left\langle (x - \hat x)^2 \right\rangle,

and two Gaussians in the space of the *c* numbers divide the particles. The probability that a
particle belongs to one of them, P_red, is the order parameter. No dynamics enters.

Boattini, Marín-Aguilar, Mitra, Foffi, Smallenburg, Filion, Nat. Commun. 11, 5479 (2020); the
autoencoder is that of Boattini, Dijkstra, Filion, J. Chem. Phys. 151, 154901 (2019).

Choices made here, where the text of the first paper leaves them open:

* **inputs**: each descriptor is standardised to mean 0 and variance 1 over the training snapshot;
* **when to stop**. Training first finds, and long stays at, the linear solution: for *c* = 2 the
  plane of the two largest principal components. Later the network bends the plane and restores
  some 5 % more of the variance, with another bend for each seed; P_red of one snapshot then
  differs between seeds. By default weight decay holds the network back and training stops on the
  plateau, where P_red hardly depends on the seed and is that of ``encoder="pca"`` (Coslovich,
  Jack, Paret, arXiv:2211.01904, find the two alike). The default was chosen for agreement of
  seeds, by somebody who had seen correlations with the dynamics of public Kob–Andersen data; the
  control ``encoder="pca"`` has no such freedom. To train on: ``Autoencoder(**TRAINED_ON)``;
* **coordinates for the mixture**: the bottleneck of a network is defined up to any linear map.
  The likelihood of Gaussians does not care, but the k-means that EM starts from does. The
  bottleneck is therefore first mapped to where distances are those of the restored inputs
  (:meth:`OrderParameter.coordinates`); k-means then starts with a cut across the direction of
  largest variance;
* **when EM stops**: at scikit-learn's default, ``tol=1e-3`` per particle. In glasses the cloud of
  particles is so near to one Gaussian that the likelihood of two is almost flat: run to
  convergence, EM ends far from where it started, elsewhere for each snapshot. Compare one and two
  Gaussians of :meth:`OrderParameter.converged` before speaking of two populations;
* **red** is the component of larger overall bond order, see :class:`OrderParameter`.

The network has some 1500 weights and a snapshot some 2000 rows. For so little the overhead of a
deep-learning library is most of the time, so forward and backward pass are written out in NumPy.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture

from glasslib.models import files

FORMAT = "glasslib.Autoencoder/1"
ORDER_FORMAT = "glasslib.OrderParameter/1"
SEVERAL_FORMAT = "glasslib.OrderParameters/1"
ENCODERS = ("autoencoder", "pca", "random", "untrained")
LEAST = 20  #: rows to learn from
#: What makes an :class:`Autoencoder` leave the linear solution: the control of the pages.
TRAINED_ON = {
    "weight_decay": 1e-5,
    "learning_rate": 3e-3,
    "tol": 0.0,
    "patience": 100,
    "epochs": 400,
}


class Autoencoder(BaseEstimator):
    """Compress descriptors to a few numbers, and restore them.

    Parameters
    ----------
    bottleneck : int
        c, the number of numbers; see :func:`explained_variance_curve`.
    hidden : int, optional
        Width of the two hidden layers; 10 d by default.
    epochs : int
        Passes over the training rows, at most; 0 gives the untrained network.
    learning_rate : float
        Of Adam.
    batch_size : int
        Rows an optimiser step.
    weight_decay : float
        Times each weight and bias is added to its gradient (as in ``torch.optim.Adam``); decides
        how soon the network leaves the linear solution, see the module's text.
    validation_fraction : float
        Rows held out, on which training stops; 0 trains on all for all ``epochs``.
    patience, tol : int, float
        Training stops when the loss of the held-out rows has not fallen by more than ``tol``
        (the loss of a constant guess is 1) for ``patience`` epochs. The weights of the lowest
        loss are kept.
    standardize : bool
        Divide each descriptor by its own standard deviation; otherwise all by one number.
    seed : int
        Of weights, held-out rows and order; fixes the result bit by bit on one machine.

    Attributes
    ----------
    weights_ : list of 4 pairs of float64 arrays
        Weights (in, out) and biases (out,) of the layers; two encode, two decode.
    mean_, scale_ : (d,) float64 arrays
    history_ : list of dict
        One row an epoch, the first before training: ``epoch``, ``loss`` and ``held_out`` (mean
        squared error of the training and of the held-out rows; ``None`` without), ``seconds``.
    best_epoch_ : int
        Whose weights were kept.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 2)) @ np.ones((2, 8))
    >>> model = Autoencoder(bottleneck=1, epochs=5).fit(X)
    >>> model.transform(X).shape
    (100, 1)
    """

    def __init__(
        self,
        *,
        bottleneck: int = 2,
        hidden: int | None = None,
        epochs: int = 200,
        learning_rate: float = 1e-3,
        batch_size: int = 64,
        weight_decay: float = 1e-3,
        validation_fraction: float = 0.2,
        patience: int = 10,
        tol: float = 1e-3,
        standardize: bool = True,
        seed: int = 0,
    ) -> None:
        self.bottleneck = bottleneck
        self.hidden = hidden
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.tol = tol
        self.standardize = standardize
        self.seed = seed

    def _check_parameters(self) -> None:
        for name, least in (
            ("bottleneck", 1),
            ("hidden", 1),
            ("epochs", 0),
            ("batch_size", 1),
            ("patience", 1),
        ):
            value = getattr(self, name)
            if name == "hidden" and value is None:
                continue
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"{name} is {value!r}; expected an integer of at least {least}.")
        if not (np.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"learning_rate is {self.learning_rate!r}; expected a positive number."
            )
        for name in ("weight_decay", "tol"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}; expected 0 or a positive number.")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction is {self.validation_fraction!r}; expected 0 ≤ f < 1."
            )

    # ------------------------------------------------------------------------------ training

    def fit(
        self,
        X: np.ndarray,
        y: object = None,
        *,
        callback: Callable[[dict], None] | None = None,
    ) -> Autoencoder:
        """Learn to restore the rows of ``X``.

        Parameters
        ----------
        X : (N, d) float array
            Descriptors of the particles of one snapshot, of one species; d > ``bottleneck`` for
            a bottleneck that is one.
        y : ignored
        callback : callable, optional
            Called with each new row of ``history_``.

        Returns
        -------
        Autoencoder
            Itself.

        Raises
        ------
        ValueError
            For fewer than 20 rows, numbers that are not finite, or descriptors none of which
            varies.
        """
        self._check_parameters()
        X = _rows(X, least=LEAST)
        if self.bottleneck > X.shape[1]:
            raise ValueError(
                f"bottleneck is {self.bottleneck} but X has only {X.shape[1]} columns; nothing "
                "would be compressed."
            )
        self.mean_, self.scale_ = _scaling(X, self.standardize)
        self.n_features_in_ = X.shape[1]
        self.history_ = []
        rng = np.random.default_rng(self.seed)
        theta, gradient = np.zeros((2, sum(a * b + b for a, b in self._shapes())))
        weights, slopes = _split(theta, self._shapes()), _split(gradient, self._shapes())
        for w, b in weights:
            w[:], b[:] = (rng.uniform(-1, 1, part.shape) / np.sqrt(len(w)) for part in (w, b))
        self.weights_ = weights
        rows = rng.permutation((X - self.mean_) / self.scale_)
        n_out = round(self.validation_fraction * len(rows))
        held_out, train = rows[:n_out], rows[n_out:]
        if len(train) < LEAST // 2:
            raise ValueError(
                f"validation_fraction is {self.validation_fraction}, which leaves {len(train)} of "
                f"{len(rows)} rows to learn from; expected at least {LEAST // 2}."
            )
        adam = _Adam(theta, gradient, self.learning_rate, self.weight_decay)
        lowest, mark, waited, seconds, best = np.inf, np.inf, 0, 0.0, None
        for epoch in range(self.epochs + 1):
            began = time.perf_counter()
            if epoch:
                rng.shuffle(train)
                for begin in range(0, len(train), self.batch_size):
                    _backward(train[begin : begin + self.batch_size], weights, slopes)
                    adam.step()
            row = {
                "epoch": epoch,
                "loss": self._error(train),
                "held_out": self._error(held_out) if n_out else None,
            }
            seconds += time.perf_counter() - began
            self.history_.append({**row, "seconds": seconds})
            if callback is not None:
                callback(self.history_[-1])
            if not n_out:
                self.best_epoch_ = epoch
                continue
            if row["held_out"] < lowest:
                lowest, self.best_epoch_ = row["held_out"], epoch
                best = theta.copy()
            if row["held_out"] < mark - self.tol:
                mark, waited = row["held_out"], 0
            else:
                waited += 1
            if waited >= self.patience:
                break
        if best is not None:
            theta[:] = best
        return self

    def _shapes(self) -> list[tuple[int, int]]:
        d, c = self.n_features_in_, self.bottleneck
        h = 10 * d if self.hidden is None else self.hidden
        return [(d, h), (h, c), (c, h), (h, d)]

    def _error(self, rows: np.ndarray) -> float:
        return float(np.mean((_forward(rows, self.weights_)[-1] - rows) ** 2))

    # ------------------------------------------------------------------------------- results

    def _standard(self, X: np.ndarray) -> np.ndarray:
        if not hasattr(self, "weights_"):
            raise NotFittedError("this Autoencoder has no weights yet; call fit or load first.")
        return (_rows(X, columns=self.n_features_in_) - self.mean_) / self.scale_

    def transform(self, X: np.ndarray) -> np.ndarray:
        """The numbers in the bottleneck, (N, d) -> (N, c) float64."""
        return _half(self._standard(X), self.weights_[:2])[1]

    def fit_transform(self, X: np.ndarray, y: object = None) -> np.ndarray:
        """:meth:`fit`, then :meth:`transform` of the same rows."""
        return self.fit(X).transform(X)

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        """Descriptors restored from the bottleneck, (N, c) -> (N, d) float64."""
        if not hasattr(self, "weights_"):
            raise NotFittedError("this Autoencoder has no weights yet; call fit or load first.")
        Z = _rows(Z, columns=self.bottleneck, name="Z")
        return _half(Z, self.weights_[2:])[1] * self.scale_ + self.mean_

    def explained_variance(self, X: np.ndarray) -> float:
        r"""Fraction of the variance of the standardised descriptors that is restored.

        :math:`1 - \sum_{ik}(x_{ik} - \hat x_{ik})^2 / \sum_{ik}(x_{ik} - \langle x_k\rangle)^2`
        with the mean over the rows given; 1 when all is restored, 0 for a guess of the mean.
        """
        x = self._standard(X)
        spread = np.mean((x - x.mean(axis=0)) ** 2)
        if spread == 0:
            raise ValueError("the rows of X are all alike; there is no variance to explain.")
        return float(1 - self._error(x) / spread)

    # ----------------------------------------------------------------------------- to a file

    def save(self, path: str | os.PathLike) -> Path:
        """Write weights as safetensors, parameters and history as its JSON header; atomically.

        Times are left out of the history, so that the same training gives the same file.
        """
        if not hasattr(self, "weights_"):
            raise NotFittedError("this Autoencoder has no weights yet; call fit or load first.")
        return files.write(path, FORMAT, *self._state())

    def _state(self) -> tuple[dict, dict[str, np.ndarray]]:
        header = {
            "parameters": _plain(self.get_params()),
            "best_epoch": self.best_epoch_,
            "history": [{k: v for k, v in row.items() if k != "seconds"} for row in self.history_],
        }
        arrays = {"mean": self.mean_, "scale": self.scale_}
        for k, (w, b) in enumerate(self.weights_):
            arrays |= {f"weight.{k}": w, f"bias.{k}": b}
        return header, arrays

    @classmethod
    def load(cls, path: str | os.PathLike) -> Autoencoder:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is missing, damaged, or holds something else.
        """
        header, arrays = files.read(path, FORMAT)
        header.pop("format")
        return cls._from_state(path, header, arrays)

    @classmethod
    def _from_state(
        cls, path: str | os.PathLike, header: dict, arrays: dict[str, np.ndarray]
    ) -> Autoencoder:
        expected = {
            "parameters": files.is_object, "best_epoch": files.is_integer,
            "history": files.is_rows,
        }  # fmt: skip
        files.check_names(path, "header", header, expected)
        model = cls(**files.check_parameters(path, header["parameters"], cls()))
        d, h, c = files.rows_of(path, arrays, "mean"), model.hidden, model.bottleneck
        h = 10 * d if h is None else h
        if not files.is_integer(h, 1) or c < 1:
            raise ValueError(
                f"{path}: hidden is {str(h)[:40]!r} and bottleneck {c}; expected at least 1."
            )
        shapes: dict[str, tuple[int, ...]] = {"mean": (d,), "scale": (d,)}
        for k, shape in enumerate([(d, h), (h, c), (c, h), (h, d)]):
            shapes |= {f"weight.{k}": shape, f"bias.{k}": shape[1:]}
        files.check_arrays(path, arrays, shapes)
        model.best_epoch_, model.history_ = header["best_epoch"], header["history"]
        model.mean_, model.scale_ = arrays["mean"], arrays["scale"]
        model.n_features_in_ = len(model.mean_)
        model.weights_ = [(arrays[f"weight.{k}"], arrays[f"bias.{k}"]) for k in range(4)]
        return model


def explained_variance_curve(
    X: np.ndarray,
    *,
    c: Iterable[int] = range(1, 9),
    seeds: Iterable[int] = (0, 1, 2),
    **options: object,
) -> np.ndarray:
    """Fraction of variance explained against the width of the bottleneck.

    The smallest *c* behind which the curve is flat, or which explains what is asked for (75 %,
    say), is the one to take.

    Parameters
    ----------
    X : (N, d) float array
    c : ints
    seeds : ints
    **options
        Of :class:`Autoencoder`.

    Returns
    -------
    (n_c, n_seeds) float64 array
        On all rows of ``X``, held-out ones included.
    """
    seeds = list(seeds)
    return np.array(
        [
            [
                Autoencoder(bottleneck=width, seed=seed, **options).fit(X).explained_variance(X)
                for seed in seeds
            ]
            for width in c
        ]
    )


class OrderParameter(BaseEstimator):
    r"""P_red: the probability that a particle belongs to one of two structural groups.

    Which of two Gaussians is called red is arbitrary; it must not be decided by dynamics, which
    P_red is there to predict. The rule here: **red is the group of larger overall bond order**,
    the one with the larger mean, weighted by membership, of the sum of a particle's descriptors,
    each standardised over the training snapshot. Boattini et al. remark that "the fast particles
    correspond to higher overall bond order" and that fast particles have high P_red; so red
    should be fast, the other group (white) slow and growing on cooling, and a negative
    correlation with mobility is a result, not a matter of convention.

    Parameters
    ----------
    encoder : {"autoencoder", "pca", "random", "untrained"}
        What reduces d descriptors to c: the paper's autoencoder, or a null control: the largest
        principal components, a random projection (Gaussian matrix), the autoencoder with the
        weights it starts from.
    bottleneck : int
        c.
    n_init : int
        Starts of EM; the most likely result counts.
    tol : float
        EM stops when the log-likelihood a particle rises by less; see the module's text.
    standardize : bool
        As for :class:`Autoencoder`, for all encoders.
    training : dict, optional
        Further options of :class:`Autoencoder`.
    order : sequence of float, optional
        Weights of the d standardised descriptors in the "overall order" of which red has the
        larger; ones by default. Fix it before you look at any dynamics.
    seed : int
        Of encoder and mixture.

    Attributes
    ----------
    autoencoder_ : Autoencoder or None
    projection_ : (d, c) float64 array or None
        Of the linear encoders.
    map_, center_ : (c, c) and (c,) float64 arrays
        From the bottleneck to :meth:`coordinates`.
    mixture_ : sklearn.mixture.GaussianMixture
    red_ : int
        Its red component.
    orientation_gap_ : float
        Red minus white, difference of the mean sum of standardised descriptors in standard
        deviations of that sum. Near 0 the groups do not differ in overall bond order and the
        rule is a coin toss; a warning says so below 0.1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 8)) + np.repeat([0, 5], 150)[:, None]
    >>> order = OrderParameter(encoder="pca").fit(X)
    >>> order.predict_proba(X)[[0, -1]].round(2).tolist()
    [0.0, 1.0]
    """

    def __init__(
        self,
        *,
        encoder: str = "autoencoder",
        bottleneck: int = 2,
        n_init: int = 10,
        tol: float = 1e-3,
        standardize: bool = True,
        training: dict | None = None,
        order: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.n_init = n_init
        self.tol = tol
        self.standardize = standardize
        self.training = training
        self.order = order
        self.seed = seed

    def fit(self, X: np.ndarray, y: object = None) -> OrderParameter:
        """Learn encoder and mixture from one snapshot.

        Parameters
        ----------
        X : (N, d) float array
            Descriptors of the particles of one species.
        y : ignored

        Returns
        -------
        OrderParameter
            Itself.

        Raises
        ------
        ValueError
            For fewer than 20 rows, numbers that are not finite, or an unknown encoder.

        Warns
        -----
        UserWarning
            Where one group holds less than 2 % of the particles, or the groups do not differ in
            overall bond order, so that which is red is arbitrary.
        """
        if self.encoder not in ENCODERS:
            raise ValueError(f"encoder is {self.encoder!r}; expected one of {ENCODERS}.")
        X = _rows(X, least=LEAST)
        self.mean_, self.scale_ = _scaling(X, self.standardize)
        self.n_features_in_ = X.shape[1]
        if not 1 <= self.bottleneck <= X.shape[1]:
            raise ValueError(f"bottleneck is {self.bottleneck!r}; expected 1 to {X.shape[1]}.")
        x = (X - self.mean_) / self.scale_
        order = np.ones(X.shape[1]) if self.order is None else np.asarray(self.order, dtype=float)
        if order.shape != (X.shape[1],) or not np.any(order):
            raise ValueError(
                f"order is {self.order!r}; expected {X.shape[1]} weights, one a descriptor, "
                "not all 0."
            )
        overall = x @ order
        self.autoencoder_ = self.projection_ = None
        if self.encoder in ("autoencoder", "untrained"):
            options = dict(self.training or {})
            if self.encoder == "untrained":
                options["epochs"] = 0
            self.autoencoder_ = Autoencoder(
                bottleneck=self.bottleneck,
                standardize=self.standardize,
                seed=self.seed,
                **options,
            ).fit(X)
        elif self.encoder == "pca":
            self.projection_ = np.linalg.svd(x, full_matrices=False)[2][: self.bottleneck].T.copy()
        else:
            shape = (X.shape[1], self.bottleneck)
            self.projection_ = np.random.default_rng(self.seed).normal(size=shape)
        self._set_coordinates(X, x, overall)
        z = self.coordinates(X)
        self.mixture_ = self._mixture(2).fit(z)
        self._orient(overall, self.mixture_.predict_proba(z))
        return self

    def _mixture(self, n: int, **changes: object) -> GaussianMixture:
        options = {"n_init": self.n_init, "tol": self.tol, "max_iter": 1000, **changes}
        return GaussianMixture(n, covariance_type="full", random_state=self.seed, **options)

    def _set_coordinates(self, X: np.ndarray, x: np.ndarray, overall: np.ndarray) -> None:
        """Principal axes of the best linear reconstruction of the inputs from the bottleneck."""
        z = self.transform(X)
        self.center_ = z.mean(axis=0)
        restore = np.linalg.lstsq(z - self.center_, x, rcond=None)[0]
        axes = np.linalg.svd((z - self.center_) @ restore, full_matrices=False)[2]
        map_ = restore @ axes[: self.bottleneck].T
        # each coordinate grows with the overall bond order
        along = ((z - self.center_) @ map_).T @ overall
        self.map_ = map_ * np.where(along < 0, -1.0, 1.0)

    def _orient(self, total: np.ndarray, membership: np.ndarray) -> None:
        share = membership.mean(axis=0)
        if share.min() < 0.02:
            warnings.warn(
                f"one of the two groups holds {100 * share.min():.1f} % of the particles: there is "
                "practically one. P_red then marks outliers.",
                stacklevel=3,
            )
        means = (membership * total[:, None]).mean(axis=0) / np.maximum(share, 1e-12)
        self.red_ = int(np.argmax(means))
        spread = total.std()
        gap = means[self.red_] - means[1 - self.red_]
        self.orientation_gap_ = float(gap / spread) if spread > 0 else 0.0
        if self.orientation_gap_ < 0.1:
            warnings.warn(
                f"the two groups differ by {self.orientation_gap_:.2f} standard deviations in "
                "overall bond order, so which of them is red is arbitrary.",
                stacklevel=3,
            )

    # ------------------------------------------------------------------------------- results

    def _check_fitted(self) -> None:
        if not hasattr(self, "scale_"):
            raise NotFittedError("this OrderParameter is not fitted; call fit or load first.")

    def transform(self, X: np.ndarray) -> np.ndarray:
        """What the encoder makes of descriptors, (N, d) -> (N, c) float64."""
        self._check_fitted()
        if self.autoencoder_ is not None:
            return self.autoencoder_.transform(X)
        X = _rows(X, columns=self.n_features_in_)
        return (X - self.mean_) / self.scale_ @ self.projection_

    def coordinates(self, X: np.ndarray) -> np.ndarray:
        """The encoder's output, mapped linearly to where the mixture is fitted.

        Distances are those of the best linear reconstruction of the standardised descriptors from
        the encoder's output; the first coordinate is the direction of its largest variance, and
        each grows with the sum of the descriptors. For ``encoder="pca"`` these are the principal
        components.

        Returns
        -------
        (N, c) float64 array
            Mean 0 over the training snapshot.
        """
        return (self.transform(X) - self.center_) @ self.map_

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """P_red of particles of any snapshot, (N, d) -> (N,) float64 in [0, 1]."""
        return self.mixture_.predict_proba(self.coordinates(X))[:, self.red_]

    def fitted_to(self, X: np.ndarray) -> bool:
        """Whether the model was trained on these descriptors, by their means and spreads.

        To one part in 10⁶: what another machine computes from the same frame passes, another
        frame, or another set of neighbours, does not. For models that come from files.
        """
        self._check_fitted()
        X = np.asarray(X, dtype=float)
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:
            return False
        mean, scale = _scaling(_rows(X), self.standardize)
        return bool(
            np.allclose(mean, self.mean_, rtol=0, atol=1e-6 * np.max(self.scale_))
            and np.allclose(scale, self.scale_, rtol=1e-6)
        )

    def converged(self, X: np.ndarray, *, n: int = 2, n_init: int = 5) -> GaussianMixture:
        """The most likely mixture of n Gaussians, in the same coordinates.

        The mixture behind P_red stops early, see the module's text; this one is run to
        convergence (``tol=1e-7``) from ``n_init`` random starts. Where its groups are others than
        those of P_red, or one of them is small, P_red is no membership of a population. Where the
        Bayesian information criterion of ``n=1`` is the lower one, ``mixture.bic(coordinates(X))``,
        the snapshot gives no evidence of two groups, and P_red cuts a single cloud.

        Returns
        -------
        sklearn.mixture.GaussianMixture
            Fitted to ``coordinates(X)``.
        """
        starts = {"init_params": "random_from_data", "n_init": 1 if n == 1 else n_init}
        with warnings.catch_warnings():  # a start that is still on its way after 1000 steps
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self._mixture(n, tol=1e-7, **starts).fit(self.coordinates(X))

    # ----------------------------------------------------------------------------- to a file

    def save(self, path: str | os.PathLike) -> Path:
        """Write all arrays as safetensors, all else as its JSON header; atomically."""
        return files.write(path, ORDER_FORMAT, *self._state())

    def _state(self) -> tuple[dict, dict[str, np.ndarray]]:
        self._check_fitted()
        mixture = self.mixture_
        header = {
            "parameters": _plain(self.get_params()),
            "red": self.red_,
            "orientation_gap": self.orientation_gap_,
            "autoencoder": None,
        }
        arrays = {
            "mean": self.mean_,
            "scale": self.scale_,
            "center": self.center_,
            "map": self.map_,
            "mixture.weights": mixture.weights_,
            "mixture.means": mixture.means_,
            "mixture.covariances": mixture.covariances_,
            "mixture.precisions_cholesky": mixture.precisions_cholesky_,
        }
        if self.projection_ is not None:
            arrays["projection"] = self.projection_
        if self.autoencoder_ is not None:
            header["autoencoder"], weights = self.autoencoder_._state()
            arrays.update({f"autoencoder.{k}": v for k, v in weights.items()})
        return header, arrays

    @classmethod
    def load(cls, path: str | os.PathLike) -> OrderParameter:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is missing, damaged, or holds something else.
        """
        header, arrays = files.read(path, ORDER_FORMAT)
        header.pop("format")
        return cls._from_state(path, header, arrays)

    @classmethod
    def _from_state(
        cls, path: str | os.PathLike, header: dict, arrays: dict[str, np.ndarray]
    ) -> OrderParameter:
        expected = {
            "parameters": files.is_object,
            "red": lambda value: files.is_integer(value) and value < 2,
            "orientation_gap": files.is_number,
            "autoencoder": lambda value: value is None or files.is_object(value),
        }
        files.check_names(path, "header", header, expected)
        given = files.check_parameters(path, header["parameters"], cls(), optional=("order",))
        model = cls(**given)
        part = "autoencoder."
        d, c = files.rows_of(path, arrays, "mean"), model.bottleneck
        shapes = {
            "mean": (d,), "scale": (d,), "center": (c,), "map": (c, c), "mixture.weights": (2,),
            "mixture.means": (2, c), "mixture.covariances": (2, c, c),
            "mixture.precisions_cholesky": (2, c, c),
        }  # fmt: skip
        if header["autoencoder"] is None:
            shapes["projection"] = (d, c)
        own = {k: v for k, v in arrays.items() if not k.startswith(part)}
        if header["autoencoder"] is None and len(own) < len(arrays):
            raise ValueError(f"{path} has weights of an autoencoder, but its header knows none.")
        files.check_arrays(path, own, shapes, optional={"bic": None})
        model.red_, model.orientation_gap_ = header["red"], header["orientation_gap"]
        for name in ("mean", "scale", "center", "map"):
            setattr(model, f"{name}_", arrays[name])
        model.n_features_in_ = len(model.mean_)
        model.projection_ = arrays.get("projection")
        model.autoencoder_ = None
        if header["autoencoder"] is not None:
            weights = {k.removeprefix(part): v for k, v in arrays.items() if k.startswith(part)}
            inner = Autoencoder._from_state(path, header["autoencoder"], weights)
            if (inner.n_features_in_, inner.bottleneck) != (d, c):
                raise ValueError(
                    f"{path}: its autoencoder is of {inner.n_features_in_} descriptors and "
                    f"{inner.bottleneck} numbers; expected {d} and {c}."
                )
            model.autoencoder_ = inner
        model.mixture_ = model._mixture(2)
        for name in ("weights", "means", "covariances", "precisions_cholesky"):
            setattr(model.mixture_, f"{name}_", arrays[f"mixture.{name}"])
        return model


def save_several(
    path: str | os.PathLike, models: Mapping[str, OrderParameter], about: Mapping[str, object]
) -> Path:
    """Write many order parameters to one file, by name; atomically.

    Parameters
    ----------
    path : path
    models : mapping of str to OrderParameter
        Names without a slash.
    about : mapping
        What JSON can hold, such as a fingerprint; :func:`load_several` gives it back.
    """
    header: dict = {"about": dict(about), "models": {}}
    arrays = {}
    for name, model in models.items():
        header["models"][name], own = model._state()
        arrays |= {f"{name}/{k}": v for k, v in own.items()}
    return files.write(path, SEVERAL_FORMAT, header, arrays)


def load_several(path: str | os.PathLike) -> tuple[dict[str, OrderParameter], dict]:
    """Order parameters by name, and what is said about them: what :func:`save_several` wrote.

    Raises
    ------
    ValueError
        If the file is missing, damaged, or holds something else.
    """
    header, arrays = files.read(path, SEVERAL_FORMAT)
    expected = {"format": files.is_text, "about": files.is_object, "models": files.is_object}
    files.check_names(path, "header", header, expected)
    parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in header["models"]}
    for key, array in arrays.items():
        name, _, own = key.partition("/")
        if name not in parts:
            raise ValueError(f"{path} has arrays of {name[:40]!r}, which its header does not know.")
        parts[name][own] = array
    models = {}
    for name, one in header["models"].items():
        if not files.is_object(one):
            raise ValueError(
                f"{path}: {name[:40]!r} in the header is {str(one)[:40]!r}; expected an object."
            )
        models[name] = OrderParameter._from_state(path, one, parts[name])
    return models, header["about"]


def by_species(
    models: Mapping[int, OrderParameter], X: np.ndarray, typeid: np.ndarray
) -> np.ndarray:
    """P_red of all particles of a mixture, each species by its own model.

    Parameters
    ----------
    models : mapping of int to OrderParameter
        One for each type id that occurs.
    X : (N, d) float array
        Descriptors of all particles.
    typeid : (N,) int array
        ``frame.particles.typeid``.

    Returns
    -------
    (N,) float64 array
        In [0, 1].

    Raises
    ------
    ValueError
        For a species without a model, or a table of another length.
    """
    X, typeid = np.asarray(X), np.asarray(typeid)
    if X.ndim != 2 or typeid.shape != (len(X),):
        raise ValueError(
            f"X and typeid have shapes {X.shape} and {typeid.shape}; expected (N, d) and (N,)."
        )
    without = sorted(set(np.unique(typeid).tolist()) - set(models))
    if without:
        raise ValueError(f"no model for type id {without[0]}; expected one for each species.")
    P = np.empty(len(X))
    for kind in np.unique(typeid):
        P[typeid == kind] = models[int(kind)].predict_proba(X[typeid == kind])
    return P


# ------------------------------------------------------------------------------------- network

Layers = list[tuple[np.ndarray, np.ndarray]]


def _split(theta: np.ndarray, shapes: list[tuple[int, int]]) -> Layers:
    """Weights and biases of the layers as views of one vector."""
    ends = np.cumsum([size for a, b in shapes for size in (a * b, b)])[:-1]
    parts = np.split(theta, ends)
    return [(parts[2 * k].reshape(s), parts[2 * k + 1]) for k, s in enumerate(shapes)]


def _half(x: np.ndarray, layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Encoder or decoder: hidden tanh layer, and the linear one behind it."""
    (w, b), (v, c) = layers
    hidden = np.tanh(x @ w + b)
    return hidden, hidden @ v + c


def _forward(x: np.ndarray, layers: Layers) -> tuple[np.ndarray, ...]:
    """Hidden layer, bottleneck, hidden layer, restored rows."""
    first, z = _half(x, layers[:2])
    return first, z, *_half(z, layers[2:])


def _backward(x: np.ndarray, layers: Layers, slopes: Layers) -> None:
    """Write the gradient of the mean squared error into ``slopes``."""
    first, z, second, restored = _forward(x, layers)
    delta = (restored - x) * (2 / x.size)
    for k, below in ((3, second), (2, z), (1, first), (0, x)):
        np.matmul(below.T, delta, out=slopes[k][0])
        delta.sum(axis=0, out=slopes[k][1])
        if k:
            delta = delta @ layers[k][0].T
            if k != 2:  # what lies below is a tanh layer
                delta *= 1 - below * below


class _Adam:
    """Kingma and Ba, arXiv:1412.6980, algorithm 1, with their constants."""

    def __init__(
        self, theta: np.ndarray, gradient: np.ndarray, rate: float, weight_decay: float
    ) -> None:
        self.theta, self.gradient, self.rate, self.decay = theta, gradient, rate, weight_decay
        self.first, self.second, self.steps = np.zeros_like(theta), np.zeros_like(theta), 0

    def step(self) -> None:
        self.steps += 1
        slope = self.gradient + self.decay * self.theta
        self.first += 0.1 * (slope - self.first)
        self.second += 0.001 * (slope * slope - self.second)
        rate = self.rate / (1 - 0.9**self.steps)
        size = np.sqrt(self.second / (1 - 0.999**self.steps)) + 1e-8
        self.theta -= rate * self.first / size


# ------------------------------------------------------------------------------------- helpers


def _rows(
    X: np.ndarray, *, columns: int | None = None, least: int = 1, name: str = "X"
) -> np.ndarray:
    """(N, d) float64, checked."""
    X = np.ascontiguousarray(X, dtype=np.float64)
    if X.ndim != 2 or X.shape[1] == 0 or (columns is not None and X.shape[1] != columns):
        expected = "d" if columns is None else columns
        raise ValueError(f"{name} has shape {X.shape}; expected (N, {expected}), a row a particle.")
    if len(X) < least:
        raise ValueError(
            f"{name} has {len(X)} rows; expected at least {least}, the particles of one species "
            "of a snapshot."
        )
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if len(bad):
        raise ValueError(
            f"row {bad[0]} of {name} is not finite ({len(bad)} such rows in all). A particle "
            "without neighbours has no bond order; leave such particles out."
        )
    return X


def _scaling(X: np.ndarray, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and what to divide by: a constant descriptor stays 0."""
    mean, spread = X.mean(axis=0), X.std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    if not varies.any():
        raise ValueError(f"none of the {X.shape[1]} descriptors varies between the {len(X)} rows.")
    if not standardize:
        return mean, np.full(X.shape[1], np.sqrt(np.mean(spread**2)))
    return mean, np.where(varies, spread, 1.0)


def _plain(parameters: dict) -> dict:
    """Parameters as JSON has them, numpy's numbers turned into Python's."""
    return json.loads(json.dumps(parameters, default=lambda value: value.tolist()))
