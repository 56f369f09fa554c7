"""Your own texts, answered by people: a CSV in, a labelled dataset out.

    python examples/own_texts.py [--quick] [--out runs/example-texts]

A few rows have a label, the others are the pool. Here a script fills in the column `label` of review.csv, which alone
is short for accept or correct, as people do in a spreadsheet. A second call goes on where the first one stopped.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from adde_ray import Config, run
from adde_ray.artifacts.run_dir import RunDir
from adde_ray.export import export

MAILS = {  # class → how a mail of it begins, and how it goes on
    "delivery": (("my parcel", "the package", "order {n}"), ("has not arrived", "is late", "went to a neighbour")),
    "billing": (("invoice {n}", "my last bill", "the charge"), ("was paid twice", "is wrong", "needs a refund")),
    "technical": (("the app", "version {n}", "the login page"), ("crashes at once", "shows an error", "is frozen")),
    "praise": (("your team", "agent {n}", "the service"), ("was very kind", "is wonderful", "made my day")),
}


def write(path: Path, rng: np.random.Generator, rows: int) -> dict[str, str]:
    """A table of mails; of each class but praise the first five have a label. Returns text → class."""
    truth, labelled = {}, dict.fromkeys(MAILS, 0)
    while len(truth) < rows:
        label = str(rng.choice(list(MAILS), p=(0.5, 0.3, 0.15, 0.05)))
        begin, end = (rng.choice(part) for part in MAILS[label])
        truth[f"{begin} {end}, written on day {rng.integers(1000)}".replace("{n}", str(rng.integers(100, 999)))] = label
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        (writer := csv.writer(file)).writerow(("text", "label"))
        for text, label in truth.items():
            labelled[label] += 1
            writer.writerow((text, label if labelled[label] <= 5 else ""))
    return truth


parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("runs/example-texts"))
parser.add_argument("--quick", action="store_true", help="fewer texts and answers")
args = parser.parse_args()
truth = write(args.out / "mails.csv", np.random.default_rng(0), 200 if args.quick else 2000)
data = {"source": "csv", "path": str(args.out / "mails.csv"), "text_column": "text"}
stop = {"labels": 20 if args.quick else 60}
config, folder = Config.parse({"data": data, "review": {"annotator": "file"}, "stop": stop}), args.out / "run"
while (summary := run(config, folder, resume=True))["status"] == "awaiting_review":
    table = folder / "rounds" / f"{summary['review']['round']:03d}" / "review.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    with table.open("w", encoding="utf-8", newline="") as file:
        (writer := csv.DictWriter(file, rows[0])).writeheader()
        writer.writerows(row | {"label": truth[row["sample"]]} for row in rows)
print("macro-F1 on val by round:", [round(record["quality"]["macro_f1"], 2) for record in summary["rounds"]])
dataset = args.out / "dataset"
print("exported to", dataset if dataset.exists() else export(RunDir.at(folder), dataset))
