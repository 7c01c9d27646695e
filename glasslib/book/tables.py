"""Records and other tables as the book shows them: HTML without scripts, or plain text."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from glasslib.places import root

VERDICTS: tuple[str, ...] = (
    "reproduces", "partly", "does not reproduce", "undecided", "not the same test", "new here",
)  # fmt: skip
MARKS = {
    "reproduces": "●", "partly": "◐", "does not reproduce": "○", "undecided": "◌",
    "not the same test": "≠", "new here": "◇",
}  # fmt: skip


#: rows of a table that a page shows at once; the others are folded
MOST_ROWS = 8


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


def say(value: float, low: float, high: float, form: str = ".2f") -> str:
    """A number with its interval, or a word that there were too few to give one.

    Parameters
    ----------
    value, low, high : float
        Ends of NaN, or both equal to the value: a single run, which has no interval.
    form : str
        Format of each number.

    Returns
    -------
    str

    Examples
    --------
    >>> say(0.239, 0.208, 0.269), say(0.009, 0.009, 0.009, "+.3f")
    ('0.24 [0.21, 0.27]', '+0.009 (too few for an interval)')
    """
    if low == value == high or math.isnan(low) or math.isnan(high):
        return f"{value:{form}} (too few for an interval)"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def records_html(
    records: list[dict[str, Any]],
    *,
    caption: str,
    links: dict[str, str] | None = None,
    most: int | None = None,
) -> str:
    """Records as one HTML table; on a narrow screen a card each, with its verdict on top.

    Parameters
    ----------
    records : list of dict
        As :func:`record` stores them; with a ``page`` key a first column names the page.
    caption : str
        Said above the table and read aloud by screen readers.
    links : dict, optional
        Page name to address, to make the page names links.
    most : int, optional
        Rows that are shown at once; the others are folded. All by default.

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
            name = f'<a href="{esc(address)}">{name}</a>' if address else name
            cells.append(f'<td class="gl-page">{name}</td>')
        note = f'<span class="gl-note">{esc(r["note"])}</span>' if r.get("note") else ""
        unit = f" {esc(r['unit'])}" if r.get("unit") else ""
        paper = f"{number(r['paper'])}{unit}" if r.get("paper") is not None else "–"
        slug = r["verdict"].replace(" ", "-")
        cells += [
            f'<td class="gl-exhibit">{esc(r["exhibit"])}</td>',
            f'<th scope="row">{esc(r["quantity"])}{note}</th>',
            f'<td class="gl-num" data-head="Paper">{paper}</td>',
            f'<td class="gl-num" data-head="Here">{number(r["here"])}{unit}</td>',
            f'<td class="gl-num" data-head="Interval">{interval(r)}</td>',
            f'<td class="gl-verdict gl-{slug}"><span aria-hidden="true">{MARKS[r["verdict"]]}'
            f"</span> {esc(r['verdict'])}</td>",
        ]
        rows.append("<tr>" + "".join(cells) + "</tr>")
    if not rows:
        rows.append(f'<tr><td colspan="{len(heads)}">Nothing recorded yet.</td></tr>')
    return _html_table(heads, rows, caption, most=most, kind=" gl-cards")


def _html_table(
    heads: Sequence[str],
    rows: Sequence[str],
    caption: str,
    *,
    most: int | None = None,
    kind: str = "",
) -> str:
    """A table in a box that scrolls sideways; ``rows`` are ``<tr>`` elements.

    What is over ``most`` rows is folded, in a table of its own.
    """
    if most is not None and len(rows) > most:
        rest = _html_table(heads, rows[most:], "", kind=kind)
        more = len(rows) - most
        return (
            _html_table(heads, rows[:most], caption, kind=kind)
            + f'<details class="gl-fold"><summary>{more} more row{"s" * (more > 1)}</summary>'
            f"{rest}</details>"
        )
    head = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in heads)
    caption = html.escape(caption)
    title = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="gl-scroll" role="region" tabindex="0" aria-label="{caption or "more rows"}">'
        f'<table class="gl-table{kind}">{title}<thead><tr>{head}</tr></thead>'
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
    most : int, optional
        Rows that a page shows at once, the others being folded; None for all.
    """

    def __init__(
        self,
        heads: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        caption: str,
        most: int | None = MOST_ROWS,
    ) -> None:
        self.most = most
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
        return _html_table(self.heads, rows, self.caption, most=self.most)

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
    links, most : optional
        See :func:`records_html`.
    """

    def __init__(
        self,
        records: list[dict[str, Any]],
        *,
        caption: str,
        links: dict[str, str] | None = None,
        most: int | None = None,
    ) -> None:
        self.records = records
        self.caption = caption
        self.links = links
        self.most = most

    def _repr_html_(self) -> str:
        return records_html(self.records, caption=self.caption, links=self.links, most=self.most)

    def __repr__(self) -> str:
        return records_text(self.records)


class Overview:
    """The main claims of the papers, a claim a row; shows itself as :class:`Comparison` does.

    What is a main claim says its ``claims.yml`` (``headline: true``).

    Parameters
    ----------
    records : list of dict
        As :func:`results` gives them; those of no main claim are left out.
    caption : str
    links : dict, optional
        Page name to address.
    claims : mapping, optional
        Page name to its claims by key; read from the chapters' ``claims.yml`` by default.
    """

    def __init__(
        self,
        records: list[dict[str, Any]],
        *,
        caption: str,
        links: dict[str, str] | None = None,
        claims: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.caption, self.links = caption, links or {}
        if claims is None:
            from glasslib.book.claims import load_page

            claims = {page: load_page(page) for page in dict.fromkeys(r["page"] for r in records)}
        self.rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for r in records:
            claim = claims[r["page"]].get(r.get("claim", ""))
            if claim is not None and claim.headline:
                self.rows.setdefault((r["page"], r["claim"]), []).append(r)

    def _counts(self, rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
        verdicts = [r["verdict"] for r in rows]
        return [(v, verdicts.count(v)) for v in VERDICTS if v in verdicts]

    def _repr_html_(self) -> str:
        esc, lines, before = html.escape, [], None
        for (page, _), rows in self.rows.items():
            if before != (before := rows[0].get("chapter", "")):
                title = esc(_title_chapter(before))
                lines.append(f'<tr><th colspan="2" scope="rowgroup"><b>{title}</b></th></tr>')
            words = []
            for name, n in self._counts(rows):
                slug, count = name.replace(" ", "-"), f"{n} × " if n > 1 else ""
                mark = f'<span aria-hidden="true">{MARKS[name]}</span>'
                words.append(f'<span class="gl-{slug}">{mark} {count}{esc(name)}</span>')
            exhibit, address = esc(rows[0]["exhibit"]), self.links.get(page)
            if address:
                exhibit = f'<a href="{esc(address)}#scorecard">{exhibit}</a>'
            found = "".join(f'<span class="gl-note">{esc(_say_row(r))}</span>' for r in rows)
            if len(rows) > 2:
                found = f"<details><summary>{len(rows)} numbers</summary>{found}</details>"
            lines.append(
                f'<tr><th scope="row">{exhibit}: “{esc(rows[0].get("says", ""))}”{found}</th>'
                f'<td class="gl-verdict">{"<br>".join(words)}</td></tr>'
            )
        return _html_table(["The paper says, and what came out", "Verdict"], lines, self.caption)

    def __repr__(self) -> str:
        lines = [self.caption]
        for (page, _), rows in self.rows.items():
            counts = ", ".join(f"{n} {name}" for name, n in self._counts(rows))
            lines.append(f"{rows[0]['exhibit']}: {rows[0].get('says', '')}  {counts}  {page}")
        return "\n".join(lines)


def _title_chapter(chapter: str) -> str:
    """What the table of contents calls a chapter; its folder where it is not there."""
    import yaml

    contents = yaml.safe_load((root() / "_toc.yml").read_text(encoding="utf-8"))
    for part in contents.get("parts", []):
        if any(c.get("file", "").startswith(f"notebooks/{chapter}/") for c in part["chapters"]):
            return part.get("caption", chapter)
    return chapter


def _say_row(entry: Mapping[str, Any]) -> str:
    """One record in a line: quantity, value, interval, the paper's number where it prints one."""
    unit = f" {entry['unit']}" if entry.get("unit") else ""
    ends = "" if entry.get("low") is None else f" {interval(entry)}"
    paper = "" if entry.get("paper") is None else f"; the paper: {number(entry['paper'])}{unit}"
    return f"{entry['quantity']}: {number(entry['here'], 3)}{unit}{ends}{paper}"


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
