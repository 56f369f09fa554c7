"""What was labelled elsewhere → rows with a label, from which a run can start."""

from __future__ import annotations

from adde_ray.errors import Mistakes, UserError
from adde_ray.labels import SEPARATOR
from adde_ray.review.bridges.base import Given, Read

LABEL = "label"
"""The column that is made."""


def labelled(read: Read, where: object) -> tuple[list[str], list[dict[str, str]]]:
    """(columns, rows): what the file says of each sample, and its label; several classes joined by "|".

    What was skipped, rejected or flagged is left out. Raises Mistakes: two answers about one sample differ. Raises
    UserError: nothing is labelled.
    """
    found: dict[tuple[tuple[str, str], ...], tuple[Given, str]] = {}
    mistakes: list[UserError] = []
    for one in read.given:
        if one.action.strip() or not one.labels:
            continue
        label = SEPARATOR.join(sorted(one.labels))
        key = tuple(sorted(one.fields.items()))
        before, was = found.setdefault(key, (one, label))
        if was != label:
            what = f"contradicts the answer at {before.where}, which says {was!r}"
            mistakes.append(UserError(what, where=one.where, value=label, remedy="Keep one of them"))
    if mistakes:
        raise Mistakes(mistakes, where=where)
    if not found:
        raise UserError("has no labelled sample", where=where, remedy="Export it with its annotations")
    rows = [{**one.fields, LABEL: label} for one, label in found.values()]
    columns = list(dict.fromkeys(name for row in rows for name in row if name != LABEL))
    return [*columns, LABEL], [dict.fromkeys(columns, "") | row for row in rows]
