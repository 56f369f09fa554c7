"""What sets a gap apart, in words: the descriptions of classes nearest to it, terms of its texts, shared attributes.

Rows of the reference that lie in a gap, against all the others → what they hold more often than chance would have it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from adde_ray.methods.descriptions import Prototypes
from adde_ray.methods.space.clustering import Space
from adde_ray.methods.space.gaps import Gap, homes

MEMBERS = 200
"""Rows of a gap that are looked at: of a region those nearest to its centre."""

MAX_TEXTS = 10_000
"""Texts in which terms are counted, drawn by the seed."""

MAX_CHARACTERS = 2_000
"""Of a text."""

NUM_TERMS, NUM_NEAR, NUM_ATTRIBUTES = 4, 2, 2
"""How many are named of each."""

BEYOND_NOISE = 3.0
"""z of the log-odds from which a term or an attribute sets a gap apart: many are looked at."""

OFTEN = 2.0
"""How many times as often as elsewhere it must occur among the members."""

NEAR, NEXT = 0.3, 0.75
"""Cosine from which a description is near, and the share of the best's that the second must have."""

PRIOR = 10.0
"""Rows' worth of what all rows hold, that either side is taken to have beside its own."""

_TERM = re.compile(r"[^\W\d_]{2,40}(?:['’-][^\W\d_]{1,40})*")


class Terms:
    """In how many of the reference's texts each term occurs."""

    def __init__(self, texts: pl.Series, *, seed: int):
        """texts: of all n rows."""
        self._texts = texts
        drawn = np.random.default_rng(seed).permutation(len(texts))[:MAX_TEXTS]
        self._drawn = np.zeros(len(texts), dtype=bool)
        self._drawn[drawn] = True
        self._everywhere = self._count(np.sort(drawn))

    def of(self, rows: np.ndarray) -> list[str]:
        """The terms that set these rows apart, the most telling first; none of fewer than three rows."""
        if len(rows) < 3:
            return []
        inside, known = self._count(rows), rows[self._drawn[rows]]
        own = self._count(known)
        terms = sorted(term for term, held in inside.items() if held >= max(2, 0.1 * len(rows)))
        held = np.array([inside[term] for term in terms], dtype=np.float64)
        others = np.array([self._everywhere[term] - own[term] for term in terms], dtype=np.float64)
        other_rows = int(self._drawn.sum()) - len(known)
        z = _log_odds(held, len(rows), others, other_rows)
        # Of terms that are as far beyond noise, the rarer says more: words of every sentence are often beyond it, too.
        rarity = np.log((len(rows) + other_rows + 1) / (held + others))
        telling = _telling(z, held, len(rows), others, other_rows)
        order = sorted(telling, key=lambda i: (-round(float(rarity[i] * z[i]), 6), terms[i]))
        return [terms[i] for i in order[:NUM_TERMS]]

    def _count(self, rows: np.ndarray) -> Counter[str]:
        counts: Counter[str] = Counter()
        for text in self._texts[rows].str.slice(0, MAX_CHARACTERS):
            counts.update(set(_TERM.findall(text.lower())))
        return counts


class Attributes:
    """Which values the subgroup columns of the reference have."""

    def __init__(self, subgroups: Mapping[str, Sequence[str | None]]):
        """subgroups: column → n values, None where unknown."""
        self._columns: dict[str, tuple[list[str], np.ndarray]] = {}
        for column, values in subgroups.items():
            names = sorted({value for value in values if value is not None})
            number = {value: i for i, value in enumerate(names)} | {None: -1}
            self._columns[column] = names, np.array([number[value] for value in values], dtype=np.int64)

    def of(self, rows: np.ndarray, *, without: str | None = None) -> list[str]:
        """The values these rows have more often than others, as `column=value (share, elsewhere share)`, the most
        telling first. without: a column that is passed over."""
        found: list[tuple[float, str]] = []
        for column, (names, codes) in self._columns.items():
            inside = codes[rows][codes[rows] >= 0]
            if column == without or len(inside) < 3:
                continue
            held = np.bincount(inside, minlength=len(names))
            others = np.bincount(codes[codes >= 0], minlength=len(names)) - held
            z = _log_odds(held, len(inside), others, others.sum())
            for i in _telling(z, held, len(inside), others, others.sum()):
                there, elsewhere = held[i] / len(inside), others[i] / max(others.sum(), 1)
                found.append((float(z[i]), f"{column}={names[i]} ({there:.0%}, elsewhere {elsewhere:.0%})"))
        return [words for _, words in sorted(found, key=lambda of: (-round(of[0], 6), of[1]))[:NUM_ATTRIBUTES]]


def _log_odds(held: np.ndarray, rows: int, others: np.ndarray, other_rows: int) -> np.ndarray:
    """(k,) z of the log-odds of k things, each held by so many of the rows inside and outside, with what all rows hold
    as prior (Monroe, Colaresi & Quinn 2008)."""
    prior = 0.5 + PRIOR * (held + others) / max(rows + other_rows, 1)
    ours, theirs = held + prior, others + prior
    odds = np.log(ours / (rows + PRIOR + 1 - ours)) - np.log(theirs / (other_rows + PRIOR + 1 - theirs))
    return odds / np.sqrt(1 / ours + 1 / theirs)


def _telling(z: np.ndarray, held: np.ndarray, rows: int, others: np.ndarray, other_rows: int) -> list[int]:
    """Which of k things set the rows inside apart: beyond noise, and by much."""
    often = held / max(rows, 1) >= OFTEN * others / max(other_rows, 1)
    return np.flatnonzero(often & (z >= BEYOND_NOISE)).tolist()


def near(rows: np.ndarray, features: np.ndarray, prototypes: Prototypes, classes: Sequence[str]) -> list[str]:
    """What the classes are called that lie nearest to the mean of these rows of the features (n, d).

    By the cosine of both around their means: words lie elsewhere than samples.
    """
    if not len(rows) or np.count_nonzero(prototypes.known) < 2:
        return []
    own = prototypes.vectors[prototypes.known].astype(np.float64)
    own -= own.mean(axis=0)
    place = features[rows].mean(axis=0, dtype=np.float64) - features.mean(axis=0, dtype=np.float64)
    lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(place)
    cosines = np.round(own @ place / np.maximum(lengths, 1e-12), 6)
    known = np.flatnonzero(prototypes.known)
    best = np.argsort(-cosines, kind="stable")[:NUM_NEAR]
    rows = known[best[cosines[best] >= max(NEAR, NEXT * cosines[best[0]])]]
    return [called(prototypes.phrases[row] or [classes[row]], 1) for row in map(int, rows)]


def called(phrases: Iterable[str], number: int) -> str:
    """The first phrases in quotation marks."""
    return ", ".join(f"“{phrase if len(phrase) <= 60 else phrase[:59] + '…'}”" for phrase in list(phrases)[:number])


def of_region(gap: Gap, space: Space) -> np.ndarray:
    """Rows of the reference that lie in a region, at most `MEMBERS`."""
    places = space.cells if gap.kind == "density" else space.clusters
    rows = np.flatnonzero(places == homes(space, [gap])[0])
    away = np.linalg.norm(space.points[rows] - np.array(gap.centroid, dtype=np.float32), axis=1)
    return np.sort(rows[np.argsort(np.round(away, 5), kind="stable")[:MEMBERS]])
