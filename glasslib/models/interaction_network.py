r"""An interaction network that learns particles, pairs and temperature at once (T-BOTAN).

Bessho et al. (2026) teach one network the dynamics of a liquid at several temperatures. It extends
BOTAN (Shiba et al. 2023), itself an interaction network in the manner of Bapst et al. (2020).

**Network.** Encoders of nodes and edges; ``n_steps`` message steps with the same weights,

.. math:: h'_{st} = \mathrm{MLP}_e[x_s, x_t, h_{st}, h^0_{st}], \qquad
          x'_t = \mathrm{MLP}_n\bigl[x_t, x^0_t, {\textstyle\sum_s} h'_{st}\bigr], \qquad
          u' = \mathrm{MLP}_u\bigl[u, \tfrac1N {\textstyle\sum_t} x'_t\bigr]

from :math:`u = 0`, which is fed back to nothing; decoders of nodes, edges and *u*. Every MLP has
two layers of ``hidden`` units with a ReLU after each, a decoder one linear unit more. No residuals
and no normalisation. The paper has the plain sum over nodes in the last equation; the mean is the
same network at one N, up to the scale of some weights, and works at every N.

With 64 units, one node input and four edge inputs there are 83 459 parameters: encoders 4 288 and
4 480, edge update 20 608, node update 16 512, the decoders of nodes and edges 8 385 each, and for
the global part 12 416 + 8 385. The predecessor has 54 209: three edge inputs, one decoder for both
and no global part.

**Loss** of one graph, the targets centred and divided by their standard deviation over the whole
training set,

.. math:: L = p\,L_\mathrm{node} + (1 - p)\,L_\mathrm{edge} + \lambda L_T, \qquad
          L_\mathrm{node} = w_1 \langle(\hat y - y)^2\rangle + w_2 L_\mathrm{var}
          + w_3 L_\mathrm{corr}

with the mean square over labelled edges, both directions, and that of the temperature. The two
other terms, see :mod:`glasslib.models.field_losses`, are switched on after ``warm_up`` steps. Both
species count. p = 0.4 is the paper's; λ and the learning rate it leaves open, see
:class:`InteractionNetwork`.

**Symmetry.** Vectors enter as components, so the network is not invariant under rotations. It
sees each training graph in a random orientation out of the symmetry operations of the square or
the cube; predictions are means over a fixed set of them. (The predecessor also draws the
orientations of test data at random.) Only vectors between neighbours are turned, so that the shape
of the box does not matter.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor
from torch_geometric.data import Data

from glasslib.descriptors.pair_graphs import INPUTS, count_edge_inputs
from glasslib.frames import cell_matrix
from glasslib.models import files
from glasslib.models.blocks import WIDTH
from glasslib.models.field_losses import Field, correlation_loss, variance_loss
from glasslib.models.message_passing import Layout, Room, messages, own_threads, plain_messages

FORMAT = "glasslib.InteractionNetwork/1"
CHECKPOINT = "glasslib.InteractionNetwork.checkpoint/1"
CHECKPOINT_SECONDS = 60.0  #: at most so much work is lost
PRECISIONS = ("float32", "mixed")
SCHEDULES = ("constant", "cosine")
TERMS = ("node", "variance", "correlation", "pair", "temperature")


class Prediction(NamedTuple):
    """What the network says of one configuration, in the units of its targets.

    Attributes
    ----------
    node : (N,) float64 array or None
        None where the training set had no such targets; so below.
    pair : (n_pairs,) float64 array or None
        In the order of the graph's ``pairs``, the mean of both directions.
    temperature : float or None
    embedding : (hidden,) float64 array
        The global vector after the last step.
    node_spread : (N,) float64 array or None
        Standard deviation of ``node`` over the orientations: what is left of the lattice of axes.
    """

    node: np.ndarray | None
    pair: np.ndarray | None
    temperature: float | None
    embedding: np.ndarray
    node_spread: np.ndarray | None


def orientations(d: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The 8 or 48 symmetry operations of the square or the cube, in a fixed order.

    Each is a permutation of the components and the signs they are then given. The first is the
    identity, and every second one the inverse of all signs of the one before, so that any even
    number of them treats both directions of an edge alike.
    """
    found = []
    for signs in itertools.product((1, -1), repeat=d - 1):
        for axes in itertools.permutations(range(d)):
            found.append((axes, (1, *signs)))
            found.append((axes, (-1, *(-s for s in signs))))
    return found


class Network(torch.nn.Module):
    """The layers of :class:`InteractionNetwork`, as a plain torch module.

    Parameters
    ----------
    node_inputs, edge_inputs : int
        Columns of the graphs' ``x`` and ``edge_attr``.
    hidden, n_steps : int
    """

    def __init__(
        self, node_inputs: int, edge_inputs: int, hidden: int = 64, n_steps: int = 7
    ) -> None:
        super().__init__()
        self.n_steps, self.hidden = n_steps, hidden

        def layers(*widths: int) -> torch.nn.ModuleList:
            return torch.nn.ModuleList(
                torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)
            )

        self.node_encoder = layers(node_inputs, hidden, hidden)
        self.edge_encoder = layers(edge_inputs, hidden, hidden)
        self.edge_update = layers(4 * hidden, hidden, hidden)
        self.node_update = layers(3 * hidden, hidden, hidden)
        self.global_update = layers(2 * hidden, hidden, hidden)
        self.node_decoder = layers(hidden, hidden, hidden, 1)
        self.edge_decoder = layers(hidden, hidden, hidden, 1)
        self.global_decoder = layers(hidden, hidden, hidden, 1)
        self.room = Room()

    def forward(
        self,
        x: Tensor,
        attr: Tensor,
        edges: Layout | Tensor,
        *,
        half: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Numbers of nodes and edges, of the whole, and the global vector.

        Parameters
        ----------
        x : (N, node_inputs) float32 tensor
        attr : (n_slots, 4) or (n_edges, edge_inputs) float32 tensor
        edges : Layout or (2, n_edges) int64 tensor
            A layout (:class:`glasslib.models.message_passing.Layout`) is for the processor and
            for a width that is a multiple of 64; edges are for anything.
        half : bool
            Products in bfloat16.

        Returns
        -------
        node : (N,) tensor
        edge : (n_slots,) or (n_edges,) tensor
        whole : () tensor
        embedding : (hidden,) tensor
        """
        parts = {
            name: [p for layer in layers for p in (layer.weight, layer.bias)]
            for name, layers in (
                ("encoder", self.edge_encoder),
                ("edge", self.edge_update),
                ("node", self.node_update),
                ("decoder", self.edge_decoder),
            )
        }
        encoded = _rectified(self.node_encoder, x)
        if isinstance(edges, Layout):
            nodes, means, edge = messages(
                encoded, attr, edges, parts, n_steps=self.n_steps, half=half, room=self.room
            )
        else:
            with torch.autocast(x.device.type, torch.bfloat16) if half else nullcontext():
                nodes, means, edge = plain_messages(
                    encoded, attr, edges, parts, n_steps=self.n_steps
                )
            nodes, means, edge = nodes.float(), means.float(), edge.float()
        u = torch.zeros(self.hidden, device=x.device)
        for mean in means:
            u = _rectified(self.global_update, torch.cat([u, mean]))
        node = _decoded(self.node_decoder, nodes)[:, 0]
        return node, edge, _decoded(self.global_decoder, u)[0], u


def _rectified(layers: torch.nn.ModuleList, x: Tensor) -> Tensor:
    for layer in layers:
        x = torch.relu(layer(x))
    return x


def _decoded(layers: torch.nn.ModuleList, x: Tensor) -> Tensor:
    return layers[-1](_rectified(layers[:-1], x))


class _Ready(NamedTuple):
    """A graph as the network takes it: inputs in place, targets standardised."""

    x: Tensor
    attr: Tensor
    edges: Layout | Tensor
    place: Tensor  # (n_edges,) where each edge stands in what the network returns
    d: int
    node: Tensor | None
    node_variance: float
    field: Field | None
    correlation: Tensor | None
    edge: Tensor | None  # labels in place, 0 where there is none
    labelled: Tensor | None  # 1 / number of labelled edges, or 0
    temperature: float | None

    def turned(self, axes: Sequence[int], signs: Sequence[int]) -> Tensor:
        """Edge inputs in another orientation."""
        if all(s == 1 for s in signs) and list(axes) == list(range(self.d)):
            return self.attr
        attr = self.attr.clone()
        for k, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
            torch.mul(self.attr[:, axis], sign, out=attr[:, k])
        return attr


class InteractionNetwork(BaseEstimator):
    r"""One network for what particles, pairs and a whole configuration do.

    Parameters
    ----------
    hidden : int
        Width of every layer. Multiples of 64 take the fast way on a processor.
    n_steps : int
        Message steps: how many edges away a particle is seen.
    p : float
        Share of the node loss, from 0 (pairs alone) to 1 (particles alone).
    lam : float
        λ, weight of the temperature's loss. The paper leaves it open and shows that it hardly
        matters: 1 is a choice. 0 needs no temperatures.
    node_weights : (float, float, float)
        Of mean square, variance and correlation; those of the 3D script of the authors cited.
    radii : tuple of float
        Distances of the correlation term, σ_AA.
    radii_width : float
        Width of its Gaussian, σ_AA.
    warm_up : int
        Steps after which the two terms are switched on. The paper waits 1000 epochs, of 400 graphs
        each, until the mean square has settled.
    steps : int
        Graphs seen, one optimiser step each. A choice: on ten configurations such networks begin
        to memorise after some 2000.
    lr : float
        Of Adam, the predecessor's.
    lr_schedule : {"constant", "cosine"}
        The latter falls to 0 at the last step.
    weight_decay : float
        Of AdamW; 0 is Adam.
    clip : float
        Largest norm of the gradient.
    augment : bool
        Show training graphs in random orientations.
    precision : {"float32", "mixed"}
        ``"mixed"`` multiplies pairs of bfloat16 and keeps edge states as such; sums, weights and
        optimiser stay float32. Fast where the processor has AVX-512 BF16; elsewhere it only saves
        memory.
    evaluate_every : int
        Steps between rows of the history.
    select : {"best", "last"}
        Which weights stay: those of the best validation score, or the last. Without validation
        graphs there are only the last. The score is Pearson's r of particles, the mean over
        configurations; with p = 0 that of pairs.
    device : str
        ``"cpu"``, or another that torch knows, as ``"cuda"``.
    seed : int
        Of weights, order and orientations. It fixes the result bit by bit on a processor, whatever
        the number of threads; there are as many as torch has.

    Attributes
    ----------
    network_ : Network
    inputs_, dimensions_, types_, n_features_ : str, int, list of str, int
        What a graph must have: the ``inputs`` of :func:`glasslib.descriptors.pair_graph`, spatial
        dimensions, species, further inputs of nodes.
    scales_ : dict of str to (mean, standard deviation) or None
        Of the targets ``node``, ``pair`` and ``temperature`` over the training set.
    feature_mean_, feature_scale_ : (n_features,) float64 arrays
        By which further inputs are standardised.
    length_mean_, length_scale_ : float64 arrays
        By which the distances of edges are; vectors are left as they are.
    best_step_ : int
        After which the weights were taken.
    trained_on_ : dict
        Whatever the caller says of the training set.
    history_ : list of dict
        One row each ``evaluate_every`` steps: ``step``; ``train``, the means of the terms of the
        loss since the last row, None for those not yet switched on; ``validation``, the same of
        the validation graphs as they stand, and their ``node_r``, ``node_r_pooled`` and
        ``pair_r``, or None; ``seconds`` since the start.

    Examples
    --------
    >>> from glasslib import frames
    >>> from glasslib.descriptors import pair_graph
    >>> ring = frames.build([[0, 0], [1, 0], [1, 1], [0, 1]], 9.0, [0, 1, 0, 1], dimensions=2)
    >>> g = pair_graph(ring, inputs="thermal", radius=1.2, node_target=[0.1, 0.3, 0.1, 0.3])
    >>> model = InteractionNetwork(hidden=8, steps=2, p=1.0, lam=0.0).fit([g])
    >>> model.predict(g, n_augment=2).node.shape
    (4,)
    """

    def __init__(
        self,
        *,
        hidden: int = 64,
        n_steps: int = 7,
        p: float = 0.4,
        lam: float = 1.0,
        node_weights: tuple[float, float, float] = (1.0, 1.0, 0.5),
        radii: tuple[float, ...] = (2.0, 4.0, 6.0),
        radii_width: float = 1.0,
        warm_up: int = 1000,
        steps: int = 4000,
        lr: float = 1e-4,
        lr_schedule: str = "constant",
        weight_decay: float = 0.0,
        clip: float = 1.0,
        augment: bool = True,
        precision: str = "float32",
        evaluate_every: int = 100,
        select: str = "best",
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.n_steps = n_steps
        self.p = p
        self.lam = lam
        self.node_weights = node_weights
        self.radii = radii
        self.radii_width = radii_width
        self.warm_up = warm_up
        self.steps = steps
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.clip = clip
        self.augment = augment
        self.precision = precision
        self.evaluate_every = evaluate_every
        self.select = select
        self.device = device
        self.seed = seed

    # ------------------------------------------------------------------------------- checks

    def _check_parameters(self) -> None:
        for name, choices in (
            ("precision", PRECISIONS),
            ("lr_schedule", SCHEDULES),
            ("select", ("best", "last")),
            ("augment", (True, False)),
        ):
            value = getattr(self, name)
            if not isinstance(value, (str, bool)) or value not in choices:
                raise ValueError(
                    f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}."
                )
        for name, least in (
            ("hidden", 1),
            ("n_steps", 1),
            ("warm_up", 0),
            ("steps", 0),
            ("evaluate_every", 1),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise ValueError(f"{name} is {value!r}; expected an integer.")
            if value < least:
                raise ValueError(f"{name} is {value!r}; expected at least {least}.")
        for name in ("lr", "clip", "radii_width", "p", "lam", "weight_decay"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
                raise ValueError(f"{name} is {value!r}; expected a number.")
            least = "a positive" if name in ("lr", "clip", "radii_width") else "no negative"
            if not np.isfinite(value) or value < 0 or (value == 0 and least == "a positive"):
                raise ValueError(f"{name} is {value!r}; expected {least} number.")
        if self.p > 1:
            raise ValueError(f"p is {self.p!r}; expected a share between 0 and 1.")
        weights = _numbers(self.node_weights)
        if len(weights) != 3 or min(weights) < 0:
            raise ValueError(
                f"node_weights is {self.node_weights!r}; expected three numbers that are not "
                "negative: of mean square, variance and correlation."
            )
        radii = _numbers(self.radii)
        if len(radii) == 0 or min(radii) < 0:
            raise ValueError(f"radii is {self.radii!r}; expected one or more distances in σ_AA.")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ValueError(
                f"device is {self.device!r}, which torch does not find here "
                f"({str(error).splitlines()[0]}); use 'cpu'."
            ) from error

    def _check_graphs(self, graphs: Sequence[Data], what: str, *, known: bool) -> list[Data]:
        if isinstance(graphs, Data) or not isinstance(graphs, (list, tuple)) or not graphs:
            raise ValueError(
                f"{what} is a {type(graphs).__name__}{'' if graphs else ', empty'}; expected a "
                "list of graphs: [graph]."
            )
        for i, g in enumerate(graphs):
            self._check_graph(g, f"{what}[{i}]", graphs[0] if not known else None)
        return list(graphs)

    def _check_graph(self, g: Data, what: str, first: Data | None) -> None:
        needed = ("x", "edge_index", "edge_attr", "pairs", "pair_index", "typeid", "position")
        if not isinstance(g, Data) or any(getattr(g, k, None) is None for k in needed):
            raise ValueError(
                f"{what} is a {type(g).__name__} without what is needed; make it by "
                "glasslib.descriptors.pair_graph(frame)."
            )
        like = (
            (self.inputs_, self.dimensions_, self.n_features_, self.types_)
            if first is None
            else _kind(first)
        )
        inputs, d, features, types = _kind(g)
        other = "the network learned from" if first is None else "graph 0 has"
        if inputs != like[0]:
            raise ValueError(
                f"{what} has inputs={inputs!r} but {other} {like[0]!r}; make it by "
                f"pair_graph(frame, inputs={like[0]!r})."
            )
        if d != like[1]:
            raise ValueError(f"{what} has {d} dimensions but {other} {like[1]}.")
        if features != like[2]:
            raise ValueError(
                f"{what} has {features} further node features but {other} {like[2]}; give "
                "pair_graph the same features."
            )
        if first is None and int(g.typeid.max()) >= len(types_known := like[3]):
            raise ValueError(
                f"{what} has {int(g.typeid.max()) + 1} species but {other} "
                f"{len(types_known)}: {', '.join(types_known)}."
            )
        if first is None and types[: len(like[3])] != like[3][: len(types)]:
            raise ValueError(
                f"{what} has species {', '.join(types)} but {other} {', '.join(like[3])}; number "
                "and name them alike."
            )

    def _fitted(self) -> Network:
        if not hasattr(self, "network_"):
            raise NotFittedError(
                "this InteractionNetwork has no weights yet; call fit or load first."
            )
        return self.network_

    # ------------------------------------------------------------------------- preparation

    def _new_network(self) -> Network:
        edge_inputs = count_edge_inputs(self.inputs_, self.dimensions_)
        return Network(1 + self.n_features_, edge_inputs, self.hidden, self.n_steps)

    def _learn_scales(self, graphs: list[Data]) -> None:
        """Means and standard deviations over the training set; says what is missing."""
        self.inputs_, self.dimensions_, self.n_features_, _ = _kind(graphs[0])
        longest = max((list(g.types) for g in graphs), key=len)
        known = 1 + max(int(g.typeid.max()) for g in graphs)
        self.types_ = longest[:known]
        features = torch.cat([g.x[:, 1:] for g in graphs]).double().numpy()
        self.feature_mean_ = features.mean(axis=0)
        spread = features.std(axis=0)
        self.feature_scale_ = np.where(spread > 0, spread, 1.0)
        lengths = torch.cat([g.edge_attr[:, self.dimensions_ :] for g in graphs]).double().numpy()
        self.length_mean_, spread = lengths.mean(axis=0), lengths.std(axis=0)
        self.length_scale_ = np.where(spread > 0, spread, 1.0)
        values = {
            "node": [getattr(g, "node_target", None) for g in graphs],
            "pair": [getattr(g, "pair_target", None) for g in graphs],
            "temperature": [getattr(g, "temperature", None) for g in graphs],
        }
        for name, weight, every in (
            ("node", self.p, True),
            ("pair", 1 - self.p, False),
            ("temperature", self.lam, True),
        ):
            absent = [i for i, v in enumerate(values[name]) if v is None]
            if weight > 0 and absent and (every or len(absent) == len(graphs)):
                target = name if name == "temperature" else f"{name}_target"
                without = {"node": "p=0", "pair": "p=1", "temperature": "lam=0"}[name]
                raise ValueError(
                    f"graph {absent[0]} has no {target}; give it to pair_graph, or learn without "
                    f"by {without}."
                )
        self.scales_ = {}
        for name, weight in (("node", self.p), ("pair", 1 - self.p), ("temperature", self.lam)):
            given = [v for v in values[name] if v is not None]
            if weight == 0 or not given:
                self.scales_[name] = None
                continue
            flat = np.concatenate([np.ravel(np.asarray(v, dtype=np.float64)) for v in given])
            flat = flat[~np.isnan(flat)] if name == "pair" else flat
            mean, scale = float(flat.mean()), float(flat.std())
            if not np.isfinite(scale):
                raise ValueError(f"the {name} targets are not finite; leave such graphs out.")
            if scale <= 1e-12 * max(abs(mean), 1e-300):
                if name == "temperature":
                    raise ValueError(
                        f"all graphs have the temperature {mean:g}; there is nothing to learn from "
                        "it. Mix several, or use lam=0."
                    )
                raise ValueError(f"all {name} targets are {mean:g}; there is nothing to learn.")
            self.scales_[name] = (mean, scale)

    def _prepare(self, g: Data, *, targets: bool) -> _Ready:
        """Inputs in place and, for training and validation, standardised targets."""
        device = torch.device(self.device)
        x = g.x.numpy().astype(np.float64)
        x[:, 1:] = (x[:, 1:] - self.feature_mean_) / self.feature_scale_
        x = torch.from_numpy(x.astype(np.float32))
        given = g.edge_attr.numpy().astype(np.float64)
        d = self.dimensions_
        given[:, d:] = (given[:, d:] - self.length_mean_) / self.length_scale_
        given = torch.from_numpy(given.astype(np.float32))
        index = g.edge_index.numpy()
        if device.type == "cpu" and self.hidden % WIDTH == 0:
            edges = Layout.of(index, g.num_nodes)
            place = torch.from_numpy(edges.slot)
            attr = torch.zeros(edges.n_slots, -(-given.shape[1] // 4) * 4)
            attr[place, : given.shape[1]] = given
        else:
            edges, place, attr = g.edge_index, torch.arange(index.shape[1]), given
            edges = edges.to(device)
        node = field = true = edge = labelled = temperature = None
        variance = 0.0
        if targets and self.scales_["node"] and getattr(g, "node_target", None) is not None:
            y = self._standard("node", g.node_target.double())
            node, variance = y.float(), float(y.var(correction=0))
            if self.node_weights[2] > 0:
                matrix = np.asarray(cell_matrix(g.box.numpy()))[:d, :d]
                field = Field(g.position.numpy(), matrix, tuple(self.radii), self.radii_width)
                true = torch.from_numpy(field.correlations(y.numpy())[0]).float()
        if targets and self.scales_["pair"] and getattr(g, "pair_target", None) is not None:
            y = self._standard("pair", g.pair_target.double())[g.pair_index]
            known = ~torch.isnan(y)
            if known.any():
                edge, labelled = torch.zeros(len(attr)), torch.zeros(len(attr))
                edge[place] = torch.where(known, y, 0.0).float()
                labelled[place] = known.float() / known.sum()
        if targets and self.scales_["temperature"]:
            temperature = getattr(g, "temperature", None)
            if temperature is not None:
                temperature = self._standard("temperature", temperature)

        def there(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        return _Ready(
            there(x), there(attr), edges, place, self.dimensions_, there(node), variance, field,
            there(true), there(edge), there(labelled), temperature,
        )  # fmt: skip

    def _standard(self, name: str, value: Tensor | float) -> Tensor | float:
        mean, scale = self.scales_[name]
        return (value - mean) / scale

    # ------------------------------------------------------------------------------ training

    def _terms(
        self, out: tuple[Tensor, ...], graph: _Ready, *, fields: bool = True
    ) -> dict[str, Tensor]:
        """The terms of the loss that the graph has labels for, with or without those of fields."""
        node, edge, whole, _ = out
        terms = {}
        if graph.node is not None:
            terms["node"] = (node - graph.node).square().mean()
            if fields and self.node_weights[1] > 0:
                terms["variance"] = variance_loss(node, graph.node_variance)
            if fields and self.node_weights[2] > 0:
                terms["correlation"] = correlation_loss(node, graph.correlation, graph.field)
        if graph.edge is not None:
            terms["pair"] = torch.dot((edge - graph.edge).square(), graph.labelled)
        if graph.temperature is not None:
            terms["temperature"] = (whole - graph.temperature).square()
        return terms

    def _loss(self, terms: dict[str, Tensor], *, warm: bool) -> Tensor:
        mean_square, variance, correlation = self.node_weights
        weights = {
            "node": self.p * mean_square,
            "variance": self.p * variance * warm,
            "correlation": self.p * correlation * warm,
            "pair": 1 - self.p,
            "temperature": self.lam,
        }
        return sum(weights[name] * term for name, term in terms.items() if weights[name] > 0)

    def fit(
        self,
        graphs: Sequence[Data],
        validation: Sequence[Data] | None = None,
        *,
        checkpoint: str | os.PathLike | None = None,
        progress: Callable[[dict], None] | None = None,
        trained_on: dict | None = None,
    ) -> InteractionNetwork:
        """Learn from graphs, one a step in random order.

        Parameters
        ----------
        graphs : list of torch_geometric.data.Data
            Of :func:`glasslib.descriptors.pair_graph`, with targets; several temperatures mixed.
        validation : list of torch_geometric.data.Data, optional
            Graphs by which the weights are selected, see ``select``. Nothing else is learned from
            them; whoever selects by them must test on others.
        checkpoint : path, optional
            A file that is written at least every :data:`CHECKPOINT_SECONDS`, found by the next
            call with the same arguments, which goes on as if nothing had happened, and removed at
            the end.
        progress : callable, optional
            Called with each new row of ``history_``.
        trained_on : dict, optional
            Words about the training set that :meth:`save` keeps; anything that JSON can hold.

        Returns
        -------
        InteractionNetwork
            Itself.

        Raises
        ------
        ValueError
            For graphs that do not belong together, lack the targets that ``p`` and ``lam`` ask
            for, or have one temperature only with ``lam`` above 0; for another fit's checkpoint.
        FloatingPointError
            When the loss is no longer finite.
        """
        self._check_parameters()
        graphs = self._check_graphs(graphs, "graphs", known=False)
        self._learn_scales(graphs)
        if validation is not None:
            validation = self._check_graphs(validation, "validation", known=True)
        self.trained_on_ = _plain(trained_on or {}, "trained_on")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network_ = self._new_network().to(self.device)
        with own_threads():
            _Run(self, graphs, validation, checkpoint).train(progress)
        return self

    def _evaluate(self, graphs: list[_Ready], *, warm: bool) -> dict[str, float]:
        """Terms of the loss, means over graphs, and Pearson's r."""
        terms, nodes, pairs = {}, [], []
        with torch.no_grad():
            for graph in graphs:
                out = self._run(graph, graph.attr)
                for name, value in self._terms(out, graph).items():
                    terms.setdefault(name, []).append(float(value))
                if graph.node is not None:
                    nodes.append((out[0].cpu().double().numpy(), graph.node.cpu().numpy()))
                if graph.edge is not None:
                    known = (graph.labelled > 0).cpu().numpy()
                    pairs.append(
                        (out[1].cpu().double().numpy()[known], graph.edge.cpu().numpy()[known])
                    )
        row = {name: float(np.mean(terms[name])) if name in terms else None for name in TERMS}
        row["loss"] = float(self._loss({k: v for k, v in row.items() if v is not None}, warm=warm))
        row["node_r"] = _mean_r(nodes)
        row["node_r_pooled"] = _mean_r([tuple(map(np.concatenate, zip(*nodes)))]) if nodes else None
        row["pair_r"] = _mean_r(pairs)
        return row

    def _run(self, graph: _Ready, attr: Tensor) -> tuple[Tensor, ...]:
        return self.network_(graph.x, attr, graph.edges, half=self.precision == "mixed")

    # ------------------------------------------------------------------------------- results

    def predict(
        self, graphs: Data | Sequence[Data], *, n_augment: int = 8
    ) -> Prediction | list[Prediction]:
        """What the network says of a graph, or of each of a list of graphs.

        Parameters
        ----------
        graphs : Data or list of Data
        n_augment : int
            Orientations to average over, the first of :func:`orientations`: at most 8 in two
            dimensions and 48 in three, where the mean is invariant under all of them.

        Returns
        -------
        Prediction, or a list of them
        """
        self._fitted()
        single = isinstance(graphs, Data)
        graphs = self._check_graphs([graphs] if single else graphs, "graphs", known=True)
        operations = orientations(self.dimensions_)
        if isinstance(n_augment, bool) or not isinstance(n_augment, (int, np.integer)):
            raise ValueError(f"n_augment is {n_augment!r}; expected an integer.")
        if not 1 <= n_augment <= len(operations):
            raise ValueError(f"n_augment is {n_augment}; expected 1 to {len(operations)}.")
        with own_threads():
            found = [self._predict(g, operations[:n_augment]) for g in graphs]
        return found[0] if single else found

    def _predict(self, g: Data, operations: list) -> Prediction:
        graph = self._prepare(g, targets=False)
        nodes, edges, wholes, embeddings = [], 0.0, [], []
        with torch.no_grad():
            for axes, signs in operations:
                out = self._run(graph, graph.turned(axes, signs))
                node, edge, whole, embedding = (o.cpu().double().numpy() for o in out)
                nodes.append(node)
                edges = edges + edge[graph.place.numpy()] / len(operations)
                wholes.append(float(whole))
                embeddings.append(embedding)
        of_pair = np.bincount(g.pair_index.numpy(), weights=edges, minlength=len(g.pairs)) / 2

        def unit(name: str, value: np.ndarray | float) -> np.ndarray | float | None:
            if self.scales_[name] is None:
                return None
            mean, scale = self.scales_[name]
            return mean + scale * value

        node = unit("node", np.mean(nodes, axis=0))
        spread = None if node is None else self.scales_["node"][1] * np.std(nodes, axis=0)
        return Prediction(
            node,
            unit("pair", of_pair),
            unit("temperature", float(np.mean(wholes))),
            np.mean(embeddings, axis=0),
            spread,
        )

    # ----------------------------------------------------------------------------- to a file

    def save(self, path: str | os.PathLike) -> Path:
        """Write weights as safetensors, everything else as its JSON header; atomically.

        Times are left out of the history, so that the same training gives the same file.
        """
        weights = {k: v.cpu().numpy() for k, v in self._fitted().state_dict().items()}
        header = {
            "parameters": _plain(self.get_params(), "parameters"),
            "inputs": self.inputs_,
            "dimensions": self.dimensions_,
            "types": self.types_,
            "feature_mean": self.feature_mean_.tolist(),
            "feature_scale": self.feature_scale_.tolist(),
            "length_mean": self.length_mean_.tolist(),
            "length_scale": self.length_scale_.tolist(),
            "scales": self.scales_,
            "best_step": self.best_step_,
            "trained_on": self.trained_on_,
            "history": [{k: v for k, v in row.items() if k != "seconds"} for row in self.history_],
        }
        return files.write(path, FORMAT, header, weights)

    @classmethod
    def load(cls, path: str | os.PathLike, *, device: str = "cpu") -> InteractionNetwork:
        """Read what :meth:`save` wrote, onto ``device``.

        Raises
        ------
        ValueError
            If the file is missing, damaged, or holds something else or something more.
        """
        header, weights = files.read(path, FORMAT)
        expected = {
            "parameters": dict, "inputs": str, "dimensions": int, "types": list,
            "feature_mean": list, "feature_scale": list, "length_mean": list,
            "length_scale": list, "scales": dict, "best_step": int, "trained_on": dict,
            "history": list, "format": str,
        }  # fmt: skip
        _same_names(set(header), set(expected), f"the header of {path}")
        for name, kind in expected.items():
            if not isinstance(header[name], kind):
                raise ValueError(
                    f"{name} of {path} is a {type(header[name]).__name__}; expected a "
                    f"{kind.__name__}. Was the file changed?"
                )
        parameters = header["parameters"]
        _same_names(set(parameters), set(cls().get_params()), f"the parameters of {path}")
        for name in ("node_weights", "radii"):
            if isinstance(parameters[name], list):
                parameters[name] = tuple(parameters[name])
        model = cls(**{**parameters, "device": device})
        try:
            model._check_parameters()
            model._take(header)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        network = model._new_network()
        shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
        _same_names(set(weights), set(shapes), f"the weights of {path}")
        for name, value in weights.items():
            if value.shape != shapes[name] or value.dtype != np.float32:
                raise ValueError(
                    f"{name} of {path} is {value.dtype} of shape {value.shape}; expected float32 "
                    f"of {shapes[name]}."
                )
            if not np.all(np.isfinite(value)):
                raise ValueError(f"{name} of {path} is not finite; train again.")
        network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        model.network_ = network.to(device)
        return model

    def _take(self, header: dict) -> None:
        """What a file says beside the weights, checked."""
        if header["inputs"] not in INPUTS or header["dimensions"] not in (2, 3):
            raise ValueError(
                f"inputs {header['inputs']!r} in {header['dimensions']} dimensions; expected one "
                f"of {', '.join(INPUTS)} in 2 or 3."
            )
        if not header["types"] or not all(isinstance(t, str) for t in header["types"]):
            raise ValueError(f"types are {header['types']}; expected names of species.")
        count = count_edge_inputs(header["inputs"], header["dimensions"]) - header["dimensions"]
        means, scales = {}, {}
        for what, n in (("feature", None), ("length", count)):
            mean, scale = (
                np.array(header[f"{what}_{k}"], dtype=np.float64) for k in ("mean", "scale")
            )
            if mean.ndim != 1 or mean.shape != scale.shape or n not in (None, len(mean)):
                raise ValueError(
                    f"{what}_mean and {what}_scale have shapes {mean.shape} and {scale.shape}; "
                    f"expected one number a {what}."
                )
            means[what], scales[what] = mean, scale
        _same_names(set(header["scales"]), {"node", "pair", "temperature"}, "the scales")
        numbers = [
            *means.values(),
            *scales.values(),
            *(s for s in header["scales"].values() if s is not None),
        ]
        for given in numbers:
            if not np.all(np.isfinite(np.asarray(given, dtype=np.float64))):
                raise ValueError("a mean or scale is not finite; expected numbers.")
        for name, given in header["scales"].items():
            if given is not None and (len(given) != 2 or given[1] <= 0):
                raise ValueError(f"the scale of {name} is {given}; expected [mean, scale].")
        for what, scale in scales.items():
            if np.any(scale <= 0):
                raise ValueError(f"a {what}_scale is not positive.")
        self.inputs_, self.dimensions_ = header["inputs"], header["dimensions"]
        self.types_, self.n_features_ = header["types"], len(means["feature"])
        self.feature_mean_, self.feature_scale_ = means["feature"], scales["feature"]
        self.length_mean_, self.length_scale_ = means["length"], scales["length"]
        self.scales_ = {k: None if v is None else tuple(v) for k, v in header["scales"].items()}
        self.best_step_, self.trained_on_ = header["best_step"], header["trained_on"]
        self.history_ = header["history"]


class _Run:
    """One training, from the start or from where its checkpoint stopped."""

    def __init__(
        self,
        model: InteractionNetwork,
        graphs: list[Data],
        validation: list[Data] | None,
        checkpoint: str | os.PathLike | None,
    ) -> None:
        self.model, self.path = model, None if checkpoint is None else Path(checkpoint)
        self.print = _fingerprint(model, graphs, validation) if checkpoint is not None else ""
        self.network = model.network_
        self.graphs = [model._prepare(g, targets=True) for g in graphs]
        self.validation = [model._prepare(g, targets=True) for g in validation or []]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=model.lr, weight_decay=model.weight_decay, foreach=False
        )
        self.generator = torch.Generator().manual_seed(model.seed)
        self.step, self.order, self.seconds = 0, [], 0.0
        self.sums: dict[str, list[float]] = {}
        self.history: list[dict] = []
        self.best: dict[str, Tensor] | None = None
        self.best_step, self.best_score = 0, -math.inf

    def train(self, progress: Callable[[dict], None] | None) -> None:
        model = self.model
        if self.path is not None and self.path.exists():
            self._resume()
        began, written = time.perf_counter() - self.seconds, time.perf_counter()
        if not self.history:
            self._record(progress)
        while self.step < model.steps:
            self._one()
            self.seconds = time.perf_counter() - began
            if self.step % model.evaluate_every == 0 or self.step == model.steps:
                self._record(progress)
                began = time.perf_counter() - self.seconds
            if self.path is not None and time.perf_counter() - written >= CHECKPOINT_SECONDS:
                self._write()
                written = time.perf_counter()
        model.best_step_ = self.step
        if self.best is not None:
            self.network.load_state_dict(self.best)
            model.best_step_ = self.best_step
        model.history_ = self.history
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _one(self) -> None:
        """See one graph, and move the weights."""
        model, operations = self.model, orientations(self.model.dimensions_)
        if not self.order:
            self.order = torch.randperm(len(self.graphs), generator=self.generator).tolist()
        graph = self.graphs[self.order.pop()]
        attr = graph.attr
        if model.augment:
            draw = int(torch.randint(len(operations), (1,), generator=self.generator))
            attr = graph.turned(*operations[draw])
        warm = self.step >= model.warm_up
        terms = model._terms(model._run(graph, attr), graph, fields=warm)
        loss = model._loss(terms, warm=warm)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {float(loss)} at step {self.step}; lower lr, or look at the targets."
            )
        self.optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), model.clip)
        if model.lr_schedule == "cosine":
            share = 0.5 * (1 + math.cos(math.pi * self.step / model.steps))
            self.optimizer.param_groups[0]["lr"] = model.lr * share
        self.optimizer.step()
        for name, value in terms.items():
            self.sums.setdefault(name, []).append(float(value.detach()))
        self.step += 1

    def _record(self, progress: Callable[[dict], None] | None) -> None:
        model, warm = self.model, self.step > self.model.warm_up
        train = {k: float(np.mean(self.sums[k])) if k in self.sums else None for k in TERMS}
        validation = model._evaluate(self.validation, warm=warm) if self.validation else None
        row = {
            "step": self.step,
            "train": train if self.step else None,
            "validation": validation,
            "seconds": self.seconds,
        }
        self.sums = {}
        self.history.append(row)
        if validation is not None and model.select == "best":
            score = validation["node_r" if model.scales_["node"] else "pair_r"]
            if score is not None and score > self.best_score:
                self.best_score, self.best_step = score, self.step
                self.best = {k: v.clone() for k, v in self.network.state_dict().items()}
        if progress is not None:
            progress(row)

    def _write(self) -> None:
        arrays = {f"weight/{k}": v for k, v in self.network.state_dict().items()}
        if self.best is not None:
            arrays |= {f"best/{k}": v for k, v in self.best.items()}
        for name, parameter in self.network.named_parameters():
            state = self.optimizer.state.get(parameter)
            if state:
                arrays |= {f"{k}/{name}": state[k] for k in ("exp_avg", "exp_avg_sq", "step")}
        arrays["generator"] = self.generator.get_state()
        header = {
            "fit": self.print, "step": self.step, "order": self.order, "sums": self.sums,
            "history": self.history, "best_step": self.best_step,
            "best_score": None if self.best is None else self.best_score, "seconds": self.seconds,
        }  # fmt: skip
        files.write(self.path, CHECKPOINT, header, {k: v.cpu().numpy() for k, v in arrays.items()})

    def _resume(self) -> None:
        header, arrays = files.read(self.path, CHECKPOINT)
        if header.get("fit") != self.print:
            raise ValueError(
                f"{self.path} is the checkpoint of another fit (parameters, graphs or versions "
                "differ); remove it, or give another path."
            )
        try:
            tensors = {k: torch.from_numpy(v).to(self.model.device) for k, v in arrays.items()}
            self.network.load_state_dict(_part(tensors, "weight/"))
            for name, parameter in self.network.named_parameters():
                if f"step/{name}" in tensors:
                    self.optimizer.state[parameter] = {
                        "step": tensors[f"step/{name}"].cpu(),
                        "exp_avg": tensors[f"exp_avg/{name}"],
                        "exp_avg_sq": tensors[f"exp_avg_sq/{name}"],
                    }
            self.best = _part(tensors, "best/") or None
            self.generator.set_state(tensors["generator"].cpu())
            self.step, self.order, self.sums = header["step"], header["order"], header["sums"]
            self.history, self.seconds = header["history"], header["seconds"]
            if self.best is not None:
                self.best_step, self.best_score = header["best_step"], header["best_score"]
        except (KeyError, RuntimeError, TypeError) as error:
            text = str(error).splitlines()[0]
            raise ValueError(
                f"{self.path} is a damaged checkpoint ({text}); remove it and begin again."
            ) from error


# ------------------------------------------------------------------------------------ internals


def _part(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _kind(g: Data) -> tuple[str, int, int, list[str]]:
    """inputs, dimensions, number of further features, species."""
    return g.inputs, g.position.shape[1], g.x.shape[1] - 1, list(g.types)


def _numbers(values: object) -> list[float]:
    """A list of finite numbers, or an empty one."""
    try:
        found = [float(v) for v in values]
    except (TypeError, ValueError):
        return []
    return found if all(map(math.isfinite, found)) else []


def _plain(value: dict, name: str) -> dict:
    """What JSON makes of a dict."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be written as JSON ({error}).") from error


def _same_names(given: set, expected: set, what: str) -> None:
    if given != expected:
        extra, missing = sorted(given - expected), sorted(expected - given)
        raise ValueError(
            f"{what} do not fit: unknown {', '.join(extra) or 'none'}, missing "
            f"{', '.join(missing) or 'none'}; was the file written by another version?"
        )


def _mean_r(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float | None:
    """Mean over configurations of Pearson's r; 0 where a field is constant."""
    if not pairs:
        return None
    found = []
    for a, b in pairs:
        a, b = a - a.mean(), b - b.mean()
        norm = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
        found.append(float(np.sum(a * b)) / norm if norm > 0 else 0.0)
    return float(np.mean(found))


def _fingerprint(
    model: InteractionNetwork, graphs: list[Data], validation: list[Data] | None
) -> str:
    """Of everything that a fit depends on."""
    digest = hashlib.sha256()
    digest.update(json.dumps(_plain(model.get_params(), "parameters"), sort_keys=True).encode())
    digest.update(f"{CHECKPOINT} {torch.__version__} {len(graphs)}".encode())
    for g in [*graphs, *(validation or [])]:
        for name in ("x", "edge_index", "edge_attr", "position", "box", "node_target",
                     "pair_target", "temperature"):  # fmt: skip
            value = getattr(g, name, None)
            if value is not None:
                value = np.ascontiguousarray(np.asarray(value))
                digest.update(f"{name} {value.shape} {value.dtype}".encode())
                digest.update(value.tobytes())
    return digest.hexdigest()
