"""Autoencoder and order parameter: synthetic clusters, principal components, files, bad input."""

import json
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from glasslib.models.autoencoder import (
    TRAINED_ON,
    Autoencoder,
    OrderParameter,
    by_species,
    explained_variance_curve,
    load_several,
    save_several,
)


def two_groups(n=600, *, apart=2.5, noise=0.1, seed=0):
    """Two clouds in a plane that is bent into eight dimensions; and which is which.

    Group 1 has the larger sum of descriptors.
    """
    rng = np.random.default_rng(seed)
    group = rng.random(n) < 0.4
    plane = rng.normal(size=(n, 2)) * [0.6, 0.8]
    plane[:, 0] += apart * group
    a, b = plane.T
    bent = [a, a + 0.3 * b, np.tanh(a), b, b**2, np.sin(2 * b), a + 0.2 * a * b, 0.5 * a - b]
    return np.column_stack(bent) + noise * rng.normal(size=(n, 8)), group.astype(int)


def linear_plane(n=400, seed=0):
    """Eight descriptors of rank two."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, 8)) + rng.normal(size=8)


def gas(n=400, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 8))


# --------------------------------------------------------------------------------- autoencoder


def test_network_is_the_papers():
    model = Autoencoder(epochs=1).fit(gas(100))
    shapes = [(w.shape, b.shape) for w, b in model.weights_]
    assert shapes == [((8, 80), (80,)), ((80, 2), (2,)), ((2, 80), (80,)), ((80, 8), (8,))]


def test_training_is_that_of_torch():
    torch = pytest.importorskip("torch")
    X = gas(60)
    start = Autoencoder(epochs=0, seed=2, validation_fraction=0).fit(X)
    linear = [torch.nn.Linear(*w.shape).double() for w, _ in start.weights_]
    with torch.no_grad():
        for layer, (w, b) in zip(linear, start.weights_):
            layer.weight[:], layer.bias[:] = torch.from_numpy(w.T), torch.from_numpy(b)
    tanh = torch.nn.Tanh()
    network = torch.nn.Sequential(linear[0], tanh, linear[1], linear[2], tanh, linear[3])
    options = {"learning_rate": 3e-3, "weight_decay": 0.02}
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, weight_decay=0.02)
    x = torch.from_numpy((X - X.mean(axis=0)) / X.std(axis=0))
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(x), x).backward()
        optimizer.step()
    ours = Autoencoder(epochs=20, seed=2, validation_fraction=0, batch_size=60, **options).fit(X)
    expected = network[:3](x).detach().numpy()
    assert np.abs(expected - start.transform(X)).max() > 0.1
    np.testing.assert_allclose(ours.transform(X), expected, atol=1e-9)


def test_passes_are_the_formula():
    X = gas(100)
    model = Autoencoder(epochs=2).fit(X)
    (w1, b1), (w2, b2), (w3, b3), (w4, b4) = model.weights_
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    z = np.tanh(x @ w1 + b1) @ w2 + b2
    restored = np.tanh(z @ w3 + b3) @ w4 + b4
    np.testing.assert_allclose(model.transform(X), z, atol=1e-12)
    expected = restored * X.std(axis=0) + X.mean(axis=0)
    np.testing.assert_allclose(model.inverse_transform(z), expected, atol=1e-12)
    fraction = 1 - np.sum((restored - x) ** 2) / np.sum(x**2)
    assert model.explained_variance(X) == pytest.approx(fraction, abs=1e-12)


def test_a_plane_needs_two_numbers():
    X = linear_plane()
    both = Autoencoder(learning_rate=3e-3, epochs=150, tol=0).fit(X)
    one = Autoencoder(bottleneck=1, learning_rate=3e-3, epochs=150, tol=0).fit(X)
    assert both.explained_variance(X) > 0.98
    assert one.explained_variance(X) < 0.95


def test_plateau_of_training_is_the_plane_of_principal_components():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 8)) * [2, 1.5, 1, 1, 0.7, 0.5, 0.4, 0.3] @ rng.normal(size=(8, 8))
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    pca = PCA(2).fit(x)
    model = Autoencoder(tol=1e-4).fit(X)
    linear = pca.explained_variance_ratio_.sum()
    assert model.explained_variance(X) == pytest.approx(linear, abs=0.03)
    # the two bottlenecks are the same up to a linear map
    z = np.column_stack([model.transform(X), np.ones(len(X))])
    target = pca.transform(x)
    left = target - z @ np.linalg.lstsq(z, target, rcond=None)[0]
    assert np.sum(left**2) < 0.03 * np.sum(target**2)


def test_a_bent_plane_is_restored_better_than_by_principal_components():
    X, _ = two_groups()
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    long = Autoencoder(learning_rate=3e-3, tol=0, epochs=200).fit(X)
    assert long.explained_variance(X) > PCA(2).fit(x).explained_variance_ratio_.sum() + 0.03


def test_training_stops_and_keeps_the_best_weights():
    X, _ = two_groups()
    model = Autoencoder(epochs=300, tol=0.01, patience=5).fit(X)
    held_out = [row["held_out"] for row in model.history_]
    assert len(held_out) - 1 < 300
    assert model.best_epoch_ == int(np.argmin(held_out))
    assert model.history_[0]["loss"] == pytest.approx(1.0, abs=0.2)
    on_all = Autoencoder(epochs=7, validation_fraction=0).fit(X)
    assert len(on_all.history_) == 8
    assert on_all.history_[-1]["held_out"] is None
    assert on_all.best_epoch_ == 7


def test_same_seed_same_numbers():
    X, _ = two_groups(200)
    a, b, c = (Autoencoder(epochs=5, seed=s).fit(X).transform(X) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


def test_scaling():
    X = gas(100) * [1, 10, 100, 1, 1, 1, 1, 1] + 3
    np.testing.assert_allclose(Autoencoder(epochs=1).fit(X).scale_, X.std(axis=0))
    common = Autoencoder(epochs=1, standardize=False).fit(X).scale_
    np.testing.assert_allclose(common, np.sqrt(X.var(axis=0).mean()))
    X[:, 3] = 0.1  # a descriptor that is always the same carries nothing and does no harm
    model = Autoencoder(epochs=1).fit(X)
    assert model.scale_[3] == 1.0
    assert np.isfinite(model.transform(X)).all()


def test_variance_curve_rises():
    X = linear_plane(200)
    curve = explained_variance_curve(X, c=(1, 2), seeds=(0, 1), learning_rate=1e-2, epochs=60)
    assert curve.shape == (2, 2)
    assert np.all(curve[1] > curve[0])
    direct = Autoencoder(bottleneck=2, seed=1, learning_rate=1e-2, epochs=60).fit(X)
    assert curve[1, 1] == direct.explained_variance(X)


def test_autoencoder_file_round_trip(tmp_path):
    X, _ = two_groups(200)
    model = Autoencoder(epochs=3, bottleneck=3, hidden=np.int64(11), seed=4).fit(X)
    path = model.save(tmp_path / "model.safetensors")
    again = Autoencoder.load(path)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert again.explained_variance(X) == model.explained_variance(X)
    assert again.get_params() == model.get_params()
    assert [r["loss"] for r in again.history_] == [r["loss"] for r in model.history_]
    assert again.save(tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_too_many_rows_held_out():
    with pytest.raises(ValueError, match="leaves 0 of 20 rows to learn from"):
        Autoencoder(validation_fraction=0.99).fit(gas(20))


def test_trained_on_leaves_the_linear_solution():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 2))
    X = np.hstack([z, z**2 - 1, z**3 / 4]) @ rng.normal(size=(6, 8)) + 0.05 * rng.normal(
        size=(400, 8)
    )
    variances = np.linalg.svd((X - X.mean(axis=0)) / X.std(axis=0), compute_uv=False) ** 2
    plane = variances[:2].sum() / variances.sum()
    assert Autoencoder(seed=0).fit(X).explained_variance(X) < plane
    assert Autoencoder(seed=0, **TRAINED_ON).fit(X).explained_variance(X) > plane + 0.1


# ----------------------------------------------------------------------------- order parameter


def bic(order: OrderParameter, X: np.ndarray, n=(1, 2)) -> list[float]:
    """Bayesian information criterion of converged mixtures of n Gaussians."""
    return [order.converged(X, n=k).bic(order.coordinates(X)) for k in n]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("encoder", ["autoencoder", "pca"])
def test_groups_are_found_again(encoder, seed):
    X, group = two_groups(seed=seed)
    order = OrderParameter(encoder=encoder, seed=seed).fit(X)
    red = order.predict_proba(X)
    assert red.shape == (600,)
    assert red.min() >= 0
    assert red.max() <= 1
    # oriented: no maximum of AUC and 1 - AUC here
    assert roc_auc_score(group, red) > 0.95
    assert red.mean() == pytest.approx(group.mean(), abs=0.1)
    assert order.orientation_gap_ > 1
    assert np.diff(bic(order, X)) < 0


def test_red_follows_the_overall_bond_order():
    X, group = two_groups()
    up, down = OrderParameter(encoder="pca").fit(X), OrderParameter(encoder="pca").fit(-X)
    assert roc_auc_score(group, up.predict_proba(X)) > 0.95
    assert roc_auc_score(group, down.predict_proba(-X)) < 0.05
    np.testing.assert_allclose(up.predict_proba(X) + down.predict_proba(-X), 1.0, atol=1e-6)


def test_order_parameter_is_that_of_the_training_snapshot():
    X, _ = two_groups()
    order = OrderParameter(encoder="pca").fit(X)
    # one particle, or half of them, or shifted ones: nothing is fitted anew
    np.testing.assert_allclose(order.predict_proba(X[:7]), order.predict_proba(X)[:7], atol=1e-12)
    assert order.predict_proba(X + 0.5).mean() > order.predict_proba(X).mean() + 0.05


def test_coordinates_are_principal_components_whatever_the_linear_encoder_output():
    X = gas() * [3, 2, 1, 1, 1, 1, 1, 1] @ np.random.default_rng(3).normal(size=(8, 8))
    order = OrderParameter(encoder="pca").fit(X)
    x = (X - order.mean_) / order.scale_
    expected = PCA(2).fit_transform(x)
    found = order.coordinates(X)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-8)
    assert np.all(found.T @ x.sum(axis=1) >= 0)
    # a projection that is mixed linearly gives the same coordinates
    order.projection_ = order.projection_ @ [[2.0, -1.0], [0.3, 0.7]]
    order._set_coordinates(X, x, x.sum(axis=1))
    np.testing.assert_allclose(order.coordinates(X), found, atol=1e-8)


def test_seed_of_the_autoencoder_does_not_matter_where_groups_are_clear():
    X, _ = two_groups(300)
    a, b, again = (OrderParameter(seed=s).fit(X).predict_proba(X) for s in (0, 1, 0))
    assert np.corrcoef(a, b)[0, 1] > 0.95
    np.testing.assert_array_equal(a, again)


def test_null_controls_learn_nothing():
    X, _ = two_groups(200)
    untrained = OrderParameter(encoder="untrained", seed=3).fit(X)
    assert len(untrained.autoencoder_.history_) == 1
    start = Autoencoder(epochs=0, seed=3).fit(X)
    np.testing.assert_array_equal(untrained.transform(X), start.transform(X))
    random = OrderParameter(encoder="random", seed=3).fit(X)
    expected = np.random.default_rng(3).normal(size=(8, 2))
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(random.transform(X), x @ expected, atol=1e-12)
    for order in (untrained, random):
        assert np.ptp(order.predict_proba(X)) > 0.5


def test_information_criterion_counts_the_groups():
    X, _ = two_groups(apart=4)
    order = OrderParameter(encoder="pca").fit(X)
    one, two = bic(order, X)
    assert two < one - 100
    z, two = order.coordinates(X), order.converged(X)
    assert two.score(z) >= order.mixture_.score(z) - 1e-9  # the most likely of all starts
    assert two.score(z) == pytest.approx(order.converged(X, n_init=30).score(z), abs=1e-6)
    single = OrderParameter(encoder="pca").fit(gas())
    assert np.argmin(bic(single, gas(), n=(1, 2, 3))) == 0


def test_one_cluster_and_an_outlier_is_said():
    X = np.vstack([0.01 * gas(300), np.full((2, 8), 9.0)])
    with pytest.warns(UserWarning, match="practically one"):
        OrderParameter(encoder="pca").fit(X)


def test_ambiguous_orientation_is_said():
    rng = np.random.default_rng(0)
    group = rng.random(400) < 0.5
    X = rng.normal(size=(400, 8))
    X[:, 0] += 9 * group
    X[:, 1] -= 9 * group  # the groups differ, their sums do not
    order = OrderParameter(encoder="pca", bottleneck=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        order.fit(X)
    said = [str(w.message) for w in caught if "arbitrary" in str(w.message)]
    assert (order.orientation_gap_ < 0.1) == bool(said)
    assert order.orientation_gap_ < 0.3


@pytest.mark.parametrize("encoder", ["autoencoder", "pca", "random", "untrained"])
def test_order_parameter_file_round_trip(encoder, tmp_path):
    X, _ = two_groups(200)
    order = OrderParameter(encoder=encoder, training={"epochs": 3}, seed=1).fit(X)
    path = order.save(tmp_path / "order.safetensors")
    again = OrderParameter.load(path)
    np.testing.assert_array_equal(again.predict_proba(X), order.predict_proba(X))
    np.testing.assert_array_equal(again.coordinates(X), order.coordinates(X))
    np.testing.assert_array_equal(bic(again, X), bic(order, X))
    assert again.orientation_gap_ == order.orientation_gap_
    assert again.get_params() == order.get_params()
    assert again.save(tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_several_order_parameters_share_a_file(tmp_path):
    X, _ = two_groups(200)
    models = {
        "a": OrderParameter(encoder="pca").fit(X),
        "b": OrderParameter(training={"epochs": 2}, seed=3).fit(X),
    }
    path = save_several(tmp_path / "all.safetensors", models, {"fingerprint": "abc"})
    again, about = load_several(path)
    assert list(again) == ["a", "b"]
    assert about == {"fingerprint": "abc"}
    for name, model in models.items():
        np.testing.assert_array_equal(again[name].predict_proba(X), model.predict_proba(X))
        assert again[name].get_params() == model.get_params()
    second = save_several(tmp_path / "again.safetensors", again, about)
    assert second.read_bytes() == path.read_bytes()
    with pytest.raises(ValueError, match="holds the format 'glasslib.OrderParameters/1'"):
        OrderParameter.load(path)


@pytest.mark.parametrize("standardize", [True, False])
def test_a_stored_model_knows_its_snapshot(standardize, tmp_path):
    X, _ = two_groups(300)
    order = OrderParameter(encoder="pca", standardize=standardize).fit(X)
    again = OrderParameter.load(order.save(tmp_path / "order.safetensors"))
    assert again.fitted_to(X)
    assert again.fitted_to(X[::-1] * (1 + 1e-9))  # another order of summation, other rounding
    assert not again.fitted_to(X[1:])
    assert not again.fitted_to(X + 1e-3)
    assert not again.fitted_to(X * (1 + 1e-3))
    assert not again.fitted_to(X[:, 1:])


def test_each_species_by_its_own_model():
    X, _ = two_groups(200)
    kind = np.arange(200) % 2
    models = {k: OrderParameter(encoder="pca", seed=k).fit(X[kind == k]) for k in (0, 1)}
    P = by_species(models, X, kind)
    for k in (0, 1):
        np.testing.assert_array_equal(P[kind == k], models[k].predict_proba(X[kind == k]))
    with pytest.raises(ValueError, match="no model for type id 1"):
        by_species({0: models[0]}, X, kind)
    with pytest.raises(ValueError, match=r"\(199,\)"):
        by_species(models, X, kind[1:])


def test_files_of_something_else_are_refused(tmp_path):
    X, _ = two_groups(100)
    path = Autoencoder(epochs=1).fit(X).save(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="holds the format 'glasslib.Autoencoder/1'"):
        OrderParameter.load(path)
    with pytest.raises(ValueError, match="no model at"):
        Autoencoder.load(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text(json.dumps({}))
    with pytest.raises(ValueError, match="not a readable safetensors"):
        Autoencoder.load(tmp_path / "text")


def test_scikit_learns_manners():
    model = OrderParameter(encoder="random", training={"epochs": 2}, seed=7)
    assert clone(model).get_params() == model.get_params()
    assert "encoder='random'" in repr(model)
    assert clone(Autoencoder(bottleneck=3)).bottleneck == 3
    for unfitted in (Autoencoder(), OrderParameter()):
        with pytest.raises(NotFittedError):
            unfitted.transform(gas(30))
        with pytest.raises(NotFittedError):
            unfitted.save("nowhere")
    with pytest.raises(NotFittedError):
        Autoencoder().inverse_transform(np.zeros((3, 2)))


def with_nan():
    X = gas(50)
    X[7, 2] = np.nan
    return X


@pytest.mark.parametrize("model", [Autoencoder(epochs=1), OrderParameter(encoder="pca")])
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (with_nan(), "row 7 of X is not finite"),
        (gas(10), "has 10 rows; expected at least 20"),
        (gas(50)[:, 0], r"expected \(N, d\)"),
        (np.ones((50, 8)), "none of the 8 descriptors varies"),
        (gas(50)[:, :1], "bottleneck is 2"),
    ],
)
def test_unusable_rows_are_refused(model, X, message):
    with pytest.raises(ValueError, match=message):
        clone(model).fit(X)


def test_other_columns_are_refused():
    for model in (Autoencoder(epochs=0), OrderParameter(encoder="pca")):
        fitted = model.fit(gas(50))
        with pytest.raises(ValueError, match=r"shape \(50, 7\); expected \(N, 8\)"):
            fitted.transform(gas(50)[:, 1:])
    with pytest.raises(ValueError, match="Z has shape"):
        Autoencoder(epochs=0).fit(gas(50)).inverse_transform(np.zeros((3, 4)))


@pytest.mark.parametrize(
    "options",
    [
        {"bottleneck": 0},
        {"hidden": 2.5},
        {"epochs": -1},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"validation_fraction": 1.0},
    ],
)
def test_unusable_parameters_are_refused(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"{name} is"):
        Autoencoder(**options).fit(gas(50))


def test_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match="expected one of"):
        OrderParameter(encoder="umap").fit(gas(50))


def test_which_group_is_red_can_be_asked_of_one_descriptor(tmp_path):
    """Two groups that differ in opposite senses in two columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    X[:200, 0] += 6
    X[:200, 1] -= 4
    first = OrderParameter(encoder="pca", order=[1, 0, 0, 0]).fit(X)
    second = OrderParameter(encoder="pca", order=[0, 1, 0, 0]).fit(X)
    minus = OrderParameter(encoder="pca", order=[-1, 0, 0, 0]).fit(X)
    P = first.predict_proba(X)
    assert P[:200].mean() > 0.95
    for other in (second, minus):
        np.testing.assert_allclose(other.predict_proba(X), 1 - P, atol=1e-9)
    again = OrderParameter.load(minus.save(tmp_path / "minus.safetensors"))
    np.testing.assert_array_equal(again.predict_proba(X), minus.predict_proba(X))
    assert again.order == [-1, 0, 0, 0]
    for order in ([1, 2], [0, 0, 0, 0]):
        with pytest.raises(ValueError, match="expected 4 weights"):
            OrderParameter(encoder="pca", order=order).fit(X)
