"""What a source hands to ingest, and the helpers that sources share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import polars as pl

from adde_ray.artifacts.schema import sample_id
from adde_ray.errors import UserError, first_line

WHERE = "_where"
"""Private column: where a row came from (file, file:line), for messages. Ingest drops it."""

SOURCE_ROW = "source_row"
"""Column of images that lay in a table's cells: which table and row, as `WHERE` names them. Null for any other."""


Reject = dict[str, Any]
"""{"where", "reason"} of an unusable input, and "rows" where it stands for more rows than one (a corrupt file)."""


def why(error: UserError | OSError) -> str:
    """The reason of a reject that an error is behind."""
    return error.what if isinstance(error, UserError) else f"cannot be read: {error.strerror or first_line(error)}"


class Chunk(Protocol):
    """Some rows of the pool, to be read by themselves on any machine: small to pickle, no ray needed to read them."""

    @property
    def name(self) -> str:
        """Stable and unique among the chunks of a source: for messages, and for knowing which are done."""
        ...

    @property
    def num_rows(self) -> int:
        """How many rows it has, or at most has; rows that turn out unusable are counted too."""
        ...

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """Its rows as `Rows.splits["pool"]` has them, and what had to be set aside. Never raises for bad data.

        All chunks of a source give the same columns in the same order, with the same types.
        """
        ...


@dataclass(frozen=True)
class Limit:
    """How many of a source's inputs may be unusable before the data is refused."""

    share: float
    what: str  # "rows", "images"
    where: object  # the file or folder

    def check(self, rejected: list[Reject], total: int) -> None:
        """Raises UserError when `rejected` stand for more than that share of `total` inputs."""
        refuse_if_many(rejected, total, self.share, what=self.what, where=self.where)


@dataclass(frozen=True)
class Rows:
    """A data set as its source read it, before ingest checks and cleans it.

    splits: split name -> columns: the payload (image, text or vector), label (null where unknown; the pool's
    hidden truth is still in it), `WHERE`, subgroup columns, untouched user columns.
    """

    splits: dict[str, pl.DataFrame]
    modality: str  # one of schema.MODALITIES
    classes: tuple[str, ...]  # the label list, sorted
    subgroups: tuple[str, ...] = ()
    rejected: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what a user may want to know, one sentence each
    task: str = "single"  # one of labels.TASKS; "multi": `label` in the form `labels.join` gives it
    pool_chunks: tuple[Chunk, ...] | None = None  # the pool, not read yet, instead of splits["pool"]
    num_read: int = 0  # inputs looked at so far, the rejected included; those of the chunks are to be added
    limit: Limit | None = None  # to be checked once the chunks are read

    def whole(self) -> Rows:
        """With the pool read into memory. Raises UserError when too much of it is unusable."""
        if self.pool_chunks is None:
            return self
        pool, rejected = read_all(self.pool_chunks)
        rejected, total = [*self.rejected, *rejected], self.num_read + len(pool) + count(rejected)
        if self.limit:
            self.limit.check(rejected, total)
        splits = {**self.splits, "pool": pool} if len(pool) else self.splits
        return replace(self, splits=splits, rejected=rejected, pool_chunks=None, num_read=total)


def read_all(chunks: Iterable[Chunk]) -> tuple[pl.DataFrame, list[Reject]]:
    """The rows of all chunks, in order, and what had to be set aside."""
    tables, rejected = [], []
    for chunk in chunks:
        table, aside = chunk.read()
        tables.append(table)
        rejected += aside
    tables = [table for table in tables if len(table)] or tables[:1]
    return pl.concat(tables) if tables else pl.DataFrame(), rejected


def count(rejected: Iterable[Reject]) -> int:
    """Rows that rejects stand for."""
    return sum(reject.get("rows", 1) for reject in rejected)


def identify(payloads: Iterable[bytes | str | np.ndarray] | pl.Series) -> pl.Series:
    """The `sample_id` of each of n payloads, (n,) strings. Vectors are (d,) arrays, or lists in a Series."""
    if isinstance(payloads, pl.Series) and isinstance(payloads.dtype, pl.List):
        payloads = (row.to_numpy() for row in payloads)
    return pl.Series("sample_id", [sample_id(payload) for payload in payloads], dtype=pl.String)


def draw(ids: pl.Series, labels: pl.Series, fractions: dict[str, float], rng: np.random.Generator) -> pl.Series:
    """Split name of each row, drawn class by class; what no split in `fractions` takes is "seed".

    Copies of one sample share a split. A class gives each split at least one sample while it has two to give,
    and always keeps one: a class of one sample is all seed. The order of rows has no influence.
    Raises UserError: the fractions sum to 1 or more.
    """
    if sum(fractions.values()) >= 1:
        raise UserError(
            f"{' and '.join(f'{name}_fraction' for name in fractions)} leave nothing to learn from",
            where="data",
            value=" + ".join(f"{value:g}" for value in fractions.values()),
            remedy="Choose fractions that sum to less than 1",
        )
    unique = pl.DataFrame({"id": ids, "label": labels}).unique("id", keep="first", maintain_order=True).sort("id")
    split_of: dict[str, str] = {}
    for label in unique["label"].unique().sort():
        members = unique.filter(pl.col("label") == label)["id"].to_list()
        members = [members[i] for i in rng.permutation(len(members))]
        size = len(members)
        for name, fraction in fractions.items():
            take = min(max(1, round(fraction * size)), len(members) - 1) if fraction else 0
            split_of.update(dict.fromkeys(members[:take], name))
            members = members[take:]
        split_of.update(dict.fromkeys(members, "seed"))
    return pl.Series("split", [split_of[i] for i in ids], dtype=pl.String)


def refuse_if_many(rejected: list[Reject], total: int, limit: float, *, what: str, where: object) -> None:
    """Raises UserError when more than `limit` of `total` inputs had to be set aside."""
    number = count(rejected)
    if number > limit * total:
        first = rejected[0]
        raise UserError(
            f"{number} of {total} {what} are unusable ({number / total:.0%}; at most {limit:.0%} may be);"
            f" the first is {first['where']}: {first['reason']}",
            where=where,
            remedy="Mend or remove them, or raise data.max_rejected",
        )


def refuse_lost(before: Iterable[str], after: Iterable[str], rejected: list[Reject], *, where: object) -> None:
    """Raises UserError when a split has no row left. before, after: the split of each row, the unusable gone after."""
    before, left = Counter(before), set(after)
    for split, number in before.items():
        if split not in left:
            first = f"; the first is {rejected[0]['where']}: {rejected[0]['reason']}" if rejected else ""
            remedy = f"Mend them, or take {split} out: without a split of its own it is drawn or left out"
            raise UserError(f"none of the {number} {split} rows is usable{first}", where=where, remedy=remedy)


def lost_classes(before: Iterable[str | None], after: Iterable[str | None]) -> list[str]:
    """What a user may want to know of classes of which no row is left. before, after: the labels."""
    gone = sorted({label for label in before if label is not None} - set(after))
    return [f"No usable row is left of {len(gone)} classes: {listing(gone, 5)}"] if gone else []


def listing(names: Iterable[str], at_most: int = 20) -> str:
    """Names for a message, cut when there are many."""
    names = list(names)
    more = f", … ({len(names)} in all)" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
