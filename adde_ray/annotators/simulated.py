"""The annotator that stands for people: the pool's hidden truth, their errors and their taste.

Models trained on all true data judge whether a synthetic sample is realistic; nothing else in a run may see them or
that data.
"""

from __future__ import annotations

import hashlib
from typing import TypeGuard

import numpy as np
import polars as pl
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neighbors import KNeighborsClassifier

from adde_ray import labels as codec
from adde_ray.annotators.protocol import decision
from adde_ray.artifacts.run_dir import ORACLE, RoundDir, RunDir, derive_seed, readable
from adde_ray.artifacts.schema import DECISIONS, frame
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.methods.synthesis.generators import generator_for


class Judges:
    """Two differently built classifiers fitted on all true data: what a person who knows the domain would see."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, *, seed: int, min_confidence: float = 0.5):
        """features (n, d), labels (n,) class rows, or (n, C) targets of a multi-label task; NaN is taken for absent."""
        self._multi = labels.ndim == 2
        labels = np.nan_to_num(labels).astype(np.int64)  # both models take either form
        self._models = [
            KNeighborsClassifier(min(5, len(labels)), weights="distance").fit(features, labels),
            ExtraTreesClassifier(200, random_state=seed, n_jobs=1).fit(features, labels),
        ]
        self._min_confidence = min_confidence

    def recognise(self, features: np.ndarray) -> list[int | np.ndarray | None]:
        """The class row both are sure of, for each of (m, d) features; None where they do not recognise one.

        Multi-label: (C,) targets, NaN for the classes they differ on: those cannot be told. None where they agree on
        no class that holds. (To reject whatever they differ on would be to reject two of three real pictures.)
        """
        if len(features) == 0:
            return []
        if self._multi:
            seen = [model.predict(features) for model in self._models]
            told = np.where(seen[0] == seen[1], seen[0], np.nan).astype(np.float32)
            return [row if (row == 1).any() else None for row in told]
        proba = [model.predict_proba(features) for model in self._models]
        classes = self._models[0].classes_
        agree = proba[0].argmax(axis=1) == proba[1].argmax(axis=1)
        sure = np.mean(proba, axis=0).max(axis=1) >= self._min_confidence
        return [int(classes[p]) if ok else None for p, ok in zip(proba[0].argmax(axis=1), agree & sure, strict=True)]


class SimulatedAnnotator:
    """Answers from the truth, with a chance of a wrong class; rejects synthetic samples nobody would recognise.

    error_rate: chance in [0, 1] of naming another class, by true class; multi: of taking a class for its contrary.
    judges: None = synthetic samples are taken at their word.
    multi: any number of classes may hold of a sample.
    """

    name = "simulated"

    def __init__(
        self,
        classes: tuple[str, ...],
        *,
        error_rate: float | dict[str, float] = 0.0,
        judges: Judges | None = None,
        multi: bool = False,
        seed: int = 0,
    ):
        self._classes, self._multi, self._judges, self._seed = classes, multi, judges, seed
        rates = error_rate if isinstance(error_rate, dict) else dict.fromkeys(classes, error_rate)
        self._error_rate = {label: rates.get(label, 0.0) for label in classes}

    def answer(
        self, query: pl.DataFrame, truth: dict[str, str], synthetic_features: dict[str, np.ndarray], *, t: int
    ) -> pl.DataFrame:
        """DECISIONS, one for each row of the query.

        truth: sample_id -> true label of its real rows; a label outside the classes is junk, which is rejected.
        synthetic_features: sample_id -> (d,) of its synthetic rows.
        """
        judged = self._judge(synthetic_features)
        rows = []
        for sample_id, origin, suggested in query.select("sample_id", "origin", "suggested").iter_rows():
            label = truth.get(sample_id) if origin == "real" else judged.get(sample_id, suggested)
            comment = None
            if self._is_label(label):
                label = self._mistake(sample_id, label)
            else:
                comment = (
                    "not recognisable" if origin == "synthetic" else "none of the classes" if label else "truth unknown"
                )
                label = None
            action = "reject" if label is None else "accept" if label == suggested else "correct"
            rows.append(decision(sample_id, self.name, action, label, comment, t=t))
        return frame(rows, DECISIONS)

    def _judge(self, features: dict[str, np.ndarray]) -> dict[str, str | None]:
        if self._judges is None or not features:
            return {}
        ids = sorted(features)
        recognised = self._judges.recognise(np.stack([features[i] for i in ids]))
        return dict(zip(ids, map(self._label, recognised), strict=True))

    def _label(self, found: int | np.ndarray | None) -> str | None:
        """What `Judges.recognise` gives for a sample, as text."""
        if found is None:
            return None
        return self._classes[found] if isinstance(found, int) else codec.texts(found[None], self._classes)[0]

    def _is_label(self, label: str | None) -> TypeGuard[str]:
        return label is not None and not codec.foreign(label, self._classes, multi=self._multi)

    def _mistake(self, sample_id: str, label: str) -> str:
        # Drawn from the sample's own id: the same person makes the same mistake on it in whatever batch it comes.
        digest = hashlib.blake2b(f"{self._seed}/{sample_id}".encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest))
        if self._multi:
            holds, unknown = codec.split(label)
            wrong = [c for c in self._classes if rng.random() < self._error_rate[c] and c not in unknown]
            return codec.join(set(holds) ^ set(wrong), unknown)
        others = [c for c in self._classes if c != label]
        return others[rng.integers(len(others))] if others and rng.random() < self._error_rate[label] else label


class Simulated:
    """Answers the queries of a run from its oracle: the pool's hidden labels."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        seed = derive_seed(config.run.seed, "annotator")
        self._oracle = run.root / ORACLE
        judges = None
        if config.review.reject_unrealistic and generator_for(config.generate.generator, data.meta.modality):
            ids, classes, multi = data.reference.ids, data.meta.classes, data.meta.multi
            known = self._truth(ids) | dict(data.splits["seed"].table.select("sample_id", "label").iter_rows())
            own = [not codec.foreign(known.get(i, ""), classes, multi=multi) for i in ids]
            usable = [row for row, i in enumerate(ids) if i in known and own[row]]
            labels = data.meta.numbers([known[ids[row]] for row in usable])
            judges = Judges(data.reference.features[usable], labels, seed=seed)
        self._annotator = SimulatedAnnotator(
            data.meta.classes,
            error_rate=config.review.error_rate,
            judges=judges,
            multi=data.meta.multi,
            seed=seed,
        )

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame:
        """DECISIONS about every row of the query."""
        features = dict(synthetic.select("sample_id", "features").iter_rows())
        made = {i: np.array(features[i], dtype=np.float32) for i in query["sample_id"] if i in features}
        return self._annotator.answer(query, self._truth(query["sample_id"].to_list()), made, t=round_.t)

    def _truth(self, sample_ids: list[str]) -> dict[str, str]:
        """Of these samples alone: there may be millions more."""
        with readable(self._oracle):
            wanted = pl.scan_parquet(self._oracle, glob=False).filter(pl.col("sample_id").is_in(sample_ids))
            return dict(wanted.select("sample_id", "label").collect().iter_rows())
