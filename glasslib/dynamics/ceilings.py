"""How well an average over draws is known: the highest correlation that any predictor can reach."""

from __future__ import annotations

import numpy as np

from glasslib.frames import Frame


def noise_ceiling(mean: np.ndarray, variance: np.ndarray, n_replicas: int) -> float | np.ndarray:
    r"""Highest Pearson correlation any predictor can have with a replica average.

    With :math:`v_i` the variance over replicas of particle *i* and :math:`D_i` its mean over
    M replicas, the reliability is :math:`R = 1 - \overline{v_i/M} / \mathrm{var}_i(D_i)` and
    the ceiling :math:`\sqrt R` (classical test theory: the noise of the mean is not
    predictable, the rest is).

    Parameters
    ----------
    mean : (N,) or (N, n_times) array
        Averages over replicas, of one species, at one time or several.
    variance : array of the same shape
        Unbiased variances over replicas.
    n_replicas : int
        M, at least 2.

    Returns
    -------
    float or (n_times,) float64 array
        In [0, 1]; 0 where the noise exceeds the signal.
    """
    mean, variance = np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)
    if mean.shape != variance.shape or mean.ndim not in (1, 2) or len(mean) < 3:
        raise ValueError(
            f"mean and variance have shapes {mean.shape} and {variance.shape}; expected equal "
            "(N,) or (N, n_times) with N at least 3."
        )
    if n_replicas < 2:
        raise ValueError(f"n_replicas is {n_replicas}; a ceiling needs at least 2.")
    signal, noise = mean.var(axis=0, ddof=1), variance.mean(axis=0) / n_replicas
    share = np.divide(noise, signal, out=np.ones_like(signal), where=signal > 0)
    ceiling = np.sqrt(np.maximum(0.0, 1.0 - share))
    return float(ceiling) if mean.ndim == 1 else ceiling


def ceiling(
    frame: Frame, include: np.ndarray | None = None, *, label: str = "propensity"
) -> np.ndarray:
    """:func:`noise_ceiling` of an isoconfigurational ensemble, at all its times.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        From :func:`glasslib.simulate.isoconfigurational`.
    include : (N,) bool array, optional
        Particles that are predicted, such as those of one species; all by default.
    label : str
        Which label, ``"propensity"`` or ``"cage_relative_propensity"``.

    Returns
    -------
    (n_times,) float64 array
        In [0, 1].

    Raises
    ------
    ValueError
        If the frame holds no such label, no variance of it, or no count of its draws.
    """
    needed = [f"particles/{label}", f"particles/{label}_variance"]
    missing = [name for name in needed if name not in frame.log]
    draws = [len(v) for k, v in frame.log.items() if k.startswith("msd_")]
    if missing or not draws:
        raise ValueError(
            f"the frame has no {' or '.join(missing or ['msd_A, … of its draws'])}; expected one "
            "of simulate.isoconfigurational. For other data call noise_ceiling."
        )
    keep = slice(None) if include is None else np.asarray(include)
    return noise_ceiling(*(frame.log[name][keep] for name in needed), draws[0])


def split_half_ceiling(
    replicas: np.ndarray, *, method: str = "pearson", n_splits: int = 100, seed: int = 0
) -> float:
    r"""Ceiling of :func:`noise_ceiling` by brute force, from averages over halves of the replicas.

    With r the mean correlation of averages over two disjoint random halves, the reliability of
    the average over all M is :math:`R = nr / (1 + (n-1)r)`, n = M / (replicas of a half)
    (Spearman 1910, Brown 1910), and the ceiling :math:`\sqrt R`.

    Parameters
    ----------
    replicas : (M, N) array
        One row a replica, e.g. :func:`glasslib.dynamics.displacement`; of one species and time.
    method : {"pearson", "spearman"}
        Correlation that the ceiling is for. For Spearman's the step from halves to the whole is
        an approximation, good as long as ranks respond to noise about as values do.
    n_splits : int
        Random splits that are averaged.
    seed : int

    Returns
    -------
    float
        In [0, 1]; 0 where halves do not correlate.
    """
    from scipy.stats import rankdata

    replicas = np.asarray(replicas, dtype=float)
    if replicas.ndim != 2 or len(replicas) < 2 or replicas.shape[1] < 3:
        raise ValueError(
            f"replicas has shape {replicas.shape}; expected (M, N), M at least 2, N at least 3."
        )
    if not np.all(np.isfinite(replicas)):
        raise ValueError("replicas hold values that are not finite.")
    if method not in ("pearson", "spearman"):
        raise ValueError(f"method is {method!r}; expected pearson or spearman.")
    m = len(replicas)
    half = m // 2
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_splits):
        order = rng.permutation(m)
        parts = [replicas[order[k * half : (k + 1) * half]].mean(axis=0) for k in (0, 1)]
        if method == "spearman":
            parts = [rankdata(p) for p in parts]
        if any(np.ptp(p) == 0 for p in parts):
            return 0.0
        found.append(np.corrcoef(*parts)[0, 1])
    r, times = float(np.mean(found)), m / half
    return float(np.sqrt(times * r / (1 + (times - 1) * r))) if r > 0 else 0.0
