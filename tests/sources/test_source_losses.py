"""What is lost on reading is told: a split or class that is gone whole, and what is behind an error."""

import pytest
from pictures import images, read

from adde_ray.config import Config
from adde_ray.config.data import CsvData
from adde_ray.errors import UserError
from adde_ray.sources.tables import table
from adde_ray.stages.ingest import prepare


def written(path, rows):
    path.write_text("text,label,split\n" + "".join(",".join(row) + "\n" for row in rows))
    return path


def rows_of(n=40):
    return [(f"plain words {i}", "ab"[i % 2], ("seed", "val", "pool", "pool")[i // 10]) for i in range(n)]


def test_a_split_that_is_gone_whole_is_an_error_however_few_its_rows(tmp_path):
    path = written(tmp_path / "t.csv", [*rows_of(), (" ", "a", "test")])
    with pytest.raises(UserError, match=r"none of the 1 test rows is usable; the first is t\.csv:42: no text"):
        table.read(CsvData(source="table", path=path, text_column="text", split_column="split"), seed=0)
    images(tmp_path, "labelled/a", "labelled/b", "unlabelled", count=20)
    (tmp_path / "test" / "a").mkdir(parents=True)
    (tmp_path / "test" / "a" / "0.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"none of the 1 test rows is usable; the first is test/a/0\.png: is no image"):
        read(tmp_path)


def test_a_class_that_is_gone_whole_is_told(tmp_path):
    path = written(tmp_path / "t.csv", [*rows_of(), (" ", "c", "seed")])
    rows = table.read(CsvData(source="table", path=path, text_column="text", split_column="split"), seed=0)
    assert rows.notes == ["No usable row is left of 1 classes: c"]


def test_an_error_holds_what_is_behind_it(tmp_path):
    path = written(tmp_path / "t.csv", [(f"words {i}", "a" if i < 10 else "n/a", "") for i in range(30)])
    config = {"data": {"source": "table", "path": str(path), "text_column": "text"}}
    with pytest.raises(UserError, match=r"fewer than two classes; 20 labels are missing by what they say: \"n/a\""):
        prepare(Config.parse(config))


def test_a_split_that_the_gates_leave_empty_is_an_error(tmp_path):
    path = written(tmp_path / "t.csv", [*rows_of(), ("tiny", "a", "test")])
    data = {"source": "table", "path": str(path), "text_column": "text", "split_column": "split"}
    with pytest.raises(UserError, match=r"no test row is left of those read; the first, t\.csv:42: "):
        prepare(Config.parse({"data": data, "gates": {"min_chars": 6, "max_rejected": 1.0}}))
