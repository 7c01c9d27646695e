r"""Message passing on graphs of particles: fast on a processor, plain on anything else.

With *x* of the nodes, *h* of the edges and what the encoders gave, :math:`x^0` and :math:`h^0`, a
step is

.. math:: h'_{st} = \mathrm{MLP}_e[x_s, x_t, h_{st}, h^0_{st}], \qquad
          x'_t = \mathrm{MLP}_n\bigl[x_t, x^0_t, {\textstyle\sum_s} h'_{st}\bigr]

with a ReLU after every layer and the same weights in every step. An edge's first layer is a sum of
four products. Those of *x* are taken at the nodes before they are gathered, that of
:math:`h^0` once for all steps: of 256 → 64 → 64 on every edge 64 → 64 → 64 remains.

:func:`messages` runs all steps, and their gradient, in one
:class:`torch.autograd.Function`. Blocks of 64 edges go through both layers, the ReLUs and the sum
over edges while they are in the cache (:mod:`glasslib.models.blocks`). Only the edges' state after
each step is kept; everything else on edges is computed again on the way back.

Results do not depend on the number of threads, inside :func:`own_threads`: edges are dealt to a
fixed number of lanes of whole target nodes, and sums over lanes are taken in their order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numba import float32
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor
from torch.nn.functional import linear, relu

from glasslib.compiling import njit
from glasslib.models import blocks
from glasslib.models.blocks import (
    BLOCK,
    TILE,
    add,
    add_rows,
    add_to,
    add_to_row,
    as_pairs,
    as_rows,
    fill,
    mask,
    multiply,
    multiply_transposed,
    rectify,
    stored_pairs,
    weights,
    write,
)

LANES = 8  #: parts into which edges are dealt, and the most threads that find work
PARALLEL_FROM = 10_000  #: edges (or pairs / 100) below which one thread is enough


class Layout(NamedTuple):
    """Where a graph stands in memory: neighbours near each other, edges lane by lane.

    Attributes
    ----------
    order : (n_nodes,) int64 array
        Nodes as they follow each other: reverse Cuthill–McKee, so that what neighbours of
        neighbours read and add to is still in the cache.
    slot : (n_edges,) int64 array
        Place of each edge.
    source, target : (n_slots,) int32 arrays
        Of each place, as places in ``order``; lanes are filled up to whole tiles with edges
        between nodes beyond ``n_nodes``, each lane's own.
    starts : (LANES + 1,) int64 array
        Where lanes begin.
    """

    order: np.ndarray
    slot: np.ndarray
    source: np.ndarray
    target: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, edge_index: np.ndarray, n_nodes: int) -> Layout:
        """Layout of (2, n_edges) edges in any order."""
        source, target = (np.asarray(e, dtype=np.int64) for e in edge_index)
        ones = np.ones(len(source), dtype=np.int8)
        near = csr_matrix((ones, (target, source)), shape=(n_nodes, n_nodes))
        order = reverse_cuthill_mckee(near).astype(np.int64)
        rank = np.empty(n_nodes, dtype=np.int64)
        rank[order] = np.arange(n_nodes)
        source, target = rank[source], rank[target]
        sorting = np.lexsort((source, target))
        source, target = source[sorting], target[sorting]
        counts = np.bincount(target, minlength=n_nodes)
        ends = np.concatenate([[0], np.cumsum(counts)])
        # whole nodes, about as many edges each
        first = np.searchsorted(ends, np.arange(LANES + 1) * (len(target) / LANES))
        first[0], first[-1] = 0, n_nodes
        lengths = np.diff(ends[first])
        starts = np.concatenate([[0], np.cumsum(-(-lengths // TILE) * TILE)])
        lane = np.repeat(np.arange(LANES), lengths)
        slot = np.arange(len(target)) - ends[first][lane] + starts[lane]
        empty = n_nodes + np.repeat(np.arange(LANES), np.diff(starts))
        places = []
        for ends_of in (source, target):
            place = empty.copy()
            place[slot] = ends_of
            places.append(place.astype(np.int32))
        where = np.empty_like(slot)
        where[sorting] = slot
        return cls(order, where, *places, starts)

    @property
    def n_nodes(self) -> int:
        return len(self.order)

    @property
    def n_slots(self) -> int:
        return int(self.starts[-1])


# ----------------------------------------------------------------------------------------- threads


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="glasslib-messages")


_threads: int | None = None  # of lanes, inside own_threads


@contextmanager
def own_threads() -> Iterator[None]:
    """Give torch's threads to the lanes, and one to torch itself, as long as this lasts.

    Torch's threads wait for each other in a loop after every small operation. That costs more than
    they gain here, on a busy machine fifty times as much; and results of one thread do not depend
    on how many there are.
    """
    global _threads
    before, outer = torch.get_num_threads(), _threads
    _threads = outer or before
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _threads = outer
        torch.set_num_threads(before)


def run_lanes(function: Callable[[int], None], work: int) -> None:
    """``function(lane)`` of every lane, in as many threads as torch has if ``work`` is enough.

    ``work`` counts edges. The caller's thread works too.
    """
    threads = min(_threads or torch.get_num_threads(), LANES) if work >= PARALLEL_FROM else 1
    if threads == 1:
        for lane in range(LANES):
            function(lane)
        return
    lanes = itertools.count()  # its next() is atomic

    def work() -> None:
        while (lane := next(lanes)) < LANES:
            function(lane)

    others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


# ----------------------------------------------------------------------------------------- kernels
#
# One lane each. Edge arrays are (n_slots, width) float32 or (n_slots, width / 2) pairs of
# bfloat16; ``g_…`` is the gradient of the loss in what follows the underscore, lane sums apart.


@njit(uses=[blocks], nogil=True)
def _encode(begin, end, attr, w1, b1, w2, b2, w3, h, q):
    """State of edges before the first step, and its product with the edge update's weights."""
    n = len(b1)
    x, y = np.empty((BLOCK, n), np.float32), np.empty((BLOCK, n), np.float32)
    room = np.empty((BLOCK, h.shape[1]), h.dtype)
    nothing = np.zeros(n, np.float32)
    for b in range(begin, end, BLOCK):
        e = min(b + BLOCK, end)
        X, Y = x[: e - b], y[: e - b]
        fill(X, b1)
        multiply(X, attr[b:e], w1)
        rectify(X)
        fill(Y, b2)
        multiply(Y, as_rows(X, room), w2)
        rectify(Y)
        write(h[b:e], Y)
        fill(X, nothing)
        multiply(X, as_rows(Y, room), w3)
        write(q[b:e], X)


@njit(uses=[blocks], nogil=True)
def _encode_back(begin, end, attr, w1, b1, w2t, w3t, h, g_h, g_q, g_w1, g_b1, g_w2, g_b2, g_w3):
    n = len(b1)
    x, y = np.empty((BLOCK, n), np.float32), np.empty((BLOCK, n), np.float32)
    z = np.empty((BLOCK, n), np.float32)
    room = np.empty((BLOCK, h.shape[1]), h.dtype)
    p1, p2 = np.empty((BLOCK // 2, n), h.dtype), np.empty((BLOCK // 2, n), h.dtype)
    nothing = np.zeros(n, np.float32)
    for b in range(begin, end, BLOCK):
        e = min(b + BLOCK, end)
        X, Y, Z = x[: e - b], y[: e - b], z[: e - b]
        G = g_q[b:e]
        multiply_transposed(g_w3, stored_pairs(h[b:e], p1), as_pairs(G, p2))
        fill(Y, nothing)
        add(Y, g_h[b:e])
        multiply(Y, as_rows(G, room), w3t)
        mask(Y, h[b:e])
        fill(X, b1)
        multiply(X, attr[b:e], w1)
        rectify(X)
        add_rows(g_b2, Y)
        multiply_transposed(g_w2, as_pairs(X, p1), as_pairs(Y, p2))
        fill(Z, nothing)
        multiply(Z, as_rows(Y, room), w2t)
        mask(Z, X)
        add_rows(g_b1, Z)
        multiply_transposed(g_w1, attr[b:e], Z)


@njit(uses=[blocks], nogil=True)
def _step(begin, end, source, target, ps, pt, q, h, w1, w2, b2, new, total):
    """One step on edges: their new state, and its sum at the targets."""
    n = len(b2)
    x, y = np.empty((BLOCK, n), np.float32), np.empty((BLOCK, n), np.float32)
    room = np.empty((BLOCK, h.shape[1]), h.dtype)
    for b in range(begin, end, BLOCK):
        e = min(b + BLOCK, end)
        X, Y = x[: e - b], y[: e - b]
        for i in range(e - b):
            s, t = source[b + i], target[b + i]
            for j in range(n):
                X[i, j] = ps[s, j] + pt[t, j]
        add(X, q[b:e])
        multiply(X, h[b:e], w1)
        rectify(X)
        fill(Y, b2)
        multiply(Y, as_rows(X, room), w2)
        rectify(Y)
        for i in range(e - b):
            add_to_row(total[target[b + i]], Y[i])
        write(new[b:e], Y)


@njit(uses=[blocks], nogil=True)
def _step_back(
    begin, end, source, target, ps, pt, q, h, new, w1, w1t, w2t, g_total, g_h,
    g_q, g_ps, g_pt, g_w1, g_w2, g_b2,
):  # fmt: skip
    """Gradient of :func:`_step`; ``g_h`` holds that of the new state and becomes the old's."""
    n = w1.shape[1]
    x, y = np.empty((BLOCK, n), np.float32), np.empty((BLOCK, n), np.float32)
    z = np.empty((BLOCK, n), np.float32)
    room = np.empty((BLOCK, h.shape[1]), h.dtype)
    p1, p2 = np.empty((BLOCK // 2, n), h.dtype), np.empty((BLOCK // 2, n), h.dtype)
    nothing = np.zeros(n, np.float32)
    for b in range(begin, end, BLOCK):
        e = min(b + BLOCK, end)
        X, Y, Z = x[: e - b], y[: e - b], z[: e - b]
        for i in range(e - b):
            s, t = source[b + i], target[b + i]
            for j in range(n):
                X[i, j] = ps[s, j] + pt[t, j]
                Y[i, j] = g_total[t, j]
        add(X, q[b:e])
        multiply(X, h[b:e], w1)
        rectify(X)
        add(Y, g_h[b:e])
        mask(Y, new[b:e])
        add_rows(g_b2, Y)
        multiply_transposed(g_w2, as_pairs(X, p1), as_pairs(Y, p2))
        fill(Z, nothing)
        multiply(Z, as_rows(Y, room), w2t)
        mask(Z, X)
        add_to(g_q[b:e], Z)
        for i in range(e - b):
            add_to_row(g_pt[target[b + i]], Z[i])
            add_to_row(g_ps[source[b + i]], Z[i])
        multiply_transposed(g_w1, stored_pairs(h[b:e], p1), as_pairs(Z, p2))
        fill(Y, nothing)
        multiply(Y, as_rows(Z, room), w1t)
        write(g_h[b:e], Y)


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _dot(a, b):
    total = float32(0)
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@njit(uses=[blocks], nogil=True)
def _decode(begin, end, h, w1, b1, w2, b2, w3, b3, out):
    """A number for each edge from its last state."""
    n = len(b1)
    x, y = np.empty((BLOCK, n), np.float32), np.empty((BLOCK, n), np.float32)
    room = np.empty((BLOCK, h.shape[1]), h.dtype)
    for b in range(begin, end, BLOCK):
        e = min(b + BLOCK, end)
        X, Y = x[: e - b], y[: e - b]
        fill(X, b1)
        multiply(X, h[b:e], w1)
        rectify(X)
        fill(Y, b2)
        multiply(Y, as_rows(X, room), w2)
        rectify(Y)
        for i in range(e - b):
            out[b + i] = _dot(Y[i], w3) + b3[0]


@njit(uses=[blocks], nogil=True)
def _decode_back(
    begin, end, h, w1, w1t, b1, w2, w2t, b2, w3, g_out, g_h,
    g_w1, g_b1, g_w2, g_b2, g_w3, g_b3,
):  # fmt: skip
    n = len(b1)
    x, y = np.empty((BLOCK, n), np.float32), np.empty((BLOCK, n), np.float32)
    z = np.empty((BLOCK, n), np.float32)
    room = np.empty((BLOCK, h.shape[1]), h.dtype)
    p1, p2 = np.empty((BLOCK // 2, n), h.dtype), np.empty((BLOCK // 2, n), h.dtype)
    nothing = np.zeros(n, np.float32)
    for b in range(begin, end, BLOCK):
        e = min(b + BLOCK, end)
        X, Y, Z = x[: e - b], y[: e - b], z[: e - b]
        fill(X, b1)
        multiply(X, h[b:e], w1)
        rectify(X)
        fill(Y, b2)
        multiply(Y, as_rows(X, room), w2)
        rectify(Y)
        for i in range(e - b):
            g = g_out[b + i]
            g_b3[0] += g
            for j in range(n):
                g_w3[j] += g * Y[i, j]
                Y[i, j] = g * w3[j] if Y[i, j] != 0 else float32(0)
        add_rows(g_b2, Y)
        multiply_transposed(g_w2, as_pairs(X, p1), as_pairs(Y, p2))
        fill(Z, nothing)
        multiply(Z, as_rows(Y, room), w2t)
        mask(Z, X)
        add_rows(g_b1, Z)
        multiply_transposed(g_w1, stored_pairs(h[b:e], p1), as_pairs(Z, p2))
        fill(X, nothing)
        multiply(X, as_rows(Z, room), w1t)
        write(g_h[b:e], X)


# ------------------------------------------------------------------------------ the whole of it


class Room:
    """Edge arrays that are used again: a fresh 40 MB array costs more to map than to fill."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def take(self, shape: tuple[int, int], dtype: type) -> np.ndarray:
        """An array of any content."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        for k, flat in enumerate(self._free):
            if size <= flat.nbytes <= 2 * size:
                del self._free[k]
                break
        else:
            flat = np.empty(size, np.uint8)
        return flat[:size].view(dtype).reshape(shape)

    def give(self, arrays: list[np.ndarray]) -> None:
        """Take back what nobody reads any more."""
        for array in arrays:
            while array.base is not None:
                array = array.base
            self._free.append(array)

    def __deepcopy__(self, memo: dict) -> Room:
        return Room()

    def __reduce__(self) -> tuple:
        return Room, ()


def messages(
    x: Tensor,
    attr: Tensor,
    layout: Layout,
    parts: dict[str, list[Tensor]],
    *,
    n_steps: int,
    half: bool = False,
    room: Room | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """All message steps of one graph and the decoder of edges, on the processor.

    Parameters
    ----------
    x : (n_nodes, width) float32 tensor
        Encoded nodes; the width is a multiple of 64.
    attr : (n_slots, k) float32 tensor
        Edge inputs in the places of ``layout``, zeros where there is no edge; k a multiple of 4.
    layout : Layout
    parts : dict
        Weights and biases, layer by layer as :class:`torch.nn.Linear` has them:
        ``encoder`` (of edges), ``edge``, ``node``: two layers each, ``decoder``: three.
    n_steps : int
    half : bool
        Products of pairs of bfloat16, and edge states kept as such; sums stay float32.
    room : Room, optional

    Returns
    -------
    nodes : (n_nodes, width) tensor
        After the last step.
    means : (n_steps, width) tensor
        Of the nodes after each step.
    edges : (n_slots,) tensor
        Decoded; of no meaning where there is no edge.
    """
    flat = [w for name in ("encoder", "edge", "node", "decoder") for w in parts[name]]
    order = torch.from_numpy(layout.order)
    nodes, means, edges = _Messages.apply(
        x[order], attr, layout, n_steps, half, room or Room(), *flat
    )
    return torch.zeros_like(nodes).index_copy(0, order, nodes), means, edges


class _Messages(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x0, attr, layout, n_steps, half, room, *given):
        keep = any(ctx.needs_input_grad)
        width, n, slots = x0.shape[1], layout.n_nodes, layout.n_slots
        kind, wide = (np.uint32, width // 2) if half else (np.float32, width)
        flat = [w.detach() for w in given]
        (we1, be1, we2, be2, wm1, bm1, wm2, bm2), flat = flat[:8], flat[8:]
        wn1, bn1, wn2, bn2, wd1, bd1, wd2, bd2, wd3, bd3 = flat
        a = attr.detach().contiguous().numpy()
        starts, source, target = layout.starts, layout.source, layout.target
        ws, wt, wh, wq = wm1.split(width, dim=1)
        wx, w0, wa = wn1.split(width, dim=1)

        h, q = room.take((slots, wide), kind), room.take((slots, wide), kind)
        enc = (
            _padded(we1.T, a.shape[1]), be1.numpy(), weights(we2.T.numpy(), half), be2.numpy(),
            weights(wq.T.numpy(), half),
        )  # fmt: skip
        run_lanes(lambda k: _encode(starts[k], starts[k + 1], a, *enc, h, q), slots)
        states, nodes, totals, hidden = [h], [x0.detach()], [], []
        w1, w2 = weights(wh.T.numpy(), half), weights(wm2.T.numpy(), half)
        x, first = nodes[0], linear(nodes[0], w0, bn1)
        means = torch.empty(n_steps, width)
        for step in range(n_steps):
            ps, pt = _gathered(x, ws, wt, bm1)
            new = room.take((slots, wide), kind) if keep else h
            total = np.zeros((n + LANES, width), np.float32)
            run_lanes(
                lambda k, ps=ps, pt=pt, h=h, new=new, total=total: _step(
                    starts[k], starts[k + 1], source, target, ps, pt, q, h, w1, w2, bm2.numpy(),
                    new, total,
                ), slots)  # fmt: skip
            total = torch.from_numpy(total[:n])
            between = relu(torch.addmm(torch.addmm(first, x, wx.T), total, wa.T))
            x = relu(torch.addmm(bn2, between, wn2.T))
            means[step] = x.mean(0)
            h = new
            if keep:
                states.append(h)
                nodes.append(x)
                totals.append(total)
                hidden.append(between)
        edges = np.empty(slots, np.float32)
        dec = (
            weights(wd1.T.numpy(), half), bd1.numpy(), weights(wd2.T.numpy(), half), bd2.numpy(),
            np.ascontiguousarray(wd3[0].numpy()), bd3.numpy(),
        )  # fmt: skip
        run_lanes(lambda k: _decode(starts[k], starts[k + 1], h, *dec, edges), slots)
        if keep:
            ctx.kept = (a, layout, half, room, q, states, nodes, totals, hidden)
            ctx.save_for_backward(*given)
        else:
            room.give([h, q])
        return x, means, torch.from_numpy(edges)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_x, g_means, g_edges):
        if ctx.kept is None:
            raise RuntimeError("the gradient of these messages was taken before; run them again.")
        a, layout, half, room, q, states, nodes, totals, hidden = ctx.kept
        ctx.kept = None
        flat = [w.detach() for w in ctx.saved_tensors]
        (we1, be1, we2, _, wm1, bm1, wm2, _), flat = flat[:8], flat[8:]
        wn1, _, wn2, _, wd1, bd1, wd2, bd2, wd3, _ = flat
        n, width, slots = layout.n_nodes, len(be1), layout.n_slots
        starts, source, target = layout.starts, layout.source, layout.target
        n_steps = len(totals)
        ws, wt, wh, wq = wm1.split(width, dim=1)
        wx, w0, wa = wn1.split(width, dim=1)

        def lanes(*shape: int) -> np.ndarray:
            return np.zeros((LANES, *shape), np.float32)

        g_h = room.take(q.shape, q.dtype.type)
        sums = [lanes(width, width), lanes(width), lanes(width, width), lanes(width), lanes(width),
                lanes(1)]  # fmt: skip
        if g_edges is None or not g_edges.any():
            g_h[:] = 0
        else:
            dec = (
                weights(wd1.T.numpy(), half), weights(wd1.numpy(), half), bd1.numpy(),
                weights(wd2.T.numpy(), half), weights(wd2.numpy(), half), bd2.numpy(),
                np.ascontiguousarray(wd3[0].numpy()), g_edges.contiguous().numpy(), g_h,
            )  # fmt: skip
            run_lanes(
                lambda k: _decode_back(
                    starts[k], starts[k + 1], states[-1], *dec, *(s[k] for s in sums)
                ),
                slots,
            )
        gd1, gdb1, gd2, gdb2, gd3, gdb3 = (torch.from_numpy(s.sum(0)) for s in sums)

        g_q = room.take((slots, width), np.float32)
        g_q[:] = 0
        w1, w1t = weights(wh.T.numpy(), half), weights(wh.numpy(), half)
        w2t = weights(wm2.numpy(), half)
        sums = [lanes(width, width), lanes(width, width), lanes(width)]
        g_x = torch.zeros(n, width) if g_x is None else g_x
        g_first, gwx, gwa = torch.zeros(n, width), 0.0, 0.0
        gn2, gbn2, gws, gwt, gbm1 = 0.0, 0.0, 0.0, 0.0, 0.0
        for step in reversed(range(n_steps)):
            x, old, between = nodes[step + 1], nodes[step], hidden[step]
            if g_means is not None:
                g_x = g_x + g_means[step] / n
            g = g_x * (x > 0)
            gn2, gbn2 = gn2 + g.T @ between, gbn2 + g.sum(0)
            g = (g @ wn2) * (between > 0)
            gwx, gwa, g_first = gwx + g.T @ old, gwa + g.T @ totals[step], g_first + g
            g_total = torch.zeros(n + LANES, width)
            torch.mm(g, wa, out=g_total[:n])
            ps, pt = _gathered(old, ws, wt, bm1)
            g_ps, g_pt = lanes(n + LANES, width), np.zeros((n + LANES, width), np.float32)
            into = g_total.numpy()
            h, new = states[step], states[step + 1]
            run_lanes(
                lambda k, ps=ps, pt=pt, h=h, new=new, into=into, g_ps=g_ps, g_pt=g_pt: _step_back(
                    starts[k], starts[k + 1], source, target, ps, pt, q, h, new, w1, w1t, w2t,
                    into, g_h, g_q, g_ps[k], g_pt, *(s[k] for s in sums),
                ), slots)  # fmt: skip
            g_ps, g_pt = torch.from_numpy(g_ps).sum(0)[:n], torch.from_numpy(g_pt)[:n]
            gws, gwt, gbm1 = gws + g_ps.T @ old, gwt + g_pt.T @ old, gbm1 + g_pt.sum(0)
            g_x = torch.addmm(torch.addmm(g @ wx, g_ps, ws), g_pt, wt)
        gw1, gwm2, gbm2 = (torch.from_numpy(s.sum(0)) for s in sums)
        g_x = torch.addmm(g_x, g_first, w0)
        gw0, gbn1 = g_first.T @ nodes[0], g_first.sum(0)

        sums = [lanes(a.shape[1], width), lanes(width), lanes(width, width), lanes(width),
                lanes(width, width)]  # fmt: skip
        enc = (
            _padded(we1.T, a.shape[1]), be1.numpy(), weights(we2.numpy(), half),
            weights(wq.numpy(), half), states[0], g_h, g_q,
        )  # fmt: skip
        run_lanes(
            lambda k: _encode_back(starts[k], starts[k + 1], a, *enc, *(s[k] for s in sums)), slots
        )
        ge1, gbe1, ge2, gbe2, gwq = (torch.from_numpy(s.sum(0)) for s in sums)
        room.give([*states, q, g_h, g_q])
        return (
            g_x, None, None, None, None, None,
            ge1.T[:, : we1.shape[1]], gbe1, ge2.T, gbe2,
            torch.cat([gws, gwt, gw1.T, gwq.T], dim=1), gbm1, gwm2.T, gbm2,
            torch.cat([gwx, gw0, gwa], dim=1), gbn1, gn2, gbn2,
            gd1.T, gdb1, gd2.T, gdb2, gd3[None], gdb3,
        )  # fmt: skip


def _padded(w: Tensor, rows: int) -> np.ndarray:
    """(rows, width) weights of the first layer, zeros where the inputs are padded."""
    out = np.zeros((rows, w.shape[1]), np.float32)
    out[: len(w)] = w.numpy()
    return out


def _gathered(x: Tensor, ws: Tensor, wt: Tensor, b: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What each node adds to the first layer of the edges from it and to it."""
    ps, pt = torch.zeros(len(x) + LANES, len(b)), torch.zeros(len(x) + LANES, len(b))
    torch.mm(x, ws.T, out=ps[: len(x)])
    torch.addmm(b, x, wt.T, out=pt[: len(x)])
    return ps.numpy(), pt.numpy()


def plain_messages(
    x: Tensor, attr: Tensor, edge_index: Tensor, parts: dict[str, list[Tensor]], *, n_steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same as :func:`messages` in torch's own operations, of any width, on any device.

    ``attr`` is (n_edges, k) and so are the decoded edges: in the order of ``edge_index``.
    """
    source, target = edge_index
    we1, be1, we2, be2 = parts["encoder"]
    wm1, bm1, wm2, bm2 = parts["edge"]
    wn1, bn1, wn2, bn2 = parts["node"]
    width = x.shape[1]
    ws, wt, wh, wq = wm1.split(width, dim=1)
    wx, w0, wa = wn1.split(width, dim=1)
    h = relu(linear(relu(linear(attr, we1, be1)), we2, be2))
    q, first, means = linear(h, wq, bm1), linear(x, w0, bn1), []
    for _ in range(n_steps):
        into = linear(x, ws)[source] + linear(x, wt)[target]
        h = relu(linear(relu(linear(h, wh) + q + into), wm2, bm2))
        total = torch.zeros(x.shape, device=x.device).index_add(0, target, h.float())
        x = relu(linear(relu(first + linear(x, wx) + linear(total, wa)), wn2, bn2))
        means.append(x.mean(0))
    wd1, bd1, wd2, bd2, wd3, bd3 = parts["decoder"]
    edges = linear(relu(linear(relu(linear(h, wd1, bd1)), wd2, bd2)), wd3, bd3)
    return x, torch.stack(means), edges[:, 0]
