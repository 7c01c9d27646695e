"""Snapshots: build, check, copy, cut out, follow.

``gsd.hoomd.Frame`` is the snapshot type everywhere. A two-dimensional frame has
``configuration.box[2] == 0`` and z = 0. Positions are wrapped into the box, which is centred on
the origin; ``particles.image`` counts box crossings, so :func:`unwrapped` gives continuous
trajectories. Where a file does not say how often particles crossed, or which row is which
particle, its frames know it (:func:`images_known`) and :func:`unwrapped` refuses them;
:func:`follow` is what helps. Labels ride on the frame they belong to in ``frame.log``: keys that
begin with ``particles/`` have one row a particle.

All of it is also found in :mod:`glasslib.frames`, which reads and writes snapshots:
``frames.build``, ``frames.check``, ``frames.unwrapped``.
"""

from __future__ import annotations

from collections.abc import Iterable

import gsd.hoomd
import numpy as np

from glasslib.geometry import (
    FrameError,
    cell_matrix,
    check_box,
    deep_cell,
    full_box,
    heights,
    list_numbers,
    wrap_positions,
)  # fmt: skip

Frame = gsd.hoomd.Frame
#: log entry of frames whose positions do not join with those of other frames; absent from others
IMAGES_UNKNOWN = "images_unknown"
#: what the entry may hold, and what it means
WRAPPED, OTHER_ROWS, OTHER_BOX = 1, 2, 3
WHY = {
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
FIELDS: dict[str, tuple[tuple[int, ...], type, object]] = {
    "typeid": ((), np.uint32, 0), "mass": ((), np.float32, 1), "charge": ((), np.float32, 0),
    "diameter": ((), np.float32, 1), "body": ((), np.int32, -1),
    "moment_inertia": ((3,), np.float32, 0), "orientation": ((4,), np.float32, (1, 0, 0, 0)),
    "velocity": ((3,), np.float32, 0), "angmom": ((4,), np.float32, 0),
    "image": ((3,), np.int32, 0),
}  # fmt: skip
TOPOLOGY = ("bonds", "angles", "dihedrals", "impropers", "constraints", "pairs")


# ------------------------------------------------------------ build and inspect


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
    xyz, full = pad(position), full_box(box, dimensions)
    _check_finite(xyz, "position", "frame")
    if dimensions == 2:
        xyz = remove_dust(xyz, float(full[:2].max()))
    kind = np.asarray(typeid)
    if kind.shape != (n,) or (n and kind.min() < 0):
        raise FrameError(
            f"typeid has shape {kind.shape} and minimum {kind.min() if kind.size else 'none'}; "
            f"expected ({n},) indices from 0, one a particle."
        )
    if not np.all((kind == np.rint(kind)) & (kind < 2**31)):
        raise FrameError(f"typeid holds {list_numbers(kind[:5])} …; expected whole numbers from 0.")
    frame = Frame()
    frame.particles.N = n
    frame.particles.types = list(types)
    frame.particles.typeid = kind.astype(np.uint32)
    frame.configuration.box = full
    frame.configuration.dimensions = dimensions
    frame.configuration.step = 0
    wrapped, crossings = wrap_positions(xyz, full)
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
        velocity = pad(velocity)
        if dimensions == 2:
            velocity = remove_dust(velocity, float(np.abs(velocity).max(initial=0)))
            if np.any(velocity[:, 2] != 0):
                raise FrameError(
                    "the frame is two-dimensional but some velocities have a z; set it to 0, or "
                    "dimensions=3."
                )
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            frame.particles.velocity = velocity.astype(np.float32)
    frame.log = dict(log or {})
    return check(frame)


def pad(vectors: np.ndarray) -> np.ndarray:
    """(N, 2) or (N, 3) -> (N, 3) with z = 0 where it was missing."""
    out = np.zeros((len(vectors), 3))
    out[:, : vectors.shape[1]] = vectors
    return out


def remove_dust(vectors: np.ndarray, size: float) -> np.ndarray:
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
            f"{where}: image of particle {i} is {list_numbers(image[i])}; expected whole numbers "
            "below 2147483648, the box crossings."
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
            f"{where}: {name} of particle {bad[0]} is {list_numbers(array[bad[0]])}; expected "
            "finite numbers. The run that made it has probably blown up: lower dt."
        )


def dimensions(frame: Frame) -> int:
    """2 where the box has no depth, else 3."""
    return 2 if frame.configuration.box[2] == 0 else 3


def volume(frame: Frame) -> float:
    """Volume (area in 2D) of the box, σ_AA^d."""
    return float(np.prod(frame.configuration.box[: dimensions(frame)], dtype=np.float64))


def copy(frame: Frame, *, log: dict | None = None) -> Frame:
    """An independent copy; ``log`` replaces the labels when given.

    Everything that GSD knows of is copied: all arrays of particles, bonds and their kin. That
    images are unknown is no label and stays, unless ``log`` is empty: such a frame stands alone,
    and its crossings are counted from there.
    """
    new = Frame()
    p, q = frame.particles, new.particles
    q.N, q.types = p.N, list(p.types or ["A"])
    for name in ("position", *FIELDS):
        value = getattr(p, name)
        if value is not None:
            setattr(q, name, np.array(value))
    q.type_shapes = None if p.type_shapes is None else [dict(shape) for shape in p.type_shapes]
    for kind in TOPOLOGY:
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
    for name in ("position", *FIELDS):
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
    for kind in TOPOLOGY:
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
    check_box(box, where)
    _check_finite(np.asarray(p.position), "position", where)
    for name, (row, *_) in FIELDS.items():
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
                found, expected = (list_numbers(np.unique(m)) for m in (p.mass, own))
                raise FrameError(
                    f"{where}: masses are {found}; system {system.name!r} has {expected}. Set "
                    "particles.mass to None, or give the system its own with "
                    "system.with_(masses=...)."
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


# ------------------------------------------------------------ box crossings


def wrapped(frame: Frame, *, where: str = "frame") -> Frame:
    """The frame with every particle inside the box; :func:`unwrapped` of it is the same.

    Particles inside already keep their coordinates to the last bit.
    """
    x = np.asarray(frame.particles.position, dtype=np.float64)
    inside, crossings = wrap_positions(x, frame.configuration.box, where)
    out = crossings.any(axis=1)
    if not out.any():
        return frame
    new = copy(frame)
    new.particles.position[out] = inside[out].astype(np.float32)
    new.particles.image = _summed(count_crossings(new), crossings, where)
    return new


def images_known(frame: Frame) -> bool:
    """Whether :func:`unwrapped` positions of this frame join with those of others of its file.

    False for frames read from a file that holds wrapped positions alone (unless no particle goes
    0.4 of the box or more between two snapshots, so that nobody crossed), whose snapshots hold
    different particles, or whose box changes while particles cross. Frames that a simulation made
    know their images, and so does a frame whose ``log`` was emptied: crossings are counted from
    there.
    """
    return why_unknown(frame) == 0


def why_unknown(frame: Frame) -> int:
    """0, or one of the reasons why images are not known."""
    mark = np.ravel(frame.log.get(IMAGES_UNKNOWN, 0))
    return int(mark[0]) if len(mark) and mark[0] in WHY else 0


def unwrapped(frame: Frame) -> np.ndarray:
    """(N, 3) float64 positions with box crossings undone, σ_AA.

    Raises
    ------
    FrameError
        Where crossings are not known (:func:`images_known`); :func:`follow` finds them between
        close snapshots.
    """
    if why := why_unknown(frame):
        raise FrameError(
            f"no continuous positions: {WHY[why]}. Where this frame alone is meant, as a start, "
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
        x, cell = (
            np.asarray(frame.particles.position, np.float64),
            deep_cell(frame.configuration.box),
        )
        if before is None:
            out.append(x if not images_known(frame) else _with_images(frame))
            before = frame
            continue
        same = before.particles.N == frame.particles.N and dimensions(before) == dimensions(frame)
        if not same or OTHER_ROWS in (why_unknown(frame), why_unknown(before)):
            raise FrameError(f"frame {k} cannot follow on frame {k - 1}: {WHY[OTHER_ROWS]}.")
        step = x - np.asarray(before.particles.position, np.float64)
        if WRAPPED in (why_unknown(frame), why_unknown(before)):
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
            crossed = count_crossings(frame) - count_crossings(before)
        out.append(out[-1] + step + crossed @ cell.T)
        before = frame
    if not out:
        raise FrameError("no frames to follow; expected at least one.")
    return np.stack(out)


def count_crossings(frame: Frame) -> np.ndarray:
    if frame.particles.image is None:
        return np.zeros((frame.particles.N, 3), np.int64)
    with np.errstate(invalid="ignore"):  # check refuses what is no number
        return np.asarray(frame.particles.image).astype(np.int64)


def are_joined(frames: list[Frame]) -> bool:
    """Whether positions join as they stand: no particle seems to go far between two frames.

    Of positions that were wrapped somebody would, where somebody crossed.
    """
    before = None
    for frame in frames:
        inverse = np.linalg.inv(deep_cell(frame.configuration.box)).T
        x = _with_images(frame)
        if before is not None and not np.all(np.abs((x - before) @ inverse) < _FAR):
            return False
        before = x
    return True
