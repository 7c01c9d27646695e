"""Who may meet whom: cells, a particle's home in them, and its list of neighbours.

A particle's list holds all that it can meet while both stay within ``clock.reach`` of their homes,
the places where their lists were made. Who leaves gets a new home and a new list.
"""

from __future__ import annotations

import numpy as np

from glasslib.compiling import njit
from glasslib.engines.edmd import records
from glasslib.engines.edmd.records import OPTIONS, PAD

compiled = njit(uses=[records], **OPTIONS)
inlined = njit(uses=[records], inline="always", **OPTIONS)


@inlined
def _wrapped(x, edge):
    """``x`` in [0, edge) and how many edges were taken off."""
    k = np.floor(x / edge)
    y = x - k * edge
    if y >= edge:
        y -= edge
        k += 1.0
    if y < 0.0:
        y = 0.0
    return y, np.int32(k)


@inlined
def _cell(x, edge, n):
    return min(np.int64(x / edge * n), n - 1)


@compiled
def _search(i, x, y, z, ax, ay, az, found, particles, homes, cells, room, shifts, clock):
    """Codes of all that ``i`` at home (x, y, z), cell (ax, ay, az), may meet -> how many.

    Those at most the contact distance and twice the reach away from it, home to home. A code is
    32 j + 9 (X + 1) + 3 (Y + 1) + Z + 1 for particle j, X, Y and Z boxes away: in a small box
    several images of one particle count.
    """
    radius = particles[i].radius
    wide = 2.0 * clock.reach * PAD
    grown = clock.list_scale * PAD
    farthest = ((radius + clock.largest) * grown + wide) * PAD
    nx, ny, nz = clock.nx, clock.ny, clock.nz
    deep = clock.deep
    n = 0
    for bx in range(ax - 1, ax + 2):
        sx = -1 if bx < 0 else (1 if bx >= nx else 0)
        for by in range(ay - 1, ay + 2):
            sy = -1 if by < 0 else (1 if by >= ny else 0)
            for bz in range(az - deep, az + deep + 1):
                sz = -1 if bz < 0 else (1 if bz >= nz else 0)
                image = 9 * (sx + 1) + 3 * (sy + 1) + sz + 1
                s = shifts[image]
                cx = x - s.x
                cy = y - s.y
                cz = z - s.z
                cell = (((bx - sx * nx) * ny + by - sy * ny) * nz + bz - sz * nz) * room
                for k in range(cell + 1, cell + 1 + cells[cell]):
                    j = cells[k]
                    h = homes[j]
                    dx = h.x - cx
                    dy = h.y - cy
                    dz = h.z - cz
                    r2 = dx * dx + dy * dy + dz * dz
                    found[n] = np.uint32(32 * j + image)  # kept only if counted: no branch to miss
                    n += np.int64(r2 < farthest * farthest)
    m = 0
    for k in range(n):
        code = found[k]
        j = np.int64(code >> np.uint32(5))
        s = shifts[code & np.uint32(31)]
        h = homes[j]
        dx = (h.x - x) + s.x  # i seen from j is the same with the other sign, to the last bit
        dy = (h.y - y) + s.y
        dz = (h.z - z) + s.z
        r2 = dx * dx + dy * dy + dz * dz
        limit = (radius + particles[j].radius) * grown + wide
        found[m] = code
        m += np.int64(r2 < limit * limit and j != i)
    return m


@compiled
def _file(i, cell, cells, room, places):
    """Move ``i`` to a cell; False if that is full."""
    old = np.int64(places[i].cell)
    if old == cell:
        return True
    new = cell * room
    if cells[new] + 1 >= room:
        return False
    cells[new] += 1
    cells[new + cells[new]] = i
    places[i].cell = cell
    if old >= 0:
        old *= room
        k = old + 1
        while cells[k] != i:
            k += 1
        cells[k] = cells[old + cells[old]]
        cells[old] -= 1
    return True


@compiled
def renew(
    i, found, lost, particles, events, homes, places, neighbours, capacity, cells, room, shifts,
    clock,
):  # fmt: skip
    """New home and list for ``i``, in the lists of its neighbours too; False if there is no room.

    Then nothing has changed.
    """
    p = particles[i]
    x, kx = _wrapped(p.x, clock.lx)
    y, ky = _wrapped(p.y, clock.ly)
    z, kz = _wrapped(p.z, clock.lz)
    ax = _cell(x, clock.lx, clock.nx)
    ay = _cell(y, clock.ly, clock.ny)
    az = _cell(z, clock.lz, clock.nz)
    n = _search(i, x, y, z, ax, ay, az, found, particles, homes, cells, room, shifts, clock)
    if n > capacity:
        return False
    first = np.int64(i) * capacity
    kept = 0
    gone = 0
    for k in range(first, first + events[i].degree):
        code = neighbours[k]
        m = kept
        while m < n and found[m] != code:
            m += 1
        if m < n:
            found[m] = found[kept]
            found[kept] = code
            kept += 1
        else:
            lost[gone] = code
            gone += 1
    for k in range(kept, n):
        j = found[k] >> np.uint32(5)
        degree = events[j].degree
        for m in range(kept, k):  # in a small box other images of j come too
            degree += found[m] >> np.uint32(5) == j
        if degree >= capacity:
            return False
    if not _file(i, (ax * clock.ny + ay) * clock.nz + az, cells, room, places):
        return False
    for k in range(gone):
        code = lost[k]
        j = np.int64(code >> np.uint32(5))
        back = np.uint32(32 * i + 26 - np.int64(code & np.uint32(31)))
        m = j * capacity
        last = m + events[j].degree - 1
        while neighbours[m] != back:
            m += 1
        neighbours[m] = neighbours[last]
        events[j].degree -= 1
    for k in range(kept, n):
        code = found[k]
        j = np.int64(code >> np.uint32(5))
        back = np.uint32(32 * i + 26 - np.int64(code & np.uint32(31)))
        neighbours[j * capacity + events[j].degree] = back
        events[j].degree += 1
    for k in range(n):
        neighbours[first + k] = found[k]
    events[i].degree = n
    h = homes[i]
    h.x = x
    h.y = y
    h.z = z
    if kx != 0 or ky != 0 or kz != 0:
        p.x = x
        p.y = y
        p.z = z
        places[i].ix += kx
        places[i].iy += ky
        places[i].iz += kz
        events[i].count += np.uint32(1)  # events of others that hold its old image are void
    return True


@compiled
def build(particles, events, homes, places, neighbours, cells, room, shifts, clock):
    """File everybody and make all lists.

    Returns the largest number of neighbours (if more than fit: again), or -1 if a cell is full.
    """
    n = len(particles)
    capacity = len(neighbours) // n
    c = clock[0]
    cells[:] = 0
    for i in range(n):
        p = particles[i]
        h = homes[i]
        w = places[i]
        p.x, kx = _wrapped(p.x, c.lx)
        p.y, ky = _wrapped(p.y, c.ly)
        p.z, kz = _wrapped(p.z, c.lz)
        w.ix += kx
        w.iy += ky
        w.iz += kz
        h.x = p.x
        h.y = p.y
        h.z = p.z
        w.cell = -1
        cell = (_cell(p.x, c.lx, c.nx) * c.ny + _cell(p.y, c.ly, c.ny)) * c.nz
        cell += _cell(p.z, c.lz, c.nz)
        if not _file(i, cell, cells, room, places):
            return -1
    found = np.empty(27 * room, dtype=np.uint32)
    most = 0
    for i in range(n):
        h = homes[i]
        cell = np.int64(places[i].cell)
        degree = _search(
            i, h.x, h.y, h.z, cell // (c.ny * c.nz), cell // c.nz % c.ny, cell % c.nz, found,
            particles, homes, cells, room, shifts, c,
        )  # fmt: skip
        most = max(most, degree)
        if most <= capacity:
            for k in range(degree):
                neighbours[i * capacity + k] = found[k]
            events[i].degree = degree
    return most


@compiled
def search_closest(x, y, z, radius, cells, following, box, shifts, deep):
    """(least of distance / contact distance, least gap, i, j) over all pairs, by cells."""
    n = len(radius)
    nx, ny, nz = cells.shape
    cells[:] = -1
    ratio, gap, a, b = np.inf, np.inf, -1, -1
    for i in range(n):
        ax = _cell(x[i], box[0], nx)
        ay = _cell(y[i], box[1], ny)
        az = _cell(z[i], box[2], nz)
        for bx in range(ax - 1, ax + 2):
            sx = (bx + nx) // nx - 1
            for by in range(ay - 1, ay + 2):
                sy = (by + ny) // ny - 1
                for bz in range(az - deep, az + deep + 1):
                    sz = (bz + nz) // nz - 1
                    s = shifts[9 * (sx + 1) + 3 * (sy + 1) + sz + 1]
                    j = cells[bx - sx * nx, by - sy * ny, bz - sz * nz]
                    while j >= 0:  # those filed already
                        dx = x[j] - x[i] + s.x
                        dy = y[j] - y[i] + s.y
                        dz = z[j] - z[i] + s.z
                        r = np.sqrt(dx * dx + dy * dy + dz * dz)
                        sigma = radius[i] + radius[j]
                        gap = min(gap, r - sigma)
                        if r / sigma < ratio:
                            ratio, a, b = r / sigma, j, i
                        j = following[j]
        following[i] = cells[ax, ay, az]
        cells[ax, ay, az] = i
    return ratio, gap, a, b
