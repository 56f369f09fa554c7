"""What a source hands to ingest, and the helpers that sources share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from adde_ray.errors import UserError
from adde_ray.schema import sample_id

WHERE = "_where"
"""Private column: where a row came from (file, file:line), for messages. Ingest drops it."""


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
    rejected: list[dict[str, str]] = field(default_factory=list)  # {"where", "reason"}: unusable input
    notes: list[str] = field(default_factory=list)  # what a user may want to know, one sentence each
    task: str = "single"  # one of labels.TASKS; "multi": `label` in the form `labels.join` gives it


def identify(payloads: Iterable[bytes | str | np.ndarray] | pl.Series) -> pl.Series:
    """The `sample_id` of each payload."""
    if isinstance(payloads, pl.Series) and isinstance(payloads.dtype, pl.List):
        payloads = (row.to_numpy() for row in payloads)
    return pl.Series("sample_id", [sample_id(payload) for payload in payloads], dtype=pl.String)


def draw(ids: pl.Series, labels: pl.Series, fractions: dict[str, float], rng: np.random.Generator) -> pl.Series:
    """Split name of each row, drawn class by class; what no split in `fractions` takes is "seed".

    Copies of one sample share a split. A class gives each split at least one sample while it has two to give,
    and always keeps one: a class of one sample is all seed. The order of rows has no influence.
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


def refuse_if_many(rejected: list[dict[str, str]], total: int, limit: float, *, what: str, where: object) -> None:
    """Raises UserError when more than `limit` of `total` inputs had to be set aside."""
    if len(rejected) > limit * total:
        first = rejected[0]
        raise UserError(
            f"{len(rejected)} of {total} {what} are unusable ({len(rejected) / total:.0%}; at most {limit:.0%} may be);"
            f" the first is {first['where']}: {first['reason']}",
            where=where,
            remedy="Mend or remove them, or raise data.max_rejected",
        )


def listing(names: Iterable[str], at_most: int = 20) -> str:
    """Names for a message, cut when there are many."""
    names = list(names)
    more = f", … ({len(names)} in all)" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
