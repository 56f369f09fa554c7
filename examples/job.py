"""A run as a job of a Ray cluster: this file submits itself, and shows the job's log until it ends.

    ray start --head                                             # a cluster of this machine, unless there is one
    python examples/job.py [--quick] [--out runs/example-job]
    RAY_ADDRESS=http://HEAD:8265 python examples/job.py --out /shared/runs/example-job

`--out` must lie on storage that all machines of the cluster share. Submitted again, the job goes on where it stopped.
Where the cluster asks for a token, set RAY_AUTH_MODE=token and have the token in ~/.ray/auth_token.
"""

import argparse
import os
import shlex
import time
from pathlib import Path

from adde_ray import Config, run

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("runs/example-job"))
parser.add_argument("--quick", action="store_true", help="fewer answers and synthetic samples")
parser.add_argument("--python", default="python", help="Python with adde_ray, as the cluster's machines call it")
parser.add_argument("--inside", action="store_true", help="this is the job itself")
args = parser.parse_args()


def work() -> None:
    """What runs on the cluster. Generators are actors there; the process that runs the loop trains."""
    settings = {
        "data": {"source": "digits"},
        "generate": {"generator": "auto", "actors": 1, "steps": 20 if args.quick else 300},
        "stop": {"labels": 10 if args.quick else 140},
    }
    summary = run(Config.parse(settings), args.out, resume=True)
    print("macro-F1 on test by round:", [round(record["test"]["macro_f1"], 2) for record in summary["rounds"]])


def submit() -> None:
    from ray.job_submission import JobStatus, JobSubmissionClient

    client = JobSubmissionClient(os.environ.get("RAY_ADDRESS"))
    words = [args.python, Path(__file__).name, "--inside", "--out", str(args.out.absolute()), *["--quick"] * args.quick]
    job = client.submit_job(entrypoint=shlex.join(words), runtime_env={"working_dir": str(Path(__file__).parent)})
    print("submitted", job)
    while (status := client.get_job_status(job)) in (JobStatus.PENDING, JobStatus.RUNNING):
        time.sleep(1)
    print(client.get_job_logs(job), end="")
    print(job, status.value.lower())
    raise SystemExit(status is not JobStatus.SUCCEEDED)


work() if args.inside else submit()
