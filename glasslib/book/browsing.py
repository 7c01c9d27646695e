"""A long table that a reader sorts and filters in the page, without any network."""

from __future__ import annotations

import html
import itertools
import json
import math
from collections.abc import Mapping, Sequence

_NUMBER = itertools.count()

_SCRIPT = """
(function () {
  const root = document.getElementById("%s"), data = %s;
  const body = root.querySelector("tbody"), count = root.querySelector(".gl-count");
  const picks = [...root.querySelectorAll("select")];
  let by = %d, down = true;
  function show() {
    const fits = (r, p) => !p.value || String(r[p.dataset.column]) === p.value;
    const rows = data.filter(r => picks.every(p => fits(r, p)));
    rows.sort((a, b) => {
      const x = a[by], y = b[by];
      if (x === null || y === null) return (x === null) - (y === null);
      return (x > y ? 1 : x < y ? -1 : 0) * (down ? -1 : 1);
    });
    body.replaceChildren(...rows.slice(0, %d).map(r => {
      const line = document.createElement("tr");
      for (const v of r) {
        const cell = document.createElement("td");
        cell.textContent = v === null ? "–" : v;
        if (typeof v === "number") cell.className = "gl-num";
        line.append(cell);
      }
      return line;
    }));
    count.textContent = rows.length + " rows" + (rows.length > %d ? ", the first %d shown" : "");
    root.querySelectorAll("th").forEach((h, k) =>
      h.setAttribute("aria-sort", k === by ? (down ? "descending" : "ascending") : "none"));
  }
  root.querySelectorAll("th button").forEach((b, k) => b.addEventListener("click", () => {
    down = by === k ? !down : true; by = k; show();
  }));
  picks.forEach(p => p.addEventListener("change", show));
  show();
})();
"""


class Browsable:
    """A table for a page: sorted by a click on a head, filtered by menus.

    Parameters
    ----------
    rows : sequence of dict
        With the same keys, which are the heads; text, numbers or None. NaN becomes None.
    filters : dict
        Column to the value that its menu shows at first; "" for all.
    sort : str
        Column that is sorted at first, the largest on top.
    caption : str
    shown : int
        Rows that are drawn at most.

    Raises
    ------
    ValueError
        Without rows, for rows with other keys, or a column that is not there.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, object]],
        *,
        filters: Mapping[str, object],
        sort: str,
        caption: str = "",
        shown: int = 30,
    ) -> None:
        if not rows:
            raise ValueError("no rows; expected one at least.")
        self.heads = list(rows[0])
        for k, row in enumerate(rows):
            if list(row) != self.heads:
                raise ValueError(f"row {k} has {list(row)}; expected {self.heads}, as the first.")
        for name in (sort, *filters):
            if name not in self.heads:
                raise ValueError(f"there is no column {name!r}; expected one of {self.heads}.")
        self.rows = [[_plain(v) for v in row.values()] for row in rows]
        self.filters, self.sort, self.caption, self.shown = dict(filters), sort, caption, shown

    def _repr_html_(self) -> str:
        name = f"gl-browsable-{next(_NUMBER)}"
        menus = "".join(self._menu(column, first) for column, first in self.filters.items())
        heads = "".join(f"<th><button>{html.escape(h)}</button></th>" for h in self.heads)
        data = json.dumps(self.rows, ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
        script = _SCRIPT % (
            name, data, self.heads.index(self.sort), self.shown, self.shown, self.shown,
        )  # fmt: skip
        return (
            f'<div class="gl-browsable" id="{name}"><p>{menus} <span class="gl-count"></span></p>'
            '<div class="gl-scroll" tabindex="0"><table class="gl-table">'
            f"<caption>{html.escape(self.caption)}</caption>"
            f"<thead><tr>{heads}</tr></thead><tbody></tbody></table></div>"
            f"<script>{script}</script></div>"
        )

    def _menu(self, column: str, first: object) -> str:
        k = self.heads.index(column)
        options = "".join(
            f"<option{' selected' if v == _say(first) else ''}>{html.escape(v)}</option>"
            for v in dict.fromkeys(_say(row[k]) for row in self.rows)
        )
        label = html.escape(column)
        return (
            f'<label>{label} <select data-column="{k}"><option value="">all</option>{options}'
            "</select></label> "
        )

    def __repr__(self) -> str:
        return f"{self.caption}: {len(self.rows)} rows of {', '.join(self.heads)}"


def _say(value: object) -> str:
    """As the page's script says it: 1 for 1.0."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> object:
    if value is None or isinstance(value, (str, int, bool)):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
