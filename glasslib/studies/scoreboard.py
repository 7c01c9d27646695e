"""The book's liquids, its predictors on all of them, and where the results are kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from glasslib import dynamics, frames, simulate, stored, systems
from glasslib.descriptors import averaging, elastic, radial_angular
from glasslib.frames import Frame
from glasslib.models import ridge
from glasslib.studies import competition, predictors, temperatures, unsupervised
from glasslib.studies.competition import N_FOLDS, Predictor, Row, compete
from glasslib.systems import System


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


#: learning curves: of whom, and from how many configurations; of states that have ten or more
CURVES = ("energies", "energies + response", "LR(2), at rest")
LEARNED_FROM = (2, 4)
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
    listed: Iterable[Predictor],
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
        ridge, averaging, elastic, sys.modules[radial_angular.__module__], competition,
    ]  # fmt: skip
    for one in listed:
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
        does not), ``ceiling`` by species: (n_times,) means over configurations, None where no
        variances over draws are kept; ``configurations``, ``particles``.
    """

    print_ = stored.fingerprint(
        settings={"label": label}, inputs=state.inputs,
        code=[dynamics.ceilings, dynamics.relaxation],
    )  # fmt: skip
    return stored.keep(
        Path(folder) / f"{state.name}.json", f"{label}: ceiling", print_,
        lambda: _measure(state.load(), state.system, label), make=make,
        how="glasslib run 6/scoreboard --preset paper --timeout 0",
    )  # fmt: skip


def _measure(made: Sequence[Frame], system: System, label: str) -> dict:
    labelled = [f for f in made if f"particles/{label}_variance" in f.log]
    ceiling = {}
    for s, name in enumerate(system.types):
        each = [_reach(f, f.particles.typeid == s, label) for f in labelled]
        ceiling[name] = [round(float(x), 6) for x in np.mean(each, axis=0)] if each else None
    times = [float(t) for t in made[0].log["times"]]
    known = "self_isf_A" in made[0].log
    return {
        "times": times, "tau": float(dynamics.decay_time(made)) if known else times[-1],
        "ceiling": ceiling, "configurations": len(made), "particles": int(made[0].particles.N),
    }  # fmt: skip


def _reach(f: Frame, mine: np.ndarray, label: str) -> np.ndarray:
    """(n_times,) ceilings of one configuration."""
    curves = [len(v) for k, v in f.log.items() if k.startswith("msd_")]
    n = curves[0] if curves else simulate.provenance(f)["n_replicas"]  # public: draws not kept
    mean, variance = (np.asarray(f.log[f"particles/{label}{k}"])[mine] for k in ("", "_variance"))
    return np.atleast_1d(dynamics.noise_ceiling(mean, variance, n))


def enter(state: State) -> list[Predictor]:
    """All of the book's predictors that can be asked about a state."""
    order = {"order parameter": unsupervised.learn_order(state.load)}
    return predictors.list_predictors(state.system, order=order)


@dataclass(frozen=True)
class Board:
    """Result of :func:`hold`.

    Attributes
    ----------
    rows : dict
        Name of a state to the rows of all its predictors.
    ceilings : dict
        Name of a state to what :func:`find_ceilings` says of it.
    curves : dict
        Name of a state to rows of predictors that learned from fewer configurations.
    """

    rows: dict[str, list[Row]]
    ceilings: dict[str, dict]
    curves: dict[str, list[Row]] = field(default_factory=dict)

    def nearest(self, state: str, time: float = 1.0) -> int:
        """Index of the stored time of a state nearest to ``time`` τ_α."""
        found = self.ceilings[state]
        return dynamics.nearest(found["times"], time * found["tau"])

    def at(self, state: str, species: str, time: float = 1.0) -> list[Row]:
        """Rows of one state and species at the stored time nearest to ``time`` τ_α."""
        t = self.ceilings[state]["times"][self.nearest(state, time)]
        return [r for r in self.rows[state] if r.species == species and np.isclose(r.time, t)]

    def follow(self, state: str, species: str, predictor: str) -> tuple[np.ndarray, np.ndarray]:
        """Times over τ_α (n_times,), and mean r with its interval (n_times, 3), of a predictor."""
        rows = [r for r in self.rows[state] if (r.species, r.predictor) == (species, predictor)]
        t = np.array([r.time for r in rows]) / self.ceilings[state]["tau"]
        return t, np.array([r.mean for r in rows]).reshape(-1, 3)

    def learn(self, state: str, species: str, predictor: str, time: float = 1.0) -> list[Row]:
        """Rows of a predictor at one time, by how many configurations it has learned from."""
        t = self.ceilings[state]["times"][self.nearest(state, time)]
        rows = [*self.curves.get(state, ()), *self.rows[state]]
        found = {
            r.learned_from: r
            for r in rows
            if (r.species, r.predictor) == (species, predictor) and np.isclose(r.time, t)
        }
        return [found[n] for n in sorted(found)]

    def table(self) -> list[dict]:
        """All of it, flat: :func:`tabulate`."""
        return tabulate(self.rows, self.ceilings)


def hold(
    folder: Path,
    states: Iterable[State],
    choose: Callable[[State], Sequence[Predictor]],
    *,
    mode: str = "read",
) -> Board:
    """The whole competition.

    Parameters
    ----------
    choose : callable
        Predictors that are asked about a state, such as :func:`enter`.
    mode : {"read", "make", "own"}
        Stored results; those that are missing computed and stored (of states that are present);
        or computed on the first three configurations of each, and not stored.

    Raises
    ------
    glasslib.stored.StoredError
    """
    rows, ceilings, curves = {}, {}, {}
    for state in states:
        listed = choose(state)
        if mode == "own":
            made = state.load()[:3]
            rows[state.name] = compete(listed, made, state.system)
            ceilings[state.name] = _measure(made, state.system, "propensity")
        else:
            make = mode == "make" and state.present
            rows[state.name] = survey(folder, state, listed, make=make)
            ceilings[state.name] = find_ceilings(folder, state, make=make)
            few = [n for n in LEARNED_FROM if ceilings[state.name]["configurations"] >= 10]
            some = [p for p in listed if p.name in CURVES]
            curves[state.name] = [
                r for n in few for r in survey(folder, state, some, n_train=n, make=make)
            ]
    return Board(rows, ceilings, curves)


def read(folder: Path, data: Path, root: Path | None = None) -> Board:
    """The stored board of all states of which ``folder`` has results.

    Parameters
    ----------
    folder : path
        With a file a state, as :func:`survey` writes them.
    data, root
        As for :func:`list_states`.
    """
    states = list_states(data, root)
    known = [s for name, s in states.items() if (Path(folder) / f"{name}.json").is_file()]
    if not known:
        raise stored.StoredError(
            f"{folder} has no results; make them: "
            "glasslib run 6/scoreboard --preset paper --timeout 0"
        )
    return hold(folder, known, enter)


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
