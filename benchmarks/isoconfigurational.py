"""Throughput of isoconfigurational runs on one worker and on all: draws a second.

    python benchmarks/isoconfigurational.py

Hard spheres at η = 0.54, N = 2000, eight draws of 30 τ each. The two are run by turns, three
times, in wall-clock time, so the machine should have nothing else to do. The workers are started
(and their code is loaded) before the clock runs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from glasslib import simulate, systems

os.environ.setdefault("NUMBA_NUM_THREADS", "1")


def seconds(start, system, n_jobs: int, last: float, draws: int) -> float:
    began = time.perf_counter()
    simulate.isoconfigurational(
        start, system, n_replicas=draws, sample_times=[0.1, last], n_jobs=n_jobs
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--last", type=float, default=30.0, help="length of a draw, τ")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument(
        "--output", type=Path,
        default=Path(__file__).parent / "results" / "isoconfigurational.json",
    )  # fmt: skip
    a = parser.parse_args()
    system = systems.get("hard-spheres")
    start = simulate.liquid(system, eta=0.54, duration=20.0)
    seconds(start, system, a.workers, 0.5, 2 * a.workers)
    one, many = [], []
    for _ in range(3):
        one.append(seconds(start, system, 1, a.last, a.draws))
        many.append(seconds(start, system, a.workers, a.last, a.draws))
    ratio = float(np.median(np.array(one) / many))
    result = {
        "workers": a.workers, "draws": a.draws, "last": a.last, "seconds_one": one,
        "seconds_all": many, "speed_up": ratio,
    }  # fmt: skip
    a.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{a.workers} workers: {ratio:.2f} times the throughput of one")


if __name__ == "__main__":
    main()
