"""What a sweep costs beside its trials: `adde sweep` against the same runs, one after another in two bare processes.

    python benchmarks/sweep_overhead.py                # 64 trials, a quarter of an hour
    python benchmarks/sweep_overhead.py --quick        # 8 trials: starting Ray weighs much more in it

Both are commands of their own, timed from their start to their end, one after the other, on two CPUs with one thread
each. The bare processes take every other trial, prepare the digits once, keep all that trials can share, and write the
same run folders; what they lack is Ray, Tune, live figures and a results table. Every trial must end with the very same
dataset, or the comparison is void.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import arguments, finish, show

from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.experiments.space import Sweep
from adde_ray.experiments.trial import Shared, prepare_data, run_trial

CONFIGS = Path(__file__).parents[1] / "jobs" / "configs"
PROCESSES = 2

SPACE = """
name = "overhead"
config = "{config}"
num_trials = {num_trials}
scheduler = "none"
concurrency = {processes}
[space]
"select.alpha" = {{ uniform = [0.0, 1.0] }}
"select.beta" = {{ uniform = [0.1, 1.0] }}
"select.redundancy" = {{ loguniform = [0.1, 2.0] }}
"""


def bare(space: Path, folder: Path, part: int) -> None:
    """Every other trial, one after another in this process."""
    import torch

    torch.set_num_threads(1)
    plan = Sweep.load(space)
    shared = None
    for trial in plan.trials(plan.base((), space.parent))[part::PROCESSES]:
        if shared is None:
            data = prepare_data(trial, folder)
            shared = Shared(data, RunDir.at(folder / "data" / trial.data))
        for _ in run_trial(trial, folder, shared):
            pass


def timed(commands: list[list[str]]) -> float:
    """Seconds until all of these, begun together, have ended."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env.pop("RAY_ADDRESS", None)  # it starts a Ray of its own
    began = time.perf_counter()
    processes = [subprocess.Popen([sys.executable, *c], env=env, stdout=subprocess.DEVNULL) for c in commands]
    codes = [process.wait() for process in processes]
    seconds = time.perf_counter() - began
    assert not any(codes), codes
    return seconds


def fingerprints(*folders: Path) -> dict[str, str]:
    found = [path for folder in folders for path in folder.glob("trials/*/result.json")]
    return {path.parent.name: read_json(path)["dataset_fingerprint"] for path in found}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--bare", nargs=3, metavar=("SPACE", "FOLDER", "PART"), help="what a bare process runs")
    args = parser.parse_args()
    if args.bare:
        bare(Path(args.bare[0]), Path(args.bare[1]), int(args.bare[2]))
        return
    num_trials = 8 if args.quick else 64
    with tempfile.TemporaryDirectory() as root:
        space, swept = Path(root) / "space.toml", Path(root) / "swept"
        config = CONFIGS / "digits.toml"
        space.write_text(SPACE.format(config=config, num_trials=num_trials, processes=PROCESSES))
        began = time.time()
        seconds = {"sweep": timed([["-m", "adde_ray.cli", "sweep", str(space), "--folder", str(swept)]])}
        first = min(RunDir.at(path.parent).events()[0]["time"] for path in swept.glob("trials/*/config.json"))
        parts = [Path(root) / f"bare-{part}" for part in range(PROCESSES)]
        seconds["bare"] = timed([[__file__, "--bare", str(space), str(p), str(n)] for n, p in enumerate(parts)])
        theirs, ours = fingerprints(*parts), fingerprints(swept)
    assert len(ours) == num_trials and ours == theirs, "not the same computation"
    show(
        f"{num_trials} trials on {PROCESSES} CPUs, same datasets",
        ["", "s", "s / trial"],
        [[name, s, s / num_trials] for name, s in seconds.items()],
    )
    figures = {"ratio": seconds["sweep"] / seconds["bare"], "start_up_s": first - began}
    figures |= {f"seconds/{name}": s for name, s in seconds.items()}
    finish("sweep_overhead", figures, {"ratio": "<= 1.15"})


if __name__ == "__main__":
    main()
