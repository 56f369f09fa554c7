"""The forest finds the setting that mattered, and says when it found nothing."""

from __future__ import annotations

import numpy as np
import pytest

from adde_ray.methods.stats.sensitivity import MIN_CONFIGS, sensitivity


def sweep(rng, n: int) -> dict:
    return {
        "select.alpha": rng.random(n).tolist(),
        "select.beta": rng.random(n).tolist(),
        "select.selector": rng.choice(["top_k", "badge"], n).tolist(),
        "run.cache": ["no"] * n,
    }


def test_what_matters_is_found():
    rng = np.random.default_rng(0)
    settings = sweep(rng, 60)
    alpha, badge = np.array(settings["select.alpha"]), np.array(settings["select.selector"]) == "badge"
    found = sensitivity(settings, np.sin(3 * alpha) + 0.4 * badge + rng.normal(0, 0.02, 60), seed=0)
    assert found.explained > 0.7
    assert list(found.importance) == [
        "select.alpha",
        "select.beta",
        "select.selector",
    ]  # what never varied is not there
    assert found.importance["select.alpha"] > found.importance["select.selector"] > 0.1
    assert abs(found.importance["select.beta"]) < 0.05
    x, y = found.dependence["select.alpha"]
    assert x[int(np.argmax(y))] == pytest.approx(np.pi / 6, abs=0.15) and len(x) == 20
    assert found.dependence["select.selector"][0] == ["badge", "top_k"]
    low, high = found.dependence["select.selector"][1][::-1]
    assert high - low == pytest.approx(0.4, abs=0.12)


def test_noise_explains_nothing():
    rng = np.random.default_rng(1)
    assert sensitivity(sweep(rng, 40), rng.normal(size=40), seed=0).explained < 0.1


def test_seeds_of_one_config_are_held_out_together():
    # The objective is each config's own luck: another seed of the same config would give it away.
    rng = np.random.default_rng(2)
    alpha = np.repeat(rng.permutation(15) / 15, 4)
    luck = np.repeat(rng.normal(size=15), 4)
    assert sensitivity({"select.alpha": alpha.tolist()}, luck, seed=0).explained < 0.3


def test_too_few_configs_or_nothing_to_explain():
    rng = np.random.default_rng(3)
    assert sensitivity({"a": list(range(MIN_CONFIGS - 1))}, rng.random(MIN_CONFIGS - 1), seed=0) is None
    assert sensitivity({"a": [1] * 30}, rng.random(30), seed=0) is None
    assert sensitivity({"a": list(range(30))}, [0.5] * 30, seed=0) is None


def test_the_same_again_and_switches():
    rng = np.random.default_rng(4)
    settings = {"on": (rng.random(30) < 0.5).tolist(), "x": rng.random(30).tolist()}
    objective = [0.5 + 0.1 * on for on in settings["on"]]
    first = sensitivity(settings, objective, seed=1)
    assert first == sensitivity(settings, objective, seed=1)
    assert first.dependence["on"][0] == [False, True]
