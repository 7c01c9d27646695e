"""Rows of particles, as files of text hold them, become frames."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glasslib import snapshots
from glasslib.formats.untrusted import check_whole
from glasslib.geometry import FrameError
from glasslib.snapshots import Frame


def check_once(names: Sequence[str], where: str) -> None:
    """Refuse columns that bear the same name."""
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise FrameError(
            f"{where} names the column {twice[0][:40]!r} twice; expected each once. Rename one."
        )


def sort_by_id(table: np.ndarray, ids: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows in ascending order of their ids, and the ids."""
    whole = check_whole(ids, "id", where)
    order = np.argsort(whole, kind="stable")
    if np.any(np.diff(whole[order]) == 0):
        raise FrameError(f"{where} holds an atom id twice; ids must differ.")
    return table[order], whole[order]


def mark_images(
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
            why = snapshots.OTHER_ROWS
    elif several and (
        any(i is not None for i in ids) or any(not np.array_equal(k, kinds[0]) for k in kinds)
    ):
        why = snapshots.OTHER_ROWS
    if not why and not known and not (several and snapshots.are_joined(made)):
        why = snapshots.WRAPPED
    if not why and crossed and np.ptp(boxes, axis=0).max() > 1e-6 * np.abs(boxes).max():
        why = snapshots.OTHER_BOX
    for frame in made if why else ():
        frame.log[snapshots.IMAGES_UNKNOWN] = np.array([why], np.uint8)
    return made


def name_species(
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
        typeids, types = name_types(np.searchsorted(levels, numbers), path, first=0)
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


def name_types(
    numbers: np.ndarray, path: Path, *, first: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Type numbers that count from ``first`` -> indices, and the letters that name them."""
    if len(numbers) == 0:
        raise FrameError(f"{path} holds no particles; expected at least one.")
    if numbers.min() < first or numbers.max() > 1000:
        raise FrameError(
            f"{path} has particle types from {numbers.min()} to {numbers.max()}; expected {first} "
            "to 1000."
        )
    return numbers - first, _letters(int(numbers.max()) - first + 1)


def is_flat(position: np.ndarray, size: float) -> bool:
    """Whether all z are the same up to rounding: dust, beside a box of this ``size``."""
    z = position[:, 2]
    return bool(np.all(np.isfinite(z)) and np.ptp(z) <= snapshots.DUST * size)


def flatten(position: np.ndarray, size: float, where: str) -> np.ndarray:
    """Positions with z = 0, of a snapshot that is flat (:func:`is_flat`)."""
    if not is_flat(position, size):
        raise FrameError(
            f"{where}: dimensions=2 was asked, but z runs from {position[:, 2].min():.4g} to "
            f"{position[:, 2].max():.4g}; read it as 3D."
        )
    return position * [1.0, 1.0, 0.0]


def gsd_box(cell: np.ndarray, dimensions: int) -> np.ndarray:
    """Upper triangular box vectors in columns -> GSD's six numbers."""
    lx, ly, lz = np.diag(cell)
    with np.errstate(divide="ignore", invalid="ignore"):
        tilts = [cell[0, 1] / ly, cell[0, 2] / lz, cell[1, 2] / lz]
    return np.array([lx, ly, 0.0, tilts[0], 0.0, 0.0] if dimensions == 2 else [lx, ly, lz, *tilts])


#: what writers call masses and sizes
_MASSES = ("mass", "masses")
_RADII = ("radius", "radii")
_DIAMETERS = ("diameter", "diameters")


def take_sizes(columns: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """Take masses and sizes out of ``columns``; fields of ``particles`` for :func:`build_at`."""
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


_RUMD_VECTORS = {"velocity": "vx vy vz", "force": "fx fy fz"}


def log_columns(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
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


def build_at(
    where: str, *args: object, sizes: dict[str, np.ndarray] | None = None, **kwargs: object
) -> Frame:
    """:func:`glasslib.snapshots.build` with the place in the file before its message.

    ``sizes`` are further fields of ``particles``: mass, diameter.
    """
    try:
        frame = snapshots.build(*args, **kwargs)
    except FrameError as error:
        raise FrameError(f"{where}: {str(error).removeprefix('frame: ')}") from None
    for name, value in (sizes or {}).items():
        with np.errstate(over="ignore"):  # check refuses what becomes infinite
            setattr(frame.particles, name, value.astype(np.float32))
    return frame
