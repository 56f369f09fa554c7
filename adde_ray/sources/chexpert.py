"""Chest X-rays as CheXpert lays them out (Irvin et al. 2019), or whatever else is laid out so: a multi-label task.

Reads `<path>/train.csv` and, where there are any, `valid.csv` and `test.csv`: a column `Path`, each observation's
column with 1 (there), 0 (not there), -1 (uncertain) or blank (not mentioned), and `Sex`, `Age`, `Frontal/Lateral`,
`AP/PA`. Training images are split by patient.
Out: image (PNG), label, the subgroups sex, age_band and view, and patient, age, file.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import polars as pl

from adde_ray.artifacts.run_dir import derive_rng
from adde_ray.config.data import ChexpertData
from adde_ray.errors import UserError
from adde_ray.labels import canonical, check_classes, join
from adde_ray.sources.images.pictures import read_images, read_pairs
from adde_ray.sources.originals import Finder, reached
from adde_ray.sources.rows import WHERE, Limit, Reject, Rows, listing
from adde_ray.sources.storage.files import AnyPath, at
from adde_ray.sources.storage.paths import follow
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.tables.readers import read_file

ABOUT = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
"""The columns that are no observation."""

FILES = {"train": "train.csv", "val": "valid.csv", "test": "test.csv"}

SUBGROUPS = ("sex", "age_band", "view")

SCHEMA = {
    "label": pl.String, **dict.fromkeys(SUBGROUPS, pl.String), "patient": pl.String, "age": pl.Int64,
    "file": pl.String, WHERE: pl.String,
}  # fmt: skip

PATIENT = re.compile(r"(?:^|/)(patient[^/]*)/")

CHUNK = 512
"""Pool images read at a time."""

PROBES = 20
"""Images of each file looked for to learn where they lie."""

LAYOUT = "Give the folder that holds CheXpert's train.csv"


def read(config: ChexpertData, *, seed: int) -> Rows:
    """The images with their labels. val is valid.csv's where there is one, test test.csv's, else drawn from train.

    No patient is in two splits; the pool's images are read in chunks. Raises UserError: no such folder or column.
    """
    root = at(config.path)
    if not (root / FILES["train"]).is_file():
        raise UserError("has no train.csv", where=root, remedy=LAYOUT)
    rejected: list[Reject] = []
    tables, total = {}, 0
    for name, file in FILES.items():
        if (root / file).is_file():
            table, unreadable = read_file(root / file)
            if not tables:
                classes = _observations(table, config)
            total += len(table) + len(unreadable)
            rejected += unreadable
            tables[name] = _parsed(table, root / file, classes, config, rejected)
    notes = _apart(tables, rejected)
    splits = _splits(tables, config, seed)
    pool = splits.pop("pool", pl.DataFrame(schema=SCHEMA))
    place = _place(
        Reach(root, config.roots), [name for table in tables.values() for name in table["file"].head(PROBES)]
    )
    for name, table in splits.items():
        splits[name], unreadable = _with_images(table, config, place)
        rejected += unreadable
    return Rows(
        splits=splits,
        modality="image",
        classes=classes,
        subgroups=SUBGROUPS,
        rejected=rejected,
        notes=notes,
        task="multi",
        pool_chunks=tuple(ChexpertChunk(rows, config, place) for rows in pool.iter_slices(CHUNK)),
        num_read=total - len(pool),
        limit=Limit(config.max_rejected, "rows", root),
    )


def originals(config: ChexpertData) -> Finder:
    """How the files that samples were made from are found again."""
    reach = Reach(at(config.path), config.roots)
    decode = partial(read_images, size=config.size, mode=config.mode)
    pairs = partial(read_pairs, size=config.size, mode=config.mode)
    return Finder(decode, lambda file: reached((reach, place(file)) for place in PLACES), pairs=pairs)


@dataclass(frozen=True)
class ChexpertChunk:
    """Some of the pool's rows, their images not read yet."""

    rows: pl.DataFrame
    config: ChexpertData
    place: int  # among PLACES

    @property
    def name(self) -> str:
        """Its first row and how many there are, for messages."""
        return f"{self.rows[WHERE][0]} … ({len(self.rows)} rows)"

    @property
    def num_rows(self) -> int:
        """Its rows, with an image or without."""
        return len(self.rows)

    def read(self) -> tuple[pl.DataFrame, list[Reject]]:
        """The rows with their images, and those whose image cannot be read."""
        return _with_images(self.rows, self.config, self.place)


def _observations(table: pl.DataFrame, config: ChexpertData) -> tuple[str, ...]:
    """The classes: the observations asked for, or all there are."""
    where = at(config.path) / FILES["train"]
    if lacking := [name for name in ABOUT[:1] if name not in table.columns]:
        raise UserError("has no such column", where=where, value=lacking[0], remedy=LAYOUT)
    there = [name for name in table.columns if name not in (*ABOUT, WHERE)]
    by_class = config.uncertain if isinstance(config.uncertain, dict) else {}
    for key, names in (("observations", config.observations), ("uncertain", by_class)):
        if unknown := [name for name in names if name not in there]:
            remedy = f"There are: {listing(there)}"
            raise UserError("no such observation", where=f"data.{key}", value=unknown[0], remedy=remedy)
    classes = tuple(sorted(set(config.observations or there)))
    check_classes(classes, where=where)
    return classes


def _parsed(
    table: pl.DataFrame, path: AnyPath, classes: tuple[str, ...], config: ChexpertData, rejected: list[Reject]
) -> pl.DataFrame:
    """Every usable row without its image; the others go to `rejected`."""
    if lacking := [name for name in ("Path", *classes) if name not in table.columns]:
        raise UserError("has no such column", where=path, value=lacking[0], remedy="It must have those of train.csv")
    meanings = {name: _meaning(name, config) for name in classes}
    rows = []
    for row in table.iter_rows(named=True):
        file = (row["Path"] or "").strip().replace("\\", "/")
        patient = PATIENT.search(file)
        label = _label(row, meanings)
        if not patient:
            rejected.append({"where": row[WHERE], "reason": "no image path with a patient's folder in it"})
        elif isinstance(label, list):
            rejected.append({"where": row[WHERE], "reason": label[0]})
        else:
            age = _age(row.get("Age"))
            about = {"sex": _known(row.get("Sex")), "age_band": _band(age, config.age_edges), "view": _view(row)}
            rows.append({"label": label, **about, "patient": patient[1], "age": age, "file": file, WHERE: row[WHERE]})
    return pl.DataFrame(rows, schema=SCHEMA)


def _meaning(name: str, config: ChexpertData) -> dict[str, str]:
    """Cell -> "1", "0" or "?" (not known), for one observation."""
    uncertain = config.uncertain.get(name, "ignore") if isinstance(config.uncertain, dict) else config.uncertain
    as_ = {"ones": "1", "zeros": "0", "ignore": "?"}
    return {"1": "1", "0": "0", "-1": as_[uncertain], "": as_[config.blank]}


def _label(row: dict, meanings: dict[str, dict[str, str]]) -> str | list[str]:
    """The row's label, or, in a list, why it has none."""
    found: dict[str, list[str]] = {"1": [], "0": [], "?": []}
    for name, meaning in meanings.items():
        value = meaning.get(canonical(row[name]) or "")
        if value is None:
            return [f"{name} is {row[name]!r}, none of 1, 0, -1 and blank"]
        found[value].append(name)
    return join(found["1"], found["?"])


def _known(text: str | None) -> str | None:
    text = canonical(text)
    return None if text is None or text.lower() == "unknown" else text


def _age(text: str | None) -> int | None:
    try:
        return int(float(text or ""))
    except (ValueError, OverflowError):
        return None


def _band(age: int | None, edges: tuple[int, ...]) -> str | None:
    """ "40-59", with 40 and 60 among the edges; open at both ends."""
    if age is None:
        return None
    at = bisect_right(edges, age)
    low = edges[at - 1] if at else 0
    return f"{low}-{edges[at] - 1}" if at < len(edges) else f"{low}+"


def _view(row: dict) -> str | None:
    side, direction = _known(row.get("Frontal/Lateral")), _known(row.get("AP/PA"))
    if side is None or side.lower() != "frontal":
        return side and side.lower()
    return f"frontal {direction}" if direction else "frontal"


# --- images and splits --------------------------------------------------------------------------------------


def _apart(tables: dict[str, pl.DataFrame], rejected: list[Reject]) -> list[str]:
    """Takes patients who are held out in a file of their own out of the files that are learned from or steer."""
    for name, held_out in (("val", ("test",)), ("train", ("val", "test"))):
        for other in held_out:
            if name in tables and other in tables:
                shared = pl.col("patient").is_in(tables[other]["patient"].unique().to_list())
                reason = f"its patient is also in {FILES[other]}"
                rejected += [{"where": where, "reason": reason} for where in tables[name].filter(shared)[WHERE]]
                tables[name] = tables[name].filter(~shared)
    lacking = [FILES[name] for name in ("val", "test") if name not in tables]
    return [f"There is no {file}: its split is drawn from the patients of train.csv" for file in lacking]


def _with_images(table: pl.DataFrame, config: ChexpertData, place: int) -> tuple[pl.DataFrame, list[Reject]]:
    """The rows whose image can be read, with it, and the others with the reason."""
    reach = Reach(at(config.path), config.roots)
    found = [follow(reach, PLACES[place](name)) for name in table["file"]]
    there = [path for path in found if not isinstance(path, str)]
    read = iter(read_images(there, size=config.size, mode=config.mode))
    found = [path if isinstance(path, str) else next(read) for path in found]
    rejected = [
        {"where": where, "reason": f"{name} {image}"}
        for where, name, image in zip(table[WHERE], table["file"], found, strict=True)
        if isinstance(image, str)
    ]
    images = pl.Series("image", [None if isinstance(image, str) else image for image in found], dtype=pl.Binary)
    return table.with_columns(images).filter(pl.col("image").is_not_null()), rejected


def _place(reach: Reach, names: Iterable[str]) -> int:
    """Row of PLACES where the paths lead, as some of them show: asking for each would be slow in a bucket.

    They start with the name the folder had when CheXpert was published, and people rename it.
    """
    for name in names:
        for i, place in enumerate(PLACES):
            path = follow(reach, place(name))
            if not isinstance(path, str) and path.is_file():
                return i
    return 0


PLACES: tuple[Callable[[str], str], ...] = (
    lambda name: name.partition("/")[2],
    lambda name: f"../{name}",
    lambda name: name,
)
"""Where an image may lie, relative to the folder."""


def _splits(tables: dict[str, pl.DataFrame], config: ChexpertData, seed: int) -> dict[str, pl.DataFrame]:
    """seed, pool, val and test; what has no file of its own is drawn from the patients of train."""
    shares = {"seed": config.seed_fraction, "val": config.val_fraction, "test": config.test_fraction}
    shares = {name: share for name, share in shares.items() if name not in tables}
    if sum(shares.values()) >= 1:
        raise UserError(
            "the fractions leave nothing for the pool",
            where="data",
            value=" + ".join(f"{name} {share:g}" for name, share in shares.items()),
            remedy="Choose fractions that sum to less than 1",
        )
    train = tables["train"]
    patients = train["patient"].unique().sort()
    patients = patients[derive_rng(seed, "chexpert").permutation(len(patients)).tolist()].to_list()
    split_of = dict.fromkeys(patients, "pool")
    for name, share in shares.items():
        taken = max(1, round(share * len(split_of))) if share else 0
        split_of.update(dict.fromkeys(patients[:taken], name))
        patients = patients[taken:]
    train = train.with_columns(pl.col("patient").replace_strict(split_of, return_dtype=pl.String).alias("_split"))
    drawn = {name: rows.drop("_split") for (name,), rows in train.group_by("_split", maintain_order=True)}
    return {**drawn, **{name: table for name, table in tables.items() if name != "train"}}
