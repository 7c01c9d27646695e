r"""Bond order: how the directions to the neighbours are spread over the sphere.

Steinhardt, Nelson, Ronchetti, Phys. Rev. B 28, 784 (1983), as Boattini et al., Nat. Commun. 11,
5479 (2020) use it (their eqs. 3 to 6):

.. math::

    q_{lm}(i) = \frac{1}{N_b(i)} \sum_{j \in N_b(i)} Y_l^m(\hat r_{ij}), \qquad
    q_l(i) = \sqrt{\frac{4\pi}{2l+1} \sum_{m=-l}^{l} |q_{lm}(i)|^2}, \qquad
    \bar q_l(i) = \frac{1}{N_b(i)+1} \Big[ q_l(i) + \sum_{k \in N_b(i)} q_l(k) \Big].

The last averages the *invariants*. Lechner and Dellago, J. Chem. Phys. 129, 114707 (2008), average
the components q_lm first and make the invariant of the mean; that is what ``average=True`` means
in freud and most packages, and here ``average_over="components"``.

All neighbours count alike, whatever their distance or species. Sums are in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from glasslib.compiling import njit
from glasslib.frames import Frame
from glasslib.neighbors import Neighbors, neighbor_list

ORDERS = tuple(range(1, 9))  #: l of the eight-component vector of Boattini et al.

NeighborChoice = Neighbors | Literal["sann"] | Mapping[tuple[str, str], float] | float


def bond_order(
    frame: Frame | Neighbors,
    *,
    neighbors: NeighborChoice = "sann",
    l: int | Iterable[int] = ORDERS,  # noqa: E741 (the field's name)
) -> np.ndarray:
    r"""Rotationally invariant bond order parameters q_l (eq. 4).

    Parameters
    ----------
    frame : gsd.hoomd.Frame or Neighbors
        N particles in three dimensions, or their neighbour list.
    neighbors : "sann", float, dict or Neighbors
        :func:`glasslib.neighbors.sann` (one-sided pairs dropped), cut-offs for
        :func:`glasslib.neighbors.within`, or a list. Ignored where ``frame`` is a list.
    l : int or ints
        Orders, from 0.

    Returns
    -------
    (N, n_l) float64 array
        In [0, 1], columns in the order of ``l``. A particle without neighbours has no bond order:
        its row is NaN, and a warning counts such rows.

    Raises
    ------
    ValueError
        For a 2D frame or list (use hexatic order there), or orders that are none.
    """
    found = _neighbors(frame, neighbors)
    orders = _orders(l)
    return _invariants(_components_of(found, orders), orders)


def averaged_bond_order(
    frame: Frame | Neighbors,
    *,
    neighbors: NeighborChoice = "sann",
    l: int | Iterable[int] = ORDERS,  # noqa: E741
    average_over: Literal["invariants", "components"] = "invariants",
) -> np.ndarray:
    r"""Bond order averaged over a particle and its neighbours.

    Parameters
    ----------
    frame, neighbors, l
        As for :func:`bond_order`. Boattini et al. use SANN for hard spheres and the Wahnström
        mixture, a fixed cut-off for Kob–Andersen.
    average_over : {"invariants", "components"}
        ``"invariants"``: mean of the q_l, eq. 5. ``"components"``: invariant of the mean q_lm
        (Lechner and Dellago), much smaller in a liquid, where the phases of neighbours cancel.

    Returns
    -------
    (N, n_l) float64 array
        Columns in the order of ``l``, named by :func:`column_names`. NaN for a particle without
        neighbours, and for one that has such a particle in a list that is not mutual.

    Examples
    --------
    >>> from glasslib import frames
    >>> corners = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    >>> tetrahedron = frames.build(corners, 20.0, [0] * 4)
    >>> averaged_bond_order(tetrahedron, neighbors=3.0, l=6).round(4).tolist()
    [[0.7408], [0.7408], [0.7408], [0.7408]]
    """
    if average_over not in ("invariants", "components"):
        raise ValueError(
            f"average_over is {average_over!r}; expected 'invariants' (Boattini) or 'components' "
            "(Lechner and Dellago)."
        )
    found = _neighbors(frame, neighbors)
    orders = _orders(l)
    q_lm = _components_of(found, orders)
    if average_over == "components":
        return _invariants(_mean_with_neighbors(q_lm, found.offsets, found.index), orders)
    return _mean_with_neighbors(_invariants(q_lm, orders), found.offsets, found.index)


def column_names(
    l: int | Iterable[int] = ORDERS,  # noqa: E741
    *,
    averaged: bool = True,
) -> list[str]:
    """Names of the columns: ``["q̄1", …]``, or ``["q1", …]`` for :func:`bond_order`."""
    return [f"{'q̄' if averaged else 'q'}{k}" for k in _orders(l)]


def crystalline(
    frame: Frame | Neighbors,
    *,
    neighbors: NeighborChoice = "sann",
    threshold: float = 0.7,
    bonds: int = 7,
) -> np.ndarray:
    r"""Which particles sit in a crystal, by ten Wolde, Ruiz-Montero and Frenkel.

    A bond is solid-like where :math:`d_6(i,j) = \mathrm{Re} \sum_m q_{6m}(i) q_{6m}^*(j) /
    (|q_6(i)| |q_6(j)|)` exceeds ``threshold``, a particle where it has at least ``bonds`` of them
    (J. Chem. Phys. 104, 9932, 1996; threshold and number as used for hard spheres). It sees
    crystals whose neighbouring sites are oriented alike (fcc, hcp, bcc, CsCl); it does **not** see
    Frank–Kasper (Laves) phases, whose sites are icosahedral and turned against one another.

    Parameters
    ----------
    frame, neighbors
        As for :func:`bond_order`.
    threshold : float
        Least d_6 of a solid-like bond.
    bonds : int
        Least number of solid-like bonds of a crystalline particle.

    Returns
    -------
    (N,) bool array
    """
    found = _neighbors(frame, neighbors)
    alike = _alignment(_components_of(found, (6,)), found.offsets, found.index) > threshold
    return np.bincount(found.source[alike], minlength=len(found.counts)) >= bonds


def crystalline_fraction(frame: Frame | Neighbors, **options: object) -> float:
    """Fraction of particles that are :func:`crystalline`; takes its options.

    1 in a perfect crystal, below 0.01 in the supercooled liquids of this book.
    """
    return float(crystalline(frame, **options).mean())


def spherical_harmonics(directions: np.ndarray, l: int) -> np.ndarray:  # noqa: E741
    r"""Y_l^m of unit vectors for m = 0 … l, with the Condon–Shortley phase.

    :math:`Y_l^m = \tilde P_l^m(z) (x + iy)^m` by recurrence in l at fixed m, without angles, so
    that nothing is lost at the poles. For −m take :math:`(-1)^m \overline{Y_l^m}`.

    Parameters
    ----------
    directions : (n, 3) float array
        Unit vectors.
    l : int
        Order.

    Returns
    -------
    (n, l + 1) complex128 array
    """
    directions = np.ascontiguousarray(directions, dtype=np.float64)
    if directions.ndim != 2 or directions.shape[1] != 3:
        raise ValueError(f"directions has shape {directions.shape}; expected (n, 3).")
    (order,) = _orders(l)
    each = np.arange(len(directions) + 1)
    one, at = np.ones(len(directions)), order * (order + 1) // 2
    table = _components(each, directions, one, order, *harmonic_coefficients(order))
    return table[:, at : at + order + 1]


# ------------------------------------------------------------------------------------ behind them


def _neighbors(frame: Frame | Neighbors, neighbors: NeighborChoice) -> Neighbors:
    """The neighbour list, which must be three-dimensional."""
    if isinstance(frame, Neighbors):
        found = frame
    else:
        if frame.configuration.box[2] == 0:
            raise ValueError(
                "bond order got a 2D frame; expected 3D. The directions of a flat system spread "
                "over a circle: use hexatic order."
            )
        found = neighbor_list(frame, neighbors)
    lonely = int((found.counts == 0).sum())
    if lonely:
        warnings.warn(
            f"{lonely} of {len(found.counts)} particles have no neighbours and so no bond order "
            "(NaN); widen the cut-off or leave them out.",
            RuntimeWarning,
            stacklevel=3,
        )
    return found


def _orders(l: int | Iterable[int]) -> tuple[int, ...]:  # noqa: E741
    orders = tuple(np.atleast_1d(l if np.isscalar(l) else list(l)).tolist())
    if not orders or any(not isinstance(k, int) or k < 0 for k in orders):
        raise ValueError(f"l is {l!r}; expected one order or several, integers from 0.")
    return orders


def _components_of(found: Neighbors, orders: tuple[int, ...]) -> np.ndarray:
    """(N, K) complex q_lm with m ≥ 0, K = Σ_l (l + 1) over the orders asked for."""
    l_max = max(orders)
    q_lm = _components(
        found.offsets, found.vector, found.distance, l_max, *harmonic_coefficients(l_max)
    )
    columns = np.concatenate([np.arange(k + 1) + k * (k + 1) // 2 for k in orders])
    return q_lm if len(columns) == q_lm.shape[1] else np.ascontiguousarray(q_lm[:, columns])


def _invariants(q_lm: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
    """(N, n_l) q_l of q_lm with m ≥ 0; each m > 0 stands for −m too."""
    out = np.empty((len(q_lm), len(orders)))
    power = q_lm.real**2 + q_lm.imag**2
    begin = 0
    for column, k in enumerate(orders):
        total = power[:, begin] + 2 * power[:, begin + 1 : begin + k + 1].sum(axis=1)
        out[:, column] = np.sqrt(4 * np.pi / (2 * k + 1) * total)
        begin += k + 1
    return out


def harmonic_coefficients(l_max: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P̃_mm, and a, b of P̃_lm = a_lm (z P̃_{l-1,m} − b_lm P̃_{l-2,m}), 4π-normalised."""
    m = np.arange(1, l_max + 1)
    steps = -np.sqrt((2 * m + 1) / (2 * m))
    diagonal = np.sqrt(1 / (4 * np.pi)) * np.concatenate([[1.0], np.cumprod(steps)])
    a, b = np.zeros((2, l_max + 1, l_max + 1))
    for k in range(1, l_max + 1):
        m = np.arange(k)
        a[k, m] = np.sqrt((4 * k**2 - 1) / (k**2 - m**2))
        b[k, m] = np.sqrt(((k - 1) ** 2 - m**2).clip(0) / max(4 * (k - 1) ** 2 - 1, 1))
    return diagonal, a, b


@njit
def _components(offsets, vector, distance, l_max, diagonal, a, b):
    """(N, (l_max + 1)(l_max + 2)/2) q_lm at column l(l + 1)/2 + m, m ≥ 0; NaN without bonds."""
    n = len(offsets) - 1
    out = np.zeros((n, (l_max + 1) * (l_max + 2) // 2), np.complex128)
    for i in range(n):
        row = out[i]
        for k in range(offsets[i], offsets[i + 1]):
            x, y, z = vector[k] / distance[k]
            power = 1.0 + 0.0j  # (x + iy)^m
            for m in range(l_max + 1):
                before, here = 0.0, diagonal[m]
                row[m * (m + 1) // 2 + m] += here * power
                for l in range(m + 1, l_max + 1):  # noqa: E741
                    before, here = here, a[l, m] * (z * here - b[l, m] * before)
                    row[l * (l + 1) // 2 + m] += here * power
                power *= complex(x, y)
        bonds = offsets[i + 1] - offsets[i]
        if bonds:
            row /= bonds
        else:
            row[:] = np.nan
    return out


@njit
def _mean_with_neighbors(values, offsets, index):
    """(N, k) mean of the rows of each particle and its neighbours."""
    out = values.copy()
    for i in range(len(values)):
        for k in range(offsets[i], offsets[i + 1]):
            out[i] += values[index[k]]
        out[i] /= offsets[i + 1] - offsets[i] + 1
    return out


@njit
def _alignment(q_lm, offsets, index):
    """(n,) normalised real product of the q_lm (m ≥ 0, one l) of both ends of each bond."""
    norm = np.empty(len(q_lm))
    for i in range(len(q_lm)):
        norm[i] = np.sqrt(_product(q_lm[i], q_lm[i]))
    out = np.empty(len(index))
    for i in range(len(q_lm)):
        for k in range(offsets[i], offsets[i + 1]):
            j = index[k]
            scale = norm[i] * norm[j]
            out[k] = _product(q_lm[i], q_lm[j]) / scale if scale > 0 else 0.0
    return out


@njit
def _product(p, q):
    total = p[0].real * q[0].real + p[0].imag * q[0].imag
    for m in range(1, len(p)):
        total += 2 * (p[m].real * q[m].real + p[m].imag * q[m].imag)
    return total
