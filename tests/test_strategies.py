"""Strategies are configs: each lies over any run's config, leaves alone what a comparison holds equal, and runs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import tiny
from finished import finish, queries

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Config
from adde_ray.config_check import check_names
from adde_ray.errors import UserError
from adde_ray.strategies import STRATEGIES, strategy

BASE = Config.parse({"data": {"source": "digits"}, "select": {"batch": 7}, "stop": {"labels": 70}, "run": {"seed": 3}})
EXCEPTIONS = {  # what it is for one strategy to change
    "seed": {"stop"},
    "static_aug": {"batch"},
    "mads_naive": {"review"},
    "bald": {"train"},  # an ensemble beside f: that f is the same is seen below
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_lies_over_any_config(name):
    config = strategy(name).over(BASE)
    check_names(config)
    changed = {
        section
        for section in ("run", "data", "encoder", "train", "review", "simulate", "stop")
        if getattr(config, section) != getattr(BASE, section)
    }
    changed |= {"batch"} if config.select.batch != 7 else set()
    assert changed == EXCEPTIONS.get(name, set())
    assert (config == BASE) == (name in ("adde", "no_synthesis"))  # there is none unless asked for


def test_an_unknown_one_lists_the_others():
    with pytest.raises(UserError, match=r"k_center.*random"):
        strategy("best")


def test_what_depends_on_the_run():
    config = strategy("static_aug").over(BASE)
    assert config.select.batch == 70 and config.generate.per_round == 10 * BASE.generate.per_round
    mine = BASE.override("select.diversity={balance=0.7,gaps=0.2,novelty=0.1}")
    assert strategy("no_gaps").over(mine).select.diversity == {"balance": 0.7, "novelty": 0.1}
    assert strategy("no_balance").over(mine).select.diversity == {"gaps": 0.2, "novelty": 0.1}
    with pytest.raises(UserError, match=r"stop\.labels.*needs the budget"):
        strategy("static_aug").over(Config.parse({"data": {"source": "digits"}}))


def test_over_a_run_that_asks_an_ensemble():
    mine = BASE.override("train.ensemble=5", "select.uncertainty=bald")
    for name in STRATEGIES:
        check_names(strategy(name).over(mine))
    assert strategy("bald").over(mine).train.ensemble == 5 and strategy("bald").over(BASE).train.ensemble == 8


# --- for real -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Config:
    """Two rounds of six on the digits, as cheap as can be; runs share what is encoded."""
    return Config.parse(
        {
            "run": {"cache": str(tmp_path_factory.mktemp("cache"))},
            "data": {"source": "digits"},
            "train": {"steps": 30},
            "generate": {"steps": 10, "per_round": 8},
            "quality_control": {"min_confidence": 0, "min_agreement": 0},
            "review": {"min_confidence": 0.3},
            "select": {"batch": 6},
            "stop": {"labels": 12},
        }
    )


@pytest.fixture(scope="module")
def first_model() -> dict[str, bytes]:
    """f of round 0, by strategy."""
    return {}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", STRATEGIES)
def test_on_the_digits(tmp_path, digits, first_model, ray_cluster, name):
    record = finish(tmp_path / "run", strategy(name).over(digits))
    run, asked = RunDir(tmp_path / "run"), [len(query) for query in queries(tmp_path / "run")]
    assert asked == {"seed": [], "static_aug": [12]}.get(name, [6, 6])
    assert record["num_asked"] == sum(asked) and record["num_labels"] == (0 if name == "mads_naive" else sum(asked))
    assert [r["num_asked"] for r in record["rounds"]] == [sum(asked[:t]) for t in range(len(asked) + 1)]
    assert "label budget" in record["stop_reason"]
    first_model[name] = (run.round(0).root / "model" / "model.safetensors").read_bytes()
    assert first_model[name] == next(iter(first_model.values())), "f depends on D_t and on nothing else"
    synthesises = strategy(name).over(digits).generate.generator != "none" and name != "seed"
    made = run.round(0).read("synthetic.parquet")
    assert (made is not None and len(made) > 0) == synthesises
    if synthesises:
        at_large = strategy(name).over(digits).generate.target == "dataset"
        assert made["gap_id"].is_null().all() if at_large else made["gap_id"].is_not_null().all()


@pytest.mark.parametrize("name", STRATEGIES)
def test_on_texts(tmp_path, name):
    texts, labels = tiny.texts(60)
    path = tiny.write(tmp_path / "texts.parquet", texts, labels)
    config = tiny.config(path, {"name": "tfidf"}, train={"steps": 20}, select={"batch": 4}, stop={"labels": 8})
    record = finish(tmp_path / "run", strategy(name).over(config))
    assert record["num_asked"] == (0 if name == "seed" else 8) and record["num_synthetic"] == 0


def test_what_a_model_labels_itself_is_its_own_opinion(tmp_path):
    """Sure of it: taken as it is, right or wrong. Unsure: rejected, and not asked about again. Nobody is paid."""
    texts, labels = tiny.texts(60)
    path = tiny.write(tmp_path / "texts.parquet", texts, labels)
    config = tiny.config(path, {"name": "tfidf"}, select={"batch": 10}, stop={"labels": 30})
    record = finish(tmp_path / "run", strategy("mads_naive").over(config).override("review.min_confidence=0.5"))
    run = RunDir(tmp_path / "run")
    query = pl.concat([r.read("query.parquet") for r in run.rounds()[:-1]])
    decided = pl.concat([r.read("decisions.parquet") for r in run.rounds()[:-1]]).join(query, on="sample_id")
    sure = decided.filter(pl.col("confidence") >= 0.5)
    assert (sure["action"] == "accept").all() and (sure["label"] == sure["suggested"]).all()
    unsure = decided.filter(pl.col("confidence") < 0.5)
    assert (unsure["action"] == "reject").all() and unsure["label"].is_null().all()
    assert 0 < len(sure) == record["num_samples"] - 6 and record["num_labels"] == 0 and record["num_asked"] == 30
    assert query["sample_id"].n_unique() == 30
    assert (np.diff(query["confidence"][:10]) <= 1e-6).all(), "what it is surest of comes first"


def test_a_model_needs_no_oracle_to_label_itself(tmp_path):
    texts, labels = tiny.texts(60)
    hidden = [None if i >= 6 and (i - 6) % 5 in (0, 1, 3) else label for i, label in enumerate(labels)]  # the pool's
    path = tiny.write(tmp_path / "texts.parquet", texts, hidden)
    config = tiny.config(path, {"name": "tfidf"}, select={"batch": 4}, stop={"labels": 8})
    with pytest.raises(UserError, match="true labels are not known"):
        finish(tmp_path / "no", strategy("margin").over(config))
    assert finish(tmp_path / "run", strategy("mads_naive").over(config))["num_asked"] == 8
