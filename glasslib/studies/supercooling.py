"""Chapter 2's order parameters of a liquid, from state to state, and what else would do as well.

:class:`Ordered` ties together what the other studies do on plain arrays: descriptors of a
liquid's configurations, order parameters fitted at each of its states, averages and correlations.
Whatever two figures of a page ask for is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from glasslib import engines, frames, scores, stored
from glasslib.descriptors import averaged_bond_order, averaging
from glasslib.frames import Frame
from glasslib.models.autoencoder import TRAINED_ON
from glasslib.neighbors import Neighbors, neighbor_list
from glasslib.studies import order_parameters
from glasslib.studies.liquids import Liquid
from glasslib.studies.order_parameters import ENCODERS, Curves, StateOrder

#: rules for neighbours: the paper's (SANN, or a radius for Kob–Andersen), or one for all
RULES = ("paper", "sann", "within")


@dataclass(frozen=True)
class Recipe:
    """How an order parameter is made. At the defaults it is the paper's.

    Attributes
    ----------
    neighbors : {"paper", "sann", "within"}
        The paper's rule; solid angles for all; all within ``r_neighbors``, σ_AA.
    orders : tuple of int
        The l of the bond orders.
    bottleneck : int
    seeds : tuple of int
        Of the networks.
    short : int
        Epochs of the control that is trained on; 0 for all of them.
    """

    neighbors: str = "paper"
    r_neighbors: float = 1.43
    orders: tuple[int, ...] = tuple(range(1, 9))
    bottleneck: int = 2
    seeds: tuple[int, ...] = tuple(range(5))
    short: int = 0

    def __post_init__(self) -> None:
        if self.neighbors not in RULES:
            raise ValueError(f"neighbors is {self.neighbors!r}; expected {', '.join(RULES)}.")
        if not self.orders or len(set(self.orders)) < len(self.orders):
            raise ValueError(f"orders are {list(self.orders)}; expected some l, each once.")
        if not 1 <= self.bottleneck <= len(self.orders):
            raise ValueError(
                f"bottleneck is {self.bottleneck}; expected 1 to {len(self.orders)}, the number of "
                "bond orders."
            )

    def find_neighbors(self, frame: Frame, liquid: Liquid) -> Neighbors:
        """Neighbours of all particles by this rule."""
        return neighbor_list(frame, self._rule(liquid))

    def _rule(self, liquid: Liquid) -> str | float | Mapping[tuple[str, str], float]:
        if self.neighbors == "within":
            return self.r_neighbors
        fixed = liquid.system.bond_cutoffs if self.neighbors == "paper" else {}
        return dict(fixed) or "sann"

    def describe(self, frame: Frame, liquid: Liquid) -> np.ndarray:
        """(N, n_l) averaged bond orders."""
        return averaged_bond_order(
            frame, neighbors=self._rule(liquid), l=np.array(self.orders)
        )  # fmt: skip

    def options(self, encoder: str = "autoencoder") -> dict[str, object]:
        """Options of :class:`~glasslib.models.autoencoder.OrderParameter` for one encoder."""
        given = dict(ENCODERS[encoder])
        if self.short and "training" in given:
            given["training"] = TRAINED_ON | {"epochs": self.short}
        return given | {"bottleneck": self.bottleneck}

    def name_file(self, liquid: Liquid, state: float) -> str:
        """``wahnstrom-0.7.safetensors``; with a digest where the recipe is not the paper's."""
        made = {"neighbors": self.neighbors, "orders": list(self.orders)}
        made |= {"bottleneck": self.bottleneck}
        if self.neighbors == "within":
            made["r_neighbors"] = self.r_neighbors
        tail = ""
        if made != {"neighbors": "paper", "orders": list(range(1, 9)), "bottleneck": 2}:
            tail = "-" + stored.fingerprint(settings=made)[:8]
        return f"{liquid.system.name}-{state:g}{tail}.safetensors"


@dataclass
class Ordered:
    """Order parameters of one liquid: fitted, applied and averaged on demand, each once.

    Attributes
    ----------
    liquid : glasslib.studies.liquids.Liquid
    recipe : Recipe
    folder : path, optional
        Where order parameters are stored, one file a state.
    save : bool
        Whether new ones are written there.
    """

    liquid: Liquid
    recipe: Recipe = field(default_factory=Recipe)
    folder: Path | None = None
    save: bool = False
    _known: dict[tuple, object] = field(default_factory=dict, repr=False)

    def _once(self, key: tuple, make: Callable[[], object]) -> object:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def table(self, state: float, c: int = 0) -> np.ndarray:
        """(N, n_l) descriptors of a configuration."""
        frame = self.liquid.equilibrated[state][c]
        return self._once(
            ("table", state, c), lambda: self.recipe.describe(frame, self.liquid)
        )  # fmt: skip

    def types(self, state: float, c: int = 0) -> np.ndarray:
        """(N,) type ids of a configuration."""
        return self.liquid.equilibrated[state][c].particles.typeid

    def fitted(self, state: float, encoder: str = "autoencoder") -> StateOrder:
        """Order parameters of the first configuration of a state."""
        seeds = self.recipe.seeds[:2] if encoder == "network trained on" else self.recipe.seeds
        path = self.folder / self.recipe.name_file(self.liquid, state) if self.folder else None
        stock = {"path": path, "save": self.save} if encoder == "autoencoder" else {}
        return self._once(("fitted", state, encoder), lambda: order_parameters.fit_state(
            self.table(state), self.types(state), seeds=seeds, **stock,
            **self.recipe.options(encoder)))  # fmt: skip

    def red(
        self,
        state: float,
        c: int = 0,
        *,
        trained_at: float | None = None,
        encoder: str = "autoencoder",
    ) -> np.ndarray:
        """(n_networks, N) P_red of a configuration, by the model of its state or of another."""
        at = state if trained_at is None else trained_at
        return self._once(("red", state, c, at, encoder), lambda: self.fitted(at, encoder).assign(
            self.table(state, c), self.types(state, c)))  # fmt: skip

    def averaged(self, state: float, c: int = 0, *, radius: float, **how: object) -> np.ndarray:
        """:meth:`red`, averaged over spheres of ``radius`` large diameters."""
        key = "averaged", state, c, radius, *sorted(how.items())
        frame = self.liquid.equilibrated[state][c]
        return self._once(key, lambda: order_parameters.average(
            self.red(state, c, **how), frame, self.liquid.radius(radius)))  # fmt: skip

    def foretell(
        self, state: float, *, species: int | None = None, radius: float = 2.0, **how: object
    ) -> Curves:
        """Correlation with the propensity of one species (the large ones), all configurations."""
        runs = self.liquid.runs[state]
        kind = self.liquid.large if species is None else species
        fields = [
            self.averaged(state, c, radius=radius, **how) if radius else self.red(state, c, **how)
            for c in range(len(runs))
        ]
        key = "curves", state, kind, radius, *sorted(how.items())
        return self._once(
            key, lambda: order_parameters.correlate_state(fields, runs, species=kind)
        )  # fmt: skip

    def follow(self) -> np.ndarray:
        """(n_states, n_networks) ⟨P_red⟩ of the first configurations, trained at the deepest."""
        deep = self.liquid.coldest
        return np.array([
            self.red(state, trained_at=deep).mean(axis=1) for state in self.liquid.equilibrated
        ])  # fmt: skip


# --------------------------------------------------------------------------- from state to state


def difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Mean of all differences first − second of values (n,) and (m,), and their range."""
    d = np.subtract.outer(np.asarray(first), np.asarray(second))
    return float(d.mean()), float(d.min()), float(d.max())


def ratio_of_medians(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Median of (n,) positive values over that of (m,), and the range of all ratios."""
    d = np.divide.outer(np.asarray(first), np.asarray(second))
    here = float(np.median(first) / np.median(second))
    return here, min(float(d.min()), here), max(float(d.max()), here)


def largest_step(values: Sequence[np.ndarray]) -> tuple[int, tuple[float, float, float]]:
    """Which step from one state to the next rises most in the mean, and :func:`difference` there.

    ``values`` holds, for each state in order, numbers of configurations and networks.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} state(s); expected two at least for a step.")
    steps = [difference(b, a) for a, b in zip(values, values[1:])]
    k = int(np.argmax([here for here, _, _ in steps]))
    return k, steps[k]


# -------------------------------------------------------------------------------------- controls


@dataclass(frozen=True)
class Controls:
    """Result of :func:`hold_beside`: what foretells the propensity of large particles at one time.

    Attributes
    ----------
    time : float
        τ.
    candidates : dict of str to (n,) array
        Spearman correlations of networks and configurations.
    shuffled, moved : order_parameters.Null
        Of the first network: dealt out anew within species, and moved as a whole.
    passed : int
        How many configurations lie above their own moved field.
    """

    time: float
    candidates: dict[str, np.ndarray]
    shuffled: order_parameters.Null
    moved: order_parameters.Null
    passed: int

    @property
    def best_rival(self) -> str:
        """The candidate, the autoencoder excepted, with the largest median, sign aside."""
        rivals = [label for label in self.candidates if label != "autoencoder"]
        return max(rivals, key=lambda x: abs(np.median(self.candidates[x])))

    def summary(self, label: str) -> tuple[float, float, float]:
        """Median, least and largest of a candidate."""
        x = self.candidates[label]
        return float(np.median(x)), float(x.min()), float(x.max())


def energies(frame: Frame, liquid: Liquid, *, engine: str = "auto") -> dict[str, np.ndarray]:
    """Potential energy of each particle, thermal and in the inherent structure (soft systems)."""
    system = liquid.system
    if system.hard:
        return {}
    driver = engines.choose(system, engine)
    quenched = frames.copy(frame, log={})
    quenched.particles.position = frame.log["particles/inherent_position"]
    return {
        "potential energy": driver.evaluate(frame, system).log["particles/energy"],
        "inherent energy": driver.evaluate(quenched, system).log["particles/energy"],
    }


def hold_beside(
    order: Ordered,
    state: float,
    k: int,
    *,
    radius: float = 2.0,
    n_boot: int = 500,
    seed: int = 0,
    engine: str = "auto",
) -> Controls:
    """The order parameter beside other encoders, single numbers, energies, and two nulls.

    Each is averaged over the same sphere, except the local density, which is an average already.

    Parameters
    ----------
    order : Ordered
    state : float
    k : int
        Index of the time.
    radius : float
        Large diameters.
    n_boot : int
        Shuffles and moves.
    engine : str
        Whose energies are taken.
    """
    liquid, runs = order.liquid, order.liquid.runs[state]
    reach, kind = liquid.radius(radius), liquid.large
    table: dict[str, list[float]] = {}
    for c, frame in enumerate(runs):
        q, typeid = order.table(state, c), frame.particles.typeid
        mine = typeid == kind
        D = frame.log["particles/propensity"][mine, k]
        single = {"sum of q̄": q.sum(axis=1)} | {
            f"q̄{which}": q[:, j]
            for j, which in enumerate(order.recipe.orders)
            if which in (4, 6, 8)
        }
        fields = {
            label: order.averaged(state, c, radius=radius, encoder=label) for label in ENCODERS
        }  # fmt: skip
        for label, v in (single | energies(frame, liquid, engine=engine)).items():
            fields[label] = order_parameters.average(
                scores.standardised(v, typeid)[None], frame, reach
            )  # fmt: skip
        fields["local density"] = averaging.local_density(frame, reach)[None]
        for label, many in fields.items():
            table.setdefault(label, []).extend(
                scores.correlate(v[mine], D, method="spearman", n_boot=0).r for v in many
            )
    every = range(len(runs))
    bare = [order.red(state, c)[0] for c in every]
    smooth = [order.averaged(state, c, radius=radius)[0] for c in every]
    shuffled = order_parameters.deal_out(
        bare, runs, k, species=kind, radius=reach, n_shuffle=n_boot, seed=seed
    )
    moved = order_parameters.move_fields(
        smooth, runs, k, species=kind, n_shift=n_boot, seed=seed
    )  # fmt: skip
    first = order_parameters.correlate_state([v[None] for v in smooth], runs, species=kind)
    candidates = {label: np.array(values) for label, values in table.items()}
    return Controls(
        float(runs[0].log["times"][k]), candidates, shuffled, moved,
        moved.count_above(first.each[:, 0, k]),
    )  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """Result of :func:`scan_neighbors`: ρ(t) by rule for neighbours.

    Attributes
    ----------
    times : (n_times,) float64 array
    curves : dict of float or str to (n_times,) arrays
        By cut-off radius, σ_AA, or ``"sann"``.
    """

    times: np.ndarray
    curves: dict[float | str, np.ndarray]

    def largest(self, rule: float | str) -> float:
        """Largest correlation over time."""
        return float(np.nanmax(self.curves[rule]))

    @property
    def best(self) -> float:
        """The radius that foretells most, chosen by looking at the dynamics."""
        return max((r for r in self.curves if r != "sann"), key=self.largest)


def scan_neighbors(
    liquid: Liquid,
    state: float,
    radii: Sequence[float],
    *,
    recipe: Recipe | None = None,
    radius: float = 2.0,
    seed: int = 0,
) -> Scan:
    """How the correlation of the averaged order parameter hangs on who counts as a neighbour.

    By two principal components, which do what the network does, of the first configuration.
    """
    recipe = recipe or Recipe()
    frame, curves = liquid.runs[state][0], {}
    for rule in (*radii, "sann"):
        q = averaged_bond_order(frame, neighbors=rule, l=np.array(recipe.orders))
        order = order_parameters.fit_state(
            q, frame.particles.typeid, seeds=[seed], encoder="pca", bottleneck=recipe.bottleneck
        )
        smooth = order_parameters.average(
            order.assign(q, frame.particles.typeid), frame, liquid.radius(radius)
        )
        found = order_parameters.correlate_state([smooth], [frame], species=liquid.large)
        curves[rule] = found.each[0, 0]
    return Scan(found.times, curves)
