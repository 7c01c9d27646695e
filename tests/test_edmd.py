"""Event-driven dynamics against closed formulas, equations of state and a loop over all pairs."""

from __future__ import annotations

import itertools

import numpy as np
import oracles
import pytest

from glasslib import frames, systems
from glasslib.engines import EngineError, edmd
from glasslib.engines.edmd import Edmd, Simulation

SPHERES = systems.get("hard-spheres")
DISKS = systems.get("hard-disks")


def slow(x, v, sigma, mass, box, time):
    """Event-driven dynamics by a loop over all pairs and images -> positions, velocities."""
    x, v, now, hits = x.copy(), v.copy(), 0.0, 0
    n, d = x.shape
    images = np.array(list(itertools.product(range(-8, 9), repeat=d))) * box
    pairs = list(itertools.combinations(range(n), 2))
    while True:
        first = (np.inf, None)
        for i, j in pairs:
            w = v[j] - v[i]
            r = x[j] - x[i] + images - box * np.round((x[j] - x[i]) / box)
            b = r @ w
            c = np.sum(r**2, axis=1) - ((sigma[i] + sigma[j]) / 2) ** 2
            root = b**2 - (w @ w) * c
            meets = (b < 0) & (root >= 0)
            if meets.any():
                t = (-b[meets] - np.sqrt(root[meets])) / (w @ w)
                k = np.argmin(t)
                if t[k] < first[0]:
                    first = (t[k], (i, j, r[meets][k]))
        t, pair = first
        if now + t > time:
            return x + v * (time - now), v, hits
        x += v * t
        now += t
        i, j, r = pair
        r = r + (v[j] - v[i]) * t
        kick = 2 * (r @ (v[j] - v[i])) / (r @ r) / (mass[i] + mass[j])
        v[i] += kick * mass[j] * r
        v[j] -= kick * mass[i] * r
        hits += 1


def fluid(system, n, eta, *, time=2.0, seed=0):
    """A simulation at k_BT = 1 that has moved for a while."""
    frame = edmd.grow(system, n=n, eta=eta, seed=seed, rate=0.1)
    simulation = edmd.begin(frame, system, kT=1.0, seed=seed)
    simulation.advance(time)
    simulation.reset_pressure()
    return simulation


def lattice(n_side, d, spacing, seed=0):
    """Positions on a simple lattice and velocities without net momentum."""
    x = np.stack(np.meshgrid(*[np.arange(n_side)] * d, indexing="ij"), axis=-1).reshape(-1, d)
    v = np.random.default_rng(seed).normal(size=x.shape)
    return (x + 0.5) * spacing, v - v.mean(axis=0), np.full(d, n_side * spacing)


def contact_values(eta, sigma, fraction, d):
    """σ_ij and g_ij(σ_ij), as matrices.

    d = 3: Boublik; Mansoori, Carnahan, Starling and Leland, J. Chem. Phys. 54, 1523 (1971):
    g_ij = 1/(1-η) + 3η/(1-η)² s_ij + 2η²/(1-η)³ s_ij², s_ij = σ_i σ_j/(2σ_ij) ⟨σ²⟩/⟨σ³⟩.
    d = 2: Santos, Yuste and López de Haro, Mol. Phys. 96, 1 (1999), on the equation of Luding,
    Phys. Rev. E 63, 042201 (2001), for one size, which is Henderson's and a correction:
    g_ij = 1/(1-η) + [9η/16/(1-η)² - η³/128/(1-η)⁴] σ_i σ_j/σ_ij ⟨σ⟩/⟨σ²⟩.
    """
    sij = (sigma[:, None] + sigma) / 2
    s = sigma[:, None] * sigma / sij * (fraction @ sigma ** (d - 1)) / (fraction @ sigma**d)
    if d == 2:
        excess = 9 / 16 * eta / (1 - eta) ** 2 - eta**3 / 128 / (1 - eta) ** 4
        return sij, 1 / (1 - eta) + excess * s
    s /= 2
    return sij, 1 / (1 - eta) + 3 * eta / (1 - eta) ** 2 * s + 2 * eta**2 / (1 - eta) ** 3 * s**2


def equation_of_state(eta, sigma, fraction, d):
    """P / ρk_BT = 1 + 2^{d-1} η/⟨σ^d⟩ Σ x_i x_j σ_ij^d g_ij."""
    sij, g = contact_values(eta, sigma, fraction, d)
    total = fraction @ (sij**d * g) @ fraction
    return 1 + 2 ** (d - 1) * eta / (fraction @ sigma**d) * total


# -------------------------------------------------------------------------------- few particles


@pytest.mark.parametrize("d", [2, 3])
def test_two_particles_meet_where_and_when_they_should(d):
    along = np.eye(d)[0]
    x = np.array([[1.0] * d, [1.0] * d])
    x[1] += 3 * along
    mass = np.array([1.0, 3.0])
    sim = Simulation(x, [2 * along, 0 * along], [1.0, 1.4], mass, [8.0] * d)
    sim.advance(0.9)  # a gap of 1.8 closes at speed 2
    assert sim.collisions == 0
    sim.advance(0.6)
    assert sim.collisions == 1
    np.testing.assert_allclose(sim.velocity, [-1 * along, 1 * along], atol=1e-15)
    np.testing.assert_allclose(sim.position - x, [1.2 * along, 0.6 * along], atol=1e-14)
    # 2 μ |v| passes over the contact distance 1.2: PV = (Σ m v² + 2·0.75·2·1.2/1.5) / d
    assert sim.pressure() * 8**d * d == pytest.approx(4 + 3.6 / 1.5)


def test_a_glancing_collision_turns_by_the_angle_of_contact():
    b = 0.6  # impact parameter: the line of centres is at asin(0.6)
    sim = Simulation([[1, 1], [3, 1 + b]], [[1, 0], [0, 0]], [1, 1], None, [9, 9])
    sim.advance(2.0)
    normal = np.array([0.8, 0.6])
    np.testing.assert_allclose(sim.velocity[1], 0.8 * normal, atol=1e-15)
    np.testing.assert_allclose(sim.velocity[0], [1, 0] - 0.8 * normal, atol=1e-15)
    np.testing.assert_allclose(sim.position[1], [3, 1 + b] + 0.8 * normal * 0.8, atol=1e-15)


@pytest.mark.parametrize(("d", "n"), [(3, 2), (3, 5), (2, 3), (2, 7)])
def test_small_boxes_like_a_loop_over_all_images(d, n):
    rng = np.random.default_rng(n)
    sigma = rng.uniform(0.6, 1.0, n)
    mass = rng.uniform(0.5, 2.0, n)
    box = np.array([2.05, 2.3, 2.1])[:d] if n < 4 else np.array([2.6, 2.9, 2.7])[:d]
    while True:  # random sequential addition
        x = rng.uniform(0, 1, (n, d)) * box
        if edmd.closest(x, sigma, box)[0] > 1:
            break
    v = rng.normal(size=(n, d))
    sim = Simulation(x, v, sigma, mass, box)
    time = {2: 20.0, 3: 8.0, 5: 5.0, 7: 3.0}[n]
    sim.advance(time)
    position, velocity, hits = slow(x, v, sigma, mass, box, time)
    assert sim.collisions == hits > 3
    np.testing.assert_allclose(sim.position, position, atol=1e-6)
    np.testing.assert_allclose(sim.velocity, velocity, atol=1e-6)


def test_nothing_moves_where_nothing_has_speed():
    sim = Simulation([[1, 1, 1], [3, 3, 3]], np.zeros((2, 3)), [1, 1], None, [5, 5, 5])
    sim.advance(1e6)
    assert sim.collisions == 0
    np.testing.assert_array_equal(sim.position, [[1, 1, 1], [3, 3, 3]])


# ------------------------------------------------------------------------------ the trajectory


@pytest.mark.parametrize(("system", "eta"), [(SPHERES, 0.56), (DISKS, 0.76), (SPHERES, 0.1)])
def test_conserves_and_never_overlaps(system, eta):
    d = system.dimensions
    sim = fluid(system, 300, eta)
    energy, momentum = sim.kinetic_energy(), sim.velocity.sum(axis=0)
    before, last = sim.collisions, sim.position
    gap = np.inf
    for _ in range(40):
        sim.advance(0.05)
        x = sim.position
        assert np.abs(x - last).max() < 0.5  # unwrapped: no jumps by a box
        last = x
        gap = min(gap, sim.smallest_gap())
    assert sim.collisions - before > 500
    assert gap > -1e-12
    assert sim.kinetic_energy() == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(sim.velocity.sum(axis=0), momentum, atol=1e-11)
    r = x[:, None] - x
    r -= sim.box * np.round(r / sim.box)
    r = np.linalg.norm(r, axis=2) - (sim.diameter[:, None] + sim.diameter) / 2
    assert sim.smallest_gap() == pytest.approx(r[~np.eye(len(x), dtype=bool)].min(), abs=1e-12)
    assert x.shape == (300, d)


def test_ten_million_collisions_conserve_energy_and_momentum():
    sim = fluid(SPHERES, 1000, 0.5)
    energy, momentum = sim.kinetic_energy(), sim.velocity.sum(axis=0)
    speed = np.abs(sim.velocity).sum()
    before, gap = sim.collisions, np.inf
    while sim.collisions - before < 10_000_000:
        sim.advance(100.0)
        gap = min(gap, sim.smallest_gap())
    assert gap > -1e-12
    assert sim.kinetic_energy() == pytest.approx(energy, rel=1e-10)
    np.testing.assert_allclose(sim.velocity.sum(axis=0), momentum, atol=1e-10 * speed)


@pytest.mark.parametrize("system", [SPHERES, DISKS])
def test_time_reversal_leads_back(system):
    sim = fluid(system, 200, system.packing_fractions[0])
    x = sim.position
    sim.advance(0.1)
    back = Simulation(sim.position, -sim.velocity, sim.diameter, sim.mass, sim.box)
    back.advance(0.1)
    assert back.collisions > 300
    np.testing.assert_allclose(back.position, x, atol=1e-7)


def test_unequal_masses_and_sizes_share_the_energy():
    """Equipartition; and one big particle whose neighbours outgrow the lists."""
    x, v, box = lattice(8, 3, 0.75)
    centre = np.argmin(np.linalg.norm(x - box / 2, axis=1))
    keep = np.linalg.norm(x - x[centre], axis=1) > 1.8
    keep[centre] = True
    big = np.flatnonzero(np.flatnonzero(keep) == centre)[0]
    x, v = x[keep], v[keep]
    sigma, mass = np.full(len(x), 0.5), np.random.default_rng(3).choice([1.0, 3.0], len(x))
    sigma[big] = 2.9
    sim = Simulation(x, v, sigma, mass, box)
    np.testing.assert_array_equal(sim.mass, mass)
    np.testing.assert_array_equal(sim.diameter, sigma)
    energies = []
    for _ in range(60):
        sim.advance(0.5)
        energies.append(mass * np.sum(sim.velocity**2, axis=1))
    assert sim.smallest_gap() > -1e-12
    assert sim._events["degree"].max() > 40
    energies = np.mean(energies[20:], axis=0)
    assert energies[mass == 3].mean() == pytest.approx(energies[mass == 1].mean(), rel=0.05)


def test_neighbour_lists_hold_who_is_near():
    sim = fluid(SPHERES, 150, 0.5)
    h = np.stack([sim._homes[a] for a in "xyz"], axis=1)
    r = h[:, None] - h
    image = -np.round(r / sim.box)
    far = np.linalg.norm(r + image * sim.box, axis=2)
    radius = sim._particles["radius"]
    near = far < radius[:, None] + radius + 2 * sim._clock["reach"][0]
    np.fill_diagonal(near, False)
    lists = sim._neighbours.reshape(150, -1)
    for i in range(150):
        mine = lists[i, : sim._events["degree"][i]]
        assert sorted(mine >> 5) == list(np.flatnonzero(near[i]))


@pytest.mark.parametrize(("n", "seed"), [(6, 13), (6, 41), (6, 77), (60, 0), (60, 1)])
def test_lists_are_mutual_in_small_boxes(n, seed):
    """Where several images of one particle are near, and lists must grow on the way."""
    rng = np.random.default_rng(seed)
    d = 2 + seed % 2
    box = rng.uniform(2.0, 2.6, d)
    sigma = rng.uniform(0.2, 1.0, n)
    x = rng.uniform(0, 1, (n, d)) * box
    small = min(0.999 * edmd.closest(x, sigma, box)[0], 1.0)
    start = Simulation(x, rng.normal(size=(n, d)), small * sigma, None, box, growth_rate=1.0)
    packed = min((0.4 / start.packing_fraction) ** (1 / d), 1 / small)
    start.advance(packed - 1)
    sim = Simulation(start.position, start.velocity, start.diameter, None, box)
    sim.advance(5.0)
    assert min(start.smallest_gap(), sim.smallest_gap()) > -1e-12
    lists = sim._neighbours.reshape(n, -1)
    degree = sim._events["degree"]
    held = [(i, c >> 5, c & 31) for i in range(n) for c in lists[i, : degree[i]].tolist()]
    assert len(set(held)) == len(held)
    assert {(j, i, 26 - image) for i, j, image in held} == set(held)


def test_sampling_and_resuming_do_not_disturb():
    a = fluid(SPHERES, 100, 0.5, seed=4)
    b, c = (Simulation.from_state(a.state()) for _ in range(2))
    a.advance(3.0)
    for t in np.diff(np.r_[0, np.sort(np.random.default_rng(0).uniform(0, 3, 30))]):
        b.advance(t)
        b.smallest_gap()
    c.advance(1.25)
    c = Simulation.from_state(c.state())
    for other in (b, c):
        other._until(a.time, 10**9)  # sums of times round
        assert other.collisions == a.collisions
        np.testing.assert_array_equal(other.position, a.position)
        np.testing.assert_array_equal(other.velocity, a.velocity)
        assert other.pressure() == pytest.approx(a.pressure(), rel=1e-12)
    with pytest.raises(ValueError, match="lacks clock"):
        Simulation.from_state({k: v for k, v in a.state().items() if k != "clock"})


def test_diameters_grow_at_the_given_rate():
    x, v, box = lattice(5, 3, 1.0)
    sim = Simulation(x, v, np.full(125, 0.5), None, box, growth_rate=0.4)
    for _ in range(10):
        sim.advance(0.15)
        assert sim.smallest_gap() > -1e-12
    np.testing.assert_allclose(sim.diameter, 0.5 * 1.6)
    assert sim.packing_fraction == pytest.approx(np.pi / 6 * 0.8**3)
    assert sim.kinetic_energy() > 1.02 * np.sum(v**2) / 2  # moving surfaces do work


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("way", [1, -1])
def test_who_goes_through_the_wall_is_met_where_it_comes_out(first, way):
    """The other's event was foretold with the old image, and is void once that has changed."""
    rng, order = np.random.default_rng(0), [first, 1 - first]
    for start, high, speed in rng.uniform([5.3, -0.7, 0.5], [6.3, 0.7, 2], (30, 3)):
        x = np.array([[start, 4.0 + high], [3.0, 4.0]])
        v = np.array([[speed, 0.0], [0.0, 0.0]])
        sim = Simulation((way * x)[order], (way * v)[order], [1.0, 1.0], None, [8.0, 8.0])
        normal = np.array([np.sqrt(1 - high**2), -high])
        meets = (11 - normal[0] - start) / speed
        sim.advance(meets + 0.1)
        assert sim.collisions == 1
        gained = speed * normal[0] * normal
        expected = way * np.array([v[0] - gained, gained])
        np.testing.assert_allclose(sim.velocity[order], expected, atol=1e-12)
        moved = way * v * meets + 0.1 * expected
        np.testing.assert_allclose((sim.position - (way * x)[order])[order], moved, atol=1e-12)


@pytest.mark.parametrize("mass", [(2.0, 5.0), (5.0, 2.0)])
def test_pressure_counts_the_mass_of_both(mass):
    """A momentum of 2 μ v passes over the contact distance once in the time of the run."""
    sim = Simulation([[1.0, 4], [4, 4]], [[1.0, 0], [-1, 0]], [1.0, 1.4], mass, [8.0, 8])
    sim.advance(2.0)
    assert sim.collisions == 1
    passed = 2 * (2 * 5 / 7) * 2
    assert sim.pressure() * 64 * 2 == pytest.approx(7 + passed * 1.2 / 2)


def test_growing_surfaces_push():
    """Head on: the gap 1.5 closes at speed 1 and 0.2 of growth; they part 2 · 0.2 faster."""
    x = np.array([[1.0, 2, 2], [3.5, 2, 2]])
    v = np.array([[0.75, 0, 0], [-0.25, 0, 0]])
    sim = Simulation(x, v, [1.0, 1.0], [1.0, 3.0], [8.0] * 3, growth_rate=0.2)
    sim.advance(1.25 - 1e-9)
    assert sim.collisions == 0
    sim.advance(1.0)
    assert sim.collisions == 1
    part = 2 * 1.0 + 2 * 0.2  # change of the relative velocity, shared by the masses
    np.testing.assert_allclose(
        sim.velocity[:, 0], [0.75 - part * 3 / 4, -0.25 + part / 4], atol=1e-12
    )
    assert sim.diameter == pytest.approx([1.45, 1.45])


def test_overlaps_are_refused_from_the_rounding_on():
    def meet(ratio):
        return Simulation([[1.0, 1], [1 + ratio, 1]], np.zeros((2, 2)), [1.0, 1.0], None, [8.0, 8])

    meet(1 - 1e-13)
    for ratio in (1 - 1e-11, 1 - 1e-9):
        with pytest.raises(ValueError, match="particles 0 and 1 overlap"):
            meet(ratio)


def test_a_particle_at_the_edge_is_in_the_box():
    """-1e-17 and the whole edge are the same place as 0, and are filed there."""
    for edge in (-1e-17, 8.0, 0.0):
        x = np.array([[edge, 4.0, 4.0], [7.0, 4.0, 4.0], [3.0, 4.0, 4.0]])
        ratio, gap, i, j = edmd.closest(x, np.ones(3), np.full(3, 8.0))
        assert {i, j} == {0, 1}
        assert (ratio, gap) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))


def test_a_run_of_no_more_events_than_allowed_ends():
    x, v, box = lattice(4, 2, 1.5)

    def made():
        return Simulation(x, v, np.ones(16), None, box)

    whole = made()
    whole.advance(3.0)
    events = int(whole._clock["events"][0])
    assert events > 50
    assert made().advance_to(3.0, limit=events)
    assert not made().advance_to(3.0, limit=events - 1)


# ------------------------------------------------------------------------- against equations


@pytest.mark.parametrize(
    ("system", "eta"), [(SPHERES, 0.3), (SPHERES, 0.5), (SPHERES, 0.55), (DISKS, 0.3), (DISKS, 0.6)]
)
def test_pressure_follows_the_equation_of_state(system, eta):
    sim = fluid(system, 600, eta, time=5.0)
    sim.advance(30.0)
    sigma = np.array([system.diameters[t] for t in system.types])
    expected = equation_of_state(eta, sigma, np.array(system.composition), system.dimensions)
    rho = 600 / np.prod(sim.box)
    kT = 2 * sim.kinetic_energy() / system.dimensions / 600
    assert sim.pressure() / (rho * kT) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("d", [2, 3])
def test_collision_rate_of_a_dilute_gas(d):
    """Enskog: Γ per particle and time = 2 √(πk_BT) ρσ g (2D), 4 √(πk_BT) ρσ² g (3D)."""
    x, v, box = lattice({2: 24, 3: 9}[d], d, {2: 4.0, 3: 2.2}[d])
    n = len(x)
    v *= np.sqrt(d * (n - 1) / np.sum(v**2))
    rho = n / np.prod(box)
    eta = rho * {2: np.pi / 4, 3: np.pi / 6}[d]
    g = contact_values(eta, np.ones(1), np.ones(1), d)[1][0, 0]
    rate = {2: 2.0, 3: 4.0}[d] * np.sqrt(np.pi) * rho * g
    sim = Simulation(x, v, np.ones(n), None, box)
    sim.advance(20.0)
    before = sim.collisions
    sim.advance(2e5 / (n * rate))  # 1e5 collisions, in which two take part each
    assert sim.collisions - before == pytest.approx(1e5, rel=0.02)


def test_a_hundred_thousand_particles():
    x, v, box = lattice(47, 3, 1.15)
    sim = Simulation(x, v, np.ones(len(x)), None, box)
    sim.advance(0.3)
    assert sim.collisions > 1e5
    assert sim.smallest_gap() > -1e-12
    assert sum(a.nbytes for a in sim.state().values()) < 500 * len(x)


def test_a_configuration_from_outside():
    path = oracles.external("cvt/binary_n10000.sph")
    with path.open() as lines:
        n = int(next(lines))
        box = np.array(next(lines).split(), dtype=float)
        rows = np.array([line.split()[1:] for line in lines], dtype=float)
    x, sigma = rows[:, :3], 2 * rows[:, 3]
    assert n == len(x)
    assert np.bincount((sigma < 0.9).astype(int)).tolist() == [3000, 7000]
    assert edmd.closest(x, sigma, box)[1] > 0
    v = np.random.default_rng(0).normal(size=x.shape)
    v *= np.sqrt(3 * n / np.sum(v**2))
    sim = Simulation(x, v, sigma, None, box)
    assert sim.packing_fraction == pytest.approx(0.58, abs=1e-5)
    sim.advance(0.5)
    assert sim.smallest_gap() > -1e-12
    assert sim.pressure() == pytest.approx(34.4, abs=1.0)


# ----------------------------------------------------------------------------------- frames


@pytest.fixture(scope="module", params=[SPHERES, DISKS], ids=["spheres", "disks"])
def grown(request):
    return request.param, edmd.grow(request.param, n=200, rate=0.05, seed=1)


def test_growth_reaches_the_packing_fraction(grown):
    system, frame = grown
    d = system.dimensions
    box = frame.configuration.box[:d].astype(float)
    sigma = np.array([system.diameters[frame.particles.types[t]] for t in frame.particles.typeid])
    eta = {2: np.pi / 4, 3: np.pi / 6}[d] * np.sum(sigma**d) / np.prod(box)
    assert eta == pytest.approx(system.packing_fractions[0], rel=1e-6)
    assert np.bincount(frame.particles.typeid).tolist() == list(system.counts(200))
    x = frame.particles.position[:, :d].astype(float)
    assert edmd.closest(x, sigma, box)[0] > 1 - 1e-6
    assert np.sum(frame.particles.velocity.astype(float) ** 2) == pytest.approx(d * 199, rel=1e-5)
    oracles.same(frame, edmd.grow(system, n=200, rate=0.05, seed=1))


def test_frames_at_the_sample_times(grown):
    system, start = grown
    d = system.dimensions
    run = list(Edmd().run(start, system, duration=1.5, sample_times=[0, 0.2, 1.0]))
    assert [f.log["time"][0] for f in run] == [0, 0.2, 1.0]
    assert all(v.shape == (1,) for f in run for v in f.log.values())
    rho = 200 / frames.volume(start)
    assert run[0].log["pressure"][0] == pytest.approx(rho * run[0].log["kT"][0] * 199 / 200)
    assert run[2].log["pressure"][0] > 10 * rho
    assert run[0].log["collisions"][0] == 0 < run[1].log["collisions"][0]
    assert run[2].log["kinetic_energy"][0] == pytest.approx(d / 2 * 199 / 200, rel=1e-5)
    np.testing.assert_array_equal(run[0].particles.velocity, start.particles.velocity)
    np.testing.assert_allclose(
        frames.unwrapped(run[0]), frames.unwrapped(start), atol=3e-6
    )  # touching pairs are pushed apart
    again = list(Edmd().run(start, system, duration=1.5, sample_times=[1.0]))
    np.testing.assert_array_equal(again[0].particles.position, run[2].particles.position)
    moved = np.linalg.norm(frames.unwrapped(run[2]) - frames.unwrapped(start), axis=1)
    assert 0.01 < np.median(moved) < moved.max() < 3
    # and each frame is a start again
    (last,) = Edmd().run(run[2], system, duration=0.3, ensemble="nvt")
    assert last.log["kT"][0] == pytest.approx(1.0, rel=1e-5)


def test_velocities_are_drawn_once_and_from_the_seed(grown):
    system, frame = grown
    frame = frames.copy(frame)
    frame.particles.velocity = None
    a, b, c = (
        next(iter(Edmd().run(frame, system, kT=2.5, duration=1, sample_times=[0], seed=s)))
        for s in (1, 1, 2)
    )
    oracles.same(a, b)
    assert np.any(a.particles.velocity != c.particles.velocity)
    assert a.log["kT"][0] == pytest.approx(2.5)
    np.testing.assert_allclose(a.particles.velocity.sum(axis=0), 0, atol=1e-4)


def test_masses_of_species():
    heavy = SPHERES.with_(masses={"A": 4.0})
    frame = edmd.grow(heavy, n=200, eta=0.45, rate=0.1)
    mass = np.array([4.0, 1.0])[frame.particles.typeid]
    v = frame.particles.velocity.astype(float)
    assert np.sum(mass[:, None] * v**2) == pytest.approx(3 * 199, rel=1e-5)
    np.testing.assert_allclose(mass @ v, 0, atol=1e-4)
    frame.particles.velocity = None
    run = list(Edmd().run(frame, heavy, duration=1, sample_times=[0, 1]))
    for f in run:
        v = f.particles.velocity.astype(float)
        assert f.log["kT"][0] == pytest.approx(1, rel=1e-9)
        assert np.sum(mass[:, None] * v**2) == pytest.approx(3 * 199, rel=1e-5)
        np.testing.assert_allclose(mass @ v, 0, atol=1e-4)


def test_single_precision_overlaps_are_undone():
    """A crystal at contact, as float32 leaves it."""
    spacing = 1.0 + 2e-8
    x, v, edge = lattice(5, 3, spacing)
    x += np.random.default_rng(1).uniform(-4e-7, 4e-7, x.shape)
    system = SPHERES.with_(types=("A",), composition=(1.0,), diameters={"A": 1.0})
    frame = frames.build(x, edge[0] * (1 + 1e-5), np.zeros(125, int), types=("A",), velocity=v)
    assert edmd.closest(x, np.ones(125), edge)[0] < 1 - 3e-7
    run = list(Edmd().run(frame, system, duration=0.01, sample_times=[0, 0.01]))
    np.testing.assert_allclose(frames.unwrapped(run[0]), frames.unwrapped(frame), atol=2e-5)
    np.testing.assert_array_equal(run[0].particles.velocity, frame.particles.velocity)
    assert run[1].log["collisions"][0] > 1000


# ------------------------------------------------------------------------------------ refusals


def test_refuses_overlaps_and_says_which(grown):
    system, frame = grown
    frame = frames.copy(frame)
    frame.particles.position[7] = frame.particles.position[3] + np.float32(0.01)
    frame.particles.position[7, 2] *= system.dimensions == 3
    with pytest.raises(EngineError, match="particles 3 .* and 7"):
        next(iter(Edmd().run(frames.wrapped(frame), system, duration=1)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"duration": 0}, ["duration"]),
        ({"duration": np.inf}, ["duration"]),
        ({"sample_times": [0.5, 0.2]}, ["ascend"]),
        ({"sample_times": [-1.0]}, ["ascend from 0"]),
        ({"sample_times": [np.nan]}, ["finite"]),
        ({"sample_times": [2.0]}, ["beyond"]),
        ({"sample_times": []}, ["sample_times"]),
        ({"kT": -1.0}, ["kT"]),
        ({"kT": (1.0, 0.5)}, ["athermal"]),
        ({"ensemble": "npt"}, ["npt", "nve"]),
        ({"system": systems.get("kob-andersen")}, ["soft"]),
        ({"system": DISKS}, ["3D", "2D"]),
        ({"system": SPHERES.with_(types=("A", "C"))}, ["diameter", "C"]),
        ({"system": SPHERES.with_(types=("A",), diameters={"A": 1.0})}, ["B"]),
    ],
)
def test_refuses_runs_that_make_no_sense(change, words):
    x, v, box = lattice(4, 3, 1.2)
    start = frames.build(x, box[0], np.arange(64) % 2, velocity=v)
    options = {"frame": start, "system": SPHERES, "duration": 1.0} | change
    oracles.refuses(lambda: Edmd().run(**options), *words)


def test_refuses_frames_it_cannot_hold():
    x, v, box = lattice(4, 3, 1.2)
    tilted = frames.build(x, np.r_[box, 0.1, 0, 0], np.zeros(64, int), velocity=v)
    oracles.refuses(lambda: Edmd().run(tilted, SPHERES, duration=1), "tilted")
    one = frames.build(x[:1], 5.0, np.zeros(1, int))
    oracles.refuses(lambda: Edmd().run(one, SPHERES, duration=1), "at least 2")
    small = frames.build(x[:2], 1.9, np.zeros(2, int))
    oracles.refuses(lambda: Edmd().run(small, SPHERES, duration=1), "1.9")
    ones = np.ones(64)
    for arguments, words in (
        ((x, v[:5], ones, None, box), ["velocity"]),
        ((x, v, ones, -ones, box), ["mass", "positive"]),
        ((x * np.nan, v, ones, None, box), ["position", "finite"]),
        ((x[:, :2], v[:, :2], ones, None, box), ["position", "(N, 3)"]),
        ((x, v, ones, None, box[:1]), ["box"]),
        ((x, v, 2.5 * ones, None, box), ["two diameters"]),
        ((x, v, 1.21 * ones, None, box), ["overlap"]),
    ):
        oracles.refuses(lambda a=arguments: Simulation(*a), *words)
    sim = Simulation(x, v, ones, None, box)
    oracles.refuses(lambda: sim.advance(-1), "time")
    oracles.refuses(lambda: Simulation(x, v, ones, None, box, growth_rate=-1), "growth_rate")


def test_refuses_growth_that_cannot_be():
    grow = edmd.grow
    one = SPHERES.with_(types=("A",), composition=(1.0,), diameters={"A": 1.0})
    oracles.refuses(lambda: grow(one, eta=0.75), "0.7405")
    oracles.refuses(lambda: grow(one, n=1), "at least 2")
    oracles.refuses(lambda: grow(SPHERES, eta=0.0), "eta")
    oracles.refuses(lambda: grow(SPHERES, n=2, eta=0.5), "two diameters")
    oracles.refuses(lambda: grow(SPHERES, n=1), "at least")
    oracles.refuses(lambda: grow(SPHERES.with_(composition=(1.0, 0.0)), n=50), "at least one")
    oracles.refuses(lambda: grow(SPHERES, rate=0.0), "rate")
    oracles.refuses(lambda: grow(SPHERES.with_(packing_fractions=())), "eta")
    oracles.refuses(lambda: grow(systems.get("kob-andersen")), "soft")
    oracles.refuses(lambda: grow(SPHERES, n=100, eta=0.72, rate=0.1), "jammed", "0.72")


def test_has_no_energy_landscape(grown):
    system, frame = grown
    oracles.refuses(lambda: Edmd().minimize(frame, system, force_tolerance=1), "energy minima")
    oracles.refuses(lambda: Edmd().evaluate(frame, system), "energies")
    assert Edmd().provenance()["engine"] == "edmd"
