"""Pair distribution functions, first-minimum cut-offs."""

import numpy as np
import pytest

from glasslib import frames, neighbors, structure, systems
from glasslib.simulate import lattice


def random_frame(n=400, edge=20.0, dimensions=2, seed=0, species=2):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-edge / 2, edge / 2, (n, dimensions))
    return frames.build(x, edge, rng.integers(species, size=n), dimensions=dimensions)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("pair", [None, ("A", "A"), ("A", "B")])
def test_ideal_gas_is_one(dimensions, pair):
    many = [random_frame(dimensions=dimensions, edge=12, seed=s) for s in range(40)]
    r, g = structure.radial_distribution(many, pair, r_max=5, bins=10)
    np.testing.assert_allclose(g[r > 1], 1.0, atol=0.04)


def naive_rdf(frame, a, b, r_max, bins):
    """Counts of pairs in shells over those of an ideal gas, by a double loop."""
    x = np.asarray(frame.particles.position, dtype=float)
    d = frames.dimensions(frame)
    edge = frame.configuration.box[:d].astype(float)
    of = np.asarray(frame.particles.typeid)
    counts, edges = np.zeros(bins), np.linspace(0, r_max, bins + 1)
    na, nb = (of == a).sum(), (of == b).sum()
    for i in np.flatnonzero(of == a):
        for j in np.flatnonzero(of == b):
            if i != j:
                s = x[i, :d] - x[j, :d]
                r = np.linalg.norm(s - edge * np.round(s / edge))
                if r < r_max:
                    counts[int(r / r_max * bins)] += 1
    shell = np.pi * np.diff(edges**2) if d == 2 else 4 / 3 * np.pi * np.diff(edges**3)
    partners = nb - 1 if a == b else nb
    return counts / (na * partners * shell / np.prod(edge))


@pytest.mark.parametrize("pair", [("A", "A"), ("A", "B")])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_against_double_loop(pair, dimensions):
    frame = random_frame(n=60, edge=8.0, dimensions=dimensions)
    _, g = structure.radial_distribution(frame, pair, r_max=3.5, bins=14)
    ids = [frame.particles.types.index(t) for t in pair]
    np.testing.assert_allclose(g, naive_rdf(frame, *ids, 3.5, 14), rtol=2e-3, atol=1e-3)


def test_average_over_frames_is_the_mean():
    a, b = random_frame(seed=1), random_frame(seed=2)
    both = structure.radial_distribution([a, b], r_max=6, bins=30)[1]
    each = [structure.radial_distribution(f, r_max=6, bins=30)[1] for f in (a, b)]
    np.testing.assert_allclose(both, np.mean(each, axis=0), rtol=1e-4)


def test_errors_say_what_to_do():
    frame = random_frame()
    with pytest.raises(ValueError, match="half the shortest box edge"):
        structure.radial_distribution(frame, r_max=11)
    with pytest.raises(ValueError, match="no species 'C'; the frame has A, B"):
        structure.radial_distribution(frame, ("A", "C"))
    with pytest.raises(ValueError, match="no frames"):
        structure.radial_distribution([])


def test_first_minimum_of_a_known_curve():
    r = np.linspace(0.5, 4, 700)
    g = 1 + 2 * np.exp(-((r - 1) ** 2) / 0.01) - 0.6 * np.exp(-((r - 1.5) ** 2) / 0.03)
    g += 0.5 * np.exp(-((r - 2) ** 2) / 0.03)
    assert neighbors.first_minimum(r, g, smooth=0.01) == pytest.approx(1.5, abs=0.01)


def test_first_minimum_needs_a_peak_and_a_minimum():
    r = np.linspace(0.1, 3, 100)
    with pytest.raises(ValueError, match="no peak"):
        neighbors.first_minimum(r, 0.5 * np.ones(100))
    with pytest.raises(ValueError, match="no minimum"):
        neighbors.first_minimum(r, 1 + np.exp(-((r - 2.85) ** 2) / 0.01))


def test_square_lattice_cutoff_lies_between_the_shells():
    frame = lattice(systems.get("bihani-2d"), n=400, density=1.0)
    rng = np.random.default_rng(0)
    shaken = frames.build(
        frame.particles.position[:, :2] + rng.normal(scale=0.06, size=(400, 2)),
        20.0, np.zeros(400, dtype=int), dimensions=2,
    )  # fmt: skip
    r, g = structure.radial_distribution(shaken, r_max=3, bins=200)
    assert 1.1 < neighbors.first_minimum(r, g) < 1.35  # shells at 1 and 1.414


def test_thermal_needs_a_cooled_frame():
    with pytest.raises(ValueError, match="not made by cool"):
        structure.thermal(random_frame())
