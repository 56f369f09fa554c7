"""Train f on D_t: dataset features and labels in, rounds/t/model/ out.

With `train.mode` lora or full a second fit trains the encoder together with the head that the first gave: linear
probing, then fine-tuning, which keeps what the encoder knew (Kumar et al. 2022). It starts from the pretrained
weights in every round, as the head starts from nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from adde_ray.config import Config, Train
from adde_ray.data import Data, Dataset
from adde_ray.fitting import BACKBONE, Tuning, fit
from adde_ray.methods import learner
from adde_ray.methods.finetune import Tunable
from adde_ray.rundir import TUNED, RoundDir, atomic, derive_seed, read_json, write_json

WEIGHTS, MEMBERS, SETTINGS = "model.safetensors", "members.safetensors", "model.json"


def train(dataset: Dataset, data: Data, config: Config, round_: RoundDir) -> learner.Model:
    """f trained on D_t and calibrated on val, kept as this round's checkpoint; or the kept one.

    Fine-tuned, it is the head of f: it reads the features of this round's encoder, whose weights are kept beside it.
    """
    folder = round_.root / "model"
    if not (folder / SETTINGS).exists():
        # Members are trained beside f, and leave it as it is.
        f = config.model_copy(update={"train": config.train.model_copy(update={"ensemble": 1})})
        weights = _head(dataset, data, f, round_)
        val, seen, modality = data.splits["val"].features, dataset, data.meta.modality
        if config.train.mode != "head":
            weights, encoder = _tuned(weights, dataset, data, f, round_)
            val = encoder.encode(data.splits["val"].table[modality])
            if learner.num_heads(config.train) > 1:
                seen = replace(dataset, features=encoder.encode(dataset.table[modality]))
        if learner.num_heads(config.train) > 1:
            with atomic(folder / MEMBERS) as temporary:
                save_file(_head(seen, data, config, round_), temporary)
        classes, dims = data.meta.classes, dataset.features.shape[1]
        network = learner.build(dims, len(classes), f.train, seed=0)
        network.load_state_dict(weights)
        temperature = learner.fit_temperature(learner.Model(network, 1.0).logits(val), data.labels("val"))
        with atomic(folder / WEIGHTS) as temporary:
            save_file(weights, temporary)
        settings = {"dims": dims, "classes": list(classes), "task": data.meta.task, "temperature": temperature}
        write_json(folder / SETTINGS, settings)
    return load(folder, config.train)


def load(folder: Path, config: Train) -> learner.Model:
    """A kept model."""
    settings = read_json(folder / SETTINGS)

    def network(name: str, of: Train) -> learner.Network:
        built = learner.build(settings["dims"], len(settings["classes"]), of, seed=0)
        built.load_state_dict(load_file(folder / name))
        return built

    return learner.Model(
        network(WEIGHTS, config.model_copy(update={"ensemble": 1})),
        settings["temperature"],
        ensemble=config.ensemble,
        members=network(MEMBERS, config) if learner.num_heads(config) > 1 else None,
        tuned=config.mode != "head",
        multi=settings.get("task") == "multi",
    )


def _head(dataset: Dataset, data: Data, config: Config, round_: RoundDir) -> dict[str, torch.Tensor]:
    """Weights of the head on the features there are."""
    # Before fine-tuning, that is a matter of a second: not worth a start of the workers.
    here = {} if config.train.mode == "head" else {"workers": 0, "min_workers": 0}
    return _fit(dataset, data, config.train.model_copy(update=here), config.run.seed, round_)


def _tuned(
    head: dict[str, torch.Tensor], dataset: Dataset, data: Data, config: Config, round_: RoundDir
) -> tuple[dict[str, torch.Tensor], Tunable]:
    """Weights of the head trained on with the encoder, and that encoder; its weights are kept."""
    modality, recipe = data.meta.modality, data.encode.recipe()
    tuning = Tuning(recipe, dataset.table[modality], {name: value.numpy() for name, value in head.items()})
    both = _fit(dataset, data, config.train, config.run.seed, round_, tuning)
    weights = {name: value for name, value in both.items() if not name.startswith(BACKBONE)}
    tuned = {name.removeprefix(BACKBONE): value for name, value in both.items() if name not in weights}
    with atomic(round_.root / TUNED) as temporary:
        save_file(tuned, temporary)
    return weights, recipe.build(config.train, load_file(round_.root / TUNED))


def _fit(
    dataset: Dataset, data: Data, config: Train, run_seed: int, round_: RoundDir, tuning: Tuning | None = None
) -> dict[str, torch.Tensor]:
    return fit(
        dataset.features,
        dataset.labels,
        len(data.meta.classes),
        config,
        seed=derive_seed(run_seed, round_.t, "train"),
        rehearsed=np.flatnonzero((dataset.table["round"] == 0).to_numpy()),
        tuning=tuning,
    )
