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
from adde_ray.errors import UserError
from adde_ray.methods.encoders import AUTO, ENCODERS, Reduced, encode_images, make, resolve

WORDS = ["card", "lost", "money", "transfer", "abroad", "weather", "rain", "sun", "song", "play", "stop", "please"]


def texts(n=120, seed=0):
    rng = np.random.default_rng(seed)
    return pl.Series("text", [" ".join(rng.choice(WORDS, 5)) + f" {i}" for i in range(n)])


def images(n=120, seed=0, channels=1):
    return encode_images(np.random.default_rng(seed).random((n, channels, 6, 5)))


def vectors(n=120, seed=0, dims=12):
    x = np.random.default_rng(seed).normal(3, 50, (n, dims))
    return pl.Series("vector", x.tolist(), dtype=pl.List(pl.Float32))


DATA = {"image": images, "text": texts, "vector": vectors}
CASES = [("pixels", "image", 0), ("raw", "vector", 0), ("tfidf", "text", 0), ("tfidf", "text", 7)]
CASES += [("pixels", "image", 7), ("raw", "vector", 7), ("patches", "image", 7)]
# Transformers need a model: test_transformer.py. EfficientNet needs its weights: test_efficientnet.py.


def fitted(name, modality, dims, payloads=None, seed=0):
    encoder = make(Settings(name=name, dims=dims), modality)
    encoder.fit(DATA[modality]() if payloads is None else payloads, seed=seed)
    return encoder


def test_every_encoder_is_covered():
    assert {name for name, _, _ in CASES} | {"transformer", "convnet", "efficientnet"} == set(ENCODERS)
    assert {modality: resolve(Settings(), modality) for modality in DATA} == AUTO


@pytest.mark.parametrize(("name", "modality", "dims"), CASES)
def test_contract(name, modality, dims):
    """Shape, type, scale; the same again; row by row; nothing depends on the order or company of rows."""
    payloads, unseen = DATA[modality](), DATA[modality](40, seed=1)
    encoder = fitted(name, modality, dims)
    z = encoder.encode(payloads)
    assert z.dtype == np.float32 and len(z) == 120 and np.isfinite(z).all()
    assert z.shape[1] == (dims or {"image": 30, "vector": 12, "text": z.shape[1]}[modality]) and z.shape[1] <= 128
    distances = np.linalg.norm(z[:, None] - z[None], axis=2)
    assert 0.3 < np.median(distances) < 3
    assert np.array_equal(fitted(name, modality, dims).encode(payloads), z)
    order = np.random.default_rng(2).permutation(40)
    new = encoder.encode(unseen)
    assert np.array_equal(encoder.encode(unseen[order]), new[order])
    assert np.array_equal(np.concatenate([encoder.encode(unseen[i : i + 1]) for i in range(40)]), new)
    assert encoder.encode(unseen[:0]).shape == (0, z.shape[1])


@pytest.mark.parametrize(("name", "modality", "dims"), CASES)
def test_saved_state_encodes_the_same(name, modality, dims):
    encoder = fitted(name, modality, dims)
    arrays, settings = encoder.save()
    assert all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arrays.values())
    other = make(Settings(name=name, dims=dims), modality)
    other.load(arrays, json.loads(json.dumps(settings)))
    unseen = DATA[modality](50, seed=5)
    assert np.array_equal(other.encode(unseen), encoder.encode(unseen))


@pytest.mark.parametrize(("name", "modality", "dims"), CASES)
@pytest.mark.parametrize("rows", ["one", "all equal", "two"])
def test_degenerate_input(name, modality, dims, rows):
    payloads = DATA[modality](2)
    payloads = {"one": payloads[:1], "all equal": payloads[[0] * 9], "two": payloads}[rows]
    encoder = fitted(name, modality, dims, payloads)
    for given in (payloads, DATA[modality](3, seed=9)):
        z = encoder.encode(given)
        assert z.shape[0] == len(given) and np.isfinite(z).all()
    if rows == "two":
        z = encoder.encode(payloads)
        assert np.linalg.norm(z[0] - z[1]) > 0.1


def test_pixels_and_vectors_keep_their_geometry():
    x = np.stack(vectors().to_list())
    z = fitted("raw", "vector", 0).encode(vectors())
    assert np.allclose(z.mean(axis=0), 0, atol=1e-6) and np.mean(np.square(z).sum(axis=1)) == pytest.approx(1, abs=1e-5)
    scale = np.linalg.norm(x[0] - x[1]) / np.linalg.norm(z[0] - z[1])
    assert np.allclose(np.linalg.norm(x[5] - x[9]), scale * np.linalg.norm(z[5] - z[9]), rtol=1e-4)
    pixels = fitted("pixels", "image", 0, images(channels=3)).encode(images(channels=3))
    assert pixels.shape == (120, 90)


def test_moments_are_those_of_all_rows_however_they_are_chunked(monkeypatch):
    whole = fitted("raw", "vector", 0).save()
    monkeypatch.setattr("adde_ray.methods.encoders._BATCH", 7)
    chunked = fitted("raw", "vector", 0).save()
    assert np.allclose(whole[0]["mean"], chunked[0]["mean"]) and whole[1]["scale"] == pytest.approx(chunked[1]["scale"])
    x = np.stack(vectors().to_list()).astype(np.float64)
    assert whole[1]["scale"] == pytest.approx(np.sqrt(np.square(x - x.mean(axis=0)).sum(axis=1).mean()))


def test_principal_components_keep_the_large_directions():
    x = np.random.default_rng(0).normal(size=(300, 10)) * np.array([20, 10] + [0.1] * 8)
    payloads = pl.Series("vector", x.tolist(), dtype=pl.List(pl.Float32))
    full, reduced = fitted("raw", "vector", 0, payloads).encode(payloads), fitted("raw", "vector", 2, payloads)
    z = reduced.encode(payloads)
    assert isinstance(reduced, Reduced) and z.shape == (300, 2)
    assert np.square(z).sum() == pytest.approx(np.square(full).sum(), rel=1e-2)
    assert fitted("raw", "vector", 50, payloads).encode(payloads).shape == (300, 10)  # no more than there are


def test_fitting_is_seeded_throughout():
    """Large enough that the solvers draw random numbers; the global state must have no part in it."""
    payloads = {"vector": vectors(600, dims=1100), "text": texts(300)}
    for name, modality in (("raw", "vector"), ("tfidf", "text")):
        fits = []
        for state in (1, 2):
            np.random.seed(state)
            fits.append(fitted(name, modality, 4, payloads[modality]).encode(payloads[modality]))
        assert np.array_equal(*fits), name


def test_principal_components_of_a_row_do_not_depend_on_its_batch():
    payloads = vectors(200, dims=700)
    encoder = fitted("raw", "vector", 30, payloads)
    singly = [encoder.encode(payloads[i : i + 1]) for i in range(200)]
    assert np.array_equal(np.concatenate(singly), encoder.encode(payloads))


def test_principal_components_of_many_rows_come_from_a_sample(monkeypatch):
    monkeypatch.setattr("adde_ray.methods.encoders._MAX_PCA_ROWS", 50)
    a, b = (fitted("raw", "vector", 3, seed=s).save()[0]["pca.components"] for s in (0, 1))
    assert not np.allclose(a, b) and np.array_equal(a, fitted("raw", "vector", 3).save()[0]["pca.components"])


def test_tfidf_puts_like_texts_together_whatever_the_script():
    given = ["i lost my card", "my cards were lost", "play a song", "playing songs", "我的卡丢了", "卡丢了怎么办"]
    encoder = fitted("tfidf", "text", 4, pl.Series(given))
    z = encoder.encode(pl.Series(given))
    assert np.allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    similar = z @ z.T
    np.fill_diagonal(similar, -1)
    assert similar.argmax(axis=1).tolist() == [1, 0, 3, 2, 5, 4]
    assert not encoder.encode(pl.Series(["ЖЖЖ"])).any()  # nothing known in it


def digest():
    z = [fitted(*case).encode(DATA[case[1]](30, seed=3)) for case in CASES]
    return hashlib.sha256(b"".join(a.tobytes() for a in z)).hexdigest()


def test_a_fresh_process_agrees_bit_for_bit():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_encoders; print(test_encoders.digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == digest(), done.stderr


@pytest.mark.parametrize(
    ("settings", "modality", "message"),
    [
        ({"name": "pixels"}, "text", r"encoder\.name: encodes image data, but the data is text.*auto, tfidf, transf"),
        ({"name": "tfidf"}, "vector", "the data is vector"),
        ({"name": "nonsense"}, "text", "unknown name .*patches, pixels, raw, tfidf, transformer"),
        ({"name": "transformer"}, "text", r"encoder\.model: transformer needs a model"),
        ({"name": "tfidf", "model": "some/model"}, "text", "would be ignored by the encoder tfidf"),
        ({"model": "some/model"}, "vector", "would be ignored by the encoder raw"),
        ({"symmetry": "none"}, "text", "would be ignored by the encoder tfidf"),
    ],
)
def test_errors(settings, modality, message):
    with pytest.raises(UserError, match=message):
        make(Settings(**settings), modality)
