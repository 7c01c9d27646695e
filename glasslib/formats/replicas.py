"""Isoconfigurational runs as others publish them: BOTAN, GlassBench, Bapst et al."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glasslib.formats.rows import build_at, name_types
from glasslib.formats.untrusted import list_few, read_npz, take_array, unpickle
from glasslib.geometry import FrameError, list_numbers, nearest_image
from glasslib.snapshots import Frame


def read_botan(
    path: Path,
    *,
    box: float | np.ndarray | None = None,
    density: float | None = None,
    time: float | None = None,
    replicas: bool = False,
) -> list[Frame]:
    """One configuration of BOTAN or GlassBench (``.npz``): a structure and where M replicas went.

    Arrays ``types`` (N,), ``initial_positions`` (N, d) and ``positions`` (M, N, d), and ``box``
    where the file has it. Final positions go on from the initial ones without wrapping, or are
    wrapped: if all lie in the box and some displacement is longer than half of it, the minimum
    image is taken.

    BOTAN's layout is that of its published files, which the tests read. GlassBench's, with ``box``
    a single number, is taken from its public documentation, and tested on made-up arrays alone.
    Its files of propensities, which lack ``positions``, are refused. Where the file has the box,
    initial positions may lie outside it, as GlassBench's do in two dimensions at T = 0.23: box
    crossings are kept.

    The frame's ``log``: ``particles/propensity`` (N,), ``particles/propensity_variance`` (N,)
    (unbiased, over replicas; absent for a single one); ``particles/replica_distance`` (N, M);
    ``times`` where given.

    Parameters
    ----------
    box : float or array, σ_AA
        Edge or edges. By default that of the file, else of ``density``.
    density : float
        N particles in a cube (square); by default 1.2, that of the Kob–Andersen sets.
    time : float
        When the replicas were taken, which the file does not hold.
    replicas : bool
        Attach ``particles/replica_displacement`` (N, M·d) as well: ``.reshape(N, M, d)`` added to
        ``frames.unwrapped`` gives the final positions.
    """
    data = read_npz(path, ("initial_positions", "positions", "types"), ("box",))
    initial, final = (take_array(data, k, path) for k in ("initial_positions", "positions"))
    kind = take_array(data, "types", path)
    if initial.ndim != 2 or initial.shape[1] not in (2, 3) or final.shape[1:] != initial.shape:
        raise FrameError(
            f"{path.name}: initial_positions has shape {initial.shape} and positions "
            f"{final.shape}; expected (N, d) and (M, N, d), d = 2 or 3."
        )
    n, d = initial.shape
    if n == 0:
        raise FrameError(f"{path.name} holds no particles; expected at least one.")
    if box is not None and density is not None:
        raise FrameError(f"{path.name}: both box= and density= are given; give one.")
    own = box is None and density is None and "box" in data
    if own:
        box = np.ravel(take_array(data, "box", path))
        if len(box) == 6 and not np.any(box[3:]):
            box = box[:3]  # GSD's, without a tilt
        if len(box) == 3 and d == 2:
            box = box[:2]
        if len(box) not in (1, d) or not np.all(np.isfinite(box)):
            raise FrameError(
                f"{path.name}: the file's box is {list_few(box)}; expected {d} edges, or that "
                "of a cube (square). Give box= or density=."
            )
    if box is None:
        density = 1.2 if density is None else density
        if not np.isfinite(density) or density <= 0:
            raise FrameError(f"density is {density}; expected a positive number density.")
        box = (n / density) ** (1 / d)
    edges = np.broadcast_to(np.asarray(box, dtype=float), d) if np.size(box) in (1, d) else box
    initial, moved = _displacements(path, initial, final[None], edges, outside=own)
    log = _replica_log(moved, replicas)
    for name in ("particles/propensity", "particles/propensity_variance"):
        if name in log:
            log[name] = log[name][:, 0]
    if time is not None:
        log["times"] = np.array([float(time)])
    return [_isoconfigurational(path, initial, edges, kind, log)]


def read_bapst(path: Path, *, replicas: bool = False) -> list[Frame]:
    """One configuration of Bapst et al. (Nat. Phys. 16, 448 (2020)), a ``.pickle``.

    It is opened by an unpickler that makes numpy arrays of numbers and plain Python containers
    and nothing else. The frame's ``log``, in ascending order of time: ``times`` (n_times,),
    ``isf`` (n_times,), ``particles/propensity`` and ``particles/propensity_variance`` (N,
    n_times), ``particles/replica_distance`` (N, M) at the last time, and ``kT``, ``pressure``.
    A file that holds averages (``targets``) in place of the positions at each time has no
    variance and no replicas.

    Parameters
    ----------
    replicas : bool
        Attach ``particles/replica_displacement`` (N, n_times·M·3) as well, to be reshaped to
        (N, n_times, M, 3).
    """
    data = unpickle(path)
    if not isinstance(data, dict) or not all(isinstance(k, str) for k in data):
        raise FrameError(
            f"{path} holds a {type(data).__name__}; expected a dictionary of arrays by their names."
        )
    initial, kind, edges = (take_array(data, k, path) for k in ("positions", "types", "box"))
    if initial.ndim != 2 or initial.shape[1] != 3 or edges.shape != (3,) or len(initial) == 0:
        raise FrameError(
            f"{path.name}: positions has shape {initial.shape} and box {edges.shape}; expected "
            "(N, 3), N > 0, and (3,)."
        )
    log: dict[str, np.ndarray] = {}
    try:
        every, chosen = (np.ravel(take_array(data, k, path)) for k in ("time", "time_indices"))
        if not np.all((chosen == np.rint(chosen)) & (chosen >= 0) & (chosen < len(every))):
            raise FrameError(
                f"{path.name}: time_indices are {list_few(chosen)}; expected whole numbers "
                f"from 0 to {len(every) - 1}, into 'time'."
            )
        times = every[chosen.astype(int)]
        if not np.all(np.isfinite(times)) or len(np.unique(times)) < len(times):
            raise FrameError(
                f"{path.name}: times are {list_few(times)}; expected finite ones, each once."
            )
        order = np.argsort(times, kind="stable")
        log["times"] = times[order]
        if "is_values" in data:
            isf = np.ravel(take_array(data, "is_values", path))
            if isf.shape != times.shape or not np.all(np.isfinite(isf)):
                raise FrameError(
                    f"{path.name}: is_values are {list_few(isf)}; expected {len(times)} finite "
                    "numbers, one a time."
                )
            log["isf"] = isf[order]
        final = data.get("trajectory_target_positions", ())
        if len(final) == len(times):
            final = take_array(data, "trajectory_target_positions", path)
            initial, moved = _displacements(path, initial, final[order], edges)
            log.update(_replica_log(moved, replicas))
        elif "targets" in data and not replicas:
            initial, _ = _displacements(path, initial, initial[None, None], edges)
            targets = take_array(data, "targets", path)
            if not np.all((targets >= 0) & (targets < 1e9)):
                raise FrameError(
                    f"{path.name}: targets run from {targets.min()} to {targets.max()}; expected "
                    "finite mean distances of ordinary size, 0 or more."
                )
            log["particles/propensity"] = targets[order].T.astype(np.float32)
        else:
            raise FrameError(
                f"{path.name} holds replicas at {len(final)} of {len(times)} times; expected all, "
                "or read with replicas=False averages under 'targets'."
            )
        for name, key in (("kT", "temperature"), ("pressure", "pressure")):
            if key in data.get("metadata", {}):
                log[name] = np.array([float(data["metadata"][key])])
                if not np.isfinite(log[name][0]):
                    raise FrameError(f"{path.name}: {key} is {log[name][0]}; expected a number.")
    except FrameError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise FrameError(
            f"{path.name} is not as Bapst et al. publish them ({type(error).__name__}: {error}); "
            "expected time, time_indices and trajectory_target_positions (n_times, M, N, 3)."
        ) from None
    if log["particles/propensity"].shape != (len(initial), len(times)):
        raise FrameError(
            f"{path.name}: targets give {log['particles/propensity'].shape}; expected "
            f"({len(initial)}, {len(times)})."
        )
    return [_isoconfigurational(path, initial, edges, kind, log)]


def _isoconfigurational(
    path: Path, initial: np.ndarray, edges: np.ndarray, kind: np.ndarray, log: dict
) -> Frame:
    if kind.shape != (len(initial),):
        raise FrameError(f"{path.name}: types has shape {kind.shape}; expected ({len(initial)},).")
    wrong = kind[~((kind == np.rint(kind)) & (np.abs(kind) <= 1000))]
    if len(wrong):
        raise FrameError(
            f"{path.name}: types hold {wrong[0]:g}; expected whole numbers, 0 to 1000."
        )
    kind = kind.astype(int)
    typeid, types = name_types(kind, path, first=1 if kind.size and kind.min() == 1 else 0)
    if len(types) == 1:
        types = ("A", "B")  # a few particles cut out of a mixture
    return build_at(
        path.name, initial, edges, typeid, types=types, dimensions=initial.shape[1], log=log
    )


def _displacements(
    path: Path, initial: np.ndarray, final: np.ndarray, edges: np.ndarray, *, outside: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Initial positions about the centre of the box, and (T, M, N, d) displacements.

    Initial positions may lie ``outside`` a box that is known.
    """
    n, d = initial.shape
    edges = np.asarray(edges, dtype=float)
    if edges.shape != (d,) or not np.all((edges > 0) & (edges < 1e9)):
        raise FrameError(
            f"{path.name}: the box is {list_few(edges)}; expected {d} positive edges of ordinary "
            "size."
        )
    if final.ndim != 4 or final.shape[2:] != initial.shape or 0 in final.shape:
        raise FrameError(
            f"{path.name}: replicas have shape {final.shape[1:]}; expected (M, {n}, {d}), M > 0."
        )
    for name, x in (("initial", initial), ("final", final)):
        if not np.all(np.abs(x) < 1e9):
            raise FrameError(
                f"{path.name}: {name} positions reach {np.abs(x).max()}; expected finite numbers "
                "of ordinary size. The file is damaged."
            )
    low, high = initial.min(axis=0), initial.max(axis=0)
    slack = 1e-6 * edges
    centred = np.any(low < -slack)
    corner = -edges / 2 if centred else np.zeros(d)
    out = np.any(low < corner - slack) or np.any(high > corner + edges + slack)
    if out and not outside:
        raise FrameError(
            f"{path.name}: initial positions run from {list_numbers(low)} to "
            f"{list_numbers(high)}, out of a box of {list_numbers(edges)}; give the box= or "
            "density= of the simulation."
        )
    if n >= 100 and np.any(high - low < 0.9 * edges):
        raise FrameError(
            f"{path.name}: initial positions span {list_numbers(high - low)} and leave much of a "
            f"box of {list_numbers(edges)} empty; give the box= or density= of the simulation."
        )
    moved = final - initial
    inside = np.all(final >= corner - slack) and np.all(final <= corner + edges + slack)
    if inside and np.any(np.abs(moved) > edges / 2):
        box = np.zeros(6)
        box[:d] = edges
        moved = nearest_image(moved, box)
    return initial - corner - edges / 2, moved


def _replica_log(moved: np.ndarray, replicas: bool) -> dict[str, np.ndarray]:
    """Labels of (T, M, N, d) displacements, one row a particle."""
    times, m, n, d = moved.shape
    r = np.linalg.norm(moved, axis=-1)
    log = {"particles/propensity": r.mean(axis=1).T, "particles/replica_distance": r[-1].T}
    if m > 1:  # of one replica nobody knows the noise
        log["particles/propensity_variance"] = r.var(axis=1, ddof=1).T
    if replicas:
        log["particles/replica_displacement"] = moved.transpose(2, 0, 1, 3).reshape(n, -1)
    return {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in log.items()}
