"""The pages of the book as files: which there are, and what their parameters cells declare."""

from __future__ import annotations

import ast
import contextlib
import difflib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glasslib.places import chapter_name, data_root, root

PRESETS: tuple[str, ...] = ("smoke", "book", "paper")


class PageError(Exception):
    """A page cannot be run as asked; the message says what came, what was expected, what to do."""


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


def check_preset(preset: str) -> str:
    """Return `preset` if it is one of ``smoke``, ``book``, ``paper``; raise otherwise.

    Raises
    ------
    ValueError
        One line that says what came, what was expected and what to do.
    """
    if preset not in PRESETS:
        raise ValueError(
            f"preset is {preset!r}; expected one of {', '.join(PRESETS)}: "
            "change it in the page's parameters cell or pass --preset book."
        )
    return preset


def list_pages() -> list[str]:
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

    toc = yaml.safe_load((root() / "_toc.yml").read_text(encoding="utf-8"))
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, Mapping):
            name = node.get("file")
            if name and name.startswith("notebooks/"):
                folder = root() / name
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
    folder = root() / "notebooks"
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
            name = f"{chapter_name(chapter)}/{leaf}"
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
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, ValueError, KeyError, AttributeError) as error:
        raise PageError(
            f"{short_path(path)} is not a notebook ({type(error).__name__}); expected nbformat 4 "
            "JSON: restore it with git checkout."
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
            f"{short_path(path)} has {len(cells)} cells tagged 'parameters'; expected exactly one: "
            "tag the cell that holds preset and seed."
        )
    source = cells[0].source
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise PageError(
            f"the parameters cell of {short_path(path)} is not Python (line {error.lineno}: "
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
                f"the parameters cell of {short_path(path)} holds {ast.unparse(node)!r}; expected "
                "only assignments of literals: move the rest to the next cell."
            )
        try:
            default = ast.literal_eval(node.value)
        except ValueError as error:
            raise PageError(
                f"parameter {name} of {short_path(path)} is {ast.unparse(node.value)}; expected a "
                "literal: compute it in a later cell."
            ) from error
        comment = lines[node.end_lineno - 1][node.end_col_offset :].partition("#")[2].strip()
        found[name] = Parameter(name, kind or type(default).__name__, default, comment)
    if "preset" not in found:
        raise PageError(
            f"the parameters cell of {short_path(path)} lacks preset; expected: "
            "preset: str = 'book'"
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
                check_preset(checked[name])
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


def name_run(preset: str, values: Mapping[str, Any]) -> str:
    """Name of a run's folder: preset, parameters, and the data if they are not the book's."""
    parts = [preset, name_values({k: v for k, v in values.items() if k != "preset"})]
    if own_data():
        hashed = hashlib.sha256(os.fsencode(data_root())).hexdigest()[:6]
        parts.append(f"data={_name_value(data_root().name)}~{hashed}")
    name = ",".join(part for part in parts if part)
    if len(name) > 160:  # file systems end at 255 bytes, and locks and scratch folders add to it
        name = f"{name[:150]}~{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return name


def own_data() -> bool:
    """Whether ``GLASSLIB_DATA`` names data that are not the book's."""
    return data_root() != (root() / "data").resolve()


def short_path(path: Path) -> str:
    """A path relative to the working directory where that is shorter."""
    with contextlib.suppress(ValueError):
        return os.fspath(Path(path).resolve().relative_to(Path.cwd().resolve()))
    return os.fspath(path)
