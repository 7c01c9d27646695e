"""A model that was learned from one liquid, asked about others and at other times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, scores
from glasslib.frames import Frame
from glasslib.models.ridge import PropensityRidge
from glasslib.studies import averaged
from glasslib.studies.averaged import Recipe, Stock, energies_at_rest, rest
from glasslib.systems import System

#: models of page 3/training, by the name of their file
MODELS = {"LR(2), inherent": "inherent-n2", "averaged energies": "energies"}

#: entries of :class:`glasslib.studies.averaged.Survey` that are compared, as a figure names them
RIVALS: Mapping[str, str] = {
    "shuffled": "shuffled", "moved field": "moves", "density": "alone, density",
    "thermal energy": "alone, thermal energy", "inherent energy": "alone, inherent energy",
    "… averaged twice": "alone, inherent energy, averaged twice", "cage size": "alone, cage size",
    "LR(2) thermal": "thermal, n = 2", "LR(2) inherent": "inherent, n = 2",
    "LR(3) inherent": "inherent, n = 3", "… several radii": "several radii",
    "LR(3) cages": "cage, n = 3", "both structures": "both structures, n = 2",
    "energies": "energies", "… + LR(2) inherent": "energies and inherent, n = 2",
    "… + LR(2) cages": "energies and cage, n = 2",
    "chosen: geometry": "chosen, geometry", "chosen: all": "chosen, all",
}  # fmt: skip


def load_models(
    folder: Path, taught_by: System, recipe: Recipe, *, stem: str = "public-A"
) -> dict[str, PropensityRidge]:
    """Stored regressions of A particles, refused where they were learned from something else.

    Raises
    ------
    ValueError
        For a model of structures of another system, or of averages of another reach.
    """
    found = {}
    for name, file in MODELS.items():
        path = Path(folder) / "models" / f"{stem}-{file}.safetensors"
        model = PropensityRidge.load(path)
        by, r_c = model.made_.get("system"), model.made_.get("R_C")
        if by != taught_by.name or (file != "energies" and r_c != recipe.r_c):
            raise ValueError(
                f"{path.name} was learned from structures of {by!r} with r_c = {r_c}; expected "
                f"{taught_by.name!r} with {recipe.r_c}: glasslib fetch botan, then run page "
                "3/training with these parameters at preset paper."
            )
        found[name] = model
    return found


def teach(
    folder: Path, stock: Stock, recipe: Recipe, *, stem: str = "public-A", engine: str = "auto"
) -> None:
    """Fit the models of :data:`MODELS` to all configurations of a stock and store them.

    Nothing is done where they are there, of these configurations, recipe and code.
    """
    print_, at = averaged.fingerprint(stock, recipe)("models"), Path(folder) / "models"
    paths = {name: at / f"{stem}-{file}.safetensors" for name, file in MODELS.items()}
    if all(
        p.exists() and PropensityRidge.load(p).made_.get("fingerprint") == print_
        for p in paths.values()
    ):
        return
    tables = averaged.Tables(stock, recipe, engine)
    D, groups = tables.label("A"), tables.groups("A")
    seen = {"LR(2), inherent": tables.geometry("inherent", "A", 2)}
    seen["averaged energies"] = tables.energies("A")
    made = {"system": stock.system.name, "R_C": recipe.r_c, "fingerprint": print_}
    for name, path in paths.items():
        recipe.model().fit(seen[name], D, groups).save(path, made=made)


def look(
    frame: Frame, system: System, recipe: Recipe, *, engine: str = "auto"
) -> dict[str, np.ndarray]:
    """What the two models look at: tables of the A particles at rest, by model."""
    quiet, A = rest(frame), frame.particles.typeid == 0
    geometry = recipe.average(recipe.describe(quiet), quiet, n_max=2)
    energies = energies_at_rest(frame, system, engine=engine)
    return {"LR(2), inherent": geometry[A], "averaged energies": energies[A]}


@dataclass(frozen=True)
class Answer:
    """Result of :func:`ask`: one prediction a particle, against propensities at all times.

    Attributes
    ----------
    times, r, low, high : (n_times,) float64 arrays
        Pooled Pearson r of A particles, and 95 %: over configurations, or of one configuration
        over 27 blocks of its box.
    ceiling : (n_times,) float64 array
    tau : float
        The relaxation time, τ.
    each : (n_configurations,) float64 array
        r within each configuration, at the time nearest to it.
    """

    times: np.ndarray
    r: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ceiling: np.ndarray
    tau: float
    each: np.ndarray

    @property
    def k(self) -> int:
        """The sample nearest to the relaxation time."""
        return dynamics.nearest(self.times, self.tau)

    @property
    def at_tau(self) -> tuple[float, float, float]:
        """r with its interval there."""
        return tuple(float(x[self.k]) for x in (self.r, self.low, self.high))


def ask(
    model: PropensityRidge,
    tables: Sequence[np.ndarray],
    made: Sequence[Frame],
    *,
    level: float,
    seed: int = 0,
) -> Answer:
    """One stored model, asked about configurations that it has not seen.

    Parameters
    ----------
    tables : sequence of (n_A, k) arrays
        Of the A particles of each configuration, :func:`look`.
    made : sequence of frames
        With ``log['particles/propensity']`` (N, n_times) and its variance.
    level : float
        Of the self scattering function, for the relaxation time.
    """
    A = [f.particles.typeid == 0 for f in made]
    said = [model.predict(x)[:, 0] for x in tables]
    D = [f.log["particles/propensity"][a] for f, a in zip(made, A)]
    V = [f.log["particles/propensity_variance"][a] for f, a in zip(made, A)]
    groups = np.repeat(np.arange(len(made)), [len(d) for d in D])
    if len(made) == 1:  # particles near each other are alike
        groups = scores.blocks(made[0], 3)[A[0]]
    r, low, high = scores.correlate_times(
        np.concatenate(said), np.concatenate(D), method="pearson", groups=groups, seed=seed
    )
    draws = made[0].log["msd_A"].shape[0]
    ceiling = dynamics.noise_ceiling(np.concatenate(D), np.concatenate(V), draws)
    times, tau = np.asarray(made[0].log["times"]), dynamics.decay_time(made, level)
    k = dynamics.nearest(times, tau)
    each = np.array([np.corrcoef(p, d[:, k])[0, 1] for p, d in zip(said, D)])
    return Answer(times, r, low, high, np.asarray(ceiling), tau, each)


#: where shells of a Kob–Andersen mixture end, σ_AA
SHELLS: Mapping[float, str] = {
    0.85: "inside contact", 1.3: "first shell", 1.6: "between first and second shell",
    2.35: "second shell", 3.2: "third shell", np.inf: "far",
}  # fmt: skip


def read_column(name: str) -> str:
    """What a column of a Kob–Andersen mixture measures, in words.

    Averages run over all centres, so averaged "A at 0.89" counts contacts of A with B, seen from
    the B particles.

    Examples
    --------
    >>> read_column("q_6(r = 1.1, δ = 0.1, n = 2)")
    'unevenness over 30°, first shell, in a wide neighbourhood'
    """
    found = re.fullmatch(r"(\w+)\(r = ([\d.]+), δ = [\d.]+, n = (\d)\)", name)
    if found is None:
        raise ValueError(f"{name!r} is not the name of a column, such as 'q_6(r = 1.1, δ = …)'.")
    what, where, n = found[1], float(found[2]), int(found[3])
    shell = next(text for end, text in SHELLS.items() if where < end)
    kind, which = what.split("_")
    count = f"{which} particles" if kind == "G" else f"unevenness over {180 / int(which):.0f}°"
    if kind == "G" and where < 0.97 and (which == "B" or n):  # around A, or around anybody
        count, shell = "contacts of A with B", "0.89 apart"
    around = ("", ", in the neighbourhood", ", in a wide neighbourhood")
    return f"{count}, {shell}{around[min(n, 2)]}"


def correlate_columns(X: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Pearson r of every column with one label: (n, …, k) and (n,) -> (…, k).

    NaN where a column does not vary.
    """
    Z, d = X - X.mean(axis=0), D - D.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.tensordot(d, Z, axes=(0, 0)) / np.sqrt(np.sum(Z**2, axis=0) * (d @ d))
    return np.where(X.std(axis=0) > 1e-9, r, np.nan)


def correlate_best(X: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """Largest absolute r of any column with each of several fields: (n, m, k), (n, f) -> (m, f)."""
    rows = [np.abs(correlate_columns(X, d)) for d in fields.T]
    return np.nanmax(rows, axis=-1).T


def order_by_autoencoder(
    folder: Path, made: Sequence[Frame], name: str, *, radius: float = 2.0
) -> dict[str, np.ndarray]:
    """Chapter 2's order parameter against propensities at all times, by species.

    The first network of each species, fitted to one snapshot of the same state without any
    displacement, averaged over two large diameters as there.

    Parameters
    ----------
    folder : path
        Chapter 2's data.
    made : sequence of frames
        Labelled configurations.
    name : str
        Of the state, ``"hard-spheres-0.58"``.

    Returns
    -------
    dict of (n_configurations, n_times) float64 arrays
        Pearson r within each configuration.
    """
    from glasslib.descriptors import averaged_bond_order, averaging
    from glasslib.models.autoencoder import OrderParameter, by_species

    at = Path(folder) / "order-parameters"
    if (at / f"{name}.safetensors").exists():  # one file a state
        from glasslib.studies import order_parameters

        orders = order_parameters.load_state(at / f"{name}.safetensors").models[0]
    else:
        paths = {k: at / f"{name}-{s}-seed0.safetensors" for k, s in enumerate("AB")}
        orders = {k: OrderParameter.load(path) for k, path in paths.items()}
    found: dict[str, list] = {"A": [], "B": []}
    for f in made:
        q = averaged_bond_order(f, neighbors="sann", l=range(1, 9))
        P = averaging.sphere_average(by_species(orders, q, f.particles.typeid), f, radius)
        for k, species in enumerate("AB"):
            mine = f.particles.typeid == k
            found[species].append(correlate_columns(f.log["particles/propensity"][mine], P[mine]))
    return {species: np.array(rows) for species, rows in found.items()}


def ask_all(
    models: Mapping[str, PropensityRidge],
    liquids: Mapping[float, object],
    recipe: Recipe,
    taught_by: System,
    *,
    engine: str = "auto",
    seed: int = 0,
) -> dict[str, dict[float, Answer]]:
    """Every model, asked about several liquids (:class:`glasslib.studies.configurations.Set`).

    Under ``"energies, own potential"`` the model of energies is asked with those by the potential
    of the set that taught it, at the minima of the liquid's own.

    Returns
    -------
    dict
        ``[model][temperature]``.
    """
    found: dict[str, dict[float, Answer]] = {name: {} for name in models}
    crossed = found.setdefault("energies, own potential", {})
    for T, one in liquids.items():
        made, options = one.frames, {"level": one.level, "seed": seed}
        seen = [look(f, one.system, recipe, engine=engine) for f in made]
        for name, model in models.items():
            found[name][T] = ask(model, [x[name] for x in seen], made, **options)
        A = [f.particles.typeid == 0 for f in made]
        theirs = [energies_at_rest(f, taught_by, engine=engine)[a] for f, a in zip(made, A)]
        crossed[T] = ask(models["averaged energies"], theirs, made, **options)
    return found
