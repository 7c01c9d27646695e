"""The records of a page, and of the whole book, as tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from glasslib.book.page import STATE
from glasslib.book.tables import MARKS, Comparison, Table, number
from glasslib.places import results_folder


def results() -> list[dict[str, Any]]:
    """Every committed record of the book: ``data/results/<chapter>.json`` gathered.

    Returns
    -------
    list of dict
        The keys of :func:`record` and ``chapter`` and ``page``; in the book's order.

    Raises
    ------
    ValueError
        If a file is not what ``make book`` writes.
    """
    gathered = []
    for path in sorted(results_folder().glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            for page in content["pages"]:
                for entry in page["records"]:
                    gathered.append({"chapter": content["chapter"], "page": page["page"], **entry})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not a results file ({error!r}); expected what 'make book' writes: "
                "delete it and run 'make book'."
            ) from error
    return gathered


def comparison(caption: str = "The paper's numbers and ours", *, new: bool = True) -> Comparison:
    """This page's records as a table; put it last in a cell.

    Parameters
    ----------
    caption : str, optional
        Said above the table.
    new : bool
        Also what has no counterpart in the paper; without, the caption says how much that is and
        where it stands.

    Returns
    -------
    Comparison
    """
    records = [dict(r) for r in STATE["records"]]
    if new:
        return Comparison(records, caption=caption)
    tests = [r for r in records if r["verdict"] != "new here"]
    if len(tests) < len(records):
        rest = len(records) - len(tests)
        caption += f" ({rest} more without a counterpart in the paper: see Results)"
    return Comparison(tests, caption=caption)


def scorecard(
    columns: Sequence[str],
    *,
    by: str = "system",
    words: Mapping[str, str] | None = None,
    caption: str = "What tests the paper",
) -> Table:
    """This page's judged records, a claim a row and one of several systems a column.

    Parameters
    ----------
    columns : sequence of str
        What ``by`` was filled with in :func:`record`'s ``of``.
    by : str
        A place in the quantities of the claims.
    words : mapping, optional
        For places that differ from column to column, what the row says instead:
        ``{"state": "the deepest state"}``.
    caption : str

    Returns
    -------
    Table
        Value, interval and verdict in each cell; records "new here" are left out, and counted in
        the caption.
    """
    words, rows = {"state": "", **(words or {})}, {}
    for entry in STATE["records"]:
        claim = STATE["claims"].get(entry.get("claim", ""))
        if claim is None or entry["verdict"] == "new here":
            continue
        places = _read_places(claim.quantity, entry["quantity"])
        label = claim.quantity.format(**places | {k: v for k, v in words.items() if k in places}
                                      | ({by: ""} if by in places else {}))  # fmt: skip
        label = re.sub(r"\s+", " ", label).strip(" ,:").lstrip(", :")
        ends = (
            ""
            if entry["low"] is None
            else f" [{number(entry['low'], 2)}, {number(entry['high'], 2)}]"
        )
        told = f"{number(entry['here'], 2)}{ends} {MARKS[entry['verdict']]} {entry['verdict']}"
        rows.setdefault((claim.exhibit, label), {})[places.get(by, "")] = told
    rest = sum(e["verdict"] == "new here" for e in STATE["records"])
    if rest:
        caption += f" ({rest} more rows without a verdict: see Results)"
    return Table(
        ["exhibit", "claim", *columns],
        [[*key, *(cells.get(c, "–") for c in columns)] for key, cells in rows.items()],
        caption=caption,
    )


def _read_places(template: str, text: str) -> dict[str, str]:
    """What fills the places ``{name}`` of a claim's quantity, read back from a record's."""
    pattern = "".join(
        f"(?P<{part[1:-1]}>.+?)" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{\w+\})", template)
    )
    found = re.fullmatch(pattern, text)
    return found.groupdict() if found else {}
