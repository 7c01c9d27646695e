"""Who moved how far: displacements, the propensity, motion out of the cage.

Positions are unwrapped arrays, (N, d) with d = 2 or 3, of the species that the caller picks;
``final`` may hold M replicas (or times) in front. For a 2D frame take the first two columns of
:func:`glasslib.snapshots.unwrapped`.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array

from glasslib.neighbors import Neighbors


def displacement(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Distances ``|r(t) − r(0)|`` between unwrapped positions.

    Parameters
    ----------
    initial : (N, d) array, σ_AA
        Unwrapped, e.g. :func:`glasslib.snapshots.unwrapped`.
    final : (N, d) or (M, N, d) array, σ_AA
        Unwrapped relative to ``initial``; M replicas. No minimum image is taken.

    Returns
    -------
    (N,) or (M, N) float64 array, σ_AA
    """
    initial, final = np.asarray(initial, dtype=float), np.asarray(final, dtype=float)
    if initial.ndim != 2 or final.shape[-2:] != initial.shape or final.ndim not in (2, 3):
        raise ValueError(
            f"initial has shape {initial.shape} and final {final.shape}; expected (N, d) and "
            "(N, d) or (M, N, d)."
        )
    for name, x in (("initial", initial), ("final", final)):
        if not np.all(np.isfinite(x)):
            raise ValueError(f"{name} holds values that are not finite; expected positions.")
    return np.linalg.norm(final - initial, axis=-1)


def propensity(initial: np.ndarray, final: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Propensity and its variance over replicas.

    :math:`D_i = \langle |\mathbf r_i(t) - \mathbf r_i(0)| \rangle` over M velocity draws
    (Widmer-Cooper, Harrowell and Fynewever, PRL 93, 135701 (2004)).

    Parameters
    ----------
    initial : (N, d) array
    final : (M, N, d) array
        See :func:`displacement`.

    Returns
    -------
    mean, variance : (N,) float64 arrays
        Variance is the unbiased one over the M replicas (0 for M = 1).
    """
    r = np.atleast_2d(displacement(initial, final))
    return r.mean(axis=0), (r.var(axis=0, ddof=1) if len(r) > 1 else np.zeros(r.shape[1]))


def cage_relative(initial: np.ndarray, final: np.ndarray, near: Neighbors) -> np.ndarray:
    r"""Displacements relative to those of the neighbours at the start.

    .. math:: \mathbf u_i = \Delta\mathbf r_i - \frac{1}{n_i} \sum_{j} \Delta\mathbf r_j

    In two dimensions sound waves of the size of the box carry a particle and its cage far
    together, the farther the larger the box (Mermin and Wagner): plain displacements then say
    little about leaving the cage. Illing et al., Proc. Natl. Acad. Sci. 114, 1856 (2017).

    Parameters
    ----------
    initial : (N, d) array, σ_AA
        Unwrapped.
    final : (N, d) or (M, N, d) array, σ_AA
        Unwrapped relative to ``initial``, as for :func:`displacement`.
    near : Neighbors
        Of the start, for example :func:`glasslib.neighbors.voronoi`.

    Returns
    -------
    (N, d) or (M, N, d) float64 array, σ_AA
        Vectors. A particle without neighbours keeps its plain displacement.
    """
    displacement(initial, final)  # checks shapes and numbers
    moved = np.asarray(final, dtype=float) - np.asarray(initial, dtype=float)
    if len(near.offsets) != moved.shape[-2] + 1:
        raise ValueError(
            f"near is a list for {len(near.offsets) - 1} particles; the positions are those of "
            f"{moved.shape[-2]}."
        )
    source, n = near.source, moved.shape[-2]
    share = coo_array((1.0 / near.counts[source], (source, near.index)), shape=(n, n)).tocsr()
    if moved.ndim == 2:
        return moved - share @ moved
    return np.stack([one - share @ one for one in moved])


def mean_squared_displacement(initial: np.ndarray, final: np.ndarray) -> float | np.ndarray:
    """Mean over particles of ``|r(t) − r(0)|²``, σ_AA².

    Parameters
    ----------
    initial : (N, d) array
    final : (N, d) or (M, N, d) array
        See :func:`displacement`. The motion of the centre of mass is not taken out.

    Returns
    -------
    float or (M,) float64 array
    """
    squared = (displacement(initial, final) ** 2).mean(axis=-1)
    return squared if squared.ndim else float(squared)
