"""Who is a neighbour: first-minimum cut-offs, fixed cut-offs, SANN, Voronoi cells and their kin.

:func:`within`, :func:`sann`, :func:`voronoi` and :func:`modified_voronoi` return one shape,
:class:`Neighbors`, which the descriptors and :mod:`glasslib.rings` take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from glasslib import frames as _frames
from glasslib import structure
from glasslib.compiling import njit
from glasslib.frames import Frame


class Neighbors(NamedTuple):
    """Who is a neighbour of whom, particle by particle, in compressed rows.

    The neighbours of particle *i* are ``index[offsets[i] : offsets[i + 1]]``, nearest first. In a
    mutual list (:func:`mutual`) each pair stands in the rows of both.

    Attributes
    ----------
    offsets : (N + 1,) int64 array
    index : (n,) int64 array
        The neighbour *j* of each entry.
    vector : (n, 3) float64 array, σ_AA
        Minimum image of r_ij, from *i* to its neighbour *j*; z = 0 in 2D.
    distance : (n,) float64 array, σ_AA
    """

    offsets: np.ndarray
    index: np.ndarray
    vector: np.ndarray
    distance: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """(N,) int64 number of neighbours of each particle, N_b(i)."""
        return np.diff(self.offsets)

    @property
    def source(self) -> np.ndarray:
        """(n,) int64 particle *i* of each entry; ``index`` is its neighbour *j*."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)


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
    types = list(frames[0].particles.types or ["A"])
    out = {}
    for i, a in enumerate(types):
        for b in types[i:]:
            r, g = structure.radial_distribution(frames, (a, b), r_max=r_max, bins=bins)
            out[a, b] = first_minimum(r, g, smooth=smooth)
    return out


# ------------------------------------------------------------------------------ neighbour lists


def within(frame: Frame, r_cut: Mapping[tuple[str, str], float] | float) -> Neighbors:
    """All pairs closer than a fixed cut-off, in 2D or 3D, any periodic box.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles.
    r_cut : float, or dict of (str, str) to float
        Cut-off of all pairs, or of each pair of species, given once, σ_AA; for instance what
        :func:`first_minimum_cutoffs` returns. A pair is bonded when its distance is below.

    Returns
    -------
    Neighbors
        Mutual; a particle without neighbours has an empty row.

    Raises
    ------
    ValueError, TypeError
        For a pair of species without a cut-off, a box narrower than twice the largest one, or
        two particles at the same place.

    Examples
    --------
    >>> from glasslib import frames
    >>> row = frames.build([[0, 0, 0], [1, 0, 0], [2.5, 0, 0]], 10.0, [0, 0, 0])
    >>> within(row, 1.2).index.tolist()
    [1, 0]
    """
    _frames.check(frame)
    matrix = cutoff_matrix(frame, r_cut)
    typeid = np.zeros(frame.particles.N, dtype=np.int64)
    if frame.particles.typeid is not None:
        typeid[:] = frame.particles.typeid
    everyone = np.arange(frame.particles.N)
    return search(Cells.of(frame, float(matrix.max())), everyone, matrix, typeid)


def sann(frame: Frame, *, symmetrize: Literal["drop"] | None = "drop") -> Neighbors:
    r"""Solid-angle nearest neighbours (van Meel et al., J. Chem. Phys. 136, 234107, 2012).

    With the others sorted by distance, :math:`r_1 \le r_2 \le \dots`, the neighbours of a
    particle are the first *m*, the smallest :math:`m \ge 3` for which

    .. math:: R_m = \frac{1}{m - 2} \sum_{j=1}^{m} r_j \le r_{m+1}.

    In other words, the neighbours' caps on the sphere of radius R_m together cover all
    directions once. In two dimensions the same is asked of arcs: *m* is the smallest number with

    .. math:: \sum_{j=1}^{m} \arccos (r_j / r_{m+1}) \ge \pi.

    Ties count as such: where equality holds up to the rounding of single-precision positions, as
    on lattices, the shell is closed, and never between particles at the same distance.

    There is no parameter and no species. The rule is not mutual: *j* may be a neighbour of *i*
    and not the reverse, in a mixture mostly small *i* of large *j*.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles in two or three dimensions.
    symmetrize : {"drop", None}
        ``"drop"`` removes one-sided pairs, as Boattini et al. (2020) do; None keeps the raw list.

    Returns
    -------
    Neighbors

    Raises
    ------
    ValueError
        Where the shell of a particle reaches beyond half the box.
    """
    _frames.check(frame)
    if symmetrize not in ("drop", None):
        raise ValueError(f"symmetrize is {symmetrize!r}; expected 'drop' or None.")
    n, flat = frame.particles.N, _frames.dimensions(frame) == 2
    # Below half the least height no two images of one particle come into question.
    r_max = float(_frames.heights(frame.configuration.box).min()) / 2 * (1 - 1e-9)
    # holds some 21 (2D: 13) particles of a liquid, and its shell; scattered ones are asked again
    spacing = (_frames.volume(frame) / n) ** (1 / _frames.dimensions(frame))
    radius = min((2.0 if flat else 1.7) * spacing, r_max)
    todo, parts = np.arange(n), []
    while True:
        near = search(Cells.of(frame, radius), todo)
        m = _sann_counts(near.offsets, near.distance, radius, flat, _resolution(frame))
        parts.append((todo[m > 0], _head(near, m)))
        todo = todo[m == 0]
        if len(todo) == 0:
            break
        if radius == r_max:
            raise ValueError(
                f"particle {todo[0]} has no closed SANN shell within half the box, {r_max:.4g}; "
                "use more particles, or within() for a cluster in vacuum."
            )
        radius = min(1.4 * radius, r_max)
    found = _merged(parts, n)
    return found if symmetrize is None else dropped(found)


def voronoi(frame: Frame) -> Neighbors:
    r"""Particles whose Voronoi cells share a face (2D: an edge).

    No parameter, and mutual. Faces of no area are none: where more than *d* + 1 particles lie on
    one sphere, as on lattices, their cells touch in a point or along a line, which single-precision
    positions blow up to a face as narrow as their rounding. The shortest faces decide over
    neighbours that a small displacement makes and unmakes. Sizes do not enter: in a mixture the
    faces do not touch the particles.

    The cells' neighbours are the edges of the Delaunay triangulation (scipy, Qhull) of the
    particles and of as many of their images as it takes. (freud's Voronoi is not used: where
    LAMMPS is loaded too, its own copy of voro++ gets in the way and the process dies.)

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles in two or three dimensions.

    Returns
    -------
    Neighbors

    Raises
    ------
    ValueError
        Where the box is so small that a particle and its own image, or two images of one
        particle, would be neighbours of the same other; for two particles at the same place.
    """
    from scipy.spatial import Delaunay

    _frames.check(frame)
    d, n = _frames.dimensions(frame), frame.particles.N
    cell = _frames.cell_matrix(frame.configuration.box)[:d, :d]
    height = _frames.heights(frame.configuration.box)[:d]
    x = np.asarray(frame.particles.position, dtype=np.float64)[:, :d]
    s = np.linalg.solve(cell, x.T).T
    s -= np.floor(s)
    steps = np.stack(np.meshgrid(*[[0, -1, 1]] * d, indexing="ij"), -1).reshape(-1, d)
    few = ValueError(
        f"{n} particles are too few: images of one particle are Voronoi neighbours of the same "
        "other. Use more particles."
    )
    reach = 3 * (_frames.volume(frame) / n) ** (1 / d)
    while True:
        margin = reach / height
        if margin.max() > 1:
            margin = np.minimum(margin, 1)
        images = (s + steps[:, None]).reshape(-1, d)
        inside = np.all((images >= -margin) & (images < 1 + margin), axis=1)
        who = np.tile(np.arange(n), len(steps))[inside]
        points = images[inside] @ cell.T  # the particles themselves first
        if len(points) < d + 2:
            raise few
        simplices = Delaunay(points).simplices
        simplices = simplices[(simplices < n).any(axis=1)]
        center, radius = _circumscribed(points[simplices])
        solid = np.isfinite(radius)  # of cospherical points Qhull also makes flat simplices
        c = np.linalg.solve(cell, center[solid].T).T
        room = np.minimum(c + margin, 1 + margin - c) * height
        if np.all(room.min(axis=1) >= radius[solid]):
            break  # no particle outside could be inside a circumscribed sphere
        if margin.min() >= 1:
            raise few
        reach *= 1.5
    corners = simplices[solid]
    ends = np.array([(a, b) for a in range(d + 1) for b in range(d + 1) if a != b])
    pairs = corners[:, ends].reshape(-1, 2)
    vertex = np.repeat(center[solid], len(ends), axis=0)
    mine = pairs[:, 0] < n
    pairs = _faces(pairs[mine], vertex[mine], points, _resolution(frame))
    i, j = pairs[:, 0], who[pairs[:, 1]]
    left_out = np.flatnonzero(np.bincount(i, minlength=n) == 0)
    if len(left_out):  # Qhull keeps one of two equal points
        raise ValueError(
            f"particle {left_out[0]} has no Voronoi cell: another is at the same place. Expected "
            "distinct positions."
        )
    vector = np.zeros((len(i), 3))
    vector[:, :d] = points[pairs[:, 1]] - points[i]
    if len(np.unique(i * n + j)) < len(i) or np.any(i == j):
        raise few
    distance = np.linalg.norm(vector, axis=1)
    order = np.lexsort((distance, i))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=n))])
    # equal distances, as on a square lattice, can be broken differently at the two ends
    return dropped(Neighbors(offsets, j[order], vector[order], distance[order]))


def _resolution(frame: Frame) -> float:
    """What distances between single-precision positions are worth, σ_AA, with some room."""
    largest = np.abs(np.asarray(frame.particles.position)).max()
    return 4 * float(np.finfo(np.float32).eps) * float(largest)


def _faces(
    pairs: np.ndarray, vertex: np.ndarray, points: np.ndarray, resolution: float
) -> np.ndarray:
    """The pairs (m, 2), each once, whose common face has an area.

    Parameters
    ----------
    pairs : (n, 2) int array
        Ends of the edges of all simplices, first those of which faces are asked.
    vertex : (n, d) array
        Centre of the sphere around the simplex: a vertex of the face between the two.
    points : (p, d) array
    resolution : float
        A face narrower than this has no area (2D: an edge shorter than this no length).
    """
    number = pairs[:, 0].astype(np.int64) * len(points) + pairs[:, 1]
    number, of = np.unique(number, return_inverse=True)
    count = np.bincount(of)
    relative = vertex - (points[pairs[:, 0]] + points[pairs[:, 1]]) / 2
    d = points.shape[1]
    mean = np.stack([np.bincount(of, relative[:, a]) for a in range(d)], axis=1) / count[:, None]
    relative -= mean[of]
    second = np.empty((len(number), d, d))
    for a in range(d):
        for b in range(a + 1):
            second[:, a, b] = second[:, b, a] = np.bincount(of, relative[:, a] * relative[:, b])
    second /= count[:, None, None]
    # the face is flat: the least spread is that across it, the next one its narrow side
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(second)[:, 1], 0))
    kept = number[spread > resolution]
    return np.stack([kept // len(points), kept % len(points)], axis=1)


def _circumscribed(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (n, d) and radius (n,) of the spheres around simplices (n, d + 1, d); inf if flat."""
    edges = corners[:, 1:] - corners[:, :1]
    size = np.linalg.norm(edges, axis=2)
    flat = np.abs(np.linalg.det(edges / size[:, :, None])) < 1e-9
    edges[flat] = np.eye(edges.shape[2])
    offset = np.linalg.solve(edges, (size**2 / 2)[:, :, None])[:, :, 0]
    radius = np.where(flat, np.inf, np.linalg.norm(offset, axis=1))
    return corners[:, 0] + offset, radius


def modified_voronoi(frame: Frame, *, f_c: float = 0.82, r_cut: float = 2.0) -> Neighbors:
    r"""Modified Voronoi neighbours, the bonds of the topological cluster classification (TCC).

    Malins, Williams, Eggers, Royall, J. Chem. Phys. 139, 234506 (2013). Among the particles within
    ``r_cut`` of *i*, a nearer *k* stands between *i* and *j* where

    .. math:: r_{ij}^2 > f_c \, (r_{ik}^2 + r_{jk}^2), \qquad r_{ik} < r_{ij}.

    *j* is a neighbour of *i* where no such *k* exists. With :math:`f_c = 1` these are Voronoi
    neighbours whose bond crosses their common face; a smaller :math:`f_c` also drops the diagonal
    of a somewhat distorted square, so that rings of four stay open. Bonds are mutual: as in the
    authors' program, a pair is bonded where the rule holds from either end. (The ends may differ,
    seldom, by a *k* close to one of them and farther from the other than the pair is long.)

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles in three dimensions.
    f_c : float
        In (0, 1]; the authors recommend 0.82 for dense liquids.
    r_cut : float
        Longest bond considered, σ_AA, the same for all pairs of species.

    Returns
    -------
    Neighbors
        Mutual; a particle without neighbours has an empty row.

    Raises
    ------
    ValueError
        For a 2D frame, ``f_c`` outside (0, 1], ``r_cut`` of half the box or more, or two
        particles at the same place.
    """
    _frames.check(frame)
    if _frames.dimensions(frame) == 2:
        raise ValueError(
            "modified_voronoi got a 2D frame; expected 3D, where the clusters that it serves are "
            "defined. Use within() with first-minimum cut-offs in two dimensions."
        )
    if not 0 < f_c <= 1:
        raise ValueError(f"f_c is {f_c}; expected 0 < f_c <= 1, for instance 0.82.")
    near = within(frame, float(r_cut))
    return kept(near, _either(near.offsets, near.index, _unobstructed(*near, f_c)))


def mutual(neighbors: Neighbors) -> bool:
    """True where *j* is a neighbour of *i* whenever *i* is one of *j*."""
    return bool(_is_mutual(neighbors.offsets, neighbors.index).all())


def dropped(neighbors: Neighbors) -> Neighbors:
    """The neighbour list without its one-sided pairs."""
    return kept(neighbors, _is_mutual(neighbors.offsets, neighbors.index))


def neighbor_list(
    frame: Frame, neighbors: Neighbors | Literal["sann", "voronoi"] | Mapping | float = "sann"
) -> Neighbors:
    """What an option ``neighbors=`` means: a rule, cut-offs for :func:`within`, or a list.

    Raises
    ------
    ValueError
        For another word, or a list made for another number of particles.
    """
    if isinstance(neighbors, Neighbors):
        if len(neighbors.offsets) != frame.particles.N + 1:
            raise ValueError(
                f"neighbors is a list for {len(neighbors.offsets) - 1} particles; the frame has "
                f"{frame.particles.N}. Make it from the same frame."
            )
        return neighbors
    if isinstance(neighbors, str):
        rules = {"sann": sann, "voronoi": voronoi}
        if neighbors not in rules:
            raise ValueError(
                f"neighbors is {neighbors!r}; expected 'sann', 'voronoi', a cut-off, a dict of "
                "cut-offs, or a Neighbors list."
            )
        return rules[neighbors](frame)
    return within(frame, neighbors)


def cutoff_matrix(frame: Frame, cutoffs: Mapping[tuple[str, str], float] | float) -> np.ndarray:
    """(n_types, n_types) symmetric cut-offs in the order of ``frame.particles.types``, σ_AA.

    Raises
    ------
    ValueError, TypeError
        For a pair of species without a cut-off, two values for one pair, or a box narrower than
        twice the largest one.
    """
    types = list(frame.particles.types or ["A"])
    if isinstance(cutoffs, (int, float, np.number)):
        matrix = np.full((len(types), len(types)), float(cutoffs))
    elif isinstance(cutoffs, Mapping):
        matrix = np.zeros((len(types), len(types)))
        present = {0} if frame.particles.typeid is None else set(np.unique(frame.particles.typeid))
        for i, a in enumerate(types):
            for j, b in enumerate(types):
                value = cutoffs.get((a, b), cutoffs.get((b, a)))
                if value is None and i in present and j in present:
                    raise ValueError(
                        f"cutoffs has no entry for the pair ({a!r}, {b!r}); it has "
                        f"{', '.join(map(str, cutoffs))}. Give one for each pair of species."
                    )
                if (a, b) in cutoffs and (b, a) in cutoffs and cutoffs[a, b] != cutoffs[b, a]:
                    raise ValueError(
                        f"cutoffs differ for ({a!r}, {b!r}) and ({b!r}, {a!r}): {cutoffs[a, b]} "
                        f"and {cutoffs[b, a]}; bonds are mutual, give the pair once."
                    )
                matrix[i, j] = 0.0 if value is None else value
    else:
        raise TypeError(
            f"cutoffs is a {type(cutoffs).__name__}; expected one distance, or a dict such as "
            "{('A', 'A'): 1.5, ('A', 'B'): 1.242, ('B', 'B'): 2.0}."
        )
    if not np.all(np.isfinite(matrix)) or np.any(matrix < 0) or matrix.max() == 0:
        raise ValueError(f"cutoffs are {cutoffs}; expected positive finite distances.")
    narrowest = float(_frames.heights(frame.configuration.box).min())
    if 2 * matrix.max() >= narrowest:
        raise ValueError(
            f"the largest cut-off is {matrix.max():g} but the box only {narrowest:g} wide where "
            "it is narrowest; a minimum image needs a box wider than twice the cut-off."
        )
    return matrix


# ------------------------------------------------------------------------------------ the search


class Cells(NamedTuple):
    """Particles sorted into cells at least ``radius`` wide."""

    fraction: np.ndarray  # (N, 3) fractional coordinates in [0, 1)
    matrix: np.ndarray  # (3, 3) box vectors as columns
    shape: np.ndarray  # (3,) number of cells along each
    start: np.ndarray  # (cells + 1,) rows of ``order``
    order: np.ndarray  # (N,) particles, cell by cell
    radius: float

    @classmethod
    def of(cls, frame: Frame, radius: float) -> Cells:
        box = np.asarray(frame.configuration.box, dtype=np.float64)
        matrix = _frames.cell_matrix(box)
        heights = _frames.heights(box)
        if len(heights) == 2:
            matrix[2, 2] = 1.0
        x = np.asarray(frame.particles.position, dtype=np.float64)
        fraction = x @ np.linalg.inv(matrix).T
        fraction -= np.floor(fraction)
        fraction[fraction >= 1] = 0.0  # a tiny negative number becomes 1 - 0
        shape = np.ones(3, dtype=np.int64)
        # no more cells than particles, however large and empty the box
        most = max(1, round(len(x) ** (1 / len(heights))))
        shape[: len(heights)] = np.clip(heights / radius, 1, most)
        at = np.minimum((fraction * shape).astype(np.int64), shape - 1)
        cell = (at[:, 0] * shape[1] + at[:, 1]) * shape[2] + at[:, 2]
        start = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=shape.prod()))])
        return cls(fraction, matrix, shape, start, np.argsort(cell, kind="stable"), radius)


def search(
    cells: Cells,
    asked: np.ndarray,
    cutoffs: np.ndarray | None = None,
    typeid: np.ndarray | None = None,
) -> Neighbors:
    """Neighbours of the particles ``asked``, one row each, within the radius or the cut-offs."""
    if cutoffs is None:
        cutoffs = np.full((1, 1), cells.radius)
        typeid = np.zeros(len(cells.fraction), dtype=np.int64)
    counts, index, vector, squared = _pairs(
        cells.fraction, cells.matrix, cells.shape, cells.start, cells.order,
        asked, cutoffs**2, typeid,
    )  # fmt: skip
    if len(squared) and squared.min() < (1e-6 * cells.radius) ** 2:
        k = int(np.argmin(squared))
        i = asked[np.searchsorted(np.cumsum(counts), k, side="right")]
        raise ValueError(
            f"particles {i} and {index[k]} are at the same place; a bond between them has no "
            "direction. Remove one of them."
        )
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Neighbors(offsets, index, vector, np.sqrt(squared))


@njit
def _pairs(fraction, matrix, shape, start, order, asked, squared_cutoffs, typeid):
    """Counts, and neighbours, vectors and squared distances, sorted by distance in each row."""
    size = 16 * len(asked) + 64
    counts = np.zeros(len(asked), np.int64)
    index, vector, squared = np.empty(size, np.int64), np.empty((size, 3)), np.empty(size)
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    here = np.empty(3, np.int64)
    found = 0
    for row in range(len(asked)):
        i = asked[row]
        begin = found
        for d in range(3):
            here[d] = min(int(fraction[i, d] * shape[d]), shape[d] - 1)
            # with one or two cells along an edge, each of them once
            low[d] = here[d] - 1 if shape[d] > 2 else 0
            high[d] = here[d] + 1 if shape[d] > 2 else shape[d] - 1
        for a in range(low[0], high[0] + 1):
            for b in range(low[1], high[1] + 1):
                for c in range(low[2], high[2] + 1):
                    cell = ((a % shape[0]) * shape[1] + b % shape[1]) * shape[2] + c % shape[2]
                    for k in range(start[cell], start[cell + 1]):
                        j = order[k]
                        if j == i:
                            continue
                        fx = fraction[j, 0] - fraction[i, 0]
                        fy = fraction[j, 1] - fraction[i, 1]
                        fz = fraction[j, 2] - fraction[i, 2]
                        # an image nearer than half the least height has |f| < 1/2 along each
                        fx += 1.0 if fx < -0.5 else (-1.0 if fx > 0.5 else 0.0)
                        fy += 1.0 if fy < -0.5 else (-1.0 if fy > 0.5 else 0.0)
                        fz += 1.0 if fz < -0.5 else (-1.0 if fz > 0.5 else 0.0)
                        x = matrix[0, 0] * fx + matrix[0, 1] * fy + matrix[0, 2] * fz
                        y = matrix[1, 1] * fy + matrix[1, 2] * fz
                        z = matrix[2, 2] * fz
                        r2 = x * x + y * y + z * z
                        if r2 >= squared_cutoffs[typeid[i], typeid[j]]:
                            continue
                        if found == size:
                            size *= 2
                            index = _longer(index, size)
                            squared = _longer(squared, size)
                            wide = np.empty((size, 3))
                            wide[:found] = vector
                            vector = wide
                        index[found] = j
                        squared[found] = r2
                        vector[found, 0], vector[found, 1], vector[found, 2] = x, y, z
                        found += 1
        counts[row] = found - begin
        by = np.argsort(squared[begin:found], kind="mergesort")
        index[begin:found] = index[begin:found][by]
        squared[begin:found] = squared[begin:found][by]
        vector[begin:found] = vector[begin:found][by]
    return counts, index[:found].copy(), vector[:found].copy(), squared[:found].copy()


@njit
def _longer(array, size):
    out = np.empty(size, array.dtype)
    out[: len(array)] = array
    return out


@njit
def _sann_counts(offsets, distance, radius, flat, resolution):
    """Size of the SANN shell of each row; 0 where it does not close within ``radius``.

    Distances are known up to ``resolution``: equality up to that is equality.
    """
    counts = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(counts)):
        total = 0.0
        n = offsets[i + 1] - offsets[i]
        for m in range(1, n + 1):
            k = offsets[i] + m - 1
            total += distance[k]
            # who is not in the list is at least ``radius`` away
            following = distance[k + 1] if m < n else radius
            if following <= distance[k] + resolution:
                continue  # not between particles at the same distance
            tie = resolution / following
            if flat:
                total = 0.0  # of angles
                slack = 0.0
                for j in range(offsets[i], k + 1):
                    ratio = distance[j] / following
                    total += np.arccos(ratio)
                    slack += tie / np.sqrt(1.0 - ratio * ratio)
                closed = total >= np.pi - slack
            else:
                closed = m >= 3 and total <= (m - 2) * following * (1.0 + tie)
            if closed:
                counts[i] = m
                break
    return counts


@njit
def _is_mutual(offsets, index):
    """(n,) bool: is *i* also in the row of *j*?"""
    out = np.zeros(len(index), np.bool_)
    for i in range(len(offsets) - 1):
        for k in range(offsets[i], offsets[i + 1]):
            j = index[k]
            for back in range(offsets[j], offsets[j + 1]):
                if index[back] == i:
                    out[k] = True
                    break
    return out


@njit
def _unobstructed(offsets, index, vector, distance, f_c):
    """(n,) bool: does nobody nearer stand between *i* and *j*, by :func:`modified_voronoi`?"""
    out = np.ones(len(index), np.bool_)
    # with f_c = 1 both sides are equal in cubic crystals; the authors' margin for round-off
    f_c += 1e-6
    for i in range(len(offsets) - 1):
        for j in range(offsets[i], offsets[i + 1]):
            squared = distance[j] ** 2
            for k in range(offsets[i], j):
                if distance[k] == distance[j]:
                    break
                apart = distance[k] ** 2
                for d in range(3):
                    apart += (vector[j, d] - vector[k, d]) ** 2
                if squared > f_c * apart:
                    out[j] = False
                    break
    return out


@njit
def _either(offsets, index, keep):
    """(n,) bool: is the bond kept in the row of *i* or in that of *j*? Of a mutual list."""
    out = keep.copy()
    for i in range(len(offsets) - 1):
        for k in range(offsets[i], offsets[i + 1]):
            if keep[k]:
                j = index[k]
                for back in range(offsets[j], offsets[j + 1]):
                    if index[back] == i:
                        out[back] = True
                        break
    return out


def kept(neighbors: Neighbors, keep: np.ndarray) -> Neighbors:
    """The entries where ``keep`` is True."""
    before = np.concatenate([[0], np.cumsum(keep)])
    return Neighbors(
        before[neighbors.offsets], neighbors.index[keep], neighbors.vector[keep],
        neighbors.distance[keep],
    )  # fmt: skip


def _head(neighbors: Neighbors, m: np.ndarray) -> Neighbors:
    """The first ``m`` of each row, without the rows where that is none."""
    place = np.arange(len(neighbors.index)) - np.repeat(neighbors.offsets[:-1], neighbors.counts)
    short = kept(neighbors, place < np.repeat(m, neighbors.counts))
    return short._replace(offsets=np.concatenate([[0], np.cumsum(m[m > 0])]))


def _merged(parts: list[tuple[np.ndarray, Neighbors]], n: int) -> Neighbors:
    """One list of all ``n`` particles from rows of some each."""
    if len(parts) == 1:
        return parts[0][1]
    source = np.concatenate([np.repeat(rows, part.counts) for rows, part in parts])
    order = np.argsort(source, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=n))])
    return Neighbors(offsets, *(np.concatenate([p[k] for _, p in parts])[order] for k in (1, 2, 3)))
