"""How a run reacts: a policy of everything that adapts, and rules that change it, each with its reason.

history of metrics.json records and what the last query paid → the next round's policy and the changes.

| rule    | when                                        | what it does                                         |
|---------|---------------------------------------------|------------------------------------------------------|
| broaden | diversity plateaus while quality rises      | wider draws, more synthetic samples in the query     |
| tighten | quality falls                               | stricter filter, fewer synthetic samples             |
| trust   | people answered about synthetic samples     | more of them; or fewer, and no synthesis for a while |
| reweigh | some terms point at samples that pay better | alpha, beta, gamma move toward them, near the prior  |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from adde_ray.config import Adapt, Config
from adde_ray.config.registry import Registry
from adde_ray.methods.policy.stopping import m_div, m_qual

TERMS = ("alpha", "beta", "gamma")

LONGEST_REST = 8
"""Rounds without synthesis after which it is tried again in any case."""


@dataclass(frozen=True)
class Policy:
    """Everything that adapts from round to round."""

    alpha: float
    beta: float
    gamma: float
    temperature: float  # spread of the generator's draws
    min_confidence: float  # what f must think of a synthetic sample's class
    synthetic_share: float  # of the query, at most
    synthesis_from: int = 0  # the round from which there is synthesis
    fruitless: int = 0  # rounds of synthesis in a row of which nothing was confirmed

    @classmethod
    def initial(cls, config: Config) -> Policy:
        """The policy of round 0, as configured."""
        return cls(
            alpha=config.select.alpha,
            beta=config.select.beta,
            gamma=config.select.gamma,
            temperature=config.generate.temperature,
            min_confidence=config.quality_control.min_confidence,
            # Trust is earned; where nothing adapts, it is given.
            synthetic_share=config.generate.max_share / (8 if "trust" in config.adapt.rules else 2),
        )

    @property
    def weights(self) -> dict[str, float]:
        """alpha, beta, gamma by name."""
        return {term: getattr(self, term) for term in TERMS}


@dataclass(frozen=True)
class Evidence:
    """What a rule may look at. `terms` and `payoff` are of the n samples of the last query."""

    history: list[dict]  # metrics.json of every round so far
    terms: np.ndarray  # (n, 3) U, Div, Q at selection
    payoff: np.ndarray  # (n,) what each answered sample paid, see `payoff`
    prior: Policy  # as configured
    max_share: float
    num_synthesised: int = 0  # candidates made this round, those that failed quality control included
    num_asked: int = 0  # of them, in the query
    num_confirmed: int = 0  # of these, what people confirmed


def payoff(p_label: np.ndarray, labelled: np.ndarray, confirmed: np.ndarray) -> np.ndarray:
    """What each answered sample was worth, (n,) in [0, 1]: surprise times need, 0 when nothing was confirmed.

    p_label: f's probability of the label people gave. labelled: samples of that class before. Credit comes
    at once and needs no val: it is high for what f did not know about a class it has little of.
    """
    return np.where(confirmed, (1.0 - p_label) * (1.0 / (1.0 + labelled)) ** 0.5, 0.0)


def broaden(policy: Policy, seen: Evidence, config: Adapt) -> tuple[Policy, str | None]:
    """Diversity plateaus while quality rises: reach further out."""
    trend = _trend(seen.history, config.window)
    if trend is None or trend["m_div"] > config.tolerance or trend["m_qual"] <= config.tolerance:
        return policy, None
    wider = replace(
        policy,
        temperature=round(min(policy.temperature * (1 + config.rate), 2 * seen.prior.temperature), 6),
        synthetic_share=round(min(policy.synthetic_share * (1 + config.rate), seen.max_share), 6),
    )
    return wider, f"M_div {trend['m_div']:+.3f} while macro-F1 {trend['m_qual']:+.3f} over {config.window} rounds"


def tighten(policy: Policy, seen: Evidence, config: Adapt) -> tuple[Policy, str | None]:
    """Quality falls: trust synthetic samples less and favour real data."""
    trend = _trend(seen.history, config.window)
    if trend is None or trend["m_qual"] >= -config.tolerance:
        return policy, None
    stricter = replace(
        policy,
        min_confidence=round(policy.min_confidence + config.rate * (0.9 - policy.min_confidence), 6)
        if policy.min_confidence < 0.9
        else policy.min_confidence,
        synthetic_share=round(policy.synthetic_share * (1 - config.rate), 6),
    )
    return stricter, f"macro-F1 {trend['m_qual']:+.3f} over {config.window} rounds"


def trust(policy: Policy, seen: Evidence, config: Adapt) -> tuple[Policy, str | None]:
    """People's answers to synthetic samples say how many they are asked about next: twice as many, or half.

    Synthesis of which they confirmed nothing pauses too, since fitting a generator is most of what a round costs. The
    pauses double (1, 2, 4, at most 8 rounds), so that a generator which pays late, when the pool has run dry of a gap
    or f knows enough to aim it, is still found.
    """
    if not seen.num_synthesised:
        return policy, None
    told = f"{seen.num_confirmed} of {seen.num_asked} synthetic samples were confirmed"
    if not seen.num_asked:
        told = f"none of {seen.num_synthesised} synthetic candidates was asked about"
    factor = 1.0 if not seen.num_asked else 2.0 if 2 * seen.num_confirmed >= seen.num_asked else 0.5
    share = round(min(policy.synthetic_share * factor, seen.max_share), 6)
    if seen.num_confirmed:
        return replace(policy, synthetic_share=share, fruitless=0), told
    rounds = min(2**policy.fruitless, LONGEST_REST)
    until = len(seen.history) + rounds
    return replace(policy, synthetic_share=share, fruitless=policy.fruitless + 1, synthesis_from=until), told


def reweigh(policy: Policy, seen: Evidence, config: Adapt) -> tuple[Policy, str | None]:
    """Move alpha, beta, gamma toward the terms that were high where labels paid.

    A term's lift is its payoff-weighted mean over its plain mean in the query: above 1, the samples it
    favours paid more. Weights are multiplied by lift^rate (multiplicative weights; Arora et al. 2012), keep
    their sum, and stay within a factor 2 of the configured prior, so that one lucky round starves no term.
    """
    total_payoff, weights = seen.payoff.sum(), np.array([policy.weights[t] for t in TERMS])
    plain = seen.terms.mean(axis=0) if len(seen.terms) else np.zeros(3)
    if total_payoff <= 0 or weights.sum() <= 0:
        return policy, None
    paid = (seen.payoff @ seen.terms) / total_payoff
    lift = np.divide(paid, plain, where=plain > 1e-6, out=np.ones(3))
    prior = np.array([seen.prior.weights[t] for t in TERMS])
    moved = np.clip(weights * lift**config.rate, prior / 2, prior * 2)
    moved = np.round(moved * prior.sum() / moved.sum(), 4)
    if np.abs(moved - weights).max() <= config.tolerance * weights.sum():
        return policy, None
    told = ", ".join(f"{name} {value:.2f}" for name, value in zip(("U", "Div", "Q"), lift, strict=True))
    return replace(policy, **dict(zip(TERMS, map(float, moved), strict=True))), f"payoff lift of the last query: {told}"


def adapt(policy: Policy, seen: Evidence, config: Adapt) -> tuple[Policy, list[dict]]:
    """The next policy, and each change as {"rule", "what", "from", "to", "reason"}."""
    changes = []
    for name in config.rules:
        adapted, reason = RULES[name](policy, seen, config)
        before, after = asdict(policy), asdict(adapted)
        changes += [
            {"rule": name, "what": what, "from": before[what], "to": after[what], "reason": reason}
            for what in before
            if before[what] != after[what]
        ]
        policy = adapted
    return policy, changes


def _trend(history: list[dict], window: int) -> dict[str, float] | None:
    """Change of M_div and M_qual over the last `window` rounds; None before there are so many, and without val."""
    if len(history) <= window:
        return None
    then, now = history[-1 - window], history[-1]
    before, after = m_qual(then), m_qual(now)
    return None if before is None or after is None else {"m_div": m_div(now) - m_div(then), "m_qual": after - before}


Rule = Callable[[Policy, Evidence, Adapt], tuple[Policy, str | None]]
"""The policy, what a rule may look at, settings → the next policy, and the reason where it is another one."""

_RULES: dict[str, Rule] = {"broaden": broaden, "tighten": tighten, "trust": trust, "reweigh": reweigh}
RULES: Registry[Rule] = Registry("adaptation rule", _RULES, where="adapt.rules")
