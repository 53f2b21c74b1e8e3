// Single answers: items with picture, question, gold and the answers of several models side by side,
// from rows.js or from a log of the reader's own, which is read here and sent nowhere. Every text is put
// in by textContent, so no text can become markup; tests/book/test_samples.py tries hostile ones.
"use strict";

(() => {
  const form = document.getElementById("rollouts"), say = form.elements.count;
  const { runs, texts, pictures } = window.medrlRollouts;
  const RIGHT = 1, SIGNS = ["wrong", "right", "no answer"], MARKS = ["\u2717", "\u2713", "?"];
  const CLASSES = ["wrong", "right", "none"];

  function element(tag, text = "", className = "") {
    const made = document.createElement(tag);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // ---- what is shown: items with answers by model; an answer is [text, read, verdict, greedy]
  const embedded = runs.map((run) => ({
    ...run,
    items: run.items.map((item) => ({
      ...item,
      picture: item.picture === null ? null : pictures[item.picture],
      answers: item.answers.map((list) =>
        list.map(([text, read, verdict, greedy]) => [texts[text], texts[read], verdict, greedy])),
    })),
  }));
  let sets = embedded, found = [], at = 0;

  const sampled = (item, model) => (item.answers[model] || []).filter((one) => !one[3]);
  const hits = (item, model) => sampled(item, model).filter((one) => one[2] === RIGHT).length;
  const reached = (item, model) => hits(item, model) > 0;
  const thought = (text) => (/<think>([^]*?)<\/think>/.exec(text) || ["", null])[1];
  // Right by luck: where the right reasoning is known, right without it; else once in four or more.
  const lucky = (item, model) => item.reading
    ? (item.answers[model] || []).some(([text, , verdict]) =>
      verdict === RIGHT && (thought(text) ?? "").trim() !== item.reading)
    : hits(item, model) === 1 && sampled(item, model).length >= 4;
  const KINDS = {
    "all items": () => true,
    "kept: both models reach it": (item, a, b) => reached(item, a) && reached(item, b),
    "lost: only the first does": (item, a, b) => reached(item, a) && !reached(item, b),
    "new: only the second does": (item, a, b) => !reached(item, a) && reached(item, b),
    "right by luck, first model": (item, a) => lucky(item, a),
    "never right, first model": (item, a) => !reached(item, a),
  };

  // ---- choices, and the address that leads back to them
  const set = () => sets[form.elements.run.selectedIndex];
  function fill(select, values, chosen) {
    select.replaceChildren(...values.map((value, index) => new Option(value, index)));
    const place = values.indexOf(chosen);
    if (values.length) select.selectedIndex = place < 0 ? 0 : place;
  }
  function choose(asked = {}) {
    fill(form.elements.run, sets.map((one) => one.name), asked.run);
    const one = set(), models = one ? one.models : [];
    fill(form.elements.first, models, asked.first);
    fill(form.elements.second, models, asked.second || models[1]);
    fill(form.elements.group, ["all", ...new Set(one ? one.items.map((item) => item.group) : [])],
      asked.group);
    fill(form.elements.kind, Object.keys(KINDS), asked.kind);
    form.elements.words.value = asked.words || "";
    filter(asked.item);
  }
  function chosen() {
    const said = Object.fromEntries(["run", "first", "second", "group", "kind"].map((name) =>
      [name, (form.elements[name].selectedOptions[0] || {}).textContent]));
    return { ...said, words: form.elements.words.value, item: (found[at] || {}).id };
  }
  function filter(wanted) {
    const one = set(), { group, kind } = chosen();
    const [a, b] = ["first", "second"].map((name) => form.elements[name].selectedIndex);
    const words = form.elements.words.value.toLowerCase();
    const holds = (item) => [item.id, item.question, ...item.answers.flat().map((said) => said[0])]
      .some((text) => (text || "").toLowerCase().includes(words));
    found = (one ? one.items : []).filter((item) => (group === "all" || item.group === group)
      && KINDS[kind](item, a, b) && (!words || holds(item)));
    const place = found.findIndex((item) => item.id === wanted);
    at = Math.max(0, place);
    draw();
    if (wanted && place < 0) say.textContent += ` ${wanted} is not among them.`;
  }

  // ---- one item
  function strip(item, model, name, text) {
    const row = element("div", "", "strip"), list = item.answers[model] || [];
    const n = sampled(item, model).length;
    row.append(element("strong", name), element("span", n ? ` ${hits(item, model)} of ${n} samples right ` : " "));
    list.forEach(([said, read, verdict, greedy], index) => {
      const button = element("button", MARKS[verdict], `mark ${CLASSES[verdict]}`);
      button.type = "button";
      const drawn = greedy ? "greedy" : `sample ${index + 1 - list.filter((one) => one[3]).length}`;
      button.title = `${name}, ${drawn}: ${SIGNS[verdict]}`;
      button.setAttribute("aria-label", button.title);
      const show = () => {
        text.replaceChildren(element("p", `${button.title}; read as: ${read || "no answer"}`),
          Object.assign(element("pre", said || "(no text)"), { tabIndex: 0 }));
      };
      button.addEventListener("click", show);
      if (model === 0 && index === 0) show();
      if (greedy) row.append(button, element("span", " | "));
      else row.append(button);
    });
    return row;
  }
  function card(item) {
    const made = element("article"), text = element("div", "", "answer");
    made.append(element("h3", item.id));
    if (item.picture) {
      const image = element("img");
      Object.assign(image, { src: item.picture, alt: `the picture of ${item.id}`, width: 128 });
      made.append(image);
    }
    made.append(element("p", item.question || "The log does not keep the question."));
    if (item.options && item.options.length) {
      const list = element("ul");
      for (const option of item.options) list.append(element("li", option));
      made.append(list);
    }
    made.append(element("p", item.gold ? `Gold: ${item.gold}` : "The log has no gold answer."));
    if (item.reading) made.append(element("p", `The picture shows: ${item.reading}`));
    set().models.forEach((name, model) => {
      if (item.answers[model] && item.answers[model].length) made.append(strip(item, model, name, text));
    });
    made.append(text);
    return made;
  }
  function draw() {
    const one = set();
    form.querySelector(".rows").replaceChildren(...(found.length ? [card(found[at])] : []));
    say.textContent = one ? `Item ${found.length ? at + 1 : 0} of ${found.length} that fit, among `
      + `${one.items.length} here.` : "No run has sampled yet.";
    form.elements.back.disabled = at === 0;
    form.elements.on.disabled = at >= found.length - 1;
    const asked = Object.entries(chosen()).filter(([, value]) => value);
    if (found.length) history.replaceState(null, "", `#${new URLSearchParams(asked)}`);
  }

  // ---- a log of the reader's own
  const passAt = (n, c, k) => { // 1 - C(n-c, k) / C(n, k)
    let none = 1;
    for (let i = n - c + 1; i <= n; i += 1) none *= 1 - k / i;
    return 1 - none;
  };
  function table(text) { // RFC 4180
    const rows = [[""]];
    let quoted = false;
    for (let i = 0; i < text.length; i += 1) {
      const sign = text[i], row = rows[rows.length - 1];
      if (quoted) {
        if (sign !== '"') row[row.length - 1] += sign;
        else if (text[i + 1] === '"') { row[row.length - 1] += '"'; i += 1; } else quoted = false;
      } else if (sign === '"' && row[row.length - 1] === "") quoted = true;
      else if (sign === ",") row.push("");
      else if (sign === "\n") rows.push([""]);
      else if (sign !== "\r") row[row.length - 1] += sign;
    }
    if (quoted) throw new Error("a quotation mark is never closed");
    const [head, ...rest] = rows.filter((row) => row.length > 1 || row[0] !== "");
    return rest.map((row, number) => {
      if (row.length !== head.length) throw new Error(`row ${number + 2} has ${row.length} cells, not ${head.length}`);
      return Object.fromEntries(head.map((name, index) => [name.trim(), row[index]]));
    });
  }
  function records(name, text) {
    if (/\.csv$/i.test(name)) return table(text);
    if (/\.jsonl$/i.test(name)) {
      return text.split("\n").map((line, number) => [line, number + 1]).filter(([line]) => line.trim())
        .map(([line, number]) => {
          try { return JSON.parse(line); } catch { throw new Error(`line ${number} is no JSON`); }
        });
    }
    let log;
    try { log = JSON.parse(text); } catch { throw new Error("it is no JSON"); }
    if (!Array.isArray(log.samples)) throw new Error("it has no samples, which a log of inspect has");
    return log.samples.map((one) => one && ({
      item_id: one.id, gold: one.target, options: one.choices,
      question: typeof one.input === "string" ? one.input : "",
      text: one.output && one.output.completion,
      correct: (Object.values(one.scores || {})[0] || {}).value,
    }));
  }
  const YES = new Set(["1", "true", "right", "correct", "c", "1.0"]);
  const NO = new Set(["0", "false", "wrong", "incorrect", "i", "n", "0.0"]);
  function own(name, text) {
    const items = new Map(), models = [];
    records(name, text).forEach((row, number) => {
      if (row === null || typeof row !== "object") throw new Error(`record ${number + 1} is no object`);
      const id = row.item_id ?? row.item ?? row.id;
      const said = String(row.correct ?? "").trim().toLowerCase();
      if (id === undefined || id === "") throw new Error(`record ${number + 1} names no item (item_id, item or id)`);
      if (!YES.has(said) && !NO.has(said)) {
        throw new Error(`record ${number + 1} says neither right nor wrong (correct: 1 or 0); medrl score reads texts`);
      }
      if (!items.has(String(id))) {
        const options = Array.isArray(row.options) ? row.options.map(String)
          : row.options ? String(row.options).split("|") : [];
        items.set(String(id), { id: String(id), group: String(row.modality || row.dataset || "all"),
          question: row.question || "", gold: String(row.gold ?? row.answer ?? ""), reading: "",
          options, picture: null, answers: [] });
      }
      const model = String(row.model || "your model");
      if (!models.includes(model)) models.push(model);
      const greedy = String(row.sample_index ?? "") === "-1" || row.decoding === "greedy"
        || YES.has(String(row.greedy ?? "").toLowerCase());
      const unread = "parsed" in row && !row.parsed;
      const answers = items.get(String(id)).answers, place = models.indexOf(model);
      (answers[place] ||= []).push(
        [String(row.text ?? ""), String(row.parsed ?? ""), YES.has(said) ? RIGHT : unread ? 2 : 0, greedy]);
    });
    if (!items.size) throw new Error("it has no records");
    for (const item of items.values()) item.answers = models.map((_, place) => item.answers[place] || []);
    return { name, models, items: [...items.values()] };
  }
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;
  function numbers(log, model) {
    const lines = [], counts = log.items.map((item) =>
      [sampled(item, model).length, hits(item, model), item.options.length]).filter(([n]) => n);
    const greedy = log.items.flatMap((item) => item.answers[model].filter((one) => one[3]));
    const acc = greedy.length ? mean(greedy.map((one) => +(one[2] === RIGHT))) : null;
    if (acc !== null) lines.push(["Acc@1", percent(acc)]);
    const most = counts.length ? Math.min(...counts.map(([n]) => n)) : 0;
    const floors = counts.every(([, , m]) => m > 1);
    for (let k = 1; k <= most; k = k < most && 2 * k > most ? most : 2 * k) {
      const value = mean(counts.map(([n, c]) => passAt(n, c, k)));
      const floor = floors
        ? `, a guesser ${percent(mean(counts.map(([, , m]) => 1 - (1 - 1 / m) ** k)))}` : "";
      lines.push([`Pass@${k}`, percent(value) + floor]);
    }
    if (!most) return [...lines, ["Pass@K", "the log has greedy answers alone"]];
    if (!floors) lines.push(["Guess floor", "not known: the log has no options"]);
    const p = mean(counts.map(([n, c]) => c / n)), n = Number(form.elements.budget.value) || 0;
    const digits = p * n >= 10 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 2 };
    lines.push(["Expected hits", `${(p * n).toLocaleString("en", digits)} right answers among `
      + `${n.toLocaleString("en")} completions, at p = ${p.toPrecision(3)}`]);
    return [...lines, ["What to do", decision(p, n, acc ?? p)]];
  }
  function summary(log) {
    const parts = [element("h3", `${log.name}: ${log.items.length} items`)];
    log.models.forEach((name, model) => {
      const list = element("dl");
      for (const [title, said] of numbers(log, model)) list.append(element("dt", title), element("dd", said));
      if (log.models.length > 1) parts.push(element("h4", name));
      parts.push(list);
    });
    form.querySelector(".own").replaceChildren(...parts);
  }
  // The rule of medrl_core.score.rule where labels have no price, without its intervals.
  function decision(p, n, acc) {
    const law = window.medrlLaw;
    if (!law) return "no law was fitted in this book; see medrl diagnose";
    if (1 - acc < 0.1) return `stop: at most ${(100 * (1 - acc)).toFixed(0)} points are left`;
    const nearest = (values, wanted) => values.reduce((best, value, index) =>
      Math.abs(Math.log(value / wanted)) < Math.abs(Math.log(values[best] / wanted)) ? index : best, 0);
    const i = nearest(law.p, Math.max(p, law.p[0])), j = nearest(law.budgets, Math.max(n, 1));
    const what = law.chance[i][j] >= 0.5 ? "sharpen by RL" : "labels first, then RL";
    return `${what}: RL takes off with a chance of ${(100 * law.chance[i][j]).toFixed(0)}% at p ${law.p[i]} and `
      + `${law.budgets[j].toLocaleString("en")} completions, the nearest that the book has computed. The law is `
      + "of the controlled world of this book; medrl diagnose gives intervals and says if items are too few.";
  }
  let mine = null;
  async function read(file) {
    try {
      mine = own(file.name, await file.text());
      sets = [mine, ...embedded];
      summary(mine);
      choose({ run: mine.name });
    } catch (error) {
      form.querySelector(".own").replaceChildren(element("p", `${file.name}: ${error.message}`, "error"));
    }
  }

  document.getElementById("without").remove();
  form.hidden = false;
  form.addEventListener("input", ({ target }) => {
    if (target.name === "file") return;
    if (target.name === "budget") { if (mine) summary(mine); return; }
    if (target.name === "run") choose({ run: chosen().run });
    else filter();
  });
  form.elements.file.addEventListener("change", ({ target }) => target.files[0] && read(target.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
  });
  const step = (by) => () => { at += by; draw(); };
  form.elements.back.addEventListener("click", step(-1));
  form.elements.on.addEventListener("click", step(1));
  const asked = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  window.addEventListener("hashchange", () => choose(asked()));
  choose(asked());
})();
