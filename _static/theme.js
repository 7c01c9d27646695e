// Figures follow the page: text and grids change with light and dark, disks keep their size in
// the units of the axes. No request leaves the page.
(function () {
  "use strict";
  const INK = { light: "#3b4252", dark: "#d5d9e0" };
  const EDGE = { light: "rgba(30,30,30,0.9)", dark: "rgba(235,235,235,0.9)" };
  const PAPER = { light: "#ffffff", dark: "#22272e" };

  function mode() {
    return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
  }

  function plots() {
    return window.Plotly
      ? Array.from(document.querySelectorAll(".js-plotly-plot")).filter((d) => d._fullLayout)
      : [];
  }

  function recolour(div) {
    const m = mode();
    if (div.dataset.glTheme === m) return Promise.resolve();
    div.dataset.glTheme = m;
    const change = {
      "font.color": INK[m],
      "hoverlabel.bgcolor": PAPER[m],
      "hoverlabel.font.color": INK[m],
    };
    const layout = div._fullLayout;
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) {
        change[key + ".color"] = INK[m];
        change[key + ".tickfont.color"] = INK[m];
        change[key + ".title.font.color"] = INK[m];
      } else if (/^scene\d*$/.test(key)) {
        for (const axis of ["xaxis", "yaxis", "zaxis"]) {
          change[key + "." + axis + ".color"] = INK[m];
          change[key + "." + axis + ".tickfont.color"] = INK[m];
          change[key + "." + axis + ".title.font.color"] = INK[m];
        }
      }
    }
    return window.Plotly.relayout(div, change).then(() => outline(div, m));
  }

  // outlines that tell types apart are ink: dark on white, light on dark
  function outline(div, m) {
    const mine = [EDGE.light, EDGE.dark];
    const traces = [];
    (div.data || []).forEach((trace, i) => {
      const line = trace.marker && trace.marker.line;
      if (line && mine.includes(line.color) && line.color !== EDGE[m]) traces.push(i);
    });
    return traces.length
      ? window.Plotly.restyle(div, { "marker.line.color": EDGE[m] }, traces)
      : Promise.resolve();
  }

  // marker.size holds diameters; sizeref is the length of one pixel on the axes
  function rescale(div) {
    const layout = div._fullLayout;
    if (!layout || !layout.meta || layout.meta.glasslib !== "to-scale" || div._glBusy) return;
    const traces = [];
    const refs = [];
    div._fullData.forEach((trace, i) => {
      if (!trace.marker || !Array.isArray(trace.marker.size) && !ArrayBuffer.isView(trace.marker.size)) return;
      const axis = layout[(trace.xaxis || "x").replace("x", "xaxis")];
      if (!axis || !axis._length) return;
      const ref = Math.abs(axis.range[1] - axis.range[0]) / axis._length;
      if (Math.abs(ref / trace.marker.sizeref - 1) > 0.01) {
        traces.push(i);
        refs.push(ref);
      }
    });
    if (!traces.length) return;
    div._glBusy = true;
    window.Plotly.restyle(div, { "marker.sizeref": refs }, traces).finally(() => {
      div._glBusy = false;
    });
  }

  // panels that stand side by side are put one below the other where each would be too narrow
  // to read; cuts through a configuration may be smaller than curves
  function stack(div) {
    const layout = div._fullLayout;
    if (!layout.meta || layout.meta.glasslib !== "panels") return Promise.resolve();
    const xs = Object.keys(layout).filter((key) => /^xaxis\d*$/.test(key));
    const n = xs.length;
    const picture = layout.yaxis && layout.yaxis.scaleanchor;
    const narrow = div.clientWidth <= 560 || (!picture && div.clientWidth - 80 < 220 * n);
    if (!narrow || n < 2 || div.dataset.glStacked) return Promise.resolve();
    div.dataset.glStacked = "1";
    const each = Math.max(240, layout.height - layout.margin.t);
    const gap = 90 / (n * each);
    const change = { height: n * each + 150, "margin.t": 110, "margin.l": 52 };
    const title = layout.yaxis.title.text;
    xs.forEach((key, k) => {
      const suffix = key.slice(5);
      const top = 1 - k / n;
      const anchored = layout["yaxis" + suffix].scaleanchor;
      change[key + ".domain"] = [0, 1];
      change["yaxis" + suffix + ".domain"] = [top - 1 / n + (k < n - 1 ? gap : 0), top];
      if (!anchored) {
        change["yaxis" + suffix + ".showticklabels"] = true;
        // the title that was given for all panels, or that of an axis which they share; else their own
        const axis = layout["yaxis" + suffix];
        const all = layout.meta.y || (axis.matches ? title : "");
        if (all && !(axis.title && axis.title.text)) change["yaxis" + suffix + ".title.text"] = all;
      }
      if (layout.annotations[k]) {
        change["annotations[" + k + "].x"] = 0.5;
        change["annotations[" + k + "].y"] = top;
      }
    });
    const resize = (height) => {
      for (let box = div; box && box.style.height; box = box.parentElement) {
        box.style.height = height + "px";
      }
    };
    resize(change.height);
    return window.Plotly.relayout(div, change).then(() => {
      // a legend of many lines takes its room from the panels: give it back
      const lacking = Math.round(n * each - div._fullLayout._size.h);
      if (lacking < 20) return null;
      resize(change.height + lacking);
      return window.Plotly.relayout(div, { height: change.height + lacking });
    });
  }

  function adopt(div) {
    if (div.dataset.glAdopted) return;
    div.dataset.glAdopted = "1";
    div.on("plotly_afterplot", () => rescale(div));
    // a wheel over a scene scrolls the page; with Ctrl held it comes closer
    const pass = (event) => {
      if (!event.ctrlKey && div._fullLayout._has("gl3d")) event.stopPropagation();
    };
    div.addEventListener("wheel", pass, { capture: true, passive: true });
    recolour(div)
      .then(() => stack(div))
      .then(() => rescale(div));
  }

  function all() {
    for (const div of plots()) {
      adopt(div);
      recolour(div);
    }
  }

  new MutationObserver(all).observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["data-theme"],
  });
  document.addEventListener("DOMContentLoaded", all);
  window.addEventListener("load", () => {
    all();
    window.setTimeout(all, 400);
    window.setTimeout(all, 2000);
  });
})();
