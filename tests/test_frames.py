"""Frames: building, wrapping, checking; readers against files from LAMMPS and from outside."""

import gzip

import numpy as np
import pytest
from oracles import external, pair_sum, same

from glasslib import engines, frames, simulate, systems
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
        "ITEM: ATOMS id type x y z ix iy iz fx fy fz c_pe q\n"
        "2 2 9 9 9 0 -1 0 1 2 3 -4 0.5\n1 1 1 2 3 1 0 2 0 0 0 -5 0.25\n"
    )
    (f,) = frames.read(path)
    assert f.configuration.step == 300
    assert f.log["time"][0] == 1.5
    np.testing.assert_allclose(f.particles.position, [[-4, -3, -2], [4, 4, 4]])
    np.testing.assert_array_equal(f.particles.image, [[1, 0, 2], [0, -1, 0]])
    np.testing.assert_array_equal(f.log["particles/force"], [[0, 0, 0], [1, 2, 3]])
    np.testing.assert_array_equal(f.log["particles/energy"], [-5, -4])
    np.testing.assert_array_equal(f.log["particles/q"], [0.25, 0.5])
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
        '2\nLattice="10 0 0 2 10 0 0 0 10" Properties=species:S:1:pos:R:3:forces:R:3:id:I:1 '
        'Time=2.5 pbc="T T T"\n'
        "Ni 1 2 3 0.1 0.2 0.3 7\nP 11 2 3 0 0 0 8\n"
        '2\nLattice="10 0 0 2 10 0 0 0 10" Properties=species:S:1:pos:R:3:velo:R:3 Origin="1 0 0"\n'
        "P 1 2 3 4 5 6\nNi 1 2 3.5 0 0 0\n\n"
    )
    a, b = frames.read(path)
    assert a.particles.types == b.particles.types == ["Ni", "P"]
    assert list(a.particles.typeid) == [0, 1]
    assert list(b.particles.typeid) == [1, 0]
    np.testing.assert_allclose(a.configuration.box, [10, 10, 10, 0.2, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(a.particles.position[0], [-5, -3, -2])
    np.testing.assert_array_equal(a.particles.position[0], a.particles.position[1])
    np.testing.assert_array_equal(a.particles.image[1] - a.particles.image[0], [1, 0, 0])
    np.testing.assert_allclose(frames.unwrapped(b)[0], [-6, -3, -2])
    np.testing.assert_array_equal(b.particles.velocity[0], [4, 5, 6])
    np.testing.assert_array_equal(a.log["particles/force"][0], [0.1, 0.2, 0.3])
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


def test_unknown_suffix_lists_the_known(tmp_path):
    path = tmp_path / "a.foo"
    path.write_text("x")
    with pytest.raises(FrameError, match=r"\.foo.*\.gsd.*\.xyz"):
        frames.read(path)
