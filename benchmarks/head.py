"""Does the head pay? The same random labels, told by four heads: macro-F1 on rows that nothing chose by.

    ADDE_DATA_DIR=… python benchmarks/head.py      # digits, and CIFAR-10's training rows under two encoders; minutes
    python benchmarks/head.py --quick              # digits, two seeds, under a minute
    ADDE_DATA_DIR=… python benchmarks/head.py --protocols     # random selection on the protocols' data, at their budget

fixed: a penalty of 1e-3 on features as they are, 200 steps of Adam, by `distributed.training.fit`. Then, of the default
head, one part after the other: standardised, chosen, with pseudo-labels (`methods.model`). Pools are long-tailed with
ratio 20 in an order drawn by the seed; a few labels of the commonest half of the classes are the seed set, the rest of
the labels are drawn at random; 100 rows are val. CIFAR-10 is seen by features that are given ("given") and by patches.
Processor seconds are those of one fit, the choice of settings included.

--protocols: seed set, val, test (ood where there is none) and budget of `protocols.py`, labels drawn from the pool at
random, junk among them bought and rejected; the encoder of the dataset's config, the one that "auto" takes, and given
features where there are some. A fifth head knows what the classes are called, where the encoder reads words.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import protocols
from common import arguments, console, finish, show
from protocols import data_dir
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

from adde_ray.artifacts.images import encode_images
from adde_ray.artifacts.run_dir import ORACLE, RunDir
from adde_ray.config import Config, Encoder, Train
from adde_ray.dataset import Data
from adde_ray.distributed.training import fit
from adde_ray.loop import prepare
from adde_ray.methods import encoders
from adde_ray.methods.model.head import Described, Fitter
from adde_ray.methods.model.head_choice import choose, first
from adde_ray.methods.model.standard import Standard

RATIO, NUM_VAL, CIFAR_ROWS = 20, 100, 8_000


def datasets(quick: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray, list[int]]]:
    """Name, features (n, d), labels (n,), and numbers of labels."""
    digits = load_digits()
    pixels = encode_images((digits.images / 16 * 255).astype(np.uint8)[:, None])
    yield "digits, pixels", encoded(pixels, "pixels"), digits.target, [20, 50, 150]
    if not quick:
        yield "digits, patches", encoded(pixels, "patches"), digits.target, [20, 50, 150]
    if quick or (folder := data_dir()) is None:
        return
    rows = pl.read_parquet(folder / "cifar10_32.parquet").sort("split", "index").with_row_index("row")
    rows = rows.filter(pl.col("split") == "train").sample(CIFAR_ROWS, seed=0)
    given = np.load(folder / "cifar10_dinov2s.npy", mmap_mode="r")
    labels = rows["label"].to_numpy().astype(np.int64)
    yield "CIFAR-10, given", np.asarray(given[rows["row"].to_numpy()], dtype=np.float32), labels, [50, 100, 300, 800]
    yield "CIFAR-10, patches", encoded(rows["image"], "patches"), labels, [100, 300, 800]


def encoded(payloads: pl.Series, name: str) -> np.ndarray:
    encoder = encoders.make(Encoder(name=name), "image")
    encoder.fit(payloads, seed=0)
    return np.concatenate([encoder.encode(payloads[i : i + 256]) for i in range(0, len(payloads), 256)])


def cut(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in the order in which they are labelled, those of val, and those of test."""
    rng = np.random.default_rng([seed, 7])
    rows, num = rng.permutation(len(labels)), labels.max() + 1
    held_out, rest = rows[: int(0.4 * len(rows))], rows[int(0.4 * len(rows)) :]
    common_first, most = rng.permutation(num), np.bincount(labels[rest]).max()
    pool, seeds = [], []
    for rank, label in enumerate(common_first):
        members = rest[labels[rest] == label][: max(5, round(most * RATIO ** (-rank / (num - 1))))]
        seeds += members[:2].tolist() if rank < num // 2 else []
        pool += members[2:].tolist() if rank < num // 2 else members.tolist()
    return np.array([*seeds, *rng.permutation(pool)]), held_out[:NUM_VAL], held_out[NUM_VAL:]


@dataclass(frozen=True)
class Known:
    """What random selection has bought: labelled rows, rows without a label, val and those it is judged by, as features
    and class rows; and the prototypes of described classes."""

    x: np.ndarray
    y: np.ndarray
    free: np.ndarray
    val: tuple[np.ndarray, np.ndarray]
    judged: tuple[np.ndarray, np.ndarray]
    num_classes: int
    described: Described | None = None


def heads(known: Known, seed: int) -> dict[str, tuple[float, float]]:
    """Macro-F1 on the rows it is judged by and processor seconds of each head."""
    x, y, num = known.x, known.y, known.num_classes
    found, config = {}, Train()

    def told(name: str, logits: np.ndarray, began: float) -> None:
        seconds = time.process_time() - began
        labels = known.judged[1]
        found[name] = (float(f1_score(labels, logits.argmax(axis=1), average="macro", zero_division=0)), seconds)

    began, shown = time.process_time(), known.judged[0]
    fixed = fit(x, y, num, Train(weight_decay=1e-3), seed=seed)
    told("fixed", shown @ fixed["head.weight"].numpy().T + fixed["head.bias"].numpy(), began)
    standard = Standard.fit(np.concatenate([x, known.free]), seed=seed)
    began, fitter = time.process_time(), Fitter(standard, x, y, num)
    settings = first(config, described=False)
    told("standardised", fitter.logits(fitter.fit(settings), settings, shown), began)
    for described in (None, known.described)[: 1 + (known.described is not None)]:
        began, fitter = time.process_time(), Fitter(standard, x, y, num, described=described)
        choice, _ = choose(fitter, None, config, known.val, multi=False, seed=seed)
        head = fitter.fit(choice.settings)
        if described is None:
            told("chosen", fitter.logits(head, choice.settings, shown), began)
        pseudo = fitter.pseudo_labelled(head, choice.settings, known.free, config.pseudo_labels)
        head = fitter.fit(choice.settings, pseudo=pseudo)
        name = "with pseudo-labels" if described is None else "and the classes' names"
        told(name, fitter.logits(head, choice.settings, shown), began)
    return found


def drawn(features: np.ndarray, labels: np.ndarray, number: int, seed: int) -> Known:
    """The first labels of `cut`."""
    order, val, test = cut(labels, seed)
    rows, num = np.sort(order[:number]), int(labels.max()) + 1
    judged, of_val = (features[test], labels[test]), (features[val], labels[val])
    return Known(features[rows], labels[rows], features[order[number:]], of_val, judged, num)


# --- the protocols ------------------------------------------------------------------------------------------


def of_protocol(name: str, encoder: str | None, seed: int, folder: Path) -> tuple[Known, str]:
    """What random selection has at the end of the budget, and the encoder's name. encoder: the config's where None."""
    config = _config(name, seed, folder)
    config = config.override(f"encoder.name={encoder}") if encoder else config
    with RunDir.start(folder / "runs" / f"{name}-{encoder}-{seed}", config, resume=True) as run:
        data = prepare(config, run)
        truth = dict(pl.read_parquet(run.root / ORACLE).select("sample_id", "label").iter_rows())
    return bought(data, truth, config.stop.labels or 0, seed), data.encode.settings.name


def _config(name: str, seed: int, folder: Path) -> Config:
    if name != "digits":
        return protocols.config(name, seed, folder)
    return Config.load(protocols.CONFIGS / "digits.toml", [f"run.seed={seed}"])


def bought(data: Data, truth: dict[str, str], number: int, seed: int) -> Known:
    """The seed set and so many of the pool by chance, those of no class bought in vain."""
    pool, own = data.reference, data.splits["seed"]
    known, classes = set(own.ids), set(data.meta.classes)
    rows = np.random.default_rng([seed, 8]).permutation([r for r, i in enumerate(pool.ids) if i not in known])
    asked = [row for row in rows[:number] if truth[pool.ids[row]] in classes]
    x = np.concatenate([own.features, pool.features[asked]])
    y = np.concatenate([data.labels("seed"), data.meta.class_rows([truth[pool.ids[row]] for row in asked])])
    held = next(split for split in ("test", "ood") if split in data.splits)
    val, judged = ((data.splits[split].features, data.labels(split)) for split in ("val", held))
    found = data.prototypes
    described = None if found is None else Described(found.vectors[found.known], np.flatnonzero(found.known))
    return Known(x, y, pool.features[rows[number:]], val, judged, len(classes), described)


ON_PROTOCOLS = (
    *(("digits", None), ("digits", "auto")),
    *(("clinc150", None),),
    *(("ham10000", None), ("ham10000", "auto"), ("ham10000-given", None)),
    *(("cifar10-lt", None), ("cifar10-lt", "auto"), ("cifar10-lt-given", None)),
    *(("harvey", None), ("harvey", "auto")),
)
"""Datasets, and encoders other than their configs'."""


def on_protocols(seeds: int) -> None:
    """The table, and the last line, of --protocols."""
    table, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name, encoder in ON_PROTOCOLS:
            runs, number = [], 0
            for seed in range(seeds):
                known, taken = of_protocol(name, encoder, seed, Path(folder))
                number = len(known.y)
                runs.append(heads(known, seed))
                console.print(
                    name, encoder or "as configured", taken, seed, {k: round(v[0], 3) for k, v in runs[-1].items()}
                )
            f1 = {head: float(np.mean([run[head][0] for run in runs])) for head in runs[0]}
            table.append([f"{name}, {encoder or 'as configured'}", number, *f1.values(), *["–"] * (5 - len(f1))])
            figures |= {f"{name}, {encoder or 'as configured'}/{head}": value for head, value in f1.items()}
    show(
        "random selection, macro-F1 at the end of the budget, means over the seeds",
        ["data, encoder", "labels", "fixed", "standardised", "chosen", "with pseudo-labels", "and names"],
        table,
    )
    finish("head", figures, {})


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--protocols", action="store_true", help="random selection on the data of protocols.py")
    args = parser.parse_args()
    if args.protocols:
        if data_dir() is None:
            parser.error("set ADDE_DATA_DIR to the folder of the datasets")
        return on_protocols(args.seeds)
    if not args.quick and data_dir() is None:
        console.print("ADDE_DATA_DIR is not set: the digits alone")
    table, gains = [], []
    for name, features, labels, numbers in datasets(args.quick):
        for number in numbers:
            runs = [
                heads(drawn(features, labels, number, seed), seed) for seed in range(2 if args.quick else args.seeds)
            ]
            f1 = {head: float(np.mean([run[head][0] for run in runs])) for head in runs[0]}
            seconds = {head: float(np.mean([run[head][1] for run in runs])) for head in runs[0]}
            ratio = seconds["with pseudo-labels"] / max(seconds["fixed"], 1e-9)
            table.append([name, number, *f1.values(), f"{ratio:.1f}"])
            gains.append(f1["with pseudo-labels"] - f1["fixed"])
    show(
        "macro-F1 on held-out rows, means over the seeds; time: the last head's over the first's",
        ["features", "labels", "fixed", "standardised", "chosen", "with pseudo-labels", "time"],
        table,
    )
    figures = {"gain/mean": float(np.mean(gains)), "gain/worst": float(min(gains))}
    finish("head", figures, {"gain/mean": ">= 0", "gain/worst": ">= -0.01"})


if __name__ == "__main__":
    main()
