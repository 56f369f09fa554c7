"""The charts of a comparison, as plain plotly figures: the dict of figures.py and sweeps.py in, JSON-able dicts out."""

from __future__ import annotations

import itertools
import math
from statistics import mean, median

from adde_ray.experiments.compare.words import title
from adde_ray.web.chart_style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RANDOM,
    RED,
    SKY,
    YELLOW,
    band,
    dotted,
    figure,
    line,
    plain,
    round_axis,
    short,
)

MANY = 6  # strategies; of more, only the main ones have their bands


def styles(found: dict) -> dict[str, dict]:
    """Each strategy's line, the same in every chart: the subject bold, the reference grey and dashed."""
    free = itertools.product(("solid", "dot", "dashdot"), (ORANGE, GREEN, RED, PURPLE, SKY, YELLOW))
    lines = {}
    for s in found["strategies"]:
        if s == found["subject"]:
            lines[s] = {"color": BLUE, "width": 3}
        elif s == found["reference"]:
            lines[s] = RANDOM
        else:
            dash, colour = next(free, ("solid", GREY))
            lines[s] = {"color": colour, "width": 2, "dash": dash}
    return lines


def learning_curves(d: dict, found: dict, lines: dict[str, dict]) -> dict:
    """Means over the seeds with their intervals, and the level at which the reference ends."""
    bands, data = [], []
    shown = _with_bands(d, found)
    for s, row in sorted(d["strategies"].items(), key=lambda item: list(lines).index(item[0])):
        curve = row["curve"]
        hover = f"<b>{plain(s)}</b>, %{{x}} labels: %{{y:.3f}}%{{customdata}}"
        trace = line(d["labels"], [p["mean"] for p in curve], plain(short(s, 28)), lines[s], hover)
        data.append(trace | {"legendgroup": s, "customdata": [_interval(p) for p in curve]})
        if s in shown and all(p["low"] is not None for p in curve):
            low, high = ([p[end] for p in curve] for end in ("low", "high"))
            bands.append(band(d["labels"], low, high, lines[s]["color"], s))
    if found["reference"] in d["strategies"]:
        level = d["strategies"][found["reference"]]["final"]["mean"]
        shapes = [dotted(d["labels"][0], d["labels"][-1], level, level, GREY)]
    else:
        shapes = []
    return figure(
        [*bands, *data], "labels bought", title(d["metric"]), height=430, legend=True, shapes=shapes, margin={"t": 8}
    )


def _with_bands(d: dict, found: dict) -> set[str]:
    if len(found["strategies"]) <= MANY:
        return set(d["strategies"])
    return {s for s in (found["reference"], found["subject"], d["best_baseline"]) if s is not None}


def labels_needed(d: dict, level: str) -> dict | None:
    """Labels to a level, one row a strategy: the mean curve's as a dot, each seed's as a ring; an x is never."""
    rows = {s: row["to_level"].get(level) for s, row in d["strategies"].items()}
    if not all(rows.values()):
        return None
    order = sorted(rows, key=lambda s: (rows[s]["labels"], s), reverse=True)
    end = d["labels"][-1] * 1.08
    seeds = [(x, i) for i, s in enumerate(order) for x in rows[s]["by_seed"]]
    means = [(rows[s]["labels"], i) for i, s in enumerate(order)]
    data = [
        *_dots("each seed", seeds, end, GREY, "circle-open", 15),
        *_dots("mean curve", means, end, BLUE, "circle", 9),
    ]
    where = {"range": [-0.03 * end, end * 1.04]}
    spent = next(iter(rows.values()))["spent"]
    shapes = [dotted(spent, spent, -0.5, len(order) - 0.5, GREY)]
    height = 110 + 26 * len(order)
    return figure(
        data, "labels bought", "", height=height, legend=True, shapes=shapes, xaxis=where, yaxis=_names(order)
    )


def _dots(name: str, points: list[tuple[float, int]], end: float, colour: str, symbol: str, size: int) -> list[dict]:
    # Who never gets there has a mark of another form, beyond the end of the axis.
    data = []
    for never, mark in ((False, symbol), (True, "x-thin")):
        some = [(x, y) for x, y in points if math.isinf(x) == never]
        if some:
            marker = {"color": colour, "size": size, "symbol": mark, "line": {"width": 2, "color": colour}}
            at = {"x": [end if never else x for x, _ in some], "y": [y for _, y in some]}
            told = f"{name}: never" if never else name
            hover = told if never else f"{name}: %{{x}} labels"
            data.append({"type": "scatter", "mode": "markers", "name": told, "marker": marker, **at})
            data[-1]["hovertemplate"] = f"{hover}<extra></extra>"
    return data


def differences(rows: dict[str, dict], against: str) -> dict:
    """Paired differences with their intervals, largest on top: filled beyond noise, hollow within."""
    order = sorted(rows, key=lambda s: (rows[s]["mean"], s))
    far = [rows[s]["verdict"] in ("higher", "lower") for s in order]
    known = [rows[s]["low"] is not None for s in order]
    half = [rows[s]["high"] - rows[s]["mean"] if k else 0 for s, k in zip(order, known, strict=True)]
    colours = [GREY if not f else GREEN if rows[s]["mean"] > 0 else RED for s, f in zip(order, far, strict=True)]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [rows[s]["mean"] for s in order],
        "y": list(range(len(order))),
        "error_x": {"type": "data", "array": half, "color": GREY, "thickness": 1.5, "width": 4},
        "marker": {"size": 10, "color": colours, "symbol": ["circle" if f else "circle-open" for f in far]}
        | {"line": {"width": 2, "color": colours}},
        "text": [f"{plain(s)} − {plain(against)}: {rows[s]['mean']:+.3f}{_interval(rows[s])}" for s in order],
        "hovertemplate": "%{text}<extra></extra>",
    }
    return figure(
        [trace],
        f"difference from {plain(short(against, 22))}",
        "",
        height=90 + 26 * len(order),
        shapes=[dotted(0, 0, -0.5, len(order) - 0.5, GREY)],
        yaxis=_names(order),
    )


def ranks(ranking: dict, lines: dict[str, dict]) -> dict:
    """The critical difference diagram: average ranks, best on top; bars join those that cannot be told apart."""
    order = sorted(ranking["ranks"], key=lambda s: (-ranking["ranks"][s], s))
    at = {s: i for i, s in enumerate(order)}
    k = len(order)
    right = max(ranking["ranks"].values())
    data = [
        {
            "type": "scatter",
            "mode": "markers+text",
            "x": [ranking["ranks"][s] for s in order],
            "y": list(range(k)),
            "text": [f"{ranking['ranks'][s]:.2f}" for s in order],
            "textposition": ["middle left" if ranking["ranks"][s] > 1.5 else "middle right" for s in order],
            "marker": {"size": 11, "color": [lines[s]["color"] for s in order]},
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]
    step = max(0.18, k / 40)
    shapes = [_bar(1, 1 + ranking["critical"], k - 0.1, k - 0.1, 2)]
    note = {"x": 1, "y": k - 0.1, "text": f"critical difference {ranking['critical']:.2f}", "showarrow": False}
    note |= {"xanchor": "left", "yanchor": "bottom", "font": {"size": 12}}
    for i, group in enumerate(ranking["groups"]):
        x, rows = right + 3 * step + i * step, [at[s] for s in group]
        shapes.append(_bar(x, x, min(rows) - 0.3, max(rows) + 0.3, 5))
    end = max(right + 3.6 * step + len(ranking["groups"]) * step, 1 + ranking["critical"] + step)
    return figure(
        data,
        "average rank, 1 = best",
        "",
        height=120 + 26 * k,
        shapes=shapes,
        annotations=[note],
        xaxis={"range": [0.7, end], "dtick": 1},
        yaxis=_names(order) | {"range": [-0.7, k + 0.6]},
    )


def _bar(x0: float, x1: float, y0: float, y1: float, width: int) -> dict:
    return {"type": "line", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": {"color": GREY, "width": width}}


def over_rounds(d: dict, name: str, found: dict, lines: dict[str, dict]) -> dict:
    """A figure round by round, every strategy; the dotted line is 0."""
    bands, data, last = [], [], 0
    for s, row in d["strategies"].items():
        points = row["by_round"].get(name)
        if not points:
            continue
        x = list(range(len(points)))
        last = max(last, x[-1])
        data.append(line(x, [p["mean"] for p in points], plain(short(s, 28)), lines[s], f"{plain(s)}: %{{y:.3f}}"))
        if s in _with_bands(d, found) and all(p["low"] is not None for p in points):
            bands.append(band(x, [p["low"] for p in points], [p["high"] for p in points], lines[s]["color"], s))
        data[-1]["legendgroup"] = s
    shapes = [dotted(0, last, 0, 0, GREY)]
    return figure(
        [*bands, *data],
        "round",
        "",
        height=320,
        legend=True,
        shapes=shapes,
        xaxis=round_axis([0, last]),
        yaxis={"title": {"text": ""}},
    )


# --- sweeps --------------------------------------------------------------------------------------------


def importance(d: dict) -> dict:
    """How much of the objective's variance goes through each key, largest on top."""
    rows = sorted(d["sensitivity"]["importance"].items(), key=lambda item: (item[1], item[0]))
    keys = [key for key, _ in rows]
    trace = {"type": "bar", "orientation": "h", "x": [x for _, x in rows], "y": list(range(len(rows)))}
    trace |= {"marker": {"color": BLUE}, "text": [plain(key) for key in keys]}
    trace |= {"textposition": "none", "hovertemplate": "%{text}: %{x:.2f}<extra></extra>"}
    x = "share of the variance that goes through it"
    return figure([trace], x, "", height=90 + 26 * len(rows), yaxis=_names(keys))


def dependence(d: dict, key: str) -> dict:
    """Trials as points, and what the forest expects over the key's values."""
    x, y = d["sensitivity"]["dependence"][key]
    own = [t["settings"][key] for t in d["trials"]]
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (*x, *own))
    if numbers:
        scale = "log" if _by_factors(own) else "linear"
    else:
        scale, x, own = "category", [plain(v) for v in x], [plain(v) for v in own]
    values = [t["values"][d["objective"]] for t in d["trials"]]
    points = {"type": "scatter", "mode": "markers", "name": "trials", "x": own, "y": values}
    points |= {"marker": {"color": GREY, "size": 7, "opacity": 0.6}, "hovertemplate": "%{x}: %{y:.3f}<extra></extra>"}
    curve = line(x, y, "expected", {"color": BLUE, "width": 2}, "expected at %{x}: %{y:.3f}")
    margin = {"l": 40, "r": 10, "t": 6, "b": 36}
    return figure([points, curve], "", "", height=230, margin=margin, xaxis={"type": scale}, yaxis={"nticks": 5})


def _names(order: list[str]) -> dict:
    """A y axis of names, the first at the bottom."""
    texts = [plain(short(name, 24)) for name in order]
    return {"tickmode": "array", "tickvals": list(range(len(order))), "ticktext": texts, "title": {"text": ""}}


def _by_factors(values: list[float]) -> bool:
    """Whether values were drawn by their size, as learning rates are: most of them small, some many times larger."""
    return min(values) > 0 and max(values) >= 50 * min(values) and mean(values) > 2 * median(values)


def _interval(p: dict) -> str:
    return "" if p["low"] is None else f" [{p['low']:.3f}, {p['high']:.3f}]"
