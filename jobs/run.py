"""The same as `adde run`, as an entry point for `ray job submit`.

    ray job submit --working-dir . -- python jobs/run.py jobs/configs/digits.toml --run-dir /shared/runs/digits
    python jobs/run.py jobs/configs/digits.toml --set stop.labels=20     # tiny variant, no Ray cluster needed

Put --run-dir on storage that outlives the job, and add --resume to go on after a lost node.
If the cluster asks for a token, as a head does that was started where ~/.ray/auth_token is, set RAY_AUTH_MODE=token.
"""

import sys

from adde_ray.cli import app

if __name__ == "__main__":
    app(["run", *sys.argv[1:]])
