"""Label Studio, live: the waiting query into a project by its REST API, and the project's answers back.

The access token comes from the environment, goes into one header and is never written anywhere. Redirects are not
followed: they would carry it elsewhere.
"""

from __future__ import annotations

import json
import os
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from adde_ray.config import documents
from adde_ray.errors import UserError, first_line
from adde_ray.review.bridges.base import MAX_BYTES, Question, Questions, Read
from adde_ray.review.bridges.label_studio import interface, read_tasks, tasks

KEY = "LABEL_STUDIO_API_KEY"
"""The variable that holds the access token."""

TIMEOUT = 120.0
"""Seconds to wait for an answer of the server."""

AT_A_TIME, PAGE = 200, 100
"""Tasks that are pushed in one request, and that are listed in one."""

MOST_PAGES = 10_000

LOOPBACK = ("localhost", "127.0.0.1", "::1")

PICTURES = {"jpg": "jpeg"}
"""What files end with, where that is not what their type is called."""


@dataclass(frozen=True)
class Pushed:
    """project: its number. made: whether it was made now. tasks: how many were pushed, of `asked`."""

    project: int
    made: bool
    tasks: int
    asked: int


class Server:
    """One Label Studio. url: where it is. project: its number; None for the run's own, by its title."""

    def __init__(self, url: str, *, project: int | None = None):
        self._url, self._project = _address(url), project
        self._key = _key()
        # A proxy that the environment names has no way to this machine.
        proxies = [urllib.request.ProxyHandler({})] if urlsplit(self._url).hostname in LOOPBACK else []
        self._open = urllib.request.build_opener(_NoRedirect, *proxies).open
        self._authorization: str | None = None

    def push(self, questions: Questions) -> Pushed:
        """Push the samples that the project does not have yet, in the query's order. Raises UserError."""
        project = self._find(questions)
        made = project is None
        if project is None:
            about = {
                "title": _title(questions),
                "description": f"{questions.title}: samples that the run asks about, by adde_ray",
                "label_config": interface(questions),
                "sampling": "Sequential sampling",
                "show_skip_button": True,
            }
            project = _number(self._send("POST", "/api/projects/", about), "id", self._url)
        there = set() if made else self._pushed(project)
        todo = [question for question in questions.asked if question.sample_id not in there]
        shown = self._upload(project, [question for question in todo if isinstance(question.payload, bytes)])
        new = tasks(questions, dict.fromkeys(there), lambda question: shown[question.sample_id])
        for start in range(0, len(new), AT_A_TIME):
            part = new[start : start + AT_A_TIME]
            found = self._send("POST", f"/api/projects/{project}/import?return_task_ids=true", part)
            if (taken := found.get("task_count")) != len(part):
                remedy = "Look at the project, then push again: what is there is not pushed twice"
                raise UserError(f"took {taken} of {len(part)} tasks", where=self._url, remedy=remedy)
        return Pushed(project, made, len(new), len(questions.asked))

    def pull(self, questions: Questions) -> tuple[Read, str]:
        """What people have said in the project so far, and where that stands. Raises UserError."""
        if (project := self._find(questions)) is None:
            remedy = "Push the query first, or give --project"
            raise UserError("has no project of this run", where=self._url, value=questions.run, remedy=remedy)
        where = f"{self._url}/projects/{project}"
        found = self._send("GET", f"/api/projects/{project}/export?exportType=JSON", kind=list)
        users = self._send("GET", "/api/users/", kind=list)
        people = {user["id"]: str(user.get("email", "")) for user in users if isinstance(user, dict) and "id" in user}
        return read_tasks(found, where, people), where

    def _find(self, questions: Questions) -> int | None:
        """The project's number; None where the run has none yet."""
        if self._project is not None:
            return _number(self._send("GET", f"/api/projects/{self._project}/"), "id", self._url)
        query = urlencode({"title": questions.run, "page_size": PAGE})
        found = self._send("GET", f"/api/projects/?{query}").get("results")
        mine = [row for row in found or [] if isinstance(row, dict) and questions.run in str(row.get("title"))]
        return min((_number(row, "id", self._url) for row in mine), default=None)

    def _pushed(self, project: int) -> set[str]:
        """The sample_ids of a project's tasks."""
        found: set[str] = set()
        seen = 0
        for page in range(1, MOST_PAGES):
            query = urlencode({"project": project, "page": page, "page_size": PAGE, "fields": "task_only"})
            listed = self._send("GET", f"/api/tasks?{query}")
            rows = [row for row in listed.get("tasks") or [] if isinstance(row, dict)]
            data = [row["data"] for row in rows if isinstance(row.get("data"), dict)]
            found |= {str(one["sample_id"]) for one in data if "sample_id" in one}
            seen += len(rows)
            if not rows or seen >= _number(listed, "total", self._url):
                break
        return found

    def _upload(self, project: int, questions: list[Question]) -> dict[str, str]:
        """sample_id -> the address under which Label Studio shows its image."""
        shown = {}
        for question in questions:
            assert isinstance(question.payload, bytes)
            kind = f"image/{PICTURES.get(question.extension, question.extension)}"
            path = f"/api/projects/{project}/import?commit_to_project=false"
            body, content_type = _multipart(question.file_name, kind, question.payload)
            made = self._send("POST", path, body, content_type=content_type).get("file_upload_ids")
            if not isinstance(made, list) or len(made) != 1 or not isinstance(made[0], int):
                raise _odd(self._url, made)
            file = self._send("GET", f"/api/import/file-upload/{made[0]}").get("file")
            if not isinstance(file, str):
                raise _odd(self._url, file)
            shown[question.sample_id] = f"/data/{file.lstrip('/')}"
        return shown

    # --- requests -------------------------------------------------------------------------------------------

    def _send(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json", kind: type = dict
    ) -> Any:
        """The JSON that the server answers with. Raises UserError."""
        if self._authorization is None:
            self._authorization = self._sign_in()
        return self._request(method, path, body, content_type, kind, {"Authorization": self._authorization})

    def _sign_in(self) -> str:
        """A personal access token, which is a JWT, is changed for one that holds for minutes; an older kind is sent as
        it is."""
        if self._key.count(".") != 2:
            return f"Token {self._key}"
        found = self._request("POST", "/api/token/refresh", {"refresh": self._key}, "application/json", dict, {})
        access = found.get("access")
        if not isinstance(access, str) or not _is_token(access):
            raise _odd(self._url, "no access token")
        return f"Bearer {access}"

    def _request(
        self, method: str, path: str, body: object, content_type: str, kind: type, headers: dict[str, str]
    ) -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Content-Type": content_type, **headers}
        request = urllib.request.Request(self._url + path, data=data, headers=headers, method=method)
        try:
            with self._open(request, timeout=TIMEOUT) as response:
                found = response.read(MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, ValueError) as error:
            remedy = "Start Label Studio there, or give its address: --url http://HOST:8080"
            reason = getattr(error, "reason", error)
            raise UserError(f"cannot be reached: {first_line(reason)}", where=self._url, remedy=remedy) from None
        if len(found) > MAX_BYTES:
            raise UserError(f"answers with more than {MAX_BYTES >> 20} MiB", where=self._url)
        return documents.parse_json(found, where=self._url + path.partition("?")[0], kind=kind)

    def _refused(self, error: urllib.error.HTTPError) -> UserError:
        if error.code in (401, 403):
            remedy = f"Set {KEY} to an access token from your account there, of somebody who may do this"
            return UserError(f"does not accept the access token ({error.code})", where=self._url, remedy=remedy)
        if 300 <= error.code < 400:
            what, to = "leads elsewhere, where the access token is not sent", error.headers.get("Location", "")
            return UserError(what, where=self._url, value=to, remedy="Give the address it leads to")
        text = error.read(2000).decode(errors="replace")
        what = f"answers with the error {error.code}"
        return UserError(what, where=self._url, value=text.replace(self._key, "…"), remedy="Mend that there")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is sent to where the server points."""
        return None


def _address(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_one = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_one or not url.isprintable():
        raise UserError(
            "is no address of a server", where="--url", value=url, remedy="Give one as http://localhost:8080"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        remedy = f"Give the address alone, and the access token as {KEY}"
        raise UserError("holds more than an address", where="--url", value=parts.hostname, remedy=remedy)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not key:
        remedy = f"export {KEY}=… with an access token from your account in Label Studio"
        raise UserError("no access token", where=KEY, remedy=remedy)
    if not _is_token(key):
        raise UserError("is no access token: it has blanks or letters beyond ASCII", where=KEY)
    return key


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _title(questions: Questions) -> str:
    """At most 50 characters, of which the run's digits are what it is found by."""
    return f"{questions.title[:32]} {questions.run}"


def _number(found: Any, key: str, url: str) -> int:
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, int):
        raise _odd(url, value)
    return value


def _odd(url: str, value: object) -> UserError:
    remedy = "Is it Label Studio, 1.17 or later?"
    return UserError("does not answer as Label Studio does", where=url, value=value, remedy=remedy)


def _multipart(name: str, kind: str, data: bytes) -> tuple[bytes, str]:
    """A form with one file, and its type. name: of letters, digits, `_` and `.` alone."""
    mark = secrets.token_hex(16)
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    return head.encode() + data + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"
