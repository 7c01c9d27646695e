"""What a model sees of a snapshot: graphs, bond order, densities, linear response, averages.

Nothing in this package needs torch until a torch object is asked for (:func:`graphs.graph`,
:func:`pair_graphs.pair_graph`).
``bond_order`` is a module here; the plain q_l are ``bond_order.bond_order(frame)``.
``radial_angular`` is the function; names of columns and more come by
``from glasslib.descriptors.radial_angular import columns``.
"""

from glasslib.descriptors.averaging import averaged_energies, exponential_average, shell_average
from glasslib.descriptors.bond_order import (
    averaged_bond_order,
    crystalline,
    crystalline_fraction,
)
from glasslib.descriptors.elastic import elastic_response
from glasslib.descriptors.graphs import (
    bond_lengths,
    bonds,
    graph,
    node_features,
    translated,
)
from glasslib.descriptors.hexatic import averaged_hexatic_order, hexatic_order
from glasslib.descriptors.pair_graphs import pair_graph
from glasslib.descriptors.radial_angular import (
    Column,
    averaged_radial_angular,
    radial_angular,
    shells,
)

__all__ = [
    "Column",
    "averaged_bond_order",
    "averaged_energies",
    "averaged_hexatic_order",
    "averaged_radial_angular",
    "bond_lengths",
    "bonds",
    "crystalline",
    "crystalline_fraction",
    "elastic_response",
    "exponential_average",
    "graph",
    "hexatic_order",
    "node_features",
    "pair_graph",
    "radial_angular",
    "shell_average",
    "shells",
    "translated",
]
