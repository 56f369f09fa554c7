"""Real images as an encoder wants them: read again from their originals, larger than the payload that ingest keeps.

Samples with their payload in → features, or the images themselves, out. What a source would not make the very same
payload of any more is another image: then the payload is encoded, and that is counted and told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from adde_ray import config as config_
from adde_ray.artifacts.run_dir import readable
from adde_ray.config import Config
from adde_ray.config.data import Section
from adde_ray.errors import Halted
from adde_ray.methods.encoders import ENCODERS, resolve
from adde_ray.sources import ORIGINALS
from adde_ray.sources.originals import Unread, find_larger
from adde_ray.sources.storage.files import at

SHOWN = "adde.images"
"""Key of a features file's metadata: `Shown` of its rows, as JSON."""

Encode = Callable[[pl.Series], np.ndarray]


@dataclass(frozen=True)
class Shown:
    """What an encoder was given of some real images.

    side: pixels of a side that it wants. larger: images read again with more pixels than are kept. small: those whose
    originals have no more. lacking: why an original is not there → images encoded as they are kept.
    """

    side: int
    larger: int = 0
    small: int = 0
    lacking: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: Shown) -> Shown:
        lacking = Counter(self.lacking) + Counter(other.lacking)
        return Shown(self.side, self.larger + other.larger, self.small + other.small, dict(sorted(lacking.items())))

    @classmethod
    def of(cls, side: int, found: Counter) -> Shown:
        """found: what `find_larger` gave, an image standing for all → how often."""
        lacking = {str(why): count for why, count in found.items() if isinstance(why, str)}
        return cls(side, found[bytes], found[None], dict(sorted(lacking.items())))

    def as_metadata(self) -> dict[str, str]:
        """For `write_features`."""
        return {SHOWN: json.dumps(asdict(self), sort_keys=True)}

    @classmethod
    def read(cls, features: Path) -> Shown | None:
        """That of a features file; None where payloads were encoded."""
        with readable(features):
            told = (pq.read_schema(features).metadata or {}).get(SHOWN.encode())
        return None if told is None else cls(**json.loads(told))


def side_for(encoder: object, data: Section | None) -> int | None:
    """Pixels of a side at which an encoder is given a source's images; None: as they are kept."""
    if (kept := getattr(data, "size", None)) is None:
        return None
    wanted = getattr(encoder, "image_side", None)  # a model is loaded to say so
    return wanted if wanted is not None and wanted > kept else None


def originals_of(config: Config, encoder: config_.Encoder, modality: str) -> Section | None:
    """The source whose originals real images are encoded from; None: they are encoded as they are kept.

    encoder: its settings, which need not be those of the config.
    """
    wanted = modality == "image" and hasattr(ENCODERS[resolve(encoder, modality)], "image_side")
    if not wanted or not reads_originals(config):
        return None
    return None if ORIGINALS[config.data.source](config.data).pairs is None else config.data


def reads_originals(config: Config) -> bool:
    """Whether images are read again for an encoder that wants more pixels than are kept.

    Where the encoder is trained, every round encodes all of them: reading them as often would be too slow.
    """
    return config.encoder.originals and config.train.mode == "head" and config.data.source in ORIGINALS


def encode_larger(
    encode: Encode, table: pl.DataFrame, data: Section, side: int, *, batch: int, done: Callable[[int], None]
) -> tuple[np.ndarray, Shown]:
    """(n, d) features of images from their originals, in the order of `table`: sample_id, image, and where they were.

    `batch` images are encoded at a time, while the next are read; done: is told how many. Raises Halted: originals may
    be there, but cannot be read.
    """
    if not len(table):
        return encode(table["image"]), Shown(side)
    row_of = {sample_id: row for row, sample_id in enumerate(table["sample_id"])}
    kept, found = table["image"], Counter()
    features: np.ndarray | None = None
    for some in _ahead(_larger(data, table, side), batch):
        rows = [row_of[sample_id] for sample_id, _ in some]
        images = [image if isinstance(image, bytes) else kept[row] for row, (_, image) in zip(rows, some, strict=True)]
        found.update(bytes if isinstance(image, bytes) else image for _, image in some)
        encoded = encode(pl.Series("image", images, dtype=pl.Binary))
        if features is None:
            features = np.zeros((len(table), encoded.shape[1]), np.float32)
        features[rows] = encoded
        done(len(some))
    assert features is not None
    return features, Shown.of(side, found)


def larger_images(table: pl.DataFrame, data: Section, side: int) -> pl.Series:
    """The images that `encode_larger` encodes, in the order of `table`, all in memory."""
    found = dict(_larger(data, table, side))
    pairs = table.select("sample_id", "image").iter_rows()
    images = [larger if isinstance(larger := found[i], bytes) else kept for i, kept in pairs]
    return pl.Series("image", images, dtype=pl.Binary)


def _larger(data: Section, table: pl.DataFrame, side: int) -> Iterator[tuple[str, bytes | str | None]]:
    """`find_larger` of a source that is there."""
    place = getattr(data, "path", "")
    path = at(place)
    if not path.is_dir() and not path.is_file():
        raise Halted("is not there, and its images are to be read again", where=place, remedy=REMEDY)
    for sample_id, found in find_larger(ORIGINALS[getattr(data, "source", "")](data), table, side):
        if isinstance(found, Unread):
            raise Halted(f"an image that is to be read again {found}", where=place, remedy=REMEDY)
        yield sample_id, found


REMEDY = (
    "Mend that and continue with --resume; or begin another run with encoder.originals = false, which encodes images "
    "as they are kept"
)


def _ahead(items: Iterator, size: int) -> Iterator[list]:
    """Lists of `size` items, the next of which is made while one is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(lambda: list(islice(items, size)))
        while some := coming.result():
            coming = thread.submit(lambda: list(islice(items, size)))
            yield some
