"""Who answers a query: people on a page or by a spreadsheet, the pool's hidden truth, or f itself."""

from __future__ import annotations

from collections.abc import Callable

from adde_ray.annotators.model import Model
from adde_ray.annotators.page import Page
from adde_ray.annotators.protocol import Annotator
from adde_ray.annotators.simulated import Simulated
from adde_ray.annotators.spreadsheet import Spreadsheet
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Config
from adde_ray.config.registry import Registry
from adde_ray.dataset import Data

_ANNOTATORS: dict[str, Callable[[Config, Data, RunDir], Annotator]] = {
    "simulated": Simulated, "file": Spreadsheet, "page": Page, "model": Model
}  # fmt: skip
ANNOTATORS: Registry[Callable[[Config, Data, RunDir], Annotator]] = Registry(
    "annotator", _ANNOTATORS, where="review.annotator"
)


def make_annotator(config: Config, data: Data, run: RunDir) -> Annotator:
    """The configured annotator of a run. Raises UserError for an unknown name."""
    return ANNOTATORS[config.review.annotator](config, data, run)


__all__ = ["ANNOTATORS", "Annotator", "make_annotator"]
