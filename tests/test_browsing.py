"""Tables that a reader sorts and filters: what reaches the page, and what is refused."""

import json
import re

import numpy as np
from oracles import refuses

from glasslib.book.browsing import Browsable

ROWS = [
    {"who": "line </script>", "state": "cold & slow", "r": np.float64(0.5)},
    {"who": "network", "state": "warm", "r": np.nan},
]


def test_all_rows_reach_the_page_and_nothing_else_is_run():
    table = Browsable(ROWS, filters={"state": "warm", "who": ""}, sort="r", caption="a < b")
    text = table._repr_html_()
    data = re.search(r"data = (\[\[.*?\]\]);", text)[1]
    assert json.loads(data) == [["line </script>", "cold & slow", 0.5], ["network", "warm", None]]
    assert text.count("</script>") == 1  # none inside the data closes it early
    assert "a &lt; b" in text
    assert "<option>cold &amp; slow</option><option selected>warm</option>" in text
    assert text.count("<select") == 2
    assert text.count("<th>") == 3


def test_numbers_are_called_as_the_script_calls_them():
    """JavaScript says 1 where Python says 1.0: a menu of the latter would find nothing."""
    text = Browsable([{"t": 1.0, "r": 0.5}, {"t": 0.01, "r": 1}], filters={"t": 1.0}, sort="r")
    assert "<option selected>1</option><option>0.01</option>" in text._repr_html_()


def test_two_tables_of_a_page_are_told_apart():
    names = [
        re.search(r'id="(gl-browsable-\d+)"', Browsable(ROWS, filters={}, sort="r")._repr_html_())[
            1
        ]
        for _ in range(2)
    ]
    assert names[0] != names[1]


def test_bad_input():
    refuses(lambda: Browsable([], filters={}, sort="r"), "no rows")
    refuses(lambda: Browsable(ROWS, filters={}, sort="x"), "'x'", "who")
    refuses(lambda: Browsable(ROWS, filters={"when": ""}, sort="r"), "'when'")
    refuses(lambda: Browsable([*ROWS, {"who": "a"}], filters={}, sort="r"), "row 2")
