"""Every figure of a comparison: aligned datasets in, one nested dict out, which page, Markdown and JSON all show.

inf stands for "never", within this budget.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import polars as pl

from adde_ray.artifacts.m_div import BESIDE, IN_M_DIV
from adde_ray.experiments.compare.align import Dataset
from adde_ray.methods.stats import curves, statistics
from adde_ray.methods.stats.verdict import judge
from adde_ray.strategies import OWN

MEASURES = ("area", "final")
"""What strategies are compared by: the mean over the curve, and its last value."""

SHARES = (
    "macro_f1", "micro_f1", "accuracy", "worst_class_recall", "rare_recall", "macro_auroc", "macro_auprc", "m_div",
    "share", *IN_M_DIV, *BESIDE,
)  # fmt: skip
"""Figures that lie in [0, 1], and so do their means."""


DROPS = ("drop", "corruption_drop")
"""What is lost where the data is shifted: on ood, and on val corrupted, the mean over the corruptions."""


def figures(datasets: list[Dataset], reference: str, subject: str | None, own: frozenset[str] = OWN) -> dict:
    """reference: the strategy others are held against (random); subject: the one that is on trial (adde), if any;
    own: those that are no baselines.

    datasets: by name, see `_of_dataset`. pooled: by strategy held against, measure and strategy. ranking: by measure.
    """
    strategies = sorted({s for d in datasets for s in d.curves})
    against = [reference, *([subject] if subject and subject != reference else [])]
    found = {d.name: _of_dataset(d, reference, subject, against, own | {subject}) for d in datasets}
    return {
        "reference": reference,
        "subject": subject,
        "strategies": strategies,
        "datasets": found,
        "pooled": {a: {m: _pooled(datasets, a, m) for m in MEASURES} for a in against},
        "ranking": {m: _ranking(datasets, strategies, m) for m in MEASURES},
    }


def _of_dataset(
    d: Dataset, reference: str, subject: str | None, against: list[str], own: frozenset[str | None]
) -> dict:
    per_seed = {m: _per_seed(d, m) for m in MEASURES}
    best = _best_baseline(per_seed["final"], own)
    levels = {"reference": reference if reference in d.curves else None, "best": best}
    extra = {name: d.at_end(expr) for name, expr in _extra(d, reference).items()}
    return {
        "metric": d.metric,
        "split": d.split,
        "seeds": list(d.seeds),
        "labels": d.labels.tolist(),
        "best_baseline": best,
        "rare_classes": rare_classes(d, reference),
        "strategies": {
            s: {
                "curve": [_mean(column, d.metric) for column in values.T],
                **{m: _mean(per_seed[m][s], d.metric) for m in MEASURES},
                "to_level": {name: _to_level(d, s, level) for name, level in levels.items() if level},
                "at_end": {name: _mean(by[s], name) for name, by in extra.items() if s in by},
                "by_round": _by_round(d, s),
                "stability": _stability(d, s),
                "cost": _cost(d, s),
            }
            for s, values in d.curves.items()
        },
        "differences": {
            a: {m: _differences(per_seed[m], a) for m in MEASURES} for a in against if a in d.curves
        },
        "subject_at_end": {name: _of_subject(by, subject, levels, name, own) for name, by in extra.items()}
        if subject in d.curves
        else {},
    }  # fmt: skip


def _per_seed(d: Dataset, measure: str) -> dict[str, np.ndarray]:
    if measure == "final":
        return {s: values[:, -1] for s, values in d.curves.items()}
    return {s: np.array([curves.area(d.labels, row) for row in values]) for s, values in d.curves.items()}


def _best_baseline(finals: dict[str, np.ndarray], own: frozenset[str | None]) -> str | None:
    others = finals.keys() - own
    return max(others, key=lambda s: (finals[s].mean(), s), default=None)


def _to_level(d: Dataset, strategy: str, level_of: str) -> dict | None:
    """Labels to where `level_of` ends, and their share of what it spent: on the mean curves, and seed by seed.

    None when `level_of` ends no higher than it began, or bought nothing: then there is no level to reach.
    """
    own, other = d.curves[strategy], d.curves[level_of]
    level = float(other[:, -1].mean())
    spent = int(d.table.filter(pl.col("strategy") == level_of)["num_asked"].to_numpy().max())
    if level <= other[:, 0].mean() or not spent:
        return None
    labels = curves.labels_to(d.labels, own.mean(axis=0), level)
    by_seed = [curves.labels_to(d.labels, a, b[-1]) for a, b in zip(own, other, strict=True)]
    return {
        "level_of": level_of,
        "level": level,
        "spent": spent,
        "labels": labels,
        "share": labels / spent,
        "by_seed": by_seed,
        "per_seed": asdict(statistics.median_interval(by_seed)),
        "never": int(np.isinf(by_seed).sum()),
    }


# --- differences and ranks -----------------------------------------------------------------------------


def _differences(per_seed: dict[str, np.ndarray], against: str) -> dict[str, dict]:
    others = [s for s in per_seed if s != against]
    return _judged({s: statistics.paired_difference(per_seed[s], per_seed[against]) for s in others})


def _pooled(datasets: list[Dataset], against: str, measure: str) -> dict[str, dict]:
    groups: dict[str, list[np.ndarray]] = {}
    for d in datasets:
        if against in d.curves:
            per_seed = _per_seed(d, measure)
            for s in per_seed.keys() - {against}:
                groups.setdefault(s, []).append(per_seed[s] - per_seed[against])
    judged = _judged({s: statistics.pooled_difference(found) for s, found in sorted(groups.items())})
    return {s: {**row, "datasets": len(groups[s])} for s, row in judged.items()}


def _judged(found: dict[str, statistics.Difference]) -> dict[str, dict]:
    return {s: asdict(row) for s, row in judge(found).items()}


def _one(by: dict[str, np.ndarray], a: str | None, b: str | None) -> dict | None:
    # One comparison that was decided on beforehand: nothing to correct for.
    if a not in by or b not in by or a == b:
        return None
    return {**_judged({a: statistics.paired_difference(by[a], by[b])})[a], "against": b}


def _of_subject(
    by: dict[str, np.ndarray], subject: str, levels: dict[str, str | None], name: str, own: frozenset[str | None]
) -> dict:
    """The subject's figure against the reference, the best baseline, and the baseline that is best in this figure."""
    others = by.keys() - own
    sign = -1 if less_is_better(name) else 1
    top = max(others, key=lambda s: (sign * by[s].mean(), s), default=None)
    return {to: _one(by, subject, s) for to, s in {**levels, "top": top}.items()}


def less_is_better(name: str) -> bool:
    """Whether a figure at the end is a gap, which should be small."""
    return name in DROPS or bool({"fairness", "amplification"} & set(name.split(".")))


def _ranking(datasets: list[Dataset], strategies: list[str], measure: str) -> dict | None:
    """Over the datasets that all strategies have; None with fewer than two."""
    whole = [d for d in datasets if d.curves.keys() >= set(strategies)]
    if len(whole) < 2:
        return None
    per_seed = [_per_seed(d, measure) for d in whole]
    scores = np.array([[by[s].mean() for s in strategies] for by in per_seed])
    found = statistics.rank(scores)
    return {
        **asdict(found),
        "ranks": dict(zip(strategies, found.ranks, strict=True)),
        "groups": [[strategies[i] for i in group] for group in found.groups],
        "datasets": [d.name for d in whole],
    }


# --- figures beside the curve --------------------------------------------------------------------------


def _extra(d: Dataset, reference: str) -> dict[str, pl.Expr]:
    """What is measured once at the end, by name: a trial's last round."""
    there, found = d.table.columns, {}
    figure = d.metric.partition(".")[2]
    if rare := rare_classes(d, reference):
        found["rare_recall"] = pl.mean_horizontal([f"{d.split}.recall.{c}" for c in rare])
    diversity = [f"diversity.{name}" for name in ("m_div", *IN_M_DIV, *BESIDE)]
    names = [f"{d.split}.worst_class_recall", *diversity]
    found |= {name: pl.col(name) for name in [*names, "diversity.vendi"] if name in there}
    if f"val.{figure}" in there and f"ood.{figure}" in there:
        found["drop"] = pl.col(f"val.{figure}") - pl.col(f"ood.{figure}")
    if corrupted := [n for n in there if n.startswith("corruptions.") and n.endswith(".drop")]:
        found["corruption_drop"] = pl.mean_horizontal(corrupted)
    return found | {name: pl.col(name) for name in there if _sums_up(name, d.split)}


def _sums_up(name: str, split: str) -> bool:
    """Whether it is a figure of fairness on the split shown, or one of amplification that stands for many."""
    parts = name.split(".")
    if parts[0] == "amplification":
        return len(parts) == 2
    return parts[0] == "fairness" and (len(parts) == 2 or parts[1] == split)


def rare_classes(d: Dataset, reference: str) -> list[str]:
    """The third of the classes of which the reference bought the fewest, as rare as in the pool when it is random.

    Empty when classes were not counted.
    """
    counts = [n.removeprefix("per_class.") for n in d.table.columns if n.startswith("per_class.")]
    classes = [c for c in counts if f"{d.split}.recall.{c}" in d.table.columns]
    rows = d.table.filter(pl.col("strategy") == reference)
    if not classes or rows.is_empty():
        return []
    trials = rows.group_by("seed", maintain_order=True)
    bought = trials.agg(pl.col(f"per_class.{c}").last() - pl.col(f"per_class.{c}").first() for c in classes)
    mean = {c: bought[f"per_class.{c}"].mean() or 0.0 for c in classes}
    return sorted(classes, key=lambda c: (mean[c], c))[: -(-len(classes) // 3)]


def _by_round(d: Dataset, strategy: str) -> dict[str, list]:
    """amplification.* round by round: does the loop feed its own bias?"""
    found = {}
    for name in d.table.columns:
        if name.startswith("amplification.") and _sums_up(name, d.split) and (by_seed := d.by_round(strategy, name)):
            rounds = min(map(len, by_seed))
            stacked = np.stack([values[:rounds] for values in by_seed])
            found[name] = [_mean(column, name) for column in stacked.T]
    return found


def _stability(d: Dataset, strategy: str) -> dict:
    by_seed = d.by_round(strategy, d.metric)
    falls = [curves.largest_fall(values) for values in by_seed]
    end = [float(values.max() - values[-1]) for values in by_seed]
    return {
        "largest_fall": asdict(statistics.mean_interval(falls, within=(0, np.inf))),
        "worst": max(falls),
        "end_below_best": asdict(statistics.mean_interval(end, within=(0, np.inf))),
        "rounds": max(map(len, by_seed)),
    }


def _cost(d: Dataset, strategy: str) -> dict:
    rows = d.table.filter(pl.col("strategy") == strategy).group_by("seed", maintain_order=True)
    by_seed = rows.agg(
        pl.col("seconds").sum(),
        pl.col("num_labels").max(),
        pl.col("num_samples").last(),
        share=pl.col("num_synthetic").last() / pl.col("num_samples").last(),
    )
    return {
        "labels": float(by_seed["num_labels"].to_numpy().mean()),
        "samples": float(by_seed["num_samples"].to_numpy().mean()),
        "seconds": asdict(statistics.mean_interval(by_seed["seconds"].to_numpy(), within=(0, np.inf))),
        "synthetic_share": _mean(by_seed["share"].to_numpy(), "share"),
    }


def _mean(values: np.ndarray, figure: str) -> dict:
    first, _, last = figure.rpartition(".")
    is_share = last in SHARES and first in ("", "val", "test", "ood", "diversity")  # not a difference of shares
    within = (0.0, 1.0) if is_share else (-np.inf, np.inf)
    return asdict(statistics.mean_interval(values, within=within))
