"""What the papers claim, and the rule that judges each claim, written before the number is known.

Every chapter has ``notebooks/<chapter>/claims.yml``::

    fig4-trained:
      page: training        # the page that records it
      exhibit: Fig 4
      quantity: T_pred − T at a trained temperature, T = {T}
      says: accurately predicts the temperature of the input structures
      paper: 0.0            # its number, where it prints one
      rule: {within: [-0.02, 0.02]}
      unit: ε
      note: ours is the mean over test configurations

A page says ``book.record("fig4-trained", here, low, high, of={"T": 0.5})`` and nothing about
thresholds: what decides lies in one file, which is committed before the page is run. Where the
paper's test cannot be made here, ``same_test: false`` says so, and ``note`` why: whatever comes
out, the verdict is "not the same test".
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: kinds of rules, and how many numbers each takes
RULES = {"above": 1, "below": 1, "within": 2}
_KEYS = {
    "page", "exhibit", "quantity", "says", "paper", "rule", "partly", "unit", "note", "same_test",
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    Attributes
    ----------
    key : str
        Its name in ``claims.yml``.
    exhibit : str
        Where the paper makes it.
    quantity : str
        What is measured; ``{name}`` stands for what :meth:`about` fills in.
    rule : dict
        ``{"above": x}``, ``{"below": x}`` or ``{"within": [a, b]}``: where the paper is right.
    partly : dict or None
        A weaker rule, asked where the first fails.
    says : str
        The paper's words.
    paper : float or None
        The paper's number.
    page, unit, note : str
        ``page`` is the one of the chapter that records it.
    same_test : bool
        False where what is measured here cannot decide what the paper says: other data, another
        range. ``rule`` then is what would decide it.
    """

    key: str
    exhibit: str
    quantity: str
    rule: dict[str, Any]
    partly: dict[str, Any] | None = None
    says: str = ""
    paper: float | None = None
    unit: str = ""
    note: str = ""
    page: str = ""
    same_test: bool = True

    def about(self, of: Mapping[str, object]) -> str:
        """The quantity with its places filled in.

        Raises
        ------
        ValueError
            Where a place is left open, or a name has none.
        """
        try:
            text = self.quantity.format(**of)
        except KeyError as missing:
            raise ValueError(
                f"claim {self.key!r} is about {self.quantity!r} and {missing} is not given; pass "
                f"of={{{missing}: …}}."
            ) from None
        unused = [name for name in of if f"{{{name}" not in self.quantity]
        if unused:
            raise ValueError(f"claim {self.key!r} has no place for {', '.join(unused)}.")
        return text

    def judge(self, low: float, high: float) -> str:
        """Verdict from the interval of what was measured.

        "reproduces" where the whole interval lies where the rule says, "does not reproduce" where
        none of it does, "partly" where only the weaker rule holds, "undecided" otherwise, or where
        an end is NaN; "not the same test" where the claim says so, whatever was measured.
        """
        if not self.same_test:
            return "not the same test"
        first = _side(self.rule, low, high)
        if first == "reproduces" or self.partly is None:
            return first
        return "partly" if _side(self.partly, low, high) == "reproduces" else first


def _side(rule: Mapping[str, Any], low: float, high: float) -> str:
    ((kind, bound),) = rule.items()
    if math.isnan(low) or math.isnan(high):
        return "undecided"
    a, b = {
        "above": lambda: (bound, math.inf), "below": lambda: (-math.inf, bound),
        "within": lambda: tuple(bound),
    }[kind]()  # fmt: skip
    if a <= low and high <= b:
        return "reproduces"
    return "does not reproduce" if high < a or low > b else "undecided"


def load(path: Path) -> dict[str, Claim]:
    """Claims of a chapter, by key.

    Parameters
    ----------
    path : pathlib.Path
        ``claims.yml``.

    Raises
    ------
    ValueError
        For a file that is not such a table: one line that names the claim and what is wrong.
    """
    import yaml

    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(table, dict):
        raise ValueError(f"{path} holds {type(table).__name__}; expected claims by key.")
    found = {}
    for key, entry in table.items():
        where = f"{path.parent.name}/{path.name}: claim {key!r}"
        if not isinstance(entry, dict):
            raise ValueError(f"{where} is {entry!r}; expected exhibit, quantity and rule.")
        if wrong := sorted(set(entry) - _KEYS):
            near = difflib.get_close_matches(wrong[0], _KEYS, n=1)
            raise ValueError(
                f"{where} has the entry {wrong[0]!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; known: {sorted(_KEYS)}.")
            )
        if missing := [k for k in ("exhibit", "quantity", "rule") if not entry.get(k)]:
            raise ValueError(f"{where} lacks {missing[0]}; every claim has one.")
        for name in ("rule", "partly"):
            if entry.get(name) is not None:
                _check_rule(entry[name], f"{where}: {name}")
        same = entry.get("same_test", True)
        if not isinstance(same, bool) or not (same or entry.get("note")):
            raise ValueError(
                f"{where}: same_test is {same!r}; expected false with a note that says why, or "
                "leave it out."
            )
        found[str(key)] = Claim(key=str(key), **entry)
    return found


def _check_rule(rule: object, where: str) -> None:
    """A rule that every number can break."""
    if not isinstance(rule, dict) or len(rule) != 1 or next(iter(rule)) not in RULES:
        raise ValueError(f"{where} is {rule!r}; expected one of {', '.join(RULES)}: its bound.")
    ((kind, bound),) = rule.items()
    bounds = bound if isinstance(bound, list) else [bound]
    numbers = all(
        isinstance(b, (int, float)) and not isinstance(b, bool) and math.isfinite(b)
        for b in bounds
    )  # fmt: skip
    if not numbers or len(bounds) != RULES[kind] or bounds != sorted(bounds):
        raise ValueError(
            f"{where} is {rule!r}; expected {RULES[kind]} finite number(s), ascending."
        )
