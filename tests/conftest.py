"""What all tests share: one thread a process beside others, fixed examples, frames made once."""

import os

# Processes that pytest-xdist starts share the cores, and so do the pages that they run. numpy and
# torch read these when they are imported, which is after this file.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")  # what "all cores" means to a page at smoke

import hypothesis

# The same examples everywhere and every time; a machine under load is no failure.
hypothesis.settings.register_profile(
    "glasslib", derandomize=True, deadline=None, database=None, max_examples=25
)
hypothesis.settings.load_profile("glasslib")
