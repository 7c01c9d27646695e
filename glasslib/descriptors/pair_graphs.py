r"""A snapshot and its inherent structure as the graph of an interaction network.

Particles are nodes, and an edge runs either way between two of them that are closer than a radius
(Bessho et al. 2026, after Shiba et al. 2023). The network of
:mod:`glasslib.models.interaction_network` learns numbers of nodes, of pairs and of the whole from
it. It should not be confused with :func:`glasslib.descriptors.graph`, the bonds of first
neighbours between which GraphSAGE walks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from glasslib import frames
from glasslib.frames import Frame
from glasslib.geometry import nearest_image
from glasslib.neighbors import within

if TYPE_CHECKING:
    from torch_geometric.data import Data

Inputs = Literal["both", "full", "inherent", "thermal"]
INPUTS: tuple[str, ...] = ("both", "full", "inherent", "thermal")


def count_edge_inputs(inputs: Inputs, dimensions: int) -> int:
    """Columns of ``edge_attr``: a vector, a distance, and with ``"full"`` one more."""
    return dimensions + (2 if inputs == "full" else 1)


def pair_graph(
    frame: Frame,
    *,
    inherent: np.ndarray | None = None,
    inputs: Inputs = "both",
    radius: float = 2.0,
    features: np.ndarray | None = None,
    node_target: np.ndarray | None = None,
    pairs: np.ndarray | None = None,
    pair_target: np.ndarray | None = None,
    temperature: float | None = None,
) -> Data:
    r"""The graph of a configuration, with what is to be learned from it.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        N particles in d = 2 or 3 dimensions at their thermal positions, any periodic box, σ_AA.
    inherent : (N, 3) or (N, d) float array, optional
        Positions in the inherent structure, σ_AA; ``frame.log["particles/inherent_position"]``
        unless given. Not needed for ``inputs="thermal"``.
    inputs : {"both", "full", "inherent", "thermal"}
        Which structure decides who is a neighbour and gives the vectors: the inherent one, except
        with ``"thermal"``; and which the distances: the thermal one, except with ``"inherent"``.
        ``"both"`` is the paper's. ``"full"`` adds how much longer the thermal distance is than
        the inherent one. That is no new information, the latter being the length of the vector,
        but spares a network learning to take it.
    radius : float
        Particles closer than this are joined, σ_AA.
    features : (N, k) float array, optional
        Further inputs of each node, for instance
        :func:`glasslib.descriptors.averaged_energies`. They must not change when the system is
        turned or mirrored.
    node_target : (N,) float array, optional
        What the network shall give for each particle.
    pairs : (n, 2) int array, optional
        Particles *i* and *j* of each entry of ``pair_target``. Left out, there is one entry for
        every pair of the graph, in the order of ``pairs`` below.
    pair_target : (n,) float array, optional
        What it shall give for each pair, for instance the mean change of distance. A NaN is no
        label, nor has a pair one that is not in the list. With ``inputs="thermal"`` pairs of the
        inherent structure's list that are no neighbours are passed over.
    temperature : float, optional
        Of the configuration, ε_AA.

    Returns
    -------
    torch_geometric.data.Data
        ``x`` (N, 1 + k) float32: species, features · ``edge_index`` (2, n_edges) int64, both
        directions, sorted by target, then source · ``edge_attr`` (n_edges, d + 1 or, of ``"full"``,
        d + 2) float32: the minimum image of the vector from source to target, the distance, and
        what it has more than the vector's length, σ_AA · ``pairs``
        (n_pairs, 2) int64, i < j, sorted as :func:`glasslib.dynamics.bonds` does ·
        ``pair_index`` (n_edges,) int64: the row of ``pairs`` that each edge belongs to ·
        ``typeid`` (N,) int64 · ``position`` (N, d) float32, thermal, σ_AA · ``box`` (6,) float64
        · ``inputs``, ``radius``, ``types`` · where given ``node_target`` (N,), ``pair_target``
        (n_pairs,) with NaN where there is no label, both float32, and ``temperature``.

    Raises
    ------
    ValueError
        For a graph without edges, a box below twice the radius, targets that are not finite,
        arrays of other shapes, and labels of pairs that are not in the graph.

    Examples
    --------
    >>> from glasslib import frames
    >>> row = frames.build([[0, 0, 0], [1, 0, 0], [2.5, 0, 0]], 10.0, [0, 0, 1])
    >>> g = pair_graph(row, inherent=row.particles.position, radius=1.6)
    >>> g.pairs.tolist(), g.edge_index.tolist()
    ([[0, 1], [1, 2]], [[1, 0, 2, 1], [0, 1, 1, 2]])
    """
    import torch
    from torch_geometric.data import Data

    if inputs not in INPUTS:
        raise ValueError(f"inputs is {inputs!r}; expected one of {', '.join(INPUTS)}.")
    frames.check(frame)
    if not isinstance(radius, (int, float, np.number)) or not np.isfinite(radius) or radius <= 0:
        raise ValueError(f"radius is {radius!r}; expected a positive distance in σ_AA.")
    d, n = frames.dimensions(frame), frame.particles.N
    box = np.asarray(frame.configuration.box, dtype=np.float64)
    structure = frame if inputs == "thermal" else _inherent(frame, inherent, d)
    narrowest = float(frames.heights(box).min())
    if narrowest <= 2 * radius:
        raise ValueError(
            f"radius is {radius:g} but the box only {narrowest:g} wide where it is narrowest; a "
            "minimum image needs a box wider than twice the radius. Use more particles."
        )
    near = within(structure, float(radius))
    if len(near.index) == 0:
        raise ValueError(
            f"no two particles are closer than {radius:g}, so the graph has no edges; choose a "
            "larger radius, or check the units (σ_AA)."
        )
    order = np.lexsort((near.index, near.source))
    target, source = near.source[order], near.index[order]
    vector = -near.vector[order][:, :d]  # from source to target
    distance = near.distance[order]
    lengths = [distance]
    if inputs in ("both", "full"):
        separation = np.asarray(frame.particles.position, dtype=np.float64)
        separation = nearest_image(separation[source] - separation[target], box, single=True)[:, :d]
        lengths = [np.linalg.norm(separation, axis=1)]
        if inputs == "full":
            lengths.append(lengths[0] - distance)
    ends = np.sort(np.stack([source, target], axis=1), axis=1)
    key = ends[:, 0] * n + ends[:, 1]
    unique, pair_index = np.unique(key, return_inverse=True)

    typeid = np.zeros(n, dtype=np.int64)
    if frame.particles.typeid is not None:
        typeid[:] = frame.particles.typeid
    columns = [typeid[:, None].astype(np.float32)]
    if features is not None:
        columns.append(_array(features, "features", (n, None)))
    data = Data(
        x=torch.from_numpy(np.hstack(columns).astype(np.float32)),
        edge_index=torch.from_numpy(np.stack([source, target]).astype(np.int64)),
        edge_attr=torch.from_numpy(np.column_stack([vector, *lengths]).astype(np.float32)),
        pairs=torch.from_numpy(np.stack([unique // n, unique % n], axis=1)),
        pair_index=torch.from_numpy(pair_index.astype(np.int64)),
        typeid=torch.from_numpy(typeid),
        position=torch.from_numpy(
            np.ascontiguousarray(frame.particles.position[:, :d], dtype=np.float32)
        ),
        box=torch.from_numpy(box),
        inputs=inputs,
        radius=float(radius),
        types=list(frame.particles.types or ["A"]),
    )
    if node_target is not None:
        data.node_target = torch.from_numpy(
            _array(node_target, "node_target", (n,)).astype(np.float32)
        )
    if pair_target is not None:
        data.pair_target = torch.from_numpy(
            _labels(pairs, pair_target, unique, n, float(radius), inputs)
        )
    elif pairs is not None:
        raise ValueError("pairs came without pair_target; give the number of each pair too.")
    if temperature is not None:
        if not np.isfinite(temperature) or temperature <= 0:
            raise ValueError(f"temperature is {temperature}; expected a positive number in ε_AA.")
        data.temperature = float(temperature)
    return data


def _inherent(frame: Frame, inherent: np.ndarray | None, d: int) -> Frame:
    """A frame at the inherent positions."""
    if inherent is None:
        inherent = (frame.log or {}).get("particles/inherent_position")
        if inherent is None:
            raise ValueError(
                "no inherent positions: frame.log has no 'particles/inherent_position'; give "
                "inherent=, for instance of simulate.inherent_structure, or inputs='thermal'."
            )
    n = frame.particles.N
    given = np.asarray(inherent)
    columns = given.shape[1] if given.ndim == 2 and given.shape[1] in (d, 3) else 3
    given = _array(inherent, "inherent", (n, columns))
    moved = frames.copy(frame, log={})
    position = np.zeros((n, 3))
    position[:, :d] = given[:, :d]
    # relaxed positions may lie across the border
    position = nearest_image(position, frame.configuration.box)
    moved.particles.position = position.astype(np.float32)
    moved.particles.image = None
    return moved


def _array(values: np.ndarray, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Checked float64 array; None in ``shape`` stands for any number."""
    try:
        values = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not an array of numbers ({error}).") from error
    fits = values.ndim == len(shape) and all(
        s in (None, m) for s, m in zip(shape, values.shape, strict=True)
    )
    if not fits:
        expected = ", ".join("k" if s is None else str(s) for s in shape)
        expected += "," if len(shape) == 1 else ""
        raise ValueError(
            f"{name} has shape {values.shape}; expected ({expected}): one row a particle."
        )
    if not np.all(np.isfinite(values)):
        row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
        raise ValueError(f"row {row} of {name} is not finite; expected a number of each particle.")
    return values


def _labels(
    pairs: np.ndarray | None,
    values: np.ndarray,
    unique: np.ndarray,
    n: int,
    radius: float,
    inputs: str,
) -> np.ndarray:
    """(n_pairs,) labels of the graph's pairs, NaN where there is none."""
    values = np.asarray(values, dtype=np.float64)
    if pairs is None:
        if values.shape != (len(unique),):
            raise ValueError(
                f"pair_target has shape {values.shape}; expected ({len(unique)},), one a pair of "
                "the graph. Give pairs= with it, the particles of each entry."
            )
        found = values
    else:
        pairs = np.asarray(pairs)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
            raise ValueError(
                f"pairs has shape {pairs.shape} and dtype {pairs.dtype}; expected (n, 2) integers."
            )
        if values.shape != (len(pairs),):
            raise ValueError(
                f"pair_target has shape {values.shape}; expected ({len(pairs)},), one a row of "
                "pairs."
            )
        if len(pairs) and (pairs.min() < 0 or pairs.max() >= n):
            raise ValueError(
                f"pairs names particle {pairs.min() if pairs.min() < 0 else pairs.max()}; expected "
                f"0 to {n - 1}."
            )
        pairs = np.sort(pairs.astype(np.int64), axis=1)
        key = pairs[:, 0] * n + pairs[:, 1]
        if len(np.unique(key)) != len(key):
            raise ValueError("pairs names a pair twice; expected each once, in either order.")
        place = np.minimum(np.searchsorted(unique, key), len(unique) - 1)
        there = unique[place] == key
        absent = int(np.sum(~there))
        # of another configuration's pairs hardly any is also a pair here
        if absent > (len(pairs) / 2 if inputs == "thermal" else 0):
            i, j = pairs[np.flatnonzero(~there)[0]]
            raise ValueError(
                f"{absent} of {len(pairs)} labelled pairs, {i}–{j} the first, are not within "
                f"{radius:g} here; are these labels of another configuration or radius?"
            )
        found = np.full(len(unique), np.nan)
        found[place[there]] = values[there]
    if np.any(np.isinf(found)):
        raise ValueError("pair_target holds an infinite number; use NaN where there is no label.")
    if np.all(np.isnan(found)):
        raise ValueError("pair_target has no number at all; leave it out instead.")
    return found.astype(np.float32)
