"""Time of the averaged radial and angular descriptors beside numpy/scipy, dscribe and partycls.

    python benchmarks/descriptors.py [--frame file.npz] [--repeats 5] [--largest 46]

The standard 392 descriptors a generation, averaged to n_max = 2, of one snapshot of 4096 particles
at density 1.2, beside the same written plainly with numpy and scipy (a tree of neighbours, then for
each particle whole arrays of exponentials and ``sph_harm_y``). Of the peers each makes a part:
partycls's radial bond order is the angular functions, by the same equation; dscribe's ACSF G2 is
the radial functions, times a cosine cut-off, which it always has, so that its values differ.
CPU seconds of one thread, sides by turns, the least of the repeats; compilation and a first call
are left out. numpy/scipy and partycls take long and are asked once. Peers that do not import are
skipped::

    pip install dscribe
    pip install partycls          # builds Fortran: wants gfortran and, for now, numpy<2

Then N from 16³ to 46³, for linear growth. Without ``--frame`` (its first frame is taken) particles
sit near the sites of a lattice. Writes ``benchmarks/results/descriptors.json``.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import platform
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from bond_order import partycls_trajectory
from scipy.spatial import cKDTree
from scipy.special import sph_harm_y

from glasslib import book, frames
from glasslib.descriptors import averaged_radial_angular, radial_angular
from glasslib.descriptors.radial_angular import ANGULAR, ORDERS, RADIAL, REACH
from glasslib.frames import Frame

RESULTS = Path(__file__).parent / "results" / "descriptors.json"
REQUIRED = 2.0  # CPU seconds for 4096 particles, three generations
R_C = 2.3  # second minimum of g(r) of Kob–Andersen


def lattice_like(side: int, seed: int = 0) -> Frame:
    """side³ particles of density 1.2 near the sites of a lattice, a fifth B, in any order."""
    rng = np.random.default_rng(seed)
    n = side**3
    edge = (n / 1.2) ** (1 / 3)
    sites = np.stack(np.meshgrid(*[np.arange(side)] * 3), axis=-1).reshape(-1, 3) + 0.5
    x = sites * edge / side - edge / 2 + rng.normal(0, 0.08, (n, 3))
    return frames.build(x[rng.permutation(n)], edge, (rng.random(n) < 0.2).astype(int))


def ours(frame: Frame) -> np.ndarray:
    """All three generations."""
    return averaged_radial_angular(frame, R_C, n_max=2)[0]


def plain(frame: Frame) -> np.ndarray:
    """The same with numpy and scipy alone."""
    edge = np.asarray(frame.configuration.box[:3], dtype=np.float64)
    x = np.mod(frame.particles.position.astype(np.float64), edge)
    kind = np.asarray(frame.particles.typeid)
    tree = cKDTree(x, boxsize=edge)
    reach = max(r + REACH * d for r, d in (*RADIAL, *ANGULAR))
    near_enough = max(r + REACH * d for r, d in ANGULAR)
    rows = np.empty((len(x), 2 * len(RADIAL) + len(ORDERS) * len(ANGULAR)))
    for i in range(len(x)):
        j = np.array([k for k in tree.query_ball_point(x[i], reach) if k != i])
        v = x[j] - x[i]
        v -= edge * np.rint(v / edge)
        r = np.linalg.norm(v, axis=1)
        g = np.exp(-((r[:, None] - RADIAL[:, 0]) ** 2) / (2 * RADIAL[:, 1] ** 2))
        radial = [g[kind[j] == s].sum(axis=0) for s in range(2)]
        v, r = v[r < near_enough], r[r < near_enough]
        g = np.exp(-((r[:, None] - ANGULAR[:, 0]) ** 2) / (2 * ANGULAR[:, 1] ** 2))
        theta, phi = np.arccos(v[:, 2] / r), np.arctan2(v[:, 1], v[:, 0])
        angular = []
        for order in ORDERS:
            m = np.arange(order + 1)[:, None]
            power = np.abs(sph_harm_y(order, m, theta, phi) @ g / g.sum(axis=0)) ** 2
            total = power[0] + 2 * power[1:].sum(axis=0)
            angular.append(np.sqrt(4 * np.pi / (2 * order + 1) * total))
        rows[i] = np.concatenate([*radial, *angular])
    generations = [rows]
    pairs = tree.sparse_distance_matrix(tree, R_C, output_type="coo_matrix").tocsr()
    pairs.data = np.exp(-pairs.data / R_C)
    pairs.setdiag(1.0)
    for _ in range(2):
        generations.append(pairs @ generations[-1] / np.asarray(pairs.sum(axis=1)))
    return np.hstack(generations)


def with_dscribe(frame: Frame) -> np.ndarray:
    """Radial functions, times a cosine cut-off."""
    from ase import Atoms
    from dscribe.descriptors import ACSF

    p = frame.particles
    atoms = Atoms(
        np.array(["H", "He"])[p.typeid], p.position, cell=frame.configuration.box[:3], pbc=True
    )
    reach = max(r + REACH * d for r, d in RADIAL)
    g2 = [[1 / (2 * d * d), r] for r, d in RADIAL]
    descriptor = ACSF(r_cut=reach, g2_params=g2, species=["H", "He"], periodic=True)
    return descriptor.create(atoms)


def with_partycls(frame: Frame) -> np.ndarray:
    """Angular functions, after reading its file."""
    from partycls.descriptors import RadialBondOrientationalDescriptor

    trajectory = partycls_trajectory(frame)
    descriptor = RadialBondOrientationalDescriptor(
        trajectory, orders=list(ORDERS), distance_grid=ANGULAR[:, 0], delta=float(ANGULAR[0, 1]),
        skin=REACH, exponent=2, verbose=False,
    )  # fmt: skip
    return descriptor.compute()


def cpu(run: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    before = time.process_time()
    value = run()
    return time.process_time() - before, value


def main() -> int:
    """Measure, print a table, write the results; 1 if the descriptors take too long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frame", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--largest", type=int, default=46, help="particles along an edge")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    frame = frames.read(options.frame)[0] if options.frame else lattice_like(16)
    have = {name: find_spec(name) is not None for name in ("dscribe", "partycls")}

    sides = {
        ("three generations", "glasslib"): lambda: ours(frame),
        ("radial", "glasslib"): lambda: radial_angular(frame, angular=None),
        ("angular", "glasslib"): lambda: radial_angular(frame, radial=None),
    }
    if have["dscribe"]:
        sides["radial", "dscribe"] = lambda: with_dscribe(frame)
    values = {side: run() for side, run in sides.items()}  # compiles, warms up
    seconds = dict.fromkeys(sides, np.inf)
    for k in range(options.repeats):
        for side in list(sides)[:: -1 if k % 2 else 1]:
            seconds[side] = min(seconds[side], cpu(sides[side])[0])
    once = {("three generations", "numpy, scipy"): lambda: plain(frame)}
    if have["partycls"]:
        once["angular", "partycls"] = lambda: with_partycls(frame)
    for side, run in once.items():
        seconds[side], values[side] = cpu(run)

    found: dict[str, dict] = {}
    for (task, name), time_s in seconds.items():
        entry = found.setdefault(task, {})[name] = {"cpu_s": time_s}
        if name != "dscribe":  # its cut-off function makes other numbers
            entry["difference"] = float(np.abs(values[task, name] - values[task, "glasslib"]).max())
    growth = []
    for side in (16, 25, 46):
        if side <= options.largest:
            many = lattice_like(side)
            before = time.process_time()
            ours(many)
            growth.append({"n": side**3, "cpu_s": time.process_time() - before})

    n = frame.particles.N
    print(f"{n} particles; CPU seconds, largest difference from glasslib")
    for task, entries in found.items():
        for name, entry in sorted(entries.items(), key=lambda e: e[0] != "glasslib"):
            apart = f"{entry['difference']:10.1e}" if "difference" in entry else ""
            print(f"{task:20s}{name:15s}{entry['cpu_s']:10.3f}{apart}")
    for entry in growth:
        each = 1e6 * entry["cpu_s"] / entry["n"]
        print(f"three generations, N = {entry['n']:<8d}{entry['cpu_s']:8.2f} s{each:6.0f} µs each")
    for name in have:
        if not have[name]:
            print(f"{name} is not installed here")
    enough = found["three generations"]["glasslib"]["cpu_s"] < REQUIRED
    book.write_json(
        options.output,
        {
            "machine": {"cpu": platform.machine(), "system": platform.system()},
            "n": n,
            "frame": options.frame.name if options.frame else "near a lattice",
            "required_cpu_s": REQUIRED,
            "met": enough,
            "tasks": found,
            "growth": growth,
        },
    )
    print(f"under {REQUIRED} s required: {'met' if enough else 'NOT met'}")
    return 0 if enough else 1


if __name__ == "__main__":
    raise SystemExit(main())
