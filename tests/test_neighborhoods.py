"""Neighbourhoods: on crystals and made-up clusters where the answer is known."""

import numpy as np
import pytest

from glasslib import neighbors, rings
from glasslib.descriptors import bond_order
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


def test_a_training_that_goes_on_learns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 5))
    loss = study.learn_on(X, epochs=5)
    assert loss.shape == (6,)
    assert loss[-1] < loss[0]
