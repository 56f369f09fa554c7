"""One HTML file that holds everything it needs and loads nothing: a page's template, scripts and data in, text out.

A page is a folder of the package with `page.html` and, where it has charts, `page.js`. Style, the charts' script and
the parts that all pages have (`parts.html`) lie here.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader


def assemble(folder: str, *, charts: dict[str, dict] | None, data: dict, **context: object) -> str:
    """The page in `folder` with its plotly `charts` by name; None: it has no script at all. `data`: what page.js reads
    besides."""
    scripts = [] if charts is None else [_plotly(), _asset("web", "charts.js"), _asset(folder, "page.js")]
    loaders = [PackageLoader("adde_ray", place) for place in dict.fromkeys((folder, "web"))]
    environment = Environment(loader=ChoiceLoader(loaders), autoescape=True, trim_blocks=True)
    return (
        environment.get_template("page.html")
        .render(
            charts=charts or {},
            css=_asset("web", "page.css"),
            data=_json({"charts": charts or {}, **data}),
            scripts=scripts,
            hashes=[_hash(s) for s in scripts],
            **context,
        )
        .lstrip()
    )


def _json(value: object) -> str:
    # Inside <script>: no user's text may end the element or open a comment.
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _plotly() -> str:
    return resources.files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")


def _asset(folder: str, name: str) -> str:
    return resources.files("adde_ray").joinpath(folder, name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """The script's hash, as a content security policy names it: no other script may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
