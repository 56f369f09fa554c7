"""The nearest of a pool, against sorting all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from adde_ray.artifacts.features import write_features
from adde_ray.artifacts.run_dir import write_table
from adde_ray.methods.query.closeness import ToVector
from adde_ray.pool.nearest import nearest, nearest_to_each
from adde_ray.pool.shards import FileShard

ROWS, DIMS = 500, 6
IDS = [f"{i * 7919 % ROWS:032x}" for i in range(ROWS)]
FEATURES = np.random.default_rng(0).normal(size=(ROWS, DIMS)).astype(np.float16)
FEATURES[100:110] = FEATURES[0]  # ties
SEEK = ToVector(FEATURES[0].astype(np.float32))


def shards(folder: Path, num: int) -> list[FileShard]:
    folder.mkdir(exist_ok=True)
    found = []
    for part, rows in enumerate(np.array_split(np.arange(ROWS), num)):
        rows = sorted(rows.tolist(), key=IDS.__getitem__)
        ids = pl.Series("sample_id", [IDS[row] for row in rows], dtype=pl.String)
        shard = FileShard(folder / f"{part}.parquet", folder / f"f{part}.parquet", ("side",))
        write_table(shard.rows, pl.DataFrame({"sample_id": ids, "side": ["left" if r % 2 else "right" for r in rows]}))
        write_features(shard.features, ids, FEATURES[rows])
        found.append(shard)
    return found


def expected(keep) -> list[str]:
    near = SEEK(FEATURES)
    return [IDS[row] for row in sorted(filter(keep, range(ROWS)), key=lambda row: (-near[row], IDS[row]))]


@pytest.mark.parametrize("num", [1, 3, 40])
@pytest.mark.parametrize("number", [1, 5, 30, 2 * ROWS])
def test_they_are_the_first_of_all_sorted_whatever_the_shards_are(tmp_path, num, number):
    found = nearest(shards(tmp_path, num), SEEK, number)
    assert found.table["sample_id"].to_list() == expected(lambda row: True)[:number]
    assert found.table["closeness"].is_sorted(descending=True)


def test_where_they_lie_and_their_features_are_told(tmp_path):
    parts = shards(tmp_path, 4)
    found = nearest(parts, SEEK, 20)
    for at, (sample_id, _, shard, row) in enumerate(found.table.iter_rows()):
        assert parts[shard].read().ids[row] == sample_id
        assert np.array_equal(found.features[at], FEATURES[IDS.index(sample_id)])


def test_what_is_not_looked_for_is_not_found(tmp_path):
    gone = set(expected(lambda row: True)[:4])
    found = nearest(shards(tmp_path, 3), SEEK, 12, without=gone)
    assert found.table["sample_id"].to_list() == expected(lambda row: IDS[row] not in gone)[:12]
    assert len(nearest(shards(tmp_path, 3), SEEK, 5, without=IDS).table) == 0
    assert len(nearest([], SEEK, 5).table) == 0


def test_some_rows_alone_can_be_looked_through(tmp_path):
    found = nearest(shards(tmp_path, 3), SEEK, 12, only=lambda batch: (batch.subgroups["side"] == "left").to_numpy())
    assert found.table["sample_id"].to_list() == expected(lambda row: row % 2)[:12]


PLACES = np.random.default_rng(1).normal(size=(7, DIMS)).astype(np.float32)


@pytest.mark.parametrize("num", [1, 3, 40])
def test_each_place_has_its_nearest_row_whatever_the_shards_are(tmp_path, num):
    places = np.concatenate([PLACES, FEATURES[:1].astype(np.float32)])
    away = np.linalg.norm(places[:, None].astype(np.float64) - FEATURES.astype(np.float64), axis=2)
    gone = {IDS[away[0].argmin()]}
    away[0, away[0].argmin()] = np.inf
    first = [min(range(ROWS), key=lambda row: (away[place, row], IDS[row])) for place in range(len(places))]
    found = nearest_to_each(shards(tmp_path, num), places, without=gone)
    assert found["sample_id"].to_list() == [IDS[row] for row in first]
    np.testing.assert_allclose(found["distance"], away[range(len(places)), first], atol=1e-6)


def test_distances_are_the_same_bits_whatever_the_shards_are(tmp_path):
    found = [nearest_to_each(shards(tmp_path / str(num), num), PLACES) for num in (1, 40)]
    assert found[0].equals(found[1])


def test_where_no_row_is_left_a_place_has_none(tmp_path):
    for parts, without in ((shards(tmp_path, 3), IDS), ([], [])):
        found = nearest_to_each(parts, PLACES, without=without)
        assert found["sample_id"].null_count() == 7 and found["distance"].is_infinite().all()
