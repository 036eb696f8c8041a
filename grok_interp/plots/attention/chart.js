// circuitsvis' AttentionPattern in an element of ours, told to draw again when head or step change.

let nCharts = 0;

// Charts that were mounted once more for each change would pile up in memory, and circuitsvis exports neither React nor
// a way to unmount. So a component of our own stands around its component, and React is asked to render that again.
function mountChart(container) {
  container.id = `attention-chart-${++nCharts}`;
  const element = CircuitsVis.Hello({ name: "" }); // any element of this React, to be filled anew
  let properties, mounted;
  class Chart {
    constructor() {
      mounted = this;
    }
    render() {
      return { ...element, type: CircuitsVis.AttentionPattern, props: properties };
    }
  }
  Chart.prototype.isReactComponent = {};
  return (next) => {
    const first = properties === undefined;
    properties = next;
    if (first) CircuitsVis.render(container.id, Chart);
    else if (mounted) mounted.updater.enqueueForceUpdate(mounted); // not yet mounted: it will read them when it is
  };
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

// A number that the chart colors; in a row that is no distribution also the words that it shows for it.
function chartValue(patterns, step, head, query, key) {
  const drawn = patterns.drawn(step, head, query, key);
  if (drawn >= 0) return Math.round(drawn * 1000) / 1000;
  const weight = (patterns.level(step, head, query, key) / 255).toFixed(3);
  const words = drawn === -1 ? "not a number" : `${weight} in a row that does not sum to 1`;
  return { valueOf: () => drawn, toString: () => words };
}
