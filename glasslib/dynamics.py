"""Dynamics: what moved, how far, how well that is known, and how long relaxation takes.

Positions are unwrapped arrays, (N, d) with d = 2 or 3, of the species that the caller picks;
``final`` may hold M replicas (or times) in front. For a 2D frame take the first two columns of
:func:`glasslib.snapshots.unwrapped`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array

from glasslib import frames as _frames
from glasslib import structure
from glasslib.frames import Frame
from glasslib.geometry import nearest_image
from glasslib.neighbors import Neighbors, within


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


def self_intermediate_scattering(
    initial: np.ndarray, final: np.ndarray, q: float
) -> float | np.ndarray:
    r"""Self-intermediate scattering function F_s(q, t), averaged over directions of q.

    :math:`F_s(q,t) = \langle e^{i\mathbf q\cdot\Delta\mathbf r}\rangle`: for each particle
    :math:`\sin(qr)/(qr)` in three dimensions and :math:`J_0(qr)` in two.

    Parameters
    ----------
    initial : (N, d) array
    final : (N, d) or (M, N, d) array
        See :func:`displacement`. The number of columns is the dimension: (N, 2) in 2D.
    q : float
        Wave number, 1/σ_AA; customarily the first peak of S(k).

    Returns
    -------
    float or (M,) float64 array
    """
    from scipy.special import j0

    if not (np.isfinite(q) and q > 0):
        raise ValueError(f"q is {q}; expected a positive wave number.")
    r = displacement(initial, final)
    d = np.shape(initial)[1]
    if d not in (2, 3):
        raise ValueError(f"positions have {d} columns; expected 2 or 3.")
    value = (j0(q * r) if d == 2 else np.sinc(q * r / np.pi)).mean(axis=-1)
    return value if value.ndim else float(value)


def wavevectors(
    box: np.ndarray, q: float, *, width: float, n_max: int | None = None, seed: int = 0
) -> np.ndarray:
    """Wave vectors k of a periodic box with ``||k| − q| ≤ width``, one of each ±k.

    Parameters
    ----------
    box : (2,), (3,) or (6,) array, σ_AA
        As for :func:`glasslib.structure.wavevectors`.
    q, width : float, 1/σ_AA
    n_max : int, optional
        Where there are more, this many are chosen at random.
    seed : int

    Returns
    -------
    (K, d) float64 array, 1/σ_AA

    Raises
    ------
    ValueError
        Where the shell holds none; widen it.
    """
    if not (np.isfinite(q) and q > 0 and width >= 0):
        raise ValueError(f"q is {q} and width {width}; expected a positive q, a width from 0.")
    k = structure.wavevectors(box, max(0.0, q - width), q + width)
    if len(k) == 0:
        raise ValueError(f"the box has no wave vector within {width} of {q}; use a larger width.")
    if n_max is not None and len(k) > n_max:
        k = k[np.sort(np.random.default_rng(seed).choice(len(k), n_max, replace=False))]
    return k


def collective_intermediate_scattering(
    initial: np.ndarray, final: np.ndarray, wavevectors: np.ndarray
) -> float | np.ndarray:
    r"""Total (collective) intermediate scattering function F(q, t), normalised to F(q, 0) = 1.

    :math:`F = \mathrm{Re} \sum_k \rho_k(t)\rho_k^*(0) \,/\, \sum_k |\rho_k(0)|^2`
    over the given wave vectors (Boattini et al., Nat. Commun. 11, 5479 (2020), eq. 2).

    Parameters
    ----------
    initial : (N, d) array
    final : (N, d) or (M, N, d) array
        See :func:`displacement`; here wrapped positions do as well.
    wavevectors : (K, d) array, 1/σ_AA
        Of the periodic box, from :func:`wavevectors`.

    Returns
    -------
    float or (M,) float64 array
    """
    displacement(initial, final)  # checks the arrays
    start = structure.density_modes(initial, wavevectors)
    norm = np.sum(np.abs(start) ** 2)

    def one(x: np.ndarray) -> float:
        return float(np.vdot(start, structure.density_modes(x, wavevectors)).real / norm)

    return one(final) if np.ndim(final) == 2 else np.array([one(x) for x in final])


def four_point(
    frames: Frame | Sequence[Frame],
    fields: np.ndarray | Sequence[np.ndarray],
    *,
    include: np.ndarray | Sequence[np.ndarray] | None = None,
    noise: np.ndarray | Sequence[np.ndarray] | None = None,
    q_max: float = 4.0,
    bins: int = 16,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Four-point structure factor :math:`S_4(q)` of a field that particles carry.

    .. math:: S_4(q) = \frac1N \left\langle\left| \sum_j (f_j - \bar f)\,
              e^{i\mathbf q\cdot\mathbf r_j} \right|^2\right\rangle

    over N particles, their mean taken out, and the wave vectors of the box in each shell. With
    the propensity or :math:`C_B` as *f* it says how far slow and fast regions reach: a rise
    towards small q (Lačević et al., J. Chem. Phys. 119, 7372 (2003); Shiba, Kawasaki and Onuki,
    PRE 86, 041504 (2012)). Independent values have :math:`S_4 = \mathrm{var} f` at all q.

    Parameters
    ----------
    frames : frame or sequence of frames
        Positions that the field sits on.
    fields : (N,) array, or one a frame
    include : (N,) bool array, or one a frame
        Particles that count, such as those of one species; all by default.
    noise : (N,) array, or one a frame
        Variance of the error of each :math:`f_j`, e.g. that over M draws divided by M. Its mean
        is what independent errors add at all q; it is taken off.
    q_max : float
        1/σ_AA.
    bins : int
        Shells of equal width from 0; those without wave vectors are left out.

    Returns
    -------
    q, S4 : (n,) and (n_frames, n) float64 arrays
        Mean wave number of each shell; one curve a frame. Boxes must be the same.

    Raises
    ------
    ValueError
        For fields that do not fit their frames or are not finite, or boxes that differ.
    """
    single = isinstance(frames, Frame)

    def listed(x: object) -> list:
        return [x] if single else list(x)

    frames, fields = listed(frames), listed(fields)
    include = [None] * len(frames) if include is None else listed(include)
    noise = [None] * len(frames) if noise is None else listed(noise)
    if not frames or not len(frames) == len(fields) == len(include) == len(noise):
        raise ValueError(
            f"{len(frames)} frames, {len(fields)} fields, {len(include)} selections and "
            f"{len(noise)} noises; expected one of each a frame."
        )
    if not (q_max > 0 and bins >= 1):
        raise ValueError(f"q_max is {q_max} and bins {bins}; expected both positive.")
    box = np.asarray(frames[0].configuration.box)
    k = structure.wavevectors(box, 0.0, q_max)
    if len(k) == 0:
        raise ValueError(f"q_max is {q_max}, below the smallest wave number of the box; raise it.")
    length = np.linalg.norm(k, axis=1)
    shell = np.minimum((length * (bins / q_max)).astype(int), bins - 1)
    count = np.bincount(shell, minlength=bins)
    curves = np.empty((len(frames), np.sum(count > 0)))
    for row, (frame, field, keep, error) in enumerate(zip(frames, fields, include, noise)):
        if not np.allclose(frame.configuration.box, box, rtol=1e-6):
            raise ValueError(f"frame {row} has another box than the first; expected one box.")
        field = np.asarray(field, dtype=float)
        if field.shape != (frame.particles.N,):
            raise ValueError(
                f"field {row} has shape {field.shape}; expected ({frame.particles.N},)."
            )
        keep = np.ones(len(field), bool) if keep is None else np.asarray(keep)
        field = field[keep]
        if len(field) < 2 or not np.all(np.isfinite(field)):
            raise ValueError(f"field {row} holds values that are not finite, or fewer than two.")
        x = np.asarray(frame.particles.position)[keep][:, : k.shape[1]]
        modes = structure.density_modes(x, k, field - field.mean())
        power = np.bincount(shell, np.abs(modes) ** 2 / len(field), minlength=bins)
        curves[row] = (power[count > 0]) / count[count > 0]
        if error is not None:
            curves[row] -= np.mean(np.asarray(error, dtype=float)[keep])
    q = np.bincount(shell, length, minlength=bins)[count > 0] / count[count > 0]
    return q, curves


# ------------------------------------------------------------------------------ time scales


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


# --------------------------------------------------------------------------------- bonds


def bonds(
    frame: Frame,
    r: float | dict[tuple[str, str], float],
    *,
    sigma: dict[tuple[str, str], float] | None = None,
) -> np.ndarray:
    """Pairs of particles closer than ``r`` (minimum image).

    Parameters
    ----------
    frame : gsd.hoomd.Frame
    r : float or dict
        Distance, σ_AA, or one for each pair of species, e.g. ``system.bond_cutoffs``.
    sigma : dict, optional
        ``{("A", "A"): 1.0, ...}``: distances are then ``r`` times these.

    Returns
    -------
    (n, 2) int64 array
        Indices i < j, sorted.

    Raises
    ------
    ValueError
        For a pair of species without a distance, or one beyond half the box.
    """
    table, types = _pair_table(frame, r, sigma), list(frame.particles.types)
    near = within(
        frame, {(a, b): table[i, j] for i, a in enumerate(types) for j, b in enumerate(types)}
    )
    i, j = near.source, near.index
    pairs = np.stack([i, j], axis=1)[i < j].astype(np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _pair_table(frame: Frame, r: float | dict, sigma: dict | None) -> np.ndarray:
    """(n_types, n_types) distances, σ_AA."""
    types = list(frame.particles.types)
    table = np.ones((len(types), len(types)))
    for name, values in (("r", r), ("sigma", sigma)):
        if isinstance(values, dict):
            for i, a in enumerate(types):
                for j, b in enumerate(types):
                    value = values.get((a, b), values.get((b, a)))
                    if value is None:
                        raise ValueError(f"{name} has no entry for {a}-{b}; give one a pair.")
                    table[i, j] *= value
        elif values is not None:
            table *= float(values)
    if not (np.all(np.isfinite(table)) and np.all(table > 0)):
        raise ValueError(f"distances of bonds are {table.ravel()}; expected positive numbers.")
    return table


def bond_breaking(
    pairs: np.ndarray,
    final: np.ndarray,
    box: np.ndarray,
    r_out: float | np.ndarray,
) -> np.ndarray:
    r"""Bond-breaking correlation :math:`C_B`: share of the neighbours of each particle that stay.

    :math:`C_B^i(t) = n_i(t|0) / n_i(0)`, where :math:`n_i(0)` neighbours were within A1 of
    particle i at first and :math:`n_i(t|0)` of these are within A2 at t (Shiba, Kawasaki and
    Onuki, PRE 86, 041504 (2012)). A2 is larger, so that vibration breaks no bond. A1 and A2 of a
    system are its ``bond_breaking_cutoffs``: 1.35 and 1.7 σ_AA in 3D Kob–Andersen.

    Parameters
    ----------
    pairs : (n_bonds, 2) int array
        From :func:`bonds` with r = A1.
    final : (N, d) or (M, N, d) array, σ_AA
        Positions at t, wrapped or not; M replicas or times.
    box : (6,) array
        GSD box; the minimum image is taken.
    r_out : float or (n_bonds,) array, σ_AA
        A2, or one for each bond.

    Returns
    -------
    (N,) or (M, N) float64 array
        In [0, 1]; NaN for a particle without neighbours at first.
    """
    final = np.asarray(final)
    if final.ndim not in (2, 3) or final.shape[-1] not in (2, 3):
        raise ValueError(f"final has shape {final.shape}; expected (N, d) or (M, N, d).")
    count, d = final.shape[-2:]
    pairs = _check_pairs(pairs, count)
    r_out = np.broadcast_to(np.asarray(r_out, dtype=float), len(pairs))
    box = np.asarray(box, dtype=np.float64)
    half = float(_frames.heights(box).min()) / 2
    if len(pairs) and not 0 < r_out.max() < half:
        raise ValueError(
            f"r_out reaches {r_out.max():.4g}; expected less than half the narrowest width of the "
            f"box, {half:.4g}."
        )
    i, j = pairs.T
    had = np.bincount(pairs.ravel(), minlength=count).astype(float)
    had[had == 0] = np.nan

    def one(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        apart = nearest_image(x[i] - x[j], box)
        kept = np.einsum("ij,ij->i", apart, apart) < r_out**2
        return np.bincount(pairs[kept].ravel(), minlength=count) / had

    return one(final) if final.ndim == 2 else np.stack([one(x) for x in final])


def distance_change(
    initial: np.ndarray, final: np.ndarray, pairs: np.ndarray, box: np.ndarray
) -> np.ndarray:
    r"""Change of the distance of each pair, :math:`|\mathbf r_{ij}(t)| - |\mathbf r_{ij}(0)|`.

    The pair is followed: its vector at the start is the nearest image, and grows by the
    difference of the two displacements, whatever images come nearer meanwhile.

    Parameters
    ----------
    initial : (N, d) array, σ_AA
        Unwrapped.
    final : (N, d) or (M, N, d) array, σ_AA
        Unwrapped relative to ``initial``; M replicas or times.
    pairs : (n, 2) int array
        For instance :func:`bonds` of the inherent structure.
    box : (6,) array
        GSD box.

    Returns
    -------
    (n,) or (M, n) float64 array, σ_AA
    """
    displacement(initial, final)  # checks shapes and numbers
    initial, final = np.asarray(initial, dtype=float), np.asarray(final, dtype=float)
    pairs = _check_pairs(pairs, len(initial))
    d = initial.shape[1]
    i, j = pairs.T
    at_first = nearest_image(initial[j] - initial[i], np.asarray(box, dtype=float))
    length = np.linalg.norm(at_first, axis=1)

    def one(x: np.ndarray) -> np.ndarray:
        moved = x - initial
        return np.linalg.norm(at_first + moved[j] - moved[i], axis=1) - length

    if d not in (2, 3):
        raise ValueError(f"positions have {d} columns; expected 2 or 3.")
    return one(final) if final.ndim == 2 else np.stack([one(x) for x in final])


def pack_pairs(frame: Frame, *, time: int = -1) -> Frame:
    r"""The frame with its labels of pairs at one time, in a quarter of the room.

    :func:`pair_labels` reads them.

    Changes become 16-bit integers in units of ``log['bonds/change_unit']``, the largest over
    32767 (some :math:`10^{-4}` σ_AA: far below what draws leave uncertain). Pairs are not kept:
    they are those within ``log['bonds/radius']`` in the inherent structure, in order, and
    ``log['bonds/count']`` says how many.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        From :func:`glasslib.simulate.isoconfigurational` with ``pair_radius``.
    time : int
        Which of ``log['times']``.
    """
    if "bonds/pairs" not in frame.log:
        raise _frames.FrameError(
            "the frame has no log['bonds/pairs']; expected one of simulate.isoconfigurational with "
            "pair_radius."
        )
    log = dict(frame.log)
    log["bonds/count"] = np.array([len(log.pop("bonds/pairs"))], dtype=np.uint32)
    log["bonds/time"] = np.array([float(np.asarray(log["times"])[time])])
    for name in ("bonds/change", "bonds/change_variance"):
        if name in log:
            value = np.asarray(log[name], dtype=np.float64)[:, time]
            unit = max(float(np.abs(value).max(initial=0.0)), 1e-12) / 32767
            log[name] = np.rint(value / unit).astype(np.int16)
            log[f"{name}_unit"] = np.array([unit])
    return _frames.copy(frame, log=log)


class PairLabels(NamedTuple):
    """What :func:`pair_labels` finds."""

    pairs: np.ndarray  #: (n, 2) int64, i < j, sorted
    change: np.ndarray  #: (n,) float64, mean over draws, σ_AA
    variance: np.ndarray | None  #: (n,) float64 over draws, σ_AA²; None where it was not kept
    time: float  #: τ; NaN where the frame does not say


def pair_labels(frame: Frame, *, time: int = -1) -> PairLabels:
    """Pairs of the inherent structure of a frame and how their distances change, packed or not.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        From :func:`glasslib.simulate.isoconfigurational` with ``pair_radius``, or
        :func:`pack_pairs` of it.
    time : int
        Which of ``log['times']``; packed frames have one.

    Raises
    ------
    FrameError
        Without such labels, or where the pairs of the inherent structure are not as many as
        labels: those of another configuration.
    """
    log = frame.log
    if "bonds/change" not in log or "particles/inherent_position" not in log:
        raise _frames.FrameError(
            "the frame has no log['bonds/change'] and ['particles/inherent_position']; expected "
            "one of simulate.isoconfigurational with inherent=True and pair_radius."
        )
    quiet = _frames.copy(frame, log={})
    quiet.particles.position = np.asarray(log["particles/inherent_position"], dtype=np.float32)
    quiet.particles.image = None
    packed = "bonds/count" in log
    pairs = np.asarray(log["bonds/pairs"], dtype=np.int64) if not packed else bonds(
        quiet, float(log["bonds/radius"][0])
    )  # fmt: skip
    found = {}
    for name in ("bonds/change", "bonds/change_variance"):
        value = log.get(name)
        if value is not None:
            value = np.asarray(value, dtype=np.float64)
            value = value * float(log[f"{name}_unit"][0]) if packed else value[:, time]
            if len(value) != len(pairs):
                raise _frames.FrameError(
                    f"{len(value)} labels of pairs, but the inherent structure has {len(pairs)} "
                    "pairs: they belong to another configuration. Make them anew."
                )
        found[name] = value
    at = log["bonds/time"][0] if packed else np.asarray(log.get("times", [np.nan]))[time]
    return PairLabels(pairs, found["bonds/change"], found["bonds/change_variance"], float(at))


def _check_pairs(pairs: np.ndarray, count: int) -> np.ndarray:
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(f"pairs have shape {pairs.shape}; expected (n_bonds, 2) indices.")
    if len(pairs) and not 0 <= pairs.min() <= pairs.max() < count:
        raise ValueError(f"pairs name particle {pairs.max()}, but final has {count}.")
    return pairs.astype(np.int64)


# ------------------------------------------------------------------------- noise ceilings


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
        One row a replica, e.g. :func:`displacement`; of one species at one time.
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
