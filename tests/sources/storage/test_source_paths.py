"""Paths in tables, as other systems write them, lead to the file that is meant."""

import unicodedata

import pytest
from pictures import picture

from adde_ray.config.data import CsvData
from adde_ray.errors import UserError
from adde_ray.sources.storage.files import at
from adde_ray.sources.storage.paths import resolve
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.tables import table


@pytest.fixture
def folder(tmp_path):
    pics = ("pics and scans/scan 1.PNG", "pics and scans/Caf\u00e9.png")
    for name in (*pics, "x/a.jpg", "x/b.jpg", "x/b.png", "x/50%20.png", "Y/c.png", "y/c.png", "x/._a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("pics and scans\\scan 1.PNG", "pics and scans/scan 1.PNG"),
        (".\\pics and scans/scan 1.PNG", "pics and scans/scan 1.PNG"),
        (" ./pics and scans//scan 1.PNG\u00a0", "pics and scans/scan 1.PNG"),
        ("pics%20and%20scans/scan%201.PNG", "pics and scans/scan 1.PNG"),
        ("pics%20and%20scans%5Cscan%201.PNG", "pics and scans/scan 1.PNG"),
        ("Pics and Scans\\SCAN 1.png", "pics and scans/scan 1.PNG"),
        (unicodedata.normalize("NFD", "pics and scans/Caf\u00e9.png"), "pics and scans/Caf\u00e9.png"),
        ("x/a", "x/a.jpg"),
        ("x\\A.JPG", "x/a.jpg"),
        ("x/50%20.png", "x/50%20.png"),
        ("y/c.png", "y/c.png"),
        ("x/b", "x/b"),  # two files could be meant
        ("x/A.png", "x/A.png"),
        ("y/C.png", "y/c.png"),
    ],
)
def test_the_file_that_is_meant(folder, cell, name):
    assert resolve(Reach(folder), cell) == folder / name


@pytest.mark.parametrize(
    "cell", ["../y/c.png", "..\\y\\c.png", "..%2Fy%2Fc.png", "z/../../y/c.png", "/y/c.png", "\\y\\c.png"]
)
def test_no_spelling_leads_outside(folder, cell):
    try:
        found = resolve(Reach(folder / "x"), cell)
    except UserError as error:
        assert "lies outside" in error.what
    else:
        assert not found.exists()


def test_in_buckets_paths_are_mended_without_a_look():
    reach = Reach(at("s3://bucket/data"))
    assert str(resolve(reach, ".\\pics\\x 1.png")) == "s3://bucket/data/pics/x 1.png"
    assert str(resolve(reach, "pics/x.png")) == "s3://bucket/data/pics/x.png"


def test_a_table_written_on_windows(tmp_path):
    (tmp_path / "pics").mkdir()
    lines = ["image,label"]
    for i in range(12):
        picture(20 * i).save(tmp_path / "pics" / f"Scan {i}.PNG")
        lines.append(f"pics\\scan {i}.png,{'ab'[i % 2] if i < 8 else ''}")
    (tmp_path / "t.csv").write_text("\r\n".join(lines), newline="")
    rows = table.read(CsvData(source="table", path=tmp_path / "t.csv", image_column="image"), seed=0)
    assert not rows.rejected and len(rows.splits["pool"]) == 4
