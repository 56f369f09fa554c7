"""Made-up crowds."""

import numpy as np
import polars as pl
import pytest


def made(accuracies, items=300, classes="xyz", share=1.0, seed=0):
    """answers (item, worker, label) of people who are right so often, and the truth (item, label)."""
    rng = np.random.default_rng(seed)
    true = rng.integers(len(classes), size=items)
    ids, rows = [f"i{i:04d}" for i in range(items)], []
    for worker, accuracy in enumerate(accuracies):
        for i in range(items):
            if rng.random() < share:
                wrong = (true[i] + rng.integers(1, len(classes))) % len(classes)
                rows.append((ids[i], f"w{worker:02d}", classes[true[i] if rng.random() < accuracy else wrong]))
    answers = pl.DataFrame(rows, schema=["item", "worker", "label"], orient="row")
    return answers, pl.DataFrame({"item": ids, "label": [classes[c] for c in true]})


@pytest.fixture
def crowd():
    """A maker of crowds: `made`."""
    return made
