"""Run a page of the book: check its parameters, execute it once, keep what it found.

Used alike by ``glasslib run``, by the tests and by the book build::

    from glasslib.book import running

    run = running.run_page("1-graph-embeddings-2d-lj/training", preset="smoke",
                           parameters={"seed": 3})
    run.results["records"]

A finished run is a folder that holds ``results.json``; that file is renamed into place last, so
its presence means that everything else is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glasslib import places, writing
from glasslib.book import keys, notebooks
from glasslib.book.notebooks import PageError, Parameter
from glasslib.book.page import write_json


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
            lines.append(f"  read it with its outputs: {notebooks.short_path(notebook)}")
        super().__init__("\n".join(lines))


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


def default_directory(page: str, preset: str, values: Mapping[str, Any]) -> Path:
    """Where a run goes unless told otherwise: ``_build/runs/<page>/<preset>[,<parameters>]``.

    Runs on data of one's own (``GLASSLIB_DATA``) have a folder of their own.
    """
    return places.root() / "_build" / "runs" / page / notebooks.name_run(preset, values)


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
        See :func:`glasslib.book.notebooks.find_page`.
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
    page, path = notebooks.find_page(page)
    declared = notebooks.parameters(path)
    given = dict(parameters or {})
    if preset is not None and given.setdefault("preset", preset) != preset:
        raise PageError(
            f"preset is given twice, {preset!r} and {given['preset']!r}; expected one of them."
        )
    values = notebooks.check_parameters(page, declared, given)
    chosen = values.get("preset", declared["preset"].default)
    directory = Path(output) if output else default_directory(page, chosen, values)
    directory = directory.expanduser().resolve()
    leaf = page.split("/")[-1]
    shown = {name: p.default for name, p in declared.items()} | values
    if output and not force:
        _check_owner(directory, page, declared, shown)
    key = keys.run_key(page, path, values)
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
            if notebooks.own_data():
                content["data"] = os.fspath(places.data_root())
            os.replace(partial, directory / f"{leaf}.ipynb")
            write_json(directory / "results.json", content)
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
                made = notebooks.read_notebook(left).metadata.get("papermill", {})
                given = made.get("parameters", {})
                theirs = {name: p.default for name, p in declared.items()} | dict(given)
    differ = {k: v for k, v in theirs.items() if k in shown and v != shown[k]}
    if other != page or differ:
        what = other if other != page else f"{page} with {notebooks.name_values(differ)}"
        raise PageError(
            f"output is {notebooks.short_path(directory)}, which holds a run of {what}; expected a "
            "folder of this run: choose another with --output, or replace it with --force."
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
                f"output is {notebooks.short_path(directory)}, which cannot be written "
                f"({error.strerror}); expected a folder of yours: choose another with --output."
            ) from error
        try:
            yield scratch, content
        except OSError as error:
            raise PageError(
                f"page {page} cannot write {notebooks.short_path(directory)}: "
                f"{writing.explain(error)}"
            ) from error


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
    import nbformat
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
    if not notebooks.own_data() or not (ename in _LACKING or any(t in line for t in _LACKING_TEXT)):
        return line
    chapter = page.split("/")[0]
    folder = places.data_root() / chapter
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
