"""Correlations against scipy, coverage of the intervals, and what within_groups removes."""

import numpy as np
import pytest
from oracles import refuses
from scipy import stats
from scipy.signal import lfilter

from glasslib import frames, scores


def pooled_only(seed=0, groups=40, per=25):
    """x and y differ between groups together and inside them independently."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), per)
    level = rng.normal(size=groups)[group]
    x = 3 * level + rng.normal(size=len(group))
    y = 3 * level + rng.normal(size=len(group))
    return x, y, group


@pytest.mark.parametrize(
    ("method", "reference"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)]
)
def test_coefficients_are_scipys(method, reference):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 20, 200).astype(float)
    y = np.exp(0.1 * x) + rng.normal(size=200)
    found = scores.correlate(x, y, method=method, n_boot=200)
    assert found.r == pytest.approx(reference(x, y).statistic, abs=1e-12)
    assert found.low < found.r < found.high


def test_bootstrap_by_sums_is_bootstrap_by_resampling():
    x, y, group = pooled_only(1, groups=101, per=4)
    fast = scores.correlate(x, y, groups=group, n_boot=4000, seed=0)
    rng, slow, rows_of = np.random.default_rng(1), [], np.arange(404).reshape(101, 4)
    for _ in range(4000):
        rows = rows_of[rng.integers(101, size=101)].ravel()
        slow.append(np.corrcoef(x[rows], y[rows])[0, 1])
    low, high = np.percentile(slow, [2.5, 97.5])
    width = high - low
    assert fast.low == pytest.approx(low, abs=0.06 * width)
    assert fast.high == pytest.approx(high, abs=0.06 * width)


# ------------------------------------------------------- intervals hold the truth as often as said


def alike(rng, m, per=60):
    """Configurations of particles that are alike near each other, hot and cold, with slopes apart.

    x, y (60 m,) and group. The truth is what very many configurations give.
    """
    x, e = lfilter([0.6], [1, -0.8], rng.normal(size=(2, m, per + 20)))[:, :, 20:]
    slope, hot = 0.7 + 0.2 * rng.normal(size=(m, 1)), 0.3 * rng.normal(size=(m, 1))
    return x.ravel(), (slope * x + e + hot).ravel(), np.repeat(np.arange(m), per)


def unequal(rng, m):
    """The same, of configurations of which some are four times as large as others."""
    x, y, group = alike(rng, m)
    keep = np.arange(len(x)) % 60 < np.array([15, 30, 60])[group % 3]
    return x[keep], y[keep], group[keep]


def skewed(rng, m):
    """The same, labels with a long tail."""
    x, y, group = alike(rng, m)
    return x, np.exp(0.5 * y), group


def single(rng, m):
    """Independent samples."""
    x, e = rng.normal(size=(2, m))
    return x, x + e, None


def correlation(x, y, group, method="pearson"):
    found = scores.correlate(x, y, groups=group, method=method)
    return found.r, found.low, found.high


def ranks(x, y, group):
    return correlation(x, y, group, "spearman")


def times(x, y, group):
    return [v[0] for v in scores.correlate_times(x, y[:, None], groups=group)]


def inside(x, y, group):
    found = scores.within_groups(x, y, group)
    return found.r, found.low, found.high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "make", "numbers", "trials"),
    [
        (correlation, alike, (3, 5, 8, 13, 20, 40, 100), 800),
        (correlation, unequal, (6, 13, 30), 800),
        (correlation, skewed, (3, 13), 800),
        (correlation, single, (6, 13, 30, 99), 800),
        (ranks, alike, (5, 13), 300),
        (ranks, single, (20,), 300),
        (times, alike, (3, 13, 40), 600),
        (inside, alike, (3, 13, 40), 600),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(how, make, numbers, trials):
    """Between 93 and 97 times in 100, and as much beyond as so many trials leave open."""
    draw = np.random.default_rng(1)
    whole = make(draw, 4000)
    truth = scores.within_groups(*whole, n_boot=0).r if how is inside else scores.correlate(
        *whole[:2], method="spearman" if how in (ranks, times) else "pearson", n_boot=0
    ).r  # fmt: skip
    error = 2.5 * np.sqrt(0.05 * 0.95 / trials)
    for m in numbers:
        rng, held = np.random.default_rng(m), 0
        for _ in range(trials):
            _, low, high = how(*make(rng, m))
            held += low < truth < high
        assert 0.93 - error < held / trials < 0.97 + error, m


@pytest.mark.slow
@pytest.mark.parametrize("networks", [1, 5])
@pytest.mark.parametrize("m", [5, 12])
def test_resamples_of_few_blocks_hold_the_truth_as_often_as_they_say(m, networks):
    draw = np.random.default_rng(1)

    def made(rng, m, many):
        x, y, group = alike(rng, m)
        weight = 1 + 0.3 * rng.normal(size=(many, 1)) * (networks > 1)
        return weight * x + rng.normal(size=(many, len(x))), y, group

    x, y, _ = made(draw, 400, 60)
    truth = np.mean([np.corrcoef(one, y)[0, 1] for one in x])
    rng, held, alone = np.random.default_rng(m), 0, 0
    for k in range(200):
        x, y, group = made(rng, m, networks)
        _, drawn = scores.resampled([x], [y], [group], method="pearson", n_boot=100, seed=k)
        low, high = np.quantile(drawn, (0.025, 0.975))
        held += low < truth < high
        means = [y[rows].mean() for rows in scores.redrawn(group, 100, seed=k)]
        alone += np.quantile(means, 0.025) < 0 < np.quantile(means, 0.975)
    assert 0.9 < held / 200 < 0.99
    assert 0.88 < alone / 200 < 0.99


def test_one_group_that_is_all_but_alone_measures_no_spread():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(5), [1000, 4, 4, 4, 4])
    x = rng.normal(size=1016)
    y = x + rng.normal(size=1016)
    found = scores.correlate(x, y, groups=group)
    assert (found.low, found.high) == (pytest.approx(-1), pytest.approx(1))


def test_few_samples_have_no_interval():
    """Three samples correlate perfectly all too often: leaving out one of four says nothing."""
    x, y = np.random.default_rng(0).normal(size=(2, 5))
    for few in (scores.correlate(x[:4], y[:4]), scores.correlate(x, y, groups=[0, 0, 1, 1, 1])):
        assert np.isnan([few.low, few.high]).all()
        assert np.isfinite(few.r)
    assert np.isnan(scores.correlate_times(x[:4], y[:4, None])[1]).all()
    five = scores.correlate(x, y)
    assert five.low < five.r < five.high


def test_perfect_order_of_a_few_samples_is_no_certainty():
    found = scores.correlate(np.arange(6.0), np.arange(6.0) ** 3, method="spearman")
    assert found.r == found.high == 1
    assert found.low < 0.7


def test_one_group_has_no_interval():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    group = np.zeros(50, dtype=int)
    found = scores.correlate(x, y, groups=group, method="spearman")
    assert np.isnan([found.low, found.high]).all()
    _, low, high = scores.correlate_times(x, y[:, None], groups=group)
    assert np.isnan([low, high]).all()


def test_groups_widen_the_interval():
    x, y, group = pooled_only()
    alone = scores.correlate(x, y)
    grouped = scores.correlate(x, y, groups=group)
    assert alone.r == grouped.r
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert (alone.n_groups, grouped.n_groups) == (1000, 40)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_within_groups_takes_a_pooled_correlation_apart(method):
    x, y, group = pooled_only()
    assert scores.correlate(x, y, groups=group, method=method).r > 0.8
    within = scores.within_groups(x, y, group, method=method)
    assert abs(within.r) < 0.1
    assert within.low < 0 < within.high


def test_within_groups_keeps_what_happens_inside():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 20)
    x = rng.normal(size=600)
    y = x + 100.0 * group
    assert scores.correlate(x, y, groups=group).r < 0.2
    assert scores.within_groups(x, y, group).r == pytest.approx(1.0)


def test_permutation_pvalue():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 60))
    assert scores.permutation_pvalue(x, x + noise, n_perm=999) == 0.001
    against = stats.pearsonr(x, noise).pvalue
    assert scores.permutation_pvalue(x, noise, n_perm=4999) == pytest.approx(against, abs=0.03)


def test_permutation_within_groups_ignores_differences_between_them():
    x, y, group = pooled_only()
    assert scores.permutation_pvalue(x, y, n_perm=199) == 0.005
    assert scores.permutation_pvalue(x, y, groups=group, n_perm=199) > 0.02


def test_constant_input_has_no_correlation():
    assert np.isnan(scores.correlate([1, 1, 1, 1], [1, 2, 3, 4]).r)
    assert np.isnan(scores.within_groups([0.1, 0.1, 0.7, 0.7], [1, 2, 3, 4], [0, 0, 1, 1]).r)
    with pytest.raises(ValueError, match="does not vary"):
        scores.permutation_pvalue([1, 1, 1], [1, 2, 3])


def test_same_seed_same_interval():
    x, y, group = pooled_only()
    a, b = (scores.correlate(x, y, groups=group, seed=3) for _ in range(2))
    assert a == b
    assert str(a).count("0.") == 3


def test_split_by_configuration():
    train, test = scores.split_by_configuration(160, seed=4)
    assert (len(train), len(test)) == (128, 32)
    assert set(train) | set(test) == set(range(160))
    again, _ = scores.split_by_configuration(160, seed=4)
    np.testing.assert_array_equal(train, again)
    a, b, c = scores.split_by_configuration(3, (0.9, 0.05, 0.05))
    assert len(a) == len(b) == len(c) == 1
    part = scores.split_by_configuration(10, (0.3, 0.2))
    assert [len(p) for p in part] == [3, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scores.correlate([1, 2], [1, 2]), "at least 3"),
        (lambda: scores.correlate([1, 2, 3], [1, 2]), "expected both"),
        (lambda: scores.correlate([1, 2, np.nan], [1, 2, 3]), "sample 2"),
        (lambda: scores.correlate([1, 2, 3], [1, 2, 3], method="kendall"), "expected one of"),
        (lambda: scores.correlate([1, 2, 3], [1, 2, 3], groups=[0, 1]), "one a sample"),
        (lambda: scores.split_by_configuration(10, (0.9, 0.3)), "sum 1 or less"),
        (lambda: scores.split_by_configuration(1), "cannot be dealt"),
    ],
)
def test_bad_input_says_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_mean_interval_is_scipys():
    for n in (2, 3, 7):
        runs = np.random.default_rng(n).normal(size=(n, 4))
        mean, low, high = scores.mean_interval(runs, level=0.9)
        expected = stats.t.interval(0.9, n - 1, runs.mean(axis=0), stats.sem(runs, axis=0))
        np.testing.assert_allclose([low, high], expected)


def test_jackknife_by_hand():
    x, y, group = pooled_only(3, groups=4, per=6)
    r = np.corrcoef(x, y)[0, 1]
    z = np.arctanh(r)
    without = [np.arctanh(np.corrcoef(x[group != g], y[group != g])[0, 1]) for g in range(4)]
    spread = np.sqrt(3 / 4 * sum((w - z) ** 2 for w in without))
    share = np.array([np.sqrt(np.var(x[group == g]) * np.var(y[group == g])) for g in range(4)])
    freedom = share.sum() ** 2 / (share**2).sum() - 1
    half = stats.t.ppf(0.975, freedom) * spread
    found = scores.correlate(x, y, groups=group)
    assert found.r == pytest.approx(r)
    np.testing.assert_allclose([found.low, found.high], np.tanh([z - half, z + half]))


def test_mean_interval_covers_the_truth_as_often_as_it_says():
    runs = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 4000))
    mean, low, high = scores.mean_interval(runs)
    np.testing.assert_allclose(mean, runs.mean(axis=0))
    assert np.mean((low < 3.0) & (high > 3.0)) == pytest.approx(0.95, abs=0.015)


def test_mean_interval_of_one_run_is_unknown():
    mean, low, high = scores.mean_interval(np.array([[1.0, 2.0]]))
    assert mean.tolist() == [1.0, 2.0]
    assert np.isnan(low).all()
    assert np.isnan(high).all()
    with pytest.raises(ValueError, match="expected \\(n_runs"):
        scores.mean_interval(np.empty((0, 3)))


def test_mean_difference_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1500):
        _, low, high = scores.mean_difference(rng.normal(1, 3.0, 4), rng.normal(3.0, 1.0, (3, 4)))
        inside += low < 2.0 < high
    assert inside / 1500 == pytest.approx(0.95, abs=0.02)


def test_mean_difference_is_second_minus_first_without_nan():
    difference, low, high = scores.mean_difference([1.0, np.nan, 3.0], [5.0, 6.0, 7.0])
    assert difference == 4.0
    assert low < 4.0 < high
    assert np.isnan(scores.mean_difference([1.0], [2.0, 3.0])[1:]).all()
    assert scores.mean_difference([1.0, 1.0], [2.0, 2.0]) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="0 and 1 finite values; expected at least one a side"):
        scores.mean_difference([np.nan], [2.0])


# ------------------------------------------------------------------------------- against time


def rising(n=600, times=4, seed=0):
    """x, and labels that follow it ever more closely; both skewed."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    labels = x[:, None] * np.linspace(0, 2, times) + rng.normal(size=(n, times))
    return np.exp(x), np.exp(labels)


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_correlation_against_time_is_that_of_each_time(method):
    x, labels = rising()
    r, low, high = scores.correlate_times(x, labels, method=method, n_boot=2000)
    each = [scores.correlate(x, y, method=method, n_boot=1000, seed=1) for y in labels.T]
    np.testing.assert_allclose(r, [c.r for c in each], atol=1e-12)
    width = np.array([c.high - c.low for c in each])
    assert np.all(np.abs(low - [c.low for c in each]) < 0.15 * width)
    assert np.all(np.abs(high - [c.high for c in each]) < 0.15 * width)
    again = scores.correlate_times(x, labels, method=method, n_boot=2000)
    np.testing.assert_array_equal(again, (r, low, high))


def test_correlation_against_time_resamples_whole_groups():
    x, y, group = pooled_only()
    found = np.array(scores.correlate_times(x, y[:, None], groups=group, n_boot=1000))[:, 0]
    one = scores.correlate(x, y, groups=group, method="spearman", n_boot=1000)
    np.testing.assert_allclose(found, [one.r, one.low, one.high], atol=0.02)
    narrow = np.array(scores.correlate_times(x, y[:, None], n_boot=1000))[:, 0]
    assert np.diff(narrow[1:]) < np.diff(found[1:]) / 2


def test_a_time_without_variation_has_no_correlation():
    x, labels = rising(50, 3)
    labels[:, 1] = 4.0
    r, low, high = scores.correlate_times(x, labels, n_boot=50)
    assert np.isnan([r[1], low[1], high[1]]).all()
    assert np.isfinite([r[[0, 2]], low[[0, 2]], high[[0, 2]]]).all()
    r, low, _ = scores.correlate_times(x, labels, n_boot=0)
    assert np.isfinite(r[0])
    assert np.isnan(low).all()


def test_shuffles_of_independent_values_have_the_known_spread():
    x, labels = rising(400)
    mean, low, high = scores.null_shuffle(x, labels, n_shuffle=2000)
    # variance of Spearman's coefficient of independent samples: 1 / (n - 1)
    np.testing.assert_allclose(mean, 0, atol=0.006)
    np.testing.assert_allclose(high, 1.96 / np.sqrt(399), rtol=0.12)
    np.testing.assert_allclose(low, -1.96 / np.sqrt(399), rtol=0.12)


def test_shuffles_within_species_keep_what_species_explain():
    x, y, group = pooled_only()
    mean, low, high = scores.null_shuffle(x, y[:, None], groups=group, n_shuffle=200)
    assert mean[0] == pytest.approx(scores.correlate(x, y, method="spearman").r, abs=0.02)
    assert mean[0] > 0.7
    assert low[0] > mean[0] - 0.02
    assert high[0] < mean[0] + 0.02
    assert abs(scores.null_shuffle(x, y[:, None], n_shuffle=200)[0][0]) < 0.02


def test_shuffles_before_averaging_have_the_wider_band():
    rng = np.random.default_rng(0)
    n, width = 600, 20

    def smooth(values):
        return np.mean([np.roll(values, k, axis=0) for k in range(width)], axis=0)

    x, label = rng.normal(size=n), smooth(rng.normal(size=(n, 1)))
    wide = scores.null_shuffle(x, label, after=smooth, n_shuffle=400)
    narrow = scores.null_shuffle(smooth(x), label, n_shuffle=400)
    assert wide[2] - wide[1] > 2 * (narrow[2] - narrow[1])
    half = scores.null_shuffle(x, label[::2], after=lambda v: smooth(v)[::2], n_shuffle=400)
    np.testing.assert_allclose(half, wide, atol=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: scores.correlate_times(x, y[:, 0]), r"expected \(n, n_times\)"),
        (lambda x, y: scores.correlate_times(x[1:], y), "expected both"),
        (lambda x, y: scores.correlate_times(x, np.where(y == y[3, 1], np.nan, y)), r"\(3, 1\)"),
        (lambda x, y: scores.correlate_times(x, y, method="kendall"), "expected one of"),
        (lambda x, y: scores.null_shuffle(x, y, method="kendall"), "expected one of"),
        (lambda x, y: scores.null_shuffle(x, y, groups=[0, 1]), "one a sample"),
        (lambda x, y: scores.null_shuffle(x, y, after=lambda v: v[1:]), "a row for each row"),
    ],
)
def test_bad_tables_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(*rising(30, 2))


# --------------------------------------------------------------------------------- moved fields


def smooth(frame, seed, waves=6):
    """A periodic field of a few long waves."""
    rng = np.random.default_rng(seed)
    edge = frame.configuration.box[0]
    k = rng.integers(-2, 3, size=(waves, 3)) * (np.arange(3) < frames.dimensions(frame))
    phase = 2 * np.pi / edge * frame.particles.position @ k.T + rng.uniform(0, 2 * np.pi, waves)
    return np.cos(phase) @ rng.normal(size=waves)


@pytest.mark.parametrize("d", [2, 3])
def test_moved_fields_correlate_by_smoothness_alone(d):
    """Two unrelated smooth fields lie inside the null of moved ones, outside that of shuffled."""
    rng, inside, shuffled = np.random.default_rng(d), 0, 0
    for k in range(40):
        r = rng.uniform(-5, 5, size=(400, 3)) * (np.arange(3) < d)
        frame = frames.build(r, 10.0, np.zeros(400, dtype=int), dimensions=d)
        a, b = smooth(frame, 2 * k), smooth(frame, 2 * k + 1)
        found = scores.correlate(a, b, method="spearman", n_boot=0).r
        _, low, high = scores.null_shift(a, b[:, None], frame, n_shift=100, seed=k)
        inside += low[0] <= found <= high[0]
        _, low, high = scores.null_shuffle(a, b[:, None], n_shuffle=100, seed=k)
        shuffled += low[0] <= found <= high[0]
    assert inside >= 33
    assert shuffled < 30


def test_a_field_moved_by_nothing_is_itself(monkeypatch):
    rng = np.random.default_rng(0)
    frame = frames.build(rng.uniform(-5, 5, size=(300, 3)), 10.0, np.zeros(300, dtype=int))
    x, mine = smooth(frame, 1), np.arange(300) < 200

    class Still:
        def uniform(self, size):
            return np.zeros(size)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Still())
    labels = np.column_stack([x, -x])
    mean, low, high = scores.null_shift(x, labels, frame, include=mine, n_shift=3)
    np.testing.assert_allclose([mean, low, high], [[1, -1]] * 3)


def test_bad_moves_are_refused():
    frame = frames.build(np.zeros((5, 3)) + np.arange(5)[:, None], 10.0, np.zeros(5, dtype=int))
    with pytest.raises(ValueError, match="a row for each of the 5 particles"):
        scores.null_shift(np.arange(4.0), np.zeros((4, 1)), frame)
    frame.configuration.box = [10, 10, 10, 0.1, 0, 0]
    with pytest.raises(ValueError, match="is tilted; expected an orthogonal one"):
        scores.null_shift(np.arange(5.0), np.arange(5.0)[:, None], frame)


# -------------------------------------------------------------------------------- by species


def test_standardised_within_each_group():
    rng = np.random.default_rng(0)
    group = np.array(["small", "large"])[rng.integers(2, size=200)]
    x = rng.normal(size=200) * np.where(group == "small", 3, 1) + 10 * (group == "small")
    z = scores.standardised(x, group)
    for g in ("small", "large"):
        np.testing.assert_allclose(z[group == g], stats.zscore(x[group == g]), atol=1e-12)
    constant = np.where(group == "small", 0.1, x)
    assert not scores.standardised(constant, group)[group == "small"].any()
    with pytest.raises(ValueError, match=r"\(200,\) and \(199,\)"):
        scores.standardised(x, group[1:])


def test_a_moved_field_is_as_smooth_as_before():
    rng = np.random.default_rng(0)
    frame = frames.build(rng.uniform(size=(4000, 3)) * 12, 12.0, np.arange(4000) % 2)
    wave = np.cos(2 * np.pi / 12 * frame.particles.position @ [1, 1, 0])
    source = scores.moved(frame, n_shift=3, seed=1)
    assert source.shape == (4000, 3)
    for column in source.T:
        new = wave[column]
        phase = frame.particles.position @ [1, 1, 0] * 2 * np.pi / 12
        basis = np.column_stack([np.cos(phase), np.sin(phase)])
        left = new - basis @ np.linalg.lstsq(basis, new, rcond=None)[0]
        assert left.std() < 0.25 * new.std()  # the same wave, shifted
    mine = frame.particles.typeid == 1
    assert scores.moved(frame, include=mine).max() < mine.sum()


# ------------------------------------------------------------- intervals within one configuration


@pytest.mark.parametrize("d", [2, 3])
def test_blocks_tile_the_box(d):
    rng = np.random.default_rng(0)
    box = [8.0, 10.0, 12.0, 0.3, 0, 0] if d == 3 else [8.0, 10.0, 0, 0.3, 0, 0]
    x = (rng.uniform(size=(4000, 3)) - 0.5) * 30
    frame = frames.build(x[:, :d], np.array(box), np.zeros(4000, int), dimensions=d)
    label = scores.blocks(frame, 4)
    assert set(label) == set(range(4**d))
    counts = np.bincount(label)
    assert abs(counts - 4000 / 4**d).max() < 5 * np.sqrt(4000 / 4**d)
    moved = frames.build(x[:, :d] + [0, 20.0, 0][:d] + np.array([6.0, 0, 0][:d]), np.array(box),
                         np.zeros(4000, int), dimensions=d)  # fmt: skip
    np.testing.assert_array_equal(scores.blocks(moved, 4), label)  # two lattice vectors on
    with pytest.raises(ValueError, match="per_edge is 0"):
        scores.blocks(frame, 0)


def test_differences_of_resamples_hold_the_truth():
    """Predictors whose noise is alike within blocks: the interval knows of it."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(25), 40)

    def gain(a, b, y):
        """|r| of a minus |r| of b, and its interval."""
        (r, many), (s, others) = (scores.resampled([x], [y], [group], n_boot=200) for x in (a, b))
        drawn = np.sign(r) * many - np.sign(s) * others
        return abs(r) - abs(s), *np.quantile(drawn, (0.025, 0.975))

    inside = []
    for _ in range(60):
        y, u, v = (rng.normal(size=25)[group] for _ in range(3))
        noise = 0.3 * rng.normal(size=(2, 1000))
        a, b = y + u + noise[0], -(y + v + noise[1])  # equally good; b is negative
        difference, low, high = gain(a, b, y)
        assert low < difference < high
        inside.append(low < 0 < high)
    assert np.mean(inside) > 0.8
    y = rng.normal(size=1000)
    better, low, _ = gain(y, y + 3 * rng.normal(size=1000), y)
    assert low > 0.4
    assert better == pytest.approx(1 - 0.3, abs=0.1)
    with pytest.raises(ValueError, match="five or more"):
        scores.resampled([y], [y], [group % 4])


def test_resamples_average_over_networks_and_configurations():
    rng = np.random.default_rng(1)
    labels = [rng.normal(size=n) for n in (300, 400)]
    many = [y + rng.normal(size=(3, len(y))) for y in labels]
    groups = [np.arange(len(y)) % 20 for y in labels]
    r, drawn = scores.resampled(many, labels, groups, n_boot=100, seed=3)
    each = [scores.correlate(x, y, method="spearman", n_boot=0).r
            for fields, y in zip(many, labels, strict=True) for x in fields]  # fmt: skip
    assert r == pytest.approx(np.mean(each), abs=1e-12)
    assert drawn.shape == (100,)
    assert drawn.min() < r < drawn.max()
    ones = [x[:1] for x in many]
    drawn = scores.resampled(ones, labels, groups, n_boot=100, seed=3)[1]
    again = scores.resampled(ones[:1], labels[:1], groups[:1], n_boot=100, seed=3)[1]
    other = scores.resampled(ones[1:], labels[1:], groups[1:], n_boot=100, seed=4)[1]
    # the same blocks; Student's t of 38 degrees of freedom instead of 19
    t = stats.t.ppf(0.975, 38) / stats.t.ppf(0.975, 19)
    np.testing.assert_allclose(drawn - r, t * ((again + other) / 2 - r), atol=1e-3)
    pearson, _ = scores.resampled(many, labels, groups, method="pearson", n_boot=1)
    assert pearson == pytest.approx(
        np.mean([np.corrcoef(x, y)[0, 1] for f, y in zip(many, labels, strict=True) for x in f])
    )
    refuses(lambda: scores.resampled([many[0][:, :-1]], labels[:1], groups[:1]), "(299,)", "(300,)")


def test_resamples_draw_networks_too():
    """Networks that disagree widen the interval, whatever the number of particles."""
    rng = np.random.default_rng(2)
    y = rng.normal(size=5000)
    group = np.arange(5000) % 50
    disagree = np.array([sign * y + rng.normal(size=5000) for sign in (1, 1, 1, -1, -1)])
    r, drawn = scores.resampled([disagree], [y], [group])
    assert r == pytest.approx(0.7 / 5, abs=0.03)
    # the standard error of five, and Student's t of four degrees of freedom
    wider = stats.t.ppf(0.975, 4) / stats.norm.ppf(0.975)
    assert np.std(drawn) == pytest.approx(wider * 0.7 * np.sqrt(0.96 / 4), rel=0.12)
    refuses(
        lambda: scores.resampled([disagree, disagree[:2]], [y, y], [group, group]), "2, 5 networks"
    )


def test_redrawn_rows_are_whole_groups():
    group = np.array(list("abcdefghabcdefgh"))
    seen = np.zeros(16)
    for rows in scores.redrawn(group, 200, seed=1):
        assert len(rows) == 2 * (8 - 3)
        drawn = np.bincount(rows, minlength=16)
        np.testing.assert_array_equal(drawn[:8], drawn[8:])
        seen += drawn
    np.testing.assert_allclose(seen / 200, 5 / 8, atol=0.2)
    refuses(lambda: scores.redrawn(np.arange(12) % 4, 1), "there are 4 groups", "five")


def test_partial_correlation_is_the_textbook_formula():
    rng = np.random.default_rng(4)
    z = rng.normal(size=300)
    x, y = z + rng.normal(size=300), -2 * z + rng.normal(size=300)
    xy, xz, yz = (np.corrcoef(a, b)[0, 1] for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert scores.partial(x, y, z) == pytest.approx(expected, rel=1e-12)
    # of ranks: the same formula, whatever grows with the quantities
    of_ranks = scores.partial(*(np.argsort(np.argsort(v)) * 1.0 for v in (x, y, z)))
    assert scores.partial(np.exp(x), y**3, np.tanh(z), method="spearman") == pytest.approx(of_ranks)


def test_partial_correlation_of_several_and_of_nothing():
    rng = np.random.default_rng(5)
    u, v, w = rng.normal(size=(3, 200))
    both = np.column_stack([u, v])
    assert abs(scores.partial(u + v + 0.1 * w, u - v + 0.1 * w, both) - 1) < 1e-9
    assert np.isnan(scores.partial(u, v, u))
    assert scores.partial(u, v, np.ones(200)) == pytest.approx(np.corrcoef(u, v)[0, 1])
    refuses(lambda: scores.partial(u, v, w[:-1]), "given has shape (199,)", "(200,)")
    refuses(lambda: scores.partial(u, v[:-1], w), "199")


def test_ratio_of_means_covers():
    """Of two independent samples; the interval holds the true ratio in about 95 %."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(600):
        a, b = rng.gamma(8, size=8), 2 * rng.gamma(8, size=6)
        ratio, low, high = scores.mean_ratio(a, b)
        assert low < ratio < high
        held += low < 2.0 < high
    assert 0.92 < held / 600 < 0.985
    assert np.isnan(scores.mean_ratio([1.0], [2.0, 3.0])[1])
    with pytest.raises(ValueError, match="positive mean"):
        scores.mean_ratio([-1.0, -2.0], [1.0])
