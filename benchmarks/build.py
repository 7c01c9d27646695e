"""Time of a full and of a cached build of the book.

    python benchmarks/build.py [--target book]

Calls ``make clean``, then ``make book`` twice. Times are wall-clock and, beside them, CPU seconds
of all processes, which say more on a busy machine. Writes ``benchmarks/results/build.json``.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import time
from pathlib import Path

from glasslib import book

RESULTS = Path(__file__).parent / "results" / "build.json"


def timed(*command: str) -> dict[str, float]:
    """Wall-clock and CPU seconds of a command; an error if it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=book.root(), check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(time.perf_counter() - began, 1), "cpu_s": round(cpu, 1)}


def main() -> None:
    """Build from nothing, build again, write the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="book")
    target = parser.parse_args().target
    subprocess.run(["make", "clean"], cwd=book.root(), check=True)
    found = {"full": timed("make", target), "cached": timed("make", target)}
    book.write_json(
        RESULTS, {"cores": os.cpu_count(), "system": platform.system(), "target": target, **found}
    )
    for name, entry in found.items():
        print(f"{name:8s}{entry['wall_s']:8.1f} s wall {entry['cpu_s']:8.1f} s CPU")


if __name__ == "__main__":
    main()
