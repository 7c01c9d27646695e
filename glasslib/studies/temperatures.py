"""Chapter 5's questions: what is learned at some temperatures, asked at others.

Configurations are frames of :func:`glasslib.production.trajectory_job` (or of one's own with the
same labels); the liquid numbered 0 is for tests, the others are for training. Labels are taken at
the last of their times, the published one near τ_α.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, frames, neighbors, scores, simulate, structure, systems
from glasslib.descriptors import averaged_energies, averaged_radial_angular
from glasslib.frames import Frame
from glasslib.models.ridge import PropensityRidge
from glasslib.studies.correlation import Scores, score
from glasslib.systems import System

#: labels of a particle that are foretold, by the name pages use
TARGETS = {"C_B": "particles/bond_breaking", "propensity": "particles/propensity"}


# ------------------------------------------------------------------------------ configurations


def find_files(
    folder: Path, kind: str, system: System, states: Sequence[float] | None
) -> Iterator[tuple[float, int, Path]]:
    """Temperature, number of the liquid and path of what ``production.trajectory_job`` wrote."""
    pattern = re.compile(re.escape(system.name) + r"-([0-9.]+)-([0-9]+)")
    found = []
    for path in (Path(folder) / kind).glob(f"{system.name}-*.gsd"):
        if name := pattern.fullmatch(path.stem):
            found.append((-float(name[1]), int(name[2]), path))
    for kT, melt, path in sorted(found):
        if states is None or any(abs(-kT - s) < 1e-9 for s in states):
            yield -kT, melt, path


def load(
    folder: Path, system: System, *, test: bool, states: Sequence[float] | None = None
) -> dict[float, list[Frame]]:
    """Labelled configurations by temperature, from hot to cold.

    Parameters
    ----------
    folder : path
        A chapter's data; ``isoconfigurational/NAME-KT-MELT.gsd`` in it.
    test : bool
        Those of the liquid 0, never trained on; else those of all others.
    states : sequence of float, optional
        Temperatures to take; all by default.
    """
    found: dict[float, list[Frame]] = {}
    for kT, melt, path in find_files(folder, "isoconfigurational", system, states):
        if (melt == 0) == test:
            found.setdefault(kT, []).extend(frames.read(path))
    return found


def load_equilibrated(
    folder: Path, system: System, states: Sequence[float] | None = None
) -> dict[float, list[Frame]]:
    """Equilibrated liquids by temperature, from hot to cold: the evidence of :func:`relaxation`."""
    found: dict[float, list[Frame]] = {}
    for kT, _, path in find_files(folder, "equilibrated", system, states):
        found.setdefault(kT, []).extend(frames.read(path))
    return found


def describe_stock(folder: Path, system: System, liquids: Mapping[float, Sequence[int]]) -> str:
    """A line a temperature: configurations that are there, of those that ``liquids`` asks for."""
    there: dict[tuple[float, int], int] = {}
    for kT, melt, path in find_files(folder, "isoconfigurational", system, list(liquids)):
        there[kT, melt] = len(frames.read(path))
    lines = []
    for kT, counts in sorted(liquids.items(), reverse=True):
        have = [there.get((kT, m), 0) for m in range(len(counts))]
        lines.append(
            f"T = {kT:g}: {have[0]} of {counts[0]} for tests, "
            f"{sum(have[1:])} of {sum(counts[1:])} to learn from"
        )
    return "\n".join(lines)


def label_public(paths: Sequence[Path], system: System, cache: Path | None = None) -> list[Frame]:
    """Public configurations with the labels of the book's own: C_B, pairs, inherent structures.

    Parameters
    ----------
    paths : sequence of path
        Files that ``frames.read(path, replicas=True)`` opens.
    system : System
        Who made them: ``systems.of_public_set(...)``.
    cache : path, optional
        GSD file to keep the result in; what is there is read, if it is of these configurations.
    """
    starts = [frames.read(path, replicas=True)[0] for path in paths]
    if cache is not None and cache.exists():
        stored = frames.read(cache)
        if len(stored) == len(starts) and all(
            np.array_equal(a.particles.position, b.particles.position)
            and simulate.provenance(a).get("system") == system.name
            for a, b in zip(stored, starts)
        ):
            return stored
    made = []
    labels = [n for n in simulate.LABELS if n not in ("replica_distance", "squared_displacement")]
    for start in starts:
        kT = float(system.temperatures[0])
        start.log |= {"kT": np.array([kT]), "times": np.array([system.alpha_time(kT)])}
        one = simulate.label_replicas(
            start, system, bond_cutoffs=(*system.bond_breaking_cutoffs, 1.5, 1.9), pair_radius=2.0,
            labels=labels,
        )  # fmt: skip
        made.append(dynamics.pack_pairs(one, time=0))
    if cache is not None:
        frames.write(cache, made)
    return made


def inherent(frame: Frame) -> Frame:
    """The inherent structure that a labelled frame carries, as a frame of its own."""
    quiet = frames.copy(frame, log={})
    quiet.particles.position = np.asarray(frame.log["particles/inherent_position"])
    quiet.particles.image = quiet.particles.velocity = None
    return quiet


def temperature(frame: Frame) -> float:
    """k_BT of a labelled frame, ε_AA."""
    return float(frame.log["kT"][0])


def target(frame: Frame, name: str = "C_B") -> np.ndarray:
    """(N,) label of :data:`TARGETS`, at the last time."""
    return np.asarray(frame.log[TARGETS[name]], dtype=float)[:, -1]


def label_noise(frame: Frame, name: str = "C_B") -> np.ndarray:
    """(N,) variance of the error of each label: that over draws, divided by their number."""
    key = f"{TARGETS[name]}_variance"
    if key not in frame.log:
        raise frames.FrameError(
            f"the frame has no log[{key!r}]; expected a configuration of a test set, whose "
            "variances over draws are kept."
        )
    n = simulate.provenance(frame)["n_replicas"]
    return np.asarray(frame.log[key], dtype=float)[:, -1] / n


def reaches(frame: Frame, name: str = "C_B", *, species: int = 0) -> float:
    """Highest Pearson r that any prediction of a label can have: :func:`dynamics.noise_ceiling`."""
    mine = frame.particles.typeid == species
    n = simulate.provenance(frame)["n_replicas"]
    return float(
        dynamics.noise_ceiling(target(frame, name)[mine], n * label_noise(frame, name)[mine], n)
    )


def reaches_pairs(frame: Frame) -> float:
    """Highest Pearson r of the changes of distance of :func:`scored_pairs`."""
    found, n = dynamics.pair_labels(frame), simulate.provenance(frame)["n_replicas"]
    if found.variance is None:
        raise frames.FrameError(
            "the frame has no log['bonds/change_variance']; expected one of a test set."
        )
    keep = scored_pairs(frame)
    return float(dynamics.noise_ceiling(found.change[keep], found.variance[keep], n))


def scored_pairs(frame: Frame, *, r_max: float = 1.35, species: int = 0) -> np.ndarray:
    """Which pairs of :func:`dynamics.pair_labels` are scored: A–A, within ``r_max`` at rest."""
    pairs = dynamics.pair_labels(frame).pairs
    x = np.asarray(frame.log["particles/inherent_position"], dtype=float)
    v = dynamics.nearest_image(x[pairs[:, 1]] - x[pairs[:, 0]], frame.configuration.box)
    same = np.all(frame.particles.typeid[pairs] == species, axis=1)
    return same & (np.linalg.norm(v, axis=1) < r_max)


# --------------------------------------------------------------------------------- equilibrium


@dataclass(frozen=True)
class Relaxation:
    """Result of :func:`relaxation`: one state of a liquid.

    Attributes
    ----------
    tau : (n_windows,) float64 array
        Where F_A of each window crosses 1/e; NaN where it does not.
    value, low, high : float
        That of the mean curve over windows, and a 95 % interval from the windows' scatter.
    early_late : dict
        Late half minus early half of the windows, with intervals: ``tau`` (as a ratio),
        ``potential_energy``, ``pressure``.
    """

    tau: np.ndarray
    value: float
    low: float
    high: float
    early_late: dict[str, tuple[float, float, float]]


def scattering(equilibrated: Frame | Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """Times (n_times,), and F_A of every window of all liquids of a state (n_windows, n_times)."""
    made = [equilibrated] if isinstance(equilibrated, Frame) else list(equilibrated)
    times = np.asarray(made[0].log["equilibration/times"], dtype=float)
    for f in made:
        if not np.allclose(f.log["equilibration/times"], times):
            raise ValueError("liquids of one state are sampled at different times; expected equal.")
    return times, np.concatenate([np.atleast_2d(f.log["equilibration/self_isf_A"]) for f in made])


def relaxation(equilibrated: Frame | Sequence[Frame]) -> Relaxation:
    """Relaxation time of A particles from all windows of all liquids of one state.

    The curve of a window begins at the window's own start, so windows one after the other are
    independent once they are longer than the relaxation time. The interval is that of the mean of
    ln τ over windows (Student's t).
    """
    made = [equilibrated] if isinstance(equilibrated, Frame) else list(equilibrated)
    times, F = scattering(made)
    tau = np.array([dynamics.crossing(times, row, 1 / np.e) for row in F])
    value = dynamics.crossing(times, F.mean(axis=0), 1 / np.e)
    known = np.log(tau[np.isfinite(tau)])
    if len(known) > 1:
        m, low, high = scores.mean_interval(known)
        low, high = value * np.exp(low - m), value * np.exp(high - m)
    else:
        low = high = np.nan
    halves = {}
    for name in ("potential_energy", "pressure"):
        rows = [np.atleast_2d(f.log[f"equilibration/{name}"]).mean(axis=1) for f in made]
        early = np.concatenate([row[: len(row) // 2] for row in rows])
        late = np.concatenate([row[len(row) - len(row) // 2 :] for row in rows])
        halves[name] = scores.mean_difference(early, late)
    windows = np.cumsum([len(f.log["equilibration/ages"]) for f in made])[:-1]
    parts = [(p[: len(p) // 2], p[len(p) - len(p) // 2 :]) for p in np.split(np.log(tau), windows)]
    early, late = (np.concatenate(side) for side in zip(*parts))
    if np.isfinite(early).any() and np.isfinite(late).any():
        halves["tau"] = tuple(float(np.exp(x)) for x in scores.mean_difference(early, late))
    return Relaxation(tau, float(value), float(low), float(high), halves)


def correlate_field(
    made: Sequence[Frame], name: str = "C_B", *, species: int = 0, **options
) -> tuple[np.ndarray, np.ndarray]:
    """S₄(q) of a label in configurations of a test set, noise of the draws taken off.

    Wave numbers (n,) and a curve a configuration (n_configurations, n);
    :func:`glasslib.dynamics.four_point` with ``options``.
    """
    return dynamics.four_point(
        made,
        [target(f, name) for f in made],
        include=[f.particles.typeid == species for f in made],
        noise=[label_noise(f, name) for f in made],
        **options,
    )


# --------------------------------------------------------------------------------- thermometers


def thermometers(frame: Frame) -> dict[str, float]:
    """Single numbers of one configuration that might tell its temperature.

    Returns
    -------
    dict
        ``inherent energy`` per particle, ε_AA; ``bond length``, the mean distance of thermal A–A
        pairs within 1.43 σ_AA; ``first peak``, the height of the thermal g_AA(r).
    """
    A = frame.particles.typeid == 0
    near = neighbors.within(frame, 1.43)
    like = A[near.source] & A[near.index]
    r, g = structure.radial_distribution(frame, ("A", "A"), r_max=1.6, bins=80)
    return {
        "inherent energy": float(np.mean(frame.log["particles/inherent_energy"])),
        "bond length": float(near.distance[like].mean()),
        "first peak": float(g.max()),
    }


@dataclass(frozen=True)
class Thermometer:
    """A straight line from one number to temperature, with what it says of test configurations."""

    name: str
    slope: float
    constant: float
    predicted: dict[float, np.ndarray]  #: temperature -> one value a test configuration, ε_AA

    def error(self, kT: float) -> np.ndarray:
        """T_pred − T of each test configuration at ``kT``."""
        return self.predicted[kT] - kT


def read_temperature(
    train: Mapping[float, Sequence[Frame]], test: Mapping[float, Sequence[Frame]]
) -> list[Thermometer]:
    """Fit every :func:`thermometers` on training configurations, read it on test configurations.

    Empty where fewer than two temperatures are trained on.
    """
    if len(train) < 2:
        return []  # no line through one temperature
    known = [(kT, thermometers(f)) for kT, made in train.items() for f in made]
    asked = {kT: [thermometers(f) for f in made] for kT, made in test.items()}
    found = []
    for name in known[0][1]:
        x, T = np.array([(numbers[name], kT) for kT, numbers in known]).T
        # a number that is everywhere the same says the mean temperature
        slope, constant = np.polyfit(x, T, 1) if np.ptp(x) > 0 else (0.0, T.mean())
        predicted = {
            kT: np.array([slope * numbers[name] + constant for numbers in rows])
            for kT, rows in asked.items()
        }
        found.append(Thermometer(name, float(slope), float(constant), predicted))
    return found


# ------------------------------------------------------------------------------------ regression


def describe(frame: Frame, kind: str = "energies") -> np.ndarray:
    """(N, k) inputs of a regression: ``energies``, ``geometry`` (LR(2) at rest) or ``thermal``."""
    if kind == "energies":
        energy = np.asarray(frame.log["particles/inherent_energy"], dtype=float)
        return averaged_energies(energy, inherent(frame))
    if kind in ("geometry", "thermal"):
        seen = inherent(frame) if kind == "geometry" else frame
        return averaged_radial_angular(seen, 2.3, n_max=2)[0]
    raise ValueError(f"kind is {kind!r}; expected energies, geometry or thermal.")


@dataclass(frozen=True)
class Transfer:
    """Result of :func:`transfer`: scores by what was trained on, and where it was asked.

    Attributes
    ----------
    scores : dict
        ``scores[trained on][tested at]``, both as labels: temperatures, or names of mixtures.
    """

    scores: dict[object, dict[float, Scores]]

    def learned_at_the_ends(self) -> dict[float, Scores]:
        """Scores of the model of the coldest and the hottest temperature, by where it was asked."""
        return self.scores["the ends" if "the ends" in self.scores else "mixed"]

    def as_json(self) -> dict:
        """What JSON can hold; :meth:`from_json` reads it."""
        return {
            str(label): {str(kT): s.as_json() for kT, s in row.items()}
            for label, row in self.scores.items()
        }

    @classmethod
    def from_json(cls, stored: dict) -> Transfer:
        """The result that :meth:`as_json` wrote; names of mixtures are words."""
        return cls(
            {
                label if label[0].isalpha() else float(label): {
                    float(kT): Scores.from_json(s) for kT, s in row.items()
                }
                for label, row in stored.items()
            }
        )


def transfer(
    train: Mapping[float, Sequence[Frame]],
    test: Mapping[float, Sequence[Frame]],
    *,
    name: str = "C_B",
    kind: str = "energies",
    species: int = 0,
    mixtures: Mapping[str, Sequence[float]] | None = None,
    alone: bool = True,
    describe: Callable[[Frame, str], np.ndarray] = describe,
    alter: Callable[[Frame, np.ndarray], np.ndarray] | None = None,
) -> Transfer:
    """Train a ridge regression at each temperature, and on mixtures; ask all of them everywhere.

    Parameters
    ----------
    train, test : dict
        Temperature to labelled frames, from :func:`load`.
    name : {"C_B", "propensity"}
    kind : str
        Of inputs, see :func:`describe`.
    mixtures : dict, optional
        Name to temperatures whose configurations are trained on together; all by default.
    alone : bool
        Also a model for each temperature.
    alter : callable, optional
        ``(frame, target) -> target``: what training sees in place of the truth, for controls.
    """
    mixtures = {"mixed": tuple(train)} if mixtures is None else mixtures
    table: dict[int, np.ndarray] = {}

    def inputs(frame: Frame) -> np.ndarray:
        if id(frame) not in table:
            table[id(frame)] = describe(frame, kind)[frame.particles.typeid == species]
        return table[id(frame)]

    def truth(frame: Frame) -> np.ndarray:
        return target(frame, name)[frame.particles.typeid == species]

    def learned(frame: Frame) -> np.ndarray:
        seen = target(frame, name)
        seen = seen if alter is None else alter(frame, seen)
        return seen[frame.particles.typeid == species]

    found = {}
    single = {kT: (kT,) for kT in train} if alone else {}
    for label, temperatures in (single | dict(mixtures)).items():
        chosen = [f for kT in temperatures for f in train[kT]]
        groups = np.repeat(np.arange(len(chosen)), [len(inputs(f)) for f in chosen])
        X, D = np.concatenate([inputs(f) for f in chosen]), np.concatenate([*map(learned, chosen)])
        options = {} if len(chosen) > 1 else {"alphas": 1e3}
        model = PropensityRidge(min_spread=1e-3, **options).fit(X, D, groups)
        found[label] = {
            kT: score([model.predict(inputs(f))[:, 0] for f in made], [*map(truth, made)])
            for kT, made in test.items()
        }
    return Transfer(found)


def move_field(seed: int = 0) -> Callable[[Frame, np.ndarray], np.ndarray]:
    """A control for :func:`transfer`: targets shifted as a whole by a random vector.

    The field stays as smooth as it was and knows nothing of the structure any more; particles of
    each species trade places among themselves (:func:`glasslib.scores.moved`). Every
    configuration has a vector of its own.
    """

    def alter(frame: Frame, values: np.ndarray) -> np.ndarray:
        own = int(hashlib.sha1(frame.particles.position.tobytes()).hexdigest()[:6], 16)
        out = np.array(values, dtype=float)
        for kind in np.unique(frame.particles.typeid):
            mine = frame.particles.typeid == kind
            index = scores.moved(frame, include=mine, n_shift=1, seed=seed + own)
            out[mine] = values[mine][index[:, 0]]
        return out

    return alter


def split_public(made: Sequence[Frame], n_test: int = 2) -> tuple[list[Frame], list[Frame]]:
    """Public configurations to learn from, and the last ``n_test`` to be asked."""
    if not 0 < n_test < len(made):
        raise ValueError(f"n_test is {n_test} of {len(made)}; expected some on either side.")
    return list(made[:-n_test]), list(made[-n_test:])


def find_public(root: Path) -> tuple[System, list[Path], list[str]]:
    """The public set at T = 0.44: who made it, its files (none if they are absent), checksums."""
    from glasslib import fetching

    system = systems.of_public_set("botan")
    files = [f for f in fetching.DATASETS["botan"].files if f.name.endswith(".npz")]
    paths = [fetching.find(f"botan/{f.name}", root=root) for f in files]
    return system, [] if None in paths else paths, [f.sha256 for f in files]


def survey(
    folder: Path,
    system: System,
    *,
    root: Path,
    name: str = "C_B",
    kind: str = "energies",
    species: int = 0,
    seed: int = 0,
    n_moves: int = 10,
    mode: str = "read",
) -> dict:
    """Thermometers, transfer and its control over all temperatures, the public one included.

    The public configurations are not part of this book, so the result is stored
    (:mod:`glasslib.stored`, ``folder/survey.json``) and read.

    Parameters
    ----------
    folder : path
        Configurations of one's own, see :func:`load`; where the result is stored.
    root : path
        The clone, see :func:`glasslib.fetching.folders`.
    mode : {"read", "make", "own"}
        Read what is stored; make what is missing; or compute at once, without the public set and
        from two configurations of each test set: a trial.

    Returns
    -------
    dict
        ``thermometers`` list of :class:`Thermometer`; ``transfer``, :class:`Transfer`, with
        the mixtures ``"mixed"``, of all temperatures, and where there are more than two ``"the
        ends"``, of the coldest and the hottest; by temperature ``moved``, (n_moves,) mean r of a
        model of all temperatures that learned from targets moved as a whole, ``ceilings``,
        ``counts`` (configurations to learn from and asked) and ``S4`` (wave numbers and a curve
        for every configuration of the test sets and of the public one, :func:`correlate_field`);
        ``made``, the day.

    Raises
    ------
    glasslib.stored.StoredError
        At ``"read"``, where there is no result of these inputs; at ``"make"``, where the public
        set is needed and not here.
    """
    from glasslib import stored
    from glasslib.descriptors import averaging
    from glasslib.models import ridge
    from glasslib.studies import correlation

    public, paths, checksums = find_public(root)
    with_public = mode != "own" and public.name == system.name

    def compute() -> dict:
        test = load(folder, system, test=True)
        if mode == "own":  # a trial of the code: of each temperature one learns, one is asked
            train, test = ({T: [m[k]] for T, m in test.items() if m[k:]} for k in (0, 1))
        else:
            train = load(folder, system, test=False)
        if with_public:
            if not paths:
                raise stored.StoredError(
                    "the public set is not here, and the result needs it; bring it with: "
                    "glasslib fetch botan"
                )
            kT = float(system.temperatures[0])
            made = label_public(paths, system, root / "_build" / "public" / "botan.gsd")
            train[kT], test[kT] = split_public(made)
            whole = test | {kT: made}
        else:
            whole = test
        options = {"name": name, "kind": kind, "species": species}
        table: dict[int, np.ndarray] = {}

        def once(frame: Frame, kind: str) -> np.ndarray:
            if id(frame) not in table:
                table[id(frame)] = describe(frame, kind)
            return table[id(frame)]

        options["describe"] = once
        mixtures = {"mixed": tuple(train)}
        if len(train) > 2:
            mixtures["the ends"] = (min(train), max(train))
        moves = [
            transfer(train, test, **options, alone=False, alter=move_field(seed + 100_000 * k))
            for k in range(n_moves)
        ]
        return {
            "thermometers": [asdict(t) for t in read_temperature(train, test)],
            "transfer": transfer(train, test, **options, mixtures=mixtures).as_json(),
            "moved": {T: [m.scores["mixed"][T].mean[0] for m in moves] for T in test},
            "ceilings": {
                T: [reaches(f, name, species=species) for f in m] for T, m in test.items()
            },
            "S4": {T: correlate_field(made, name, species=species) for T, made in whole.items()},
            "counts": {T: [len(train.get(T, [])), len(m)] for T, m in test.items()},
        }

    def plain(found: object) -> object:  # arrays and keys as JSON has them
        return json.loads(json.dumps(found, default=np.ndarray.tolist))

    if mode == "own":
        found, made = plain(compute()), "now"
    else:
        key = f"{name}, {kind}, {system.types[species]}"
        files = [p for _, _, p in find_files(folder, "isoconfigurational", system, None)]
        print_ = stored.fingerprint(
            settings={"key": key, "seed": seed, "n_moves": n_moves, "public": with_public},
            inputs=[*files, *(checksums if with_public else [])],
            code=[ridge, averaging, correlation, sys.modules[__name__]],
        )
        path = Path(folder) / "survey.json"
        found = stored.keep(
            path, key, print_, lambda: plain(compute()), make=mode == "make",
            how="glasslib run 5/descriptors --preset paper",
        )  # fmt: skip
        made = stored.made_on(path, key)

    def by_temperature(row: dict) -> dict[float, np.ndarray]:
        return {float(T): np.array(values) for T, values in row.items()}

    return {
        "thermometers": [
            Thermometer(**t | {"predicted": by_temperature(t["predicted"])})
            for t in found["thermometers"]
        ],
        "transfer": Transfer.from_json(found["transfer"]),
        "moved": by_temperature(found["moved"]),
        "ceilings": by_temperature(found["ceilings"]),
        "counts": by_temperature(found["counts"]),
        "S4": {float(T): tuple(map(np.array, rows)) for T, rows in found["S4"].items()},
        "made": made,
    }
