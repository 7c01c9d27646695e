"""OPTICS on cosine distance, averages, and the null controls' own properties."""

import numpy as np
import pytest

from glasslib import clustering, frames


def blobs(seed=0, per=40, centres=5, width=0.02):
    """Directions in 16 dimensions, tight around a few axes, of any length."""
    rng = np.random.default_rng(seed)
    axes = np.eye(16)[:centres]
    z = np.repeat(axes, per, axis=0) + width * rng.normal(size=(per * centres, 16))
    return z * rng.uniform(0.5, 2.0, (len(z), 1)), np.repeat(np.arange(centres), per)


def test_cosine_distance_by_hand():
    d = clustering.cosine_distance([[1, 0], [0, 2], [-3, 0], [1, 1]])
    np.testing.assert_allclose(d[0], [0, 1, 2, 1 - np.sqrt(0.5)], atol=1e-12)
    np.testing.assert_array_equal(d, d.T)


def test_optics_finds_directions_whatever_their_length():
    z, truth = blobs()
    labels = clustering.optics(z, xi=0.2).labels_
    assert labels.max() + 1 == 5
    for k in range(5):
        assert len(np.unique(truth[labels == k])) == 1


def test_optics_is_scikit_learns_with_the_cosine_metric():
    from sklearn.cluster import OPTICS

    z, _ = blobs(1, width=0.1)
    ours = clustering.optics(z)
    theirs = OPTICS(min_samples=5, max_eps=5.0, metric="cosine").fit(z)
    np.testing.assert_allclose(ours.core_distances_, theirs.core_distances_, atol=1e-12)
    # Particles at the same reachability may change places in the ordering, no more than that.
    np.testing.assert_allclose(
        np.sort(ours.reachability_), np.sort(theirs.reachability_), atol=1e-3
    )
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)


def test_the_papers_epsilon_does_not_bind():
    z, _ = blobs(2, width=0.1)
    np.testing.assert_array_equal(
        clustering.optics(z).reachability_, clustering.optics(z, max_eps=np.inf).reachability_
    )


def test_other_metrics_go_through():
    z, _ = blobs()
    assert clustering.optics(z, metric="euclidean").labels_.shape == (200,)


def test_cluster_means_and_sizes():
    labels = np.array([0, 1, -1, 1, 0, 1])
    values = np.array([1.0, 2.0, 100.0, 4.0, 3.0, 6.0])
    np.testing.assert_allclose(clustering.cluster_means(labels, values), [2.0, 4.0])
    both = clustering.cluster_means(labels, np.column_stack([values, -values]))
    np.testing.assert_allclose(both, [[2, -2], [4, -4]])
    np.testing.assert_array_equal(clustering.cluster_sizes(labels), [2, 3])
    assert clustering.cluster_means(np.full(3, -1), np.ones(3)).shape == (0,)


def square(n=20):
    x, y = np.meshgrid(np.arange(float(n)), np.arange(float(n)))
    position = np.column_stack([x.ravel(), y.ravel()])
    return frames.build(position, float(n), [0] * n * n, dimensions=2)


def test_random_patches_have_the_sizes_asked_for_and_are_compact():
    frame, sizes = square(), [9, 25, 5, 49]
    labels = clustering.random_patches(frame, sizes, np.random.default_rng(0))
    np.testing.assert_array_equal(clustering.cluster_sizes(labels), sizes)
    # The largest is placed first, on an empty lattice: no member is far from its centre.
    member = frame.particles.position[labels == 3]
    d = member[:, None] - member[None]
    d -= 20.0 * np.rint(d / 20.0)
    assert np.linalg.norm(d, axis=-1).max() <= 2 * 4.5


def test_random_patches_cross_the_boundary():
    frame = square()
    rng = np.random.default_rng(0)
    spread = []
    for _ in range(20):
        member = frame.particles.position[clustering.random_patches(frame, [9], rng) == 0]
        spread.append(np.ptp(member, axis=0).max())
    assert max(spread) > 10  # cut by the boundary
    assert min(spread) <= 4  # and not


def test_random_patches_are_seeded_and_differ():
    frame = square()
    a, b = (clustering.random_patches(frame, [30], np.random.default_rng(7)) for _ in range(2))
    c = clustering.random_patches(frame, [30], np.random.default_rng(8))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_all_particles_can_be_in_patches():
    labels = clustering.random_patches(square(6), [12, 12, 12], np.random.default_rng(0))
    assert np.all(labels >= 0)


def test_permuted_keeps_sizes():
    labels = np.repeat([-1, 0, 1], [10, 5, 20])
    shuffled = clustering.permuted(labels, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(labels))
    assert not np.array_equal(shuffled, labels)


def test_bad_input_says_what_to_do():
    with pytest.raises(ValueError, match="diverged or collapsed"):
        clustering.optics(np.zeros((10, 4)))
    with pytest.raises(ValueError, match=r"expected \(N, hidden\)"):
        clustering.optics(np.ones(10))
    with pytest.raises(ValueError, match="at least min_samples"):
        clustering.optics(np.ones((3, 2)))
    with pytest.raises(ValueError, match="one for each"):
        clustering.cluster_means(np.array([0, 1]), np.ones(3))
    with pytest.raises(ValueError, match="integers"):
        clustering.cluster_sizes(np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match="at most the 36 particles"):
        clustering.random_patches(square(6), [30, 30], np.random.default_rng(0))
