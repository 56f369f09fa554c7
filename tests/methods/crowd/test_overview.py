"""What the owner's page shows: plain JSON, with None for what cannot be told."""

import json

import polars as pl
import pytest

from adde_ray.methods.crowd import overview

SCHEMA = {"item": pl.String, "worker": pl.String, "label": pl.String, "seconds": pl.Float64, "when": pl.String}


def timed(given: pl.DataFrame) -> pl.DataFrame:
    """An answer a minute and person, ever slower by w01."""
    nth = pl.int_range(pl.len()).over("worker")
    slow = pl.when(pl.col("worker") == "w01").then(nth / 20).otherwise(nth % 7 / 10)
    when = pl.datetime(2026, 1, 1, time_zone="UTC") + pl.duration(minutes=nth)
    return given.with_columns((2 + slow).alias("seconds"), when.dt.to_string("iso:strict").alias("when"))


def test_people_classes_and_agreement(crowd):
    given, truth = crowd([0.95, 0.9, 0.6], items=200)
    found = json.loads(json.dumps(overview(timed(given), truth[:50]), allow_nan=False))
    alpha = found["agreement"]
    assert alpha["low"] < alpha["alpha"] < alpha["high"] and alpha["n"] == 200
    by_name = {person["name"]: person for person in found["people"]}
    assert list(by_name) == ["w00", "w01", "w02"]
    assert by_name["w00"]["gold_accuracy"] > by_name["w02"]["gold_accuracy"] and by_name["w00"]["gold"] == 50
    assert by_name["w00"]["agreement"] > by_name["w02"]["agreement"]
    assert by_name["w01"]["drift"] == "slower" and by_name["w00"]["drift"] is None
    assert by_name["w00"]["per_hour"] == pytest.approx(60, rel=0.01) and by_name["w00"]["median_seconds"] == 2.3
    assert [c["name"] for c in found["classes"]] == ["x", "y", "z"]
    assert sum(c["confirmed"] for c in found["classes"]) == 200
    assert 0 < len(found["disagreements"]) < 200


def test_several_classes_at_once(crowd):
    given, _ = crowd([0.9, 0.8], items=60)
    named = timed(given.with_columns(pl.col("label").replace({"x": "", "y": "p", "z": "p|?q"})))
    found = overview(named, multi=True)
    assert [c["name"] for c in found["classes"]] == ["p", "q"] and found["classes"][0]["agreement"] > 0
    assert found["agreement"]["alpha"] > 0


@pytest.mark.parametrize("rows", [0, 1])
def test_a_project_that_has_hardly_begun_has_an_overview(rows):
    one = pl.DataFrame([("a", "ann", "x", 2.0, "2026-01-01T00:00:00+00:00")], schema=SCHEMA, orient="row")
    found = json.loads(json.dumps(overview(one[:rows]), allow_nan=False))
    assert found["agreement"]["alpha"] is None and len(found["people"]) == rows


def test_pauses_are_no_work():
    hours = ["09:00:00", "09:00:10", "09:00:20", "15:00:00"]
    rows = [(f"i{n}", "ann", "x", 10.0, f"2026-01-01T{hour}+00:00") for n, hour in enumerate(hours)]
    found = overview(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    assert found["people"][0]["per_hour"] == 360.0
