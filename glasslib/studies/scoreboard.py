"""Who foretells motion best, when, and at what price: all predictors on the same particles.

A :class:`Predictor` describes every particle of a frame by numbers; one number a particle may stand
for itself, several go to a model. :func:`compete` leaves whole configurations out in turn, the same
for all, and returns one schema: a row a predictor, species and time. Whatever has scikit-learn's
``fit`` and ``predict`` can enter::

    mine = Predictor("neighbours", lambda f, system: count(f), RandomForestRegressor())
    table = compete([mine, *predictors.list_predictors(system)], frames, system)
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from sklearn.base import clone

from glasslib import dynamics, frames, scores, simulate, stored, systems
from glasslib.descriptors import averaging, elastic, radial_angular
from glasslib.frames import Frame
from glasslib.models import ridge
from glasslib.studies import temperatures
from glasslib.systems import System

N_FOLDS = 5  #: parts of the configurations that are left out in turn
ALL = "all"  #: particles of every species together: what composition says counts, too

Describe = Callable[[Frame, System], np.ndarray]


@dataclass(frozen=True)
class Predictor:
    """One that foretells motion from structure.

    Attributes
    ----------
    name : str
    describe : callable
        ``(frame, system) -> (N,) or (N, k)`` float array of finite numbers.
    model : estimator, optional
        With ``fit(X, D)`` or ``fit(X, D, groups)`` and ``predict(X)``; it is cloned, one a species
        and fold, and learns all times at once, D (n, n_times). None: the one number itself,
        written so that more of it means more motion.
    control : bool
        True: it learns from a field of motion that was moved as a whole by a random vector, and
        can know nothing of the structure.
    hard, flat : bool
        Whether it can be asked about hard particles, and about two dimensions.
    """

    name: str
    describe: Describe
    model: object | None = None
    control: bool = False
    hard: bool = True
    flat: bool = True

    @property
    def learns(self) -> bool:
        """Whether it needs configurations with labels to learn from."""
        return self.model is not None

    def suits(self, system: System) -> bool:
        """Whether it can be asked about this system."""
        return (self.hard or not system.hard) and (self.flat or system.dimensions == 3)


@dataclass(frozen=True)
class Row:
    """How one predictor did on one species at one time.

    Attributes
    ----------
    predictor, species : str
    time : float
        τ.
    each : tuple of float
        Pearson r within each configuration.
    spearman : float
        Mean over configurations.
    pooled : float
        Pearson r of all particles together; what a model says of its mean particle is taken off,
        as its level is that of other configurations. NaN for all species together.
    columns : int
        Numbers a particle.
    learned_from : int
        Configurations that a model saw; 0 of what does not learn.
    describe, learn, predict : float
        CPU seconds: to describe one particle; to fit one model, all times and this species; to
        predict one particle.
    """

    predictor: str
    species: str
    time: float
    each: tuple[float, ...]
    spearman: float
    pooled: float
    columns: int
    learned_from: int
    describe: float
    learn: float
    predict: float

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean r over configurations with its 95 % interval (Student's t), no further than ±1."""
        mean, low, high = (float(x) for x in scores.mean_interval(np.array(self.each)))
        return mean, max(low, -1.0), min(high, 1.0)


# -------------------------------------------------------------------------- the competition


def compete(
    predictors: Sequence[Predictor],
    made: Sequence[Frame],
    system: System,
    *,
    label: str = "propensity",
    n_folds: int = N_FOLDS,
    n_train: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """Ask all predictors about the same particles, learned from other configurations.

    Parameters
    ----------
    predictors : sequence of Predictor
        Those that do not suit the system are left out; those that learn, too, where there are
        fewer than three configurations.
    made : sequence of frames
        Labelled configurations of one state, ``log['particles/<label>']`` (N,) or (N, n_times),
        with the same times.
    label : {"propensity", "bond_breaking", …}
    n_folds : int
        Configurations are dealt into so many parts, the first to the first part and so on; each
        part is left out once.
    n_train : int, optional
        Learn from so many of the configurations that are not left out, for learning curves; from
        all by default.
    seed : int
        Of the moved fields.

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        Without configurations or labels, for times that differ, or a description that does not
        fit or is not finite.
    """
    labels, times = _labels(made, label)
    rows: list[Row] = []
    for one in predictors:
        if one.suits(system) and (not one.learns or len(made) >= 3):
            rows += _ask(one, made, system, labels, times, n_folds, n_train, seed)
    return rows


def _labels(made: Sequence[Frame], label: str) -> tuple[list[np.ndarray], np.ndarray]:
    if not made:
        raise ValueError("no configurations; expected one at least.")
    found = []
    for c, f in enumerate(made):
        if f"particles/{label}" not in f.log:
            raise ValueError(
                f"configuration {c} has no log['particles/{label}']; label it with "
                "simulate.isoconfigurational, or name another label."
            )
        values = np.asarray(f.log[f"particles/{label}"], dtype=float)
        found.append(values.reshape(len(values), -1))
    times = np.asarray(made[0].log["times"], dtype=float)
    for c, (f, values) in enumerate(zip(made, found)):
        if values.shape[1] != len(times) or not np.allclose(f.log["times"], times):
            raise ValueError(
                f"configuration {c} has labels at times {np.asarray(f.log['times'])}; expected "
                f"those of the first, {times}."
            )
    return found, times


def _ask(one, made, system, labels, times, n_folds, n_train, seed) -> list[Row]:
    begin, tables = time.process_time(), []
    for c, f in enumerate(made):
        X = np.asarray(one.describe(f, system), dtype=float)
        X = X.reshape(len(X), -1)
        if len(X) != f.particles.N or not np.all(np.isfinite(X)):
            raise ValueError(
                f"predictor {one.name!r}, configuration {c}: a description of shape {X.shape}; "
                f"expected finite numbers of all {f.particles.N} particles."
            )
        tables.append(X)
    seconds = (time.process_time() - begin) / sum(map(len, tables))
    kinds = range(len(system.types))
    mine = {s: [f.particles.typeid == s for f in made] for s in kinds}
    found = [np.full(D.shape, np.nan) for D in labels]
    level = [np.zeros(D.shape) for D in labels]
    cost = {}
    for s in kinds:
        cost[s] = _foretell(
            one, made, tables, labels, mine[s], found, level, n_folds, n_train, seed
        )
    rows = []
    for s in [*kinds, ALL]:
        include = mine[s] if s != ALL else [np.ones(len(X), bool) for X in tables]
        costs = [cost[s]] if s != ALL else list(cost.values())
        learn, ask = (float(sum(c[k] for c in costs)) for k in (0, 1))
        seen = int(max(c[2] for c in costs))
        name = system.types[s] if s != ALL else ALL
        present = [c for c, m in enumerate(include) if m.any()]
        P, B, D = ([x[c][include[c]] for c in present] for x in (found, level, labels))
        for k, t in enumerate(times):
            each = [_pearson(p[:, k], d[:, k]) for p, d in zip(P, D)]
            ranked = [_pearson(_rank(p[:, k]), _rank(d[:, k])) for p, d in zip(P, D)]
            relative = np.concatenate([p[:, k] - b[:, k] for p, b in zip(P, B)])
            pooled = _pearson(relative, np.concatenate([d[:, k] for d in D]))
            rows.append(Row(
                one.name, name, float(t), tuple(each), float(np.mean(ranked)),
                pooled if s != ALL else np.nan, tables[0].shape[1], seen, seconds, learn, ask,
            ))  # fmt: skip
    return rows


def _foretell(one, made, tables, labels, mine, found, level, n_folds, n_train, seed) -> np.ndarray:
    """Fill ``found`` for one species; seconds to learn and to predict, configurations seen."""
    if not one.learns:
        for X, p, m in zip(tables, found, mine):
            if X.shape[1] != 1:
                raise ValueError(
                    f"predictor {one.name!r} gives {X.shape[1]} numbers a particle and has no "
                    "model; expected one number, or a model."
                )
            p[m] = X[m]
        return np.zeros(3)
    learned = [
        _move(f, D, m, seed + c) if one.control else D
        for c, (f, D, m) in enumerate(zip(made, labels, mine))
    ]
    learn, predict, asked, seen = 0.0, 0.0, 0, 0
    folds = [range(k, len(made), n_folds) for k in range(min(n_folds, len(made)))]
    for fold in folds:
        kept = [c for c in range(len(made)) if c not in fold][:n_train]
        X = np.concatenate([tables[c][mine[c]] for c in kept])
        D = np.concatenate([learned[c][mine[c]] for c in kept])
        groups = np.repeat(kept, [mine[c].sum() for c in kept])
        model, begin = clone(one.model), time.process_time()
        wants = "groups" in inspect.signature(model.fit).parameters
        model.fit(X, D, *([groups] if wants else []))
        learn += time.process_time() - begin
        center = model.predict(X.mean(axis=0)[None]).reshape(-1)
        begin = time.process_time()
        for c in fold:
            found[c][mine[c]] = model.predict(tables[c][mine[c]]).reshape(-1, D.shape[1])
            level[c][mine[c]] = center
            asked += int(mine[c].sum())
        predict += time.process_time() - begin
        seen = max(seen, len(kept))
    return np.array([learn / len(folds), predict / asked, seen])


def _move(frame: Frame, D: np.ndarray, mine: np.ndarray, seed: int) -> np.ndarray:
    moved = D.copy()
    moved[mine] = D[mine][scores.moved(frame, include=mine, n_shift=1, seed=seed)[:, 0]]
    return moved


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0


def _rank(x: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]  # ties share their mean rank


# ------------------------------------------------------------------------ states of the book


@dataclass(frozen=True)
class State:
    """Labelled configurations of one liquid at one state.

    Attributes
    ----------
    name : str
        ``kob-andersen-0.5``: of its file.
    system : System
    value : float
        Temperature, or packing fraction of hard particles.
    load : callable
        Reads the configurations.
    inputs : list
        What they are known by: paths, or checksums of files that may be absent.
    present : bool
        Whether they can be loaded here.
    """

    name: str
    system: System
    value: float
    load: Callable[[], list[Frame]] = field(repr=False)
    inputs: list = field(repr=False)
    present: bool = True

    @property
    def title(self) -> str:
        """``Kob-Andersen, T = 0.5``."""
        return f"{self.system.title}, {'η' if self.system.hard else 'T'} = {self.value:g}"


#: where the book's ensembles lie
FOLDERS = (
    "2-autoencoder-3d", "3-averaged-descriptors", "4-autoencoder-2d-disks",
    "5-temperature-transfer",
)  # fmt: skip


def list_states(data: Path, root: Path | None = None) -> dict[str, State]:
    """Every state of which the book has isoconfigurational ensembles.

    Parameters
    ----------
    data : path
        Folder of the chapters' data.
    root : path, optional
        Of the checkout; with it the public set at T = 0.44 takes part.
    """
    places: dict[str, list[Path]] = {}
    for folder in FOLDERS:
        for path in sorted((Path(data) / folder / "isoconfigurational").glob("*.gsd")):
            places.setdefault(path.stem.rsplit("-", 1)[0], []).append(path)
    found = {}
    for name, paths in sorted(places.items()):
        system, _, value = name.rpartition("-")
        if system in systems.available():

            def load(paths=tuple(paths)) -> list[Frame]:
                return [f for path in sorted(paths, key=_number) for f in frames.read(path)]

            found[name] = State(name, systems.get(system), float(value), load, sorted(paths))
    if root is not None:
        system, paths, checksums = temperatures.find_public(root)

        def load() -> list[Frame]:
            return temperatures.label_public(
                paths, system, root / "_build" / "public" / "botan.gsd"
            )

        kT = f"{system.name}-0.44"
        found[kT] = State(kT, system, 0.44, load, list(checksums), bool(paths))
    return found


def _number(path: Path) -> int:
    return int(path.stem.rsplit("-", 1)[1])


def survey(
    folder: Path,
    state: State,
    predictors: Iterable[Predictor],
    *,
    label: str = "propensity",
    n_train: int | None = None,
    make: bool = False,
) -> list[Row]:
    """:func:`compete` on one state, stored in ``folder/<state>.json``, a predictor at a time.

    Parameters
    ----------
    n_train : int, optional
        As for :func:`compete`.
    make : bool
        False: read; a predictor without a result of these configurations and this code is an
        error. True: what is missing is computed.

    Raises
    ------
    glasslib.stored.StoredError
    """
    path, made, rows = Path(folder) / f"{state.name}.json", [], []
    shared = [
        ridge, averaging, elastic, sys.modules[radial_angular.__module__], sys.modules[__name__],
    ]  # fmt: skip
    for one in predictors:
        if not one.suits(state.system):
            continue
        print_ = stored.fingerprint(
            settings={"predictor": one.name, "label": label, "folds": N_FOLDS, "train": n_train},
            inputs=state.inputs, code=[*shared, sys.modules[one.describe.__module__]],
        )  # fmt: skip

        def ask(one=one) -> list[dict]:
            if not made:
                made.extend(state.load())
            return [
                _plain(row)
                for row in compete([one], made, state.system, label=label, n_train=n_train)
            ]

        key = f"{label}: {one.name}" + (f", {n_train} to learn from" if n_train else "")
        value = stored.keep(
            path, key, print_, ask, make=make,
            how="glasslib run 6/scoreboard --preset paper --timeout 0",
        )  # fmt: skip
        rows += [
            Row(**{**row, "each": tuple(row["each"]), "pooled": _number_of(row["pooled"])})
            for row in value
        ]
    return rows


def _plain(row: Row) -> dict:
    """What JSON holds; six digits are more than any interval needs."""
    plain = {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(row).items()}
    plain["each"] = [round(float(r), 6) for r in row.each]
    plain["pooled"] = None if np.isnan(row.pooled) else round(row.pooled, 6)
    plain["describe"], plain["predict"] = float(f"{row.describe:.2g}"), float(f"{row.predict:.2g}")
    return plain


def _number_of(value: float | None) -> float:
    return np.nan if value is None else value


def find_ceilings(
    folder: Path, state: State, *, label: str = "propensity", make: bool = False
) -> dict:
    """What no predictor can pass, and the clock of a state; stored as :func:`survey`.

    Returns
    -------
    dict
        ``times`` (n_times,), ``tau`` the time at which F_A falls to 1/e (the last one where it
        does not), ``ceiling`` by species: (n_times,) means over configurations, NaN where no
        variances over draws are kept; ``configurations``, ``particles``.
    """

    def measure() -> dict:
        made = state.load()
        labelled = [f for f in made if f"particles/{label}_variance" in f.log]
        ceiling = {}
        for s, name in enumerate(state.system.types):
            each = [_reach(f, f.particles.typeid == s, label) for f in labelled]
            ceiling[name] = [round(float(x), 6) for x in np.mean(each, axis=0)] if each else None
        times = [float(t) for t in made[0].log["times"]]
        known = "self_isf_A" in made[0].log
        return {
            "times": times, "tau": float(dynamics.decay_time(made)) if known else times[-1],
            "ceiling": ceiling, "configurations": len(made),
            "particles": int(made[0].particles.N),
        }  # fmt: skip

    print_ = stored.fingerprint(
        settings={"label": label}, inputs=state.inputs, code=[dynamics, sys.modules[__name__]]
    )
    found = stored.keep(
        Path(folder) / f"{state.name}.json", f"{label}: ceiling", print_, measure, make=make,
        how="glasslib run 6/scoreboard --preset paper --timeout 0",
    )  # fmt: skip
    known = {s: np.array(c) for s, c in found["ceiling"].items() if c is not None}
    unknown = np.full(len(found["times"]), np.nan)
    return found | {"ceiling": {s: known.get(s, unknown) for s in found["ceiling"]}}


def _reach(f: Frame, mine: np.ndarray, label: str) -> np.ndarray:
    """(n_times,) ceilings of one configuration."""
    curves = [len(v) for k, v in f.log.items() if k.startswith("msd_")]
    n = curves[0] if curves else simulate.provenance(f)["n_replicas"]  # public: draws not kept
    mean, variance = (np.asarray(f.log[f"particles/{label}{k}"])[mine] for k in ("", "_variance"))
    return np.atleast_1d(dynamics.noise_ceiling(mean, variance, n))


def tabulate(board: Mapping[str, Sequence[Row]], ceilings: Mapping[str, dict]) -> list[dict]:
    """One flat table of all states: a row a state, predictor, species and time.

    Parameters
    ----------
    board, ceilings : dict
        Name of a state to what :func:`survey` and :func:`find_ceilings` say of it.
    """
    table = []
    for state, rows in board.items():
        found = ceilings[state]
        for row in rows:
            mean, low, high = row.mean
            k = dynamics.nearest(found["times"], row.time)
            top = found["ceiling"].get(row.species)
            table.append({
                "state": state, "predictor": row.predictor, "species": row.species,
                "time": row.time, "time/tau": row.time / found["tau"], "r": mean, "low": low,
                "high": high, "spearman": row.spearman, "pooled": row.pooled,
                "ceiling": np.nan if top is None else float(top[k]),
                "configurations": len(row.each), "learned_from": row.learned_from,
                "columns": row.columns, "describe_s": row.describe, "learn_s": row.learn,
                "predict_s": row.predict,
            })  # fmt: skip
    return table
