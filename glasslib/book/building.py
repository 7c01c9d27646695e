"""Build the book: run every page once, put the outputs into a copy of the sources, typeset.

The copy lies in ``_build/source``. Pages there carry the outputs of :mod:`glasslib.book.running`,
so the typesetter executes nothing; plotly.js and MathJax are taken from installed packages and
served from the book itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import metadata
from pathlib import Path

import joblib

from glasslib import book, starting, writing
from glasslib.book import keys, notebooks, reporting, running
from glasslib.book.cover import draw_cover


class BuildError(Exception):
    """The book could not be built; the message names the page or the warning."""


def build(
    *, workers: int = 2, timeout: float = 900, force: bool = False, update: bool = False
) -> Path:
    """Run the pages at preset ``book`` and typeset them, warnings being errors.

    Parameters
    ----------
    workers : int
        Pages run at a time; the machine's cores are shared out among them.
    timeout : float
        Seconds one cell may take.
    force : bool
        Run pages and typesetting even if nothing changed.
    update : bool
        Take this build's numbers for the committed ones: write ``data/results`` and the README's
        table. Without, no file under version control changes; the built book shows its own.

    Returns
    -------
    pathlib.Path
        ``_build/html/index.html``.

    Raises
    ------
    BuildError
        With page, cell and error if a page fails; with the warnings if typesetting fails.
    """
    try:
        return _build(workers=workers, timeout=timeout, force=force, update=update)
    except OSError as error:
        raise BuildError(
            f"cannot write {error.filename or 'the book'}: {writing.explain(error)}"
        ) from error


def _build(*, workers: int, timeout: float, force: bool, update: bool) -> Path:
    started = time.monotonic()
    root = book.root()
    try:
        names = notebooks.list_pages()
    except notebooks.PageError as error:
        raise BuildError(str(error)) from error
    paths = {name: notebooks.find_page(name)[1] for name in names}
    last = [name for name in names if keys.reads_results(paths[name])]
    # long ones early: otherwise one of them ends alone, the other processes idle
    first = sorted(
        set(names) - set(last), key=lambda n: (not keys.is_long(paths[n]), names.index(n))
    )

    runs = run_pages(first, workers=workers, timeout=timeout, force=force)
    if update and notebooks.own_data():
        raise BuildError(
            f"GLASSLIB_DATA is {book.data_root()}; expected the book's data where its committed "
            "numbers are written: unset it, or leave --update out."
        )
    own = root / "_build" / "results"
    if update:
        for path in reporting.save_results(list(runs.values())):
            print(f"data/results/{path.name} {'updated' if path.exists() else 'removed'}")
        with contextlib.suppress(reporting.StaleError, FileNotFoundError):
            if reporting.readme():
                print("README.md: table updated")
    for path in reporting.save_results(list(runs.values()), folder=own):
        print(
            f"{path.stem}: numbers differ from the committed ones (make book UPDATE=1 takes them)"
        )
    os.environ["GLASSLIB_RESULTS"] = os.fspath(own)
    try:
        runs |= run_pages(last, workers=workers, timeout=timeout, force=force)
    finally:
        del os.environ["GLASSLIB_RESULTS"]

    source = stage({name: runs[name] for name in names})
    index = root / "_build" / "html" / "index.html"
    stamp = root / "_build" / "html.stamp"
    digest = _tree_digest(source)
    if not force and index.is_file() and _text(stamp) == digest:
        print(f"nothing changed: {_relative(index)} ({time.monotonic() - started:.0f} s)")
        return index
    stamp.unlink(missing_ok=True)
    typeset(source)
    book.write_text(stamp, digest)
    print(f"done: {_relative(index)} ({time.monotonic() - started:.0f} s)")
    return index


# --------------------------------------------------------------------------- pages


def run_pages(
    names: list[str], *, workers: int, timeout: float, force: bool
) -> dict[str, running.Run]:
    """Run pages at preset ``book``, some at a time, one line each; reuse what is finished.

    Parameters
    ----------
    names : list of str
    workers : int
    timeout : float
    force : bool

    Returns
    -------
    dict
        Page name to :class:`glasslib.book.running.Run`.

    Raises
    ------
    BuildError
        After all pages were tried, if any failed.
    """
    threads = max(1, joblib.cpu_count() // max(1, workers))  # those that this process may use
    failures: list[str] = []
    runs: dict[str, running.Run] = {}

    def one(name: str) -> tuple[str, str, bool]:
        # a process of its own: the environment of a kernel is the environment of its parent
        command = [sys.executable, "-m", "glasslib.cli", "run", name, "--preset", "book"]
        command += ["--timeout", str(timeout), "--threads", str(threads)]
        command += ["--force"] if force else []
        # a page ends with the build that wants it, even a killed one
        environment = os.environ | {"GLASSLIB_PARENT": str(os.getpid())}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=book.root(), env=environment
        )
        error = "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip())
        return name, error, "preset book: reused" in done.stdout

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        tasks = [pool.submit(one, name) for name in names]
        try:
            for done, task in enumerate(as_completed(tasks), 1):
                name, error, reused = task.result()
                if error:
                    failures.append(error)
                    print(f"[{done}/{len(names)}] {name}  FAILED", flush=True)
                    continue
                runs[name] = _finished(name)
                took = "reused" if reused else f"{runs[name].seconds:.1f} s"
                print(f"[{done}/{len(names)}] {name}  {took}", flush=True)
        except KeyboardInterrupt:  # the terminal stops the pages under way; begin no others
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise BuildError("\n".join(failures))
    return runs


def _finished(name: str) -> running.Run:
    directory = running.default_directory(name, "book", {})
    content = running.finished(directory, name.split("/")[-1])
    if content is None:
        raise BuildError(
            f"page {name} left no results at {_relative(directory)}; expected results.json: "
            "run 'make clean' and build again."
        )
    return running.Run(name, "book", directory, content, content.get("seconds", 0.0), True)


# --------------------------------------------------------------------------- sources


def stage(runs: dict[str, running.Run]) -> Path:
    """Bring ``_build/source`` in line with the repository and the executed pages.

    Files whose content is unchanged are left alone, so that typesetting is incremental; files
    that no longer belong there are removed.

    Parameters
    ----------
    runs : dict
        Page name to its run at preset ``book``.

    Returns
    -------
    pathlib.Path
    """
    root, target = book.root(), book.root() / "_build" / "source"
    wanted: dict[Path, bytes | Path] = {}
    for name in ("_config.yml", "_toc.yml", "references.bib"):
        wanted[Path(name)] = root / name
    for path in sorted(root.glob("*.md")):
        if path.name not in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
            wanted[Path(path.name)] = path
    if (root / "CHANGELOG.md").is_file():
        wanted[Path("changelog.md")] = root / "CHANGELOG.md"
    for folder in ("_static", "notebooks"):
        for path in sorted((root / folder).rglob("*")):
            hidden = any(p.startswith(".") for p in path.relative_to(root).parts)
            if path.is_file() and not hidden and path.suffix != ".ipynb":
                wanted[path.relative_to(root)] = path
    for name, run in runs.items():
        wanted[Path("notebooks") / f"{name}.ipynb"] = with_outputs(name, run).encode()
    wanted |= {Path("reference") / k: v.encode() for k, v in api_pages().items()}
    wanted |= {Path("_static") / k: v.encode() for k, v in draw_cover(book.data_root()).items()}
    wanted |= vendor_files()
    for relative, content in wanted.items():
        _put(target / relative, content)
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(target) not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return target


def with_outputs(name: str, run: running.Run) -> str:
    """The page as committed, with the outputs of its run.

    Parameters
    ----------
    name : str
    run : glasslib.book.running.Run

    Returns
    -------
    str
        Notebook JSON; metadata and prose are the committed ones.

    Raises
    ------
    BuildError
        If the run is of a page with other cells.
    """
    nbformat = starting.import_nbformat()
    page = notebooks.read_notebook(notebooks.find_page(name)[1])
    done = [c for c in notebooks.read_notebook(run.notebook).cells if c.cell_type == "code"]
    code = [c for c in page.cells if c.cell_type == "code"]
    if [c.source for c in code] != [c.source for c in done]:
        raise BuildError(
            f"the run of {name} has other cells than the page; expected the same: run 'make book' "
            "again (the page changed while it was being built)."
        )
    for cell, result in zip(code, done):
        cell.outputs = result.outputs
        cell.execution_count = result.execution_count
    return nbformat.writes(page)


def api_pages() -> dict[str, str]:
    """One page for each public module of glasslib, made from its docstrings.

    Returns
    -------
    dict
        File name to MyST Markdown; ``index.md`` lists them with their first sentence.
    """
    import ast

    package = Path(__file__).resolve().parents[1]
    pages: dict[str, str] = {}
    listed = []
    for path in sorted(package.rglob("*.py")):
        parts = ["glasslib", *path.relative_to(package).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        if len(parts) == 1 or any(p.startswith("_") for p in parts):
            continue
        module = ".".join(parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        summary = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
        listed.append(f"[{module}]({module}.md)\n: {summary}\n")
        hidden = ""
        if path.name == "__init__.py":  # functions that bear their module's name: there, not here
            hidden = ", ".join(p.stem for p in sorted(path.parent.glob("[a-z]*.py")))
            hidden = f"   :exclude-members: {hidden}\n" if hidden else ""
        pages[f"{module}.md"] = (
            f"# {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n"
            f"{hidden}   :show-inheritance:\n```\n"
        )
    pages["index.md"] = (
        "# glasslib, function by function\n\nMade from the docstrings. Arrays in, arrays out, the "
        "frame first, options by keyword, seeds explicit. A frame is a `gsd.hoomd.Frame` "
        "everywhere.\n\n" + "\n".join(listed)
    )
    return pages


def vendor_files() -> dict[Path, bytes | Path]:
    """plotly.js and MathJax out of installed packages, under ``_extra/vendor``.

    Returns
    -------
    dict
        Path in the sources to bytes or to a file to copy.

    Raises
    ------
    BuildError
        If the package that carries MathJax is not installed.
    """
    from plotly.offline import get_plotlyjs

    vendor = Path("_extra/vendor")
    found: dict[Path, bytes | Path] = {vendor / "plotly.min.js": get_plotlyjs().encode()}
    try:
        files = metadata.files("sphinx-mathjax-offline") or []
    except metadata.PackageNotFoundError as error:
        raise BuildError(
            "the package sphinx-mathjax-offline, which carries MathJax, is not installed; run "
            "'make book', which installs it, or pip install sphinx-mathjax-offline."
        ) from error
    for file in files:
        text = file.as_posix()
        _, found_it, inside = text.partition("static/mathjax/")
        # one entry point, its fonts; the other renderers and the speech engine are left out
        if found_it and (inside == "tex-mml-chtml.js" or inside.startswith(_MATHJAX)):
            found[vendor / "mathjax" / inside] = Path(str(file.locate()))
    return found


_MATHJAX = ("output/chtml/fonts/", "input/tex/extensions/", "a11y/", "sre/", "ui/")


# --------------------------------------------------------------------------- typesetting


def typeset(source: Path) -> None:
    """jupyter-book with nitpicking on and warnings as errors.

    Parameters
    ----------
    source : pathlib.Path

    Raises
    ------
    BuildError
        With the warnings, if there are any.
    """
    root = book.root()
    command = [
        sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build",
        str(source), "--path-output", str(root), "-n", "-W", "--keep-going", "-q",
    ]  # fmt: skip
    print("typesetting …", flush=True)
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, env=_quiet())
    if done.returncode:
        # a second build would not repeat warnings of pages it does not read again
        shutil.rmtree(root / "_build" / ".doctrees", ignore_errors=True)
        log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        log = log.replace(str(source) + os.sep, "")
        told = [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line]
        raise BuildError(
            "typesetting failed:\n  " + "\n  ".join(told or log.strip().splitlines()[-15:])
        )
    _lighten_all(root / "_build" / "html")


#: what the theme puts into every page and a page may not need: icons drawn twice (a font does),
#: fonts asked for before anyone knows whether an icon of theirs is there, a script for live code
#: that this book does not have
_UNUSED = (
    r'<script src="[^"]*/fontawesome/[^"]*\.js[^"]*"></script>',
    r'<link rel="preload" as="font"[^>]*/fa-(?:brands|regular)-[^>]*/?>',
    r"<script>const THEBE_JS_URL = [^<]*</script>",
    r'<script async="async" src="[^"]*sphinx-thebe\.js[^"]*"></script>',
    r'<link rel="stylesheet"[^>]*sphinx-thebe\.css[^>]*/>',
)
_PLOTLY = r'<script src="[^"]*/vendor/plotly\.min\.js[^"]*"></script>'


def lighten(text: str) -> str:
    """A page without what it does not use: plotly where no figure is, icons that come twice.

    Parameters
    ----------
    text : str
        HTML as the theme writes it.

    Returns
    -------
    str
    """
    for pattern in _UNUSED if "plotly-graph-div" in text else (*_UNUSED, _PLOTLY):
        text = re.sub(pattern + r"\n?", "", text)
    return text


def _lighten_all(html: Path) -> None:
    for path in html.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if (lighter := lighten(text)) != text:
            path.write_text(lighter, encoding="utf-8")


def _quiet() -> dict[str, str]:
    return os.environ | {"NO_COLOR": "1", "PYTHONWARNINGS": "ignore::DeprecationWarning"}


# --------------------------------------------------------------------------- small things


def _put(path: Path, content: bytes | Path) -> None:
    new = content.read_bytes() if isinstance(content, Path) else content
    if path.is_file() and path.read_bytes() == new:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(new)


def _tree_digest(source: Path) -> str:
    """Hash of the staged sources and of the modules whose docstrings are shown."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for base in (source, package):
        for path in sorted(base.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(path.relative_to(base).as_posix().encode() + b"\0")
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _relative(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return path.relative_to(Path.cwd()).as_posix()
    return str(path)
