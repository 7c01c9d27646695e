"""LAMMPS text dumps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from glasslib.formats.rows import (
    build_at,
    check_once,
    flatten,
    gsd_box,
    is_flat,
    log_columns,
    mark_images,
    name_species,
    name_types,
    sort_by_id,
    take_sizes,
)
from glasslib.formats.untrusted import (
    check_whole,
    parse_count,
    parse_number,
    parse_numbers,
    parse_step,
    read_lines,
    split_rows,
)
from glasslib.geometry import FrameError, list_numbers
from glasslib.snapshots import Frame

#: columns that become positions, images, types and the order of rows
_USED = {
    "id", "type", "element", "typelabel", "ix", "iy", "iz",
    *(axis + kind for axis in "xyz" for kind in ("", "s", "u", "su")),
}  # fmt: skip
#: columns of words
_WORDS = ("element", "typelabel")


def read(path: Path, *, dimensions: int | None = None, by_row: bool = False) -> list[Frame]:
    """A LAMMPS text dump (``dump custom`` or ``dump atom``), one frame a snapshot.

    Coordinates may be ``x y z``, scaled ``xs ys zs``, unwrapped ``xu yu zu`` or both ``xsu ysu
    zsu``; ``ix iy iz`` are the images. Along each axis unwrapped ones are taken before wrapped
    ones with an image, and those before wrapped ones alone; then images are not known
    (:func:`glasslib.snapshots.images_known`). Atoms are sorted by ``id``, which goes to
    ``log['particles/id']`` unless it counts from 1 without a gap; snapshots of different atoms are
    read, but their positions do not join. Types 1, 2, … become A, B, …; without them ``element``
    or ``typelabel`` names the species. Orthogonal and triclinic boxes, periodic in every direction
    (in 2D in x and y).

    Parameters
    ----------
    dimensions : {2, 3}, optional
        By default 2 where every z of the file is the same (up to rounding, 1e-5 of the box) or
        there is no z, else 3.
    by_row : bool
        Several snapshots without ids are refused, as LAMMPS changes the order of atoms; True says
        that this file's rows keep their order.
    """
    snapshots = list(_snapshots(path))
    without = [s for s in snapshots if "id" not in s["columns"]]
    if len(snapshots) > 1 and without and not by_row:
        raise FrameError(
            f"{path.name} holds several snapshots without a column 'id': LAMMPS changes the order "
            "of atoms. Dump the id too, or say by_row=True if this file's rows keep their order."
        )
    labels, kind = _labels(snapshots, path)
    if len(snapshots) > 1 and by_row and without:
        for k, label in enumerate(labels):
            if not np.array_equal(label, labels[0]):
                raise FrameError(
                    f"{path.name}[{k}] has other types in its rows than the first snapshot: rows "
                    "do not keep their order, as by_row=True says. Dump the id too."
                )
    made = [_positions(s) for s in snapshots]
    if dimensions is None:
        flat = all(
            not m["deep"] or (len(m["x"]) > 1 and is_flat(m["x"], np.abs(m["cell"][:2, :2]).max()))
            for m in made
        )
        dimensions = 2 if flat else 3
    if dimensions not in (2, 3):
        raise FrameError(f"{path.name}: dimensions is {dimensions!r}; expected 2 or 3.")
    typeids, types = name_species(labels, path) if kind != "type" else _types(
        labels, path
    )  # fmt: skip
    out = []
    for s, m, typeid in zip(snapshots, made, typeids, strict=True):
        where, x, cell, image = s["where"], m["x"], m["cell"], m["image"]
        if dimensions == 3 and not m["deep"]:
            raise FrameError(
                f"{where} has no z, xs, zu or zsu; expected one in 3D. Read it with dimensions=2."
            )
        if dimensions == 2:
            x = flatten(x, np.abs(cell[:2, :2]).max(), where)
            image = image * [1, 1, 0]
        _periodic(s["flags"][:dimensions], where)
        columns = {c: v for c, v in s["values"].items() if c not in _USED}
        ids = s["ids"]
        if ids is not None and not np.array_equal(ids, np.arange(1, s["n"] + 1)):
            columns["id"] = ids
        sizes = take_sizes(columns, where)
        log = log_columns(columns)
        if s["time"] is not None:
            log["time"] = np.array([s["time"]])
        velocity = log.pop("velocity", None)
        centre = m["low"] + cell.sum(axis=1) / 2
        frame = build_at(
            where, x - np.where(np.arange(3) < dimensions, centre, 0), gsd_box(cell, dimensions),
            typeid, types=types, dimensions=dimensions, velocity=velocity, image=image, log=log,
            sizes=sizes,
        )  # fmt: skip
        frame.configuration.step = s["step"]
        out.append(frame)
    return mark_images(
        out, [s["ids"] for s in snapshots], labels,
        known=all(all(m["known"][:dimensions]) for m in made),
        crossed=any(np.any(f.particles.image) for f in out),
    )  # fmt: skip


def _positions(s: dict) -> dict:
    """Positions (n, 3), box and images of a snapshot, and along which axes they are known."""
    where, values, n = s["where"], s["values"], s["n"]
    low, cell = _cell(s["bounds"], where)
    deep = any("z" + kind in values for kind in ("u", "su", "", "s"))
    axes = "xyz" if deep else "xy"
    found = []
    for scaled, kinds in ((False, ("u", "")), (True, ("su", "s"))):
        names = [next((a + k for k in kinds if a + k in values), None) for a in axes]
        if None not in names:
            known = [name.endswith("u") or f"i{name[0]}" in values for name in names]
            found.append((known, scaled, names))
    if not found:
        raise FrameError(
            f"{where} has columns {' '.join(s['columns'])}; expected x y z, xs ys zs, xu yu zu or "
            "xsu ysu zsu."
        )
    known, scaled, names = max(found, key=lambda f: sum(f[0]))  # of equal ones those not scaled
    x, image = np.zeros((n, 3)), np.zeros((n, 3))
    for i, name in enumerate(names):
        x[:, i] = values[name]
        if not name.endswith("u"):
            image[:, i] = values.get(f"i{name[0]}", 0.0)
    if scaled:
        with np.errstate(over="ignore", invalid="ignore"):  # refused later
            x = x @ cell.T + low
    return {"x": x, "low": low, "cell": cell, "image": image, "known": known, "deep": deep}


def _types(labels: Sequence[np.ndarray], path: Path) -> tuple[list, tuple[str, ...]]:
    """Types 1, 2, … -> indices, A, B, …"""
    numbers = [
        check_whole(parse_numbers(label, "type", path.name), "type", path.name) for label in labels
    ]
    typeids, types = name_types(np.concatenate(numbers), path, first=1)
    return np.split(typeids, np.cumsum([len(t) for t in numbers])[:-1]), types


def _labels(snapshots: list[dict], path: Path) -> tuple[list[np.ndarray], str]:
    """What tells species apart in each snapshot, and the column that does."""
    for kind in ("type", *_WORDS):
        if all(kind in s["words"] for s in snapshots):
            return [s["words"][kind] for s in snapshots], kind
    lacking = next(s for s in snapshots if "type" not in s["words"])
    raise FrameError(
        f"{lacking['where']} has columns {' '.join(lacking['columns'])}; expected one called type, "
        "or element."
    )


def _snapshots(path: Path) -> Iterator[dict]:
    """Snapshots of a dump: where, n, step, time, bounds, flags, columns; values, words, ids."""
    lines = read_lines(path)
    at, k = 0, 0
    while at < len(lines):
        if not lines[at].strip():  # between snapshots, or at the end
            at += 1
            continue
        s: dict = {"time": None, "step": 0, "where": f"{path.name}[{k}]"}
        where = s["where"]
        while "columns" not in s:
            if at >= len(lines):
                raise FrameError(f"{where} ends within its header; the file is cut short.")
            item = lines[at]
            body = lines[at + 1 : at + 4]
            try:
                if item.startswith("ITEM: TIMESTEP"):
                    s["step"], at = parse_step(body[0].strip(), where), at + 2
                elif item.startswith("ITEM: TIME"):
                    s["time"], at = parse_number(body[0]), at + 2
                elif item.startswith("ITEM: UNITS"):
                    at += 2
                elif item.startswith("ITEM: NUMBER OF ATOMS"):
                    s["n"], at = parse_count(body[0], "NUMBER OF ATOMS", where), at + 2
                elif item.startswith("ITEM: BOX BOUNDS"):
                    if "abc" in item:
                        raise FrameError(
                            f"{where} has a general triclinic box (abc origin); dump it without "
                            "triclinic/general."
                        )
                    words = item.split()[3:]
                    s["flags"] = [w for w in words if w not in ("xy", "xz", "yz")] or ["pp"] * 3
                    s["bounds"] = np.array([[parse_number(v) for v in b.split()] for b in body])
                    if s["bounds"].shape not in ((3, 2), (3, 3)) or len(s["flags"]) != 3:
                        raise ValueError
                    at += 4
                elif item.startswith("ITEM: ATOMS"):
                    s["columns"], at = item.split()[2:], at + 1
                elif k == 0 and at == 0:
                    raise FrameError(
                        f"{path} does not begin with 'ITEM:'; expected a LAMMPS text dump."
                    )
                else:
                    raise ValueError
            except FrameError:
                raise
            except (ValueError, IndexError):
                raise FrameError(
                    f"{where}: line {at + 1} of {path.name} is not what a LAMMPS dump has there; "
                    "the file is damaged or cut short."
                ) from None
        if not {"n", "bounds"} <= set(s):
            raise FrameError(f"{where} lacks NUMBER OF ATOMS or BOX BOUNDS; expected both.")
        check_once(s["columns"], where)
        table = split_rows(lines[at : at + s["n"]], s["n"], len(s["columns"]), where)
        at += s["n"]
        s["ids"] = None
        if "id" in s["columns"]:
            ids = parse_numbers(table[:, s["columns"].index("id")], "id", where)
            table, s["ids"] = sort_by_id(table, ids, where)
        s["words"] = {c: table[:, i] for i, c in enumerate(s["columns"])}
        s["values"] = {
            c: parse_numbers(v, c, where) for c, v in s["words"].items() if c not in _WORDS
        }
        yield s
        k += 1


def _cell(bounds: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Corner (3,) and (3, 3) matrix of box vectors in columns; bounds enclose tilted boxes."""
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    lx, ly, lz = high - low
    cell = np.array([[lx, xy, xz], [0, ly, yz], [0, 0, lz]])
    if not np.all(np.isfinite(cell)):
        raise FrameError(f"{where}: box is {list_numbers(bounds)}; expected finite bounds.")
    return low, cell


def _periodic(flags: Iterable[str], where: str) -> None:
    if any(f != "pp" for f in flags):
        raise FrameError(
            f"{where} has boundaries {' '.join(flags)}; expected pp: every box here is periodic."
        )
