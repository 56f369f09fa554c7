"""Every stopping rule: silent until it holds, then a reason with its figures."""

import pytest

from adde_ray.config import Stop
from adde_ray.methods.policy.stopping import STOPPING, first_reason


def history(f1=(0.5, 0.6), m_div=(0.3, 0.4), batch=10) -> list[dict]:
    return [
        {"num_asked": batch * t, "val": {"macro_f1": f}, "diversity": {"m_div": d}}
        for t, (f, d) in enumerate(zip(f1, m_div, strict=True))
    ]


CASES = {
    "target": (history(), 0, Stop(target=0.7), Stop(target=0.6)),
    "labels": (history(), 0, Stop(labels=11), Stop(labels=10)),
    "rounds": (history(), 0, Stop(rounds=2), Stop(rounds=1)),
    "time": (history(), 5.0, Stop(seconds=6), Stop(seconds=5)),
    "plateau": (history((0.5, 0.6, 0.6), (0.3, 0.3, 0.3)), 0, Stop(plateau=2), Stop(plateau=1)),
}


def test_every_rule_has_a_case():
    assert set(CASES) == set(STOPPING)


@pytest.mark.parametrize("name", STOPPING)
def test_rule(name):
    seen, seconds, goes_on, stops = CASES[name]
    assert STOPPING[name](seen, seconds, goes_on) is None
    reason = STOPPING[name](seen, seconds, stops)
    assert isinstance(reason, str) and any(ch.isdigit() for ch in reason)


@pytest.mark.parametrize("name", STOPPING)
def test_silent_by_default_in_the_first_round(name):
    assert STOPPING[name](history((0.5,), (0.3,)), 1e6 if name != "time" else 0, Stop()) is None


def test_plateau_needs_both_to_stand_still():
    assert STOPPING["plateau"](history((0.5, 0.5), (0.3, 0.4)), 0, Stop(plateau=1)) is None
    assert STOPPING["plateau"](history((0.5, 0.6), (0.3, 0.3)), 0, Stop(plateau=1)) is None
    assert STOPPING["plateau"](history((0.5, 0.4), (0.3, 0.3)), 0, Stop(plateau=1)) is not None


def test_first_reason_is_the_first_rule_that_holds():
    assert "target" in first_reason(history(), 0, Stop(target=0.6, labels=10))
    assert first_reason(history(), 0, Stop(target=0.9, labels=100)) is None
