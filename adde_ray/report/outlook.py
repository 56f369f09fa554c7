"""What a look at the data tells before a run, for `adde check`: counts, parts in use, a first score, and warnings.

Checked data in, sentences out. Nothing is written, and what takes long is done on a sample.
"""

from __future__ import annotations

import contextlib
import re
import time
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from statistics import median

import numpy as np
import polars as pl

from adde_ray.artifacts.descriptions import unread
from adde_ray.artifacts.encoder_choice import EncoderChoice
from adde_ray.artifacts.schema import SPLITS
from adde_ray.config import Config
from adde_ray.config.data import Examples, FilesData
from adde_ray.errors import UserError
from adde_ray.methods import encoders
from adde_ray.methods.descriptions import phrases
from adde_ray.methods.encoders.probe import FOLDS as FOLDS_OF_PROBE
from adde_ray.methods.synthesis.generators import generator_for
from adde_ray.pool.choose_encoder import Comparison, compare, decide, encoders_at_hand
from adde_ray.pool.pictures import larger_images, originals_of, reads_originals, side_for
from adde_ray.sources.originals import PLACES
from adde_ray.sources.rows import listing
from adde_ray.sources.storage.files import at, open_file
from adde_ray.sources.storage.paths import resolve
from adde_ray.sources.storage.reach import Reach
from adde_ray.stages.ingest import Prepared

SHOWN = 20
"""Classes whose counts are shown."""

LOOKED_AT = 24
"""Image files whose size is looked up."""

LARGER = 2
"""Images this many times as large as the model's input lose what may tell classes apart."""

FIT_ROWS, SCORED_ROWS, FOLDS = 500, 400, 3
"""The first score: rows an encoder is fitted on, labelled rows it is taken on, and parts of its cross-validation."""

PROBED_ROWS, PROBE_SECONDS = 1_500, 40.0
"""What encoders are compared on when that is asked for, and for how long they encode, together."""

LITTLE = 0.15
"""Above guessing by less than this, features are what to mend first."""

SECONDS = 6.0
"""What an encoder is given for it; labelled rows that are not encoded by then are left out."""

FEW, MANY = 8, 30
"""Different labels under which none is wondered at, and from which on even those with many rows are."""

SPLIT_WORDS = {*SPLITS, "train", "training", "valid", "validation", "dev", "eval", "testing", "unlabelled", "unlabeled"}
SPLIT_NAMES = {"split", "splits", "subset", "partition", "fold", "set"}
"""What a column that says each row's split holds, and what it is called."""


NUMBER = r"[+-]?(\d{1,200}\.?\d{0,200}|\.\d{1,200})([eE][+-]?\d{1,2})?"


def chosen(config: Config, prepared: Prepared) -> EncoderChoice | None:
    """What a run would take for `encoder.name = "auto"`; None where that is plain. Raises UserError: no such model."""
    if config.encoder.name != "auto" or prepared.meta.modality == "vector":
        return None
    return decide(config, prepared.meta, prepared.splits)


def told(config: Config, prepared: Prepared, choice: EncoderChoice | None = None) -> list[str]:
    """Lines on what the run would work with. choice: the encoder for "auto", which `config` names by now."""
    score = first_score(config, prepared, choice)
    return [*counts(prepared), *parts(config, prepared, choice), score, *descriptions(config, prepared)]


def warned(config: Config, prepared: Prepared) -> list[str]:
    """What is likely not meant, a sentence each with what to do."""
    sizes = original_sizes(config, prepared)
    found = (
        small_images(config, sizes), idle_generator(config, prepared, sizes), unused_split(config, prepared),
        spelling(prepared), odd_labels(config, prepared),
    )  # fmt: skip
    return [sentence for sentence in found if sentence]


# --- encoders side by side -----------------------------------------------------------------------------


def probe(config: Config, prepared: Prepared) -> Comparison:
    """Every encoder at hand, and the configured one, on the labels there are. Raises UserError: no such model."""
    meta, tables, named = prepared.meta, prepared.splits, config.encoder
    anyone = config.model_copy(update={"encoder": named.model_copy(update={"name": "auto", "symmetry": None})})
    found = encoders_at_hand(config if named.name == "auto" else anyone, meta, tables)
    if named.name not in ("auto", "convnet"):
        found = [named, *(one for one in found if (one.name, one.model) != (named.name, named.model))]
    return compare(config, meta, tables, found, rows=PROBED_ROWS, seconds=PROBE_SECONDS)


def ranking(compared: Comparison) -> list[str]:
    """The comparison as a table, the best first; a line that says why where there is none."""
    if not compared.rows:
        return ["encoders: not compared, fewer than two classes have two labelled rows in seed set and val"]
    lines = [f"encoders at hand, macro-F1 on {compared.rows} labelled rows of seed set and val by cross-validation:"]
    rows: list[tuple[str, ...]] = [("encoder", "macro-F1", "95 % interval", "dims", "s/1,000")]
    for one in sorted(compared.probed, key=lambda one: one.scored or (-1.0,), reverse=True):
        cells = ("–", one.problem or "", "", "")
        if one.scored:
            f1, low, high = one.scored
            speed = 1000 * one.seconds / len(one.features)
            cells = (f"{f1:.3f}", f"{low:.3f} to {high:.3f}", f"{one.features.shape[1]:,}", f"{speed:.1f}")
        rows.append((one.tried.name, *cells))
    width = max(len(row[0]) for row in rows)
    lines += [
        f"  {name:<{width}} {f1:>8}  {interval:<14} {dims:>6} {speed:>8}".rstrip()
        for name, f1, interval, dims, speed in rows
    ]
    return [*lines, f"best beyond noise, or preferred among equals: {compared.taken.tried.name}"]


# --- counts, parts, score ------------------------------------------------------------------------------


def counts(prepared: Prepared) -> list[str]:
    """A table of labelled rows by class and split: all classes, or those with the fewest rows in the seed set."""
    by_split = prepared.class_counts
    if not by_split:
        return []
    splits = [name for name in SPLITS if name in by_split]
    classes = prepared.meta.classes
    if len(classes) > SHOWN:
        classes = sorted(classes, key=lambda c: (by_split.get("seed", {}).get(c, 0), c))[:SHOWN]
    width = max(min(max(map(len, classes)), 32), 5)
    rows = [f"  {'class':<{width}} " + " ".join(f"{name:>6}" for name in splits)]
    for name in classes:
        cells = " ".join(f"{by_split[split].get(name, 0):>6,}" for split in splits)
        rows.append(f"  {name if len(name) <= width else name[: width - 1] + '…':<{width}} {cells}")
    if left := len(prepared.meta.classes) - len(classes):
        rows.append(f"  and {left} classes with as many seed rows or more")
    return rows


def parts(config: Config, prepared: Prepared, choice: EncoderChoice | None = None) -> list[str]:
    """Encoder and generator, what "auto" stands for included."""
    modality = prepared.meta.modality
    encoder = encoders.resolve(config.encoder, modality)
    generator = generator_for(config.generate.generator, modality) or "none"
    model = f" {config.encoder.model}" if config.encoder.model else ""
    generates = f"generator: {generator}{_auto(config.generate.generator)}"
    if choice:
        return [choice.line, generates]
    return [f"encoder: {encoder}{model}{_auto(config.encoder.name)}; {generates}"]


def _auto(setting: str) -> str:
    return " (auto)" if setting == "auto" else ""


def first_score(config: Config, prepared: Prepared, choice: EncoderChoice | None = None) -> str:
    """How well a linear model on the run's features tells the labels there are, by cross-validation; or why not."""
    lead = "features: "
    if choice and choice.score is not None and not prepared.meta.multi:
        counts = prepared.class_counts
        totals = [sum(counts[name].get(c, 0) for name in ("seed", "val")) for c in prepared.meta.classes]
        return _scored(config, prepared, choice.score, sum(total > 1 for total in totals), choice.rows, FOLDS_OF_PROBE)
    columns = ("sample_id", "label", prepared.meta.modality, *PLACES)
    there = [prepared.splits[name] for name in ("seed", "val") if name in prepared.splits]
    if not there:
        return f"{lead}not scored, no sample is labelled"
    labelled = pl.concat(
        [table.select(name for name in columns if name in table.columns) for table in there], how="diagonal_relaxed"
    ).drop_nulls("label")
    enough = labelled.filter(pl.len().over("label") >= FOLDS)
    if prepared.meta.multi:
        return f"{lead}not scored, several classes may hold at once"
    if enough["label"].n_unique() < 2:
        return f"{lead}not scored, fewer than two classes have {FOLDS} labelled rows in seed set and val"
    if encoders.resolve(config.encoder, prepared.meta.modality) == "convnet":
        return f"{lead}not scored, a convnet is random until it is trained"
    rows = enough.sample(min(SCORED_ROWS, len(enough)), shuffle=True, seed=config.run.seed)
    try:
        features = _features(config, prepared, rows)
    except UserError as error:
        return f"{lead}not scored, {error.what}"
    rows = rows[: len(features)].with_row_index("row").filter(pl.len().over("label") >= FOLDS)
    names, labels = np.unique(rows["label"].to_numpy(), return_inverse=True)
    if len(names) < 2:
        return f"{lead}not scored, the encoder takes too long for a look"
    f1 = _cross_validated(features[rows["row"].to_numpy()], labels)
    return _scored(config, prepared, f1, len(names), len(rows), FOLDS)


def _scored(config: Config, prepared: Prepared, f1: float, classes: int, rows: int, folds: int) -> str:
    guessed = 1 / classes
    what = f"on {rows} labelled rows of seed set and val, by {folds}-fold cross-validation"
    said = f"features: macro-F1 about {f1:.2f} {what}; guessing has {guessed:.2f}"
    remedy = encoders.better(encoders.resolve(config.encoder, prepared.meta.modality), sized=_sized(config))
    return said if f1 >= guessed + LITTLE or remedy is None else f"{said}. They tell little: try {remedy}"


def descriptions(config: Config, prepared: Prepared) -> list[str]:
    """Which classes are described by what, and what is said of any that counts for nothing."""
    setting, meta = getattr(config.data, "describe", "none"), prepared.meta
    lead, by_files = "descriptions: ", prepared.examples["label"].unique() if len(prepared.examples) else []
    if setting == "none" or meta.modality == "vector":
        return [f"{lead}none"] if setting == "none" else unread(_in_words(setting))
    try:
        reads, said = _said(config, prepared)
    except UserError:  # of the model, told of elsewhere
        return []
    source = dict.fromkeys(by_files, "files") | {name: source for name, (source, _) in said.items()}
    ways = {"name": "by name", "words": "in words", "files": "by example files"}
    told = [
        f"{len(those)} {'class' if len(those) == 1 else 'classes'} {how} ({listing(those, 5)})"
        for way, how in {**ways, None: "by nothing"}.items()
        if (those := [name for name in meta.classes if source.get(name) == way])
    ]
    if not source and reads and setting == "names":
        told = ["none, the names of the classes are codes; [data.describe] can say what they are"]
    elif not source:
        told = ["none, the encoder reads no words; [data.describe] can name example files"]
    return [lead + "; ".join(told), *([] if reads else unread(_in_words(setting)))]


def _said(config: Config, prepared: Prepared) -> tuple[bool, dict]:
    """Whether the encoder reads words, and what it would read of each class. Raises UserError: no such model."""
    modality = prepared.meta.modality
    encoder = encoders.make(config.encoder, modality)
    if modality != "text" and encoders.encode_texts(encoder, ["a"]) is None:
        return False, {}
    return True, phrases(config.data.describe, prepared.meta.classes, partial(encoders.count_tokens, encoder))


def _in_words(setting: str | dict) -> list[str]:
    """The classes that a table describes in words."""
    return [] if isinstance(setting, str) else sorted(n for n, of in setting.items() if not isinstance(of, Examples))


def _features(config: Config, prepared: Prepared, rows: pl.DataFrame) -> np.ndarray:
    """(m, d) of the first m rows, as many as there is time for. Raises UserError: no such model."""
    modality = prepared.meta.modality
    encoder = encoders.make(config.encoder, modality)
    originals = originals_of(config, config.encoder, modality)
    side = side_for(encoder, originals)
    known = pl.concat([prepared.splits[n].select(modality) for n in ("pool", "seed") if n in prepared.splits])
    encoder.fit(known.sample(min(FIT_ROWS, len(known)), shuffle=True, seed=config.run.seed)[modality], seed=0)
    found, began = [], time.monotonic()
    for start in range(0, len(rows), 32):
        if found and time.monotonic() - began > SECONDS:
            break
        some = rows[start : start + 32]
        seen = some[modality] if originals is None or side is None else larger_images(some, originals, side)
        found.append(encoder.encode(seen))
    return np.concatenate(found)


def _sized(config: Config) -> bool:
    """Whether an encoder sees images at the size that the data says."""
    return hasattr(config.data, "size") and not reads_originals(config)


def _cross_validated(features: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import f1_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    model = RidgeClassifier(alpha=1.0, class_weight="balanced")
    return float(f1_score(labels, cross_val_predict(model, features, labels, cv=folds), average="macro"))


# --- images --------------------------------------------------------------------------------------------


def original_sizes(config: Config, prepared: Prepared) -> list[tuple[int, int]]:
    """Width and height of some of the images in their files; none where they lie in no files of their own."""
    if prepared.meta.modality != "image" or not isinstance(config.data, FilesData) or not hasattr(config.data, "size"):
        return []
    tables = [table["file"] for table in prepared.splits.values() if "file" in table.columns]
    files = pl.concat([t.cast(pl.String) for t in tables]).drop_nulls().unique().sort() if tables else []
    some = files[:: max(len(files) // LOOKED_AT, 1)][:LOOKED_AT] if len(files) else []
    root = at(config.data.path)
    reach = Reach(root if root.is_dir() else root.parent, config.data.roots)
    return [size for name in some for size in _size(reach, name)]


def _size(reach: Reach, name: str) -> Iterator[tuple[int, int]]:
    from PIL import Image

    quiet = warnings.catch_warnings(action="ignore"), contextlib.suppress(Exception)  # it is told of where it is read
    with quiet[0], quiet[1], open_file(resolve(reach, name)) as file, Image.open(file) as image:
        yield image.size


def small_images(config: Config, sizes: list[tuple[int, int]]) -> str | None:
    """Photographs whose details the model is not shown."""
    size: int | None = getattr(config.data, "size", None)
    if not sizes or size is None:
        return None
    side = median(min(size) for size in sizes)
    name = encoders.resolve(config.encoder, "image")
    wants = hasattr(encoders.ENCODERS[name], "image_side")
    if side < LARGER * size or (wants and (size >= 128 or reads_originals(config))):
        return None
    wanted = {
        "transformer": "data.size = 224, what most image models were trained on",
        "efficientnet": "data.size = 128, what the encoder looks at",
    }
    remedy = wanted.get(name) or encoders.better(name, sized=_sized(config))
    return (
        f"the model sees {size} x {size} pixels of images of about {side:.0f} (data.size): what tells classes apart "
        f"may be gone; then take {remedy}"
    )


def idle_generator(config: Config, prepared: Prepared, sizes: list[tuple[int, int]]) -> str | None:
    """A generator that draws photographs softly, which costs time and is seldom confirmed."""
    if not sizes or generator_for(config.generate.generator, "image") is None or config.generate.max_share == 0:
        return None
    if getattr(config.data, "mode", "RGB") != "RGB" or median(min(size) for size in sizes) < LARGER * 32:
        return None
    return (
        "the generator draws softly, at 32 x 32 pixels at most: of photographs hardly any of its samples pass, and it "
        'takes a large part of the first rounds\' time; generate.generator = "none" lost nothing where it was measured'
    )


# --- tables --------------------------------------------------------------------------------------------


def unused_split(config: Config, prepared: Prepared) -> str | None:
    """A column that says each row's split and that the config does not name."""
    if getattr(config.data, "split_column", "") is not None:  # named, or a source that has no such column
        return None
    everything = pl.concat(prepared.splits.values(), how="diagonal_relaxed")
    for name in everything.columns:
        values = everything[name]
        if values.dtype not in (pl.String, pl.Categorical, pl.Enum) or name in ("label", prepared.meta.modality):
            continue
        if values.n_unique() > 2 * len(SPLIT_WORDS):
            continue
        there = values.cast(pl.String).drop_nulls().str.strip_chars().str.to_lowercase().value_counts(sort=True)
        said = set(there[there.columns[0]].to_list())
        if len(said) > 1 and (said <= SPLIT_WORDS or (name.lower() in SPLIT_NAMES and said & SPLIT_WORDS)):
            shown = listing((f"{value} {rows:,}" for value, rows in there.iter_rows()), 6)
            lead = f"the column {name!r} ({shown}) looks like each row's split and is not used"
            ours = "" if said <= set(SPLITS) else f", with its values renamed to some of {', '.join(SPLITS)}"
            return f'{lead}: set data.split_column = "{name}"{ours}'
    return None


def spelling(prepared: Prepared) -> str | None:
    """Classes whose names are the same but for case, blanks, hyphens or accents."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in prepared.meta.classes:
        alike[folded(name)].append(name)
    rows = {c: sum(by.get(c, 0) for by in prepared.class_counts.values()) for c in prepared.meta.classes}
    twins = [", ".join(f"{name!r} ({rows[name]})" for name in names) for names in alike.values() if len(names) > 1]
    if not twins:
        return None
    return (
        f"classes that differ only by case, blanks, hyphens or accents: {'; '.join(twins[:5])}"
        f"{f'; and {len(twins) - 5} more' if len(twins) > 5 else ''}; spell them alike if they are one"
    )


def folded(name: str) -> str:
    """A name without what people write now so, now so."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return re.sub(r"(?<=\w)[\s_\-‐-―]+(?=\w)", "", bare.strip())


def odd_labels(config: Config, prepared: Prepared) -> str | None:
    """Labels that look like something else than classes."""
    if getattr(config.data, "known_classes", ()) or prepared.meta.multi:
        return None
    totals = [sum(by.get(c, 0) for by in prepared.class_counts.values()) for c in prepared.meta.classes]
    once, number, rows = sum(total <= 1 for total in totals), len(totals), sum(totals)
    what = looks_like(prepared.meta.classes)
    one_each, few_each = once >= number / 2, median(totals) <= 2
    odd = {
        None: one_each and number > 0.8 * rows,
        "numbers": one_each or (few_each and not _in_a_row(prepared.meta.classes)),
        "measurements": few_each or number >= MANY,
        "dates": few_each or number >= MANY,
        "texts": True,
    }
    if number < FEW or not odd[what]:
        return None
    named = getattr(config.data, "label_column", None)
    column = f" in the column {named!r}" if named else ""
    kinds = {None: "names of single rows", "numbers": "numbers or an index"}
    kind = f"{kinds.get(what, what)} rather than classes"
    return (
        f"the labels{column} look like {kind}: {number} different ones in {rows} labelled rows, {once} of them only "
        f"once, as {listing(map(repr, prepared.meta.classes[:3]))}{_set_column(prepared) if named else ''}"
    )


def _in_a_row(names: tuple[str, ...]) -> bool:
    """Whether they are the numbers of classes: whole ones without a gap."""
    numbers = {float(name) for name in names if re.fullmatch(NUMBER, name)}
    return bool(numbers) and max(numbers) - min(numbers) + 1 == len(numbers)


def looks_like(names: tuple[str, ...]) -> str | None:
    """numbers, measurements (not whole), dates or texts; None where names are like those of classes."""
    numbers = [float(name) for name in names if re.fullmatch(NUMBER, name)]
    if len(numbers) >= 0.9 * len(names):
        return "numbers" if all(x == int(x) for x in numbers) else "measurements"
    if sum(bool(re.match(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}", name)) for name in names) >= 0.9 * len(names):
        return "dates"
    return "texts" if median(len(name.split()) for name in names) >= 5 else None


def _set_column(prepared: Prepared) -> str:
    """The remedy: which columns could hold the classes."""
    table = prepared.splits["seed"]
    ours = ("sample_id", "label", prepared.meta.modality, "file")
    fits = [name for name in table.columns if name not in ours and 2 <= table[name].drop_nulls().n_unique() <= 50
            and not table[name].dtype.is_nested() and table[name].dtype != pl.Binary]  # fmt: skip
    return f". Set data.label_column to the column of classes{f', as {listing(fits, 5)}' if fits else ''}"
