"""When a run ends. A rule looks at the history of rounds and gives a reason, or None to go on.

history: one record of metrics.json for each round so far, the current one last.
"""

from __future__ import annotations

from collections.abc import Callable

from adde_ray.config import Stop
from adde_ray.config.registry import Registry


def labels(history: list[dict], seconds: float, stop: Stop) -> str | None:
    """The label budget is spent. What no person was asked about counts as well, so that all runs end at one size."""
    spent = history[-1]["num_asked"]
    if stop.labels is not None and spent >= stop.labels:
        return f"label budget spent ({spent} of {stop.labels})"
    return None


def rounds(history: list[dict], seconds: float, stop: Stop) -> str | None:
    """As many rounds as allowed have asked people."""
    asked = len(history) - 1
    return f"round limit reached ({asked} of {stop.rounds})" if asked >= stop.rounds else None


def time(history: list[dict], seconds: float, stop: Stop) -> str | None:
    """The wall time is used up."""
    if stop.seconds is not None and seconds >= stop.seconds:
        return f"time budget spent ({seconds:.0f} of {stop.seconds:g} s)"
    return None


def target(history: list[dict], seconds: float, stop: Stop) -> str | None:
    """Quality on val has reached the target; without val there is no telling."""
    reached = m_qual(history[-1])
    if stop.target is not None and reached is not None and reached >= stop.target:
        return f"target reached (macro-F1 on val {reached:.3f} >= {stop.target:g})"
    return None


def plateau(history: list[dict], seconds: float, stop: Stop) -> str | None:
    """Neither diversity nor quality has risen over the last `stop.plateau` rounds above their best before.

    Without val, diversity alone.
    """
    if stop.plateau == 0 or len(history) <= stop.plateau:
        return None
    before, recent = history[: -stop.plateau], history[-stop.plateau :]

    def rise(of) -> float:
        return max(map(of, recent)) - max(map(of, before))

    rises = {"M_div": rise(m_div)}
    if all(m_qual(record) is not None for record in history):
        rises["macro-F1 on val"] = rise(m_qual)
    if max(rises.values()) > stop.tolerance:
        return None
    told = ", ".join(f"{name} {value:+.4f}" for name, value in rises.items())
    return f"plateau over {stop.plateau} rounds ({told}; tolerance {stop.tolerance:g})"


def m_div(record: dict) -> float:
    """M_div of a round, [0, 1]."""
    return record["diversity"]["m_div"]


def m_qual(record: dict) -> float | None:
    """M_qual of a round: macro-F1 on val, [0, 1]; None without val."""
    return record["val"].get("macro_f1")


def first_reason(history: list[dict], seconds: float, stop: Stop) -> str | None:
    """The reason of the first rule that holds, in the order of STOPPING; then of `stop.own`."""
    rules = [STOPPING[name] for name in (*ALWAYS, *stop.own)]
    return next((reason for rule in rules if (reason := rule(history, seconds, stop))), None)


StoppingRule = Callable[[list[dict], float, Stop], str | None]
"""metrics.json of every round so far, wall seconds, settings → the reason to stop, or None."""

_STOPPING: dict[str, StoppingRule] = {
    "target": target, "labels": labels, "rounds": rounds, "time": time, "plateau": plateau
}  # fmt: skip
STOPPING: Registry[StoppingRule] = Registry("stopping rule", _STOPPING, where="stop.own")
ALWAYS = tuple(STOPPING)
"""Rules that always hold, each with its key in `[stop]`; any other is named in `stop.own`."""
