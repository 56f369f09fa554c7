"""Answers of many people for benchmarks: real ones below $ADDE_DATA_DIR, else made-up ones on the digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from common import console
from protocols import data_dir
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adde_ray.annotators.person import SimulatedPerson
from adde_ray.annotators.simulated import rates
from adde_ray.methods.model.learner import fit_temperature

NAMES = {"d_Duck Identification": "ducks", "d_jn-product": "products", "s4_Dog data": "dogs",
         "s4_Face Sentiment Identification": "faces"}  # fmt: skip

WRONG = 0.17
"""Share of wrong answers of a made-up person, near that of CIFAR-10's."""


@dataclass(frozen=True)
class Judged:
    """n samples with features (n, d), true class rows (n,), and what three people said of each (n, 3)."""

    features: np.ndarray
    true: np.ndarray
    said: np.ndarray

    def of(self, rows: np.ndarray) -> Judged:
        """Some of the samples."""
        return Judged(self.features[rows], self.true[rows], self.said[rows])


def tasks() -> dict[str, tuple[pl.DataFrame, pl.DataFrame]]:
    """Name -> answers (item, worker, label) and truth (item, label) of four crowd tasks, or one made up."""
    folder = data_dir()
    if folder is None:
        console.print("ADDE_DATA_DIR is not set: a made-up crowd of 30, a third of whom only guess")
        return {"made up": _made_up()}
    table = pl.read_parquet(folder / "crowd_labels.parquet").rename({"answer": "label"})
    found = {}
    for (name,), rows in sorted(table.group_by("dataset")):
        truth = rows.unique("item").sort("item").select("item", pl.col("truth").alias("label"))
        found[NAMES[name]] = (rows.select("item", "worker", "label").sort("item", "worker"), truth)
    return found


def judged() -> Judged:
    """CIFAR-10's 50,000 training images and three people's labels, or the digits and three made-up people."""
    folder = data_dir()
    if folder is None:
        console.print(f"ADDE_DATA_DIR is not set: digits, and three made-up people who err {WRONG:.0%} of the time")
        return _digits_judged()
    rows = _cifar(folder)
    train = (rows["split"] == "train").to_numpy()
    features = np.load(folder / "cifar10_dinov2s.npy").astype(np.float32)[train]
    return Judged(features, rows["label"].to_numpy()[train], np.array(rows.filter(split="train")["human3"].to_list()))


def held_out(seed: int, rows: Judged) -> tuple[Judged, np.ndarray, np.ndarray]:
    """What people may be asked about, and features and true classes of what only measures: CIFAR-10's test images, or
    a third of the digits."""
    folder = data_dir()
    if folder is None:
        order = np.random.default_rng(seed).permutation(len(rows.true))
        test, rest = np.split(order, [len(order) // 3])
        return rows.of(rest), rows.features[test], rows.true[test]
    table = _cifar(folder)
    test = (table["split"] == "test").to_numpy()
    return rows, np.load(folder / "cifar10_dinov2s.npy")[test].astype(np.float32), table["label"].to_numpy()[test]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (1797, 64) and classes."""
    found = load_digits()
    return found.data.astype(np.float32), found.target


def out_of_fold(features: np.ndarray, labels: np.ndarray, num_classes: int, *, folds: int = 5, seed: int = 0):
    """(n, C) probabilities of logistic regressions that did not see the row; alike where a class cannot be told."""
    found = np.full((len(labels), num_classes), 1 / num_classes)
    least = np.bincount(labels)[np.unique(labels)].min()
    kind = StratifiedKFold(min(folds, max(2, least)) if least > 1 else folds, shuffle=True, random_state=seed)
    cut = kind.split(features, labels if least > 1 else np.zeros(len(labels)))
    for learned, left in cut:
        found[left] = proba(fit(features[learned], labels[learned]), features[left], num_classes)
    return found


def fit(features: np.ndarray, labels: np.ndarray):
    """Logistic regression on standardised features, classes balanced as f has them."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=100, class_weight="balanced"))
    return model.fit(features, labels) if len(np.unique(labels)) > 1 else int(labels[0])


def proba(model, features: np.ndarray, num_classes: int) -> np.ndarray:
    """(n, C) probabilities; of one class alone all are of it. None is under .003: no model is that sure of so few."""
    found = np.zeros((len(features), num_classes))
    if isinstance(model, int):
        found[:, model] = 1.0
    elif len(features):
        found[:, model.classes_] = model.predict_proba(features)
    return found * (1 - 0.003 * num_classes) + 0.003


def warmed(proba: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities with their logits divided by a temperature."""
    found = proba ** (1 / temperature)
    return found / found.sum(axis=1, keepdims=True)


def temperature(unseen: np.ndarray, labels: np.ndarray) -> float:
    """That which calibrates out-of-fold probabilities, as f's is."""
    return fit_temperature(np.log(unseen), labels)


def _cifar(folder: Path) -> pl.DataFrame:
    columns = ["split", "index", "label", "human3"]
    return pl.read_parquet(folder / "cifar10_32.parquet", columns=columns).sort("split", "index")


def _digits_judged() -> Judged:
    features, true = digits()
    names = tuple(str(c) for c in range(10))
    people = [SimulatedPerson(names, rates(names, WRONG), mark=who) for who in "abc"]
    said = [[int(person.says(str(i), str(c))) for person in people] for i, c in enumerate(true)]
    return Judged(features, true, np.array(said))


def _made_up() -> tuple[pl.DataFrame, pl.DataFrame]:
    rng, names = np.random.default_rng(0), ("a", "b", "c", "d")
    true = [names[c] for c in rng.integers(4, size=600)]
    people = [SimulatedPerson(names, rates(names, 0.7 if w % 3 == 0 else 0.2), mark=str(w)) for w in range(30)]
    rows = [
        (f"i{i:03d}", f"w{w:02d}", people[w].says(f"{i}", label))
        for i, label in enumerate(true)
        for w in rng.choice(30, size=9, replace=False)
    ]
    answers = pl.DataFrame(rows, schema=["item", "worker", "label"], orient="row").sort("item", "worker")
    return answers, pl.DataFrame({"item": [f"i{i:03d}" for i in range(600)], "label": true})
