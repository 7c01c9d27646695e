"""Pair distribution functions, first-minimum cut-offs, structure factors."""

import itertools

import numpy as np
import pytest
from oracles import external, refuses

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
    frame.particles.typeid[:] = 0
    frame.particles.typeid[0] = 1
    with pytest.raises(ValueError, match="1 and 1 particles of B and B; expected at least 2"):
        structure.radial_distribution(frame, ("B", "B"))
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


# ------------------------------------------------------------------------- structure factors


def naive_structure_factor(frame, pair, k_max, bins, keep=lambda n: True):
    """Re ρ_a ρ_b* / N of every integer wave vector of the box, binned by |k|."""
    d = frames.dimensions(frame)
    x = np.asarray(frame.particles.position, dtype=float)[:, :d]
    cell = frames.cell_matrix(frame.configuration.box)[:d, :d]
    back = 2 * np.pi * np.linalg.inv(cell)
    kind = np.asarray(frame.particles.typeid)
    a, b = (np.ones(len(x), bool),) * 2 if pair is None else (kind == "AB".index(p) for p in pair)
    most = int(k_max * np.abs(cell).sum() / (2 * np.pi)) + 1
    lengths, values = [[] for _ in range(bins)], [[] for _ in range(bins)]
    for n in itertools.product(range(-most, most + 1), repeat=d):
        k = np.array(n) @ back
        length = np.linalg.norm(k)
        if any(n) and length <= k_max and keep(n):
            rho = [np.exp(1j * x[s] @ k).sum() for s in (a, b)]
            shell = min(int(length / k_max * bins), bins - 1)
            values[shell].append((rho[0] * rho[1].conj()).real / len(x))
            lengths[shell].append(length)
    full = [i for i in range(bins) if values[i]]
    return tuple(np.array([np.mean(v[i]) for i in full]) for v in (lengths, values))


@pytest.mark.parametrize("pair", [None, ("A", "A"), ("A", "B")])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_structure_factor_against_the_plain_sum(pair, dimensions):
    frame = random_frame(n=50, edge=4.0, dimensions=dimensions, seed=4)
    k, S = structure.structure_factor(frame, pair, k_max=7.0, bins=13)
    expected = naive_structure_factor(frame, pair, 7.0, 13)
    np.testing.assert_allclose(k, expected[0], rtol=1e-6)
    np.testing.assert_allclose(S, expected[1], atol=1e-5)


def test_structure_factor_of_a_tilted_box():
    rng = np.random.default_rng(0)
    box = np.array([4.0, 4.5, 4.2, 0.3, -0.2, 0.1])
    x = rng.uniform(-0.5, 0.5, (50, 3)) @ frames.cell_matrix(box).T
    frame = frames.build(x, box, np.zeros(50, dtype=int))
    k, S = structure.structure_factor(frame, k_max=6.0, bins=9)
    expected = naive_structure_factor(frame, None, 6.0, 9)
    np.testing.assert_allclose(k, expected[0], rtol=1e-6)
    np.testing.assert_allclose(S, expected[1], atol=1e-5)


@pytest.mark.parametrize("pair", [None, ("A", "A"), ("A", "B")])
def test_conventions_of_freud(pair):
    """freud takes one octant of the wave vectors; there, it agrees with the plain sum above."""
    import freud

    frame = random_frame(n=50, edge=4.0, dimensions=3, seed=4)
    x, kind = frame.particles.position, frame.particles.typeid
    a, b = (x, None) if pair is None else (x[kind == "AB".index(p)] for p in pair)
    direct = freud.diffraction.StaticStructureFactorDirect(bins=8, k_max=7.0)
    direct.compute(
        (structure.freud_box(frame), a), query_points=b, N_total=None if pair is None else 50
    )
    octant = naive_structure_factor(frame, pair, 7.0, 8, keep=lambda n: min(n) >= 0)
    full = np.isin(np.arange(8), (octant[0] / 7.0 * 8).astype(int))
    np.testing.assert_allclose(direct.S_k[full], octant[1], atol=2e-4)


def test_total_structure_factor_is_the_sum_of_the_partial_ones():
    many = [random_frame(dimensions=3, edge=7.0, seed=s) for s in range(3)]

    def part(*pair):
        return structure.structure_factor(many, pair or None, k_max=12.0, bins=40)[1]

    parts = part("A", "A") + 2 * part("A", "B") + part("B", "B")
    np.testing.assert_allclose(part(), parts, atol=1e-9)
    np.testing.assert_allclose(part("A", "B"), part("B", "A"), atol=1e-12)
    each = [structure.structure_factor(f, k_max=12.0, bins=40)[1] for f in many]
    np.testing.assert_allclose(part(), np.mean(each, axis=0), atol=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_structure_factor_of_an_ideal_gas_is_one(dimensions):
    edge = 20.0 if dimensions == 2 else 8.0
    many = [random_frame(dimensions=dimensions, edge=edge, seed=s) for s in range(30)]
    k, S = structure.structure_factor(many, k_max=8.0, bins=8)
    np.testing.assert_allclose(S[k > 2], 1.0, atol=0.06)
    _, S = structure.structure_factor(many, ("A", "A"), k_max=8.0, bins=8)
    np.testing.assert_allclose(S[k > 2], 0.5, atol=0.06)
    _, S = structure.structure_factor(many, ("A", "B"), k_max=8.0, bins=8)
    np.testing.assert_allclose(S[k > 2], 0.0, atol=0.04)


def test_structure_factor_of_a_lattice_has_bragg_peaks():
    """S = N at the reciprocal lattice vectors and 0 between."""
    grid = np.stack(np.meshgrid(*[np.arange(8.0)] * 2), axis=-1).reshape(-1, 2) - 3.5
    frame = frames.build(grid, 8.0, np.zeros(64, dtype=int), dimensions=2)
    x = np.asarray(frame.particles.position, dtype=float)[:, :2]
    k = structure.wavevectors(frame.configuration.box, 0.1, 7.0)
    power = np.abs(structure.density_modes(x, k)) ** 2 / 64
    bragg = np.all(np.abs(k / (2 * np.pi) - np.rint(k / (2 * np.pi))) < 1e-9, axis=1)
    assert bragg.sum() == 2
    np.testing.assert_allclose(power[bragg], 64)
    np.testing.assert_allclose(power[~bragg], 0, atol=1e-9)


def test_structure_factor_invariances():
    frame = random_frame(n=100, edge=5.0, dimensions=3)
    rng = np.random.default_rng(0)
    order = rng.permutation(100)
    moved = frames.build(
        (frames.unwrapped(frame) + rng.normal(size=3))[order], 5.0,
        frame.particles.typeid[order],
    )  # fmt: skip
    for pair in (None, ("A", "B")):
        a = structure.structure_factor(frame, pair, k_max=8.0, bins=20)[1]
        b = structure.structure_factor(moved, pair, k_max=8.0, bins=20)[1]
        np.testing.assert_allclose(a, b, atol=1e-4)  # float32 positions


def test_kob_andersen_peaks_where_it_is_known_to():
    """First peak of the A-A structure factor of the ρ = 1.2 mixture: 7.2 to 7.3."""
    many = [frames.read(external(f"botan/isoconfig_N4096T0.44_{i}_tc07.npz"))[0] for i in (1, 2, 3)]
    k, S = structure.structure_factor(many, ("A", "A"), k_max=12.0, bins=120)
    assert structure.first_peak(k, S) == pytest.approx(7.25, abs=0.1)
    assert 1.5 < S.max() < 3.5


@pytest.mark.parametrize(("height", "where"), [(1.1, 3.0), (0.9, 7.0)])
def test_the_first_peak_is_half_as_high_as_the_highest(height, where):
    """A rise above 1 by a little more than half that of the highest counts, a lower does not."""
    k = np.linspace(0.5, 12, 400)
    S = 1 + 2 * np.exp(-((k - 7) ** 2) / 0.5) + height * np.exp(-((k - 3) ** 2) / 0.5)
    assert structure.first_peak(k, S, smooth=0.05) == pytest.approx(where, abs=0.05)


def test_first_peak_of_known_curves():
    k = np.linspace(0.4, 15, 147)
    S = 1 - np.exp(-((k / 4) ** 2)) + 1.8 * np.exp(-((k - 7.13) ** 2) / 0.5)
    S += 0.4 * np.exp(-((k - 12.4) ** 2) / 1.0)
    assert structure.first_peak(k, S) == pytest.approx(7.13, abs=0.01)
    rng = np.random.default_rng(0)
    found = [structure.first_peak(k, S + rng.normal(scale=0.03, size=147)) for _ in range(50)]
    np.testing.assert_allclose(found, 7.13, atol=0.1)
    kept = rng.random(147) < 0.8  # shells without wave vectors
    assert structure.first_peak(k[kept], S[kept]) == pytest.approx(7.13, abs=0.05)


def test_structure_factor_refuses():
    frame = random_frame()
    refuses(lambda: structure.structure_factor([]), "no frames")
    refuses(lambda: structure.structure_factor(frame, ("A", "C")), "no species 'C'")
    refuses(lambda: structure.structure_factor(frame, k_max=0.1), "k_max is 0.1", "0.3142")
    refuses(lambda: structure.structure_factor(frame, bins=0), "bins is 0")
    refuses(lambda: structure.wavevectors([4.0, 4.0], 3.0, 2.0), "from 3.0 to 2.0")
    refuses(lambda: structure.wavevectors([4.0, -4.0], 1.0, 2.0), "-4.0", "positive")
    refuses(lambda: structure.density_modes(np.ones((3, 2)), np.ones((3, 3))), "(3, 2)", "(N, d)")
    k = np.linspace(0, 10, 50)
    refuses(lambda: structure.first_peak(k, np.full(50, 0.5)), "no peak above 1", "k_max")
    refuses(lambda: structure.first_peak(k[::-1], np.ones(50)), "ascending")
