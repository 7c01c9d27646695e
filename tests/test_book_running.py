"""The papermill runner: what it refuses, what it leaves, when it runs again."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from glasslib import book, cli
from glasslib.book import keys, notebooks, running

FIRST = """preset: str = "book"  # size of the run
seed: int = 1
temperature: float = 0.5  # k_B T / ε
cores: int = -1
replicas: int = 3  # [2, 100] draws
radii: list = [1.0, 2.0]  # [0.5, 5] of averages
engine: str = "auto"  # {auto, fast}: who runs
species: list[str] = ["A"]
label: str | None = None
fast: bool = False
"""
WORK = """from glasslib import book
book.setup(page="1-test/page", preset=preset)
book.record(exhibit="Fig 1", quantity="seed plus T", here=seed + temperature, verdict="new here")
"""


def notebook(*cells, tagged=1, metadata=None):
    """A page: the first `tagged` cells are tagged parameters."""
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    made = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    made.metadata |= metadata or {}
    for i, source in enumerate(cells):
        cell = nbformat.v4.new_code_cell(source)
        if i < tagged:
            cell.metadata["tags"] = ["parameters"]
        made.cells.append(cell)
    return made


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A tiny repository of one chapter with one page."""
    root = tmp_path / "clone"
    (root / "notebooks" / "1-test").mkdir(parents=True)
    (root / "data" / "1-test").mkdir(parents=True)
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: intro\nchapters:\n- file: notebooks/1-test/page\n"
    )
    (root / "requirements.lock").write_text("numpy==1\n")
    nbformat.write(notebook(FIRST, WORK), root / "notebooks" / "1-test" / "page.ipynb")
    monkeypatch.chdir(root)
    monkeypatch.delenv("GLASSLIB_DATA", raising=False)
    # glasslib may be edited while its tests run; the key test puts the real function back
    monkeypatch.setattr(keys, "code_digest", lambda: "code")
    return root


def write_page(root, *cells, **options):
    nbformat.write(notebook(*cells, **options), root / "notebooks" / "1-test" / "page.ipynb")


def test_parameters_are_read_with_types_and_help(clone):
    found = notebooks.parameters(clone / "notebooks" / "1-test" / "page.ipynb")
    names = "preset seed temperature cores replicas radii engine species label fast"
    assert list(found) == names.split()
    assert found["replicas"].range == (2, 100)
    assert found["engine"].choices == ("auto", "fast")
    assert found["temperature"].range is None
    assert found["temperature"].type == "float"
    assert found["temperature"].help == "k_B T / ε"
    assert found["species"].default == ["A"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temprature": 1.0}, r"no parameter 'temprature' \(did you mean temperature\?\)"),
        ({"zzz": 1}, "has no parameter 'zzz'; expected one of preset, seed"),
        ({"seed": "two"}, "parameter seed of page 1-test/page is 'two' .*expected int"),
        ({"seed": 1.5}, "expected int"),
        ({"seed": True}, "expected int"),
        ({"temperature": "hot"}, "expected float, such as 0.5"),
        ({"temperature": float("nan")}, "expected float"),
        ({"fast": 1}, "expected bool"),
        ({"species": "A"}, "expected list"),
        ({"seed": -1}, "parameter seed of page 1-test/page is -1; expected 0 to 2147483647"),
        ({"seed": "-1e3"}, "is -1000; expected 0"),
        ({"seed": 10**12}, "expected 0 to 2147483647"),
        ({"seed": "9" * 400}, "402 characters"),
        ({"seed": "9" * 5000}, "thousands of digits|characters"),
        ({"seed": "{[]:1}"}, "expected int"),
        ({"seed": "-" * 3000 + "1"}, "3001|characters"),
        ({"temperature": "1e999"}, "expected float"),
        ({"cores": 0}, "is 0; expected -1 for all"),
        ({"cores": -2}, "expected -1 to 4096"),
        ({"replicas": 0}, "parameter replicas .* is 0; expected 2 to 100"),
        ({"radii": [1.0, 9.0]}, r"expected 0.5 to 5"),
        ({"engine": "gromacs"}, "is 'gromacs'; expected one of auto, fast"),
        ({"preset": "large"}, "preset is 'large'; expected one of smoke, book, paper"),
    ],
)
def test_refused_before_anything_runs(clone, given, message):
    with pytest.raises(notebooks.PageError, match=message) as error:
        running.run_page("1-test/page", parameters=given)
    assert "\n" not in str(error.value)
    assert not (clone / "_build").exists()


def test_text_becomes_the_declared_type(clone):
    _, path = notebooks.find_page("1/page")
    given = {"seed": "3", "temperature": "1e-1", "fast": "true", "label": "x", "species": "['B']"}
    checked = notebooks.check_parameters("p", notebooks.parameters(path), given)
    assert checked == {
        "seed": 3, "temperature": 0.1, "fast": True, "label": "x", "species": ["B"],
    }  # fmt: skip
    assert notebooks.check_parameters("p", notebooks.parameters(path), {"seed": "1"}) == {}
    whole = notebooks.check_parameters("p", notebooks.parameters(path), {"temperature": 2})
    assert type(whole["temperature"]) is float


@pytest.mark.parametrize(
    ("cells", "tagged", "message"),
    [
        ((FIRST, WORK), 0, "has 0 cells tagged 'parameters'; expected exactly one"),
        ((FIRST, FIRST, WORK), 2, "has 2 cells tagged"),
        (("seed: int = 1", WORK), 1, "lacks preset"),
        ((FIRST + "import os", WORK), 1, "expected only assignments of literals"),
        ((FIRST + "n = seed + 1", WORK), 1, "expected a literal"),
        ((FIRST + "x =", WORK), 1, "is not Python"),
    ],
)
def test_parameters_cell_is_checked(clone, cells, tagged, message):
    write_page(clone, *cells, tagged=tagged)
    with pytest.raises(notebooks.PageError, match=message):
        running.run_page("1-test/page")


def test_unknown_page_offers_close_ones(clone):
    with pytest.raises(notebooks.PageError, match="expected one such as 1-test/page"):
        notebooks.find_page("1-test/pgae")
    (clone / "notebooks" / "1-test" / "page.ipynb").write_text("{")
    with pytest.raises(notebooks.PageError, match="is not a notebook"):
        running.run_page("1-test/page")


@pytest.mark.page
def test_run_reuse_and_rerun(clone):
    first = running.run_page("1-test/page", parameters={"seed": 2})
    assert not first.reused
    assert first.results["records"][0]["here"] == 2.5
    assert first.results["parameters"]["seed"] == 2
    assert first.results["parameters"]["temperature"] == 0.5
    assert first.notebook.is_file()
    left = sorted(p.name for p in first.directory.iterdir())
    assert left == ["page.ipynb", "results.json"]

    assert running.run_page("1-test/page", parameters={"seed": "2"}).reused
    # prose may change, code and half a result may not
    path = clone / "notebooks" / "1-test" / "page.ipynb"
    page = nbformat.read(path, 4)
    page.cells.append(nbformat.v4.new_markdown_cell("More words."))
    nbformat.write(page, path)
    assert running.run_page("1-test/page", parameters={"seed": 2}).reused
    (first.directory / "results.json").write_text("{")
    assert not running.run_page("1-test/page", parameters={"seed": 2}).reused


REAL_CODE_DIGEST = keys.code_digest


def test_key_reacts_to_all_that_matters(clone, monkeypatch, tmp_path):
    package = tmp_path / "glasslib"
    # without machine code, which other processes may be writing
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(keys.__file__).parents[1], package, ignore=ignore)
    monkeypatch.setattr(keys, "__file__", str(package / "book" / "keys.py"))
    monkeypatch.setattr(keys, "code_digest", REAL_CODE_DIGEST)
    name, path = notebooks.find_page("1-test/page")

    def key(**values):
        return keys.run_key(name, path, values)

    seen = [key()]
    seen.append(key(seed=2))
    with monkeypatch.context() as other:
        other.setattr("glasslib.engines.fingerprint", lambda: {"hoomd": "another machine"})
        seen.append(key())
    (clone / "data" / "1-test" / "a.gsd").write_bytes(b"1")
    seen.append(key())
    (clone / "data" / "1-test" / "a.gsd").write_bytes(b"2")
    seen.append(key())
    (clone / "requirements.lock").write_text("numpy==2\n")
    seen.append(key())
    write_page(clone, FIRST, WORK + "1\n")
    seen.append(key())
    write_page(clone, FIRST, WORK + "1\n", metadata={"glasslib": {"data": ["2-other"]}})
    (clone / "data" / "2-other").mkdir()
    (clone / "data" / "2-other" / "b.gsd").write_bytes(b"3")
    seen.append(key())
    (package / "cli.py").write_text("# no page imports this\n")
    assert key() == seen[-1]
    with (package / "plots.py").open("a") as stream:
        stream.write("\n# changed\n")
    seen.append(key())
    assert len(set(seen)) == len(seen)

    (clone / "data" / "1-test" / ".a.gsd.partial").write_bytes(b"4")
    assert key() == seen[-1], "hidden files are work in progress"


@pytest.mark.page
def test_failing_cell_leaves_a_readable_notebook(clone, capsys):
    write_page(clone, FIRST, WORK, "print('before')\nvalues = [1]\nvalues[3]", "print('never')")
    code = cli.main(["run", "1-test/page", "-p", "seed", "7", "--output", "out"])
    told = capsys.readouterr().err
    assert code == 1
    assert "page 1-test/page failed in cell 3" in told
    assert "values[3]" in told
    assert "IndexError: list index out of range" in told
    assert "out/page.failed.ipynb" in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) <= 8

    assert [p.name for p in (clone / "out").iterdir()] == ["page.failed.ipynb"]
    kept = nbformat.read(clone / "out" / "page.failed.ipynb", 4)
    nbformat.validate(kept)
    assert any("before" in str(c.get("outputs", "")) for c in kept.cells)

    # the page is corrected: the failed notebook goes, the result stands
    write_page(clone, FIRST, WORK)
    assert cli.main(["run", "1-test/page", "-p", "seed", "7", "--output", "out"]) == 0
    assert sorted(p.name for p in (clone / "out").iterdir()) == ["page.ipynb", "results.json"]
    assert json.loads((clone / "out" / "results.json").read_text())["parameters"]["seed"] == 7


@pytest.mark.page
def test_an_old_result_does_not_survive_a_failure(clone):
    running.run_page("1-test/page", output="out")
    write_page(clone, FIRST, WORK, "raise RuntimeError('now it fails')")
    with pytest.raises(running.PageFailed, match="RuntimeError: now it fails"):
        running.run_page("1-test/page", output="out")
    assert not (clone / "out" / "results.json").exists()


@pytest.mark.page
def test_time_limit(clone):
    # the first cells do next to nothing, so that only the third can take long, whatever else runs
    write_page(clone, FIRST, "1 + 1", "import time\ntime.sleep(600)")
    with pytest.raises(running.PageFailed, match="took longer than 5 s") as error:
        running.run_page("1-test/page", timeout=5, output="out")
    assert error.value.cell == 3
    assert error.value.notebook.is_file()


@pytest.mark.page
def test_dead_kernel(clone):
    write_page(clone, FIRST, WORK, "import os\nos._exit(1)")
    with pytest.raises(running.PageFailed, match="the kernel died") as error:
        running.run_page("1-test/page", parameters={"seed": 3}, output="out")
    assert error.value.cell == 3
    assert not (clone / "out" / "results.json").exists()


@pytest.mark.page
def test_setup_has_to_name_the_page(clone):
    write_page(clone, FIRST, WORK.replace("1-test/page", "1-test/other"))
    with pytest.raises(running.PageFailed, match=r"called book\.setup\(page='1-test/other'"):
        running.run_page("1-test/page")
    write_page(clone, FIRST, "1 + 1")
    with pytest.raises(running.PageFailed, match=r"never called book\.setup"):
        running.run_page("1-test/page")


def test_unwritable_output(clone):
    (clone / "file").write_text("")
    with pytest.raises(notebooks.PageError, match="cannot be written .*choose another"):
        running.run_page("1-test/page", output="file/inside")


def test_toc_names_missing_page(clone):
    (clone / "_toc.yml").write_text("root: intro\nchapters:\n- file: notebooks/1-test/gone\n")
    with pytest.raises(notebooks.PageError, match="_toc.yml names notebooks/1-test/gone"):
        notebooks.list_pages()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "the following arguments are required: page"),
        (["fly"], "invalid choice: 'fly'"),
        (["run", "1/page", "-p", "seed"], "expected 2 arguments"),
    ],
)
def test_wrong_calls_are_one_line(clone, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    told = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in told
    assert len(told.strip().splitlines()) == 1


def test_user_mistakes_have_no_traceback(clone, capsys):
    for arguments, message in (
        (["data"], "no chapter given"),
        (["data", "9"], "chapter is '9'; expected one of 1-test"),
        (["run", "1/page", "-p", "seed", "1", "-p", "seed", "2"], "given twice"),
        (["run", "1/page", "--preset", "huge"], "preset is 'huge'"),
        (["book", "--workers", "0"], "--workers is 0"),
        (["check"], "build the book first"),
    ):
        assert cli.main(arguments) == 2
        told = capsys.readouterr().err.strip()
        assert message in told
        assert len(told.splitlines()) == 1


@pytest.mark.page
def test_book_names_the_page_that_fails(clone, capsys):
    write_page(clone, FIRST, WORK, "1 / 0")
    assert cli.main(["book", "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert "[1/1] 1-test/page  FAILED" in told.out
    assert "failed in cell 3" in told.err
    assert "ZeroDivisionError: division by zero" in told.err


@pytest.mark.page
def test_outputs_are_put_into_the_committed_page(clone):
    from glasslib.book import building

    run = running.run_page("1-test/page")
    page = nbformat.reads(building.with_outputs("1-test/page", run), 4)
    source = nbformat.read(clone / "notebooks" / "1-test" / "page.ipynb", 4)
    assert [c.source for c in page.cells] == [c.source for c in source.cells]
    assert page.metadata == source.metadata
    write_page(clone, FIRST, WORK, "2")
    with pytest.raises(building.BuildError, match="has other cells than the page"):
        building.with_outputs("1-test/page", run)
    assert book.root() == clone


@pytest.mark.parametrize("page", notebooks.list_pages())
def test_every_number_of_a_page_has_a_range(page):
    """Or only two values; what lies outside is refused before anything runs."""
    declared = notebooks.parameters(notebooks.find_page(page)[1])
    for name, p in declared.items():
        base = p.type.split("[")[0]
        if base in ("int", "float"):
            low, high = p.range
            assert low <= p.default <= high, name
            with pytest.raises(notebooks.PageError, match=f"parameter {name} of page"):
                notebooks.check_parameters(page, declared, {name: type(p.default)(high * 2 + 1)})
        assert p.refuse(p.default) == ""


def test_a_value_out_of_range_is_refused_in_a_notebook_too(monkeypatch):
    with pytest.raises(ValueError, match="parameter n_replicas is 0; expected 2 to 10000"):
        book.setup(page="0-start/how-to-read", parameters={"preset": "book", "n_replicas": 0})
