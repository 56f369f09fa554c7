"""Strategies that share a query: which of them names the next sample is drawn by what their samples were so far.

Which strategy is best differs from data to data, and nobody knows beforehand. Each arm ranks the candidates. For every
place of the batch a rate of each class is drawn from what is believed of each arm (Thompson sampling), and the arm
whose draw is worth most names its best candidate that is left. A label is worth the more the fewer its class has: the
reward for class balance of TAILOR (Zhang, Shao, Verma & Nowak 2023). The score begins with the trust of a batch in
which all was rare, so that early labels are its own and others earn their places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from adde_ray.config.registry import Registry
from adde_ray.methods.query import selectors, terms
from adde_ray.methods.query.selectors import Candidates, Selector
from adde_ray.methods.query.selectors.clusters import typiclust
from adde_ray.methods.query.selectors.herding import prob_cover, uncertainty_herding
from adde_ray.methods.query.selectors.spread import badge, k_center

ROWS = 1_000
"""Candidates drawn from the pool by chance, beside the best by score: what the other arms choose from."""

MEMORY = 0.8
"""What a round still counts for in the next one: an arm that was good at the start need not stay so."""


def margin(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """The smallest margins of f, whatever the score (Scheffer et al. 2001)."""
    u = terms.uncertainty(candidates.proba, "margin", multi=candidates.multi)
    return np.argsort(-np.round(u, 6), kind="stable")[:size]


def herding(candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
    """Uncertainty Herding (Bae et al. 2025) by the margins of f, whatever the score."""
    u = terms.uncertainty(candidates.proba, "margin", multi=candidates.multi).astype(np.float64)
    return uncertainty_herding(replace(candidates, score=u), size, redundancy=redundancy, rng=rng)


_ARMS: dict[str, Selector] = {
    "uncertainty_herding": herding, "typiclust": typiclust, "badge": badge, "margin": margin, "k_center": k_center,
    "prob_cover": prob_cover,
}  # fmt: skip
DESCRIPTIONS = "descriptions"
"""The arm that looks for classes without a labelled sample by what they are described by; silent where there are none,
or f has turned descriptions down."""

ARMS: Registry[Selector] = Registry("strategy beside the score", _ARMS, where="select.mix", also=(DESCRIPTIONS,))

DEFAULT = ("uncertainty_herding", "typiclust", DESCRIPTIONS)
"""Beside the default selector, where `select.mix` is left out."""


def arms(given: tuple[str, ...] | None, *, selector: str, num_labelled: int, sought: bool) -> tuple[str, ...]:
    """`select.mix`, or what it is where it is left out. Without a labelled sample nothing shares the query: see
    `selectors.scores_nothing`. sought: whether there is anything for descriptions to find."""
    if selectors.scores_nothing(selector, num_labelled):
        return ()
    if given is None:
        given = DEFAULT if selector == "batch_greedy" else ()
    return tuple(arm for arm in given if arm != DESCRIPTIONS or sought)


def by_description(proba: np.ndarray, class_rows: np.ndarray, size: int) -> np.ndarray:
    """At most `size` rows of candidates: of each class the likeliest, the surest class first, then of each the second.

    proba: (n, C). class_rows: the classes looked for. A candidate stands for the likeliest of them alone.
    """
    own = np.round(proba[:, class_rows].astype(np.float64), 6)
    of, sure = own.argmax(axis=1), own.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    turn, so_far = np.empty(len(order), dtype=np.int64), np.zeros(len(class_rows), dtype=np.int64)
    for row in order:
        turn[row] = so_far[of[row]]
        so_far[of[row]] += 1
    return np.lexsort((-sure, turn))[:size]


@dataclass(frozen=True)
class Asked:
    """The n samples of one round's query. confirmed: (n, C) share of each class in what people said, 0 in all when
    they confirmed nothing."""

    chosen_by: list[str]
    confirmed: np.ndarray


def beliefs(
    past: Sequence[Asked], arms: Sequence[str], class_counts: np.ndarray, *, head_start: int
) -> dict[str, np.ndarray]:
    """Of each arm the (C + 1,) parameters of a Dirichlet distribution over what its samples turn out to be: a class, or
    nothing that counts. One sample's worth of prior, spread evenly; what is past fades by `MEMORY` a round.

    class_counts: (C,) of D_t. head_start: samples of the rarest class that the first arm, and descriptions, are
    thought to have found before the first round.
    """
    prior = np.full(len(class_counts) + 1, 1 / (len(class_counts) + 1))
    believed = {arm: prior.copy() for arm in arms}
    for asked in past:
        for arm, known in believed.items():
            mine = asked.confirmed[[by == arm for by in asked.chosen_by]]
            known *= MEMORY
            known += (1 - MEMORY) * prior
            known[:-1] += mine.sum(axis=0)
            known[-1] += len(mine) - mine.sum()
    for arm in {arms[0], DESCRIPTIONS} & believed.keys():
        believed[arm][np.argmin(class_counts)] += head_start * MEMORY ** len(past)
    return believed


def worth(class_counts: np.ndarray) -> np.ndarray:
    """(C + 1,) what one more label of each class is worth, and nothing for no label. class_counts: (C,) of D_t."""
    return np.append(1 / (1 + class_counts), 0.0)


def allot(
    ranked: Mapping[str, Sequence[int]],
    believed: Mapping[str, np.ndarray],
    class_counts: np.ndarray,
    size: int,
    rng: np.random.Generator,
) -> tuple[list[int], list[str]]:
    """Rows of the batch, best first, and the arm that named each. ranked: of each arm, its rows, best first."""
    left = {arm: list(reversed(rows)) for arm, rows in ranked.items()}
    value, chosen = worth(class_counts), dict[int, str]()
    while len(chosen) < size:
        for rows in left.values():
            while rows and rows[-1] in chosen:
                rows.pop()
        able = [arm for arm, rows in left.items() if rows]
        if not able:
            break
        drawn = [rng.dirichlet(np.maximum(believed[arm], 1e-6)) @ value for arm in able]
        arm = able[int(np.argmax(drawn))]
        chosen[left[arm].pop()] = arm
    return list(chosen), list(chosen.values())
