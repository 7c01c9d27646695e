"""Steps per second of the engines through glasslib, against bare scripts of the same runs.

    python benchmarks/engines.py [--repeats 5] [--steps 2000]

Both sides of a pair run in this one process, by turns, beginning with either in alternation, and
are timed in CPU seconds: other work on the machine slows both alike. Both have the same skin of
their neighbour lists, so that the ratio is what glasslib costs. The ratio is the median over
repeats. HOOMD-blue is measured where it is installed. Writes ``benchmarks/results/engines.json``.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from glasslib import book, engines, simulate, systems
from glasslib.engines import lammps as lammps_engine
from glasslib.frames import Frame
from glasslib.systems import System

RESULTS = Path(__file__).parent / "results" / "engines.json"
REQUIRED = 0.95
CASES = (("bihani-2d", 500), ("kob-andersen", 500))

LAMMPS_SCRIPT = """
units lj
dimension {d}
atom_style atomic
boundary p p p
region box block {low} {high} {low} {high} {zlow} {zhigh}
create_box 2 box
mass * 1.0
neighbor {skin} bin
neigh_modify every 1 delay 0 check yes
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
pair_coeff 1 2 1.5 0.8 2.0
pair_coeff 2 2 0.5 0.88 2.2
pair_modify shift {shift}
timestep {dt}
fix dynamics all nvt temp 1.0 1.0 {damp}
{flat}
thermo 0
"""


def glasslib_run(name: str, frame: Frame, system: System, steps: int) -> int:
    """The run as pages make it: one sample at the end."""
    for _ in engines.choose(system, name).run(frame, system, kT=1.0, duration=steps * system.dt):
        pass
    return steps


def bare_lammps(frame: Frame, system: System, steps: int) -> int:
    """The same with LAMMPS alone, from a script a user would write."""
    d = system.dimensions
    edge = float(frame.configuration.box[0])
    z = 0.5 if d == 2 else edge / 2
    lmp = lammps_engine._module().lammps(
        cmdargs=["-screen", "none", "-log", "none", "-nocite", "-suffix", "opt"]
    )
    script = LAMMPS_SCRIPT.format(
        d=d, low=-edge / 2, high=edge / 2, zlow=-z, zhigh=z, dt=system.dt,
        damp=system.thermostat_time, flat="fix flat all enforce2d" if d == 2 else "",
        skin=lammps_engine._skin(system),
        shift="yes" if system.pair("A", "A").truncation == "shift" else "no",
    )  # fmt: skip
    lmp.commands_string(script)
    p = frame.particles
    lmp.create_atoms(
        p.N, list(range(1, p.N + 1)), (p.typeid + 1).tolist(),
        p.position.astype(float).ravel().tolist(), p.velocity.astype(float).ravel().tolist(),
    )  # fmt: skip
    lmp.command(f"run {steps}")
    lmp.gather_atoms("x", 1, 3)
    lmp.close()
    return steps


def bare_hoomd(frame: Frame, system: System, steps: int) -> int:
    """The same with HOOMD-blue alone, as its examples do it."""
    import hoomd

    sim = hoomd.Simulation(device=hoomd.device.CPU(notice_level=1), seed=1)
    sim.create_state_from_snapshot(hoomd.Snapshot.from_gsd_frame(frame, sim.device.communicator))
    shift = "shift" if system.pair("A", "A").truncation == "shift" else "none"
    lj = hoomd.md.pair.LJ(nlist=hoomd.md.nlist.Cell(buffer=0.4), mode=shift)
    for pair, p in system.pairs.items():
        lj.params[pair] = {"epsilon": p.epsilon, "sigma": p.sigma}
        lj.r_cut[pair] = p.r_cut
    nvt = hoomd.md.methods.ConstantVolume(
        filter=hoomd.filter.All(),
        thermostat=hoomd.md.methods.thermostats.MTTK(kT=1.0, tau=system.thermostat_time),
    )
    sim.operations.integrator = hoomd.md.Integrator(dt=system.dt, methods=[nvt], forces=[lj])
    sim.run(steps)
    sim.state.get_snapshot()
    return steps


def speed(run: Callable[[], int]) -> float:
    """Steps per CPU second."""
    before = time.process_time()
    steps = run()
    return steps / (time.process_time() - before)


def compare(name: str, bare: Callable, case: str, n: int, steps: int, repeats: int) -> dict:
    """Alternating runs of one pair."""
    system = systems.get(case)
    frame = simulate.liquid(system, kT=1.0, n=n, melt_time=2, duration=3, seed=1, engine="lammps")
    sides = (
        ("glasslib", lambda: glasslib_run(name, frame, system, steps)),
        ("bare", lambda: bare(frame, system, steps)),
    )
    found: dict[str, list[float]] = {"glasslib": [], "bare": []}
    for k in range(repeats + 1):
        for side, run in sides if k % 2 else sides[::-1]:
            value = speed(run)
            if k:  # the first of each warms up
                found[side].append(value)
    ratios = np.array(found["glasslib"]) / np.array(found["bare"])
    return {
        "engine": engines.choose(system, name).provenance(),
        "system": case,
        "n": n,
        "steps": steps,
        "repeats": repeats,
        "glasslib_steps_per_cpu_second": float(np.median(found["glasslib"])),
        "bare_steps_per_cpu_second": float(np.median(found["bare"])),
        "ratio": float(np.median(ratios)),
        "ratio_range": [float(ratios.min()), float(ratios.max())],
    }


def machine() -> dict:
    """The machine, in neutral words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines()
                 if line.startswith("model name")]  # fmt: skip
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.system()}


def main() -> int:
    """Measure, print a table, write the results; 1 if glasslib costs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args()
    peers = {"lammps": bare_lammps, "hoomd": bare_hoomd}
    have = engines.available()
    rows = []
    print(f"{'engine':8s}{'system':14s}{'N':>6s}{'glasslib':>10s}{'bare':>10s}{'ratio':>7s}")
    for name in peers:
        if not have[name]:
            print(f"{name:8s}not installed here")
            continue
        for case, n in CASES:
            row = compare(name, peers[name], case, n, options.steps, options.repeats)
            rows.append(row)
            print(
                f"{name:8s}{case:14s}{n:6d}{row['glasslib_steps_per_cpu_second']:10.0f}"
                f"{row['bare_steps_per_cpu_second']:10.0f}{row['ratio']:7.3f}", flush=True,
            )  # fmt: skip
    enough = all(row["ratio"] >= REQUIRED for row in rows)
    book.write_json(
        RESULTS, {"machine": machine(), "required": REQUIRED, "met": enough, "runs": rows}
    )
    print(f"at least {REQUIRED} required: {'met' if enough else 'NOT met'}")
    return 0 if enough else 1


if __name__ == "__main__":
    raise SystemExit(main())
