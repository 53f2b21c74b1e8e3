// Names and roles that the theme leaves out, for readers who hear the page.
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("li.has-children > details > summary")) {
    const chapter = summary.closest("li").querySelector("a").textContent.trim();
    summary.setAttribute("aria-label", `Pages under ${chapter}`);
  }
  for (const entry of document.querySelectorAll(".citation-list > *")) {
    entry.setAttribute("role", "listitem");
  }
});
