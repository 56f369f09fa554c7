"""Every adaptation rule: silent on noise, acts when its condition holds, within bounds, with a reason."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from adde_ray.config import Adapt, Config
from adde_ray.errors import UserError
from adde_ray.methods.policy.adaptation import RULES, Evidence, Policy, adapt, payoff

PRIOR = Policy.initial(Config.parse({"data": {"source": "digits"}}))


def evidence(f1=(0.5, 0.5), m_div=(0.3, 0.3), terms=None, paid=None) -> Evidence:
    history = [{"val": {"macro_f1": f}, "diversity": {"m_div": d}} for f, d in zip(f1, m_div, strict=True)]
    terms = np.full((4, 3), 0.5) if terms is None else np.array(terms, dtype=float)
    return Evidence(history, terms, np.zeros(len(terms)) if paid is None else np.array(paid, dtype=float), PRIOR, 0.2)


ACTS = {
    "broaden": evidence(f1=(0.5, 0.6), m_div=(0.3, 0.3)),
    "tighten": evidence(f1=(0.6, 0.5)),
    "trust": replace(evidence(), num_synthesised=32, num_asked=3),
    "reweigh": evidence(terms=[[0.9, 0.1, 1], [0.9, 0.2, 1], [0.1, 0.9, 1], [0.1, 0.8, 1]], paid=[1, 1, 0, 0]),
}
CONFIG = Adapt(window=1)


def test_every_rule_has_a_case():
    assert set(ACTS) == set(RULES)


@pytest.mark.parametrize("name", RULES)
class TestEveryRule:
    def test_silent_when_nothing_happens(self, name):
        assert RULES[name](PRIOR, evidence(), CONFIG) == (PRIOR, None)
        assert RULES[name](PRIOR, evidence((0.5,), (0.3,)), Adapt(window=3)) == (PRIOR, None)

    def test_acts_and_says_why(self, name):
        policy, changes = adapt(PRIOR, ACTS[name], CONFIG.model_copy(update={"rules": (name,)}))
        assert policy != PRIOR and changes
        for change in changes:
            assert change["rule"] == name and change["from"] != change["to"] and change["reason"]
            assert asdict(policy)[change["what"]] == change["to"]

    def test_stays_in_bounds_however_often_it_acts(self, name):
        policy = PRIOR
        for _ in range(50):
            policy, _ = RULES[name](policy, ACTS[name], CONFIG)
        assert 0 <= policy.synthetic_share <= 0.2 and 0 <= policy.min_confidence <= 0.95
        assert PRIOR.temperature / 2 <= policy.temperature <= 2 * PRIOR.temperature
        for term, weight in policy.weights.items():
            assert weight > 0 and 1 / 3 <= weight / PRIOR.weights[term] <= 3
        assert sum(policy.weights.values()) == pytest.approx(sum(PRIOR.weights.values()), abs=1e-3)


def test_reweigh_moves_toward_what_paid():
    policy, _ = RULES["reweigh"](PRIOR, ACTS["reweigh"], CONFIG)
    assert policy.alpha / PRIOR.alpha > policy.beta / PRIOR.beta


def test_broaden_and_tighten_point_opposite_ways():
    wide, _ = RULES["broaden"](PRIOR, ACTS["broaden"], CONFIG)
    tight, _ = RULES["tighten"](PRIOR, ACTS["tighten"], CONFIG)
    assert wide.temperature > PRIOR.temperature and wide.synthetic_share > tight.synthetic_share
    assert tight.min_confidence > PRIOR.min_confidence


def test_payoff_is_need_times_surprise():
    paid = payoff(np.array([0.1, 0.9, 0.1, 0.1]), np.array([0, 0, 8, 0]), np.array([True, True, True, False]))
    assert paid[0] > paid[1] and paid[0] > paid[2] and paid[3] == 0
    assert ((paid >= 0) & (paid <= 1)).all()


def test_no_rules_no_change():
    assert adapt(PRIOR, ACTS["tighten"], Adapt(rules=())) == (PRIOR, [])


def test_unknown_rule():
    with pytest.raises(UserError, match="broaden"):
        adapt(PRIOR, evidence(), Adapt(rules=("loosen",)))


def test_synthesis_that_pays_nothing_rests_twice_as_long_each_time_and_begins_anew_once_it_pays():
    def seen(rounds, asked=0, confirmed=0):
        made = {"num_synthesised": 32, "num_asked": asked, "num_confirmed": confirmed}
        return replace(evidence((0.5,) * rounds, (0.3,) * rounds), **made)

    policy, made = PRIOR, []
    for t in range(40):
        if t >= policy.synthesis_from:
            made.append(t)
            policy, reason = RULES["trust"](policy, seen(t + 1), CONFIG)
            assert "none of 32" in reason
    assert made == [0, 2, 5, 10, 19, 28, 37] and policy.synthetic_share == PRIOR.synthetic_share
    policy, reason = RULES["trust"](policy, seen(46, 3, 2), CONFIG)
    assert policy.fruitless == 0 and "2 of 3" in reason
    assert RULES["trust"](policy, seen(47), CONFIG)[0].synthesis_from == 48


def test_trust_is_earned():
    def after(policy, asked, confirmed):
        seen = replace(evidence(), num_synthesised=32, num_asked=asked, num_confirmed=confirmed)
        return RULES["trust"](policy, seen, CONFIG)[0]

    half = after(PRIOR, 4, 1)
    assert half.synthetic_share == PRIOR.synthetic_share / 2 and half.synthesis_from == 0
    assert after(PRIOR, 4, 2).synthetic_share == PRIOR.synthetic_share * 2
    policy = PRIOR
    for _ in range(5):
        policy = after(policy, 9, 9)
    assert policy.synthetic_share == 0.2  # never more than evidence.max_share
    fixed = Policy.initial(Config.parse({"data": {"source": "digits"}, "adapt": {"rules": []}}))
    assert fixed.synthetic_share == 4 * PRIOR.synthetic_share == 0.15
