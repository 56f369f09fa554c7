"""What page and Markdown file are made of: sections of sentences, charts and tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from adde_ray.export.markdown import escape
from adde_ray.export.markdown import table as markdown_table


@dataclass(frozen=True)
class Table:
    """rows: cells as text, the first one a name. strong: (row, column) of cells to set off."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""
    strong: frozenset[tuple[int, int]] = frozenset()


@dataclass
class Section:
    """charts: (id, caption). `id`: what the page's links lead to."""

    id: str
    title: str
    text: list[str] = field(default_factory=list)
    charts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def markdown(title: str, lead: str, sections: list[Section]) -> str:
    """The document without its charts."""
    parts = [f"# {escape(title)}", escape(lead)]
    for section in sections:
        parts.append(f"## {escape(section.title)}")
        parts += [escape(text) for text in section.text]
        for table in section.tables:
            parts += [f"### {escape(table.title)}"] if table.title else []
            parts.append(markdown_table(table.head, table.rows).rstrip())
            parts += [escape(table.note)] if table.note else []
    return "\n\n".join(parts) + "\n"
