"""Everything about a config that can be wrong without its types being wrong; cheap, and before any training."""

from __future__ import annotations

import os
from collections.abc import Iterable

from adde_ray.annotators import ANNOTATORS
from adde_ray.artifacts.schema import Meta
from adde_ray.config import Config, schema_json
from adde_ray.config.registry import Registry
from adde_ray.config.run import SimulatedBy
from adde_ray.errors import UserError, needed
from adde_ray.methods.encoders import ENCODERS, resolve
from adde_ray.methods.encoders.transformer import location
from adde_ray.methods.gates.expectations import GATES
from adde_ray.methods.metrics.corruptions import CORRUPTIONS, check_fit
from adde_ray.methods.model.learner import LEARNERS
from adde_ray.methods.policy.adaptation import RULES
from adde_ray.methods.policy.stopping import STOPPING
from adde_ray.methods.query import multilabel
from adde_ray.methods.query.mix import ARMS
from adde_ray.methods.query.selectors import SELECTORS, WHATEVER_SCORE
from adde_ray.methods.query.terms import DIVERSITY, OF_MEMBERS, UNCERTAINTY
from adde_ray.methods.space.diversity import class_target
from adde_ray.methods.synthesis.generators import GENERATORS, generator_for
from adde_ray.methods.synthesis.quality import QUALITY_MODELS

NAMED: tuple[Registry, ...] = (
    GATES, ENCODERS, LEARNERS, GENERATORS, QUALITY_MODELS, UNCERTAINTY, DIVERSITY, SELECTORS, ARMS, ANNOTATORS, RULES,
    STOPPING, CORRUPTIONS,
)  # fmt: skip
"""What the config names parts of; each knows the key."""


def check_names(config: Config) -> None:
    """Every name of a part is known, and the parts fit together. Raises UserError."""
    for registry in NAMED:
        section, key = registry.where.split(".")
        names = getattr(getattr(config, section), key)
        for name in [names] if isinstance(names, str) else names or ():
            if registry is not UNCERTAINTY or name not in multilabel.UNCERTAINTY:  # which task it is, the data says
                registry.check(name)
    _check_packages(config)
    _check_members(config)
    _check_tuning(config)
    _check_processes(config)
    if config.select.random_share and config.train.mode != "head" and config.train.reembed == "shortlist":
        raise UserError(
            "draws from the whole pool, of which train.reembed encodes a shortlist only",
            where="select.random_share",
            value=config.select.random_share,
            remedy='Set it to 0, or train.reembed = "all"',
        )
    weights = config.select.alpha + config.select.beta + config.select.gamma
    if config.select.selector not in WHATEVER_SCORE and weights == 0:
        raise UserError("every weight is 0", where="select", remedy="Give alpha, beta or gamma a value above 0")
    if config.compare.random and config.review.annotator != "simulated":
        raise UserError(
            "needs the simulated annotator: people would be asked twice",
            where="compare.random",
            value=True,
            remedy="Set compare.random = false",
        )


def known_names() -> dict[str, list[str]]:
    """Key of a config that names parts -> the names it may hold, sorted: those `check_names` lets through."""
    known = {registry.where: {*registry, *registry.also} for registry in NAMED}
    known[UNCERTAINTY.where] |= {*multilabel.UNCERTAINTY}
    return {key: sorted(names) for key, names in known.items()}


def named_schema() -> dict:
    """JSON schema of the config, for editors, with the names of parts that each key may hold."""
    schema = schema_json()
    for key, names in known_names().items():
        section, name = key.split(".")
        kind = schema["properties"][section]["$ref"].rpartition("/")[2]
        field = schema["$defs"][kind]["properties"][name]
        [field] = [part for part in field.get("anyOf", [field]) if part.get("type") != "null"]
        (field.get("items") or field.get("propertyNames") or field)["enum"] = names
    return schema


def _check_members(config: Config) -> None:
    train = config.train
    if config.select.uncertainty in OF_MEMBERS and train.ensemble < 2:
        raise UserError(
            "needs an ensemble",
            where="select.uncertainty",
            value=config.select.uncertainty,
            remedy="Set train.ensemble to 5, say",
        )
    if train.ensemble > 1 and config.select.uncertainty not in OF_MEMBERS:
        raise UserError(
            f"would be ignored by select.uncertainty = {config.select.uncertainty!r}",
            where="train.ensemble",
            value=train.ensemble,
            remedy='Set select.uncertainty = "bald", or train.ensemble = 1',
        )
    if train.dropout and train.learner != "mlp":
        raise UserError(
            f"would be ignored by the learner {train.learner}",
            where="train.dropout",
            value=train.dropout,
            remedy='Set train.learner = "mlp", or train.dropout = 0',
        )


def _check_processes(config: Config) -> None:
    """What one machine can hold; of a cluster, Ray knows."""
    if os.environ.get("RAY_ADDRESS", "local") not in ("", "local"):
        return
    asked = {
        "train.workers": config.train.workers,
        "generate.actors": config.generate.actors,
        "stream.workers": config.stream.workers or 0,
    }
    most = max(16, 4 * (os.cpu_count() or 1))
    for where, count in asked.items():
        if count > most:
            remedy = f"Set it to {most} at most, or name a cluster with RAY_ADDRESS"
            raise UserError("more processes than this machine holds", where=where, value=count, remedy=remedy)


def _check_packages(config: Config) -> None:
    """What is installed by an extra, and not by everyone."""
    if config.data.source == "tiles":
        needed("tifffile", "imagecodecs", extra="tiles", where="data.source", value="tiles")
    if config.clustering.reduction == "umap":
        needed("umap", extra="map", where="clustering.reduction", value="umap")
    if config.train.mode == "lora":
        needed("peft", extra="pretrained", where="train.mode", value="lora")


def _check_tuning(config: Config) -> None:
    mode, encoder = config.train.mode, config.encoder
    tunable = {"lora": ("transformer",), "full": ("transformer", "efficientnet", "convnet")}
    if mode == "head":
        if encoder.name == "convnet":
            raise UserError(
                "is random until it is trained",
                where="encoder.name",
                value="convnet",
                remedy='Set train.mode = "full", or take another encoder',
            )
        return
    if encoder.name not in tunable[mode]:
        raise UserError(
            f"the encoder {encoder.name} cannot be trained so",
            where="train.mode",
            value=mode,
            remedy=f'Set encoder.name to {" or ".join(tunable[mode])}, or train.mode = "head"',
        )
    if encoder.dims:
        raise UserError(
            "features that are reduced cannot be trained",
            where="encoder.dims",
            value=encoder.dims,
            remedy=f'Set encoder.dims = 0, or train.mode = "head" instead of "{mode}"',
        )
    if encoder.views != "none":
        raise UserError(
            "features that are a mean over views cannot be trained",
            where="encoder.views",
            value=encoder.views,
            remedy=f'Set encoder.views = "none", or train.mode = "head" instead of "{mode}"',
        )


def check_data(config: Config, meta: Meta) -> None:
    """What the config says fits the data: encoder, generator, classes, subgroups, annotator. Raises UserError."""
    resolve(config.encoder, meta.modality)
    if config.encoder.model:
        location(config.encoder.model)
    generator_for(config.generate.generator, meta.modality)
    for name in config.gates.own:
        if meta.modality not in (modalities := GATES[name].modalities):
            what = f"is a gate for {' and '.join(modalities)} data, and the data is {meta.modality}"
            raise UserError(what, where="gates.own", value=name, remedy="Leave it out")
    known, task = (multilabel.UNCERTAINTY, "multi-label") if meta.multi else (UNCERTAINTY, "single-label")
    if config.select.uncertainty not in known:
        remedy = f"Choose one of: {', '.join(sorted(known))}"
        what = f"is no uncertainty of {task} tasks"
        raise UserError(what, where="select.uncertainty", value=config.select.uncertainty, remedy=remedy)
    class_target(meta.classes, config.diversity)
    _known("diversity.subgroup_target", config.diversity.subgroup_target, meta.subgroups, "subgroup column")
    _known("measure.rare_classes", config.measure.rare_classes, meta.classes, "class")
    check_fit(config.measure.corruptions, meta.modality, where="measure.corruptions")
    if isinstance(config.review.error_rate, dict):
        _known("review.error_rate", config.review.error_rate, meta.classes, "class")
    for name, person in config.review.people.items():
        _check_person(f"review.people.{name}", person, meta)
    if config.review.annotator == "simulated" and not meta.has_oracle:
        raise UserError(
            "the pool's true labels are not known",
            where="review.annotator",
            value="simulated",
            remedy='Set review.annotator = "page" or "file", and answer',
        )


def _check_person(where: str, person: SimulatedBy, meta: Meta) -> None:
    if isinstance(person.error_rate, dict):
        _known(f"{where}.error_rate", person.error_rate, meta.classes, "class")
    named = {*person.confusion, *(name for row in person.confusion.values() for name in row)}
    _known(f"{where}.confusion", sorted(named), meta.classes, "class")
    if named and meta.multi:
        what = "a matrix of confusions is of single-label tasks"
        raise UserError(what, where=f"{where}.confusion", remedy="Give error_rate by class")


def _known(where: str, given: Iterable[str], known: tuple[str, ...], noun: str) -> None:
    for name in given:
        if name not in known:
            raise UserError(
                f"no such {noun}", where=where, value=name, remedy=f"There are: {', '.join(known) or 'none'}"
            )
