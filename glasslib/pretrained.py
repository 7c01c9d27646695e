r"""Trained models that come with the book, and what each of them is good for.

A model knows what it was trained on: system, state, species, whose positions.
:meth:`~glasslib.pretrained.Pretrained.predict` makes its inputs from a frame by itself,
the inherent structure too, and refuses frames that it does not understand::

    m = pretrained.get("ka-0.44-A-energies")
    print(m)                        # trained on, score beside ceiling, other temperatures, licence
    mobility = m.predict(frame)     # (N,) σ_AA at τ_α; NaN for species that it does not know

They lie in ``data/pretrained`` of a checkout, with ``manifest.json``, which says of each what
:mod:`glasslib.studies.pretraining` measured when it was made.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glasslib import frames, simulate, systems
from glasslib.descriptors import (
    averaged_bond_order,
    averaged_energies,
    averaged_radial_angular,
    elastic_response,
    rest,
)
from glasslib.descriptors.averaging import sphere_average
from glasslib.descriptors.radial_angular import RADIAL
from glasslib.frames import Frame, FrameError
from glasslib.systems import System

#: where they are, in a checkout
FOLDER = Path(__file__).resolve().parents[1] / "data" / "pretrained"
#: relative differences of density that are said, and that are refused
NEAR, FAR = 0.01, 0.15
#: relative difference of temperature that is said: more than an instantaneous one fluctuates
WARM = 0.04
#: typical way from a snapshot to rest, σ_AA, below which it is no snapshot of a liquid
STILL = 0.02
#: shares of species may differ by so much
SHARE = 0.02
#: what a kind of model foretells, and the label that it becomes
LABELS = {
    "energies": "particles/predicted_propensity",
    "inherent": "particles/predicted_propensity",
    "thermal": "particles/predicted_propensity",
    "order": "particles/order_parameter",
    "network": "particles/predicted_bond_breaking",
    "response": "particles/predicted_propensity",
}
_WHAT = {
    "energies": "averaged inherent energies",
    "inherent": "LR(2), radial and angular descriptors of inherent structures",
    "thermal": "LR(2), radial and angular descriptors of snapshots as they are",
    "order": "order parameter of an autoencoder, averaged over a sphere",
    "network": "interaction network: bonds that hold",
    "response": "averaged inherent energies, elastic response and way to rest (minutes a frame)",
}


class PretrainedError(ValueError):
    """A model that is not there, or a frame that it does not understand; one line."""


class Pretrained:
    """A trained model with its card; from :func:`get`.

    Attributes
    ----------
    name : str
        As ``"ka-0.44-A-energies"``; without a species it speaks of all that it knows.
    card : dict
        What the manifest says: system, state, kind, and for each species file, score, ceiling,
        transfer and licence.
    species : tuple of str
        Which species it predicts.
    """

    def __init__(self, name: str, card: dict, folder: Path, species: Sequence[str]) -> None:
        self.name, self.card, self.folder = name, card, Path(folder)
        self.species = tuple(species)
        self._models: dict[str, Any] = {}

    @property
    def system(self) -> System:
        """Which it was trained on."""
        return systems.get(self.card["system"])

    @property
    def times(self) -> np.ndarray:
        """(n_times,) times that it foretells, τ; of an order parameter none."""
        return np.array(self.card["times"], dtype=float)

    @property
    def label(self) -> str:
        """The entry of ``log`` that its predictions are called."""
        return LABELS[self.card["kind"]]

    def predict(
        self,
        frame: Frame,
        *,
        time: float | str = "tau_alpha",
        kT: float | None = None,
        engine: str = "auto",
    ) -> np.ndarray:
        """What the model says of every particle of a frame.

        Parameters
        ----------
        frame : gsd.hoomd.Frame
            A snapshot of the liquid as it is, not quenched: models of inherent structures quench
            it themselves, by the potential of their system.
        time : "tau_alpha", "all" or float
            The relaxation time (F_A falls to 1/e) at the state that it was trained at, all of
            :attr:`times`, or the one nearest to a number.
        kT : float, optional
            Temperature of the frame, where its log does not say it.
        engine : str
            Who quenches, see :func:`glasslib.engines.choose`.

        Returns
        -------
        (N,) float64 array, or (N, n_times) for "all"
            Mean displacement over velocity draws, σ_AA; probability to be of the ordered kind;
            share of bonds that hold. NaN for species that the model does not know.

        Warns
        -----
        UserWarning
            Where density or temperature are others than those of the training.

        Raises
        ------
        PretrainedError
            For a frame of another system, species, composition or dimension, of a density more
            than 15 % off, or whose structure is unlike all that the model has been tried on.
        """
        at = self._choose(time)
        frame = self._accept(frame, kT)
        seen, energy = frame, None
        if self.card["structure"] == "inherent":
            seen = simulate.inherent_structure(
                frame, self.system, force_tolerance=1e-4, engine=engine
            )
            energy = np.asarray(seen.log["particles/energy"], dtype=float)
        if self.card["kind"] in ("network", "response"):
            self._check_thermal(frame, seen)
        if self.card["kind"] == "network":
            return self._ask_network(frame, seen, energy)
        if self.card["kind"] == "response":
            X = rest.columns_at_rest(frame, seen, energy, respond(seen, self.system, engine=engine))
        else:
            X = describe(seen, self.card["kind"], self.system, self.card["describe"], energy=energy)
        kind = [frame.particles.types[t] for t in frame.particles.typeid]
        out = np.full((frame.particles.N, max(1, len(self.times))), np.nan)
        for species in self.species:
            mine = np.array(kind) == species
            self._check_domain(X[mine], species)
            if self.card["kind"] == "order":
                out[mine, 0] = self.model(species).predict_proba(X[mine])
            else:
                out[mine] = self.model(species).predict(X[mine])
        if self.card["kind"] == "order":
            included = np.isin(kind, self.species)
            mean = sphere_average(
                out[:, 0], frame, self.card["describe"]["radius"], include=included
            )
            return np.where(included, mean, np.nan)
        return out if at is None else out[:, at]

    def annotate(self, frame: Frame, **options: object) -> Frame:
        """A copy of the frame with the prediction in its ``log``, and who made it.

        Parameters
        ----------
        frame : gsd.hoomd.Frame
        **options
            Of :meth:`predict`.

        Returns
        -------
        gsd.hoomd.Frame
            With :attr:`label`, ``prediction/times`` and ``prediction`` (JSON bytes: name, system,
            state, trained on, score), for :func:`read_card`.
        """
        return annotate(frame, [self], **options)

    def model(self, species: str) -> Any:
        """The estimator of one species, as it was saved; its file is compared with the card."""
        if species in self._models:
            return self._models[species]
        entry = self.card["species"][species]
        path = self.folder / entry["file"]
        if not path.is_file():
            raise PretrainedError(
                f"{self.name}: no file {path}; it comes with a checkout of the repository."
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            raise PretrainedError(
                f"{self.name}: {path} is not the file that the manifest describes; bring both back "
                "from the repository, or make them anew: glasslib models --make"
            )
        from glasslib import models

        kind = {"order": "OrderParameter", "network": "InteractionNetwork"}
        loader = getattr(models, kind.get(self.card["kind"], "PropensityRidge"))
        self._models[species] = loader.load(path)
        return self._models[species]

    def _choose(self, time: float | str) -> int | None:
        """Column of a time; None for all."""
        if time == "all":
            return None
        if not len(self.times):
            if time != "tau_alpha":
                raise PretrainedError(f"{self.name} knows no times; leave time out.")
            return 0
        if time == "tau_alpha":
            time = self.card["tau_alpha"]
        if isinstance(time, str) or not 0 < float(time) < np.inf:
            raise PretrainedError(f"time is {time!r}; expected tau_alpha, all or a positive time.")
        at = int(np.argmin(np.abs(np.log(self.times / float(time)))))
        if not 0.5 < self.times[at] / float(time) < 2:
            raise PretrainedError(
                f"{self.name} foretells times {frames.list_numbers(self.times)}; none is near "
                f"{time}."
            )
        return at

    def _accept(self, frame: Frame, kT: float | None) -> Frame:
        """The frame alone, species in the order of the system, or an error in one line."""
        system = self.system
        for_ = f"{self.name} is a model of {system.name}"
        made = simulate.provenance(frame).get("system")
        if made is not None and made != system.name:
            raise PretrainedError(f"{for_}; the frame is of {made}. See: glasslib models")
        try:
            alone = frames.wrapped(frames.check(frames.copy(frame, log={}), system=system))
        except FrameError as error:
            raise PretrainedError(f"{for_}: {error}") from error
        n = alone.particles.N
        names = list(alone.particles.types)
        where = np.array([system.types.index(t) if t in system.types else 0 for t in names])
        alone.particles.typeid = where[np.asarray(alone.particles.typeid)].astype(np.uint32)
        alone.particles.types = list(system.types)
        alone.particles.velocity = alone.particles.image = None
        shares = np.bincount(alone.particles.typeid, minlength=len(system.types)) / n
        if np.abs(shares - system.composition).max() > SHARE + 1 / n:
            raise PretrainedError(
                f"{for_}, {_join(system.composition)} of {', '.join(system.types)}; the frame has "
                f"{_join(shares)}. See: glasslib models"
            )
        self._compare_density(alone, for_)
        kT = _temperature(frame) if kT is None else _check_temperature(kT)
        known = self.card["state"].get("kT")
        if known is not None and kT is None:
            warnings.warn(
                f"{self.name} was trained at {', '.join(f'{t:g}' for t in known)}; the frame does "
                "not say its temperature, and is taken for one of these: give kT.",
                stacklevel=4,
            )
        elif known is not None and min(abs(kT / t - 1) for t in known) > WARM:
            self._warn(f"kT = {kT:g}", ", ".join(f"{t:g}" for t in known), "kT", kT)
        return alone

    def _compare_density(self, frame: Frame, for_: str) -> None:
        system, unit = self.system, np.pi / (4 if frames.dimensions(frame) == 2 else 6)
        if system.hard:
            sizes = np.array([system.diameters[t] for t in system.types])[frame.particles.typeid]
            have = float(unit * np.sum(sizes**system.dimensions) / frames.volume(frame))
            want, name = self.card["state"]["eta"][0], "packing fraction"
        else:
            have, want = frame.particles.N / frames.volume(frame), system.density
            name = "density"
        if abs(have / want - 1) > FAR:
            raise PretrainedError(
                f"{for_} at {name} {want:.4g}; the frame has {have:.4g}. Are its lengths in units "
                f"of the diameter of {system.types[0]}? See: glasslib models"
            )
        if abs(have / want - 1) > NEAR:
            self._warn(f"{name} {have:.4g}", f"{want:.4g}", "eta" if system.hard else name, have)

    def _warn(self, is_: str, known: str, axis: str, value: float) -> None:
        """Say that a state is another one, with the score there if it was measured."""
        said = []
        for species in self.species:
            for entry in self.card["species"][species].get("transfer", []):
                if axis in entry and abs(entry[axis] / value - 1) < 0.02:
                    said.append(f"{species}: r = {entry['r']:.2f}, ceiling {entry['ceiling']:.2f}")
        measured = (
            f"there it scores {'; '.join(said)}" if said else "how well it does there is not known"
        )
        warnings.warn(
            f"{self.name} was trained at {known}; the frame has {is_}: {measured}.", stacklevel=5
        )

    def _check_thermal(self, frame: Frame, quiet: Frame) -> None:
        """Refuse a frame that is at rest: the way to rest is part of what is asked."""
        way = float(np.exp(rest.ways_to_rest(frame, quiet).mean() / 2))
        if way < STILL:
            raise PretrainedError(
                f"{self.name}: the particles of the frame are {way:.2g} σ from rest; expected a "
                "snapshot as it is, not quenched, as the model has learned from their ways to rest."
            )

    def _check_domain(self, X: np.ndarray, species: str) -> None:
        """Refuse descriptors whose means are far from all that were seen."""
        limit = self.card["species"][species].get("domain", {}).get("limit")
        if limit is None:
            return
        found = strangeness(self.model(species), X)
        if not found <= limit:
            raise PretrainedError(
                f"{self.name}: the structure of the frame is {found:.3g} standard deviations from "
                f"what {species} particles have in training; up to {limit:.3g} was tried. Expected "
                f"a snapshot of {self.system.name}, not quenched, and of a density and temperature "
                "near the model's."
            )

    def _ask_network(self, frame: Frame, quiet: Frame, energy: np.ndarray) -> np.ndarray:
        from glasslib.descriptors import pair_graph

        told = frames.copy(frame, log={
            "particles/inherent_position": np.asarray(quiet.particles.position)
        })  # fmt: skip
        graph = pair_graph(
            told, inputs=self.card["describe"]["inputs"], features=averaged_energies(energy, quiet)
        )
        said = self.model("A").predict(graph).node
        kind = np.array([frame.particles.types[t] for t in frame.particles.typeid])
        return np.where(np.isin(kind, self.species), said, np.nan)

    def __str__(self) -> str:
        card = self.card
        state = ", ".join(
            f"{k} = {'/'.join(f'{v:g}' for v in values)}" for k, values in card["state"].items()
        )
        lines = [
            f"{self.name}: {_WHAT[card['kind']]}",
            f"system {card['system']} at {state}, {', '.join(self.species)} particles",
            f"trained on {card['trained_on']}",
        ]
        for species in self.species:
            entry = card["species"][species]
            lines.append(f"{species}: {_say_score(entry)}")
            for t in entry.get("transfer", []):
                axis = next(k for k in ("kT", "eta", "density") if k in t)
                lines.append(
                    f"   at {axis} = {t[axis]:g}: r = {t['r']:.2f}, ceiling {t['ceiling']:.2f}"
                )
        lines.append(f"licence: {card['licence']} · cite {card['cite']}")
        return "\n".join(lines)

    __repr__ = __str__


def _say_score(entry: Mapping[str, Any]) -> str:
    s = entry["score"]
    interval = "" if s.get("low") is None else f" [{s['low']:.2f}, {s['high']:.2f}]"
    return f"r = {s['r']:.2f}{interval}, ceiling {entry['ceiling']:.2f} ({s['how']})"


def _temperature(frame: Frame) -> float | None:
    """What the log of a frame says of its temperature."""
    for key in ("run_kT", "kT"):
        if key in frame.log and np.size(frame.log[key]) == 1:
            said = float(np.ravel(frame.log[key])[0])
            return said if 0 < said < np.inf else None
    return None


def _check_temperature(kT: float) -> float:
    if not 0 < kT < np.inf:
        raise PretrainedError(f"kT is {kT}; expected a positive temperature in units of ε_AA.")
    return kT


def _join(shares: Sequence[float]) -> str:
    return ":".join(f"{100 * s:.3g}" for s in shares)


# ------------------------------------------------------------------------------------ the shelf


def manifest(folder: Path = FOLDER) -> dict[str, dict]:
    """Cards of all models by name, without species in it.

    Raises
    ------
    PretrainedError
    """
    path = Path(folder) / "manifest.json"
    if not path.is_file():
        raise PretrainedError(
            f"no models at {folder}; they come with a checkout of the repository (pip install -e)."
        )
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {name: entry["value"] for name, entry in sorted(entries.items())}


def available(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names for :func:`get`."""
    return tuple(manifest(folder))


def get(name: str, *, folder: Path = FOLDER) -> Pretrained:
    """A shipped model by name: ``"ka-0.44-energies"``, or for A alone ``"ka-0.44-A-energies"``.

    Raises
    ------
    PretrainedError
        For an unknown name; the message lists the known ones.
    """
    cards = manifest(folder)
    for known, card in cards.items():
        if name == known:
            return Pretrained(name, card, folder, list(card["species"]))
        head, _, kind = known.rpartition("-")
        for species in card["species"]:
            if name == f"{head}-{species}-{kind}":
                return Pretrained(name, card, folder, [species])
    raise PretrainedError(
        f"no model {name!r}; there are {', '.join(cards)}, each also of one species, as "
        "'ka-0.44-A-energies'."
    )


def suggest(
    frame: Frame,
    *,
    system: str | System | None = None,
    kT: float | None = None,
    kind: str | None = None,
    folder: Path = FOLDER,
) -> Pretrained:
    """The model for a frame: of its system, nearest in temperature, then of the highest score.

    Parameters
    ----------
    system : str or System, optional
        Where the frame does not say what made it. Different mixtures may share composition and
        density; then one must be named.
    kT : float, optional
        Where the frame does not say it.
    kind : str, optional
        Of :data:`LABELS`; by default any that foretells propensities in seconds, which leaves
        ``"response"`` out.

    Raises
    ------
    PretrainedError
        For a frame that no model fits, or models of several systems do.
    """
    given = system.name if isinstance(system, System) else system
    if given is not None:
        given = systems.get(given).name
    made = simulate.provenance(frame).get("system")
    fitting, why = [], ""
    for name, card in manifest(folder).items():
        propensity = LABELS[card["kind"]] == LABELS["energies"] and card["kind"] != "response"
        if card["kind"] != kind and not (kind is None and propensity):
            continue
        if card["system"] != (given or made or card["system"]):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = get(name, folder=folder)
                model._accept(frame, None)
        except PretrainedError as error:
            why = str(error)
            continue
        fitting.append(model)
    found = sorted({m.card["system"] for m in fitting})
    if not found:
        reason = (why if given or made else "") or "see: glasslib models"
        which = f"model of kind {kind}" if kind else "model"
        raise PretrainedError(f"no {which} fits the frame; {reason}")
    if len(found) > 1:
        raise PretrainedError(
            f"the frame may be of {' or '.join(found)}: composition and density are the same. Say "
            "which by system=."
        )
    kT = _temperature(frame) if kT is None else _check_temperature(kT)

    def rank(model: Pretrained) -> tuple[float, float]:
        known = model.card["state"].get("kT")
        far = 0.0 if kT is None or known is None else min(abs(np.log(kT / t)) for t in known)
        return far, -np.mean([model.card["species"][s]["score"]["r"] for s in model.species])

    return min(fitting, key=rank)


def annotate(frame: Frame, models: Sequence[Pretrained], **options: object) -> Frame:
    """A copy of the frame with what several models say of it, each of its own species.

    Parameters
    ----------
    models : sequence of Pretrained
        Of one label: say, of A and of B.
    **options
        Of :meth:`~glasslib.pretrained.Pretrained.predict`.

    Raises
    ------
    PretrainedError
        For models that foretell different things or times, or the same species.
    """
    if not models or len({m.label for m in models}) > 1:
        raise PretrainedError(
            f"models {', '.join(m.name for m in models)} foretell different things; take one kind."
        )
    times = [m.times if options.get("time") == "all" else m.card["tau_alpha"] for m in models]
    if any(not np.array_equal(t, times[0]) for t in times):
        raise PretrainedError("the models foretell other times than each other; take one family.")
    every = [s for m in models for s in m.species]
    if len(set(every)) < len(every):
        raise PretrainedError(f"two models speak of one species ({', '.join(every)}); take one.")
    said = None
    for model in models:
        one = model.predict(frame, **options)
        said = one if said is None else np.where(np.isnan(said), one, said)
    new = frames.copy(frame)
    new.log[models[0].label] = said.astype(np.float32)
    if len(models[0].times):
        first = models[0]
        chosen = first.times if said.ndim == 2 else first.times[[first._choose(
            options.get("time", "tau_alpha"))]]  # fmt: skip
        new.log["prediction/times"] = chosen
    told = [
        {
            "model": m.name, "system": m.card["system"], "state": m.card["state"],
            "trained_on": m.card["trained_on"], "licence": m.card["licence"],
            "scores": {s: _say_score(m.card["species"][s]) for s in m.species},
        }
        for m in models
    ]  # fmt: skip
    new.log["prediction"] = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)
    return new


def read_card(frame: Frame) -> list[dict]:
    """What a frame's prediction came from; empty if it does not say."""
    stored = frame.log.get("prediction")
    return [] if stored is None else json.loads(bytes(np.asarray(stored, dtype=np.uint8)))


# ----------------------------------------------------------------------------------- descriptors


def describe(
    frame: Frame,
    kind: str,
    system: System,
    settings: Mapping[str, Any],
    *,
    energy: np.ndarray | None = None,
) -> np.ndarray:
    """(N, k) inputs of a kind of model, of all particles.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        At rest, for models of inherent structures.
    settings : dict
        ``r_c`` and ``n_max`` of averages; ``contact``, the least distance of shells by species.
    energy : (N,) array, optional
        Of each particle, for ``"energies"``.
    """
    if kind == "energies":
        return averaged_energies(energy, frame)
    if kind in ("inherent", "thermal"):
        radial: Any = RADIAL
        if contact := settings.get("contact"):
            radial = {s: RADIAL[RADIAL[:, 0] >= least] for s, least in contact.items()}
        return averaged_radial_angular(
            frame, settings["r_c"], n_max=settings["n_max"], radial=radial
        )[0]
    if kind == "order":
        near = system.bond_cutoffs or "sann"
        return averaged_bond_order(frame, neighbors=near, l=np.arange(1, 9))
    raise ValueError(f"kind is {kind!r}; expected {', '.join(_WHAT)}.")


def respond(quiet: Frame, system: System, *, engine: str = "auto") -> np.ndarray:
    """:func:`glasslib.descriptors.elastic_response` of a stored inherent structure.

    Positions of single precision beside a very soft direction are no minimum; such a structure is
    brought to rest once more.
    """
    try:
        return elastic_response(quiet, system)
    except FrameError:
        again = simulate.inherent_structure(quiet, system, force_tolerance=1e-6, engine=engine)
        return elastic_response(again, system)


def strangeness(model: Any, X: np.ndarray) -> float:
    r"""How far the mean of each column is from that of the training, in standard deviations.

    The root mean square over columns of :math:`(\bar X_k - \bar x_k) / \sigma_k` with the means and
    spreads of the training set: some hundredths for another configuration of the same liquid,
    above one for another structure.
    """
    varies = model.scale_ > 0
    z = (X.mean(axis=0) - model.mean_)[varies] / model.scale_[varies]
    return float(np.sqrt(np.mean(z**2)))
