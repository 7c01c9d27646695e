"""Records and other tables as the book shows them: HTML without scripts, or plain text."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any

VERDICTS: tuple[str, ...] = (
    "reproduces", "partly", "does not reproduce", "undecided", "not the same test", "new here",
)  # fmt: skip
MARKS = {
    "reproduces": "●", "partly": "◐", "does not reproduce": "○", "undecided": "◌",
    "not the same test": "≠", "new here": "◇",
}  # fmt: skip


def number(value: float | None, digits: int = 4) -> str:
    """A number as people write it: `digits` significant figures, a real minus sign, ``–`` for None.

    Examples
    --------
    >>> number(-3.93299), number(0.747), number(None), number(250000.0)
    ('−3.933', '0.747', '–', '250000')
    """
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e7:
        text = f"{int(value)}"
    elif 1e-3 <= abs(value) < 1e7:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:.{decimals}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return text.replace("-", "−")


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def interval(entry: dict[str, Any]) -> str:
    """``[low, high]`` of a record, or ``–``."""
    if entry.get("low") is None:
        return "–"
    return f"[{number(entry['low'])}, {number(entry['high'])}]"


def records_html(
    records: list[dict[str, Any]], *, caption: str, links: dict[str, str] | None = None
) -> str:
    """Records as one HTML table in a box that scrolls sideways on a narrow screen.

    Parameters
    ----------
    records : list of dict
        As :func:`record` stores them; with a ``page`` key a first column names the page.
    caption : str
        Said above the table and read aloud by screen readers.
    links : dict, optional
        Page name to address, to make the page names links.

    Returns
    -------
    str
        HTML without scripts; the verdict is given in words and a mark, never by colour alone.
    """
    esc = html.escape
    with_page = any("page" in r for r in records)
    heads = ["Exhibit", "Quantity", "Paper", "Here", "Interval", "Verdict"]
    if with_page:
        heads.insert(0, "Page")
    rows = []
    for r in records:
        cells = []
        if with_page:
            name = esc(r["page"].split("/")[-1])
            address = (links or {}).get(r["page"])
            cells.append(f'<td><a href="{esc(address)}">{name}</a></td>' if address
                         else f"<td>{name}</td>")  # fmt: skip
        note = f'<span class="gl-note">{esc(r["note"])}</span>' if r.get("note") else ""
        unit = f" {esc(r['unit'])}" if r.get("unit") else ""
        paper = f"{number(r['paper'])}{unit}" if r.get("paper") is not None else "–"
        slug = r["verdict"].replace(" ", "-")
        cells += [
            f"<td>{esc(r['exhibit'])}</td>",
            f'<th scope="row">{esc(r["quantity"])}{note}</th>',
            f'<td class="gl-num">{paper}</td>',
            f'<td class="gl-num">{number(r["here"])}{unit}</td>',
            f'<td class="gl-num">{interval(r)}</td>',
            f'<td class="gl-verdict gl-{slug}"><span aria-hidden="true">{MARKS[r["verdict"]]}'
            f"</span> {esc(r['verdict'])}</td>",
        ]
        rows.append("<tr>" + "".join(cells) + "</tr>")
    if not rows:
        rows.append(f'<tr><td colspan="{len(heads)}">Nothing recorded yet.</td></tr>')
    return _html_table(heads, rows, caption)


def _html_table(heads: Sequence[str], rows: Sequence[str], caption: str) -> str:
    """A table in a box that scrolls sideways; ``rows`` are ``<tr>`` elements."""
    head = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in heads)
    caption = html.escape(caption)
    return (
        f'<div class="gl-scroll" role="region" tabindex="0" aria-label="{caption}">'
        f'<table class="gl-table"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


class Table:
    """Any table in the book's style; shows itself in a notebook, reads as text elsewhere.

    Parameters
    ----------
    heads : sequence of str
    rows : sequence of sequences
        Cells, shown as ``str`` gives them, with minus signs for hyphens before numbers.
    caption : str
        Said above the table.
    """

    def __init__(
        self, heads: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str
    ) -> None:
        self.heads = [str(h) for h in heads]
        minus = re.compile(r"(?<!\w)-(?=\d)")
        self.rows = [[minus.sub("−", str(cell)) for cell in row] for row in rows]
        self.caption = caption
        for k, row in enumerate(self.rows):
            if len(row) != len(self.heads):
                raise ValueError(f"row {k} has {len(row)} cells; expected {len(self.heads)}.")

    def _repr_html_(self) -> str:
        rows = [
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>"
            for row in self.rows
        ]
        return _html_table(self.heads, rows, self.caption)

    def __repr__(self) -> str:
        table = [self.heads, *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.heads))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in table]
        return "\n".join([self.caption, *lines])


class Comparison:
    """The paper-against-ours table; shows itself in a notebook, reads as text elsewhere.

    Parameters
    ----------
    records : list of dict
        As :func:`record` stores them.
    caption : str
    links : dict, optional
        See :func:`records_html`.
    """

    def __init__(
        self,
        records: list[dict[str, Any]],
        *,
        caption: str,
        links: dict[str, str] | None = None,
    ) -> None:
        self.records = records
        self.caption = caption
        self.links = links

    def _repr_html_(self) -> str:
        return records_html(self.records, caption=self.caption, links=self.links)

    def __repr__(self) -> str:
        return records_text(self.records)


class Overview:
    """Records by paper and exhibit: how many came out how; shows itself as :class:`Comparison`.

    Parameters
    ----------
    records : list of dict
        As :func:`results` gives them; those without a counterpart in a paper are left out.
    caption : str
    links : dict, optional
        Page name to address.
    """

    def __init__(
        self,
        records: list[dict[str, Any]],
        *,
        caption: str,
        links: dict[str, str] | None = None,
    ) -> None:
        self.caption, self.links = caption, links or {}
        self.rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for r in records:
            if r["verdict"] != "new here":
                self.rows.setdefault((r["page"], r["exhibit"]), []).append(r)

    def _counts(self, rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
        verdicts = [r["verdict"] for r in rows]
        return [(v, verdicts.count(v)) for v in VERDICTS if v in verdicts]

    def _repr_html_(self) -> str:
        esc, lines = html.escape, []
        for (page, exhibit), rows in self.rows.items():
            words = []
            for name, n in self._counts(rows):
                slug, count = name.replace(" ", "-"), f"{n} × " if n > 1 else ""
                mark = f'<span aria-hidden="true">{MARKS[name]}</span>'
                words.append(f'<span class="gl-{slug}">{mark} {count}{esc(name)}</span>')
            address = self.links.get(page)
            name = esc(page)
            name = f'<a href="{esc(address)}">{name}</a>' if address else name
            lines.append(
                f'<tr><th scope="row">{esc(exhibit)}</th>'
                f'<td class="gl-verdict">{"<br>".join(words)}</td><td>{name}</td></tr>'
            )
        return _html_table(["Exhibit", "Verdict", "Page"], lines, self.caption)

    def __repr__(self) -> str:
        lines = [self.caption]
        for (page, exhibit), rows in self.rows.items():
            counts = ", ".join(f"{n} {name}" for name, n in self._counts(rows))
            lines.append(f"{exhibit}  {counts}  {page}")
        return "\n".join(lines)


def records_text(records: list[dict[str, Any]]) -> str:
    """Records as an aligned plain-text table, one line each."""
    heads = ["exhibit", "quantity", "paper", "here", "interval", "unit", "verdict"]
    rows = [
        [r["exhibit"], r["quantity"], number(r.get("paper")), number(r["here"]), interval(r),
         r.get("unit", ""), r["verdict"]]
        for r in records
    ]  # fmt: skip
    if not rows:
        return "nothing recorded yet"
    if any("page" in r for r in records):
        heads.insert(0, "page")
        for row, r in zip(rows, records, strict=True):
            row.insert(0, r.get("page", ""))
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in [heads, ["-" * w for w in widths], *rows]
    ]
    return "\n".join(lines)
