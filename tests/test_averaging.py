"""Averages around particles against a loop over all pairs and images; density of a crystal."""

import numpy as np
import pytest
from oracles import refuses

from glasslib import frames
from glasslib.descriptors.averaging import (
    average_in_place,
    averaged_energies,
    exponential_average,
    local_density,
    shell_average,
    sphere_average,
)


def liquid(n=200, *, dimensions=3, tilt=0.0, seed=0):
    """Random points in a periodic box of density 1, some of them of species B."""
    rng = np.random.default_rng(seed)
    edge = n ** (1 / dimensions)
    box = np.array([edge, edge, edge if dimensions == 3 else 0.0, tilt, 0.0, 0.0])
    position = rng.random((n, dimensions)) @ frames.cell_matrix(box)[:dimensions, :dimensions].T
    return frames.build(position, box, rng.random(n) < 0.3, dimensions=dimensions)


def distances(frame):
    """(N, N), by minimum over all nearby images."""
    x = np.asarray(frame.particles.position, dtype=np.float64)
    cell = frames.cell_matrix(frame.configuration.box)
    nearest = np.full((len(x), len(x)), np.inf)
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            for c in (-1, 0, 1):
                shift = cell @ [a, b, c]
                apart = np.linalg.norm(x[:, None] - x[None] + shift, axis=2)
                nearest = np.minimum(nearest, apart)
    return nearest


def inside(frame, radius):
    """(N, N) bool."""
    return distances(frame) < radius


@pytest.mark.parametrize(("dimensions", "tilt"), [(3, 0.0), (3, 0.4), (2, 0.0), (2, 0.3)])
def test_average_is_the_loop_over_pairs(dimensions, tilt):
    frame = liquid(dimensions=dimensions, tilt=tilt)
    values = np.random.default_rng(1).normal(size=(200, 3))
    near = inside(frame, 1.7)
    assert near.diagonal().all()
    expected = (near @ values) / near.sum(axis=1)[:, None]
    np.testing.assert_allclose(sphere_average(values, frame, 1.7), expected, atol=1e-12)
    np.testing.assert_allclose(sphere_average(values[:, 0], frame, 1.7), expected[:, 0], atol=1e-12)


def test_only_the_included_are_averaged_over():
    frame = liquid()
    kind = np.asarray(frame.particles.typeid) == 0
    values = np.where(kind, np.random.default_rng(1).normal(size=200), np.nan)
    near = inside(frame, 1.5)[:, kind]
    found = sphere_average(values, frame, 1.5, include=kind)
    some = near.any(axis=1)
    expected = near[some] @ values[kind] / near[some].sum(axis=1)
    np.testing.assert_allclose(found[some], expected, atol=1e-12)
    # a particle that is left out has an average all the same, unless it is alone
    assert np.isfinite(found[~kind]).any()
    tiny = sphere_average(values, frame, 1e-3, include=kind)
    np.testing.assert_array_equal(np.isnan(tiny), ~kind)


def test_radius_zero_changes_nothing_and_a_large_one_levels():
    frame = liquid()
    values = np.random.default_rng(2).random(200)
    np.testing.assert_array_equal(sphere_average(values, frame, 0), values)
    spread = [sphere_average(values, frame, r).std() for r in (0, 1.0, 2.0, 2.9)]
    assert spread == sorted(spread, reverse=True)


def test_density_of_a_crystal_and_of_random_points():
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3)
    cubic = frames.build(grid, 6.0, np.zeros(216, int))
    # one, six nearest, twelve second neighbours
    np.testing.assert_allclose(local_density(cubic, 1.5), 19 / (4 / 3 * np.pi * 1.5**3))
    dense = liquid(4000, seed=3)
    assert local_density(dense, 3.0).mean() == pytest.approx(1.0, rel=0.03)
    flat = liquid(2000, dimensions=2, seed=3)
    assert local_density(flat, 6.0).mean() == pytest.approx(1.0, rel=0.03)
    half = np.arange(4000) < 2000
    both = local_density(dense, 3.0, include=half) + local_density(dense, 3.0, include=~half)
    np.testing.assert_allclose(both, local_density(dense, 3.0))


@pytest.mark.parametrize(("dimensions", "tilt"), [(3, 0.0), (3, 0.4), (2, 0.0), (2, 0.3)])
def test_exponential_average_is_equation_4(dimensions, tilt):
    frame = liquid(dimensions=dimensions, tilt=tilt)
    values = np.random.default_rng(1).normal(size=(200, 3))
    r = distances(frame)
    weight = np.where(r < 1.9, np.exp(-r / 1.9), 0)
    np.testing.assert_array_equal(weight.diagonal(), 1)  # j = i is in the sum
    weight /= weight.sum(axis=1)[:, None]
    found = exponential_average(values, frame, 1.9)
    np.testing.assert_allclose(found, weight @ values, atol=1e-12)
    np.testing.assert_allclose(exponential_average(values[:, 0], frame, 1.9), found[:, 0])
    generations = shell_average(values, frame, 1.9, n_max=3)
    expected = [np.linalg.matrix_power(weight, n) @ values for n in range(4)]
    np.testing.assert_allclose(generations, np.hstack(expected), atol=1e-12)


def test_exponential_average_keeps_constants_and_the_lonely():
    frame = liquid()
    np.testing.assert_allclose(exponential_average(np.full(200, 2.5), frame, 1.5), 2.5, rtol=1e-14)
    values = np.arange(200.0)
    np.testing.assert_array_equal(exponential_average(values, frame, 1e-4), values)
    np.testing.assert_array_equal(shell_average(values, frame, 1.5, n_max=0), values[:, None])
    # all nearby count alike when r_c is large beside their distances, half as e^{-1/2} otherwise
    pair = frames.build([[0, 0, 0], [1, 0, 0]], 10.0, [0, 1])
    share = np.exp(-0.5) / (1 + np.exp(-0.5))
    found = exponential_average([0.0, 1.0], pair, 2.0)
    np.testing.assert_allclose(found, [share, 1 - share], rtol=1e-14)


def test_averaged_energies_are_the_averages_of_energy_and_composition():
    frame = liquid()
    e = np.random.default_rng(2).normal(size=200)
    A = frame.particles.typeid == 0
    local = np.column_stack([e, e * A, e * ~A, A])
    found = averaged_energies(e, frame, radii=(1.3, 1.9), n_max=2)
    assert found.shape == (200, 4 * (1 + 2 * 2))
    expected = [shell_average(local, frame, r, n_max=2)[:, 4:] for r in (1.3, 1.9)]
    np.testing.assert_array_equal(found, np.hstack([local, *expected]))
    np.testing.assert_allclose(found[:, 0::4], found[:, 1::4] + found[:, 2::4], atol=1e-12)
    # names of species are no numbers: exchanged, columns change places and the last is 1 - it
    other = frames.copy(frame)
    other.particles.typeid = 1 - frame.particles.typeid
    swapped = averaged_energies(e, other, radii=(1.3, 1.9), n_max=2)
    np.testing.assert_allclose(swapped[:, 1::4], found[:, 2::4], atol=1e-14)
    np.testing.assert_allclose(swapped[:, 3::4], 1 - found[:, 3::4], atol=1e-14)
    assert averaged_energies(np.ones(2000), liquid(2000)).shape == (2000, 64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: averaged_energies(np.ones(3), f), r"expected \(200,\)"),
        (lambda f: averaged_energies(np.full(200, np.nan), f, radii=[1.0]), "particle 0"),
        (lambda f: averaged_energies(np.ones(200), f, radii=[]), "radii is empty"),
        (lambda f: averaged_energies(np.ones(200), f, radii=[4.0]), "wider than twice"),
        (lambda f: sphere_average(np.ones(3), f, 1.0), r"expected \(200,\)"),
        (lambda f: sphere_average(np.full(200, np.nan), f, 1.0), "particle 0"),
        (lambda f: sphere_average(np.ones(200), f, -1.0), "expected a distance"),
        (lambda f: sphere_average(np.ones(200), f, 4.0), "wider than twice"),
        (lambda f: sphere_average(np.ones(200), f, 1.0, include=np.arange(200)), "bool"),
        (lambda f: local_density(f, 0), "expected a sphere"),
        (lambda f: exponential_average(np.ones(3), f, 1.0), r"expected \(200,\)"),
        (lambda f: exponential_average(np.full(200, np.inf), f, 1.0), "particle 0"),
        (lambda f: exponential_average(np.ones(200), f, 0.0), "r_c is 0.0"),
        (lambda f: exponential_average(np.ones(200), f, np.nan), "positive distance"),
        (lambda f: exponential_average(np.ones(200), f, 4.0), "wider than twice"),
        (lambda f: shell_average(np.ones(200), f, 1.0, n_max=-1), "n_max is -1"),
    ],
)
def test_bad_input_says_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call(liquid())


def test_local_packing_fraction_is_that_of_the_box():
    rng = np.random.default_rng(0)
    frame = frames.build(rng.uniform(size=(3000, 2)) * 40, 40.0, np.arange(3000) % 2, dimensions=2)
    area = np.pi / 4 * np.where(frame.particles.typeid == 0, 1.0, 0.5) ** 2
    eta = local_density(frame, 3.0, weights=area)
    assert eta.mean() == pytest.approx(area.sum() / 1600, rel=0.05)
    whole = local_density(frame, 3.0)
    parts = [local_density(frame, 3.0, include=frame.particles.typeid == k) for k in (0, 1)]
    np.testing.assert_allclose(eta, area[0] * parts[0] + area[1] * parts[1])
    np.testing.assert_allclose(whole, parts[0] + parts[1])
    with pytest.raises(ValueError, match=r"expected \(3000,\)"):
        local_density(frame, 3.0, weights=area[1:])


def test_a_frame_from_a_file_whose_number_is_unsigned(tmp_path):
    made = frames.build(np.arange(12).reshape(4, 3) - 5.0, 20.0, [0, 0, 1, 1])
    frames.write(tmp_path / "four.gsd", made)
    (read,) = frames.read(tmp_path / "four.gsd")
    values = np.arange(4.0)
    np.testing.assert_array_equal(
        exponential_average(values, read, 8.0), exponential_average(values, made, 8.0)
    )


def test_a_table_that_does_not_fit():
    frame = liquid()
    refuses(lambda: average_in_place(np.zeros((200, 5)), frame, 1.5, n_max=1), "(200, 5)", "k · 2")
    refuses(lambda: average_in_place(np.zeros((9, 4)), frame, 1.5, n_max=1), "(9, 4)", "(200,")
    frame.particles.position[3] = np.nan
    refuses(lambda: shell_average(np.zeros(200), frame, 1.5, n_max=1), "position")
