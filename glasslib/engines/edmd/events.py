"""The loop over events: who meets whom next, and what a collision does.

Why one event a particle is enough: the time of a pair is computed when either changes course, and
then it is not before that particle's event. Who has an event with somebody that has changed course
since (``stamp`` is not ``count``) looks again when that event comes up.
"""

from __future__ import annotations

import numpy as np

from glasslib.compiling import njit
from glasslib.engines.edmd import contact, lists, records
from glasslib.engines.edmd.contact import first_contact, prefetch
from glasslib.engines.edmd.lists import renew
from glasslib.engines.edmd.records import DONE, FULL, LIMIT, NOBODY, OPTIONS

_NEAR, _MIDDLE, _FAR = 4, 8, 12  # bins ahead of the present one that are looked into
_LARGE = 8000  # particles from which on that pays

compiled = njit(uses=[contact, lists, records], **OPTIONS)
# a tenth faster than leaving it to the compiler
inlined = njit(uses=[contact, records], inline="always", **OPTIONS)


@inlined
def _look_ahead(current, particles, events, homes, neighbours, capacity, heads):
    """Ask for what the events of the next bins will read, before they come up.

    Events that follow each other in time are far apart in space: nearly all that one reads has to
    come from main memory, and one thing tells where to find the next.
    """
    last = len(heads) - 1
    if current + _FAR < last:
        i = heads[current + _FAR]
        if i >= 0:
            prefetch(events, i)
    if current + _MIDDLE < last:
        i = heads[current + _MIDDLE]
        while i >= 0:
            e = events[i]
            prefetch(particles, i)
            prefetch(homes, i)
            first = np.int64(i) * capacity
            prefetch(neighbours, first)
            prefetch(neighbours, first + 15)
            if e.partner != NOBODY:
                j = np.int64(e.partner >> np.uint32(5))
                prefetch(events, j)
                prefetch(particles, j)
                prefetch(homes, j)
                prefetch(neighbours, j * capacity)
                prefetch(neighbours, j * capacity + 15)
            i = e.next
    if current + _NEAR < last:
        i = heads[current + _NEAR]
        while i >= 0:
            e = events[i]
            first = np.int64(i) * capacity
            for k in range(first, first + e.degree):
                prefetch(particles, neighbours[k] >> np.uint32(5))
            if e.partner != NOBODY:
                j = np.int64(e.partner >> np.uint32(5))
                f = events[j]
                if f.count == e.stamp:
                    for k in range(j * capacity, j * capacity + f.degree):
                        prefetch(particles, neighbours[k] >> np.uint32(5))
                    if f.next >= 0:
                        prefetch(events, f.next)
                    if f.previous >= 0:
                        prefetch(events, f.previous)
            i = e.next


@inlined
def _move(p, now, edges):
    """Fly freely to ``now``."""
    dt = now - p.t
    p.x += p.vx * dt
    p.y += p.vy * dt
    if len(edges) == 3:
        p.z += p.vz * dt
    p.t = now


@inlined
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
    best, partner = first_contact(
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
                partner = NOBODY
    return best, partner


@inlined
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


@inlined
def _remove(i, events, heads):
    e = events[i]
    before, after = e.previous, e.next
    if before < 0:
        heads[~before] = after
    else:
        events[before].next = after
    if after >= 0:
        events[after].previous = before


@compiled
def run(
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
    status = DONE
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
                status = LIMIT
                break
            now = time
            p = particles[i]
            e = events[i]
            code = e.partner
            _move(p, now, edges)
            if code == NOBODY:
                if not renew(
                    i, found, lost, particles, events, homes, places, neighbours, capacity, cells,
                    room, shifts, c,
                ):  # fmt: skip
                    status = FULL
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
            if partner != NOBODY:
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
    c.now = stop if status == DONE else now
    return status
