"""Strategies are configs: each lies over any run's config, and leaves alone what a comparison holds equal."""

import pytest

from adde_ray.check import check_names
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.strategies import STRATEGIES, strategy

BASE = Config.parse({"data": {"source": "digits"}, "select": {"batch": 7}, "stop": {"labels": 70}, "run": {"seed": 3}})


@pytest.mark.parametrize("name", STRATEGIES)
def test_lies_over_any_config(name):
    config = strategy(name).over(BASE)
    check_names(config)
    for section in ("run", "data", "encoder", "train", "review", "simulate"):
        assert getattr(config, section) == getattr(BASE, section), section
    assert config.select.batch == 7 and config.stop.labels == 70
    assert (config == BASE) == (name == "adde")


def test_an_unknown_one_lists_the_others():
    with pytest.raises(UserError, match=r"k_center.*random"):
        strategy("best")
