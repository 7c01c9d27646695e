"""Chapter 1's network: trained without labels, stored, and asked what it knows.

A network is told by *settings*, those of
:class:`glasslib.models.graphsage.GraphSAGE`; what is left out is the paper's. It
learns from quenched structures of one melt, of which one in five is held back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glasslib import geometry, scores, stored
from glasslib.descriptors import graphs
from glasslib.frames import Frame
from glasslib.studies import cooling, productions
from glasslib.systems import System

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from glasslib.models import GraphSAGE

#: ramps whose structures are learned from; those of the slowest stay unseen
LEARNED = (5_000, 50_000, 500_000)
#: what is read off embeddings, in the order of :func:`read_off`
PROPERTIES = ("x", "y", "species", "energy", "energy within species")
READERS = ("straight line", "nearest neighbours")


# -------------------------------------------------------------------------- what is learned from


@dataclass
class Stock:
    """Structures to learn from and to be asked about; see :func:`take_stock`.

    Attributes
    ----------
    structures : list of gsd.hoomd.Frame
    train, held : int arrays
        Which of them are learned from, and which are held back.
    cutoffs : dict
        Bond lengths, σ_AA.
    files : list of path
        What the structures were read from.
    name : str
        Of another mixture, or of other ramps, for the names of stored networks; else empty.
    asked : dict
        Parameters of the page *training* that differ from the paper's, for refusals.
    """

    structures: list[Frame]
    train: np.ndarray
    held: np.ndarray
    cutoffs: Mapping[tuple[str, str], float]
    files: list[Path] = field(default_factory=list)
    name: str = ""
    asked: dict = field(default_factory=dict)
    _graphs: dict = field(default_factory=dict, repr=False)

    def graphs(self, features: str, which: Sequence[int] | np.ndarray) -> list[Data]:
        """Graphs of some structures, made once."""
        for i in which:
            if (features, i) not in self._graphs:
                made = graphs.graph(self.structures[i], self.cutoffs, features=features)
                self._graphs[features, i] = made
        return [self._graphs[features, i] for i in which]


def take_stock(
    folder: Path, system: System, ramps: Sequence[int] = LEARNED, *, melt: int = 0, thin: int = 1
) -> Stock:
    """Quenched structures of one melt, every ``thin``-th; four in five are to be learned from.

    Whole structures are held back, never single particles: those of one share their neighbours.
    """
    runs = cooling.load(folder, system, [(melt, steps) for steps in ramps])
    structures = [f for steps in ramps for f in runs[melt, steps]][::thin]
    train, held = scores.split_by_configuration(len(structures), (0.8, 0.2), seed=0)
    files = [cooling.find(folder, system, melt, steps) for steps in ramps]
    name = productions.name_cooled(melt, LEARNED[0], system).removesuffix("melt0-rate3e-03")
    asked: dict[str, object] = {}
    if system != productions.mix_disks():
        asked |= {"n": system.n, "composition": list(system.composition), "density": system.density}
    if list(ramps) != list(LEARNED):
        name += f"r{'+'.join(str(s) for s in ramps)}-"
        asked["ramps"] = list(ramps)
    return Stock(structures, train, held, system.bond_cutoffs, files, name, asked)


# -------------------------------------------------------------------------------------- networks


def build(settings: Mapping[str, object]) -> GraphSAGE:
    """An untrained network of these settings."""
    from glasslib.models import GraphSAGE

    return GraphSAGE(**settings)


def name_network(model: GraphSAGE, stock: Stock) -> str:
    """Name of its file without the suffix, ``coordinates-k2-L4-seed0``."""
    kind = model.features if model.epochs else "untrained"
    if not model.epochs and model.features != "coordinates":
        kind += f"-{model.features}"
    kind += f"-e{model.epochs}" * (model.epochs not in (0, 50))
    return f"{stock.name}{kind}-k{model.layers}-L{model.walk_length}-seed{model.seed}"


def find_network(
    settings: Mapping[str, object], folder: Path, stock: Stock, *, make: bool = False
) -> Path:
    """The file of the network of these settings, ``folder/models/NAME.safetensors``; or make it.

    Raises
    ------
    glasslib.stored.StoredError
        Where it is missing, or learned from other structures, and ``make`` is False.
    """
    from glasslib.models import graphsage

    model = build(settings)
    print_ = stored.fingerprint(
        settings=model.get_params()
        | {"cutoffs": [["-".join(p), float(r)] for p, r in stock.cutoffs.items()]},
        inputs=[*stock.files, np.asarray(stock.train, dtype=np.int64)],
        code=[graphsage, graphs],
    )

    def write(path: Path) -> None:
        import torch

        torch.set_num_threads(1)  # the same bits whatever else runs
        model.fit(stock.graphs(model.features, stock.train)).save(path)

    paper = type(model)().get_params()
    asked = {k: v for k, v in settings.items() if v != paper[k] and k not in ("seed", "features")}
    asked = stock.asked | {k: v for k, v in asked.items() if v or k != "epochs"}
    words = [f"-p {k}='{v}'" if isinstance(v, list) else f"-p {k}={v}" for k, v in asked.items()]
    how = " ".join(["glasslib run 1/training --preset paper --timeout 0", *words])
    path = Path(folder) / "models" / f"{name_network(model, stock)}.safetensors"
    return stored.keep_file(path, print_, write, make=make, how=how)


def find_family(
    settings: Mapping[str, object], folder: Path, stock: Stock, seeds: Sequence[int]
) -> list[GraphSAGE]:
    """The stored networks of several seeds, which differ in nothing else."""
    from glasslib.models import GraphSAGE

    return [GraphSAGE.load(find_network({**settings, "seed": s}, folder, stock)) for s in seeds]


def train_all(
    wanted: Sequence[Mapping[str, object]], folder: Path, stock: Stock, *, n_jobs: int = -1
) -> list[Path]:
    """Train and store the networks that are missing, one a process; a killed run goes on."""
    from joblib import Parallel, delayed

    return Parallel(n_jobs=n_jobs, verbose=10)(
        delayed(find_network)(settings, folder, stock, make=True) for settings in wanted
    )


def try_out(settings: Mapping[str, object], stock: Stock, *, epochs: int = 2) -> GraphSAGE:
    """A network trained on the spot for a few epochs, stored nowhere."""
    model = build(settings)
    model.set_params(epochs=min(model.epochs, epochs))
    return model.fit(stock.graphs(model.features, stock.train))


def score_walks(models: Sequence[GraphSAGE], asked: Sequence[Data]) -> np.ndarray:
    """(models,) float64 array: walk test of each, mean over graphs; the same walks for all.

    Walks of 4 steps, whatever the network has learned from: the task is one and the same.
    """
    return np.array([m.walk_auc(asked, walk_length=4, walks=2).mean() for m in models])


def average_seeds(values: np.ndarray) -> tuple[float, float, float]:
    """Mean over seeds with its 95 % interval; a single one has no more than its value."""
    mean, low, high = (float(v) for v in scores.mean_interval(np.asarray(values)))
    return (mean, low, high) if len(values) > 1 else (mean, mean, mean)


# ----------------------------------------------------------------------------- what it has learned


def describe_particles(structures: Sequence[Frame]) -> np.ndarray:
    """(particles, 5) float64 array of :data:`PROPERTIES`, one structure after the other.

    *Energy within species* is measured from the mean of the particle's species: whoever knows the
    species alone knows nothing of it.
    """
    rows = []
    for f in structures:
        species = np.asarray(f.particles.typeid)
        energy = np.asarray(f.log["particles/energy"], dtype=float)
        mean = np.array([energy[species == s].mean() for s in range(species.max() + 1)])
        position = np.asarray(f.particles.position, dtype=float)
        rows.append(np.column_stack([position[:, :2], species, energy, energy - mean[species]]))
    return np.concatenate(rows)


def read_off(model: GraphSAGE, stock: Stock) -> np.ndarray:
    """What can be read off an embedding: R² on structures that are held back.

    Learned from up to 20 training structures, asked about up to 12 of those held back.

    Returns
    -------
    (2, 5) float64 array
        :data:`READERS` by :data:`PROPERTIES`: a straight line (ridge regression), and the mean of
        the ten nearest neighbours by cosine, which is how clusters look at an embedding.
    """
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    few = stock.train[:: max(1, len(stock.train) // 16)]
    some = stock.held[:: max(1, len(stock.held) // 10)]
    z, z_new = (
        np.concatenate(model.transform(stock.graphs(model.features, w))) for w in (few, some)
    )
    known, sought = (describe_particles([stock.structures[i] for i in w]) for w in (few, some))
    readers = (
        make_pipeline(StandardScaler(), Ridge(1.0)),
        KNeighborsRegressor(10, metric="cosine"),
    )
    guesses = [reader.fit(z, known).predict(z_new) for reader in readers]
    return np.array([1 - ((g - sought) ** 2).mean(axis=0) / sought.var(axis=0) for g in guesses])


def find_busiest(model: GraphSAGE, stock: Stock, which: int) -> np.ndarray:
    """(N,) float array: the output that varies most among particles of one species."""
    (graph,) = stock.graphs(model.features, [which])
    z = model.transform(graph)
    species = np.asarray(stock.structures[which].particles.typeid)
    mean = np.array([z[species == s].mean(axis=0) for s in range(species.max() + 1)])
    return z[:, (z - mean[species]).std(axis=0).argmax()]


# ------------------------------------------------------------------------------------ random walks


@dataclass(frozen=True)
class Reach:
    """Result of :func:`measure_reach`.

    Attributes
    ----------
    distance : (steps, N · walks) float64 array
        How far a walker is from its start after 1, 2, … steps, σ_AA.
    random : (N,) float64 array
        Distances of pairs of particles drawn at random, σ_AA.
    auc : float
        Walk test without any network: pairs scored by their distance alone. The area under the
        ROC curve of pairs that met within ``walk_length`` steps against random pairs.
    """

    distance: np.ndarray
    random: np.ndarray
    auc: float


def measure_reach(
    frame: Frame,
    cutoffs: Mapping[tuple[str, str], float],
    *,
    walk_length: int = 4,
    longest: int = 8,
    walks: int = 20,
    seed: int = 0,
) -> Reach:
    """How far random walks over bonds reach, and what their ends give away.

    Parameters
    ----------
    frame, cutoffs
        As for :func:`glasslib.descriptors.graphs.bonds`.
    walk_length : int
        Steps whose nodes count as met.
    longest : int
        Steps of the walks, at least ``walk_length``.
    walks : int
        From each node.
    seed : int
    """
    import torch
    from sklearn.metrics import roc_auc_score

    from glasslib.models.graphsage import random_walks

    rng, n = np.random.default_rng(seed), frame.particles.N
    x, longest = np.asarray(frame.particles.position), max(longest, walk_length)
    visited = random_walks(
        torch.from_numpy(graphs.bonds(frame, cutoffs)), n, walk_length=longest, walks=walks,
        generator=torch.Generator().manual_seed(seed),
    ).numpy()  # fmt: skip

    def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        gap = geometry.nearest_image(x[one] - x[other], frame.configuration.box, single=True)
        return np.linalg.norm(gap, axis=1)

    start = np.repeat(np.arange(n), walks)
    distance = np.stack([apart(visited[..., k].ravel(), start) for k in range(longest)])
    shuffled = rng.permutation(n)
    met = distance[:walk_length].ravel()
    one, other = rng.integers(n, size=(2, len(met)))
    truth = np.r_[np.ones(len(met)), np.zeros(len(met))]
    auc = roc_auc_score(truth, -np.r_[met, apart(one, other)])
    return Reach(distance, apart(shuffled, np.arange(n)), float(auc))


def bond_lines(frame: Frame, edge_index: np.ndarray) -> np.ndarray:
    """(3 · bonds, 2) float64 array: ends of bonds with a NaN between, to draw as one line.

    Bonds through the boundary are left out.
    """
    x = np.asarray(frame.particles.position, dtype=float)[:, :2]
    i, j = edge_index[:, edge_index[0] < edge_index[1]]
    near = np.linalg.norm(x[i] - x[j], axis=1) < min(frame.configuration.box[:2]) / 2
    gaps = np.full((near.sum(), 2), np.nan)
    return np.stack([x[i[near]], x[j[near]], gaps], axis=1).reshape(-1, 2)
