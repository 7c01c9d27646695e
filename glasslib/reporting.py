"""Recorded numbers on their way out: ``data/results``, the README's table, ``data/README.md``."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from . import book, running

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
_TIME_UNITS = {"s", "min", "h"}


class StaleError(Exception):
    """A generated file no longer says what it is generated from."""


# --------------------------------------------------------------------------- data/results


def save_results(runs: list[running.Run], *, folder: Path | None = None) -> list[Path]:
    """Write ``data/results/<chapter>.json`` from runs at preset ``book``.

    A file is rewritten only if a page's code changed or a number moved by more than one part in a
    thousand, so that building on another machine does not touch version control for the last
    digits. Times (unit s, min or h) do not count as change.

    Parameters
    ----------
    runs : list of Run
        One a page.
    folder : path, optional
        Where instead of ``data/results``. Files that tell the reader what the committed ones do
        are copies of these.

    Returns
    -------
    list of pathlib.Path
        The files that were written or removed; with ``folder``, those that differ from the
        committed ones.
    """
    committed = book.root() / "data" / "results"
    folder = folder or committed
    chapters: dict[str, list[running.Run]] = {}
    order = {page: k for k, page in enumerate(running.pages())}
    for run in sorted(runs, key=lambda run: order.get(run.page, len(order))):  # not as they ended
        if run.results["records"]:
            chapters.setdefault(run.page.split("/")[0], []).append(run)
    written = []
    for chapter, members in chapters.items():
        content = {
            "chapter": chapter,
            "preset": "book",
            "made_by": "make book",
            "pages": [_page_entry(run) for run in members],
        }
        path, old = folder / f"{chapter}.json", _read(committed / f"{chapter}.json")
        if not _same(old, content):
            book.write_json(path, content)
            written.append(path)
        elif path.parent != committed and _read(path) != old:
            book.write_json(path, old)
    for path in folder.glob("*.json"):
        if path.stem not in chapters:
            path.unlink()
            written.append(path)
    return written


def _page_entry(run: running.Run) -> dict[str, Any]:
    _, path = running.find_page(run.page)
    kept = ("page", "parameters", "glasslib", "python", "packages")
    entry = {name: run.results[name] for name in kept}
    entry["source"] = running.source_digest(path)
    entry["records"] = run.results["records"]
    return entry


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _same(old: Any, new: dict[str, Any]) -> bool:
    """True if `old` tells the reader what `new` does."""
    try:
        if [p["page"] for p in old["pages"]] != [p["page"] for p in new["pages"]]:
            return False
        for a, b in zip(old["pages"], new["pages"]):
            if a["source"] != b["source"] or a["parameters"] != b["parameters"]:
                return False
            if len(a["records"]) != len(b["records"]):
                return False
            if not all(_same_record(x, y) for x, y in zip(a["records"], b["records"])):
                return False
    except (KeyError, TypeError):
        return False
    return True


def _same_record(a: dict[str, Any], b: dict[str, Any]) -> bool:
    if a.keys() != b.keys():
        return False
    for name, value in b.items():
        if isinstance(value, float) and isinstance(a[name], (int, float)):
            if b.get("unit") in _TIME_UNITS:
                continue
            scale = max(abs(b["here"]), abs(value), 1e-12)
            if not math.isclose(a[name], value, rel_tol=1e-3, abs_tol=1e-3 * scale):
                return False
        elif a[name] != value:
            return False
    return True


def check_results() -> None:
    """Compare ``data/results`` with the pages' present code.

    Raises
    ------
    StaleError
        Naming the first page whose code changed since its numbers were recorded.
    """
    recorded = {}
    for path in sorted((book.root() / "data" / "results").glob("*.json")):
        content = _read(path)
        if content is None:
            raise StaleError(f"{path.name} is not JSON; expected what make book writes: run it.")
        for page in content["pages"]:
            recorded[page["page"]] = page["source"]
    known = set(running.pages())
    for page, source in recorded.items():
        if page not in known:
            raise StaleError(
                f"data/results holds numbers of {page}, which is not in _toc.yml; run make "
                "book UPDATE=1."
            )
        _, path = running.find_page(page)
        if running.source_digest(path) != source:
            raise StaleError(
                f"data/results holds numbers from an older {page}; run make book UPDATE=1 and "
                "commit data/results."
            )
    for page in known - set(recorded):
        _, path = running.find_page(page)
        if "book.record(" in path.read_text(encoding="utf-8"):
            raise StaleError(
                f"data/results has no numbers of {page}, which records some; run make book "
                "UPDATE=1 and commit data/results."
            )


# --------------------------------------------------------------------------- README


def results_markdown() -> str:
    """The paper-against-ours tables as GitHub shows them: verdicts counted, then all by chapter.

    Rows without a paper's number and with verdict "new here" are counted and not listed.

    Returns
    -------
    str
    """
    chapters: dict[str, list[dict[str, Any]]] = {}
    for record in book.results():
        chapters.setdefault(record["chapter"], []).append(record)
    if not chapters:
        return "No paper's number has been compared yet."
    counted = [
        "| Chapter | " + " | ".join(book.VERDICTS) + " |",
        "|---" + "|---:" * len(book.VERDICTS) + "|",
    ]
    listed = []
    for chapter, records in chapters.items():
        title = _title(chapter)
        counts = [sum(r["verdict"] == v for r in records) for v in book.VERDICTS]
        counted.append(f"| {title} | " + " | ".join(str(n) if n else "–" for n in counts) + " |")
        rows = [
            _row(r) for r in records if r["verdict"] != "new here" or r.get("paper") is not None
        ]
        if rows:
            listed += [
                f"<details><summary>{title}: number by number</summary>", "",
                "| Exhibit | Quantity | Paper | Here | Interval | Verdict |",
                "|---|---|---|---|---|---|",
                *rows, "", "</details>", "",
            ]  # fmt: skip
    return "\n".join([*counted, "", *listed]).rstrip()


def _row(r: dict[str, Any]) -> str:
    unit = f" {r['unit']}" if r.get("unit") else ""
    cells = [
        r["exhibit"],
        r["quantity"],
        "–" if r.get("paper") is None else f"{book.number(r['paper'])}{unit}",
        f"{book.number(r['here'])}{unit}",
        book.interval(r),
        r["verdict"],
    ]
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _title(chapter: str) -> str:
    """The caption that ``_toc.yml`` has for a chapter's pages, such as "1 · Graph embeddings …"."""
    import yaml

    toc = yaml.safe_load((book.root() / "_toc.yml").read_text(encoding="utf-8"))
    for part in toc.get("parts", []):
        if any(f"notebooks/{chapter}/" in page.get("file", "") for page in part["chapters"]):
            return part["caption"]
    return chapter


def readme(*, check: bool = False) -> bool:
    """Bring the table in ``README.md`` up to date.

    Parameters
    ----------
    check : bool
        Change nothing; raise if it is stale.

    Returns
    -------
    bool
        True if the file was changed.

    Raises
    ------
    StaleError
        If `check` and the table is stale, or if the markers are missing.
    """
    return _between(book.root() / "README.md", results_markdown(), "glasslib readme", check)


def _between(path: Path, body: str, command: str, check: bool) -> bool:
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise StaleError(
            f"{path.name} lacks the lines {BEGIN} and {END}; expected each once: put them where "
            "the table belongs."
        )
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    wanted = f"{before}{BEGIN}\n{body}\n{END}{after}"
    if wanted == text:
        return False
    if check:
        raise StaleError(f"the table in {path.name} is stale; run: {command}")
    book.write_text(path, wanted)
    return True


# --------------------------------------------------------------------------- data/README.md


def data_markdown() -> str:
    """The table of data files: bytes, SHA-256, what made them.

    Returns
    -------
    str
    """
    root = book.root()
    lines = [
        "| File | Bytes | SHA-256 | Made by | Engine |",
        "|---|---:|---|---|---|",
    ]
    for path in sorted((root / "data").rglob("*")):
        relative = path.relative_to(root / "data")
        if not path.is_file() or relative.as_posix() == "README.md":
            continue
        if relative.parts[0] == "results" or any(
            p.startswith(".") or p.endswith(".parts") for p in relative.parts
        ):
            continue
        made, engine = _made_by(path, relative)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(
            f"| `{relative.as_posix()}` | {path.stat().st_size} | `{digest}` | {made} | {engine} |"
        )
    if len(lines) == 2:
        return "No data file has been produced yet."
    return "\n".join(lines)


def _made_by(path: Path, relative: Path) -> tuple[str, str]:
    number = relative.parts[0].split("-")[0]
    made = f"`make data CHAPTER={number}`" if number.isdigit() else "`make book`"
    if number == "7":
        made = "`make batch`, `glasslib gather`"
    found = _provenance(path)
    name, version = found.get("engine", ""), found.get("engine_version", found.get("version", ""))
    return made, f"{name} {version}".strip() or "–"


def _provenance(path: Path) -> dict[str, Any]:
    """Provenance stored in the last frame of a GSD file; empty for other files."""
    if path.suffix != ".gsd":
        return {}
    import gsd.hoomd

    from . import simulate

    with gsd.hoomd.open(path) as trajectory:
        return simulate.provenance(trajectory[-1]) if len(trajectory) else {}


def data_readme(*, check: bool = False) -> bool:
    """Bring the table in ``data/README.md`` up to date.

    Parameters
    ----------
    check : bool
        Change nothing; raise if it is stale.

    Returns
    -------
    bool
        True if the file was changed.

    Raises
    ------
    StaleError
        If `check` and the table is stale, or if the markers are missing.
    """
    path = book.root() / "data" / "README.md"
    return _between(path, data_markdown(), "glasslib data --readme", check)
