"""Cooled melts of chapter 1: on made-up runs whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from glasslib import frames, stored, systems
from glasslib.studies import cooling, productions

MIX = productions.mix_disks(n=100)


def lattice(shift=0.0, *, kT=0.1, energy=-1.0, edge=10, jitter=0.0, seed=0):
    x = np.stack(np.meshgrid(np.arange(edge), np.arange(edge)), -1).reshape(-1, 2) + 0.5 + shift
    x = x + jitter * np.random.default_rng(seed).normal(size=x.shape)
    f = frames.build(
        x - edge / 2, float(edge), np.arange(edge**2) % 2, types=["A", "B"], dimensions=2
    )
    f.log = {"kT": np.array([kT]), "potential_energy": np.array([energy])}
    return f


def make_runs(melts=(0, 1, 2), gap=-0.1):
    """The slow ramp lies ``gap`` lower below T = 1, melt m 0.01 m higher everywhere."""
    temperatures = (1.5, 0.8, 0.3, 0.2)
    return {
        (m, steps): [
            lattice(kT=T, energy=0.01 * m + (gap if steps == 50 and T < 1 else 0.0), seed=m)
            for T in temperatures
        ]
        for m in melts for steps in (5, 50)
    }  # fmt: skip


def test_rates_are_named_as_the_paper_names_them():
    named = [cooling.name_rate(s, systems.get("bihani-2d")) for s in productions.RAMPS]
    assert named == ["3.33·10⁻³", "3.33·10⁻⁴", "3.33·10⁻⁵", "3.33·10⁻⁶"]


def test_rates_are_compared_melt_by_melt():
    runs = make_runs()
    assert cooling.along(runs, 50, "potential_energy").shape == (3, 4)
    options = {"key": "potential_energy", "fast": 5, "slow": 50}
    cold = cooling.compare_rates(runs, **options, low=0.0, high=1.0)
    np.testing.assert_allclose(cold, -0.1, atol=1e-12)  # the spread of melts cancels
    np.testing.assert_allclose(
        cooling.compare_rates(runs, **options, low=1.0, high=2.1), 0.0, atol=1e-12
    )
    assert np.isnan(cooling.compare_rates(make_runs(melts=[0]), **options, low=0, high=1)[1])
    with pytest.raises(ValueError, match="no melt was cooled by ramps of 5 and of 7"):
        cooling.compare_rates(runs, "potential_energy", fast=5, slow=7, low=0, high=1)


def test_one_more_run_falls_where_it_is_foretold():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2000, 6))
    caught = [abs(d[-1] - d[:-1].mean()) < cooling.foretell_one_more(d[:-1]) for d in draws]
    assert 0.93 < np.mean(caught) < 0.97


def test_equal_glasses_have_equal_pair_distributions():
    a, b, c = ([lattice(shift=s, jitter=j)] for s, j in ((0, 0.1), (0.3, 0.1), (0, 0.3)))
    assert cooling.measure_distance(a, b) < 0.02  # a pair on the edge of a bin may change it
    assert cooling.measure_distance(a, c) > 0.1
    runs = {(m, s): [lattice(jitter=0.1, seed=10 * m + s)] for m in range(4) for s in (5, 50)}
    alike = cooling.compare_structure(runs, fast=5, slow=50)
    assert alike.ratio == alike.between / alike.within < 1.5
    for m in range(4):
        runs[m, 5] = [lattice(jitter=0.3, seed=m)]
    assert cooling.compare_structure(runs, fast=5, slow=50).ratio > 1.5
    with pytest.raises(ValueError, match="two halves need two"):
        cooling.compare_structure({(0, 5): [lattice()], (0, 50): [lattice()]}, fast=5, slow=50)


def test_width_of_a_peak():
    r = np.linspace(0.5, 1.5, 2001)
    for width in (0.03, 0.06):
        g = np.exp(-((r - 1) ** 2) / (2 * width**2))
        assert cooling.measure_width(r, g, 0.7, 1.3) == pytest.approx(width, rel=1e-3)
    with pytest.raises(ValueError, match="expected a peak"):
        cooling.measure_width(r, 0 * r, 0.7, 1.3)
    runs = {
        (m, s): [lattice(jitter=j, seed=m)] for m in range(3) for s, j in ((5, 0.1), (50, 0.05))
    }
    ratio, low, high = cooling.compare_widths(runs, fast=5, slow=50, pair=("A", "B"), high=1.35)
    assert 1 < low < ratio < high


def test_what_is_not_there_is_refused_with_the_command(tmp_path):
    frames.write(cooling.find(tmp_path, MIX, 1, 5000), [lattice()])
    assert list(cooling.load(tmp_path, MIX, [(1, 5000)])) == [(1, 5000)]
    for system, words in [
        (MIX, "ramps='[50000]' -p melts='[1]' -p n=100"),
        (productions.mix_disks(composition=(0.8, 0.2)), "-p composition='[0.8, 0.2]'"),
        (productions.mix_disks(density=1.1), "-p density=1.1"),
    ]:
        with pytest.raises(stored.StoredError, match="melt 0 was not cooled") as caught:
            cooling.load(tmp_path, system, [(0, 50000)])
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_names_of_files_tell_mixtures_and_ramps_apart():
    usual = [productions.name_cooled(0, s) for s in (5000, 7000)]
    assert usual == ["melt0-rate3e-03", "melt0-steps7000"]
    assert productions.name_cooled(2, 5000, productions.mix_disks()) == "melt2-rate3e-03"
    assert productions.name_cooled(0, 5000, MIX) == "n100-a0.65-d1.2-melt0-rate3e-03"
    jobs = productions.list_jobs("1", Path(), n=100, ramps=[5000, 7000], melts=[2, 1])
    assert [productions.name_job(j) for j in jobs] == [
        "n100-a0.65-d1.2-melt0-rate3e-03", "n100-a0.65-d1.2-melt0-steps7000",
        "n100-a0.65-d1.2-melt1-rate3e-03",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="sum 1"):
        productions.mix_disks(composition=(0.7, 0.2))
    with pytest.raises(ValueError, match="expected one for each"):
        productions.list_jobs("1", Path(), melts=[1, 2])
