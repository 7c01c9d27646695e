"""A page in JupyterLab, in a real browser: it opens, runs, draws, and says what papermill says."""

import importlib.util
import json

import pytest

from glasslib import book
from glasslib.book import browser, copying, notebooks, running


def missing():
    """Why JupyterLab cannot be looked at here; empty where it can."""
    for module in ("jupyterlab", "playwright"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    try:
        browser.find_chromium()
    except FileNotFoundError as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.page
@pytest.mark.skipif(bool(missing()), reason=missing() or "-")
def test_a_page_changed_by_hand_in_jupyterlab_says_what_papermill_says(tmp_path, monkeypatch):
    import lab

    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    copying.copy_pages(tmp_path / "work")
    page = "0-start/how-to-read"
    changed = {"n_particles": 300, "n_replicas": 6}  # which no other run has
    by_hand = book.root() / "_build" / "interactive" / page
    by_hand /= notebooks.name_run("smoke", changed)
    (by_hand / "results.json").unlink(missing_ok=True)
    with lab.serve(tmp_path / "work") as address, lab.chromium() as browsing:
        notebook = lab.Notebook(browsing, address, f"{page}.ipynb")
        notebook.set('preset: str = "book"', 'preset: str = "smoke"')
        notebook.set("n_particles: int = 1000", "n_particles: int = 300")
        notebook.set("n_replicas: int = 32", "n_replicas: int = 6")
        cells = notebook.run()
        drawn = {k: notebook.count_drawn(k) for k, cell in enumerate(cells) if cell["plots"]}
    assert [cell["errors"] for cell in cells if cell["errors"]] == []
    assert all(cell["ran"] for cell in cells if cell["type"] == "code")
    assert notebook.errors == []
    assert len(drawn) > 2
    assert drawn == {k: cells[k]["plots"] for k in drawn}
    found = json.loads((by_hand / "results.json").read_text())
    run = running.run_page(page, preset="smoke", parameters=changed, output=tmp_path / "out")
    assert found["records"] == run.results["records"]
    assert len(found["records"]) >= 2
    assert found["parameters"] == run.results["parameters"]
