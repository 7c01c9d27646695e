"""Bonds and pairs: which neighbours stay, and how the distances of pairs change.

Positions as in :mod:`glasslib.dynamics.displacements`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from glasslib import frames
from glasslib.dynamics.displacements import displacement
from glasslib.frames import Frame
from glasslib.geometry import nearest_image
from glasslib.neighbors import within


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
    half = float(frames.heights(box).min()) / 2
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
        raise frames.FrameError(
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
    return frames.copy(frame, log=log)


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
        raise frames.FrameError(
            "the frame has no log['bonds/change'] and ['particles/inherent_position']; expected "
            "one of simulate.isoconfigurational with inherent=True and pair_radius."
        )
    quiet = frames.copy(frame, log={})
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
                raise frames.FrameError(
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
