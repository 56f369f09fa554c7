"""Which trials of a sweep are stopped early: asynchronous successive halving (ASHA: Li et al. 2020), in trial order.

ASHA compares a trial at a rung with those that got there first, so who is stopped depends on the clock. Here "first"
are the trials with a smaller number, whenever they ran. A trial goes on until theirs are known, and where it turns out
that it should have been stopped, the rounds it ran meanwhile do not count. So the same trials are stopped after the
same rounds whatever ran beside what, and whether or not the sweep was killed in between.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np


class Halving:
    """Trials are numbered from 0. A value is the objective's mean over the rounds so far; higher is better.

    rungs: rounds after which a trial must be among the best 1/`keep`th of those before it, ascending.
    """

    def __init__(self, rungs: list[int], *, keep: float):
        self._rungs, self._quantile = rungs, 1 - 1 / keep
        self._curves: dict[int, dict[int, float]] = defaultdict(dict)
        self._ended: set[int] = set()
        self._stopped: dict[int, int] = {}
        self._due = dict.fromkeys(rungs, 0)  # the first trial a rung has not decided about
        self._values: dict[int, list[float]] = {rung: [] for rung in rungs}

    def tell(self, number: int, round_: int, value: float) -> None:
        """The objective in one round of a trial. What was told before may be told again."""
        self._curves[number][round_] = value
        self._decide()

    def end(self, number: int) -> None:
        """There will be no more rounds of this trial."""
        self._ended.add(number)
        self._decide()

    def stopped(self, number: int) -> int | None:
        """Rounds after which the trial is stopped; None: it is not, or not yet known to be."""
        return self._stopped.get(number)

    def mean(self, number: int) -> float:
        """The objective's mean over the rounds of a trial that count."""
        curve = self._curves[number]
        return float(np.mean([curve[t] for t in sorted(curve)[: self._stopped.get(number)]]))

    def _decide(self) -> None:
        for place, rung in enumerate(self._rungs):
            before = self._rungs[place - 1] if place else None
            while before is None or self._due[rung] < self._due[before]:
                number = self._due[rung]
                if number not in self._stopped:
                    curve = self._curves.get(number, {})
                    values = [curve[t] for t in range(rung) if t in curve]
                    if len(values) == rung:
                        mean, peers = float(np.mean(values)), self._values[rung]
                        if peers and mean < np.quantile(peers, self._quantile):
                            self._stopped[number] = rung
                        peers.append(mean)
                    elif number not in self._ended:
                        break
                self._due[rung] += 1


def rungs(first: int, keep: float, last: int) -> list[int]:
    """first, first·keep, first·keep², … up to `last`, in whole rounds."""
    found, at = [], float(first)
    while round(at) <= last:
        found.append(round(at))
        at *= keep
    return sorted(set(found))
