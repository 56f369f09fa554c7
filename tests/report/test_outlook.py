"""What `adde check` tells of the data beside what is wrong: counts, parts in use, a first score, and warnings."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny
from PIL import Image
from small import config as of_vectors
from small import rows, write
from typer.testing import CliRunner

from adde_ray.artifacts.encoder_choice import choice_of
from adde_ray.artifacts.images import open_images
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.cli import app
from adde_ray.config import Config
from adde_ray.methods.encoders import efficientnet
from adde_ray.methods.encoders.transformer import Transformer
from adde_ray.pool import choose_encoder
from adde_ray.report import outlook
from adde_ray.sources.storage.reach import Reach
from adde_ray.stages.embed import embed
from adde_ray.stages.ingest import ingest, prepare

WORDS = ("parcel late again", "charged twice for it", "app closes by itself", "cannot log in now")


def texts(folder: Path, labels: list[str], pool: int = 20, **columns: list[str]) -> Path:
    """A table of as many texts as labels, and a pool without; `columns` go with all of them."""
    path = folder / "texts.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", *columns])
        for i, label in enumerate([*labels, *[""] * pool]):
            text = f"{WORDS[hash_of(label) % 4]} {i} number {i * i}"
            writer.writerow([text, label, *(values[i] for values in columns.values())])
    return path


def hash_of(label: str) -> int:
    return sum(label.encode())


def of_texts(path: Path, **keys) -> Config:
    gates = {"near_copies": False, "leakage": "allow"}
    return Config.parse({"data": {"source": "csv", "path": str(path), "text_column": "text", **keys}, "gates": gates})


def photographs(folder: Path, side: int, *, each: int = 6) -> Path:
    rng = np.random.default_rng(0)
    for i in range(4 * each):
        top = ("labelled/barn", "labelled/field", "unlabelled", "unlabelled")[i % 4]
        path = folder / top / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (side, side + 9, 3), dtype=np.uint8)).save(path)
    return folder


def of_images(folder: Path, **sections) -> Config:
    data = {"source": "image_folder", "path": str(folder)} | sections.pop("data", {})
    return Config.parse({"data": data, "gates": {"near_copies": False}, **sections})


def warned(config: Config) -> str:
    return "\n".join(outlook.warned(config, prepare(config)))


# --- told ----------------------------------------------------------------------------------------------


def test_counts_by_class_and_split_and_the_parts_that_auto_stands_for(tmp_path):
    config = of_vectors(write(tmp_path / "x.parquet", rows()), generate={"generator": "auto"})
    lines = outlook.told(config, prepare(config))
    assert [line.split() for line in lines[:4]] == [
        ["class", "seed", "val", "test"], ["a", "2", "4", "4"], ["b", "2", "4", "4"], ["c", "2", "4", "4"],
    ]  # fmt: skip
    assert "encoder: raw (auto); generator: cvae (auto)" in lines


def test_many_classes_are_cut_to_those_with_the_fewest_seed_rows(tmp_path):
    labels = [f"class {i:02d}" for i in range(30) for _ in range(3 + (i >= 5))]
    config = of_texts(texts(tmp_path, labels))
    lines = outlook.counts(prepare(config))
    assert len(lines) == 1 + outlook.SHOWN + 1 and lines[-1].strip().startswith("and 10 classes")
    assert {line.split()[1] for line in lines[1:6]} == {"00", "01", "02", "03", "04"}


def test_features_are_scored_against_guessing(tmp_path):
    config = of_vectors(write(tmp_path / "x.parquet", rows()))
    told = outlook.first_score(config, prepare(config))
    assert "macro-F1 about 1.00 on 18 labelled rows" in told and "guessing has 0.33" in told and "try" not in told


def test_features_that_tell_little_come_with_a_better_encoder(tmp_path, monkeypatch):
    config = of_texts(texts(tmp_path, ["up", "down"] * 12))
    monkeypatch.setattr(outlook, "_cross_validated", lambda features, labels: 0.6)
    told = outlook.first_score(config, prepare(config))
    assert "guessing has 0.50" in told and "all-MiniLM-L6-v2" in told


@pytest.mark.parametrize(
    ("labels", "keys", "why"),
    [
        (["a", "b", "a", "b"], {}, "fewer than two classes have 3 labelled rows"),
        (["a|b", "b", "a", "b"] * 3, {"label_separator": "|"}, "several classes may hold at once"),
    ],
)
def test_where_there_is_no_score_it_says_why(tmp_path, labels, keys, why):
    config = of_texts(texts(tmp_path, labels), **keys)
    assert why in outlook.first_score(config, prepare(config))


def test_a_model_that_is_not_there_is_no_error_of_the_look(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = texts(tmp_path, ["a", "b"] * 6)
    tree = of_texts(path).model_dump(mode="json") | {"encoder": {"name": "transformer", "model": str(tmp_path / "no")}}
    told = outlook.first_score(Config.parse(tree), prepare(of_texts(path)))
    assert told.startswith("features: not scored, ") and "\n" not in told


def test_an_encoder_that_takes_long_is_scored_on_what_it_did(tmp_path, monkeypatch):
    config = of_vectors(write(tmp_path / "x.parquet", rows(pool=60) + rows(pool=0, seed=1) + rows(pool=0, seed=2)))
    monkeypatch.setattr(outlook, "SECONDS", 0)
    assert "on 32 labelled rows" in outlook.first_score(config, prepare(config))


# --- encoders side by side -----------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Config:
    monkeypatch.setattr(efficientnet, "weights", lambda: None)
    images, labels = tiny.pictures(96)
    return tiny.config(tiny.write(tmp_path / "p.parquet", images, labels, "image"), {}, "image")


def test_what_auto_stands_for_is_what_a_run_takes(pictures, tmp_path):
    prepared = prepare(pictures)
    choice = outlook.chosen(pictures, prepared)
    assert choice is not None and choice.taken == "patches"
    made = RunDir(tmp_path / "run")
    embed(pictures, ingest(pictures, made), made)
    assert choice_of(made.root) == choice
    lines = outlook.told(pictures.override("encoder.name=patches"), prepared, choice)
    assert choice.line in lines and "generator: none" in lines
    assert (
        f"features: macro-F1 about {choice.score:.2f} on {choice.rows} labelled rows of seed set and val, by 5-fold "
        "cross-validation; guessing has 0.33"
    ) in lines
    named = pictures.override("encoder.name=pixels")
    assert outlook.chosen(named, prepared) is None
    vectors = of_vectors(write(tmp_path / "x.parquet", rows()))
    assert outlook.chosen(vectors, prepare(vectors)) is None


def test_a_ranking_has_every_encoder_at_hand_and_the_configured_one(pictures):
    named = pictures.override("encoder.name=pixels", "encoder.dims=5")
    compared = outlook.probe(named, prepare(named))
    title, head, *table, last = outlook.ranking(compared)
    assert title.endswith(f"on {compared.rows} labelled rows of seed set and val by cross-validation:")
    assert head.split() == ["encoder", "macro-F1", "95", "%", "interval", "dims", "s/1,000"]
    cells = [line.split() for line in table]
    assert {row[0]: row[5] for row in cells} == {"patches": "5", "pixels": "5"}
    assert [row[1] for row in cells] == sorted((row[1] for row in cells), reverse=True)
    assert all(float(low) < float(f1) < float(high) for _, f1, low, _, high, *_ in cells)
    assert last == f"best beyond noise, or preferred among equals: {compared.taken.tried.name}"


def test_a_ranking_stops_in_time_and_compares_what_all_have_encoded(pictures, monkeypatch):
    monkeypatch.setattr(outlook, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(choose_encoder, "CHUNK", 9)
    compared = outlook.probe(pictures, prepare(pictures))
    assert compared.rows == 9 and all(len(one.features) == 9 for one in compared.probed)


def test_without_labels_nothing_is_ranked(pictures, tmp_path):
    images, labels = tiny.pictures(40)
    split = ["seed", "val", *["pool"] * 38]
    pl.DataFrame({"image": images, "label": labels, "split": split}).write_parquet(tmp_path / "few.parquet")
    few = pictures.override(f"data.path={tmp_path / 'few.parquet'}")
    [line] = outlook.ranking(outlook.probe(few, prepare(few)))
    assert line == "encoders: not compared, fewer than two classes have two labelled rows in seed set and val"


def test_the_command_prints_it(pictures, tmp_path):
    (tmp_path / "it.toml").write_text(
        f'[data]\nsource = "table"\npath = "{tmp_path / "p.parquet"}"\nimage_column = "image"\nsplit_column = "split"\n'
        'size = 12\nmode = "L"\n'
    )
    done = CliRunner().invoke(app, ["check", str(tmp_path / "it.toml"), "--probe"])
    assert done.exit_code == 0, done.output
    assert "encoder: patches (auto): macro-F1 0." in done.output and "encoders at hand, macro-F1 on" in done.output
    assert done.output.endswith("ok\n")


# --- warned --------------------------------------------------------------------------------------------


def test_photographs_read_small_are_warned_of_with_an_encoder_by_name(tmp_path):
    told = warned(of_images(photographs(tmp_path, 200), generate={"generator": "auto"}))
    assert "sees 32 x 32 pixels of images of about 200" in told and "dinov2-small" in told
    assert 'generate.generator = "none"' in told
    quiet = of_images(tmp_path, generate={"generator": "none"}, data={"size": 128})
    assert warned(quiet) == ""


def test_an_encoder_that_reads_originals_is_not_warned_of_and_one_that_is_trained_is(tmp_path):
    quiet = {"generate": {"generator": "none"}, "encoder": {"name": "transformer", "model": "any"}}
    photographs(tmp_path, 200)
    assert warned(of_images(tmp_path, **quiet)) == ""
    told = warned(of_images(tmp_path, **quiet, train={"mode": "lora"}))
    assert "sees 32 x 32 pixels of images of about 200" in told and "take data.size = 224" in told
    kept = quiet | {"encoder": quiet["encoder"] | {"originals": False}}
    assert warned(of_images(tmp_path, **kept)) == told


def test_the_first_score_is_that_of_the_images_that_the_run_encodes(tmp_path, monkeypatch):
    from tiny import vit

    model, seen, encode = vit(tmp_path / "model"), [], Transformer.encode
    monkeypatch.setattr(Transformer, "encode", lambda self, images: (seen.append(images), encode(self, images))[1])
    photographs(tmp_path / "images", 40)
    for originals, side in ((True, 16), (False, 8)):
        encoder = {"name": "transformer", "model": str(model), "originals": originals}
        config = of_images(tmp_path / "images", encoder=encoder, data={"size": 8})
        assert "macro-F1 about" in outlook.first_score(config, prepare(config))
        assert {image.size for image in open_images(seen.pop())} == {(side, side)} and not seen


def test_small_pictures_are_no_photographs(tmp_path):
    assert warned(of_images(photographs(tmp_path, 40))) == ""


def test_photographs_that_a_table_names_are_looked_at_as_well(tmp_path):
    photographs(tmp_path / "pictures", 150)
    files = sorted(p.relative_to(tmp_path) for p in (tmp_path / "pictures").rglob("*.png"))
    with (tmp_path / "list.csv").open("w") as file:
        file.write("image,label\n")
        for i, name in enumerate(files):
            file.write(f"{name},{('a', 'b', '')[i % 3]}\n")
    data = {"source": "table", "path": str(tmp_path / "list.csv"), "image_column": "image"}
    assert "of images of about 150" in warned(Config.parse({"data": data, "gates": {"near_copies": False}}))


@pytest.mark.parametrize(
    ("name", "values", "remedy"),
    [
        ("split", ["seed", "pool", "val", "test"], 'set data.split_column = "split"'),
        (
            "Partition",
            ["train", "test", "train", "dev"],
            'set data.split_column = "Partition", with its values renamed',
        ),
        ("which", ["Train", "Validation", "Test", "Train"], 'set data.split_column = "which", with its values renamed'),
    ],
)
def test_a_column_of_splits_that_nothing_reads_is_noticed(tmp_path, name, values, remedy):
    path = texts(tmp_path, ["a", "b"] * 10, pool=0, **{name: values * 5})
    path.write_text(path.read_text() + f"lonely text,,{values[0]}\n")
    told = warned(of_texts(path))
    assert f"the column {name!r} (" in told and "is not used" in told and remedy in told


def test_a_column_of_splits_that_is_used_or_says_something_else_is_not(tmp_path):
    path = texts(tmp_path, ["a", "b"] * 10, pool=4, split=["seed", "seed", "val", "val"] * 5 + ["pool"] * 4)
    assert warned(of_texts(path, split_column="split")) == ""
    path = texts(tmp_path, ["a", "b"] * 10, pool=4, route=["train", "bus", "tram"] * 8)
    assert warned(of_texts(path)) == ""


@pytest.mark.parametrize(
    "twins", [("Delivery", "delivery"), ("e-mail", "E mail"), ("Café", "Cafe"), ("log_in", "login"), ("ß", "SS")]
)
def test_classes_that_are_spelled_in_two_ways_are_warned_of(tmp_path, twins):
    told = warned(of_texts(texts(tmp_path, [*twins, "other"] * 4)))
    assert "differ only by case, blanks, hyphens or accents" in told
    assert all(f"{name!r} (4)" in told for name in twins) and "other" not in told


def test_classes_of_other_names_or_scripts_are_not(tmp_path):
    assert warned(of_texts(texts(tmp_path, ["bed", "bad", "1", "-1", "привет", "мир", "+", "-", "C", "C++"] * 4))) == ""


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([str(i * 37 % 186 + 7 * (i % 5)) for i in range(220)], "numbers or an index"),
        ([str(i) for i in range(60)] + ["0"], "numbers or an index"),
        ([f"{i * 0.37:.2f}" for i in range(60)] + ["0.37"], "measurements"),
        ([f"2024-03-{i % 28 + 1:02d}" for i in range(40)], "dates"),
        ([f"the parcel number {i} did not arrive" for i in range(12)] * 2, "texts"),
        ([f"user{i:04d}" for i in range(50)] + ["user0000"], "names of single rows"),
    ],
    ids=["numbers", "index", "measurements", "dates", "texts", "names"],
)
def test_labels_that_are_no_classes_are_told_by_what_they_look_like(tmp_path, labels, says):
    kinds = [("x", "y")[i % 2] for i in range(len(labels) + 20)]
    told = warned(of_texts(texts(tmp_path, labels, kind=kinds)))
    assert f"the labels in the column 'label' look like {says} rather than classes" in told
    assert "Set data.label_column to the column of classes, as kind" in told


@pytest.mark.parametrize(
    "labels",
    [
        [str(i) for i in range(100)] * 2,  # the numbers of a hundred classes, two rows each
        [f"{i / 2}" for i in range(2, 11)] * 6,  # stars
        [f"intent_{i}" for i in range(60)] * 2,
        ["a", "b", "c"] * 4,
    ],
    ids=["class numbers", "stars", "intents", "few"],
)
def test_labels_that_are_classes_are_left_alone(tmp_path, labels):
    assert warned(of_texts(texts(tmp_path, labels))) == ""


def test_a_list_of_classes_is_taken_at_its_word(tmp_path):
    labels = [str(i) for i in range(60)]
    assert warned(of_texts(texts(tmp_path, [*labels, "0"]), classes=labels)) == ""


def test_a_users_column_called_file_is_followed_nowhere(tmp_path):
    """Where images lie in cells, that column is the user's own: it may name anything."""
    os.mkfifo(tmp_path / "fifo")
    reach = Reach(tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "there.png")
    for name in ("/dev/zero", "../x.png", "fifo", "", "s3://x/y.png?endpoint_override=127.0.0.1:9"):
        assert list(outlook._size(reach, name)) == []
    assert len(list(outlook._size(reach, "there.png"))) == 1
