"""Numbers of the published pages that are known from elsewhere, or must hold for any data."""

import json

import numpy as np
import pytest

from glasslib import book

STORED = json.loads((book.data(3) / "public.json").read_text(encoding="utf-8"))


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


def test_the_controls_are_controls():
    """Nothing is learned from shuffled or moved propensities; split by particle, a lot is."""
    for name in ("A, shuffled", "A, moves"):  # the latter has a row for each move of the field
        assert abs(mean_r(name)) < 0.08
    low, high = STORED["A, shuffled"]["pooled"][1:]
    assert low < 0 < high
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
                assert found["pooled"][0] < top["of all"]


def test_pooled_intervals_hold_their_value():
    for name, found in STORED.items():
        if "pooled" in found and name != "A, moves":
            r, low, high = found["pooled"]
            assert low < r < high
