"""Numbers and verdicts as text."""

from __future__ import annotations

import math

from adde_ray.experiments.compare.align import SPLITS
from adde_ray.methods.stats.statistics import LEVEL
from adde_ray.report.figures import name_of

NEVER = "never"
NONE = "–"
MEASURE = {"area": "mean over the curve", "final": "at the end"}
VERDICT = {"higher": "higher", "lower": "lower", "noise": "noise", "one seed": "one seed, cannot tell"}


def number(x: float | None, signed: bool = False) -> str:
    """Three decimals; fewer for large numbers."""
    if x is None:
        return NONE
    if math.isinf(x):
        return NEVER
    if abs(x) >= 100:
        return f"{x:+,.0f}" if signed else f"{x:,.0f}"
    return f"{x:+.3f}" if signed else f"{x:.3f}"


def interval(e: dict, signed: bool = False) -> str:
    """Where the mean lies; empty for a single value."""
    return "" if e["low"] is None else f"[{number(e['low'], signed)}, {number(e['high'], signed)}]"


def estimate(e: dict | None, signed: bool = False) -> str:
    """A mean with its interval."""
    if e is None:
        return NONE
    return f"{number(e['mean'], signed)} {interval(e, signed)}".rstrip()


def judged(e: dict | None) -> str:
    """A difference with its interval and what it comes to."""
    return NONE if e is None else f"{estimate(e, signed=True)} {VERDICT[e['verdict']]}"


def labels(x: float) -> str:
    """A number of labels, or that it is never reached."""
    return NEVER if math.isinf(x) else f"{x:,.0f}"


def share(x: float) -> str:
    """A share in percent, or that it is never reached."""
    return NEVER if math.isinf(x) else f"{x:.0%}"


def of_budget(row: dict) -> str:
    """Labels to a level, of those that whoever ends there spent."""
    return (
        NEVER if math.isinf(row["labels"]) else f"{labels(row['labels'])} of {row['spent']:,} ({share(row['share'])})"
    )


def seed_median(row: dict) -> str:
    """The median over the seeds between the values that enclose it, and how many seeds never get there."""
    e, never = row["per_seed"], row["never"]
    found = labels(e["median"])
    if e["n"] == 1:
        return found
    if never == e["n"]:
        return f"{NEVER}, all {never}"
    some = f", {never} of {e['n']} never" if never else ""
    return f"{found} [{labels(e['low'])}, {labels(e['high'])}]{some}"


def p_value(p: float | None) -> str:
    """A p-value without its leading 0, three digits."""
    if p is None:
        return NONE
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def p_is(p: float) -> str:
    """Within a sentence: "p = .012", or "p < .001"."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def title(name: str) -> str:
    """A figure's name in words, with its split."""
    first, _, rest = name.partition(".")
    if name == "rare_recall":
        return "Recall of the rare classes"
    if name == "drop":
        return "Drop from val to ood"
    if name == "corruption_drop":
        return "Drop where val is corrupted"
    if first == "diversity":
        return name_of(rest)
    if first in SPLITS:
        return f"{name_of(rest.replace('.', ' '))}, {first}"
    if first in ("fairness", "amplification"):
        return f"{name_of(first)}: {rest.replace('_', ' ').replace('.', ', ')}"
    return name_of((rest or name).replace(".", ", "))


def measured(name: str) -> str:
    """A figure's name within a sentence: macro-F1 on test."""
    first, _, rest = name.partition(".")
    return f"{name_of(rest)[:1].lower()}{name_of(rest)[1:]} on {first}" if first in SPLITS else title(name)


def joined(names: list[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def seeds_text(counts: list[int]) -> str:
    """How many seeds there are, of datasets that may differ in it."""
    low, high = min(counts), max(counts)
    word = "seed" if high == 1 else "seeds"
    return f"{low} {word}" if low == high else f"{low} to {high} seeds"


def percent(x: float = LEVEL) -> str:
    """A share in percent, without digits."""
    return f"{x:.0%}"
