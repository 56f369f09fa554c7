"""Train f on D_t with Ray Train: dataset features and labels in, rounds/t/model/ out.

One train function. `train.workers = 0` runs it in this process (Ray Train's local mode costs under a
millisecond where a worker group costs 15 s); `>= 1` runs it under DDP, with the same batches and the same
sums, so with the same result up to float noise.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from adde_ray.config import Config, Train
from adde_ray.data import Data, Dataset
from adde_ray.errors import UserError
from adde_ray.methods import learner
from adde_ray.rundir import RoundDir, atomic, derive_seed, read_json, write_json

WEIGHTS, SETTINGS = "model.safetensors", "model.json"

SMALL = 4_000_000
"""Multiply-adds of a step below which one thread is the fastest: more would wait for each other."""


def train(dataset: Dataset, data: Data, config: Config, round_: RoundDir) -> learner.Model:
    """f trained on D_t and calibrated on val, kept as this round's checkpoint; or the kept one."""
    folder = round_.root / "model"
    if not (folder / SETTINGS).exists():
        classes, dims = data.meta.classes, dataset.features.shape[1]
        seed = derive_seed(config.run.seed, round_.t, "train")
        first = np.flatnonzero((dataset.table["round"] == 0).to_numpy())
        weights = fit(dataset.features, dataset.labels, len(classes), config.train, seed=seed, rehearsed=first)
        network = learner.build(dims, len(classes), config.train, seed=seed)
        network.load_state_dict(weights)
        val_logits = learner.Model(network, 1.0).logits(data.splits["val"].features)
        temperature = learner.fit_temperature(val_logits, data.labels("val"))
        with atomic(folder / WEIGHTS) as temporary:
            save_file(weights, temporary)
        write_json(folder / SETTINGS, {"dims": dims, "classes": list(classes), "temperature": temperature})
    return load(folder, config.train)


def load(folder: Path, config: Train) -> learner.Model:
    """A kept model."""
    settings = read_json(folder / SETTINGS)
    network = learner.build(settings["dims"], len(settings["classes"]), config, seed=0)
    network.load_state_dict(load_file(folder / WEIGHTS))
    return learner.Model(network, settings["temperature"], config.ensemble)


def fit(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    config: Train,
    *,
    seed: int,
    rehearsed: np.ndarray | None = None,
) -> dict[str, torch.Tensor]:
    """Weights trained on (n, d) features and (n,) class rows, through `TorchTrainer.fit`.

    rehearsed: the rows `config.rehearsal` draws its share from.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # the end of the workers is seen 4 s sooner
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    # Ray Train's log says at every fit what the config chose; a run trains every round.
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="adde-train-") as storage:
        result = TorchTrainer(
            _train_function,
            train_loop_config={
                "features": np.ascontiguousarray(features),
                "labels": labels,
                "rehearsed": rehearsed,
                "num_classes": num_classes,
                "seed": seed,
                "train": config.model_dump(),
            },
            scaling_config=ScalingConfig(
                num_workers=config.workers,
                use_gpu=config.gpu and config.workers > 0,
                resources_per_worker=_room_for_a_worker(config),
            ),
            run_config=RunConfig(storage_path=storage, name="fit"),
        ).fit()
    # The weights come back as the train function's value: no storage shared between machines is needed.
    return {name: torch.from_numpy(np.array(value)) for name, value in result.return_value.items()}


def _train_function(settings: dict) -> dict[str, np.ndarray]:
    """Runs on every worker. All of them draw the same global batches, and each takes every world-th row."""
    import ray.train
    from ray.train.torch import get_device, prepare_model

    config = Train(**settings["train"])
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    device = get_device() if config.gpu else torch.device("cpu")
    features, labels = torch.from_numpy(settings["features"]), torch.from_numpy(settings["labels"])
    weights = learner.class_weights(settings["labels"], settings["num_classes"], config.balance)
    weights = torch.from_numpy(weights).to(device)

    network = learner.build(features.shape[1], settings["num_classes"], config, seed=settings["seed"]).to(device)
    model = prepare_model(network, move_to_device=False) if world > 1 else network
    model.train()
    members = learner.member_weights(len(labels), network.heads, seed=settings["seed"])
    drops = learner.dropouts(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=config.steps)
    # The loss is the mean over the heads, so each head's own penalty is, too.
    heads = {"head.weight": network.heads}
    decayed = [(p, heads.get(name, 1)) for name, p in network.named_parameters() if name.endswith("weight")]
    work = min(len(labels), config.batch_size) * sum(p.numel() for p in network.parameters())
    with _threads_for(work):
        batches = learner.batches(
            len(labels), config.batch_size, config.steps,
            seed=settings["seed"], rehearsed=settings["rehearsed"], share=config.rehearsal,
        )  # fmt: skip
        for step, rows in enumerate(batches):
            mine = torch.from_numpy(rows[rank::world])
            optimiser.zero_grad(set_to_none=True)
            masks = learner.draw_masks(drops, network, len(rows), seed=settings["seed"] + step)
            with learner.masked(drops, [mask[rank::world].to(device) for mask in masks]):
                logits = model(features[mine].to(device))
            # DDP averages gradients over the workers; `world` over the global batch's size makes that the batch's mean.
            if network.heads == 1:
                loss = learner.weighted_loss(logits, labels[mine].to(device), weights)
            else:
                loss = learner.members_loss(logits, labels[mine].to(device), weights, members[mine].to(device))
            penalty = 0.5 * config.weight_decay * sum(p.square().sum() / share for p, share in decayed)
            (loss * world / len(rows) + penalty).backward()
            optimiser.step()
            schedule.step()
    ray.train.report({"loss": float(loss.detach()) / max(len(mine), 1)})
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def _room_for_a_worker(config: Train) -> dict[str, float]:
    """What each worker reserves. Ray Train waits for ever, and silently, for room that there is not.

    Together the workers reserve at most half of the CPUs: generators keep up to the other half.
    """
    if config.workers == 0:
        cpus, gpus = 1.0, torch.cuda.device_count()
    else:
        import ray

        have = ray.cluster_resources()
        cpus, gpus = have.get("CPU", 0.0), have.get("GPU", 0)
    needed = max(config.workers, 1)
    if config.gpu and gpus < needed:
        raise UserError(
            f"needs {needed} GPUs and there are {gpus:g}", where="train.gpu", value=True, remedy="Set train.gpu = false"
        )
    return {"CPU": min(1.0, 0.5 * cpus / needed)}


@contextlib.contextmanager
def _threads_for(work: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1 if work < SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
