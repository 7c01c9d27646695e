"""Run a page of the book: check its parameters, execute it once, keep what it found.

Used alike by ``glasslib run``, by the tests and by the book build::

    from glasslib import running

    run = running.run_page("1-graph-embeddings-2d-lj/training", preset="smoke",
                           parameters={"seed": 3})
    run.results["records"]

A finished run is a folder that holds ``results.json``; that file is renamed into place last, so
its presence means that everything else is whole.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import book, starting, writing

#: modules that no page imports: changing them does not make a result stale
_NOT_IN_PAGES = (
    "cli.py", "building.py", "browser.py", "reporting.py", "batches.py", "copying.py",
)  # fmt: skip


class PageError(Exception):
    """A page cannot be run as asked; the message says what came, what was expected, what to do."""


class PageFailed(PageError):
    """A cell of a page failed.

    Attributes
    ----------
    page : str
    cell : int
        Position of the failing cell in the page, counted from 1; 0 if it is not known.
    error : str
        Type and text of the error.
    notebook : pathlib.Path or None
        The readable notebook that was left behind.
    """

    def __init__(
        self, page: str, *, cell: int, source: str, error: str, notebook: Path | None
    ) -> None:
        self.page, self.cell, self.error, self.notebook = page, cell, error, notebook
        lines = [f"page {page} failed" + (f" in cell {cell}:" if cell else ":")]
        code = [line for line in source.strip().splitlines() if line.strip()][:3]
        lines += [f"    {line}" for line in code]
        lines.append(f"  {error}")
        if notebook:
            lines.append(f"  read it with its outputs: {_short(notebook)}")
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Parameter:
    """One name of a page's parameters cell.

    Attributes
    ----------
    name : str
    type : str
        The annotation as written, else the type of the default.
    default : object
    help : str
        The comment behind it.
    range : (float, float) or None
        Least and largest value, from ``[1, 100]`` in the comment; of lists, of each element.
    choices : tuple of str
        From ``{a, b}`` in the comment; empty where any text goes.
    """

    name: str
    type: str
    default: Any
    help: str = ""

    @property
    def range(self) -> tuple[float, float] | None:
        """Least and largest value; seeds and numbers of processes have theirs without a comment."""
        found = re.search(r"\[\s*(-?[\d.]+(?:e-?\d+)?)\s*,\s*(-?[\d.]+(?:e-?\d+)?)\s*\]", self.help)
        if found:
            return float(found[1]), float(found[2])
        return {"seed": (0, 2**31 - 1), "cores": (-1, 4096)}.get(self.name)

    @property
    def choices(self) -> tuple[str, ...]:
        """Texts that are allowed; all where there are none."""
        found = re.search(r"\{([^{}]+)\}", self.help)
        return tuple(part.strip() for part in found[1].split(",")) if found else ()

    def refuse(self, value: Any) -> str:
        """Why a value of the right type cannot be; empty where it can."""
        if self.choices and isinstance(value, str) and value not in self.choices:
            return f"expected one of {', '.join(self.choices)}"
        if self.range is not None:
            low, high = self.range
            for one in value if isinstance(value, (list, tuple)) else [value]:
                number = isinstance(one, (int, float)) and not isinstance(one, bool)
                if number and not low <= one <= high:
                    return f"expected {low:.10g} to {high:.10g}"
        if self.name == "cores" and value == 0:
            return "expected -1 for all, or 1 and more"
        return ""

    def mismatch(self, value: Any) -> str:
        """Why the type of a value cannot be, in a notebook, where texts stay texts; else empty."""
        kinds = [part.strip().split("[")[0] for part in self.type.split("|")]
        if isinstance(value, str) and "str" not in kinds:
            return f"expected {self.type}, such as {self.default!r}"
        if any(_as_type(kind, value) is not _NO for kind in kinds):
            return ""
        return f"expected {self.type}, such as {self.default!r}"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    page, preset : str
    directory : pathlib.Path
        Holds ``results.json`` and the executed notebook.
    results : dict
        Content of ``results.json``.
    seconds : float
        How long the page took when it was executed.
    reused : bool
        True if nothing was executed because a finished run of the same key was there.
    """

    page: str
    preset: str
    directory: Path
    results: dict[str, Any]
    seconds: float
    reused: bool

    @property
    def notebook(self) -> Path:
        """The executed notebook."""
        return self.directory / f"{self.page.split('/')[-1]}.ipynb"


# --------------------------------------------------------------------------- pages


def pages() -> list[str]:
    """Names of the notebook pages in ``_toc.yml``, in its order, e.g. ``"0-start/how-to-read"``.

    Returns
    -------
    list of str

    Raises
    ------
    PageError
        If the table of contents names a page that does not exist.
    """
    import yaml

    toc = yaml.safe_load((book.root() / "_toc.yml").read_text(encoding="utf-8"))
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, Mapping):
            name = node.get("file")
            if name and name.startswith("notebooks/"):
                folder = book.root() / name
                if folder.with_name(folder.name + ".ipynb").is_file():
                    found.append(name.removeprefix("notebooks/"))
                elif not folder.with_name(folder.name + ".md").is_file():
                    raise PageError(
                        f"_toc.yml names {name}, and there is neither {name}.ipynb nor "
                        f"{name}.md; add the page or take its line out."
                    )
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(toc)
    return found


def find_page(page: str | os.PathLike[str]) -> tuple[str, Path]:
    """Name and source of a page given by name or by path.

    Parameters
    ----------
    page : str or path-like
        ``"0-start/how-to-read"``, ``"notebooks/0-start/how-to-read.ipynb"``, or an unambiguous
        shortening ``"1/training"``, where the chapter is given by its number.

    Returns
    -------
    name : str
    path : pathlib.Path

    Raises
    ------
    PageError
        If there is no such page; close names are offered.
    """
    folder = book.root() / "notebooks"
    text = os.fspath(page)
    for candidate in (Path(text), Path.cwd() / text, folder / f"{text}.ipynb"):
        if candidate.suffix == ".ipynb" and candidate.is_file():
            with contextlib.suppress(ValueError):
                inside = candidate.resolve().relative_to(folder.resolve())
                return inside.with_suffix("").as_posix(), candidate.resolve()
    name = text.removeprefix("notebooks/").removesuffix(".ipynb")
    if name.count("/") == 1:
        chapter, leaf = name.split("/")
        with contextlib.suppress(ValueError):
            name = f"{book.chapter_name(chapter)}/{leaf}"
    path = folder / f"{name}.ipynb"
    if path.is_file():
        return name, path
    known = sorted(
        p.relative_to(folder).with_suffix("").as_posix()
        for p in folder.glob("*/*.ipynb")
        if not p.name.startswith(".")
    )
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known
    raise PageError(f"there is no page {text!r}; expected one such as {', '.join(close)}.")


def read_notebook(path: Path) -> Any:
    """A notebook, upgraded to format 4, or a one-line error.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    nbformat.NotebookNode

    Raises
    ------
    PageError
        If the file is not a notebook.
    """
    nbformat = starting.import_nbformat()
    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, ValueError, KeyError, AttributeError) as error:
        raise PageError(
            f"{_short(path)} is not a notebook ({type(error).__name__}); expected nbformat 4 JSON: "
            "restore it with git checkout."
        ) from error


def parameters(path: Path) -> dict[str, Parameter]:
    """What a page's parameters cell declares.

    Parameters
    ----------
    path : pathlib.Path
        The notebook.

    Returns
    -------
    dict
        Name to :class:`Parameter`, in the page's order.

    Raises
    ------
    PageError
        Unless exactly one cell is tagged ``parameters`` and holds plain assignments of literals,
        ``preset`` among them.
    """
    notebook = read_notebook(path)
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise PageError(
            f"{_short(path)} has {len(cells)} cells tagged 'parameters'; expected exactly one: "
            "tag the cell that holds preset and seed."
        )
    source = cells[0].source
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise PageError(
            f"the parameters cell of {_short(path)} is not Python (line {error.lineno}: "
            f"{error.msg}); expected lines such as: seed: int = 1  # comment"
        ) from error
    lines = source.splitlines()
    found: dict[str, Parameter] = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            name, kind = node.target.id, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, kind = node.targets[0].id, ""
        else:
            raise PageError(
                f"the parameters cell of {_short(path)} holds {ast.unparse(node)!r}; expected "
                "only assignments of literals: move the rest to the next cell."
            )
        try:
            default = ast.literal_eval(node.value)
        except ValueError as error:
            raise PageError(
                f"parameter {name} of {_short(path)} is {ast.unparse(node.value)}; expected a "
                "literal: compute it in a later cell."
            ) from error
        comment = lines[node.end_lineno - 1][node.end_col_offset :].partition("#")[2].strip()
        found[name] = Parameter(name, kind or type(default).__name__, default, comment)
    if "preset" not in found:
        raise PageError(
            f"the parameters cell of {_short(path)} lacks preset; expected: preset: str = 'book'"
        )
    return found


def check_parameters(
    page: str, declared: Mapping[str, Parameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The given values, converted to the declared types, or a refusal.

    Text is converted (that is what a command line gives): ``"0.5"`` becomes 0.5 for a ``float``.

    Parameters
    ----------
    page : str
        Named in the messages.
    declared : dict
        From :func:`parameters`.
    given : dict
        Name to value.

    Returns
    -------
    dict
        Only values that differ from the page's defaults.

    Raises
    ------
    PageError
        For an unknown name or a value of the wrong type.
    """
    checked = {}
    for name, value in given.items():
        if name not in declared:
            close = difflib.get_close_matches(name, declared, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise PageError(
                f"page {page} has no parameter {name!r}{hint}; expected one of "
                f"{', '.join(declared)}."
            )
        checked[name] = _convert(page, declared[name], value)
        if reason := declared[name].refuse(checked[name]):
            raise PageError(
                f"parameter {name} of page {page} is {_brief(checked[name])}; {reason}."
            )
        if name == "preset":
            try:
                book.check_preset(checked[name])
            except ValueError as error:
                raise PageError(str(error)) from error
    return {
        name: value
        for name, value in checked.items()
        if value != declared[name].default or type(value) is not type(declared[name].default)
    }


def _convert(page: str, parameter: Parameter, value: Any) -> Any:
    options = [part.strip() for part in parameter.type.split("|")]
    for option in options:
        base = option.split("[")[0]
        result = _as_type(base, value)
        if result is not _NO:
            return result
    raise PageError(
        f"parameter {parameter.name} of page {page} is {_brief(value)} ({type(value).__name__}); "
        f"expected {parameter.type}, such as {parameter.default!r}: correct the value."
    )


def _brief(value: Any) -> str:
    """The value on one line of ordinary length."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"


_NO = object()


def _as_type(base: str, value: Any) -> Any:
    """`value` as the named builtin type, or `_NO`."""
    if base == "str":
        return value if isinstance(value, str) else _NO
    if isinstance(value, str):
        text = value.strip()
        if base == "bool":
            return {"true": True, "false": False}.get(text.lower(), _NO)
        try:  # minus signs by the thousand exhaust the parser, dicts of lists are no literals
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return _NO
    if base == "None":
        return None if value is None else _NO
    if base == "bool":
        return value if isinstance(value, bool) else _NO
    if isinstance(value, bool):
        return _NO
    if base == "int":
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)  # 1e3 on a command line
        return value if isinstance(value, int) and value.bit_length() < 64 else _NO
    if base == "float":
        is_number = isinstance(value, (int, float)) and abs(value) < 1e300
        return float(value) if is_number else _NO
    if base in ("list", "tuple"):
        if not isinstance(value, (list, tuple)):
            return _NO
        return list(value) if base == "list" else tuple(value)
    if base == "dict":
        return value if isinstance(value, dict) else _NO
    return value


# --------------------------------------------------------------------------- keys


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
        book.results_folder() if name == "results" else book.data_root() / name
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


def data_digest(folders: list[Path]) -> str:
    """Hash of the names and contents of all finished files below some folders.

    Hidden files and ``.parts`` folders are work in progress and left out.

    Parameters
    ----------
    folders : list of pathlib.Path
        Missing folders count as empty.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            inside = file.relative_to(folder).parts
            unfinished = any(p.startswith(".") or p.endswith(".parts") for p in inside)
            if file.is_file() and not unfinished:
                digest.update(f"{folder.name}/{file.relative_to(folder).as_posix()}\0".encode())
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def code_digest() -> str:
    """Hash of glasslib's modules and of the lock file."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent
    for file in sorted(package.rglob("*.py")):
        if file.name not in _NOT_IN_PAGES:
            digest.update(f"{file.relative_to(package).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    lock = book.root() / "requirements.lock"
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


def page_key(page: str, path: Path) -> str:
    """The part of :func:`run_key` that all runs of a page share: all but the parameters."""
    from . import engines

    parts = [
        source_digest(path),
        code_digest(),
        data_digest(data_folders(page, path)),
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
    from . import fetching

    digest = hashlib.sha256()
    for place, folder in enumerate(fetching.folders(book.root())):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                found = file.stat()
                name = file.relative_to(folder).as_posix()
                digest.update(f"{place} {name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


# --------------------------------------------------------------------------- running


def name_values(values: Mapping[str, Any]) -> str:
    """Parameters as the name of a folder that reads: ``"kT=0.5,seed=0"``.

    Other values have another name: where a text would read like something else, or hold what a
    folder may not, or the name would be too long, six digits of its hash stand behind it.

    Examples
    --------
    >>> name_values({"kT": 0.5, "draws": [32, 8], "target": "C_B"})
    'kT=0.5,draws=[32+8],target=C_B'
    """
    return ",".join(f"{name}={_name_value(value)}" for name, value in values.items())


#: a text in JSON that reads like nothing else
_PLAIN = re.compile(r'"(?!(?:None|True|False)")[A-Za-z_][A-Za-z0-9_.-]*"')


def _name_value(value: Any) -> str:
    exact = json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, str):
        text = re.sub(r"[^A-Za-z0-9._-]", "_", value)
        known = text == value and re.match(r"(?!(None|True|False)$)[A-Za-z_]", text)
    else:
        text = repr(value).replace(" ", "").replace("'", "").replace(",", "+")
        text, listed = (
            re.sub(r"[^A-Za-z0-9._+\[\]-]", "_", text),
            re.search(r"[\"{(]", _PLAIN.sub("", exact)),
        )
        known = not listed
    if len(text) > 40:
        text, known = text[:40], False
    return text if known else f"{text}~{hashlib.sha256(exact.encode()).hexdigest()[:6]}"


def default_directory(page: str, preset: str, values: Mapping[str, Any]) -> Path:
    """Where a run goes unless told otherwise: ``_build/runs/<page>/<preset>[,<parameters>]``.

    Runs on data of one's own (``GLASSLIB_DATA``) have a folder of their own.
    """
    return book.root() / "_build" / "runs" / page / name_run(preset, values)


def name_run(preset: str, values: Mapping[str, Any]) -> str:
    """Name of a run's folder: preset, parameters, and the data if they are not the book's."""
    parts = [preset, name_values({k: v for k, v in values.items() if k != "preset"})]
    if own_data():
        hashed = hashlib.sha256(os.fsencode(book.data_root())).hexdigest()[:6]
        parts.append(f"data={_name_value(book.data_root().name)}~{hashed}")
    name = ",".join(part for part in parts if part)
    if len(name) > 160:  # file systems end at 255 bytes, and locks and scratch folders add to it
        name = f"{name[:150]}~{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return name


def own_data() -> bool:
    """Whether ``GLASSLIB_DATA`` names data that are not the book's."""
    return book.data_root() != (book.root() / "data").resolve()


def finished(directory: Path, name: str, key: str | None = None) -> dict[str, Any] | None:
    """Content of a finished run's ``results.json``; None if the run is not there or not whole.

    Parameters
    ----------
    directory : pathlib.Path
    name : str
        The page's last name, under which the executed notebook lies.
    key : str, optional
        If given, a run with another key does not count.

    Returns
    -------
    dict or None
    """
    try:
        content = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not (directory / f"{name}.ipynb").is_file():
        return None
    if key is not None and content.get("key") != key:
        return None
    return content


def run_page(
    page: str | os.PathLike[str],
    *,
    parameters: Mapping[str, Any] | None = None,
    preset: str | None = None,
    output: str | os.PathLike[str] | None = None,
    timeout: float | None = 900,
    force: bool = False,
    live: bool = False,
    threads: int | None = None,
) -> Run:
    """Execute a page with papermill, or reuse a finished run of the same key.

    Parameters
    ----------
    page : str or path-like
        See :func:`find_page`.
    parameters : dict, optional
        Values for the page's parameters cell; refused before anything runs if a name is unknown
        or a type wrong.
    preset : {"smoke", "book", "paper"}, optional
        Short for ``parameters={"preset": …}``. A run at ``paper`` is never reused.
    output : path-like, optional
        Folder for the executed notebook and ``results.json``.
    timeout : float, optional
        Seconds one cell may take; None for no limit.
    force : bool
        Execute even if a finished run is there.
    live : bool
        Pass what the cells print on to the terminal.
    threads : int, optional
        Threads for OpenMP, BLAS, torch and numba in the page; the environment's by default.

    Returns
    -------
    Run

    Raises
    ------
    PageError
        If the request is wrong (nothing was run).
    PageFailed
        If a cell failed; the notebook with its outputs is left as ``<page>.failed.ipynb``.
    """
    page, path = find_page(page)
    declared = _parameters(path)
    given = dict(parameters or {})
    if preset is not None and given.setdefault("preset", preset) != preset:
        raise PageError(
            f"preset is given twice, {preset!r} and {given['preset']!r}; expected one of them."
        )
    values = check_parameters(page, declared, given)
    chosen = values.get("preset", declared["preset"].default)
    directory = Path(output) if output else default_directory(page, chosen, values)
    directory = directory.expanduser().resolve()
    leaf = page.split("/")[-1]
    shown = {name: p.default for name, p in declared.items()} | values
    if output and not force:
        _check_owner(directory, page, declared, shown)
    key = run_key(page, path, values)
    if not force and chosen != "paper":
        content = finished(directory, leaf, key)
        if content is not None:
            return Run(page, chosen, directory, content, content.get("seconds", 0.0), True)

    def look_again() -> dict[str, Any] | None:  # another may have made it meanwhile
        return None if force or chosen == "paper" else finished(directory, leaf, key)

    with _only_writer(page, directory, leaf, look_again) as (scratch, content):
        if content is not None:
            return Run(page, chosen, directory, content, content.get("seconds", 0.0), True)
        partial = scratch.with_name(f"{scratch.name}.ipynb")
        started = time.monotonic()
        try:
            with _environment(scratch, threads):
                _execute(page, path, partial, values, timeout=timeout, live=live)
            seconds = round(time.monotonic() - started, 2)
            content = _collect(page, chosen, scratch)
            content |= {"parameters": shown, "seconds": seconds, "key": key}
            if own_data():
                content["data"] = os.fspath(book.data_root())
            os.replace(partial, directory / f"{leaf}.ipynb")
            book.write_json(directory / "results.json", content)
        except PageFailed as failure:
            kept = directory / f"{leaf}.failed.ipynb"
            if partial.is_file():
                os.replace(partial, kept)
                raise PageFailed(
                    page,
                    cell=failure.cell,
                    source=failure.source,
                    error=failure.error,
                    notebook=kept,
                ) from failure.__cause__
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            partial.unlink(missing_ok=True)
    return Run(page, chosen, directory, content, seconds, False)


def _check_owner(
    directory: Path, page: str, declared: Mapping[str, Parameter], shown: Mapping[str, Any]
) -> None:
    """Refuse a folder that holds a run of another page, or of other parameters."""
    other, theirs = page, {}
    try:
        content = json.loads((directory / "results.json").read_text(encoding="utf-8"))
        other, theirs = content["page"], dict(content["parameters"])
    except (OSError, ValueError, KeyError, TypeError):
        for left in directory.glob("*.failed.ipynb"):
            leaf = left.name.removesuffix(".failed.ipynb")
            other = page if leaf == page.split("/")[-1] else leaf
            with contextlib.suppress(PageError):
                given = read_notebook(left).metadata.get("papermill", {}).get("parameters", {})
                theirs = {name: p.default for name, p in declared.items()} | dict(given)
    differ = {k: v for k, v in theirs.items() if k in shown and v != shown[k]}
    if other != page or differ:
        what = other if other != page else f"{page} with {name_values(differ)}"
        raise PageError(
            f"output is {_short(directory)}, which holds a run of {what}; expected a folder of "
            "this run: choose another with --output, or replace it with --force."
        )


@contextlib.contextmanager
def _only_writer(
    page: str, directory: Path, leaf: str, look_again: Callable[[], dict[str, Any] | None]
) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """The folder of a run under way, made: old results and what dead runs have left are gone.

    With what ``look_again`` finds once nobody else writes there; nothing is removed then.
    Failing to write, at any time, is one line.
    """
    scratch = directory / f".{leaf}.{writing.mark()}.partial"
    with contextlib.ExitStack() as stack:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(writing.claim(directory))
            writing.sweep(directory / leaf)
            content = look_again()
            if content is None:
                scratch.mkdir()
                (directory / "results.json").unlink(missing_ok=True)
                (directory / f"{leaf}.failed.ipynb").unlink(missing_ok=True)
        except writing.BusyError as error:
            raise PageError(str(error)) from error
        except OSError as error:
            raise PageError(
                f"output is {_short(directory)}, which cannot be written ({error.strerror}); "
                "expected a folder of yours: choose another with --output."
            ) from error
        try:
            yield scratch, content
        except OSError as error:
            raise PageError(
                f"page {page} cannot write {_short(directory)}: {writing.explain(error)}"
            ) from error


_parameters = parameters  # run_page has an argument of that name


class _CellFailed(PageFailed):
    """As :class:`PageFailed`, still knowing the cell's source."""

    def __init__(self, page: str, *, cell: int, source: str, error: str) -> None:
        self.source = source
        super().__init__(page, cell=cell, source=source, error=error, notebook=None)


def _execute(
    page: str,
    path: Path,
    target: Path,
    values: Mapping[str, Any],
    *,
    timeout: float | None,
    live: bool,
) -> None:
    """papermill, with every way to fail turned into :class:`PageFailed`."""
    nbformat = starting.import_nbformat()  # before papermill, which imports it too
    import papermill
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    arguments: dict[str, Any] = {
        "parameters": dict(values),
        "cwd": str(path.parent),
        "progress_bar": False,
        "kernel_name": "python3",
        # the kernel's own log (about sockets and shutdown) is not the page's output
        "extra_arguments": ["--IPKernelApp.log_level=CRITICAL"],
        "execution_timeout": None if timeout is None else max(1, int(timeout)),
    }
    if live:
        arguments |= {"stdout_file": sys.stdout, "stderr_file": sys.stderr}

    def fail(error: str, source: str = "", index: int = -1) -> _CellFailed:
        if index < 0 and target.is_file():
            # the last cell that was started; papermill has closed its books on all of them
            for i, cell in enumerate(nbformat.read(target, as_version=4).cells):
                if cell.metadata.get("papermill", {}).get("start_time"):
                    index, source = i, cell.source
            index -= 1 if values and index > 0 else 0
        return _CellFailed(page, cell=index + 1, source=source, error=error)

    for attempt in (1, 2):
        try:
            papermill.execute_notebook(str(path), str(target), **arguments)
            return
        except papermill.PapermillExecutionError as error:
            text = f"{error.ename}: {error.evalue}".strip().splitlines()
            line = text[0] if text else error.ename
            # papermill counts its injected cell; readers count the page's own cells
            index = error.cell_index - (1 if values and error.cell_index > 0 else 0)
            line = _explain_data(page, error.ename, line[:400])
            raise fail(line, error.source, index) from error
        except CellTimeoutError as error:
            raise fail(
                f"TimeoutError: the cell took longer than {timeout:g} s; raise --timeout or choose "
                "a smaller preset"
            ) from error
        except DeadKernelError as error:
            raise fail(
                "the kernel died (killed, or out of memory); choose a smaller preset"
            ) from error
        except CellExecutionError as error:
            raise fail(f"{error.ename}: {error.evalue}"[:400]) from error
        except RuntimeError as error:
            # two kernels that start at once can be given the same port (papermill issue 511)
            if attempt == 2 or "Kernel" not in str(error):
                raise fail(f"the kernel did not start: {error}") from error


#: what Python says where a page looks for a frame, or a label of it, that is not there
_LACKING = ("StopIteration", "IndexError", "KeyError", "FileNotFoundError", "FrameError")
_LACKING_TEXT = ("empty", "zero-size", "at least one array", "StopIteration")


def _explain_data(page: str, ename: str, line: str) -> str:
    """The error of a page on one's own data, where it means that the data lack something."""
    if not own_data() or not (ename in _LACKING or any(t in line for t in _LACKING_TEXT)):
        return line
    chapter = page.split("/")[0]
    folder = book.data_root() / chapter
    files = sum(1 for f in folder.rglob("*.gsd") if f.is_file())
    told = "" if ename == "StopIteration" else f" ({line})"
    return (
        f"the data in {folder} ({files} GSD files) lack what this page reads{told}; expected what "
        f"'glasslib data {chapter.split('-')[0]}' writes: make it there, or unset GLASSLIB_DATA"
    )


def _collect(page: str, preset: str, scratch: Path) -> dict[str, Any]:
    """What the page itself wrote, checked."""
    file = scratch / "results.json"
    if not file.is_file():
        raise _CellFailed(
            page, cell=0, source="",
            error=f"the page never called book.setup(page={page!r}, preset=preset)",
        )  # fmt: skip
    content = json.loads(file.read_text(encoding="utf-8"))
    if content["page"] != page or content["preset"] != preset:
        raise _CellFailed(
            page, cell=0, source="",
            error=f"the page called book.setup(page={content['page']!r}, "
            f"preset={content['preset']!r}); expected page={page!r}, preset=preset",
        )  # fmt: skip
    return content


@contextlib.contextmanager
def _environment(scratch: Path, threads: int | None) -> Iterator[None]:
    """Environment of the page's kernel; kernels inherit this process's (not thread-safe)."""
    wanted = {
        "GLASSLIB_RUN_DIR": str(scratch),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        # tqdm, which torch-geometric imports, asks every kernel for ipywidgets
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }
    if threads:
        for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
            wanted[f"{name}_NUM_THREADS"] = str(threads)
        wanted["LOKY_MAX_CPU_COUNT"] = str(threads)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _short(path: Path) -> str:
    """A path relative to the working directory where that is shorter."""
    with contextlib.suppress(ValueError):
        return os.fspath(Path(path).resolve().relative_to(Path.cwd().resolve()))
    return os.fspath(path)
