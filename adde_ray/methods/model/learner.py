"""The model f: a linear head on frozen features, or a small network trained whole.

features (n, d) → class probabilities (n, C) and embedding (n, e). The embedding is what everything
downstream looks at: the features themselves for the linear head, the penultimate layer for a network.

Labels are (n,) class rows, learned by softmax and cross-entropy, or the (n, C) targets of a multi-label task,
learned as C yes-or-no questions on one body: sigmoids and binary cross-entropy, NaN targets left out.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit
from torch import nn

from adde_ray.config import Train
from adde_ray.config.registry import Registry
from adde_ray.methods.numerics.matmul import product

ROWS = 65_536
"""Rows a model is applied to at a time."""


class Network(nn.Module):
    """`body` maps features to the embedding, `head` the embedding to class logits, for each of `heads` side by side."""

    def __init__(self, body: nn.Module, embedding_dims: int, num_classes: int, heads: int = 1):
        super().__init__()
        self.body, self.heads = body, heads
        self.head = nn.Linear(embedding_dims, num_classes * heads)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, C) logits; (n, heads, C) where there are several heads."""
        logits = self.head(self.body(features))
        return logits if self.heads == 1 else logits.unflatten(1, (self.heads, -1))


class UnitDropout(nn.Module):
    """Dropout by a mask that is given, (width,) or (n, width): nothing is dropped without one, nor drawn here."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.mask: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, width) activations, times the mask where there is one."""
        return x if self.mask is None else x * self.mask


def linear(dims: int, num_classes: int, config: Train) -> Network:
    """A head on the frozen encoder; the embedding is the encoder's."""
    network = Network(nn.Identity(), dims, num_classes, num_heads(config))
    # Zero is the optimum's own starting point for a convex head: no seed matters, no class is favoured.
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    return network


def mlp(dims: int, num_classes: int, config: Train) -> Network:
    """Two hidden layers trained whole."""
    first, second = [nn.Linear(dims, config.hidden), nn.ReLU()], [nn.Linear(config.hidden, config.hidden), nn.ReLU()]
    if config.dropout:
        first.append(UnitDropout(config.dropout))
        second.append(UnitDropout(config.dropout))
    return Network(nn.Sequential(*first, *second), config.hidden, num_classes, num_heads(config))


def num_heads(config: Train) -> int:
    """Heads of the network: one a member, or one in all where dropout tells the members apart."""
    return 1 if config.dropout else config.ensemble


def build(dims: int, num_classes: int, config: Train, *, seed: int) -> Network:
    """A freshly initialised network; equal seeds give equal weights."""
    make = LEARNERS[config.learner]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(dims, num_classes, config)


def dropouts(network: nn.Module) -> list[UnitDropout]:
    """Its layers that drop units, in order."""
    return [layer for layer in network.modules() if isinstance(layer, UnitDropout)]


def draw_masks(drops: list[UnitDropout], network: Network, num_rows: int, *, seed: int) -> list[torch.Tensor]:
    """One (num_rows, width) mask for each layer: 0, or 1 / (1 - share). Drawn on the CPU, the same on every machine."""
    generator = torch.Generator().manual_seed(seed)
    width = network.head.in_features  # of both hidden layers
    draws = [torch.rand(num_rows, width, generator=generator) for _ in drops]
    return [(draw >= layer.share).float() / (1 - layer.share) for layer, draw in zip(drops, draws, strict=True)]


@contextlib.contextmanager
def masked(drops: list[UnitDropout], masks: list[torch.Tensor]) -> Iterator[None]:
    """Within it, the layers drop what the masks say."""
    for layer, mask in zip(drops, masks, strict=True):
        layer.mask = mask
    try:
        yield
    finally:
        for layer in drops:
            layer.mask = None


def batches(
    num_rows: int, batch_size: int, steps: int, *, seed: int, rehearsed: np.ndarray | None = None, share: float = 0.0
) -> Iterator[np.ndarray]:
    """`steps` global batches of rows: the whole set when it fits, else seeded epochs without replacement.

    Of each batch, `share` (to the next row) are from the rows `rehearsed`, in epochs of their own, repeated where they
    are too few; the rest are the others. A set that fits is taken whole, with so many repeats on top.
    """
    if not share or rehearsed is None or not 0 < len(rehearsed) < num_rows:
        yield from _epochs(np.arange(num_rows), batch_size, steps, np.random.default_rng(seed))
        return
    rng, again = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    if num_rows <= batch_size:
        repeats = max(int(np.ceil((share * num_rows - len(rehearsed)) / (1 - share))), 0)
        for extra in _epochs(rehearsed, repeats, steps, again, whole=False):
            yield np.concatenate([np.arange(num_rows), extra])
        return
    old = min(max(round(share * batch_size), 1), batch_size - 1) if batch_size > 1 else 0
    others = np.setdiff1d(np.arange(num_rows), rehearsed) if old else np.arange(num_rows)
    drawn = (
        _epochs(others, batch_size - old, steps, rng, whole=False),
        _epochs(rehearsed, old, steps, again, whole=False),
    )
    for new, extra in zip(*drawn, strict=True):
        yield np.concatenate([new, extra])


def _epochs(
    rows: np.ndarray, size: int, steps: int, rng: np.random.Generator, *, whole: bool = True
) -> Iterator[np.ndarray]:
    """`size` rows a step, epoch after epoch; all of them once a step when they fit and are to be taken `whole`."""
    order = rows[:0]
    for _ in range(steps):
        if whole and len(rows) <= size:
            yield rows
            continue
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(rows)])
        yield order[:size]
        order = order[size:]


@dataclass(frozen=True)
class Model:
    """A trained, calibrated network."""

    network: Network
    temperature: float
    multi: bool = False  # a sigmoid for each class instead of one softmax
    ensemble: int = 1  # members, see `member_proba`
    members: Network | None = None  # their heads, trained beside f; None where dropout tells them apart
    tuned: bool = False  # the features it reads are of an encoder trained with it

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, C) float32 uncalibrated; a row's do not depend on what it is batched with."""
        return self._each(self.network, features)[:, 0]

    def _each(self, network: Network, features: np.ndarray) -> np.ndarray:
        """(n, heads, C) logits of every head."""
        head, heads = network.head, network.heads
        weight = head.weight.detach().T.contiguous()
        return self._apply(lambda x: (product(network.body(x), weight) + head.bias).unflatten(1, (heads, -1)), features)

    def proba(self, features: np.ndarray) -> np.ndarray:
        """(n, C) float32 calibrated class probabilities; of a multi-label task, a row need not sum to 1."""
        return self.squashed(self.logits(features))

    def squashed(self, logits: np.ndarray) -> np.ndarray:
        """(n, C) float32 calibrated probabilities of logits."""
        scaled = logits / self.temperature
        if self.multi:
            return expit(scaled).astype(np.float32)
        scaled -= scaled.max(axis=1, keepdims=True)
        p = np.exp(scaled)
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    def member_proba(self, features: np.ndarray) -> np.ndarray:
        """(n, K, C) float32 calibrated probabilities of each member: a head, or the network under a fixed dropout mask.

        Masks are the same for all rows and at every call (Gal & Ghahramani 2016, drawn once).
        """
        if self.members is not None:
            logits = self._each(self.members, features)
            return np.stack([self.squashed(logits[:, k]) for k in range(self.members.heads)], axis=1)
        if not dropouts(self.network) or self.ensemble == 1:
            return self.proba(features)[:, None]
        # A network of its own: masks are set in it, and several threads score shards with this one at a time.
        own, members = replace(self, network=copy.deepcopy(self.network)), []
        drops = dropouts(own.network)
        for k in range(self.ensemble):
            with masked(drops, draw_masks(drops, own.network, 1, seed=k)):
                members.append(own.proba(features))
        return np.stack(members, axis=1)

    def embed(self, features: np.ndarray) -> np.ndarray:
        """(n, e) float32 penultimate representation; the features themselves for the linear head."""
        if isinstance(self.network.body, nn.Identity):
            return features
        return self._apply(self.network.body, features)

    @property
    def moves(self) -> bool:
        """Whether the embedding changes when the model is trained again."""
        return self.tuned or not isinstance(self.network.body, nn.Identity)

    @torch.inference_mode()
    def _apply(self, function: Callable[[torch.Tensor], torch.Tensor], features: np.ndarray) -> np.ndarray:
        self.network.eval()
        device, rows = self.network.head.weight.device, torch.from_numpy(features)
        return torch.cat([function(batch.to(device).float()).cpu() for batch in rows.split(ROWS)]).numpy()


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature in [0.05, 20] that minimises the negative log-likelihood on val (Guo et al. 2017).

    logits (n, C), labels (n,), or (n, C) of a multi-label task. 1 when there is nothing to fit on.
    """
    known = ~np.isnan(labels) if labels.ndim == 2 else slice(None)
    if labels[known].size == 0:
        return 1.0

    def nll(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        if labels.ndim == 2:
            return float(np.mean((np.logaddexp(0, scaled) - labels * scaled)[known]))
        top = scaled.max(axis=1)
        return float(
            np.mean(np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top - scaled[np.arange(len(labels)), labels])
        )

    best = minimize_scalar(nll, bounds=(np.log(0.05), np.log(20.0)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(best.x))


Learner = Callable[[int, int, Train], Network]
"""Dimensions of the features, number of classes, settings → a network, initialised by torch's own generator."""

LEARNERS: Registry[Learner] = Registry("learner", {"linear": linear, "mlp": mlp}, where="train.learner")
