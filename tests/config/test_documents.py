"""TOML and JSON of any content: read, or refused in one line that says what is wrong and where."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from adde_ray.config import Config
from adde_ray.config.documents import MAX_JSON_BYTES, MAX_TOML_BYTES, parse_json, parse_toml, read_json, read_toml
from adde_ray.errors import UserError, escaped, shown

TOML = {
    "no closing bracket": (b"[data\n", "line 1"),
    "a key twice": (b"a = 1\nb = 2\na = 3\n", r"overwrite a value \(at line 3"),
    "arrays too deep": (b"a = " + b"[" * 5000 + b"]" * 5000, "too deep"),
    "tables too deep": (b"a = " + b"{a = " * 100 + b"1" + b"}" * 100, "too deep"),
    "a long dotted key": (b"x = 1\n" + b"a." * 100_000 + b"b = 1", "more than 32 parts .at line 2"),
    "a long quoted key": (b"['a'." + b' "b" .' * 100 + b"c]", "more than 32 parts .at line 1"),
    "headers too deep": (b"[" + b".".join([b"a"] * 33) + b"]\nb = {c = [[1]]}", "parts|deep"),
    "5,000 digits": (b"a = " + b"1" * 5000, "thousands of digits"),
    "Latin-1": ("a = 1\nb = 'café'".encode("latin-1"), "not in UTF-8: byte 0xe9 in line 2.*Save it as UTF-8"),
    "UTF-16": ("a = 1".encode("utf-16"), "UTF-16.*Save it as UTF-8"),
    "UTF-16 without a mark": ("a = 1".encode("utf-16-le"), "UTF-16.*Save it as UTF-8"),
    "UTF-32": ("a = 1".encode("utf-32"), "UTF-16"),
    "NUL": (b"a = '\0'", "no text"),
    "half a character": (b'a = "\\ud800"', "not valid TOML"),
    "too large": (b"#" * (MAX_TOML_BYTES + 1), "larger than 1 MiB"),
}

JSON = {
    "nothing": (b"", "is not JSON.*line 1"),
    "cut short": (b'{"a": 1,\n "b": [1', "is not JSON.*line 2"),
    "too deep": (b"[" * 100_000, "too deep"),
    "objects too deep": (b'{"a":' * 100_000, "too deep"),
    "5,000 digits": (b'{"a": ' + b"1" * 5000 + b"}", "thousands of digits"),
    "NaN": (b'{"a": NaN}', "holds NaN"),
    "-Infinity": (b'{"a": -Infinity}', "holds -Infinity"),
    "a key twice": (b'{"a": {"b": 1, "c": 2, "b": 3}}', "twice .got 'b'"),
    "no object": (b"[1, 2]", "holds no JSON object"),
    "Latin-1": (b'{"a":\n"\xe9"}', "byte 0xe9 in line 2"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-16"),
    "too large": (b" " * (MAX_JSON_BYTES + 1), "larger than 32 MiB"),
}


@pytest.mark.parametrize(
    ("read", "data", "message"),
    [
        pytest.param(read, *case, id=name)
        for read, cases in ((read_toml, TOML), (read_json, JSON))
        for name, case in cases.items()
    ],
)
def test_what_is_none_is_one_line_that_names_the_file(read, data, message, tmp_path):
    path = tmp_path / "it.txt"
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"it.txt: .*{message}") as error:
        read(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_byte_order_marks_and_line_ends_of_other_systems_are_read(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\n[b]\rc = 'x'\r")
    assert read_toml(tmp_path / "a.toml") == {"a": 1, "b": {"c": "x"}}
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1]}')
    assert read_json(tmp_path / "a.json") == {"a": [1]}


def test_dots_in_texts_and_numbers_are_no_keys():
    text = "a = '" + "x." * 100 + "'\nb = [" + "1.5, " * 100 + "2]"
    assert parse_toml(text, where="x")["b"][-1] == 2


@pytest.mark.parametrize("read", [read_toml, read_json])
def test_only_regular_files_are_opened(read, tmp_path):
    """In a thread: what opens a FIFO waits for ever."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to("circle")
    told: list[str] = []

    def look() -> None:
        there = (tmp_path / name for name in ("fifo", "link", "", "circle", "x" * 300, "a\0b", "none"))
        for path in (*there, Path("/dev/tty"), Path("/proc/self/mem"), Path("/dev/null")):
            with pytest.raises(UserError) as error:
                read(path)
            told.append(str(error.value))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it hangs"
    assert len(told) == 10 and "is no regular file" in told[0] and "is a folder" in told[2]
    assert "No such file" in told[6]


def test_values_of_any_kind_are_shown_short():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    for value in (10**100_000, "x" * 10**6, deep, {1: 2, "a": deep}, list(range(10**5)), "\udce9\0", b"\xff" * 1000):
        told = shown(value)
        assert len(told) < 1000 and told.isprintable()
    assert escaped("caf\udce9 \x1b[31m\u202e\n") == "caf\\xe9 \\x1b[31m\\u202e\\n"


def test_a_message_of_names_of_any_kind_is_one_short_line():
    error = UserError("w\ud800" * 5000, where="a\nb\udcff" * 500, value="v" * 5000, remedy="r\x07" * 9000)
    assert str(error).isprintable() and len(str(error)) < 20_000
    str(error).encode()


def test_a_config_on_the_command_line_may_hold_anything(tmp_path):
    (tmp_path / "c.toml").write_text('[data]\nsource = "digits"\n')
    for bad in (
        "a." * 50_000 + "b=1",
        "select.alpha=" + "[" * 50_000,
        "run.seed=" + "1" * 5000,
        "run.name=\udce9",
        "select=\n[data]\n",
        "=",
        "..=1",
        "data.source.x=1",
        "run.name=x\0",
    ):
        with pytest.raises(UserError) as error:
            Config.load(tmp_path / "c.toml", [bad])
        assert len(str(error.value)) < 2000, bad[:20]


def test_json_of_another_kind_than_an_object():
    assert parse_json(b"[1]", where="x", kind=list) == [1]
    with pytest.raises(UserError, match="holds no JSON array"):
        parse_json(b"{}", where="x", kind=list)
