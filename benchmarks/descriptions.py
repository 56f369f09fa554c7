"""What are descriptions of classes worth? From no label at all, and beside labels; and what do wrong ones cost?

    ADDE_DATA_DIR=… python benchmarks/descriptions.py     # CLINC150, its intents told by their names; three seeds
    python benchmarks/descriptions.py --quick             # digits, told by two example pictures each; a minute

Cold start: nothing is labelled and there is no val; how many classes were found after 150 labels (digits: 30), bought
ten at a time, by ADDE, without the strategies that share its query (`no_mix`), and at random. Beside labels: the seed
set and val of the protocol; macro-F1 on test at the end by ADDE and at random, with the descriptions, without, and with
those of classes exchanged by chance. Everyone has the same data, encoder, head, seeds and budget.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import protocols
from common import arguments, console, finish, show
from PIL import Image
from sklearn.datasets import load_digits
from tqdm import tqdm

from adde_ray import Config
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.loop import run
from adde_ray.strategies import strategy

LEAN = {"generate.generator": "none", "gates.drift_rows": 0, "measure.regions": 0}
"""What is left out of these runs: it changes no figure here."""

SHOWN = 2
"""Example pictures of a digit."""

Descriptions = dict[str, str | dict]


def intents(seed: int, folder: Path) -> tuple[Config, Descriptions]:
    """CLINC150 as its protocol cuts it, and its classes' names in words."""
    config = protocols.config("clinc150", seed, folder)
    return config, {name: name.replace("_", " ") for name in config.data.known_classes}


def digits(seed: int, folder: Path) -> tuple[Config, Descriptions]:
    """Digits in a table, long-tailed by 10, two of each of the commonest five known; the examples are no rows of it."""
    data, rng = load_digits(), np.random.default_rng([seed, 5])
    rows, described = [], {}
    for rank, label in enumerate(rng.permutation(10).tolist()):
        members = rng.permutation(np.flatnonzero(data.target == label)).tolist()
        paths = [folder / f"{label}-{i}.png" for i in members[:SHOWN]]
        for path, row in zip(paths, members, strict=False):
            Image.fromarray((data.images[row] / 16 * 255).astype(np.uint8)).save(path)
        described[str(label)] = {"files": [str(path) for path in paths]}
        rest = members[SHOWN:]
        parts = {"test": 50, "val": 10, "seed": 2 if rank < 5 else 0, "pool": round(100 * 10 ** (-rank / 9))}
        for split, number in parts.items():
            taken, rest = rest[:number], rest[number:]
            rows += [{"path": f"{i}.png", "label": str(label), "split": split} for i in taken]
            for i in taken:
                Image.fromarray((data.images[i] / 16 * 255).astype(np.uint8)).save(folder / f"{i}.png")
    table = folder / f"digits-{seed}.csv"
    pl.DataFrame(rows).write_csv(table)
    source = {"source": "csv", "path": str(table), "image_column": "path", "split_column": "split", "size": 16}
    tree = {"data": source | {"classes": sorted(described)}, "encoder": {"name": "patches"}}
    return Config.parse(tree | {"run": {"seed": seed}, "select": {"batch": 10}, "stop": {"labels": 60}}), described


def exchanged(described: Descriptions, seed: int) -> Descriptions:
    """Every class with the description of another, drawn by chance."""
    names, rng = sorted(described), np.random.default_rng([seed, 6])
    while (order := rng.permutation(len(names))).tolist() == list(range(len(names))):
        pass
    return {name: described[names[i]] for name, i in zip(names, order, strict=True)}


def cold(config: Config, labels: int, folder: Path) -> Config:
    """The same without a label: the seed set lies in the pool, val is left out."""
    table = pl.read_csv(config.data.path) if config.data.path.suffix == ".csv" else pl.read_parquet(config.data.path)
    split = pl.col("split")
    table = table.filter(split.is_in(["seed", "pool", "test"])).with_columns(split.replace({"seed": "pool"}))
    path = config.data.path.with_name(f"cold-{config.data.path.stem}{config.data.path.suffix}")
    table.write_csv(path) if path.suffix == ".csv" else table.write_parquet(path)
    return config.override(f"data.path={path}", "select.batch=10", f"stop.labels={labels}")


def ran(config: Config, name: str, described: Descriptions | str, folder: Path) -> RunDir:
    """A run of a strategy with these descriptions."""
    tree = strategy(name).over(config).told()
    tree["data"] = tree["data"] | {"describe": described}
    lean = Config.parse(tree).override("compare.random=false", *(f"{key}={value}" for key, value in LEAN.items()))
    place = folder / "run"
    shutil.rmtree(place, ignore_errors=True)
    run(lean.override(f"run.cache={folder / 'cache'}"), place)
    return RunDir.at(place)


def main() -> None:
    args = arguments(__doc__).parse_args()
    on_intents = protocols.data_dir() is not None and not args.quick
    if protocols.data_dir() is None and not args.quick:
        console.print("ADDE_DATA_DIR is not set: the digits alone")
    make, seeds, labels = (intents, 3, 150) if on_intents else (digits, 1 if args.quick else 3, 30)
    found, ends = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for seed in tqdm(range(seeds), desc="seeds"):
            config, described = make(seed, folder)
            bare = cold(config, labels, folder)
            for name in ("adde", "no_mix", "random"):
                found.setdefault(name, []).append(ran(bare, name, described, folder).dataset()["label"].n_unique())
            given = {"described": described, "not": "none", "exchanged": exchanged(described, seed)}
            for how, words in given.items():
                for name in ("adde", "random"):
                    metrics = ran(config, name, words, folder).rounds()[-1].metrics
                    ends.setdefault(f"{name}, {how}", []).append(metrics["test"]["macro_f1"])
    console.print({"classes found": found, "ends": ends})
    show(f"from nothing: classes found after {labels} labels", ["by", "mean"], _means(found))
    show("macro-F1 on test at the end", ["by, descriptions", "mean"], _means(ends))
    mean = {name: float(np.mean(values)) for name, values in (found | ends).items()}
    figures = {f"found/{name}": mean[name] for name in found} | {f"end/{name}": mean[name] for name in ends}
    for name in ("adde", "random"):
        figures[f"exchanged less none/{name}"] = mean[f"{name}, exchanged"] - mean[f"{name}, not"]
    targets = {"exchanged less none/adde": ">= -0.01", "exchanged less none/random": ">= -0.01"}
    finish("descriptions", figures, targets | ({"found/adde": ">= 140"} if on_intents else {}))


def _means(by_name: dict[str, list]) -> list[list[object]]:
    return [[name, float(np.mean(values))] for name, values in by_name.items()]


if __name__ == "__main__":
    main()
