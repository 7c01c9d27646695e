"""HOOMD-blue against LAMMPS, and what is particular to it; see test_engines.py for the rest."""

import numpy as np
import pytest
from oracles import external, pair_sum, refuses
from test_engines import SYSTEMS, start

from glasslib import engines, frames, simulate, structure, systems

pytestmark = pytest.mark.hoomd
hoomd = pytest.importorskip("hoomd", reason="HOOMD-blue is not installed (conda-forge has it)")


@pytest.fixture(scope="module")
def both():
    system = systems.get("kob-andersen")
    return engines.choose(system, "hoomd"), engines.choose(system, "lammps")


def test_hoomd_is_found_and_its_build_is_in_the_key():
    assert engines.available()["hoomd"]
    made = engines.fingerprint()["hoomd"]
    assert made["version"] == hoomd.version.version
    assert made["precision"] in ("64/32", "64/64", "32/32")
    assert made["device"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_frame_in_both_engines(both, name):
    system = SYSTEMS[name]
    a, b = (engine.evaluate(start(name, seed=3), system).log for engine in both)
    assert set(a) == set(b)
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=1e-5, atol=1e-5 * np.abs(b[key]).max())


@pytest.mark.parametrize("name", ["bihani-2d", "kob-andersen-force-shifted"])
def test_short_trajectories_stay_together(both, name):
    """Before chaos sets in, two integrators of one equation go the same way."""
    system = SYSTEMS[name]
    frame = both[1].minimize(start(name), system, force_tolerance=1.0)
    times = [0.1, 0.5]
    runs = [
        list(e.run(frame, system, kT=0.5, duration=0.5, sample_times=times, ensemble="nve", seed=4))
        for e in both
    ]
    for a, b in zip(*runs, strict=True):
        apart = frames.unwrapped(a) - frames.unwrapped(b)
        assert np.abs(apart).max() < 1e-4
        for key in ("potential_energy", "kinetic_energy", "pressure", "kT"):
            assert a.log[key][0] == pytest.approx(b.log[key][0], rel=1e-4, abs=1e-4)


def blocked(values: np.ndarray, blocks: int = 6) -> tuple[float, float]:
    """Mean and its standard error from block averages."""
    means = [b.mean() for b in np.array_split(values, blocks)]
    return float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(blocks))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bihani-2d", "kob-andersen"])
def test_same_liquid(both, name):
    """Mean energy, pressure, temperature and g(r) of NVT runs agree within block errors."""
    system = SYSTEMS[name]
    n = 100 if system.dimensions == 2 else 216
    frame = simulate.liquid(system, kT=1.5, n=n, melt_time=3, duration=6, seed=1, engine="lammps")
    times = np.arange(5, 65, 0.5)
    runs = [list(e.run(frame, system, kT=1.5, duration=65, sample_times=times)) for e in both]
    for key in ("potential_energy", "pressure", "kT"):
        (a, da), (b, db) = (blocked(np.array([f.log[key][0] for f in run])) for run in runs)
        assert abs(a - b) < 5 * np.hypot(da, db), key
    r_max = 0.49 * float(frame.configuration.box[0])
    g = [structure.radial_distribution(run, r_max=r_max, bins=40)[1] for run in runs]
    assert np.sqrt(np.mean((g[0] - g[1]) ** 2)) < 0.05


def test_rumd_oracle(both):
    """Forces and energies that RUMD wrote beside its positions."""
    (frame,) = frames.read(external("partycls/kalj_N256_rho1.185_rumd.xyz.gz"))[:1]
    log = both[0].evaluate(frame, systems.get("kob-andersen")).log
    error = log["particles/force"] - frame.log["particles/force"]
    assert np.sqrt(np.mean(error**2)) < 1e-4


def test_smallest_box(both):
    """A box of just twice the cut-off leaves no room for a neighbour-list buffer."""
    system = SYSTEMS["kob-andersen"]
    frame = start("kob-andersen", n=216)
    squeezed = frames.build(
        frame.particles.position * 0.8862, 5.0037, frame.particles.typeid, dimensions=3
    )
    a, b = (engine.evaluate(squeezed, system).log for engine in both)
    np.testing.assert_allclose(a["particles/force"], b["particles/force"], rtol=1e-6, atol=1e-2)
    np.testing.assert_allclose(a["potential_energy"], b["potential_energy"], rtol=1e-9)


def test_pushing_apart_keeps_images(both):
    system = SYSTEMS["bihani-2d"]
    frame = start("bihani-2d")
    frame.particles.position[1] = frame.particles.position[0] + np.float32([0.05, 0, 0])
    frame = frames.wrapped(frame)
    assert both[0].evaluate(frame, system).log["max_force"][0] > 1e10
    found = both[0].minimize(frame, system, force_tolerance=1e-3)
    assert found.log["max_force"][0] < 1e-3
    assert np.abs(frames.unwrapped(found) - frames.unwrapped(frame)).max() < 3
    assert np.abs(pair_sum(found, system)["particles/force"]).max() < 0.05


def test_force_shifted_energy_ends_at_zero(both):
    """HOOMD-blue's own ForceShiftedLJ leaves v(r_c) in; two particles just inside show it."""
    system = systems.get("kob-andersen-force-shifted")
    pair = system.pair("A", "A")
    for r in (pair.r_cut - 1e-3, 1.5, 1.0):
        frame = frames.build([[0, 0, 0], [r, 0, 0]], 12.0, [0, 0])
        energy = both[0].evaluate(frame, system).log["potential_energy"][0] * 2
        x = np.asarray(frame.particles.position, dtype=float)
        assert energy == pytest.approx(float(pair.energy(x[1, 0] - x[0, 0])), abs=1e-12)


def test_step_limit_is_kept(both):
    system = SYSTEMS["bihani-2d"]
    found = both[0].minimize(start("bihani-2d"), system, force_tolerance=1e-12, max_steps=70)
    assert found.log["max_force"][0] > 1e-12


def test_devices():
    from glasslib.engines.hoomd import Hoomd

    refuses(lambda: Hoomd("tpu"), "tpu", "auto, cpu or gpu")
    assert Hoomd("cpu")._device() is Hoomd("cpu")._device()  # one a process
    assert Hoomd("cpu").provenance()["device"] == "cpu"
    refuses(lambda: Hoomd(99).provenance(), "99", "GPU")
    if hoomd.device.GPU.get_available_devices():
        pytest.skip("this machine has a GPU; what is tested is its absence")
    frame = start("bihani-2d")
    refuses(lambda: Hoomd("gpu").evaluate(frame, SYSTEMS["bihani-2d"]), "GPU", "device='cpu'")


def test_bad_input(both):
    engine, system = both[0], SYSTEMS["bihani-2d"]
    frame = start("bihani-2d")
    together = frames.copy(frame)
    together.particles.position[1] = together.particles.position[0]
    refuses(lambda: engine.minimize(together, system), "same place")
    refuses(lambda: list(engine.run(together, system, kT=1.0, duration=1.0)), "overlap")
    refuses(lambda: list(engine.run(frame, system, kT=-1.0, duration=1.0)), "-1", "positive")
    refuses(lambda: engine.minimize(frame, system, force_tolerance=0.0), "force_tolerance")
    refuses(lambda: engine.evaluate(frame, SYSTEMS["kob-andersen"]), "2D", "3D")
    refuses(lambda: list(engine.run(frame, system, kT=1.0, duration=30.0, dt=0.2)), "lower dt")


@pytest.mark.slow
def test_same_propensity(both):
    """Independent velocity draws in the two engines: per particle, equal within their error."""
    system, n_replicas, times = systems.get("kob-andersen"), 32, [0.2, 1.0, 4.0]
    frame = simulate.liquid(
        system, kT=0.8, n=300, melt_time=10, duration=20, seed=2, engine="lammps"
    )
    logs = [
        simulate.isoconfigurational(
            frame, system, kT=0.8, n_replicas=n_replicas, sample_times=times, seed=seed,
            labels=("propensity", "propensity_variance"), engine=engine,
        )[0].log
        for engine, seed in (("hoomd", 1), ("lammps", 2), ("lammps", 3))
    ]  # fmt: skip

    def squared(a, b):  # squares of differences in units of their error, 1 in the mean
        error = (
            a["particles/propensity_variance"] + b["particles/propensity_variance"]
        ) / n_replicas
        return (a["particles/propensity"] - b["particles/propensity"]) ** 2 / error

    between, within = squared(logs[0], logs[1]).mean(axis=0), squared(logs[2], logs[1]).mean(axis=0)
    # motions of particles are correlated, so the mean over 300 scatters: 0.85 to 1.15 in trials
    assert np.all(np.abs(between - 1) < 0.4), between
    assert np.all(np.abs(within - 1) < 0.4), within
    r = np.corrcoef(logs[0]["particles/propensity"][:, 1], logs[1]["particles/propensity"][:, 1])[
        0, 1
    ]
    assert r > 0.85


# --------------------------------------------------------------------------------------- on a GPU


@pytest.fixture(scope="module")
def gpu():
    if not hoomd.device.GPU.get_available_devices():
        reasons = hoomd.device.GPU.get_unavailable_device_reasons()
        pytest.skip("HOOMD-blue sees no GPU" + (f": {reasons[0]}" if reasons else ""))
    return engines.choose(systems.get("kob-andersen"), "hoomd", device="gpu")


@pytest.mark.parametrize("name", SYSTEMS)
def test_gpu_forces_against_the_cpu(gpu, name):
    system = SYSTEMS[name]
    cpu = engines.choose(system, "hoomd", device="cpu")
    a, b = (engine.evaluate(start(name, seed=3), system).log for engine in (gpu, cpu))
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=1e-5, atol=1e-5 * np.abs(b[key]).max())
    assert gpu.provenance()["device"] != "cpu"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_gpu_ensemble(gpu, n_jobs, monkeypatch):
    """A short one; also from two workers that share a card."""
    system = systems.get("kob-andersen")
    monkeypatch.setenv(engines.DEVICE, "gpu")
    frame = engines.choose(system, "hoomd").minimize(
        start("kob-andersen"), system, force_tolerance=1.0
    )
    runs = [
        simulate.isoconfigurational(
            frame, system, kT=0.8, n_replicas=2, sample_times=[0.05, 0.5], seed=1, engine="hoomd",
            n_jobs=n_jobs,
        )[0]
        for _ in range(2)
    ]  # fmt: skip
    moved = [r.log["particles/propensity"] for r in runs]
    np.testing.assert_array_equal(*moved)  # neighbour lists are sorted
    assert 0.05 < moved[0][:, -1].mean() < 0.5
    assert simulate.provenance(runs[0])["device"] != "cpu"
