"""What two groups are: on clouds and crystals where the answer is known."""

import numpy as np
import pytest

from glasslib import neighbors, rings
from glasslib.descriptors import bond_order
from glasslib.models.autoencoder import OrderParameter
from glasslib.studies import neighborhoods as study


@pytest.mark.parametrize(
    ("kind", "values"),
    [("fcc", {4: 0.1909, 6: 0.5745}), ("hcp", {4: 0.0972, 6: 0.4848})],
)
def test_crystals_have_the_bond_orders_of_textbooks(kind, values):
    near = neighbors.within(study.crystal(kind, 3), 1.2)
    np.testing.assert_array_equal(near.counts, 12)
    q = bond_order.bond_order(near, l=list(values))
    np.testing.assert_allclose(q, [list(values.values())] * len(q), atol=1e-4)
    with pytest.raises(ValueError, match="expected one of fcc, hcp"):
        study.crystal("bcc")


def test_the_contrast_of_two_groups_is_their_distance():
    rng = np.random.default_rng(0)
    P = np.repeat([1.0, 0.0], 4000)
    X = rng.normal(size=(8000, 3))
    X[:, 1] += 2 * P
    found = study.contrast_groups(X, P)
    np.testing.assert_allclose(found, [0, 2 / np.sqrt(2), 0], atol=0.06)
    np.testing.assert_allclose(study.contrast_groups(X, 1 - P), -found, atol=1e-12)
    # half a membership each: no contrast
    np.testing.assert_allclose(study.contrast_groups(X, np.full(8000, 0.5)), 0, atol=1e-12)


def test_clusters_that_go_with_red_are_found():
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, size=(1000, 9)).astype(float)
    P = 1 / (1 + np.exp(counts[:, 2] - counts[:, 4] + 0.1 * rng.normal(size=1000)))
    found = study.correlate_clusters(P, counts, n_boot=100)
    assert found.highest == study.CLUSTERS[4]
    here, low, high = found.of(study.CLUSTERS[2])
    assert low < here < high < -0.5
    assert abs(found.of("sp3a")[0]) < 0.1
    np.testing.assert_array_equal(
        study.share_in_clusters(np.array([[0, 1, 2]] * 3 + [[0, 0, 1]])), [0, 0.75, 1]
    )


def test_counts_are_those_of_the_classification():
    frame = study.crystal("fcc", 3)
    counts = study.count_clusters(frame)
    assert counts.shape == (108, 9)
    # every fcc particle is in six octahedra, and in no ring of five
    assert tuple(rings.NAMES) == study.CLUSTERS
    assert np.all(counts[:, study.CLUSTERS.index("sp5c")] == 0)
    np.testing.assert_array_equal(counts, rings.membership(neighbors.modified_voronoi(frame)))


def test_one_cloud_is_told_from_two():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(1500, 4)) * [3, 2, 1, 1]
    model = OrderParameter(encoder="pca", n_init=1).fit(one)
    alone = study.weigh_two(model, one)
    assert alone.gain < 0
    two = one + 9 * (np.arange(1500) < 400)[:, None]
    model = OrderParameter(encoder="pca", n_init=1).fit(two)
    both = study.weigh_two(model, two)
    assert both.gain > 10
    assert both.smaller == pytest.approx(400 / 1500, abs=0.02)
    assert both.likeness > 0.95
    assert both.interval == (both.gain, both.gain - 10, both.gain + 10)


def test_variance_is_explained_by_what_is_there():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(400, 2))
    X = hidden @ rng.normal(size=(2, 5))
    deep, straight = study.explain_variance(X, [1, 2, 3])
    assert straight[1] == pytest.approx(1)
    assert straight[0] < 1
    assert deep[0] < deep[1]
    loss = study.learn_on(X, epochs=5)
    assert loss.shape == (6,)
    assert loss[-1] < loss[0]


def test_encoders_are_compared_by_rank():
    rng = np.random.default_rng(0)
    P = rng.uniform(size=200)
    found = study.compare_encoders(P, {"same": P[None] ** 3, "other": np.array([-P, P])})
    np.testing.assert_allclose(found["same"], [1])
    np.testing.assert_allclose(found["other"], [-1, 1])
