"""Other people's trajectories: the right number, or one line that says what is missing."""

import gzip
import warnings

import gsd.fl
import gsd.hoomd
import numpy as np
import pytest
from oracles import refuses

from glasslib import dynamics, frames, neighbors, snapshots, structure, systems
from glasslib.descriptors import hexatic

pytestmark = pytest.mark.filterwarnings("ignore:.*do not join:UserWarning")


def dump(path, *snapshots, flags="pp pp pp", bounds="0 10\n0 10\n0 10"):
    """A LAMMPS dump of (columns, rows), one a snapshot."""
    text = ""
    for k, (columns, rows) in enumerate(snapshots):
        text += f"ITEM: TIMESTEP\n{10 * k}\nITEM: NUMBER OF ATOMS\n{len(rows)}\n"
        text += f"ITEM: BOX BOUNDS {flags}\n{bounds}\nITEM: ATOMS {columns}\n"
        text += "".join(row + "\n" for row in rows)
    path.write_text(text)
    return path


def extended(
    path, *snapshots, columns="species:S:1:pos:R:3", lattice="10 0 0 0 10 0 0 0 10", more=""
):
    """An extended XYZ file of rows, one list a snapshot."""
    path.write_text(
        "".join(
            f'{len(rows)}\nLattice="{lattice}" Properties={columns} {more}\n'
            + "".join(row + "\n" for row in rows)
            for rows in snapshots
        )
    )
    return path


def moved(read):
    return dynamics.displacement(frames.unwrapped(read[0]), frames.unwrapped(read[-1]))


def gsd_of(path, *made, program=None):
    """A GSD file as gsd itself writes it, or as if another program had written it."""
    with gsd.hoomd.open(str(path), "w") as file:
        file.extend(made)
    if program:
        data = bytearray(path.read_bytes())
        with gsd.fl.open(str(path), "r") as file:
            at = data.index(file.application.encode())
        data[at : at + 64] = program.encode().ljust(64, b"\0")
        path.write_bytes(bytes(data))
    return path


def snapshot(positions, box=(9, 9, 9, 0, 0, 0), **particles):
    f = gsd.hoomd.Frame()
    f.particles.N, f.particles.position, f.particles.types = len(positions), positions, ["A"]
    if box is not None:
        f.configuration.box = box
    for name, value in particles.items():
        setattr(f.particles, name, value)
    return f


# ------------------------------------------------------------------------------- crossings

#: particle 1 goes 2 to the right, through the face at 10; particle 2 stays
BEFORE = {"x": "9", "xs": ".9", "xu": "9", "xsu": ".9", "ix": "0"}
AFTER = {"x": "1", "xs": ".1", "xu": "11", "xsu": "1.1", "ix": "1"}
OTHER = {"x": "5", "xs": ".5", "xu": "5", "xsu": ".5", "ix": "0"}


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize(
    "kinds",
    ["x xu", "xu x", "xs xu", "x xsu", "xs xsu", "x ix", "xs ix", "xu", "xsu", "xu ix x", "xsu xu",
     "ix xs xu"],
)  # fmt: skip
def test_what_tells_most_about_crossings_wins(tmp_path, kinds, d):
    axes = "xyz"[:d]
    names = [kind.replace("x", axis, 1) for kind in kinds.split() for axis in axes]

    def row(i, first):
        words = [
            (first if name.startswith(("x", "ix")) else OTHER)[
                name.replace(next(a for a in "xyz" if a in name), "x", 1)
            ]
            for name in names
        ]
        return f"{i} 1 " + " ".join(words)

    columns = "id type " + " ".join(names)
    path = dump(
        tmp_path / "a.dump",
        (columns, [row(1, BEFORE), row(2, OTHER), row(3, OTHER)]),
        (columns, [row(2, OTHER), row(1, AFTER), row(3, OTHER)]),
    )
    read = frames.read(path, dimensions=d)
    assert all(map(frames.images_known, read))
    np.testing.assert_allclose(moved(read), [2, 0, 0], atol=1e-5)


@pytest.mark.parametrize("kind", ["x", "xs", "x ix"])
def test_wrapped_positions_alone_do_not_pass_for_continuous_ones(tmp_path, kind):
    """With images along x alone those along y and z are missing."""
    columns = "id type x y z" if "s" not in kind else "id type xs ys zs"
    x = ("9", "1", "5") if "s" not in kind else (".9", ".1", ".5")
    rows = [[f"1 1 {x[2]} {x[k]} {x[2]}", f"2 1 {x[2]} {x[2]} {x[1]}"] for k in (0, 1)]
    if "ix" in kind:
        columns, rows = columns + " ix", [[row + " 0" for row in some] for some in rows]
    path = dump(tmp_path / "a.dump", *((columns, some) for some in rows))
    with pytest.warns(UserWarning, match="do not join: box crossings are not known"):
        read = frames.read(path)
    assert not any(map(frames.images_known, read))
    refuses(lambda: frames.unwrapped(read[0]), "wrapped positions and no images", "follow")
    far = frames.follow(read)
    np.testing.assert_allclose(dynamics.displacement(far[0], far[1]), [2, 0], atol=1e-5)
    # what does not need crossings does not mind
    assert neighbors.within(read[0], 4.9).counts.shape == (2,)


@pytest.mark.parametrize("how", ["xyz", "atooms", "dump", "gsd"])
def test_a_single_wrapped_snapshot_does_not_know_its_past(tmp_path, how):
    """A file a snapshot is how many programs write trajectories."""
    if how == "xyz":
        path = extended(tmp_path / "a.xyz", ["A 9 1 1", "A 5 5 6"])
    elif how == "atooms":
        path = tmp_path / "a.xyz"
        path.write_text("2\nstep:3 columns:id,pos cell:10,10,10\nA 1 1 1\nA 3 3 3\n")
    elif how == "dump":
        path = dump(tmp_path / "a.dump", ("id type x y z", ["1 1 9 1 1", "2 1 5 5 6"]))
    else:  # GSD has images, and 0 is one
        path = gsd_of(tmp_path / "a.gsd", snapshot([[4, 0, 0], [0, 0, 1]], typeid=[0, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (f,) = frames.read(path)
    if how == "gsd":
        assert frames.images_known(f)
        return
    refuses(lambda: frames.unwrapped(f), "no images", "frames.copy(frame, log={})")
    start = frames.copy(f, log={})
    np.testing.assert_array_equal(frames.unwrapped(start), f.particles.position)
    kept = frames.copy(f, log={"particles/x": np.zeros(2)})
    assert not frames.images_known(kept)
    back = frames.read(frames.write(tmp_path / "b.gsd", f))[0]
    assert not frames.images_known(back)


def test_snapshots_between_which_nobody_crossed_join(tmp_path):
    path = extended(tmp_path / "a.xyz", ["A 1 1 1", "A 5 5 6"], ["A 2 1 1", "A 5 5 6"])
    np.testing.assert_allclose(moved(frames.read(path)), [1, 0], atol=1e-5)


def test_positions_far_outside_were_never_wrapped(tmp_path):
    path = extended(tmp_path / "a.xyz", ["A 9 1 1", "A 5 5 6"], ["A 26 1 1", "A 5 5 6"])
    np.testing.assert_allclose(moved(frames.read(path)), [17, 0], atol=1e-5)
    path = extended(tmp_path / "a.xyz", ["A 9 1 1", "A 5 5 6"], ["A 1 1 1", "A 5 5 6"])
    refuses(lambda: moved(frames.read(path)), "no images")
    np.testing.assert_allclose(moved(frames.read(path, continuous=True)), [8, 0], atol=1e-5)


def test_follow_is_the_walk_and_refuses_to_guess(tmp_path):
    rng = np.random.default_rng(0)
    for d, tilt in ((2, 0.3), (3, 0.3), (3, 0.0)):
        box = np.array([8, 9, 10 * (d == 3), tilt, 0, 0.2 * (d == 3)])
        walk = np.cumsum(rng.normal(scale=0.7, size=(30, 20, 3)) * (np.arange(3) < d), axis=0)
        made = [frames.build(x, box, np.zeros(20, int), dimensions=d) for x in walk]
        np.testing.assert_allclose(frames.follow(made), walk, atol=1e-5)
        for f in made:
            f.log[frames.IMAGES_UNKNOWN] = np.array([frames.WRAPPED])
            f.particles.image = None
        found = frames.follow(made)
        np.testing.assert_allclose(found - found[0], walk - walk[0], atol=2e-5)
        refuses(
            lambda made=made: frames.follow(made[::25]), "of the box", "may have gone the other"
        )
    refuses(lambda: frames.follow([]), "no frames")
    refuses(lambda: frames.follow([made[0], frames.subset(made[1], [0, 1])]), "same particles")


def test_images_across_a_box_that_changes(tmp_path):
    """A particle at rest, ten crossings away, in a box that breathes: 10 ΔL is no displacement."""
    c = "id type x y z ix iy iz"
    text = ""
    for k, edge in enumerate((10, 10.1)):
        text += f"ITEM: TIMESTEP\n{k}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n"
        text += f"0 {edge}\n" * 3 + f"ITEM: ATOMS {c}\n1 1 1 1 1 10 0 0\n2 1 5 5 6 0 0 0\n"
    (tmp_path / "a.dump").write_text(text)
    made = [snapshot([[1, 1, 1], [2, 2, 2]], [e] * 3 + [0] * 3, image=[[10, 0, 0], [0, 0, 0]],
                     typeid=[0, 0]) for e in (10, 10.1)]  # fmt: skip
    for path in (tmp_path / "a.dump", gsd_of(tmp_path / "a.gsd", *made)):
        read = frames.read(path)
        refuses(lambda read=read: frames.unwrapped(read[0]), "the box changes", "follow")
        far = frames.follow(read)
        step = dynamics.displacement(far[0], far[1])
        assert step.max() < 0.1 * 3**0.5  # about the centre, of which positions are counted
    # nobody crossed: nothing to refuse
    (tmp_path / "a.dump").write_text(text.replace("10 0 0\n", "0 0 0\n"))
    moved(frames.read(tmp_path / "a.dump"))


@pytest.mark.parametrize("program", ["HOOMD-blue 4.9.1", None])
def test_images_and_velocities_of_the_first_gsd_frame_are_not_those_of_later_ones(
    tmp_path, program
):
    a = snapshot([[4, 0, 0], [0, 0, 1]], image=[[3, 0, 0], [0, 0, 0]], typeid=[0, 0],
                 velocity=[[1, 0, 0], [0, 0, 0]])  # fmt: skip
    b = snapshot([[-4, 0, 0], [0, 0, 1]], typeid=[0, 0])
    read = frames.read(gsd_of(tmp_path / "a.gsd", a, b, program=program))
    refuses(lambda: moved(read), "no images")
    far = frames.follow(read)
    np.testing.assert_allclose(dynamics.displacement(far[0], far[1]), [1, 0], atol=1e-5)
    if program:  # its writer leaves momenta out unless asked
        assert read[0].particles.velocity is not None
        assert read[1].particles.velocity is None
    # written by this library: what a frame does not say is 0, and stays so
    known = frames.read(frames.write(tmp_path / "b.gsd", [a, b]))
    assert all(map(frames.images_known, known))
    assert not known[1].particles.velocity.any()


# ---------------------------------------------------------------------------- who is who


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1 2 3", "1 3 7"),  # one leaves, another comes
        ("1 2 3", "1 3"),
        ("1 3", "1 2 3"),
        ("1 2 3", "4 5 6"),
    ],
)
@pytest.mark.parametrize("kind", ["dump", "xyz"])
def test_particles_that_come_and_go(tmp_path, first, second, kind):
    rows = [[f"{i} 1 {i} {i} {k}" for i in ids.split()] for k, ids in enumerate((first, second))]
    if kind == "dump":
        path = dump(tmp_path / "a.dump", *(("id type xu yu zu", some) for some in rows))
    else:
        path = extended(tmp_path / "a.xyz", *rows, columns="id:I:1:species:S:1:pos:R:3")
    with pytest.warns(UserWarning, match="not the same particles"):
        read = frames.read(path)
    assert [f.particles.N for f in read] == [len(first.split()), len(second.split())]
    refuses(lambda: frames.unwrapped(read[1]), "not the same particles", "with their id")
    refuses(lambda: frames.follow(read), "not the same particles")
    if first != "1 2 3":
        return
    last = read[1].log.get("particles/id")
    assert last is None or last.tolist() == [int(i) for i in second.split()]


@pytest.mark.parametrize("name", ["id", "ID", "identifier", "particle_identifier", "atom_id"])
def test_rows_of_xyz_go_by_their_id_whatever_it_is_called(tmp_path, name):
    a = ["1 A 1 1 1 0.25", "2 B 5 5 6 .5", "9 A 3 3 3 .75"]
    path = extended(
        tmp_path / "a.xyz", a, [a[2], a[0], a[1]], columns=f"{name}:I:1:species:S:1:pos:R:3:w:R:1"
    )
    one, two = frames.read(path)
    np.testing.assert_allclose(moved([one, two]), 0, atol=1e-6)
    for f in (one, two):
        assert f.particles.typeid.tolist() == [0, 1, 0]
        assert f.log["particles/w"].tolist() == [0.25, 0.5, 0.75]
        assert f.log["particles/id"].tolist() == [1, 2, 9]
    twice = extended(tmp_path / "b.xyz", a[:1] * 2, columns=f"{name}:I:1:species:S:1:pos:R:3:w:R:1")
    refuses(lambda: frames.read(twice), "id twice")


def test_ids_are_whole_numbers(tmp_path):
    whole = "whole number"
    bad = (("1.5", whole), ("nan", whole), ("9" * 20, whole), ("x", "not a number"))
    for first, words in bad:
        path = dump(tmp_path / "a.dump", ("id type x y z", [f"{first} 1 1 1 1", "2 1 5 5 6"]))
        refuses(lambda path=path: frames.read(path), "a.dump[0]", "id", words)


def test_without_ids_rows_are_taken_at_their_word_only_when_asked(tmp_path):
    c = "type xu yu zu"
    path = dump(tmp_path / "a.dump", (c, ["1 1 1 1", "2 5 5 6"]), (c, ["1 2 1 1", "2 5 5 6"]))
    refuses(lambda: frames.read(path), "without a column 'id'", "by_row=True")
    np.testing.assert_allclose(moved(frames.read(path, by_row=True)), [1, 0], atol=1e-5)
    path = dump(tmp_path / "a.dump", (c, ["1 1 1 1", "2 5 5 6"]), (c, ["2 5 5 6", "1 2 1 1"]))
    refuses(lambda: frames.read(path, by_row=True), "other types in its rows")
    path = dump(tmp_path / "a.dump", (c, ["1 1 1 1", "1 5 5 6"]), (c, ["1 2 1 1"]))
    refuses(lambda: frames.read(path, by_row=True), "other types in its rows")


# --------------------------------------------------------------- boxes, boundaries, columns


@pytest.mark.parametrize(
    "pbc", ['"F F F"', "F", '"T T F"', '"1 1 0"', '"T, F, T"', '"true false true"', '"[F, F, F]"']
)
def test_open_boundaries_of_xyz(tmp_path, pbc):
    path = extended(tmp_path / "a.xyz", ["A 0.2 5 5", "A 9.8 5 6"], more=f"pbc={pbc}")
    refuses(lambda: frames.read(path), "a.xyz[0]", "open boundaries", "periodic")
    path = extended(tmp_path / "a.xyz", ["A 0.2 5 5", "A 9.8 5 5"], more=f"pbc={pbc}")
    if pbc in ('"T T F"', '"1 1 0"'):  # a flat system has no third one
        assert frames.dimensions(frames.read(path)[0]) == 2
    else:
        refuses(lambda: frames.read(path), "open boundaries")
    for wrong in ('"T X T"', '"T T T T"', '"?"'):
        path = extended(tmp_path / "a.xyz", ["A 0.2 5 5", "A 9.8 5 6"], more=f"pbc={wrong}")
        refuses(lambda path=path: frames.read(path), "pbc is", "T and F")
    for good in ('"T T T"', "T", '"1 1 1"'):
        path = extended(tmp_path / "a.xyz", ["A 0.2 5 5", "A 9.8 5 6"], more=f"pbc={good}")
        assert frames.dimensions(frames.read(path)[0]) == 3


@pytest.mark.parametrize("flags", ["ff ff ff", "pp fs pp", "mm pp pp", "pp pp", "pp pp pp pp"])
def test_open_boundaries_of_dumps(tmp_path, flags):
    path = dump(tmp_path / "a.dump", ("id type x y z", ["1 1 1 1 1", "2 1 5 5 6"]), flags=flags)
    refuses(lambda: frames.read(path), "a.dump")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.dump", "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 9\n"
                   "0 9\n0 9\nITEM: ATOMS id type x y z\n1 1 0.5 1 2 3\n"),
        ("a.xyz", '1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nA .5 1 2 3\n'),
        ("b.xyz", "1\nioformat=1 boxLengths=9,9,9 numTypes=1 columns=type,x,y,z\n0 1 2 3 4\n"),
        ("c.xyz", "1\ncolumns:name,pos cell:9,9,9\nA 1 2 3 4\n"),
        ("d.xyz", "1\ncell=8.4,8.4,8.4\nA 1 2 3 .1 .2 .3\n"),
        ("e.xyz", '1\nLattice="9 0 0 0 9 0 0 0 9"\nA 1 2 3 4\n'),
    ],
)  # fmt: skip
def test_rows_wider_than_their_header(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    refuses(lambda: frames.read(path), name, "columns, but the header names", "Name all columns")
    (tmp_path / "a.sph").write_text("1\n5 5 5\na 1 1 1 0.5 7\n")
    refuses(lambda: frames.read(tmp_path / "a.sph"), "line 3", "a radius")


def test_columns_named_like_parts_of_the_header(tmp_path):
    names = ["n", "flags", "bounds", "step", "time", "columns", "values", "where"]
    path = dump(
        tmp_path / "a.dump",
        ("id type x y z " + " ".join(names), [f"{i} 1 {i} 1 {i} 0 1 2 3 4 5 6 7" for i in (1, 2)]),
    )  # fmt: skip
    (f,) = frames.read(path)
    assert f.particles.N == 2
    for k, name in enumerate(names):
        assert f.log[f"particles/{name}"].tolist() == [k, k]
    for columns in ("id type x y z x", "id type x y z id", "id type x y z q q"):
        path = dump(tmp_path / "a.dump", (columns, ["1 1 1 1 1 9", "2 1 5 5 6 9"]))
        refuses(lambda path=path: frames.read(path), "names the column", "twice")
    path = extended(tmp_path / "a.xyz", ["A 1 2 3 4 5 6"], columns="species:S:1:pos:R:3:pos:R:3")
    refuses(lambda: frames.read(path), "twice")
    (tmp_path / "a.xyz").write_text(
        "1\nioformat=1 boxLengths=9,9,9 columns=type,x,y,z,x\n0 1 2 3 4\n"
    )
    refuses(lambda: frames.read(tmp_path / "a.xyz"), "'x' twice")


def test_dust_in_z_is_no_third_dimension(tmp_path):
    rows = ["1 1 1 1 1e-16", "2 1 5 5 -2e-16", "3 1 7 5 3e-7"]
    for z in ("-0.5 0.5", "0 10"):
        bounds = f"0 10\n0 10\n{z}"
        (f,) = frames.read(dump(tmp_path / "a.dump", ("id type x y z", rows), bounds=bounds))
        assert frames.dimensions(f) == 2
        assert not f.particles.position[:, 2].any()
    columns = "id:I:1:species:S:1:pos:R:3"
    (f,) = frames.read(extended(tmp_path / "a.xyz", rows, columns=columns))
    assert frames.dimensions(f) == 2
    deep = [rows[0], rows[1], "3 1 7 5 0.01"]
    (f,) = frames.read(extended(tmp_path / "a.xyz", deep, columns=columns))
    assert frames.dimensions(f) == 3
    f = frames.build([[0, 0, 1e-9], [1, 1, -1e-7]], 10.0, [0, 0], dimensions=2,
                     velocity=[[1, 0, 1e-9], [0, 1, 0]])  # fmt: skip
    assert not f.particles.position[:, 2].any()
    assert not f.particles.velocity[:, 2].any()
    refuses(lambda: frames.build([[0, 0, 0.1]], 10.0, [0], dimensions=2), "two-dimensional")
    refuses(lambda: frames.build([[0, 0, 0]], 10.0, [0], dimensions=2, velocity=[[0, 0, 1]]),
            "two-dimensional", "velocities")  # fmt: skip
    for dimensions, lz in ((2, 0), (2, 1), (3, 0)):
        s = snapshot([[0, 0, 0], [1, 1, 1e-7]], [10, 10, lz, 0, 0, 0], typeid=[0, 0])
        s.configuration.dimensions = dimensions
        (f,) = frames.read(gsd_of(tmp_path / "a.gsd", s))
        assert frames.dimensions(f) == 2
        assert not f.particles.position[:, 2].any()


def test_a_single_particle_without_z_is_flat(tmp_path):
    for c, row in (
        ("id type x y", "1 1 1 1"),
        ("id type xu yu", "1 1 1 1"),
        ("id type xs ys", "1 1 0 0"),
    ):
        path = dump(tmp_path / "a.dump", (c, [row]))
        assert frames.dimensions(frames.read(path)[0]) == 2
        refuses(lambda path=path: frames.read(path, dimensions=3), "no z", "dimensions=2")


def test_gsd_without_a_box(tmp_path):
    far = snapshot([[0, 0, 0], [3.25, 0, 0]], None, typeid=[0, 0])
    refuses(lambda: frames.read(gsd_of(tmp_path / "a.gsd", far)), "a.gsd[0]", "no box", "Lx")
    near = snapshot([[0, 0, 0], [0.25, 0, 0]], None, typeid=[0, 0])
    refuses(lambda: frames.read(gsd_of(tmp_path / "a.gsd", near, far)), "a.gsd[1]", "no box")
    # gsd does not write a box of edge 1, which is its default
    unit = snapshot([[0, 0, 0], [0.25, 0, 0]], [1, 1, 1, 0, 0, 0], typeid=[0, 0])
    (f,) = frames.read(gsd_of(tmp_path / "a.gsd", unit))
    assert f.configuration.box.tolist() == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("n", ["0", "-1", "-3"])
def test_snapshots_of_nobody(tmp_path, n):
    (tmp_path / "a.dump").write_text(
        f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{n}\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
        "ITEM: ATOMS id type x y z\n"
    )
    refuses(lambda: frames.read(tmp_path / "a.dump"), "a.dump[0] holds no particles", repr(n))
    for head in ('Lattice="9 0 0 0 9 0 0 0 9"', "cell:9,9,9 columns:id,pos"):
        (tmp_path / "a.xyz").write_text(f"{n}\n{head}\n")
        refuses(lambda: frames.read(tmp_path / "a.xyz"), "a.xyz[0] holds no particles", repr(n))
    path = gsd_of(tmp_path / "a.gsd", snapshot(np.zeros((0, 3))))
    refuses(lambda: frames.read(path), "no particles")


# ------------------------------------------------------------------------------ dialects


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("step:7 columns:id,pos dt:1 cell:10.0,10.0,10.0 ", "A 1 2 3|B -4 5 -5", {}),
        ("step:7 columns:name,pos,vel cell:10.0,10.0,10.0 dt:1",
         "A 1 2 3 .1 .2 .3|B -4 5 -5 0 0 1", {"velocity": [[0.1, 0.2, 0.3], [0, 0, 1]]}),
        ("step = 7 columns = species, x, y, z cell = 10.0, 10.0, 10.0", "A 1 2 3|B -4 5 -5", {}),
        ("columns:id,pos,mass,radius cell:10,10,10 step:7", "A 1 2 3 .5 .5|B -4 5 -5 .25 .4",
         {"mass": [0.5, 0.25], "diameter": [1.0, 0.8]}),
        ("Cell:10,10,10 step:7 columns:particle.species,particle.position",
         "A 1 2 3|B -4 5 -5", {}),
        ("columns:id,pos,neighbors cell:10,10,10 step:7", "A 1 2 3 1|B -4 5 -5 0", {}),
        ("columns:id,pos,neighbors* cell:10,10,10 step:7", "A 1 2 3 1 1|B -4 5 -5", {}),
        ("columns:name,pos,signature,neighbors cell:10,10,10 step:7",
         "A 1 2 3 1_3_4 1,0|B -4 5 -5 0_2 0", {}),
        ("columns:id,pos,diameter cell:10 step:7", "A 1 2 3 1|B -4 5 -5 .8",
         {"diameter": [1.0, 0.8]}),
        ("columns:id,pos mass:1,2.5 cell:10,10,10 step:7", "A 1 2 3|B -4 5 -5", {"mass": [1, 2.5]}),
    ],
)  # fmt: skip
def test_atooms_and_partycls(tmp_path, header, rows, expected, gz):
    text = f"   2\n {header} \n" + rows.replace("|", "\n") + "\n"
    path = tmp_path / ("a.xyz.gz" if gz else "a.xyz")
    path.write_bytes(gzip.compress(text.encode()) if gz else text.encode())
    (f,) = frames.read(path)
    np.testing.assert_allclose(f.configuration.box, [10, 10, 10, 0, 0, 0])
    np.testing.assert_allclose(
        frames.unwrapped(frames.copy(f, log={})), [[1, 2, 3], [-4, 5, -5]], atol=1e-5
    )
    assert f.particles.types == ["A", "B"]
    assert f.configuration.step == 7
    for name in ("velocity", "mass", "diameter"):
        value = getattr(f.particles, name)
        if name in expected:
            np.testing.assert_allclose(value, expected[name], rtol=1e-6)
        else:
            assert value is None


def test_atooms_in_two_dimensions_and_unfolded(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\nstep:0 columns:name,pos,vel cell:10,8\nA 1 2 .1 .2\nB -4 3 0 0\n")
    (f,) = frames.read(path)
    assert frames.dimensions(f) == 2
    np.testing.assert_allclose(f.configuration.box, [10, 8, 0, 0, 0, 0])
    np.testing.assert_allclose(f.particles.position, [[1, 2, 0], [-4, 3, 0]])
    np.testing.assert_allclose(f.particles.velocity, [[0.1, 0.2, 0], [0, 0, 0]], rtol=1e-6)
    head = "1\nstep:{} columns:name,pos,position_unfolded cell:10,10,10\nA {} 0 0 {} 0 0\n"
    path.write_text(head.format(0, 4, 4) + head.format(1, -4, 6))
    np.testing.assert_allclose(moved(frames.read(path)), [2], atol=1e-5)
    path.write_text("2\nid=1 columns:id,species,pos cell:10,10,10\n2 A 1 1 1\n1 B 2 2 3\n")
    (f,) = frames.read(path)  # with another column for the species an id is an id
    assert f.particles.typeid.tolist() == [1, 0]


def test_masses_and_radii_are_seen_by_check(tmp_path):
    system = systems.get("kob-andersen").with_(name="tiny")
    rows = [f"{i} {1 + i % 2} {i % 6} {i // 6 % 6} {i // 36}" for i in range(1, 200)]
    for column, value, word in (("mass", 2, "masses are"), ("radius", "{}", "diameters of type")):
        some = [row + " " + str(value).format(0.5 + 0.001 * k) for k, row in enumerate(rows)]
        path = dump(tmp_path / "a.dump", (f"id type x y z {column}", some))
        (f,) = frames.read(path)
        refuses(lambda f=f: frames.check(f, system=system), word)
        path = extended(tmp_path / "a.xyz", some, columns=f"id:I:1:type:S:1:pos:R:3:{column}:R:1")
        (f,) = frames.read(path)
        refuses(lambda f=f: frames.check(f, system=system), word)
    hard = systems.get("hard-spheres")
    some = [row + " 0.7" for row in rows]
    (f,) = frames.read(dump(tmp_path / "a.dump", ("id type x y z radius", some)))
    refuses(lambda: frames.check(f, system=hard), "diameters differ")
    for bad in ("-1", "nan"):
        path = dump(tmp_path / "a.dump", ("id type x y z mass", [rows[0] + f" {bad}"]))
        refuses(lambda path=path: frames.read(path), "mass runs from", "positive")


def test_rumd_masses(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(
        "2\nioformat=1 boxLengths=9,9,9 numTypes=2 mass=1.0,3.0 columns=type,x,y,z,imx,imy,imz\n"
        "1 1 2 3 0 0 0\n0 3 4 0 0 1 0\n"
    )
    (f,) = frames.read(path)
    assert f.particles.mass.tolist() == [3, 1]
    path.write_text(path.read_text().replace("1.0,3.0", "1,2,3"))
    refuses(lambda: frames.read(path), "mass is [1, 2, 3]", "2 positive numbers")


def test_a_label_has_a_row_for_each_particle():
    f = frames.build([[0, 0, 0], [1, 1, 1]], 5.0, [0, 1])
    for wrong in (np.zeros(3), np.zeros((1, 2)), np.float64(1)):
        f.log = {"particles/propensity": wrong}
        refuses(lambda: frames.check(f), "'particles/propensity'", "2 rows")
    f.log = {"particles/propensity": np.zeros((2, 5)), "times": np.zeros(5)}
    frames.check(f)


@pytest.mark.parametrize("name", ["a.xyz", "a.lammpstrj", "a.gml", "dump.0", "noname", "a.gsd"])
@pytest.mark.parametrize("gz", [False, True])
def test_content_says_what_a_file_is(tmp_path, name, gz):
    made = dump(tmp_path / "made.dump", ("id type xu yu zu", ["1 1 9 1 1", "2 2 5 5 6"]))
    path = tmp_path / (name + ".gz" if gz else name)
    data = made.read_bytes()
    path.write_bytes(gzip.compress(data) if gz else data)
    (f,) = frames.read(path)
    np.testing.assert_allclose(f.particles.position, [[4, -4, -4], [0, 0, 1]])
    frames.write(tmp_path / "b.gsd", f)
    (tmp_path / name).write_bytes((tmp_path / "b.gsd").read_bytes())
    np.testing.assert_allclose(
        frames.read(tmp_path / name)[0].particles.position, f.particles.position
    )


def test_blank_lines_carriage_returns_and_byte_order_marks(tmp_path):
    path = dump(tmp_path / "a.dump", *[("id type xu yu zu", ["1 1 9 1 1", "2 2 5 5 6"])] * 2)
    text = path.read_text()
    for changed in (text + "\n", text + " \n\n\n", text.replace("\n", "\r\n"), "\ufeff" + text,
                    text.replace("ITEM: TIMESTEP\n10", "\nITEM: TIMESTEP\n10")):  # fmt: skip
        path.write_text(changed, newline="")
        assert len(frames.read(path)) == 2
    path = extended(tmp_path / "a.xyz", ["A 1 1 1", "A 5 5 6"], more='note="a\u2028b\x0cc\x85d"')
    for changed in (path.read_text(), path.read_text() + "\n \n"):
        path.write_text(changed)
        assert frames.read(path)[0].particles.N == 2


def test_element_in_place_of_type(tmp_path):
    rows = ["1 Ni 1 1 1", "2 P 5 5 6", "3 Ni 2 2 2"]
    for name in ("element", "typelabel"):
        (f,) = frames.read(dump(tmp_path / "a.dump", (f"id {name} x y z", rows)))
        assert f.particles.types == ["Ni", "P"]
        assert f.particles.typeid.tolist() == [0, 1, 0]
    both = [row.replace("Ni", "1 Ni").replace("P", "2 P") + " 7" for row in rows]
    (f,) = frames.read(dump(tmp_path / "a.dump", ("id type element x y z mol", both)))
    assert f.particles.types == ["A", "B"]
    assert f.log["particles/mol"].tolist() == [7, 7, 7]
    path = dump(tmp_path / "a.dump", ("id element x y z", ["1 α 1 1 1", "2 β 5 5 6"]))
    assert frames.read(path)[0].particles.types == ["α", "β"]


@pytest.mark.parametrize(
    ("more", "step", "time", "unit"),
    [
        ('Time="5 ps"', 0, 5, b"ps"), ("Time=5", 0, 5, None), ('time="2.5e3 fs"', 0, 2500, b"fs"),
        ("Step=100", 100, None, None), ("step=7 Time=1", 7, 1, None), ("Timestep=9", 9, None, None),
        ("timeStepIndex=3", 3, None, None), ("Step=1e3", 1000, None, None),
    ],
)  # fmt: skip
def test_steps_and_times_of_xyz(tmp_path, more, step, time, unit):
    (f,) = frames.read(extended(tmp_path / "a.xyz", ["A 1 1 1", "A 5 5 6"], more=more))
    assert f.configuration.step == step
    assert f.log.get("time") == time
    assert unit is None or bytes(f.log["time_unit"]) == unit
    (g,) = frames.read(frames.write(tmp_path / "a.gsd", f))
    assert g.configuration.step == step


def test_steps_and_times_that_are_none(tmp_path):
    for more, word in (("Step=-1", "time step"), ("Step=x", "time step"), ("Time=soon", "Time is"),
                       ("Step=1.5", "time step"), ("Step=" + "9" * 30, "time step"),
                       ("Step=1 Step=2", "twice")):  # fmt: skip
        path = extended(tmp_path / "a.xyz", ["A 1 1 1", "A 5 5 6"], more=more)
        refuses(lambda path=path: frames.read(path), "a.xyz[0]", word)
    path = dump(tmp_path / "a.dump", ("id type x y z", ["1 1 1 1 1", "2 1 5 5 6"]))
    text = path.read_text()
    for wrong in ("-5", "1.5", "9" * 30):
        path.write_text(text.replace("TIMESTEP\n0", f"TIMESTEP\n{wrong}"))
        refuses(lambda: frames.read(path), "a.dump", "time step")
    # as LAMMPS comments its own XYZ files
    (tmp_path / "a.xyz").write_text("2\nAtoms. Timestep: 400\n1 1 1 1\n2 3 3 4\n")
    assert frames.read(tmp_path / "a.xyz", box=9)[0].configuration.step == 400


# ------------------------------------------------------------------------- GSD, field by field

#: rows that are not GSD's defaults
FIELDS = {
    "charge": [1, 2], "mass": [2, 3], "diameter": [0.5, 0.75], "body": [0, -1],
    "orientation": [[0, 1, 0, 0], [0, 0, 1, 0]], "angmom": [[1, 2, 3, 4], [5, 6, 7, 8]],
    "moment_inertia": [[1, 2, 3], [4, 5, 6]], "velocity": [[1, 2, 3], [4, 5, 6]],
    "image": [[1, 0, 0], [0, 2, 0]], "typeid": [1, 0],
}  # fmt: skip


def full(values, x=((0, 0, 0), (1, 0, 0)), **topology):
    f = snapshot(list(x), typeid=[0, 0])
    f.particles.types = ["A", "B"]
    for name, value in values.items():
        setattr(f.particles, name, np.array(value))
    for name, group in topology.items():
        part = getattr(f, name)
        part.N, part.group = len(group), np.array(group)
        if name != "constraints":
            part.types, part.typeid = ["bond"], np.zeros(len(group), int)
        else:
            part.value = np.ones(len(group), np.float32)
    return f


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("order", ["with without", "without with", "with other", "other with"])
def test_every_field_is_that_of_its_frame(tmp_path, name, order):
    """Written and read by this library and by gsd, one and the same step or different ones."""
    value = np.array(FIELDS[name])
    default = np.zeros((2, *value.shape[1:])) + np.array(snapshots.FIELDS[name][2])
    frame = {"with": full({name: value}), "other": full({name: value[::-1]}), "without": full({})}
    if name == "typeid":
        default = np.zeros(2)
    want = {"with": value, "other": value[::-1], "without": default}
    for steps in ((0, 0), (3, 4)):
        made = [frame[word] for word in order.split()]
        for f, step in zip(made, steps):
            f.configuration.step = step
        path = frames.write(tmp_path / "a.gsd", made)
        with gsd.hoomd.open(str(path)) as raw:
            for read in (frames.read(path), list(raw)):
                for f, word in zip(read, order.split(), strict=True):
                    np.testing.assert_allclose(getattr(f.particles, name), want[word])


@pytest.mark.parametrize("name", FIELDS)
def test_copies_and_subsets_keep_every_field(name):
    f = full({name: FIELDS[name]}, bonds=[[0, 1]], angles=[[0, 1, 0]], constraints=[[1, 0]])
    f.particles.type_shapes = [{"type": "Sphere", "diameter": 1.0}]
    new = frames.copy(f)
    np.testing.assert_array_equal(getattr(new.particles, name), FIELDS[name])
    assert new.particles.type_shapes == f.particles.type_shapes
    assert new.bonds.group.tolist() == [[0, 1]]
    assert new.bonds.types == ["bond"]
    assert new.angles.N == 1
    assert new.constraints.value.tolist() == [1]
    getattr(new.particles, name)[0] = 7
    assert np.array_equal(getattr(f.particles, name), FIELDS[name])
    if name != "body":
        part = frames.subset(f, [False, True])
        np.testing.assert_array_equal(getattr(part.particles, name), FIELDS[name][1:])
        assert part.bonds.N == 0


def test_subsets_renumber_what_points_to_particles():
    x = [[i, 0, 0] for i in range(5)]
    f = snapshot(x, typeid=[0] * 5, body=[3, -1, -1, 3, -1])
    f.bonds.N, f.bonds.types, f.bonds.typeid = 3, ["a", "b"], np.array([0, 1, 0])
    f.bonds.group = np.array([[0, 3], [3, 4], [1, 2]])
    f.log = {"bonds/pairs": np.array([[4, 0], [1, 0]]), "bonds/change": np.array([7.0, 8.0]),
             "bonds": np.array([[3, 0]], np.uint32)}  # fmt: skip
    part = frames.subset(f, [0, 3, 4])
    assert part.bonds.group.tolist() == [[0, 1], [1, 2]]
    assert part.bonds.typeid.tolist() == [0, 1]
    assert part.particles.body.tolist() == [1, 1, -1]
    assert part.log["bonds/pairs"].tolist() == [[2, 0]]
    assert part.log["bonds/change"].tolist() == [7]
    assert part.log["bonds"].tolist() == [[1, 0]]
    refuses(lambda: frames.subset(f, [0, 1]), "cuts rigid bodies")


def test_bonds_of_later_frames_are_their_own(tmp_path):
    made = [full({}, bonds=[[0, 1]]), full({}), full({}, bonds=[[1, 0]], pairs=[[0, 1]])]
    read = frames.read(frames.write(tmp_path / "a.gsd", made))
    assert [f.bonds.N for f in read] == [1, 0, 1]
    assert read[2].bonds.group.tolist() == [[1, 0]]
    assert [f.pairs.N for f in read] == [0, 0, 1]


def test_nothing_vanishes_because_a_particle_is_outside(tmp_path):
    f = full(FIELDS | {"types": None}, x=[[0, 0, 0], [6, 0, 0]], bonds=[[0, 1]])
    f.particles.types = ["A", "B"]
    (read,) = frames.read(gsd_of(tmp_path / "a.gsd", f))
    assert read.particles.position[1, 0] == -3
    for name, value in FIELDS.items():
        if name != "image":
            np.testing.assert_allclose(getattr(read.particles, name), value)
    assert read.particles.image.tolist() == [[1, 0, 0], [1, 2, 0]]
    assert read.bonds.group.tolist() == [[0, 1]]


def test_log_entries_that_come_and_go(tmp_path):
    """Those of frame 1 alone made GSD itself fail at frame 2."""
    f = full({})
    none, some = frames.copy(f, log={}), frames.copy(f, log={"x": np.ones(1)})
    refuses(
        lambda: frames.write(tmp_path / "a.gsd", [none, some, none]), "frame 2 lacks", "frame 1"
    )
    read = frames.read(frames.write(tmp_path / "a.gsd", [none, some, some]))
    assert [sorted(f.log) for f in read] == [[], ["x"], ["x"]]
    for wrong in (np.array([True]), np.zeros((2, 2, 2)), np.array(["a"], object)):
        bad = frames.copy(f, log={"x": wrong})
        refuses(lambda bad=bad: frames.write(tmp_path / "a.gsd", bad), "cannot write", "frame 0")
    f.configuration.step = -1
    refuses(lambda: frames.write(tmp_path / "a.gsd", f), "cannot write", "frame 0")
    f = snapshot([[0, 0, 0]], None, typeid=[0])
    refuses(lambda: frames.write(tmp_path / "a.gsd", f), "cannot write", "no box")


def test_types_left_at_their_default():
    f = snapshot([[0, 0, 0], [1, 0, 0]], typeid=[0, 0])
    f.particles.types = None
    assert frames.copy(f).particles.types == ["A"]
    assert frames.subset(f, [0]).particles.types == ["A"]
    assert structure.radial_distribution(f, ("A", "A"), r_max=2.0)[1].shape == (250,)
    assert frames.check(f).particles.types == ["A"]
    for wrong in (["A", "A"], [1], ["A\0"]):
        f.particles.types = wrong
        refuses(lambda: frames.check(f), "types are", "different names")


@pytest.mark.parametrize("types", [("α", "β"), ("大", "B"), ("é" * 40, "x")])
def test_species_of_any_script(tmp_path, types):
    f = frames.build([[0, 0, 0], [1, 1, 1]], 5.0, [0, 1], types=types)
    f.log = {"particles/größe": np.ones(2)}
    read = frames.read(frames.write(tmp_path / "a.gsd", [f, f]))
    for g in read:
        assert g.particles.types == list(types)
        assert list(g.log) == ["particles/größe"]
    assert f.particles.types == list(types)


# ------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("d", [2, 3])
def test_distances_in_tilted_boxes(d):
    box = [10, 10, 10 * (d == 3), 1.5, 0, 0]
    x = np.random.default_rng(0).random((500, 3)) * 10 * (np.arange(3) < d)
    f = frames.build(x, box, np.zeros(500, int), dimensions=d)
    refuses(lambda: structure.radial_distribution(f, r_max=4.0), "r_max is 4.0", "2.77")
    r, g = structure.radial_distribution(f, r_max=2.7, bins=9)
    # by all images, slowly
    cell = frames.cell_matrix(f.configuration.box)
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell.T
    p = np.asarray(f.particles.position, float)
    apart = np.linalg.norm(p[:, None, None] - p[None, :, None] + np.unique(steps, axis=0), axis=-1)
    counts = np.histogram(apart[apart > 0], bins=9, range=(0, 2.7))[0]
    edges = np.linspace(0, 2.7, 10)
    shell = np.diff(np.pi * edges**2 if d == 2 else 4 / 3 * np.pi * edges**3)
    np.testing.assert_allclose(g, counts * frames.volume(f) / (500 * 499 * shell), rtol=2e-3)


BASES = {  # basis, edges of the cell, dimension, Voronoi neighbours, SANN neighbours
    "simple cubic": ([[0, 0, 0]], [1, 1, 1], 6, None),
    "body-centred": ([[0, 0, 0], [0.5, 0.5, 0.5]], [1, 1, 1], 14, 14),
    "face-centred": ([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], [1, 1, 1], 12, 12),
    "tetragonal": ([[0, 0, 0]], [1, 1, 1.3], 6, None),
    "square": ([[0, 0]], [1, 1], 4, 4),
    "rectangular": ([[0, 0]], [1, 1.2], 4, None),
    "triangular": ([[0, 0], [0.5, 0.5]], [1, 3**0.5], 6, 6),
    "honeycomb": ([[0, 0], [0.5, 0.5], [0, 1 / 3], [0.5, 5 / 6]], [1, 3**0.5], 3, None),
}


@pytest.mark.parametrize("scale", [0.37, 1.1, 7.3])
@pytest.mark.parametrize("name", BASES)
def test_ties_on_lattices(name, scale):
    basis, edges, voronoi, sann = BASES[name]
    d = len(edges)
    reps = (6, 5, 7) if d == 3 else (12, 11)
    grid = np.stack(np.meshgrid(*map(np.arange, reps), indexing="ij"), -1).reshape(-1, 1, d)
    edges = scale * np.array(edges)
    x = ((grid + np.array(basis)) * edges).reshape(-1, d)
    for seed in range(3):
        shift = np.random.default_rng(seed).uniform(-9, 9, d)
        f = frames.build(x + shift, np.array(reps) * edges, np.zeros(len(x), int), dimensions=d)
        near = neighbors.voronoi(f)
        assert set(near.counts) == {voronoi}
        assert neighbors.mutual(near)
        shells = neighbors.sann(f, symmetrize=None)
        assert len(set(shells.counts)) == 1
        assert sann is None or set(shells.counts) == {sann}
    if name == "square":
        np.testing.assert_allclose(abs(hexatic.hexatic_order(f, k=4)), 1, atol=1e-5)


@pytest.mark.parametrize("d", [2, 3])
def test_faces_of_little_area_are_faces(d):
    """A lattice shaken by a thousandth has the edges that its ties become."""
    reps = (6, 7, 6)[:d]
    grid = np.stack(np.meshgrid(*map(np.arange, reps), indexing="ij"), -1).reshape(-1, d)
    x = grid + np.random.default_rng(0).normal(scale=1e-3, size=grid.shape)
    f = frames.build(x, np.array(reps, float), np.zeros(len(x), int), dimensions=d)
    counts = neighbors.voronoi(f).counts
    if d == 2:
        assert counts.mean() == 6  # Euler's number
    assert counts.min() >= 2 * d
    assert counts.mean() > 2 * d + 1
