"""What the answers drawn by chance tell, for the page: the worth of selection, the pool's classes, f on the pool."""

from __future__ import annotations

from adde_ray.report.read import RunRecord
from adde_ray.web.chart_style import BLUE, ORANGE, figure, plain

MAX_CLASSES = 40
"""Classes in the chart: those with the largest shares of the pool."""


def worth(record: RunRecord) -> str | None:
    """What selection is worth, in one sentence; None where neither random selection beside the run nor answers drawn
    by chance say so."""
    told = record.rehearsal.verdict if record.rehearsal else record.summary["selection"]
    return f"{told[:1].upper()}{told[1:]}." if told else None


def lines(record: RunRecord) -> list[str]:
    """Sentences on the pool; none where no answer was drawn by chance."""
    found = _found(record)
    if not found:
        return []
    drawn = f"{found['rows']:,} of the answers were drawn from the whole pool by chance"
    told = [f"{drawn}, {found['labelled']:,} of them are in the dataset."]
    if found["unseen"]["high"]:
        told.append(f"Classes that the dataset lacks: {_interval(found['unseen'], 'share', of_all=True)} of the pool.")
    if found["none"]["share"]:
        told.append(f"Samples of no class: {_interval(found['none'], 'share', of_all=True)} of the pool.")
    if "accuracy" in found:
        told.append(
            f"The model on the pool, by predictions for the {found['labelled']:,} that it was not trained on: accuracy "
            f"{_interval(found['accuracy'], 'value')}, macro-F1 {_interval(found['macro_f1'], 'value')}."
        )
    return told


def shares(record: RunRecord) -> dict | None:
    """Each class's share of the pool with its interval, and its share of the dataset."""
    found = _found(record)
    if not found:
        return None
    by_share = sorted(found["shares"].items(), key=lambda item: (-item[1]["share"], item[0]))[:MAX_CLASSES]
    names = [plain(name) for name, _ in by_share]
    of = {key: [row[key] for _, row in by_share] for key in ("share", "low", "high", "held")}
    ends = [f"[{low:.1%}, {high:.1%}]" for low, high in zip(of["low"], of["high"], strict=True)]
    spread = {
        "type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
        "array": [high - share for share, high in zip(of["share"], of["high"], strict=True)],
        "arrayminus": [share - low for share, low in zip(of["share"], of["low"], strict=True)],
    }  # fmt: skip
    hover = "%{x}, pool: %{y:.1%} %{customdata}<extra></extra>"
    pool = {"type": "scatter", "mode": "markers", "x": names, "y": of["share"], "name": "pool", "error_y": spread,
            "marker": {"color": BLUE, "size": 8}, "customdata": ends, "hovertemplate": hover}  # fmt: skip
    held = {"type": "bar", "x": names, "y": of["held"], "name": "dataset", "marker": {"color": ORANGE, "opacity": 0.5},
            "hovertemplate": "%{x}, dataset: %{y:.1%}<extra></extra>"}  # fmt: skip
    yaxis = {"tickformat": ".0%", "rangemode": "tozero"}
    return figure([held, pool], "class", "share", height=300, legend=True, xaxis={"type": "category"}, yaxis=yaxis)


def _found(record: RunRecord) -> dict:
    return record.last.metrics.get("random_share", {})


def _interval(found: dict, key: str, *, of_all: bool = False) -> str:
    value, low, high = found[key], found["low"], found["high"]
    return f"{value:.1%} [{low:.1%}, {high:.1%}]" if of_all else f"{value:.3f} [{low:.3f}, {high:.3f}]"
