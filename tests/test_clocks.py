"""Clocks read from made-up decays whose times are known; invented glasses that are as announced."""

import numpy as np
import pytest

from glasslib import frames, systems
from glasslib.studies import clocks, invented

SPHERES = systems.get("hard-spheres")
LIQUID = systems.get("kob-andersen-force-shifted")


def frame(**log):
    return frames.build(np.zeros((1, 3)), 5.0, [0], log={k: np.asarray(v) for k, v in log.items()})


def draws(tau: float, n_times: int = 300):
    """Draws whose self part decays with τ, the collective with 3 τ, the cage-relative with 2 τ."""
    t = np.logspace(-1, 4, n_times)
    F = np.exp(-t / tau)[None] * np.ones((4, 1))
    return frame(times=t, self_isf_A=F, collective_isf=F ** (1 / 3),
                 cage_relative_self_isf_A=F**0.5)  # fmt: skip


def windows(taus):
    t = np.logspace(-1, 4, 300)
    F = np.exp(-t / np.asarray(taus, dtype=float)[:, None])
    return frame(**{
        "equilibration/times": t, "equilibration/self_isf_A": F, "kT": [0.5],
        "equilibration/collective_isf": F ** (1 / 3),
        "equilibration/cage_relative_self_isf_A": F**0.5,
    })  # fmt: skip


def read(name: str, system, made_windows=(), made_draws=()):
    (clock,) = [c for c in clocks.CLOCKS if c.words == name]
    return clock.read(system, list(made_windows), list(made_draws))


def test_every_clock_reads_what_it_says():
    late = windows([999.0, 10.0, 10.0])  # the first window is left out
    assert read("stretched exponential, windows", LIQUID, [late]) == pytest.approx(10, rel=0.02)
    assert read("stretched exponential, windows", SPHERES, [late]) == pytest.approx(30, rel=0.02)
    some = [draws(10.0), draws(20.0), draws(20.0), draws(5000.0)]
    one = "stretched exponential, draws of one configuration"
    assert read(one, LIQUID, (), some) == pytest.approx(10, rel=0.02)
    assert read(one, SPHERES, (), some) == pytest.approx(30, rel=0.02)
    first = read("F_A = 1/e, draws of one configuration", LIQUID, (), some)
    three = read("F_A = 1/e, draws of three configurations", LIQUID, (), some)
    everyone = read("F_A = 1/e, draws of all", LIQUID, (), some)
    assert first == pytest.approx(10, rel=0.01)
    assert first < three < 20 < everyone
    low = read("F_A = 0.27, draws of all", LIQUID, (), some[:1])
    assert low == pytest.approx(-10 * np.log(0.27), rel=0.01)
    mean = read("cage-relative F_A = 1/e, draws", LIQUID, (), some[:2])
    assert mean == pytest.approx(30, rel=0.01)  # of 20 and 40
    plain = read("F_A = 1/e, draws, mean of configurations", LIQUID, (), some[:2])
    assert plain == pytest.approx(15, rel=0.01)
    assert read("cage-relative F_A = 1/e, windows", LIQUID, [late]) == pytest.approx(20, rel=0.01)
    assert read("F_A = 1/e, windows", LIQUID, [windows([10.0, 10.0])]) == pytest.approx(
        10, rel=0.01
    )
    assert read("when labels were published", LIQUID, [late]) == LIQUID.alpha_time(0.5)
    assert np.isnan(read("when labels were published", SPHERES, [late]))


def test_what_cannot_be_read_is_no_number():
    assert all(np.isnan(c.read(LIQUID, [], [])) for c in clocks.CLOCKS)
    few = [draws(10.0, n_times=4)]
    assert np.isnan(read("F_A = 1/e, draws of all", LIQUID, (), few))
    assert np.isnan(read("F_A = 1/e, draws of all", LIQUID, (), [draws(1e9)]))


def test_clocks_of_files(tmp_path):
    for chapter, taus in (("2", (10.0, 20.0)), ("3", (40.0,))):
        for c, tau in enumerate(taus):
            path = tmp_path / chapter / "isoconfigurational" / f"hard-spheres-0.58-{chapter}{c}.gsd"
            frames.write(path, draws(tau))
    frames.write(tmp_path / "2" / "equilibrated" / "hard-spheres-0.58-0.gsd", windows([9.0, 7.0]))
    titles = {"here": (("2", "3"), "hard-spheres", 0.58), "nowhere": (("5",), "wahnstrom", 0.7)}
    found = clocks.read_clocks(lambda c: tmp_path / c, titles)
    names = [c.words for c in clocks.CLOCKS]
    assert np.all(np.isnan(found["nowhere"]))
    here = dict(zip(names, found["here"]))
    assert here["F_A = 1/e, draws of one configuration"] == pytest.approx(10, rel=0.01)
    assert here["F_A = 1/e, draws, mean of configurations"] == pytest.approx(70 / 3, rel=0.01)
    assert here["stretched exponential, windows"] == pytest.approx(21, rel=0.02)


def test_an_invented_glass_reaches_its_ceiling():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    replicas = truth + 2 * rng.normal(size=(16, 20_000))
    perfect, ceiling = invented.reach(truth, replicas, [2, 16])
    np.testing.assert_allclose(ceiling, [np.sqrt(1 / 3), np.sqrt(0.8)], atol=0.01)
    np.testing.assert_allclose(perfect, ceiling, atol=0.01)


def test_invented_fields_are_smooth_and_patches_near():
    rng = np.random.default_rng(0)
    x, edge = invented.scatter_points(20, rng)
    assert x.shape == (400, 2)
    field = invented.draw_field(x, edge, rng)
    assert field.mean() == pytest.approx(0, abs=1e-12)
    assert field.std() == pytest.approx(1)
    again = invented.draw_field(np.vstack([x, x + [edge, 0]]), edge, np.random.default_rng(3))
    np.testing.assert_allclose(again[:400], again[400:], atol=1e-9)  # periodic
    patch = invented.draw_patches(x, edge, rng, k=5)
    assert set(patch) == set(range(5))
    assert invented.correlate_patches(field, 2 * field + 1, patch) == pytest.approx(1.0)
    assert invented.correlate_patches(field, -field, patch) == pytest.approx(-1.0)
