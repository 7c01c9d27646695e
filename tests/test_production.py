"""Resumable jobs over processes."""

from functools import partial

import pytest

from glasslib import production


def write(path, n, fail=False):
    if fail:
        raise RuntimeError("the run blew up")
    for k in range(n):
        part = path.with_name(path.name + ".parts") / f"{k:04d}.gsd"
        part.parent.mkdir(exist_ok=True)
        part.write_text("made")


def test_counts_parts_and_finished_files(tmp_path):
    path = tmp_path / "run.gsd"
    assert production.finished(path, 4) == 0
    write(path, 3)
    (tmp_path / "run.gsd.parts" / ".0003.gsd.half").write_text("half")
    assert production.finished(path, 4) == 3
    path.write_text("whole")
    assert production.finished(path, 4) == 4


def test_runs_what_is_not_finished(tmp_path, capsys):
    jobs = [
        production.Job(partial(write, tmp_path / f"{k}.gsd", 2), ((tmp_path / f"{k}.gsd", 2, 1.0),))
        for k in range(3)
    ]
    write(tmp_path / "0.gsd", 2)
    before = (tmp_path / "0.gsd.parts" / "0000.gsd").stat().st_mtime_ns
    production.produce(jobs, n_jobs=2, poll=0.1)
    assert all(job.done() == job.cost for job in jobs)
    assert (tmp_path / "0.gsd.parts" / "0000.gsd").stat().st_mtime_ns == before
    production.produce(jobs)
    assert "nothing to do" in capsys.readouterr().out


def test_failure_is_raised(tmp_path):
    job = production.Job(
        partial(write, tmp_path / "a.gsd", 1, fail=True), ((tmp_path / "a.gsd", 1, 1.0),)
    )
    with pytest.raises(RuntimeError, match="the run blew up"):
        production.produce([job], n_jobs=1, poll=0.1)
