"""Sphinx extension of the book: equations as MathML, terms with definitions, launch buttons.

MathJax comes from a server; MathML is shown by the browser itself.
"""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.math import get_node_equation_number

GLOSSARY = "glossary"


def inline_math(writer, node: nodes.math) -> None:
    """Write an equation within a line."""
    writer.body.append(f'<span class="math">{tex2mathml(node.astext())}</span>')
    raise nodes.SkipNode


def display_math(writer, node: nodes.math_block) -> None:
    """Write an equation on a line of its own, with its number and a link to it."""
    writer.body.append(writer.starttag(node, "div", CLASS="math", tabindex="0"))
    writer.body.append(tex2mathml(node.astext(), as_block=True))
    if node["number"]:
        writer.body.append(f'<span class="eqno">({get_node_equation_number(writer, node)})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append("</div>\n")
    raise nodes.SkipNode


def definitions(glossary: nodes.document) -> dict[str, str]:
    """Return the id of each term of a glossary with its definition as plain text."""
    found = {}
    for item in glossary.findall(nodes.definition_list_item):
        said = next(item.findall(nodes.definition)).astext()
        for term in item.findall(nodes.term):
            found.update(dict.fromkeys(term["ids"], " ".join(said.split())))
    return found


def add_definitions(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give each link to a term the definition as its title, which _static/terms.js shows."""
    if page == GLOSSARY or GLOSSARY not in app.env.all_docs:
        return
    known = None
    for reference in doctree.findall(nodes.reference):
        inside = next(reference.findall(nodes.inline), None)
        if inside is None or "std-term" not in inside["classes"]:
            continue
        known = known or definitions(app.env.get_doctree(GLOSSARY))
        term = (reference.get("refid") or reference["refuri"]).rpartition("#")[2]
        reference["reftitle"] = known[term]
        reference["classes"].append("defined")


def aim_launch_buttons(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Lead launch buttons from an executed notebook to its source; no other page keeps any.

    The theme takes a page's own path for its place in the repository. A lab has no place there that
    a student may open: its source tells the solutions.
    """
    for group in [one for one in context["header_buttons"] if one.get("label") == "launch-buttons"]:
        if page.startswith("runs/"):
            source = page.replace("runs/", "notebooks/", 1)
            for button in group["buttons"]:
                button["url"] = button["url"].removesuffix(f"{page}.ipynb") + f"{source}.ipynb"
        else:
            context["header_buttons"].remove(group)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("doctree-resolved", add_definitions)
    if app.config.html_theme == "sphinx_book_theme":
        # After the theme has made its buttons, at 501.
        app.connect("html-page-context", aim_launch_buttons, priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
