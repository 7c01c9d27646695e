r"""Radial and angular density around a particle, and their averages over its surroundings.

Boattini, Smallenburg, Filion, Phys. Rev. Lett. 127, 088007 (2021), eqs. 1 to 3, and eq. 4 in
:mod:`glasslib.descriptors.averaging`:

.. math::

    G_i(r, \delta, s) &= \sum_{j \ne i:\, s_j = s} e^{-(r_{ij} - r)^2 / 2\delta^2} \\
    q_i(l, m, r, \delta) &= \frac{1}{Z} \sum_{j \ne i} e^{-(r_{ij} - r)^2 / 2\delta^2}
        Y_l^m(\hat r_{ij}), \qquad Z = \sum_{j \ne i} e^{-(r_{ij} - r)^2 / 2\delta^2} \\
    q_i(l, r, \delta) &= \sqrt{\frac{4\pi}{2l + 1} \sum_{m=-l}^{l} |q_i(l, m, r, \delta)|^2}

The radial functions tell species apart, the angular ones do not.

What the Letter leaves to its supplement is chosen here, and all of it is a parameter.
:data:`RADIAL`, :data:`ANGULAR` and :data:`ORDERS` give its numbers of descriptors, 200 radial (two
species) and 192 angular: r = 0.5, 0.53 … 1.97 with δ = 0.03 and 2.0, 2.06 … 4.94 with δ = 0.06;
r = 1.0, 1.1 … 2.5 with δ = 0.1 for l = 1 … 12.

A weight below 1e-16 (a neighbour more than :data:`REACH` δ from the shell) counts as zero. A shell
that no neighbour reaches so, Z = 0, has q = 0: nothing is there, in no direction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numba
import numpy as np

from glasslib import frames as _frames
from glasslib.compiling import njit
from glasslib.descriptors.averaging import average_in_place
from glasslib.descriptors.bond_order import harmonic_coefficients
from glasslib.frames import Frame
from glasslib.neighbors import Cells

REACH = 8.6  #: widths δ beyond which a Gaussian counts as zero; exp(−8.6²/2) = 9e-17


def shells(*spans: tuple[float, float, int, float]) -> np.ndarray:
    """Evenly spaced shells, span after span, for ``radial`` and ``angular``.

    Parameters
    ----------
    *spans : (start, step, number, delta)
        Shells at ``start``, ``start + step``, …; ``number`` of them, all of width ``delta``; σ_AA.

    Returns
    -------
    (n, 2) float64 array
        r and δ of each shell, σ_AA.

    Examples
    --------
    >>> shells((1.0, 0.1, 2, 0.05), (2.0, 0.5, 1, 0.2)).tolist()
    [[1.0, 0.05], [1.1, 0.05], [2.0, 0.2]]
    """
    rows = [(start + step * k, delta) for start, step, n, delta in spans for k in range(n)]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


#: r and δ of the radial functions, for each species: 50 shells to 2, 50 to 5
RADIAL = shells((0.5, 0.03, 50, 0.03), (2.0, 0.06, 50, 0.06))
#: r and δ of the angular functions: 1.0, 1.1 … 2.5
ANGULAR = shells((1.0, 0.1, 16, 0.1))
#: l of the angular functions
ORDERS = tuple(range(1, 13))
RADIAL.flags.writeable = ANGULAR.flags.writeable = False

RadialShells = np.ndarray | Mapping[str, np.ndarray] | None


class Column(NamedTuple):
    """What one column of a descriptor matrix is; ``str`` of it is its name.

    Attributes
    ----------
    kind : {"radial", "angular"}
    r, delta : float
        Place and width of the shell, σ_AA.
    species : str or None
        Whose density; None for angular functions, which count all.
    l : int or None
        Order; None for radial functions.
    generation : int
        How many times averaged.

    Examples
    --------
    >>> str(Column("radial", 1.41, 0.03, "B", None, 1))
    'G_B(r = 1.41, δ = 0.03, n = 1)'
    """

    kind: Literal["radial", "angular"]
    r: float
    delta: float
    species: str | None
    l: int | None  # noqa: E741 (the field's name)
    generation: int = 0

    def __str__(self) -> str:
        what = f"G_{self.species}" if self.kind == "radial" else f"q_{self.l}"
        return f"{what}(r = {self.r:.4g}, δ = {self.delta:.4g}, n = {self.generation})"


def columns(
    species: Iterable[str] = ("A", "B"),
    *,
    radial: RadialShells = RADIAL,
    angular: np.ndarray | None = ANGULAR,
    l: int | Iterable[int] = ORDERS,  # noqa: E741
    n_max: int = 0,
) -> list[Column]:
    """What the columns of :func:`radial_angular` and :func:`averaged_radial_angular` are.

    Parameters
    ----------
    species : str of each
        Those of the radial functions, in this order.
    radial, angular, l
        As for :func:`radial_angular`.
    n_max : int
        Last generation; 0 for :func:`radial_angular`.

    Returns
    -------
    list of Column
        Generation by generation; in each the radial functions species by species, then the
        angular ones order by order; shells in the order given.
    """
    grid = _Grid.of(species, radial, angular, l)
    if not isinstance(n_max, (int, np.integer)) or n_max < 0:
        raise ValueError(f"n_max is {n_max!r}; expected the last generation, an integer from 0.")
    first = [
        Column("radial", float(r), float(delta), name, None)
        for name, grid_of in zip(grid.species, grid.radial)
        for r, delta in grid_of
    ] + [
        Column("angular", float(r), float(delta), None, order)
        for order in grid.orders
        for r, delta in grid.angular
    ]
    return [c._replace(generation=n) for n in range(n_max + 1) for c in first]


def radial_angular(
    frame: Frame,
    *,
    radial: RadialShells = RADIAL,
    angular: np.ndarray | None = ANGULAR,
    l: int | Iterable[int] = ORDERS,  # noqa: E741
    species: Iterable[str] | None = None,
    particles: np.ndarray | None = None,
) -> np.ndarray:
    r"""Radial and angular descriptors of each particle (eqs. 1 to 3).

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles. For descriptors of inherent structures, a copy of the frame with their
        positions: ``new = frames.copy(frame); new.particles.position = …``.
    radial : (n, 2) array, dict of str to (n, 2) array, or None
        r and δ of the shells of eq. 1, σ_AA, for all species or for each by name; None leaves
        the radial functions out.
    angular : (n, 2) array or None
        r and δ of the shells of eqs. 2 and 3, σ_AA; None leaves the angular functions out.
    l : int or ints
        Orders of the spherical harmonics, from 0.
    species : str of each, optional
        Whose densities; ``frame.particles.types`` by default. The angular functions and the
        particles described are always all.
    particles : (N,) bool or (n,) int array, optional
        Which particles to describe; all by default. All count as neighbours.

    Returns
    -------
    (N, n_columns) or (n, n_columns) float64 array
        Columns as :func:`columns` names them; 392 by default with two species. G is a number
        of particles, from 0; q is in [0, 1], and 0 where a shell has no neighbours. A species that
        the frame knows but has none of gives zeros, as do shells nearer than any pair.

    Raises
    ------
    ValueError
        For shells or orders that are none, a species the frame does not know, angular functions
        of a 2D frame, two particles at the same place, or a box narrower than twice the
        largest r + 8.6 δ.

    Notes
    -----
    Time and memory grow as N. Particles are spread over ``NUMBA_NUM_THREADS`` threads; results
    do not depend on how many there are. Gaussians on an even grid are made of two exponentials a
    neighbour and products (Greengard and Lee, SIAM Rev. 46, 443, 2004), with rounding errors
    only.

    Examples
    --------
    >>> pair = _frames.build([[0, 0, 0], [1.1, 0, 0]], 20.0, [0, 1])
    >>> X = radial_angular(pair, radial=shells((1.0, 0.1, 2, 0.1)), angular=None)
    >>> X.round(4).tolist()
    [[0.0, 0.0, 0.6065, 1.0], [0.6065, 1.0, 0.0, 0.0]]
    """
    grid = _grid(frame, species, radial, angular, l)
    asked = _asked(frame, particles)
    out = np.zeros((len(asked), grid.width))
    _fill(frame, grid, asked, out)
    return out


def averaged_radial_angular(
    frame: Frame,
    r_c: float,
    *,
    n_max: int = 2,
    radial: RadialShells = RADIAL,
    angular: np.ndarray | None = ANGULAR,
    l: int | Iterable[int] = ORDERS,  # noqa: E741
    species: Iterable[str] | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, list[Column]]:
    """Descriptors of all generations up to ``n_max``, and what their columns are.

    :func:`radial_angular`, then :func:`glasslib.descriptors.averaging.shell_average`.

    Parameters
    ----------
    frame, radial, angular, l, species
        As for :func:`radial_angular`.
    r_c : float
        Cut-off of the averages, σ_AA: about the second minimum of the total g(r), which is at
        2.3 in Kob–Andersen (ρ = 1.2, T = 0.44) and 2.1 in binary hard spheres (η = 0.58).
    n_max : int
        Last generation; the Letter uses 2.
    out : (N, (n_max + 1) n_columns) float64 array, optional
        Where to write, for systems whose result memory cannot hold: an open
        :func:`numpy.lib.format.open_memmap`, say. The result takes 9.4 kB a particle at the
        defaults, all else some 60 MB: descriptors and lists of neighbours are made by chunks.

    Returns
    -------
    X : (N, (n_max + 1) n_columns) float64 array
        ``out``, if there is one.
    columns : list of Column

    Raises
    ------
    ValueError
        As :func:`radial_angular` and :func:`glasslib.descriptors.averaging.shell_average`, or if
        ``out`` is not such an array.
    """
    species = list(frame.particles.types or ["A"]) if species is None else _names(species)
    table = columns(species, radial=radial, angular=angular, l=l, n_max=n_max)
    grid = _grid(frame, species, radial, angular, l)
    shape = (frame.particles.N, len(table))
    X = np.empty(shape) if out is None else out
    if not isinstance(X, np.ndarray) or X.shape != shape or X.dtype != np.float64:
        raise ValueError(
            f"out is {getattr(X, 'dtype', type(X).__name__)} of shape {np.shape(X)}; expected a "
            f"float64 array of shape {shape}."
        )
    _fill(frame, grid, np.arange(frame.particles.N), X[:, : grid.width])
    average_in_place(np.asarray(X), frame, r_c, n_max=n_max)
    return X, table


# ------------------------------------------------------------------------------------ behind them


class _Grid(NamedTuple):
    """The shells and orders asked for, checked."""

    species: tuple[str, ...]
    radial: tuple[np.ndarray, ...]  # (n, 2) for each species
    angular: np.ndarray  # (n, 2)
    orders: tuple[int, ...]

    @classmethod
    def of(cls, species, radial, angular, orders) -> _Grid:
        names = _names(species)
        if radial is None and angular is None:
            raise ValueError("radial and angular are both None; expected one of them at least.")
        none = np.empty((0, 2))
        if isinstance(radial, Mapping):
            if set(radial) != set(names):
                raise ValueError(
                    f"radial has shells of {', '.join(radial) or 'no species'}; expected those of "
                    f"{', '.join(names)}."
                )
            each = tuple(_shells(radial[name], f"radial[{name!r}]") for name in names)
        else:
            each = (none if radial is None else _shells(radial, "radial"),) * len(names)
        found = tuple(np.atleast_1d(orders if np.isscalar(orders) else list(orders)).tolist())
        if not found or any(not isinstance(k, int) or k < 0 for k in found):
            raise ValueError(f"l is {orders!r}; expected one order or several, integers from 0.")
        return cls(names, each, none if angular is None else _shells(angular, "angular"), found)

    @property
    def n_radial(self) -> int:
        return sum(len(grid) for grid in self.radial)

    @property
    def width(self) -> int:
        return self.n_radial + len(self.angular) * len(self.orders)

    @property
    def angular_reach(self) -> float:
        return max((r + REACH * delta for r, delta in self.angular), default=0.0)

    @property
    def reach(self) -> float:
        return max([self.angular_reach, *(r + REACH * d for g in self.radial for r, d in g)])

    def runs(self, types: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shells as evenly spaced runs of one width.

        Returns
        -------
        of_type : (n_types + 2,) int64 array
            Rows of ``runs`` for neighbours of each type; the angular ones come last.
        runs : (n, 6) float64 array
            First r, step, number, δ, place of its first value, place in ``powers``.
        powers : (n,) float64 array
            exp(−(k h)²/2δ²), k = 0, 1, …, for each run.
        """
        at = dict(zip(self.species, np.cumsum([0, *(len(grid) for grid in self.radial)])))
        wanted = [
            (self.radial[self.species.index(t)], at[t]) if t in at else (np.empty((0, 2)), 0)
            for t in types
        ]
        of_type, runs, powers = [0], [], []
        for grid, place in [*wanted, (self.angular, 0)]:
            for begin, end in _even(grid):
                r, delta = grid[begin]
                step = grid[begin + 1, 0] - r if end - begin > 1 else delta
                if end - begin > 1:
                    step = (grid[end - 1, 0] - r) / (end - begin - 1)
                runs.append((r, step, end - begin, delta, place + begin, len(powers)))
                powers.extend(np.exp(-((np.arange(end - begin) * step / delta) ** 2) / 2))
            of_type.append(len(runs))
        return (
            np.array(of_type, dtype=np.int64),
            np.array(runs, dtype=np.float64).reshape(-1, 6),
            np.array(powers, dtype=np.float64),
        )


def _grid(frame: Frame, species, radial, angular, l) -> _Grid:  # noqa: E741
    """The shells and orders asked for, checked against the frame."""
    _frames.check(frame)
    types = list(frame.particles.types or ["A"])
    grid = _Grid.of(types if species is None else species, radial, angular, l)
    unknown = [name for name in grid.species if name not in types]
    if unknown:
        raise ValueError(f"no species {unknown[0]!r}; the frame has {', '.join(types)}.")
    if len(grid.angular) and _frames.dimensions(frame) == 2:
        raise ValueError(
            "radial_angular got a 2D frame; expected 3D for spherical harmonics. Ask for radial "
            "functions alone by angular=None."
        )
    return grid


def _fill(frame: Frame, grid: _Grid, asked: np.ndarray, out: np.ndarray) -> None:
    """Descriptors of the particles ``asked``, chunk by chunk, into (n, width) ``out``."""
    of_type, runs, powers = grid.runs(list(frame.particles.types or ["A"]))
    reach = grid.reach
    narrowest = float(_frames.heights(frame.configuration.box).min())
    if 2 * reach >= narrowest:
        raise ValueError(
            f"the shells reach {reach:.4g} (largest r + {REACH} δ) but the box is only "
            f"{narrowest:.4g} wide where it is narrowest; expected at least twice that. Use fewer "
            "shells or more particles."
        )
    cells = _Sorted.of(frame, reach)
    angular_reach = grid.angular_reach
    l_max = max(grid.orders) if len(grid.angular) else 0
    tables = _recurrence(l_max)
    orders = np.array(grid.orders if len(grid.angular) else (), dtype=np.int64)

    def describe(rows: np.ndarray) -> int:
        part = np.zeros((len(rows), grid.width))
        overlapping = _describe(
            asked[rows], *cells, reach, angular_reach, of_type, runs, powers,
            grid.n_radial, len(grid.angular), orders, l_max, *tables, part,
        )  # fmt: skip
        out[rows] = part
        return overlapping

    # neighbours in space one after the other, so that what they read is still in the cache
    rows = np.argsort(cells.rank[asked], kind="stable")
    threads = numba.config.NUMBA_NUM_THREADS
    few = min(8 * threads, len(rows) // 32) if threads > 1 else 1
    parts = np.array_split(rows, max(few, -(-len(rows) // CHUNK), 1))
    if threads > 1 and len(parts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            overlapping = max(pool.map(describe, parts))
    else:
        overlapping = max(map(describe, parts))
    if overlapping >= 0:
        raise ValueError(
            f"particle {overlapping} has another at the same place; a bond between them has no "
            "direction. Remove one of them."
        )


def _names(species: Iterable[str]) -> tuple[str, ...]:
    names = (species,) if isinstance(species, str) else tuple(species)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"species is {species!r}; expected one name or several, each once.")
    return names


def _shells(grid: np.ndarray, name: str) -> np.ndarray:
    grid = np.asarray(grid, dtype=np.float64)
    if grid.ndim != 2 or grid.shape[1] != 2 or len(grid) == 0:
        raise ValueError(
            f"{name} has shape {grid.shape}; expected (n, 2), r and δ of one shell at least, for "
            "instance from shells(); None leaves these functions out."
        )
    wrong = np.flatnonzero(~np.isfinite(grid).all(1) | (grid[:, 0] < 0) | (grid[:, 1] <= 0))
    if len(wrong):
        r, delta = grid[wrong[0]]
        raise ValueError(
            f"{name}: shell {wrong[0]} has r = {r:g} and δ = {delta:g}; expected finite r ≥ 0 and "
            "δ > 0."
        )
    return grid


def _even(grid: np.ndarray) -> list[tuple[int, int]]:
    """Maximal stretches of rows of ``grid`` with one δ and even, growing r."""
    out, begin = [], 0
    while begin < len(grid):
        r, delta = grid[begin]
        end = begin + 1
        if end < len(grid) and grid[end, 0] > r and grid[end, 1] == delta:
            step = grid[end, 0] - r
            while (
                end < len(grid)
                and grid[end, 1] == delta
                # as even as rounding allows
                and abs(grid[end, 0] - r - (end - begin) * step) <= 1e-15 * (end - begin + 4) * r
            ):
                end += 1
        out.append((begin, end))
        begin = end
    return out


def _asked(frame: Frame, particles: np.ndarray | None) -> np.ndarray:
    """(n,) int64 indices."""
    n = frame.particles.N
    if particles is None:
        return np.arange(n)
    chosen = np.asarray(particles)
    if chosen.dtype == bool and chosen.shape == (n,):
        return np.flatnonzero(chosen)
    fits = chosen.ndim == 1 and (chosen.size == 0 or chosen.dtype.kind in "iu")
    if not fits or (chosen.size and (chosen.min() < 0 or chosen.max() >= n)):
        raise ValueError(
            f"particles has shape {chosen.shape} and dtype {chosen.dtype}; expected ({n},) bool, "
            f"or indices from 0 to {n - 1}."
        )
    return chosen.astype(np.int64)


class _Sorted(NamedTuple):
    """Particles cell by cell, a few cells to the reach."""

    rank: np.ndarray  # (N,) place of each particle in what follows
    position: np.ndarray  # (N, 3) inside the box, whose corner is the origin
    typeid: np.ndarray  # (N,)
    cell: np.ndarray  # (N, 3)
    start: np.ndarray  # (cells + 1,)
    shape: np.ndarray  # (3,) number of cells
    around: np.ndarray  # (3,) how many to look through in each direction
    matrix: np.ndarray  # (3, 3) box vectors as columns

    @classmethod
    def of(cls, frame: Frame, reach: float) -> _Sorted:
        cells = Cells.of(frame, reach / 3)
        heights = _frames.heights(np.asarray(frame.configuration.box, dtype=np.float64))
        around = np.zeros(3, dtype=np.int64)
        d = len(heights)
        around[:d] = np.ceil(reach * cells.shape[:d] / heights + 1e-9)
        fraction = cells.fraction[cells.order]
        rank = np.empty(len(fraction), dtype=np.int64)
        rank[cells.order] = np.arange(len(fraction))
        typeid = np.zeros(len(fraction), dtype=np.int64)
        if frame.particles.typeid is not None:
            typeid[:] = np.asarray(frame.particles.typeid)[cells.order]
        cell = np.minimum((fraction * cells.shape).astype(np.int64), cells.shape - 1)
        position = np.ascontiguousarray(fraction @ cells.matrix.T)
        return cls(rank, position, typeid, cell, cells.start, cells.shape, around, cells.matrix)


CHUNK = 2048  # particles described before their rows are written to the result
BATCH = 48  # directions whose harmonics are made at once: fast, and a cache holds them
TOGETHER = 4  # of which so many are added at once; divides BATCH

_options = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


@njit(**_options)
def _describe(
    who, rank, position, typeid, cell, start, shape, around, matrix, reach, angular_reach,
    of_type, runs, powers, n_radial, n_angular, orders, l_max, sectoral, a, b, out,
):  # fmt: skip
    """A row of ``out`` for each of ``who``; one of them at the same place as another, or −1."""
    n_types = len(of_type) - 2
    width = (l_max + 1) ** 2
    near, kind = np.empty((4, 256)), np.empty(256, np.int64)
    direction, weight = np.zeros((5, BATCH)), np.zeros((BATCH, n_angular))
    by_order, harmonics = np.zeros((width, BATCH)), np.zeros((TOGETHER, width))
    total, sums = np.zeros(n_angular), np.zeros((n_angular, width))
    for row in range(len(who)):
        i = rank[who[row]]
        n, near, kind = _gather(
            i, position, typeid, cell, start, shape, around, matrix, reach, near, kind
        )
        total[:] = 0.0
        sums[:] = 0.0
        waiting = 0
        for j in range(n):
            r = np.sqrt(near[3, j])
            if r < 1e-6 * reach:
                return who[row]
            for run in range(of_type[kind[j]], of_type[kind[j] + 1]):
                _add_gaussians(r, runs[run], powers, out[row])
            if r >= angular_reach:
                continue
            for d in range(3):
                direction[d, waiting] = near[d, j] / r
            weight[waiting] = 0.0
            for run in range(of_type[n_types], of_type[n_types + 1]):
                _add_gaussians(r, runs[run], powers, weight[waiting])
            for k in range(n_angular):
                total[k] += weight[waiting, k]
            waiting += 1
            if waiting == BATCH:
                _add_harmonics(
                    waiting, direction, weight, l_max, sectoral, a, b, by_order, harmonics, sums
                )
                waiting = 0
        _add_harmonics(waiting, direction, weight, l_max, sectoral, a, b, by_order, harmonics, sums)
        for k in range(n_angular):
            if total[k] == 0.0:
                continue
            for column in range(len(orders)):
                order = orders[column]
                power = 0.0
                for c in range(order * order, (order + 1) * (order + 1)):
                    power += sums[k, c] ** 2
                out[row, n_radial + column * n_angular + k] = (
                    np.sqrt(4 * np.pi / (2 * order + 1) * power) / total[k]
                )
    return -1


@njit(**_options)
def _gather(i, position, typeid, cell, start, shape, around, matrix, reach, near, kind):
    """Vectors to all within reach of *i*, squared distances below them, and their types.

    Written to ``near`` and ``kind``, or to longer arrays.
    """
    n = 0
    squared_reach = reach * reach
    for u in range(cell[i, 0] - around[0], cell[i, 0] + around[0] + 1):
        image_u = u // shape[0]
        for v in range(cell[i, 1] - around[1], cell[i, 1] + around[1] + 1):
            image_v = v // shape[1]
            line = ((u - image_u * shape[0]) * shape[1] + v - image_v * shape[1]) * shape[2]
            w, last = cell[i, 2] - around[2], cell[i, 2] + around[2]
            while w <= last:
                # cells of one image follow one another in memory
                image_w = w // shape[2]
                end = min(last, (image_w + 1) * shape[2] - 1)
                first = start[line + w - image_w * shape[2]]
                beyond = start[line + end - image_w * shape[2] + 1]
                w = end + 1
                x0 = matrix[0, 0] * image_u + matrix[0, 1] * image_v + matrix[0, 2] * image_w
                y0 = matrix[1, 1] * image_v + matrix[1, 2] * image_w
                z0 = matrix[2, 2] * image_w
                x0, y0, z0 = x0 - position[i, 0], y0 - position[i, 1], z0 - position[i, 2]
                if n + beyond - first + 1 > len(kind):
                    longer = np.empty((4, 2 * (n + beyond - first + 1)))
                    longer[:, :n] = near[:, :n]
                    kinds = np.empty(longer.shape[1], np.int64)
                    kinds[:n] = kind[:n]
                    near, kind = longer, kinds
                for j in range(first, beyond):
                    x, y, z = position[j, 0] + x0, position[j, 1] + y0, position[j, 2] + z0
                    r2 = x * x + y * y + z * z
                    near[0, n], near[1, n], near[2, n], near[3, n] = x, y, z, r2
                    kind[n] = typeid[j]
                    # kept or written over: no branch to guess
                    n += (r2 < squared_reach) & (j != i)
    return n, near, kind


@njit(inline="always", **_options)
def _add_gaussians(r, run, powers, out):
    """Add the Gaussians of one run's shells that a neighbour at r reaches."""
    r0, step, number, delta, place, table = run
    d, h = (r - r0) / delta, step / delta  # all in δ from here
    last, place, table = int(number) - 1, int(place), int(table)
    if d <= -REACH or d >= last * h + REACH:
        return
    low = max(0, int(np.ceil((d - REACH) / h)))
    high = min(last, int((d + REACH) / h))
    if low > high:
        return  # between two shells far apart
    center = min(max(int(np.rint(d / h)), low), high)
    # exp(-(d - kh)²/2) = exp(-d²/2) exp(dh)^k exp(-(kh)²/2)
    d -= center * h
    value = np.exp(-d * d / 2)
    ratio = np.exp(d * h)
    up, down = value, value
    out[place + center] += value
    for k in range(1, high - center + 1):
        up *= ratio
        out[place + center + k] += up * powers[table + k]
    ratio = 1 / ratio
    for k in range(1, center - low + 1):
        down *= ratio
        out[place + center - k] += down * powers[table + k]


@njit(**_options)
def _add_harmonics(n, direction, weight, l_max, sectoral, a, b, by_order, rows, sums):
    """Add weights times real spherical harmonics of ``n`` directions to the sums of each shell.

    The harmonics' squares sum as those of the complex ones: order l and m = −l … l at l² + l + m,
    √2 times the real part for m > 0, the imaginary one for m < 0. By the recurrence in l at fixed
    |m|, for all directions at once.
    """
    x, y, z, re, im = direction
    re[:n], im[:n] = 1.0, 0.0  # (x + iy)^m
    for m in range(l_max + 1):
        for p in range(n):
            by_order[m * m, p] = sectoral[m] * im[p]
            by_order[m * m + 2 * m, p] = sectoral[m] * re[p]
        for p in range(n):
            re[p], im[p] = re[p] * x[p] - im[p] * y[p], re[p] * y[p] + im[p] * x[p]
        for l in range(m + 1, l_max + 1):  # noqa: E741
            scale, before = a[l, m], a[l, m] * b[l, m]
            # order l − 2 has no such m at first: b is 0 then, and what is read there finite
            two = max((l - 2) * (l - 2) + l - 2, m)
            for sign in (-1, 1):
                here, one, other = l * l + l + sign * m, l * l - l + sign * m, two + sign * m
                for p in range(n):
                    by_order[here, p] = (
                        scale * z[p] * by_order[one, p] - before * by_order[other, p]
                    )
                if m == 0:
                    break
    width = (l_max + 1) * (l_max + 1)
    for first in range(0, n, TOGETHER):
        for p in range(TOGETHER):
            if first + p >= n:
                weight[first + p] = 0.0
            for c in range(width):
                rows[p, c] = by_order[c, first + p]
        for k in range(len(sums)):
            g = weight[first : first + TOGETHER, k]
            if g[0] + g[1] + g[2] + g[3] > 0:
                for c in range(width):
                    sums[k, c] += (g[0] * rows[0, c] + g[1] * rows[1, c]) + (
                        g[2] * rows[2, c] + g[3] * rows[3, c]
                    )


def _recurrence(l_max: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients of :func:`_add_harmonics`, of harmonics that stand for m and −m."""
    diagonal, a, b = harmonic_coefficients(l_max)
    return diagonal * np.where(np.arange(l_max + 1) > 0, np.sqrt(2), 1), a, b
