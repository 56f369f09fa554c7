"""What people's answers add up to: consensus, decisions that adaptive overlap saves, and errors found by a second look.

    ADDE_DATA_DIR=… python benchmarks/crowd.py    # four crowd tasks, CIFAR-10's people; some ten minutes
    python benchmarks/crowd.py --quick            # one order of the answers, fewer images; under 2 minutes

Consensus: accuracy of majority, Dawid-Skene and MACE on all answers, and labels in which Dawid-Skene differs from
crowd-kit's own run.

Overlap: each item's answers come in a random order. Fixed takes three of each. Adaptive begins with one of each, and
goes on with the items of which least is believed, a twentieth of them at a time. Told is how many decisions it takes
until its labels are as accurate as fixed's, both as they are believed most (`crowd.belief`); accuracies are means over
the orders. On CIFAR-10 a model is the prior, which learned from one person's labels of other images. There, a
confidence below which others are asked is also chosen on one half of the images, as the lowest that is as accurate as
fixed, and held to on the other half; and there is the rule of the review page: one opinion is enough where it is what
the model suggests with a confidence of .5, else there are two, and three where these differ.

Second look: 10 % of the labels are made wrong by chance; which share of them is among the first 15 % proposed. Beside
it, of CIFAR-10, the share of one person's own errors.
"""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import polars as pl
from common import arguments, console, finish, show
from crowds import Judged, digits, fit, judged, out_of_fold, proba, tasks, temperature, warmed
from protocols import data_dir

from adde_ray.methods.crowd.belief import belief
from adde_ray.methods.crowd.consensus import METHODS, consensus
from adde_ray.methods.crowd.overlap import order, wanted
from adde_ray.methods.crowd.second_look import second_look
from adde_ray.methods.crowd.votes import Votes, votes
from adde_ray.methods.stats.statistics import mean_interval
from adde_ray.review.store import Answer, Item
from adde_ray.review.store.doubt import enough

CONFIDENCES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995)

STEPS = 20

FIXED = 3
"""Opinions that adaptive overlap is held against."""

FIRST, PLANTED = 0.15, 0.1


# --- consensus --------------------------------------------------------------------------------------------


def consensus_table() -> dict[str, float]:
    """Accuracy of each method on each task, and labels that differ from crowd-kit's."""
    from crowdkit.aggregation import DawidSkene

    rows, figures, differ, least = [], {}, 0, np.inf
    for name, (answers, truth) in tasks().items():
        found = {method: consensus(answers, method).table() for method in METHODS}
        accuracy = {method: _accuracy(table, truth) for method, table in found.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            direct = DawidSkene(n_iter=100).fit_predict(answers.rename({"item": "task"}).to_pandas())
        ours = dict(found["dawid_skene"].select("item", "label").iter_rows())
        differ += sum(ours[item] != label for item, label in direct.items())
        least = min(least, accuracy["dawid_skene"] - accuracy["majority"])
        figures |= {f"accuracy/{name}/{method}": value for method, value in accuracy.items()}
        rows.append([name, len(truth), len(answers), *accuracy.values()])
    show("accuracy of the consensus", ["task", "items", "answers", *METHODS], rows)
    return figures | {"dawid_skene_less_majority": float(least), "differ_from_crowd_kit": float(differ)}


def _accuracy(table: pl.DataFrame, truth: pl.DataFrame) -> float:
    both = truth.join(table, on="item", how="left", suffix="_found")
    return float((both["label"] == both["label_found"]).fill_null(False).mean())


# --- overlap ----------------------------------------------------------------------------------------------


def in_turn(every: Votes, rng: np.random.Generator) -> np.ndarray:
    """(m,) the place of each vote among those of its item, in an order drawn by chance."""
    shuffled = rng.permutation(len(every.item))
    order = shuffled[np.argsort(every.item[shuffled], kind="stable")]
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order)) - np.searchsorted(every.item[order], every.item[order])
    return place


def accuracy_of(given: Votes, true: np.ndarray, prior: np.ndarray | None) -> float:
    """Of the labels that are believed most."""
    return float(np.mean(belief(given, prior).proba.argmax(axis=1) == true))


def curve(every: Votes, true: np.ndarray, seed: int, prior: np.ndarray | None) -> tuple[float, list[float]]:
    """Accuracy with FIXED answers of each item, and adaptive's after 1, 1 + 1 / STEPS, … decisions an item."""
    place, most = in_turn(every, np.random.default_rng(seed)), np.bincount(every.item, minlength=len(every.items))
    asked, found = np.minimum(1, most), []
    for _ in range((FIXED + 1) * STEPS):
        proba = belief(every.of(place < asked[every.item]), prior).proba
        found.append(float(np.mean(proba.argmax(axis=1) == true)))
        can = order(proba, asked)
        can = can[asked[can] < most[can]][: max(1, len(most) // STEPS)]
        if not len(can):
            break
        asked[can] += 1
    return accuracy_of(every.of(place < FIXED), true, prior), found


def needed(every: Votes, true: np.ndarray, seeds: int, prior: np.ndarray | None = None) -> tuple[float, float]:
    """Accuracy with FIXED answers each, and decisions an item until adaptive has it; means over the orders."""
    found = [curve(every, true, seed, prior) for seed in range(seeds)]
    level = float(np.mean([fixed for fixed, _ in found]))
    length = min(len(line) for _, line in found)
    mean = np.mean([line[:length] for _, line in found], axis=0)
    there = np.flatnonzero(mean >= level - 1e-12)
    step = max(1, len(every.items) // STEPS) / len(every.items)
    return level, 1 + float(there[0]) * step if len(there) else float("inf")


def overlap_tables(quick: bool) -> dict[str, float]:
    """Decisions that adaptive overlap saves, of the crowd tasks and of CIFAR-10's people."""
    rows, figures, seeds = [], {}, 1 if quick else 5
    for name, (answers, truth) in tasks().items():
        every = votes(answers)
        own = {label: c for c, label in enumerate(every.classes)}
        level, decisions = needed(every, np.array([own.get(label, -1) for label in truth["label"]]), seeds)
        rows.append([name, level, decisions, 1 - decisions / FIXED])
    people, prior = suggestions(judged(), quick)
    every = _votes_of(people)
    level, decisions = needed(every, people.true, 1, prior)
    rows.append(["people", level, decisions, 1 - decisions / FIXED])
    show(
        f"decisions an item to be as accurate as {FIXED}", ["task", f"accuracy of {FIXED}", "decisions", "fewer"], rows
    )
    figures = {f"fewer/{name}": fewer for name, _, _, fewer in rows}
    figures["fewer/crowd"] = float(np.mean([fewer for name, _, _, fewer in rows if name != "people"]))
    return figures | by_halves(every, people, prior) | page_rule(people, prior)


def _votes_of(people: Judged) -> Votes:
    n = len(people.true)
    names = tuple(f"{i:06d}" for i in range(n))
    classes = tuple(str(c) for c in range(10))
    return Votes(
        names, ("0", "1", "2"), classes, np.repeat(np.arange(n), 3), np.tile(np.arange(3), n), people.said.ravel()
    )


def by_halves(every: Votes, people: Judged, prior: np.ndarray) -> dict[str, float]:
    """A confidence chosen on one half of the images, and what it saves on the other."""
    rng = np.random.default_rng(0)
    place, half = in_turn(every, rng), rng.random(len(people.true)) < 0.5

    def against_fixed(rows: np.ndarray, confidence: float) -> tuple[float, np.ndarray, np.ndarray]:
        keep = np.isin(every.item, np.flatnonzero(rows))
        part, turn = every.of(keep), place[keep]
        now = taken(part, turn, confidence, prior)
        right = [
            (belief(given, prior).proba.argmax(axis=1) == people.true)[rows] * 1.0
            for given in (now, part.of(turn < FIXED))
        ]
        return len(now.item) / rows.sum(), *right

    for confidence in CONFIDENCES:
        decisions, ours, fixed = against_fixed(half, confidence)
        if ours.mean() >= fixed.mean():
            break
    decisions, ours, fixed = against_fixed(~half, confidence)
    gap = mean_interval(ours - fixed)
    console.print(
        f"confidence {confidence}, chosen on half of {len(half)} images; on the other {decisions:.2f} decisions each, "
        f"accuracy {fixed.mean():.4f} with {FIXED}, {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] with fewer"
    )
    return {"fewer/people by halves": float(1 - decisions / FIXED), "gained/people by halves": gap.mean}


def taken(every: Votes, place: np.ndarray, confidence: float, prior: np.ndarray) -> Votes:
    """The answers that adaptive overlap takes, one and others while less than this confidence is believed."""
    most = np.bincount(every.item, minlength=len(every.items))
    asked = np.minimum(1, most)
    while True:
        now = every.of(place < asked[every.item])
        more = wanted(belief(now, prior).proba, asked, confidence=confidence, most=FIXED) & (asked < most)
        if not more.any():
            return now
        asked = asked + more


def suggestions(people: Judged, quick: bool) -> tuple[Judged, np.ndarray]:
    """Samples, and what a model says of them that learned from one person's labels of 2,000 others, or of a quarter."""
    order = np.random.default_rng(0).permutation(len(people.true))
    learned = min(2000, len(order) // 4)
    rest = people.of(order[learned : learned + (4000 if quick else 10_000)])
    first = people.of(order[:learned])
    labels = first.said[:, 0]
    cooler = temperature(out_of_fold(first.features, labels, 10), labels)
    return rest, warmed(proba(fit(first.features, labels), rest.features, 10), cooler)


def page_rule(people: Judged, prior: np.ndarray) -> dict[str, float]:
    """The rule of the page's adaptive overlap, majority of the answers; of equal ones what the model finds likelier."""
    turn = np.random.default_rng(1).permuted(people.said, axis=1)
    asked = [_asked(said, p) for said, p in zip(turn, prior, strict=True)]
    labels = [_most(said[:k], p) for said, k, p in zip(turn, asked, prior, strict=True)]
    fixed = [_most(said, p) for said, p in zip(turn, prior, strict=True)]
    right = np.array(fixed) == people.true
    gap = mean_interval((np.array(labels) == people.true) * 1.0 - right)
    console.print(
        f"the page's rule, {len(asked)} images: {np.mean(asked):.2f} decisions each, accuracy {right.mean():.4f} with "
        f"{FIXED}, {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] with fewer; the model's {_own(prior, people):.3f}"
    )
    return {"fewer/page": float(1 - np.mean(asked) / FIXED), "gained/page": gap.mean}


def _own(prior: np.ndarray, rest: Judged) -> float:
    return float(np.mean(prior.argmax(axis=1) == rest.true))


def _asked(said: np.ndarray, prior: np.ndarray) -> int:
    best = int(prior.argmax())
    item = Item("x", 0, 0, "new", "image", "", suggested=str(best), confidence=float(prior[best]))
    given: list[Answer] = []
    for label in said:
        action = "accept" if label == best else "correct"
        given.append(Answer("", 0, "x", 0, str(len(given)), action, label=str(label)))
        if len(given) >= enough(item, given):
            break
    return len(given)


def _most(said: np.ndarray, prior: np.ndarray) -> int:
    counts = np.bincount(said, minlength=len(prior))
    return int(np.where(counts == counts.max(), prior, -1.0).argmax())


# --- second look ------------------------------------------------------------------------------------------


def second_look_table(quick: bool) -> dict[str, float]:
    """Share of wrong labels among the first proposed."""
    sets = {"digits": digits()}
    if data_dir() is not None:
        people = judged()
        rows = np.random.default_rng(0).permutation(len(people.true))[: 1500 if quick else 5000]
        some = people.of(rows)
        sets["cifar10"] = (some.features, some.true)
    found, figures = [], {}
    for (name, (features, true)), seed in product(sets.items(), range(1 if quick else 3)):
        rng = np.random.default_rng(seed)
        wrong = rng.permutation(len(true))[: int(PLANTED * len(true))]
        labels = true.copy()
        labels[wrong] = (true[wrong] + rng.integers(1, 10, size=len(wrong))) % 10
        found.append((name, _found(features, labels, true)))
    if data_dir() is not None:
        found.append(("cifar10, a person's own", _found(some.features, some.said[:, 0], some.true)))
    names = dict.fromkeys(name for name, _ in found)
    for name in names:
        figures[f"second_look/{name}"] = float(np.mean([share for of, share in found if of == name]))
    title = f"wrong labels among the first {FIRST:.0%} proposed"
    show(title, ["labels", "share of the wrong ones"], [[name, figures[f"second_look/{name}"]] for name in names])
    return figures


def _found(features: np.ndarray, labels: np.ndarray, true: np.ndarray) -> float:
    proposed = second_look(labels, out_of_fold(features, labels, 10))
    first = proposed["row"].to_numpy()[: int(FIRST * len(labels))]
    return float(np.isin(np.flatnonzero(labels != true), first).mean())


def main() -> None:
    args = arguments(__doc__).parse_args()
    figures = consensus_table() | overlap_tables(args.quick) | second_look_table(args.quick)
    targets = {"dawid_skene_less_majority": ">= 0", "differ_from_crowd_kit": "<= 0"}
    targets |= {name: ">= 0.3" for name in figures if name in ("fewer/crowd", "fewer/people", "fewer/people by halves")}
    targets |= {f"second_look/{name}": ">= 0.6" for name in ("digits", "cifar10") if f"second_look/{name}" in figures}
    finish("crowd", figures, targets)


if __name__ == "__main__":
    main()
