"""Labelled configurations: the public ones, a liquid of the book, or one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, frames, geometry, stored
from glasslib.frames import Frame
from glasslib.systems import System

LEVEL = 0.27  #: of F_A at the published times of Kob–Andersen mixtures


@dataclass(frozen=True)
class Stock:
    """Configurations with one label a particle.

    Attributes
    ----------
    system : System
        Who made them; whose potential quenches them.
    n : int
        How many there are.
    load : callable
        Reads them.
    inputs : list
        What tells them from others, for the fingerprint of what is learned from them.
    """

    system: System
    n: int
    load: Callable[[], list[Frame]]
    inputs: list


def take_public(root: Path) -> Stock:
    """The ten public configurations at T = 0.44; they need not be here to read what is stored."""
    from glasslib.studies import temperatures

    system, paths, checksums = temperatures.find_public(root)

    def load() -> list[Frame]:
        if not paths:
            raise stored.StoredError(
                "the public set is not here, and the result needs it; bring it with: "
                "glasslib fetch botan"
            )
        return [frames.read(path)[0] for path in paths]

    return Stock(system, len(checksums), load, list(checksums))


def take(source: str, system: System, root: Path) -> Stock:
    """:func:`take_frames` of a file, or :func:`take_public` where none is named.

    Raises
    ------
    ValueError
        Where the public set is asked for with a potential that did not make it.
    """
    if source:
        return take_frames(source, system)
    stock = take_public(root)
    if system.name != stock.system.name:
        raise ValueError(
            f"the public set was made by {stock.system.name}, and system is {system.name}; give "
            "frames, a GSD file of labelled configurations, or the potential that made the set."
        )
    return stock


def take_frames(source: str | Path | Sequence[Frame], system: System) -> Stock:
    """Labelled configurations of one's own: a GSD file, or frames.

    Of propensities at several times that at the relaxation time is taken, where the scattering
    function of A falls to :data:`LEVEL`; without such a function the last.

    Raises
    ------
    ValueError
        For frames without ``log['particles/propensity']``, or fewer than four of them.
    """
    made = list(frames.read(source)) if isinstance(source, (str, Path)) else list(source)
    missing = [k for k, f in enumerate(made) if "particles/propensity" not in f.log]
    if len(made) < 4 or missing:
        raise ValueError(
            f"{source if isinstance(source, (str, Path)) else 'frames'}: {len(made)} frames, "
            f"{len(missing)} of them without log['particles/propensity']; expected four or more "
            "labelled configurations, as simulate.isoconfigurational writes them."
        )
    made = [at_one_time(f) for f in made]
    inputs = [
        np.asarray(x) for f in made for x in (f.particles.position, f.log["particles/propensity"])
    ]
    return Stock(system, len(made), lambda: made, inputs)


def at_one_time(frame: Frame) -> Frame:
    """The frame with labels at one time, (N,): at the relaxation time, or the last."""
    names = [n for n in ("particles/propensity", "particles/propensity_variance") if n in frame.log]
    if np.ndim(frame.log[names[0]]) == 1:
        return frame
    k = -1
    if "self_isf_A" in frame.log:
        k = dynamics.nearest(frame.log["times"], dynamics.decay_time(frame, LEVEL))
    return frames.copy(frame, log={n: frame.log[n][:, k] for n in names})


def load_liquid(folders: Sequence[Path], system: System, state: float) -> dict[str, Frame]:
    """All configurations of a liquid with draws, from several folders, by name."""
    found: dict[str, Frame] = {}
    for folder in folders:
        found |= frames.read_all(
            Path(folder) / "isoconfigurational", f"{system.name}-{state:g}-*.gsd"
        )
    return found


def rest(frame: Frame) -> Frame:
    """The inherent structure that a labelled frame carries, as a frame of its own."""
    quiet = frames.copy(frame, log={})
    quiet.particles.position = frame.log["particles/inherent_position"]
    return quiet


def shift(one: Frame, two: Frame, include: np.ndarray) -> np.ndarray:
    """(n,) distance of each included particle between two frames of one box, σ_AA."""
    d = np.asarray(one.particles.position, dtype=float) - two.particles.position
    return np.linalg.norm(geometry.nearest_image(d, one.configuration.box)[include], axis=1)
