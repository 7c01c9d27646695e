r"""Event-driven molecular dynamics of hard spheres and disks.

Particles fly freely between elastic collisions; the next collision is solved for, not stepped
over, so there is no time step and the trajectory is exact up to rounding. The method is that of
Smallenburg, Eur. Phys. J. E 45, 22 (2022): every particle keeps its own time and its one earliest
event; who can collide with whom is held in neighbour lists, renewed for one particle at a time
when it leaves a sphere around the place where its list was made; events wait in a calendar of
narrow bins (Paul, J. Comput. Phys. 221, 615 (2007)). Growing diameters follow Lubachevsky and
Stillinger, J. Stat. Phys. 60, 561 (1990), and Donev, Torquato and Stillinger, J. Comput. Phys.
202, 737 (2005).

* :class:`~glasslib.engines.edmd.simulation.Simulation` runs arrays in double precision; what it
  compiles is in ``events`` (the loop), ``lists`` (neighbours), ``contact`` and ``records``.
* :class:`~glasslib.engines.edmd.engine.Edmd` runs frames, as every engine does
  (:class:`glasslib.engines.base.Engine`).
* :func:`~glasslib.engines.edmd.growth.grow` makes a dense liquid from random points.

Reduced units: lengths in :math:`\sigma_A`, masses in *m*, energies in :math:`k_BT`, so time is in
:math:`\sigma_A\sqrt{m/k_BT}`.
"""

from __future__ import annotations

from glasslib.engines.edmd.engine import OVERLAP_FRAME, Edmd, begin
from glasslib.engines.edmd.growth import CLOSE_PACKING, grow
from glasslib.engines.edmd.simulation import OVERLAP_ROUNDING, Simulation, closest

__all__ = [
    "CLOSE_PACKING", "Edmd", "OVERLAP_FRAME", "OVERLAP_ROUNDING", "Simulation", "begin", "closest",
    "grow",
]  # fmt: skip
