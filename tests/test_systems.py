"""Systems: potentials against analytic values and differences, numbers against each other."""

import re
from pathlib import Path

import numpy as np
import pytest

from glasslib import systems
from glasslib.systems import MINIMUM, TRUNCATIONS, LennardJones

PAIRS = [
    pytest.param(p, id=f"{s.name}-{''.join(k)}")
    for s in map(systems.get, systems.available())
    for k, p in s.pairs.items()
]


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize(("epsilon", "sigma", "r_cut"), [(1, 1, 2.5), (1.5, 0.8, 2.0), (2, 1.2, 3)])
def test_force_is_minus_the_slope_of_the_energy(epsilon, sigma, r_cut, truncation):
    pair = LennardJones(epsilon, sigma, r_cut, truncation)
    r = np.linspace(0.8 * sigma, 0.999 * r_cut, 300)
    h = 1e-6
    slope = (pair.energy(r + h) - pair.energy(r - h)) / (2 * h)
    np.testing.assert_allclose(pair.force(r), -slope, rtol=1e-6, atol=1e-7)


def test_analytic_values():
    pair = LennardJones(1.5, 0.8, 2.0, "cut")
    assert pair.energy(0.8) == pytest.approx(0)
    assert pair.force(0.8) == pytest.approx(24 * 1.5 / 0.8)
    assert pair.energy(0.8 * MINIMUM) == pytest.approx(-1.5)
    assert pair.force(0.8 * MINIMUM) == pytest.approx(0, abs=1e-12)
    v_c = 4 * 1.5 * (0.4**12 - 0.4**6)
    assert pair.energy(2.0 - 1e-9) == pytest.approx(v_c)
    assert LennardJones(1.5, 0.8, 2.0, "shift").energy(0.8) == pytest.approx(-v_c)
    f_c = 24 * 1.5 / 2.0 * (2 * 0.4**12 - 0.4**6)
    smooth = LennardJones(1.5, 0.8, 2.0, "force_shift")
    assert smooth.energy(0.8) == pytest.approx(-v_c - (2.0 - 0.8) * f_c)
    assert smooth.force(0.8) == pytest.approx(24 * 1.5 / 0.8 - f_c)


@pytest.mark.parametrize("pair", PAIRS)
def test_continuity_at_the_cutoff(pair):
    inside = pair.r_cut * (1 - 1e-9)
    jump, kink = abs(pair.energy(inside)), abs(pair.force(inside))
    assert (jump > 1e-3) == (pair.truncation == "cut")
    if pair.truncation == "force_shift" or pair.r_cut == pytest.approx(MINIMUM * pair.sigma):
        assert kink < 1e-6
    np.testing.assert_array_equal(pair.energy([pair.r_cut, 2 * pair.r_cut]), 0)
    np.testing.assert_array_equal(pair.force([pair.r_cut, 2 * pair.r_cut]), 0)


def test_wca_is_purely_repulsive():
    pair = systems.get("wahnstrom").pair("A", "B")
    r = np.linspace(0.8, pair.r_cut, 100)
    assert np.all(pair.force(r) >= -1e-9)
    assert np.all(pair.energy(r) >= -1e-12)
    assert pair.energy(pair.sigma) == pytest.approx(1.0)  # ε above the minimum


@pytest.mark.parametrize("name", systems.available())
def test_every_system_is_consistent(name):
    s = systems.get(name)
    assert s.name == name
    assert sum(s.composition) == pytest.approx(1)
    assert len(s.composition) == len(s.types) == len(s.diameters)
    assert set(s.diameters) == set(s.types)
    assert s.dimensions in (2, 3)
    for n in (s.n, 101, 64):
        assert sum(s.counts(n)) == n
        np.testing.assert_allclose(np.array(s.counts(n)) / n, s.composition, atol=0.5 / n + 1e-12)
    if s.hard:
        assert list(s.packing_fractions) == sorted(s.packing_fractions, reverse=True)
        unit = np.pi / 4 if s.dimensions == 2 else np.pi / 6
        for eta in s.packing_fractions:
            volume = s.box_length(eta=eta) ** s.dimensions
            occupied = sum(
                c * unit * s.diameters[t] ** s.dimensions for c, t in zip(s.counts(), s.types)
            )
            assert occupied / volume == pytest.approx(eta)
    else:
        assert list(s.temperatures) == sorted(s.temperatures)
        assert s.n / s.box_length() ** s.dimensions == pytest.approx(s.density)
        assert s.box_length() > 2 * s.r_cut
        assert s.dt > 0
        assert s.thermostat_time > 10 * s.dt
        for i, a in enumerate(s.types):
            assert s.pair(a, a).sigma == pytest.approx(s.diameters[a])
            for b in s.types[i:]:
                assert s.pair(a, b) is s.pair(b, a)


def test_every_citation_is_in_the_references():
    bib = Path(__file__).resolve().parents[1] / "references.bib"
    keys = set(re.findall(r"^@\w+\{([^,\s]+),", bib.read_text(encoding="utf-8"), re.MULTILINE))
    cited = {systems.get(name).citation for name in systems.available()}
    assert cited <= keys, f"references.bib lacks {sorted(cited - keys)}"


def test_published_numbers():
    s = systems.get("bihani-2d")
    assert s.counts() == (325, 175)
    assert s.box_length() == pytest.approx(20.412414523193153, abs=1e-12)
    assert s.pair("B", "A").r_cut == pytest.approx(2.0)
    assert systems.get("kob-andersen-force-shifted").counts() == (3277, 819)


def test_box_of_hard_and_soft_systems():
    disks, mixture = systems.get("hard-disks"), systems.get("kob-andersen")
    assert mixture.box_length(1000, density=1.0) == pytest.approx(10.0)
    assert disks.box_length(eta=0.4) == pytest.approx(np.sqrt(2) * disks.box_length(eta=0.8))
    with pytest.raises(ValueError, match="is hard; give eta instead"):
        disks.box_length(density=1.0)
    with pytest.raises(ValueError, match="is soft; give density instead"):
        mixture.box_length(eta=0.5)


def test_with_changes_a_copy():
    s = systems.get("kob-andersen")
    assert s.with_(density=1.1).density == 1.1
    assert s.density == 1.2


def test_a_public_set_belongs_to_one_system():
    assert systems.of_public_set("botan").name == "kob-andersen-force-shifted"
    with pytest.raises(ValueError, match="known sets: botan"):
        systems.of_public_set("botanic")
    sets = [n for name in systems.available() for n in systems.get(name).public_sets]
    assert len(sets) == len(set(sets))


def test_times_between_the_published_ones_lie_on_a_smooth_curve():
    s = systems.get("kob-andersen-force-shifted")
    assert s.alpha_time(0.5) == 217.0
    T = np.linspace(0.441, 0.9, 60)
    t = np.array([s.alpha_time(x) for x in T])
    assert np.all(np.diff(np.log(t)) < 0)
    for known, value in s.alpha_times.items():  # the curve passes near what it was drawn through
        assert s.alpha_time(known + 1e-6) == pytest.approx(value, rel=0.06)
    with pytest.raises(ValueError, match="0 published times"):
        systems.get("kob-andersen").alpha_time(0.5)
