"""Does the head pay? The same random labels, told by four heads: macro-F1 on rows that nothing chose by.

    ADDE_DATA_DIR=… python benchmarks/head.py      # digits, and CIFAR-10's training rows under two encoders; minutes
    python benchmarks/head.py --quick              # digits, two seeds, under a minute

fixed: a penalty of 1e-3 on features as they are, 200 steps of Adam, by `distributed.training.fit`. Then, of the default
head, one part after the other: standardised, chosen, with pseudo-labels (`methods.model`). Pools are long-tailed with
ratio 20 in an order drawn by the seed; a few labels of the commonest half of the classes are the seed set, the rest of
the labels are drawn at random; 100 rows are val. CIFAR-10 is seen by features that are given ("given") and by patches.
Processor seconds are those of one fit, the choice of settings included.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import polars as pl
from common import arguments, console, finish, show
from protocols import data_dir
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

from adde_ray.artifacts.images import encode_images
from adde_ray.config import Encoder, Train
from adde_ray.distributed.training import fit
from adde_ray.methods import encoders
from adde_ray.methods.model.head import Fitter
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


def heads(features: np.ndarray, labels: np.ndarray, number: int, seed: int) -> dict[str, tuple[float, float]]:
    """Macro-F1 on test and processor seconds of each head."""
    order, val, test = cut(labels, seed)
    rows, free, num = np.sort(order[:number]), order[number:], int(labels.max()) + 1
    x, y, found, config = features[rows], labels[rows], {}, Train()

    def told(name: str, logits: np.ndarray, began: float) -> None:
        seconds = time.process_time() - began
        found[name] = (float(f1_score(labels[test], logits.argmax(axis=1), average="macro")), seconds)

    began = time.process_time()
    fixed = fit(x, y, num, Train(weight_decay=1e-3), seed=seed)
    told("fixed", features[test] @ fixed["head.weight"].numpy().T + fixed["head.bias"].numpy(), began)
    standard = Standard.fit(features[order], seed=seed)
    began, fitter = time.process_time(), Fitter(standard, x, y, num)
    settings = first(config, described=False)
    told("standardised", fitter.logits(fitter.fit(settings), settings, features[test]), began)
    began, fitter = time.process_time(), Fitter(standard, x, y, num)
    choice, _ = choose(fitter, None, config, (features[val], labels[val]), multi=False, seed=seed)
    head = fitter.fit(choice.settings)
    told("chosen", fitter.logits(head, choice.settings, features[test]), began)
    pseudo = fitter.pseudo_labelled(head, choice.settings, features[free], config.pseudo_labels)
    head = fitter.fit(choice.settings, pseudo=pseudo)
    told("with pseudo-labels", fitter.logits(head, choice.settings, features[test]), began)
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    if not args.quick and data_dir() is None:
        console.print("ADDE_DATA_DIR is not set: the digits alone")
    table, gains = [], []
    for name, features, labels, numbers in datasets(args.quick):
        for number in numbers:
            runs = [heads(features, labels, number, seed) for seed in range(2 if args.quick else args.seeds)]
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
