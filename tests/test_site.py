"""What a page of the built site loads: nothing that it does not use."""

import gzip
import re

import numpy as np

from glasslib import book
from glasslib.book import browser, building, cover

HEAD = """<link href="_static/vendor/fontawesome/6.5.2/css/all.min.css?digest=d" rel="stylesheet" />
<link rel="preload" as="font" type="font/woff2" href="_static/fontawesome/fa-solid-900.woff2" />
<link rel="preload" as="font" type="font/woff2" href="_static/fontawesome/fa-brands-400.woff2" />
<script src="_static/vendor/fontawesome/6.5.2/js/all.min.js?digest=d"></script>
<script>const THEBE_JS_URL = "https://unpkg.com/thebe"; const thebe_selector = ".cell"</script>
<script async="async" src="_static/sphinx-thebe.js?v=1"></script>
<script>const THEBE_JS_URL = "https://unpkg.com/thebe"; const thebe_selector = ".cell"</script>
<script src="_static/../vendor/plotly.min.js?v=ab5aad05"></script>
<script src="_static/theme.js?v=1"></script>
"""


def test_a_page_keeps_what_it_uses_and_no_more():
    light = building.lighten(HEAD + "<p>plotly.min.js</p>")
    assert light.splitlines() == [
        *HEAD.splitlines()[:2], HEAD.splitlines()[-1], "<p>plotly.min.js</p>",
    ]  # fmt: skip
    assert building.lighten(light) == light
    with_plot = building.lighten(HEAD + '<div class="plotly-graph-div"></div>')
    assert HEAD.splitlines()[-2] in with_plot
    assert "THEBE" not in with_plot
    assert "unpkg" not in with_plot


def test_weight_is_what_a_server_sends(tmp_path):
    (tmp_path / "_static").mkdir()
    text, noise = b"a" * 5000, bytes(range(256)) * 2
    (tmp_path / "_static" / "a.css").write_bytes(text)
    (tmp_path / "icons.woff2").write_bytes(gzip.compress(noise))
    assert browser.weigh(tmp_path, "/_static/a.css?v=1") == len(gzip.compress(text))
    assert browser.weigh(tmp_path, "/icons.woff2") == len(gzip.compress(noise))
    assert browser.weigh(tmp_path, "/nowhere.js") == 0
    assert browser._judge_weight(999_999, False) == []
    assert "1.5 MB; 1 allowed without plots" in browser._judge_weight(1_500_000, False)[0]
    assert browser._judge_weight(1_500_000, True) == []
    assert "with plots" in browser._judge_weight(3_500_000, True)[0]


def test_the_cover_shows_the_same_disks_twice():
    pictures = cover.draw_cover(book.data_root())
    still, moved = pictures["cover-still.svg"], pictures["cover-motion.svg"]
    places = [re.findall(r'cx="[^"]+" cy="[^"]+" r="[^"]+"', p) for p in (still, moved)]
    assert places[0] == places[1]
    assert 2000 <= len(places[0]) < 2300  # those on the border twice
    colours = {p: len(set(re.findall(r'fill="([^"]+)"', p))) for p in (still, moved)}
    assert colours[still] == 1
    assert colours[moved] > 100
    assert cover.draw_cover(book.root() / "notebooks") == {}


def test_ranks_are_within_a_species():
    values, kinds = np.array([5.0, 1.0, 3.0, 9.0, 7.0]), np.array([0, 0, 0, 1, 1])
    np.testing.assert_allclose(cover.rank_within(values, kinds), [1, 0, 0.5, 1, 0])
