"""How long relaxation takes: fits, crossings and the slope of the mean-squared displacement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from glasslib.frames import Frame


class RelaxationTime(NamedTuple):
    """Result of :func:`relaxation_time`; times in the unit of its ``times``."""

    tau: float  #: of the stretched exponential
    tau_error: float  #: one standard error
    beta: float
    gamma: float
    tau_1e: float  #: where the scattering function itself crosses 1/e; NaN where it does not
    window: tuple[float, float]  #: first and last time of the fit


class Diffusion(NamedTuple):
    """Result of :func:`diffusion`."""

    D: float  #: diffusion coefficient, σ_AA² a unit of time
    D_error: float  #: one standard error
    window: tuple[float, float]  #: first and last time of the fit


def relaxation_time(
    times: np.ndarray,
    isf: np.ndarray,
    *,
    uncertainty: np.ndarray | None = None,
    window: tuple[float, float] | None = None,
    n_boot: int = 200,
    seed: int = 0,
) -> RelaxationTime:
    r"""Structural relaxation time: stretched exponential fitted to the long-time decay.

    :math:`F(t) = \gamma\, e^{-(t/\tau_\alpha)^\beta}` by least squares in F (Boattini et al.,
    Nat. Commun. 11, 5479 (2020), Methods). Note that :math:`F(\tau_\alpha) = \gamma/e`; papers
    that say "F = 1/e" mean ``tau_1e``.

    The window ends where F first falls below 0.02. It begins as early as the form still holds:
    at the first time from which the fit leaves a root-mean-square residual within 0.005, or
    within 1.5 times the least one of any start where the data are noisier. What comes before,
    the microscopic decay to the plateau, does not have this form.

    Parameters
    ----------
    times : (n_times,) array
        Ascending; t = 0 is left out. About ten a decade serve well.
    isf : (n_times,) or (M, n_times) array
        Scattering function, or one a replica or block; then the mean is fitted.
    uncertainty : (n_times,) array, optional
        Standard errors of (the mean) ``isf``, to weight the fit with.
    window : (float, float), optional
        First and last time to fit, in place of the rule.
    n_boot : int
        Bootstrap resamplings of the M rows.
    seed : int

    Returns
    -------
    RelaxationTime
        ``tau_error`` comes from the bootstrap over rows (M > 1), else from the covariance of
        the fit. The latter takes errors at different times as independent: for one trajectory
        they are not, and it is too small. Neither includes the choice of the window.

    Raises
    ------
    ValueError
        Where F does not decay far enough within ``times``, or too few times lie in the window.
    """
    t, rows = _curves(times, isf, "isf")
    mean = rows.mean(axis=0)
    sigma = None
    if uncertainty is not None:
        sigma = np.asarray(uncertainty, dtype=float)
        later = np.asarray(times, dtype=float) > 0
        if sigma.shape != later.shape or not np.all(sigma[later] > 0):
            raise ValueError(
                f"uncertainty has shape {sigma.shape}; expected {later.shape}, positive."
            )
        sigma = sigma[later]
    if mean.min() > 0.5:
        raise ValueError(
            f"the scattering function falls only to {mean.min():.3g} by t = {t[-1]:.6g}; expected "
            "below about 0.3, where it has relaxed. Run longer."
        )
    if window is None:
        first, last = _decay(t, mean, sigma)
    else:
        first, last = np.searchsorted(t, window[0]), np.searchsorted(t, window[1], side="right")
        if last - first < 4:
            raise ValueError(f"{last - first} times lie within {window}; the fit needs at least 4.")
    inside = slice(first, last)
    fit = _stretched(t[inside], mean[inside], None if sigma is None else sigma[inside])
    if fit is None:
        raise ValueError("no stretched exponential fits the scattering function; check the data.")
    (ln_tau, ln_beta, ln_gamma), covariance = fit
    tau = float(np.exp(ln_tau))
    if tau > t[-1]:
        raise ValueError(
            f"the scattering function falls only to {mean.min():.3g} by t = {t[-1]:.6g}, not to "
            f"gamma/e = {np.exp(ln_gamma - 1):.3g}; the fit would extrapolate to tau = {tau:.4g}. "
            "Run longer."
        )
    error = float(np.sqrt(covariance[0, 0]))
    if len(rows) > 1:
        rng = np.random.default_rng(seed)
        weights = None if sigma is None else sigma[inside]
        drawn = [
            _stretched(t[inside], rows[rng.integers(len(rows), size=len(rows))].mean(0)[inside],
                       weights, start=(ln_tau, ln_beta, ln_gamma))
            for _ in range(n_boot)
        ]  # fmt: skip
        drawn = [d[0][0] for d in drawn if d is not None]
        # a bootstrap of M rows sees the variance (M - 1)/M of the true one
        error = float(np.std(drawn) * np.sqrt(len(rows) / (len(rows) - 1)))
    return RelaxationTime(
        tau, tau * error, float(np.exp(ln_beta)), float(np.exp(ln_gamma)),
        crossing(t, mean, np.exp(-1)), (float(t[first]), float(t[last - 1])),
    )  # fmt: skip


def _curves(times: np.ndarray, values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times after 0 (n,), and rows (M, n) of values there."""
    t, rows = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    if t.ndim != 1 or rows.ndim not in (1, 2) or rows.shape[-1] != len(t):
        raise ValueError(
            f"times and {name} have shapes {t.shape} and {rows.shape}; expected (n_times,) and "
            "(n_times,) or (M, n_times)."
        )
    rows = np.atleast_2d(rows)
    if not (np.all(np.isfinite(t)) and np.all(np.isfinite(rows)) and len(rows)):
        raise ValueError(f"times or {name} hold values that are not finite.")
    if np.any(np.diff(t) <= 0) or np.any(t < 0) or not np.any(t > 0):
        raise ValueError("times must ascend from 0 and go beyond it; sort them.")
    return t[t > 0], rows[:, t > 0]


def _stretched(
    t: np.ndarray, f: np.ndarray, sigma: np.ndarray | None, start: tuple | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """(ln τ, ln β, ln γ) and covariance of the least-squares fit; None where there is none."""
    import warnings

    from scipy.optimize import OptimizeWarning, curve_fit

    def form(t, ln_tau, ln_beta, ln_gamma):
        return np.exp(ln_gamma - np.exp(np.exp(ln_beta) * (np.log(t) - ln_tau)))

    if start is None:
        top = max(f[0], 1e-3)
        below = np.flatnonzero(f < top / np.e)
        start = (np.log(t[below[0]] if len(below) else t[-1]), np.log(0.8), np.log(top))
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore", OptimizeWarning)
        try:
            found, covariance = curve_fit(form, t, f, start, sigma, sigma is not None, maxfev=2000)
        except RuntimeError:
            return None
    return (found, covariance) if np.all(np.isfinite(covariance)) else None


def _decay(t: np.ndarray, f: np.ndarray, sigma: np.ndarray | None) -> tuple[int, int]:
    """First and after-last index of the long-time decay; the rule of relaxation_time."""
    below = np.flatnonzero(f < 0.02)
    last = int(below[0]) + 1 if len(below) else len(t)
    residual = {}
    for first in range(last - 5):
        if f[first] < f[last - 1] + 0.15 or (residual and (f[first] < 0.25 or last - first < 7)):
            break  # too little of the decay is left to tell a misfit from noise
        part = slice(first, last)
        fit = _stretched(t[part], f[part], None if sigma is None else sigma[part])
        if fit is not None and fit[0][2] < 0.1:  # a plateau above 1 is no plateau
            ln_tau, ln_beta, ln_gamma = fit[0]
            form = np.exp(ln_gamma - (t[part] / np.exp(ln_tau)) ** np.exp(ln_beta))
            residual[first] = np.sqrt(np.sum((f[part] - form) ** 2) / (last - first - 3))
    if not residual:
        raise ValueError(
            f"the {last} times before the scattering function has decayed show no final decay to "
            "fit three parameters to; sample about ten times a decade, or give window=."
        )
    allowed = max(0.005, 1.5 * min(residual.values()))
    return next(i for i, r in residual.items() if r <= allowed), last


def crossing(t: np.ndarray, f: np.ndarray, level: float) -> float:
    """Where a decaying function first falls through ``level``, such as 1/e.

    Parameters
    ----------
    t : (n,) array
        Ascending positive times.
    f : (n,) or (n_curves, n) array
        The function there; of several curves, such as one a velocity draw, the mean is taken.

    Returns
    -------
    float
        Linear in f against ln t between samples; NaN where f does not cross.

    Raises
    ------
    ValueError
        For a function that is not sampled at these times.
    """
    t, f = np.asarray(t, dtype=float), np.asarray(f, dtype=float)
    if t.ndim != 1 or f.ndim not in (1, 2) or f.shape[-1] != len(t):
        raise ValueError(
            f"t and f have shapes {t.shape} and {f.shape}; expected (n,) and (n,) or (n_curves, n)."
        )
    f = f.mean(axis=0) if f.ndim == 2 else f
    below = np.flatnonzero(f < level)
    if len(below) == 0 or below[0] == 0:
        return float("nan")
    i = below[0]
    part = (f[i - 1] - level) / (f[i - 1] - f[i])
    return float(t[i - 1] * (t[i] / t[i - 1]) ** part)


def decay_time(
    configurations: Frame | Sequence[Frame], level: float = 1 / np.e, *, curve: str = "self_isf_A"
) -> float:
    """Where the mean scattering function of isoconfigurational runs falls through ``level``.

    Parameters
    ----------
    configurations : frame or sequence of frames
        From :func:`glasslib.simulate.isoconfigurational`, sampled at the same times.
    level : float
        1/e, or 0.27 for the times of GlassBench.
    curve : str
        Entry of the log, one row a velocity draw; the mean is over draws, then configurations.

    Returns
    -------
    float
        τ; the last sample time where the function does not fall so far within the runs, so that
        it can serve as a unit. :func:`crossing` says NaN there.

    Raises
    ------
    ValueError
        For configurations sampled at different times, none at all, or a function that is below
        the level at the first time already.
    """
    if isinstance(configurations, Frame):
        configurations = [configurations]
    if len(configurations) == 0:
        raise ValueError("no configurations; expected at least one.")
    times = np.asarray(configurations[0].log["times"])
    for c, f in enumerate(configurations):
        if np.shape(f.log["times"]) != times.shape or not np.allclose(f.log["times"], times):
            raise ValueError(
                f"configuration {c} is sampled at other times than the first; take the decay time "
                "of each."
            )
    mean = np.mean([f.log[curve].mean(axis=0) for f in configurations], axis=0)
    if mean[0] < level:
        raise ValueError(
            f"{curve} is {mean[0]:.3g} at the first time, {times[0]:.3g}, already below "
            f"{level:.3g}; sample earlier."
        )
    found = crossing(times, mean, level)
    return float(times[-1]) if np.isnan(found) else found


def nearest(times: np.ndarray, t: float) -> int:
    """Index of the sample time nearest to ``t`` on a logarithmic scale.

    Raises
    ------
    ValueError
        For times that are not positive, such as a NaN of :func:`crossing`.
    """
    times = np.asarray(times, dtype=float)
    if not (0 < t < np.inf and times.ndim == 1 and len(times) and np.all(times > 0)):
        raise ValueError(f"t is {t} and times are {times}; expected positive finite times.")
    return int(np.argmin(np.abs(np.log(times / t))))


def diffusion(
    times: np.ndarray,
    msd: np.ndarray,
    *,
    dimensions: int,
    tolerance: float = 0.1,
    n_boot: int = 200,
    seed: int = 0,
) -> Diffusion:
    r"""Diffusion coefficient from the long-time slope of the mean-squared displacement.

    :math:`\langle\Delta r^2\rangle = c + 2dDt` (Einstein), fitted with errors in proportion to
    the MSD over its last stretch with :math:`|d\ln\mathrm{MSD}/d\ln t - 1|` within
    ``tolerance`` (and two standard errors, where there are M rows to know them from). The slope
    at t is that of a straight line through ln MSD from t/3 to 3t (three times at least). The
    offset c is what the cage adds.

    Parameters
    ----------
    times : (n_times,) array
        Ascending; t = 0 is left out.
    msd : (n_times,) or (M, n_times) array, σ_AA²
        Or one a replica or block; then the mean is fitted.
    dimensions : {2, 3}
        In two dimensions long-wavelength fluctuations make D depend on the size of the box.
    n_boot : int
        Bootstrap resamplings of the M rows.
    seed : int

    Returns
    -------
    Diffusion
        ``D_error`` comes from the bootstrap over rows (M > 1), else from the covariance, which
        is too small where errors at different times are correlated.

    Raises
    ------
    ValueError
        Where the MSD is not diffusive over the last three times.
    """
    if dimensions not in (2, 3):
        raise ValueError(f"dimensions is {dimensions!r}; expected 2 or 3.")
    t, rows = _curves(times, msd, "msd")
    mean = rows.mean(axis=0)
    if np.any(mean <= 0) or len(t) < 4:
        raise ValueError(f"{len(t)} times after 0; expected at least 4, with a positive msd.")
    slope = _local_slope(np.log(t), np.log(mean))
    allowed = np.full(len(t), tolerance)
    if (m := len(rows)) > 1:  # and two standard errors, by leaving out each row in turn
        left = (m * mean - rows) / (m - 1)
        slopes = np.stack([_local_slope(np.log(t), np.log(row)) for row in left])
        allowed = tolerance + 2 * np.sqrt((m - 1) * slopes.var(axis=0))
    off = np.flatnonzero(np.abs(slope - 1) > allowed)
    first = off[-1] + 1 if len(off) else 0
    if len(t) - first < 3:
        raise ValueError(
            f"the motion is not yet diffusive: d ln msd / d ln t is {slope[-1]:.3g} at "
            f"t = {t[-1]:.6g}; expected within {tolerance} of 1 over at least three times. Run "
            "longer."
        )
    design = np.column_stack([np.ones_like(t), t])[first:] / mean[first:, None]

    def fit(curve: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(design, curve[first:] / mean[first:], rcond=None)[0]

    found = fit(mean)
    residual = 1.0 - design @ found
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / (len(residual) - 2)
    error = np.sqrt(covariance[1, 1])
    if len(rows) > 1:
        rng = np.random.default_rng(seed)
        drawn = [
            fit(rows[rng.integers(len(rows), size=len(rows))].mean(axis=0))[1]
            for _ in range(n_boot)
        ]
        error = np.std(drawn) * np.sqrt(len(rows) / (len(rows) - 1))
    scale = 2.0 * dimensions
    return Diffusion(float(found[1] / scale), float(error / scale), (float(t[first]), float(t[-1])))


def _local_slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy/dx at each x, of a straight line through what lies within ln 3 (three at least)."""
    slope = np.empty_like(x)
    for i in range(len(x)):
        near = np.abs(x - x[i]) <= np.log(3) * (1 + 1e-9)
        if near.sum() < 3:
            near = np.argsort(np.abs(x - x[i]), kind="stable")[:3]
        slope[i] = np.polyfit(x[near], y[near], 1)[0]
    return slope


def diffusion_time(D: float, *, dimensions: int, sigma: float = 1.0) -> float:
    r"""Time to diffuse one diameter, :math:`\tau_D = \sigma^2 / (2dD)`.

    The time at which the mean-squared displacement reaches :math:`\sigma^2`. Papers differ, by a
    constant: :math:`\sigma^2/D` is common too.
    """
    if not (D > 0 and sigma > 0) or dimensions not in (2, 3):
        raise ValueError(
            f"D is {D}, sigma {sigma}, dimensions {dimensions}; expected positive, and 2 or 3."
        )
    return sigma**2 / (2 * dimensions * D)
