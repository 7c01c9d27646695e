"""Bond order on the circle: definition, freud, lattices, symmetries."""

import warnings

import numpy as np
import pytest
from oracles import refuses

from glasslib import frames, neighbors
from glasslib.descriptors import hexatic


def disks(seed=0, n=120, edge=9.0):
    """Random disks of two species, pushed apart a little."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-edge / 2, edge / 2, (n, 2))
    frame = frames.build(x, [edge, edge], np.arange(n) % 2, dimensions=2)
    for _ in range(20):
        near = neighbors.within(frame, 0.7)
        push = np.zeros((n, 3))
        np.add.at(push, near.source, -near.vector * (0.7 - near.distance)[:, None] / 2)
        x = np.asarray(frame.particles.position, dtype=float) + push
        frame = frames.build(x[:, :2], [edge, edge], np.arange(n) % 2, dimensions=2)
    return frame


def naive(frame, cut, k, *, same, average):
    """Loops and the definition."""
    x = np.asarray(frame.particles.position, dtype=float)
    kind, edge = frame.particles.typeid, float(frame.configuration.box[0])
    n = len(x)
    around = []
    for i in range(n):
        d = x - x[i]
        d -= edge * np.rint(d / edge)
        r = np.hypot(d[:, 0], d[:, 1])
        mine = [j for j in range(n) if j != i and r[j] < cut and (not same or kind[i] == kind[j])]
        around.append([(j, np.arctan2(d[j, 1], d[j, 0])) for j in mine])
    phi = np.array([sum(np.exp(1j * k * a) for _, a in row) / max(len(row), 1) for row in around])
    if not average:
        return phi
    return np.abs([sum(phi[j] for j, _ in row) / max(len(row), 1) for row in around])


@pytest.mark.parametrize("k", [1, 4, 6])
def test_against_the_definition(k):
    frame = disks()
    for same in (False, "apart", "shared"):  # for a fixed cut-off the two ways are one
        here = hexatic.hexatic_order(frame, neighbors=1.6, k=k, same_species=same)
        expected = naive(frame, 1.6, k, same=bool(same), average=False)
        np.testing.assert_allclose(here[:, 0], expected, atol=1e-6)
    for way in ("apart", "shared"):
        table = hexatic.averaged_hexatic_order(frame, neighbors=1.6, k=k, same_species=way)
        for column, same in enumerate((False, True)):
            expected = naive(frame, 1.6, k, same=same, average=True)
            np.testing.assert_allclose(table[:, column], expected, atol=1e-6)


def test_a_species_apart_does_not_see_the_other():
    """Its columns are those of a frame without the others."""
    frame = disks(seed=4)
    table = hexatic.averaged_hexatic_order(frame, neighbors="voronoi")
    for kind in (0, 1):
        mine = frame.particles.typeid == kind
        alone = hexatic.averaged_hexatic_order(frames.subset(frame, mine), same_species=False)
        np.testing.assert_allclose(table[mine, 8:], alone, atol=1e-12)
    shared = hexatic.averaged_hexatic_order(frame, same_species="shared")
    np.testing.assert_array_equal(shared[:, :8], table[:, :8])
    assert not np.allclose(shared[:, 8:], table[:, 8:], atol=0.1)
    found = neighbors.voronoi(frame)
    refuses(lambda: hexatic.averaged_hexatic_order(frame, neighbors=found), "'apart'", "Neighbors")
    refuses(lambda: hexatic.hexatic_order(frame, same_species=True), "same_species is True")


def test_against_freud():
    import freud

    frame = disks(seed=1, n=300, edge=14.0)
    here = hexatic.hexatic_order(frame, neighbors="voronoi", k=range(1, 9))
    system = (freud.box.Box(14.0, 14.0, is2D=True), frame.particles.position)
    cells = freud.locality.Voronoi().compute(system)
    for k in range(1, 9):
        other = freud.order.Hexatic(k=k).compute(system, neighbors=cells.nlist).particle_order
        np.testing.assert_allclose(here[:, k - 1], other, atol=1e-5)


def test_lattices():
    """Six neighbours: order 6 is 1, all others 0. Four: 4 and 8."""
    n, height = 8, np.sqrt(3) / 2
    x = [[i + 0.5 * (j % 2), j * height] for i in range(n) for j in range(n)]
    triangular = frames.build(x, [n, n * height], [0] * n**2, dimensions=2)
    table = hexatic.averaged_hexatic_order(triangular, same_species=False)
    np.testing.assert_allclose(table, np.tile(np.arange(1, 9) == 6, (n**2, 1)), atol=1e-5)
    x = [[i, j] for i in range(n) for j in range(n)]
    square = frames.build(x, [n, n], [0] * n**2, dimensions=2)
    table = hexatic.averaged_hexatic_order(square, neighbors=1.2, same_species=False)
    np.testing.assert_allclose(
        table, np.tile(np.isin(np.arange(1, 9), (4, 8)), (n**2, 1)), atol=1e-5
    )


@pytest.mark.parametrize("rule", ["voronoi", "sann", 1.6])
def test_symmetries(rule):
    frame = disks(seed=2)
    table = hexatic.averaged_hexatic_order(frame, neighbors=rule)
    assert table.shape == (120, 16)
    assert table.min() >= 0
    assert table.max() <= 1 + 1e-12
    x = np.asarray(frame.particles.position, dtype=float)[:, :2]
    box = [9.0, 9.0]
    turned = frames.build(
        np.column_stack([-x[:, 1], x[:, 0]]), box, np.arange(120) % 2, dimensions=2
    )
    moved = x + [1.3, -2.2]
    moved = frames.build(moved - 9 * np.rint(moved / 9), box, np.arange(120) % 2, dimensions=2)
    mirrored = frames.build(x * [1, -1], box, np.arange(120) % 2, dimensions=2)
    for other in (turned, moved, mirrored):
        np.testing.assert_allclose(
            hexatic.averaged_hexatic_order(other, neighbors=rule), table, atol=1e-5
        )
    order = np.random.default_rng(0).permutation(120)
    shuffled = hexatic.averaged_hexatic_order(frames.subset(frame, order), neighbors=rule)
    np.testing.assert_allclose(shuffled, table[order], atol=1e-12)


def test_the_lonely():
    """Nobody near: NaN and a warning. Nobody of its own kind near: 0."""
    frame = frames.build([[0, 0], [1, 0], [4, 4]], [10, 10], [0, 1, 0], dimensions=2)
    with pytest.warns(UserWarning, match="1 of 3 particles have no neighbours"):
        table = hexatic.averaged_hexatic_order(frame, neighbors=1.5)
    assert np.isnan(table[2, :8]).all()
    assert (table[:2, 8:] == 0).all()
    assert (table[:2, :8] == 1).all()


def test_names_and_refusals():
    assert hexatic.column_names()[5] == "|φ̄6|"
    assert len(hexatic.column_names()) == 16
    assert len(hexatic.column_names(k=6, same_species=False)) == 1
    solid = frames.build(np.eye(3), 5.0, [0] * 3)
    refuses(lambda: hexatic.hexatic_order(solid), "3D", "averaged_bond_order")
    for k in (0, [], [6, -1], 2.5):
        refuses(lambda k=k: hexatic.hexatic_order(disks(), k=k), f"k is {k!r}")
    refuses(lambda: hexatic.hexatic_order(disks(), neighbors="nearest"), "'nearest'")
    few = disks()
    few.particles.typeid = (np.arange(120) < 4).astype(np.uint32)
    refuses(
        lambda: hexatic.averaged_hexatic_order(few), "the 4 particles of type B alone", "'shared'"
    )
    assert hexatic.averaged_hexatic_order(few, same_species="shared").shape == (120, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hexatic.hexatic_order(disks())
