"""ADDE on Ray: labelled datasets for specialised domains, with few annotations and diverse on purpose.

from adde_ray import Config, run
summary = run(Config.load("jobs/configs/digits.toml"))
print(summary["num_labels"], summary["rounds"][-1]["test"]["macro_f1"])
"""

from typing import TYPE_CHECKING

from adde_ray.config import Config
from adde_ray.errors import UserError

if TYPE_CHECKING:
    from adde_ray.loop import run

__all__ = ["Config", "UserError", "run"]


def __getattr__(name: str):
    # The loop loads torch and ray, which takes seconds: only who runs it pays.
    if name == "run":
        from adde_ray.loop import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
