"""What every page of the book does first and last.

A page calls :func:`setup` once, :func:`data` to find its files, :func:`record` for each number it
compares with its paper, and :func:`comparison` to show them::

    from glasslib import book

    book.setup(page="1-graph-embeddings-2d-lj/evaluation", preset=preset)
    book.record(exhibit="Fig 4d", quantity="Pearson r, energy against MSD", here=0.71,
                low=0.62, high=0.79, paper=0.747, verdict="reproduces")
    book.comparison()

Nothing here imports torch, an engine or the network, and no warning is silenced.
"""

from __future__ import annotations

from glasslib.book.notebooks import PRESETS, check_preset
from glasslib.book.page import (
    MACHINERY,
    RECORDED_PACKAGES,
    data,
    page_results,
    record,
    record_new,
    run_directory,
    setup,
    verdict,
    versions,
    write_json,
    write_text,
)
from glasslib.book.scorecards import comparison, results, scorecard
from glasslib.book.tables import (
    VERDICTS,
    Comparison,
    Overview,
    Table,
    interval,
    number,
    records_html,
    records_text,
)
from glasslib.places import chapter_name, data_root, results_folder, root

__all__ = [
    "Comparison", "MACHINERY", "Overview", "PRESETS", "RECORDED_PACKAGES", "Table", "VERDICTS",
    "chapter_name", "check_preset", "comparison", "data", "data_root", "interval", "number",
    "page_results", "record", "record_new", "records_html", "records_text", "results",
    "results_folder", "root", "run_directory", "scorecard", "setup", "verdict", "versions",
    "write_json", "write_text",
]  # fmt: skip
