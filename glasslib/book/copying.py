"""Copies of the pages to play with: what JupyterLab saves never changes the book's."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from glasslib import book
from glasslib.book import notebooks


def copy_pages(target: Path | None = None) -> list[str]:
    """Bring copies of all pages into ``work/``; a copy that somebody has changed stays.

    Parameters
    ----------
    target : path, optional
        Instead of ``work`` in the clone.

    Returns
    -------
    list of str
        Pages whose copies stay although the page has changed since.
    """
    target = target or book.root() / "work"
    behind = []
    for page in notebooks.list_pages():
        _, source = notebooks.find_page(page)
        copy, origin = target / f"{page}.ipynb", target / ".origin" / f"{page}.ipynb"
        copy.parent.mkdir(parents=True, exist_ok=True)
        origin.parent.mkdir(parents=True, exist_ok=True)
        if copy.exists() and origin.exists() and origin.read_bytes() == source.read_bytes():
            continue
        if copy.exists() and not _is_untouched(copy, origin):
            behind.append(page)
            continue
        shutil.copyfile(source, copy)
        shutil.copyfile(source, origin)
    return behind


def _is_untouched(copy: Path, origin: Path) -> bool:
    """Whether a copy still has the cells that it was made with (outputs do not count)."""
    try:
        mine, old = (notebooks.read_notebook(path).cells for path in (copy, origin))
    except (OSError, notebooks.PageError):
        return False
    return [(c.cell_type, c.source) for c in mine] == [(c.cell_type, c.source) for c in old]


def open_lab(page: str | None = None, *, copy_only: bool = False) -> int:
    """JupyterLab on the copies, at one page if it is named; returns its exit code."""
    name = notebooks.find_page(page)[0] if page else ""
    for behind in copy_pages():
        print(f"work/{behind}.ipynb is yours, of an older page; move it away to get the new one")
    folder = book.root() / "work"
    print(f"copies of the pages are in {folder}; what you save there changes nothing else")
    if copy_only:
        return 0
    sys.stdout.flush()
    command = [sys.executable, "-m", "jupyterlab", os.fspath(folder)]
    if name:
        command[-1] = os.fspath(folder / f"{name}.ipynb")
        command += ["--notebook-dir", os.fspath(folder)]
    os.chdir(folder)
    return os.execv(sys.executable, command)
