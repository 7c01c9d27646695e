"""Periodic boxes: their vectors and heights, wrapping, the minimum image.

A box is GSD's ``[Lx, Ly, Lz, xy, xz, yz]``, centred on the origin, with ``Lz = 0`` in two
dimensions. Arrays come in and go out; what a snapshot is, :mod:`glasslib.snapshots` says.
"""

from __future__ import annotations

import numpy as np


class FrameError(ValueError):
    """A file or frame that cannot be used; the message says what came and what to do."""


# ------------------------------------------------------------------------------------------ boxes


def cell_matrix(box: np.ndarray) -> np.ndarray:
    """GSD box ``[Lx, Ly, Lz, xy, xz, yz]`` -> (3, 3) matrix whose columns are the box vectors."""
    lx, ly, lz, xy, xz, yz = np.asarray(box, dtype=np.float64)
    return np.array([[lx, xy * ly, xz * lz], [0, ly, yz * lz], [0, 0, lz]])


def deep_cell(box: np.ndarray) -> np.ndarray:
    """:func:`cell_matrix`, with an edge of length 1 across a flat box: it can be inverted."""
    cell = cell_matrix(box)
    if cell[2, 2] == 0:
        cell[2, 2] = 1.0
    return cell


def heights(box: np.ndarray) -> np.ndarray:
    """Distances between opposite faces (sides in 2D) of a box, σ_AA -> (3,) or (2,).

    The edges where the box is not tilted; half the least of them is the farthest that a
    minimum image may reach.
    """
    cell = cell_matrix(box)
    if box[2] == 0:
        cell = cell[:2, :2]
    return 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=1)


def full_box(box: np.ndarray | float, dimensions: int) -> np.ndarray:
    """Edge, edges or six numbers -> GSD's six, float32."""
    edges = np.atleast_1d(np.asarray(box, dtype=np.float64))
    full = np.zeros(6)
    if edges.shape == (1,):
        full[:dimensions] = edges[0]
    elif edges.shape in ((2,), (3,), (6,)) and len(edges) >= dimensions:
        full[: len(edges)] = edges
    else:
        raise FrameError(
            f"box has shape {edges.shape}; expected 1, {dimensions} or 6 numbers in {dimensions}D."
        )
    if dimensions == 2:
        full[[2, 4, 5]] = 0.0
    elif full[2] == 0:
        raise FrameError(f"box is {list_numbers(full)}; expected Lz > 0, or dimensions=2.")
    with np.errstate(over="ignore", invalid="ignore"):
        full = full.astype(np.float32)
    check_box(full, "frame")
    return full


def check_box(box: np.ndarray, where: str) -> None:
    """Refuse a box that is not six finite numbers with positive edges (Lz = 0 in 2D)."""
    if np.shape(box) != (6,):
        raise FrameError(f"{where}: box has shape {np.shape(box)}; expected (6,).")
    if not np.all(np.isfinite(box)) or np.any(box[:2] <= 0) or box[2] < 0:
        raise FrameError(
            f"{where}: box is {list_numbers(box)}; expected positive finite edges (Lz = 0 in 2D)."
        )


def list_numbers(values: np.ndarray) -> str:
    """Numbers on one line, whatever numpy's print options."""
    return "[" + ", ".join(f"{v:.6g}" for v in np.ravel(values)) + "]"


def wrap_positions(
    xyz: np.ndarray, box: np.ndarray, where: str = "frame"
) -> tuple[np.ndarray, np.ndarray]:
    """Positions inside the (possibly tilted) box, and the images they came from."""
    cell = deep_cell(box)
    try:
        inverse = np.linalg.inv(cell).T
    except np.linalg.LinAlgError:
        inverse = np.full((3, 3), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        fractional = xyz @ inverse
        steps = np.floor(fractional + 0.5)
    bad = ~(np.abs(steps) < 2**31 - 1).all(axis=1)
    if not np.any(bad):
        crossings = steps.astype(np.int32)
        if box[2] == 0:
            crossings[:, 2] = 0
        inside = xyz - crossings @ cell.T
        # of huge coordinates or tilts too few digits are left, at the latest in single precision
        with np.errstate(over="ignore", invalid="ignore"):
            again = inside.astype(np.float32) @ inverse
        bad = ~(np.abs(again[:, : 2 if box[2] == 0 else 3]) < 0.501).all(axis=1)
    if np.any(bad):
        i = int(np.argmax(bad))
        raise FrameError(
            f"{where}: particle {i} at {list_numbers(xyz[i])} cannot be put into the box "
            f"{list_numbers(box)}; expected coordinates, edges and tilts of ordinary size. The "
            "file or the box is wrong."
        )
    return inside, crossings


# ------------------------------------------------------------------------------- minimum image


def nearest_image(vectors: np.ndarray, box: np.ndarray, *, single: bool = False) -> np.ndarray:
    """Vectors between particles, each as its nearest periodic image.

    Parameters
    ----------
    vectors : (..., d) float array, σ_AA
    box : (6,) array
        GSD box, not so oblique that rounding fractional coordinates misses the nearest image.
    single : bool
        freud's arithmetic in single precision, which stored graphs and their lengths were made
        with: (n, 3) vectors, good to 1e-6 σ_AA like the positions in a GSD file.

    Returns
    -------
    (..., d) float64 array, σ_AA
    """
    if single:
        import freud

        wrapped = freud.box.Box.from_box(box).wrap(vectors)
        return np.asarray(wrapped, dtype=np.float64)
    vectors = np.asarray(vectors, dtype=float)
    d = vectors.shape[-1]
    cell = deep_cell(box)[:d, :d]
    return vectors - np.rint(vectors @ np.linalg.inv(cell).T) @ cell.T
