"""How many labels each strategy needs for what random selection reaches with all of them.

    python benchmarks/label_efficiency.py --dataset digits
    python benchmarks/label_efficiency.py --dataset harvey             # real data, see protocols.py
    python benchmarks/label_efficiency.py --quick                      # one seed, half the budget
    python benchmarks/label_efficiency.py --picture digits.html        # the curves, to look at

Every strategy has the same data, seeds, model, budget and batch; each differs from the next by config alone.
The level to reach is random's final macro-F1 on test, mean over the seeds; curves are means over the seeds. Harvey
has no test split: there, figures are those on ood. Without $ADDE_DATA_DIR there are the digits only.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import arguments, console, finish, show
from protocols import CONFIGS, PROTOCOLS, data_dir
from protocols import config as protocol_config
from rich.progress import track

from adde_ray import Config, run
from adde_ray.artifacts.run_dir import write_json
from adde_ray.strategies import FIXED, NO_SYNTHESIS, PLAIN, Strategy, strategy
from adde_ray.web.chart_style import BLUE, GREEN, GREY, ORANGE

ALONE = ["compare.random=false"]
NOVELTY = {"alpha": 0.0, "beta": 1.0, "gamma": 0.0, "diversity": {"novelty": 1.0}, "redundancy": 1.0}
STRATEGIES = {
    "random": strategy("random"),
    "ADDE": strategy("adde"),
    "ADDE, its score alone": strategy("no_mix"),
    "ADDE that synthesises": strategy("synthesis"),
    "margin, top k": strategy("margin"),
    "entropy, top k": strategy("entropy"),
    "novelty, greedy": Strategy("what is new, one at a time", {**NO_SYNTHESIS, **FIXED, "select": PLAIN | NOVELTY}),
}


def load(dataset: str, seed: int, tables: Path) -> Config:
    """The dataset's config with this seed and no baseline beside it."""
    if dataset in PROTOCOLS:
        return protocol_config(dataset, seed, tables).override(*ALONE)
    return Config.load(CONFIGS / f"{dataset}.toml", [*ALONE, f"run.seed={seed}"])


def curve(config: Config, folder: Path, first: Path, split: str) -> tuple[list[int], list[float], list[float]]:
    """Labels bought, macro-F1 on `split` and M_div, by round."""
    rounds = rounds_of(config, folder, first)
    return (
        [r["num_labels"] for r in rounds],
        [r[split]["macro_f1"] for r in rounds],
        [r["diversity"]["m_div"] for r in rounds],
    )


def rounds_of(config: Config, folder: Path, first: Path) -> list[dict]:
    """A run's rounds, as its summary has them. What the seed's first run read and encoded is reused; a run that was
    cut off goes on."""
    begun = (folder / "config.json").exists()
    if not begun and first.exists():
        for part in ("ingest", "embeddings"):
            shutil.copytree(first / part, folder / part, dirs_exist_ok=True)
        write_json(folder / "config.json", config.model_dump(mode="json"))
    return run(config, folder, resume=begun or first.exists())["rounds"]


def draw(path: Path, title: str, split: str, labels: dict[str, list[int]], f1: dict[str, list[list[float]]]) -> None:
    """Mean curves with the range over the seeds, as one HTML file."""
    import plotly.graph_objects as go

    shown = {"ADDE": BLUE, "margin, top k": ORANGE, "novelty, greedy": GREEN, "random": GREY}
    figure = go.Figure(layout={"template": "plotly_white", "title": title, "width": 900, "height": 480})
    figure.update_xaxes(title="labels bought")
    figure.update_yaxes(title=f"macro-F1 on {split}")
    for name, colour in shown.items():
        at, curves = labels[name], np.array(f1[name])
        edge = {"x": at + at[::-1], "y": [*curves.max(axis=0), *curves.min(axis=0)[::-1]]}
        shade = {"fill": "toself", "fillcolor": colour, "opacity": 0.12, "line": {"width": 0}}
        figure.add_scatter(**edge, **shade, hoverinfo="skip", showlegend=False)
        figure.add_scatter(
            x=at, y=curves.mean(axis=0), name=name, line={"color": colour, "width": 3 if name == "ADDE" else 2}
        )
    figure.write_html(path, include_plotlyjs=True, config={"displayModeBar": False})


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--dataset", default="digits", choices=["digits", *PROTOCOLS])
    parser.add_argument("--labels", type=int, help="another budget than the protocol's")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", type=Path, metavar="FILE.html", help="also draw the curves")
    args = parser.parse_args()
    if args.dataset in PROTOCOLS and data_dir() is None:
        console.print(f"ADDE_DATA_DIR is not set, so {args.dataset} cannot be read: the digits instead")
        args.dataset = "digits"
    split = "ood" if args.dataset == "harvey" else "test"
    seeds = range(1 if args.quick else args.seeds)
    labels, f1, m_div, seconds = {}, {}, {}, {}
    jobs = [(name, seed) for name in STRATEGIES for seed in seeds]
    with tempfile.TemporaryDirectory() as root:
        for name, seed in track(jobs, description="runs", console=console, disable=not sys.stdout.isatty()):
            base = load(args.dataset, seed, Path(root) / "tables")
            budget = args.labels or (base.stop.labels // 2 if args.quick else base.stop.labels)
            base = base.override(f"stop.labels={budget}")
            began = time.perf_counter()
            folder = Path(root) / f"{list(STRATEGIES).index(name)}-{seed}"
            at, test, spread = curve(STRATEGIES[name].over(base), folder, Path(root) / f"0-{seed}", split)
            labels[name] = at
            f1.setdefault(name, []).append(test)
            m_div.setdefault(name, []).append(spread)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
    mean = {name: np.mean(curves, axis=0) for name, curves in f1.items()}
    level, budget = mean["random"][-1], labels["random"][-1]

    def reaches(name: str) -> int | None:
        return next((at for at, value in zip(labels[name], mean[name], strict=True) if value >= level), None)

    def row(name: str) -> list[object]:
        at, final_m_div = reaches(name), np.mean([c[-1] for c in m_div[name]])
        spread = np.std([c[-1] for c in f1[name]])
        figures = [float(x) for x in (mean[name].mean(), mean[name][-1], spread)]
        return [name, *figures, "–" if at is None else at, float(final_m_div), seconds[name] / len(seeds)]

    show(
        f"{args.dataset}: macro-F1 on {split}, {len(seeds)} seeds, {budget} labels; random ends at {level:.3f}",
        ["strategy", "mean F1", "final F1", "± seeds", "labels to random's end", "final M_div", "s / run"],
        sorted(map(row, STRATEGIES), key=lambda cells: -cells[1]),
    )
    if args.picture:
        draw(args.picture, f"{args.dataset}, mean and range of {len(seeds)} seeds", split, labels, f1)
    gained = level > mean["random"][0]
    if not gained:
        console.print("Random ends no higher than it starts: there is no level to reach, so no share of the labels")
    share = reaches("ADDE") / budget if gained and reaches("ADDE") is not None else None
    finish(
        f"label_efficiency/{args.dataset}",
        {
            "labels_share": share,
            "random_final_f1": float(level),
            **{f"mean_f1/{name}": float(curve.mean()) for name, curve in mean.items()},
            **{f"labels/{name}": reaches(name) for name in STRATEGIES},
        },
        {"labels_share": "<= 0.5"},
    )


if __name__ == "__main__":
    main()
