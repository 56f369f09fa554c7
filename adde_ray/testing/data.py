"""Checks of what data passes before anything learns from it: sources and gates; and of what makes it worse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from adde_ray.artifacts.schema import MODALITIES, PAYLOAD_KINDS, SPLITS
from adde_ray.config import Config, Gates
from adde_ray.config.data import Section
from adde_ray.labels import TASKS
from adde_ray.sources.rows import WHERE, Rows
from adde_ray.testing.expect import expect, expect_same, payloads


def check_source(read: Callable[..., Rows], section: Section) -> None:
    """A section of [data] and a seed → `Rows`: the same every time, with a seed set, val and a pool, labels in the
    label list, and the pool in chunks that can be read one by one. `section` names data that is there."""
    rows = read(section, seed=0)
    expect(isinstance(rows, Rows), f"gives a {type(rows).__name__}, no Rows")
    expect(rows.modality in MODALITIES, f"{rows.modality!r} is no modality")
    expect(rows.task in TASKS, f"{rows.task!r} is no task")
    expect(list(rows.classes) == sorted(set(rows.classes)), "the label list is not sorted, or has a class twice")
    if rows.pool_chunks is not None:
        names = [chunk.name for chunk in rows.pool_chunks]
        expect(len(set(names)) == len(names), "two chunks have one name")
        for chunk in rows.pool_chunks:
            table, rejected = chunk.read()
            expect(len(table) + len(rejected) <= chunk.num_rows, f"chunk {chunk.name} has more rows than it says")
    again, rows = read(section, seed=0).whole(), rows.whole()
    expect(set(rows.splits) <= set(SPLITS), f"there is a split that is none of {', '.join(SPLITS)}")
    for name in ("seed", "val", "pool"):
        expect(len(rows.splits.get(name, ())), f"there is no {name} row")
    for name, table in rows.splits.items():
        for column in (rows.modality, "label", WHERE, *rows.subgroups):
            expect(column in table.columns, f"split {name} has no column {column}")
        kind, wanted = table[rows.modality].dtype, PAYLOAD_KINDS[rows.modality]
        expect(kind == wanted, f"the payloads of split {name} are {kind}, not {wanted}")
        expect(not table[rows.modality].null_count(), f"a payload of split {name} is null")
        expect(table["label"].dtype == pl.String, f"labels of split {name} are {table['label'].dtype}, not texts")
        if name != "pool":
            expect(not table["label"].null_count(), f"a label of split {name} is null")
        if rows.task == "single":
            found = set(table["label"].drop_nulls()) - set(rows.classes)
            expect(not found, f"split {name} has labels that are not in the label list: {sorted(found)[:3]}")
        expect(table.equals(again.splits[name]), f"split {name} is another one when it is read again")
    for row in rows.rejected:
        expect({"where", "reason"} <= row.keys(), "a row is set aside without where it was and a reason")
    tree = Config.model_validate({"data": section}).model_dump(mode="json")["data"]
    expect(type(section).model_validate(tree) == section, "its section is another one when config.json is read again")


def check_gate(gate: Callable[[pl.Series, Gates], pl.Series], *, modality: str) -> None:
    """(n,) payloads, settings → (n,) reasons, null where a row passes; each row by itself."""
    rows = payloads(modality, 30)
    reasons = gate(rows, Gates())
    expect(isinstance(reasons, pl.Series), f"reasons are a {type(reasons).__name__}, no polars Series")
    expect(len(reasons) == 30, f"{len(reasons)} reasons for 30 rows")
    expect(reasons.dtype in (pl.String, pl.Null), f"reasons are {reasons.dtype}, not texts")
    expect(gate(rows, Gates()).equals(reasons), "the same rows get other reasons the second time")
    order = np.random.default_rng(0).permutation(30)
    some = gate(rows[order[:10]], Gates()).to_list()
    expect(some == reasons[order[:10]].to_list(), "a row's reason depends on the rows beside it")
    expect(len(gate(rows[:0], Gates())) == 0, "no rows get a reason")


def check_corruption(apply: Callable[..., Any], *, modality: str) -> None:
    """A payload, severity, randomness → the same kind, of the same shape; the same randomness gives the same."""
    rng = np.random.default_rng
    samples = [rng(0).random((bands, 8, 8)) for bands in (1, 3)] if modality == "image" else payloads("text", 3)
    for sample in samples:
        before = sample.copy() if isinstance(sample, np.ndarray) else sample
        for severity in (1, 2, 3, 4, 5):
            made, again = (apply(sample, severity, rng(1)) for _ in range(2))
            if isinstance(sample, np.ndarray):
                expect(made.shape == sample.shape, f"severity {severity} gives pixels of the shape {made.shape}")
                expect(np.isfinite(made).all(), f"severity {severity} gives pixels that are not finite")
                expect_same(made, again, "the same randomness gives other pixels")
                expect_same(sample, before, "the pixels it was given are changed")
            else:
                expect(isinstance(made, str), f"severity {severity} gives a {type(made).__name__}, no text")
                expect(made == again, "the same randomness gives another text")
    heavy = [apply(sample, 5, rng(seed)) for seed in range(5) for sample in samples]
    same = [np.array_equal(a, b) for a, b in zip(heavy, [*samples] * 5, strict=True)]
    expect(not all(same), "at severity 5 nothing is changed")
    if modality == "text":
        expect(isinstance(apply("a", 5, rng(0)), str), "a text of one letter gives no text")
