"""Compiled functions where their machine code cannot be kept."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import glasslib

PACKAGE = Path(glasslib.__file__).parent
COMPILED = sorted(
    str(path.relative_to(PACKAGE.parent).with_suffix("")).replace(os.sep, ".")
    for path in PACKAGE.rglob("*.py")
    if "njit" in path.read_text() and path.stem != "compiling"
)
#: what is asked of the copy: a search that compiles, and that all else is imported
WORK = """
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
from glasslib import frames, neighbors
row = frames.build([[0, 0, 0], [1, 0, 0], [2.5, 0, 0]], 10.0, [0, 0, 0])
print(neighbors.within(row, 1.2).index.tolist(), neighbors.__file__)
"""


def test_numba_is_asked_for_by_one_helper():
    assert len(COMPILED) >= 6
    for path in PACKAGE.rglob("*.py"):
        if path.stem != "compiling":
            text = path.read_text()
            assert "cache=True" not in text, path
            assert "from numba import njit" not in text, path


def work_in(folder, **environment):
    """Run WORK in a copy of the package that cannot be written, without a home to write to."""
    drop = []
    if os.getuid() == 0:  # root writes anywhere unless it gives that up
        if shutil.which("setpriv") is None:
            pytest.skip("root, and no setpriv to give its rights up")
        lost = "-dac_override,-dac_read_search"
        drop = ["setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}"]
    done = subprocess.run(
        [*drop, sys.executable, "-c", WORK.format(names=COMPILED)],
        # that it compiles is asked, not how well; nothing can be kept, so nobody gets this code
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1",
             "NUMBA_OPT": "0", **environment},
        capture_output=True, text=True, cwd="/", timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith(f"[1, 0] {folder}")


def lock(*paths):
    for path in paths:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_where_nothing_can_be_written(tmp_path):
    root, home = tmp_path / "copy", tmp_path / "home"
    shutil.copytree(PACKAGE, root / "glasslib", ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir()
    lock(*root.rglob("*"), root, home)
    try:
        work_in(root, HOME=str(home))
        work_in(root, HOME=str(home), NUMBA_CACHE_DIR=str(home / "numba"))
    finally:
        for path in (root, home):
            path.chmod(0o755)
        for path in root.rglob("*"):
            path.chmod(path.stat().st_mode | stat.S_IWUSR)


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_a_cache_that_becomes_unwritable_is_done_without(tmp_path, monkeypatch):
    """The folder is there at import, and full or gone when the function is first called."""
    source = tmp_path / "late.py"
    source.write_text(
        "from glasslib.compiling import njit\n\n\n@njit\ndef twice(x):\n    return 2 * x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    late = __import__("late")
    cache = late.twice._cache

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._cache_file, "save", full)
    monkeypatch.setattr(cache._cache_file, "load", full)
    assert late.twice(3) == 6


def test_a_change_where_a_used_function_lives_is_seen(tmp_path):
    """numba looks at the file of the function alone; what it calls is inside its machine code."""
    head = "from glasslib.compiling import njit\n"
    lower = tmp_path / "lower_half.py"
    (tmp_path / "upper_half.py").write_text(
        f"import lower_half\n{head}\n\n@njit(uses=[lower_half])\n"
        "def two():\n    return 2 * lower_half.one()\n"
    )
    code = "import upper_half as u; print(u.two(), sum(u.two.stats.cache_hits.values()))"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PACKAGE.parent}"}

    def ask():
        made = [sys.executable, "-c", code]
        return subprocess.check_output(made, env=environment, text=True).split()

    lower.write_text(f"{head}\n\n@njit\ndef one():\n    return 1\n")
    assert ask() == ["2", "0"]
    assert ask() == ["2", "1"]  # kept
    lower.write_text(f"{head}\n\n@njit\ndef one():\n    return 1.5\n")
    assert ask() == ["3.0", "0"]
