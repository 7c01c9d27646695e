"""Static structure: pair distribution functions, on freud."""

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
        Largest distance, σ_AA; at most half the shortest box edge.
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
        edge = float(np.min(frame.configuration.box[: _frames.dimensions(frame)]))
        if r_max > edge / 2:
            raise ValueError(
                f"r_max is {r_max}; expected at most half the shortest box edge, {edge / 2:.4g}."
            )
        x = frame.particles.position
        a, b = (x, x) if pair is None else (x[_select(frame, t)] for t in pair)
        # frame by frame: freud's own accumulation takes particle numbers from the last one
        rdf.compute((freud_box(frame), a), query_points=None if mode == "finite_size" else b)
        total += rdf.rdf
    return np.array(rdf.bin_centers, dtype=np.float64), total / len(frames)


def _select(frame: Frame, species: str) -> np.ndarray:
    """Boolean mask of the particles of one species."""
    types = list(frame.particles.types)
    if species not in types:
        raise ValueError(f"no species {species!r}; the frame has {', '.join(types)}.")
    return np.asarray(frame.particles.typeid) == types.index(species)


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
