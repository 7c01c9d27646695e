"""Files that are generated say what they are generated from."""

import json
import re

import gsd.hoomd
import numpy as np
import pytest

from glasslib import book, reporting, running


def test_results_are_of_the_present_pages():
    reporting.check_results()


def test_readme_table_is_current():
    reporting.readme(check=True)


def test_data_table_is_current():
    reporting.data_readme(check=True)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    (tmp_path / "notebooks" / "1-test").mkdir(parents=True)
    (tmp_path / "data" / "1-test").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("root: intro\n")
    for path in (tmp_path / "README.md", tmp_path / "data" / "README.md"):
        path.write_text(f"# T\n{reporting.BEGIN}\n{reporting.END}\nafter\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_of(tmp_path, here, verdict="reproduces", unit=""):
    record = {
        "exhibit": "Fig 1", "quantity": "a|b", "here": here, "low": None, "high": None,
        "paper": 1.0, "unit": unit, "verdict": verdict, "note": "",
    }  # fmt: skip
    results = {
        "page": "1-test/page", "parameters": {}, "glasslib": "0", "python": "3", "packages": {},
        "records": [record],
    }  # fmt: skip
    return running.Run("1-test/page", "book", tmp_path, results, 1.0, False)


def test_results_change_only_when_they_mean_something_else(clone, monkeypatch):
    monkeypatch.setattr(running, "find_page", lambda page: (page, clone / "x"))
    monkeypatch.setattr(running, "source_digest", lambda path: "s1")
    path = clone / "data" / "results" / "1-test.json"
    assert reporting.save_results([run_of(clone, 1.0)]) == [path]
    assert reporting.save_results([run_of(clone, 1.0 + 1e-5)]) == []
    assert json.loads(path.read_text())["pages"][0]["records"][0]["here"] == 1.0
    assert reporting.save_results([run_of(clone, 1.01)]) == [path]
    assert reporting.save_results([run_of(clone, 1.01, verdict="partly")]) == [path]
    assert reporting.save_results([run_of(clone, 4.0, unit="s")]) == [path]
    assert reporting.save_results([run_of(clone, 9.0, unit="s")]) == []
    monkeypatch.setattr(running, "source_digest", lambda path: "s2")
    assert reporting.save_results([run_of(clone, 9.0, unit="s")]) == [path]

    assert reporting.readme()
    text = (clone / "README.md").read_text()
    assert "| 1-test | 1 | – | – | – | – |" in text
    assert "| Fig 1 | a\\|b | 1 s | 9 s | – | reproduces |" in text
    assert (clone / "README.md").read_text().endswith("after\n")
    assert not reporting.readme()
    (clone / "README.md").write_text(f"{reporting.BEGIN}\nold\n{reporting.END}\n")
    with pytest.raises(reporting.StaleError, match="README.md is stale; run: glasslib readme"):
        reporting.readme(check=True)

    with pytest.raises(reporting.StaleError, match="which is not in _toc.yml"):
        reporting.check_results()
    monkeypatch.setattr(running, "pages", lambda: ["1-test/page"])
    monkeypatch.setattr(running, "source_digest", lambda path: "s3")
    with pytest.raises(reporting.StaleError, match="older 1-test/page; run make book"):
        reporting.check_results()
    assert reporting.save_results([]) == [path]
    assert not path.exists()
    assert book.results() == []


def test_a_broken_results_file_is_named(clone):
    folder = clone / "data" / "results"
    folder.mkdir()
    (folder / "1-test.json").write_text('{"chapter": "1-test"}')
    with pytest.raises(ValueError, match="is not a results file .*run 'make book'"):
        book.results()


def test_markers_are_required(clone):
    (clone / "README.md").write_text("nothing")
    with pytest.raises(reporting.StaleError, match="lacks the lines"):
        reporting.readme()


def test_data_table_lists_finished_files(clone):
    frame = gsd.hoomd.Frame()
    frame.particles.N = 1
    frame.log["provenance"] = np.frombuffer(
        json.dumps({"engine": "lammps", "version": "20250722"}).encode(), dtype=np.uint8
    )
    with gsd.hoomd.open(clone / "data" / "1-test" / "a.gsd", "w") as out:
        out.append(frame)
    (clone / "data" / "1-test" / "b.gsd.parts").mkdir()
    (clone / "data" / "1-test" / "b.gsd.parts" / "0000.gsd").write_bytes(b"half")
    assert reporting.data_readme()
    text = (clone / "data" / "README.md").read_text()
    assert re.search(
        r"\| `1-test/a.gsd` \| \d+ \| `[0-9a-f]{64}` \| `make data CHAPTER=1` "
        r"\| lammps 20250722 \|",
        text,
    )
    assert "parts" not in text


def test_readme_example_runs(tmp_path, monkeypatch):
    """The ten lines on one's own trajectory, as the README prints them."""
    text = (book.root() / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    with gsd.hoomd.open("trajectory.gsd", "w") as out:
        start = rng.uniform(-5, 5, (20, 3))
        for step in range(2):
            frame = gsd.hoomd.Frame()
            frame.configuration.box = [10, 10, 10, 0, 0, 0]
            frame.particles.N = 20
            frame.particles.types = ["A"]
            frame.particles.position = (start + 0.1 * step + 5) % 10 - 5
            frame.particles.image = np.floor((start + 0.1 * step + 5) / 10)
            out.append(frame)
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "moved.html").stat().st_size > 1000
