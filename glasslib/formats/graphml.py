"""GraphML, one graph a snapshot, as ML-DOS publishes them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from glasslib import snapshots
from glasslib.formats.rows import name_types
from glasslib.formats.untrusted import check_whole, parse_number, read_text
from glasslib.geometry import FrameError, cell_matrix, full_box
from glasslib.snapshots import Frame


def read(
    path: Path, *, box: float | np.ndarray | None = None, density: float | None = None
) -> list[Frame]:
    """One GraphML graph of a snapshot, as ML-DOS (Bihani et al. 2023) publishes them.

    Nodes carry ``type`` (1, 2, … become A, B, …), ``x``, ``y``, optionally ``z``, ``pe`` and
    ``vx``, ``vy``, ``vz``; they are sorted by their id where ids are numbers. Edges go to
    ``log['bonds']`` (n, 2) as particle indices. The frame is 2D where every z is 0 or missing.

    Parameters
    ----------
    box : float or array, σ_AA
        The periodic box, which the file does not hold; coordinates run from 0 to its edge.
    density : float
        In place of ``box``: N particles in a square (cube) of this number density.
    """
    if (box is None) == (density is None):
        raise FrameError(
            f"{path.name} does not hold its periodic box; give either box= (edge length) or "
            "density= (the ML-DOS graphs have density=1.2)."
        )
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FrameError(
            f"{path} declares a document type or entities, which could make it grow without end; "
            "expected plain GraphML. Remove the declaration."
        )
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise FrameError(
            f"{path} is not a whole GraphML file ({error}); it is cut short or of another format."
        ) from error
    keys = {k.get("id"): k.get("attr.name") for k in root.iterfind("{*}key")}
    nodes = root.findall("{*}graph/{*}node")
    if not nodes:
        raise FrameError(f"{path} holds no nodes; expected a GraphML graph with one a particle.")
    ids = [node.get("id", "") for node in nodes]
    order = range(len(ids))
    if all(i.isdecimal() for i in ids):
        order = sorted(order, key=lambda i: int(ids[i]))
    index = {ids[i]: k for k, i in enumerate(order)}
    if len(index) < len(ids):
        raise FrameError(f"{path}: two nodes have the same id; expected one a particle.")
    rows = [{keys.get(d.get("key")): d.text for d in nodes[i].iterfind("{*}data")} for i in order]

    def column(name: str, default: float | None = None) -> np.ndarray:
        try:
            return np.array(
                [parse_number(r[name] if default is None else r.get(name, default)) for r in rows]
            )
        except (KeyError, TypeError, ValueError):
            raise FrameError(
                f"{path}: a node lacks a number {name!r}; expected type, x and y on every node."
            ) from None

    z = column("z", 0.0)
    size = max(np.ptp(column("x")), np.ptp(column("y")), 1e-300)
    d = 3 if np.any(np.abs(z) > snapshots.DUST * size) or not np.all(np.isfinite(z)) else 2
    position = np.column_stack([column("x"), column("y"), z])
    if density is not None:
        if not np.isfinite(density) or density <= 0:
            raise FrameError(f"density is {density}; expected a positive number density.")
        box = (len(rows) / density) ** (1 / d)
    edges = full_box(box, d)
    extent = np.ptp(position, axis=0)[:d].max()
    if extent > 1.05 * edges[:d].max():
        raise FrameError(
            f"{path.name}: coordinates span {extent:.4g}, more than the box {edges[:d].max():.4g}; "
            "give the box of the simulation."
        )
    log: dict[str, np.ndarray] = {}
    if any("pe" in r for r in rows):
        log["particles/energy"] = column("pe")
    try:
        bonds = [
            (index[e.get("source")], index[e.get("target")])
            for e in root.iterfind("{*}graph/{*}edge")
        ]
    except KeyError as error:
        raise FrameError(f"{path}: an edge ends at node {error}, which is not there.") from None
    log["bonds"] = np.array(bonds, dtype=np.uint32).reshape(-1, 2)
    typeid, types = name_types(check_whole(column("type"), "type", path.name), path, first=1)
    return [
        snapshots.build(
            position - cell_matrix(edges).sum(axis=1) / 2, edges, typeid, types=types,
            dimensions=d, log=log,
            velocity=np.column_stack([column(f"v{a}", 0.0) for a in "xyz"]),
        )
    ]  # fmt: skip
