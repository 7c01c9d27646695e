"""How the models of :mod:`glasslib.pretrained` are made, and what is measured of each.

Every model is a recipe below. :func:`make` trains it on the book's data, or takes over what a
chapter has trained, with its scores on configurations left out; it asks it about other temperatures
and densities of its system, and writes file and card. What is there of the same recipe, data and
code stays.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, engines, frames, pretrained, scores, stored, systems
from glasslib.descriptors import averaging, bond_order, elastic, rest
from glasslib.frames import Frame
from glasslib.models import autoencoder, ridge
from glasslib.models.ridge import PropensityRidge, held_out
from glasslib.studies import correlation, record, temperatures
from glasslib.studies.correlation import Scores, score
from glasslib.systems import System

#: of what :func:`make` stores: raised where this module trains, scores or writes otherwise
LAYOUT = 1
MIN_SPREAD = 1e-3  # chapter 3: columns that vary less are left out
FOLDS = 4  # of the configurations that a model is scored on, and chooses its penalty by
_BOATTINI = "Boattini, Smallenburg and Filion, PRL 127, 088007 (2021)"
_ORDER = "Boattini et al., Nat. Commun. 11, 5479 (2020)"
#: what is beyond the farthest state that was asked, times this, is no liquid of this system
MARGIN = 1.25


@dataclass(frozen=True)
class Recipe:
    """One model of the shelf.

    Attributes
    ----------
    name : str
        Without a species, ``"ka-0.5-energies"``.
    system : str
    state : float
        Temperature, or packing fraction of hard particles.
    kind : str
        Of :data:`glasslib.pretrained.LABELS`.
    species : str
        Letters of those that it knows.
    public : str
        Of a model that chapter 3 has trained on the public set: its name in ``public.json``.
    """

    name: str
    system: str
    state: float
    kind: str
    species: str = "AB"
    public: str = ""

    @property
    def settings(self) -> dict:
        """For :func:`glasslib.pretrained.describe`."""
        system = systems.get(self.system)
        if self.kind == "order":
            return {"radius": 2 * max(system.diameters.values())}
        if self.kind == "network":
            return {"inputs": "full"}
        if self.kind in ("energies", "response"):
            return {}
        if system.hard:
            return {"r_c": 2.1, "n_max": 2, "contact": {"A": 0.925, "B": 0.85}}
        return {"r_c": 2.3, "n_max": 2}


FORCE_SHIFTED = "kob-andersen-force-shifted"
RECIPES = {
    r.name: r
    for r in (
        Recipe("ka-0.44-energies", FORCE_SHIFTED, 0.44, "energies", "A", public="energies"),
        Recipe("ka-0.44-inherent", FORCE_SHIFTED, 0.44, "inherent", "A", public="inherent, n = 2"),
        Recipe("ka-0.5-energies", "kob-andersen", 0.5, "energies"),
        Recipe("ka-0.5-inherent", "kob-andersen", 0.5, "inherent"),
        Recipe("ka-0.5-thermal", "kob-andersen", 0.5, "thermal"),
        Recipe("ka-0.5-order", "kob-andersen", 0.5, "order"),
        Recipe("wahnstrom-0.7-energies", "wahnstrom", 0.7, "energies"),
        Recipe("wahnstrom-0.7-thermal", "wahnstrom", 0.7, "thermal"),
        Recipe("wahnstrom-0.7-order", "wahnstrom", 0.7, "order"),
        Recipe("hs-0.58-thermal", "hard-spheres", 0.58, "thermal"),
        Recipe("hs-0.58-order", "hard-spheres", 0.58, "order"),
        Recipe("ka-0.44-response", FORCE_SHIFTED, 0.44, "response", "A"),
        Recipe("ka-0.44-0.64-network", FORCE_SHIFTED, 0.44, "network", "A"),
    )
}


@dataclass(frozen=True)
class Stock:
    """Labelled configurations of one state, in the order of their numbers."""

    made: list[Frame]
    files: list[Path]
    times: np.ndarray  #: (n_times,) τ
    at: int  #: of the times, that nearest to the relaxation time

    def truth(self, mine: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(n, n_times) propensities of some particles of each configuration."""
        found = []
        for f, m in zip(self.made, mine):
            value = np.asarray(f.log["particles/propensity"], dtype=float)
            found.append(value.reshape(len(value), -1)[m])
        return found

    def ceiling(self, species: int) -> float:
        """Mean over configurations of the highest r that there can be, at the relaxation time."""
        each = []
        for f in self.made:
            if "particles/propensity_variance" not in f.log:  # made to learn from
                continue
            mine = np.asarray(f.particles.typeid) == species
            mean, variance = (
                np.asarray(f.log[f"particles/propensity{end}"], float).reshape(len(mine), -1)
                for end in ("", "_variance")
            )
            n = next((len(v) for k, v in f.log.items() if k.startswith("msd_")), 32)
            each.append(dynamics.noise_ceiling(mean[mine, self.at], variance[mine, self.at], n))
        return float(np.mean(each))


def load(system: System, state: float, data: Path) -> Stock | None:
    """The book's own labelled configurations of a state; None where there are none."""
    files = [
        path
        for folder in sorted(Path(data).glob("[0-9]-*/isoconfigurational"))
        for path in folder.glob(f"{system.name}-{state:g}-*.gsd")
    ]
    files.sort(key=lambda path: int(path.stem.rpartition("-")[2]))
    if not files:
        return None
    made = [f for path in files for f in frames.read(path)]
    times = np.asarray(made[0].log["times"], dtype=float)
    at = dynamics.nearest(times, dynamics.decay_time(made)) if len(times) > 2 else len(times) - 1
    return Stock(made, files, times, at)


def adopt(recipe: Recipe, others: list, data: Path, folder: Path) -> dict:
    """Chapter 3's model of the public set, with the scores that chapter stored."""
    source, results = _find_public(recipe, data)
    file = f"{recipe.name.rpartition('-')[0]}-A-{recipe.kind}.safetensors"
    shutil.copyfile(source, folder / file)
    model = PropensityRidge.load(folder / file)
    found = json.loads(results.read_text(encoding="utf-8"))
    each = np.array(found[f"A, {recipe.public}"]["value"]["each"], dtype=float)
    mean, low, high = (float(x) for x in scores.mean_interval(each))
    foreign = [(axis, state, s, tabulate(recipe, s)) for axis, state, s in others]
    transfer, domain = _ask_elsewhere(model, [], 0, foreign, 0)
    how = f"{len(each)} configurations, each foretold by a model without it"
    return {"A": {
        "file": file, "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "score": {"r": mean, "low": low, "high": high, "how": how},
        "ceiling": float(np.mean(found["A, ceiling"]["value"]["each"])),
        "transfer": transfer, "domain": domain,
    }}  # fmt: skip


def _find_public(recipe: Recipe, data: Path) -> tuple[Path, Path]:
    """The file of chapter 3's model, and the results that it stands in."""
    folder = next(Path(data).glob("3-*"))
    name = recipe.public.replace(", n = ", "-n")
    return folder / "models" / f"public-A-{name}.safetensors", folder / "public.json"


def tabulate(recipe: Recipe, stock: Stock) -> list[np.ndarray]:
    """Descriptors of all particles of each configuration, from its stored inherent structure."""
    system, tables = systems.get(recipe.system), []
    for f in stock.made:
        seen = temperatures.inherent(f) if recipe.kind in ("energies", "inherent") else f
        seen, energy = frames.copy(seen, log={}), None
        if recipe.kind == "energies":
            energy = f.log.get("particles/inherent_energy")
            if energy is None:
                energy = engines.choose(system).evaluate(seen, system).log["particles/energy"]
        tables.append(
            pretrained.describe(seen, recipe.kind, system, recipe.settings, energy=energy)
        )
    return tables


def other_states(recipe: Recipe, data: Path) -> list[tuple[str, float, Stock]]:
    """States of the same system, warmer or less dense, that a model is asked about."""
    system = systems.get(recipe.system)
    axis = "eta" if system.hard else "kT"
    found = []
    for state in system.packing_fractions if system.hard else system.temperatures:
        if state != recipe.state and (stock := load(system, state, data)):
            found.append((axis, float(state), stock))
    return found


def learn(recipe: Recipe, stock: Stock, others: list, folder: Path) -> dict:
    """Train the models of a recipe, one a species; what the manifest says of each."""
    tables = tabulate(recipe, stock)
    foreign = [(axis, state, s, tabulate(recipe, s)) for axis, state, s in others]
    card = {}
    for species in recipe.species:
        k = systems.get(recipe.system).types.index(species)
        mine = [np.asarray(f.particles.typeid) == k for f in stock.made]
        X = [t[m] for t, m in zip(tables, mine)]
        D = stock.truth(mine)
        group = np.repeat(np.arange(len(X)), [len(x) for x in X])
        if recipe.kind == "order":
            model, said = _learn_order(recipe, stock, tables, k)
            measured, transfer, domain = said, [], {}
        else:
            regression = PropensityRidge(min_spread=MIN_SPREAD, n_folds=FOLDS)
            prediction, _ = held_out(
                np.concatenate(X), np.concatenate(D), group, n_folds=FOLDS, model=regression
            )
            measured = score(
                [prediction[group == c, stock.at] for c in range(len(X))],
                [d[:, stock.at] for d in D],
            )
            model = regression.fit(np.concatenate(X), np.concatenate(D), groups=group)
            transfer, domain = _ask_elsewhere(model, X, stock.at, foreign, k)
        file = f"{recipe.name.rpartition('-')[0]}-{species}-{recipe.kind}.safetensors"
        model.save(folder / file, **({} if recipe.kind == "order" else {"made": asdict(recipe)}))
        card[species] = {
            "file": file,
            "sha256": hashlib.sha256((folder / file).read_bytes()).hexdigest(),
            "score": _as_card(measured, recipe, len(X)),
            "ceiling": stock.ceiling(k),
            "transfer": transfer,
            "domain": domain,
        }
    return card


def _as_card(measured: Scores, recipe: Recipe, n: int) -> dict:
    mean, low, high = measured.mean
    how = (
        f"{len(measured.each)} configurations, of which the first gave its structure"
        if recipe.kind == "order" else f"{n} configurations, each foretold by a model without it"
    )  # fmt: skip
    known = np.isfinite(low) and np.isfinite(high)
    return {"r": mean, "low": low if known else None, "high": high if known else None, "how": how}


def _ask_elsewhere(model, X: list, at: int, foreign: list, k: int) -> tuple[list, dict]:
    """Scores at other states, and how strange structures are there."""
    transfer, tried = [], [pretrained.strangeness(model, x) for x in X]
    for axis, state, other, tables in foreign:
        mine = [np.asarray(f.particles.typeid) == k for f in other.made]
        asked = [t[m] for t, m in zip(tables, mine)]
        found = score(
            [model.predict(x)[:, at] for x in asked],
            [d[:, other.at] for d in other.truth(mine)],
        )
        tried += [pretrained.strangeness(model, x) for x in asked]
        transfer.append(
            {axis: state, "r": found.mean[0], "ceiling": other.ceiling(k),
             "configurations": len(asked)}
        )  # fmt: skip
    return transfer, {"limit": MARGIN * max(tried)}


def _learn_order(recipe: Recipe, stock: Stock, tables: list, k: int):
    """An autoencoder of the first configuration, and its correlation with propensity, by |r|."""
    mine = [np.asarray(f.particles.typeid) == k for f in stock.made]
    model = autoencoder.OrderParameter(seed=0).fit(tables[0][mine[0]])
    said = []
    for f, t, m in zip(stock.made, tables, mine):
        red = np.full(f.particles.N, np.nan)
        red[m] = model.predict_proba(t[m])
        said.append(averaging.sphere_average(red, f, recipe.settings["radius"], include=m)[m])
    return model, score(said, [d[:, stock.at] for d in stock.truth(mine)])


def copy_network(recipe: Recipe, data: Path, folder: Path) -> dict:
    """The interaction network of chapter 5 that is told energies, with its stored answers."""
    source, survey = _find_network(data)
    (entry,) = json.loads(source.with_suffix(".json").read_text(encoding="utf-8")).values()
    answers = {float(T): Scores.from_json(a["nodes"]) for T, a in entry["value"].items()}
    file = f"{recipe.name}.safetensors".replace("-network", "-A-network")
    shutil.copyfile(source, folder / file)
    at = answers.pop(recipe.state)
    found = json.loads(survey.read_text(encoding="utf-8"))["C_B, energies, A"]["value"]["ceilings"]
    ceilings = {float(T): float(np.mean(values)) for T, values in found.items()}
    mean = at.mean
    return {"A": {
        "file": file, "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "score": {"r": mean[0], "low": None, "high": None,
                  "how": f"{len(at.each)} configurations of T = {recipe.state:g} left out"},
        "ceiling": ceilings[recipe.state],
        "transfer": [
            {"kT": T, "r": a.mean[0], "ceiling": ceilings[T], "configurations": len(a.each)}
            for T, a in sorted(answers.items())
        ],
        "domain": {},
    }}  # fmt: skip


def _find_network(data: Path) -> tuple[Path, Path]:
    """The network's file, and what chapter 5 knows of its test configurations."""
    folder = next(Path(data).glob("5-*"))
    return next(folder.glob("networks/full-energies_0.44-0.64_*_0.safetensors")), (
        folder / "survey.json"
    )


def learn_response(recipe: Recipe, data: Path, folder: Path) -> dict:
    """The line of :mod:`glasslib.studies.record`, from all public configurations.

    Asked about the book's own configurations at other temperatures, too: a minute for each.
    """
    system, paths, checksums = temperatures.find_public(Path(data).parent)
    if not paths:
        raise stored.StoredError(
            f"{recipe.name} learns from the public set, which is not here: glasslib fetch --list"
        )
    measured = record.leave_out(
        list, len(checksums), record.Recipe(), next(Path(data).glob("6-*")), inputs=checksums
    ).scores["line"]
    cache = Path(data).parent / "_build" / "public" / "botan.gsd"
    told = [record.tell(f, system) for f in temperatures.label_public(paths, system, cache)]
    line = record.learn_line(told)
    entry: dict = {"transfer": []}
    tried = [pretrained.strangeness(line, t.columns[t.frame.particles.typeid == 0]) for t in told]
    for kT, made in temperatures.load(next(Path(data).glob("5-*")), system, test=True).items():
        asked = [record.tell(f, system) for f in made]
        mine = [f.particles.typeid == 0 for f in made]
        said = [line.predict(t.columns[m])[:, 0] for t, m in zip(asked, mine)]
        found = score(said, [t.labels[m] for t, m in zip(asked, mine)])
        tried += [pretrained.strangeness(line, t.columns[m]) for t, m in zip(asked, mine)]
        top = float(np.mean([temperatures.reaches(f, "propensity") for f in made]))
        entry["transfer"].append(
            {"kT": kT, "r": found.mean[0], "ceiling": top, "configurations": len(made)}
        )
    entry["domain"] = {"limit": MARGIN * max(tried)}
    entry["score"] = _as_card(measured, recipe, len(told))
    entry["ceiling"] = float(np.mean([
        temperatures.reaches(t.frame, "propensity") for t in told
    ]))  # fmt: skip
    file = f"{recipe.name.rpartition('-')[0]}-A-{recipe.kind}.safetensors"
    line.save(folder / file, made=asdict(recipe))
    entry |= {"file": file, "sha256": hashlib.sha256((folder / file).read_bytes()).hexdigest()}
    return {"A": entry}


def make(
    names: Sequence[str] = (),
    *,
    data: Path,
    folder: Path = pretrained.FOLDER,
) -> Mapping[str, dict]:
    """Make what is missing of the shelf, or was made of other data or by other code.

    Parameters
    ----------
    names : sequence of str
        Of :data:`RECIPES`; all by default.
    data : path
        The book's data.
    folder : path
        Where the models and ``manifest.json`` go.

    Returns
    -------
    dict of str to dict
        Cards by name.
    """
    if unknown := sorted(set(names) - set(RECIPES)):
        raise ValueError(f"no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}.")
    cards, folder = {}, Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for recipe in [RECIPES[n] for n in names or RECIPES]:
        system = systems.get(recipe.system)
        alone = recipe.kind in ("order", "network", "response")
        others = [] if alone else other_states(recipe, data)
        if recipe.kind == "network":
            inputs, stock = list(_find_network(data)), None
        elif recipe.kind == "response":
            inputs, stock = [*temperatures.find_public(Path(data).parent)[2]], None
        elif recipe.public:
            inputs, stock = list(_find_public(recipe, data)), None
        else:
            stock = load(system, recipe.state, data)
            inputs = list(stock.files) if stock else []
        inputs += [path for _, _, other in others for path in other.files]
        code = [ridge, averaging, correlation, sys.modules["glasslib.descriptors.radial_angular"]]
        if recipe.kind == "order":
            code += [autoencoder, bond_order]
        if recipe.kind == "response":
            code += [rest, elastic, record]
        print_ = stored.fingerprint(
            settings=asdict(recipe) | {"layout": LAYOUT}, inputs=inputs, code=code
        )

        def compute(recipe=recipe, system=system, stock=stock, others=others) -> dict:
            if recipe.kind == "network":
                species = copy_network(recipe, data, folder)
            elif recipe.kind == "response":
                species = learn_response(recipe, data, folder)
            elif recipe.public:
                species = adopt(recipe, others, data, folder)
            else:
                species = learn(recipe, stock, others, folder)
            return _write_card(recipe, system, stock, species)

        cards[recipe.name] = stored.keep(folder / "manifest.json", recipe.name, print_, compute)
    return cards


def _write_card(recipe: Recipe, system: System, stock: Stock | None, species: dict) -> dict:
    """The entry of the manifest."""
    network, order = recipe.kind == "network", recipe.kind == "order"
    public = recipe.public or recipe.kind == "response"
    if recipe.kind == "response":
        what = "10 public configurations of 4096 particles (6-scoreboard/record)"
    elif network:
        what = "8 public configurations of T = 0.44 and 8 of the book's of T = 0.64 (chapter 5)"
    elif order:
        what = "one configuration of the book's, from 2000 particles, structure alone (chapter 2)"
    elif recipe.public:
        what = "10 public configurations of 4096 particles (chapter 3)"
    else:
        what = f"{len(stock.made)} of the book's configurations of 2000 particles (chapters 2, 3)"
    cite = "Bessho et al. (2026), chapter 5" if network else _ORDER if order else _BOATTINI
    if public or network:
        cite += "; data: Shiba et al., JCP 158, 084503 (2023)"
    state = (recipe.state, 0.64) if network else (recipe.state,)
    times = [] if network or order else stock.times.tolist() if stock else [
        system.alpha_time(recipe.state)
    ]  # fmt: skip
    return {
        "kind": recipe.kind,
        "system": system.name,
        "state": {"eta" if system.hard else "kT": list(state)},
        "structure": "inherent"
        if recipe.kind in ("energies", "inherent", "network", "response")
        else "thermal",
        "describe": recipe.settings,
        "times": times,
        "tau_alpha": times[stock.at if stock else 0] if times else None,
        "trained_on": what,
        "licence": "MIT" + ("; trained on data under Apache-2.0" if public or network else ""),
        "cite": cite,
        "species": species,
    }
