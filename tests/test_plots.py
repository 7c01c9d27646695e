"""Figures: scale, types, groups, refusals, and what the renderer emits."""

import gsd.hoomd
import numpy as np
import pytest

from glasslib import frames, plots


def frame(n=30, box=(6, 6, 0, 0, 0, 0)):
    rng = np.random.default_rng(0)
    made = gsd.hoomd.Frame()
    made.configuration.box = box
    made.particles.N = n
    made.particles.types = ["A", "B"]
    made.particles.typeid = np.arange(n) % 2
    made.particles.position = rng.uniform(-3, 3, (n, 3)) * (1, 1, box[2] > 0)
    return made


def test_disks_have_their_diameter_in_axis_units():
    fig = plots.snapshot(frame(), diameter={"A": 1.0, "B": 0.88})
    a, b, outline = fig.data
    assert set(a.marker.size) == {1.0}
    assert set(b.marker.size) == {0.88}
    assert a.marker.sizemode == "diameter"
    # marker.size / sizeref is in pixels: a disk of diameter L is as high as the plot
    inner = fig.layout.height - 48 - 56
    assert 6 / a.marker.sizeref == pytest.approx(inner)
    assert fig.layout.yaxis.scaleanchor == "x"
    assert outline.mode == "lines"
    assert fig.layout.meta["glasslib"] == "to-scale"


def test_floats_get_one_colour_bar_shared_by_types():
    values = np.linspace(-1, 2, 30)
    fig = plots.snapshot(frame(), color=values, label="energy / ε")
    a, b, _ = fig.data
    assert (a.marker.cmin, a.marker.cmax) == (b.marker.cmin, b.marker.cmax) == (-1, 2)
    assert [a.marker.showscale, b.marker.showscale] == [True, False]
    assert b.marker.line.width > a.marker.line.width
    assert sum(len(t.x) for t in fig.data[:2]) == 30


def test_groups_and_noise():
    fig = plots.snapshot(frame(), color=np.arange(30) % 4 - 1)
    assert [t.name for t in fig.data[:4]] == ["noise", "0", "1", "2"]
    assert "rgba" in fig.data[0].marker.color
    many = plots.snapshot(frame(), color=np.arange(30))
    assert len({t.marker.color for t in many.data[:-1]}) == 30
    assert many.layout.showlegend is False


def test_three_dimensions_use_webgl():
    fig = plots.snapshot(frame(box=(6, 6, 6, 0, 0, 0)))
    assert {t.type for t in fig.data} == {"scatter3d"}
    assert fig.layout.scene.aspectmode == "data"
    assert len(fig.data[-1].x) == 36  # twelve edges, each two ends and a gap


def test_tilted_box_outline():
    fig = plots.snapshot(frame(box=(6, 4, 0, 0.5, 0, 0)))
    assert list(fig.data[-1].x) == pytest.approx([-4, 2, 4, -2, -4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": np.ones(29)}, r"color has shape \(29,\); expected \(30,\)"),
        ({"color": np.full(30, np.nan)}, "color is nan for particle 0"),
        ({"diameter": {"A": 1.0}}, "diameter lacks type 'B'"),
        ({"diameter": np.ones(3)}, r"diameter has shape \(3,\)"),
    ],
)
def test_snapshot_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        plots.snapshot(frame(), **options)


def test_empty_frame():
    with pytest.raises(ValueError, match="frame has no particles"):
        plots.snapshot(frame(n=0))


def test_no_tex_in_labels():
    with pytest.raises(ValueError, match="holds TeX"):
        plots.figure(x="$r$")


def test_renderer_emits_data_and_html_without_scripts_from_elsewhere():
    fig = plots.add_curve(plots.figure(x="t"), np.arange(5.0), np.arange(5.0), name="a",
                          low=np.arange(5) - 1, high=np.arange(5) + 1)  # fmt: skip
    bundle = plots.BookRenderer().to_mimebundle(fig.to_dict())
    assert set(bundle) == {"application/vnd.plotly.v1+json", "text/html"}
    assert "http" not in bundle["text/html"]
    assert len(bundle["text/html"]) < 50_000
    assert len(bundle["application/vnd.plotly.v1+json"]["data"]) == 2


def test_curve_lengths_are_checked():
    with pytest.raises(ValueError, match="y has 2 values and x 3"):
        plots.add_curve(plots.figure(), np.arange(3), np.arange(2), name="a")


def test_ranges_show_median_and_ends_by_name():
    fig = plots.panels(["one", "two"])
    plots.add_ranges(fig, {"order": [0.1, 0.4, 0.3], "density": [0.2]}, name="disks", row=1, col=2)
    (dots,) = fig.data
    assert list(dots.y) == ["order", "density"]
    np.testing.assert_allclose(dots.x, [0.3, 0.2])
    np.testing.assert_allclose(dots.error_x.array, [0.1, 0.0])
    np.testing.assert_allclose(dots.error_x.arrayminus, [0.2, 0.0])
    assert fig.layout.yaxis2.autorange == "reversed"
    assert fig.layout.yaxis.autorange is None
    with pytest.raises(ValueError, match="'b' has no values"):
        plots.add_ranges(fig, {"a": [1.0], "b": []}, name="x")


def test_colours_differ_for_colour_blind_eyes():
    """Every pair of the palette differs in lightness or in the blue–yellow direction."""
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in plots.PALETTE]) / 255
    seen = np.c_[rgb @ (0.3, 0.59, 0.11), rgb @ (-0.5, -0.5, 1.0)]
    gap = np.linalg.norm(seen[:, None] - seen, axis=-1) + np.eye(len(seen))
    assert gap.min() > 0.05


# --------------------------------------------------------------------------------------- panels


def test_panels_share_a_legend_and_know_their_kind():
    fig = plots.panels(["one", "two"], x=["a", "b"], y="height", log_x=True)
    plots.add_curve(fig, [1, 10], [0, 1], name="up", row=1, col=1)
    plots.add_curve(fig, [1, 10], [1, 0], name="up", row=1, col=2, showlegend=False, low=[0, 0],
                    high=[2, 1])  # fmt: skip
    assert fig.layout.meta == {"glasslib": "panels", "y": "height"}
    assert [a.text for a in fig.layout.annotations] == ["one", "two"]
    assert (fig.layout.xaxis.title.text, fig.layout.xaxis2.title.text) == ("a", "b")
    assert fig.layout.xaxis.type == fig.layout.xaxis2.type == "log"
    assert [t.xaxis for t in fig.data] == ["x", "x2", "x2"]  # curve; band and curve
    assert [t.showlegend for t in fig.data] == [True, False, False]
    with pytest.raises(ValueError, match="no titles"):
        plots.panels([])


def test_slab_draws_the_cut_to_scale():
    made = frame(n=200, box=(6, 6, 6, 0, 0, 0))
    values = np.arange(200.0)
    fig = plots.slab(
        made, {"rank": values, "same": -values}, diameter={"A": 1.0, "B": 0.5}, thickness=2.0
    )
    inside = np.abs(made.particles.position[:, 2]) < 1.0
    assert len(fig.layout.shapes) == 2 * inside.sum()
    widths = {round(s.x1 - s.x0, 2) for s in fig.layout.shapes}
    assert widths <= {1.0, 0.5, 0.99, 1.01, 0.49, 0.51}
    first = fig.data[0]
    np.testing.assert_allclose(np.sort(first.marker.color), values[inside] / 199)
    for axis in ("yaxis", "yaxis2"):
        assert fig.layout[axis].scaleanchor == axis.replace("yaxis", "x")
    with pytest.raises(ValueError, match=r"expected \(200,\)"):
        plots.slab(made, {"short": values[:5]})
    part = plots.slab(made, {"x": values}, thickness=6.0, edge=2.0, limits=(50.0, 150.0))
    near = np.abs(made.particles.position[:, :2]).max(axis=1) < 1.0
    assert len(part.layout.shapes) == near.sum()
    expected = np.clip((values[near] - 50) / 100, 0, 1)
    np.testing.assert_allclose(np.sort(part.data[0].marker.color), np.sort(expected))
    assert tuple(part.layout.xaxis.range) == (-1.0, 1.0)
    with pytest.raises(ValueError, match=r"'holes' has no number for particle 3 \(1 such"):
        plots.slab(made, {"holes": np.where(np.arange(200) == 3, np.nan, values)})
    with pytest.raises(ValueError, match="thicker"):
        plots.slab(made, {"rank": values}, thickness=1e-9)


def test_a_trajectory_has_a_slider():
    """Disks keep their identity across the edge of the box; what is shown is where they are."""
    x = np.array([[0.0, 0], [1, 1], [8, 8]])
    first = frames.build(x, [20, 20], [0, 1, 0], dimensions=2)
    later = frames.build(x + [1.5, 0], [20, 20], [0, 1, 0], dimensions=2)
    over = frames.build([[-9.5, 0], [1, 1], [8, 8]], [20, 20], [0, 1, 0], dimensions=2)
    over.particles.image = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=np.int32)
    values = np.arange(9.0).reshape(3, 3)
    fig = plots.trajectory(
        [first, later, over], values, times=[0, 1, 2], edge=4.0, diameter={"A": 1.0, "B": 0.5}
    )
    assert [f.name for f in fig.frames] == ["0", "1", "2"]
    np.testing.assert_allclose(fig.data[0].x, [0, 1])
    np.testing.assert_allclose(fig.frames[1].data[0].x, [1.5, 2.5])
    np.testing.assert_allclose(fig.frames[2].data[0].x, [10.5, 1])
    np.testing.assert_allclose(fig.frames[2].data[0].marker.color, [6, 7])
    assert fig.data[0].marker.size[0] == pytest.approx(2 * fig.data[0].marker.size[1])
    assert len(fig.layout.sliders[0].steps) == 3
    play, pause = fig.layout.updatemenus[0].buttons
    assert play.args[0] is None  # all frames from here
    assert list(pause.args[0]) == [None]  # none: what is under way stops
    assert pause.args[1]["mode"] == "immediate"
    with pytest.raises(ValueError, match=r"values has shape \(3, 3\) and there are 2 times"):
        plots.trajectory([first, later, over], values, times=[0, 1])
    with pytest.raises(ValueError, match="no disk within a square of edge 0.0"):
        plots.trajectory([over], values[:1], times=[0], edge=0.0)
    values[1, 2] = np.nan
    with pytest.raises(ValueError, match="no number for particle 2"):
        plots.trajectory([first, later, over], values, times=[0, 1, 2])


def test_a_slider_changes_between_figures_of_one_make():
    frame = frames.build(
        np.random.default_rng(0).uniform(-3, 3, (40, 3)) * [1, 1, 0.1], 6.0, [0] * 40
    )
    cuts = [
        plots.slab(frame, {"still": np.arange(40.0), name: v})
        for name, v in (("early", np.arange(40.0)), ("late", -np.arange(40.0)))
    ]
    shown = len(cuts[0].layout.shapes) // 2
    colors = [[s.fillcolor for s in f.layout.shapes] for f in cuts]
    fig = plots.slide(cuts, ["1", "2"], prefix="t = ", active=1)
    (slider,) = fig.layout.sliders
    assert slider.active == 1
    assert [s.label for s in slider.steps] == ["1", "2"]
    for k, step in enumerate(slider.steps):
        changed = step.args[1]
        assert changed["annotations[1].text"] == ["early", "late"][k]
        assert "annotations[0].text" not in changed
        recoloured = {key: c for key, c in changed.items() if key.startswith("shapes")}
        assert 0 < len(recoloured) <= shown  # the panel that stands still is left alone
        for key, color in recoloured.items():
            assert color == colors[k][int(key.split("[")[1].split("]")[0])]
    curves = []
    for k in (1, 2):
        curve = plots.figure(x="x", y="y")
        curves.append(plots.add_curve(curve, [1, 2], [k, 2 * k], name="a"))
    steps = plots.slide(curves, ["a", "b"]).layout.sliders[0].steps
    assert [list(s.args[0]["y"][-1]) for s in steps] == [[1, 2], [2, 4]]
    with pytest.raises(ValueError, match="2 labels"):
        plots.slide(curves[:1], ["a", "b"])
    with pytest.raises(ValueError, match="of 2 makes"):
        plots.slide([curves[0], plots.figure(x="", y="")], ["a", "b"])


def test_states_have_a_slider_and_disks_to_scale():
    small = frames.build([[0, 0], [1, 1]], 4.0, [0, 1], dimensions=2)
    large = frames.build([[0, 0], [2, 2]], 8.0, [0, 1], dimensions=2)
    fig = plots.states(
        [small, large], [[1, 2], [3, 4]], names=["0.8", "0.2"], prefix="φ = ",
        diameter={"A": 1.0, "B": 0.5},
    )  # fmt: skip
    np.testing.assert_allclose(fig.data[0].x, [0, 0.25])
    np.testing.assert_allclose(fig.frames[1].data[0].x, [0, 0.25])
    sizes = [f.data[0].marker.size for f in fig.frames]
    np.testing.assert_allclose(sizes[0], 2 * np.array(sizes[1]), atol=0.02)
    assert sizes[0][0] == pytest.approx(2 * sizes[0][1], abs=0.02)
    assert (fig.data[0].marker.cmin, fig.data[0].marker.cmax) == (1, 4)
    assert [s.label for s in fig.layout.sliders[0].steps] == ["0.8", "0.2"]
    with pytest.raises(ValueError, match="expected as many in each"):
        plots.states([small, frames.subset(large, [0])], [[1, 2], [3]], names=["a", "b"])
    with pytest.raises(ValueError, match="there are 1 names"):
        plots.states([small, large], [[1, 2], [3, 4]], names=["a"])


def test_lines_across_a_panel_are_seen_in_the_light_and_in_the_dark():
    fig = plots.figure(x="t", y="r")
    fig.add_vline(0, line_width=1)
    assert fig.layout.shapes[0].line.color is None  # the template's
    (grey,) = {int(fig.layout.template.layout.shapedefaults.line.color[k:k + 2], 16)
               for k in (1, 3, 5)}  # fmt: skip
    assert 0x60 < grey < 0xA0
