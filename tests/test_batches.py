"""Sweeps: what is refused, what runs again, and what is left after kills, failures, schedulers."""

import contextlib
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
import pytest

from glasslib import batches, book, cli, frames, gathering, production, writing
from glasslib.book import keys, notebooks, running
from glasslib.book.page import _injected as find_injected
from glasslib.studies import productions

REPOSITORY = Path(__file__).parents[1]
FIRST = """preset: str = "book"  # size of the run
seed: int = 1
kT: float = 0.5  # [0, 10] k_B T / ε
target: str = "C_B"  # {C_B, propensity}
unit: str = ""  # called like a column of the table
"""
WORK = """from glasslib import book
book.setup("1-test/page", preset, globals())
if kT == 9.0 and seed < 3 and (book.root() / "broken").exists():
    [][1]
book.record_new("Fig 1", "seed plus T", seed + kT)
"""
SWEEP = """name: tiny
pages:
- page: 1/page
  preset: smoke
  seeds: {seeds}
  grid: {{kT: [{temperatures}]}}
"""
needs_snakemake = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None,
    reason="snakemake is not installed: pip install -e '.[batch]'",
)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A tiny repository of one chapter with one page, and the book's workflow."""
    root = tmp_path / "clone"
    (root / "notebooks" / "1-test").mkdir(parents=True)
    (root / "data" / "1-test").mkdir(parents=True)
    (root / "data" / "1-test" / "a.txt").write_text("data")
    toc = "format: jb-book\nroot: intro\nchapters:\n- file: notebooks/1-test/page\n"
    (root / "_toc.yml").write_text(toc)
    shutil.copytree(REPOSITORY / "workflow", root / "workflow")
    write_page(root, FIRST, WORK)
    write_sweep(root, 3, "0.5, 9")
    monkeypatch.chdir(root)
    monkeypatch.delenv("GLASSLIB_DATA", raising=False)
    return root


def write_page(root, *cells):
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    page = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    page.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    page.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(page, root / "notebooks" / "1-test" / "page.ipynb")


def write_sweep(root, seeds, temperatures):
    text = SWEEP.format(seeds=seeds, temperatures=temperatures)
    (root / "sweep.yaml").write_text(text)


def command(*arguments):
    return [sys.executable, "-m", "glasslib.cli", *map(str, arguments)]


def environment():
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def call(*arguments, cwd=None, **options):
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(), capture_output=True, text=True, **options
    )


def finish(folder, name, values, key=None):
    """A finished run, without running anything."""
    page, path = notebooks.find_page("1-test/page")
    checked = notebooks.check_parameters(page, notebooks.parameters(path), values)
    (folder / name).mkdir(parents=True)
    shutil.copy(path, folder / name / "page.ipynb")
    content = {"page": page, "key": key or keys.run_key(page, path, checked), "records": []}
    book.write_json(folder / name / "results.json", content)


# ------------------------------------------------------------------------------- sweeps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pages: [{page: 1/pgae}]", "there is no page '1/pgae'"),
        ("pages: [{page: 1/page, grid: {kt: [1]}}]", r"no parameter 'kt'; expected one"),
        ("pages: [{page: 1/page, grid: {kT: [1, 11]}}]", "kT of page .* is 11.0; expected 0 to 10"),
        ("pages: [{page: 1/page, grid: {kT: [hot]}}]", "is 'hot' .*expected float"),
        ("pages: [{page: 1/page, parameters: {target: x}}]", "expected one of C_B, propensity"),
        ("pages: [{page: 1/page, exclude: [{kt: 1}]}]", "no parameter 'kt'"),
        ("pages: [{page: 1/page, seeds: [-1]}]", "seed .* is -1; expected 0"),
        ("pages: [{page: 1/page, seeds: true}]", "seeds is True; expected how many"),
        ("pages: [{page: 1/page, preset: huge}]", "preset is 'huge'"),
        ("pages: [{page: 1/page, grid: {kT: 1}}]", r"grid: kT is 1; expected a list"),
        ("pages: [{page: 1/page, grid: {kT: []}}]", "kT of page .* has no values"),
        ("pages: [{page: 1/page, parameters: {kT: 1}, grid: {kT: [1]}}]", "expected once"),
        ("pages: [{page: 1/page, gird: {}}]", r"has 'gird' \(did you mean grid\?\)"),
        ("pages: [{grid: {}}]", "page is None"),
        ("pags: []", r"has 'pags' \(did you mean pages\?\)"),
        ("pages: 1/page", "pages is '1/page'; expected a list"),
        ("pages: []", "names no pages"),
        ("[1, 2]", "expected names such as name"),
        ("name: [", "is not YAML"),
        ("name: a/b\npages: [{page: 1/page}]", "name is 'a/b'"),
        ("simulations: [{chapter: 9}]", "chapter is 9; expected one of 1-test"),
    ],
)
def test_what_is_misspelt_is_refused_in_one_line(clone, text, message):
    (clone / "sweep.yaml").write_text(text)
    with pytest.raises((notebooks.PageError, ValueError), match=message) as error:
        batches.read_sweep("sweep.yaml")
    assert "\n" not in str(error.value)
    assert not (clone / "runs").exists()


def test_a_grid_is_spelled_out_into_folders_that_read(clone):
    text = """
preset: smoke
pages:
- page: 1/page
  seeds: 2
  grid: {kT: [0.5, 1], target: [C_B, propensity]}
  exclude: [{target: propensity, kT: 1}, {seed: 0, kT: 0.5, target: C_B}]
- page: 1/page
  parameters: {unit: "a b"}
"""
    (clone / "some.yaml").write_text(text)
    sweep, folder = batches.read_sweep("some.yaml")
    assert folder == clone / "runs" / "some"
    one = "1-test/page/smoke,kT={},target={},seed={}"
    expected = [(0.5, "C_B", 1), (0.5, "propensity", 0), (0.5, "propensity", 1)]
    expected = [one.format(*v) for v in [*expected, (1.0, "C_B", 0), (1.0, "C_B", 1)]]
    assert list(sweep.runs)[:5] == expected
    (last,) = list(sweep.runs)[5:]
    assert last.startswith("1-test/page/smoke,unit=a_b~")
    assert sweep.runs[one.format(1.0, "C_B", 0)]["values"] == {
        "preset": "smoke", "kT": 1.0, "target": "C_B", "seed": 0,
    }  # fmt: skip


def test_names_of_folders_differ_where_values_do():
    values = [
        1, 1.0, "1", "one", True, "True", None, "None", [1, 2], [[1], [2]], ["A", "B"], "A+B",
        "a b", "a_b", "x" * 300, "x" * 301, {"a": 1}, "../../etc", -1e-9, [1e300] * 40,
    ]  # fmt: skip
    names = [notebooks.name_values({"v": value}) for value in values]
    assert len(set(names)) == len(names)
    assert names[:4] == ["v=1", "v=1.0", names[2], "v=one"]
    assert names[10] == "v=[A+B]"
    for name in names:
        assert "/" not in name
        assert " " not in name
        assert len(name) < 60
    long = notebooks.name_run("book", {f"parameter{k}": "x" * 30 for k in range(9)})
    assert len(long.encode()) < 200


def test_adding_a_value_adds_only_its_runs(clone):
    sweep, folder = batches.read_sweep("sweep.yaml")
    for name, run in sweep.runs.items():
        finish(folder, name, run["values"])
    write_sweep(clone, 3, "0.5, 9, 2.5")
    made = batches.plan(*batches.read_sweep("sweep.yaml"))
    missing = [name for name, run in made["runs"].items() if run["state"] == "missing"]
    assert missing == [f"1-test/page/smoke,kT=2.5,seed={s}" for s in range(3)]
    assert [run["state"] for run in made["runs"].values()].count("finished") == 6


def test_what_has_changed_runs_again(clone, monkeypatch):
    sweep, folder = batches.read_sweep("sweep.yaml")
    for name, run in sweep.runs.items():
        finish(folder, name, run["values"])

    def states():
        return {run["state"] for run in batches.plan(sweep, folder)["runs"].values()}

    assert states() == {"finished"}
    with monkeypatch.context() as other:
        other.setattr(keys, "code_digest", lambda: "other code")
        assert states() == {"stale"}
    (clone / "data" / "1-test" / "a.txt").write_text("other data")
    assert states() == {"stale"}
    (clone / "data" / "1-test" / "a.txt").write_text("data")
    assert states() == {"finished"}
    write_page(clone, FIRST, WORK + "1\n")
    made = batches.plan(sweep, folder)
    assert {run["state"] for run in made["runs"].values()} == {"stale"}
    batches.write_plan(made, folder)
    assert list((folder / "done").iterdir()) == []


# --------------------------------------------------------------------------- simulations


def fake_jobs(folder, *, seed=0, n=10):
    def job(c):
        path = folder / f"liquid-{c}.gsd"
        return production.Job(partial(write_fake, path, n, seed=seed), ((path, 1, 1.0),))

    return [job(c) for c in range(3)]


def write_fake(path, n, *, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{n} {seed}")


@pytest.fixture
def liquids(clone, monkeypatch):
    """The clone's chapter simulates three liquids."""
    monkeypatch.setattr(productions, "CHAPTERS", {"1": fake_jobs})
    page = clone / "notebooks" / "1-test" / "page.ipynb"
    text = page.read_text().replace("unit: str", "n: int = 10  # [1, 100]\\nunit: str")
    (clone / "notebooks" / "1-test" / "simulation.ipynb").write_text(text)
    sweep = (clone / "sweep.yaml").read_text()
    (clone / "sweep.yaml").write_text(sweep + "simulations: [{chapter: 1, parameters: {n: 20}}]\n")
    return clone


def test_simulations_come_before_the_pages_that_read_them(liquids):
    (liquids / "data" / "2-other").mkdir()
    sweep, folder = batches.read_sweep("sweep.yaml")
    assert list(sweep.simulations) == [f"1-liquid-{c}" for c in range(3)]
    made = batches.plan(sweep, folder)
    batches.write_plan(made, folder)
    name = "1-test/page/smoke,kT=0.5,seed=0"
    assert batches.read_plan(folder)["runs"][name]["needs"] == list(sweep.simulations)
    assert (folder / "data" / "2-other").resolve() == liquids / "data" / "2-other"
    assert {s["state"] for s in made["simulations"].values()} == {"missing"}

    for one in sweep.simulations:
        batches.simulate(one, made, folder)
    files = sorted((folder / "data" / "1-test").iterdir())
    assert [f.read_text() for f in files] == ["20 1"] * 3
    # as glasslib data leaves them on one machine
    for job in productions.list_jobs("1", liquids / "mine", n=20, seed=1):
        job.make()
    assert [f.read_text() for f in sorted((liquids / "mine").iterdir())] == ["20 1"] * 3
    made = batches.plan(sweep, folder)
    assert {s["state"] for s in made["simulations"].values()} == {"finished"}
    assert not list((liquids / "data" / "1-test").glob("*.gsd")), "the book's data stay as they are"

    files[1].write_text("somebody else's")
    made = batches.plan(sweep, folder)
    states = [s["state"] for s in made["simulations"].values()]
    assert states == ["finished", "stale", "finished"]
    batches.write_plan(made, folder)
    assert [p.stem for p in sorted((folder / "simulations").iterdir())] == [
        "1-liquid-0", "1-liquid-2",
    ]  # fmt: skip


def test_a_run_depends_on_the_simulations_it_reads_and_on_no_others(liquids):
    text = """name: some
simulations: [{chapter: 1, parameters: {n: 20}}]
pages: [{page: 1/page, preset: smoke, parameters: {seed: 0}}]
"""
    name = "1-test/page/smoke,seed=0"
    (liquids / "sweep.yaml").write_text(text)
    sweep, folder = batches.read_sweep("sweep.yaml")
    made = batches.plan(sweep, folder)
    batches.write_plan(made, folder)
    for one in sweep.simulations:
        batches.simulate(one, made, folder)
    batches.run(name, made, folder)

    def state():
        return batches.plan(sweep, folder)["runs"][name]["state"]

    assert state() == "finished"
    # what another simulation, or a page, leaves beside them is none of its business
    (folder / "data" / "1-test" / "other.gsd").write_text("of another temperature")
    assert state() == "finished"
    (folder / "data" / "1-test" / "liquid-1.gsd").write_text("another liquid")
    assert state() == "stale"


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        ({"T": [1], "n": 10}, ["a"]),
        ({"T": [2, 1], "n": 10}, ["a", "b"]),
        ({"n": 10}, ["a", "b"]),
        ({"T": [3], "n": 10}, ["a", "b"]),  # none fits: better to wait than to miss
        ({"T": [1], "n": 20}, ["a", "b"]),
    ],
)
def test_which_simulations_a_run_waits_for(values, needed):
    simulations = {
        "a": {"chapter": "1-x", "parameters": {"T": [1], "n": 10, "seed": 3}},
        "b": {"chapter": "1-x", "parameters": {"T": [2], "n": 10, "seed": 3}},
        "c": {"chapter": "2-y", "parameters": {"T": [1], "n": 10}},
    }
    assert batches._find_needs(values | {"seed": 0}, {"1-x"}, simulations) == needed


def test_two_simulations_of_one_file_are_refused(liquids):
    text = (liquids / "sweep.yaml").read_text()
    twice = text.replace("parameters: {n: 20}", "grid: {n: [20, 30]}")
    (liquids / "sweep.yaml").write_text(twice)
    with pytest.raises(
        batches.SweepError, match="two simulations write liquid-0.gsd with n=20 and"
    ):
        batches.read_sweep("sweep.yaml")
    (liquids / "sweep.yaml").write_text(text.replace("n: 20}", "n: 20}, grid: {seed: [1]}"))
    assert len(batches.read_sweep("sweep.yaml")[0].simulations) == 3


def test_jobs_of_a_chapter_by_number(liquids, capsys):
    assert cli.main(["data", "1", "--list"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "job 1 of 3: liquid-1, 0 % finished"
    assert cli.main(["data", "1", "--job", "2"]) == 0
    assert sorted(p.name for p in (liquids / "data" / "1-test").iterdir()) == [
        "a.txt", "liquid-2.gsd",
    ]  # fmt: skip
    assert cli.main(["data", "1", "--job", "3"]) == 2
    assert "--job is 3; expected 0 to 2" in capsys.readouterr().err


@pytest.mark.parametrize("chapter", ["1", "2", "3", "4"])
def test_committed_data_are_those_of_the_jobs(chapter):
    jobs = batches.list_chapter_jobs(book.chapter_name(chapter))
    names = [path for job in jobs for path, _, _ in job.writes]
    assert len(set(names)) == len(names)
    assert all(path.is_file() for path in names)
    soft = {job.soft for job in jobs}
    assert soft == {"1": {True}, "2": {True, False}, "3": {True, False}, "4": {False}}[chapter]


@pytest.mark.slow
@pytest.mark.parametrize("k", [0, 4])
def test_a_finished_job_of_committed_data_is_read_and_left_as_it_is(k, capsys):
    """Times on the time step, .999 for 1, are those that were asked for."""
    job = batches.list_chapter_jobs(book.chapter_name(1))[k]
    assert job.done() >= job.cost
    before = [path.stat().st_mtime_ns for path, _, _ in job.writes]
    assert cli.main(["data", "1", "--job", str(k)]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path, _, _ in job.writes] == before


def test_one_row_of_configurations_does_for_all_temperatures():
    options = {"system": "kob-andersen-force-shifted", "n": 100, "temperatures": [0.8, 0.64]}
    jobs = productions.list_jobs("5", Path("x"), configurations=[[1, 2]], **options)
    names = [productions.name_job(job) for job in jobs]
    assert names == [f"kob-andersen-force-shifted-{T}-{m}" for T in (0.8, 0.64) for m in (0, 1)]
    with pytest.raises(ValueError, match="configurations has 3 rows and temperatures 2"):
        productions.list_jobs("5", Path("x"), configurations=[[1]] * 3, **options)


# ------------------------------------------------------------------------------ Snakemake


def wait_for_runs(folder, n, process, seconds=600):
    begin = time.monotonic()
    while len(list(folder.glob("1-test/page/*/results.json"))) < n:
        assert process.poll() is None, process.communicate()[1][-2000:]
        assert time.monotonic() - begin < seconds
        time.sleep(0.1)


@needs_snakemake
@pytest.mark.slow
def test_a_sweep_is_killed_three_times_and_two_runs_fail(clone):
    write_sweep(clone, 12, "0.5, 9")
    (clone / "broken").write_text("seeds 0, 1 and 2 at kT = 9 fail")
    (clone / "sweep.yaml").write_text(
        (clone / "sweep.yaml").read_text() + "  exclude: [{kT: 9, seed: 2}, {kT: 9, seed: 11}]\n"
        "- {page: 1/page, preset: smoke, parameters: {seed: 50}}\n"
        "- {page: 1/page, preset: smoke, parameters: {seed: 51}}\n"
    )
    folder = clone / "runs" / "tiny"
    arguments = command("batch", "sweep.yaml", "--jobs", "2")
    seen = {}
    for n in (2, 5, 9):
        process = subprocess.Popen(
            arguments, cwd=clone, env=environment(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for_runs(folder, n, process)
        if n == 2:  # one sweep, one writer; the second is told who the first is
            second = call("batch", "sweep.yaml", cwd=clone)
            assert f"is being written by process {process.pid} on" in second.stderr
            assert len(second.stderr.strip().splitlines()) == 1
        process.kill()
        process.communicate()
        for file in seen:  # what was finished stays as it was
            assert file.stat().st_mtime_ns == seen[file]
        seen = {f: f.stat().st_mtime_ns for f in folder.glob("1-test/page/*/results.json")}
    done = call("batch", "sweep.yaml", "--jobs", "2", cwd=clone)
    assert done.returncode == 1
    assert "2 of " in done.stderr
    assert "kT=9.0,seed=0: IndexError: list index out of range; read page.failed.ipynb" in (
        done.stderr
    )
    assert "Traceback" not in done.stderr
    assert "24 runs" in done.stdout
    kept = list(folder.glob("1-test/page/*/page.failed.ipynb"))
    assert [f.parent.name for f in sorted(kept)] == [f"smoke,kT=9.0,seed={s}" for s in (0, 1)]
    assert all(f.stat().st_mtime_ns == seen[f] for f in seen)

    (clone / "broken").unlink()
    last = call("batch", "sweep.yaml", "--jobs", "2", cwd=clone)
    assert last.returncode == 0, last.stderr
    assert "24 runs: 22 finished, 0 stale, 2 missing" in last.stdout
    rows = gathering.gather([folder]).rows
    # undisturbed, each gives its seed plus its temperature
    wanted = {(s, T): s + T for s in range(12) for T in (0.5, 9.0) if (s, T) not in _LEFT_OUT}
    wanted |= {(50, 0.5): 50.5, (51, 0.5): 51.5}
    assert {(row["seed"], row["kT"]): row["here"] for row in rows} == wanted
    assert not list(folder.rglob("*.partial"))
    made = batches.plan(*batches.read_sweep("sweep.yaml"))
    assert [run["state"] for run in made["runs"].values()] == ["finished"] * 24


_LEFT_OUT = {(2, 9.0), (11, 9.0)}


SIMULATED = """name: real
simulations:
- {{chapter: 2, parameters: {parameters}, grid: {{states: {states}}}}}
pages:
- {{page: 2/descriptors, preset: paper, parameters: {parameters}, grid: {{states: {states}}}}}
"""


@pytest.fixture
def liquid_clone(tmp_path, monkeypatch):
    """A repository of two real pages of chapter 2, without any data."""
    root = tmp_path / "clone"
    root.mkdir()
    for folder in ("notebooks/2-autoencoder-3d", "workflow"):
        shutil.copytree(REPOSITORY / folder, root / folder)
    (root / "data").mkdir()
    toc = "format: jb-book\nroot: intro\nchapters:\n"
    for page in ("simulation", "descriptors"):
        toc += f"- file: notebooks/2-autoencoder-3d/{page}\n"
    (root / "_toc.yml").write_text(toc)
    monkeypatch.chdir(root)
    monkeypatch.delenv("GLASSLIB_DATA", raising=False)
    return root


def find_pieces(folder):
    """Finished draws of configurations that are under way, and when each was written."""
    pieces = {}
    for path in folder.rglob("*.parts/[0-9]*/[0-9]*-of-*"):
        with contextlib.suppress(FileNotFoundError):  # put together meanwhile
            pieces[path] = path.stat().st_mtime_ns
    return pieces


def same_particles(one, other):
    """Whether two labelled configurations are equal, bit by bit."""
    a, b = frames.read(one)[0], frames.read(other)[0]
    skipped = {"provenance"}
    keys = set(a.log) | set(b.log)
    return np.array_equal(a.particles.position, b.particles.position) and all(
        np.array_equal(a.log[key], b.log[key]) for key in keys if not skipped & set(key.split("/"))
    )


@needs_snakemake
@pytest.mark.slow
def test_a_sweep_over_temperatures_simulates_what_its_pages_read(liquid_clone):
    """Two Kob-Andersen liquids by a real engine, killed among the draws of one, then gone on."""
    size = "{system: kob-andersen, n: 200, replicas: 5, configurations: 1}"
    text = SIMULATED.format(parameters=size, states="[[1.5], [2.0]]")
    (liquid_clone / "sweep.yaml").write_text(text)
    arguments = command("batch", "sweep.yaml", "--jobs", "2")
    data = liquid_clone / "runs" / "real" / "data" / "2-autoencoder-3d"
    options = {"cwd": liquid_clone, "env": environment(), "text": True}
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    begin = time.monotonic()
    while len(before := find_pieces(data / "isoconfigurational")) < 2:
        assert process.poll() is None, process.communicate()[1][-2000:]
        assert time.monotonic() - begin < 600
        time.sleep(0.1)
    process.kill()
    process.communicate()
    made = batches.plan(*batches.read_sweep("sweep.yaml"))
    assert "missing" in {one["state"] for one in made["simulations"].values()}

    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    while process.poll() is None:  # what was drawn is not drawn again
        now = find_pieces(data / "isoconfigurational")
        assert all(now[path] == before[path] for path in now if path in before)
        time.sleep(0.1)
    assert process.returncode == 0, process.stdout.read()
    made = batches.plan(*batches.read_sweep("sweep.yaml"))
    for kind in ("simulations", "runs"):
        assert [one["state"] for one in made[kind].values()] == ["finished"] * 2
    rows = gathering.gather([liquid_clone / "runs" / "real"]).rows
    assert {row["states"] for row in rows} == {"[1.5]", "[2.0]"}
    assert {row["n"] for row in rows} == {200}

    # undisturbed, as glasslib data makes them
    simulation = defaults_of(batches.find_simulation_parameters("2-autoencoder-3d"))
    values = simulation | {
        "system": "kob-andersen", "n": 200, "replicas": 5, "configurations": 1, "states": [1.5],
    }  # fmt: skip
    (job,) = productions.list_jobs("2", liquid_clone / "alone", **values)
    job.make()
    for path, _, _ in job.writes:
        assert same_particles(path, data / path.parent.name / path.name)


def defaults_of(declared):
    return {name: parameter.default for name, parameter in declared.items()}


@needs_snakemake
@pytest.mark.slow
def test_ten_thousand_runs_are_planned_in_a_minute_and_a_gigabyte(clone):
    write_sweep(clone, 1000, ", ".join(map(str, range(10))))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = call("batch", "sweep.yaml", "--dry-run", cwd=clone)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "10000 runs: 0 finished, 0 stale, 10000 missing" in done.stdout
    assert "nothing was run" in done.stdout
    assert after.ru_utime - before.ru_utime < 60  # of the processor: the machine may be busy
    assert after.ru_maxrss < 1024**2  # KiB
    assert not (clone / "runs" / "tiny" / "1-test").exists()


@needs_snakemake
def test_a_snakefile_is_short_and_profiles_are_those_of_snakemake(clone):
    assert len((REPOSITORY / "workflow" / "Snakefile").read_text().splitlines()) < 60
    with pytest.raises(batches.SweepError, match="no profile 'lsf'; expected one of laptop, slurm"):
        batches.batch("sweep.yaml", profile="lsf")
    with pytest.raises(batches.SweepError, match="--jobs is 0"):
        batches.batch("sweep.yaml", jobs=0)


def missing_slurm():
    """Why no SLURM can be started here; empty where one can."""
    for name in ("slurmctld", "slurmd", "munged", "sbatch", "unshare"):
        if shutil.which(name) is None:
            return f"{name} is not installed (Debian: slurm-wlm, munge)"
    for module in ("snakemake", "snakemake_executor_plugin_slurm"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed: pip install -e '.[batch]'"
    if os.geteuid() != 0:
        return "only root may start a node in namespaces of its own"
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True)
    return "no namespaces here" if done.returncode else ""


CANCEL = """
import subprocess, sys, time
batch = subprocess.Popen(sys.argv[1:])
def queue():
    done = subprocess.run(["squeue", "--noheader", "--format=%i"], capture_output=True, text=True)
    return done.stdout.split()
while not queue() and batch.poll() is None:
    time.sleep(0.2)
time.sleep(1)
subprocess.run(["scancel", "--full", *queue()])
sys.exit(batch.wait())
"""


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_slurm()), reason=missing_slurm() or "-")
def test_a_sweep_on_slurm_goes_on_after_its_jobs_were_cancelled(clone, tmp_path):
    """One node of a real SLURM, without accounting; the book's profile but for that."""
    write_sweep(clone, 3, "0.5")
    small_node(clone)
    node = [str(REPOSITORY / "tests" / "slurm_node.sh"), str(tmp_path)]
    batch = command("batch", "sweep.yaml", "--profile", "slurm")
    options = {"cwd": clone, "env": environment(), "capture_output": True, "text": True}
    first = subprocess.run([*node, sys.executable, "-c", CANCEL, *batch], **options)
    if first.returncode == 75:
        pytest.skip(f"the node did not come up: {first.stderr[-500:]}")
    assert first.returncode == 1, first.stderr
    assert "the same command tries them again" in first.stderr
    second = subprocess.run([*node, *batch], **options)
    assert second.returncode == 0, second.stdout + second.stderr
    rows = gathering.gather([clone / "runs" / "tiny"]).rows
    assert sorted(row["here"] for row in rows) == [0.5, 1.5, 2.5]


def small_node(clone):
    """The book's profile for SLURM, cut to a node without accounting and without a GPU."""
    profile = clone / "workflow" / "profiles" / "slurm" / "config.yaml"
    text = profile.read_text()
    for old, new in {
        "cores: 8 ": "cores: 2 ", "mem_mb: 4000": "mem_mb: 500", "latency-wait: 30":
        "latency-wait: 5", "pages=20": "pages=3",
    }.items():  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    text += "slurm-status-command: squeue\nslurm-init-seconds-before-status-checks: 3\n"
    profile.write_text(text)


PREEMPT = """
import json, subprocess, sys, time
from pathlib import Path
def say(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout
def find_pieces():
    found = Path(folder).rglob("*.parts/[0-9]*/[0-9]*-of-*")
    return {str(path): path.stat().st_mtime_ns for path in found}
folder, told, *command = sys.argv[1:]
batch = subprocess.Popen(command)
while batch.poll() is None and len(before := find_pieces()) < 3:
    time.sleep(0.1)
say("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
kept = {}
while batch.poll() is None:
    try:
        now = find_pieces()
    except FileNotFoundError:  # put together at this moment
        now = {}
    kept |= {path: now[path] == before[path] for path in now if path in before}
    time.sleep(0.5)
jobs = say("scontrol", "show", "job", "--oneliner").splitlines()
Path(told).write_text(json.dumps({"kept": list(kept.values()), "jobs": jobs}))
sys.exit(batch.wait())
"""


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_slurm()), reason=missing_slurm() or "-")
def test_a_simulation_that_slurm_preempts_goes_back_into_the_queue_and_goes_on(
    liquid_clone, tmp_path
):
    size = "{system: hard-spheres, n: 200, replicas: 12, configurations: 1}"
    text = SIMULATED.format(parameters=size, states="[[0.4]]").split("pages:")[0]
    (liquid_clone / "sweep.yaml").write_text(text)
    small_node(liquid_clone)
    folder, told = liquid_clone / "runs" / "real", tmp_path / "told.json"
    done = subprocess.run(
        [str(REPOSITORY / "tests" / "slurm_node.sh"), str(tmp_path), sys.executable, "-c", PREEMPT,
         str(folder / "data" / "2-autoencoder-3d" / "isoconfigurational"), str(told),
         *command("batch", "sweep.yaml", "--profile", "slurm")],
        cwd=liquid_clone, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode == 75:
        pytest.skip(f"the node did not come up: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(told.read_text())
    assert len(said["kept"]) >= 3
    assert all(said["kept"]), "draws that were finished were drawn again"
    (mine,) = [job for job in said["jobs"] if "Partition=cpu" in job]
    assert "Restarts=1" in mine
    assert "JobState=COMPLETED" in mine
    made = batches.plan(*batches.read_sweep("sweep.yaml"))
    assert {one["state"] for one in made["simulations"].values()} == {"finished"}


# -------------------------------------------------------------------------------- gathering


def results(folder, seed, here, **more):
    record = {"exhibit": "Fig 1", "quantity": "x", "here": here, "low": None, "high": None,
              "paper": None, "unit": "ε", "verdict": "new here", "note": "a, \"b\"\nc"}  # fmt: skip
    content = {
        "page": "1-test/page", "glasslib": "0", "seconds": 1.5, "records": [record],
        "parameters": {"seed": seed, "kT": 0.5, "radii": [1, 2], "unit": "m", "label": None} | more,
    }  # fmt: skip
    book.write_json(folder / "results.json", content)


def test_a_row_for_every_number_and_a_column_for_every_parameter(tmp_path, capsys):
    results(tmp_path / "a" / "seed=0", 0, 1.0)
    results(tmp_path / "a" / "seed=1", 1, 2.0, fast=True)
    (tmp_path / "a" / "seed=2").mkdir()
    (tmp_path / "a" / "seed=2" / "page.failed.ipynb").write_text("{}")
    (tmp_path / "a" / "seed=3").mkdir()
    (tmp_path / "a" / "seed=3" / "results.json").write_text('{"half')
    out = tmp_path / "table.csv"
    assert cli.main(["gather", str(tmp_path / "a"), "-o", str(out)]) == 0
    assert "2 numbers of 2 runs, 1 failed, 1 unreadable" in capsys.readouterr().out
    rows = gathering.read_table(out)
    assert [row["run"] for row in rows] == ["seed=0", "seed=1"]
    assert [row["here"] for row in rows] == [1.0, 2.0]
    assert rows[0]["unit"] == "ε"
    assert rows[0]["parameter_unit"] == "m"
    assert rows[0]["radii"] == "[1, 2]"
    assert rows[0]["note"] == 'a, "b"\nc'
    assert [row["fast"] for row in rows] == [None, True]
    assert gathering.find_varied(rows) == {"seed": [0, 1], "fast": [None, True]}
    for name, message in (
        ("table.txt", "ends in .csv or .parquet"),
        ("t.csv", "no run is finished"),
    ):
        folder = tmp_path / "a" if name == "table.txt" else tmp_path / "a" / "seed=2"
        assert cli.main(["gather", str(folder), "-o", str(tmp_path / name)]) == 2
        assert message in capsys.readouterr().err


def test_parquet_is_as_csv(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[parquet]'")
    results(tmp_path / "a" / "seed=0", 0, 1.0)
    results(tmp_path / "a" / "seed=1", 1, 2.0, mixed="text")
    results(tmp_path / "a" / "seed=2", 2, 2.0, mixed=3)
    rows = gathering.gather([tmp_path / "a"]).rows
    gathering.write_table(tmp_path / "t.parquet", rows)
    read = gathering.read_table(tmp_path / "t.parquet")
    assert [r["here"] for r in read] == [1.0, 2.0, 2.0]
    assert [r["mixed"] for r in read] == [None, "text", "3"]


def test_groups_have_means_and_intervals(tmp_path):
    rows = [{"here": h, "low": None, "high": None, "kT": T, "seed": s}
            for T, s, h in ((1, 0, 1.0), (1, 1, 3.0), (2, 0, 5.0))]  # fmt: skip
    one, two = gathering.group(rows, by=["kT"])
    assert (one.values, one.n, one.mean) == ({"kT": 1}, 2, 2.0)
    assert one.low == pytest.approx(2 - 12.706, abs=1e-3)  # Student's t of one degree of freedom
    assert (two.n, two.mean) == (1, 5.0)
    assert two.low != two.low
    with pytest.raises(ValueError, match="varies in seed too"):
        gathering.group(rows, by=["kT"], over=[])


# ------------------------------------------------------------------------ runs by other tools


def papermill(clone, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "papermill", "notebooks/1-test/page.ipynb", "out.ipynb",
         "--no-progress-bar", *arguments],
        cwd=clone, env=environment(), capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_papermill_alone_keeps_runs_apart_and_stops_at_a_misspelt_name(clone):
    for seed in (3, 4):
        assert papermill(clone, "-p", "seed", seed.__str__()).returncode == 0
    folder = clone / "_build" / "interactive" / "1-test" / "page"
    found = {p.parent.name: json.loads(p.read_text()) for p in folder.glob("*/results.json")}
    assert {name: c["parameters"]["seed"] for name, c in found.items()} == {
        "book,seed=3": 3, "book,seed=4": 4,
    }  # fmt: skip
    done = papermill(clone, "-p", "sede", "3")
    assert done.returncode
    assert (
        "ValueError: page 1-test/page has no parameter 'sede' (did you mean seed?)" in done.stderr
    )
    assert len(list(folder.glob("*/results.json"))) == 2, "nothing was recorded"
    with writing.claim(folder / "book,seed=3"):
        done = papermill(clone, "-p", "seed", "3")
    assert f"is being written by process {os.getpid()}" in done.stderr


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["", "a = 1", "# Parameters\na = 2\nb = 3\n", "c = 4"], ["b"]),
        (["", "a: int = 1", "%matplotlib inline", "# Parameters\na = 2\n"], []),
        (["", "a = 1"], []),
    ],
)
def test_names_that_papermill_alone_has_set(cells, expected):
    assert find_injected(cells) == expected


def test_an_output_of_another_run_is_not_overwritten(clone, monkeypatch):
    monkeypatch.setattr(keys, "code_digest", lambda: "code")
    out = clone / "out"
    shown = {"preset": "book", "seed": 1, "kT": 0.5, "target": "C_B", "unit": ""}
    book.write_json(out / "results.json", {"page": "1-test/page", "parameters": shown})
    before = (out / "results.json").read_bytes()
    with pytest.raises(
        notebooks.PageError, match="holds a run of 1-test/page with seed=1; expected"
    ):
        running.run_page("1-test/page", parameters={"seed": 2}, output=out)
    book.write_json(out / "results.json", {"page": "1-test/other", "parameters": shown})
    with pytest.raises(notebooks.PageError, match="holds a run of 1-test/other; expected"):
        running.run_page("1-test/page", output=out)
    (out / "results.json").unlink()
    failed = nbformat.v4.new_notebook(metadata={"papermill": {"parameters": {"kT": 2.0}}})
    nbformat.write(failed, out / "page.failed.ipynb")
    with pytest.raises(notebooks.PageError, match="1-test/page with kT=2.0"):
        running.run_page("1-test/page", output=out)
    assert before


def test_a_failure_on_own_data_leaves_the_books_results(clone, monkeypatch, tmp_path):
    reads = "path = next(iter(book.data(1).glob('*.gsd')))"
    write_page(clone, FIRST, WORK + reads)
    book_run = running.default_directory("1-test/page", "book", {})
    book.write_json(book_run / "results.json", {"finished": True})
    (tmp_path / "mine" / "1-test").mkdir(parents=True)
    (tmp_path / "mine" / "1-test" / "some.txt").write_text("not what the page reads")
    monkeypatch.setenv("GLASSLIB_DATA", str(tmp_path / "mine"))
    with pytest.raises(running.PageFailed, match="lack what this page reads") as error:
        running.run_page("1-test/page")
    assert error.value.error.count("\n") == 0
    assert "StopIteration" not in error.value.error
    assert "glasslib data 1" in error.value.error
    assert (book_run / "results.json").is_file()
    assert error.value.notebook.parent.name.startswith("book,data=mine~")
    (tmp_path / "mine" / "1-test" / "some.txt").unlink()
    with pytest.raises(running.PageFailed, match="1-test holds no data; expected what"):
        running.run_page("1-test/page")


# ------------------------------------------------------------------------------ small things


def test_pairs_with_an_equals_sign():
    split = cli._split_pairs(["run", "1/page", "-p", "seed=3", "-p", "label", "a=b", "x=1"])
    assert split == ["run", "1/page", "-p", "seed", "3", "-p", "label", "a=b", "x=1"]


def test_a_closed_pipe_is_no_error():
    text = f"{' '.join(command('results', '--json'))} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", text], cwd=REPOSITORY, env=environment(), capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("141", "0")


def test_make_data_asks_for_its_chapter_before_it_installs_anything(tmp_path):
    done = subprocess.run(
        ["make", "data", f"VENV={tmp_path / 'venv'}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "no chapter given; expected a number: make data CHAPTER=1" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_copies_to_play_with(clone):
    from glasslib.book import copying

    assert copying.copy_pages() == []
    copy = clone / "work" / "1-test" / "page.ipynb"
    page = nbformat.read(copy, 4)
    page.cells[1].source = "mine"
    nbformat.write(page, copy)
    assert copying.copy_pages() == []  # the page is as it was
    write_page(clone, FIRST, WORK + "2\n")
    assert copying.copy_pages() == ["1-test/page"]
    assert "mine" in copy.read_text()
    copy.unlink()
    assert copying.copy_pages() == []
    assert nbformat.read(copy, 4).cells[1].source.endswith("2\n")
    write_page(clone, FIRST, WORK + "3\n")  # an untouched copy follows
    assert copying.copy_pages() == []
    assert nbformat.read(copy, 4).cells[1].source.endswith("3\n")


SLOW = """
import time
from functools import partial
from glasslib import production
from pathlib import Path
import sys
if __name__ == "__main__":
    path = Path(sys.argv[1])
    print("running", flush=True)
    try:
        production.produce([production.Job(partial(time.sleep, 600), ((path, 1, 1.0),))], n_jobs=1)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def test_ctrl_c_ends_workers_without_a_traceback(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path / "x")], env=environment(), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # a shell's background job ignores it, and its children with it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout.readline() == "running\n"
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    begin = time.monotonic()
    while len(Path(children).read_text().split()) < 2 and time.monotonic() - begin < 60:
        time.sleep(0.1)  # a worker and loky's tracker
    for _ in range(10):  # one that comes while workers are begun is not heard
        time.sleep(3)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            out, err = process.communicate(timeout=30)
            break
    assert "stopped" in out
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


def test_a_run_counts_once_however_it_is_reached(tmp_path):
    record = {"exhibit": "Fig 1", "quantity": "r", "here": 0.5, "verdict": "new here"}
    for sweep in ("a", "b"):
        place = tmp_path / sweep / "seed=0"
        place.mkdir(parents=True)
        content = {"page": "1-test/page", "parameters": {"seed": 2**70}, "records": [record]}
        (place / "results.json").write_text(json.dumps(content))
    both = gathering.gather([tmp_path / "a", tmp_path / "b"])
    assert [r["run"] for r in both.rows] == ["a/seed=0", "b/seed=0"]
    again = gathering.gather([tmp_path, tmp_path / "a", tmp_path / "b" / "seed=0"])
    assert (again.runs, len(again.rows)) == (2, 2)
    # a number that no column of a table holds becomes a text
    assert gathering._even([2**70, 1, None]) == [str(2**70), "1", None]
    assert gathering._even([2**40, 1]) == [2**40, 1]
