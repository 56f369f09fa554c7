"""Separated values that Arrow's reader takes over: the same table and the same rejects as by our own reader."""

import random

import pytest
from polars.testing import assert_frame_equal

from adde_ray.errors import UserError
from adde_ray.sources.tables import delimited
from adde_ray.sources.tables.delimited import Dialect, parse_csv

CELLS = (
    "",
    " ",
    "a",
    "0",
    "NULL",
    "NaN",
    "1.0",
    "true",
    "2024-01-01",
    "été",
    "雪",
    "\u2028",
    "\x0b",
    "\\",
    "a'b",
    " x ",
)

ODDITIES = {
    "nothing": [],
    "quotes": [b'"q"', b'"two\nlines"', b'a "b', b'""', b'"'],
    "backslashes": [b"\\", b"\\\\", b'\\"'],
    "blank lines": [b"\n", b"\r\n", b"\n\n", b"  \n"],
    "ragged rows": [b",", b",,,,\n", b"one\n"],
    "line ends": [b"\r", b"\r\n", b"\r\r\n", b"\n\r"],
    "encodings": [b"\xe9", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3", b"\0", b"\xef\xbb\xbf"],
}


def written(rng: random.Random, dialect: Dialect, oddities: list[bytes]) -> bytes:
    """Some rows, with an oddity here and there, at the beginning and at the end too."""
    end = rng.choice((b"\n", b"\r\n"))
    cells = [cell for cell in CELLS if dialect.separator not in cell]
    width = dialect.width
    rows = [dialect.separator.join(rng.choice(cells) for _ in range(width)).encode() for _ in range(rng.randrange(12))]
    data = bytearray(end.join(row or b"x" for row in rows) + end * rng.randrange(2))
    for odd in rng.choices(oddities, k=rng.randrange(1, 3)) if oddities else ():
        at = rng.choice((0, len(data), rng.randrange(len(data) + 1)))
        data[at:at] = odd
    return bytes(data)


def read(data: bytes, dialect: Dialect):
    try:
        return parse_csv(data, "x.csv", dialect, line=3)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("kind", ODDITIES)
@pytest.mark.parametrize("separator", [*delimited.SEPARATORS, ":"])
def test_arrow_reads_what_our_own_reader_does(monkeypatch, kind, separator):
    rng, taken = random.Random(f"{kind}{separator}"), 0
    for _ in range(150):
        header = tuple("abcd")[: rng.randrange(1, 5)]
        dialect = Dialect(header, separator, 2, 0, escaped=kind == "backslashes" and rng.random() < 0.5)
        data = written(rng, dialect, ODDITIES[kind])
        found = read(data, dialect)
        taken += delimited._by_arrow(data, dialect) is not None
        with monkeypatch.context() as patched:
            patched.setattr(delimited, "_by_arrow", lambda data, dialect: None)
            expected = read(data, dialect)
        if isinstance(expected, str):
            assert found == expected, data
        else:
            assert_frame_equal(found[0], expected[0])
            assert found[1] == expected[1], data
    assert (taken > 100) == (kind == "nothing" and separator in delimited.SEPARATORS)


def test_a_long_row_and_a_long_field_are_read_as_ever():
    dialect = Dialect(("a", "b"), ",", 2, 0)
    long = "x" * (3 << 20)
    table, rejected = parse_csv(f"1,2\n{long},3\n4,5\n".encode(), "x.csv", dialect, line=2)
    assert table["a"].to_list() == ["1", long, "4"] and table["b"].to_list() == ["2", "3", "5"] and not rejected
