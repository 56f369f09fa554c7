"""What is looked at first when a run goes on: people's answers, and what they have changed since.

It needs the run's folder and nothing heavy, so that a mistake in the answers is told at once. The command line looks
before it imports the loop, and the loop itself for those who call it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.artifacts.schema import Meta
from adde_ray.config import Config
from adde_ray.review.pending import Pending, changed_answers, take_answers
from adde_ray.sources.storage.source_mark import changes


@dataclass(frozen=True)
class Resumed:
    """awaited: the query that people were asked, whose answers are taken where none is open. changed: what differs from
    what the run read, a sentence each. is_mended: see `RunDir`."""

    awaited: Pending | None = None
    is_mended: bool = False
    changed: list[str] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether people are still at it, and nothing else is to be done."""
        return self.awaited is not None and bool(self.awaited.open) and not self.is_mended


def resume(run: RunDir, config: Config) -> Resumed:
    """Take the answers there are. Raises UserError and Mistakes: see `read_review`."""
    if not (run.root / "ingest" / "meta.json").exists():
        return Resumed()
    awaited = take_answers(run)
    meta = Meta.from_json(read_json(run.root / "ingest" / "meta.json"))
    return Resumed(awaited, run.is_mended, [*changed_answers(run), *changes(config.data, meta.source)])
