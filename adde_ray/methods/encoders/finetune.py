"""Fine-tuning an encoder together with the head: whole, or through low-rank adapters (LoRA, Hu et al. 2022).

A `Recipe` says how to build an encoder anywhere; its trained parameters are arrays by name, so that a round's model
is those arrays alone: the adapters for "lora", every parameter for "full".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import numpy as np
import polars as pl
import torch
from torch import nn

from adde_ray import config
from adde_ray.config import Train
from adde_ray.errors import UserError
from adde_ray.methods import encoders
from adde_ray.methods.encoders import Encoder

LEARNING_RATES = {"lora": 5e-4, "full": 3e-5}
FROM_SCRATCH = 1e-3
"""Adam's rates for the backbone where the config gives none."""

HEAD_FACTOR = 5
"""The head, which knows the backbone as it was, moves this much faster than it; at more, a convnet collapses."""


class Tunable(Encoder, Protocol):
    """An encoder whose network can be trained. A class that lacks these is frozen for good."""

    scratch: bool  # nothing is pretrained: the network starts from random weights

    @property
    def backbone(self) -> nn.Module:
        """The network, in evaluation mode: without dropout, and with its batch norms' statistics as they are."""
        ...

    def inputs(self, payloads: pl.Series) -> dict[str, torch.Tensor]:
        """What the network reads of a batch, by name; (n, …) each."""
        ...

    def features(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, d) features with gradients, on the network's device; `encode` gives the same without."""
        ...


def is_tunable(encoder: Encoder) -> TypeGuard[Tunable]:
    """Whether the encoder's network can be trained. Asked of its class: a model is loaded when it is first used."""
    return hasattr(type(encoder), "scratch")


@dataclass(frozen=True)
class Recipe:
    """How to build the run's encoder: in this process, in a training worker, in an actor."""

    settings: config.Encoder
    modality: str
    arrays: dict[str, np.ndarray]  # the fitted state, as `Encoder.save` gives it
    state: dict[str, Any]

    def build(self, train: Train, weights: dict[str, np.ndarray] | None = None, *, seed: int = 0) -> Tunable:
        """The encoder with its parameters to train marked; as they are at the start, or with `weights`."""
        encoder = encoders.make(self.settings, self.modality)
        assert is_tunable(encoder), f"{self.settings.name} is frozen for good"
        encoder.load(self.arrays, self.state)
        if train.mode == "lora":
            _add_adapters(encoder.backbone, train.lora_rank, self.settings, seed)
        else:
            encoder.backbone.requires_grad_(True)
        if weights is not None:
            load_weights(encoder, weights)
        return encoder


class Whole(nn.Module):
    """Backbone and head as one network: inputs of a batch → logits."""

    def __init__(self, encoder: Tunable, network: nn.Module, precision: torch.dtype | None = None):
        super().__init__()
        self.backbone, self.network = encoder.backbone, network
        self._features, self._precision = encoder.features, precision

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, C) logits of a batch, or (n, heads, C); the backbone runs in `precision` where one is given."""
        device = next(self.backbone.parameters()).device.type
        with torch.autocast(device, dtype=self._precision, enabled=self._precision is not None):
            features = self._features(inputs)
        return self.network(features.float())


def trained(encoder: Tunable) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: p for name, p in encoder.backbone.named_parameters() if p.requires_grad}


def load_weights(encoder: Tunable, weights: dict[str, np.ndarray]) -> None:
    """Take trained parameters as `trained` named them."""
    parameters = trained(encoder)
    assert parameters.keys() == weights.keys(), "weights of another encoder"
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(torch.from_numpy(np.asarray(weights[name])))


def learning_rate(train: Train, *, scratch: bool) -> float:
    """Adam's rate for the backbone: the config's, or what suits its start."""
    return train.backbone_lr or (FROM_SCRATCH if scratch else LEARNING_RATES[train.mode])


def _add_adapters(backbone: nn.Module, rank: int, settings: config.Encoder, seed: int) -> None:
    """A low-rank adapter beside every linear layer; all else is frozen. The layers' names stay as they are."""
    from peft import LoraConfig, inject_adapter_in_model

    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(lora, backbone)
        except ValueError as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise UserError(
                f"no adapters can be put into it: {reason}",
                where="encoder.model",
                value=settings.model,
                remedy='Set train.mode = "full" or "head"',
            ) from None
    backbone.eval()
