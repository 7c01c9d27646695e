"""The book's predictors, from one number a particle to all that is known of a structure at rest.

Each is a :class:`glasslib.studies.competition.Predictor`; numbers that stand for themselves are
written so that more of them means more motion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone

from glasslib import engines, frames, simulate
from glasslib.descriptors import (
    averaged_bond_order,
    averaged_energies,
    averaged_hexatic_order,
    averaging,
    elastic,
    elastic_response,
    radial_angular,
    shell_average,
)
from glasslib.descriptors.radial_angular import shells
from glasslib.frames import Frame
from glasslib.models.ridge import PropensityRidge
from glasslib.studies import temperatures
from glasslib.studies.competition import Describe, Predictor
from glasslib.systems import System

R_C = 2.3  #: reach of averages, σ_AA: chapter 3's
RADII = (1.2, 1.5, 2.3, 3.0, 4.5)  #: of averaged energies and responses


class ChooseColumns(RegressorMixin, BaseEstimator):
    """A ridge regression on those columns that do best in the cross-validation of training.

    Who tries several models and quotes the best has chosen with the test; here the choice is part
    of learning, made anew in every training set and for every time.

    Parameters
    ----------
    candidates : dict of str to (first, end) pairs
        Ranges of columns that a candidate sees.
    model : PropensityRidge
        Cloned for each candidate.

    Attributes
    ----------
    models_ : dict of str to PropensityRidge
    chosen_ : (n_times,) list of str
    """

    def __init__(self, candidates: Mapping[str, Sequence], model: PropensityRidge) -> None:
        self.candidates = candidates
        self.model = model

    def _see(self, name: str, X: np.ndarray) -> np.ndarray:
        return np.hstack([X[:, first:end] for first, end in self.candidates[name]])

    def fit(self, X: np.ndarray, D: np.ndarray, groups: np.ndarray) -> ChooseColumns:
        """As :meth:`PropensityRidge.fit`, of every candidate; then the choice."""
        self.models_ = {
            name: clone(self.model).fit(self._see(name, X), D, groups) for name in self.candidates
        }
        reached = np.array([m.cv_score_.max(axis=0) for m in self.models_.values()])
        self.chosen_ = [list(self.models_)[k] for k in reached.argmax(axis=0)]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n, n_times), each time by what was chosen for it."""
        X = np.asarray(X, dtype=float)
        found = {n: self.models_[n].predict(self._see(n, X)) for n in set(self.chosen_)}
        return np.column_stack([found[name][:, k] for k, name in enumerate(self.chosen_)])


def _choose(system: System) -> ChooseColumns:
    """Of what :func:`_all_at_rest` has: energies, responses, averaged densities, and all of it."""
    s = len(system.types)
    energies = 2 * s * (1 + 3 * len(RADII))
    responses = energies + len(elastic.COLUMNS) * (1 + s) * (1 + 3 * len(RADII))
    return ChooseColumns(
        {
            "energies": [(0, energies)], "energies + response": [(0, responses)],
            "LR(2)": [(responses, None)], "energies + LR(2)": [(0, energies), (responses, None)],
            "all": [(0, None)],
        },
        PropensityRidge(min_spread=1e-3),
    )  # fmt: skip


def list_predictors(
    system: System, *, order: Mapping[str, Describe] | None = None
) -> list[Predictor]:
    """The book's predictors that suit a system.

    Parameters
    ----------
    order : dict, optional
        Name to description of order parameters that were fitted without labels
        (:mod:`glasslib.studies.order_parameters`).
    """
    line = PropensityRidge(min_spread=1e-3)
    found = [
        Predictor("species", _species),
        Predictor("local packing", _packing),
        Predictor("bond orientation", _orientation),
        Predictor("energy, thermal", _thermal_energy, hard=False),
        Predictor("energy at rest", _rest_energy, hard=False),
        Predictor("energy at rest, averaged twice", _smooth_energy, hard=False),
        Predictor("harmonic cage", lambda f, s: _response(f, s)[:, 0], hard=False),
        *(Predictor(name, describe) for name, describe in (order or {}).items()),
        Predictor("LR(0), thermal", _geometry_once, line, flat=False),
        Predictor("LR(2), thermal", lambda f, s: _geometry(f, s, 2), line, flat=False),
        Predictor(
            "LR(0), at rest", lambda f, s: _geometry(_rest(f), s, 0), line, False, False, False
        ),
        Predictor(
            "LR(2), at rest", lambda f, s: _geometry(_rest(f), s, 2), line, False, False, False
        ),
        Predictor("energies", _energies, line, hard=False),
        Predictor("energies + response", _energies_and_response, line, hard=False),
        Predictor("all at rest", _all_at_rest, line, False, False, False),
        Predictor("chosen", _all_at_rest, _choose(system), False, False, False),
        Predictor("moved field", _geometry_once, line, control=True, flat=False),
    ]
    return [p for p in found if p.suits(system)]


def _sizes(f: Frame, system: System) -> np.ndarray:
    """(N,) diameters: hard ones, or σ of particles alike."""
    sizes = system.diameters if system.hard else {s: system.pair(s, s).sigma for s in system.types}
    return np.array([sizes[s] for s in f.particles.types])[f.particles.typeid]


def _species(f: Frame, system: System) -> np.ndarray:
    """Smaller particles move more; within a species it says nothing."""
    return -_sizes(f, system)


def _packing(f: Frame, system: System) -> np.ndarray:
    """The less of the surroundings is filled, the more motion."""
    return -averaging.local_density(f, R_C, weights=_sizes(f, system) ** system.dimensions)


def _orientation(f: Frame, system: System) -> np.ndarray:
    """Less order of six neighbours, averaged once, means more motion."""
    if system.dimensions == 2:
        return -np.abs(averaged_hexatic_order(f, k=6, same_species=False)).reshape(-1)
    return -averaged_bond_order(f, l=6).reshape(-1)


def _rest(f: Frame) -> Frame:
    return temperatures.inherent(f)


def _thermal_energy(f: Frame, system: System) -> np.ndarray:
    return engines.choose(system, n=f.particles.N).evaluate(f, system).log["particles/energy"]


def _rest_energy(f: Frame, system: System) -> np.ndarray:
    return _thermal_energy(_rest(f), system)


def _smooth_energy(f: Frame, system: System) -> np.ndarray:
    return shell_average(_rest_energy(f, system), _rest(f), 3.0, n_max=2)[:, 2]


def _energies(f: Frame, system: System) -> np.ndarray:
    return averaged_energies(_rest_energy(f, system), _rest(f), radii=RADII)


def _response(f: Frame, system: System) -> np.ndarray:
    quiet = _rest(f)
    try:
        return elastic_response(quiet, system)
    except frames.FrameError:  # positions of single precision beside a very soft direction
        quiet = simulate.inherent_structure(quiet, system, force_tolerance=1e-6)
        return elastic_response(quiet, system)


def _energies_and_response(f: Frame, system: System) -> np.ndarray:
    """Both averaged alike: five radii, one to three times, the response also by species."""
    response, quiet = _response(f, system), _rest(f)
    response = response - response.mean(axis=0)
    kinds = f.particles.typeid[:, None] == np.arange(len(system.types))
    local = np.hstack([response, *(response * kinds[:, s : s + 1] for s in range(kinds.shape[1]))])
    width = local.shape[1]
    around = [shell_average(local, quiet, r, n_max=3)[:, width:] for r in RADII]
    return np.hstack([_energies(f, system), local, *around])


def _all_at_rest(f: Frame, system: System) -> np.ndarray:
    """Energies, responses and chapter 3's descriptors averaged twice."""
    return np.hstack([_energies_and_response(f, system), _geometry(_rest(f), system, 2)])


def _geometry_once(f: Frame, system: System) -> np.ndarray:
    return _geometry(f, system, 0)


def _geometry(f: Frame, system: System, n_max: int) -> np.ndarray:
    """Chapter 3's descriptors, averaged up to ``n_max`` times."""
    radial = shells((0.5, 0.03, 50, 0.03), (2.0, 0.06, 50, 0.06))
    if system.hard:
        size = system.diameters
        nearest = {s: min((d + size[s]) / 2 for d in size.values()) for s in size}
        radial = {s: radial[radial[:, 0] >= contact] for s, contact in nearest.items()}
    X = radial_angular(f, radial=radial, angular=shells((1.0, 0.1, 16, 0.1)), l=range(1, 13))
    return shell_average(X, f, R_C, n_max=n_max) if n_max else X
