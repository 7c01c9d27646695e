r"""Chapter 2's liquids: what is there of a system, whether it is in equilibrium, how slow it is.

A *liquid* is a system at several state points (packing fractions of hard particles, temperatures
of soft ones), the deepest first: equilibrated configurations, which carry the evidence of their
equilibration, and isoconfigurational ensembles started from them, which carry the labels. Files are
those of :func:`glasslib.studies.productions.make_liquids`.

Of a particle number, density or number of draws that is not the paper's, the files have other
names (:func:`glasslib.studies.productions.name_variant`), so that nothing is mistaken for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glasslib import dynamics, frames, scores, simulate, stored, systems
from glasslib.frames import Frame
from glasslib.studies import productions
from glasslib.systems import System

#: how pages name the systems of the paper
TITLES = {"hard-spheres": "hard spheres", "wahnstrom": "Wahnström", "kob-andersen": "Kob–Andersen"}


@dataclass(frozen=True)
class Liquid:
    """Configurations of one system, by state point from the deepest on; result of :func:`load`.

    Attributes
    ----------
    system : System
    equilibrated, runs : dict of float to list of frames
        Configuration c of a state is the same liquid in both. States without draws are in
        ``equilibrated`` alone.
    checks : dict of float to list of frames
        Equilibrated at published temperatures for the sake of their relaxation times.
    """

    system: System
    equilibrated: dict[float, list[Frame]]
    runs: dict[float, list[Frame]]
    checks: dict[float, list[Frame]]

    @property
    def name(self) -> str:
        """The key of the system, as in ``systems.get``."""
        return _base(self.system)

    @property
    def title(self) -> str:
        """The system as pages name it."""
        return TITLES.get(self.name, self.system.title)

    @property
    def symbol(self) -> str:
        """Of a state point: η or T."""
        return "η" if self.system.hard else "T"

    @property
    def deepest(self) -> float:
        """The state nearest to the glass of which there are draws."""
        return next(iter(self.runs))

    @property
    def coldest(self) -> float:
        """The state nearest to the glass of which there are structures."""
        return next(iter(self.equilibrated))

    @property
    def large(self) -> int:
        """Type id of the large particles."""
        return int(np.argmax([self.system.diameters[t] for t in self.system.types]))

    @property
    def curve(self) -> str:
        """Which scattering function the paper's τ_α is read from: an entry of the log."""
        return "collective_isf" if self.system.hard else "self_isf_A"

    def radius(self, diameters: float = 2.0) -> float:
        """So many large diameters, σ_AA: how far the paper averages."""
        return diameters * max(self.system.diameters.values())

    def label(self, state: float) -> str:
        """``η = 0.58``."""
        return f"{self.symbol} = {state:g}"


def _base(system: System) -> str:
    return next((n for n in TITLES if system.name == n or system.name.startswith(f"{n}-")), "")


def load(
    folder: Path,
    system: str = "all",
    *,
    states: Sequence[float] = (),
    n: int = 2000,
    density: float = 0.0,
    replicas: int = 32,
    configurations: int = 3,
) -> dict[str, Liquid]:
    """Liquids by name, as far as their files are there.

    Parameters
    ----------
    folder : path
        Chapter 2's data.
    system : str
        ``"all"`` for the paper's three, or one of them.
    states : sequence of float
        Packing fractions or temperatures of one system; the paper's by default.
    n, density, replicas
        Particles, density of a soft system (0: the paper's), velocity draws.
    configurations : int
        As many of each state at most.

    Raises
    ------
    ValueError
        For a state that was asked for and is not there, or a system of which nothing is: one line
        with the command that makes it.
    """
    asked = dict(states=tuple(states), n=n, density=density, replicas=replicas)
    found = {}
    for name, points in productions.list_states(system, **asked).items():
        variant = productions.name_variant(name, n=n, density=density, replicas=replicas)
        liquid = {"equilibrated": {}, "isoconfigurational": {}, "checks": {}}
        for kind, table in liquid.items():
            wanted = productions.CHECKS.get(name, {}) if kind == "checks" else points
            for state in wanted if kind != "checks" or not states else ():
                where = folder / ("equilibrated" if kind == "checks" else kind)
                made = frames.read_all(where, f"{variant.name}-{state:g}-*.gsd")
                if made:
                    table[state] = list(made.values())[: configurations if kind != "checks" else 4]
        equal, runs = liquid["equilibrated"], liquid["isoconfigurational"]
        missing = [s for s in points if s not in runs or s not in equal]
        if missing and (states or not runs):
            raise ValueError(
                f"no {'draws' if missing[0] in equal else 'configurations'} of {variant.name} at "
                f"{missing[0]:g}; make them: {_command(system, configurations, **asked)}"
            )
        found[name] = Liquid(variant, equal, runs, liquid["checks"])
    return found


def _command(system: str, configurations: int, **asked: object) -> str:
    """What makes the frames of these parameters."""
    default = {"states": (), "n": 2000, "density": 0.0, "replicas": 32}
    told = {"system": system} | {k: v for k, v in asked.items() if v != default[k]}
    if configurations != 3:
        told["configurations"] = configurations
    if "states" in told:
        told["states"] = "[" + ",".join(f"{s:g}" for s in told["states"]) + "]"
    options = " ".join(f"-p {k}={v}" for k, v in told.items())
    return f"glasslib run 2/simulation --preset paper {options}"


# --------------------------------------------------------------------------------- equilibrium


@dataclass(frozen=True)
class Ageing:
    """Result of :func:`compare_ages`: windows 5 to 7 against 2 to 4 of one state.

    Attributes
    ----------
    value : float
        Mean pressure of hard particles, mean energy a particle of soft ones, windows 2 to 7.
    change : (float, float, float)
        Late minus early, with 95 % over windows taken as independent.
    slowing : (float, float, float) or None
        Ratio of the times at which F = 1/e, late over early; None where it is not reached.
    """

    value: float
    change: tuple[float, float, float]
    slowing: tuple[float, float, float] | None

    @property
    def ages(self) -> bool:
        """Whether the change of energy or pressure lies outside its error."""
        return self.change[1] * self.change[2] > 0


def compare_ages(liquid: Liquid, state: float) -> Ageing:
    """Late against early windows of the equilibration: if a liquid ages, they differ."""
    made = liquid.equilibrated.get(state) or liquid.checks[state]
    t = made[0].log["equilibration/times"]
    key = "pressure" if liquid.system.hard else "potential_energy"
    values = np.array([e.log[f"equilibration/{key}"].mean(axis=1) for e in made])
    slow = np.array([
        [dynamics.crossing(t, F, 1 / np.e) for F in e.log[f"equilibration/{liquid.curve}"]]
        for e in made
    ])  # fmt: skip
    slowing = None
    if np.isfinite(slow[:, 1:]).sum(axis=1).min() >= 4:
        slowing = tuple(float(np.exp(x)) for x in _late_minus_early(np.log(slow)))
    return Ageing(float(values[:, 1:].mean()), _late_minus_early(values), slowing)


def _late_minus_early(values: np.ndarray) -> tuple[float, float, float]:
    """Windows 5 to 7 minus 2 to 4, with 95 %; values (liquids, 7)."""
    return scores.mean_difference(values[:, 1:4], values[:, 4:7])


def scattering_by_age(liquid: Liquid, state: float) -> dict[str, tuple[np.ndarray, ...]]:
    """Times, mean, low and high (95 % over windows) of F(q, t), by age."""
    made = liquid.equilibrated[state]
    t = made[0].log["equilibration/times"]
    curves = np.array([e.log[f"equilibration/{liquid.curve}"] for e in made])
    return {
        label: (t, *scores.mean_interval(curves[:, part].reshape(-1, len(t))))
        for label, part in {"windows 2–4": slice(1, 4), "windows 5–7": slice(4, 7)}.items()
    }


def pressure_quarters(made: Sequence[Frame], first: int = 3) -> np.ndarray:
    """Pressures of quarters of windows, from window ``first`` (counted from 0) on, (n,).

    Samples of the pressure, twenty a window, are correlated; means over a quarter of a window are
    taken for independent.
    """
    late = np.concatenate([e.log["equilibration/pressure"][first:].ravel() for e in made])
    return late.reshape(-1, 5).mean(axis=1)


def run_small(system: System, eta: float, *, n: int = 500, seed: int = 0) -> np.ndarray:
    """Pressures of a small fluid of hard spheres, run on the spot, (20,), kT/σ³.

    Means over 2 τ each, after 20 τ from growth: for packing fractions of the stable fluid.
    """
    from glasslib.engines import edmd

    start = simulate.liquid(system, eta=eta, n=n, duration=20.0, seed=seed)
    run = edmd.Edmd().run(start, system, duration=40.0, sample_times=np.linspace(2, 40, 20))
    return np.array([float(f.log["pressure"][0]) for f in run])


# ------------------------------------------------------------------------------------- slowness


@dataclass(frozen=True)
class Slowness:
    """Result of :func:`measure_times`: how slow one state is.

    Attributes
    ----------
    fit : glasslib.dynamics.RelaxationTime or None
        Stretched exponential of the decay; None where the decay is not seen, or τ is known to no
        better than 30 %.
    by_draws : bool
        Whether it is of the draws from the first configuration, in place of the windows.
    diffusion_time : float
        τ_D = σ²/6D of A particles, τ; where the motion is nowhere diffusive, the bound below it,
        t/⟨Δr²⟩ at the last time t.
    bound : bool
        Whether it is that bound.
    windows : float
        Length of all seven windows, τ.
    """

    fit: dynamics.RelaxationTime | None
    by_draws: bool
    diffusion_time: float
    bound: bool
    windows: float

    @property
    def tau(self) -> float:
        """τ_α; NaN where there is none."""
        return float("nan") if self.fit is None else float(self.fit.tau)


def decay(liquid: Liquid, state: float) -> tuple[np.ndarray, np.ndarray]:
    """Times, and the scattering function of every late window of every configuration."""
    made = liquid.equilibrated.get(state) or liquid.checks[state]
    curves = [e.log[f"equilibration/{liquid.curve}"][1:] for e in made]
    return made[0].log["equilibration/times"], np.concatenate(curves)


def fit_decay(
    t: np.ndarray, curves: np.ndarray, *, worst: float = 0.3
) -> dynamics.RelaxationTime | None:
    """A stretched exponential that is worth printing (relative error below ``worst``), or None."""
    try:
        fit = dynamics.relaxation_time(t, curves)
    except ValueError:  # the decay is not seen
        return None
    return fit if fit.tau_error < worst * fit.tau else None


def measure_times(liquid: Liquid, state: float) -> Slowness:
    """Relaxation time and diffusion time of a state, from its windows, else from its draws."""
    t, curves = decay(liquid, state)
    fit, by_draws = fit_decay(t, curves), False
    log = liquid.runs[state][0].log if state in liquid.runs else None
    if fit is None and log is not None:
        fit, by_draws = fit_decay(log["times"], log[liquid.curve]), True
    made = liquid.equilibrated.get(state) or liquid.checks[state]
    tries = [(t, np.concatenate([e.log["equilibration/msd_A"][1:] for e in made]))]
    if log is not None:
        tries.append((log["times"], log["msd_A"]))
    slow, bound = _diffuse(tries)
    return Slowness(fit, by_draws and fit is not None, slow, bound, 7 * float(t[-1]))


def _diffuse(tries: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, bool]:
    """τ_D of the first motion that is diffusive; else the longest lower bound, and True."""
    for t, msd in tries:
        try:
            D = dynamics.diffusion(t, msd, dimensions=3, tolerance=0.15).D
        except ValueError:  # not diffusive within these times
            continue
        return float(dynamics.diffusion_time(D, dimensions=3)), False
    return max(float(t[-1] / msd.mean(axis=0)[-1]) for t, msd in tries), True


def relaxation_of_draws(liquid: Liquid, state: float) -> float:
    """τ_α of the draws from the first configuration alone, τ; NaN where they are too short.

    The unit in which Fig 4 asks when a correlation is largest: that of the same configuration.
    """
    log = liquid.runs[state][0].log
    try:
        return float(dynamics.relaxation_time(log["times"], log[liquid.curve]).tau)
    except ValueError:
        return float("nan")


def time_at_level(
    liquid: Liquid, state: float, level: float = 0.27
) -> tuple[float, float, float]:  # fmt: skip
    """Where the mean F passes ``level``, and 95 % over windows, τ."""
    t, curves = decay(liquid, state)
    here = dynamics.crossing(t, curves, level)
    each = np.array([dynamics.crossing(t, row, level) for row in curves])
    _, low, high = scores.mean_interval(each[np.isfinite(each)])
    return float(here), min(float(low), float(here)), max(float(high), float(here))


def index_at_decay(frame: Frame) -> int:
    """Index of the sample time nearest to where A's F_s of the draws passes 1/e; else the last."""
    return dynamics.nearest(frame.log["times"], dynamics.decay_time(frame))


# --------------------------------------------------------------------------- what others have made

#: 10 000 binary hard spheres at η = 0.58 that the authors of another event-driven code publish
PUBLISHED = "cvt/binary_n10000.sph"
_PUBLISHED_SHA256 = "b563aaefb76076330023cbe5e997c7e896c800e9a98c5344db6ae12d4a86dd60"
_ENGINES_AT = 0.8  # temperature at which both engines draw from one configuration


def published_pressure(
    folder: Path, path: Path | None = None, *, duration: float = 40.0, seed: int = 0
) -> np.ndarray:
    """Pressures of :data:`PUBLISHED`, run by our engine, (20,), kT/σ³; stored in ``folder``.

    Parameters
    ----------
    path : path, optional
        The file, to run it where the result is not stored; None: only read.

    Raises
    ------
    glasslib.stored.StoredError
        Where it is neither stored nor can be made.
    """
    times = np.linspace(duration / 20, duration, 20)

    def compute() -> list[float]:
        from glasslib.engines import edmd

        hard = systems.get("hard-spheres")
        run = edmd.Edmd().run(
            frames.read(path)[0], hard, duration=duration, sample_times=times, seed=seed
        )
        return [float(f.log["pressure"][0]) for f in run]

    made_of = stored.fingerprint(
        settings={"duration": duration, "seed": seed}, inputs=[_PUBLISHED_SHA256]
    )
    return np.array(stored.keep(
        folder / "references.json", "pressure of the published configuration", made_of, compute,
        make=path is not None,
        how=f"glasslib run 2/simulation --preset paper, with external/{PUBLISHED} at hand",
    ))  # fmt: skip


def compare_engines(folder: Path, *, make: bool = False, n_jobs: int = -1) -> dict:
    """Propensities of one Kob–Andersen configuration by HOOMD-blue, beside those by LAMMPS; stored.

    Returns
    -------
    dict
        ``times``, ``chi2`` (mean squared difference over its error², by time) and ``r`` up to 5 τ,
        ``mean`` of either engine, ``draws``, and ``engine``, the version.
    """
    system, name = systems.get("kob-andersen"), f"kob-andersen-{_ENGINES_AT:g}-0.gsd"
    paths = [folder / kind / name for kind in ("equilibrated", "isoconfigurational")]

    def compute() -> dict:
        start, by_lammps = (frames.read(path)[0] for path in paths)
        early = by_lammps.log["times"] <= 5
        by_hoomd = simulate.isoconfigurational(
            start, system, kT=_ENGINES_AT, n_replicas=32,
            sample_times=by_lammps.log["times"][early],
            labels=("propensity", "propensity_variance"), seed=1000, engine="hoomd", n_jobs=n_jobs,
        )[0]  # fmt: skip
        return {
            "times": by_lammps.log["times"][early].tolist(), "draws": 32,
            **score_engines(by_lammps, by_hoomd, 32),
            "engine": simulate.provenance(by_hoomd)["version"],
        }  # fmt: skip

    made_of = stored.fingerprint(settings={"draws": 32, "seed": 1000}, inputs=paths)
    return stored.keep(
        folder / "references.json", "propensities by two engines", made_of, compute,
        make=make, how="glasslib run 2/simulation --preset paper, where HOOMD-blue is installed",
    )  # fmt: skip


def score_engines(one: Frame, other: Frame, draws: int) -> dict:
    """Agreement of the propensities of two ensembles from one configuration, by time.

    ``chi2`` is (draws − 1)/(draws − 2) where they differ by chance alone (Student's t).
    """
    n = len(other.log["times"])
    (D, v), (E, w) = (
        (f.log["particles/propensity"][:, :n], f.log["particles/propensity_variance"][:, :n])
        for f in (one, other)
    )
    return {
        "chi2": np.mean((D - E) ** 2 / ((v + w) / draws), axis=0).tolist(),
        "r": [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(D.T, E.T, strict=True)],
        "mean": [D.mean(axis=0).tolist(), E.mean(axis=0).tolist()],
    }


# ------------------------------------------------------------------------------ one law or another


def compare_laws(tau: np.ndarray, means: np.ndarray) -> tuple[float, float, float]:
    """ln of the misfit of ⟨P⟩ linear in log log τ over that of ⟨P⟩ linear in log τ, with 95 %.

    Positive: the straight line in log τ, the paper's exponential relation, is the better one.
    Misfits are root mean squares; the interval is a jackknife over state points (Student's t), the
    only independent things there are. ``tau`` (n,) > 1 and ``means`` (n,) need four states at
    least.

    Raises
    ------
    ValueError
        For fewer than four states, or times that are not above 1.
    """
    from scipy.stats import t as student

    tau, means = np.asarray(tau, dtype=float), np.asarray(means, dtype=float)
    if tau.shape != means.shape or tau.ndim != 1 or len(tau) < 4 or not np.all(tau > 1):
        raise ValueError(
            f"tau {tau.shape} and means {means.shape}; expected equal (n,) of four states at "
            "least, times above 1."
        )

    def misfit(keep: np.ndarray) -> float:
        x, y = np.log(tau[keep]), means[keep]
        rms = [np.sqrt(np.mean((y - np.polyval(np.polyfit(u, y, 1), u)) ** 2))
               for u in (np.log(x), x)]  # fmt: skip
        return float(np.log(rms[0] / rms[1]))

    n = len(tau)
    here = misfit(np.ones(n, dtype=bool))
    without = np.array([misfit(np.arange(n) != k) for k in range(n)])
    error = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    half = float(student.ppf(0.975, n - 1) * error)
    return here, here - half, here + half
