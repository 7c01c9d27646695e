"""Propensity and its noise ceiling."""

import numpy as np
import pytest

from glasslib import dynamics


def test_uniform_motion():
    x = np.zeros((5, 3))
    moved = np.stack([x + [3.0, 4.0, 0.0], x + [0.0, 0.0, 1.0]])
    mean, variance = dynamics.propensity(x, moved)
    np.testing.assert_allclose(mean, 3.0)
    np.testing.assert_allclose(variance, 8.0)  # of 5 and 1


def test_one_replica_has_no_variance():
    mean, variance = dynamics.propensity(np.zeros((4, 2)), np.ones((1, 4, 2)))
    np.testing.assert_allclose(mean, np.sqrt(2))
    assert not variance.any()


def test_displacement_does_not_take_a_minimum_image():
    assert dynamics.displacement([[0.0, 0.0]], [[100.0, 0.0]])[0] == 100.0


@pytest.mark.parametrize("replicas", [4, 16, 64])
def test_ceiling_is_the_correlation_with_the_truth(replicas):
    """The best predictor is the true mean; its correlation with the noisy mean is the ceiling."""
    rng = np.random.default_rng(replicas)
    truth = rng.normal(size=20_000)
    runs = truth + 2.0 * rng.normal(size=(replicas, 20_000))
    ceiling = dynamics.noise_ceiling(runs.mean(axis=0), runs.var(axis=0, ddof=1), replicas)
    assert ceiling == pytest.approx(np.corrcoef(truth, runs.mean(axis=0))[0, 1], abs=0.01)


def test_ceiling_against_split_halves():
    """Spearman and Brown: the correlation of two half averages gives the same reliability."""
    rng = np.random.default_rng(0)
    runs = rng.gamma(2, size=5000) + rng.normal(size=(32, 5000))
    halves = np.corrcoef(runs[:16].mean(axis=0), runs[16:].mean(axis=0))[0, 1]
    reliability = 2 * halves / (1 + halves)
    ceiling = dynamics.noise_ceiling(runs.mean(axis=0), runs.var(axis=0, ddof=1), 32)
    assert ceiling == pytest.approx(np.sqrt(reliability), abs=0.01)


def test_pure_noise_has_no_ceiling():
    rng = np.random.default_rng(1)
    runs = rng.normal(size=(8, 100_000))
    assert dynamics.noise_ceiling(runs.mean(axis=0), runs.var(axis=0, ddof=1), 8) < 0.15
    assert dynamics.noise_ceiling(np.ones(10), np.ones(10), 8) == 0.0


def test_bad_input():
    with pytest.raises(ValueError, match="expected \\(N, d\\) and"):
        dynamics.displacement(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="not finite"):
        dynamics.displacement([[0.0, np.nan]], [[0.0, 0.0]])
    with pytest.raises(ValueError, match="at least 2"):
        dynamics.noise_ceiling(np.arange(5.0), np.ones(5), 1)
    with pytest.raises(ValueError, match="expected equal"):
        dynamics.noise_ceiling(np.arange(5.0), np.ones(4), 4)
