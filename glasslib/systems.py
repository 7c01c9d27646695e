"""What is simulated: species, interactions, state points.

This module is the only home of such numbers. An engine reads a :class:`System`
and nothing else; a page asks for one by name::

    >>> from glasslib import systems
    >>> systems.get("bihani-2d").density
    1.2

Reduced units throughout: lengths in the diameter of species A (:math:`\\sigma_{AA}`; the large
one, save in the Wahnström mixture), energies in :math:`\\varepsilon_{AA}`, masses in *m*, so time
is in :math:`\\sigma_{AA}\\sqrt{m/\\varepsilon_{AA}}` (soft) or
:math:`\\sigma_A\\sqrt{m/k_BT}` (hard).
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

Truncation = Literal["cut", "shift", "force_shift"]
TRUNCATIONS: tuple[str, ...] = ("cut", "shift", "force_shift")
MINIMUM = 2.0 ** (1.0 / 6.0)  #: position of the Lennard-Jones minimum, in sigma


@dataclass(frozen=True)
class LennardJones:
    r"""A truncated Lennard-Jones pair interaction.

    With :math:`v(r) = 4\varepsilon[(\sigma/r)^{12} - (\sigma/r)^6]` and cut-off :math:`r_c`,
    the energy for :math:`r < r_c` is

    * ``"cut"``: :math:`v(r)`, plain truncation; the energy jumps at :math:`r_c`
    * ``"shift"``: :math:`v(r) - v(r_c)`
    * ``"force_shift"``: :math:`v(r) - v(r_c) - (r - r_c)\,v'(r_c)`, so that the force is
      continuous too ("linearly smoothed")

    and zero beyond. The repulsive WCA form is ``"shift"`` with :math:`r_c = 2^{1/6}\sigma`.

    Parameters
    ----------
    epsilon, sigma : float
        Depth and length, reduced units.
    r_cut : float
        Absolute cut-off distance (not in units of sigma).
    truncation : {"cut", "shift", "force_shift"}
    """

    epsilon: float
    sigma: float
    r_cut: float
    truncation: Truncation = "shift"

    def __post_init__(self) -> None:
        if self.truncation not in TRUNCATIONS:
            raise ValueError(
                f"truncation is {self.truncation!r}; expected one of {', '.join(TRUNCATIONS)}."
            )
        for name in ("epsilon", "sigma", "r_cut"):
            value = getattr(self, name)
            if not np.isfinite(value) or value <= 0:
                raise ValueError(f"{name} is {value}; expected a positive finite number.")

    def energy(self, r: np.ndarray) -> np.ndarray:
        """Pair energy at distances ``r`` (any shape, σ_AA) -> same shape, ε_AA."""
        r = np.asarray(r, dtype=float)
        v, slope = self._bare(self.r_cut)
        out = self._bare(r)[0]
        if self.truncation != "cut":
            out = out - v
        if self.truncation == "force_shift":
            out = out - (r - self.r_cut) * slope
        return np.where(r < self.r_cut, out, 0.0)

    def force(self, r: np.ndarray) -> np.ndarray:
        """Magnitude −dv/dr at distances ``r`` (positive repels) -> same shape, ε_AA/σ_AA."""
        r = np.asarray(r, dtype=float)
        out = -self._bare(r)[1]
        if self.truncation == "force_shift":
            out = out + self._bare(self.r_cut)[1]
        return np.where(r < self.r_cut, out, 0.0)

    @property
    def numbers(self) -> tuple[float, ...]:
        """What sets the interaction apart from others of its truncation."""
        return self.epsilon, self.sigma, self.r_cut

    def _bare(self, r: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(divide="ignore", invalid="ignore"):
            s6 = (self.sigma / np.asarray(r, dtype=float)) ** 6
            return 4 * self.epsilon * (s6**2 - s6), -24 * self.epsilon * (2 * s6**2 - s6) / r


@dataclass(frozen=True)
class Tabulated:
    r"""A pair interaction given by numbers at evenly spaced distances.

    The distances are :math:`r_k = r_\min + k\,(r_c - r_\min)/(n - 1)`, *k* from 0 to *n* − 1;
    energy and force between them are interpolated linearly, each by itself, as HOOMD-blue does.
    Nearer than :math:`r_\min` the force stays what it is there and the energy goes on along the
    straight line that belongs to it. Both vanish at :math:`r_c` and beyond.

    Parameters
    ----------
    r_min, r_cut : float
        First and last distance, σ_AA.
    energies, forces : (n,) sequences of float
        ε_AA and ε_AA/σ_AA, positive forces repel; n of 2 or more, ending in 0. Take thousands:
        linear interpolation errs by :math:`h^2 F''/8` at spacing *h*. :meth:`of` samples a
        function.
    """

    r_min: float
    r_cut: float
    energies: tuple[float, ...] = field(repr=False)
    forces: tuple[float, ...] = field(repr=False)
    truncation = "table"

    def __post_init__(self) -> None:
        for name in ("energies", "forces"):
            value = np.array(getattr(self, name), dtype=float)
            if value.ndim != 1 or len(value) < 2 or not np.all(np.isfinite(value)):
                raise ValueError(
                    f"{name} has shape {value.shape}; expected 2 finite numbers or more."
                )
            if abs(value[-1]) > 1e-9 * np.abs(value).max():
                raise ValueError(
                    f"{name} end in {value[-1]:.6g}; expected 0 at r_cut. Shift the table, or "
                    "sample a function with Tabulated.of."
                )
            object.__setattr__(self, name, tuple(value.tolist()))
        if len(self.energies) != len(self.forces):
            raise ValueError(
                f"energies has {len(self.energies)} numbers and forces {len(self.forces)}; "
                "expected as many."
            )
        if not (np.isfinite(self.r_cut) and 0 < self.r_min < self.r_cut):
            raise ValueError(
                f"r_min is {self.r_min}, r_cut {self.r_cut}; expected 0 < r_min < r_cut."
            )
        h = self.spacing
        slope = -np.diff(self.energies) / h
        mean = (np.array(self.forces[1:]) + self.forces[:-1]) / 2
        if np.abs(slope - mean).max() > 0.01 * np.abs(self.forces).max():
            raise ValueError(
                "forces are not minus the derivative of energies; expected dv/dr = -force. Check "
                "sign and units, or take more points."
            )

    @classmethod
    def of(
        cls,
        energy: Callable[[np.ndarray], np.ndarray],
        force: Callable[[np.ndarray], np.ndarray],
        *,
        r_min: float,
        r_cut: float,
        n: int = 20001,
    ) -> Tabulated:
        """Sample a pair potential, shifted so that energy and force end at 0 (``"force_shift"``).

        Parameters
        ----------
        energy, force : callable
            Distances (n,), σ_AA -> pair energies, ε_AA, and −dv/dr, ε_AA/σ_AA.
        r_min, r_cut : float
            Where the table begins and ends, σ_AA.
        n : int
            Points.
        """
        r = np.linspace(r_min, r_cut, n)
        v = np.broadcast_to(np.asarray(energy(r), dtype=float), r.shape)
        f = np.broadcast_to(np.asarray(force(r), dtype=float), r.shape)
        return cls(float(r_min), float(r_cut), v - v[-1] + (r - r_cut) * f[-1], f - f[-1])

    @property
    def spacing(self) -> float:
        """Distance of neighbouring points, σ_AA."""
        return (self.r_cut - self.r_min) / (len(self.energies) - 1)

    @property
    def numbers(self) -> tuple[float, ...]:
        """What sets the interaction apart from others: its range and 48 bits of a hash."""
        digest = hashlib.sha256(np.array([self.energies, self.forces]).tobytes()).digest()
        return self.r_min, self.r_cut, float(int.from_bytes(digest[:6], "big"))

    def energy(self, r: np.ndarray) -> np.ndarray:
        """Pair energy at distances ``r`` (any shape, σ_AA) -> same shape, ε_AA."""
        r = np.asarray(r, dtype=float)
        out = np.interp(r, self._grid, self.energies, right=0.0)
        return np.where(r < self.r_min, out + (self.r_min - r) * self.forces[0], out)

    def force(self, r: np.ndarray) -> np.ndarray:
        """Magnitude −dv/dr at distances ``r`` (positive repels) -> same shape, ε_AA/σ_AA."""
        return np.interp(np.asarray(r, dtype=float), self._grid, self.forces, right=0.0)

    @property
    def _grid(self) -> np.ndarray:
        return np.linspace(self.r_min, self.r_cut, len(self.energies))

    def down_to_zero(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances, energies and forces, (m,) each, with points below ``r_min`` to near 0."""
        h = self.spacing
        more = min(int(np.ceil(self.r_min / h)) - 1, 200_000)
        r = np.concatenate([self.r_min + h * np.arange(-more, 0), self._grid])
        return r, self.energy(r), self.force(r)


Pair = LennardJones | Tabulated


@dataclass(frozen=True)
class System:
    """A glass former: who interacts with whom, and where the paper looks at it.

    Attributes
    ----------
    name : str
        Key of :func:`get`.
    title : str
        How a page calls it.
    citation : str
        Key in ``references.bib``.
    dimensions : {2, 3}
    types : tuple of str
        Species names; the first, A, sets the units.
    composition : tuple of float
        Number fractions, same order, summing to 1.
    n : int
        Number of particles the chapter uses.
    density : float or None
        Number density ρσ_AA^d of soft systems.
    packing_fractions : tuple of float
        State points of hard systems, deepest first; empty for soft ones.
    temperatures : tuple of float
        State points k_BT/ε_AA of soft systems, deepest first.
    pairs : dict
        ``{(a, b): LennardJones or Tabulated}`` with a <= b; empty for hard particles.
    diameters : dict
        ``{type: diameter}``: hard-core diameters, or σ_aa for drawing soft particles.
    masses : dict
        ``{type: mass}`` in *m*; species that it leaves out have 1.
    dt : float or None
        MD time step of soft systems.
    thermostat_time : float or None
        Nosé–Hoover (MTTK) relaxation time.
    bond_cutoffs : dict
        ``{(a, b): r}`` first-neighbour cut-offs where the chapter uses fixed ones.
    wavenumber : float or None
        Where the intermediate scattering function is looked at: near the first peak of the total
        structure factor at the deepest state point; 1/σ_AA. Of 3D Kob–Andersen 7.25, between the
        peak of A–A, 7.2, and the total one, 7.35.
    bond_breaking_cutoffs : (float, float) or None
        Distances A1, A2 of the bond-breaking correlation: neighbours within A1 at the start,
        still within A2 later; σ_AA.
    alpha_times : dict
        ``{temperature: time}``: the time, near τ_α, at which published labels of this system
        were taken; τ. A published grid, not a relaxation time measured here.
    relaxation_times : dict
        ``{temperature: τ_α}`` where F_A falls to 1/e, as this book measured it; τ. Labels are
        taken there as well.
    public_sets : tuple of str
        Names of public data sets (:mod:`glasslib.fetching`) that this system made; see
        :func:`of_public_set`.
    notes : str
        Choices the source leaves open.
    """

    name: str
    title: str
    citation: str
    dimensions: int
    types: tuple[str, ...]
    composition: tuple[float, ...]
    n: int
    diameters: dict[str, float]
    density: float | None = None
    packing_fractions: tuple[float, ...] = ()
    temperatures: tuple[float, ...] = ()
    pairs: dict[tuple[str, str], Pair] = field(default_factory=dict)
    dt: float | None = None
    thermostat_time: float | None = None
    bond_cutoffs: dict[tuple[str, str], float] = field(default_factory=dict)
    wavenumber: float | None = None
    bond_breaking_cutoffs: tuple[float, float] | None = None
    alpha_times: dict[float, float] = field(default_factory=dict)
    relaxation_times: dict[float, float] = field(default_factory=dict)
    public_sets: tuple[str, ...] = ()
    notes: str = ""
    masses: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.masses) - set(self.types)):
            raise ValueError(
                f"masses are given for {', '.join(unknown)}; system {self.name!r} knows "
                f"{', '.join(self.types)}."
            )
        for name, mass in self.masses.items():
            if not np.isfinite(mass) or mass <= 0:
                raise ValueError(
                    f"the mass of {name} is {mass}; expected a positive finite number."
                )

    def mass(self, kinds: list[str]) -> np.ndarray:
        """Masses of particles whose types are ``kinds`` -> (N,) float64, *m*."""
        return np.array([self.masses.get(kind, 1.0) for kind in kinds], dtype=float)

    @property
    def hard(self) -> bool:
        """True for hard particles (event-driven), False for soft ones (MD)."""
        return not self.pairs

    @property
    def r_cut(self) -> float:
        """Largest interaction range, σ_AA."""
        if self.hard:
            return max(self.diameters.values())
        return max(p.r_cut for p in self.pairs.values())

    def counts(self, n: int | None = None) -> tuple[int, ...]:
        """Particles per species for ``n`` in all; the last species takes the rounding."""
        n = self.n if n is None else n
        head = [int(round(n * c)) for c in self.composition[:-1]]
        counts = (*head, n - sum(head))
        if min(counts) < 1:
            raise ValueError(
                f"n is {n}, which makes {counts} of {', '.join(self.types)}; expected at least one "
                "particle of each."
            )
        return counts

    def box_length(
        self, n: int | None = None, *, density: float | None = None, eta: float | None = None
    ) -> float:
        """Edge of the cubic (square) box that holds ``n`` particles, σ_AA.

        Hard particles take a packing fraction ``eta``, soft ones a number density (the
        system's own when none is given).
        """
        n = self.n if n is None else n
        counts = self.counts(n)
        if self.hard and density is not None:
            raise ValueError(f"density is {density}, but {self.name!r} is hard; give eta instead.")
        if not self.hard and eta is not None:
            raise ValueError(f"eta is {eta}, but {self.name!r} is soft; give density instead.")
        if self.hard:
            eta = self.packing_fractions[0] if eta is None else eta
            if not 0 < eta < 1:
                raise ValueError(f"eta is {eta}; expected a packing fraction between 0 and 1.")
            unit = np.pi / 4 if self.dimensions == 2 else np.pi / 6
            volume = sum(
                c * unit * self.diameters[t] ** self.dimensions
                for c, t in zip(counts, self.types, strict=True)
            )
            return float((volume / eta) ** (1 / self.dimensions))
        rho = self.density if density is None else density
        if not np.isfinite(rho) or rho <= 0:
            raise ValueError(f"density is {rho}; expected a positive number density.")
        return float((n / rho) ** (1 / self.dimensions))

    def pair(self, a: str, b: str) -> Pair:
        """The interaction of species ``a`` and ``b``, in either order."""
        key = (a, b) if (a, b) in self.pairs else (b, a)
        if key not in self.pairs:
            raise ValueError(
                f"no interaction for types {a!r}, {b!r} in system {self.name!r}; "
                f"it has {', '.join('-'.join(k) for k in self.pairs) or 'hard cores only'}."
            )
        return self.pairs[key]

    def alpha_time(self, kT: float) -> float:
        r"""The published time near τ_α at temperature ``kT``, or one between the published; τ.

        Where nothing is published, the curve :math:`\ln t = a + b / (T - T_0)` (Vogel, Fulcher,
        Tammann) through the published times says when to look: for comparison with them only.
        """
        for T, t in self.alpha_times.items():
            if abs(T - kT) < 1e-9:
                return t
        if len(self.alpha_times) < 3:
            raise ValueError(
                f"{self.name!r} has {len(self.alpha_times)} published times; expected one at kT = "
                f"{kT}, or three to draw a curve through. Give the time yourself."
            )
        T, t = np.array(sorted(self.alpha_times.items())).T
        best = None
        for T0 in np.linspace(0, 0.95 * T.min(), 200):
            design = np.column_stack([np.ones_like(T), 1 / (T - T0)])
            found, *_ = np.linalg.lstsq(design, np.log(t), rcond=None)
            error = np.sum((design @ found - np.log(t)) ** 2)
            if best is None or error < best[0]:
                best = error, found, T0
        _, (a, b), T0 = best
        return float(np.exp(a + b / (kT - T0)))

    def with_(self, **changes: object) -> System:
        """A copy with some fields changed, e.g. ``system.with_(density=1.1)``."""
        return replace(self, **changes)


def _mixture(
    eps: tuple[float, float, float],
    sigma: tuple[float, float, float],
    *,
    r_cut: float,
    truncation: Truncation,
) -> dict[tuple[str, str], LennardJones]:
    """AA, AB, BB Lennard-Jones with cut-offs ``r_cut`` in units of each sigma."""
    keys = (("A", "A"), ("A", "B"), ("B", "B"))
    return {
        k: LennardJones(e, s, r_cut * s, truncation)
        for k, e, s in zip(keys, eps, sigma, strict=True)
    }


_KA = {"eps": (1.0, 1.5, 0.5), "sigma": (1.0, 0.8, 0.88)}

_ALL = (
    System(
        name="bihani-2d",
        title="2D binary Lennard-Jones A65B35",
        citation="bihani2022",
        dimensions=2,
        types=("A", "B"),
        composition=(0.65, 0.35),
        n=500,
        diameters={"A": 1.0, "B": 0.88},
        density=1.2,
        temperatures=(0.05,),
        pairs=_mixture(**_KA, r_cut=2.5, truncation="cut"),
        dt=0.003,
        thermostat_time=0.15,
        bond_cutoffs={("A", "A"): 1.50, ("A", "B"): 1.242, ("B", "B"): 2.00},
        notes="Plain truncation; density, time step, damping and bond cut-offs from the "
        "authors' public input and graphs.",
    ),
    System(
        name="hard-spheres",
        title="binary hard spheres 30:70, size ratio 0.85",
        citation="boattini2020",
        dimensions=3,
        types=("A", "B"),
        composition=(0.3, 0.7),
        n=2000,
        diameters={"A": 1.0, "B": 0.85},
        packing_fractions=(0.58, 0.57, 0.56, 0.55, 0.54),
        wavenumber=8.2,
        bond_breaking_cutoffs=(1.3, 1.6),
        notes="N is our choice.",
    ),
    System(
        name="wahnstrom",
        title="Wahnström mixture, repulsive",
        citation="boattini2020",
        dimensions=3,
        types=("A", "B"),
        composition=(0.5, 0.5),
        n=2000,
        diameters={"A": 1.0, "B": 1.2},
        density=0.81,
        temperatures=(0.7, 0.75, 0.8, 0.9, 1.0),
        pairs=_mixture((1.0, 1.0, 1.0), (1.0, 1.1, 1.2), r_cut=MINIMUM, truncation="shift"),
        dt=0.005,
        thermostat_time=0.5,
        wavenumber=6.5,
        bond_breaking_cutoffs=(1.5, 1.9),
        notes="Truncated and shifted at the minimum. B is the large species here; N, time step "
        "and thermostat are our choice.",
    ),
    System(
        name="kob-andersen",
        title="Kob–Andersen 80:20",
        citation="kobandersen1995",
        dimensions=3,
        types=("A", "B"),
        composition=(0.8, 0.2),
        n=2000,
        diameters={"A": 1.0, "B": 0.88},
        density=1.2,
        temperatures=(0.5, 0.55, 0.6, 0.7, 0.8),
        pairs=_mixture(**_KA, r_cut=2.5, truncation="shift"),
        dt=0.005,
        thermostat_time=0.5,
        bond_cutoffs={("A", "A"): 1.43, ("A", "B"): 1.43, ("B", "B"): 1.43},
        wavenumber=7.25,
        bond_breaking_cutoffs=(1.35, 1.7),
        notes="Cut and shifted at 2.5 σ_ab. N, time step and thermostat are our choice; so is the "
        "one bond cut-off, the first minimum of g_AA(r) at T = 0.5.",
    ),
    System(
        name="hard-disks",
        title="binary hard disks 50:50, size ratio 1:1.4",
        citation="gurel",
        dimensions=2,
        types=("A", "B"),
        composition=(0.5, 0.5),
        n=2000,
        diameters={"A": 1.0, "B": 1 / 1.4},
        packing_fractions=(0.79, 0.78, 0.77, 0.76, 0.74),
        wavenumber=7.6,
        notes="The poster gives no state point: mixture, packing fractions and N are our choice.",
    ),
    System(
        name="kob-andersen-force-shifted",
        title="Kob–Andersen 80:20, force-shifted",
        citation="bessho2026",
        dimensions=3,
        types=("A", "B"),
        composition=(0.8, 0.2),
        n=4096,
        diameters={"A": 1.0, "B": 0.88},
        density=1.2,
        temperatures=(0.44, 0.47, 0.5, 0.53, 0.56, 0.6, 0.64, 0.8),
        pairs=_mixture(**_KA, r_cut=2.5, truncation="force_shift"),
        dt=0.005,
        thermostat_time=0.5,
        wavenumber=7.25,
        bond_breaking_cutoffs=(1.35, 1.7),
        alpha_times={0.44: 4120.0, 0.5: 217.0, 0.56: 52.0, 0.64: 16.5},
        relaxation_times={0.56: 25.0, 0.64: 7.7, 0.8: 2.3},
        public_sets=("botan",),
        notes="Linearly smoothed; the source leaves the cut-off open; 2.5 σ_ab is our choice, as "
        "are 0.47, 0.53, 0.6 and 0.8, the bond-breaking distances, time step and thermostat.",
    ),
)
_BY_NAME = {s.name: s for s in _ALL}


def of_public_set(name: str) -> System:
    """The system that made a public data set, so that nobody quenches it by another potential.

    Parameters
    ----------
    name : str
        As :func:`glasslib.fetching.fetch` knows it, e.g. ``"botan"``.

    Raises
    ------
    ValueError
        For a set that no system claims.
    """
    for system in _ALL:
        if name in system.public_sets:
            return system
    known = [n for s in _ALL for n in s.public_sets]
    raise ValueError(f"no system made a public set {name!r}; known sets: {', '.join(known)}.")


def available() -> tuple[str, ...]:
    """Names that :func:`get` knows, in the order of the chapters."""
    return tuple(_BY_NAME)


#: of a file that describes a system
_SUFFIXES = (".yaml", ".yml")
_LARGEST = 100_000  # bytes of such a file


def read(path: str | os.PathLike) -> System:
    """A system of one's own, from a YAML file.

    Fields are those of :class:`System`, save ``pairs``, which here are::

        name: my-mixture
        dimensions: 3
        types: [A, B, C]
        composition: [0.6, 0.2, 0.2]
        density: 1.2
        dt: 0.005
        thermostat_time: 0.5
        wavenumber: 7.2          # where F(q, t) is looked at
        truncation: shift        # of all pairs: cut, shift or force_shift
        r_cut: 2.5               # of all pairs, in units of their sigma
        masses: {C: 2.0}         # 1 where nothing is said
        pairs:
          A-A: {epsilon: 1.0, sigma: 1.0}
          A-B: {epsilon: 1.5, sigma: 0.8, r_cut: 2.0, truncation: cut}
          ...                    # every pair of species

    Hard particles have ``diameters`` and ``packing_fractions``, and neither pairs nor density.
    Species names sort as they stand in ``types``.

    Raises
    ------
    ValueError
        In one line, for a file that is none, unknown or missing entries, and numbers that are no
        system's.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no file {path}; expected a YAML file that describes a system.")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than {_LARGEST} bytes; expected a short YAML file.")
    import yaml

    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no YAML ({' '.join(str(error).split())[:200]}).") from error
    if not isinstance(given, dict):
        raise ValueError(f"{path} is no list of names and values; expected name, types, pairs, ….")
    try:
        return _build(dict(given))
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


#: entries of a file for :func:`read`, beside ``pairs``, ``r_cut`` and ``truncation``
_NUMBERS = ("density", "dt", "thermostat_time", "wavenumber")
_LISTS = ("composition", "packing_fractions", "temperatures", "bond_breaking_cutoffs")
_TABLES = ("diameters", "masses")


def _build(given: dict) -> System:
    """A system from the entries of a file."""
    known = {"name", "title", "citation", "dimensions", "types", "n", "notes", "pairs", "r_cut",
             "truncation", *_NUMBERS, *_LISTS, *_TABLES}  # fmt: skip
    if unknown := sorted(map(str, set(given) - known)):
        raise ValueError(
            f"unknown entries {', '.join(unknown)}; known: {', '.join(sorted(known))}."
        )
    if missing := sorted({"name", "types", "composition", "dimensions"} - set(given)):
        raise ValueError(f"{', '.join(missing)} missing; expected name, types, composition, ….")
    name, types = str(given["name"]), tuple(map(str, given["types"]))
    if not re.fullmatch(r"[\w.-]+", name) or name in _BY_NAME:
        raise ValueError(
            f"name is {name!r}; expected letters, digits, dots and hyphens, and none of the book's "
            f"own: {', '.join(available())}."
        )
    if len(set(types)) < len(types) or not types:
        raise ValueError(f"types are {list(types)}; expected different names.")
    if given["dimensions"] not in (2, 3):
        raise ValueError(f"dimensions is {given['dimensions']!r}; expected 2 or 3.")
    fields: dict = {"name": name, "types": types, "dimensions": given["dimensions"]}
    fields |= {k: str(given[k]) for k in ("title", "citation", "notes") if k in given}
    fields |= {k: _number(given[k], k) for k in _NUMBERS if k in given}
    fields |= {k: tuple(_number(v, k) for v in given[k]) for k in _LISTS if k in given}
    fields |= {
        k: {str(t): _number(v, f"{k} of {t}") for t, v in given[k].items()}
        for k in _TABLES
        if k in given
    }
    share = fields["composition"]
    if len(share) != len(types) or abs(sum(share) - 1) > 1e-6:
        raise ValueError(f"composition is {list(share)}; expected {len(types)} parts of 1.")
    pairs = {}
    for key, entry in (given.get("pairs") or {}).items():
        of = next((p for p in _combine(types) if key in ("-".join(p), "-".join(p[::-1]))), None)
        if of is None or of in pairs:
            raise ValueError(f"pairs has {key!r}; expected each of {_list_pairs(types)} once.")
        entry = {
            "r_cut": given.get("r_cut"),
            "truncation": given.get("truncation", "shift"),
        } | entry
        if set(entry) != {"epsilon", "sigma", "r_cut", "truncation"} or entry["r_cut"] is None:
            raise ValueError(f"pair {key} has {sorted(entry)}; expected epsilon, sigma, r_cut.")
        epsilon, sigma, r_cut = (_number(entry[k], k) for k in ("epsilon", "sigma", "r_cut"))
        pairs[of] = LennardJones(epsilon, sigma, r_cut * sigma, entry["truncation"])
    diameters = fields.setdefault("diameters", {t: pairs[t, t].sigma for t in types if pairs})
    if pairs and len(pairs) < len(_combine(types)):
        raise ValueError(
            f"pairs has {', '.join(map('-'.join, pairs))}; expected {_list_pairs(types)}."
        )
    if set(diameters) != set(types):
        raise ValueError(f"diameters are of {', '.join(diameters)}; expected {', '.join(types)}.")
    needed = ("density", "dt", "thermostat_time") if pairs else ("packing_fractions",)
    lacking = [k for k in needed if not fields.get(k)]
    if lacking:
        kind = "soft" if pairs else "hard"
        raise ValueError(f"{', '.join(lacking)} missing; a system of {kind} particles needs it.")
    fields.setdefault("title", name)
    return System(pairs=pairs, n=int(_number(given.get("n", 1000), "n")), **(
        {"citation": ""} | fields
    ))  # fmt: skip


def _combine(types: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(types) for b in types[i:]]


def _list_pairs(types: tuple[str, ...]) -> str:
    return ", ".join("-".join(p) for p in _combine(types))


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise ValueError(f"{name} is {value!r}; expected a positive number.")
    return float(value)


def get(name: str | os.PathLike) -> System:
    """The system called ``name``, or the one that a YAML file of that name describes.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones and the nearest. For a file, see
        :func:`read`.
    """
    if str(name).endswith(_SUFFIXES):
        return read(name)
    if name in _BY_NAME:
        return _BY_NAME[name]
    near = difflib.get_close_matches(str(name), available(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"unknown system {name!r}; known: {', '.join(available())}, or a file name that ends in "
        f".yaml.{hint}"
    )
