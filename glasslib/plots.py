"""Figures: one plotly theme, snapshots, and a few generic charts.

Labels are Unicode and HTML (``⟨Δr<sup>2</sup>⟩``), never TeX. Colours are told apart with
colour-blind eyes, on white and on dark paper; backgrounds are transparent, and the book's script
(``_static/theme.js``) recolours text and grids when the reader switches theme.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from plotly.io.base_renderers import MimetypeRenderer

from glasslib import starting

if TYPE_CHECKING:
    import gsd.hoomd

#: Okabe and Ito's palette without its yellow and black, which vanish on one of the papers
PALETTE: tuple[str, ...] = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#7F7F7F",
)
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
INK, GRID = "#3b4252", "rgba(127,127,127,0.28)"
SEQUENTIAL, DIVERGING = "Viridis", "RdBu_r"
_HEIGHT, _MARGIN = 440, {"l": 64, "r": 24, "t": 48, "b": 56}


# --------------------------------------------------------------------------- theme


def template() -> go.layout.Template:
    """The book's plotly template.

    Returns
    -------
    plotly.graph_objects.layout.Template
    """
    axis = {
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": "rgba(127,127,127,0.7)",
        "showline": True,
        "ticks": "outside",
        "tickcolor": "rgba(127,127,127,0.7)",
        "automargin": True,
        "title": {"standoff": 8},
        "exponentformat": "power",
    }
    scene_axis = {
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": "rgba(127,127,127,0.7)",
        "showbackground": False,
    }
    layout = go.Layout(
        font={"family": FONT, "size": 14, "color": INK},
        colorway=list(PALETTE),
        colorscale={"sequential": SEQUENTIAL, "diverging": DIVERGING},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=_HEIGHT,
        margin=_MARGIN,
        hovermode="closest",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        title={"x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 16}},
        xaxis=axis,
        yaxis=axis,
        scene={"xaxis": scene_axis, "yaxis": scene_axis, "zaxis": scene_axis},
        # plotly's own lines across a panel are nearly black, which the dark theme swallows
        shapedefaults={"line": {"color": "#7F7F7F"}},
    )
    return go.layout.Template(layout=layout)


class BookRenderer(MimetypeRenderer):
    """Shows a figure as plotly data and as HTML without scripts.

    JupyterLab draws the first; the built book, which loads plotly.js once, draws the second.
    """

    config = {"displaylogo": False, "responsive": True, "displayModeBar": "hover"}

    def to_mimebundle(self, fig_dict: dict) -> dict[str, Any]:
        """MIME bundle of one figure.

        Parameters
        ----------
        fig_dict : dict
            The figure as plotly hands it to a renderer.

        Returns
        -------
        dict
        """
        text = pio.to_html(
            fig_dict,
            config=self.config,
            include_plotlyjs=False,
            include_mathjax=False,
            full_html=False,
            auto_play=False,  # the reader presses play
            default_width="100%",
            validate=False,
        )
        figure = json.loads(pio.to_json(fig_dict, validate=False))
        figure["config"] = self.config
        return {"application/vnd.plotly.v1+json": figure, "text/html": text}


def use_theme() -> None:
    """Make the book's template and renderer plotly's defaults in this process."""
    starting.import_nbformat()  # plotly's renderers import it
    pio.templates["glasslib"] = template()
    pio.templates.default = "glasslib"
    pio.renderers["glasslib"] = BookRenderer()
    pio.renderers.default = "glasslib"


def figure(
    *, x: str = "", y: str = "", title: str = "", log_x: bool = False, log_y: bool = False
) -> go.Figure:
    """An empty figure in the book's theme.

    Parameters
    ----------
    x, y : str
        Axis titles; Unicode and plotly's HTML, no TeX.
    title : str, optional
    log_x, log_y : bool
        Logarithmic axes.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If a text holds TeX (``$``), which the page would show raw.
    """
    for name, text in (("x", x), ("y", y), ("title", title)):
        if "$" in text:
            raise ValueError(
                f"{name} is {text!r}, which holds TeX; expected Unicode or HTML: "
                "write ⟨Δr<sup>2</sup>⟩ instead of $…$."
            )
    fig = go.Figure(layout={"template": template()})
    fig.update_xaxes(title_text=x, type="log" if log_x else "linear")
    fig.update_yaxes(title_text=y, type="log" if log_y else "linear")
    if title:
        fig.update_layout(title_text=title)
    return fig


def panels(
    titles: Sequence[str],
    *,
    x: str | Sequence[str] = "",
    y: str = "",
    log_x: bool = False,
    log_y: bool = False,
    share_y: bool = True,
    spacing: float | None = None,
    height: int = 420,
) -> go.Figure:
    """An empty figure of several panels side by side, one below the other on a narrow screen.

    Parameters
    ----------
    titles : sequence of str
        One a panel.
    x : str or sequence of str
        Title of the horizontal axes, the same for all or one a panel.
    y : str
        Title of the first vertical axis.
    log_x, log_y : bool
        Logarithmic axes.
    share_y : bool
        All panels have the vertical range of the first.
    spacing : float, optional
        Between panels, as a share of the width.
    height : int
        Pixels, while side by side.

    Returns
    -------
    plotly.graph_objects.Figure
        Add curves with ``row=1, col=1, 2, …``.
    """
    from plotly.subplots import make_subplots

    titles = list(titles)
    if not titles:
        raise ValueError("no titles; expected one for each panel.")
    fig = make_subplots(
        1, len(titles), subplot_titles=titles, shared_yaxes=share_y,
        horizontal_spacing=spacing or (0.04 if share_y else 0.1),
    )  # fmt: skip
    names = [x] * len(titles) if isinstance(x, str) else list(x)
    for col, name in enumerate(names, start=1):
        fig.update_xaxes(title_text=name, type="log" if log_x else "linear", row=1, col=col)
    fig.update_xaxes(tickangle=0, nticks=5)
    fig.update_yaxes(type="log" if log_y else "linear")
    fig.update_yaxes(title_text=y, col=1)
    fig.update_layout(
        template=template(),
        height=height,
        margin={"l": 64, "r": 16, "t": 96, "b": 56},
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
        meta={"glasslib": "panels", "y": y},
    )
    fig.update_annotations(font_size=14)
    return fig


def slide(
    figures: Sequence[go.Figure], labels: Sequence[str], *, prefix: str = "", active: int = 0
) -> go.Figure:
    """Figures of one make, as one figure with a slider that changes between them.

    All figures are drawn in advance: the slider needs no Python. They must have the same traces and
    shapes; what may differ is where points and particles are and how they are coloured, and the
    text of titles.

    Parameters
    ----------
    figures : sequence of plotly figures
        One a position of the slider.
    labels : sequence of str
        What the slider says there.
    prefix : str
        Before it, as ``"t / τ = "``.
    active : int
        Which is shown at first.

    Raises
    ------
    ValueError
        For figures that are not of one make, or another number of labels.
    """
    figures = list(figures)
    makes = {
        (tuple(trace.type for trace in f.data), len(f.layout.shapes), len(f.layout.annotations))
        for f in figures
    }
    if len(makes) != 1 or len(labels) != len(figures) or not 0 <= active < len(figures):
        raise ValueError(
            f"{len(figures)} figures of {len(makes)} makes, {len(labels)} labels, the first "
            f"{active}; expected figures with the same traces and shapes, and a label each."
        )
    first, steps = figures[active], []
    for figure, label in zip(figures, labels, strict=True):
        points = {"x": [trace.x for trace in figure.data], "y": [trace.y for trace in figure.data]}
        if any(trace.text is not None for trace in figure.data):
            points["text"] = [trace.text for trace in figure.data]
        colors = {
            f"shapes[{i}].fillcolor": shape.fillcolor
            for i, shape in enumerate(figure.layout.shapes)
            if any(other.layout.shapes[i].fillcolor != shape.fillcolor for other in figures)
        }
        titles = {
            f"annotations[{i}].text": note.text
            for i, note in enumerate(figure.layout.annotations)
            if any(other.layout.annotations[i].text != note.text for other in figures)
        }
        if all(
            np.array_equal(a.x, b.x) and np.array_equal(a.y, b.y)
            for other in figures for a, b in zip(other.data, figure.data)
        ):  # fmt: skip
            points = {}
        steps.append({"method": "update", "label": str(label), "args": [points, colors | titles]})
    bottom = first.layout.margin.b or 56
    first.update_layout(
        sliders=[{
            "steps": steps, "active": active, "currentvalue": {"prefix": prefix},
            "pad": {"t": 62}, "ticklen": 0, "minorticklen": 0, "font": {"size": 11},
        }],
        margin_b=bottom + 96, height=(first.layout.height or 420) + 96,
    )  # fmt: skip
    return first


# --------------------------------------------------------------------------- snapshots


def snapshot(
    frame: gsd.hoomd.Frame,
    *,
    color: np.ndarray | Sequence | None = None,
    label: str = "",
    colorscale: str | list = SEQUENTIAL,
    diameter: Mapping[str, float] | np.ndarray | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
    height: int = 480,
) -> go.Figure:
    """A configuration drawn to scale, in two dimensions or three.

    In 2D a particle's disk has its diameter in units of the axes (the book's script keeps that
    true when the figure is resized or zoomed). Types are told apart by size and outline.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
        ``box[2] == 0`` (or ``dimensions == 2``) means two-dimensional.
    color : (N,) array, optional
        One value a particle. Floats get a colour bar; integers, booleans and strings are groups,
        with −1 drawn grey (noise). Without it, particles are coloured by type.
    label : str, optional
        What `color` is, said beside the colour bar and on hovering.
    colorscale : str or list, optional
        A plotly colour scale for floats.
    diameter : dict or (N,) array, optional
        Diameters in units of the positions, by type name or by particle. Defaults to the frame's
        own diameters, else 1.
    limits : (float, float), optional
        Ends of the colour bar; the data's by default.
    title : str, optional
    height : int, optional
        Pixels.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If `color` or `diameter` does not fit the frame or is not finite.
    """
    position = np.asarray(frame.particles.position, float)
    n = len(position)
    if n == 0:
        raise ValueError("frame has no particles; expected at least one: check how it was read.")
    box = np.asarray(frame.configuration.box, float)
    flat = box[2] == 0 or frame.configuration.dimensions == 2
    typeid = np.zeros(n, int) if frame.particles.typeid is None else frame.particles.typeid
    types = list(frame.particles.types or ["A"])
    size = _diameters(frame, diameter, typeid, types)
    fig = go.Figure(layout={"template": template(), "height": height})
    hover = np.array([f"particle {i} · type {types[t]}" for i, t in enumerate(typeid)])

    groups, values = _grouping(color, n, typeid, types)
    if values is not None:
        low, high = limits or (float(values.min()), float(values.max()))
        bar = {"title": {"text": label, "side": "right"}, "thickness": 14, "outlinewidth": 0}
        shared = {
            "cmin": low,
            "cmax": high,
            "colorscale": colorscale,
            "colorbar": bar,
        }
        # one trace a type, so that the legend can hide a type and outlines can differ
        parts = [
            (types[t], np.flatnonzero(typeid == t), {"color": values[typeid == t], **shared}, t)
            for t in np.unique(typeid)
        ]
        for k, part in enumerate(parts):
            part[2]["showscale"] = k == 0
    else:
        parts = [(name, idx, {"color": tint}, k) for k, (name, idx, tint) in enumerate(groups)]

    extent = float(box[1]) if flat else float(max(box[:3]))
    nominal = extent / (height - _MARGIN["t"] - _MARGIN["b"])  # data units a pixel
    if not flat:
        nominal *= 2.2  # a scene seen from its default camera fills about half of its frame
    for name, idx, marker, k in parts:
        if not len(idx):
            continue
        text = hover[idx]
        if values is not None:
            text = [f"{h}<br>{label or 'value'} {v:.4g}" for h, v in zip(text, values[idx])]
        outlined = values is not None and k > 0
        marker |= {"size": size[idx], "sizemode": "diameter", "sizeref": nominal, "sizemin": 0.5}
        if flat:
            marker["line"] = {
                "width": 1.6 if outlined else 0.4,
                "color": "rgba(30,30,30,0.9)" if outlined else "rgba(60,60,60,0.55)",
            }
        points = {
            "mode": "markers",
            "name": str(name),
            "marker": marker,
            "text": text,
            "hoverinfo": "text",
            "x": position[idx, 0].astype("float32"),
            "y": position[idx, 1].astype("float32"),
        }
        if flat:
            fig.add_trace(go.Scatter(**points))
        else:
            points["z"] = position[idx, 2].astype("float32")
            points["marker"]["line"] = {"width": 0}
            fig.add_trace(go.Scatter3d(**points))
    _outline(fig, box, flat)
    fig.update_layout(
        showlegend=len(parts) > 1 if values is not None else len(parts) <= 12,
        meta={"glasslib": "to-scale"} if flat else {"glasslib": "3d"},
        legend={"y": -0.01, "yanchor": "top", "itemsizing": "constant"},
        margin={"l": 16, "r": 16, "t": 48, "b": 56},
    )
    if title:
        fig.update_layout(title_text=title)
    return fig


def slab(
    frame: gsd.hoomd.Frame,
    values: Mapping[str, np.ndarray],
    *,
    diameter: Mapping[str, float] | None = None,
    thickness: float = 1.0,
    edge: float | None = None,
    limits: tuple[float, float] | None = None,
    label: str = "",
    colorscale: str = SEQUENTIAL,
    title: str = "",
) -> go.Figure:
    """A cut through a configuration, once for each of several quantities.

    Particles whose z is within ``thickness``/2 of 0 are drawn to scale, side by side for each
    quantity, so that regions can be compared by eye; a full 3D view hides what is inside.

    Parameters
    ----------
    frame : gsd.hoomd.Frame
    values : dict of (N,) arrays
        Title and values; each panel is scaled to ranks (0 lowest, 1 highest of all N particles),
        or to ``limits`` where they are given.
    diameter : dict, optional
        By type; 1 by default.
    thickness : float
        Of the cut, σ_AA; a 2D configuration is shown whole.
    edge : float, optional
        Edge of the square around the origin that is shown, σ_AA; the whole box by default. A
        browser takes a second for every thousand particles drawn.
    limits : (float, float), optional
        Ends of one scale for all panels, in place of ranks.
    label : str
        Beside the colour bar.
    """
    from plotly.colors import sample_colorscale

    position, box = np.asarray(frame.particles.position), frame.configuration.box
    n = frame.particles.N
    size = _diameters(frame, diameter, frame.particles.typeid, list(frame.particles.types))
    half = 0.53 * float(max(box[:2])) if edge is None else edge / 2
    inside = np.abs(position[:, :2]).max(axis=1) < half
    shown = np.flatnonzero(inside & (np.abs(position[:, 2]) < thickness / 2))
    if len(shown) == 0:
        raise ValueError(f"no particle within a cut of thickness {thickness}; take a thicker one.")
    shown = shown[np.argsort(position[shown, 2])]
    fig = panels(list(values), share_y=False, spacing=0.02)
    fig.update_layout(height=390, showlegend=False)
    bar, margin = {"title": {"text": label, "side": "right"}, "thickness": 14}, {"r": 76, "b": 16}
    if len(values) > 2:  # each panel wants the width that the bar would take
        bar |= {"orientation": "h", "y": 0, "yanchor": "top", "len": 0.6}
        bar["title"]["side"], margin = "bottom", {"r": 8, "b": 72}
    shapes = []
    for col, (name, panel) in enumerate(values.items(), start=1):
        panel = np.asarray(panel, dtype=float)
        if panel.shape != (n,):
            raise ValueError(f"{name!r} has shape {panel.shape}; expected ({n},).")
        _all_known(panel, repr(name))
        if limits is None:
            unit = np.argsort(np.argsort(panel)) / max(n - 1, 1)
        else:
            unit = np.clip((panel - limits[0]) / (limits[1] - limits[0]), 0, 1)
        tint = sample_colorscale(colorscale, unit[shown].tolist())
        axis = "" if col == 1 else str(col)
        for i, color in zip(shown, tint, strict=True):
            x, y, r = *position[i, :2].astype(float), float(size[i]) / 2
            shapes.append(
                {
                    "type": "circle", "xref": f"x{axis}", "yref": f"y{axis}",
                    "x0": round(x - r, 3), "x1": round(x + r, 3), "y0": round(y - r, 3),
                    "y1": round(y + r, 3), "fillcolor": color,
                    "line": {"width": 0.5, "color": "rgba(60,60,60,0.6)"},
                }
            )  # fmt: skip
        low, high = limits or (0.0, 1.0)
        fig.add_trace(
            go.Scatter(
                x=position[shown, 0], y=position[shown, 1], mode="markers",
                text=[f"particle {i}<br>{name} {panel[i]:.3g}" for i in shown], hoverinfo="text",
                marker={
                    "size": 10, "opacity": 0, "color": unit[shown], "colorscale": colorscale,
                    "cmin": low, "cmax": high, "showscale": col == 1,
                    "colorbar": bar,
                },
            ),
            row=1, col=col,
        )  # fmt: skip
        fig.update_xaxes(range=[-half, half], visible=False, constrain="domain", row=1, col=col)
        fig.update_yaxes(
            range=[-half, half],
            visible=False,
            constrain="domain",
            scaleanchor=f"x{axis}",
            row=1,
            col=col,
        )
    fig.update_layout(shapes=shapes, title_text=title, margin={"l": 8, "t": 72, **margin})
    return fig


def _all_known(values: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{name} has no number for particle {bad[0]} ({len(bad)} such in all); give one."
        )


def trajectory(
    trajectory: Sequence[gsd.hoomd.Frame],
    values: np.ndarray,
    *,
    times: Sequence[float],
    diameter: Mapping[str, float] | None = None,
    edge: float = 20.0,
    limits: tuple[float, float] | None = None,
    label: str = "",
    colorscale: str = SEQUENTIAL,
    title: str = "",
) -> go.Figure:
    """A two-dimensional trajectory with a slider for the time, and buttons to play and to pause.

    Parameters
    ----------
    trajectory : sequence of gsd.hoomd.Frame
        T frames of the same N disks, with images.
    values : (T, N) array
        Colour of each disk in each frame.
    times : sequence of float
        T times, for the slider; τ.
    diameter : dict, optional
        By type; 1 by default.
    edge : float
        Edge of the square that is shown, around the origin, σ_AA. The disks that are inside in
        the first frame are drawn, wherever they go.
    limits : (float, float), optional
        Ends of the colour scale; those of ``values`` by default.
    label : str
        Beside the colour bar.
    """
    from glasslib import frames

    values = np.asarray(values, dtype=float)
    first = trajectory[0]
    if values.shape != (len(trajectory), first.particles.N) or len(times) != len(trajectory):
        raise ValueError(
            f"values has shape {values.shape} and there are {len(times)} times; expected "
            f"({len(trajectory)}, {first.particles.N}) and {len(trajectory)}."
        )
    _all_known(values.T, "values")
    start = np.asarray(frames.wrapped(first).particles.position, dtype=float)[:, :2]
    shown = np.flatnonzero(np.abs(start).max(axis=1) < edge / 2)
    if len(shown) == 0:
        raise ValueError(f"no disk within a square of edge {edge}; take a larger one.")
    moved = [start + (frames.unwrapped(f) - frames.unwrapped(first))[:, :2] for f in trajectory]
    size = _diameters(first, diameter, first.particles.typeid, list(first.particles.types))[shown]
    low, high = limits or (float(values[:, shown].min()), float(values[:, shown].max()))
    side = 330.0  # pixels, so that markers are to scale; fits a phone
    marker = {
        "size": np.round(size * side / edge, 2), "colorscale": colorscale, "cmin": low,
        "cmax": high, "line": {"width": 0.5, "color": "rgba(60,60,60,0.6)"}, "sizemode": "diameter",
        "opacity": 1.0,
    }  # fmt: skip

    def at(k: int) -> dict:
        x = np.round(moved[k][shown], 3)
        return {"x": x[:, 0], "y": x[:, 1], "marker": {"color": np.round(values[k, shown], 3)}}

    bar = {"title": {"text": label, "side": "top"}, "orientation": "h", "thickness": 12, "y": 1.0,
           "yanchor": "bottom", "len": 0.9}  # fmt: skip
    begin = at(0)
    begin["marker"] = marker | begin["marker"] | {"colorbar": bar}
    fig = go.Figure(
        data=[go.Scatter(mode="markers", hoverinfo="skip", **begin)],
        frames=[
            go.Frame(name=str(k), data=[go.Scatter(**at(k))], traces=[0])
            for k in range(len(trajectory))
        ],
    )
    _add_slider(fig, [f"{t:.4g}" for t in times], "t / τ = ", side, title)
    fig.update_xaxes(range=[-edge / 2, edge / 2], visible=False)
    fig.update_yaxes(range=[-edge / 2, edge / 2], visible=False, scaleanchor="x")
    return fig


def states(
    made: Sequence[gsd.hoomd.Frame],
    values: Sequence[np.ndarray],
    *,
    names: Sequence[str],
    prefix: str = "",
    diameter: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    label: str = "",
    colorscale: str = SEQUENTIAL,
    title: str = "",
) -> go.Figure:
    """Two-dimensional configurations of as many disks, one at a time, with a slider between them.

    Parameters
    ----------
    made : sequence of gsd.hoomd.Frame
        Frames of N disks each; boxes may differ, and are drawn at the same size.
    values : sequence of (N,) arrays
        Colour of each disk in each frame.
    names : sequence of str
        Of the positions of the slider, after ``prefix``.
    diameter : dict, optional
        By type; 1 by default.
    limits : (float, float), optional
        Ends of the colour scale; those of ``values`` by default.
    label : str
        Beside the colour bar.

    Raises
    ------
    ValueError
        For frames of different numbers of disks, or lists that do not fit each other.
    """
    if not made or len({f.particles.N for f in made}) > 1:
        raise ValueError(
            f"frames hold {[f.particles.N for f in made]} disks; expected as many in each."
        )
    values = np.asarray(values, dtype=float)
    if values.shape != (len(made), made[0].particles.N) or len(names) != len(made):
        raise ValueError(
            f"values has shape {values.shape} and there are {len(names)} names; expected "
            f"({len(made)}, {made[0].particles.N}) and {len(made)}."
        )
    _all_known(values.T, "values")
    low, high = limits or (float(values.min()), float(values.max()))
    side = 330.0  # pixels, so that markers are to scale; fits a phone

    def at(k: int) -> dict:
        frame, edges = made[k], np.asarray(made[k].configuration.box[:2], dtype=float)
        x = np.round(np.asarray(frame.particles.position, dtype=float)[:, :2] / edges, 4)
        size = _diameters(frame, diameter, frame.particles.typeid, list(frame.particles.types))
        marker = {
            "color": np.round(values[k], 3), "size": np.round(size * side / edges[0], 2),
            "sizemode": "diameter", "colorscale": colorscale, "cmin": low, "cmax": high,
            "opacity": 1.0, "line": {"width": 0.5, "color": "rgba(60,60,60,0.6)"},
        }  # fmt: skip
        return {"x": x[:, 0], "y": x[:, 1], "marker": marker}

    bar = {"title": {"text": label, "side": "top"}, "orientation": "h", "thickness": 12, "y": 1.0,
           "yanchor": "bottom", "len": 0.9}  # fmt: skip
    begin = at(0)
    begin["marker"] = begin["marker"] | {"colorbar": bar}
    fig = go.Figure(
        data=[go.Scatter(mode="markers", hoverinfo="skip", **begin)],
        frames=[
            go.Frame(name=str(k), data=[go.Scatter(**at(k))], traces=[0]) for k in range(len(made))
        ],
    )
    _add_slider(fig, names, prefix, side, title)
    for axes in (fig.update_xaxes, fig.update_yaxes):
        axes(range=[-0.5, 0.5], visible=False)
    fig.update_yaxes(scaleanchor="x")
    return fig


def _add_slider(fig: go.Figure, names: Sequence[str], prefix: str, side: float, title: str) -> None:
    """A slider over the frames of a figure, and buttons that play them and pause."""
    still = {"mode": "immediate", "frame": {"duration": 0}, "transition": {"duration": 0}}
    steps = [
        {"method": "animate", "label": name, "args": [[str(k)], still]}
        for k, name in enumerate(names)
    ]
    play = {"frame": {"duration": 150}, "transition": {"duration": 0}, "fromcurrent": True}
    fig.update_layout(
        width=side + 30,
        height=side + 215,
        title_text=title,
        showlegend=False,
        margin={"l": 15, "r": 15, "t": 105, "b": 110},
        sliders=[
            {"steps": steps, "currentvalue": {"prefix": prefix}, "pad": {"t": 8}, "x": 0.3,
             "len": 0.7, "ticklen": 0, "minorticklen": 0, "font": {"size": 11}}
        ],
        updatemenus=[
            {"type": "buttons", "direction": "right", "x": 0, "xanchor": "left", "y": -0.02,
             "yanchor": "top", "pad": {"t": 14}, "showactive": False,
             "buttons": [{"label": "▶", "method": "animate", "args": [None, play]},
                         {"label": "❚❚", "method": "animate", "args": [[None], still]}]}
        ],
    )  # fmt: skip


def _grouping(color, n: int, typeid: np.ndarray, types: list[str]):
    """Split `color` into discrete groups [(name, indices, tint)] or continuous values."""
    if color is None:
        return [
            (types[t], np.flatnonzero(typeid == t), PALETTE[t % len(PALETTE)])
            for t in np.unique(typeid)
        ], None
    color = np.asarray(color)
    if color.shape != (n,):
        raise ValueError(
            f"color has shape {color.shape}; expected ({n},): give one value a particle."
        )
    if color.dtype.kind in "iubUSO":
        names = np.unique(color)
        out, k = [], 0
        for name in names:
            noise = color.dtype.kind in "iu" and name < 0
            tint = "rgba(127,127,127,0.35)" if noise else _tint(k)
            k += not noise
            out.append(("noise" if noise else str(name), np.flatnonzero(color == name), tint))
        return out, None
    if not np.isfinite(color).all():
        bad = int(np.flatnonzero(~np.isfinite(color))[0])
        raise ValueError(
            f"color is {color[bad]} for particle {bad}; expected finite numbers: "
            "drop or replace such values first."
        )
    return [], color.astype("float32")


def _tint(k: int) -> str:
    """The k-th group colour: the palette first, then hues spread by the golden angle."""
    if k < len(PALETTE) - 1:
        return PALETTE[k]
    return f"hsl({(k * 137.508) % 360:.0f},{55 + 15 * (k % 2)}%,{45 + 8 * (k % 3)}%)"


def _diameters(frame, diameter, typeid: np.ndarray, types: list[str]) -> np.ndarray:
    n = len(typeid)
    if diameter is None:
        own = frame.particles.diameter
        return np.ones(n) if own is None else np.asarray(own, float)
    if isinstance(diameter, Mapping):
        missing = [types[t] for t in np.unique(typeid) if types[t] not in diameter]
        if missing:
            raise ValueError(
                f"diameter lacks type {missing[0]!r}; expected one for each of {types}: add it."
            )
        return np.array([float(diameter[types[t]]) for t in typeid])
    diameter = np.asarray(diameter, float)
    if diameter.shape != (n,):
        raise ValueError(
            f"diameter has shape {diameter.shape}; expected ({n},) or a mapping by type."
        )
    return diameter


def _outline(fig: go.Figure, box: np.ndarray, flat: bool) -> None:
    """Draw the (possibly tilted) periodic box as lines and fix equal scales."""
    lx, ly, lz, xy, xz, yz = box
    a, b, c = np.array([lx, 0, 0]), np.array([xy * ly, ly, 0]), np.array([xz * lz, yz * lz, lz])
    line = {"mode": "lines", "showlegend": False, "hoverinfo": "skip"}
    pen = {"color": "rgba(127,127,127,0.9)", "width": 1.5}
    if flat:
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) - 0.5
        edge = corners[:, :1] * a[:2] + corners[:, 1:] * b[:2]
        fig.add_trace(go.Scatter(x=edge[:, 0], y=edge[:, 1], line=pen, **line))
        pad = 0.6
        hide = {"visible": False, "showgrid": False, "zeroline": False, "constrain": "domain"}
        fig.update_xaxes(range=[edge[:, 0].min() - pad, edge[:, 0].max() + pad], **hide)
        fig.update_yaxes(
            range=[edge[:, 1].min() - pad, edge[:, 1].max() + pad],
            scaleanchor="x",
            scaleratio=1,
            **hide,
        )
        return
    s = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) - 0.5
    corner = s[:, :1] * a + s[:, 1:2] * b + s[:, 2:] * c
    xyz: list[list[float | None]] = [[], [], []]
    for i in range(8):
        for j in range(i + 1, 8):
            if np.abs(s[i] - s[j]).sum() == 1:
                for axis in range(3):
                    xyz[axis] += [corner[i, axis], corner[j, axis], None]
    fig.add_trace(go.Scatter3d(x=xyz[0], y=xyz[1], z=xyz[2], line=pen, **line))
    hidden = {"visible": False}
    fig.update_layout(
        scene={"aspectmode": "data", "xaxis": hidden, "yaxis": hidden, "zaxis": hidden}
    )


# --------------------------------------------------------------------------- generic charts


def add_curve(
    fig: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    *,
    name: str,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    color: str | None = None,
    dash: str = "solid",
    mode: str = "lines+markers",
    row: int | None = None,
    col: int | None = None,
    showlegend: bool = True,
    legendgroup: str | None = None,
) -> go.Figure:
    """Add a curve, with a band between `low` and `high` if both are given.

    Parameters
    ----------
    fig : plotly.graph_objects.Figure
        Changed in place.
    x, y : (M,) array
    name : str
        Legend entry.
    low, high : (M,) array, optional
        Ends of the interval.
    color : str, optional
        A hexadecimal colour; the next of the palette by default.
    dash : str, optional
        Line pattern; use it as well as colour, so that curves differ in print.
    mode : str, optional
        plotly's ``mode``.
    row, col : int, optional
        Panel of a figure with several, from 1.
    showlegend : bool, optional
        False where another panel names the same curve.
    legendgroup : str, optional
        Curves switched on and off together; by default those of one name.

    Returns
    -------
    plotly.graph_objects.Figure
        The same figure.

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    x, y = np.asarray(x), np.asarray(y, float)
    for other, values in (("y", y), ("low", low), ("high", high)):
        if values is not None and len(values) != len(x):
            raise ValueError(
                f"{other} has {len(values)} values and x {len(x)}; expected the same number."
            )
    color = color or _next_color(fig)
    if low is not None and high is not None:
        r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
        fig.add_trace(
            go.Scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([np.asarray(high, float), np.asarray(low, float)[::-1]]),
                fill="toself",
                fillcolor=f"rgba({r},{g},{b},0.2)",
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=legendgroup or name,
                mode="lines",
            ),
            row=row,
            col=col,
        )
    fig.add_trace(
        go.Scatter(
            x=x,
            y=y,
            name=name,
            mode=mode,
            legendgroup=legendgroup or name,
            showlegend=showlegend,
            line={"color": color, "dash": dash, "width": 2},
            marker={"color": color, "size": 6},
        ),
        row=row,
        col=col,
    )
    return fig


def _next_color(fig: go.Figure) -> str:
    used = sum(1 for t in fig.data if t.showlegend is not False)
    return PALETTE[used % len(PALETTE)]


def add_ranges(
    fig: go.Figure,
    values: Mapping[str, Sequence[float]],
    *,
    name: str,
    color: str | None = None,
    symbol: str = "circle",
    row: int | None = None,
    col: int | None = None,
    showlegend: bool = True,
) -> go.Figure:
    """Add medians and whole ranges, line by line: several predictors held against one thing.

    Parameters
    ----------
    fig : plotly.graph_objects.Figure
        Changed in place: its y axis has categories, the first on top.
    values : mapping of str to floats
        Of each line, any number of values: of seeds, of configurations.
    name : str
        Legend entry.
    color, symbol : str, optional
    row, col : int, optional
        Panel.
    showlegend : bool

    Returns
    -------
    plotly.graph_objects.Figure
        The same figure.

    Raises
    ------
    ValueError
        For a line without values.
    """
    empty = [label for label, many in values.items() if len(many) == 0]
    if empty:
        raise ValueError(f"{empty[0]!r} has no values; expected one at least.")
    color = color or _next_color(fig)
    low, middle, high = (
        np.array([f(many) for many in values.values()], float) for f in (min, np.median, max)
    )
    fig.add_trace(
        go.Scatter(
            x=middle, y=list(values), name=name, mode="markers", showlegend=showlegend,
            marker={"color": color, "size": 9, "symbol": symbol},
            error_x={"array": high - middle, "arrayminus": middle - low, "thickness": 1},
        ), row=row, col=col,
    )  # fmt: skip
    fig.update_yaxes(type="category", autorange="reversed", row=row, col=col)
    return fig


def add_points(
    fig: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    *,
    name: str,
    error: np.ndarray | None = None,
    text: Sequence[str] | None = None,
    color: str | None = None,
    symbol: str = "circle",
) -> go.Figure:
    """Add points, with symmetric error bars if `error` is given.

    Parameters
    ----------
    fig : plotly.graph_objects.Figure
        Changed in place.
    x, y : (M,) array
    name : str
        Legend entry.
    error : (M,) array, optional
        Half-width of the interval of `y`.
    text : sequence of str, optional
        Said on hovering.
    color, symbol : str, optional

    Returns
    -------
    plotly.graph_objects.Figure
        The same figure.
    """
    color = color or _next_color(fig)
    fig.add_trace(
        go.Scatter(
            x=np.asarray(x),
            y=np.asarray(y, float),
            name=name,
            mode="markers",
            text=text,
            error_y=None if error is None else {"array": np.asarray(error, float), "width": 4},
            marker={"color": color, "size": 9, "symbol": symbol},
            showlegend=True,
        )
    )
    return fig
