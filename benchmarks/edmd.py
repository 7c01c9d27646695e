"""Collisions per second of glasslib's event-driven engine, beside a reference code in C.

    python benchmarks/edmd.py [--reference FOLDER_OR_PROGRAM] [--repeats 5] [--collisions 2000000]

The reference is the code of Smallenburg, Eur. Phys. J. E 45, 22 (2022), which is not part of this
repository::

    git clone https://github.com/FSmallenburg/EDMD
    python benchmarks/edmd.py --reference EDMD/Single

``--reference`` (or the environment variable ``EDMD_REFERENCE``) takes the folder of one of its
variants: it is copied, set to the length of the run, compiled there with ``gcc -O3 -march=native``
and removed again. It also takes a compiled program that reads ``init.sph`` and runs as long as it
was compiled for. Without it, ours is measured alone.

Both sides begin from the same configurations, binary hard spheres 30:70 of size ratio 0.85, and run
by turns in CPU seconds: other work on the machine slows both alike. The large ones are copies of a
small one side by side. The ratio is the median over repeats. Writes
``benchmarks/results/edmd.json``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from engines import machine

from glasslib import book, systems
from glasslib.engines import edmd

RESULTS = Path(__file__).parent / "results" / "edmd.json"
REQUIRED = 1.0  #: of the reference's speed
#: system, packing fraction, particles in the configuration that is copied, copies along each edge
CASES = (
    ("hard-spheres", 0.58, 800, 1), ("hard-spheres", 0.58, 250, 2), ("hard-spheres", 0.58, 800, 2),
    ("hard-spheres", 0.58, 800, 3), ("hard-spheres", 0.58, 800, 5), ("hard-spheres", 0.5, 800, 2),
    ("hard-spheres", 0.4, 800, 2), ("hard-disks", 0.79, 800, 1), ("hard-disks", 0.79, 800, 11),
)  # fmt: skip


def configuration(name: str, eta: float, tile: int, copies: int) -> tuple[np.ndarray, ...]:
    """Positions, diameters and box of a liquid that has moved for a while."""
    system = systems.get(name)
    frame = edmd.grow(system, n=tile, eta=eta, seed=1)
    sim = edmd.begin(frame, system, kT=1.0, seed=1)
    sim.advance(50.0)
    box = sim.box
    cells = itertools.product(range(copies), repeat=len(box))
    x = np.concatenate([sim.position % box + box * cell for cell in np.array(list(cells))])
    return x, np.tile(sim.diameter, copies ** len(box)), box * copies


def ours(x: np.ndarray, sigma: np.ndarray, box: np.ndarray, duration: float, seed: int) -> float:
    """Collisions per CPU second."""
    v = np.random.default_rng(seed).normal(size=x.shape)
    sim = edmd.Simulation(x, v, sigma, None, box)
    sim.advance(0.01 * duration)
    done, before = sim.collisions, time.process_time()
    sim.advance(duration)
    return (sim.collisions - done) / (time.process_time() - before)


def program(reference: Path, folder: Path, duration: float) -> Path:
    """The reference as a program that runs for ``duration``."""
    if reference.is_file():
        return reference.resolve()
    shutil.copytree(reference, folder, dirs_exist_ok=True)
    (source,) = folder.glob("md*.c")
    code = source.read_text()
    for name, value in (("maxtime", duration), ("writeinterval", duration)):
        code, n = re.subn(rf"double {name} = [^;]*;", f"double {name} = {value};", code)
        if n != 1:
            raise SystemExit(f"{source.name} sets {name} {n} times; expected once.")
    source.write_text(code)
    subprocess.run(
        ["gcc", "-O3", "-march=native", "-w", source.name, "-o", "reference", "-lm"],
        cwd=folder, check=True,
    )  # fmt: skip
    return folder / "reference"


def theirs(path: Path, folder: Path) -> float:
    """Collisions per CPU second of the reference, reading its start included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([path], cwd=folder, check=True, capture_output=True, text=True).stdout
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int(re.findall(r"Collisions: (\d+)", out)[-1]) / (now.ru_utime - used.ru_utime)


def measure(name: str, eta: float, tile: int, copies: int, options: argparse.Namespace) -> dict:
    """Alternating runs of one case."""
    x, sigma, box = configuration(name, eta, tile, copies)
    n, d = x.shape
    probe = edmd.Simulation(x, np.random.default_rng(0).normal(size=x.shape), sigma, None, box)
    probe.advance(0.05)
    duration = round(0.05 * options.collisions / probe.collisions, 4)
    found: dict[str, list[float]] = {"glasslib": [], "reference": []}
    with tempfile.TemporaryDirectory() as folder:
        sides = [("glasslib", lambda k: ours(x, sigma, box, duration, k))]
        if options.reference and d == 3:
            folder = Path(folder)
            path = program(options.reference, folder, duration)
            rows = (
                f"{'a' if s == sigma.max() else 'b'} {a:.12f} {b:.12f} {c:.12f} {s / 2:.6f}\n"
                for (a, b, c), s in zip(x % box, sigma, strict=True)
            )
            edges = " ".join(f"{edge:.12f}" for edge in box)
            (folder / "init.sph").write_text(f"{n}\n{edges}\n{''.join(rows)}")
            sides.append(("reference", lambda _: theirs(path, folder)))
        for k in range(options.repeats):
            for side, run in sides[:: 1 if k % 2 else -1]:
                found[side].append(run(k))
    row = {
        "system": name, "packing_fraction": eta, "n": n, "repeats": options.repeats,
        "glasslib_collisions_per_cpu_second": float(np.median(found["glasslib"])),
        "glasslib_best": float(np.max(found["glasslib"])),
    }  # fmt: skip
    if found["reference"]:
        ratios = np.array(found["glasslib"]) / np.array(found["reference"])
        row |= {
            "reference_collisions_per_cpu_second": float(np.median(found["reference"])),
            "reference_best": float(np.max(found["reference"])),
            "ratio": float(np.median(ratios)),
            "ratio_range": [float(ratios.min()), float(ratios.max())],
        }
    return row


def main() -> int:
    """Measure, print a table, write the results; 1 if the reference is faster."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given = os.environ.get("EDMD_REFERENCE")
    parser.add_argument("--reference", type=Path, default=Path(given) if given else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--collisions", type=int, default=2_000_000)
    options = parser.parse_args()
    if options.reference and not options.reference.exists():
        parser.error(f"no {options.reference}; see the beginning of this file.")
    print(f"{'system':14s}{'eta':>5s}{'N':>8s}{'glasslib':>10s}{'reference':>11s}{'ratio':>7s}")
    rows = []
    for case in CASES:
        row = measure(*case, options)
        rows.append(row)
        pair = (
            f"{row['reference_collisions_per_cpu_second'] / 1e6:11.3f}{row['ratio']:7.2f}"
            if "ratio" in row
            else ""
        )
        print(
            f"{row['system']:14s}{row['packing_fraction']:5.2f}{row['n']:8d}"
            f"{row['glasslib_collisions_per_cpu_second'] / 1e6:10.3f}{pair}", flush=True,
        )  # fmt: skip
    compared = [row["ratio"] for row in rows if "ratio" in row]
    enough = all(ratio >= REQUIRED for ratio in compared) if compared else None
    book.write_json(
        RESULTS, {"machine": machine(), "required": REQUIRED, "met": enough, "runs": rows}
    )
    print("million collisions per CPU second; ratio of at least", REQUIRED, "required:", end=" ")
    print({None: "no reference given", True: "met", False: "NOT met"}[enough])
    return 0 if enough is not False else 1


if __name__ == "__main__":
    raise SystemExit(main())
