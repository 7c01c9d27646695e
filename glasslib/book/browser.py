"""Open the built pages in headless Chromium and see that they are whole.

Every request that would leave the machine is refused and counted as an error. A page passes if

* it loads without script error, at desktop and at telephone width, light and dark;
* as many plots have really drawn as the page's outputs hold, in two dimensions and three;
* all mathematics is typeset;
* nothing makes the page wider than a 390-pixel screen;
* no raw ``$`` of TeX is left in the text.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import threading
from pathlib import Path
from typing import Any

from glasslib import book

CHROMIUM_FLAGS: tuple[str, ...] = (
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
#: the theme declares this twice on every page, which does no harm
_KNOWN_ERRORS = ("THEBE_JS_URL",)
_PLOTLY = "application/vnd.plotly.v1+json"
_WEBGL = {"scatter3d", "surface", "mesh3d", "isosurface", "volume", "cone", "streamtube"}

_SWITCH = """(mode) => {
  document.documentElement.dataset.mode = mode;
  document.documentElement.dataset.theme = mode;
}"""

_STATE = """() => {
  const plots = Array.from(document.querySelectorAll('.plotly-graph-div'));
  const drawn = plots.filter(d => {
    if (!d._fullLayout || !d.querySelector('.main-svg')) return false;
    if (d.querySelector('.no-webgl, .gl-error')) return false;
    const box = d.getBoundingClientRect();
    if (box.width < 100 || box.height < 100) return false;
    return d._fullLayout._has('gl3d')
      ? d._fullLayout._subplots.gl3d.every(s => d._fullLayout[s]._scene
          && d._fullLayout[s]._scene.glplot && !d._fullLayout[s]._scene.glplot.stopped
          && Object.keys(d._fullLayout[s]._scene.traces).length > 0)
      : d.querySelectorAll('.cartesianlayer .trace path, .cartesianlayer image, '
        + '.pielayer path, .polarlayer .trace path, .gl-canvas').length > 0;
  });
  const article = document.querySelector('article') || document.body;
  const text = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  const raw = [];
  while (text.nextNode()) {
    const n = text.currentNode;
    if (n.parentElement.closest('pre, code, script, style, mjx-container')) continue;
    if (/\\$[^$]+\\$|\\\\\\(|\\\\frac|\\\\mathbf/.test(n.nodeValue))
      raw.push(n.nodeValue.trim().slice(0, 60));
  }
  return {
    plots: plots.length,
    drawn: drawn.length,
    webgl: plots.filter(d => d._fullLayout && d._fullLayout._has('gl3d')).length,
    math: document.querySelectorAll('.math.notranslate').length,
    typeset: document.querySelectorAll('.math.notranslate mjx-container').length,
    matherror: document.querySelectorAll('mjx-merror, [data-mjx-error]').length,
    width: document.documentElement.scrollWidth,
    inner: window.innerWidth,
    broken: Array.from(document.images).filter(i => i.complete && !i.naturalWidth)
      .map(i => i.getAttribute('src')),
    raw: raw,
    themed: plots.every(d => !d._fullLayout
      || d.dataset.glTheme === document.documentElement.dataset.theme),
    title: document.title,
  };
}"""

_WIDE = """() => Array.from(document.querySelectorAll('body *')).filter(e => {
  const r = e.getBoundingClientRect();
  if (!(r.right > window.innerWidth + 1 && r.width > 0)) return false;
  for (let p = e.parentElement; p; p = p.parentElement) {
    const o = getComputedStyle(p).overflowX;
    if (o === 'auto' || o === 'scroll' || o === 'hidden') return false;
  }
  return true;
}).slice(0, 3).map(e => e.tagName.toLowerCase() + '.' + e.className)"""

_COLOURS = """async (data) => {
  const image = new Image();
  image.src = 'data:image/png;base64,' + data;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = image.width; canvas.height = image.height;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const p = context.getImageData(0, 0, image.width, image.height).data;
  const seen = new Set();
  for (let i = 0; i < p.length; i += 16)
    seen.add((p[i] >> 4) * 256 + (p[i + 1] >> 4) * 16 + (p[i + 2] >> 4));
  return seen.size;
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing for each request."""


def expected_plots(html: Path) -> dict[str, dict[str, int]]:
    """How many figures each page should show, counted in the sources it was built from.

    Parameters
    ----------
    html : pathlib.Path
        The built book; its sources lie beside it in ``source``.

    Returns
    -------
    dict
        Page path below `html`, without ending, to ``{"plots": …, "webgl": …}``.
    """
    source = html.parent / "source"
    expected = {}
    for path in sorted(source.rglob("*.ipynb")):
        plots = webgl = 0
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if {"remove-output", "remove-cell", "remove_output"} & set(
                cell.get("metadata", {}).get("tags", [])
            ):
                continue
            for output in cell.get("outputs", []):
                figure = output.get("data", {}).get(_PLOTLY)
                if figure is not None:
                    plots += 1
                    webgl += any(t.get("type") in _WEBGL for t in figure["data"])
        name = path.relative_to(source).with_suffix("").as_posix()
        expected[name] = {"plots": plots, "webgl": webgl}
    return expected


def find_chromium(executable: str | None = None) -> str:
    """Path of a Chromium to drive.

    Parameters
    ----------
    executable : str, optional
        ``$CHROMIUM`` and the usual names on the path are tried by default.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    names = [executable] if executable else [os.environ.get("CHROMIUM", ""), "chromium",
                                             "chromium-browser", "google-chrome"]  # fmt: skip
    for name in names:
        found = shutil.which(name) if name else None
        if found:
            return found
    raise FileNotFoundError(
        f"no browser found (looked for {', '.join(n for n in names if n)}); expected Chromium: "
        "install it (Debian: apt-get install chromium) or pass --browser PATH."
    )


def check(
    *,
    html: Path | None = None,
    screens: Path | None = None,
    executable: str | None = None,
    only: list[str] | None = None,
) -> int:
    """Check every page of the built book; print one line a page.

    Parameters
    ----------
    html : pathlib.Path, optional
        The built book; ``_build/html`` by default.
    screens : pathlib.Path, optional
        Folder for screenshots: each page light, dark and at 390 pixels; ``_build/screens`` by
        default.
    executable : str, optional
        See :func:`find_chromium`.
    only : list of str, optional
        Check pages whose path holds one of these texts.

    Returns
    -------
    int
        0 if every page passed, else 1.

    Raises
    ------
    FileNotFoundError
        If the book is not built or no browser is there.
    """
    from playwright.sync_api import sync_playwright

    html = (html or book.root() / "_build" / "html").resolve()
    screens = (screens or book.root() / "_build" / "screens").resolve()
    if not (html / "index.html").is_file():
        raise FileNotFoundError(f"{html} holds no index.html; build the book first: make book")
    chromium = find_chromium(executable)
    expected = expected_plots(html)
    pages = [
        p.relative_to(html).with_suffix("").as_posix()
        for p in sorted(html.rglob("*.html"))
        if not {"_static", "vendor", "_modules", "_sources"} & set(p.relative_to(html).parts)
    ]
    pages = [p for p in pages if p not in ("search", "genindex", "py-modindex", "index")]
    if only:
        pages = [p for p in pages if any(text in p for text in only)]
    if not pages:
        raise FileNotFoundError(f"no page of {html} holds {only}; leave the names out for all.")
    screens.mkdir(parents=True, exist_ok=True)
    missing = [n for n in expected if not (html / f"{n}.html").is_file()]
    failures = [f"{name}: not built" for name in missing]

    handler = functools.partial(_Quiet, directory=str(html))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        with sync_playwright() as p:
            driver = p.chromium.launch(
                executable_path=chromium, headless=True, args=list(CHROMIUM_FLAGS)
            )
            for number, name in enumerate(pages, 1):
                found = _check_page(driver, base, name, expected.get(name), screens)
                failures += [f"{name}: {text}" for text in found["errors"]]
                state = "FAILED" if found["errors"] else "ok"
                print(
                    f"[{number}/{len(pages)}] {name}  {state}: {found['plots']} plots "
                    f"({found['webgl']} in 3D), {found['math']} formulae",
                    flush=True,
                )
            driver.close()
    finally:
        server.shutdown()
        server.server_close()
    for text in failures:
        print(text)
    print(f"{len(pages)} pages, {len(failures)} problems; screenshots in {screens.name}/")
    return 1 if failures else 0


def _check_page(
    driver: Any, base: str, name: str, expected: dict[str, int] | None, screens: Path
) -> dict[str, Any]:
    """Load one page wide and narrow, and see it light and dark each time."""
    errors: list[str] = []
    found: dict[str, Any] = {}
    shot = re.sub("[^A-Za-z0-9.-]+", "_", name)
    for width in (1280, 390):
        context = driver.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="light",
            service_workers="block",
        )
        outside: list[str] = []
        page = context.new_page()
        _watch(context, page, base, width, errors, outside)
        page.goto(f"{base}/{name}.html", wait_until="load", timeout=120_000)
        for mode in ("light", "dark"):
            where = f"{mode}, {width} px"
            page.evaluate(_SWITCH, mode)
            state = _settled(page)
            errors += _judge(state, expected, where, width)
            errors += [f"script did not recolour a plot ({where})"] * (not state["themed"])
            if width == 1280 and mode == "light":
                found = state
                errors += _blank_scenes(page)
            _photograph(page, screens / f"{shot}.{mode}.{width}.png")
        if width == 390 and state["width"] > width:
            errors.append(f"widest at 390 px: {', '.join(page.evaluate(_WIDE)) or 'unknown'}")
        errors += [f"request leaves the machine ({width} px): {url}" for url in outside]
        context.close()
    return {
        "errors": list(dict.fromkeys(errors)),
        "plots": found["drawn"],
        "webgl": found["webgl"],
        "math": found["typeset"],
    }


def _watch(
    context: Any, page: Any, base: str, width: int, errors: list[str], outside: list[str]
) -> None:
    """Refuse requests to elsewhere; note script errors and missing files."""

    def route(r: Any) -> None:
        if r.request.url.startswith((base + "/", "data:", "blob:")):
            r.continue_()
        else:
            outside.append(r.request.url)
            r.abort()

    def broke(error: Any) -> None:
        if not any(known in str(error) for known in _KNOWN_ERRORS):
            errors.append(f"script error ({width} px): {str(error).splitlines()[0]}")

    def answered(response: Any) -> None:
        if response.status >= 400:
            errors.append(f"{response.status} for {response.url.removeprefix(base)} ({width} px)")

    context.route("**/*", route)
    page.on("pageerror", broke)
    page.on("response", answered)


def _photograph(page: Any, path: Path, tallest: int = 6000) -> None:
    """Save the whole page; a tall one in several files, since canvases have a largest size."""
    page.evaluate("window.scrollTo(0, 0)")
    size = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    for part, top in enumerate(range(0, size[1], tallest)):
        target = path if part == 0 else path.with_suffix(f".{part + 1}.png")
        clip = {"x": 0, "y": top, "width": size[0], "height": min(tallest, size[1] - top)}
        page.screenshot(path=str(target), full_page=True, clip=clip, timeout=120_000)


def _settled(page: Any) -> dict[str, Any]:
    """Wait until plots and mathematics stop changing, a minute at most."""
    state = before = None
    for _ in range(200):
        page.wait_for_timeout(300)
        state = page.evaluate(_STATE)
        ready = state["drawn"] == state["plots"] and state["typeset"] == state["math"]
        if ready and state["themed"] and (state == before or not state["plots"]):
            break
        before = state
    return state


def _judge(
    state: dict[str, Any], expected: dict[str, int] | None, where: str, width: int
) -> list[str]:
    """What is wrong with a settled page."""
    errors = []
    plots = (expected or {"plots": 0})["plots"]
    webgl = (expected or {"webgl": 0})["webgl"]
    if state["drawn"] != plots or state["plots"] != plots:
        errors.append(f"{state['drawn']} plots drawn; expected {plots} ({where})")
    if state["webgl"] != webgl:
        errors.append(f"{state['webgl']} 3D plots; expected {webgl} ({where})")
    if state["typeset"] != state["math"]:
        errors.append(f"{state['typeset']} of {state['math']} formulae typeset ({where})")
    if state["matherror"]:
        errors.append(f"{state['matherror']} formulae with errors ({where})")
    if state["width"] > state["inner"]:
        errors.append(f"page is {state['width']} px wide on a screen of {width} ({where})")
    errors += [f"raw TeX in the text ({where}): {text}" for text in state["raw"][:3]]
    errors += [f"image does not load ({where}): {src}" for src in state["broken"]]
    return errors


def _blank_scenes(page: Any) -> list[str]:
    """3D plots whose picture holds hardly any colours: nothing was drawn in them."""
    import base64

    errors = []
    scenes = page.query_selector_all(".plotly-graph-div .gl-container [id^=scene] canvas")
    for number, canvas in enumerate(scenes, 1):
        canvas.scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        picture = base64.b64encode(page.screenshot(clip=canvas.bounding_box())).decode()
        if page.evaluate(_COLOURS, picture) < 8:
            errors.append(f"3D plot {number} is blank")
    return errors
