"""What a model sees of a snapshot: graphs and bond order.

Nothing in this package needs torch until a torch object is asked for (:func:`graphs.graph`).
``bond_order`` is a module here; the plain q_l are ``bond_order.bond_order(frame)``.
"""

from glasslib.descriptors.bond_order import (
    averaged_bond_order,
    crystalline,
    crystalline_fraction,
)
from glasslib.descriptors.graphs import (
    bond_lengths,
    bonds,
    graph,
    node_features,
    translated,
)

__all__ = [
    "averaged_bond_order",
    "bond_lengths",
    "bonds",
    "crystalline",
    "crystalline_fraction",
    "graph",
    "node_features",
    "translated",
]
