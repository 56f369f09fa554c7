"""Folders of Hugging Face's `datasets`: as the library writes them, as the Hub has them, and damaged."""

import io
import json
import pickle

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import picture
from PIL import Image

from adde_ray.artifacts.images import decode_images
from adde_ray.config.data import HubData
from adde_ray.errors import UserError
from adde_ray.sources.huggingface import source as huggingface
from adde_ray.sources.rows import count
from adde_ray.sources.tables import columnar, lines
from adde_ray.sources.tables import files as table_files


def listed(path, **settings):
    return huggingface.read(HubData(source="huggingface", path=path, **settings), seed=0)


def read(path, **settings):
    return listed(path, **settings).whole()


def png(shade, size=(12, 12)):
    buffer = io.BytesIO()
    picture(shade, size).save(buffer, "PNG")
    return buffer.getvalue()


def sizes(rows):
    return {name: len(table) for name, table in sorted(rows.splits.items())}


def write_stream(path, columns, features=None):
    """An Arrow stream as save_to_disk writes it."""
    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=7)


LABEL = {"label": {"names": ["cat", "dog", "newt"], "_type": "ClassLabel"}}


@pytest.fixture
def saved(tmp_path):
    """What save_to_disk writes, by hand: texts, labels by number, -1 = none."""
    for split, number in (("train", 40), ("validation", 9)):
        labels = [i % 3 for i in range(number)] if split == "validation" else [i % 2 for i in range(30)] + [-1] * 10
        columns = {"text": [f"{split} {i}" for i in range(number)], "label": labels, "site": ["n", "s", "w", "e"] * 10}
        columns["site"] = columns["site"][:number] + ["n"] * (number - 40)
        half = number // 2
        for i, piece in enumerate((slice(0, half), slice(half, None))):
            write_stream(
                tmp_path / "set" / split / f"data-{i:05d}-of-00002.arrow",
                {name: values[piece] for name, values in columns.items()},
                LABEL,
            )
        (tmp_path / "set" / split / "state.json").write_text("{}")
        write_stream(tmp_path / "set" / split / "cache-abc.arrow", {"indices": [1]})
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    return tmp_path / "set"


def test_labelled_rows_of_train_are_the_seed_set(saved):
    rows = read(saved, subgroup_columns=("site",))
    assert sizes(rows) == {"pool": 10, "seed": 30, "val": 9} and rows.classes == ("cat", "dog", "newt")
    assert rows.splits["pool"]["label"].null_count() == 10 and rows.modality == "text"
    assert set(rows.splits["seed"]["label"]) == {"cat", "dog"}
    assert rows.splits["val"].filter(text="validation 5")["label"].item() == "newt"
    assert rows.splits["seed"].columns == ["label", "_where", "text", "site"]
    assert rows.splits["pool"]["_where"][0] == "train/data-00001-of-00002.arrow: row 11"


def test_a_rehearsal_draws_some_of_each_class(saved):
    rows = read(saved, seed_per_class=4)
    assert sizes(rows) == {"pool": 32, "seed": 8, "val": 9}
    assert sorted(rows.splits["seed"]["label"]) == ["cat"] * 4 + ["dog"] * 4
    assert rows.splits["pool"]["label"].drop_nulls().len() == 22
    again = huggingface.read(HubData(source="huggingface", path=saved, seed_per_class=4), seed=1)
    assert set(again.splits["seed"]["text"]) != set(rows.splits["seed"]["text"])


@pytest.mark.parametrize("per_class", [None, 3])
@pytest.mark.parametrize("val", [True, False])
@pytest.mark.parametrize("layout", ["arrow", "parquet"])
def test_what_is_drawn_depends_on_no_cut(tmp_path, saved, monkeypatch, layout, val, per_class):
    root = saved
    if layout == "parquet":
        root = tmp_path / "hub"
        (root / "data").mkdir(parents=True)
        for path in sorted(saved.rglob("data-*.arrow")):
            table = pa.ipc.open_stream(path).read_all()
            pq.write_table(table, root / "data" / f"{path.parent.name}-{path.stem[5:]}.parquet", row_group_size=7)
    splits = {"pool": "train", "val": "validation"} if val else {"pool": "train"}
    once = listed(root, splits=splits, seed_per_class=per_class)
    monkeypatch.setattr(huggingface, "image_rows", lambda size, mode: 3)
    rows = listed(root, splits=splits, seed_per_class=per_class)
    assert len(rows.pool_chunks) > len(once.pool_chunks) and "pool" not in rows.splits
    pieces = [pickle.loads(pickle.dumps(chunk)).read() for chunk in rows.pool_chunks]
    assert [len(table) for table, _ in pieces] == [chunk.num_rows for chunk in rows.pool_chunks]
    assert all(table.schema == pieces[0][0].schema for table, _ in pieces)
    whole = once.whole()
    assert sizes(rows.whole()) == sizes(whole) and sum(sizes(whole).values()) == (49 if val else 40)
    for name, table in rows.whole().splits.items():
        assert table.equals(whole.splits[name]), name
    names = pl.concat([table.select("_where") for table in whole.splits.values()])["_where"]
    assert names.n_unique() == len(names)  # no row is in two splits


def test_val_is_drawn_where_there_is_none(saved):
    import shutil

    shutil.rmtree(saved / "validation")
    assert sizes(read(saved, val_fraction=0.2)) == {"pool": 10, "seed": 24, "val": 6}
    assert sizes(read(saved / "train", val_fraction=0.2, seed_per_class=2)) == {"pool": 30, "seed": 4, "val": 6}


def test_splits_by_name(saved):
    apart, same = ({"pool": "train", "val": "validation"} | more for more in ({}, {"seed": "train"}))
    drawn = [read(saved, splits=splits, seed_per_class=2).splits for splits in (apart, same)]
    assert all(drawn[1][name].equals(table) for name, table in drawn[0].items())
    rows = listed(saved, splits={"seed": "validation", "pool": "train"}, val_fraction=0.4)
    assert "pool" not in rows.splits and [chunk.num_rows for chunk in rows.pool_chunks] == [20, 20]
    pickle.loads(pickle.dumps(rows.pool_chunks))
    rows = rows.whole()
    assert sizes(rows) == {"pool": 40, "seed": 6, "val": 3}
    assert rows.splits["pool"].filter(text="train 1")["label"].item() == "dog"
    assert rows.splits["pool"].columns == rows.splits["seed"].columns
    assert rows.splits["pool"]["label"].drop_nulls().len() == 30
    with pytest.raises(UserError, match=r"data\.splits\.val: .*'dev2'.*Splits there: train, validation"):
        read(saved, splits={"pool": "train", "val": "dev2"})
    with pytest.raises(UserError, match="no such folder"):
        read(saved / "nowhere")


def test_what_the_library_writes(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]), "age": datasets.Value("int32")}
    )

    def made(shift, number):
        rows = {
            "image": [{"bytes": png(shift + i), "path": None} for i in range(number)],
            "label": [i % 2 for i in range(number)],
            "age": list(range(number)),
        }
        return datasets.Dataset.from_dict(rows, features=features)

    both = datasets.DatasetDict({"train": made(0, 20), "test": made(100, 6)})
    both.save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for split, dataset in both.items():
        dataset.to_parquet(str(tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet"))
    there = [read(tmp_path / name, seed_per_class=3, size=12) for name in ("saved", "hub")]
    for rows in there:
        assert sizes(rows) == {"pool": 10, "seed": 6, "test": 6, "val": 4} and rows.classes == ("cat", "dog")
        test = rows.splits["test"].sort("age")
        assert test["label"].to_list() == ["cat", "dog"] * 3 and not rows.rejected
        assert np.array_equal(np.rint(decode_images(test["image"])[:, 0, 5, 7] * 255), 100 + np.arange(6))
    saved, hub = ({s: t.drop("_where", "source_row") for s, t in rows.splits.items()} for rows in there)
    assert all(saved[s].equals(hub[s]) for s in saved)
    alone = made(0, 20)
    alone.save_to_disk(str(tmp_path / "alone"))
    assert sizes(read(tmp_path / "alone", size=12)) == {"seed": 16, "val": 4}


HUB_README = """---
license: mit
dataset_info:
  features:
  - name: sentence
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': "no"
          '1': "yes"
  splits:
  - name: train
---
# A dataset
"""


def test_names_of_classes_from_the_readme(tmp_path):
    for split in ("train", "dev"):
        pl.DataFrame({"sentence": [f"{split} {i}" for i in range(8)], "label": [0, 1] * 4}).write_parquet(
            tmp_path / f"{split}-00000-of-00001.parquet"
        )
    assert read(tmp_path).classes == ("0", "1")
    (tmp_path / "README.md").write_text(HUB_README)
    rows = read(tmp_path)
    assert rows.classes == ("no", "yes") and sizes(rows) == {"seed": 8, "val": 8}
    (tmp_path / "README.md").write_text("---\n[\n---\n")
    (tmp_path / "dataset_infos.json").write_text(json.dumps({"default": {"features": LABEL}}))
    assert read(tmp_path).classes == ("cat", "dog", "newt")


def test_numbers_of_classes_in_csv_and_with_gaps(tmp_path):
    (tmp_path / "README.md").write_text(HUB_README)
    (tmp_path / "train.csv").write_text("sentence,label\na,0\nb,1\nc,yes\nd,-1\ne,\nf,0\n")
    rows = read(tmp_path, val_fraction=0.3)
    known = pl.concat([rows.splits["seed"], rows.splits["val"]]).sort("text")
    assert known["label"].to_list() == ["no", "yes", "yes", "no"] and len(rows.splits["pool"]) == 2
    (tmp_path / "train.csv").unlink()
    floats = {"sentence": list("abcdef"), "label": [0.0, 1.0, None, -1.0, 1.0, 0.0]}  # as pandas has it
    pl.DataFrame(floats).write_parquet(tmp_path / "train.parquet")
    rows = read(tmp_path, val_fraction=0.3)
    assert rows.classes == ("no", "yes") and len(rows.splits["pool"]) == 2


def test_other_layouts_of_the_hub(tmp_path):
    frame = pl.DataFrame({"text": [f"row {i}" for i in range(8)], "label": ["a", "b"] * 4})
    for name in (
        "one/default/train/0000.parquet",
        "two/train.csv",
        "three/data/train.jsonl",
        "four/en/train-1.parquet",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        {".csv": frame.write_csv, ".jsonl": frame.write_ndjson}.get(path.suffix, frame.write_parquet)(path)
    for name in ("one", "two", "three", "four"):
        assert sizes(read(tmp_path / name, val_fraction=0.25)) == {"seed": 6, "val": 2}, name
    (tmp_path / "four" / "fr").mkdir()
    frame.write_parquet(tmp_path / "four" / "fr" / "train-1.parquet")
    with pytest.raises(UserError, match=r"holds several configurations \(got 'en, fr'\). Give the folder of one"):
        read(tmp_path / "four")


def test_the_payload_is_told_or_asked_for(tmp_path):
    pl.DataFrame({"title": ["a", "b"], "body": ["c", "d"], "label": ["x", "y"]}).write_parquet(
        tmp_path / "train.parquet"
    )
    with pytest.raises(UserError, match=r"data\.text_column.*cannot be told.*Name one of the columns: title, body"):
        read(tmp_path)
    assert read(tmp_path, text_column="body").splits["seed"]["text"].to_list() == ["c", "d"]
    with pytest.raises(UserError, match=r"data\.label_column.*'topic'.*Columns: title, body, label"):
        read(tmp_path, label_column="topic")
    vectors = pl.DataFrame({"z": [[1.0, 2.0], [2.0, 3.0]], "label": ["x", "y"]})
    vectors.write_parquet(tmp_path / "train.parquet")
    assert read(tmp_path).modality == "vector"


def test_a_folder_of_images_alone_is_another_sources(tmp_path):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    picture(3).save(tmp_path / "train" / "cat" / "1.png")
    with pytest.raises(UserError, match=r"holds no Arrow, Parquet, CSV or JSON Lines file.*image_folder"):
        read(tmp_path)


def test_a_split_whose_labels_are_kept_secret_is_passed_over(tmp_path):
    frame = pl.DataFrame({"text": [f"row {i}" for i in range(8)], "label": [0, 1] * 4})
    frame.write_parquet(tmp_path / "train.parquet")
    frame.with_columns(text="test " + pl.col("text"), label=-1).write_parquet(tmp_path / "test.parquet")
    rows = read(tmp_path)
    assert "test" not in rows.splits and any("No row of test has a label" in note for note in rows.notes)


def test_damaged_files_are_named_and_the_rest_is_read(saved):
    path = saved / "train" / "data-00000-of-00002.arrow"
    path.write_bytes(path.read_bytes()[:-400])
    (saved / "validation" / "data-00001-of-00002.arrow").write_bytes(b"")
    with pytest.raises(UserError, match="unusable"):
        read(saved)
    rows = read(saved, max_rejected=0.5)
    assert {r["where"] for r in rows.rejected} == {
        "train/data-00000-of-00002.arrow", "validation/data-00001-of-00002.arrow",
    }  # fmt: skip
    assert all("Arrow stream" in r["reason"] for r in rows.rejected) and count(rows.rejected) >= 2
    assert len(rows.splits["val"]) == 4


def test_images_that_cannot_be_decoded_and_images_by_path(tmp_path):
    (tmp_path / "set").mkdir()
    files = []
    for i in range(6):
        Image.new("RGB", (8, 8), (i * 40, 0, 0)).save(tmp_path / "set" / f"{i}.png")
        files.append({"bytes": None, "path": f"{i}.png"})
    pl.DataFrame({"image": files, "label": [0, 1] * 3}).write_parquet(tmp_path / "set" / "train.parquet")
    rows = read(tmp_path / "set", val_fraction=0.4)
    assert sizes(rows) == {"seed": 4, "val": 2} and rows.modality == "image"
    (tmp_path / "set" / "data").mkdir()  # paths stay relative to the folder, also those of rows in the pool
    (tmp_path / "set" / "train.parquet").rename(tmp_path / "set" / "data" / "train.parquet")
    files[0]["bytes"] = png(7)  # one row has its bytes, the others a path
    mixed = pl.DataFrame({"image": files, "label": [0, 1, 0, 1, 0, -1]})
    mixed.write_parquet(tmp_path / "set" / "data" / "train.parquet")
    rows = read(tmp_path / "set", val_fraction=0.4)
    assert sizes(rows) == {"pool": 1, "seed": 3, "val": 2} and rows.splits["pool"]["file"].to_list() == ["5.png"]
    (tmp_path / "set" / "data" / "train.parquet").unlink()
    given = [{"bytes": png(i) if i else png(i)[:60], "path": None} for i in range(20)]
    pl.DataFrame({"image": given, "label": [0, 1] * 10}).write_parquet(tmp_path / "set" / "train.parquet")
    rows = read(tmp_path / "set", max_rejected=0.1)
    assert len(rows.rejected) == 1 and rows.rejected[0]["where"] == "train.parquet: row 1"


@pytest.mark.parametrize("rows", [1, 10, 100])
def test_parts_of_an_arrow_stream(tmp_path, rows):
    write_stream(tmp_path / "a.arrow", {"n": list(range(50))})
    file = table_files.list_chunks(tmp_path / "a.arrow", "a", rows)
    tables = [chunk.read()[0] for chunk in file.chunks]
    assert [len(table) for table in tables] == [chunk.num_rows for chunk in file.chunks]
    assert pl.concat(tables)["n"].to_list() == list(range(50)) and len(tables) == (8, 4, 1)[[1, 10, 100].index(rows)]


def test_large_rows_come_in_smaller_parts(tmp_path, monkeypatch):
    for module in (columnar, lines):
        monkeypatch.setattr(module, "FILE_CHUNK_BYTES", 3000)
    frame = pl.DataFrame({"text": [f"{i:03d} " * 20 for i in range(50)]})
    write_stream(tmp_path / "a.arrow", frame.to_dict(as_series=False))
    frame.write_parquet(tmp_path / "a.parquet", compression="uncompressed", use_pyarrow=True)
    frame.write_csv(tmp_path / "a.csv")
    for name in ("a.arrow", "a.parquet", "a.csv"):
        file = table_files.list_chunks(tmp_path / name, name, 1000)
        assert 2 <= len(file.chunks) <= 9, name
        assert pl.concat([chunk.read()[0] for chunk in file.chunks])["text"].to_list() == frame["text"].to_list()


@pytest.mark.parametrize(
    "data_files",
    [
        '[{split: train, path: "data/train-*"}, {split: test, path: [data/test.csv]}]',
        "{train: data/train-*, test: ./data/test.csv}",
        '["data/*"]',
    ],
)
def test_tables_that_the_card_does_not_list_are_no_data(tmp_path, data_files):
    (tmp_path / "data").mkdir()
    for name in ("data/train-00000.csv", "data/test.csv"):
        (tmp_path / name).write_text("text,label\n" + "".join(f"{name} {i},{'ab'[i % 2]}\n" for i in range(20)))
    (tmp_path / "about.csv").write_text("who,what\nwe,this\n")
    with pytest.raises(UserError, match="several configurations"):
        read(tmp_path)
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files: {data_files}\n---\n")
    assert sizes(read(tmp_path)) == {"seed": 16, "val": 4, "test": 20}
    lines = [f"  - &l{i + 1} [{', '.join([f'*l{i}'] * 9)}]\n" for i in range(12)]  # 9 to the power of 12
    bomb = "".join(["configs:\n- data_files:\n  - &l0 []\n", *lines])
    for header in ("configs: [1, 2]", "configs: [{data_files: &x [*x]}]", bomb):
        (tmp_path / "README.md").write_text(f"---\n{header}\n---\n")
        with pytest.raises(UserError, match="several configurations"):
            read(tmp_path)
