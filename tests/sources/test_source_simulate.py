"""Rarity on purpose."""

import numpy as np
import polars as pl
import pytest

from adde_ray.config import Config, Simulate
from adde_ray.errors import UserError
from adde_ray.sources.simulate import thin
from adde_ray.stages.ingest import prepare

SIZES = {"a": 100, "b": 60, "c": 80, "d": 40}


def pool(**extra):
    labels = [name for name, number in (SIZES | extra).items() for _ in range(number)]
    return pl.DataFrame({"sample_id": [f"{i:032x}" for i in range(len(labels))], "label": labels})


def counts(table):
    return dict(table["label"].value_counts().iter_rows())


def simulate(table, seed=0, **settings):
    return thin(table, Simulate(**settings), tuple(SIZES), seed=seed)


def test_rare_classes_keep_so_many_rows():
    table, [note] = simulate(pool(junk=7), rare_classes={"b": 5, "d": 0, "a": 1000})
    assert counts(table) == {"a": 100, "b": 5, "c": 80, "junk": 7}
    assert note == "simulate left 95 of 287 pool rows out; what stays: a 100, c 80, b 5, d 0"
    assert counts(simulate(pool(), rare_classes=["c", "d"], rare_rows=3)[0]) == {"a": 100, "b": 60, "c": 3, "d": 3}


def test_a_long_tail_is_exponential_and_as_large_as_can_be():
    order = ("c", "a", "d", "b")
    found = counts(simulate(pool(), longtail_ratio=8, longtail_order=order)[0])
    assert [found[name] for name in order] == [80, 40, 20, 10]
    ratios = {tuple(sorted(counts(simulate(pool(), seed=s, longtail_ratio=8)[0]).items())) for s in range(8)}
    assert len(ratios) > 3
    assert all(max(dict(r).values()) / min(dict(r).values()) == pytest.approx(8, rel=0.2) for r in ratios)
    both = counts(simulate(pool(), longtail_ratio=8, longtail_order=order, rare_classes={"a": 2, "b": 50})[0])
    assert [both[name] for name in order] == [80, 2, 20, 10]
    assert min(counts(simulate(pool(), longtail_ratio=1e9)[0]).values()) == 1


def test_which_rows_stay_depends_on_content_and_seed_alone():
    whole = pool()
    shuffled = whole[np.random.default_rng(0).permutation(len(whole))]
    settings = {"longtail_ratio": 5.0, "rare_classes": {"a": 4}}
    kept, _ = simulate(whole, **settings)
    again, _ = simulate(shuffled, **settings)
    assert set(kept["sample_id"]) == set(again["sample_id"]) and kept["sample_id"].is_sorted()
    assert again.equals(shuffled.filter(pl.col("sample_id").is_in(kept["sample_id"].implode())))
    assert set(simulate(whole, seed=1, **settings)[0]["sample_id"]) != set(kept["sample_id"])


def test_nothing_asked_for_changes_nothing():
    table, notes = simulate(pool().with_columns(label=pl.lit(None, pl.String)))
    assert len(table) == 280 and not notes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rare_classes": {"z": 1}}, r"simulate\.rare_classes: no such class .*'z'.*Classes: a, b, c, d"),
        ({"longtail_ratio": 2, "longtail_order": ["y"]}, r"simulate\.longtail_order: no such class .*'y'"),
    ],
)
def test_unknown_classes(settings, message):
    with pytest.raises(UserError, match=message):
        simulate(pool(), **settings)


def test_a_pool_without_known_labels_is_refused():
    table = pool().with_columns(pl.when(pl.int_range(pl.len()) > 3).then("label"))
    with pytest.raises(UserError, match=r"4 of 280 pool rows have no known label.*leave \[simulate\] out"):
        simulate(table, rare_classes={"a": 1})


def test_in_a_run():
    digits = {"source": "digits", "longtail_ratio": 1}
    plain = prepare(Config.parse({"data": digits}))
    thinned = prepare(Config.parse({"data": digits, "simulate": {"rare_classes": {"3": 4, "8": 0}}}))
    found = dict(thinned.oracle["label"].value_counts().iter_rows())
    assert found["3"] == 4 and "8" not in found and found["0"] == len(plain.oracle.filter(label="0"))
    assert thinned.meta.num_rows["pool"] == len(thinned.splits["pool"]) == len(thinned.oracle)
    assert thinned.meta.num_rejected == plain.meta.num_rejected and any("simulate left" in n for n in thinned.notes)
    assert all(thinned.splits[name].equals(plain.splits[name]) for name in ("seed", "val", "test"))
    with pytest.raises(UserError, match="no unlabelled sample"):
        prepare(Config.parse({"data": digits, "simulate": {"rare_classes": {str(i): 0 for i in range(10)}}}))
