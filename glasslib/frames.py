"""Snapshots: read, check and write.

``gsd.hoomd.Frame`` is the snapshot type everywhere. A two-dimensional frame has
``configuration.box[2] == 0`` and z = 0. Positions are wrapped into the box, which is centred on
the origin; ``particles.image`` counts box crossings, so :func:`unwrapped` gives continuous
trajectories. Labels ride on the frame they belong to in ``frame.log``: keys that begin with
``particles/`` have one row a particle.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gsd.hoomd
import numpy as np

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
    """
    position = np.asarray(position, dtype=np.float64)
    if position.ndim != 2 or position.shape[1] not in (2, 3):
        raise FrameError(
            f"position has shape {position.shape}; expected (N, 3), or (N, 2) for a 2D system."
        )
    edges = np.atleast_1d(np.asarray(box, dtype=np.float64))
    full = np.zeros(6)
    if edges.size == 1:
        full[:dimensions] = edges[0]
    elif edges.size in (2, 3, 6):
        full[: edges.size] = edges
    else:
        raise FrameError(f"box has {edges.size} entries; expected 1, 2, 3 or 6.")
    if dimensions == 2:
        full[2] = 0.0
    n = len(position)
    xyz = np.zeros((n, 3))
    xyz[:, : position.shape[1]] = position
    frame = Frame()
    frame.particles.N = n
    frame.particles.types = list(types)
    frame.particles.typeid = np.asarray(typeid, dtype=np.uint32)
    frame.configuration.box = full.astype(np.float32)
    frame.configuration.dimensions = dimensions
    frame.configuration.step = 0
    wrapped, crossings = _wrap(xyz, frame.configuration.box)
    frame.particles.position = wrapped.astype(np.float32)
    frame.particles.image = crossings + (0 if image is None else np.asarray(image, dtype=np.int32))
    if velocity is not None:
        v = np.zeros((n, 3), dtype=np.float32)
        v[:, : np.shape(velocity)[1]] = velocity
        frame.particles.velocity = v
    frame.log = dict(log or {})
    return frame


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
    if box is None or not np.all(np.isfinite(box)) or np.any(np.asarray(box[:2]) <= 0):
        raise FrameError(f"{where}: box is {box}; expected positive finite edges.")
    for name in ("position", "velocity"):
        value = getattr(p, name)
        if value is not None and not np.all(np.isfinite(value)):
            bad = int(np.flatnonzero(~np.isfinite(value).all(axis=1))[0])
            raise FrameError(
                f"{where}: {name} of particle {bad} is {value[bad]}; expected finite numbers. "
                "The run that made it has probably blown up: lower dt."
            )
    typeid = np.zeros(n, dtype=int) if p.typeid is None else np.asarray(p.typeid)
    if typeid.shape != (n,):
        raise FrameError(f"{where}: typeid has shape {typeid.shape}; expected ({n},).")
    types = list(p.types or ["A"])
    if typeid.max() >= len(types):
        raise FrameError(
            f"{where}: a particle has type index {typeid.max()}, but there are only "
            f"{len(types)} types ({', '.join(types)})."
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
        small = float(np.min(box[: system.dimensions]))
        if small < 2 * system.r_cut:
            raise FrameError(
                f"{where}: the shortest box edge is {small:.4g}, less than twice the cut-off "
                f"{system.r_cut:.4g}; use more particles or a smaller cut-off."
            )
    return frame


# --------------------------------------------------------------------------------- read and write


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it there on success.

    Nothing half-written is ever found under the final name, whatever kills the process.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise FrameError(
            f"cannot write {path}: {error.strerror or error}. Choose a folder you may write to."
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: str | os.PathLike, frames: Frame | Iterable[Frame]) -> Path:
    """Write one frame or many to a GSD file, atomically; returns the path."""
    frames = [frames] if isinstance(frames, Frame) else list(frames)
    if not frames:
        raise FrameError(f"nothing to write to {path}: the list of frames is empty.")
    with atomic(path) as temporary:
        with gsd.hoomd.open(temporary, "w") as file:
            file.extend(frames)
    return Path(path)


def read(path: str | os.PathLike) -> list[Frame]:
    """All frames of a file, checked.

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
    with _open_gsd(path) as file:
        frames = [check(f, where=f"{path.name}[{i}]") for i, f in enumerate(file)]
    if not frames:
        raise FrameError(f"{path} holds no frames.")
    return frames


def _open_gsd(path: Path) -> gsd.hoomd.HOOMDTrajectory:
    try:
        return gsd.hoomd.open(path, "r")
    except RuntimeError as error:
        raise FrameError(
            f"{path} is not a readable GSD file ({error}); it is damaged or of another format."
        ) from error
