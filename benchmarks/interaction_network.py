"""A training step of glasslib's InteractionNetwork beside a plain one, in one run.

    python benchmarks/interaction_network.py [--n 4096] [--repeats 3] [--threads 1 2]

A step is forward, all three losses and backward, of one Kob-Andersen liquid with edges within 2.0
in its inherent structure. The plain one is what the equations say, in torch: 256 → 64 → 64 on every
edge with everything concatenated, autograd, float32, and N x N matrices for the correlation term.
Both have the same weights, so that the losses must agree: to 1e-6 in float32, to 1e-2 in mixed
precision. Each number of threads and each kind runs in a process of its own, for its peak memory,
one after the other in every round; seconds are medians over rounds of the CPU time of a step, so
that other work on the machine slows all alike, and those by the clock stand beside them. Writes
``benchmarks/results/interaction_network.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from engines import machine
from torch.nn.functional import linear, relu

from glasslib import book, frames, simulate, systems
from glasslib.descriptors import pair_graph
from glasslib.models import InteractionNetwork
from glasslib.models.message_passing import own_threads

RESULTS = Path(__file__).parent / "results" / "interaction_network.json"
KINDS = ("plain", "float32", "mixed")
REQUIRED = {"float32": 2.0, "mixed": 4.0}  #: times as fast as the plain one
AGREEMENT = {"float32": 1e-6, "mixed": 1e-2}  #: relative difference of the loss
MEMORY = 0.5  #: of the plain one's peak, at most


def liquid(n: int) -> frames.Frame:
    """A liquid that is short of equilibrium and dense as one, with its inherent structure."""
    system = systems.get("kob-andersen-force-shifted")
    frame = simulate.liquid(system, kT=0.64, n=n, melt_time=2.0, duration=1.0)
    relaxed = simulate.inherent_structure(frame, system, force_tolerance=1e-2)
    return frames.copy(
        frame, log={"particles/inherent_position": np.array(relaxed.particles.position)}
    )


def labelled(frame: frames.Frame, kT: float):
    """Its graph, with labels that are smooth in space and of the right size."""
    bare = pair_graph(frame)
    rng = np.random.default_rng(0)
    phase = frame.particles.position @ np.array([0.8, 0.4, -0.4])
    return pair_graph(
        frame, node_target=np.sin(phase) + rng.normal(0, 0.5, len(phase)),
        pair_target=rng.normal(0, 0.3, len(bare.pairs)), temperature=kT,
    )  # fmt: skip


def mlp(layers, x, *, last: bool = True):
    for k, layer in enumerate(layers):
        x = linear(x, layer.weight, layer.bias)
        x = relu(x) if last or k + 1 < len(layers) else x
    return x


def plain_step(model: InteractionNetwork, g, ready) -> float:
    """Loss and gradient, each operation as it is written on paper."""
    net, (source, target) = model.network_, g.edge_index
    first, h0 = mlp(net.node_encoder, ready.x), mlp(net.edge_encoder, ready.attr[ready.place])
    node, h, u = first, h0, torch.zeros(net.hidden)
    for _ in range(net.n_steps):
        h = mlp(net.edge_update, torch.cat([node[source], node[target], h, h0], dim=1))
        total = torch.zeros_like(node).index_add(0, target, h)
        node = mlp(net.node_update, torch.cat([node, first, total], dim=1))
        u = mlp(net.global_update, torch.cat([u, node.mean(0)]))
    y = mlp(net.node_decoder, node, last=False)[:, 0]
    edge = mlp(net.edge_decoder, h, last=False)[:, 0]
    whole = mlp(net.global_decoder, u, last=False)[0]

    box, delta = g.box[:3].float(), y - y.mean()
    with torch.no_grad():
        apart = g.position[:, None] - g.position[None]
        distance = torch.linalg.vector_norm(apart - box * torch.round(apart / box), dim=2)
        w = [torch.exp(-0.5 * (distance - r) ** 2) for r in model.radii]
        norms = [m.sum(1) for m in w]
    c = torch.stack(
        [(delta * (m @ delta) / n).sum() / (delta**2).sum() for m, n in zip(w, norms, strict=True)]
    )
    spread = (ready.correlation[0] - ready.correlation[-1]).abs().clamp(min=1e-2)
    terms = {
        "node": (y - ready.node).square().mean(),
        "variance": (y.var(correction=0) - ready.node_variance).abs() / ready.node_variance,
        "correlation": (c - ready.correlation).abs().sum() / spread,
        "pair": (edge - ready.edge[ready.place]).square().mean(),
        "temperature": (whole - ready.temperature).square(),
    }
    loss = model._loss(terms, warm=True)
    loss.backward()
    return float(loss.detach())


def our_step(model: InteractionNetwork, g, ready) -> float:
    with own_threads():
        loss = model._loss(model._terms(model._run(ready, ready.attr), ready), warm=True)
        loss.backward()
    return float(loss.detach())


def one(kind: str, threads: int, path: str, steps: int) -> dict:
    """Some steps in this process, the first of them unseen."""
    torch.set_num_threads(threads)
    frame = frames.read(path)[0]
    graphs = [labelled(frame, kT) for kT in (0.5, 0.64)]
    model = InteractionNetwork(steps=0, precision="mixed" if kind == "mixed" else "float32")
    model.fit(graphs)
    ready = model._prepare(graphs[0], targets=True)
    step = plain_step if kind == "plain" else our_step
    seconds = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(steps + 1):
        model.network_.zero_grad()
        wall, cpu = time.perf_counter(), time.process_time()
        loss = step(model, graphs[0], ready)
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = np.median(seconds[1:], axis=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "wall": wall, "cpu": cpu, "loss": loss, "peak_mb": peak / 1024, "idle_mb": before / 1024,
        "edges": len(ready.place),
    }  # fmt: skip


def main() -> int:
    """Measure, print a table, write the results; 1 if a requirement is not met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--steps", type=int, default=2, help="steps of each in a round")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, threads, path = options.one
        print(json.dumps(one(kind, int(threads), path, options.steps)))
        return 0
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "liquid.gsd"
        frames.write(path, [liquid(options.n)])
        found: dict[tuple, list[dict]] = {}
        for turn in range(options.repeats):
            for threads in options.threads:
                for kind in KINDS if turn % 2 else KINDS[::-1]:
                    command = [
                        sys.executable, __file__, "--steps", str(options.steps), "--one", kind,
                        str(threads), str(path),
                    ]  # fmt: skip
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    row = json.loads(done.stdout.splitlines()[-1])
                    found.setdefault((kind, threads), []).append(row)
    enough = True
    head = f"{'':9s}{'threads':>8s}{'CPU s':>8s}{'clock s':>9s}{'faster':>8s}"
    print(head + f"{'peak MB':>9s}{'loss differs':>14s}")
    for threads in options.threads:
        plain = found["plain", threads]
        for kind in KINDS:
            rows = found[kind, threads]
            ratio = {
                clock: float(np.median([a[clock] / b[clock] for a, b in zip(plain, rows)]))
                for clock in ("cpu", "wall")
            }
            run = {
                "kind": kind, "threads": threads, "edges": rows[0]["edges"],
                "cpu_seconds": float(np.median([r["cpu"] for r in rows])),
                "wall_seconds": float(np.median([r["wall"] for r in rows])),
                "times_as_fast_cpu": ratio["cpu"], "times_as_fast_wall": ratio["wall"],
                "peak_mb": float(np.median([r["peak_mb"] for r in rows])),
                "before_mb": float(np.median([r["idle_mb"] for r in rows])),
                "loss": rows[0]["loss"],
                "loss_difference": abs(rows[0]["loss"] / plain[0]["loss"] - 1),
            }  # fmt: skip
            runs.append(run)
            if kind != "plain":
                enough &= run["times_as_fast_cpu"] >= REQUIRED[kind]
                enough &= run["loss_difference"] <= AGREEMENT[kind]
                peak = float(np.median([r["peak_mb"] for r in plain]))
                enough &= run["peak_mb"] <= MEMORY * peak
            print(
                f"{kind:9s}{threads:8d}{run['cpu_seconds']:8.3f}{run['wall_seconds']:9.3f}"
                f"{run['times_as_fast_cpu']:8.2f}{run['peak_mb']:9.0f}"
                f"{run['loss_difference']:14.1e}", flush=True,
            )  # fmt: skip
    book.write_json(
        RESULTS,
        {
            "machine": machine(), "particles": options.n, "required": REQUIRED,
            "agreement": AGREEMENT, "memory": MEMORY, "met": bool(enough),
            "rounds": options.repeats, "runs": runs,
        },
    )  # fmt: skip
    print(f"{REQUIRED} times as fast required: {'met' if enough else 'NOT met'}")
    return 0 if enough else 1


if __name__ == "__main__":
    raise SystemExit(main())
