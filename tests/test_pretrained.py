"""Shipped models: what they know of themselves, and frames that they refuse."""

import json
import shutil
import warnings

import numpy as np
import pytest

from glasslib import book, engines, frames, pretrained, simulate, systems
from glasslib.studies import pretraining, record

NAMES = pretrained.available()
DATA = book.root() / "data"
WARMER = DATA / "2-autoencoder-3d/isoconfigurational/kob-andersen-0.55-0.gsd"


@pytest.fixture(scope="module")
def warmer():
    """A labelled configuration at T = 0.55, which no model of T = 0.5 has learned from."""
    return frames.read(WARMER)[0]


def start(frame, **log):
    """The frame as a stranger would have it: positions, box and species."""
    new = frames.copy(frame, log=log)
    new.particles.image = new.particles.velocity = None
    return new


def bare(name):
    (path,) = (DATA / "2-autoencoder-3d/isoconfigurational").glob(f"{name}-0.gsd")
    return start(frames.read(path)[0])


def test_every_recipe_is_on_the_shelf():
    assert set(NAMES) == set(pretraining.RECIPES)
    assert sum(p.stat().st_size for p in pretrained.FOLDER.iterdir()) < 5e6


@pytest.mark.parametrize("name", NAMES)
def test_every_model_knows_what_it_is(name):
    m = pretrained.get(name)
    assert set(m.species) == set(pretraining.RECIPES[name].species)
    assert m.system.name in systems.available()
    for species, entry in m.card["species"].items():
        assert m.model(species) is not None  # opens, and is the file of the card
        assert -1 <= entry["score"]["r"] <= entry["ceiling"] <= 1
        assert pretrained.get(name.rpartition("-")[0] + f"-{species}-" + m.card["kind"])
    said = str(m)
    for part in ("trained on", "ceiling", "licence: MIT", m.card["system"]):
        assert part in said
    if "public" in m.card["trained_on"]:
        assert "Apache-2.0" in said


@pytest.mark.slow
def test_a_prediction_is_that_of_the_card(warmer):
    """It quenches by itself: the stored inherent structure gives the same score."""
    m = pretrained.get("ka-0.5-A-energies")
    with pytest.warns(UserWarning, match="trained at 0.5; the frame has kT = 0.55: there it sc"):
        said = m.predict(start(warmer, kT=np.array([0.55])))
    A = warmer.particles.typeid == 0
    assert np.isnan(said[~A]).all()
    stock = pretraining.load(m.system, 0.55, DATA)
    truth = stock.made[0].log["particles/propensity"][:, stock.at]
    (told,) = [t for t in m.card["species"]["A"]["transfer"] if t["kT"] == 0.55]
    assert np.corrcoef(said[A], truth[A])[0, 1] == pytest.approx(told["r"], abs=0.01)
    # thermal energies would have said 10.8 for 1.30
    assert said[A].mean() == pytest.approx(m.model("A").intercept_[7:].mean(), rel=0.6)


@pytest.mark.slow
def test_a_line_through_rest_quenches_and_responds_by_itself():
    system = systems.get("kob-andersen-force-shifted")
    f = simulate.liquid(system, kT=0.8, n=1000, melt_time=3, duration=20, seed=4, engine="lammps")
    with pytest.warns(UserWarning, match="trained at 0.44; the frame has kT = 0.8: there it sco"):
        said = pretrained.get("ka-0.44-response").predict(start(f, kT=np.array([0.8])))
    A = f.particles.typeid == 0
    assert np.isfinite(said[A]).all()
    assert np.isnan(said[~A]).all()
    quiet = simulate.inherent_structure(f, system, force_tolerance=1e-4)
    known = {
        "particles/inherent_position": np.asarray(quiet.particles.position),
        "particles/inherent_energy": np.asarray(quiet.log["particles/energy"]),
    }
    told = record.tell(frames.copy(f, log=known), system)
    line = pretrained.get("ka-0.44-response").model("A")
    np.testing.assert_allclose(said[A], line.predict(told.columns[A])[:, 0], atol=0.02)
    with pytest.raises(pretrained.PretrainedError, match="σ from rest; expected a snapshot as it"):
        pretrained.get("ka-0.44-response").predict(start(quiet), kT=0.44)
    # nobody is given minutes of work unasked
    assert pretrained.suggest(f, system=system, kT=0.44).card["kind"] != "response"


def test_a_frame_that_does_not_say_its_temperature_is_told(warmer):
    with pytest.warns(UserWarning, match="trained at 0.5; the frame does not say its temperature"):
        pretrained.get("ka-0.5-thermal").predict(start(warmer))


def test_both_species_all_times_and_any_order_of_types(warmer):
    m = pretrained.get("ka-0.5-thermal")
    every = m.predict(start(warmer), time="all")
    assert every.shape == (2000, len(m.times))
    assert np.isfinite(every).all()
    at = int(np.argmin(np.abs(m.times - m.card["tau_alpha"])))
    mine = pretrained.get("ka-0.5-B-thermal").predict(start(warmer))
    np.testing.assert_allclose(mine, np.where(warmer.particles.typeid == 1, every[:, at], np.nan))
    other = start(warmer)
    other.particles.types = ["B", "A"]
    other.particles.typeid = 1 - np.asarray(warmer.particles.typeid)
    np.testing.assert_allclose(m.predict(other, time="all"), every, atol=1e-3)


def test_a_tilted_box_with_the_same_images_says_the_same():
    m = pretrained.get("ka-0.5-thermal")
    one = bare("kob-andersen-0.6")
    edge = float(one.configuration.box[0])
    # three boxes on top of each other; an edge along x a stack in y changes no image
    x = np.concatenate([one.particles.position + [0, k * edge, 0] for k in range(3)])
    tall = [edge, 3 * edge, edge, 1 / 3, 0, 0]
    tilted = frames.build(x, np.array(tall), np.tile(one.particles.typeid, 3))
    np.testing.assert_allclose(m.predict(tilted), np.tile(m.predict(one), 3), atol=2e-3)


@pytest.mark.slow
def test_other_systems_are_refused_in_one_line(warmer):
    energies, thermal = pretrained.get("ka-0.5-A-energies"), pretrained.get("ka-0.5-A-thermal")
    path = DATA / "2-autoencoder-3d/isoconfigurational/wahnstrom-0.7-0.gsd"
    wahnstrom = frames.read(path)[0]
    renamed, flat = start(warmer), start(warmer)
    renamed.particles.types = ["Ni", "P"]
    flat = frames.build(np.zeros((2, 2)) + [[0], [1]], 10.0, [0, 1], dimensions=2)
    small = frames.subset(start(warmer), np.arange(2000) % 20 == 0)
    small.configuration.box[:3] *= 20 ** (-1 / 3)
    small = frames.wrapped(small)
    quiet = start(warmer)
    quiet.particles.position = warmer.log["particles/inherent_position"]
    shuffled = start(warmer)
    rng = np.random.default_rng(0)
    shuffled.particles.typeid = rng.permutation(np.asarray(shuffled.particles.typeid))
    for told, ask in {
        "is a model of kob-andersen; the frame is of wahnstrom": lambda: energies.predict(
            wahnstrom
        ),
        "80:20 of A, B; the frame has 50:50": lambda: energies.predict(start(wahnstrom)),
        "knows A, B. Rename": lambda: energies.predict(renamed),
        "2D; system": lambda: energies.predict(flat),
        "less than twice the cut-off": lambda: energies.predict(small),
        "density 1.2; the frame has": lambda: energies.predict(scaled(warmer, 1.1)),
        "standard deviations from": lambda: thermal.predict(quiet),
        "up to .* was tried": lambda: thermal.predict(shuffled),
        "none is near 1000000000": lambda: energies.predict(start(warmer), time=1e9),
        "expected tau_alpha, all or": lambda: energies.predict(start(warmer), time="soon"),
    }.items():
        with pytest.raises(pretrained.PretrainedError, match=told) as error:
            ask()
        assert "\n" not in str(error.value)


def scaled(frame, factor):
    new = start(frame)
    new.configuration.box[:3] *= factor
    new.particles.position = (new.particles.position * factor).astype(np.float32)
    return new


def test_another_density_is_said(warmer):
    m = pretrained.get("ka-0.5-A-thermal")
    with pytest.warns(UserWarning, match="trained at 1.2; the frame has density 1.1"):
        m.predict(scaled(warmer, 1.01))


def test_hard_spheres_and_their_packing_fraction():
    m = pretrained.get("hs-0.58-thermal")
    with pytest.warns(UserWarning, match="the frame has packing fraction 0.57: there it scores A"):
        said = m.predict(bare("hard-spheres-0.57"))
    assert np.isfinite(said).all()
    with pytest.raises(
        pretrained.PretrainedError, match="hard-spheres; the frame has|hard-spheres"
    ):
        m.predict(bare("kob-andersen-0.6"))


def test_an_order_parameter_is_a_probability():
    m = pretrained.get("ka-0.5-order")
    red = m.predict(bare("kob-andersen-0.5"))
    assert red.min() >= 0
    assert red.max() <= 1
    assert red.std() > 0.01
    with pytest.raises(pretrained.PretrainedError, match="knows no times"):
        m.predict(bare("kob-andersen-0.5"), time=3.0)


def test_a_frame_finds_its_model(warmer):
    assert pretrained.suggest(warmer).name == "ka-0.5-energies"  # it says what made it
    assert pretrained.suggest(start(warmer), system="kob-andersen").name == "ka-0.5-energies"
    forced = pretrained.suggest(start(warmer), system="kob-andersen-force-shifted")
    assert forced.name == "ka-0.44-energies"
    assert pretrained.suggest(bare("hard-spheres-0.57")).name == "hs-0.58-thermal"
    assert pretrained.suggest(bare("wahnstrom-0.75")).name == "wahnstrom-0.7-thermal"
    thermal = pretrained.suggest(start(warmer), system="kob-andersen", kind="thermal")
    assert thermal.name == "ka-0.5-thermal"
    with pytest.raises(pretrained.PretrainedError, match="no model fits the frame; see: glasslib"):
        pretrained.suggest(start(warmer), system="bihani-2d")
    with pytest.raises(pretrained.PretrainedError, match="composition and density are the same"):
        pretrained.suggest(start(warmer))
    with pytest.raises(pretrained.PretrainedError, match="the frame has 80:20"):
        pretrained.suggest(start(warmer), system="wahnstrom")
    disks = frames.build(np.eye(2), 10.0, [0, 1], dimensions=2)
    with pytest.raises(pretrained.PretrainedError, match="no model fits the frame; see"):
        pretrained.suggest(disks)


def test_annotated_frames_go_to_a_file_and_back(warmer, tmp_path):
    models = [pretrained.get(f"ka-0.5-{s}-thermal") for s in "AB"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new = pretrained.annotate(start(warmer), models)
        both = pretrained.get("ka-0.5-thermal").predict(start(warmer))
    (read,) = frames.read(frames.write(tmp_path / "out.gsd", new))
    np.testing.assert_allclose(read.log["particles/predicted_propensity"], both, rtol=1e-6)
    np.testing.assert_allclose(read.log["prediction/times"], models[0].card["tau_alpha"])
    cards = pretrained.read_card(read)
    assert [c["model"] for c in cards] == ["ka-0.5-A-thermal", "ka-0.5-B-thermal"]
    assert "ceiling" in cards[0]["scores"]["A"]
    assert pretrained.read_card(warmer) == []
    energies, order = pretrained.get("ka-0.5-A-energies"), pretrained.get("ka-0.5-order")
    for wrong, told in (
        ([energies, order], "different things"),
        ([energies, energies], "two models speak of one species"),
        ([pretrained.get("ka-0.44-A-energies"), models[1]], "other times"),
    ):
        with pytest.raises(pretrained.PretrainedError, match=told):
            pretrained.annotate(start(warmer), wrong)


def test_a_file_that_is_not_that_of_the_card_is_refused(tmp_path):
    shutil.copytree(pretrained.FOLDER, tmp_path / "shelf")
    card = pretrained.manifest(tmp_path / "shelf")["ka-0.5-energies"]
    one = tmp_path / "shelf" / card["species"]["A"]["file"]
    shutil.copy(tmp_path / "shelf" / card["species"]["B"]["file"], one)
    m = pretrained.get("ka-0.5-A-energies", folder=tmp_path / "shelf")
    with pytest.raises(pretrained.PretrainedError, match="not the file that the manifest"):
        m.model("A")
    one.unlink()
    with pytest.raises(pretrained.PretrainedError, match="no file"):
        m.model("A")
    with pytest.raises(pretrained.PretrainedError, match="no models at"):
        pretrained.get("ka-0.5-A-energies", folder=tmp_path)
    with pytest.raises(pretrained.PretrainedError, match="no model 'ka-0.5-C-energies'"):
        pretrained.get("ka-0.5-C-energies")


@pytest.mark.slow
def test_a_model_made_anew_is_the_one_that_is_shipped(tmp_path):
    recipe = "wahnstrom-0.7-energies"
    card = pretraining.make([recipe], data=DATA, folder=tmp_path)[recipe]
    kept = pretrained.manifest()[recipe]
    for species in "AB":
        new, old = (c["species"][species] for c in (card, kept))
        assert new["score"]["r"] == pytest.approx(old["score"]["r"], abs=0.005)
        assert new["ceiling"] == pytest.approx(old["ceiling"], abs=1e-6)
        assert [t["r"] for t in new["transfer"]] == pytest.approx(
            [t["r"] for t in old["transfer"]], abs=0.01
        )
    assert set(json.loads((tmp_path / "manifest.json").read_text())) == {recipe}
    with pytest.raises(ValueError, match="no recipe ka-1"):
        pretraining.make(["ka-1"], data=DATA, folder=tmp_path)


def test_thermal_energies_are_unlike_all_that_was_seen(warmer):
    """What once answered 10.8 for 1.30: the check that predict makes would refuse them."""
    m = pretrained.get("ka-0.5-A-energies")
    frame = start(warmer)
    hot = engines.choose(m.system).evaluate(frame, m.system).log["particles/energy"]
    X = pretrained.describe(frame, "energies", m.system, {}, energy=hot)
    mine = frame.particles.typeid == 0
    with pytest.raises(pretrained.PretrainedError, match="standard deviations from what A"):
        m._check_domain(X[mine], "A")
    # the same energies at rest pass
    quiet = start(warmer)
    quiet.particles.position = warmer.log["particles/inherent_position"]
    cold = engines.choose(m.system).evaluate(quiet, m.system).log["particles/energy"]
    X = pretrained.describe(quiet, "energies", m.system, {}, energy=cold)
    m._check_domain(X[mine], "A")


def test_the_shelf_is_of_the_present_data_and_code(tmp_path):
    """What chapter 3 stored can be adopted again, and gives the same card."""
    recipe = pretraining.RECIPES["ka-0.44-energies"]
    elsewhere = pretraining.other_states(recipe, DATA)[:1]
    again = pretraining.adopt(recipe, elsewhere, DATA, tmp_path)["A"]
    known = pretrained.get(recipe.name).card["species"]["A"]
    for name in ("sha256", "score", "ceiling"):
        assert again[name] == known[name]
