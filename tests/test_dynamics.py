"""Propensity and its ceilings, scattering functions, time scales, bond breaking."""

import numpy as np
import pytest
from oracles import external, refuses

from glasslib import dynamics, frames, neighbors

GAUSS = 0.15  # width of a Gaussian displacement along each axis


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


def test_ceiling_of_an_ensemble_counts_its_draws():
    rng = np.random.default_rng(0)
    runs = rng.gamma(2, size=(300, 1)) + rng.normal(size=(16, 300, 2))
    D, v = runs.mean(axis=0), runs.var(axis=0, ddof=1)
    frame = frames.build(rng.uniform(size=(300, 3)) * 8, 8.0, np.arange(300) % 2)
    with pytest.raises(ValueError, match="no particles/propensity or particles/propensity_var"):
        dynamics.ceiling(frame)
    frame.log = {"particles/propensity": D, "particles/propensity_variance": v}
    with pytest.raises(ValueError, match="simulate.isoconfigurational"):
        dynamics.ceiling(frame)
    frame.log["msd_A"] = np.zeros((16, 2))
    mine = frame.particles.typeid == 1
    np.testing.assert_array_equal(
        dynamics.ceiling(frame, mine), dynamics.noise_ceiling(D[mine], v[mine], 16)
    )
    np.testing.assert_array_equal(dynamics.ceiling(frame), dynamics.noise_ceiling(D, v, 16))


def test_decay_time_is_that_of_the_mean_curve():
    t = np.geomspace(0.1, 100, 30)
    made = []
    for tau in (5.0, 20.0):
        frame = frames.build(np.zeros((1, 3)), 5.0, [0])
        frame.log = {"times": t, "self_isf_A": np.exp(-np.outer([1 / tau, 1.2 / tau], t))}
        made.append(frame)
    curves = np.concatenate([f.log["self_isf_A"] for f in made])
    for level in (1 / np.e, 0.27):
        found = dynamics.decay_time(made, level)
        assert found == dynamics.crossing(t, curves.mean(axis=0), level)
        assert found == pytest.approx(dynamics.crossing(t, curves, level), rel=1e-12)
        assert np.interp(found, t, curves.mean(axis=0)) == pytest.approx(level, abs=0.01)
    assert dynamics.decay_time(made[0]) == pytest.approx(5 / 1.1, rel=0.03)
    assert dynamics.decay_time(made, 1e-9) == t[-1]
    assert np.isnan(dynamics.crossing(t, curves, 1e-9))
    with pytest.raises(ValueError, match=r"\(30,\) and \(4, 29\)"):
        dynamics.crossing(t, curves[:, 1:], 0.3)
    with pytest.raises(ValueError, match="already below"):
        dynamics.decay_time(made, 0.995)
    made[1].log["times"] = t * 2
    with pytest.raises(ValueError, match="configuration 1 is sampled at other times"):
        dynamics.decay_time(made)
    with pytest.raises(ValueError, match="at least one"):
        dynamics.decay_time([])


def test_nearest_is_by_ratio():
    times = [1.0, 10.0, 100.0]
    assert [dynamics.nearest(times, t) for t in (0.01, 3.1, 3.2, 31, 32, 1e9)] == [0, 0, 1, 1, 2, 2]
    for bad in (np.nan, np.inf, 0.0, -1.0):
        with pytest.raises(ValueError, match="positive finite times"):
            dynamics.nearest(times, bad)


def test_pure_noise_has_no_ceiling():
    rng = np.random.default_rng(1)
    runs = rng.normal(size=(8, 100_000))
    assert dynamics.noise_ceiling(runs.mean(axis=0), runs.var(axis=0, ddof=1), 8) < 0.15
    assert dynamics.noise_ceiling(np.ones(10), np.ones(10), 8) == 0.0
    times = np.stack([runs, 2 * runs, np.ones_like(runs)], axis=2)
    found = dynamics.noise_ceiling(times.mean(axis=0), times.var(axis=0, ddof=1), 8)
    one = dynamics.noise_ceiling(runs.mean(axis=0), runs.var(axis=0, ddof=1), 8)
    np.testing.assert_allclose(found, [one, one, 0.0], atol=1e-6)


@pytest.mark.parametrize("replicas", [7, 32])
def test_brute_force_ceiling_agrees(replicas):
    rng = np.random.default_rng(replicas)
    runs = rng.normal(size=3000) + 2 * rng.normal(size=(replicas, 3000))
    formula = dynamics.noise_ceiling(runs.mean(axis=0), runs.var(axis=0, ddof=1), replicas)
    assert dynamics.split_half_ceiling(runs) == pytest.approx(formula, abs=0.015)
    # ranks of Gaussians correlate a little less: 6/π asin(r/2)
    rank = dynamics.split_half_ceiling(runs, method="spearman")
    assert formula - 0.03 < rank < formula + 0.005


def test_brute_force_ceiling_does_not_see_scale_or_order():
    rng = np.random.default_rng(2)
    runs = rng.gamma(2, size=400) + rng.normal(size=(10, 400))
    ceiling = dynamics.split_half_ceiling(runs)
    assert dynamics.split_half_ceiling(3 * runs + 1) == pytest.approx(ceiling)
    assert dynamics.split_half_ceiling(runs[:, ::-1]) == pytest.approx(ceiling)
    same = dynamics.split_half_ceiling(np.tile(runs[0], (4, 1)), method="spearman")
    assert same == pytest.approx(1.0)
    assert dynamics.split_half_ceiling(rng.normal(size=(6, 30000))) < 0.2
    assert dynamics.split_half_ceiling(np.ones((4, 10))) == 0.0


def test_ceilings_of_the_public_botan_set():
    """Both ways agree on real displacements, configuration by configuration."""
    both = []
    for i in range(1, 11):
        (f,) = frames.read(external(f"botan/isoconfig_N4096T0.44_{i}_tc07.npz"))
        a = f.particles.typeid == 0
        mean, variance = (
            f.log[f"particles/propensity{x}"][a].astype(float) for x in ("", "_variance")
        )
        formula = dynamics.noise_ceiling(mean, variance, 32)
        halves = dynamics.split_half_ceiling(f.log["particles/replica_distance"].T[:, a])
        assert halves == pytest.approx(formula, abs=0.005)
        both.append(formula)
    assert 0.89 < np.mean(both) < 0.94  # .925 is known for fewer of them


def test_bad_input():
    with pytest.raises(ValueError, match="expected \\(N, d\\) and"):
        dynamics.displacement(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="not finite"):
        dynamics.displacement([[0.0, np.nan]], [[0.0, 0.0]])
    with pytest.raises(ValueError, match="at least 2"):
        dynamics.noise_ceiling(np.arange(5.0), np.ones(5), 1)
    with pytest.raises(ValueError, match="expected equal"):
        dynamics.noise_ceiling(np.arange(5.0), np.ones(4), 4)
    refuses(lambda: dynamics.split_half_ceiling(np.ones((1, 9))), "(1, 9)", "M at least 2")
    refuses(lambda: dynamics.split_half_ceiling(np.ones((3, 9)), method="kendall"), "'kendall'")


# ------------------------------------------------------------------------ scattering functions


def gaussian_walk(dimensions, *, n=4000, edge=12.0, replicas=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-edge / 2, edge / 2, (n, dimensions))
    return x, x + rng.normal(scale=GAUSS, size=(replicas, n, dimensions)), np.full(dimensions, edge)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_gaussian_displacements(dimensions):
    """F = exp(−q² σ² / 2) for self and, in an ideal gas, collective scattering; MSD = d σ²."""
    x, y, edges = gaussian_walk(dimensions)
    q = 7.0
    expected = np.exp(-((q * GAUSS) ** 2) / 2)
    msd = dynamics.mean_squared_displacement(x, y)
    np.testing.assert_allclose(msd, dimensions * GAUSS**2, rtol=0.05)
    self_part = dynamics.self_intermediate_scattering(x, y, q)
    assert self_part.shape == (6,)
    np.testing.assert_allclose(self_part, expected, atol=0.02)
    k = dynamics.wavevectors(edges, q, width=0.3, n_max=300)
    total = dynamics.collective_intermediate_scattering(x, y, k)
    assert total.mean() == pytest.approx(expected, abs=1.5 / np.sqrt(total.size * len(k)))
    for one, all_six in (
        (dynamics.mean_squared_displacement(x, y[2]), msd),
        (dynamics.self_intermediate_scattering(x, y[2], q), self_part),
        (dynamics.collective_intermediate_scattering(x, y[2], k), total),
    ):
        assert isinstance(one, float)
        assert one == pytest.approx(all_six[2], rel=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_directional_average_is_that_of_many_directions(dimensions):
    rng = np.random.default_rng(1)
    move = rng.normal(scale=0.4, size=(5, dimensions))
    unit = rng.normal(size=(200_000, dimensions))
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    direct = np.cos(3.0 * unit @ move.T).mean()
    found = dynamics.self_intermediate_scattering(np.zeros_like(move), move, 3.0)
    assert found == pytest.approx(direct, abs=5e-3)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_collective_scattering_against_the_double_sum(dimensions):
    """Eq. 2 of Boattini et al., word for word."""
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 5, (20, dimensions))
    y = x + rng.normal(scale=0.3, size=x.shape)
    k = dynamics.wavevectors(np.full(dimensions, 5.0), 6.0, width=0.5)
    num = den = 0.0
    for q in np.concatenate([k, -k]):
        num += sum(np.exp(1j * q @ (y[j] - x[i])) for i in range(20) for j in range(20))
        den += sum(np.exp(1j * q @ (x[j] - x[i])) for i in range(20) for j in range(20))
    found = dynamics.collective_intermediate_scattering(x, y, k)
    assert found == pytest.approx((num / den).real, abs=1e-10)
    assert abs((num / den).imag) < 1e-12


def test_scattering_at_rest_and_after_a_reshuffle():
    x, _, edges = gaussian_walk(3, n=1000)
    k = dynamics.wavevectors(edges, 7.0, width=0.3)
    assert dynamics.collective_intermediate_scattering(x, x, k) == pytest.approx(1.0, abs=1e-12)
    assert dynamics.self_intermediate_scattering(x, x, 7.0) == 1.0
    order = np.random.default_rng(0).permutation(len(x))
    # which particle is where: nothing to the density, all to the particles
    swapped = dynamics.collective_intermediate_scattering(x, x[order], k)
    assert swapped == pytest.approx(1.0, abs=1e-9)
    assert abs(dynamics.self_intermediate_scattering(x, x[order], 7.0)) < 0.05
    new = np.random.default_rng(1).uniform(-6, 6, x.shape)
    assert abs(dynamics.collective_intermediate_scattering(x, new, k)) < 4 / np.sqrt(len(k))


def test_scattering_invariances():
    x, y, edges = gaussian_walk(3, n=300, replicas=1)
    y = y[0]
    k = dynamics.wavevectors(edges, 7.0, width=0.3)
    rng = np.random.default_rng(0)
    order, shift = rng.permutation(300), rng.normal(size=3)
    images = rng.integers(-2, 3, (300, 3)) * edges

    def observables(a, b):
        return (
            dynamics.mean_squared_displacement(a, b),
            dynamics.self_intermediate_scattering(a, b, 7.0),
            dynamics.collective_intermediate_scattering(a, b, k),
        )

    reference = observables(x, y)
    np.testing.assert_allclose(observables(x[order], y[order]), reference, rtol=1e-9)
    np.testing.assert_allclose(observables(x + shift, y + shift), reference, rtol=1e-9)
    np.testing.assert_allclose(observables(x + images, y + images), reference, rtol=1e-9)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(observables(x @ turn, y @ turn)[:2], reference[:2], rtol=1e-9)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # a symmetry of the cubic box
    np.testing.assert_allclose(observables(x @ quarter, y @ quarter), reference, rtol=1e-9)
    # the density does not care which image of the box a particle is in
    assert dynamics.collective_intermediate_scattering(x, y + images, k) == pytest.approx(
        reference[2], abs=1e-9
    )


def test_wavevectors():
    k = dynamics.wavevectors([6.0, 7.0, 8.0, 0, 0, 0], 7.0, width=0.2)
    np.testing.assert_allclose(np.linalg.norm(k, axis=1), 7.0, atol=0.2 + 1e-12)
    n = k * [6, 7, 8] / (2 * np.pi)
    np.testing.assert_allclose(n, np.rint(n), atol=1e-9)
    kept = {tuple(v) for v in np.rint(n).astype(int)}
    grid = np.arange(-12, 13)
    every = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(2 * np.pi * every / [6, 7, 8], axis=1)
    every = {tuple(v) for v in every[np.abs(length - 7) <= 0.2]}
    assert kept | {tuple(-i for i in v) for v in kept} == every
    assert len(every) == 2 * len(kept)
    assert dynamics.wavevectors([9.0, 9.0, 0, 0, 0, 0], 5.0, width=0.3).shape[1] == 2
    few = dynamics.wavevectors([9.0, 9.0], 5.0, width=0.5, n_max=7, seed=3)
    assert few.shape == (7, 2)
    again = dynamics.wavevectors([9.0, 9.0], 5.0, width=0.5, n_max=7, seed=3)
    np.testing.assert_array_equal(few, again)
    tilted = np.array([6.0, 5.5, 5.0, 0.3, -0.2, 0.4])
    k = dynamics.wavevectors(tilted, 6.0, width=0.3)
    n = k @ frames.cell_matrix(tilted) / (2 * np.pi)
    np.testing.assert_allclose(n, np.rint(n), atol=1e-9)


def test_scattering_refuses():
    x = np.zeros((4, 3))
    refuses(lambda: dynamics.self_intermediate_scattering(x, x, -1.0), "q is -1", "positive")
    refuses(lambda: dynamics.self_intermediate_scattering(x[:, :1], x[:, :1], 1.0), "1 columns")
    refuses(lambda: dynamics.collective_intermediate_scattering(x, x, np.ones((5, 2))), "(5, 2)")
    refuses(lambda: dynamics.wavevectors([5.0, 5.0], 7.0, width=1e-6), "no wave vector", "larger")
    refuses(lambda: dynamics.wavevectors(5.0, 7.0, width=0.1), "box has shape ()")
    refuses(lambda: dynamics.wavevectors([5.0, 5.0], 0, width=0.1), "q is 0")


# -------------------------------------------------------------------------------- time scales

TIMES = np.geomspace(0.1, 1000, 41)


def two_steps(t, plateau, tau, beta):
    return (1 - plateau) * np.exp(-((t / 0.1) ** 2)) + plateau * np.exp(-((t / tau) ** beta))


@pytest.mark.parametrize("plateau", [0.5, 0.7, 0.85])
@pytest.mark.parametrize(("tau", "beta"), [(20, 0.7), (200, 0.55), (2000, 0.8)])
def test_relaxation_time_of_a_two_step_decay(plateau, tau, beta):
    """The window leaves out the first step: 3 % in tau, where it took the whole curve 20 %."""
    t = np.geomspace(0.01, 2e4, 64)
    f = two_steps(t, plateau, tau, beta)
    found = dynamics.relaxation_time(t, f)
    assert found.tau == pytest.approx(tau, rel=0.03)
    assert found.beta == pytest.approx(beta, rel=0.03)
    assert found.gamma == pytest.approx(plateau, rel=0.02)
    assert found.window[0] >= 0.1
    exact = tau * np.log(plateau * np.e) ** (1 / beta)  # plateau · exp(−(t/tau)^beta) = 1/e
    assert found.tau_1e == pytest.approx(exact, rel=0.03)
    whole = dynamics.relaxation_time(t, f, window=(0, np.inf))
    assert abs(whole.tau / tau - 1) > 2 * abs(found.tau / tau - 1)


def window_by_hand(t, f):
    """The rule of ``relaxation_time`` step by step: residuals of a fit from every start."""
    last = int(np.argmax(f < 0.02)) + 1 if np.any(f < 0.02) else len(t)
    left = {}
    for first in range(last - 5):
        if f[first] - f[last - 1] < 0.15 or (left and (f[first] < 0.25 or last - first < 7)):
            break

        x, y = t[first:last], f[first:last]
        fit = dynamics.relaxation._stretched(x, y, None)
        if fit is None or (gamma := np.exp(fit[0][2])) >= np.exp(0.1):
            continue
        tau, beta = np.exp(fit[0][:2])
        off = y - gamma * np.exp(-((x / tau) ** beta))
        left[first] = np.sqrt(np.sum(off**2) / (len(x) - 3))
    if not left:
        return None
    allowed = max(0.005, 1.5 * min(left.values()))
    return t[min(k for k, r in left.items() if r <= allowed)], t[last - 1]


@pytest.mark.parametrize("noise", [0.0, 0.005, 0.02])
def test_window_of_the_fit_is_that_of_the_rule(noise):
    for seed in range(25):
        rng = np.random.default_rng(seed)
        t = np.geomspace(0.1, 10 ** rng.uniform(1.5, 3), 30)
        f = two_steps(t, rng.uniform(0.3, 0.9), 10 ** rng.uniform(0, 2), rng.uniform(0.5, 1.3))
        f += noise * rng.normal(size=30)
        try:
            first, last = dynamics.relaxation._decay(t, f, None)
        except ValueError:
            assert window_by_hand(t, f) is None
            continue
        np.testing.assert_allclose((t[first], t[last - 1]), window_by_hand(t, f), rtol=1e-12)


def test_window_ends_where_the_function_first_falls_below_two_hundredths():
    f = 0.8 * np.exp(-((TIMES / 10) ** 0.8))
    end = dynamics.relaxation_time(TIMES, f).window[1]
    assert np.interp(end, TIMES, f) < 0.02 < f[np.searchsorted(TIMES, end) - 1]


def test_a_decay_without_enough_of_it_left_is_not_fitted():
    """Starts after F = 0.25, of fewer than seven times or of a fall by less than 0.15."""
    f = np.concatenate([np.ones(6), [0.95, 0.7, 0.16, 0.14, 0.13, 0.125, 0.12]])
    t = np.geomspace(1, 100, len(f))
    refuses(lambda: dynamics.relaxation_time(t, 0.15 * f + 0.3), "no final decay")


def test_error_of_two_replicas_is_that_of_their_mean():
    """Half the difference of two: a bootstrap of two rows sees only half of the variance."""
    speed = np.array([[1.0], [1.3]])
    f = 0.8 * np.exp(-((TIMES * speed / 30) ** 0.7))
    window = (0.1, 300.0)
    found = dynamics.relaxation_time(TIMES, f, n_boot=3000, window=window)
    each = [dynamics.relaxation_time(TIMES, one, window=window).tau for one in f]
    assert found.tau_error / found.tau == pytest.approx(
        np.diff(np.log(each[::-1]))[0] / 2, rel=0.05
    )


def test_error_of_one_diffusion_is_that_of_a_weighted_line():
    rng = np.random.default_rng(0)
    t = np.geomspace(1, 50, 8)
    msd = (0.1 + 0.6 * t) * (1 + 0.01 * rng.normal(size=8))
    found = dynamics.diffusion(t, msd, dimensions=3)
    assert found.window == (t[0], t[-1])
    (slope, _), covariance = np.polyfit(t, msd, 1, w=1 / msd, cov=True)
    expected = slope / 6, np.sqrt(covariance[0, 0]) / 6
    np.testing.assert_allclose([found.D, found.D_error], expected, rtol=1e-9)


def test_error_of_two_diffusions_is_that_of_their_mean():
    t = np.geomspace(1, 100, 10)
    msd = np.outer([1.0, 1.2], 6e-3 * t)
    found = dynamics.diffusion(t, msd, dimensions=3, n_boot=3000)
    assert found.D_error == pytest.approx(1e-3 * 0.2 / 2, rel=0.05)


@pytest.mark.parametrize(("scatter", "begins"), [(0.8, 0), (1.25, 1)])
def test_diffusion_begins_where_slopes_are_one_within_two_standard_errors(scatter, begins):
    """Slopes of four rows at the earliest times scatter about 1.3: standard error s / √4."""
    t = np.geomspace(1, 1e4, 41)
    s = 0.2 / scatter  # two standard errors, where a tolerance of 0.1 lacks 0.2
    power = 1.3 + s * np.array([-1, -1, 1, 1]) * np.sqrt(3) / 2
    msd = np.array([np.minimum(t, 4) ** p * np.maximum(t / 4, 1) for p in power])
    window = dynamics.diffusion(t, msd, dimensions=3, n_boot=2).window
    assert (window[0] > t[0]) == bool(begins)


@pytest.mark.parametrize("known", [False, True])
def test_errors_of_relaxation_times_are_calibrated(known):
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(120):
        f = 0.8 * np.exp(-((TIMES / 30) ** 0.7)) + rng.normal(scale=0.005, size=41)
        sigma = np.full(41, 0.005) if known else None
        found = dynamics.relaxation_time(TIMES, f, uncertainty=sigma)
        pulls.append((found.tau - 30) / found.tau_error)
    assert abs(np.mean(pulls)) < 0.4
    assert 0.8 < np.std(pulls) < 1.4


def test_bootstrap_errors_see_what_replicas_share_over_time():
    """Replicas that relax at different speeds: correlated errors, which a covariance misses."""
    rng = np.random.default_rng(6)
    pulls, alone = [], []
    for _ in range(40):
        speed = np.exp(0.2 * rng.normal(size=(12, 1)))
        f = 0.8 * np.exp(-((TIMES * speed / 30) ** 0.7))
        f += rng.normal(scale=0.003, size=f.shape)
        found = dynamics.relaxation_time(TIMES, f, n_boot=40)
        pulls.append((np.log(found.tau) - np.log(30)) / (found.tau_error / found.tau))
        single = dynamics.relaxation_time(TIMES, f.mean(axis=0))
        alone.append(found.tau_error / single.tau_error)
    assert 0.7 < np.std(pulls) < 1.5
    assert np.median(alone) > 2


def test_relaxation_time_scales_with_time_and_is_reproducible():
    rng = np.random.default_rng(7)
    f = 0.8 * np.exp(-((TIMES / 30) ** 0.7)) + rng.normal(scale=0.003, size=(4, 41))
    a, b = dynamics.relaxation_time(TIMES, f), dynamics.relaxation_time(7 * TIMES, f)
    for name in ("tau", "tau_error", "tau_1e"):
        assert getattr(b, name) == pytest.approx(7 * getattr(a, name), rel=1e-5)
    assert dynamics.relaxation_time(TIMES, f) == a
    with_zero = dynamics.relaxation_time(np.append(0, TIMES), np.insert(f, 0, 1.0, axis=1))
    assert with_zero == a


def test_no_relaxation_time_without_relaxation():
    slow = 0.8 * np.exp(-((TIMES / 1e5) ** 0.7))
    refuses(lambda: dynamics.relaxation_time(TIMES, slow), "falls only to 0.7", "Run longer")
    nearly = 0.8 * np.exp(-((TIMES / 1500) ** 0.7))
    message = refuses(lambda: dynamics.relaxation_time(TIMES, nearly), "falls only to", "gamma/e")
    assert "extrapolate to tau = 15" in message
    few = np.array([0.1, 1.0, 10.0, 100.0])
    f = 0.8 * np.exp(-((few / 3) ** 0.7))
    refuses(lambda: dynamics.relaxation_time(few, f), "ten times a decade")
    refuses(lambda: dynamics.relaxation_time(few, f[:3]), "(4,)", "(3,)")
    refuses(lambda: dynamics.relaxation_time(few[::-1], f), "ascend")
    refuses(lambda: dynamics.relaxation_time(few, f * np.nan), "not finite")
    refuses(lambda: dynamics.relaxation_time(few, f, uncertainty=np.zeros(4)), "positive")
    refuses(lambda: dynamics.relaxation_time(few, f, uncertainty=np.ones(5)), "(5,)", "(4,)")
    refuses(lambda: dynamics.relaxation_time(few[:0], f[:0]), "beyond")
    refuses(lambda: dynamics.relaxation_time(few, f, window=(1, 5)), "1 times lie", "at least 4")


@pytest.mark.parametrize("dimensions", [2, 3])
def test_diffusion_of_random_walks(dimensions):
    rng = np.random.default_rng(8)
    t = np.unique(np.rint(np.geomspace(1, 400, 25)).astype(int))
    pulls = []
    for _ in range(25):
        steps = rng.normal(scale=0.1, size=(8, 60, 400, dimensions))
        walks = np.cumsum(steps, axis=2)[:, :, t - 1]
        msd = (walks**2).sum(axis=-1).mean(axis=1)  # (8 blocks, n_times)
        found = dynamics.diffusion(t, msd, dimensions=dimensions)
        pulls.append((found.D - 0.1**2 / 2) / found.D_error)
    assert abs(np.mean(pulls)) < 0.6
    assert 0.6 < np.std(pulls) < 1.6


def test_diffusion_leaves_the_cage_out():
    t = np.geomspace(0.01, 1e4, 61)
    msd = 0.05 * (1 - np.exp(-((t / 0.1) ** 2))) + 6 * 3e-4 * t
    found = dynamics.diffusion(t, msd, dimensions=3)
    np.testing.assert_allclose(found.D, 3e-4, rtol=1e-3)
    assert 100 < found.window[0] < 1000
    refuses(lambda: dynamics.diffusion(t[:30], msd[:30], dimensions=3), "not yet", "Run longer")
    refuses(lambda: dynamics.diffusion(t, msd, dimensions=1), "2 or 3")
    refuses(lambda: dynamics.diffusion(t, -msd, dimensions=3), "positive msd")


def test_diffusion_time_is_when_the_msd_is_one_diameter():
    for d in (2, 3):
        tau = dynamics.diffusion_time(0.02, dimensions=d, sigma=1.4)
        assert 2 * d * 0.02 * tau == pytest.approx(1.4**2)
    refuses(lambda: dynamics.diffusion_time(-1, dimensions=3), "D is -1")


# -------------------------------------------------------------------------------------- bonds


def naive_bond_breaking(frame, final, r_in, r_out):
    """Double loop with minimum images, by trying the nearest images."""
    d = frames.dimensions(frame)
    cell = frames.cell_matrix(frame.configuration.box)[:d, :d]
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * d), axis=-1).reshape(-1, d) @ cell.T
    x = np.asarray(frame.particles.position, dtype=float)[:, :d]
    y = frames.build(
        final, frame.configuration.box, frame.particles.typeid, dimensions=d
    ).particles.position[:, :d].astype(float)  # fmt: skip
    name = [frame.particles.types[t] for t in frame.particles.typeid]

    def near(z, i, j, r):
        r = r[name[i], name[j]] if isinstance(r, dict) else r
        return np.linalg.norm(z[i] - z[j] + steps, axis=1).min() < r

    out = []
    for i in range(len(x)):
        old = [j for j in range(len(x)) if j != i and near(x, i, j, r_in)]
        stay = [j for j in old if near(y, i, j, r_out)]
        out.append(len(stay) / len(old) if old else np.nan)
    return np.array(out)


def bonded(dimensions, box, n, seed=0):
    rng = np.random.default_rng(seed)
    cell = frames.cell_matrix(np.asarray(box, dtype=float))
    x = rng.uniform(-0.5, 0.5, (n, 3)) @ cell.T * (np.arange(3) < dimensions)
    frame = frames.build(x, box, np.arange(n) % 2, dimensions=dimensions)
    jump = rng.normal(scale=0.4, size=(2, n, 3)) * (np.arange(3) < dimensions)
    return frame, frames.unwrapped(frame) + jump


@pytest.mark.parametrize(
    ("dimensions", "box"),
    [
        (2, [8.0, 7.0, 0, 0, 0, 0]),
        (3, [6.0, 5.0, 5.5, 0, 0, 0]),
        (3, [6.0, 5.5, 5.0, 0.3, -0.2, 0.4]),
        (2, [8.0, 7.0, 0, 0.4, 0, 0]),
    ],
)
def test_bond_breaking_against_a_double_loop(dimensions, box):
    frame, final = bonded(dimensions, box, 70)
    pairs = dynamics.bonds(frame, 1.2)
    assert np.all(pairs[:, 0] < pairs[:, 1])
    found = dynamics.bond_breaking(pairs, final, frame.configuration.box, 1.6)
    assert found.shape == (2, 70)
    for m in range(2):
        slow = naive_bond_breaking(frame, final[m], 1.2, 1.6)
        np.testing.assert_allclose(found[m], slow)
    assert 0.1 < np.nanmean(found) < 0.95
    one = dynamics.bond_breaking(pairs, final[0, :, :dimensions], frame.configuration.box, 1.6)
    np.testing.assert_array_equal(one, found[0])


def test_bonds_scaled_by_species():
    sigma = {("A", "A"): 1.0, ("A", "B"): 0.8, ("B", "B"): 0.88}
    frame, final = bonded(3, [6.0] * 3 + [0] * 3, 80)
    pairs = dynamics.bonds(frame, 1.4, sigma=sigma)
    cut = {p: 1.4 * s for p, s in sigma.items()}
    np.testing.assert_array_equal(pairs, dynamics.bonds(frame, cut))
    both = sigma | {("B", "A"): 0.8}
    names = np.array(frame.particles.types)[frame.particles.typeid]
    out = np.array([1.8 * both[names[i], names[j]] for i, j in pairs])
    slow = naive_bond_breaking(
        frame, final[0],
        {p: 1.4 * s for p, s in both.items()}, {p: 1.8 * s for p, s in both.items()},
    )  # fmt: skip
    found = dynamics.bond_breaking(pairs, final[0], frame.configuration.box, out)
    np.testing.assert_allclose(found, slow)
    refuses(lambda: dynamics.bonds(frame, {("A", "A"): 1.0}), "no entry for A-B")
    refuses(lambda: dynamics.bonds(frame, 3.1), "3.1", "wider than twice")
    refuses(lambda: dynamics.bonds(frame, -1.0), "positive")


def test_bond_breaking_invariances():
    frame, final = bonded(3, [6.0] * 3 + [0] * 3, 80)
    box, pairs = frame.configuration.box, dynamics.bonds(frame, 1.3)
    found = dynamics.bond_breaking(pairs, final, box, 1.7)
    rng = np.random.default_rng(0)
    moved = final + rng.normal(size=3) + 6.0 * rng.integers(-2, 3, (80, 3))
    np.testing.assert_allclose(dynamics.bond_breaking(pairs, moved, box, 1.7), found)
    # a permutation of the particles permutes the result
    order = rng.permutation(80)
    again = frames.subset(frame, order)
    np.testing.assert_allclose(
        dynamics.bond_breaking(dynamics.bonds(again, 1.3), final[:, order], box, 1.7),
        found[:, order],
    )
    stay = dynamics.bond_breaking(pairs, frame.particles.position, box, 1.7)
    assert np.nanmin(stay) == 1.0
    np.testing.assert_array_equal(np.isnan(stay), np.bincount(pairs.ravel(), minlength=80) == 0)


def test_bond_breaking_refuses():
    frame, final = bonded(3, [6.0] * 3 + [0] * 3, 80)
    box, pairs = frame.configuration.box, dynamics.bonds(frame, 1.3)
    refuses(lambda: dynamics.bond_breaking(pairs, final, box, 3.1), "r_out reaches 3.1", "half")
    refuses(lambda: dynamics.bond_breaking(pairs, final[:, :50], box, 1.7), "final has 50")
    refuses(lambda: dynamics.bond_breaking(pairs.astype(float), final, box, 1.7), "indices")
    refuses(lambda: dynamics.bond_breaking(pairs, final[0, 0], box, 1.7), "(3,)")


def test_cage_relative_displacements():
    """A drift of all is no motion; who leaves alone keeps most of its way."""
    rng = np.random.default_rng(0)
    frame = frames.build(rng.uniform(-4, 4, (60, 2)), [8, 8], np.arange(60) % 2, dimensions=2)
    near = neighbors.voronoi(frame)
    x = frames.unwrapped(frame)[:, :2]
    np.testing.assert_allclose(dynamics.cage_relative(x, x + [3.0, -20.0], near), 0, atol=1e-12)
    later = np.stack([x + rng.normal(size=x.shape) for _ in range(3)])
    found = dynamics.cage_relative(x, later, near)
    for m in range(3):
        for i in range(60):
            mine = near.index[near.offsets[i] : near.offsets[i + 1]]
            moved = later[m] - x
            np.testing.assert_allclose(found[m, i], moved[i] - moved[mine].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(dynamics.cage_relative(x, later[1], near), found[1])
    alone = neighbors.within(frames.build([[0, 0], [3, 3]], [8, 8], [0, 0], dimensions=2), 1.0)
    y = np.zeros((2, 2))
    np.testing.assert_allclose(dynamics.cage_relative(y, y + 1.5, alone), 1.5)
    refuses(lambda: dynamics.cage_relative(y, y, near), "60 particles", "those of 2")


# ------------------------------------------------------------------------ four-point, pair labels


def test_four_point_of_independent_values_is_their_variance():
    rng = np.random.default_rng(0)
    made = [frames.build(rng.uniform(-5, 5, size=(2000, 3)), 10.0, [0] * 2000) for _ in range(12)]
    fields = [3.0 + 2.0 * rng.normal(size=2000) for _ in made]
    q, S4 = dynamics.four_point(made, fields, q_max=3.0, bins=6)
    assert S4.shape == (12, len(q))
    np.testing.assert_allclose(S4.mean(axis=0), 4.0, rtol=0.15)
    _, left = dynamics.four_point(made, fields, noise=[np.full(2000, 4.0)] * 12, q_max=3.0, bins=6)
    np.testing.assert_allclose(left, S4 - 4.0)


@pytest.mark.parametrize("d", [2, 3])
def test_four_point_of_a_plane_wave(d):
    """cos(k·r) on a lattice: N/4 at its own wave vectors, nothing elsewhere."""
    side = 8
    grid = np.stack(np.meshgrid(*[np.arange(side)] * d, indexing="ij"), axis=-1).reshape(-1, d)
    frame = frames.build(grid - 3.5, float(side), [0] * len(grid), dimensions=d)
    k = 2 * np.pi / side
    field = 7.0 + np.cos(k * 2 * frame.particles.position[:, 0])
    q, S4 = dynamics.four_point(frame, field, q_max=2.5 * k, bins=200)
    peak = np.argmax(S4[0])
    assert q[peak] == pytest.approx(2 * k)
    # of the d wave vectors of this length (one of each ±) one carries the wave
    assert S4[0][peak] == pytest.approx(len(grid) / 4 / d, rel=1e-4)
    assert np.delete(S4[0], peak).max() < 1e-6


def test_four_point_of_known_correlation():
    """White noise smeared with a Gaussian of width w: S4 ∝ exp(−q² w²)."""
    rng = np.random.default_rng(1)
    side, w = 16, 1.5
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    frame = frames.build(grid - 7.5, float(side), [0] * len(grid))
    n = np.fft.fftfreq(side) * 2 * np.pi
    q2 = sum(k**2 for k in np.meshgrid(n, n, n, indexing="ij"))
    smear = np.exp(-q2 * w**2 / 2)
    fields = [
        np.fft.ifftn(np.fft.fftn(rng.normal(size=(side,) * 3)) * smear).real.ravel()
        for _ in range(40)
    ]
    q, S4 = dynamics.four_point([frame] * 40, fields, q_max=1.6, bins=5)
    np.testing.assert_allclose(np.log(S4.mean(axis=0)), -(q**2) * w**2, atol=0.25)


def test_four_point_refuses():
    frame = frames.build(np.random.default_rng(0).uniform(size=(10, 3)), 1.0, [0] * 10)
    with pytest.raises(ValueError, match=r"field 0 has shape \(9,\)"):
        dynamics.four_point(frame, np.zeros(9), q_max=10)
    with pytest.raises(ValueError, match="not finite"):
        dynamics.four_point(frame, np.full(10, np.nan), q_max=10)
    with pytest.raises(ValueError, match="raise it"):
        dynamics.four_point(frame, np.zeros(10), q_max=1.0)
    with pytest.raises(ValueError, match="1 frames, 1 fields, 2 selections"):
        dynamics.four_point([frame], [np.zeros(10)], include=[None, None])


def test_distance_change_follows_the_pair_through_the_boundary():
    initial = np.array([[-4.9, 0, 0], [4.9, 0, 0], [0.0, 0, 0]])
    final = initial + [[[0.3, 0, 0], [0, 0, 0], [0, 0, 0]], [[20.0, 0, 0], [0, 0, 0], [0, 0, 0]]]
    pairs = np.array([[0, 1], [0, 2]])
    change = dynamics.distance_change(initial, final, pairs, np.array([10, 10, 10, 0, 0, 0.0]))
    np.testing.assert_allclose(change[0], [0.3, -0.3])  # 0.2 -> 0.5 across the boundary
    # not the nearest image at the end: the pair has been followed
    np.testing.assert_allclose(change[1], [20.2 - 0.2, 15.1 - 4.9])
    with pytest.raises(ValueError, match="pairs name particle 3"):
        dynamics.distance_change(initial, final, np.array([[0, 3]]), np.array([10.0] * 3 + [0] * 3))
