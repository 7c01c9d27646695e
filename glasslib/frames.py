"""Snapshots: read, check and write.

``gsd.hoomd.Frame`` is the snapshot type everywhere. A two-dimensional frame has
``configuration.box[2] == 0`` and z = 0. Positions are wrapped into the box, which is centred on
the origin; ``particles.image`` counts box crossings, so :func:`unwrapped` gives continuous
trajectories. Labels ride on the frame they belong to in ``frame.log``: keys that begin with
``particles/`` have one row a particle.

:func:`read` takes GSD and the formats of :mod:`glasslib.readers`; :func:`write` writes GSD.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gsd.hoomd
import numpy as np

from glasslib import writing

Frame = gsd.hoomd.Frame


class FrameError(ValueError):
    """A file or frame that cannot be used; the message says what came and what to do."""


# --------------------------------------------------------------------------- build and inspect


def build(
    position: np.ndarray,
    box: np.ndarray | float,
    typeid: np.ndarray,
    *,
    types: Iterable[str] = ("A", "B"),
    dimensions: int = 3,
    velocity: np.ndarray | None = None,
    image: np.ndarray | None = None,
    log: dict | None = None,
) -> Frame:
    """A frame from arrays; positions may lie outside the box and are wrapped.

    Parameters
    ----------
    position : (N, 2) or (N, 3) array, σ_AA
        Any positions; box crossings go to ``particles.image``.
    box : float or (2,), (3,) or (6,) array, σ_AA
        Edge, edges, or GSD's ``[Lx, Ly, Lz, xy, xz, yz]``; the box is centred on the origin.
    typeid : (N,) int array
        Index into ``types``.
    dimensions : {2, 3}
    velocity : (N, 2) or (N, 3) array, optional
    image : (N, 3) int array, optional
        Crossings to add to those found by wrapping.

    Returns
    -------
    gsd.hoomd.Frame
        float32 positions and velocities, as GSD stores them.

    Raises
    ------
    FrameError
        Where shapes do not fit together or :func:`check` finds fault.
    """
    position = np.asarray(position, dtype=np.float64)
    if position.ndim != 2 or position.shape[1] not in (2, 3):
        raise FrameError(
            f"position has shape {position.shape}; expected (N, 3), or (N, 2) for a 2D system."
        )
    if dimensions not in (2, 3):
        raise FrameError(f"dimensions is {dimensions!r}; expected 2 or 3.")
    n = len(position)
    xyz, full = _padded(position), _full_box(box, dimensions)
    _check_finite(xyz, "position", "frame")
    kind = np.asarray(typeid)
    if kind.shape != (n,) or (n and kind.min() < 0):
        raise FrameError(
            f"typeid has shape {kind.shape} and minimum {kind.min() if kind.size else 'none'}; "
            f"expected ({n},) indices from 0, one a particle."
        )
    frame = Frame()
    frame.particles.N = n
    frame.particles.types = list(types)
    frame.particles.typeid = kind.astype(np.uint32)
    frame.configuration.box = full
    frame.configuration.dimensions = dimensions
    frame.configuration.step = 0
    wrapped, crossings = _wrap(xyz, full)
    frame.particles.position = wrapped.astype(np.float32)
    frame.particles.image = crossings
    if image is not None:
        _check_shape(image, (n, 3), "image")
        frame.particles.image = crossings + np.asarray(image, dtype=np.int32)
    if velocity is not None:
        velocity = np.asarray(velocity)
        _check_shape(
            velocity, (n, velocity.shape[-1] if velocity.shape[-1:] == (2,) else 3), "velocity"
        )
        frame.particles.velocity = _padded(velocity).astype(np.float32)
    frame.log = dict(log or {})
    return check(frame)


def _padded(vectors: np.ndarray) -> np.ndarray:
    """(N, 2) or (N, 3) -> (N, 3) with z = 0 where it was missing."""
    out = np.zeros((len(vectors), 3))
    out[:, : vectors.shape[1]] = vectors
    return out


def _full_box(box: np.ndarray | float, dimensions: int) -> np.ndarray:
    """Edge, edges or six numbers -> GSD's six, float32."""
    edges = np.atleast_1d(np.asarray(box, dtype=np.float64))
    full = np.zeros(6)
    if edges.shape == (1,):
        full[:dimensions] = edges[0]
    elif edges.shape in ((2,), (3,), (6,)) and len(edges) >= dimensions:
        full[: len(edges)] = edges
    else:
        raise FrameError(
            f"box has shape {edges.shape}; expected 1, {dimensions} or 6 numbers in {dimensions}D."
        )
    if dimensions == 2:
        full[[2, 4, 5]] = 0.0
    elif full[2] == 0:
        raise FrameError(f"box is {_list(full)}; expected Lz > 0, or dimensions=2.")
    full = full.astype(np.float32)
    _check_box(full, "frame")
    return full


def _check_shape(array: np.ndarray, shape: tuple[int, ...], name: str) -> None:
    if np.shape(array) != shape:
        raise FrameError(f"{name} has shape {np.shape(array)}; expected {shape}.")


def _check_finite(array: np.ndarray, name: str, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise FrameError(
            f"{where}: {name} of particle {bad[0]} is {_list(array[bad[0]])}; expected finite "
            "numbers. The run that made it has probably blown up: lower dt."
        )


def _check_box(box: np.ndarray, where: str) -> None:
    if np.shape(box) != (6,):
        raise FrameError(f"{where}: box has shape {np.shape(box)}; expected (6,).")
    if not np.all(np.isfinite(box)) or np.any(box[:2] <= 0) or box[2] < 0:
        raise FrameError(
            f"{where}: box is {_list(box)}; expected positive finite edges (Lz = 0 in 2D)."
        )


def _list(values: np.ndarray) -> str:
    """Numbers on one line, whatever numpy's print options."""
    return "[" + ", ".join(f"{v:.6g}" for v in np.ravel(values)) + "]"


def _wrap(xyz: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions inside the (possibly tilted) box, and the images they came from."""
    cell = cell_matrix(box)
    if box[2] == 0:
        cell = cell.copy()
        cell[2, 2] = 1.0
    fractional = xyz @ np.linalg.inv(cell).T
    crossings = np.floor(fractional + 0.5).astype(np.int32)
    if box[2] == 0:
        crossings[:, 2] = 0
    return xyz - crossings @ cell.T, crossings


def cell_matrix(box: np.ndarray) -> np.ndarray:
    """GSD box ``[Lx, Ly, Lz, xy, xz, yz]`` -> (3, 3) matrix whose columns are the box vectors."""
    lx, ly, lz, xy, xz, yz = np.asarray(box, dtype=np.float64)
    return np.array([[lx, xy * ly, xz * lz], [0, ly, yz * lz], [0, 0, lz]])


def dimensions(frame: Frame) -> int:
    """2 where the box has no depth, else 3."""
    return 2 if frame.configuration.box[2] == 0 else 3


def volume(frame: Frame) -> float:
    """Volume (area in 2D) of the box, σ_AA^d."""
    return float(np.prod(frame.configuration.box[: dimensions(frame)], dtype=np.float64))


def unwrapped(frame: Frame) -> np.ndarray:
    """(N, 3) float64 positions with box crossings undone, σ_AA."""
    x = np.asarray(frame.particles.position, dtype=np.float64)
    if frame.particles.image is None:
        return x
    return x + frame.particles.image @ cell_matrix(frame.configuration.box).T


def wrapped(frame: Frame) -> Frame:
    """The frame with every particle inside the box; :func:`unwrapped` of it is the same.

    Particles inside already keep their coordinates to the last bit.
    """
    x = np.asarray(frame.particles.position, dtype=np.float64)
    inside, crossings = _wrap(x, frame.configuration.box)
    out = crossings.any(axis=1)
    if not out.any():
        return frame
    new = copy(frame)
    new.particles.position[out] = inside[out].astype(np.float32)
    image = np.zeros_like(crossings) if new.particles.image is None else new.particles.image
    new.particles.image = image + crossings
    return new


def heights(box: np.ndarray) -> np.ndarray:
    """Distances between opposite faces (sides in 2D) of a box, σ_AA -> (3,) or (2,).

    The edges where the box is not tilted; half the least of them is the farthest that a
    minimum image may reach.
    """
    cell = cell_matrix(box)
    if box[2] == 0:
        cell = cell[:2, :2]
    return 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=1)


def copy(frame: Frame, *, log: dict | None = None) -> Frame:
    """An independent copy; ``log`` replaces the labels when given."""
    new = Frame()
    p, q = frame.particles, new.particles
    q.N, q.types = p.N, list(p.types)
    for name in ("typeid", "position", "image", "velocity", "mass", "diameter"):
        value = getattr(p, name)
        if value is not None:
            setattr(q, name, np.array(value))
    new.configuration.box = np.array(frame.configuration.box)
    new.configuration.dimensions = dimensions(frame)
    new.configuration.step = frame.configuration.step
    new.log = dict(frame.log if log is None else log)
    return new


def subset(frame: Frame, keep: np.ndarray) -> Frame:
    """The particles of ``frame`` where ``keep`` is True (or at these indices), with their labels.

    Parameters
    ----------
    keep : (N,) bool or (n,) int array
    """
    n = frame.particles.N
    chosen = np.arange(n)[np.asarray(keep)]
    new = copy(frame)
    p = new.particles
    p.N = len(chosen)
    for name in ("typeid", "position", "image", "velocity", "mass", "diameter"):
        value = getattr(p, name)
        if value is not None:
            setattr(p, name, value[chosen])
    for key, value in new.log.items():
        if key.startswith("particles/"):
            new.log[key] = np.asarray(value)[chosen]
    return new


def check(frame: Frame, *, system: object | None = None, where: str = "frame") -> Frame:
    """Return ``frame`` if it can be simulated or analysed, else raise :class:`FrameError`.

    Checks shapes, finiteness, box, type indices; with a ``system`` also the dimension, the
    species and that the box holds twice the cut-off.
    """
    p, box = frame.particles, frame.configuration.box
    if p.position is None or len(p.position) == 0:
        raise FrameError(f"{where} holds no particles; expected at least one.")
    n = len(p.position)
    if np.shape(p.position) != (n, 3):
        raise FrameError(
            f"{where}: position has shape {np.shape(p.position)}; expected ({n}, 3). "
            "Pad 2D systems with z = 0."
        )
    if n != p.N:
        raise FrameError(
            f"{where}: particles.N is {p.N}, but position has {n} rows; set N to the number of "
            "particles."
        )
    if box is None:
        raise FrameError(f"{where} has no box; set configuration.box = [Lx, Ly, Lz, xy, xz, yz].")
    box = np.asarray(box)
    _check_box(box, where)
    for name in ("position", "velocity", "image"):
        value = getattr(p, name)
        if value is None:
            continue
        if np.shape(value) != (n, 3):
            raise FrameError(f"{where}: {name} has shape {np.shape(value)}; expected ({n}, 3).")
        _check_finite(np.asarray(value), name, where)
    if p.typeid is None:
        raise FrameError(f"{where}: typeid is None; give each of the {n} particles a type index.")
    typeid = np.asarray(p.typeid)
    if typeid.shape != (n,):
        raise FrameError(f"{where}: typeid has shape {typeid.shape}; expected ({n},).")
    types = list(p.types or ["A"])
    if not np.issubdtype(typeid.dtype, np.integer):
        raise FrameError(f"{where}: typeid has type {typeid.dtype}; expected whole numbers.")
    if len(bad := typeid[(typeid < 0) | (typeid >= len(types))]):
        raise FrameError(
            f"{where}: a particle has type index {bad.max()}, but there are only "
            f"{len(types)} types ({', '.join(types)}), from 0."
        )
    if dimensions(frame) == 2 and np.any(p.position[:, 2] != 0):
        raise FrameError(
            f"{where}: the box is two-dimensional but some z are not 0; set z = 0 or give Lz."
        )
    if system is not None:
        if dimensions(frame) != system.dimensions:
            raise FrameError(
                f"{where} is {dimensions(frame)}D; system {system.name!r} is "
                f"{system.dimensions}D. Set box[2] = 0 for 2D, a positive Lz for 3D."
            )
        unknown = sorted({types[i] for i in np.unique(typeid)} - set(system.types))
        if unknown:
            raise FrameError(
                f"{where} has particles of type {', '.join(unknown)}; system "
                f"{system.name!r} knows {', '.join(system.types)}. Rename the types."
            )
        if p.mass is not None and np.any(np.asarray(p.mass) != 1):
            raise FrameError(
                f"{where}: masses are {_list(np.unique(p.mass))}; the systems of this book have "
                "mass 1 throughout. Set particles.mass to None."
            )
        if system.hard and p.diameter is not None and np.any(np.asarray(p.diameter) != 1):
            own = np.array([system.diameters[types[i]] for i in typeid])
            if (worst := np.abs(np.asarray(p.diameter) - own).max()) > 1e-4:
                raise FrameError(
                    f"{where}: diameters differ by up to {worst:.3g} from those of system "
                    f"{system.name!r} ({system.diameters}). Rescale the frame, or change the "
                    "system with system.with_(diameters=...)."
                )
        small = float(heights(box).min())
        if small < 2 * system.r_cut:
            raise FrameError(
                f"{where}: the box is {small:.4g} wide where it is narrowest, less than twice the "
                f"cut-off {system.r_cut:.4g}; use more particles or a smaller cut-off."
            )
    return frame


# --------------------------------------------------------------------------------- read and write


def read_all(folder: str | os.PathLike, pattern: str) -> dict[str, Frame]:
    """The frames of all files in ``folder`` that match ``pattern`` (as ``"run-*.gsd"``), by name.

    Names are those of the files without their ending, ``run-2`` before ``run-10``; the dict is
    empty where nothing matches, so that a page can show what there is. By its name a liquid finds
    the ensemble that started from it, whichever of either is missing.

    Raises
    ------
    FrameError
        For a file of several frames.
    """
    found = {}
    for path in sorted(Path(folder).glob(pattern), key=lambda path: (len(path.name), path.name)):
        several = read(path)
        if len(several) != 1:
            raise FrameError(f"{path} holds {len(several)} frames; expected one. Call read.")
        found[path.stem] = several[0]
    return found


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it there on success.

    Nothing half-written is ever found under the final name, whatever kills the process; what
    processes killed before have left half-written is removed.
    """
    path = Path(path)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writing.sweep(path)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.{writing.mark()}.", suffix=path.suffix, dir=path.parent
        )
    os.close(handle)
    temporary = Path(name)
    try:
        with _writing(path, only=writing.FULL):
            yield temporary
        with _writing(path):
            temporary.chmod(0o644)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path, only: set[int] | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if only is not None and error.errno not in only:
            raise
        raise FrameError(f"cannot write {path}: {writing.explain(error)}") from error


def check_writable(path: str | os.PathLike) -> None:
    """Refuse a path that could not be written, before hours of work go into what it shall hold."""
    path = Path(path)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def write(path: str | os.PathLike, frames: Frame | Iterable[Frame]) -> Path:
    """Write one frame or many to a GSD file, atomically; returns the path.

    Frames that all have the same ``configuration.step`` are numbered 0, 1, ….

    Raises
    ------
    FrameError
        Where the file cannot be written, or a frame lacks a log entry that the first one has.
    """
    frames = [frames] if isinstance(frames, Frame) else list(frames)
    if not frames:
        raise FrameError(f"nothing to write to {path}: the list of frames is empty.")
    with atomic(path) as temporary, gsd.hoomd.open(temporary, "w") as file:
        file.extend(_like_the_first(frames, path))
    return Path(path)


#: GSD gives an (n, 1) array back as (n,); an entry of this name says which are meant as columns
COLUMN = "column/"


def _like_the_first(frames: list[Frame], path: str | os.PathLike) -> Iterator[Frame]:
    """The frames, such that reading gives them back.

    GSD takes from the first frame whatever a later one does not hold, labels and velocities
    too, and drops last frames that hold nothing new.
    """

    def is_column(value: np.ndarray) -> bool:
        return np.shape(value)[1:] == (1,)

    first = frames[0]
    columns = {key for f in frames for key, value in f.log.items() if is_column(value)}
    number = len({f.configuration.step or 0 for f in frames}) == 1
    for k, frame in enumerate(frames):
        lacking = sorted(set(first.log) - set(frame.log))
        if lacking:
            raise FrameError(
                f"cannot write {path}: frame {k} lacks log entries that frame 0 has "
                f"({', '.join(lacking)}), and would be read with those. Give every frame the same "
                "entries or write two files."
            )
        if k and number:
            frame = copy(frame)
            frame.configuration.step = k
        for name, kind in (("velocity", np.float32), ("image", np.int32)):
            if (
                getattr(first.particles, name) is not None
                and getattr(frame.particles, name) is None
            ):
                frame = copy(frame)
                setattr(frame.particles, name, np.zeros((frame.particles.N, 3), kind))
        marks = {
            f"{COLUMN}{k}": np.array([int(is_column(frame.log[k]))])
            for k in columns & set(frame.log)
        }
        yield copy(frame, log=frame.log | marks) if marks else frame


def read(path: str | os.PathLike, **options: object) -> list[Frame]:
    """All frames of a file, checked, with particles inside the box.

    The suffix tells the format; a further ``.gz`` is unpacked.

    ============================== ================================================= ===========
    suffix                         format                                            options
    ============================== ================================================= ===========
    ``.gsd``                       GSD, HOOMD schema
    ``.gml``, ``.graphml``         :func:`glasslib.readers.graphml` (ML-DOS)         box, density
    ``.lammpstrj``, ``.dump``      :func:`glasslib.readers.lammps_dump`              dimensions
    ``.xyz``                       :func:`glasslib.readers.xyz` (extended, RUMD)     box, dimensions
    ``.sph``, ``.dsk``             :func:`glasslib.readers.spheres` (EDMD, CVT)      skip_confined
    ``.npz``                       :func:`glasslib.readers.botan` (GlassBench)       box, density,
                                                                                     time, replicas
    ``.pickle``                    :func:`glasslib.readers.bapst`                    replicas
    ============================== ================================================= ===========

    Parameters
    ----------
    path : path
    **options
        Of the reader, as in the table.

    Returns
    -------
    list of gsd.hoomd.Frame

    Raises
    ------
    FrameError
        For a missing, empty, truncated or unknown file; the message says what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise FrameError(f"no file {path}; check the path.")
    if path.stat().st_size == 0:
        raise FrameError(f"{path} is empty; the run that should have written it did not finish.")
    reader = _reader(path)
    allowed = tuple(inspect.signature(reader).parameters)[1:]
    for name in options:
        if name not in allowed:
            raise FrameError(
                f"{path.name}: option {name!r} is not for this format; it takes "
                f"{', '.join(allowed) or 'none'}."
            )
    frames = [
        wrapped(check(f, where=f"{path.name}[{i}]")) for i, f in enumerate(reader(path, **options))
    ]
    if not frames:
        raise FrameError(f"{path} holds no frames; the run that wrote it did not finish.")
    return frames


def _reader(path: Path) -> Callable[..., Iterable[Frame]]:
    """The reader for a path, from its suffix."""
    from glasslib import readers

    known: dict[str, Callable[..., Iterable[Frame]]] = {
        ".gsd": _read_gsd,
        ".gml": readers.graphml,
        ".graphml": readers.graphml,
        ".lammpstrj": readers.lammps_dump,
        ".dump": readers.lammps_dump,
        ".xyz": readers.xyz,
        ".sph": readers.spheres,
        ".dsk": readers.spheres,
        ".npz": readers.botan,
        ".pickle": readers.bapst,
    }
    suffixes = [s.lower() for s in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[-2:-1] if zipped else suffixes[-1:])
    if suffix not in known or (zipped and suffix in (".gsd", ".npz", ".pickle")):
        raise FrameError(
            f"{path} has the unknown suffix {''.join(suffixes[-2:]) or '(none)'!r}; known: "
            f"{', '.join(known)} (text formats also with .gz). Rename or convert the file."
        )
    return known[suffix]


def _read_gsd(path: Path) -> list[Frame]:
    try:
        with gsd.hoomd.open(path, "r") as file:
            frames = list(file)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise FrameError(
            f"{path} is not a readable GSD file ({reason}); it is damaged, cut short or of another "
            "format. Make or fetch it again."
        ) from error
    for frame in frames:
        for mark in [key for key in frame.log if key.startswith(COLUMN)]:
            key = mark.removeprefix(COLUMN)
            if frame.log.pop(mark)[0] and key in frame.log:
                frame.log[key] = frame.log[key].reshape(-1, 1)
        if frame.configuration.dimensions == 2:  # files of HOOMD 2 give flat boxes a depth
            frame.configuration.box = np.array(frame.configuration.box)
            frame.configuration.box[2] = 0
    return frames
