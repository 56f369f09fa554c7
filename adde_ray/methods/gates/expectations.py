"""What a single row must look like: payloads or columns in → a reason per row, null where it passes.

The rules for texts are those of web corpora (Gopher, Rae et al. 2021; C4, Raffel et al. 2020) that need no language:
lengths, repetition, shares of characters. Shares count from a least length on, so that "hi" and "no" pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from adde_ray.artifacts.images import planes
from adde_ray.config import Expectation, Gates
from adde_ray.config.registry import Registry
from adde_ray.errors import UserError

CHARS, WORDS, LINES = 20, 10, 5
"""Shares of characters, words and lines are judged in texts of at least so many."""


@dataclass(frozen=True)
class Gate:
    """apply: (n,) payloads of one of the modalities, settings → (n,) reasons, null where a row passes."""

    modalities: tuple[str, ...]
    apply: Callable[[pl.Series, Gates], pl.Series]


def reasons(payloads: pl.Series, modality: str, config: Gates) -> pl.DataFrame:
    """gate, reason of each of n payloads: the first gate it fails, or nulls."""
    named = [(name, GATES[name]) for name in (*ALWAYS, *config.own)]
    failed = [(name, gate.apply(payloads, config)) for name, gate in named if modality in gate.modalities]
    nothing = pl.Series([None] * len(payloads), dtype=pl.String)
    columns = {f"reason{i}": reason for i, (_, reason) in enumerate(failed)}
    names = [pl.when(pl.col(f"reason{i}").is_not_null()).then(pl.lit(name)) for i, (name, _) in enumerate(failed)]
    table = pl.DataFrame({"none": nothing, **columns})
    return table.select(gate=pl.coalesce(pl.col("none"), *names), reason=pl.coalesce("none", *columns))


def column_reasons(column: pl.Series, expected: Expectation) -> pl.Series:
    """Why each value of a column is not what is expected of it."""
    name, text = column.name, column.cast(pl.String, strict=False)
    number = text.str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None)
    table = pl.DataFrame({"text": text, "number": number})
    value, there = pl.col("number"), pl.col("text").is_not_null()
    numeric = expected.type == "number" or expected.min is not None or expected.max is not None
    tests = []
    if expected.type == "text" and column.dtype.is_numeric():
        tests.append((there, f"{name} is a number, not a text"))
    if numeric:
        tests.append((there & value.is_null(), f"{name} is no number"))
    if expected.min is not None:
        tests.append((value < expected.min, f"{name} is less than {expected.min:g}"))
    if expected.max is not None:
        tests.append((value > expected.max, f"{name} is more than {expected.max:g}"))
    if expected.values:
        tests.append((there & ~pl.col("text").is_in(expected.values), f"{name} is none of the values expected"))
    whys = [_reason(test, why) for test, why in tests]
    return table.with_columns(reason=pl.coalesce(pl.lit(None, pl.String), *whys))["reason"]


Nulls = dict[str, tuple[int, int]]
"""Expected column → values it lacks, and rows of the tables that have it."""


def count_nulls(tables: Iterable[pl.DataFrame], config: Gates) -> Nulls:
    """Of these tables together."""
    found: Nulls = {}
    for table in tables:
        there = {name: (table[name].null_count(), len(table)) for name in config.expect if name in table.columns}
        found = add_nulls(found, there)
    return found


def add_nulls(a: Nulls, b: Nulls) -> Nulls:
    """Of the rows of both."""
    both = {name: (a.get(name, (0, 0)), b.get(name, (0, 0))) for name in {**a, **b}}
    return {name: (of_a[0] + of_b[0], of_a[1] + of_b[1]) for name, (of_a, of_b) in both.items()}


def check_names(columns: Iterable[str], config: Gates) -> None:
    """Raises UserError: an expected column is none of these."""
    columns = set(columns)
    for name in config.expect:
        if name not in columns:
            known = sorted(c for c in columns if not c.startswith("_") and c != "sample_id")
            where = f"gates.expect.{name}"
            raise UserError("the data has no such column", where=where, remedy=f"Columns: {', '.join(known)}")


def check_nulls(nulls: Nulls, config: Gates) -> None:
    """Raises UserError: a column lacks more values than it may."""
    for name, (lacking, rows) in nulls.items():
        expected = config.expect[name]
        if rows and lacking / rows > expected.max_null:
            raise UserError(
                f"a share of {lacking / rows:.3g} is missing",
                where=f"gates.expect.{name}",
                value=expected.max_null,
                remedy="Fill the column, or raise its max_null",
            )


# --- texts ----------------------------------------------------------------------------------------------------


def length(texts: pl.Series, config: Gates) -> pl.Series:
    """Characters between min_chars and max_chars, at most max_words words."""
    chars = pl.col("text").str.len_chars()
    words = pl.col("text").str.count_matches(r"\S+")
    return (
        pl.DataFrame({"text": texts})
        .select(
            pl.when(chars < config.min_chars)
            .then(pl.format("{} characters, fewer than {}", chars, pl.lit(config.min_chars)))
            .when(chars > config.max_chars)
            .then(pl.format("{} characters, more than {}", chars, pl.lit(config.max_chars)))
            .when(words > config.max_words)
            .then(pl.format("{} words, more than {}", words, pl.lit(config.max_words)))
        )
        .to_series()
    )


def repetition(texts: pl.Series, config: Gates) -> pl.Series:
    """One character, word or line is not most of the text."""

    def judge(text: str) -> str | None:
        words = text.split()
        chars = "".join(words)
        if len(chars) >= CHARS and (share := _commonest(chars)) > config.max_char_share:
            return f"one character makes {share:.0%} of it"
        if len(words) >= WORDS and (share := _commonest(words)) > config.max_word_share:
            return f"one word makes {share:.0%} of it"
        lines = [line for line in map(str.strip, text.splitlines()) if line] if "\n" in text else []
        if len(lines) >= LINES and (share := 1 - len(set(lines)) / len(lines)) > config.max_line_share:
            return f"{share:.0%} of its lines are repeated"
        return None

    return pl.Series([judge(text) for text in texts], dtype=pl.String)


def symbols(texts: pl.Series, config: Gates) -> pl.Series:
    """Not nearly everything is digits, punctuation and other signs. Letters are those of any script."""
    table = pl.DataFrame({"text": texts}).select(
        chars=pl.col("text").str.count_matches(r"\S"), letters=pl.col("text").str.count_matches(r"[\p{L}\p{M}]")
    )
    share = 1 - pl.col("letters") / pl.col("chars")
    table = table.with_columns(fails=(pl.col("chars") >= CHARS) & (share > config.max_symbol_share))
    return table.select(_reason(pl.col("fails"), "hardly a letter in it")).to_series()


# --- images ---------------------------------------------------------------------------------------------------


def contrast(images: pl.Series, config: Gates) -> pl.Series:
    """The pixels of some band differ."""
    low = [max(band.std() for band in image) < config.min_contrast * 255 for image in planes(images)]
    return pl.Series(["blank: its pixels are all alike" if x else None for x in low], dtype=pl.String)


def _commonest(things: str | list[str]) -> float:
    return Counter(things).most_common(1)[0][1] / len(things)


def _reason(fails: pl.Expr, why: str) -> pl.Expr:
    return pl.when(fails).then(pl.lit(why))


# Of vectors, wrong lengths and numbers that are not finite never leave the source.
_GATES = {
    **{f.__name__: Gate(("text",), f) for f in (length, repetition, symbols)},
    "contrast": Gate(("image",), contrast),
}
GATES: Registry[Gate] = Registry("gate", _GATES, where="gates.own")
ALWAYS = tuple(GATES)
"""Gates that are always passed; any other is named in `gates.own`."""
