"""Bond order: scipy's spherical harmonics, known crystals, freud, symmetries, what is refused."""

import itertools

import freud
import numpy as np
import pytest
from oracles import refuses
from scipy.spatial.transform import Rotation
from scipy.special import eval_legendre, sph_harm_y

from glasslib import descriptors, frames, neighbors
from glasslib.descriptors import averaged_bond_order, bond_order, translated
from glasslib.neighbors import Neighbors

ALL = range(1, 9)


def liquid(n=220, edge=6.0, seed=0):
    """Random particles that keep a distance."""
    rng = np.random.default_rng(seed)
    x = np.empty((0, 3))
    while len(x) < n:
        new = rng.uniform(-edge / 2, edge / 2, 3)
        d = x - new
        if len(x) == 0 or np.min(((d - edge * np.rint(d / edge)) ** 2).sum(1)) > 0.65**2:
            x = np.vstack([x, new])
    return frames.build(x, edge, np.arange(n) % 2)


def star(directions):
    """One particle with neighbours in these directions, which have none but it."""
    v = np.asarray(directions, dtype=float)
    n = len(v)
    return Neighbors(
        np.array([0, *range(n, 2 * n + 1)]), np.array([*range(1, n + 1), *[0] * n]),
        np.vstack([v, -v]), np.linalg.norm(np.vstack([v, -v]), axis=1),
    )  # fmt: skip


def naive(found, l, mode=None):  # noqa: E741
    """q_l, and its two averages, by loops over particles, neighbours and m."""
    n = len(found.counts)
    q_lm = np.zeros((n, 2 * l + 1), dtype=complex)
    for i in range(n):
        for k in range(found.offsets[i], found.offsets[i + 1]):
            x, y, z = found.vector[k] / np.linalg.norm(found.vector[k])
            for m in range(-l, l + 1):
                q_lm[i, m + l] += sph_harm_y(l, m, np.arccos(z), np.arctan2(y, x))
        q_lm[i] /= found.offsets[i + 1] - found.offsets[i]

    def mean(values):
        return np.array([
            (values[i] + sum(values[j] for j in found.index[found.offsets[i]:found.offsets[i + 1]]))
            / (found.counts[i] + 1) for i in range(n)
        ])  # fmt: skip

    def invariant(values):
        return np.sqrt(4 * np.pi / (2 * l + 1) * (np.abs(values) ** 2).sum(1))

    if mode == "components":
        return invariant(mean(q_lm))
    return invariant(q_lm) if mode is None else mean(invariant(q_lm))


def test_spherical_harmonics_are_scipys():
    rng = np.random.default_rng(0)
    v = np.vstack([rng.normal(size=(400, 3)), np.eye(3), -np.eye(3), [[1e-9, -1e-9, 1]]])
    v /= np.linalg.norm(v, axis=1)[:, None]
    theta = np.arctan2(np.hypot(v[:, 0], v[:, 1]), v[:, 2])  # exact near the poles too
    phi = np.arctan2(v[:, 1], v[:, 0])
    for l in range(13):  # noqa: E741
        expected = np.stack([sph_harm_y(l, m, theta, phi) for m in range(l + 1)], axis=1)
        found = bond_order.spherical_harmonics(v, l)
        np.testing.assert_allclose(found, expected, atol=1e-13 * (l + 1))


@pytest.mark.parametrize("mode", [None, "invariants", "components"])
def test_against_loops(mode):
    frame = liquid(n=60, edge=4.0)
    found = neighbors.sann(frame)
    if mode is None:
        result = bond_order.bond_order(frame)
    else:
        result = averaged_bond_order(frame, average_over=mode)
    assert result.shape == (60, 8)
    assert result.dtype == np.float64
    expected = np.stack([naive(found, order, mode) for order in ALL], axis=1)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-13)


def test_the_average_is_over_the_invariants_by_default():
    frame = liquid()
    q = bond_order.bond_order(frame)
    found = neighbors.sann(frame)
    i = 17
    group = [i, *found.index[found.offsets[i] : found.offsets[i + 1]]]
    np.testing.assert_allclose(averaged_bond_order(frame)[i], q[group].mean(axis=0), rtol=1e-13)
    lechner = averaged_bond_order(frame, average_over="components")
    assert np.all(lechner.mean(axis=0) < 0.9 * averaged_bond_order(frame).mean(axis=0))


def test_addition_theorem():
    """q_l² = Σ_jk P_l(cos γ_jk) / N_b², without any spherical harmonic."""
    frame = liquid(seed=1)
    found = neighbors.sann(frame)
    q = bond_order.bond_order(found, l=range(13))
    for i in range(0, 220, 20):
        u = found.vector[found.offsets[i] : found.offsets[i + 1]]
        u = u / np.linalg.norm(u, axis=1)[:, None]
        for l in range(13):  # noqa: E741
            expected = eval_legendre(l, np.clip(u @ u.T, -1, 1)).mean()
            assert q[i, l] ** 2 == pytest.approx(expected, abs=1e-13)


def permuted_signs(*vectors):
    out = set()
    for v in vectors:
        for p in itertools.permutations(v):
            for s in itertools.product((1, -1), repeat=3):
                out.add(tuple(a * b for a, b in zip(p, s, strict=True)))
    return sorted(out)


GOLDEN = (1 + 5**0.5) / 2
HEXAGON = [(np.cos(a), np.sin(a), 0) for a in np.arange(6) * np.pi / 3]
CAP = [(np.cos(a) / 3**0.5, np.sin(a) / 3**0.5, (2 / 3) ** 0.5)
       for a in np.pi / 6 + np.arange(3) * 2 * np.pi / 3]  # fmt: skip
ICOSAHEDRON = [v for v in permuted_signs((0, 1, GOLDEN))
               if (abs(v[0]), abs(v[1]), abs(v[2])) in
               {(0, 1, GOLDEN), (1, GOLDEN, 0), (GOLDEN, 0, 1)}]  # fmt: skip
KNOWN = {  # directions, q4, q6: Steinhardt et al. 1983; Mickel et al. JCP 138, 044501 (2013)
    "fcc": (permuted_signs((1, 1, 0)), 0.190941, 0.574524),
    "hcp": (HEXAGON + CAP + [(x, y, -z) for x, y, z in CAP], 0.097222, 0.484762),
    "bcc 8": (permuted_signs((1, 1, 1)), 0.509175, 0.628539),
    "bcc 14": (permuted_signs((1, 1, 1), (2, 0, 0)), 0.036370, 0.510688),
    "sc": (permuted_signs((1, 0, 0)), 0.763763, 0.353553),
    "icosahedron": (ICOSAHEDRON, 0.0, 0.663325),
}


@pytest.mark.parametrize(("directions", "q4", "q6"), KNOWN.values(), ids=KNOWN)
def test_known_environments(directions, q4, q6):
    q = bond_order.bond_order(star(directions), l=(4, 6))[0]
    np.testing.assert_allclose(q, [q4, q6], atol=1e-6)


def test_odd_orders_see_a_missing_centre_of_inversion():
    for name, (directions, *_) in KNOWN.items():
        odd = bond_order.bond_order(star(directions), l=(1, 3, 5, 7))[0]
        if name == "hcp":
            np.testing.assert_allclose(odd[0], 0, atol=1e-14)
            assert odd[1] > 0.05
        else:
            np.testing.assert_allclose(odd, 0, atol=1e-14)


def test_one_bond_has_all_orders_one_and_q0_is_always_one():
    np.testing.assert_allclose(bond_order.bond_order(star([[0.3, -2, 1]]), l=range(9)), 1.0)
    np.testing.assert_allclose(bond_order.bond_order(liquid(), l=0), 1.0)


def crystal(basis, n, edge, typeid=None):
    """n³ cells of ``edge`` (three numbers) with a basis in fractions."""
    cells = np.stack(np.meshgrid(*map(np.arange, n), indexing="ij"), -1).reshape(-1, 3)
    x = ((cells[:, None] + np.array(basis)).reshape(-1, 3)) * np.array(edge)
    kind = np.zeros(len(x), dtype=int) if typeid is None else np.tile(typeid, len(cells))
    return frames.build(x, np.array(n) * np.array(edge), kind)


FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
HCP = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 5 / 6, 0.5], [0, 1 / 3, 0.5]]
CRYSTALS = {
    "fcc": crystal(FCC, (5, 5, 5), [2**0.5] * 3),
    "hcp": crystal(HCP, (6, 4, 4), [1, 3**0.5, (8 / 3) ** 0.5]),
    "bcc": crystal([[0, 0, 0], [0.5, 0.5, 0.5]], (6, 6, 6), [1.2] * 3),
    "CsCl": crystal([[0, 0, 0], [0.5, 0.5, 0.5]], (6, 6, 6), [1.2] * 3, [0, 1]),
}


@pytest.mark.parametrize("name", ["fcc", "hcp"])
def test_perfect_crystals_by_sann(name):
    """All sites alike: averaging changes nothing."""
    frame = CRYSTALS[name]
    expected = bond_order.bond_order(star(KNOWN[name][0]))[0]
    for q in (bond_order.bond_order(frame), averaged_bond_order(frame)):
        np.testing.assert_allclose(q, np.tile(expected, (len(q), 1)), atol=1e-6)


def as_freud(frame, found):
    nlist = freud.locality.NeighborList.from_arrays(
        frame.particles.N, frame.particles.N, found.source, found.index,
        found.vector.astype(np.float32),
    )  # fmt: skip
    box = freud.box.Box.from_box(frame.configuration.box)
    return (box, frame.particles.position), nlist


@pytest.mark.parametrize("choice", ["sann", 1.3])
def test_freud(choice):
    """The q_l, and freud's average, which is the one over components."""
    frame = liquid(seed=2)
    found = neighbors.neighbor_list(frame, choice)
    system, nlist = as_freud(frame, found)
    for average in (False, True):
        steinhardt = freud.order.Steinhardt(l=list(ALL), average=average)
        theirs = steinhardt.compute(system, neighbors=nlist).particle_order
        if average:
            ours = averaged_bond_order(frame, neighbors=choice, average_over="components")
        else:
            ours = bond_order.bond_order(frame, neighbors=choice)
        np.testing.assert_allclose(ours, theirs, atol=5e-6)  # freud's float32


def turned(found, matrix):
    return found._replace(vector=found.vector @ matrix.T)


def test_invariance():
    frame = liquid(seed=3)
    found = neighbors.sann(frame)
    for average_over in ("invariants", "components"):
        reference = averaged_bond_order(found, average_over=average_over)
        for matrix in (*Rotation.random(3, random_state=1).as_matrix(), -np.eye(3)):
            q = averaged_bond_order(turned(found, matrix), average_over=average_over)
            np.testing.assert_allclose(q, reference, atol=1e-13)
        for shift in ([1.7, -2.2, 9.1], [6.0, 0.0, -12.0]):
            q = averaged_bond_order(translated(frame, shift), average_over=average_over)
            np.testing.assert_allclose(q, reference, atol=5e-6)
        order = np.random.default_rng(0).permutation(frame.particles.N)
        q = averaged_bond_order(frames.subset(frame, order), average_over=average_over)
        np.testing.assert_allclose(q, reference[order], atol=1e-13)


def test_rotation_of_a_whole_cluster():
    """Positions turned, not vectors: an open cluster in a wide box."""
    x = np.random.default_rng(4).uniform(-2, 2, (40, 3))
    turn = Rotation.random(random_state=5).as_matrix()
    one, other = (frames.build(p, 30.0, np.zeros(40, dtype=int)) for p in (x, x @ turn.T))
    a, b = (averaged_bond_order(f, neighbors=1.8) for f in (one, other))
    np.testing.assert_allclose(a, b, atol=5e-6)


def test_orders_are_columns():
    frame = liquid(seed=5)
    every = averaged_bond_order(frame)
    for orders in (6, (6,), [8, 2], np.array([4, 6])):
        part = averaged_bond_order(frame, l=orders)
        columns = np.atleast_1d(orders) - 1
        np.testing.assert_allclose(part, every[:, columns], rtol=1e-14)
    assert bond_order.column_names() == [f"q̄{k}" for k in ALL]
    assert bond_order.column_names((4, 6), averaged=False) == ["q4", "q6"]


def test_neighbours_by_any_choice():
    frame = liquid(seed=6)
    cutoffs = {("A", "A"): 1.3, ("A", "B"): 1.2, ("B", "B"): 1.1}
    made = neighbors.within(frame, cutoffs)
    reference = averaged_bond_order(frame, neighbors=cutoffs)
    np.testing.assert_array_equal(averaged_bond_order(frame, neighbors=made), reference)
    np.testing.assert_array_equal(averaged_bond_order(made), reference)
    assert not np.allclose(averaged_bond_order(frame), reference)


def test_without_neighbours_is_nan_and_said():
    frame = frames.build([[0, 0, 0], [1, 0, 0], [4, 4, 4]], 12.0, [0, 0, 0])
    with pytest.warns(RuntimeWarning, match="1 of 3 particles have no neighbours"):
        q = bond_order.bond_order(frame, neighbors=1.5)
    np.testing.assert_allclose(q[:2], 1.0)
    assert np.isnan(q[2]).all()
    for average_over in ("invariants", "components"):
        with pytest.warns(RuntimeWarning, match="no neighbours"):
            q = averaged_bond_order(frame, neighbors=1.5, average_over=average_over)
        assert np.isfinite(q[:2]).all()
        assert np.isnan(q[2]).all()


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystals_are_seen(name):
    frame = CRYSTALS[name]
    assert descriptors.crystalline_fraction(frame) == 1.0
    noise = np.random.default_rng(0).normal(scale=0.04, size=(frame.particles.N, 3))
    hot = frames.build(
        frame.particles.position + noise, frame.configuration.box[:3], frame.particles.typeid
    )
    assert descriptors.crystalline_fraction(hot) > 0.9


def test_a_liquid_is_not_a_crystal_and_a_seed_is_found():
    assert descriptors.crystalline_fraction(liquid(n=400, edge=7.4)) < 0.02
    solid = CRYSTALS["fcc"]
    x = solid.particles.position.astype(float)
    melted = np.linalg.norm(x, axis=1) > 2.6
    rng = np.random.default_rng(1)
    x[melted] += rng.normal(scale=0.25, size=(melted.sum(), 3))
    frame = frames.build(x, solid.configuration.box[:3], solid.particles.typeid)
    found = descriptors.crystalline(frame)
    inner, outer = np.linalg.norm(x, axis=1) < 1.5, np.linalg.norm(x, axis=1) > 3.2
    assert found.dtype == bool
    assert found[inner].all()
    assert found[outer].mean() < 0.05


def test_d6_by_hand():
    frame = liquid(seed=7)
    found = neighbors.sann(frame)
    q = np.stack([naive_q6(found, i) for i in range(220)])
    unit = q / np.linalg.norm(q, axis=1)[:, None]
    d6 = np.real(np.sum(unit[found.source] * unit[found.index].conj(), axis=1))
    for threshold, bonds in ((0.7, 7), (0.2, 5)):
        expected = np.bincount(found.source[d6 > threshold], minlength=220) >= bonds
        got = descriptors.crystalline(frame, threshold=threshold, bonds=bonds)
        np.testing.assert_array_equal(got, expected)
    assert 0 < expected.sum() < 220


def naive_q6(found, i):
    v = found.vector[found.offsets[i] : found.offsets[i + 1]]
    theta = np.arccos(v[:, 2] / np.linalg.norm(v, axis=1))
    phi = np.arctan2(v[:, 1], v[:, 0])
    return np.array([sph_harm_y(6, m, theta, phi).sum() for m in range(-6, 7)])


def test_what_is_refused():
    flat = frames.build([[0, 0], [1, 0]], 10.0, [0, 0], dimensions=2)
    refuses(lambda: averaged_bond_order(flat, neighbors=1.5), "2D", "hexatic")
    frame = liquid(n=30, edge=4.0)
    refuses(lambda: averaged_bond_order(frame, l=-1), "l is -1")
    refuses(lambda: averaged_bond_order(frame, l=()), "expected one order or several")
    refuses(lambda: averaged_bond_order(frame, l=2.0), "integers from 0")
    refuses(lambda: averaged_bond_order(frame, average_over="q"), "'invariants'", "'components'")
    refuses(lambda: averaged_bond_order(frame, neighbors="all"), "'all'", "'sann'")
    refuses(lambda: bond_order.spherical_harmonics(np.ones(3), 2), "(n, 3)")
