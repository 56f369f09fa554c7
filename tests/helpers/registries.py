"""What plugins may add to."""

from __future__ import annotations

from adde_ray.annotators import ANNOTATORS
from adde_ray.config.data import SECTIONS
from adde_ray.methods.encoders import ENCODERS
from adde_ray.methods.gates.expectations import GATES
from adde_ray.methods.metrics.corruptions import CORRUPTIONS
from adde_ray.methods.model.learner import LEARNERS
from adde_ray.methods.policy.adaptation import RULES
from adde_ray.methods.policy.stopping import STOPPING
from adde_ray.methods.query import multilabel, selectors, terms
from adde_ray.methods.synthesis import generators, quality
from adde_ray.sources import SOURCES

REGISTRIES = [
    SECTIONS, SOURCES, ENCODERS, GATES, CORRUPTIONS, LEARNERS, RULES, STOPPING, ANNOTATORS, multilabel.UNCERTAINTY,
    terms.UNCERTAINTY, terms.DIVERSITY, selectors.SELECTORS, quality.QUALITY_MODELS, generators.GENERATORS,
]  # fmt: skip
