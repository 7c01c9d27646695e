"""Kills, races and full disks: what they leave, and what the next run makes of it."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from oracles import refuses, same

from glasslib import cli, frames, production, simulate, systems, writing
from glasslib.book import running
from glasslib.models import files

DISKS = systems.get("hard-disks").with_(n=60)
LONG = {"n_replicas": 4, "sample_times": [0.1, 4.0], "seed": 2}


def start(code, *arguments):
    """A Python process of its own; its group can be killed with it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip


def wait_for(condition, process=None, seconds=600):
    """For as long as a loaded machine may take."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, "it never came to that"
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended early: {process.communicate()[1][-2000:]}")
        time.sleep(0.005)


def gone(pid):
    """Whether a process has ended (one that nobody waits for counts as ended)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# ------------------------------------------------------------------------------------ orphans


def test_what_a_killed_writer_leaves_is_swept_at_the_next_write(tmp_path):
    path = tmp_path / "x.gsd"
    frame = frames.build(np.zeros((1, 3)), 5.0, [0])
    code = """
import sys, time
from glasslib import frames
with frames.atomic(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(600)
"""
    process = start(code, path)
    assert process.stdout.readline() == "writing\n"
    (left,) = tmp_path.iterdir()
    frames.write(path, frame)
    assert left.exists()  # its writer is alive
    kill(process)
    frames.write(path, frame)
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_the_dead_have_left_is_swept(tmp_path):
    own = writing.mark().split("-")[1]
    old, pid = time.time() - 2 * writing.DAY, dead_pid()
    kept = [
        ".x.gsd.lock", f".x.gsd.{os.getpid()}-{own}.abc.gsd", f".x.gsd.{pid}-00000000.abc.gsd",
        ".x.gsd.abcd.gsd", f".y.gsd.{pid}-{own}.abc.gsd", "x.gsd.parts",
    ]  # fmt: skip
    left = [f".x.gsd.{pid}-{own}.abc.gsd", ".x.gsd.a1b2.gsd", f".x.gsd.{pid}-11111111.abc.gsd"]
    for name in kept + left:
        (tmp_path / name).write_text("")
    for name in left[1:]:
        os.utime(tmp_path / name, (old, old))
    (tmp_path / f".x.gsd.{pid}.partial" / "inside").mkdir(parents=True)
    writing.sweep(tmp_path / "x.gsd")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)


def test_a_dead_writer_that_nobody_has_waited_for_is_dead(tmp_path):
    own = writing.mark().split("-")[1]
    process = subprocess.Popen([sys.executable, "-c", ""])
    wait_for(lambda: gone(process.pid))  # it has ended and is not waited for
    (tmp_path / f".x.gsd.{process.pid}-{own}.abc.gsd").write_text("")
    writing.sweep(tmp_path / "x.gsd")
    assert list(tmp_path.iterdir()) == []
    process.wait()


# -------------------------------------------------------------------------------------- locks


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    path = tmp_path / "x.gsd"
    with writing.claim(path):
        owner = json.loads((tmp_path / ".x.gsd.lock").read_text())
        assert owner["pid"] == os.getpid()

        def second():
            with writing.claim(path):
                pass

        refuses(second, f"x.gsd is being written by process {os.getpid()} on {owner['host']} since")
        with writing.claim(tmp_path / "y.gsd"):
            pass
    assert list(tmp_path.iterdir()) == []
    second()


def test_who_has_just_got_a_lock_is_waited_for_until_it_says_its_name(tmp_path):
    import fcntl
    import threading

    with open(tmp_path / ".x.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def name():
            time.sleep(0.3)
            lock.write(json.dumps({"pid": 4711, "host": "there", "since": "noon"}))
            lock.flush()

        writer = threading.Thread(target=name)
        writer.start()
        refuses(lambda: writing.claim(tmp_path / "x").__enter__(), "process 4711 on there")
        writer.join()
        lock.truncate(0)
        refuses(lambda: writing.claim(tmp_path / "x").__enter__(), "written by another process")


def test_the_lock_of_a_killed_writer_is_no_lock(tmp_path):
    code = """
import sys, time
from glasslib import writing
with writing.claim(sys.argv[1]):
    print("writing", flush=True)
    time.sleep(600)
"""
    process = start(code, tmp_path / "x")
    assert process.stdout.readline() == "writing\n"
    refuses(lambda: writing.claim(tmp_path / "x").__enter__(), f"process {process.pid} on")
    kill(process)
    assert (tmp_path / ".x.lock").exists()
    with writing.claim(tmp_path / "x"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_locks_of_the_file_system_runs_go_on(tmp_path, monkeypatch):
    import fcntl

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with writing.claim(tmp_path / "x"):
        (tmp_path / "x").write_text("")
    assert (tmp_path / "x").exists()


RACE = """
import sys
from glasslib import frames, simulate, systems
disks = systems.get("hard-disks").with_(n=60)
(start,) = frames.read(sys.argv[1])
try:
    simulate.isoconfigurational(start, disks, path=sys.argv[2], n_replicas=4,
                                sample_times=[0.1, 4.0], seed=2)
    print("made")
except ValueError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def disks(tmp_path_factory):
    """A liquid of disks, on disk, and its ensemble made without interruption."""
    options = {"eta": 0.5, "sample_times": [0.1, 0.5], "n_windows": 1, "n_thermo": 1}
    frame = simulate.equilibrated(DISKS, **options)
    (whole,) = simulate.isoconfigurational(frame, DISKS, **LONG)
    return frame, frames.write(tmp_path_factory.mktemp("disks") / "start.gsd", frame), whole


def test_of_two_runs_on_one_path_one_makes_it_and_one_says_so(tmp_path, disks):
    frame, begin, whole = disks
    path = tmp_path / "iso.gsd"
    with writing.claim(path):
        refuses(
            lambda: simulate.isoconfigurational(frame, DISKS, path=path, **LONG),
            f"iso.gsd is being written by process {os.getpid()}",
        )
    told = [p.communicate() for p in [start(RACE, begin, path) for _ in range(2)]]
    assert [error for _, error in told] == ["", ""]
    said = sorted(out.strip() for out, _ in told)
    # where one was done before the other came, that one reads
    assert said[-1] == "made" or said[0] == "made"
    for other in said:
        assert other == "made" or "is being written by process" in other
        assert "\n" not in other
    same(frames.read(path)[0], whole)
    assert list(tmp_path.iterdir()) == [path]


# --------------------------------------------------------------------------------------- kills

TWO = """
import sys
from glasslib import frames, simulate, systems
disks = systems.get("hard-disks").with_(n=60)
(start,) = frames.read(sys.argv[1])
simulate.isoconfigurational(start, disks, path=sys.argv[2], n_replicas=4,
                            sample_times=[0.1, 4.0], seed=2, n_jobs=2)
"""


def test_killed_with_two_workers_it_resumes(tmp_path, disks):
    frame, begin, whole = disks
    path, parts = tmp_path / "iso.gsd", tmp_path / "iso.gsd.parts"
    process = start(TWO, begin, path)
    wait_for(lambda: list(parts.glob("0000/[0-9]*-of-4.npz")), process)
    kill(process)
    assert not path.exists()
    before = {p: p.stat().st_mtime_ns for p in parts.glob("0000/[0-9]*.npz")}
    assert before

    def untouched(*_):
        assert all(p.stat().st_mtime_ns == t for p, t in before.items() if p.exists())

    options = {**LONG, "path": path, "n_jobs": 2, "progress": untouched}
    (made,) = simulate.isoconfigurational(frame, DISKS, **options)
    same(made, whole)
    assert list(tmp_path.iterdir()) == [path]


PRODUCE = """
import sys
from pathlib import Path
from glasslib import production, systems
disks = systems.get("hard-disks").with_(n=600)
jobs = [production.ensemble_job(disks, 0.5, c, folder=Path(sys.argv[1]), window=40.0, draws=2.0,
                                n_replicas=2, n_times=4) for c in range(2)]
production.produce(jobs, n_jobs=2, poll=0.1)
"""


def test_locks_of_the_dead_are_tidied_and_those_of_the_living_stay(tmp_path):
    path = tmp_path / "x.gsd"
    lock = tmp_path / ".x.gsd.lock"
    lock.write_text(json.dumps({"pid": 2**22 + 1, "host": "here", "since": "then"}))
    writing.tidy(path)
    assert not lock.exists()
    with writing.claim(path):
        writing.tidy(path)
        assert lock.exists()
    assert not lock.exists()
    writing.tidy(tmp_path / "nowhere" / "x.gsd")  # nothing to do


def test_a_killed_production_takes_its_workers_along_and_resumes(tmp_path):
    disks = systems.get("hard-disks").with_(n=600)  # slow enough that both are seen at work
    process = start(PRODUCE, tmp_path)
    locks = [tmp_path / "equilibrated" / f".hard-disks-0.5-{c}.gsd.lock" for c in range(2)]
    windows = [tmp_path / "equilibrated" / f"hard-disks-0.5-{c}.gsd.parts/0000" for c in range(2)]
    wait_for(lambda: all(list(w.glob("[0-9]*-of-7.gsd")) for w in windows), process)
    workers = []
    for lock in locks:
        with contextlib.suppress(OSError, ValueError):
            workers.append(json.loads(lock.read_text())["pid"])
    kill(process)
    assert workers
    assert process.pid not in workers
    wait_for(lambda: all(map(gone, workers)), seconds=60)
    jobs = [
        production.ensemble_job(
            disks, 0.5, c, folder=tmp_path, window=40.0, draws=2.0, n_replicas=2, n_times=4
        )
        for c in range(2)
    ]
    done = sum(j.done() for j in jobs)
    assert 0 < done < sum(j.cost for j in jobs)
    production.produce(jobs, n_jobs=2, poll=0.1)
    names = {f"hard-disks-0.5-{c}.gsd" for c in range(2)}
    for folder in ("equilibrated", "isoconfigurational"):
        assert {p.name for p in (tmp_path / folder).iterdir()} == names
    whole = simulate.equilibrated(
        disks, eta=0.5, sample_times=simulate.log_times(disks, 40.0, n=4), seed=1
    )
    same(frames.read(tmp_path / "equilibrated" / "hard-disks-0.5-1.gsd")[0], whole)


# ---------------------------------------------------------------------------- pages and the book

CELL = """preset: str = "book"  # size of the run
"""
WORK = """from glasslib import book
book.setup(page="1-test/page", preset=preset)
book.record(exhibit="Fig 1", quantity="one", here=1.0, verdict="new here")
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository of one page, which waits while there is a file named ``wait``."""
    import nbformat

    root = tmp_path / "clone"
    (root / "notebooks" / "1-test").mkdir(parents=True)
    (root / "data" / "1-test").mkdir(parents=True)
    toc = "format: jb-book\nroot: intro\nchapters:\n- file: notebooks/1-test/page\n"
    (root / "_toc.yml").write_text(toc)
    wait = root / "wait"
    slow = f"import pathlib, time\nwhile pathlib.Path({str(wait)!r}).exists(): time.sleep(.05)"
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    page = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    page.cells = [nbformat.v4.new_code_cell(source) for source in (CELL, WORK, slow)]
    page.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(page, root / "notebooks" / "1-test" / "page.ipynb")
    monkeypatch.chdir(root)
    monkeypatch.delenv("GLASSLIB_DATA", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(running.__file__).parents[2]))
    return root


BOOK = """
import os, sys
os.chdir(sys.argv[1])
from glasslib.book import building
building.run_pages(["1-test/page"], workers=1, timeout=600, force=False)
"""


@pytest.mark.page
def test_a_killed_book_build_takes_its_pages_along_and_is_built_anew(clone, capsys):
    (clone / "wait").write_text("")
    process = start(BOOK, clone)
    folder = clone / "_build" / "runs" / "1-test" / "page"
    wait_for(lambda: list((folder / "book").glob(".page.*.partial/results.json")), process)
    owner = json.loads((folder / ".book.lock").read_text())
    assert owner["pid"] != process.pid
    # another run of the page is told so, in one line
    assert cli.main(["run", "1/page"]) == 2
    told = capsys.readouterr().err.strip()
    assert f"is being written by process {owner['pid']}" in told
    assert len(told.splitlines()) == 1
    kill(process)
    wait_for(lambda: gone(owner["pid"]))
    assert list((folder / "book").glob(".page.*.partial"))
    assert not (folder / "book" / "results.json").exists()
    (clone / "wait").unlink()
    from glasslib.book import building

    runs = building.run_pages(["1-test/page"], workers=1, timeout=600, force=False)
    assert runs["1-test/page"].results["records"][0]["here"] == 1.0
    left = sorted(p.name for p in (folder / "book").iterdir())
    assert left == ["page.ipynb", "results.json"]
    assert [p.name for p in folder.iterdir()] == ["book"]


# ---------------------------------------------------------------------------------- full disks


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


FULL = """
import os, resource, signal, sys
import numpy as np
from glasslib import frames
from glasslib.models import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
x = np.random.default_rng(0).uniform(-5, 5, (20000, 3))
frame = frames.build(x, 12.0, np.zeros(20000, int))
resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))  # no file grows beyond

def npz(path):
    with frames.atomic(path) as temporary:
        np.savez(temporary, x=np.random.default_rng(0).normal(size=50000))

for make in (
    lambda: frames.write(sys.argv[1] + "/a.gsd", frame),
    lambda: files.write(sys.argv[1] + "/a.safetensors", "f", {}, {"x": np.zeros(50000)}),
    lambda: npz(sys.argv[1] + "/a.npz"),
):
    try:
        make()
    except frames.FrameError as error:
        print(error)
"""


def test_a_disk_that_fills_while_a_file_is_written_is_one_line(tmp_path):
    out, error = start(FULL, tmp_path).communicate()
    assert error == ""
    told = out.strip().splitlines()
    assert len(told) == 3
    for line, name in zip(told, ("a.gsd", "a.safetensors", "a.npz"), strict=True):
        assert line.startswith(f"cannot write {tmp_path / name}: ")
        assert "Free some space" in line
    assert list(tmp_path.iterdir()) == []


def test_other_failures_while_writing_are_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError), frames.atomic(tmp_path / "a.txt"):
        (tmp_path / "none").read_bytes()


@pytest.mark.parametrize(
    ("reason", "advice"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Choose a folder you may write to")],
)
def test_full_and_read_only_disks_are_one_line(tmp_path, monkeypatch, reason, advice):
    def fail(*_, **__):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(Path, "replace", fail)
    frame = frames.build(np.zeros((1, 3)), 5.0, [0])
    refuses(lambda: frames.write(tmp_path / "a.gsd", frame), "cannot write", advice)
    array = {"x": np.zeros(3)}
    refuses(lambda: files.write(tmp_path / "m", "f", {}, array), os.strerror(reason), advice)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_it_too(clone, monkeypatch, capsys):
    from glasslib.book import building

    with monkeypatch.context() as disk:
        disk.setattr(running, "_execute", full)
        assert cli.main(["run", "1/page"]) == 2
    told = capsys.readouterr().err.strip()
    assert "page 1-test/page cannot write" in told
    assert "No space left on device. Free some space" in told
    assert len(told.splitlines()) == 1
    folder = clone / "_build" / "runs" / "1-test" / "page"
    assert list((folder / "book").iterdir()) == []

    monkeypatch.setattr(building, "run_pages", full)
    assert cli.main(["book"]) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith("cannot write the book: No space left on device. Free some space")
    assert len(told.splitlines()) == 1

    monkeypatch.setattr(cli, "_results", full)
    assert cli.main(["results"]) == 1
    assert "glasslib results: No space left on device. Free" in capsys.readouterr().err
