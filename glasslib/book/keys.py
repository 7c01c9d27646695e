"""What the outcome of a page depends on, as one hash: a run of the same key is used again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from glasslib import engines, fetching
from glasslib.book.notebooks import read_notebook
from glasslib.places import data_root, results_folder, root

#: modules that no page imports: changing them does not make a result stale
NOT_IN_PAGES = (
    "cli.py", "commands.py", "batches.py", "book/building.py", "book/browser.py",
    "book/copying.py", "book/cover.py", "book/keys.py", "book/reporting.py", "book/running.py",
)  # fmt: skip


def source_digest(path: Path) -> str:
    """Hash of what a page executes: its code cells and their tags (prose may change freely).

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for cell in read_notebook(path).cells:
        if cell.cell_type == "code":
            tags = sorted(cell.metadata.get("tags", []))
            digest.update(json.dumps([cell.source, tags]).encode())
    return digest.hexdigest()


def data_folders(page: str, path: Path) -> list[Path]:
    """Folders a page reads: its chapter's data and those named in its metadata.

    A page that reads another chapter's data says so in its notebook metadata:
    ``"glasslib": {"data": ["2-autoencoder-3d", "results"]}``. ``results`` stands for the recorded
    numbers of all pages; such pages run after the others.

    Parameters
    ----------
    page : str
    path : pathlib.Path

    Returns
    -------
    list of pathlib.Path
    """
    extra = read_notebook(path).metadata.get("glasslib", {}).get("data", [])
    return [
        results_folder() if name == "results" else data_root() / name
        for name in (page.split("/")[0], *extra)
    ]


def reads_results(path: Path) -> bool:
    """True if a page shows the other pages' records, and so has to run after them."""
    return "results" in read_notebook(path).metadata.get("glasslib", {}).get("data", [])


def is_long(path: Path) -> bool:
    """True if a page takes longer than others at preset ``book``; the build begins with those.

    It says so in its notebook metadata: ``"glasslib": {"long": true}``.
    """
    return bool(read_notebook(path).metadata.get("glasslib", {}).get("long", False))


def data_digest(folders: list[Path], only: Mapping[str, Collection[str]] | None = None) -> str:
    """Hash of the names and contents of all finished files below some folders.

    Hidden files and ``.parts`` folders are work in progress and left out.

    Parameters
    ----------
    folders : list of pathlib.Path
        Missing folders count as empty.
    only : dict, optional
        Name of a folder to the files in it that count, ``a/b.gsd``; all in those it leaves out.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            inside = file.relative_to(folder).parts
            unfinished = any(p.startswith(".") or p.endswith(".parts") for p in inside)
            counts = only is None or folder.name not in only
            counts = counts or file.relative_to(folder).as_posix() in only[folder.name]
            if counts and file.is_file() and not unfinished:
                digest.update(f"{folder.name}/{file.relative_to(folder).as_posix()}\0".encode())
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def code_digest() -> str:
    """Hash of glasslib's modules and of the lock file."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).as_posix()
        if name not in NOT_IN_PAGES:
            digest.update(f"{name}\0".encode())
            digest.update(file.read_bytes())
    lock = root() / "requirements.lock"
    if lock.is_file():
        digest.update(lock.read_bytes())
    return digest.hexdigest()


def run_key(page: str, path: Path, values: Mapping[str, Any], *, common: str = "") -> str:
    """What a run's outcome depends on: code, glasslib, data, lock, engines and parameters.

    Parameters
    ----------
    page : str
    path : pathlib.Path
    values : dict
        Parameters that differ from the page's defaults.
    common : str, optional
        :func:`page_key` of the page where it is known: many runs of one page share it.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    text = json.dumps(dict(values), sort_keys=True, default=str)
    return hashlib.sha256(f"{common or page_key(page, path)}\n{text}".encode()).hexdigest()


def page_key(page: str, path: Path, only: Mapping[str, Collection[str]] | None = None) -> str:
    """The part of :func:`run_key` that all runs of a page share: all but the parameters.

    ``only`` as for :func:`data_digest`.
    """
    parts = [
        source_digest(path),
        code_digest(),
        data_digest(data_folders(page, path), only),
        external_digest(path),
        json.dumps(engines.fingerprint(), sort_keys=True),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def external_digest(path: Path) -> str:
    """Hash of the public data of others, if a page asks for any: names, sizes and dates.

    Pages do so by ``agreement.external(…)`` or by handing the clone on as ``root=``. Contents are
    not read: they may be large, and whoever replaces one changes its date.
    """
    code = "\n".join(c.source for c in read_notebook(path).cells if c.cell_type == "code")
    if not re.search(r"\bexternal\(|root=book\.root\(\)", code):
        return ""
    digest = hashlib.sha256()
    for place, folder in enumerate(fetching.folders(root())):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                found = file.stat()
                name = file.relative_to(folder).as_posix()
                digest.update(f"{place} {name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()
