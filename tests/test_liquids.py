"""Chapter 2's liquids: what is found, what is refused, and whether made-up windows age."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from glasslib import book, equations_of_state, frames, stored, systems
from glasslib.studies import liquids as study
from glasslib.studies import productions

FOLDER = book.data(2)


def test_the_paper_is_the_default():
    jobs = productions.make_liquids(Path("x"))
    names = [productions.name_job(j) for j in jobs]
    assert len(names) == len(set(names)) == 29
    assert names[:4] == [f"hard-spheres-0.58-{c}" for c in range(3)] + ["hard-spheres-0.57-0"]
    assert names[-1] == "kob-andersen-0.64-3"
    seeds = {productions.name_job(j): j.make.keywords["seed"] for j in jobs}
    assert seeds["hard-spheres-0.58-2"] == 2
    assert productions.window_of("wahnstrom", 0.7) == 600
    assert jobs[0].make.args[0] == systems.get("hard-spheres")


def test_other_physics_gets_files_of_its_own():
    few = productions.name_variant("wahnstrom", n=500, density=0.85, replicas=64)
    assert few.name == "wahnstrom-n500-rho0.85-draws64"
    assert (few.n, few.density) == (500, 0.85)
    assert productions.name_variant("wahnstrom") == systems.get("wahnstrom")
    jobs = productions.make_liquids(
        Path("x"), system="wahnstrom", states=[0.75, 0.65], n=500, replicas=8, configurations=2,
        seed=7,
    )  # fmt: skip
    assert [productions.name_job(j) for j in jobs] == [
        f"wahnstrom-n500-draws8-{x}" for x in ("0.65-0", "0.65-1", "0.75-0")
    ]
    assert jobs[1].make.keywords["n_replicas"] == 8
    assert jobs[1].make.keywords["seed"] == 8
    # colder takes longer, and between the paper's states it lies between theirs
    assert productions.window_of("wahnstrom", 0.65) > 600
    assert 200 < productions.window_of("wahnstrom", 0.72) < 600
    assert productions.window_of("hard-spheres", 0.575) == pytest.approx(3000)
    assert 400 < productions.window_of("hard-spheres", 0.565) < 3000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"system": "wahnström"}, "expected one of hard-spheres"),
        ({"states": [0.5]}, "states are given for all systems"),
        ({"density": 1.0}, "density are given for all"),
        ({"system": "hard-spheres", "density": 1.0}, "have packing fractions"),
        ({"system": "wahnstrom", "states": [0.7, 0.7]}, "expected each once"),
    ],
)
def test_parameters_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words) as caught:
        productions.list_states(**options)
    assert "\n" not in str(caught.value)


def test_committed_liquids_are_found():
    found = study.load(FOLDER)
    assert list(found) == ["hard-spheres", "wahnstrom", "kob-andersen"]
    hard, wahn, ka = found.values()
    assert list(hard.runs) == [0.58, 0.57, 0.56, 0.55, 0.54]
    assert [len(made) for made in wahn.runs.values()] == [3, 1, 1, 1, 1]
    assert list(ka.checks) == [0.56, 0.64]
    assert not wahn.checks
    assert (hard.large, wahn.large, ka.large) == (0, 1, 0)
    assert wahn.radius() == pytest.approx(2.4)
    assert (hard.title, hard.label(0.58), ka.label(0.5)) == ("hard spheres", "η = 0.58", "T = 0.5")
    for liquid in found.values():
        for state, made in liquid.runs.items():
            for start, run in zip(liquid.equilibrated[state], made):
                np.testing.assert_array_equal(start.particles.position, run.particles.position)
    one = study.load(FOLDER, "wahnstrom", states=[0.8, 0.7], configurations=2)["wahnstrom"]
    assert list(one.runs) == [0.7, 0.8]
    assert len(one.runs[0.7]) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"states": [0.66]}, "no configurations of wahnstrom at 0.66"),
        ({"n": 500}, "-p system=wahnstrom -p n=500$"),
        ({"replicas": 64}, "wahnstrom-draws64 at 0.7; make them: .*-p replicas=64"),
        ({"states": [0.7, 0.66], "configurations": 5}, r"states=\[0.7,0.66\] -p configurations=5"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_with_the_command(options, words):
    with pytest.raises(ValueError, match=words) as caught:
        study.load(FOLDER, "wahnstrom", **options)
    assert "\n" not in str(caught.value)
    assert "glasslib run 2/simulation --preset paper" in str(caught.value)


def made_up(tau, energy, *, seed: int, n_windows: int = 7):
    """A liquid whose windows decay with given τ and have given energies."""
    rng = np.random.default_rng(seed)
    t = np.geomspace(0.01, 30 * np.max(tau), 25)
    F = np.exp(-((t / np.array(tau)[:, None]) ** 0.7)) + 0.003 * rng.normal(size=(n_windows, 25))
    noise = 0.01 * rng.normal(size=(7, 20))
    msd = 6 * 0.02 * t + 0.05 * (1 - np.exp(-20 * t))
    return frames.build(np.zeros((2, 3)) + [[0], [1]], 5.0, [0, 1], log={
        "equilibration/times": t, "equilibration/self_isf_A": F,
        "equilibration/potential_energy": np.array(energy)[:, None] + noise,
        "equilibration/msd_A": np.tile(msd, (7, 1)),
    })  # fmt: skip


def liquid_of(made):
    return study.Liquid(systems.get("wahnstrom"), {0.7: made}, {}, {})


def test_an_ageing_liquid_is_told_from_one_that_does_not_age():
    still = compare([20.0] * 7, [1.0] * 7)
    assert not still.ages
    assert still.value == pytest.approx(1.0, abs=0.01)
    assert still.slowing[1] < 1 < still.slowing[2]
    ageing = compare(20 * 1.2 ** np.arange(7), 1.0 - 0.02 * np.arange(7))
    assert ageing.ages
    assert ageing.change[0] == pytest.approx(-0.06, abs=0.01)
    assert ageing.slowing[0] == pytest.approx(1.2**3, rel=0.1)
    assert ageing.slowing[1] > 1
    short = compare([1e5] * 7, [1.0] * 7, cut=12)
    assert short.slowing is None  # F = 1/e is not reached


def compare(tau, energy, cut=25):
    made = [made_up(tau, energy, seed=s) for s in (0, 1)]
    for f in made:
        for key in ("times", "self_isf_A"):
            f.log[f"equilibration/{key}"] = f.log[f"equilibration/{key}"][..., :cut]
    return study.compare_ages(liquid_of(made), 0.7)


def test_known_times_come_out():
    liquid = liquid_of([made_up([20.0] * 7, [1.0] * 7, seed=s) for s in (0, 1)])
    slow = study.measure_times(liquid, 0.7)
    assert slow.tau == pytest.approx(20, rel=0.05)
    assert slow.fit.beta == pytest.approx(0.7, abs=0.05)
    assert not slow.by_draws
    assert slow.diffusion_time == pytest.approx(1 / (6 * 0.02), rel=0.1)
    assert not slow.bound
    here, low, high = study.time_at_level(liquid, 0.7, 1 / np.e)
    assert low <= here <= high
    assert here == pytest.approx(20, rel=0.05)
    ages = study.scattering_by_age(liquid, 0.7)
    assert list(ages) == ["windows 2–4", "windows 5–7"]
    # motion that is nowhere diffusive has a bound
    for f in liquid.equilibrated[0.7]:
        f.log["equilibration/msd_A"] = np.tile(f.log["equilibration/times"] ** 0.4, (7, 1))
    again = study.measure_times(liquid, 0.7)
    t = liquid.equilibrated[0.7][0].log["equilibration/times"][-1]
    assert again.bound
    assert again.diffusion_time == pytest.approx(t**0.6)


def test_pressures_are_means_of_quarters():
    f = frames.build([[0, 0, 0]], 5.0, [0])
    f.log["equilibration/pressure"] = np.repeat(np.arange(28.0), 5).reshape(7, 20)
    np.testing.assert_allclose(study.pressure_quarters([f], first=1), np.arange(4.0, 28.0))


def test_engines_that_differ_by_chance_alone_are_told_from_others():
    rng = np.random.default_rng(0)
    truth, t = rng.uniform(1, 2, size=(3000, 2)), np.array([1.0, 2.0])

    def ensemble(shift=0.0):
        x = truth[..., None] + shift + 0.3 * rng.normal(size=(3000, 2, 32))
        return frames.build(np.zeros((3000, 3)), 5.0, np.zeros(3000, int), log={
            "times": t, "particles/propensity": x.mean(axis=2),
            "particles/propensity_variance": x.var(axis=2, ddof=1),
        })  # fmt: skip

    found = study.score_engines(ensemble(), ensemble(), 32)
    np.testing.assert_allclose(found["chi2"], 62 / 60, atol=0.1)
    assert min(found["r"]) > 0.95
    assert study.score_engines(ensemble(), ensemble(shift=0.1), 32)["chi2"][0] > 2


def test_what_others_made_is_stored_and_recognised(tmp_path):
    assert len(study.published_pressure(FOLDER)) == 20
    assert study.compare_engines(FOLDER)["draws"] == 32
    with pytest.raises(stored.StoredError, match="external/cvt"):
        study.published_pressure(tmp_path)
    with pytest.raises(stored.StoredError, match="of other inputs"):
        study.published_pressure(FOLDER, duration=20.0)


def test_a_dilute_fluid_has_the_pressure_of_its_equation_of_state():
    hard = systems.get("hard-spheres")
    measured = study.run_small(hard, 0.2, n=200)
    assert measured.shape == (20,)
    known = float(equations_of_state.bmcsl(hard, 0.2))
    assert measured.mean() == pytest.approx(known, rel=0.03)


def test_one_law_is_told_from_another():
    rng = np.random.default_rng(0)
    tau = np.geomspace(3, 3000, 8)
    noise = 1e-4 * rng.normal(size=8)
    here, low, high = study.compare_laws(tau, 1 - 0.1 * np.log(tau) + noise)
    assert 0 < low < here < high
    here, low, high = study.compare_laws(tau, 1 - 0.3 * np.log(np.log(tau)) + noise)
    assert high < 0
    # noise that hides the difference leaves it open, nearly always
    told = [
        study.compare_laws(tau, 1 - 0.05 * np.log(tau) + 0.1 * rng.normal(size=8))[1:]
        for _ in range(60)
    ]
    assert np.mean([low < 0 < high for low, high in told]) > 0.9
    for wrong in (tau[:3], np.append(tau[:4], 0.5)):
        with pytest.raises(ValueError, match="four states"):
            study.compare_laws(wrong, wrong)


def test_a_liquid_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        study.load(FOLDER, "wahnstrom")["wahnstrom"].runs = {}
