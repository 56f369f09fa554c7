"""Croissant 1.0 metadata (JSON-LD) of an exported dataset.

Files, schema and class names -> one FileObject and one RecordSet per split, plus a RecordSet that names the classes.
See https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import pyarrow as pa

from adde_ray.export.hf_features import IMAGE_TYPE

LISTS = ("label", "unknown")
"""Columns that hold lists of classes in a multi-label task."""

ENUMERATION = "https://schema.org/Enumeration"


@dataclass(frozen=True)
class File:
    """One Parquet file: its path inside the dataset, SHA-256 in hex, size in bytes."""

    path: str
    sha256: str
    size: int


def croissant(
    *,
    name: str,
    description: str,
    files: dict[str, File],
    schema: pa.Schema,
    classes: tuple[str, ...],
    labels: File | None = None,
    images: str = "",
    pictures: bool = True,
    created: datetime | None = None,
    modified: datetime | None = None,
) -> dict:
    """JSON-LD of a dataset whose splits (keys of `files`) all have `schema`; `label` is a row of `classes`, or a list
    of them, as `unknown` then is. labels: labels.csv. images: what `image` holds, in words; pictures: whether readers
    can open them.

    Columns Croissant 1.0 has no type for (structs, durations, lists of lists) are left out.
    Licence, creator, URL and date of publication are not known here: the licence says so, the others are absent.
    """
    import mlcroissant as mlc  # heavy: pandas, networkx, rdflib

    metadata = mlc.Metadata(
        name=name,
        description=description,
        license=[mlc.CreativeWork(id="license", name="unknown", description="To be filled in before publication.")],
        date_created=created,
        date_modified=modified,
        distribution=[
            *(_file(f"{split}.parquet", file, mlc.EncodingFormat.PARQUET) for split, file in files.items()),
            *([_file("labels.csv", labels, mlc.EncodingFormat.CSV)] if labels else []),
        ],
        record_sets=[_classes(classes), *(_records(split, schema, images, pictures) for split in files)],
    )
    return metadata.to_json()


def _file(id_: str, file: File, format_: str):
    import mlcroissant as mlc

    return mlc.FileObject(
        id=id_,
        name=file.path.rpartition("/")[2],
        content_url=file.path,
        content_size=f"{file.size} B",
        encoding_formats=[format_],
        sha256=file.sha256,
    )


def _classes(classes: tuple[str, ...]):
    import mlcroissant as mlc

    return mlc.RecordSet(
        id="classes",
        name="classes",
        description="What each value of `label` stands for.",
        data_types=[ENUMERATION],  # pyright: ignore[reportArgumentType]  # a plain text is written alike
        key=["classes/label"],
        fields=[
            mlc.Field(id="classes/label", name="label", data_types=[mlc.DataType.INTEGER]),
            mlc.Field(id="classes/name", name="name", data_types=[mlc.DataType.TEXT]),
        ],
        data=[{"classes/label": row, "classes/name": name} for row, name in enumerate(classes)],
    )


def _records(split: str, schema: pa.Schema, images: str, pictures: bool):
    import mlcroissant as mlc

    several = pa.types.is_list(schema.field("label").type)
    # A reference is followed by a join, and readers cannot join lists: those get words instead.
    fields, of_classes = [], () if several else ("label",)
    for column in schema:
        kind, repeated = _kind(column.type)
        if kind is None:
            continue
        # Images lie in Parquet as a struct of bytes and path.
        is_image = kind == "IMAGE_OBJECT"
        unpack = [mlc.Transform(json_path="bytes")] if is_image else []
        kind = "TEXT" if is_image and not pictures else kind  # as for any bytes
        description = images if is_image else "Each is a `label` of `classes`." if column.name in LISTS else None
        fields.append(
            mlc.Field(
                id=f"{split}/{quote(column.name, safe='')}",
                name=column.name,
                description=(description or None) if several or is_image else None,
                references=mlc.Source(field="classes/label") if column.name in of_classes else mlc.Source(),
                data_types=[getattr(mlc.DataType, kind)],
                repeated=True if repeated else None,
                source=mlc.Source(
                    file_object=f"{split}.parquet", extract=mlc.Extract(column=column.name), transforms=unpack
                ),
            )
        )
    if not several:
        named = mlc.Source(field="classes/name")  # joined by the reference
        fields.append(
            mlc.Field(id=f"{split}/label/name", name="label_name", data_types=[mlc.DataType.TEXT], source=named)
        )
    return mlc.RecordSet(id=split, name=split, key=[f"{split}/sample_id"], fields=fields)


def _kind(type_: pa.DataType) -> tuple[str | None, bool]:
    """Name in mlcroissant's DataType (None: there is none) and whether the column holds lists of it."""
    if pa.types.is_list(type_):
        kind, nested = _kind(type_.value_type)
        return (None if nested else kind), True
    if type_ == IMAGE_TYPE:
        return "IMAGE_OBJECT", False
    for test, kind in (
        (pa.types.is_boolean, "BOOL"),
        (pa.types.is_integer, "INTEGER"),
        (pa.types.is_floating, "FLOAT"),
        (pa.types.is_decimal, "FLOAT"),
        (pa.types.is_date, "DATE"),
        (pa.types.is_timestamp, "DATETIME"),
        (pa.types.is_time, "TIME"),
        (pa.types.is_string, "TEXT"),
        (pa.types.is_binary, "TEXT"),
    ):
        if test(type_):
            return kind, False
    return None, False
