"""Protocols: from a system to the frames that the chapters analyse.

Each protocol takes an engine by name (``engine="auto"``), is reproducible from its ``seed`` and,
when given a ``path``, writes one GSD frame a configuration, atomically, so that a killed run
resumes and loses at most the configuration under way.
"""

from __future__ import annotations

from glasslib.simulate.cages import cage_positions, inherent_structure
from glasslib.simulate.cooling import cool
from glasslib.simulate.curves import SHELL
from glasslib.simulate.ensemble import LABELS, isoconfigurational, label_replicas
from glasslib.simulate.liquids import (
    equilibrate,
    equilibrated,
    lattice,
    liquid,
    log_times,
    snapshots,
)
from glasslib.simulate.resume import collect, provenance

__all__ = [
    "LABELS",
    "SHELL",
    "cage_positions",
    "collect",
    "cool",
    "equilibrate",
    "equilibrated",
    "inherent_structure",
    "isoconfigurational",
    "label_replicas",
    "lattice",
    "liquid",
    "log_times",
    "provenance",
    "snapshots",
]
