"""Real files, damaged in every way at hand: named in the reject report, counted, and the run goes on."""

import io
import json

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from adde_ray.artifacts.run_dir import RunDir, read_table
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.stages.ingest import ingest, prepare


def jpeg(row, column):
    """A piece of a real photograph."""
    photo = load_sample_images().images[row % 2]
    buffer = io.BytesIO()
    Image.fromarray(photo[30 * row : 30 * row + 60, 30 * column : 30 * column + 60]).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Class folders of JPEGs, eight unlabelled ones."""
    for row, name in enumerate(("labelled/rôti 焼", "labelled/b", "unlabelled/deep")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(8):
            (tmp_path / "set" / name / f"{i} ü.jpg").write_bytes(jpeg(row, i))
    return tmp_path / "set"


def config(path, source="image_folder", **settings):
    data = {"source": source, "path": str(path), "max_rejected": settings.pop("max_rejected", 0.5)}
    stream = {"stream": settings.pop("stream")} if "stream" in settings else {}
    return Config.parse({"data": data | settings, **stream})


def break_row_group(path, group):
    """Overwrite a piece of the row group's first column."""
    column = pq.ParquetFile(path).metadata.row_group(group).column(0)
    data = bytearray(path.read_bytes())
    at = column.data_page_offset + 30
    data[at : at + 60] = bytes(60)
    path.write_bytes(data)


STREAMED = {"min_rows": 1, "shard_rows": 4, "workers": 0}


@pytest.mark.parametrize("stream", [{}, STREAMED], ids=["in memory", "streamed"])
def test_damaged_images(folder, tmp_path, stream):
    pool = folder / "unlabelled" / "deep"
    pool.joinpath("half.jpg").write_bytes(jpeg(2, 0)[:-400])
    pool.joinpath("empty.jpg").write_bytes(b"")
    pool.joinpath("text.png").write_text("no picture")
    pool.joinpath("wrong.png").write_bytes(jpeg(3, 9))  # a JPEG by another name is a picture all the same
    pool.joinpath("movie.mp4").write_bytes(b"x")
    pool.joinpath("gone.jpg").symlink_to(pool / "nowhere.jpg")
    run = RunDir(tmp_path / "run")
    meta = ingest(config(folder, stream=stream), run)
    reasons = dict(read_table(run.root / "ingest" / "rejected.parquet", "where", "reason").iter_rows())
    reasons = {name.removeprefix("unlabelled/deep/"): reason for name, reason in reasons.items()}
    assert "runcated" in reasons.pop("half.jpg")
    assert reasons == {
        "empty.jpg": "is empty",
        "text.png": "is no image that can be decoded",
        "gone.jpg": "cannot be read: No such file or directory",
    }
    assert meta.num_rejected == 4 and meta.num_rows["pool"] == 9 and meta.classes == ("b", "rôti 焼")


@pytest.mark.parametrize("stream", [{}, STREAMED], ids=["in memory", "streamed"])
def test_damaged_tables(tmp_path, stream):
    (tmp_path / "rows.csv").write_text(
        "text,label,note\n" + "".join(f"row {i},{'ab'[i % 2]},n\n" for i in range(12)) + "x,a,too,many,fields\nwell,,\n"
    )
    pool = tmp_path / "pool"
    pool.mkdir()
    frame = pl.DataFrame({"text": [f"sentence {i}" for i in range(400)]})
    frame[:100].write_parquet(pool / "whole.parquet")
    frame[100:300].write_parquet(pool / "hurt.parquet", row_group_size=50)
    break_row_group(pool / "hurt.parquet", 2)
    (pool / "cut.parquet").write_bytes((pool / "whole.parquet").read_bytes()[:-30])
    (pool / "zero.parquet").write_bytes(b"")
    (pool / "more.csv").write_text("text\nfine\nnot,fine\n")
    (pool / "lines.jsonl").write_text('{"text": "good"}\n{"text": \n{"txt": 1}\n')
    (pool / "notes.txt").write_text("x")
    run = RunDir(tmp_path / "run")
    settings = {"pool": str(pool), "text_column": "text", "stream": stream}
    ingest(config(tmp_path / "rows.csv", "table", **settings), run)
    rejected = read_table(run.root / "ingest" / "rejected.parquet")
    assert set(rejected["where"]) == {
        "rows.csv:14", "pool/cut.parquet", "pool/zero.parquet", "pool/hurt.parquet: rows 101-150", "pool/more.csv:3",
        "pool/lines.jsonl:2", "pool/lines.jsonl:3",
    }  # fmt: skip
    files = sorted((run.root / "ingest").glob("pool/*[0-9].parquet")) or [run.root / "ingest" / "pool.parquet"]
    texts = {text for file in files for text in read_table(file, "text")["text"]}
    assert texts == {f"sentence {i}" for i in range(400) if i < 200 or 250 <= i < 300} | {"fine", "good", "well"}
    with pytest.raises(UserError, match=r"rows are unusable .*rows\.csv:14: 5 fields where the header has 3"):
        ingest(config(tmp_path / "rows.csv", "table", **settings, max_rejected=0.1), RunDir(tmp_path / "other"))


def test_a_table_with_a_corrupt_row_group(tmp_path):
    path = tmp_path / "rows.parquet"
    frame = pl.DataFrame({"text": [f"row {i}" for i in range(300)], "label": (["a", "b"] * 30 + [None] * 240)})
    frame.write_parquet(path, row_group_size=60)
    break_row_group(path, 3)
    prepared = prepare(config(path, "table", text_column="text"))
    assert prepared.meta.num_rows["pool"] == 180 and prepared.meta.num_rejected == 60
    assert prepared.rejected["where"].to_list() == ["rows.parquet: rows 181-240"]
    with pytest.raises(UserError, match=r"60 of 300 rows are unusable \(20%"):
        prepare(config(path, "table", text_column="text", max_rejected=0.1))


def test_image_paths_that_vanished(folder):
    lines = ["image,label"]
    lines += [
        f"{name}/{i} ü.jpg,{'ab'[k]}" for k, name in enumerate(("labelled/rôti 焼", "labelled/b")) for i in range(8)
    ]
    lines += [f"unlabelled/deep/{i} ü.jpg," for i in range(9)]
    (folder / "rows.csv").write_text("\n".join(lines))
    prepared = prepare(config(folder / "rows.csv", "table", image_column="image"))
    assert prepared.rejected.select("where", "reason").rows() == [
        ("rows.csv:26", "unlabelled/deep/8 ü.jpg cannot be read: No such file or directory")
    ]
    assert prepared.meta.num_rows["pool"] == 8


def test_small_pools(folder):
    pool = folder / "unlabelled" / "deep"
    for i in range(1, 8):
        (pool / f"{i} ü.jpg").unlink()
    assert prepare(config(folder)).meta.num_rows["pool"] == 1
    (pool / "0 ü.jpg").unlink()
    with pytest.raises(UserError, match=r"no unlabelled sample to choose from.*Add unlabelled samples"):
        prepare(config(folder))


def test_folders_without_images(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        prepare(config(tmp_path / "none"))
    (tmp_path / "labelled" / "a").mkdir(parents=True)
    (tmp_path / "labelled" / "b").mkdir()
    with pytest.raises(UserError, match=r"no unlabelled sample to choose from"):
        prepare(config(tmp_path))
    (tmp_path / "labelled" / "a" / "x.txt").write_text("x")
    with pytest.raises(UserError, match=r"no unlabelled sample to choose from"):
        prepare(config(tmp_path))


def test_columns_nobody_asked_for_travel_along(tmp_path):
    tags = [[f"t{i}", "ü"] for i in range(12)]
    frame = pl.DataFrame(
        {
            "text": [f"row {i}" for i in range(12)],
            "label": ["a", "b"] * 4 + [None] * 4,
            "tags": tags,
            "blob": [bytes([i]) for i in range(12)],
            "nested": [{"x": i, "y": None} for i in range(12)],
            "when": pl.Series(np.arange(12).astype("datetime64[D]")),
        }
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    frame[:4].with_columns(text="more " + pl.col("text"), label=pl.lit(None, pl.String)).write_parquet(
        tmp_path / "pool.parquet"
    )
    prepared = prepare(
        config(tmp_path / "rows.parquet", "table", text_column="text", pool=str(tmp_path / "pool.parquet"))
    )
    assert prepared.meta.num_rows["pool"] == 8 and not len(prepared.rejected)
    for table in prepared.splits.values():
        for row in table.to_dicts():
            i = int(row["text"].split()[-1])
            assert row["tags"] == tags[i] and row["blob"] == bytes([i]) and row["nested"] == {"x": i, "y": None}
            assert row["when"] == frame["when"][i]
    json.dumps(prepared.meta.num_rows)
