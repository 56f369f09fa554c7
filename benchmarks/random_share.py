"""Does what the random answers say of selection hold? Its interval against a rehearsal, over seeds, on the digits.

    python benchmarks/random_share.py            # 20 seeds, about ten minutes
    python benchmarks/random_share.py --quick    # 2 seeds

Each seed: a run in which one answer in ten is drawn by chance, and a second one that draws all of them, until the pool
is dry. The truth is the number of labels at which the second one's macro-F1 on test first reaches the first one's;
where it never does, all of the pool. What a single rehearsal says is itself a draw, which the interval should hold too.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from common import arguments, finish, show

from adde_ray import Config
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.loop import run
from adde_ray.strategies import strategy

SETTINGS = {
    "data": {"source": "digits"},
    "gates": {"drift_rows": 0},
    "measure": {"regions": 0},
    "generate": {"generator": "none"},
    "select": {"batch": 10, "random_share": 0.1},
}


def measured(seed: int, labels: int, folder: Path) -> list[dict]:
    """Of each round that says something: labels, low, high, as_random and truth."""
    config = Config.parse(SETTINGS | {"run": {"seed": seed}, "stop": {"labels": labels}})
    rounds = _metrics(config, folder / f"{seed}-adde")
    rival = strategy("random").over(config).told() | {"stop": {"labels": 10_000, "rounds": 1000}}
    random = _metrics(Config.parse(rival | {"select": rival["select"] | {"batch": 20}}), folder / f"{seed}-random")
    spent = np.array([m["num_asked"] for m in random])
    level = np.maximum.accumulate([m["test"]["macro_f1"] for m in random])
    found = []
    for metrics in rounds:
        if worth := metrics.get("random_share", {}).get("worth"):
            reached = metrics["test"]["macro_f1"]
            truth = worth["pool"] if reached > level[-1] else float(np.interp(reached, level, spent))
            found.append({**worth, "seed": seed, "truth": truth})
    return found


def _metrics(config: Config, folder: Path) -> list[dict]:
    run(config, folder)
    return [round_.metrics for round_ in RunDir.at(folder).rounds()]


def main() -> None:
    args = arguments(__doc__).parse_args()
    seeds, labels = (2, 60) if args.quick else (20, 100)
    with tempfile.TemporaryDirectory() as folder:
        found = [row for seed in range(seeds) for row in measured(seed, labels, Path(folder))]
    ends = [row for row in found if row["labels"] == labels]
    show(
        f"digits, {labels} labels, of which {labels // 10} random: random labels that would be as good",
        ["seed", "told", "from", "to", "truth", "in it"],
        [[r["seed"], r["as_random"], r["low"], r["high"], round(r["truth"]), _holds(r)] for r in ends],
    )
    better = [r["low"] > r["labels"] for r in ends]
    figures = {
        "coverage": float(np.mean([_holds(r) for r in ends])),
        "coverage/every round": float(np.mean([_holds(r) for r in found])),
        "told that labels were saved": float(np.mean(better)),
        "told so wrongly": float(np.mean([b and r["truth"] <= r["labels"] for b, r in zip(better, ends, strict=True)])),
        "high/low": float(np.median([r["high"] / r["low"] for r in ends])),
        "seeds": float(seeds),
    }
    finish("random_share", figures, {"coverage": ">= 0.9"})


def _holds(row: dict) -> bool:
    return row["low"] <= row["truth"] <= row["high"]


if __name__ == "__main__":
    main()
