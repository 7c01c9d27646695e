r"""Unsupervised node embeddings by GraphSAGE (Hamilton et al. 2017; Bihani et al. 2022).

Each of *k* layers averages a node and its neighbours and passes the mean through a weight matrix
(eq. 1 of Bihani et al.)

.. math:: h_v^k = \sigma\!\left(W_k\,\mathrm{MEAN}\left(\{h_v^{k-1}\}\cup
          \{h_u^{k-1}, u \in \mathcal N(v)\}\right)\right)

with the logistic :math:`\sigma` after every layer and no bias. That is torch-geometric's
``SAGEConv(aggr="mean", root_weight=False, bias=False)`` on the graph with self-loops. The loss of
node *v* (eq. 2, whose printed second term lacks the minus sign inside the logistic) asks nodes
that meet on short random walks to look alike, and others not:

.. math:: \mathcal L_v = -\left\langle\log\sigma(s_{vu})\right\rangle_{u \in \mathrm{walks}(v)}
          - Q\left\langle\log\sigma(-s_{vn})\right\rangle_{n \sim p_n}

Nothing in it mentions energy or motion. The similarity *s* is printed as the product
:math:`z_v^T z_u`; the authors' public code has the cosine. It matters: the components of *z* are
logistic outputs, so no product is negative, and with ten negatives a node the way down is to
switch all of them off. Training with the product ends at :math:`z \to 0` and the loss at
:math:`(1 + Q)\log 2` whatever the structure. ``similarity="cosine"`` is therefore the default, and
``"dot"`` is there to see the collapse.

Readings of what the paper leaves open, each taken from the text or from the authors' public code:

* **positives** are the nodes that a walk *starting at v* visits, *v* itself left out;
* **negatives** are Q nodes drawn uniformly from the same graph, redrawn if they are *v* or met it
  on a walk ("node pairs that do not co-occur in random walks");
* **graph batch 5, node batch 250**: one optimiser step gathers the losses of five graphs, the
  nodes of each taken 250 at a time; the step's loss is the sum over node batches of their mean,
  averaged over the five graphs;
* **number of epochs**: not given; see :class:`GraphSAGE`.

Without coordinates (``features="type"``) the bond lengths must carry the geometry, and SAGEConv
has no edge inputs. The nearest layer of the library that has is ``GINEConv``; with mean
aggregation, and the logistic as before,

.. math:: h_v^k = \sigma\!\left(W_k\left[h_v^{k-1} + \left\langle\mathrm{ReLU}\left(h_u^{k-1} +
          E_k\,g(d_{uv})\right)\right\rangle_{u \in \mathcal N(v)}\right]\right)

where :math:`g(d)` is the bond length spread over 16 Gaussians and :math:`h^0` is a linear map of
the species.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GINEConv, SAGEConv
from torch_geometric.nn.models.schnet import GaussianSmearing
from torch_geometric.utils import add_self_loops

from glasslib.descriptors.graphs import FEATURES
from glasslib.models import files

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "glasslib.GraphSAGE/1"
#: Range over which bond lengths are spread, σ_AA, and the number of Gaussians.
SMEARING = (0.6, 2.0, 16)
TRIES = 10  #: redraws of a negative node that was met on a walk


class Network(torch.nn.Module):
    """The layers of :class:`GraphSAGE`, as a plain torch module.

    Parameters
    ----------
    in_channels : int
        Columns of the graphs' ``x``.
    features : {"coordinates", "type"}
    hidden, layers : int
    """

    def __init__(self, in_channels: int, features: str, hidden: int, layers: int) -> None:
        super().__init__()
        self.features = features
        if features == "coordinates":
            widths = [in_channels] + [hidden] * layers
            self.convs = torch.nn.ModuleList(
                SAGEConv(a, b, aggr="mean", root_weight=False, bias=False)
                for a, b in zip(widths, widths[1:], strict=False)
            )
        else:
            self.embed = torch.nn.Linear(in_channels, hidden)
            self.smear = GaussianSmearing(*SMEARING)
            self.convs = torch.nn.ModuleList(
                GINEConv(torch.nn.Linear(hidden, hidden), edge_dim=SMEARING[2], aggr="mean")
                for _ in range(layers)
            )

    def forward(self, data: Data) -> Tensor:
        """(N, hidden) embeddings of a graph or of a batch of them."""
        if self.features == "coordinates":
            h = data.x
            edges, _ = add_self_loops(data.edge_index, num_nodes=data.num_nodes)
            for conv in self.convs:
                h = torch.sigmoid(conv(h, edges))
        else:
            h, g = self.embed(data.x), self.smear(data.edge_attr)
            for conv in self.convs:
                h = torch.sigmoid(conv(h, data.edge_index, g))
        return h


def random_walks(
    edge_index: Tensor,
    num_nodes: int,
    *,
    walk_length: int,
    walks: int,
    generator: torch.Generator,
) -> Tensor:
    """Uniform random walks from every node at once.

    torch-geometric's own walks (``Node2Vec``, ``dropout_path``) call ``torch.ops.pyg.random_walk``,
    which only the compiled extension pyg-lib provides; these few lines need none.

    Parameters
    ----------
    edge_index : (2, n_bonds) int64 tensor
        Both directions of each bond, sorted by source.
    num_nodes, walk_length, walks : int
    generator : torch.Generator

    Returns
    -------
    (num_nodes, walks, walk_length) int64 tensor
        Nodes visited after 1, 2, … steps. A walker on a node without neighbours stays there.
    """
    source, target = edge_index
    degree = torch.bincount(source, minlength=num_nodes)
    first = torch.cumsum(degree, 0) - degree
    here = torch.arange(num_nodes).repeat_interleave(walks)
    visited = torch.empty(num_nodes * walks, walk_length, dtype=torch.int64)
    for step in range(walk_length):
        choice = (torch.rand(len(here), generator=generator) * degree[here]).long()
        # rand() * degree may round up to degree in float32.
        choice = torch.minimum(choice, (degree[here] - 1).clamp(min=0))
        moves = degree[here] > 0
        onward = here.clone()
        onward[moves] = target[(first[here] + choice)[moves]]
        here = onward
        visited[:, step] = here
    return visited.view(num_nodes, walks, walk_length)


def negative_nodes(
    positives: Tensor, ptr: Tensor, *, negatives: int, generator: torch.Generator
) -> Tensor:
    """Nodes of the same graph that did not meet on a walk, drawn uniformly.

    Parameters
    ----------
    positives : (N, n) int64 tensor
        Nodes that walks from each node visited, numbered through the batch.
    ptr : (n_graphs + 1,) int64 tensor
        Where each graph's nodes begin, and N.
    negatives : int
    generator : torch.Generator

    Returns
    -------
    (N, negatives) int64 tensor
        In a graph so small that walks reach every node some stay positive after ``TRIES`` redraws.
    """
    n = len(positives)
    sizes = ptr.diff()
    start, size = ptr[:-1].repeat_interleave(sizes), sizes.repeat_interleave(sizes)
    node = torch.arange(n)
    met = torch.cat([positives, node[:, None]], dim=1)

    def draw(rows: Tensor) -> Tensor:
        r = torch.rand(len(rows), generator=generator, dtype=torch.float64)
        return start[rows] + (r * size[rows]).long()

    rows = node.repeat_interleave(negatives)
    drawn = draw(rows)
    pending = torch.arange(len(rows))
    for _ in range(TRIES):
        pending = pending[(drawn[pending, None] == met[rows[pending]]).any(dim=1)]
        if len(pending) == 0:
            break
        drawn[pending] = draw(rows[pending])
    return drawn.view(n, negatives)


def node_batch_weights(ptr: Tensor, node_batch: int, generator: torch.Generator) -> Tensor:
    """(N,) weights by which a sum over nodes becomes the sum, over node batches, of their means."""
    weights = torch.empty(int(ptr[-1]))
    for begin, end in zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True):
        order = begin + torch.randperm(end - begin, generator=generator)
        for chunk in order.split(node_batch):
            weights[chunk] = 1.0 / len(chunk)
    return weights


def walk_loss(
    z: Tensor, positives: Tensor, negatives: Tensor, *, similarity: str = "cosine"
) -> Tensor:
    """Loss of each node of one graph, eq. 2 with the sign of its second term put right.

    Parameters
    ----------
    z : (N, hidden) float tensor
    positives : (N, n) int64 tensor
        Visited nodes; returns to the node itself are not counted.
    negatives : (N, Q) int64 tensor
    similarity : {"cosine", "dot"}

    Returns
    -------
    (N,) float tensor
        A node whose walks never left it has no positive term.
    """
    log_sigmoid = torch.nn.functional.logsigmoid
    # All N² products at once, then a look-up: for the few hundred to thousand particles of a
    # snapshot three times as fast as gathering the vectors of every pair.
    if similarity == "cosine":
        z = torch.nn.functional.normalize(z, dim=1)
    product = z @ z.T
    counted = (positives != torch.arange(len(z))[:, None]).to(z.dtype)
    similar = log_sigmoid(product.gather(1, positives))
    similar = (similar * counted).sum(1) / counted.sum(1).clamp(min=1)
    different = log_sigmoid(-product.gather(1, negatives)).mean(1)
    return -similar - negatives.shape[1] * different


class GraphSAGE(BaseEstimator):
    """Unsupervised embeddings of the nodes of graphs, after Bihani et al. (2022).

    Parameters
    ----------
    features : {"coordinates", "type"}
        What the graphs carry, see :func:`glasslib.descriptors.graphs.graph`. Decides the layer:
        ``SAGEConv`` or, with bond lengths, ``GINEConv``.
    similarity : {"cosine", "dot"}
        Of two embeddings in the loss. ``"dot"`` is printed in the paper and collapses,
        ``"cosine"`` is what its code does; see the module's text.
    hidden : int
        Width of every layer and of the embedding.
    layers : int
        k of the paper: how many bonds away a node sees.
    walk_length, walks : int
        Steps of a walk (L), and walks from each node in each epoch.
    negatives : int
        Q, the number of negative nodes and the weight of their mean.
    epochs : int
        Passes over the training graphs; ``0`` gives the untrained network. The paper gives none;
        50 is the default of the authors' public script. On chapter 1's structures most of the
        rise of the walk-test AUC on validation graphs is over by then; it still creeps upwards.
    lr : float
        Of Adam.
    graph_batch, node_batch : int
        See the module's text.
    clip : float
        Largest norm of the gradient.
    seed : int
        Of weights, order, walks and negatives. With the number of torch threads it fixes the
        result bit by bit.

    Attributes
    ----------
    network_ : Network
    n_graphs_ : int
        Graphs it was trained on.
    history_ : list of dict
        One row an epoch, the first before training: ``epoch``, ``loss`` (mean per node over the
        epoch; ``None`` in the first row), ``validation_auc`` (``None`` without validation
        graphs), ``seconds`` since the start of training, validation left out.

    Examples
    --------
    >>> from glasslib import frames
    >>> from glasslib.descriptors import graph
    >>> ring = frames.build([[0, 0], [1, 0], [1, 1], [0, 1]], 9.0, [0] * 4, types=["A"],
    ...                     dimensions=2)
    >>> model = GraphSAGE(hidden=8, epochs=1).fit([graph(ring, 1.2)])
    >>> model.transform(graph(ring, 1.2)).shape
    (4, 8)
    """

    def __init__(
        self,
        *,
        features: str = "coordinates",
        similarity: str = "cosine",
        hidden: int = 64,
        layers: int = 2,
        walk_length: int = 4,
        walks: int = 10,
        negatives: int = 10,
        epochs: int = 50,
        lr: float = 0.01,
        graph_batch: int = 5,
        node_batch: int = 250,
        clip: float = 5.0,
        seed: int = 0,
    ) -> None:
        self.features = features
        self.similarity = similarity
        self.hidden = hidden
        self.layers = layers
        self.walk_length = walk_length
        self.walks = walks
        self.negatives = negatives
        self.epochs = epochs
        self.lr = lr
        self.graph_batch = graph_batch
        self.node_batch = node_batch
        self.clip = clip
        self.seed = seed

    # ------------------------------------------------------------------------------- checks

    def _check_parameters(self) -> None:
        if self.features not in FEATURES:
            raise ValueError(f"features is {self.features!r}; expected one of {FEATURES}.")
        if self.similarity not in ("cosine", "dot"):
            raise ValueError(f"similarity is {self.similarity!r}; expected 'cosine' or 'dot'.")
        for name, least in (
            ("hidden", 1),
            ("layers", 1),
            ("walk_length", 1),
            ("walks", 1),
            ("negatives", 1),
            ("epochs", 0),
            ("graph_batch", 1),
            ("node_batch", 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"{name} is {value!r}; expected an integer of at least {least}.")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if not np.isfinite(value) or value <= 0:
                raise ValueError(f"{name} is {value!r}; expected a positive number.")

    def _check_graphs(self, graphs: Sequence[Data], channels: int | None) -> int:
        if isinstance(graphs, Data) or not len(graphs):
            raise ValueError("graphs is one graph or empty; expected a list of graphs: [graph].")
        for i, g in enumerate(graphs):
            if not isinstance(g, Data) or g.x is None or g.edge_index is None:
                raise TypeError(
                    f"graph {i} is a {type(g).__name__} without x or edge_index; make it by "
                    "glasslib.descriptors.graph(frame, cutoffs)."
                )
            if self.features == "type" and g.edge_attr is None:
                raise ValueError(
                    f"graph {i} has no bond lengths; with features='type' make it by "
                    "graph(frame, cutoffs, features='type')."
                )
            channels = g.num_features if channels is None else channels
            if g.num_features != channels:
                raise ValueError(
                    f"graph {i} has {g.num_features} node features; expected {channels}. Were "
                    "all graphs made with the same features and species?"
                )
            if self.features == "coordinates" and g.edge_attr is not None:
                raise ValueError(
                    f"graph {i} was made with features='type'; this model has "
                    "features='coordinates'. Make both the same."
                )
        return channels

    def _fitted(self) -> Network:
        if not hasattr(self, "network_"):
            raise NotFittedError("this GraphSAGE has no weights yet; call fit or load first.")
        return self.network_

    # ------------------------------------------------------------------------------ training

    def fit(
        self,
        graphs: Sequence[Data],
        validation: Sequence[Data] | None = None,
        *,
        callback: Callable[[dict], None] | None = None,
    ) -> GraphSAGE:
        """Learn the weights from walks on ``graphs``.

        Parameters
        ----------
        graphs : list of torch_geometric.data.Data
        validation : list of torch_geometric.data.Data, optional
            Graphs on which the walk test is scored after each epoch. Nothing is learned from
            them and training does not stop on them.
        callback : callable, optional
            Called with each new row of ``history_``.

        Returns
        -------
        GraphSAGE
            Itself.
        """
        self._check_parameters()
        channels = self._check_graphs(graphs, None)
        if validation is not None:
            self._check_graphs(validation, channels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network_ = Network(channels, self.features, self.hidden, self.layers)
        self.in_channels_, self.n_graphs_ = channels, len(graphs)
        self.history_ = []
        generator = torch.Generator().manual_seed(self.seed)
        optimizer = torch.optim.Adam(self.network_.parameters(), lr=self.lr)
        seconds = 0.0
        for epoch in range(self.epochs + 1):
            began, loss = time.perf_counter(), None
            if epoch:
                order = torch.randperm(len(graphs), generator=generator).split(self.graph_batch)
                loss = float(
                    np.mean(
                        [self._step([graphs[i] for i in b], optimizer, generator) for b in order]
                    )
                )
            seconds += time.perf_counter() - began if epoch else 0.0
            auc = None
            if validation is not None:
                auc = float(self.walk_auc(validation, walks=min(2, self.walks)).mean())
            row = {"epoch": epoch, "loss": loss, "validation_auc": auc, "seconds": seconds}
            self.history_.append(row)
            if callback is not None:
                callback(row)
        return self

    def _step(
        self, graphs: list[Data], optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> float:
        """One optimiser step on a few graphs; returns the mean loss of their nodes."""
        batch = Batch.from_data_list(graphs)
        positives = random_walks(
            batch.edge_index,
            batch.num_nodes,
            walk_length=self.walk_length,
            walks=self.walks,
            generator=generator,
        ).flatten(1)
        negatives = negative_nodes(
            positives, batch.ptr, negatives=self.negatives, generator=generator
        )
        weights = node_batch_weights(batch.ptr, self.node_batch, generator)
        z = self.network_(batch)
        spans = [slice(a, b) for a, b in zip(batch.ptr[:-1], batch.ptr[1:], strict=True)]
        losses = torch.cat(
            [
                walk_loss(
                    z[s], positives[s] - s.start, negatives[s] - s.start, similarity=self.similarity
                )
                for s in spans
            ]
        )
        optimizer.zero_grad()
        ((losses * weights).sum() / len(graphs)).backward()
        torch.nn.utils.clip_grad_norm_(self.network_.parameters(), self.clip)
        optimizer.step()
        return float(losses.detach().mean())

    # ------------------------------------------------------------------------------- results

    def transform(self, graphs: Data | Sequence[Data]) -> np.ndarray | list[np.ndarray]:
        """Embeddings of the nodes of a graph, or of each of a list of graphs.

        Returns
        -------
        (N, hidden) float32 array, or a list of them
            Every component lies between 0 and 1, the range of the logistic.
        """
        network = self._fitted()
        single = isinstance(graphs, Data)
        graphs = [graphs] if single else list(graphs)
        self._check_graphs(graphs, self.in_channels_)
        with torch.no_grad():
            found = [network(g).numpy() for g in graphs]
        return found[0] if single else found

    def walk_auc(
        self,
        graphs: Data | Sequence[Data],
        *,
        walk_length: int | None = None,
        walks: int | None = None,
        seed: int = 0,
    ) -> np.ndarray:
        """Area under the ROC curve of the random-walk test, graph by graph.

        Do two nodes that meet on a walk have a larger cosine similarity than two that do not?
        Pairs (start, visited) of fresh walks against as many pairs (start, uniformly drawn node
        that was not visited).

        Parameters
        ----------
        graphs : Data or list of Data
        walk_length, walks : int, optional
            Those of the model unless given.
        seed : int
            Of the walks of the test, which are the same for every model.

        Returns
        -------
        (n_graphs,) float64 array
            0.5 for chance, 1 for perfect.
        """
        from sklearn.metrics import roc_auc_score

        graphs = [graphs] if isinstance(graphs, Data) else list(graphs)
        generator = torch.Generator().manual_seed(seed)
        scores = []
        for g, z in zip(graphs, self.transform(graphs), strict=True):
            positives = random_walks(
                g.edge_index,
                g.num_nodes,
                walk_length=self.walk_length if walk_length is None else walk_length,
                walks=self.walks if walks is None else walks,
                generator=generator,
            ).flatten(1)
            negatives = negative_nodes(
                positives,
                torch.tensor([0, g.num_nodes]),
                negatives=positives.shape[1],
                generator=generator,
            )
            unit = torch.nn.functional.normalize(torch.from_numpy(z), dim=1)
            cosine = unit @ unit.T
            away = positives != torch.arange(g.num_nodes)[:, None]
            similar = cosine.gather(1, positives)[away].numpy()
            different = cosine.gather(1, negatives)[away].numpy()
            if not len(similar):
                raise ValueError("a graph has no bonds, so no walk leaves its node; check cutoffs.")
            truth = np.repeat([1, 0], [len(similar), len(different)])
            scores.append(roc_auc_score(truth, np.concatenate([similar, different])))
        return np.array(scores)

    # ----------------------------------------------------------------------------- to a file

    def save(self, path: str | os.PathLike) -> Path:
        """Write weights as safetensors, parameters and history as its JSON header; atomically.

        Times are left out of the history, so that the same training gives the same file.
        """
        weights = {k: v.numpy() for k, v in self._fitted().state_dict().items()}
        header = {
            "parameters": self.get_params(),
            "in_channels": self.in_channels_,
            "n_graphs": self.n_graphs_,
            "history": [{k: v for k, v in row.items() if k != "seconds"} for row in self.history_],
        }
        return files.write(path, FORMAT, header, weights)

    @classmethod
    def load(cls, path: str | os.PathLike) -> GraphSAGE:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is missing, damaged, or holds something else.
        """
        header, weights = files.read(path, FORMAT)
        expected = {
            "format": files.is_text, "parameters": files.is_object, "n_graphs": files.is_integer,
            "in_channels": lambda value: files.is_integer(value, 1), "history": files.is_rows,
        }  # fmt: skip
        files.check_names(path, "header", header, expected)
        model = cls(**files.check_parameters(path, header["parameters"], cls()))
        try:
            model._check_parameters()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        # before a network of whatever size the header claims is made
        wide = model.hidden if model.layers > 1 or model.features == "type" else 1
        held = sum(w.size for w in weights.values())
        if model.layers > len(weights) or model.hidden * max(header["in_channels"], wide) > held:
            raise ValueError(
                f"{path} holds {held} weights in {len(weights)} arrays, too few for {model.layers} "
                f"layers of {model.hidden} of {header['in_channels']} channels. Train and save the "
                "model anew."
            )
        model.in_channels_ = header["in_channels"]
        model.n_graphs_ = header["n_graphs"]
        model.history_ = header["history"]
        model.network_ = Network(model.in_channels_, model.features, model.hidden, model.layers)
        expected = {k: tuple(v.shape) for k, v in model.network_.state_dict().items()}
        files.check_arrays(path, weights, expected)
        model.network_.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        return model
