"""Tables in other encodings and dialects: read, or named with what to do."""

import pytest

from adde_ray.config.data import CsvData
from adde_ray.errors import UserError
from adde_ray.sources.tables import files as table_files
from adde_ray.sources.tables import readers, table
from adde_ray.sources.tables.encodings import likely

ROWS = [(f"größe {i}", "ab"[i % 2] if i < 20 else "") for i in range(40)]


def body(separator=",", rows=ROWS):
    return "".join(f"{separator.join(row)}\n" for row in (("text", "label"), *rows))


def read(path, data, **settings):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    rows = table.read(CsvData(source="csv", path=path, text_column="text", **settings), seed=0)
    [(frame, _)] = [chunk.read() for chunk in table_files.list_chunks(path, path.name, 10**6).chunks]
    assert readers.READERS[path.suffix](path)[0].equals(frame)
    return rows


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_wide_encodings_are_named_with_and_without_a_mark(tmp_path, encoding, suffix):
    path = tmp_path / f"t.{suffix}"
    path.write_bytes((body() if suffix == "csv" else '{"text": "größe", "label": "a"}\n' * 9).encode(encoding))
    for reader in (readers.read_file, lambda path: table_files.list_chunks(path, path.name, 10)):
        with pytest.raises(UserError, match=rf"is {encoding[:6].upper()}.*Save it as UTF-8"):
            reader(path)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Die Größe der Straße – schön"),
        ("Mac Roman", "Die Größe und die Höhe der Bäume"),
        ("cp1251", "Быстрая доставка и спасибо за покупку"),
        ("KOI8-R", "Быстрая доставка и спасибо за покупку"),
        ("Shift-JIS", "これはとても良い商品です。ありがとう"),
        ("GB18030", "这个商品的质量很好，谢谢你们的服务"),
        ("EUC-KR", "배송이 빠르고 상품이 아주 좋습니다"),
    ],
)
def test_other_encodings_are_refused_with_the_likely_one(tmp_path, encoding, text):
    data = text.encode(encoding.replace("Mac Roman", "mac_roman"))
    assert likely(data) == encoding
    rows = "".join(f"{text} {i},{'ab'[i % 2]}\n" for i in range(40))
    with pytest.raises(UserError, match=rf"40 of 40 rows .* not UTF-8 \({encoding}, by the looks\)"):
        read(tmp_path / "t.csv", b"text,label\n" + rows.encode(encoding.replace("Mac Roman", "mac_roman")))


@pytest.mark.parametrize(
    ("head", "separator"),
    [
        ("sep=;\n", ";"),
        ('"sep=|"\r\n', "|"),
        ("SEP=\t\n", "\t"),
        ("sep=:\n", ":"),
        ("", "|"),
        ("# made by hand\n# on a Monday, early\n\n", ","),
    ],
)
def test_dialects(tmp_path, head, separator):
    rows = read(tmp_path / "t.csv", "\ufeff" + head + body(separator))
    assert len(rows.splits["pool"]) == 20 and rows.classes == ("a", "b") and not rows.rejected
    assert f"t.csv:{head.count(chr(10)) + 22}" in rows.splits["pool"]["_where"].to_list()


def test_names_of_columns_are_read_as_they_look(tmp_path):
    for head in ("\ufefftext ,\u00a0label", '"text", label\u200b', "#text,label"):
        name = "#text" if head.startswith("#") else "text"
        path = tmp_path / "t.csv"
        path.write_text(head + body().removeprefix("text,label"))
        assert table.read(CsvData(source="csv", path=path, text_column=name), seed=0).classes == ("a", "b")


def test_line_ends_of_any_kind(tmp_path):
    for end in ("\r", "\r\n", "\n"):
        rows = read(tmp_path / "t.csv", body().replace("\n", end) + end)
        assert len(rows.splits["pool"]) == 20 and not rows.rejected
