"""What systems and programs leave behind is no sample and no class, in any source that looks through folders."""

import numpy as np
import polars as pl
import pytest
from pictures import images, picture, read

from adde_ray.config.data import CsvData, HubData, NpyData
from adde_ray.errors import UserError
from adde_ray.sources import npy
from adde_ray.sources.huggingface import source as huggingface
from adde_ray.sources.storage.leftovers import is_leftover
from adde_ray.sources.tables import table

FILES = (
    "._0.png",
    "~$x.png",
    ".~lock.x#.png",
    "x.png.part",
    "x.png~",
    "Thumbs.db",
    "desktop.ini",
    "Icon\r",
    ".DS_Store",
)
FOLDERS = ("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", ".ipynb_checkpoints",
           "lost+found", ".git", ".Trash-1000", "__pycache__", ".thumbnails")  # fmt: skip


def clutter(folder, name="x.png", data=b"\0\5\x16\7"):
    for file in FILES:
        (folder / file).write_bytes(data)
    for below in FOLDERS:
        (folder / below / "a").mkdir(parents=True)
        (folder / below / "a" / name).write_bytes(data)


def test_class_folders(tmp_path):
    images(tmp_path, "labelled/a", "labelled/b", "unlabelled")
    for folder in (tmp_path, tmp_path / "labelled", tmp_path / "labelled" / "a", tmp_path / "unlabelled"):
        clutter(folder)
    rows = read(tmp_path)
    assert rows.classes == ("a", "b") and not rows.rejected and len(rows.splits["pool"]) == 6
    assert rows.notes == [
        "Files and folders passed over that systems and programs leave behind (hidden, temporary, __MACOSX …): 80"
    ]


def test_pools_of_tables_and_vectors_and_dataset_folders(tmp_path):
    (tmp_path / "pool").mkdir()
    clutter(tmp_path / "pool", "x.csv")
    (tmp_path / "pool" / "~$x.csv").write_bytes(b"x")
    (tmp_path / "pool" / "a.csv").write_text("text\nhello\n")
    (tmp_path / "t.csv").write_text("text,label\na,x\nb,x\nc,y\nd,y\n")
    rows = table.read(
        CsvData(source="table", path=tmp_path / "t.csv", pool=tmp_path / "pool", text_column="text"), seed=0
    )
    assert rows.whole().splits["pool"]["text"].to_list() == ["hello"] and not rows.rejected
    assert rows.notes[-1].endswith(": 21")
    (tmp_path / "vectors").mkdir()
    clutter(tmp_path / "vectors", "x.npy")
    for name in ("main.npy", "vectors/0.npy"):
        np.save(tmp_path / name, np.eye(4, dtype=np.float32))
    (tmp_path / "labels.csv").write_text("label\nx\ny\nx\ny\n")
    config = NpyData(source="npy", path=tmp_path / "main.npy", pool=tmp_path / "vectors")
    rows = npy.read(config, seed=0).whole()
    assert len(rows.splits["pool"]) == 4 and rows.notes[0].endswith(": 20")
    (tmp_path / "hub").mkdir()
    clutter(tmp_path / "hub", "x.parquet")
    pl.DataFrame({"text": list("abcdef"), "label": ["x", "y"] * 3}).write_parquet(tmp_path / "hub" / "train.parquet")
    rows = huggingface.read(HubData(source="huggingface", path=tmp_path / "hub", seed_per_class=1), seed=0)
    assert rows.classes == ("x", "y") and not rows.rejected and rows.notes[-1].endswith(": 20")


@pytest.mark.parametrize("name", ["a.png", "my~folder.png", "temp.png", "download.jpg", "#1.png", "@home.png"])
def test_names_of_people_are_none(name):
    assert not is_leftover(name) and not is_leftover(name.partition(".")[0], folder=True)


# --- layouts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "val"),
    [("Labelled", "Un-Labelled", "Validation"), ("labeled", "unlabeled", "valid"), ("train", "pool", "dev")],
)
def test_spellings_of_folders(tmp_path, labelled, unlabelled, val):
    pool = f"{unlabelled}/a" if unlabelled == "pool" else unlabelled
    images(tmp_path, f"{labelled}/a", f"{labelled}/b", pool, f"{val}/a", f"{val}/b", "TEST/a", "TEST/b")
    rows = read(tmp_path)
    assert {name: len(part) for name, part in rows.splits.items()} == {"seed": 12, "pool": 6, "val": 12, "test": 12}
    assert rows.classes == ("a", "b") and not rows.notes


def test_names_of_class_folders_are_read_as_labels_are(tmp_path):
    images(tmp_path, "labelled/Cafe\u0301", "labelled/Café", "labelled/01", "labelled/1.0", "unlabelled")
    assert read(tmp_path).classes == ("01", "1", "Café")


def test_names_that_are_not_utf8_are_set_aside(tmp_path):
    images(tmp_path, "labelled/a", "labelled/b", "unlabelled")
    folder = tmp_path / "labelled" / "caf\udce9"
    folder.mkdir()
    picture(200).save(folder / "0.png")
    rows = read(tmp_path, max_rejected=0.5)
    assert rows.rejected == [{"where": "labelled/caf\\udce9/0.png", "reason": "its name is not UTF-8"}]
    assert rows.classes == ("a", "b")


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (("cat/0.png", "dog/0.png"), "folders there: cat, dog.*Put the class folders into labelled/"),
        (("train/a/0.png", "test/a/0.png"), "nothing to ask about.*rename train to pool"),
        (("data_batch_1", "batches.meta"), "pickles, as CIFAR's, which are never opened"),
        (("train-images-idx3-ubyte.gz",), "idx files, as MNIST's"),
        (("annotations/instances_val.json", "val2017/0.jpg"), "COCO"),
        (("data.yaml", "images/0.png", "labels/0.txt"), "YOLO"),
    ],
)
def test_layouts_that_are_not_ours_are_named_with_the_remedy(tmp_path, there, message):
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=message):
        read(tmp_path)
