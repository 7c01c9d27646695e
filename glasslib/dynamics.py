"""Labels: what moved, how far, and how well that is known."""

from __future__ import annotations

import numpy as np


def displacement(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Distances ``|r(t) − r(0)|`` between unwrapped positions.

    Parameters
    ----------
    initial : (N, d) array, σ_AA
        Unwrapped, e.g. :func:`glasslib.frames.unwrapped`.
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


def noise_ceiling(mean: np.ndarray, variance: np.ndarray, n_replicas: int) -> float:
    r"""Highest Pearson correlation any predictor can have with a replica average.

    With :math:`v_i` the variance over replicas of particle *i* and :math:`D_i` its mean over
    M replicas, the reliability is :math:`R = 1 - \overline{v_i/M} / \mathrm{var}_i(D_i)` and
    the ceiling :math:`\sqrt R` (classical test theory: the noise of the mean is not
    predictable, the rest is).

    Parameters
    ----------
    mean : (N,) array
        Averages over replicas, of one species at one time.
    variance : (N,) array
        Unbiased variances over replicas.
    n_replicas : int
        M, at least 2.

    Returns
    -------
    float
        In [0, 1]; 0 where the noise exceeds the signal.
    """
    mean, variance = np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)
    if mean.shape != variance.shape or mean.ndim != 1 or len(mean) < 3:
        raise ValueError(
            f"mean and variance have shapes {mean.shape} and {variance.shape}; expected equal "
            "(N,) with N at least 3."
        )
    if n_replicas < 2:
        raise ValueError(f"n_replicas is {n_replicas}; a ceiling needs at least 2.")
    spread = mean.var(ddof=1)
    if spread == 0:
        return 0.0
    return float(np.sqrt(max(0.0, 1.0 - np.mean(variance) / n_replicas / spread)))
