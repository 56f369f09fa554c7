"""The pages as a site: they build without a warning, and what is built loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from documents import ROOT

ELSEWHERE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.I)
"""An address with a host of its own. data: has none."""

STYLE = re.compile(r"""@import\s+(?:url\()?\s*["']?([^"')\s;]+)|url\(\s*["']?([^"')]+)""", re.I)

LOADED = {
    "src": None,
    "srcset": None,
    "poster": None,
    "data": ("object",),
    "background": None,
    "href": ("link", "image", "use", "script"),
    "xlink:href": None,
}
"""Attribute that makes a browser load something → of which tags, None for all. What a link of a page leads to is only
loaded when somebody follows it."""


class Loads(HTMLParser):
    """What a browser would load from elsewhere for a page."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[str] = []
        self._in_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            if name in LOADED and (LOADED[name] is None or tag in LOADED[name]):
                addresses = re.split(r"\s*,\s+", value or "") if name == "srcset" else [value or ""]
                self.found += [f"<{tag} {name}={a}>" for a in addresses if ELSEWHERE.match(a)]
            elif name == "style":
                self.found += styled(value or "")

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += styled(data)
            self._in_style = False


def styled(css: str) -> list[str]:
    """What a style sheet loads from elsewhere."""
    addresses = (imported or plain for imported, plain in STYLE.findall(re.sub(r"/\*.*?\*/", "", css, flags=re.S)))
    return [address for address in addresses if ELSEWHERE.match(address)]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return folder


def pages_in(nav: object) -> Iterator[str]:
    """The files that mkdocs.yml lists."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav if isinstance(nav, list) else nav.values():
            yield from pages_in(part)


def navigation() -> list[str]:
    text = (ROOT / "mkdocs.yml").read_text()
    return list(pages_in(yaml.safe_load(text)["nav"]))


def test_it_builds_and_has_every_page(site):
    assert all((site / name).with_suffix(".html").is_file() for name in navigation())


def test_every_page_is_in_the_navigation():
    assert sorted(navigation()) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_nothing_is_loaded_from_elsewhere(site):
    html, css = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert len(html) > 20 and css
    found = {path: Loads(path.read_text()).found for path in html} | {path: styled(path.read_text()) for path in css}
    assert not {str(path.relative_to(site)): loads for path, loads in found.items() if loads}


def test_no_page_asks_the_theme_to_load_a_library(site):
    """Its script fetches a renderer of diagrams where a page has one."""
    assert not [path for path in site.rglob("*.html") if re.search(r'class="[^"]*\bmermaid\b', path.read_text())]


def test_files_of_the_repository_that_pages_link_to_are_there(site):
    assert (site / "repository/jobs/configs/images.toml").read_bytes() == (
        ROOT / "jobs/configs/images.toml"
    ).read_bytes()
    assert (site / "repository/benchmarks/headline.png").is_file()
    assert 'href="repository/SECURITY.html"' in (site / "your-data.html").read_text()


def test_search_is_built_in(site):
    assert "leakage" in (site / "search/search_index.json").read_text()


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="preconnect" href="//fonts.example">',
        '<img src="http://elsewhere.example/x.png">',
        '<img srcset="x.png 1x, https://elsewhere.example/y.png 2x">',
        "<style>@import 'https://elsewhere.example/x.css';</style>",
        '<p style="background: url(https://elsewhere.example/x.png)">',
        '<iframe src="HTTPS://elsewhere.example"></iframe>',
    ],
)
def test_what_loads_from_elsewhere_is_seen(html):
    assert len(Loads(html).found) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://elsewhere.example">there</a>',
        '<script src="assets/x.js"></script>',
        '<img src="data:image/png;base64,AA//">',
        "<style>a { background: url(x.png) } /* https://elsewhere.example */</style>",
    ],
)
def test_what_does_not_is_let_be(html):
    assert not Loads(html).found
