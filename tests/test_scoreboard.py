"""The scoreboard on made-up liquids, where it is known who foretells what."""

import numpy as np
import pytest
from oracles import refuses
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LinearRegression

from glasslib import frames, stored, systems
from glasslib.models.ridge import PropensityRidge
from glasslib.studies import predictors, scoreboard, unsupervised
from glasslib.studies.competition import ALL, Predictor, compete
from glasslib.studies.scoreboard import State

SYSTEM = systems.get("kob-andersen")
TIMES = [0.1, 1.0]


def configuration(seed: int, shift: float = 0.0):
    """Motion is half of a number that can be seen, half noise; B moves more, and all by `shift`."""
    rng = np.random.default_rng(seed)
    n, edge = 216, 6.0
    frame = frames.build(rng.uniform(-3, 3, (n, 3)), edge, rng.permutation([0] * 160 + [1] * 56))
    seen, noise = rng.normal(size=(2, n, len(TIMES)))
    D = 5 + shift + seen + noise + 2 * frame.particles.typeid[:, None]
    frame.log = {"times": np.array(TIMES), "particles/propensity": D, "particles/seen": seen}
    frame.log["particles/propensity_variance"] = np.ones_like(D)
    frame.log["msd_A"] = np.ones((32, len(TIMES)))  # so many draws
    return frame


@pytest.fixture(scope="module")
def made():
    return [configuration(seed, shift=seed) for seed in range(6)]


def look(frame, system):
    return frame.log["particles/seen"]


def at(rows, species, time=0.1):
    (row,) = [r for r in rows if r.species == species and r.time == time]
    return row


def test_one_number_stands_for_itself(made):
    one = Predictor("seen", lambda f, s: look(f, s)[:, 0])
    rows = compete([one], made, SYSTEM)
    assert {(r.species, r.time) for r in rows} == {(s, t) for s in ("A", "B", ALL) for t in TIMES}
    for c, f in enumerate(made):
        mine = f.particles.typeid == 0
        x, y = look(f, SYSTEM)[mine, 0], f.log["particles/propensity"][mine, 0]
        assert at(rows, "A").each[c] == pytest.approx(pearsonr(x, y)[0])
    assert at(rows, "A").mean[0] == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert abs(at(rows, "A", 1.0).mean[0]) < 0.1  # the number of another time
    assert at(rows, "A").learned_from == 0


def test_spearman_is_that_of_scipy(made):
    rounded = Predictor("rounded", lambda f, s: np.round(look(f, s)[:, 0]))  # many ties
    row = at(compete([rounded], made, SYSTEM), "B")
    want = []
    for f in made:
        mine = f.particles.typeid == 1
        x = np.round(look(f, SYSTEM)[mine, 0])
        want.append(spearmanr(x, f.log["particles/propensity"][mine, 0])[0])
    assert row.spearman == pytest.approx(np.mean(want))


@pytest.mark.parametrize("model", [PropensityRidge(), LinearRegression()])
def test_models_learn_from_other_configurations(made, model):
    rows = compete([Predictor("line", look, model)], made, SYSTEM, n_folds=3)
    for time in TIMES:
        assert at(rows, "A", time).mean[0] == pytest.approx(np.sqrt(0.5), abs=0.05)
        # levels differ by configuration and no model knows them: pooled is below
        assert 0.2 < at(rows, "A", time).pooled < at(rows, "A", time).mean[0]
    assert at(rows, "A").learned_from == 4
    assert at(rows, ALL).mean[0] > at(rows, "A").mean[0]  # composition counts
    assert not hasattr(model, "coef_")  # it is cloned


def test_learning_from_few(made):
    rows = compete([Predictor("line", look, PropensityRidge())], made, SYSTEM, n_train=2)
    assert {r.learned_from for r in rows} == {2}
    assert at(rows, "A").mean[0] == pytest.approx(np.sqrt(0.5), abs=0.05)


def test_whole_configurations_are_left_out(made):
    """Who knows only which configuration it is asked about knows nothing."""

    def who(frame, system):
        number = [np.array_equal(frame.particles.position, f.particles.position) for f in made]
        return np.tile(np.array(number, dtype=float), (frame.particles.N, 1))

    row = at(compete([Predictor("who", who, PropensityRidge())], made, SYSTEM), "A")
    assert max(map(abs, row.each)) < 1e-9
    assert abs(row.pooled) < 0.3


def test_a_control_learns_nothing(made):
    rows = compete([Predictor("null", look, PropensityRidge(), control=True)], made, SYSTEM)
    assert abs(at(rows, "A").mean[0]) < 0.2 < np.sqrt(0.5)


def test_few_configurations_are_not_learned_from(made):
    both = [
        Predictor("seen", lambda f, s: look(f, s)[:, 0]),
        Predictor("line", look, PropensityRidge()),
    ]
    rows = compete(both, made[:2], SYSTEM)
    assert {r.predictor for r in rows} == {"seen"}


def test_bad_input(made):
    seen = Predictor("seen", lambda f, s: look(f, s)[:, 0])
    refuses(lambda: compete([seen], [], SYSTEM), "no configurations")
    refuses(
        lambda: compete([seen], made, SYSTEM, label="luck"), "configuration 0", "particles/luck"
    )
    other = configuration(9)
    other.log["times"] = np.array([0.1, 2.0])
    refuses(lambda: compete([seen], [*made, other], SYSTEM), "configuration 6", "2.")
    refuses(lambda: compete([Predictor("two", look)], made, SYSTEM), "'two'", "2 numbers", "model")
    short = Predictor("short", lambda f, s: look(f, s)[:9, 0])
    refuses(lambda: compete([short], made, SYSTEM), "'short'", "(9, 1)", "216")
    infinite = Predictor("infinite", lambda f, s: look(f, s)[:, 0] / 0.0)
    with np.errstate(divide="ignore"):
        refuses(lambda: compete([infinite], made, SYSTEM), "finite")


class Says:
    """A model that answers as it is told."""

    def __init__(self, answer=None):
        self.answer = answer

    def get_params(self, deep=False):
        return {"answer": self.answer}

    def fit(self, X, D):
        self.n_times = D.shape[1]
        return self

    def predict(self, X):
        return self.answer(len(X), self.n_times)


@pytest.mark.parametrize(
    "answer",
    [
        lambda n, t: np.full((n, t), np.nan),
        lambda n, t: np.ones((t, n)),
        lambda n, t: np.ones(n - 1),
        lambda n, t: np.ones(n),  # one time of two
    ],
)
def test_predictions_that_are_none_are_no_score(made, answer):
    one = Predictor("oracle", look, Says(answer))
    # the mean row is asked about first, for pooled scores
    refuses(lambda: compete([one], made, SYSTEM), "'oracle'", "expected", "finite numbers")


def test_what_is_missing_is_told(made):
    seen = Predictor("seen", lambda f, s: look(f, s)[:, 0])
    refuses(lambda: compete([seen, seen], made, SYSTEM), "['seen', 'seen']")
    refuses(lambda: compete([seen], made, SYSTEM, n_folds=1), "n_folds is 1")
    refuses(lambda: compete([seen], made, SYSTEM, n_train=0), "n_train is 0")
    refuses(
        lambda: compete([Predictor("none", lambda f, s: None)], made, SYSTEM), "'none'", "NoneType"
    )
    swapped = frames.copy(made[0])
    swapped.particles.types = ["B", "A"]
    refuses(lambda: compete([seen], [swapped], SYSTEM), "['B', 'A']", "['A', 'B']")
    hole = frames.copy(made[0], log=dict(made[0].log))
    hole.log["particles/propensity"] = hole.log["particles/propensity"] * [1, np.nan]
    refuses(lambda: compete([seen], [hole], SYSTEM), "configuration 0", "not finite")
    timeless = frames.copy(made[0], log={k: v for k, v in made[0].log.items() if k != "times"})
    refuses(lambda: compete([seen], [timeless], SYSTEM), "'times'")
    only = frames.copy(made[0], log=dict(made[0].log))
    only.particles.typeid = np.zeros(only.particles.N, dtype=np.uint32)
    assert {r.species for r in compete([seen], [only], SYSTEM)} == {"A", ALL}


def test_stored_and_tabulated(made, tmp_path):
    asked = []

    def count(f, s):
        asked.append(1)
        return look(f, s)[:, 0]

    state = State("made-up-0.5", SYSTEM, 0.5, lambda: made, ["made up"])
    one = [Predictor("seen", count)]
    with pytest.raises(stored.StoredError, match="6/scoreboard --preset paper"):
        scoreboard.survey(tmp_path, state, one)
    rows = scoreboard.survey(tmp_path, state, one, make=True)
    n = len(asked)
    again = scoreboard.survey(tmp_path, state, one)
    assert len(asked) == n == len(made)
    assert [r.mean for r in again] == [r.mean for r in rows]
    found = scoreboard.find_ceilings(tmp_path, state, make=True)
    assert found["configurations"] == 6
    np.testing.assert_allclose(found["ceiling"]["A"], np.sqrt(1 - (1 / 32) / 2), atol=5e-3)
    table = scoreboard.tabulate({"made-up-0.5": rows}, {"made-up-0.5": found})
    assert len(table) == len(rows) == 6
    assert table[0]["r"] == pytest.approx(rows[0].mean[0])
    assert table[0]["time/tau"] == pytest.approx(rows[0].time / found["tau"])
    # other configurations: what is stored is not theirs
    with pytest.raises(stored.StoredError, match="other inputs"):
        scoreboard.survey(tmp_path, State("made-up-0.5", SYSTEM, 0.5, list, ["else"]), one)


def test_an_order_parameter_is_fitted_once_and_to_structure_alone(made):
    read = []

    def load():
        read.append(1)
        return made

    order = unsupervised.learn_order(load, radius=1.5, n_networks=2)
    P = [order(f, SYSTEM) for f in made[:2]]
    assert len(read) == 1
    for f, p in zip(made, P):
        assert p.shape == (f.particles.N,)
        assert p.min() >= 0
        assert p.max() <= 1
    blind = frames.copy(made[1], log={})
    np.testing.assert_array_equal(order(blind, SYSTEM), P[1])


def test_the_board_answers(made, tmp_path):
    state = State("made-up-0.5", SYSTEM, 0.5, lambda: made, ["made up"])
    line = Predictor("energies", look, PropensityRidge())
    listed = [Predictor("seen", lambda f, s: look(f, s)[:, 0]), line]
    trial = scoreboard.hold(tmp_path, [state], lambda s: listed, mode="own")
    assert trial.ceilings["made-up-0.5"]["configurations"] == 3
    assert not list(tmp_path.iterdir())
    board = scoreboard.hold(tmp_path, [state], lambda s: listed, mode="make")
    assert {r.predictor for r in board.at("made-up-0.5", "A")} == {"seen", "energies"}
    assert board.nearest("made-up-0.5", 0.1) == 0
    t, mean = board.follow("made-up-0.5", "A", "energies")
    assert mean.shape == (2, 3)
    np.testing.assert_allclose(t, np.array(TIMES) / board.ceilings["made-up-0.5"]["tau"])
    (row,) = board.learn("made-up-0.5", "A", "energies")  # no curve from six configurations
    assert row.learned_from == 5
    assert len(board.table()) == 12
    again = scoreboard.hold(tmp_path, [state], lambda s: listed)
    assert again.table() == board.table()


def test_states_of_the_book(tmp_path):
    place = tmp_path / "2-autoencoder-3d" / "isoconfigurational"
    place.mkdir(parents=True)
    for k in (10, 2):
        frames.write(place / f"kob-andersen-0.5-{k}.gsd", configuration(k))
    frames.write(place / "nobody-0.5-0.gsd", configuration(0))
    found = scoreboard.list_states(tmp_path)
    assert list(found) == ["kob-andersen-0.5"]
    state = found["kob-andersen-0.5"]
    assert state.title == "Kob–Andersen 80:20, T = 0.5"
    first, second = state.load()
    np.testing.assert_array_equal(first.particles.position, configuration(2).particles.position)
    np.testing.assert_array_equal(second.particles.position, configuration(10).particles.position)


def test_the_choice_is_made_in_training():
    """Columns that foretell win, time by time, and those that only look wide do not."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(900, 20))
    D = np.column_stack([X[:, 0], X[:, 19]]) + rng.normal(size=(900, 2))
    groups = np.repeat(np.arange(9), 100)
    halves = {"first": [(0, 10)], "last": [(10, None)], "two ends": [(0, 1), (19, None)]}
    model = predictors.ChooseColumns(halves, PropensityRidge(alphas=[1.0, 10.0]))
    assert model.fit(X, D[:, [0, 1]], groups).chosen_ == ["two ends", "two ends"]
    halves.pop("two ends")
    model = predictors.ChooseColumns(halves, PropensityRidge(alphas=[1.0, 10.0])).fit(X, D, groups)
    assert model.chosen_ == ["first", "last"]
    got = model.predict(X[:5])
    assert got[:, 1] == pytest.approx(model.models_["last"].predict(X[:5, 10:])[:, 1])


def test_columns_of_the_choice_are_those_described(monkeypatch):
    system = systems.get("kob-andersen")
    x = np.stack(np.meshgrid(*[np.arange(12.0)] * 3), axis=-1).reshape(-1, 3) * 0.95
    frame = frames.build(x, 12 * 0.95, np.arange(12**3) % 2)
    frame.log["particles/inherent_position"] = frame.particles.position
    monkeypatch.setattr(predictors, "elastic_response", lambda f, s: np.ones((f.particles.N, 4)))
    width = {
        p.name: p.describe(frame, system).shape[1]
        for p in predictors.list_predictors(system)
        if p.name in ("energies", "energies + response", "LR(2), at rest", "all at rest")
    }
    (chosen,) = (p for p in predictors.list_predictors(system) if p.name == "chosen")
    spans = chosen.model.candidates
    assert spans["energies"] == [(0, width["energies"])]
    assert spans["energies + response"] == [(0, width["energies + response"])]
    assert width["all at rest"] == width["energies + response"] + width["LR(2), at rest"]


@pytest.mark.parametrize("name", systems.available())
def test_the_books_predictors_suit_every_system(name):
    system = systems.get(name)
    listed = predictors.list_predictors(system)
    names = [p.name for p in listed]
    assert len(set(names)) == len(names)
    assert ("energies" in names) == (not system.hard)
    assert ("LR(2), thermal" in names) == (system.dimensions == 3)
    rng = np.random.default_rng(0)
    n, d = 600, system.dimensions
    edge = 26.0 if d == 2 else 11.0
    x = np.zeros((n, 3))
    x[:, :d] = rng.uniform(-edge / 2, edge / 2, (n, d))
    frame = frames.build(x, edge, rng.integers(2, size=n), types=list(system.types), dimensions=d)
    for one in listed:
        if one.name in ("species", "local packing", "bond orientation", "LR(0), thermal"):
            found = np.asarray(one.describe(frame, system))
            assert len(found) == n, one.name
            assert np.all(np.isfinite(found)), one.name
