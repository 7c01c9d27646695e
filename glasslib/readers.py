"""Readers of formats other than GSD; call them through :func:`glasslib.frames.read`.

Each takes a path and returns frames made by :func:`glasslib.frames.build`: positions wrapped
into a box centred on the origin, box crossings in ``particles.image``. Energies of particles go
to ``log['particles/energy']`` (N,), forces to ``log['particles/force']`` (N, 3), any other
column of numbers to ``log['particles/<its name>']``; masses, radii and diameters to
``particles.mass`` and ``particles.diameter``. Files of isoconfigurational runs give
``log['particles/propensity']`` and its variance.
"""

from __future__ import annotations

import functools
import gzip
import io
import pickle
import pickletools
import re
import string
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from glasslib import frames
from glasslib.frames import Frame, FrameError

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


# ------------------------------------------------------------------------------------- GraphML


def graphml(
    path: Path, *, box: float | np.ndarray | None = None, density: float | None = None
) -> list[Frame]:
    """One GraphML graph of a snapshot, as ML-DOS (Bihani et al. 2023) publishes them.

    Nodes carry ``type`` (1, 2, … become A, B, …), ``x``, ``y``, optionally ``z``, ``pe`` and
    ``vx``, ``vy``, ``vz``; they are sorted by their id where ids are numbers. Edges go to
    ``log['bonds']`` (n, 2) as particle indices. The frame is 2D where every z is 0 or missing.

    Parameters
    ----------
    box : float or array, σ_AA
        The periodic box, which the file does not hold; coordinates run from 0 to its edge.
    density : float
        In place of ``box``: N particles in a square (cube) of this number density.
    """
    if (box is None) == (density is None):
        raise FrameError(
            f"{path.name} does not hold its periodic box; give either box= (edge length) or "
            "density= (the ML-DOS graphs have density=1.2)."
        )
    text = _text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FrameError(
            f"{path} declares a document type or entities, which could make it grow without end; "
            "expected plain GraphML. Remove the declaration."
        )
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise FrameError(
            f"{path} is not a whole GraphML file ({error}); it is cut short or of another format."
        ) from error
    keys = {k.get("id"): k.get("attr.name") for k in root.iterfind("{*}key")}
    nodes = root.findall("{*}graph/{*}node")
    if not nodes:
        raise FrameError(f"{path} holds no nodes; expected a GraphML graph with one a particle.")
    ids = [node.get("id", "") for node in nodes]
    order = range(len(ids))
    if all(i.isdecimal() for i in ids):
        order = sorted(order, key=lambda i: int(ids[i]))
    index = {ids[i]: k for k, i in enumerate(order)}
    if len(index) < len(ids):
        raise FrameError(f"{path}: two nodes have the same id; expected one a particle.")
    rows = [{keys.get(d.get("key")): d.text for d in nodes[i].iterfind("{*}data")} for i in order]

    def column(name: str, default: float | None = None) -> np.ndarray:
        try:
            return np.array(
                [_number(r[name] if default is None else r.get(name, default)) for r in rows]
            )
        except (KeyError, TypeError, ValueError):
            raise FrameError(
                f"{path}: a node lacks a number {name!r}; expected type, x and y on every node."
            ) from None

    z = column("z", 0.0)
    size = max(np.ptp(column("x")), np.ptp(column("y")), 1e-300)
    d = 3 if np.any(np.abs(z) > frames.DUST * size) or not np.all(np.isfinite(z)) else 2
    position = np.column_stack([column("x"), column("y"), z])
    if density is not None:
        if not np.isfinite(density) or density <= 0:
            raise FrameError(f"density is {density}; expected a positive number density.")
        box = (len(rows) / density) ** (1 / d)
    edges = frames._full_box(box, d)
    extent = np.ptp(position, axis=0)[:d].max()
    if extent > 1.05 * edges[:d].max():
        raise FrameError(
            f"{path.name}: coordinates span {extent:.4g}, more than the box {edges[:d].max():.4g}; "
            "give the box of the simulation."
        )
    log: dict[str, np.ndarray] = {}
    if any("pe" in r for r in rows):
        log["particles/energy"] = column("pe")
    try:
        bonds = [
            (index[e.get("source")], index[e.get("target")])
            for e in root.iterfind("{*}graph/{*}edge")
        ]
    except KeyError as error:
        raise FrameError(f"{path}: an edge ends at node {error}, which is not there.") from None
    log["bonds"] = np.array(bonds, dtype=np.uint32).reshape(-1, 2)
    typeid, types = _numbered(_whole(column("type"), "type", path.name), path, first=1)
    return [
        frames.build(
            position - frames.cell_matrix(edges).sum(axis=1) / 2, edges, typeid, types=types,
            dimensions=d, log=log,
            velocity=np.column_stack([column(f"v{a}", 0.0) for a in "xyz"]),
        )
    ]  # fmt: skip


# -------------------------------------------------------------------------------- LAMMPS dumps


def lammps_dump(path: Path, *, dimensions: int | None = None, by_row: bool = False) -> list[Frame]:
    """A LAMMPS text dump (``dump custom`` or ``dump atom``), one frame a snapshot.

    Coordinates may be ``x y z``, scaled ``xs ys zs``, unwrapped ``xu yu zu`` or both ``xsu ysu
    zsu``; ``ix iy iz`` are the images. Along each axis unwrapped ones are taken before wrapped
    ones with an image, and those before wrapped ones alone; then images are not known
    (:func:`glasslib.frames.images_known`). Atoms are sorted by ``id``, which goes to
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
    labels, kind = _lammps_labels(snapshots, path)
    if len(snapshots) > 1 and by_row and without:
        for k, label in enumerate(labels):
            if not np.array_equal(label, labels[0]):
                raise FrameError(
                    f"{path.name}[{k}] has other types in its rows than the first snapshot: rows "
                    "do not keep their order, as by_row=True says. Dump the id too."
                )
    made = [_lammps_positions(s) for s in snapshots]
    if dimensions is None:
        flat = all(
            not m["deep"] or (len(m["x"]) > 1 and _is_flat(m["x"], np.abs(m["cell"][:2, :2]).max()))
            for m in made
        )
        dimensions = 2 if flat else 3
    if dimensions not in (2, 3):
        raise FrameError(f"{path.name}: dimensions is {dimensions!r}; expected 2 or 3.")
    typeids, types = _species(labels, path) if kind != "type" else _lammps_types(
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
            x = _flat(x, np.abs(cell[:2, :2]).max(), where)
            image = image * [1, 1, 0]
        _periodic(s["flags"][:dimensions], where)
        columns = {c: v for c, v in s["values"].items() if c not in _LAMMPS_USED}
        ids = s["ids"]
        if ids is not None and not np.array_equal(ids, np.arange(1, s["n"] + 1)):
            columns["id"] = ids
        sizes = _sizes(columns, where)
        log = _columns_log(columns)
        if s["time"] is not None:
            log["time"] = np.array([s["time"]])
        velocity = log.pop("velocity", None)
        centre = m["low"] + cell.sum(axis=1) / 2
        frame = _build(
            where, x - np.where(np.arange(3) < dimensions, centre, 0), _gsd_box(cell, dimensions),
            typeid, types=types, dimensions=dimensions, velocity=velocity, image=image, log=log,
            sizes=sizes,
        )  # fmt: skip
        frame.configuration.step = s["step"]
        out.append(frame)
    return _marked(
        out, [s["ids"] for s in snapshots], labels,
        known=all(all(m["known"][:dimensions]) for m in made),
        crossed=any(np.any(f.particles.image) for f in out),
    )  # fmt: skip


#: columns that become positions, images, types and the order of rows
_LAMMPS_USED = {
    "id", "type", "element", "typelabel", "ix", "iy", "iz",
    *(axis + kind for axis in "xyz" for kind in ("", "s", "u", "su")),
}  # fmt: skip
#: columns of words
_LAMMPS_WORDS = ("element", "typelabel")


def _lammps_positions(s: dict) -> dict:
    """Positions (n, 3), box and images of a snapshot, and along which axes they are known."""
    where, values, n = s["where"], s["values"], s["n"]
    low, cell = _lammps_cell(s["bounds"], where)
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


def _lammps_types(labels: Sequence[np.ndarray], path: Path) -> tuple[list, tuple[str, ...]]:
    """Types 1, 2, … -> indices, A, B, …"""
    numbers = [_whole(_numbers(label, "type", path.name), "type", path.name) for label in labels]
    typeids, types = _numbered(np.concatenate(numbers), path, first=1)
    return np.split(typeids, np.cumsum([len(t) for t in numbers])[:-1]), types


def _lammps_labels(snapshots: list[dict], path: Path) -> tuple[list[np.ndarray], str]:
    """What tells species apart in each snapshot, and the column that does."""
    for kind in ("type", *_LAMMPS_WORDS):
        if all(kind in s["words"] for s in snapshots):
            return [s["words"][kind] for s in snapshots], kind
    lacking = next(s for s in snapshots if "type" not in s["words"])
    raise FrameError(
        f"{lacking['where']} has columns {' '.join(lacking['columns'])}; expected one called type, "
        "or element."
    )


def _snapshots(path: Path) -> Iterator[dict]:
    """Snapshots of a dump: where, n, step, time, bounds, flags, columns; values, words, ids."""
    lines = _lines(path)
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
                    s["step"], at = _step(body[0].strip(), where), at + 2
                elif item.startswith("ITEM: TIME"):
                    s["time"], at = _number(body[0]), at + 2
                elif item.startswith("ITEM: UNITS"):
                    at += 2
                elif item.startswith("ITEM: NUMBER OF ATOMS"):
                    s["n"], at = _count(body[0], "NUMBER OF ATOMS", where), at + 2
                elif item.startswith("ITEM: BOX BOUNDS"):
                    if "abc" in item:
                        raise FrameError(
                            f"{where} has a general triclinic box (abc origin); dump it without "
                            "triclinic/general."
                        )
                    words = item.split()[3:]
                    s["flags"] = [w for w in words if w not in ("xy", "xz", "yz")] or ["pp"] * 3
                    s["bounds"] = np.array([[_number(v) for v in b.split()] for b in body])
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
        _once(s["columns"], where)
        table = _table(lines[at : at + s["n"]], s["n"], len(s["columns"]), where)
        at += s["n"]
        s["ids"] = None
        if "id" in s["columns"]:
            ids = _numbers(table[:, s["columns"].index("id")], "id", where)
            table, s["ids"] = _sorted_by_id(table, ids, where)
        s["words"] = {c: table[:, i] for i, c in enumerate(s["columns"])}
        s["values"] = {
            c: _numbers(v, c, where) for c, v in s["words"].items() if c not in _LAMMPS_WORDS
        }
        yield s
        k += 1


def _once(names: Sequence[str], where: str) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise FrameError(
            f"{where} names the column {twice[0][:40]!r} twice; expected each once. Rename one."
        )


def _lammps_cell(bounds: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
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
        raise FrameError(f"{where}: box is {frames._list(bounds)}; expected finite bounds.")
    return low, cell


def _periodic(flags: Iterable[str], where: str) -> None:
    if any(f != "pp" for f in flags):
        raise FrameError(
            f"{where} has boundaries {' '.join(flags)}; expected pp: every box here is periodic."
        )


# ------------------------------------------------------------------------------------------ XYZ

_RUMD_VECTORS = {"velocity": "vx vy vz", "force": "fx fy fz"}
#: what writers of XYZ call positions, species, velocities, …
_XYZ_NAMES = {
    "pos": "position", "position": "position", "positions": "position",
    "pos_unfolded": "unfolded", "position_unfolded": "unfolded", "unwrapped_position": "unfolded",
    "unfolded": "unfolded",
    "species": "type", "type": "type", "element": "type", "name": "type",
    "velo": "velocity", "vel": "velocity", "velocity": "velocity", "velocities": "velocity",
    "force": "force", "forces": "force",
    "energy": "energy", "energies": "energy", "local_energy": "energy",
    "id": "id", "identifier": "id", "particle_identifier": "id", "atom_id": "id", "atomid": "id",
}  # fmt: skip
_VECTORS = ("position", "unfolded", "velocity", "force")
#: fixed boundaries and periodic ones, as extended XYZ has them
_FLAGS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}


def xyz(
    path: Path,
    *,
    box: float | np.ndarray | None = None,
    dimensions: int | None = None,
    continuous: bool = False,
) -> list[Frame]:
    """An XYZ file, one frame a snapshot: extended, RUMD, atooms and partycls, or plain.

    In extended XYZ (``Lattice``, ``Properties``) the box spans from ``Origin`` (0 by default) along
    the vectors of ``Lattice``. RUMD's comment line holds ``ioformat``, ``boxLengths`` or
    ``sim_box`` and ``columns``, and types count from 0; that of atooms and partycls ``cell:``,
    ``columns:`` and ``step:``, and ``id`` is the species there unless another column is. Their
    boxes are centred on the origin. Names of species are kept; numbers become A, B, … in ascending
    order. Rows are sorted by ``id`` where there is one, and keep their order where there is none.
    Columns of words are left out.

    Images are known where the file has columns of them (RUMD) or of unfolded positions (atooms),
    or where some position lies more than half an edge outside the box: nobody wraps like that.

    Parameters
    ----------
    box : float or array, optional
        For plain files, which hold none: edges of a box that begins at the origin, σ_AA.
    dimensions : {2, 3}, optional
        By default 2 where every z of the file is the same (up to rounding, 1e-5 of the box), else
        3.
    continuous : bool
        Says that positions go on across the faces of the box, which most files do not tell;
        without it :func:`glasslib.frames.unwrapped` refuses the frames.
    """
    snapshots = list(_xyz_snapshots(path, box))
    if dimensions is None:
        flat = all(
            s["flat"] or (s["n"] > 1 and _is_flat(s["position"], np.abs(s["cell"][:2, :2]).max()))
            for s in snapshots
        )
        dimensions = 2 if flat else 3
    if dimensions not in (2, 3):
        raise FrameError(f"{path.name}: dimensions is {dimensions!r}; expected 2 or 3.")
    labels = [s["type"] for s in snapshots]
    counted = max(s["n_types"] for s in snapshots) if snapshots else 0
    typeids, types = _species(labels, path, counted=counted) if labels else ([], ())
    out = []
    for s, typeid in zip(snapshots, typeids, strict=True):
        where, x, centre, image = s["where"], s["position"], s["centre"], s["image"]
        if dimensions == 3 and s["flat"]:
            raise FrameError(f"{where} has no z; expected one in 3D. Read it with dimensions=2.")
        if dimensions == 2:
            x, centre = _flat(x, np.abs(s["cell"][:2, :2]).max(), where), centre * [1, 1, 0]
            image = None if image is None else image * [1, 1, 0]
        if s["periodic"] is not None and not all(s["periodic"][:dimensions]):
            raise FrameError(
                f"{where} has open boundaries (pbc {' '.join(map(str, s['periodic']))}); expected "
                "periodic ones: every box here is periodic. Put the system into a periodic box."
            )
        frame = _build(
            where, x - centre, _gsd_box(s["cell"], dimensions), typeid, types=types,
            dimensions=dimensions, velocity=s["log"].pop("velocity", None), image=image,
            log=s["log"], sizes=s["sizes"] | _header_masses(s, labels),
        )  # fmt: skip
        frame.configuration.step = s["step"]
        out.append(frame)
    told = continuous or all(s["image"] is not None or s["unfolded"] for s in snapshots)
    return _marked(
        out, [s["ids"] for s in snapshots], labels,
        known=told or any(_far_outside(f, s) for f, s in zip(out, snapshots)),
        crossed=any(s["image"] is not None and np.any(s["image"]) for s in snapshots),
    )  # fmt: skip


def _far_outside(frame: Frame, s: dict) -> bool:
    """Whether a position lies more than half an edge outside the box."""
    cell = frames._deep_cell(frame)
    fraction = (s["position"] - s["centre"]) @ np.linalg.inv(cell).T
    return bool(np.any(np.abs(fraction[:, : frames.dimensions(frame)]) > 1))


def _header_masses(s: dict, labels: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Masses that the comment line gives to each species, in the order of their names."""
    masses = s["masses"]
    if masses is None or np.all(masses == 1) or "mass" in s["sizes"]:
        return {}
    names = sorted(
        set(np.concatenate(labels)), key=lambda t: (len(t), t) if t.isdigit() else (0, t)
    )
    if s["n_types"]:
        names = [str(i) for i in range(s["n_types"])]
    if len(masses) == 1:
        return {"mass": np.full(s["n"], masses[0])}
    if len(masses) != len(names) or not np.all(masses > 0) or not set(s["type"]) <= set(names):
        raise FrameError(
            f"{s['where']}: mass is {_few(masses)}; expected {len(names)} positive numbers, one a "
            "species."
        )
    return {"mass": masses[[names.index(t) for t in s["type"]]]}


def _xyz_snapshots(path: Path, box: float | np.ndarray | None) -> Iterator[dict]:
    lines = _lines(path)
    at, k = 0, 0
    while at < len(lines):
        where = f"{path.name}[{k}]"
        if k and not any(line.strip() for line in lines[at:]):
            return  # blank lines at the end
        try:
            n = _count(lines[at], f"line {at + 1} of {path.name}", where)
        except ValueError as error:
            if isinstance(error, FrameError):
                raise
            raise FrameError(
                f"{where}: line {at + 1} of {path.name} is {lines[at][:40]!r}; expected the number "
                "of particles. The file is damaged or not XYZ."
            ) from None
        if at + 1 >= len(lines):
            raise FrameError(f"{where} ends within its header; the file is cut short.")
        header = _Header(lines[at + 1], where)
        body = lines[at + 2 : at + 2 + n]
        columns, width = header.columns(body[0].split() if body else [])
        if header.rest:  # neighbours: as many words as there are
            body = [" ".join(line.split()[:width]) for line in body]
        table = _table(body, n, width, where)
        yield {"n": n, "where": where, **_xyz_frame(header, columns, table, box)}
        at += 2 + n
        k += 1


class _Header:
    """The comment line of a snapshot: what it says, and which dialect it speaks.

    Attributes
    ----------
    says : dict
        Keys as they stand, values without quotes.
    dialect : {"extended", "rumd", "atooms"}
        Plain files count as extended.
    rest : bool
        Whether rows end with neighbours, as many as there are.
    """

    def __init__(self, comment: str, where: str) -> None:
        self.where, self.rest = where, False
        pairs = re.findall(r'([\w-]+)=(?:"([^"]*)"|\'([^\']*)\'|(\S*))', comment)
        self.says = {key: first or second or bare for key, first, second, bare in pairs}
        twice = [key for key in self.says if sum(key == pair[0] for pair in pairs) > 1]
        if twice:
            raise FrameError(f"{where} gives {twice[0][:40]} twice; expected each key once.")
        rumd = {"ioformat", "boxLengths", "sim_box", "numTypes"} & set(self.says)
        if rumd:
            self.dialect = "rumd"
        elif {"Lattice", "Properties"} & set(self.says):
            self.dialect = "extended"
        else:
            tight = re.sub(r"\s*([:=,])\s*", r"\1", comment)
            words = [re.fullmatch(r"([\w-]+)[:=](\S+)", word) for word in tight.split()]
            said = {m[1]: m[2].strip(",") for m in words if m}
            lower = {key.lower() for key in said}
            self.dialect = "atooms" if {"cell", "columns"} & lower else "extended"
            if self.dialect == "atooms":
                self.says = said
            elif found := re.search(r"\btimestep\s*[:=]\s*(\d+)", comment, re.IGNORECASE):
                self.says["timestep"] = found[1]  # as LAMMPS comments its XYZ

    def get(self, *names: str) -> str | None:
        """The value of the first of these keys, whatever their case."""
        lower = {key.lower(): value for key, value in self.says.items()}
        return next((lower[name.lower()] for name in names if name.lower() in lower), None)

    def columns(self, row: list[str]) -> tuple[dict[str, tuple[int, int]], int]:
        """Our name of each column -> (first, after last) of the table; and its width.

        ``row`` is the first row, which tells the width of vectors that the header does not.
        """
        if self.dialect == "extended":
            return self._extended()
        names = (self.get("columns") or "species,pos").split(",")
        if self.dialect == "rumd":
            _once(names, self.where)
            return {c: (i, i + 1) for i, c in enumerate(names)}, len(names)
        names = [name.removeprefix("particle.") for name in names]
        names = [name for name in names if not re.fullmatch(r"\w+\[[1-9]\]", name)]
        names = [name.removesuffix("[0]") for name in names]
        if not any(_XYZ_NAMES.get(name.lower()) == "type" for name in names):
            names = ["type" if name == "id" else name for name in names]
        cell = (self.get("cell") or "1,1,1").split(",")
        ndim = self.get("ndim")
        d = 2 if ndim == "2" or (ndim is None and len(cell) == 2) else 3
        columns, at, numbers = {}, 0, []
        for name in names:
            known = _XYZ_NAMES.get(name.lower(), name)
            width = d if known in _VECTORS else 1
            if known.rstrip("*") == "neighbors" and name == names[-1]:
                self.rest = True
                break
            if known == "type" or not row or _are_numbers(row[at : at + width]):
                columns[known] = (at, at + width)
            numbers.append(known)
            at += width
        _once(numbers, self.where)
        return columns, at

    def _extended(self) -> tuple[dict[str, tuple[int, int]], int]:
        fields = self.says.get("Properties", "species:S:1:pos:R:3").split(":")
        columns, at, names = {}, 0, []
        try:
            for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
                if not re.fullmatch(r"[1-9][0-9]{0,3}", width):
                    raise ValueError
                known = _XYZ_NAMES.get(name.lower(), name)
                names.append(known)
                if kind.upper() in "RI" or known == "type":  # strings and flags are no numbers
                    columns[known] = (at, at + int(width))
                at += int(width)
        except ValueError:
            raise FrameError(
                f"{self.where}: Properties is {':'.join(fields)[:200]!r}; expected "
                "name:kind:width, repeated."
            ) from None
        _once(names, self.where)
        return columns, at

    def numbers(self, key: str, *, most: int = 1000) -> np.ndarray | None:
        """The numbers that a key holds, separated by commas or blanks."""
        value = self.get(key)
        if value is None:
            return None
        words = np.array(re.split(r"[,\s]+", value.strip().strip("[]"))[: most + 1])
        return _numbers(words, key, self.where)

    def time(self) -> dict[str, np.ndarray]:
        """Log entries of the time, and of its unit where it has one."""
        value = self.get("time")
        if value is None:
            return {}
        found = re.fullmatch(r"\s*([-+.\deE]+)\s*([^\d\s].*)?", value)
        if not found:
            raise FrameError(f"{self.where}: Time is {value[:40]!r}; expected a number.")
        log = {"time": _numbers(np.array([found[1]]), "Time", self.where)}
        if found[2]:
            log["time_unit"] = np.frombuffer(found[2].strip().encode(), np.uint8)
        return log

    def step(self) -> int:
        value = self.get("timestep", "timeStepIndex", "step")
        return 0 if value is None else _step(value, self.where)

    def periodic(self) -> list[bool] | None:
        """Along which vectors the file says that the box is periodic; None if it says nothing."""
        value = self.get("pbc")
        if value is None:
            return None
        words = re.split(r"[,\s]+", value.strip().strip("[]()").strip().lower())
        flags = [_FLAGS.get(word.strip("'\"")) for word in words]
        flags = flags * 3 if len(flags) == 1 else flags
        if None in flags or len(flags) not in (2, 3):
            raise FrameError(f"{self.where}: pbc is {value[:40]!r}; expected three of T and F.")
        return flags

    def n_types(self) -> int:
        value = self.get("numTypes") if self.dialect == "rumd" else None
        if value is None:
            return 0
        if not re.fullmatch(r"[0-9]{1,4}", value) or not 0 < int(value) <= 1000:
            raise FrameError(f"{self.where}: numTypes={value[:40]}; expected a number to 1000.")
        return int(value)


def _xyz_frame(
    header: _Header,
    columns: dict[str, tuple[int, int]],
    table: np.ndarray,
    box: float | np.ndarray | None,
) -> dict:
    where = header.where

    def parse(rows: np.ndarray) -> dict[str, np.ndarray]:
        held = {n: _numbers(rows[:, a:b], n, where) for n, (a, b) in columns.items() if n != "type"}
        return {k: v[:, 0] if v.shape[1] == 1 else v for k, v in held.items()}

    values, ids = parse(table), None
    if "id" in values:
        if np.ndim(values["id"]) != 1:
            raise FrameError(f"{where}: id has several columns; expected one.")
        table, ids = _sorted_by_id(table, values["id"], where)
        values = parse(table)
    image = None
    flat = "z" not in values and {"x", "y"} <= set(values)
    if {"x", "y"} <= set(values) and "position" not in values:
        zero = np.zeros(len(table))
        values["position"] = np.column_stack([values.pop("x"), values.pop("y"),
                                              values.pop("z", zero)])  # fmt: skip
    if {"imx", "imy"} <= set(values) and ("imz" in values or flat):
        zero = np.zeros(len(table))
        image = np.column_stack([values.pop(f"im{a}", zero) for a in "xyz"])
    unfolded = "unfolded" in values
    if unfolded:
        values["position"], image = values.pop("unfolded"), None
    shape = np.shape(values.get("position"))
    if shape[1:] not in ((3,), (2,)) or "type" not in columns:
        raise FrameError(
            f"{where} has columns {', '.join(columns)[:200]}; expected a type and x, y, z."
        )
    if shape[1:] == (2,):
        flat = True
    for name in ("velocity", "force"):
        if name in values and np.shape(values[name])[1:] not in ((3,), (2,)):
            raise FrameError(
                f"{where}: {name} has {np.shape(values[name])[1:]} columns; expected 3."
            )
    vectors = {k: frames._padded(v) for k, v in values.items() if k in _VECTORS}
    values |= vectors
    position = values.pop("position")
    cell, centre = _xyz_cell(header, box, flat)
    sizes = _sizes(values, where)
    log = _columns_log(values)
    return {
        "position": position, "image": image, "log": log | header.time(), "cell": cell,
        "centre": centre, "type": table[:, columns["type"][0]], "step": header.step(),
        "n_types": header.n_types(), "ids": ids, "flat": flat, "unfolded": unfolded,
        "periodic": header.periodic(), "sizes": sizes,
        "masses": None if header.dialect == "extended" else header.numbers("mass"),
    }  # fmt: skip


def _xyz_cell(
    header: _Header, box: float | np.ndarray | None, flat: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) matrix of box vectors in columns, and the centre of the box (3,)."""
    where = header.where
    held = next(
        (c for c in ("Lattice", "boxLengths", "sim_box", "cell") if header.get(c) is not None), None
    )
    if held is not None and box is not None:
        raise FrameError(f"{where} holds its box ({held}); leave box= out.")
    if held is None:
        if box is None:
            raise FrameError(
                f"{where} does not hold its periodic box (no Lattice in the comment line); give "
                "box=."
            )
        edges = np.ravel(np.asarray(box, dtype=float))
        if len(edges) not in (1, 2, 3):
            raise FrameError(f"box has {len(edges)} entries; expected 1, 2 or 3.")
        edges = np.append(edges, 0.0) if len(edges) == 2 else np.resize(edges, 3)
        cell = np.diag(edges)
        return cell, cell.sum(axis=1) / 2
    value = header.get(held)
    if held == "sim_box":
        kind, _, value = value.partition(",")
        if kind != "RectangularSimulationBox":
            raise FrameError(f"{where} has sim_box {kind[:40]}; expected RectangularSimulationBox.")
    words = np.array(re.split(r"[,\s]+", value.strip())[:10])
    numbers = _numbers(words, held, where)
    if held == "Lattice":
        expected = (9,)
    else:
        expected = (1, 2, 3) if held == "cell" else (3,)
    if len(numbers) not in expected:
        raise FrameError(f"{where}: {held} has {len(numbers)} numbers; expected 9 (3 for RUMD).")
    if held != "Lattice":
        if len(numbers) == 1:
            numbers = np.resize(numbers, 3)
        return np.diag(np.append(numbers, 1.0)[:3] if len(numbers) == 2 else numbers), np.zeros(3)
    cell = numbers.reshape(3, 3).T
    if np.any(np.abs(np.tril(cell, -1)) > 1e-9 * np.abs(cell).max()):
        raise FrameError(
            f"{where}: Lattice is {value[:200]!r}; expected the first vector along x and the "
            "second in the xy plane. Rotate the frame."
        )
    origin = header.numbers("Origin")
    origin = np.zeros(3) if origin is None else origin
    if origin.shape != (3,):
        raise FrameError(f"{where}: Origin has {len(origin)} numbers; expected 3.")
    return cell, origin + cell.sum(axis=1) / 2


# ------------------------------------------------- isoconfigurational runs: BOTAN, Bapst et al.


def botan(
    path: Path,
    *,
    box: float | np.ndarray | None = None,
    density: float | None = None,
    time: float | None = None,
    replicas: bool = False,
) -> list[Frame]:
    """One configuration of BOTAN or GlassBench (``.npz``): a structure and where M replicas went.

    Arrays ``types`` (N,), ``initial_positions`` (N, d) and ``positions`` (M, N, d), and ``box``
    where the file has it. Final positions go on from the initial ones without wrapping, or are
    wrapped: if all lie in the box and some displacement is longer than half of it, the minimum
    image is taken.

    BOTAN's layout is that of its published files, which the tests read. GlassBench's, with ``box``
    a single number, is taken from its public documentation, and tested on made-up arrays alone.
    Its files of propensities, which lack ``positions``, are refused. Where the file has the box,
    initial positions may lie outside it, as GlassBench's do in two dimensions at T = 0.23: box
    crossings are kept.

    The frame's ``log``: ``particles/propensity`` (N,), ``particles/propensity_variance`` (N,)
    (unbiased, over replicas; absent for a single one); ``particles/replica_distance`` (N, M);
    ``times`` where given.

    Parameters
    ----------
    box : float or array, σ_AA
        Edge or edges. By default that of the file, else of ``density``.
    density : float
        N particles in a cube (square); by default 1.2, that of the Kob–Andersen sets.
    time : float
        When the replicas were taken, which the file does not hold.
    replicas : bool
        Attach ``particles/replica_displacement`` (N, M·d) as well: ``.reshape(N, M, d)`` added to
        ``frames.unwrapped`` gives the final positions.
    """
    data = _npz(path, ("initial_positions", "positions", "types"), ("box",))
    initial, final = (_array(data, k, path) for k in ("initial_positions", "positions"))
    kind = _array(data, "types", path)
    if initial.ndim != 2 or initial.shape[1] not in (2, 3) or final.shape[1:] != initial.shape:
        raise FrameError(
            f"{path.name}: initial_positions has shape {initial.shape} and positions "
            f"{final.shape}; expected (N, d) and (M, N, d), d = 2 or 3."
        )
    n, d = initial.shape
    if n == 0:
        raise FrameError(f"{path.name} holds no particles; expected at least one.")
    if box is not None and density is not None:
        raise FrameError(f"{path.name}: both box= and density= are given; give one.")
    own = box is None and density is None and "box" in data
    if own:
        box = np.ravel(_array(data, "box", path))
        if len(box) == 6 and not np.any(box[3:]):
            box = box[:3]  # GSD's, without a tilt
        if len(box) == 3 and d == 2:
            box = box[:2]
        if len(box) not in (1, d) or not np.all(np.isfinite(box)):
            raise FrameError(
                f"{path.name}: the file's box is {_few(box)}; expected {d} edges, or that "
                "of a cube (square). Give box= or density=."
            )
    if box is None:
        density = 1.2 if density is None else density
        if not np.isfinite(density) or density <= 0:
            raise FrameError(f"density is {density}; expected a positive number density.")
        box = (n / density) ** (1 / d)
    edges = np.broadcast_to(np.asarray(box, dtype=float), d) if np.size(box) in (1, d) else box
    initial, moved = _displacements(path, initial, final[None], edges, outside=own)
    log = _replica_log(moved, replicas)
    for name in ("particles/propensity", "particles/propensity_variance"):
        if name in log:
            log[name] = log[name][:, 0]
    if time is not None:
        log["times"] = np.array([float(time)])
    return [_isoconfigurational(path, initial, edges, kind, log)]


def bapst(path: Path, *, replicas: bool = False) -> list[Frame]:
    """One configuration of Bapst et al. (Nat. Phys. 16, 448 (2020)), a ``.pickle``.

    It is opened by an unpickler that makes numpy arrays of numbers and plain Python containers
    and nothing else. The frame's ``log``, in ascending order of time: ``times`` (n_times,),
    ``isf`` (n_times,), ``particles/propensity`` and ``particles/propensity_variance`` (N,
    n_times), ``particles/replica_distance`` (N, M) at the last time, and ``kT``, ``pressure``.
    A file that holds averages (``targets``) in place of the positions at each time has no
    variance and no replicas.

    Parameters
    ----------
    replicas : bool
        Attach ``particles/replica_displacement`` (N, n_times·M·3) as well, to be reshaped to
        (N, n_times, M, 3).
    """
    data = _unpickled(path)
    if not isinstance(data, dict) or not all(isinstance(k, str) for k in data):
        raise FrameError(
            f"{path} holds a {type(data).__name__}; expected a dictionary of arrays by their names."
        )
    initial, kind, edges = (_array(data, k, path) for k in ("positions", "types", "box"))
    if initial.ndim != 2 or initial.shape[1] != 3 or edges.shape != (3,) or len(initial) == 0:
        raise FrameError(
            f"{path.name}: positions has shape {initial.shape} and box {edges.shape}; expected "
            "(N, 3), N > 0, and (3,)."
        )
    log: dict[str, np.ndarray] = {}
    try:
        every, chosen = (np.ravel(_array(data, k, path)) for k in ("time", "time_indices"))
        if not np.all((chosen == np.rint(chosen)) & (chosen >= 0) & (chosen < len(every))):
            raise FrameError(
                f"{path.name}: time_indices are {_few(chosen)}; expected whole numbers "
                f"from 0 to {len(every) - 1}, into 'time'."
            )
        times = every[chosen.astype(int)]
        if not np.all(np.isfinite(times)) or len(np.unique(times)) < len(times):
            raise FrameError(
                f"{path.name}: times are {_few(times)}; expected finite ones, each once."
            )
        order = np.argsort(times, kind="stable")
        log["times"] = times[order]
        if "is_values" in data:
            isf = np.ravel(_array(data, "is_values", path))
            if isf.shape != times.shape or not np.all(np.isfinite(isf)):
                raise FrameError(
                    f"{path.name}: is_values are {_few(isf)}; expected {len(times)} finite "
                    "numbers, one a time."
                )
            log["isf"] = isf[order]
        final = data.get("trajectory_target_positions", ())
        if len(final) == len(times):
            final = _array(data, "trajectory_target_positions", path)
            initial, moved = _displacements(path, initial, final[order], edges)
            log.update(_replica_log(moved, replicas))
        elif "targets" in data and not replicas:
            initial, _ = _displacements(path, initial, initial[None, None], edges)
            targets = _array(data, "targets", path)
            if not np.all((targets >= 0) & (targets < 1e9)):
                raise FrameError(
                    f"{path.name}: targets run from {targets.min()} to {targets.max()}; expected "
                    "finite mean distances of ordinary size, 0 or more."
                )
            log["particles/propensity"] = targets[order].T.astype(np.float32)
        else:
            raise FrameError(
                f"{path.name} holds replicas at {len(final)} of {len(times)} times; expected all, "
                "or read with replicas=False averages under 'targets'."
            )
        for name, key in (("kT", "temperature"), ("pressure", "pressure")):
            if key in data.get("metadata", {}):
                log[name] = np.array([float(data["metadata"][key])])
                if not np.isfinite(log[name][0]):
                    raise FrameError(f"{path.name}: {key} is {log[name][0]}; expected a number.")
    except FrameError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise FrameError(
            f"{path.name} is not as Bapst et al. publish them ({type(error).__name__}: {error}); "
            "expected time, time_indices and trajectory_target_positions (n_times, M, N, 3)."
        ) from None
    if log["particles/propensity"].shape != (len(initial), len(times)):
        raise FrameError(
            f"{path.name}: targets give {log['particles/propensity'].shape}; expected "
            f"({len(initial)}, {len(times)})."
        )
    return [_isoconfigurational(path, initial, edges, kind, log)]


def _isoconfigurational(
    path: Path, initial: np.ndarray, edges: np.ndarray, kind: np.ndarray, log: dict
) -> Frame:
    if kind.shape != (len(initial),):
        raise FrameError(f"{path.name}: types has shape {kind.shape}; expected ({len(initial)},).")
    wrong = kind[~((kind == np.rint(kind)) & (np.abs(kind) <= 1000))]
    if len(wrong):
        raise FrameError(
            f"{path.name}: types hold {wrong[0]:g}; expected whole numbers, 0 to 1000."
        )
    kind = kind.astype(int)
    typeid, types = _numbered(kind, path, first=1 if kind.size and kind.min() == 1 else 0)
    if len(types) == 1:
        types = ("A", "B")  # a few particles cut out of a mixture
    return _build(
        path.name, initial, edges, typeid, types=types, dimensions=initial.shape[1], log=log
    )


def _displacements(
    path: Path, initial: np.ndarray, final: np.ndarray, edges: np.ndarray, *, outside: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Initial positions about the centre of the box, and (T, M, N, d) displacements.

    Initial positions may lie ``outside`` a box that is known.
    """
    n, d = initial.shape
    edges = np.asarray(edges, dtype=float)
    if edges.shape != (d,) or not np.all((edges > 0) & (edges < 1e9)):
        raise FrameError(
            f"{path.name}: the box is {_few(edges)}; expected {d} positive edges of ordinary size."
        )
    if final.ndim != 4 or final.shape[2:] != initial.shape or 0 in final.shape:
        raise FrameError(
            f"{path.name}: replicas have shape {final.shape[1:]}; expected (M, {n}, {d}), M > 0."
        )
    for name, x in (("initial", initial), ("final", final)):
        if not np.all(np.abs(x) < 1e9):
            raise FrameError(
                f"{path.name}: {name} positions reach {np.abs(x).max()}; expected finite numbers "
                "of ordinary size. The file is damaged."
            )
    low, high = initial.min(axis=0), initial.max(axis=0)
    slack = 1e-6 * edges
    centred = np.any(low < -slack)
    corner = -edges / 2 if centred else np.zeros(d)
    out = np.any(low < corner - slack) or np.any(high > corner + edges + slack)
    if out and not outside:
        raise FrameError(
            f"{path.name}: initial positions run from {frames._list(low)} to "
            f"{frames._list(high)}, out of a box of {frames._list(edges)}; give the box= or "
            "density= of the simulation."
        )
    if n >= 100 and np.any(high - low < 0.9 * edges):
        raise FrameError(
            f"{path.name}: initial positions span {frames._list(high - low)} and leave much of a "
            f"box of {frames._list(edges)} empty; give the box= or density= of the simulation."
        )
    moved = final - initial
    inside = np.all(final >= corner - slack) and np.all(final <= corner + edges + slack)
    if inside and np.any(np.abs(moved) > edges / 2):
        moved -= edges * np.rint(moved / edges)
    return initial - corner - edges / 2, moved


def _replica_log(moved: np.ndarray, replicas: bool) -> dict[str, np.ndarray]:
    """Labels of (T, M, N, d) displacements, one row a particle."""
    times, m, n, d = moved.shape
    r = np.linalg.norm(moved, axis=-1)
    log = {"particles/propensity": r.mean(axis=1).T, "particles/replica_distance": r[-1].T}
    if m > 1:  # of one replica nobody knows the noise
        log["particles/propensity_variance"] = r.var(axis=1, ddof=1).T
    if replicas:
        log["particles/replica_displacement"] = moved.transpose(2, 0, 1, 3).reshape(n, -1)
    return {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in log.items()}


def _array(data: dict, name: str, path: Path) -> np.ndarray:
    """An array of numbers that a file must hold, as float64; FrameError where it is none."""
    if name not in data:
        raise FrameError(f"{path.name} lacks {name!r}; it holds {', '.join(data) or 'nothing'}.")
    value = data[name]
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf":
        raise FrameError(f"{path.name}: {name} has type {value.dtype}; expected numbers.")
    if _holds_text(value, set()):
        raise FrameError(f"{path.name}: {name} holds text; expected numbers.")
    try:
        with np.errstate(over="ignore"):  # of longer types; infinities are refused later
            return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise FrameError(
            f"{path.name}: {name} does not become an array ({' '.join(str(error).split())}); "
            "expected numbers, in lists of equal length."
        ) from None


def _holds_text(value: object, seen: set[int]) -> bool:
    """Whether text is in nested lists; numpy would read numbers out of it. ``seen``: lists."""
    if isinstance(value, list):
        if id(value) in seen:
            return False
        seen.add(id(value))
        return any(_holds_text(v, seen) for v in value)
    return isinstance(value, str | bytes)


def _few(values: np.ndarray) -> str:
    """Up to ten numbers, for a message."""
    return frames._list(np.ravel(values)[:10]) + (" and more" if np.size(values) > 10 else "")


#: bytes of a file's arrays, as float64, beyond which they are not those of a configuration
LARGEST = 256 << 20


def _size(value: object, known: dict[int, int]) -> int:
    """Bytes of arrays as float64 and of what holds them, counted wherever they occur.

    A list that holds another one twice counts it twice, as numpy would make it. Numbers and
    containers count what Python takes for them. ``known`` are sizes by identity, at first ``{}``.
    """
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, np.ndarray):
        size = 128 + 8 * value.size
    elif isinstance(value, list | dict):
        items = value if isinstance(value, list) else value.values()
        size = known[id(value)] = 64 + sum(_size(v, known) for v in items)
    else:
        size = 32 + (4 * len(value) if isinstance(value, str | bytes) else 0)
    return _bounded(size)


def _bounded(size: int) -> int:
    """A number of bytes; ValueError above :data:`LARGEST`."""
    if size > LARGEST:
        raise ValueError(
            f"its arrays take {size} bytes or more as float64, above {LARGEST}; for a file that "
            "you trust set glasslib.readers.LARGEST higher"
        )
    return size


def _npz(path: Path, needed: Sequence[str], more: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Some arrays of an .npz file; never objects, which could run code, and no others."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it holds a single array")
            names = list(file.files)
            wanted = [k for k in (*needed, *more) if k in names]
            _bounded(sum(file.zip.getinfo(f"{k}.npy").file_size for k in wanted))
            data = {k: file[f"{k}.npy"] for k in wanted}  # k alone could be another member
            _size(data, {})
    except Exception as error:  # damaged archives raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise FrameError(
            f"{path} is not a readable .npz file of arrays ({reason}); it is damaged, cut short or "
            "of another format."
        ) from error
    if missing := [k for k in needed if k not in names]:
        raise FrameError(
            f"{path.name} lacks {missing[0]!r}; it holds {', '.join(names) or 'nothing'}."
        )
    return data


def _unpickled(path: Path) -> object:
    """Containers, numbers, text and numpy arrays of a pickle; anything else is refused.

    Not even numpy's own constructors are called: stand-ins made for this one file collect shape,
    type and bytes, so that nothing in it can reach or change what lives on. A small file that
    would grow beyond :data:`LARGEST` is refused too.
    """
    latin1 = functools.cache(lambda text: text.encode("latin1"))  # once, however often it is used

    class DType:
        def __init__(self, name: str, *_: object) -> None:
            self.name, self.order = name, "="

        def __setstate__(self, state: tuple) -> None:
            self.order = state[1]

        def numpy(self) -> np.dtype:
            name = self.name if isinstance(self.name, str) else self.name.decode()
            if not re.fullmatch("[<>=|][biuf][1248]", self.order + name):
                raise pickle.UnpicklingError(f"array of type {name}, byte order {self.order!r}")
            return np.dtype(self.order + name)

    class Array:
        def __setstate__(self, state: tuple) -> None:
            _, shape, dtype, fortran, raw = state
            self.value = made(raw, dtype, shape, "F" if fortran else "C")

    def made(raw: bytes | str, dtype: DType, shape: tuple, order: str) -> np.ndarray:
        raw = latin1(raw) if isinstance(raw, str) else raw
        return np.frombuffer(raw, dtype.numpy()).reshape(shape, order=order)

    def filled(raw: bytes, dtype: DType, shape: tuple, order: str) -> Array:
        new = Array()
        new.value = made(raw, dtype, shape, order)
        return new

    known = {
        ("multiarray", "_reconstruct"): lambda *_: Array(),
        ("multiarray", "scalar"): lambda dtype, raw: made(raw, dtype, (), "C")[()],
        ("numeric", "_frombuffer"): filled,
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): DType,
    }

    class Unpickler(pickle._Unpickler):  # that of C would hash nested tuples, used as keys
        dispatch = dict(pickle._Unpickler.dispatch)

        def find_class(self, module: str, name: str) -> object:
            if module == "_codecs" and name == "encode":  # bytes in the oldest protocols
                return lambda text, _: latin1(text)
            root, _, last = module.rpartition(".")
            if root in ("", "numpy.core", "numpy._core") and (last, name) in known:
                return known[last, name]
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")

        def persistent_load(self, _: object) -> None:
            raise pickle.UnpicklingError("it refers to data outside")

    def listed(load: Callable) -> Callable:
        def loaded(unpickler: Unpickler) -> None:
            load(unpickler)
            unpickler.stack[-1] = list(unpickler.stack[-1])

        return loaded

    for name in ("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
        code = getattr(pickle, name)[0]
        Unpickler.dispatch[code] = listed(Unpickler.dispatch[code])

    done: dict[int, object] = {}  # what is referred to twice is made once

    def plain(value: object) -> object:
        if isinstance(value, Array):
            return value.value
        if isinstance(value, int | float | str | bytes | np.generic | None):
            return value
        if id(value) not in done:
            if isinstance(value, dict):
                done[id(value)] = {plain(k): plain(v) for k, v in value.items()}
            elif isinstance(value, list):
                done[id(value)] = [plain(v) for v in value]
            else:
                raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")
        return done[id(value)]

    try:
        raw = path.read_bytes()
        for code, argument, _ in pickletools.genops(raw):
            if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= argument <= len(raw):
                raise pickle.UnpicklingError(f"it numbers an object {argument}")
            if code.name in ("EMPTY_SET", "FROZENSET"):
                raise pickle.UnpicklingError("it holds a set")
        data = plain(Unpickler(io.BytesIO(raw), encoding="latin1").load())
        _size(data, {})
        return data
    except Exception as error:  # damaged pickles raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise FrameError(
            f"{path} is refused: {reason}. Expected a pickle of numpy arrays of numbers in plain "
            "containers; it is damaged, cut short or unsafe."
        ) from None


# --------------------------------------------------------------- hard particles: .sph and .dsk


def spheres(path: Path, *, skip_confined: bool = False) -> list[Frame]:
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
        for i, line in enumerate(_lines(path), start=1)
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
        frame = _build(
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
        edges = np.array([_number(word) for word in box[:d]])
    except ValueError:
        edges = np.array([])
    if edges.shape != (d,) or not np.all(np.isfinite(edges)) or np.any(edges <= 0):
        raise wrong(where, box, f"{d} positive box edges")
    try:
        values = np.array([[_number(v) for v in row[1:]] for _, row in body])
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    except ValueError:
        values, bad = None, [i for i, (_, row) in enumerate(body) if not _are_numbers(row[1:])]
    if len(bad):
        raise wrong(*body[bad[0]], "a letter and finite numbers")
    radius = values[:, 3] if width >= 5 else values[:, 2]
    if np.any(radius <= 0):
        raise wrong(*body[int(np.argmin(radius))], "a positive radius")
    return at + 2 + n, (edges, [row[0] for _, row in body], values[:, :d], radius)


def _are_numbers(words: list[str]) -> bool:
    try:
        return bool(np.all(np.isfinite([_number(word) for word in words])))
    except ValueError:
        return False


# ------------------------------------------------------------------------------------- internals


#: a gzip file that unpacks to more than this many times its size, and more than LEAST bytes, is
#: refused: text of numbers shrinks four times, made-up files a thousand times
GROWTH = 40
LEAST = 4 << 20


def _text(path: Path) -> str:
    """The text of a file, unpacked where it is packed by gzip."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b" or path.suffix.lower() == ".gz"
            stream.seek(0)
            if packed:
                most = max(LEAST, GROWTH * path.stat().st_size)
                with gzip.GzipFile(fileobj=stream) as unpacked:
                    data = unpacked.read(most + 1)
                if len(data) > most:
                    raise FrameError(
                        f"{path} unpacks to more than {most} bytes, {GROWTH} times its size; "
                        "expected text of numbers. For a file that you trust set "
                        "glasslib.readers.GROWTH higher, or unpack it."
                    )
            else:
                data = stream.read()
        return data.decode("utf-8-sig")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FrameError(
            f"{path} does not unpack ({error}); it is damaged or cut short."
        ) from error
    except UnicodeDecodeError as error:
        raise FrameError(f"{path} is not text; expected what its suffix says.") from error
    except OSError as error:
        raise FrameError(f"cannot read {path}: {error.strerror or error}.") from error


def _lines(path: Path) -> list[str]:
    text = _text(path)
    if not text.endswith("\n"):
        raise FrameError(
            f"{path} does not end with a line break: its last number may be cut short. If the file "
            "is whole, add one."
        )
    if "\0" in text:
        raise FrameError(f"{path} holds bytes of value 0; expected text. It is damaged.")
    return text.replace("\r\n", "\n").split("\n")[:-1]  # splitlines breaks at other signs too


def _table(lines: list[str], n: int, width: int, where: str) -> np.ndarray:
    """(n, width) array of words, or an error that says which line is short or long."""
    rows = [line.split() for line in lines]
    if len(rows) < n:
        raise FrameError(
            f"{where} holds {len(rows)} of {n} particles; the file is cut short. Cut the last "
            "snapshot away or fetch the file again."
        )
    for i, row in enumerate(rows):
        if len(row) < width:
            raise FrameError(
                f"{where}: particle {i} has {len(row)} columns; expected {width}. The file is "
                "damaged or cut short."
            )
        if len(row) > width:
            raise FrameError(
                f"{where}: particle {i} has {len(row)} columns, but the header names {width}: "
                "which is which is not known. Name all columns in the header, or leave some out."
            )
    longest = max(map(len, {word for row in rows for word in row}))
    if longest > _LONGEST:  # numpy gives every word the width of the longest
        raise FrameError(f"{where}: a word has {longest} letters; expected at most {_LONGEST}.")
    return np.array(rows)


_LONGEST = 256


def _number(word: object) -> float:
    """A number; ValueError for what only Python takes for one, as 1_000."""
    if isinstance(word, str) and ("_" in word or not word.isascii()):
        raise ValueError(f"could not convert string to float: {word[:40]!r}")
    return float(word)


def _numbers(words: np.ndarray, name: str, where: str) -> np.ndarray:
    try:
        if any("_" in word or not word.isascii() for word in np.ravel(words)):
            raise ValueError("a word with signs that are no digits")
        return words.astype(np.float64)
    except ValueError as error:
        raise FrameError(f"{where}: {name} is not a number ({error}).") from None


def _whole(numbers: np.ndarray, name: str, where: str) -> np.ndarray:
    """Numbers as int64; FrameError where one is not whole, or so large that digits are lost."""
    bad = np.flatnonzero(~((np.abs(numbers) < 2**53) & (numbers == np.rint(numbers))))
    if len(bad):
        raise FrameError(
            f"{where}: {name} of particle {bad[0]} is {numbers[bad[0]]:g}; expected a whole number "
            "below 9e15."
        )
    return numbers.astype(np.int64)


def _count(word: str, what: str, where: str) -> int:
    """The number of particles that a header gives: at least 1."""
    word = word.strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", word):
        raise ValueError
    if int(word) < 1:
        raise FrameError(
            f"{where} holds no particles: {what} is {word[:40]!r}; expected the number of "
            "particles, at least 1. Leave empty snapshots out."
        )
    return int(word)


def _step(word: str, where: str) -> int:
    """A time step as GSD has it, from 0 to 2⁶⁴."""
    try:
        value = int(word) if re.fullmatch(r"[+-]?[0-9]{1,20}", word) else _number(word)
        if not (value == int(value) and 0 <= value < 2**64):
            raise ValueError
    except (ValueError, OverflowError):
        raise FrameError(
            f"{where}: the time step is {word[:40]!r}; expected a whole number from 0."
        ) from None
    return int(value)


def _sorted_by_id(table: np.ndarray, ids: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows in ascending order of their ids, and the ids."""
    whole = _whole(ids, "id", where)
    order = np.argsort(whole, kind="stable")
    if np.any(np.diff(whole[order]) == 0):
        raise FrameError(f"{where} holds an atom id twice; ids must differ.")
    return table[order], whole[order]


def _marked(
    made: list[Frame],
    ids: Sequence[np.ndarray | None],
    kinds: Sequence[np.ndarray],
    *,
    known: bool,
    crossed: bool,
) -> list[Frame]:
    """The frames of a file, which know why their positions do not join where they do not.

    Parameters
    ----------
    ids : per snapshot, ids of the rows, or None where there are none
    kinds : per snapshot, what tells species apart
    known, crossed : bool
        Whether positions are continuous or come with images, and whether those say that anyone
        crossed.
    """
    several, why = len(ids) > 1, 0
    boxes = np.stack([f.configuration.box for f in made])
    if several and all(i is not None for i in ids):
        if any(not np.array_equal(i, ids[0]) for i in ids):
            why = frames.OTHER_ROWS
    elif several and (
        any(i is not None for i in ids) or any(not np.array_equal(k, kinds[0]) for k in kinds)
    ):
        why = frames.OTHER_ROWS
    if not why and not known and not (several and frames._joined(made)):
        why = frames.WRAPPED
    if not why and crossed and np.ptp(boxes, axis=0).max() > 1e-6 * np.abs(boxes).max():
        why = frames.OTHER_BOX
    for frame in made if why else ():
        frame.log[frames.IMAGES_UNKNOWN] = np.array([why], np.uint8)
    return made


def _species(
    labels: Sequence[np.ndarray], path: Path, *, counted: int = 0
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Labels of all snapshots -> type indices of each, and names.

    Names are kept, in the order of the alphabet; numbers become A, B, … in ascending order, with
    ``counted`` types from 0 where the file gives their number.
    """
    together = np.concatenate(labels)
    if all(re.fullmatch(r"[0-9]{1,15}", t) for t in set(together)):
        numbers = together.astype(np.int64)
        levels = np.arange(counted) if counted else np.unique(numbers)
        if not np.isin(numbers, levels).all():
            raise FrameError(f"{path}: a type is not below numTypes={counted}; types count from 0.")
        typeids, types = _numbered(np.searchsorted(levels, numbers), path, first=0)
        types = _letters(max(len(levels), len(types)))
    else:
        if all(re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", t) for t in set(together)):
            raise FrameError(
                f"{path} has particle types as {str(together[0])[:40]!r}; expected names, or whole "
                "numbers from 0 to 1000."
            )
        names, typeids = np.unique(together, return_inverse=True)
        if len(names) > 1000:
            raise FrameError(f"{path} has {len(names)} species; expected at most 1000.")
        types = tuple(map(str, names))
    return np.split(typeids, np.cumsum([len(t) for t in labels])[:-1]), types


def _letters(n: int) -> tuple[str, ...]:
    return tuple(string.ascii_uppercase[:n]) if n <= 26 else tuple(f"T{i}" for i in range(n))


def _numbered(numbers: np.ndarray, path: Path, *, first: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Type numbers that count from ``first`` -> indices, and the letters that name them."""
    if len(numbers) == 0:
        raise FrameError(f"{path} holds no particles; expected at least one.")
    if numbers.min() < first or numbers.max() > 1000:
        raise FrameError(
            f"{path} has particle types from {numbers.min()} to {numbers.max()}; expected {first} "
            "to 1000."
        )
    return numbers - first, _letters(int(numbers.max()) - first + 1)


def _is_flat(position: np.ndarray, size: float) -> bool:
    """Whether all z are the same up to rounding: dust, beside a box of this ``size``."""
    z = position[:, 2]
    return bool(np.all(np.isfinite(z)) and np.ptp(z) <= frames.DUST * size)


def _flat(position: np.ndarray, size: float, where: str) -> np.ndarray:
    if not _is_flat(position, size):
        raise FrameError(
            f"{where}: dimensions=2 was asked, but z runs from {position[:, 2].min():.4g} to "
            f"{position[:, 2].max():.4g}; read it as 3D."
        )
    return position * [1.0, 1.0, 0.0]


def _gsd_box(cell: np.ndarray, dimensions: int) -> np.ndarray:
    """Upper triangular box vectors in columns -> GSD's six numbers."""
    lx, ly, lz = np.diag(cell)
    with np.errstate(divide="ignore", invalid="ignore"):
        tilts = [cell[0, 1] / ly, cell[0, 2] / lz, cell[1, 2] / lz]
    return np.array([lx, ly, 0.0, tilts[0], 0.0, 0.0] if dimensions == 2 else [lx, ly, lz, *tilts])


#: what writers call masses and sizes
_MASSES = ("mass", "masses")
_RADII = ("radius", "radii")
_DIAMETERS = ("diameter", "diameters")


def _sizes(columns: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """Take masses and sizes out of ``columns``; fields of ``particles`` for :func:`_build`."""
    out = {}
    for field, names, factor in (
        ("mass", _MASSES, 1), ("diameter", _DIAMETERS, 1), ("diameter", _RADII, 2)
    ):  # fmt: skip
        for name in [c for c in columns if c.lower() in names and np.ndim(columns[c]) == 1]:
            with np.errstate(over="ignore"):  # check refuses what becomes infinite
                value = factor * columns.pop(name)
            if np.any(~(value >= 0)) or (field == "mass" and np.any(value == 0)):
                raise FrameError(
                    f"{where}: {name} runs from {value.min():g} to {value.max():g}; expected "
                    "positive numbers."
                )
            if field in out and not np.allclose(out[field], value, rtol=1e-5):
                raise FrameError(f"{where} gives {field} twice, and otherwise; leave one out.")
            out[field] = value
    return out


def _columns_log(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns as log entries; ``velocity`` is left to the caller to take out."""
    columns = dict(columns)
    log: dict[str, np.ndarray] = {}
    for name, parts in _RUMD_VECTORS.items():
        if name in columns:
            log[name] = columns.pop(name)
        elif all(p in columns for p in parts.split()[:2]):
            zero = np.zeros(len(columns[parts.split()[0]]))
            log[name] = np.column_stack([columns.pop(p, zero) for p in parts.split()])
    if "force" in log:
        log["particles/force"] = log.pop("force")
    for name, value in columns.items():
        log["particles/" + {"pe": "energy", "c_pe": "energy"}.get(name, name)] = value
    return log


def _build(
    where: str, *args: object, sizes: dict[str, np.ndarray] | None = None, **kwargs: object
) -> Frame:
    """:func:`glasslib.frames.build` with the place in the file before its message.

    ``sizes`` are further fields of ``particles``: mass, diameter.
    """
    try:
        frame = frames.build(*args, **kwargs)
    except FrameError as error:
        raise FrameError(f"{where}: {str(error).removeprefix('frame: ')}") from None
    for name, value in (sizes or {}).items():
        with np.errstate(over="ignore"):  # check refuses what becomes infinite
            setattr(frame.particles, name, value.astype(np.float32))
    return frame
