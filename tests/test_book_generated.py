"""Files that are generated say what they are generated from."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import yaml

from glasslib import book, frames
from glasslib.book import keys, notebooks, reporting, running


def test_results_are_of_the_present_pages():
    reporting.check_results()


def test_readme_table_is_current():
    reporting.readme(check=True)


def test_data_table_and_checksums_are_current():
    reporting.data_readme(check=True)


def test_readme_is_short_and_shows_a_picture():
    text = (book.root() / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert pictures
    for name in pictures:
        assert (book.root() / name).stat().st_size < 200_000
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (book.root() / name).exists(), name


def test_checksums_are_what_sha256sum_reads():
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("no sha256sum")
    done = subprocess.run(
        [tool, "-c", "--quiet", "--strict", "SHA256SUMS"],
        cwd=book.root() / "data", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]


def test_pages_that_made_the_data_exist():
    rows = yaml.safe_load((book.root() / "data" / "contents.yml").read_text(encoding="utf-8"))
    for row in rows:
        if row["page"] != "–":
            page, path = notebooks.find_page(row["page"])
            assert page.split("/")[0] == row["files"].split("/")[0]
            text = path.read_text(encoding="utf-8")
            assert 'preset == \\"paper\\"' in text or '\\"paper\\": \\"make\\"' in text, page


@pytest.fixture
def clone(tmp_path, monkeypatch):
    (tmp_path / "notebooks" / "1-test").mkdir(parents=True)
    (tmp_path / "data" / "1-test").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("root: intro\n")
    for path in (tmp_path / "README.md", tmp_path / "data" / "README.md"):
        path.write_text(f"# T\n{reporting.BEGIN}\n{reporting.END}\nafter\n")
    (tmp_path / "data" / "contents.yml").write_text(
        "- {files: 1-test/*.gsd, page: 1/page, what: frames}\n"
    )
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
    monkeypatch.setattr(notebooks, "find_page", lambda page: (page, clone / "x"))
    monkeypatch.setattr(keys, "source_digest", lambda path: "s1")
    path = clone / "data" / "results" / "1-test.json"
    assert reporting.save_results([run_of(clone, 1.0)]) == [path]
    assert reporting.save_results([run_of(clone, 1.0 + 1e-5)]) == []
    assert json.loads(path.read_text())["pages"][0]["records"][0]["here"] == 1.0
    assert reporting.save_results([run_of(clone, 1.01)]) == [path]
    assert reporting.save_results([run_of(clone, 1.01, verdict="partly")]) == [path]
    assert reporting.save_results([run_of(clone, 4.0, unit="s")]) == [path]
    assert reporting.save_results([run_of(clone, 9.0, unit="s")]) == []
    monkeypatch.setattr(keys, "source_digest", lambda path: "s2")
    assert reporting.save_results([run_of(clone, 9.0, unit="s")]) == [path]

    assert reporting.readme()
    text = (clone / "README.md").read_text()
    assert "| 1-test | 1 | – | – | – | – |" in text
    assert "Fig 1" not in text, "number by number the Results page has them"
    assert (clone / "README.md").read_text().endswith("after\n")
    assert not reporting.readme()
    (clone / "README.md").write_text(f"{reporting.BEGIN}\nold\n{reporting.END}\n")
    with pytest.raises(reporting.StaleError, match="README.md is stale; run: glasslib readme"):
        reporting.readme(check=True)

    with pytest.raises(reporting.StaleError, match="which is not in _toc.yml"):
        reporting.check_results()
    monkeypatch.setattr(notebooks, "list_pages", lambda: ["1-test/page"])
    monkeypatch.setattr(keys, "source_digest", lambda path: "s3")
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
    folder = clone / "data" / "1-test"
    for name, content in (("a.gsd", b"one"), ("b.gsd", b"three"), (".c.gsd.partial", b"half")):
        (folder / name).write_bytes(content)
    (folder / "b.gsd.parts").mkdir()
    (folder / "b.gsd.parts" / "0000.gsd").write_bytes(b"half")
    assert reporting.data_readme()
    text = (clone / "data" / "README.md").read_text()
    assert "| `1-test/*.gsd` | frames | 1/page | 2 | 0 kB |" in text
    assert "parts" not in text
    sums = (clone / "data" / "SHA256SUMS").read_text().splitlines()
    assert [line[64:] for line in sums] == ["  1-test/a.gsd", "  1-test/b.gsd"]
    assert sums[0].startswith(hashlib.sha256(b"one").hexdigest())
    assert not reporting.data_readme(check=True)

    (folder / "b.gsd").write_bytes(b"other")  # of the same size: the table cannot tell
    with pytest.raises(reporting.StaleError, match="SHA256SUMS is stale, first at 1-test/b.gsd"):
        reporting.data_readme(check=True)
    assert reporting.data_readme()
    (folder / "d.json").write_text("{}")
    with pytest.raises(reporting.StaleError, match="data/1-test/d.json fits no line"):
        reporting.data_readme(check=True)
    assert reporting.data_readme()  # after hours of production it is listed all the same
    assert "| `1-test/d.json` | not described yet |" in (clone / "data" / "README.md").read_text()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("- {files: 1-test/*.npz, page: 1/page, what: none}", "describes 1-test/[*].npz, and no"),
        ("- {files: 1-test/*, page: 1/page, what: a, b}", "expected files, page and what"),
    ],
)
def test_a_wrong_line_of_contents_is_refused(clone, line, told):
    (clone / "data" / "1-test" / "a.gsd").write_bytes(b"")
    with (clone / "data" / "contents.yml").open("a") as stream:
        stream.write(line)
    with pytest.raises(reporting.StaleError, match=told):
        reporting.data_readme(check=True)


@pytest.mark.slow
def test_readme_example_runs(tmp_path, monkeypatch, capsys):
    """The ten lines on one's own trajectory, as the README prints them, on what LAMMPS wrote."""
    text = (book.root() / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    packed = book.root() / "data" / "0-start" / "kob-andersen.lammpstrj.gz"
    (tmp_path / "dump.lammpstrj").write_bytes(gzip.decompress(packed.read_bytes()))
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert "followed from frame to frame" in capsys.readouterr().out
    (frame,) = frames.read("out.gsd")
    assert np.isfinite(frame.log["particles/predicted_propensity"]).all()
    # as they stand, wrapped positions would say far more
    naive = names["t"][24].particles.position - names["t"][0].particles.position
    assert np.linalg.norm(naive, axis=1).mean() > 1.5 * names["moved"].mean()
