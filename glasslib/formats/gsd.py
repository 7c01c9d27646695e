"""GSD, HOOMD schema: the format that glasslib writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import gsd.hoomd
import numpy as np

from glasslib.formats import untrusted
from glasslib.geometry import FrameError, deep_cell, list_numbers
from glasslib.snapshots import (
    FIELDS,
    IMAGES_UNKNOWN,
    OTHER_BOX,
    OTHER_ROWS,
    TOPOLOGY,
    WHY,
    WRAPPED,
    Frame,
    are_joined,
    check,
    copy,
    count_crossings,
    remove_dust,
    why_unknown,
)  # fmt: skip

#: GSD gives an (n, 1) array back as (n,); an entry of this name says which are meant as columns
COLUMN = "column/"


def read(path: Path) -> list[Frame]:
    """All frames of a GSD file, as they are stored: what GSD makes up is put right or refused."""
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
    borrowed = 0
    first: dict[str, int] = {}
    for k in range(n_frames):
        for group in ("particles", *TOPOLOGY):
            name = f"{group}/N"
            n = first.get(name, 0)
            if chunks.chunk_exists(frame=k, name=name):
                value = chunks.read_chunk(frame=k, name=name)
                if value.shape != (1,) or value.dtype.kind not in "ui" or value[0] < 0:
                    raise FrameError(
                        f"{path.name}[{k}]: {name} is {list_numbers(value.ravel()[:3])}; expected "
                        "one whole number. The file is damaged."
                    )
                n = int(value[0])
            if k == 0:
                first[name] = n
            own = chunks.chunk_exists(
                frame=k, name=f"{group}/{'position' if group == 'particles' else 'group'}"
            )
            borrowed += 0 if own else n
            if 8 * n > max(8 * _FEW, size) or 12 * borrowed > max(untrusted.LARGEST, 12 * _FEW):
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
        p.position = remove_dust(x, float(c.box[:2].max())).astype(x.dtype)
    if k and held["program"].startswith("HOOMD"):
        # its writer leaves momenta out unless asked: later frames show those of the first
        for name in ("velocity", "angmom"):
            if held[name][0] and not any(held[name][1:]):
                setattr(p, name, None)


def _judge_images(frames: list[Frame], held: dict) -> None:
    """Mark the frames of a GSD file whose images are not known."""
    for frame in frames:
        mark = frame.log.pop(IMAGES_UNKNOWN, None)
        if mark is not None and np.size(mark) and np.ravel(mark)[0] in WHY:
            frame.log[IMAGES_UNKNOWN] = mark
    if len(frames) < 2 or any(held["mark"]) or any(held["own"]):
        return
    for f in frames:
        cell = (
            deep_cell(f.configuration.box)
            if np.shape(f.configuration.box) == (6,)
            else np.zeros((3, 3))
        )
        whole = np.all(np.isfinite(cell)) and np.all(np.diag(cell) > 0)
        if not whole or any(
            np.shape(value) != (f.particles.N, 3)
            for value in (f.particles.position, count_crossings(f))
        ):
            return  # check says so
    boxes = np.stack([f.configuration.box for f in frames])
    why = 0
    if len({f.particles.N for f in frames}) > 1:
        why = OTHER_ROWS
    elif not any(held["image"][1:]) and not _outside(frames) and not are_joined(frames):
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
        if np.any(np.abs(x @ np.linalg.inv(deep_cell(frame.configuration.box)).T) > 1):
            return True
    return False


def prepare(frames: list[Frame], path: str | os.PathLike) -> Iterator[Frame]:
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
        for name, (row, kind, default) in FIELDS.items():
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
        if len(frames) > 1 or why_unknown(frame):
            made.log[IMAGES_UNKNOWN] = np.array([why_unknown(frame)], np.uint8)
        yield made
