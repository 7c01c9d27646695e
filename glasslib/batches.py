"""Many runs: pages × grids of parameters × seeds, and the simulations that they need.

A sweep is a YAML file; :func:`plan` checks it, and says of every run whether it is finished, stale
or missing; Snakemake (``workflow/Snakefile``) runs what is not finished, here or on a cluster.
``glasslib batch`` does both and shows how far it is::

    name: example              # results go to runs/example
    preset: smoke              # of pages that do not say otherwise
    seeds: [0, 1, 2]
    pages:
      - page: 5/descriptors
        grid: {target: [C_B, propensity], species: [A, B]}
        exclude: [{target: propensity, species: B}]
    simulations:               # made before the pages that read them, into runs/example/data
      - chapter: 5
        parameters: {n: 400}
        grid: {temperatures: [[0.8], [0.64]]}
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glasslib import book, writing
from glasslib.book import notebooks, running
from glasslib.book.keys import data_folders, page_key, run_key

if TYPE_CHECKING:
    from glasslib import production

PLAN = "plan.json"
_SWEEP = ("name", "preset", "seeds", "timeout", "threads", "pages", "simulations")
_PAGE = ("page", "preset", "seeds", "parameters", "grid", "exclude")
_SIMULATION = ("chapter", "seeds", "parameters", "grid", "exclude")


class SweepError(notebooks.PageError):
    """A sweep cannot be what it says; the message says what came and what was expected."""


class BatchFailed(Exception):
    """Some runs failed; the message lists them."""


# --------------------------------------------------------------------------- the sweep


@dataclass
class Sweep:
    """A sweep, checked and spelled out.

    Attributes
    ----------
    name : str
    runs : dict
        Folder of a run to ``{"page", "values"}``; ``values`` are what the sweep sets.
    simulations : dict
        Name of a simulation to ``{"chapter", "parameters", "job", "gpu"}``.
    data : pathlib.Path or None
        Where simulations go and pages read; None for the book's.
    timeout, threads : float, int
        Of every run: seconds a cell may take (0: no limit), threads of a page.
    """

    name: str
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    simulations: dict[str, dict[str, Any]] = field(default_factory=dict)
    data: Path | None = None
    timeout: float = 900
    threads: int = 1


def read_sweep(path: str | os.PathLike[str], folder: Path | None = None) -> tuple[Sweep, Path]:
    """A sweep and the folder of its runs; whatever is misspelt or out of range is refused.

    Parameters
    ----------
    path : path
        YAML.
    folder : path, optional
        Instead of ``runs/NAME`` in the clone.

    Raises
    ------
    SweepError, PageError
        In one line, before anything runs.
    """
    import yaml

    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SweepError(f"there is no sweep {path}; expected a YAML file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise SweepError(f"{path} is not YAML ({told[:200]}); see workflow/sweep.yaml.") from error
    _check_keys(content, _SWEEP, os.fspath(path))
    sweep = Sweep(_text(content.get("name", path.stem), "name"))
    sweep.timeout = _number(content.get("timeout", 900), "timeout")
    sweep.threads = int(_number(content.get("threads", 1), "threads", least=1))
    folder = (folder or book.root() / "runs" / sweep.name).expanduser().resolve()
    if content.get("simulations"):
        sweep.data = folder / "data"
    for entry in _list(content.get("pages", []), "pages"):
        _add_runs(sweep, entry, content)
    for entry in _list(content.get("simulations", []), "simulations"):
        _add_simulations(sweep, entry, content)
    if not sweep.runs and not sweep.simulations:
        raise SweepError(f"{path} names no pages and no simulations; see workflow/sweep.yaml.")
    return sweep, folder


def _add_runs(sweep: Sweep, entry: Any, common: Mapping[str, Any]) -> None:
    _check_keys(entry, _PAGE, "an entry of pages")
    page, path = notebooks.find_page(_text(entry.get("page"), "page"))
    declared = notebooks.parameters(path)
    preset = entry.get("preset", common.get("preset", declared["preset"].default))
    seeds = entry.get("seeds", common.get("seeds"))
    for values in _expand(page, declared, entry, {"preset": preset}, seeds):
        name = f"{page}/{notebooks.name_run(values['preset'], values)}"
        sweep.runs[name] = {"page": page, "values": values}


def _add_simulations(sweep: Sweep, entry: Any, common: Mapping[str, Any]) -> None:
    _check_keys(entry, _SIMULATION, "an entry of simulations")
    productions = _productions()
    chapter = book.chapter_name(entry.get("chapter", ""))
    declared = find_simulation_parameters(chapter)
    page = f"{chapter}/simulation"
    for values in _expand(page, declared, entry, {}, entry.get("seeds")):
        jobs = productions.list_jobs(chapter, sweep.data / chapter, **_full(declared, values))
        for k, job in enumerate(jobs):
            name = f"{chapter.split('-')[0]}-{productions.name_job(job)}"
            new = {"chapter": chapter, "parameters": values, "job": k, "gpu": job.soft}
            old = sweep.simulations.setdefault(name, new)
            if _same_job(old, new, declared, sweep.data) is False:
                raise SweepError(
                    f"two simulations write {job.writes[-1][0].name} with "
                    f"{notebooks.name_values(old['parameters'])} and with "
                    f"{notebooks.name_values(values)}; expected one: use two sweeps."
                )


def _productions() -> Any:
    """What simulates, imported where it is used: most jobs of a sweep run a page and need none."""
    from glasslib.studies import productions

    return productions


def find_simulation_parameters(chapter: str) -> dict[str, notebooks.Parameter]:
    """What a chapter's page *simulation* declares: the parameters of its jobs."""
    return notebooks.parameters(notebooks.find_page(f"{chapter}/simulation")[1])


def list_chapter_jobs(chapter: str) -> list[production.Job]:
    """Jobs of a chapter as its page *simulation* has them, in the data folder of the moment."""
    defaults = _full(find_simulation_parameters(chapter), {})
    return _productions().list_jobs(chapter, book.data_root() / chapter, **defaults)


def _same_job(old: Mapping, new: Mapping, declared: Mapping, data: Path) -> bool:
    """Whether two simulations do the same, although other lists may have led to them."""
    if old is new:
        return True
    made = [
        _productions().list_jobs(
            s["chapter"], data / s["chapter"], **_full(declared, s["parameters"])
        )
        for s in (old, new)
    ]
    a, b = (jobs[s["job"]].make for jobs, s in zip(made, (old, new)))
    return (a.func, a.args, a.keywords) == (b.func, b.args, b.keywords)


def _expand(
    page: str, declared: Mapping, entry: Mapping, begin: Mapping, seeds: Any
) -> Iterator[dict[str, Any]]:
    """Values of every run of an entry, each checked once."""
    fixed = dict(begin) | _dict(entry.get("parameters", {}), "parameters")
    grid = {name: _list(v, f"grid: {name}") for name, v in _dict(entry.get("grid"), "grid").items()}
    if seeds is not None:
        if isinstance(seeds, bool):
            raise SweepError(f"seeds is {seeds!r}; expected how many, or a list of them.")
        seeds = range(seeds) if isinstance(seeds, int) else _list(seeds, "seeds")
        grid.setdefault("seed", list(seeds))
    for name, values in grid.items():
        if not values:
            raise SweepError(f"{name} of page {page} has no values in grid; expected one or more.")
    if both := sorted(set(grid) & set(fixed) - {"preset"}):
        raise SweepError(f"{both[0]} of page {page} is in parameters and in grid; expected once.")
    for name in grid:
        fixed.pop(name, None)

    def check(name: str, value: Any) -> Any:
        different = notebooks.check_parameters(page, declared, {name: value})
        return different.get(name, declared[name].default)

    fixed = {name: check(name, value) for name, value in fixed.items()}
    axes = [[(name, check(name, value)) for value in values] for name, values in grid.items()]
    excluded = [_dict(e, "exclude") for e in _list(entry.get("exclude", []), "exclude")]
    excluded = [{name: check(name, value) for name, value in e.items()} for e in excluded]
    for combination in itertools.product(*axes):
        values = fixed | dict(combination)
        if not any(all(values.get(n, _NO) == v for n, v in e.items()) for e in excluded if e):
            yield values


_NO = object()


def _full(declared: Mapping[str, notebooks.Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: p.default for name, p in declared.items()} | dict(values)


def _check_keys(content: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(content, dict):
        raise SweepError(f"{where} is {content!r:.60}; expected names such as {known[0]}: …")
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise SweepError(f"{where} has {key!r}{hint}; expected {', '.join(known)}.")


def _dict(value: Any, what: str) -> dict:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SweepError(f"{what} is {value!r:.60}; expected names and values.")
    return value


def _list(value: Any, what: str) -> list:
    if value is None:
        return []
    if not isinstance(value, list):
        raise SweepError(f"{what} is {value!r:.60}; expected a list: [{value!r:.40}].")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip() or (what == "name" and "/" in value):
        raise SweepError(f"{what} is {value!r:.60}; expected a short text.")
    return value


def _number(value: Any, what: str, least: float = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        raise SweepError(f"{what} is {value!r:.60}; expected a number, {least:g} or more.")
    return value


# --------------------------------------------------------------------------- the plan


def plan(sweep: Sweep, folder: Path) -> dict[str, Any]:
    """What is to be done: of each run and simulation, whether it is finished, stale or missing.

    A run is stale when its page, glasslib, the data or the engines have changed since: its key is
    another (:func:`glasslib.book.keys.run_key`). A simulation is finished when its files are those
    that it left.

    Returns
    -------
    dict
        As ``plan.json`` holds it: ``runs`` and ``simulations`` by name, each with ``state``, runs
        with ``needs`` (names of simulations) and ``id`` (Snakemake's wildcards hold no commas).
    """
    simulations = {
        name: s | _look_at_simulation(sweep, folder, name) for name, s in sweep.simulations.items()
    }
    keys: dict[tuple[str, ...], str] = {}
    declared: dict[str, dict] = {}
    chapters: dict[str, set[str]] = {}
    runs = {}
    with data_of(sweep.data):
        for name, run in sweep.runs.items():
            page = run["page"]
            if page not in declared:
                path = notebooks.find_page(page)[1]
                declared[page] = notebooks.parameters(path)
                chapters[page] = {f.name for f in data_folders(page, path)}
            full = _full(declared[page], run["values"])
            needs = _find_needs(full, chapters[page], simulations)
            state = "missing"
            if (folder / name / "results.json").is_file():
                if any(simulations[one]["state"] != "finished" for one in needs):
                    state = "stale"
                else:
                    path = notebooks.find_page(page)[1]
                    which = (page, *needs)
                    keys[which] = keys.get(which) or _page_key(page, path, simulations, needs)
                    values = notebooks.check_parameters(page, declared[page], run["values"])
                    key = run_key(page, path, values, common=keys[which])
                    there = running.finished(folder / name, page.split("/")[-1])
                    state = "finished" if there and there.get("key") == key else "stale"
            runs[name] = run | {"state": state, "needs": needs, "id": _name_mark(name)}
    return {
        "name": sweep.name, "data": None if sweep.data is None else os.fspath(sweep.data),
        "timeout": sweep.timeout, "threads": sweep.threads, "runs": runs,
        "simulations": simulations,
    }  # fmt: skip


def _name_mark(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _find_needs(
    values: Mapping[str, Any], chapters: set[str], simulations: Mapping[str, Any]
) -> list[str]:
    """Simulations that a run with these values reads; all of a chapter where none fits it."""
    needs: list[str] = []
    for chapter in sorted(chapters):
        mine = [name for name, s in simulations.items() if s["chapter"] == chapter]
        needs += [name for name in mine if _shares(values, simulations[name])] or mine
    return needs


def _shares(values: Mapping[str, Any], simulation: Mapping[str, Any]) -> bool:
    """Whether what a run and a simulation both name is equal, or lists with something in common."""
    return all(
        values[name] == value or _overlap(values[name], value)
        for name, value in simulation["parameters"].items()
        if name in values and name != "seed"
    )


def _overlap(one: Any, other: Any) -> bool:
    return isinstance(one, list) and isinstance(other, list) and any(x in other for x in one)


def _page_key(page: str, path: Path, simulations: Mapping[str, Any], needs: Sequence[str]) -> str:
    """:func:`~glasslib.book.keys.page_key` of a run: of what is simulated, what it needs counts.

    Others may be under way, or come to the sweep later; results that pages keep beside them have
    fingerprints of their own.
    """
    only: dict[str, set[str]] = {s["chapter"]: set() for s in simulations.values()}
    for name in needs:
        only[simulations[name]["chapter"]] |= set(simulations[name]["writes"])
    return page_key(page, path, only)


def _look_at_simulation(sweep: Sweep, folder: Path, name: str) -> dict[str, Any]:
    """The state of a simulation, and its files in the chapter's folder."""
    job = _find_job(sweep.simulations[name], sweep.data)
    chapter = sweep.data / sweep.simulations[name]["chapter"]
    found = {"writes": [path.relative_to(chapter).as_posix() for path, _, _ in job.writes]}
    mark = folder / "simulations" / f"{name}.json"
    try:
        left = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return found | {"state": "missing"}
    same = left == _describe_files(path for path, _, _ in job.writes)
    return found | {"state": "finished" if same and job.done() >= job.cost else "stale"}


def _find_job(simulation: Mapping[str, Any], data: Path) -> production.Job:
    chapter = simulation["chapter"]
    full = _full(find_simulation_parameters(chapter), simulation["parameters"])
    return _productions().list_jobs(chapter, data / chapter, **full)[simulation["job"]]


def _describe_files(paths: Iterator[Path]) -> dict[str, list[int]]:
    return {
        path.name + "/" + path.parent.name: [path.stat().st_size, path.stat().st_mtime_ns]
        for path in paths
        if path.exists()
    }


class data_of:
    """``GLASSLIB_DATA`` set to a folder while the context lasts; None leaves it alone."""

    def __init__(self, data: str | os.PathLike[str] | None) -> None:
        self.data = data

    def __enter__(self) -> None:
        self.before = os.environ.get("GLASSLIB_DATA")
        if self.data is not None:
            os.environ["GLASSLIB_DATA"] = os.fspath(self.data)

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            os.environ.pop("GLASSLIB_DATA", None)
        else:
            os.environ["GLASSLIB_DATA"] = self.before


def write_plan(made: Mapping[str, Any], folder: Path) -> None:
    """The plan as Snakemake and its jobs read it, and a mark for all that is finished.

    Marks are what Snakemake looks at, in ``done`` and ``simulations``: what has none is made.
    Chapters that are not simulated are linked.
    """
    book.write_json(folder / PLAN, made)
    for name, one in made["simulations"].items():
        if one["state"] != "finished":
            (folder / "simulations" / f"{name}.json").unlink(missing_ok=True)
    (folder / "done").mkdir(exist_ok=True)
    for run in made["runs"].values():
        mark = folder / "done" / run["id"]
        if run["state"] == "finished":
            mark.touch()
        else:
            mark.unlink(missing_ok=True)
    if made["data"] is not None:
        data = Path(made["data"])
        simulated = {s["chapter"] for s in made["simulations"].values()}
        for chapter in simulated:
            (data / chapter).mkdir(parents=True, exist_ok=True)
        for theirs in (book.root() / "data").iterdir():
            link = data / theirs.name
            if theirs.is_dir() and theirs.name not in simulated and not link.exists():
                link.symlink_to(theirs.resolve(), target_is_directory=True)


def read_plan(folder: str | os.PathLike[str] = ".") -> dict[str, Any]:
    """What :func:`write_plan` left in a folder."""
    try:
        return json.loads((Path(folder) / PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SweepError(
            f"{Path(folder).resolve()} holds no {PLAN}; expected the folder of a sweep: "
            "glasslib batch SWEEP.yaml makes it."
        ) from error


# --------------------------------------------------------------------------- one of its jobs


def run(name: str, made: Mapping[str, Any], folder: Path) -> None:
    """Execute one run of a plan into its folder, and mark it."""
    one = made["runs"][name]
    with data_of(made["data"]):
        path = notebooks.find_page(one["page"])[1]
        done = running.run_page(
            one["page"], parameters=one["values"], output=folder / name, force=True,
            timeout=made["timeout"] or None, threads=made["threads"],
            common=_page_key(one["page"], path, made["simulations"], one["needs"]),
        )  # fmt: skip
    (folder / "done").mkdir(exist_ok=True)
    (folder / "done" / one["id"]).touch()
    print(f"{name}: {done.seconds:.1f} s")


def simulate(name: str, made: Mapping[str, Any], folder: Path) -> None:
    """Make one simulation of a plan, or go on with it, and say what files it left."""
    job = _find_job(made["simulations"][name], Path(made["data"]))
    job.make()
    files = _describe_files(path for path, _, _ in job.writes)
    book.write_json(folder / "simulations" / f"{name}.json", files)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m glasslib.batches run|simulate NAME`` in the folder of a sweep: one of its jobs.

    Runs go by name or id. Ends with the process ``$GLASSLIB_PARENT``; writes to
    ``logs/NAME.log``.
    """
    kind, name = sys.argv[1:] if argv is None else argv
    if "GLASSLIB_PARENT" in os.environ:
        writing.end_with(int(os.environ.pop("GLASSLIB_PARENT")))
    folder = Path.cwd()
    try:
        made = read_plan(folder)
        if kind == "run":
            name = {one["id"]: full for full, one in made["runs"].items()}.get(name, name)
        log = folder / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
            try:
                {"run": run, "simulate": simulate}[kind](name, made, folder)
            except (notebooks.PageError, ValueError, OSError) as error:
                print(error)
                raise
    except (notebooks.PageError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


# --------------------------------------------------------------------------- all of them


def batch(
    path: str | os.PathLike[str],
    *,
    profile: str = "laptop",
    jobs: int | None = None,
    dry_run: bool = False,
    output: Path | None = None,
    poll: float = 1.0,
) -> Path:
    """Run what a sweep lacks, by Snakemake; show progress and the time left.

    Killed at any time, the same call goes on. Runs that fail keep their readable notebook and do
    not stop the others; they are tried again by the next call.

    Parameters
    ----------
    path : path
        The sweep.
    profile : str
        ``"laptop"``, ``"slurm"``, or a folder with a Snakemake profile.
    jobs : int, optional
        At a time; on a laptop all cores that this process may use, on a cluster what the profile
        says.
    dry_run : bool
        Only check, count and plan.
    output : path, optional
        Folder of the runs, instead of ``runs/NAME``.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    SweepError, PageError
        Before anything runs.
    BatchFailed
        Where runs failed.
    glasslib.writing.BusyError
        Where another process runs this sweep; the message says which.
    """
    _check_snakemake()
    if jobs is not None and jobs < 1:
        raise SweepError(f"--jobs is {jobs}; expected 1 or more: leave it out for all cores.")
    profile_folder = _find_profile(profile)
    sweep, folder = read_sweep(path, output)
    folder.mkdir(parents=True, exist_ok=True)
    with writing.claim(folder):
        made = plan(sweep, folder)
        write_plan(made, folder)
        print(_summarize(made), flush=True)
        todo = _list_todo(made)
        if not todo:
            return folder
        command = _command(folder, profile_folder, jobs)
        if dry_run:
            _dry_run(command, folder)
        else:
            _run_all(command, made, folder, todo, poll)
    return folder


def _check_snakemake() -> None:
    import importlib.util

    if importlib.util.find_spec("snakemake") is None:
        raise SweepError(
            "snakemake is not installed here; expected the extra [batch]: make batch makes an "
            "environment that has it, .venv/batch."
        )


def _find_profile(name: str) -> Path:
    for folder in (Path(name), book.root() / "workflow" / "profiles" / name):
        if (folder / "config.yaml").is_file():
            return folder.resolve()
    known = sorted(p.name for p in (book.root() / "workflow" / "profiles").glob("*/"))
    raise SweepError(
        f"there is no profile {name!r}; expected one of {', '.join(known)}, or a folder with a "
        "config.yaml."
    )


def _summarize(made: Mapping[str, Any]) -> str:
    lines = []
    for kind in ("simulations", "runs"):
        states = [one["state"] for one in made[kind].values()]
        if states:
            counts = [f"{states.count(s)} {s}" for s in ("finished", "stale", "missing")]
            lines.append(f"{len(states)} {kind}: " + ", ".join(counts))
    return "\n".join(lines)


def _list_todo(made: Mapping[str, Any]) -> dict[str, Path]:
    """What is to be made, by name, and its mark in the folder of the sweep."""
    todo = {
        f"simulation {name}": Path("simulations") / f"{name}.json"
        for name, s in made["simulations"].items() if s["state"] != "finished"
    }  # fmt: skip
    return todo | {
        name: Path("done") / r["id"] for name, r in made["runs"].items() if r["state"] != "finished"
    }


_START = (
    "import sys; from glasslib import writing; writing.end_with(int(sys.argv.pop(1)));"
    "from snakemake.cli import main; main()"
)


def _command(folder: Path, profile: Path, jobs: int | None) -> list[str]:
    import joblib

    command = [
        sys.executable, "-c", _START, str(os.getpid()),
        "--snakefile", os.fspath(book.root() / "workflow" / "Snakefile"),
        "--directory", os.fspath(folder), "--profile", os.fspath(profile),
        # this sweep's own lock is held; Snakemake's would survive a kill
        "--nolock", "--keep-going", "--ignore-incomplete", "--rerun-triggers", "mtime",
    ]  # fmt: skip
    text = (profile / "config.yaml").read_text(encoding="utf-8")
    if re.search(r"^executor:", text, re.MULTILINE):
        return command + (["--jobs", str(jobs)] if jobs else [])
    return [*command, "--cores", str(jobs or joblib.cpu_count())]


def _dry_run(command: list[str], folder: Path) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--dry-run", "--quiet", "all"], capture_output=True, text=True, cwd=folder
    )
    if done.returncode:
        raise BatchFailed(f"Snakemake refuses the plan:\n{_tail(done.stdout + done.stderr)}")
    print(f"nothing was run; Snakemake took {time.monotonic() - started:.0f} s to plan it")


def _run_all(
    command: list[str], made: Mapping, folder: Path, todo: dict[str, Path], poll: float
) -> None:
    from tqdm import tqdm

    left, failed, log = dict(todo), {}, folder / "snakemake.log"
    for one in todo:  # what earlier calls said
        (folder / "logs" / f"{one.split()[-1]}.log").unlink(missing_ok=True)
    begun = time.time()
    with (
        log.open("w", encoding="utf-8") as stream,
        tqdm(total=len(todo), unit="job", dynamic_ncols=True, bar_format=_BAR) as bar,
        _ending(subprocess.Popen(command, cwd=folder, stdout=stream, stderr=stream)) as process,
    ):
        ended = False
        while not ended:
            ended = process.poll() is not None  # what has come before is looked at once more
            for one in [one for one, mark in left.items() if (folder / mark).exists()]:
                left.pop(one)
                failed.pop(one, None)
                bar.write(one, sys.stdout)
                bar.update()
            for one in [one for one in left if one in made["runs"] and one not in failed]:
                if why := _find_failure(folder, one, begun):
                    failed[one] = why
                    bar.write(f"FAILED {one}: {why}", sys.stdout)
            if not ended:
                time.sleep(poll)
    if left:
        raise BatchFailed(_describe_failures(left, failed, len(todo), log))


@contextlib.contextmanager
def _ending(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """A process that is told to stop, and then stopped, if the context is left before it ends."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _describe_failures(
    left: Mapping[str, Path], failed: Mapping[str, str], n: int, log: Path
) -> str:
    told = [f"{len(left)} of {n} jobs did not finish; the same command tries them again, alone:"]
    told += [f"  {one}: {why}" for one, why in list(failed.items())[:20]]
    others = [one for one in left if one not in failed]
    said = {one: _read_last(log.parent / "logs" / f"{one.split()[-1]}.log") for one in others}
    told += [f"  {one}: {last}" for one, last in list(said.items())[:20] if last]
    waited = [one for one, last in said.items() if not last]
    if waited:
        told.append(f"  {len(waited)} did not run, or were stopped, such as {waited[0]}")
        if not failed and len(waited) == len(others):
            told.append(_tail(log.read_text(encoding="utf-8")))
    return "\n".join([*told, f"  log: {log}"])


_BAR = "{n_fmt} of {total_fmt} |{bar}| {elapsed} gone, {remaining} left"


def _is_new(path: Path, begun: float) -> bool:
    try:
        return path.stat().st_mtime >= begun - 1
    except OSError:
        return False


def _find_failure(folder: Path, name: str, begun: float) -> str:
    """Why a run failed, and where its notebook lies; empty while it has not."""
    for notebook in (folder / name).glob("*.failed.ipynb"):
        if _is_new(notebook, begun):
            log = folder / "logs" / f"{name}.log"
            lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
            errors = [line.strip() for line in lines if line.startswith("  ") and ": " in line]
            what = next((e for e in errors if _ERROR.match(e)), "a cell failed")
            return f"{what}; read {notebook.name} there"
    return ""


_ERROR = re.compile(r"\w*(Error|Exception|Warning|Iteration|Interrupt): ")


def _read_last(log: Path) -> str:
    """The last line that a job has said; empty if it has said nothing."""
    try:
        return (log.read_text(encoding="utf-8").strip().splitlines() or [""])[-1]
    except OSError:
        return ""


def _tail(text: str, n: int = 12) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-n:])


if __name__ == "__main__":
    sys.exit(main())
