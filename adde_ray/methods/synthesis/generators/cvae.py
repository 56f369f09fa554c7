"""A conditional variational autoencoder (Kingma & Welling 2014; Sohn et al. 2015).

The condition is the class and a point of the reduced space, so a gap's label and centroid aim it. Class
probabilities of unlabelled rows are conditions as good as labels, so the pool teaches it what a class with
two labels looks like. The weight between reconstruction and KL is the one that is best for the error the
decoder makes (sigma-VAE, Rybkin et al. 2021): sharp samples without a weight to tune for each dataset.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adde_ray.config import Generate
from adde_ray.methods.synthesis.generators import FitData

MLP_PIXELS = 16 * 16
"""Images of up to this many pixels are treated as vectors; larger ones get convolutions."""

MAX_SIDE = 32
"""Larger images are learned at this size and enlarged: after so few steps there is no finer detail to lose."""

BATCH = 64
HIDDEN = 256
LR = 5e-3
POINT_NOISE = 0.5
"""Noise on the points in training, in their standard deviations. A gap's centre is no one sample's point, and
what the point leaves open is left to the class and the latent draw."""


class CVAE:
    """See `generators.Generator`. Takes `steps` and `latent_dims`, and a GPU where there is one and `gpu` asks."""

    def __init__(self, config: Generate):
        self.config = config
        self.device = torch.device("cuda" if config.gpu and torch.cuda.is_available() else "cpu")

    def fit(self, data: FitData, *, seed: int) -> dict[str, np.ndarray]:
        """Learn from n >= 1 rows. 300 steps take half a second for 8x8 images, some 5 s for 32x32 RGB (one core)."""
        assert len(data) > 0, "nothing to learn from"
        rng = torch.Generator().manual_seed(seed)
        arrays = _shrink(_tensor(data.arrays))
        scale, points = _scale(arrays), _tensor(data.points)
        point_mean, point_std = _standard(points)
        shape = [*arrays.shape[1:], data.class_probs.shape[1], points.shape[1], self.config.latent_dims]
        net = _empty(shape, self.device)
        _initialise(net, rng)
        self._train(
            net,
            ((arrays - scale["mean"]) / scale["std"]).to(self.device),
            _tensor(data.class_probs).to(self.device),
            ((points - point_mean) / point_std).to(self.device),
            _row_weights(data.class_probs),
            rng,
        )
        weights = {f"net.{name}": value for name, value in net.state_dict().items()}
        weights |= {f"scale.{name}": value for name, value in scale.items()}
        weights |= {"point.mean": point_mean, "point.std": point_std, "shape": torch.tensor(shape)}
        weights["full"] = torch.tensor(data.arrays.shape[1:])
        return {name: value.cpu().numpy() for name, value in weights.items()}

    def _train(self, net: _Net, x: Tensor, y: Tensor, p: Tensor, row_weights: Tensor, rng: torch.Generator) -> None:
        # Every draw comes from the CPU, so a GPU sees the same rows and the same noise.
        steps, latent = self.config.steps, self.config.latent_dims
        optimiser = torch.optim.Adam(net.parameters(), lr=LR)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            rows = torch.multinomial(row_weights, BATCH, replacement=True, generator=rng).to(self.device)
            noise = (torch.randn(BATCH, p.shape[1], generator=rng) * POINT_NOISE).to(self.device)
            draw = torch.randn(BATCH, latent, generator=rng).to(self.device)
            optimiser.zero_grad()
            net.loss(x[rows], y[rows], p[rows] + noise, draw).backward()
            optimiser.step()
            schedule.step()

    @torch.no_grad()
    def sample(
        self, weights: dict[str, np.ndarray], classes: np.ndarray, points: np.ndarray, *, temperature: float, seed: int
    ) -> np.ndarray:
        """(m, …) float32, within the range of the data it was fitted on."""
        *array, num_classes, dims, latent = weights["shape"].tolist()
        full: list[int] = weights["full"].tolist()  # before images were shrunk
        state = {name: _tensor(value) for name, value in weights.items() if name not in ("shape", "full")}
        net = _empty([*array, num_classes, dims, latent], self.device)
        net.load_state_dict({name[4:]: value.to(self.device) for name, value in state.items() if name[:4] == "net."})
        rng = torch.Generator().manual_seed(seed)
        z = torch.randn(len(classes), latent, generator=rng) * temperature
        y = _tensor(classes) if np.ndim(classes) == 2 else F.one_hot(_rows(classes), num_classes).float()
        p = (_tensor(points).reshape(-1, dims) - state["point.mean"]) / state["point.std"]
        if len(classes) == 0:
            return np.zeros((0, *full), dtype=np.float32)
        out = net.decode(z.to(self.device), y.to(self.device), p.to(self.device)).cpu()
        out = out * state["scale.std"] + state["scale.mean"]
        if out.ndim == 4 and list(out.shape[1:]) != full:
            out = F.interpolate(out, tuple(full[1:]), mode="bilinear")
        return torch.clamp(out, state["scale.min"], state["scale.max"]).numpy()


class _Net(nn.Module):
    """Encoder q(z | x, y, p) and decoder p(x | z, y, p); x standardised, y class probabilities, p points."""

    def __init__(self, array: list[int], num_classes: int, dims: int, latent: int):
        super().__init__()
        condition = num_classes + dims
        convolve = len(array) == 3 and array[1] * array[2] > MLP_PIXELS
        self.body: _Conv | _Flat = _Conv(array) if convolve else _Flat(array)
        width = self.body.width
        self.encoder = nn.Sequential(nn.Linear(width + condition, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 2 * latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent + condition, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, width),
        )

    def decode(self, z: Tensor, y: Tensor, p: Tensor) -> Tensor:
        return self.body.up(self.decoder(torch.cat([z, y, p], dim=1)))

    def loss(self, x: Tensor, y: Tensor, p: Tensor, eps: Tensor) -> Tensor:
        """Negative evidence lower bound of a batch, nats per sample, up to a constant."""
        mean, log_var = self.encoder(torch.cat([self.body.down(x), y, p], dim=1)).chunk(2, dim=1)
        error = (x - self.decode(mean + eps * torch.exp(log_var / 2), y, p)).square().mean()
        # The decoder's variance at its optimum, the error itself, turns the squared error into its logarithm.
        reconstruction = x[0].numel() / 2 * torch.log(error + 1e-4)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1).mean()
        return reconstruction + kl


class _Flat(nn.Module):
    """Vectors and tiny images as they are."""

    def __init__(self, array: list[int]):
        super().__init__()
        self.array, self.width = array, math.prod(array)

    def down(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def up(self, flat: Tensor) -> Tensor:
        return flat.reshape(len(flat), *self.array)


class _Conv(nn.Module):
    """Images (c, h, w) to a flat code and back, halving the sides until they are at most 8."""

    def __init__(self, array: list[int]):
        super().__init__()
        channels, h, w = array
        self.downs, self.ups, self.sides = nn.ModuleList(), nn.ModuleList(), [(h, w)]
        while max(h, w) > 8:
            wider = min(64, channels * 2) if len(self.downs) else 16
            self.downs.append(nn.Conv2d(channels, wider, 3, stride=2, padding=1))
            self.ups.insert(0, nn.ConvTranspose2d(wider, channels, 4, stride=2, padding=1))
            channels, h, w = wider, (h + 1) // 2, (w + 1) // 2
            self.sides.insert(0, (h, w))
        self.channels, self.width = channels, channels * h * w

    def down(self, x: Tensor) -> Tensor:
        for conv in self.downs:
            x = F.silu(conv(x))
        return x.flatten(1)

    def up(self, flat: Tensor) -> Tensor:
        x = flat.reshape(len(flat), self.channels, *self.sides[0])
        for conv, (h, w) in zip(self.ups, self.sides[1:], strict=True):
            x = conv(F.silu(x))[:, :, :h, :w]  # an odd side was rounded up on the way down
        return x


def _empty(shape: list[int], device: torch.device) -> _Net:
    """A network without values: building it draws nothing from the global generator."""
    *array, num_classes, dims, latent = shape
    with torch.device("meta"):
        net = _Net(array, num_classes, dims, latent)
    return net.to_empty(device=device)


def _initialise(net: nn.Module, rng: torch.Generator) -> None:
    """PyTorch's default initialisation of linear and convolution layers, from our own generator."""
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                bound = 1 / math.sqrt(parameter[0].numel())
                parameter.copy_((torch.rand(parameter.shape, generator=rng) * 2 - 1) * bound)
            else:
                parameter.zero_()


def _tensor(values: np.ndarray) -> Tensor:
    """A float32 copy: arrays from Ray's object store are read-only."""
    return torch.from_numpy(np.array(values, dtype=np.float32))


def _rows(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.int64))


def _shrink(arrays: Tensor) -> Tensor:
    if arrays.ndim == 2 or max(arrays.shape[2:]) <= MAX_SIDE:
        return arrays
    factor = MAX_SIDE / max(arrays.shape[2:])
    return F.interpolate(arrays, tuple(max(1, round(side * factor)) for side in arrays.shape[2:]), mode="area")


def _scale(arrays: Tensor) -> dict[str, Tensor]:
    """Mean and spread to learn in, and the range samples are kept in: per dimension of vectors, one for images."""
    if arrays.ndim == 2:
        mean, std = _standard(arrays)
        return {"mean": mean, "std": std, "min": arrays.amin(0), "max": arrays.amax(0)}
    mean = arrays.mean(0)
    spread = (arrays - mean).square().mean().sqrt()
    return {"mean": mean, "std": spread.clamp(min=1e-3), "min": arrays.min(), "max": arrays.max()}


def _standard(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per column, 1 where a column does not vary."""
    std = rows.std(0, correction=0)
    return rows.mean(0), torch.where(std > 1e-6, std, torch.ones_like(std))


def _row_weights(class_probs: np.ndarray) -> Tensor:
    """(n,) chance of drawing each row: rare classes are seen more often, up to a point."""
    mass = class_probs.sum(axis=0)
    weights = class_probs @ (1 / np.sqrt(np.maximum(mass, 1.0)))
    return torch.from_numpy(np.maximum(weights, 1e-6).astype(np.float64))
