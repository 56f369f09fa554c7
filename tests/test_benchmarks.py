"""The last line of a benchmark is JSON, whatever its figures were computed with."""

import json

import common
import numpy as np


def test_the_last_line_takes_figures_of_numpy(capsys):
    common.finish(
        "some", {"ratio": np.float32(2.0), "share": np.float64(0.5), "none": None}, {"ratio": ">= 1", "share": ">= 1"}
    )
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["figures"] == {"ratio": 2.0, "share": 0.5, "none": None}
    assert told["met"] == {"ratio": True, "share": False}
