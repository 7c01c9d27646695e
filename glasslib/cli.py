"""The command ``glasslib``: what make and people call."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__, book
from . import commands as own


class _Parser(argparse.ArgumentParser):
    """One line for a wrong call, and where to look."""

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The command line's grammar.

    Returns
    -------
    argparse.ArgumentParser
    """
    top = _Parser(
        prog="glasslib",
        description="Run the book's pages, list its numbers, build and check it.",
    )
    top.add_argument("--version", action="version", version=f"glasslib {__version__}")
    commands = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )

    run = commands.add_parser("run", help="execute one page with papermill")
    run.add_argument("page", help="e.g. 1-graph-embeddings-2d-lj/training, or 1/training")
    run.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="set a parameter of the page, NAME VALUE or NAME=VALUE; may be repeated",
    )  # fmt: skip
    run.add_argument("--preset", help="smoke, book or paper (the page's own default: book)")
    run.add_argument(
        "--engine", metavar="NAME", help="who simulates: auto, hoomd or lammps; as -p engine NAME"
    )
    run.add_argument(
        "--device", metavar="WHERE",
        help="where HOOMD-blue runs: auto, cpu, gpu or the number of a GPU; as -p device WHERE",
    )  # fmt: skip
    run.add_argument("--output", type=Path, metavar="DIR", help="where the results go")
    run.add_argument(
        "--timeout", type=float, default=900, metavar="S",
        help="seconds one cell may take (default 900, 0 for no limit)",
    )  # fmt: skip
    run.add_argument("--threads", type=int, metavar="N", help="threads the page may use")
    run.add_argument("--force", action="store_true", help="execute even if a result is there")
    run.add_argument("--live", action="store_true", help="show what the cells print")

    results = commands.add_parser("results", help="every recorded number beside the paper's")
    results.add_argument("--json", action="store_true", help="as JSON")

    board = commands.add_parser("board", help="every predictor on every liquid: the scoreboard")
    board.add_argument("--state", metavar="NAME", help="of one liquid, such as kob-andersen-0.5")
    board.add_argument("--species", default="A", metavar="S", help="A, B or all (default A)")
    board.add_argument(
        "-o", "--output", type=Path, metavar="TABLE",
        help="all states, times and species to a .csv or .parquet file",
    )  # fmt: skip

    build = commands.add_parser("book", help="build the book (what make book calls)")
    build.add_argument("--workers", type=int, default=2, help="pages run at a time (default 2)")
    build.add_argument("--timeout", type=float, default=900, help="seconds a cell may take")
    build.add_argument("--force", action="store_true", help="rebuild everything")
    build.add_argument(
        "--update", action="store_true",
        help="take the numbers of this build for the committed ones (data/results, README.md)",
    )  # fmt: skip

    batch = commands.add_parser("batch", help="run many pages with many parameters")
    batch.add_argument("sweep", type=Path, help="YAML file, such as workflow/sweep.yaml")
    batch.add_argument(
        "--profile", default="laptop", help="laptop, slurm, or a folder with a Snakemake profile"
    )
    batch.add_argument("--jobs", type=int, metavar="N", help="at a time (default: all cores)")
    batch.add_argument("--dry-run", action="store_true", help="check and count, run nothing")
    batch.add_argument("--output", type=Path, metavar="DIR", help="instead of runs/NAME")

    gather = commands.add_parser("gather", help="one table of what many runs recorded")
    gather.add_argument("runs", type=Path, nargs="+", help="folders, looked through for runs")
    gather.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="a .csv or .parquet file"
    )

    lab = commands.add_parser("lab", help="open a copy of the notebooks in JupyterLab")
    lab.add_argument("page", nargs="?", help="e.g. 5/simulation")
    lab.add_argument("--copy-only", action="store_true", help="only copy to work/")

    data = commands.add_parser("data", help="regenerate a chapter's production data")
    data.add_argument("chapter", nargs="?", help="number or folder name of the chapter")
    data.add_argument("--list", action="store_true", help="list its jobs and which are finished")
    data.add_argument("--job", type=int, metavar="K", help="run one of them, for array jobs")
    data.add_argument(
        "--readme", action="store_true", help="bring data/README.md and data/SHA256SUMS up to date"
    )
    data.add_argument("--check", action="store_true", help="with --readme: only say if it is stale")

    fetch = commands.add_parser("fetch", help="bring public data of others to this machine")
    fetch.add_argument("name", help="botan: ten configurations of the 3D Kob–Andersen mixture")
    fetch.add_argument(
        "--from", dest="source", type=Path, metavar="DIR",
        help="take the files from a local copy; no network is needed",
    )  # fmt: skip
    fetch.add_argument("--force", action="store_true", help="replace files that are wrong")

    own.add(commands)

    readme = commands.add_parser("readme", help="bring the table in README.md up to date")
    readme.add_argument("--check", action="store_true", help="only say if it is stale")

    check = commands.add_parser("check", help="open the built pages in headless Chromium")
    check.add_argument("--html", type=Path, metavar="DIR", help="built book (default _build/html)")
    check.add_argument(
        "--screens", type=Path, metavar="DIR", help="screenshots (default _build/screens)"
    )
    check.add_argument("--browser", metavar="PATH", help="chromium executable")
    check.add_argument("pages", nargs="*", help="only these pages")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0 on success; 1 if a page, the build or a check failed; 2 for a request that cannot be met.
    """
    arguments = parser().parse_args(_split_pairs(sys.argv[1:] if argv is None else argv))
    command = {
        "run": _run, "results": _results, "board": _board, "book": _book, "data": _data,
        "fetch": _fetch,
        "readme": _readme, "check": _check, "batch": _batch, "gather": _gather, "lab": _lab,
        "predict": own.run, "models": own.run, "describe": own.run, "label": own.run,
    }[arguments.command]  # fmt: skip
    try:
        code = _explain(command, arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; nothing more can be said, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _split_pairs(argv: Sequence[str]) -> list[str]:
    """``-p NAME=VALUE`` as ``-p NAME VALUE``."""
    split: list[str] = []
    for word in argv:
        pair = re.fullmatch(r"([A-Za-z_]\w*)=(.*)", word, re.DOTALL)
        after = split[-1:] in (["-p"], ["--parameter"])
        split += pair.groups() if pair and after else [word]
    return split


def _explain(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command; whatever can go wrong is said in one line."""
    from .batches import BatchFailed
    from .book.building import BuildError
    from .book.notebooks import PageError
    from .book.reporting import StaleError
    from .book.running import PageFailed
    from .engines.base import EngineError

    try:
        return command(arguments)
    except BrokenPipeError:
        raise
    except (PageFailed, BuildError, StaleError, BatchFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except PageError as error:
        print(error, file=sys.stderr)
        return 2
    except (FileNotFoundError, ValueError, PermissionError, EngineError) as error:
        print(f"glasslib {arguments.command}: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(
            f"glasslib {arguments.command}: out of memory ({error}); ask for less at a time.",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        from .writing import explain

        where = f"{error.filename}: " if error.filename else ""
        print(f"glasslib {arguments.command}: {where}{explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept", file=sys.stderr)
        return 130


def _run(a: argparse.Namespace) -> int:
    from . import writing
    from .book import notebooks, running

    if "GLASSLIB_PARENT" in os.environ:
        writing.end_with(int(os.environ.pop("GLASSLIB_PARENT")))
    given: dict[str, str] = {}
    for name, value in a.parameter:
        if name in given:
            raise notebooks.PageError(
                f"parameter {name} is given twice, {given[name]!r} and {value!r}; expected once."
            )
        given[name] = value
    for name in ("engine", "device"):
        if (value := getattr(a, name)) is not None:
            if name in given:
                raise notebooks.PageError(
                    f"parameter {name} is given twice, {given[name]!r} and {value!r}; "
                    "expected once."
                )
            given[name] = value
    run = running.run_page(
        a.page, parameters=given, preset=a.preset, output=a.output, timeout=a.timeout or None,
        force=a.force, live=a.live, threads=a.threads,
    )  # fmt: skip
    print(book.records_text(run.results["records"]))
    how = "reused" if run.reused else f"{run.seconds:.1f} s"
    print(
        f"\n{run.page} at preset {run.preset}: {how}\n{run.notebook}\n{run.directory}/results.json"
    )
    return 0


def _results(a: argparse.Namespace) -> int:
    records = book.results()
    if a.json:
        print(json.dumps(records, indent=1, ensure_ascii=False))
    else:
        print(book.records_text(records))
    return 0


def _board(a: argparse.Namespace) -> int:
    from . import gathering
    from .studies import scoreboard

    board = scoreboard.read(book.data(6), book.data_root(), book.root())
    known = dict.fromkeys(row.species for rows in board.rows.values() for row in rows)
    if a.species not in known:
        raise ValueError(f"--species is {a.species!r}; expected one of {', '.join(known)}.")
    if a.output:
        rows = board.table()
        gathering.write_table(a.output, rows)
        print(f"{a.output}: {len(rows)} rows")
        return 0
    if a.state and a.state not in board.rows:
        raise ValueError(f"--state is {a.state!r}; expected one of {', '.join(board.rows)}.")
    for state in [a.state] if a.state else board.rows:
        print(
            f"\n{state}: Pearson r of {a.species} at the relaxation time, 95 % over configurations"
        )
        for row in sorted(board.at(state, a.species), key=lambda r: -r.mean[0]):
            print("  {:32s} {:6.3f} [{:.3f}, {:.3f}]".format(row.predictor, *row.mean))
    return 0


def _book(a: argparse.Namespace) -> int:
    from .book import building

    if a.workers < 1:
        raise ValueError(f"--workers is {a.workers}; expected 1 or more: leave it out for 2.")
    building.build(workers=a.workers, timeout=a.timeout, force=a.force, update=a.update)
    return 0


def _data(a: argparse.Namespace) -> int:
    from . import batches
    from .book import notebooks, reporting, running
    from .studies import productions

    if a.readme:
        if reporting.data_readme(check=a.check):
            print("data/README.md, data/SHA256SUMS: updated")
        return 0
    if not a.chapter:
        raise ValueError("no chapter given; expected a number such as 1: glasslib data 1")
    chapter = book.chapter_name(a.chapter)
    if a.list or a.job is not None:
        return _data_jobs(chapter, a.job)
    print(f"writing {book.data_root() / chapter}; stop it at any time, it resumes", flush=True)
    hours = 0.0
    produces = r"preset == \"paper\""  # as JSON has it
    own = [
        page for page in notebooks.list_pages() if page.startswith(f"{chapter}/")
        and produces in notebooks.find_page(page)[1].read_text(encoding="utf-8")
    ]  # fmt: skip
    if not own:
        raise ValueError(f"no page of {chapter} makes data.")
    if chapter.split("-")[0] in productions.CHAPTERS:
        jobs = batches.list_chapter_jobs(chapter)
        done = sum(job.done() >= job.cost for job in jobs)
        print(f"{done} of {len(jobs)} jobs are finished (--list names them)", flush=True)
    for page in own:
        print(f"== {page}", flush=True)
        run = running.run_page(page, preset="paper", timeout=None, live=True)
        hours += run.seconds / 3600
    print(f"done in {hours:.2f} h")
    if book.data_root() == book.root() / "data":
        reporting.data_readme()
    return 0


def _data_jobs(chapter: str, k: int | None) -> int:
    """List the jobs of a chapter, or run one."""
    from . import batches, production
    from .studies import productions

    jobs = batches.list_chapter_jobs(chapter)
    names = [f"job {i} of {len(jobs)}: {productions.name_job(job)}" for i, job in enumerate(jobs)]
    if k is None:
        for name, job in zip(names, jobs):
            print(f"{name}, {100 * job.done() / job.cost:.0f} % finished")
        return 0
    if not 0 <= k < len(jobs):
        raise ValueError(
            f"--job is {k}; expected 0 to {len(jobs) - 1}: glasslib data {chapter} --list"
        )
    print(f"{names[k]} (counted from 0) into {book.data_root() / chapter}", flush=True)
    production.produce([jobs[k]], n_jobs=1)
    return 0


def _batch(a: argparse.Namespace) -> int:
    from . import batches

    print(batches.batch(
        a.sweep, profile=a.profile, jobs=a.jobs, dry_run=a.dry_run, output=a.output
    ))  # fmt: skip
    return 0


def _gather(a: argparse.Namespace) -> int:
    from . import gathering

    gathered = gathering.gather(a.runs)
    gathering.write_table(a.output, gathered.rows)
    print(f"{gathered}: {a.output}")
    return 0


def _lab(a: argparse.Namespace) -> int:
    from .book import copying

    return copying.open_lab(a.page, copy_only=a.copy_only)


def _fetch(a: argparse.Namespace) -> int:
    from . import fetching

    folder = fetching.fetch(a.name, source=a.source, force=a.force)
    data = fetching.DATASETS[a.name]
    print(f"{folder}\n{data.title}\ncite: {data.citation}\nlicence: {data.licence}, {data.home}")
    return 0


def _readme(a: argparse.Namespace) -> int:
    from .book import reporting

    if a.check:
        reporting.check_results()
    if reporting.readme(check=a.check):
        print("README.md: table updated")
    return 0


def _check(a: argparse.Namespace) -> int:
    from .book import browser

    return browser.check(html=a.html, screens=a.screens, executable=a.browser, only=a.pages or None)


if __name__ == "__main__":
    sys.exit(main())
