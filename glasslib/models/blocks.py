"""Matrix products of blocks that fit in a core's cache, and what goes with them; numba only.

A layer of 64 units on 10⁵ edges is too little arithmetic for its memory traffic when each product,
sum and ReLU is a pass over all edges. Kernels made of these parts go through a few rows at a time
and keep what is between in the nearest cache. Everything here works on C-contiguous arrays inside
``@njit`` functions, and is decided by dtype at compile time:

``float32``
    Rows as they are.
``uint32``
    Two bfloat16 numbers in a word, for processors that multiply such pairs at twice the speed
    (AVX-512 BF16); others unpack them again. Sums are float32 in either. In a *row* of n columns
    word j holds columns j (low half) and j + n/2; in *pairs* word (i, j) holds rows 2i and 2i + 1
    of column j.

numba's cache sees changes of the file that it compiles a kernel from, and not of this one: after a
change here change :mod:`glasslib.models.message_passing` too, or empty ``__pycache__``.

The width of the second operand must be a multiple of 64, the rows of the result one of 4.
"""

from __future__ import annotations

import numpy as np
from llvmlite import binding, ir
from numba import float32, types, uint32
from numba.core import cgutils
from numba.extending import intrinsic, overload

from glasslib.compiling import njit

BLOCK = 64  #: rows at a time; a few blocks and the weights stay in a second-level cache
WIDTH = 64  #: columns of a tile of the result, of which an operand's width is a multiple
TILE = 4  #: rows of a tile
_LANES = 16  # floats a vector

_FLOAT, _WORD, _SIZE = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_FLOATS, _WORDS = ir.VectorType(_FLOAT, _LANES), ir.VectorType(_WORD, _LANES)


class _BFloat(ir.types.Type):
    """LLVM's bfloat, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


def has_bfloat16() -> bool:
    """Does this processor multiply pairs of bfloat16 in one instruction?"""
    # LLVM before 16 gives the instruction other types
    return binding.llvm_version_info[0] >= 16 and bool(
        binding.get_host_cpu_features().get("avx512bf16", False)
    )


# -------------------------------------------------------------------------------- the two products


@intrinsic
def multiply(typingctx, c, a, w):
    """``c += a @ w`` with rows of *a*; *w* as :func:`weights` gives it."""
    return types.void(c, a, w), _product(transposed=False)


@intrinsic
def multiply_transposed(typingctx, c, a, w):
    """``c += a.T @ w``; in half precision *a* and *w* in pairs."""
    return types.void(c, a, w), _product(transposed=True)


def _product(*, transposed: bool):
    """Emit a product: tiles of 4 x 64 sums stay in registers while k runs.

    LLVM finds the registers by itself (stack slots that are only loaded and stored); written in
    Python the sums would go through memory.
    """

    def emit(context, builder, signature, args):
        half = signature.args[2].dtype == types.uint32
        kinds = (types.float32,) + (signature.args[2].dtype,) * 2
        for kind, given in zip(kinds, signature.args):
            if given.dtype != kind or given.layout != "C" or given.ndim != 2:
                raise TypeError(f"blocks.multiply got {given}; expected C-contiguous {kind}")
        scalar, vector = (_WORD, _WORDS) if half else (_FLOAT, _FLOATS)
        c, a, w = (context.make_array(t)(context, builder, v) for t, v in zip(signature.args, args))
        columns = cgutils.unpack_tuple(builder, c.shape, 2)[1]
        a_rows, a_columns = cgutils.unpack_tuple(builder, a.shape, 2)
        depth = cgutils.unpack_tuple(builder, w.shape, 2)[0]
        length = a_columns if transposed else a_rows
        into = builder.bitcast(c.data, _FLOAT.as_pointer())
        left = builder.bitcast(a.data, scalar.as_pointer())
        right = builder.bitcast(w.data, scalar.as_pointer())
        vectors = range(WIDTH // _LANES)
        sums = [
            [cgutils.alloca_once(builder, _FLOATS) for _ in vectors] for _ in range(TILE)
        ]  # fmt: skip

        def number(value: int) -> ir.Constant:
            return ir.Constant(_SIZE, value)

        def at(pointer, row, width, column):
            return builder.gep(pointer, [builder.add(builder.mul(row, width), column)])

        def load(pointer, shift, kind):
            place = builder.bitcast(builder.gep(pointer, [number(shift)]), kind.as_pointer())
            found = builder.load(place)
            found.align = 4
            return found

        def store(value, pointer, shift):
            place = builder.bitcast(builder.gep(pointer, [number(shift)]), _FLOATS.as_pointer())
            builder.store(value, place).align = 4

        groups = builder.udiv(columns, number(WIDTH))
        with cgutils.for_range(builder, groups) as group:
            j = builder.mul(group.index, number(WIDTH))
            with cgutils.for_range(builder, builder.udiv(length, number(TILE))) as tile:
                i = builder.mul(tile.index, number(TILE))
                rows = [builder.add(i, number(r)) for r in range(TILE)]
                places = [at(into, row, columns, j) for row in rows]
                for r in range(TILE):
                    for v in vectors:
                        builder.store(load(places[r], _LANES * v, _FLOATS), sums[r][v])
                with cgutils.for_range(builder, depth) as inner:
                    k = inner.index
                    base = at(right, k, columns, j)
                    loaded = [load(base, _LANES * v, vector) for v in vectors]
                    for r in range(TILE):
                        here = (
                            at(left, k, a_columns, rows[r])
                            if transposed
                            else at(left, rows[r], a_columns, k)
                        )
                        x = _spread(builder, builder.load(here), vector)
                        for v in vectors:
                            add = _add_halves if half else _add_floats
                            total = add(builder, builder.load(sums[r][v]), x, loaded[v])
                            builder.store(total, sums[r][v])
                for r in range(TILE):
                    for v in vectors:
                        store(builder.load(sums[r][v]), places[r], _LANES * v)
        return context.get_dummy_value()

    return emit


def _spread(builder, x, kind):
    """A vector of one number."""
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, x, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_WORDS, [0] * _LANES))


def _add_floats(builder, total, a, b):
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v16f32")
    return builder.call(fma, [a, b, total])


def _add_halves(builder, total, a, b):
    if has_bfloat16():
        pairs = ir.VectorType(_BFloat(), 2 * _LANES)
        kind = ir.FunctionType(_FLOATS, [_FLOATS, pairs, pairs])
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        dot = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(dot, [total, builder.bitcast(a, pairs), builder.bitcast(b, pairs)])
    shift = ir.Constant(_WORDS, [16] * _LANES)
    mask = ir.Constant(_WORDS, [0xFFFF0000] * _LANES)
    for part in (lambda x: builder.shl(x, shift), lambda x: builder.and_(x, mask)):
        x, y = (builder.bitcast(part(operand), _FLOATS) for operand in (a, b))
        total = _add_floats(builder, total, x, y)
    return total


# ------------------------------------------------------------------------------------- conversions


@njit
def _rounded(x):
    """Bits of float32 *x* (uint32), to the nearest bfloat16; its half is the upper one."""
    return x + uint32(0x7FFF) + ((x >> uint32(16)) & uint32(1))


def write(to, x):
    """Rows of float32 *x* into storage *to*."""


@overload(write)
def _write(to, x):
    if to.dtype == types.float32:

        def copy(to, x):
            for i in range(len(x)):
                for j in range(x.shape[1]):
                    to[i, j] = x[i, j]

        return copy

    def pack(to, x):
        bits, n = x.view(np.uint32), to.shape[1]
        for i in range(len(x)):
            for j in range(n):
                to[i, j] = (_rounded(bits[i, j]) >> uint32(16)) | (
                    _rounded(bits[i, j + n]) & uint32(0xFFFF0000)
                )

    return pack


def add(x, stored):
    """Add stored rows to float32 *x*."""


@overload(add)
def _add(x, stored):
    if stored.dtype == types.float32:

        def plain(x, stored):
            for i in range(len(x)):
                for j in range(x.shape[1]):
                    x[i, j] += stored[i, j]

        return plain

    def unpack(x, stored):
        n = stored.shape[1]
        low, high = np.empty(n, np.uint32), np.empty(n, np.uint32)
        for i in range(len(x)):
            for j in range(n):
                low[j] = stored[i, j] << uint32(16)
                high[j] = stored[i, j] & uint32(0xFFFF0000)
            a, b = low.view(np.float32), high.view(np.float32)
            for j in range(n):
                x[i, j] += a[j]
                x[i, j + n] += b[j]

    return unpack


def mask(x, stored):
    """Zero in *x* where stored rows, outputs of a ReLU, are zero."""


@overload(mask)
def _mask(x, stored):
    if stored.dtype == types.float32:

        def plain(x, stored):
            for i in range(len(x)):
                for j in range(x.shape[1]):
                    x[i, j] = x[i, j] if stored[i, j] != 0 else float32(0)

        return plain

    def packed(x, stored):
        n = stored.shape[1]
        for i in range(len(x)):
            row, words = x[i], stored[i]
            for j in range(n):
                row[j] = row[j] if uint32(words[j] << uint32(16)) != uint32(0) else float32(0)
            for j in range(n):
                row[j + n] = row[j + n] if words[j] > uint32(0xFFFF) else float32(0)

    return packed


def as_rows(x, room):
    """Float32 *x* as the left operand of :func:`multiply`, in *room* if it must be converted."""


@overload(as_rows)
def _as_rows(x, room):
    if room.dtype == types.float32:
        return lambda x, room: x

    def pack(x, room):
        to = room[: len(x)]
        write(to, x)
        return to

    return pack


def as_pairs(x, room):
    """Float32 *x* as an operand of :func:`multiply_transposed`."""


@overload(as_pairs)
def _as_pairs(x, room):
    if room.dtype == types.float32:
        return lambda x, room: x

    def pack(x, room):
        bits, to = x.view(np.uint32), room[: len(x) // 2]
        for i in range(len(x) // 2):
            for j in range(x.shape[1]):
                to[i, j] = (_rounded(bits[2 * i, j]) >> uint32(16)) | (
                    _rounded(bits[2 * i + 1, j]) & uint32(0xFFFF0000)
                )
        return to

    return pack


def stored_pairs(stored, room):
    """Stored rows as an operand of :func:`multiply_transposed`."""


@overload(stored_pairs)
def _stored_pairs(stored, room):
    if room.dtype == types.float32:
        return lambda stored, room: stored

    def pack(stored, room):
        to, n = room[: len(stored) // 2], stored.shape[1]
        for i in range(len(stored) // 2):
            for j in range(n):
                a, b = stored[2 * i, j], stored[2 * i + 1, j]
                to[i, j] = (a & uint32(0xFFFF)) | (b << uint32(16))
                to[i, j + n] = (a >> uint32(16)) | (b & uint32(0xFFFF0000))
        return to

    return pack


# ------------------------------------------------------------------------------- small loops


@njit
def fill(x, row):
    """Every row of *x* becomes ``row``."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            x[i, j] = row[j]


@njit
def rectify(x):
    """ReLU in place; a NaN stays one."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            x[i, j] = float32(0) if x[i, j] < 0 else x[i, j]


@njit
def add_rows(total, x):
    """``total += x.sum(0)``."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            total[j] += x[i, j]


@njit
def add_to_row(row, x):
    """``row += x``."""
    for j in range(len(row)):
        row[j] += x[j]


@njit
def add_to(to, x):
    """``to += x``."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            to[i, j] += x[i, j]


def weights(w: np.ndarray, half: bool) -> np.ndarray:
    """(k, n) weights as the right operand of :func:`multiply`: (k, n) or, in words, (k/2, n)."""
    w = np.ascontiguousarray(w, dtype=np.float32)
    if not half:
        return w
    bits = w.view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    n = len(w) // 2
    return bits[:n] | (bits[n:] << 16)
