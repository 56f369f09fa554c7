"""Reads the data once, checks it and keeps it in the run: source in → ingest/ out.

Whatever the source, the same rules hold. A sample appears once: of copies within a split the first is kept. Then
the splits pass the gates (`methods/gates`), whose report is `gates.json` and whose near copies can be looked at in
`near_copies.parquet`. Rows are sorted by sample_id. The pool's labels, where known, go to `oracle.parquet` alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import polars as pl

from adde_ray.config import Config
from adde_ray.errors import UserError, choose
from adde_ray.methods import gates
from adde_ray.rundir import RunDir, read_json, write_json, write_table
from adde_ray.schema import REJECTED, SPLITS, Meta, frame
from adde_ray.sources import SOURCES, WHERE, Rows
from adde_ray.sources.rows import identify, listing


@dataclass(frozen=True)
class Prepared:
    """Checked data in memory.

    splits: split → sample_id, label (null in the pool), the payload, subgroup and untouched user columns.
    oracle: sample_id, label of the pool rows whose class is known. rejected: schema.REJECTED.
    gates: `gates.report`. near_copies: examples of them, as `gates.Gated.pairs`.
    """

    meta: Meta
    splits: dict[str, pl.DataFrame]
    oracle: pl.DataFrame
    rejected: pl.DataFrame
    gates: dict
    near_copies: pl.DataFrame
    notes: list[str] = field(default_factory=list)  # what a user may want to know, one sentence each

    @property
    def class_counts(self) -> dict[str, dict[str, int]]:
        """Labelled split → class → rows. The pool is left out: its labels are hidden."""
        return {n: _counts(table, self.meta.classes) for n, table in self.splits.items() if n != "pool"}


def prepare(config: Config) -> Prepared:
    """Read and check the data, write nothing. Raises UserError: unusable data, with what to do."""
    read = choose(SOURCES, config.data.source, where="data.source")
    rows = read(config.data, seed=config.run.seed)
    rejected = [{"gate": "read", **row} for row in rows.rejected]
    splits = {name: _unique(name, rows, rejected) for name in SPLITS if name in rows.splits}
    gated = gates.check(splits, rows.modality, config.gates, where=WHERE)
    rejected = frame([*rejected, *gated.rejected], REJECTED)
    splits = {name: table for name, table in gated.splits.items() if len(table)}
    _check(splits, rows.classes, config)

    splits = {name: _final(table, rows.modality) for name, table in splits.items()}
    oracle = splits["pool"].filter(pl.col("label").is_not_null()).select("sample_id", "label")
    splits["pool"] = splits["pool"].with_columns(pl.lit(None, pl.String).alias("label"))
    meta = Meta(
        modality=rows.modality,
        classes=rows.classes,
        subgroups=rows.subgroups,
        num_rows={name: len(table) for name, table in splits.items()},
        num_rejected=len(rejected),
        has_oracle=len(oracle) > 0,
    )
    notes = [*rows.notes, *_notes(splits, rows.classes)]
    report = gates.report({n: len(rows.splits[n]) for n in SPLITS if n in rows.splits}, gated, rejected, config.gates)
    return Prepared(meta, splits, oracle, rejected, report, gated.pairs, notes)


def ingest(config: Config, run: RunDir) -> Meta:
    """Write the ingest/ artifacts unless they are there. `meta.json` is written last and means done."""
    folder = run.root / "ingest"
    if not (folder / "meta.json").exists():
        prepared = prepare(config)
        tables = {**prepared.splits, "rejected": prepared.rejected}
        if len(prepared.near_copies):
            tables["near_copies"] = prepared.near_copies
        if prepared.meta.has_oracle:
            tables["oracle"] = prepared.oracle
        for name in (*SPLITS, "oracle", "rejected", "near_copies"):
            if name in tables:
                write_table(folder / f"{name}.parquet", tables[name])
            else:  # left by an attempt that was killed, on data that has changed since
                (folder / f"{name}.parquet").unlink(missing_ok=True)
        write_json(folder / "gates.json", prepared.gates)
        write_json(folder / "meta.json", asdict(prepared.meta))
    return load_meta(run)


def load_meta(run: RunDir) -> Meta:
    """What ingest learned about the data."""
    return Meta.from_json(read_json(run.root / "ingest" / "meta.json"))


# --- the rules --------------------------------------------------------------------------------------------


def _unique(name: str, rows: Rows, rejected: list[dict[str, str]]) -> pl.DataFrame:
    """The first of each set of copies, with `sample_id`; the others go to `rejected`."""
    table = rows.splits[name]
    table = table.with_columns(identify(table[rows.modality]))
    first = table.unique("sample_id", keep="first", maintain_order=True)
    kept = first.select("sample_id", pl.col(WHERE).alias("kept"), pl.col("label").alias("kept_label"))
    for row in table.join(first, on=WHERE, how="anti").join(kept, on="sample_id", maintain_order="left").to_dicts():
        reason = f"same content as {row['kept']}"
        if row["label"] != row["kept_label"] and name != "pool":  # the pool's labels are not to be told
            reason += f", which is labelled {row['kept_label']!r}, not {row['label']!r}"
        rejected.append({"where": row[WHERE], "reason": reason, "split": name, "gate": "copy"})
    return first


def _check(splits: dict[str, pl.DataFrame], classes: tuple[str, ...], config: Config) -> None:
    where = getattr(config.data, "path", None) or "data"
    if len(classes) < 2:
        raise UserError(
            "fewer than two classes",
            where=where,
            value=listing(classes) or None,
            remedy="Label at least one sample of a second class",
        )
    for name, lack, remedy in (
        ("seed", "no labelled sample to start from", "Label a few samples of each class: they are the seed set"),
        ("val", "no labelled val sample", "Label at least two samples of a class, or hold a val split out yourself"),
        ("pool", "no unlabelled sample to choose from", "Add unlabelled samples: they are the pool"),
    ):
        if name not in splits:
            raise UserError(lack, where=where, remedy=remedy)


def _final(table: pl.DataFrame, modality: str) -> pl.DataFrame:
    kind = {"image": pl.Binary, "text": pl.String, "vector": pl.List(pl.Float32)}[modality]
    ours = [pl.col("sample_id"), pl.col("label").cast(pl.String), pl.col(modality).cast(kind)]
    return table.select(*ours, pl.exclude("sample_id", "label", modality, WHERE)).sort("sample_id")


def _counts(table: pl.DataFrame, classes: tuple[str, ...]) -> dict[str, int]:
    found = dict(table["label"].value_counts().iter_rows())
    return {c: found.get(c, 0) for c in classes}


def _notes(splits: dict[str, pl.DataFrame], classes: tuple[str, ...]) -> list[str]:
    notes = []
    for name, effect in (("seed", "the model starts without them"), ("val", "their recall cannot be watched")):
        lacking = [c for c, count in _counts(splits[name], classes).items() if not count]
        if lacking:
            notes.append(f"No {name} sample of {len(lacking)} of {len(classes)} classes, {effect}: {listing(lacking)}")
    return notes
