"""Formats that :func:`glasslib.frames.read` reads, one module each.

Each reader takes a path and returns frames made by :func:`glasslib.snapshots.build`: positions
wrapped into a box centred on the origin, box crossings in ``particles.image``. Energies of
particles go to ``log['particles/energy']`` (N,), forces to ``log['particles/force']`` (N, 3), any
other column of numbers to ``log['particles/<its name>']``; masses, radii and diameters to
``particles.mass`` and ``particles.diameter``. Files of isoconfigurational runs give
``log['particles/propensity']`` and its variance.

What a file of a stranger may do to memory and machine, :mod:`glasslib.formats.untrusted` bounds.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from glasslib.formats import graphml, gsd, lammps, replicas, spheres, xyz
from glasslib.geometry import FrameError
from glasslib.snapshots import Frame

#: what files of a format begin with, unpacked, and the suffix that they should have
_BEGINNINGS = {
    b"\xdf\x65\xdf\x65\xdf\x65\xdf\x65": ".gsd",
    b"PK\x03\x04": ".npz",
    b"ITEM:": ".dump",
    b"<?xml": ".graphml",
    b"<graphml": ".graphml",
}


def recognize(path: Path) -> str | None:
    """The suffix that a file should have, from its first bytes; None where they do not say.

    LAMMPS dumps are in circulation under the name ``.xyz``.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(2)
            stream.seek(0)
            if start == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=stream) as unpacked:
                    start = unpacked.read(64)
            else:
                start = stream.read(64)
    except (EOFError, OSError, zlib.error):
        return None  # whoever reads it says why
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((told for begin, told in _BEGINNINGS.items() if start.startswith(begin)), None)


#: what a caller may call a format that a name does not tell, and a suffix that does
_FORMATS = {
    "gsd": ".gsd", "lammps": ".dump", "xyz": ".xyz", "graphml": ".graphml", "spheres": ".sph",
    "botan": ".npz", "bapst": ".pickle",
}  # fmt: skip


def find_reader(path: Path, format: str | None = None) -> Callable[..., Iterable[Frame]]:
    """The reader for a path, from the name of its format, its first bytes or its suffix."""
    if format is not None and format not in _FORMATS:
        raise FrameError(f"format is {format!r}; expected {', '.join(_FORMATS)}.")
    known: dict[str, Callable[..., Iterable[Frame]]] = {
        ".gsd": gsd.read,
        ".gml": graphml.read,
        ".graphml": graphml.read,
        ".lammpstrj": lammps.read,
        ".dump": lammps.read,
        ".xyz": xyz.read,
        ".sph": spheres.read,
        ".dsk": spheres.read,
        ".npz": replicas.read_botan,
        ".pickle": replicas.read_bapst,
    }
    if format is not None:
        return known[_FORMATS[format]]
    if told := recognize(path):
        return known[told]
    suffixes = [s.lower() for s in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[-2:-1] if zipped else suffixes[-1:])
    if suffix not in known or (zipped and suffix in (".gsd", ".npz", ".pickle")):
        raise FrameError(
            f"{path} has the unknown suffix {''.join(suffixes[-2:]) or '(none)'!r}; known: "
            f"{', '.join(known)} (text formats also with .gz). Rename or convert the file, or "
            "say format=."
        )
    return known[suffix]
