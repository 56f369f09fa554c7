"""Configs whose parts do not fit together are refused in one line, before any work."""

import pytest
from small import config

from adde_ray.config_check import check_names
from adde_ray.errors import UserError

BALD = {"select": {"uncertainty": "bald"}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (BALD, r"select\.uncertainty: needs an ensemble \(got 'bald'\).*train\.ensemble"),
        ({"train": {"ensemble": 3}}, r"train\.ensemble: would be ignored by select\.uncertainty = 'margin'"),
        ({"train": {"dropout": 0.2}}, r"train\.dropout: would be ignored by the learner linear"),
        ({"train": {"mode": "lora"}}, r"train\.mode: the encoder auto cannot be trained so .*transformer"),
        (
            {"train": {"mode": "lora"}, "encoder": {"name": "convnet"}},
            r"train\.mode: the encoder convnet cannot be trained so \(got 'lora'\)",
        ),
        ({"encoder": {"name": "convnet"}}, r"encoder\.name: is random until it is trained.*train\.mode = \"full\""),
        (
            {"train": {"mode": "full"}, "encoder": {"name": "transformer", "model": "m", "dims": 8}},
            r"encoder\.dims: features that are reduced cannot be trained \(got 8\)",
        ),
    ],
    ids=str,
)
def test_parts_that_do_not_fit(tmp_path, sections, message):
    with pytest.raises(UserError, match=message) as error:
        check_names(config(tmp_path / "x.parquet", **sections))
    assert "\n" not in str(error.value)


def test_parts_that_do(tmp_path):
    check_names(config(tmp_path / "x.parquet", train={"ensemble": 3, "learner": "mlp", "dropout": 0.1}, **BALD))
