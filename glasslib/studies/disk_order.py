"""Chapter 4's order parameter: what hexatic orders of one photograph say of a liquid's motion.

An order parameter (:mod:`glasslib.studies.order_parameters`) is fitted to the first configuration
of a state and says P_red of all of them; averaged over a circle it is correlated with either kind
of propensity. Here are the fields, what is simpler than they are, and the same in three
dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, frames, scores, systems
from glasslib.descriptors import averaged_bond_order, averaged_hexatic_order, averaging
from glasslib.frames import Frame
from glasslib.models.autoencoder import TRAINED_ON
from glasslib.studies import disks, order_parameters
from glasslib.studies.disks import CURVES, LABELS, SIDE
from glasslib.studies.order_parameters import Curves, Resampled, StateOrder
from glasslib.systems import System

#: columns of the descriptors, by the name pages use
INPUTS = ("both", "all", "own")
Fields = list[np.ndarray]  # (n_networks, N), one a configuration

# -------------------------------------------------------------------------------------- fields


@dataclass(frozen=True)
class Membership:
    """Result of :func:`assign`.

    Attributes
    ----------
    order : StateOrder
        Fitted to the first configuration.
    tables : list of (N, d) float64 arrays
        Descriptors of each configuration.
    bare : list of (n_networks, N) float64 arrays
        P_red of all disks of each configuration.
    """

    order: StateOrder
    tables: list[np.ndarray]
    bare: Fields


def assign(
    made: Sequence[Frame],
    *,
    seeds: Sequence[int],
    neighbors: object = "voronoi",
    orders: int = 8,
    same_species: str = "apart",
    inputs: str = "both",
    **options: object,
) -> Membership:
    """Fit an order parameter to the first of several configurations, ask it about all.

    Parameters
    ----------
    seeds : sequence of int
        A network each, for either species.
    neighbors, same_species
        Of :func:`glasslib.descriptors.averaged_hexatic_order`; orders k = 1 … ``orders``.
    inputs : {"both", "all", "own"}
        Columns: of all neighbours, of the own species, or both.
    **options
        Of :class:`glasslib.models.autoencoder.OrderParameter`.
    """
    if inputs not in INPUTS:
        raise ValueError(f"inputs is {inputs!r}; expected one of {', '.join(INPUTS)}.")
    columns = {"both": slice(None), "all": slice(orders), "own": slice(orders, None)}[inputs]
    how = {"neighbors": neighbors, "k": range(1, orders + 1), "same_species": same_species}
    tables = [averaged_hexatic_order(f, **how)[:, columns] for f in made]
    order = order_parameters.fit_state(tables[0], made[0].particles.typeid, seeds=seeds, **options)
    bare = [order.assign(x, f.particles.typeid) for x, f in zip(tables, made, strict=True)]
    return Membership(order, tables, bare)


def smooth(
    fields: Sequence[np.ndarray], made: Sequence[Frame], radius: float, *, centred: bool = False
) -> Fields:
    """Average fields (n_networks, N) over circles around every disk.

    Large disks are red more often than small ones, so an average over a circle also counts
    species; ``centred`` gives either species mean 0 and variance 1 before.
    """
    found = []
    for many, f in zip(fields, made, strict=True):
        if centred:
            many = np.array([scores.standardised(v, f.particles.typeid) for v in many])
        found.append(order_parameters.average(many, f, radius))
    return found


def clock(made: Sequence[Frame], displacement: str = "cage-relative") -> float:
    """τ_α of velocity draws, the mean over configurations; the last time where F is above 1/e."""
    return float(np.mean([dynamics.decay_time(f, curve=CURVES[displacement]) for f in made]))


def ends_late(made: Sequence[Frame], displacement: str = "cage-relative") -> bool:
    """Whether the draws of a configuration end before F has fallen to 1/e."""
    name = CURVES[displacement]
    return any(np.isnan(dynamics.crossing(f.log["times"], f.log[name], 1 / np.e)) for f in made)


def correlate(
    fields: Sequence[np.ndarray],
    made: Sequence[Frame],
    *,
    species: int = 0,
    displacement: str = "cage-relative",
) -> Curves:
    """:func:`glasslib.studies.order_parameters.correlate_state` with a kind of displacement."""
    label = LABELS[displacement]
    return order_parameters.correlate_state(fields, made, species=species, label=label)


def resample(
    fields: Sequence[np.ndarray],
    made: Sequence[Frame],
    k: int,
    *,
    species: int = 0,
    displacement: str = "cage-relative",
    side: int = SIDE,
    seed: int = 0,
) -> Resampled:
    """:func:`glasslib.studies.order_parameters.resample` with a kind of displacement."""
    return order_parameters.resample(
        fields, made, k, species=species, label=LABELS[displacement], per_edge=side, seed=seed
    )


def strength(found: Resampled) -> Resampled:
    """\\|ρ\\| with its resamples: turned so that the mean is positive."""
    sign = float(np.sign(found.value))
    return Resampled(sign * found.value, sign * found.drawn)


def strongest(curves: Curves) -> int:
    """Index of the time where \\|ρ\\| is largest, in the mean over networks and configurations."""
    return int(np.argmax(np.abs(curves.mean)))


# ---------------------------------------------------------------------------- what is simpler


def candidates(
    made: Sequence[Frame],
    main: Membership,
    system: System,
    *,
    radius: float,
    seeds: Sequence[int],
    columns: tuple[int, int] = (5, 13),
    training: Mapping[str, object] | None = None,
) -> dict[str, Fields]:
    """What else might foretell motion, averaged over the same circle.

    Parameters
    ----------
    main : Membership
        The order parameter itself; its descriptors are used.
    seeds : sequence of int
        Of the controls; "network trained on" takes the first two.
    columns : (int, int)
        Of φ_6 for all neighbours and for the own species.
    training : mapping, optional
        Of the autoencoders, for trials.

    Returns
    -------
    dict
        Name to fields: ``autoencoder``, ``autoencoder, centred``, ``PCA``, ``network trained
        on``, ``untrained network``, ``random projection``, ``red by hexatic order`` (the same
        groups; red is the one of smaller \\|φ̄_6\\|), ``|φ̄6|, all``, ``|φ̄6|, own species``,
        ``small neighbours`` (their share), ``number density``, ``area fraction``.
    """
    kinds, six = [f.particles.typeid for f in made], columns[0]
    extra = {"training": dict(training)} if training else {}

    def fit(seeds, **options) -> Fields:
        state = order_parameters.fit_state(main.tables[0], kinds[0], seeds=seeds, **options)
        return [state.assign(x, kind) for x, kind in zip(main.tables, kinds, strict=True)]

    def centre(fields: Sequence[np.ndarray]) -> Fields:
        return [scores.standardised(v, k)[None] for v, k in zip(fields, kinds, strict=True)]

    width = main.tables[0].shape[1]
    bare = {
        "autoencoder": main.bare,
        "PCA": fit(seeds[:1], encoder="pca", **extra),
        "network trained on": fit(seeds[:2], training=dict(TRAINED_ON) | dict(training or {})),
        "untrained network": fit(seeds, encoder="untrained", **extra),
        "random projection": fit(seeds, encoder="random", **extra),
        "red by hexatic order": fit(seeds, order=[-float(k == six) for k in range(width)], **extra),
        "|φ̄6|, all": centre([x[:, six] for x in main.tables]),
        "|φ̄6|, own species": centre([x[:, columns[1]] for x in main.tables]),
        "small neighbours": centre([disks.share_of_small(f) for f in made]),
    }
    found = {}
    for name, fields in bare.items():
        found[name] = smooth(fields, made, radius)
        if name == "autoencoder":
            found[f"{name}, centred"] = smooth(fields, made, radius, centred=True)
    found["number density"] = [averaging.local_density(f, radius)[None] for f in made]
    found["area fraction"] = [disks.area_fraction(f, system, radius)[None] for f in made]
    return found


def partial(
    fields: Sequence[np.ndarray],
    fixed: Sequence[np.ndarray],
    made: Sequence[Frame],
    k: int,
    *,
    species: int = 0,
    displacement: str = "cage-relative",
    n_boot: int = 100,
    seed: int = 0,
) -> tuple[float, float, float]:
    """ρ that is left where another field is held fixed, with 95 % over blocks.

    Parameters
    ----------
    fields : sequence of (n_networks, N) arrays
    fixed : sequence of (N,) arrays
        What is held fixed, by :func:`glasslib.scores.partial` on ranks.
    k : int
        Index of the time.
    """
    left = []
    for c, (many, other, f) in enumerate(zip(fields, fixed, made, strict=True)):
        mine = f.particles.typeid == species
        D, s = f.log[f"particles/{LABELS[displacement]}"][mine, k], other[mine]
        some = scores.redrawn(scores.blocks(f, SIDE)[mine], n_boot, seed=seed + c)
        left.append([
            np.mean([scores.partial(v[mine][i], D[i], s[i], method="spearman") for v in many])
            for i in (slice(None), *some)
        ])  # fmt: skip
    mean = np.mean(left, axis=0)
    return Resampled(float(mean[0]), mean[1:]).interval


# ------------------------------------------------------------------------------ two and three


@dataclass(frozen=True)
class Compared:
    """One system of a comparison of dimensions.

    Attributes
    ----------
    fields, made, species, displacement, side, seed
        What :func:`resample` takes.
    times : (n_times,) float64 array
        Of the draws, in units of the relaxation time of this kind of displacement.
    """

    fields: Fields
    made: list[Frame]
    species: int
    displacement: str
    side: int
    seed: int
    times: np.ndarray

    @property
    def curves(self) -> Curves:
        return correlate(
            self.fields, self.made, species=self.species, displacement=self.displacement
        )

    def at(self, k: int) -> Resampled:
        """\\|ρ\\| at one time."""
        how = {"species": self.species, "displacement": self.displacement}
        return strength(resample(self.fields, self.made, k, side=self.side, seed=self.seed, **how))

    def moments(self) -> dict[str, int]:
        """Index of the times "at τ_α" and "where largest"."""
        return {
            "at τ_α": dynamics.nearest(self.times, 1.0),
            "where largest": strongest(self.curves),
        }


def in_three_dimensions(
    folder: Path, *, n_networks: int, n_configurations: int | None = None, seed: int = 0
) -> dict[str, Compared]:
    """Chapter 2's order parameter at the deepest state of each of its systems, large particles.

    Parameters
    ----------
    folder : path
        Chapter 2's data: draws, and order parameters by state.
    n_networks : int
        The first seeds.
    n_configurations : int, optional
        At most; all by default.
    seed : int
        Of resamples, a thousand more for each system: they are independent.

    Returns
    -------
    dict
        Title and state, such as ``"Wahnström mixture, 0.7"``, to :class:`Compared`; systems
        without data are left out.
    """
    found = {}
    for j, name in enumerate(("hard-spheres", "wahnstrom", "kob-andersen"), start=1):
        system = systems.get(name)
        state = max(system.packing_fractions) if system.hard else min(system.temperatures)
        read = frames.read_all(folder / "isoconfigurational", f"{name}-{state:g}-*.gsd")
        made = list(read.values())[:n_configurations]
        if not made:
            continue
        q = [averaged_bond_order(f, neighbors=system.bond_cutoffs or "sann") for f in made]
        path = folder / "order-parameters" / f"{name}-{state:g}.safetensors"
        kind = made[0].particles.typeid
        order = order_parameters.fit_state(q[0], kind, seeds=range(n_networks), path=path)
        bare = [order.assign(x, f.particles.typeid) for x, f in zip(q, made, strict=True)]
        fields = smooth(bare, made, 2 * max(system.diameters.values()))
        large = int(np.argmax([system.diameters[t] for t in system.types]))
        own = np.asarray(made[0].log["times"]) / dynamics.decay_time(made)
        title = f"{system.title.split(',')[0]}, {state:g}"
        found[title] = Compared(fields, made, large, "plain", 3, seed + 1000 * j, own)
    return found
