"""A real browser on pages of this project: Debian's Chromium, driven by Playwright.

Without Chromium these tests are skipped, and say so; with MEDRL_BROWSER=required they fail.
"""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from medrl.book.build import find_browser
from medrl_core.errors import UserError

# A browser that asks for nothing by itself.
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
AXE = {"preload": False}  # axe would ask for style sheets again, by a wrong address


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium, or skip (fail where MEDRL_BROWSER is "required") when it is not here."""
    try:
        path = find_browser()
    except UserError:
        missing = "no browser: install chromium (on Debian: apt-get install chromium)"
        if os.environ.get("MEDRL_BROWSER") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine alone, at the address given."""
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@dataclass
class Heard:
    """What a page asked for and complained of since `listen`."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def outside(self, base: str) -> list[str]:
        """Give the requests that went elsewhere."""
        return [url for url in self.requests if not url.startswith((base, "data:", "blob:"))]

    def weight(self, folder: Path) -> int:
        """Give the bytes of all files that the page loaded, each once."""
        files = {folder / unquote(urlsplit(url).path.lstrip("/")) for url in self.requests}
        return sum(file.stat().st_size for file in files if file.is_file())


def listen(page: Page) -> Heard:
    """Keep the requests, the errors on the console and the failed requests of a page."""
    heard = Heard()
    page.on("request", lambda request: heard.requests.append(request.url))
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    page.on(
        "console",
        lambda said: (
            heard.errors.append(f"{said.text} {said.location.get('url')}")
            if said.type in ("error", "warning")
            else None
        ),
    )
    page.on("requestfailed", lambda request: heard.errors.append(f"not loaded: {request.url}"))
    return heard


def axe_faults(page: Page, rules: list[str] | None = None) -> list[str]:
    """Give the serious and critical faults that axe-core finds, one line a kind of fault."""
    options = AXE | ({"runOnly": rules} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {len(one['nodes'])} times, e.g. {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


class Links(HTMLParser):
    """Collects what a page loads, where it links to, and what can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon", "modulepreload"):
            self.loads.append(found["href"])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])


def read_pages(html: Path) -> dict[Path, Links]:
    """Read all pages of a built book."""
    pages = {}
    for path in sorted(html.rglob("*.html")):
        pages[path] = Links()
        pages[path].feed(path.read_text())
    return pages


def broken_links(pages: dict[Path, Links]) -> list[str]:
    """Give the links inside a book whose file or anchor is not there."""
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if link.startswith(("http", "mailto", "javascript")):
                continue
            target, _, anchor = link.partition("#")
            there = (path.parent / unquote(target)).resolve() if target else path
            known = pages[there].ids if there in pages else {anchor}
            if not there.exists() or (anchor and unquote(anchor) not in known):
                broken.append(f"{path} links to {link}")
    return broken
