"""Static structure: pair distribution functions, on freud; structure factors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from glasslib import frames as _frames
from glasslib.frames import Frame


def freud_box(frame: Frame):
    """The frame's box as ``freud.box.Box`` (2D where ``box[2] == 0``)."""
    import freud

    lx, ly, lz, xy, xz, yz = (float(b) for b in frame.configuration.box)
    return freud.box.Box(lx, ly, lz, xy, xz, yz, is2D=_frames.dimensions(frame) == 2)


def radial_distribution(
    frames: Frame | Iterable[Frame],
    pair: tuple[str, str] | None = None,
    *,
    r_max: float = 5.0,
    bins: int = 250,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Pair distribution function g(r), averaged over frames.

    :math:`g_{ab}(r) = \frac{V}{N_a N_b} \sum_{i\in a}\sum_{j\in b,\,j\neq i}
    \langle\delta(r - r_{ij})\rangle \,/\, s_d r^{d-1}` (Allen and Tildesley, *Computer
    Simulation of Liquids*, ch. 2), computed by ``freud.density.RDF``. Like species are
    normalised by :math:`N_a(N_a - 1)`, so that an ideal gas of any size gives 1.

    Parameters
    ----------
    frames : frame or iterable of frames
    pair : (str, str), optional
        Species, e.g. ``("A", "B")``; all particles alike by default (total g(r)).
    r_max : float
        Largest distance, σ_AA; at most half the least distance between opposite faces of the box,
        which is its shortest edge where it is not tilted.
    bins : int

    Returns
    -------
    r, g : (bins,) float64 arrays
        Bin centres in σ_AA and g(r).

    Raises
    ------
    ValueError
        For a species the frames do not have, or an ``r_max`` beyond half the box.
    """
    import freud

    frames = [frames] if isinstance(frames, Frame) else list(frames)
    if not frames:
        raise ValueError("no frames; expected at least one.")
    like = pair is not None and pair[0] == pair[1]
    mode = "finite_size" if pair is None or like else "exact"
    rdf = freud.density.RDF(bins=bins, r_max=r_max, normalization_mode=mode)
    total = np.zeros(bins)
    for frame in frames:
        half = float(_frames.heights(frame.configuration.box).min()) / 2
        if r_max > half * (1 + 1e-9):
            raise ValueError(
                f"r_max is {r_max}; expected at most half the shortest box edge (of a tilted box "
                f"half its least height), {half:.4g}."
            )
        x = np.asarray(frame.particles.position, dtype=np.float32)
        a, b = (x, x) if pair is None else (x[_select(frame, t)] for t in pair)
        least = 1 if mode == "exact" else 2
        if min(len(a), len(b)) < least:
            raise ValueError(
                f"{len(a)} and {len(b)} particles of {' and '.join(pair or ('any', 'any'))}; "
                f"expected at least {least} of each."
            )
        # frame by frame: freud's own accumulation takes particle numbers from the last one
        rdf.compute((freud_box(frame), a), query_points=None if mode == "finite_size" else b)
        total += rdf.rdf
    return np.array(rdf.bin_centers, dtype=np.float64), total / len(frames)


def _select(frame: Frame, species: str) -> np.ndarray:
    """Boolean mask of the particles of one species."""
    types = list(frame.particles.types or ["A"])
    if species not in types:
        raise ValueError(f"no species {species!r}; the frame has {', '.join(types)}.")
    return np.asarray(frame.particles.typeid) == types.index(species)


# ------------------------------------------------------------------------- reciprocal space


def wavevectors(box: np.ndarray, k_min: float, k_max: float) -> np.ndarray:
    """All wave vectors of a periodic box with moduli from k_min to k_max, one of each ±k.

    Parameters
    ----------
    box : (2,), (3,) or (6,) array, σ_AA
        Edges, or GSD's ``[Lx, Ly, Lz, xy, xz, yz]``; two-dimensional where there is no Lz or it
        is 0.
    k_min, k_max : float, 1/σ_AA
        k = 0 is never among them.

    Returns
    -------
    (K, d) float64 array, 1/σ_AA
        In ascending order of their modulus.
    """
    box = np.asarray(box, dtype=np.float64)
    if box.shape not in ((2,), (3,), (6,)):
        raise ValueError(
            f"box has shape {box.shape}; expected two or three edges, or GSD's six numbers."
        )
    d = 2 if len(box) == 2 or box[2] == 0 else 3
    cell = np.diag(box[:d]) if len(box) < 6 else _frames.cell_matrix(box)[:d, :d]
    if not (np.all(np.isfinite(box)) and np.all(np.diag(cell) > 0)):
        raise ValueError(f"box is {box.tolist()}; expected positive finite edges.")
    if not (np.isfinite(k_max) and 0 <= k_min <= k_max and k_max > 0):
        raise ValueError(f"k runs from {k_min} to {k_max}; expected 0 ≤ k_min ≤ k_max, finite.")
    # |n_i| = |k · a_i| / 2π is at most k_max |a_i| / 2π
    most = np.floor(k_max * np.linalg.norm(cell, axis=0) / (2 * np.pi)).astype(int)
    axes = [np.arange(0 if i == 0 else -m, m + 1) for i, m in enumerate(most)]
    n = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    first = n[np.arange(len(n)), np.argmax(n != 0, axis=1)]  # of each ±n the one that begins > 0
    n = n[first > 0]
    k = 2 * np.pi * n @ np.linalg.inv(cell)
    length = np.linalg.norm(k, axis=1)
    keep = np.flatnonzero((length >= k_min) & (length <= k_max))
    return k[keep[np.argsort(length[keep], kind="stable")]]


def density_modes(
    position: np.ndarray, wavevectors: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Fourier components :math:`\rho_k = \sum_j w_j e^{i\mathbf k\cdot\mathbf r_j}` of a density.

    Wave vectors of a box share their Cartesian components, so the exponentials are made once
    for each value along each axis and combined by a matrix product.

    Parameters
    ----------
    position : (N, d) array, σ_AA
        Wrapped or not: the wave vectors of a periodic box do not see the difference.
    wavevectors : (K, d) array, 1/σ_AA
    weights : (N,) array, optional
        :math:`w_j`, any field of the particles; 1 by default.

    Returns
    -------
    (K,) complex128 array
    """
    x, k = np.asarray(position, dtype=np.float64), np.asarray(wavevectors, dtype=np.float64)
    if x.ndim != 2 or k.ndim != 2 or k.shape[1] != x.shape[1] or x.shape[1] not in (2, 3):
        raise ValueError(
            f"position has shape {x.shape} and wavevectors {k.shape}; expected (N, d) and (K, d), "
            "d = 2 or 3."
        )
    if weights is not None and np.shape(weights) != (len(x),):
        raise ValueError(f"weights have shape {np.shape(weights)}; expected ({len(x)},).")
    tables, index = [], []
    for axis in range(x.shape[1]):
        value, where = np.unique(k[:, axis], return_inverse=True)
        phase = value[:, None] * x[:, axis]
        tables.append(np.cos(phase) + 1j * np.sin(phase))
        index.append(where)
    if weights is not None:
        tables[-1] = tables[-1] * np.asarray(weights, dtype=np.float64)
    rows, row = np.unique(np.stack(index[:-1], axis=1), axis=0, return_inverse=True)
    modes = np.empty(len(k), dtype=np.complex128)
    order = np.argsort(row, kind="stable")
    step = max(1, 4_000_000 // max(1, len(x)))  # 64 MB at a time
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        product = tables[0][some[:, 0]]
        if len(tables) == 3:
            product *= tables[1][some[:, 1]]
        sums = product @ tables[-1].T
        a, b = np.searchsorted(row[order], [start, start + len(some)])
        mine = order[a:b]
        modes[mine] = sums[row[mine] - start, index[-1][mine]]
    return modes


def structure_factor(
    frames: Frame | Iterable[Frame],
    pair: tuple[str, str] | None = None,
    *,
    k_max: float = 15.0,
    bins: int = 150,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Static structure factor S(k) from the exact wave vectors of the box, averaged over frames.

    :math:`S_{ab}(k) = \frac1N \langle \mathrm{Re}\, \rho_a(\mathbf k)
    \rho_b^*(\mathbf k)\rangle` with N *all* particles (Kob and Andersen, PRE 52, 4134 (1995)),
    so that :math:`S = S_{AA} + 2 S_{AB} + S_{BB}`; at large k, :math:`S_{aa}` tends to the
    fraction of species a and :math:`S_{ab}` to 0. ``freud.diffraction`` has the same
    conventions, but no two-dimensional boxes, and takes wave vectors from one octant only.

    Parameters
    ----------
    frames : frame or iterable of frames
        Of one dimension; boxes may differ.
    pair : (str, str), optional
        Species, e.g. ``("A", "B")``; all particles alike by default (total S(k)).
    k_max : float
        Largest wave number, 1/σ_AA.
    bins : int
        Shells of equal width from 0 to ``k_max``; those that hold no wave vector are left out.

    Returns
    -------
    k, S : (n,) float64 arrays
        Mean \|k\| of the wave vectors in each shell, 1/σ_AA, and S(k).

    Raises
    ------
    ValueError
        For a species the frames do not have, or a ``k_max`` below 2π over the longest edge.
    """
    frames = [frames] if isinstance(frames, Frame) else list(frames)
    if not frames:
        raise ValueError("no frames; expected at least one.")
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected at least 1.")
    sums = np.zeros((3, bins))  # wave vectors, their lengths, S
    boxes: dict[bytes, np.ndarray] = {}
    for frame in frames:
        box = np.asarray(frame.configuration.box)
        if box.tobytes() not in boxes:
            boxes[box.tobytes()] = wavevectors(box, 0.0, k_max)
        k = boxes[box.tobytes()]
        if len(k) == 0:
            raise ValueError(
                f"k_max is {k_max}; the box holds no wave vector below "
                f"{2 * np.pi / _frames.heights(box).max():.4g}. Raise k_max."
            )
        x = np.asarray(frame.particles.position)[:, : k.shape[1]]
        a, b = pair or (None, None)
        rho_a = density_modes(x if a is None else x[_select(frame, a)], k)
        rho_b = rho_a if a == b else density_modes(x[_select(frame, b)], k)
        length = np.linalg.norm(k, axis=1)
        shell = np.minimum((length * (bins / k_max)).astype(int), bins - 1)
        value = (rho_a * rho_b.conj()).real / len(x)
        for row, weight in zip(sums, (None, length, value)):
            row += np.bincount(shell, weight, minlength=bins)
    n, length, value = sums[:, sums[0] > 0]
    return length / n, value / n


def first_peak(k: np.ndarray, S: np.ndarray, *, smooth: float = 0.2) -> float:
    """Wave number of the first peak of S(k), 1/σ_AA.

    The first local maximum of the smoothed S(k) that rises at least half as far above 1 as
    its highest point, refined by a parabola through the smoothed maximum.

    Parameters
    ----------
    k, S : (n,) arrays
        From :func:`structure_factor`; k ascending.
    smooth : float
        Standard deviation of the Gaussian that smooths S(k) first, 1/σ_AA.

    Raises
    ------
    ValueError
        When S(k) has no peak above 1; extend ``k_max`` or average more frames.
    """
    from scipy.ndimage import gaussian_filter1d

    k, S = np.asarray(k, dtype=float), np.asarray(S, dtype=float)
    if k.shape != S.shape or k.ndim != 1 or len(k) < 5 or np.any(np.diff(k) <= 0):
        raise ValueError(
            f"k and S have shapes {k.shape} and {S.shape}; expected equal (n,), k ascending, n ≥ 5."
        )
    step = min(smooth / 4, float(np.diff(k).min()))
    grid = np.arange(k[0], k[-1] + step / 2, step)
    h = gaussian_filter1d(np.interp(grid, k, S), smooth / step, mode="nearest")
    peaks = 1 + np.flatnonzero((h[1:-1] > h[:-2]) & (h[1:-1] >= h[2:]) & (h[1:-1] > 1))
    peaks = peaks[h[peaks] - 1 >= (h[peaks].max(initial=1.0) - 1) / 2]
    if len(peaks) == 0:
        raise ValueError("S(k) has no peak above 1; extend k_max or average more frames.")
    i = peaks[0]
    left, top, right = h[i - 1 : i + 2]
    return float(grid[i] + step * (left - right) / (2 * (left - 2 * top + right)))


def thermal(frame: Frame) -> Frame:
    """The thermal frame that a quenched one of ``simulate.cool`` remembers (no velocities)."""
    for key in ("particles/thermal_position", "thermal_box"):
        if key not in frame.log:
            raise ValueError(f"the frame has no log entry {key!r}; it was not made by cool().")
    return _frames.build(
        frame.log["particles/thermal_position"],
        frame.log["thermal_box"],
        frame.particles.typeid,
        types=frame.particles.types,
        dimensions=_frames.dimensions(frame),
    )
