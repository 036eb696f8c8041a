// The chosen head of more tokens than circuitsvis draws: all of it scaled down, and a window in which each weight is a cell.

const OVERVIEW = 512; // pixels of the overview, at most
const WINDOW = 40; // tokens of the window
const CELL_SIZE = 11; // pixels of a cell in the window
const SHARP = 2; // canvas pixels per CSS pixel

function poolingFactor(size, most) {
  return Math.ceil(size / most);
}

function poolingText(factor) {
  return factor === 1 ? "" : `a pixel is the largest of ${factor} x ${factor} weights`;
}

function canvasChart(container, data, patterns) {
  const factor = poolingFactor(patterns.size, OVERVIEW);
  const [all, overview, frame] = ["div", "canvas", "div"].map((name) => document.createElement(name));
  const [detail, value] = ["canvas", "p"].map((name) => document.createElement(name));
  const scale = document.createElement("p");
  all.className = "av-overview";
  frame.className = "av-window-frame";
  detail.className = "av-window";
  detail.tabIndex = 0;
  detail.setAttribute("aria-label", "window; arrow keys move it");
  value.className = "av-value";
  value.setAttribute("aria-live", "polite");
  scale.className = "av-quiet";
  all.append(overview, frame);
  container.append(all, detail, value, scale);
  const last = patterns.size - WINDOW;
  const shown = { step: 0, head: 0, query: last, key: last };

  function drawWindow() {
    paintWindow(detail, data, patterns, shown);
    const percent = (tokens) => `${(100 * tokens) / patterns.size}%`;
    Object.assign(frame.style, { left: percent(shown.key), top: percent(shown.query), width: percent(WINDOW), height: percent(WINDOW) });
    const range = (start) => `${start.toLocaleString("en")} to ${(start + WINDOW - 1).toLocaleString("en")}`;
    value.textContent = `Window: queries ${range(shown.query)}, keys ${range(shown.key)}; a cell is one weight.`;
  }

  function moveTo(query, key) {
    const within = (start) => Math.min(Math.max(Math.round(start), 0), last);
    Object.assign(shown, { query: within(query), key: within(key) });
    drawWindow();
  }

  const center = ({ offsetX, offsetY, buttons, type }) => {
    if (type === "pointermove" && !buttons) return;
    const tokens = patterns.size / overview.clientWidth;
    moveTo(offsetY * tokens - WINDOW / 2, offsetX * tokens - WINDOW / 2);
  };
  overview.addEventListener("pointerdown", center);
  overview.addEventListener("pointermove", center);
  detail.addEventListener("keydown", (event) => {
    const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [];
    if (down === undefined) return;
    event.preventDefault();
    moveTo(shown.query + (down * WINDOW) / 2, shown.key + (right * WINDOW) / 2);
  });
  detail.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const margin = marginOf(data.tokens);
    const [query, key] = [offsetY, offsetX].map((offset) => Math.floor((offset * detail.width / SHARP / detail.clientWidth - margin) / CELL_SIZE));
    if (Math.min(query, key) < 0 || Math.max(query, key) >= WINDOW) return;
    value.textContent = cellText(data, patterns, shown, shown.query + query, shown.key + key);
  });
  scale.textContent = `All ${patterns.size.toLocaleString("en")} tokens: ${poolingText(factor)}. A click or arrow keys move the window.`;

  return (step, head) => {
    Object.assign(shown, { step, head });
    patterns.paint(overview, step, head, factor);
    drawWindow();
  };
}

function cellText(data, patterns, { step, head }, query, key) {
  const place = (name, index) => `${name} ${index.toLocaleString("en")} ${data.tokens[index]}`;
  const weight = key < patterns.nKeys(query) ? patterns.words(step, head, query, key) : "after the query";
  return `${place("query", query)} → ${place("key", key)}: ${weight}`;
}

function marginOf(tokens) {
  return 10 + 6.5 * Math.max(...tokens.map((token) => [...token].length));
}

function paintWindow(canvas, data, patterns, { step, head, query: top, key: left }) {
  const margin = marginOf(data.tokens);
  canvas.width = canvas.height = SHARP * (margin + WINDOW * CELL_SIZE);
  const context = canvas.getContext("2d");
  context.scale(SHARP, SHARP);
  context.font = "10px monospace";
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (let row = 0; row < WINDOW; row++) {
    const along = margin + (row + 0.5) * CELL_SIZE;
    context.fillStyle = "#333";
    context.fillText(data.tokens[top + row], margin - 4, along);
    context.save();
    context.translate(along, margin - 4);
    context.rotate(Math.PI / 2);
    context.fillText(data.tokens[left + row], 0, 0);
    context.restore();
    for (let column = 0; column < WINDOW; column++) {
      const masked = left + column >= patterns.nKeys(top + row);
      const color = masked ? [238, 238, 238] : patterns.color(step, head, top + row, left + column);
      context.fillStyle = `rgb(${color.slice(0, 3)})`;
      context.fillRect(margin + column * CELL_SIZE, margin + row * CELL_SIZE, CELL_SIZE, CELL_SIZE);
    }
  }
}
