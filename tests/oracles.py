"""Slow but obvious: what the fast code is compared with, and files from outside the project."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

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


def gradient_flow(frame: frames.Frame, system: System, *, rtol: float = 1e-4) -> np.ndarray:
    """Where steepest descent dr/dt = F ends -> (N, 3), by a stiff solver with error control.

    All pairs, exact Hessian, until no force component exceeds 1e-4.
    """
    edge, n, d = float(frame.configuration.box[0]), frame.particles.N, system.dimensions
    kind = [frame.particles.types[t] for t in frame.particles.typeid]
    i, j = np.triu_indices(n, 1)
    pairs = [system.pair(kind[a], kind[b]) for a, b in zip(i, j, strict=True)]
    eps, sigma, cut = np.array([(p.epsilon, p.sigma, p.r_cut) for p in pairs]).T

    def near(x):
        apart = x.reshape(n, d)[i] - x.reshape(n, d)[j]
        apart -= edge * np.rint(apart / edge)
        m = np.flatnonzero(np.sum(apart**2, axis=1) < cut**2)
        r = np.linalg.norm(apart[m], axis=1)
        s6 = (sigma[m] / r) ** 6
        slope = -24 * eps[m] * (2 * s6**2 - s6) / r
        return m, apart[m] / r[:, None], r, s6, slope

    def force(_, x):
        m, u, _, _, slope = near(x)
        f = -slope[:, None] * u
        parts = [np.bincount(i[m], f[:, k], n) - np.bincount(j[m], f[:, k], n) for k in range(d)]
        return np.stack(parts, axis=1).ravel()

    def jacobian(_, x):
        m, u, r, s6, slope = near(x)
        curvature = 24 * eps[m] * (26 * s6**2 - 7 * s6) / r**2
        along = (curvature - slope / r)[:, None, None] * u[:, :, None] * u[:, None, :]
        block = -along - (slope / r)[:, None, None] * np.eye(d)
        full, own = np.zeros((n, d, n, d)), np.zeros((n, d, d))
        full[i[m], :, j[m], :] = full[j[m], :, i[m], :] = -block
        np.add.at(own, i[m], block)
        np.add.at(own, j[m], block)
        full[np.arange(n), :, np.arange(n), :] = own
        return full.reshape(n * d, n * d)

    def at_rest(t, x):
        return np.abs(force(t, x)).max() - 1e-4

    at_rest.terminal = True
    start = np.asarray(frame.particles.position, dtype=float)[:, :d].ravel()
    found = solve_ivp(
        force, (0, 1e5), start, method="BDF", jac=jacobian, rtol=rtol, atol=0.1 * rtol,
        events=at_rest,
    )  # fmt: skip
    assert found.status == 1, found.message
    end = np.zeros((n, 3))
    end[:, :d] = found.y[:, -1].reshape(n, d)
    return end


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
