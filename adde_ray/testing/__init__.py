"""The contract of every kind of part as a check: `check_selector(mine)` raises AssertionError with what is wrong.

A check takes what the decorator in `adde_ray.plugins` is laid over. The package's own parts are held to the
same checks.
"""

from adde_ray.testing.data import check_corruption, check_gate, check_source
from adde_ray.testing.models import check_encoder, check_generator, check_learner, check_quality
from adde_ray.testing.query import check_diversity, check_selector, check_uncertainty
from adde_ray.testing.rounds import check_adaptation, check_annotator, check_stopping

__all__ = [
    "check_adaptation",
    "check_annotator",
    "check_corruption",
    "check_diversity",
    "check_encoder",
    "check_gate",
    "check_generator",
    "check_learner",
    "check_quality",
    "check_selector",
    "check_source",
    "check_stopping",
    "check_uncertainty",
]
