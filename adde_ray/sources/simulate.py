"""Rarity on purpose: a pool whose labels are known, thinned as the paper's experiments do.

Pool rows with sample_id and label → fewer of them. Which rows stay depends on their content and the seed alone.
"""

from __future__ import annotations

import polars as pl

from adde_ray.artifacts.run_dir import derive_rng, fingerprint
from adde_ray.config import Simulate
from adde_ray.errors import UserError
from adde_ray.sources.rows import listing


def thin(
    pool: pl.DataFrame, config: Simulate, classes: tuple[str, ...], *, seed: int
) -> tuple[pl.DataFrame, list[str]]:
    """The rows that stay, in their order, and a note that says what was done. Junk, a label of no class, stays.

    longtail_ratio first: the i-th class of C keeps n ratio^(-i / (C - 1)) rows, at least 1, with n as large as the
    classes allow; then rare_classes. Raises UserError: a label is not known, an unknown class.
    """
    rare = config.rare_classes
    rare = rare if isinstance(rare, dict) else dict.fromkeys(rare, config.rare_rows)
    if not rare and config.longtail_ratio is None:
        return pool, []
    if missing := pool["label"].null_count():
        raise UserError(
            f"{missing} of {len(pool)} pool rows have no known label",
            where="simulate",
            remedy="Give a pool whose labels are known, or leave [simulate] out",
        )
    for key, names in (("rare_classes", rare), ("longtail_order", config.longtail_order)):
        if unknown := [name for name in names if name not in classes]:
            raise UserError(
                "no such class",
                where=f"simulate.{key}",
                value=unknown[0],
                remedy=f"Classes: {listing(sorted(classes))}",
            )
    there = dict(pool["label"].value_counts().iter_rows())
    keep = {name: there[name] for name in sorted(classes) if name in there}
    if config.longtail_ratio is not None:
        keep = _longtail(keep, config.longtail_ratio, config.longtail_order, seed)
    keep |= {name: min(rows, keep[name]) for name, rows in rare.items() if name in keep}

    order = [fingerprint(seed, "simulate", i) for i in pool["sample_id"]]
    ranked = pool.select("label", "sample_id", pl.Series("order", order, dtype=pl.String)).sort("order", "sample_id")
    limit = pl.col("label").replace_strict(keep, default=len(pool), return_dtype=pl.Int64)
    kept = ranked.filter(pl.int_range(pl.len()).over("label") < limit)
    table = pool.join(kept.select("sample_id"), on="sample_id", how="semi", maintain_order="left")
    now = listing(f"{name} {rows}" for name, rows in sorted(keep.items(), key=lambda item: (-item[1], item[0])))
    return table, [f"simulate left {len(pool) - len(table)} of {len(pool)} pool rows out; what stays: {now}"]


def _longtail(there: dict[str, int], ratio: float, given: tuple[str, ...], seed: int) -> dict[str, int]:
    """Class -> rows of an exponential profile, the commonest class first in the order given, else drawn by the seed."""
    rest = [name for name in there if name not in given]
    drawn = [rest[i] for i in derive_rng(seed, "simulate").permutation(len(rest))]
    order = [name for name in given if name in there] + drawn
    shares = [ratio ** (-i / max(len(order) - 1, 1)) for i in range(len(order))]
    most = min((there[name] / share for name, share in zip(order, shares, strict=True)), default=0)
    return {name: min(there[name], max(1, round(most * share))) for name, share in zip(order, shares, strict=True)}
