"""The book's highest score on the public configurations, and whether a network adds to it.

Two models are told the same of a structure at rest (:mod:`glasslib.descriptors.rest`): a ridge
regression many averages of it, an interaction network a few, and all distances to neighbours. The
line cannot memorise, the network sees what no average holds; their mean with equal weights is the
plainest way to use both. Whole configurations are left out in turn, and everything that is chosen
is chosen inside the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, pretrained, stored
from glasslib.descriptors import elastic, pair_graph, rest
from glasslib.frames import Frame
from glasslib.models import PropensityRidge, ridge
from glasslib.studies import correlation, temperatures
from glasslib.studies.correlation import Scores, score
from glasslib.systems import System

PROPENSITY = "particles/propensity"


@dataclass(frozen=True)
class Recipe:
    """How line and network are made.

    Attributes
    ----------
    steps : int
        Graphs that the network sees.
    message_steps : int
        How many edges away a particle is seen.
    p : float
        Share of particles in the loss; the rest belongs to pairs, which it learns beside them so
        that ten configurations are harder to memorise.
    lr, weight_decay : float
        Of AdamW, falling to nothing as a cosine.
    seed : int
    """

    steps: int = 800
    message_steps: int = 3
    p: float = 0.6
    lr: float = 1e-3
    weight_decay: float = 0.01
    seed: int = 0


@dataclass(frozen=True)
class Told:
    """A labelled configuration as both models see it.

    Attributes
    ----------
    frame : gsd.hoomd.Frame
    columns : (N, k) float64 array
        For the line: :func:`glasslib.descriptors.rest.columns_at_rest`.
    nodes : (N, m) float64 array
        For the network: :func:`glasslib.descriptors.rest.nodes_at_rest`.
    """

    frame: Frame
    columns: np.ndarray
    nodes: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """(N,) propensities at the last time, σ_AA."""
        return np.asarray(self.frame.log[PROPENSITY], dtype=float)[:, -1]


def tell(frame: Frame, system: System, *, response: np.ndarray | None = None) -> Told:
    """Describe a configuration whose log holds its inherent structure and energies.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        With ``particles/inherent_position`` and ``particles/inherent_energy``.
    response : (N, 4) array, optional
        What :func:`glasslib.descriptors.elastic_response` gave; computed unless given, in about a
        minute for 4096 particles.
    """
    quiet = temperatures.inherent(frame)
    energy = np.asarray(frame.log["particles/inherent_energy"], dtype=float)
    if response is None:
        response = pretrained.respond(quiet, system)
    return Told(
        frame,
        rest.columns_at_rest(frame, quiet, energy, response),
        rest.nodes_at_rest(frame, quiet, energy, response),
    )


def scale_labels(told: Sequence[Told]) -> list[tuple[float, float]]:
    """Mean and standard deviation of the labels of each species over all configurations."""
    found = []
    for s in range(len(told[0].frame.particles.types)):
        values = np.concatenate([t.labels[t.frame.particles.typeid == s] for t in told])
        found.append((float(values.mean()), float(values.std())))
    return found


def draw_graph(told: Told, scales: Sequence[tuple[float, float]] | None = None):
    """The graph of a configuration; with ``scales`` also what is to be learned from it.

    Labels of particles are given in standard deviations from the mean of their species, changes of
    distance of pairs in those from the mean of all pairs of the configuration.
    """
    options: dict = {"inputs": "full", "features": told.nodes}
    if scales is not None:
        y, kinds = told.labels.copy(), told.frame.particles.typeid
        for s, (mean, spread) in enumerate(scales):
            y[kinds == s] = (y[kinds == s] - mean) / spread
        pairs = dynamics.pair_labels(told.frame)
        change = np.asarray(pairs.change, dtype=float)
        change = (change - np.nanmean(change)) / np.nanstd(change)
        options |= {"node_target": y, "pairs": pairs.pairs, "pair_target": change}
    return pair_graph(told.frame, **options)


def learn_line(told: Sequence[Told], *, species: int = 0) -> PropensityRidge:
    """A ridge regression on the columns; its penalty by leaving out configurations of these."""
    mine = [t.frame.particles.typeid == species for t in told]
    return PropensityRidge(min_spread=1e-3).fit(
        np.concatenate([t.columns[m] for t, m in zip(told, mine)]),
        np.concatenate([t.labels[m] for t, m in zip(told, mine)]),
        np.repeat(np.arange(len(told)), [m.sum() for m in mine]),
    )


def learn_network(
    told: Sequence[Told],
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    progress: Callable[[dict], None] | None = None,
):
    """An interaction network; the last of the configurations chooses which of its weights stay.

    Returns
    -------
    glasslib.models.interaction_network.InteractionNetwork
        Whose ``trained_on_["scales"]`` are those of :func:`scale_labels`.

    Raises
    ------
    ValueError
        For fewer than two configurations.
    """
    from glasslib.models import InteractionNetwork

    if len(told) < 2:
        raise ValueError(
            f"{len(told)} configuration to learn from; expected two or more: the last of them "
            "chooses when the network has learned enough."
        )
    scales = scale_labels(told)
    graphs = [draw_graph(t, scales) for t in told]
    model = InteractionNetwork(
        n_steps=recipe.message_steps, lam=0.0, p=recipe.p, node_weights=(1.0, 0.0, 0.0),
        steps=recipe.steps, lr=recipe.lr, lr_schedule="cosine", weight_decay=recipe.weight_decay,
        evaluate_every=max(1, recipe.steps // 15), precision="mixed", seed=recipe.seed,
    )  # fmt: skip
    return model.fit(
        graphs[:-1], graphs[-1:], checkpoint=checkpoint, progress=progress,
        trained_on={"scales": scales, "recipe": asdict(recipe)},
    )  # fmt: skip


def foretell(line: PropensityRidge, network, told: Told, *, species: int = 0) -> dict:
    """What line and network say of the particles of one species, and the mean of both.

    Returns
    -------
    dict of str to (n,) float64 array
        ``line``, ``network`` and ``mean``, σ_AA.
    """
    mine = told.frame.particles.typeid == species
    mean, spread = network.trained_on_["scales"][species]
    said = {
        "line": line.predict(told.columns[mine])[:, 0],
        "network": mean + spread * network.predict(draw_graph(told)).node[mine],
    }
    return said | {"mean": (said["line"] + said["network"]) / 2}


@dataclass(frozen=True)
class Result:
    """How line, network and mean did on configurations that were left out.

    Attributes
    ----------
    scores : dict of str to Scores
        ``line``, ``network`` and ``mean``.
    learned_from : int
        Configurations that each model saw.
    said : dict of str to list of (n,) float64 arrays
        See :meth:`of`.
    """

    scores: dict[str, Scores]
    learned_from: int
    said: dict[str, list[np.ndarray]]

    def of(self, name: str) -> list[np.ndarray]:
        """What ``line``, ``network`` or ``mean`` said, or the ``truth``, by configuration, σ_AA."""
        return self.said[name]


def leave_out(
    load: Callable[[], Sequence[Told]],
    n: int,
    recipe: Recipe,
    folder: Path,
    *,
    inputs: Sequence[Path | str],
    species: int = 0,
    n_folds: int = 5,
    make: bool = False,
    checkpoints: Path | None = None,
    progress: Callable[[int, dict], None] | None = None,
) -> Result:
    """Leave configurations out in turn, two of ten at a time; stored, a part at a time.

    Parameters
    ----------
    load : callable
        Gives the ``n`` described configurations; called only where something has to be made.
    recipe : Recipe
    folder : path
        Holds ``record.json``: what each part's models say of the particles they have not seen.
    inputs : list
        What the configurations are known by: paths or checksums.
    n_folds : int
        Neighbouring configurations are left out together.
    make : bool
        Whether to make what is missing.

    Raises
    ------
    glasslib.stored.StoredError
    """
    parts = np.array_split(np.arange(n), n_folds)
    print_ = stored.fingerprint(
        settings={**asdict(recipe), "species": species, "folds": n_folds}, inputs=list(inputs),
        code=[ridge, correlation, elastic, rest, sys.modules[__name__]],
    )  # fmt: skip
    found, held = [], []
    for k, part in enumerate(parts):

        def compute(k=k, part=part) -> list[dict]:
            if not held:
                held.extend(load())
            kept = [t for c, t in enumerate(held) if c not in part]
            checkpoint = None if checkpoints is None else Path(checkpoints) / f"record-{k}"
            network = learn_network(
                kept, recipe, checkpoint=checkpoint,
                progress=progress and (lambda row: progress(k, row)),
            )  # fmt: skip
            line = learn_line(kept, species=species)
            return [_write_down(held[c], foretell(line, network, held[c], species=species), species)
                    for c in part]  # fmt: skip

        found += stored.keep(
            Path(folder) / "record.json", f"{recipe.seed}, part {k}", print_, compute, make=make,
            how="glasslib run 6/record --preset paper --timeout 0",
        )  # fmt: skip
    said = {name: [np.array(one[name]) for one in found] for name in ("line", "network", "truth")}
    said["mean"] = [(a + b) / 2 for a, b in zip(said["line"], said["network"])]
    judged = {name: score(said[name], said["truth"]) for name in ("line", "network", "mean")}
    return Result(judged, n - max(len(part) for part in parts), said)


def _write_down(told: Told, said: dict, species: int) -> dict[str, list[float]]:
    """What JSON keeps of one configuration; the mean follows from the rest."""
    kept = {name: said[name] for name in ("line", "network")}
    kept["truth"] = told.labels[told.frame.particles.typeid == species]
    return {name: np.round(values, 4).tolist() for name, values in kept.items()}
