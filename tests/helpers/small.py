"""Small data and configs on which a whole run takes half a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.config import Config

CLASSES = ("a", "b", "c")


def blobs(split: str, count: int, *, classes: str = "abc", dims: int = 4, seed: int = 0) -> list[dict]:
    """`count` rows of one split around a centre for each class, the classes in turn."""
    centres = np.random.default_rng(99).normal(size=(26, dims)) * 3
    rng = np.random.default_rng([seed, *split.encode()])
    labels = [classes[i % len(classes)] for i in range(count)]
    return [
        {"vector": (centres[ord(c) - 97] + rng.normal(size=dims)).tolist(), "label": c, "split": split} for c in labels
    ]


def rows(*, pool: int = 60, **options) -> list[dict]:
    """Seed set, val and test of two to four rows a class, and a pool whose labels are hidden."""
    sizes = {"seed": 6, "val": 12, "test": 12, "pool": pool}
    return [row for split, count in sizes.items() for row in blobs(split, count, **options)]


def row(vector, label: str | None, split: str) -> dict:
    return {"vector": [float(x) for x in vector], "label": label, "split": split}


def write(path: Path, rows: list[dict]) -> Path:
    pl.DataFrame(rows, schema_overrides={"vector": pl.List(pl.Float32)}).write_parquet(path)
    return path


def tree(path: Path, **sections: dict) -> dict:
    """A config for what `write` wrote: two rounds of five, nothing synthetic; `sections` override keys."""
    base = {
        "data": {"source": "csv", "path": str(path), "vector_column": "vector", "split_column": "split"},
        "generate": {"generator": "none"},
        "train": {"steps": 20},
        "select": {"batch": 5},
        "stop": {"labels": 10},
    }
    return base | {name: base.get(name, {}) | section for name, section in sections.items()}


def config(path: Path, **sections: dict) -> Config:
    return Config.parse(tree(path, **sections))
