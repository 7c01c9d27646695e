r"""What the two groups of an order parameter are, and whether they are two.

Structure alone: the mean of every descriptor in either group, the clusters that their particles
belong to (topological cluster classification, Malins et al., J. Chem. Phys. 139, 234506 (2013)),
one Gaussian against two, and what one number, or another encoder, says of the same particles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glasslib import frames, neighbors, rings, scores
from glasslib.frames import Frame
from glasslib.models.autoencoder import Autoencoder, OrderParameter, explained_variance_curve

#: names of the clusters, in the order of the columns of :func:`glasslib.rings.membership`
CLUSTERS = tuple(rings.NAMES)


def crystal(kind: str, n: int = 4) -> Frame:
    """fcc or hcp with twelve nearest neighbours at distance 1, 4 n³ particles in a periodic box.

    Its bond orders are known: Steinhardt, Nelson, Ronchetti, Phys. Rev. B 28, 784 (1983).
    """
    known = {
        "fcc": ([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], [np.sqrt(2)] * 3),
        "hcp": (
            [[0, 0, 0], [0.5, 0.5, 0], [0.5, 5 / 6, 0.5], [0, 1 / 3, 0.5]],
            [1, np.sqrt(3), np.sqrt(8 / 3)],
        ),
    }
    if kind not in known:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(known)}.")
    basis, edges = (np.array(x, dtype=float) for x in known[kind])
    cells = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    x = (cells[:, None] + basis).reshape(-1, 3) * edges
    return frames.build(x, n * edges, np.zeros(len(x), int), types=("A",))


def contrast_groups(X: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Mean of each descriptor in the red group minus the white, in standard deviations, (d,).

    Weighted by membership: ``P`` (n,) counts for red, ``1 − P`` for white. ``X`` is (n, d).
    """
    X, P = np.asarray(X, dtype=float), np.asarray(P, dtype=float)
    red = (P[:, None] * X).sum(axis=0) / P.sum()
    white = ((1 - P)[:, None] * X).sum(axis=0) / (1 - P).sum()
    return (red - white) / X.std(axis=0)


def count_clusters(frame: Frame) -> np.ndarray:
    """(N, 9) how many clusters of each of :data:`CLUSTERS` every particle belongs to.

    Bonds are those of the modified Voronoi construction, f_c = 0.82, of the classification.
    """
    return rings.membership(neighbors.modified_voronoi(frame)).astype(float)


@dataclass(frozen=True)
class Membership:
    """Result of :func:`correlate_clusters`: (9,) each, in the order of :data:`CLUSTERS`."""

    r: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def of(self, cluster: str) -> tuple[float, float, float]:
        """Spearman correlation with one kind, and 95 % over particles."""
        j = CLUSTERS.index(cluster)
        return float(self.r[j]), float(self.low[j]), float(self.high[j])

    @property
    def highest(self) -> str:
        """The kind that goes with red the most."""
        return CLUSTERS[int(np.argmax(self.r))]


def correlate_clusters(
    P: np.ndarray, counts: np.ndarray, *, n_boot: int = 500, seed: int = 0
) -> Membership:
    """Spearman correlation of P_red with the number of clusters of each kind, over particles.

    Parameters
    ----------
    P : (n,) float array
        Of one species.
    counts : (n, 9) float array
        The same rows of :func:`count_clusters`.
    """
    return Membership(*scores.correlate_times(P, counts, n_boot=n_boot, seed=seed))


def share_in_clusters(counts: np.ndarray) -> np.ndarray:
    """(9,) share of particles that are in a cluster of each kind at all."""
    return (np.asarray(counts) > 0).mean(axis=0)


@dataclass(frozen=True)
class Evidence:
    """Result of :func:`weigh_two`: one Gaussian against two, in one cloud of particles.

    Attributes
    ----------
    gain : float
        Bayesian information criterion of the best single Gaussian minus that of the best two.
        Above 10: more than one; below −10: one; between, nothing is decided (Kass and Raftery,
        J. Am. Stat. Assoc. 90, 773 (1995)).
    smaller : float
        Share of the smaller of the best two.
    likeness : float
        |Pearson r| of its membership with P_red.
    """

    gain: float
    smaller: float
    likeness: float

    @property
    def interval(self) -> tuple[float, float, float]:
        """The gain, and what would still be undecided about it."""
        return self.gain, self.gain - 10, self.gain + 10


def weigh_two(model: OrderParameter, X: np.ndarray) -> Evidence:
    """Whether the best two Gaussians describe (n, d) descriptors better than the best one.

    The mixture behind P_red stops early; these are run to convergence
    (:meth:`OrderParameter.converged`).
    """
    z = model.coordinates(X)
    one, two = (model.converged(X, n=n) for n in (1, 2))
    r = np.corrcoef(two.predict_proba(z)[:, 0], model.predict_proba(X))[0, 1]
    return Evidence(float(one.bic(z) - two.bic(z)), float(two.weights_.min()), abs(float(r)))


def explain_variance(
    X: np.ndarray, widths: Sequence[int], *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Variance explained by autoencoders and by as many principal components, (n_widths,) each."""
    deep = explained_variance_curve(X, c=widths, seeds=[seed])[:, 0]
    power = np.linalg.svd((X - X.mean(axis=0)) / X.std(axis=0), compute_uv=False) ** 2
    return deep, np.cumsum(power)[np.array(widths) - 1] / power.sum()


def learn_on(X: np.ndarray, *, epochs: int, seed: int = 0) -> np.ndarray:
    """Held-out loss, (epochs + 1,), of a training that goes on without weight decay or stop."""
    options = {"learning_rate": 3e-3, "tol": 0, "patience": epochs, "epochs": epochs}
    history = Autoencoder(seed=seed, **options).fit(X).history_
    return np.array([row["held_out"] for row in history])


def compare_encoders(
    reference: np.ndarray, others: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Spearman correlation of P_red (n,) with what other encoders say, (n_networks, n) each."""
    return {
        label: np.array([
            scores.correlate(row, reference, method="spearman", n_boot=0).r
            for row in np.atleast_2d(many)
        ])
        for label, many in others.items()
    }  # fmt: skip
