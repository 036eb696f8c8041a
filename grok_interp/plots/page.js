"use strict";
// Draws the graphs of a page. One slider sets the step of all that is over training; `watch` has the page reload itself.
(() => {
  const bar = document.getElementById("step-bar");
  const slider = document.getElementById("step");
  const log = document.getElementById("log");
  const steps = JSON.parse(bar.dataset.steps);
  const KEPT = "grok-interp";
  const config = { displayModeBar: false, responsive: true };

  // a heatmap of many cells comes as 16-bit numbers of a unit: written out it would be three times as long
  function unpacked(trace) {
    if (!trace.meta?.unit) return trace;
    const [rows, columns] = trace.z.shape.split(",").map(Number);
    const { unit, zero, gap } = trace.meta;
    const bytes = Uint8Array.from(atob(trace.z.bdata), (byte) => byte.charCodeAt(0));
    const numbers = new Uint16Array(bytes.buffer);
    const values = Float64Array.from(numbers, (number) => (number === gap ? NaN : (number - zero) * unit));
    const z = Array.from({ length: rows }, (_, row) => values.subarray(row * columns, (row + 1) * columns));
    return { ...trace, z };
  }

  const graphs = [...document.querySelectorAll(".graph")].map((element) => {
    const { figure, markers, frames } = JSON.parse(element.querySelector("script").textContent);
    element.replaceChildren();
    if (figure.layout.yaxis.scaleanchor) { // what is square needs no more height than a phone is wide
      figure.layout.height = Math.min(figure.layout.height, element.clientWidth + 90);
    }
    element.style.height = `${figure.layout.height}px`;
    if (matchMedia("(pointer: coarse)").matches) figure.layout.dragmode = false; // a finger scrolls the page
    const drawn = Plotly.newPlot(element, figure.data.map(unpacked), figure.layout, config);
    const shown = element.closest(".drawing").querySelector(".at");
    return { element, markers, frames, drawn, shown, hasLines: figure.data[0]?.type === "scatter", shapes: figure.layout.shapes ?? [], frame: null };
  });

  const nearest = (known, step) =>
    known.reduce((best, each, index) => (Math.abs(each - step) < Math.abs(known[best] - step) ? index : best), 0);

  const marker = ([scale, color], step) => {
    const x = scale * step;
    const line = { color, width: 1.5, dash: "dot" };
    return { type: "line", name: "step", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line };
  };

  function showGraph(graph, step) {
    const { element, markers, frames } = graph;
    if (markers.length) {
      const shown = log.checked && step <= 0 ? [] : markers.map((each) => marker(each, step));
      const type = log.checked && graph.hasLines ? "log" : "linear";
      const axis = element.layout.xaxis.type === type ? {} : { "xaxis.type": type, "xaxis.autorange": true };
      Plotly.relayout(element, { shapes: [...graph.shapes, ...shown], ...axis });
    }
    if (frames.steps.length) {
      const frame = nearest(frames.steps, step);
      if (graph.frame !== frame) Plotly.restyle(element, frames.updates[frame]);
      graph.frame = frame;
      graph.shown.textContent = `At step ${frames.steps[frame].toLocaleString("en")}.`;
    }
  }

  function show() {
    const step = steps[slider.value];
    const text = step.toLocaleString("en");
    document.getElementById("shown-step").textContent = text;
    slider.setAttribute("aria-valuetext", `step ${text}`);
    for (const graph of graphs) showGraph(graph, step);
    document.dispatchEvent(new CustomEvent("training-step", { detail: step }));
  }

  function switchLines(button) {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    for (const { element } of graphs) {
      if (element.closest(".drawing") !== button.closest(".drawing")) continue;
      const chosen = element.data.flatMap((trace, index) => (trace.legendgroup === button.dataset.group ? [index] : []));
      if (chosen.length) Plotly.restyle(element, { visible: on }, chosen);
    }
  }

  function restore() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    sessionStorage.removeItem(KEPT);
    if (!kept) return;
    if (kept.step !== null && steps.length) slider.value = nearest(steps, kept.step);
    log.checked = kept.log;
    scrollTo(0, kept.scroll);
  }

  async function refresh(version) {
    const found = await fetch("/version", { cache: "no-store" }).then((answer) => answer.text()).catch(() => null);
    document.getElementById("gone").hidden = found !== null;
    if (found === null || found === version) return;
    const step = +slider.value === steps.length - 1 ? null : steps[slider.value] ?? null; // at the end: stay at the end
    sessionStorage.setItem(KEPT, JSON.stringify({ scroll: scrollY, step, log: log.checked }));
    location.reload();
  }

  // side by side, a section takes as many rows of 8 pixels as it is high: the next one begins below the shorter column
  const placed = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      target.style.gridRowEnd = `span ${Math.ceil(target.getBoundingClientRect().height / 8)}`;
    }
  });
  for (const section of document.querySelectorAll("main > section")) placed.observe(section);

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => switchLines(button));
  }
  if (steps.length) {
    bar.hidden = false;
    let due = false;
    const later = () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => { due = false; show(); });
    };
    slider.addEventListener("input", later);
    log.addEventListener("change", later);
    for (const { element, markers } of graphs) {
      if (markers.length === 1) {
        element.on("plotly_click", ({ points }) => {
          slider.value = nearest(steps, points[0].x / markers[0][0]);
          later();
        });
      }
    }
  }
  Promise.all(graphs.map((graph) => graph.drawn)).then(() => {
    restore();
    if (steps.length) show();
    document.documentElement.dataset.drawn = "yes";
  }).finally(() => { // not before: a page that is replaced while it draws has no place to keep
    const { version } = document.documentElement.dataset;
    if (version) setInterval(refresh, 2000, version);
  });
})();
