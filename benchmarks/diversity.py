"""Does diversity say something? Rank correlation of M_div and each of its terms with macro-F1, at equal labels.

    ADDE_DATA_DIR=… python benchmarks/diversity.py --folder runs  # five datasets; goes on after a kill. Hours
    python benchmarks/diversity.py --datasets digits clinc150     # some of them
    python benchmarks/diversity.py --quick                        # digits, two seeds, 60 labels; under 2 minutes

Ten strategies have the same data, model, seeds, budget and batch. In every second round they are ranked by each
diversity metric of their datasets, and by macro-F1 on test (on ood where a dataset has no test), which steered nothing:
Spearman's correlation over the strategies, mean over rounds and seeds. 1 = the more diverse dataset always makes the
better model; 0 = it says nothing. Rounds in which a metric or macro-F1 is the same for all are left out. Without
$ADDE_DATA_DIR there are the digits only.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from common import arguments, console, finish, show
from label_efficiency import load, rounds_of
from protocols import PROTOCOLS, data_dir
from rich.progress import track
from scipy.stats import spearmanr

from adde_ray.artifacts.m_div import BESIDE, IN_M_DIV
from adde_ray.strategies import strategy

STRATEGIES = (
    "random", "adde", "no_balance", "margin", "badge", "typiclust", "k_center", "prob_cover", "cluster_margin",
    "uncertainty_herding",
)  # fmt: skip

TERMS = ("m_div", *IN_M_DIV, *BESIDE)

TARGETS = {"m_div": ">= 0.5", **{term: ">= 0" for term in IN_M_DIV}}

Curves = dict[str, dict[int, dict[str, float]]]
"""Strategy -> labels -> macro-F1 (`f1`) and the terms."""


def curves(dataset: str, seed: int, root: Path, budget: int | None) -> Curves:
    """What each strategy's rounds were measured with. root: where runs are kept."""
    base = load(dataset, seed, root / "tables")
    base = base.override(f"stop.labels={budget}") if budget else base
    split, found = "ood" if dataset == "harvey" else "test", {}
    for name in STRATEGIES:
        folder, first = (root / f"{dataset}-{one}-{seed}" for one in (name, STRATEGIES[0]))
        rounds = rounds_of(strategy(name).over(base), folder, first)
        found[name] = {r["num_asked"]: r["diversity"] | {"f1": r[split]["macro_f1"]} for r in rounds}
    return found


def correlations(found: Curves) -> dict[str, float]:
    """Term -> Spearman's correlation with macro-F1 over the strategies, mean over every second round that all have."""
    labels = sorted(set.intersection(*(set(rounds) for rounds in found.values())))
    means = {}
    for term in TERMS:
        by_round = []
        for at in labels[2::2]:  # in round 0 all are equal
            rows = [(rounds[at][term], rounds[at]["f1"]) for rounds in found.values() if term in rounds[at]]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # where all are equal there is no rank
                by_round += [float(spearmanr(*zip(*rows, strict=True)).statistic)] if len(rows) > 2 else []
        if known := [value for value in by_round if np.isfinite(value)]:
            means[term] = float(np.mean(known))
    return means


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--datasets", nargs="+", choices=["digits", *PROTOCOLS], default=["digits", *PROTOCOLS])
    parser.add_argument("--labels", type=int, help="another budget than the protocols'")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the runs here, and go on with those that are there")
    args = parser.parse_args()
    if args.quick:
        args.datasets, args.seeds, args.labels = ["digits"], 2, args.labels or 60
    if data_dir() is None and args.datasets != ["digits"]:
        console.print("ADDE_DATA_DIR is not set: the digits alone")
        args.datasets = ["digits"]
    measured: dict[str, list[dict[str, float]]] = {}
    jobs = [(dataset, seed) for dataset in args.datasets for seed in range(args.seeds)]
    with tempfile.TemporaryDirectory() as root:
        for dataset, seed in track(jobs, description="runs", console=console, disable=not sys.stdout.isatty()):
            found = curves(dataset, seed, args.folder or Path(root), args.labels)
            measured.setdefault(dataset, []).append(correlations(found))
    means = {dataset: {term: _mean(term, seeds) for term in TERMS} for dataset, seeds in measured.items()}
    over_all = {term: _mean(term, list(means.values())) for term in TERMS}
    show(
        f"rank correlation with macro-F1 over {len(STRATEGIES)} strategies, at equal labels, {args.seeds} seeds",
        ["metric", "in M_div", *means, "mean"],
        [
            [term, "yes" if term in IN_M_DIV else "", *(_cell(found[term]) for found in (*means.values(), over_all))]
            for term in TERMS
        ],
    )
    per_dataset = {f"m_div/{dataset}": found["m_div"] for dataset, found in means.items()}
    # Where no dataset has subgroups, there is nothing to reach.
    targets = {term: target for term, target in TARGETS.items() if over_all[term] is not None}
    finish("diversity", over_all | per_dataset, targets)


def _mean(term: str, found: Sequence[Mapping[str, float | None]]) -> float | None:
    known = [value for one in found if (value := one.get(term)) is not None]
    return float(np.mean(known)) if known else None


def _cell(value: float | None) -> object:
    return "–" if value is None else value


if __name__ == "__main__":
    main()
