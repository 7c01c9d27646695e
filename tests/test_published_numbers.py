"""Numbers of the published pages that are known from elsewhere, or must hold for any data."""

import json

import numpy as np
import pytest
from oracles import external

from glasslib import book, frames
from glasslib.descriptors import radial_angular
from glasslib.models.ridge import PropensityRidge, held_out

STORED = {
    name: entry["value"]
    for name, entry in json.loads((book.data(3) / "public.json").read_text("utf-8")).items()
}


def mean_r(name: str) -> float:
    return float(np.mean(STORED[name]["each"]))


@pytest.mark.parametrize(
    ("kind", "known"), [("thermal", (0.49, 0.55, 0.57)), ("inherent", (0.61, 0.67, 0.70))]
)
def test_regression_on_the_public_set(kind, known):
    """Ridge on averaged descriptors of ten public configurations, as others find it."""
    for n, r in enumerate(known):
        assert mean_r(f"A, {kind}, n = {n}") == pytest.approx(r, abs=0.05)


def test_the_quench_is_worth_more_than_the_averages():
    for n in range(4):
        gap = np.subtract(*(STORED[f"A, {k}, n = {n}"]["each"] for k in ("inherent", "thermal")))
        assert gap.mean() > 4 * gap.std(ddof=1) / np.sqrt(10)


@pytest.mark.slow
def test_stored_results_are_those_of_the_code():
    """LR(0) of thermal positions, learned here and now from the ten public configurations."""
    made = [
        frames.read(external(f"botan/isoconfig_N4096T0.44_{c}_tc07.npz"))[0] for c in range(1, 11)
    ]
    A = [f.particles.typeid == 0 for f in made]
    X = np.concatenate([radial_angular(f)[a] for f, a in zip(made, A, strict=True)])
    D = np.concatenate([f.log["particles/propensity"][a] for f, a in zip(made, A, strict=True)])
    group = np.repeat(np.arange(10), [a.sum() for a in A])
    model = PropensityRidge(min_spread=1e-3)
    prediction, _ = held_out(X, D, group, model=model)
    each = [np.corrcoef(prediction[group == c, 0], D[group == c])[0, 1] for c in range(10)]
    np.testing.assert_allclose(each, STORED["A, thermal, n = 0"]["each"], atol=1e-3)


def test_a_choice_inside_the_training_sets_is_no_better_than_its_best():
    """The model chosen for each test is one of those on offer, and does what that one does."""
    for name in ("A, chosen, geometry", "A, chosen, all"):
        found = STORED[name]
        for k, took in enumerate(found["took"]):
            pair = slice(2 * k, 2 * k + 2)  # configurations left out
            np.testing.assert_allclose(found["each"][pair], STORED[took]["each"][pair])
            offered = [
                f["inside"][k]
                for n, f in STORED.items()
                if n.startswith("A, ") and f.get("as_predicted")
                if name.endswith("all") or not ("cage" in n or "energies" in n)
            ]
            assert STORED[took]["inside"][k] == max(offered)


def test_the_controls_are_controls():
    """Nothing is learned from shuffled or moved propensities; split by particle, a lot is."""
    for name in ("A, shuffled", "A, moves", "B, shuffled", "B, moves"):  # moves: a row for each
        assert abs(mean_r(name)) < 0.08
    whole = STORED["A, shuffled"]["pooled"]
    assert whole["low"] < 0 < whole["high"]
    by_move = STORED["A, moves"]["pooled"]
    assert min(by_move) < 0 < max(by_move)
    assert mean_r("A, moved, by particle") > 0.3
    assert mean_r("A, by particle") > mean_r("A, inherent, n = 2") + 0.05


def test_no_score_is_above_its_ceiling():
    for species in "AB":
        top = STORED[f"{species}, ceiling"]
        for name, found in STORED.items():
            if name.startswith(f"{species}, ") and "pooled" in found and "by particle" not in name:
                assert np.all(np.array(found["each"]) < np.array(top["each"]) + 0.02)
                pooled = found["pooled"]
                assert (max(pooled) if isinstance(pooled, list) else pooled["r"]) < top["of all"]


def test_pooled_intervals_hold_their_value():
    for name, found in STORED.items():
        if "pooled" in found and not name.endswith(", moves"):
            assert found["pooled"]["low"] < found["pooled"]["r"] < found["pooled"]["high"]
