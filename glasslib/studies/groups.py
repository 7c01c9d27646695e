"""Two groups of particles, or one cloud cut in two? What the mixture behind an order parameter is.

A mixture of two Gaussians divides any cloud of points. Two questions tell a division from a find:
does the likelihood want the second Gaussian (BIC, on mixtures run to convergence), and are the two
far enough apart to be seen as two (Ashman's D)?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glasslib import scores
from glasslib.models.autoencoder import OrderParameter, explained_variance_curve


@dataclass(frozen=True)
class Evidence:
    """Result of :func:`weigh`, of the rows of one species.

    Attributes
    ----------
    bic_gain : float
        BIC of one Gaussian minus BIC of two, both run to convergence: above 10 the second is
        wanted, below −10 it is not (Kass and Raftery, J. Am. Stat. Assoc. 90, 773 (1995)).
    smaller : float
        Share of the smaller converged group.
    agreement : float
        \\|r\\| between membership in a converged group and P_red.
    """

    bic_gain: float
    smaller: float
    agreement: float


def weigh(model: OrderParameter, X: np.ndarray) -> Evidence:
    """Does the cloud want a second Gaussian? ``X`` (N, d) is what the model was fitted to."""
    z, P = model.coordinates(X), model.predict_proba(X)
    one, two = (model.converged(X, n=n) for n in (1, 2))
    r = abs(np.corrcoef(two.predict_proba(z)[:, 0], P)[0, 1])
    return Evidence(float(one.bic(z) - two.bic(z)), float(two.weights_.min()), float(r))


@dataclass(frozen=True)
class Line:
    """Result of :func:`line_up`: the mixture behind P_red along the line between its means.

    Attributes
    ----------
    position : (N,) float64 array
        Of the rows.
    weights, means, widths : (2,) float64 arrays
        Of the two Gaussians; the red one first.
    """

    position: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    widths: np.ndarray

    @property
    def separation(self) -> float:
        """Ashman's D, √2 \\|μ_1 − μ_2\\| / √(σ_1² + σ_2²): two equal Gaussians show two peaks
        above 2 (Ashman, Bird, Zepf, Astron. J. 108, 2348 (1994))."""
        gap = abs(self.means[0] - self.means[1])
        return float(np.sqrt(2) * gap / np.sqrt((self.widths**2).sum()))

    def density(self, x: np.ndarray) -> np.ndarray:
        """(2, n) densities of the two Gaussians, times their weights."""
        u = (np.asarray(x) - self.means[:, None]) / self.widths[:, None]
        scale = self.weights / self.widths / np.sqrt(2 * np.pi)
        return scale[:, None] * np.exp(-(u**2) / 2)


def line_up(model: OrderParameter, X: np.ndarray) -> Line:
    """Project rows (N, d) and mixture of a fitted order parameter on the line between its means."""
    mix, order = model.mixture_, [model.red_, 1 - model.red_]
    axis = mix.means_[order[0]] - mix.means_[order[1]]
    axis = axis / np.linalg.norm(axis)
    widths = [np.sqrt(axis @ mix.covariances_[g] @ axis) for g in order]
    return Line(
        model.coordinates(X) @ axis, mix.weights_[order], mix.means_[order] @ axis, np.array(widths)
    )


def contrast(X: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Mean of the red minus mean of the white, weighted by membership, by column.

    In standard deviations of the column, (d,).
    """
    X, P = np.asarray(X, dtype=float), np.asarray(P, dtype=float)
    return (P @ X / P.sum() - (1 - P) @ X / (1 - P).sum()) / X.std(axis=0)


def explain(
    X: np.ndarray, widths: Sequence[int], *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Share of variance that a bottleneck restores, and as many principal components, (n,) each."""
    X = np.asarray(X, dtype=float)
    deep = explained_variance_curve(X, c=widths, seeds=[seed])[:, 0]
    power = np.linalg.svd((X - X.mean(axis=0)) / X.std(axis=0), compute_uv=False) ** 2
    return deep, np.cumsum(power)[np.array(widths) - 1] / power.sum()


def rank_alike(fields: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Spearman correlation of each field, (n, N), with a reference (N,)."""
    found = [
        scores.correlate(v, reference, method="spearman", n_boot=0).r for v in np.atleast_2d(fields)
    ]
    return np.array(found)
