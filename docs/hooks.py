"""Files of the repository that pages link to, such as `../jobs/configs/images.toml`, are put into the site.

So a link leads somewhere in the repository and in the built pages alike. What those files link to comes with them.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

PLACE = "repository"
"""Where they lie in the site."""

LINK = re.compile(r"(\]\()((?:\.\./)+[\w./-]+)")


def on_files(files: Files, config) -> Files:
    """Add every file outside docs/ that a page links to."""
    docs = Path(config.docs_dir)
    waiting = [
        linked
        for page in files.documentation_pages()
        for linked in _linked(page.content_string, docs / Path(page.src_uri).parent)
    ]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in found or path.is_relative_to(docs):
            continue
        found.add(path)
        if path.suffix == ".md":
            waiting += _linked(path.read_text(), path.parent)
    for path in sorted(found):
        name = f"{PLACE}/{path.relative_to(ROOT).as_posix()}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Turn links that leave docs/ to where those files lie in the site."""
    if page.file.src_uri.startswith(f"{PLACE}/"):
        return markdown

    def turned(found: re.Match) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), found[2]))
        if path.startswith("docs/"):
            return found[0]
        return found[1] + posixpath.relpath(posixpath.join(PLACE, path), posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(turned, markdown)


def _linked(text: str, folder: Path) -> list[Path]:
    """The files of the repository that a page in this folder links to by a relative path."""
    links = re.findall(r"\]\(([\w./-]+)", text)
    paths = [Path(os.path.normpath(folder / link)) for link in links]
    return [path for path in paths if path.is_file() and path.is_relative_to(ROOT)]
