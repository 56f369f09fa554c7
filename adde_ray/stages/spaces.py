"""The latent space of each round, how many real samples lie where in it, and what all rounds are measured with."""

from __future__ import annotations

import numpy as np

from adde_ray.artifacts.run_dir import derive_seed
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.distributed.tasks import each
from adde_ray.methods.model.learner import Model
from adde_ray.methods.model.standard import Standard
from adde_ray.methods.query import local_scale
from adde_ray.methods.query.local_scale import LocalScale
from adde_ray.methods.query.selectors import BY_LENGTH
from adde_ray.methods.space import region_counts
from adde_ray.methods.space.clustering import Space, fit_space
from adde_ray.methods.space.gap_words import Terms
from adde_ray.methods.space.region_counts import Places
from adde_ray.methods.synthesis import light
from adde_ray.pool.shards import Shard
from adde_ray.stages.metrics import MetricsReference

ROWS = 8192
"""Rows embedded and counted at a time."""


class Spaces:
    """Fitted and counted once for all rounds where the embedding never moves."""

    def __init__(self):
        self._fixed: tuple[Space, Places] | None = None
        self._reference: MetricsReference | None = None
        self._exponent: float | None = None
        self._unit: float | None = None
        self._standard: Standard | None = None
        self._terms: Terms | None = None
        self._reach: float | None = None

    def reference(self, data: Data, config: Config) -> MetricsReference:
        """The run's."""
        if self._reference is None:
            self._reference = MetricsReference.of(data, config)
        return self._reference

    def standard(self, data: Data, config: Config) -> Standard:
        """Statistics of the frozen features."""
        if self._standard is None:
            features = (data.frozen or data).reference.features
            self._standard = Standard.fit(features, seed=derive_seed(config.run.seed, "standard"))
        return self._standard

    def reach(self, data: Data, config: Config) -> float:
        """See `light.reach`: worked out once, unless the reference differs from round to round."""
        if self._reach is None or data.frozen is not None:
            self._reach = light.reach(data.reference.features, seed=config.run.seed)
        return self._reach

    def terms(self, data: Data, config: Config) -> Terms:
        """Those of the reference's texts, counted once unless it differs from round to round."""
        if self._terms is None or data.frozen is not None:
            texts = data.reference.table[data.meta.modality]
            self._terms = Terms(texts, seed=derive_seed(config.run.seed, "terms"))
        return self._terms

    def local_scale(self, model: Model, embedding: np.ndarray, data: Data, config: Config) -> LocalScale | None:
        """For a selector that asks how far is far enough. embedding: of the reference rows.

        The exponent is the configured one, or that of the frozen features, which holds for all rounds.
        """
        if config.select.selector not in BY_LENGTH:
            return None
        exponent = config.select.locality
        if exponent is None:
            if self._exponent is None:
                frozen, seed = data.frozen or data, derive_seed(config.run.seed, "locality")
                val = frozen.splits["val"].features
                self._exponent = local_scale.exponent(val, frozen.labels("val"), frozen.reference.features, seed=seed)
            exponent = self._exponent
        if self._unit is None or model.moves:
            self._unit = local_scale.unit(embedding, seed=derive_seed(config.run.seed, "unit"))
        return LocalScale(exponent, self._unit)

    def of(self, model: Model, embedding: np.ndarray, data: Data, config: Config) -> tuple[Space, Places]:
        """embedding: of the reference rows."""
        if not model.moves and self._fixed is not None:
            return self._fixed
        space = fit_space(embedding, config.clustering, seed=derive_seed(config.run.seed, "space"))
        found = space, real_places(space, model, data, workers=config.stream.workers)
        if not model.moves:
            self._fixed = found
        return found


def real_places(space: Space, model: Model, data: Data, *, workers: int | None) -> Places:
    """Where the rows of pool and seed set lie: one pass over a pool that is streamed."""
    if not data.pool.is_streamed:
        return region_counts.places(space, space.cells, space.clusters)
    seed = region_counts.count(space, space.reduce(model.embed(data.splits["seed"].features)))
    of_shards = each(_places_of_shard, data.pool.shards, space, model, workers=workers)
    return region_counts.total(space, [seed, *(found for _, found in of_shards)])


def _places_of_shard(shard: Shard, space: Space, model: Model) -> Places:
    found = []
    for part in np.array_split(features := shard.read().features, -(-len(features) // ROWS) or 1):
        found.append(region_counts.count(space, space.reduce(model.embed(np.asarray(part, dtype=np.float32)))))
    return region_counts.total(space, found)
