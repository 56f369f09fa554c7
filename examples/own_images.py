"""Your own images, answered by people: pictures in folders in, a labelled dataset out.

    python examples/own_images.py [--quick] [--out runs/example-images]

A script fills in review.csv here, as people do in a spreadsheet. A second call goes on where the first one stopped.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

from adde_ray import Config, run
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.export import export

SHAPES = {  # which pixels are a shape's, by their place from its middle
    "circle": lambda x, y: abs(np.hypot(x, y) - 9) < 1.5,
    "square": lambda x, y: abs(np.maximum(abs(x), abs(y)) - 9) < 1.5,
    "cross": lambda x, y: (abs(abs(x) - abs(y)) < 1.5) & (abs(x) < 10),
}


def draw(path: Path, shape: str, rng: np.random.Generator) -> None:
    x, y = np.mgrid[-16:16, -16:16] - rng.integers(-3, 4, (2, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((rng.integers(0, 120, (32, 32)) + 120 * SHAPES[shape](x, y)).astype(np.uint8)).save(path)


def answer(table: Path, truth: dict[str, str]) -> None:
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    for row in rows:
        label = truth[Path(row["file"]).name]
        row |= {"action": "accept"} if row["suggested"] == label else {"action": "correct", "label": label}
    with table.open("w", encoding="utf-8", newline="") as file:
        (writer := csv.DictWriter(file, rows[0])).writeheader()
        writer.writerows(rows)


parser, rng = argparse.ArgumentParser(), np.random.default_rng(0)
parser.add_argument("--out", type=Path, default=Path("runs/example-images"))
parser.add_argument("--quick", action="store_true", help="fewer pictures and answers")
args = parser.parse_args()
images, folder, number = args.out / "images", args.out / "run", 100 if args.quick else 500
for split, shape, i in ((s, name, i) for s, n in (("labelled", 3), ("val", 12)) for name in SHAPES for i in range(n)):
    draw(images / split / shape / f"{i}.png", shape, rng)
truth = {f"{i}.png": s for i, s in enumerate(rng.choice(list(SHAPES), number, p=(0.6, 0.35, 0.05)))}  # few crosses
for name, shape in truth.items():
    draw(images / "unlabelled" / name, shape, rng)
data = {"source": "image_folder", "path": str(images), "size": 16, "mode": "L"}
stop, review = {"labels": 20 if args.quick else 60}, {"annotator": "file"}
config = Config.parse({"data": data, "generate": {"generator": "none"}, "review": review, "stop": stop})
while (summary := run(config, folder, resume=True))["status"] == "awaiting_review":
    answer(folder / "rounds" / f"{summary['review']['round']:03d}" / "review.csv", truth)
print("macro-F1 on val by round:", [round(record["quality"]["macro_f1"], 2) for record in summary["rounds"]])
dataset = args.out / "dataset"
print("exported to", dataset if dataset.exists() else export(RunDir.at(folder), dataset, tell=print))
