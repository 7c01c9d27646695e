"""Snapshots: read, check and write.

``gsd.hoomd.Frame`` is the snapshot type everywhere. A two-dimensional frame has
``configuration.box[2] == 0`` and z = 0. Positions are wrapped into the box, which is centred on
the origin; ``particles.image`` counts box crossings, so :func:`unwrapped` gives continuous
trajectories. Where a file does not say how often particles crossed, or which row is which
particle, its frames know it (:func:`images_known`) and :func:`unwrapped` refuses them;
:func:`follow` is what helps. Labels ride on the frame they belong to in ``frame.log``: keys that
begin with ``particles/`` have one row a particle.

:func:`read` takes GSD and the formats of :mod:`glasslib.readers`; :func:`write` writes GSD.
"""

from __future__ import annotations

import inspect
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gsd.hoomd
import numpy as np

from glasslib import writing

Frame = gsd.hoomd.Frame


class FrameError(ValueError):
    """A file or frame that cannot be used; the message says what came and what to do."""


#: log entry of frames whose positions do not join with those of other frames; absent from others
IMAGES_UNKNOWN = "images_unknown"
#: what the entry may hold, and what it means
WRAPPED, OTHER_ROWS, OTHER_BOX = 1, 2, 3
_WHY = {
    WRAPPED: (
        "box crossings are not known: the file holds wrapped positions and no images. Write "
        "images or unwrapped positions, or call frames.follow on all its frames if no particle "
        "goes half the box from one to the next"
    ),
    OTHER_ROWS: (
        "rows are not the same particles in every snapshot of the file, so that positions of "
        "different particles would be compared. Write the same particles each time, with their id"
    ),
    OTHER_BOX: (
        "the box changes along the file, and an image counts edges of another length in each "
        "snapshot. Call frames.follow on all its frames"
    ),
}
#: z beyond this fraction of the box is no dust: the coordinates of a flat system
DUST = 1e-5
#: arrays of particles besides positions: shape of a row, type, and GSD's default
_FIELDS: dict[str, tuple[tuple[int, ...], type, object]] = {
    "typeid": ((), np.uint32, 0), "mass": ((), np.float32, 1), "charge": ((), np.float32, 0),
    "diameter": ((), np.float32, 1), "body": ((), np.int32, -1),
    "moment_inertia": ((3,), np.float32, 0), "orientation": ((4,), np.float32, (1, 0, 0, 0)),
    "velocity": ((3,), np.float32, 0), "angmom": ((4,), np.float32, 0),
    "image": ((3,), np.int32, 0),
}  # fmt: skip
_TOPOLOGY = ("bonds", "angles", "dihedrals", "impropers", "constraints", "pairs")


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
    if dimensions == 2:
        xyz = _without_dust(xyz, float(full[:2].max()))
    kind = np.asarray(typeid)
    if kind.shape != (n,) or (n and kind.min() < 0):
        raise FrameError(
            f"typeid has shape {kind.shape} and minimum {kind.min() if kind.size else 'none'}; "
            f"expected ({n},) indices from 0, one a particle."
        )
    if not np.all((kind == np.rint(kind)) & (kind < 2**31)):
        raise FrameError(f"typeid holds {_list(kind[:5])} …; expected whole numbers from 0.")
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
        frame.particles.image = _summed(_whole_images(image, "frame"), crossings, "frame")
    if velocity is not None:
        velocity = np.asarray(velocity)
        _check_shape(
            velocity, (n, velocity.shape[-1] if velocity.shape[-1:] == (2,) else 3), "velocity"
        )
        velocity = _padded(velocity)
        if dimensions == 2:
            velocity = _without_dust(velocity, float(np.abs(velocity).max(initial=0)))
            if np.any(velocity[:, 2] != 0):
                raise FrameError(
                    "the frame is two-dimensional but some velocities have a z; set it to 0, or "
                    "dimensions=3."
                )
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            frame.particles.velocity = velocity.astype(np.float32)
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
    with np.errstate(over="ignore", invalid="ignore"):
        full = full.astype(np.float32)
    _check_box(full, "frame")
    return full


def _without_dust(vectors: np.ndarray, size: float) -> np.ndarray:
    """(N, 3) with z = 0 where it is the rounding of something flat, up to DUST · ``size``."""
    z = vectors[:, 2]
    if not np.any(z) or np.abs(z).max() > DUST * size:
        return vectors
    return np.where([True, True, False], vectors, 0)


def _whole_images(image: np.ndarray, where: str) -> np.ndarray:
    """Images as int64, or a FrameError where one is no whole number that 32 bits hold."""
    image = np.asarray(image)
    if not (np.issubdtype(image.dtype, np.number) and np.isrealobj(image)):
        raise FrameError(f"{where}: image has type {image.dtype}; expected whole numbers.")
    bad = ~((np.abs(image.astype(np.float64)) < 2**31) & (image == np.rint(image)))
    if np.any(bad):
        i = int(np.argmax(bad.any(axis=1)))
        raise FrameError(
            f"{where}: image of particle {i} is {_list(image[i])}; expected whole numbers below "
            "2147483648, the box crossings."
        )
    return image.astype(np.int64)


def _summed(image: np.ndarray, crossings: np.ndarray, where: str) -> np.ndarray:
    return _whole_images(image.astype(np.int64) + crossings, where).astype(np.int32)


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


def _wrap(xyz: np.ndarray, box: np.ndarray, where: str = "frame") -> tuple[np.ndarray, np.ndarray]:
    """Positions inside the (possibly tilted) box, and the images they came from."""
    cell = cell_matrix(box)
    if box[2] == 0:
        cell = cell.copy()
        cell[2, 2] = 1.0
    try:
        inverse = np.linalg.inv(cell).T
    except np.linalg.LinAlgError:
        inverse = np.full((3, 3), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        fractional = xyz @ inverse
        steps = np.floor(fractional + 0.5)
    bad = ~(np.abs(steps) < 2**31 - 1).all(axis=1)
    if not np.any(bad):
        crossings = steps.astype(np.int32)
        if box[2] == 0:
            crossings[:, 2] = 0
        inside = xyz - crossings @ cell.T
        # of huge coordinates or tilts too few digits are left, at the latest in single precision
        with np.errstate(over="ignore", invalid="ignore"):
            again = inside.astype(np.float32) @ inverse
        bad = ~(np.abs(again[:, : 2 if box[2] == 0 else 3]) < 0.501).all(axis=1)
    if np.any(bad):
        i = int(np.argmax(bad))
        raise FrameError(
            f"{where}: particle {i} at {_list(xyz[i])} cannot be put into the box {_list(box)}; "
            "expected coordinates, edges and tilts of ordinary size. The file or the box is wrong."
        )
    return inside, crossings


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


def images_known(frame: Frame) -> bool:
    """Whether :func:`unwrapped` positions of this frame join with those of others of its file.

    False for frames read from a file that holds wrapped positions alone (unless no particle goes
    0.4 of the box or more between two snapshots, so that nobody crossed), whose snapshots hold
    different particles, or whose box changes while particles cross. Frames that a simulation made
    know their images, and so does a frame whose ``log`` was emptied: crossings are counted from
    there.
    """
    return _unknown(frame) == 0


def _unknown(frame: Frame) -> int:
    """0, or one of the reasons why images are not known."""
    mark = np.ravel(frame.log.get(IMAGES_UNKNOWN, 0))
    return int(mark[0]) if len(mark) and mark[0] in _WHY else 0


def unwrapped(frame: Frame) -> np.ndarray:
    """(N, 3) float64 positions with box crossings undone, σ_AA.

    Raises
    ------
    FrameError
        Where crossings are not known (:func:`images_known`); :func:`follow` finds them between
        close snapshots.
    """
    if why := _unknown(frame):
        raise FrameError(
            f"no continuous positions: {_WHY[why]}. Where this frame alone is meant, as a start, "
            "take frames.copy(frame, log={})."
        )
    return _with_images(frame)


def _with_images(frame: Frame) -> np.ndarray:
    x = np.asarray(frame.particles.position, dtype=np.float64)
    if frame.particles.image is None:
        return x
    return x + frame.particles.image @ cell_matrix(frame.configuration.box).T


#: fraction of the box beyond which a step between two snapshots may have been another one
_FAR = 0.4


def follow(frames: Iterable[Frame]) -> np.ndarray:
    """Continuous positions along a trajectory, from each snapshot to the next.

    Steps are added up from the first frame on. Where images are known the step is what they say;
    else it is the shortest of all images, which is the right one as long as no particle goes half
    the box between two snapshots. In a box that changes its size each step counts the edges that
    the box has at its end, so that particles at rest stay at rest however often they crossed
    (von Bülow, Bullerjahn, Hummer, J. Chem. Phys. 153, 021101 (2020)).

    Parameters
    ----------
    frames : iterable of gsd.hoomd.Frame
        T snapshots of the same N particles, in the order of time.

    Returns
    -------
    (T, N, 3) float64 array, σ_AA

    Raises
    ------
    FrameError
        Where snapshots hold different particles, or are so far apart that some particle goes
        0.4 of the box or more and nearest images would be a guess.
    """
    out: list[np.ndarray] = []
    before = None
    for k, frame in enumerate(frames):
        x, cell = np.asarray(frame.particles.position, np.float64), _deep_cell(frame)
        if before is None:
            out.append(x if not images_known(frame) else _with_images(frame))
            before = frame
            continue
        same = before.particles.N == frame.particles.N and dimensions(before) == dimensions(frame)
        if not same or OTHER_ROWS in (_unknown(frame), _unknown(before)):
            raise FrameError(f"frame {k} cannot follow on frame {k - 1}: {_WHY[OTHER_ROWS]}.")
        step = x - np.asarray(before.particles.position, np.float64)
        if WRAPPED in (_unknown(frame), _unknown(before)):
            fraction = step @ np.linalg.inv(cell).T
            crossed = -np.rint(fraction)
            left = np.abs(fraction + crossed)[:, : dimensions(frame)]
            if left.max(initial=0) >= _FAR:
                i = int(np.argmax(left.max(axis=1)))
                raise FrameError(
                    f"particle {i} goes {left[i].max():.2g} of the box from frame {k - 1} to "
                    f"frame {k}, and may have gone the other way round; expected less than {_FAR}. "
                    "Write snapshots more often, or images."
                )
        else:
            crossed = _images(frame) - _images(before)
        out.append(out[-1] + step + crossed @ cell.T)
        before = frame
    if not out:
        raise FrameError("no frames to follow; expected at least one.")
    return np.stack(out)


def _images(frame: Frame) -> np.ndarray:
    if frame.particles.image is None:
        return np.zeros((frame.particles.N, 3), np.int64)
    with np.errstate(invalid="ignore"):  # check refuses what is no number
        return np.asarray(frame.particles.image).astype(np.int64)


def _deep_cell(frame: Frame) -> np.ndarray:
    """Box vectors that can be inverted in two dimensions too."""
    cell = cell_matrix(frame.configuration.box)
    if cell[2, 2] == 0:
        cell[2, 2] = 1.0
    return cell


def wrapped(frame: Frame, *, where: str = "frame") -> Frame:
    """The frame with every particle inside the box; :func:`unwrapped` of it is the same.

    Particles inside already keep their coordinates to the last bit.
    """
    x = np.asarray(frame.particles.position, dtype=np.float64)
    inside, crossings = _wrap(x, frame.configuration.box, where)
    out = crossings.any(axis=1)
    if not out.any():
        return frame
    new = copy(frame)
    new.particles.position[out] = inside[out].astype(np.float32)
    new.particles.image = _summed(_images(new), crossings, where)
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
    """An independent copy; ``log`` replaces the labels when given.

    Everything that GSD knows of is copied: all arrays of particles, bonds and their kin. That
    images are unknown is no label and stays, unless ``log`` is empty: such a frame stands alone,
    and its crossings are counted from there.
    """
    new = Frame()
    p, q = frame.particles, new.particles
    q.N, q.types = p.N, list(p.types or ["A"])
    for name in ("position", *_FIELDS):
        value = getattr(p, name)
        if value is not None:
            setattr(q, name, np.array(value))
    q.type_shapes = None if p.type_shapes is None else [dict(shape) for shape in p.type_shapes]
    for kind in _TOPOLOGY:
        _set_topology(getattr(new, kind), getattr(frame, kind))
    if frame.configuration.box is not None:
        new.configuration.box = np.array(frame.configuration.box)
        new.configuration.dimensions = dimensions(frame)
    new.configuration.step = frame.configuration.step
    new.log = dict(frame.log if log is None else log)
    if new.log and IMAGES_UNKNOWN in frame.log:
        new.log.setdefault(IMAGES_UNKNOWN, frame.log[IMAGES_UNKNOWN])
    return new


def _set_topology(new: object, old: object, keep: np.ndarray | None = None) -> None:
    """Copy bonds (angles, …), or those in the rows ``keep``."""
    new.N = old.N if keep is None else int(np.sum(keep))
    if getattr(old, "types", None) is not None:
        new.types = list(old.types)
    for name in ("group", "typeid", "value"):
        value = getattr(old, name, None)
        if value is not None:
            setattr(new, name, np.array(value) if keep is None else np.array(value)[keep])


def subset(frame: Frame, keep: np.ndarray) -> Frame:
    """The particles of ``frame`` where ``keep`` is True (or at these indices), with their labels.

    Bonds of the frame, and pairs in ``log['bonds']`` and ``log['bonds/pairs']`` with their labels,
    stay where all their particles do, and point to the new rows.

    Parameters
    ----------
    keep : (N,) bool or (n,) int array
        Each particle at most once.
    """
    n = frame.particles.N
    chosen = np.arange(n)[np.asarray(keep)]
    row = np.full(n, -1)
    row[chosen] = np.arange(len(chosen))
    new = copy(frame)
    p = new.particles
    p.N = len(chosen)
    for name in ("position", *_FIELDS):
        value = getattr(p, name)
        if value is not None:
            setattr(p, name, value[chosen])
    if p.body is not None:  # the index of a particle, or -1
        member = (p.body >= 0) & (p.body < n)
        if np.any(row[p.body[member]] < 0):
            raise FrameError(
                "the subset cuts rigid bodies: it lacks the particle that some body index names. "
                "Keep bodies whole, or set particles.body to None."
            )
        p.body[member] = row[p.body[member]]
    for kind in _TOPOLOGY:
        old = getattr(frame, kind)
        if old.N and old.group is not None:
            group = row[np.asarray(old.group, np.int64)]
            whole = (group >= 0).all(axis=1)
            _set_topology(getattr(new, kind), old, whole)
            getattr(new, kind).group = group[whole].astype(np.uint32)
    for key, value in new.log.items():
        if key.startswith("particles/"):
            new.log[key] = np.asarray(value)[chosen]
    for name in ("bonds", "bonds/pairs"):
        pairs = np.asarray(new.log.get(name, np.zeros(0)))
        if pairs.ndim == 2 and pairs.shape[1] == 2:
            moved = row[pairs.astype(np.int64)]
            whole = (moved >= 0).all(axis=1)
            for key in [k for k in new.log if name == "bonds/pairs" and k.startswith("bonds/")]:
                if len(np.asarray(new.log[key])) == len(pairs):
                    new.log[key] = np.asarray(new.log[key])[whole]
            new.log[name] = moved[whole].astype(pairs.dtype)
    return new


def check(frame: Frame, *, system: object | None = None, where: str = "frame") -> Frame:
    """Return ``frame`` if it can be simulated or analysed, else raise :class:`FrameError`.

    Checks shapes, finiteness, box, type indices, and that labels have a row for each particle;
    with a ``system`` also the dimension, the species, masses, diameters and that the box holds
    twice the cut-off. ``particles.types`` left at None becomes GSD's default, ``["A"]``.
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
    _check_finite(np.asarray(p.position), "position", where)
    for name, (row, *_) in _FIELDS.items():
        value = getattr(p, name)
        if value is None or name == "typeid":
            continue
        if np.shape(value) != (n, *row):
            shape = f"({n}, {row[0]})" if row else f"({n},)"
            raise FrameError(f"{where}: {name} has shape {np.shape(value)}; expected {shape}.")
        if name == "image":
            _whole_images(value, where)
        else:
            _check_finite(np.asarray(value).reshape(n, -1), name, where)
    if p.typeid is None:
        raise FrameError(f"{where}: typeid is None; give each of the {n} particles a type index.")
    typeid = np.asarray(p.typeid)
    if typeid.shape != (n,):
        raise FrameError(f"{where}: typeid has shape {typeid.shape}; expected ({n},).")
    if p.types is None:
        p.types = ["A"]
    types = list(p.types or ["A"])
    if any(not isinstance(t, str) or "\0" in t for t in types) or len(set(types)) < len(types):
        raise FrameError(
            f"{where}: types are {', '.join(map(repr, types[:10]))}; expected different names."
        )
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
    for key, value in frame.log.items():
        if key.startswith("particles/") and np.shape(value)[:1] != (n,):
            raise FrameError(
                f"{where}: log entry {key!r} has shape {np.shape(value)}; expected {n} rows, one a "
                "particle. Make it again, or name it without 'particles/'."
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
            own = system.mass([types[i] for i in typeid])
            if np.any(np.abs(np.asarray(p.mass) - own) > 1e-5 * own):
                raise FrameError(
                    f"{where}: masses are {_list(np.unique(p.mass))}; system {system.name!r} has "
                    f"{_list(np.unique(own))}. Set particles.mass to None, or give the system its "
                    "own with system.with_(masses=...)."
                )
        if system.hard and p.diameter is not None and np.any(np.asarray(p.diameter) != 1):
            own = np.array([system.diameters[types[i]] for i in typeid])
            if (worst := np.abs(np.asarray(p.diameter) - own).max()) > 1e-4:
                raise FrameError(
                    f"{where}: diameters differ by up to {worst:.3g} from those of system "
                    f"{system.name!r} ({system.diameters}). Rescale the frame, or change the "
                    "system with system.with_(diameters=...)."
                )
        if not system.hard and p.diameter is not None:
            for i in np.unique(typeid):
                own = np.asarray(p.diameter)[typeid == i]
                if np.ptp(own) > 1e-4 * np.abs(own).max():
                    raise FrameError(
                        f"{where}: diameters of type {types[i]} run from {own.min():.6g} to "
                        f"{own.max():.6g}; system {system.name!r} has one size a species. Set "
                        "particles.diameter to None where sizes do not matter."
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

    Frames that all have the same ``configuration.step`` are numbered 0, 1, …. Reading gives back
    every field as it was; what a frame leaves at None and the first one has is written as GSD's
    default (velocity 0, mass 1, …).

    Raises
    ------
    FrameError
        Where the file cannot be written, a frame is none (:func:`check`) or holds what GSD cannot,
        or lacks a log entry that an earlier one has.
    """
    frames = [frames] if isinstance(frames, Frame) else list(frames)
    if not frames:
        raise FrameError(f"nothing to write to {path}: the list of frames is empty.")
    with atomic(path) as temporary, gsd.hoomd.open(temporary, "w") as file:
        for k, frame in enumerate(_like_the_first(frames, path)):
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
    known: dict[str, int] = {}
    for k, frame in enumerate(frames):
        entries = set(frame.log) - {IMAGES_UNKNOWN}
        lacking = sorted(set(known) - entries)
        if lacking:
            raise FrameError(
                f"cannot write {path}: frame {k} lacks log entries that frame {known[lacking[0]]} "
                f"has ({', '.join(lacking)}), and would be read with those. Give every frame the "
                "same entries or write two files."
            )
        known = dict.fromkeys(entries, k) | known
        made = copy(frame)
        made.configuration.step = k if k and number else int(frame.configuration.step or 0)
        if (
            frame.configuration.dimensions == 2 and made.configuration.box is not None
        ):  # whatever depth the flat box has
            made.configuration.box[2], made.configuration.dimensions = 0, 2
        p = made.particles
        if p.typeid is None:
            p.typeid = np.zeros(p.N, np.uint32)
        check(made, where=f"cannot write {path}: frame {k}")
        for name, (row, kind, default) in _FIELDS.items():
            if getattr(first.particles, name) is not None and getattr(p, name) is None:
                setattr(p, name, np.full((p.N, *row), default, kind))
        if first.particles.type_shapes is not None and p.type_shapes is None:
            p.type_shapes = [{}]
        if not all(name.isascii() for name in p.types):
            p.types = [name.encode() for name in p.types]  # GSD writes bytes as they are
        made.log.update(
            {f"{COLUMN}{key}": np.array([int(is_column(made.log[key]))])
             for key in columns & entries}
        )  # fmt: skip
        if len(frames) > 1 or _unknown(frame):
            made.log[IMAGES_UNKNOWN] = np.array([_unknown(frame)], np.uint8)
        yield made


def read(path: str | os.PathLike, **options: object) -> list[Frame]:
    """All frames of a file, checked, with particles inside the box.

    The suffix tells the format, unless the first bytes of the file do; a further ``.gz`` is
    unpacked.

    ============================== ================================================= ===========
    suffix                         format                                            options
    ============================== ================================================= ===========
    ``.gsd``                       GSD, HOOMD schema
    ``.gml``, ``.graphml``         :func:`glasslib.readers.graphml` (ML-DOS)         box, density
    ``.lammpstrj``, ``.dump``      :func:`glasslib.readers.lammps_dump`              by_row,
                                                                                     dimensions
    ``.xyz``                       :func:`glasslib.readers.xyz` (extended, RUMD,     box,
                                   atooms, partycls)                                 continuous,
                                                                                     dimensions
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
        Where the file does not say how often particles crossed the box, or which row is which
        particle, they are read all the same, but :func:`unwrapped` refuses them, and a
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
    reader = _reader(path)
    allowed = tuple(inspect.signature(reader).parameters)[1:]
    for name in options:
        if name not in allowed:
            raise FrameError(
                f"{path.name}: option {name!r} is not for this format; it takes "
                f"{', '.join(allowed) or 'none'}."
            )
    frames = []
    for i, frame in enumerate(reader(path, **options)):
        where = f"{path.name}[{i}]"
        frames.append(wrapped(check(frame, where=where), where=where))
    if not frames:
        raise FrameError(f"{path} holds no frames; the run that wrote it did not finish.")
    reasons = {_unknown(frame) for frame in frames} - {0}
    if len(frames) > 1 and reasons:
        warnings.warn(
            f"{path.name}: positions of its {len(frames)} snapshots do not join: "
            f"{_WHY[min(reasons)]}.",
            stacklevel=2,
        )
    return frames


def _reader(path: Path) -> Callable[..., Iterable[Frame]]:
    """The reader for a path, from its first bytes or its suffix."""
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
    if told := readers.recognize(path):
        return known[told]
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
            _check_claims(file, path)
            frames = list(file)
            held = _held(file, len(frames))
    except FrameError:
        raise
    except Exception as error:  # damaged files raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise FrameError(
            f"{path} is not a readable GSD file ({reason}); it is damaged, cut short or of another "
            "format. Make or fetch it again."
        ) from error
    for k, frame in enumerate(frames):
        for mark in [key for key in frame.log if key.startswith(COLUMN)]:
            key = mark.removeprefix(COLUMN)
            if np.any(frame.log.pop(mark)) and key in frame.log:
                frame.log[key] = frame.log[key].reshape(-1, 1)
        _complete(frame, k, held, f"{path.name}[{k}]")
    _judge_images(frames, held)
    return frames


#: frames, and particles without a position of their own, that any file may hold
_FEW = 1000


def _check_claims(file: gsd.hoomd.HOOMDTrajectory, path: Path) -> None:
    """Refuse numbers of frames or particles that the bytes of the file cannot hold.

    GSD makes up what a frame does not hold, for as many particles as the file says there are.
    """
    size, chunks = path.stat().st_size, file.file
    n_frames = len(file)
    if n_frames > max(_FEW, size // 32):  # an entry of the index for each
        raise FrameError(
            f"{path} claims {n_frames} frames in {size} bytes; expected the file that a run wrote. "
            "It is damaged."
        )
    from glasslib.readers import LARGEST

    borrowed = 0
    first: dict[str, int] = {}
    for k in range(n_frames):
        for group in ("particles", *_TOPOLOGY):
            name = f"{group}/N"
            n = first.get(name, 0)
            if chunks.chunk_exists(frame=k, name=name):
                value = chunks.read_chunk(frame=k, name=name)
                if value.shape != (1,) or value.dtype.kind not in "ui" or value[0] < 0:
                    raise FrameError(
                        f"{path.name}[{k}]: {name} is {_list(value.ravel()[:3])}; expected one "
                        "whole number. The file is damaged."
                    )
                n = int(value[0])
            if k == 0:
                first[name] = n
            own = chunks.chunk_exists(
                frame=k, name=f"{group}/{'position' if group == 'particles' else 'group'}"
            )
            borrowed += 0 if own else n
            if 8 * n > max(8 * _FEW, size) or 12 * borrowed > max(LARGEST, 12 * _FEW):
                raise FrameError(
                    f"{path.name}[{k}] claims {n} {group} in a file of {size} bytes; expected "
                    "their positions in it. The file is damaged."
                )


def _held(file: gsd.hoomd.HOOMDTrajectory, n: int) -> dict[str, list[bool] | str]:
    """Which frames hold some chunks of their own, and which program wrote the file."""
    names = {
        "box": "configuration/box", "image": "particles/image", "velocity": "particles/velocity",
        "angmom": "particles/angmom", "mark": f"log/{IMAGES_UNKNOWN}", "own": "log/provenance",
    }  # fmt: skip
    held: dict = {
        key: [bool(file.file.chunk_exists(frame=k, name=name)) for k in range(n)]
        for key, name in names.items()
    }
    held["program"] = file.file.application
    return held


def _complete(frame: Frame, k: int, held: dict, where: str) -> None:
    """Put right what a GSD frame shows otherwise than it is stored."""
    c, p = frame.configuration, frame.particles
    c.box = np.array(c.box)
    if c.dimensions == 2:  # files of HOOMD 2 give flat boxes a depth
        c.box[2] = 0
    x = p.position
    if np.shape(x) != (p.N, 3) or np.shape(c.box) != (6,) or not np.all(np.isfinite(c.box)):
        return  # check says so
    if not held["box"][0] and not held["box"][k] and np.any(~(np.abs(x) <= 0.5 + 1e-6)):
        raise FrameError(
            f"{where} holds no box, and GSD's default of edge 1 does not hold its particles; set "
            "configuration.box = [Lx, Ly, Lz, xy, xz, yz] where the file is written."
        )
    if c.box[2] == 0 and np.any(x[:, 2]):
        p.position = _without_dust(x, float(c.box[:2].max())).astype(x.dtype)
    if k and held["program"].startswith("HOOMD"):
        # its writer leaves momenta out unless asked: later frames show those of the first
        for name in ("velocity", "angmom"):
            if held[name][0] and not any(held[name][1:]):
                setattr(p, name, None)


def _judge_images(frames: list[Frame], held: dict) -> None:
    """Mark the frames of a GSD file whose images are not known."""
    for frame in frames:
        mark = frame.log.pop(IMAGES_UNKNOWN, None)
        if mark is not None and np.size(mark) and np.ravel(mark)[0] in _WHY:
            frame.log[IMAGES_UNKNOWN] = mark
    if len(frames) < 2 or any(held["mark"]) or any(held["own"]):
        return
    for f in frames:
        cell = _deep_cell(f) if np.shape(f.configuration.box) == (6,) else np.zeros((3, 3))
        whole = np.all(np.isfinite(cell)) and np.all(np.diag(cell) > 0)
        if not whole or any(
            np.shape(value) != (f.particles.N, 3) for value in (f.particles.position, _images(f))
        ):
            return  # check says so
    boxes = np.stack([f.configuration.box for f in frames])
    why = 0
    if len({f.particles.N for f in frames}) > 1:
        why = OTHER_ROWS
    elif not any(held["image"][1:]) and not _outside(frames) and not _joined(frames):
        # HOOMD, for one, writes images of the first frame alone unless asked
        why = WRAPPED
    elif np.ptp(boxes, axis=0).max() > 1e-6 * np.abs(boxes).max():
        crossed = any(np.any(f.particles.image) for f in frames)
        why = OTHER_BOX if crossed else 0
    if why:
        for frame in frames:
            frame.log[IMAGES_UNKNOWN] = np.array([why], np.uint8)


def _outside(frames: list[Frame]) -> bool:
    """Whether a position lies more than half an edge outside its box: nobody wraps like that."""
    for frame in frames:
        x = np.asarray(frame.particles.position, np.float64)
        if np.any(np.abs(x @ np.linalg.inv(_deep_cell(frame)).T) > 1):
            return True
    return False


def _joined(frames: list[Frame]) -> bool:
    """Whether positions join as they stand: no particle seems to go far between two frames.

    Of positions that were wrapped somebody would, where somebody crossed.
    """
    before = None
    for frame in frames:
        inverse = np.linalg.inv(_deep_cell(frame)).T
        x = _with_images(frame)
        if before is not None and not np.all(np.abs((x - before) @ inverse) < _FAR):
            return False
        before = x
    return True
