"""Curves that others published, beside which the book's are drawn.

Three tables in ``data/3-averaged-descriptors/published``, with their sources: GlassBench (Jung et
al., Nat. Rev. Phys. 7, 91 (2025)) and EIGNN. All are Pearson correlations with the propensity of A
particles, 3D Kob–Andersen at ρ = 1.2, pooled over test configurations.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: three networks and a linear model of cages, trained at one temperature and asked elsewhere
METHODS = ("BOTAN", "CAGE", "GlassMLP", "SE3")
#: published times at which F_A ≈ 0.27, τ
ALPHA_TIMES: Mapping[float, float] = {0.44: 4120.0, 0.5: 217.0}


def _rows(folder: Path, name: str) -> list[dict[str, float]]:
    path = Path(folder) / "published" / f"{name}.csv"
    with path.open(encoding="utf-8") as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


@dataclass(frozen=True)
class Published:
    """Result of :func:`read`.

    Attributes
    ----------
    curves : dict
        By (method, temperature): times in units of the α time, and r there.
    at_alpha : dict
        By (method, temperature): r at the α time, trained and asked at this temperature.
    transfer : dict
        By method: temperatures asked and r there, trained at T = 0.44; from hot to cold.
    """

    curves: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]]
    at_alpha: dict[tuple[str, float], float]
    transfer: dict[str, tuple[np.ndarray, np.ndarray]]

    def best(self, T: float) -> tuple[str, float]:
        """The best method trained and asked at a temperature, and its r."""
        known = {m: r for (m, at), r in self.at_alpha.items() if at == T}
        name = max(known, key=known.get)
        return name, known[name]

    def best_transfer(self, T: float) -> float | None:
        """The best of four that were trained at 0.44, asked at T; linear in 1/T between points.

        None outside the temperatures that were asked.
        """
        found = []
        for temperatures, r in self.transfer.values():
            inverse = 1 / temperatures  # ascending
            if not inverse[0] - 1e-9 <= 1 / T <= inverse[-1] + 1e-9:
                return None
            found.append(float(np.interp(1 / T, inverse, r)))
        return max(found)


def read(folder: Path) -> Published:
    """Read the three tables of a chapter's data folder."""
    curves: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]] = {}
    rows = _rows(folder, "glassbench-times")
    for m in METHODS:
        x, y = np.array([(row["t"], row[m]) for row in rows]).T
        curves[m, 0.44] = x / ALPHA_TIMES[0.44], y
    rows = _rows(folder, "eignn-times")
    for m in ("EIGNN_Cage", "EIGNN_Inh"):
        for T, tau in ALPHA_TIMES.items():
            x, y = np.array([(row["t"], row[m]) for row in rows if row["T"] == T]).T
            curves[m, T] = x / tau, y
    at_alpha = {
        key: float(r[x == 1.0][0]) for key, (x, r) in curves.items() if np.any(x == 1.0)
    }  # fmt: skip
    rows, transfer = _rows(folder, "glassbench-transfer"), {}
    for m in METHODS:
        x, y = np.array([(1 / row["1/T"], row[f"{m}0.44"]) for row in rows]).T
        transfer[m] = x, y
        (half,) = (row for row in rows if row["1/T"] == 2.0)
        at_alpha[m, 0.5] = half[f"{m}0.50"]
    return Published(curves, at_alpha, transfer)
