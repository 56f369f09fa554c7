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
    from adde_ray.search import find

__all__ = ["Config", "UserError", "find", "run"]


def __getattr__(name: str):
    # They load torch and ray, which takes seconds: only who calls them pays.
    if name == "run":
        from adde_ray.loop import run

        return run
    if name == "find":
        from adde_ray.search import find

        return find
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
