"""glasslib predict, models, describe, label: what the command line does with files of one's own."""

import importlib.util

import numpy as np
import pytest

from glasslib import book, cli, frames, gathering, pretrained, simulate
from glasslib.engines import base

DATA = book.root() / "data" / "2-autoencoder-3d" / "isoconfigurational"
WARMER = DATA / "kob-andersen-0.55-0.gsd"
KA = ["--system", "kob-andersen"]
SYSTEM = """
name: soft
dimensions: 3
types: [A, B, C]
composition: [0.5, 0.25, 0.25]
density: 0.8
dt: 0.005
thermostat_time: 0.5
wavenumber: 6.5
r_cut: 1.12246
pairs:
  A-A: {epsilon: 1, sigma: 1.0}
  A-B: {epsilon: 1, sigma: 0.95}
  A-C: {epsilon: 1, sigma: 0.9}
  B-B: {epsilon: 1, sigma: 0.9}
  B-C: {epsilon: 1, sigma: 0.85}
  C-C: {epsilon: 1, sigma: 0.8}
"""


def start(frame):
    new = frames.copy(frame, log={})
    new.particles.image = new.particles.velocity = None
    return new


@pytest.fixture
def two(tmp_path):
    """Two liquids of which the file says nothing but where everybody is."""
    made = [start(frames.read(DATA / f"kob-andersen-{kT}-0.gsd")[0]) for kT in (0.55, 0.6)]
    return frames.write(tmp_path / "two.gsd", made)


@pytest.fixture
def soft(tmp_path):
    (tmp_path / "soft.yaml").write_text(SYSTEM)
    return tmp_path / "soft.yaml"


def test_models_are_listed(capsys):
    assert cli.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "system", "state", "foretells", "species", "r", "ceiling"]
    assert {line.split()[0] for line in lines[1:-2]} == set(pretrained.available())
    assert cli.main(["models", "ka-0.44-A-energies"]) == 0
    said = capsys.readouterr().out
    assert "trained on 10 public configurations" in said
    assert "Apache-2.0" in said
    assert cli.main(["models", "ka-9"]) == 2
    assert "no model 'ka-9'; there are" in capsys.readouterr().err


def test_predict_writes_every_frame(two, tmp_path, capsys):
    out = tmp_path / "out.gsd"
    call = ["predict", str(two), "-o", str(out), "--system", "kob-andersen", "--kT", "0.55"]
    assert cli.main([*call, "--model", "ka-0.5-thermal"]) == 0
    said = capsys.readouterr()
    assert "ceiling" in said.out
    assert "0% of particles without" in said.out
    notes = said.err.splitlines()
    assert notes == [
        n for n in notes if n.startswith("note: ka-0.5-thermal was trained at 0.5; the frame has")
    ]
    assert len(notes) == 1
    made = frames.read(out)
    m = pretrained.get("ka-0.5-thermal")
    for frame in made:
        assert frame.log["particles/predicted_propensity"].shape == (2000,)
        assert pretrained.read_card(frame)[0]["model"] == "ka-0.5-thermal"
    with pytest.warns(UserWarning, match="trained at"):
        again = m.predict(frames.read(two)[1], kT=0.6)
    np.testing.assert_allclose(made[1].log["particles/predicted_propensity"], again, rtol=1e-3)


def test_predict_of_one_species_at_all_times(two, tmp_path, capsys):
    out = tmp_path / "out.gsd"
    call = ["predict", str(two), "-o", str(out), "--model", "ka-0.5-A-thermal", "--time", "all"]
    assert cli.main([*call, "--stride", "2"]) == 0
    assert "20% of particles without" in capsys.readouterr().out
    (frame,) = frames.read(out)
    value = frame.log["particles/predicted_propensity"]
    assert value.shape == (2000, 20)
    assert np.array_equal(np.isnan(value[:, 0]), frame.particles.typeid == 1)


def test_describe_writes_a_table(two, tmp_path, capsys):
    out = tmp_path / "table.npz"
    call = ["describe", str(two), "-o", str(out), "--descriptors", "radial-angular,bond-order"]
    assert cli.main(call) == 0
    with np.load(out) as table:
        assert table["X"].shape == (4000, 392 + 8)
        assert table["columns"][0] == "G_A(r = 0.5, δ = 0.03, n = 0)"
        assert table["columns"][-1] == "q̄8"
        assert table["species"][:5].tolist() == list("AAAAA")
        np.testing.assert_array_equal(np.unique(table["frame"]), [0, 1])
        assert table["particle"][2001] == 1
    assert "400 columns of 4000 particles of 2 frames" in capsys.readouterr().out


def test_describe_refuses_species_in_another_order(two, tmp_path, capsys):
    """Columns are named after species: those of another frame would stand under wrong heads."""
    one = frames.read(two)[0]
    other = frames.copy(one, log={})
    other.particles.types = ["B", "A"]
    other.particles.typeid = 1 - np.asarray(one.particles.typeid)
    mixed = frames.write(tmp_path / "mixed.gsd", [one, other])
    call = ["describe", str(mixed), "-o", str(tmp_path / "t.npz"), "--descriptors"]
    assert cli.main([*call, "radial-angular"]) == 2
    assert "frame 1 has B, A, the first A, B" in capsys.readouterr().err
    assert not (tmp_path / "t.npz").exists()


def test_predict_names_the_frame_that_it_refuses(two, tmp_path, capsys):
    made = frames.read(two)
    made[1].particles.types = ["A", "C"]
    odd = frames.write(tmp_path / "odd.gsd", made)
    call = ["predict", str(odd), "-o", str(tmp_path / "o.gsd"), "--model", "ka-0.5-thermal"]
    assert cli.main([*call, "--kT", "0.5"]) == 2
    assert "frame 1 of 2, counted from 0: ka-0.5-thermal" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["describe", "board"])
def test_parquet_holds_what_the_other_format_holds_or_says_what_it_lacks(
    name, two, tmp_path, capsys
):
    other = tmp_path / ("t.npz" if name == "describe" else "t.csv")
    call = [name, *([str(two), "--descriptors", "bond-order"] if name == "describe" else []), "-o"]
    code = cli.main([*call, str(tmp_path / "t.parquet")])
    if importlib.util.find_spec("pyarrow") is None:
        said = capsys.readouterr().err
        assert code == 2
        assert len(said.splitlines()) == 1
        assert "pip install -e '.[parquet]'" in said
        assert said.rstrip().endswith(f"let the name end in {other.suffix}.")
        assert not list(tmp_path.glob("*.parquet*"))
        return
    assert code == cli.main([*call, str(other)]) == 0
    rows = gathering.read_table(tmp_path / "t.parquet")
    if name == "board":
        assert len(rows) > 8000
        # as texts: NaN is no number equal to itself
        assert list(map(str, rows)) == list(map(str, gathering.read_table(other)))
        return
    with np.load(other) as table:
        names = ["frame", "particle", "species", *table["columns"]]
        assert list(rows[0]) == names
        X = np.array([[row[c] for c in table["columns"]] for row in rows])
        np.testing.assert_array_equal(X, table["X"])
        for column in names[:3]:
            assert [row[column] for row in rows] == table[column].tolist()


@pytest.mark.slow
def test_a_frame_finds_its_model_and_its_energies(two, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(base, "FLOW_FORCE", 10.0)  # some minimum will do: FIRE's alone
    out = tmp_path / "out.gsd"
    call = [str(two), "--stride", "2", "--system", "kob-andersen"]
    assert cli.main(["predict", *call, "-o", str(out)]) == 0
    assert pretrained.read_card(frames.read(out)[0])[0]["model"] == "ka-0.5-energies"
    out = tmp_path / "table.npz"
    assert cli.main(["describe", *call, "-o", str(out), "--descriptors", "energies"]) == 0
    with np.load(out) as table:
        assert table["X"].shape == (2000, 64)
        assert table["X"][:, 0].mean() < -6  # inherent energy a particle


def test_label_runs_a_system_of_ones_own_and_resumes(soft, tmp_path, capsys):
    from glasslib import systems

    system = systems.get(soft)
    liquid = simulate.liquid(system, kT=1.0, n=120, melt_time=2.0, duration=1.0)
    dump = tmp_path / "run.lammpstrj"
    write_dump(dump, liquid)
    out = tmp_path / "labels.gsd"
    call = ["label", str(dump), "-o", str(out), "--system", str(soft), "--kT", "1"]
    call += ["--replicas", "3", "--times", "0.1,0.5"]
    assert cli.main(call) == 0
    said = capsys.readouterr().out
    assert "3 of 3 draws" in said
    (frame,) = frames.read(out)
    assert frame.log["particles/propensity"].shape == (120, 2)
    assert frame.log["particles/propensity"][:, 1].mean() > 0.1
    assert {"msd_A", "msd_B", "msd_C"} <= set(frame.log)
    before = out.stat().st_mtime_ns
    assert cli.main(call) == 0  # what is there is read
    assert out.stat().st_mtime_ns == before
    assert cli.main([*call[:-3], "4", *call[-2:]]) == 2
    assert "n_replicas" in capsys.readouterr().err


@pytest.fixture
def hundred(soft):
    """A hundred particles of three species, and the system they are of."""
    from glasslib import systems

    liquid = simulate.liquid(systems.get(soft), kT=1.0, n=100, melt_time=2.0, duration=1.0)
    return start(liquid)


def repeat(frame, counts, tilt=0.0):
    """Copies of a box beside each other; an edge tilted by one stack has the same images."""
    L, x = float(frame.configuration.box[0]), np.asarray(frame.particles.position)
    cells = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1).reshape(-1, 3)
    many = np.concatenate([x + L * cell for cell in cells])
    box = np.array([*(L * np.array(counts)), tilt, 0, 0])
    kind = np.tile(frame.particles.typeid, len(cells))
    return frames.build(many, box, kind, types=frame.particles.types)


def test_a_hundred_particles_and_three_species(hundred, soft, tmp_path, capsys):
    """What a small box allows is done; what it does not, or another system, is one line."""
    one = str(frames.write(tmp_path / "one.gsd", [hundred]))
    out, table = str(tmp_path / "o.gsd"), str(tmp_path / "t.npz")
    assert cli.main(["describe", one, "-o", table, "--descriptors", "bond-order"]) == 0
    label = ["label", one, "-o", out, "--system", str(soft), "--replicas", "2", "--times", "0.1"]
    assert cli.main(label) == 0
    assert frames.read(out)[0].log["particles/propensity"].shape == (100, 1)
    capsys.readouterr()
    for call, told in {
        ("describe", one, "-o", table): "the shells reach 5.456",
        ("predict", one, "-o", out, "--model", "ka-0.5-order"): "type C",
        ("predict", one, "-o", out): "no model fits the frame",
    }.items():
        assert cli.main(list(call)) == 2
        said = capsys.readouterr().err
        assert told in said
        assert len(said.splitlines()) == 1


def test_a_tilted_box_with_the_same_images_is_described_alike(hundred, soft, tmp_path):
    plain, tilted = repeat(hundred, (3, 3, 3)), repeat(hundred, (3, 3, 3), tilt=1 / 3)
    path = str(frames.write(tmp_path / "both.gsd", [plain, tilted]))
    out = tmp_path / "t.npz"
    kinds = ["--descriptors", "radial-angular,bond-order,energies", "--n-max", "1"]
    assert cli.main(["describe", path, "-o", str(out), "--system", str(soft), *kinds]) == 0
    with np.load(out) as table:
        X, names = table["X"], table["columns"]
    assert {name.split("_")[1].split("(")[0] for name in names if name[:2] == "G_"} >= set("ABC")
    scale = np.abs(X).max(axis=0) + 1e-9
    np.testing.assert_allclose(X[:2700] / scale, X[2700:] / scale, atol=2e-3)
    np.testing.assert_allclose(X[:100] / scale, X[100:200] / scale, atol=2e-3)


@pytest.mark.slow
def test_label_in_a_tilted_box(hundred, soft, tmp_path):
    """Fresh runs there move as far as in the upright box of the same images."""
    both = [repeat(hundred, (2, 2, 2)), repeat(hundred, (2, 2, 2), tilt=1 / 2)]
    path, out = frames.write(tmp_path / "both.gsd", both), tmp_path / "o.gsd"
    call = ["label", str(path), "-o", str(out), "--system", str(soft), "--replicas", "4"]
    assert cli.main([*call, "--times", "0.02,0.2"]) == 0
    upright, tilted = (f.log["particles/propensity"].mean(axis=0) for f in frames.read(out))
    np.testing.assert_allclose(upright, tilted, rtol=0.05)


@pytest.mark.slow
def test_a_hundred_thousand_particles(two, tmp_path):
    """Fifty boxes beside each other: described and foretold as one of them is."""
    one = start(frames.read(two)[0])
    path = str(frames.write(tmp_path / "big.gsd", [repeat(one, (5, 5, 2))]))
    out, table = tmp_path / "o.gsd", tmp_path / "t.npz"
    assert cli.main(["describe", path, "-o", str(table), "--descriptors", "bond-order"]) == 0
    with np.load(table) as big:
        assert big["X"].shape == (100_000, 8)
        spread = big["X"].reshape(50, 2000, 8).std(axis=0)
        assert spread.max() < 1e-4 < big["X"].std(axis=0).min()
    assert cli.main(["predict", path, "-o", str(out), "--model", "ka-0.5-order"]) == 0
    alone = pretrained.get("ka-0.5-order").predict(one)
    (made,) = frames.read(out)
    many = made.log["particles/order_parameter"].reshape(50, 2000)
    # single precision of places decides who is within a sphere, for one in thousands
    assert np.mean(np.abs(many - alone) < 1e-3) > 0.999


def write_dump(path, frame):
    """As LAMMPS writes it, types as numbers."""
    low, edge = -frame.configuration.box[0] / 2, frame.configuration.box[0] / 2
    with path.open("w") as out:
        out.write(f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{frame.particles.N}\n")
        out.write("ITEM: BOX BOUNDS pp pp pp\n" + 3 * f"{low} {edge}\n")
        out.write("ITEM: ATOMS id type x y z\n")
        for i, (x, t) in enumerate(zip(frame.particles.position, frame.particles.typeid)):
            out.write(f"{i + 1} {t + 1} {x[0]} {x[1]} {x[2]}\n")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (["predict", "FILE", "-o", "out.gsd"], "composition and density are the same"),
        (["predict", "FILE", "-o", "out.xyz"], "a name that ends in .gsd"),
        (["predict", "FILE", "-o", "out.gsd", "--model", "ka-9"], "no model 'ka-9'"),
        (
            ["predict", "FILE", "-o", "out.gsd", "--model", "wahnstrom-0.7-energies"],
            "the frame has 80:20",
        ),
        (
            [
                "predict",
                "FILE",
                "-o",
                "o.gsd",
                "--model",
                "ka-0.5-energies",
                "--system",
                "wahnstrom",
            ],
            "not of wahnstrom",
        ),
        (["predict", "FILE", "-o", "out.gsd", "--time", "soon"], "expected a number"),
        (["predict", "missing.gsd", "-o", "out.gsd"], "no file missing.gsd"),
        (["describe", "FILE", "-o", "out.csv"], ".npz or .parquet"),
        (["describe", "FILE", "-o", "o.npz", "--descriptors", "soap"], "soap is none"),
        (["describe", "FILE", "-o", "o.npz", "--descriptors", "energies"], "say --system"),
        *(
            (["describe", "FILE", "-o", "o.npz", "--n-max", n], f"--n-max is {n}; expected 0 to")
            for n in ("21", "1000000", "-1")
        ),
        *(
            (["label", "FILE", "-o", "o.gsd", "--times", t, *KA], f"--times is {t!r}; expected")
            for t in ("1e-9", "0", "-1", "1e-9,1", "2,1", "1,1", "inf", "nan")
        ),
        (["label", "FILE", "-o", "o.gsd", "--times", "1"], "say --system"),
        (["label", "FILE", "-o", "o.gsd", "--times", "a", "--system", "kob-andersen"], "'a'"),
        (["label", "FILE", "-o", "o.gsd", "--times", "1", "--system", "ka"], "unknown system 'ka'"),
        (
            ["label", "FILE", "-o", "o.gsd", "--times", "1", "--system", "no.yaml"],
            "no file no.yaml",
        ),
        (["predict", "FILE", "-o", "out.gsd", "--rename", "A"], "expected such as Ni=A"),
        *(
            (["predict", "FILE", "-o", "o.gsd", "--model", "ka-0.5-thermal", "--kT", kT], told)
            for kT, told in {"0": "kT is 0.0", "nan": "kT is nan", "-1": "kT is -1.0"}.items()
        ),
        (["predict", "FILE", "-o", "FILE", "--model", "ka-0.5-thermal"], "is the input"),
        (["predict", "FILE", "-o", "folder.gsd"], "Is a directory"),
        (["describe", "FILE", "-o", "o.npz", "--inherent", "--system", "hard-spheres"], "hard"),
        (
            ["describe", "FILE", "-o", "o.npz", "--system", "hard-disks"],
            "is 3D; system 'hard-disks' is 2D",
        ),
        (
            ["describe", "FILE", "-o", "o.npz", "--descriptors", "bond-order,bond-order"],
            "each once",
        ),
        (
            ["label", "FILE", "-o", "o.gsd", "--times", "1", "--jobs", "0", *KA],
            "--jobs is 0",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(call, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.gsd").mkdir()
    bare = start(frames.read(WARMER)[0])
    call = [str(frames.write("frame.gsd", bare)) if word == "FILE" else word for word in call]
    assert cli.main(call) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1
