// The chosen head as an SVG that stands alone, and the same as a PNG.

const CELL = 12;
const SVG = "http://www.w3.org/2000/svg";

function svgOf(data, patterns, step, head, title) {
  const margin = 30 + 7 * Math.max(...data.tokens.map((token) => [...token].length));
  const height = margin + patterns.size * CELL + 30;
  const width = Math.max(height - 20, 330);
  const svg = add(null, "svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  add(svg, "rect", { width, height, fill: "white" });
  const text = { "font-family": "sans-serif", "font-size": 10, fill: "#333" };
  const place = (index) => margin + index * CELL;
  add(svg, "text", { ...text, x: 10, y: 18, "font-size": 13 }, `${title}: queries are rows, keys columns`);
  data.tokens.forEach((token, index) => {
    const along = place(index) + 0.8 * CELL;
    add(svg, "text", { ...text, x: margin - 5, y: along + 20, "text-anchor": "end" }, token);
    add(svg, "text", { ...text, transform: `translate(${along} ${margin + 15}) rotate(-90)` }, token);
    for (let key = 0; key < patterns.nKeys(index); key++) {
      const [red, green, blue] = patterns.color(step, head, index, key);
      if (red + green + blue === 3 * 255) continue;
      const cell = { x: place(key), y: place(index) + 20, width: CELL, height: CELL };
      add(svg, "rect", { ...cell, fill: `rgb(${red},${green},${blue})` });
    }
  });
  const frame = { x: margin, y: margin + 20, width: patterns.size * CELL, height: patterns.size * CELL };
  add(svg, "rect", { ...frame, fill: "none", stroke: "#999" });
  return new XMLSerializer().serializeToString(svg);
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
