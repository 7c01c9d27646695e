r"""Averages over what surrounds a particle, and the local density.

.. math:: \bar x(i) = \frac{1}{N_r(i)} \sum_{j:\,|r_{ij}| < r} x(j)

with the particle itself among the *j*: Boattini et al., Nat. Commun. 11, 5479 (2020), average
their order parameter so within two diameters of the large particles. All particles inside count
alike; nothing is weighted by distance.
"""

from __future__ import annotations

import numpy as np

from glasslib import frames as _frames
from glasslib.frames import Frame
from glasslib.neighbors import within


def sphere_average(
    values: np.ndarray,
    frame: Frame,
    radius: float,
    *,
    include: np.ndarray | None = None,
) -> np.ndarray:
    """Mean of ``values`` over the particles within ``radius`` of each, itself included.

    Parameters
    ----------
    values : (N,) or (N, k) array
        Of all particles of the frame; those that are not included may be NaN.
    frame : gsd.hoomd.Frame
        N particles in 2D or 3D.
    radius : float
        Of the sphere (disk in 2D), σ_AA; less than half the box. 0 gives ``values`` back.
    include : (N,) bool array, optional
        Which particles are averaged over: one species, say. All by default, each species with
        the values of its own.

    Returns
    -------
    (N,) or (N, k) float64 array
        A row for every particle, also for those that are not included; NaN where no included
        particle is within reach.

    Raises
    ------
    ValueError
        For shapes that do not fit the frame, values that are not finite where they count, or a
        radius the box cannot hold.

    Examples
    --------
    >>> row = _frames.build([[0, 0, 0], [1, 0, 0], [2.5, 0, 0]], 10.0, [0, 0, 0])
    >>> sphere_average([0.0, 1.0, 5.0], row, 1.2).tolist()
    [0.5, 0.5, 5.0]
    """
    values = np.asarray(values, dtype=np.float64)
    n = frame.particles.N
    if values.ndim not in (1, 2) or len(values) != n:
        raise ValueError(f"values has shape {values.shape}; expected ({n},) or ({n}, k).")
    counted = _included(frame, include)
    bad = np.flatnonzero(~np.isfinite(values.reshape(n, -1)).all(axis=1) & counted)
    if len(bad):
        raise ValueError(
            f"the value of particle {bad[0]} is {values[bad[0]]}; expected finite numbers. Leave "
            "such particles out by include."
        )
    sphere = _within(frame, radius)
    weight = counted.astype(np.float64)
    columns = np.where(counted[:, None], values.reshape(n, -1), 0.0)
    number = sphere @ weight
    with np.errstate(invalid="ignore"):
        mean = (sphere @ columns) / number[:, None]
    return mean.reshape(values.shape)


def local_density(frame: Frame, radius: float, *, include: np.ndarray | None = None) -> np.ndarray:
    """Number of particles within ``radius`` of each, itself included, over the sphere's volume.

    The simplest structural quantity: what an order parameter has to beat.

    Parameters
    ----------
    frame, radius, include
        As for :func:`sphere_average`.

    Returns
    -------
    (N,) float64 array, 1/σ_AA^d
    """
    counted = _included(frame, include)
    if radius == 0:
        raise ValueError("radius is 0; expected a sphere that holds neighbours.")
    volume = np.pi * radius**2 if _frames.dimensions(frame) == 2 else 4 / 3 * np.pi * radius**3
    return _within(frame, radius) @ counted.astype(np.float64) / volume


def _included(frame: Frame, include: np.ndarray | None) -> np.ndarray:
    n = frame.particles.N
    if include is None:
        return np.ones(n, dtype=bool)
    include = np.asarray(include)
    if include.shape != (n,) or include.dtype != bool:
        raise ValueError(
            f"include has shape {include.shape} and dtype {include.dtype}; expected ({n},) bool, "
            "for instance frame.particles.typeid == 0."
        )
    return include


def _within(frame: Frame, radius: float):
    """(N, N) sparse matrix of ones where j is within the radius of i, or is i."""
    from scipy.sparse import csr_array, eye_array

    n = frame.particles.N
    if not np.isfinite(radius) or radius < 0:
        raise ValueError(f"radius is {radius!r}; expected a distance in σ_AA.")
    itself = eye_array(n, format="csr")
    if radius == 0:
        return itself
    near = within(frame, float(radius))
    return csr_array((np.ones(len(near.index)), near.index, near.offsets), shape=(n, n)) + itself
