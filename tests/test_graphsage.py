"""GraphSAGE: layers against a naive mean, walks against a loop, loss by hand, symmetry, files."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oracles import external  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402

from glasslib import frames, systems  # noqa: E402
from glasslib.descriptors import graph, translated  # noqa: E402
from glasslib.models import GraphSAGE  # noqa: E402
from glasslib.models.graphsage import (  # noqa: E402
    negative_nodes,
    node_batch_weights,
    random_walks,
    walk_loss,
)

CUTOFFS = systems.get("bihani-2d").bond_cutoffs


def glass(seed=0, n=100, edge=9.4):
    """A jittered lattice with two species: as dense as a glass, made in no time."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(n))
    step = edge / side
    x, y = np.meshgrid(np.arange(side) * step, np.arange(side) * step)
    position = np.column_stack([x.ravel(), y.ravel()]) + rng.normal(0, 0.12, (n, 2))
    return frames.build(position, edge, rng.permutation(np.arange(n) >= 0.65 * n), dimensions=2)


def graphs_of(n=4, **options):
    return [graph(glass(seed), CUTOFFS, **options) for seed in range(n)]


def small(**changes):
    return GraphSAGE(**{"hidden": 16, "epochs": 2, "graph_batch": 2, "node_batch": 40, **changes})


# ------------------------------------------------------------------------------------- the layers


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_layers_are_equation_one(layers):
    data = graphs_of(1)[0]
    model = small(layers=layers, epochs=0).fit([data])
    weights = [w.numpy() for name, w in model.network_.state_dict().items()]
    assert len(weights) == layers
    neighbours = [[v] for v in range(data.num_nodes)]
    for u, v in data.edge_index.T.tolist():
        neighbours[v].append(u)
    h = data.x.numpy().astype(np.float64)
    for w in weights:
        mean = np.array([np.mean([h[u] for u in around], axis=0) for around in neighbours])
        h = 1 / (1 + np.exp(-mean @ w.T))
    np.testing.assert_allclose(model.transform(data), h, atol=1e-5)


def test_a_node_sees_k_bonds_far_and_no_further():
    line = frames.build([[i, 0] for i in range(8)], 20.0, [0] * 8, types=["A"], dimensions=2)
    moved = frames.copy(line)
    moved.particles.position[0] += np.float32([0.01, 0.02, 0])
    model = small(layers=2, epochs=0).fit([graph(line, 1.2)])
    change = np.abs(model.transform(graph(line, 1.2)) - model.transform(graph(moved, 1.2)))
    assert np.all(change[:3].max(axis=1) > 0)
    assert np.all(change[3:] == 0)


def test_coordinate_free_layers_are_the_documented_mean():
    data = graphs_of(1, features="type")[0]
    model = small(features="type", layers=1, epochs=0).fit([data])
    w = {k: v.numpy().astype(np.float64) for k, v in model.network_.state_dict().items()}
    h = data.x.numpy() @ w["embed.weight"].T + w["embed.bias"]
    offset = w["smear.offset"]
    width = offset[1] - offset[0]
    total, count = np.zeros_like(h), np.zeros(len(h))
    for (u, v), d in zip(data.edge_index.T.tolist(), data.edge_attr[:, 0].tolist(), strict=True):
        g = np.exp(-0.5 * ((d - offset) / width) ** 2)
        edge = w["convs.0.lin.weight"] @ g + w["convs.0.lin.bias"]
        total[v] += np.maximum(h[u] + edge, 0)
        count[v] += 1
    inner = h + total / np.maximum(count, 1)[:, None]
    expected = 1 / (1 + np.exp(-(inner @ w["convs.0.nn.weight"].T + w["convs.0.nn.bias"])))
    np.testing.assert_allclose(model.transform(data), expected, atol=1e-5)


# --------------------------------------------------------------------------------------- symmetry


def change_under(move, features):
    frame = glass(1)
    model = small(features=features).fit(graphs_of(features=features))
    options = {"features": features}
    before = model.transform(graph(frame, CUTOFFS, **options))
    after = model.transform(graph(move(frame), CUTOFFS, **options))
    return np.abs(after - before).max()


def quarter_turn(frame):
    turned = frames.copy(frame)
    turned.particles.position = frame.particles.position[:, [1, 0, 2]] * np.float32([-1, 1, 1])
    return turned


def mirrored(frame):
    image = frames.copy(frame)
    image.particles.position = frame.particles.position * np.float32([-1, 1, 1])
    return image


@pytest.mark.parametrize(
    "move",
    [
        lambda f: translated(f, [2.2, -3.1]),
        lambda f: translated(f, [9.4, 0]),
        quarter_turn,
        mirrored,
    ],
    ids=["translation", "periodic image", "rotation", "reflection"],
)
def test_without_coordinates_the_embedding_knows_structure_only(move):
    assert change_under(move, "type") < 1e-4


def test_with_coordinates_the_embedding_depends_on_where_the_system_is():
    """Not a bug of ours but a property of the paper's features; chapter 1 measures its cost."""
    assert change_under(lambda f: translated(f, [2.2, -3.1]), "coordinates") > 0.05
    assert change_under(quarter_turn, "coordinates") > 0.05


@pytest.mark.parametrize("features", ["coordinates", "type"])
def test_renumbering_particles_renumbers_rows(features):
    frame = glass(2)
    order = np.random.default_rng(0).permutation(frame.particles.N)
    renumbered = frames.copy(frame)
    renumbered.particles.position = frame.particles.position[order]
    renumbered.particles.typeid = frame.particles.typeid[order]
    model = small(features=features).fit(graphs_of(features=features))
    z = model.transform(graph(frame, CUTOFFS, features=features))
    np.testing.assert_allclose(
        model.transform(graph(renumbered, CUTOFFS, features=features)), z[order], atol=1e-5
    )


# ------------------------------------------------------------------------------ walks and pairs


def test_walks_go_from_neighbour_to_neighbour_uniformly():
    data = graphs_of(1)[0]
    neighbours = [set() for _ in range(data.num_nodes)]
    for u, v in data.edge_index.T.tolist():
        neighbours[u].add(v)
    generator = torch.Generator().manual_seed(0)
    visited = random_walks(
        data.edge_index, data.num_nodes, walk_length=4, walks=300, generator=generator
    ).numpy()
    assert visited.shape == (100, 300, 4)
    for start in range(100):
        for walk in visited[start, :20]:
            here = start
            for there in walk.tolist():
                assert there in neighbours[here]
                here = there
    # An obvious loop visits nodes as often.
    rng = np.random.default_rng(0)
    counts, obvious = np.zeros(100), np.zeros(100)
    for _ in range(3000):
        here = 0
        for _ in range(4):
            here = rng.choice(sorted(neighbours[here]))
            obvious[here] += 1 / 3000
    generator.manual_seed(1)
    for _ in range(10):
        walks = random_walks(data.edge_index, 100, walk_length=4, walks=300, generator=generator)
        counts += np.bincount(walks[0].ravel(), minlength=100) / 3000
    assert np.abs(counts - obvious).max() < 0.06


def test_a_walker_without_neighbours_stays():
    edge_index = torch.tensor([[0, 1], [1, 0]])
    visited = random_walks(
        edge_index, 3, walk_length=3, walks=2, generator=torch.Generator().manual_seed(0)
    )
    assert visited[0].tolist() == [[1, 0, 1]] * 2
    assert visited[2].tolist() == [[2, 2, 2]] * 2


def test_negatives_are_of_the_same_graph_uniform_and_never_met():
    generator = torch.Generator().manual_seed(0)
    ptr = torch.tensor([0, 40, 100])
    positives = torch.cat(
        [torch.randint(0, 40, (40, 8), generator=generator),
         torch.randint(40, 100, (60, 8), generator=generator)]
    )  # fmt: skip
    counts = np.zeros(100)
    for _ in range(50):
        drawn = negative_nodes(positives, ptr, negatives=20, generator=generator)
        for v in range(100):
            others = drawn[v].tolist()
            assert not set(others) & {v, *positives[v].tolist()}
            assert all((u < 40) == (v < 40) for u in others)
        counts += np.bincount(drawn[5], minlength=100)
    allowed = sorted(set(range(40)) - {5, *positives[5].tolist()})
    share = counts[allowed] / counts.sum()
    assert np.all(np.abs(share - 1 / len(allowed)) < 0.02)


def test_negatives_of_a_tiny_graph_do_not_hang():
    positives = torch.tensor([[1, 2], [0, 2], [0, 1]])
    drawn = negative_nodes(
        positives, torch.tensor([0, 3]), negatives=5, generator=torch.Generator().manual_seed(0)
    )
    assert drawn.shape == (3, 5)
    assert drawn.min() >= 0
    assert drawn.max() <= 2


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_loss_by_hand(similarity):
    rng = np.random.default_rng(0)
    z = rng.uniform(size=(5, 3))
    positives = np.array([[1, 0, 2], [2, 3, 2], [2, 2, 2], [4, 3, 0], [0, 1, 2]])
    negatives = np.array([[3, 4], [0, 4], [0, 1], [1, 2], [3, 3]])

    def s(u, v):
        product = z[u] @ z[v]
        if similarity == "cosine":
            product /= np.linalg.norm(z[u]) * np.linalg.norm(z[v])
        return product

    def log_sigmoid(x):
        return -np.log(1 + np.exp(-x))

    expected = []
    for v in range(5):
        met = [log_sigmoid(s(v, u)) for u in positives[v] if u != v]
        apart = [log_sigmoid(-s(v, n)) for n in negatives[v]]
        expected.append(-(np.mean(met) if met else 0.0) - 2 * np.mean(apart))
    found = walk_loss(
        torch.tensor(z), torch.tensor(positives), torch.tensor(negatives), similarity=similarity
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_node_batches_weigh_as_documented():
    ptr = torch.tensor([0, 5, 12])
    weights = node_batch_weights(ptr, 3, torch.Generator().manual_seed(0))
    assert sorted(weights[:5].tolist()) == pytest.approx([1 / 3] * 3 + [1 / 2] * 2)
    assert sorted(weights[5:].tolist()) == pytest.approx([1 / 3] * 6 + [1.0])


# --------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("features", ["coordinates", "type"])
def test_training_lowers_the_loss(features):
    model = small(features=features, epochs=12).fit(graphs_of(features=features))
    loss = [row["loss"] for row in model.history_[1:]]
    assert loss[-1] < loss[0] - 0.3
    assert model.history_[0]["loss"] is None


def test_the_printed_loss_collapses():
    """Products of logistic outputs are never negative: all is switched off, at (1 + Q) log 2."""
    model = small(similarity="dot", hidden=64, epochs=25).fit(graphs_of())
    assert model.history_[-1]["loss"] == pytest.approx(11 * np.log(2), abs=0.02)
    assert model.transform(graphs_of(1)[0]).max() < 0.05


def test_walk_test_is_perfect_for_islands_and_chance_for_nothing():
    position = [[x + dx, 0] for x in (0, 10, 20, 30) for dx in (0, 1, 2, 3)]
    islands = graph(frames.build(position, 40.0, [0] * 16, types=["A"], dimensions=2), 1.2)
    model = small(epochs=0).fit([islands])
    island = torch.repeat_interleave(torch.eye(4), 4, dim=0)
    model.transform = lambda graphs: [island.numpy() for _ in graphs]
    assert model.walk_auc(islands) == pytest.approx([1.0])
    model.transform = lambda graphs: [np.ones((16, 4), np.float32) for _ in graphs]
    assert model.walk_auc(islands) == pytest.approx([0.5])


def test_untrained_is_epochs_zero():
    graphs = graphs_of()
    untrained = small(epochs=0).fit(graphs, validation=graphs[:1])
    assert len(untrained.history_) == 1
    assert untrained.history_[0]["validation_auc"] > 0.5
    trained = small(epochs=1).fit(graphs)
    first = trained.network_.state_dict()
    assert any(
        not torch.equal(w, first[name]) for name, w in untrained.network_.state_dict().items()
    )


def test_same_seed_same_bits_other_seed_other():
    graphs = graphs_of()
    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    a = small().fit(graphs).transform(graphs[0])
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's numbers are touched
    b = small().fit(graphs, validation=graphs[:1]).transform(graphs[0])
    c = small(seed=1).fit(graphs).transform(graphs[0])
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)
    assert a.dtype == np.float32
    assert a.shape == (100, 16)


def test_manners():
    model = small()
    assert clone(model).get_params() == model.get_params()
    assert "hidden=16" in repr(model)
    graphs = graphs_of(3)
    many = model.fit(graphs).transform(graphs)
    np.testing.assert_array_equal(many[1], model.transform(graphs[1]))
    seen = []
    model.fit(graphs, callback=seen.append)
    assert [row["epoch"] for row in seen] == [0, 1, 2]
    assert model.walk_auc(graphs).shape == (3,)


def test_untrained_walk_test_on_public_graphs():
    """The public log reports 0.877 before training: coordinates alone nearly solve the task."""
    files = [external(f"ml-dos/{name}") for name in ("4Norm.gml", "9Norm.gml", "14Norm.gml")]
    graphs = [graph(f, CUTOFFS) for path in files for f in frames.read(path, density=1.2)]
    aucs = [GraphSAGE(epochs=0, seed=s).fit(graphs).walk_auc(graphs).mean() for s in range(3)]
    assert 0.8 < np.mean(aucs) < 0.95


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("features", ["coordinates", "type"])
def test_saved_and_loaded(tmp_path, features):
    graphs = graphs_of(features=features)
    model = small(features=features).fit(graphs, validation=graphs[:1])
    path = model.save(tmp_path / "models" / "m.safetensors")
    again = GraphSAGE.load(path)
    assert again.get_params() == model.get_params()
    assert again.n_graphs_ == 4
    untimed = [{k: v for k, v in row.items() if k != "seconds"} for row in model.history_]
    assert again.history_ == json.loads(json.dumps(untimed))
    np.testing.assert_array_equal(again.transform(graphs[1]), model.transform(graphs[1]))
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]
    twin = small(features=features).fit(graphs, validation=graphs[:1])
    assert twin.save(tmp_path / "twin.safetensors").read_bytes() == path.read_bytes()


def test_files_that_are_not_models_are_refused(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(ValueError, match="no model at"):
        GraphSAGE.load(tmp_path / "absent.safetensors")
    model = small(epochs=0).fit(graphs_of(1))
    path = model.save(tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        GraphSAGE.load(path)
    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="expected 'glasslib.GraphSAGE/1'"):
        GraphSAGE.load(tmp_path / "other.safetensors")


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": "xy"}, "features is 'xy'"),
        ({"similarity": "euclid"}, "expected 'cosine' or 'dot'"),
        ({"layers": 0}, "integer of at least 1"),
        ({"epochs": 1.5}, "integer of at least 0"),
        ({"lr": -1.0}, "positive number"),
        ({"clip": float("nan")}, "positive number"),
    ],
)
def test_bad_parameters_say_what_to_do(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes).fit(graphs_of(1))


def test_bad_graphs_say_what_to_do():
    plain, free = graphs_of(1)[0], graphs_of(1, features="type")[0]
    with pytest.raises(NotFittedError, match="call fit or load"):
        small().transform(plain)
    with pytest.raises(ValueError, match="expected a list of graphs"):
        small().fit(plain)
    with pytest.raises(ValueError, match="expected a list of graphs"):
        small().fit([])
    with pytest.raises(TypeError, match="graph 0 is a str"):
        small().fit(["no graph"])
    with pytest.raises(ValueError, match="has no bond lengths"):
        small(features="type").fit([plain])
    with pytest.raises(ValueError, match="made with features='type'"):
        small().fit([free])
    one_species = frames.build([[0, 0], [1, 0]], 9.0, [0, 0], types=["A"], dimensions=2)
    with pytest.raises(ValueError, match="node features; expected 4"):
        small(epochs=0).fit([plain]).transform(graph(one_species, 1.2))
    lonely = graph(frames.build([[0, 0], [4, 0]], 9.0, [0, 1], dimensions=2), 1.2)
    with pytest.raises(ValueError, match="no bonds"):
        small(epochs=0).fit([lonely]).walk_auc(lonely)
