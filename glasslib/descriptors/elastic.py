"""How softly each particle is held: the linear response of a structure at rest.

Neighbourhoods of a few diameters say how a particle is surrounded; how far it yields to a force
depends on all the others, too. The inverse of the Hessian holds that for every particle and pair.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from glasslib import neighbors, snapshots
from glasslib.frames import Frame
from glasslib.geometry import FrameError
from glasslib.systems import System

#: degrees of freedom that a dense inverse is made of at most: 1.8 GB, minutes of one core
LARGEST = 15_000
#: what the columns of :func:`elastic_response` are
COLUMNS = ("ln cage", "ln softest direction", "ln pair stretch", "ln pair shift")
_STEP = 1e-6  # of the difference quotient of forces, σ_AA


def elastic_response(frame: Frame, system: System, *, near: float = 1.4) -> np.ndarray:
    r"""What thermal forces do to each particle of an inherent structure, in harmonic order.

    With the Hessian :math:`H` of the potential energy at rest and :math:`G = H^{-1}` on all
    displacements that leave the centre of mass alone, a classical solid at :math:`kT` has
    :math:`\langle u_i u_j^T\rangle = kT\,G_{ij}`. The columns are

    * :math:`\ln \operatorname{tr} G_{ii}`: the harmonic cage, Debye and Waller's factor
    * :math:`\ln` of the largest eigenvalue of :math:`G_{ii}`: along the softest direction
    * :math:`\ln` of the mean over pairs nearer than ``near`` of
      :math:`\hat r_{ij}^T R_{ij} \hat r_{ij}` with
      :math:`R_{ij} = G_{ii} + G_{jj} - G_{ij} - G_{ji}`: how far a pair stretches
    * the same of :math:`\operatorname{tr} R_{ij}`: how far its particles shift apart, any way

    Widmer-Cooper and Harrowell, Phys. Rev. Lett. 96, 185701 (2006), tie such cages to the
    propensity; Richard et al., Phys. Rev. Mater. 4, 113609 (2020), compare linear responses as
    signs of soft spots.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles at a minimum of the potential energy
        (:func:`glasslib.simulate.inherent_structure`). Velocities are not used.
    system : System
        Whose potential holds them. The dense inverse costs :math:`(dN)^3` operations: one minute
        of a core for N = 4096 in three dimensions.
    near : float
        Pairs that count as neighbours, σ_AA. A particle without any takes its own cage for both
        columns of pairs.

    Returns
    -------
    (N, 4) float64 array
        Lengths in σ_AA and energies in ε_AA, so :math:`G` in σ²/ε; see :data:`COLUMNS`.

    Raises
    ------
    ValueError
        For hard particles, more than :data:`LARGEST` degrees of freedom, or ``near`` that is no
        positive distance.
    glasslib.geometry.FrameError
        For a frame that is no minimum: some displacement lowers its energy.
    """
    if system.hard:
        raise ValueError(
            f"system {system.name!r} is made of hard particles, which have no Hessian; ask for a "
            "soft potential."
        )
    if not 0 < near < np.inf:
        raise ValueError(f"near is {near}; expected a positive distance, σ_AA.")
    snapshots.check(frame, system=system)
    d, n = system.dimensions, frame.particles.N
    if n * d > LARGEST:
        raise ValueError(
            f"{n} particles have {n * d} degrees of freedom; a dense inverse takes at most "
            f"{LARGEST}. Cut the configuration, or take another descriptor."
        )
    cuts = {pair: p.r_cut for pair, p in system.pairs.items()}
    found = neighbors.within(frame, cuts)
    i, j = np.repeat(np.arange(n), found.counts), found.index
    i, j, r, direction = (x[i < j] for x in (i, j, found.distance, found.vector[:, :d]))
    direction = direction / r[:, None]
    force, stiffness = _derivatives(frame, system, i, j, r)
    G = _inverse(n, d, i, j, r, direction, force, stiffness)
    own = _blocks(G, d, np.arange(n), np.arange(n))
    bonded = r < near
    i, j, direction = i[bonded], j[bonded], direction[bonded]
    between = _blocks(G, d, i, j)
    relative = own[i] + own[j] - between - between.transpose(0, 2, 1)
    cage = np.trace(own, axis1=1, axis2=2)
    stretch = np.einsum("pa,pab,pb->p", direction, relative, direction)
    shift = np.trace(relative, axis1=1, axis2=2)
    means = [_mean_of_pairs(x, i, j, cage) for x in (stretch, shift)]
    return np.log(np.column_stack([cage, np.linalg.eigvalsh(own)[:, -1], *means]))


def _derivatives(frame: Frame, system: System, i, j, r) -> tuple[np.ndarray, np.ndarray]:
    """−v'(r) and v''(r) of each pair; the latter from forces on either side, within the cut-off."""
    names = np.array(frame.particles.types)[frame.particles.typeid]
    force, stiffness = np.zeros(len(r)), np.zeros(len(r))
    for (a, b), pair in system.pairs.items():
        mine = ((names[i] == a) & (names[j] == b)) | ((names[i] == b) & (names[j] == a))
        mine &= r < pair.r_cut - _STEP  # nothing jumps between the two sides
        force[mine] = pair.force(r[mine])
        sides = pair.force(r[mine] - _STEP) - pair.force(r[mine] + _STEP)
        stiffness[mine] = sides / (2 * _STEP)
    return force, stiffness


def _inverse(n, d, i, j, r, direction, force, stiffness) -> np.ndarray:
    """(nd, nd) array whose lower triangle is G; what is above it is left over."""
    along = direction[:, :, None] * direction[:, None, :]
    across = np.eye(d) - along
    block = -stiffness[:, None, None] * along + (force / r)[:, None, None] * across
    H = np.zeros((n * d, n * d), order="F")
    rows, columns = _places(d, j, i)
    H[rows, columns] = block  # symmetric blocks; j > i is the lower triangle
    diagonal = np.zeros((n, d, d))
    np.add.at(diagonal, i, -block)
    np.add.at(diagonal, j, -block)
    H[_places(d, np.arange(n), np.arange(n))] = diagonal
    # a uniform shift costs nothing; a spring on the centre of mass makes H invertible, and the
    # shift it allows is taken off again
    spring = float(np.trace(diagonal, axis1=1, axis2=2).mean()) / d
    for a in range(d):
        H[a::d, a::d] += spring / n
    H, info = lapack.dpotrf(H, lower=1, overwrite_a=1)
    if info:
        raise FrameError(
            "the frame is no minimum of this potential: some displacement lowers the energy. Pass "
            "what simulate.inherent_structure gives, by the system that made it."
        )
    H, info = lapack.dpotri(H, lower=1, overwrite_c=1)
    for a in range(d):
        H[a::d, a::d] -= 1 / (spring * n)
    return H


def _places(d: int, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the (d, d) blocks of pairs, each (n, d, d)."""
    rows = (d * i)[:, None, None] + np.arange(d)[:, None]
    columns = (d * j)[:, None, None] + np.arange(d)[None, :]
    return np.broadcast_arrays(rows, columns)


def _blocks(G: np.ndarray, d: int, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """(n, d, d) blocks G_ij with i ≤ j, from the lower triangle."""
    block = G[_places(d, j, i)].transpose(0, 2, 1)
    own = i == j
    upper = np.triu(block[own])
    block[own] = upper + np.triu(upper, 1).transpose(0, 2, 1)
    return block


def _mean_of_pairs(values, i, j, otherwise) -> np.ndarray:
    n = len(otherwise)
    total = np.bincount(i, values, n) + np.bincount(j, values, n)
    count = np.bincount(i, minlength=n) + np.bincount(j, minlength=n)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)
