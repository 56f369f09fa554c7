"""Files here and in buckets: a location (path, file://, s3://, gs://) → something that behaves like a pathlib path.

Buckets are reached through pyarrow.fs, with the credentials the cloud's own tools use (environment, profile, role).
Looking for files raises UserError when a bucket cannot be reached; reading one raises OSError, as pathlib does.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from adde_ray.config.documents import irregular
from adde_ray.errors import UserError, first_line

BUCKETS = ("s3", "gs")

MAX_BYTES = 1 << 30
"""What is larger is not read as a whole."""

RETRY_SECONDS = 30
"""How long Google's client tries; S3's gives up after three attempts."""


@dataclass(frozen=True, order=True)
class RemotePath:
    """The part of pathlib.Path that sources use, for a file or folder in a bucket."""

    scheme: str
    path: str  # bucket/key
    query: str = ""  # options of the file system: endpoint_override, scheme, region
    user: str = ""  # "anonymous" for public buckets of Google's

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    def __truediv__(self, name: str) -> RemotePath:
        return replace(self, path=f"{self.path}/{name}")

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.path)

    @property
    def name(self) -> str:
        """The key's last part."""
        return self._pure.name

    @property
    def suffix(self) -> str:
        """The name's extension, with its point; empty where it has none."""
        return self._pure.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket, and the parts of the key."""
        return self._pure.parts

    @property
    def parent(self) -> RemotePath:
        """The folder it lies in."""
        return replace(self, path=str(self._pure.parent))

    def is_file(self) -> bool:
        """Whether there is such an object; one request. Raises UserError."""
        return self._info().type == fs.FileType.File

    def is_dir(self) -> bool:
        """Whether something lies below it; one request. Raises UserError."""
        return self._info().type == fs.FileType.Directory

    def iterdir(self) -> Iterator[RemotePath]:
        """Files and folders right below it. Raises UserError."""
        yield from (replace(self, path=info.path) for info in self._list(recursive=False))

    def walk(self) -> Iterator[str]:
        """Every file below, relative to here. Raises UserError."""
        for info in self._list(recursive=True):
            if info.type == fs.FileType.File:
                yield info.path.removeprefix(self.path).lstrip("/")

    def sizes(self, names: list[str]) -> dict[str, int | None]:
        """Bytes of these files below, as far as they are there; one request for one file, a listing for several."""
        if len(names) == 1:
            return {names[0]: (self / names[0])._info().size}
        found = {info.path.removeprefix(self.path).lstrip("/"): info.size for info in self._list(recursive=True)}
        return {name: found.get(name) for name in names}

    def resolve(self) -> RemotePath:
        """Itself: buckets have no links."""
        return self

    def open(self) -> BinaryIO:
        """The object, to be read from. Raises OSError."""
        try:
            return io.BufferedReader(self._filesystem().open_input_file(self.path), 1 << 16)
        except (OSError, pa.ArrowException) as error:
            raise _os_error(error) from None

    def read(self, at_most: int) -> bytes:
        """The file, in one request. Raises OSError when it is longer."""
        try:
            with self._filesystem().open_input_file(self.path) as file:
                _check_size(file.size(), at_most)
                return file.read()
        except pa.ArrowException as error:
            raise _os_error(error) from None
        except OSError as error:
            raise error if error.errno == errno.EFBIG else _os_error(error) from None

    def _filesystem(self) -> fs.FileSystem:
        return _filesystem(self.scheme, self.parts[0], self.query, self.user)

    def _info(self) -> fs.FileInfo:
        with _told(self):
            return self._filesystem().get_file_info(self.path)

    def _list(self, *, recursive: bool) -> list[fs.FileInfo]:
        with _told(self):
            return self._filesystem().get_file_info(fs.FileSelector(self.path, recursive=recursive))


AnyPath = Path | RemotePath


# --- opening --------------------------------------------------------------------------------------------------


def open_file(path: AnyPath) -> BinaryIO:
    """A user's file, to be read. Raises OSError, also for what is no regular file.

    A FIFO waits for a writer, a device has no end, and opening some does something: those are looked at, not opened.
    """
    if isinstance(path, RemotePath):
        return path.open()
    return open(_descriptor(path), "rb")


def read_bytes(path: AnyPath, at_most: int = MAX_BYTES) -> bytes:
    """All of a user's file. Raises OSError: as `open_file`, or it is longer than that many bytes."""
    if isinstance(path, RemotePath):
        return path.read(at_most)
    descriptor = _descriptor(path)
    try:
        size = os.fstat(descriptor).st_size
        _check_size(size, at_most)
        parts, length = [], 0
        while part := os.read(descriptor, max(size - length, 0) + (1 << 16)):
            parts.append(part)
            length += len(part)
            _check_size(length, at_most)  # the size of what the kernel makes up, as below /proc, says nothing
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(descriptor)


def size_of(path: AnyPath) -> int:
    """Bytes of a user's file. Raises OSError: as `open_file`."""
    with open_file(path) as file:
        return file.seek(0, os.SEEK_END)


def _descriptor(path: Path) -> int:
    _check_regular(os.stat(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check_regular(os.fstat(descriptor))  # it may be another by now
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(found: os.stat_result) -> None:
    if what := irregular(found):
        raise OSError(errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL, what)


def _check_size(size: int, at_most: int) -> None:
    if size > at_most:
        raise OSError(errno.EFBIG, f"is larger than {at_most >> 20:,} MiB")


# --- locations ------------------------------------------------------------------------------------------------


def at(location: str | Path) -> AnyPath:
    """The file or folder a config or a table names. Raises UserError: a kind of location that is not known."""
    text = str(location)
    if isinstance(location, Path) or "://" not in text:
        return Path(location)
    parts = urlsplit(text)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme not in BUCKETS:
        raise UserError(
            "unknown kind of location", where="data", value=text, remedy="Give a path, or file://, s3:// or gs://"
        )
    user, _, bucket = parts.netloc.rpartition("@")
    if ":" in user:  # it would be kept in the run's config
        raise UserError(
            "a password in a location",
            where="data",
            value=f"{parts.scheme}://…@{bucket}",
            remedy="Give credentials as the cloud's own tools take them: by environment, profile or role",
        )
    if not bucket:
        raise UserError("names no bucket", where="data", value=text, remedy=f"Write {parts.scheme}://bucket/folder")
    whole = text.partition("://")[2].removeprefix(f"{user}@")
    path, query = whole, ""
    if has_options(text):
        path, _, query = whole.rpartition("?")
    return RemotePath(parts.scheme, path.rstrip("/"), query, user)


def has_options(location: str) -> bool:
    """Whether options of the file system stand at its end. "?" and "#" may stand in names too: only what looks so."""
    path, _, query = location.rpartition("?")
    return bool(path) and re.fullmatch(r"\w+=[^&]*(&\w+=[^&]*)*", query) is not None


# --- what can go wrong ------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _filesystem(scheme: str, bucket: str, query: str, user: str) -> fs.FileSystem:
    if scheme == "gs" and "retry_limit_seconds" not in query:  # a quarter of an hour is its own idea
        query = f"{query}&retry_limit_seconds={RETRY_SECONDS}".removeprefix("&")
    return fs.FileSystem.from_uri(f"{scheme}://{user and user + '@'}{bucket}?{query}".rstrip("?"))[0]


class _told:
    """Turns a file system's errors into a UserError that names the location and the remedy."""

    def __init__(self, path: RemotePath):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and isinstance(error, (OSError, pa.ArrowException)):
            what, remedy = _explain(error)
            raise UserError(what, where=self._path, remedy=remedy) from None


def _explain(error: BaseException) -> tuple[str, str]:
    """What a cloud's error means, and what to do."""
    text = str(error)
    for words, what, remedy in _MEANINGS:
        if re.search(words, text, re.I):
            return what, remedy
    return f"cannot be read: {first_line(error)}", "Check the location"


_MEANINGS = (
    (r"NO_SUCH_BUCKET|bucket.*(not found|not exist)", "no such bucket", "Check its name, and region if it is given"),
    (
        r"ACCESS_DENIED|FORBIDDEN|PERMISSION|\b40[13]\b|INVALID_ACCESS_KEY|SIGNATURE|credential|unauthorized",
        "access is refused",
        "Give credentials as the cloud's own tools take them: by environment, profile or role",
    ),
    (
        r"NETWORK|curl|could ?n.t (connect|resolve)|timed? ?out|timeout|unavailable|unreachable",
        "cannot be reached",
        "Check the network, and endpoint_override if it is given",
    ),
    (r"NO_SUCH_KEY|RESOURCE_NOT_FOUND|path does not exist|not found", "no such file or folder", "Check the path"),
)


def _os_error(error: Exception) -> OSError:
    """One whose `strerror` is short, as those of the local file system are."""
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return OSError(errno.EIO, _explain(error)[0])
