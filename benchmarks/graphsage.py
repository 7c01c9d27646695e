"""Epoch time of glasslib's GraphSAGE beside a plain one with the same settings, in one run.

The plain one goes node by node, in the manner of the public research code: Python sets for
neighbours, a Python loop for each walk, a dense averaging mask for the nodes of a batch, a loop
over nodes in the loss. It is also an oracle: with the same weights the two mean losses must agree
within the scatter of their walks.

    python benchmarks/graphsage.py [--graphs 10] [--threads 1]
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import torch
from torch.nn.functional import cosine_similarity, logsigmoid

from glasslib import book, frames, systems
from glasslib.descriptors import graph
from glasslib.models import GraphSAGE


class Plain:
    """GraphSAGE of eq. 1, two layers, trained node by node."""

    def __init__(self, model: GraphSAGE, weights: list[torch.Tensor]) -> None:
        self.settings = model
        self.weights = [w.clone().requires_grad_() for w in weights]
        self.optimizer = torch.optim.Adam(self.weights, lr=model.lr)

    def embed(self, nodes: list[int], x: torch.Tensor, neighbours: list[set[int]]) -> torch.Tensor:
        """Embeddings of some nodes from those of their neighbours, layer by layer."""
        needed = [nodes]
        for _ in self.weights:
            needed.insert(0, sorted(set().union(*({v} | neighbours[v] for v in needed[0]))))
        h = x[needed[0]]
        for lower, upper, w in zip(needed, needed[1:], self.weights):
            column = {v: i for i, v in enumerate(lower)}
            mask = torch.zeros(len(upper), len(lower))
            for row, v in enumerate(upper):
                for u in {v} | neighbours[v]:
                    mask[row, column[u]] = 1.0
            h = torch.sigmoid((mask / mask.sum(1, keepdim=True)) @ h @ w.T)
        return h

    def batch_loss(
        self, nodes: list[int], x: torch.Tensor, neighbours: list[set[int]]
    ) -> torch.Tensor:
        """Mean loss of a batch of nodes of one graph."""
        s, positive, negative = self.settings, {}, {}
        for v in nodes:
            positive[v] = []
            for _ in range(s.walks):
                here = v
                for _ in range(s.walk_length):
                    here = random.choice(list(neighbours[here]))
                    if here != v:
                        positive[v].append(here)
            others = list(set(range(len(x))) - set(positive[v]) - {v})
            negative[v] = random.choices(others, k=s.negatives)
        unique = sorted(
            set(nodes).union(*(positive[v] for v in nodes), *(negative[v] for v in nodes))
        )
        z = self.embed(unique, x, neighbours)
        index = {v: i for i, v in enumerate(unique)}
        losses = []
        for v in nodes:
            own = z[index[v]][None]
            near = cosine_similarity(own, z[[index[u] for u in positive[v]]])
            far = cosine_similarity(own, z[[index[u] for u in negative[v]]])
            losses.append(-logsigmoid(near).mean() - s.negatives * logsigmoid(-far).mean())
        return torch.stack(losses).mean()

    def epoch(self, graphs: list, neighbours: list[list[set[int]]]) -> float:
        """One pass; an optimiser step each ``graph_batch`` graphs. Returns the mean loss."""
        s, order, means = self.settings, list(range(len(graphs))), []
        random.shuffle(order)
        for begin in range(0, len(order), s.graph_batch):
            batch, total = order[begin : begin + s.graph_batch], 0.0
            for g in batch:
                nodes = list(range(graphs[g].num_nodes))
                random.shuffle(nodes)
                for first in range(0, len(nodes), s.node_batch):
                    loss = self.batch_loss(
                        nodes[first : first + s.node_batch], graphs[g].x, neighbours[g]
                    )
                    means.append(loss.item())
                    total = total + loss / len(batch)
            self.optimizer.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(self.weights, s.clip)
            self.optimizer.step()
        return float(np.mean(means))


def adjacency(data) -> list[set[int]]:
    found = [set() for _ in range(data.num_nodes)]
    for u, v in data.edge_index.T.tolist():
        found[u].add(v)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--graphs", type=int, default=10, help="graphs of 500 nodes an epoch")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--repeats", type=int, default=3, help="epochs each; the fastest counts")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    random.seed(0)
    files = sorted(book.data(1).glob("melt?-rate3e-0[3-6].gsd"))
    if not files:
        raise SystemExit(f"no structures in {book.data(1)}; make them by: make data CHAPTER=1")
    cutoffs = systems.get("bihani-2d").bond_cutoffs
    structures = [f for path in files for f in frames.read(path)][: given.graphs]
    graphs = [graph(f, cutoffs) for f in structures]
    neighbours = [adjacency(g) for g in graphs]

    start = GraphSAGE(epochs=0).fit(graphs)
    plain = Plain(start, list(start.network_.state_dict().values()))
    ours = GraphSAGE(epochs=given.repeats)
    marks, losses, seconds = [], [], []
    for _ in range(given.repeats):
        began, cpu = time.perf_counter(), time.process_time()
        losses.append(plain.epoch(graphs, neighbours))
        seconds.append((time.perf_counter() - began, time.process_time() - cpu))

    def clock(row: dict) -> None:
        marks.append((time.perf_counter(), time.process_time()))

    ours.fit(graphs, callback=clock)
    rows = {"plain": np.min(seconds, axis=0), "glasslib": np.diff(marks, axis=0).min(axis=0)}
    found = {"plain": losses, "glasslib": [r["loss"] for r in ours.history_[1:]]}
    print(f"{len(graphs)} graphs of 500 nodes, {given.threads} thread(s), best of {given.repeats}")
    print(f"{'':10s}{'wall s/epoch':>14s}{'CPU s/epoch':>14s}   mean loss by epoch")
    for name, (wall, cpu) in rows.items():
        text = " ".join(f"{v:.3f}" for v in found[name])
        print(f"{name:10s}{wall:14.2f}{cpu:14.2f}   {text}")
    wall, cpu = rows["plain"] / rows["glasslib"]
    print(f"glasslib is {wall:.0f} times as fast by the clock, {cpu:.0f} times by CPU time")


if __name__ == "__main__":
    main()
