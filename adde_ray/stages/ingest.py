"""Reads the data once, checks it and keeps it in the run: source in → ingest/ out.

Whatever the source, the same rules hold. A sample appears once: of copies within a split the first is kept. Then
the splits pass the gates (`methods/gates`), whose report is `gates.json` and whose near copies can be looked at in
`near_copies.parquet`. Rows are sorted by sample_id. The pool's labels, where known, go to `oracle.parquet` alone.
A pool of `stream.min_rows` or more is read in parts, which pass the gates one by one: see `pool.build`.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import polars as pl

from adde_ray.artifacts import digests
from adde_ray.artifacts.digests import Ledger
from adde_ray.artifacts.run_dir import RunDir, read_json, write_json, write_table
from adde_ray.artifacts.schema import REJECTED, SPLITS, Meta, frame
from adde_ray.config import Config, Simulate
from adde_ray.distributed.session import ensure_ray
from adde_ray.errors import UserError
from adde_ray.labels import count as count_labels
from adde_ray.methods import gates
from adde_ray.methods.gates.expectations import add_nulls, check_nulls
from adde_ray.methods.gates.gatekeeper import least_alike
from adde_ray.pool import build
from adde_ray.pool.build import arranged
from adde_ray.sources import SOURCES, WHERE, Rows
from adde_ray.sources.rows import count, identify, listing, read_all
from adde_ray.sources.simulate import thin
from adde_ray.sources.storage.source_mark import mark


@dataclass(frozen=True)
class Prepared:
    """Checked data in memory.

    splits: split → sample_id, label (null in the pool), the payload, subgroup and untouched user columns.
    oracle: sample_id, label of the pool rows whose class is known. rejected: schema.REJECTED.
    gated: what the gates made of the splits. read: rows of each split before.
    """

    meta: Meta
    splits: dict[str, pl.DataFrame]
    oracle: pl.DataFrame
    rejected: pl.DataFrame
    gated: gates.Gated
    read: dict[str, int]
    notes: list[str] = field(default_factory=list)  # what a user may want to know, one sentence each
    unread: Rows | None = None  # a source whose pool is too large for memory, and in no split here

    def report(self, config: Config) -> dict:
        """`gates.report`."""
        return gates.report(self.read, self.meta.num_rows, self.gated.leaks, self.rejected, config.gates)

    @property
    def class_counts(self) -> dict[str, dict[str, int]]:
        """Labelled split → class → rows. The pool is left out: its labels are hidden."""
        multi = self.meta.multi
        return {n: _counts(table, self.meta.classes, multi) for n, table in self.splits.items() if n != "pool"}


def prepare(config: Config) -> Prepared:
    """Read and check the data, write nothing. Raises UserError: unusable data, with what to do."""
    rows = SOURCES[config.data.source](config.data, seed=config.run.seed)
    streamed = sum(chunk.num_rows for chunk in rows.pool_chunks or ()) >= config.stream.min_rows
    rows = rows if streamed else rows.whole()
    chunks = rows.pool_chunks or ()
    at_most = {"pool": sum(chunk.num_rows for chunk in chunks)} if streamed else {}
    rejected = [{"gate": "read", **row} for row in rows.rejected]
    splits = {name: _unique(name, rows, rejected) for name in SPLITS if name in rows.splits}
    # Of a pool too large to be read here, one chunk shows what columns it has, and whether it has labels.
    head = read_all(chunks[:1])[0] if streamed else pl.DataFrame()
    gated = gates.check(
        splits, rows.modality, config.gates, where=WHERE, beside=sum(at_most.values()), columns_beside=head.columns
    )
    rejected += gated.rejected
    splits = {name: table for name, table in gated.splits.items() if len(table)}
    pool = head if streamed else splits.get("pool", head)
    causes = _causes(rows.notes, rejected)
    _check(splits, rows.classes, config, needed=("seed", "val") if streamed else tuple(NEEDED), causes=causes)
    for name in rows.splits:
        if len(rows.splits[name]) and name not in splits:
            raise _lost(name, rejected, config)

    told = []
    if config.simulate != Simulate():
        if streamed or rows.task != "single":
            raise UserError(
                "works on pools in memory, of single-label tasks",
                where="simulate",
                remedy="Leave [simulate] out, or raise stream.min_rows",
            )
        splits["pool"], told = thin(splits["pool"], config.simulate, rows.classes, seed=config.run.seed)
        splits = {name: table for name, table in splits.items() if len(table)}
        _check(splits, rows.classes, config, needed=("pool",), causes=causes)

    splits = {name: arranged(table, rows.modality) for name, table in splits.items()}
    oracle = pl.DataFrame() if streamed else splits["pool"].select("sample_id", "label").drop_nulls()
    if not streamed:
        splits["pool"] = splits["pool"].with_columns(pl.lit(None, pl.String).alias("label"))
    meta = Meta(
        modality=rows.modality,
        classes=rows.classes,
        subgroups=rows.subgroups,
        num_rows={name: len(table) for name, table in splits.items()} | at_most,
        num_rejected=count(rejected),
        has_oracle=len(pool) > 0 and pool["label"].is_not_null().any(),
        task=rows.task,
    )
    notes = [*rows.notes, *told, *_notes(splits, rows.classes, meta.multi)]
    read = {name: len(rows.splits[name]) for name in SPLITS if name in rows.splits} | at_most
    rejected = frame(rejected, REJECTED)
    return Prepared(meta, splits, oracle, rejected, gated, read, notes, rows if streamed else None)


def ingest(config: Config, run: RunDir) -> Meta:
    """Write the ingest/ artifacts unless they are there. `meta.json` is written last and means done."""
    folder = run.root / "ingest"
    if not (folder / "meta.json").exists():
        source = mark(config.data)  # before they are read: what changes meanwhile is noticed later
        prepared = prepare(config)
        tables = dict(prepared.splits)
        if prepared.unread is None:
            shutil.rmtree(folder / "pool", ignore_errors=True)  # of an attempt on data that has changed since
            if prepared.meta.has_oracle:
                tables["oracle"] = prepared.oracle
        else:
            prepared = _in_parts(prepared, prepared.unread, config, folder)
        if len(prepared.gated.pairs):
            tables["near_copies"] = prepared.gated.pairs
        kinds = (*SPLITS, "near_copies")
        for name in kinds if prepared.unread else (*kinds, "oracle", "pool-sample"):
            if name not in tables:
                (folder / f"{name}.parquet").unlink(missing_ok=True)
        for name, table in (tables | {"rejected": prepared.rejected}).items():
            write_table(folder / f"{name}.parquet", table)
        write_json(folder / "gates.json", prepared.report(config))
        _done(folder, replace(prepared.meta, source=source))
    build.tidy(folder)
    return load_meta(run)


NOT_OURS = ("ingest/meta.json", "ingest/semantic.parquet", "ingest/encoder.json")
"""In ingest/, but not what meta.json speaks for: itself, and what is found when the pool is embedded."""


def _done(folder: Path, meta: Meta) -> None:
    """Write meta.json, which means done and speaks for what is there."""
    tree = asdict(meta)
    if (ledger := Ledger.read(folder.parent)) is not None:
        names = [name for name in ledger.records if name.startswith("ingest/") and name not in NOT_OURS]
        for name in names:  # of an attempt on data that has changed since
            if not (folder.parent / name).exists():
                digests.forget(folder.parent / name)
        own = {n: ledger.records[n] for n in names if (folder.parent / n).exists()}
        tree = digests.sealed(tree, {name.partition("/")[2]: digest for name, digest in own.items()})
    write_json(folder / "meta.json", tree)


def _in_parts(prepared: Prepared, rows: Rows, config: Config, folder: Path) -> Prepared:
    """Write the pool of `rows` in parts. Returns what is known then: all rows counted, and all that was set aside."""
    stream = config.stream
    if stream.workers != 0:
        ensure_ray()
    guard = gates.Guard.of(prepared.gated.splits, rows.modality, config.gates, where=WHERE)
    sizes = {"shard_rows": stream.shard_rows, "sample_rows": stream.sample_rows}
    pool = build.shard(rows.pool_chunks or (), folder, rows.modality, guard, **sizes, workers=stream.workers)
    told, gated = build.told(folder, rows.modality), prepared.gated
    if rows.limit:
        unusable = [*rows.rejected, *told.rejected.filter(pl.col("rows") > 0).to_dicts()]
        rows.limit.check(unusable, rows.num_read + prepared.meta.num_rows["pool"])
    if not pool.rows:
        raise _lacking("pool", config, _causes(rows.notes, told.rejected.to_dicts()))
    of_pool = told.rejected.with_columns(split=pl.when(pl.col("gate") != "read").then(pl.lit("pool")))
    rejected = pl.concat([prepared.rejected, of_pool.select(REJECTED.names)])
    nulls = add_nulls(gated.nulls, told.nulls)
    check_nulls(nulls, config.gates)
    read = prepared.read | {"pool": prepared.read["pool"] - int(told.rejected["rows"].sum())}
    gates.refuse_if_many(rejected.to_dicts(), sum(read.values()), config.gates)
    leaks = {kind: number + told.leaks[kind] for kind, number in gated.leaks.items()}
    pairs = least_alike([gated.pairs, told.pairs], rows.modality)
    meta = replace(
        prepared.meta,
        num_rows=prepared.meta.num_rows | {"pool": pool.rows},
        num_rejected=len(rejected),
        has_oracle=pool.has_oracle,
        pool_digest=pool.digest,
    )
    gated = replace(gated, leaks=leaks, nulls=nulls, pairs=pairs)
    return replace(prepared, meta=meta, rejected=rejected, gated=gated, read=read)


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


def _check(
    splits: dict[str, pl.DataFrame], classes: tuple[str, ...], config: Config, needed: tuple[str, ...], causes: str
) -> None:
    if len(classes) < 2:
        raise UserError(
            f"fewer than two classes{causes}",
            where=_where(config),
            value=listing(classes) or None,
            remedy="Label at least one sample of a second class",
        )
    for name in needed:
        if name not in splits:
            raise _lacking(name, config, causes)


CAUSES = 400
"""Characters of what may be behind an error, in its message."""

NEEDED = {
    "seed": ("no labelled sample to start from", "Label a few samples of each class: they are the seed set"),
    "val": ("no labelled val sample", "Label at least two samples of a class, or hold a val split out yourself"),
    "pool": ("no unlabelled sample to choose from", "Add unlabelled samples: they are the pool"),
}
"""Split a run cannot do without -> what its lack is called, and what to do."""


def _lacking(split: str, config: Config, causes: str) -> UserError:
    lack, remedy = NEEDED[split]
    return UserError(f"{lack}{causes}", where=_where(config), remedy=remedy)


def _lost(split: str, rejected: list[dict], config: Config) -> UserError:
    """The gates left nothing of a split that had rows."""
    first = next((row for row in rejected if row.get("split") == split), None)
    why = f"; the first, {first['where']}: {first['reason']}" if first else ""
    return UserError(
        f"no {split} row is left of those read{why}", where=_where(config), remedy=f"Give {split} rows of its own"
    )


def _causes(notes: list[str], rejected: list[dict]) -> str:
    """What may be behind a lack, for its message: it would be told nowhere else."""
    number = count(rejected)
    first = (
        [f"{number} rows were set aside, the first {rejected[0]['where']}: {rejected[0]['reason']}"] if number else []
    )
    told = "; ".join([*first, *notes])
    return f"; {told[: CAUSES - 1]}…" if len(told) > CAUSES else f"; {told}" if told else ""


def _where(config: Config) -> object:
    return getattr(config.data, "path", None) or "data"


def _counts(table: pl.DataFrame, classes: tuple[str, ...], multi: bool) -> dict[str, int]:
    return count_labels(table["label"], classes, multi=multi)


def _notes(splits: dict[str, pl.DataFrame], classes: tuple[str, ...], multi: bool) -> list[str]:
    notes = []
    for name, effect in (("seed", "the model starts without them"), ("val", "their recall cannot be watched")):
        lacking = [c for c, count in _counts(splits[name], classes, multi).items() if not count]
        if lacking:
            notes.append(f"No {name} sample of {len(lacking)} of {len(classes)} classes, {effect}: {listing(lacking)}")
    return notes
