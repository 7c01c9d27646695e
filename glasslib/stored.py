"""One way to keep a result that takes long: a file, what it was made of, and how to make it.

A result belongs to its *fingerprint*: settings, inputs, and the code that computes it, docstrings
and comments left out. One of another fingerprint is made anew, or refused where the page only
reads; it is never shown silently::

    print_ = stored.fingerprint(settings={"r_c": 2.3}, inputs=paths, code=[ridge, averaging])
    table = stored.keep(folder / "transfer.json", "energies", print_, lambda: ..., make=paper)

Results are JSON: numbers, texts, lists and dicts. Arrays that are large go to GSD or safetensors.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from glasslib import frames, writing


class StoredError(ValueError):
    """No stored result of these inputs; the message says what to run."""


def fingerprint(
    *,
    settings: Mapping[str, Any],
    inputs: Sequence[Path | np.ndarray | str] = (),
    code: Sequence[ModuleType] = (),
) -> str:
    """Hash of all that a result depends on.

    Parameters
    ----------
    settings : dict
        Anything that JSON can hold; order does not matter.
    inputs : sequence of path, array or str
        Files and arrays by their content; a text stands for itself, such as the published
        checksum of a file that may be absent.
    code : sequence of modules
        Whose statements count; a package names its modules and is refused.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    ValueError
        For a package: its own source says nothing about what its modules compute.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, allow_nan=False).encode())
    for one in inputs:
        if isinstance(one, Path):
            digest.update(hashlib.sha256(one.read_bytes()).digest())
        elif isinstance(one, str):
            digest.update(b"text " + one.encode())
        else:
            array = np.ascontiguousarray(one)
            digest.update(f"{array.dtype.str} {array.shape}".encode() + array.tobytes())
    for module in code:
        if hasattr(module, "__path__"):
            raise ValueError(f"{module.__name__} is a package; name modules of it.")
        digest.update(statements(inspect.getsource(module)).encode())
    return digest.hexdigest()[:16]


def statements(source: str) -> str:
    """What Python source does: its syntax tree without docstrings; comments and layout are gone."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and (
            body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):  # fmt: skip
            node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)


def recall(path: str | os.PathLike, key: str, print_: str) -> Any | None:
    """The result ``key`` of a file if it has this fingerprint; None if not, or if there is none.

    Raises
    ------
    StoredError
        For a file that is not one of :func:`keep`.
    """
    entry = _read(Path(path)).get(key)
    if entry is None or entry["fingerprint"] != print_:
        return None
    return entry["value"]


def keep(
    path: str | os.PathLike,
    key: str,
    print_: str,
    compute: Callable[[], Any],
    *,
    make: bool = True,
    how: str = "",
) -> Any:
    """The stored result of this fingerprint; computed and stored where it is missing.

    Parameters
    ----------
    path : path
        JSON file of several results; written atomically after each.
    key : str
    print_ : str
        From :func:`fingerprint`.
    compute : callable
        Takes no arguments, returns what JSON can hold.
    make : bool
        False: only read; what is missing, or of another fingerprint, is an error.
    how : str
        The command that makes it, for that error.

    Raises
    ------
    StoredError
    """
    path = Path(path)
    entries = _read(path)
    entry = entries.get(key)
    if entry is not None and entry["fingerprint"] == print_:
        return entry["value"]
    if not make:
        why = "is not there" if entry is None else (
            f"was made on {entry['made']} of other inputs, settings or code"
        )  # fmt: skip
        raise StoredError(
            f"{path.name}: {key!r} {why}. " + (f"Make it: {how}" if how else "Make it anew.")
        )
    value = json.loads(json.dumps(compute(), allow_nan=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing.claim(path, wait=True), frames.atomic(path) as temporary:
        entries = _read(path)  # other results may have come meanwhile
        entries[key] = {"fingerprint": print_, "made": time.strftime("%Y-%m-%d"), "value": value}
        text = json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return value


def keep_file(
    path: str | os.PathLike,
    print_: str,
    write: Callable[[Path], object],
    *,
    make: bool = True,
    how: str = "",
) -> Path:
    """A file that holds a result, such as a model; its fingerprint stands in ``made.json`` beside.

    Parameters
    ----------
    path : path
        The file; written by ``write(path)``, which must be atomic, where it is missing.
    print_, make, how
        As for :func:`keep`.

    Returns
    -------
    pathlib.Path
        ``path``, whose content is what was made of this fingerprint.

    Raises
    ------
    StoredError
        Where it is missing and ``make`` is False, or where the file is another one than was made.
    """
    path = Path(path)
    table = path.with_name("made.json")
    known = recall(table, path.name, print_)
    if known is None:

        def compute() -> dict[str, str]:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
            return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

        keep(table, path.name, print_, compute, make=make, how=how)
    elif not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != known["sha256"]:
        raise StoredError(
            f"{path} is missing or another file than made.json beside it knows; restore it, or "
            "delete made.json to make all of that folder anew."
        )
    return path


def made_on(path: str | os.PathLike, key: str) -> str:
    """The day on which a stored result was made, ``2026-11-27``."""
    return _read(Path(path))[key]["made"]


def _read(path: Path) -> dict[str, dict]:
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if all({"fingerprint", "made", "value"} <= set(e) for e in entries.values()):
            return entries
    except (ValueError, AttributeError, TypeError):
        pass
    raise StoredError(f"{path} does not hold stored results; move it away to make it anew.")
