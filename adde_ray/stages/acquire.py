"""Synthesise candidates and drop the bad ones: gaps, or D_t's classes, and samples in, synthetic.parquet out."""

from __future__ import annotations

import numpy as np
import polars as pl

from adde_ray.artifacts.run_dir import RoundDir, derive_rng, derive_seed
from adde_ray.artifacts.schema import SYNTHETIC, frame, payload_series, sample_id, with_payload
from adde_ray.config import Config
from adde_ray.dataset import Data, synthetic_rows
from adde_ray.methods.encoders import decode_images
from adde_ray.methods.policy.adaptation import Policy
from adde_ray.methods.synthesis import light
from adde_ray.methods.synthesis.draws import draws_for
from adde_ray.methods.synthesis.generators import FitData, to_payload
from adde_ray.methods.synthesis.quality import quality_control
from adde_ray.methods.synthesis.requests import Request, plan_requests, untargeted_requests
from adde_ray.stages.round_state import Analysis
from adde_ray.stages.run_context import RunContext


def acquire(analysis: Analysis, policy: Policy, context: RunContext, round_: RoundDir) -> pl.DataFrame:
    """SYNTHETIC + payload: every candidate made this round, kept or rejected with its reason."""
    return round_.once("synthetic.parquet", lambda: synthesise(analysis, policy, context, round_))


def synthesise(analysis: Analysis, policy: Policy, context: RunContext, round_: RoundDir) -> pl.DataFrame:
    """Aim, generate, encode, control quality."""
    config, data, generators, dataset = context.config, context.data, context.generators, analysis.dataset
    schema = with_payload(SYNTHETIC, data.meta.modality)
    seed = derive_seed(config.run.seed, round_.t, "generate")
    requests = what_to_make(analysis, data, config)
    rests = policy.synthetic_share == 0 or round_.t < policy.synthesis_from
    if not requests or generators.name is None or rests:
        return frame([], schema)

    learned_from, learned_ids = fit_data(analysis, data, config, round_)
    draws = draws_for(requests, learned_from, temperature=policy.temperature, seed=seed)
    arrays = np.concatenate(generators.sample(learned_from, draws.of_requests, seed=derive_seed(seed, "fit")))
    # A generator that went astray draws what is no sample at all.
    finite = np.isfinite(arrays).reshape(len(arrays), -1).all(axis=1)
    arrays, request_rows, between = arrays[finite], draws.request_rows[finite], draws.between[finite]
    payloads = to_payload(arrays, data.meta.modality)
    drawn = payload_series(payloads, data.meta.modality)
    features = data.encode(drawn)
    intended = np.array([requests[row].label for row in request_rows])
    judged = quality_control(
        features,
        intended,
        analysis.model.proba(features),
        dataset_features=dataset.features,
        dataset_labels=dataset.labels,
        real_features=data.reference.features,
        config=config.quality_control,
        min_confidence=policy.min_confidence,
        seed=seed,
    )
    if config.generate.searches:
        asked, rejected = _asked(analysis, data, round_)
        reach = context.spaces.reach(data, config)
        judged = light.dim(judged, features, asked=asked, rejected=rejected, reach=reach)
    table = frame(
        {
            "sample_id": [sample_id(p) for p in payloads],
            "gap_id": [requests[row].gap_id for row in request_rows],
            "generator": [generators.name] * len(payloads),
            "parents": [sorted({learned_ids[row] for row in pair if row >= 0}) for pair in between],
            "intended": [data.meta.classes[c] for c in intended],
            **judged,
            "features": list(features if data.frozen is None else data.frozen.encode(drawn)),
            data.meta.modality: payloads,
        },
        schema,
    )
    # Content that is there already is that sample, not a new one.
    new = table.filter(~pl.col("sample_id").is_in(data.reference.ids))
    return new.unique("sample_id", keep="first", maintain_order=True).sort("sample_id")


def what_to_make(analysis: Analysis, data: Data, config: Config) -> list[Request]:
    """Requests for what `generate.target` names."""
    counts, per_round = analysis.dataset.class_counts, config.generate.per_round
    if config.generate.target == "dataset":
        return untargeted_requests(counts, per_round=per_round, dims=analysis.space.points.shape[1])
    known = set(np.flatnonzero(counts).tolist())
    return plan_requests(analysis.open_gaps, per_round=per_round, classes=data.meta.classes, known=known)


def fit_data(analysis: Analysis, data: Data, config: Config, round_: RoundDir) -> tuple[FitData, list[str]]:
    """What the generator learns from, and its sample_ids: labelled rows, and pool rows with f's probabilities."""
    dataset, reference, modality = analysis.dataset, data.reference, data.meta.modality
    labelled = set(dataset.table["sample_id"].to_list())
    unlabelled = np.array([row for row, i in enumerate(reference.ids) if i not in labelled], dtype=int)
    room = max(config.generate.max_fit_rows - len(dataset.labels), 0)
    if len(unlabelled) > room:
        rng = derive_rng(config.run.seed, round_.t, "generate", "rows")
        unlabelled = np.sort(rng.choice(unlabelled, room, replace=False))
    payloads = pl.concat([dataset.table[modality], reference.table[modality][unlabelled]])
    arrays = decode_images(payloads) if modality == "image" else np.stack(payloads.to_list()).astype(np.float32)
    if data.meta.multi:  # what people could not tell, f says
        known = np.where(np.isnan(dataset.labels), analysis.model.proba(dataset.features), dataset.labels)
    else:
        known = np.eye(len(data.meta.classes), dtype=np.float32)[dataset.labels]
    ids = dataset.table["sample_id"].to_list() + [reference.ids[row] for row in unlabelled]
    learned_from = FitData(
        arrays=arrays,
        class_probs=np.concatenate([known, analysis.proba[unlabelled]]),
        points=np.concatenate([analysis.space.reduce(analysis.dataset_embedding), analysis.space.points[unlabelled]]),
        multi=data.meta.multi,
    )
    return learned_from, ids


def _asked(analysis: Analysis, data: Data, round_: RoundDir) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) of all that people were asked about, real and synthetic, and (n,) bool: what they rejected."""
    ids, features = [*analysis.dataset.asked_ids], [analysis.dataset.asked_features]
    for t in range(round_.t):
        made = round_.run.round(t).read("synthetic.parquet")
        if made is not None and len(made := made.filter(pl.col("sample_id").is_in(list(analysis.asked)))):
            ids += made["sample_id"].to_list()
            features.append(synthetic_rows(made, data))
    known = set(analysis.dataset.table["sample_id"].to_list())
    return np.concatenate(features), np.array([i not in known for i in ids], dtype=bool)
