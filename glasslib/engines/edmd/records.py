"""What the compiled parts of the engine share: records of particles, events and the clock.

One record is one cache line or half of one: what an event touches lies together. ``edges`` is a
tuple of 2 or 3 box edges and ``growing`` one of length 1 (no) or 2 (yes): the compiler knows tuple
lengths, so each dimension, fixed or growing, gets its own machine code.
"""

from __future__ import annotations

import numpy as np

PARTICLE = np.dtype(
    [(name, "f8") for name in ("x", "y", "z", "t", "vx", "vy", "vz", "radius")], align=True
)
EVENT = np.dtype(
    [("time", "f8"), ("partner", "u4"), ("stamp", "u4"), ("count", "u4"), ("degree", "i4"),
     ("next", "i4"), ("previous", "i4")], align=True,
)  # fmt: skip
HOME = np.dtype([(name, "f8") for name in ("x", "y", "z", "mass")], align=True)
PLACE = np.dtype([(name, "i4") for name in ("ix", "iy", "iz", "cell")], align=True)
CLOCK = np.dtype(
    [("now", "f8"), ("elapsed", "f8"), ("width", "f8"), ("virial", "f8"), ("since", "f8"),
     ("scale", "f8"), ("rate", "f8"), ("reach", "f8"), ("list_scale", "f8"), ("largest", "f8"),
     ("collisions", "i8"), ("events", "i8"), ("renewals", "i8"), ("cycle", "i8"),
     ("current", "i8"), ("fresh", "i8"), ("lx", "f8"), ("ly", "f8"), ("lz", "f8"), ("nx", "i8"),
     ("ny", "i8"), ("nz", "i8"), ("deep", "i8")], align=True,
)  # fmt: skip

NOBODY = np.uint32(0xFFFFFFFF)  # partner of the event "leaves its sphere"
DONE, FULL, LIMIT = 0, 1, 2
PAD = 1.0 + 1e-9  # so that rounding never keeps a pair out of a list

#: of :func:`glasslib.compiling.njit`
OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}
