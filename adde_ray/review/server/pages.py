"""The page that people look at: its HTML, scripts and style, as files."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

HERE = Path(__file__).parent


def mount(app: FastAPI) -> None:
    """Serve the page at `/` and what it loads below `/static`. It holds no data: all of that is asked for at `/api`."""
    # Kept files are asked about each time: after an update no browser mixes old scripts with new ones.
    fresh = {"Cache-Control": "no-cache"}

    class Fresh(StaticFiles):
        def file_response(self, *args, **kwargs):
            response = super().file_response(*args, **kwargs)
            response.headers.update(fresh)
            return response

    app.mount("/static", Fresh(directory=HERE / "static"), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(HERE / "pages" / "review.html", media_type="text/html", headers=fresh)
