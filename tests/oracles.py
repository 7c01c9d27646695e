"""Slow but obvious: what the fast code is compared with, and files from outside the project."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from glasslib import fetching, frames, systems
from glasslib.systems import LennardJones, System

#: a three-dimensional and a flat mixture whose pairs are all truncated differently
MIXED_3D = systems.get("kob-andersen").with_(
    name="mixed-3d",
    pairs={
        ("A", "A"): LennardJones(1.0, 1.0, 2.5, "cut"),
        ("A", "B"): LennardJones(1.5, 0.8, 2.0, "shift"),
        ("B", "B"): LennardJones(0.5, 0.88, 2.2, "force_shift"),
    },
)
MIXED_2D = systems.get("bihani-2d").with_(name="mixed-2d", pairs=MIXED_3D.pairs)


def external(name: str) -> Path:
    """A file that nobody in this project wrote, or a skipped test."""
    root = Path(__file__).parents[1]
    path = fetching.find(name, root=root)
    if path is None:
        places = ", ".join(map(str, fetching.folders(root)))
        pytest.skip(f"no {name} in {places}; set GLASSLIB_EXTERNAL to the folder that has it")
    return path


def pair_sum(frame: frames.Frame, system: System) -> dict[str, np.ndarray]:
    """Energies, forces and virial pressure by a loop over all pairs and nearby box images."""
    n, d = frame.particles.N, system.dimensions
    x = np.asarray(frame.particles.position, dtype=np.float64)
    cell = frames.cell_matrix(frame.configuration.box)
    steps = itertools.product((-1, 0, 1), (-1, 0, 1), (0,) if d == 2 else (-1, 0, 1))
    images = np.array(list(steps)) @ cell.T
    kind = [frame.particles.types[t] for t in frame.particles.typeid]
    energy, force, virial = np.zeros(n), np.zeros((n, 3)), 0.0
    for i in range(n):
        for other in system.types:
            j = np.array([k for k in range(i) if kind[k] == other], dtype=int)
            if len(j) == 0:
                continue
            pair = system.pair(kind[i], other)
            apart = x[i] - x[j, None] + images  # (j, image, 3)
            r = np.linalg.norm(apart, axis=2)
            e = pair.energy(r).sum(axis=1)
            f = (pair.force(r) / r)[:, :, None] * apart
            energy[i] += e.sum() / 2
            energy[j] += e / 2
            force[i] += f.sum(axis=(0, 1))
            force[j] -= f.sum(axis=1)
            virial += np.sum(f * apart)
    return {
        "particles/energy": energy,
        "particles/force": force,
        "pressure": virial / (d * frames.volume(frame)),
    }


def refuses(call, *words: str) -> str:
    """``call`` must fail with a one-line message that holds all ``words``; returns it."""
    from glasslib.engines import EngineError

    with pytest.raises((ValueError, EngineError)) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"
    return message


def same(a: frames.Frame, b: frames.Frame, *, log: bool = True) -> None:
    """Two frames are equal to the last bit."""
    np.testing.assert_array_equal(a.particles.position, b.particles.position)
    np.testing.assert_array_equal(a.configuration.box, b.configuration.box)
    np.testing.assert_array_equal(a.particles.typeid, b.particles.typeid)
    np.testing.assert_array_equal(frames.unwrapped(a), frames.unwrapped(b))
    if log:
        assert set(a.log) == set(b.log)
        for name in a.log:
            np.testing.assert_array_equal(a.log[name], b.log[name], err_msg=name)
