// What a view holds: {tokens, heads, scores, steps, causal, cells, faults, color, faultColor, columns, most}.
//
// `cells` has for each step, head and query the weights of the keys, one byte each, 255 for 1; of causal patterns up to the
// query's own place. `faults` has one byte for each step, head and query, or is empty if no row has one. Both are compressed
// by zlib, most weights being 0, and written in base64.
// `columns` is the heads of a layer where those of all layers are shown in order, else 0. Of more than `most` tokens the
// chart is a canvas of ours.

const NOT_A_NUMBER = 2; // a row of fault 1 is one of numbers that do not sum to 1

async function decoded(base64) {
  if (!base64) return new Uint8Array();
  const compressed = Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
  const bytes = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(bytes).arrayBuffer());
}

class Patterns {
  static async of(data) {
    return new Patterns(data, await decoded(data.cells), await decoded(data.faults));
  }

  constructor(data, cells, faults) {
    this.size = data.tokens.length;
    this.causal = data.causal;
    this.nHeads = data.heads.length;
    this.nCells = data.causal ? (this.size * (this.size + 1)) / 2 : this.size ** 2;
    this.cells = cells;
    this.faults = faults;
    this.shades = [data.color, data.faultColor].map(shadesOf);
  }

  nKeys(query) {
    return this.causal ? query + 1 : this.size;
  }

  level(step, head, query, key) {
    const row = this.causal ? (query * (query + 1)) / 2 : query * this.size;
    return this.cells[(step * this.nHeads + head) * this.nCells + row + key];
  }

  fault(step, head, query) {
    return this.faults.length ? this.faults[(step * this.nHeads + head) * this.size + query] : 0;
  }

  countFaults(step, head) {
    const counts = [0, 0, 0];
    for (let query = 0; query < this.size; query++) counts[this.fault(step, head, query)]++;
    return counts;
  }

  // Between -1 and 1: below 0 in rows that do not sum to 1, never 0 there.
  drawn(step, head, query, key) {
    const weight = this.level(step, head, query, key) / 255;
    const fault = this.fault(step, head, query);
    if (fault === 0) return weight;
    return fault === NOT_A_NUMBER ? -1 : -(0.15 + 0.6 * weight);
  }

  words(step, head, query, key) {
    const weight = (this.level(step, head, query, key) / 255).toFixed(3);
    return [weight, `${weight} in a row that does not sum to 1`, "not a number"][this.fault(step, head, query)];
  }

  color(step, head, query, key) {
    return this.shade(this.drawn(step, head, query, key));
  }

  shade(drawn) {
    return this.shades[drawn < 0 ? 1 : 0][Math.round(Math.abs(drawn) * 255)];
  }

  // One pixel for each factor x factor cells: the strongest of them, so that no thin stripe is lost.
  paint(canvas, step, head, factor = 1) {
    const size = Math.ceil(this.size / factor);
    const strongest = new Float32Array(size * size);
    for (let query = 0; query < this.size; query++) {
      const row = Math.floor(query / factor) * size;
      for (let key = 0; key < this.nKeys(query); key++) {
        const place = row + Math.floor(key / factor);
        const drawn = this.drawn(step, head, query, key);
        if (Math.abs(drawn) > Math.abs(strongest[place])) strongest[place] = drawn;
      }
    }
    canvas.width = canvas.height = size;
    const context = canvas.getContext("2d");
    const image = context.createImageData(size, size);
    strongest.forEach((drawn, place) => image.data.set(this.shade(drawn), 4 * place));
    context.putImageData(image, 0, 0);
  }
}

// From white to the color, as [red, green, blue, 255] each.
function shadesOf(color) {
  const full = [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16));
  return Array.from({ length: 256 }, (_, level) => [
    ...full.map((channel) => Math.round(255 + ((channel - 255) * level) / 255)),
    255,
  ]);
}
