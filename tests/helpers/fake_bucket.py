"""A small S3 server over a folder: what pyarrow's client asks for when it lists and reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Buckets are the folders in `folder`; gives the query that a location needs to reach them.

    A bucket called "private" refuses access.
    """
    handler = type("Handler", (_Handler,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"endpoint_override=127.0.0.1:{server.server_port}&scheme=http&region=us-east-1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        if bucket == "private":
            return self._error(403, "AccessDenied", body)
        if not (self.folder / bucket).is_dir():
            return self._error(404, "NoSuchBucket", body)
        if not key:
            return self._list(bucket, {name: values[0] for name, values in parse_qs(url.query).items()}, body)
        path = self.folder / bucket / key
        if not path.is_file() or key.endswith("/"):
            return self._error(404, "NoSuchKey", body)
        data, status, headers = path.read_bytes(), 200, {}
        if asked := self.headers.get("Range"):
            first, last = asked.removeprefix("bytes=").split("-")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[int(first) : int(last) + 1 if last else None], 206
        return self._send(
            status, data, {"ETag": '"x"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", **headers}, body
        )

    def _list(self, bucket: str, query: dict[str, str], body: bool) -> None:
        root, prefix = self.folder / bucket, query.get("prefix", "")
        keys = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
        keys = [key for key in keys if key.startswith(prefix)]
        folders: dict[str, None] = {}
        if query.get("delimiter"):
            below = [key.removeprefix(prefix) for key in keys]
            folders = dict.fromkeys(f"{prefix}{name.split('/')[0]}/" for name in below if "/" in name)
            keys = [prefix + name for name in below if "/" not in name]
        keys = keys[: int(query.get("max-keys", 1000))]
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{(root / key).stat().st_size}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag></Contents>"
            for key in keys
        )
        contents += "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders)
        number = len(keys) + len(folders)
        text = f"<Name>{bucket}</Name><KeyCount>{number}</KeyCount><IsTruncated>false</IsTruncated>{contents}"
        self._xml(
            200, f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</ListBucketResult>', body
        )

    def _error(self, status: int, code: str, body: bool) -> None:
        self._xml(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>", body)

    def _xml(self, status: int, text: str, body: bool) -> None:
        data = f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
        self._send(status, data, {"Content-Type": "application/xml"}, body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)
