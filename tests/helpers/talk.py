"""Texts of a bank's customers, of which one class has no labelled sample, and a config to run on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.config import Config

TOPICS = {
    "card_lost": ["my card is lost", "i lost the card", "where is the lost card", "card lost somewhere"],
    "exchange_rate": ["the exchange rate is wrong", "wrong rate of exchange", "why this exchange rate"],
    "pin_blocked": ["my pin is blocked", "blocked pin code", "unblock the pin please", "the pin was blocked"],
}
FILLERS = ["please", "today", "help me", "again", "since monday", "at the bank", "with you", "and hurry", "thanks"]


def talk(path: Path, *, pool: int = 150) -> Path:
    """Texts of two classes and a few of a third, which come by telephone; seed samples of the first two."""
    rng, found = np.random.default_rng(0), {}
    while len(found) < pool:
        label = list(TOPICS)[2 if len(found) % 10 == 0 else len(found) % 2]
        text = " ".join([rng.choice(TOPICS[label]), *rng.choice(FILLERS, 3, replace=False)])
        split = "seed" if len(found) in (1, 2, 3, 4) else "pool"
        way = "phone" if label == "pin_blocked" else ("mail", "web")[len(found) % 2]
        found[text] = {"text": text, "label": label, "split": split, "way": way}
    pl.DataFrame(list(found.values())).write_csv(path)
    return path


def of_texts(path: Path, **data) -> Config:
    own = {
        "source": "csv", "path": str(path), "text_column": "text", "split_column": "split", "subgroup_columns": ["way"],
        "classes": sorted(TOPICS),
    }  # fmt: skip
    return Config.parse(
        {
            "data": own | data,
            "encoder": {"name": "tfidf"},
            "gates": {"near_copies": False},
            "generate": {"generator": "none"},
            "clustering": {"num_cells": 6},
            "select": {"batch": 5},
            "stop": {"rounds": 2},
        }
    )
