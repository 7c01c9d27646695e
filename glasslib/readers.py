"""Readers of formats other than GSD; call them through :func:`glasslib.frames.read`.

Each takes a path and returns frames made by :func:`glasslib.frames.build`: positions wrapped
into a box centred on the origin, box crossings in ``particles.image``. Energies of particles go
to ``log['particles/energy']`` (N,), forces to ``log['particles/force']`` (N, 3), any other
column of numbers to ``log['particles/<its name>']``. Files of isoconfigurational runs give
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
    try:
        root = ElementTree.fromstring(_text(path))
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
    rows = [{keys.get(d.get("key")): d.text for d in nodes[i].iterfind("{*}data")} for i in order]

    def column(name: str, default: float | None = None) -> np.ndarray:
        try:
            return np.array(
                [float(r[name] if default is None else r.get(name, default)) for r in rows]
            )
        except (KeyError, TypeError, ValueError):
            raise FrameError(
                f"{path}: a node lacks a number {name!r}; expected type, x and y on every node."
            ) from None

    z = column("z", 0.0)
    d = 3 if np.any(z) else 2
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
    typeid, types = _numbered(column("type").astype(int), path, first=1)
    return [
        frames.build(
            position - frames.cell_matrix(edges).sum(axis=1) / 2, edges, typeid, types=types,
            dimensions=d, log=log,
            velocity=np.column_stack([column(f"v{a}", 0.0) for a in "xyz"]),
        )
    ]  # fmt: skip


# -------------------------------------------------------------------------------- LAMMPS dumps


def lammps_dump(path: Path, *, dimensions: int | None = None) -> list[Frame]:
    """A LAMMPS text dump (``dump custom`` or ``dump atom``), one frame a snapshot.

    Coordinates may be ``x y z``, scaled ``xs ys zs``, unwrapped ``xu yu zu`` or both ``xsu ysu
    zsu``; ``ix iy iz`` are the images. Atoms are sorted by ``id``. Types 1, 2, … become A, B, ….
    Orthogonal and triclinic boxes, periodic in every direction (in 2D in x and y).

    Parameters
    ----------
    dimensions : {2, 3}, optional
        By default 2 where every z of the file is the same or there is no z, else 3.
    """
    snapshots = list(_snapshots(path))
    if len(snapshots) > 1 and any("id" not in s["columns"] for s in snapshots):
        raise FrameError(
            f"{path.name} holds several snapshots without a column 'id': LAMMPS changes the order "
            "of atoms. Dump the id too."
        )
    names, shift = ("x", "xu"), ("xs", "xsu")
    made = []
    for k, s in enumerate(snapshots):
        where, columns = f"{path.name}[{k}]", s["columns"]
        kind = next((c for c in names + shift if c in columns), None)
        if kind is None or kind.replace("x", "y") not in columns:
            raise FrameError(
                f"{where} has columns {' '.join(columns)}; expected x y z, xs ys zs, xu yu zu or "
                "xsu ysu zsu."
            )
        low, cell = _lammps_cell(s["bounds"], s["flags"], where)
        coordinate = np.zeros((s["n"], 3))
        for i, axis in enumerate("xyz"):
            name = axis + kind[1:]
            if name in columns:
                coordinate[:, i] = s[name]
        if kind in shift:
            coordinate = coordinate @ cell.T + low
        image = None
        if not kind.endswith("u") and {"ix", "iy"} <= set(columns):
            image = np.column_stack([s.get(f"i{a}", np.zeros(s["n"])) for a in "xyz"]).astype(int)
        made.append((s, where, coordinate, low, cell, image))
    if dimensions is None:
        flat = all(np.ptp(x[:, 2]) == 0 and len(x) > 1 for _, _, x, *_ in made)
        dimensions = 2 if flat else 3
    kinds = [s["type"].astype(int) for s, *_ in made]
    typeids, types = _numbered(np.concatenate(kinds), path, first=1)
    typeids = np.split(typeids, np.cumsum([len(t) for t in kinds])[:-1])
    out = []
    for (s, where, x, low, cell, image), typeid in zip(made, typeids, strict=True):
        x = _flat(x, where) if dimensions == 2 else x
        _periodic(s["flags"][:dimensions], where)
        used = {"id", "type", *(a + b for a in "xyz" for b in ("", "s", "u", "su")),
                "ix", "iy", "iz"}  # fmt: skip
        log = _columns_log({c: s[c] for c in s["columns"] if c not in used})
        if s["time"] is not None:
            log["time"] = np.array([s["time"]])
        velocity = log.pop("velocity", None)
        box = _gsd_box(cell, dimensions)
        if image is not None and dimensions == 2:
            image[:, 2] = 0
        centre = low + cell.sum(axis=1) / 2
        frame = _build(
            where, x - np.where(np.arange(3) < dimensions, centre, 0), box, typeid, types=types,
            dimensions=dimensions, velocity=velocity, image=image, log=log,
        )  # fmt: skip
        frame.configuration.step = s["step"]
        out.append(frame)
    return out


def _snapshots(path: Path) -> Iterator[dict]:
    """Snapshots of a dump as dictionaries: n, step, time, bounds, flags, columns, each column."""
    lines = _lines(path)
    at, k = 0, 0
    while at < len(lines):
        s: dict = {"time": None, "step": 0}
        where = f"{path.name}[{k}]"
        while "columns" not in s:
            if at >= len(lines):
                raise FrameError(f"{where} ends within its header; the file is cut short.")
            item = lines[at]
            body = lines[at + 1 : at + 4]
            try:
                if item.startswith("ITEM: TIMESTEP"):
                    s["step"], at = int(body[0]), at + 2
                elif item.startswith("ITEM: TIME"):
                    s["time"], at = float(body[0]), at + 2
                elif item.startswith("ITEM: UNITS"):
                    at += 2
                elif item.startswith("ITEM: NUMBER OF ATOMS"):
                    s["n"], at = int(body[0]), at + 2
                elif item.startswith("ITEM: BOX BOUNDS"):
                    if "abc" in item:
                        raise FrameError(
                            f"{where} has a general triclinic box (abc origin); dump it without "
                            "triclinic/general."
                        )
                    words = item.split()[3:]
                    s["flags"] = [w for w in words if w not in ("xy", "xz", "yz")] or ["pp"] * 3
                    s["bounds"] = np.array([[float(v) for v in b.split()] for b in body])
                    if s["bounds"].shape not in ((3, 2), (3, 3)):
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
        if "type" not in s["columns"]:
            raise FrameError(
                f"{where} has columns {' '.join(s['columns'])}; expected one called type."
            )
        table = _table(lines[at : at + s["n"]], s["n"], len(s["columns"]), where)
        s.update({c: _numbers(table[:, i], c, where) for i, c in enumerate(s["columns"])
                  if c not in ("element", "typelabel", "mol")})  # fmt: skip
        s["columns"] = [c for c in s["columns"] if c in s]
        at += s["n"]
        if "id" in s:
            order = np.argsort(s["id"], kind="stable")
            if np.any(np.diff(s["id"][order]) == 0):
                raise FrameError(f"{where} holds an atom id twice; ids must differ.")
            s.update({c: s[c][order] for c in s["columns"]})
        yield s
        k += 1


def _lammps_cell(
    bounds: np.ndarray, flags: Iterable[str], where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Corner (3,) and (3, 3) matrix of box vectors in columns; bounds enclose tilted boxes."""
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    lx, ly, lz = high - low
    return low, np.array([[lx, xy, xz], [0, ly, yz], [0, 0, lz]])


def _periodic(flags: Iterable[str], where: str) -> None:
    if any(f != "pp" for f in flags):
        raise FrameError(
            f"{where} has boundaries {' '.join(flags)}; expected pp: every box here is periodic."
        )


# ------------------------------------------------------------------------------------------ XYZ

_RUMD_VECTORS = {"velocity": "vx vy vz", "force": "fx fy fz"}
#: what extended XYZ writers call positions, species, velocities, …
_XYZ_NAMES = {
    "pos": "position", "position": "position", "positions": "position",
    "species": "type", "type": "type", "element": "type",
    "velo": "velocity", "vel": "velocity", "velocity": "velocity", "velocities": "velocity",
    "force": "force", "forces": "force",
    "energy": "energy", "energies": "energy", "local_energy": "energy",
}  # fmt: skip


def xyz(
    path: Path, *, box: float | np.ndarray | None = None, dimensions: int | None = None
) -> list[Frame]:
    """An XYZ file, one frame a snapshot: extended (``Lattice``, ``Properties``), RUMD or plain.

    In extended XYZ the box spans from ``Origin`` (0 by default) along the vectors of ``Lattice``.
    RUMD's comment line holds ``ioformat``, ``boxLengths`` or ``sim_box`` and ``columns``; its box
    is centred on the origin and types count from 0. Names of species are kept; numbers become
    A, B, … in ascending order.

    Parameters
    ----------
    box : float or array, optional
        For plain files, which hold none: edges of a box that begins at the origin, σ_AA.
    dimensions : {2, 3}, optional
        By default 2 where every z of the file is the same, else 3.
    """
    snapshots = list(_xyz_snapshots(path, box))
    if dimensions is None:
        flat = all(np.ptp(s["position"][:, 2]) == 0 and s["n"] > 1 for s in snapshots)
        dimensions = 2 if flat else 3
    labels = np.concatenate([s["type"] for s in snapshots])
    if all(re.fullmatch(r"\d+", t) for t in set(labels)):
        numbers = labels.astype(int)
        counted = max((s["n_types"] for s in snapshots), default=0)
        levels = np.arange(counted) if counted else np.unique(numbers)
        if not np.isin(numbers, levels).all():
            raise FrameError(f"{path}: a type is not below numTypes={counted}; types count from 0.")
        typeids, types = _numbered(np.searchsorted(levels, numbers), path, first=0)
        types = _letters(max(len(levels), len(types)))
    else:
        types, typeids = np.unique(labels, return_inverse=True)
        types = tuple(map(str, types))
    out, at = [], 0
    for k, s in enumerate(snapshots):
        where = f"{path.name}[{k}]"
        x, centre = s["position"], s["centre"]
        if dimensions == 2:
            x, centre = _flat(x, where), centre * [1, 1, 0]
            if s["image"] is not None:
                s["image"][:, 2] = 0
        frame = _build(
            where, x - centre, _gsd_box(s["cell"], dimensions), typeids[at : at + s["n"]],
            types=types, dimensions=dimensions, velocity=s["log"].pop("velocity", None),
            image=s["image"], log=s["log"],
        )  # fmt: skip
        frame.configuration.step = s["step"]
        at += s["n"]
        out.append(frame)
    return out


def _xyz_snapshots(path: Path, box: float | np.ndarray | None) -> Iterator[dict]:
    lines = _lines(path)
    at, k = 0, 0
    while at < len(lines):
        where = f"{path.name}[{k}]"
        if k and not any(line.strip() for line in lines[at:]):
            return  # blank lines at the end
        try:
            n = int(lines[at])
            if n < 1:
                raise ValueError
        except ValueError:
            raise FrameError(
                f"{where}: line {at + 1} of {path.name} is {lines[at][:40]!r}; expected the number "
                "of particles. The file is damaged or not XYZ."
            ) from None
        if at + 1 >= len(lines):
            raise FrameError(f"{where} ends within its header; the file is cut short.")
        comment = {
            key: (quoted or bare)
            for key, quoted, bare in re.findall(r'([\w-]+)=(?:"([^"]*)"|(\S*))', lines[at + 1])
        }
        columns = _xyz_columns(comment, where)
        width = max(last for _, last in columns.values())
        table = _table(lines[at + 2 : at + 2 + n], n, width, where)
        yield {"n": n, **_xyz_frame(comment, columns, table, box, where)}
        at += 2 + n
        k += 1


def _xyz_columns(comment: dict[str, str], where: str) -> dict[str, tuple[int, int]]:
    """Our name of each column -> (first, after last) of the table."""
    if "columns" in comment:  # RUMD
        names = comment["columns"].split(",")
        return {c: (i, i + 1) for i, c in enumerate(names)}
    fields = comment.get("Properties", "species:S:1:pos:R:3").split(":")
    columns, at = {}, 0
    try:
        for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
            known = _XYZ_NAMES.get(name.lower(), name)
            if kind.upper() in "RI" or known == "type":  # strings and flags are no numbers
                columns[known] = (at, at + int(width))
            at += int(width)
    except ValueError:
        raise FrameError(
            f"{where}: Properties is {':'.join(fields)!r}; expected name:kind:width, repeated."
        ) from None
    return columns


def _xyz_frame(
    comment: dict[str, str],
    columns: dict[str, tuple[int, int]],
    table: np.ndarray,
    box: float | np.ndarray | None,
    where: str,
) -> dict:
    rumd = "columns" in comment
    values = {
        name: _numbers(table[:, a:b], name, where)
        for name, (a, b) in columns.items()
        if name != "type"
    }
    values = {k: v[:, 0] if v.shape[1] == 1 else v for k, v in values.items()}
    image = None
    if rumd:
        if {"x", "y", "z"} <= set(values):
            values["position"] = np.column_stack([values.pop(a) for a in "xyz"])
        if {"imx", "imy", "imz"} <= set(values):
            image = np.column_stack([values.pop(f"im{a}") for a in "xyz"]).astype(int)
    if (
        "position" not in values
        or np.shape(values["position"])[1:] != (3,)
        or "type" not in columns
    ):
        raise FrameError(f"{where} has columns {', '.join(columns)}; expected a type and x, y, z.")
    position = values.pop("position")
    cell, centre = _xyz_cell(comment, box, where)
    log = _columns_log(values)
    for key in ("Time", "time"):
        if key in comment:
            log["time"] = _numbers(np.array([comment[key]]), key, where)
    step = next((comment[c] for c in ("Timestep", "timeStepIndex", "step") if c in comment), "0")
    return {
        "position": position, "image": image, "log": log, "cell": cell, "centre": centre,
        "type": table[:, columns["type"][0]], "step": int(step) if step.isdecimal() else 0,
        "n_types": int(comment.get("numTypes", 0)) if rumd else 0,
    }  # fmt: skip


def _xyz_cell(
    comment: dict[str, str], box: float | np.ndarray | None, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) matrix of box vectors in columns, and the centre of the box (3,)."""
    held = next((c for c in ("Lattice", "boxLengths", "sim_box") if c in comment), None)
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
    words = re.split(r"[,\s]+", comment[held].strip())
    if held == "sim_box":
        if words[0] != "RectangularSimulationBox":
            raise FrameError(f"{where} has sim_box {words[0]}; expected RectangularSimulationBox.")
        words = words[1:]
    numbers = _numbers(np.array(words), held, where)
    if len(numbers) != (9 if held == "Lattice" else 3):
        raise FrameError(f"{where}: {held} has {len(numbers)} numbers; expected 9 (3 for RUMD).")
    if held != "Lattice":
        return np.diag(numbers), np.zeros(3)
    cell = numbers.reshape(3, 3).T
    if np.any(np.abs(np.tril(cell, -1)) > 1e-9 * np.abs(cell).max()):
        raise FrameError(
            f"{where}: Lattice is {comment[held]!r}; expected the first vector along x and the "
            "second in the xy plane. Rotate the frame."
        )
    origin = _numbers(np.array(comment.get("Origin", "0 0 0").split()), "Origin", where)
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
        reason = " ".join(str(error).split()) or type(error).__name__
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
        reason = " ".join(str(error).split()) or type(error).__name__
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
    if d == 3 and width < 5 or d == 2 and width not in (4, 5):
        raise wrong(*body[0], "a letter, x, y, z and a radius" if d == 3 else "a letter, x, y, r")
    for number, row in body:
        if len(row) != width or not row[0].isalpha() or len(row[0]) != 1:
            raise wrong(number, row, f"a letter and {width - 1} numbers")
    if box[0] == "ball":
        return at + 2 + n, (None, where)
    try:
        edges = np.array(box[:d], dtype=float)
    except ValueError:
        edges = np.array([])
    if edges.shape != (d,) or not np.all(np.isfinite(edges)) or np.any(edges <= 0):
        raise wrong(where, box, f"{d} positive box edges")
    try:
        values = np.array([row[1:] for _, row in body], dtype=float)
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
        return bool(np.all(np.isfinite(np.array(words, dtype=float))))
    except ValueError:
        return False


# ------------------------------------------------------------------------------------- internals


def _text(path: Path) -> str:
    """The text of a file, unpacked where its name ends in .gz."""
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix.lower() == ".gz" else data).decode()
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
    return text.splitlines()


def _table(lines: list[str], n: int, width: int, where: str) -> np.ndarray:
    """(n, width) array of words, or an error that says which line is short."""
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
    return np.array([row[:width] for row in rows])


def _numbers(words: np.ndarray, name: str, where: str) -> np.ndarray:
    try:
        return words.astype(np.float64)
    except ValueError as error:
        raise FrameError(f"{where}: {name} is not a number ({error}).") from None


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


def _flat(position: np.ndarray, where: str) -> np.ndarray:
    if np.ptp(position[:, 2]) > 0:
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


def _build(where: str, *args: object, **kwargs: object) -> Frame:
    """:func:`glasslib.frames.build` with the place in the file before its message."""
    try:
        return frames.build(*args, **kwargs)
    except FrameError as error:
        raise FrameError(f"{where}: {str(error).removeprefix('frame: ')}") from None
