"""What tests do with a page: read it as a browser would find it, and wait for one that is open in a browser."""

from __future__ import annotations

import json
import time
from html.parser import HTMLParser


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, the text, and the JSON the scripts read."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text, self.scripts, self._inside = "", [], ""
        self.feed(html)
        self.data = json.loads(next(s for a, s in self.scripts if a.get("type") == "application/json"))
        self.ids = {a["id"] for _, a in self.tags if "id" in a}

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append((self.tags[-1][1], data))
        elif self._inside != "style":
            self.text += data

    def handle_endtag(self, tag):
        self._inside = ""


def wait_for(browser, script: str):
    """The value of a JavaScript expression as soon as it is true; fails after 10 s."""
    for _ in range(100):
        if value := browser.execute_script(f"return {script}"):
            return value
        time.sleep(0.1)
    raise AssertionError(f"never true: {script}")


def assert_sound(browser) -> None:
    """No text of the page has become script, nothing is wider than a narrow window, and the console is clean."""
    assert browser.execute_script("return window.hacked") is None
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wait_for(browser, "document.documentElement.scrollWidth <= 400")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
