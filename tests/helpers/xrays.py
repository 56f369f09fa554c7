"""A folder in CheXpert's layout, made of real pictures: each is six of scikit-learn's handwritten digits side by side.

An observation is there when its place holds its own digit; when it is not, the place is blank or holds another
(6 to 9). So labels are learnable, several hold at once, and rare ones are rare.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

OBSERVATIONS = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Fracture", "Pleural Effusion")
CHANCES = (0.5, 0.4, 0.3, 0.25, 0.1, 0.15)
ROOT = "CheXpert-v1.0-small"
HEADER = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS)


def make(parent: Path, *, patients: int = 150, valid: int = 40, seed: int = 0, uncertain: float = 0.05) -> Path:
    """`parent`/CheXpert-v1.0-small with train.csv and, of `valid` patients, valid.csv.

    Edema and Fracture often go together.
    """
    rng = np.random.default_rng(seed)
    digits, targets = load_digits(return_X_y=True)
    of_digit = [digits[targets == d].reshape(-1, 8, 8) for d in range(10)]
    folder = parent / ROOT
    for split, count, first in (("train", patients, 1), ("valid", valid, 60001)):
        rows = []
        for number in range(first, first + count):
            holds = rng.random(6) < CHANCES
            holds[4] |= holds[3] and rng.random() < 0.3
            sex, age = ("Male", "Female", "Unknown")[rng.choice(3, p=[0.55, 0.4, 0.05])], int(rng.integers(18, 91))
            for view in range(int(rng.integers(1, 4))):
                side = "frontal" if view < 2 else "lateral"
                name = f"{ROOT}/{split}/patient{number:05d}/study1/view{view + 1}_{side}.jpg"
                path = parent / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(_picture(holds, of_digit, rng)).save(path, quality=95)
                direction = ("AP", "PA")[rng.integers(2)] if side == "frontal" else ""
                rows.append([name, sex, age, side.capitalize(), direction, *_cells(holds, rng, uncertain)])
        if rows:
            with (folder / f"{split}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([HEADER, *rows])
    return folder


def _picture(holds: np.ndarray, of_digit: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    cells = []
    for observation, there in enumerate(holds):
        if there or rng.random() < 0.7:
            drawn = of_digit[observation if there else rng.integers(6, 10)]
            cells.append(drawn[rng.integers(len(drawn))])
        else:
            cells.append(np.zeros((8, 8)))
    grid = np.concatenate([np.concatenate(cells[:3], axis=1), np.concatenate(cells[3:], axis=1)])
    return np.kron(grid / 16 * 255, np.ones((2, 2))).astype(np.uint8)  # 32 x 48: JPEG's blocks are 8 pixels wide


def _cells(holds: np.ndarray, rng: np.random.Generator, uncertain: float) -> list[str]:
    """As CheXpert writes them: 1.0, 0.0 or blank for what is not there, -1.0 where the report is unsure."""
    cells = []
    for there in holds:
        if rng.random() < uncertain:
            cells.append("-1.0")
        else:
            cells.append("1.0" if there else "0.0" if rng.random() < 0.3 else "")
    return cells
