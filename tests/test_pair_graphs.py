"""Pair graphs: edges, vectors and pairs against all pairs of particles, images, bad input."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from glasslib import dynamics, frames  # noqa: E402
from glasslib.descriptors import pair_graph, translated  # noqa: E402
from glasslib.descriptors.pair_graphs import count_edge_inputs  # noqa: E402

BOXES = {
    "cubic": ([6.0, 6.5, 7.0, 0, 0, 0], 3),
    "tilted": ([6.0, 6.5, 7.0, 0.3, -0.2, 0.4], 3),
    "flat": ([9.0, 8.0, 0, 0, 0, 0], 2),
    "flat tilted": ([9.0, 8.0, 0, 0.3, 0, 0], 2),
}


def structure(box="cubic", n=120, seed=0):
    """Random particles that do not overlap much, and the same ones moved a little."""
    edges, d = BOXES[box]
    rng = np.random.default_rng(seed)
    cell = frames.cell_matrix(np.array(edges))[:d, :d]
    fraction = rng.uniform(-0.5, 0.5, (n, d))
    position = np.zeros((n, 3))
    position[:, :d] = fraction @ cell.T
    frame = frames.build(position[:, :d], edges, rng.integers(0, 2, n), dimensions=d)
    inherent = frame.particles.position.astype(np.float64)
    inherent[:, :d] += rng.normal(0, 0.1, (n, d))
    return frame, inherent


def brute(position, box, d, radius):
    """{(i, j): minimum-image vector from i to j} of all i ≠ j within the radius, over images."""
    cell = frames.cell_matrix(np.array(box, dtype=float))[:d, :d]
    shifts = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=d))) @ cell.T
    found = {}
    for i, a in enumerate(position[:, :d]):
        images = position[:, None, :d] + shifts - a
        best = np.argmin(np.linalg.norm(images, axis=2), axis=1)
        vector = images[np.arange(len(images)), best]
        for j in np.flatnonzero(np.linalg.norm(vector, axis=1) < radius):
            if j != i:
                found[i, int(j)] = vector[j]
    return found


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("inputs", ["both", "full", "inherent", "thermal"])
def test_edges_are_all_pairs_within_the_radius(box, inputs):
    frame, inherent = structure(box)
    edges, d = BOXES[box]
    g = pair_graph(frame, inherent=inherent, inputs=inputs, radius=1.5)
    thermal = np.asarray(frame.particles.position, dtype=float)
    near = brute(thermal if inputs == "thermal" else inherent, edges, d, 1.5)
    far = brute(inherent if inputs == "inherent" else thermal, edges, d, 3.0)
    source, target = g.edge_index.numpy()
    assert sorted(zip(target, source)) == list(zip(target, source))
    assert set(zip(source.tolist(), target.tolist())) == set(near)
    vector = np.array([near[s, t] for s, t in zip(source.tolist(), target.tolist())])
    distance = [np.linalg.norm(far[s, t]) for s, t in zip(source.tolist(), target.tolist())]
    np.testing.assert_allclose(g.edge_attr[:, :d], vector, atol=2e-6)
    np.testing.assert_allclose(g.edge_attr[:, d], distance, atol=2e-6)
    if inputs == "full":
        more = distance - np.linalg.norm(vector, axis=1)
        np.testing.assert_allclose(g.edge_attr[:, d + 1], more, atol=2e-6)
    assert g.edge_attr.shape == (len(source), count_edge_inputs(inputs, d))
    assert g.position.shape == (120, d)
    assert g.x.dtype == g.edge_attr.dtype == torch.float32


def test_pairs_are_those_of_bonds_and_hold_both_directions():
    frame, inherent = structure()
    g = pair_graph(frame, inherent=inherent, inputs="thermal", radius=1.5)
    np.testing.assert_array_equal(g.pairs, dynamics.bonds(frame, 1.5))
    ends = np.sort(g.edge_index.numpy().T, axis=1)
    np.testing.assert_array_equal(g.pairs[g.pair_index], ends)
    np.testing.assert_array_equal(np.bincount(g.pair_index), 2)


def test_labels_find_their_pairs_in_any_order():
    frame, inherent = structure()
    bare = pair_graph(frame, inherent=inherent, radius=1.5)
    rng = np.random.default_rng(1)
    pairs = bare.pairs.numpy()
    value = rng.normal(size=len(pairs))
    whole = pair_graph(frame, inherent=inherent, radius=1.5, pair_target=value)
    np.testing.assert_array_equal(whole.pair_target, value.astype(np.float32))
    some = rng.permutation(len(pairs))[: len(pairs) // 2]
    swapped = pairs[some]
    swapped[::3] = swapped[::3, ::-1]
    part = pair_graph(frame, inherent=inherent, radius=1.5, pairs=swapped, pair_target=value[some])
    expected = np.full(len(pairs), np.nan, dtype=np.float32)
    expected[some] = value[some]
    np.testing.assert_array_equal(part.pair_target, expected)


def test_thermal_graphs_pass_over_labels_of_the_inherent_list():
    frame, inherent = structure()
    labelled = pair_graph(frame, inherent=inherent, radius=1.5).pairs.numpy()
    g = pair_graph(
        frame, inputs="thermal", radius=1.5, pairs=labelled, pair_target=np.arange(len(labelled))
    )
    here = {tuple(p) for p in g.pairs.tolist()}
    found = {tuple(p): v for p, v in zip(g.pairs.tolist(), g.pair_target.tolist()) if v == v}
    assert found == {tuple(p): k for k, p in enumerate(labelled.tolist()) if tuple(p) in here}
    assert 0 < len(found) < len(labelled)


@pytest.mark.parametrize("box", BOXES)
def test_moving_everything_changes_nothing(box):
    frame, inherent = structure(box)
    d = BOXES[box][1]
    edge = np.zeros(3)
    edge[:d] = [3.3, -2.2, 1.1][:d]
    moved = translated(frame, edge[:d])
    a = pair_graph(frame, inherent=inherent, radius=1.4)
    b = pair_graph(moved, inherent=inherent + edge, radius=1.4)
    np.testing.assert_array_equal(a.edge_index, b.edge_index)
    np.testing.assert_allclose(a.edge_attr, b.edge_attr, atol=5e-6)


def test_defaults_and_what_is_carried():
    frame, inherent = structure()
    frame.log = {"particles/inherent_position": inherent.astype(np.float32)}
    features = np.random.default_rng(0).normal(size=(120, 3))
    g = pair_graph(frame, features=features, node_target=np.arange(120), temperature=0.5)
    h = pair_graph(frame, inherent=inherent.astype(np.float32))
    np.testing.assert_array_equal(g.edge_attr, h.edge_attr)
    assert (g.inputs, g.radius, g.types, g.temperature) == ("both", 2.0, ["A", "B"], 0.5)
    np.testing.assert_array_equal(g.x[:, 0], frame.particles.typeid)
    np.testing.assert_allclose(g.x[:, 1:], features, atol=1e-6)
    np.testing.assert_array_equal(g.node_target, np.arange(120))
    np.testing.assert_array_equal(g.typeid, frame.particles.typeid)
    np.testing.assert_allclose(g.box, frame.configuration.box)
    assert not hasattr(h, "node_target") or h.node_target is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": "cage"}, "inputs is 'cage'"),
        ({"radius": -1.0}, "radius is -1.0; expected a positive"),
        ({"radius": np.nan}, "radius is nan"),
        ({"radius": 3.5}, "a minimum image needs a box wider than twice the radius"),
        ({"radius": 1e-3}, "no edges; choose a larger radius"),
        ({"inherent": np.zeros((5, 3))}, r"inherent has shape \(5, 3\); expected \(120, 3\)"),
        ({"inherent": np.full((120, 3), np.nan)}, "row 0 of inherent is not finite"),
        ({"inherent": None}, "no inherent positions"),
        ({"features": np.zeros(120)}, r"features has shape \(120,\); expected \(120, k\)"),
        ({"features": np.zeros((7, 2))}, r"features has shape \(7, 2\)"),
        ({"features": np.full((120, 1), np.inf)}, "row 0 of features is not finite"),
        ({"node_target": np.zeros(3)}, r"node_target has shape \(3,\); expected \(120,\)"),
        ({"node_target": np.where(np.arange(120) == 7, np.nan, 0.0)}, "row 7 of node_target"),
        ({"pair_target": np.zeros(3)}, "one a pair of the graph"),
        ({"pairs": [[0, 1]]}, "pairs came without pair_target"),
        ({"pairs": np.zeros((2, 3), int), "pair_target": [0, 0]}, r"expected \(n, 2\) integers"),
        ({"pairs": [[0, 1]], "pair_target": [0, 0]}, r"expected \(1,\), one a row of pairs"),
        ({"pairs": [[0, 120]], "pair_target": [0]}, "particle 120; expected 0 to 119"),
        ({"temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_bad_input_says_what_to_do(changes, message):
    frame, inherent = structure()
    with pytest.raises(ValueError, match=message) as error:
        pair_graph(frame, **{"inherent": inherent, "radius": 1.5, **changes})
    assert "\n" not in str(error.value)


def test_labels_of_another_configuration_are_refused():
    frame, inherent = structure()
    other, its = structure(seed=5)
    for inputs in ("both", "thermal"):
        foreign = pair_graph(other, inherent=its, inputs=inputs, radius=1.5).pairs.numpy()
        with pytest.raises(ValueError, match="labels of another configuration"):
            pair_graph(
                frame, inherent=inherent, inputs=inputs, radius=1.5, pairs=foreign,
                pair_target=np.zeros(len(foreign)),
            )  # fmt: skip
    own = pair_graph(frame, inherent=inherent, radius=1.5).pairs.numpy()
    with pytest.raises(ValueError, match="names a pair twice"):
        pair_graph(
            frame, inherent=inherent, radius=1.5, pairs=np.vstack([own[:1], own[:1, ::-1]]),
            pair_target=[1.0, 2.0],
        )  # fmt: skip
    with pytest.raises(ValueError, match="no number at all"):
        pair_graph(
            frame, inherent=inherent, radius=1.5, pairs=own, pair_target=np.full(len(own), np.nan)
        )
    with pytest.raises(ValueError, match="infinite number"):
        pair_graph(
            frame, inherent=inherent, radius=1.5, pairs=own, pair_target=np.full(len(own), np.inf)
        )
