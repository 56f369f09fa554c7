"""Folders that are no usable model: whatever their files hold, one line says what is wrong with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tiny import bert

from adde_ray.config import Encoder
from adde_ray.errors import UserError
from adde_ray.methods.encoders.transformer import Transformer


def setting(name: str, key: str, value: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / name
        kept = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**kept, key: value}))

    return spoil


def holding(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def huge_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")


def fifo(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


DAMAGE = {
    "sizes are texts": setting("config.json", "hidden_size", "sixteen"),
    "a size is a list": setting("config.json", "num_hidden_layers", [2]),
    "a size is null": setting("config.json", "num_attention_heads", None),
    "no heads": setting("config.json", "num_attention_heads", 0),
    "sizes that do not fit the weights": setting("config.json", "hidden_size", 32),
    "an unknown type": setting("config.json", "model_type", "berd"),
    "a type that is a number": setting("config.json", "model_type", 7),
    "no JSON": holding("config.json", b"{"),
    "a list": holding("config.json", b"[]"),
    "deep JSON": holding("config.json", b'{"a":' * 50_000),
    "no UTF-8": holding("config.json", b"\xff\xfe{}"),
    "weights cut short": cut,
    "weights with a huge header": huge_header,
    "weights that are none": holding("model.safetensors", b"no weights"),
    "pickles only": pickled,
    "a FIFO": fifo,
    "modules of a wrong kind": holding("modules.json", b'{"type": 3}'),
    "modules that are numbers": holding("modules.json", b"[1, 2]"),
    "modules without a path": holding("modules.json", b'[{"type": "x.Transformer"}]'),
    "modules that are no JSON": holding("modules.json", b"[" * 50_000),
    "a tokenizer that is none": holding("tokenizer.json", b'{"model": 5}'),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_folder_is_one_line(name, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    DAMAGE[name](folder)
    with pytest.raises(UserError, match="model") as error:
        Transformer(Encoder(name="transformer", model=str(folder)), "text").encode(pl.Series(["a cat sat"]))
    assert str(error.value).isprintable() and len(str(error.value)) < 1500
    assert not (tmp_path / "pwned").exists()
