"""What is opened, and how much it may become: whatever lies in a folder or stands in a file."""

import contextlib
import io
import os
import resource
import threading

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from pictures import picture
from PIL import Image

from adde_ray.config.data import CsvData, FolderData, NpyData, TilesData
from adde_ray.errors import UserError
from adde_ray.sources import npy
from adde_ray.sources.images import image_folder
from adde_ray.sources.images.pictures import read_images
from adde_ray.sources.images.room import Room
from adde_ray.sources.storage import files
from adde_ray.sources.storage.walking import OUTSIDE
from adde_ray.sources.tables import table
from adde_ray.sources.tables.columnar import read_parquet
from adde_ray.sources.tables.readers import read_file

MIB = 1 << 20


@pytest.fixture
def memory():
    """MiB that the process has grown by at most since the test began."""

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    before = peak()
    return lambda: peak() - before


@pytest.fixture
def folder(tmp_path):
    """An image folder with room for more."""
    for name in ("labelled/a", "labelled/b", "unlabelled"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(4):
            picture(len(name) * 10 + i).save(tmp_path / name / f"{i}.png")
    return tmp_path


def unusable(folder, **given) -> dict[str, str]:
    rows = image_folder.read(FolderData(source="image_folder", path=folder, max_rejected=0.9, **given), seed=0).whole()
    return {reject["where"]: reject["reason"] for reject in rows.rejected}


def test_only_regular_files_are_opened(folder):
    os.mkfifo(folder / "labelled" / "a" / "fifo.png")
    (folder / "unlabelled" / "zero.png").symlink_to("/dev/zero")
    (folder / "unlabelled" / "tty.png").symlink_to("/dev/ptmx")
    (folder / "unlabelled" / "folder.png").mkdir()
    reasons = unusable(folder)
    devices = dict.fromkeys(("unlabelled/zero.png", "unlabelled/tty.png"), OUTSIDE)
    assert reasons == {"labelled/a/fifo.png": "cannot be read: is no regular file", **devices}
    reasons = unusable(folder, roots=("/dev",))
    assert set(reasons.values()) == {"cannot be read: is no regular file"} and len(reasons) == 3
    os.mkfifo(folder / "t.csv")
    for path in (folder / "t.csv", files.Path("/dev/zero"), folder):
        with pytest.raises(OSError, match=r"is no regular file|is a folder"):
            files.open_file(path)
    with pytest.raises(UserError, match=r"t\.csv: no such file"):
        table.read(CsvData(source="csv", path=folder / "t.csv", text_column="text"), seed=0)
    rows = pl.DataFrame({"text": list("abcd"), "label": ["x", "y"] * 2})
    rows.write_csv(folder / "rows.csv")
    (folder / "more").mkdir()
    os.mkfifo(folder / "more" / "fifo.csv")
    rows.select("text").write_csv(folder / "more" / "a.csv")
    config = CsvData(source="csv", path=folder / "rows.csv", pool=folder / "more", text_column="text")
    assert [r["reason"] for r in table.read(config, seed=0).rejected] == ["cannot be read: is no regular file"]


def test_files_without_end_are_not_read_to_it(folder):
    with (folder / "unlabelled" / "sparse.png").open("wb") as file:
        file.truncate(1 << 40)
    assert "larger than 128 MiB" in unusable(folder)["unlabelled/sparse.png"]
    with (folder / "t.csv").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("t.csv", "t.jsonl"):
        (folder / name).exists() or (folder / name).symlink_to(folder / "t.csv")
        with pytest.raises(UserError, match=r"is larger than 1,024 MiB"):
            read_file(folder / name)
    for path in ("/proc/self/mem", "/proc/kmsg"):  # regular files, by what they say
        with contextlib.suppress(OSError):
            files.read_bytes(files.Path(path), MIB)


def test_images_and_tiles_of_too_many_pixels_are_told_of(folder, memory):
    bomb = io.BytesIO()
    Image.new("1", (13_300, 13_300)).save(bomb, "PNG")
    for i in range(6):
        (folder / "unlabelled" / f"bomb{i}.png").write_bytes(bomb.getvalue())
    assert all("is 13300x13300 pixels, too many" in reason for reason in unusable(folder).values())
    [large, small] = read_images([_png(7000, 7000), _png(8, 8)], size=8, mode="RGB")
    assert isinstance(large, bytes) and isinstance(small, bytes)

    for name in ("labelled/a", "labelled/b", "unlabelled"):
        for i in range(3):
            pixels = np.full((3, 8, 8), len(name) * 10 + i, np.uint8)
            tifffile.imwrite(folder / name / f"{i}.tif", pixels, photometric="minisblack")
    tifffile.imwrite(
        folder / "unlabelled" / "bomb.tif",
        np.zeros((3, 10_000, 10_000), np.uint8),
        photometric="minisblack",
        compression="zlib",
        tile=(256, 256),
    )
    config = TilesData(source="tiles", path=folder, bands=(3, 2, 1), scale=(0, 255), max_rejected=0.5)
    rows = image_folder.read(config, seed=0).whole()
    assert [r["reason"] for r in rows.rejected] == ["is too large for a tile; cut it"]
    assert memory() < 1000


def _png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height), 7).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_small_table_becomes_no_gigabytes(tmp_path, memory):
    rows = pa.table({"text": pa.array(["x"] * 20_000_000).dictionary_encode()})
    pq.write_table(rows, tmp_path / "rows.parquet", compression="zstd")
    del rows
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"text": long}), tmp_path / "long.parquet", compression="zstd")
    before = memory()
    for name in ("rows.parquet", "long.parquet"):
        assert (tmp_path / name).stat().st_size < MIB
        with pytest.raises(UserError, match=r"would take more than 256 MiB.*data\.pool"):
            read_parquet(tmp_path / name)
    assert memory() - before < 700


def test_memory_is_shared_by_those_who_decode():
    room, held, most = Room(100), [], []
    assert room.holds(100) and not room.holds(101)

    def decode() -> None:
        with room.take(40):
            held.append(1)
            most.append(len(held))
            held.pop()

    threads = [threading.Thread(target=decode) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert max(most) <= 2 and len(most) == 20
    with room.take(100):
        pass


@pytest.mark.parametrize("damage", ["flip", "cut", "zero"])
def test_damaged_parquet_is_told_of_in_one_line(tmp_path, damage):
    given = pl.DataFrame(
        {
            "text": [f"sentence {i} with some words" for i in range(400)],
            "label": [["a", "b"][i % 2] if i < 100 else None for i in range(400)],
            "vector": [[float(i), 1.0] for i in range(400)],
        }
    )
    buffer = io.BytesIO()
    given.write_parquet(buffer, row_group_size=100)
    data, rng = buffer.getvalue(), np.random.default_rng(0)
    for number in range(60):
        broken = bytearray(data)
        at = int(rng.integers(len(data)))
        if damage == "flip":
            broken[at] ^= 1 << int(rng.integers(8))
        elif damage == "cut":
            del broken[at : at + int(rng.integers(1, 50))]
        else:
            broken[at : at + 20] = bytes(len(broken[at : at + 20]))
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(broken)
        for column in ("text_column", "vector_column"):
            config = CsvData(source="table", path=path, max_rejected=0.9, **{column: column.removesuffix("_column")})
            try:
                rows = table.read(config, seed=0)
                assert sum(map(len, rows.splits.values())) + sum(r.get("rows", 1) for r in rows.rejected) <= 400
            except UserError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (10**18, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000000, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1000000000000000000000), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (3, 4), }",
        "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3,), }",
        "(" * 3000,
        "{'descr': '<f4'",
        "__import__('os').system('true')",
        "{'descr': '<f4', 'fortran_order': 'maybe', 'shape': 'large', }",
        "\x00" * 100,
        "9" * 6000,
    ],
)
def test_npy_headers_that_lie(tmp_path, header):
    head = header.encode("latin-1")
    data = b"\x93NUMPY\x02\x00" + len(head).to_bytes(4, "little") + head + np.zeros((3, 4), np.float32).tobytes()
    (tmp_path / "vectors.npy").write_bytes(data)
    (tmp_path / "labels.csv").write_text("label\na\nb\na\n")
    with pytest.raises(UserError) as error:
        npy.read(NpyData(source="npy", path=tmp_path), seed=0)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    (tmp_path / "vectors.npy").unlink()
    np.save(tmp_path / "vectors.npy", np.zeros((3, 4), np.float32))
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "labels.npy").write_bytes(data)
    with pytest.raises(UserError) as error:
        npy.read(NpyData(source="npy", path=tmp_path), seed=0)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_labels_of_npy_that_are_no_text(tmp_path):
    np.save(tmp_path / "vectors.npy", np.zeros((2, 4), np.float32))
    for values in (np.array(["a", "\ud83d"]), np.array([b"a", b"\xff"]), np.array([0x110000, 5], "<u4").view("<U1")):
        np.save(tmp_path / "labels.npy", values)
        with pytest.raises(UserError, match="holds what is no text"):
            npy.read(NpyData(source="npy", path=tmp_path), seed=0)
