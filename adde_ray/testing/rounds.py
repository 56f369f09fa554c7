"""Checks of what steers a run from round to round: annotators, stopping rules, adaptation rules."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.annotators import Annotator
from adde_ray.artifacts.queries import keep_asked
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.artifacts.schema import ACTIONS, DECISIONS, QUERY, SYNTHETIC, frame, with_payload
from adde_ray.config import Adapt, Config, Stop
from adde_ray.dataset import Data, seed_part
from adde_ray.loop import prepare
from adde_ray.methods.policy.adaptation import Evidence, Policy, Rule
from adde_ray.methods.policy.stopping import StoppingRule
from adde_ray.testing.expect import expect, labels

ASKED = 6


def check_annotator(make: Callable[[Config, Data, RunDir], Annotator]) -> None:
    """QUERY, SYNTHETIC, a round → None, or DECISIONS about every row, each once; the same when it is asked again.

    It is built for a small run on vectors of the classes a and b, and asked about six of them.
    """
    with tempfile.TemporaryDirectory(prefix="adde-check-") as folder:
        config = _small(Path(folder))
        with RunDir.start(Path(folder) / "run", config) as run:
            data = prepare(config, run)
            run.once("dataset/round-000.parquet", lambda: seed_part(data))
            round_ = run.round(0)
            asked = data.pool.shards[0].take(data.pool.sample.ids[:ASKED])
            keep_asked(asked, round_)
            query, synthetic = _query(asked.ids), frame([], with_payload(SYNTHETIC, "vector"))
            decisions = make(config, data, run).answer(query, synthetic, round_)
            if decisions is None:
                return
            _expect_decisions(decisions, query)
            again = make(config, data, run).answer(query, synthetic, round_)
            expect(again is not None and decisions.equals(again), "the same query gets other decisions after a restart")


def check_stopping(rule: StoppingRule) -> None:
    """metrics.json of each round, seconds, `[stop]` → a reason in words, or None; the first round included."""
    for num in (1, 2, 10):
        for seconds in (0.0, 1e6):
            for stop in (Stop(), Stop(labels=10, rounds=3, seconds=5.0, target=0.5, plateau=2)):
                history = _history(num)
                reason = rule(history, seconds, stop)
                what = f"after {num} rounds"
                kind = type(reason).__name__
                expect(reason is None or isinstance(reason, str), f"{what} the reason is a {kind}, not a text or None")
                expect(reason is None or reason.strip(), f"{what} the reason is empty; None is to go on")
                expect(history == _history(num), f"{what} the metrics it was given are changed")
                expect(rule(_history(num), seconds, stop) == reason, f"{what} the same metrics give another reason")


def check_adaptation(rule: Rule) -> None:
    """Policy, evidence, `[adapt]` → a policy within bounds, and a reason where it is another one."""
    prior = Policy.initial(Config.parse({"data": {"source": "digits"}}))
    for rounds in (1, 10):
        for n in (0, 8):
            seen = _evidence(prior, rounds, n)
            policy = replace(prior)
            for _ in range(20):  # whatever it does, it may do again and again
                answer = rule(policy, seen, Adapt())
                expect(isinstance(answer, tuple) and len(answer) == 2, "gives no pair of policy and reason")
                after, reason = answer
                expect(isinstance(after, Policy), f"gives a {type(after).__name__}, no Policy")
                if after != policy:
                    expect(isinstance(reason, str) and reason.strip(), "changes the policy without a reason")
                expect(rule(policy, seen, Adapt()) == answer, "the same evidence gives another policy")
                weights = np.array(list(after.weights.values()))
                expect(np.isfinite(weights).all() and (weights >= 0).all(), "a weight is below 0, or no number")
                expect(weights.sum() > 0, "every weight is 0")
                expect(0 <= after.synthetic_share <= seen.max_share, "synthetic_share leaves [0, generate.max_share]")
                expect(0 <= after.min_confidence <= 1, "min_confidence leaves [0, 1]")
                expect(0 < after.temperature < 1e3, "the temperature leaves its bounds")
                policy = after


def _small(folder: Path) -> Config:
    rng, known = np.random.default_rng(0), labels(30, 2)
    splits = ["seed"] * 6 + ["val"] * 6 + ["pool"] * 18
    vectors = rng.normal(size=(30, 4)) + 4 * known[:, None]
    table = pl.DataFrame({"vector": vectors.tolist(), "label": [("a", "b")[c] for c in known], "split": splits})
    table.write_parquet(folder / "rows.parquet")
    data = {"source": "table", "path": str(folder / "rows.parquet"), "vector_column": "vector", "split_column": "split"}
    return Config.parse({"data": data, "generate": {"generator": "none"}, "select": {"batch": ASKED}})


def _query(ids: list[str]) -> pl.DataFrame:
    rows = [
        {
            **dict.fromkeys(QUERY.names),
            "sample_id": sample_id, "rank": rank, "origin": "real", "suggested": "a", "confidence": 0.9 - 0.1 * rank,
            "U": 0.5, "Div": 0.5, "Q": 1.0, "score": 0.5,
        }
        for rank, sample_id in enumerate(ids)
    ]  # fmt: skip
    return frame(rows, QUERY)


def _expect_decisions(decisions: pl.DataFrame, query: pl.DataFrame) -> None:
    expect(isinstance(decisions, pl.DataFrame), f"decisions are a {type(decisions).__name__}, no polars table")
    expect(decisions.columns == DECISIONS.names, f"decisions have the columns {', '.join(decisions.columns)}")
    kinds = frame([], DECISIONS).schema
    expect(decisions.schema == kinds, "the columns of decisions are of other types than in `schema.DECISIONS`")
    expect(decisions["decision_id"].is_unique().all(), "two decisions have one decision_id")
    asked = sorted(query["sample_id"])
    expect(
        sorted(decisions["sample_id"].unique()) == asked, "decisions are not about the samples that were asked about"
    )
    expect((decisions["round"] == 0).all(), "a decision is of another round")
    strange = set(decisions["action"]) - set(ACTIONS)
    expect(not strange, f"there is an action that is none of {', '.join(ACTIONS)}: {sorted(map(str, strange))[:1]}")
    labelled = decisions["action"].is_in(["accept", "correct"])
    expect(
        (decisions["label"].is_not_null() == labelled).all(), "accept and correct have a label, reject and flag none"
    )
    expect(decisions["label"].drop_nulls().is_in(["a", "b"]).all(), "a label is none of the classes")


def _history(num: int) -> list[dict]:
    """Of rounds that get better, then worse."""
    curve = [0.3 + 0.05 * min(t, num - t) for t in range(num)]
    return [
        {
            "round": t, "num_asked": 10 * t, "num_labels": 10 * t, "num_samples": 10 + 10 * t, "num_synthetic": 0,
            "val": {"macro_f1": value, "accuracy": value}, "diversity": {"m_div": value},
        }
        for t, value in enumerate(curve)
    ]  # fmt: skip


def _evidence(prior: Policy, rounds: int, n: int) -> Evidence:
    rng = np.random.default_rng(0)
    return Evidence(
        history=_history(rounds),
        terms=rng.random((n, 3)),
        payoff=rng.random(n),
        prior=prior,
        max_share=0.3,
        num_synthesised=n,
        num_asked=n // 2,
        num_confirmed=n // 4,
    )
