"""How well predictions correlate with the truth: in each configuration, and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from glasslib import scores


@dataclass(frozen=True)
class Scores:
    """Result of :func:`score`.

    Attributes
    ----------
    each : (n_configurations,) float64 array
        Pearson r within each configuration; NaN where either side does not vary.
    pooled : glasslib.scores.Correlation
        Of all particles together: differences between configurations count.
    """

    each: np.ndarray
    pooled: scores.Correlation

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean over configurations with its 95 % interval (Student's t), no further than ±1."""
        mean, low, high = (float(x) for x in scores.mean_interval(self.each))
        return mean, max(low, -1.0), min(high, 1.0)

    def gain(self, other: Scores) -> tuple[float, float, float]:
        """Mean r of this minus that of another on the same configurations, paired; 95 %."""
        if len(self.each) != len(other.each):
            raise ValueError(
                f"{len(self.each)} configurations against {len(other.each)}; a paired difference "
                "needs the same ones."
            )
        return tuple(float(x) for x in scores.mean_interval(self.each - other.each))

    def as_json(self) -> dict:
        """What JSON can hold; :meth:`from_json` reads it."""
        return {"each": [float(r) for r in self.each], "pooled": asdict(self.pooled)}

    @classmethod
    def from_json(cls, stored: dict) -> Scores:
        """The result that :meth:`as_json` wrote."""
        return cls(np.array(stored["each"]), scores.Correlation(**stored["pooled"]))

    def __repr__(self) -> str:
        mean, low, high = self.mean
        p = self.pooled
        return (
            f"mean r {mean:.3f} [{low:.3f}, {high:.3f}] over {len(self.each)} configurations, "
            f"pooled {p.r:.3f} [{p.low:.3f}, {p.high:.3f}]"
        )


def score(predictions: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> Scores:
    """Correlate predictions with the truth, configuration by configuration and pooled.

    Parameters
    ----------
    predictions, truths : sequences of (n_c,) arrays
        One a configuration, of the particles (or pairs) that count.

    Raises
    ------
    ValueError
        For lists that do not fit each other, or values that are not finite.
    """
    if len(predictions) != len(truths) or not len(truths):
        raise ValueError(
            f"{len(predictions)} predictions and {len(truths)} truths; expected one each for every "
            "configuration."
        )
    pairs = [
        (np.asarray(p, dtype=float), np.asarray(t, dtype=float))
        for p, t in zip(predictions, truths, strict=True)
    ]
    for c, (p, t) in enumerate(pairs):
        if p.shape != t.shape or p.ndim != 1 or not np.all(np.isfinite(p) & np.isfinite(t)):
            raise ValueError(
                f"configuration {c}: prediction {p.shape}, truth {t.shape}; expected equal (n,) of "
                "finite numbers."
            )
    each = [
        np.corrcoef(p, t)[0, 1] if np.ptp(p) > 0 and np.ptp(t) > 0 else np.nan for p, t in pairs
    ]
    groups = np.repeat(np.arange(len(pairs)), [len(p) for p, _ in pairs])
    pooled = scores.correlate(*(np.concatenate(side) for side in zip(*pairs)), groups=groups)
    return Scores(np.array(each), pooled)
