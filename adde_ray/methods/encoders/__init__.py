"""Frozen encoders: payloads (image, text or vector) → features (n, d) float32, of typical distance about 1.

An encoder is fitted once per run, on pool and seed together, without labels; its state is arrays and JSON, so
that a later process encodes new samples the same.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import polars as pl

from adde_ray import config
from adde_ray.artifacts.images import decode_images, encode_images
from adde_ray.config.registry import Registry
from adde_ray.errors import UserError
from adde_ray.methods.encoders.convnet import Convnet
from adde_ray.methods.encoders.efficientnet import EfficientNet
from adde_ray.methods.encoders.patches import Patches
from adde_ray.methods.encoders.transformer import Transformer
from adde_ray.methods.encoders.views import Viewed

AUTO = {"image": "pixels", "text": "tfidf", "vector": "raw"}
"""What "auto" is where nothing has been chosen: for vectors, and in runs begun by versions that knew no choice."""

_BATCH = 4096  # rows held decoded at a time
_FARTHEST = 1e6  # root mean squares from the mean
_MAX_PCA_ROWS = 5_000  # components are fitted on at most this many rows, drawn by the seed


class Encoder(Protocol):
    """Built as `ENCODERS[name](config.encoder, modality)`.

    One of images that wants them at some number of pixels a side says so by an attribute `image_side`. It is given
    images of any size, real ones at that size where their originals have it, and learns nothing of them in `fit`.
    """

    modalities: tuple[str, ...]

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """Learn what encoding needs (a mean, a vocabulary) from n >= 1 payloads, or nothing."""
        ...

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, d) float32, finite. A row's features do not depend on the others (a transformer's: but for rounding)."""
        ...

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The fitted state: arrays, and settings that JSON can hold."""
        ...

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""
        ...


def resolve(settings: config.Encoder, modality: str) -> str:
    """The encoder's name, of "auto" that in `AUTO`.

    Raises UserError: unknown, of another modality, model missing or unused.
    """
    name = AUTO[modality] if settings.name == "auto" else settings.name
    encoder = ENCODERS[name]
    if modality not in encoder.modalities:
        fit = ", ".join(n for n, e in ENCODERS.items() if modality in e.modalities)
        raise UserError(
            f"encodes {' and '.join(encoder.modalities)} data, but the data is {modality}",
            where="encoder.name",
            value=name,
            remedy=f"Choose one of: auto, {fit}",
        )
    for key, owner, modalities in (("symmetry", "patches", ("image",)), ("model", "transformer", ("image", "text"))):
        chosen_among = settings.name == "auto" and modality in modalities
        if (value := getattr(settings, key)) is not None and name != owner and not chosen_among:
            raise UserError(
                f"would be ignored by the encoder {name}",
                where=f"encoder.{key}",
                value=value,
                remedy=f'Set encoder.name = "{owner}", or drop the {key}',
            )
    if settings.views != "none" and not (modality == "image" and hasattr(encoder, "image_side")):
        raise UserError(
            f"would be ignored by the encoder {name}",
            where="encoder.views",
            value=settings.views,
            remedy="Take an encoder that comes pretrained on images, or drop the views",
        )
    if name == "transformer" and settings.model is None:
        raise UserError(
            "transformer needs a model",
            where="encoder.model",
            remedy="Give a Hugging Face model id or a local folder",
        )
    return name


def better(name: str, *, sized: bool = True) -> str | None:
    """Settings of an encoder that tells more than this one, as a user writes them; None where none is known.

    sized: the data says how large its images are.
    """
    size = " and data.size = 224" if sized else ""
    images = f'encoder.name = "transformer" with encoder.model = "facebook/dinov2-small"{size}'
    texts = 'encoder.name = "transformer" with encoder.model = "sentence-transformers/all-MiniLM-L6-v2"'
    return {
        "pixels": f'{images}, or encoder.name = "efficientnet" or "patches" where no hub can be reached',
        "patches": f'{images}, or encoder.name = "efficientnet" where no hub can be reached',
        "efficientnet": images,
        "convnet": images,
        "tfidf": texts,
        "transformer": 'train.mode = "lora", which trains the encoder as well',
    }.get(name)


def make(settings: config.Encoder, modality: str) -> Encoder:
    """The configured encoder, not fitted yet. Raises UserError as `resolve` does."""
    name = resolve(settings, modality)
    encoder = ENCODERS[name](settings, modality)
    if settings.views != "none":
        encoder = Viewed(encoder, settings.views)
    reduces = hasattr(encoder, "default_dims")  # by itself, so that settings.dims is its own affair
    return Reduced(encoder, settings.dims) if settings.dims and not reduces else encoder


def encode_texts(encoder: Encoder, phrases: list[str]) -> np.ndarray | None:
    """(n, d) float32: phrases as points among the features of samples that are no texts; None where the encoder reads
    no words."""
    reads = getattr(encoder, "encode_texts", None)
    return None if reads is None else reads(phrases)


def count_tokens(encoder: Encoder, words: list[str]) -> list[int] | None:
    """How many pieces the encoder's tokenizer cuts each word into; None where it has no tokenizer."""
    counts = getattr(encoder, "count_tokens", None)
    return None if counts is None else counts(words)


class Raw:
    """Vectors as they are: centred on the fit's mean and divided by their root mean square distance from it."""

    modalities: tuple[str, ...] = ("vector",)

    def __init__(self, settings: config.Encoder, modality: str):
        self.mean = np.zeros(0)
        self.scale = 1.0

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """The mean and the root mean square distance from it, of n >= 1 payloads; nothing is drawn."""
        count, mean, spread = 0, np.zeros(1), 0.0
        for start in range(0, len(payloads), _BATCH):  # moments merged batch by batch (Chan et al. 1979)
            x = self._matrix(payloads[start : start + _BATCH])
            shift = x.mean(axis=0) - mean
            spread += np.square(x - x.mean(axis=0)).sum() + np.square(shift).sum() * count * len(x) / (count + len(x))
            mean = mean + shift * len(x) / (count + len(x))
            count += len(x)
        self.mean = mean
        self.scale = float(np.sqrt(spread / count)) if spread > 0 else 1.0

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, d) float32: (x - mean) / scale, within ±1e6."""
        if not len(payloads):
            return np.zeros((0, len(self.mean)), np.float32)
        x = self._matrix(payloads)
        assert x.shape[1] == len(self.mean), (x.shape, len(self.mean))
        # No row of the fit is farther than √n; what comes later may be, and would leave float32's range in a product.
        return np.clip((x - self.mean) / self.scale, -_FARTHEST, _FARTHEST).astype(np.float32)

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The mean (d,) float64, and the scale."""
        return {"mean": self.mean}, {"scale": self.scale}

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""
        self.mean, self.scale = arrays["mean"], settings["scale"]

    def _matrix(self, payloads: pl.Series) -> np.ndarray:
        return payloads.list.to_array(len(payloads[0])).to_numpy().astype(np.float64)


class Pixels(Raw):
    """Flattened pixels, channels first, scaled as vectors are."""

    modalities: tuple[str, ...] = ("image",)

    def _matrix(self, payloads: pl.Series) -> np.ndarray:
        return decode_images(payloads).reshape(len(payloads), -1).astype(np.float64)


class Tfidf:
    """Latent semantic analysis of character n-grams, of unit length (a text of unknown n-grams only is 0).

    Characters within words, not words: better on short texts, and it works where no space divides words.
    Deerwester et al. 1990.
    """

    modalities: tuple[str, ...] = ("text",)
    default_dims = 128
    max_terms = 10_000

    def __init__(self, settings: config.Encoder, modality: str):
        self.dims = settings.dims or self.default_dims
        self.components = np.zeros((0, 0))
        self.vectorizer = self._make_vectorizer()

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """Learn the terms, their idf and the components (k, terms) from n >= 1 texts. The seed is the SVD's."""
        from sklearn.utils.extmath import randomized_svd

        self.vectorizer = self._make_vectorizer(max_features=self.max_terms)
        counts = self.vectorizer.fit_transform(payloads.to_list())
        _, _, self.components = randomized_svd(counts, min(self.dims, *counts.shape), random_state=seed)

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, k) float32 of unit length, or 0; k is at most `dims`."""
        if not len(payloads):
            return np.zeros((0, len(self.components)), np.float32)
        z = self.vectorizer.transform(payloads.to_list()) @ self.components.T
        norms = np.linalg.norm(z, axis=1, keepdims=True)
        return np.divide(z, norms, out=np.zeros_like(z), where=norms > 1e-9).astype(np.float32)

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The components (k, terms) and the idf (terms,); the terms themselves."""
        terms = self.vectorizer.get_feature_names_out().tolist()
        return {"components": self.components, "idf": self.vectorizer.idf_}, {"terms": terms}

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""
        self.components = arrays["components"]
        self.vectorizer = self._make_vectorizer(vocabulary=settings["terms"])
        self.vectorizer.idf_ = arrays["idf"]

    def _make_vectorizer(self, **kwargs: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, **kwargs)


class Reduced:
    """The first principal components of another encoder's features."""

    modalities: tuple[str, ...] = ("image", "text", "vector")

    def __init__(self, encoder: Encoder, dims: int):
        self.encoder, self.dims = encoder, dims
        self.mean = np.zeros(0)
        self.components = np.zeros((0, 0))

    @property
    def image_side(self) -> int | None:
        """The encoder's."""
        return getattr(self.encoder, "image_side", None)

    def fit(self, payloads: pl.Series, *, seed: int) -> None:
        """Fit the encoder, then the components on its features of at most 5,000 rows, drawn by the seed."""
        from sklearn.decomposition import PCA

        self.encoder.fit(payloads, seed=seed)
        if len(payloads) > _MAX_PCA_ROWS:
            rows = np.random.default_rng(seed).choice(len(payloads), _MAX_PCA_ROWS, replace=False)
            payloads = payloads[np.sort(rows)]
        x = np.concatenate([self.encoder.encode(payloads[i : i + _BATCH]) for i in range(0, len(payloads), _BATCH)])
        with np.errstate(invalid="ignore"):  # shares of a variance of 0, which nobody reads
            pca = PCA(min(self.dims, *x.shape), random_state=seed).fit(x)
        self.mean, self.components = (np.asarray(of, dtype=np.float64) for of in (pca.mean_, pca.components_))

    def encode(self, payloads: pl.Series) -> np.ndarray:
        """(n, k) float32: the features around their mean, projected on k components."""
        # In float64, so that rounding to float32 hides that a product of matrices varies with the batch.
        return ((self.encoder.encode(payloads) - self.mean) @ self.components.T).astype(np.float32)

    def encode_texts(self, phrases: list[str]) -> np.ndarray | None:
        """(n, k) float32: phrases projected on the components; None where the encoder reads no words.

        Without the samples' mean: texts lie beside samples, not among them, so it says nothing of a phrase.
        """
        found = encode_texts(self.encoder, phrases)
        return None if found is None else (found @ self.components.T).astype(np.float32)

    def count_tokens(self, words: list[str]) -> list[int] | None:
        """How many pieces the encoder's tokenizer cuts each word into; None where it has none."""
        return count_tokens(self.encoder, words)

    def save(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The encoder's state under inner.*, with the mean (d,) and the components (k, d)."""
        arrays, settings = self.encoder.save()
        inner = {f"inner.{name}": array for name, array in arrays.items()}
        return {**inner, "pca.mean": self.mean, "pca.components": self.components}, settings

    def load(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Take the state that `save` gave."""
        self.mean, self.components = arrays["pca.mean"], arrays["pca.components"]
        inner = {n.removeprefix("inner."): array for n, array in arrays.items() if n.startswith("inner.")}
        self.encoder.load(inner, settings)


_ENCODERS: dict[str, Any] = {
    "pixels": Pixels,
    "patches": Patches,
    "raw": Raw,
    "tfidf": Tfidf,
    "efficientnet": EfficientNet,
    "transformer": Transformer,
    "convnet": Convnet,
}
ENCODERS: Registry[Any] = Registry("encoder", _ENCODERS, where="encoder.name", also=("auto",))

__all__ = [
    "AUTO", "ENCODERS", "Encoder", "better", "count_tokens", "decode_images", "encode_images", "encode_texts", "make",
    "resolve",
]  # fmt: skip
