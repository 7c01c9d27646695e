r"""From a snapshot to a graph: particles are nodes, first neighbours are bonded.

Two particles of species *a* and *b* are bonded when their minimum-image distance is below
:math:`r_c^{ab}`, the first minimum of the partial :math:`g_{ab}(r)` (Bihani et al. 2022).
What a node carries is a choice with consequences, see :func:`node_features`: with coordinates,
as in the paper, the graph knows *where* each particle is; with the species alone it does not.

Only :func:`graph` needs torch; the rest is numpy and freud.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from glasslib import frames
from glasslib.frames import Frame
from glasslib.geometry import nearest_image
from glasslib.neighbors import within

if TYPE_CHECKING:
    from torch_geometric.data import Data

Features = Literal["coordinates", "type"]
Positions = Literal["box", "fraction", "centred"]
FEATURES: tuple[str, ...] = ("coordinates", "type")
POSITIONS: tuple[str, ...] = ("box", "fraction", "centred")


def bonds(frame: Frame, cutoffs: Mapping[tuple[str, str], float] | float) -> np.ndarray:
    """First-neighbour bonds, periodic, as a directed edge list that holds both directions.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles in a 2D (``box[2] == 0``, z = 0) or 3D box; positions in σ_AA.
    cutoffs : dict of (str, str) to float, or float
        Bond length below which a pair of these species is bonded, σ_AA; each pair once. One
        number serves all pairs. The authors' are ``systems.get("bihani-2d").bond_cutoffs``.

    Returns
    -------
    (2, n_bonds) int64 array
        Sources and targets, sorted by source, then target. Each bond appears as (i, j) and as
        (j, i); no particle is bonded to itself.

    Raises
    ------
    ValueError, TypeError
        For a pair of species without a cut-off, or a box below twice the largest one.

    Examples
    --------
    >>> from glasslib import frames
    >>> row = frames.build([[0, 0], [1, 0], [2.5, 0]], 10.0, [0, 0, 0], dimensions=2)
    >>> bonds(row, 1.2).tolist()
    [[0, 1], [1, 0]]
    """
    near = within(frame, cutoffs)
    order = np.lexsort((near.index, near.source))
    return np.stack([near.source[order], near.index[order]]).astype(np.int64)


def bond_lengths(frame: Frame, edge_index: np.ndarray) -> np.ndarray:
    """Minimum-image length of each bond.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
    edge_index : (2, n_bonds) int array

    Returns
    -------
    (n_bonds,) float64 array, σ_AA
        Of vectors that freud wraps in single precision: good to 1e-6 σ_AA, like the positions in
        a GSD file.
    """
    edge_index = np.asarray(edge_index)
    if edge_index.ndim != 2 or edge_index.shape[0] != 2:
        raise ValueError(f"edge_index has shape {edge_index.shape}; expected (2, n_bonds).")
    position = np.asarray(frame.particles.position, dtype=np.float64)
    separation = position[edge_index[1]] - position[edge_index[0]]
    nearest = nearest_image(separation, frame.configuration.box, single=True)
    return np.linalg.norm(nearest, axis=1)


def node_features(
    frame: Frame, kind: Features = "coordinates", *, positions: Positions = "box"
) -> np.ndarray:
    r"""What each node knows before any message passes, :math:`h_v^0`.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles of n_types species in d dimensions.
    kind : {"coordinates", "type"}
        ``"coordinates"``: one-hot species and position, as in the paper. Absolute positions make
        the features, and all that is learned from them, change when the whole system is moved.
        ``"type"``: one-hot species only; invariant under translation, rotation and the choice of
        periodic image. What is known of geometry then comes from bond lengths.
    positions : {"box", "fraction", "centred"}
        How positions enter ``"coordinates"``: ``"box"`` in σ_AA, wrapped into [0, L) as in the
        authors' files; ``"fraction"`` of the box edges, in [0, 1); ``"centred"`` in σ_AA, wrapped
        into [−L/2, L/2) as GSD has it. The paper does not say; a network without biases is not
        indifferent to it.

    Returns
    -------
    (N, n_types + d) or (N, n_types) float32 array
    """
    if kind not in FEATURES:
        raise ValueError(f"features kind is {kind!r}; expected one of {', '.join(FEATURES)}.")
    if positions not in POSITIONS:
        raise ValueError(f"positions is {positions!r}; expected one of {', '.join(POSITIONS)}.")
    types = list(frame.particles.types or ["A"])
    one_hot = np.eye(len(types), dtype=np.float32)[np.asarray(frame.particles.typeid)]
    if kind == "type":
        return one_hot
    d = frames.dimensions(frame)
    cell = frames.cell_matrix(frame.configuration.box)[:d, :d]
    position = np.asarray(frame.particles.position, dtype=np.float64)[:, :d]
    fraction = position @ np.linalg.inv(cell).T
    if positions == "centred":
        fraction -= np.floor(fraction + 0.5)
    else:
        # The corner of the box is the origin here, its centre is GSD's.
        fraction += 0.5
        fraction -= np.floor(fraction)
    coordinates = fraction if positions == "fraction" else fraction @ cell.T
    return np.hstack([one_hot, coordinates.astype(np.float32)])


def graph(
    frame: Frame,
    cutoffs: Mapping[tuple[str, str], float] | float,
    *,
    features: Features = "coordinates",
    positions: Positions = "box",
) -> Data:
    """The snapshot as a torch-geometric graph.

    Parameters
    ----------
    frame, cutoffs
        As for :func:`bonds`.
    features, positions
        As for :func:`node_features`.

    Returns
    -------
    torch_geometric.data.Data
        ``x`` (N, n_features) float32; ``edge_index`` (2, n_bonds) int64, both directions, sorted;
        with ``features="type"`` also ``edge_attr`` (n_bonds, 1) float32, the bond lengths in σ_AA.
    """
    import torch
    from torch_geometric.data import Data

    edge_index = bonds(frame, cutoffs)
    data = Data(
        x=torch.from_numpy(node_features(frame, features, positions=positions)),
        edge_index=torch.from_numpy(edge_index),
    )
    if features == "type":
        lengths = bond_lengths(frame, edge_index).astype(np.float32)
        data.edge_attr = torch.from_numpy(lengths)[:, None]
    return data


def translated(frame: Frame, shift: np.ndarray) -> Frame:
    """A copy of ``frame`` moved rigidly by ``shift`` and wrapped; labels stay on their particles.

    Physics does not change under it. A descriptor that does is not a descriptor of structure.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
    shift : (d,) or (3,) float array, σ_AA
    """
    import freud

    d = frames.dimensions(frame)
    shift = np.atleast_1d(np.asarray(shift, dtype=np.float64))
    if shift.shape not in {(d,), (3,)} or not np.all(np.isfinite(shift)):
        raise ValueError(f"shift is {shift}; expected {d} finite numbers.")
    move = np.zeros(3)
    move[:d] = shift[:d]
    new = frames.copy(frame)
    box = freud.box.Box.from_box(frame.configuration.box)
    moved = np.asarray(frame.particles.position, dtype=np.float64) + move
    crossings = np.asarray(box.get_images(moved), dtype=np.int32)
    new.particles.position = np.asarray(box.wrap(moved), dtype=np.float32)
    if frame.particles.image is not None:
        new.particles.image = np.asarray(frame.particles.image, dtype=np.int32) + crossings
    return new
