// Shows the definition of a term: on hover, on keyboard focus, and on the first tap (the second tap
// follows the link). Without this script the browser shows the title, and the link leads on.
document.addEventListener("DOMContentLoaded", () => {
  const bubble = Object.assign(document.createElement("div"), { id: "term", hidden: true });
  bubble.setAttribute("role", "tooltip");
  document.body.append(bubble);
  let shown = null;

  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    bubble.hidden = true;
  };
  const show = (term) => {
    hide();
    shown = term;
    bubble.textContent = term.dataset.definition;
    bubble.hidden = false;
    term.setAttribute("aria-describedby", "term");
    const at = term.getClientRects()[0];
    const most = document.documentElement.clientWidth - bubble.offsetWidth - 8;
    bubble.style.left = `${Math.max(8, Math.min(at.left, most)) + scrollX}px`;
    const below = at.bottom + bubble.offsetHeight + 8 < innerHeight;
    bubble.style.top = `${(below ? at.bottom + 4 : at.top - bubble.offsetHeight - 4) + scrollY}px`;
  };

  for (const term of document.querySelectorAll("a.defined[title]")) {
    term.dataset.definition = term.title;
    term.removeAttribute("title");
    term.addEventListener("mouseenter", () => show(term));
    term.addEventListener("mouseleave", hide);
    term.addEventListener("focus", () => show(term));
    term.addEventListener("blur", hide);
    let open = false;
    term.addEventListener("pointerdown", () => { open = shown === term; });
    term.addEventListener("click", (event) => {
      if (event.pointerType === "touch" && !open) {
        event.preventDefault();
        show(term);
      }
    });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
});
