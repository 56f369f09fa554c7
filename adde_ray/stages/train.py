"""Train f on D_t: dataset features and labels in, rounds/t/model/ out.

The default f is a linear head on standardised features, whose settings are chosen by rows it did not see. With
`train.mode` lora or full a second fit trains the encoder together with the head that the first gave: linear
probing, then fine-tuning, which keeps what the encoder knew (Kumar et al. 2022). It starts from the pretrained
weights in every round, as the head starts from nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save

from adde_ray.artifacts.queries import OUT_OF_FOLD
from adde_ray.artifacts.run_dir import (
    MODEL,
    TUNED,
    RoundDir,
    atomic,
    derive_seed,
    read_json,
    readable,
    write_json,
    write_table,
)
from adde_ray.config import Config, Train
from adde_ray.dataset import Data, Dataset
from adde_ray.distributed.training import BACKBONE, Tuning, fit
from adde_ray.methods.encoders.finetune import Tunable
from adde_ray.methods.model import learner
from adde_ray.methods.model.convex import Head, Problem, solve
from adde_ray.methods.model.head import Described, Fitter, rehearsal
from adde_ray.methods.model.head_choice import Choice, HeldOut, choose
from adde_ray.methods.model.losses import Loss
from adde_ray.methods.model.model_selection import favoured
from adde_ray.stages.run_context import RunContext

WEIGHTS, MEMBERS = "model/model.safetensors", "model/members.safetensors"

LEAST_VAL = 30
"""Rows of val below which the temperature is fitted to rows of D_t held out as well."""

MAX_PSEUDO = 10_000
"""Pool rows that pseudo-labels are looked for among, drawn by the seed."""


@dataclass(frozen=True)
class Fitted:
    """A head on features as they are, and how it came about."""

    weights: dict[str, torch.Tensor]
    loss: Loss
    choice: Choice | None = None  # of a linear head, as the rest
    held_out: HeldOut | None = None
    fitter: Fitter | None = None


def train(dataset: Dataset, context: RunContext, round_: RoundDir) -> learner.Model:
    """f trained on D_t and calibrated, kept as this round's checkpoint; or the kept one.

    Without a labelled row see `_untrained`. Fine-tuned, it is the head of f: it reads the features of this round's
    encoder, whose weights are kept beside it.
    """
    config, data = context.config, context.data
    if not (round_.root / MODEL).exists():
        if not len(dataset.labels):
            return _untrained(context, round_)
        f = _alone(config.train)
        fitted = (_linear if f.learner == "linear" else _other)(dataset, context, round_)
        weights, val, held_out = fitted.weights, data.splits["val"].features, fitted.held_out
        if f.mode != "head":
            weights, encoder = _tuned(weights, dataset, data, config, round_, fitted.loss)
            val, held_out = encoder.encode(data.splits["val"].table[data.meta.modality]), None
        if learner.num_heads(config.train) > 1:
            if f.mode != "head":
                dataset = replace(dataset, features=encoder.encode(dataset.table[data.meta.modality]))
            _keep(_members(dataset, fitted, context, round_), round_.root / MEMBERS)
        model = _calibrated(weights, val, dataset, data, f, held_out)
        if held_out is not None:
            write_table(round_.root / OUT_OF_FOLD, _out_of_fold(dataset, model, held_out))
        head = {}
        if fitted.choice is not None and fitted.fitter is not None:
            head = {"head": fitted.choice.kept() | {"described": fitted.fitter.described is not None}}
        _keep_model(weights, model.temperature, fitted.loss, data, round_, head)
    return load(round_, config.train)


def _untrained(context: RunContext, round_: RoundDir) -> learner.Model:
    """f before there is a label: a comparison with the classes' descriptions, else every class alike. Kept as any.

    The encoder stays as it is in such a round, whatever `train.mode` says.
    """
    config, data = context.config, context.data
    seed = derive_seed(config.run.seed, round_.t, "train")

    def head(of: Train) -> dict[str, torch.Tensor]:
        known, features = data.prototypes, data.pool.sample.features
        network = learner.build(features.shape[1], len(data.meta.classes), of, seed=seed)
        if known is None:
            return learner.uniform(network).state_dict()
        multi = data.meta.multi
        return learner.from_prototypes(network, known.vectors, known.known, features, multi=multi).state_dict()

    if learner.num_heads(config.train) > 1:
        _keep(head(config.train), round_.root / MEMBERS)
    loss = Loss.offered(config.train)[0]
    _keep_model(head(_alone(config.train)), 1.0, loss, data, round_, {"tuned": False})
    return load(round_, config.train)


def _keep_model(
    weights: dict[str, torch.Tensor], temperature: float, loss: Loss, data: Data, round_: RoundDir, more: dict
) -> None:
    _keep(weights, round_.root / WEIGHTS)
    settings = {"dims": data.pool.sample.features.shape[1], "classes": list(data.meta.classes), "task": data.meta.task}
    write_json(round_.root / MODEL, settings | {"temperature": temperature, "loss": asdict(loss)} | more)


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
        tuned=settings.get("tuned", config.mode != "head"),
        multi=settings.get("task") == "multi",
    )


def trained_on(rows: np.ndarray, dataset: Dataset, context: RunContext, round_: RoundDir) -> learner.Model:
    """f as it would be had these rows of D_t been all there ever was; not calibrated, nor kept.

    What it predicts is a head's: with a fine-tuned encoder it is another model.
    """
    config = _here(_alone(context.config.train))
    context = replace(context, config=context.config.model_copy(update={"train": config}))
    part = replace(dataset, table=dataset.table[rows], features=dataset.features[rows], labels=dataset.labels[rows])
    # As in round 0: there is nothing that was chosen before.
    fitted = (_linear if config.learner == "linear" else _other)(part, context, round_.run.round(0))
    network = learner.build(dataset.features.shape[1], len(context.data.meta.classes), config, seed=0)
    network.load_state_dict(fitted.weights)
    return learner.Model(network, 1.0, multi=context.data.meta.multi)


def _alone(config: Train) -> Train:
    """As f itself is trained: members of an ensemble are trained beside it, and leave it as it is."""
    return config.model_copy(update={"ensemble": 1})


def _here(config: Train) -> Train:
    """In this process: a head on the features there are is a matter of a second, not worth a start of the workers."""
    return config.model_copy(update={"workers": 0, "min_workers": 0, "gpu": False})


# --- a linear head ----------------------------------------------------------------------------------------


def _linear(dataset: Dataset, context: RunContext, round_: RoundDir) -> Fitted:
    """Settings that rows held out speak for, and the head of these on all of D_t and on pseudo-labels."""
    config, data = context.config, context.data
    fitter = Fitter(
        context.spaces.standard(data, config),
        dataset.features,
        dataset.labels,
        len(data.meta.classes),
        described=_described(data),
        factor=rehearsal(_of_seed(dataset), config.train.rehearsal),
        steps=config.train.steps,
    )
    val, seed = (data.splits["val"].features, data.labels("val")), derive_seed(config.run.seed, round_.t, "head")
    choice, held_out = choose(fitter, _choice_before(round_), config.train, val, multi=data.meta.multi, seed=seed)
    settings, pseudo = choice.settings, None
    if config.train.pseudo_labels and not data.meta.multi and len(dataset.labels):
        pool = _unasked(dataset, data, derive_seed(config.run.seed, round_.t, "pseudo-labels"))
        pseudo = fitter.pseudo_labelled(fitter.fit(settings), settings, pool, config.train.pseudo_labels)
    problem = fitter.problem(settings, pseudo=pseudo)
    head = _solved(problem, _alone(config.train), data, config.run.seed, round_)
    return Fitted(_as_weights(fitter.folded(head, settings)), settings.loss, choice, held_out, fitter)


def _described(data: Data) -> Described | None:
    """The prototypes of the classes that have one, among the frozen features."""
    known = (data.frozen or data).prototypes
    return None if known is None else Described(known.vectors[known.known], np.flatnonzero(known.known))


def _solved(problem: Problem, f: Train, data: Data, run_seed: int, round_: RoundDir) -> Head:
    """Its solution: by the workers where there are any and they have no encoder to train."""
    if f.mode != "head" or not f.workers or not len(problem.rows):
        return solve(problem, steps=f.steps)
    found = fit(
        problem.rows.features,
        problem.rows.labels,
        len(data.meta.classes),
        f.model_copy(update={"weight_decay": problem.decay}),
        seed=derive_seed(run_seed, round_.t, "train"),
        loss=problem.loss,
        row_weights=problem.rows.weights,
        toward=problem.toward,
    )
    return _as_head(found)


def _as_head(weights: dict[str, torch.Tensor]) -> Head:
    return Head(weights["head.weight"].numpy(), weights["head.bias"].numpy())


def _as_weights(head: Head) -> dict[str, torch.Tensor]:
    return {"head.weight": torch.from_numpy(head.weight), "head.bias": torch.from_numpy(head.bias)}


def _choice_before(round_: RoundDir) -> Choice | None:
    """That of the round before, where it had one."""
    kept = read_json(round_.run.round(round_.t - 1).root / MODEL).get("head") if round_.t else None
    return None if kept is None else Choice.from_kept(kept)


def _unasked(dataset: Dataset, data: Data, seed: int) -> np.ndarray:
    """(p, d) features of pool rows that nobody was asked about, at most `MAX_PSEUDO`."""
    taken = [*dataset.table["sample_id"].to_list(), *dataset.asked_ids, *data.left_out]
    rows = np.flatnonzero(~data.pool.sample.table["sample_id"].is_in(taken).to_numpy())
    if len(rows) > MAX_PSEUDO:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_PSEUDO, replace=False))
    return data.pool.sample.features[rows]


def _out_of_fold(dataset: Dataset, model: learner.Model, held_out: HeldOut) -> pl.DataFrame:
    proba = model.squashed(held_out.dataset)
    of_rows = pl.Series("proba", proba.tolist(), dtype=pl.List(pl.Float32))
    return pl.DataFrame([dataset.table["sample_id"], of_rows])


# --- any other learner ------------------------------------------------------------------------------------


def _other(dataset: Dataset, context: RunContext, round_: RoundDir) -> Fitted:
    """Weights of a network on the features there are, and its loss: of several, the one that val favours."""
    data, run_seed, config = context.data, context.config.run.seed, _alone(context.config.train)
    offered, here = Loss.offered(config), _here(config)
    own = config if config.mode == "head" else here
    if len(offered) == 1:
        return Fitted(_fit(dataset, data, own, run_seed, round_, offered[0]), offered[0])
    trials = [_fit(dataset, data, here, run_seed, round_, loss) for loss in offered]
    val, seed = data.splits["val"].features, derive_seed(run_seed, round_.t, "loss")
    said = [_calibrated(weights, val, dataset, data, config).proba(val) for weights in trials]
    best = favoured(said, data.labels("val"), incumbent=offered.index(_before(round_, offered[0])), seed=seed)
    if own.workers == 0:
        return Fitted(trials[best], offered[best])
    return Fitted(_fit(dataset, data, own, run_seed, round_, offered[best]), offered[best])


def _before(round_: RoundDir, first: Loss) -> Loss:
    """The loss of the round before; in round 0, the first."""
    if round_.t == 0:
        return first
    return Loss(**read_json(round_.run.round(round_.t - 1).root / MODEL)["loss"])


# --- what both have ---------------------------------------------------------------------------------------


def _calibrated(
    weights: dict[str, torch.Tensor],
    val: np.ndarray,
    dataset: Dataset,
    data: Data,
    config: Train,
    held_out: HeldOut | None = None,
) -> learner.Model:
    """The head of these weights with the temperature that fits val, given as features (v, d); and rows of D_t held out,
    where val is small."""
    network = learner.build(val.shape[1], len(data.meta.classes), config, seed=0)
    network.load_state_dict(weights)
    model = learner.Model(network, 1.0, multi=data.meta.multi)
    logits, labels = model.logits(val), data.labels("val")
    if held_out is not None and len(labels) < LEAST_VAL:
        logits, labels = np.concatenate([logits, held_out.dataset]), np.concatenate([labels, dataset.labels])
    return replace(model, temperature=learner.fit_temperature(logits, labels))


def _members(dataset: Dataset, fitted: Fitted, context: RunContext, round_: RoundDir) -> dict[str, torch.Tensor]:
    """Heads of an ensemble, trained on reweighted copies of what f was trained on."""
    config, data = context.config, context.data
    if fitted.choice is None or fitted.fitter is None or config.train.mode != "head":
        own = config.train if config.train.mode == "head" else _here(config.train)
        return _fit(dataset, data, own, config.run.seed, round_, fitted.loss)
    settings, fitter = fitted.choice.settings, fitted.fitter
    problem = fitter.problem(settings)
    found = fit(
        problem.rows.features,
        problem.rows.labels,
        len(data.meta.classes),
        config.train.model_copy(update={"weight_decay": problem.decay}),
        seed=derive_seed(config.run.seed, round_.t, "train"),
        loss=settings.loss,
    )
    return _as_weights(fitter.folded(_as_head(found), settings))


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
        rehearsed=np.flatnonzero(_of_seed(dataset)),
        tuning=tuning,
    )


def _of_seed(dataset: Dataset) -> np.ndarray:
    """(n,) which rows of D_t are of the seed set."""
    return (dataset.table["round"] == 0).to_numpy()
