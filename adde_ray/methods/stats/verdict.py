"""Who is ahead, by how much, and whether that is more than noise: the one place that says so of two figures.

Paired differences in (of seeds: `statistics`; of one run's held-out rows: `paired_rows`), verdicts and a sentence out.
An ablation's end, a rehearsal's end, a comparison and a report all say what is found here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from adde_ray.methods.stats.statistics import LEVEL, Difference, holm


@dataclass(frozen=True)
class Judged(Difference):
    """A difference, its p-value corrected by Holm over its family, and what it comes to: higher, lower, noise, or
    "one seed", of which nothing can be told."""

    p_holm: float | None
    verdict: str

    @property
    def is_noise(self) -> bool:
        """Whether no difference can be told from noise; one seed is not noise."""
        return self.verdict == "noise"


def judge(found: dict[str, Difference]) -> dict[str, Judged]:
    """One family of tests: all differences that are held against the same by the same measure."""
    tested = {name: row.p for name, row in found.items() if row.p is not None}
    p_holm = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {name: Judged(**asdict(row), p_holm=p, verdict=_verdict(row.mean, p))
            for name, row in found.items() for p in [p_holm.get(name)]}  # fmt: skip


def _verdict(mean: float, p: float | None) -> str:
    if p is None:
        return "one seed"
    return "noise" if p > 1 - LEVEL else "higher" if mean > 0 else "lower"


def sentence(ours: tuple[str, float], theirs: tuple[str, float], found: Judged, of: str) -> str:
    """`found` is ours less theirs, each a name and a figure. of: the measure, as "macro-F1 on test, 5 seeds"."""
    (name, value), (other, level) = ours, theirs
    if found.verdict in ("higher", "lower"):
        ahead, behind = (name, other) if found.verdict == "higher" else (other, name)
        return f"{ahead} is ahead of {behind} by {abs(found.mean):.3f} {interval(found, found.mean > 0)} in {of}"
    figures = f"{name} ({value:.3f}) and {other} ({level:.3f}) in {of}"
    if found.low is None:
        return f"{figures}: one seed cannot tell a difference from noise"
    return f"no difference beyond noise between {figures}: {found.mean:+.3f} {interval(found)}"


def interval(found: Difference, as_it_is: bool = True) -> str:
    """Where the difference lies, or the other way round; empty where one seed says nothing of it."""
    if found.low is None or found.high is None:
        return ""
    low, high = (found.low, found.high) if as_it_is else (-found.high, -found.low)
    return f"[{low:.3f}, {high:.3f}]"
