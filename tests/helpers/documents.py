"""What stands in README.md and on the pages of docs/: their blocks, the commands in them, their links."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
"""Path → text of what users read first."""

DOCUMENTS = PAGES | {path.name: path.read_text() for path in ROOT.glob("*.md")}
"""The same, and the others at the top: what changed, security, how to contribute."""


def blocks(language: str, page: str) -> list[str]:
    """The code blocks of a page in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENTS[page], re.M | re.S)


def all_blocks(language: str) -> list[tuple[str, str]]:
    """(page, block) of every page."""
    return [(page, block) for page in DOCUMENTS for block in blocks(language, page)]


def section(title: str, page: str) -> str:
    """What stands under a heading, up to the next of its level or above. A comment in a block is no heading."""
    found: list[str] = []
    level, in_block = 0, False
    for line in DOCUMENTS[page].splitlines():
        in_block ^= line.startswith("```")
        heading = None if in_block else re.match(r"(#+) (.*)", line)
        if heading and level and len(heading[1]) <= level:
            break
        if heading and heading[2] == title:
            level = len(heading[1])
        elif level:
            found.append(line)
    return "\n".join(found)


def command_lines(text: str) -> list[str]:
    """The lines of the shell blocks in a text."""
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    return [line for block in found for line in block.splitlines() if line.strip()]


def adde_calls(text: str) -> list[list[str]]:
    """The arguments after `adde` of every command shown, Ray jobs included."""
    calls = []
    for line in command_lines(text):
        words = shlex.split(line, comments=True)
        if words and words[0] == "adde":
            calls.append(words[1:])
        elif job := next((word for word in words if re.fullmatch(r"jobs/\w+\.py", word)), None):
            calls.append([Path(job).stem, *words[words.index(job) + 1 :]])
    return calls


def files_of(page: str) -> dict[str, str]:
    """File name → text of the TOML files that a page names in their first line, as `# images.toml`."""
    named = ((re.match(r"# (\S+\.toml)\n", text), text) for text in blocks("toml", page))
    return {name[1]: text for name, text in named if name}


def lay_out(folder: Path, page: str) -> None:
    """Write the TOML files shown into a folder, those of this page over those of others, with a link to jobs/."""
    for other in (*(name for name in DOCUMENTS if name != page), page):
        for name, text in files_of(other).items():
            (folder / name).write_text(text)
    (folder / "jobs").symlink_to(ROOT / "jobs")


def kind_of(text: str) -> str:
    """What a TOML block is: a config, a grid or a sweep."""
    keys = tomllib.loads(text).keys()
    return "sweep" if "space" in keys else "grid" if {"strategies", "datasets"} & keys else "config"
