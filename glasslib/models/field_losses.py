r"""How far a predicted field is from the true one, beyond its values: variance and correlation.

A network that minimises the mean square predicts too smooth a field. Jung, Biroli and Berthier
(Phys. Rev. Lett. 130, 238202, 2023, and Phys. Rev. B 109, 064205, 2024) therefore add how far off
the variance is and how far off the correlations in space are, each relative to the truth. For one
configuration, with :math:`\delta_i = y_i - \bar y`,

.. math:: L_\mathrm{var} = \frac{|\mathrm{Var}\,\hat y - \mathrm{Var}\,y|}{\mathrm{Var}\,y},
          \qquad
          L_\mathrm{corr} = \sum_{r} \frac{|\hat C(r) - C(r)|}{|C(r_1) - C(r_n)|},

.. math:: C(r) = \frac{\sum_i \delta_i\,\sum_j w_{ij} \delta_j \big/ \sum_j w_{ij}}
          {\sum_i \delta_i^2},
          \qquad w_{ij} = \exp\Bigl[-\frac{(r_{ij} - r)^2}{2 \sigma^2}\Bigr]

with r = 2, 4, 6 and σ = 1. So far their public script for three dimensions, which keeps j = i in
the sums, as here. Two things differ: there C(r) is that of the field behind a hyperbolic tangent
tuned to propensities, here of the field itself; and here the denominators are not let below
:data:`LEAST_VARIANCE` and :data:`LEAST_RANGE`, or a configuration without heterogeneity would
outweigh all others.

Distances reach through the whole box, so nothing is left out: all N²/2 pairs are visited, on the
way the gradient is taken too, and no matrix of them is kept.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import float32, int32
from torch import Tensor

from glasslib.compiling import njit
from glasslib.models.message_passing import LANES, run_lanes

LEAST_VARIANCE = 1e-3  #: of the variance of a configuration's targets, standardised
LEAST_RANGE = 1e-2  #: of C(r) between the first distance and the last
_BLOCK = 512


class Field:
    """Positions and true values of one configuration, for :func:`correlation`.

    Parameters
    ----------
    position : (N, d) array, σ_AA
    matrix : (d, d) array
        Box vectors as columns, upper triangular.
    radii : sequence of float
        Distances r, σ_AA.
    width : float
        σ, σ_AA.

    Attributes
    ----------
    norms : (n_radii, N) float32 array
        :math:`\\sum_j w_{ij}`.
    """

    def __init__(
        self, position: np.ndarray, matrix: np.ndarray, radii: tuple[float, ...], width: float
    ) -> None:
        n, d = position.shape
        self.matrix = np.eye(3, dtype=np.float32)
        self.matrix[:d, :d] = matrix
        fraction = np.zeros((3, n))
        fraction[:d] = np.linalg.inv(matrix) @ np.asarray(position, dtype=np.float64).T
        self.fraction = np.ascontiguousarray(fraction - np.floor(fraction), dtype=np.float32)
        self.radii, self.width = np.asarray(radii, dtype=np.float32), float(width)
        ones = np.ones(n, dtype=np.float32)
        self.norms = np.ones((len(self.radii), n), dtype=np.float32)
        self.norms = self._sums(ones)[0]

    def _sums(self, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n_radii, N) sums over j of w_ij δ_j, and of w_ij δ_j / norm_j."""
        shape = (LANES, len(self.radii), len(delta))
        u, v = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        scaled = delta / self.norms

        def one(lane: int) -> None:
            _weigh(
                lane, LANES, self.fraction, self.matrix, self.radii, np.float32(1 / self.width),
                delta, scaled, u[lane], v[lane],
            )  # fmt: skip

        run_lanes(one, len(delta) ** 2 // 100)
        return u.sum(axis=0), v.sum(axis=0)

    def correlations(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """C(r) of the field *y*, (n_radii,), and its derivative by *y*, (n_radii, N)."""
        delta = np.asarray(y, dtype=np.float64)
        delta = (delta - delta.mean()).astype(np.float32)
        squares = float(np.sum(delta.astype(np.float64) ** 2))
        if squares == 0:
            return np.zeros(len(self.radii)), np.zeros((len(self.radii), len(delta)))
        u, v = self._sums(delta)
        u = u / self.norms
        c = (u.astype(np.float64) @ delta) / squares
        slope = (u + v - 2 * c[:, None] * delta) / squares
        return c, slope - slope.mean(axis=1, keepdims=True)


class _Correlation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, field):
        c, slope = field.correlations(y.detach().cpu().numpy())
        ctx.slope = torch.from_numpy(slope).to(y)
        return torch.from_numpy(c).to(y)

    @staticmethod
    def backward(ctx, grad):
        return grad @ ctx.slope, None


def correlation(y: Tensor, field: Field) -> Tensor:
    """(n_radii,) C(r) of the (N,) field *y*."""
    return _Correlation.apply(y, field)


def correlation_loss(y: Tensor, true: Tensor, field: Field) -> Tensor:
    """The sum over r, from C(r) of the prediction and the ``true`` (n_radii,) C(r)."""
    spread = (true[0] - true[-1]).abs() if len(true) > 1 else true[0].abs()
    return (correlation(y, field) - true).abs().sum() / spread.clamp(min=LEAST_RANGE)


def variance_loss(y: Tensor, true: float) -> Tensor:
    """From the variance of the prediction and the ``true`` one."""
    return (y.var(correction=0) - true).abs() / max(true, LEAST_VARIANCE)


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _weigh(lane, lanes, fraction, matrix, radii, inverse, delta, scaled, u, v):
    """Sums of one lane, the pairs of particles lane, lane + lanes, … with those after them."""
    n = len(delta)
    distance, power = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.int32)
    two = power.view(np.float32)
    half, log2e = float32(0.5), float32(1.4426950408889634)
    # a float32 whose exponent is n has the bits (n + 127) 2²³
    bias, unit = float32(127), float32(2**23)
    high, low = float32(0.693359375), float32(-2.12194440e-4)
    for i in range(lane, n, lanes):
        for r in range(len(radii)):
            t = radii[r] * inverse
            w = np.exp(-half * t * t)
            u[r, i] += w * delta[i]
            v[r, i] += w * scaled[r, i]
        for start in range(i + 1, n, _BLOCK):
            m = min(_BLOCK, n - start)
            for k in range(m):
                j = start + k
                x, y = fraction[0, j] - fraction[0, i], fraction[1, j] - fraction[1, i]
                z = fraction[2, j] - fraction[2, i]
                x, y, z = x - np.floor(x + half), y - np.floor(y + half), z - np.floor(z + half)
                a = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z
                b = matrix[1, 1] * y + matrix[1, 2] * z
                c = matrix[2, 2] * z
                distance[k] = np.sqrt(a * a + b * b + c * c) * inverse
            for r in range(len(radii)):
                centre, di, si = radii[r] * inverse, delta[i], scaled[r, i]
                su, sv = float32(0), float32(0)
                for k in range(m):
                    t = distance[k] - centre
                    # exp of the negative: a power of two and a polynomial
                    t = max(-half * t * t, float32(-87))
                    power[k] = int32((np.floor(t * log2e + half) + bias) * unit)
                for k in range(m):
                    j = start + k
                    t = distance[k] - centre
                    t = max(-half * t * t, float32(-87))
                    whole = np.floor(t * log2e + half)
                    f = t - whole * high - whole * low
                    w = float32(1 / 720)
                    w = w * f + float32(1 / 120)
                    w = w * f + float32(1 / 24)
                    w = w * f + float32(1 / 6)
                    w = w * f + half
                    w = w * f + float32(1)
                    w = (w * f + float32(1)) * two[k]
                    su += w * delta[j]
                    sv += w * scaled[r, j]
                    u[r, j] += w * di
                    v[r, j] += w * si
                u[r, i] += su
                v[r, i] += sv
