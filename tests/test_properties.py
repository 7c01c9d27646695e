"""Symmetries that must hold for any input: examples are drawn by hypothesis, always the same."""

import itertools
import warnings

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from glasslib import frames, geometry, neighbors
from glasslib.descriptors import bond_order, radial_angular
from glasslib.descriptors.radial_angular import shells

EDGE = 9.0
GRID = {"radial": shells((0.8, 0.2, 8, 0.2)), "angular": shells((1.0, 0.4, 2, 0.3)), "l": (2, 3, 6)}
CUT = 2.4

seeds = st.integers(0, 2**16)
tilts = st.floats(-0.45, 0.45)
steps = st.integers(-3, 3)


@st.composite
def boxes(draw, flat=None):
    """GSD boxes, tilted, of two or three dimensions."""
    flat = draw(st.booleans()) if flat is None else flat
    edges = [draw(st.floats(3.0, 20.0)) for _ in range(2 if flat else 3)]
    if flat:
        return np.array([*edges, 0, draw(tilts), 0, 0])
    return np.array([*edges, draw(tilts), draw(tilts), draw(tilts)])


def cell_of(box):
    d = 2 if box[2] == 0 else 3
    return frames.cell_matrix(box)[:d, :d]


def liquid(seed, n=40):
    """Points of two species that keep a distance, in a cube."""
    rng = np.random.default_rng(seed)
    sites = np.array(list(itertools.product(range(5), repeat=3)))[rng.permutation(125)[:n]]
    x = (sites + rng.uniform(-0.25, 0.25, (n, 3))) * EDGE / 5
    return x, rng.integers(0, 2, n)


def describe(x, kind, box=EDGE):
    """Both families of descriptors; no pair may be so near a cut-off that rounding decides."""
    frame = frames.build(x, box, kind)
    near = neighbors.within(frame, CUT + 0.01)
    assume(np.all(np.abs(near.distance - CUT) > 1e-3))
    found = neighbors.within(frame, CUT)
    assume(len(found.index) > 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*have no neighbours", RuntimeWarning)  # NaN, always
        return np.hstack([radial_angular(frame, **GRID), bond_order.bond_order(found, l=(4, 6))])


def same(a, b):
    np.testing.assert_allclose(a, b, atol=2e-4)


@given(boxes(), seeds, st.lists(steps, min_size=3, max_size=3))
def test_minimum_image_does_not_know_which_image_it_came_from(box, seed, step):
    cell = cell_of(box)
    d = len(cell)
    vectors = np.random.default_rng(seed).uniform(-0.499, 0.499, (20, d)) @ cell.T
    found = geometry.nearest_image(vectors + cell @ np.array(step[:d]), box)
    np.testing.assert_allclose(found, vectors, atol=1e-9)


@given(boxes(), seeds)
def test_minimum_image_is_the_shortest_where_it_is_asked_for(box, seed):
    """Below half the narrowest width, which is where the library asks."""
    cell = cell_of(box)
    d = len(cell)
    half = frames.heights(box).min() / 2
    direction = np.random.default_rng(seed).normal(size=(20, d))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    vectors = 0.999 * half * direction
    images = np.array(list(itertools.product((-1, 0, 1), repeat=d))) @ cell.T
    lengths = np.linalg.norm(vectors[:, None] + images, axis=2)
    found = geometry.nearest_image(vectors, box)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), lengths.min(axis=1), rtol=1e-9)


@given(boxes(), seeds)
def test_wrapping_is_undone_by_the_images(box, seed):
    cell = cell_of(box)
    d = len(cell)
    x = np.random.default_rng(seed).uniform(-3, 3, (20, d)) @ cell.T
    frame = frames.build(x, box, np.zeros(20, int), dimensions=d)
    inside = np.linalg.solve(cell, np.asarray(frame.particles.position, float)[:, :d].T)
    assert np.abs(inside).max() <= 0.5 + 1e-6
    np.testing.assert_allclose(frames.unwrapped(frame)[:, :d], x, atol=1e-4)


@given(seeds, st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_descriptors_do_not_know_where_the_origin_is(seed, shift):
    x, kind = liquid(seed)
    same(describe(x + np.array(shift), kind), describe(x, kind))


@given(seeds, seeds)
def test_descriptors_do_not_know_the_image_of_a_particle(seed, other):
    x, kind = liquid(seed)
    step = np.random.default_rng(other).integers(-2, 3, x.shape)
    same(describe(x + EDGE * step, kind), describe(x, kind))


@given(seeds, seeds)
def test_descriptors_follow_the_numbers_of_particles(seed, other):
    x, kind = liquid(seed)
    order = np.random.default_rng(other).permutation(len(x))
    same(describe(x[order], kind[order]), describe(x, kind)[order])


@given(seeds, seeds, st.booleans())
def test_descriptors_do_not_know_directions(seed, other, mirrored):
    """A cluster with nothing around it, turned by any angle, and mirrored."""
    x, kind = liquid(seed, n=25)
    turn = Rotation.random(rng=np.random.default_rng(other)).as_matrix()
    if mirrored:
        turn = -turn
    same(describe(x @ turn.T, kind, box=40.0), describe(x, kind, box=40.0))


@given(seeds)
def test_descriptors_see_a_particle_that_moves(seed):
    """The tests above could be passed by a constant."""
    x, kind = liquid(seed)
    moved = x.copy()
    moved[0] += 0.2
    change = np.abs(describe(moved, kind)[0] - describe(x, kind)[0])
    assert np.nanmax(change) > 1e-3
