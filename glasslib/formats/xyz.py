"""XYZ in its dialects: extended, RUMD, atooms and partycls, plain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from glasslib import snapshots
from glasslib.formats.rows import (
    build_at,
    check_once,
    flatten,
    gsd_box,
    is_flat,
    log_columns,
    mark_images,
    name_species,
    sort_by_id,
    take_sizes,
)
from glasslib.formats.untrusted import (
    are_numbers,
    list_few,
    parse_count,
    parse_numbers,
    parse_step,
    read_lines,
    split_rows,
)
from glasslib.geometry import FrameError, deep_cell
from glasslib.snapshots import Frame

#: what writers of XYZ call positions, species, velocities, …
_NAMES = {
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


def read(
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
        without it :func:`glasslib.snapshots.unwrapped` refuses the frames.
    """
    snapshots = list(_snapshots(path, box))
    if dimensions is None:
        flat = all(
            s["flat"] or (s["n"] > 1 and is_flat(s["position"], np.abs(s["cell"][:2, :2]).max()))
            for s in snapshots
        )
        dimensions = 2 if flat else 3
    if dimensions not in (2, 3):
        raise FrameError(f"{path.name}: dimensions is {dimensions!r}; expected 2 or 3.")
    labels = [s["type"] for s in snapshots]
    counted = max(s["n_types"] for s in snapshots) if snapshots else 0
    typeids, types = name_species(labels, path, counted=counted) if labels else ([], ())
    out = []
    for s, typeid in zip(snapshots, typeids, strict=True):
        where, x, centre, image = s["where"], s["position"], s["centre"], s["image"]
        if dimensions == 3 and s["flat"]:
            raise FrameError(f"{where} has no z; expected one in 3D. Read it with dimensions=2.")
        if dimensions == 2:
            x, centre = flatten(x, np.abs(s["cell"][:2, :2]).max(), where), centre * [1, 1, 0]
            image = None if image is None else image * [1, 1, 0]
        if s["periodic"] is not None and not all(s["periodic"][:dimensions]):
            raise FrameError(
                f"{where} has open boundaries (pbc {' '.join(map(str, s['periodic']))}); expected "
                "periodic ones: every box here is periodic. Put the system into a periodic box."
            )
        frame = build_at(
            where, x - centre, gsd_box(s["cell"], dimensions), typeid, types=types,
            dimensions=dimensions, velocity=s["log"].pop("velocity", None), image=image,
            log=s["log"], sizes=s["sizes"] | _header_masses(s, labels),
        )  # fmt: skip
        frame.configuration.step = s["step"]
        out.append(frame)
    told = continuous or all(s["image"] is not None or s["unfolded"] for s in snapshots)
    return mark_images(
        out, [s["ids"] for s in snapshots], labels,
        known=told or any(_far_outside(f, s) for f, s in zip(out, snapshots)),
        crossed=any(s["image"] is not None and np.any(s["image"]) for s in snapshots),
    )  # fmt: skip


def _far_outside(frame: Frame, s: dict) -> bool:
    """Whether a position lies more than half an edge outside the box."""
    cell = deep_cell(frame.configuration.box)
    fraction = (s["position"] - s["centre"]) @ np.linalg.inv(cell).T
    return bool(np.any(np.abs(fraction[:, : snapshots.dimensions(frame)]) > 1))


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
            f"{s['where']}: mass is {list_few(masses)}; expected {len(names)} positive numbers, "
            "one a species."
        )
    return {"mass": masses[[names.index(t) for t in s["type"]]]}


def _snapshots(path: Path, box: float | np.ndarray | None) -> Iterator[dict]:
    lines = read_lines(path)
    at, k = 0, 0
    while at < len(lines):
        where = f"{path.name}[{k}]"
        if k and not any(line.strip() for line in lines[at:]):
            return  # blank lines at the end
        try:
            n = parse_count(lines[at], f"line {at + 1} of {path.name}", where)
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
        table = split_rows(body, n, width, where)
        yield {"n": n, "where": where, **_frame(header, columns, table, box)}
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
            check_once(names, self.where)
            return {c: (i, i + 1) for i, c in enumerate(names)}, len(names)
        names = [name.removeprefix("particle.") for name in names]
        names = [name for name in names if not re.fullmatch(r"\w+\[[1-9]\]", name)]
        names = [name.removesuffix("[0]") for name in names]
        if not any(_NAMES.get(name.lower()) == "type" for name in names):
            names = ["type" if name == "id" else name for name in names]
        cell = (self.get("cell") or "1,1,1").split(",")
        ndim = self.get("ndim")
        d = 2 if ndim == "2" or (ndim is None and len(cell) == 2) else 3
        columns, at, numbers = {}, 0, []
        for name in names:
            known = _NAMES.get(name.lower(), name)
            width = d if known in _VECTORS else 1
            if known.rstrip("*") == "neighbors" and name == names[-1]:
                self.rest = True
                break
            if known == "type" or not row or are_numbers(row[at : at + width]):
                columns[known] = (at, at + width)
            numbers.append(known)
            at += width
        check_once(numbers, self.where)
        return columns, at

    def _extended(self) -> tuple[dict[str, tuple[int, int]], int]:
        fields = self.says.get("Properties", "species:S:1:pos:R:3").split(":")
        columns, at, names = {}, 0, []
        try:
            for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
                if not re.fullmatch(r"[1-9][0-9]{0,3}", width):
                    raise ValueError
                known = _NAMES.get(name.lower(), name)
                names.append(known)
                if kind.upper() in "RI" or known == "type":  # strings and flags are no numbers
                    columns[known] = (at, at + int(width))
                at += int(width)
        except ValueError:
            raise FrameError(
                f"{self.where}: Properties is {':'.join(fields)[:200]!r}; expected "
                "name:kind:width, repeated."
            ) from None
        check_once(names, self.where)
        return columns, at

    def numbers(self, key: str, *, most: int = 1000) -> np.ndarray | None:
        """The numbers that a key holds, separated by commas or blanks."""
        value = self.get(key)
        if value is None:
            return None
        words = np.array(re.split(r"[,\s]+", value.strip().strip("[]"))[: most + 1])
        return parse_numbers(words, key, self.where)

    def time(self) -> dict[str, np.ndarray]:
        """Log entries of the time, and of its unit where it has one."""
        value = self.get("time")
        if value is None:
            return {}
        found = re.fullmatch(r"\s*([-+.\deE]+)\s*([^\d\s].*)?", value)
        if not found:
            raise FrameError(f"{self.where}: Time is {value[:40]!r}; expected a number.")
        log = {"time": parse_numbers(np.array([found[1]]), "Time", self.where)}
        if found[2]:
            log["time_unit"] = np.frombuffer(found[2].strip().encode(), np.uint8)
        return log

    def step(self) -> int:
        value = self.get("timestep", "timeStepIndex", "step")
        return 0 if value is None else parse_step(value, self.where)

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


def _frame(
    header: _Header,
    columns: dict[str, tuple[int, int]],
    table: np.ndarray,
    box: float | np.ndarray | None,
) -> dict:
    where = header.where

    def parse(rows: np.ndarray) -> dict[str, np.ndarray]:
        held = {
            n: parse_numbers(rows[:, a:b], n, where) for n, (a, b) in columns.items() if n != "type"
        }
        return {k: v[:, 0] if v.shape[1] == 1 else v for k, v in held.items()}

    values, ids = parse(table), None
    if "id" in values:
        if np.ndim(values["id"]) != 1:
            raise FrameError(f"{where}: id has several columns; expected one.")
        table, ids = sort_by_id(table, values["id"], where)
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
    vectors = {k: snapshots.pad(v) for k, v in values.items() if k in _VECTORS}
    values |= vectors
    position = values.pop("position")
    cell, centre = _cell(header, box, flat)
    sizes = take_sizes(values, where)
    log = log_columns(values)
    return {
        "position": position, "image": image, "log": log | header.time(), "cell": cell,
        "centre": centre, "type": table[:, columns["type"][0]], "step": header.step(),
        "n_types": header.n_types(), "ids": ids, "flat": flat, "unfolded": unfolded,
        "periodic": header.periodic(), "sizes": sizes,
        "masses": None if header.dialect == "extended" else header.numbers("mass"),
    }  # fmt: skip


def _cell(
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
    numbers = parse_numbers(words, held, where)
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
