"""What a structure at rest says of its particles, for a straight line and for a network.

Energies say how well a particle is held by its surroundings, the elastic response how far it yields
to a force, and the way from the snapshot to the minimum where it sits in its cage just now. None of
them changes when the system is turned or mirrored.
"""

from __future__ import annotations

import numpy as np

from glasslib import frames
from glasslib.descriptors.averaging import averaged_energies, shell_average
from glasslib.frames import Frame
from glasslib.geometry import nearest_image

RADII = (1.2, 1.5, 2.3, 3.0, 4.5)  #: of averages for a line, σ_AA
NEAR = (1.5, 3.0)  #: of averages for a network, which looks further by itself, σ_AA
_LEAST = 1e-6  # of squared ways, σ_AA²: below is rounding


def ways_to_rest(frame: Frame, quiet: Frame) -> np.ndarray:
    r"""How far each particle is from its place at rest, :math:`\ln |u_i|^2`.

    Parameters
    ----------
    frame, quiet : gsd.hoomd.Frame
        N particles as they are, and in the inherent structure of the same configuration, in one
        box.

    Returns
    -------
    (N,) float64 array
        Of squared distances in σ_AA², the mean way of all taken off first: a minimum may drift as
        a whole.
    """
    if frame.particles.N != quiet.particles.N:
        raise ValueError(
            f"{frame.particles.N} particles as they are and {quiet.particles.N} at rest; expected "
            "the same configuration twice."
        )
    a, b = (np.asarray(f.particles.position, dtype=np.float64) for f in (frame, quiet))
    u = nearest_image(a - b, np.asarray(quiet.configuration.box, dtype=np.float64))
    u = u - u.mean(axis=0)
    return np.log((u[:, : frames.dimensions(quiet)] ** 2).sum(axis=1) + _LEAST)


def columns_at_rest(
    frame: Frame, quiet: Frame, energy: np.ndarray, response: np.ndarray
) -> np.ndarray:
    """Columns for a straight line: energies, response and ways, averaged over shells.

    Parameters
    ----------
    frame, quiet : gsd.hoomd.Frame
        As for :func:`ways_to_rest`.
    energy : (N,) array
        Of each particle at rest, ε_AA.
    response : (N, k) array
        Of :func:`glasslib.descriptors.elastic_response`.

    Returns
    -------
    (N, 64 + 16 (k + 1) (1 + species)) float64 array
        With k = 4 and two species 304 columns: averaged energies; then the response and the way
        less their means over all particles, of all and of each species alone, as they are and
        averaged once, twice and three times within each of :data:`RADII`.
    """
    local = _center(frame, quiet, response)
    kinds = quiet.particles.typeid[:, None] == np.arange(len(quiet.particles.types))
    local = np.hstack([local, *(local * kinds[:, s : s + 1] for s in range(kinds.shape[1]))])
    around = [shell_average(local, quiet, r, n_max=3)[:, local.shape[1] :] for r in RADII]
    return np.hstack([averaged_energies(energy, quiet, radii=RADII), local, *around])


def nodes_at_rest(
    frame: Frame, quiet: Frame, energy: np.ndarray, response: np.ndarray
) -> np.ndarray:
    """Inputs of the nodes of a network: the same numbers, averaged less.

    Parameters
    ----------
    As for :func:`columns_at_rest`.

    Returns
    -------
    (N, 64 + 3 (k + 1)) float64 array
        With k = 4 and two species 79: averaged energies; response and way as they are and averaged
        once within each of :data:`NEAR`.
    """
    local = _center(frame, quiet, response)
    around = [shell_average(local, quiet, r, n_max=1)[:, local.shape[1] :] for r in NEAR]
    return np.hstack([averaged_energies(energy, quiet), local, *around])


def _center(frame: Frame, quiet: Frame, response: np.ndarray) -> np.ndarray:
    response = np.asarray(response, dtype=np.float64)
    if response.ndim != 2 or len(response) != quiet.particles.N:
        raise ValueError(
            f"a response of shape {response.shape}; expected a row for each of "
            f"{quiet.particles.N} particles."
        )
    local = np.column_stack([response, ways_to_rest(frame, quiet)])
    return local - local.mean(axis=0)
