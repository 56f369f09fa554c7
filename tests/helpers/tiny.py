"""Transformers of a few thousand random weights, and small data for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.artifacts.images import encode_images
from adde_ray.config import Config

ANIMALS, DEEDS = ("cat", "dog", "cow", "hen"), ("sat", "ran", "ate", "lay", "slept")
WORDS = ("the", "a", "on", "mat", "grass", *ANIMALS, *DEEDS)
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def bert(folder: Path) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=32, **SIZE)).save_pretrained(folder)
    return folder


def vit(folder: Path) -> Path:
    import torch
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    ViTModel(ViTConfig(image_size=16, patch_size=8, **SIZE)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def clip(folder: Path, kind: str = "clip") -> Path:
    """A model with a tower for images and one for texts, of 12 dimensions; `kind` clip or siglip."""
    import torch
    from transformers import BertTokenizerFast, CLIPConfig, CLIPModel, SiglipConfig, SiglipModel, ViTImageProcessor

    folder.mkdir(exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    text = {"vocab_size": len(words), "max_position_embeddings": 16, "eos_token_id": 3, "pad_token_id": 0, **SIZE}
    vision = {"image_size": 16, "patch_size": 8, **SIZE}
    torch.manual_seed(0)
    if kind == "clip":
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(folder)
    else:
        text |= {"projection_size": SIZE["hidden_size"]}
        SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def texts(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Distinct sentences, and their class: the deed, which is one word of six."""
    rng = np.random.default_rng(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        deed = DEEDS[len(found) % 3]
        places = " ".join(rng.choice(["the", "a", "on", "mat", "grass"], rng.integers(2, 6)))
        found[f"the {rng.choice(ANIMALS)} {deed} {places}"] = deed
    return list(found), list(found.values())


def pictures(count: int, seed: int = 0) -> tuple[pl.Series, list[str]]:
    """Grey 12 x 12 noise with six bright pixels, and its class: in a row, in a column, or strewn."""
    rng = np.random.default_rng(seed)
    images, labels = rng.random((count, 1, 12, 12)) * 0.3, []
    for i in range(count):
        at, start, label = rng.integers(12), rng.integers(7), ("across", "down", "strewn")[i % 3]
        if label == "across":
            images[i, 0, at, start : start + 6] = 1
        elif label == "down":
            images[i, 0, start : start + 6, at] = 1
        else:
            images[i, 0].flat[rng.choice(144, 6, replace=False)] = 1
        labels.append(label)
    return encode_images(images), labels


def folder(root: Path) -> Path:
    """Such pictures as an image folder: a few labelled, val, and a pool whose classes are known."""
    images, labels = pictures(96)
    for row, (png, label) in enumerate(zip(images, labels, strict=True)):
        path = root / ("labelled" if row < 9 else "val" if row < 21 else "pool") / label / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    return root


def write(path: Path, payloads, labels: list[str], column: str = "text") -> Path:
    """Six seed rows, a fifth of the rest each for val and test, and the pool."""
    rest = (["pool", "pool", "val", "pool", "test"] * len(labels))[: len(labels) - 6]
    pl.DataFrame({column: payloads, "label": labels, "split": ["seed"] * 6 + rest}).write_parquet(path)
    return path


def config(path: Path, encoder: dict, column: str = "text", **sections: dict) -> Config:
    base = {
        "data": {"source": "table", "path": str(path), f"{column}_column": column, "split_column": "split"},
        "encoder": encoder,
        "generate": {"generator": "none"},
        "train": {"steps": 20, "tune_steps": 15, "tune_batch": 16, "backbone_lr": 0.01},
        "select": {"batch": 6},
        "stop": {"labels": 12},
    }
    base["data"] |= {"size": 12, "mode": "L"} if column == "image" else {}
    base["data"] = sections.pop("data", base["data"])
    return Config.parse(base | {name: base.get(name, {}) | section for name, section in sections.items()})
