"""A run whose space is laid out by UMAP: killed, and gone on with in another process, it is the same."""

import subprocess
import sys

import pytest
from helpers.finished import artifacts, finish
from helpers.small import config, rows, write

from adde_ray.artifacts.run_dir import RunDir
from adde_ray.loop import run

GO_ON = """
import json
from adde_ray.config import Config
from adde_ray.loop import run
run(Config.parse(json.load(open("config.json"))), ".", resume=True)
"""


class Killed(BaseException):
    pass


@pytest.mark.slow
def test_a_kill_changes_nothing(tmp_path):
    data = write(tmp_path / "rows.parquet", rows(pool=90))
    settings = config(data, clustering={"reduction": "umap", "dims": 3, "min_cluster_size": 4}, stop={"labels": 15})
    finish(tmp_path / "whole", settings)

    def kill(run_, stage, t):
        if (stage, t) == ("score", 1):
            raise Killed

    killed = tmp_path / "killed"
    with pytest.raises(Killed):
        run(settings, killed, on_stage=kill)
    done = subprocess.run([sys.executable, "-c", GO_ON], cwd=killed, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert artifacts(killed) == artifacts(tmp_path / "whole")
    assert len(RunDir(killed).rounds()) == 4
