"""Hard spheres and disks as arrays in double precision: the simulation itself."""

from __future__ import annotations

import numpy as np

from glasslib.engines.edmd.events import run
from glasslib.engines.edmd.lists import build, search_closest
from glasslib.engines.edmd.records import (
    CLOCK,
    DONE,
    EVENT,
    FULL,
    HOME,
    LIMIT,
    PARTICLE,
    PLACE,
)  # fmt: skip

OVERLAP_ROUNDING = 1e-12  #: relative overlap that a :class:`Simulation` takes for rounding


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
    return search_closest(
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
        x, v, sigma, m, box = check_arrays(position, velocity, diameter, mass, box)
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
        self._clock = np.zeros(1, dtype=CLOCK)
        self._clock["scale"] = 1.0
        self._clock["rate"] = growth_rate
        self._clock["lx"], self._clock["ly"], self._clock["lz"] = (*box, 1.0)[:3]
        self._clock["deep"] = d == 3
        self._particles = _aligned(n, PARTICLE)
        self._events = _aligned(n, EVENT)
        self._homes = _aligned(n, HOME)
        self._places = _aligned(n, PLACE)
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
            most = build(
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

    def set_growth(self, rate: float) -> float:
        """Grow at another rate from now on -> the diameters, over those at first, that lists allow.

        Lists are made anew at once. Growing beyond them goes on with new ones.
        """
        self._clock["rate"] = rate
        self._list()
        return float(self._clock["list_scale"][0])

    def _until(self, target: float, limit: int) -> int:
        while True:
            status = run(
                self._particles, self._events, self._homes, self._places, self._neighbours,
                self._heads, self._cells, self._room, self._shifts, self._clock, self._edges,
                self._growing, target, limit,
            )  # fmt: skip
            if status != FULL:
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
        self.advance_to(end, limit=np.iinfo(np.int64).max)

    def advance_to(self, end: float, *, limit: int) -> bool:
        """Run until :attr:`time` is ``end``; False if that takes more than ``limit`` events."""
        c = self._clock[0]
        while c["rate"] > 0:
            outgrown = self.time + (c["list_scale"] - self._scale) / c["rate"]
            if end <= outgrown:
                break
            if self._until(outgrown, limit) == LIMIT:
                return False
            self._synchronise()
            self._list()
        return self._until(end, limit) == DONE

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


def check_arrays(position, velocity, diameter, mass, box) -> tuple:
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
