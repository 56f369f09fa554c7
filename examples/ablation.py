"""A small grid: strategies × seeds on one dataset, side by side, and the page that compares them.

    python examples/ablation.py [--quick] [--out experiments/example-ablation]

Trials run in Ray workers, one for each CPU; `RAY_ADDRESS` names another cluster than this machine. A second call goes
on where the first one stopped: trials that are finished are not run again.
"""

import argparse
from pathlib import Path

from adde_ray.experiments.compare import compare
from adde_ray.experiments.conduct import ablate

RUN = """
[data]
source = "digits"
[stop]
labels = 60
[generate]
generator = "none"
"""

GRID = """
name = "example-ablation"
seeds = 3
datasets = ["digits.toml"]
strategies = [
  "adde", "random", "margin",
  { name = "adde-diverse", about = "ADDE that leans on diversity", set = { select.alpha = 0.4, select.beta = 0.5 } },
]

[quick]  # what quick = True runs instead
seeds = 2
strategies = ["adde", "random"]
set = { stop.labels = 10 }
"""

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("experiments/example-ablation"))
parser.add_argument("--quick", action="store_true", help="two strategies, two seeds, fewer answers")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)
for name, text in {"digits.toml": RUN, "grid.toml": GRID}.items():
    (args.out / name).write_text(text)
done = ablate(args.out / "grid.toml", folder=args.out / "results", quick=args.quick, resume=True)
assert not done["failures"], done["failures"]
print("macro-F1 on test at the end:", {name: round(figure, 3) for name, figure in done["means"].items()})
print(*done["verdict"], sep="\n")
print("page:", compare([done["folder"]]))
