"""The last line of a benchmark is JSON, whatever its figures were computed with."""

import json
import subprocess
import sys
from pathlib import Path

import common
import diversity
import numpy as np
import people_seconds
import pytest


def test_the_last_line_takes_figures_of_numpy(capsys):
    common.finish(
        "some", {"ratio": np.float32(2.0), "share": np.float64(0.5), "none": None}, {"ratio": ">= 1", "share": ">= 1"}
    )
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["figures"] == {"ratio": 2.0, "share": 0.5, "none": None}
    assert told["met"] == {"ratio": True, "share": False}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_bare_loop_asks_about_the_same_samples():
    """Or it ends with an error: it follows by hand what a round does."""
    script = Path(common.__file__).with_name("loop_overhead.py")
    done = subprocess.run([sys.executable, script, "--quick"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["figures"]["ratio"] > 0


def test_diversity_is_ranked_against_quality_at_equal_labels():
    """Of labels 0, 10, …, 50 every second counts that all have, from the second round on: 20 and 40."""
    quality = {"random": 0.1, "margin": 0.2, "adde": 0.3}
    found = {
        name: {
            at: {"f1": f1, "m_div": f1 if at == 20 else 0.5 - f1, "coverage": -f1, "hull_volume": 1.0}
            for at in range(0, 60, 10)
        }
        for name, f1 in quality.items()
    }
    found["adde"].pop(50)
    ranks = diversity.correlations(found)
    assert ranks == {"m_div": pytest.approx(0), "coverage": pytest.approx(-1)}
    for rounds in found.values():
        rounds.pop(40)
    assert diversity.correlations(found)["m_div"] == pytest.approx(1)  # labels 20 alone


def test_seconds_to_a_level_are_told_between_rounds_and_never_beyond_the_last():
    line = [(50, 0.1), (150, 0.3), (250, 0.2), (350, 0.5)]
    reached = [people_seconds.reached(line, level) for level in (0.05, 0.2, 0.3, 0.4, 0.6)]
    assert reached == pytest.approx([50, 100, 150, 250 + 100 * 2 / 3, float("inf")])
