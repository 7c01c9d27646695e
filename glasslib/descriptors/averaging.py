r"""Averages over what surrounds a particle, and the local density.

.. math:: \bar x(i) = \frac{1}{N_r(i)} \sum_{j:\,|r_{ij}| < r} x(j)

with the particle itself among the *j*: Boattini et al., Nat. Commun. 11, 5479 (2020), average
their order parameter so within two diameters of the large particles. All particles inside count
alike there; :func:`exponential_average` weighs them by distance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glasslib import frames as _frames
from glasslib.compiling import njit
from glasslib.frames import Frame
from glasslib.neighbors import Cells, cutoff_matrix, search, within

CHUNK = 8192  # particles whose lists of neighbours are held at once


def sphere_average(
    values: np.ndarray,
    frame: Frame,
    radius: float,
    *,
    include: np.ndarray | None = None,
) -> np.ndarray:
    """Mean of ``values`` over the particles within ``radius`` of each, itself included.

    Parameters
    ----------
    values : (N,) or (N, k) array
        Of all particles of the frame; those that are not included may be NaN.
    frame : gsd.hoomd.Frame
        N particles in 2D or 3D.
    radius : float
        Of the sphere (disk in 2D), σ_AA; less than half the box. 0 gives ``values`` back.
    include : (N,) bool array, optional
        Which particles are averaged over: one species, say. All by default, each species with
        the values of its own.

    Returns
    -------
    (N,) or (N, k) float64 array
        A row for every particle, also for those that are not included; NaN where no included
        particle is within reach.

    Raises
    ------
    ValueError
        For shapes that do not fit the frame, values that are not finite where they count, or a
        radius the box cannot hold.

    Examples
    --------
    >>> row = _frames.build([[0, 0, 0], [1, 0, 0], [2.5, 0, 0]], 10.0, [0, 0, 0])
    >>> sphere_average([0.0, 1.0, 5.0], row, 1.2).tolist()
    [0.5, 0.5, 5.0]
    """
    values = np.asarray(values, dtype=np.float64)
    n = frame.particles.N
    if values.ndim not in (1, 2) or len(values) != n:
        raise ValueError(f"values has shape {values.shape}; expected ({n},) or ({n}, k).")
    counted = _included(frame, include)
    bad = np.flatnonzero(~np.isfinite(values.reshape(n, -1)).all(axis=1) & counted)
    if len(bad):
        raise ValueError(
            f"the value of particle {bad[0]} is {values[bad[0]]}; expected finite numbers. Leave "
            "such particles out by include."
        )
    sphere = _within(frame, radius)
    weight = counted.astype(np.float64)
    columns = np.where(counted[:, None], values.reshape(n, -1), 0.0)
    number = sphere @ weight
    with np.errstate(invalid="ignore"):
        mean = (sphere @ columns) / number[:, None]
    return mean.reshape(values.shape)


def exponential_average(values: np.ndarray, frame: Frame, r_c: float) -> np.ndarray:
    r"""Mean of ``values`` around each particle, near ones counting more.

    Boattini, Smallenburg, Filion, Phys. Rev. Lett. 127, 088007 (2021), eq. 4:

    .. math::

        X_i^{(n)} = \frac{1}{C} \sum_{j:\, r_{ij} < r_c} e^{-r_{ij}/r_c} X_j^{(n-1)}, \qquad
        C = \sum_{j:\, r_{ij} < r_c} e^{-r_{ij}/r_c}.

    The sum is over all particles, whatever their species, the particle itself included: unlike
    eqs. 1 and 2, eq. 4 does not leave out *j = i*, whose weight is 1.

    Parameters
    ----------
    values : (N,) or (N, k) float array
        Of all particles of the frame.
    frame : gsd.hoomd.Frame
        N particles in 2D or 3D.
    r_c : float
        Cut-off and length of the weights, σ_AA; less than half the box. The Letter takes about
        the second minimum of g(r) and finds little dependence on it.

    Returns
    -------
    (N,) or (N, k) float64 array

    Raises
    ------
    ValueError
        For shapes that do not fit the frame, values that are not finite, or a cut-off that is
        no positive distance or that the box cannot hold.

    Examples
    --------
    >>> row = _frames.build([[0, 0, 0], [1, 0, 0], [4, 0, 0]], 10.0, [0, 0, 0])
    >>> exponential_average([1.0, 0.0, 5.0], row, 2.0).round(4).tolist()
    [0.6225, 0.3775, 5.0]
    """
    values = _finite_values(values, frame)
    flat = values.reshape(len(values), -1)
    return _generations(flat, frame, r_c, 1)[:, flat.shape[1] :].reshape(values.shape)


def shell_average(values: np.ndarray, frame: Frame, r_c: float, *, n_max: int) -> np.ndarray:
    r"""The values and their averages up to generation ``n_max``, side by side.

    :math:`[X^{(0)}, X^{(1)}, \dots, X^{(n_\mathrm{max})}]`, each the :func:`exponential_average`
    of the one before: what one particle is given of the others reaches n r_c far.

    Parameters
    ----------
    values : (N,) or (N, k) float array
        :math:`X^{(0)}`, of all particles of the frame.
    frame, r_c
        As for :func:`exponential_average`.
    n_max : int
        Last generation, from 0.

    Returns
    -------
    (N, k (n_max + 1)) float64 array
        Generation by generation; k = 1 for a plain (N,).
    """
    values = _finite_values(values, frame)
    if not isinstance(n_max, (int, np.integer)) or n_max < 0:
        raise ValueError(f"n_max is {n_max!r}; expected the last generation, an integer from 0.")
    return _generations(values.reshape(len(values), -1), frame, r_c, int(n_max))


def averaged_energies(
    energy: np.ndarray,
    frame: Frame,
    *,
    radii: Sequence[float] = (1.2, 1.5, 2.3, 3.0, 4.5),
    n_max: int = 3,
) -> np.ndarray:
    r"""Energies and composition of the surroundings: few columns that foretell motion well.

    Of a mixture with species :math:`1, \dots, S`, every particle has :math:`2 S` numbers: its
    energy :math:`e_i`; :math:`e_i \delta_{s_i, s}` for each species *s*; and
    :math:`\delta_{s_i, s}` for all species but the last. Each is averaged as by
    :func:`exponential_average` one to ``n_max`` times, at every radius. What enters is the energy
    in the inherent structure: that of a thermal snapshot says little. In the spirit of Jung et
    al., Phys. Rev. Lett. 130, 238202 (2023), who average inherent energies and densities.

    Parameters
    ----------
    energy : (N,) float array
        Potential energy of each particle, ε_AA.
    frame : gsd.hoomd.Frame
        The positions that the energies belong to.
    radii : sequence of float
        Cut-offs :math:`r_c` of the averages, σ_AA.
    n_max : int
        Generations of averages at each radius, from 0.

    Returns
    -------
    (N, 2 S (1 + R n_max)) float64 array
        The 2 S numbers themselves, then radius by radius, generation by generation: 64 columns
        of a binary mixture at the defaults.

    Raises
    ------
    ValueError
        For energies that do not fit the frame or are not finite, radii that are no positive
        distances or too large for the box, no radius at all, or a negative ``n_max``.

    Examples
    --------
    >>> pair = _frames.build([[0, 0, 0], [1, 0, 0]], 10.0, [0, 1])
    >>> averaged_energies([-1.0, -3.0], pair, radii=[1.5], n_max=0).tolist()
    [[-1.0, -1.0, 0.0, 1.0], [-3.0, 0.0, -3.0, 0.0]]
    """
    energy = np.asarray(energy, dtype=np.float64)
    if energy.shape != (frame.particles.N,):
        raise ValueError(
            f"energy has shape {energy.shape}; expected ({frame.particles.N},), one a particle."
        )
    if not len(radii):
        raise ValueError("radii is empty; expected at least one cut-off of the averages.")
    species = np.arange(len(frame.particles.types))
    is_s = frame.particles.typeid[:, None] == species
    local = np.column_stack([energy, np.where(is_s, energy[:, None], 0.0), is_s[:, :-1]])
    width = local.shape[1]
    return np.hstack(
        [local, *(shell_average(local, frame, r, n_max=n_max)[:, width:] for r in radii)]
    )


def local_density(
    frame: Frame,
    radius: float,
    *,
    include: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Number of particles within ``radius`` of each, itself included, over the sphere's volume.

    The simplest structural quantity: what an order parameter has to beat.

    Parameters
    ----------
    frame, radius, include
        As for :func:`sphere_average`.
    weights : (N,) float array, optional
        What each particle counts, 1 by default. With the particles' own volumes (areas) this is
        the local packing fraction, in which a mixture's composition does not show.

    Returns
    -------
    (N,) float64 array, 1/σ_AA^d
    """
    counted = _included(frame, include).astype(np.float64)
    if weights is not None:
        counted *= _finite_values(weights, frame)
    if radius == 0:
        raise ValueError("radius is 0; expected a sphere that holds neighbours.")
    volume = np.pi * radius**2 if _frames.dimensions(frame) == 2 else 4 / 3 * np.pi * radius**3
    return _within(frame, radius) @ counted / volume


def _finite_values(values: np.ndarray, frame: Frame) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    n = frame.particles.N
    if values.ndim not in (1, 2) or len(values) != n:
        raise ValueError(f"values has shape {values.shape}; expected ({n},) or ({n}, k).")
    bad = np.flatnonzero(~np.isfinite(values.reshape(n, -1)).all(axis=1))
    if len(bad):
        raise ValueError(
            f"a value of particle {bad[0]} is not finite; each is averaged over, so all must be."
        )
    return values


def _generations(values: np.ndarray, frame: Frame, r_c: float, n_max: int) -> np.ndarray:
    """(N, k) -> (N, k (n_max + 1))"""
    n, k = values.shape
    out = np.empty((n, k * (n_max + 1)))
    out[:, :k] = values
    average_in_place(out, frame, r_c, n_max=n_max)
    return out


def average_in_place(table: np.ndarray, frame: Frame, r_c: float, *, n_max: int) -> None:
    """Fill a table with averages of its first columns, as :func:`shell_average` makes it.

    Parameters
    ----------
    table : (N, k (n_max + 1)) float64 array
        X^(0) in the first k columns; the others are written over. It may be larger than memory,
        a :func:`numpy.lib.format.open_memmap`.
    frame, r_c, n_max
        As for :func:`shell_average`.

    Raises
    ------
    ValueError
        For a table that does not fit, a cut-off that is no positive distance or that the box
        cannot hold, or two particles at the same place.
    """
    if not np.isfinite(r_c) or r_c <= 0:
        raise ValueError(f"r_c is {r_c!r}; expected a positive distance in σ_AA.")
    _frames.check(frame)
    cutoff_matrix(frame, float(r_c))  # refuses what the box cannot hold
    k, rest = divmod(table.shape[1], n_max + 1)
    if rest or len(table) != frame.particles.N:
        raise ValueError(
            f"table has shape {table.shape}; expected ({frame.particles.N}, k · {n_max + 1})."
        )
    cells = Cells.of(frame, float(r_c))
    # neighbours in space one after the other, so that what they read is still in the cache
    chunks = np.array_split(cells.order, -(-len(cells.order) // CHUNK))
    for generation in range(n_max):
        for chunk in chunks:
            if generation == 0 or len(chunks) > 1:  # the lists of all take too much memory
                near = search(cells, chunk)
                weight = np.exp(-near.distance / r_c)
            _weighted_mean(chunk, near.offsets, near.index, weight, table, generation * k, k)


@njit
def _weighted_mean(who, offsets, index, weight, table, begin, k):
    """Average ``k`` columns from ``begin`` into the next ``k``; a particle's own weight is 1."""
    for row in range(len(who)):
        i = who[row]
        target = table[i, begin + k : begin + 2 * k]
        target[:] = table[i, begin : begin + k]
        total = 1.0
        for entry in range(offsets[row], offsets[row + 1]):
            w = weight[entry]
            total += w
            source = table[index[entry], begin : begin + k]
            for c in range(k):
                target[c] += w * source[c]
        for c in range(k):
            target[c] /= total


def _included(frame: Frame, include: np.ndarray | None) -> np.ndarray:
    n = frame.particles.N
    if include is None:
        return np.ones(n, dtype=bool)
    include = np.asarray(include)
    if include.shape != (n,) or include.dtype != bool:
        raise ValueError(
            f"include has shape {include.shape} and dtype {include.dtype}; expected ({n},) bool, "
            "for instance frame.particles.typeid == 0."
        )
    return include


def _within(frame: Frame, radius: float):
    """(N, N) sparse matrix of ones where j is within the radius of i, or is i."""
    from scipy.sparse import csr_array, eye_array

    n = frame.particles.N
    if not np.isfinite(radius) or radius < 0:
        raise ValueError(f"radius is {radius!r}; expected a distance in σ_AA.")
    itself = eye_array(n, format="csr")
    if radius == 0:
        return itself
    near = within(frame, float(radius))
    return csr_array((np.ones(len(near.index)), near.index, near.offsets), shape=(n, n)) + itself
