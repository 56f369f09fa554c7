"""What systems and programs leave behind among people's files: it is no data, and no class."""

from __future__ import annotations

from collections.abc import Collection

NAMES = frozenset(
    (
        "__macosx", "icon\r", "network trash folder", "temporary items",  # macOS
        "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler", "recycled",
        "system volume information",  # Windows
        "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot",  # storage boxes
        "lost+found", "__pycache__", "picasa.ini",
    )
)  # fmt: skip
"""Files and folders, in lower case."""

ENDINGS = ("~", ".tmp", ".temp", ".part", ".partial", ".crdownload", ".download", ".swp", ".swo", ":zone.identifier")
"""Of files that are being written, or were."""


def is_leftover(name: str, *, folder: bool = False) -> bool:
    """Whether a file or folder is no data of anybody's by its name; hidden ones and locks (`~$x.csv`) are not."""
    lower = name.lower()
    return lower.startswith((".", "~$")) or lower in NAMES or (not folder and lower.endswith(ENDINGS))


def is_among_leftovers(path: str) -> bool:
    """The same for a file with the folders above it, separated by slashes."""
    *folders, name = path.split("/")
    return any(is_leftover(part, folder=True) for part in folders) or is_leftover(name)


def note(passed: Collection[str]) -> list[str]:
    """What a user may want to know of files and folders that were passed over."""
    few = "Files and folders passed over that systems and programs leave behind (hidden, temporary, __MACOSX …)"
    return [f"{few}: {len(passed)}"] if passed else []
