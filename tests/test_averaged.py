"""Chapter 3's questions on configurations whose answers are known."""

import dataclasses
import json

import numpy as np
import pytest
from oracles import refuses

from glasslib import book, dynamics, frames, scores, simulate, stored, systems
from glasslib.descriptors import averaged_energies, radial_angular
from glasslib.descriptors.radial_angular import ANGULAR, RADIAL
from glasslib.models.ridge import ALPHAS, PropensityRidge
from glasslib.studies import asking, averaged, configurations, productions, published, regression

MODEL = PropensityRidge(alphas=[0.1, 1.0, 10.0])


def made_up(n_configurations=6, n=80, noise=0.3, shift=0.0, seed=0):
    """D is the first column and noise; a configuration's level hides in no column."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_configurations * n, 4))
    group = np.repeat(np.arange(1, n_configurations + 1), n)
    D = X[:, 0] + noise * rng.normal(size=len(X)) + shift * group
    return X, D, group


# ------------------------------------------------------------------------------- regression


def test_what_can_be_foretold_is_and_the_ceiling_is_where_noise_puts_it():
    X, D, group = made_up(noise=0.5)
    found = regression.leave_out(X, D, group, n_folds=3, model=MODEL)
    r = 1 / np.sqrt(1 + 0.5**2)
    assert found.scores.mean[0] == pytest.approx(r, abs=0.03)
    assert found.scores.pooled.r == pytest.approx(r, abs=0.03)
    assert (found.columns, found.parameters, len(found.alpha)) == (4, 5, 3)
    assert len(found.cv) == len(found.alphas) == 3
    again = json.loads(json.dumps(found.as_json()))
    assert again["each"] == [float(x) for x in found.scores.each]
    assert "prediction" not in again


def test_levels_of_configurations_do_not_enter_relative_predictions():
    """Pooled as they are, predictions that know nothing of a level correlate worse."""
    X, D, group = made_up(noise=1.0, shift=1.0)
    found = regression.leave_out(X, D, group, n_folds=3, model=MODEL)
    assert found.as_predicted[0] < found.scores.pooled.r - 0.1
    np.testing.assert_allclose(found.prediction.mean(), 0, atol=0.2)


def test_split_by_particle_a_neighbour_tells():
    """Pairs of equal particles in every configuration: a leak that configurations do not have."""
    rng = np.random.default_rng(1)
    X = np.repeat(rng.normal(size=(90, 60)), 2, axis=0)
    D, group = np.repeat(rng.normal(size=90), 2), np.repeat(np.arange(6), 30)
    weak = PropensityRidge(alphas=[1e-6, 1e-5])
    honest = regression.leave_out(X, D, group, n_folds=3, model=weak)
    by = rng.integers(10, size=len(D))
    leak = regression.leave_out(X, D, group, n_folds=10, model=weak, split_by=by)
    assert abs(honest.scores.mean[0]) < 0.3
    assert leak.scores.mean[0] > honest.scores.mean[0] + 0.2


def test_every_time_is_a_target_of_its_own():
    X, D, group = made_up()
    found = regression.follow(X, np.column_stack([D, X[:, 1], -D]), group, n_folds=3, model=MODEL)
    one = regression.leave_out(X, D, group, n_folds=3, model=MODEL)
    np.testing.assert_allclose(found.r[:, 0], one.scores.each, atol=1e-12)
    np.testing.assert_allclose(found.r[:, 2], one.scores.each, atol=1e-12)
    assert np.all(found.r[:, 1] > 0.999)
    assert found.pooled.shape == (3, 3)
    assert np.all(found.pooled[1] <= found.pooled[0])
    assert np.all(found.pooled[0] <= found.pooled[2])


def test_a_learning_curve_learns_from_those_that_follow():
    X, D, group = made_up(noise=0.0)
    D = np.where(group == 2, D, -D)  # only configuration 2 knows which way is up for 1
    r = regression.learn_from(X, D, group, 1, n_folds=6, model=MODEL)[:, 0]
    assert np.sign(r).tolist() == [-1, -1, 1, 1, 1, 1]
    assert np.all(np.abs(r) > 0.9)
    with pytest.raises(ValueError, match="expected 4 at most"):
        regression.learn_from(X, D, group, 5, n_folds=3, model=MODEL)
    with pytest.raises(ValueError, match="expected fewer"):
        regression.learn_from(X, D, group, 6, n_folds=6, model=MODEL)


def test_selection_finds_the_columns_that_matter_and_is_scored_on_others():
    rng = np.random.default_rng(2)
    X, _, group = made_up(n=120)
    X = np.column_stack([X, rng.normal(size=(len(X), 30))])
    D = X[:, 3] - 0.5 * X[:, 1] + 0.2 * rng.normal(size=len(X))
    found = regression.select(X, D, group, (1, 2, 10, 99), n_folds=3, model=MODEL)
    assert found.order[:2] == [3, 1]
    assert found.sign[:2] == [1, -1]
    assert found.numbers == [1, 2, 10]  # as many as there are
    assert found.r.shape == (3, 6)
    assert found.r[1].mean() > 0.97 > found.r[0].mean() > 0.8
    assert found.r[2].mean() < found.r[1].mean() + 0.005  # noise adds nothing on others
    assert len(found.order) == len(found.reached) == 20


def test_a_choice_is_made_inside_the_training_set():
    X, D, group = made_up()
    good = regression.leave_out(X, D, group, n_folds=3, model=MODEL)
    poor = regression.leave_out(X[:, 1:], D, group, n_folds=3, model=MODEL)
    found, took = regression.choose({"poor": poor, "good": good}, D, group, n_folds=3)
    assert took == ["good"] * 3
    np.testing.assert_allclose(found.each, good.scores.each)
    lucky = dataclasses.replace(poor, inside=[2.0, 0.0, 0.0])  # best in one training set
    mixed, took = regression.choose({"lucky": lucky, "good": good}, D, group, n_folds=3)
    assert took[0] == "lucky"
    np.testing.assert_allclose(mixed.each[:2], poor.scores.each[:2])
    np.testing.assert_allclose(mixed.each[2:], good.scores.each[2:])


def test_predictions_that_do_not_fit_are_refused():
    """Transposed, of other particles, or not finite: said in one line, never correlated."""
    rng = np.random.default_rng(0)
    group, D = np.repeat([1, 2, 3], 4), rng.normal(size=(12, 2))
    assert regression.correlate_each(D, D, group) == pytest.approx(np.ones((3, 2)))
    lost = D.copy()
    lost[5, 1] = np.nan
    for said, truth, words in (
        (D.T, D, ["prediction (2, 12)", "truth (12, 2)"]),
        (D[:, 0], D[:, 0], ["(12,)", "n_times"]),
        (D[:8], D[:8], ["12 groups"]),
        (lost, D, ["not finite"]),
        (D, lost, ["not finite"]),
    ):
        refuses(lambda s=said, d=truth: regression.correlate_each(s, d, group), *words)
    X = rng.normal(size=(60, 2))
    line, groups = X[:, 0] + 0.1 * X[:, 1], np.repeat([1, 2, 3], 20)
    good = regression.leave_out(X, line, groups, n_folds=3)
    for said in (None, good.prediction[:-1], np.full(60, np.nan)):
        bad = dataclasses.replace(good, prediction=said)
        refuses(
            lambda b=bad: regression.choose({"good": good, "bad": b}, line, groups, n_folds=3),
            "candidate 'bad'", "(60,)",
        )  # fmt: skip


def test_controls_keep_values_and_lose_the_place():
    X, D, group = made_up()
    mixed = regression.shuffle(D, group, seed=3)
    for c in np.unique(group):
        np.testing.assert_array_equal(np.sort(mixed[group == c]), np.sort(D[group == c]))
    assert abs(np.corrcoef(mixed, D)[0, 1]) < 0.15
    np.testing.assert_array_equal(mixed, regression.shuffle(D, group, seed=3))
    each, pooled = regression.learn_moved(
        X, np.column_stack([mixed, D]), group, n_folds=3, model=MODEL
    )
    assert each.shape == (2, 6)
    assert abs(pooled[0]) < 0.15 < 0.9 < pooled[1]


@pytest.mark.parametrize(("have", "wanted"), [(32, 8), (4, 64), (32, 32)])
def test_a_ceiling_is_foreseen(have, wanted):
    rng = np.random.default_rng(4)
    truth, noise = rng.normal(size=40_000), 3.0

    def ceiling(M):
        D = truth + noise / np.sqrt(M) * rng.normal(size=truth.size)
        return dynamics.noise_ceiling(D, np.full(truth.size, noise**2), M)

    foreseen = regression.foresee_ceiling(ceiling(have), have, wanted)
    assert foreseen == pytest.approx(ceiling(wanted), abs=0.02)


# ------------------------------------------------------------------------------------ recipe


def test_the_recipe_of_the_letter():
    recipe = averaged.Recipe()
    grid = recipe.grid()
    np.testing.assert_array_equal(grid["radial"], RADIAL)
    np.testing.assert_array_equal(grid["angular"], ANGULAR)
    assert len(recipe.columns()) == 392
    assert recipe.model().alphas.tolist() == list(ALPHAS)
    hard = recipe.columns(systems.get("hard-spheres"))
    assert sum(c.kind == "radial" for c in hard) == 173  # no shell where no pair can be
    assert recipe.folds(10) == 5
    assert averaged.Recipe(n_folds=6).folds(10) == 6


def test_another_recipe_has_a_file_and_a_command_of_its_own():
    usual = averaged.Recipe()
    other = averaged.Recipe(r_c=3, radial=[[0.5, 0.1, 20, 0.1]])
    assert usual.name("public", usual) == "public.json"
    assert other.name("public", usual) == "public,r_c=3,radial=0.5-0.1-20-0.1.json"
    assert usual.command("training", usual) == "glasslib run 3/training --preset paper"
    assert "-p r_c '3.0' -p radial '[[0.5, 0.1, 20.0, 0.1]]'" in other.command("training", usual)


SMALL = averaged.Recipe(
    n_max=2, radial=[[0.9, 0.3, 5, 0.1]], angular=[[1.0, 0.4, 2, 0.1]], orders=3,
    penalties=(-1, 3, 4), other_radii=(1.5, 3.0), n_moves=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def liquid():
    """Four small liquids at rest, with propensities that are their averaged energies."""
    system = systems.get("kob-andersen").with_(n=900)
    made = []
    for c in range(4):
        f = simulate.liquid(system, kT=1.0, melt_time=2, duration=2, seed=c, engine="lammps")
        quiet = simulate.inherent_structure(f, system, force_tolerance=0.5, engine="lammps")
        rng = np.random.default_rng(c)
        e = averaged_energies(quiet.log["particles/energy"], quiet)[:, 8]
        D = np.column_stack([e + 0.01 * rng.normal(size=900), rng.normal(size=900)])
        D += 1 - D.min()
        f.log = {
            "particles/propensity": D, "particles/propensity_variance": np.full_like(D, 1e-3),
            "particles/inherent_position": quiet.particles.position, "times": np.array([1.0, 9.0]),
            "self_isf_A": np.array([[0.9, 0.1]] * 4), "msd_A": np.ones((32, 2)),
        }  # fmt: skip
        made.append(f)
    return system, made


def early(made):
    """The first of two times alone: the one that structure foretells."""
    names = ("particles/propensity", "particles/propensity_variance")
    return [frames.copy(f, log={k: np.asarray(f.log[k])[:, :1] for k in names}) for f in made]


@pytest.mark.slow
def test_a_survey_of_frames_of_ones_own(liquid, tmp_path):
    system, made = liquid
    stock = averaged.take_frames(early(made), system)
    assert stock.n == 4
    assert stock.load()[0].log["particles/propensity"].shape == (900,)
    found = averaged.survey_public(tmp_path, stock, SMALL, mode="own")
    assert found.mean("A, energies")[0] > 0.8  # the target is one of its columns
    assert found.mean("A, inherent, n = 2")[0] > found.mean("A, thermal, n = 0")[0]
    assert abs(found.pooled("A, moves")[0]) < 0.4
    assert found.each("A, moves").shape == (3, 4)
    gain = found.gain("A, energies", "A, thermal, n = 0")
    assert gain[0] == pytest.approx(
        found.mean("A, energies")[0] - found.mean("A, thermal, n = 0")[0]
    )
    assert found.entries["A, chosen, all"]["took"][0].startswith("A, energies")
    assert found.selected("A, thermal, selection", 2).shape == (4,)
    assert not list(tmp_path.iterdir())
    with pytest.raises(stored.StoredError, match="glasslib run 3/training"):
        averaged.survey_public(tmp_path, stock, SMALL)
    names = list(averaged.plan(averaged.Tables(stock, SMALL)))
    assert set(names) == set(found.entries)


@pytest.mark.slow
def test_a_liquid_is_learned_at_every_time_and_stored(liquid, tmp_path, monkeypatch):
    system, made = liquid
    named = {f"mine-1-{c}": f for c, f in enumerate(made)}
    usual = dataclasses.replace(SMALL, n_folds=4)
    options = {"n_few": 2, "engine": "lammps"}
    with pytest.raises(stored.StoredError, match="3/evaluation --preset paper"):
        averaged.survey_liquid(tmp_path, named, system, usual, **options)
    found = averaged.survey_liquid(tmp_path, named, system, usual, mode="make", **options)
    assert found.n == 4
    assert 1 < found.tau < 9
    early = scores.mean_interval(found.r("A, energies")[:, 0])[0]
    late = scores.mean_interval(found.r("A, energies")[:, 1])[0]
    assert early > 0.95
    assert abs(late) < 0.3  # noise
    mean, low, high = found.mean("A, energies")
    assert low < mean < high
    assert min(early, late) < mean < max(early, late)
    assert np.array(found.models["A, moved field"]["by move"]).shape == (3, 2)
    again = averaged.survey_liquid(tmp_path, named, system, usual, **options)
    assert again.models == json.loads(json.dumps(found.models))
    made[0].log["particles/propensity"][0, 0] += 0.1  # of other labels: not these
    with pytest.raises(stored.StoredError, match="other inputs"):
        averaged.survey_liquid(tmp_path, named, system, usual, **options)
    made[0].log["particles/propensity"][0, 0] -= 0.1
    other = dataclasses.replace(usual, r_c=3.0)
    with pytest.raises(stored.StoredError, match="-p r_c '3.0'"):
        averaged.survey_liquid(tmp_path, named, system, other, **options)
    with pytest.raises(ValueError, match="three or more"):
        averaged.survey_liquid(tmp_path, {}, system, usual)


def test_numbers_at_the_relaxation_time_lie_between_samples():
    r = [[0.2, 0.4, 0.8], [0.1, 0.3, 0.7]]
    models = {"A": {"r": r, "pooled": [[0.2, 0.4, 0.8]] * 3}, "B": {"r": r, "by move": r}}
    found = averaged.Liquid(np.array([0.1, 1.0, 100.0]), 10.0, models, "now")
    np.testing.assert_allclose(found.each("A"), [0.6, 0.5])
    assert found.pooled("A") == pytest.approx((0.6, 0.6, 0.6))
    assert found.mean("B") == pytest.approx((0.55, 0.5, 0.6))
    assert found.gain("A", "B") == pytest.approx((0, 0, 0))
    assert found.peaks("A").tolist() == [10.0, 10.0]


def test_labels_are_taken_at_the_relaxation_time():
    f = frames.build(np.zeros((3, 3)) + np.arange(3)[:, None], 10, [0, 0, 1])
    f.log = {
        "particles/propensity": np.arange(9.0).reshape(3, 3), "times": np.array([1.0, 10.0, 100.0]),
        "self_isf_A": np.array([[0.9, 0.28, 0.1]]),
    }  # fmt: skip
    assert averaged.at_one_time(f).log["particles/propensity"].tolist() == [1, 4, 7]
    del f.log["self_isf_A"]
    assert averaged.at_one_time(f).log["particles/propensity"].tolist() == [2, 5, 8]
    message = refuses(
        lambda: averaged.take_frames([f], systems.get("kob-andersen")), "four or more"
    )
    assert "1 frames" in message


# ------------------------------------------------------------------ what is stored in the book


def test_the_stored_results_are_those_of_this_code_and_these_configurations():
    """Fingerprints of public.json, own.json and public-set.json; all entries are there."""
    folder = book.data(3)
    stock = averaged.take_public(book.root())
    found = averaged.survey_public(folder, stock, averaged.Recipe())
    assert len(found.entries) == 88
    for name, state, r_c, radii, level in (
        ("kob-andersen", 0.5, 2.3, (1.5, 1.9, 3.0, 4.0), 0.27),
        ("hard-spheres", 0.58, 2.1, (1.3, 1.6, 2.6, 3.2), 1 / np.e),
    ):
        system = systems.get(name)
        recipe = averaged.Recipe(r_c=r_c, other_radii=radii, n_folds=6)
        made = averaged.load_liquid([book.data(2), folder], system, state)
        liquid = averaged.survey_liquid(folder, made, system, recipe, level=level)
        assert liquid.r("A, LR(2), thermal").shape == (len(made), len(liquid.times))
    by = (stock.system, systems.get("kob-andersen"))
    assert len(configurations.survey_set(folder, stock, by)) == 10


@pytest.mark.slow
def test_one_time_of_a_stored_liquid_is_what_the_code_gives():
    """LR(0) of small hard spheres, learned here and now from the six configurations."""
    system, folder = systems.get("hard-spheres"), book.data(3)
    recipe = averaged.Recipe(r_c=2.1, other_radii=(1.3, 1.6, 2.6, 3.2), n_folds=6)
    made = averaged.load_liquid([book.data(2), folder], system, 0.58)
    kept = averaged.survey_liquid(folder, made, system, recipe, level=1 / np.e)
    mine = [f.particles.typeid == 1 for f in made.values()]
    X = np.concatenate([recipe.describe(f, system)[m] for f, m in zip(made.values(), mine)])
    D = np.concatenate([f.log["particles/propensity"][m, ::6] for f, m in zip(made.values(), mine)])
    group = np.repeat(np.arange(6), [m.sum() for m in mine])
    found = regression.follow(X, D, group, n_folds=6, model=recipe.model())
    np.testing.assert_allclose(found.r, kept.r("B, LR(0), thermal")[:, ::6], atol=1e-6)


# ----------------------------------------------------------------------------- other questions


def test_published_curves_meet_at_the_alpha_time():
    found = published.read(book.data(3))
    assert found.at_alpha["BOTAN", 0.44] == pytest.approx(0.755, abs=5e-4)
    name, best = found.best(0.44)
    assert name.startswith("EIGNN")
    assert best == pytest.approx(0.818, abs=5e-4)
    x, y = found.transfer["SE3"]
    assert np.all(np.diff(x) < 0)
    assert found.best_transfer(float(x[1])) == pytest.approx(
        max(r[1] for _, r in found.transfer.values())
    )
    assert found.best_transfer(0.55) < found.best_transfer(0.5)
    assert found.best_transfer(5.0) is None


@pytest.mark.slow
def test_a_model_is_asked_about_a_liquid_it_has_not_seen(liquid):
    system, made = liquid
    tables = [asking.look(f, system, SMALL, engine="lammps")["averaged energies"] for f in made]
    A = [f.particles.typeid == 0 for f in made]
    X = np.concatenate(tables[:2])
    D = np.concatenate([f.log["particles/propensity"][a, 0] for f, a in zip(made, A)][:2])
    model = PropensityRidge(alphas=1e-3, min_spread=1e-3).fit(X, D)
    found = asking.ask(model, tables[2:], made[2:], level=0.27)
    assert found.r[0] > 0.9 > 0.5 > abs(found.r[1])
    assert np.all(found.ceiling > 0.9)
    assert len(found.each) == 2
    assert found.at_tau == tuple(float(x[found.k]) for x in (found.r, found.low, found.high))
    alone = asking.ask(model, tables[3:], made[3:], level=0.27)  # over blocks of one box
    assert alone.low[0] < alone.r[0] < alone.high[0]


@pytest.mark.slow
def test_models_are_taught_once(liquid, tmp_path, monkeypatch):
    system, made = liquid
    stock = averaged.take_frames(early(made), system)
    asking.teach(tmp_path, stock, SMALL, stem="mine", engine="lammps")
    models = asking.load_models(tmp_path, system, SMALL, stem="mine")
    table = asking.look(made[0], system, SMALL, engine="lammps")
    A = made[0].particles.typeid == 0
    for name, model in models.items():
        said = model.predict(table[name])[:, 0]
        r = np.corrcoef(said, stock.load()[0].log["particles/propensity"][A].ravel())[0, 1]
        assert r > 0.5, name
    monkeypatch.setattr(averaged, "Tables", None)  # a second call makes nothing
    asking.teach(tmp_path, stock, SMALL, stem="mine", engine="lammps")


def test_a_model_of_other_structures_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    model = PropensityRidge(alphas=1.0).fit(rng.normal(size=(9, 2)), rng.normal(size=9))
    public = systems.of_public_set("botan")
    for file in asking.MODELS.values():
        model.save(tmp_path / "models" / f"mine-{file}.safetensors",
                   made={"system": public.name, "R_C": 2.3})  # fmt: skip
    good = asking.load_models(tmp_path, public, averaged.Recipe(), stem="mine")
    assert set(good) == set(asking.MODELS)
    for system, recipe in (
        (systems.get("kob-andersen"), averaged.Recipe()), (public, averaged.Recipe(r_c=3.0)),
    ):  # fmt: skip
        refuses(lambda s=system, r=recipe: asking.load_models(tmp_path, s, r, stem="mine"),
                "was learned from structures of", "3/training")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("G_A(r = 0.89, δ = 0.03, n = 0)", "A particles, first shell"),
        ("G_A(r = 0.89, δ = 0.03, n = 1)", "contacts of A with B, 0.89 apart, in the neigh"),
        ("G_B(r = 3.02, δ = 0.06, n = 2)", "B particles, third shell, in a wide"),
        ("q_4(r = 1.4, δ = 0.1, n = 0)", "unevenness over 45°, between first and second shell"),
    ],
)
def test_columns_in_words(name, words):
    assert asking.read_column(name).startswith(words)


def test_windows_of_one_equilibrium_and_of_a_liquid_that_ages():
    rng = np.random.default_rng(5)

    def liquids(drift):
        for _ in range(8):
            f = frames.build(np.zeros((1, 3)), 9, [0])
            level = drift * np.arange(7)[:, None]
            f.log = {"equilibration/potential_energy": level + rng.normal(size=(7, 50))}
            yield f

    still = configurations.compare_windows(list(liquids(0.0)))
    assert still.means.shape == (8, 6)
    assert still.scatter == pytest.approx(still.expected, rel=0.8)
    assert still.change[1] < 0 < still.change[2]
    ages = configurations.compare_windows(list(liquids(-1.0)))
    assert ages.change[2] < -4


def test_the_peak_of_a_mean_is_not_the_mean_of_peaks():
    rng, r = np.random.default_rng(6), np.linspace(0.5, 2, 60)
    clean = 2 * np.exp(-((r - 1.1) ** 2) / 0.02)
    noisy = clean + 0.5 * rng.normal(size=(40, 60))
    height, low, high, where = configurations.peaks({"A–A": noisy}, r)["A–A"]
    assert low < height < high
    assert height < noisy.max(axis=1).mean() - 0.2
    assert where == pytest.approx(1.1, abs=0.06)


def test_what_chapter_3_makes_comes_after_what_chapter_2_made(tmp_path):
    names = [productions.name_job(job) for job in productions.add_configurations(tmp_path)]
    assert names[0] == "kob-andersen-0.5-3"
    assert names[-1] == "hard-spheres-0.58-5"
    assert len(names) == 12
    more = productions.add_configurations(
        tmp_path, liquids=["kob-andersen"] * 2, states=[0.55, 0.45], windows=[9] * 2,
        durations=[9] * 2, configurations=[3, 2],
    )  # fmt: skip
    assert [productions.name_job(job) for job in more] == [
        "kob-andersen-0.55-1", "kob-andersen-0.55-2", "kob-andersen-0.45-0", "kob-andersen-0.45-1"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="as many each"):
        productions.add_configurations(tmp_path, states=[0.5])
    assert productions.name_liquid(systems.get("kob-andersen"), 0.5) == "Kob–Andersen, T = 0.5"


def test_a_distance_from_rest_goes_round_the_box():
    f = frames.build(np.array([[4.9, 0, 0], [0, 0, 0]]), 10, [0, 0])
    f.log = {"particles/inherent_position": np.array([[-4.9, 0, 0], [0, 0.3, 0]])}
    np.testing.assert_allclose(configurations.distance_from_rest([f]), [0.2, 0.3], atol=1e-6)
    assert averaged.rest(f).particles.position[1, 1] == pytest.approx(0.3)
    both = averaged.shift(f, averaged.rest(f), np.array([True, True]))
    np.testing.assert_allclose(both, [0.2, 0.3], atol=1e-6)


def test_radial_angular_of_a_recipe_is_that_of_the_library(liquid):
    system, made = liquid
    near = averaged.Recipe(radial=[[0.5, 0.03, 50, 0.03]])
    np.testing.assert_array_equal(
        near.describe(made[0], system), radial_angular(made[0], radial=RADIAL[:50])
    )
