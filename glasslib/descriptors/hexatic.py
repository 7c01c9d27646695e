r"""Bond order in two dimensions: how the directions to the neighbours are spread over the circle.

The k-fold bond-orientational order of particle *i* with its neighbours *j* at angles θ_ij is

.. math::

    \phi_k(i) = \frac{1}{n_i} \sum_{j} e^{\mathrm{i} k \theta_{ij}},  \qquad
    \bar\phi_k(i) = \frac{1}{n_i} \sum_{j} \phi_k(j),

a complex number whose modulus does not depend on the axes; k = 6 is the hexatic order of Nelson
and Halperin, Phys. Rev. B 19, 2457 (1979). The local average of complex numbers keeps what the
orientations of neighbouring cells have in common; the modulus is taken last. This is the poster of
Gürel, Foffi, Filion and Smallenburg, which feeds an autoencoder with the moduli for all particles
and for the particle's own species alone (its Φ̄, d = 16).

"Own species alone" can be read in two ways: the neighbours are found among the particles of that
species, as if the others were not there (``"apart"``), or the others are struck from the common
list of neighbours (``"shared"``). The second leaves particles with one neighbour or none, whose
order is 1 or 0 whatever surrounds them; the first does not and is the default here.

All neighbours count alike. Sums are in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from glasslib.frames import Frame, subset
from glasslib.neighbors import Neighbors, kept, neighbor_list

ORDERS = tuple(range(1, 9))  #: k of the poster

SameSpecies = Literal["apart", "shared", False]
NeighborChoice = Neighbors | Literal["sann", "voronoi"] | Mapping[tuple[str, str], float] | float


def hexatic_order(
    frame: Frame,
    *,
    neighbors: NeighborChoice = "voronoi",
    k: int | Iterable[int] = ORDERS,
    same_species: SameSpecies = False,
) -> np.ndarray:
    r"""φ_k of each particle.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles in two dimensions.
    neighbors : "voronoi", "sann", float, dict or Neighbors
        A rule or cut-offs of :mod:`glasslib.neighbors`, or a list.
    k : int or ints
        Orders, from 1.
    same_species : {False, "apart", "shared"}
        Count only particles of the own species, in one of the two ways of the module's text;
        ``"apart"`` needs a rule or cut-offs for ``neighbors``.

    Returns
    -------
    (N, n_k) complex128 array
        Of modulus at most 1, columns in the order of ``k``. A particle without neighbours has no
        bond order: its row is NaN, and a warning counts such rows. Without neighbours of its own
        species it is 0: a small particle among large ones has an environment all the same.

    Raises
    ------
    ValueError
        For a 3D frame, orders that are not positive integers, or ``same_species="apart"`` with
        a list of neighbours.
    """
    found, orders = _checked(frame, neighbors, k)
    if same_species:
        return _order(_alike(frame, found, neighbors, same_species), orders)
    phi = _order(found, orders)
    phi[found.counts == 0] = np.nan
    return phi


def averaged_hexatic_order(
    frame: Frame,
    *,
    neighbors: NeighborChoice = "voronoi",
    k: int | Iterable[int] = ORDERS,
    same_species: SameSpecies = "apart",
) -> np.ndarray:
    r"""Moduli of locally averaged φ_k: the descriptor of the poster.

    Parameters
    ----------
    frame, neighbors, k
        As for :func:`hexatic_order`.
    same_species : {"apart", "shared", False}
        Append the same for the particle's own species alone (both the φ_k and the average).

    Returns
    -------
    (N, n_k) or (N, 2 n_k) float64 array
        :math:`|\bar\phi_k|` in [0, 1]; with ``same_species`` all neighbours first, then the
        particle's own species. The average does not include the particle itself.

    Raises
    ------
    ValueError
        See :func:`hexatic_order`.
    """
    found, orders = _checked(frame, neighbors, k)
    parts = [_averaged(found, _order(found, orders))]
    parts[0][found.counts == 0] = np.nan
    if same_species:
        alike = _alike(frame, found, neighbors, same_species)
        parts.append(_averaged(alike, _order(alike, orders)))
    return np.abs(np.hstack(parts))


def column_names(
    k: int | Iterable[int] = ORDERS, *, same_species: SameSpecies = "apart"
) -> list[str]:
    """Names of the columns of :func:`averaged_hexatic_order`: ``["|φ̄1|", …, "|φ̄ss1|", …]``."""
    orders = _orders(k)
    names = [f"|φ̄{n}|" for n in orders]
    return names + [f"|φ̄ss{n}|" for n in orders] if same_species else names


# ------------------------------------------------------------------------------------ internals


def _checked(frame: Frame, neighbors: NeighborChoice, k) -> tuple[Neighbors, tuple[int, ...]]:
    if frame.configuration.box[2] != 0:
        raise ValueError(
            "hexatic order got a 3D frame; expected 2D. In three dimensions use "
            "descriptors.averaged_bond_order."
        )
    orders = _orders(k)
    found = neighbor_list(frame, neighbors)
    lonely = int((found.counts == 0).sum())
    if lonely:
        warnings.warn(
            f"{lonely} of {len(found.counts)} particles have no neighbours and so no bond order "
            "(NaN); check the cut-off.",
            stacklevel=3,
        )
    return found, orders


def _orders(k: int | Iterable[int]) -> tuple[int, ...]:
    orders = tuple(np.atleast_1d(k if np.isscalar(k) else list(k)).tolist())
    if not orders or any(not isinstance(n, int) or n < 1 for n in orders):
        raise ValueError(f"k is {k!r}; expected one order or several, integers from 1.")
    return orders


def _alike(
    frame: Frame, found: Neighbors, neighbors: NeighborChoice, same_species: SameSpecies
) -> Neighbors:
    """Neighbours of the particle's own species."""
    kind = np.asarray(frame.particles.typeid)
    if same_species == "shared":
        return kept(found, kind[found.source] == kind[found.index])
    if same_species != "apart" or isinstance(neighbors, Neighbors):
        raise ValueError(
            f"same_species is {same_species!r} and neighbors {type(neighbors).__name__}; expected "
            "'apart' with a rule or cut-offs, or 'shared', or False."
        )
    parts = []
    for one in np.unique(kind):
        mine = np.flatnonzero(kind == one)
        try:
            own = neighbor_list(subset(frame, mine), neighbors)
        except ValueError as error:
            raise ValueError(
                f"the {len(mine)} particles of type {frame.particles.types[one]} alone have no "
                f"such neighbours ({error}) Take same_species='shared', a cut-off, or False."
            ) from error
        parts.append((mine[own.source], mine[own.index], own.vector, own.distance))
    source, index, vector, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(source, kind="stable")  # nearest first, as each species has them
    offsets = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=len(kind)))])
    return Neighbors(offsets, index[order], vector[order], distance[order])


def _order(found: Neighbors, orders: tuple[int, ...]) -> np.ndarray:
    z = (found.vector[:, 0] + 1j * found.vector[:, 1]) / found.distance
    return np.stack([_mean(found, z**n) for n in orders], axis=1)


def _averaged(found: Neighbors, phi: np.ndarray) -> np.ndarray:
    return np.stack([_mean(found, column[found.index]) for column in phi.T], axis=1)


def _mean(found: Neighbors, values: np.ndarray) -> np.ndarray:
    """(N,) mean over the neighbours of each particle; 0 where there are none."""
    n = len(found.counts)
    source = found.source
    total = np.bincount(source, values.real, n) + 1j * np.bincount(source, values.imag, n)
    return total / np.maximum(found.counts, 1)
