"""Training of one snapshot's autoencoder, beside peers with the same settings, in one run.

    python benchmarks/autoencoder.py [--rows 2000] [--epochs 30] [--repeats 5]

Peers: scikit-learn's ``MLPRegressor`` of the same shape that learns its own input (its bottleneck
has a tanh too, there is one activation for all layers), and partycls's autoencoder, which is that
regressor with its own settings, where it is installed. All get the same rows, batches, learning
rate and number of epochs, and take turns, beginning with either in alternation; CPU
seconds, so that other work on the machine slows both alike. Writes
``benchmarks/results/autoencoder.json``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from engines import machine
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from glasslib import book
from glasslib.models.autoencoder import Autoencoder, OrderParameter

RESULTS = Path(__file__).parent / "results" / "autoencoder.json"
REQUIRED = 1.0  #: CPU seconds of the peer over ours, at least
LIMIT = 5.0  #: CPU seconds for a snapshot as the pages train it


def snapshot(n: int) -> np.ndarray:
    """Standardised rows with the spectrum that eight bond order parameters have in hard spheres."""
    rng = np.random.default_rng(0)
    share = [0.474, 0.165, 0.129, 0.082, 0.058, 0.048, 0.035, 0.009]
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    z = rng.normal(size=(n, 8)) * np.sqrt(share)
    z[:, 1] += 0.5 * z[:, 0] ** 2
    turn[0] = np.abs(turn[0])  # the first component is the overall order
    X = z @ turn
    return (X - X.mean(axis=0)) / X.std(axis=0)


def ours(X: np.ndarray, epochs: int) -> float:
    """Fraction of variance explained."""
    model = Autoencoder(epochs=epochs, patience=epochs + 1).fit(X)
    return model.explained_variance(X)


def scikit_learn(X: np.ndarray, epochs: int) -> float:
    like = Autoencoder()
    model = MLPRegressor(
        hidden_layer_sizes=(10 * X.shape[1], 2, 10 * X.shape[1]), activation="tanh", solver="adam",
        alpha=like.weight_decay, batch_size=like.batch_size, max_iter=epochs,
        learning_rate_init=like.learning_rate, early_stopping=True,
        validation_fraction=like.validation_fraction, n_iter_no_change=epochs + 1, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, X)
    return float(1 - np.sum((model.predict(X) - X) ** 2) / np.sum(X**2))


def partycls(X: np.ndarray, epochs: int) -> float:
    """``reduce`` is what its users call: training, then errors row by row."""
    from partycls.dim_reduction import AutoEncoder

    like = Autoencoder()
    model = AutoEncoder(
        layers=(10 * X.shape[1], 2, 10 * X.shape[1]), activation="tanh", solver="adam",
        alpha=like.weight_decay,
    )  # fmt: skip
    # it is scikit-learn's regressor, of whose settings it passes on four
    model.batch_size, model.max_iter, model.random_state = like.batch_size, epochs, 0
    model.learning_rate_init, model.n_iter_no_change = like.learning_rate, epochs + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.reduce(X)
    return float(1 - np.sum((model.predict(X) - X) ** 2) / np.sum(X**2))


def timed(run: Callable[[], float]) -> tuple[float, float]:
    before = time.process_time()
    explained = run()
    return time.process_time() - before, explained


def compare(peer: Callable, X: np.ndarray, epochs: int, repeats: int) -> dict:
    """Alternating runs of one pair."""
    sides = (("glasslib", lambda: ours(X, epochs)), ("peer", lambda: peer(X, epochs)))
    found: dict[str, list[tuple[float, float]]] = {"glasslib": [], "peer": []}
    for k in range(repeats + 1):
        for side, run in sides if k % 2 else sides[::-1]:
            value = timed(run)
            if k:  # the first of each warms up
                found[side].append(value)
    a, b = np.array(found["glasslib"]), np.array(found["peer"])
    ratios = b[:, 0] / a[:, 0]
    return {
        "peer": peer.__name__,
        "rows": len(X),
        "epochs": epochs,
        "repeats": repeats,
        "glasslib_cpu_seconds": float(np.median(a[:, 0])),
        "peer_cpu_seconds": float(np.median(b[:, 0])),
        "glasslib_explained_variance": float(a[0, 1]),
        "peer_explained_variance": float(b[0, 1]),
        "ratio": float(np.median(ratios)),
        "ratio_range": [float(ratios.min()), float(ratios.max())],
    }


def main() -> int:
    """Measure, print a table, write the results; 1 if glasslib is slower or over the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    X = snapshot(options.rows)
    rows = []
    print(f"{'peer':14s}{'glasslib':>10s}{'peer':>10s}{'ratio':>7s}{'explained':>18s}")
    for peer in (scikit_learn, partycls):
        try:
            row = compare(peer, X, options.epochs, options.repeats)
        except ImportError:
            print(f"{peer.__name__:14s}not installed here")
            continue
        rows.append(row)
        print(
            f"{row['peer']:14s}{row['glasslib_cpu_seconds']:9.2f}s{row['peer_cpu_seconds']:9.2f}s"
            f"{row['ratio']:7.2f}{row['glasslib_explained_variance']:9.3f}"
            f"{row['peer_explained_variance']:9.3f}", flush=True,
        )  # fmt: skip
    whole = (timed(lambda: OrderParameter().fit(X).red_)[0] for _ in range(5))
    seconds = float(np.median(list(whole)))
    print(f"a snapshot, with early stop and mixture: {seconds:.2f} CPU s (at most {LIMIT:g})")
    enough = seconds <= LIMIT and all(row["ratio"] >= REQUIRED for row in rows)
    book.write_json(
        RESULTS,
        {
            "machine": machine(),
            "required": REQUIRED,
            "limit_cpu_seconds": LIMIT,
            "met": enough,
            "order_parameter_cpu_seconds": seconds,
            "runs": rows,
        },
    )
    print(f"ratio of at least {REQUIRED:g} required: {'met' if enough else 'NOT met'}")
    return 0 if enough else 1


if __name__ == "__main__":
    raise SystemExit(main())
