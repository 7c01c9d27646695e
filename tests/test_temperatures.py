"""Chapter 5's questions on configurations whose answers are known."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from glasslib import book, dynamics, frames, production, simulate, stored, systems
from glasslib.descriptors import averaged_energies
from glasslib.engines import base
from glasslib.studies import networks, score
from glasslib.studies import temperatures as study

SYSTEM = systems.get("kob-andersen-force-shifted").with_(n=300, alpha_times={1.0: 0.4, 1.5: 0.3})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two temperatures, two liquids each, made as the chapter makes them."""
    where = tmp_path_factory.mktemp("transfer")
    jobs = production.temperature_jobs(
        SYSTEM, {1.0: [2, 2], 1.5: [2, 2]}, folder=where, draws=(4, 3), engine="lammps"
    )
    with pytest.MonkeyPatch.context() as patch:
        # short melts and quenches that may leave their basin: nothing here asks for equilibrium,
        # nor for the minimum that steepest descent finds (tests/test_engines.py does)
        patch.setattr(base, "FLOW_FORCE", 10.0)
        whole = simulate.liquid
        patch.setattr(simulate, "liquid", lambda *a, **k: whole(*a, melt_time=2, duration=2, **k))
        for job in jobs:
            job.make()
    assert all(job.done() == job.cost for job in jobs)
    return where


@pytest.mark.slow
def test_what_is_there_is_found_by_temperature_and_liquid(folder):
    test, train = (study.load(folder, SYSTEM, test=which) for which in (True, False))
    assert list(test) == list(train) == [1.5, 1.0]
    assert [len(made) for made in test.values()] == [2, 2]
    assert study.temperature(test[1.5][0]) == 1.5
    known = {f.particles.position.tobytes() for made in train.values() for f in made}
    assert not any(f.particles.position.tobytes() in known for made in test.values() for f in made)
    assert list(study.load(folder, SYSTEM, test=True, states=[1.0, 0.3])) == [1.0]
    assert study.load(folder, systems.get("kob-andersen"), test=True) == {}
    said = study.describe_stock(folder, SYSTEM, {1.0: [2, 5], 0.7: [1]})
    assert "T = 1: 2 of 2 for tests, 2 of 5 to learn from" in said
    assert "T = 0.7: 0 of 1 for tests, 0 of 0 to learn from" in said


@pytest.mark.slow
def test_test_sets_keep_their_noise_and_training_sets_do_not(folder):
    (f, *_), (g, *_) = (study.load(folder, SYSTEM, test=t)[1.0] for t in (True, False))
    assert simulate.provenance(f)["n_replicas"] == 4
    assert simulate.provenance(g)["n_replicas"] == 3
    np.testing.assert_allclose(
        study.label_noise(f), f.log["particles/bond_breaking_variance"][:, -1] / 4
    )
    assert 0 <= study.reaches(f, "propensity") <= 1
    assert 0 < study.reaches_pairs(f) <= 1
    with pytest.raises(frames.FrameError, match="of a test set"):
        study.label_noise(g)
    with pytest.raises(frames.FrameError, match="of a test set"):
        study.reaches_pairs(g)
    assert f.log["particles/bond_breaking_1.9"].shape == (300, 1)
    assert "particles/bond_breaking_1.9" not in g.log
    keep = study.scored_pairs(f)
    pairs = dynamics.pair_labels(f).pairs
    assert np.all(f.particles.typeid[pairs[keep]] == 0)
    expected = dynamics.bonds(study.inherent(f), 1.35)
    A = expected[np.all(f.particles.typeid[expected] == 0, axis=1)]
    np.testing.assert_array_equal(pairs[keep], A)


@pytest.mark.slow
def test_a_second_call_makes_nothing(folder):
    path = folder / "isoconfigurational" / "kob-andersen-force-shifted-1-0.gsd"
    before = path.stat().st_mtime_ns
    (job,) = production.temperature_jobs(
        SYSTEM, {1.0: [2]}, folder=folder, draws=(4, 3), engine="lammps"
    )
    job.make()
    assert path.stat().st_mtime_ns == before
    (other,) = production.temperature_jobs(
        SYSTEM, {1.0: [2]}, folder=folder, draws=(5, 3), engine="lammps"
    )
    with pytest.raises(frames.FrameError, match="n_replicas"):
        other.make()


def fake(tau, melts=2, windows=6, drift=0.0):
    """Equilibrated frames whose scattering decays exponentially."""
    t, late, made = np.geomspace(0.1, 100, 40), np.arange(windows), []
    for _ in range(melts):
        each = tau * np.exp(drift * late)
        made.append(frames.build(np.zeros((1, 3)), 5.0, [0]))
        made[-1].log = {
            "equilibration/times": t, "equilibration/ages": 100.0 * np.arange(windows),
            "equilibration/self_isf_A": np.exp(-t / each[:, None]),
            "equilibration/potential_energy": -1.0 - drift * np.repeat(late[:, None], 3, 1),
            "equilibration/pressure": np.full((windows, 3), 2.0),
        }  # fmt: skip
    return made


def test_relaxation_of_known_decays():
    found = study.relaxation(fake(7.0))
    assert found.value == pytest.approx(7.0, rel=0.01)
    assert found.low <= found.value <= found.high
    assert found.tau.shape == (12,)
    assert found.early_late["tau"][0] == pytest.approx(1.0)
    aging = study.relaxation(fake(7.0, drift=0.1))
    assert aging.early_late["tau"][0] == pytest.approx(np.exp(0.3), rel=0.02)
    assert aging.early_late["tau"][1] > 1
    assert aging.early_late["potential_energy"][0] == pytest.approx(-0.3)
    assert np.isnan(study.relaxation(fake(1e5)).value)  # never falls to 1/e


def test_a_thermometer_that_is_a_straight_line(monkeypatch):
    numbers = {"line": lambda T: 3 - 2 * T, "parabola": lambda T: T**2, "blind": lambda T: 7.0}
    monkeypatch.setattr(study, "thermometers", lambda T: {k: f(T) for k, f in numbers.items()})
    train, test = {0.5: [0.5, 0.5], 0.6: [0.6, 0.6]}, {0.55: [0.55, 0.57]}
    line, parabola, blind = study.read_temperature(train, test)
    np.testing.assert_allclose(line.predicted[0.55], [0.55, 0.57])
    np.testing.assert_allclose(line.error(0.55), [0.0, 0.02], atol=1e-12)
    assert line.slope == pytest.approx(-0.5)
    assert parabola.error(0.55)[0] < 0  # it lies below its chord
    np.testing.assert_allclose(blind.predicted[0.55], 0.55)
    assert study.read_temperature({0.5: [0.5]}, test) == []


@pytest.mark.slow
def test_transfer_finds_what_it_was_given(folder):
    """Targets made from the inputs: foretold at the other temperature; controls are not."""
    train, test = (study.load(folder, SYSTEM, test=t) for t in (False, True))

    def describe(frame, kind):  # the box is too small for the radii of the chapter
        energy = frame.log["particles/inherent_energy"].astype(float)
        return averaged_energies(energy, study.inherent(frame), radii=(1.5, 2.5))

    for made in (*train.values(), *test.values()):
        for f in made:
            x = describe(f, "energies")
            label = 0.5 + 0.1 * x[:, :1] - 0.05 * x[:, 4:5]
            f.log["particles/bond_breaking"] = label
    found = study.transfer(train, test, mixtures={"mixed": (1.0, 1.5)}, describe=describe)
    assert set(found.scores) == {1.0, 1.5, "mixed"}
    for row in found.scores.values():
        for s in row.values():
            assert s.mean[0] > 0.95
    again = study.Transfer.from_json(json.loads(json.dumps(found.as_json())))
    assert set(again.scores) == {1.0, 1.5, "mixed"}
    assert repr(again.scores["mixed"][1.5]) == repr(found.scores["mixed"][1.5])
    rng = np.random.default_rng(0)
    nulls = [
        study.transfer(
            train, test, alter=lambda f, y: rng.permutation(y), mixtures={}, describe=describe
        )
        for _ in range(12)  # fields of so small a box are smooth: one alone may do well by chance
    ]
    every = [s.mean[0] for n in nulls for row in n.scores.values() for s in row.values()]
    assert abs(np.mean(every)) < 0.25
    with pytest.raises(ValueError, match="expected energies"):
        study.describe(train[1.0][0], "guess")


def test_scores_of_configurations():
    rng = np.random.default_rng(0)
    truths = [rng.normal(size=200) + c for c in range(4)]
    good = score([t + 0.1 * rng.normal(size=200) for t in truths], truths)
    flat = score([t - t.mean() for t in truths], truths)
    assert good.mean[0] > 0.99
    assert flat.mean[0] == pytest.approx(1.0)
    assert flat.pooled.r < 0.8  # differences between configurations are lost
    bad = score([rng.normal(size=200) for _ in truths], truths)
    few = score([truths[0], -truths[1]], truths[:2])
    assert few.mean[1:] == (-1.0, 1.0)
    mean, low, high = good.gain(bad)
    assert low < mean < high
    assert low > 0.5
    assert "over 4 configurations, pooled" in repr(good)
    with pytest.raises(ValueError, match="configuration 0"):
        score([np.full(3, np.nan)], [np.arange(3.0)])
    with pytest.raises(ValueError, match="same ones"):
        good.gain(score(truths[:2], truths[:2]))


@pytest.mark.slow
def test_a_moved_field_is_the_same_field_elsewhere(folder):
    f = study.load(folder, SYSTEM, test=True)[1.0][0]
    values = np.arange(300.0)
    moved = study.move_field(0)(f, values)
    A = f.particles.typeid == 0
    assert set(moved[A]) <= set(values[A])
    assert np.mean(moved == values) < 0.1
    np.testing.assert_array_equal(moved, study.move_field(0)(f, values))
    assert not np.array_equal(moved, study.move_field(1)(f, values))


def test_the_public_set_is_found_or_named():
    system, paths, sums = study.find_public(book.root())
    assert system.name == "kob-andersen-force-shifted"
    assert len(sums) == 10
    assert len(paths) in (0, 10)
    train, test = study.split_public(list(range(10)))
    assert (train, test) == (list(range(8)), [8, 9])
    with pytest.raises(ValueError, match="n_test is 3 of 3"):
        study.split_public([1, 2, 3], 3)


# ------------------------------------------------------------------------------------ networks

RECIPE = networks.Recipe(temperatures=(1.0, 1.5), message_steps=1, steps=2)


@pytest.fixture
def stocked(folder, tmp_path, monkeypatch):
    """A copy of the chapter, and what is in it; the public set is not there."""
    monkeypatch.delenv("GLASSLIB_EXTERNAL", raising=False)
    shutil.copytree(folder, tmp_path / "5")
    return tmp_path / "5", networks.take_stock(tmp_path / "5", SYSTEM, root=tmp_path)


def test_stock_tells_who_may_be_learned_from(stocked, tmp_path):
    where, stock = stocked
    assert {T: len(made) for T, made in stock.train.items()} == {1.5: 2, 1.0: 2}
    assert set(stock.files[1.0]) == {"kob-andersen-force-shifted-1-1.gsd"}
    assert [p.name for p in stock.tests if not isinstance(p, str)] == [
        "kob-andersen-force-shifted-1.5-0.gsd", "kob-andersen-force-shifted-1-0.gsd",
    ]  # fmt: skip
    names = networks.take_stock(where, SYSTEM, root=tmp_path, read=False)
    assert names.files == stock.files
    assert names.train == {}


def test_a_network_is_stored_with_what_it_has_learned_from(stocked):
    where, stock = stocked
    with pytest.raises(stored.StoredError, match="is not there. Make it"):
        networks.network(RECIPE, where, stock)
    with pytest.raises(stored.StoredError, match="is not there. Make it"):
        networks.answers(RECIPE, where, stock)
    made = networks.network(RECIPE, where, stock, make=True)
    path = where / "networks" / f"{RECIPE.name}.safetensors"
    assert made.trained_on_["configurations"] == {"1": 2, "1.5": 2}
    before = path.stat().st_mtime_ns
    again = networks.network(RECIPE, where, stock, make=True)
    assert path.stat().st_mtime_ns == before  # read, not made
    graph = networks.build_graph(stock.test[1.0][0], RECIPE, labels=False)
    np.testing.assert_array_equal(made.predict(graph).node, again.predict(graph).node)
    # files that have come since do no harm, others in the place of those seen do
    more = {T: {**known, "new.gsd": "0"} for T, known in stock.files.items()}
    networks.network(RECIPE, where, dataclasses.replace(stock, files=more))
    other = {T: dict.fromkeys(known, "0") for T, known in stock.files.items()}
    with pytest.raises(stored.StoredError, match="others now"):
        networks.network(RECIPE, where, dataclasses.replace(stock, files=other))
    path.rename(where / "networks" / f"{RECIPE.with_(lam=3.0).name}.safetensors")
    with pytest.raises(stored.StoredError, match="others now"):
        networks.network(RECIPE.with_(lam=3.0), where, stock)


def test_too_few_to_learn_from_is_said(stocked):
    _, stock = stocked
    with pytest.raises(ValueError, match="0 configurations at T = 0.7 to learn from"):
        networks.train(RECIPE.with_(temperatures=(0.7,)), stock.train)


def test_answers_are_those_of_the_network(stocked):
    where, stock = stocked
    networks.network(RECIPE, where, stock, make=True)
    with pytest.raises(stored.StoredError, match="is not there"):
        networks.answers(RECIPE, where, stock)
    found = networks.answers(RECIPE, where, stock, make=True)
    assert list(found) == [1.5, 1.0]
    model = networks.network(RECIPE, where, stock)
    frame, said = stock.test[1.0][1], found[1.0]
    graph = networks.build_graph(frame, RECIPE, labels=False)
    one = model.predict(graph, n_augment=8)
    A = frame.particles.typeid == 0
    r = np.corrcoef(one.node[A], study.target(frame)[A])[0, 1]
    assert said.nodes.each[1] == pytest.approx(r)
    assert said.temperature[1] == pytest.approx(one.temperature)
    # pairs one by one: A–A within 1.35 at rest
    known, keep = dynamics.pair_labels(frame), study.scored_pairs(frame)
    of = {tuple(p): v for p, v in zip(graph.pairs.tolist(), one.pair)}
    mine = [of[tuple(sorted(p))] for p in known.pairs[keep].tolist()]
    r = np.corrcoef(mine, known.change[keep])[0, 1]
    assert said.pairs.each[1] == pytest.approx(r)
    np.testing.assert_allclose(
        said.field, model.predict(
            networks.build_graph(stock.test[1.0][0], RECIPE, labels=False), n_augment=8
        ).node, atol=6e-4,
    )  # fmt: skip
    again = networks.answers(RECIPE, where, stock)  # read
    assert again[1.0].nodes.each == pytest.approx(said.nodes.each)
    # another test set, another answer
    shutil.copy(*(where / "isoconfigurational" / f"kob-andersen-force-shifted-1{n}.gsd"
                  for n in (".5-0", "-0")))  # fmt: skip
    with pytest.raises(stored.StoredError, match="of other inputs"):
        networks.answers(RECIPE, where, networks.take_stock(where, SYSTEM, root=where.parent))


def test_the_snapshot_alone_has_pairs_that_are_no_neighbours(stocked):
    where, stock = stocked
    recipe = RECIPE.with_(inputs="thermal")
    model = networks.train(recipe, stock.train)
    said = networks.ask(model, recipe, stock.test[1.5], n_augment=1)
    assert np.all(np.isfinite(said.pairs.each))
    graph = networks.build_graph(stock.test[1.5][0], recipe, labels=False)
    far = np.array(
        [[0, int(np.setdiff1d(np.arange(1, 300), graph.pairs[graph.pairs[:, 0] == 0][:, 1])[0])]]
    )
    assert np.isnan(networks._of_pairs(np.zeros(len(graph.pairs)), graph, far)).all()


def test_a_family_differs_in_one_thing_each(stocked):
    where, stock = stocked
    family = networks.vary(RECIPE, n_seeds=2)
    first = dataclasses.asdict(RECIPE)
    for label, recipe in list(family.items())[1:]:
        other = dataclasses.asdict(recipe)
        assert sum(first[k] != other[k] for k in first) == 1, label
    assert len({r.name for r in family.values()}) == len(family)
    three = networks.vary(RECIPE.with_(temperatures=(1.0, 1.2, 1.5)))
    assert three["two temperatures"].temperatures == (1.0, 1.5)
    with pytest.raises(stored.StoredError):
        networks.survey(family, where, stock)
    networks.network(RECIPE, where, stock, make=True)
    networks.answers(RECIPE, where, stock, make=True)
    assert list(networks.survey(family, where, stock)) == ["seed 0"]
    few = {k: family[k] for k in ("seed 0", "T = 1")}
    found = networks.survey(few, where, stock, make=True)
    assert list(found) == list(few)
    assert np.isnan(found["T = 1"][1.0].temperature).all()  # one temperature teaches none
    _, trial = networks.try_out(RECIPE, stock)
    assert set(trial) == {1.0, 1.5}
