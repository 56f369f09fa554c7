"""Made-up results of experiments, in the form that `adde ablate` and `adde sweep` write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.artifacts.run_dir import write_json, write_table

CLASSES = ("cat", "dog", "eel")
SPEED = {"random": 0.006, "margin": 0.012, "k_center": 0.009, "no_synthesis": 0.013, "adde": 0.014}
"""How fast a made-up strategy learns: its end on average is .3 + .6 (1 - exp(-speed · labels))."""


def trial(
    rng,
    dataset: str,
    strategy: str,
    seed: int,
    *,
    speed: float,
    rounds: int = 9,
    batch: int = 10,
    noise: float = 0.01,
    splits=("val", "test", "ood"),
    luck: float = 0.0,
) -> list[dict]:
    """The rows of one trial. luck: what all strategies of the seed have in common."""
    rows = []
    for t in range(rounds):
        labels = t * batch
        level = 0.3 + 0.6 * (1 - np.exp(-speed * labels)) + luck
        row = {
            "trial": f"{dataset}-{strategy}-{seed}", "dataset": dataset, "strategy": strategy, "seed": seed, "round": t,
            "num_asked": labels, "num_labels": labels, "num_samples": 12 + labels, "seconds": 0.5 + 0.1 * rng.random(),
            "num_synthetic": labels // 10 if strategy == "adde" else 0,
        }  # fmt: skip
        for split in ("val", "test", "ood"):
            there = split in splits
            f1 = float(np.clip(level - 0.1 * (split == "ood") + noise * rng.normal(), 0, 1))
            row |= {
                f"{split}.macro_f1": f1 if there else None,
                f"{split}.worst_class_recall": f1 - 0.2 if there else None,
            }
            row |= {f"{split}.recall.{c}": f1 - 0.1 * i if there else None for i, c in enumerate(CLASSES)}
            row[f"{split}.ece"] = 0.1 if there else None
        row |= {f"per_class.{c}": 4 + labels // 10 * (3 - i) for i, c in enumerate(CLASSES)}
        row |= {"diversity.m_div": 0.4 + 20 * speed + 0.01 * rng.normal(), "diversity.coverage": 0.5 + 10 * speed}
        row["fairness.worst_group_gap"] = 0.2 - 5 * speed + 0.01 * rng.normal()
        row["amplification.class_share"] = 0.02 * t * (0.01 - speed) * 100 + 0.005 * rng.normal()
        rows.append(row)
    return rows


def ablation(datasets=("digits", "harvey"), strategies=SPEED, seeds=range(5), **options) -> pl.DataFrame:
    """Strategies × datasets × seeds; one rng, so the same call makes the same table."""
    rng = np.random.default_rng(7)
    rows = []
    for d, dataset in enumerate(datasets):
        for seed in seeds:
            luck = 0.03 * rng.normal()
            for strategy in strategies:
                speed = SPEED.get(strategy, 0.01) * (1 - 0.15 * d)
                rows += trial(rng, dataset, strategy, seed, speed=speed, luck=luck, **options)
    return pl.DataFrame(rows, infer_schema_length=None)


def sweep(trials: int = 30, seeds=(0, 1), stopped: int = 5) -> pl.DataFrame:
    """Alpha matters, beta does not, badge is a little better; the last `stopped` trials end after three rounds."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(trials):
        alpha, beta, selector = rng.random(), 10 ** rng.uniform(-3, 0), str(rng.choice(["batch_greedy", "badge"]))
        speed = 0.004 + 0.012 * np.exp(-8 * (alpha - 0.6) ** 2) + 0.002 * (selector == "badge")
        for seed in seeds:
            own = trial(rng, "digits", "adde", seed, speed=speed, rounds=3 if i >= trials - stopped else 9)
            settings = {"config.select.alpha": alpha, "config.select.beta": beta, "config.select.selector": selector}
            rows += [row | settings | {"trial": f"t{i:03d}-{seed}"} for row in own]
    return pl.DataFrame(rows, infer_schema_length=None)


def write(folder: Path, table: pl.DataFrame, kind: str = "ablation", failures=()) -> Path:
    """An experiment's folder."""
    write_table(folder / "results.parquet", table)
    write_json(folder / "experiment.json", {"name": folder.name, "kind": kind, "grid": {}})
    if failures:
        (folder / "failures.json").write_text(json.dumps(list(failures)))
    return folder
