"""A part of one's own of every kind does its work in a run, under its name."""

from __future__ import annotations

import polars as pl
import pytest
from tiny import texts, write

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.config import Config
from adde_ray.config.data import DigitsData
from adde_ray.config_check import check_data, check_names
from adde_ray.errors import UserError
from adde_ray.loop import run
from adde_ray.methods.query import multilabel, terms
from adde_ray.plugins import register_generator, register_source, register_uncertainty
from adde_ray.stages.ingest import prepare

PARTS = """
from dataclasses import replace

import numpy as np
import polars as pl
from sklearn.dummy import DummyClassifier

from adde_ray import plugins
from adde_ray.annotators.model import pseudo_labels
from adde_ray.methods.encoders import Tfidf
from adde_ray.methods.model.learner import linear


@plugins.register_uncertainty("spread", of_members=True)
def spread(members):
    return np.clip(members.std(axis=1).mean(axis=1), 0, 1)


@plugins.register_diversity("flat")
def flat(batch):
    return np.full(len(batch.proba), 0.5)


@plugins.register_selector("last", uses_score=False)
def last(candidates, size, *, redundancy, rng):
    return np.arange(len(candidates))[::-1][:size]


@plugins.register_encoder("halved")
class Halved(Tfidf):
    def encode(self, payloads):
        return super().encode(payloads) / 2


@plugins.register_learner("plain")
def plain(dims, classes, config):
    return linear(dims, classes, config)


@plugins.register_quality("dummy")
def dummy(labels, seed):
    return DummyClassifier()


@plugins.register_gate("no_hens", modalities=("text",))
def no_hens(rows, config):
    return pl.DataFrame({"x": rows}).select(pl.when(pl.col("x").str.contains("hen")).then(pl.lit("a hen"))).to_series()


@plugins.register_annotator("credulous")
class Credulous:
    def __init__(self, config, data, run):
        pass

    def answer(self, query, synthetic, round_):
        return pseudo_labels(query, min_confidence=0, t=round_.t).with_columns(annotator=pl.lit("credulous"))


@plugins.register_corruption("shouted", modality="text")
def shouted(text, severity, rng):
    return text.upper()


@plugins.register_stopping("soon")
def soon(history, seconds, stop):
    return "soon is now" if len(history) > 2 else None


@plugins.register_adaptation("lean")
def lean(policy, seen, config):
    return replace(policy, alpha=round(policy.alpha * 0.9, 6)), "less of U"
"""

SECTIONS = {
    "plugins": {"modules": ["own_kinds"]},
    "encoder": {"name": "halved"},
    "gates": {"own": ["no_hens"], "max_rejected": 1.0},
    "train": {"learner": "plain", "steps": 10, "ensemble": 3},
    "select": {"uncertainty": "spread", "diversity": {"flat": 1.0}, "selector": "last", "batch": 3},
    "quality_control": {"models": ["dummy"]},
    "review": {"annotator": "credulous"},
    "adapt": {"rules": ["lean"]},
    "measure": {"corruptions": ["shouted"]},
    "stop": {"own": ["soon"]},
}


@pytest.fixture
def tree(place) -> dict:
    (place / "own_kinds.py").write_text(PARTS)
    path = write(place / "rows.parquet", *texts(60))
    data = {"source": "table", "path": str(path), "text_column": "text", "split_column": "split"}
    return {"data": data, **SECTIONS}


def test_each_kind_in_a_run(tree, tmp_path):
    config = Config.parse(tree)
    record = run(config, tmp_path / "run")
    assert record["stop_reason"] == "soon is now" and record["num_rounds"] == 3
    assert record["set_aside"]["no_hens"] > 0
    done = RunDir.at(tmp_path / "run")
    first = done.round(0)
    candidates = first.read("candidates.parquet")
    assert set(first.read("decisions.parquet")["annotator"]) == {"credulous"}
    assert (candidates["Div"] == 0.5).all() and candidates["U"].max() < 0.5
    asked = first.read("query.parquet")["sample_id"].to_list()
    assert asked == candidates["sample_id"].sort(descending=True).head(3).to_list(), "whatever the score, it saw all"
    assert [change["rule"] for change in first.manifest["adaptation"]] == ["lean"]
    assert "shouted" in first.metrics["corruptions"]
    assert (tmp_path / "run" / "ingest" / "gates.json").read_text().count("no_hens") >= 2


@pytest.mark.parametrize(
    "key",
    [
        "gates.own", "encoder.name", "train.learner", "select.uncertainty", "select.diversity", "select.selector",
        "quality_control.models", "review.annotator", "adapt.rules", "measure.corruptions", "stop.own",
    ],
)  # fmt: skip
def test_a_wrong_name_is_told_with_the_plugin_s_among_the_right_ones(tree, key):
    section, name = key.split(".")
    own = tree[section][name]
    [right] = own if isinstance(own, (list, dict)) else [own]
    wrong = right[:-1] + "x"
    given = {wrong: 1.0} if isinstance(own, dict) else [wrong] if isinstance(own, list) else wrong
    config = Config.parse(tree | {section: {**tree[section], name: given}})
    with pytest.raises(UserError, match=rf"^{key}: unknown name \(got '{wrong}'\)\. Did you mean '{right}'\? Choose"):
        check_names(config)


def test_a_gate_of_another_modality_is_refused(tree, place):
    rows = pl.read_parquet(tree["data"]["path"]).with_columns(vector=pl.lit([1.0, 2.0]), row=pl.int_range(pl.len()))
    rows = rows.with_columns(vector=pl.concat_list(pl.col("row").cast(pl.Float32), pl.lit(1.0, pl.Float32)))
    rows.drop("text").write_parquet(place / "vectors.parquet")
    data = {"source": "table", "path": "vectors.parquet", "vector_column": "vector", "split_column": "split"}
    config = Config.parse({"data": data, "plugins": tree["plugins"], "gates": {"own": ["no_hens"]}})
    with pytest.raises(UserError, match=r"gates\.own: is a gate for text data, and the data is vector"):
        check_data(config, prepare(config).meta)


def test_an_uncertainty_is_for_one_task_or_for_both(tree):
    config = Config.parse(tree)
    meta = prepare(config).meta
    check_data(config, meta)
    register_uncertainty("by_class", multi=True)(multilabel.entropy)
    assert "by_class" not in terms.UNCERTAINTY
    tree["select"] = tree["select"] | {"uncertainty": "by_class"}
    tree["train"] = tree["train"] | {"ensemble": 1}
    config = Config.parse(tree)
    check_names(config)
    with pytest.raises(UserError, match=r"select\.uncertainty: is no uncertainty of single-label tasks"):
        check_data(config, meta)


def test_what_a_generator_cannot_make_is_refused(place):
    with pytest.raises(UserError, match="no modalities of a generator"):
        register_generator("own", modalities=("text",))(object)


SCENES = '''
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from adde_ray.artifacts.images import encode_images
from adde_ray.config.data import Section
from adde_ray.plugins import register_source
from adde_ray.sources import WHERE, Rows


class Scenes(Section):
    source: Literal["scenes"]
    path: Path
    labels: tuple[str, ...]
    size: int  # rows of the pool


@register_source("scenes", section=Scenes)
def scenes(config, *, seed):
    assert (config.path / "here").exists()
    sizes = {"seed": 6, "val": 12, "pool": config.size}
    def table(split, row):
        n = sizes[split]
        label = np.arange(n) % 2
        pixels = np.random.default_rng(row).random((n, 1, 8, 8)) * 0.4 + 0.5 * label[:, None, None, None]
        where = [f"{split}:{i}" for i in range(n)]
        names = [("dark", "light")[c] for c in label]
        return pl.DataFrame({"image": encode_images(pixels), "label": names, WHERE: where})
    return Rows({split: table(split, row) for row, split in enumerate(sizes)}, "image", ("dark", "light"))
'''  # fmt: skip


def test_a_source_may_use_the_package_s_words_for_something_else(place):
    """`size` is no image size here, and `path` has no `roots`."""
    from test_plugins import adde

    (place / "own_scenes.py").write_text(SCENES)
    (place / "lab" / "data").mkdir(parents=True)
    (place / "lab" / "data" / "here").touch()
    path = place / "lab" / "run.toml"
    data = 'data = { source = "scenes", path = "data", labels = ["x"], size = 30 }'
    path.write_text(
        f'plugins.modules = ["own_scenes"]\n{data}\ngenerate.generator = "none"\nselect.batch = 4\nstop.labels = 4\n'
        "train.steps = 10"
    )
    for words in (("check", path), ("run", path, "--run-dir", "run"), ("run", path, "--run-dir", "run", "--resume")):
        code, said = adde(*words)
        assert code == 0, said
    assert adde("report", "run")[0] == 0 and adde("export", "run", "--out", "out")[0] == 0


def test_a_section_is_its_source_s(place):
    with pytest.raises(UserError, match=r"the section DigitsData is not that of the source \(got 'own'\)"):
        register_source("own", section=DigitsData)


def test_an_experiment_keeps_the_modules_of_its_command(tmp_path):
    from adde_ray.experiments.folder import ExperimentDir

    folder = ExperimentDir(tmp_path / "grid")
    with folder.start({"kind": "ablation"}, [], modules=("own_kinds",), resume=False):
        (folder.root / "trials").mkdir()
    assert folder.modules(resume=True) == ("own_kinds",) and folder.modules(resume=False) == ()
    with folder.start({"kind": "ablation"}, [], modules=("own_kinds",), resume=True):
        pass
    with (
        pytest.raises(UserError, match=r"plugins was \['own_kinds'\] and is now \['own_other'\]"),
        folder.start({"kind": "ablation"}, [], modules=("own_other",), resume=True),
    ):
        pass
