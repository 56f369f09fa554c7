"""What a person sees of a run in the terminal: one line a round, and a spinner in between."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adde_ray.rundir import RunDir

COLUMNS = (
    ("", 8), ("round", 5), ("labels", 6), ("samples", 7), ("synth", 5), ("F1 val", 6), ("F1 test", 7), ("M_div", 6),
    ("gaps", 5), ("α/β/γ", 14),
)  # fmt: skip


class RoundTable:
    """Prints a line as each round ends; works in a terminal and in a job's log alike."""

    def __init__(self, console: Console):
        self._console = console
        self._status = console.status("starting")
        self._named: str | None = None

    def __enter__(self) -> RoundTable:
        self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._status.stop()

    def add(self, run: RunDir, metrics: dict, manifest: dict) -> None:
        """The `watch` of `loop.run`."""
        name = "random" if run.root.parent.name == "baselines" else "ADDE"
        if name != self._named:
            self._line([title for title, _ in COLUMNS], style="bold")
        self._line(
            cells(name if name != self._named else "", metrics, manifest["weights"], metrics["val"], metrics["test"])
        )
        self._named = name
        if manifest["stop_reason"]:
            self._console.print(f"{'':8} {manifest['stop_reason']}", style="dim", highlight=False, soft_wrap=True)
        self._status.update(f"{name}: round {metrics['round'] + 1}")

    def _line(self, texts: list[str], style: str = "") -> None:
        line = " ".join(f"{text:>{width}}" for text, (_, width) in zip(texts, COLUMNS, strict=True))
        self._console.print(line, style=style, highlight=False, soft_wrap=True)


def summary_table(record: dict) -> Table:
    """`summary.summarise` as a table."""
    table = Table(title=Text(f"{record['run']}: {record['status']}"), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title, _ in COLUMNS[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    for r in record["rounds"]:
        table.add_row(*cells("", r, r["weights"], r["quality"], r["test"])[1:])
    return table


def cells(name: str, record: dict, weights: dict, val: dict, test: dict) -> list[str]:
    """One round's texts, in the order of COLUMNS."""
    return [
        name,
        str(record["round"]),
        str(record["num_labels"]),
        str(record["num_samples"]),
        str(record["num_synthetic"]),
        f"{val['macro_f1']:.3f}",
        f"{test['macro_f1']:.3f}" if test else "–",
        f"{record['diversity']['m_div']:.3f}",
        str(record["gaps"]["open"]),
        "/".join(f"{weights[w]:.2f}" for w in ("alpha", "beta", "gamma")),
    ]
