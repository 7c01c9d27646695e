r"""Event-driven molecular dynamics of hard spheres and disks.

Particles fly freely between elastic collisions; the next collision is solved for, not stepped
over, so there is no time step and the trajectory is exact up to rounding. The method is that of
Smallenburg, Eur. Phys. J. E 45, 22 (2022): every particle keeps its own time and its one earliest
event; who can collide with whom is held in neighbour lists, renewed for one particle at a time
when it leaves a sphere around the place where its list was made; events wait in a calendar of
narrow bins (Paul, J. Comput. Phys. 221, 615 (2007)). Growing diameters follow Lubachevsky and
Stillinger, J. Stat. Phys. 60, 561 (1990), and Donev, Torquato and Stillinger, J. Comput. Phys.
202, 737 (2005).

* :class:`Simulation` runs arrays in double precision.
* :class:`Edmd` runs frames, as every engine does (:class:`glasslib.engines.base.Engine`).
* :func:`grow` makes a dense liquid from random points.

Reduced units: lengths in :math:`\sigma_A`, masses in *m*, energies in :math:`k_BT`, so time is in
:math:`\sigma_A\sqrt{m/k_BT}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

import glasslib
from glasslib import frames
from glasslib.compiling import njit
from glasslib.engines import base
from glasslib.engines.base import EngineError
from glasslib.frames import Frame, FrameError
from glasslib.systems import System

OVERLAP_ROUNDING = 1e-12  #: relative overlap that a :class:`Simulation` takes for rounding
OVERLAP_FRAME = 1e-5  #: relative overlap that single precision explains, with room

# One record is one cache line or half of one: what an event touches lies together.
_PARTICLE = np.dtype(
    [(name, "f8") for name in ("x", "y", "z", "t", "vx", "vy", "vz", "radius")], align=True
)
_EVENT = np.dtype(
    [("time", "f8"), ("partner", "u4"), ("stamp", "u4"), ("count", "u4"), ("degree", "i4"),
     ("next", "i4"), ("previous", "i4")], align=True,
)  # fmt: skip
_HOME = np.dtype([(name, "f8") for name in ("x", "y", "z", "mass")], align=True)
_PLACE = np.dtype([(name, "i4") for name in ("ix", "iy", "iz", "cell")], align=True)
_CLOCK = np.dtype(
    [("now", "f8"), ("elapsed", "f8"), ("width", "f8"), ("virial", "f8"), ("since", "f8"),
     ("scale", "f8"), ("rate", "f8"), ("reach", "f8"), ("list_scale", "f8"), ("largest", "f8"),
     ("collisions", "i8"), ("events", "i8"), ("renewals", "i8"), ("cycle", "i8"),
     ("current", "i8"), ("fresh", "i8"), ("lx", "f8"), ("ly", "f8"), ("lz", "f8"), ("nx", "i8"),
     ("ny", "i8"), ("nz", "i8"), ("deep", "i8")], align=True,
)  # fmt: skip

_NOBODY = np.uint32(0xFFFFFFFF)  # partner of the event "leaves its sphere"
_DONE, _FULL, _LIMIT = 0, 1, 2
_NEAR, _MIDDLE, _FAR = 4, 8, 12  # bins ahead of the present one that are looked into
_LARGE = 8000  # particles from which on that pays
_PAD = 1.0 + 1e-9  # so that rounding never keeps a pair out of a list

_options = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}
_compiled = njit(**_options)
_inlined = njit(inline="always", **_options)  # a tenth faster than leaving it to the compiler


# -------------------------------------------------------------------------------- compiled parts
# ``edges`` is a tuple of 2 or 3 box edges and ``growing`` one of length 1 (no) or 2 (yes): the
# compiler knows tuple lengths, so each dimension, fixed or growing, gets its own machine code.
#
# Why one event a particle is enough: the time of a pair is computed when either changes course,
# and then it is not before that particle's event. Who has an event with somebody that has changed
# course since (``stamp`` is not ``count``) looks again when that event comes up.


@intrinsic
def _prefetch(typing, array, k):
    """Begin to load the cache line on which ``array[k]`` starts; changes nothing."""

    def generate(context, builder, signature, arguments):
        kind, index = signature.args
        view = context.make_array(kind)(context, builder, arguments[0])
        k = context.cast(builder, arguments[1], index, types.intp)
        place = cgutils.get_item_pointer(context, builder, kind, view, [k], wraparound=False)
        pointer, number = ir.PointerType(), ir.IntType(32)
        instruction = builder.module.declare_intrinsic(
            "llvm.prefetch", [pointer], ir.FunctionType(ir.VoidType(), [pointer, *[number] * 3])
        )
        read, keep, data = (number(value) for value in (0, 3, 1))
        builder.call(instruction, [builder.bitcast(place, pointer), read, keep, data])
        return context.get_dummy_value()

    return types.void(array, k), generate


@_inlined
def _look_ahead(current, particles, events, homes, neighbours, capacity, heads):
    """Ask for what the events of the next bins will read, before they come up.

    Events that follow each other in time are far apart in space: nearly all that one reads has to
    come from main memory, and one thing tells where to find the next.
    """
    last = len(heads) - 1
    if current + _FAR < last:
        i = heads[current + _FAR]
        if i >= 0:
            _prefetch(events, i)
    if current + _MIDDLE < last:
        i = heads[current + _MIDDLE]
        while i >= 0:
            e = events[i]
            _prefetch(particles, i)
            _prefetch(homes, i)
            first = np.int64(i) * capacity
            _prefetch(neighbours, first)
            _prefetch(neighbours, first + 15)
            if e.partner != _NOBODY:
                j = np.int64(e.partner >> np.uint32(5))
                _prefetch(events, j)
                _prefetch(particles, j)
                _prefetch(homes, j)
                _prefetch(neighbours, j * capacity)
                _prefetch(neighbours, j * capacity + 15)
            i = e.next
    if current + _NEAR < last:
        i = heads[current + _NEAR]
        while i >= 0:
            e = events[i]
            first = np.int64(i) * capacity
            for k in range(first, first + e.degree):
                _prefetch(particles, neighbours[k] >> np.uint32(5))
            if e.partner != _NOBODY:
                j = np.int64(e.partner >> np.uint32(5))
                f = events[j]
                if f.count == e.stamp:
                    for k in range(j * capacity, j * capacity + f.degree):
                        _prefetch(particles, neighbours[k] >> np.uint32(5))
                    if f.next >= 0:
                        _prefetch(events, f.next)
                    if f.previous >= 0:
                        _prefetch(events, f.previous)
            i = e.next


@_inlined
def _move(p, now, edges):
    """Fly freely to ``now``."""
    dt = now - p.t
    p.x += p.vx * dt
    p.y += p.vy * dt
    if len(edges) == 3:
        p.z += p.vz * dt
    p.t = now


def _four_times(builder, number):
    """One number in all four lanes of a vector."""
    vector = ir.Constant(ir.VectorType(number.type, 4), ir.Undefined)
    for k in range(4):
        vector = builder.insert_element(vector, number, ir.IntType(32)(k))
    return vector


def _pick(builder, a, b, lanes):
    """Lanes of the vectors ``a`` (0 to 3) and ``b`` (4 to 7)."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), 4), lanes))


class _Lanes:
    """Four numbers in one vector register: arithmetic on them becomes machine instructions."""

    kind = ir.VectorType(ir.DoubleType(), 4)

    def __init__(self, builder, value) -> None:
        self.builder, self.value = builder, value

    def _do(self, what, other):
        return _Lanes(self.builder, what(self.value, other.value, flags=("contract",)))

    def __add__(self, other):
        return self._do(self.builder.fadd, other)

    def __sub__(self, other):
        return self._do(self.builder.fsub, other)

    def __mul__(self, other):
        return self._do(self.builder.fmul, other)

    def __truediv__(self, other):
        return self._do(self.builder.fdiv, other)

    def compare(self, sign, other):
        return self.builder.fcmp_ordered(sign, self.value, other.value)

    def where(self, condition, other):
        """These where the condition holds, elsewhere ``other``."""
        return _Lanes(self.builder, self.builder.select(condition, self.value, other.value))

    def root(self):
        module = self.builder.module
        root = module.globals.get("llvm.sqrt.v4f64") or ir.Function(
            module, ir.FunctionType(self.kind, [self.kind]), "llvm.sqrt.v4f64"
        )
        return _Lanes(self.builder, self.builder.call(root, [self.value]))


@intrinsic
def _first_contact(
    typing, particles, neighbours, shifts, first, degree, own, growth, edges, growing
):
    """Earliest meeting of a particle with one of its list: (time from now, code).

    ``own`` is (x, y, z, vx, vy, vz, radius, now) of the particle, ``growth`` (scale, rate); its
    list is ``neighbours[first : first + degree]``, followed by anything that is a code up to the
    next multiple of four.

    A pair at distance r with relative velocity v meets at the smaller root of
    |r + v t| = σ: t = c / (√(b² − v² c) − b), with b = r·v < 0 and c = r² − σ². With surfaces
    that grow at the rate g, b − σ²g and v² − σ²g² take the place of b and v². Four neighbours go
    at once and without a branch: their records are loaded as rows and turned into columns. Half
    of all neighbours move away, in no order; guessing wrong which would cost more than the
    arithmetic.
    """
    three, grows = edges.count == 3, growing.count == 2

    def generate(context, builder, signature, arguments):
        long, byte, opaque = ir.IntType(64), ir.IntType(8), ir.PointerType()
        codes_kind = ir.VectorType(ir.IntType(32), 4)
        records, listed, table = (
            builder.bitcast(context.make_array(kind)(context, builder, value).data, opaque)
            for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
        )
        first, degree = arguments[3:5]
        own, growth = (
            [_Lanes(builder, _four_times(builder, a)) for a in cgutils.unpack_tuple(builder, group)]
            for group in arguments[5:7]
        )
        px, py, pz, pvx, pvy, pvz, own_radius, now = own
        scale, rate = growth
        zero, never = (_Lanes(builder, ir.Constant(_Lanes.kind, [a] * 4)) for a in (0.0, np.inf))

        def load(pointer, offset, kind=_Lanes.kind, align=8):
            place = builder.gep(pointer, [offset], source_etype=byte)
            return builder.load(place, typ=kind, align=align)

        def columns(rows):
            """Columns of four rows of four numbers."""
            pairs = [(k, _pick(builder, *rows[r : r + 2], [k, 4 + k, 2 + k, 6 + k]))
                     for r in (0, 2) for k in (0, 1)]  # fmt: skip
            even, odd = ([p for parity, p in pairs if parity == k] for k in (0, 1))
            first, last = [0, 1, 4, 5], [2, 3, 6, 7]
            order = ((even, first), (odd, first), (even, last), (odd, last))
            return [_Lanes(builder, _pick(builder, *halves, lanes)) for halves, lanes in order]

        best = cgutils.alloca_once_value(builder, never.value)
        winner = cgutils.alloca_once_value(builder, ir.Constant(codes_kind, [int(_NOBODY)] * 4))
        groups = builder.lshr(builder.add(degree, long(3)), long(2))
        with cgutils.for_range(builder, groups) as loop:
            start = builder.shl(loop.index, long(2))
            codes = load(listed, builder.shl(builder.add(first, start), long(2)), codes_kind, 4)
            places, courses = [], []
            for k in range(4):
                code = builder.zext(builder.extract_element(codes, ir.IntType(32)(k)), long)
                record = builder.shl(builder.and_(code, long(~31)), long(1))
                shift = load(table, builder.shl(builder.and_(code, long(31)), long(5)))
                places.append(builder.fadd(load(records, record), shift))
                courses.append(load(records, builder.add(record, long(32))))
            x, y, z, t = columns(places)
            vx, vy, vz, radius = columns(courses)
            lapse = now - t
            x, y, z = x + vx * lapse - px, y + vy * lapse - py, z + vz * lapse - pz
            vx, vy, vz = vx - pvx, vy - pvy, vz - pvz
            b, r2, v2 = x * vx + y * vy, x * x + y * y, vx * vx + vy * vy
            if three:
                b, r2, v2 = b + z * vz, r2 + z * z, v2 + vz * vz
            sigma = radius + own_radius
            meets = b.compare("<", zero)
            if grows:
                b = b - sigma * sigma * scale * rate
                v2 = v2 - sigma * sigma * rate * rate
                sigma = sigma * scale
                meets = builder.or_(b.compare("<", zero), v2.compare("<", zero))
            c = r2 - sigma * sigma
            root = b * b - v2 * c
            meets = builder.and_(meets, root.compare(">=", zero))
            time = c / (root.where(root.compare(">", zero), zero).root() - b)
            time = time.where(time.compare(">", zero), zero)
            lanes = ir.Constant(ir.VectorType(long, 4), [0, 1, 2, 3])
            left = _four_times(builder, builder.sub(degree, start))
            meets = builder.and_(meets, builder.icmp_signed("<", lanes, left))
            old = _Lanes(builder, builder.load(best))
            meets = builder.and_(meets, time.compare("<", old))
            builder.store(time.where(meets, old).value, best)
            builder.store(builder.select(meets, codes, builder.load(winner)), winner)
        time, codes = _Lanes(builder, builder.load(best)), builder.load(winner)
        for lanes in ([2, 3, 0, 1], [1, 0, 3, 2]):
            other = _Lanes(builder, _pick(builder, time.value, time.value, lanes))
            sooner = other.compare("<", time)
            codes = builder.select(sooner, _pick(builder, codes, codes, lanes), codes)
            time = other.where(sooner, time)
        answer = [builder.extract_element(a, ir.IntType(32)(0)) for a in (time.value, codes)]
        return context.make_tuple(builder, signature.return_type, answer)

    pair = types.Tuple((types.float64, types.uint32))
    return pair(
        particles, neighbours, shifts, types.int64, types.int64, own, growth, edges, growing
    ), generate


@_inlined
def _predict(i, now, particles, events, homes, neighbours, capacity, shifts, clock, edges, growing):
    """Earliest event of ``i``, which has been moved to ``now``: (time from now, partner)."""
    p = particles[i]
    px, py, pz = p.x, p.y, p.z
    pvx, pvy, pvz = p.vx, p.vy, p.vz
    scale = 1.0
    rate = 0.0
    if len(growing) == 2:
        rate = clock.rate
        scale = clock.scale + rate * now
    best, partner = _first_contact(
        particles, neighbours, shifts, np.int64(i) * capacity, np.int64(events[i].degree),
        (px, py, pz, pvx, pvy, pvz, p.radius, now), (scale, rate), edges, growing,
    )  # fmt: skip
    h = homes[i]
    reach2 = clock.reach * clock.reach
    x = px - h.x
    y = py - h.y
    z = 0.0
    if len(edges) == 3:
        z = pz - h.z
    # a sphere is convex: inside at the collision means inside until then
    inside = False
    if best < np.inf:
        ex = x + pvx * best
        ey = y + pvy * best
        e2 = ex * ex + ey * ey
        if len(edges) == 3:
            ez = z + pvz * best
            e2 += ez * ez
        inside = e2 < reach2
    if not inside:
        b = x * pvx + y * pvy
        c = x * x + y * y - reach2
        v2 = pvx * pvx + pvy * pvy
        if len(edges) == 3:
            b += z * pvz
            c += z * z
            v2 += pvz * pvz
        if v2 > 0.0:
            t = 0.0
            if c < 0.0:
                root = np.sqrt(b * b - v2 * c)
                t = (root - b) / v2 if b <= 0.0 else -c / (root + b)
            elif b < 0.0:
                t = -2.0 * b / v2
            if t < best:
                best = t
                partner = _NOBODY
    return best, partner


@_inlined
def _insert(i, time, events, heads, inverse, current):
    """File the event of ``i``; what lies beyond the calendar waits in its last bin."""
    last = len(heads) - 1
    x = time * inverse
    k = last
    if x < last:
        k = max(np.int64(x), current)
    e = events[i]
    e.time = time
    first = heads[k]
    e.next = first
    e.previous = ~np.int32(k)  # the first of a bin remembers the bin
    if first >= 0:
        events[first].previous = i
    heads[k] = i


@_inlined
def _remove(i, events, heads):
    e = events[i]
    before, after = e.previous, e.next
    if before < 0:
        heads[~before] = after
    else:
        events[before].next = after
    if after >= 0:
        events[after].previous = before


@_inlined
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


@_inlined
def _cell(x, edge, n):
    return min(np.int64(x / edge * n), n - 1)


@_compiled
def _search(i, x, y, z, ax, ay, az, found, particles, homes, cells, room, shifts, clock):
    """Codes of all that ``i`` at home (x, y, z), cell (ax, ay, az), may meet -> how many.

    Those at most the contact distance and twice the reach away from it, home to home. A code is
    32 j + 9 (X + 1) + 3 (Y + 1) + Z + 1 for particle j, X, Y and Z boxes away: in a small box
    several images of one particle count.
    """
    radius = particles[i].radius
    wide = 2.0 * clock.reach * _PAD
    grown = clock.list_scale * _PAD
    farthest = ((radius + clock.largest) * grown + wide) * _PAD
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


@_compiled
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


@_compiled
def _renew(
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


@_compiled
def _build(particles, events, homes, places, neighbours, cells, room, shifts, clock):
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


@_compiled
def _run(
    particles, events, homes, places, neighbours, heads, cells, room, shifts, clock, edges,
    growing, target, limit,
):  # fmt: skip
    """Process events until ``target`` (on the clock of ``clock.elapsed``) or ``limit`` of them.

    Begins with everybody's first prediction where lists are fresh.
    """
    n = len(particles)
    capacity = len(neighbours) // n
    large = n >= _LARGE
    last = len(heads) - 1
    c = clock[0]
    current = c.current
    inverse = 1.0 / c.width
    stop = target - c.elapsed
    virial = 0.0
    status = _DONE
    seen = 0
    found = np.empty(27 * room, dtype=np.uint32)
    lost = np.empty(capacity, dtype=np.uint32)
    now = c.now
    while True:
        j = np.int64(-1)
        fresh = c.fresh >= 0
        if fresh:
            i = np.int32(c.fresh)
            c.fresh = i + 1 if i + 1 < n else -1
        else:
            i = heads[current]
            if i < 0:
                current += 1
                if current * c.width > stop:
                    current -= 1
                    break
                if current < last:
                    if large:
                        _look_ahead(current, particles, events, homes, neighbours, capacity, heads)
                    continue
                # the calendar is used up: the clock goes back to zero, the bins are filled anew
                shift = last * c.width
                c.elapsed += shift
                c.scale += c.rate * shift
                stop = target - c.elapsed
                want = shift / max(c.cycle, 1)  # one event a bin
                c.width = min(max(want, 0.1 * c.width), 10.0 * c.width)
                inverse = 1.0 / c.width
                c.cycle = 0
                current = 0
                heads[:] = -1
                for k in range(n):
                    particles[k].t -= shift
                    _insert(k, events[k].time - shift, events, heads, inverse, 0)
                continue
            time = events[i].time
            k = events[i].next
            while k >= 0:
                t = events[k].time
                if t < time:
                    time = t
                    i = k
                k = events[k].next
            if time > stop:
                break
            if seen >= limit:
                status = _LIMIT
                break
            now = time
            p = particles[i]
            e = events[i]
            code = e.partner
            _move(p, now, edges)
            if code == _NOBODY:
                if not _renew(
                    i, found, lost, particles, events, homes, places, neighbours, capacity, cells,
                    room, shifts, c,
                ):  # fmt: skip
                    status = _FULL
                    break
                c.renewals += 1
            elif events[code >> np.uint32(5)].count == e.stamp:
                j = np.int64(code >> np.uint32(5))
                q = particles[j]
                s = shifts[code & np.uint32(31)]
                _move(q, now, edges)
                x = q.x - p.x + s.x
                y = q.y - p.y + s.y
                b = x * (q.vx - p.vx) + y * (q.vy - p.vy)
                r2 = x * x + y * y
                z = 0.0
                if len(edges) == 3:
                    z = q.z - p.z + s.z
                    b += z * (q.vz - p.vz)
                    r2 += z * z
                if len(growing) == 2:  # bounce off surfaces that move
                    b -= np.sqrt(r2) * (p.radius + q.radius) * c.rate
                mi = homes[i].mass
                mj = homes[j].mass
                kick = 2.0 * b / (r2 * (mi + mj))
                virial -= kick * mi * mj * r2
                ki = kick * mj
                kj = kick * mi
                p.vx += ki * x
                p.vy += ki * y
                q.vx -= kj * x
                q.vy -= kj * y
                if len(edges) == 3:
                    p.vz += ki * z
                    q.vz -= kj * z
                e.count += np.uint32(1)
                events[j].count += np.uint32(1)
                c.collisions += 1
            # else the partner has met another since: look again
            seen += 1
            c.cycle += 1
        k = np.int64(i)
        while True:
            t, partner = _predict(
                k, now, particles, events, homes, neighbours, capacity, shifts, c, edges, growing
            )  # fmt: skip
            events[k].partner = partner
            if partner != _NOBODY:
                events[k].stamp = events[partner >> np.uint32(5)].count
            if not fresh:
                _remove(k, events, heads)
            _insert(k, now + t, events, heads, inverse, current)
            if j < 0 or k == j:
                break
            k = j
    c.current = current
    c.virial += virial
    c.events += seen
    c.now = stop if status == _DONE else now
    return status


@_compiled
def _closest(x, y, z, radius, cells, following, box, shifts, deep):
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


# ------------------------------------------------------------------------------------ simulation


def _aligned(n: int, dtype: np.dtype) -> np.ndarray:
    """Zeros whose records begin on cache lines."""
    raw = np.zeros(n * dtype.itemsize + 64, dtype=np.uint8)
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + n * dtype.itemsize].view(dtype)


def _shifts(box: np.ndarray) -> np.ndarray:
    """Box translations by image code, padded to 32 records of four numbers."""
    table = np.zeros(32, dtype=np.dtype([(name, "f8") for name in ("x", "y", "z", "spare")]))
    k = np.arange(27)
    table["x"][:27] = (k // 9 - 1) * box[0]
    table["y"][:27] = (k // 3 % 3 - 1) * box[1]
    table["z"][:27] = (k % 3 - 1) * box[2] if len(box) == 3 else 0.0
    return table


def _grid(box: np.ndarray, width: float, n: int) -> tuple[int, int, int]:
    """Numbers of cells at least ``width`` wide, not many more than particles."""
    most = max(int(np.ceil((4 * n) ** (1 / len(box)))), 1)
    shape = [int(np.clip(np.floor(edge / width), 1, most)) for edge in box]
    return (*shape, 1)[:3]


def closest(position: np.ndarray, diameter: np.ndarray, box: np.ndarray) -> tuple:
    """The pair that overlaps most, or is nearest to contact.

    Parameters
    ----------
    position : (N, d) float array
    diameter : (N,) float array
    box : (d,) float array

    Returns
    -------
    ratio, gap : float
        Least r_ij / σ_ij, and least r_ij − σ_ij, over pairs that are less than the largest
        diameter (or a typical spacing) apart; infinite where there are none.
    i, j : int
        The pair of the least ratio.
    """
    n, d = position.shape
    width = max(diameter.max(), (np.prod(box) / n) ** (1 / d)) * 1.001
    x = np.zeros((3, n))
    x[:d] = (position - np.floor(position / box) * box).T
    x[:d][x[:d] >= box[:, None]] = 0.0
    return _closest(
        *x, diameter / 2, np.empty(_grid(box, width, n), np.int32), np.empty(n, np.int32),
        np.append(box, 1.0)[:3], _shifts(box), int(d == 3),
    )  # fmt: skip


def _reach(spacing: float, sigma: float, d: int) -> float:
    """Radius of the sphere that a particle may roam before its list is renewed; speed only.

    Lists then hold about 13 neighbours (6.5 in 2D) at any density: the fewest renewals that pay.
    """
    return max(0.5 * ((1.6 if d == 2 else 1.5) * spacing - sigma), 0.05 * sigma)


class Simulation:
    r"""Hard spheres (d = 3) or disks (d = 2) in a periodic box, in double precision.

    Parameters
    ----------
    position : (N, d) float array
        Anywhere; the box decides on d. N is at least 2.
    velocity : (N, d) float array
    diameter : (N,) float array
        Additive: i and j meet at (σ_i + σ_j)/2.
    mass : (N,) float array, optional
        1 by default.
    box : (d,) float array
        Edges, at least two diameters.
    growth_rate : float
        Diameters are σ_i (1 + growth_rate · t): Lubachevsky–Stillinger. Collisions then add to
        the relative velocity what the surfaces move.

    Attributes
    ----------
    time : float
    collisions : int

    Raises
    ------
    ValueError
        For wrong shapes, numbers that are not finite, a box that is too small, and overlaps of
        more than 1e-12 σ.
    """

    def __init__(
        self,
        position: np.ndarray,
        velocity: np.ndarray,
        diameter: np.ndarray,
        mass: np.ndarray | None,
        box: np.ndarray,
        *,
        growth_rate: float = 0.0,
    ) -> None:
        x, v, sigma, m, box = _checked(position, velocity, diameter, mass, box)
        n, d = x.shape
        if not np.isfinite(growth_rate) or growth_rate < 0:
            raise ValueError(f"growth_rate is {growth_rate}; expected 0 or a positive rate.")
        ratio, _, i, j = closest(x, sigma, box)
        if ratio < 1 - OVERLAP_ROUNDING:
            raise ValueError(
                f"particles {i} and {j} overlap: they are {ratio:.9g} of their contact distance "
                "apart. Separate them first."
            )
        self._box = box
        self._edges = tuple(float(edge) for edge in box)
        self._d = d
        self._shifts = _shifts(box)
        self._clock = np.zeros(1, dtype=_CLOCK)
        self._clock["scale"] = 1.0
        self._clock["rate"] = growth_rate
        self._clock["lx"], self._clock["ly"], self._clock["lz"] = (*box, 1.0)[:3]
        self._clock["deep"] = d == 3
        self._particles = _aligned(n, _PARTICLE)
        self._events = _aligned(n, _EVENT)
        self._homes = _aligned(n, _HOME)
        self._places = _aligned(n, _PLACE)
        # neighbours in space are neighbours in memory
        self._order = _by_place(x - np.floor(x / box) * box, box)
        for k, name in enumerate("xyz"[:d]):
            self._particles[name] = x[self._order, k]
            self._particles["v" + name] = v[self._order, k]
        self._particles["radius"] = sigma[self._order] / 2
        self._homes["mass"] = m[self._order]
        bins = 64
        while bins < 4 * n:
            bins *= 2
        self._heads = np.full(bins + 1, -1, dtype=np.int32)
        self._capacity = 16
        self._list()

    # ------------------------------------------------------------------------------- internals

    @property
    def _growing(self) -> tuple:
        return (0, 0) if self._clock["rate"][0] > 0 else (0,)

    def _list(self) -> None:
        """All lists and the calendar, for the present diameters and a little growth."""
        n, d = len(self._particles), self._d
        c = self._clock[0]
        scale = self._scale
        sigma = 2 * self._particles["radius"].max() * scale
        spacing = (np.prod(self._box) / n) ** (1 / d)
        mean = 2 * self._particles["radius"].mean() * scale
        reach = _reach(spacing, mean, d)
        margin = np.clip(0.5 * reach / sigma, 0.02, 0.1) if c["rate"] > 0 else 0.0
        c["list_scale"] = scale * (1 + margin)
        widest = sigma * (1 + margin)
        reach = min(reach, 0.49 * (self._box.min() - widest))
        c["reach"] = reach
        c["largest"] = sigma / scale / 2
        c["nx"], c["ny"], c["nz"] = shape = _grid(self._box, widest * 1.001 + 2 * reach, n)
        self._room = 4 + 3 * n // int(np.prod(shape))
        while True:
            self._cells = np.empty(np.prod(shape) * self._room, dtype=np.int32)
            self._neighbours = np.zeros(n * self._capacity, dtype=np.uint32)
            most = _build(
                self._particles, self._events, self._homes, self._places, self._neighbours,
                self._cells, self._room, self._shifts, self._clock,
            )  # fmt: skip
            if 0 <= most <= self._capacity:
                break
            if most < 0:
                self._room *= 2
            else:
                self._capacity = int(1.25 * most) // 4 * 4 + 4
        # a first guess, corrected after one cycle of the calendar
        speed = np.sqrt(sum(np.mean(self._particles["v" + a] ** 2) for a in "xyz"))
        c["width"] = 0.1 * mean / max(speed, c["rate"] * mean, 1e-300) / len(self._heads)
        c["current"] = c["cycle"] = c["fresh"] = 0
        self._heads[:] = -1

    def _widen(self) -> None:
        """Longer neighbour lists and roomier cells."""
        capacity, room = int(1.5 * self._capacity) // 4 * 4 + 4, int(1.5 * self._room) + 2
        for name, old, new in (
            ("_neighbours", self._capacity, capacity),
            ("_cells", self._room, room),
        ):
            short = getattr(self, name).reshape(-1, old)
            longer = np.zeros((len(short), new), dtype=short.dtype)
            longer[:, :old] = short
            setattr(self, name, longer.ravel())
        self._capacity, self._room = capacity, room

    def _until(self, target: float, limit: int) -> int:
        while True:
            status = _run(
                self._particles, self._events, self._homes, self._places, self._neighbours,
                self._heads, self._cells, self._room, self._shifts, self._clock, self._edges,
                self._growing, target, limit,
            )  # fmt: skip
            if status != _FULL:
                return status
            self._widen()

    def _synchronise(self) -> None:
        """Move everybody to the present."""
        p, now = self._particles, self._clock["now"][0]
        for a in "xyz":
            p[a] += p["v" + a] * (now - p["t"])
        p["t"] = now

    def _out(self, values: np.ndarray) -> np.ndarray:
        out = np.empty_like(values)
        out[self._order] = values
        return out

    @property
    def _scale(self) -> float:
        c = self._clock[0]
        return float(c["scale"] + c["rate"] * c["now"])

    # ------------------------------------------------------------------------------------- run

    def advance(self, time: float) -> None:
        """Run for exactly ``time``.

        How often this is called has no influence on the trajectory.
        """
        if not np.isfinite(time) or time < 0:
            raise ValueError(f"time is {time}; expected a finite time of 0 or more.")
        c = self._clock[0]
        end = c["elapsed"] + c["now"] + time
        self._advance(end, np.iinfo(np.int64).max)

    def _advance(self, end: float, limit: int) -> bool:
        """Run until ``end``; False if that takes more than ``limit`` events."""
        c = self._clock[0]
        while c["rate"] > 0:
            outgrown = self.time + (c["list_scale"] - self._scale) / c["rate"]
            if end <= outgrown:
                break
            if self._until(outgrown, limit) == _LIMIT:
                return False
            self._synchronise()
            self._list()
        return self._until(end, limit) == _DONE

    @property
    def time(self) -> float:
        c = self._clock[0]
        return float(c["elapsed"] + c["now"])

    @property
    def collisions(self) -> int:
        return int(self._clock["collisions"][0])

    @property
    def position(self) -> np.ndarray:
        """(N, d) float64 unwrapped positions, all at :attr:`time`."""
        p, w = self._particles, self._places
        dt = self._clock["now"][0] - p["t"]
        columns = [
            p[a] + p["v" + a] * dt + w["i" + a] * edge
            for a, edge in zip("xyz"[: self._d], self._edges, strict=True)
        ]
        return self._out(np.stack(columns, axis=1))

    @property
    def velocity(self) -> np.ndarray:
        """(N, d) float64."""
        p = self._particles
        return self._out(np.stack([p["v" + a] for a in "xyz"[: self._d]], axis=1))

    @property
    def diameter(self) -> np.ndarray:
        """(N,) float64 present diameters."""
        return self._out(2 * self._particles["radius"] * self._scale)

    @property
    def mass(self) -> np.ndarray:
        """(N,) float64."""
        return self._out(np.ascontiguousarray(self._homes["mass"]))

    @property
    def box(self) -> np.ndarray:
        """(d,) float64."""
        return self._box.copy()

    @property
    def packing_fraction(self) -> float:
        unit = np.pi / 4 if self._d == 2 else np.pi / 6
        sigma = 2 * self._particles["radius"] * self._scale
        return float(unit * np.sum(sigma**self._d) / np.prod(self._box))

    def smallest_gap(self) -> float:
        """Least r_ij − σ_ij of all pairs; negative for an overlap."""
        return float(closest(self.position, self.diameter, self._box)[1])

    def kinetic_energy(self) -> float:
        """Σ m v² / 2."""
        return float(np.sum(self.mass[:, None] * self.velocity**2) / 2)

    def pressure(self) -> float:
        r"""Pressure since the last :meth:`reset_pressure`, from the momentum that collisions carry.

        .. math:: P V = \frac{1}{d}\Big[\sum_i m_i v_i^2
                  + \frac{1}{\Delta t}\sum_\text{collisions} |\Delta p|\, r_{ij}\Big]

        with Δp the momentum that passes between i and j. The ideal term alone if no time has
        passed.
        """
        c = self._clock[0]
        lapse = self.time - c["since"]
        virial = c["virial"] / lapse if lapse > 0 else 0.0
        return float((2 * self.kinetic_energy() + virial) / (self._d * np.prod(self._box)))

    def reset_pressure(self) -> None:
        """Begin a new average."""
        self._clock["virial"] = 0.0
        self._clock["since"] = self.time

    # ----------------------------------------------------------------------------------- state

    _ARRAYS = (
        "particles", "events", "homes", "places", "neighbours", "heads", "cells", "clock",
        "order", "box",
    )  # fmt: skip

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays; :meth:`from_state` goes on from it to the last bit."""
        return {name: np.array(getattr(self, "_" + name)) for name in self._ARRAYS}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Simulation:
        """The simulation that :meth:`state` was taken of."""
        missing = sorted(set(cls._ARRAYS) - set(state))
        if missing:
            raise ValueError(f"the state lacks {', '.join(missing)}; pass what state() returned.")
        new = cls.__new__(cls)
        for name in cls._ARRAYS:
            value = np.array(state[name])
            if name in ("particles", "events", "homes", "places"):
                aligned = _aligned(len(value), value.dtype)
                aligned[:] = value
                value = aligned
            setattr(new, "_" + name, value)
        new._d = len(new._box)
        new._edges = tuple(float(edge) for edge in new._box)
        new._shifts = _shifts(new._box)
        new._capacity = len(new._neighbours) // len(new._particles)
        new._room = len(new._cells) // int(np.prod([new._clock[0][a] for a in ("nx", "ny", "nz")]))
        return new


def _by_place(x: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Particles along a Z-order curve."""
    n, d = x.shape
    bits = 10
    grid = np.minimum((x / box * 2**bits).astype(np.int64), 2**bits - 1)
    key = np.zeros(n, dtype=np.int64)
    for bit in range(bits):
        for k in range(d):
            key |= ((grid[:, k] >> bit) & 1) << (bit * d + k)
    return np.argsort(key, kind="stable")


def _checked(position, velocity, diameter, mass, box) -> tuple:
    """The arguments of :class:`Simulation` as float64 arrays, or an error."""
    box = np.array(box, dtype=np.float64)
    if box.shape not in ((2,), (3,)):
        raise ValueError(f"box has shape {box.shape}; expected 2 or 3 edges.")
    d = len(box)
    x = np.array(position, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != d or len(x) < 2:
        raise ValueError(f"position has shape {x.shape}; expected (N, {d}) with N of 2 or more.")
    n = len(x)
    v = np.array(velocity, dtype=np.float64)
    sigma = np.array(diameter, dtype=np.float64)
    m = np.ones(n) if mass is None else np.array(mass, dtype=np.float64)
    shapes = (("velocity", v, (n, d)), ("diameter", sigma, (n,)), ("mass", m, (n,)))
    for name, value, shape in shapes:
        if value.shape != shape:
            raise ValueError(f"{name} has shape {value.shape}; expected {shape}.")
    for name, value in (("position", x), ("box", box), *((s[0], s[1]) for s in shapes)):
        if not np.all(np.isfinite(value)):
            raise ValueError(f"{name} holds numbers that are not finite.")
    for name, value in (("diameter", sigma), ("mass", m), ("box", box)):
        if np.any(value <= 0):
            raise ValueError(f"{name} has the value {value.min():.6g}; expected positive numbers.")
    if box.min() < 2 * sigma.max():
        raise ValueError(
            f"the box is {box.min():.6g} wide where it is narrowest, less than two diameters of "
            f"{sigma.max():.6g}; use more particles or a lower packing fraction."
        )
    return x, v, sigma, m, box


# ----------------------------------------------------------------------------------------- frames


class Edmd:
    """Event-driven molecular dynamics; see :class:`glasslib.engines.base.Engine`."""

    name = "edmd"

    def provenance(self) -> dict[str, str]:
        """``{"engine": "edmd", "version": ...}``: the version of glasslib."""
        return {"engine": "edmd", "version": glasslib.__version__}

    def run(
        self,
        frame: Frame,
        system: System,
        *,
        kT: base.Temperature = 1.0,
        duration: float,
        sample_times: Sequence[float] | None = None,
        dt: float | None = None,
        seed: int = 0,
        ensemble: str = "nve",
    ) -> Iterator[Frame]:
        """Fly and collide; yield a frame at each sample time.

        Parameters
        ----------
        frame : gsd.hoomd.Frame
            Start. Velocities are kept as they are when any is not zero, else drawn at ``kT`` with
            ``seed``. Pairs that single precision made overlap (by less than 1e-5 σ) are pushed
            apart first.
        system : glasslib.systems.System
            Hard particles; ``diameters`` and, if it has them, ``masses`` by species (else 1).
        kT : float
            Temperature of drawn velocities. Hard particles have no potential energy, so it stays.
        duration : float
            In σ_A √(m / k_BT).
        sample_times : sequence of float, optional
            Ascending times from 0; by default the end only. They are met exactly and do not
            disturb the trajectory.
        dt : float, optional
            Ignored: there is no time step.
        ensemble : {"nve", "nvt"}
            The same thing here: constant energy is constant kinetic energy.

        Yields
        ------
        gsd.hoomd.Frame
            With images, velocities and ``log`` scalars (arrays of shape (1,)): ``time``,
            ``kT`` (kinetic), ``kinetic_energy`` (per particle), ``pressure`` (of the collisions
            since the last sample, or the start; the ideal term where no time passed) and
            ``collisions`` (since the start).

        Raises
        ------
        ValueError, FrameError
            For arguments or a frame that cannot be run.
        glasslib.engines.EngineError
            For overlaps beyond rounding.
        """
        kT, times, duration = _check_run(frame, system, kT, duration, sample_times, ensemble)
        return self._run(frame, system, kT, times, duration, seed)

    def _run(self, frame, system, kT, times, duration, seed) -> Iterator[Frame]:
        simulation = _simulation(frame, system, kT=kT, seed=seed)
        d, n = system.dimensions, frame.particles.N
        box = np.array(frame.configuration.box)
        for time in times:
            simulation.advance(max(time - simulation.time, 0.0))
            energy = simulation.kinetic_energy()
            new = frames.build(
                simulation.position, box, frame.particles.typeid, types=frame.particles.types,
                dimensions=d, velocity=simulation.velocity,
            )  # fmt: skip
            new.configuration.step = frame.configuration.step
            new.particles.mass = frame.particles.mass
            new.particles.diameter = frame.particles.diameter
            new.log = {
                "time": np.array([time]),
                "kT": np.array([2 * energy / (d * (n - 1))]),
                "kinetic_energy": np.array([energy / n]),
                "pressure": np.array([simulation.pressure()]),
                "collisions": np.array([simulation.collisions]),
            }
            simulation.reset_pressure()
            yield new
        simulation.advance(max(duration - simulation.time, 0.0))

    def minimize(self, frame: Frame, system: System, **options: object) -> Frame:
        """Not for hard particles: raises ``EngineError``."""
        raise EngineError(_NO_LANDSCAPE.format(name=system.name, what="energy minima"))

    def evaluate(self, frame: Frame, system: System) -> Frame:
        """Not for hard particles: raises ``EngineError``."""
        raise EngineError(_NO_LANDSCAPE.format(name=system.name, what="energies and forces"))


_NO_LANDSCAPE = (
    "system {name!r} is made of hard particles, which have no {what}; use thermal frames, or a "
    "system with a potential."
)


def _simulation(frame: Frame, system: System, *, kT: float, seed: int) -> Simulation:
    """A simulation that begins from a frame."""
    d, n = system.dimensions, frame.particles.N
    box = np.asarray(frame.configuration.box[:d], dtype=np.float64)
    kinds = [frame.particles.types[t] for t in frame.particles.typeid]
    masses = getattr(system, "masses", None) or {}
    sigma = np.array([system.diameters[kind] for kind in kinds], dtype=np.float64)
    mass = np.array([masses.get(kind, 1.0) for kind in kinds], dtype=np.float64)
    v = frame.particles.velocity
    if v is None or not np.any(v):
        v = _thermal_velocities(mass, kT, np.random.default_rng(seed), d)
    v = np.asarray(v, dtype=np.float64)[:, :d]
    x = frames.unwrapped(frames.copy(frame, log={}))[:, :d]  # crossings count from here
    ratio, _, i, j = closest(x, sigma, box)
    if ratio < 1 - OVERLAP_FRAME:
        raise EngineError(
            f"particles {i} ({kinds[i]}) and {j} ({kinds[j]}) overlap: they are "
            f"{ratio * (sigma[i] + sigma[j]) / 2:.6g} apart, their contact distance is "
            f"{(sigma[i] + sigma[j]) / 2:.6g}. Check the diameters and the unit of length, or make "
            "a start with engines.edmd.grow."
        )
    if ratio < 1:
        # particles at rest, inflated from where nothing overlaps: only touching ones are pushed
        small = ratio * (1 - 1e-9)
        pushed = Simulation(x, np.zeros((n, d)), sigma * small, mass, box, growth_rate=1.0)
        if not pushed._advance(1 / small - 1, 1000 * n):
            raise EngineError(
                f"cannot separate particles {i} and {j}, which overlap by {1 - ratio:.2g} of their "
                "contact distance: the frame is jammed. Lower its packing fraction."
            )
        x = pushed.position
    return Simulation(x, v, sigma, mass, box)


def _thermal_velocities(mass: np.ndarray, kT: float, rng: np.random.Generator, d: int):
    """Maxwell–Boltzmann velocities without net momentum, exactly at ``kT``; (N, 3)."""
    n = len(mass)
    v = base.thermal_velocities(n, kT, rng, dimensions=d)
    if np.all(mass == 1):
        return v
    v /= np.sqrt(mass)[:, None]
    v -= (mass @ v) / mass.sum()
    return v * np.sqrt(kT * d * (n - 1) / np.sum(mass[:, None] * v**2))


def _check_system(system: System) -> None:
    if not system.hard:
        raise ValueError(
            f"system {system.name!r} has soft interactions; event-driven dynamics moves hard "
            "particles only. Use engine='auto'."
        )
    lacking = [kind for kind in system.types if kind not in system.diameters]
    if lacking:
        raise ValueError(
            f"system {system.name!r} has no diameter for {', '.join(lacking)}; add it to "
            "system.diameters."
        )


def _check_run(
    frame: Frame, system: System, kT, duration, sample_times, ensemble
) -> tuple[float, np.ndarray, float]:
    """Validate the arguments of :meth:`Edmd.run` -> kT, sample times, duration."""
    _check_system(system)
    frames.check(frame, system=system)
    if frame.particles.N < 2:
        raise FrameError(f"the frame has {frame.particles.N} particle; expected at least 2.")
    if np.any(frame.configuration.box[3:]):
        raise FrameError(
            f"box is {frames.list_numbers(frame.configuration.box)}: tilted. Event-driven dynamics "
            "takes rectangular boxes; set xy = xz = yz = 0."
        )
    if ensemble not in base.ENSEMBLES:
        raise ValueError(f"ensemble is {ensemble!r}; expected one of {', '.join(base.ENSEMBLES)}.")
    start, stop = kT if isinstance(kT, tuple) else (kT, kT)
    base.check_temperature(start)
    if start != stop:
        raise ValueError(
            f"kT is a ramp from {start} to {stop}; hard particles are athermal, give one number."
        )
    if not np.isfinite(duration) or duration <= 0:
        raise ValueError(f"duration is {duration}; expected a positive time.")
    times = base.check_times([duration] if sample_times is None else sample_times)
    if times[-1] > duration * (1 + 1e-9):
        raise ValueError(
            f"the last sample time {times[-1]} lies beyond the duration {duration}; run longer."
        )
    return float(start), times, float(duration)


# ------------------------------------------------------------------------------------------ growth

CLOSE_PACKING = {2: np.pi / np.sqrt(12), 3: np.pi / np.sqrt(18)}  #: of one size


def grow(
    system: System,
    *,
    n: int | None = None,
    eta: float | None = None,
    rate: float = 1e-2,
    seed: int = 0,
) -> Frame:
    """A dense liquid from random points, by growing the particles (Lubachevsky–Stillinger).

    Points move and collide at k_BT = 1 while their diameters grow to the system's own in a box of
    the final size, ten times faster while they are small. The result is disordered but not
    equilibrated: run it for several relaxation times.

    Parameters
    ----------
    system : glasslib.systems.System
        Hard particles.
    n : int, optional
        Particles in all; the system's own by default.
    eta : float, optional
        Packing fraction; the system's deepest by default.
    rate : float
        Growth of the diameters, in units of themselves per σ_A √(m / k_BT).
    seed : int

    Returns
    -------
    gsd.hoomd.Frame
        With velocities at k_BT = 1.

    Raises
    ------
    ValueError
        For a soft system, a composition with an empty species, or a packing fraction that cannot
        be.
    glasslib.engines.EngineError
        If the particles jam on the way; the message says at which packing fraction.
    """
    _check_system(system)
    n = system.n if n is None else n
    if n < 2:
        raise ValueError(f"n is {n}; expected at least 2 particles.")
    if eta is None:
        if not system.packing_fractions:
            raise ValueError(f"system {system.name!r} has no packing fraction; give eta.")
        eta = system.packing_fractions[0]
    if not np.isfinite(rate) or rate <= 0:
        raise ValueError(f"rate is {rate}; expected a positive growth rate.")
    d = system.dimensions
    counts = system.counts(n)
    sizes = len({system.diameters[kind] for kind in system.types})
    most = 1 - (1 - CLOSE_PACKING[d]) ** sizes  # each size in the holes of the larger ones
    if not 0 < eta < most:
        raise ValueError(
            f"eta is {eta}; expected a packing fraction between 0 and {most:.4g}, the most that "
            f"{'one size' if sizes == 1 else f'{sizes} sizes'} can fill."
        )
    edge = float(np.float32(system.box_length(n, eta=eta)))  # as the frame will store it
    box = np.full(d, edge)
    typeid = np.repeat(np.arange(len(system.types)), counts)
    masses = getattr(system, "masses", None) or {}
    sigma = np.array([system.diameters[system.types[t]] for t in typeid], dtype=np.float64)
    mass = np.array([masses.get(system.types[t], 1.0) for t in typeid], dtype=np.float64)
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, edge, size=(n, d))
    v = _thermal_velocities(mass, 1.0, rng, d)[:, :d]
    _checked(x, v, sigma, mass, box)
    scale = min(0.999 * closest(x, sigma, box)[0], 1.0)
    while scale < 1:
        simulation = Simulation(x, v, sigma * scale, mass, box, growth_rate=1.0)
        fast = 10 * rate if simulation.packing_fraction < 0.7 * eta else rate
        simulation._clock["rate"] = fast / scale
        simulation._list()
        # to the end of these lists, in steps short against the heating by growth
        to = min(scale * simulation._clock["list_scale"][0], scale + fast, 1.0)
        if 1 - to < 1e-12:
            to = 1.0
        if not simulation._advance((to / scale - 1) * scale / fast, 2000 * n):
            raise EngineError(
                f"{system.name}: the particles jammed at packing fraction "
                f"{simulation.packing_fraction:.4f} on the way to {eta}; ask for less, or grow "
                f"more slowly than rate = {rate}."
            )
        x, v = simulation.position, simulation.velocity
        v -= (mass @ v) / mass.sum()
        v *= np.sqrt(d * (n - 1) / np.sum(mass[:, None] * v**2))
        scale = to
    return frames.build(x, edge, typeid, types=system.types, dimensions=d, velocity=v)
