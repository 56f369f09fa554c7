"""Columns and Arrow schemas of every artifact, and the few dataclasses that cross module boundaries.

Index spaces: `sample_id` identifies a sample everywhere and for ever; an `int` that selects a row of
one particular array is called `*_row` and never leaves the function that made it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from adde_ray import labels as codec

SPLITS = ("seed", "pool", "val", "test", "ood")
"""seed: D_0, labelled. pool: unlabelled source. val steers the loop; test and ood only report."""

HELD_OUT = ("val", "test", "ood")
"""Splits that f never learns from."""

MODALITIES = ("image", "text", "vector")
"""The name of the payload column: encoded image bytes, a string, or a list of float32."""

PAYLOAD_TYPES = {"image": pa.binary(), "text": pa.string(), "vector": pa.list_(pa.float32())}
"""Its type on disk, …"""

PAYLOAD_KINDS = {"image": pl.Binary, "text": pl.String, "vector": pl.List(pl.Float32)}
"""… and in memory."""

UNLABELLED = -1
"""Class row of a sample whose label is not known."""

# What a person can do with a sample. Accept, correct: the sample enters the dataset. The rest leave it out.
ACTIONS = ("accept", "correct", "reject", "flag")

GAPS = pa.schema(
    [
        ("gap_id", pa.string()),  # stable across rounds
        ("kind", pa.string()),  # one of config.run.GAP_KINDS
        ("label", pa.string()),  # class the gap asks for; null when it is not about one class
        ("subgroup", pa.string()),  # "column=value" for kind subgroup, else null
        ("centroid", pa.list_(pa.float32())),  # in the reduced space of this round
        ("radius", pa.float32()),  # distance within which a sample counts as inside, reduced space
        ("density", pa.float32()),  # labelled per real row inside (density, small_cluster) or share held / target
        ("severity", pa.float32()),  # [0, 1], 1 = nothing labelled here at all
        ("num_labelled", pa.int64()),
        ("num_pool", pa.int64()),
        ("status", pa.string()),  # open | filled
        ("opened_round", pa.int64()),
        ("filled_round", pa.int64()),  # null while open
        ("anchors", pa.list_(pa.string())),  # sample_ids that re-locate the gap when the embedding moves
        # What has been tried in the rounds before this one:
        ("num_synthesised", pa.int64()),  # for it
        ("num_asked", pa.int64()),  # real samples near it or in it, and synthetic ones made for it
        ("num_confirmed", pa.int64()),  # entered the dataset from inside it, of a class gap with that class
        ("num_inside", pa.int64()),  # of the asked: in it, as far as f could tell, or made for it
        ("in_words", pa.string()),  # what sets it apart; empty where nothing does
    ]
)

LINEAGE = [
    ("origin", pa.string()),  # real | synthetic
    ("gap_id", pa.string()),  # gap a real sample lies in, by what f expects; a synthetic one's that it was made for
    ("generator", pa.string()),  # null for real samples
    ("parents", pa.list_(pa.string())),  # samples a synthetic one lies between; null for real ones
]

SCORES = [
    ("U", pa.float32()),
    ("Div", pa.float32()),
    ("Q", pa.float32()),
    ("score", pa.float32()),  # alpha U + beta Div + gamma Q, in [0, alpha + beta + gamma]
]

# rounds/t/synthetic.parquet, followed by the payload column: all that was synthesised, rejects with their reason.
SYNTHETIC = pa.schema(
    [
        ("sample_id", pa.string()),
        ("gap_id", pa.string()),
        ("generator", pa.string()),
        ("parents", pa.list_(pa.string())),
        ("intended", pa.string()),  # class the generator was asked for
        ("confidence", pa.float32()),  # f's calibrated p(intended | x)
        ("agreement", pa.float32()),  # share of f and the quality models that predict `intended`
        ("nn_ratio", pa.float32()),  # distance to the nearest real sample / median real nearest-neighbour distance
        ("status", pa.string()),  # kept | rejected
        ("reason", pa.string()),  # why rejected; null when kept
        ("features", pa.list_(pa.float32())),  # frozen-encoder features
    ]
)

LIT_BY = pa.field("lit_by", pa.string())
"""The synthetic sample that a real one is nearest to, was found by, and is asked about instead of; null for others, and
in a run of an earlier version."""

# rounds/t/candidates.parquet: all that was offered for selection, real and synthetic.
CANDIDATES = pa.schema(
    [
        ("sample_id", pa.string()),
        *LINEAGE,
        ("suggested", pa.string()),  # class f (real) or the generator (synthetic) proposes
        ("confidence", pa.float32()),  # calibrated p(suggested | x)
        *SCORES,
        LIT_BY,
    ]
)
"""`gap_id` of real ones: the gap they fit best, in it or beside it. Which of them lie in it is asked of the query."""

# rounds/t/query.parquet: the batch people are asked about, best first.
CHOSEN_BY = pa.field("chosen_by", pa.string())
"""Why a sample was asked about: the selector by name, `random`, or what else put it into the query; null for seed rows
and for what a run of an earlier version asked."""

QUERY = CANDIDATES.insert(1, pa.field("rank", pa.int64())).append(pa.field("near_gap", pa.string())).append(CHOSEN_BY)
"""`near_gap`: what `gap_id` is among the candidates."""

# wishes.parquet of a run: what somebody wants people to be asked about, …
WISHES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("asked_for", pa.string()),  # what it was found by: words, "like …", or "gap …"
        ("when", pa.string()),  # ISO 8601, UTC
    ]
)

WISHED = WISHES.remove(2)
"""… and of a round: what of it had not been asked about by then, in order."""

DECISIONS = pa.schema(
    [
        ("decision_id", pa.string()),
        ("sample_id", pa.string()),
        ("round", pa.int64()),
        ("annotator", pa.string()),
        ("action", pa.string()),  # one of ACTIONS
        ("label", pa.string()),  # the class the annotator says it is; null for reject and flag
        ("comment", pa.string()),
    ]
)

# One part of the dataset, rounds/t -> dataset/round-(t+1).parquet, followed by the payload column.
DATASET = pa.schema(
    [
        ("sample_id", pa.string()),
        ("label", pa.string()),
        ("round", pa.int64()),  # D_t it first appears in; 0 = seed
        *LINEAGE,
        CHOSEN_BY,
        LIT_BY,
        ("U", pa.float32()),  # scores at the moment of selection; null for seed rows
        ("Div", pa.float32()),
        ("Q", pa.float32()),
        ("decision_ids", pa.list_(pa.string())),
        ("annotators", pa.list_(pa.string())),
    ]
)

REJECTED = pa.schema(
    [
        ("where", pa.string()),  # file and row
        ("reason", pa.string()),
        ("split", pa.string()),  # null when it was not known yet
        ("gate", pa.string()),  # which one it failed; "read" when the source could not use it
    ]
)
"""Input rows set aside by ingest."""


# ingest/semantic.parquet: pool rows that are not asked about since another says the same.
SEMANTIC = pa.schema(
    [
        ("sample_id", pa.string()),
        ("kept", pa.string()),  # the pool row that stays in its place
        ("similarity", pa.float32()),  # cosine of their features
    ]
)


# embeddings/<fingerprint>/descriptions-<fingerprint>.parquet: the classes that are described, sorted.
DESCRIPTIONS = pa.schema(
    [
        ("label", pa.string()),
        ("source", pa.string()),  # name | words | files
        ("described_by", pa.list_(pa.string())),  # the phrases, or the sample_ids of ingest/examples.parquet
        ("features", pa.list_(pa.float32())),  # the class's prototype, as long as the samples' features in the mean
    ]
)


def with_payload(schema: pa.Schema, modality: str) -> pa.Schema:
    """`schema` followed by the payload column of `modality`."""
    return schema.append(pa.field(modality, PAYLOAD_TYPES[modality]))


def frame(rows: list[dict] | dict | pl.DataFrame, schema: pa.Schema) -> pl.DataFrame:
    """A DataFrame with exactly the columns, order and types of `schema`; absent columns become null."""
    if isinstance(rows, pl.DataFrame):
        rows = rows.to_dicts()
    if isinstance(rows, dict):
        length = len(next(iter(rows.values()), []))
        columns = {name: rows.get(name, [None] * length) for name in schema.names}
    else:
        columns = {name: [row.get(name) for row in rows] for name in schema.names}
    arrays = [_array(columns[f.name], f.type) for f in schema]
    return from_arrow(pa.Table.from_arrays(arrays, schema=schema))


def from_arrow(table: pa.Table, *, rechunk: bool = True) -> pl.DataFrame:
    """A table of Arrow's in polars. rechunk: whether each column becomes one piece of memory."""
    found = pl.from_arrow(table, rechunk=rechunk)
    assert isinstance(found, pl.DataFrame)  # of an array alone it is a Series
    return found


def payload_series(payloads: list, modality: str) -> pl.Series:
    """Payloads as a column, called and typed as `PAYLOAD_TYPES` has it."""
    return pl.Series(modality, _array(payloads, PAYLOAD_TYPES[modality]))


def _array(values: object, type_: pa.DataType) -> pa.Array:
    if isinstance(values, (np.ndarray, pl.Series)):
        values = values.tolist() if isinstance(values, np.ndarray) else values.to_list()
    return pa.array(values, type=type_)


def sample_id(payload: bytes | str | np.ndarray) -> str:
    """Content hash of one sample: 32 hex digits, the same on every machine and in every run.

    Of an image its encoded bytes count, of a text its UTF-8, of a vector (d,) its values as float32.
    """
    if isinstance(payload, str):
        payload = payload.encode()
    elif isinstance(payload, np.ndarray):
        payload = np.ascontiguousarray(payload, dtype="<f4").tobytes()
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


RESULT_KEYS = {
    "trial": pl.String,
    "dataset": pl.String,
    "strategy": pl.String,
    "seed": pl.Int64,
    "round": pl.Int64,
    "num_asked": pl.Int64,
    "num_labels": pl.Int64,
    "num_samples": pl.Int64,
    "num_synthetic": pl.Int64,
    "seconds": pl.Float64,
}
"""What every row of an experiment's results.parquet has. Then come `config.<key>` of sweeps, then every figure by its
name, which may be null."""


@dataclass(frozen=True)
class Meta:
    """What ingest learned about the data. Kept as `ingest/meta.json`."""

    modality: str  # one of MODALITIES
    classes: tuple[str, ...]  # sorted; a class row is an index into this
    subgroups: tuple[str, ...] = ()  # names of the subgroup columns
    num_rows: dict[str, int] = field(default_factory=dict)  # split -> rows
    num_rejected: int = 0
    pool_digest: str = ""  # identity of a streamed pool's rows
    has_oracle: bool = False  # the pool's true labels are known (to the simulated annotator only)
    task: str = "single"  # one of labels.TASKS: one class holds, or any number of them
    source: dict[str, dict] = field(default_factory=dict)  # what its files looked like: see `source_mark`

    @classmethod
    def from_json(cls, kept: dict) -> Meta:
        """The inverse of writing it as JSON, which knows no tuples; what else is kept beside is passed over."""
        known: dict[str, Any] = {f.name: kept[f.name] for f in fields(cls) if f.name in kept}
        known |= {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return cls(**known)

    @property
    def multi(self) -> bool:
        """Whether any number of classes may hold of a sample."""
        return self.task == "multi"

    def numbers(self, labels: pl.Series | list) -> np.ndarray:
        """Labels as numbers (see `labels`): (n,) class rows, or (n, C) targets of a multi-label task."""
        return codec.targets(labels, self.classes) if self.multi else self.class_rows(labels)

    def class_rows(self, labels: pl.Series | list) -> np.ndarray:
        """(n,) int64 rows into `classes`; `UNLABELLED` for null."""
        index = {name: row for row, name in enumerate(self.classes)}
        return np.array([UNLABELLED if x is None else index[x] for x in labels], dtype=np.int64)


@dataclass(frozen=True)
class Population:
    """Samples as points of the reduced space: what clustering, gaps and diversity look at.

    ids: n sample_ids. points: (n, r) float32. labels: (n,) int64 class rows, `UNLABELLED` where unknown; or (n, C)
    targets of a multi-label task.
    subgroups: column name -> n values (None where unknown).
    """

    ids: list[str]
    points: np.ndarray
    labels: np.ndarray
    subgroups: dict[str, list[str | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Split:
    """Rows of one split, sorted by `sample_id`, with their frozen-encoder features.

    table: sample_id, label (null where unknown), the payload column, subgroup and untouched user columns.
    features: (n, d) float32, row-aligned with `table`.
    """

    table: pl.DataFrame
    features: np.ndarray

    def __post_init__(self):
        assert len(self.table) == len(self.features), (len(self.table), len(self.features))

    @cached_property
    def ids(self) -> list[str]:
        """The rows' sample_ids, in order."""
        return self.table["sample_id"].to_list()

    def __len__(self) -> int:
        return len(self.table)
