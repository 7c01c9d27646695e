"""Trained models as files: safetensors with a JSON header, never pickles."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from glasslib.frames import atomic


def write(path: str | os.PathLike, form: str, header: dict, arrays: dict) -> Path:
    """Write ``arrays`` as safetensors, ``form`` and ``header`` as its JSON header; atomically.

    Parameters
    ----------
    form : str
        What the file holds, as ``"glasslib.Autoencoder/1"``; :func:`read` asks for it.
    header : dict
        Anything that JSON can hold.
    arrays : dict of str to array
    """
    from safetensors.numpy import save

    arrays = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
    text = json.dumps({"format": form, **header})
    # safetensors writes several entries of metadata in random order, so there is only one.
    with atomic(path) as temporary:
        temporary.write_bytes(save(arrays, metadata={"glasslib": text}))
    return Path(path)


def read(path: str | os.PathLike, form: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and arrays of a file that :func:`write` wrote.

    Raises
    ------
    ValueError
        If the file is missing, damaged, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no model at {path}; train one and save it there, or check the path.")
    try:
        with safe_open(path, "np") as file:
            text = (file.metadata() or {}).get("glasslib", "{}")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not a readable safetensors file ({reason}).") from error
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a readable safetensors file of a model: its header is no JSON "
            f"({type(error).__name__}). Train and save the model anew."
        ) from error
    if not isinstance(header, dict):
        raise ValueError(
            f"{path}: the header is a {type(header).__name__}; expected an object with the names "
            f"and values that a model saves. {_ANEW}"
        )
    if header.get("format") != form:
        raise ValueError(
            f"{path} holds the format {str(header.get('format'))[:80]!r}; expected {form!r}."
        )
    return header, arrays


_ANEW = "Train and save the model anew."

#: for :func:`check_names`: what an entry of a header may be
Kind = Callable[[object], bool]


def is_integer(value: object, least: int = 0) -> bool:
    """A whole number from ``least`` that numpy can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def is_number(value: object) -> bool:
    """A finite number."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < 1e308 and math.isfinite(value)


def is_rows(value: object) -> bool:
    """A list of objects: what was measured after each epoch."""
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def is_object(value: object) -> bool:
    """An object of names and values."""
    return isinstance(value, dict)


def is_text(value: object) -> bool:
    """A string."""
    return isinstance(value, str)


def _is_anything(_: object) -> bool:
    return True


def check_names(
    path: str | os.PathLike,
    what: str,
    given: object,
    expected: Mapping[str, Kind],
    *,
    optional: tuple[str, ...] = (),
) -> dict:
    """``given`` if it is an object of exactly the ``expected`` names and kinds of values.

    Parameters
    ----------
    what : str
        "header" or "parameters", for the message.
    optional : tuple of str
        Names that may be missing: files were written before they existed.

    Raises
    ------
    ValueError
    """
    if not isinstance(given, dict):
        raise ValueError(
            f"{path}: the {what} is a {type(given).__name__}; expected an object with "
            f"{', '.join(expected)}. {_ANEW}"
        )
    for name, told in (
        ("has the unknown", sorted(set(given) - set(expected))),
        ("lacks", sorted(set(expected) - set(optional) - set(given))),
    ):
        if told:
            raise ValueError(
                f"{path}: the {what} {name} {', '.join(repr(str(t)[:40]) for t in told[:5])}; "
                f"expected {', '.join(expected)}. {_ANEW}"
            )
    for name, value in given.items():
        if not expected[name](value):
            raise ValueError(
                f"{path}: {name} in the {what} is {str(value)[:60]!r}; expected another kind of "
                f"value. {_ANEW}"
            )
    return given


def check_parameters(
    path: str | os.PathLike, given: object, model: object, *, optional: tuple[str, ...] = ()
) -> dict:
    """Parameters of an estimator: its names, and values of the kind of ``model``'s defaults."""

    def kind(default: object) -> Kind:
        if isinstance(default, bool):
            return lambda value: isinstance(value, bool)
        if isinstance(default, int):
            return is_integer
        if isinstance(default, float):
            return is_number
        if isinstance(default, str):
            return is_text
        return _is_anything

    defaults = model.get_params(deep=False)
    return check_names(
        path, "parameters", given, {k: kind(v) for k, v in defaults.items()}, optional=optional
    )


def check_arrays(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    optional: Mapping[str, tuple[int, ...] | None] | None = None,
) -> None:
    """Refuse arrays that lack, exceed or do not have these ``shapes`` of finite numbers.

    Parameters
    ----------
    optional : mapping of str to shape or None, optional
        Arrays that may be missing; of those with None anything goes.

    Raises
    ------
    ValueError
    """
    optional = optional or {}
    missing = sorted(set(shapes) - set(arrays))
    unknown = sorted(set(arrays) - set(shapes) - set(optional))
    if missing or unknown:
        told = f"lacks {', '.join(missing[:5])}" if missing else f"has {', '.join(unknown[:5])}"
        raise ValueError(f"{path} {told[:200]}; expected the arrays that save writes. {_ANEW}")
    for name, shape in {**shapes, **optional}.items():
        if name not in arrays or shape is None:
            continue
        array = arrays[name]
        if array.shape != shape or array.dtype.kind != "f" or not np.all(np.isfinite(array)):
            raise ValueError(
                f"{path}: {name} has shape {array.shape} and type {array.dtype}, or numbers not "
                f"finite; expected {shape}. {_ANEW}"
            )


def rows_of(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], name: str) -> int:
    """The length of an array with one axis, from which other shapes follow."""
    array = arrays.get(name)
    if array is None or array.ndim != 1 or len(array) == 0:
        told = "missing" if array is None else f"of shape {array.shape}"
        raise ValueError(f"{path} lacks {name}, which is {told}; expected one axis. {_ANEW}")
    return len(array)
