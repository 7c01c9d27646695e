"""Compiled functions whose machine code is kept where it may be written, and works everywhere."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numba


def njit(
    function: Callable | None = None, /, *, uses: Sequence[ModuleType] = (), **options: object
) -> Callable:
    """``numba.njit`` that keeps its machine code on disk if it can and does without if it cannot.

    In a container neither the package nor the home may be writable (or no home exists); numba's
    own ``cache=True`` is an error there, at import. Here the functions are compiled anew in every
    process instead: seconds are lost and nothing else.

    Parameters
    ----------
    uses : sequence of modules
        Whose compiled functions and constants this function takes, and what those take in turn.
        Machine code holds them, but numba only looks whether the file of the function itself has
        changed; with ``uses`` a change there counts too.
    **options
        Of ``numba.njit``; ``cache`` is True unless given.

    Examples
    --------
    >>> @njit
    ... def twice(x):
    ...     return 2 * x
    >>> twice(3)
    6
    """
    if function is None:
        return functools.partial(njit, uses=uses, **options)
    options.setdefault("cache", True)
    try:
        compiled = numba.njit(**options)(function)
    except (RuntimeError, OSError):  # "no locator available", or NUMBA_CACHE_DIR is out of reach
        return numba.njit(**{**options, "cache": False})(function)
    # the disk fills up later, or files of another user lie there: numba looks away on Windows only
    guard = "_guard_against_spurious_io_errors"
    if hasattr(compiled._cache, guard):
        setattr(compiled._cache, guard, lambda: contextlib.suppress(OSError))
    file = getattr(compiled._cache, "_cache_file", None)  # none with cache=False
    if uses and file is not None:
        file._source_stamp = (file._source_stamp, *(_stamp(module) for module in uses))
    return compiled


def _stamp(module: ModuleType) -> tuple[float, int]:
    """When the file of a module was changed, and its length: what numba asks of a function's."""
    found = Path(module.__file__).stat()
    return found.st_mtime, found.st_size
