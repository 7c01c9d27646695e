"""Rings of three, four and five bonded particles: the basic clusters of the topological
cluster classification (TCC).

Malins, Williams, Eggers, Royall, J. Chem. Phys. 139, 234506 (2013). A *shortest-path ring* of 3, 4
or 5 particles is a closed chain of bonds without a chord: ring particles that do not follow one
another are not bonded. A *spindle* is a further particle bonded to every particle of the ring. The
nine basic clusters are the rings by the number of their spindles:

======  =====  =============================  ==============================
name    size   spindles                       alone, it is
======  =====  =============================  ==============================
sp3a    3      none (or three and more)       a triangle
sp3b    4      one                            a tetrahedron
sp3c    5      two                            a triangular bipyramid, 5A
sp4a    4      none (or three and more)       a square
sp4b    5      one                            a square pyramid
sp4c    6      two                            an octahedron, 6A
sp5a    5      none (or three and more)       a pentagon
sp5b    6      one                            a pentagonal pyramid
sp5c    7      two                            a pentagonal bipyramid, 7A
======  =====  =============================  ==============================

Each *ring* makes one cluster, so that a lone tetrahedron holds four sp3b (one a face) and a lone
octahedron three sp4c (one a square). Whether two spindles are bonded to each other does not matter,
and rings of three or more spindles are put down as *a*: both as in the authors' program, with which
clusters and memberships agree on the same bonds. The larger clusters of the TCC, which are made of
these, are not looked for.

The bonds are whatever :class:`~glasslib.neighbors.Neighbors` is handed in, and populations depend
on them strongly. Those of the authors are :func:`~glasslib.neighbors.modified_voronoi`, with
f_c = 0.82. SANN, mutual, comes near to it in hard spheres and the Wahnström mixture, less so in
Kob–Andersen. Cut-offs at the first minimum of g(r) bond too many: clusters with two spindles
abound, and in Kob–Andersen most sp3a are then triangles of three or more spindles.

The box must be wider than five bonds, or a chain that closes through its boundary is a ring too.
"""

from __future__ import annotations

import numpy as np

from glasslib.compiling import njit
from glasslib.neighbors import Neighbors, mutual

#: the nine clusters, in the order of the columns of :func:`membership`
NAMES = ("sp3a", "sp3b", "sp3c", "sp4a", "sp4b", "sp4c", "sp5a", "sp5b", "sp5c")


def classify(neighbors: Neighbors) -> dict[str, np.ndarray]:
    """All basic clusters of a bond network.

    Parameters
    ----------
    neighbors : Neighbors
        Bonds of N particles, mutual: ``neighbors.modified_voronoi(frame)``, as the authors of the
        TCC take them, ``neighbors.sann(frame)`` or ``neighbors.within(frame, …)``.

    Returns
    -------
    dict of str to (n_clusters, size) int64 array
        For each of :data:`NAMES` the particles of its clusters: first the ring, in the order of
        its bonds from its lowest index towards the lower of that one's neighbours, then the
        spindles, lower index first. Rows are sorted.

    Raises
    ------
    ValueError
        For a list with one-sided pairs.

    Examples
    --------
    >>> from glasslib import frames
    >>> from glasslib.neighbors import within
    >>> corners = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    >>> tetrahedron = frames.build(corners, 20.0, [0] * 4)
    >>> classify(within(tetrahedron, 3.0))["sp3b"].tolist()
    [[0, 1, 2, 3], [0, 1, 3, 2], [0, 2, 3, 1], [1, 2, 3, 0]]
    """
    if not mutual(neighbors):
        raise ValueError(
            "neighbors has one-sided pairs; a bond has two ends. Use sann(frame), which drops "
            "them, or neighbors.dropped()."
        )
    members, kind = _rings(neighbors.offsets, _sorted_rows(neighbors))
    return {name: _of_kind(members, kind, k) for k, name in enumerate(NAMES)}


def membership(neighbors: Neighbors) -> np.ndarray:
    """How many clusters of each kind a particle belongs to, as a ring member or a spindle.

    Parameters
    ----------
    neighbors : Neighbors
        As for :func:`classify`.

    Returns
    -------
    (N, 9) int64 array
        Columns in the order of :data:`NAMES`; ``membership(…) > 0`` tells who is in one at all.
    """
    n = len(neighbors.counts)
    found = classify(neighbors)
    return np.stack([np.bincount(found[k].ravel(), minlength=n) for k in NAMES], axis=1)


def _sorted_rows(neighbors: Neighbors) -> np.ndarray:
    """``neighbors.index`` with each row in ascending order."""
    return neighbors.index[np.lexsort((neighbors.index, neighbors.source))]


def _of_kind(members: np.ndarray, kind: np.ndarray, k: int) -> np.ndarray:
    """(n, size) clusters of one kind, from rows of five ring places and two spindles."""
    ring, spindles = 3 + k // 3, k % 3
    rows = members[kind == k][:, [*range(ring), *range(5, 5 + spindles)]]
    return rows[np.lexsort(rows.T[::-1])]


@njit
def _bonded(offsets, index, i, j):
    """Is j in the ascending row of i?"""
    low, high = offsets[i], offsets[i + 1]
    while low < high:
        middle = (low + high) // 2
        if index[middle] < j:
            low = middle + 1
        else:
            high = middle
    return low < offsets[i + 1] and index[low] == j


@njit
def _rings(offsets, index):
    """(n, 7) ring particles and spindles, −1 where there is none, and the (n,) column of each.

    Every ring is met once: from its lowest particle r0, with r1 the lower of r0's two.
    """
    n = len(offsets) - 1
    members, kind = np.empty((1024, 7), np.int64), np.empty(1024, np.int64)
    found = 0
    ring = np.empty(5, np.int64)
    for r0 in range(n):
        ring[0] = r0
        for k1 in range(offsets[r0], offsets[r0 + 1]):
            r1 = index[k1]
            if r1 < r0:
                continue
            ring[1] = r1
            for k2 in range(k1 + 1, offsets[r0 + 1]):
                last = index[k2]  # r0's other neighbour in the ring, r1 < last
                if _bonded(offsets, index, r1, last):
                    ring[2] = last
                    members, kind = _room(members, kind, found)
                    kind[found] = _put(offsets, index, ring, 3, members[found])
                    found += 1
                    continue
                for k3 in range(offsets[r1], offsets[r1 + 1]):
                    r2 = index[k3]
                    if r2 <= r0 or _bonded(offsets, index, r0, r2):
                        continue
                    ring[2] = r2
                    if _bonded(offsets, index, r2, last):
                        ring[3] = last
                        members, kind = _room(members, kind, found)
                        kind[found] = _put(offsets, index, ring, 4, members[found])
                        found += 1
                        continue
                    ring[4] = last
                    for k4 in range(offsets[r2], offsets[r2 + 1]):
                        r3 = index[k4]
                        if (
                            r3 > r0
                            and _bonded(offsets, index, r3, last)
                            and not _bonded(offsets, index, r3, r0)
                            and not _bonded(offsets, index, r3, r1)
                        ):
                            ring[3] = r3
                            members, kind = _room(members, kind, found)
                            kind[found] = _put(offsets, index, ring, 5, members[found])
                            found += 1
    return members[:found], kind[:found]


@njit
def _put(offsets, index, ring, size, row):
    """Write a ring and its spindles into ``row``; return the kind, 3 (size − 3) + spindles."""
    row[:] = -1
    row[:size] = ring[:size]
    spindles = 0
    for k in range(offsets[ring[0]], offsets[ring[0] + 1]):
        j = index[k]
        common = True
        for other in range(1, size):
            if j == ring[other] or not _bonded(offsets, index, ring[other], j):
                common = False
                break
        if common:
            if spindles < 2:
                row[5 + spindles] = j
            spindles += 1
    return 3 * (size - 3) + (spindles if spindles < 3 else 0)


@njit
def _room(members, kind, found):
    """The arrays, twice as long when they are full."""
    if found < len(kind):
        return members, kind
    more, kinds = np.empty((2 * found, 7), np.int64), np.empty(2 * found, np.int64)
    more[:found], kinds[:found] = members, kind
    return more, kinds
