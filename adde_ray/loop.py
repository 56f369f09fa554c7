"""The ADDE loop: train, analyse, acquire, select, review, grow, adapt; round by round until a rule says stop.

Each step writes one artifact into the run's folder and is skipped when its artifact is there, so a run that
is killed anywhere goes on where it was.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from adde_ray.annotators import Annotator, make_annotator
from adde_ray.artifacts import provenance
from adde_ray.artifacts.queries import asked_before, out_of_fold
from adde_ray.artifacts.run_dir import RoundDir, RunDir
from adde_ray.config import Config
from adde_ray.config_check import check_data, check_names
from adde_ray.dataset import Data, Dataset, labelled, load_dataset, seed_part
from adde_ray.distributed.encoders import EncoderPool
from adde_ray.distributed.generators import GeneratorPool
from adde_ray.distributed.session import ensure_ray
from adde_ray.methods.policy import stopping
from adde_ray.methods.policy.adaptation import Policy
from adde_ray.report.summary import summarise
from adde_ray.stages import resuming
from adde_ray.stages.acquire import acquire
from adde_ray.stages.adapt import adapt
from adde_ray.stages.amend import amend
from adde_ray.stages.analyse import analyse
from adde_ray.stages.describe import describe
from adde_ray.stages.embed import embed
from adde_ray.stages.grow import grow
from adde_ray.stages.ingest import ingest
from adde_ray.stages.leave_out import leave_out
from adde_ray.stages.random_share import of_random_answers
from adde_ray.stages.reembed import embed_again
from adde_ray.stages.review import review
from adde_ray.stages.round_state import Answers
from adde_ray.stages.run_context import RunContext
from adde_ray.stages.score import score
from adde_ray.stages.select import select
from adde_ray.stages.spaces import Spaces
from adde_ray.stages.train import load, train, trained_on
from adde_ray.strategies import strategy

Watcher = Callable[[RunDir, dict, dict], None]
"""Called after every round with the run, the round's metrics and its manifest."""

StageWatcher = Callable[[RunDir, str, int | None], None]
"""Called as every stage begins with the run, the stage's name and its round, None before the first."""


def run(
    config: Config,
    run_dir: str | Path | None = None,
    *,
    resume: bool = False,
    watch: Watcher | None = None,
    on_stage: StageWatcher | None = None,
) -> dict:
    """Run until a stopping rule holds or people are waited for. Returns `summary.summarise` of the run.

    run_dir: where it is kept; default `run.root`/`run.name`. watch: called after every round. on_stage: called as
    every stage begins, reading and embedding among them.
    Raises UserError for anything the user can mend, before any training. While people are at it, nothing is loaded.
    """
    check_names(config)
    with RunDir.start(run_dir or config.run_dir, config, resume=resume) as run_:
        run_.on_stage, config = on_stage or run_.on_stage, run_.config
        if resuming.resume(run_, config).waits:
            return summarise(run_)
        run_.keep_provenance(provenance.describe)
        data, spaces = prepare(config, run_), Spaces()
        annotator = make_annotator(config, data, run_)
        watched(rounds(run_, config, data, spaces, annotator), watch)
        if stop_reason(run_) and config.compare.random:
            beside = at_random(config, run_)
            with RunDir.start(run_.root / "baselines" / "random", beside, resume=True) as baseline:
                baseline.on_stage, beside = run_.on_stage, baseline.config
                watched(rounds(baseline, beside, data, spaces, annotator), watch)
        return summarise(run_)


def prepare(config: Config, run_: RunDir) -> Data:
    """What a run knows before its first round: the data read, checked and embedded. What is there is not done again."""
    run_.on_stage(run_, "reading", None)
    meta = ingest(config, run_)
    check_data(config, meta)
    run_.on_stage(run_, "embedding", None)
    embedding = embed(config, meta, run_)
    pool = embedding.pool()
    splits, left_out = labelled(embedding.splits(), pool.sample), leave_out(pool, config, run_)
    prototypes = describe(config, meta, embedding.encode, pool.sample, run_)
    return Data(meta, splits, pool, embedding.encode, left_out, prototypes=prototypes)


def rounds(
    run_: RunDir, config: Config, data: Data, spaces: Spaces, annotator: Annotator
) -> Generator[RoundDir, None, None]:
    """The rounds still to do, each as it is done, until a stopping rule has ended the run or people are waited for."""
    run_.once("dataset/round-000.parquet", lambda: seed_part(data))
    if stop_reason(run_):
        return
    done = len(run_.rounds())
    policy = policy_before(run_, done, config)
    with at_work(config, data, spaces, annotator) as context:
        for t in itertools.count(done):
            manifest = one_round(run_.round(t), policy, context)
            if manifest is None:
                return
            yield run_.round(t)
            if manifest["stop_reason"]:
                return
            policy = Policy(**manifest["policy"])


@contextlib.contextmanager
def at_work(config: Config, data: Data, spaces: Spaces, annotator: Annotator) -> Iterator[RunContext]:
    """What a run works with, its actors alive as long as the rounds are; Ray too, where anything needs it."""
    generators = GeneratorPool(config.generate, data.meta.modality)
    if config.train.workers or generators.needs_ray or (data.pool.is_streamed and config.stream.workers != 0):
        ensure_ray()
    with generators, EncoderPool(config.train) as encoders:
        yield RunContext(config, data, spaces, annotator, generators, encoders)


def policy_before(run_: RunDir, t: int, config: Config) -> Policy:
    """The policy of round t."""
    return Policy(**run_.round(t - 1).manifest["policy"]) if t else Policy.initial(config)


def watched(done: Iterable[RoundDir], watch: Watcher | None) -> None:
    """Let `watch` know of each round."""
    for round_ in done:
        if watch:
            watch(round_.run, round_.metrics, round_.manifest)


def stop_reason(run_: RunDir) -> str | None:
    """The rule that has ended the run; None: it goes on."""
    done = run_.rounds()
    return done[-1].manifest["stop_reason"] if done else None


def one_round(round_: RoundDir, policy: Policy, context: RunContext) -> dict | None:
    """Round t on D_t. Returns its manifest; None when it waits for people."""
    run_, t = round_.run, round_.t
    amend(context, round_)
    dataset = load_dataset(run_, t, context.data)
    asked = asked_before(run_, t)

    with round_.stage("train"):
        model = train(dataset, context, round_)

    if model.tuned:  # its features are this round's, and everything from here on sees the samples by them
        with round_.stage("embed"):
            context = context.seen_by(embed_again(context, round_))
            dataset = load_dataset(run_, t, context.data)

    with round_.stage("analyse"):
        analysis = analyse(dataset, model, asked, context, round_, beside=lambda: meter(dataset, context, round_))

    reason = stopping.first_reason(analysis.history, run_.seconds(), context.config.stop)
    # A round that has asked people is finished, whatever the clock says by now: what they answered counts.
    if reason and round_.read("query.parquet") is None:
        return commit(round_, policy, stop_reason=reason)

    with round_.stage("acquire"):
        synthetic = acquire(analysis, policy, context, round_)

    with round_.stage("score"):
        shortlist = score(analysis, synthetic, policy, context, round_)

    with round_.stage("select"):
        query = select(shortlist, analysis, policy, context, round_)

    if query.is_empty():
        return commit(round_, policy, stop_reason="nothing left to ask about: the pool is dry")

    with round_.stage("review"):
        decisions = review(query, synthetic, context, round_)
    if decisions is None:
        return None
    answers = Answers(query, synthetic, decisions)

    with round_.stage("grow"):
        grown = grow(answers, context, round_)

    with round_.stage("adapt"):
        next_policy, changes = adapt(answers, analysis, policy, context, round_)

    return commit(round_, policy, next_policy, changes, asked=len(query), confirmed=len(grown))


def meter(dataset: Dataset, context: RunContext, round_: RoundDir) -> dict:
    """The entry of metrics.json on what the answers drawn by chance tell; none where there are none."""
    return of_random_answers(
        dataset,
        context,
        round_,
        out_of_fold(round_),
        fit=lambda rows: trained_on(rows, dataset, context, round_),
        load=lambda before: load(before, context.config.train),
    )


def commit(
    round_: RoundDir,
    policy: Policy,
    next_policy: Policy | None = None,
    changes: list[dict] | None = None,
    *,
    asked: int = 0,
    confirmed: int = 0,
    stop_reason: str | None = None,
) -> dict:
    """Write the round's manifest, which makes it done."""
    manifest = {
        "round": round_.t,
        "weights": policy.weights,
        "policy": asdict(next_policy or policy),
        "adaptation": changes or [],
        "asked": asked,
        "confirmed": confirmed,
        "stop_reason": stop_reason,
    }
    round_.commit(manifest)
    return manifest


def at_random(config: Config, run_: RunDir) -> Config:
    """The same run with the labels it bought spent on randomly chosen real samples."""
    spent = {"labels": summarise(run_)["num_asked"], "rounds": config.stop.rounds}
    tree = strategy("random").over(config).told()
    return Config.parse(tree | {"compare": {"random": False}, "stop": spent})
