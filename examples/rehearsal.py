"""A rehearsal: with known labels the loop answers itself, and is held against random selection.

    python examples/rehearsal.py [--quick] [--out runs/example-rehearsal]

The data are scikit-learn's digits, whose labels only the simulated annotator sees; one answer in twenty is wrong. The
run ends with who is ahead, by how much, whether that is noise, and what to try before people are paid. On your own
data: `data` of your config, and the same two sections `review` and `compare`.
"""

import argparse
from pathlib import Path

from adde_ray import Config, run
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.report import write_report
from adde_ray.report.rehearsal import rehearsal

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("runs/example-rehearsal"))
parser.add_argument("--quick", action="store_true", help="fewer answers")
args = parser.parse_args()
config = Config.parse({
    "data": {"source": "digits"},
    "generate": {"generator": "none"},
    "review": {"annotator": "simulated", "error_rate": 0.05},
    "compare": {"random": True},
    "stop": {"labels": 20 if args.quick else 140},
})  # fmt: skip
summary = run(config, args.out, resume=True)
for name, record in (("ADDE", summary), ("random", summary["baselines"]["random"])):
    curve = [(r["num_asked"], round(r["test"]["macro_f1"], 2)) for r in record["rounds"]]
    print(f"{name}: answers and macro-F1 on test: {curve}")
found = rehearsal(RunDir.at(args.out))
assert found is not None, "both selections have run to their end"
print(*found.lines, sep="\n")
print("report:", write_report(RunDir.at(args.out)))
