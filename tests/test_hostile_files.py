"""Files that claim more than they hold, and noise: one line, little time, little memory."""

import gzip
import io
import json
import pickle
import re
import resource
import struct
import time
import tracemalloc
import warnings
import zipfile

import gsd.fl
import gsd.hoomd
import numpy as np
import pytest
from oracles import refuses

from glasslib import frames
from glasslib.frames import FrameError
from glasslib.models import Autoencoder, GraphSAGE, OrderParameter, PropensityRidge, files

pytestmark = pytest.mark.filterwarnings("ignore:.*do not join:UserWarning")


def refuses_small(path, *words, memory=30e6, seconds=2.0, **options):
    """A FrameError of one line with all ``words``, soon and in little memory."""
    started = time.process_time()
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            message = refuses(lambda: frames.read(path, **options), path.name, *words)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < memory
    assert time.process_time() - started < seconds
    assert len(message) < 1000


# ----------------------------------------------------------------------------------- GSD


def chunks(path, *made):
    """A GSD file of chunks, one dictionary a frame, as nothing but the file layer writes it."""
    with gsd.fl.open(str(path), "w", application="a", schema="hoomd", schema_version=[1, 4]) as f:
        for frame in made:
            for name, value in frame.items():
                f.write_chunk(name, value)
            f.end_frame()
    return path


X = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
BOX = np.array([9, 9, 9, 0, 0, 0], np.float32)
TWO = {"configuration/box": BOX, "particles/N": np.array([2], np.uint32), "particles/position": X}
HUGE = np.array([300_000_000], np.uint32)


@pytest.mark.parametrize(
    "made",
    [
        [TWO | {"particles/N": HUGE}],
        [{k: v for k, v in TWO.items() if k != "particles/position"} | {"particles/N": HUGE}],
        [TWO, {"particles/N": HUGE}],
        [TWO, TWO, {"particles/N": HUGE, "particles/position": X}],
        [TWO | {"bonds/N": HUGE}],
        [TWO, {"angles/N": HUGE}],
        [TWO | {"constraints/N": HUGE}],
    ],
)
def test_gsd_that_claims_particles_it_does_not_hold(tmp_path, made):
    path = chunks(tmp_path / "a.gsd", *made)
    assert path.stat().st_size < 10_000
    refuses_small(path, "claims 300000000", "expected their positions")


def test_gsd_that_claims_frames_it_does_not_hold(tmp_path):
    """The index says that a chunk belongs to frame 2⁴⁰: list(file) would not end."""
    path = chunks(tmp_path / "a.gsd", TWO, {"configuration/step": np.array([7], np.uint64)})
    data = path.read_bytes()
    at = struct.unpack_from("<Q", data, 8)[0]  # of the index, whose entries take 32 bytes
    entry = next(at + k for k in range(0, 9999, 32) if data[at + k] == 1)
    for number in (2**40, 10**6, 2**63):
        path.write_bytes(data[:entry] + struct.pack("<Q", number) + data[entry + 8 :])
        refuses_small(path)
    made = [TWO] + 100_000 * [{}] + [{"configuration/step": np.array([7], np.uint64)}]
    path = chunks(tmp_path / "b.gsd", *made)
    assert path.stat().st_size < 20_000
    refuses_small(path)
    # positions of the first frame, lent to a hundred others
    x, n = np.zeros((300_000, 3), np.float32), np.array([300_000], np.uint32)
    lent = [TWO | {"particles/N": n, "particles/position": x}] + 110 * [{}]
    path = chunks(tmp_path / "c.gsd", *lent, {"configuration/step": np.array([7], np.uint64)})
    refuses_small(path, "claims 300000 particles", "expected their positions")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("particles/N", np.array([2.0])),
        ("particles/N", np.array([-2], np.int32)),
        ("particles/N", np.array([2, 2], np.uint32)),
        ("particles/N", np.array([3], np.uint32)),
        ("particles/position", X[:1]),
        ("particles/position", X[:, :2]),
        ("particles/position", X * np.nan),
        ("particles/position", X * np.float32(1e30)),
        ("particles/image", np.full((2, 3), 2**31 - 1, np.int64)),
        ("particles/image", np.full((2, 3), 0.5, np.float32)),
        ("particles/image", np.full((2, 3), np.nan, np.float32)),
        ("particles/image", np.full((2, 3), 10**12, np.int64)),
        ("particles/typeid", np.array([0, 7], np.uint32)),
        ("particles/mass", np.array([1.0], np.float32)),
        ("particles/charge", np.array([np.inf, 0], np.float32)),
        ("configuration/box", BOX[:3]),
        ("configuration/box", BOX * np.nan),
        ("configuration/box", BOX * -1),
        ("configuration/box", np.array([9, 9, 9, 1e30, 0, 0], np.float32)),
        ("log/particles/propensity", np.zeros(3)),
    ],
)
def test_gsd_fields_that_are_none(tmp_path, name, value):
    x = {"particles/position": X + np.float32(5)} if name == "particles/image" else {}
    path = chunks(tmp_path / "a.gsd", TWO | x | {name: value})
    refuses_small(path)
    path = chunks(tmp_path / "a.gsd", TWO, TWO | x | {name: value})
    refuses_small(path)


# ---------------------------------------------------------------------------------- text

DUMP = (
    "ITEM: TIMESTEP\n5\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS xy xz yz pp pp pp\n0 9 0.5\n"
    "0 9 0\n0 9 0\nITEM: ATOMS id type x y z ix iy iz vx vy vz c_pe\n"
    "1 1 1 2 3 0 0 0 1 2 3 -1\n2 2 3 4 5 0 1 0 0 0 0 -2\n"
)
XYZ = (
    '2\nLattice="9 0 0 1 9 0 0 0 9" Properties=species:S:1:pos:R:3:id:I:1:velo:R:3 Time=5 '
    'pbc="T T T" Origin="0 1 0" Step=3\nA 1 2 3 1 0 0 0\nB 3 4 5 2 0 1 0\n'
)
RUMD = (
    "2\nioformat=1 boxLengths=9,9,9 numTypes=2 mass=1,2 timeStepIndex=4 "
    "columns=type,x,y,z,imx,imy,imz,vx,vy,vz,pe\n0 1 2 3 0 0 0 1 1 1 -1\n1 2 3 4 0 0 1 0 0 0 -2\n"
)
ATOOMS = "2\nstep:3 columns:name,pos,radius cell:9,9,9 dt:1\nA 1 2 3 .5\nB -3 4 -4 .4\n"
SPH = "2\n5 6 7\na 1 1 1 0.5\nb 2 2 2.5 0.25\n&2\n5 6 7\na 1 1 1 0.5\nb 6 2 2.5 0.25\n"
GML = (
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n<key attr.name="type" id="t"/>'
    '<key attr.name="x" id="x"/><key attr.name="y" id="y"/><key attr.name="pe" id="p"/><graph>'
    '<node id="1"><data key="t">1</data><data key="x">1</data><data key="y">2</data>'
    '<data key="p">-1</data></node>'
    '<node id="2"><data key="t">2</data><data key="x">3</data><data key="y">4</data>'
    '<data key="p">-2</data></node><edge source="1" target="2"/></graph>\n</graphml>\n'
)


@pytest.mark.parametrize("name", ["a.dump.gz", "a.xyz.gz", "a.sph.gz", "a.gml.gz", "a.xyz"])
@pytest.mark.parametrize("what", [b"\n", b"0 0 0 0\n", b"<a>"])
def test_gzip_bombs(tmp_path, name, what):
    path = tmp_path / name
    start = {"a.gml": b"<graphml>", "a.sph": b"9\n9 9 9\n", "a.dum": b"ITEM: TIMESTEP\n0\n"}
    text = start.get(name[:5], b"9\nLattice\n") + what * (200_000_000 // len(what))
    path.write_bytes(gzip.compress(text, 1))
    assert path.stat().st_size < 2_000_000
    del text
    options = {"box": 9} if "gml" in name else {}
    refuses_small(path, "unpacks to more than", "40 times", "GROWTH", memory=200e6, **options)


def test_text_that_shrinks_as_numbers_do_is_read(tmp_path):
    rng = np.random.default_rng(0)
    rows = "".join(f"A {x} {y} {z}\n" for x, y, z in rng.uniform(0, 9, (20_000, 3)).round(1))
    text = '20000\nLattice="9 0 0 0 9 0 0 0 9"\n' + rows
    (tmp_path / "a.xyz.gz").write_bytes(gzip.compress(text.encode()))
    assert frames.read(tmp_path / "a.xyz.gz")[0].particles.N == 20_000


def test_entities_do_not_grow(tmp_path):
    laughs = "".join(f'<!ENTITY l{k + 1} "{f"&l{k};" * 10}">' for k in range(9))
    path = tmp_path / "a.gml"
    path.write_text(f'<!DOCTYPE g [<!ENTITY l0 "ha">{laughs}]>\n<graphml>&l9;</graphml>\n')
    refuses_small(path, "document type", box=9)


@pytest.mark.parametrize(
    ("name", "text", "old", "new"),
    [
        ("a.xyz", RUMD, "numTypes=2", "numTypes=200000000"),
        ("a.xyz", RUMD, "numTypes=2", "numTypes=two"),
        ("a.xyz", RUMD, "numTypes=2", "numTypes=-2"),
        ("a.xyz", RUMD, "numTypes=2", "numTypes=1"),
        ("a.xyz", RUMD, "0 1 2 3 0 0 0", "0 1 2 3 1000000000000 0 0"),
        ("a.xyz", RUMD, "0 1 2 3 0 0 0", "0 1 2 3 nan 0 0"),
        ("a.xyz", RUMD, "0 1 2 3 0 0 0", "0 1 2 3 0.5 0 0"),
        ("a.xyz", RUMD, "0 1 2 3", "0 1e12 2 3"),
        ("a.xyz", RUMD, "0 1 2 3", "01234567890123456789 1 2 3"),
        ("a.xyz", RUMD, "boxLengths=9,9,9", "boxLengths=9,9,1e-300"),
        ("a.xyz", RUMD, "boxLengths=9,9,9", "boxLengths=9,9,1e300"),
        ("a.xyz", RUMD, "2\nioformat", "2000000000000\nioformat"),
        ("a.xyz", RUMD, "2\nioformat", "-2\nioformat"),
        ("a.xyz", XYZ, "A 1 2 3", "A 1e12 2 3"),
        ("a.xyz", XYZ, "A 1 2 3", "A 1e300 2 3"),
        ("a.xyz", XYZ, "A 1 2 3", "A 1_0 2 3"),
        ("a.xyz", XYZ, "9 0 0 1 9 0", "9 0 0 1e30 9 0"),
        ("a.xyz", XYZ, "9 0 0 1 9 0", "9 0 0 1e300 9 0"),
        ("a.xyz", XYZ, "9 0 0 1 9 0 0 0 9", "9 0 0 1 nan 0 0 0 9"),
        ("a.xyz", XYZ, "9 0 0 1 9 0 0 0 9", "0 0 0 0 0 0 0 0 0"),
        ("a.xyz", XYZ, "pos:R:3", "pos:R:3000000000"),
        ("a.xyz", XYZ, "pos:R:3", "pos:R:0"),
        ("a.xyz", XYZ, "pos:R:3", "pos:R:-3"),
        ("a.xyz", XYZ, 'Origin="0 1 0"', 'Origin="0 1"'),
        ("a.xyz", XYZ, 'Origin="0 1 0"', 'Origin="0 1e12 0"'),
        ("a.xyz", XYZ, "A 1 2 3 1 0", "A 1 2 3 1 1e300"),
        ("a.xyz", ATOOMS, "cell:9,9,9", "cell:9,9,9,9"),
        ("a.xyz", ATOOMS, "cell:9,9,9", "cell:9,-9,9"),
        ("a.xyz", ATOOMS, "A 1 2 3 .5", "A 1 2 3 -.5"),
        ("a.dump", DUMP, "1 1 1 2 3", "1 1 1000000000000 2 3"),
        ("a.dump", DUMP, "1 1 1 2 3 0", "1 1 1 2 3 1000000000000"),
        ("a.dump", DUMP, "1 1 1 2 3 0", "1 1 1 2 3 nan"),
        ("a.dump", DUMP, "1 1 1 2 3 0", "1 1 1 2 3 2147483648"),
        ("a.dump", DUMP, "1 1 1 2 3 0", "1 1 1 2 3 .5"),
        ("a.dump", DUMP, "0 9 0.5", "0 9 1e30"),
        ("a.dump", DUMP, "0 9 0.5", "0 9 inf"),
        ("a.dump", DUMP, "1 1 1 2 3", "1 12345678901234567890 1 2 3"),
        ("a.dump", DUMP, "1 1 1 2 3", "1 1.5 1 2 3"),
        ("a.dump", DUMP, "1 1 1 2 3", "1 nan 1 2 3"),
        ("a.dump", DUMP, "1 1 1 2 3", "1 2000 1 2 3"),
        ("a.dump", DUMP, "OF ATOMS\n2", "OF ATOMS\n2000000000000"),
        ("a.dump", DUMP, "OF ATOMS\n2", "OF ATOMS\n" + "9" * 6000),
        ("a.dump", DUMP, "-1\n2", "1e300 -1\n2"),
        ("a.gml", GML, 'key="t">1', 'key="t">1.5'),
        ("a.gml", GML, 'key="t">1', 'key="t">nan'),
        ("a.gml", GML, 'key="t">1', 'key="t">12345678901234567890'),
        ("a.gml", GML, 'key="x">1', 'key="x">1e12'),
        ("a.gml", GML, 'id="2"', 'id="1"'),
        ("a.sph", SPH, "a 1 1 1 0.5\nb 2", "a 1e12 1 1 0.5\nb 2"),
        ("a.sph", SPH, "5 6 7", "5 6 1e300"),
        ("a.sph", SPH, "5 6 7", "5 6 1e-300"),
        ("a.sph", SPH, "0.25", "1e300"),
        ("a.sph", SPH, "2\n5", "2000000000000\n5"),
    ],
)  # fmt: skip
def test_numbers_that_are_none(tmp_path, name, text, old, new):
    assert old in text
    options = {"box": 9} if name == "a.gml" else {}
    path = tmp_path / name
    path.write_text(text)
    frames.read(path, **options)
    path.write_text(text.replace(old, new, 1))
    refuses_small(path, **options)


def test_a_particle_that_cannot_be_put_into_the_box():
    for x, box in ((1e12, 10.0), (1.0, [1e-12, 1, 1]), (1.0, [10, 10, 10, 1e12, 0, 0])):
        refuses(
            lambda x=x, box=box: frames.build([[0, 0, 0], [x, 5, 5]], box, [0, 0]), "into the box"
        )
    f = frames.build([[0, 0, 0], [1, 1, 1]], 10.0, [0, 0])
    far = np.array([[2**31 - 1, 0, 0], [0, 0, 0]])
    refuses(lambda: frames.build([[6, 0, 0], [1, 1, 1]], 10.0, [0, 0], image=far), "image")
    for wrong in (far + 1, far * 0.5, far * np.nan, np.full((2, 3), "a")):
        f.particles.image = wrong
        refuses(lambda: frames.check(f), "image", "whole numbers")
    refuses(lambda: frames.build([[0, 0, 0]], 10.0, [0.5]), "typeid", "whole numbers")
    # a million crossings are none too many
    g = frames.build([[1e7 + 1, 0, 0]], 10.0, [0])
    np.testing.assert_allclose(frames.unwrapped(g), [[1e7 + 1, 0, 0]])


# -------------------------------------------------------------------------------- models


def saved(tmp_path):
    """A small model of each kind, and what its file holds."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) + np.repeat([0, 4], 30)[:, None]
    made = [
        (PropensityRidge(alphas=1.0).fit(X, X[:, :2]), "glasslib.PropensityRidge/1"),
        (Autoencoder(epochs=1, hidden=5).fit(X), "glasslib.Autoencoder/1"),
        (OrderParameter(encoder="pca").fit(X), "glasslib.OrderParameter/1"),
        (OrderParameter(training={"epochs": 1}).fit(X), "glasslib.OrderParameter/1"),
    ]
    for k, (model, form) in enumerate(made):
        yield model, form, files.read(model.save(tmp_path / f"{k}.safetensors"), form)
    import torch

    from glasslib.models.graphsage import Network

    for features in ("coordinates", "type"):
        torch.manual_seed(0)
        model = GraphSAGE(features=features, hidden=8)
        model.network_ = Network(4, features, 8, 2)
        model.in_channels_, model.n_graphs_, model.history_ = 4, 1, []
        path = model.save(tmp_path / f"{features}.safetensors")
        yield model, "glasslib.GraphSAGE/1", files.read(path, "glasslib.GraphSAGE/1")


def test_one_checked_loader_for_all_models(tmp_path):
    """Whatever key, value, array or shape of a file is changed: one line, and no memory."""
    path, tried = tmp_path / "bad.safetensors", 0
    values = [None, "x", -1, 10**9, 10**30, 1.5, [], {}, True, [[]], float("inf")]
    for model, form, (header, arrays) in saved(tmp_path):
        header.pop("format")
        load = type(model).load
        files.write(path, form, header, arrays)
        load(path)

        def bad(head, held, *words, load=load, form=form):
            nonlocal tried
            tried += 1
            files.write(path, form, head, held)
            message = refuses(lambda: load(path), str(path), *words)
            assert len(message) < 1000

        for key in set(header) - {"made"}:  # may be missing
            bad({k: v for k, v in header.items() if k != key}, arrays, "lacks", key)
        bad(header | {"colour": 1}, arrays, "unknown", "colour")
        parameters = header["parameters"]
        for key in set(parameters) - {"order"}:
            less = {k: v for k, v in parameters.items() if k != key}
            bad(header | {"parameters": less}, arrays, "parameters lacks", key)
        bad(header | {"parameters": parameters | {"colour": 1}}, arrays, "unknown", "colour")
        for name in arrays:
            if name in ("cv_score", "bic"):  # may be missing
                continue
            bad(header, {k: v for k, v in arrays.items() if k != name})
            bad(header, arrays | {name: arrays[name][:-1]})
            bad(header, arrays | {name: arrays[name][None]})
            bad(header, arrays | {name: arrays[name] * np.nan})
            bad(header, arrays | {name: np.zeros(arrays[name].shape, np.int64)})
        bad(header, arrays | {"colour": np.zeros(3)}, "colour")
        # any other value is refused in one line, or is one that a model may have
        for key in [*header, *parameters]:
            for value in values:
                head = header | ({key: value} if key in header else {})
                if key not in header:
                    head["parameters"] = parameters | {key: value}
                files.write(path, form, head, arrays)
                told = ""
                try:
                    load(path)
                except ValueError as error:
                    told = str(error)
                assert "\n" not in told
                tried += bool(told)
        spoilt = tmp_path / "spoilt.safetensors"
        for head in (b"[]", b"3", b"null", b'"a"', b"{", b"", b"\xff", b"[" * 100_000):
            raw = path.read_bytes()
            size = int.from_bytes(raw[:8], "little")
            meta = json.loads(raw[8 : 8 + size])
            meta["__metadata__"] = {"glasslib": head.decode("latin1")}
            new = json.dumps(meta).encode()
            spoilt.write_bytes(len(new).to_bytes(8, "little") + new + raw[8 + size :])
            refuses(lambda load=load, path=spoilt: load(path), "spoilt.safetensors")
    assert tried > 300


def test_a_file_of_several_models_is_checked_like_one(tmp_path):
    from glasslib.models import autoencoder

    form, path = autoencoder.SEVERAL_FORMAT, tmp_path / "several.safetensors"
    X = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat([0, 4], 30)[:, None]
    models = {
        "a": OrderParameter(encoder="pca").fit(X),
        "b": OrderParameter(training={"epochs": 1}).fit(X),
    }
    autoencoder.save_several(path, models, {"fingerprint": "1"})
    header, arrays = files.read(path, form)
    header.pop("format")

    def bad(head, held, *words):
        files.write(path, form, head, held)
        refuses(lambda: autoencoder.load_several(path), str(path), *words)

    for key in header:
        bad({k: v for k, v in header.items() if k != key}, arrays, "lacks", key)
        for value in (None, "x", 3, [], True):
            bad(header | {key: value}, arrays, key)
    bad(header | {"colour": 1}, arrays, "unknown", "colour")
    bad(header | {"models": {"a": header["models"]["a"]}}, arrays, "'b'")
    for one in (None, "x", 3, [], {}):
        bad(header | {"models": header["models"] | {"b": one}}, arrays)
    for name in arrays:
        bad(header, {k: v for k, v in arrays.items() if k != name})
        bad(header, arrays | {name: arrays[name] * np.nan})
    bad(header, arrays | {"mean": np.zeros(4)}, "'mean'")


# -------------------------------------------------------------------------------- noise

#: words that number parsers, and what comes behind them, stumble over
WORDS = [
    b"nan", b"inf", b"-inf", b"1e12", b"-1e12", b"1e308", b"1e-308", b"0", b"-0", b"-1", b"1",
    b"2", b"3", b"99999999999999999999", b"2147483648", b"4294967296", b"0.5", b"1e3", b"1_0", b"x",
    b"", b"\xce\xb1", b"\xff", b"\0", b"+1", b"0x10", b"1.", b".", b"-", b"T", b"F", b",", b":",
    b'"', b"=", b"\xd9\xa3", b"A", b"id", b"x y z", b"\r", b"\x0c",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]
MUTATIONS = 5000


def mutated(data: bytes, rng: np.random.Generator, *, text: bool) -> bytes:
    """The file with one to four things changed."""
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        kind, at = rng.integers(9), int(rng.integers(len(data)))
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + bytes([rng.integers(256)]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at] + data[at + int(rng.integers(1, 20)) :]
        elif kind == 3:
            end = at + int(rng.integers(1, 60))
            data = data[:end] + data[at:end] + data[end:]
        elif kind == 4:
            data = data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
        elif text and kind == 5:
            lines = data.split(b"\n")
            i, j = rng.integers(len(lines), size=2)
            lines[i], lines[j] = lines[j], lines[i]
            data = b"\n".join(lines)
        elif text:  # a word becomes another one
            words = list(re.finditer(rb"[^\s,:=<>\"]+", data))
            if words:
                word = words[rng.integers(len(words))]
                new = WORDS[rng.integers(len(WORDS))]
                data = data[: word.start()] + new + data[word.end() :]
        else:
            width = int(rng.choice([1, 2, 4, 8]))
            at -= at % width
            number = NUMBERS[rng.integers(len(NUMBERS))] % 2 ** (8 * width)
            data = data[:at] + number.to_bytes(width, "little") + data[at + width :]
    return data


def gsd_bytes(folder):
    rng = np.random.default_rng(0)
    log = {"particles/q": np.ones((3, 1)), "t": np.ones(1)}
    made = [
        frames.build(x, 5.0, [0, 1, 0], velocity=x - 2, log=log)
        for x in rng.uniform(0, 5, (2, 3, 3))
    ]
    made[1].bonds.N, made[1].bonds.group = 1, np.array([[0, 1]])
    made[1].bonds.types, made[1].bonds.typeid = ["b"], np.array([0])
    return frames.write(folder / "start.gsd", made).read_bytes()


def npz_bytes(_):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 2, (5, 3))
    stream = io.BytesIO()
    np.savez(stream, types=np.zeros(5, "i1"), initial_positions=x, positions=x[None], box=2.0)
    return stream.getvalue()


def pickle_bytes(_):
    x = np.random.default_rng(0).uniform(0, 2, (4, 3))
    data = {"positions": x, "types": np.zeros(4, np.int32), "box": np.full(3, 2.0),
            "time": [0.0, 1.0], "time_indices": [1], "metadata": {"temperature": 1.0},
            "trajectory_target_positions": [[x, x]]}  # fmt: skip
    return pickle.dumps(data, protocol=2)


FORMATS = {
    "dump": ("a.dump", lambda _: (DUMP + DUMP).encode(), {}),
    "xyz": ("a.xyz", lambda _: (XYZ + XYZ).encode(), {}),
    "rumd": ("a.xyz", lambda _: (RUMD + RUMD).encode(), {}),
    "atooms": ("a.xyz", lambda _: (ATOOMS + ATOOMS).encode(), {}),
    "spheres": ("a.sph", lambda _: SPH.encode(), {}),
    "graphml": ("a.gml", lambda _: GML.encode(), {"box": 9.0}),
    "gsd": ("a.gsd", gsd_bytes, {}),
    "npz": ("a.npz", npz_bytes, {}),
    "pickle": ("a.pickle", pickle_bytes, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_noise_is_refused_in_one_line_or_read_as_a_frame(tmp_path, name):
    """Seeded: what fails once fails again. Nothing but FrameError, no warning, no memory."""
    file, make, options = FORMATS[name]
    path, data = tmp_path / file, make(tmp_path)
    path.write_bytes(data)
    assert frames.read(path, **options)
    rng = np.random.default_rng(list(name.encode()))
    text = name not in ("gsd", "npz", "pickle")
    good, slowest, most = 0, 0.0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*do not join", UserWarning)
        if name == "npz":  # of the zip archive: names twice
            warnings.simplefilter("ignore", UserWarning)
        for k in range(MUTATIONS):
            noise = mutated(data, rng, text=text)
            path.write_bytes(noise)
            before, started = (
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                time.process_time(),
            )
            try:
                read = frames.read(path, **options)
            except FrameError as error:
                message = str(error)
                assert "\n" not in message, (k, message)
                assert len(message) < 1500, (k, message)
            except Exception as error:
                raise AssertionError(f"mutation {k} of {name}: {noise!r}") from error
            else:
                good += 1
                for frame in read:
                    assert_is_a_frame(frame, noise)
            slowest = max(slowest, time.process_time() - started)
            most = max(most, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    print(f"{name}: {good} of {MUTATIONS} read; at most {slowest:.3f} s, {most / 1e3:.0f} MB")
    assert good < MUTATIONS
    assert slowest < 2
    assert most < 100_000  # kB


def assert_is_a_frame(frame, noise):
    frames.check(frame)
    box = np.asarray(frame.configuration.box)
    d = frames.dimensions(frame)
    cell = frames.cell_matrix(box)[:d, :d]
    inside = np.linalg.solve(cell, np.asarray(frame.particles.position, float)[:, :d].T)
    assert np.abs(inside).max() < 0.51, noise
    assert np.all(np.isfinite(inside)), noise
    for value in vars(frame.particles).values():
        if isinstance(value, np.ndarray):
            assert np.all(np.isfinite(value)), noise


def test_zip_members_that_are_huge_are_not_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(npz_bytes(None))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("other.npy", bytes(100_000_000))
    tracemalloc.start()
    frames.read(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
