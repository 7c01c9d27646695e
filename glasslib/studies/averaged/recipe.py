"""How particles of chapter 3 are described, and how a line is drawn through them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from glasslib.descriptors import averaging, radial_angular
from glasslib.descriptors.radial_angular import columns, shells
from glasslib.frames import Frame
from glasslib.models.ridge import PropensityRidge
from glasslib.systems import System


@dataclass(frozen=True)
class Recipe:
    """How particles are described and how a line is drawn through them.

    Attributes
    ----------
    r_c : float
        How far an average reaches, σ_AA: about the second minimum of the total g(r).
    n_max : int
        Generations of averages.
    radial, angular : spans of :func:`glasslib.descriptors.radial_angular.shells`
        (start, step, number, width) of shells, σ_AA.
    orders : int
        l = 1 … orders.
    penalties : (first, last, number)
        Powers of ten of the penalties tried.
    min_spread : float
        Columns that vary less get no weight: shells where nobody is.
    other_radii : tuple of float
        Other r_c, for comparison.
    n_moves : int
        Of the field of propensities, for the control.
    n_folds : int
        Parts that are left out in turn; 0: two configurations at a time.
    seed : int
        Of controls and of short runs.
    """

    r_c: float = 2.3
    n_max: int = 3
    radial: tuple = ((0.5, 0.03, 50, 0.03), (2.0, 0.06, 50, 0.06))
    angular: tuple = ((1.0, 0.1, 16, 0.1),)
    orders: int = 12
    penalties: tuple = (-1, 6, 22)
    min_spread: float = 1e-3
    other_radii: tuple = (1.5, 1.9, 3.0, 4.0)
    n_moves: int = 10
    n_folds: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("radial", "angular"):  # lists of a page's parameters
            rows = tuple(tuple(float(x) for x in row) for row in getattr(self, name))
            object.__setattr__(self, name, rows)
        object.__setattr__(self, "r_c", float(self.r_c))
        for name in ("penalties", "other_radii"):
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))

    def grid(self, system: System | None = None) -> dict:
        """Options of :func:`radial_angular`; of hard particles without shells where no pair is."""
        radial = _shells(self.radial)
        if system is not None and system.hard:
            size = system.diameters
            nearest = {s: min((d + size[s]) / 2 for d in size.values()) for s in size}
            radial = {s: radial[radial[:, 0] >= contact] for s, contact in nearest.items()}
        return {"radial": radial, "angular": _shells(self.angular), "l": range(1, self.orders + 1)}

    def columns(self, system: System | None = None, n_max: int = 0) -> list:
        """What the columns of a table are."""
        return columns(**self.grid(system), n_max=n_max)

    def describe(self, frame: Frame, system: System | None = None) -> np.ndarray:
        """(N, width) descriptors of all particles, not averaged."""
        return radial_angular(frame, **self.grid(system))

    def average(self, X: np.ndarray, frame: Frame, n_max: int | None = None) -> np.ndarray:
        """(N, (n_max + 1) width): X and its averages over the surroundings, eq. 4."""
        return averaging.shell_average(
            X, frame, self.r_c, n_max=self.n_max if n_max is None else n_max
        )

    def model(self) -> PropensityRidge:
        """The regression."""
        first, last, n = self.penalties
        return PropensityRidge(alphas=np.logspace(first, last, int(n)), min_spread=self.min_spread)

    def folds(self, n: int) -> int:
        """Parts that n configurations are dealt into."""
        return self.n_folds or max(2, n // 2)

    def differ(self, default: Recipe) -> list[str]:
        """Names of what is not as in another recipe."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)]

    def name(self, stem: str, default: Recipe) -> str:
        """File that holds results: ``public.json``, or ``public,r_c=3.json`` of another recipe."""
        parts = [f"{k}={_short(getattr(self, k))}" for k in self.differ(default)]
        return ",".join([stem, *parts]) + ".json"

    def command(self, page: str, default: Recipe) -> str:
        """What makes a result of this recipe."""
        values = {k: getattr(self, k) for k in self.differ(default)}
        told = [f"-p {k} '{json.dumps(v)}'" for k, v in values.items()]
        return " ".join([f"glasslib run 3/{page} --preset paper", *told])


#: of hard spheres: the second minimum of their g(r), and other reaches
HARD = Recipe(r_c=2.1, other_radii=(1.3, 1.6, 2.6, 3.2), n_folds=6)
SOFT = Recipe(n_folds=6)  #: of the book's own soft liquids


def _shells(spans: Sequence[Sequence[float]]) -> np.ndarray:
    return shells(*((a, b, int(n), d) for a, b, n, d in spans))


def _short(value: object) -> str:
    flat = np.ravel(np.array(value, dtype=float)) if not isinstance(value, str) else [value]
    return "-".join(f"{x:g}" if not isinstance(x, str) else x for x in flat)


def thin(recipe: Recipe, step: int = 3) -> Recipe:
    """A recipe with every ``step``-th shell and order: a trial of the code."""

    def fewer(spans: tuple) -> tuple:
        return tuple((a, b * step, max(1, int(n) // step), d) for a, b, n, d in spans)

    return replace(
        recipe, radial=fewer(recipe.radial), angular=fewer(recipe.angular),
        orders=max(1, recipe.orders // step),
    )  # fmt: skip
