from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from adde_ray.export.markdown import escape, table

HOSTILE = [
    "a|b",
    "a\\|b",
    "\\",
    "<b>bold</b> & <script>",
    "`code` *x* **y** _z_ __w__ ~~gone~~",
    "[link](http://x.y) ![img](z)",
    "---",
    "# head #",
    "M_div per_class __init__",
    "$x^2$",
    "&lt; &amp;",
    "3 < 4 > 2",
    "naïve 日本 🙂",
]


def shown(markdown: str) -> list[str]:
    """The text a reader sees in each table cell."""
    import html
    import re

    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    assert not re.search(r"<(b|em|strong|code|a|img|s|script)\b", page), page
    return [html.unescape(cell) for cell in re.findall(r"<t[dh]>(.*?)</t[dh]>", page, re.S)]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_shows_the_text_as_it_is(text):
    assert shown(table(["name", text], [[text, 1]])) == ["name", text, text, "1"]


def test_a_line_break_cannot_leave_its_cell():
    assert shown(table(["x"], [["a\n| b |\r\n\x00c"]])) == ["x", "a | b | c"]


def test_none_is_an_empty_cell_and_zero_is_not():
    assert table(["x", "y"], [[None, 0]]) == "| x | y |\n| --- | --- |\n|  | 0 |\n"


def test_names_stay_legible():
    assert escape("macro_f1 (val) +0.012 - ok!") == "macro_f1 (val) +0.012 - ok!"
