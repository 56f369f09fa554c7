"""What a run works with: the same in every round, but for the features of a fine-tuned encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adde_ray.annotators import Annotator
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.distributed.encoders import EncoderPool
from adde_ray.distributed.generators import GeneratorPool
from adde_ray.stages.spaces import Spaces


@dataclass(frozen=True)
class RunContext:
    """What every stage of a run is given. Nothing in it depends on the round."""

    config: Config
    data: Data
    spaces: Spaces
    annotator: Annotator
    generators: GeneratorPool
    encoders: EncoderPool

    def seen_by(self, data: Data) -> RunContext:
        """The same with `data`, whose features are a round's."""
        return replace(self, data=data)
