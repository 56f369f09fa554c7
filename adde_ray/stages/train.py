"""Train f on D_t with Ray Train: dataset features and labels in, rounds/t/model/ out.

With `train.mode` lora or full a second fit trains the encoder together with the head that the first gave: linear
probing, then fine-tuning, which keeps what the encoder knew (Kumar et al. 2022). It starts from the pretrained
weights in every round, as the head starts from nothing.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from adde_ray.config import Config, Train
from adde_ray.data import Data, Dataset
from adde_ray.errors import UserError
from adde_ray.methods import finetune, learner
from adde_ray.methods.finetune import Recipe
from adde_ray.methods.products import threads_for
from adde_ray.rundir import TUNED, RoundDir, atomic, derive_seed, read_json, write_json

if TYPE_CHECKING:
    from ray.actor import ActorHandle

WEIGHTS, MEMBERS, SETTINGS = "model.safetensors", "members.safetensors", "model.json"
BACKBONE = "backbone."
"""Marks the encoder's weights among the trained ones."""

MAX_FAILURES = 3
"""Times a fit goes on from its last kept state after it lost a worker."""


@dataclass(frozen=True)
class Tuning:
    """What fine-tuning needs besides features: the samples themselves, and the head to start from."""

    recipe: Recipe
    payloads: pl.Series
    head: dict[str, np.ndarray]


def train(dataset: Dataset, data: Data, config: Config, round_: RoundDir) -> learner.Model:
    """f trained on D_t and calibrated on val, kept as this round's checkpoint; or the kept one.

    Fine-tuned, it is the head of f: it reads the features of this round's encoder, whose weights are kept beside it.
    """
    folder = round_.root / "model"
    if not (folder / SETTINGS).exists():
        classes, dims = data.meta.classes, dataset.features.shape[1]
        seed = derive_seed(config.run.seed, round_.t, "train")
        samples = {"seed": seed, "rehearsed": np.flatnonzero((dataset.table["round"] == 0).to_numpy())}
        f = config.train.model_copy(update={"ensemble": 1})  # members are trained beside it, and leave it as it is
        # Before fine-tuning, the head is a matter of a second: not worth a start of the workers.
        here = {} if f.mode == "head" else {"workers": 0, "min_workers": 0}
        weights = fit(dataset.features, dataset.labels, len(classes), f.model_copy(update=here), **samples)
        seen, val = dataset.features, data.splits["val"].features
        if f.mode != "head":
            head = {name: value.numpy() for name, value in weights.items()}
            recipe = data.encode.recipe()
            tuning = Tuning(recipe, dataset.table[data.meta.modality], head)
            both = fit(dataset.features, dataset.labels, len(classes), f, **samples, tuning=tuning)
            weights = {name: value for name, value in both.items() if not name.startswith(BACKBONE)}
            tuned = {name.removeprefix(BACKBONE): value for name, value in both.items() if name not in weights}
            with atomic(round_.root / TUNED) as temporary:
                save_file(tuned, temporary)
            encoder = recipe.build(f, load_file(round_.root / TUNED))
            val = encoder.encode(data.splits["val"].table[data.meta.modality])
            if learner.num_heads(config.train) > 1:
                seen = encoder.encode(dataset.table[data.meta.modality])
        if learner.num_heads(config.train) > 1:
            members = fit(seen, dataset.labels, len(classes), config.train.model_copy(update=here), **samples)
            with atomic(folder / MEMBERS) as temporary:
                save_file(members, temporary)
        network = learner.build(dims, len(classes), f, seed=seed)
        network.load_state_dict(weights)
        val_logits = learner.Model(network, 1.0).logits(val)
        temperature = learner.fit_temperature(val_logits, data.labels("val"))
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


def fit(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    config: Train,
    *,
    seed: int,
    rehearsed: np.ndarray | None = None,
    tuning: Tuning | None = None,
) -> dict[str, torch.Tensor]:
    """Weights trained on (n, d) features and labels as numbers (see `labels`), through `TorchTrainer.fit`.

    rehearsed: the rows `config.rehearsal` draws its share from. tuning: train the encoder, too, on the samples the
    features are of; its weights come back under names that start with `BACKBONE`.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # the end of the workers is seen 4 s sooner
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    # Ray Train's log says at every fit what the config chose; a run trains every round.
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="adde-train-") as storage, _kept_state(config) as keeper:
        result = TorchTrainer(
            _train_function,
            train_loop_config={
                "features": np.ascontiguousarray(features),
                "labels": labels,
                "rehearsed": rehearsed,
                "num_classes": num_classes,
                "seed": seed,
                "train": config.model_dump(),
                "tuning": tuning,
                "keeper": keeper,
            },
            scaling_config=ScalingConfig(
                num_workers=(config.min_workers, config.workers) if config.min_workers else config.workers,
                use_gpu=config.gpu and config.workers > 0,
                resources_per_worker=_room_for_a_worker(config),
            ),
            run_config=RunConfig(
                storage_path=storage, name="fit", failure_config=FailureConfig(max_failures=MAX_FAILURES)
            ),
        ).fit()
    # The weights come back as the train function's value: no storage shared between machines is needed.
    return {name: torch.from_numpy(np.array(value)) for name, value in result.return_value.items()}


def _train_function(settings: dict) -> dict[str, np.ndarray]:
    """Runs on every worker. All of them draw the same global batches, and each takes every world-th row."""
    import ray.train
    from ray.train.torch import get_device, prepare_model

    config, tuning = Train(**settings["train"]), settings["tuning"]
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    device = get_device() if config.gpu else torch.device("cpu")
    labels = torch.from_numpy(settings["labels"])
    weights = learner.class_weights(settings["labels"], settings["num_classes"], config.balance)
    weights = torch.from_numpy(weights).to(device)

    dims = settings["features"].shape[1]
    network = learner.build(dims, settings["num_classes"], config, seed=settings["seed"]).to(device)
    part = (_tuned_part if tuning else _head_part)(network, settings, config, device)
    model = part.model
    if world > 1:
        # A model may have parts that none of its features come from.
        unused = {"find_unused_parameters": True} if tuning else {}
        model = prepare_model(part.model, move_to_device=False, parallel_strategy_kwargs=unused)
    members = learner.member_weights(len(labels), network.heads, seed=settings["seed"])
    drops = learner.dropouts(network)
    optimiser = torch.optim.Adam(part.groups, lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=part.steps)
    # The loss is the mean over the heads, so each head's own penalty is, too.
    heads = {"head.weight": network.heads}
    decayed = [(p, heads.get(name, 1)) for name, p in network.named_parameters() if name.endswith("weight")]
    batches = learner.batches(
        len(labels), part.batch_size, part.steps,
        seed=settings["seed"], rehearsed=settings["rehearsed"], share=config.rehearsal,
    )  # fmt: skip
    keeper = settings["keeper"]
    begun = _resume(keeper, part, optimiser, schedule) if keeper else 0
    with threads_for(part.work):
        for step, rows in itertools.islice(enumerate(batches), begun, None):
            masks = learner.draw_masks(drops, network, len(rows), seed=settings["seed"] + step)
            shard = np.arange(len(rows))[rank::world]
            optimiser.zero_grad(set_to_none=True)
            for last, places in _in_memory(shard, part.micro_batch):
                mine = torch.from_numpy(rows[places])
                with learner.masked(drops, [mask[places].to(device) for mask in masks]):
                    logits = model(part.inputs(mine))[: len(mine)]
                if network.heads == 1:
                    loss = learner.weighted_loss(logits, labels[mine].to(device), weights)
                else:
                    loss = learner.members_loss(logits, labels[mine].to(device), weights, members[mine].to(device))
                # DDP averages gradients over the workers; `world` over the batch's size makes that the batch's mean.
                loss = loss * world / len(rows)
                if last:
                    loss = loss + 0.5 * config.weight_decay * sum(p.square().sum() / share for p, share in decayed)
                with contextlib.nullcontext() if last or world == 1 else model.no_sync():
                    loss.backward()
            optimiser.step()
            schedule.step()
            if keeper and rank == 0 and (step + 1) % config.checkpoint_steps == 0:
                _keep(keeper, step + 1, part, optimiser, schedule)
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
        result=lambda: network.state_dict() | {BACKBONE + name: p for name, p in tuned.items()},
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


class _Keeper:
    """An actor beside the driver that holds the latest state of a fit.

    Ray Train's own checkpoints need storage that all machines share; weights that outlive a worker do not.
    """

    def __init__(self):
        self._state: dict | None = None

    def put(self, state: dict) -> None:
        self._state = state

    def get(self) -> dict | None:
        return self._state


@contextlib.contextmanager
def _kept_state(config: Train) -> Iterator[ActorHandle | None]:
    """A keeper for as long as a fit lasts; None where no worker can be lost."""
    if config.workers == 0:
        yield None
        return
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    keeper = ray.remote(_Keeper).options(num_cpus=0, scheduling_strategy=here).remote()
    try:
        yield keeper
    finally:
        ray.kill(keeper)


def _keep(keeper: ActorHandle, step: int, part: _Part, optimiser: Any, schedule: Any) -> None:
    import ray

    weights = {name: value.detach().cpu() for name, value in part.result().items()}
    optimised = _on_cpu(optimiser.state_dict())
    state = {"step": step, "weights": weights, "optimiser": optimised, "schedule": schedule.state_dict()}
    # Waiting holds a step up for a moment, and states from queueing up in memory.
    ray.get(keeper.put.remote(state))


def _resume(keeper: ActorHandle, part: _Part, optimiser: Any, schedule: Any) -> int:
    """Take up the kept state, if there is one. Returns the steps that are done."""
    import ray

    state = ray.get(keeper.get.remote())
    if state is None:
        return 0
    with torch.no_grad():
        for name, value in part.result().items():
            value.copy_(state["weights"][name])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return state["step"]


def _on_cpu(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _on_cpu(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_on_cpu(value) for value in tree]
    return tree.cpu() if isinstance(tree, torch.Tensor) else tree


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
