"""D_t from the dataset's parts and what people were asked about."""

import numpy as np
import polars as pl
from small import config, rows, write

from adde_ray.artifacts.queries import keep_asked, read_asked
from adde_ray.artifacts.run_dir import RunDir, write_table
from adde_ray.artifacts.schema import Split
from adde_ray.config import Config
from adde_ray.dataset import Data, load_dataset
from adde_ray.loop import run
from adde_ray.stages.embed import embed
from adde_ray.stages.ingest import ingest


def data_of(settings: Config, run_: RunDir) -> Data:
    embedding = embed(settings, ingest(settings, run_), run_)
    return Data(embedding.meta, embedding.splits(), embedding.pool(), embedding.encode)


def test_what_was_asked_about_has_its_features_whether_it_is_in_the_dataset_or_not(tmp_path):
    settings = config(write(tmp_path / "data.parquet", rows()), stop={"labels": 10})
    run(settings, tmp_path / "run")
    run_ = RunDir(tmp_path / "run")
    data = data_of(settings, run_)
    whole = load_dataset(run_, 2, data)
    first, second = (read_asked(run_.round(t)) for t in range(2))
    assert whole.asked_ids == first.ids + second.ids and len(whole.asked_ids) == 10
    np.testing.assert_array_equal(whole.asked_features, np.concatenate([first.features, second.features]))
    known = dict(zip(whole.asked_ids, whole.asked_features, strict=True))
    for i, z in zip(whole.table["sample_id"], whole.features, strict=True):
        np.testing.assert_array_equal(z, known.get(i, z))

    part = run_.dataset_part(1)
    write_table(part, pl.read_parquet(part).head(0))  # the first query, rejected whole
    assert load_dataset(run_, 1, data).asked_ids == first.ids
    assert load_dataset(run_, 0, data).asked_features.shape == (0, first.features.shape[1])


def test_a_query_that_asked_the_pool_for_nothing(tmp_path):
    """All of it was synthetic: `asked.parquet` is there, and has no row that says how long its features are."""
    settings = config(write(tmp_path / "data.parquet", rows()), stop={"labels": 5})
    run(settings, tmp_path / "run")
    run_ = RunDir(tmp_path / "run")
    data, asked = data_of(settings, run_), read_asked(run_.round(0))
    keep_asked(Split(asked.table.head(0), asked.features[:0]), run_.round(0))
    part = run_.dataset_part(1)
    write_table(part, pl.read_parquet(part).head(0))
    dataset = load_dataset(run_, 1, data)
    assert dataset.asked_ids == [] and dataset.asked_features.shape == (0, asked.features.shape[1])
