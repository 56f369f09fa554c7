"""Synthetic samples look for real ones: who is asked about, by whom it was found, and where people said no."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from helpers.finished import artifacts, finish, queries
from helpers.small import config, rows, write

from adde_ray.annotators import ANNOTATORS
from adde_ray.annotators.simulated import Simulated
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config.kept import resumed
from adde_ray.loop import prepare, run
from adde_ray.methods.synthesis import generators, light
from adde_ray.pool.look_for import look_for

AWAY = 40.0
"""How far what has nothing near it lies from all real samples."""


class Lamp:
    """Makes samples in turn near a row it was shown and far from all."""

    def __init__(self, _):
        pass

    def fit(self, data, *, seed):
        return {"rows": data.arrays}

    def sample(self, weights, classes, points, *, temperature, seed):
        rng, known = np.random.default_rng(seed), weights["rows"]
        made = known[rng.integers(len(known), size=len(classes))] + rng.normal(0, 0.05, (len(classes), known.shape[1]))
        made[1::2] += AWAY
        return made.astype(np.float32)


class Strict(Simulated):
    """Takes no synthetic sample for real."""

    def answer(self, query, synthetic, round_):
        made = pl.col("sample_id").is_in(query.filter(origin="synthetic")["sample_id"].to_list())
        said = {"action": pl.lit("reject"), "label": pl.lit(None, pl.String)}
        answers = super().answer(query, synthetic, round_)
        return answers.with_columns(
            pl.when(made).then(value).otherwise(name).alias(name) for name, value in said.items()
        )


SECTIONS = {
    "generate": {"generator": "lamp", "per_round": 12, "max_share": 0.5, "actors": 0},
    "quality_control": {"min_confidence": 0, "models": (), "min_agreement": 0, "near_copy": 0},
    "adapt": {"rules": ()},
    "gaps": {"tolerance": 1.0},
    "select": {"batch": 6, "shortlist": 6, "alpha": 0.0, "beta": 1.0, "gamma": 0.0, "diversity": {"novelty": 1.0}},
    "stop": {"labels": 18},
}


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    monkeypatch.setitem(generators.GENERATORS.parts, "lamp", Lamp)
    monkeypatch.setitem(generators.MAKES, "lamp", ("vector",))
    monkeypatch.setitem(ANNOTATORS.parts, "strict", Strict)


def settings(tmp_path, files=6, **sections):
    """A run's, with its pool in files of its own, and a query of what lies farthest from the dataset."""
    whole, pool = tmp_path / "data.parquet", tmp_path / f"pool-{files}"
    pool.mkdir(exist_ok=True)
    write(whole, [row for row in rows() if row["split"] != "pool"])
    for number in range(files):
        write(pool / f"{number}.parquet", [row for row in rows() if row["split"] == "pool"][number::files])
    merged = {name: SECTIONS.get(name, {}) | sections.get(name, {}) for name in SECTIONS | sections}
    return config(whole, **merged | {"data": {"pool": str(pool)}})


def is_near(made: pl.DataFrame) -> pl.Series:
    return made["nn_ratio"] < 5


def test_what_has_a_real_sample_near_it_lends_it_its_place(tmp_path):
    finish(tmp_path / "run", settings(tmp_path))
    first = RunDir(tmp_path / "run").round(0)
    made, candidates = first.read("synthetic.parquet"), first.read("candidates.parquet")
    near, far = (set(made.filter(which)["sample_id"]) for which in (is_near(made), ~is_near(made)))
    assert near and far and (made["status"] == "kept").all()
    assert set(candidates.filter(origin="synthetic")["sample_id"]) == far
    lit = candidates.filter(pl.col("lit_by").is_not_null())
    assert len(lit) and set(lit["lit_by"]) <= near and (lit["origin"] == "real").all()
    assert candidates.filter(origin="real").height > 6  # beside the shortlist of the best


def test_what_has_nothing_near_it_is_asked_about(tmp_path):
    finish(tmp_path / "run", settings(tmp_path))
    made = pl.concat([r.read("synthetic.parquet") for r in RunDir(tmp_path / "run").rounds() if r.t < 3])
    asked = pl.concat(queries(tmp_path / "run"))
    shown = asked.filter(origin="synthetic")["sample_id"]
    assert len(shown) and not is_near(made.filter(pl.col("sample_id").is_in(shown.to_list()))).any()
    assert shown.is_in(asked["lit_by"].drop_nulls().to_list()).sum() == 0


def test_what_it_found_is_kept_with_the_sample(tmp_path):
    finish(tmp_path / "run", settings(tmp_path, select={"batch": 20}, stop={"labels": 20}))
    [asked], dataset = queries(tmp_path / "run"), RunDir(tmp_path / "run").dataset()
    lit = asked.filter(pl.col("lit_by").is_not_null()).select("sample_id", "lit_by").sort("sample_id")
    kept = dataset.filter(pl.col("lit_by").is_not_null()).select("sample_id", "lit_by").sort("sample_id")
    assert len(lit) and kept.equals(lit)


def test_without_it_all_that_is_kept_is_offered(tmp_path):
    finish(tmp_path / "run", settings(tmp_path, generate={"search": False}))
    first = RunDir(tmp_path / "run").round(0)
    candidates = first.read("candidates.parquet")
    made = set(first.read("synthetic.parquet").filter(status="kept")["sample_id"])
    assert set(candidates.filter(origin="synthetic")["sample_id"]) == made
    assert candidates["lit_by"].null_count() == len(candidates)


@pytest.mark.parametrize("search", [True, False])
def test_near_what_people_rejected_nothing_is_shown(tmp_path, search):
    finish(tmp_path / "run", settings(tmp_path, review={"annotator": "strict"}, generate={"search": search}))
    rounds = RunDir(tmp_path / "run").rounds()
    reasons = [made["reason"].drop_nulls() for r in rounds if (made := r.read("synthetic.parquet")) is not None]
    dark = [int(reason.str.starts_with("near a sample that people rejected").sum()) for reason in reasons]
    assert dark[0] == 0 and (sum(dark[1:]) > 0) == search


STREAM = {"min_rows": 1, "shard_rows": 7, "sample_rows": 50, "workers": 0}


def test_a_streamed_pool_is_looked_through_as_one_in_memory(tmp_path):
    given = {"memory": settings(tmp_path), "streamed": settings(tmp_path, stream=STREAM)}
    finish(tmp_path / "run", given["memory"])
    made = RunDir(tmp_path / "run").round(0).read("synthetic.parquet")
    found, pools = [], []
    for name, own in given.items():
        with RunDir.start(tmp_path / name, own) as run_:
            data = prepare(own, run_)
            pools.append(data.pool)
            out = set(sorted(pools[0].sample.ids)[:10])
            reach = light.reach(data.reference.features, seed=0)
            features = data.encode(made["vector"])
            found.append(look_for(made["sample_id"], features, data.pool, reach, out, workers=0))
    assert [pool.is_streamed for pool in pools] == [False, True] and len(pools[1].shards) > 1
    both = found[0].join(found[1], on="lit_by", suffix="_streamed")  # what is near is measured on another sample
    assert len(both) >= len(made) / 3 and both["sample_id"].equals(both["sample_id_streamed"])


def test_a_run_is_the_same_whatever_the_shards_are(tmp_path):
    for files in (2, 12):
        finish(tmp_path / str(files), settings(tmp_path, files, stream=STREAM))
    for t in range(3):
        for name in ("synthetic.parquet", "candidates.parquet", "query.parquet", "decisions.parquet"):
            kept = [(tmp_path / folder / "rounds" / f"00{t}" / name).read_bytes() for folder in ("2", "12")]
            assert kept[0] == kept[1]
    assert pl.concat(queries(tmp_path / "2"))["lit_by"].count()


def test_a_run_of_an_earlier_version_goes_on_without_it(tmp_path):
    given = settings(tmp_path)
    before = given.model_dump(mode="json")
    del before["generate"]["search"]
    assert resumed(given.model_dump(mode="json"), given, where="config.json").generate.search
    assert not resumed(before, given, where="config.json").generate.search


class Stop(Exception):
    pass


@pytest.mark.parametrize("stage", ["score", "select", "review"])
def test_a_run_that_is_killed_ends_with_the_same_bytes(tmp_path, stage):
    given = settings(tmp_path, review={"annotator": "strict"})

    def kill(run_, name, t):
        if (name, t) == (stage, 1):
            raise Stop

    run(given, tmp_path / "whole")
    with pytest.raises(Stop):
        run(given, tmp_path / "killed", on_stage=kill)
    run(given, tmp_path / "killed", resume=True)
    assert artifacts(tmp_path / "whole") == artifacts(tmp_path / "killed")
