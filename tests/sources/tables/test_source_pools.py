"""Pools in chunks: read piece by piece, they are what they would be read at once."""

import pickle

import numpy as np
import polars as pl
import pytest
from pictures import picture

from adde_ray.config.data import CsvData, FolderData
from adde_ray.errors import UserError
from adde_ray.sources import WHERE
from adde_ray.sources.images import image_folder
from adde_ray.sources.rows import count
from adde_ray.sources.tables import files as table_files
from adde_ray.sources.tables import lines, readers, table
from adde_ray.sources.tables import pool as table_pool

LABELLED = "text,label,site\nhello,greet,north\nhi,greet,south\nbye,leave,north\nfarewell,leave,south\nwell,,west\n"


@pytest.fixture
def main(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(LABELLED)
    return path


def read(path, pool, **settings):
    settings = {"text_column": "text", "val_fraction": 0.5} | settings
    return table.read(CsvData(source="table", path=path, pool=pool, **settings), seed=0)


def texts(n, start=0):
    return [f"sentence {i}" for i in range(start, start + n)]


def write_pool(folder, n=3000, **columns):
    """Three files of each format, 1/3 of the rows each, and a pool label for some."""
    folder.mkdir(exist_ok=True)
    third = n // 3
    frames = [
        pl.DataFrame(
            {"text": texts(third, i * third), "label": ["greet", None] * (third // 2), "site": ["east"] * third}
        )
        for i in range(3)
    ]
    frames[0].write_parquet(folder / "a.parquet", row_group_size=100)
    frames[1].write_csv(folder / "b.csv")
    frames[2].write_ndjson(folder / "c.jsonl")
    return pl.concat(frames)


def test_a_pool_of_three_formats(main, tmp_path, monkeypatch):
    expected = write_pool(tmp_path / "pool")
    monkeypatch.setattr(table_pool, "TEXT_ROWS", 150)
    rows = read(main, tmp_path / "pool")
    assert "pool" not in rows.splits and len(rows.pool_chunks) > 15
    assert len({chunk.name for chunk in rows.pool_chunks}) == len(rows.pool_chunks)
    for chunk in rows.pool_chunks:
        part, rejected = pickle.loads(pickle.dumps(chunk)).read()
        assert not rejected and len(part) <= chunk.num_rows <= 310
        assert part.schema == rows.pool_chunks[0].read()[0].schema
        assert len(pickle.dumps(chunk)) < 5000
    whole = rows.whole().splits["pool"]
    assert whole["text"].to_list() == [*expected["text"], "well"]
    assert whole["label"].to_list() == [*expected["label"], None]
    assert whole["site"].to_list() == [*expected["site"], "west"]
    assert whole[WHERE].n_unique() == len(whole)
    assert whole.filter(text="sentence 1001")[WHERE].item() == "pool/b.csv:3"
    assert whole.filter(text="sentence 2002")[WHERE].item() == "pool/c.jsonl:3"
    assert whole.filter(text="sentence 999")[WHERE].item() == "pool/a.parquet: row 1000"


@pytest.mark.parametrize("pool", ["pool/*.parquet", "pool/a.parquet", "pool"])
def test_file_folder_or_pattern(main, tmp_path, pool):
    write_pool(tmp_path / "pool", 30)
    found = {chunk.name.split(":")[0] for chunk in read(main, tmp_path / pool).pool_chunks}
    wanted = {"pool/a.parquet"} | ({"pool/b.csv", "pool/c.jsonl"} if pool == "pool" else set())
    assert found == wanted | {"rows.csv"}


def test_no_such_pool(main, tmp_path):
    for pool in ("nowhere", "pool/*.parquet"):
        with pytest.raises(UserError, match=r"data\.pool: no \.parquet, \.csv or \.jsonl file there"):
            read(main, tmp_path / pool)


@pytest.mark.parametrize("rows", [1, 7, 100, 5000])
def test_cuts_of_csv_do_not_change_what_is_read(tmp_path, rows):
    rng = np.random.default_rng(0)
    lines = [
        f'{i},"two\nlines, with ""quotes""",x\r\n' if rng.random() < 0.3 else f"{i},plain {i},\r\n" for i in range(400)
    ]
    lines[100] = "100,too,many,fields,here\r\n"
    lines[300] = '300,5" pipe,\r\n'  # a stray quote: the count of quotes is wrong from here on
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + ("id,text,label\r\n" + "".join(lines)).encode())
    whole, wrong = readers.READERS[".csv"](path)
    file = table_files.list_chunks(path, "a.csv", rows)
    assert len(file.chunks) > (1 if rows <= 100 else 0)
    pieces = [chunk.read() for chunk in file.chunks]
    assert pl.concat([piece for piece, _ in pieces]).equals(whole)
    assert [r for _, rejected in pieces for r in rejected] == wrong and len(wrong) == 1
    assert sum(chunk.num_rows for chunk in file.chunks) >= len(whole) + 1
    assert max(chunk.num_rows for chunk in file.chunks) <= rows


@pytest.mark.parametrize("group", [3, 50, 1000])
@pytest.mark.parametrize("rows", [1, 40, 100, 5000])
def test_parts_of_parquet_do_not_change_what_is_read(tmp_path, rows, group):
    frame = pl.DataFrame({"text": texts(333), "z": [[float(i), 2.5] for i in range(333)]})
    path = tmp_path / "a.parquet"
    frame.write_parquet(path, row_group_size=group)
    file = table_files.list_chunks(path, "a", rows)
    pieces = [chunk.read() for chunk in file.chunks]
    assert not any(rejected for _, rejected in pieces)
    whole = pl.concat([piece for piece, _ in pieces])
    assert whole.drop(WHERE).equals(frame) and whole[WHERE].to_list() == [f"a: row {i + 1}" for i in range(333)]
    assert [len(piece) for piece, _ in pieces] == [chunk.num_rows for chunk in file.chunks]


def test_a_corrupt_row_group_costs_its_rows_only(main, tmp_path):
    (tmp_path / "pool").mkdir()
    path = tmp_path / "pool" / "a.parquet"
    pl.DataFrame({"text": texts(1000)}).write_parquet(path, row_group_size=100, compression="zstd")
    import pyarrow.parquet as pq

    column = pq.ParquetFile(path).metadata.row_group(4).column(0)
    data = bytearray(path.read_bytes())
    at = column.data_page_offset + 30
    data[at : at + 60] = bytes(60)
    path.write_bytes(data)
    rows = read(main, path, max_rejected=0.2).whole()
    assert len(rows.splits["pool"]) == 901 and count(rows.rejected) == 100 and len(rows.rejected) == 1
    assert rows.rejected[0]["where"] == "pool/a.parquet: rows 401-500"
    assert "cannot be read as Parquet" in rows.rejected[0]["reason"]
    with pytest.raises(UserError, match=r"100 of 1006 rows are unusable .*pool/a\.parquet: rows 401-500"):
        read(main, path).whole()


def test_files_that_are_no_tables_or_vanish(main, tmp_path):
    pool = tmp_path / "pool"
    write_pool(pool, 300)
    (pool / "cut.parquet").write_bytes((pool / "a.parquet").read_bytes()[:-100])
    (pool / "empty.parquet").write_bytes(b"")
    (pool / "empty.csv").write_bytes(b"")
    (pool / "empty.jsonl").write_bytes(b"")
    (pool / "other.csv").write_text("sentence\nwell\n")
    (pool / "readme.txt").write_text("x")
    pl.DataFrame({"text": texts(50, 9000)}).write_parquet(pool / "gone.parquet")
    rows = read(main, pool, max_rejected=0.2)
    (pool / "gone.parquet").unlink()
    rows = rows.whole()
    reasons = {r["where"]: r["reason"] for r in rows.rejected}
    assert set(reasons) == {
        *(f"pool/{name}" for name in ("cut.parquet", "empty.parquet", "empty.csv", "empty.jsonl", "other.csv")),
        "pool/gone.parquet: rows 1-50",
    }
    assert reasons["pool/empty.csv"] == "is empty" and reasons["pool/other.csv"] == "has no column text"
    assert "No such file" in reasons["pool/gone.parquet: rows 1-50"]
    assert count(rows.rejected) == 55 and len(rows.splits["pool"]) == 301


def test_types_of_columns_are_joined_over_files(main, tmp_path):
    pool = tmp_path / "pool"
    pool.mkdir()
    pl.DataFrame({"text": texts(2), "score": [1, 2]}).write_parquet(pool / "a.parquet")
    pl.DataFrame({"text": texts(2, 2), "score": [0.5, None], "new": ["x", "y"]}).write_parquet(pool / "b.parquet")
    (pool / "c.jsonl").write_text('{"text": "sentence 4", "score": 7}\n{"text": "sentence 5"}\n')
    whole = read(main, pool).whole().splits["pool"]
    assert whole["score"].to_list() == [1.0, 2.0, 0.5, None, 7.0, None, None]
    assert whole["new"].to_list() == [None, None, "x", "y", None, None, None]


def test_a_value_that_fits_no_column_is_set_aside(main, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "HEAD", 40)
    path = tmp_path / "late.jsonl"
    path.write_text('{"text": "sentence 0", "n": 1}\n{"text": "sentence 1", "n": 2}\n{"text": "s", "n": 1.5}\n')
    rows = read(main, path, max_rejected=0.5).whole()
    assert [r["reason"] for r in rows.rejected] == ["column n holds 1.5, not Int64"]
    assert rows.splits["pool"]["n"].to_list() == [1, 2, None]


def test_vectors_of_another_length_are_set_aside(tmp_path):
    rng = np.random.default_rng(0)
    seen = pl.DataFrame({"z": rng.normal(size=(8, 3)).tolist(), "label": ["a", "b"] * 4})
    seen.write_parquet(tmp_path / "seen.parquet")
    pl.DataFrame({"z": [*rng.normal(size=(9, 3)).tolist(), [1.0]]}).write_parquet(tmp_path / "pool.parquet")
    rows = read(
        tmp_path / "seen.parquet", tmp_path / "pool.parquet", text_column=None, vector_column="z", max_rejected=0.1
    ).whole()
    assert len(rows.splits["pool"]) == 9 and rows.rejected[0]["reason"].startswith("a vector of 1 numbers where")


def test_images_by_path_are_relative_to_the_file_that_names_them(tmp_path):
    (tmp_path / "pool" / "images").mkdir(parents=True)
    lines = ["image,label"]
    for i in range(6):
        picture(10 * i).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'ab'[i % 2]}")
        picture(10 * i + 5).save(tmp_path / "pool" / "images" / f"{i}.png")
    (tmp_path / "seen.csv").write_text("\n".join(lines))
    names = "\n".join(f"images/{i}.png" for i in range(7))
    (tmp_path / "pool" / "more.csv").write_text(f"image\n{names}\n")
    rows = read(
        tmp_path / "seen.csv", tmp_path / "pool", text_column=None, image_column="image", max_rejected=0.2
    ).whole()
    assert rows.splits["pool"]["file"].to_list() == [f"images/{i}.png" for i in range(6)]
    assert rows.rejected == [
        {"where": "pool/more.csv:8", "reason": "images/6.png cannot be read: No such file or directory"}
    ]


def test_a_split_column_in_a_pool_file_says_pool_or_nothing(tmp_path):
    (tmp_path / "seen.csv").write_text("text,label,split\na,x,seed\nb,y,seed\nc,x,val\n")
    (tmp_path / "pool.csv").write_text("text,label,split\nd,x,pool\ne,,\nf,x,seed\n")
    rows = read(tmp_path / "seen.csv", tmp_path / "pool.csv", split_column="split", max_rejected=0.5).whole()
    assert rows.splits["pool"]["text"].to_list() == ["d", "e"]
    assert "a seed row among data.pool" in rows.rejected[0]["reason"]


def test_image_folders_come_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "CHUNK", 4)
    for name, number in (("labelled/a", 3), ("labelled/b", 3), ("unlabelled", 9), ("pool/a", 2)):
        (tmp_path / name).mkdir(parents=True)
        for i in range(number):
            picture(len(name) * 10 + i).save(tmp_path / name / f"{i}.png")
    rows = image_folder.read(FolderData(source="image_folder", path=tmp_path, max_rejected=0.1), seed=0)
    assert [chunk.num_rows for chunk in rows.pool_chunks] == [4, 4, 3]
    assert rows.pool_chunks[0].name == "pool/a/0.png … (4 files)"
    (tmp_path / "unlabelled" / "8.png").unlink()
    pieces = [pickle.loads(pickle.dumps(chunk)).read() for chunk in rows.pool_chunks]
    assert [len(piece) for piece, _ in pieces] == [4, 4, 2]
    assert pieces[2][1] == [{"where": "unlabelled/8.png", "reason": "cannot be read: No such file or directory"}]
    whole = rows.whole()
    assert whole.splits["pool"]["label"].to_list() == ["a", "a"] + [None] * 8 and whole.num_read == 17
