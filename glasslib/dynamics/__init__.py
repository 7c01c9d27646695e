"""Dynamics: what moved, how far, how well that is known, and how long relaxation takes.

Positions are unwrapped arrays, (N, d) with d = 2 or 3, of the species that the caller picks;
``final`` may hold M replicas (or times) in front. For a 2D frame take the first two columns of
:func:`glasslib.snapshots.unwrapped`.
"""

from __future__ import annotations

from glasslib.dynamics.ceilings import (
    ceiling,
    noise_ceiling,
    split_half_ceiling,
)
from glasslib.dynamics.displacements import (
    cage_relative,
    displacement,
    mean_squared_displacement,
    propensity,
)
from glasslib.dynamics.pairs import (
    PairLabels,
    bond_breaking,
    bonds,
    distance_change,
    pack_pairs,
    pair_labels,
)
from glasslib.dynamics.relaxation import (
    Diffusion,
    RelaxationTime,
    crossing,
    decay_time,
    diffusion,
    diffusion_time,
    nearest,
    relaxation_time,
)
from glasslib.dynamics.scattering import (
    collective_intermediate_scattering,
    four_point,
    self_intermediate_scattering,
    wavevectors,
)

# studies.temperatures asks for it here, and its source belongs to stored results
from glasslib.geometry import nearest_image as nearest_image

__all__ = [
    "Diffusion",
    "PairLabels",
    "RelaxationTime",
    "bond_breaking",
    "bonds",
    "cage_relative",
    "ceiling",
    "collective_intermediate_scattering",
    "crossing",
    "decay_time",
    "diffusion",
    "diffusion_time",
    "displacement",
    "distance_change",
    "four_point",
    "mean_squared_displacement",
    "nearest",
    "noise_ceiling",
    "pack_pairs",
    "pair_labels",
    "propensity",
    "relaxation_time",
    "self_intermediate_scattering",
    "split_half_ceiling",
    "wavevectors",
]
