"""Earliest contact of a particle with its neighbours, four at a time: written in LLVM's language.

numba compiles a loop over neighbours to branches, which a processor guesses wrong half of the time.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from glasslib.engines.edmd.records import NOBODY


@intrinsic
def prefetch(typing, array, k):
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
def first_contact(
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
        winner = cgutils.alloca_once_value(builder, ir.Constant(codes_kind, [int(NOBODY)] * 4))
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
