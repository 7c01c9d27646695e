"""Basic clusters: known molecules and crystals, and all subsets of small random networks."""

import itertools
from functools import partial

import numpy as np
import pytest
from oracles import refuses

from glasslib import frames, neighbors, rings
from glasslib.descriptors import crystalline_fraction
from glasslib.neighbors import Neighbors


def network(n, edges):
    """A neighbour list of bare bonds; nothing here looks at vectors."""
    both = np.array(sorted({(a, b) for a, b in edges} | {(b, a) for a, b in edges}), dtype=int)
    both = both.reshape(-1, 2)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(both[:, 0], minlength=n))])
    size = len(both)
    return Neighbors(offsets, both[:, 1], np.zeros((size, 3)), np.ones(size))


def brute_force(n, edges):
    """Clusters as frozen sets of (ring, spindles), from the definitions: every subset of three to
    five particles is a ring where each has two bonds to the others and all hang together."""
    bonded = {frozenset(e) for e in edges}
    found = {name: set() for name in rings.NAMES}
    for size in (3, 4, 5):
        for chosen in itertools.combinations(range(n), size):
            inside = [e for e in bonded if e <= set(chosen)]
            degrees = [sum(p in e for e in inside) for p in chosen]
            if degrees != [2] * size:  # with no chord; 5 particles of degree 2 are one ring
                continue
            spindles = [
                j for j in range(n)
                if j not in chosen and all(frozenset((j, p)) in bonded for p in chosen)
            ]  # fmt: skip
            letter = {0: "a", 1: "b", 2: "c"}.get(len(spindles), "a")
            kept = spindles if letter != "a" else []
            found[f"sp{size}{letter}"].add((frozenset(chosen), frozenset(kept)))
    return found


def as_sets(found):
    out = {}
    for name, clusters in found.items():
        size = int(name[2])
        out[name] = {(frozenset(c[:size]), frozenset(c[size:])) for c in clusters.tolist()}
        assert len(out[name]) == len(clusters), f"{name} has a cluster twice"
    return out


@pytest.mark.parametrize("seed", range(12))
def test_against_all_subsets(seed):
    rng = np.random.default_rng(seed)
    n = 15
    pairs = np.array(list(itertools.combinations(range(n), 2)))
    edges = pairs[rng.random(len(pairs)) < rng.uniform(0.2, 0.6)].tolist()
    assert as_sets(rings.classify(network(n, edges))) == brute_force(n, edges)


def test_the_random_networks_hold_every_kind():
    """Otherwise the comparison above would be silent about some."""
    seen = dict.fromkeys(rings.NAMES, 0)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pairs = np.array(list(itertools.combinations(range(15), 2)))
        edges = pairs[rng.random(len(pairs)) < rng.uniform(0.2, 0.6)].tolist()
        for name, clusters in rings.classify(network(15, edges)).items():
            seen[name] += len(clusters)
    assert min(seen.values()) > 0, seen


def ring(n):
    return [(k, (k + 1) % n) for k in range(n)]


def with_spindles(n, spindles, bonded=False):
    """A ring of n with spindles bonded to all of it, and perhaps to one another."""
    edges = ring(n) + [(n + s, k) for s in range(spindles) for k in range(n)]
    if bonded:
        edges += itertools.combinations(range(n, n + spindles), 2)
    return network(n + spindles, edges)


def counts(found):
    return {name: len(clusters) for name, clusters in found.items() if len(clusters)}


GOLDEN = (1 + 5**0.5) / 2
ICOSAHEDRON = [[0, 0, 0]] + [
    [s * a, t * b, u * c]
    for a, b, c in ((0, 1, GOLDEN), (1, GOLDEN, 0), (GOLDEN, 0, 1))
    for s, t, u in itertools.product((1, -1), repeat=3)
    if (s > 0 or a) and (t > 0 or b) and (u > 0 or c)
]
MOLECULES = {  # all rings of each, also those of its faces
    "triangle": (with_spindles(3, 0), {"sp3a": 1}),
    "tetrahedron": (with_spindles(3, 1), {"sp3b": 4}),
    "triangular bipyramid, 5A": (with_spindles(3, 2), {"sp3b": 6, "sp3c": 1}),
    "square": (with_spindles(4, 0), {"sp4a": 1}),
    "square pyramid": (with_spindles(4, 1), {"sp3a": 4, "sp4b": 1}),
    "octahedron, 6A": (with_spindles(4, 2), {"sp3a": 8, "sp4c": 3}),
    "pentagon": (with_spindles(5, 0), {"sp5a": 1}),
    "pentagonal pyramid": (with_spindles(5, 1), {"sp3a": 5, "sp5b": 1}),
    # the spindles touch: five tetrahedra about their bond, whose ten outer faces have one apex
    # and whose five shared faces two
    "pentagonal bipyramid, 7A": (
        with_spindles(5, 2, bonded=True), {"sp3b": 10, "sp3c": 5, "sp5c": 1}
    ),
    "hexagon": (network(6, ring(6)), {}),
    "nobody": (network(4, []), {}),
}  # fmt: skip


@pytest.mark.parametrize(("bonds", "expected"), MOLECULES.values(), ids=MOLECULES)
def test_molecules(bonds, expected):
    assert counts(rings.classify(bonds)) == expected


def test_a_bond_between_the_spindles_does_not_matter():
    for n in (4, 5):
        for bonded in (False, True):
            found = rings.classify(with_spindles(n, 2, bonded))[f"sp{n}c"].tolist()
            assert [*range(n), n, n + 1] in found


def test_three_spindles_make_an_a():
    found = rings.classify(with_spindles(5, 3))
    assert found["sp5a"].tolist() == [[0, 1, 2, 3, 4]]
    assert len(found["sp5b"]) == len(found["sp5c"]) == 0


def test_an_icosahedron_is_twelve_pentagonal_bipyramids():
    """13A: the centre and each of the twelve are the spindles of one sp5c."""
    frame = frames.build(ICOSAHEDRON, 30.0, np.zeros(13, dtype=int))
    bonds = neighbors.within(frame, 2.05)  # edges 2, radius 1.902
    assert sorted(bonds.counts.tolist()) == [6] * 12 + [12]
    found = rings.classify(bonds)["sp5c"]
    assert len(found) == 12
    assert np.all(found[:, 5] == 0)
    assert sorted(found[:, 6].tolist()) == list(range(1, 13))


def test_order_of_the_columns():
    """Rings in the order of their bonds from the lowest index, then the spindles."""
    name = [5, 2, 6, 0, 4, 3, 1]  # ring 5-2-6-0-4, spindles 3 and 1
    bare = with_spindles(5, 2)
    edges = [(name[i], name[j]) for i, j in zip(bare.source, bare.index)]
    assert rings.classify(network(7, edges))["sp5c"].tolist() == [[0, 4, 5, 2, 6, 1, 3]]
    edges = [(name[i], name[j]) for i, j in ring(4)]
    assert rings.classify(network(7, edges))["sp4a"].tolist() == [[0, 5, 2, 6]]


def crystal(basis, n, edge):
    cells = np.stack(np.meshgrid(*map(np.arange, n), indexing="ij"), -1).reshape(-1, 3)
    x = (cells[:, None] + np.array(basis)).reshape(-1, 3) * np.array(edge)
    return frames.build(x, np.array(n) * np.array(edge), np.zeros(len(x), dtype=int))


def test_fcc():
    """A particle has two tetrahedra and one octahedron. All eight faces a particle separate one of
    each: 8 sp3b; the three squares of an octahedron: 3 sp4c; no ring without spindle."""
    basis = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    frame = crystal(basis, (5, 5, 5), [2**0.5] * 3)
    bonds = neighbors.sann(frame)
    n = frame.particles.N
    assert counts(rings.classify(bonds)) == {"sp3b": 8 * n, "sp4c": 3 * n}
    voronoi = neighbors.modified_voronoi(frame)
    assert counts(rings.classify(voronoi)) == {"sp3b": 8 * n, "sp4c": 3 * n}
    # 4 particles an sp3b, 6 an sp4c; all particles alike
    expected = np.tile([0, 32, 0, 0, 0, 18, 0, 0, 0], (n, 1))
    np.testing.assert_array_equal(rings.membership(bonds), expected)


def test_hcp():
    """Tetrahedra share a face in pairs (one sp3c a particle), octahedra share two of their faces
    along c (one sp3a), six faces a particle separate one of each; squares as in fcc."""
    basis = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 5 / 6, 0.5], [0, 1 / 3, 0.5]]
    frame = crystal(basis, (6, 4, 4), [1, 3**0.5, (8 / 3) ** 0.5])
    bonds = neighbors.sann(frame)
    n = frame.particles.N
    assert counts(rings.classify(bonds)) == {"sp3a": n, "sp3b": 6 * n, "sp3c": n, "sp4c": 3 * n}
    each = rings.membership(bonds)
    assert np.all(each == each[0])
    assert each[0].tolist() == [3, 24, 5, 0, 0, 18, 0, 0, 0] == brute_around(bonds, 0)


def test_a_laves_phase_is_all_tetrahedra():
    """MgCu2: coordination 12 (two thirds) and 16, so 20/3 bonds, 17/3 tetrahedra and 34/3 faces a
    particle, each between two tetrahedra; six bonds a particle are the axis of five."""
    fcc = np.array([[0, 0, 0], [0, 4, 4], [4, 0, 4], [4, 4, 0]])
    others = [[0, 0, 0], [2, 2, 2], [5, 5, 5], [5, 7, 7], [7, 5, 7], [7, 7, 5]]
    basis = np.concatenate([fcc + other for other in others]) % 8 / 8
    frame = crystal(basis, (3, 3, 3), [2.5] * 3)
    bonds = neighbors.sann(frame)
    n = frame.particles.N
    assert np.bincount(bonds.counts)[[12, 16]].tolist() == [2 * n // 3, n // 3]
    assert counts(rings.classify(bonds)) == {"sp3c": 34 * n // 3, "sp5c": 6 * n}
    # Its sites are icosahedral: orientational order of sixth order does not see this crystal.
    assert crystalline_fraction(frame) == 0


def brute_around(bonds, i):
    """Memberships of one particle, by all subsets of those at most two bonds away."""
    rows = np.split(bonds.index, bonds.offsets[1:-1])
    adjacent = [set(row.tolist()) for row in rows]
    out = []
    near = sorted(set().union(*(adjacent[j] for j in adjacent[i])))  # holds i
    far = sorted(set(near).union(*(adjacent[j] for j in near)))
    out = dict.fromkeys(rings.NAMES, 0)
    for size in (3, 4, 5):
        met = set()
        # a ring that holds i lies within two bonds, one whose spindle i is within one
        for start in sorted({i} | adjacent[i]):
            for path in chains([start], size, adjacent):
                met.add(frozenset(path))
        for chosen in met:
            assert chosen <= set(far)
            if any(len(adjacent[p] & chosen) != 2 for p in chosen):
                continue
            spindles = set.intersection(*(adjacent[p] for p in chosen))
            letter = "abc"[len(spindles)] if len(spindles) < 3 else "a"
            if i in chosen or (i in spindles and len(spindles) < 3):
                out[f"sp{size}{letter}"] += 1
    return list(out.values())


def chains(path, size, adjacent):
    if len(path) == size:
        if path[0] in adjacent[path[-1]]:
            yield path
        return
    for j in adjacent[path[-1]]:
        if j not in path:
            yield from chains([*path, j], size, adjacent)


def liquid(n=250, edge=6.4, seed=0):
    rng = np.random.default_rng(seed)
    x = np.empty((0, 3))
    while len(x) < n:
        new = rng.uniform(-edge / 2, edge / 2, 3)
        d = x - new
        if len(x) == 0 or np.min(((d - edge * np.rint(d / edge)) ** 2).sum(1)) > 0.65**2:
            x = np.vstack([x, new])
    return frames.build(x, edge, np.zeros(n, dtype=int))


MADE = {
    "sann": neighbors.sann,
    "cut-off": partial(neighbors.within, r_cut=1.25),
    # with the authors' 0.82 a liquid as loose as this one lacks the clusters of two spindles
    "modified Voronoi": partial(neighbors.modified_voronoi, f_c=1.0),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_liquid(make):
    """Single particles by loops; memberships and clusters tell the same; names do not matter."""
    frame = liquid()
    bonds = make(frame)
    found, each = rings.classify(bonds), rings.membership(bonds)
    assert each.shape == (250, 9)
    assert each.dtype == np.int64
    for i in (0, 77, 249):
        assert each[i].tolist() == brute_around(bonds, i)
    assert each.sum(axis=0).tolist() == [found[name].size for name in rings.NAMES]
    assert min(len(clusters) for clusters in found.values()) > 0
    order = np.random.default_rng(1).permutation(250)
    shuffled = make(frames.subset(frame, order))
    np.testing.assert_array_equal(rings.membership(shuffled), each[order])


def test_one_sided_pairs_are_refused():
    raw = neighbors.sann(liquid(), symmetrize=None)
    refuses(lambda: rings.classify(raw), "one-sided", "dropped()")
    refuses(lambda: rings.membership(raw), "one-sided")
    assert rings.membership(neighbors.dropped(raw)).sum() > 0
