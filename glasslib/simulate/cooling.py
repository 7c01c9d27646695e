"""Cooling a liquid, with a quench at every temperature."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from glasslib import engines, frames
from glasslib.engines import base
from glasslib.frames import Frame
from glasslib.simulate.resume import make_in_parts, record_interactions, stamp, take_last
from glasslib.systems import System


def cool(
    frame: Frame,
    system: System,
    *,
    temperatures: Sequence[float],
    steps_per_ramp: int,
    path: str | os.PathLike | None = None,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Frame]:
    """Cool at constant volume; at each temperature, quench to the minimum at zero pressure.

    Linear ramps of ``steps_per_ramp`` time steps lead from each temperature to the next. The
    ramp goes on from the thermal frame; the quench is a side branch. Every ramp begins from
    the frame as it is stored (single precision, thermostat at rest), so a resumed cooling is
    the same as an uninterrupted one.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        Liquid equilibrated at ``temperatures[0]``, with velocities.
    temperatures : sequence of float
        Descending, ε_AA. The cooling rate is ΔT / (steps_per_ramp · dt).
    path : path, optional
        GSD file to write: one frame a temperature. While it grows, its configurations are in
        ``path + ".parts"``; when it is complete it replaces them. What an earlier call left
        there is gone on with; if that call asked for something else it is an error.
    progress : callable, optional
        Called with (configurations done, configurations in all).

    Returns
    -------
    list of gsd.hoomd.Frame
        Quenched structures with ``log``: ``kT``, ``cooling_rate``, ``potential_energy`` (per
        particle), ``density``, ``pressure``, ``max_force``, ``particles/energy`` (N,), and of
        the thermal frame it came from ``thermal_potential_energy``, ``thermal_pressure``,
        ``particles/thermal_position`` (N, 3) and ``thermal_box`` (6,).
    """
    temperatures = np.asarray(temperatures, dtype=float)
    if temperatures.ndim != 1 or len(temperatures) < 1:
        raise ValueError(f"temperatures has shape {temperatures.shape}; expected a list of them.")
    for kT in temperatures:
        base.check_temperature(kT)
    if np.any(np.diff(temperatures) >= 0):
        raise ValueError("temperatures must descend: cooling goes from hot to cold. Sort them.")
    if steps_per_ramp < 1:
        raise ValueError(f"steps_per_ramp is {steps_per_ramp}; expected at least 1.")
    driver = engines.choose(system, engine, n=frame.particles.N)
    frame = frames.wrapped(frames.check(frame, system=system))
    if frame.particles.velocity is None or not np.any(frame.particles.velocity):
        raise ValueError(
            "the frame has no velocities; expected a liquid at temperatures[0], e.g. from "
            "simulate.liquid."
        )
    duration = steps_per_ramp * system.dt
    drop = 0.0 if len(temperatures) < 2 else float(temperatures[0] - temperatures[1])
    rate = np.array([drop / duration])
    protocol = {
        "protocol": "cool", "system": system.name, "dt": system.dt,
        "steps_per_ramp": int(steps_per_ramp), **record_interactions(system),
    }  # fmt: skip

    def one(k: int, previous: Frame | None) -> Frame:
        thermal = frames.copy(frame) if previous is None else _thermal(previous)
        if previous is None:
            thermal = frames.copy(thermal, log=driver.evaluate(thermal, system).log)
        else:
            kT = (float(temperatures[k - 1]), float(temperatures[k]))
            thermal = take_last(driver.run(thermal, system, kT=kT, duration=duration))
        quenched = driver.minimize(thermal, system, relax_box=True)
        del quenched.log["particles/force"]
        quenched.log.update(
            {
                "particles/energy": quenched.log["particles/energy"].astype(np.float32),
                "kT": temperatures[k : k + 1],
                "cooling_rate": rate,
                "density": np.array([quenched.particles.N / frames.volume(quenched)]),
                "thermal_potential_energy": np.array(thermal.log["potential_energy"]),
                "thermal_pressure": np.array(thermal.log["pressure"]),
                "thermal_box": np.array(thermal.configuration.box, dtype=np.float32),
                "particles/thermal_position": np.array(thermal.particles.position),
                "particles/thermal_velocity": np.array(thermal.particles.velocity),
            }
        )
        quenched.configuration.step = k * int(steps_per_ramp)  # ramps begin from stored frames
        return stamp(quenched, driver, **protocol)

    def expected(k: int) -> dict:
        first = {} if k else {"particles/thermal_position": frame.particles.position}
        asked = {} if engine == "auto" else {"engine": engine}
        return {**protocol, **asked, "kT": temperatures[k : k + 1], "cooling_rate": rate, **first}

    return make_in_parts(
        path, len(temperatures), one, expected, progress, driver,
        drop=("particles/thermal_velocity",),
    )  # fmt: skip


def _thermal(quenched: Frame) -> Frame:
    """The thermal frame that a quenched one remembers."""
    log = quenched.log
    return frames.build(
        log["particles/thermal_position"],
        log["thermal_box"],
        quenched.particles.typeid,
        types=quenched.particles.types,
        dimensions=frames.dimensions(quenched),
        velocity=log["particles/thermal_velocity"],
    )
