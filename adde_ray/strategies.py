"""Ways to spend labels, by name: each is a config laid over a run's own.

A strategy changes how samples are found and chosen, and nothing that a fair comparison holds equal: data, seeds,
encoder, f and budget stay the run's, and with two exceptions who answers (`mads_naive`: nobody) and the batch
(`static_aug`: all at once).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adde_ray.config import MOST_DRAWN, Config
from adde_ray.errors import UserError, choose

Setting = object | Callable[[Config], object]
"""A value, or what gives it for the run's own config."""

Settings = Mapping[str, Mapping[str, Setting]]
"""Section -> key -> setting."""


@dataclass(frozen=True)
class Strategy:
    """What it does, in a line, and the config tree it lays over a run's. baseline: it is none of ADDE's own."""

    about: str
    settings: Settings = field(default_factory=dict)
    baseline: bool = True

    def over(self, config: Config) -> Config:
        """`config` with this strategy. Whole values are replaced, tables included. Raises UserError."""
        tree = config.told()
        for section, values in self.settings.items():
            laid = {key: value(config) if callable(value) else value for key, value in values.items()}
            tree[section] = tree.get(section, {}) | laid
        return Config.parse(tree, where="strategy")


def strategy(name: str) -> Strategy:
    """The strategy of that name. Raises UserError with the names there are."""
    return choose(STRATEGIES, name, where="strategy")


# --- what a setting may depend on -----------------------------------------------------------------------


def _budget(config: Config) -> int:
    if config.stop.labels is None:
        raise UserError("a strategy needs the budget", where="stop.labels", remedy="Set stop.labels")
    return max(config.stop.labels, 1)


def _rounds(config: Config) -> int:
    """In which the run itself would spend its budget."""
    return min(-(-_budget(config) // config.select.batch), config.stop.rounds)


def _members(config: Config) -> int:
    return config.train.ensemble if config.train.ensemble > 1 else 8


def _generator(config: Config) -> str:
    """The run's own, or the one that fits its data: what makes such a strategy is that it synthesises."""
    return "auto" if config.generate.generator == "none" else config.generate.generator


def _without(*terms: str) -> Callable[[Config], dict[str, float]]:
    """The run's Div without these terms."""
    return lambda config: {term: share for term, share in config.select.diversity.items() if term not in terms}


# --- families ---------------------------------------------------------------------------------------------

NO_SYNTHESIS: Settings = {"generate": {"generator": "none"}}
FIXED: Settings = {"adapt": {"rules": ()}}
PLAIN: dict[str, Setting] = {"sharpen": False, "rarity": 0.0, "mix": ()}
"""U as the literature has it, alone."""


def _baseline(about: str, **select: Setting) -> Strategy:
    """Real samples only, and nothing adapts."""
    return Strategy(about, {**NO_SYNTHESIS, **FIXED, "select": PLAIN | select})


def _by_uncertainty(about: str, name: str, selector: str = "top_k") -> Strategy:
    select = {**PLAIN, "selector": selector, "uncertainty": name, "alpha": 1.0, "beta": 0.0, "gamma": 0.0}
    # An ensemble is trained beside f, which is the same with it and without.
    members = {"ensemble": _members if name == "bald" else 1}
    return Strategy(about, {**NO_SYNTHESIS, **FIXED, "select": select, "train": members})


def _own_way(about: str, settings: Settings) -> Strategy:
    return Strategy(about, settings, baseline=False)


STRATEGIES = {
    "adde": Strategy("the loop as it is configured", baseline=False),
    # Baselines.
    "seed": Strategy("the seed set and no label besides: where all begin", {"stop": {"labels": 0}}),
    "random": _baseline("randomly chosen samples", selector="random"),
    "margin": _by_uncertainty("the smallest margin between f's two best classes (Scheffer et al. 2001)", "margin"),
    "entropy": _by_uncertainty("the largest entropy of f (Shannon 1948)", "entropy"),
    "least_confidence": _by_uncertainty("the least confident samples (Lewis & Gale 1994)", "least_confidence"),
    "bald": _by_uncertainty("what an ensemble beside f disagrees on (BALD: Houlsby et al. 2011)", "bald"),
    "k_center": _baseline("greedy coverage of the latent space (CoreSet: Sener & Savarese 2018)", selector="k_center"),
    "badge": _baseline("unlike gradients (BADGE: Ash et al. 2020)", selector="badge"),
    "typiclust": _baseline("typical samples of clusters without one (Hacohen et al. 2022)", selector="typiclust"),
    "prob_cover": _baseline("coverage by balls of one radius (Yehuda et al. 2022)", selector="prob_cover"),
    "cluster_margin": _by_uncertainty(
        "small margins, one a cluster (Citovsky et al. 2021)", "margin", "cluster_margin"
    ),
    "uncertainty_herding": _by_uncertainty(
        "coverage of uncertain samples, ever more local (Bae et al. 2025)", "margin", "uncertainty_herding"
    ),
    "mads_naive": Strategy(
        "f feeds itself: it labels what it is sure of, real and synthesised at large, and learns from that",
        {
            **FIXED,
            "generate": {"generator": _generator, "target": "dataset"},
            "quality_control": {"min_confidence": 0.0, "models": (), "min_agreement": 0.0, "near_copy": 0.0},
            "select": {"selector": "most_confident", "mix": ()},
            "review": {"annotator": "model"},
            "compare": {"random": False},
        },
    ),
    "static_aug": Strategy(
        "one batch for all labels, spread over what the seed set lacks (after Chameleon: Erfanian et al. 2024)",
        {
            **FIXED,
            "generate": {
                "generator": _generator,
                "per_round": lambda config: min(config.generate.per_round * _rounds(config), MOST_DRAWN),
                "search": False,
            },
            "select": {
                "alpha": 0.0,
                "beta": 1.0,
                "diversity": {"balance": 0.5, "gaps": 0.3, "novelty": 0.2},
                "batch": _budget,
                "mix": (),
            },
        },
    ),
    # ADDE with a part that is off by default.
    "gaps": _own_way("ADDE that targets gaps", {"select": {"diversity": {"novelty": 0.5, "gaps": 0.5}}}),
    "synthesis": _own_way("ADDE that synthesises for its gaps", {"generate": {"generator": _generator}}),
    "reweigh": _own_way("ADDE whose weights adapt", {"adapt": {"rules": ("broaden", "tighten", "trust", "reweigh")}}),
    # ADDE without one of its parts.
    "no_gaps": _own_way(
        "ADDE that targets no gap: synthesis at large",
        {"select": {"diversity": _without("gaps")}, "generate": {"target": "dataset"}},
    ),
    "no_selection": _own_way(
        "ADDE that draws its query from the candidates", {"select": {"selector": "random", "mix": ()}}
    ),
    "no_mix": _own_way("ADDE whose score alone chooses", {"select": {"mix": ()}}),
    "no_synthesis": _own_way("ADDE with real samples only", NO_SYNTHESIS),
    "no_adaptation": _own_way("ADDE with the weights it started with", FIXED),
    "no_balance": _own_way(
        "ADDE for which no class is rarer", {"select": {"rarity": 0.0, "diversity": _without("balance")}}
    ),
}

OWN = frozenset(name for name, way in STRATEGIES.items() if not way.baseline)
"""Strategies that are no baselines."""
