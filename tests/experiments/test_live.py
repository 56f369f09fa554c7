"""What is seen of trials while they run, in a terminal and in a log."""

import io

import pytest
from rich.console import Console

from adde_ray.experiments.live import TrialTable


@pytest.mark.parametrize("terminal", [True, False])
def test_a_line_as_each_trial_ends_and_time_left(terminal):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    with TrialTable(console, total=5, done=1) as table:
        for name in ("a", "b[red]", "c"):
            table.began(name)
        table.round_done("a", {"round": 3, "num_labels": 30, "val": 0.5, "test": 0.4})
        with console.capture() as seen:
            console.print(table._picture())
        assert "1 of 5 trials" in seen.get() and "0.500" in seen.get() and "b[red]" in seen.get()
        table.ended("a", None)
        table.ended("b[red]", "it broke: [bold]x")
        with console.capture() as seen:
            console.print(table._picture())
        assert "3 of 5 trials, 1 failed" in seen.get() and " left" in seen.get() and "b[red]" not in seen.get()
    told = file.getvalue()
    assert "1 of 5 trials are finished already" in told
    assert "2/5 a " in told and "30 labels, F1 val 0.500, test 0.400" in told and "trials/min" in told
    assert "3/5 b[red] " in told and "failed: it broke: [bold]x" in told
