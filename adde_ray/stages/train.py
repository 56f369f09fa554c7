"""Train f on D_t: dataset features and labels in, rounds/t/model/ out.

With `train.mode` lora or full a second fit trains the encoder together with the head that the first gave: linear
probing, then fine-tuning, which keeps what the encoder knew (Kumar et al. 2022). It starts from the pretrained
weights in every round, as the head starts from nothing.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save

from adde_ray.artifacts.run_dir import MODEL, TUNED, RoundDir, atomic, derive_seed, read_json, readable, write_json
from adde_ray.config import Config, Train
from adde_ray.dataset import Data, Dataset
from adde_ray.distributed.training import BACKBONE, Tuning, fit
from adde_ray.methods.encoders.finetune import Tunable
from adde_ray.methods.model import learner
from adde_ray.methods.model.losses import Loss
from adde_ray.methods.model.model_selection import favoured
from adde_ray.stages.run_context import RunContext

WEIGHTS, MEMBERS = "model/model.safetensors", "model/members.safetensors"


def train(dataset: Dataset, context: RunContext, round_: RoundDir) -> learner.Model:
    """f trained on D_t and calibrated on val, kept as this round's checkpoint; or the kept one.

    Fine-tuned, it is the head of f: it reads the features of this round's encoder, whose weights are kept beside it.
    """
    config, data = context.config, context.data
    if not (round_.root / MODEL).exists():
        f = _alone(config.train)
        weights, loss = _head(dataset, data, f, config.run.seed, round_)
        val = data.splits["val"].features
        if f.mode != "head":
            weights, encoder = _tuned(weights, dataset, data, config, round_, loss)
            val = encoder.encode(data.splits["val"].table[data.meta.modality])
        if learner.num_heads(config.train) > 1:
            if f.mode != "head":
                dataset = replace(dataset, features=encoder.encode(dataset.table[data.meta.modality]))
            own = config.train if f.mode == "head" else _here(config.train)
            members = _fit(dataset, data, own, config.run.seed, round_, loss)
            _keep(members, round_.root / MEMBERS)
        classes, dims = data.meta.classes, dataset.features.shape[1]
        temperature = _calibrated(weights, val, data, f).temperature
        _keep(weights, round_.root / WEIGHTS)
        settings = {"dims": dims, "classes": list(classes), "task": data.meta.task, "temperature": temperature}
        write_json(round_.root / MODEL, settings | {"loss": asdict(loss)})
    return load(round_, config.train)


def _keep(weights: dict[str, torch.Tensor], path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(save(weights))


def load(round_: RoundDir, config: Train) -> learner.Model:
    """A kept model."""
    settings = read_json(round_.root / MODEL)

    def network(name: str, of: Train) -> learner.Network:
        with readable(round_.root / name):
            built = learner.build(settings["dims"], len(settings["classes"]), of, seed=0)
            built.load_state_dict(load_file(round_.root / name))
            return built

    return learner.Model(
        network(WEIGHTS, _alone(config)),
        settings["temperature"],
        ensemble=config.ensemble,
        members=network(MEMBERS, config) if learner.num_heads(config) > 1 else None,
        tuned=config.mode != "head",
        multi=settings.get("task") == "multi",
    )


def out_of_fold(round_: RoundDir) -> pl.DataFrame | None:
    """sample_id and proba, the (C,) calibrated probabilities of a row of D_t by models that never learned from it; None
    where the round has none: of an earlier version, or fine-tuned."""
    return round_.read("model/out_of_fold.parquet", "sample_id", "proba")


def trained_on(rows: np.ndarray, dataset: Dataset, context: RunContext, round_: RoundDir) -> learner.Model:
    """f as it would be had it learned from these rows of D_t alone, by this round's loss; not calibrated, nor kept.

    What it predicts is a head's: with a fine-tuned encoder it is another model.
    """
    config, data = _here(_alone(context.config.train)), context.data
    part = replace(dataset, table=dataset.table[rows], features=dataset.features[rows], labels=dataset.labels[rows])
    loss = Loss(**read_json(round_.root / MODEL)["loss"])
    weights = _fit(part, data, config, context.config.run.seed, round_, loss)
    network = learner.build(dataset.features.shape[1], len(data.meta.classes), config, seed=0)
    network.load_state_dict(weights)
    return learner.Model(network, 1.0, multi=data.meta.multi)


def _alone(config: Train) -> Train:
    """As f itself is trained: members of an ensemble are trained beside it, and leave it as it is."""
    return config.model_copy(update={"ensemble": 1})


def _here(config: Train) -> Train:
    """In this process: a head on the features there are is a matter of a second, not worth a start of the workers."""
    return config.model_copy(update={"workers": 0, "min_workers": 0, "gpu": False})


def _head(
    dataset: Dataset, data: Data, config: Train, run_seed: int, round_: RoundDir
) -> tuple[dict[str, torch.Tensor], Loss]:
    """Weights of the head on the features there are, and its loss: of several, the one that val favours."""
    offered, here = Loss.offered(config), _here(config)
    own = config if config.mode == "head" else here
    if len(offered) == 1:
        return _fit(dataset, data, own, run_seed, round_, offered[0]), offered[0]
    trials = [_fit(dataset, data, here, run_seed, round_, loss) for loss in offered]
    val, seed = data.splits["val"].features, derive_seed(run_seed, round_.t, "loss")
    said = [_calibrated(weights, val, data, config).proba(val) for weights in trials]
    best = favoured(said, data.labels("val"), incumbent=offered.index(_before(round_, offered[0])), seed=seed)
    if own.workers == 0:
        return trials[best], offered[best]
    return _fit(dataset, data, own, run_seed, round_, offered[best]), offered[best]


def _before(round_: RoundDir, first: Loss) -> Loss:
    """The loss of the round before; in round 0, the first."""
    if round_.t == 0:
        return first
    return Loss(**read_json(round_.run.round(round_.t - 1).root / MODEL)["loss"])


def _calibrated(weights: dict[str, torch.Tensor], val: np.ndarray, data: Data, config: Train) -> learner.Model:
    """The head of these weights with the temperature that fits val, given as features (v, d)."""
    network = learner.build(val.shape[1], len(data.meta.classes), config, seed=0)
    network.load_state_dict(weights)
    model = learner.Model(network, 1.0, multi=data.meta.multi)
    return replace(model, temperature=learner.fit_temperature(model.logits(val), data.labels("val")))


def _tuned(
    head: dict[str, torch.Tensor], dataset: Dataset, data: Data, config: Config, round_: RoundDir, loss: Loss
) -> tuple[dict[str, torch.Tensor], Tunable]:
    """Weights of the head trained on with the encoder, and that encoder, whose weights are kept."""
    modality, recipe = data.meta.modality, data.encode.recipe()
    tuning = Tuning(recipe, dataset.table[modality], {name: value.numpy() for name, value in head.items()})
    both = _fit(dataset, data, _alone(config.train), config.run.seed, round_, loss, tuning)
    weights = {name: value for name, value in both.items() if not name.startswith(BACKBONE)}
    tuned = {name.removeprefix(BACKBONE): value for name, value in both.items() if name not in weights}
    _keep(tuned, round_.root / TUNED)
    own = {name: value.numpy() for name, value in load_file(round_.root / TUNED).items()}
    return weights, recipe.build(config.train, own)


def _fit(
    dataset: Dataset,
    data: Data,
    config: Train,
    run_seed: int,
    round_: RoundDir,
    loss: Loss,
    tuning: Tuning | None = None,
) -> dict[str, torch.Tensor]:
    return fit(
        dataset.features,
        dataset.labels,
        len(data.meta.classes),
        config,
        seed=derive_seed(run_seed, round_.t, "train"),
        loss=loss,
        rehearsed=np.flatnonzero((dataset.table["round"] == 0).to_numpy()),
        tuning=tuning,
    )
