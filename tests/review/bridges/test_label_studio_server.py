"""What Label Studio 1.23.2 has exported, and servers that are none, or would like to know the access token."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bridged import questions

from adde_ray.errors import UserError
from adde_ray.review.bridges.formats import BRIDGES
from adde_ray.review.bridges.label_studio_server import KEY, Server
from adde_ray.review.bridges.take import check

EXPORTS = Path(__file__).parents[2] / "fixtures" / "label-studio"
"""Of the queries below, pushed, annotated and exported through its API."""

TOKEN = "f00d" * 10


@pytest.mark.parametrize("end", ["json", "min.json"])
def test_texts_as_they_were_exported(end):
    path = EXPORTS / f"texts.{end}"
    found = check(questions("text", run="b" * 16), BRIDGES["label-studio"].read(path), path)
    assert [(one.action, one.label, one.comment, one.seconds) for one in found.answers] == [
        ("accept", "01", "clear", 1.5),
        ("correct", "=cmd", None, 1.5),
        ("reject", None, None, 1.5),
    ]
    assert {one.annotator for one in found.answers} == {"user 1"} and len(found.skips) == (end == "json")


@pytest.mark.parametrize("end", ["json", "min.json"])
def test_images_of_several_classes_as_they_were_exported(end):
    path = EXPORTS / f"images.{end}"
    found = check(questions("image", multi=True, run="a" * 16), BRIDGES["label-studio"].read(path), path)
    assert [one.label for one in found.answers] == ["<b>|a, b", "", "=cmd|?café"]
    assert found.answers[2].comment == "half hidden"


# --- servers ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(status: int, body: bytes = b"{}", **headers: str):
    """A server that answers everything so: (its address, the headers it was sent)."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv(KEY, TOKEN)


def refused(url: str) -> str:
    with pytest.raises(UserError) as error:
        Server(url).push(questions())
    assert TOKEN not in str(error.value) and len(error.value.lines) == 1
    return str(error.value)


def test_the_token_goes_nowhere_else():
    with answering(200) as (other, seen), answering(302, Location=f"{other}/x") as (url, first):
        told = refused(url)
    assert "leads elsewhere, where the access token is not sent" in told and other in told
    assert not seen and first[0]["Authorization"] == f"Token {TOKEN}"


def test_a_token_is_not_in_what_a_server_says():
    with answering(500, f"you sent {TOKEN}".encode()) as (url, _):
        assert "answers with the error 500 (got 'you sent …')" in refused(url)


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    with answering(200) as (proxy, seen), answering(401) as (url, _):
        monkeypatch.setenv("http_proxy", proxy)
        assert "does not accept the access token (401)" in refused(url)
    assert not seen


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "is not JSON"),
        (b"[]", "holds no JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"results": [{"id": "x", "title": "0123456789abcdef"}]}', "does not answer as Label Studio does"),
        (b'{"id": {}}', "does not answer as Label Studio does"),
    ],
)
def test_a_server_that_is_none_is_told(body, message):
    with answering(200, body) as (url, _):
        assert message in refused(url)


def test_tasks_that_the_server_did_not_take_are_told():
    body = {"id": 1, "results": [], "task_count": 1, "tasks": [], "total": 0}
    with answering(200, json.dumps(body).encode()) as (url, _), pytest.raises(UserError, match="took 1 of 8 tasks"):
        Server(url).push(questions("text"))


def test_nobody_there_is_told():
    with answering(200) as (url, _):
        pass
    assert "cannot be reached" in refused(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8080", "is no address of a server"),
        ("file:///etc/passwd", "is no address of a server"),
        ("http://", "is no address of a server"),
        ("http://a:99999999", "is no address of a server"),
        ("http://[", "is no address of a server"),
        ("http://a\r\nX: y", "is no address of a server"),
        ("http://ann:secret@a", r"holds more than an address \(got 'a'\)"),
        ("http://a/?token=secret", "holds more than an address"),
    ],
)
def test_an_address_is_no_more_than_one(url, message):
    with pytest.raises(UserError, match=message) as error:
        Server(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "message"),
    [("", "no access token. export LABEL_"), ("a b", "is no access token"), ("a\nb", "is no access")],
)
def test_an_access_token_is_one(monkeypatch, key, message):
    monkeypatch.setenv(KEY, key)
    with pytest.raises(UserError, match=message) as error:
        Server("http://a")
    assert "a b" not in str(error.value)
