"""Which files are tables, and their chunks: a file, folder or pattern in → `TableFile`s out, whatever their format."""

from __future__ import annotations

from collections.abc import Callable

from adde_ray.errors import UserError
from adde_ray.sources.storage.files import AnyPath
from adde_ray.sources.storage.walking import Walk
from adde_ray.sources.tables.chunks import FileChunk, TableFile
from adde_ray.sources.tables.columnar import list_arrow, list_parquet
from adde_ray.sources.tables.lines import list_csv, list_jsonl


def list_tables(pool: AnyPath, walk: Walk) -> list[tuple[AnyPath, str]]:
    """The table files of a file, folder or pattern, with their names for messages. Raises UserError: none there."""
    if pool.is_file():
        return [(pool, f"{pool.parent.name}/{pool.name}")]
    root, names = (pool, walk.below(pool)) if pool.is_dir() else walk.matching(pool)
    found = sorted((root / name, f"{root.name}/{name}") for name in names)
    found = [(p, name) for p, name in found if p.suffix.lower() in LISTERS and not p.name.startswith("_")]
    if not found:
        raise UserError(
            "no .parquet, .csv or .jsonl file there",
            where="data.pool",
            value=str(pool),
            remedy="Give a file, a folder or a pattern such as pool/*.parquet",
        )
    return found


def list_chunks(path: AnyPath, name: str, rows: int) -> TableFile[FileChunk]:
    """The chunks of a file, of about `rows` rows each. Raises UserError or OSError: it is no table."""
    return LISTERS[path.suffix.lower()](path, name, rows)


LISTERS: dict[str, Callable[[AnyPath, str, int], TableFile[FileChunk]]] = {
    ".csv": list_csv,
    ".tsv": list_csv,
    ".jsonl": list_jsonl,
    ".ndjson": list_jsonl,
    ".parquet": list_parquet,
    ".pq": list_parquet,
    ".arrow": list_arrow,
}
