"""A Ray cluster that shrinks and grows while f is fitted."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "helpers" / "elastic_fit.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_fit_goes_on_with_the_workers_there_is_room_for():
    """Two workers, then one on what is left of the cluster, then two again; what is kept is gone on from."""
    home = tempfile.mkdtemp(prefix="adde-ray-")  # sockets' paths must be short, and no other Ray must find this one
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    env |= {"RAY_TMPDIR": home, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "5"}
    try:
        done = subprocess.run([sys.executable, SCRIPT], env=env, capture_output=True, text=True, timeout=280)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["workers"] == [2, 1, 2] and told["away"] < 1e-3, told
