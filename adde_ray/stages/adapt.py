"""What the answers teach: query, decisions and history in, the next round's policy and its reasons out."""

from __future__ import annotations

import numpy as np

from adde_ray.artifacts.queries import last_labels, read_asked
from adde_ray.artifacts.run_dir import RoundDir
from adde_ray.dataset import query_features
from adde_ray.methods.policy import adaptation
from adde_ray.methods.policy.adaptation import Evidence, Policy
from adde_ray.methods.query import multilabel
from adde_ray.stages.round_state import Analysis, Answers
from adde_ray.stages.run_context import RunContext


def adapt(
    answers: Answers, analysis: Analysis, policy: Policy, context: RunContext, round_: RoundDir
) -> tuple[Policy, list[dict]]:
    """The next policy and each change as {"rule", "what", "from", "to", "reason"}.

    analysis: as the query was chosen by.
    """
    config, data = context.config, context.data
    query, synthetic, decisions = answers.query, answers.synthetic, answers.decisions
    answered = query.join(last_labels(decisions), on="sample_id").sort("sample_id")
    said = data.meta.numbers(answered["label"])
    features = query_features(answered["sample_id"].to_list(), synthetic, read_asked(round_), data)
    proba = analysis.model.proba(features)
    counts = analysis.dataset.class_counts
    if data.meta.multi:
        paid = multilabel.payoff(proba, said, counts)
    else:
        label = np.maximum(said, 0)
        paid = adaptation.payoff(proba[np.arange(len(label)), label], counts[label], said >= 0)
    asked = answered.join(synthetic, on="sample_id", how="semi")
    evidence = Evidence(
        history=analysis.history,
        terms=answered.select("U", "Div", "Q").to_numpy().astype(np.float64),
        payoff=paid,
        prior=Policy.initial(config),
        max_share=config.generate.max_share,
        num_synthesised=len(synthetic),
        num_asked=len(asked),
        num_confirmed=asked["label"].count(),
    )
    return adaptation.adapt(policy, evidence, config.adapt)
