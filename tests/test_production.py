"""Resumable jobs over processes."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from glasslib import frames, production, simulate, systems


def write(path, n, fail=False):
    if fail:
        raise RuntimeError("the run blew up")
    for k in range(n):
        part = path.with_name(path.name + ".parts") / f"{k:04d}.gsd"
        part.parent.mkdir(exist_ok=True)
        if not part.exists():
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


def test_pieces_that_vanish_while_they_are_counted(tmp_path, monkeypatch):
    path = tmp_path / "run.gsd"
    write(path, 1)
    glob = type(path).glob

    def finishing(self, pattern):  # as a worker does that is done at this very moment
        if self.name == "run.gsd.parts":
            path.write_text("whole")
            raise FileNotFoundError(self)
        return glob(self, pattern)

    monkeypatch.setattr(type(path), "glob", finishing)
    assert production.finished(path, 4) == 4


def test_what_is_finished_must_be_what_is_asked_for(tmp_path):
    disks = replace(systems.get("hard-disks"), n=60)
    options = {"folder": tmp_path, "n_times": 4}
    made = production.ensemble_job(disks, 0.5, 0, window=0.2, seed=3, **options)
    production.produce([made], n_jobs=1, poll=0.1)
    production.produce([made])
    for other in ({"window": 0.5, "seed": 3}, {"window": 0.2, "seed": 4}):
        with pytest.raises(frames.FrameError, match="move it away to make it anew"):
            production.produce([production.ensemble_job(disks, 0.5, 0, **other, **options)])
    changes = {"diameters": {"A": 1.0, "B": 0.5}, "composition": (0.2, 0.8), "wavenumber": 5.0}
    for name, value in changes.items():  # the name of the system alone does not say it
        job = production.ensemble_job(
            replace(disks, **{name: value}), 0.5, 0, window=0.2, seed=3, **options
        )
        with pytest.raises(frames.FrameError, match=f"was made with {name} = "):
            production.produce([job])


def test_failure_is_raised(tmp_path):
    job = production.Job(
        partial(write, tmp_path / "a.gsd", 1, fail=True), ((tmp_path / "a.gsd", 1, 1.0),)
    )
    with pytest.raises(RuntimeError, match="the run blew up"):
        production.produce([job], n_jobs=1, poll=0.1)


def test_a_configuration_and_its_ensemble(tmp_path):
    """One job writes what the two protocols write when they are called."""
    disks = replace(systems.get("hard-disks"), n=60)
    options = {"folder": tmp_path, "window": 0.5, "seed": 3, "n_times": 4, "cage_relative": True}
    job = production.ensemble_job(disks, 0.5, 2, draws=1.0, n_replicas=2, **options)
    assert [n for _, n, _ in job.writes] == [1, 1]
    assert job.cost == 7 * 0.5 + 2 * 1.0
    assert job.done() == 0
    job.make()
    assert job.done() == job.cost
    (start,) = frames.read(tmp_path / "equilibrated" / "hard-disks-0.5-2.gsd")
    (made,) = frames.read(tmp_path / "isoconfigurational" / "hard-disks-0.5-2.gsd")
    expected = simulate.equilibrated(
        disks, eta=0.5, sample_times=simulate.log_times(disks, 0.5, n=4), seed=5
    )
    np.testing.assert_array_equal(start.particles.position, expected.particles.position)
    np.testing.assert_allclose(made.log["times"], np.geomspace(0.01, 1.0, 4))
    for name in ("propensity", "propensity_variance", "cage_relative_propensity"):
        assert made.log[f"particles/{name}"].shape == (60, 4)
    assert simulate.provenance(made)["seed"] == 5
    alone = production.ensemble_job(disks, 0.5, 4, draws=None, **options)
    alone.make()
    assert len(list((tmp_path / "isoconfigurational").iterdir())) == 1
    assert len(list((tmp_path / "equilibrated").iterdir())) == 2
