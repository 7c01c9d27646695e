"""Do clusters of an embedding foretell motion? Clusters, their tables, and what they must beat.

A *run* is a cooled melt with the displacement runs from its structures; labels go by the name of
the run, (structures, N) integers with −1 for noise. A pooled correlation mixes two things: which
structure a cluster belongs to, and where in it the cluster lies; both are kept apart everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from glasslib import clustering, frames, scores, stored
from glasslib.descriptors import graphs
from glasslib.frames import Frame
from glasslib.studies import cooling, embeddings, productions
from glasslib.systems import System

SIZES = (3, 5, 10, 20, 50, 100, 200, 500)  #: particles of random patches
LENGTHS = (2, 3, 4, 5)  #: steps of the walks of Table I
#: parameters of the page *evaluation* at the paper's values, which a command leaves out
USUAL: Mapping[str, object] = {
    "features": "coordinates", "layers": 2, "walk_length": 4, "ramps": list(productions.RAMPS),
    "learned": list(embeddings.LEARNED), "min_samples": 5, "seed": 0, "networks": 5, "melts": 5,
}  # fmt: skip
Labels = Mapping[str, np.ndarray]
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Run:
    """One cooled melt and how its particles move; see :func:`load_runs`.

    Attributes
    ----------
    structures, moved : lists of gsd.hoomd.Frame
        Quenched structures, and the same with the labels of their displacement runs.
    path : path
        Of the structures.
    """

    structures: list[Frame]
    moved: list[Frame]
    path: Path


def load_runs(
    folder: Path, system: System, ramps: Sequence[int], *, melt: int = 0
) -> dict[str, Run]:
    """Runs of one melt by their names."""
    wanted = [(melt, steps) for steps in ramps]
    quenched = cooling.load(folder, system, wanted)
    moved = cooling.load(folder, system, wanted, kind="-displacements")
    return {
        productions.name_cooled(melt, s, system): Run(
            quenched[melt, s], moved[melt, s],
            cooling.find(folder, system, melt, s),
        )
        for s in ramps
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- clusters


def label(
    model: embeddings.GraphSAGE,
    structures: Sequence[Frame],
    system: System,
    *,
    min_samples: int = 5,
) -> np.ndarray:
    """(structures, N) int16 array: cluster of each particle by OPTICS on the cosine distance."""
    made = [graphs.graph(f, system.bond_cutoffs, features=model.features) for f in structures]
    return np.array(
        [clustering.optics(z, min_samples=min_samples).labels_ for z in model.transform(made)],
        dtype=np.int16,
    )


def describe_command(asked: Mapping[str, object]) -> str:
    """What makes the clusters of these parameters of the page *evaluation*."""
    words = [
        f"-p {name}='{value}'" if isinstance(value, list) else f"-p {name}={value}"
        for name, value in asked.items()
    ]
    return " ".join(["glasslib run 1/evaluation --preset paper --timeout 0", *words])


def find_labels(
    network: Path,
    folder: Path,
    runs: Mapping[str, Run],
    system: System,
    *,
    min_samples: int = 5,
    shifted: bool = False,
    make: bool = False,
    how: str = "",
) -> dict[str, np.ndarray]:
    """Stored clusters of all structures under one network, ``folder/clusters/NAME.npz``.

    Clusters of the first melt at the four usual rates lie in one file; some of these runs are read
    from there.

    Parameters
    ----------
    network : path
        A stored network, :func:`embeddings.find_network`.
    shifted : bool
        Of structures that were moved by a random vector through the periodic boundary first.
    make : bool
        Make them where they are missing (a minute for 160 structures).
    how : str
        What makes them, for the refusal.

    Raises
    ------
    glasslib.stored.StoredError
        Where they are missing, or of other structures, and ``make`` is False.
    """
    from glasslib.models import GraphSAGE

    usual = {
        productions.name_cooled(0, s, system): cooling.find(folder, system, 0, s)
        for s in productions.RAMPS
    }
    whole = set(runs) <= set(usual) and all(path.exists() for path in usual.values())
    paths = usual if whole else {name: run.path for name, run in runs.items()}
    more = ("-moved" if shifted else "") + f"-m{min_samples}" * (min_samples != 5)
    more += "" if whole else "-" + "+".join(paths)
    path = Path(folder) / "clusters" / f"{network.stem}{more}.npz"
    print_ = stored.fingerprint(
        settings={"min_samples": min_samples, "shifted": shifted, "runs": list(paths)},
        inputs=[network, *paths.values()],
        code=[clustering, graphs],
    )

    def write(where: Path) -> None:
        model, found = GraphSAGE.load(network), {}
        for k, (name, file) in enumerate(paths.items()):
            rng, structures = np.random.default_rng((0, k)), frames.read(file)
            if shifted:
                structures = [graphs.translated(f, rng.uniform(0, 20, 2)) for f in structures]
            found[name] = label(model, structures, system, min_samples=min_samples)
        with frames.atomic(where) as temporary:
            np.savez_compressed(temporary, **found)

    stored.keep_file(path, print_, write, make=make, how=how or describe_command({}))
    with np.load(path) as found:
        return {name: found[name] for name in runs}


def gather_labels(
    settings: Mapping[str, object],
    folder: Path,
    stock: embeddings.Stock,
    runs: Mapping[str, Run],
    system: System,
    *,
    seeds: Sequence[int],
    lengths: Sequence[int] = (),
    min_samples: int = 5,
    make: bool = False,
    how: str = "",
    n_jobs: int = -1,
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Labels of :func:`survey`: of the trained networks, of their rivals, of walks of some lengths.

    Parameters
    ----------
    settings : dict
        Of the trained networks, but for their seeds.
    lengths : sequence of int
        Steps of the walks, for Table I.
    """
    free = settings.get("features", "coordinates") == "coordinates"
    layers = {"layers": settings["layers"]} if "layers" in settings else {}
    rival = {"features": "type"} if free else {"features": "coordinates"}
    wanted: dict[str, tuple[Mapping[str, object], bool]] = {
        "trained": (settings, False),
        "moved": (settings, True),
        "coordinate-free" if free else "with coordinates": ({**settings, **rival}, False),
        "untrained": ({**layers, "epochs": 0}, False),
        **{f"walks of {n}": ({**settings, "walk_length": int(n)}, False) for n in lengths},
    }
    tasks = {
        name: [(embeddings.find_network({**one, "seed": s}, folder, stock), shifted) for s in seeds]
        for name, (one, shifted) in wanted.items()
    }
    common = {
        "folder": folder, "runs": runs, "system": system, "min_samples": min_samples, "how": how
    }  # fmt: skip
    if make:
        from joblib import Parallel, delayed

        Parallel(n_jobs=n_jobs, verbose=10)(
            delayed(find_labels)(network, shifted=shifted, make=True, **common)
            for network, shifted in dict.fromkeys(t for each in tasks.values() for t in each)
        )
    return {
        name: [find_labels(network, shifted=shifted, **common) for network, shifted in each]
        for name, each in tasks.items()
    }


@dataclass(frozen=True)
class Clusters:
    """All clusters of all structures, one an entry; see :func:`tabulate`.

    Attributes
    ----------
    energy : (n,) float64 array
        Mean energy of a cluster's particles in the quenched structure, ε_AA.
    msd, msd2 : (n,) float64 arrays
        Mean-square displacement (eq. 4 of the paper) in two runs from the structure that differ in
        their velocities, σ_AA²; the same where there was one run.
    size : (n,) int array
        Particles.
    structure : (n,) int array
        Which structure a cluster belongs to.
    kT : (n,) float64 array
        Temperature that the structure was quenched from, ε_AA.
    """

    energy: np.ndarray
    msd: np.ndarray
    msd2: np.ndarray
    size: np.ndarray
    structure: np.ndarray
    kT: np.ndarray


def measure_motion(moved: Frame) -> np.ndarray:
    """(N, draws) float64 array: squared displacement of each particle at the last time, σ_AA²."""
    u2 = np.asarray(moved.log["particles/replica_distance"], dtype=float) ** 2
    return u2.reshape(moved.particles.N, -1)  # GSD forgets that a single run is a column


def tabulate(labels: Labels, runs: Mapping[str, Run]) -> Clusters:
    """Energy, motion and size of every cluster of every structure.

    Parameters
    ----------
    labels : dict of (structures, N) int arrays
        By name of the run; −1 is noise and belongs to no cluster.
    runs : dict of Run
    """
    rows: dict[str, list] = {name: [] for name in Clusters.__dataclass_fields__}
    for k, (name, run) in enumerate(runs.items()):
        for i, (f, d, mine) in enumerate(zip(run.structures, run.moved, labels[name], strict=True)):
            mine = np.asarray(mine, dtype=int)
            u2 = measure_motion(d)
            rows["energy"].append(clustering.cluster_means(mine, f.log["particles/energy"]))
            rows["msd"].append(clustering.cluster_means(mine, u2[:, 0]))
            rows["msd2"].append(clustering.cluster_means(mine, u2[:, -1]))
            rows["size"].append(clustering.cluster_sizes(mine))
            rows["structure"].append(np.full(len(rows["size"][-1]), 100 * k + i))
            rows["kT"].append(np.full(len(rows["size"][-1]), float(f.log["kT"][0])))
    return Clusters(**{name: np.concatenate(row) for name, row in rows.items()})


# -------------------------------------------------------------------------------------- questions


def correlate(
    clusters: Clusters, *, within: bool = False, n_boot: int = 400, other: str = "energy"
) -> scores.Correlation:
    """Pearson r of a cluster's energy and MSD; structures are drawn whole for its interval.

    Parameters
    ----------
    within : bool
        Measure each cluster from the mean of its structure: what is left is *where* things move.
    other : str
        What MSD is correlated with: ``"msd2"`` is the second run.
    """
    how = scores.within_groups if within else scores.correlate
    return how(
        getattr(clusters, other), clusters.msd, groups=clusters.structure, n_boot=n_boot
    )  # fmt: skip


def summarise(tables: Sequence[Clusters], *, within: bool = False) -> Interval:
    """Mean r over networks; interval over structures, widened by the spread of the networks."""
    one = [correlate(t, within=within) for t in tables]
    r = np.array([c.r for c in one])
    half = np.mean([(c.high - c.low) / 2 for c in one])
    spread = 1.96 * r.std(ddof=1) / np.sqrt(len(r)) if len(r) > 1 else 0.0
    width = float(np.hypot(half, spread))
    return float(r.mean()), float(r.mean()) - width, float(r.mean()) + width


def bound(tables: Sequence[Clusters], *, within: bool = False) -> Interval:
    """Highest r that anything can reach with the MSD of one run: √r₁₂ of two runs of each cluster.

    Interval over structures, mean over networks. r₁₂ below 0 counts as 0.
    """
    each = [correlate(t, within=within, other="msd2") for t in tables]
    ends = np.array([[max(0.0, v) ** 0.5 for v in (c.r, c.low, c.high)] for c in each])
    return tuple(float(x) for x in ends.mean(axis=0))


def compare(
    tables: Sequence[Clusters], others: Sequence[Clusters], *, within: bool = False
) -> Interval:
    """r of the first less r of the second, network by network; 95 % over networks (Student's t)."""
    gain = np.array([
        correlate(a, within=within, n_boot=0).r - correlate(b, within=within, n_boot=0).r
        for a, b in zip(tables, others, strict=True)
    ])  # fmt: skip
    return embeddings.average_seeds(gain)


def scatter_patches(
    runs: Mapping[str, Run], size: int, count: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Labels of ``count`` compact patches of ``size`` particles in each structure: no network."""
    return {
        name: np.array([
            clustering.random_patches(f, np.full(count, size), rng) for f in run.structures
        ])
        for name, run in runs.items()
    }  # fmt: skip


def relabel(
    labels: Labels, runs: Mapping[str, Run], make: Callable[[Frame, np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """Other labels for every structure: ``make(structure, labels)``."""
    return {
        name: np.array([
            make(f, row.astype(int)) for f, row in zip(run.structures, labels[name], strict=True)
        ])
        for name, run in runs.items()
    }  # fmt: skip


def agree(before: Labels, after: Labels, *, stride: int = 4) -> float:
    """Mean adjusted Rand index of two partitions: 1 for the same, 0 for chance."""
    from sklearn.metrics import adjusted_rand_score

    return float(
        np.mean([
            adjusted_rand_score(a, b)
            for name in before
            for a, b in zip(before[name][::stride], after[name][::stride], strict=True)
        ])
    )  # fmt: skip


def measure_range(clusters: Clusters, runs: Mapping[str, Run], *, below: float = 0.6) -> Interval:
    """Range of cluster energies in a glass over the range of the cooling curve; 95 % over glasses.

    The cooling curve is the mean energy of the structures of each run; its range is the mean over
    runs of highest minus lowest. Ranges grow with the number of clusters.
    """
    curves = [
        [float(f.log["potential_energy"][0]) for f in run.structures] for run in runs.values()
    ]
    fall = np.mean([np.ptp(curve) for curve in curves])
    cold = np.unique(clusters.structure[clusters.kT < below])
    each = [np.ptp(clusters.energy[clusters.structure == s]) / fall for s in cold]
    return embeddings.average_seeds(np.array(each))


# ------------------------------------------------------------------------------------- the survey


def survey(
    labels: Mapping[str, Sequence[Labels]],
    runs: Mapping[str, Run],
    melts: Sequence[Mapping[str, Run]],
    *,
    seed: int = 0,
    sizes: Sequence[int] = SIZES,
    n_perm: int = 999,
) -> dict:
    """All that the page *evaluation* says in numbers, of labels by what made them.

    Parameters
    ----------
    labels : dict
        ``"trained"`` and its rivals, labels of each network; ``"moved"`` in the order of
        ``"trained"``; ``"walks of L"`` for Table I.
    runs : dict of Run
    melts : sequence of dict of Run
        Further melts, the first one among them, to see how far r wanders.
    seed : int
        Of patches and permutations.
    sizes : sequence of int
        Of random patches that cover half of each structure; the whole structure comes last.

    Returns
    -------
    dict
        What JSON can hold. ``"rows"``: [pooled, within] of each rival, r with its interval;
        ``"ceilings"`` [pooled, within] of the trained, ``"lead"`` [pooled, within] over random
        patches; ``"sizes"``: for random patches of each size pooled and within r, the ceiling, and
        energy and MSD of some; ``"melts"``: r of patches of 10; ``"rand"`` of every network, and
        ``"p"``, ``"log"``, ``"spearman"``, ``"range"``, ``"median_size"`` of the trained;
        ``"lengths"``: r of each network by length of the walk.
    """
    rng = np.random.default_rng(seed)
    n = int(next(iter(runs.values())).structures[0].particles.N)  # a GSD frame has uint32
    sizes = [*(size for size in sizes if size < n), n]
    tables = {
        name: [tabulate(one, runs) for one in each] for name, each in labels.items() if len(each)
    }
    main = tables["trained"]
    shapes = {
        "random patches": lambda f, row: clustering.random_patches(
            f, clustering.cluster_sizes(row), rng
        ),
        "permuted": lambda f, row: clustering.permuted(row, rng),
    }
    for name, make in shapes.items():
        tables[name] = [tabulate(relabel(one, runs, make), runs) for one in labels["trained"]]
    alone = {
        name: np.tile(np.arange(run.structures[0].particles.N), (len(run.structures), 1))
        for name, run in runs.items()
    }
    tables["single particles"] = [tabulate(alone, runs)]
    grown = [_grow(runs, size, rng) for size in sizes]
    wander = []
    for melt in melts:
        t = tabulate(scatter_patches(melt, 10, n // 20, rng), melt)
        wander.append([correlate(t, within=w, n_boot=0).r for w in (False, True)])
    both = (False, True)
    return {
        "rows": {
            name: [summarise(each, within=w) for w in both]
            for name, each in tables.items() if not name.startswith("walks")
        },
        "lengths": {
            name.removeprefix("walks of "): {
                "r": summarise(each), "each": [correlate(t, n_boot=0).r for t in each],
            }
            for name, each in tables.items() if name.startswith("walks")
        },
        "ceilings": [bound(main, within=w) for w in both],
        "lead": [compare(main, tables["random patches"], within=w) for w in both],
        "sizes": grown,
        "melts": wander,
        "rand": [agree(a, b) for a, b in zip(labels["trained"], labels.get("moved", []))],
        "p": [
            scores.permutation_pvalue(t.energy, t.msd, groups=t.structure, n_perm=n_perm)
            for t in main
        ],
        "log": float(np.mean([
            scores.correlate(t.energy, np.log(t.msd), n_boot=0).r for t in main
        ])),
        "spearman": float(np.mean([
            scores.correlate(t.energy, t.msd, method="spearman", n_boot=0).r for t in main
        ])),
        "range": measure_range(main[0], runs),
        "median_size": float(np.median(main[0].size)),
        "single_ceiling": [bound(tables["single particles"], within=w) for w in both],
    }  # fmt: skip


def _grow(runs: Mapping[str, Run], size: int, rng: np.random.Generator, *, keep: int = 300) -> dict:
    """Random patches of one size: r, ceilings, and some of the points."""
    n = int(next(iter(runs.values())).structures[0].particles.N)  # a GSD frame has uint32
    t = tabulate(scatter_patches(runs, size, max(1, n // 2 // size), rng), runs)
    pooled = correlate(t)
    inner = correlate(t, within=True) if size < 0.4 * n else None  # one a structure has no within
    some = slice(None, None, max(1, len(t.energy) // keep))
    return {
        "size": size,
        "pooled": [pooled.r, pooled.low, pooled.high],
        "within": None if inner is None else [inner.r, inner.low, inner.high],
        "ceiling": bound([t]),
        "energy": t.energy[some].round(4).tolist(),
        "msd": [float(f"{x:.4g}") for x in t.msd[some]],
    }


def _find_survey(
    labels: Mapping[str, Sequence[Labels]],
    folder: Path,
    runs: Mapping[str, Run],
    melts: Sequence[Mapping[str, Run]],
    *,
    asked: Mapping[str, object],
    seed: int = 0,
    make: bool = False,
    how: str = "",
) -> dict:
    """The stored :func:`survey`, ``folder/clusters/survey.json``; made where it is missing.

    Parameters
    ----------
    asked : dict
        Parameters of the page *evaluation* by which it goes.

    Raises
    ------
    glasslib.stored.StoredError
        Where it is missing, or of other clusters, settings or code, and ``make`` is False.
    """
    files = [run.path for some in (runs, *melts) for run in some.values()]
    print_ = stored.fingerprint(
        settings={"labels": {k: len(v) for k, v in labels.items()}, "seed": seed},
        inputs=[
            *(np.asarray(a) for each in labels.values() for one in each for a in one.values()),
            *files,
            *(f.with_name(f"{f.stem}-displacements.gsd") for f in files),
        ],
        code=[sys.modules[__name__], clustering, scores],
    )
    return stored.keep(
        Path(folder) / "clusters" / "survey.json",
        ", ".join(f"{name} = {value}" for name, value in asked.items()), print_,
        lambda: survey(labels, runs, melts, seed=seed), make=make, how=how,
    )  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """Result of :func:`ask`: runs, labels of :func:`gather_labels`, and the :func:`survey`."""

    runs: dict[str, Run]
    labels: dict[str, list[dict[str, np.ndarray]]]
    found: dict


def ask(
    folder: Path,
    system: System,
    settings: Mapping[str, object],
    *,
    ramps: Sequence[int] = tuple(productions.RAMPS),
    learned: Sequence[int] = embeddings.LEARNED,
    min_samples: int = 5,
    networks: int = 5,
    melts: int = 5,
    seed: int = 0,
    mode: Literal["try", "read", "make"] = "read",
    n_jobs: int = -1,
) -> Answers:
    """Runs, clusters under every network, and all that is said of them.

    Parameters
    ----------
    settings : dict
        Of the networks: ``features``, ``layers``, ``walk_length``.
    ramps, learned : sequences of int
        Steps of the ramps whose glasses are clustered, and of those that were learned from.
    networks, melts : int
        Seeds of each kind, and melts that are compared.
    mode : {"try", "read", "make"}
        ``"try"``: one network and the last ramp alone, asked on the spot. ``"read"``: what is
        stored. ``"make"``: make what is missing, but for networks.

    Raises
    ------
    glasslib.stored.StoredError
        For what is missing or of other inputs; the line says which command makes it.
    """
    asked = {**settings, "ramps": list(ramps), "learned": list(learned)}
    asked |= {"min_samples": min_samples, "seed": seed, "networks": networks, "melts": melts}
    if (usual := productions.mix_disks()) != system:
        asked |= {"n": system.n} if system.n != usual.n else {}
        asked |= {"composition": list(system.composition), "density": system.density}
    how = describe_command({k: v for k, v in asked.items() if USUAL.get(k) != v})
    small = mode == "try"
    stock = embeddings.take_stock(folder, system, learned)
    runs = load_runs(folder, system, list(ramps)[-1:] if small else ramps)
    labels = gather_labels(
        settings, folder, stock, runs, system, seeds=range(1 if small else networks),
        lengths=() if small else LENGTHS, min_samples=min_samples, make=mode == "make",
        how=how, n_jobs=n_jobs,
    )  # fmt: skip
    if small:
        found = survey(labels, runs, [runs], seed=seed, sizes=(20,), n_perm=99)
    else:
        several = [load_runs(folder, system, learned, melt=m) for m in range(melts)]
        found = _find_survey(
            labels, folder, runs, several, asked=asked, seed=seed, make=mode == "make", how=how
        )
    return Answers(runs, labels, found)
