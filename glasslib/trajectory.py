r"""One's own trajectory: snapshots in the order of time, and what moves in them.

:func:`read` takes what any simulation program wrote, and says what it understood::

    t = trajectory.read("dump.lammpstrj", dt=0.004, system="kob-andersen")
    print(t)                              # species, box, density, times, box crossings
    t.relaxation_time("A").tau            # τ_α, averaged over time origins
    t.mobility(lag="tau_alpha")           # how far each particle goes; no propensity, see there

A number of one run is an average over *origins* (the frames that a displacement may begin at), not
over velocity draws: the propensity of a particle needs fresh runs from one configuration,
:func:`glasslib.simulate.isoconfigurational`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glasslib import dynamics, frames, scores, structure, systems
from glasslib.frames import Frame, FrameError
from glasslib.systems import System

#: intervals and origins of one interval that averages over origins take at most
N_LAGS, N_ORIGINS = 60, 64
#: parts of the run, by the time of the origin, that say how sure an average is
N_BLOCKS = 5
#: drift of the centre of mass that is said, as a share of how far particles go
DRIFT = 0.05


class Scattering(NamedTuple):
    """Result of :meth:`Trajectory.scattering`."""

    times: np.ndarray  #: (n,) intervals, ascending; the unit of the trajectory's times
    F: np.ndarray  #: (n,) mean over origins
    blocks: np.ndarray  #: (n_blocks, n) mean over the origins of a part of the run; NaN without
    origins: np.ndarray  #: (n,) how many origins
    q: float  #: wave number, 1/σ_AA
    species: str


class DecayTime(NamedTuple):
    """Result of :meth:`Trajectory.relaxation_time`."""

    tau: float  #: where F, averaged over origins, falls to ``level``
    low: float  #: 95 % interval from the parts of the run; NaN where fewer than three say it
    high: float
    level: float
    q: float  #: wave number, 1/σ_AA
    species: str


class Trajectory(Sequence):
    """Snapshots of the same particles, in the order of time.

    Parameters
    ----------
    snapshots : sequence of gsd.hoomd.Frame
        Positions continuous (:func:`glasslib.snapshots.images_known`) where motion is asked for.
    times : (T,) array, optional
        Ascending, τ; None where they are not known.
    system : System, optional
        Gives the wave number, and what composition and density are compared with.
    name : str
        How messages call it.
    crossings : str
        How box crossings became known, for ``str``.
    remove_drift : bool
        Take the motion of the centre of mass out of all positions (:meth:`drift`). Without it,
        as everywhere in the book, motion is counted as it is; a drift that matters is said.

    Raises
    ------
    FrameError
        For no snapshots, snapshots of different particles, times that do not ascend, or a system
        of other species or dimension.
    """

    def __init__(
        self,
        snapshots: Sequence[Frame],
        times: np.ndarray | None = None,
        *,
        system: System | None = None,
        name: str = "trajectory",
        crossings: str = "",
        remove_drift: bool = False,
    ) -> None:
        self.frames = list(snapshots)
        self.name, self.system, self.crossings = name, system, crossings
        self.remove_drift = bool(remove_drift)
        if not self.frames:
            raise FrameError(f"{name} holds no frames; expected at least one.")
        first = self.frames[0].particles
        for k, frame in enumerate(self.frames):
            p = frame.particles
            if p.N != first.N or list(p.types) != list(first.types) or np.any(
                np.asarray(p.typeid) != np.asarray(first.typeid)
            ):  # fmt: skip
                raise FrameError(
                    f"{name}: frame {k} holds other particles than the first ({p.N} and {first.N}, "
                    "or of other species); expected the same in every frame."
                )
        self.times = None if times is None else np.asarray(times, dtype=float)
        if self.times is not None and (
            self.times.shape != (len(self),)
            or not np.all(np.isfinite(self.times))
            or not np.all(np.diff(self.times) > 0)
        ):
            raise FrameError(
                f"{name}: times of its {len(self)} frames do not ascend, or are not finite "
                f"({frames.list_numbers(self.times[:4])} …); give times=, one a frame."
            )
        if system is not None:
            _check_system(self.frames[0], system, name)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, k: int | slice) -> Frame | Trajectory:
        if not isinstance(k, slice):
            return self.frames[k]
        times = None if self.times is None else self.times[k]
        return Trajectory(
            self.frames[k], times, system=self.system, name=self.name, crossings=self.crossings,
            remove_drift=self.remove_drift,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return frames.dimensions(self.frames[0])

    @property
    def composition(self) -> dict[str, int]:
        """Particles of each species."""
        p = self.frames[0].particles
        count = np.bincount(np.asarray(p.typeid), minlength=len(p.types))
        return {t: int(n) for t, n in zip(p.types, count)}

    @property
    def density(self) -> float:
        """Number density of the first frame, 1/σ_AA^d."""
        return self.frames[0].particles.N / frames.volume(self.frames[0])

    def positions(self) -> np.ndarray:
        """Continuous positions, box crossings undone -> (T, N, d) float64, σ_AA.

        Raises
        ------
        FrameError
            Where crossings are not known, with the reason.
        """
        return self._follow(range(len(self)))

    def drift(self) -> np.ndarray:
        """How far the centre of mass has gone since the first frame -> (T, d) float64, σ_AA.

        Masses are those of the system; without one, those of the frames, 1 by default.
        """
        x = np.stack([frames.unwrapped(frame)[:, : self.dimensions] for frame in self.frames])
        centre = self._shares() @ x
        return centre - centre[0]

    def find(self, lag: float, *, start: int = 0) -> int:
        """Index of the frame that is nearest to ``lag`` after frame ``start``, by ratio.

        Raises
        ------
        ValueError
            Where no frame is within a quarter of the lag, or times are not known.
        """
        start = self._index(start)
        after = self._known_times()[start:] - self._known_times()[start]
        if not (np.isfinite(lag) and lag > 0):
            raise ValueError(f"lag is {lag}; expected a positive time.")
        if len(after) > 1:
            k = 1 + dynamics.nearest(after[1:], lag)
            if abs(after[k] / lag - 1) <= 0.25:
                return start + k
        have = f"{after[1]:.6g} to {after[-1]:.6g}" if len(after) > 1 else "none"
        raise ValueError(
            f"{self.name}: no frame is {lag:.6g} after frame {start}; intervals from there: {have}."
        )

    def mobility(
        self, lag: float | str = "tau_alpha", *, species: str = "A", start: int = 0
    ) -> np.ndarray:
        """How far each particle goes in the time ``lag`` from one frame on.

        One displacement is no propensity: half of it, and more, is the luck of the velocities.
        Two runs from the same frame differ by as much as ``dynamics.noise_ceiling`` says.

        Parameters
        ----------
        lag : float or "tau_alpha"
            Time, τ; the frame nearest to it is taken (:meth:`find`). ``"tau_alpha"``:
            :meth:`relaxation_time` of ``species``.
        start : int
            Frame to begin at.

        Returns
        -------
        (N,) float64 array, σ_AA
            Of all particles, in the order of the frames.
        """
        if isinstance(lag, str):
            if lag != "tau_alpha":
                raise ValueError(f"lag is {lag!r}; expected a time, or 'tau_alpha'.")
            lag = self.relaxation_time(species).tau
        start = self._index(start)
        x = self._follow([start, self.find(lag, start=start)])
        self._warn_of_drift(x)
        return dynamics.displacement(*x)

    def radial_distribution(
        self, pair: tuple[str, str] | None = None, *, r_max: float | None = None, bins: int = 250
    ) -> tuple[np.ndarray, np.ndarray]:
        """g(r), averaged over at most 20 frames; :func:`glasslib.structure.radial_distribution`.

        Parameters
        ----------
        pair : (str, str), optional
            Species; all particles alike by default.
        r_max : float, optional
            5 σ_AA, or half the box where that is less, by default.
        """
        if pair is not None and len(pair) != 2:
            raise ValueError(f"pair is {pair!r}; expected two species, such as ('A', 'B').")
        if r_max is not None and not 0 < r_max < np.inf:
            raise ValueError(f"r_max is {r_max}; expected a positive distance.")
        some = self.frames[:: -(-len(self) // 20)]
        if r_max is None:
            half = min(frames.heights(f.configuration.box).min() for f in some) / 2
            r_max = min(5.0, 0.999 * half)  # freud has the box in single precision
        return structure.radial_distribution(some, pair, r_max=float(r_max), bins=bins)

    def scattering(self, species: str = "A", *, q: float | None = None) -> Scattering:
        r"""Self-intermediate scattering function, averaged over time origins.

        :math:`F_s(q, t) = \langle \sin(qr)/(qr) \rangle` over the particles of one species and
        over frames to begin at (:func:`glasslib.dynamics.self_intermediate_scattering`;
        :math:`J_0(qr)` in two dimensions). At most :data:`N_LAGS` intervals, evenly spaced in
        their logarithm where there are more, with :data:`N_ORIGINS` origins each.

        Parameters
        ----------
        species : str
        q : float, optional
            Wave number, 1/σ_AA; the system's by default.
        """
        mine = self._select(species)
        if q is None:
            q = self.system.wavenumber if self.system else None
        if q is None:
            raise ValueError(
                f"{self.name}: no wave number; give q=, or system= that has one. Customary is the "
                "first peak of the structure factor."
            )
        times = self._known_times()
        if len(times) < 2:
            raise ValueError(f"{self.name} holds one frame; expected several to see motion.")
        x = self.positions()
        self._warn_of_drift(x[[0, -1]])
        x = x[:, mine]
        lags, pairs = _pair_up(times)
        edges = np.linspace(times[0], times[-1], N_BLOCKS + 1)[1:-1]
        part = np.searchsorted(edges, times, side="right")
        F, blocks = np.empty(len(lags)), np.full((N_BLOCKS, len(lags)), np.nan)
        for k, (i, j) in enumerate(pairs):
            each = [
                dynamics.self_intermediate_scattering(x[a], x[b], q) for a, b in zip(i, j)
            ]  # fmt: skip
            F[k] = np.mean(each)
            for b in np.unique(part[i]):
                blocks[b, k] = np.mean(np.asarray(each)[part[i] == b])
        return Scattering(lags, F, blocks, np.array([len(i) for i, _ in pairs]), float(q), species)

    def relaxation_time(
        self, species: str = "A", *, q: float | None = None, level: float = 1 / np.e
    ) -> DecayTime:
        """τ_α: where :meth:`scattering` of a species falls to ``level``, 1/e by default.

        Papers differ in what they call τ_α, by a factor of two: GlassBench takes 0.27, chapter 2
        of the book the constant of a stretched exponential (:func:`dynamics.relaxation_time`).

        Returns
        -------
        DecayTime
            The interval comes from :data:`N_BLOCKS` parts of the run; it knows nothing of what
            the whole run did not visit.

        Raises
        ------
        ValueError
            Where F does not fall so far within the run, or is below at the first interval.
        """
        if not 0 < level < 1:
            raise ValueError(f"level is {level}; expected a number between 0 and 1.")
        found = self.scattering(species, q=q)
        if found.F[0] < level:
            raise ValueError(
                f"{self.name}: F of {species} is {found.F[0]:.3g} at the first interval, "
                f"{found.times[0]:.6g}, below {level:.3g} already; write snapshots more often."
            )
        tau = dynamics.crossing(found.times, found.F, level)
        if np.isnan(tau):
            raise ValueError(
                f"{self.name}: F of {species} falls only to {found.F.min():.3g} by t = "
                f"{found.times[-1]:.6g}, not to {level:.3g}; run longer, or give a lag as a number."
            )
        parts = []
        for row in found.blocks:
            known = np.isfinite(row)
            if known.sum() > 1:
                parts.append(dynamics.crossing(found.times[known], row[known], level))
        parts = np.log([t for t in parts if np.isfinite(t)])
        low = high = np.nan
        if len(parts) > 2:
            mean, low, high = scores.mean_interval(parts)
            low, high = tau * np.exp(low - mean), tau * np.exp(high - mean)
        return DecayTime(float(tau), float(low), float(high), level, found.q, species)

    def run_again(
        self,
        k: int = 0,
        *,
        kT: float,
        n_replicas: int,
        sample_times: Sequence[float],
        path: str | os.PathLike | None = None,
        make: bool = True,
        how: str = "",
        **options: object,
    ) -> Frame:
        """Frame ``k`` with propensities: fresh runs from it, each with velocities of its own.

        Parameters
        ----------
        k : int
        kT, n_replicas, sample_times, **options
            Of :func:`glasslib.simulate.isoconfigurational`, by the potential of the system.
        path : path, optional
            GSD file that keeps them: what is there is read, a run that was stopped goes on.
        make : bool
            False: only read; nothing at ``path`` is an error.
        how : str
            The command that makes it, for that error.

        Raises
        ------
        ValueError
            Without a system, or where nothing is there and nothing may be made.
        """
        from glasslib import simulate

        if self.system is None:
            raise ValueError(f"{self.name}: fresh runs need a potential; give system=.")
        if not make and not (path is not None and Path(path).exists()):
            raise ValueError(
                f"{self.name}: no fresh runs at {path}. " + (f"Make them: {how}" if how else "")
            )
        start = frames.copy(self.frames[self._index(k)], log={})
        start.particles.image = start.particles.velocity = None
        (labelled,) = simulate.isoconfigurational(
            start, self.system, kT=kT, n_replicas=n_replicas, sample_times=sample_times,
            path=path, **options,
        )  # fmt: skip
        return labelled

    def __str__(self) -> str:
        counts, box = self.composition, np.asarray(self.frames[0].configuration.box, float)
        species = ", ".join(f"{n} {t}" for t, n in counts.items() if n)
        several = f"{len(self)} frames" if len(self) > 1 else "1 frame"
        lines = [
            f"{self.name}: {several} of {sum(counts.values())} particles ({species}) in "
            f"{self.dimensions}D"
        ]
        boxes = np.stack([f.configuration.box for f in self.frames])
        constant = np.ptp(boxes, axis=0).max() <= 1e-6 * np.abs(boxes).max()
        edges = " × ".join(f"{b:.5g}" for b in box[: self.dimensions])
        tilted = f", tilted by {frames.list_numbers(box[3:])}" if np.any(box[3:]) else ""
        changing = "" if constant else ", which changes"
        lines.append(f"box {edges}{tilted}{changing}; density {self.density:.5g}")
        if self.times is None:
            lines.append("times not known: give dt=, the time step of the run, or times=")
        elif len(self) > 1:
            step = np.diff(self.times)
            even = np.ptp(step) < 1e-6 * step.max()
            every = (
                f"every {step[0]:.5g}" if even else f"{step.min():.5g} to {step.max():.5g} apart"
            )
            lines.append(f"times {self.times[0]:.6g} to {self.times[-1]:.6g} τ, {every}")
        if len(self) > 1:
            lines.append(f"box crossings: {self.crossings or 'known'}")
            lines += self._tell_drift()
        if self.system is not None:
            lines.append(compare(self.frames[0], self.system))
        return "\n".join(lines)

    __repr__ = __str__

    def _index(self, k: int) -> int:
        """Of a frame, counted from the start."""
        if not isinstance(k, int | np.integer) or not -len(self) <= k < len(self):
            raise ValueError(
                f"{self.name} has no frame {k!r}; expected a whole number from {-len(self)} to "
                f"{len(self) - 1}."
            )
        return range(len(self))[k]

    def _follow(self, which: Sequence[int]) -> np.ndarray:
        """(n, N, d) continuous positions of some frames, without drift where it is taken out."""
        d, first = self.dimensions, 0.0
        x = np.stack([frames.unwrapped(self.frames[k])[:, :d] for k in which])
        if self.remove_drift:
            first = self._shares() @ frames.unwrapped(self.frames[0])[:, :d]
            x -= (self._shares() @ x - first)[:, None]
        return x

    def _shares(self) -> np.ndarray:
        """(N,) of the mass, by particle."""
        p = self.frames[0].particles
        if self.system is not None:
            mass = self.system.mass(list(p.types))[np.asarray(p.typeid)]
        else:
            mass = np.ones(p.N) if p.mass is None else np.asarray(p.mass, float)
        return mass / mass.sum()

    def _drift_between(self, x: np.ndarray) -> tuple[float, float]:
        """Length of the drift from x[0] to x[-1], and as a share of how far particles go.

        The share is 0 where N particles that go their own ways would do so by chance.
        """
        moved = x[-1] - x[0]
        drift = self._shares() @ moved
        far = float(np.sqrt(np.mean(np.sum((moved - drift) ** 2, axis=1))))
        length = float(np.linalg.norm(drift))
        if length <= 4 * far / np.sqrt(len(moved)) + 1e-5:  # single precision in files
            return length, 0.0
        return length, length / far if far else np.inf

    def _warn_of_drift(self, x: np.ndarray) -> None:
        length, share = self._drift_between(x)
        if share > DRIFT:
            warnings.warn(
                f"{self.name}: the centre of mass goes {length:.3g} in this time, {share:.0%} of "
                "the rms distance of particles from it; remove_drift=True takes it out.",
                stacklevel=3,
            )

    def _tell_drift(self) -> list[str]:
        try:
            x = Trajectory(self.frames, system=self.system)._follow([0, len(self) - 1])
        except FrameError:  # crossings are not known, which is said
            return []
        length, share = self._drift_between(x)
        if self.remove_drift:
            return [f"centre of mass: goes {length:.3g}, which is taken out"]
        if share <= DRIFT:
            return []
        return [
            f"centre of mass: goes {length:.3g}, {share:.0%} of the rms distance of particles "
            "from it; remove_drift=True takes it out"
        ]

    def _select(self, species: str) -> np.ndarray:
        if not self.composition.get(species):
            known = ", ".join(t for t, n in self.composition.items() if n)
            raise ValueError(f"{self.name} has no species {species!r}; it has {known}.")
        p = self.frames[0].particles
        return np.asarray(p.typeid) == list(p.types).index(species)

    def _known_times(self) -> np.ndarray:
        if self.times is None:
            raise ValueError(
                f"{self.name}: times are not known; give dt=, the time step of the run, or times=."
            )
        return self.times


def read(
    path: str | os.PathLike,
    *,
    dt: float | None = None,
    system: str | System | None = None,
    times: Sequence[float] | None = None,
    stride: int = 1,
    rename: Mapping[str, str] | None = None,
    format: str | None = None,
    remove_drift: bool = False,
    **options: object,
) -> Trajectory:
    """A trajectory from a file of any format of :func:`glasslib.frames.read`.

    Wrapped positions without images are followed from each stored frame to the next, all of them
    whatever the stride, as long as no particle goes 0.4 of the box in between
    (:func:`glasslib.snapshots.follow`). Where one does, structure can still be looked at, and
    motion is refused.

    Parameters
    ----------
    path : path
    dt : float, optional
        Time step of the run, τ: the time of a frame is its step times this. Without it, what the
        file says of times.
    system : str or System, optional
        A name of :func:`glasslib.systems.available`, or a YAML file (:func:`systems.read`).
    times : sequence of float, optional
        Of all frames of the file, τ, instead of ``dt``.
    remove_drift : bool
        As for :class:`Trajectory`.
    stride, rename, format, **options
        As for :func:`glasslib.frames.read`.

    Raises
    ------
    FrameError, ValueError
        In one line, as :class:`Trajectory`.
    """
    path = Path(path)
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise ValueError(f"dt is {dt}; expected the positive time step of the run.")
    if dt is not None and times is not None:
        raise ValueError("dt and times are both given; expected one of them.")
    if not isinstance(stride, int) or stride < 1:
        raise FrameError(f"stride is {stride!r}; expected a whole number from 1.")
    system = systems.get(system) if isinstance(system, str | os.PathLike) else system
    with warnings.catch_warnings():  # that positions do not join: str says so
        warnings.filterwarnings("ignore", message=".* do not join", category=UserWarning)
        made = frames.read(path, rename=rename, format=format, **options)
    made, crossings = _join(made)
    when = _times(made, dt, times, path.name)
    when = None if when is None else when[::stride]
    return Trajectory(
        made[::stride], when, system=system, name=path.name, crossings=crossings,
        remove_drift=remove_drift,
    )  # fmt: skip


def _join(made: list[Frame]) -> tuple[list[Frame], str]:
    """Frames with images, and where these come from."""
    if all(frames.images_known(f) for f in made):
        return made, "in the file"
    try:
        x = frames.follow(made)
    except FrameError as error:
        return made, f"not known ({str(error).rstrip('.')})"
    largest, joined = 0.0, []
    for k, frame in enumerate(made):
        box = np.asarray(frame.configuration.box)
        new = frames.copy(frame)
        new.log.pop(frames.IMAGES_UNKNOWN, None)
        cell = frames.cell_matrix(box)[: frames.dimensions(frame), : frames.dimensions(frame)]
        inverse = np.linalg.inv(cell).T
        step = (x[k] - np.asarray(frame.particles.position, np.float64))[:, : len(cell)]
        image = np.zeros((frame.particles.N, 3), np.int32)
        image[:, : len(cell)] = np.rint(step @ inverse)
        new.particles.image = image
        if k:
            moved = (x[k] - x[k - 1])[:, : len(cell)] @ inverse
            largest = max(largest, float(np.abs(moved).max()))
        joined.append(new)
    same_box = all(np.allclose(f.configuration.box, made[0].configuration.box) for f in made)
    if not same_box:  # images of one box are no positions of another
        return made, "not known (the box changes and the file has no unwrapped positions)"
    return joined, (
        f"not in the file; followed from frame to frame, at most {largest:.2g} of the box at a time"
    )


def _times(
    made: list[Frame], dt: float | None, times: Sequence[float] | None, name: str
) -> np.ndarray | None:
    """Times of all frames of a file, or None."""
    if times is not None:
        if len(times) != len(made):
            raise FrameError(f"{name} holds {len(made)} frames, times {len(times)}; give as many.")
        return np.asarray(times, dtype=float)
    if dt is not None:
        steps = np.array([f.configuration.step or 0 for f in made], dtype=float)
        if len(made) > 1 and not np.all(np.diff(steps) > 0):
            raise FrameError(
                f"{name}: time steps of its frames do not ascend "
                f"({frames.list_numbers(steps[:4])} …); give times= instead of dt."
            )
        return steps * dt
    if all("time" in f.log and np.size(f.log["time"]) == 1 for f in made):
        found = np.array([float(np.ravel(f.log["time"])[0]) for f in made])
        return found if np.all(np.diff(found) > 0) else None
    return None


def _pair_up(times: np.ndarray) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Intervals, and for each the frames (i, j) that are so far apart."""
    T = len(times)
    i, j = np.triu_indices(T, k=1) if T <= 2000 else _some_pairs(T)
    gap = times[j] - times[i]
    order = np.argsort(gap, kind="stable")
    i, j, gap = i[order], j[order], gap[order]
    new = np.concatenate([[True], np.diff(gap) > 1e-4 * gap[1:]])
    group = np.cumsum(new) - 1
    lags = gap[new]
    if len(lags) > N_LAGS:
        wanted = np.geomspace(lags[0], lags[-1], N_LAGS)
        chosen = np.unique([np.argmin(np.abs(np.log(lags / t))) for t in wanted])
    else:
        chosen = np.arange(len(lags))
    begin, end = (np.searchsorted(group, chosen, side=side) for side in ("left", "right"))
    pairs = []
    for a, b in zip(begin, end):
        rows = a + np.argsort(i[a:b], kind="stable")
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, N_ORIGINS).astype(int))]
        pairs.append((i[rows], j[rows]))
    return lags[chosen], pairs


def _some_pairs(T: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of frames of a long run: evenly chosen origins, steps even in their logarithm."""
    steps = np.unique(np.geomspace(1, T - 1, 2 * N_LAGS).astype(int))
    i = [np.unique(np.linspace(0, T - 1 - s, N_ORIGINS).astype(int)) for s in steps]
    return np.concatenate(i), np.concatenate([a + s for a, s in zip(i, steps)])


def _check_system(frame: Frame, system: System, name: str) -> None:
    """Refuse species and dimensions that are not the system's; N may be small."""
    if frames.dimensions(frame) != system.dimensions:
        raise FrameError(
            f"{name} is {frames.dimensions(frame)}D; system {system.name!r} is "
            f"{system.dimensions}D."
        )
    types = [frame.particles.types[t] for t in np.unique(frame.particles.typeid)]
    if unknown := sorted(set(types) - set(system.types)):
        raise FrameError(
            f"{name} has species {', '.join(unknown)}; system {system.name!r} knows "
            f"{', '.join(system.types)}. Say rename={{{unknown[0]!r}: {system.types[0]!r}, …}}."
        )


def compare(frame: Frame, system: System) -> str:
    """A line that sets composition and density beside those of the system."""
    p, differs = frame.particles, []
    names = np.array(p.types)[np.asarray(p.typeid)]
    for kind, share in zip(system.types, system.composition):
        have = float(np.mean(names == kind))
        if abs(have - share) > max(0.005, 1 / p.N):
            differs.append(f"{kind} {have:.3g} of all, there {share:.3g}")
    density = p.N / frames.volume(frame)
    if system.density is not None and abs(density / system.density - 1) > 0.005:
        differs.append(f"density {density:.4g}, there {system.density:.4g}")
    said = f"system {system.name}: "
    return said + ("composition and density as there" if not differs else "; ".join(differs))
