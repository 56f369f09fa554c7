"""The application: routes, pages, and every error as one line of JSON."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from adde_ray.errors import UserError, escaped
from adde_ray.review.server import asking, owner, pages, pictures
from adde_ray.review.server.about import About
from adde_ray.review.server.guard import Guard
from adde_ray.review.server.room import Room
from adde_ray.review.store.database import Unreachable
from adde_ray.review.store.store import Store


def make_app(store: Store, about: About, *, local: str | None = None) -> FastAPI:
    """The review page of one run.

    local: the server listens on this machine alone, and whoever sits at it is let in under this name while nobody is
    invited; None: nobody is let in without a token.
    """
    app = FastAPI(title="adde review", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    room = app.state.room = Room(store, about, local)
    app.add_middleware(Guard, is_open=lambda: room.is_open)
    for part in (asking, pictures, owner):
        app.include_router(part.router)
    pages.mount(app)
    app.add_exception_handler(AnyHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(Exception, _fault)
    return app


def _said(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": escaped(reason)}, status)


def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException), "it is what it is registered for"
    reason = str(error.detail)
    return _said(error.status_code, f"{reason[:1].lower()}{reason[1:]}")


def _not_valid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "it is what it is registered for"
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return _said(422, f"{where}: {first['msg']}" if where else first["msg"])


def _user_error(_: Request, error: Exception) -> JSONResponse:
    return _said(503 if isinstance(error, Unreachable) else 400, str(error))


def _fault(_: Request, error: Exception) -> JSONResponse:
    """A fault of ours, whose traceback the server's log has."""
    return _said(500, "a fault of the server; its log tells more")
