// circuitsvis' chart of the chosen head. circuitsvis cannot take away what it has drawn, so each chart is in a frame of its
// own, which goes with all its memory when the next one is there.

const RESTING = 150; // milliseconds that a slider rests before its step is drawn large
const CHART_STYLE = `
:root { color-scheme: light dark; }
body { margin: 0; overflow: hidden; padding: 0 15px; } /* circuitsvis' rows have margins of -15px */
[style*=aspect-ratio] { width: 100% !important; } /* left to itself it shrinks with a window and never grows again */
@media screen and (prefers-color-scheme: dark) { canvas { filter: invert(1) hue-rotate(180deg); } }
@media print { canvas { height: auto !important; width: 100% !important; } } /* drawn for the width of the screen */`;

function circuitsvisChart(container, data, patterns) {
  const code = document.querySelector("script.av-circuitsvis").textContent;
  let resting;
  return (step, head) => {
    clearTimeout(resting);
    const draw = () => replaceFrame(container, chartPage(chartProperties(data, patterns, step, head), code));
    resting = setTimeout(draw, container.childElementCount ? RESTING : 0);
  };
}

function replaceFrame(container, page) {
  const frame = document.createElement("iframe");
  frame.setAttribute("aria-hidden", "true"); // the element around it has a label
  frame.addEventListener("load", () => {
    while (frame.previousElementSibling) frame.previousElementSibling.remove();
  });
  frame.srcdoc = page;
  container.append(frame);
}

function chartPage(properties, code) {
  const json = JSON.stringify(properties).replaceAll("<", "\\u003c");
  return (
    `<!doctype html><meta charset="utf-8"><style>${CHART_STYLE}</style><div id="chart"></div>` +
    `<script type="application/json">${json}</script><script>${code}</script>`
  );
}

function chartProperties(data, patterns, step, head) {
  const attention = data.tokens.map((_, query) =>
    data.tokens.map((_, key) => (key < patterns.nKeys(query) ? chartValue(patterns, step, head, query, key) : 0)),
  );
  return {
    attention,
    tokens: data.tokens,
    positiveColor: data.color,
    negativeColor: data.faultColor,
    maskUpperTri: data.causal,
    upperTriColor: "#eeeeee",
    zoomed: true,
  };
}

// A number that the chart colors; in a row that does not sum to 1 also the words that it shows for it, see frame.js.
function chartValue(patterns, step, head, query, key) {
  const drawn = patterns.drawn(step, head, query, key);
  const words = patterns.words(step, head, query, key);
  return drawn < 0 ? [drawn, words] : Number(words);
}
