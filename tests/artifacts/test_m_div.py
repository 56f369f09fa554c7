"""M_div is one thing in all rounds, whatever version measured them."""

from pathlib import Path

import numpy as np
import pytest

from adde_ray.artifacts.m_div import IN_M_DIV, mean_of, restated
from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.config import Stop
from adde_ray.methods.policy import stopping

FIRST_RELEASE = Path(__file__).parents[1] / "fixtures" / "first-release" / "finished"


def test_the_mean_is_over_the_terms_that_are_there():
    assert mean_of({"class_representation": 0.5, "vendi_share": 1.0, "coverage": 0.0}) == 0.75
    assert mean_of({"class_representation": 0.5, "vendi_share": 1.0, "subgroup_representation": 0.0}) == 0.5
    assert mean_of({"coverage": 1.0}) is None


def test_rounds_of_the_first_release_have_the_m_div_of_today():
    run = RunDir.at(FIRST_RELEASE)
    for t in range(3):
        kept = read_json(run.round(t).root / "metrics.json")
        terms = run.round(t).metrics["diversity"]
        assert terms["m_div"] == pytest.approx(np.mean([terms[name] for name in IN_M_DIV if name in terms]), abs=1e-6)
        assert terms["m_div"] != kept["diversity"]["m_div"]
        assert terms | {"m_div": 0} == kept["diversity"] | {"m_div": 0}  # nothing else is changed
        assert restated(run.round(t).metrics) == run.round(t).metrics


def test_a_run_that_goes_on_under_other_terms_has_no_plateau_for_that():
    """The mean of all terms was lower: taken as recorded, the new rounds would seem to rise."""
    terms = {"class_representation": 0.8, "vendi_share": 0.8, "coverage": 0.2, "hull_volume": 0.2}
    old = {"val": {"macro_f1": 0.5}, "diversity": terms | {"m_div": 0.5}}
    new = {"val": {"macro_f1": 0.5}, "diversity": terms | {"m_div": 0.8}}
    as_read = [restated(record) for record in (old, old, new)]
    stop = Stop(plateau=1)
    assert stopping.plateau([old, old, new], 0, stop) is None
    reason = stopping.plateau(as_read, 0, stop)
    assert reason is not None and reason.startswith("plateau over 1 rounds (M_div +0.0000, ")
