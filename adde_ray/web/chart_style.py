"""The house style of the charts, as plain plotly dicts: colours, lines, bars, heat maps, axes.

Colours of text, grid and background are left to the page, which knows whether it is light or dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

# Okabe and Ito's palette: told apart with any colour vision.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW = "#CC79A7", "#56B4E9", "#F0E442"
GREY = "#8a8f98"
SERIES = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, GREY)
RANDOM = {"color": GREY, "dash": "dash", "width": 2}


def plain(text: object) -> str:
    """`text` as plotly shows it literally, tags and all."""
    return html.escape(str(text), quote=False)


def figure(data: list[dict], x: str, y: str, *, height: int, legend: bool = False, **layout) -> dict:
    """A figure in the house style; `layout` is merged over it, one level deep."""
    base = {
        "height": height,
        "margin": {"l": 54, "r": 16, "t": 12, "b": 48},
        "xaxis": {"title": {"text": x}, "automargin": True, "zeroline": False},
        "yaxis": {"title": {"text": y}, "automargin": True, "zeroline": False},
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
    }
    for key, value in layout.items():
        base[key] = base.get(key, {}) | value if isinstance(value, dict) else value
    return {"data": data, "layout": base}


def small(data: list[dict], legend: bool = False) -> dict:
    """A chart for a grid of them: no legend unless asked for, the y axis from 0."""
    rounds = [x for trace in data for x in trace["x"]]
    axes = {"xaxis": round_axis(rounds), "yaxis": {"title": {"text": ""}, "rangemode": "tozero", "nticks": 5}}
    margin = {"l": 40, "r": 10, "t": 6, "b": 36}
    return figure(data, "round", "", height=210 + 24 * legend, legend=legend, margin=margin, **axes)


def dotted(x0: float, x1: float, y0: float, y1: float, colour: str) -> dict:
    """A thin dotted straight line, as a shape."""
    style = {"color": colour, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": style}


def stacked(data: list[dict], rounds: list[int], what: str) -> dict:
    """Stacked bars per round."""
    tallest = max((sum(column) for column in zip(*(t["y"] for t in data), strict=True)), default=0)
    counts = all(isinstance(y, int) for trace in data for y in trace["y"])
    yaxis = {"rangemode": "tozero"} | ({"dtick": 1} if counts and tallest < 6 else {})
    return figure(data, "round", what, height=300, legend=True, barmode="stack", xaxis=round_axis(rounds), yaxis=yaxis)


def line(x: Iterable, y: Iterable, name: str, line: dict, hover: str) -> dict:
    """A line with markers; one point alone has no line, markers keep a run with round 0 only visible."""
    trace = {"type": "scatter", "mode": "lines+markers", "name": name, "x": list(x), "y": list(y), "line": line}
    return trace | {"marker": {"size": 6, "color": line["color"]}, "hovertemplate": f"{hover}<extra></extra>"}


def band(x: Iterable, low: Iterable, high: Iterable, colour: str, group: str) -> dict:
    """The area between two curves, faint, shown and hidden with the line of its legend `group`."""
    x, low, high = list(x), list(low), list(high)
    edge = {"x": x + x[::-1], "y": high + low[::-1], "line": {"width": 0}, "hoverinfo": "skip"}
    return {"type": "scatter", "mode": "lines", "fill": "toself", "fillcolor": colour, "opacity": 0.14, **edge} | {
        "legendgroup": group, "showlegend": False,
    }  # fmt: skip


def bar(x: list, y: list, name: str, colour: str, hover: str) -> dict:
    """One series of bars."""
    hover = f"{name}: {hover}<extra></extra>"
    return {"type": "bar", "name": name, "x": x, "y": y, "marker": {"color": colour}, "hovertemplate": hover}


def heat(x: list, names: list[str], z: list[list], unit: str, hover: str, **limits) -> dict:
    """A heat map of named rows over the rounds. Names cut short may be equal, so they are only the ticks' texts."""
    rows = list(range(len(names)))
    trace = {"type": "heatmap", "x": x, "y": rows, "z": z, "xgap": 1, "ygap": 1, "colorscale": "Viridis", **limits}
    trace |= {"text": [[plain(name)] * len(x) for name in names], "hovertemplate": f"{hover}<extra></extra>"}
    trace |= {
        "hoverongaps": False,
        "colorbar": {"title": {"text": unit, "font": {"size": 13}}, "thickness": 10, "outlinewidth": 0},
    }
    ticks = {"tickmode": "array", "tickvals": rows, "ticktext": [plain(short(name, 22)) for name in names]}
    yaxis = ticks | {"title": {"text": ""}, "showgrid": False}
    height = 110 + 20 * max(4, len(names))
    return figure([trace], "round", "", height=height, yaxis=yaxis, xaxis=round_axis(x) | {"showgrid": False})


def round_axis(rounds: list) -> dict:
    """A whole-numbered axis over `rounds`."""
    span = max(rounds, default=0) - min(rounds, default=0)
    pad = max(0.5, span * 0.04)
    ticks = {"tickmode": "linear", "tick0": 0, "dtick": max(1, -(-span // 10)), "tickformat": "d"}
    return ticks | {"range": [min(rounds, default=0) - pad, max(rounds, default=0) + pad]}


def short(text: str, limit: int) -> str:
    """`text` cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
