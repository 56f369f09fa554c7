"""Features averaged over views of an image: what the views are, what they make equal, and whom they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny

from adde_ray import Config
from adde_ray.artifacts.images import encode_images
from adde_ray.config import Encoder as Settings
from adde_ray.config_check import check_names
from adde_ray.errors import UserError
from adde_ray.methods.encoders import make, resolve
from adde_ray.methods.encoders.transformer import Transformer
from adde_ray.methods.encoders.views import views_of

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 3, 16, 16), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny.vit(tmp_path_factory.mktemp("vit"))


def settings(model: Path, views: str, **more) -> Settings:
    return Settings(name="transformer", model=str(model), views=views, **more)


def encode(model: Path, views: str, pixels: np.ndarray, **more) -> np.ndarray:
    encoder = make(settings(model, views, **more), "image")
    payloads = encode_images(pixels)
    encoder.fit(payloads, seed=0)
    return encoder.encode(payloads)


def test_the_views_are_the_image_its_corners_and_middle_and_their_mirror_images():
    pixels = np.arange(2 * 8 * 16).reshape(2, 8, 16)
    same, mirrored = views_of(pixels, "mirror")
    assert np.array_equal(same, pixels) and np.array_equal(mirrored, pixels[:, :, ::-1])
    shown = views_of(pixels, "crops")
    corners = [pixels[:, :7, :14], pixels[:, :7, 2:], pixels[:, 1:, :14], pixels[:, 1:, 2:], pixels[:, :7, 1:15]]
    assert len(shown) == 10 and all(map(np.array_equal, shown[::2], corners))
    assert all(np.array_equal(a[:, :, ::-1], b) for a, b in zip(shown[::2], shown[1::2], strict=True))


@pytest.mark.parametrize("views", ["mirror", "crops"])
def test_an_image_and_its_mirror_image_are_encoded_alike_and_others_are_not(model, views):
    features, mirrored = (encode(model, views, pixels) for pixels in (PIXELS, PIXELS[..., ::-1].copy()))
    plain, turned = (encode(model, "none", pixels) for pixels in (PIXELS, PIXELS[..., ::-1].copy()))
    assert np.allclose(features, mirrored, atol=1e-5) and not np.allclose(plain, turned, atol=1e-3)
    assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    assert np.abs(features[:1] - features[1:]).max(axis=1).min() > 1e-3


@pytest.mark.parametrize(("views", "count"), [("mirror", 2), ("crops", 10)])
def test_features_are_the_mean_over_the_views(model, views, count):
    shown = [views_of(pixels, views) for pixels in PIXELS[:3]]
    alone = np.stack([encode(model, "none", np.stack([of[i] for of in shown])) for i in range(count)])
    mean = alone.mean(axis=0)
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    assert np.allclose(encode(model, views, PIXELS[:3]), expected, atol=1e-5)


def test_no_images_and_images_of_several_sizes_are_encoded(model):
    encoder = make(settings(model, "crops"), "image")
    encoder.fit(encode_images(PIXELS), seed=0)
    assert encoder.encode(pl.Series("image", [], dtype=pl.Binary)).shape == (0, 16)
    sizes = pl.concat([encode_images(PIXELS[:2]), encode_images(PIXELS[:2, :1, :9, :9].copy())])
    one_by_one = np.concatenate([encoder.encode(sizes[i : i + 1]) for i in range(4)])
    assert np.allclose(encoder.encode(sizes), one_by_one, atol=1e-5)


def test_a_crop_has_as_many_pixels_as_the_encoder_wants(model):
    sides = {views: make(settings(model, views), "image").image_side for views in ("none", "mirror", "crops")}
    assert sides == {"none": 16, "mirror": 16, "crops": 18}
    assert make(settings(model, "crops", dims=3), "image").image_side == 18


def test_reduced_features_are_those_of_the_views(model):
    reduced = encode(model, "mirror", PIXELS, dims=5)
    x = encode(model, "mirror", PIXELS).astype(np.float64)
    values = np.linalg.eigvalsh((x - x.mean(axis=0)) @ (x - x.mean(axis=0)).T)[::-1][:5]
    assert np.allclose(np.linalg.eigvalsh(reduced @ reduced.T)[::-1][:5], values, atol=1e-5)


def test_views_that_an_encoder_would_ignore_are_refused(model):
    for name in ("auto", "pixels", "patches", "convnet"):
        with pytest.raises(UserError, match=r"encoder\.views: would be ignored by the encoder .* \(got 'mirror'\)"):
            resolve(Settings(name=name, views="mirror"), "image")
    with pytest.raises(UserError, match=r"encoder\.views: would be ignored by the encoder transformer"):
        resolve(settings(model, "crops"), "text")
    assert isinstance(make(settings(model, "none"), "image"), Transformer)


def test_features_that_are_a_mean_over_views_are_not_trained(model, tmp_path):
    tree = {
        "data": {"source": "image_folder", "path": str(tmp_path)},
        "encoder": {"name": "transformer", "model": str(model), "views": "mirror"},
    }
    check_names(Config.parse(tree))
    with pytest.raises(UserError, match=r'encoder\.views: .*cannot be trained.*Set encoder\.views = "none"'):
        check_names(Config.parse(tree | {"train": {"mode": "full"}}))
