"""What classes are, before there is a label: names and words → phrases, their features → a prototype for each class.

Names count where they are words. Names that are codes (akiec, C50.9, class_07) say nothing to an encoder, and are told
from words by their letters, and by an encoder's tokenizer where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adde_ray.config.data import ClassName, Description, Examples

Source = Literal["name", "words", "files"]
"""What a class is described by."""

ENOUGH = 0.7
"""Share of the names that must be words: a list of codes has a name or two that look like some."""

CountTokens = Callable[[list[str]], list[int] | None]
"""Words → how many pieces a tokenizer cuts each into; None where there is no tokenizer."""

_PIECE = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*")
"""Letters, with an apostrophe within, or digits. What else there is divides."""

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_VOWEL = re.compile(r"[aeiouyàâäáãåæèéêëìíîïòóôöõøùúûüýœ]", re.I)

_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}", re.I)

_GENERIC = frozenset(
    ("class", "label", "category", "type", "group", "cluster", "kind", "idx", "index", "code", "cls", "target", "topic")
)
"""Words that say nothing beside a number: class_07."""

SHORTEST, SHORT, PER_TOKEN = 3, 4, 2.0
"""Letters of a word. With a tokenizer, one of up to `SHORT` letters is a token of its own, and a longer one has this
many letters a token: what is cut finer was hardly ever read."""


@dataclass(frozen=True)
class Prototypes:
    """A point for each of C classes among the features of the samples."""

    vectors: np.ndarray  # (C, d) float32; zeros where a class is not described
    known: np.ndarray  # (C,) bool: described
    source: tuple[Source | None, ...]  # of each class
    phrases: tuple[tuple[str, ...], ...]  # of each class; none where files describe it, or nothing does


def pieces(name: str) -> list[str]:
    """The words and numbers of a name, which anything else and a change of case divide: SeaLake_2 has three."""
    return [part for piece in _PIECE.findall(name) for part in _CAMEL.split(piece)]


def phrase(name: str) -> str:
    """A name as people would say it: card_notArrived → card not arrived. Abbreviations keep their capitals."""
    found = pieces(name)
    shouted = all(piece.isupper() for piece in found if piece.isalpha())
    return " ".join(p if p.isupper() and len(p) <= SHORT + 1 and not shouted else p.lower() for p in found)


def are_words(names: Sequence[str], count_tokens: CountTokens | None = None) -> bool:
    """Whether names say what classes are: most of them hold a word, and words are most of their letters.

    A name of another script than Latin's is taken for words; digits, abbreviations and codes are none.
    """
    candidates = sorted({p.lower() for name in names for p in _words(name)})
    counts = count_tokens(candidates) if count_tokens and candidates else None
    tokens = dict(zip(candidates, counts, strict=True)) if counts is not None else None
    return bool(names) and sum(_says_something(name, tokens) for name in names) >= ENOUGH * len(names)


def _says_something(name: str, tokens: Mapping[str, int] | None) -> bool:
    words = [p for p in _words(name) if tokens is None or _is_read(p, tokens[p.lower()])]
    numbered = any(p.isdigit() for p in pieces(name))
    telling = [p for p in words if not (numbered and p.lower() in _GENERIC)]
    letters = sum(len(p) for p in pieces(name))
    return bool(telling) and 2 * sum(map(len, words)) >= letters


def _words(name: str) -> list[str]:
    """The pieces that look like words, by themselves. Glued to a digit they do not: xx1."""
    found = []
    for chunk in re.split(r"[\W_]+", name):
        if not any(c.isdigit() for c in chunk):
            found += [piece for piece in pieces(chunk) if _is_word(piece)]
    return found


def _is_word(piece: str) -> bool:
    if not piece.isalpha():
        return "'" in piece or "’" in piece
    if not piece.isascii() and not _VOWEL.search(piece):
        return True
    shout = piece.isupper() and len(piece) <= SHORT
    return len(piece) >= SHORTEST and not shout and bool(_VOWEL.search(piece)) and not _CONSONANTS.search(piece)


def _is_read(word: str, tokens: int) -> bool:
    return tokens == 1 if len(word) <= SHORT else len(word) >= PER_TOKEN * tokens


def phrases(
    describe: str | Mapping[ClassName, Description], classes: Sequence[str], count_tokens: CountTokens | None = None
) -> dict[str, tuple[Source, list[str]]]:
    """Class → what it is said to be, and by whom, for classes that words describe. describe: of a config's [data].

    A class that the table leaves out goes by its name, where the names are words.
    """
    if describe == "none":
        return {}
    given = {} if isinstance(describe, str) else describe
    found: dict[str, tuple[Source, list[str]]] = {
        name: ("words", [of] if isinstance(of, str) else list(of))
        for name, of in given.items()
        if not isinstance(of, Examples)
    }
    left = [name for name in classes if name not in given]
    if left and are_words(classes, count_tokens):
        found |= {name: ("name", [phrase(name)]) for name in left if phrase(name)}
    return found


def prototypes(described: Mapping[str, np.ndarray], features: np.ndarray) -> list[np.ndarray]:
    """(d,) float32 for each class: the mean of the features (k, d) it is described by, as long as the samples' features
    (n, d) are in the mean."""
    length = float(np.linalg.norm(features, axis=1).mean(dtype=np.float64)) if len(features) else 1.0
    means = [of.astype(np.float64).mean(axis=0) for of in described.values()]
    return [(mean * (length / (np.linalg.norm(mean) or 1.0))).astype(np.float32) for mean in means]
