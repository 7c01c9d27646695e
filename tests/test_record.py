"""Line and network on structures at rest: what they are told, and who is left out."""

import numpy as np
import pytest

from glasslib import dynamics, frames, simulate, stored, systems
from glasslib.descriptors import averaged_energies, rest
from glasslib.studies import record, score

SYSTEM = systems.get("kob-andersen-force-shifted")
SHORT = record.Recipe(steps=4, message_steps=1)


@pytest.fixture(scope="module")
def liquid():
    """A hot snapshot, brought to rest."""
    f = simulate.liquid(SYSTEM, kT=1.0, n=1000, melt_time=2, duration=2, seed=3, engine="lammps")
    return f, simulate.inherent_structure(f, SYSTEM, force_tolerance=1e-6, engine="lammps")


@pytest.fixture(scope="module")
def told(liquid):
    """Three described configurations whose motion follows from the second column of the nodes."""
    f, quiet = liquid
    rng, found = np.random.default_rng(0), []
    energy = np.asarray(quiet.log["particles/energy"], dtype=float)
    pairs = dynamics.bonds(quiet, 1.6)
    for _ in range(3):
        new = frames.copy(f, log={
            "particles/inherent_position": np.asarray(quiet.particles.position),
            "particles/inherent_energy": energy, "bonds/pairs": pairs,
            "bonds/change": rng.normal(size=(len(pairs), 1)),
        })  # fmt: skip
        one = record.tell(new, SYSTEM, response=rng.normal(size=(1000, 4)))
        truth = np.exp(0.3 * one.nodes[:, 64] + 0.1 * rng.normal(size=1000))
        new.log["particles/propensity"] = np.column_stack([np.zeros(1000), truth])
        found.append(one)
    return found


def test_ways_are_those_made_up(liquid):
    _, quiet = liquid
    shifts = np.random.default_rng(1).normal(scale=0.1, size=(1000, 3))
    shifts -= shifts.mean(axis=0)
    # an even shift of all, even across the border of the box, is no way
    edge = np.asarray(quiet.configuration.box[:3], dtype=float)
    moved = frames.copy(quiet, log={})
    where = np.asarray(quiet.particles.position, dtype=np.float64) + shifts + [0.3, -0.2, 0.1]
    moved.particles.position = (where - edge * np.rint(where / edge)).astype(np.float32)
    expected = np.log((shifts**2).sum(axis=1) + 1e-6)
    np.testing.assert_allclose(rest.ways_to_rest(moved, quiet), expected, atol=2e-3)
    with pytest.raises(ValueError, match="1000 particles as they are and 4 at rest"):
        rest.ways_to_rest(quiet, frames.build(np.eye(4, 3), 9.0, [0, 0, 1, 1]))


def test_columns_are_averages_of_what_is_said(liquid):
    f, quiet = liquid
    energy = np.asarray(quiet.log["particles/energy"], dtype=float)
    response = np.random.default_rng(2).normal(3.0, 1.0, size=(1000, 4))
    X, nodes = (make(f, quiet, energy, response) for make in (rest.columns_at_rest,
                                                              rest.nodes_at_rest))  # fmt: skip
    assert X.shape == (1000, 304)
    assert nodes.shape == (1000, 79)
    np.testing.assert_allclose(X[:, :64], averaged_energies(energy, quiet))
    np.testing.assert_allclose(X[:, 64:68], response - response.mean(axis=0))
    np.testing.assert_allclose(nodes[:, 64:69], X[:, 64:69])
    B = quiet.particles.typeid == 1
    np.testing.assert_allclose(X[:, 69:74], np.where(B[:, None], 0, X[:, 64:69]))
    np.testing.assert_allclose(X[:, 74:79], np.where(B[:, None], X[:, 64:69], 0))
    with pytest.raises(ValueError, match=r"shape \(999, 4\); expected a row for each of 1000"):
        rest.nodes_at_rest(f, quiet, energy, response[:-1])


def test_turning_the_box_changes_nothing(liquid):
    f, quiet = liquid
    energy, response = np.asarray(quiet.log["particles/energy"]), np.ones((1000, 4))

    def turn(frame):
        new = frames.copy(frame, log={})
        x = np.asarray(frame.particles.position)
        new.particles.position = np.ascontiguousarray(np.column_stack([-x[:, 1], x[:, 0], x[:, 2]]))
        return new

    for make in (rest.columns_at_rest, rest.nodes_at_rest):
        before, after = make(f, quiet, energy, response), make(turn(f), turn(quiet), energy,
                                                               response)  # fmt: skip
        np.testing.assert_allclose(before, after, atol=1e-4)


def test_labels_of_species_have_their_own_scale(told):
    scales = record.scale_labels(told)
    g = record.draw_graph(told[0], scales)
    y, kinds = g.node_target.numpy(), told[0].frame.particles.typeid
    for s, (mean, spread) in enumerate(scales):
        np.testing.assert_allclose(y[kinds == s] * spread + mean, told[0].labels[kinds == s],
                                   rtol=1e-4)  # fmt: skip
    assert "node_target" not in record.draw_graph(told[0])


def test_the_mean_is_that_of_both(told):
    network = record.learn_network(told, SHORT)
    said = record.foretell(record.learn_line(told), network, told[0])
    np.testing.assert_allclose(said["mean"], (said["line"] + said["network"]) / 2)
    assert said["line"].shape == ((told[0].frame.particles.typeid == 0).sum(),)
    with pytest.raises(ValueError, match="1 configuration to learn from; expected two or more"):
        record.learn_network(told[:1], SHORT)


def test_who_is_asked_has_taught_nothing(told, tmp_path, monkeypatch):
    taught = []
    learn = record.learn_line
    monkeypatch.setattr(
        record, "learn_line", lambda kept, **k: taught.append(kept) or learn(kept, **k)
    )
    options = {"inputs": ["made up"], "n_folds": 3}
    found = record.leave_out(lambda: told, 3, SHORT, tmp_path, make=True, **options)
    assert [[t in kept for t in told] for kept in taught] == [
        [k != part for k in range(3)] for part in range(3)
    ]
    assert found.learned_from == 2
    # the line finds what the labels were made of
    assert found.scores["line"].mean[0] > 0.8
    again = record.leave_out(list, 3, SHORT, tmp_path, **options)
    np.testing.assert_array_equal(again.scores["mean"].each, found.scores["mean"].each)
    direct = record.foretell(learn(told[1:]), record.learn_network(told[1:], SHORT), told[0])
    mine = told[0].frame.particles.typeid == 0
    expected = score([direct["mean"]], [told[0].labels[mine]]).each[0]
    assert found.scores["mean"].each[0] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(stored.StoredError, match="glasslib run 6/record"):
        record.leave_out(list, 3, record.Recipe(steps=5), tmp_path, **options)
