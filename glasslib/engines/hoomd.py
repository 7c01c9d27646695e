"""HOOMD-blue (Anderson, Glaser and Glotzer 2020) as an engine for soft potentials.

On a GPU where there is one, on the CPU otherwise. HOOMD-blue comes from conda-forge
(``environment.yml``); :func:`glasslib.engines.choose` says when ``"auto"`` takes it. Needs
HOOMD-blue 4.5 or later.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence

import numpy as np

from glasslib import frames
from glasslib.engines import base
from glasslib.frames import Frame
from glasslib.systems import Pair, System

SKIN = 0.4  #: neighbour-list buffer where the box leaves room for it, σ_AA; speed only
FIRE_STEP = 4.0  #: longest FIRE step in units of the system's time step
OVERLAP_FORCE = 1e4  #: above it particles are pushed apart first: FIRE throws them away
_CHUNK = 50  # FIRE steps between looks at the largest force
_PUSH, _PUSHES = 0.01, 2000  # farthest that an overlapping particle moves in a step, and steps


class Hoomd:
    """Molecular dynamics with HOOMD-blue; see :class:`glasslib.engines.base.Engine`.

    Parameters
    ----------
    device : {"auto", "cpu", "gpu"} or int
        Where to run: ``"auto"`` takes a GPU when HOOMD-blue sees one; a number is that of a GPU.
        Where there are several, each process of ``"auto"`` and ``"gpu"`` takes one by its
        process id, so that workers spread over them.
    """

    name = "hoomd"

    def __init__(self, device: str | int = "auto") -> None:
        self.device = check_device(device)

    def provenance(self) -> dict[str, str]:
        """``engine``, ``version``, ``device`` (``cpu`` or the card's name) and ``precision``.

        Precision as in ``"64/32"``: bits of positions and sums, bits of what is less delicate.
        """
        import hoomd

        long, short = hoomd.version.floating_point_precision
        on_gpu = isinstance(self._device(), hoomd.device.GPU)
        return {
            "engine": "hoomd", "version": hoomd.version.version,
            "device": str(self._device().device) if on_gpu else "cpu",
            "precision": f"{long}/{short}",
        }  # fmt: skip

    def run(
        self,
        frame: Frame,
        system: System,
        *,
        kT: base.Temperature,
        duration: float,
        sample_times: Sequence[float] | None = None,
        dt: float | None = None,
        seed: int = 0,
        ensemble: str = "nvt",
    ) -> Iterator[Frame]:
        """Integrate; yield a frame at each sample time.

        Arguments, frames and their ``log`` are those of
        :meth:`glasslib.engines.lammps.Lammps.run`. ``"nvt"`` is ``ConstantVolume`` with the
        MTTK thermostat (Martyna, Tuckerman, Tobias and Klein 1996), ``"nve"`` without.
        """
        import hoomd

        start, stop, steps, samples, dt = base.check_run(
            frame, system, kT=kT, duration=duration, sample_times=sample_times, dt=dt,
            ensemble=ensemble,
        )  # fmt: skip
        velocity = frame.particles.velocity
        if velocity is None or not np.any(velocity):
            velocity = base.thermal_velocities(
                frame.particles.N, start, np.random.default_rng(seed),
                dimensions=system.dimensions, mass=base.masses(frame, system),
            )  # fmt: skip
        sim, forces, thermo = self._simulation(frame, system, velocity=velocity, seed=seed)
        thermostat = None
        if ensemble == "nvt":
            temperature = (
                hoomd.variant.Ramp(start, stop, 0, steps) if start != stop else float(start)
            )
            thermostat = hoomd.md.methods.thermostats.MTTK(
                kT=temperature, tau=system.thermostat_time
            )
        method = hoomd.md.methods.ConstantVolume(filter=hoomd.filter.All(), thermostat=thermostat)
        sim.operations.integrator = hoomd.md.Integrator(dt=dt, methods=[method], forces=forces)
        self._advance(sim, 0)
        base.check_overlap(thermo.potential_energy, frame)
        sim.always_compute_pressure = False  # the virial costs a quarter of each step
        done = 0
        for target in samples:
            self._advance(sim, int(target) - done)
            done = int(target)
            sim.always_compute_pressure = True
            self._advance(sim, 0)
            sim.always_compute_pressure = False
            yield self._frame(sim, thermo, frame, step=done, dt=dt, system=system)
        self._advance(sim, steps - done)

    def minimize(
        self,
        frame: Frame,
        system: System,
        *,
        force_tolerance: float = 1e-6,
        relax_box: bool = False,
        max_steps: int = 200_000,
    ) -> Frame:
        """The frame at the energy minimum that steepest descent leads to.

        As :meth:`glasslib.engines.lammps.Lammps.minimize`.
        """
        base.check_force_tolerance(force_tolerance)
        frames.check(frame, system=system)

        def at_fixed_box(start: Frame) -> Frame:
            return self._fire(start, system, force_tolerance, max_steps)

        return base.relax_box(at_fixed_box, frame) if relax_box else at_fixed_box(frame)

    def evaluate(self, frame: Frame, system: System) -> Frame:
        """Energies, forces and pressure of a frame as it is.

        As :meth:`glasslib.engines.lammps.Lammps.evaluate`.
        """
        import hoomd

        frames.check(frame, system=system)
        sim, forces, thermo = self._simulation(frame, system, velocity=None)
        sim.operations.integrator = hoomd.md.Integrator(
            dt=system.dt,
            methods=[hoomd.md.methods.ConstantVolume(filter=hoomd.filter.All())],
            forces=forces,
        )
        self._advance(sim, 0)
        return self._evaluated(sim, forces, thermo, frame, system)

    # ------------------------------------------------------------------------------- internals

    def _simulation(
        self, frame: Frame, system: System, *, velocity: np.ndarray | None, seed: int = 0
    ):
        """A simulation holding ``frame``, the forces of ``system`` and a thermodynamic compute."""
        import hoomd

        device = self._device()
        sim = hoomd.Simulation(device=device, seed=seed % 65536)
        copy = frames.copy(frames.wrapped(frame), log={})
        typeid = [system.types.index(frame.particles.types[t]) for t in frame.particles.typeid]
        copy.particles.types = list(system.types)
        copy.particles.typeid = np.array(typeid, dtype=np.uint32)
        mass = None if velocity is None else base.masses(frame, system)  # none at a minimum
        copy.particles.mass = np.ones(copy.particles.N, dtype=np.float32)
        if mass is not None:
            copy.particles.mass = mass.astype(np.float32)
        copy.particles.velocity = np.zeros((copy.particles.N, 3), dtype=np.float32)
        snapshot = hoomd.Snapshot.from_gsd_frame(copy, device.communicator)
        if velocity is not None:  # double precision, as drawn
            snapshot.particles.velocity[:] = velocity
        sim.create_state_from_snapshot(snapshot)
        sim.always_compute_pressure = True
        thermo = hoomd.md.compute.ThermodynamicQuantities(filter=hoomd.filter.All())
        sim.operations.computes.append(thermo)
        return sim, _forces(system, frame), thermo

    def _device(self):
        return _device(self.device, os.getpid())

    @staticmethod
    def _advance(sim, steps: int) -> None:
        try:
            sim.run(steps)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise base.EngineError(
                f"HOOMD-blue stopped: {reason}. If particles left the box, lower dt or start from "
                "a minimised frame."
            ) from error

    def _fire(self, frame: Frame, system: System, tolerance: float, max_steps: int) -> Frame:
        """Descend into the basin, then FIRE with small steps and at last with longer ones.

        HOOMD-blue does not bound how far FIRE moves a particle. Should the longer steps diverge,
        the small ones go on from where these began.
        """
        sim, forces, thermo = self._simulation(frame, system, velocity=None)
        self._push_apart(sim, forces, system)
        sim.always_compute_pressure = False
        self._descend(sim, forces, max(tolerance, base.FLOW_FORCE), max_steps)
        done = 0
        for factor in (FIRE_STEP, 1.0):
            before = sim.state.get_snapshot()
            before.particles.velocity[:] = 0.0  # descent and FIRE leave some behind
            sim.state.set_snapshot(before)
            try:
                done += self._fire_steps(
                    sim, forces, factor * system.dt, tolerance, max_steps - done
                )
                diverged = not _largest(forces) <= OVERLAP_FORCE
            except base.EngineError:
                if factor == 1.0:
                    raise
                diverged = True
            if diverged and factor > 1.0:
                sim.state.set_snapshot(before)
        sim.always_compute_pressure = True
        self._advance(sim, 0)
        return self._evaluated(sim, forces, thermo, frame, system, at_rest=True)

    def _descend(self, sim, forces: list, goal: float, max_steps: int) -> None:
        """Overdamped motion until the largest force component is ``goal``.

        The step is set anew every :data:`_CHUNK` steps, and every step while forces are large.
        """
        import hoomd

        _detach(sim)
        method = hoomd.md.methods.OverdampedViscous(filter=hoomd.filter.All(), default_gamma=1.0)
        sim.operations.integrator = hoomd.md.Integrator(
            dt=base.FLOW_STEP, methods=[method], forces=forces
        )
        self._advance(sim, 0)
        flow, done = base.Descent(goal), 0
        while done < max_steps and (step := flow.step(sum(f.forces for f in forces))):
            sim.operations.integrator.dt = step
            steps = min(_CHUNK, max_steps - done) if step == base.FLOW_STEP else 1
            self._advance(sim, steps)
            done += steps

    def _fire_steps(self, sim, forces: list, dt: float, goal: float, max_steps: int) -> int:
        """Steps that FIRE took until the largest force component was at most ``goal``."""
        import hoomd

        # FIRE itself may not stop before our own criterion is met
        _detach(sim)
        fire = hoomd.md.minimize.FIRE(
            dt=dt,
            force_tol=1e-16,
            angmom_tol=1e-16,
            energy_tol=1e-16,
            methods=[hoomd.md.methods.ConstantVolume(filter=hoomd.filter.All())],
            forces=forces,
        )
        sim.operations.integrator = fire
        self._advance(sim, 0)
        done = 0
        while goal < _largest(forces) and done < max_steps and not fire.converged:
            steps = min(_CHUNK, max_steps - done)
            self._advance(sim, steps)
            done += steps
        return done

    def _push_apart(self, sim, forces: list, system: System) -> None:
        """Move overlapping particles down their forces by small steps, until FIRE can take over."""
        import hoomd

        method = hoomd.md.methods.ConstantVolume(filter=hoomd.filter.All())
        sim.operations.integrator = hoomd.md.Integrator(
            dt=system.dt, methods=[method], forces=forces
        )
        self._advance(sim, 0)
        base.check_coincident(float(sum(np.sum(f.energies) for f in forces)))
        for _ in range(_PUSHES):
            if _largest(forces) <= OVERLAP_FORCE:
                break
            force = sum(f.forces for f in forces)
            size = np.linalg.norm(force, axis=1, keepdims=True)
            snapshot = sim.state.get_snapshot()
            # descent at unit friction, no farther than _PUSH
            snapshot.particles.position[:] += force * _PUSH / np.maximum(size, OVERLAP_FORCE / 10)
            snapshot.wrap()
            sim.state.set_snapshot(snapshot)
            self._advance(sim, 0)

    @staticmethod
    def _frame(sim, thermo, like: Frame, *, step: int, dt: float, system: System) -> Frame:
        snapshot = sim.state.get_snapshot()
        new = frames.copy(like, log={})
        new.configuration.step = int(like.configuration.step or 0) + step
        n, time = like.particles.N, step * dt
        velocity = np.array(snapshot.particles.velocity)
        new.particles.position = np.array(snapshot.particles.position, dtype=np.float32)
        new.particles.image = np.array(snapshot.particles.image, dtype=np.int32)
        new.particles.velocity = velocity.astype(np.float32)
        kT = base.kinetic_temperature(
            velocity, dimensions=system.dimensions, mass=base.masses(like, system)
        )
        new.log = {
            "time": np.array([time]),
            "kT": np.array([kT]),
            "potential_energy": np.array([thermo.potential_energy / n]),
            "kinetic_energy": np.array([thermo.kinetic_energy / n]),
            "pressure": np.array([thermo.pressure]),
        }
        return frames.check(new, where=f"HOOMD-blue frame at t = {time:g}")

    @staticmethod
    def _evaluated(
        sim, forces: list, thermo, like: Frame, system: System, *, at_rest: bool = False
    ) -> Frame:
        snapshot = sim.state.get_snapshot()
        n = like.particles.N
        new = frames.copy(like, log={})
        new.particles.position = np.array(snapshot.particles.position, dtype=np.float32)
        new.particles.image = np.array(snapshot.particles.image, dtype=np.int32)
        new.particles.velocity = None
        force = sum(f.forces for f in forces)
        energy = sum(f.energies for f in forces)
        pressure = float(thermo.pressure)
        if at_rest:  # FIRE leaves small velocities behind
            pressure -= 2 * thermo.kinetic_energy / (system.dimensions * frames.volume(new))
        new.log = {
            "particles/energy": np.array(energy),
            "particles/force": np.array(force),
            "potential_energy": np.array([float(np.sum(energy)) / n]),
            "pressure": np.array([pressure]),
            "max_force": np.array([np.abs(force).max()]),
        }
        return frames.check(new, where="HOOMD-blue frame")


def _forces(system: System, frame: Frame) -> list:
    """One pair force for each kind of truncation that the system uses."""
    import hoomd

    # HOOMD wants cut-off and buffer together within half the box
    room = 0.499 * float(frames.heights(frame.configuration.box).min()) - system.r_cut
    # sorted lists: on a GPU sums otherwise depend on the order in which threads arrive
    neighbours = hoomd.md.nlist.Cell(buffer=float(np.clip(room, 1e-3, SKIN)), deterministic=True)
    forces = []
    for kind in sorted({p.truncation for p in system.pairs.values()}):
        if kind == "table":
            force = hoomd.md.pair.Table(nlist=neighbours)
        elif kind == "force_shift":
            force = _force_shifted()(nlist=neighbours)
            force.mode = "shift"
        else:
            mode = "shift" if kind == "shift" else "none"
            force = hoomd.md.pair.LJ(nlist=neighbours, mode=mode)
        for i, a in enumerate(system.types):
            for b in system.types[i:]:
                p = system.pair(a, b)
                force.params[a, b] = _parameters(p, kind)
                force.r_cut[a, b] = p.r_cut if p.truncation == kind else 0.0
        forces.append(force)
    return forces


def _parameters(pair: Pair, kind: str) -> dict:
    """What HOOMD-blue's pair force of one truncation wants to know of a pair, its own or not."""
    if kind == "table":
        if pair.truncation != "table":
            return {"r_min": 0.0, "U": np.zeros(1), "F": np.zeros(1)}
        # HOOMD-blue's table ends one point before r_cut, and goes to 0 there by itself
        r, v, f = pair.down_to_zero()
        return {"r_min": float(r[0]), "U": v[:-1], "F": f[:-1]}
    if pair.truncation == "table":
        return {"epsilon": 0.0, "sigma": 1.0}
    return {"epsilon": pair.epsilon, "sigma": pair.sigma}


def check_device(device: str | int) -> str | int:
    """``"auto"``, ``"cpu"``, ``"gpu"`` or the number of a GPU, also from text; or an error."""
    text = str(device).strip()
    if text in ("auto", "cpu", "gpu"):
        return text
    if text.isascii() and text.isdigit() and not isinstance(device, bool):
        return int(text)
    raise ValueError(f"device is {device!r}; expected auto, cpu or gpu, or the number of a GPU.")


def gpus() -> list[str]:
    """Names of the GPUs that HOOMD-blue can run on, in its order."""
    import hoomd

    return list(hoomd.device.GPU.get_available_devices()) if hoomd.version.gpu_enabled else []


@functools.cache
def _device(device: str | int, process: int):
    """One device object a process: they are dear, and cards hold few contexts.

    ``process`` is the process's id: a forked child inherits this cache, and no CUDA context.
    """
    import hoomd

    found = gpus()
    if device == "cpu" or (device == "auto" and not found):
        return hoomd.device.CPU(notice_level=1)
    if isinstance(device, int) and device >= max(len(found), 1):
        raise base.EngineError(
            f"device is {device}, but HOOMD-blue sees {len(found)} GPUs here; count from 0, or use "
            "device='auto'."
        )
    number = device if isinstance(device, int) else process % len(found) if found else None
    try:
        return hoomd.device.GPU(gpu_id=number, notice_level=1)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise base.EngineError(
            f"HOOMD-blue finds no GPU to run on ({reason}); use device='cpu', or install a "
            "GPU build from conda-forge."
        ) from error


def _largest(forces: list) -> float:
    return float(np.abs(sum(f.forces for f in forces)).max())


@functools.cache
def _force_shifted():
    """``ForceShiftedLJ`` whose energy ends at 0 too.

    HOOMD-blue's own offers mode "none" only: its force is continuous, but its energy lacks
    -v(r_c) and jumps there. The compiled evaluator does subtract it when the mode is "shift".
    """
    import hoomd

    class ForceShiftedLJ(hoomd.md.pair.ForceShiftedLJ):
        _accepted_modes = ("none", "shift")

    return ForceShiftedLJ


def _detach(sim) -> None:
    """Take the forces from the present integrator: they may serve one at a time."""
    if sim.operations.integrator is not None:
        sim.operations.integrator.forces.clear()
