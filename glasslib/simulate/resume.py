"""How frames are kept: who made them, and how a killed run goes on where it stood."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from glasslib import engines, frames, writing
from glasslib.frames import Frame
from glasslib.systems import System


def record_interactions(system: System) -> dict:
    """What of a system a stored run must share beside its name, as JSON holds it."""
    pairs = [system.pair(a, b) for a in system.types for b in system.types if system.pairs]
    found = {
        "types": ", ".join(system.types),
        "composition": [float(c) for c in system.composition],
        "diameters": [float(system.diameters[t]) for t in system.types],
        "wavenumber": system.wavenumber,
        "thermostat_time": system.thermostat_time,
        "interactions": [float(x) for p in pairs for x in p.numbers],
        "truncations": ", ".join(p.truncation for p in pairs),
        "masses": [float(m) for m in system.mass(system.types)] if system.masses else None,
    }
    return {k: v for k, v in found.items() if v is not None and v != [] and v != ""}


def take_last(run) -> Frame:
    return deque(run, maxlen=1)[-1]


def stamp(frame: Frame, driver, **protocol) -> Frame:
    """Add who made the frame, and how, as JSON bytes (GSD logs hold numbers only)."""
    from glasslib import __version__

    made = {**driver.provenance(), **protocol, "glasslib": __version__}
    frame.log["provenance"] = np.frombuffer(json.dumps(made).encode(), dtype=np.uint8)
    return frame


def provenance(frame: Frame) -> dict:
    """Engine, version and protocol that made a frame; empty if it does not say."""
    stored = frame.log.get("provenance")
    return {} if stored is None else json.loads(bytes(np.asarray(stored, dtype=np.uint8)))


def make_in_parts(
    path: str | os.PathLike | None,
    n: int,
    one: Callable[[int, Frame | None], Frame],
    expected: Callable[[int], dict],
    progress: Callable[[int, int], None] | None,
    driver: engines.Engine,
    drop: Sequence[str] = (),
) -> list[Frame]:
    """Make frames one after the other, each from the one before, resuming from disk.

    Finished frames lie in ``path.parts/0000.gsd`` … until all are there; then ``path`` is
    written whole and the parts are removed. Of two runs on one path the second is refused while
    the first goes on (:func:`glasslib.writing.claim`).

    Parameters
    ----------
    path : path or None
        GSD file; None keeps nothing.
    n : int
        Frames in all.
    one : callable
        ``one(k, previous)`` makes frame ``k``; ``previous`` is None for the first.
    expected : callable
        Frame ``k`` found on disk must hold what ``expected(k)`` says, see
        :func:`check_same_run`; one that is gone on from must also be of the engine ``driver``,
        whole files may be of any that was not asked for otherwise.
    progress : callable or None
        Called with (frames done, frames in all).
    driver : glasslib.engines.base.Engine
    drop : sequence of str
        Log entries that later frames begin from and the finished file does without.

    Raises
    ------
    glasslib.geometry.FrameError
        For what another run has left.
    """
    made: list[Frame] = []
    if path is None:
        for k in range(n):
            made.append(one(k, made[-1] if made else None))
            if progress:
                progress(k + 1, n)
        return [_without(f, drop) for f in made]
    path = Path(path)
    parts = Path(f"{path}.parts")
    if path.exists():
        stored = frames.read(path)
        if len(stored) > n or (len(stored) < n and drop):
            raise frames.FrameError(
                f"{path} holds {len(stored)} configurations; this run makes {n}. Move it away to "
                "make it anew."
            )
        for k, frame in enumerate(stored):
            check_same_run(frame, expected(k), f"{path}[{k}]")
        if len(stored) < n:  # the first of them, by :func:`collect`
            with writing.claim(path):
                for k, frame in enumerate(stored):
                    if not (part := parts / f"{k:04d}.gsd").exists():
                        frames.write(part, frame)
                return _make_parts(path, n, one, expected, progress, driver, drop)
        shutil.rmtree(parts, ignore_errors=True)  # left if the last call was killed at its very end
        if progress:
            progress(n, n)
        return stored
    frames.check_writable(path)
    with writing.claim(path):
        if not path.exists():
            return _make_parts(path, n, one, expected, progress, driver, drop)
    # another run has finished it since
    return make_in_parts(path, n, one, expected, progress, driver, drop)


def collect(path: str | os.PathLike) -> int:
    """Write what an unfinished ensemble has finished as its file.

    The ensemble is one of :func:`glasslib.simulate.isoconfigurational`. The same run, called
    again, goes on after them. Draws of the configuration under way stay in ``path.parts``.

    Returns
    -------
    int
        How many configurations the file holds.

    Raises
    ------
    glasslib.geometry.FrameError
        Where there are none.
    """
    path = Path(path)
    with writing.claim(path):
        parts = sorted(Path(f"{path}.parts").glob("[0-9][0-9][0-9][0-9].gsd"))
        if [int(p.stem) for p in parts] != list(range(len(parts))) or not parts:
            raise frames.FrameError(f"{path}.parts holds no finished configurations.")
        if path.exists() and len(frames.read(path)) >= len(parts):
            return len(frames.read(path))
        frames.write(path, [frames.read(p)[0] for p in parts])
        return len(parts)


def _make_parts(path: Path, n: int, one, expected, progress, driver, drop) -> list[Frame]:
    """What :func:`make_in_parts` says, by the only process that writes ``path``."""
    made, parts = [], Path(f"{path}.parts")
    for k in range(n):
        part = parts / f"{k:04d}.gsd"
        if not part.exists():
            frames.write(part, one(k, made[-1] if made else None))
        (frame,) = frames.read(part)
        check_same_run(frame, {**expected(k), "engine": driver.name}, str(part))
        made.append(frame)
        if progress:
            progress(k + 1, n)
    made = [_without(f, drop) for f in made]
    frames.write(path, made)
    shutil.rmtree(parts, ignore_errors=True)
    return made


def check_same_run(frame: Frame, expected: dict, where: str) -> None:
    """Refuse a frame from disk that another protocol, or the same with other numbers, made.

    Names in ``expected`` are ``position``, log entries or entries of the provenance; those that
    the frame does not record are passed over, save the name of the protocol.
    """
    made = provenance(frame)
    for name, want in expected.items():
        have = frame.log.get(name, made.get(name))
        if name == "position":
            have = frame.particles.position
        if have is None and name != "protocol":
            continue
        if isinstance(want, (str, int)):  # bool, too
            same = have == want
        else:
            half_a_step = 0.5 * (expected.get("dt") or 0.0) if name.endswith("times") else 0.0
            same = np.shape(have) == np.shape(want) and np.allclose(
                have, want, rtol=1e-5, atol=half_a_step + 1e-8
            )
        if not same:
            difference = (
                f"begins from other positions ({name})"
                if name in ("position", "particles/thermal_position")
                else f"was made with {name} = {_short(have)}, this run has {_short(want)}"
            )
            raise frames.FrameError(
                f"{where} {difference}. Ask for what it holds, or move it away to make it anew."
            )


def _short(value: object) -> str:
    return frames.list_numbers(value) if np.ndim(value) else str(value)


def _without(frame: Frame, drop: Sequence[str]) -> Frame:
    return frames.copy(frame, log={k: v for k, v in frame.log.items() if k not in drop})
