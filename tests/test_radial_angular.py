"""Radial and angular descriptors: scipy's harmonics in a loop, crystals, symmetries, refusals."""

import doctest
import itertools
import sys
import tracemalloc

import numba
import numpy as np
import pytest
from oracles import external, refuses
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from glasslib import frames
from glasslib.descriptors import (
    averaged_radial_angular,
    averaging,
    bond_order,
    radial_angular,
    shell_average,
    shells,
)
from glasslib.descriptors.radial_angular import ANGULAR, ORDERS, RADIAL, Column, columns

#: short enough for small boxes: two spans of different δ, an uneven one, a wide one
SHORT = np.vstack([shells((0.5, 0.05, 12, 0.05), (1.1, 0.1, 5, 0.1)), [[1.7, 0.02], [0.9, 0.08]]])
SHORT_ANGULAR = shells((0.8, 0.1, 6, 0.08))


def jittered(side, *, density=1.2, tilt=0.0, types=("A", "B"), seed=0):
    """Particles near the sites of a lattice of side³, in any order, species at random."""
    rng = np.random.default_rng(seed)
    n = side**3
    edge = (n / density) ** (1 / 3)
    box = np.array([edge, edge, edge, tilt, -tilt / 2, tilt / 3])
    sites = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3) + 0.5
    fraction = sites / side - 0.5 + rng.uniform(-0.3, 0.3, (n, 3)) / side
    kind = rng.choice(len(types), n, p=None if len(types) != 2 else [0.8, 0.2])
    x = (fraction @ frames.cell_matrix(box).T)[rng.permutation(n)]
    return frames.build(x, box, kind, types=types)


def moved(frame, position):
    """The frame with these positions to the last bit, inside the box or not."""
    new = frames.copy(frame)
    new.particles.position = np.asarray(position, dtype=np.float64)
    return new


def gaussians(r, shell):
    return np.exp(-((r - shell[0]) ** 2) / (2 * shell[1] ** 2))


def naive(frame, i, *, radial=RADIAL, angular=ANGULAR, l=ORDERS):  # noqa: E741
    """One row, as eqs. 1 to 3 are written."""
    x = np.asarray(frame.particles.position, dtype=np.float64)
    cell = frames.cell_matrix(frame.configuration.box)
    far = (0,) if frames.dimensions(frame) == 2 else (-1, 0, 1)
    images = np.array(list(itertools.product((-1, 0, 1), (-1, 0, 1), far))) @ cell.T
    everyone = np.delete(x, i, axis=0)[:, None] + images - x[i]
    distance = np.linalg.norm(everyone, axis=2)
    nearest = np.argmin(distance, axis=1)
    v, r = everyone[np.arange(len(nearest)), nearest], distance.min(axis=1)
    kind = np.delete(np.asarray(frame.particles.typeid), i)
    row = [
        gaussians(r[kind == s], shell).sum()
        for s in range(len(frame.particles.types))
        for shell in radial
    ]
    theta, phi = np.arctan2(np.hypot(v[:, 0], v[:, 1]), v[:, 2]), np.arctan2(v[:, 1], v[:, 0])
    for order in l:
        Y = np.array([sph_harm_y(order, m, theta, phi) for m in range(-order, order + 1)])
        for shell in angular:
            weight = gaussians(r, shell)
            q = (Y * weight).sum(axis=1) / weight.sum()
            row.append(np.sqrt(4 * np.pi / (2 * order + 1) * (np.abs(q) ** 2).sum()))
    return np.array(row)


# -------------------------------------------------------------------------------- right numbers


@pytest.mark.parametrize("tilt", [0.0, 0.4])
@pytest.mark.parametrize("types", [("A",), ("A", "B"), ("A", "B", "C")])
def test_against_a_loop_over_shells_and_harmonics(tilt, types):
    frame = jittered(6, tilt=tilt, types=types)
    grid = {"radial": SHORT, "angular": SHORT_ANGULAR}
    found = radial_angular(frame, **grid)
    assert found.shape == (216, 19 * len(types) + 6 * 12)
    assert found.dtype == np.float64
    for i in range(0, 216, 9):
        np.testing.assert_allclose(found[i], naive(frame, i, **grid), rtol=0, atol=1e-12)


def test_standard_grid_against_the_loop():
    frame = jittered(12)
    found = radial_angular(frame)
    assert found.shape == (1728, 392)
    for i in (0, 500, 1727):
        expected = naive(frame, i)
        np.testing.assert_allclose(found[i], expected, rtol=0, atol=1e-11)
        sizeable = expected > 1e-4
        np.testing.assert_allclose(found[i, sizeable], expected[sizeable], rtol=1e-10)


def test_standard_grid_in_a_real_glass_former():
    frame = frames.read(external("botan/isoconfig_N4096T0.44_1_tc07.npz"))[0]
    some = np.arange(7, 4096, 819)
    found = radial_angular(frame, particles=some)
    expected = np.array([naive(frame, i) for i in some])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    # 79 % A and 21 % B in shells far from any structure
    density = radial_angular(frame, angular=None)[:, [99, 199]] / (
        4 * np.pi * 4.94**2 * np.sqrt(2 * np.pi) * 0.06
    )
    np.testing.assert_allclose(density.mean(axis=0), [0.96, 0.24], atol=0.05)


@pytest.mark.parametrize("step", [0.0005, 0.05, 1.0], ids=["fine", "even", "coarse"])
def test_products_of_exponentials_on_any_grid(step):
    grid = shells((0.3, step, int(2 / step) + 1, 0.05))
    for d in (0.05, 0.31, 1.234567, 2.3, 2.7):
        pair = frames.build([[0, 0, 0], [0, 0, d]], 10.0, [0, 0], types=("A",))
        d = float(pair.particles.position[1, 2])
        found = radial_angular(pair, radial=grid, angular=None)[0]
        expected = gaussians(d, grid.T)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-16 + 1e-12 * expected.max())
        sizeable = expected > 1e-15
        np.testing.assert_allclose(found[sizeable], expected[sizeable], rtol=1e-11)


def test_a_grid_in_any_order():
    frame = jittered(6)
    grid = shells((0.5, 0.05, 20, 0.06))
    order = np.random.default_rng(0).permutation(40) % 20  # each shell twice
    even = radial_angular(frame, radial=grid, angular=grid, l=(6, 2))
    mixed = radial_angular(frame, radial=grid[order], angular=grid[order], l=(6, 2))
    at = np.concatenate([20 * k + order for k in range(4)])
    np.testing.assert_allclose(mixed, even[:, at], rtol=1e-12, atol=1e-13)


def test_a_grid_that_is_almost_even_is_not_taken_for_one():
    grid = shells((0.5, 0.05, 12, 0.01))
    grid[5:, 0] += 3e-6
    grid[9, 0] -= 1e-9
    pair = frames.build([[0, 0, 0], [0, 0, 0.77]], 10.0, [0, 0], types=("A",))
    d = float(pair.particles.position[1, 2])
    found = radial_angular(pair, radial=grid, angular=None)[0]
    expected = gaussians(d, grid.T)
    sizeable = expected > 1e-15
    np.testing.assert_allclose(found[sizeable], expected[sizeable], rtol=1e-11)


def test_a_shell_at_the_centre():
    pair = frames.build([[0, 0, 0], [0, 0, 0.5]], 10.0, [0, 0], types=("A",))
    found = radial_angular(pair, radial=[[0.0, 0.25]], angular=None)
    np.testing.assert_allclose(found, np.exp(-2.0))


@pytest.mark.parametrize(("apart", "refused"), [(1e-5, False), (1e-6, True)])
def test_same_place_is_a_millionth_of_the_reach(apart, refused):
    pair = frames.build([[0, 0, 0], [apart, 0, 0]], 10.0, [0, 0], types=("A",))
    grid = {"radial": None, "angular": [[1.0, 0.1]], "l": 2}  # reaches 1.86
    if refused:
        refuses(lambda: radial_angular(pair, **grid), "at the same place")
    else:
        np.testing.assert_array_equal(radial_angular(pair, **grid), 0.0)


FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def test_a_shell_of_a_crystal_is_its_bond_order():
    cells = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    x = (cells[:, None] + FCC).reshape(-1, 3) * 2**0.5
    frame = frames.build(x, 4 * 2**0.5, np.zeros(len(x), int), types=("A",))
    found = radial_angular(frame, radial=shells((1, 1, 1, 0.04)), angular=shells((1, 1, 1, 0.04)))
    np.testing.assert_allclose(found[:, 0], 12, rtol=1e-9)
    q = bond_order.bond_order(frame, neighbors=1.2, l=ORDERS)
    np.testing.assert_allclose(found[:, 1:], q, atol=1e-9)
    np.testing.assert_allclose(found[:, [4, 6]], [[0.190941, 0.574524]] * len(x), atol=1e-6)


def test_one_neighbour_and_none():
    """One direction alone has all q = 1; a shell that nobody reaches has Z = 0, and q = 0."""
    pair = frames.build([[0, 0, 0], [1.2, 0.9, 0]], 20.0, [0, 1])
    found = radial_angular(pair, radial=None, angular=shells((1.5, 5.0, 2, 0.1)), l=range(13))
    np.testing.assert_allclose(found[:, 0::2], 1.0, rtol=1e-12)
    np.testing.assert_array_equal(found[:, 1::2], 0.0)
    between = radial_angular(pair, radial=shells((0.5, 2.0, 3, 0.1)), angular=None)
    np.testing.assert_array_equal(between, 0.0)
    alone = frames.build([[1.0, 2, 3]], 20.0, [0])
    np.testing.assert_array_equal(radial_angular(alone), np.zeros((1, 392)))


def test_counts_and_bounds():
    """Gaussians one step apart add up to a count; q is between 0 and 1."""
    frame = jittered(8, seed=2)
    grid = shells((0.1, 0.05, 50, 0.05))
    G = radial_angular(frame, radial=grid, angular=None).reshape(512, 2, 50).sum(axis=2)
    near = frames.build([[0, 0, 0], [0, 0, 1.0]], 20, [0, 1])
    one = radial_angular(near, radial=grid, angular=None)[0].sum()
    assert one == pytest.approx(np.sqrt(2 * np.pi), rel=1e-6)
    assert G.mean(axis=0).sum() / one == pytest.approx(1.2 * 4 / 3 * np.pi * 2.575**3, rel=0.03)
    q = radial_angular(frame, radial=None, angular=SHORT_ANGULAR)
    assert 0 <= q.min() < q.max() <= 1 + 1e-12


# --------------------------------------------------------------------------------- symmetries


def test_rotation_and_reflection_of_a_cluster():
    rng = np.random.default_rng(5)
    x = rng.uniform(-2, 2, (60, 3))
    cluster = frames.build(x, 30.0, rng.integers(0, 2, 60))
    before = radial_angular(moved(cluster, x))
    for turn in (*Rotation.random(3, rng=1).as_matrix(), np.diag([1, 1, -1]), -np.eye(3)):
        after = radial_angular(moved(cluster, x @ turn.T))
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-11)


def test_quarter_turns_of_the_periodic_box():
    frame = jittered(6)
    before = radial_angular(frame, radial=SHORT, angular=SHORT_ANGULAR)
    x = frame.particles.position
    for turned in (x[:, [1, 2, 0]], x[:, [1, 0, 2]] * [1, -1, 1]):
        after = radial_angular(moved(frame, turned), radial=SHORT, angular=SHORT_ANGULAR)
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_translation_permutation_and_images(tilt):
    frame = jittered(6, tilt=tilt)
    grid = {"radial": SHORT, "angular": SHORT_ANGULAR}
    before = radial_angular(frame, **grid)
    rng = np.random.default_rng(3)
    x = frame.particles.position.astype(np.float64)
    shifted = radial_angular(moved(frame, x + rng.normal(size=3)), **grid)
    np.testing.assert_allclose(shifted, before, rtol=0, atol=1e-11)
    images = rng.integers(-2, 3, (216, 3)) @ frames.cell_matrix(frame.configuration.box).T
    np.testing.assert_allclose(
        radial_angular(moved(frame, x + images), **grid), before, rtol=0, atol=1e-11
    )
    order = rng.permutation(216)
    np.testing.assert_allclose(
        radial_angular(frames.subset(frame, order), **grid), before[order], rtol=0, atol=1e-12
    )


def test_parts_are_the_whole(monkeypatch):
    frame = jittered(6)
    grid = {"radial": SHORT, "angular": SHORT_ANGULAR}
    whole = radial_angular(frame, **grid)
    mask = np.random.default_rng(0).random(216) < 0.3
    np.testing.assert_array_equal(radial_angular(frame, particles=mask, **grid), whole[mask])
    some = [5, 200, 5, 0]
    np.testing.assert_array_equal(radial_angular(frame, particles=some, **grid), whole[some])
    assert radial_angular(frame, particles=[], **grid).shape == (0, whole.shape[1])
    np.testing.assert_array_equal(
        np.hstack([radial_angular(frame, radial=SHORT, angular=None),
                   radial_angular(frame, radial=None, angular=SHORT_ANGULAR)])[:, :38],
        whole[:, :38],
    )  # fmt: skip
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 3)
    np.testing.assert_array_equal(radial_angular(frame, **grid), whole)


# ------------------------------------------------------------------------- columns and species


def test_columns_say_what_they_are():
    table = columns(n_max=2)
    assert len(table) == 1176
    assert len({str(c) for c in table}) == 1176
    assert str(table[392 + 100 + 30]) == "G_B(r = 1.4, δ = 0.03, n = 1)"
    assert str(table[2 * 392 + 200 + 5 * 16 + 3]) == "q_6(r = 1.3, δ = 0.1, n = 2)"
    assert sum(c.kind == "radial" for c in table) == 600
    # each column of a pair, recomputed from its name
    d = 1.3
    pair = frames.build([[0, 0, 0], [d, 0, 0]], 20, [0, 1])
    X = radial_angular(pair)
    for value, column in zip(X[0], table):
        if column.kind == "angular":
            expected = 1.0 if abs(column.r - d) < 8.6 * column.delta else 0.0
        elif column.species == "A":
            expected = 0.0
        else:
            expected = gaussians(d, (column.r, column.delta))
        assert value == pytest.approx(expected, abs=1e-6), str(column)


def test_standard_grid():
    assert len(RADIAL) == 100
    assert len(ANGULAR) * len(ORDERS) == 192
    np.testing.assert_allclose(RADIAL[[0, 49, 50, 99]].T[0], [0.5, 1.97, 2.0, 4.94])
    np.testing.assert_allclose(ANGULAR[[0, 15]], [[1.0, 0.1], [2.5, 0.1]])
    with pytest.raises(ValueError, match="read-only"):
        RADIAL[0] = 0


def test_species_by_name_order_and_own_shells():
    frame = jittered(6, types=("A", "B", "C"))
    each = radial_angular(frame, radial=SHORT, angular=None).reshape(216, 3, 19)
    some = radial_angular(frame, radial=SHORT, angular=None, species=("C", "A"))
    np.testing.assert_array_equal(some, each[:, [2, 0]].reshape(216, 38))
    own = {"C": SHORT[7:], "A": SHORT[:5]}
    found, table = averaged_radial_angular(
        frame, 1.5, radial=own, angular=None, species=("A", "C"), n_max=0
    )
    np.testing.assert_allclose(found, np.hstack([each[:, 0, :5], each[:, 2, 7:]]), rtol=1e-12)
    assert [c.species for c in table] == ["A"] * 5 + ["C"] * 12
    assert table[5] == Column("radial", *SHORT[7], "C", None, 0)


def test_a_species_that_is_not_there_counts_zero():
    frame = jittered(6)
    frame.particles.typeid[:] = 0
    found = radial_angular(frame, radial=SHORT, angular=SHORT_ANGULAR)
    assert found[:, :19].sum() > 0
    np.testing.assert_array_equal(found[:, 19:38], 0)
    refuses(lambda: radial_angular(frame, species=("A", "Z")), "no species 'Z'", "A, B")


def test_generations_and_their_columns():
    frame = jittered(6)
    grid = {"radial": SHORT, "angular": SHORT_ANGULAR}
    X, table = averaged_radial_angular(frame, 1.9, n_max=3, **grid)
    first = radial_angular(frame, **grid)
    np.testing.assert_array_equal(X, shell_average(first, frame, 1.9, n_max=3))
    assert table == columns(n_max=3, **grid)
    assert X.shape == (216, 4 * first.shape[1]) == (216, len(table))
    spread = [X[:, [c.generation == n for c in table]].std(axis=0).mean() for n in range(4)]
    assert spread == sorted(spread, reverse=True)


def test_memory_beside_the_result_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(averaging, "CHUNK", 500)
    frame = jittered(20)
    file = tmp_path / "X.npy"
    X = np.lib.format.open_memmap(file, "w+", np.float64, (8000, 1176))
    tracemalloc.start()
    found, table = averaged_radial_angular(frame, 2.3, out=X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is X
    assert len(table) == 1176
    # 75 MB of result; 2048 rows of 392 columns (6 MB) for each of the threads at work, twice
    assert peak < (12 * numba.config.NUMBA_NUM_THREADS + 10) * 2**20 < X.nbytes
    X.flush()
    monkeypatch.setattr(averaging, "CHUNK", 10**6)
    np.testing.assert_array_equal(np.load(file), averaged_radial_angular(frame, 2.3)[0])


@pytest.mark.parametrize(
    "out",
    [np.zeros((216, 30)), np.zeros((216, 3 * 110), np.float32), [[0.0]]],
    ids=["width", "dtype", "no array"],
)
def test_out_that_does_not_fit(out):
    refuses(
        lambda: averaged_radial_angular(
            jittered(6), 1.9, radial=SHORT, angular=SHORT_ANGULAR, out=out
        ),
        "out is",
        "expected a float64 array of shape (216, 330)",
    )


def test_two_dimensions_have_radial_functions_alone():
    rng = np.random.default_rng(0)
    flat = frames.build(rng.uniform(-3, 3, (40, 2)), 6.0, rng.integers(0, 2, 40), dimensions=2)
    refuses(lambda: radial_angular(flat, radial=SHORT, angular=SHORT_ANGULAR), "2D", "angular=None")
    found = radial_angular(flat, radial=SHORT, angular=None)
    for i in range(40):
        expected = naive(flat, i, radial=SHORT, angular=(), l=())
        np.testing.assert_allclose(found[i], expected, rtol=0, atol=1e-13)


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"radial": shells((1, 0.1, 3, 0))}, ["radial", "δ = 0", "δ > 0"]),
        ({"angular": shells((1, 0.1, 3, -0.1))}, ["angular", "δ = -0.1"]),
        ({"radial": [[np.nan, 0.1]]}, ["shell 0", "finite"]),
        ({"radial": [[1.0, np.inf]]}, ["shell 0", "finite"]),
        ({"angular": [[1.0, 0.1], [-1.0, 0.1]]}, ["shell 1", "r = -1"]),
        ({"radial": np.empty((0, 2))}, ["radial", "(0, 2)", "None leaves"]),
        ({"angular": np.arange(3.0)}, ["angular", "(3,)", "(n, 2)"]),
        ({"radial": None, "angular": None}, ["both None"]),
        ({"radial": {"A": SHORT}}, ["shells of A", "A, B"]),
        ({"l": -1}, ["l is -1", "from 0"]),
        ({"l": ()}, ["l is ()"]),
        ({"l": (2, 2.5)}, ["2.5"]),
        ({"species": ()}, ["one name"]),
        ({"species": ("A", "A")}, ["once"]),
        ({"particles": [216]}, ["0 to 215"]),
        ({"particles": np.zeros(5, bool)}, ["(5,)", "(216,) bool"]),
        ({"particles": [0.5]}, ["float64"]),
        ({"radial": RADIAL}, ["5.456", "5.646", "more particles"]),
        ({"angular": shells((2.5, 1, 1, 0.1))}, ["3.36", "5.646"]),
    ],
)
def test_what_is_refused(options, words):
    given = {"radial": SHORT, "angular": SHORT_ANGULAR} | options
    refuses(lambda: radial_angular(jittered(6), **given), *words)


def test_refused_frames_and_generations():
    twins = frames.build([[0, 0, 0], [1, 1, 1], [1, 1, 1]], 20.0, [0, 0, 1])
    refuses(lambda: radial_angular(twins), "same place")
    refuses(lambda: columns(n_max=-1), "n_max is -1")
    refuses(lambda: averaged_radial_angular(jittered(12), 0.0), "r_c is 0.0")
    refuses(lambda: averaged_radial_angular(jittered(12), 2.0, n_max=1.5), "n_max is 1.5")


def test_examples():
    for name in ("radial_angular", "averaging"):
        assert doctest.testmod(sys.modules[f"glasslib.descriptors.{name}"]).failed == 0
