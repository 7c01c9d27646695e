"""Systems from YAML files: the same as those of the book where they say the same."""

import numpy as np
import pytest
from oracles import pair_sum

from glasslib import engines, simulate, systems
from glasslib.descriptors import averaged_energies, radial_angular

KOB_ANDERSEN = """
name: my-kob-andersen
dimensions: 3
types: [A, B]
composition: [0.8, 0.2]
density: 1.2
dt: 0.005
thermostat_time: 0.5
wavenumber: 7.25
r_cut: 2.5
pairs:
  A-A: {epsilon: 1.0, sigma: 1.0}
  B-A: {epsilon: 1.5, sigma: 0.8}
  B-B: {epsilon: 0.5, sigma: 0.88, truncation: shift}
"""
THREE = """
name: three
dimensions: 3
types: [L, M, S]
composition: [0.5, 0.3, 0.2]
density: 1.0
dt: 0.004
thermostat_time: 0.4
truncation: force_shift
masses: {S: 0.5}
pairs:
  L-L: {epsilon: 1.0, sigma: 1.0, r_cut: 2.5}
  L-M: {epsilon: 1.1, sigma: 0.95, r_cut: 2.5}
  L-S: {epsilon: 1.2, sigma: 0.9, r_cut: 2.5}
  M-M: {epsilon: 1.0, sigma: 0.9, r_cut: 2.0, truncation: cut}
  M-S: {epsilon: 1.0, sigma: 0.85, r_cut: 2.5}
  S-S: {epsilon: 0.8, sigma: 0.8, r_cut: 2.5}
"""
DISKS = """
name: my-disks
dimensions: 2
types: [A, B]
composition: [0.5, 0.5]
diameters: {A: 1.0, B: 0.7}
packing_fractions: [0.7]
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="system.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_the_book_s_mixture_written_down_again_is_the_same(write):
    mine, theirs = systems.get(write(KOB_ANDERSEN)), systems.get("kob-andersen")
    r = np.linspace(0.7, 2.6, 200)
    for a, b in (("A", "A"), ("A", "B"), ("B", "B")):
        np.testing.assert_array_equal(mine.pair(a, b).energy(r), theirs.pair(a, b).energy(r))
    for name in ("density", "composition", "dt", "thermostat_time", "wavenumber", "diameters"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert mine.box_length(500) == theirs.box_length(500)
    assert systems.get(str(write(KOB_ANDERSEN, "again.yml"))) == mine


def test_three_species_run_and_their_energies_are_a_plain_sum(write):
    three = systems.read(write(THREE))
    assert three.counts(200) == (100, 60, 40)
    frame = simulate.liquid(three, kT=1.0, n=200, melt_time=1.0, duration=1.0, engine="lammps")
    found = engines.choose(three, "lammps").evaluate(frame, three)
    oracle = pair_sum(frame, three)
    np.testing.assert_allclose(found.log["particles/energy"], oracle["particles/energy"], atol=1e-4)
    np.testing.assert_allclose(found.log["particles/force"], oracle["particles/force"], atol=1e-3)
    quiet = simulate.inherent_structure(frame, three, force_tolerance=1e-3, engine="lammps")
    X = averaged_energies(quiet.log["particles/energy"], quiet, radii=(1.5, 2.5), n_max=2)
    assert X.shape == (200, 2 * 3 * 5)
    shell = np.array([[1.0, 0.1]])
    assert radial_angular(quiet, radial=shell, angular=shell, l=6).shape == (200, 3 + 1)
    (labelled,) = simulate.isoconfigurational(
        frame, three, kT=1.0, n_replicas=2, sample_times=[0.1, 0.5], engine="lammps"
    )
    assert labelled.log["particles/propensity"].shape == (200, 2)
    assert {"msd_L", "msd_M", "msd_S"} <= set(labelled.log)


def test_hard_disks_of_ones_own(write):
    disks = systems.get(write(DISKS))
    assert disks.hard
    made = simulate.liquid(disks, eta=0.6, n=60, duration=1.0)
    area = np.pi / 4 * (30 * 1 + 30 * 0.7**2)
    assert area / made.configuration.box[0] ** 2 == pytest.approx(0.6, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("density: 1.2", "densty: 1.2"), "unknown entries densty"),
        (("density: 1.2\n", ""), "density missing; a system of soft particles needs it"),
        (("density: 1.2", "density: high"), "density is 'high'; expected a positive number"),
        (("density: 1.2", "density: -1"), "density is -1; expected a positive number"),
        (("my-kob-andersen", "kob-andersen"), "none of the book's own"),
        (("my-kob-andersen", "a/b"), "expected letters"),
        (("[0.8, 0.2]", "[0.8, 0.3]"), "expected 2 parts of 1"),
        (("[A, B]", "[A, A]"), "expected different names"),
        (("  B-A:", "  C-A:"), "pairs has 'C-A'; expected each of A-A, A-B, B-B once"),
        (("  B-A: {epsilon: 1.5, sigma: 0.8}\n", ""), "expected A-A, A-B, B-B"),
        (("r_cut: 2.5\n", ""), "expected epsilon, sigma, r_cut"),
        (("truncation: shift", "truncation: smooth"), "truncation is 'smooth'"),
        (("dimensions: 3", "dimensions: 4"), "dimensions is 4"),
        (("types: [A, B]\n", ""), "types missing"),
        (("name: my", "name: [my"), "is no YAML"),
        (("sigma: 0.8}", "sigma: .inf}"), "sigma is inf"),
    ],
)
def test_files_that_are_no_system_are_refused_in_one_line(write, change, told):
    path = write(KOB_ANDERSEN.replace(*change))
    assert path.read_text() != KOB_ANDERSEN
    with pytest.raises(ValueError, match=told) as error:
        systems.get(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_files_that_are_none(write, tmp_path):
    for path, told in {
        tmp_path / "missing.yaml": "no file",
        write("- 1\n- 2\n", "list.yaml"): "no list of names and values",
        write("x: " + "1" * 200_000, "long.yaml"): "larger than",
        write(DISKS.replace("{A: 1.0, B: 0.7}", "{A: 1.0}"), "d.yaml"): "diameters are of A;",
        write(DISKS.replace("packing_fractions: [0.7]", ""), "e.yaml"): "packing_fractions missing",
        "kob-anderson": "Did you mean 'kob-andersen'?",
    }.items():
        with pytest.raises(ValueError, match=told) as error:
            systems.get(path)
        assert "\n" not in str(error.value)
