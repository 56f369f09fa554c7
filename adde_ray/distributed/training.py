"""Weights of f by Ray Train: features (n, d) and labels, or samples and an encoder with them, in → arrays by name out.

One train function. `train.workers = 0` runs it in this process (Ray Train's local mode costs under a
millisecond where a worker group costs 15 s); `>= 1` runs it under DDP, with the same batches and the same
sums, so with the same result up to float noise.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from adde_ray.config import Train
from adde_ray.distributed.checkpoint import held_checkpoint, keep, take_up
from adde_ray.errors import UserError
from adde_ray.methods.encoders import finetune
from adde_ray.methods.encoders.finetune import Recipe
from adde_ray.methods.model import learner, losses
from adde_ray.methods.model.convex import Head
from adde_ray.methods.model.losses import Loss
from adde_ray.methods.numerics.threads import threads_for

BACKBONE = "backbone."
"""Marks the encoder's weights among the trained ones."""

WEIGHT_DECAY = 1e-3
"""L2 penalty per sample where the config gives none and nothing chooses one."""

MAX_FAILURES = 3
"""Times a fit goes on from its last kept state after it lost a worker."""

RESIZE_S = 60.0
"""Seconds from one look for room for more workers to the next: to let them in stops the others for a start."""


@dataclass(frozen=True)
class Tuning:
    """What fine-tuning needs besides features: the samples themselves, and the head to start from."""

    recipe: Recipe
    payloads: pl.Series
    head: dict[str, np.ndarray]


def fit(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    config: Train,
    *,
    seed: int,
    loss: Loss | None = None,
    rehearsed: np.ndarray | None = None,
    row_weights: np.ndarray | None = None,
    toward: Head | None = None,
    tuning: Tuning | None = None,
) -> dict[str, torch.Tensor]:
    """Weights trained on (n, d) features and labels as numbers (see `labels`), through `TorchTrainer.fit`.

    loss: by default the first that the config offers. rehearsed: the rows `config.rehearsal` draws its share from.
    row_weights: (n,) how much each row counts, its class included where labels are class rows. toward: where a linear
    head begins, and stays as far as the penalty says.
    tuning: train the encoder, too, on the samples the features are of; its weights come back under names that start
    with `BACKBONE`.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # the end of the workers is seen 4 s sooner
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    # Ray Train's log says at every fit what the config chose; a run trains every round.
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="adde-train-") as storage, held_checkpoint(config) as checkpoint:
        result = TorchTrainer(
            _train_function,
            train_loop_config={
                "features": np.ascontiguousarray(features),
                "labels": labels,
                "loss": loss or Loss.offered(config)[0],
                "rehearsed": rehearsed,
                "row_weights": row_weights,
                "toward": toward,
                "num_classes": num_classes,
                "seed": seed,
                "train": config.model_dump(),
                "tuning": tuning,
                "checkpoint": checkpoint,
            },
            scaling_config=ScalingConfig(
                num_workers=(config.min_workers, config.workers) if config.min_workers else config.workers,
                use_gpu=config.gpu and config.workers > 0,
                resources_per_worker=_room_for_a_worker(config),
                elastic_resize_monitor_interval_s=RESIZE_S,
            ),
            run_config=RunConfig(
                storage_path=storage, name="fit", failure_config=FailureConfig(max_failures=MAX_FAILURES)
            ),
        ).fit()
    # The weights come back as the train function's value: no storage shared between machines is needed.
    assert result.return_value is not None
    return {name: torch.from_numpy(np.array(value)) for name, value in result.return_value.items()}


def _train_function(settings: dict) -> dict[str, np.ndarray]:
    """Runs on every worker. All of them draw the same global batches, and each takes every world-th row."""
    import ray.train
    from ray.train.torch import get_device, prepare_model

    config, tuning, by = Train(**settings["train"]), settings["tuning"], settings["loss"]
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    device = get_device() if config.gpu else torch.device("cpu")
    labels = torch.from_numpy(settings["labels"])
    weights = losses.class_weights(settings["labels"], settings["num_classes"], by.balance)
    own_weights = settings["row_weights"]
    if own_weights is not None:
        weights = weights if labels.ndim == 2 else np.ones_like(weights)
        own_weights = torch.from_numpy(own_weights / own_weights.mean()).float().to(device)
    weights = torch.from_numpy(weights).to(device)

    dims = settings["features"].shape[1]
    network = learner.build(dims, settings["num_classes"], config, seed=settings["seed"])
    if (toward := settings["toward"]) is not None:
        network.load_state_dict({"head.weight": torch.tensor(toward.weight), "head.bias": torch.tensor(toward.bias)})
    network = network.to(device)
    # A head that stays near something does so with its bias, too.
    centres = (
        {} if toward is None else {f"head.{name}": p.detach().clone() for name, p in network.head.named_parameters()}
    )
    part = (_tuned_part if tuning else _head_part)(network, settings, config, device)
    model: Any = part.model  # or what makes it one of several
    if world > 1:
        # A model may have parts that none of its features come from.
        unused = {"find_unused_parameters": True} if tuning else {}
        model = prepare_model(part.model, move_to_device=False, parallel_strategy_kwargs=unused)
    members = losses.member_weights(len(labels), network.heads, seed=settings["seed"])
    drops = learner.dropouts(network)
    optimiser = torch.optim.Adam(part.groups, lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=part.steps)
    # The loss is the mean over the heads, so each head's own penalty is, too.
    heads = {"head.weight": network.heads}
    decayed = [
        (p, centres.get(name, 0.0), heads.get(name, 1))
        for name, p in network.named_parameters()
        if name.endswith("weight") or name in centres
    ]
    decay = WEIGHT_DECAY if config.weight_decay is None else config.weight_decay
    batches = learner.batches(
        len(labels),
        part.batch_size,
        part.steps,
        seed=settings["seed"],
        rehearsed=settings["rehearsed"],
        share=config.rehearsal,
    )
    checkpoint = settings["checkpoint"]
    begun = take_up(checkpoint, part.result(), optimiser, schedule) if checkpoint else 0
    with threads_for(part.work):
        for step, rows in itertools.islice(enumerate(batches), begun, None):
            masks = learner.draw_masks(drops, network, len(rows), seed=settings["seed"] + step)
            shard = np.arange(len(rows))[rank::world]
            optimiser.zero_grad(set_to_none=True)
            for last, places in _in_memory(shard, part.micro_batch):
                mine = torch.from_numpy(rows[places])
                with learner.masked(drops, [mask[places].to(device) for mask in masks]):
                    logits = model(part.inputs(mine))[: len(mine)]
                said, own = labels[mine].to(device), members[mine].to(device)
                if network.heads == 1:
                    counts = None if own_weights is None else own_weights[mine]
                    loss = losses.weighted_loss(logits, said, weights, counts, robustness=by.robustness)
                else:
                    loss = losses.members_loss(logits, said, weights, own, robustness=by.robustness)
                # DDP averages gradients over the workers; `world` over the batch's size makes that the batch's mean.
                loss = loss * world / len(rows)
                if last:
                    loss = loss + 0.5 * decay * sum((p - at).square().sum() / share for p, at, share in decayed)
                with contextlib.nullcontext() if last or world == 1 else model.no_sync():
                    loss.backward()
            optimiser.step()
            schedule.step()
            if checkpoint and rank == 0 and (step + 1) % config.checkpoint_steps == 0:
                keep(checkpoint, step + 1, part.result(), optimiser, schedule)
    ray.train.report({"steps": part.steps})
    return {name: value.detach().cpu().numpy() for name, value in part.result().items()}


@dataclass(frozen=True)
class _Part:
    """What differs between training a head on features and training the encoder with it."""

    model: nn.Module
    inputs: Callable[[torch.Tensor], Any]  # rows → what the model reads
    groups: list[dict]  # parameters and their learning rates
    result: Callable[[], dict[str, torch.Tensor]]  # the trained weights by name
    steps: int
    batch_size: int
    micro_batch: int  # rows in memory at once
    work: float  # multiply-adds of a step


def _head_part(network: learner.Network, settings: dict, config: Train, device: torch.device) -> _Part:
    features = torch.from_numpy(settings["features"])
    return _Part(
        model=network,
        inputs=lambda rows: features[rows].to(device),
        groups=[{"params": list(network.parameters())}],
        result=network.state_dict,
        steps=config.steps,
        batch_size=config.batch_size,
        micro_batch=config.batch_size,
        work=min(len(features), config.batch_size) * sum(p.numel() for p in network.parameters()),
    )


def _tuned_part(network: learner.Network, settings: dict, config: Train, device: torch.device) -> _Part:
    tuning: Tuning = settings["tuning"]
    encoder = tuning.recipe.build(config, seed=settings["seed"])
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tuning.head.items()})
    bf16 = config.precision == "bf16" or (config.precision == "auto" and device.type == "cuda")
    whole = finetune.Whole(encoder, network, torch.bfloat16 if bf16 else None).to(device)
    tuned = finetune.trained(encoder)
    rate = finetune.learning_rate(config, scratch=encoder.scratch)

    def inputs(rows: torch.Tensor) -> dict[str, torch.Tensor]:
        # A worker may get no row of a small batch; it takes part all the same, with one whose result is not counted.
        return encoder.inputs(tuning.payloads[rows.numpy() if len(rows) else np.zeros(1, int)])

    return _Part(
        model=whole,
        inputs=inputs,
        groups=[
            {"params": list(network.parameters()), "lr": min(config.lr, finetune.HEAD_FACTOR * rate)},
            {"params": list(tuned.values()), "lr": rate},
        ],
        result=lambda: {**network.state_dict(), **{BACKBONE + name: p.data for name, p in tuned.items()}},
        steps=config.tune_steps,
        batch_size=config.tune_batch,
        micro_batch=tuning.recipe.settings.batch_size,
        work=float("inf"),
    )


def _in_memory(places: np.ndarray, size: int) -> Iterator[tuple[bool, np.ndarray]]:
    """At most `size` of the places at a time, and whether they are the last; once where there are none."""
    starts = range(0, max(len(places), 1), size)
    for start in starts:
        yield start == starts[-1], places[start : start + size]


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
