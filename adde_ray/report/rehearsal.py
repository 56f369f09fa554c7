"""What a rehearsal comes to: a run with random selection beside it → who is ahead, the worst class, what to try next.

Read from the run's folder: the last models of both say what they say of the held-out rows once more, since only row by
row can one tell how much of their difference is noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adde_ray.artifacts.encoder_choice import encoder_of
from adde_ray.artifacts.features import read_features
from adde_ray.artifacts.run_dir import MODEL, RoundDir, RunDir, derive_seed, read_json, read_table
from adde_ray.artifacts.schema import Meta
from adde_ray.config import Config
from adde_ray.labels import count
from adde_ray.methods.encoders import ENCODERS, better, resolve
from adde_ray.methods.stats.paired_rows import row_difference
from adde_ray.methods.stats.verdict import Judged, judge, sentence
from adde_ray.pool.pictures import reads_originals
from adde_ray.stages.train import load

OURS, RANDOM = "ADDE", "random"

VAL_ROWS = 10
"""Val rows of a class under which its figures jump about too much to steer by."""

OTHERS = "adde, random, typiclust, k_center and margin"
"""Strategies of which another one was best on each dataset of the benchmarks."""


Worst = tuple[str, float, float]
"""The run's worst class, its recall, and its recall with random selection."""

LOST = FELL = 0.2
"""A class of less recall than this is hardly found; one so far under random selection's has suffered."""


@dataclass(frozen=True)
class Rehearsal:
    """How the run did against random selection on `split`: test, or val where there is none."""

    split: str
    ours: float  # macro-F1
    random: float
    found: Judged  # ours less random's
    worst: Worst | None
    advice: str

    @property
    def verdict(self) -> str:
        """Who is ahead, by how much, and whether that is noise."""
        of = f"macro-F1 on {self.split}{', which steered the run' if self.split == 'val' else ''}"
        told = sentence((OURS, self.ours), (RANDOM, self.random), self.found, of)
        return f"{told}, judged by its {self.found.n:,} rows; another seed may differ by more"

    @property
    def lines(self) -> list[str]:
        """All of it, for a terminal."""
        return [f"rehearsal: {self.verdict}", *self._worst, f"before you pay people: {self.advice}"]

    @property
    def _worst(self) -> list[str]:
        if self.worst is None:
            return []
        label, ours, random = self.worst
        return [f"worst class: {label}, recall {ours:.3f}; with {RANDOM} selection {random:.3f}"]


def rehearsal(run: RunDir) -> Rehearsal | None:
    """None where no random selection was finished beside the run, there is neither test nor val, or a model or features
    that it takes are gone."""
    beside = RunDir(run.root / "baselines" / RANDOM)
    ends = [rounds[-1] for of in (run, beside) if (rounds := of.rounds())]
    if len(ends) < 2 or any(not end.manifest["stop_reason"] or not (end.root / MODEL).exists() for end in ends):
        return None
    metrics = [end.metrics for end in ends]
    split = next((name for name in ("test", "val") if all(m[name] for m in metrics)), None)
    if split is None:
        return None
    meta = Meta.from_json(read_json(run.root / "ingest" / "meta.json"))
    labels = meta.numbers(read_table(run.root / "ingest" / f"{split}.parquet", "label")["label"])
    files = [path for end in ends if (path := _features(end, run.root, split)) is not None]
    if len(files) < len(ends):
        return None
    features = [np.asarray(read_features(path)[1], dtype=np.float32) for path in files]
    proba, of_random = (load(end, end.run.config.train).proba(x) for end, x in zip(ends, features, strict=True))
    seed = derive_seed(run.config.run.seed, "rehearsal")
    found = judge({OURS: row_difference(labels, proba, of_random, seed=seed)})[OURS]
    ours, random = (m[split] for m in metrics)
    worst = _worst(metrics[0], metrics[1], split)
    advice = _advice(run, meta, found, worst, random["macro_f1"], split)
    return Rehearsal(split, ours["macro_f1"], random["macro_f1"], found, worst, advice)


def _worst(ours: dict, random: dict, split: str) -> Worst | None:
    """The class of the lowest recall, of equals the one with the fewest rows in the dataset."""
    recall, held = ours[split]["recall"], ours["per_class"]
    if not recall:
        return None
    label = min(recall, key=lambda c: (recall[c], held.get(c, 0), c))
    return label, recall[label], random[split]["recall"].get(label, 0.0)


def _features(end: RoundDir, root: Path, split: str) -> Path | None:
    """What the round's model reads of a split: the frozen encoder's features, or those of the one it fine-tuned."""
    own = end.root / "embeddings" / f"{split}.parquet"
    return own if own.exists() else next(iter(sorted(root.glob(f"embeddings/*/{split}.parquet"))), None)


def _advice(run: RunDir, meta: Meta, found: Judged, worst: Worst | None, level: float, split: str) -> str:
    """What to try, by what the benchmarks have shown: features first, then val, then the choice of samples.

    level: where random selection ends.
    """
    config, tips = run.config, []
    if found.verdict == "higher":
        tips.append(_pays(run, level, split))
    elif text := _better_features(run, meta):
        tips.append(f"try {text}: better features gain more than any choice of samples")
    if worst and worst[1] < max(LOST, worst[2] - FELL):
        tips.append(f"put more examples of {worst[0]} into the seed set: its recall is {worst[1]:.3f}")
    val = run.root / "ingest" / "val.parquet"
    held = read_table(val, "label")["label"] if val.exists() else []
    label, fewest = min(count(held, meta.classes, multi=meta.multi).items(), key=lambda item: (item[1], item[0]))
    if fewest < VAL_ROWS:
        tips.append(f"label more val rows, {VAL_ROWS} of each class: {label} has {fewest}")
    if _wrong_answers(config):
        tips.append("let val choose the loss (train.balance = [1, 0.5], train.robustness = [0, 0.5])")
    if found.verdict != "higher":
        tips.append(f"compare {OTHERS} over three seeds with `adde ablate`")
    return "; ".join(tips)


def _better_features(run: RunDir, meta: Meta) -> str | None:
    config, encoder = run.config, encoder_of(run.root, run.config.encoder)
    if config.train.mode != "head" or not (encoder.name == "auto" or encoder.name in ENCODERS):
        return None  # a plugin's encoder may not be here
    sized = hasattr(config.data, "size") and not reads_originals(config)
    return better(resolve(encoder, meta.modality), sized=sized)


def _pays(run: RunDir, level: float, split: str) -> str:
    """How many labels it took to random's end."""
    reached = ((m["num_asked"], m[split]["macro_f1"]) for m in (round_.metrics for round_ in run.rounds()))
    labels = next((asked for asked, figure in reached if figure >= level), None)
    spent = run.rounds()[-1].metrics["num_asked"]
    return f"selection pays here, {labels} of {spent} labels were enough for random's {level:.3f}"


def _wrong_answers(config: Config) -> bool:
    """Whether some answers are wrong, and the model learns from them as from right ones."""
    review = config.review
    err = review.error_rate or review.people or review.replay
    return bool(err) and len(config.train.balance) == len(config.train.robustness) == 1
