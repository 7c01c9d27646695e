"""Clusters and what they must beat: on made-up glasses whose answer is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from glasslib import clustering, frames, scores, stored
from glasslib.studies import cooling, embeddings, patches, productions

MIX = productions.mix_disks(n=100)
STRIPES = np.repeat(np.arange(10), 10)  #: ten clusters, the rows of the lattice


def make_run(n=4, *, local=0.0, between=0.0, noise=0.1, seed=0, path=Path("none.gsd")):
    """Structures whose rows move as their energies say (``local``), and as wholes (``between``)."""
    rng = np.random.default_rng(seed)
    x = np.stack(np.meshgrid(np.arange(10), np.arange(10)), -1).reshape(-1, 2) - 4.5
    quenched, moved = [], []
    for k in range(n):
        f = frames.build(x, 10.0, rng.permutation(100) % 2, types=["A", "B"], dimensions=2)
        row, whole = rng.normal(size=10)[STRIPES], rng.normal()
        energy = local * row + between * whole
        f.log = {
            "kT": np.array([2.0 - 0.5 * k]), "potential_energy": np.array([energy.mean()]),
            "particles/energy": (energy + noise * rng.normal(size=100)).astype(np.float32),
        }  # fmt: skip
        d = frames.copy(f)
        shared = np.exp(0.3 * energy)[:, None]
        d.log["particles/replica_distance"] = np.sqrt(
            shared * np.exp(0.5 * noise * rng.normal(size=(100, 2)))
        )
        quenched.append(f)
        moved.append(d)
    return patches.Run(quenched, moved, path)


def test_a_table_by_hand():
    run = make_run(1)
    f, d = run.structures[0], run.moved[0]
    labels = np.full((1, 100), -1)
    labels[0, :3], labels[0, 3:5] = 0, 1
    t = patches.tabulate({"a": labels}, {"a": run})
    np.testing.assert_array_equal(t.size, [3, 2])
    assert t.energy[1] == pytest.approx(np.mean(f.log["particles/energy"][3:5]))
    u = d.log["particles/replica_distance"]
    np.testing.assert_allclose(t.msd, [np.mean(u[:3, 0] ** 2), np.mean(u[3:5, 0] ** 2)], rtol=1e-6)
    np.testing.assert_allclose(t.msd2, [np.mean(u[:3, 1] ** 2), np.mean(u[3:5, 1] ** 2)], rtol=1e-6)
    np.testing.assert_allclose(t.kT, 2.0)
    d.log["particles/replica_distance"] = u[:, 0]  # a single draw, as GSD gives it back
    t = patches.tabulate({"a": labels}, {"a": run})
    np.testing.assert_array_equal(t.msd, t.msd2)


def stripes(runs):
    return {name: np.tile(STRIPES, (len(run.structures), 1)) for name, run in runs.items()}


def test_between_and_within_are_told_apart():
    for options, pooled, inner in [({"local": 1.0}, True, True), ({"between": 1.0}, True, False)]:
        runs = {k: make_run(seed=i, **options) for i, k in enumerate("ab")}
        table = [patches.tabulate(stripes(runs), runs)]
        for within, related in ((False, pooled), (True, inner)):
            r, low, high = patches.summarise(table, within=within)
            assert low < r < high
            assert (low > 0.5) if related else (abs(r) < 0.4)


def test_the_interval_widens_with_the_spread_of_networks():
    runs = {"a": make_run(4, local=1.0, noise=1.5)}
    good = patches.tabulate(stripes(runs), runs)
    renamed = patches.relabel(stripes(runs), runs, lambda f, row: 9 - row)
    same = patches.tabulate(renamed, runs)
    dealt = patches.relabel(
        stripes(runs), runs, lambda f, row: clustering.permuted(row, np.random.default_rng(0))
    )
    other = patches.tabulate(dealt, runs)
    np.testing.assert_allclose(np.sort(good.energy), np.sort(same.energy))
    alone = patches.summarise([good])
    both = patches.summarise([good, other])
    assert both[2] - both[0] > alone[2] - alone[0]
    gain = patches.compare([good, good], [other, other])
    assert gain[0] == gain[1] == gain[2] > 0.1


def test_no_correlation_passes_its_bound():
    runs = {"a": make_run(4, local=1.0, noise=1.5, seed=3)}
    t = [patches.tabulate(stripes(runs), runs)]
    r12 = scores.correlate(t[0].msd, t[0].msd2, n_boot=0).r
    top = patches.bound(t)
    assert top[0] == pytest.approx(np.sqrt(r12))
    assert top[1] < top[0] < top[2]
    assert patches.summarise(t)[0] < top[2]
    loud = {"a": make_run(4, local=0.0, noise=1.5, seed=4)}
    assert patches.bound([patches.tabulate(stripes(loud), loud)], within=True)[0] < 0.4


def test_partitions_agree_with_themselves_only():
    runs = {"a": make_run(4)}
    same = stripes(runs)
    assert patches.agree(same, same, stride=1) == 1.0
    rng = np.random.default_rng(0)
    dealt = patches.relabel(same, runs, lambda f, row: clustering.permuted(row, rng))
    assert abs(patches.agree(same, dealt, stride=1)) < 0.1


def test_range_of_clusters_beside_that_of_the_curve():
    run = make_run(4, local=0.0, noise=0.0)
    for k, f in enumerate(run.structures):
        f.log["potential_energy"] = np.array([-1.0 - 0.1 * k])  # falls by 0.3
        f.log["particles/energy"] = np.where(STRIPES < 5, -1.0, 1.0).astype(np.float32)
    labels = {"a": np.tile(STRIPES, (4, 1))}
    t = patches.tabulate(labels, {"a": run})
    np.testing.assert_allclose(patches.measure_range(t, {"a": run}, below=1.2), 2 / 0.3)


def test_the_survey_finds_what_was_put_in():
    runs = {k: make_run(local=1.0, between=0.5, noise=1.5, seed=i) for i, k in enumerate("ab")}
    main = stripes(runs)
    rng = np.random.default_rng(1)
    labels = {
        "trained": [main, main], "moved": [main, main], "untrained": [],
        "walks of 2": [patches.relabel(main, runs, lambda f, row: clustering.permuted(row, rng))],
    }  # fmt: skip
    found = patches.survey(labels, runs, [runs], sizes=(2, 50, 200), n_perm=99)
    assert list(found["rows"]) == [
        "trained", "moved", "random patches", "permuted", "single particles",
    ]  # fmt: skip
    assert found["rows"]["trained"] == found["rows"]["moved"]
    assert found["lead"][1][0] > 0.2  # rows beat compact patches: motion was put into rows
    assert found["rows"]["permuted"][1][0] < found["rows"]["trained"][1][0] - 0.3
    assert list(found["lengths"]) == ["2"]
    assert found["rand"] == [1.0, 1.0]
    assert found["p"] == [0.01, 0.01]
    assert [g["within"] is None for g in found["sizes"]] == [False, True, True]
    assert found["median_size"] == 10
    assert json.loads(json.dumps(found, allow_nan=False))["log"] == found["log"]
    again = patches.survey(labels, runs, [runs], sizes=(2, 50, 200), n_perm=99)
    assert again == found
    other = patches.survey(labels, runs, [runs], seed=1, sizes=(2, 50, 200), n_perm=99)
    assert other["rows"]["random patches"] != found["rows"]["random patches"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A melt cooled at four rates, as the chapter stores it."""
    where = tmp_path_factory.mktemp("glass")
    for k, steps in enumerate(productions.RAMPS):
        run = make_run(4, local=1.0, seed=k)
        frames.write(cooling.find(where, MIX, 0, steps), run.structures)
        frames.write(cooling.find(where, MIX, 0, steps, kind="-displacements"), run.moved)
    return where


SMALL = {"hidden": 8, "epochs": 1, "walks": 2}


@pytest.mark.slow
def test_networks_and_clusters_are_stored_and_refused(folder):
    stock = embeddings.take_stock(folder, MIX, [5_000, 50_000])
    assert sorted([*stock.train, *stock.held]) == list(range(8))
    with pytest.raises(stored.StoredError, match="1/training --preset paper") as caught:
        embeddings.find_network(SMALL, folder, stock)
    for words in ("-p n=100", "-p ramps='[5000, 50000]'", "-p epochs=1"):
        assert words in str(caught.value)
    with pytest.raises(stored.StoredError) as caught:
        embeddings.find_network({"epochs": 0, "layers": 3}, folder, stock)
    assert str(caught.value).endswith("-p layers=3")
    path = embeddings.find_network(SMALL, folder, stock, make=True)
    assert path.stem == "n100-a0.65-d1.2-r5000+50000-coordinates-e1-k2-L4-seed0"
    (model,) = embeddings.find_family(SMALL, folder, stock, [0])
    tried = embeddings.try_out(SMALL, stock)
    z, again = (m.transform(stock.graphs("coordinates", [0]))[0] for m in (model, tried))
    np.testing.assert_array_equal(z, again)
    fewer = embeddings.take_stock(folder, MIX, [5_000, 50_000], thin=2)
    with pytest.raises(stored.StoredError, match="other inputs, settings or code"):
        embeddings.find_network(SMALL, folder, fewer)

    runs = patches.load_runs(folder, MIX, [5_000, 50_000])
    how = patches.describe_command({"min_samples": 3})
    with pytest.raises(stored.StoredError, match="1/evaluation --preset paper.* min_samples=3"):
        patches.find_labels(path, folder, runs, MIX, min_samples=3, how=how)
    labels = patches.find_labels(path, folder, runs, MIX, make=True)
    assert {k: v.shape for k, v in labels.items()} == {k: (4, 100) for k in runs}
    with np.load(folder / "clusters" / f"{path.stem}.npz") as whole:
        assert len(whole) == 4  # those of one network lie in one file
        np.testing.assert_array_equal(whole[next(iter(runs))], labels[next(iter(runs))])
    moved = patches.find_labels(path, folder, runs, MIX, shifted=True, make=True)
    assert any((labels[k] != moved[k]).any() for k in runs)


@pytest.mark.slow
def test_labels_are_gathered_for_every_rival(folder):
    stock = embeddings.take_stock(folder, MIX, [5_000, 50_000])
    runs = patches.load_runs(folder, MIX, [5_000, 50_000])
    settings = {**SMALL, "layers": 1}
    untrained = {"layers": 1, "epochs": 0}
    asked = (settings, folder, stock, runs, MIX)
    with pytest.raises(stored.StoredError, match="1/training"):
        patches.gather_labels(*asked, seeds=[0])
    every = [settings, untrained, {**settings, "features": "type"}, {**settings, "walk_length": 2}]
    embeddings.train_all(every, folder, stock, n_jobs=1)
    found = patches.gather_labels(*asked, seeds=[0], lengths=[2], make=True, n_jobs=1)
    assert list(found) == ["trained", "moved", "coordinate-free", "untrained", "walks of 2"]
    assert patches.gather_labels(*asked, seeds=[0], lengths=[2]).keys() == found.keys()


@pytest.mark.slow
def test_answers_are_stored_with_what_they_are_of(folder):
    ramps, settings = [5_000, 50_000], {**SMALL, "features": "coordinates", "layers": 2}
    stock = embeddings.take_stock(folder, MIX, ramps)
    kinds = [{"walk_length": n} for n in (2, 3, 4, 5)]
    kinds += [{"features": "type"}]
    wanted = [{**settings, **kind, "seed": 0} for kind in kinds]
    embeddings.train_all([*wanted, {"layers": 2, "epochs": 0, "seed": 0}], folder, stock, n_jobs=1)
    options = {"ramps": ramps, "learned": ramps, "networks": 1, "melts": 1, "n_jobs": 1}
    asked = (folder, MIX, settings)
    with pytest.raises(
        stored.StoredError, match="1/evaluation --preset paper.*min_samples=4.*n=100"
    ):
        patches.ask(*asked, **options, min_samples=4)
    usual = patches.describe_command({"layers": 3, "ramps": [5_000]})
    assert usual.endswith("--timeout 0 -p layers=3 -p ramps='[5000]'")
    made = patches.ask(*asked, **options, mode="make")
    read = patches.ask(*asked, **options)
    assert read.found == made.found
    assert list(read.found["lengths"]) == ["2", "3", "4", "5"]
    with pytest.raises(stored.StoredError, match="survey.json.* seed = 1.* is not there"):
        patches.ask(*asked, **options, seed=1)
    tried = patches.ask(*asked, **options, mode="try")
    assert list(tried.runs) == list(read.runs)[-1:]
    assert tried.found["lengths"] == {}


def test_what_can_be_read_off_an_embedding(folder):
    stock = embeddings.take_stock(folder, MIX, [5_000, 50_000])

    class Knows:
        """An embedding that holds x and nothing else, and one that is noise."""

        features = "coordinates"

        def transform(self, asked):
            rng = np.random.default_rng(0)
            return [np.column_stack([g.x[:, 2], rng.normal(size=len(g.x))]) for g in asked]

    line, near = embeddings.read_off(Knows(), stock)
    assert dict(zip(embeddings.PROPERTIES, line))["x"] > 0.99
    assert all(r < 0.1 for r in line[1:])
    assert embeddings.average_seeds(np.array([0.4])) == (0.4, 0.4, 0.4)
    mean, low, high = embeddings.average_seeds(np.array([0.4, 0.6]))
    assert low < mean == 0.5 < high
    species, energy, inner = embeddings.describe_particles(stock.structures[:1])[:, 2:].T
    for s in (0, 1):
        assert inner[species == s].mean() == pytest.approx(0, abs=1e-6)
        np.testing.assert_allclose(np.diff(energy[species == s]), np.diff(inner[species == s]))


def test_walks_of_one_step_reach_a_bond():
    x = np.stack(np.meshgrid(np.arange(12), np.arange(12)), -1).reshape(-1, 2) - 5.5
    f = frames.build(x, 12.0, [0] * 144, types=["A"], dimensions=2)
    found = embeddings.measure_reach(f, {("A", "A"): 1.2}, walk_length=1, longest=3, walks=5)
    np.testing.assert_allclose(found.distance[0], 1, atol=1e-5)
    assert set(np.round(found.distance[1] ** 2).astype(int)) <= {0, 2, 4}
    assert found.random.shape == (144,)
    assert found.auc > 0.95
    lines = embeddings.bond_lines(f, np.array([[0, 1, 0, 11], [1, 0, 11, 0]]))
    np.testing.assert_allclose(lines[:2], x[:2])
    assert len(lines) == 3  # the bond through the boundary is left out
