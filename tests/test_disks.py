"""Chapter 4's studies on made-up disks: crystals, curves and fields whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from glasslib import dynamics, frames, neighbors, scores, simulate, stored, systems
from glasslib.descriptors import averaging
from glasslib.models.autoencoder import OrderParameter
from glasslib.studies import disk_order, disks, groups, productions

DISKS = systems.get("hard-disks")


def crystal(n: int = 12, typeid=None):
    """A triangular lattice of spacing 1 in a rectangular box, rows of ``n``."""
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    x = np.stack([i + 0.5 * (j % 2), np.sqrt(3) / 2 * j, np.zeros_like(i)], axis=-1).reshape(-1, 3)
    box = [n, np.sqrt(3) / 2 * n]
    kind = np.zeros(len(x), dtype=int) if typeid is None else typeid
    return frames.build(x - [n / 2, np.sqrt(3) / 4 * n, 0], box, kind, dimensions=2)


def gas(n: int = 400, seed: int = 0):
    """Points anywhere, half of either species."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.uniform(-10, 10, (n, 2)), np.zeros(n)])
    return frames.build(x, [20, 20], np.arange(n) % 2, dimensions=2)


def labelled(frame, D, *, cage=None, noise: float = 0.08, draws: int = 8, tau: float = 10.0):
    """Labels as of ``draws`` velocity draws at three times."""
    D = np.asarray(D, dtype=float)
    times = np.array([1.0, 10.0, 100.0])
    F = np.tile(np.exp(-times / tau), (draws, 1))
    frame.log |= {
        "times": times, "msd_A": np.zeros((draws, 3)), "self_isf_A": F**4,
        "cage_relative_self_isf_A": F, "particles/propensity": D,
        "particles/propensity_variance": np.full_like(D, noise),
        "particles/cage_relative_propensity": D if cage is None else cage,
        "particles/cage_relative_propensity_variance": np.full_like(D, noise),
    }  # fmt: skip
    return frame


def windows(taus, last: float = 100.0, pressure=None):
    """An equilibration whose windows relax as exp(−t/τ)."""
    t = np.logspace(-2, np.log10(last), 200)
    frame = gas(20)
    F = np.exp(-t / np.asarray(taus)[:, None])
    p = np.ones(len(taus)) if pressure is None else np.asarray(pressure)
    frame.log |= {
        "equilibration/times": t, "equilibration/cage_relative_self_isf_A": F,
        "equilibration/self_isf_A": F**4, "equilibration/pressure": np.tile(p[:, None], (1, 20)),
    }  # fmt: skip
    return frame


# ------------------------------------------------------------------------------------ liquids


def test_mixtures_and_jobs_are_named_by_ratio(tmp_path):
    assert productions.disks_of_ratio(1.4) is DISKS
    other = productions.disks_of_ratio(1.25)
    assert other.name == "hard-disks-1.25"
    assert other.diameters["B"] == pytest.approx(0.8)
    jobs = productions.list_jobs("4", tmp_path)
    assert len(jobs) == 7 + len(productions.RATIOS) + len(productions.CONTROLS)
    one = {"ratio": 1.25, "states": [0.7], "windows": [50], "draws": [0], "configurations": [2]}
    jobs = productions.list_jobs("4", tmp_path, **one)
    assert [productions.name_job(j) for j in jobs] == [
        "hard-disks-1.25-0.7-0",
        "hard-disks-1.25-0.7-1",
    ]
    assert all(len(j.writes) == 1 for j in jobs)  # no draws
    with pytest.raises(ValueError, match="2 states, 1 windows"):
        productions.make_disks(tmp_path, **(one | {"states": [0.7, 0.6]}))


def test_what_is_not_there_is_refused_with_the_command(tmp_path):
    for eta in (0.5, 0.6):
        frames.write(tmp_path / "equilibrated" / f"hard-disks-{eta:g}-0.gsd", gas(20))
    frames.write(tmp_path / "equilibrated" / "hard-disks-1.3-0.7-0.gsd", gas(20))
    made = disks.load(tmp_path, "equilibrated", DISKS)
    assert list(made) == [0.6, 0.5]  # the densest first, and no other mixture
    assert list(disks.require(made, [0.5], ratio=1.4)) == [0.5]
    with pytest.raises(frames.FrameError, match=r"η = 0.7 .*0.6, 0.5.*-p states '\[0.7\]'") as e:
        disks.require(made, [0.7], ratio=1.4)
    assert "\n" not in str(e.value)


def test_frames_of_ones_own_are_read_or_refused(tmp_path):
    path = tmp_path / "own.gsd"
    frames.write(path, [labelled(gas(20), np.zeros((20, 3))) for _ in range(2)])
    assert len(disks.read_labelled(path)) == 2
    bare = labelled(gas(20), np.zeros((20, 3)))
    del bare.log["particles/cage_relative_propensity"]
    frames.write(path, bare)
    with pytest.raises(frames.FrameError, match="no log.'particles/cage_relative_propensity'"):
        disks.read_labelled(path)
    frames.write(path, frames.build(np.zeros((1, 3)), 5.0, [0]))
    with pytest.raises(frames.FrameError, match="not flat"):
        disks.read_labelled(path)


def test_pressure_is_that_of_the_equation_of_state():
    (row,) = disks.check_pressure(DISKS, [0.2], n=200).values()
    mean, low, high = row
    assert low < mean < high
    assert mean == pytest.approx(1.0, abs=0.03)


def test_order_of_a_crystal_is_one_and_of_a_gas_next_to_nothing():
    lattice, loose = crystal(), gas(900)
    for frame in (lattice, loose):
        x = np.asarray(frame.particles.position, dtype=np.float32).ravel()
        frame.log["equilibration/position"] = np.stack([x, x])
    np.testing.assert_allclose(disks.order_by_window(lattice), [1.0, 1.0], atol=1e-4)
    assert np.all(disks.order_by_window(loose) < 0.1)
    assert disks.share_of_hexagons([lattice]) == 1.0
    assert disks.share_of_hexagons([loose]) < 0.2


# ---------------------------------------------------------------------- relaxation and ageing


def test_relaxation_is_read_from_windows():
    found = disks.relax([windows([99.0, 5.0, 5.0, 5.0])])
    np.testing.assert_allclose(found.each, 5.0, rtol=0.01)
    assert found.late == 0
    assert found.tau[0] == pytest.approx(5.0, rel=0.01)
    beta, t, F = found.fit()
    assert beta == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(F, np.exp(-t / 5), atol=0.02)
    fast = disks.relax([windows([99.0, 8.0])], displacement="plain")
    np.testing.assert_allclose(fast.each, 2.0, rtol=0.01)
    slow = disks.relax([windows([1.0, 5.0, 500.0])])
    assert slow.late == 1
    assert np.isnan(slow.tau[0])


def test_a_liquid_that_ages_is_found_out():
    young = windows([1, 2, 2.2, 1.8, 4, 4.4, 3.6], pressure=[9, 3, 3, 3, 2, 2, 2])
    found = disks.compare_windows([young])
    assert found.gap("pressure") == (-1.0, -1.0, -1.0)
    gap, low, high = found.gap("tau")
    assert gap == pytest.approx(2.0, abs=0.03)
    assert low > 0
    assert found.halves("tau") == pytest.approx((2.0, 4.0), rel=0.01)
    assert not found.bounds.any()
    late = disks.compare_windows([windows([1, 2, 2, 2, 2, 999, 2])])
    assert late.bounds.sum() == 1
    assert late.tau[0, 5] == pytest.approx(100.0)


def test_boxes_are_compared_once_and_kept(tmp_path, monkeypatch):
    asked = []

    def equilibrated(system, *, eta, n, sample_times, seed, cage_relative):
        asked.append(n)
        log = {f"equilibration/{k}_A": np.full((7, 3), n) for k in
               ("msd", "cage_relative_msd", "self_isf", "cage_relative_self_isf")}  # fmt: skip
        return frames.copy(gas(20), log=log | {"equilibration/times": np.arange(3.0)})

    monkeypatch.setattr(simulate, "equilibrated", equilibrated)
    path = tmp_path / "sizes.json"
    with pytest.raises(stored.StoredError, match="glasslib run 4/simulation"):
        disks.compare_sizes(path, DISKS, 0.5, [100], window=10)
    made = disks.compare_sizes(path, DISKS, 0.5, [100, 200], window=10, make=True)
    again = disks.compare_sizes(path, DISKS, 0.5, [100, 200], window=10)
    assert asked == [100, 200]
    assert made[200]["self_isf"].shape == (6, 3)
    np.testing.assert_array_equal(again[200]["msd"], 200)
    with pytest.raises(stored.StoredError):
        disks.compare_sizes(path, DISKS, 0.5, [100], window=11)


def test_committed_boxes_belong_to_the_book():
    path = Path(__file__).parents[1] / "data" / "4-autoencoder-2d-disks" / "sizes.json"
    found = disks.compare_sizes(path, DISKS, 0.77, [500, 2000, 8000], window=400)
    assert all(one["cage_relative_self_isf"].shape == (6, 20) for one in found.values())


def test_two_labels_and_their_ceilings():
    rng = np.random.default_rng(0)
    frame = gas(1000)
    D = rng.normal(size=(1000, 3))
    noise = rng.normal(size=(1000, 3))
    labelled(frame, D, cage=np.column_stack([D[:, 0], noise[:, 1], -D[:, 2]]))
    r = disks.compare_labels([frame, frame])
    assert r.shape == (2, 3)
    np.testing.assert_allclose(r[0], [1, 0, -1], atol=0.1)
    top = disks.ceilings([frame], species=1)
    assert top.shape == (1, 3)
    np.testing.assert_allclose(top, np.sqrt(1 - 0.01), atol=0.005)  # 0.08 / 8 of variance one
    here, low, high = disks.ceiling_at([frame], 1, species=1, n_boot=50)
    assert low <= here <= high
    assert here == pytest.approx(top[0, 1])


def test_a_trajectory_starts_where_it_begins():
    small = DISKS.with_(n=60)
    begin = simulate.liquid(small, eta=0.5, duration=2.0, seed=1)
    movie, times, gone = disks.follow(begin, small, last=2.0, n_frames=3, seed=0)
    assert len(movie) == len(times) == 3
    np.testing.assert_array_equal(gone[0], 0.0)
    near = neighbors.voronoi(begin)
    moved = frames.unwrapped(movie[2]) - frames.unwrapped(begin)
    mine = near.index[near.offsets[7] : near.offsets[8]]
    assert gone[2, 7] == pytest.approx(
        np.linalg.norm(moved[7] - moved[mine].mean(axis=0)), abs=1e-6
    )


# --------------------------------------------------------------------------------- descriptors


def test_rules_and_common_bonds():
    frame = gas()
    assert disks.neighbor_rule("sann", [frame]) == "sann"
    with pytest.raises(ValueError, match="expected one of voronoi, sann, cut-off"):
        disks.neighbor_rule("nearest", [frame])
    liquid = simulate.liquid(DISKS.with_(n=500), eta=0.7, duration=5.0, seed=0)
    assert len(disks.neighbor_rule("cut-off", [liquid])) >= 3  # one a pair of species
    all_ = neighbors.voronoi(frame)
    near = neighbors.kept(all_, all_.distance < np.median(all_.distance))
    assert disks.common_bonds(all_, all_) == 1.0
    assert disks.common_bonds(near, all_) == pytest.approx(0.5, abs=0.01)


def test_orders_agree_with_freud():
    pytest.importorskip("freud")
    frame = gas()
    assert disks.differ_from_freud(frame, neighbors.voronoi(frame), range(1, 9)) < 1e-4


def test_means_of_orders_and_their_change():
    found = disks.mean_orders([crystal()], [5, 6], n_boot=20)
    assert found.shape == (21, 2)
    np.testing.assert_allclose(found[:, 1], 1.0, atol=1e-3)
    loose = disks.mean_orders([gas(900), gas(900, seed=1)], [5, 6], n_boot=20)
    gap, low, high = disks.change(loose, found)
    assert gap[1] < -0.3
    assert np.all((low <= gap) & (gap <= high))


def test_what_persists():
    X = np.random.default_rng(0).normal(size=(500, 2))
    r = disks.persist(X, np.column_stack([2 * X[:, 0] + 1, np.roll(X[:, 1], 1)]))
    np.testing.assert_allclose(r, [1, 0], atol=0.1)


def test_counts_around_disks():
    frame = gas()
    near = neighbors.voronoi(frame)
    share = disks.share_of_small(frame)
    for i in (0, 17):
        mine = near.index[near.offsets[i] : near.offsets[i + 1]]
        assert share[i] == pytest.approx(np.mean(frame.particles.typeid[mine] == 1))
    x, size = np.asarray(frame.particles.position)[:, :2], np.array([1.0, 1 / 1.4])
    gap = x - x[5]
    gap -= 20 * np.round(gap / 20)
    inside = np.linalg.norm(gap, axis=1) < 3.0
    area = np.pi / 4 * np.sum(size[frame.particles.typeid[inside]] ** 2)
    assert disks.area_fraction(frame, DISKS, 3.0)[5] == pytest.approx(area / (np.pi * 9))


# ------------------------------------------------------------------------------------- groups


def cloud(distance: float, n: int = 600, seed: int = 0):
    """Rows of five numbers: two equal clouds of width one, so far apart along the first."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    X[:, 1:] *= 0.1
    X[n // 2 :, 0] += distance
    return X


def test_one_cloud_and_two():
    for distance, wanted in ((8.0, True), (0.0, False)):
        X = cloud(distance)
        model = OrderParameter(encoder="pca", standardize=False).fit(X)
        found, line = groups.weigh(model, X), groups.line_up(model, X)
        assert (found.bic_gain > 10) == wanted
        assert (line.separation > 2) == wanted
        x = np.linspace(line.position.min() - 5, line.position.max() + 5, 2000)
        assert np.trapezoid(line.density(x).sum(axis=0), x) == pytest.approx(1.0, abs=1e-3)
        if wanted:
            assert found.smaller == pytest.approx(0.5, abs=0.02)
            assert found.agreement > 0.99
            assert line.separation == pytest.approx(8.0, rel=0.1)
            assert line.means[0] > line.means[1]  # red first


def test_contrast_variance_and_ranks():
    rng = np.random.default_rng(0)
    X, P = rng.normal(size=(400, 2)), np.repeat([0.0, 1.0], 200)
    X[200:, 1] += 3
    gap = groups.contrast(X, P)
    assert gap[1] == pytest.approx(3 / X[:, 1].std(), abs=0.15)
    assert abs(gap[0]) < 0.25
    flat = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6))
    deep, linear = groups.explain(flat, [1, 2])
    assert linear[1] == pytest.approx(1.0)
    assert 0 < deep[0] < deep[1] < 1
    x = rng.normal(size=50)
    np.testing.assert_allclose(groups.rank_alike(np.array([x**3, -x]), x), [1, -1])


# ------------------------------------------------------------------------------ order of disks

PCA = {"encoder": "pca", "n_init": 1}


def liquid_of_gas(n: int = 400):
    """Two configurations whose motion is the share of small neighbours at the second time."""
    made = []
    for c in range(2):
        f = gas(n, seed=c)
        rng, s = np.random.default_rng(c), averaging.sphere_average
        share = s(scores.standardised(disks.share_of_small(f), f.particles.typeid), f, 2.0)
        made.append(labelled(f, np.column_stack([rng.normal(size=n), share, -share])))
    return made


def test_an_order_is_fitted_to_the_first_and_asked_of_all():
    made = liquid_of_gas()
    both = disk_order.assign(made, seeds=(0, 1), **PCA)
    assert [x.shape for x in both.tables] == [(400, 16)] * 2
    assert [P.shape for P in both.bare] == [(2, 400)] * 2
    own = disk_order.assign(made, seeds=(0,), orders=4, inputs="own", **PCA)
    np.testing.assert_array_equal(
        own.tables[1], disk_order.assign(made, seeds=(0,), orders=4, **PCA).tables[1][:, 4:]
    )
    kind = made[0].particles.typeid
    alone = OrderParameter(seed=1, **PCA).fit(both.tables[0][kind == 1])
    np.testing.assert_array_equal(
        both.bare[1][1][kind == 1], alone.predict_proba(both.tables[1][kind == 1])
    )
    with pytest.raises(ValueError, match="expected one of both, all, own"):
        disk_order.assign(made, seeds=(0,), inputs="none")


def test_circles_count_species_unless_centred():
    f = gas()
    field = np.where(f.particles.typeid == 0, 5.0, 1.0)[None]
    (plain,) = disk_order.smooth([field], [f], 2.0)
    small = averaging.sphere_average((f.particles.typeid == 1).astype(float), f, 2.0)
    np.testing.assert_allclose(plain[0], 5 - 4 * small)
    noisy = field + np.random.default_rng(0).normal(size=field.shape)
    (centred,) = disk_order.smooth([noisy], [f], 2.0, centred=True)
    assert abs(np.corrcoef(centred[0], small)[0, 1]) < 0.15


def test_clocks_of_draws():
    made = [labelled(gas(20), np.zeros((20, 3)), tau=tau) for tau in (10.0, 20.0)]
    t, F = made[0].log["times"], np.exp(-made[0].log["times"] / 10.0)
    assert disk_order.clock(made[:1]) == pytest.approx(dynamics.crossing(t, F, 1 / np.e))
    assert disk_order.clock(made) > disk_order.clock(made[:1])
    assert disk_order.clock(made, "plain") < disk_order.clock(made)
    assert not disk_order.ends_late(made)
    assert disk_order.ends_late([labelled(gas(20), np.zeros((20, 3)), tau=1e4)])


def test_a_count_that_moves_disks_is_found():
    made = liquid_of_gas()
    main = disk_order.assign(made, seeds=(0, 1), **PCA)
    short = {"training": {"epochs": 2}}
    found = disk_order.candidates(made, main, DISKS, radius=2.0, seeds=(0, 1), **short)
    assert len(found) == 12
    assert [v.shape for v in found["untrained network"]] == [(2, 400)] * 2
    curves = disk_order.correlate(found["small neighbours"], made, species=1)
    np.testing.assert_allclose(curves.mean[1:], [1, -1], atol=1e-9)
    assert abs(curves.mean[0]) < 0.2
    score = disk_order.resample(found["small neighbours"], made, 2, species=1)
    assert score.value == pytest.approx(-1.0)
    assert disk_order.strength(score).value == pytest.approx(1.0)
    faint = disk_order.correlate(found["number density"], made)
    assert disk_order.strongest(curves) in (1, 2)
    assert np.abs(faint.mean[disk_order.strongest(faint)]) == np.abs(faint.mean).max()
    by_hexagons = found["red by hexatic order"]
    assert by_hexagons[0].shape == (2, 400)


def test_what_is_left_at_a_fixed_count():
    made = liquid_of_gas()
    fixed = [f.log["particles/propensity"][:, 1] for f in made]
    noise = [np.random.default_rng(9).normal(size=(1, 400)) for _ in made]
    same = [(v + 0.3 * n[0])[None] for v, n in zip(fixed, noise)]
    for f, n in zip(made, noise):  # motion is the count and something else
        f.log["particles/cage_relative_propensity"] = np.column_stack(
            [v + n[0] for v in f.log["particles/propensity"].T]
        )
    here, low, high = disk_order.partial(same, fixed, made, 1, n_boot=20)
    assert low <= here <= high
    assert here > 0.9  # the noise that they share
    other = [np.random.default_rng(5).normal(size=(1, 400)) for _ in made]
    assert abs(disk_order.partial(other, fixed, made, 1, n_boot=20)[0]) < 0.2


def test_two_and_three_dimensions(tmp_path):
    assert disk_order.in_three_dimensions(tmp_path, n_networks=1) == {}
    spheres = systems.get("hard-spheres").with_(n=500)
    f = simulate.liquid(spheres, eta=0.5, duration=2.0, seed=0)
    D = np.random.default_rng(0).normal(size=(500, 3))
    frames.write(tmp_path / "isoconfigurational" / "hard-spheres-0.58-0.gsd", labelled(f, D))
    ((title, one),) = disk_order.in_three_dimensions(tmp_path, n_networks=2, seed=3).items()
    assert title == "binary hard spheres 30:70, 0.58"
    assert (one.side, one.seed, one.displacement) == (3, 1003, "plain")
    sizes = [spheres.diameters[t] for t in spheres.types]
    assert one.species == int(np.argmax(sizes))
    assert one.fields[0].shape == (2, 500)
    when = one.moments()
    assert one.times[when["at τ_α"]] == pytest.approx(1.0, rel=9)
    assert one.at(0).value >= 0
    assert abs(one.curves.mean[when["where largest"]]) == np.abs(one.curves.mean).max()
