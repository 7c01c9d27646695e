"""Chapter 5's network: how one is made, and what it says of configurations it has not seen.

A network is made by a :class:`Recipe`, stored with the checksums of the configurations it learned
from, and asked once about every test configuration; the answers are stored too, since asking takes
minutes and part of the configurations is public data that are not part of this book.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from glasslib import dynamics, stored
from glasslib.descriptors import averaged_energies, pair_graph
from glasslib.frames import Frame
from glasslib.studies import temperatures as study
from glasslib.studies.correlation import Scores, score
from glasslib.systems import System


@dataclass(frozen=True)
class Recipe:
    """How a network is made; what the paper says, at its defaults, but for the last lines.

    Attributes
    ----------
    temperatures : tuple of float
        Whose configurations it learns from, mixed, ε_AA.
    inputs : {"full", "both", "inherent", "thermal"}
        Of :func:`glasslib.descriptors.pair_graph`; ``"both"`` is the paper's.
    energies : bool
        Averaged inherent energies as further inputs of each node (ours).
    lam : float
        λ, weight of the temperature's loss. The paper leaves it open; with 1 the temperature
        drowns all else in the first hundreds of steps.
    field_terms : bool
        Variance and spatial correlation in the loss of nodes, from half the steps on.
    message_steps : int
        How many edges away a particle is seen. The paper has 7; 3 cost less than half and score
        nearly as well.
    steps : int
        Graphs seen.
    lr : float
        Of Adam, falling to nothing as a cosine. The predecessor has 1e-4 throughout, and many
        more steps.
    seed : int
    """

    temperatures: tuple[float, ...]
    inputs: str = "full"
    energies: bool = False
    lam: float = 0.1
    field_terms: bool = True
    message_steps: int = 3
    steps: int = 1500
    lr: float = 1e-3
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its file, without the suffix: ``full_0.44-0.64_lam0.1_3x1500_0``."""
        words = [self.inputs + "-energies" * self.energies]
        words += ["-".join(f"{T:g}" for T in sorted(self.temperatures)), f"lam{self.lam:g}"]
        words += [] if self.field_terms else ["plain"]
        return "_".join([*words, f"{self.message_steps}x{self.steps}", str(self.seed)])

    def with_(self, **changes: object) -> Recipe:
        """The same but for some of it."""
        return replace(self, **changes)


# ----------------------------------------------------------------------------------- training


def build_graph(frame: Frame, recipe: Recipe, *, name: str = "C_B", labels: bool = True):
    """The graph of a labelled configuration as a recipe wants it.

    Returns
    -------
    torch_geometric.data.Data
        With ``labels`` also the targets: ``name`` of every particle, the change of distance of
        every pair within the radius of the labels, and the temperature.
    """
    options: dict = {"inputs": recipe.inputs}
    if recipe.energies:
        energy = np.asarray(frame.log["particles/inherent_energy"], dtype=float)
        options["features"] = averaged_energies(energy, study.inherent(frame))
    if labels:
        pairs = dynamics.pair_labels(frame)
        options |= {"node_target": study.target(frame, name), "pairs": pairs.pairs}
        options |= {"pair_target": pairs.change, "temperature": study.temperature(frame)}
    return pair_graph(frame, **options)


def train(
    recipe: Recipe,
    made: Mapping[float, Sequence[Frame]],
    *,
    name: str = "C_B",
    n_validation: int = 1,
    device: str = "cpu",
    checkpoint: Path | None = None,
    progress: Callable[[dict], None] | None = None,
    trained_on: dict | None = None,
    **options: object,
):
    """Train a network on configurations of several temperatures.

    Parameters
    ----------
    made : dict
        Temperature to labelled frames. The last ``n_validation`` of each temperature choose the
        weights that are kept, and nothing is learned from them.
    options
        Of :class:`glasslib.models.interaction_network.InteractionNetwork`, for trials.

    Returns
    -------
    glasslib.models.interaction_network.InteractionNetwork

    Raises
    ------
    ValueError
        Where a temperature has too few configurations.
    """
    from glasslib.models import InteractionNetwork

    for T in recipe.temperatures:
        if len(made.get(T, [])) <= n_validation:
            raise ValueError(
                f"{len(made.get(T, []))} configurations at T = {T:g} to learn from; expected more "
                f"than {n_validation}. Make them: glasslib data 5"
            )
    graphs = {T: [build_graph(f, recipe, name=name) for f in made[T]] for T in recipe.temperatures}
    cut = {T: len(g) - n_validation for T, g in graphs.items()}
    model = InteractionNetwork(
        **{
            "n_steps": recipe.message_steps,
            "lam": recipe.lam if len(recipe.temperatures) > 1 else 0.0,
            "node_weights": (1.0, 1.0, 0.5) if recipe.field_terms else (1.0, 0.0, 0.0),
            "steps": recipe.steps, "lr": recipe.lr, "lr_schedule": "cosine", "seed": recipe.seed,
            "warm_up": recipe.steps // 2, "evaluate_every": max(1, recipe.steps // 20),
            "precision": "mixed", "device": device, **options,
        }
    )  # fmt: skip
    learn = [g for T, found in graphs.items() for g in found[: cut[T]]]
    choose = [g for T, found in graphs.items() for g in found[cut[T] :]]
    return model.fit(
        learn, choose or None, checkpoint=checkpoint, progress=progress, trained_on=trained_on
    )


@dataclass(frozen=True)
class Stock:
    """The configurations of a chapter: what there is to learn from and to be asked.

    Attributes
    ----------
    train, test : dict
        Temperature to labelled frames; the public set's temperature only where the set is here.
    files : dict
        Temperature to the checksums of the files that training configurations come from.
    tests : list of path and str
        Files and published checksums of the test configurations, for fingerprints.
    """

    train: dict[float, list[Frame]]
    test: dict[float, list[Frame]]
    files: dict[float, dict[str, str]]
    tests: list[Path | str]


def take_stock(
    folder: Path, system: System, *, root: Path, read: bool = True, public: bool = True
) -> Stock:
    """What is there: a chapter's own configurations, and the public ones if they are here.

    With ``read=False`` only names and checksums, quickly; with ``public=False`` only its own.
    """
    train = study.load(folder, system, test=False) if read else {}
    test = study.load(folder, system, test=True) if read else {}
    files: dict[float, dict[str, str]] = {}
    tests: list[Path | str] = []
    for kT, melt, path in study.find_files(folder, "isoconfigurational", system, None):
        if melt == 0:
            tests.append(path)
        else:
            files.setdefault(kT, {})[path.name] = _checksum(path)
    maker, paths, checksums = study.find_public(root)
    if public and maker.name == system.name:
        kT = float(system.temperatures[0])
        tests += checksums
        files[kT] = {f"public {k}": c[:16] for k, c in enumerate(checksums)}
        if paths and read:
            made = study.label_public(paths, system, root / "_build" / "public" / "botan.gsd")
            train[kT], test[kT] = study.split_public(made)
    return Stock(train, test, files, tests)


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def network(
    recipe: Recipe,
    folder: Path,
    stock: Stock,
    *,
    name: str = "C_B",
    make: bool = False,
    device: str = "cpu",
    checkpoints: Path | None = None,
    progress: Callable[[dict], None] | None = None,
):
    """The stored network of a recipe, ``folder/networks/NAME.safetensors``; or make it.

    Returns
    -------
    glasslib.models.interaction_network.InteractionNetwork

    Raises
    ------
    glasslib.stored.StoredError
        Where it is missing, learned something else, or from files that have changed since, and
        ``make`` is False. (Files that have come since then do no harm: ``trained_on_`` names those
        it has seen.)
    """
    from glasslib.models import InteractionNetwork

    path = Path(folder) / "networks" / f"{recipe.name}.safetensors"
    wanted = json.loads(json.dumps({"recipe": asdict(recipe), "target": name}))
    if path.exists():
        model = InteractionNetwork.load(path)
        said = model.trained_on_
        same = {k: said.get(k) for k in wanted} == wanted and all(
            stock.files.get(float(T), {}).get(file) == checksum
            for T, known in said["files"].items()
            for file, checksum in known.items()
        )
        if same:
            return model
        why = "learned from configurations or by settings that are others now"
    else:
        why = "is not there"
    if not make:
        raise stored.StoredError(
            f"network {path.stem} {why}. Make it (about a second a step): "
            "glasslib run 5/training --preset paper --timeout 0"
        )
    used = {T: stock.train.get(T, []) for T in recipe.temperatures}
    wanted["files"] = {f"{T:g}": stock.files.get(T, {}) for T in recipe.temperatures}
    wanted["configurations"] = {f"{T:g}": len(made) for T, made in used.items()}
    if checkpoints is not None:
        Path(checkpoints).mkdir(parents=True, exist_ok=True)
        checkpoints = Path(checkpoints) / path.name
    model = train(
        recipe, used, name=name, device=device, checkpoint=checkpoints, progress=progress,
        trained_on=wanted,
    )  # fmt: skip
    model.save(path)
    return model


# -------------------------------------------------------------------------------------- asking


@dataclass(frozen=True)
class Answer:
    """What a network says of the test configurations of one temperature.

    Attributes
    ----------
    nodes, pairs : Scores
        Pearson r of particles of the species, and of :func:`temperatures.scored_pairs`.
    temperature : (n_configurations,) float64 array
        T_pred, ε_AA; NaN for a network that has learned none.
    embedding : (n_configurations, hidden) float64 array
        The global vector after the last message step.
    S4 : (n_waves,), (n_configurations, n_waves) float64 arrays
        Wave numbers and S₄ of the predicted field of the species.
    field : (N,) float64 array
        Prediction for the particles of the first configuration.
    """

    nodes: Scores
    pairs: Scores
    temperature: np.ndarray
    embedding: np.ndarray
    S4: tuple[np.ndarray, np.ndarray]
    field: np.ndarray

    def as_json(self) -> dict:
        """What JSON can hold; :meth:`from_json` reads it."""
        return {
            "nodes": self.nodes.as_json(), "pairs": self.pairs.as_json(),
            "temperature": [None if np.isnan(t) else float(t) for t in self.temperature],
            "embedding": np.round(self.embedding, 5).tolist(),
            "S4": [np.round(a, 6).tolist() for a in self.S4],
            "field": np.round(self.field, 3).tolist(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, found: dict) -> Answer:
        """The result that :meth:`as_json` wrote."""
        return cls(
            Scores.from_json(found["nodes"]), Scores.from_json(found["pairs"]),
            np.array(found["temperature"], dtype=float), np.array(found["embedding"]),
            tuple(np.array(a) for a in found["S4"]), np.array(found["field"]),
        )  # fmt: skip


def ask(
    model,
    recipe: Recipe,
    made: Sequence[Frame],
    *,
    name: str = "C_B",
    species: int = 0,
    n_augment: int = 8,
) -> Answer:
    """Let a network foretell labelled configurations of one temperature, and score it."""
    graphs = [build_graph(f, recipe, name=name, labels=False) for f in made]
    said = model.predict(graphs, n_augment=n_augment)
    mine = [f.particles.typeid == species for f in made]
    keep = [study.scored_pairs(f, species=species) for f in made]
    known = [dynamics.pair_labels(f) for f in made]
    wave, curves = dynamics.four_point(made, [p.node for p in said], include=mine)
    pairs = [_of_pairs(p.pair, g, k.pairs[m]) for p, g, k, m in zip(said, graphs, known, keep)]
    there = [np.isfinite(p) for p in pairs]  # in a snapshot as it is, some are no neighbours
    return Answer(
        score(
            [p.node[m] for p, m in zip(said, mine)],
            [study.target(f, name)[m] for f, m in zip(made, mine)],
        ),
        score(
            [p[t] for p, t in zip(pairs, there)],
            [k.change[m][t] for k, m, t in zip(known, keep, there)],
        ),
        np.array([np.nan if p.temperature is None else p.temperature for p in said]),
        np.array([p.embedding for p in said]),
        (wave, curves),
        said[0].node,
    )


def _of_pairs(values: np.ndarray, graph, pairs: np.ndarray) -> np.ndarray:
    """(n,) predictions of certain pairs; NaN for those that the graph does not join."""
    n = graph.num_nodes
    ours = graph.pairs.numpy()
    key, wanted = ours[:, 0] * n + ours[:, 1], np.sort(pairs, axis=1)
    wanted = wanted[:, 0].astype(np.int64) * n + wanted[:, 1]
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where(key[place] == wanted, values[place], np.nan)


def answers(
    recipe: Recipe,
    folder: Path,
    stock: Stock,
    *,
    name: str = "C_B",
    species: int = 0,
    make: bool = False,
    n_augment: int = 8,
) -> dict[float, Answer]:
    """What the stored network of a recipe says of every test configuration, from hot to cold.

    Stored in ``folder/networks/NAME.json``.

    Raises
    ------
    glasslib.stored.StoredError
        Where there are none of this network and these test configurations, and ``make`` is False.
    """
    from glasslib.models import InteractionNetwork
    from glasslib.studies import correlation

    model = Path(folder) / "networks" / f"{recipe.name}.safetensors"
    if not model.exists():
        raise stored.StoredError(
            f"network {recipe.name} is not there. Make it (about a second a step): "
            "glasslib run 5/training --preset paper --timeout 0"
        )
    print_ = stored.fingerprint(
        settings={"species": species, "name": name, "n_augment": n_augment},
        inputs=[model, *stock.tests],
        code=[correlation, sys.modules[__name__]],
    )

    def compute() -> dict:
        asked = InteractionNetwork.load(model)
        options = {"name": name, "species": species, "n_augment": n_augment}
        return {
            f"{T:g}": ask(asked, recipe, made, **options).as_json()
            for T, made in sorted(stock.test.items(), reverse=True)
        }

    found = stored.keep(
        model.with_suffix(".json"), f"{name}, species {species}", print_, compute, make=make,
        how="glasslib run 5/evaluation --preset paper --timeout 0",
    )  # fmt: skip
    return {float(T): Answer.from_json(a) for T, a in found.items()}


def vary(recipe: Recipe, n_seeds: int = 3) -> dict[str, Recipe]:
    """The family of networks that the chapter compares, by a label, the main one first.

    Equal ones of other seeds; the other inputs; λ ten times smaller and larger; mean square alone;
    energies as further inputs; each temperature alone; and, where there are more than two, the
    coldest and the hottest alone.
    """
    found = {f"seed {k}": recipe.with_(seed=recipe.seed + k) for k in range(n_seeds)}
    for inputs in ("full", "both", "inherent", "thermal"):
        if inputs != recipe.inputs:
            found[inputs] = recipe.with_(inputs=inputs)
    found |= {f"λ = {x:g}": recipe.with_(lam=x) for x in (recipe.lam / 10, recipe.lam * 10)}
    found["mean square alone"] = recipe.with_(field_terms=not recipe.field_terms)
    found["with energies"] = recipe.with_(energies=not recipe.energies)
    if len(recipe.temperatures) > 1:
        found |= {f"T = {T:g}": recipe.with_(temperatures=(T,)) for T in recipe.temperatures}
    if len(recipe.temperatures) > 2:
        ends = (min(recipe.temperatures), max(recipe.temperatures))
        found["two temperatures"] = recipe.with_(temperatures=ends)
    return found


def survey(
    family: Mapping[str, Recipe],
    folder: Path,
    stock: Stock,
    *,
    name: str = "C_B",
    species: int = 0,
    make: bool = False,
    device: str = "cpu",
    checkpoints: Path | None = None,
    progress: Callable[[str, dict], None] | None = None,
) -> dict[str, dict[float, Answer]]:
    """What the stored networks of a family say of all test configurations, by label.

    Those that are not stored yet are left out, but for the first, which has to be there; with
    ``make`` they are trained, one after the other.

    Raises
    ------
    glasslib.stored.StoredError
    """
    found = {}
    for label, recipe in family.items():
        try:
            if make:
                network(
                    recipe, folder, stock, name=name, make=True, device=device,
                    checkpoints=checkpoints,
                    progress=progress and (lambda row, who=label: progress(who, row)),
                )  # fmt: skip
            found[label] = answers(recipe, folder, stock, name=name, species=species, make=make)
        except stored.StoredError:
            if not found or make:
                raise
    return found


def try_out(recipe: Recipe, stock: Stock, *, name: str = "C_B", species: int = 0):
    """A network of four steps on single test configurations, asked about others: a trial of code.

    Returns
    -------
    model : glasslib.models.interaction_network.InteractionNetwork
    answers : dict of float to Answer
    """
    asked = {T: made[1:3] for T, made in stock.test.items() if len(made) > 1}
    small = recipe.with_(temperatures=tuple(asked)[:2], steps=4, message_steps=1)
    seen = {T: stock.test[T][:1] for T in small.temperatures}
    model = train(small, seen, name=name, n_validation=0)
    options = {"name": name, "species": species, "n_augment": 1}
    return model, {T: ask(model, small, made, **options) for T, made in asked.items()}
