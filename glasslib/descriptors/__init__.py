"""What a model sees of a snapshot: graphs here, order parameters and shells in later chapters.

Nothing in this package needs torch until a torch object is asked for (:func:`graphs.graph`).
"""

from glasslib.descriptors.graphs import (
    bond_lengths,
    bonds,
    graph,
    node_features,
    translated,
)

__all__ = ["bond_lengths", "bonds", "graph", "node_features", "translated"]
