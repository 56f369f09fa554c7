"""Does ADDE pay? Every strategy on five datasets, five seeds, and what came out beside what was hoped for.

    ADDE_DATA_DIR=… python benchmarks/headline.py        # jobs/configs/headline.toml; goes on after a kill. Hours
    python benchmarks/headline.py --quick                # its quick variant: digits, one seed, half a minute
    python benchmarks/headline.py --picture all.html     # the curves, to look at

Without $ADDE_DATA_DIR it runs on the digits alone. The tables are cut by protocols.py, the trials run by `adde ablate`
and put side by side by `adde compare`; the figures are read from the compare.json that it writes. Strategies are judged
on test (on ood where a dataset has no test), which steered nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from statistics import median

import protocols
from common import finish, show
from grids import compared, grid_arguments

from adde_ray.experiments.compare.figures import DROPS
from adde_ray.experiments.compare.verdicts import middle
from adde_ray.methods.stats.statistics import mean_interval
from adde_ray.web.chart_style import BLUE, GREY, ORANGE, RED

GRID = protocols.CONFIGS / "headline.toml"

LEARNERS = ("random", "entropy", "margin")
"""Random choice and active learning, under which drops and gaps should lie."""

COLOURS = {"ADDE": BLUE, "random": GREY, "best baseline": ORANGE, "MADS-naive: f feeds itself": RED}

TARGETS = {
    "labels_to_random/median": "<= 0.35",
    "labels_to_random/worst": "<= 0.6",
    "labels_to_best/median": "<= 0.8",
    "labels_to_best/worst": "<= 1",
    "rare_recall/higher": ">= 4",
    "rare_recall/lower_beyond_noise": "<= 0",
    "coverage/over_best": ">= 0",
    "cluster_entropy/over_best": ">= 0",
    "vendi/over_best": ">= 0",
    "drop/over_learners": "<= 0",
    "group_gap/over_learners": "<= 0",
    "amplification/adde_high": "<= 0",
    "amplification/mads_naive_low": ">= 0",
}


def main() -> None:
    parser = grid_arguments(__doc__)
    parser.add_argument("--picture", type=Path, metavar="FILE.html", help="also draw the curves")
    args = parser.parse_args()
    datasets, page = compared(GRID, quick=args.quick, folder=args.folder)
    show(
        f"ADDE on {len(datasets)} datasets; intervals in {page}",
        ["dataset", "by", "ADDE", "random", "best baseline", "it is", "labels to random", "to best"],
        [_row(name, d) for name, d in datasets.items()],
    )
    if args.picture:
        draw(args.picture, datasets)
    figures = {name: _finite(value) for name, value in figures_of(datasets).items()}
    missing = [name for name in TARGETS if figures.get(name) is None]
    finish("headline", figures | dict.fromkeys(missing), TARGETS)


def figures_of(datasets: dict[str, dict]) -> dict[str, float]:
    """What the targets are about. compare.json's datasets in; a figure that nothing was measured for is left out."""
    found = {}
    for level, name in (("reference", "labels_to_random"), ("best", "labels_to_best")):
        levels = [d["strategies"]["adde"]["to_level"].get(level) for d in datasets.values()]
        shares = [math.inf if row["share"] == "never" else row["share"] for row in levels if row]
        if shares:
            found |= {f"{name}/median": middle(shares), f"{name}/worst": max(shares), f"{name}/datasets": len(shares)}
    rare = [row["best"] for row in _of_subject(datasets, "rare_recall") if row["best"]]
    if rare:
        found["rare_recall/higher"] = sum(row["mean"] > 0 for row in rare)
        found["rare_recall/lower_beyond_noise"] = sum(row["verdict"] == "lower" for row in rare)
    for name in ("coverage", "cluster_entropy", "vendi", "m_div"):
        over = [row["top"]["mean"] for row in _of_subject(datasets, f"diversity.{name}") if row["top"]]
        if over:
            found[f"{name}/over_best"] = median(over)
    for name, belongs in (("drop", DROPS.__contains__), ("group_gap", _is_gap)):
        over = [_over(datasets, other, belongs) for other in LEARNERS]
        if all(over):
            found[f"{name}/over_learners"] = max(map(median, over))
    for strategy, end in (("adde", "high"), ("mads_naive", "low")):
        means = [x["mean"] for x in _at_end(datasets, strategy, "amplification.overall")]
        if len(means) > 1:
            across = mean_interval(means)
            found |= {f"amplification/{strategy}": across.mean, f"amplification/{strategy}_{end}": getattr(across, end)}
    return found


def draw(path: Path, datasets: dict[str, dict]) -> None:
    """Learning curves with intervals, a panel a dataset, and bias amplification round by round, as one HTML file."""
    from plotly.subplots import make_subplots

    titles = [f"{name}, {d['metric'].partition('.')[0]} (best: {d['best_baseline']})" for name, d in datasets.items()]
    rows = -(-(len(datasets) + 1) // 3)
    figure = make_subplots(rows, 3, subplot_titles=[*titles, "bias amplification, by share of the rounds"])
    figure.update_layout(template="plotly_white", width=1200, height=100 + 300 * rows)
    figure.update_layout(legend={"orientation": "h"}, margin={"t": 50, "l": 50, "r": 20})
    places = [{"row": i // 3 + 1, "col": i % 3 + 1} for i in range(len(datasets) + 1)]
    named = set()

    def draw_line(x: list, means: list[float], name: str, place: dict) -> None:
        style = {"line": {"color": COLOURS[name], "width": 3 if name == "ADDE" else 2}, "mode": "lines"}
        figure.add_scatter(x=x, y=means, name=name, legendgroup=name, showlegend=name not in named, **style, **place)
        named.add(name)

    for place, d in zip(places, datasets.values(), strict=False):
        # Where random is the best baseline it is drawn once.
        for strategy, name in ({d["best_baseline"]: "best baseline"} | {"random": "random", "adde": "ADDE"}).items():
            curve = d["strategies"][strategy]["curve"]
            if curve[0]["low"] is not None:
                edge = [p["high"] for p in curve] + [p["low"] for p in reversed(curve)]
                shade = {"fill": "toself", "fillcolor": COLOURS[name], "opacity": 0.12, "mode": "lines"}
                shade |= {"line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
                figure.add_scatter(x=d["labels"] + d["labels"][::-1], y=edge, **shade, **place)
            draw_line(d["labels"], [p["mean"] for p in curve], name, place)
        for strategy, name in (("adde", "ADDE"), ("mads_naive", "MADS-naive: f feeds itself")):
            if strategy in d["strategies"]:
                means = [p["mean"] for p in d["strategies"][strategy]["by_round"]["amplification.overall"]]
                draw_line([i / max(len(means) - 1, 1) for i in range(len(means))], means, name, places[-1])
    figure.write_html(path, include_plotlyjs=True, config={"displayModeBar": False})


def _over(datasets: dict[str, dict], other: str, belongs: Callable[[str], bool]) -> list[float]:
    """ADDE's figure at the end less the other's, for each dataset and figure that belongs."""
    return [
        adde[name]["mean"] - its[name]["mean"]
        for d in datasets.values()
        if other in d["strategies"]
        for adde, its in [(d["strategies"]["adde"]["at_end"], d["strategies"][other]["at_end"])]
        for name in adde
        if belongs(name) and name in its
    ]


def _is_gap(name: str) -> bool:
    """Between the best group's accuracy and the worst's, over a subgroup column or over the regions."""
    return name.startswith("fairness.") and name.endswith(".gap")


def _of_subject(datasets: dict[str, dict], name: str) -> list[dict]:
    return [d["subject_at_end"][name] for d in datasets.values() if name in d["subject_at_end"]]


def _at_end(datasets: dict[str, dict], strategy: str, name: str) -> list[dict]:
    ends = [d["strategies"][strategy]["at_end"] for d in datasets.values() if strategy in d["strategies"]]
    return [end[name] for end in ends if name in end]


def _row(name: str, d: dict) -> list[object]:
    by, best = d["strategies"], d["best_baseline"]
    ends = [by[s]["final"]["mean"] for s in ("adde", "random", best)]
    levels = [by["adde"]["to_level"].get(level) for level in ("reference", "best")]
    shares = ["–" if row is None else "never" if row["share"] == "never" else f"{row['share']:.0%}" for row in levels]
    return [name, d["metric"], *ends, best, *shares]


def _finite(value: float) -> float | None:
    """JSON has no infinity; null is never."""
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main()
