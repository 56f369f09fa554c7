"""The images of an export: their originals where these still are, put away on disk until they are written.

Originals come in the order in which their source reads them best, and are written in another; some thousand
photographs are more than memory holds.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import BinaryIO

import polars as pl

from adde_ray.config import Config
from adde_ray.config.data import FilesData
from adde_ray.sources import ORIGINALS
from adde_ray.sources.originals import PLACES, Original, find
from adde_ray.sources.storage.files import at

NAMED = 20
"""Images named at most of those that are not their originals."""


@dataclass
class Images:
    """What an export has of its images.

    lacking: sample_id → why a real sample's original is not there. where: sample_id → where it was.
    all_open: whether Pillow, and so every reader, opens all of them.
    """

    model_size: tuple[int, int]  # pixels of what the model saw: width, height
    wanted: bool = False  # originals were asked for, of a source that has any
    lacking: dict[str, str] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    root: str = ""  # the source's place
    all_open: bool = True
    _at: dict[str, tuple[int, int, str]] = field(default_factory=dict)  # sample_id → offset, bytes, name of the file
    _file: BinaryIO | None = None

    def __contains__(self, sample_id: str) -> bool:
        return sample_id in self._at

    def num_bytes(self, sample_id: str) -> int:
        """0 where there is no original."""
        return self._at[sample_id][1] if sample_id in self else 0

    def read(self, sample_id: str) -> Original | None:
        """The original, unless it is lacking."""
        if self._file is None or sample_id not in self:
            return None
        offset, length, name = self._at[sample_id]
        self._file.seek(offset)
        return Original(self._file.read(length), name)

    def _put(self, file: BinaryIO, sample_id: str, original: Original) -> None:
        kind = _kind(original.data)
        self.all_open &= kind is not None
        name = original.name or f"{sample_id}.{kind or 'image'}"
        self._at[sample_id] = (file.tell(), len(original.data), name)
        file.write(original.data)

    @classmethod
    def gather(cls, config: Config, splits: dict[str, pl.DataFrame], file: BinaryIO) -> Images:
        """The originals of all real samples of `splits`, kept in `file` while it is open."""
        images = cls.as_the_model_saw(config, splits)
        data = config.data
        if data.source not in ORIGINALS:
            return images
        images.wanted, images._file, images.root = True, file, str(at(getattr(data, "path", "")))
        for sample_id, found in find(ORIGINALS[data.source](data), _real(splits)):
            if isinstance(found, Original):
                images._put(file, sample_id, found)
            else:
                images.lacking[sample_id] = found
        if images.lacking:
            places = _real(splits).filter(pl.col("sample_id").is_in(list(images.lacking)))
            images.where = {i: next((x for x in known if x), i) for i, *known in places.iter_rows()}
        return images

    @classmethod
    def as_the_model_saw(cls, config: Config, splits: dict[str, pl.DataFrame]) -> Images:
        """No originals."""
        from PIL import Image

        if isinstance(config.data, FilesData) and (side := getattr(config.data, "size", None)):
            return cls((side, side))
        with Image.open(io.BytesIO(splits["train"]["image"][0])) as image:
            return cls(image.size)

    def told(self) -> str:
        """How many originals there are, and which lack, in one sentence."""
        text = f"images: {len(self._at)} originals"
        if not self.lacking:
            return text
        named = "; ".join(f"{where} {why}" for where, why in self.listed())
        more = "; …" if len(self.lacking) > NAMED else ""
        lacking = f"{len(self.lacking)} only as the model saw them, for the original is not there"
        return f"{text}; {lacking} (looked for in {self.root}): {named}{more}"

    def listed(self) -> list[tuple[str, str]]:
        """(where its original was, why it is not there) of the first `NAMED` samples that lack theirs."""
        return sorted((self.where[sample_id], why) for sample_id, why in self.lacking.items())[:NAMED]


def _real(splits: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """sample_id and PLACES of the samples that were not synthesised."""
    columns = ["sample_id", "origin", *(c for c in PLACES if c in splits["train"].columns)]
    rows = pl.concat([rows.select(columns) for rows in splits.values()]).unique("sample_id", maintain_order=True)
    return rows.filter(pl.col("origin").ne_missing("synthetic")).drop("origin")


def _kind(data: bytes) -> str | None:
    """An image's format; None where Pillow knows none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format.lower() if image.format else None
    except Exception:  # decoders of ten formats raise whatever they like
        return None
