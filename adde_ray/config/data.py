"""What `[data]` may hold: one section for each source. Part of the tree in `config`, which says how it is read."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SerializeAsAny,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from adde_ray.config.registry import Registry
from adde_ray.labels import canonical


def _own_first(schema: dict[str, Any], section: type[Section]) -> None:
    schema["properties"] = {key: schema["properties"][key] for key in section.known_keys()}


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, json_schema_extra=_own_first
    )

    @classmethod
    def known_keys(cls) -> list[str]:
        """Its keys as people are shown them: what it shares with other sections comes last."""
        declared = [key for part in cls.__mro__ for key in inspect.get_annotations(part)]
        return sorted(cls.model_fields, key=declared.index)


# --- what users may write: every number has both bounds, every text and list a size ------------------------

MANY = 100_000
"""Names in a list at most: classes, say."""

Name = Annotated[str, Field(max_length=200)]
"""Of a part: an encoder, a selector."""

Label = Annotated[str, Field(max_length=1000)]
"""Of the user's: a class, a column, a value."""

FolderName = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Of a run or an experiment; results and files are called by it."""

LONGEST_PATH = 4096


def _path(value: object) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError("should be a path")
    if len(str(value)) > LONGEST_PATH or "\0" in str(value):
        raise ValueError(f"should be a path of at most {LONGEST_PATH} characters, without NUL")
    return Path(value)


def _location(value: object) -> Path | str:
    """A pathlib path, except for what is in a bucket: pathlib makes one slash of two."""
    path = _path(value)
    return value if isinstance(value, str) and "://" in value else path


_ANY_TEXT = WithJsonSchema({"type": "string", "maxLength": LONGEST_PATH})

FolderPath = Annotated[Path, PlainValidator(_path), _ANY_TEXT]

Location = Annotated[Path | str, PlainValidator(_location), _ANY_TEXT]
"""A path, or what is in a bucket: s3://bucket/folder."""

Pixel = Annotated[float, Field(ge=-1e12, le=1e12)]

Range = tuple[Pixel, Pixel]
"""Lowest and highest."""


def _name(value: str) -> str:
    name = canonical(value)
    if name is None:
        raise ValueError(f"{value!r} stands for a missing label; rename the class")
    return name


ClassName = Annotated[Label, AfterValidator(_name)]
"""A class as tables' labels are read: NFC, without blanks at its ends, numbers and booleans in one form."""


def _phrase(value: str) -> str:
    if not value.strip():
        raise ValueError("should be a few words, or left out")
    return value.strip()


Phrase = Annotated[str, Field(max_length=1000), AfterValidator(_phrase)]
"""What a class is, in words."""


class Examples(Section):
    """Files that show what a class is, instead of words."""

    files: Annotated[tuple[Location, ...], Field(min_length=1, max_length=100)]
    """Image files of the class; they describe it, and are no labelled samples."""


Description = Phrase | Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=100)] | Examples


class Described(Section):
    """What every source has."""

    describe: (
        Literal["names", "none"] | Annotated[dict[ClassName, Description], Field(min_length=1, max_length=MANY)]
    ) = "names"
    """What the classes are, by which f knows them before there is a label. names: by what they are called, where these
    are words; none: not at all; or a table, [data.describe]: class = a few words, a list of phrases, or
    {files = [example images]}. Classes that it leaves out go by their names."""

    @property
    def described(self) -> tuple[str, ...]:
        """The classes of the table, sorted: the label list, where there is no other and no label."""
        return () if isinstance(self.describe, str) else tuple(sorted(self.describe))

    @property
    def known_classes(self) -> tuple[str, ...]:
        """The classes as far as the config alone says what they are: enough to begin without a label."""
        return getattr(self, "classes", ()) or self.described


class FilesData(Described):
    """What every source that reads files has: besides, a `path`, and `size` where it may hold images."""

    max_rejected: float = Field(default=0.05, ge=0, le=1)
    """Share of unusable files or rows above which the data is refused; below it they are set aside with their
    reason."""
    roots: tuple[Location, ...] = Field(default=(), max_length=100)
    """Folders, here or in buckets, that a table's cells may name files of, and links lead to, besides the data's own
    folder. How a bucket is reached is said here, never in a cell."""


class ClassFolders(FilesData):
    """Files in class folders: `<path>/labelled/<class>/…` and `<path>/unlabelled/…`."""

    classes: tuple[ClassName, ...] = Field(default=(), max_length=MANY)
    """The label list. Empty: every class folder there is, or the classes described. With either, labelled/ may be
    missing, and the images may lie in the folder itself."""
    val_fraction: float = Field(default=0.2, gt=0, lt=0.9)
    """Share of labelled drawn for val when there is no val folder."""
    test_fraction: float = Field(default=0.0, ge=0, lt=0.9)
    """Share of labelled drawn for test when there is no test folder; 0 = no test split."""


class LabelledRows(FilesData):
    """Rows with a label, or without one: these are the pool."""

    label_column: Label = "label"
    """Class of each row; empty or null means unlabelled: the pool."""
    missing: tuple[ClassName, ...] = Field(default=(), max_length=1000)
    """More words that stand for no label, besides blanks and what programs write (NaN, null, N/A)."""
    split_column: Label | None = None
    """Column that says each row's split. A pool row's label is shown to nothing but the simulated annotator."""
    classes: tuple[ClassName, ...] = Field(default=(), max_length=MANY)
    """The label list. Empty: every label that occurs in the labelled rows; without one, the classes described."""
    subgroup_columns: tuple[Label, ...] = Field(default=(), max_length=1000)
    """Attributes whose representation is watched (sex, site, …)."""
    val_fraction: float = Field(default=0.2, gt=0, lt=0.9)
    """Share of the labelled rows drawn for val when no split column says."""
    test_fraction: float = Field(default=0.0, ge=0, lt=0.9)
    """Share of the labelled rows drawn for test; 0 = no test split."""


class DigitsData(Described):
    """scikit-learn's 1,797 handwritten digits as a long-tailed pool; needs no files."""

    source: Literal["digits"]
    test_fraction: float = Field(default=0.3, gt=0, lt=0.9)
    """Share held out for test, class-balanced."""
    val_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share held out for val, class-balanced."""
    longtail_ratio: float = Field(default=30.0, ge=1, le=1e9)
    """Rows of the most common class in the pool over rows of the rarest; the class order is drawn by the seed."""
    seed_classes: int = Field(default=5, ge=1, le=10)
    """The seed set holds only this many of the most common classes."""
    seed_per_class: int = Field(default=2, ge=1, le=10**9)
    """Labelled samples of each of those classes."""


class FolderData(ClassFolders):
    """Images in class folders, plus a folder of unlabelled ones.

    `<path>/labelled/<class>/*.png`, `<path>/unlabelled/**/*.png`; optionally `<path>/val/<class>/`,
    `<path>/test/<class>/` and `<path>/ood/<class>/` (without val and test they are drawn from labelled).
    """

    source: Literal["image_folder"]
    path: Location
    """The folder, here or in a bucket (s3://bucket/folder, gs://bucket/folder)."""
    size: int = Field(default=32, ge=4, le=1024)
    """Images are kept at size x size pixels: what generators draw, and encoders see that want no more."""
    min_side: int = Field(default=1, ge=1, le=1_000_000)
    """Images whose shorter side has fewer pixels than this are set aside."""
    mode: Literal["L", "RGB"] = "RGB"
    """Colour mode images are converted to."""


class TilesData(ClassFolders):
    """GeoTIFF or TIFF tiles of any number of bands, in the folders of `image_folder`."""

    source: Literal["tiles"]
    path: Location
    """The folder, here or in a bucket."""
    bands: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = Field(default=(4, 3, 2), min_length=1, max_length=64)
    """Bands to keep, counted from 1, in this order. The first three are what people see as red, green and blue."""
    scale: Range | Annotated[tuple[Range, ...], Field(min_length=1, max_length=64)] = (0.0, 10000.0)
    """Values that become black and white: [low, high] for all bands, or a pair for each. Values beyond are clipped."""
    size: int = Field(default=64, ge=4, le=1024)
    """Every band is kept at size x size pixels: what generators draw, and encoders see that want no more."""

    @model_validator(mode="after")
    def _ranges(self):
        if len(set(self.bands)) < len(self.bands):
            raise ValueError("a band is named twice")
        pairs = self.ranges
        if len(pairs) != len(self.bands):
            raise ValueError(f"scale needs one pair, or one for each of {len(self.bands)} bands")
        if any(high - low < 1e-9 * max(abs(low), abs(high), 1e-9) for low, high in pairs):
            raise ValueError("scale needs low below high")
        return self

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """(low, high) of each band."""
        pairs = tuple(pair for pair in self.scale if isinstance(pair, tuple))
        if pairs:
            return pairs
        low, high = (value for value in self.scale if not isinstance(value, tuple))
        return ((low, high),) * len(self.bands)


class CsvData(LabelledRows):
    """Texts, vectors or images in a CSV, JSON Lines or Parquet file; rows without a label are the pool.

    A column named by `split_column`, when given, says seed, pool, val, test or ood for each row.
    """

    source: Literal["csv", "table"]
    path: Location
    """A .csv, .tsv, .jsonl or .parquet file, here or in a bucket (s3://, gs://)."""
    pool: Location | None = None
    """More files of pool rows, read piece by piece: a file, a folder or a pattern (pool/*.parquet), same columns."""
    text_column: Label | None = None
    """Column with the text. Give this, `vector_column` or `image_column`."""
    vector_column: Label | None = None
    """Column with a list of floats (Parquet or JSON Lines), instead of a text."""
    image_column: Label | None = None
    """Column with encoded images (Parquet) or with their paths, relative to the file, instead of a text."""
    size: int = Field(default=32, ge=4, le=1024)
    """image_column: images are kept at size x size pixels: what generators draw, and encoders see that want no more."""
    min_side: int = Field(default=1, ge=1, le=1_000_000)
    """image_column: images whose shorter side has fewer pixels than this are set aside."""
    mode: Literal["L", "RGB"] = "RGB"
    """image_column: colour mode images are converted to."""
    label_separator: str | None = Field(default=None, min_length=1, max_length=100)
    """Makes it a multi-label task: what stands between the classes of a label, as "|"; lists are read too. `none` or an
    empty list = no class holds, and ?Name = class Name is not known."""

    @model_validator(mode="after")
    def _one_payload(self):
        if [self.text_column, self.vector_column, self.image_column].count(None) != 2:
            raise ValueError("give exactly one of text_column, vector_column and image_column")
        return self

    @property
    def payload(self) -> tuple[str, str]:
        """The modality, and the column that has it."""
        given = {"text": self.text_column, "vector": self.vector_column, "image": self.image_column}
        return next((modality, column) for modality, column in given.items() if column is not None)


Uncertain = Literal["ignore", "zeros", "ones"]


class ChexpertData(FilesData):
    """Images in CheXpert's layout, a multi-label task: `<path>/train.csv`, optionally `valid.csv` and `test.csv`.

    Training images are split by patient into seed set and pool, and into val and test where these have no file.
    """

    source: Literal["chexpert"]
    path: Location
    """The folder that holds train.csv."""
    observations: tuple[Label, ...] = Field(default=(), max_length=MANY)
    """Which observations are the classes; empty = all that train.csv has a column for."""
    uncertain: Uncertain | Annotated[dict[Label, Uncertain], Field(min_length=1, max_length=MANY)] = "ignore"
    """What -1 means, for all observations or by observation (ignore where none is given):
    ignore (not known), zeros (not there), ones (there)."""
    blank: Literal["zeros", "ignore"] = "zeros"
    """What an empty cell means: zeros (not mentioned, so not there) or ignore (not known)."""
    size: int = Field(default=64, ge=4, le=1024)
    """Images are kept at size x size pixels: what generators draw, and encoders see that want no more."""
    mode: Literal["L", "RGB"] = "L"
    """Colour mode images are converted to."""
    seed_fraction: float = Field(default=0.05, gt=0, lt=0.9)
    """Share of the training patients whose images are the seed set."""
    val_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Share of the training patients drawn for val when there is no valid.csv."""
    test_fraction: float = Field(default=0.2, ge=0, lt=0.9)
    """Share of the training patients drawn for test when there is no test.csv; 0 = no test split."""
    age_edges: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field(default=(20, 40, 60, 80), max_length=100)
    """Ages at which a new age band begins."""

    @model_validator(mode="after")
    def _rising(self):
        if list(self.age_edges) != sorted(set(self.age_edges)):
            raise ValueError("age_edges must rise")
        return self


class NpyData(LabelledRows):
    """Vectors in a .npy file (n x d), of which rows are read as they are needed; labels in a table beside it."""

    source: Literal["npy"]
    path: Location
    """A .npy file, or a folder that holds vectors.npy; here or in a bucket."""
    labels: Location | None = None
    """A row for each vector: .csv, .jsonl, .parquet, or .npy of strings or numbers (labels alone). Left out: the file
    called labels beside the vectors. Its other columns travel along."""
    pool: Location | None = None
    """More vectors, without labels: a .npy file, a folder or a pattern."""


class HubData(FilesData):
    """A dataset folder of Hugging Face's `datasets`: what save_to_disk writes, or one laid out as on the Hub."""

    source: Literal["huggingface"]
    path: Location
    """The folder, here or in a bucket. On the Hub's layout with several configurations: that of one."""
    splits: dict[Literal["seed", "pool", "val", "test", "ood"], Label] = Field(
        default={"pool": "train", "val": "validation", "test": "test"}, max_length=5
    )
    """Which of the folder's splits serves as which of ours; `val` and `test` may be absent there."""
    seed_per_class: int | None = Field(default=None, ge=1, le=10**9)
    """Where no split is the seed set: so many labelled rows of each class are drawn from the pool's split, and the
    other labels are hidden truth. Without it every labelled row there is in the seed set."""
    text_column: Label | None = None
    """Column with the text. Without it, `image_column` and `vector_column`: the one column that can be a payload."""
    image_column: Label | None = None
    """Column with images (an Image feature, encoded bytes or paths)."""
    vector_column: Label | None = None
    """Column with lists of numbers."""
    label_column: Label = "label"
    """Class of each row: a ClassLabel feature or strings. Null and -1 mean unlabelled. Lists of either make it a
    multi-label task; a column `unknown` of the same kind has the classes nobody could tell."""
    classes: tuple[ClassName, ...] = Field(default=(), max_length=MANY)
    """The label list. Empty: the names of the ClassLabel feature, else every label there is, else the classes
    described."""
    subgroup_columns: tuple[Label, ...] = Field(default=(), max_length=1000)
    """Attributes whose representation is watched."""
    size: int = Field(default=32, ge=4, le=1024)
    """Images are kept at size x size pixels: what generators draw, and encoders see that want no more."""
    mode: Literal["L", "RGB"] = "RGB"
    """Colour mode images are converted to."""
    val_fraction: float = Field(default=0.2, gt=0, lt=0.9)
    """Share of the labelled rows of the pool's split drawn for val when no split serves as val."""

    @model_validator(mode="after")
    def _needs_a_pool(self):
        if "pool" not in self.splits:
            raise ValueError("splits must say which split is the pool")
        if [self.text_column, self.vector_column, self.image_column].count(None) < 2:
            raise ValueError("give at most one of text_column, vector_column and image_column")
        return self


class UnknownData(Section):
    """`[data]` of a run whose plugin is not there: what it holds, unchecked."""

    model_config = ConfigDict(extra="allow")

    source: Name
    """The plugin's source."""


_SECTIONS: dict[str, type[Section]] = {
    "digits": DigitsData,
    "image_folder": FolderData,
    "csv": CsvData,
    "table": CsvData,
    "chexpert": ChexpertData,
    "huggingface": HubData,
    "tiles": TilesData,
    "npy": NpyData,
}

SECTIONS: Registry[type[Section]] = Registry("data section", _SECTIONS, where="data.source")

KEPT = {"kept": True}
"""Context in which a config is parsed that a run keeps: its plugins may not be there."""


def _own_section(value: Any, known: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """The section of a plugin's source; the others are pydantic's affair."""
    source = value.get("source") if isinstance(value, dict) else None
    if isinstance(source, str) and source not in _SECTIONS:
        if source in SECTIONS:
            return SECTIONS[source].model_validate(value)
        if info.context == KEPT:
            return UnknownData.model_validate(value)
    if isinstance(value, Section) and not isinstance(value, tuple(_SECTIONS.values())):
        return value
    return known(value)


Data = Annotated[
    DigitsData | FolderData | CsvData | ChexpertData | HubData | TilesData | NpyData, Field(discriminator="source")
]

AnyData = Annotated[SerializeAsAny[Data], WrapValidator(_own_section)]
"""One of these, or the section of a plugin's source."""
