"""Quotes in separated values: what is text never becomes rows, whoever wrote the file, read whole or in chunks."""

import csv
import io
import random

import polars as pl
import pytest

from adde_ray.config.data import CsvData
from adde_ray.errors import UserError
from adde_ray.sources.tables import files as table_files
from adde_ray.sources.tables import readers, table

HARD = [
    'he said "hi", and left\nlabel me,now\nmore text',
    'he said:"\nlabel me,now\n" and left',
    'a 5" pipe, then\nlabel me,now\nthe end',
    '"bye", she said,\nyes,no\nand "left"',
]


def lines_of(path, rows):
    """What is read in chunks of `rows` rows."""
    pieces = [chunk.read() for chunk in table_files.list_chunks(path, path.name, rows).chunks]
    return pl.concat([piece for piece, _ in pieces]), [reject for _, aside in pieces for reject in aside]


def read(path):
    """What is read whole; held to be the same in chunks of any size."""
    whole = readers.READERS[".csv"](path)
    for rows in (1, 7, 1000):
        pieces, rejected = lines_of(path, rows)
        assert pieces.equals(whole[0]) and rejected == whole[1]
    return whole


def written(path, texts, quoted, header="text,label\n"):
    """Every text by `quoted`, with the labels a and b in turn."""
    body = "".join(f"{quoted(text)},{'ab'[i % 2]}\n" for i, text in enumerate(texts))
    path.write_text(header + body, newline="")
    return path


def among(hard, n=200):
    texts = [f"plain words {i}" for i in range(n)]
    for i, text in enumerate(hard):
        texts[20 + 50 * i] = text
    return texts


def test_quotes_after_a_backslash_are_read_as_spark_and_mysql_write_them(tmp_path):
    for quoted in (
        lambda text: '"' + text.replace('"', '\\"') + '"',
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n") + '"',
    ):
        rows, rejected = read(written(tmp_path / "a.csv", among(HARD), quoted))
        assert rows["text"].to_list() == among(HARD) and not rejected
        assert set(rows["label"]) == {"a", "b"}


@pytest.mark.parametrize("hard", HARD)
def test_lines_of_a_text_whose_quotes_are_not_doubled_are_no_rows(tmp_path, hard):
    rows, rejected = read(written(tmp_path / "a.csv", among([hard]), lambda text: f'"{text}"'))
    assert set(rows["label"]) <= {"a", "b"} and rejected and "quote" in rejected[0]["reason"]
    assert len(rows) + sum(reject.get("rows", 1) for reject in rejected) >= 200


def test_a_quote_that_is_never_closed_costs_the_rest_of_the_file(tmp_path):
    path = written(tmp_path / "a.csv", among([]), str)
    path.write_text(path.read_text() + '"a long text,\nlabel me,now\nand so', newline="")
    rows, [reject] = read(path)
    assert len(rows) == 200 and reject["where"] == "a.csv:202-204" and reject["rows"] == 3
    assert "never closed" in reject["reason"]


def test_few_broken_quotes_are_set_aside_and_many_refuse_the_file(tmp_path):
    path = written(tmp_path / "a.csv", among(['say "hi" to me']), lambda text: f'"{text}"')
    rows, [reject] = read(path)
    assert len(rows) == 199 and reject["where"] == "a.csv:22"
    odd = 'a 5" pipe'  # where it ends cannot be told: no pairs
    written(path, among([odd]), lambda text: f'"{text}"')
    with pytest.raises(UserError, match=r"180 of 200 rows are unusable .* a\.csv:22-201: text follows a closing quote"):
        table.read(CsvData(source="csv", path=path, text_column="text"), seed=0)


def test_quotes_in_fields_without_quotes_are_text(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\nhe said "hi",a\n5" pipe,b\nTV 55",a\n')
    rows, rejected = read(tmp_path / "a.csv")
    assert rows["text"].to_list() == ['he said "hi"', '5" pipe', 'TV 55"'] and not rejected


@pytest.mark.parametrize("seed", range(8))
def test_texts_of_any_kind_written_well_are_read_as_they_are(tmp_path, seed):
    rng = random.Random(seed)
    pieces = ['"', '""', ",", "\n", "\r\n", "\\", " ", "word", 'said "hi", and', '",', "'"]
    texts = [f"t{''.join(rng.choices(pieces, k=rng.randrange(12)))}." for _ in range(60)]
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *((text, rng.choice("ab")) for text in texts)])
    (tmp_path / "a.csv").write_text(out.getvalue(), newline="")
    rows, rejected = read(tmp_path / "a.csv")
    assert rows["text"].to_list() == texts and not rejected
    cut = out.getvalue()[: rng.randrange(40, len(out.getvalue()))]
    (tmp_path / "a.csv").write_text(cut, newline="")
    assert set(read(tmp_path / "a.csv")[0]["label"].drop_nulls()) <= {"a", "b"}


def test_a_file_by_a_program_that_knows_no_quoting_is_refused(tmp_path):
    """Whatever share of rows may be unusable: in most of such files some line of a text looks like a row."""
    rows = (f'"he said "no" to {i}\nand words, INVENTED\nso "{i}"",{"ab"[i % 2]}' for i in range(40))
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    config = CsvData(source="csv", path=tmp_path / "t.csv", text_column="text", max_rejected=1)
    with pytest.raises(UserError, match="neither doubled nor escaped"):
        table.read(config, seed=0)
