"""Every page of the table of contents, run by papermill at preset smoke."""

import re

import nbformat
import pytest

from glasslib import book
from glasslib.book import notebooks, running

PAGES = notebooks.list_pages()
#: pages of the new form, a lecture that opens with its answer; the others follow
LECTURES = [
    page
    for page in PAGES
    if (book.root() / "notebooks" / page.split("/")[0] / "claims.yml").is_file()
    or page.startswith("7-batches/")
    or page
    in ("0-start/own-trajectory", "0-start/play", "6-scoreboard/scoreboard", "6-scoreboard/record")
]


@pytest.mark.parametrize("page", PAGES)
def test_page_keeps_to_the_template(page):
    _, path = notebooks.find_page(page)
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    declared = notebooks.parameters(path)
    assert declared["preset"].default == "book"
    assert declared["preset"].type == "str"
    assert declared["seed"].type == "int"
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs, "pages are committed without outputs"
            assert cell.execution_count is None
    if page in LECTURES:
        return
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    for part in ("Time on a laptop", "**Questions.**", "**Objectives.**", "**You need.**"):
        assert part in text
    assert "## What to change" in text


@pytest.mark.parametrize("page", PAGES)
def test_every_fold_says_what_it_holds(page):
    for cell in nbformat.read(notebooks.find_page(page)[1], 4).cells:
        if cell.cell_type == "code" and "hide-input" in cell.metadata.get("tags", []):
            name = cell.metadata.get("mystnb", {}).get("code_prompt_show", "")
            assert name.strip(), cell.source[:80]
            assert cell.metadata.mystnb.get("code_prompt_hide") == f"Hide: {name}"


@pytest.mark.parametrize("page", LECTURES)
def test_lectures_are_short_and_open_with_their_answer(page):
    notebook = nbformat.read(notebooks.find_page(page)[1], 4)
    prose = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    assert "**Answer.**" in prose[0]
    headings = [line for text in prose for line in text.splitlines() if line.startswith("#")]
    thing = "row" if page.startswith("7-batches/") else "particle"
    scores = "## The board" if page == "6-scoreboard/scoreboard" else "## Scorecard"
    for part in (f"## One {thing}, by hand", scores, "## Try"):
        assert part in headings
    assert any(line.startswith("## The strongest doubt") for line in headings)
    assert sum(len(text.split()) for text in prose) <= 1000
    # a number in prose would have to be read again after every run: the cells print them
    # (what stands between backticks is a name or a setting)
    for text in prose:
        assert not re.search(r"(?<![\w.])\d+\.\d", re.sub(r"`[^`\n]*`", "", text)), text
    code = [c for c in notebook.cells if c.cell_type == "code"]
    for cell in code:
        lines = cell.source.splitlines()
        assert len(lines) <= 15, cell.source
        assert max(map(len, lines)) <= 100, cell.source
        assert "fmt: skip" not in cell.source
    assert sum(len(re.findall(r"^\s*def ", c.source, re.MULTILINE)) for c in code) <= 2


def count_rows(notebook):
    """Rows of the longest table that a reader sees without opening a fold."""
    longest = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            shown = output.get("data", {}).get("text/html", "")
            if 'class="gl-table' in shown:
                shown = re.sub(r"<details.*?</details>", "", shown, flags=re.DOTALL)
                rows = [
                    t.count("<tr>") for t in re.findall(r"<tbody>.*?</tbody>", shown, re.DOTALL)
                ]
                longest = max([longest, *rows])
    return longest


def test_rows_in_folds_are_not_counted():
    def show(*tables):
        outputs = [
            nbformat.v4.new_output("display_data", {"text/html": t._repr_html_()}) for t in tables
        ]
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=outputs)])

    short, long = ([(k,) for k in range(n)] for n in (3, 30))
    assert count_rows(show(book.Table(["k"], short, caption=""))) == 3
    assert count_rows(show(*(book.Table(["k"], t, caption="") for t in (short, long)))) == 8
    assert count_rows(show(book.Table(["k"], long, caption="", most=None))) == 30


@pytest.mark.page
@pytest.mark.parametrize("page", PAGES)
def test_page_runs_at_smoke(page):
    # a limit for what hangs; beside production a cell has taken minutes
    run = running.run_page(page, preset="smoke", timeout=600)
    assert run.results["page"] == page
    assert run.results["preset"] == "smoke"
    assert run.results["parameters"]["preset"] == "smoke"
    assert run.results["packages"]["numpy"]
    for entry in run.results["records"]:
        assert entry["verdict"] in book.VERDICTS
        assert isinstance(entry["here"], float)
    if page in LECTURES:
        assert count_rows(nbformat.read(run.notebook, 4)) <= book.MOST_ROWS
    _, path = notebooks.find_page(page)
    if "book.record(" in path.read_text(encoding="utf-8"):
        assert run.results["records"], "the page records numbers, and none arrived"


def test_every_notebook_is_in_the_book():
    folder = book.root() / "notebooks"
    there = {
        p.relative_to(folder).with_suffix("").as_posix()
        for p in folder.glob("*/*.ipynb")
        if not p.name.startswith(".")
    }
    assert there == set(PAGES)
