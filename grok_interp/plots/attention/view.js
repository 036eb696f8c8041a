// One view: thumbnails that choose a head, a slider that chooses a step, the chart, what is wrong with rows, and files.

const THUMBNAIL = 64; // pixels

async function show(view) {
  const find = (selector) => view.querySelector(selector);
  const data = JSON.parse(find("script[type='application/json']").textContent);
  let followed = null; // the step of the report's slider, which may be set before the patterns are unpacked
  let follow = (step) => (followed = step);
  document.addEventListener("training-step", ({ detail }) => follow(detail));
  const patterns = await Patterns.of(data);
  const large = patterns.size > data.most;
  const drawChart = (large ? canvasChart : circuitsvisChart)(find(".av-chart > div"), data, patterns);
  const factor = poolingFactor(patterns.size, THUMBNAIL);
  const slider = find("input[type=range]");
  const chosen = { step: data.steps.length - 1, head: 0 };
  const thumbnails = data.heads.map((name, head) => thumbnail(name, data.scores[head]));
  find(".av-heads").append(...thumbnails.map(({ button }) => button));
  find(".av-heads").classList.toggle("av-grid", data.columns > 0);
  find(".av-heads").style.setProperty("--columns", data.columns);
  // circuitsvis mixes colors in the LAB space, we in that of the screen
  find(".av-bar").style.background = `linear-gradient(to right${large ? "" : " in lab"}, #fff, ${data.color})`;
  find(".av-scale").textContent = factor > 1 ? `Thumbnails: ${poolingText(factor)}.` : "";

  const title = () => data.heads[chosen.head] + stepSuffix(data.steps[chosen.step]);

  function drawHead() {
    drawChart(chosen.step, chosen.head);
    find(".av-title").textContent = title();
    find(".av-chart").setAttribute("aria-label", `Attention of ${title()}, over ${patterns.size} tokens`);
    find(".av-note").textContent = faultText(patterns.countFaults(chosen.step, chosen.head), patterns.size);
    thumbnails.forEach(({ button }, head) => button.setAttribute("aria-pressed", head === chosen.head));
  }

  function drawStep() {
    thumbnails.forEach(({ button, canvas }, head) => {
      patterns.paint(canvas, chosen.step, head, factor);
      button.classList.toggle("av-faulty", patterns.countFaults(chosen.step, head)[0] < patterns.size);
    });
    if (slider) {
      find("output").textContent = slider.ariaValueText = data.steps[chosen.step].toLocaleString("en");
    }
    drawHead();
  }

  thumbnails.forEach(({ button }, head) =>
    button.addEventListener("click", () => {
      chosen.head = head;
      drawHead();
    }),
  );
  slider?.addEventListener("input", () => {
    chosen.step = Number(slider.value);
    drawStep();
  });
  if (slider) {
    follow = (wanted) => {
      slider.parentElement.hidden = true; // the report's slider is the one of the page
      const away = data.steps.map((step) => Math.abs(step - wanted));
      const nearest = away.indexOf(Math.min(...away));
      if (nearest === chosen.step) return;
      slider.value = chosen.step = nearest;
      drawStep();
    };
  }
  view.querySelectorAll("button[data-format]").forEach((button) =>
    button.addEventListener("click", () => {
      const step = data.steps[chosen.step];
      const name = `attention-${data.heads[chosen.head]}${step === null ? "" : `-step${step}`}`;
      download(button.dataset.format, svgOf(data, patterns, chosen.step, chosen.head, title()), name);
    }),
  );
  drawStep();
  if (followed !== null) follow(followed);
  view.classList.add("av-ready");
  fitFrame();
}

function thumbnail(name, score) {
  const button = document.createElement("button");
  const canvas = document.createElement("canvas");
  const label = document.createElement("span");
  button.type = "button";
  canvas.setAttribute("aria-hidden", "true");
  label.textContent = score === undefined ? name : `${name} ${score}`;
  button.append(canvas, label);
  return { button, canvas };
}

function stepSuffix(step) {
  return step === null ? "" : `, step ${step.toLocaleString("en")}`;
}

function faultText([, notOne, notNumbers], size) {
  const told = [];
  if (notNumbers) told.push(`${notNumbers} of ${size} queries hold values that are no numbers`);
  if (notOne) told.push(`${notOne} of ${size} queries hold no weights that sum to 1`);
  return told.length ? `Drawn in vermilion: ${told.join("; ")}.` : "";
}

// In a notebook the page is in a frame, which is told its height, see notebook.js. A message reaches any origin.
function fitFrame() {
  if (window.parent === window) return;
  const tell = () => window.parent.postMessage({ attentionViewHeight: document.body.offsetHeight + 32 }, "*");
  tell();
  new ResizeObserver(() => setTimeout(tell)).observe(document.body); // later: at once would be a loop to the browser
}
