"""The same as `adde ablate`, as an entry point for `ray job submit`.

    ray job submit --working-dir . -- python jobs/ablate.py jobs/configs/ablation-digits.toml --folder /shared/ablation
    python jobs/ablate.py jobs/configs/ablation-digits.toml --quick     # tiny variant, no Ray cluster needed

Put --folder on storage that all machines share and that outlives the job; --resume goes on after a lost node.
If the cluster asks for a token, as a head does that was started where ~/.ray/auth_token is, set RAY_AUTH_MODE=token.
"""

import sys

from adde_ray.cli import app

if __name__ == "__main__":
    app(["ablate", *sys.argv[1:]])
