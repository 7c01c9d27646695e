"""The picture of the first page: a photograph of a glass, and how far its particles go."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glasslib import frames, systems

#: a configuration of chapter 4, below the folder of data
SOURCE = Path("4-autoencoder-2d-disks/isoconfigurational/hard-disks-0.78-0.gsd")
LABEL = "particles/cage_relative_propensity"
SCALE = 20  # picture units of a diameter


def draw_cover(data: Path) -> dict[str, str]:
    """Two pictures of the same disks as SVG: as they lie, and coloured by how far they tend to go.

    Parameters
    ----------
    data : path
        The book's data.

    Returns
    -------
    dict of str to str
        ``cover-still.svg`` and ``cover-motion.svg``. The brighter a disk, the higher the rank of
        its propensity among disks of its species, at the last time, relative to its neighbours.
        Empty where the configuration is not there.
    """
    path = Path(data) / SOURCE
    if not path.is_file():
        return {}
    frame = frames.read(path)[0]
    size = systems.get("hard-disks").diameters
    kinds, box = frame.particles.typeid, np.asarray(frame.configuration.box, dtype=float)
    x = np.asarray(frame.particles.position, dtype=float)[:, :2] + box[:2] / 2
    radius = np.array([size[t] / 2 for t in frame.particles.types])[kinds]
    rank = rank_within(np.asarray(frame.log[LABEL], dtype=float)[:, -1], kinds)
    still = ["#9aa7b4"] * len(x)
    moved = [_colour(r) for r in rank]
    return {
        f"cover-{name}.svg": _picture(x, radius, colours, box[:2])
        for name, colours in (("still", still), ("motion", moved))
    }


def rank_within(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """(N,) ranks from 0 to 1, each among particles of its kind."""
    found = np.zeros(len(values))
    for kind in np.unique(kinds):
        mine = np.flatnonzero(kinds == kind)
        order = np.argsort(np.argsort(values[mine]))
        found[mine] = order / max(len(mine) - 1, 1)
    return found


#: from what stays to what goes far: readable for the colour-blind, and in grey
_STOPS = np.array([[13, 28, 74], [52, 68, 135], [117, 87, 141], [214, 120, 95], [253, 214, 84]])


def _colour(rank: float) -> str:
    at = np.linspace(0, 1, len(_STOPS))
    red, green, blue = (int(round(np.interp(rank, at, _STOPS[:, k]))) for k in range(3))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _picture(x: np.ndarray, radius: np.ndarray, colours: list[str], box: np.ndarray) -> str:
    """Disks in their box; those that reach over its border are drawn on both sides."""
    width, height = (int(round(SCALE * edge)) for edge in box)
    disks = []
    for (a, b), r, colour in zip(x, radius, colours):
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                u, v = a + i * box[0], b + j * box[1]
                if -r < u < box[0] + r and -r < v < box[1] + r:
                    place = f'cx="{SCALE * u:.0f}" cy="{SCALE * v:.0f}" r="{SCALE * r:.1f}"'
                    disks.append(f'<circle {place} fill="{colour}"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return head + "".join(disks) + "</svg>\n"
