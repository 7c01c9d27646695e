"""Protocols: resuming, killing, replicas, and what they record."""

import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from oracles import refuses, same

from glasslib import dynamics, engines, frames, neighbors, production, simulate, systems
from glasslib.engines import base, edmd

SYSTEM = systems.get("bihani-2d")
TEMPERATURES = (1.0, 0.8, 0.6, 0.4)
COOL = {"temperatures": TEMPERATURES, "steps_per_ramp": 150, "engine": "lammps"}
ISO = {"kT": 0.5, "sample_times": [0.03, 0.3, 0.6], "ensemble": "nve", "engine": "lammps"}


class Stop(Exception):
    """Ends a protocol from its progress callback."""


@pytest.fixture(scope="module")
def liquid():
    return simulate.liquid(
        SYSTEM, kT=1.0, n=40, melt_time=2, duration=3, seed=1, density=1.0, engine="lammps"
    )


@pytest.fixture(scope="module")
def cooled(liquid):
    """An uninterrupted cooling, in memory."""
    return simulate.cool(liquid, SYSTEM, **COOL)


def stop_after(k):
    def progress(done, _all):
        if done == k:
            raise Stop

    return progress


# --------------------------------------------------------------------------------------- liquids


def test_lattice():
    for name in systems.available():
        s = systems.get(name)
        if s.hard:
            continue
        f = frames.check(simulate.lattice(s, n=300, seed=3), system=s)
        assert tuple(np.bincount(f.particles.typeid)) == s.counts(300)
        assert 300 / frames.volume(f) == pytest.approx(s.density, rel=1e-5)
        same(f, simulate.lattice(s, n=300, seed=3))
        other = simulate.lattice(s, n=300, seed=4)
        assert not np.array_equal(f.particles.position, other.particles.position)


def test_liquid_is_reproducible(liquid):
    again = simulate.liquid(
        SYSTEM, kT=1.0, n=40, melt_time=2, duration=3, seed=1, density=1.0, engine="lammps"
    )
    same(liquid, again)
    assert 40 / frames.volume(liquid) == pytest.approx(1.0, rel=1e-5)
    assert liquid.log["kT"][0] == pytest.approx(1.0, abs=0.5)


# --------------------------------------------------------------------------------------- cooling


def test_cooling_records_what_it_did(liquid, cooled):
    assert [f.log["kT"][0] for f in cooled] == list(TEMPERATURES)
    for f in cooled:
        assert f.log["cooling_rate"][0] == pytest.approx(0.2 / (150 * SYSTEM.dt))
        assert f.log["density"][0] == pytest.approx(40 / frames.volume(f))
        assert f.log["max_force"][0] < 1e-5
        assert abs(f.log["pressure"][0]) < 1e-2
        assert "particles/thermal_velocity" not in f.log
        assert f.particles.velocity is None
        made = simulate.provenance(f)
        assert made["engine"] == "lammps"
        assert made["protocol"] == "cool"
        assert made["system"] == "bihani-2d"
        assert f.log["potential_energy"][0] < f.log["thermal_potential_energy"][0]
        quench = simulate.cooling._thermal  # the stored thermal frame leads to the same minimum
        f.log["particles/thermal_velocity"] = np.zeros((40, 3), dtype=np.float32)
        again = simulate.inherent_structure(quench(f), SYSTEM, relax_box=True, engine="lammps")
        del f.log["particles/thermal_velocity"]
        assert again.log["potential_energy"][0] == f.log["potential_energy"][0]
    np.testing.assert_array_equal(
        cooled[0].log["particles/thermal_position"], liquid.particles.position
    )


def test_cooling_runs_down_ramps(liquid, monkeypatch):
    """From each temperature to the next, not held at the end of it."""
    asked, engine = [], type(engines.choose(SYSTEM, "lammps"))
    run = engine.run

    def watched(self, *arguments, **options):
        asked.append(options["kT"])
        return run(self, *arguments, **options)

    monkeypatch.setattr(engine, "run", watched)
    simulate.cool(liquid, SYSTEM, temperatures=(1.0, 0.8, 0.5), steps_per_ramp=20, engine="lammps")
    assert asked == [(1.0, 0.8), (0.8, 0.5)]


def test_a_ramp_passes_through_the_temperatures_between(liquid):
    """Of the thermostat: a fast ramp has not the temperature of its end half way."""
    hot = simulate.equilibrate(liquid, SYSTEM, kT=2.0, duration=3.0, engine="lammps")
    dt, n = SYSTEM.dt, 4000
    middle = dt * n * np.linspace(0.4, 0.6, 60)
    middle = np.unique(np.rint(middle / dt)) * dt
    samples = engines.choose(SYSTEM, "lammps").run(
        hot, SYSTEM, kT=(2.0, 0.4), duration=dt * n, sample_times=np.append(middle, dt * n)
    )
    kT = [f.log["kT"][0] for f in samples]
    assert np.mean(kT[:-1]) == pytest.approx(1.2, abs=0.25)


@pytest.mark.parametrize("k", [1, 3])
def test_resumed_cooling_is_the_uninterrupted_one(tmp_path, liquid, cooled, k):
    path = tmp_path / "run.gsd"
    with pytest.raises(Stop):
        simulate.cool(liquid, SYSTEM, path=path, progress=stop_after(k), **COOL)
    assert not path.exists()
    assert len(list(Path(f"{path}.parts").glob("*.gsd"))) == k
    (Path(f"{path}.parts") / f".{k:04d}.gsd.x1y2z3.gsd").write_bytes(b"half-written")
    seen = []
    resumed = simulate.cool(
        liquid, SYSTEM, path=path, progress=lambda done, n: seen.append((done, n)), **COOL
    )
    assert seen == [(i, 4) for i in (1, 2, 3, 4)]
    assert list(tmp_path.iterdir()) == [path]
    for a, b, c in zip(cooled, resumed, frames.read(path), strict=True):
        same(a, b)
        same(a, c)


def test_finished_cooling_is_read_not_made(tmp_path, monkeypatch, liquid, cooled):
    path = frames.write(tmp_path / "run.gsd", cooled)
    left = Path(f"{path}.parts")  # killed between writing the file and removing the parts
    frames.write(left / "0000.gsd", cooled[0])
    monkeypatch.setattr(engines.choose(SYSTEM, "lammps").__class__, "minimize", None)
    for a, b in zip(cooled, simulate.cool(liquid, SYSTEM, path=path, **COOL), strict=True):
        same(a, b)
    assert not left.exists()


@pytest.mark.parametrize("finished", [True, False])
def test_another_cooling_is_not_resumed(tmp_path, liquid, cooled, finished):
    path = tmp_path / "run.gsd"
    if finished:
        frames.write(path, cooled)
    else:
        frames.write(tmp_path / "run.gsd.parts" / "0000.gsd", cooled[0])

    def call(frame=liquid, system=SYSTEM, **changes):
        return lambda: simulate.cool(frame, system, path=path, **{**COOL, **changes})

    refuses(call(steps_per_ramp=151), "run.gsd", "steps_per_ramp", "150", "151", "move it away")
    refuses(call(temperatures=(1.1, 0.8, 0.6, 0.4)), "kT", "1.1")
    refuses(call(temperatures=(1.0, 0.7, 0.6, 0.4)), "cooling_rate" if not finished else "rate")
    refuses(call(system=SYSTEM.with_(dt=0.002)), "dt")
    refuses(call(system=SYSTEM.with_(name="another")), "system", "another")
    moved = frames.copy(liquid)
    moved.particles.position[:, 0] += 0.01
    refuses(call(moved), "other positions")
    if finished:
        refuses(call(temperatures=(1.0, 0.8)), "4 configurations", "2")
        foreign = frames.copy(cooled[0], log={})
        frames.write(path, [foreign] * 4)
        refuses(call(), "protocol")


def test_another_engine_does_not_go_on_with_a_run(tmp_path, monkeypatch, liquid, cooled):
    """Also where nobody asked for one: half a run by each is a run by neither."""
    path = tmp_path / "run.gsd"
    frames.write(tmp_path / "run.gsd.parts" / "0000.gsd", cooled[0])
    options = {**COOL, "engine": "auto"}
    with monkeypatch.context() as other:
        other.setattr(engines, "available", lambda: {"hoomd": False, "lammps": True})
        other.setattr(engines.choose(SYSTEM, "lammps").__class__, "name", "hoomd")
        refuses(
            lambda: simulate.cool(liquid, SYSTEM, path=path, **options),
            "0000.gsd", "engine = lammps", "this run has hoomd",
        )  # fmt: skip
        frames.write(path, cooled)  # whole files are read, whoever made them
        for a, b in zip(cooled, simulate.cool(liquid, SYSTEM, path=path, **options), strict=True):
            same(a, b)


KILLED = """
import sys
from glasslib import frames, simulate, systems
liquid = frames.read(sys.argv[1])[0]
simulate.cool(liquid, systems.get("bihani-2d"), path=sys.argv[2], engine="lammps",
              temperatures=(1.0, 0.9, 0.8, 0.7, 0.6, 0.5), steps_per_ramp=3000)
"""


def test_sigkill_loses_at_most_the_configuration_under_way(tmp_path, liquid):
    path = tmp_path / "run.gsd"
    parts = tmp_path / "run.gsd.parts"
    start = frames.write(tmp_path / "liquid.gsd", liquid)
    command = [sys.executable, "-c", KILLED, str(start), str(path)]
    finished = 0
    for delay in (0.0, 0.05):  # just after a configuration; in the middle of the next
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 600
        while len(done(parts)) <= finished and process.poll() is None:
            assert time.monotonic() < deadline, "no configuration in ten minutes"
            time.sleep(0.002)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not path.exists()
        here = done(parts)
        assert len(here) > finished  # what was finished is still there
        finished = len(here)
        for k, part in enumerate(here):
            assert part.name == f"{k:04d}.gsd"
            (frame,) = frames.read(part)
            assert frame.log["kT"][0] == pytest.approx(1.0 - 0.1 * k)
    times = {p: p.stat().st_mtime_ns for p in done(parts)}
    options = {
        "temperatures": (1.0, 0.9, 0.8, 0.7, 0.6, 0.5), "steps_per_ramp": 3000, "engine": "lammps",
    }  # fmt: skip

    def untouched(k, _n):
        assert all(p.stat().st_mtime_ns == t for p, t in times.items() if p.exists())

    resumed = simulate.cool(liquid, SYSTEM, path=path, progress=untouched, **options)
    for a, b in zip(simulate.cool(liquid, SYSTEM, **options), resumed, strict=True):
        same(a, b)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["liquid.gsd", "run.gsd"]


def done(parts):
    return sorted(p for p in parts.glob("*.gsd") if not p.name.startswith("."))


# ------------------------------------------------------------------------ isoconfigurational runs


@pytest.fixture(scope="module")
def iso(cooled):
    return simulate.isoconfigurational(cooled[2:], SYSTEM, n_replicas=3, seed=7, **ISO)


def test_propensity_is_the_mean_distance_over_draws(cooled, iso):
    engine = engines.choose(SYSTEM, "lammps")
    start = cooled[3]
    distance = []
    for m in range(3):
        rng = np.random.default_rng(np.random.SeedSequence((7, 1, m)))
        hot = frames.copy(start, log={})
        hot.particles.velocity = base.thermal_velocities(40, 0.5, rng, dimensions=2)
        run = engine.run(
            hot, SYSTEM, kT=0.5, duration=0.6, sample_times=ISO["sample_times"], ensemble="nve"
        )
        r = [np.linalg.norm(frames.unwrapped(f) - frames.unwrapped(start), axis=1) for f in run]
        distance.append(np.transpose(r))
    distance = np.array(distance)  # (replica, particle, time)
    log = iso[1].log
    np.testing.assert_allclose(log["particles/propensity"], distance.mean(axis=0), rtol=1e-5)
    variance = ((distance - distance.mean(axis=0)) ** 2).sum(axis=0) / 2
    np.testing.assert_allclose(log["particles/propensity_variance"], variance, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(
        log["particles/squared_displacement"], (distance**2).mean(axis=0), rtol=1e-5
    )
    np.testing.assert_allclose(log["particles/replica_distance"], distance[:, :, -1].T, rtol=1e-5)
    np.testing.assert_array_equal(log["times"], ISO["sample_times"])
    # early on particles fly freely: <|Δr|²> = d kT t², up to forces of order t
    early = log["particles/squared_displacement"][:, 0].mean() / (2 * 0.5 * 0.03**2)
    assert early == pytest.approx(1, abs=0.25)


def test_replicas_do_not_depend_on_their_number_or_the_cores(cooled, iso):
    fewer = simulate.isoconfigurational(cooled[2:], SYSTEM, n_replicas=2, seed=7, n_jobs=2, **ISO)
    for a, b in zip(iso, fewer, strict=True):
        np.testing.assert_array_equal(
            a.log["particles/replica_distance"][:, :2], b.log["particles/replica_distance"]
        )
    other = simulate.isoconfigurational(cooled[2:], SYSTEM, n_replicas=2, seed=8, **ISO)
    assert np.abs(
        other[0].log["particles/replica_distance"] - fewer[0].log["particles/replica_distance"]
    ).max() > 1e-3  # fmt: skip
    distance = iso[0].log["particles/replica_distance"]
    assert np.abs(distance[:, 0] - distance[:, 1]).max() > 1e-3


def test_wrapped_and_unwrapped_starts_move_alike(cooled, iso):
    rng = np.random.default_rng(0)
    moved = []
    for f in cooled[2:]:
        g = frames.copy(f)
        image = rng.integers(-2, 3, (40, 3)) * [1, 1, 0]
        shift = image @ frames.cell_matrix(f.configuration.box).T
        g.particles.position = (f.particles.position + shift).astype(np.float32)
        moved.append(g)
    log = simulate.isoconfigurational(moved, SYSTEM, n_replicas=3, seed=7, **ISO)[1].log
    for key in ("particles/propensity", "particles/squared_displacement"):
        np.testing.assert_allclose(log[key], iso[1].log[key], atol=1e-4)


def test_isoconfigurational_resumes_and_refuses_others(tmp_path, cooled, iso):
    path = tmp_path / "iso.gsd"
    options = {**ISO, "n_replicas": 3, "seed": 7, "path": path}
    with pytest.raises(Stop):
        simulate.isoconfigurational(cooled[2:], SYSTEM, progress=stop_after(1), **options)
    for changes, word in (
        ({"seed": 8}, "seed"), ({"kT": 0.6}, "run_kT"), ({"ensemble": "nvt"}, "ensemble"),
        ({"n_replicas": 4}, "n_replicas"), ({"sample_times": [0.3, 0.6]}, "times"),
    ):  # fmt: skip
        refuses(
            lambda c=changes: simulate.isoconfigurational(
                cooled[2:], SYSTEM, **{**options, **c}
            ),
            word, "iso.gsd",
        )  # fmt: skip
    refuses(lambda: simulate.isoconfigurational(cooled[:2], SYSTEM, **options), "other positions")
    made = simulate.isoconfigurational(cooled[2:], SYSTEM, **options)
    for a, b in zip(iso, made, strict=True):
        same(a, b)
    assert list(tmp_path.iterdir()) == [path]


def test_configurations_with_other_labels_can_share_a_file(tmp_path, cooled):
    plain = frames.copy(cooled[3], log={"kT": np.array([0.4])})
    options = {**ISO, "n_replicas": 1, "path": tmp_path / "iso.gsd"}
    simulate.isoconfigurational([cooled[2], plain], SYSTEM, **options)
    a, b = frames.read(tmp_path / "iso.gsd")
    assert (a.log["kT"][0], b.log["kT"][0]) == (0.6, 0.4)
    assert "density" not in a.log


# ------------------------------------------------------------- equilibration, and what draws store

SPHERES = systems.get("hard-spheres")
KA = systems.get("kob-andersen")
EQUIL = {"eta": 0.5, "n": 60, "sample_times": [0.1, 0.5, 1.0], "n_windows": 3, "n_thermo": 4}


@pytest.fixture(scope="module")
def spheres():
    return simulate.equilibrated(SPHERES, seed=3, **EQUIL)


def test_hard_particles_have_no_temperature_and_no_number_density():
    for bad in ({"kT": 2.0}, {"density": 0.5}):
        with pytest.raises(ValueError, match="is hard"):
            simulate.liquid(SPHERES, n=60, duration=1, **bad)
    with pytest.raises(ValueError, match="temperature only sets the unit of time"):
        simulate.equilibrated(SPHERES, kT=0.5, **EQUIL)


def test_diameters_that_are_not_the_systems_are_refused(spheres):
    own, shrunk = frames.copy(spheres), frames.copy(spheres)
    sigma = np.array([SPHERES.diameters[SPHERES.types[t]] for t in spheres.particles.typeid])
    own.particles.diameter, shrunk.particles.diameter = sigma, 0.5 * sigma
    assert simulate.equilibrate(own, SPHERES, kT=1.0, duration=0.1) is not None
    with pytest.raises(frames.FrameError, match="diameters differ by up to 0.5"):
        simulate.equilibrate(shrunk, SPHERES, kT=1.0, duration=0.1)


def test_times_between_steps_are_stored_as_sampled(liquid):
    options = {"kT": 1.0, "n_replicas": 1, "engine": "lammps"}
    asked, taken = [0.004, 0.02], [0.003, 0.021]  # dt = 0.003
    (made,) = simulate.isoconfigurational(liquid, SYSTEM, sample_times=asked, **options)
    (same_,) = simulate.isoconfigurational(liquid, SYSTEM, sample_times=taken, **options)
    np.testing.assert_allclose(made.log["times"], taken)
    np.testing.assert_array_equal(
        made.log["particles/propensity"], same_.log["particles/propensity"]
    )


def test_frames_that_say_the_time_that_was_asked_for_are_not_made_anew(liquid, tmp_path):
    path, asked = tmp_path / "draws.gsd", [0.004, 0.02]
    options = {"kT": 1.0, "n_replicas": 1, "engine": "lammps", "path": path}
    (made,) = simulate.isoconfigurational(liquid, SYSTEM, sample_times=asked, **options)
    made.log["times"] = np.array(asked)  # as older versions wrote them
    frames.write(path, [made])
    (found,) = simulate.isoconfigurational(liquid, SYSTEM, sample_times=asked, **options)
    np.testing.assert_array_equal(found.log["times"], asked)
    with pytest.raises(frames.FrameError, match="was made with times"):  # another step
        simulate.isoconfigurational(liquid, SYSTEM, sample_times=[0.006, 0.02], **options)


def test_equilibration_keeps_its_evidence(spheres):
    log = spheres.log
    np.testing.assert_array_equal(log["equilibration/ages"], [0, 1, 2])
    np.testing.assert_array_equal(log["equilibration/times"], EQUIL["sample_times"])
    for key in ("msd_A", "self_isf_B", "collective_isf"):
        assert log[f"equilibration/{key}"].shape == (3, 3)
    assert log["equilibration/pressure"].shape == (3, 4)
    assert log["eta"] == 0.5
    assert "equilibration/potential_energy" not in log
    assert np.all(np.diff(log["equilibration/msd_A"], axis=1) > 0)
    assert np.all(np.diff(log["equilibration/self_isf_A"], axis=1) < 0)
    # for small displacements 1 - F_s = q²⟨Δr²⟩/6
    early = 1 - SPHERES.wavenumber**2 * log["equilibration/msd_A"][:, 0] / 6
    np.testing.assert_allclose(log["equilibration/self_isf_A"][:, 0], early, atol=0.05)
    assert spheres.particles.velocity is not None
    ends = log["equilibration/position"].reshape(3, -1, 3)
    np.testing.assert_array_equal(ends[-1], spheres.particles.position)
    edge = spheres.configuration.box[:3]
    step = ends[2] - ends[1]
    step -= edge * np.rint(step / edge)
    A = spheres.particles.typeid == 0
    assert np.mean(np.sum(step[A] ** 2, axis=1)) == pytest.approx(
        log["equilibration/msd_A"][2, -1], rel=1e-3
    )
    # βP of this mixture at η = 0.5: 17.2 by BMCSL; 60 spheres and 3 τ are not many
    assert log["equilibration/pressure"].mean() == pytest.approx(17.2, rel=0.2)
    assert simulate.provenance(spheres)["engine"] == "edmd"


def test_equilibration_resumes_after_a_window(tmp_path, spheres):
    path = tmp_path / "start.gsd"
    with pytest.raises(Stop):
        simulate.equilibrated(SPHERES, seed=3, path=path, progress=stop_after(2), **EQUIL)
    from glasslib import production

    assert production.finished(path, 1) == pytest.approx(2 / 3)
    for changes, word in (
        ({"seed": 4}, "seed"), ({"eta": 0.49}, "eta"), ({"n": 70}, "n"),
        ({"sample_times": [0.1, 0.4, 1.0]}, "times"),
    ):  # fmt: skip
        options = {**EQUIL, "seed": 3, **changes}
        refuses(lambda o=options: simulate.equilibrated(SPHERES, path=path, **o), word)
    resumed = simulate.equilibrated(SPHERES, seed=3, path=path, **EQUIL)
    same(spheres, resumed)
    assert list(tmp_path.iterdir()) == [path]
    again = simulate.equilibrated(SPHERES, seed=3, path=path, **EQUIL)
    same(spheres, again)


def test_another_engine_does_not_go_on_with_windows(tmp_path, monkeypatch, spheres):
    path = tmp_path / "start.gsd"
    with pytest.raises(Stop):
        simulate.equilibrated(SPHERES, seed=3, path=path, progress=stop_after(2), **EQUIL)
    monkeypatch.setattr(type(engines.choose(SPHERES)), "name", "another")
    refuses(
        lambda: simulate.equilibrated(SPHERES, seed=3, path=path, **EQUIL),
        "engine = edmd", "this run has another",
    )  # fmt: skip
    frames.write(path, spheres)
    same(spheres, simulate.equilibrated(SPHERES, seed=3, path=path, **EQUIL))


def test_equilibration_of_a_soft_liquid():
    frame = simulate.equilibrated(
        KA, kT=2.0, n=200, sample_times=[0.05, 0.5, 1.0], n_windows=2, n_thermo=2, engine="lammps",
        seed=1,
    )  # fmt: skip
    energy = frame.log["equilibration/potential_energy"]
    assert energy.shape == (2, 2)
    assert abs(energy.mean() + 4.5) < 0.25
    assert frame.log["kT"] == 2.0


def test_log_times_lie_on_time_steps():
    times = simulate.log_times(KA, 700)
    assert len(times) == 20
    assert times[0] == pytest.approx(0.01)
    assert times[-1] == pytest.approx(700)
    np.testing.assert_allclose(times / KA.dt, np.rint(times / KA.dt), atol=1e-6)
    refuses(lambda: simulate.log_times(KA, 0.05), "different steps")
    refuses(lambda: simulate.log_times(KA, 0.005), "first")


def test_draws_store_bonds_inherent_structure_and_curves(tmp_path):
    start = simulate.equilibrated(
        KA, kT=1.0, n=200, sample_times=[1.0], n_windows=1, engine="lammps", seed=1
    )
    options = {
        "kT": 1.0, "n_replicas": 2, "sample_times": [0.01, 1.0], "engine": "lammps",
        "bond_cutoffs": (1.35, 1.7), "inherent": True, "path": tmp_path / "iso.gsd",
        "labels": ("propensity", "bond_breaking"),
    }  # fmt: skip
    with pytest.raises(Stop):
        simulate.isoconfigurational(start, KA, progress=stop_after(1), **options)
    (piece,) = (tmp_path / "iso.gsd.parts").glob("0000/0000-of-2.npz")
    before = piece.stat().st_mtime_ns
    seen = []

    def watch(done, n):
        seen.append((done, n))
        assert not piece.exists() or piece.stat().st_mtime_ns == before

    (frame,) = simulate.isoconfigurational(start, KA, progress=watch, **options)
    assert seen == [(1, 2), (2, 2)]
    log = frame.log
    assert {k for k in log if k.startswith("particles/")} == {
        "particles/propensity", "particles/bond_breaking", "particles/inherent_position",
        "particles/inherent_energy",
    }  # fmt: skip
    assert np.nanmax(log["particles/bond_breaking"]) <= 1
    assert np.nanmean(log["particles/bond_breaking"][:, 0]) > 0.999
    assert log["msd_A"].shape == log["self_isf_B"].shape == log["collective_isf"].shape == (2, 2)
    assert log["inherent_energy"][0] < log["equilibration/potential_energy"].min()
    quenched = simulate.inherent_structure(start, KA, engine="lammps")
    np.testing.assert_array_equal(log["particles/inherent_position"], quenched.particles.position)


def test_isoconfigurational_of_hard_spheres(spheres):
    (frame,) = simulate.isoconfigurational(
        spheres, SPHERES, n_replicas=4, sample_times=[0.01, 1.0], bond_cutoffs=(1.3, 1.6)
    )
    r = frame.log["particles/squared_displacement"]
    assert r[:, 0].mean() == pytest.approx(3 * 0.01**2, rel=0.25)  # ballistic but for collisions
    assert frame.log["particles/propensity_variance"].min() > 0
    other = simulate.isoconfigurational(
        spheres, SPHERES, n_replicas=4, sample_times=[0.01, 1.0], n_jobs=2
    )[0]
    np.testing.assert_array_equal(r, other.log["particles/squared_displacement"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_replicas": 0}, ["n_replicas is 0"]),
        ({"sample_times": [1.0, 0.5]}, ["ascend"]),
        ({"sample_times": []}, ["sample_times"]),
        ({"inherent": True}, ["no inherent structures"]),
        ({"bond_cutoffs": (1.5, 1.3)}, ["bond_cutoffs", "A1 <= A2"]),
        ({"labels": ("velocity",)}, ["unknown labels", "velocity", "propensity"]),
        ({"kT": -1.0}, ["kT is -1.0"]),
        ({"engine": "lammps"}, ["hard", "edmd"]),
    ],
)
def test_bad_ensembles_are_refused(spheres, changes, words):
    options = {"n_replicas": 2, "sample_times": [0.1, 0.2], **changes}
    refuses(lambda: simulate.isoconfigurational(spheres, SPHERES, **options), *words)


def test_a_crystal_is_warned_of():
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    x = (grid[:, None] + basis).reshape(-1, 3) * 1.6
    fcc = frames.build(x, 6.4, np.arange(256) % 10 // 8, types=("A", "B"))
    with pytest.warns(UserWarning, match="100 % of the particles sit in a crystal"):
        simulate.isoconfigurational(
            fcc, KA, kT=0.1, n_replicas=1, sample_times=[0.01], engine="lammps"
        )
    disks = systems.get("hard-disks")
    x = [[i + 0.5 * (j % 2), j * np.sqrt(3) / 2] for i in range(12) for j in range(12)]
    box = np.array([12, 6 * np.sqrt(3)]) * 1.1
    flat = frames.build(np.array(x) * 1.1, box, np.arange(144) % 2, types=("A", "B"), dimensions=2)
    with pytest.warns(UserWarning, match="global hexatic order 1.00"):
        simulate.isoconfigurational(flat, disks, n_replicas=1, sample_times=[0.01])


@pytest.mark.parametrize(
    ("name", "threshold"),
    [("bond_order.crystalline_fraction", 0.1), ("hexatic.hexatic_order", 0.4)],
)
def test_warnings_of_crystals_begin_at_their_threshold(name, threshold, monkeypatch):
    d = 2 if "hexatic" in name else 3
    rng = np.random.default_rng(0)
    frame = frames.build(rng.uniform(0, 9, (100, d)), 9.0, np.zeros(100, int), dimensions=d)
    few = frames.build(rng.uniform(0, 9, (99, d)), 9.0, np.zeros(99, int), dimensions=d)

    def found(value):
        monkeypatch.setattr(f"glasslib.descriptors.{name}", lambda *_, **__: np.float64(value))

    found(threshold + 0.01)
    with pytest.warns(UserWarning, match=r"frame: .*expected a liquid"):
        simulate.ensemble._warn_of_crystal(frame, "frame")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate.ensemble._warn_of_crystal(few, "frame")  # too few to say
        found(threshold - 0.01)
        simulate.ensemble._warn_of_crystal(frame, "frame")


# ----------------------------------------------------------------------------------------- cages


def test_cages_of_a_cold_glass_are_about_its_inherent_structure(cooled):
    """Nearly harmonic: the mean position is the minimum, however the particles rattle."""
    rest = simulate.inherent_structure(cooled[-1], SYSTEM, engine="lammps")
    rest.particles.velocity = None
    caged = simulate.cage_positions(
        rest, SYSTEM, kT=1e-6, duration=40, n_runs=2, seed=1, engine="lammps"
    )
    box = rest.configuration.box[:2]
    shift = (caged.particles.position - rest.particles.position)[:, :2]
    shift -= box * np.rint(shift / box)
    size = caged.log["particles/cage_size"]
    assert size.shape == (40,)
    assert np.sqrt(np.mean(np.sum(shift**2, axis=1))) < 0.3 * np.sqrt(np.mean(size**2))
    # equipartition: the rattle grows with the root of the temperature
    warmer = simulate.cage_positions(
        rest, SYSTEM, kT=4e-6, duration=40, n_runs=2, seed=1, engine="lammps"
    )
    ratio = np.sqrt(np.mean(warmer.log["particles/cage_size"] ** 2) / np.mean(size**2))
    assert 1.6 < ratio < 2.5


def test_cages_do_not_depend_on_the_image(spheres):
    """Mean positions of wrapped and unwrapped starts are the same places."""
    run = {"duration": 0.4, "n_runs": 2, "n_samples": 8, "seed": 4}
    a = simulate.cage_positions(spheres, SPHERES, **run)
    far = frames.copy(spheres, log={})
    far.particles.image = np.full((far.particles.N, 3), 2, dtype=np.int32)
    b = simulate.cage_positions(far, SPHERES, **run)
    np.testing.assert_allclose(a.particles.position, b.particles.position, atol=1e-5)
    half = a.configuration.box[:3] / 2
    assert np.all(np.abs(a.particles.position) <= half * (1 + 1e-6))
    assert a.particles.velocity is None


def test_every_run_of_a_cage_has_velocities_of_its_own(spheres, monkeypatch):
    drawn, run = [], edmd.Edmd.run

    def watched(self, frame, *arguments, **options):
        drawn.append(np.array(frame.particles.velocity))
        return run(self, frame, *arguments, **options)

    monkeypatch.setattr(edmd.Edmd, "run", watched)
    for seed in (1, 1, 2):
        simulate.cage_positions(spheres, SPHERES, duration=0.1, n_runs=3, n_samples=2, seed=seed)
    assert all(np.sum(v**2) == pytest.approx(3 * 59) for v in drawn)
    for i in range(9):
        for j in range(i):
            same_ = i - j == 3 and i < 6
            assert np.array_equal(drawn[i], drawn[j]) == same_, (i, j)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"duration": 0.0}, "duration is 0.0"),
        ({"n_runs": 0}, "n_runs is 0"),
        ({"n_samples": 0}, "n_samples 0"),
    ],
)
def test_bad_cage_runs_are_refused(spheres, changes, words):
    refuses(lambda: simulate.cage_positions(spheres, SPHERES, **changes), words)


def test_disks_store_cage_relative_displacements(tmp_path):
    """A 2D run keeps both kinds of displacements; a file without the second is refused."""
    disks = systems.get("hard-disks")
    start = simulate.equilibrated(
        disks, eta=0.6, n=80, sample_times=[0.5, 1.0], n_windows=2, n_thermo=2, cage_relative=True
    )
    assert start.log["equilibration/cage_relative_msd_A"].shape == (2, 2)
    run = {"n_replicas": 3, "sample_times": [0.01, 2.0], "seed": 2}
    (made,) = simulate.isoconfigurational(start, disks, cage_relative=True, **run)
    (plain,) = simulate.isoconfigurational(start, disks, **run)
    for name in ("propensity", "propensity_variance"):
        relative = made.log[f"particles/cage_relative_{name}"]
        assert relative.shape == (80, 2)
        np.testing.assert_array_equal(made.log[f"particles/{name}"], plain.log[f"particles/{name}"])
        assert not np.allclose(relative, made.log[f"particles/{name}"], rtol=0.01)
        assert f"particles/cage_relative_{name}" not in plain.log
    assert made.log["cage_relative_msd_B"].shape == (3, 2)
    # free flights are independent: the mean over six neighbours adds a sixth
    msd = [
        np.mean([made.log[f"{kind}msd_{s}"][:, 0] for s in "AB"]) for kind in ("", "cage_relative_")
    ]
    assert 1.05 < msd[1] / msd[0] < 1.3
    near, by_hand = neighbors.voronoi(start), []
    for m in range(3):  # the same draws, one by one
        begin = frames.copy(start, log={})
        rng = np.random.default_rng(np.random.SeedSequence((2, 0, m)))
        begin.particles.velocity = base.thermal_velocities(80, 1.0, rng, dimensions=2)
        moving = edmd.Edmd().run(begin, disks, duration=2.0, sample_times=[0.01, 2.0])
        final = np.stack([frames.unwrapped(f) for f in moving])
        u = dynamics.cage_relative(frames.unwrapped(begin), final, near)
        by_hand.append(np.linalg.norm(u, axis=2).T)
    np.testing.assert_allclose(
        made.log["particles/cage_relative_propensity"], np.mean(by_hand, axis=0), atol=2e-5
    )
    path = tmp_path / "disks.gsd"
    simulate.isoconfigurational(start, disks, path=path, **run)
    refuses(
        lambda: simulate.isoconfigurational(start, disks, path=path, cage_relative=True, **run),
        "cage_relative",
    )
    refuses(
        lambda: simulate.isoconfigurational(start, disks, path=path, labels=["propensity"], **run),
        "labels = propensity, propensity_variance, squared_displacement",
        "this run has propensity",
    )


# --------------------------------------------------------------------------------- labels of pairs

FORCE_SHIFTED = systems.get("kob-andersen-force-shifted").with_(n=300)
PAIRS = {
    "kT": 1.0, "n_replicas": 3, "sample_times": [0.1, 0.3], "inherent": True, "pair_radius": 2.0,
    "bond_cutoffs": (1.35, 1.7, 1.9), "engine": "lammps", "seed": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def mixture():
    return simulate.liquid(FORCE_SHIFTED, kT=1.0, melt_time=2, duration=2, seed=3, engine="lammps")


@pytest.fixture(scope="module")
def paired(mixture):
    return simulate.isoconfigurational(mixture, FORCE_SHIFTED, **PAIRS)[0]


def test_labels_of_pairs_against_brute_force(mixture, paired):
    """Every pair by a double loop, every draw run by hand."""
    driver, edge = engines.choose(FORCE_SHIFTED, "lammps"), paired.configuration.box[0]
    begin = frames.wrapped(mixture)
    quiet = paired.log["particles/inherent_position"].astype(float)
    expected = []
    for i in range(300):
        for j in range(i + 1, 300):
            v = quiet[j] - quiet[i]
            if np.linalg.norm(v - edge * np.rint(v / edge)) < 2.0:
                expected.append((i, j))
    np.testing.assert_array_equal(paired.log["bonds/pairs"], expected)
    r0, changes, kept = frames.unwrapped(begin), [], []
    for m in range(3):
        start = frames.copy(begin, log={})
        start.particles.velocity = base.thermal_velocities(
            300, 1.0, np.random.default_rng(np.random.SeedSequence((5, 0, m)))
        )
        run = driver.run(start, FORCE_SHIFTED, kT=1.0, duration=0.3, sample_times=[0.1, 0.3])
        final = [frames.unwrapped(f) for f in run]
        rows = []
        for i, j in expected:
            v = r0[j] - r0[i]
            v = v - edge * np.rint(v / edge)
            rows.append(
                [np.linalg.norm(v + (x - r0)[j] - (x - r0)[i]) - np.linalg.norm(v) for x in final]
            )
        changes.append(rows)
        share = []
        for i in range(300):
            v = r0 - r0[i]
            near = np.linalg.norm(v - edge * np.rint(v / edge), axis=1) < 1.35
            near[i] = False
            w = final[1][near] - final[1][i]
            share.append(np.mean(np.linalg.norm(w - edge * np.rint(w / edge), axis=1) < 1.9))
        kept.append(share)
    np.testing.assert_allclose(paired.log["bonds/change"], np.mean(changes, axis=0), atol=2e-6)
    np.testing.assert_allclose(
        paired.log["bonds/change_variance"], np.var(changes, axis=0, ddof=1), atol=2e-6
    )
    np.testing.assert_allclose(
        paired.log["particles/bond_breaking_1.9"][:, 1], np.mean(kept, axis=0), atol=1e-6
    )
    energy = driver.evaluate(frames.copy(begin, log={}), FORCE_SHIFTED).log["potential_energy"][0]
    assert paired.log["particles/inherent_energy"].mean() == pytest.approx(
        paired.log["inherent_energy"][0], rel=1e-5
    )
    assert paired.log["inherent_energy"][0] < energy - 0.3


def test_packed_pairs_say_the_same(paired, tmp_path):
    packed = dynamics.pack_pairs(paired, time=1)
    frames.write(tmp_path / "packed.gsd", packed)
    (back,) = frames.read(tmp_path / "packed.gsd")
    assert "bonds/pairs" not in back.log
    whole, found = dynamics.pair_labels(paired, time=1), dynamics.pair_labels(back)
    np.testing.assert_array_equal(found.pairs, whole.pairs)
    assert found.time == whole.time == pytest.approx(0.3)
    for a, b in ((found.change, whole.change), (found.variance, whole.variance)):
        assert np.abs(a - b).max() <= np.abs(b).max() / 32767
    assert back.log["bonds/change"].nbytes * 4 == paired.log["bonds/change"].nbytes
    # labels of another configuration
    other = frames.copy(back, log=dict(back.log))
    other.log["particles/inherent_position"] = np.roll(
        back.log["particles/inherent_position"], 1, axis=1
    ) * np.float32(0.98)
    with pytest.raises(frames.FrameError, match="belong to another configuration"):
        dynamics.pair_labels(other)
    with pytest.raises(frames.FrameError, match="no log\\['bonds/change'\\]"):
        dynamics.pair_labels(frames.copy(paired, log={}))


def test_labels_of_pairs_resume(mixture, paired, tmp_path):
    """Two of three draws, then a stop: the rest is made, and nothing changes."""
    path = tmp_path / "pairs.gsd"
    with pytest.raises(Stop):
        simulate.isoconfigurational(
            mixture, FORCE_SHIFTED, path=path, progress=stop_after(2), **PAIRS
        )
    assert len(list((tmp_path / "pairs.gsd.parts" / "0000").glob("*.npz"))) == 2
    (again,) = simulate.isoconfigurational(mixture, FORCE_SHIFTED, path=path, **PAIRS)
    same(again, paired)
    with pytest.raises(frames.FrameError, match="pair_radius"):
        simulate.isoconfigurational(
            mixture, FORCE_SHIFTED, path=path, **PAIRS | {"pair_radius": 1.5}
        )
    with pytest.raises(ValueError, match="inherent=True"):
        simulate.isoconfigurational(mixture, FORCE_SHIFTED, **PAIRS | {"inherent": False})


def test_snapshots_are_the_ends_of_the_windows():
    made = simulate.equilibrated(
        FORCE_SHIFTED.with_(n=200), kT=2.0, sample_times=[0.5, 1.0], n_windows=3, n_thermo=2,
        engine="lammps",
    )  # fmt: skip
    found = simulate.snapshots(made, first=1)
    assert [f.log["age"][0] for f in found] == pytest.approx([2.0, 3.0])
    np.testing.assert_array_equal(found[-1].particles.position, made.particles.position)
    assert np.abs(found[0].particles.position - found[1].particles.position).max() > 0.1
    with pytest.raises(ValueError, match="first is 3"):
        simulate.snapshots(made, first=3)
    with pytest.raises(frames.FrameError, match="equilibration/position"):
        simulate.snapshots(found[0])


def test_replicas_of_others_get_the_same_labels(mixture, paired):
    """Displacements of the draws, put in as a public file would hold them."""
    driver, begin = engines.choose(FORCE_SHIFTED, "lammps"), frames.wrapped(mixture)
    moved = []
    for m in range(3):
        start = frames.copy(begin, log={})
        start.particles.velocity = base.thermal_velocities(
            300, 1.0, np.random.default_rng(np.random.SeedSequence((5, 0, m)))
        )
        run = driver.run(start, FORCE_SHIFTED, kT=1.0, duration=0.3)
        moved.append(frames.unwrapped(list(run)[-1]) - frames.unwrapped(begin))
    public = frames.copy(begin, log={})
    public.log["particles/replica_displacement"] = (
        np.stack(moved).transpose(1, 0, 2).reshape(300, -1).astype(np.float32)
    )
    found = simulate.label_replicas(
        public, FORCE_SHIFTED, bond_cutoffs=(1.35, 1.7, 1.9), pair_radius=2.0, engine="lammps"
    )
    for name in ("propensity", "propensity_variance", "bond_breaking", "bond_breaking_1.9"):
        key = f"particles/{name}"
        np.testing.assert_allclose(found.log[key][:, 0], paired.log[key][:, 1], atol=2e-5)
    a, b = dynamics.pair_labels(found, time=0), dynamics.pair_labels(paired, time=1)
    np.testing.assert_array_equal(a.pairs, b.pairs)
    np.testing.assert_allclose(a.change, b.change, atol=2e-5)
    with pytest.raises(frames.FrameError, match="replicas=True"):
        simulate.label_replicas(mixture, FORCE_SHIFTED)


def test_windows_of_a_shorter_run_are_gone_on_with(tmp_path):
    """A window does not know how many follow: two of three serve a run of four."""
    system = FORCE_SHIFTED.with_(n=200)
    run = {"kT": 2.0, "sample_times": [0.5, 1.0], "n_thermo": 2, "engine": "lammps"}
    path = tmp_path / "liquid.gsd"
    with pytest.raises(Stop):
        simulate.equilibrated(system, n_windows=3, path=path, progress=stop_after(2), **run)
    made = simulate.equilibrated(system, n_windows=4, path=path, **run)
    whole = simulate.equilibrated(system, n_windows=4, **run)
    np.testing.assert_array_equal(made.particles.position, whole.particles.position)
    key = "equilibration/self_isf_A"
    np.testing.assert_array_equal(made.log[key], whole.log[key])
    assert simulate.provenance(made)["n_windows"] == 4


def test_finished_configurations_are_collected_and_the_run_goes_on_after_them(tmp_path):
    system = systems.get("hard-disks").with_(n=40)
    options = {"eta": 0.5, "sample_times": [0.5], "n_windows": 1, "n_thermo": 1}
    starts = [simulate.equilibrated(system, **options, seed=k) for k in range(3)]
    ask = {"n_replicas": 2, "sample_times": [0.1], "seed": 4}
    whole = simulate.isoconfigurational(starts, system, **ask)
    path = tmp_path / "iso.gsd"
    with pytest.raises(frames.FrameError, match="no finished configurations"):
        simulate.collect(path)

    def stop(done, n):
        if done >= 2 * 2:  # draws
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate.isoconfigurational(starts, system, **ask, path=path, progress=stop)
    n = len(list((tmp_path / "iso.gsd.parts").glob("????.gsd")))
    assert n
    assert n < 3
    assert simulate.collect(path) == n
    assert len(frames.read(path)) == n
    assert production.finished(path, 3) >= n
    shutil.rmtree(tmp_path / "iso.gsd.parts")  # as in a fresh clone
    assert production.finished(path, 3) == n
    with pytest.raises(frames.FrameError, match="seed"):  # another run is refused, the file stays
        simulate.isoconfigurational(starts, system, **{**ask, "seed": 5}, path=path)
    assert len(frames.read(path)) == n
    made = simulate.isoconfigurational(starts, system, **ask, path=path)
    for a, b, c in zip(made, whole, frames.read(path), strict=True):
        same(a, b)
        same(c, b)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iso.gsd"]
    with pytest.raises(frames.FrameError, match="holds 3 configurations; this run makes 1"):
        simulate.isoconfigurational(starts[:1], system, **ask, path=path)
