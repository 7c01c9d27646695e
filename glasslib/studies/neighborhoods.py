"""Neighbourhoods in three dimensions: crystals to check with, clusters, a training that goes on.

Clusters are those of the topological cluster classification (Malins et al., J. Chem. Phys. 139,
234506 (2013)); whether two groups are two is asked in :mod:`glasslib.studies.groups`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glasslib import frames, neighbors, rings, scores
from glasslib.frames import Frame
from glasslib.models.autoencoder import Autoencoder

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


def learn_on(X: np.ndarray, *, epochs: int, seed: int = 0) -> np.ndarray:
    """Held-out loss, (epochs + 1,), of a training that goes on without weight decay or stop."""
    options = {"learning_rate": 3e-3, "tol": 0, "patience": epochs, "epochs": epochs}
    history = Autoencoder(seed=seed, **options).fit(X).history_
    return np.array([row["held_out"] for row in history])
