"""Chapter 4's questions about flat liquids: crystal or not, ageing, two kinds of displacement.

Liquids are frames of :func:`glasslib.production.ensemble_job` with ``cage_relative=True``. The
clock of the chapter is where the *cage-relative* self scattering function of the large disks
(type 0, the unit of length) passes 1/e: τ_α.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glasslib import (
    dynamics,
    equations_of_state,
    frames,
    neighbors,
    scores,
    simulate,
    stored,
)
from glasslib.descriptors import averaged_hexatic_order, averaging, hexatic_order
from glasslib.engines import edmd
from glasslib.frames import Frame
from glasslib.studies.temperatures import find_files
from glasslib.systems import System

#: label of a displacement, and the self scattering function that goes with it
LABELS = {"cage-relative": "cage_relative_propensity", "plain": "propensity"}
CURVES = {"cage-relative": "cage_relative_self_isf_A", "plain": "self_isf_A"}
#: rules for neighbours that look at positions alone
RULES = ("voronoi", "sann", "cut-off")
SIDE = 5  #: blocks an edge of a flat box, for intervals

# ------------------------------------------------------------------------------------- liquids


def load(
    folder: Path, kind: str, system: System, states: Sequence[float] | None = None
) -> dict[float, list[Frame]]:
    """Frames by packing fraction, the densest first; what is not on disk is left out.

    Parameters
    ----------
    folder : path
        A chapter's data.
    kind : {"equilibrated", "isoconfigurational"}
    system : System
        Of :func:`glasslib.studies.productions.disks_of_ratio`.
    states : sequence of float, optional
        Packing fractions; all by default.
    """
    found: dict[float, list[Frame]] = {}
    for eta, _, path in find_files(folder, kind, system, states):
        found.setdefault(eta, []).extend(frames.read(path))
    return found


def require(
    made: Mapping[float, list[Frame]], states: Sequence[float], *, ratio: float, draws: bool = True
) -> dict[float, list[Frame]]:
    """The frames of these packing fractions, the densest first.

    Raises
    ------
    glasslib.geometry.FrameError
        Where one is missing: a line with the command that makes it.
    """
    for eta in states:
        if eta not in made:
            there = ", ".join(f"{e:g}" for e in made) or "none"
            what, last = ("velocity draws", 1000) if draws else ("equilibrated liquid", 0)
            times = f"-p windows '[1000]' -p draws '[{last}]' -p configurations '[1]'"
            raise frames.FrameError(
                f"no {what} of disks 1 : {ratio:g} at η = {eta:g} (there are: {there}). Make it: "
                f"glasslib run 4/simulation --preset paper --timeout 0 -p ratio {ratio:g} "
                f"-p states '[{eta:g}]' {times}"
            )
    return {eta: made[eta] for eta in sorted(states, reverse=True)}


def read_labelled(path: str | Path) -> list[Frame]:
    """Labelled flat configurations of one's own, in place of the book's.

    Raises
    ------
    glasslib.geometry.FrameError
        For frames in three dimensions, or without what velocity draws leave: one line.
    """
    made = frames.read(path)
    needed = ["times", *CURVES.values()]
    for label in LABELS.values():
        needed += [f"particles/{label}", f"particles/{label}_variance"]
    for c, f in enumerate(made):
        if frames.dimensions(f) != 2:
            raise frames.FrameError(f"{path}: configuration {c} is not flat; expected disks in 2D.")
        if missing := [name for name in needed if name not in f.log]:
            raise frames.FrameError(
                f"{path}: configuration {c} has no log[{missing[0]!r}]; expected velocity draws of "
                "simulate.isoconfigurational with cage_relative=True."
            )
    return made


def check_pressure(
    system: System, packing_fractions: Sequence[float], *, n: int = 500, seed: int = 0
) -> dict[float, tuple[float, float, float]]:
    """Pressure of small fresh liquids over the equation of state, with 95 % over 20 blocks.

    The reference is :func:`glasslib.equations_of_state.binary_disks` (Santos et al. 1999).
    """
    found = {}
    for eta in packing_fractions:
        start = simulate.liquid(system, eta=eta, n=n, duration=20.0, seed=seed)
        times = np.linspace(2, 40, 20)
        run = edmd.Edmd().run(start, system, duration=40.0, sample_times=times)
        blocks = scores.mean_interval(np.array([f.log["pressure"][0] for f in run]))
        reference = equations_of_state.binary_disks(system, eta)
        found[eta] = tuple(float(x / reference) for x in blocks)
    return found


# ------------------------------------------------------------------------------------- crystal


def order_by_window(equilibrated: Frame) -> np.ndarray:
    """Global hexatic order, the modulus of ⟨φ_6⟩, at the end of each window, (n_windows,).

    Of order one where cells are turned alike across the box; √(π / 4 N) for N random angles.
    """
    found = []
    for x in equilibrated.log["equilibration/position"].reshape(-1, equilibrated.particles.N, 3):
        then = frames.copy(equilibrated, log={})
        then.particles.position, then.particles.image = x, None
        found.append(float(abs(hexatic_order(then, k=6).mean())))
    return np.array(found)


def share_of_hexagons(made: Iterable[Frame], *, above: float = 0.8) -> float:
    """Share of disks whose own neighbours make a regular hexagon: modulus of φ_6 > ``above``."""
    return float(np.mean([np.abs(hexatic_order(f, k=6)) > above for f in made]))


# ------------------------------------------------------------------------ relaxation and ageing


@dataclass(frozen=True)
class Relaxation:
    """Result of :func:`relax`.

    Attributes
    ----------
    times : (n_times,) float64 array
    curves : (n_windows, n_times) float64 array
        Self scattering function of the large disks.
    each : (n_windows,) float64 array
        Where each falls through 1/e, τ; NaN for a window that ends before.
    """

    times: np.ndarray
    curves: np.ndarray
    each: np.ndarray

    @property
    def late(self) -> int:
        """How many windows end before the function has fallen so far."""
        return int(np.isnan(self.each).sum())

    @property
    def tau(self) -> tuple[float, float, float]:
        """Mean over windows with 95 % of Student's t; NaN where a window is too short."""
        return tuple(float(x) for x in scores.mean_interval(self.each))

    def fit(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Exponent of the stretched exponential, times and values of its curve; NaN and empty
        where the windows hold too little of the late decay."""
        with suppress(ValueError):
            found = dynamics.relaxation_time(self.times, self.curves)
            tail = self.times[self.times > found.tau / 30]
            return found.beta, tail, found.gamma * np.exp(-((tail / found.tau) ** found.beta))
        return np.nan, np.array([]), np.array([])


def relax(
    equilibrated: Sequence[Frame], *, displacement: str = "cage-relative", first: int = 1
) -> Relaxation:
    """Relaxation of the large disks in the windows of the equilibrations of one state.

    Parameters
    ----------
    displacement : {"cage-relative", "plain"}
    first : int
        Windows that are left out: the first by default.
    """
    key = f"equilibration/{CURVES[displacement]}"
    t = np.asarray(equilibrated[0].log["equilibration/times"], dtype=float)
    curves = np.concatenate([e.log[key][first:] for e in equilibrated])
    return Relaxation(t, curves, np.array([dynamics.crossing(t, c, 1 / np.e) for c in curves]))


@dataclass(frozen=True)
class Ageing:
    """Result of :func:`compare_windows`.

    Attributes
    ----------
    times : (n_times,) float64 array
    curves : dict
        "windows 2–4" and "windows 5–7": (n, n_times) scattering functions.
    pressure, tau : (n_configurations, 7) float64 arrays
        By window; τ_α no longer than the window.
    bounds : (n_configurations, 7) bool array
        Where τ_α is longer than the window.
    """

    times: np.ndarray
    curves: dict[str, np.ndarray]
    pressure: np.ndarray
    tau: np.ndarray
    bounds: np.ndarray

    def gap(self, what: str) -> tuple[float, float, float]:
        """Late minus early windows of "pressure" or "tau"; 95 %, Student's t over windows."""
        values = getattr(self, what)
        return scores.mean_difference(values[:, 1:4], values[:, 4:7])

    def halves(self, what: str) -> tuple[float, float]:
        """Mean over early and over late windows."""
        values = getattr(self, what)
        return float(values[:, 1:4].mean()), float(values[:, 4:7].mean())


def compare_windows(equilibrated: Sequence[Frame]) -> Ageing:
    """Early and late windows of the equilibrations of one state: a liquid does not tell them."""
    key = f"equilibration/{CURVES['cage-relative']}"
    t = np.asarray(equilibrated[0].log["equilibration/times"], dtype=float)
    F = np.array([e.log[key] for e in equilibrated])
    pressure = np.array([e.log["equilibration/pressure"].mean(axis=1) for e in equilibrated])
    tau = np.array([[dynamics.crossing(t, row, 1 / np.e) for row in e] for e in F])
    curves = {
        "windows 2–4": F[:, 1:4].reshape(-1, len(t)),
        "windows 5–7": F[:, 4:7].reshape(-1, len(t)),
    }
    return Ageing(t, curves, pressure, np.where(np.isnan(tau), t[-1], tau), np.isnan(tau))


# ----------------------------------------------------------------------- two kinds of motion


def compare_sizes(
    path: Path,
    system: System,
    eta: float,
    sizes: Sequence[int],
    *,
    window: float,
    seed: int = 0,
    make: bool = False,
) -> dict[int, dict[str, np.ndarray]]:
    """The same liquid in boxes of several sizes: what long waves do to displacements.

    Stored (:mod:`glasslib.stored`), for the largest box takes hours. As with frames on disk, the
    engine does not belong to the fingerprint: disks are chaotic, so another order of sums changes
    every digit and no mean.

    Parameters
    ----------
    path : path
        JSON file of the results.
    window : float
        Length of each of the seven windows, τ; the first is left out.
    make : bool
        Compute what is missing; otherwise it is refused.

    Returns
    -------
    dict
        Size to ``times`` (n_times,) and, window by window, (6, n_times): ``msd``, ``self_isf``,
        ``cage_relative_msd`` and ``cage_relative_self_isf`` of the large disks.

    Raises
    ------
    glasslib.stored.StoredError
        Without ``make``, where a result is missing or of other settings.
    """
    names = ("msd", "cage_relative_msd", "self_isf", "cage_relative_self_isf")

    def compute(n: int) -> dict[str, list]:
        start = simulate.equilibrated(
            system, eta=eta, n=n, sample_times=simulate.log_times(system, window), seed=seed,
            cage_relative=True,
        )  # fmt: skip
        found = {
            k: np.round(start.log[f"equilibration/{k}_A"][1:].astype(float), 5).tolist()
            for k in names
        }
        return found | {"times": start.log["equilibration/times"].tolist()}

    result = {}
    for n in sizes:
        print_ = stored.fingerprint(
            settings={
                "diameters": system.diameters, "composition": system.composition, "eta": eta,
                "n": n, "window": window, "seed": seed, "wavenumber": system.wavenumber,
            }
        )  # fmt: skip
        value = stored.keep(
            path, f"{system.name}, η = {eta:g}, n = {n}, seed {seed}", print_,
            lambda n=n: compute(n), make=make,
            how="glasslib run 4/simulation --preset paper --timeout 0",
        )  # fmt: skip
        result[n] = {k: np.array(v) for k, v in value.items()}
    return result


def compare_labels(made: Sequence[Frame], *, species: int = 0) -> np.ndarray:
    """Pearson r between plain and cage-relative propensity of one species, (n_conf., n_times)."""
    rows = []
    for f in made:
        mine = f.particles.typeid == species
        a, b = (f.log[f"particles/{label}"][mine] for label in LABELS.values())
        rows.append([float(np.corrcoef(x, y)[0, 1]) for x, y in zip(a.T, b.T, strict=True)])
    return np.array(rows)


def ceilings(
    made: Sequence[Frame], *, displacement: str = "cage-relative", species: int = 0
) -> np.ndarray:
    """:func:`glasslib.dynamics.ceiling` of one species, (n_configurations, n_times)."""
    return np.array(
        [
            dynamics.ceiling(f, f.particles.typeid == species, label=LABELS[displacement])
            for f in made
        ]
    )


def ceiling_at(
    made: Sequence[Frame],
    j: int,
    *,
    displacement: str = "cage-relative",
    species: int = 0,
    n_boot: int = 300,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Mean ceiling over configurations at one time, with 95 % over 25 blocks of each."""
    label, drawn = LABELS[displacement], []
    for c, f in enumerate(made):
        mine = f.particles.typeid == species
        D, V = (f.log[f"particles/{label}{what}"][mine, j] for what in ("", "_variance"))
        n = len(f.log["msd_A"])
        rows = scores.redrawn(scores.blocks(f, SIDE)[mine], n_boot, seed=seed + c)
        drawn.append([dynamics.noise_ceiling(D[i], V[i], n) for i in rows])
    low, high = (float(x) for x in np.quantile(np.mean(drawn, axis=0), (0.025, 0.975)))
    here = float(ceilings(made, displacement=displacement, species=species).mean(axis=0)[j])
    return here, min(low, here), max(high, here)


def follow(
    begin: Frame, system: System, *, last: float, n_frames: int, seed: int = 0
) -> tuple[list[Frame], np.ndarray, np.ndarray]:
    """One run from a frame: its frames, their times, and how far each disk has left its cage.

    Returns
    -------
    list of n_frames frames, (n_frames,) float64 array, (n_frames, N) float64 array
        The third is the displacement relative to the neighbours at the start, σ_A.
    """
    times = np.linspace(0, last, n_frames)
    movie = [
        begin,
        *edmd.Edmd().run(begin, system, duration=last, sample_times=times[1:], seed=seed),
    ]
    x = np.stack([frames.unwrapped(f) for f in movie])
    u = dynamics.cage_relative(x[0], x, neighbors.voronoi(begin))
    return movie, times, np.linalg.norm(u, axis=2)


# --------------------------------------------------------------------------------- descriptors


def neighbor_rule(name: str, made: Sequence[Frame]) -> str | dict:
    """What descriptors take as ``neighbors``: a name of :data:`RULES`, cut-offs worked out.

    ``"cut-off"`` is at the first minimum of g(r), one for each pair of species, of all ``made``.
    """
    if name not in RULES:
        raise ValueError(f"neighbors is {name!r}; expected one of {', '.join(RULES)}.")
    return neighbors.first_minimum_cutoffs(list(made), r_max=2.5) if name == "cut-off" else name


def common_bonds(found: neighbors.Neighbors, reference: neighbors.Neighbors) -> float:
    """Share of the reference's bonds that another rule finds too."""
    pairs, others = (set(zip(n.source.tolist(), n.index.tolist())) for n in (found, reference))
    return len(pairs & others) / len(reference.index)


def differ_from_freud(frame: Frame, found: neighbors.Neighbors, orders: Sequence[int]) -> float:
    """Largest difference between :func:`hexatic_order` and the package freud, over all k."""
    import freud

    listed = freud.locality.NeighborList.from_arrays(
        frame.particles.N, frame.particles.N, found.source, found.index,
        found.vector.astype(np.float32),
    )  # fmt: skip
    box = freud.box.Box(*frame.configuration.box[:2], is2D=True)
    here, worst = hexatic_order(frame, neighbors=found, k=orders), 0.0
    for column, k in zip(here.T, orders):
        there = freud.order.Hexatic(k=int(k)).compute((box, frame.particles.position), listed)
        worst = max(worst, float(np.abs(there.particle_order - column).max()))
    return worst


def mean_orders(
    made: Sequence[Frame],
    orders: Sequence[int],
    *,
    neighbors: object = "voronoi",
    species: int = 0,
    n_boot: int = 300,
    seed: int = 0,
) -> np.ndarray:
    """Mean modulus of φ̄_k of one species over configurations, all neighbours, and its resamples.

    Returns
    -------
    (1 + n_boot, n_orders) float64 array
        The mean itself, then those of resampled blocks.
    """
    mine = [f.particles.typeid == species for f in made]
    options = {"k": tuple(orders), "same_species": False, "neighbors": neighbors}
    tables = [averaged_hexatic_order(f, **options)[m] for f, m in zip(made, mine, strict=True)]
    x, n = np.concatenate(tables), SIDE**2
    where = np.concatenate(
        [n * c + scores.blocks(f, SIDE)[m] for c, (f, m) in enumerate(zip(made, mine))]
    )
    drawn = scores.redrawn(where, n_boot, seed=seed)
    return np.array([x.mean(axis=0), *(x[i].mean(axis=0) for i in drawn)])


def change(later: np.ndarray, earlier: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of two :func:`mean_orders` and its 95 %, three (n_orders,) arrays."""
    gap = later - earlier
    return gap[0], *np.quantile(gap[1:], (0.025, 0.975), axis=0)


def persist(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Pearson r of each column of one table with the same of another, (n_columns,)."""
    pairs = zip(np.asarray(before).T, np.asarray(after).T, strict=True)
    return np.array([scores.correlate(x, y, n_boot=0).r for x, y in pairs])


def share_of_small(frame: Frame) -> np.ndarray:
    """Share of small disks (type 1) among the Voronoi neighbours of every disk, (N,)."""
    near = neighbors.voronoi(frame)
    return np.bincount(near.source, frame.particles.typeid[near.index] == 1) / near.counts


def area_fraction(frame: Frame, system: System, radius: float) -> np.ndarray:
    """Packing fraction in a circle around every disk: how dense it is, whoever is there, (N,)."""
    size = np.array([system.diameters[t] for t in system.types])[frame.particles.typeid]
    return averaging.local_density(frame, radius, weights=np.pi / 4 * size**2)
