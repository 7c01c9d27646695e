"""A real JupyterLab in a real browser: open a notebook, run it, see what is on the screen."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from glasslib.book import browser

_WHOLE = """() => {
  const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  return panel && panel.context && panel.context.isReady
    && panel.content.widgets.length === panel.context.model.cells.length;
}"""
_RUN = """async () => {
  const app = window.jupyterapp;
  const panel = app.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await app.commands.execute('notebook:run-all-cells');
}"""
_CELLS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.widgets;
  return cells.map(cell => {
    const outputs = cell.model.type === 'code' ? cell.model.outputs.toJSON() : [];
    return {
      type: cell.model.type,
      ran: cell.model.executionCount || 0,
      plots: outputs.filter(o => o.data && 'application/vnd.plotly.v1+json' in o.data).length,
      html: outputs.filter(o => o.data && 'text/html' in o.data).length,
      text: outputs.map(o => o.text || (o.data && o.data['text/plain']) || '').flat().join(''),
      errors: outputs.filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue),
    };
  });
}"""
# a cell is made when it is scrolled to, and so is its plot
_SHOW = """async (k) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = k;
  await notebook.scrollToItem(k, 'start');
}"""
_DRAWN = """(k) => {
  const node = window.jupyterapp.shell.currentWidget.content.widgets[k].node;
  return Array.from(node.querySelectorAll('.js-plotly-plot')).filter(d => {
    const box = d.getBoundingClientRect();
    const marks = '.cartesianlayer .trace path, .cartesianlayer image, canvas';
    return d._fullLayout && box.width > 100 && box.height > 100 && d.querySelector(marks);
  }).length;
}"""
_SET = """([old, replacement]) => {
  const cells = window.jupyterapp.shell.currentWidget.content.widgets;
  const cell = cells.find(c => (c.model.getMetadata('tags') || []).includes('parameters'));
  const source = cell.model.sharedModel.getSource();
  if (!source.includes(old)) throw new Error('no ' + old + ' in ' + source);
  cell.model.sharedModel.setSource(source.replace(old, replacement));
}"""


@contextlib.contextmanager
def serve(folder, environment=None, python=sys.executable):
    """JupyterLab on a folder -> its address; its kernels end with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        python, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        "--ip=127.0.0.1", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True",
        f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0",
        "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    log = Path(folder) / "lab.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            command, cwd=folder, env=os.environ | (environment or {}), stdout=stream, stderr=stream
        )
    try:
        address, begin = f"http://127.0.0.1:{port}", time.monotonic()
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api", timeout=5).read()
                break
            assert server.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() - begin < 400  # a busy machine
            time.sleep(0.2)
        yield address
    finally:
        with contextlib.suppress(OSError):
            sessions = urllib.request.urlopen(f"{address}/api/kernels", timeout=5).read()
            for kernel in json.loads(sessions):
                request = urllib.request.Request(
                    f"{address}/api/kernels/{kernel['id']}", method="DELETE"
                )
                urllib.request.urlopen(request, timeout=30)
        server.terminate()
        server.wait(timeout=30)


@contextlib.contextmanager
def chromium(width=1280, height=900):
    """A page of a headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        driver = p.chromium.launch(
            executable_path=browser.find_chromium(), headless=True,
            args=list(browser.CHROMIUM_FLAGS),
        )  # fmt: skip
        page = driver.new_context(viewport={"width": width, "height": height}).new_page()
        yield page
        driver.close()


class Notebook:
    """A notebook open in JupyterLab."""

    def __init__(self, page, address, path):
        self.page, self.errors = page, []
        page.on("pageerror", lambda e: self.errors.append(str(e).splitlines()[0]))
        page.goto(f"{address}/lab/tree/{path}?reset", timeout=400_000)
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=400_000)
        page.wait_for_function(_WHOLE, timeout=400_000)

    def set(self, old, new):
        """Edit the parameters cell, as a hand would."""
        self.page.evaluate(_SET, [old, new])

    def run(self, seconds=600):
        """Run all cells -> what each of them is and has said."""
        self.page.set_default_timeout(1000 * seconds)
        self.page.evaluate(_RUN)
        return self.page.evaluate(_CELLS)

    def count_drawn(self, k, seconds=20):
        """Plots of cell ``k`` that stand on the screen once it is scrolled to."""
        self.page.evaluate(_SHOW, k)
        begin = time.monotonic()
        while not (n := self.page.evaluate(_DRAWN, k)) and time.monotonic() - begin < seconds:
            self.page.wait_for_timeout(200)
        return n

    def photograph(self, path, k=None):
        if k is not None:
            self.page.evaluate(_SHOW, k)
            self.page.wait_for_timeout(600)
        self.page.screenshot(path=str(path))
