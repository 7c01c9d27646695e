"""Dense liquids of hard particles, grown from random points."""

from __future__ import annotations

import numpy as np

from glasslib import frames
from glasslib.engines import base
from glasslib.engines.base import EngineError
from glasslib.engines.edmd.engine import check_system
from glasslib.engines.edmd.simulation import Simulation, check_arrays, closest
from glasslib.frames import Frame
from glasslib.systems import System

CLOSE_PACKING = {2: np.pi / np.sqrt(12), 3: np.pi / np.sqrt(18)}  #: of one size


def grow(
    system: System,
    *,
    n: int | None = None,
    eta: float | None = None,
    rate: float = 1e-2,
    seed: int = 0,
) -> Frame:
    """A dense liquid from random points, by growing the particles (Lubachevsky–Stillinger).

    Points move and collide at k_BT = 1 while their diameters grow to the system's own in a box of
    the final size, ten times faster while they are small. The result is disordered but not
    equilibrated: run it for several relaxation times.

    Parameters
    ----------
    system : glasslib.systems.System
        Hard particles.
    n : int, optional
        Particles in all; the system's own by default.
    eta : float, optional
        Packing fraction; the system's deepest by default.
    rate : float
        Growth of the diameters, in units of themselves per σ_A √(m / k_BT).
    seed : int

    Returns
    -------
    gsd.hoomd.Frame
        With velocities at k_BT = 1.

    Raises
    ------
    ValueError
        For a soft system, a composition with an empty species, or a packing fraction that cannot
        be.
    glasslib.engines.EngineError
        If the particles jam on the way; the message says at which packing fraction.
    """
    check_system(system)
    n = system.n if n is None else n
    if n < 2:
        raise ValueError(f"n is {n}; expected at least 2 particles.")
    if eta is None:
        if not system.packing_fractions:
            raise ValueError(f"system {system.name!r} has no packing fraction; give eta.")
        eta = system.packing_fractions[0]
    if not np.isfinite(rate) or rate <= 0:
        raise ValueError(f"rate is {rate}; expected a positive growth rate.")
    d = system.dimensions
    counts = system.counts(n)
    sizes = len({system.diameters[kind] for kind in system.types})
    most = 1 - (1 - CLOSE_PACKING[d]) ** sizes  # each size in the holes of the larger ones
    if not 0 < eta < most:
        raise ValueError(
            f"eta is {eta}; expected a packing fraction between 0 and {most:.4g}, the most that "
            f"{'one size' if sizes == 1 else f'{sizes} sizes'} can fill."
        )
    edge = float(np.float32(system.box_length(n, eta=eta)))  # as the frame will store it
    box = np.full(d, edge)
    typeid = np.repeat(np.arange(len(system.types)), counts)
    sigma = np.array([system.diameters[system.types[t]] for t in typeid], dtype=np.float64)
    mass = system.mass([system.types[t] for t in typeid])
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, edge, size=(n, d))
    v = base.thermal_velocities(n, 1.0, rng, dimensions=d, mass=mass if system.masses else None)
    v = v[:, :d]
    check_arrays(x, v, sigma, mass, box)
    scale = min(0.999 * closest(x, sigma, box)[0], 1.0)
    while scale < 1:
        simulation = Simulation(x, v, sigma * scale, mass, box, growth_rate=1.0)
        fast = 10 * rate if simulation.packing_fraction < 0.7 * eta else rate
        # to the end of these lists, in steps short against the heating by growth
        to = min(scale * simulation.set_growth(fast / scale), scale + fast, 1.0)
        if 1 - to < 1e-12:
            to = 1.0
        if not simulation.advance_to((to / scale - 1) * scale / fast, limit=2000 * n):
            raise EngineError(
                f"{system.name}: the particles jammed at packing fraction "
                f"{simulation.packing_fraction:.4f} on the way to {eta}; ask for less, or grow "
                f"more slowly than rate = {rate}."
            )
        x, v = simulation.position, simulation.velocity
        v -= (mass @ v) / mass.sum()
        v *= np.sqrt(d * (n - 1) / np.sum(mass[:, None] * v**2))
        scale = to
    return frames.build(x, edge, typeid, types=system.types, dimensions=d, velocity=v)
