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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that take long first, so that no process idles at the end beside one that does not.

    And tests of a file that share something which is made once a file stay in one process
    (``--dist loadgroup``), where it is made once.
    """
    weight: dict[str, int] = {}

    def group(item: pytest.Item) -> str:
        made = item._fixtureinfo.name2fixturedefs.values()
        shared = any(one[-1].scope == "module" for one in made)
        return item.path.stem if shared else item.nodeid

    for item in items:
        name = group(item)
        if name != item.nodeid:
            item.add_marker(pytest.mark.xdist_group(name))
        takes = sum(item.get_closest_marker(mark) is not None for mark in ("page", "slow"))
        weight[name] = max(takes, weight.get(name, 0))
    # a group keeps together: what it shares is thrown away when a test of another file comes
    items.sort(key=lambda item: -weight[group(item)])
