"""What all tests share: one thread a process beside others, fixed examples, who runs when."""

import os

# Processes that pytest-xdist starts share the cores, and so do the pages that they run. numpy and
# torch read these when they are imported, which is after this file.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")  # what "all cores" means to a page at smoke

import hypothesis
import pytest

# The same examples everywhere and every time; a machine under load is no failure.
hypothesis.settings.register_profile(
    "glasslib", derandomize=True, deadline=None, database=None, max_examples=25
)
hypothesis.settings.load_profile("glasslib")


def find_group(item: pytest.Item) -> str:
    """The file of a test that shares something made once a file; else empty."""
    made = item._fixtureinfo.name2fixturedefs.values()
    return item.path.stem if any(one[-1].scope == "module" for one in made) else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that take long first, so that no process idles at the end beside one that does not.

    A group keeps together: what it shares is thrown away when a test of another file comes.
    """
    names = [find_group(item) or str(k) for k, item in enumerate(items)]
    weight: dict[str, int] = {}
    for name, item in zip(names, items, strict=True):
        takes = sum(item.get_closest_marker(mark) is not None for mark in ("page", "slow"))
        weight[name] = max(takes, weight.get(name, 0))
    order = sorted(range(len(items)), key=lambda k: -weight[names[k]])
    items[:] = [items[k] for k in order]
