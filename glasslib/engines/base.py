"""The interface every engine fulfils, and what engines share.

An engine turns a frame into later frames, or into a frame at an energy minimum. Nothing above
this package knows which one ran, except through the provenance it records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from glasslib import frames
from glasslib.frames import Frame
from glasslib.systems import System

#: what ``Engine.run`` accepts as a temperature: constant, or a linear ramp (start, stop)
Temperature = float | tuple[float, float]
ENSEMBLES = ("nvt", "nve")


#: largest force component, ε_AA/σ_AA, at which a minimisation goes over from descent to FIRE
#: (HOOMD-blue's leaves the basin from 0.1: two of ten configurations of warm Kob-Andersen)
FLOW_FORCE = 0.02
#: longest step of the descent in time at unit friction, below 2 over the stiffest curvature of
#: these liquids, and farthest that a particle goes along an axis in one, σ_AA
FLOW_STEP, FLOW_MOVE = 5e-4, 0.01


class EngineError(RuntimeError):
    """A run that failed inside an engine; the message says where and what to try."""


class Engine(Protocol):
    """What the protocols of :mod:`glasslib.simulate` call."""

    name: str

    def provenance(self) -> dict[str, str]:
        """Engine name and version, for the data that it makes."""

    def run(
        self,
        frame: Frame,
        system: System,
        *,
        kT: Temperature,
        duration: float,
        sample_times: Sequence[float] | None = None,
        dt: float | None = None,
        seed: int = 0,
        ensemble: str = "nvt",
    ) -> Iterator[Frame]:
        """Integrate for ``duration`` and yield a frame at each of ``sample_times``."""

    def minimize(
        self,
        frame: Frame,
        system: System,
        *,
        force_tolerance: float = 1e-6,
        relax_box: bool = False,
    ) -> Frame:
        """The frame at the nearest energy minimum, at zero pressure if ``relax_box``."""

    def evaluate(self, frame: Frame, system: System) -> Frame:
        """The frame with ``log`` energies, forces and pressure at its own positions."""


class Descent:
    r"""Steps of the gradient flow :math:`\dot{\mathbf r} = \mathbf F`, overdamped motion at T = 0.

    The minimum that it leads to is the inherent structure (Stillinger and Weber, Phys. Rev. A 25,
    978 (1982)). It is no fast way to the bottom: it is there to get into the right basin.

    Parameters
    ----------
    goal : float
        Largest force component at which to stop, ε_AA/σ_AA.
    """

    def __init__(self, goal: float) -> None:
        self.goal = goal

    def step(self, force: np.ndarray) -> float:
        """Time to move along ``force`` (N, 3) now; 0 once no component exceeds the goal."""
        largest = float(np.abs(force).max())
        if not largest > self.goal:
            return 0.0
        return min(FLOW_STEP, FLOW_MOVE / largest)


def check_run(
    frame: Frame,
    system: System,
    *,
    kT: Temperature,
    duration: float,
    sample_times: Sequence[float] | None,
    dt: float | None,
    ensemble: str,
) -> tuple[float, float, int, np.ndarray, float]:
    """Validate the arguments of ``Engine.run``.

    Returns
    -------
    kT_start, kT_stop : float
    steps : int
        Number of time steps.
    sample_steps : (n,) int array
        Step of each sample, ascending, last at most ``steps``.
    dt : float
    """
    frames.check(frame, system=system)
    if system.hard:
        raise ValueError(
            f"system {system.name!r} is made of hard particles; this engine integrates soft "
            "potentials."
        )
    if ensemble not in ENSEMBLES:
        raise ValueError(f"ensemble is {ensemble!r}; expected one of {', '.join(ENSEMBLES)}.")
    start, stop = kT if isinstance(kT, tuple) else (kT, kT)
    for value in (start, stop):
        check_temperature(value)
    dt = system.dt if dt is None else dt
    if not np.isfinite(dt) or dt <= 0:
        raise ValueError(f"dt is {dt}; expected a positive time step.")
    times = check_times([duration] if sample_times is None else sample_times)
    if not np.isfinite(duration) or duration <= 0:
        raise ValueError(f"duration is {duration}; expected a positive time.")
    steps = int(round(duration / dt))
    if steps < 1:
        raise ValueError(f"duration {duration} is shorter than one time step {dt}.")
    if times[-1] > duration * (1 + 1e-9) + dt / 2:
        raise ValueError(
            f"the last sample time {times[-1]} lies beyond the duration {duration}; run longer."
        )
    sample_steps = np.rint(times / dt).astype(np.int64)
    if sample_steps[0] == 0 < times[0]:
        raise ValueError(
            f"sample time {times[0]:g} is less than half a time step, dt = {dt:g}; expected 0 or "
            f"{dt:g} and more."
        )
    if np.any(np.diff(sample_steps) <= 0):
        raise ValueError(
            f"two sample times fall on the same step of dt = {dt}; space them wider or lower dt."
        )
    return float(start), float(stop), steps, np.minimum(sample_steps, steps), float(dt)


def check_times(sample_times: Sequence[float]) -> np.ndarray:
    """Ascending finite times from 0, as an array, or an error."""
    times = np.asarray(sample_times, dtype=float)
    if times.ndim != 1 or len(times) == 0 or not np.all(np.isfinite(times)):
        raise ValueError(f"sample_times is {sample_times}; expected a list of finite times.")
    if np.any(np.diff(times) <= 0) or times[0] < 0:
        raise ValueError("sample_times must ascend from 0 or later; sort them.")
    return times


def check_temperature(kT: float) -> None:
    """Refuse what is not a positive temperature."""
    if not np.isfinite(kT) or kT <= 0:
        raise ValueError(f"kT is {kT}; expected a positive temperature in units of ε_AA.")


def check_force_tolerance(force_tolerance: float) -> float:
    """A usable force tolerance, or an error."""
    if not np.isfinite(force_tolerance) or force_tolerance <= 0:
        raise ValueError(
            f"force_tolerance is {force_tolerance}; expected a positive force in ε_AA/σ_AA."
        )
    return float(force_tolerance)


def check_overlap(energy: float, frame: Frame) -> None:
    """Refuse a start whose energy says that particles sit on each other."""
    if not np.isfinite(energy) or energy > 1e6 * frame.particles.N:
        raise EngineError(
            f"the start has potential energy {energy:.3g}: particles overlap. Separate them "
            "first, e.g. with simulate.liquid or Engine.minimize."
        )


def check_coincident(energy: float) -> None:
    """Refuse a configuration whose energy is not a number: no force can part its particles."""
    if not np.isfinite(energy):
        raise EngineError(
            f"the potential energy is {energy}: two particles sit at the same place. Move one of "
            "them, or start from simulate.lattice."
        )


def masses(frame: Frame, system: System) -> np.ndarray | None:
    """Masses of the particles of a frame -> (N,) float64, *m*; None where all are 1."""
    if not system.masses:
        return None
    return system.mass([frame.particles.types[t] for t in frame.particles.typeid])


def thermal_velocities(
    n: int,
    kT: float,
    rng: np.random.Generator,
    *,
    dimensions: int = 3,
    mass: np.ndarray | None = None,
) -> np.ndarray:
    """Maxwell–Boltzmann velocities with no net momentum.

    Parameters
    ----------
    n : int
    kT : float
        Temperature; the draw is rescaled so that the kinetic temperature over the
        d(N − 1) remaining degrees of freedom is exactly ``kT``.
    rng : numpy.random.Generator
    mass : (N,) array, optional
        Of each particle, *m*; 1 by default.

    Returns
    -------
    (N, 3) float64 array, σ_AA/τ; z is 0 in 2D.
    """
    if n < 2:
        raise ValueError(f"n is {n}; expected at least 2 particles to draw velocities for.")
    check_temperature(kT)
    v = np.zeros((n, 3))
    v[:, :dimensions] = rng.normal(size=(n, dimensions))
    if mass is None:
        v -= v.mean(axis=0)
        return v * np.sqrt(kT * dimensions * (n - 1) / np.sum(v**2))
    m = np.asarray(mass, dtype=float)[:, None]
    v /= np.sqrt(m)
    v -= np.sum(m * v, axis=0) / np.sum(m)
    return v * np.sqrt(kT * dimensions * (n - 1) / np.sum(m * v**2))


def kinetic_temperature(
    velocity: np.ndarray, *, dimensions: int, mass: np.ndarray | None = None
) -> float:
    """k_BT from velocities (N, 3) and masses (N,), 1 by default: Σmv² / d(N − 1)."""
    v = np.asarray(velocity, dtype=np.float64)
    squares = v**2 if mass is None else np.asarray(mass, dtype=float)[:, None] * v**2
    return float(np.sum(squares) / (dimensions * (len(v) - 1)))


def relax_box(
    minimize_at_fixed_box,
    frame: Frame,
    *,
    pressure_tolerance: float = 1e-4,
    max_steps: int = 30,
) -> Frame:
    """Minimise the energy over positions and isotropic box size: P = 0.

    Alternates fixed-box minimisations with secant steps on the pressure as a function of
    log V. Working on forces and the virial only, it does not mind that plainly truncated
    energies jump at the cut-off, where line searches over the energy stall.

    Parameters
    ----------
    minimize_at_fixed_box : callable
        ``frame -> frame`` with ``log['pressure']``.
    pressure_tolerance : float
        ``|P|`` in ε_AA/σ_AA^d at which to stop. Pairs that cross a plain cut-off make P jump by
        about 1e-4 at N = 500, so less is not always reachable.
    """
    best = None
    strain, pressure = [], []
    d = frames.dimensions(frame)
    current = minimize_at_fixed_box(frame)
    origin = frames.volume(current)
    modulus = 50.0  # typical bulk modulus of these glasses; only the first step uses it
    for _ in range(max_steps):
        p = float(current.log["pressure"][0])
        if best is None or abs(p) < abs(float(best.log["pressure"][0])):
            best = current
        if abs(p) <= pressure_tolerance:
            break
        strain.append(np.log(frames.volume(current) / origin))
        pressure.append(p)
        if len(strain) > 1 and strain[-1] != strain[-2]:
            slope = -(pressure[-1] - pressure[-2]) / (strain[-1] - strain[-2])
            if 1.0 < slope < 1e4:  # an unstable or noisy secant keeps the last good one
                modulus = slope
        step = np.clip(p / modulus, -0.05, 0.05)
        current = minimize_at_fixed_box(scaled(current, float(np.exp(step / d))))
    return best


def scaled(frame: Frame, factor: float) -> Frame:
    """The frame with box and positions multiplied by ``factor``."""
    new = frames.copy(frame, log={})
    new.particles.position = (np.asarray(frame.particles.position) * np.float32(factor)).astype(
        np.float32
    )
    box = np.array(frame.configuration.box)
    box[:3] *= np.float32(factor)
    new.configuration.box = box
    return new
