// The law on the first page: looks up what data.js holds for each position of the sliders, and draws
// it. All numbers and words were computed by medrl/book/law_player.py; nothing is computed here.
"use strict";

(() => {
  const law = window.medrlLaw, form = document.getElementById("law");
  if (!law || !form) return;
  const SVG = "http://www.w3.org/2000/svg", HEIGHT = 320;
  const EDGE = { left: 46, right: 12, top: 12, bottom: 44 };
  const svg = form.querySelector("svg"), words = form.elements.words;
  const sliders = { p: law.p, n: law.budgets, price: law.prices };
  const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const percent = (share) => `${Math.round(100 * share)}%`;

  function draw(tag, attributes, text = "") {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text) made.textContent = text;
    svg.append(made);
    return made;
  }

  function show() {
    const width = Math.max(280, form.clientWidth);
    const x = (p) => EDGE.left + (width - EDGE.left - EDGE.right) * (1 + Math.log10(p) / 6);
    const y = (share) => HEIGHT - EDGE.bottom - (HEIGHT - EDGE.top - EDGE.bottom) * share;
    const i = +form.elements.p.value, j = +form.elements.n.value, k = +form.elements.price.value;
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.replaceChildren();
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      draw("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(share), y2: y(share), class: "grid" });
      draw("text", { x: EDGE.left - 6, y: y(share) + 4, "text-anchor": "end" }, percent(share));
    }
    for (let power = -6; power <= 0; power += width < 480 ? 2 : 1) {
      draw("text", { x: x(10 ** power), y: HEIGHT - EDGE.bottom + 18, "text-anchor": "middle" },
        `${10 ** power < 1e-3 ? `1e${power}` : 10 ** power}`);
    }
    draw("text", { x: (EDGE.left + width) / 2, y: HEIGHT - 6, "text-anchor": "middle" },
      "p: chance of a right sampled answer before RL");
    const line = (name) => law.p.map((p, at) => `${x(p)},${y(law[name][at][j])}`);
    draw("polygon", { points: [...line("low"), ...line("high").reverse()].join(" "), class: "band" });
    draw("polyline", { points: line("chance").join(" "), class: "curve" });
    for (const dot of law.dots) {
      if (!dot.watched[j] || !dot.p) continue;
      const at = { cx: x(Math.max(dot.p, 1e-6)), cy: y(dot.learnt[j] / dot.watched[j]), r: 5 };
      const made = draw("circle", { ...at, class: dot.world === "twin" ? "twin" : "drawn" });
      const title = document.createElementNS(SVG, "title");
      title.textContent = `${dot.name} (${dot.world}, base ${dot.base}), p ${plain.format(dot.p)}: `
        + `${dot.learnt[j]} of ${dot.watched[j]} trainings`;
      made.append(title);
    }
    draw("line", { x1: x(law.p[i]), x2: x(law.p[i]), y1: EDGE.top, y2: HEIGHT - EDGE.bottom, class: "here" });
    draw("circle", { cx: x(law.p[i]), cy: y(law.chance[i][j]), r: 6, class: "here" });
    const said = {
      p: `${plain.format(law.p[i])} (${plain.format(law.p[i] * law.budgets[j])} expected hits)`,
      n: `${law.budgets[j].toLocaleString("en")} completions`,
      price: law.prices[k] ? `${law.prices[k].toLocaleString("en")} completions each` : "free",
    };
    for (const [name, text] of Object.entries(said)) {
      form.elements[`${name}_said`].value = text;
      form.elements[name].setAttribute("aria-valuetext", text);
    }
    const [action, why] = law.texts[law.words[i][j][k]].split("|");
    const ends = `${percent(law.low[i][j])} to ${percent(law.high[i][j])}`;
    words.value = `The rule says: ${action}. ${why} (95% interval of the chance: ${ends}.)`;
    svg.setAttribute("aria-label",
      `Chance that RL learns the rule, against p, for ${said.n}: ${percent(law.chance[i][j])} at p ${said.p}.`);
  }

  for (const [name, values] of Object.entries(sliders)) {
    form.elements[name].max = values.length - 1;
    form.elements[name].addEventListener("input", show);
  }
  form.elements.p.value = law.p.findIndex((p) => p >= 1e-3);
  form.elements.n.value = law.budgets.indexOf(4096);
  form.elements.price.value = law.prices.indexOf(100);
  form.hidden = false;
  new ResizeObserver(show).observe(form);
  show();
})();
