"""Rules of verdicts: read from claims.yml, judged by intervals, never at other parameters."""

import math

import pytest

from glasslib import book
from glasslib.book import claims, notebooks
from glasslib.book.page import STATE

GOOD = """
height:
  exhibit: Fig 1
  quantity: height at T = {T}
  says: it is high
  paper: 2.0
  rule: {above: 1.5}
  partly: {above: 1.0}
  unit: σ
near:
  exhibit: Fig 2
  quantity: distance
  rule: {within: [-0.1, 0.1]}
small:
  exhibit: Fig 3
  quantity: size
  rule: {below: 0.5}
elsewhere:
  exhibit: Fig 4
  quantity: depth
  rule: {above: 1.0}
  same_test: false
  note: learned from other data
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "claims.yml"
    path.write_text(GOOD, encoding="utf-8")
    return claims.load(path)


@pytest.mark.parametrize(
    ("key", "low", "high", "verdict"),
    [
        ("height", 1.6, 1.9, "reproduces"),
        ("height", 1.4, 1.9, "partly"),
        ("height", 1.1, 1.4, "partly"),
        ("height", 0.9, 1.4, "does not reproduce"),
        ("height", 0.9, 1.6, "undecided"),
        ("height", 0.1, 0.4, "does not reproduce"),
        ("near", -0.1, 0.05, "reproduces"),
        ("near", 0.05, 0.2, "undecided"),
        ("near", -0.3, 0.3, "undecided"),
        ("near", 0.2, 0.3, "does not reproduce"),
        ("small", 0.1, 0.4, "reproduces"),
        ("small", 0.6, 0.7, "does not reproduce"),
        ("small", math.nan, math.nan, "undecided"),
        ("elsewhere", 2.0, 3.0, "not the same test"),
        ("elsewhere", 0.1, 0.2, "not the same test"),
        ("elsewhere", math.nan, math.nan, "not the same test"),
    ],
)
def test_verdicts(table, key, low, high, verdict):
    assert table[key].judge(low, high) == verdict


def test_places_of_a_quantity(table):
    assert table["height"].about({"T": 0.5}) == "height at T = 0.5"
    with pytest.raises(ValueError, match="'T' is not given"):
        table["height"].about({})
    with pytest.raises(ValueError, match="no place for k"):
        table["near"].about({"k": 1})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "expected claims by key"),
        ("a: 1", "expected exhibit, quantity and rule"),
        ("a: {exhibit: x, quantity: y}", "lacks rule"),
        ("a: {exhibit: x, quantity: y, rule: {atop: 1}}", "expected one of above"),
        ("a: {exhibit: x, quantity: y, rule: {above: .inf}}", "finite"),
        ("a: {exhibit: x, quantity: y, rule: {above: true}}", "finite"),
        ("a: {exhibit: x, quantity: y, rule: {within: [2, 1]}}", "ascending"),
        ("a: {exhibit: x, quantity: y, rule: {within: 1}}", "2 finite"),
        ("a: {exhibit: x, quantity: y, rule: {above: 1, below: 2}}", "expected one of above"),
        ("a: {exhibit: x, quantity: y, rules: {above: 1}}", "did you mean 'rule'"),
        (
            "a: {exhibit: x, quantity: y, rule: {above: 1}, same_test: false}",
            "a note that says why",
        ),
        ("a: {exhibit: x, quantity: y, rule: {above: 1}, same_test: 2}", "same_test is 2"),
        ("a: {", "is not YAML"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "claims.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words) as caught:
        claims.load(path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def page(table, monkeypatch, tmp_path):
    monkeypatch.setenv("GLASSLIB_RUN_DIR", str(tmp_path))
    book.setup(page="0-start/how-to-read")
    monkeypatch.setitem(STATE, "claims", table)
    return lambda: book.page_results()["records"][-1]


def test_records_are_judged_by_their_claim(page):
    book.record("height", 1.7, 1.6, 1.9, of={"T": 0.5})
    entry = page()
    assert entry["verdict"] == "reproduces"
    assert (entry["exhibit"], entry["quantity"]) == ("Fig 1", "height at T = 0.5")
    assert (entry["paper"], entry["unit"], entry["claim"]) == (2.0, "σ", "height")
    book.record("elsewhere", 2.0, 1.9, 2.1)
    assert (page()["verdict"], page()["note"]) == ("not the same test", "learned from other data")
    book.record("small", 0.9)
    assert page()["verdict"] == "does not reproduce"
    assert page()["low"] is None
    with pytest.raises(ValueError, match="did you mean 'height'"):
        book.record("heigth", 1.0)
    with pytest.raises(ValueError, match="brings its own"):
        book.record("small", 0.9, verdict="reproduces")


def test_new_rows_need_no_claim(page):
    book.record_new("ceiling", "of A", 0.9, 0.8, 1.0, unit="", note="95 %")
    assert page() == {
        "exhibit": "ceiling", "quantity": "of A", "here": 0.9, "low": 0.8, "high": 1.0,
        "paper": None, "unit": "", "verdict": "new here", "note": "95 %",
    }  # fmt: skip


def test_other_physics_is_not_judged(page, monkeypatch):
    monkeypatch.setitem(STATE, "changed", ["kT = 0.9"])
    book.record("height", 1.7, 1.6, 1.9, of={"T": 0.9})
    assert page()["verdict"] == "new here"
    assert "not judged: kT = 0.9" in page()["note"]


def test_setup_sees_which_parameters_were_changed(monkeypatch, tmp_path):
    monkeypatch.setenv("GLASSLIB_RUN_DIR", str(tmp_path))
    name = "0-start/how-to-read"
    declared = notebooks.parameters(notebooks.find_page(name)[1])
    values = {k: p.default for k, p in declared.items()} | {"preset": "smoke", "seed": 99}
    book.setup(page=name, preset="smoke", parameters=values)
    assert STATE["changed"] == []
    monkeypatch.setattr(
        notebooks,
        "parameters",
        lambda path: declared | {"kT": notebooks.Parameter("kT", "float", 0.5)},
    )
    book.setup(page=name, preset="smoke", parameters=values | {"kT": 0.7})
    assert STATE["changed"] == ["kT = 0.7"]


def test_every_claim_of_a_page_in_the_book_is_recorded_by_it():
    """And every row that is judged by a claim stands in its chapter's file, under that page."""
    recorded = {(e["page"], e["claim"]) for e in book.results() if "claim" in e}
    expected, files = set(), sorted((book.root() / "notebooks").glob("*/claims.yml"))
    for path in files:
        for key, claim in claims.load(path).items():
            page = f"{path.parent.name}/{claim.page}"
            assert claim.page, f"{path}: claim {key!r} names no page"
            if page in notebooks.list_pages():
                expected.add((page, key))
    assert files
    assert recorded == expected


SCORED = """
height:
  exhibit: Fig 1
  quantity: "{system}, {state}: height of {part}"
  rule: {above: 1.5}
change:
  exhibit: Fig 2
  quantity: "{system}: height at {deep} minus height at {far}"
  rule: {above: 0.0}
"""


def test_a_scorecard_has_a_row_a_claim_and_a_column_a_system(monkeypatch, tmp_path):
    path = tmp_path / "claims.yml"
    path.write_text(SCORED, encoding="utf-8")
    monkeypatch.setenv("GLASSLIB_RUN_DIR", str(tmp_path))
    book.setup(page="0-start/how-to-read")
    monkeypatch.setitem(STATE, "claims", claims.load(path))
    for name, state, value in (("sand", "0.5", 2.0), ("clay", "0.7", 1.0)):
        for part in ("top", "foot"):
            book.record("height", value, value - 0.1, value + 0.1,
                        of={"system": name, "state": state, "part": part})  # fmt: skip
        book.record("change", value, of={"system": name, "deep": state, "far": "1"})
    book.record_new("ceiling", "of sand", 0.9)
    card = book.scorecard(["sand", "clay", "silt"], words={"deep": "the coldest", "far": "the hot"})
    assert card.heads == ["exhibit", "claim", "sand", "clay", "silt"]
    assert [row[:2] for row in card.rows] == [
        ["Fig 1", "height of top"], ["Fig 1", "height of foot"],
        ["Fig 2", "height at the coldest minus height at the hot"],
    ]  # fmt: skip
    assert card.rows[0][2:] == [
        "2 [1.9, 2.1] ● reproduces",
        "1 [0.9, 1.1] ○ does not reproduce",
        "–",
    ]
    assert card.rows[2][2] == "2 ● reproduces"
    assert "1 more rows" in card.caption
