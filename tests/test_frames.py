"""Frames: building, wrapping, checking; readers against files from LAMMPS and from outside."""

import gzip
import io
import os
import pickle
import time
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from oracles import external, pair_sum, refuses, same

from glasslib import dynamics, engines, frames, simulate, systems
from glasslib.formats import untrusted
from glasslib.frames import FrameError

TILTED = np.array([6.0, 5.5, 5.0, 0.3, -0.2, 0.4])


def random_frame(rng, *, n=40, box=TILTED, dimensions=3, spread=3.0):
    cell = frames.cell_matrix(box)
    position = rng.uniform(-spread, spread, (n, 3)) @ cell.T
    velocity = rng.normal(size=(n, 3))
    if dimensions == 2:
        position[:, 2] = velocity[:, 2] = 0
    typeid = np.arange(n) % 2
    return position, frames.build(position, box, typeid, dimensions=dimensions, velocity=velocity)


# ------------------------------------------------------------------------------ build and wrap


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("box", [TILTED, np.array([6.0, 5.5, 5.0, 0, 0, 0])])
def test_build_wraps_and_unwrapped_undoes_it(box, dimensions):
    rng = np.random.default_rng(1)
    position, frame = random_frame(rng, box=box, dimensions=dimensions)
    np.testing.assert_allclose(frames.unwrapped(frame), position, atol=3e-6)
    cell = frames.cell_matrix(frame.configuration.box)[:dimensions, :dimensions]
    inside = np.linalg.solve(cell, frame.particles.position[:, :dimensions].T)
    assert np.abs(inside).max() <= 0.5 + 1e-6
    assert frames.dimensions(frame) == dimensions
    assert frame.particles.position.dtype == np.float32


def test_wrapping_is_idempotent_and_blind_to_images():
    rng = np.random.default_rng(2)
    position, frame = random_frame(rng)
    assert frames.wrapped(frame) is frame
    shift = rng.integers(-3, 4, (40, 3)) @ frames.cell_matrix(frame.configuration.box).T
    moved = frames.copy(frame)
    moved.particles.position = (frame.particles.position + shift).astype(np.float32)
    back = frames.wrapped(moved)
    np.testing.assert_allclose(frames.unwrapped(back), frames.unwrapped(moved), atol=1e-5)
    np.testing.assert_allclose(back.particles.position, frame.particles.position, atol=1e-5)
    again = frames.build(position, TILTED, frame.particles.typeid)
    np.testing.assert_array_equal(again.particles.position, frame.particles.position)


def test_box_shapes_volume_and_heights():
    x, t = np.zeros((1, 2)), [0]
    assert frames.volume(frames.build(x, 4.0, t, dimensions=2)) == 16
    assert frames.volume(frames.build(x, [4.0, 5.0], t, dimensions=2)) == 20
    assert frames.volume(frames.build(np.zeros((1, 3)), 2.0, t)) == 8
    np.testing.assert_allclose(frames.heights(np.array([4.0, 5, 0, 0, 0, 0])), [4, 5])
    np.testing.assert_allclose(frames.heights(np.array([4.0, 4, 0, 1, 0, 0])), [4 / 2**0.5, 4])
    box = TILTED
    a, b, c = frames.cell_matrix(box).T
    expected = [abs(np.dot(u, np.cross(v, w))) / np.linalg.norm(np.cross(v, w))
                for u, v, w in ((a, b, c), (b, c, a), (c, a, b))]  # fmt: skip
    np.testing.assert_allclose(frames.heights(box), expected)


def test_copy_is_independent():
    _, frame = random_frame(np.random.default_rng(3))
    frame.log = {"kT": np.array([1.0])}
    new = frames.copy(frame)
    new.particles.position[0] = 0
    new.log["kT"] = np.array([2.0])
    new.configuration.box[0] = 1
    assert frame.particles.position[0].any()
    assert frame.log["kT"][0] == 1
    assert frame.configuration.box[0] == 6
    assert frames.copy(frame, log={}).log == {}


# ----------------------------------------------------------------------------------------- GSD


def test_gsd_round_trip(tmp_path):
    rng = np.random.default_rng(4)
    made = []
    for dimensions in (2, 3):
        frame = random_frame(rng, dimensions=dimensions)[1]
        frame.log = {
            "particles/propensity": rng.normal(size=(40, 3)).astype(np.float32),
            "times": np.array([1.0, 2, 3]),
        }
        made.append(frame)
    path = frames.write(tmp_path / "new" / "run.gsd", made)
    for a, b in zip(made, frames.read(path), strict=True):
        same(a, b)
        np.testing.assert_array_equal(a.particles.velocity, b.particles.velocity)
    assert [p.name for p in path.parent.iterdir()] == ["run.gsd"]
    assert frames.read(frames.write(path, made[0]))[0].particles.N == 40


def test_gsd_of_others(tmp_path):
    """Flat boxes with a depth (HOOMD 2) and particles outside the box are put right."""
    frame = random_frame(np.random.default_rng(5), dimensions=2)[1]
    frame.configuration.box[2] = 1
    frame.configuration.dimensions = 2
    frame.particles.position[0, 0] += 2 * 6
    there = frames.unwrapped(frame)
    read = frames.read(frames.write(tmp_path / "old.gsd", frame))[0]
    assert frames.dimensions(read) == 2
    np.testing.assert_allclose(frames.unwrapped(read), there, atol=1e-5)
    assert np.abs(read.particles.position[0, 0]) < 6


def test_what_gsd_would_fill_in_from_the_first_frame(tmp_path):
    """GSD drops last frames equal to the first, and lends its labels and velocities to others."""
    frame = random_frame(np.random.default_rng(7))[1]
    path = tmp_path / "same.gsd"
    read = frames.read(frames.write(path, [frame] * 3))
    assert [f.configuration.step for f in read] == [0, 1, 2]
    for f in read:
        same(f, frame)
    still = frames.copy(frame)
    still.particles.velocity = still.particles.image = None
    _, f = frames.read(frames.write(path, [frame, still]))
    assert not f.particles.velocity.any()
    np.testing.assert_array_equal(frames.unwrapped(f), frames.unwrapped(still))
    labelled = frames.copy(frame, log={"particles/propensity": np.zeros(40)})
    with pytest.raises(FrameError, match="frame 1 lacks.*propensity"):
        frames.write(path, [labelled, frame])
    assert len(frames.read(path)) == 2


def test_a_failed_write_leaves_the_old_file(tmp_path):
    frame = random_frame(np.random.default_rng(6))[1]
    path = frames.write(tmp_path / "a.gsd", frame)
    before = path.read_bytes()

    def killed():
        with frames.atomic(path) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        killed()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------------------- LAMMPS dumps

COLUMNS = {
    "x": "id type x y z ix iy iz vx vy vz",
    "xs": "id type xs ys zs ix iy iz vx vy vz",
    "xu": "id type vx vy vz xu yu zu",
    "xsu": "type xsu ysu zsu id vx vy vz",
}


def dumped_by_lammps(path, frame, system, columns, *, snapshots=1):
    engine = engines.choose(system, "lammps")
    with engine._instance(frame, system, velocity=frame.particles.velocity) as lmp:
        lmp.command("run 0 post no")
        for _ in range(snapshots):
            lmp.command(
                f"write_dump all custom {path} {columns} modify format float %.9g append yes"
            )


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("tilt", [0.0, 0.3])
@pytest.mark.parametrize("name", ["bihani-2d", "kob-andersen"])
def test_lammps_dump(tmp_path, name, tilt, columns):
    system = systems.get(name)
    d = system.dimensions
    start = simulate.lattice(system, n=216, seed=1)
    box = np.array(start.configuration.box)
    box[3:] = [tilt, 0, 0] if d == 2 else [tilt, -tilt, tilt / 2]
    rng = np.random.default_rng(0)
    velocity = rng.normal(size=(216, 3)) * (np.arange(3) < d)
    frame = frames.build(
        frames.unwrapped(start) + rng.normal(scale=0.05, size=(216, 3)) * (np.arange(3) < d)
        + np.array([20.0, 0, 0]) * (np.arange(216) % 3 == 0)[:, None],
        box, start.particles.typeid, dimensions=d, velocity=velocity,
    )  # fmt: skip
    path = tmp_path / "two.lammpstrj"
    engine = engines.choose(system, "lammps")
    shown = frames.copy(frame)
    if columns in ("xu", "xsu", "x", "xs"):  # LAMMPS itself counts images only from its start
        shown.particles.image = np.zeros((216, 3), dtype=np.int32)
    dumped_by_lammps(path, frame, system, COLUMNS[columns], snapshots=2)
    read = frames.read(path)
    assert len(read) == 2
    for r in read:
        assert frames.dimensions(r) == d
        np.testing.assert_array_equal(r.particles.typeid, frame.particles.typeid)
        assert r.particles.types == ["A", "B"]
        np.testing.assert_allclose(frames.unwrapped(r), frames.unwrapped(shown), atol=2e-5)
        np.testing.assert_allclose(r.particles.velocity, velocity, atol=1e-5)
        np.testing.assert_allclose(r.configuration.box, frame.configuration.box, atol=2e-6)
        energy = engine.evaluate(r, system).log["potential_energy"]
        np.testing.assert_allclose(
            energy, engine.evaluate(frame, system).log["potential_energy"], rtol=2e-3
        )


def test_lammps_dump_images_steps_and_other_columns(tmp_path):
    path = tmp_path / "a.dump"
    path.write_text(
        "ITEM: UNITS\nlj\nITEM: TIME\n1.5\nITEM: TIMESTEP\n300\nITEM: NUMBER OF ATOMS\n2\n"
        "ITEM: BOX BOUNDS pp pp pp\n0 10\n0 10\n0 10\n"
        "ITEM: ATOMS id type x y z ix iy iz fx fy fz c_pe q i_cage\n"
        "2 2 9 9 9 0 -1 0 1 2 3 -4 0.5 7\n1 1 1 2 3 1 0 2 0 0 0 -5 0.25 8\n"
    )
    (f,) = frames.read(path)
    assert f.configuration.step == 300
    assert f.log["time"][0] == 1.5
    np.testing.assert_allclose(f.particles.position, [[-4, -3, -2], [4, 4, 4]])
    np.testing.assert_array_equal(f.particles.image, [[1, 0, 2], [0, -1, 0]])
    np.testing.assert_array_equal(f.log["particles/force"], [[0, 0, 0], [1, 2, 3]])
    np.testing.assert_array_equal(f.log["particles/energy"], [-5, -4])
    np.testing.assert_array_equal(f.log["particles/q"], [0.25, 0.5])
    np.testing.assert_array_equal(f.log["particles/i_cage"], [8, 7])
    assert set(f.log) == {"time", *(f"particles/{k}" for k in ("force", "energy", "q", "i_cage"))}
    zipped = tmp_path / "a.dump.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    same(f, frames.read(zipped)[0])


def test_dimensions_of_a_dump(tmp_path):
    path = tmp_path / "flat.dump"
    head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n"
    path.write_text(head + "0 10\n0 10\n-0.5 0.5\nITEM: ATOMS id type x y\n1 1 1 2\n2 1 3 4\n")
    assert frames.dimensions(frames.read(path)[0]) == 2
    path.write_text(head + "0 9\n0 9\n0 9\nITEM: ATOMS id type x y z\n1 1 1 2 3\n2 1 3 4 3\n")
    assert frames.dimensions(frames.read(path)[0]) == 2
    (f,) = frames.read(path, dimensions=3)
    assert frames.dimensions(f) == 3
    np.testing.assert_allclose(f.particles.position[:, 2], -1.5)


# ----------------------------------------------------------------------------------------- XYZ


def test_extended_xyz(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(
        '2\nLattice="10 0 0 2 10 0 0 0 10" Properties=species:S:1:pos:R:3:tag:S:1:forces:R:3:'
        'id:I:1:propensity:R:1 Time=2.5 pbc="T T T"\n'
        "Ni 1 2 3 x 0.1 0.2 0.3 7 0.25\nP 11 2 3 y 0 0 0 8 0.5\n"
        '2\nLattice="10 0 0 2 10 0 0 0 10" Properties=species:S:1:pos:R:3:velo:R:3 Origin="1 0 0"\n'
        "P 1 2 3 4 5 6\nNi 1 2 3.5 0 0 0\n\n"
    )
    with pytest.warns(UserWarning, match="not the same particles"):
        a, b = frames.read(path)
    assert a.particles.types == b.particles.types == ["Ni", "P"]
    assert list(a.particles.typeid) == [0, 1]
    assert list(b.particles.typeid) == [1, 0]
    np.testing.assert_allclose(a.configuration.box, [10, 10, 10, 0.2, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(a.particles.position[0], [-5, -3, -2])
    np.testing.assert_array_equal(a.particles.position[0], a.particles.position[1])
    np.testing.assert_array_equal(a.particles.image[1] - a.particles.image[0], [1, 0, 0])
    assert not frames.images_known(b)  # other species in its rows
    alone = frames.copy(b, log={})
    np.testing.assert_allclose(frames.unwrapped(alone)[0], [-6, -3, -2])
    np.testing.assert_array_equal(b.particles.velocity[0], [4, 5, 6])
    np.testing.assert_array_equal(a.log["particles/force"][0], [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(a.log["particles/propensity"], [0.25, 0.5])
    assert "particles/tag" not in a.log
    assert a.log["time"] == 2.5


def test_plain_xyz_needs_a_box(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\na comment\n2 1 2 0\n1 3 4 0\n")
    (f,) = frames.read(path, box=10)
    assert frames.dimensions(f) == 2
    assert f.particles.types == ["A", "B"]
    assert list(f.particles.typeid) == [1, 0]
    np.testing.assert_allclose(f.particles.position, [[-4, -3, 0], [-2, -1, 0]])
    (f,) = frames.read(path, box=[8, 10, 12], dimensions=3)
    np.testing.assert_allclose(f.particles.position[0], [-3, -3, -6])


def test_rumd_file_is_a_force_and_energy_oracle():
    """Kob–Andersen of RUMD as partycls distributes it: another program's numbers."""
    system = systems.get("kob-andersen")
    (f,) = frames.read(external("partycls/kalj_N256_rho1.185_rumd.xyz.gz"))
    assert f.particles.types == ["A", "B"]
    assert list(np.bincount(f.particles.typeid)) == [205, 51]
    assert f.particles.N / frames.volume(f) == pytest.approx(1.185, abs=1e-3)
    ours = engines.choose(system, "lammps").evaluate(f, system)
    force = ours.log["particles/force"] - f.log["particles/force"]
    assert np.sqrt(np.mean(force**2)) < 1e-4
    # single-precision positions move stiff contacts by up to 5e-4
    assert np.abs(force).max() < 1e-3
    energy = ours.log["particles/energy"] - f.log["particles/energy"]
    assert np.abs(energy).max() < 1e-4
    slow = pair_sum(f, system)
    np.testing.assert_allclose(slow["particles/energy"], f.log["particles/energy"], atol=1e-4)


# ------------------------------------------------------------------------------------- GraphML


@pytest.mark.parametrize("k", [4, 9, 14])
def test_ml_dos_graph_is_an_energy_oracle(k):
    system = systems.get("bihani-2d")
    path = external(f"ml-dos/{k}Norm.gml")
    (f,) = frames.read(path, density=1.2)
    assert list(np.bincount(f.particles.typeid)) == [325, 175]
    assert frames.dimensions(f) == 2
    ours = engines.choose(system, "lammps").evaluate(f, system)
    energy = ours.log["particles/energy"] - f.log["particles/energy"]
    assert np.abs(energy).max() < 1e-3
    same(f, frames.read(path, box=20.412414523193153)[0])


def test_ml_dos_bonds_are_the_neighbours_within_the_published_cutoffs():
    system = systems.get("bihani-2d")
    (f,) = frames.read(external("ml-dos/4Norm.gml"), density=1.2)
    i, j = f.log["bonds"].astype(int).T
    assert np.all(i != j)
    edge = float(f.configuration.box[0])
    x = np.asarray(f.particles.position, dtype=float)
    kind = f.particles.typeid
    apart = x[:, None] - x[None]
    r = np.linalg.norm(apart - edge * np.rint(apart / edge), axis=2)
    cut = np.array([[1.50, 1.242], [1.242, 2.00]])[kind[:, None], kind[None]]
    expected = {(a, b) for a, b in np.argwhere(r < cut) if a < b}
    assert system.bond_cutoffs[("B", "B")] == 2.00
    given = {(min(a, b), max(a, b)) for a, b in zip(i, j)}
    assert len(expected ^ given) < 0.01 * len(given)


def test_graphml_sorts_nodes_by_number(tmp_path):
    path = tmp_path / "a.gml"
    node = (
        '<node id="{}"><data key="t">{}</data><data key="x">{}</data><data key="y">1</data></node>'
    )
    path.write_text(
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
        '<key attr.name="type" id="t"/><key attr.name="x" id="x"/><key attr.name="y" id="y"/>'
        "<graph>" + node.format(10, 2, 3.0) + node.format(9, 1, 4.0)
        + '<edge source="10" target="9"/></graph></graphml>'
    )  # fmt: skip
    (f,) = frames.read(path, box=10)
    assert list(f.particles.typeid) == [0, 1]
    np.testing.assert_allclose(f.particles.position[:, 0], [-1, -2])
    np.testing.assert_array_equal(f.log["bonds"], [[1, 0]])
    assert "particles/energy" not in f.log


# --------------------------------------------------------- isoconfigurational runs of others


def refuses_small(path, *words, memory=48e6):
    """A FrameError with all ``words``, in 2 s and ``memory`` bytes, no other error or warning."""
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(FrameError):
            frames.read(path)
    assert time.process_time() - started < 2
    tracemalloc.start()
    try:
        message = refuses(lambda: frames.read(path), path.name, *words)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < memory
    assert len(message) < 1000


def made_npz(path, *, dimensions=3, n=200, replicas=5, centred=False, **change):
    """A file like BOTAN's, its displacements (M, N, d) and its edge."""
    rng = np.random.default_rng(0)
    edge = (n / 1.2) ** (1 / dimensions)
    low = -edge / 2 if centred else 0.0
    x = rng.uniform(low, low + edge, (n, dimensions))
    moved = rng.normal(scale=0.5, size=(replicas, n, dimensions))
    arrays = {
        "types": (np.arange(n) % 5 == 4).astype(np.int8), "initial_positions": x,
        "positions": x + moved, **change,
    }  # fmt: skip
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return x, moved, edge


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_botan(tmp_path, dimensions, centred):
    path = tmp_path / "a.npz"
    x, moved, edge = made_npz(path, dimensions=dimensions, centred=centred)
    (f,) = frames.read(path, time=4120)
    assert frames.dimensions(f) == dimensions
    np.testing.assert_allclose(f.configuration.box[:dimensions], edge, rtol=1e-6)
    assert list(np.bincount(f.particles.typeid)) == [160, 40]
    r = np.linalg.norm(moved, axis=-1)
    np.testing.assert_allclose(f.log["particles/propensity"], r.mean(axis=0), rtol=1e-6)
    variance = f.log["particles/propensity_variance"]
    np.testing.assert_allclose(variance, r.var(axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(f.log["particles/replica_distance"], r.T, rtol=1e-6)
    assert f.log["times"] == 4120
    assert "particles/replica_displacement" not in f.log
    same(f, frames.read(frames.write(tmp_path / "a.gsd", f))[0])
    corner = 0.0 if centred else edge / 2
    apart = frames.unwrapped(f)[:, :dimensions] - (x - corner)
    np.testing.assert_allclose(apart, 0, atol=1e-6)
    (g,) = frames.read(path, replicas=True)
    back = g.log["particles/replica_displacement"].reshape(200, 5, dimensions)
    np.testing.assert_allclose(back.transpose(1, 0, 2), moved, atol=1e-6)


@pytest.mark.parametrize("centred", [False, True])
def test_botan_wrapped_final_positions(tmp_path, centred):
    x, moved, edge = made_npz(tmp_path / "a.npz", centred=centred)
    low = -edge / 2 if centred else 0.0
    made_npz(tmp_path / "b.npz", centred=centred, positions=(x + moved - low) % edge + low)
    (a,), (b,) = (frames.read(tmp_path / name, replicas=True) for name in ("a.npz", "b.npz"))
    assert (np.abs((x + moved - low) % edge + low - x) > edge / 2).any()
    for name in a.log:
        np.testing.assert_allclose(a.log[name], b.log[name], atol=1e-5)
    # unwrapped positions that went farther than half the box are taken as they are
    far = moved.copy()
    far[0, 0, 0] = 3 * edge
    made_npz(tmp_path / "c.npz", centred=centred, positions=x + far)
    (c,) = frames.read(tmp_path / "c.npz")
    assert c.log["particles/replica_distance"][0, 0] > 3 * edge - 1e-3


@pytest.mark.parametrize("centred", [False, True])
def test_botan_initial_positions_outside_the_box_of_the_file(tmp_path, centred):
    """As in GlassBench's files in two dimensions at T = 0.23."""
    path = tmp_path / "a.npz"
    x, moved, edge = made_npz(path, dimensions=2, centred=centred)
    shift = edge * np.random.default_rng(1).integers(-1, 2, x.shape)
    change = {"initial_positions": x + shift, "positions": x + shift + moved}
    made_npz(path, dimensions=2, **change)
    refuses(lambda: frames.read(path), "out of a box")
    made_npz(path, dimensions=2, box=np.array(edge), **change)
    (f,) = frames.read(path, replicas=True)
    back = f.log["particles/replica_displacement"].reshape(200, 5, 2)
    np.testing.assert_allclose(back.transpose(1, 0, 2), moved, atol=1e-5)
    apart = frames.unwrapped(f)[:, :2] - (x + shift)
    np.testing.assert_allclose(apart, apart[:1].repeat(200, axis=0), atol=1e-5)


def test_botan_boxes_and_types(tmp_path):
    path = tmp_path / "a.npz"
    x, moved, edge = made_npz(path, types=np.arange(200) % 3 + 1, box=np.full(3, 5.6))
    (f,) = frames.read(path)
    np.testing.assert_allclose(f.configuration.box[:3], 5.6)
    assert f.particles.types == ["A", "B", "C"]
    (f,) = frames.read(path, box=[5.5, 5.6, 5.7])
    np.testing.assert_allclose(f.configuration.box[:3], [5.5, 5.6, 5.7])
    (f,) = frames.read(path, density=1.1)
    assert 200 / frames.volume(f) == pytest.approx(1.1)
    refuses(lambda: frames.read(path, density=1.3), "out of a box", "density=")
    refuses(lambda: frames.read(path, box=7.0), "empty", "box=")
    refuses(lambda: frames.read(path, density=1.2, box=5.6), "both", "one")
    refuses(lambda: frames.read(path, density=-1), "density is -1")
    refuses(lambda: frames.read(path, box=[5.6, 5.6]), "3 positive edges")
    for box in ([5.6, 5.6, 5.6, 0, 0, 0], [5.6], 5.6):
        made_npz(path, box=np.array(box))
        np.testing.assert_allclose(frames.read(path)[0].configuration.box[:3], 5.6)
    for box in ([5.6, 5.6, 5.6, 0.1, 0, 0], [5.6, np.nan, 5.6], [5.6, 5.6]):
        made_npz(path, box=np.array(box))
        refuses(lambda: frames.read(path), "the file's box is", "expected 3 edges")
    made_npz(path, positions=np.asarray(moved)[:1])
    (f,) = frames.read(path)  # of one replica nobody knows the noise
    assert "particles/propensity_variance" not in f.log


def test_bad_npz(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"

    def bad(*words, **change):
        made_npz(path, **change)
        refuses(lambda: frames.read(path), "a.npz", *words)

    bad("lacks 'positions'", "types, initial_positions", positions=None)
    bad("lacks 'types'", types=None)
    bad("types has shape (7,); expected (200,)", types=np.zeros(7))
    bad("types hold 0.5", "whole numbers", types=np.full(200, 0.5))
    bad("from -1", types=np.full(200, -1))
    bad("(5, 7, 3)", "(M, N, d)", positions=np.zeros((5, 7, 3)))
    bad("(200, 3)", "(M, N, d)", positions=np.zeros((200, 3)))
    bad("(0, 200, 3)", "M > 0", positions=np.zeros((0, 200, 3)))
    bad("final", "finite", positions=np.full((5, 200, 3), np.nan))
    bad("initial", "finite", initial_positions=np.full((200, 3), np.inf))
    bad("no particles", initial_positions=np.zeros((0, 3)), positions=np.zeros((2, 0, 3)),
        types=np.zeros(0), n=200)  # fmt: skip
    bad("<U1", "numbers", types=np.full(200, "A"))
    monkeypatch.setattr(untrusted, "LARGEST", 20_000)
    bad("bytes or more as float64, above 20000", "untrusted.LARGEST higher")
    made_npz(path, other=np.zeros(100_000), positions=np.zeros((1, 200, 3)))
    with pytest.raises(FrameError, match="empty|out of"):  # the large one is not looked at
        frames.read(path, box=20.0)
    monkeypatch.undo()
    bad("pickle", types=np.array([object()] * 200))  # could run code; never loaded
    made_npz(path)
    data = path.read_bytes()
    for n in (1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:n])
        refuses(lambda: frames.read(path), "a.npz", "cut short")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path.write_bytes(buffer.getvalue())
    refuses(lambda: frames.read(path), "single array")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e300, -1e300, 1001])
def test_types_that_are_no_types(tmp_path, wrong):
    path = tmp_path / "a.npz"
    types = np.arange(200) % 2.0
    types[7] = wrong
    made_npz(path, types=types)
    refuses_small(path, f"types hold {wrong:g}; expected whole numbers, 0 to 1000")
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(bapst_like(types=types[:30])))
    refuses_small(path, f"types hold {wrong:g}; expected whole numbers, 0 to 1000")


def test_small_archives_do_not_take_the_machine(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    x, *_ = made_npz(path)
    large = {"initial_positions": x, "positions": x[None], "types": np.zeros(40_000_000, "i1")}
    np.savez_compressed(path, **large)
    assert path.stat().st_size < 100_000
    refuses_small(path, "its arrays take 320", "above 268435456")  # eight times what it unpacks to
    # small each, not together
    monkeypatch.setattr(untrusted, "LARGEST", 3_000_000)
    large["types"] = np.zeros(250_000)
    large["positions"] = np.zeros((1, 250_000))
    np.savez_compressed(path, **large)
    refuses_small(path, "its arrays take 4005", "above 3000000", memory=1e6)


def test_archives_that_name_an_array_twice(tmp_path):
    """As ``types.npy``, and as ``types``, where it may be of any size."""
    path = tmp_path / "a.npz"
    made_npz(path)
    (before,) = frames.read(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("types", bytes(100))
    same(before, frames.read(path)[0])


@pytest.mark.parametrize("i", range(1, 11))
def test_public_botan_set(i):
    """Mean propensity of A particles at the α time lies where the field puts it, .37 to .70."""
    (f,) = frames.read(external(f"botan/isoconfig_N4096T0.44_{i}_tc07.npz"))
    a = f.particles.typeid == 0
    assert a.sum() == 3277
    np.testing.assert_allclose(f.configuration.box[:3], 15.05658, atol=1e-5)
    mean = f.log["particles/propensity"][a]
    assert 0.37 < mean.mean() < 0.70
    assert 0.13 < mean.std() < 0.21
    assert mean.mean() < f.log["particles/propensity"][~a].mean()  # small particles are faster
    assert f.log["particles/replica_distance"].shape == (4096, 32)
    # what is read as positions is a liquid without overlaps, in the box that it says
    pairs = dynamics.bonds(f, 0.7)
    assert len(pairs) == 0


class ArraysOnly(pickle.Unpickler):
    """Python's own unpickler, for a file that is known to hold numpy arrays."""

    def find_class(self, module, name):
        assert (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
        }  # fmt: skip
        return np._core.multiarray._reconstruct if name == "_reconstruct" else getattr(np, name)


def test_public_bapst_sample():
    path = external("deepmind/test_small.pickle")
    (f,) = frames.read(path)
    with open(path, "rb") as file:
        data = ArraysOnly(file).load()
    order = np.argsort(data["time_indices"])
    np.testing.assert_allclose(f.log["times"], np.array(data["time"])[data["time_indices"]][order])
    np.testing.assert_allclose(f.log["isf"], data["is_values"][order])
    assert np.all(np.diff(f.log["isf"]) < 0)
    assert f.log["kT"] == 0.44
    assert f.log["pressure"] == 2.93
    final = np.array(data["trajectory_target_positions"])[order]  # (10, 30, 20, 3)
    moved = final - data["positions"]
    r = np.linalg.norm(moved, axis=-1)
    np.testing.assert_allclose(f.log["particles/propensity"], r.mean(axis=1).T, rtol=1e-5)
    variance = f.log["particles/propensity_variance"]
    np.testing.assert_allclose(variance, r.var(axis=1, ddof=1).T, rtol=1e-4)
    np.testing.assert_allclose(f.log["particles/replica_distance"], r[-1].T, rtol=1e-5)
    assert np.all(np.diff(f.log["particles/propensity"].mean(axis=0)) > 0)
    (g,) = frames.read(path, replicas=True)
    back = g.log["particles/replica_displacement"].reshape(20, 10, 30, 3)
    np.testing.assert_allclose(back.transpose(1, 2, 0, 3), moved, atol=1e-6)
    there = data["positions"] - data["box"] / 2
    np.testing.assert_allclose(frames.unwrapped(f), there, atol=1e-6)


def bapst_like(**change):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 5, (30, 3))
    data = {
        "positions": x, "types": (np.arange(30) % 5 == 4).astype(np.int32), "box": np.full(3, 5.0),
        "time": [0.0, 0.5, 1.0, 2.0], "time_indices": [1, 3, 2],
        "is_values": np.array([0.9, 0.5, 0.7]), "metadata": {"temperature": 0.44},
        "trajectory_target_positions": [
            [x + s * rng.normal(size=(30, 3)) for _ in range(4)] for s in (0.1, 0.3, 0.2)
        ],
        **change,
    }  # fmt: skip
    return {k: v for k, v in data.items() if v is not None}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(tmp_path, protocol):
    path = tmp_path / "a.pickle"
    data = bapst_like(box=np.asfortranarray(np.full(3, 5.0)), note=np.float64(3), extra=None)
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    (f,) = frames.read(path)
    np.testing.assert_array_equal(f.log["times"], [0.5, 1, 2])
    np.testing.assert_array_equal(f.log["isf"], [0.9, 0.7, 0.5])
    assert np.all(np.diff(f.log["particles/propensity"].mean(axis=0)) > 0)
    np.testing.assert_allclose(frames.unwrapped(f), data["positions"] - data["box"] / 2, atol=1e-6)


class Attack:
    """What a hostile pickle asks for when it is opened."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("wrapped_in", ["alone", "list", "dict value", "dict key"])
def test_hostile_pickles_do_nothing(tmp_path, wrapped_in):
    canary, path = tmp_path / "canary", tmp_path / "a.pickle"
    attacks = [
        Attack(os.system, f"touch {canary}"),
        Attack(eval, f"open({str(canary)!r}, 'w')"),
        Attack(open, str(canary), "w"),
        Attack(getattr, "x", "upper"),
        Attack(np.save, str(canary), np.zeros(3)),
        Attack(np.memmap, str(canary), "u1", "w+", 0, (9,)),
        Attack(np.array, [1]),
    ]
    for attack in attacks:
        held = {
            "alone": attack, "list": [attack], "dict value": bapst_like(types=attack),
            "dict key": {attack: 1},
        }[wrapped_in]  # fmt: skip
        path.write_bytes(pickle.dumps(held))
        refuses(lambda: frames.read(path), "a.pickle", "refused", "asks for")
    assert not canary.exists()


def asked_for(module, name):
    """A pickle of protocol 4 that asks for an object by a name of any kind."""
    both = (b"\x8c%c%b" % (len(x), x.encode()) for x in (module, name))
    return b"\x80\x04" + b"".join(both) + b"\x93."


def test_hostile_pickles_of_numpy_are_refused(tmp_path):
    path = tmp_path / "a.pickle"

    def bad(data, *words):
        path.write_bytes(data if isinstance(data, bytes) else pickle.dumps(data, protocol=2))
        refuses_small(path, "refused", *words)

    for name in ("os path.sys.exit", "numpy ndarray.__reduce__", "numpy dtype.__init__.__globals__",
                 "os.multiarray scalar", "numpy.core.multiarray.os multiarray"):  # fmt: skip
        bad(asked_for(*name.split()), "asks for " + name.replace(" ", "."))
    core = np._core.multiarray
    bad(Attack(core.scalar, np.dtype("O"), b"A" * 8), "type O8")
    bad(bapst_like(types=Attack(core.scalar, np.dtype("V8"), b"A" * 8)), "type V8")
    never_filled = Attack(core._reconstruct, np.ndarray, (0,), b"b")
    bad(never_filled, "no attribute 'value'")
    bad(bapst_like(types=never_filled), "no attribute 'value'")
    # a byte order that makes a type of another kind with the f8 that follows it
    held = pickle.dumps(bapst_like(), protocol=2)
    for order in (b"f8,", b"2", b"", b"<<", b"(2,)"):
        spoilt = held.replace(b"X\1\0\0\0<", b"X%c\0\0\0%b" % (len(order), order))
        assert spoilt != held
        bad(spoilt, f"byte order {order.decode()!r}")


def test_bad_pickles(tmp_path):
    path = tmp_path / "a.pickle"

    def bad(data, *words):
        path.write_bytes(pickle.dumps(data))
        refuses(lambda: frames.read(path), "a.pickle", *words)

    bad(np.zeros(3), "ndarray", "dictionary")
    bad({}, "lacks 'positions'", "nothing")
    bad(bapst_like(types=np.array([None] * 30)), "refused", "type O8")
    bad({1: 2}, "holds a dict", "names")
    bad(bapst_like(types=["A"] * 30), "types holds text", "numbers")
    bad(bapst_like(types=["1"] * 30), "types holds text", "numbers")
    bad(bapst_like(types=[[1], [1, 2]]), "types does not become an array", "equal length")
    bad(bapst_like(types=[{}] * 30), "types does not become an array", "numbers")
    bad(bapst_like(types={1, 2}), "refused", "set")
    bad(bapst_like(box=np.full(2, 5.0)), "(2,)", "(3,)")
    bad(bapst_like(box=np.full(3, 4.0)), "out of a box")
    for wrong in (0, np.nan, 1e300):
        bad(bapst_like(box=[5, 5, wrong]), f"[5, 5, {wrong:g}]", "3 positive edges of ordinary")
    bad(bapst_like(time=None), "lacks 'time'", "time_indices")
    for indices in ([1, 3, 9], [1, -1, 2], [1, 1.5, 2], [1, np.nan, 2]):
        bad(bapst_like(time_indices=indices), "time_indices are", "from 0 to 3")
    bad(bapst_like(time_indices=[1, 3, 3]), "each once")
    bad(bapst_like(time=[0, np.nan, 1, 2]), "times are", "finite")
    bad(bapst_like(is_values=np.zeros(2)), "is_values", "3 finite numbers")
    bad(bapst_like(is_values=np.full(3, np.nan)), "is_values")
    bad(bapst_like(metadata={"temperature": np.inf}), "temperature is inf")
    for wrong in (np.nan, -1.0, 1e300):
        targets = [np.full(30, v) for v in (1.0, wrong, 2.0)]
        bad(bapst_like(targets=targets, trajectory_target_positions=[]), "targets", "0 or more")
    bad(bapst_like(trajectory_target_positions=[np.zeros((4, 30, 3))]), "1 of 3 times")
    bad(bapst_like(trajectory_target_positions=np.zeros((3, 4, 7, 3))), "(4, 7, 3)", "(M, 30, 3)")
    bad(bapst_like(positions=np.full((30, 3), np.nan)), "finite")
    data = pickle.dumps(bapst_like())
    for n in (1, 10, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:n])
        refuses(lambda: frames.read(path), "a.pickle", "refused", "cut short")


ARRAYS = ["positions", "types", "box", "time", "time_indices", "is_values", "targets",
          "trajectory_target_positions"]  # fmt: skip


def bapst_with(name, value):
    """Like ``bapst_like``, so that ``value`` under ``name`` is looked at, and all of it."""
    if name == "time":
        return bapst_like(time=value, time_indices=list(range(min(len(value), 3))))
    if name == "targets":
        return bapst_like(targets=value, trajectory_target_positions=[])
    return bapst_like(**{name: value})


@pytest.mark.parametrize("deep", ["deep", "wide", "arrays"])
@pytest.mark.parametrize("name", ARRAYS)
def test_small_pickles_do_not_take_the_machine(tmp_path, name, deep):
    """A list of the same list twice, and so on, where numpy would make each of them anew."""
    path = tmp_path / "a.pickle"
    nested = np.zeros((10, 3)) if deep == "arrays" else [1.0]
    width, depth = {"deep": (2, 24), "wide": (3000, 2), "arrays": (1000, 2)}[deep]
    for _ in range(depth):  # not more: it would take the machine if this failed
        nested = [nested] * width
    path.write_bytes(pickle.dumps(bapst_with(name, [nested] * 3)))
    assert path.stat().st_size < 30_000
    refuses_small(path, "refused: its arrays take", "above 268435456")


def test_objects_numbered_far_up_do_not_take_the_machine(tmp_path):
    path = tmp_path / "a.pickle"
    path.write_bytes(b"]r" + (2**27).to_bytes(4, "little") + b".")
    refuses_small(path, "refused", "numbers an object 134217728")


@pytest.mark.parametrize(
    "opcodes",
    [b"}%bNs.", b"}(%bNu.", b"(%bNd.", b"\x8f(%b\x90.", b"(%b\x91."],
    ids=["key", "keys", "dictionary", "set", "frozen set"],
)
def test_keys_that_take_long_to_hash_are_refused(tmp_path, opcodes):
    """A tuple of the same tuple twice, and so on: 2²⁸ steps; a dictionary or a set with it."""
    path = tmp_path / "a.pickle"
    path.write_bytes(opcodes % (b")" + b"2\x86" * 28))
    refuses_small(path, "refused", "unhashable" if b"N" in opcodes else "it holds a set")


def test_text_does_not_grow(tmp_path):
    path = tmp_path / "a.pickle"
    # bytes of one and the same text, again and again
    text = b"c_codecs\nencode\nq\0X" + (2**20).to_bytes(4, "little") + bytes(2**20)
    path.write_bytes(text + b"q\1NU\1x\x870(" + b"h\0h\1N\x86R" * 60 + b"l.")
    refuses_small(path, "holds a list", memory=20e6)
    # numpy would give each the width of the longest
    path.write_bytes(pickle.dumps(bapst_like(types=["A" * 1000] + [""] * 30_000)))
    refuses_small(path, "types holds text")


@pytest.mark.parametrize("name", ARRAYS)
def test_pickled_numbers_that_are_none(tmp_path, name):
    path = tmp_path / "a.pickle"
    for wrong in ([10**400, 1, 1], [1, 1, 10**5000], [None, 1, 1], ["1", "2", "3"], [b"1"] * 3):
        path.write_bytes(pickle.dumps(bapst_with(name, wrong)))
        refuses_small(path)


def test_messages_of_bad_pickles_are_short(tmp_path):
    path = tmp_path / "a.pickle"

    def bad(data, *words):
        path.write_bytes(pickle.dumps(data))
        refuses_small(path, *words)

    many = np.full(10_000, np.nan)
    bad(bapst_like(time_indices=many), "time_indices are [nan,", "nan] and more; expected")
    bad(bapst_like(is_values=many), "is_values are [nan,", "nan] and more; expected")
    every = list(range(10_000))
    bad(bapst_like(time=many, time_indices=every), "times are [nan,", "nan] and more; expected")
    bad(bapst_like(metadata={"temperature": 10**400}), "OverflowError")
    bad({10**5000: 1}, "expected a dictionary")  # a number that Python does not print


def test_bapst_averages_without_replicas(tmp_path):
    path = tmp_path / "a.pickle"
    targets = [np.full(30, v) for v in (1.0, 3.0, 2.0)]
    data = bapst_like(targets=targets, trajectory_target_positions=[])
    path.write_bytes(pickle.dumps(data))
    (f,) = frames.read(path)
    np.testing.assert_array_equal(f.log["particles/propensity"], np.tile([1, 2, 3], (30, 1)))
    assert "particles/propensity_variance" not in f.log
    refuses(lambda: frames.read(path, replicas=True), "0 of 3 times", "replicas=False")


# -------------------------------------------------------------------------- hard particles

SPH = (
    "2\n5 6 7\na 1 1 1 0.5\nb 2 2 2.5 0.25\n# note\n\n"
    "&3\n5 6 8\nb 6 -1 2 .25\na 0 0 0 1\nc 1 1 1 .1\n"
)
DSK = "2\n5 6 1\na 1 1 0.5\nb 2 8 0.25\n"


def test_spheres(tmp_path):
    path = tmp_path / "a.sph"
    path.write_text(SPH)
    a, b = frames.read(path)
    assert a.particles.types == b.particles.types == ["A", "B", "C"]
    assert list(a.particles.typeid) == [0, 1]
    assert list(b.particles.typeid) == [1, 0, 2]
    np.testing.assert_allclose(a.configuration.box, [5, 6, 7, 0, 0, 0])
    np.testing.assert_allclose(b.configuration.box, [5, 6, 8, 0, 0, 0])
    np.testing.assert_allclose(a.particles.position, [[-1.5, -2, -2.5], [-0.5, -1, -1]])
    np.testing.assert_allclose(frames.unwrapped(b)[0], [3.5, -4, -2])
    np.testing.assert_array_equal(b.particles.image[0], [1, -1, 0])
    np.testing.assert_allclose(b.particles.diameter, [0.5, 2, 0.2])
    assert b.particles.diameter.dtype == np.float32
    assert [f.configuration.step for f in (a, b)] == [0, 1]
    zipped = tmp_path / "a.sph.gz"
    zipped.write_bytes(gzip.compress(SPH.encode()))
    for one, other in zip((a, b), frames.read(zipped), strict=True):
        same(one, other)
    back = frames.read(frames.write(tmp_path / "a.gsd", a))[0]
    np.testing.assert_array_equal(back.particles.diameter, a.particles.diameter)


def test_disks(tmp_path):
    path = tmp_path / "a.dsk"
    path.write_text(DSK)
    (a,) = frames.read(path)
    assert frames.dimensions(a) == 2
    np.testing.assert_allclose(a.configuration.box, [5, 6, 0, 0, 0, 0])
    np.testing.assert_allclose(frames.unwrapped(a), [[-1.5, -2, 0], [-0.5, 5, 0]])
    np.testing.assert_allclose(a.particles.diameter, [1, 0.5])
    path.write_text(DSK.replace(" 0.5\n", " 0.7 0.5\n").replace(" 0.25", " 0.7 0.25"))
    same(a, frames.read(path)[0])  # z is ignored
    (tmp_path / "b.dsk.gz").write_bytes(gzip.compress(DSK.encode()))
    same(a, frames.read(tmp_path / "b.dsk.gz")[0])
    path.write_text(DSK.replace("b", "A"))  # upper case would make them one species
    assert frames.read(path)[0].particles.types == ["A", "a"]


def test_public_hard_spheres():
    """Boattini's state point: 3000 large and 7000 small spheres at η = 0.58, none overlapping."""
    (f,) = frames.read(external("cvt/binary_n10000.sph"))
    assert f.particles.types == ["A", "B"]
    assert list(np.bincount(f.particles.typeid)) == [3000, 7000]
    large = f.particles.typeid == 0
    np.testing.assert_allclose(f.particles.diameter[large], 1.0)
    np.testing.assert_allclose(f.particles.diameter[~large], 0.85)
    eta = np.pi / 6 * (f.particles.diameter.astype(float) ** 3).sum() / frames.volume(f)
    assert eta == pytest.approx(0.58, abs=1e-5)
    contact = {("A", "A"): 1.0, ("A", "B"): 0.925, ("B", "B"): 0.85}
    assert len(dynamics.bonds(f, 1 - 5e-6, sigma=contact)) == 0
    assert len(dynamics.bonds(f, 1 + 1e-3, sigma=contact)) > 100


def test_public_mixed_headers():
    path = external("cvt/sample.sph")
    refuses(lambda: frames.read(path), "line 14", "ball", "skip_confined=True")
    read = frames.read(path, skip_confined=True)
    assert [f.particles.N for f in read] == [2, 2, 2, 4]
    np.testing.assert_allclose(read[-1].configuration.box[:3], [50, 5, 3])
    assert read[0].particles.types == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("2\n5", "two\n5", ("line 1", "'two'", "number of particles")),
        ("2\n5", "0\n5", ("line 1", "at least 1")),
        ("2\n5", "-2\n5", ("line 1", "at least 1")),
        ("&3", "&4", ("line 7", "3 of 4", "cut short")),
        ("5 6 7", "5 6", ("line 2", "3 positive box edges")),
        ("5 6 7", "5 6 -7", ("line 2", "positive")),
        ("5 6 7", "5 nan 7", ("line 2", "positive")),
        ("5 6 8", "5 6 x", ("line 8", "3 positive box edges")),
        ("a 1 1 1 0.5", "a 1 1 1", ("line 3", "a radius")),
        ("b 2 2 2.5 0.25", "b 2 2 0.25", ("line 4", "a letter and 4 numbers")),
        ("b 2 2 2.5 0.25", "7 2 2 2.5 0.25", ("line 4", "a letter")),
        ("b 2 2 2.5 0.25", "b 2 2 z 0.25", ("line 4", "finite numbers")),
        ("b 2 2 2.5 0.25", "b 2 2 inf 0.25", ("line 4", "finite numbers")),
        ("c 1 1 1 .1", "c 1 1 1 0", ("line 11", "positive radius")),
        ("5 6 8", "ball 5 3", ("line 8", "skip_confined")),
    ],
)
def test_bad_spheres(tmp_path, old, new, words):
    assert old in SPH
    path = tmp_path / "a.sph"
    path.write_text(SPH.replace(old, new, 1))
    refuses(lambda: frames.read(path), "a.sph", *words)


@pytest.mark.parametrize("name", ["a.sph", "a.dsk"])
def test_spheres_cut_short_at_any_byte(tmp_path, name):
    text = {"a.sph": SPH, "a.dsk": DSK}[name]
    path = tmp_path / name
    whole = {text.index("# note"), text.index("\n&3"), text.index("&3")} if "#" in text else set()
    for n in range(len(text)):
        path.write_text(text[:n])
        # the first frame is whole, with or without the note and the blank line behind it
        if n in whole or (whole and text[:n].endswith("note\n")):
            assert len(frames.read(path)) == 1
        else:
            refuses(lambda: frames.read(path), name)


def test_options_of_the_new_readers(tmp_path):
    for name in ("a.npz.gz", "a.pickle.gz"):
        path = tmp_path / name
        path.write_text("x")
        refuses(lambda p=path: frames.read(p), "unknown suffix", ".npz", ".pickle", ".sph")
    (tmp_path / "a.sph").write_text(SPH)
    refuses(lambda: frames.read(tmp_path / "a.sph", box=5), "option 'box'", "skip_confined")


def test_unknown_suffix_lists_the_known(tmp_path):
    path = tmp_path / "a.foo"
    path.write_text("x")
    with pytest.raises(FrameError, match=r"\.foo.*\.gsd.*\.xyz"):
        frames.read(path)


def test_files_of_a_folder_by_name_and_number(tmp_path):
    for n in (10, 2, 1):
        frame = frames.build([[n / 10, 0, 0]], 5.0, [0])
        frames.write(tmp_path / f"run-{n}.gsd", frame)
    frames.write(tmp_path / "other.gsd", frame)
    found = frames.read_all(tmp_path, "run-*.gsd")
    assert list(found) == ["run-1", "run-2", "run-10"]
    assert found["run-10"].particles.position[0, 0] == pytest.approx(1.0)
    assert frames.read_all(tmp_path, "none-*") == {}
    frames.write(tmp_path / "run-3.gsd", [frame, frame])
    with pytest.raises(FrameError, match="run-3.gsd holds 2 frames"):
        frames.read_all(tmp_path, "run-*.gsd")


def test_one_column_stays_a_column(tmp_path):
    """One time of one draw: GSD itself would give (n, 1) back as (n,)."""

    def one(log):
        frame = frames.build(np.random.default_rng(0).uniform(size=(5, 3)) * 4, 5.0, [0] * 5)
        frame.log = log
        return frame

    column, row = np.arange(5.0)[:, None], np.arange(5.0)
    logs = [
        {"particles/propensity": column, "times": np.array([1.0]), "msd_A": np.array([[2.0]])},
        {"particles/propensity": row + 1, "times": np.array([1.0]), "msd_A": np.array([[3.0]])},
        {"particles/propensity": column, "times": np.array([[1.0]]), "msd_A": np.array([4.0])},
        {"particles/propensity": column + 2, "times": np.array([1.0]), "msd_A": np.array([[2.0]])},
    ]
    for chosen in (logs, logs[1:], logs[:1], logs[1:2]):
        back = frames.read(frames.write(tmp_path / "a.gsd", [one(log) for log in chosen]))
        for frame, log in zip(back, chosen, strict=True):
            assert set(frame.log) == set(log)
            for key, value in log.items():
                assert frame.log[key].shape == value.shape, key
                np.testing.assert_array_equal(frame.log[key], value)


def test_type_indices_are_whole_numbers_from_zero():
    frame = frames.build([[0, 0, 0], [1, 0, 0]], 5.0, [0, 1])
    for bad, words in (([-1, 0], "type index -1"), ([0, 2], "type index 2")):
        frame.particles.typeid = np.array(bad)
        with pytest.raises(FrameError, match=words):
            frames.check(frame)
    frame.particles.typeid = np.array([0.0, 1.0])
    with pytest.raises(FrameError, match="typeid has type float64"):
        frames.check(frame)
