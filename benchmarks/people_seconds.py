"""Seconds of people to a level of macro-F1: the one queue of new samples and second opinions, against new ones alone.

    ADDE_DATA_DIR=… python benchmarks/people_seconds.py    # CIFAR-10's people, 5 seeds, two pools; some ten minutes
    python benchmarks/people_seconds.py --quick            # two seeds, half of the answers; under 2 minutes

A pool is long-tailed by 20, its images are given as features, and up to three people answer about each, in an order
drawn by chance. Every answer takes a second, so that only the number of answers counts. All begin with the same 50
answers; 100 a round follow. The queue ranks by `crowd.worth`: nats for a second, times the weight that the class has in
the balanced loss, with nothing that was tuned. Three ways:

- given: new samples only, and labels are what the person said;
- new: new samples only, and labels are what is believed of the person's answer and what the model, calibrated, says of
  rows it did not see;
- queue: new samples and opinions on old ones, believed likewise.

A logistic regression learns from the labels, and macro-F1 is that on test. Told is the ratio of seconds in which the
queue reaches what the others have halfway and at their end (over 1: it takes longer; inf: not in the budget), its
median over the seeds, and the difference at the end. Pools: all of the long tail, and 800 rows of it, which new samples
alone use up. The queue was developed on the first half of the training images; all figures are of the second.
"""

from __future__ import annotations

import math

import numpy as np
from common import arguments, finish, show
from crowds import Judged, fit, held_out, judged, out_of_fold, proba, temperature, warmed
from sklearn.metrics import f1_score

from adde_ray.methods.crowd.belief import Belief, belief
from adde_ray.methods.crowd.votes import Votes
from adde_ray.methods.crowd.worth import answer_gain, queue
from adde_ray.methods.stats.statistics import median_interval, paired_difference

CLASSES, START, BATCH, RATIO, SMALL = 10, 50, 100, 20, 800

SECONDS = {"new": 1.0, "opinion": 1.0}

LOOKED_AT = 4000
"""Rows of the pool that are ranked in a round, drawn by chance."""

POOLS = ("all", "small")

WAYS = ("given", "new", "queue")

Line = list[tuple[int, float]]
"""Seconds and macro-F1 after each round."""


def long_tail(people: Judged, rng: np.random.Generator) -> np.ndarray:
    """Rows of a long-tailed pool, the classes in an order drawn by chance."""
    most = np.bincount(people.true, minlength=CLASSES).min()
    rows = []
    for rank, c in enumerate(rng.permutation(CLASSES)):
        members = rng.permutation(np.flatnonzero(people.true == c))
        rows.append(members[: max(1, round(most * RATIO ** (-rank / (CLASSES - 1))))])
    return rng.permutation(np.concatenate(rows))


class Project:
    """What has been asked so far, one answer more at a time."""

    def __init__(self, people: Judged, seed: int):
        self._people = people
        self._turn = np.random.default_rng(seed).permuted(np.tile(np.arange(3), (len(people.true), 1)), axis=1)
        self.asked = np.zeros(len(people.true), dtype=int)

    def labelled(self) -> np.ndarray:
        """Rows with an answer."""
        return np.flatnonzero(self.asked)

    def votes(self) -> Votes:
        """All answers, of the labelled rows in order."""
        rows = self.labelled()
        item = np.repeat(np.arange(len(rows)), self.asked[rows])
        nth = np.concatenate([np.arange(k) for k in self.asked[rows]])
        who = self._turn[rows[item], nth]
        names = tuple(f"{i:06d}" for i in range(len(rows)))
        classes = tuple(str(c) for c in range(CLASSES))
        return Votes(names, ("0", "1", "2"), classes, item, who, self._people.said[rows[item], who])


def line(people: Judged, test: tuple[np.ndarray, np.ndarray], way: str, seed: int, budget: int) -> Line:
    """Macro-F1 on test by seconds spent."""
    project, rng = Project(people, seed), np.random.default_rng(seed)
    project.asked[rng.permutation(len(people.true))[:START]] = 1
    spent, found = START, []
    while True:
        rows, votes = project.labelled(), project.votes()
        said = votes.counts().argmax(axis=1)
        unseen = out_of_fold(people.features[rows], said, CLASSES, seed=seed)
        cooler = temperature(unseen, said)
        believed = belief(votes, warmed(unseen, cooler))
        labels = said if way == "given" else believed.proba.argmax(axis=1)
        model = fit(people.features[rows], labels)
        predicted = proba(model, test[0], CLASSES).argmax(axis=1)
        found.append((spent, float(f1_score(test[1], predicted, average="macro"))))
        if spent >= budget:
            return found
        unasked = rng.permutation(np.flatnonzero(project.asked == 0))[:LOOKED_AT]
        if way != "queue" and not len(unasked):
            return found
        expected = warmed(proba(model, people.features[unasked], CLASSES), cooler)
        chosen = next_rows(project, labels, believed, unasked, expected, with_old=way == "queue")
        project.asked[chosen] += 1
        spent += len(chosen)


def next_rows(
    project: Project, labels: np.ndarray, believed: Belief, unasked: np.ndarray, expected: np.ndarray, *, with_old: bool
) -> np.ndarray:
    """The best of what may be asked about. expected: probabilities of the unasked rows."""
    weight = len(labels) / (CLASSES * np.maximum(np.bincount(labels, minlength=CLASSES), 1))
    accuracy = float(believed.accuracy.mean())
    rows, kinds = unasked, np.full(len(unasked), "new", dtype=object)
    if with_old:
        labelled = project.labelled()
        open_ = project.asked[labelled] < 3
        rows = np.concatenate([rows, labelled[open_]])
        expected = np.concatenate([expected, believed.proba[open_]])
        kinds = np.concatenate([kinds, np.full(open_.sum(), "opinion", dtype=object)])
    gains = answer_gain(expected, accuracy)
    return rows[queue(kinds, gains, SECONDS, BATCH, value=expected @ weight).rows]


def reached(found: Line, level: float) -> float:
    """Seconds until a level is reached, between two rounds in proportion; inf where it is not."""
    before = found[0]
    for at, f1 in found:
        if f1 >= level:
            part = (level - before[1]) / (f1 - before[1]) if f1 > before[1] else 0.0
            return before[0] + (at - before[0]) * part
        before = (at, f1)
    return math.inf


def compared(lines: dict[str, list[Line]], other: str) -> dict[str, object]:
    """The queue against another way, over the seeds."""
    ratios: dict[str, list[float]] = {"halfway": [], "end": []}
    for theirs, ours in zip(lines[other], lines["queue"], strict=True):
        for name, last in (("halfway", (len(theirs) + 1) // 2), ("end", len(theirs))):
            level = max(f1 for _, f1 in theirs[:last])
            ratios[name].append(reached(ours, level) / reached(theirs, level))
    ends = [[run[-1][1] for run in lines[way]] for way in ("queue", other)]
    return {name: median_interval(values) for name, values in ratios.items()} | {"gap": paired_difference(*ends)}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=1550, help="answers")
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=POOLS)
    args = parser.parse_args()
    seeds, budget = (2, 750) if args.quick else (args.seeds, args.budget)
    people = judged()
    half = people.of(np.arange(len(people.true)) >= len(people.true) // 2) if len(people.true) > 10_000 else people
    figures: dict[str, float | None] = {}
    rows = []
    for pool in args.pools:
        lines: dict[str, list[Line]] = {way: [] for way in WAYS}
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            asked, *test = held_out(seed, half)
            picked = long_tail(asked, rng)
            picked = picked[:SMALL] if pool == "small" else picked
            for way in WAYS:
                lines[way].append(line(asked.of(picked), (test[0], test[1]), way, seed, budget))
        for other in ("new", "given"):
            told = compared(lines, other)
            gap = told["gap"]
            spans = [f"{m.median:.2f} ({m.low:.2f}, {m.high:.2f})" for m in (told["halfway"], told["end"])]
            last = np.mean([run[-1][1] for run in lines[other]])
            rows.append([pool, other, *spans, float(last), f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"])
            for name in ("halfway", "end"):
                ratio = told[name].median
                figures[f"{pool}/{other}/{name}"] = float(ratio) if np.isfinite(ratio) else None
            figures[f"{pool}/{other}/gap"] = gap.mean
    columns = ["pool", "against", "seconds, halfway", "seconds, end", "their macro-F1", "the queue's less theirs"]
    show(f"the one queue, {seeds} seeds: median (range)", columns, rows)
    finish("people_seconds", figures, {name: "<= 0.85" for name in figures if name.endswith("/end")})


if __name__ == "__main__":
    main()
