"""The order parameters of chapters 2 and 4 as predictors: fitted to structure, never to motion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from glasslib.descriptors import averaged_bond_order, averaged_hexatic_order
from glasslib.frames import Frame
from glasslib.studies import order_parameters
from glasslib.studies.competition import Describe
from glasslib.systems import System

RADIUS = 2.0  #: of the sphere or circle that P_red is averaged over, σ_AA


def learn_order(
    load: Callable[[], Sequence[Frame]], *, radius: float = RADIUS, n_networks: int = 3
) -> Describe:
    """A description: the averaged P_red of each particle, the mean over a few autoencoders.

    Parameters
    ----------
    load : callable
        Reads the configurations of a state; the networks are fitted to the first, when they are
        first asked, and to its structure alone. Red is who has the larger sum of orders.
    radius : float
        Of the average, σ_AA; 0: none.
    n_networks : int

    Returns
    -------
    callable
        ``(frame, system) -> (N,)`` float64 array in [0, 1].
    """
    fitted: list[order_parameters.StateOrder] = []

    def describe(frame: Frame, system: System) -> np.ndarray:
        if not fitted:
            first = load()[0]
            fitted.append(
                order_parameters.fit_state(
                    _table(first, system), first.particles.typeid, seeds=range(n_networks)
                )
            )
        fields = fitted[0].assign(_table(frame, system), frame.particles.typeid)
        return order_parameters.average(fields, frame, radius).mean(axis=0)

    return describe


def _table(frame: Frame, system: System) -> np.ndarray:
    """Averaged bond orders (SANN); in 2D hexatic ones (Voronoi), the own species' apart."""
    return averaged_hexatic_order(frame) if system.dimensions == 2 else averaged_bond_order(frame)
