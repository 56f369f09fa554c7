"""Vectors in .npy files."""

import pickle

import numpy as np
import polars as pl
import pytest
from fake_bucket import serve

from adde_ray.config.data import NpyData
from adde_ray.errors import UserError
from adde_ray.sources import npy
from adde_ray.sources.rows import count


@pytest.fixture
def folder(tmp_path):
    """100 vectors, the first 20 labelled."""
    vectors = np.random.default_rng(0).normal(size=(100, 6))
    np.save(tmp_path / "vectors.npy", vectors)
    labels = ["a", "b"] * 10 + [None] * 80
    pl.DataFrame({"label": labels, "site": [f"s{i % 3}" for i in range(100)]}).write_csv(tmp_path / "labels.csv")
    return tmp_path


def read(path, **settings):
    return npy.read(NpyData(source="npy", path=path, **settings), seed=0)


def matrix(table):
    return np.array(table["vector"].to_list(), dtype=np.float32)


def test_rows_without_a_label_are_the_pool(folder, monkeypatch):
    monkeypatch.setattr(npy, "ROWS", 32)
    rows = read(folder, subgroup_columns=("site",))
    assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 16, "val": 4} and rows.classes == ("a", "b")
    assert [chunk.num_rows for chunk in rows.pool_chunks] == [32, 32, 16]
    assert rows.pool_chunks[1].name == "vectors.npy: rows 53-84"
    chunk = pickle.loads(pickle.dumps(rows.pool_chunks[1]))
    assert len(pickle.dumps(chunk)) < 20_000
    whole, vectors = rows.whole(), np.load(folder / "vectors.npy").astype(np.float32)
    pool = whole.splits["pool"]
    assert np.array_equal(matrix(pool), vectors[20:]) and pool["site"].to_list() == [
        f"s{i % 3}" for i in range(20, 100)
    ]
    assert chunk.read()[0]["_where"][0] == "vectors.npy: row 53" and chunk.read()[0].schema == pool.schema
    first = whole.splits["val"].row(0, named=True)
    assert np.array_equal(first["vector"], vectors[int(first["_where"].split()[-1]) - 1])


@pytest.mark.parametrize("kind", ["float16", "float32", ">f8", "int16", "uint8"])
def test_kinds_of_numbers(folder, kind):
    vectors = np.random.default_rng(1).integers(0, 100, (100, 6)).astype(kind)
    np.save(folder / "vectors.npy", vectors)
    rows = read(folder / "vectors.npy").whole()
    assert np.array_equal(matrix(rows.splits["pool"]), vectors[20:].astype(np.float32))


def test_splits_by_column_and_rows_far_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(npy, "ROWS", 8)
    vectors = np.arange(600, dtype=np.float32).reshape(200, 3)
    np.save(tmp_path / "z.npy", vectors)
    split = np.full(200, "test", dtype=object)
    split[[0, 1, 2, 3]], split[[5, 9]], split[[10, 50, 51, 100, 199]] = "seed", "val", "pool"
    table = pl.DataFrame({"label": ["x", "y"] * 100, "split": split.tolist()})
    table.write_parquet(tmp_path / "truth.parquet")
    rows = read(tmp_path / "z.npy", labels=tmp_path / "truth.parquet", split_column="split").whole()
    assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 4, "val": 2, "test": 189, "pool": 5}
    assert np.array_equal(matrix(rows.splits["pool"]), vectors[[10, 50, 51, 100, 199]])
    assert rows.splits["pool"]["label"].to_list() == ["x", "x", "y", "x", "y"]


def test_labels_in_npy_and_a_pool_apart(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "vectors.npy", rng.normal(size=(10, 3)))
    np.save(tmp_path / "labels.npy", np.array(["é", "b"] * 5))
    (tmp_path / "pool").mkdir()
    more = rng.normal(size=(30, 3))
    more[7, 1] = np.nan
    np.save(tmp_path / "pool" / "1.npy", more[:20])
    np.save(tmp_path / "pool" / "2.npy", more[20:])
    np.save(tmp_path / "pool" / "wide.npy", rng.normal(size=(4, 4)))
    (tmp_path / "pool" / "empty.npy").write_bytes(b"")
    data = (tmp_path / "pool" / "2.npy").read_bytes()
    (tmp_path / "pool" / "2.npy").write_bytes(data[:-30])  # the last two rows
    rows = read(tmp_path, pool=tmp_path / "pool", max_rejected=0.5).whole()
    assert rows.classes == ("b", "é") and len(rows.splits["pool"]) == 27
    reasons = {r["where"]: r["reason"] for r in rows.rejected}
    assert set(reasons) == {
        "pool/wide.npy", "pool/empty.npy", "pool/1.npy: row 8", "pool/2.npy: row 9", "pool/2.npy: row 10",
    }  # fmt: skip
    assert reasons["pool/wide.npy"] == "vectors of 4 numbers where vectors.npy has 3"
    assert reasons["pool/2.npy: row 10"] == "the file ends before it" and count(rows.rejected) == 5


def test_in_a_bucket(folder, monkeypatch):
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("EC2_METADATA_DISABLED", "true")):
        monkeypatch.setenv(f"AWS_{name}", value)
    here = read(folder).whole()
    with serve(folder.parent) as query:
        there = read(f"s3://{folder.name}?{query}").whole()
    assert all(table.equals(here.splits[name]) for name, table in there.splits.items()) and len(there.splits) == 3


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("something was unpickled",))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.array([Trap(), 1], dtype=object), r"vectors\.npy: holds object, no plain numbers"),
        (np.zeros(4), r"is no table of vectors \(got \(4,\)\)"),
        (np.zeros((4, 2, 2)), "is no table of vectors"),
        (np.asfortranarray(np.random.default_rng(0).normal(size=(100, 6))), "kept column by column.*ascontiguousarray"),
        (np.array([["a", "b"]]), "no plain numbers"),
        (np.zeros((7, 6)), "100 labels for 7 vectors"),
        (b"no array", "cannot be read as .npy"),
        (b"", "cannot be read as .npy"),
    ],
)
def test_files_that_are_no_vectors(folder, vectors, message):
    if isinstance(vectors, bytes):
        (folder / "vectors.npy").write_bytes(vectors)
    else:
        np.save(folder / "vectors.npy", vectors, allow_pickle=True)
    with pytest.raises(UserError, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)


def test_labels_that_do_not_fit(folder, tmp_path):
    with pytest.raises(UserError, match=r"no such column.*'dx'.*Columns: label, site"):
        read(folder, label_column="dx")
    with (folder / "labels.csv").open("a") as file:
        file.write("too,many,fields\n")
    with pytest.raises(UserError, match=r"labels\.csv:102: 3 fields where the header has 2.*matched by number"):
        read(folder)
    (folder / "labels.csv").unlink()
    with pytest.raises(UserError, match=r"no labels beside it.*labels\.csv"):
        read(folder)
    np.save(folder / "labels.npy", np.array([Trap()] * 100, dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"labels\.npy: is no list of labels"):
        read(folder)
    with pytest.raises(UserError, match="no such file"):
        read(folder / "nowhere")
    with pytest.raises(UserError, match=r"data\.pool: no \.npy file there"):
        np.save(folder / "labels.npy", np.arange(100) % 2)
        read(folder, pool=folder / "more")
