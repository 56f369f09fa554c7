"""A small convolutional network from random weights: images → unit-length features (n, 128) float32.

For pictures that no pretrained model knows. Frozen, it is a random projection; it is meant to be trained with the head
(`train.mode = "full"`), from these same weights in every round. Group norms, which need no statistics of a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from adde_ray import config
from adde_ray.artifacts.images import decode_images

WIDTHS = (32, 64, 128)
GROUPS = 8


class Convnet:
    """Three stages of two 3 x 3 convolutions, each stage at half the size of the one before; the mean over what is
    left."""

    modalities: tuple[str, ...] = ("image",)
    scratch = True

    def __init__(self, settings: config.Encoder, modality: str):
        self.batch_size = settings.batch_size
        self.backbone = nn.Sequential()

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """Draw the weights by the seed; of the payloads only the number of bands is looked at."""
        channels = decode_images(payloads[:1]).shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = _network(channels)

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The weights by name, and the number of bands."""
        weights = {name: value.detach().cpu().numpy() for name, value in self.backbone.state_dict().items()}
        return weights, {"channels": self.backbone[0].in_channels}

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""
        self.backbone = _network(settings["channels"])
        self.backbone.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, 128) float32 of unit length, `batch_size` images at a time."""
        if not len(payloads):
            return np.zeros((0, WIDTHS[-1]), np.float32)
        starts = range(0, len(payloads), self.batch_size)
        with torch.inference_mode():
            batches = [self.features(self.inputs(payloads[i : i + self.batch_size])).cpu() for i in starts]
        return torch.cat(batches).numpy()

    def inputs(self, payloads: pl.Series) -> dict[str, torch.Tensor]:
        """Pixels in [-1, 1]."""
        return {"pixels": torch.from_numpy(decode_images(payloads).astype(np.float32)) * 2 - 1}

    def features(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, 128), with gradients where they are wanted."""
        device = next(self.backbone.parameters()).device
        return nn.functional.normalize(self.backbone(inputs["pixels"].to(device)).mean(dim=(2, 3)), dim=1)


def _network(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in WIDTHS:
        stride = 2 if layers else 1
        for _ in range(2):
            conv = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
            layers += [conv, nn.GroupNorm(GROUPS, width), nn.ReLU()]
            channels, stride = width, 1
    return nn.Sequential(*layers).eval()
