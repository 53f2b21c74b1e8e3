"use strict";
// Draws the browser of items. Everything from a log is written by textContent, never as markup.
(function () {
  const filters = [
    ["all items", () => true],
    ["never right", (item) => item.n > 0 && item.c === 0],
    ["sometimes right", (item) => item.c > 0 && item.c < item.n],
    ["always right", (item) => item.n > 0 && item.c === item.n],
    ["an answer without an answer in it", (item) => item.answers.some((one) => one.answer === null)],
    ["the log and our reading differ", (item) =>
      item.answers.some((one) => one.stored !== null && one.read !== null && one.stored !== one.read)],
  ];

  function make(name, words, kind) {
    const element = document.createElement(name);
    if (words !== undefined) element.textContent = words;
    if (kind) element.className = kind;
    return element;
  }

  function answer(one, index) {
    const item = make("li", undefined, one.answer === null && !one.right ? "unread" : one.right ? "right" : "wrong");
    const parts = [one.greedy ? "greedy" : "sample " + index, one.right ? "right" : "wrong"];
    parts.push(one.answer === null ? "no answer found" : "read as " + one.answer);
    if (one.stored !== null && one.read !== null && one.stored !== one.read) {
      parts.push("the log says " + (one.stored ? "right" : "wrong"));
    }
    if (one.cut) parts.push("cut off");
    item.append(make("span", parts.join(" · "), "verdict"));
    if (one.text !== null) {
      const text = make("pre", one.text === "" ? "(empty)" : one.text);
      text.tabIndex = 0;
      item.append(text);
    }
    return item;
  }

  function card(item) {
    const box = make("article", undefined, "card");
    const about = item.n ? ": " + item.c + " of " + item.n + " samples right" : "";
    box.append(make("h3", item.id + about));
    const body = make("div", undefined, "body");
    if (item.pictures.length) {
      const pictures = make("div", undefined, "pictures");
      for (const one of item.pictures) {
        if (one.url) {
          const image = make("img");
          image.src = one.url;
          image.alt = "picture of item " + item.id;
          pictures.append(image);
        } else {
          pictures.append(make("p", one.said, "small"));
        }
      }
      body.append(pictures);
    }
    const asked = make("div");
    if (item.question) asked.append(make("p", item.question, "asked"));
    if (item.options.length) {
      const golds = item.gold.split(" | ");
      const list = make("ul", undefined, "options");
      for (const [letter, text] of item.options) {
        const right = golds.includes(letter);
        list.append(make("li", letter + ". " + text + (right ? " (gold)" : ""), right ? "gold" : ""));
      }
      asked.append(list);
    } else {
      asked.append(make("p", item.gold ? "Gold: " + item.gold : "The log has no gold answer."));
    }
    body.append(asked);
    box.append(body);
    const list = make("ul", undefined, "answers");
    let index = 0;
    for (const one of item.answers) list.append(answer(one, one.greedy ? 0 : ++index));
    box.append(list);
    return box;
  }

  function browser(place) {
    const items = JSON.parse(document.getElementById(place.dataset.items).textContent);
    const bar = make("div", undefined, "filters");
    const choose = make("select");
    filters.forEach(([name, keep], at) => {
      const option = make("option", name + " (" + items.filter(keep).length + ")");
      option.value = String(at);
      choose.append(option);
    });
    choose.setAttribute("aria-label", "which items");
    const search = make("input");
    search.type = "search";
    search.placeholder = "find in questions and answers";
    search.setAttribute("aria-label", search.placeholder);
    const back = make("button", "previous");
    const next = make("button", "next");
    back.type = next.type = "button";
    const told = make("span", "", "small");
    told.setAttribute("aria-live", "polite");
    const shown = make("div");
    bar.append(choose, search, back, next, told);
    place.replaceChildren(bar, shown);
    let at = 0;
    let found = items;

    function matches(item, words) {
      if (!words) return true;
      const texts = [item.id, item.question, ...item.answers.map((one) => one.text || "")];
      return texts.some((text) => text.toLowerCase().includes(words));
    }
    function draw() {
      at = Math.max(0, Math.min(at, found.length - 1));
      back.disabled = at === 0;
      next.disabled = at >= found.length - 1;
      told.textContent = found.length ? at + 1 + " of " + found.length : "no such item";
      shown.replaceChildren(...(found.length ? [card(found[at])] : []));
    }
    function filter() {
      const keep = filters[Number(choose.value)][1];
      const words = search.value.trim().toLowerCase();
      found = items.filter((item) => keep(item) && matches(item, words));
      at = 0;
      draw();
    }
    choose.addEventListener("change", filter);
    search.addEventListener("input", filter);
    back.addEventListener("click", () => { at -= 1; draw(); });
    next.addEventListener("click", () => { at += 1; draw(); });
    draw();
  }

  for (const place of document.querySelectorAll(".browser")) browser(place);
})();
