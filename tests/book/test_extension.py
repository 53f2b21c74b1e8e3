"""The Sphinx extension of the book: numbered equations without a server, terms with definitions."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from sphinx.application import Sphinx

from conftest import ROOT

PAGES = {
    "index": """
# Start

A {term}`guess floor`, more {term}`floors <guess floor>`, inline {math}`x < 1`.

```{math}
:label: eq-half
\\frac{1}{2}
```

It is {eq}`eq-half`. [Not a term](glossary.md).

```{toctree}
glossary
```
""",
    "glossary": """
# Glossary

:::{glossary}
guess floor
  What a *guesser* "reaches",
  on & on.
:::
""",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("pages")
    for name, text in PAGES.items():
        (folder / f"{name}.md").write_text(text)
    sys.path.append(str(ROOT / "book/_ext"))
    try:
        app = Sphinx(
            folder, None, folder / "html", folder / "trees", "html", status=None, warning=None,
            confoverrides={
                "extensions": ["myst_parser", "book_pages"],
                "myst_enable_extensions": ["colon_fence"],
                "html_math_renderer": "mathml",
                "html_theme": "basic",
            },
        )  # fmt: skip
        app.build()
    finally:
        sys.path.remove(str(ROOT / "book/_ext"))
    return Path(folder, "html/index.html").read_text()


def test_a_term_carries_its_definition_as_plain_text(page):
    links = re.findall(r'<a class="defined [^>]*>', page)
    assert len(links) == 2
    said = 'title="What a guesser “reaches”, on &amp; on."'
    assert all(said in link and 'href="glossary.html#term-guess-floor"' in link for link in links)
    (plain,) = re.findall(r'<a class="[^"]*"[^>]*><span class="[^"]*">Not a term', page)
    assert "defined" not in plain


def test_equations_are_mathml_with_numbers_and_links(page):
    assert "<mfrac>" in page
    assert '<div class="math" id="equation-eq-half"' in page.replace(" docutils", "")
    assert re.search(r'<span class="eqno">\(1\)<a class="headerlink"', page)
    assert re.search(r'href="#equation-eq-half"[^>]*>\(?1\)?', page)
    assert "&lt;" in page
    assert "mathjax" not in page.lower()
