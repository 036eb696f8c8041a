// In the frame of a chart, after circuitsvis. A number in a row that does not sum to 1 comes as [what is colored, the words
// that are shown for it].
const properties = JSON.parse(document.querySelector("[type='application/json']").textContent);
properties.attention = properties.attention.map((row) =>
  row.map((cell) => (Array.isArray(cell) ? { valueOf: () => cell[0], toString: () => cell[1] } : cell)),
);
CircuitsVis.render("chart", CircuitsVis.AttentionPattern, properties);
