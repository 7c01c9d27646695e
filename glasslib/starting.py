"""What makes a process of the book start sooner: imports without what nobody needs."""

from __future__ import annotations

import sys
from types import ModuleType


def import_nbformat() -> ModuleType:
    """nbformat, without a grammar of web addresses in Unicode that would be compiled first.

    nbformat imports jsonschema, and that imports ``rfc3987_syntax`` where it is installed
    (JupyterLab brings it), which compiles its grammar at import: three quarters of the time that
    it takes to import papermill. Notebooks hold no such addresses, and jsonschema does without the
    package where it is missing; so it is missing here while jsonschema is imported, and there
    again for all others afterwards.

    Returns
    -------
    module
    """
    name = "rfc3987_syntax"
    hide = name not in sys.modules and "jsonschema" not in sys.modules
    if hide:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import nbformat
    finally:
        if hide:
            del sys.modules[name]
    return nbformat
