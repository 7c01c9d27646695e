"""Where things lie: the clone of the book, its data, its results."""

from __future__ import annotations

import os
from pathlib import Path


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


def data_root() -> Path:
    """``$GLASSLIB_DATA`` if it is set, else ``data`` of the repository."""
    override = os.environ.get("GLASSLIB_DATA")
    return Path(override).expanduser().resolve() if override else root() / "data"


def results_folder() -> Path:
    """``data/results``; while the book is built, the folder of its own numbers."""
    given = os.environ.get("GLASSLIB_RESULTS")
    return Path(given) if given else root() / "data" / "results"
