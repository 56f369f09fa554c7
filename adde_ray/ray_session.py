"""Ray, started once a process and only when a stage needs it."""

from __future__ import annotations

import logging
import os
import socket

from adde_ray.errors import UserError


def ensure_ray() -> None:
    """Join the Ray cluster this process belongs to, or start a local one.

    Under `ray job submit`, or with RAY_ADDRESS set, the cluster is joined. Raises UserError when it is not there.
    """
    import ray

    if ray.is_initialized():
        return
    # Of many tasks that fail alike the first is told; Ray would add a traceback for each of the others.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    # A local Ray announces token authentication, its metrics agent and more; none of it is about the run.
    quiet = {"configure_logging": True, "logging_level": logging.ERROR, "log_to_driver": False}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        ray.init(include_dashboard=False, **quiet)
        return
    try:
        _knock(address)
        ray.init(**quiet)
    except OSError:
        remedy = "Unset it to stay on this machine, or give the address of a running cluster"
        raise UserError("no Ray cluster answers", where="RAY_ADDRESS", value=address, remedy=remedy) from None


def _knock(address: str) -> None:
    """Raises OSError when nothing listens at host:port, for which `ray.init` would try many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
