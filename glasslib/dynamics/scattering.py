"""Scattering functions in time, and how far slow and fast regions reach.

Positions as in :mod:`glasslib.dynamics.displacements`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glasslib import structure
from glasslib.dynamics.displacements import displacement
from glasslib.frames import Frame


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
        See :func:`glasslib.dynamics.displacement`. As many columns as dimensions: (N, 2) in 2D.
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
        See :func:`glasslib.dynamics.displacement`; here wrapped positions do as well.
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
