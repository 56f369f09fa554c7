"""The section on fairness and robustness: a `RunRecord` in, charts as plain plotly dicts and a table out.

All of it is left out where a run's metrics do not have it.
"""

from __future__ import annotations

from adde_ray.methods.space.diversity import LABEL
from adde_ray.report.read import RunRecord
from adde_ray.stages.metrics import REGIONS
from adde_ray.web.chart_style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RANDOM,
    RED,
    SERIES,
    dotted,
    figure,
    line,
    plain,
    round_axis,
    short,
    small,
)

MAX_GROUPS = 24  # bars of a chart: the groups with the most rows
MAX_LINES = 7  # attributes followed over the rounds
MIN_BIN = 5  # rows of a point of the reliability curve

GAPS = {
    "gap": "Worst group's accuracy under that of all",
    "equalised_odds": "Equalised odds difference",
    "demographic_parity": "Demographic parity difference",
}


def charts(record: RunRecord) -> list[tuple[str, dict]]:
    """(title, chart) of the section, in the order they are shown; empty where nothing is known."""
    found = [*groups(record), *gaps(record), reliability(record), drops(record), forgetting(record)]
    return [titled for titled in found if titled is not None]


def name_of(attribute: str) -> str:
    """An attribute in words."""
    return {REGIONS: "region", LABEL: "class"}.get(attribute, attribute)


def groups(record: RunRecord) -> list[tuple[str, dict]]:
    """Accuracy by group in the last round, the worst in red, all groups' mean dotted."""
    found = []
    for attribute, measured in _by_attribute(record.last.metrics, "groups", record.headline).items():
        rows, accuracy = measured["rows"], measured["accuracy"]
        if len(rows) < 2:
            continue
        shown = sorted(sorted(rows, key=lambda g: (-rows[g], g))[:MAX_GROUPS], key=lambda g: (accuracy[g], g))
        worst, mean = measured["worst_group"], sum(accuracy[g] * n for g, n in rows.items()) / sum(rows.values())
        names = [plain(short(f"region {g}" if attribute == REGIONS else g, 18)) for g in shown]
        bars = {
            "type": "bar",
            "x": list(range(len(shown))),
            "y": [accuracy[g] for g in shown],
            "marker": {"color": [RED if g == worst else BLUE for g in shown]},
            "customdata": [[name, rows[g]] for name, g in zip(names, shown, strict=True)],
            "hovertemplate": "%{customdata[0]}: %{y:.3f} of %{customdata[1]} rows<extra></extra>",
        }
        ticks = {"tickmode": "array", "tickvals": bars["x"], "ticktext": names, "tickangle": -40}
        chart = figure(
            [bars],
            "",
            "",
            height=230,
            margin={"l": 40, "r": 10, "t": 6, "b": 60},
            xaxis=ticks | {"title": {"text": ""}, "showgrid": False},
            yaxis={"range": [0, 1], "nticks": 5},
            shapes=[dotted(-0.5, len(shown) - 0.5, mean, mean, GREY)],
        )
        found.append((f"Accuracy by {name_of(attribute)}, {record.headline}", chart))
    return found


def gaps(record: RunRecord) -> list[tuple[str, dict]]:
    """The gaps between groups by round, a line for each attribute."""
    rounds = [r.t for r in record.rounds]
    attributes = list(_by_attribute(record.last.metrics, "fairness", record.headline))[:MAX_LINES]
    found = []
    for key, title in GAPS.items():
        data = []
        for attribute, colour in zip(attributes, SERIES, strict=False):
            y = [
                _by_attribute(r.metrics, "fairness", record.headline).get(attribute, {}).get(key) for r in record.rounds
            ]
            if any(v is not None for v in y):
                name = plain(short(name_of(attribute), 18))
                data.append(line(rounds, y, name, {"color": colour, "width": 2}, name + ": %{y:.3f}"))
        if data:
            found.append((f"{title}, {record.headline}", small(data, legend=True)))
    return found


def amplification(record: RunRecord) -> dict | None:
    """What has grown since round 0: imbalance of the dataset, gaps of f, misstatement of shares by f."""
    parts = {
        "overall": ("overall", BLUE, 3),
        "mean_imbalance": ("imbalance", ORANGE, 1.5),
        "mean_gaps": ("gaps", GREEN, 1.5),
        "mean_misstatement": ("misstatement", PURPLE, 1.5),
    }
    rounds, data = [r.t for r in record.rounds], []
    for key, (name, colour, width) in parts.items():
        y = record.curve("amplification", key)
        if any(v is not None for v in y):
            data.append(line(rounds, y, name, {"color": colour, "width": width}, name + ": %{y:+.3f}"))
    if not data:
        return None
    random = record.random_curve("amplification", "overall")
    if any(v is not None for v in random):
        data.append(line([m["round"] for m in record.random], random, "random", RANDOM, "random, overall: %{y:+.3f}"))
    yaxis = {"zeroline": True, "zerolinewidth": 2}
    return figure(data, "round", "change", height=320, legend=True, xaxis=round_axis(rounds), yaxis=yaxis)


def reliability(record: RunRecord) -> tuple[str, dict] | None:
    """How often f is right against how sure it is, in the first round and the last; calibrated is on the diagonal."""
    data, split = [], record.headline
    ends = {"round 0": (record.rounds[0], GREY), f"round {record.last.t}": (record.last, BLUE)}
    for name, (r, colour) in ends.items():
        curve = r.metrics.get(split, {}).get("reliability", {})
        points = zip(*(curve.get(key, []) for key in ("confidence", "accuracy", "rows")), strict=True)
        bins = [point for point in points if point[2] >= MIN_BIN]
        if bins:
            x, y, rows = zip(*bins, strict=True)
            hover = "%{text}: right %{y:.2f} where sure %{x:.2f}, %{customdata} rows<extra></extra>"
            trace = line(x, y, name, {"color": colour, "width": 1.5}, "")
            trace["marker"] = {"color": colour, "size": [round(4 + 8 * (n / max(rows)) ** 0.5, 1) for n in rows]}
            trace |= {"text": [name] * len(rows), "customdata": list(rows), "hovertemplate": hover}
            data.append(trace)
    if not data:
        return None
    chart = figure(
        data,
        "confidence",
        "",
        height=234,
        legend=True,
        margin={"l": 40, "r": 10, "t": 6, "b": 36},
        shapes=[dotted(0, 1, 0, 1, GREY)],
        xaxis={"range": [0, 1.02]},
        yaxis={"range": [0, 1.05], "nticks": 5},
    )
    return f"Reliability: share right by confidence, {split}", chart


def drops(record: RunRecord) -> tuple[str, dict] | None:
    """Macro-F1 on val less that on test, on ood, and on each corruption of val."""
    rounds, data = [r.t for r in record.rounds], []
    last = record.last.metrics
    curves = {split: [_get(r.metrics, "drops", split, "macro_f1") for r in record.rounds] for split in ("test", "ood")}
    for name in last.get("corruptions", {}):
        curves[name] = [_get(r.metrics, "corruptions", name, "drop") for r in record.rounds]
    for (name, y), colour in zip(
        curves.items(), (GREEN, RED, *(c for c in SERIES if c not in (GREEN, RED))), strict=False
    ):
        if any(v is not None for v in y):
            text = name.replace("_", " ")
            data.append(line(rounds, y, text, {"color": colour, "width": 2}, text + ": %{y:+.3f}"))
    if not data:
        return None
    chart = small(data, legend=True)
    chart["layout"]["yaxis"] |= {"rangemode": "normal", "zeroline": True}
    return "Drop of macro-F1 from val", chart


def forgetting(record: RunRecord) -> tuple[str, dict] | None:
    """How far recall lies under the best it has been, the mean over the classes."""
    y = record.curve("forgetting", "mean")
    if not any(v is not None for v in y):
        return None
    data = [line([r.t for r in record.rounds], y, "ADDE", {"color": BLUE, "width": 2}, "ADDE: %{y:.3f}")]
    random = record.random_curve("forgetting", "mean")
    if any(v is not None for v in random):
        data.insert(0, line([m["round"] for m in record.random], random, "random", RANDOM, "random: %{y:.3f}"))
    return "Forgetting: recall under its best so far, val", small(data)


def grid(record: RunRecord) -> dict | None:
    """The combinations of attributes the dataset has, and the commonest of those it lacks; None without attributes."""
    found = record.last.metrics.get("grid")
    if not found:
        return None
    rows = [
        {"of": ", ".join(f"{name_of(a)} {v}" for a, v in empty["of"].items()), "share": f"{empty['share']:.1%}"}
        for empty in found["largest_empty"]
    ]
    first = record.rounds[0].metrics.get("grid", {}).get("covered")
    return {"num": found["num"], "covered": f"{found['covered']:.0%}", "rows": rows} | (
        {"first": f"{first:.0%}"} if first is not None and len(record.rounds) > 1 else {}
    )


def _by_attribute(metrics: dict, what: str, split: str) -> dict[str, dict]:
    """Attribute -> measured, the subgroup columns first."""
    found = metrics.get(what, {}).get(split, {})
    return dict(sorted(found.items(), key=lambda item: (item[0] == REGIONS, item[0])))


def _get(tree: dict, *path: str) -> float | None:
    found: object = tree
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, (int, float)) else None
