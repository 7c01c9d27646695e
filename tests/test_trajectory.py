"""One's own trajectory: what is understood of a file, and averages whose value is known."""

import warnings

import numpy as np
import pytest

from glasslib import dynamics, frames, systems, trajectory

D, DT, EDGE = 0.02, 0.004, 9.0
STEPS = 250  # between snapshots: one τ


def wander(n=400, T=101, *, d=3, seed=0, edge=EDGE, D=D):
    """(T, n, 3) Brownian positions with diffusion coefficient ``D``, unwrapped."""
    rng = np.random.default_rng(seed)
    x = np.zeros((T, n, 3))
    x[0, :, :d] = rng.uniform(-edge / 2, edge / 2, (n, d))
    x[1:, :, :d] = rng.normal(0, np.sqrt(2 * D * STEPS * DT), (T - 1, n, d))
    return np.cumsum(x, axis=0)


def dump(path, x, *, columns="id type x y z", edge=EDGE, tilt=0.0, seed=1):
    """What LAMMPS writes: rows in any order, wrapped where the columns say x, with images or not.

    Four fifths are of type 1.
    """
    rng, kind = np.random.default_rng(seed), np.where(np.arange(x.shape[1]) % 5 == 0, 2, 1)
    cell = np.array([[edge, tilt, 0], [0, edge, 0], [0, 0, edge]])
    high, bounds = edge / 2, ""
    for k in range(3):
        far = high + (tilt if k == 0 else 0)
        bounds += f"{-high} {far}" + (f" {tilt if k == 0 else 0}\n" if tilt else "\n")
    head = "pp pp pp" if not tilt else "xy xz yz pp pp pp"
    with path.open("w") as out:
        for k, here in enumerate(x):
            image = np.floor(here @ np.linalg.inv(cell).T + 0.5).astype(int)
            inside = here - image @ cell.T + np.array([tilt / 2, 0, 0])
            out.write(f"ITEM: TIMESTEP\n{k * STEPS}\nITEM: NUMBER OF ATOMS\n{len(here)}\n")
            out.write(f"ITEM: BOX BOUNDS {head}\n{bounds}ITEM: ATOMS {columns}\n")
            for i in rng.permutation(len(here)):
                values = {"id": i + 1, "type": kind[i]}
                values |= dict(zip("xyz", inside[i])) | dict(zip(("ix", "iy", "iz"), image[i]))
                values |= dict(zip(("xu", "yu", "zu"), here[i]))
                out.write(" ".join(f"{values[c]:.9g}" for c in columns.split()) + "\n")
    return path


def test_brownian_motion_relaxes_as_it_must(tmp_path):
    """F(q, t) = exp(−q² D t), so that τ = 1 / (q² D)."""
    path = dump(tmp_path / "run.lammpstrj", wander())
    t = trajectory.read(path, dt=DT, system="kob-andersen")
    found = t.relaxation_time("A", q=2.0)
    assert found.tau == pytest.approx(1 / (2.0**2 * D), rel=0.05)
    assert found.low < 1 / (2.0**2 * D) < found.high
    assert found.high < 2 * found.low
    curve = t.scattering("A", q=2.0)
    early = curve.times < 20
    np.testing.assert_allclose(curve.F[early], np.exp(-4 * D * curve.times[early]), atol=0.02)
    assert curve.origins[0] == trajectory.N_ORIGINS
    assert t.relaxation_time("B", q=2.0).species == "B"
    # half way down: ln 2 / (q² D)
    half = t.relaxation_time("A", q=2.0, level=0.5).tau
    assert half == pytest.approx(np.log(2) / (4 * D), rel=0.05)


def test_an_average_over_origins_is_the_plain_sum(tmp_path):
    x = wander(50, 12)
    t = trajectory.read(dump(tmp_path / "run.dump", x), dt=DT, system="kob-andersen")
    curve = t.scattering("B", q=3.0)
    mine = np.arange(50) % 5 == 0
    for lag in (1, 4, 11):
        r = np.linalg.norm(x[lag:, mine] - x[:-lag, mine], axis=2)
        k = int(np.argmin(np.abs(curve.times - lag)))
        assert curve.origins[k] == 12 - lag
        assert curve.F[k] == pytest.approx(np.mean(np.sin(3 * r) / (3 * r)), abs=1e-5)


@pytest.mark.parametrize("tilt", [0.0, 2.0])
@pytest.mark.parametrize("columns", ["x y z", "x y z ix iy iz", "xu yu zu"])
def test_mobility_does_not_depend_on_how_positions_are_written(tmp_path, columns, tilt):
    """Taken as they stand, wrapped positions say twice as much as is right."""
    x = wander(300, 30, D=0.04)
    path = dump(tmp_path / "run.lammpstrj", x, columns=f"id type {columns}", tilt=tilt)
    t = trajectory.read(path, dt=DT, system="kob-andersen")
    right = np.linalg.norm(x[29] - x[0], axis=1)
    np.testing.assert_allclose(t.mobility(29.0), right, atol=1e-4)
    naive = np.linalg.norm(t[29].particles.position - t[0].particles.position, axis=1)
    assert naive.mean() > 1.5 * right.mean()
    assert ("followed" in str(t)) == (columns == "x y z")
    assert ("tilted" in str(t)) == (tilt > 0)
    # every tenth frame alone is followed through all
    thin = trajectory.read(path, dt=DT, stride=10)
    np.testing.assert_allclose(thin.mobility(20.0), np.linalg.norm(x[20] - x[0], axis=1), atol=1e-4)


def test_what_cannot_be_followed_is_refused(tmp_path):
    x = wander(300, 4, D=2.0)
    t = trajectory.read(dump(tmp_path / "run.dump", x), dt=DT, system="kob-andersen")
    assert "box crossings: not known (particle" in str(t)
    assert "half the box" in str(t) or "of the box" in str(t)
    with pytest.raises(ValueError, match="crossings are not known"):
        t.mobility(3.0)
    with pytest.raises(ValueError, match="crossings are not known"):
        t.relaxation_time("A")
    r, g = t.radial_distribution(("A", "A"))  # structure needs no crossings
    assert g[r > 1].mean() == pytest.approx(1, abs=0.1)


def test_what_was_understood(tmp_path):
    t = trajectory.read(
        dump(tmp_path / "run.lammpstrj", wander(100, 5)), dt=DT, system="kob-andersen", stride=2
    )
    said = str(t).splitlines()
    assert said[0] == "run.lammpstrj: 3 frames of 100 particles (80 A, 20 B) in 3D"
    assert said[1] == "box 9 × 9 × 9; density 0.13717"
    assert said[2] == "times 0 to 4 τ, every 2"
    assert "followed from frame to frame, at most 0." in said[3]
    assert said[4] == "system kob-andersen: density 0.1372, there 1.2"
    assert (len(t), len(t[1:]), t[-1].particles.N) == (3, 2, 100)
    np.testing.assert_array_equal(t[1:].times, [2, 4])
    assert t.composition == {"A": 80, "B": 20}
    unlike = trajectory.read(tmp_path / "run.lammpstrj", system="wahnstrom", dt=DT)
    assert "A 0.8 of all, there 0.5" in str(unlike)
    untimed = trajectory.read(tmp_path / "run.lammpstrj")
    assert "times not known: give dt=" in str(untimed)
    with pytest.raises(ValueError, match="give dt="):
        untimed.mobility(1.0)


def test_names_times_and_species_of_ones_own(tmp_path):
    x = wander(50, 3)
    path = dump(tmp_path / "configuration.100", x)
    renamed = trajectory.read(path, format="lammps", rename={"A": "Ni", "B": "P"}, times=[0, 1, 5])
    assert renamed.composition == {"Ni": 40, "P": 10}
    assert renamed.find(4.5) == 2
    with pytest.warns(UserWarning, match="do not join"):
        swapped = frames.read(path, format="lammps", rename={"A": "B", "B": "A"}, stride=2)
    assert len(swapped) == 2
    assert swapped[0].particles.types == ["B", "A"]
    for wrong, told in {
        "format is 'pdb'": {"format": "pdb"},
        "no species C to rename; it has A, B": {"format": "lammps", "rename": {"C": "A"}},
        "stride is 0": {"format": "lammps", "stride": 0},
        "expected different names": {"format": "lammps", "rename": {"A": "B"}},
    }.items():
        with pytest.raises(ValueError, match=wrong) as error:
            frames.read(path, **told)
        assert "\n" not in str(error.value)


def test_requests_that_cannot_be_met_are_refused_in_one_line(tmp_path):
    x = wander(100, 8)
    path = dump(tmp_path / "run.dump", x)
    t = trajectory.read(path, dt=DT, system="kob-andersen")
    swapped = [frames.copy(f) for f in t]
    swapped[3].particles.typeid = np.roll(swapped[3].particles.typeid, 1)
    for told, ask in {
        "dt is -1": lambda: trajectory.read(path, dt=-1),
        "both given": lambda: trajectory.read(path, dt=DT, times=[0, 1]),
        "holds 8 frames, times 2": lambda: trajectory.read(path, times=[0, 1]),
        "do not ascend": lambda: trajectory.read(path, times=[0, 1, 1, 2, 3, 4, 5, 6]),
        "or are not finite": lambda: trajectory.read(path, times=[*range(7), np.inf]),
        "no frame 8; expected a whole number": lambda: t.mobility(1.0, start=8),
        "no frame 0.5": lambda: t.find(1.0, start=0.5),
        "has no frame 99": lambda: t.run_again(99, kT=1, n_replicas=1, sample_times=[1]),
        "r_max is nan": lambda: t.radial_distribution(r_max=np.nan),
        "expected two species": lambda: t.radial_distribution(("A",)),
        "knows A, B. Say rename=": lambda: trajectory.read(
            path, rename={"A": "Ni"}, system="kob-andersen"
        ),
        "is 3D; system 'hard-disks' is 2D": lambda: trajectory.read(path, system="hard-disks"),
        "no frame is 100 after frame 0": lambda: t.mobility(100.0),
        "expected a time, or 'tau_alpha'": lambda: t.mobility("tau"),
        "no species 'C'; it has A, B": lambda: t.scattering("C"),
        "no wave number; give q=": lambda: trajectory.read(path, dt=DT).scattering("A"),
        "falls only to": lambda: t.relaxation_time("A", q=0.5),
        "below 0.368 already": lambda: t.relaxation_time("A", q=50.0),
        "holds other particles than the first": lambda: trajectory.Trajectory(swapped),
        "holds no frames": lambda: trajectory.Trajectory([]),
        "expected several": lambda: t[:1].scattering("A"),
    }.items():
        with pytest.raises(ValueError, match=told) as error:
            ask()
        assert "\n" not in str(error.value)


def test_the_lag_tau_alpha_is_the_relaxation_time(tmp_path):
    x = wander(400, 80, D=0.02)
    system = systems.get("kob-andersen").with_(wavenumber=2.0)
    t = trajectory.read(dump(tmp_path / "run.dump", x), dt=DT, system=system)
    end = t.find(t.relaxation_time("A").tau)
    assert end == pytest.approx(12.5, abs=1)
    np.testing.assert_allclose(t.mobility(), np.linalg.norm(x[end] - x[0], axis=1), atol=1e-4)
    later = t.mobility(10.0, start=-20)
    np.testing.assert_allclose(later, np.linalg.norm(x[70] - x[60], axis=1), atol=1e-4)


def test_unevenly_spaced_frames_pair_up():
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.1, 10.0])
    lags, pairs = trajectory._pair_up(times)
    assert len(lags) == len({round(b - a, 9) for a in times for b in times if b > a})
    for lag, (i, j) in zip(lags, pairs):
        np.testing.assert_allclose(times[j] - times[i], lag, rtol=1e-4)
    assert len(pairs[0][0]) == 3  # 0.1: three origins
    long, _ = trajectory._pair_up(np.arange(3000.0))
    assert len(long) <= trajectory.N_LAGS
    assert (long[0], long[-1]) == (1, 2999)


def test_flat_and_three_species(tmp_path):
    x = wander(90, 40, d=2, D=0.03)
    kind = np.arange(90) % 3
    made = []
    for k, here in enumerate(x):
        frame = frames.build(here[:, :2], EDGE, kind, types="ABC", dimensions=2)
        frame.configuration.step = k * STEPS
        made.append(frame)
    t = trajectory.read(frames.write(tmp_path / "flat.gsd", made), dt=DT)
    assert str(t).splitlines()[0].endswith("90 particles (30 A, 30 B, 30 C) in 2D")
    # J0 averaged over steps of a plane: exp(−q² D t) as well
    assert t.relaxation_time("C", q=2.0).tau == pytest.approx(1 / (4 * 0.03), rel=0.25)


def drifting(masses=None):
    """Brownian motion, and 0.05 a frame along x for all; of the light half, 0.05 more."""
    x = wander(200, 41, seed=3)
    made = []
    for k, here in enumerate(x):
        kind = np.arange(200) % 2
        frame = frames.build(here + [0.05 * k, 0, 0] + 0.05 * k * kind[:, None] * [1, 0, 0], EDGE,
                             kind)  # fmt: skip
        if masses:
            frame.particles.mass = np.array(masses, np.float32)[kind]
        made.append(frame)
    return x, made


def test_a_drift_is_said_and_taken_out_on_request():
    x, made = drifting()
    t = trajectory.Trajectory(made, np.arange(41.0))
    with pytest.warns(UserWarning, match="centre of mass goes .* remove_drift=True"):
        moved = t.mobility(40.0)
    with pytest.warns(UserWarning, match="remove_drift=True"):
        t.scattering("A", q=2.0)
    assert "centre of mass: goes" in str(t)
    plain = dynamics.displacement(*(frames.unwrapped(made[k]) for k in (0, 40)))
    np.testing.assert_array_equal(moved, plain)  # as everywhere: not taken out unasked

    still = trajectory.Trajectory(made, np.arange(41.0), remove_drift=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(still.drift()[-1], (x[-1] - x[0]).mean(0) + [3, 0, 0], atol=1e-5)
        assert still[3:].mobility(30.0).mean() < moved.mean()
        half = still.positions()
    np.testing.assert_allclose(half.mean(axis=1), np.tile(half[0].mean(axis=0), (41, 1)), atol=1e-9)
    assert "which is taken out" in str(still)
    # the heavy ones rule, where frames have masses
    heavy = trajectory.Trajectory(drifting([1e6, 1])[1], np.arange(41.0))
    assert heavy.drift()[-1, 0] == pytest.approx(2 + (x[-1] - x[0])[::2, 0].mean(), abs=1e-3)
    # no drift but that of chance: nothing is said
    alone = [frames.build(here, EDGE, np.arange(200) % 2) for here in x]
    t = trajectory.Trajectory(alone, np.arange(41.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        t.mobility(40.0)
    assert "centre of mass" not in str(t)


@pytest.mark.slow
def test_a_hundred_thousand_particles():
    n, edge = 100_000, 44.0
    made = []
    for k, here in enumerate(wander(n, 6, edge=edge)):
        frame = frames.build(here, edge, np.arange(n) % 5 == 0)
        frame.configuration.step = k
        made.append(frame)
    t = trajectory.Trajectory(made, np.arange(6.0), system=systems.get("kob-andersen"))
    assert t.scattering("A", q=3.0).F[2] == pytest.approx(np.exp(-9 * D * 3), abs=0.01)
    assert t.mobility(5.0).mean() == pytest.approx(np.sqrt(16 * D * 5 / np.pi), rel=0.01)
    assert dynamics.displacement(*t.positions()[[0, 5]]).shape == (n,)
