"""Clusters of particles in an embedding, their averages, and the patches to compare them with.

OPTICS (Ankerst et al. 1999) is scikit-learn's; what is added here is the cosine distance computed
once, averages over clusters, and two null controls: spatially compact patches of the same sizes
as the clusters found, and the same labels dealt to other particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glasslib import frames
from glasslib.frames import Frame

if TYPE_CHECKING:
    from sklearn.cluster import OPTICS

NOISE = -1  #: label of particles that belong to no cluster, as in scikit-learn


def cosine_distance(embedding: np.ndarray) -> np.ndarray:
    """1 − cos of the angle between the rows of ``embedding``.

    Parameters
    ----------
    embedding : (N, hidden) float array

    Returns
    -------
    (N, N) float64 array
        In [0, 2], symmetric, zero on the diagonal.

    Raises
    ------
    ValueError
        If the embedding is not a finite table, or a row is zero and has no direction.
    """
    z = np.asarray(embedding, dtype=np.float64)
    if z.ndim != 2 or len(z) < 2:
        raise ValueError(f"embedding has shape {z.shape}; expected (N, hidden), N ≥ 2.")
    norm = np.linalg.norm(z, axis=1)
    if not np.all(np.isfinite(norm)) or np.any(norm == 0):
        bad = int(np.flatnonzero(~np.isfinite(norm) | (norm == 0))[0])
        raise ValueError(
            f"row {bad} of the embedding has length {norm[bad]}; expected a finite, non-zero "
            "vector. The network has diverged or collapsed."
        )
    unit = z / norm[:, None]
    distance = 1.0 - unit @ unit.T
    distance = np.clip((distance + distance.T) / 2, 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    return distance


def optics(
    embedding: np.ndarray,
    *,
    min_samples: int = 5,
    max_eps: float = 5.0,
    metric: str = "cosine",
    **options: object,
) -> OPTICS:
    """Cluster the rows of an embedding by OPTICS.

    Parameters
    ----------
    embedding : (N, hidden) float array
    min_samples : int
        Points, itself included, that make a core point.
    max_eps : float
        Largest distance looked at. The paper's 5 is above 2, the largest cosine distance, so it
        does not bind.
    metric : str
        ``"cosine"`` is computed once as a matrix, several times faster than letting scikit-learn
        call it point by point; any other goes to scikit-learn as it is.
    **options
        Further arguments of :class:`sklearn.cluster.OPTICS`, ``xi`` for one.

    Returns
    -------
    sklearn.cluster.OPTICS
        Fitted: ``labels_`` (N,) int with −1 for noise, ``reachability_`` (N,) float,
        ``ordering_`` (N,) int; the reachability plot is ``reachability_[ordering_]``.
    """
    from sklearn import config_context
    from sklearn.cluster import OPTICS

    if metric == "cosine":
        data, metric = cosine_distance(embedding), "precomputed"
    else:
        data = np.asarray(embedding, dtype=np.float64)
    if len(data) < min_samples:
        raise ValueError(
            f"the embedding has {len(data)} rows; expected at least min_samples = {min_samples}."
        )
    if not np.all(np.isfinite(data)):
        raise ValueError("the embedding holds NaN or infinity; the network has diverged.")
    estimator = OPTICS(min_samples=min_samples, max_eps=max_eps, metric=metric, **options)
    # The input is checked; scikit-learn would check it again for each of the N points. Equal rows
    # have zero reachability, whose ratios it takes (and handles) with a warning.
    with (
        config_context(assume_finite=True, skip_parameter_validation=True),
        np.errstate(divide="ignore", invalid="ignore"),
    ):
        return estimator.fit(data)


def _labels(labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels have shape {labels.shape} and type {labels.dtype}; expected (N,) integers "
            "with -1 for noise."
        )
    return labels


def cluster_sizes(labels: np.ndarray) -> np.ndarray:
    """(n_clusters,) int64: particles in clusters 0, 1, …; noise (−1) is not counted."""
    labels = _labels(labels)
    return np.bincount(labels[labels >= 0]).astype(np.int64)


def cluster_means(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Average of a per-particle quantity over each cluster.

    With squared displacements this is eq. 4 of Bihani et al. (2022).

    Parameters
    ----------
    labels : (N,) int array
        Cluster of each particle, −1 for noise.
    values : (N,) or (N, m) array

    Returns
    -------
    (n_clusters,) or (n_clusters, m) float64 array
        Noise is left out; NaN for a number that no particle carries.
    """
    labels, values = _labels(labels), np.asarray(values, dtype=np.float64)
    if len(values) != len(labels):
        raise ValueError(f"{len(values)} values for {len(labels)} labels; expected one for each.")
    inside = labels >= 0
    count = np.bincount(labels[inside])
    total = np.zeros((len(count), *values.shape[1:]))
    np.add.at(total, labels[inside], values[inside])
    with np.errstate(invalid="ignore"):
        return total / count.reshape(-1, *[1] * (values.ndim - 1))


def random_patches(frame: Frame, sizes: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Disjoint, spatially compact patches that know nothing but positions.

    The null control for clusters of an embedding that knows where particles are: each patch is a
    random free particle with its nearest free particles, periodic images counted. Larger patches
    are placed first, so that they stay compact; small ones may spread into what is left.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
    sizes : (n_clusters,) ints
        Particles of each patch; those of the clusters to be compared with.
    rng : numpy.random.Generator

    Returns
    -------
    (N,) int64 array
        Patch *k* has ``sizes[k]`` particles; the rest is −1.
    """
    import freud

    sizes = np.asarray(sizes, dtype=np.int64)
    n = frame.particles.N
    if sizes.ndim != 1 or np.any(sizes < 1) or sizes.sum() > n:
        raise ValueError(
            f"sizes {sizes.tolist()} add up to {sizes.sum()}; expected positive numbers that add "
            f"up to at most the {n} particles."
        )
    frames.check(frame)
    box = freud.box.Box.from_box(frame.configuration.box)
    position = np.asarray(frame.particles.position, dtype=np.float32)
    labels = np.full(n, NOISE, dtype=np.int64)
    for k in np.argsort(-sizes, kind="stable"):
        free = np.flatnonzero(labels == NOISE)
        centre = rng.choice(free)
        distance = box.compute_all_distances(position[centre][None], position[free])[0]
        labels[free[np.argsort(distance, kind="stable")[: sizes[k]]]] = k
    return labels


def permuted(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same labels dealt to the particles at random: clusters without any cohesion."""
    return rng.permutation(_labels(labels))
