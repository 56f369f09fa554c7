"""scikit-learn's 1,797 handwritten digits, cut into a long-tailed pool. Needs no files.

Out: image (PNG, mode L, 8x8), label ("0" … "9", the pool's too).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.artifacts.images import encode_images
from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.config.data import DigitsData
from adde_ray.errors import UserError
from adde_ray.sources.rows import WHERE, Rows, draw, identify

LEVELS = 16
"""Grey levels of the original: pixels are 0 … 16."""

ROTATION, NOISE = 15.0, 2.0
"""Ood: degrees to either side, and the noise's standard deviation in grey levels."""


def read(config: DigitsData, *, seed: int) -> Rows:
    """Test and val class-balanced, a long-tailed pool, a seed set of the most common classes, ood = test disturbed.

    Pool rows of the i-th most common of C classes: n_max * ratio^(-i / (C - 1)), at least 1; the class order
    is drawn by `seed`. Raises UserError when a class has too few samples for what is asked.
    """
    from sklearn.datasets import load_digits

    pixels, targets = map(np.asarray, load_digits(return_X_y=True))
    pixels = pixels.reshape(-1, 8, 8)
    table = _table(pixels, targets).with_row_index("row").with_columns(identify(_encode(pixels)).alias("id"))
    rng = derive_rng(seed, "digits")
    fractions = {"val": config.val_fraction, "test": config.test_fraction}
    table = table.with_columns(draw(table["id"], table["label"], fractions, rng)).sort("id")

    classes = tuple(sorted(table["label"].unique()))
    common_first = [classes[i] for i in rng.permutation(len(classes))]
    rest = {c: table.filter(split="seed", label=c)["row"].to_numpy() for c in common_first}
    rest = {c: rows[rng.permutation(len(rows))] for c, rows in rest.items()}
    wanted = {c: config.seed_per_class if i < config.seed_classes else 0 for i, c in enumerate(common_first)}
    n_max = min(len(rest[c]) - wanted[c] for c in classes)
    if n_max < 1:
        raise UserError(
            f"not enough digits left for a pool after test, val and {config.seed_per_class} seed samples a class",
            where="data.seed_per_class",
            value=config.seed_per_class,
            remedy="Lower it, or hold out less for test and val",
        )
    seed_rows = np.concatenate([rest[c][: wanted[c]] for c in common_first])
    sizes = [max(1, round(n_max * config.longtail_ratio ** (-i / (len(classes) - 1)))) for i in range(len(classes))]
    pool_rows = np.concatenate(
        [rest[c][wanted[c] :][:size] for c, size in zip(common_first, sizes, strict=True)],
    )
    test_rows = table.filter(split="test")["row"].to_numpy()
    taken = {
        "seed": seed_rows,
        "pool": pool_rows,
        "val": table.filter(split="val")["row"].to_numpy(),
        "test": test_rows,
    }
    splits = {name: _table(pixels[rows], targets[rows], rows) for name, rows in taken.items()}
    splits["ood"] = _table(_disturb(pixels[test_rows], rng), targets[test_rows], test_rows, "disturbed ")
    return Rows(splits=splits, modality="image", classes=classes)


def _table(pixels: np.ndarray, targets: np.ndarray, rows: np.ndarray | None = None, prefix: str = "") -> pl.DataFrame:
    rows = np.arange(len(pixels)) if rows is None else rows
    return pl.DataFrame(
        {
            "image": _encode(pixels),
            "label": [str(t) for t in targets],
            WHERE: [f"{prefix}digits:{row}" for row in rows],
        },
        schema_overrides={"label": pl.String, WHERE: pl.String},
    )


def _encode(pixels: np.ndarray) -> pl.Series:
    return encode_images((pixels / LEVELS)[:, None])


def _disturb(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    angles = rng.choice([-ROTATION, ROTATION], size=len(pixels))
    turned = [ndimage.rotate(p, a, reshape=False, order=1) for p, a in zip(pixels, angles, strict=True)]
    return np.clip(np.array(turned) + rng.normal(0, NOISE, size=pixels.shape), 0, LEVELS)
