// The chosen head as an SVG that stands alone, and the same as a PNG.

const CELL = 12;
const SVG = "http://www.w3.org/2000/svg";
const TEXT = { "font-family": "sans-serif", "font-size": 10, fill: "#333" };
const TOP = 20; // of the title
const TICKS = 8; // of many tokens, whose names would not fit

function svgOf(data, patterns, step, head, title) {
  const many = patterns.size > data.most;
  const margin = 30 + 7 * (many ? 5 : Math.max(...data.tokens.map((token) => [...token].length)));
  const side = many ? OVERVIEW : patterns.size * CELL;
  const size = { width: Math.max(margin + side + 70, 380), height: margin + Math.max(side, 80) + 2 * TOP + 10 };
  const svg = add(null, "svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}` });
  add(svg, "rect", { ...size, fill: "white" });
  add(svg, "text", { ...TEXT, x: 10, y: 18, "font-size": 13 }, `${title}: queries are rows, keys columns`);
  (many ? addImage : addCells)(svg, data, patterns, { step, head, margin, side });
  add(svg, "rect", { x: margin, y: margin + TOP, width: side, height: side, fill: "none", stroke: "#999" });
  addBar(svg, data.color, { x: margin + side + 15, y: margin + TOP, height: Math.max(side, 80) });
  const told = [];
  if (many && patterns.size > OVERVIEW) told.push(poolingText(poolingFactor(patterns.size, OVERVIEW)));
  if (patterns.countFaults(step, head)[0] < patterns.size) told.push("vermilion: rows that do not sum to 1");
  if (told.length) add(svg, "text", { ...TEXT, x: 10, y: size.height - 8 }, told.join("; "));
  return new XMLSerializer().serializeToString(svg);
}

function addCells(svg, data, patterns, { step, head, margin }) {
  const place = (index) => margin + index * CELL;
  data.tokens.forEach((token, index) => {
    addLabel(svg, margin, place(index) + 0.8 * CELL, token);
    for (let key = 0; key < patterns.nKeys(index); key++) {
      const [red, green, blue] = patterns.color(step, head, index, key);
      if (red + green + blue === 3 * 255) continue;
      const cell = { x: place(key), y: place(index) + TOP, width: CELL, height: CELL };
      add(svg, "rect", { ...cell, fill: `rgb(${red},${green},${blue})` });
    }
  });
}

// So many cells would be too many elements.
function addImage(svg, data, patterns, { step, head, margin, side }) {
  const canvas = document.createElement("canvas");
  patterns.paint(canvas, step, head, poolingFactor(patterns.size, OVERVIEW));
  const style = "image-rendering: pixelated";
  add(svg, "image", { x: margin, y: margin + TOP, width: side, height: side, href: canvas.toDataURL(), style });
  for (let tick = 0; tick < TICKS; tick++) {
    const index = Math.floor((tick * patterns.size) / TICKS);
    addLabel(svg, margin, margin + (index * side) / patterns.size + 4, index.toLocaleString("en"));
  }
}

// Of a query on the left, and of the key of the same place above.
function addLabel(svg, margin, along, label) {
  add(svg, "text", { ...TEXT, x: margin - 5, y: along + TOP, "text-anchor": "end" }, label);
  add(svg, "text", { ...TEXT, transform: `translate(${along} ${margin + 15}) rotate(-90)` }, label);
}

function addBar(svg, color, { x, y, height }) {
  const gradient = add(svg, "linearGradient", { id: "weights", x1: 0, x2: 0, y1: 1, y2: 0 });
  add(gradient, "stop", { offset: 0, "stop-color": "#fff" });
  add(gradient, "stop", { offset: 1, "stop-color": color });
  add(svg, "rect", { x, y, width: 10, height, fill: "url(#weights)", stroke: "#999" });
  for (const weight of [0, 0.5, 1]) {
    add(svg, "text", { ...TEXT, x: x + 14, y: y + (1 - weight) * height + 4 }, String(weight));
  }
  add(svg, "text", { ...TEXT, transform: `translate(${x + 42} ${y + height}) rotate(-90)` }, "attention weight");
}

function add(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

// Twice as fine as on a screen.
async function pngOf(svg) {
  const image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svg);
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * image.naturalWidth;
  canvas.height = 2 * image.naturalHeight;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

async function download(format, svg, name) {
  const blob = format === "svg" ? new Blob([svg], { type: "image/svg+xml" }) : await pngOf(svg);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
