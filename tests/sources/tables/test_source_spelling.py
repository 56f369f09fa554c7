"""The same labels are the same classes in every format, and missing is missing in each."""

import datetime
import decimal
import json

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adde_ray.config.data import CsvData, NpyData
from adde_ray.errors import UserError
from adde_ray.labels import canonical
from adde_ray.sources import npy
from adde_ray.sources.tables import table

NAN = float("nan")


def read(path, **settings):
    return table.read(CsvData(source="table", path=path, text_column="text", **settings), seed=0)


def written(tmp_path, labels, missing=None):
    """Twelve rows with the labels in turn and eight with `missing`, in each format; {format: path}."""
    labels = [labels[i % len(labels)] for i in range(12)] + [missing] * 8
    texts = [f"text {i}" for i in range(20)]
    frame = pl.DataFrame({"text": texts, "label": labels}, strict=False)
    paths = {kind: tmp_path / f"t.{kind}" for kind in ("csv", "parquet", "jsonl")}
    cells = ["" if label is None or label != label else str(label) for label in labels]
    paths["csv"].write_text("text,label\n" + "".join(f"{a},{b}\n" for a, b in zip(texts, cells, strict=True)))
    frame.write_parquet(paths["parquet"])
    rows = [{"text": a, "label": b} for a, b in zip(texts, labels, strict=True)]
    paths["jsonl"].write_text("\n".join(json.dumps(row, default=str) for row in rows))
    return paths


@pytest.mark.parametrize(
    ("labels", "missing", "classes"),
    [
        ([True, False], None, ("false", "true")),
        ([0.0, 1.0], NAN, ("0", "1")),
        ([0.5, 1.0], None, ("0.5", "1")),
        ([decimal.Decimal("1.50"), decimal.Decimal("2.00")], None, ("1.5", "2")),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 2, 1)], None, ("2024-01-01", "2024-02-01")),
        (
            [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 2, 1, 6)],
            None,
            ("2024-01-01", "2024-02-01T06:00:00"),
        ),
        ([2**53 + 1, 2**53 + 3], None, ("9007199254740993", "9007199254740995")),
        (["01", "1e5", "+1"], None, ("+1", "01", "1e5")),
        (["Cafe\u0301", "Café\u00a0", "\ufeffb", "b\u200b"], "", ("Café", "b")),
        (["a", "b"], "n/a", ("a", "b")),
        (["a", "b"], "NULL", ("a", "b")),
        (["a", "b"], "NA", ("a", "b")),
    ],
)
def test_one_label_is_one_class_in_every_format(tmp_path, labels, missing, classes):
    for kind, path in written(tmp_path, labels, missing).items():
        rows = read(path)
        assert rows.classes == classes and len(rows.splits["pool"]) == 8, kind


def test_words_that_may_be_names_are_missing_only_where_nothing_else_is(tmp_path):
    path = written(tmp_path, ["a", "b", "NA"])["csv"]
    rows = read(path)
    assert rows.classes == ("NA", "a", "b") and 'data.missing = ["NA"]' in rows.notes[0]
    rows = read(path, missing=("NA",))
    assert rows.classes == ("a", "b") and len(rows.splits["pool"]) == 12
    rows = read(written(tmp_path, ["a", "b", "NA"], "-")["csv"], classes=("NA", "a", "b"))
    assert rows.classes == ("NA", "a", "b") and len(rows.splits["pool"]) == 8
    assert any('8 labels are "-", taken as missing' in note for note in rows.notes)
    assert not any("usable" in note for note in rows.notes)


def test_classes_of_a_label_with_several_are_read_as_labels_are(tmp_path):
    cells = ["1.0; Cafe\u0301 ", "Café;1", "none", "N/A", "2;nan", ""]
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"t{i},{c}\n" for i, c in enumerate(cells * 3)))
    rows = read(tmp_path / "t.csv", label_separator=";")
    assert rows.classes == ("1", "2", "Café") and len(rows.splits["pool"]) == 6 and not rows.notes
    assert set(pl.concat([rows.splits["seed"], rows.splits["val"]])["label"]) == {"1|Café", "2", ""}


def test_what_was_taken_as_missing_and_as_one_class_is_told(tmp_path):
    notes = read(written(tmp_path, ["a", "1.0", "1"], "NaN")["csv"]).notes
    assert notes == ['8 labels are missing by what they say: "NaN"', "Written in several ways, taken as one class: 1"]


def test_json_tokens_that_are_no_numbers_are_missing_in_every_column(tmp_path):
    lines = [{"text": f"t{i}", "label": "ab"[i % 2], "score": 1.5} for i in range(8)]
    lines += [{"text": "x", "label": NAN, "score": -np.inf}, {"text": NAN, "label": "a", "score": np.inf}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows = read(tmp_path / "t.jsonl", max_rejected=0.2)
    assert rows.splits["pool"]["score"].to_list() == [None] and rows.rejected[0]["reason"] == "no text"


def test_a_list_of_json_objects_is_a_table(tmp_path):
    rows = [{"text": f"t{i}", "label": "ab"[i % 2] if i < 8 else NAN} for i in range(12)]
    (tmp_path / "t.json").write_text(json.dumps([*rows, 7], indent=1))
    found = read(tmp_path / "t.json", max_rejected=0.2)
    assert found.classes == ("a", "b") and len(found.splits["pool"]) == 4
    assert found.rejected == [{"where": "t.json: row 13", "reason": "not a JSON object"}]
    for name, message in (("u.json", "not valid JSON"), ("t.csv.gz", "Unpack it")):
        (tmp_path / name).write_text("[1,")
        with pytest.raises(UserError, match=message):
            read(tmp_path / name)


def test_arrow_types_that_polars_lacks(tmp_path):
    texts = pa.array([f"t{i}" for i in range(8)])
    wide = pa.array([decimal.Decimal("1.0"), decimal.Decimal(2)] * 2 + [None] * 4, pa.decimal256(50, 1))
    pq.write_table(pa.table({"text": texts, "label": wide}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").classes == ("1", "2")
    pq.write_table(pa.Table.from_arrays([texts, texts, texts], ["text", "label", "label"]), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"more than one occurrence|two columns have one name"):
        read(tmp_path / "t.parquet")


def test_labels_of_vectors_are_missing_by_value_too(tmp_path):
    np.save(tmp_path / "vectors.npy", np.arange(40, dtype=np.float32).reshape(20, 2))
    (tmp_path / "labels.csv").write_text("label\n" + "".join(f"{label}\n" for label in [1.0, "0.0"] * 5 + ["NaN"] * 10))
    rows = npy.read(NpyData(source="npy", path=tmp_path / "vectors.npy"), seed=0).whole()
    assert rows.classes == ("0", "1") and len(rows.splits["pool"]) == 10


def test_splits_are_known_in_any_case_and_classes_given_are_read_as_labels_are(tmp_path):
    (tmp_path / "t.csv").write_text("text,label,split\na,1.0,Seed\nb,TRUE,seed\nc,1,VAL\nd,true,val\ne,, pool \n")
    rows = read(tmp_path / "t.csv", split_column="split", classes=("1", "True"))
    assert rows.classes == ("1", "true") and {name: len(part) for name, part in rows.splits.items()} == {
        "seed": 2, "val": 2, "pool": 1,
    }  # fmt: skip


@pytest.mark.parametrize("value", [None, NAN, "", " \u00a0\u200b", "NaN", "<NA>", "NaT", "#N/A", "null", "\\N"])
def test_missing_values_have_no_form(value):
    assert canonical(value) is None


def test_a_canonical_form_is_its_own():
    for value in (True, 1.0, 1e20, "1.50", "é", datetime.timedelta(hours=2), np.float32(0.1), "-0.0", "none", "TRUE"):
        assert canonical(canonical(value)) == canonical(value)
