"""Frames in, frames out: the event-driven engine behind the interface of all engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

import glasslib
from glasslib import frames
from glasslib.engines import base
from glasslib.engines.base import EngineError
from glasslib.engines.edmd.simulation import Simulation, closest
from glasslib.frames import Frame, FrameError
from glasslib.systems import System

OVERLAP_FRAME = 1e-5  #: relative overlap that single precision explains, with room


class Edmd:
    """Event-driven molecular dynamics; see :class:`glasslib.engines.base.Engine`."""

    name = "edmd"

    def provenance(self) -> dict[str, str]:
        """``{"engine": "edmd", "version": ...}``: the version of glasslib."""
        return {"engine": "edmd", "version": glasslib.__version__}

    def run(
        self,
        frame: Frame,
        system: System,
        *,
        kT: base.Temperature = 1.0,
        duration: float,
        sample_times: Sequence[float] | None = None,
        dt: float | None = None,
        seed: int = 0,
        ensemble: str = "nve",
    ) -> Iterator[Frame]:
        """Fly and collide; yield a frame at each sample time.

        Parameters
        ----------
        frame : gsd.hoomd.Frame
            Start. Velocities are kept as they are when any is not zero, else drawn at ``kT`` with
            ``seed``. Pairs that single precision made overlap (by less than 1e-5 σ) are pushed
            apart first.
        system : glasslib.systems.System
            Hard particles, with ``diameters`` and ``masses`` by species.
        kT : float
            Temperature of drawn velocities. Hard particles have no potential energy, so it stays.
        duration : float
            In σ_A √(m / k_BT).
        sample_times : sequence of float, optional
            Ascending times from 0; by default the end only. They are met exactly and do not
            disturb the trajectory.
        dt : float, optional
            Ignored: there is no time step.
        ensemble : {"nve", "nvt"}
            The same thing here: constant energy is constant kinetic energy.

        Yields
        ------
        gsd.hoomd.Frame
            With images, velocities and ``log`` scalars (arrays of shape (1,)): ``time``,
            ``kT`` (kinetic), ``kinetic_energy`` (per particle), ``pressure`` (of the collisions
            since the last sample, or the start; the ideal term where no time passed) and
            ``collisions`` (since the start).

        Raises
        ------
        ValueError, FrameError
            For arguments or a frame that cannot be run.
        glasslib.engines.EngineError
            For overlaps beyond rounding.
        """
        kT, times, duration = _check_run(frame, system, kT, duration, sample_times, ensemble)
        return self._run(frame, system, kT, times, duration, seed)

    def _run(self, frame, system, kT, times, duration, seed) -> Iterator[Frame]:
        simulation = begin(frame, system, kT=kT, seed=seed)
        d, n = system.dimensions, frame.particles.N
        box = np.array(frame.configuration.box)
        for time in times:
            simulation.advance(max(time - simulation.time, 0.0))
            energy = simulation.kinetic_energy()
            new = frames.build(
                simulation.position, box, frame.particles.typeid, types=frame.particles.types,
                dimensions=d, velocity=simulation.velocity,
            )  # fmt: skip
            new.configuration.step = frame.configuration.step
            new.particles.mass = frame.particles.mass
            new.particles.diameter = frame.particles.diameter
            new.log = {
                "time": np.array([time]),
                "kT": np.array([2 * energy / (d * (n - 1))]),
                "kinetic_energy": np.array([energy / n]),
                "pressure": np.array([simulation.pressure()]),
                "collisions": np.array([simulation.collisions]),
            }
            simulation.reset_pressure()
            yield new
        simulation.advance(max(duration - simulation.time, 0.0))

    def minimize(self, frame: Frame, system: System, **options: object) -> Frame:
        """Not for hard particles: raises ``EngineError``."""
        raise EngineError(_NO_LANDSCAPE.format(name=system.name, what="energy minima"))

    def evaluate(self, frame: Frame, system: System) -> Frame:
        """Not for hard particles: raises ``EngineError``."""
        raise EngineError(_NO_LANDSCAPE.format(name=system.name, what="energies and forces"))


_NO_LANDSCAPE = (
    "system {name!r} is made of hard particles, which have no {what}; use thermal frames, or a "
    "system with a potential."
)


def begin(frame: Frame, system: System, *, kT: float, seed: int) -> Simulation:
    """A simulation that begins from a frame.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        As for :meth:`Edmd.run`; overlaps that single precision explains are undone.
    system : glasslib.systems.System
        Hard particles.
    kT : float
        Temperature of velocities that are drawn, with ``seed``, where the frame has none.
    seed : int

    Returns
    -------
    glasslib.engines.edmd.Simulation

    Raises
    ------
    glasslib.engines.EngineError
        For overlaps beyond rounding.
    """
    d, n = system.dimensions, frame.particles.N
    box = np.asarray(frame.configuration.box[:d], dtype=np.float64)
    kinds = [frame.particles.types[t] for t in frame.particles.typeid]
    sigma = np.array([system.diameters[kind] for kind in kinds], dtype=np.float64)
    mass = system.mass(kinds)
    v = frame.particles.velocity
    if v is None or not np.any(v):
        rng = np.random.default_rng(seed)
        v = base.thermal_velocities(n, kT, rng, dimensions=d, mass=base.masses(frame, system))
    v = np.asarray(v, dtype=np.float64)[:, :d]
    x = frames.unwrapped(frames.copy(frame, log={}))[:, :d]  # crossings count from here
    ratio, _, i, j = closest(x, sigma, box)
    if ratio < 1 - OVERLAP_FRAME:
        raise EngineError(
            f"particles {i} ({kinds[i]}) and {j} ({kinds[j]}) overlap: they are "
            f"{ratio * (sigma[i] + sigma[j]) / 2:.6g} apart, their contact distance is "
            f"{(sigma[i] + sigma[j]) / 2:.6g}. Check the diameters and the unit of length, or make "
            "a start with engines.edmd.grow."
        )
    if ratio < 1:
        # particles at rest, inflated from where nothing overlaps: only touching ones are pushed
        small = ratio * (1 - 1e-9)
        pushed = Simulation(x, np.zeros((n, d)), sigma * small, mass, box, growth_rate=1.0)
        if not pushed.advance_to(1 / small - 1, limit=1000 * n):
            raise EngineError(
                f"cannot separate particles {i} and {j}, which overlap by {1 - ratio:.2g} of their "
                "contact distance: the frame is jammed. Lower its packing fraction."
            )
        x = pushed.position
    return Simulation(x, v, sigma, mass, box)


def check_system(system: System) -> None:
    if not system.hard:
        raise ValueError(
            f"system {system.name!r} has soft interactions; event-driven dynamics moves hard "
            "particles only. Use engine='auto'."
        )
    lacking = [kind for kind in system.types if kind not in system.diameters]
    if lacking:
        raise ValueError(
            f"system {system.name!r} has no diameter for {', '.join(lacking)}; add it to "
            "system.diameters."
        )


def _check_run(
    frame: Frame, system: System, kT, duration, sample_times, ensemble
) -> tuple[float, np.ndarray, float]:
    """Validate the arguments of :meth:`Edmd.run` -> kT, sample times, duration."""
    check_system(system)
    frames.check(frame, system=system)
    if frame.particles.N < 2:
        raise FrameError(f"the frame has {frame.particles.N} particle; expected at least 2.")
    if np.any(frame.configuration.box[3:]):
        raise FrameError(
            f"box is {frames.list_numbers(frame.configuration.box)}: tilted. Event-driven dynamics "
            "takes rectangular boxes; set xy = xz = yz = 0."
        )
    if ensemble not in base.ENSEMBLES:
        raise ValueError(f"ensemble is {ensemble!r}; expected one of {', '.join(base.ENSEMBLES)}.")
    start, stop = kT if isinstance(kT, tuple) else (kT, kT)
    base.check_temperature(start)
    if start != stop:
        raise ValueError(
            f"kT is a ramp from {start} to {stop}; hard particles are athermal, give one number."
        )
    if not np.isfinite(duration) or duration <= 0:
        raise ValueError(f"duration is {duration}; expected a positive time.")
    times = base.check_times([duration] if sample_times is None else sample_times)
    if times[-1] > duration * (1 + 1e-9):
        raise ValueError(
            f"the last sample time {times[-1]} lies beyond the duration {duration}; run longer."
        )
    return float(start), times, float(duration)
