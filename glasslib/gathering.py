"""From many runs to one table: a row for every recorded number, parameters as columns.

::

    rows = gathering.gather(["runs/example"]).rows
    for group in gathering.group(rows, by=["target", "species"], over=["seed"]):
        print(group.values, group.mean, group.low, group.high)
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import frames, scores

#: columns of every table, before those of parameters
COLUMNS = (
    "page", "run", "exhibit", "quantity", "here", "low", "high", "paper", "unit", "verdict",
    "note", "seconds", "glasslib",
)  # fmt: skip


@dataclass(frozen=True)
class Gathered:
    """Result of :func:`gather`.

    Attributes
    ----------
    rows : list of dict
        One a record; :data:`COLUMNS` and the parameters (one that is called like a column has
        ``parameter_`` before its name).
    runs, failed, broken : int
        Folders with results, folders that hold only the notebook of a failed run, and files that
        are no results.
    """

    rows: list[dict[str, Any]]
    runs: int
    failed: int
    broken: int

    def __str__(self) -> str:
        told = f"{len(self.rows)} numbers of {self.runs} runs"
        if self.failed:
            told += f", {self.failed} failed"
        if self.broken:
            told += f", {self.broken} unreadable"
        return told


def gather(folders: Iterable[str | os.PathLike[str]]) -> Gathered:
    """Every number that the runs below some folders have recorded.

    Parameters
    ----------
    folders : iterable of path
        Looked through for ``results.json``: runs of ``glasslib batch``, ``glasslib run`` and
        papermill alike. A run below two of them counts once; of several folders each run's name
        begins with that of its folder.

    Raises
    ------
    ValueError
        If there is no such folder, or none of them holds a run.
    """
    rows: list[dict[str, Any]] = []
    runs = failed = broken = 0
    folders, seen = [Path(folder) for folder in folders], set()
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}; expected one that holds runs.")
        for place in sorted(_find(folder)):
            if place.resolve() in seen:
                continue
            seen.add(place.resolve())
            file = place / "results.json"
            if not file.is_file():
                failed += 1
                continue
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
                name = place.relative_to(folder).as_posix()
                name = f"{folder.resolve().name}/{name}" if len(folders) > 1 else name
                rows += _list_rows(content, name)
                runs += 1
            except (ValueError, KeyError, TypeError, AttributeError):
                broken += 1
    if not runs:
        raise ValueError(
            f"no run is finished in {', '.join(map(str, folders))} ({failed} failed, {broken} "
            "unreadable); expected folders with results.json, as glasslib batch leaves them."
        )
    return Gathered(rows, runs, failed, broken)


def _find(folder: Path) -> Iterable[Path]:
    for place, inside, files in os.walk(folder):
        inside[:] = [n for n in inside if not n.startswith(".") and n not in ("logs", "data")]
        if "results.json" in files or any(name.endswith(".failed.ipynb") for name in files):
            yield Path(place)


def _list_rows(content: Mapping[str, Any], run: str) -> list[dict[str, Any]]:
    parameters = {
        (f"parameter_{name}" if name in COLUMNS else name): value
        if isinstance(value, (str, int, float, type(None)))
        else json.dumps(value, ensure_ascii=False)
        for name, value in content.get("parameters", {}).items()
    }
    common = {"page": content["page"], "run": run, "seconds": content.get("seconds"),
              "glasslib": content.get("glasslib")}  # fmt: skip
    return [
        {name: (common | record).get(name) for name in COLUMNS} | parameters
        for record in content["records"]
    ]


# --------------------------------------------------------------------------- tables


def list_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of all columns, :data:`COLUMNS` first."""
    return list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))


def write_table(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV or Parquet, by the ending of the name.

    Raises
    ------
    ValueError
        For another ending, or Parquet where pyarrow is not installed.
    """
    path, columns = Path(path), list_columns(rows)
    if path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with frames.atomic(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
    elif path.suffix == ".parquet":
        pyarrow = find_pyarrow(".csv")
        table = {name: _even([row.get(name) for row in rows]) for name in columns}
        with frames.atomic(path) as temporary:
            pyarrow.parquet.write_table(pyarrow.table(table), temporary)
    else:
        raise ValueError(f"output is {path.name}; expected a name that ends in .csv or .parquet.")


def write_columns(path: str | os.PathLike[str], columns: Mapping[str, Any]) -> None:
    """Write columns, arrays of one length, as Parquet.

    Raises
    ------
    ValueError
        Where pyarrow is not installed.
    """
    pyarrow = find_pyarrow(".npz")
    with frames.atomic(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(dict(columns)), temporary)


def _even(values: list[Any]) -> list[Any]:
    """One type a column: numbers, or texts where any value is one."""
    if any(isinstance(v, str) for v in values):
        return [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    if any(isinstance(v, int) and not -(2**63) <= v < 2**63 for v in values):
        return [None if v is None else str(v) for v in values]  # no column holds such a number
    if any(isinstance(v, float) for v in values):
        return [None if v is None else float(v) for v in values]
    return values


def find_pyarrow(instead: str) -> Any:
    """The package pyarrow, or a ValueError that says how to get it, or what to write instead."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(
            "Parquet needs pyarrow, which is not installed here: pip install -e '.[parquet]' adds "
            "it (make batch has it, in .venv/batch); or let the name end in "
            f"{instead}."
        ) from error
    return pyarrow


def read_table(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Rows of a table that :func:`write_table` wrote; numbers are numbers, empty cells None."""
    path = Path(path)
    if path.suffix == ".parquet":
        return find_pyarrow(".csv").parquet.read_table(path).to_pylist()
    with path.open(encoding="utf-8", newline="") as stream:
        return [{k: _parse(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def _parse(text: str) -> Any:
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"True": True, "False": False}.get(text, text)


# --------------------------------------------------------------------------- what varies with what


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but ``over``: one point of a figure.

    Attributes
    ----------
    values : dict
        What the others have in common.
    n : int
        Number of runs.
    mean, low, high : float
        Mean over them and its 95 % interval; that of the run itself where there is one alone,
        NaN where it has none.
    """

    values: dict[str, Any]
    n: int
    mean: float
    low: float
    high: float


def find_varied(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Parameters that take more than one value in these rows, with the values."""
    found = {}
    for name in list_columns(rows):
        if name not in COLUMNS:
            values = list(dict.fromkeys(row.get(name) for row in rows))
            if len(values) > 1:
                found[name] = values
    return found


def group(
    rows: Sequence[Mapping[str, Any]], *, by: Sequence[str], over: Sequence[str] = ("seed",)
) -> list[Group]:
    """Means over ``over`` of what has the same values of ``by``, in the order of the rows.

    Raises
    ------
    ValueError
        Where rows of a group differ in something else: their mean would hide it.
    """
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in by), []).append(row)
    made = []
    for key, members in groups.items():
        hidden = [n for n in find_varied(members) if n not in over and n not in by]
        if hidden:
            raise ValueError(f"a group varies in {hidden[0]} too; add it to by or to over.")
        here = [float(row["here"]) for row in members]
        if len(here) > 1:
            mean, low, high = (float(x) for x in scores.mean_interval(here))
        else:
            mean = here[0]
            low, high = (
                math.nan if members[0].get(end) is None else float(members[0][end])
                for end in ("low", "high")
            )
        made.append(Group(dict(zip(by, key)), len(here), mean, low, high))
    return made
