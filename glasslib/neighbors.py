"""Who is a neighbour: first-minimum cut-offs of the partial pair distribution functions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import gaussian_filter1d

from glasslib import structure
from glasslib.frames import Frame


def first_minimum(r: np.ndarray, g: np.ndarray, *, smooth: float = 0.03) -> float:
    """Position of the first minimum of g(r) behind its first peak, σ_AA.

    The first peak is the first local maximum of the smoothed g(r) that exceeds 1; the
    minimum is the lowest point before g(r) next rises above the ideal-gas value 1 to stay a
    maximum, i.e. before the next local maximum that exceeds 1.

    Parameters
    ----------
    r, g : (bins,) arrays
        Evenly spaced distances and g(r).
    smooth : float
        Standard deviation of the Gaussian that smooths g(r) first, σ_AA.

    Raises
    ------
    ValueError
        When g(r) shows no peak followed by a minimum; extend r or average more frames.
    """
    r, g = np.asarray(r, dtype=float), np.asarray(g, dtype=float)
    if r.shape != g.shape or r.ndim != 1 or len(r) < 5:
        raise ValueError(f"r and g have shapes {r.shape} and {g.shape}; expected equal (bins,).")
    h = gaussian_filter1d(g, smooth / (r[1] - r[0]))
    peaks = 1 + np.flatnonzero((h[1:-1] > h[:-2]) & (h[1:-1] >= h[2:]) & (h[1:-1] > 1))
    if len(peaks) == 0:
        raise ValueError("g(r) has no peak above 1; average more frames or extend r_max.")
    stop = peaks[1] if len(peaks) > 1 else len(h) - 1
    k = peaks[0] + int(np.argmin(h[peaks[0] : stop + 1]))
    if k >= len(h) - 2:
        raise ValueError("g(r) has no minimum behind its first peak; extend r_max.")
    return float(r[k])


def first_minimum_cutoffs(
    frames: Frame | Iterable[Frame], *, r_max: float = 4.0, bins: int = 400, smooth: float = 0.03
) -> dict[tuple[str, str], float]:
    """First-neighbour cut-off of each pair of species, from g(r) averaged over ``frames``.

    Returns
    -------
    dict
        ``{("A", "A"): r, ("A", "B"): r, ("B", "B"): r}``, σ_AA.
    """
    frames = [frames] if isinstance(frames, Frame) else list(frames)
    types = list(frames[0].particles.types)
    out = {}
    for i, a in enumerate(types):
        for b in types[i:]:
            r, g = structure.radial_distribution(frames, (a, b), r_max=r_max, bins=bins)
            out[a, b] = first_minimum(r, g, smooth=smooth)
    return out
