"""The same as `adde sweep`, as an entry point for `ray job submit`.

    ray job submit --working-dir . -- python jobs/sweep.py jobs/configs/sweep-digits.toml --folder /shared/sweep
    python jobs/sweep.py jobs/configs/sweep-digits.toml --set stop.labels=20     # tiny variant, no Ray cluster needed

Put --folder on storage that all machines share and that outlives the job; --resume goes on after a lost node.
If the cluster asks for a token, as a head does that was started where ~/.ray/auth_token is, set RAY_AUTH_MODE=token.
"""

import sys

from adde_ray.cli import app

if __name__ == "__main__":
    app(["sweep", *sys.argv[1:]])
