"""Trained models as files: safetensors with a JSON header, never pickles."""

from __future__ import annotations

import json
import os
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
            header = json.loads((file.metadata() or {}).get("glasslib", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is not a readable safetensors file ({error}).") from error
    if header.get("format") != form:
        raise ValueError(f"{path} holds the format {header.get('format')!r}; expected {form!r}.")
    return header, arrays
