"""Neighbour lists: fixed cut-offs, SANN and modified Voronoi against loops, symmetries, errors."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from oracles import external, refuses

from glasslib import frames, neighbors
from glasslib.descriptors import translated

CUTOFFS = {("A", "A"): 1.4, ("A", "B"): 1.25, ("B", "B"): 1.0}
BOXES = {
    "cube": 6.0,
    "brick": [5.0, 6.5, 8.0],
    "tilted": [6.0, 6.0, 6.0, 0.7, -0.4, 0.5],
    "large": [60.0, 50.0, 70.0],
}


def disordered(box=6.0, n=220, seed=0, dimensions=3, spread=6.0):
    """Random particles kept apart, so that distances are those of a liquid rather than a gas."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-spread / 2, spread / 2, (n, dimensions))
    frame = frames.build(x, box, np.arange(n) % 2, dimensions=dimensions)
    for _ in range(30):
        near = neighbors.within(frame, 0.9)
        push = np.zeros((n, 3))
        np.add.at(push, near.source, -near.vector * (0.9 - near.distance)[:, None] / 2)
        x = np.asarray(frame.particles.position, dtype=float) + push
        frame = frames.build(x[:, :dimensions], box, np.arange(n) % 2, dimensions=dimensions)
    return frame


def all_pairs(frame):
    """(N, N, 3) nearest image of r_ij, by trying the 27 (9) nearby ones."""
    x = np.asarray(frame.particles.position, dtype=np.float64)
    cell = frames.cell_matrix(frame.configuration.box)
    flat = frames.dimensions(frame) == 2
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    images = (steps[steps[:, 2] == 0] if flat else steps) @ cell.T
    every = (x[None] - x[:, None])[:, :, None] + images
    best = np.argmin((every**2).sum(-1), axis=2)
    return np.take_along_axis(every, best[:, :, None, None], axis=2)[:, :, 0]


def naive_within(frame, cutoffs):
    r = np.linalg.norm(all_pairs(frame), axis=2)
    kind = [frame.particles.types[t] for t in frame.particles.typeid]
    n = len(r)
    return [
        {j for j in range(n) if j != i and r[i, j] < cutoffs[tuple(sorted((kind[i], kind[j])))]}
        for i in range(n)
    ]


def naive_sann(frame):
    """Radii and neighbours, straight from the definition."""
    found = []
    for i, row in enumerate(np.linalg.norm(all_pairs(frame), axis=2)):
        row[i] = np.inf
        order = np.argsort(row)
        r = row[order]
        if frames.dimensions(frame) == 2:  # arcs of 2 arccos(r_j / R) fill the circle
            m = next(m for m in range(3, len(r)) if np.arccos(r[:m] / r[m]).sum() >= np.pi)
        else:
            m = next(m for m in range(3, len(r)) if r[:m].sum() / (m - 2) <= r[m])
        found.append(set(order[:m].tolist()))
    return found


def naive_modified_voronoi(frame, f_c, r_cut):
    """Neighbours before the two ends of a bond are made to agree."""
    every = all_pairs(frame)
    r = np.linalg.norm(every, axis=2)
    found = []
    for i, row in enumerate(r):
        near = [j for j in range(len(r)) if j != i and row[j] < r_cut]
        bonded = set(near)
        for j in near:
            for k in near:
                apart = np.sum((every[i, j] - every[i, k]) ** 2)
                if row[k] < row[j] and row[j] ** 2 > f_c * (row[k] ** 2 + apart):
                    bonded.discard(j)
        found.append(bonded)
    return found


def rows(found):
    return [set(part.tolist()) for part in np.split(found.index, found.offsets[1:-1])]


def well_formed(found, n):
    assert found.offsets.shape == (n + 1,)
    assert found.offsets.dtype == found.index.dtype == np.int64
    assert found.vector.shape == (len(found.index), 3)
    assert found.vector.dtype == found.distance.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(found.vector, axis=1), found.distance, rtol=1e-14)
    assert np.all(found.source != found.index)
    for part in np.split(found.distance, found.offsets[1:-1]):
        assert np.all(np.diff(part) >= 0)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_within_against_all_pairs(box):
    frame = disordered(box)
    found = neighbors.within(frame, CUTOFFS)
    well_formed(found, 220)
    assert rows(found) == naive_within(frame, CUTOFFS)
    expected = all_pairs(frame)[found.source, found.index]
    np.testing.assert_allclose(found.vector, expected, atol=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_within_finds_the_pairs_that_freud_finds(dimensions):
    import freud

    frame = disordered(n=150 if dimensions == 3 else 40, dimensions=dimensions, seed=3)
    found = neighbors.within(frame, CUTOFFS)
    assert neighbors.mutual(found)
    pairs = sorted(zip(found.source.tolist(), found.index.tolist(), strict=True))
    x, kind = frame.particles.position, frame.particles.typeid
    query = freud.locality.AABBQuery(freud.box.Box.from_box(frame.configuration.box), x)
    r_max = max(CUTOFFS.values())
    theirs = query.query(x, {"r_max": r_max, "exclude_ii": True}).toNeighborList()
    names = np.array(frame.particles.types)[kind]
    near = [
        (i, j)
        for (i, j), d in zip(theirs[:].tolist(), theirs.distances, strict=True)
        if d < CUTOFFS[tuple(sorted((names[i], names[j])))]
    ]
    assert len(near) > 50
    assert pairs == sorted(near)
    if dimensions == 2:
        assert np.all(found.vector[:, 2] == 0)


def test_one_number_serves_all_species_and_almost_half_the_box_works():
    frame = disordered(n=60)
    everyone = {("A", "A"): 2.99, ("A", "B"): 2.99, ("B", "B"): 2.99}
    found = neighbors.within(frame, 2.99)
    assert rows(found) == naive_within(frame, everyone)
    np.testing.assert_array_equal(found.index, neighbors.within(frame, everyone).index)


@pytest.mark.parametrize("box", [BOXES["cube"], BOXES["brick"], BOXES["tilted"]])
def test_sann_against_the_definition(box):
    frame = disordered(box, seed=1)
    raw = neighbors.sann(frame, symmetrize=None)
    well_formed(raw, 220)
    expected = naive_sann(frame)
    assert rows(raw) == expected
    mutual = [{j for j in part if i in expected[j]} for i, part in enumerate(expected)]
    assert mutual != expected  # otherwise the next line says nothing
    found = neighbors.sann(frame)
    well_formed(found, 220)
    assert rows(found) == mutual
    assert not neighbors.mutual(raw)
    assert neighbors.mutual(found)


def test_sann_reaches_far_where_particles_are_few():
    """A dense droplet and two far particles, whose shells are wider than the first searches."""
    drop = disordered(18.0, n=260, seed=2, spread=4.5)
    x = np.concatenate([drop.particles.position, [[8.6, 0.1, 0.2], [0.3, -8.7, 0.4]]])
    frame = frames.build(x, 18.0, np.zeros(262, dtype=int))
    raw = neighbors.sann(frame, symmetrize=None)
    well_formed(raw, 262)
    assert rows(raw) == naive_sann(frame)
    first = 1.7 * 18 / 262 ** (1 / 3)
    assert raw.distance[raw.source >= 260].max() > 1.4 * first
    assert raw.distance[raw.source < 260].min() < 0.5 * first


SHELLS = {  # one conventional cell, number of SANN neighbours
    "sc": ([[0, 0, 0]], 18),
    "bcc": ([[0, 0, 0], [0.5, 0.5, 0.5]], 14),
    "fcc": ([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], 12),
}


def crystal(basis):
    cells = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    x = (cells[:, None] + np.array(basis)).reshape(-1, 3) * 1.7
    return frames.build(x, 8.5, np.zeros(len(x), dtype=int))


@pytest.mark.parametrize(("basis", "expected"), SHELLS.values(), ids=SHELLS)
def test_sann_of_crystals(basis, expected):
    """6 + 12, 8 + 6 and 12: first shells whose R_m falls below the next distance."""
    assert set(neighbors.sann(crystal(basis)).counts.tolist()) == {expected}


@pytest.mark.parametrize("f_c", [0.6, 0.82, 1.0])
@pytest.mark.parametrize("box", [BOXES["cube"], BOXES["brick"], BOXES["tilted"]])
def test_modified_voronoi_against_the_definition(box, f_c):
    # a gas: in a liquid the two ends of a bond hardly ever disagree
    x = np.random.default_rng(5).uniform(-3, 3, (90, 3))
    frame = frames.build(x, box, np.arange(90) % 2)
    found = neighbors.modified_voronoi(frame, f_c=f_c, r_cut=1.9)
    well_formed(found, 90)
    assert neighbors.mutual(found)
    expected = naive_modified_voronoi(frame, f_c, 1.9)
    union = [part | {j for j in range(90) if i in expected[j]} for i, part in enumerate(expected)]
    # with f_c = 1 who stands between is nearer to both ends; otherwise the union must be tried
    assert (union == expected) == (f_c == 1)
    assert rows(found) == union


def test_modified_voronoi_at_most_is_gabriel():
    """With f_c = 1, nobody lies in the sphere whose diameter is the bond: Gabriel neighbours."""
    frame = disordered(n=120, seed=8)
    every = all_pairs(frame)
    r = np.linalg.norm(every, axis=2)
    expected = []
    for i in range(120):
        middle = np.linalg.norm(every[i][None] - every[i][:, None] / 2, axis=2)  # (j, k)
        others = np.where(np.eye(120, dtype=bool), np.inf, middle)
        others[:, i] = np.inf
        alone = others.min(axis=1) > r[i] / 2
        expected.append(set(np.flatnonzero(alone & (r[i] < 2.9) & (r[i] > 0)).tolist()))
    assert rows(neighbors.modified_voronoi(frame, f_c=1.0, r_cut=2.9)) == expected


def test_modified_voronoi_bonds_where_one_end_does():
    """From the first, the third is farther than the second; from the second, it is in between."""
    row = frames.build([[0, 0, 0], [1, 0, 0], [1.05, 0, 0]], 10.0, [0, 0, 0])
    assert naive_modified_voronoi(row, 0.82, 2.0) == [{1}, {2}, {1}]
    assert rows(neighbors.modified_voronoi(row)) == [{1}, {0, 2}, {1}]


def test_modified_voronoi_opens_squares_and_reaches_r_cut():
    square = frames.build([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], 10.0, [0] * 4)
    assert neighbors.modified_voronoi(square).counts.tolist() == [2] * 4
    assert neighbors.modified_voronoi(square, f_c=1.0).counts.tolist() == [3] * 4
    pair = frames.build([[0, 0, 0], [1.99, 0, 0], [-2.01, 0, 0]], 10.0, [0] * 3)
    assert rows(neighbors.modified_voronoi(pair)) == [{1}, {0}, set()]


@pytest.mark.parametrize("f_c", [0.7, 0.82, 0.95])
def test_modified_voronoi_of_fcc(f_c):
    frame = crystal(SHELLS["fcc"][0])
    assert set(neighbors.modified_voronoi(frame, f_c=f_c).counts.tolist()) == {12}


def test_lists_know_translation_images_and_names():
    frame = disordered(seed=4)
    cut = partial(neighbors.within, r_cut=CUTOFFS)
    for make in (neighbors.sann, cut, neighbors.modified_voronoi):
        reference = make(frame)
        for shift in ([1.7, -2.2, 9.1], [6.0, 0.0, -12.0]):
            moved = make(translated(frame, shift))
            assert rows(moved) == rows(reference)
            np.testing.assert_allclose(moved.distance, reference.distance, atol=3e-6)
        order = np.random.default_rng(0).permutation(frame.particles.N)
        shuffled = make(frames.subset(frame, order))
        assert [set(order[list(part)].tolist()) for part in rows(shuffled)] == [
            rows(reference)[i] for i in order
        ]


@pytest.mark.parametrize("seed", [1, 2])
def test_sann_of_disks_against_the_definition(seed):
    frame = disordered(n=150, dimensions=2, seed=seed)
    raw = neighbors.sann(frame, symmetrize=None)
    assert rows(raw) == naive_sann(frame)
    assert 4 < raw.counts.mean() < 8
    assert neighbors.mutual(neighbors.sann(frame))


def triangular(n=8):
    """A triangular lattice of spacing 1, and its box."""
    height = np.sqrt(3) / 2
    x = [[i + 0.5 * (j % 2), j * height] for i in range(n) for j in range(n)]
    return frames.build(x, [n, n * height], [0] * n**2, dimensions=2)


def test_disks_on_a_triangular_lattice_have_six_neighbours():
    frame = triangular()
    for make in (neighbors.sann, neighbors.voronoi):
        assert set(make(frame).counts.tolist()) == {6}
        np.testing.assert_allclose(make(frame).distance, 1.0, atol=1e-6)


VORONOI = """
import sys
import freud, numpy as np
from glasslib import frames, structure
(frame,) = frames.read(sys.argv[1])
system = structure.freud_box(frame), frame.particles.position
found = freud.locality.Voronoi().compute(system).nlist
np.save(sys.argv[2], np.stack([found.query_point_indices, found.point_indices]))
"""


@pytest.mark.parametrize("dimensions", [2, 3])
def test_voronoi_neighbours_against_freud(tmp_path, dimensions):
    """In a process of its own: freud's voro++ and the one in LAMMPS cannot live together."""
    frame = disordered(n=150 if dimensions == 2 else 220, dimensions=dimensions, seed=3)
    frames.write(tmp_path / "frame.gsd", frame)
    command = [sys.executable, "-c", VORONOI, tmp_path / "frame.gsd", tmp_path / "pairs.npy"]
    subprocess.run(command, check=True)
    expected = set(map(tuple, np.load(tmp_path / "pairs.npy").T.tolist()))
    found = neighbors.voronoi(frame)
    pairs = set(zip(found.source.tolist(), found.index.tolist()))
    # in 3D freud passes over the smallest faces; in 2D edges are longer than that
    assert len(pairs ^ expected) <= (0 if dimensions == 2 else 0.005 * len(expected))
    assert neighbors.mutual(found)
    every = all_pairs(frame)
    np.testing.assert_allclose(found.vector, every[found.source, found.index], atol=1e-6)
    for i in range(frame.particles.N):
        assert np.all(np.diff(found.distance[found.offsets[i] : found.offsets[i + 1]]) >= 0)
    few = frames.build(np.eye(3)[:, :dimensions], 3.0, [0] * 3, dimensions=dimensions)
    refuses(lambda: neighbors.voronoi(few), "too few")


def test_voronoi_cells_of_fcc():
    """Twelve faces; the octahedral ties are broken by Qhull, seldom alike from both ends."""
    frame = crystal(SHELLS["fcc"][0])
    shaken = frames.copy(frame)
    noise = np.random.default_rng(0).normal(scale=1e-3, size=frame.particles.position.shape)
    shaken.particles.position = frame.particles.position + noise.astype(np.float32)
    assert neighbors.voronoi(shaken).counts.min() >= 12
    assert 13 < neighbors.voronoi(shaken).counts.mean() < 15


def test_sann_does_not_know_the_unit_of_length():
    frame = disordered(seed=6)
    larger = frames.copy(frame)
    larger.particles.position = frame.particles.position * np.float32(4)
    larger.configuration.box = frame.configuration.box * np.float32(4)
    np.testing.assert_array_equal(neighbors.sann(larger).index, neighbors.sann(frame).index)


def test_a_particle_without_neighbours_has_an_empty_row():
    row = frames.build([[0, 0, 0], [1, 0, 0], [4, 4, 4]], 10.0, [0, 0, 0])
    assert neighbors.within(row, 1.2).counts.tolist() == [1, 1, 0]
    assert neighbors.within(row, 0.5).counts.tolist() == [0, 0, 0]


def test_dropped_removes_one_sided_pairs_only():
    one_sided = neighbors.Neighbors(
        np.array([0, 2, 3, 4]), np.array([1, 2, 0, 1]), np.eye(3)[[0, 1, 0, 2]], np.ones(4)
    )
    assert rows(neighbors.dropped(one_sided)) == [{1}, {0}, set()]
    np.testing.assert_array_equal(neighbors.dropped(one_sided).vector, np.eye(3)[[0, 0]])


def test_hard_spheres_have_a_dozen_neighbours():
    """The state point of Boattini et al.; an outside file."""
    lines = external("cvt/binary_n10000.sph").read_text().splitlines()
    values = np.array([line.split()[1:4] for line in lines[2:10002]], dtype=float)
    kind = np.array([ord(line[0]) - ord("a") for line in lines[2:10002]])
    frame = frames.build(values, [float(v) for v in lines[1].split()], kind)
    raw, found = neighbors.sann(frame, symmetrize=None), neighbors.sann(frame)
    assert 11.5 < raw.counts.mean() < 12.5
    assert 0.95 < found.counts.mean() / raw.counts.mean() < 1
    sizes = np.array([1.0, 0.85])[kind]
    gaps = found.distance - (sizes[found.source] + sizes[found.index]) / 2
    assert gaps.min() > -1e-5  # hard: nobody nearer than contact, to float32
    check = np.random.default_rng(0).choice(10000, 40, replace=False)
    edge, x = float(frame.configuration.box[0]), frame.particles.position.astype(float)
    for i in check:  # the definition, on a few
        d = x - x[i]
        r = np.sort(np.linalg.norm(d - edge * np.rint(d / edge), axis=1))[1:]
        m = next(m for m in range(3, len(r)) if r[:m].sum() / (m - 2) <= r[m])
        assert raw.counts[i] == m


def test_what_is_refused():
    frame = disordered(n=100)
    refuses(lambda: neighbors.within(frame, 3.1), "3.1", "twice the cut-off")
    refuses(lambda: neighbors.within(frame, {("A", "A"): 1.4}), "('A', 'B')")
    refuses(
        lambda: neighbors.within(frame, CUTOFFS | {("B", "A"): 1.1}), "mutual", "give the pair once"
    )
    refuses(lambda: neighbors.within(frame, -1.0), "positive finite")
    with pytest.raises(TypeError, match="expected one distance, or a dict"):
        neighbors.within(frame, [1.4])
    refuses(lambda: neighbors.within(disordered(BOXES["tilted"], n=60), 2.8), "narrowest")
    refuses(lambda: neighbors.sann(frame, symmetrize="keep"), "'drop' or None")
    flat = disordered(n=40, dimensions=2)
    refuses(lambda: neighbors.modified_voronoi(flat), "modified_voronoi", "2D", "within()")
    for f_c in (0.0, -0.82, 1.01, np.nan):
        refuses(lambda f_c=f_c: neighbors.modified_voronoi(frame, f_c=f_c), f"{f_c}", "<= 1")
    refuses(lambda: neighbors.modified_voronoi(frame, r_cut=3.0), "twice the cut-off")
    refuses(lambda: neighbors.modified_voronoi(frame, r_cut=0), "positive finite")
    few = frames.build([[1, 1, 1], [1, -1, -1], [-1, 1, -1]], 20.0, [0] * 3)
    refuses(lambda: neighbors.sann(few), "half the box", "use more particles")
    twice = frames.build([[0, 0, 0], [1, 0, 0], [1, 0, 0]], 10.0, [0, 0, 0])
    refuses(lambda: neighbors.within(twice, 1.2), "particles 1 and 2", "same place")
    seam = frames.build([[-5, 0, 0], [4.9999995, 0, 0]], 10.0, [0, 0])
    refuses(lambda: neighbors.within(seam, 1.2), "same place")
    flat = disordered(n=100, dimensions=2)
    flat.particles.position[7] = flat.particles.position[3]
    refuses(lambda: neighbors.voronoi(flat), "at the same place")


def test_who_is_at_the_cut_off_is_no_neighbour():
    at = frames.build([[0, 0, 0], [1, 0, 0], [0, 1 + 2**-20, 0], [0, 0, 1 - 2**-20]], 8.0, [0] * 4)
    assert neighbors.within(at, 1.0).index[:1].tolist() == [3]
    assert neighbors.within(at, 1.0).counts.tolist() == [1, 0, 0, 1]
    assert neighbors.within(at, 1 + 2**-20).counts[:3].tolist() == [2, 1, 0]


@pytest.mark.parametrize(("apart", "refused"), [(1e-5, False), (1e-6, True)])
def test_same_place_is_a_millionth_of_the_reach(apart, refused):
    pair = frames.build([[1, 1, 1], [0, 0, 0], [apart, 0, 0], [-1, 1, 1]], 8.0, [0] * 4)
    if refused:
        refuses(lambda: neighbors.within(pair, 1.2), "particles 1 and 2", "same place")
    else:
        assert neighbors.within(pair, 1.2).counts.tolist() == [0, 1, 1, 0]


def test_the_option_of_descriptors():
    frame = disordered(seed=7)
    made = neighbors.within(frame, 1.3)
    assert neighbors.neighbor_list(frame, made) is made
    options = {1.3: made, "sann": neighbors.sann(frame), "voronoi": neighbors.voronoi(frame)}
    for option, expected in options.items():
        np.testing.assert_array_equal(neighbors.neighbor_list(frame, option).index, expected.index)
    refuses(lambda: neighbors.neighbor_list(frame, "nearest"), "'nearest'", "'sann'", "'voronoi'")
    other = disordered(n=100)
    refuses(lambda: neighbors.neighbor_list(other, made), "220 particles", "the same frame")
