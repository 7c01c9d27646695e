"""Made-up glasses, of which the truth is known: what ceilings and null controls are shown on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def reach(
    truth: np.ndarray, replicas: np.ndarray, used: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """How well the perfect predictor does, and the ceiling that replicas alone tell.

    Parameters
    ----------
    truth : (N,) float array
        True propensities.
    replicas : (M, N) float array
        What single runs give.
    used : sequence of int
        How many of the replicas to average, each at least 2.

    Returns
    -------
    perfect, ceiling : (len(used),) float64 arrays
        Pearson r of the truth with the mean; √R, see :func:`glasslib.dynamics.noise_ceiling`.
    """
    perfect, ceiling = [], []
    for m in used:
        measured = replicas[:m].mean(0)
        noise = replicas[:m].var(0, ddof=1).mean() / m
        ceiling.append(np.sqrt(max(0.0, 1 - noise / measured.var(ddof=1))))
        perfect.append(np.corrcoef(truth, measured)[0, 1])
    return np.array(perfect), np.array(ceiling)


def scatter_points(side: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Points near a square grid of ``side`` rows, (N, 2), and the edge of their periodic box."""
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 2, indexing="ij"), -1).reshape(-1, 2)
    x = 1.05 * (grid - (side - 1) / 2) + rng.uniform(-0.12, 0.12, grid.shape)
    return x, 1.05 * side


def draw_field(x: np.ndarray, edge: float, rng: np.random.Generator) -> np.ndarray:
    """A periodic field (N,) of long waves with random phases and amplitudes; mean 0, variance 1."""
    waves = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if (i, j) > (0, 0)]
    phase = 2 * np.pi / edge * x @ np.array(waves).T + rng.uniform(0, 2 * np.pi, len(waves))
    field = np.cos(phase) @ rng.normal(size=len(waves))
    return (field - field.mean()) / field.std()


def draw_patches(
    x: np.ndarray, edge: float, rng: np.random.Generator, *, k: int = 12
) -> np.ndarray:
    """Which of ``k`` random points is nearest to each, periodic boundaries; (N,) int."""
    gap = x[:, None] - x[rng.choice(len(x), k, replace=False)]
    return np.linalg.norm(gap - edge * np.round(gap / edge), axis=-1).argmin(1)


def correlate_patches(a: np.ndarray, b: np.ndarray, patch: np.ndarray) -> float:
    """Pearson correlation between the patch means of two fields (N,)."""
    k = np.unique(patch)
    return float(
        np.corrcoef([a[patch == i].mean() for i in k], [b[patch == i].mean() for i in k])[0, 1]
    )
