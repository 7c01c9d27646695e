"""Snapshots on disk: read and write.

:func:`read` takes GSD and the formats of :mod:`glasslib.formats`; :func:`write` writes GSD. What
one does with a snapshot is found here as well, and stands in :mod:`glasslib.snapshots`
(``frames.build``, ``check``, ``copy``, ``subset``, ``unwrapped``, ``follow``, …) and
:mod:`glasslib.geometry` (``frames.cell_matrix``, ``heights``, ``FrameError``, …).
"""

from __future__ import annotations

import errno
import inspect
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import gsd.hoomd

from glasslib import formats, writing
from glasslib.formats.gsd import prepare
from glasslib.geometry import FrameError as FrameError
from glasslib.geometry import cell_matrix as cell_matrix
from glasslib.geometry import heights as heights
from glasslib.geometry import list_numbers as list_numbers
from glasslib.geometry import wrap_positions as wrap_positions
from glasslib.snapshots import DUST as DUST
from glasslib.snapshots import IMAGES_UNKNOWN as IMAGES_UNKNOWN
from glasslib.snapshots import OTHER_BOX as OTHER_BOX
from glasslib.snapshots import OTHER_ROWS as OTHER_ROWS
from glasslib.snapshots import WHY, why_unknown
from glasslib.snapshots import WRAPPED as WRAPPED
from glasslib.snapshots import Frame as Frame
from glasslib.snapshots import build as build
from glasslib.snapshots import check as check
from glasslib.snapshots import copy as copy
from glasslib.snapshots import dimensions as dimensions
from glasslib.snapshots import follow as follow
from glasslib.snapshots import images_known as images_known
from glasslib.snapshots import subset as subset
from glasslib.snapshots import unwrapped as unwrapped
from glasslib.snapshots import volume as volume
from glasslib.snapshots import wrapped as wrapped


def read(
    path: str | os.PathLike,
    *,
    format: str | None = None,
    stride: int = 1,
    rename: Mapping[str, str] | None = None,
    **options: object,
) -> list[Frame]:
    """All frames of a file, checked, with particles inside the box.

    The suffix tells the format, unless the first bytes of the file do; a further ``.gz`` is
    unpacked.

    ========================= ================================================= ===================
    suffix                    format                                            options
    ========================= ================================================= ===================
    ``.gsd``                  :func:`glasslib.formats.gsd.read` (HOOMD schema)
    ``.gml``, ``.graphml``    :func:`glasslib.formats.graphml.read` (ML-DOS)    box, density
    ``.lammpstrj``, ``.dump`` :func:`glasslib.formats.lammps.read`              by_row, dimensions
    ``.xyz``                  :func:`glasslib.formats.xyz.read` (extended,      box, continuous,
                              RUMD, atooms, partycls)                           dimensions
    ``.sph``, ``.dsk``        :func:`glasslib.formats.spheres.read` (EDMD, CVT) skip_confined
    ``.npz``                  :func:`glasslib.formats.replicas.read_botan`      box, density, time,
                              (GlassBench)                                      replicas
    ``.pickle``               :func:`glasslib.formats.replicas.read_bapst`      replicas
    ========================= ================================================= ===================

    Parameters
    ----------
    path : path
    format : {"gsd", "lammps", "xyz", "graphml", "spheres", "botan", "bapst"}, optional
        What the file is, whatever its name: ``configuration.100``, ``run.atom``.
    stride : int
        Every how manyth frame to keep, from the first on.
    rename : dict of str to str, optional
        Species under another name, such as ``{"Ni": "A", "P": "B"}``; those that it leaves out
        keep theirs.
    **options
        Of the reader, as in the table.

    Returns
    -------
    list of gsd.hoomd.Frame
        Where the file does not say how often particles crossed the box, or which row is which
        particle, they are read all the same, but ``unwrapped`` refuses them, and a
        ``UserWarning`` says so of files of several frames.

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
    if not isinstance(stride, int) or isinstance(stride, bool) or stride < 1:
        raise FrameError(f"stride is {stride!r}; expected a whole number from 1.")
    reader = formats.find_reader(path, format)
    allowed = tuple(inspect.signature(reader).parameters)[1:]
    for name in options:
        if name not in allowed:
            raise FrameError(
                f"{path.name}: option {name!r} is not for this format; it takes "
                f"{', '.join(allowed) or 'none'}."
            )
    frames = []
    for i, frame in enumerate(reader(path, **options)):
        if i % stride == 0:
            where = f"{path.name}[{i}]"
            frames.append(wrapped(check(frame, where=where), where=where))
    if not frames:
        raise FrameError(f"{path} holds no frames; the run that wrote it did not finish.")
    if rename:
        _rename(frames, rename, path)
    reasons = {why_unknown(frame) for frame in frames} - {0}
    if len(frames) > 1 and reasons:
        warnings.warn(
            f"{path.name}: positions of its {len(frames)} snapshots do not join: "
            f"{WHY[min(reasons)]}.",
            stacklevel=2,
        )
    return frames


def _rename(frames: list[Frame], names: Mapping[str, str], path: Path) -> None:
    """Give species other names, in place."""
    known = {t for frame in frames for t in frame.particles.types}
    if unknown := sorted(set(names) - known):
        raise FrameError(
            f"{path.name} has no species {', '.join(unknown)} to rename; it has "
            f"{', '.join(sorted(known))}."
        )
    for frame in frames:
        frame.particles.types = [names.get(t, t) for t in frame.particles.types]
        check(frame, where=f"{path.name}, renamed")


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


def write(path: str | os.PathLike, frames: Frame | Iterable[Frame]) -> Path:
    """Write one frame or many to a GSD file, atomically; returns the path.

    Frames that all have the same ``configuration.step`` are numbered 0, 1, …. Reading gives back
    every field as it was; what a frame leaves at None and the first one has is written as GSD's
    default (velocity 0, mass 1, …).

    Raises
    ------
    FrameError
        Where the file cannot be written, a frame is none (``check``) or holds what GSD cannot,
        or lacks a log entry that an earlier one has.
    """
    frames = [frames] if isinstance(frames, Frame) else list(frames)
    if not frames:
        raise FrameError(f"nothing to write to {path}: the list of frames is empty.")
    with atomic(path) as temporary, gsd.hoomd.open(temporary, "w") as file:
        for k, frame in enumerate(prepare(frames, path)):
            try:
                file.append(frame)
            except OSError:
                raise
            except Exception as error:  # GSD's own, of many kinds
                reason = " ".join(str(error).split()) or type(error).__name__
                raise FrameError(
                    f"cannot write {path}: frame {k} holds what GSD cannot ({reason}); expected "
                    "arrays of numbers with one or two axes, a step from 0."
                ) from error
    return Path(path)


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
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
