"""Bad input: a one-line error that says what came, what was expected and what to do."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from oracles import refuses

from glasslib import book, engines, frames, simulate, systems
from glasslib.systems import LennardJones

SYSTEM = systems.get("bihani-2d")


@pytest.fixture
def frame():
    return simulate.lattice(SYSTEM, n=64)


@pytest.fixture(scope="module")
def lammps():
    return engines.choose(SYSTEM, "lammps")


# -------------------------------------------------------------------------------------- frames


def test_arrays_that_do_not_fit():
    x, t = np.zeros((4, 3)), np.zeros(4, dtype=int)
    refuses(lambda: frames.build(x[:, :1], 5.0, t), "(4, 1)", "(N, 3)")
    refuses(lambda: frames.build(x[0], 5.0, t), "(3,)", "(N, 3)")
    refuses(lambda: frames.build(x[:0], 5.0, t[:0]), "no particles", "at least one")
    refuses(lambda: frames.build(x, 5.0, t[:3]), "typeid", "(3,)", "(4,)")
    refuses(lambda: frames.build(x, 5.0, t - 1), "typeid", "-1", "from 0")
    refuses(lambda: frames.build(x, 5.0, t + 2), "type index 2", "A, B")
    refuses(lambda: frames.build(x, [1, 2, 3, 4], t), "box has shape (4,)")
    refuses(lambda: frames.build(x, [5, 5], t), "box has shape (2,)", "3D")
    refuses(lambda: frames.build(x, -5.0, t), "-5", "positive")
    refuses(lambda: frames.build(x, [5, 5, np.nan], t), "nan", "positive")
    refuses(lambda: frames.build(x, [5, 5, 0], t), "Lz", "dimensions=2")
    refuses(lambda: frames.build(x, 5.0, t, dimensions=4), "4", "2 or 3")
    refuses(lambda: frames.build(x, 5.0, t, velocity=np.zeros((3, 3))), "velocity", "(3, 3)")
    refuses(lambda: frames.build(x, 5.0, t, velocity=np.zeros(4)), "velocity", "(4,)")
    refuses(lambda: frames.build(x, 5.0, t, image=np.zeros((4, 2))), "image", "(4, 2)", "(4, 3)")
    refuses(lambda: frames.build(x + 1, 5.0, t, dimensions=2), "two-dimensional", "z = 0")
    x[2, 1] = np.inf
    refuses(lambda: frames.build(x, 5.0, t), "particle 2", "[0, inf, 0]", "finite", "lower dt")


def test_check(frame):
    def broken(**changes):
        new = frames.copy(frame)
        for name, value in changes.items():
            setattr(new.configuration if name == "box" else new.particles, name, value)
        return lambda: frames.check(new, system=SYSTEM, where="mine")

    nan = np.array(frame.particles.position)
    nan[3, 0] = np.nan
    refuses(broken(position=nan), "mine", "particle 3", "nan", "finite")
    refuses(broken(velocity=nan), "velocity", "particle 3")
    refuses(broken(velocity=nan[:5]), "velocity", "(5, 3)", "(64, 3)")
    refuses(broken(image=nan[:5]), "image", "(5, 3)", "(64, 3)")
    refuses(broken(position=nan[:, :2]), "(64, 2)", "Pad")
    refuses(broken(position=None), "no particles")
    refuses(broken(N=60), "particles.N is 60", "64 rows")
    refuses(broken(box=None), "no box", "configuration.box")
    refuses(broken(box=np.full(6, 123456.789)), "2D", "3D")
    refuses(broken(box=np.full(6, -123456.789)), "positive finite")
    refuses(broken(box=np.zeros(3)), "(3,)", "(6,)")
    refuses(broken(typeid=frame.particles.typeid + 5), "type index 6", "2 types")
    refuses(broken(typeid=frame.particles.typeid[:4]), "typeid", "(4,)", "(64,)")
    refuses(broken(types=["A", "C"]), "type C", "knows A, B", "Rename")
    flat = np.array([7.0, 4.9, 0, 0, 0, 0])
    refuses(broken(box=flat), "4.9", "twice the cut-off 2.5", "more particles")
    tilted = np.array([7.0, 7.0, 0, 1.5, 0, 0])  # long edges, narrow all the same
    refuses(broken(box=tilted), "3.883", "twice the cut-off")


def test_wrong_dimension(lammps, frame):
    for name in ("kob-andersen", "wahnstrom"):
        system = systems.get(name)
        refuses(lambda s=system: lammps.evaluate(frame, s), "2D", "3D", "Lz")
    deep = simulate.lattice(systems.get("kob-andersen"), n=216)
    refuses(lambda: lammps.evaluate(deep, SYSTEM), "3D", "2D", "box[2] = 0")


# --------------------------------------------------------------------------------------- files

DUMP = (
    "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
    "ITEM: ATOMS id type x y z\n1 1 1 2 3\n2 2 3 4 5\n"
)
XYZ = (
    '2\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nA 1 2 3\nB 3 4 5\n'
    '2\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nA 1 2 3\nB 3 4 5\n'
)
RUMD = (
    "2\nioformat=1 boxLengths=9,9,9 numTypes=2 columns=type,x,y,z,imx,imy,imz,pe\n"
    "0 1 2 3 0 0 0 -1\n1 2 3 4 0 0 0 -2\n"
)
GML = (
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n<key attr.name="type" id="t"/>'
    '<key attr.name="x" id="x"/><key attr.name="y" id="y"/><graph>'
    '<node id="1"><data key="t">1</data><data key="x">1</data><data key="y">2</data></node>'
    '<node id="2"><data key="t">2</data><data key="x">3</data><data key="y">4</data></node>'
    '<edge source="1" target="2"/></graph>\n</graphml>'
)
FORMATS = {
    "a.dump": (DUMP, {}), "a.xyz": (XYZ, {}), "rumd.xyz": (RUMD, {}), "a.gml": (GML, {"box": 9}),
}  # fmt: skip


def test_the_examples_are_good(tmp_path):
    for name, (text, options) in FORMATS.items():
        (tmp_path / name).write_text(text)
        assert frames.read(tmp_path / name, **options)[0].particles.N == 2


@pytest.mark.parametrize("name", FORMATS)
def test_text_cut_short_at_any_byte(tmp_path, name):
    text, options = FORMATS[name]
    path = tmp_path / name
    whole = len(frames_of(path, text, options))
    for n in range(len(text)):
        path.write_text(text[:n])
        try:
            got = frames.read(path, **options)
        except frames.FrameError as error:
            message = str(error)
        else:  # only a file that ends with a whole snapshot may pass
            assert text[:n].endswith("\n")
            assert 0 < len(got) < whole
            continue
        assert "\n" not in message
        assert name in message


def frames_of(path, text, options):
    path.write_text(text)
    return frames.read(path, **options)


def test_gzip_cut_short(tmp_path):
    path = tmp_path / "a.xyz.gz"
    data = gzip.compress(XYZ.encode())
    for n in (1, 5, 20, len(data) - 1):
        path.write_bytes(data[:n])
        refuses(lambda: frames.read(path), "a.xyz.gz", "unpack")
    path.write_text(XYZ)
    refuses(lambda: frames.read(path), "unpack")


def test_gsd_cut_short_at_many_bytes(tmp_path, frame):
    frame.log = {"particles/propensity": np.zeros((64, 2)), "times": np.arange(2.0)}
    path = frames.write(tmp_path / "a.gsd", [frame] * 3)
    data = path.read_bytes()
    for n in (*range(1, 300, 41), *range(300, len(data), 997), len(data) - 1):
        path.write_bytes(data[:n])
        refuses(lambda: frames.read(path), "a.gsd", "cut short")
    path.write_bytes(os.urandom(5000))
    refuses(lambda: frames.read(path), "not a readable GSD file")


@pytest.mark.parametrize(
    "name", ["a.gsd", "a.gml", "a.dump", "a.lammpstrj", "a.xyz", "a.xyz.gz", "a.graphml"]
)
def test_missing_empty_binary(tmp_path, name):
    path = tmp_path / name
    options = {"box": 5} if "ml" in name else {}
    refuses(lambda: frames.read(path, **options), "no file", "check the path")
    path.touch()
    refuses(lambda: frames.read(path, **options), name, "is empty", "did not finish")
    path.write_bytes(bytes(range(256)))
    refuses(lambda: frames.read(path, **options), name)
    refuses(lambda: frames.read(tmp_path), "no file")
    refuses(lambda: frames.read(path, colour=1), "option 'colour'", "takes")


def test_unknown_suffix(tmp_path):
    for name in ("a.foo", "a", "a.gsd.gz", "a.gz"):
        path = tmp_path / name
        path.write_text("x")
        refuses(lambda p=path: frames.read(p), "unknown suffix", ".gsd", ".lammpstrj", ".xyz")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("2 2 3 4 5", "2 2 3 4 nan", ("a.dump[0]", "particle 1", "finite")),
        ("2 2 3 4 5", "2 2 3 4 five", ("z is not a number", "five")),
        ("2 2 3 4 5", "2 2 3 4", ("particle 1", "4 columns", "expected 5")),
        ("2 2 3 4 5", "1 2 3 4 5", ("id twice",)),
        ("2 2 3 4 5", "2 0 3 4 5", ("types from 0", "expected 1")),
        ("OF ATOMS\n2", "OF ATOMS\n3", ("2 of 3 particles", "cut short")),
        ("OF ATOMS\n2", "OF ATOMS\nmany", ("line 3",)),
        ("id type x y z", "id type a b c", ("columns", "xs ys zs")),
        ("id type x", "id kind x", ("called type",)),
        ("pp pp pp", "pp pp ff", ("pp pp ff", "periodic")),
        ("pp pp pp", "abc origin pp pp pp", ("general triclinic",)),
        ("0 9\n0 9\n0 9", "0 9\n9 0\n0 9", ("box", "-9", "positive")),
        ("ITEM: TIMESTEP", "TIMESTEP", ("ITEM:", "LAMMPS")),
        ("ITEM: NUMBER OF ATOMS\n2\n", "", ("NUMBER OF ATOMS",)),
    ],
)
def test_bad_dumps(tmp_path, old, new, words):
    assert old in DUMP
    path = tmp_path / "a.dump"
    path.write_text(DUMP.replace(old, new))
    refuses(lambda: frames.read(path), *words)


def test_dump_dimensions_and_order(tmp_path):
    path = tmp_path / "a.dump"
    path.write_text(DUMP)
    refuses(lambda: frames.read(path, dimensions=2), "dimensions=2", "z runs from 3 to 5")
    path.write_text(DUMP.replace("id type", "q type") * 2)
    refuses(lambda: frames.read(path), "without a column 'id'")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("A 1 2 3", "A 1 2 inf", ("a.xyz[0]", "particle 0", "finite")),
        ("A 1 2 3", "A 1 2 x", ("not a number",)),
        ("A 1 2 3", "A 1 2", ("3 columns", "expected 4")),
        ('Lattice="9 0 0 0 9 0 0 0 9"', "", ("does not hold its periodic box", "box=")),
        ("9 0 0 0 9 0 0 0 9", "9 0 0 0 9 0 0 0", ("8 numbers", "9")),
        ("9 0 0 0 9 0 0 0 9", "9 1 0 0 9 0 0 0 9", ("first vector along x", "Rotate")),
        ("9 0 0 0 9 0 0 0 9", "9 0 0 0 9 0 0 0 -9", ("box", "positive")),
        ("pos:R:3", "pos:R", ("name:kind:width",)),
        ("pos:R:3", "foo:R:3", ("expected a type and x, y, z",)),
        ("2\nLattice", "two\nLattice", ("'two'", "number of particles")),
        ("2\nLattice", "0\nLattice", ("'0'", "number of particles")),
    ],
)
def test_bad_xyz(tmp_path, old, new, words):
    assert old in XYZ
    path = tmp_path / "a.xyz"
    path.write_text(XYZ.replace(old, new))
    refuses(lambda: frames.read(path), *words)


def test_xyz_box_and_types(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(XYZ)
    refuses(lambda: frames.read(path, box=9), "holds its box", "leave box= out")
    path.write_text(RUMD.replace("numTypes=2", "numTypes=1"))
    refuses(lambda: frames.read(path), "numTypes=1")
    path.write_text(RUMD.replace("boxLengths=9,9,9", "sim_box=LeesEdwards,9,9,9"))
    refuses(lambda: frames.read(path), "LeesEdwards", "RectangularSimulationBox")


def test_bad_graphs(tmp_path):
    path = tmp_path / "a.gml"
    path.write_text(GML)
    refuses(lambda: frames.read(path), "does not hold its periodic box", "box=", "density=")
    refuses(lambda: frames.read(path, box=9, density=1.2), "either")
    refuses(lambda: frames.read(path, density=-1), "-1", "positive")
    refuses(lambda: frames.read(path, box=1), "span 2", "box 1")
    path.write_text(GML.replace('key="y">4', 'key="y">?'))
    refuses(lambda: frames.read(path, box=9), "'y'")
    path.write_text(GML.replace('target="2"', 'target="3"'))
    refuses(lambda: frames.read(path, box=9), "'3'", "not there")
    path.write_text(GML.replace("node", "knot"))
    refuses(lambda: frames.read(path, box=9), "no nodes")
    path.write_text("graph [ node [ id 1 ] ]")
    refuses(lambda: frames.read(path, box=9), "GraphML")


# ------------------------------------------------------------------------------------- writing


def unwritable(tmp_path):
    """Paths that not even root can write to: below a regular file, and in /proc."""
    (tmp_path / "file").write_text("")
    yield tmp_path / "file" / "out.gsd"
    if Path("/proc/self").exists():
        yield Path("/proc/nothing/out.gsd")


def test_unwritable_output(tmp_path, frame, lammps):
    hot = next(lammps.run(frame, SYSTEM, kT=1.0, duration=0.3, sample_times=[0]))
    for path in unwritable(tmp_path):
        refuses(lambda p=path: frames.write(p, frame), "cannot write", str(path), "folder")

        def started(*_):
            raise AssertionError("work began before the output was found unwritable")

        refuses(
            lambda p=path: simulate.cool(
                hot, SYSTEM, temperatures=[1.0, 0.9], steps_per_ramp=10, path=p, progress=started
            ),
            "cannot write", "out.gsd",
        )  # fmt: skip
        refuses(
            lambda p=path: simulate.isoconfigurational(
                frame, SYSTEM, kT=1.0, n_replicas=1, sample_times=[0.3], path=p, progress=started
            ),
            "cannot write", "out.gsd",
        )  # fmt: skip
    refuses(lambda: frames.write(tmp_path / "a.gsd", []), "nothing to write", "empty")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


# ------------------------------------------------------------------------- systems and engines


def test_unknown_names():
    refuses(lambda: systems.get("kob-anderson"), "'kob-anderson'", "Did you mean 'kob-andersen'")
    refuses(lambda: systems.get("x"), "known:", "bihani-2d", "hard-disks")
    refuses(lambda: engines.choose(SYSTEM, "gromacs"), "'gromacs'", "auto", "lammps")
    refuses(lambda: engines.choose(systems.get("hard-disks"), "lammps"), "hard particles", "soft")
    refuses(lambda: SYSTEM.pair("A", "C"), "'C'", "A-A, A-B, B-B")
    refuses(lambda: systems.get("hard-disks").pair("A", "A"), "hard cores only")
    refuses(lambda: LennardJones(1, 1, 2.5, "smooth"), "'smooth'", "cut, shift, force_shift")
    for rho in (-1.0, 0, np.nan):
        refuses(lambda r=rho: SYSTEM.box_length(density=r), f"density is {rho}", "positive")
    for eta in (-0.1, 0, 1.2, np.nan):
        refuses(lambda e=eta: systems.get("hard-disks").box_length(eta=e), f"eta is {eta}")
    for bad in ((0, 1, 2.5), (1, -1, 2.5), (1, 1, np.nan)):
        refuses(lambda b=bad: LennardJones(*b), "positive finite")


def test_unknown_preset():
    refuses(lambda: book.check_preset("papr"), "'papr'", "smoke, book, paper")
    refuses(lambda: book.setup("0-start/units", "big"), "'big'", "expected one of")


def test_engine_not_installed(monkeypatch):
    monkeypatch.setattr(engines, "available", lambda: {"hoomd": False, "lammps": False})
    refuses(lambda: engines.choose(SYSTEM, "hoomd"), "not installed", "conda")
    refuses(lambda: engines.choose(SYSTEM), "not installed", "pip install")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kT": -1.0}, ("kT is -1", "positive")),
        ({"kT": 0}, ("kT is 0", "positive")),
        ({"kT": (1.0, np.nan)}, ("kT is nan",)),
        ({"duration": 0}, ("duration is 0", "positive")),
        ({"duration": 1e-5}, ("shorter than one time step",)),
        ({"dt": -0.1}, ("dt is -0.1", "positive")),
        ({"ensemble": "npt"}, ("'npt'", "nvt, nve")),
        ({"sample_times": [0.2, 0.1]}, ("ascend", "sort")),
        ({"sample_times": [-0.1, 0.1]}, ("ascend from 0",)),
        ({"sample_times": [0.1, 0.1001]}, ("same step", "lower dt")),
        ({"sample_times": [0.1, 9.0]}, ("9.0", "beyond the duration", "longer")),
        ({"sample_times": []}, ("sample_times", "finite times")),
        ({"sample_times": [0.1, np.nan]}, ("finite times",)),
    ],
)
def test_bad_run_arguments(lammps, frame, options, words):
    options = {"kT": 1.0, "duration": 0.3, **options}
    refuses(lambda: next(lammps.run(frame, SYSTEM, **options)), *words)


def test_bad_minimise_arguments(lammps, frame):
    for tolerance in (0, -1, np.nan):
        refuses(
            lambda t=tolerance: lammps.minimize(frame, SYSTEM, force_tolerance=t),
            "force_tolerance", "positive",
        )  # fmt: skip


def test_overlaps(lammps, frame):
    close = frames.copy(frame)
    close.particles.position[1] = close.particles.position[0] + [1e-3, 0, 0]
    refuses(lambda: next(lammps.run(close, SYSTEM, kT=1.0, duration=0.3)), "overlap", "minimize")
    upon = frames.copy(frame)
    upon.particles.position[1] = upon.particles.position[0]
    refuses(lambda: next(lammps.run(upon, SYSTEM, kT=1.0, duration=0.3)), "overlap")
    for call in (lammps.evaluate, lammps.minimize):
        refuses(lambda c=call: c(upon, SYSTEM), "same place", "Move one")


def test_a_run_that_blows_up(lammps, frame):
    refuses(lambda: list(lammps.run(frame, SYSTEM, kT=1.0, duration=60, dt=0.2)), "lower dt")


def test_too_few_particles():
    for name in ("bihani-2d", "kob-andersen"):
        for n in (-3, 0, 1, 2):
            if (name, n) != ("bihani-2d", 2):
                refuses(
                    lambda s=name, n=n: simulate.lattice(systems.get(s), n=n), f"n is {n}",
                    "at least one particle of each",
                )  # fmt: skip
    refuses(
        lambda: simulate.liquid(SYSTEM, kT=1.0, n=10, engine="lammps"), "twice the cut-off",
        "more particles",
    )  # fmt: skip
    refuses(lambda: engines.base.thermal_velocities(1, 1.0, np.random.default_rng(0)), "at least 2")


# ----------------------------------------------------------------------------------- protocols


def test_bad_protocol_arguments(frame, lammps):
    hot = next(lammps.run(frame, SYSTEM, kT=1.0, duration=0.3, sample_times=[0]))

    def cool(start=hot, **changes):
        options = {"temperatures": [1.0, 0.9], "steps_per_ramp": 10, "engine": "lammps", **changes}
        return lambda: simulate.cool(start, SYSTEM, **options)

    refuses(cool(temperatures=[0.9, 1.0]), "descend")
    refuses(cool(temperatures=[1.0, 0.0]), "kT is 0", "positive")
    refuses(cool(temperatures=[1.0, np.nan]), "kT is nan")
    refuses(cool(temperatures=[]), "temperatures", "list")
    refuses(cool(temperatures=1.0), "temperatures", "list")
    refuses(cool(steps_per_ramp=0), "steps_per_ramp is 0")
    refuses(cool(engine="magic"), "'magic'")
    refuses(cool(frame), "no velocities", "simulate.liquid")

    def iso(start=frame, **changes):
        options = {"kT": 1.0, "n_replicas": 1, "sample_times": [0.3], "engine": "lammps", **changes}
        return lambda: simulate.isoconfigurational(start, SYSTEM, **options)

    refuses(iso([]), "no configurations")
    refuses(iso(kT=-1), "kT is -1", "positive")
    refuses(iso(n_replicas=0), "n_replicas is 0")
    refuses(iso(sample_times=[]), "sample_times")
    refuses(iso(sample_times=[0.3, 0.1]), "ascend")
    refuses(iso(sample_times=[np.nan]), "finite")
    refuses(iso(ensemble="npt"), "nvt, nve")
    refuses(iso(seed=-1), "seed is -1", "from 0")
    broken = frames.copy(frame)
    broken.particles.position[0, 0] = np.nan
    refuses(iso([frame, broken]), "configuration 1", "nan")
    for kT in (-1.0, np.nan):
        refuses(lambda t=kT: simulate.liquid(SYSTEM, kT=t, n=64, engine="lammps"), "positive")
        refuses(
            lambda t=kT: simulate.equilibrate(frame, SYSTEM, kT=t, duration=1, engine="lammps"),
            "positive",
        )  # fmt: skip
