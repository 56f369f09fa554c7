import hashlib
import subprocess
import sys

import polars as pl
import pytest

from adde_ray.artifacts.run_dir import RunDir, read_json, read_table
from adde_ray.artifacts.schema import REJECTED, SPLITS, Meta
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.sources import SOURCES, WHERE, Rows
from adde_ray.stages import ingest as stage
from adde_ray.stages.ingest import ingest, load_meta, prepare

DIGITS = Config.parse({"data": {"source": "digits"}})


def load_split(run: RunDir, name: str) -> pl.DataFrame | None:
    """A table of ingest/, or None."""
    path = run.root / "ingest" / f"{name}.parquet"
    return read_table(path) if path.exists() else None


def load_oracle(run: RunDir) -> pl.DataFrame | None:
    return load_split(run, "oracle")


def rows(**splits):
    """A text source: split -> "text" or "text:label" items."""
    tables = {}
    for name, items in splits.items():
        parts = [(*item.split(":"), None)[:2] for item in items.split()]
        tables[name] = pl.DataFrame(
            {
                "text": [text for text, _ in parts],
                "label": [label for _, label in parts],
                WHERE: [f"{name}{i}" for i in range(len(parts))],
                "site": ["n", "s"] * (len(parts) // 2) + ["n"] * (len(parts) % 2),
                "extra": list(range(len(parts))),
            },
            schema_overrides={"label": pl.String, "text": pl.String, WHERE: pl.String},
        )
    labels = {x for name in tables if name != "pool" for x in tables[name]["label"].drop_nulls()}
    return Rows(splits=tables, modality="text", classes=tuple(sorted(labels)), subgroups=("site",))


GOOD = {"seed": "a:x b:y", "pool": "c d:x e:junk", "val": "f:x g:y"}


@pytest.fixture
def source(monkeypatch):
    """Replaces the digits by given rows."""

    def use(data):
        monkeypatch.setitem(SOURCES.parts, "digits", lambda config, seed: data)

    return use


def texts(prepared, split):
    return sorted(prepared.splits[split]["text"])


def reasons(prepared):
    return dict(prepared.rejected.select("where", "reason").iter_rows())


def test_artifacts(tmp_path, source):
    source(rows(**GOOD, test="h:x"))
    run = RunDir(tmp_path)
    meta = ingest(DIGITS, run)
    assert meta == Meta(
        modality="text",
        classes=("x", "y"),
        subgroups=("site",),
        num_rows={"seed": 2, "pool": 3, "val": 2, "test": 1},
        num_rejected=0,
        has_oracle=True,
    )
    assert load_meta(run) == meta and isinstance(load_meta(run).classes, tuple)
    for split in ("seed", "pool", "val", "test"):
        table = load_split(run, split)
        assert table.columns == ["sample_id", "label", "text", "site", "extra"]
        assert table["sample_id"].is_sorted() and table["sample_id"].str.len_chars().unique().to_list() == [32]
    assert load_split(run, "ood") is None and not (tmp_path / "ingest" / "ood.parquet").exists()
    assert load_split(run, "seed")["label"].null_count() == 0


def test_the_pools_labels_are_in_the_oracle_and_nowhere_else(tmp_path, source):
    source(rows(seed="a:x b:y", val="f:x g:y", pool="c:hidden c:secret d:x e e:x"))
    run = RunDir(tmp_path)
    ingest(DIGITS, run)
    pool, oracle = load_split(run, "pool"), load_oracle(run)
    assert pool["label"].dtype == pl.String and pool["label"].null_count() == 3
    known = dict(oracle.join(pool, on="sample_id").select("text", "label").iter_rows())
    assert known == {"c": "hidden", "d": "x"} and oracle.columns == ["sample_id", "label"]
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "oracle.parquet":
            kept = read_table(path).write_json() if path.suffix == ".parquet" else path.read_text()
            assert "hidden" not in kept and "secret" not in kept, path


def test_no_oracle_where_nothing_is_known(tmp_path, source):
    source(rows(**{**GOOD, "pool": "c d"}))
    assert not ingest(DIGITS, RunDir(tmp_path)).has_oracle
    assert load_oracle(RunDir(tmp_path)) is None


def test_copies_within_a_split(source):
    source(rows(seed="a:x b:y a:x a:y", pool="c d c", val="f:x g:y"))
    prepared = prepare(DIGITS)
    assert texts(prepared, "seed") == ["a", "b"] and texts(prepared, "pool") == ["c", "d"]
    assert reasons(prepared) == {
        "seed2": "same content as seed0",
        "seed3": "same content as seed0, which is labelled 'x', not 'y'",
        "pool2": "same content as pool0",
    }
    assert prepared.splits["seed"].filter(text="a")["label"].to_list() == ["x"]
    assert prepared.rejected.columns == REJECTED.names and prepared.meta.num_rejected == 3


def test_held_out_content_is_nowhere_else(source):
    source(
        rows(
            seed="a:x b:y v:x t:x z:x",
            pool="c d a v t o",
            val="v:x w:y t:x o:y",
            test="t:x u:y",
            ood="o:x u:y z:x",
        )
    )
    with pytest.raises(UserError, match=r"3 seed and 3 pool samples \(6 exact, 0 near\): seed\d \(seed\) copies"):
        prepare(DIGITS)
    prepared = prepare(DIGITS.override("gates.leakage=drop"))
    assert {n: texts(prepared, n) for n in SPLITS} == {
        "seed": ["a", "b"],
        "pool": ["c", "d"],
        "val": ["v", "w"],
        "test": ["t", "u"],
        "ood": ["o", "u", "z"],
    }
    assert reasons(prepared) == {
        "val2": "in val, also in test",
        "val3": "in val, also in ood",
        "seed2": "in seed, also in val",
        "seed3": "in seed, also in test",
        "seed4": "in seed, also in ood",
        "pool2": "in pool, also in seed",
        "pool3": "in pool, also in val",
        "pool4": "in pool, also in test",
        "pool5": "in pool, also in ood",
    }


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({**GOOD, "pool": ""}, "no unlabelled sample to choose from.*Add unlabelled"),
        ({"seed": "a:x", "pool": "c", "val": "f:x"}, r"fewer than two classes \(got 'x'\)"),
        ({"pool": "c"}, r"no labelled sample to start from.*data.classes.*\[data.describe\]"),
        ({"seed": "a:x b:y", "pool": "a", "val": "f:x"}, "no unlabelled sample"),
        ({"seed": "a:x b:y", "pool": "c", "val": "a:x b:y"}, r"2 seed samples \(2 exact, 0 near\): seed\d"),
    ],
)
def test_unusable_data_is_refused_and_nothing_written(tmp_path, source, splits, message):
    source(rows(**splits))
    with pytest.raises(UserError, match=message):
        prepare(DIGITS)
    with pytest.raises(UserError):
        ingest(DIGITS, RunDir(tmp_path))
    assert not list(tmp_path.iterdir())


def test_counts_and_notes(source):
    source(rows(seed="a:x", pool="c", val="f:x g:y", test="t:z"))
    prepared = prepare(DIGITS)
    assert prepared.class_counts == {
        "seed": {"x": 1, "y": 0, "z": 0},
        "val": {"x": 1, "y": 1, "z": 0},
        "test": {"x": 0, "y": 0, "z": 1},
    }
    assert any("No seed sample of 2 of 3 classes" in n and n.endswith(": y, z") for n in prepared.notes)
    assert any("No val sample of 1 of 3 classes" in n and n.endswith(": z") for n in prepared.notes)


def test_the_gates_leave_a_report_and_pairs_to_look_at(tmp_path, source):
    longer = "where-is-the-parcel-i-have-ordered-from-your-shop"
    source(rows(seed="a:x b:y", pool=f"c d {longer}! c " + "e" * 40, val=f"f:x g:y {longer}:y"))
    config = DIGITS.override("gates.leakage=drop", "gates.max_rejected=0.5")
    meta = ingest(config, RunDir(tmp_path))
    kept = read_json(tmp_path / "ingest" / "gates.json")
    assert kept["rows"]["pool"] == {"read": 5, "kept": 2} and meta.num_rejected == 3
    assert {(r["gate"], r["split"]): r["rows"] for r in kept["rejected"]} == {
        ("copy", "pool"): 1, ("leakage", "pool"): 1, ("repetition", "pool"): 1,
    }  # fmt: skip
    assert kept["leakage"] == {"exact": 0, "near": 1, "action": "drop"}
    [pair] = load_split(RunDir(tmp_path), "near_copies").to_dicts()
    assert (pair["text"], pair["other_text"], pair["gate"]) == (f"{longer}!", longer, "leakage")
    assert read_table(tmp_path / "ingest" / "rejected.parquet").columns == REJECTED.names


@pytest.mark.parametrize("min_rows", [1, 1000])
def test_what_a_column_lacks_is_counted_over_the_pool_too(tmp_path, min_rows):
    """Streamed or in memory; and an expected column that only the pool's files have is one the data has."""
    labelled = [f"{word},{'xy'[i % 2]},south,7" for i, word in enumerate(["one", "two", "three", "four"])]
    (tmp_path / "data.csv").write_text("\n".join(["text,label,site,age", *labelled, "five,x,,8"]))
    (tmp_path / "pool").mkdir()
    for part in range(4):
        lines = [f"sentence {row},,{'north' if row % 4 else ''},1" for row in range(10 * part, 10 * part + 10)]
        (tmp_path / "pool" / f"{part}.csv").write_text("\n".join(["text,label,site,only", *lines]))
    tree = {
        "data": {"source": "table", "path": str(tmp_path / "data.csv"), "text_column": "text", "val_fraction": 0.4},
        "stream": {"min_rows": min_rows, "shard_rows": 7, "workers": 0},
    }
    base = Config.parse(tree | {"data": tree["data"] | {"pool": str(tmp_path / "pool")}})
    lacking = 11 / 45  # of the pool's 40 rows 10, and the one labelled row
    passes = base.override(f"gates.expect.site.max_null={lacking + 0.001}", "gates.expect.only.type=number")
    assert ingest(passes, RunDir(tmp_path / "run")).num_rows["pool"] == 40
    with pytest.raises(UserError, match=r"gates\.expect\.site: a share of 0\.244 is missing"):
        ingest(base.override(f"gates.expect.site.max_null={lacking - 0.001}"), RunDir(tmp_path / "refused"))
    with pytest.raises(UserError, match=r"gates\.expect\.nowhere: the data has no such column"):
        prepare(base.override("gates.expect.nowhere.max_null=1"))


def test_nothing_is_read_again_once_done(tmp_path, source):
    source(rows(**GOOD))
    first = ingest(DIGITS, RunDir(tmp_path))
    source(None)
    assert ingest(DIGITS, RunDir(tmp_path)) == first


def test_a_kill_before_the_end_leaves_no_trace(tmp_path, source, monkeypatch):
    source(rows(**GOOD, ood="o:x"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        ingest(DIGITS, RunDir(tmp_path / "killed"))
    assert (tmp_path / "killed" / "ingest" / "ood.parquet").exists()
    source(rows(**GOOD))  # the data has no ood any more
    for name in ("killed", "clean"):
        ingest(DIGITS, RunDir(tmp_path / name))
    assert tree(tmp_path / "killed") == tree(tmp_path / "clean")


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def digest(folder):
    return hashlib.sha256(repr(sorted(tree(folder).items())).encode()).hexdigest()


def test_fresh_processes_write_the_same_bytes(tmp_path):
    ingest(DIGITS, RunDir(tmp_path / "here"))
    code = (
        "import sys; from pathlib import Path; from adde_ray.config import Config\n"
        "from adde_ray.artifacts.run_dir import RunDir; from adde_ray.stages.ingest import ingest\n"
        "ingest(Config.parse({'data': {'source': 'digits'}}), RunDir(Path(sys.argv[1])))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True)
    assert digest(tmp_path / "here") == digest(tmp_path / "there")


def test_digits_end_to_end(tmp_path):
    meta = ingest(DIGITS, RunDir(tmp_path))
    assert meta.has_oracle and meta.classes == tuple("0123456789") and meta.num_rejected == 0
    pool, oracle = load_split(RunDir(tmp_path), "pool"), load_oracle(RunDir(tmp_path))
    assert pool["sample_id"].equals(oracle["sample_id"]) and pool["image"].dtype == pl.Binary
    with pytest.raises(UserError, match="digits"):
        prepare(DIGITS.override("data.seed_per_class=500"))


def test_a_csv_with_broken_rows(tmp_path):
    lines = ["text,label"] + [f"sentence {i},{'ab'[i % 2] if i < 10 else ''}" for i in range(40)]
    lines.insert(7, "one,field,too many")
    lines.append("sentence 39,")
    (tmp_path / "data.csv").write_text("\n".join(lines))
    (tmp_path / "run.toml").write_text('[data]\nsource = "csv"\npath = "data.csv"\ntext_column = "text"\n')
    run = RunDir(tmp_path / "run")
    meta = ingest(Config.load(tmp_path / "run.toml"), run)
    assert meta.num_rows == {"seed": 8, "val": 2, "pool": 30} and meta.num_rejected == 2
    kept = dict(read_table(run.root / "ingest" / "rejected.parquet", "where", "reason").iter_rows())
    assert kept == {"data.csv:8": "3 fields where the header has 2", "data.csv:43": "same content as data.csv:42"}
