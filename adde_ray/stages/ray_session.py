"""Ray, started once a process and only when a stage needs it."""

from __future__ import annotations

import logging
import os


def ensure_ray() -> None:
    """Join the Ray cluster this process belongs to, or start a local one.

    Under `ray job submit`, or with RAY_ADDRESS set, the cluster is joined.
    """
    import ray

    if ray.is_initialized():
        return
    # A local Ray announces token authentication, its metrics agent and more; none of it is about the run.
    quiet = {"configure_logging": True, "logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        ray.init(include_dashboard=False, **quiet)
