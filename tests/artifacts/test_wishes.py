"""Wishes: kept in order and once, beside a run at work; a round settles which it takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from finished import artifacts
from small import config, rows, write

from adde_ray.artifacts import wishes
from adde_ray.artifacts.run_dir import RunDir, locked, read_table, write_table
from adde_ray.artifacts.wishes import FOUND, add_wishes, read_wishes, wishes_of
from adde_ray.errors import Halted
from adde_ray.loop import run
from adde_ray.verify import verify


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return config(write(tmp_path_factory.mktemp("data") / "data.parquet", rows()), select={"mix": []})


@pytest.fixture(scope="module")
def ended(settings, tmp_path_factory) -> Path:
    """A run nobody wished for anything in."""
    folder = tmp_path_factory.mktemp("ended") / "run"
    run(settings, folder)
    return folder


class Stop(Exception):
    pass


def begun(settings, folder: Path, stage: str = "train", t: int = 0) -> RunDir:
    """A run that was killed as a stage began."""

    def stop(run_, name, round_):
        if (name, round_) == (stage, t):
            raise Stop

    with pytest.raises(Stop):
        run(settings, folder, resume=True, on_stage=stop)
    return RunDir(folder)


def pool_of(folder: Path) -> list[str]:
    return read_table(folder / "ingest" / "pool.parquet")["sample_id"].to_list()


def unlikely(ended: Path, number: int) -> list[str]:
    """Of the pool, what the run has not asked about, the last first."""
    asked = {i for r in RunDir(ended).rounds() if (q := r.read("query.parquet")) is not None for i in q["sample_id"]}
    return [i for i in pool_of(ended) if i not in asked][::-1][:number]


def test_they_are_kept_once_and_in_order(tmp_path):
    run_ = RunDir(tmp_path)
    assert read_wishes(run_).is_empty()
    assert add_wishes(run_, ["b", "a", "b"], "rust on bolts") == 2
    assert add_wishes(run_, ["c", "a"], "gap C1") == 1
    kept = read_wishes(run_)
    assert kept.select("sample_id", "asked_for").rows() == [
        ("b", "rust on bolts"), ("a", "rust on bolts"), ("c", "gap C1"),
    ]  # fmt: skip
    assert kept["when"].str.contains(r"^\d{4}-\d\d-\d\dT.*\+00:00$").all()


def _add(folder: Path, number: int) -> None:
    for i in range(5):
        add_wishes(RunDir(folder), [f"{number}-{i}"], "words")


def test_several_at_once_lose_none_beside_a_run_at_work(tmp_path):
    with locked(tmp_path), ThreadPoolExecutor(4) as threads:  # the lock of whoever works in it
        list(threads.map(partial(_add, tmp_path), range(4)))
    assert set(read_wishes(RunDir(tmp_path))["sample_id"]) == {f"{n}-{i}" for n in range(4) for i in range(5)}


def test_the_next_query_takes_them_first_and_the_rest_is_chosen_without_them(settings, ended, tmp_path):
    wanted = unlikely(ended, 3)
    run_ = begun(settings, tmp_path / "run")
    add_wishes(run_, [*wanted, "no-such-sample"], "words")
    run(settings, run_.root, resume=True)
    query, before = (RunDir(folder).round(0).read("query.parquet").sort("rank") for folder in (run_.root, ended))
    assert query["sample_id"][:3].to_list() == wanted
    assert query["chosen_by"].to_list() == [FOUND] * 3 + ["batch_greedy"] * 2
    assert query["sample_id"][3:].to_list() == before["sample_id"][:2].to_list()  # the best, as ever
    assert query["score"].is_not_null().all() and query["rank"].to_list() == [1, 2, 3, 4, 5]
    candidates = RunDir(run_.root).round(0).read("candidates.parquet")
    assert set(wanted) <= set(candidates["sample_id"])
    grown = RunDir(run_.root).dataset().filter(pl.col("sample_id").is_in(wanted))
    assert grown["chosen_by"].to_list() == [FOUND] * len(grown) and len(grown)
    assert FOUND not in RunDir(run_.root).round(1).read("query.parquet")["chosen_by"]  # each once


def test_more_than_fit_come_in_the_rounds_after(settings, ended, tmp_path):
    wanted = unlikely(ended, 8)
    run_ = begun(settings, tmp_path / "run")
    add_wishes(run_, wanted, "words")
    run(settings, run_.root, resume=True)
    asked = [RunDir(run_.root).round(t).read("query.parquet") for t in (0, 1)]
    assert [q["chosen_by"].to_list() for q in asked] == [[FOUND] * 5, [FOUND] * 3 + ["batch_greedy"] * 2]
    assert [*asked[0]["sample_id"], *asked[1]["sample_id"][:3]] == wanted
    assert [RunDir(run_.root).round(t).read(wishes.FILE)["sample_id"].to_list() for t in (0, 1)] == [wanted, wanted[5:]]


def test_what_has_been_asked_about_is_passed_over(settings, ended, tmp_path):
    asked = RunDir(ended).round(0).read("query.parquet")["sample_id"].to_list()
    seed = read_table(ended / "ingest" / "seed.parquet")["sample_id"].to_list()
    run_ = begun(settings, tmp_path / "run", t=1)
    add_wishes(run_, asked + seed, "words")
    run(settings, run_.root, resume=True)
    without = artifacts(ended)
    assert {name: data for name, data in artifacts(run_.root).items() if name in without} == without


def test_a_round_that_has_looked_for_candidates_takes_no_more(settings, ended, tmp_path):
    run_ = begun(settings, tmp_path / "run", "select")
    add_wishes(run_, unlikely(ended, 2), "words")
    assert wishes_of(run_.round(0)) == [] and not (run_.round(0).root / wishes.FILE).exists()
    run(settings, run_.root, resume=True)
    found = [RunDir(run_.root).round(t).read("query.parquet")["chosen_by"].to_list().count(FOUND) for t in (0, 1)]
    assert found == [0, 2]


@pytest.mark.parametrize("stage", ["select", "review", "grow", "adapt"])
def test_a_kill_after_they_were_taken_changes_nothing(settings, ended, tmp_path, stage):
    wanted = unlikely(ended, 4)
    for name in ("whole", "killed"):
        add_wishes(begun(settings, tmp_path / name), wanted[:2], "words")
    run(settings, tmp_path / "whole", resume=True)
    killed = begun(settings, tmp_path / "killed", stage)
    write_table(killed.root / wishes.FILE, read_wishes(killed).reverse(), recorded=False)  # whatever stands there now
    run(settings, killed.root, resume=True)
    mine, others = (artifacts(tmp_path / name) for name in ("whole", "killed"))
    assert {n: d for n, d in mine.items() if n != wishes.FILE} == {n: d for n, d in others.items() if n != wishes.FILE}


@pytest.mark.parametrize("name", ["query.parquet", wishes.FILE])
def test_a_damaged_round_is_made_again_with_them(settings, ended, tmp_path, name):
    run_ = begun(settings, tmp_path / "run")
    add_wishes(run_, unlikely(ended, 2), "words")
    run(settings, run_.root, resume=True)
    before = artifacts(run_.root)
    (run_.round(0).root / name).write_bytes(b"gone")
    found = verify(run_.root, repair=True)
    assert [finding.mended for finding in found.findings] == [True]
    assert artifacts(run_.root) == before


def test_damage_is_told(tmp_path):
    (tmp_path / wishes.FILE).write_bytes(b"no table")
    with pytest.raises(Halted, match="is damaged"):
        add_wishes(RunDir(tmp_path), ["a"], "words")
