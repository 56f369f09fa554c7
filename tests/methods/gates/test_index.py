import polars as pl
import pytest

from adde_ray.config import Gates
from adde_ray.methods.gates.index import Index, sign
from adde_ray.sources.rows import identify

LONG = "please tell me where the parcel is that i have ordered from your shop"


def table(*texts: str, split: str = "pool", near: bool = True) -> pl.DataFrame:
    column = pl.Series("text", texts, dtype=pl.String)
    where = pl.Series("w", [f"{split}{row}" for row in range(len(texts))], dtype=pl.String)
    return sign(pl.DataFrame([identify(column), column, where]), "text", Gates(near_copies=near))


@pytest.mark.parametrize("near", [True, False])
def test_parts_against_an_index_find_what_the_whole_finds(near):
    held_out = {"val": table("v", LONG, split="val", near=near), "test": table("t", "v", split="test", near=near)}
    index = Index.of(held_out, "text", Gates(near_copies=near), where="w")
    assert index.table["_split"].to_list() == ["val", "val", "test"]  # of what is in two, the first
    pool = table("a", "V", "t", LONG + "!", "b", near=near)
    found = [index.copies(pool[start : start + 2]) for start in (0, 2, 4)]
    rows = [start + row for start, part in zip((0, 2, 4), found, strict=True) for row in part["_row"]]
    assert rows == ([1, 2, 3] if near else [2]) == index.copies(pool)["_row"].to_list()
    assert pl.concat(found)["exact"].to_list() == ([False, True, False] if near else [True])


def test_the_best_match_is_named():
    index = Index.of({"val": table(LONG + " today", LONG + " at all", LONG, split="val")}, "text", Gates(), where="w")
    [found] = index.copies(table(LONG + "?")).to_dicts()
    assert (found["_other"], found["similarity"], found["exact"]) == (2, 1.0, False)
