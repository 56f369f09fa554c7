import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from adde_ray.config import Encoder as Settings
from adde_ray.methods.encoders import encode_images, make
from adde_ray.methods.encoders.patches import Patches, _principal, _quarters


def noise(n=30, channels=3, size=(16, 16), seed=0):
    return encode_images(np.random.default_rng(seed).random((n, channels, *size)))


def fitted(payloads, dims=0, seed=0, symmetry=None):
    encoder = make(Settings(name="patches", dims=dims, symmetry=symmetry), "image")
    assert isinstance(encoder, Patches)  # reduces its features by itself
    encoder.fit(payloads, seed=seed)
    return encoder


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return encode_images(pixels.reshape(-1, 1, 8, 8) / 16), labels


def test_a_linear_head_on_digits_beats_one_on_pixels(digits):
    from sklearn.linear_model import LogisticRegression

    images, labels = digits
    few, rest = slice(0, 300), slice(300, None)  # as they come: other people's handwriting
    accuracy = {}
    for name, encoder in (("patches", fitted(images)), ("pixels", make(Settings(name="pixels"), "image"))):
        encoder.fit(images, seed=0)
        z = encoder.encode(images)
        accuracy[name] = LogisticRegression(C=100, max_iter=2000).fit(z[few], labels[few]).score(z[rest], labels[rest])
    assert accuracy["patches"] > 0.87 and accuracy["patches"] > accuracy["pixels"], accuracy


def test_features_are_of_unit_length_and_of_the_asked_dims(digits):
    z = fitted(digits[0][:400]).encode(digits[0][:500])
    assert z.shape == (500, 256) and z.dtype == np.float32
    assert np.allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    assert fitted(digits[0][:400], dims=9).encode(digits[0][:3]).shape == (3, 9)


@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (3, (8, 8)), (1, (9, 20)), (3, (70, 64)), (1, (1, 3))])
def test_any_size_grey_or_colour(channels, size):
    encoder = fitted(noise(12, channels, size))
    z = encoder.encode(noise(5, channels, size, seed=1))
    assert np.isfinite(z).all() and len(z) == 5 and encoder.encode(noise(0, channels, size)).shape == (0, z.shape[1])


def test_contrast_and_brightness_matter_little():
    pixels = np.random.default_rng(0).random((40, 1, 16, 16)).repeat(2, axis=2)
    encoder = fitted(encode_images(pixels))
    z, dimmed = encoder.encode(encode_images(pixels)), encoder.encode(encode_images(0.2 + 0.5 * pixels))
    assert np.sum(z * dimmed, axis=1).min() > 0.95


def test_an_image_is_encoded_as_its_views_are():
    pixels = np.random.default_rng(1).random((5, 3, 16, 16))
    views = {"none": pixels, "mirror": pixels[..., ::-1], "square": np.rot90(pixels, 3, (2, 3))}
    for symmetry, same in (("none", ["none"]), ("mirror", ["none", "mirror"]), ("square", list(views))):
        encoder = fitted(noise(), symmetry=symmetry)
        z = {name: encoder.encode(encode_images(turned)) for name, turned in views.items()}
        alike = [name for name in views if np.allclose(z[name], z["none"], atol=1e-4)]
        assert alike == same, (symmetry, alike)


def test_a_component_ten_times_as_wide_comes_out_three_times_as_wide_and_noise_stays_small():
    x = np.random.default_rng(0).normal(size=(2000, 3)) * [100, 10, 0.01]
    principal = _principal(x, 3, seed=0)
    spread = ((x - principal["pca.mean"]) @ principal["pca.components"].T).std(axis=0)
    assert 2.5 < spread[0] / spread[1] < 4 and spread[1] / spread[2] > 100


def test_equal_images_have_no_direction():
    same = noise(1)[[0] * 7]
    encoder = fitted(same)
    assert not encoder.encode(same).any() and np.isfinite(encoder.encode(noise(3, seed=1))).all()
    flat = encode_images(np.full((6, 3, 16, 16), 0.5))
    encoder = fitted(flat)
    assert not encoder.encode(flat).any() and np.isfinite(encoder.encode(noise(3, seed=1))).all()
    assert np.isfinite(fitted(noise(1)).encode(noise(3))).all()


def test_quarters_average_over_the_map():
    weights = _quarters(3, 4).reshape(4, 3, 4)
    assert np.allclose(weights.sum(dim=(1, 2)), 1)
    assert (weights[0] > 0).tolist() == [[True, True, False, False]] * 2 + [[False] * 4]
    assert (weights[3] > 0).tolist() == [[False] * 4] + [[False, False, True, True]] * 2


def test_saved_state_encodes_the_same():
    encoder, unseen = fitted(noise()), noise(seed=1)
    arrays, settings = encoder.save()
    assert all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arrays.values())
    other = make(Settings(name="patches"), "image")
    other.load(arrays, json.loads(json.dumps(settings)))
    assert np.array_equal(other.encode(unseen), encoder.encode(unseen))


def digest():
    z = fitted(noise(200), seed=3).encode(pl.concat([noise(40, seed=4), noise(300, seed=5)]))
    return hashlib.sha256(z.tobytes()).hexdigest()


def test_a_fresh_process_with_other_threads_agrees_bit_for_bit():
    import torch

    threads = "2" if torch.get_num_threads() == 1 else "1"
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_patches; print(test_patches.digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == digest(), done.stderr


def test_a_row_is_encoded_the_same_in_any_company():
    encoder, unseen = fitted(noise(200)), noise(300, seed=1)
    z = encoder.encode(unseen)
    assert np.array_equal(z, np.concatenate([encoder.encode(unseen[i : i + 37]) for i in range(0, 300, 37)]))


def test_the_callers_threads_are_given_back():
    import torch

    before = torch.get_num_threads()
    fitted(noise()).encode(noise())
    assert torch.get_num_threads() == before
