"""Ways to spend labels, by name: each is a config laid over a run's own.

A strategy changes how samples are found and chosen, and nothing that a fair comparison holds equal: data, seeds,
encoder, learner, batch and budget stay the run's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from adde_ray.config import Config
from adde_ray.errors import choose


@dataclass(frozen=True)
class Strategy:
    """What it does, in a line, and the config tree it lays over a run's."""

    about: str
    settings: dict[str, dict] = field(default_factory=dict)

    def over(self, config: Config) -> Config:
        """`config` with this strategy. Whole values are replaced, tables included."""
        tree = config.model_dump(mode="json")
        for section, values in self.settings.items():
            tree[section] = tree[section] | values
        return Config.parse(tree, where="strategy")


def strategy(name: str) -> Strategy:
    """The strategy of that name. Raises UserError with the names there are."""
    return choose(STRATEGIES, name, where="strategy")


ONLY_REAL = {"generate": {"generator": "none"}, "adapt": {"rules": ()}}
"""Neither synthesis nor adaptation: what a baseline has."""


def _baseline(about: str, **select: object) -> Strategy:
    return Strategy(about, {**ONLY_REAL, "select": select})


def _by_uncertainty(about: str, name: str) -> Strategy:
    return _baseline(about, selector="top_k", uncertainty=name, alpha=1.0, beta=0.0, gamma=0.0)


STRATEGIES = {
    "adde": Strategy("the loop as it is configured"),
    "random": _baseline("randomly chosen samples", selector="random"),
    "margin": _by_uncertainty("the smallest margin between f's two best classes (Scheffer et al. 2001)", "margin"),
    "entropy": _by_uncertainty("the largest entropy of f (Shannon 1948)", "entropy"),
    "least_confidence": _by_uncertainty("the least confident samples (Lewis & Gale 1994)", "least_confidence"),
    "k_center": _baseline("greedy coverage of the latent space (CoreSet: Sener & Savarese 2018)", selector="k_center"),
    "badge": _baseline("unlike gradients (BADGE: Ash et al. 2020)", selector="badge"),
    "no_gaps": Strategy(
        "ADDE that targets no gap",
        {"select": {"diversity": {"balance": 0.5, "novelty": 0.2}}, "generate": {"generator": "none"}},
    ),
    "no_synthesis": Strategy("ADDE with real samples only", {"generate": {"generator": "none"}}),
    "no_adaptation": Strategy("ADDE with the weights it started with", {"adapt": {"rules": ()}}),
}
