"""The gates together: what is set aside, from which split, and why."""

import json
import pickle

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_digits

from adde_ray.artifacts.images import encode_images
from adde_ray.artifacts.schema import REJECTED, frame
from adde_ray.config import Gates
from adde_ray.errors import UserError
from adde_ray.methods import gates
from adde_ray.methods.gates.gatekeeper import least_alike
from adde_ray.sources.rows import identify

LONG = "please tell me where the parcel is that i have ordered from your shop"
OTHER = "the lamp in the hall went out again after the storm of last night"
DROP = Gates(leakage="drop")


def tables(modality="text", **payloads):
    """split -> a table of its payloads, `where` being split and row."""
    made = {}
    for name, values in payloads.items():
        column = pl.Series(modality, values, dtype={"text": pl.String, "image": pl.Binary}.get(modality))
        ids, where = identify(column), pl.Series("w", [f"{name}{i}" for i in range(len(values))], dtype=pl.String)
        made[name] = pl.DataFrame([ids, column, where])
    return made


def check(splits, config=DROP, modality="text"):
    return gates.check(splits, modality, config, where="w")


def aside(gated):
    return {row["where"]: (row["gate"], row["reason"]) for row in gated.rejected}


def test_each_gate_in_its_place():
    gated = check(
        tables(
            seed=["b", LONG],
            pool=["a", "b", "v", "", LONG + "!", "o", "c", "C."],
            val=["v", "t"],
            test=["t", "A!"],
            ood=["o"],
        )
    )
    assert aside(gated) == {
        "pool3": ("length", "0 characters, fewer than 1"),
        "val1": ("overlap", "in val, also in test"),
        "pool0": ("leakage", "in pool, near copy of test1 (1.000 alike) in test"),
        "pool2": ("leakage", "in pool, also in val"),
        "pool5": ("leakage", "in pool, also in ood"),
        "pool1": ("copy", "in pool, also in seed"),
        "pool4": ("near_copy", "in pool, near copy of seed1 (1.000 alike) in seed"),
        **{w: aside(gated)[w] for w in ("pool6", "pool7") if w in aside(gated)},
    }
    assert len(aside(gated).keys() & {"pool6", "pool7"}) == 1  # one of the two stays
    assert {n: len(t) for n, t in gated.splits.items()} == {"seed": 2, "pool": 1, "val": 1, "test": 2, "ood": 1}
    assert gated.leaks == {"exact": 2, "near": 1}
    assert all(t.columns == ["sample_id", "text", "w"] for t in gated.splits.values())
    assert {row["split"] for row in gated.rejected} == {"pool", "val"}


def test_leakage_is_an_error_unless_allowed():
    splits = tables(seed=["a", LONG + "?"], pool=["c", "v"], val=["v", LONG], test=["u"])
    with pytest.raises(UserError, match=r"1 seed and 1 pool samples \(1 exact, 1 near\): pool1 \(pool\) copies val0"):
        check(splits, Gates())
    allowed = check(splits, Gates(leakage="allow"))
    assert not allowed.rejected and allowed.leaks == {"exact": 1, "near": 1}
    assert len(check(splits, Gates(near_copies=False, leakage="drop")).rejected) == 1
    near = tables(seed=["a"], pool=["c", LONG + "?"], val=[LONG])
    with pytest.raises(UserError, match=r"pool1 \(pool\) nearly copies val0 \(val\) .*\"drop\".*\"allow\""):
        check(near, Gates())
    assert not check(near, Gates(near_copies=False)).rejected


def test_of_pool_copies_the_same_one_stays_in_any_order():
    texts = [LONG, LONG + "!", LONG.upper(), "something else"]
    stay = {tuple(sorted(check(tables(seed=["s"], pool=order, val=["v"])).splits["pool"]["text"]))
            for order in (texts, texts[::-1], texts[2:] + texts[:2])}  # fmt: skip
    assert len(stay) == 1 and len(stay.pop()) == 2


def test_a_jpeg_of_a_test_image_in_the_pool():
    import io

    from PIL import Image

    digits = encode_images((load_digits().images[:60] / 16)[:, None].astype(np.float32))
    file = io.BytesIO()
    big = Image.open(io.BytesIO(digits[50])).resize((64, 64), Image.Resampling.NEAREST)
    big.save(file, "JPEG", quality=80)
    again = np.asarray(Image.open(file).resize((8, 8), Image.Resampling.LANCZOS))
    copy = encode_images(again[None, None])[0]
    splits = tables("image", seed=digits[:5], pool=[*digits[5:40], copy], val=digits[40:50], test=digits[50:])
    with pytest.raises(UserError, match=r"1 pool samples \(0 exact, 1 near\): pool35 \(pool\) nearly copies test0"):
        check(splits, Gates(), "image")
    gated = check(splits, DROP, "image")
    assert list(aside(gated)) == ["pool35"] and len(gated.splits["pool"]) == 35
    [pair] = gated.pairs.to_dicts()
    assert pair["image"] == copy and pair["other_image"] == digits[50] and pair["similarity"] > 0.99
    assert (pair["gate"], pair["where"], pair["other_where"]) == ("leakage", "pool35", "test0")


def test_vectors_have_exact_copies_only():
    vectors = {"seed": [[1.0, 2.0]], "pool": [[1.0, 2.0], [1.0, 2.0001], [3.0, 4.0]], "val": [[5.0, 6.0]]}
    splits = {}
    for name, values in vectors.items():
        column = pl.Series("vector", values, dtype=pl.List(pl.Float32))
        where = pl.Series("w", [f"{name}{i}" for i in range(len(values))])
        splits[name] = pl.DataFrame([identify(column), column, where])
    assert aside(check(splits, modality="vector")) == {"pool0": ("copy", "in pool, also in seed")}


def test_rows_that_fail_too_often_refuse_the_data():
    splits = tables(seed=["a", "b"], pool=["c", "", "d"], val=["e"])
    with pytest.raises(UserError, match=r"gates: 1 of 6 rows are not what is expected, the first: pool1: 0 char"):
        check(splits, Gates())
    assert aside(check(splits, Gates(max_rejected=0.2))).keys() == {"pool1"}
    typed = {n: t.with_columns(age=pl.lit("x")) for n, t in tables(seed=["a"], pool=["c"], val=["e"]).items()}
    config = Gates(expect={"age": {"type": "number"}}, max_rejected=1)
    assert {gate for gate, _ in aside(check(typed, config)).values()} == {"column"}
    with pytest.raises(UserError, match=r"raise gates\.max_rejected"):
        check(typed, Gates(expect={"age": {"type": "number"}}))


def test_missing_and_empty_splits():
    for splits in (tables(pool=["a", "b"]), tables(seed=["a"]), tables(seed=[], pool=[], val=[], test=[]), {}):
        gated = check(splits)
        assert not gated.rejected and gated.splits.keys() == splits.keys() and gated.pairs.is_empty()


def test_a_guard_of_parts_finds_what_the_whole_does():
    splits = tables(seed=["s", LONG], val=["v", OTHER], test=["t"])
    pool = tables(pool=["a", "V", "t", "S!", LONG, "", "b", OTHER + "!"])["pool"]
    whole = check({**splits, "pool": pool}, Gates(leakage="drop", max_rejected=1))
    guard = pickle.loads(pickle.dumps(gates.Guard.of(splits, "text", DROP, where="w")))
    parts = [guard.check(pool[start : start + 3]) for start in (0, 3, 6)]
    passed = pl.concat([part.splits["pool"] for part in parts])
    assert passed.drop("_signs").sort("sample_id").equals(whole.splits["pool"])
    found = {where: why for part in parts for where, why in aside(part).items()}
    assert found == aside(whole) and len(found) == 6
    with pytest.raises(UserError, match=r"1 pool samples \(1 exact, 0 near\): pool2 \(pool\) copies test0"):
        gates.Guard.of(splits, "text", Gates(), where="w").check(pool[2:3])
    assert guard.check(pool.clear()).rejected == []
    alone = gates.Guard.of({}, "text", DROP, where="w").check(pool[:2]).splits["pool"]
    assert alone.drop("_signs").equals(pool[:2])
    assert sum(part.leaks["exact"] for part in parts) == 1 and sum(part.leaks["near"] for part in parts) == 2
    assert least_alike([part.pairs for part in parts], "text").equals(whole.pairs) and len(whole.pairs) == 3


def test_the_report():
    splits = tables(seed=["b"], pool=["a", "b", "v", "c"], val=["v"])
    gated = check(splits)
    rejected = frame([{"where": "f:1", "reason": "no text", "gate": "read"}, *gated.rejected], REJECTED)
    kept = {n: len(t) for n, t in gated.splits.items()}
    told = gates.report({n: len(t) for n, t in splits.items()}, kept, gated.leaks, rejected, DROP)
    assert told["rows"] == {
        "seed": {"read": 1, "kept": 1},
        "pool": {"read": 4, "kept": 2},
        "val": {"read": 1, "kept": 1},
    }
    assert told["leakage"] == {"exact": 1, "near": 0, "action": "drop"}
    assert [(r["gate"], r["split"], r["rows"], r["where"]) for r in told["rejected"]] == [
        ("copy", "pool", 1, "pool1"), ("leakage", "pool", 1, "pool2"), ("read", None, 1, "f:1"),
    ]  # fmt: skip
    assert told["settings"]["leakage"] == "drop" and json.loads(json.dumps(told)) == told
