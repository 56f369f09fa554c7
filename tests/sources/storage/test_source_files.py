"""Locations: here, by URI, and in a bucket."""

import os
import pickle
import socket

import polars as pl
import pytest
from pictures import picture

from adde_ray.config import Config
from adde_ray.config.data import CsvData, FolderData
from adde_ray.errors import UserError
from adde_ray.sources.images import image_folder
from adde_ray.sources.originals import find
from adde_ray.sources.rows import identify
from adde_ray.sources.storage import files
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.storage.source_mark import changes, mark
from adde_ray.sources.storage.walking import Walk
from adde_ray.sources.tables import table

LABELLED = "text,label\nhello,greet\nhi,greet\nbye,leave\nfarewell,leave\nwell,\n"


def test_kinds_of_locations(tmp_path):
    assert files.at("a/b.csv") == files.at(files.Path("a/b.csv")) == files.Path("a/b.csv")
    assert files.at("file:///data/my%20rows.csv") == files.Path("/data/my rows.csv")
    there = files.at("s3://ours/a/b.parquet?region=eu-west-1")
    assert (str(there), there.name, there.suffix, str(there.parent)) == (
        "s3://ours/a/b.parquet", "b.parquet", ".parquet", "s3://ours/a",
    )  # fmt: skip
    assert there.parent / "c.csv" == files.at("s3://ours/a/c.csv?region=eu-west-1")
    assert str(files.at("gs://ours/what?/b.csv")) == "gs://ours/what?/b.csv"
    public = files.at("gs://anonymous@ours/a/b.csv")
    assert (public.user, public.path, public.parent.user) == ("anonymous", "ours/a/b.csv", "anonymous")
    for wrong, message in (
        ("http://ours/a.csv", "unknown kind of location .*Give a path, or file://, s3:// or gs://"),
        ("s3://", "names no bucket"),
        ("s3://key:secret@ours/a.csv", "a password in a location .*by environment"),
    ):
        with pytest.raises(UserError, match=message) as error:
            files.at(wrong)
        assert "secret" not in str(error.value)


def test_a_config_keeps_locations_as_they_are(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        '[data]\nsource = "csv"\npath = "s3://ours//rows.csv"\npool = "pool/*.parquet"\ntext_column = "t"\n'
    )
    parsed = Config.load(path)
    assert parsed.data.path == "s3://ours//rows.csv" and parsed.data.pool == tmp_path / "pool" / "*.parquet"
    assert Config.parse(parsed.model_dump(mode="json")) == parsed
    with pytest.raises(UserError, match=r"data\.path: should be a path"):
        Config.parse({"data": {"source": "image_folder", "path": 3}})


def test_patterns(tmp_path):
    for name in ("a/x1.csv", "a/x2.csv", "a/b/x3.csv", "a/b/y.csv", "a/.hidden/x4.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for pattern, found in (
        ("a/*.csv", ["x1.csv", "x2.csv"]),
        ("a/x?.csv", ["x1.csv", "x2.csv"]),
        ("a/**/x*.csv", ["b/x3.csv", "x1.csv", "x2.csv"]),
        ("a/*/y.csv", ["b/y.csv"]),
        ("nowhere/*.csv", []),
    ):
        _, names = Walk(Reach(tmp_path)).matching(tmp_path / pattern)
        assert sorted(names) == found, pattern


def test_an_image_folder_in_a_bucket_is_read_as_one_here(bucket):
    folder, query = bucket
    for name, number in (("labelled/a", 3), ("labelled/b", 3), ("unlabelled/ein ü/x", 4), ("pool/a", 2)):
        (folder / "set" / name).mkdir(parents=True)
        for i in range(number):
            picture(len(name) * 8 + i).save(folder / "set" / name / f"{i}.png")
    (folder / "set" / "unlabelled" / ".hidden.png").write_bytes(b"x")
    (folder / "set" / "unlabelled" / "broken.png").write_bytes(b"x")

    def read(path):
        return image_folder.read(FolderData(source="image_folder", path=path, max_rejected=0.2), seed=0)

    here, there = read(folder / "set"), read(f"s3://ours/set?{query}")
    assert [c.name for c in here.pool_chunks] == [c.name for c in there.pool_chunks]
    chunk = pickle.loads(pickle.dumps(there.pool_chunks[0]))
    assert chunk.read()[0].equals(here.pool_chunks[0].read()[0])
    (folder / "set" / "pool" / "a" / "1.png").unlink()
    here, there = here.whole(), there.whole()
    assert there.rejected == here.rejected and len(here.rejected) == 2
    assert there.splits.keys() == here.splits.keys()
    assert all(rows.equals(here.splits[name]) for name, rows in there.splits.items())


def test_originals_in_a_bucket_are_found_again(bucket, monkeypatch):
    folder, query = bucket
    for name, number in (("labelled/a", 60), ("labelled/b", 3), ("unlabelled/ein ü", 4)):
        (folder / "set" / name).mkdir(parents=True)
        for i in range(number):
            picture(len(name) * 8 + i).save(folder / "set" / name / f"{i}.png")
    config = FolderData(source="image_folder", path=f"s3://ours/set?{query}", size=8)
    rows = image_folder.read(config, seed=0).whole().splits["seed"]
    rows = rows.with_columns(identify(rows["image"])).unique("sample_id")
    found = dict(find(image_folder.originals(config), rows))
    assert all(found[i].data == (folder / "set" / file).read_bytes() for i, file in rows["sample_id", "file"].rows())

    reads, read = [], files.RemotePath.read
    monkeypatch.setattr(files.RemotePath, "read", lambda path, at_most: reads.append(path) or read(path, at_most))
    refused = config.model_copy(update={"path": f"s3://private/set?{query}"})
    told = dict(find(image_folder.originals(refused), rows))
    assert set(told.values()) == {"cannot be read: access is refused"} and len(told) == len(rows) > len(reads)


def test_tables_in_a_bucket(bucket):
    folder, query = bucket
    (folder / "rows.csv").write_text(LABELLED)
    (folder / "pool").mkdir()
    frame = pl.DataFrame({"text": [f"sentence {i}" for i in range(300)]})
    frame[:100].write_parquet(folder / "pool" / "a.parquet", row_group_size=30)
    frame[100:200].write_csv(folder / "pool" / "b.csv")
    frame[200:].write_ndjson(folder / "pool" / "c.jsonl")
    for pool in ("pool", "pool/*"):
        rows = table.read(
            CsvData(
                source="table",
                path=f"s3://ours/rows.csv?{query}",
                pool=f"s3://ours/{pool}?{query}",
                text_column="text",
                val_fraction=0.5,
            ),
            seed=0,
        )
        assert len(rows.pool_chunks) == 4 and len(pickle.dumps(rows.pool_chunks[0])) < 5000
        whole = rows.whole()
        assert whole.splits["pool"]["text"].to_list() == [*frame["text"], "well"] and not whole.rejected
    for name in ("rows.parquet", "rows.jsonl"):
        frame = pl.DataFrame({"text": list("abcdef"), "label": ["x", "y"] * 2 + [None] * 2})
        frame.write_parquet(folder / name) if name.endswith("parquet") else frame.write_ndjson(folder / name)
        rows = table.read(CsvData(source="table", path=f"s3://ours/{name}?{query}", text_column="text"), seed=0)
        assert sorted(rows.splits["pool"]["text"]) == ["e", "f"]


def test_sizes_in_a_bucket_tell_that_data_changed(bucket):
    folder, query = bucket
    for name in ("pool/1.csv", "pool/2.csv", "t.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("text,label\n")
    data = {"source": "csv", "path": f"s3://ours/t.csv?{query}", "pool": f"s3://ours/pool?{query}"}
    config = Config.parse({"data": data | {"text_column": "text"}})
    before = mark(config.data)
    assert before["pool"]["files"] == 2 and changes(config.data, before) == []
    (folder / "pool" / "2.csv").write_text("text,label\nmore,\n")
    (folder / "t.csv").write_text("text,label\nmore,a\n")
    assert [note.partition(",")[0] for note in changes(config.data, before)] == ["data.path", "data.pool"]


def test_images_a_table_names_by_location(bucket, tmp_path):
    folder, query = bucket
    names = []
    for i in range(6):
        picture(20 * i).save(folder / f"{i}.png")
        names.append(f"s3://ours/{i}.png" if i % 2 else f"file://{folder}/{i}.png")
    names[5] = "ftp://elsewhere/5.png"
    path = tmp_path / "seen.csv"
    path.write_text("image,label\n" + "\n".join(f"{name},{'ab'[i // 2 % 2]}" for i, name in enumerate(names)))
    config = CsvData(source="table", path=path, image_column="image", max_rejected=0.9, roots=(f"s3://ours?{query}",))
    rows = table.read(config, seed=0)
    assert sum(map(len, rows.splits.values())) == 5
    assert [r["reason"] for r in rows.rejected] == ["ftp://elsewhere/5.png: unknown kind of location"]
    config = config.model_copy(update={"roots": ()})
    reasons = [r["reason"] for r in table.read(config, seed=0).rejected]
    assert len(reasons) == 3 and all("lies outside the table's folder and data.roots" in r for r in reasons[:2])


def test_buckets_that_cannot_be_read_are_named_in_one_line(bucket, monkeypatch):
    folder, query = bucket
    (folder / "x").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for location, message in (
        (f"s3://nowhere/set?{query}", r"s3://nowhere/set: no such (bucket|folder)"),
        (f"s3://private/set?{query}", r"s3://private/set: access is refused.*Give credentials"),
        (f"s3://ours/set?endpoint_override=127.0.0.1:{port}&scheme=http&region=x", r"cannot be reached.*Check the net"),
        (
            f"gs://anonymous@ours/set?endpoint_override=127.0.0.1:{port}&scheme=http&retry_limit_seconds=1",
            r"gs://ours/set: cannot be reached.*Check the net",
        ),
    ):
        with pytest.raises(UserError, match=message) as error:
            image_folder.read(FolderData(source="image_folder", path=location), seed=0)
        assert "\n" not in str(error.value) and len(str(error.value)) < 300
    with pytest.raises(UserError, match=r"s3://ours/rows\.csv: no such file"):
        table.read(CsvData(source="table", path=f"s3://ours/rows.csv?{query}", text_column="text"), seed=0)


def test_what_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    path.write_text(LABELLED)
    for name in ("labelled/a", "labelled/b", "unlabelled"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(3):
            picture(len(name) * 10 + i).save(tmp_path / name / f"{i}.png")

    really = os.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith(("rows.csv", "1.png")) and "labelled/a" not in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *args, **kwargs)

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(UserError, match=r"rows\.csv: cannot be read: Permission denied"):
        table.read(CsvData(source="table", path=path, text_column="text"), seed=0)
    rows = image_folder.read(FolderData(source="image_folder", path=tmp_path, max_rejected=0.5), seed=0).whole()
    assert [r["where"] for r in rows.rejected] == ["labelled/b/1.png", "unlabelled/1.png"]
    assert all(r["reason"] == "cannot be read: Permission denied" for r in rows.rejected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in").chmod(0)
    walk = Walk(Reach(tmp_path))
    assert not list(walk.below(tmp_path))
    assert walk.lost == [{"where": "in", "reason": "cannot be read: Permission denied"}]
    (tmp_path / "in").chmod(0o700)
