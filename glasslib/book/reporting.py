"""What is generated: ``data/results``, the README's table, ``data/README.md``, ``SHA256SUMS``."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import math
from pathlib import Path
from typing import Any

from glasslib import book
from glasslib.book import keys, notebooks, running

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
    runs : list of glasslib.book.running.Run
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
    order = {page: k for k, page in enumerate(notebooks.list_pages())}
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
    _, path = notebooks.find_page(run.page)
    kept = ("page", "parameters", "glasslib", "python", "packages")
    entry = {name: run.results[name] for name in kept}
    entry["source"] = keys.source_digest(path)
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
    known = set(notebooks.list_pages())
    for page, source in recorded.items():
        if page not in known:
            raise StaleError(
                f"data/results holds numbers of {page}, which is not in _toc.yml; run make "
                "book UPDATE=1."
            )
        _, path = notebooks.find_page(page)
        if keys.source_digest(path) != source:
            raise StaleError(
                f"data/results holds numbers from an older {page}; run make book UPDATE=1 and "
                "commit data/results."
            )
    for page in known - set(recorded):
        _, path = notebooks.find_page(page)
        if "book.record(" in path.read_text(encoding="utf-8"):
            raise StaleError(
                f"data/results has no numbers of {page}, which records some; run make book "
                "UPDATE=1 and commit data/results."
            )


# --------------------------------------------------------------------------- README


def results_markdown() -> str:
    """How many verdicts of each kind every chapter has; number by number they are on *Results*.

    Returns
    -------
    str
    """
    chapters: dict[str, list[dict[str, Any]]] = {}
    for record in book.results():
        chapters.setdefault(record["chapter"], []).append(record)
    if not chapters:
        return "No paper's number has been compared yet."
    lines = [
        "| Chapter | " + " | ".join(book.VERDICTS) + " |",
        "|---" + "|---:" * len(book.VERDICTS) + "|",
    ]
    for chapter, records in chapters.items():
        counts = [sum(r["verdict"] == v for r in records) for v in book.VERDICTS]
        cells = " | ".join(str(n) if n else "–" for n in counts)
        lines.append(f"| {_title(chapter)} | {cells} |")
    return "\n".join(lines)


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


# --------------------------------------------------------------------------- data


def data_files() -> list[Path]:
    """Finished data files of the book: what ``data/SHA256SUMS`` lists.

    Work in progress (hidden, or below ``*.parts``), ``data/results`` and the files that describe
    the folder are left out.

    Returns
    -------
    list of pathlib.Path
        Sorted, relative to ``data``.
    """
    root = book.root() / "data"
    found = (path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file())
    return [
        path
        for path in found
        if len(path.parts) > 1
        and path.parts[0] != "results"
        and not any(part.startswith(".") or part.endswith(".parts") for part in path.parts)
    ]


def checksums() -> str:
    """What ``data/SHA256SUMS`` has to say, a line a file, as ``sha256sum -c`` reads it.

    Returns
    -------
    str
    """
    root = book.root() / "data"
    lines = []
    for path in data_files():
        with (root / path).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        lines.append(f"{digest}  {path.as_posix()}\n")
    return "".join(lines)


def data_markdown(*, check: bool = False) -> str:
    """The table of data files: what they are, which page made them, how many, how large.

    Rows come from ``data/contents.yml``: ``files``, a pattern below ``data``; ``what``; ``page``.
    A file belongs to the first pattern that matches it.

    Parameters
    ----------
    check : bool
        Raise for a file that no pattern matches, which otherwise gets a row of its own.

    Returns
    -------
    str

    Raises
    ------
    StaleError
        If `check` and a file is not described, or a description fits no file.
    """
    import yaml

    root = book.root() / "data"
    rows = yaml.safe_load((root / "contents.yml").read_text(encoding="utf-8")) or []
    for row in rows:
        if set(row) != {"files", "page", "what"}:
            raise StaleError(f"data/contents.yml says {row}; expected files, page and what.")
    sizes: dict[str, list[int]] = {row["files"]: [] for row in rows}
    for path in data_files():
        name = path.as_posix()
        pattern = next((p for p in sizes if fnmatch.fnmatchcase(name, p)), None)
        if pattern is None:
            if check:
                raise StaleError(
                    f"data/{name} fits no line of data/contents.yml; say there what it is, then "
                    "run: glasslib data --readme"
                )
            rows.append({"files": name, "what": "not described yet", "page": "–"})
            pattern = name
        sizes.setdefault(pattern, []).append((root / path).stat().st_size)
    if check and (idle := next((p for p, found in sizes.items() if not found), None)):
        raise StaleError(f"data/contents.yml describes {idle}, and no file fits; take it out.")
    if not any(sizes.values()):
        return "No data file has been produced yet."
    lines = ["| Files | What | Page | Number | Size |", "|---|---|---|---:|---:|"]
    for row in rows:
        if found := sizes[row["files"]]:
            lines.append(
                f"| `{row['files']}` | {row['what']} | {row['page']} | {len(found)} "
                f"| {_size(sum(found))} |"
            )
    every = [size for found in sizes.values() for size in found]
    lines.append(f"| all | | | {len(every)} | {_size(sum(every))} |")
    return "\n".join(lines)


def _size(n: int) -> str:
    return f"{n / 1e6:.1f} MB" if n >= 1e5 else f"{n / 1e3:.0f} kB"


def data_readme(*, check: bool = False) -> bool:
    """Bring ``data/SHA256SUMS`` and the table in ``data/README.md`` up to date.

    Parameters
    ----------
    check : bool
        Change nothing; raise if one is stale.

    Returns
    -------
    bool
        True if a file was changed.

    Raises
    ------
    StaleError
        If `check` and a file is stale or not described, or if the markers are missing.
    """
    folder, command = book.root() / "data", "glasslib data --readme"
    changed = _between(folder / "README.md", data_markdown(check=check), command, check)
    sums = folder / "SHA256SUMS"
    old, new = sums.read_text(encoding="utf-8") if sums.is_file() else "", checksums()
    if old == new:
        return changed
    if check:
        differ = set(old.splitlines()) ^ set(new.splitlines())
        name = min(line.partition("  ")[2] for line in differ)
        raise StaleError(f"data/SHA256SUMS is stale, first at {name}; run: {command}")
    book.write_text(sums, new)
    return True
