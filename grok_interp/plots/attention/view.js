// One view: thumbnails that choose a head, a slider that chooses a step, the chart, what is wrong with rows, and files.

function show(view) {
  const find = (selector) => view.querySelector(selector);
  const data = JSON.parse(find("script[type='application/json']").textContent);
  const patterns = new Patterns(data);
  const drawChart = mountChart(find(".av-chart > div"));
  const slider = find("input[type=range]");
  const chosen = { step: data.steps.length - 1, head: 0 };
  const thumbnails = data.heads.map((name, head) => thumbnail(name, data.scores[head]));
  find(".av-heads").append(...thumbnails.map(({ button }) => button));

  const title = () => data.heads[chosen.head] + stepSuffix(data.steps[chosen.step]);

  function drawHead() {
    drawChart(chartProperties(data, patterns, chosen.step, chosen.head));
    find(".av-title").textContent = title();
    find(".av-chart").setAttribute("aria-label", `Attention of ${title()}, over ${patterns.size} tokens`);
    find(".av-note").textContent = faultText(patterns.countFaults(chosen.step, chosen.head), patterns.size);
    thumbnails.forEach(({ button }, head) => button.setAttribute("aria-pressed", head === chosen.head));
  }

  function drawStep() {
    thumbnails.forEach(({ button, canvas }, head) => {
      patterns.paint(canvas, chosen.step, head);
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
    document.addEventListener("training-step", ({ detail }) => {  // the slider of the report that this view stands in
      const away = data.steps.map((step) => Math.abs(step - detail));
      const nearest = away.indexOf(Math.min(...away));
      if (nearest === chosen.step) return;
      slider.value = chosen.step = nearest;
      drawStep();
    });
  }
  view.querySelectorAll("button[data-format]").forEach((button) =>
    button.addEventListener("click", () => {
      const step = data.steps[chosen.step];
      const name = `attention-${data.heads[chosen.head]}${step === null ? "" : `-step${step}`}`;
      download(button.dataset.format, svgOf(data, patterns, chosen.step, chosen.head, title()), name);
    }),
  );
  drawStep();
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

// In a notebook the page stands in a frame: it grows with the page, and the picture before it is for when no script runs.
function fitFrame() {
  let frame = null;
  try {
    frame = window.frameElement;
  } catch {
    return; // of another origin: it keeps its size, and the picture stays
  }
  if (!frame) return;
  if (frame.previousElementSibling?.tagName === "IMG") frame.previousElementSibling.style.display = "none";
  const fit = () => (frame.style.height = `${document.body.offsetHeight + 32}px`);
  new ResizeObserver(() => setTimeout(fit)).observe(document.body); // later: at once would be a loop to the browser
}
