"""What the page has to know of a run, read once from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.artifacts.schema import Meta
from adde_ray.errors import UserError
from adde_ray.review.server.guide import Guide, read_guide
from adde_ray.review.store.records import Overlap
from adde_ray.review.write_review import FOLDER

FLAGS = ("biased", "edge case", "ambiguous", "off topic")
"""What a sample can be flagged as; people add their own."""

LEASE_SECONDS = 900.0
"""How long a sample is somebody's, from when their page asked for more last."""


@dataclass(frozen=True)
class About:
    """name: of the run. classes: sorted. guesses: people may uncover what the model suggests."""

    root: Path
    name: str
    modality: str
    classes: tuple[str, ...]
    multi: bool
    overlap: Overlap = 1
    guesses: bool = True
    guide: Guide | None = None
    flags: tuple[str, ...] = FLAGS
    lease_seconds: float = LEASE_SECONDS

    def images(self, round_: int) -> Path:
        """The folder of a round's images."""
        return self.root / "rounds" / f"{round_:03d}" / FOLDER


def about(run: RunDir) -> About:
    """Of a run that has read its data. Raises UserError: it has not, or its guide cannot be read."""
    path = run.root / "ingest" / "meta.json"
    if not path.exists():
        raise UserError("has not read its data yet", where=run.root, remedy="Start it with `adde run` first")
    meta, config = Meta.from_json(read_json(path)), run.config
    review = config.review
    return About(
        root=run.root,
        name=config.run.name,
        modality=meta.modality,
        classes=meta.classes,
        multi=meta.multi,
        overlap=review.overlap,
        guesses=review.guesses,
        guide=read_guide(Path(review.guide)) if review.guide else None,
    )
