"""Ridge regression over configurations, and forward selection."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import refuses
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge

from glasslib.models import files, ridge
from glasslib.models.ridge import PropensityRidge, forward_selection, held_out


def made(n_groups=5, each=120, k=12, n_times=3, noise=1.0, seed=0):
    """Correlated descriptors, propensities at some times, and the configuration of each row."""
    rng = np.random.default_rng(seed)
    n = n_groups * each
    X = rng.normal(size=(n, k)) @ rng.normal(size=(k, k)) + 5 * rng.normal(size=k)
    D = X @ rng.normal(size=(k, n_times)) + noise * rng.normal(size=(n, n_times)) + 1.0
    return X, D, np.repeat(np.arange(n_groups), each)


def test_fit_is_scikit_learns_ridge_on_standardised_columns():
    X, D, groups = made()
    model = PropensityRidge(alphas=30.0).fit(X, D)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    reference = Ridge(alpha=30.0).fit(Z, D)
    np.testing.assert_allclose(model.coef_, reference.coef_.T, atol=1e-9)
    np.testing.assert_allclose(model.predict(X), reference.predict(Z), atol=1e-9)
    assert model.n_parameters_ == X.shape[1] + 1


def test_penalty_is_the_one_that_scikit_learn_finds_fold_by_fold():
    X, D, groups = made(n_groups=4, each=40, k=25, noise=8.0)
    alphas = [0.1, 1.0, 10.0, 100.0, 1000.0]
    model = PropensityRidge(alphas=alphas).fit(X, D, groups)
    expected = np.zeros((len(alphas), D.shape[1]))
    for left in range(4):
        train, test = groups != left, groups == left
        mean, scale = X[train].mean(axis=0), X[train].std(axis=0)
        for a, alpha in enumerate(alphas):
            fit = Ridge(alpha=alpha).fit((X[train] - mean) / scale, D[train])
            p = fit.predict((X[test] - mean) / scale)
            for t in range(D.shape[1]):
                expected[a, t] += np.corrcoef(p[:, t], D[test, t])[0, 1] / 4
    np.testing.assert_allclose(model.cv_score_, expected, atol=1e-8)
    np.testing.assert_array_equal(model.alpha_, np.array(alphas)[expected.argmax(axis=0)])


def test_whole_configurations_are_left_out():
    # every configuration has its own constant descriptor and its own mean propensity: rows dealt
    # at random would let the model learn which configuration it looks at
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(6), 50)
    X = np.column_stack([np.eye(6)[groups], rng.normal(size=(300, 4))])
    D = rng.normal(size=6)[groups] + 0.1 * rng.normal(size=300)
    model = PropensityRidge(alphas=[1e-2, 1e2]).fit(X, D, groups)
    assert np.all(np.abs(model.cv_score_) < 0.2)


def test_more_configurations_than_folds_share_folds():
    X, D, groups = made(n_groups=7, each=30)
    model = PropensityRidge(alphas=[1.0, 10.0], n_folds=3).fit(X, D, groups)
    assert model.cv_score_.shape == (2, 3)
    assert np.all(model.cv_score_ > 0.5)


def test_constant_columns_weigh_nothing():
    X, D, groups = made()
    X[:, 3] = 1e5
    model = PropensityRidge().fit(X, D, groups)
    assert np.all(model.coef_[3] == 0)
    assert model.scale_[3] == 0
    assert model.n_parameters_ == X.shape[1]
    X2 = X.copy()
    X2[:, 3] = 7.0
    np.testing.assert_allclose(model.predict(X2), model.predict(X))


def test_a_column_constant_in_training_folds_only():
    X, D, groups = made(n_groups=3)
    X[:, 0] = np.where(groups == 2, X[:, 0], 4.0)
    model = PropensityRidge().fit(X, D, groups)
    assert np.all(np.isfinite(model.coef_))
    assert np.all(np.isfinite(model.cv_score_))


def test_one_time_may_be_a_vector():
    X, D, groups = made()
    one = PropensityRidge().fit(X, D[:, 0], groups)
    many = PropensityRidge().fit(X, D, groups)
    assert one.predict(X).shape == (len(X), 1)
    np.testing.assert_allclose(one.coef_[:, 0], many.coef_[:, 0], atol=1e-9)


def test_held_out_predictions_come_from_models_that_did_not_see_the_configuration():
    X, D, groups = made(n_groups=5, each=60, k=20, noise=5.0)
    predictions, models = held_out(X, D, groups, n_folds=3)
    assert len(models) == 3
    for fold, model in zip(([0, 1], [2, 3], [4]), models, strict=True):
        test = np.isin(groups, fold)
        alone = PropensityRidge().fit(X[~test], D[~test], groups[~test])
        np.testing.assert_array_equal(model.alpha_, alone.alpha_)
        np.testing.assert_allclose(predictions[test], alone.predict(X[test]), atol=1e-9)


def test_held_out_of_noise_is_noise():
    X, _, groups = made(n_groups=6, each=100, k=50)
    D = np.random.default_rng(9).normal(size=len(X))
    predictions, _ = held_out(X, D, groups)
    assert abs(np.corrcoef(predictions[:, 0], D)[0, 1]) < 0.15


def test_file_and_back(tmp_path):
    X, D, groups = made()
    model = PropensityRidge(alphas=[1.0, 10.0]).fit(X, D, groups)
    again = PropensityRidge.load(model.save(tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.alpha_, model.alpha_)
    assert again.alphas == [1.0, 10.0]
    (tmp_path / "bad").write_bytes(b"not a model")
    refuses(lambda: PropensityRidge.load(tmp_path / "bad"), "not a readable safetensors file")
    refuses(lambda: PropensityRidge.load(tmp_path / "none"), "no model at")


def greedy(X, y, n):
    """Forward selection by its definition: a regression for every candidate at every step."""
    chosen, reached = [], []
    for _ in range(n):
        scores = {}
        for j in set(range(X.shape[1])) - set(chosen):
            columns = X[:, [*chosen, j]]
            p = LinearRegression().fit(columns, y).predict(columns)
            scores[j] = np.corrcoef(p, y)[0, 1]
        best = max(scores, key=scores.get)
        chosen.append(best)
        reached.append(scores[best])
    return chosen, reached


def test_forward_selection_by_its_definition():
    X, D, _ = made(k=15, noise=6.0)
    order, correlation = forward_selection(X, D[:, 0])
    expected, reached = greedy(X, D[:, 0], 15)
    assert order.tolist() == expected
    np.testing.assert_allclose(correlation, reached, atol=1e-8)


def test_forward_selection_stops_at_combinations():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(300, 4))
    X = np.column_stack([X, X[:, 0] + X[:, 1], X[:, 2], np.ones(300)])
    order, correlation = forward_selection(X, rng.normal(size=300) + X[:, 0])
    assert len(order) == 4
    assert 6 not in order
    assert np.all(np.diff(correlation) >= 0)


def test_forward_selection_ranks_a_thousand_columns_at_once():
    import time

    rng = np.random.default_rng(4)
    n = 26_000  # A particles of eight public configurations
    X = rng.normal(size=(n, 60)) @ rng.normal(size=(60, 1176)) + rng.normal(size=(n, 1176))
    begin = time.process_time()
    order, _ = forward_selection(X, rng.normal(size=n) + X[:, 7])
    assert time.process_time() - begin < 60
    assert order[0] == 7
    assert sorted(order) == list(range(1176))


def test_bad_input():
    X, D, groups = made()
    broken = X.copy()
    broken[17, 2] = np.nan
    refuses(lambda: PropensityRidge().fit(broken, D, groups), "row 17", "X")
    refuses(lambda: PropensityRidge().fit(X, D[:-1], groups), "expected (n, k)")
    refuses(lambda: PropensityRidge().fit(X, D), "groups is missing")
    refuses(lambda: PropensityRidge().fit(X, D, np.zeros(len(X))), "one configuration")
    refuses(lambda: PropensityRidge().fit(X, D, groups[:-2]), "groups has shape")
    refuses(lambda: PropensityRidge(alphas=[1.0, -2.0]).fit(X, D, groups), "positive")
    refuses(lambda: PropensityRidge(n_folds=1).fit(X, D, groups), "n_folds is 1")
    refuses(lambda: PropensityRidge().fit(X, D, groups).predict(X[:, 1:]), "(n, 12)")
    refuses(lambda: forward_selection(X, D), "y has shape")
    two = groups < 2
    refuses(lambda: held_out(X[two], D[two], groups[two]), "2 configurations", "three")
    predictions, _ = held_out(X[two], D[two], groups[two], model=PropensityRidge(alphas=10.0))
    assert np.all(np.isfinite(predictions))
    refuses(lambda: forward_selection(X, D[:, 0], n_selected=0), "n_selected is 0")
    refuses(lambda: forward_selection(X, np.ones(len(X))), "does not vary")
    with pytest.raises(NotFittedError):
        PropensityRidge().predict(X)


def test_a_column_that_hardly_varies_gets_no_weight():
    """One test particle where nobody was in training: it must not be thrown off."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(900, 4))
    X[:, 3] *= 1e-6  # a shell without neighbours
    groups = np.repeat(np.arange(6), 150)
    D = 2 + X[:, 0] + 0.3 * rng.normal(size=900)
    X[groups == 5, 3] += (np.arange(150) == 7) * 0.5  # but for one particle of one configuration
    bare, _ = held_out(X, D, groups, n_folds=6)
    safe, models = held_out(X, D, groups, n_folds=6, model=PropensityRidge(min_spread=1e-3))
    test = groups == 5
    assert np.abs(bare[test, 0] - D[test]).max() > 100
    assert np.abs(safe[test, 0] - D[test]).max() < 2
    assert models[5].n_parameters_ == 4
    assert models[5].coef_[3, 0] == 0
    assert 3 not in forward_selection(X[~test], D[~test], min_spread=1e-3).order
    refuses(lambda: PropensityRidge(min_spread=-1.0).fit(X, D, groups), "min_spread is -1.0")


def test_noise_held_out_of_unequal_configurations_has_no_pooled_correlation():
    """The constant of a fold is high where those left out are low: relative= takes it out."""
    rng = np.random.default_rng(0)
    plain, relative = [], []
    for _ in range(20):
        group = np.repeat(np.arange(10), 200)
        D = rng.normal(size=2000) + rng.normal(size=10)[group]
        X = rng.normal(size=(2000, 3))
        model = PropensityRidge(alphas=1e3)
        p, _ = held_out(X, D, group, model=model)
        q, _ = held_out(X, D, group, model=model, relative=True)
        plain.append(np.corrcoef(p[:, 0], D)[0, 1])
        relative.append(np.corrcoef(q[:, 0], D)[0, 1])
        inside = group == 3
        np.testing.assert_allclose(np.ptp((p - q)[inside]), 0, atol=1e-12)
    assert np.mean(plain) < -0.1
    assert abs(np.mean(relative)) < 4 * np.std(relative) / np.sqrt(20)


def test_what_tells_configurations_apart_stays_in_relative_predictions():
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(10), 200)
    level = rng.normal(size=10)[group]
    X = level[:, None] + 0.1 * rng.normal(size=(2000, 1))
    one = PropensityRidge(alphas=1.0)
    q, _ = held_out(X, level + rng.normal(size=2000), group, model=one, relative=True)
    means = [[v[group == c].mean() for c in range(10)] for v in (q[:, 0], level)]
    assert np.corrcoef(means)[0, 1] > 0.99


@pytest.mark.parametrize("alphas", [10.0, [1.0, 100.0]])
def test_relative_predictions_are_measured_from_the_mean_row_of_all(alphas):
    X, D, groups = made(n_groups=5, each=40)
    X[groups == 4] += 3.0
    model = PropensityRidge(alphas=alphas)
    p, models = held_out(X, D, groups, model=model)
    q, _ = held_out(X, D, groups, model=model, relative=True)
    for c, one in enumerate(models):
        mine = groups == c
        np.testing.assert_allclose(q[mine], p[mine] - one.predict(X.mean(axis=0)[None]), atol=1e-9)


@pytest.mark.parametrize(("spread", "weighs"), [(0.011, True), (0.009, False)])
def test_least_spread_is_one_of_standard_deviations(spread, weighs):
    """In the fit, in the choice of the penalty and in forward selection alike."""
    X, D, groups = made(n_groups=3, k=3)
    X[:, 0] = spread * np.tile([-1.0, 1.0], len(X) // 2)
    model = PropensityRidge(min_spread=0.01).fit(X, D, groups)
    assert (model.coef_[0] != 0).all() == weighs
    assert (0 in forward_selection(X, D[:, 0], min_spread=0.01).order) == weighs
    without = PropensityRidge().fit(X[:, 1:], D, groups)
    assert np.allclose(model.cv_score_, without.cv_score_, atol=1e-12) != weighs


def test_selection_of_columns_far_from_zero():
    rng = np.random.default_rng(2)
    X = np.column_stack([rng.normal(size=(300, 4)), 1e4 + 5e-3 * rng.normal(size=300)])
    found = forward_selection(X, X[:, 4], n_selected=1)
    assert found.order.tolist() == [4]
    assert found.correlation[0] == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="y does not vary"):
        forward_selection(X, np.full(300, 0.1))


@pytest.mark.parametrize("call", ["fit", "held_out"])
@pytest.mark.parametrize("bad", [{"alphas": [-1, -2]}, {"alphas": [0, 1]}, {"min_spread": -1}])
def test_bad_parameters_are_refused_everywhere(call, bad):
    rng = np.random.default_rng(0)
    X, D, group = rng.normal(size=(60, 2)), rng.normal(size=60), np.repeat(np.arange(6), 10)
    model = PropensityRidge(**bad)
    with pytest.raises(ValueError, match="alphas are|min_spread is"):
        model.fit(X, D, group) if call == "fit" else held_out(X, D, group, model=model)


def test_damaged_model_files_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    model = PropensityRidge(alphas=1.0).fit(rng.normal(size=(50, 3)), rng.normal(size=(50, 2)))
    header, arrays = files.read(model.save(tmp_path / "m.safetensors"), ridge.FORMAT)
    header.pop("format")
    cases = {
        "lacks scale": (header, {k: v for k, v in arrays.items() if k != "scale"}),
        r"coef has shape \(1, 2\)": (header, arrays | {"coef": arrays["coef"][:1]}),
        "not finite": (header, arrays | {"coef": arrays["coef"] * np.nan}),
        "'colour'": ({"parameters": {"colour": 1}}, arrays),
    }
    for message, (head, content) in cases.items():
        path = files.write(tmp_path / "bad.safetensors", ridge.FORMAT, head, content)
        with pytest.raises(ValueError, match=message):
            PropensityRidge.load(path)


def test_files_say_how_the_model_was_made(tmp_path):
    X, D, groups = made()
    model = PropensityRidge(alphas=1.0).fit(X, D)
    path = model.save(tmp_path / "m.safetensors", made={"system": "kob-andersen", "seed": 0})
    assert PropensityRidge.load(path).made_ == {"system": "kob-andersen", "seed": 0}
    assert PropensityRidge.load(model.save(path)).made_ == {}, "nobody said so"
    header, arrays = files.read(path, ridge.FORMAT)
    files.write(path, ridge.FORMAT, {"parameters": header["parameters"]}, arrays)
    assert PropensityRidge.load(path).made_ == {}, "files from before"
