"""Order parameters of a liquid from state to state: on small made-up liquids."""

import numpy as np
import pytest

from glasslib import frames, scores, systems
from glasslib.descriptors import averaged_bond_order
from glasslib.studies import order_parameters
from glasslib.studies import supercooling as study
from glasslib.studies.liquids import Liquid

SYSTEM = systems.get("hard-spheres").with_(n=250)
SHORT = study.Recipe(seeds=(0, 1), short=2)


def configuration(seed: int, disorder: float, *, knows: bool = True):
    """A crystal shaken more or less; its label knows how ordered each neighbourhood is."""
    rng = np.random.default_rng(seed)
    cells = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    x = (cells[:, None] + basis).reshape(-1, 3) * np.sqrt(2)
    x = x + disorder * rng.normal(size=x.shape) * rng.uniform(0.5, 1.5, size=(len(x), 1))
    frame = frames.build(x, 4 * np.sqrt(2), np.arange(len(x)) % 2)
    q = averaged_bond_order(frame).sum(axis=1)
    D = q if knows else rng.normal(size=len(q))
    run = frames.copy(frame, log={
        "times": np.array([1.0, 10.0, 100.0]),
        "particles/propensity": np.column_stack([rng.normal(size=len(q)), D, np.exp(D)]),
        "particles/propensity_variance": np.full((len(q), 3), 1e-3), "msd_A": np.ones((4, 3)),
    })  # fmt: skip
    return frame, run


@pytest.fixture(scope="module")
def liquid():
    equal, runs = {}, {}
    for state, disorder, count in ((0.58, 0.06, 2), (0.57, 0.09, 1), (0.55, 0.12, 1)):
        made = [configuration(7 * c + round(100 * state), disorder) for c in range(count)]
        equal[state], runs[state] = (list(side) for side in zip(*made))
    return Liquid(SYSTEM, equal, runs, {})


def test_everything_is_what_the_plain_functions_give(liquid):
    order = study.Ordered(liquid, SHORT)
    X, kind = order.table(0.57), order.types(0.57)
    np.testing.assert_array_equal(X, averaged_bond_order(liquid.runs[0.57][0]))
    alone = order_parameters.fit_state(X, kind, seeds=(0, 1))
    np.testing.assert_array_equal(order.red(0.57), alone.assign(X, kind))
    smooth = order_parameters.average(order.red(0.57), liquid.runs[0.57][0], liquid.radius(1.0))
    np.testing.assert_array_equal(order.averaged(0.57, radius=1.0), smooth)
    found = order.foretell(0.57, radius=1.0)
    expected = order_parameters.correlate_state([smooth], liquid.runs[0.57], species=0)
    np.testing.assert_array_equal(found.each, expected.each)
    assert order.foretell(0.57, radius=1.0) is found  # computed once
    assert order.foretell(0.58, radius=0).each.shape == (2, 2, 3)
    assert order.red(0.57, trained_at=0.58).shape == (2, 256)
    assert not np.array_equal(order.red(0.57, trained_at=0.58), order.red(0.57))
    means = order.follow()
    assert means.shape == (3, 2)
    np.testing.assert_allclose(means[0], order.red(0.58).mean(axis=1))
    assert len(order.fitted(0.57, "network trained on").seeds) == 2


def test_files_are_of_a_recipe(liquid, tmp_path):
    plain = study.Recipe()
    assert plain.name_file(liquid, 0.58) == "hard-spheres-0.58.safetensors"
    names = {
        study.Recipe(**other).name_file(liquid, 0.58)
        for other in ({"neighbors": "sann"}, {"neighbors": "within"}, {"orders": (4, 6)},
                      {"bottleneck": 3}, {"neighbors": "within", "r_neighbors": 1.5}, {})
    }  # fmt: skip
    assert len(names) == 6
    order = study.Ordered(liquid, SHORT, folder=tmp_path, save=True)
    order.fitted(0.58)
    assert [p.name for p in tmp_path.glob("*")] == ["hard-spheres-0.58.safetensors"]
    assert study.Ordered(liquid, SHORT, folder=tmp_path).fitted(0.58).stored
    other = study.Ordered(liquid, study.Recipe(seeds=(0,), bottleneck=3), folder=tmp_path)
    assert not other.fitted(0.58).stored


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"neighbors": "voronoi"}, "expected paper, sann, within"),
        ({"orders": ()}, "expected some l"),
        ({"orders": (4, 4)}, "each once"),
        ({"orders": (4, 6), "bottleneck": 3}, "expected 1 to 2"),
    ],
)
def test_recipes_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        study.Recipe(**options)


def test_rules_for_neighbors(liquid):
    frame = liquid.runs[0.58][0]
    near = study.Recipe(neighbors="within", r_neighbors=1.2).find_neighbors(frame, liquid)
    assert near.distance.max() < 1.2
    fixed = Liquid(systems.get("kob-andersen"), liquid.equilibrated, liquid.runs, {})
    assert study.Recipe().find_neighbors(frame, fixed).distance.max() == pytest.approx(
        1.43, abs=0.03
    )
    sann = study.Recipe(neighbors="sann").find_neighbors(frame, fixed)
    assert len(sann.index) == len(study.Recipe().find_neighbors(frame, liquid).index)


def test_steps_and_ends():
    deep, middle, far = np.array([0.5, 0.6]), np.array([0.7]), np.array([0.4, 0.3])
    assert study.difference(deep, far) == pytest.approx((0.2, 0.1, 0.3))
    assert study.ratio_of_medians(deep, far) == pytest.approx((0.55 / 0.35, 1.25, 2.0))
    k, step = study.largest_step([deep, middle, far])
    assert k == 0
    assert step == pytest.approx((0.15, 0.1, 0.2))
    with pytest.raises(ValueError, match="two at least"):
        study.largest_step([deep])


@pytest.mark.slow
def test_what_is_known_beats_the_nulls(liquid):
    order = study.Ordered(liquid, SHORT)
    found = study.hold_beside(order, 0.58, 1, radius=0.5, n_boot=40)
    assert found.time == 10
    assert len(found.candidates["PCA"]) == 4  # two networks, two configurations
    assert len(found.candidates["sum of q̄"]) == 2
    assert np.all(found.candidates["sum of q̄"] > 0.5)  # the label is made of it
    assert abs(found.shuffled.widest[0]) < 0.15
    here, low, high = found.summary("sum of q̄")
    assert low <= here <= high
    assert found.best_rival in found.candidates
    # nothing to know: the nulls hold the autoencoder too
    made = [configuration(c, 0.1, knows=False) for c in (1, 2)]
    blind = Liquid(SYSTEM, {0.58: [a for a, _ in made]}, {0.58: [b for _, b in made]}, {})
    other = study.hold_beside(study.Ordered(blind, SHORT), 0.58, 1, radius=0.5, n_boot=40)
    assert np.abs(other.summary("autoencoder")[0]) < 0.3
    assert other.passed <= 1


def test_a_scan_of_neighbors(liquid):
    found = study.scan_neighbors(liquid, 0.58, [1.2, 1.5], radius=0.5)
    assert list(found.curves) == [1.2, 1.5, "sann"]
    assert found.best in (1.2, 1.5)
    assert found.largest(found.best) >= found.largest(1.2)
    frame = liquid.runs[0.58][0]
    q = averaged_bond_order(frame, neighbors=1.2)
    order = order_parameters.fit_state(q, frame.particles.typeid, seeds=[0], encoder="pca")
    P = order_parameters.average(order.assign(q, frame.particles.typeid)[0], frame, 0.5)
    mine = frame.particles.typeid == 0
    rho = scores.correlate_times(P[mine], frame.log["particles/propensity"][mine], n_boot=0)[0]
    np.testing.assert_allclose(found.curves[1.2], rho)
