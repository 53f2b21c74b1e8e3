// The boundary explorer: fills the form of explore.md from scores.js and decides by the rule of
// medrl_core/score/boundary.py. tests/book/test_explorer.py compares both over a grid of thresholds.
"use strict";

(() => {
  const { defaults, cases } = window.medrlScores;
  const form = document.getElementById("explorer");
  const STEPS = ["study", "measured", "modality", "model"];
  const FIRST = { measured: "02_support: open, test items", model: "base" };
  const LINES = ["Pass@K", "guess floor", "Acc@1 (greedy)"];
  const BLUE = "#0173b2", GREY = "#595959", RED = "#c04000";

  // What explorer.py wrote of one K.
  const read = (ten) => ({
    pass: ten.slice(0, 3), excess: ten.slice(3, 6), gap: ten.slice(6, 9), floor: ten[9],
  });
  const distinct = (values) => [...new Set(values)];
  const number = (value) => (value === null ? "n/a" : value.toFixed(2));
  const written = ([value, low, high]) => `${number(value)} [${number(low)}, ${number(high)}]`;

  // Missing ends of an interval decide nothing.
  const under = (end, threshold) => end !== null && end < threshold;
  const reaches = (end, threshold) => end !== null && end >= threshold;

  function decide(found, tau, delta) {
    const [support, gap] = [written(found.excess), written(found.gap)];
    if (under(found.excess[2], tau)) {
      return ["bridge", `excess support ${support} lies under ${tau}`];
    }
    if (!reaches(found.excess[1], tau)) {
      return ["undecided", `excess support ${support} may lie on either side of ${tau}`];
    }
    if (under(found.gap[2], delta)) {
      return ["stop", `support suffices and Pass@K exceeds Acc@1 by ${gap}, under ${delta}`];
    }
    if (reaches(found.gap[1], delta)) {
      return ["sharpen", `excess support ${support} reaches ${tau} and Pass@K exceeds Acc@1 by ${gap}`];
    }
    return ["undecided", `support suffices, but the gap ${gap} may lie on either side of ${delta}`];
  }

  function paperRule(found, acc, tau, delta) {
    if (found.pass[0] < tau) return "bridge";
    return found.pass[0] - acc[0] >= delta ? "sharpen" : "stop";
  }

  // Puts choices into a select; what was chosen stays chosen where it still exists.
  function offer(name, values, fallback) {
    const select = form.elements[name];
    const before = select.value;
    select.replaceChildren(...values.map((value) => new Option(value, value)));
    select.value = [before, String(fallback), String(values[0])].find((value) =>
      values.map(String).includes(value),
    );
  }

  function chosenCase() {
    let left = cases;
    for (const step of STEPS) {
      offer(step, distinct(left.map((one) => one[step])), FIRST[step]);
      left = left.filter((one) => one[step] === form.elements[step].value);
    }
    offer("k", Object.keys(left[0].k), defaults.k);
    return left[0];
  }

  const axis = { format: ".0%", grid: true };
  const percent = { type: "quantitative", title: null, axis };
  const share = { ...percent, scale: { domain: [0, 1] } };
  const named = (scale) => ({
    field: "line", type: "nominal", title: null,
    scale: { domain: LINES, range: scale }, legend: { orient: "top", symbolType: "stroke" },
  });
  const common = {
    width: "container", background: "white", autosize: { type: "fit", contains: "padding" },
    config: { font: "sans-serif", axis: { labelFontSize: 13, titleFontSize: 13 },
      legend: { labelFontSize: 13, symbolStrokeWidth: 2.5 }},
  };
  const CHARTS = {
    curve: {
      ...common, height: 260, data: { name: "curve" },
      encoding: { x: { field: "k", type: "ordinal", title: "samples K", axis: { labelAngle: 0 } } },
      layer: [
        { transform: [{ filter: `datum.line === "${LINES[0]}"` }],
          mark: { type: "area", opacity: 0.18, color: BLUE },
          encoding: { y: { ...share, field: "low" }, y2: { field: "high" } } },
        { mark: { type: "line", strokeWidth: 2.5 },
          encoding: { y: { ...share, field: "value" }, color: named([BLUE, GREY, BLUE]),
            strokeDash: named([[1, 0], [7, 4], [2, 3]]) } },
        { data: { name: "chosen" }, mark: { type: "rule", color: RED, strokeWidth: 1.5 } },
        { data: { name: "chosen" }, mark: { type: "point", filled: true, size: 90, color: RED },
          encoding: { y: { ...share, field: "value" } } },
      ],
    },
    rule: {
      ...common, height: 110, data: { name: "rule" },
      encoding: { y: { field: "name", type: "nominal", title: null, sort: null,
        axis: { labelLimit: 160 } } },
      layer: [
        { mark: { type: "rule", strokeWidth: 3, color: BLUE },
          encoding: { x: { ...percent, field: "low" }, x2: { field: "high" } } },
        { mark: { type: "point", filled: true, size: 80, color: BLUE, opacity: 1 },
          encoding: { x: { ...percent, field: "value" } } },
        { data: { name: "ends" }, mark: { type: "point", opacity: 0 },
          encoding: { x: { ...percent, field: "value" }, y: null } },
        { mark: { type: "tick", thickness: 3, size: 38, color: RED },
          encoding: { x: { ...percent, field: "threshold" } } },
      ],
    },
  };
  const views = {}; // by name: nothing, then null while it is being made, then the view

  function draw(name, data, said) {
    form.querySelector(`[data-chart=${name}]`).setAttribute("aria-label", said);
    const view = views[name];
    if (view === undefined) embed(name, data);
    if (!view) return;
    for (const [source, rows] of Object.entries(data)) view.data(source, rows);
    view.resize().runAsync();
  }

  async function embed(name, datasets) {
    views[name] = null;
    const place = form.querySelector(`[data-chart=${name}]`);
    const options = { actions: false, renderer: "svg", tooltip: false };
    const { view } = await window.vegaEmbed(place, { ...CHARTS[name], datasets }, options);
    views[name] = view;
    // The place has a label that says it all.
    place.querySelector("svg").setAttribute("aria-hidden", "true");
    show();
  }

  function curveRows(one) {
    return Object.entries(one.k).map(([k, ten]) => [k, read(ten)]).flatMap(([k, found]) => [
      { k: +k, line: LINES[0], value: found.pass[0], low: found.pass[1] ?? found.pass[0],
        high: found.pass[2] ?? found.pass[0] }, // without an interval, a band without width
      { k: +k, line: LINES[1], value: found.floor },
      { k: +k, line: LINES[2], value: one.acc[0] },
    ]);
  }

  function show() {
    const one = chosenCase();
    const [k, tau, delta] = ["k", "tau", "delta"].map((name) => Number(form.elements[name].value));
    for (const name of ["tau", "delta"]) {
      form.querySelector(`[data-shows=${name}]`).textContent = form.elements[name].value;
    }
    const found = read(one.k[k]);
    const [action, why] = decide(found, tau, delta);
    const output = form.elements.decision;
    output.dataset.action = action;
    const strong = document.createElement("strong");
    strong.textContent = action;
    output.replaceChildren(strong, `: ${why}.`);
    const paper = paperRule(found, one.acc, tau, delta);
    const line = form.querySelector(".paper");
    line.dataset.action = paper;
    line.textContent = `The paper's rule reads raw Pass@K and Acc@1, without floor and intervals: ${paper}.`;

    const measures = [
      ["Acc@1", one.acc], [`Pass@${k}`, found.pass], ["guess floor", [found.floor, null, null]],
      ["excess support", found.excess], ["Pass@K minus Acc@1", found.gap],
    ];
    form.querySelector("tbody").replaceChildren(
      ...measures.map(([name, [value, low, high]]) => {
        const row = document.createElement("tr");
        const interval = low === null ? "n/a" : `${number(low)} to ${number(high)}`;
        for (const text of [name, number(value), interval]) {
          row.insertCell().textContent = text;
        }
        return row;
      }),
      (() => {
        const row = document.createElement("tr");
        for (const text of ["items", one.n, "n/a"]) row.insertCell().textContent = text;
        return row;
      })(),
    );
    const chosen = [{ k, value: found.pass[0] }];
    draw("curve", { curve: curveRows(one), chosen },
      `Pass@K against K with the guess floor and Acc@1. At K ${k}, Pass@K is ${written(found.pass)}, ` +
      `the floor ${number(found.floor)}, Acc@1 ${written(one.acc)}.`);
    const rows = [["excess support", found.excess, tau], ["Pass@K - Acc@1", found.gap, delta]].map(
      ([name, [value, low, high], threshold]) =>
        ({ name, value, low: low ?? value, high: high ?? value, threshold }));
    draw("rule", { rule: rows, ends: [{ value: 0 }, { value: 1 }] },
      `Excess support ${written(found.excess)} against ${tau}, and the gap ${written(found.gap)} ` +
      `against ${delta}.`);
  }

  function reset() {
    form.elements.tau.value = defaults.tau;
    form.elements.delta.value = defaults.delta;
    offer("k", Object.keys(chosenCase().k), defaults.k);
    form.elements.k.value = defaults.k;
    show();
  }

  document.getElementById("without").remove();
  if (!cases.length) {
    form.replaceWith("No run with samples is here yet: make one by medrl run 02_support.");
    return;
  }
  form.hidden = false;
  form.addEventListener("input", show);
  form.elements.reset.addEventListener("click", reset);
  reset();
})();
