r"""Bond order in two dimensions: how the directions to the neighbours are spread over the circle.

The k-fold bond-orientational order of particle *i* with its neighbours *j* at angles θ_ij is

.. math::

    \phi_k(i) = \frac{1}{n_i} \sum_{j} e^{\mathrm{i} k \theta_{ij}},  \qquad
    \bar\phi_k(i) = \frac{1}{n_i} \sum_{j} \phi_k(j),

a complex number whose modulus does not depend on the axes; k = 6 is the hexatic order of Nelson
and Halperin, Phys. Rev. B 19, 2457 (1979). The local average of complex numbers keeps what the
orientations of neighbouring cells have in common; the modulus is taken last. This is the poster of
Gürel, Foffi, Filion and Smallenburg, which feeds an autoencoder with the moduli for all neighbours
and for neighbours of the particle's own species (its Φ̄, d = 16).

All neighbours count alike. Sums are in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from glasslib.frames import Frame
from glasslib.neighbors import Neighbors, neighbor_list

ORDERS = tuple(range(1, 9))  #: k of the poster

NeighborChoice = Neighbors | Literal["sann", "voronoi"] | Mapping[tuple[str, str], float] | float


def hexatic_order(
    frame: Frame,
    *,
    neighbors: NeighborChoice = "voronoi",
    k: int | Iterable[int] = ORDERS,
    same_species: bool = False,
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
    same_species : bool
        Count only neighbours of the particle's own species.

    Returns
    -------
    (N, n_k) complex128 array
        Of modulus at most 1, columns in the order of ``k``. A particle without neighbours has no
        bond order: its row is NaN, and a warning counts such rows, unless ``same_species``: there
        it is 0, for a small particle among large ones has an environment all the same.

    Raises
    ------
    ValueError
        For a 3D frame or orders that are not positive integers.
    """
    found, kind, orders = _checked(frame, neighbors, k)
    return _order(found, kind, orders, same_species)


def averaged_hexatic_order(
    frame: Frame,
    *,
    neighbors: NeighborChoice = "voronoi",
    k: int | Iterable[int] = ORDERS,
    same_species: bool = True,
) -> np.ndarray:
    r"""Moduli of locally averaged φ_k: the descriptor of the poster.

    Parameters
    ----------
    frame, neighbors, k
        As for :func:`hexatic_order`.
    same_species : bool
        Append the same for neighbours of the particle's own species alone (both the φ_k and
        the average run over them).

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
    found, kind, orders = _checked(frame, neighbors, k)
    parts = [_averaged(found, _order(found, kind, orders, False))]
    if same_species:
        alike = _alike(found, kind)
        parts.append(_averaged(alike, _order(alike, kind, orders, True)))
    return np.abs(np.hstack(parts))


def column_names(k: int | Iterable[int] = ORDERS, *, same_species: bool = True) -> list[str]:
    """Names of the columns of :func:`averaged_hexatic_order`: ``["|φ̄1|", …, "|φ̄ss1|", …]``."""
    orders = _orders(k)
    names = [f"|φ̄{n}|" for n in orders]
    return names + [f"|φ̄ss{n}|" for n in orders] if same_species else names


# ------------------------------------------------------------------------------------ internals


def _checked(frame: Frame, neighbors: NeighborChoice, k) -> tuple[Neighbors, np.ndarray, tuple]:
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
    return found, np.asarray(frame.particles.typeid), orders


def _orders(k: int | Iterable[int]) -> tuple[int, ...]:
    orders = tuple(np.atleast_1d(k if np.isscalar(k) else list(k)).tolist())
    if not orders or any(not isinstance(n, int) or n < 1 for n in orders):
        raise ValueError(f"k is {k!r}; expected one order or several, integers from 1.")
    return orders


def _alike(found: Neighbors, kind: np.ndarray) -> Neighbors:
    """The neighbours of the particle's own species."""
    keep = kind[found.source] == kind[found.index]
    before = np.concatenate([[0], np.cumsum(keep)])
    return Neighbors(
        before[found.offsets], found.index[keep], found.vector[keep], found.distance[keep]
    )


def _order(found: Neighbors, kind: np.ndarray, orders: tuple, same_species: bool) -> np.ndarray:
    if same_species:
        found = _alike(found, kind)
    z = (found.vector[:, 0] + 1j * found.vector[:, 1]) / found.distance
    phi = np.stack([_mean(found, z**n) for n in orders], axis=1)
    if not same_species:
        phi[found.counts == 0] = np.nan
    return phi


def _averaged(found: Neighbors, phi: np.ndarray) -> np.ndarray:
    out = np.stack([_mean(found, column[found.index]) for column in phi.T], axis=1)
    out[np.isnan(phi[:, 0])] = np.nan
    return out


def _mean(found: Neighbors, values: np.ndarray) -> np.ndarray:
    """(N,) mean over the neighbours of each particle; 0 where there are none."""
    n = len(found.counts)
    source = found.source
    total = np.bincount(source, values.real, n) + 1j * np.bincount(source, values.imag, n)
    return total / np.maximum(found.counts, 1)
