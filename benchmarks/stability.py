"""Does the loop hold when people err? Thirty rounds, one answer in five wrong: how far macro-F1 falls from its best.

    ADDE_DATA_DIR=… python benchmarks/stability.py       # jobs/configs/stability.toml; goes on after a kill
    python benchmarks/stability.py --quick               # its quick variant: digits, one seed

A fall is taken on test (on ood where a dataset has no test), from the best round so far to a later one, in every seed.
Without $ADDE_DATA_DIR it runs on the digits alone. Beside ADDE: the same budget drawn at random, and by margin.
"""

from __future__ import annotations

import protocols
from common import finish, show
from grids import compared, grid_arguments

GRID = protocols.CONFIGS / "stability.toml"


def main() -> None:
    args = grid_arguments(__doc__).parse_args()
    datasets, page = compared(GRID, quick=args.quick, folder=args.folder)
    strategies = sorted({s for d in datasets.values() for s in d["strategies"]})
    falls = {name: {s: row["stability"]["worst"] for s, row in d["strategies"].items()} for name, d in datasets.items()}
    rounds = min(d["strategies"]["adde"]["stability"]["rounds"] for d in datasets.values()) - 1
    show(
        f"largest fall of macro-F1 from its best over {rounds} rounds, worst seed; {page}",
        ["dataset", *(f"{s}: {what}" for s in strategies for what in ("fall", "end"))],
        [
            [name, *(x for s in strategies for x in (falls[name][s], d["strategies"][s]["final"]["mean"]))]
            for name, d in datasets.items()
        ],
    )
    figures = {f"{s}/{name}": fall for name, by in falls.items() for s, fall in by.items()}
    figures |= {f"{s}/worst": max(by[s] for by in falls.values()) for s in strategies} | {"rounds": rounds}
    finish("stability", figures, {"adde/worst": "<= 0.05"})


if __name__ == "__main__":
    main()
