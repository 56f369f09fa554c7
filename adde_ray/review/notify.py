"""Tell people that a batch is ready: one POST to the address they gave, of which a run does not depend."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from urllib.parse import urlsplit

SECONDS = 5.0
"""For the other side to answer."""

log = logging.getLogger(__name__)


def notify(url: str, *, run: str, round: int, asked: int) -> bool:
    """POST {"text", "run", "round", "asked"}, which Slack, Mattermost and the like show as a message; whether it was
    taken. What fails is told in the log, without the path of the address: it may hold a secret."""
    text = f"{run}: round {round} asks about {asked} samples"
    body = json.dumps({"text": text, "run": run, "round": round, "asked": asked}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.build_opener(_Stays).open(request, timeout=SECONDS):
            return True
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        log.warning(f"review.webhook: {urlsplit(url).hostname} was not told of round {round}: {reason}")
        return False


class _Stays(urllib.request.HTTPRedirectHandler):
    """What is sent goes where the config says, and nowhere else."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """No redirect is followed."""
        raise urllib.error.HTTPError(req.full_url, code, "redirects", headers, fp)
