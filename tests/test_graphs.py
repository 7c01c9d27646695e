"""Graphs: analytic cases, an O(N²) oracle, symmetries, and the authors' public bonds."""

import subprocess
import sys

import numpy as np
import pytest
from oracles import external

from glasslib import frames, systems
from glasslib.descriptors import bond_lengths, bonds, graph, node_features, translated

CUTOFFS = systems.get("bihani-2d").bond_cutoffs


def disordered(seed=0, n=120, edge=10.0, dimensions=2):
    rng = np.random.default_rng(seed)
    position = rng.uniform(0, edge, (n, dimensions))
    typeid = (np.arange(n) >= 0.65 * n).astype(int)
    return frames.build(position, edge, typeid, dimensions=dimensions)


def naive_bonds(frame, cutoffs):
    position = np.asarray(frame.particles.position, dtype=np.float64)
    edges = np.asarray(frame.configuration.box[:3], dtype=np.float64)
    edges = np.where(edges == 0, 1.0, edges)
    names = [frame.particles.types[t] for t in frame.particles.typeid]
    found = []
    for i in range(len(position)):
        for j in range(len(position)):
            d = position[i] - position[j]
            d -= edges * np.rint(d / edges)
            pair = tuple(sorted((names[i], names[j])))
            if i != j and np.sqrt(d @ d) < cutoffs[pair]:
                found.append((i, j))
    return found


def pairs(edge_index):
    return set(map(tuple, edge_index.T.tolist()))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_bonds_agree_with_all_pairs(dimensions):
    frame = disordered(dimensions=dimensions, edge=10.0 if dimensions == 2 else 6.0)
    edge_index = bonds(frame, CUTOFFS)
    assert edge_index.dtype == np.int64
    assert list(map(tuple, edge_index.T.tolist())) == naive_bonds(frame, CUTOFFS)


def test_square_lattice():
    x, y = np.meshgrid(np.arange(6.0), np.arange(6.0))
    frame = frames.build(np.column_stack([x.ravel(), y.ravel()]), 6.0, [0] * 36, dimensions=2)
    assert np.all(np.bincount(bonds(frame, 1.2)[0]) == 4)
    assert np.all(np.bincount(bonds(frame, 1.5)[0]) == 8)
    lengths = bond_lengths(frame, bonds(frame, 1.5))
    assert set(np.round(lengths, 5)) == {1.0, np.round(np.sqrt(2), 5)}


def test_bonds_are_mutual_and_never_to_oneself():
    edge_index = bonds(disordered(), CUTOFFS)
    assert pairs(edge_index) == pairs(edge_index[::-1])
    assert np.all(edge_index[0] != edge_index[1])


def test_bonds_know_translation_images_rotation_and_names():
    frame = disordered(1)
    reference = bonds(frame, CUTOFFS)
    lengths = bond_lengths(frame, reference)
    moved = translated(frame, [3.3, -7.1])
    assert pairs(bonds(moved, CUTOFFS)) == pairs(reference)
    np.testing.assert_allclose(bond_lengths(moved, reference), lengths, atol=1e-5)
    assert pairs(bonds(translated(frame, [10.0, -20.0]), CUTOFFS)) == pairs(reference)
    quarter = frames.copy(frame)
    quarter.particles.position = frame.particles.position[:, [1, 0, 2]] * np.float32([-1, 1, 1])
    assert pairs(bonds(quarter, CUTOFFS)) == pairs(reference)
    order = np.random.default_rng(0).permutation(frame.particles.N)
    shuffled = frames.copy(frame)
    shuffled.particles.position = frame.particles.position[order]
    shuffled.particles.typeid = frame.particles.typeid[order]
    assert pairs(order[bonds(shuffled, CUTOFFS)]) == pairs(reference)


def test_node_features():
    frame = frames.build([[-4, 1], [2, -3]], 10.0, [0, 1], dimensions=2)
    np.testing.assert_array_equal(node_features(frame, "type"), [[1, 0], [0, 1]])
    box = node_features(frame)
    np.testing.assert_allclose(box, [[1, 0, 1, 6], [0, 1, 7, 2]], atol=1e-6)
    fraction = node_features(frame, positions="fraction")
    np.testing.assert_allclose(fraction[:, 2:], [[0.1, 0.6], [0.7, 0.2]], atol=1e-6)
    centred = node_features(frame, positions="centred")
    np.testing.assert_allclose(centred[:, 2:], [[-4, 1], [2, -3]], atol=1e-6)
    assert box.dtype == np.float32


def test_coordinates_are_not_translation_invariant_and_types_are():
    frame = disordered(2)
    moved = translated(frame, [1.7, 4.2])
    assert not np.allclose(node_features(frame), node_features(moved))
    np.testing.assert_array_equal(node_features(frame, "type"), node_features(moved, "type"))


def test_graph_is_what_torch_geometric_wants():
    torch = pytest.importorskip("torch")
    frame = disordered(3)
    data = graph(frame, CUTOFFS)
    assert data.validate()
    assert data.is_undirected()
    assert not data.has_self_loops()
    assert data.x.dtype == torch.float32
    assert data.edge_attr is None
    free = graph(frame, CUTOFFS, features="type")
    assert free.edge_attr.shape == (free.num_edges, 1)
    np.testing.assert_allclose(
        free.edge_attr[:, 0], bond_lengths(frame, free.edge_index.numpy()), rtol=1e-6
    )


def test_translated_keeps_the_way_back():
    frame = disordered(4)
    moved = translated(frame, [12.5, -31.0])
    np.testing.assert_allclose(
        frames.unwrapped(moved) - frames.unwrapped(frame),
        np.tile([12.5, -31.0, 0.0], (frame.particles.N, 1)),
        atol=1e-5,
    )


def test_bonds_of_the_public_graphs():
    """5837 of the 5838 bonds of three public files, the odd one an AB pair at 1.2423."""
    agreed = total = 0
    for name in ("4Norm.gml", "9Norm.gml", "14Norm.gml"):
        (frame,) = frames.read(external(f"ml-dos/{name}"), density=1.2)
        theirs = {tuple(sorted(pair)) for pair in frame.log["bonds"].tolist()}
        mine = {(i, j) for i, j in pairs(bonds(frame, CUTOFFS)) if i < j}
        agreed += len(mine & theirs)
        total += len(mine | theirs)
    assert (agreed, total) == (5837, 5838)


@pytest.mark.parametrize(
    ("cutoffs", "error", "message"),
    [
        ({("A", "A"): 1.5, ("B", "B"): 2.0}, ValueError, "no entry for the pair"),
        ({**CUTOFFS, ("B", "A"): 1.0}, ValueError, "give the pair once"),
        ({**CUTOFFS, ("B", "B"): -1.0}, ValueError, "positive finite"),
        ("1.5", TypeError, "expected one distance, or a dict"),
        (6.0, ValueError, "twice the cut-off"),
    ],
)
def test_bad_cutoffs_say_what_to_do(cutoffs, error, message):
    with pytest.raises(error, match=message):
        bonds(disordered(), cutoffs)


def test_bad_input_says_what_to_do():
    frame = disordered()
    with pytest.raises(ValueError, match="expected one of coordinates, type"):
        node_features(frame, "xy")
    with pytest.raises(ValueError, match="expected one of box"):
        node_features(frame, positions="raw")
    with pytest.raises(ValueError, match=r"expected \(2, n_bonds\)"):
        bond_lengths(frame, np.zeros((3, 4), dtype=int))
    with pytest.raises(ValueError, match="expected 2 finite numbers"):
        translated(frame, [np.nan, 0])
    frame.particles.position[3, 0] = np.nan
    with pytest.raises(ValueError, match="particle 3"):
        bonds(frame, CUTOFFS)


def test_bonds_need_no_torch():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from glasslib import frames\n"
        "from glasslib.descriptors import bonds, node_features\n"
        "f = frames.build([[0, 0], [1, 0]], 9.0, [0, 1], dimensions=2)\n"
        "print(bonds(f, 1.2).tolist(), node_features(f).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[0, 1], [1, 0]] (2, 4)"
