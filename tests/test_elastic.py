"""Linear response at rest, against a Hessian of difference quotients and its pseudo-inverse."""

import numpy as np
import pytest
from oracles import refuses

from glasslib import frames, simulate, systems
from glasslib.descriptors.elastic import COLUMNS, elastic_response


@pytest.fixture(scope="module", params=["bihani-2d", "kob-andersen-force-shifted"])
def at_rest(request):
    system = systems.get(request.param)
    n = 64 if system.dimensions == 2 else 170
    frame = simulate.liquid(system, kT=1.0, n=n, melt_time=2, duration=3, seed=2, engine="lammps")
    return system, simulate.inherent_structure(frame, system, force_tolerance=1e-7, engine="lammps")


def forces(x, frame, system):
    """(N, d) in double precision, all pairs at their nearest images."""
    edge = np.asarray(frame.configuration.box[: x.shape[1]], dtype=float)
    apart = x[:, None] - x[None]
    apart -= edge * np.rint(apart / edge)
    r = np.linalg.norm(apart, axis=2) + 1e9 * np.eye(len(x))
    kind, total = frame.particles.typeid, np.zeros(r.shape)
    for a, one in enumerate(system.types):
        for b, two in enumerate(system.types):
            total += np.outer(kind == a, kind == b) * system.pair(one, two).force(r)
    return np.sum((total / r)[:, :, None] * apart, axis=1)


def hessian(frame, system, step=1e-5):
    """(Nd, Nd) from forces at displaced positions."""
    x = np.asarray(frame.particles.position, dtype=float)[:, : system.dimensions]
    rows = []
    for k in range(x.size):
        shift = np.zeros(x.size)
        shift[k] = step
        sides = [forces(x + s * shift.reshape(x.shape), frame, system) for s in (1, -1)]
        rows.append((sides[1] - sides[0]).ravel() / (2 * step))
    return (np.array(rows) + np.array(rows).T) / 2


def test_against_the_pseudo_inverse(at_rest):
    system, frame = at_rest
    d, n = system.dimensions, frame.particles.N
    G = np.linalg.pinv(hessian(frame, system), rcond=1e-6, hermitian=True)
    own = np.array([G[d * i : d * i + d, d * i : d * i + d] for i in range(n)])
    got = elastic_response(frame, system)
    assert got.shape == (n, len(COLUMNS))
    want = np.log(np.trace(own, axis1=1, axis2=2))
    np.testing.assert_allclose(got[:, 0], want, atol=1e-3)
    np.testing.assert_allclose(got[:, 1], np.log(np.linalg.eigvalsh(own)[:, -1]), atol=1e-3)
    edge = np.asarray(frame.configuration.box[:d], dtype=float)
    x = np.asarray(frame.particles.position, dtype=float)[:, :d]
    stretch, shift = [], []
    for i in range(n):
        r = x - x[i]
        r -= edge * np.rint(r / edge)
        size = np.linalg.norm(r, axis=1)
        R = []
        for j in np.flatnonzero((size > 0) & (size < 1.4)):
            a, b = slice(d * i, d * i + d), slice(d * j, d * j + d)
            relative, e = G[a, a] + G[b, b] - G[a, b] - G[b, a], r[j] / size[j]
            R.append((e @ relative @ e, np.trace(relative)))
        stretch.append(np.mean(R, axis=0)[0])
        shift.append(np.mean(R, axis=0)[1])
    np.testing.assert_allclose(got[:, 2], np.log(stretch), atol=1e-3)
    np.testing.assert_allclose(got[:, 3], np.log(shift), atol=1e-3)


def test_cages_of_a_cold_run(at_rest):
    """Who rattles far in molecular dynamics at kT → 0 is who is held softly.

    (A thermostat hardly shares energy between modes of a harmonic solid, so sizes are compared
    with each other and not with kT tr G_ii, which the pseudo-inverse has tested.)
    """
    system, frame = at_rest
    kT = 1e-5
    made = simulate.cage_positions(
        frame, system, kT=kT, duration=60.0, n_runs=8, n_samples=120, seed=3, engine="lammps"
    )
    seen = 2 * np.log(np.asarray(made.log["particles/cage_size"], dtype=float))
    want = elastic_response(frame, system)[:, 0]
    assert np.corrcoef(seen, want)[0, 1] > 0.9
    assert np.abs(np.mean(seen - want) - np.log(kT)) < 0.5


def test_all_alike_in_a_crystal():
    """Every particle of a triangular lattice is held alike, and as softly in any direction."""
    rows, edge = 10, 1.05
    x = [
        (edge * (a + 0.5 * (b % 2)), edge * np.sqrt(0.75) * b, 0)
        for a in range(rows)
        for b in range(rows)
    ]
    box = (rows * edge, rows * edge * np.sqrt(0.75), 0)
    frame = frames.wrapped(frames.build(x, box, [0] * len(x), types=["A", "B"], dimensions=2))
    got = elastic_response(frame, systems.get("bihani-2d"))
    np.testing.assert_allclose(got - got[0], 0, atol=1e-3)
    np.testing.assert_allclose(got[:, 0] - np.log(2), got[:, 1], atol=0.05)


def test_bad_input(at_rest):
    system, frame = at_rest
    hot = frames.copy(frame)
    rng = np.random.default_rng(0)
    hot.particles.position = frame.particles.position + np.float32(
        rng.normal(scale=0.1, size=frame.particles.position.shape)
        * (np.arange(3) < system.dimensions)
    )
    refuses(lambda: elastic_response(hot, system), "no minimum", "inherent_structure")
    for near in (0.0, -1.0, float("nan")):
        refuses(lambda near=near: elastic_response(frame, system, near=near), "near", str(near))
    hard = systems.get("hard-spheres")
    refuses(lambda: elastic_response(frame, hard), "hard particles", "Hessian")
    many = frames.build(rng.uniform(-9, 9, (5001, 3)), 20.0, [0] * 5001, types=["A", "B"])
    refuses(lambda: elastic_response(many, systems.get("kob-andersen")), "15003", "15000")
