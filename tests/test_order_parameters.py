"""Order parameters of a state: fitted once, recognised, averaged, held against a made-up motion."""

import numpy as np
import pytest

from glasslib import book, frames, scores
from glasslib.descriptors import averaging
from glasslib.models import autoencoder
from glasslib.models.autoencoder import OrderParameter
from glasslib.studies import order_parameters as study

PCA = {"encoder": "pca", "n_init": 1}


def snapshot(seed: int, n: int = 400, length: float = 10.0):
    """Two groups of neighbourhoods in each species; the group, and a table that tells it."""
    rng = np.random.default_rng(seed)
    typeid = np.repeat([0, 1], [n - n // 4, n // 4])
    frame = frames.build(rng.uniform(0, length, (n, 3)), length, typeid)
    group = rng.integers(2, size=n)
    X = rng.normal(size=(n, 5)) + 6 * group[:, None] + 3 * typeid[:, None]
    return frame, X, group


def moving(frame, group, seed: int = 0):
    """Labels as of 8 draws at three times: the first knows nothing, the second is the group."""
    rng = np.random.default_rng(seed)
    D = np.column_stack([rng.normal(size=len(group)), group, group + rng.normal(size=len(group))])
    frame.log |= {
        "times": np.array([1.0, 10.0, 100.0]), "particles/propensity": D,
        "particles/propensity_variance": np.full_like(D, 0.08), "msd_A": np.zeros((8, 3)),
    }  # fmt: skip
    return frame


def test_every_species_is_fitted_by_its_own_model():
    frame, X, group = snapshot(0)
    typeid = frame.particles.typeid
    order = study.fit_state(X, typeid, seeds=(3, 1), **PCA)
    assert order.seeds == (3, 1)
    assert not order.stored
    P = order.assign(X, typeid)
    assert P.shape == (2, 400)
    np.testing.assert_allclose(P, [group, group], atol=1e-3)
    for k in (0, 1):
        alone = OrderParameter(seed=3, **PCA).fit(X[typeid == k])
        np.testing.assert_array_equal(P[0, typeid == k], alone.predict_proba(X[typeid == k]))
        assert np.all(order.gaps(k) > 1)
        np.testing.assert_allclose(order.agreement(X, typeid, k), [1.0], atol=1e-3)
    with pytest.raises(ValueError, match="seeds is empty"):
        study.fit_state(X, typeid, seeds=())


def test_a_file_is_taken_for_what_it_was_fitted_to_and_for_nothing_else(tmp_path, monkeypatch):
    frame, X, _ = snapshot(0)
    typeid = frame.particles.typeid
    path = tmp_path / "state.safetensors"
    made = study.fit_state(X, typeid, seeds=(0, 1), path=path, **PCA)
    assert not path.exists()  # nothing is written unasked
    made = study.fit_state(X, typeid, seeds=(0, 1), path=path, save=True, **PCA)
    before = path.read_bytes()
    again = study.fit_state(X, typeid, seeds=(1, 0), path=path, save=True, **PCA)
    assert again.stored
    assert path.read_bytes() == before
    np.testing.assert_array_equal(again.assign(X, typeid), made.assign(X, typeid)[::-1])
    np.testing.assert_array_equal(
        study.load_state(path).assign(X, typeid), made.assign(X, typeid)
    )  # fmt: skip
    # one seed more: the others stay, bit by bit
    more = study.fit_state(X, typeid, seeds=(0, 1, 2), path=path, save=True, **PCA)
    assert not more.stored
    assert study.fit_state(X, typeid, seeds=(2, 0), path=path, **PCA).stored
    np.testing.assert_array_equal(more.assign(X, typeid)[:2], made.assign(X, typeid))
    # another snapshot, other options, other code: fitted anew
    _, other, _ = snapshot(1)
    assert not study.fit_state(other, typeid, seeds=(0,), path=path, **PCA).stored
    wider = PCA | {"bottleneck": 3}
    assert not study.fit_state(X, typeid, seeds=(0,), path=path, **wider).stored
    one = study.fit_state(X, typeid, seeds=(0,), path=path, **PCA)
    monkeypatch.setattr(study, "fingerprint", lambda **_: "of another day")
    anew = study.fit_state(X, typeid, seeds=(0,), path=path, **PCA)
    assert one.stored
    assert not anew.stored
    np.testing.assert_array_equal(anew.assign(X, typeid), one.assign(X, typeid))


def test_files_with_names_of_others_are_refused(tmp_path):
    frame, X, _ = snapshot(0)
    path = tmp_path / "state.safetensors"
    model = OrderParameter(**PCA).fit(X)
    autoencoder.save_several(path, {"A": model}, {"fingerprint": study.fingerprint(**PCA)})
    for call in (
        lambda: study.load_state(path),
        lambda: study.fit_state(X, frame.particles.typeid, path=path, **PCA),
    ):
        with pytest.raises(ValueError, match="'A' is no name"):
            call()


def test_averages_are_those_of_each_field():
    frame, X, _ = snapshot(0)
    out = study.average(X.T, frame, 2.0)
    assert out.shape == (5, 400)
    for row, field in zip(out, X.T):
        np.testing.assert_allclose(row, averaging.sphere_average(field, frame, 2.0), rtol=1e-12)
    np.testing.assert_allclose(study.average(X[:, 0], frame, 2.0), out[0], rtol=1e-12)
    np.testing.assert_array_equal(study.average(X[:, 0], frame, 0), X[:, 0])


@pytest.fixture
def two():
    """Two configurations, and fields of two networks: one knows the group, one its opposite."""
    made, fields = [], []
    for c in (0, 1):
        frame, _, group = snapshot(c)
        made.append(moving(frame, group, seed=c))
        fields.append(np.array([group, 1 - group], dtype=float))
    return made, fields


def test_correlations_by_configuration_network_and_time(two):
    made, fields = two
    found = study.correlate_state(fields, made, species=1)
    assert found.each.shape == (2, 2, 3)
    np.testing.assert_allclose(found.each[:, 0, 1], 1)
    np.testing.assert_allclose(found.each[:, 1, 1], -1)
    np.testing.assert_allclose(found.mean, 0, atol=1e-12)  # the two networks cancel
    np.testing.assert_allclose(found.pooled[0, 1], 1)
    mine = [f.particles.typeid == 1 for f in made]
    expected = scores.correlate(
        np.concatenate([v[0, m] for v, m in zip(fields, mine)]),
        np.concatenate([f.log["particles/propensity"][m, 2] for f, m in zip(made, mine)]),
        method="spearman", n_boot=0,
    ).r  # fmt: skip
    np.testing.assert_allclose(found.pooled[0, 2], expected)
    knowing = study.correlate_state([v[:1] for v in fields], made, species=1)
    assert knowing.best == 1
    np.testing.assert_allclose(knowing.at(1), (1, 1, 1))
    assert knowing.at(2)[1] <= knowing.at(2)[0] <= knowing.at(2)[2] < 1
    height, when = knowing.peaks
    np.testing.assert_allclose(height, 1)
    np.testing.assert_array_equal(when, [10, 10])
    assert not knowing.cut_off.any()
    # a peak at the last time has been cut off
    late = [f.log["particles/propensity"][:, ::-1] for f in made]
    for f, D in zip(made, late):
        f.log["particles/propensity"] = np.column_stack([D[:, 2], D[:, 0], D[:, 1]])
    assert study.correlate_state([v[:1] for v in fields], made, species=1).cut_off.all()
    # a constant field of variance 1/4, draws of variance .08 / 8
    share = np.array([np.var(f.log["particles/propensity"][m, 2]) for f, m in zip(made, mine)])
    # (the draws' variance is .08; eight of them)
    ceiling = study.correlate_state(fields, made, species=1).ceiling[:, 2]
    np.testing.assert_allclose(ceiling, np.sqrt(1 - 0.01 / share), rtol=0.02)


def test_gains_are_paired(two):
    made, fields = two
    a = study.correlate_state([v[:1] for v in fields], made, species=0)
    b = study.correlate_state([v[1:] for v in fields], made, species=0)
    np.testing.assert_allclose(a.gain(b, 1), (2, 2, 2))
    with pytest.raises(ValueError, match="needs the same ones"):
        a.gain(study.correlate_state(fields, made, species=0), 1)
    x, y = (
        study.resample(v, made, 2, species=0, per_edge=2, n_boot=100, seed=5)
        for v in ([w[:1] for w in fields], [w[:1] for w in fields])
    )
    assert x.minus(y) == (0, 0, 0)  # equal blocks were drawn
    minus = study.resample([v[1:] for v in fields], made, 2, species=0, per_edge=2, n_boot=100)
    here, low, high = minus.interval
    assert -1 < low < here < high < 0
    plus = study.resample([v[:1] for v in fields], made, 2, species=0, per_edge=2, n_boot=100)
    np.testing.assert_allclose(plus.minus(minus, np.abs), 0, atol=1e-12)
    assert plus.minus(minus)[1] > 0.5


def test_nulls_know_nothing(two):
    made, fields = two
    known = [v[0] for v in fields]
    moved = study.move_fields(known, made, 1, species=0, n_shift=60)
    dealt = study.deal_out(known, made, 1, species=0, radius=2.0, n_shuffle=60)
    for null in (moved, dealt):
        assert null.each.shape == (2, 3)
        assert np.all(np.abs(null.each) < 0.6)
        centre, low, high = null.mean
        assert low < 0 < high
        assert null.widest[1] <= low < centre < high <= null.widest[2]
        assert null.count_above([1.0, -1.0]) == 1
    # a field that counts species only keeps its correlation when dealt out within them
    for f in made:
        f.log["particles/propensity"][:, 1] = f.particles.position[:, 0]
    smooth = [np.array(f.particles.position[:, 0], dtype=float) for f in made]
    wide = study.move_fields(smooth, made, 1, species=0, n_shift=60).widest
    assert wide[2] - wide[1] > 0.6  # smooth fields correlate by chance


def test_bootstrap_holds_the_value(two):
    made, fields = two
    r, low, high = study.bootstrap(fields[0][0], made[0], species=0, n_boot=200)
    assert r[1] == pytest.approx(1)
    assert low[2] < r[2] < high[2]


def test_fields_that_do_not_fit_are_refused(two):
    made, fields = two
    for wrong, words in (
        (fields[:1], "1 sets of fields and 2"),
        ([fields[0], fields[1][:1]], r"expected \(2, 400\)"),
        ([fields[0], fields[1][:, :10]], r"shape \(2, 10\)"),
    ):
        with pytest.raises(ValueError, match=words):
            study.correlate_state(wrong, made, species=0)
    made[1].log["times"] = np.array([1.0, 10.0, 99.0])
    with pytest.raises(ValueError, match="other times"):
        study.correlate_state(fields, made, species=0)


def test_committed_order_parameters_are_those_of_this_code():
    """After a change of models/autoencoder.py: run 2/training at preset paper, which takes a
    minute; what it writes must be the old numbers."""
    paths = sorted((book.data(2) / "order-parameters").glob("*.safetensors"))
    assert len(paths) == 15
    for path in paths:
        models, about = autoencoder.load_several(path)
        assert about["fingerprint"] == study.fingerprint(), path.name
        assert len(models) == 10
