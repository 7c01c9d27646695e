r"""The order parameter of a state: several networks, both species, averages, what it foretells.

Chapters 2 and 4 ask the same of different descriptors: fit an
:class:`~glasslib.models.autoencoder.OrderParameter` to each species of one snapshot, several times
with other seeds; say P_red of every particle of any configuration of that state; average it over a
sphere; correlate it with the propensity at every time. Descriptors come in as plain tables, so
nothing here knows whether they are bond orders in space or hexatic orders in a plane::

    order = fit_state(X[0], typeid, seeds=range(5), path=folder / "wahnstrom-0.7.safetensors")
    bare = [order.assign(x, f.particles.typeid) for x, f in zip(X, runs)]  # (n_networks, N) each
    smooth = [average(fields, f, radius) for fields, f in zip(bare, runs)]
    found = correlate_state(smooth, runs, species=1)
    found.at(found.best)  # mean over configurations and networks, and their range

Boattini, Marín-Aguilar, Mitra, Foffi, Smallenburg, Filion, Nat. Commun. 11, 5479 (2020).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from glasslib import dynamics, scores, stored
from glasslib.descriptors import averaging
from glasslib.frames import Frame
from glasslib.models import autoencoder
from glasslib.models.autoencoder import TRAINED_ON, OrderParameter, by_species

#: the autoencoder and the controls that learn less, nothing, or longer: options of a fit
ENCODERS: Mapping[str, Mapping[str, object]] = MappingProxyType({
    "autoencoder": {}, "PCA": {"encoder": "pca"}, "untrained network": {"encoder": "untrained"},
    "random projection": {"encoder": "random"}, "network trained on": {"training": TRAINED_ON},
})  # fmt: skip
_NAME = re.compile(r"seed(\d+)\.species(\d+)")


# ------------------------------------------------------------------------------ fit, keep, apply


@dataclass(frozen=True)
class StateOrder:
    """Result of :func:`fit_state`: what was fitted to one snapshot of a state.

    Attributes
    ----------
    models : mapping of int to mapping of int to OrderParameter
        ``models[seed][type id]``.
    stored : bool
        Whether all came from the file; False where any was fitted anew.
    """

    models: Mapping[int, Mapping[int, OrderParameter]]
    stored: bool = False

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the networks, in the order of the rows of :meth:`assign`."""
        return tuple(self.models)

    def assign(self, X: np.ndarray, typeid: np.ndarray) -> np.ndarray:
        """P_red of all particles of any configuration, each species by its own model.

        Parameters
        ----------
        X : (N, d) float array
            Descriptors, made as those that were fitted.
        typeid : (N,) int array

        Returns
        -------
        (n_networks, N) float64 array
            In [0, 1].
        """
        return np.array([by_species(mine, X, typeid) for mine in self.models.values()])

    def gaps(self, species: int) -> np.ndarray:
        """(n_networks,) how clearly red has the higher order: ``orientation_gap_`` of each."""
        return np.array([mine[species].orientation_gap_ for mine in self.models.values()])

    def agreement(self, X: np.ndarray, typeid: np.ndarray, species: int) -> np.ndarray:
        """(n_pairs,) Pearson correlations of P_red between any two networks, one species."""
        P = np.array([m[species].predict_proba(X[typeid == species]) for m in self.models.values()])
        return np.corrcoef(P)[np.triu_indices(len(P), 1)] if len(P) > 1 else np.empty(0)


def fingerprint(**options: object) -> str:
    """Of the settings of a fit and the code that makes it; what it was fitted to is asked apart."""
    settings = {k: v for k, v in OrderParameter(**options).get_params().items() if k != "seed"}
    return stored.fingerprint(settings=settings, code=[autoencoder])


def fit_state(
    X: np.ndarray,
    typeid: np.ndarray,
    *,
    seeds: Iterable[int] = range(5),
    path: Path | None = None,
    save: bool = False,
    **options: object,
) -> StateOrder:
    """Order parameters of one snapshot, a network a seed and species; stored ones where they fit.

    A stored model is taken if it has these options, was made by this code and was fitted to these
    descriptors (:meth:`OrderParameter.fitted_to`); any other is fitted anew, which takes less than
    a second.

    Parameters
    ----------
    X : (N, d) float array
        Descriptors of all particles of the snapshot.
    typeid : (N,) int array
    seeds : ints
    path : path, optional
        File of the state.
    save : bool
        Write to ``path`` what was not there; models of other options or snapshots in it are left
        out then.
    **options
        Of :class:`OrderParameter`, ``seed`` excepted.

    Raises
    ------
    ValueError
        Without seeds; for a species of fewer particles than a fit needs; for a damaged file.
    """
    X, typeid = np.asarray(X), np.asarray(typeid)
    seeds = list(dict.fromkeys(int(s) for s in seeds))
    if not seeds:
        raise ValueError("seeds is empty; expected one at least.")
    known = _recall(path, X, typeid, options)
    kinds, added, models = np.unique(typeid).tolist(), False, {}
    for seed in seeds:
        models[seed] = {}
        for kind in kinds:
            if (model := known.get((seed, kind))) is None:
                with warnings.catch_warnings():  # weak orientations: see gaps
                    warnings.simplefilter("ignore", UserWarning)
                    model = OrderParameter(seed=seed, **options).fit(X[typeid == kind])
                known[seed, kind], added = model, True
            models[seed][kind] = model
    if save and path is not None and added:
        table = {f"seed{s}.species{k}": m for (s, k), m in sorted(known.items())}
        autoencoder.save_several(path, table, {"fingerprint": fingerprint(**options)})
    return StateOrder(models, stored=not added)


def _recall(
    path: Path | None, X: np.ndarray, typeid: np.ndarray, options: Mapping[str, object]
) -> dict[tuple[int, int], OrderParameter]:
    """What a file holds of these options and this snapshot, by seed and type id."""
    if path is None or not path.exists():
        return {}
    models, about = autoencoder.load_several(path)
    if about.get("fingerprint") != fingerprint(**options):
        return {}
    found = {}
    for name, model in models.items():
        if not (match := _NAME.fullmatch(name)):
            raise ValueError(f"{path}: {name[:40]!r} is no name of fit_state; move it away.")
        seed, kind = int(match[1]), int(match[2])
        if model.fitted_to(X[typeid == kind]) and model.seed == seed:
            found[seed, kind] = model
    return found


def load_state(path: Path) -> StateOrder:
    """All order parameters of a file of :func:`fit_state`, unasked what they were fitted to.

    For those who have no snapshot to ask with; :func:`fit_state` is the safer way.
    """
    models, _ = autoencoder.load_several(path)
    found: dict[int, dict[int, OrderParameter]] = {}
    for name, model in models.items():
        if not (match := _NAME.fullmatch(name)):
            raise ValueError(f"{path}: {name[:40]!r} is no name of fit_state; move it away.")
        found.setdefault(int(match[1]), {})[int(match[2])] = model
    return StateOrder(found, stored=True)


def average(fields: np.ndarray, frame: Frame, radius: float) -> np.ndarray:
    """Mean of each field over the sphere (2D: circle) around every particle, of all species.

    Parameters
    ----------
    fields : (N,) or (n_networks, N) float array
    frame : gsd.hoomd.Frame
    radius : float
        σ_AA; the paper takes two large diameters. 0 gives the fields back.

    Returns
    -------
    float64 array of the shape of ``fields``
    """
    fields = np.asarray(fields, dtype=np.float64)
    return np.ascontiguousarray(averaging.sphere_average(fields.T, frame, radius).T)


# ---------------------------------------------------------------------------- what it foretells


@dataclass(frozen=True)
class Curves:
    """Result of :func:`correlate_state`.

    Attributes
    ----------
    times : (n_times,) float64 array
        τ, those of the propensities.
    each : (n_configurations, n_networks, n_times) float64 array
        Correlation within each configuration, by each network.
    pooled : (n_networks, n_times) float64 array
        That of the particles of all configurations together.
    ceiling : (n_configurations, n_times) float64 array
        About the highest correlation that any predictor could have, exact for Pearson's.
    """

    times: np.ndarray
    each: np.ndarray
    pooled: np.ndarray
    ceiling: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """(n_times,) mean over configurations and networks."""
        return self.each.reshape(-1, len(self.times)).mean(axis=0)

    @property
    def range(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and largest of configurations and networks, (n_times,) each."""
        return self.each.min(axis=(0, 1)), self.each.max(axis=(0, 1))

    @property
    def best(self) -> int:
        """Index of the time where the mean is largest."""
        return int(np.argmax(self.mean))

    def at(self, k: int) -> tuple[float, float, float]:
        """Mean, least and largest at one time."""
        low, high = self.range
        return float(self.mean[k]), float(low[k]), float(high[k])

    @property
    def peaks(self) -> tuple[np.ndarray, np.ndarray]:
        """Largest correlation of each configuration and network, and its time, (n,) each.

        Configurations one after the other.
        """
        rows = self.each.reshape(-1, len(self.times))
        return rows.max(axis=1), self.times[rows.argmax(axis=1)]

    @property
    def cut_off(self) -> np.ndarray:
        """(n,) bool: whose peak is at the last time, where the draws end before ρ has fallen."""
        rows = self.each.reshape(-1, len(self.times))
        return rows.argmax(axis=1) == len(self.times) - 1

    def gain(self, other: Curves, k: int) -> tuple[float, float, float]:
        """Mean of this minus another at one time, and its range, paired.

        Paired over configurations and networks of the same number; both must have as many.
        """
        if self.each.shape != other.each.shape:
            raise ValueError(
                f"{self.each.shape} against {other.each.shape} configurations, networks and times; "
                "a paired difference needs the same ones."
            )
        d = self.each[..., k] - other.each[..., k]
        return float(d.mean()), float(d.min()), float(d.max())


def correlate_state(
    fields: Sequence[np.ndarray],
    frames: Sequence[Frame],
    *,
    species: int,
    label: str = "propensity",
    method: str = "spearman",
) -> Curves:
    """Correlation of fields with the propensity of one species, at every time.

    Parameters
    ----------
    fields : sequence of (n_networks, N) float arrays
        One array a configuration; what each network says of all its particles.
    frames : sequence of frames
        From :func:`glasslib.simulate.isoconfigurational`, sampled at the same times.
    species : int
        Type id of those scored.
    label : str
        ``"propensity"`` or ``"cage_relative_propensity"``.
    method : {"spearman", "pearson"}

    Raises
    ------
    ValueError
        For lists of other lengths, other numbers of networks, or frames of other times.
    """
    fields = _check_fields(fields, frames)
    times = np.asarray(frames[0].log["times"], dtype=float)
    each, tables, ceilings = [], [], []
    for c, (many, frame) in enumerate(zip(fields, frames)):
        if not np.array_equal(frame.log["times"], times):
            raise ValueError(f"configuration {c} is sampled at other times than the first.")
        mine = frame.particles.typeid == species
        D = frame.log[f"particles/{label}"][mine]
        rows = [scores.correlate_times(v[mine], D, method=method, n_boot=0)[0] for v in many]
        each.append(rows)
        tables.append((many[:, mine], D))
        ceilings.append(dynamics.ceiling(frame, mine, label=label))
    if len(tables) == 1:
        pooled = np.array(each[0])
    else:
        x = np.concatenate([many for many, _ in tables], axis=1)
        D = np.concatenate([d for _, d in tables])
        pooled = np.array([scores.correlate_times(v, D, method=method, n_boot=0)[0] for v in x])
    return Curves(times, np.array(each), pooled, np.array(ceilings))


def bootstrap(
    field: np.ndarray,
    frame: Frame,
    *,
    species: int,
    label: str = "propensity",
    n_boot: int = 500,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spearman correlation of one field at every time, with 95 % over particles, (n_times,) each.

    Particles near each other are alike, so that these intervals are short; :func:`resample` draws
    blocks of the box.
    """
    mine = frame.particles.typeid == species
    D = frame.log[f"particles/{label}"][mine]
    return scores.correlate_times(np.asarray(field)[mine], D, n_boot=n_boot, seed=seed)


@dataclass(frozen=True)
class Resampled:
    """Result of :func:`resample`: a mean correlation, and the same of resamples."""

    value: float
    drawn: np.ndarray  #: (n_boot,)

    @property
    def interval(self) -> tuple[float, float, float]:
        """Value, low and high of 95 %, which contain the value."""
        low, high = np.quantile(self.drawn, (0.025, 0.975))
        return self.value, min(float(low), self.value), max(float(high), self.value)

    def minus(
        self, other: Resampled, size: Callable[[np.ndarray], np.ndarray] = np.asarray
    ) -> tuple[float, float, float]:
        """This minus another, with 95 %: paired where both drew the same blocks (equal seeds).

        ``size`` may be ``np.abs``, where only the strength of a correlation counts.
        """
        here = float(size(self.value) - size(other.value))
        return Resampled(here, size(self.drawn) - size(other.drawn)).interval


def resample(
    fields: Sequence[np.ndarray],
    frames: Sequence[Frame],
    k: int,
    *,
    species: int,
    label: str = "propensity",
    per_edge: int,
    n_boot: int = 300,
    seed: int = 0,
) -> Resampled:
    """Spearman correlation at one time, mean over networks and configurations, with resamples.

    A resample draws the ``per_edge``\\ :sup:`d` blocks of each box anew, and the networks:
    :func:`glasslib.scores.resampled`. Calls with one ``seed`` draw the same blocks, so that their
    differences are paired.

    Parameters
    ----------
    fields, frames, species, label
        As for :func:`correlate_state`.
    k : int
        Index of the time.
    per_edge : int
        Blocks an edge of the box: 5 in 2D, 3 in 3D hold more than one region each.
    """
    fields = _check_fields(fields, frames)
    mine = [f.particles.typeid == species for f in frames]
    value, drawn = scores.resampled(
        [many[:, m] for many, m in zip(fields, mine)],
        [f.log[f"particles/{label}"][m, k] for f, m in zip(frames, mine)],
        [scores.blocks(f, per_edge)[m] for f, m in zip(frames, mine)],
        n_boot=n_boot,
        seed=seed,
    )
    return Resampled(value, drawn)


# ------------------------------------------------------------------------------------------ nulls


@dataclass(frozen=True)
class Null:
    """What fields reach that know nothing: correlations of one time, by configuration.

    Attributes
    ----------
    each : (n_configurations, 3) float64 array
        Mean of the nulls, and the ends of their middle 95 %.
    """

    each: np.ndarray

    @property
    def widest(self) -> tuple[float, float, float]:
        """Median over all three numbers of all configurations, and the outermost ends."""
        return float(np.median(self.each)), float(self.each.min()), float(self.each.max())

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean over configurations, and 95 % of that mean."""
        half = np.sqrt((((self.each[:, 2] - self.each[:, 1]) / 2) ** 2).sum()) / len(self.each)
        centre = float(self.each[:, 0].mean())
        return centre, centre - float(half), centre + float(half)

    def count_above(self, rho: np.ndarray) -> int:
        """How many of the correlations (n_configurations,) lie above their own null's 95 %."""
        return int(np.sum(np.asarray(rho) > self.each[:, 2]))


def move_fields(
    fields: Sequence[np.ndarray],
    frames: Sequence[Frame],
    k: int,
    *,
    species: int,
    label: str = "propensity",
    n_shift: int = 500,
    seed: int = 0,
) -> Null:
    """Correlation of fields that are moved as a whole: as smooth as before, and ignorant.

    :func:`glasslib.scores.null_shift` of one field (N,) a configuration, averaged already.
    """
    _check_fields([np.atleast_2d(v) for v in fields], frames)
    return Null(np.array([
        [float(x[0]) for x in scores.null_shift(
            np.asarray(v), f.log[f"particles/{label}"][:, [k]], f,
            include=f.particles.typeid == species, n_shift=n_shift, seed=seed)]
        for v, f in zip(fields, frames)
    ]))  # fmt: skip


def deal_out(
    fields: Sequence[np.ndarray],
    frames: Sequence[Frame],
    k: int,
    *,
    species: int,
    radius: float,
    label: str = "propensity",
    n_shuffle: int = 500,
    seed: int = 0,
) -> Null:
    """Correlation of memberships dealt out anew within each species, and averaged thereafter.

    :func:`glasslib.scores.null_shuffle` of one bare field (N,) a configuration.
    """
    _check_fields([np.atleast_2d(v) for v in fields], frames)

    def one(v: np.ndarray, f: Frame) -> list[float]:
        mine = f.particles.typeid == species
        null = scores.null_shuffle(
            np.asarray(v), f.log[f"particles/{label}"][mine][:, [k]], groups=f.particles.typeid,
            n_shuffle=n_shuffle, seed=seed,
            after=lambda x: averaging.sphere_average(x, f, radius)[mine],
        )  # fmt: skip
        return [float(x[0]) for x in null]

    return Null(np.array([one(v, f) for v, f in zip(fields, frames)]))


def _check_fields(fields: Sequence[np.ndarray], frames: Sequence[Frame]) -> list[np.ndarray]:
    """(n_networks, N) float64 arrays, as many networks for each configuration."""
    if len(fields) != len(frames) or not len(frames):
        raise ValueError(
            f"{len(fields)} sets of fields and {len(frames)} configurations; expected one each."
        )
    made = [np.asarray(many, dtype=np.float64) for many in fields]
    for c, (many, f) in enumerate(zip(made, frames)):
        if many.ndim != 2 or many.shape[1] != f.particles.N or len(many) != len(made[0]):
            raise ValueError(
                f"configuration {c} of {f.particles.N} particles: fields have shape {many.shape}; "
                f"expected ({len(made[0])}, {f.particles.N})."
            )
    return made
