"""Images without a pretrained model: convolutional k-means features learned from the pool → (n, d) float32.

Whitened patches are clustered, each patch of an image is described by how near it is to each centroid, and
these descriptions are averaged over the image's quarters, and over the ways the image may be turned and still show
the same. Coates, Ng and Lee 2011; Coates and Ng 2012.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from adde_ray import config
from adde_ray.artifacts.images import decode_images

_BATCH = 256  # images held decoded at a time
_CONTRAST = 10 / 255**2  # added to a patch's variance, so that noise in flat regions is not blown up
_WHITENING = 0.1  # added to the eigenvalues of the patches' covariance
_FLATTENING = 0.5  # components are divided by their deviation to this power: the largest say least of the classes
_LEAST_DEVIATION = 0.03  # added to it, as a share of the largest: components that are noise stay small


class Patches:
    """Patches of 6×6 pixels (smaller where an image is smaller than 12), 400 centroids, of unit length (an image
    like the mean of all is 0). From 64 pixels on, every second patch or fewer: about 32 a side are enough, and half of
    that for each view of a square.

    `symmetry` (default: mirror) names the views averaged over: the image and its mirror image, or all 8 of a square.
    """

    modalities: tuple[str, ...] = ("image",)
    default_dims = 256
    patch = 6
    centroids = 400
    fit_rows = 1_000  # at most this many images are fitted on, drawn by the seed
    fit_patches = 40_000  # about this many patches of theirs are clustered

    def __init__(self, settings: config.Encoder, modality: str):
        self.dims = settings.dims or self.default_dims
        self.symmetry = settings.symmetry or "mirror"
        self.arrays: dict[str, np.ndarray] = {}
        self.settings: dict[str, Any] = {}

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """Learn whitening, centroids and components from at most `fit_rows` images, drawn by the seed."""
        rng = np.random.default_rng(seed)
        payloads = payloads[np.sort(rng.permutation(len(payloads))[: self.fit_rows])]
        side = min(decode_images(payloads[:1]).shape[2:])
        # Eight views make up for every other patch.
        stride = max(1, side // 32) * (2 if self.symmetry == "square" else 1)
        self.settings = {"patch": max(1, min(self.patch, side // 2)), "stride": stride, "symmetry": self.symmetry}
        with _one_thread():
            patches = self._draw(payloads, rng).astype(np.float64)
            mean = patches.mean(axis=0)
            values, vectors = np.linalg.eigh(np.cov((patches - mean).T, bias=True).reshape(len(mean), len(mean)))
            whitening = (vectors / np.sqrt(np.maximum(values, 0) + _WHITENING)) @ vectors.T  # ZCA: symmetric
            whitened = ((patches - mean) @ whitening).astype(np.float32)
            self.arrays = {
                "patch.mean": mean.astype(np.float32),
                "patch.whitening": whitening.astype(np.float32),
                "centroids": _centroids(whitened, self.centroids, seed=seed),
            }
            pooled = self._pooled(payloads).astype(np.float64)
            self.arrays |= _principal(pooled, self.dims, seed=seed)
        # Images closer to the mean than rounding can tell have no direction.
        self.settings["least"] = 1e-5 * float(np.sqrt(np.square(pooled).sum(axis=1).mean()))

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, k) float32 of unit length, or 0; k is at most `dims`."""
        if not len(payloads):
            return np.zeros((0, len(self.arrays["pca.components"])), np.float32)
        with _one_thread():
            # In float64, so that rounding to float32 hides that a product of matrices varies with the batch.
            z = (self._pooled(payloads) - self.arrays["pca.mean"]) @ self.arrays["pca.components"].T
        norms = np.linalg.norm(z, axis=1, keepdims=True)
        return np.divide(z, norms, out=np.zeros_like(z), where=norms > self.settings["least"]).astype(np.float32)

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Whitening, centroids and components; and how patches are cut."""
        return self.arrays, self.settings

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""
        self.arrays, self.settings = arrays, settings

    def _draw(self, payloads: pl.Series, rng: np.random.Generator) -> np.ndarray:
        """Normalised patches from random places, as many of each image."""
        import torch

        each, parts = -(-self.fit_patches // len(payloads)), []
        for image in _images(payloads):
            windows = _windows(image, self.settings["patch"], 1)
            down, across = windows.shape[:2]
            at = np.sort(rng.permutation(down * across)[:each])
            patches = windows[torch.from_numpy(at // across), torch.from_numpy(at % across)]
            parts.append(_normalise(patches.reshape(len(at), -1)).numpy())
        return np.concatenate(parts)

    def _pooled(self, payloads: pl.Series) -> np.ndarray:
        """(n, 4 · centroids) float32: activations averaged over each quarter of each image."""
        import torch

        names = ("patch.mean", "patch.whitening", "centroids")
        mean, whitening, centroids = (torch.from_numpy(self.arrays[name]) for name in names)
        squares = centroids.square().sum(dim=1)
        pooled = torch.empty(len(payloads), 4 * len(centroids))
        # One image at a time: its features are then the same in any company, and its patches stay in the cache.
        for row, image in enumerate(_images(payloads)):
            views = []
            for view in _views(image, self.settings["symmetry"]):
                windows = _windows(view, self.settings["patch"], self.settings["stride"])
                patches = _normalise(windows.reshape(windows.shape[0] * windows.shape[1], -1))
                assert patches.shape[1] == len(mean), (patches.shape, len(mean))
                whitened = (patches - mean) @ whitening
                away = torch.addmm(squares, whitened, centroids.T, alpha=-2)
                away.add_(whitened.square().sum(1, keepdim=True)).clamp_(min=0).sqrt_()
                # "Triangle": 0 for all farther than average.
                near = away.mean(dim=1, keepdim=True).sub(away).clamp_(min=0)
                views.append((_quarters(*windows.shape[:2]) @ near).flatten())
            pooled[row] = torch.stack(views).mean(dim=0)
        return pooled.numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    """The products here are small: more threads are slower, much so on a busy machine, and round otherwise."""
    import faiss  # noqa: F401 – only libraries that are loaded are limited
    import sklearn.decomposition  # noqa: F401
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    try:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            yield
    finally:
        torch.set_num_threads(before)


def _images(payloads: pl.Series) -> Iterator[Any]:
    """Tensors (c, h, w) in [0, 1]."""
    import torch

    for start in range(0, len(payloads), _BATCH):
        yield from torch.from_numpy(decode_images(payloads[start : start + _BATCH]))


def _views(image: Any, symmetry: str) -> list[Any]:
    """The image in every position in which it shows the same."""
    if symmetry == "none":
        return [image]
    turned = [image.rot90(quarters, (1, 2)) for quarters in range(4)] if symmetry == "square" else [image]
    return turned + [view.flip(2) for view in turned]


def _windows(image: Any, patch: int, stride: int) -> Any:
    """(c, h, w) → (rows, columns, c, patch, patch), a view."""
    return image.unfold(1, patch, stride).unfold(2, patch, stride).permute(1, 2, 0, 3, 4)


def _normalise(patches: Any) -> Any:
    centred = patches - patches.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + _CONTRAST).sqrt()


@lru_cache(maxsize=8)
def _quarters(rows: int, columns: int) -> Any:
    """(4, rows · columns): weights that average over each quarter of a map; a middle line counts for both sides."""
    import torch

    parts = []
    for top in (True, False):
        for left in (True, False):
            weights = torch.zeros(rows, columns)
            down = slice(0, (rows + 1) // 2) if top else slice(rows // 2, rows)
            across = slice(0, (columns + 1) // 2) if left else slice(columns // 2, columns)
            weights[down, across] = 1
            parts.append(weights.flatten() / weights.sum())
    return torch.stack(parts)


def _centroids(points: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    import faiss

    distinct = np.unique(points, axis=0)
    if len(distinct) <= count:
        return distinct
    kmeans = faiss.Kmeans(
        points.shape[1], count, niter=15, seed=seed, min_points_per_centroid=1, max_points_per_centroid=len(points)
    )
    kmeans.train(points)
    return np.array(kmeans.centroids)


def _principal(x: np.ndarray, dims: int, *, seed: int) -> dict[str, np.ndarray]:
    from sklearn.decomposition import PCA

    with np.errstate(invalid="ignore"):  # shares of a variance of 0, which nobody reads
        pca = PCA(min(dims, *x.shape), random_state=seed).fit(x)
    relative = pca.singular_values_ / max(pca.singular_values_.max(), 1e-30)
    weights = (relative + _LEAST_DEVIATION) ** -_FLATTENING
    return {"pca.mean": pca.mean_, "pca.components": weights[:, None] * pca.components_}
