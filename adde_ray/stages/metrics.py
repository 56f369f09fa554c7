"""What an experiment stands on, measured every round: quality, fairness, amplification, robustness, coverage.

`MetricsReference` is what all rounds of a run are measured with; `measure` gives the entries of metrics.json that say
how f and D_t do by it. The arithmetic is in `methods/`; here is only what is put into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.artifacts import digests
from adde_ray.artifacts.features import read_features, write_features
from adde_ray.artifacts.run_dir import RoundDir, derive_seed
from adde_ray.artifacts.schema import HELD_OUT, UNLABELLED, Population
from adde_ray.config import Config
from adde_ray.dataset import Data, Dataset, load_dataset
from adde_ray.labels import PRESENT, holds, split
from adde_ray.methods.metrics import amplification, fairness
from adde_ray.methods.metrics.corruptions import corrupt
from adde_ray.methods.metrics.evaluation import evaluate, forgetting, headline, rare_classes, regressions
from adde_ray.methods.model.learner import Model
from adde_ray.methods.space.clustering import Regions, fit_regions
from adde_ray.methods.space.diversity import (
    LABEL,
    Combinations,
    class_target,
    combinations,
    grid_coverage,
    subgroup_targets,
)

REGIONS = "adde:regions"
"""The regions of the frozen features, as an attribute beside the subgroup columns. No user's column is called that."""

CORRUPTED_AT_ONCE = 1024
"""Rows in memory at a time, corrupted: images may be larger than they are kept."""

Groups = dict[str, list[str | None]]
"""Attribute -> a row's group, None where it is not known."""


@dataclass(frozen=True)
class MetricsReference:
    """Made once for a run, of what it was given: the same in every round, for every strategy, and after a resume."""

    rare: tuple[str, ...]
    regions: Regions | None
    groups: dict[str, Groups]  # of each held-out split
    targets: dict[str, dict[str, float]]  # attribute but the class -> group -> target share
    pool: dict[str, float]  # attribute but the class -> the pool's imbalance
    known: Combinations  # which combinations of attributes occur in pool, seed set and val
    corrupted: dict[str, np.ndarray]  # corruption -> frozen features of val corrupted so; {} where f has its own

    @classmethod
    def of(cls, data: Data, config: Config) -> MetricsReference:
        """That of a run, by its frozen features. Corrupts and embeds val where `measure.corruptions` asks for it."""
        data, set_ = data.frozen or data, config.measure
        reference, pool, val = data.reference, data.pool.sample, data.splits["val"]
        regions = None
        if set_.regions:
            seed = derive_seed(config.run.seed, "regions")
            regions = fit_regions(reference.features, set_.regions, dims=config.clustering.dims, seed=seed)
        splits = {name: data.splits[name] for name in HELD_OUT if name in data.splits}
        columns = data.subgroups(reference.table)
        nowhere, unlabelled = np.zeros((len(reference), 0), np.float32), np.full(len(reference), UNLABELLED)
        population = Population(reference.ids, nowhere, unlabelled, columns)
        targets = subgroup_targets(population, population, config.diversity)
        if regions is not None:
            targets[REGIONS] = {str(i): 1 / len(regions) for i in range(len(regions))}
        of_pool = groups_of(data.subgroups(pool.table), pool.features, regions)
        occurring = [
            _attributes(reference.table["label"], columns, data),
            _attributes(val.table["label"], data.subgroups(val.table), data),
        ]
        frozen = set_.corruptions and config.train.mode == "head"
        return cls(
            rare=set_.rare_classes or rare_classes(data.meta.classes, data.labels("seed"), data.labels("val")),
            regions=regions,
            groups={name: groups_of(data.subgroups(s.table), s.features, regions) for name, s in splits.items()},
            targets=targets,
            pool={name: _imbalance(of_pool[name], target) for name, target in targets.items()},
            known=combinations(pl.concat(occurring)),
            corrupted=corrupted_val(data, config, data.encode.folder) if frozen else {},
        )


def groups_of(subgroups: Groups, features: np.ndarray, regions: Regions | None) -> Groups:
    """The subgroup columns, and the regions that frozen features lie in."""
    if regions is None:
        return subgroups
    return {**subgroups, REGIONS: [str(r) for r in regions.of(features)]}


def measure(
    dataset: Dataset,
    model: Model,
    proba: np.ndarray,
    data: Data,
    config: Config,
    round_: RoundDir,
    by: MetricsReference,
) -> dict:
    """Entries of the round's metrics.json. proba: f's, of the rows of `Data.reference`.

    val, test, ood    `evaluation.evaluate`, {} for a split that is not there; what is measured on val is then {}, too
    rare_classes      those of rare_recall
    regressions       classes whose recall on val fell since the round before
    forgetting        how far recall on val lies under its best (`mean`), and the best by class
    drops             split -> val's macro_f1 and accuracy less its own
    corruptions       name -> macro_f1 and accuracy on val corrupted so, and the drop of macro_f1
    fairness          split -> attribute -> the differences between groups of `fairness.measure`: less is better
    groups            split -> attribute -> the rest of it: accuracy and rows by group, the worst group, …
    misstatement      split -> attribute -> `amplification.misstatement`; `label` is all rows together
    imbalance         attribute -> how far the shares in D_t (`dataset`) and in the pool (`pool`) are from the target;
                      the pool's classes as f sees them, which is an estimate
    amplification     `amplification.amplification`, against round 0
    per_subgroup      column -> value -> rows of D_t
    grid              `diversity.grid_coverage` of pairs of class and subgroup columns; {} without such columns
    """
    classes = data.meta.classes
    before = round_.run.round(round_.t - 1).metrics if round_.t else {}
    said = {name: model.proba(data.splits[name].features) for name in by.groups}
    truth = {name: data.labels(name) for name in by.groups}
    quality = {name: evaluate(truth[name], said[name], classes, by.rare) for name in by.groups}
    far, best = forgetting(before.get("forgetting", {}).get("best", {}), quality["val"].get("recall", {}))
    served = {
        name: {at: fairness.measure(g, truth[name], said[name], classes) for at, g in groups.items()}
        for name, groups in by.groups.items()
    }
    found = {
        **{name: {} for name in HELD_OUT},
        **quality,
        "rare_classes": list(by.rare),
        "regressions": regressions(before.get("val", {}), quality["val"]),
        "forgetting": {"mean": round(far, 6), "best": best},
        "drops": {name: _drop(quality["val"], quality[name]) for name in quality if name != "val" and quality["val"]},
        "corruptions": corruptions(model, quality["val"], data, config, round_, by),
        "fairness": _each(served, lambda key: key in fairness.DIFFERENCES),
        "groups": _each(served, lambda key: key not in fairness.DIFFERENCES),
        "misstatement": {name: _misstated(groups, truth[name], said[name]) for name, groups in by.groups.items()},
        "imbalance": imbalance(dataset, proba, data, config, round_, by),
        "per_subgroup": {
            column: dict(sorted(Counter(v for v in values if v is not None).items()))
            for column, values in dataset.subgroups.items()
        },
        "grid": grid_coverage(
            by.known, combinations(_attributes(dataset.table["label"], dataset.subgroups, data))
        ),
    }  # fmt: skip
    first = round_.run.round(0).metrics if round_.t else found
    shown = "test" if "test" in quality else "val"
    return found | {"amplification": amplification.amplification(found, first, shown=shown)}


def imbalance(
    dataset: Dataset, proba: np.ndarray, data: Data, config: Config, round_: RoundDir, by: MetricsReference
) -> dict[str, dict[str, float]]:
    """By attribute that of D_t and of the pool."""
    frozen = dataset if data.frozen is None else load_dataset(round_.run, round_.t, data.frozen)
    target = class_target(data.meta.classes, config.diversity)
    found = {LABEL: {"dataset": round(amplification.imbalance(dataset.class_counts, target), 6)}}
    if data.frozen is None or len(data.reference) == len(data.frozen.reference):  # else f sees a shortlist of the pool
        num = len(target)
        seen = proba >= PRESENT if data.meta.multi else holds(proba.argmax(axis=1), num)
        found[LABEL]["pool"] = round(amplification.imbalance(seen.sum(axis=0), target), 6)
    held = groups_of(dataset.subgroups, frozen.features, by.regions)
    return found | {
        name: {"dataset": _imbalance(held[name], target), "pool": by.pool[name]} for name, target in by.targets.items()
    }


def corruptions(
    model: Model, clean: dict, data: Data, config: Config, round_: RoundDir, by: MetricsReference
) -> dict[str, dict[str, float]]:
    """How f does on val corrupted in each of the ways the config names. clean: how it does on val."""
    found, labels = {}, data.labels("val")
    if not clean:
        return found
    corrupted = by.corrupted if data.frozen is None else corrupted_val(data, config, round_.root / "embeddings")
    for name, features in corrupted.items():
        scores = headline(labels, model.proba(features), len(data.meta.classes))
        found[name] = scores | {"drop": round(clean["macro_f1"] - scores["macro_f1"], 6)}
    return found


def corrupted_val(data: Data, config: Config, folder: Path) -> dict[str, np.ndarray]:
    """Corruption -> (n, d) features of val corrupted so, kept in `folder`."""
    found, table, severity = {}, data.splits["val"].table, config.measure.severity
    for name in config.measure.corruptions:
        path = folder / f"val-{name}-{severity}.parquet"
        if not path.exists():
            seed = derive_seed(config.run.seed, "corruptions")
            worse = [
                data.encode(corrupt(data.encode.seen(rows), rows["sample_id"], name, severity, seed=seed))
                for rows in table.iter_slices(CORRUPTED_AT_ONCE)
            ]
            write_features(path, table["sample_id"], np.concatenate(worse), recorded=True)
        found[name] = np.asarray(read_features(path)[1], dtype=np.float32)
    digests.close(folder)
    return found


def _each(records: dict[str, dict[str, dict]], wanted: Callable[[str], bool]) -> dict[str, dict[str, dict]]:
    """The wanted keys of each split's and attribute's record."""
    return {
        name: {at: {key: value for key, value in record.items() if wanted(key)} for at, record in of.items()}
        for name, of in records.items()
    }


def _misstated(groups: Groups, labels: np.ndarray, proba: np.ndarray) -> dict[str, float]:
    found = {LABEL: amplification.misstatement(labels, proba)}
    for name, values in groups.items():
        found[name] = amplification.misstatement(labels, proba, values, min_rows=fairness.MIN_ROWS)
    return {name: round(value, 6) for name, value in found.items() if value is not None}


def _imbalance(groups: list[str | None], target: dict[str, float]) -> float:
    counts = Counter(groups)
    shares = np.array(list(target.values()))
    return round(amplification.imbalance(np.array([counts[name] for name in target]), shares), 6)


def _drop(val: dict, other: dict) -> dict[str, float]:
    return {name: round(val[name] - other[name], 6) for name in ("macro_f1", "accuracy")}


def _attributes(labels: pl.Series, subgroups: Groups, data: Data) -> pl.DataFrame:
    """Class and subgroups of each row; in a multi-label task a row for each class that holds."""
    table = pl.DataFrame(
        {LABEL: labels.cast(pl.String), **subgroups}, schema_overrides=dict.fromkeys(subgroups, pl.String)
    )
    if not data.meta.multi:
        return table
    held = [None if label is None else split(label)[0] or [None] for label in labels]
    return table.with_columns(pl.Series(LABEL, held, dtype=pl.List(pl.String))).explode(LABEL)
