// The rollout browser: filters the rows of rows.js for rollouts.md. Every text of a row is put in by
// textContent, so no text can become markup; tests/book/test_samples.py tries it with hostile ones.
"use strict";

(() => {
  const { columns, texts, rows } = window.medrlRollouts;
  const form = document.getElementById("rollouts");
  const FILTERS = ["study", "notebook", "modality", "model", "verdict", "rule"];
  const SHOWN = [["question", "Question"], ["gold", "Gold"], ["read", "Answer read"],
    ["rule", "Parser's rule"], ["drawn", "Drawn"]];
  const ALL = "all", PAGE = 10;
  const at = Object.fromEntries(columns.map((name, index) => [name, index]));
  const get = (row, name) => texts[row[at[name]]];
  let first = 0;

  function element(tag, text, className = "") {
    const made = document.createElement(tag);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // Each filter offers what the filters before it leave, and keeps its choice where it can.
  function fitting() {
    let left = rows;
    for (const name of FILTERS) {
      const select = form.elements[name], before = select.value;
      const values = [...new Set(left.map((row) => get(row, name)))].sort();
      select.replaceChildren(...[ALL, ...values].map((value) => new Option(value, value)));
      select.value = values.includes(before) ? before : ALL;
      if (select.value !== ALL) left = left.filter((row) => get(row, name) === select.value);
    }
    const words = form.elements.words.value.toLowerCase();
    return words ? left.filter((row) => get(row, "text").toLowerCase().includes(words)) : left;
  }

  function article(row) {
    const made = document.createElement("article");
    const where = ["notebook", "modality", "model"].map((name) => get(row, name)).join(", ");
    const head = element("p", "");
    const verdict = get(row, "verdict");
    const sign = { right: "reproduced", wrong: "reversed" }[verdict];
    head.append(element("span", verdict, `verdict ${sign}`), ` ${where} `,
      element("span", get(row, "study"), "study"));
    const list = document.createElement("dl");
    for (const [name, title] of SHOWN) {
      list.append(element("dt", title), element("dd", get(row, name)));
    }
    const text = element("pre", get(row, "text"));
    text.tabIndex = 0; // a long line scrolls, by key too
    made.append(head, list, text);
    return made;
  }

  function show() {
    const left = fitting();
    first = Math.max(0, Math.min(first, Math.floor((left.length - 1) / PAGE) * PAGE));
    const shown = left.slice(first, first + PAGE);
    form.querySelector(".rows").replaceChildren(...shown.map(article));
    const range = shown.length ? `Rows ${first + 1} to ${first + shown.length} of` : "None of";
    form.elements.count.textContent =
      `${range} ${left.length} that fit, among ${rows.length} on this page.`;
    form.elements.back.disabled = first === 0;
    form.elements.on.disabled = first + PAGE >= left.length;
  }

  const turn = (step) => () => {
    first += step * PAGE;
    show();
    form.elements.count.scrollIntoView({ block: "nearest" });
  };
  document.getElementById("without").remove();
  form.hidden = false;
  form.addEventListener("input", () => {
    first = 0;
    show();
  });
  form.elements.back.addEventListener("click", turn(-1));
  form.elements.on.addEventListener("click", turn(1));
  show();
})();
