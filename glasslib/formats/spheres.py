"""Hard spheres and disks of Smallenburg's EDMD and CVT: ``.sph``, ``.dsk``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glasslib.formats.rows import build_at
from glasslib.formats.untrusted import are_numbers, parse_number, read_lines
from glasslib.geometry import FrameError
from glasslib.snapshots import Frame


def read(path: Path, *, skip_confined: bool = False) -> list[Frame]:
    """Hard spheres (``.sph``) or disks (``.dsk``) of Smallenburg's EDMD and CVT, all frames.

    A frame is a line with the number of particles (``&`` may stand before it), one with the box
    edges, and for each particle a letter, x, y, z and the radius. Letters a, b, … become types
    A, B, …; diameters go to ``particles.diameter``. In ``.dsk`` files z may be missing and is
    ignored, as is the third edge. Blank lines and those that begin with ``#`` are passed over.
    Coordinates begin at a corner of the box, and go on across its faces: crossings are kept.

    Positions become float32, so spheres in contact may seem to overlap by 1e-6.

    Parameters
    ----------
    skip_confined : bool
        Leave out frames in a spherical wall (``ball``), which have no periodic box, in place of
        an error.
    """
    d = 2 if ".dsk" in [x.lower() for x in path.suffixes[-2:]] else 3
    rows = [
        (i, line.split())
        for i, line in enumerate(read_lines(path), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    found, at = [], 0
    while at < len(rows):
        at, frame = _hard_frame(path, rows, at, d)
        if frame[0] is not None:
            found.append(frame)
        elif not skip_confined:
            raise FrameError(
                f"{path.name}: line {frame[1]} has a spherical wall ('ball'); expected periodic "
                "box edges. Leave such frames out with skip_confined=True."
            )
    if not found:
        raise FrameError(f"{path} holds no periodic frames; expected at least one.")
    letters = sorted({letter for _, labels, *_ in found for letter in labels})
    upper = [letter.upper() for letter in letters]
    types = upper if len(set(upper)) == len(upper) else letters
    out = []
    for k, (edges, labels, x, radius) in enumerate(found):
        frame = build_at(
            f"{path.name}[{k}]", x - edges / 2, edges, np.searchsorted(letters, labels),
            types=types, dimensions=d,
        )  # fmt: skip
        with np.errstate(over="ignore"):  # check refuses what becomes infinite
            frame.particles.diameter = (2 * radius).astype(np.float32)
        frame.configuration.step = k
        out.append(frame)
    return out


def _hard_frame(path: Path, rows: list[tuple[int, list[str]]], at: int, d: int) -> tuple:
    """Row after a frame, and (edges, letters, positions, radii), or (None, line) in a ball."""

    def wrong(line: int, came: list[str], expected: str) -> FrameError:
        return FrameError(
            f"{path.name}: line {line} is {' '.join(came)[:60]!r}; expected {expected}. The file "
            "is damaged or cut short."
        )

    line, words = rows[at]
    try:
        n = int("".join(words).removeprefix("&")) if len(words) <= 2 else 0
    except ValueError:
        n = 0
    if n < 1:
        raise wrong(line, words, "the number of particles, at least 1")
    if len(rows) < at + 2 + n:
        raise FrameError(
            f"{path.name}: the frame that begins in line {line} holds "
            f"{max(0, len(rows) - at - 2)} of {n} particles; the file is cut short. Cut the last "
            "frame away or fetch the file again."
        )
    where, box = rows[at + 1]
    body = rows[at + 2 : at + 2 + n]
    width = len(body[0][1])
    if width not in ((5,) if d == 3 else (4, 5)):
        raise wrong(*body[0], "a letter, x, y, z and a radius" if d == 3 else "a letter, x, y, r")
    for number, row in body:
        if len(row) != width or not row[0].isalpha() or len(row[0]) != 1:
            raise wrong(number, row, f"a letter and {width - 1} numbers")
    if box[0] == "ball":
        return at + 2 + n, (None, where)
    try:
        edges = np.array([parse_number(word) for word in box[:d]])
    except ValueError:
        edges = np.array([])
    if edges.shape != (d,) or not np.all(np.isfinite(edges)) or np.any(edges <= 0):
        raise wrong(where, box, f"{d} positive box edges")
    try:
        values = np.array([[parse_number(v) for v in row[1:]] for _, row in body])
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    except ValueError:
        values, bad = None, [i for i, (_, row) in enumerate(body) if not are_numbers(row[1:])]
    if len(bad):
        raise wrong(*body[bad[0]], "a letter and finite numbers")
    radius = values[:, 3] if width >= 5 else values[:, 2]
    if np.any(radius <= 0):
        raise wrong(*body[int(np.argmin(radius))], "a positive radius")
    return at + 2 + n, (edges, [row[0] for _, row in body], values[:, :d], radius)
