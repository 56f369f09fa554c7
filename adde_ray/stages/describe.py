"""What the classes are called or described by: the fitted encoder and `data.describe` in → a prototype of each class.

Kept beside the features as descriptions-<fingerprint>.parquet, which has the classes that could be described. Words
become features by the encoder of a run on texts, or by the text tower of an encoder of images that has one; example
files by any encoder of images.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.artifacts import digests
from adde_ray.artifacts.descriptions import examples_of, file_name, setting_of
from adde_ray.artifacts.run_dir import RunDir, read_table, write_table
from adde_ray.artifacts.schema import DESCRIPTIONS, Meta, Split, frame
from adde_ray.config import Config
from adde_ray.methods.descriptions import Prototypes, Source, phrases, prototypes
from adde_ray.pool.fitted_encoder import Encoding


def describe(config: Config, meta: Meta, encode: Encoding, pool: Split, run: RunDir) -> Prototypes | None:
    """The prototypes of the classes; None where nothing is said of any that the encoder could read.

    pool: its rows in memory. Made once, and the same after a resume.
    """
    setting, examples = setting_of(config), examples_of(run)
    if setting == "none" or not (encode.reads_words or len(examples)):
        return None
    path = encode.folder / file_name(setting, meta, examples)
    if not path.exists():
        write_table(path, _described(config, meta, encode, pool, examples))
        digests.close(encode.folder)
    return as_prototypes(read_table(path), meta)


def _described(config: Config, meta: Meta, encode: Encoding, pool: Split, examples: pl.DataFrame) -> pl.DataFrame:
    """DESCRIPTIONS of the classes that the encoder can make something of."""
    found: dict[str, tuple[Source, list[str], np.ndarray]] = {}
    if encode.reads_words:
        said = phrases(getattr(config.data, "describe", "none"), meta.classes, encode.count_tokens)
        features = encode.texts([one for _, of in said.values() for one in of]) if said else None
        if features is not None:
            ends = np.cumsum([len(of) for _, of in said.values()])
            parts = zip(said.items(), np.split(features, ends[:-1]), strict=True)
            found |= {name: (source, of, part) for (name, (source, of)), part in parts}
    for (name,), table in examples.group_by("label", maintain_order=True):
        found[str(name)] = ("files", table["sample_id"].to_list(), encode(table[meta.modality]))
    # A text of unknown words only has no place among the others.
    found = {name: of for name, of in sorted(found.items()) if np.abs(of[2]).max(initial=0) > 0}
    vectors = prototypes({name: of[2] for name, of in found.items()}, pool.features)
    columns = {
        "label": list(found),
        "source": [source for source, _, _ in found.values()],
        "described_by": [of for _, of, _ in found.values()],
        "features": list(vectors),
    }
    return frame(columns, DESCRIPTIONS)


def as_prototypes(table: pl.DataFrame, meta: Meta) -> Prototypes | None:
    """DESCRIPTIONS as what a run works with; None where they describe no class."""
    if table.is_empty():
        return None
    own, rows = np.array(table["features"].to_list(), dtype=np.float32), meta.class_rows(table["label"])
    vectors = np.zeros((len(meta.classes), own.shape[1]), dtype=np.float32)
    vectors[rows] = own
    source = dict(table.select("label", "source").iter_rows())
    said = dict(table.filter(pl.col("source") != "files").select("label", "described_by").iter_rows())
    return Prototypes(
        vectors,
        np.isin(np.arange(len(vectors)), rows),
        tuple(source.get(name) for name in meta.classes),
        tuple(tuple(said.get(name, ())) for name in meta.classes),
    )
