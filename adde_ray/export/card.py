"""The dataset card of an export: README.md with the YAML header Hugging Face reads.

What a run's artifacts say → Markdown. Every sentence is a fact of the run or of the method; what the run
cannot know (licence, purpose, creators) is named as missing. Text of the user is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from adde_ray.export.hf_features import SplitSize, card_header
from adde_ray.export.markdown import escape, table
from adde_ray.export.originals import NAMED, Images
from adde_ray.labels import count

PAYLOAD_WORDS = {"image": "images", "text": "texts", "vector": "vectors"}
ACTION_WORDS = {"accept": "accepted", "correct": "corrected", "reject": "rejected", "flag": "flagged"}

MAX_ROUND_COLUMNS = 8
"""Rounds shown side by side in the table of class counts; first and last always are."""

MAX_GAPS = 50
"""Open gaps listed, the most severe first."""


@dataclass(frozen=True)
class Round:
    """A committed round: its metrics.json and manifest.json."""

    t: int
    metrics: dict
    manifest: dict


@dataclass(frozen=True)
class Facts:
    """All the card is made from.

    splits: exported split -> its rows, `label` as class names, subgroup columns as exported; `train` also has
    round, origin, generator, annotators. gaps: GAPS of the last committed round. decisions: DECISIONS of all rounds.
    """

    name: str
    modality: str
    classes: tuple[str, ...]
    subgroups: tuple[str, ...]
    config: dict
    splits: dict[str, pl.DataFrame]
    features: dict  # see hf_features.features
    rounds: list[Round]
    gaps: pl.DataFrame | None
    decisions: pl.DataFrame
    fingerprint: str = ""  # identity of the training samples, their labels and lineage
    num_rejected: int = 0
    multi: bool = False  # several classes may hold of a sample
    renamed: dict[str, str] = field(default_factory=dict)
    finished: datetime | None = None  # when the last round ended
    images: Images | None = None  # where the samples are images

    @property
    def train(self) -> pl.DataFrame:
        """The rows of the split train."""
        return self.splits["train"]

    def counts(self, rows: pl.DataFrame) -> dict[str, int]:
        """Class -> rows of which it holds."""
        return count(rows["label"], self.classes, multi=self.multi)

    @property
    def stop_reason(self) -> str | None:
        """Why the run ended; None where it has not, or has no round."""
        return self.rounds[-1].manifest.get("stop_reason") if self.rounds else None

    @property
    def num_synthetic(self) -> int:
        """Synthetic rows of train."""
        return int((self.train["origin"] == "synthetic").sum())


def card(facts: Facts, sizes: dict[str, SplitSize]) -> str:
    """The whole README.md. sizes: exported split -> what its file holds."""
    head = card_header(
        name=facts.name,
        modality=facts.modality,
        features_json=facts.features,
        sizes=sizes,
        synthetic=facts.num_synthetic > 0,
        multi=facts.multi,
    )
    parts = [head, f"# {escape(facts.name)}\n"]
    for title, text in (
        ("", _summary(facts)),
        ("Use", _use(facts)),
        ("Images", _images(facts)),
        ("Classes", _classes(facts)),
        ("Where the samples come from", _origins(facts)),
        ("Subgroups", _subgroups(facts)),
        ("Class representation over rounds", _over_rounds(facts)),
        ("What each round changed", _rounds(facts)),
        ("Known gaps", _gaps(facts)),
        ("Annotation", _annotation(facts)),
        ("Limits", _limits(facts)),
    ):
        if text:
            parts += [f"## {title}\n" if title else "", text.rstrip() + "\n"]
    return "\n".join(part for part in parts if part)


def describe(facts: Facts) -> str:
    """What the dataset is, in one plain sentence."""
    several = ", of which several may hold at once" if facts.multi else ""
    what = f"{len(facts.train)} labelled {PAYLOAD_WORDS[facts.modality]} in {len(facts.classes)} classes{several}"
    rounds = _num_rounds(facts)
    how = f"a seed set grown over {rounds} round{'s' * (rounds != 1)}" if rounds else "the seed set"
    return f"{what}: {how} of an active-learning run of ADDE (Adaptive Diversity-aware Dataset Enhancement)."


def describe_images(facts: Facts) -> str:
    """What the column `image` holds, in plain sentences; nothing where samples are no images."""
    if facts.images is None:
        return ""
    seen = "{} × {} pixels".format(*facts.images.model_size)
    if not facts.images.wanted:
        return f"Every image is as the model saw it, {seen}."
    return (
        "An image is the original, byte for byte, and `image.path` the name of its file. Where that is null, the image "
        f"is as the model saw it, {seen}: synthetic samples, and those whose original is not there any more."
    )


# --- sections ------------------------------------------------------------------------------------------


def _summary(facts: Facts) -> str:
    if facts.stop_reason:
        state = f"The run is finished. It stopped after round {facts.rounds[-1].t}: {escape(facts.stop_reason)}."
    elif facts.rounds:
        state = f"**The run is not finished.** This is the dataset after round {facts.rounds[-1].t}; it will grow."
    else:
        state = "**The run is not finished.** No round is over yet: this is the seed set."
    when = f" The last round ended on {facts.finished:%Y-%m-%d} (UTC)." if facts.finished else ""
    when += f" Fingerprint of train: `{facts.fingerprint}`." if facts.fingerprint else ""
    sizes = table(["Split", "Samples"], [[split, len(rows)] for split, rows in facts.splits.items()])
    return f"{describe(facts)}\n\n{state}{when}\n\n{sizes}"


def _use(facts: Facts) -> str:
    names = (
        "round",
        "origin",
        "gap_id",
        "generator",
        "parents",
        "chosen_by",
        "lit_by",
        "U",
        "Div",
        "Q",
        "decision_ids",
        "annotators",
    )
    lineage = ", ".join(f"`{name}`" for name in names)
    renamed = "".join(
        f" The source's column {escape(old)} is {escape(new)} here." for old, new in facts.renamed.items()
    )
    label = "its class"
    if facts.multi:
        label = "a list of the classes that hold (empty: none), `unknown` of those nobody could tell"
    return (
        "```python\nfrom datasets import load_dataset  # datasets >= 4\n\n"
        'data = load_dataset("path/to/this/folder")\n```\n\n'
        f"`{facts.modality}` is the sample, `label` {label}, `sample_id` a hash of what the model saw of it; "
        "`labels.csv` has every label by name, with a ' before what a spreadsheet would run as a formula. Each "
        f"training sample carries its lineage: {lineage}. `round` is the version of the dataset it first appears in "
        "(0 = seed set); `U`, `Div` and `Q` are its uncertainty, diversity and quality when it was chosen, in [0, 1]. "
        f"`decision_ids` point into the run's decisions, which are not part of this folder.{renamed}"
    )


def _images(facts: Facts) -> str:
    images = facts.images
    if images is None or not images.wanted:
        return describe_images(facts)
    rows = []
    for split, samples in facts.splits.items():
        ids = samples["sample_id"].to_list()
        lacking = sum(i in images.lacking for i in ids)
        originals = sum(i in images for i in ids)
        rows.append([split, originals, len(ids) - originals - lacking, lacking])
    text = f"{describe_images(facts)}\n\n"
    if not images.all_open:
        text += (
            "Some originals are of formats that Pillow does not read, such as tiles of many bands: `image` is loaded "
            "as bytes and name, not as a picture. A program made for them reads the bytes.\n\n"
        )
    text += table(["Split", "Originals", "Synthetic", "Original not there"], rows)
    if images.lacking:
        more = f"\n{len(images.lacking) - NAMED} more are not listed.\n" if len(images.lacking) > NAMED else ""
        text += f"\n{table(['Original not there', 'Why'], images.listed())}{more}"
    return text


def _classes(facts: Facts) -> str:
    counts = {split: facts.counts(rows) for split, rows in facts.splits.items()}
    synthetic = facts.train.filter(pl.col("origin") == "synthetic")
    made = facts.counts(synthetic)
    total = max(len(facts.train), 1)
    rows = []
    for name in facts.classes:
        held = [counts[split].get(name, 0) for split in facts.splits]
        rows.append([name, *held, _share(counts["train"].get(name, 0), total), made.get(name, 0)])
    return table(["Class", *facts.splits, "share of train", "synthetic in train"], rows)


def _origins(facts: Facts) -> str:
    total = len(facts.train)
    origins = [[name, n, _share(n, total)] for name, n in _counts(facts.train["origin"])]
    text = table(["Origin", "Samples in train", "Share"], origins)
    if facts.num_synthetic:
        made = [[name, n, _share(n, total)] for name, n in _counts(facts.train["generator"].drop_nulls())]
        text += "\n" + table(["Generator", "Samples in train", "Share"], made)
    return text


def _subgroups(facts: Facts) -> str:
    text = ""
    for column in facts.subgroups:
        values = facts.train[column].cast(pl.String).fill_null("(unknown)")
        rows = [[value, n, _share(n, len(values))] for value, n in _counts(values)]
        text += table([column, "Samples in train", "Share"], rows) + "\n"
    return text


def _over_rounds(facts: Facts) -> str:
    last = _num_rounds(facts)
    if last == 0:
        return ""
    step = max(MAX_ROUND_COLUMNS - 1, 1)
    shown = sorted({round(i * last / step) for i in range(step + 1)})
    grown = [facts.train.filter(pl.col("round") <= t) for t in shown]
    counts = list(map(facts.counts, grown))
    rows = [[name, *(count.get(name, 0) for count in counts)] for name in facts.classes]
    rows.append(["(all)", *map(len, grown)])
    return "Samples of each class in D_t, the dataset that round t trained on.\n\n" + table(
        ["Class", *(f"D_{t}" for t in shown)], rows
    )


def _rounds(facts: Facts) -> str:
    if not facts.rounds:
        return ""
    added = facts.train.filter(pl.col("origin") == "synthetic")
    made = dict(added.group_by("round").len().iter_rows())
    rows = []
    for r in facts.rounds:
        metrics, manifest = r.metrics, r.manifest
        macro_f1, m_div = metrics.get("val", {}).get("macro_f1"), metrics.get("diversity", {}).get("m_div")
        gaps = [metrics.get("gaps", {}).get(name) for name in ("open", "new", "filled")]
        bought = [manifest.get("asked", 0), manifest.get("confirmed", 0), made.get(r.t + 1, 0)]
        measured = [r.t, metrics.get("num_samples"), _figure(macro_f1), _figure(m_div), *gaps]
        rows.append([*measured, *bought, _adaptation(manifest.get("adaptation", []))])
    head = ["Round", "Samples", "Macro-F1 (val)", "M_div", "Gaps open", "opened", "filled"]
    head += ["Asked", "Confirmed", "of these synthetic", "What adapted, and why"]
    return (
        "Samples, macro-F1, diversity (M_div) and gaps are those of the dataset the round began with; what it asked "
        "about and confirmed enters the next one.\n\n" + table(head, rows)
    )


def _gaps(facts: Facts) -> str:
    if facts.gaps is None:
        return ""
    seen = f"as of round {facts.rounds[-1].t}"
    still = facts.gaps.filter(pl.col("status") == "open").sort(["severity", "gap_id"], descending=[True, False])
    if still.is_empty():
        return f"No gap is open {seen}."
    rows = []
    for gap in still.head(MAX_GAPS).iter_rows(named=True):
        tried = f"{gap['num_asked'] or 0} asked, {gap['num_confirmed'] or 0} confirmed"
        tried += f", {gap['num_synthesised']} synthesised" if gap["num_synthesised"] else ""
        about = [gap["gap_id"], gap["kind"], gap["subgroup"] or gap["label"], _figure(gap["severity"], 2)]
        rows.append([*about, gap["num_labelled"], gap["num_pool"], gap["opened_round"], tried, gap.get("in_words")])
    more = f"\n{len(still) - MAX_GAPS} less severe gaps are not listed.\n" if len(still) > MAX_GAPS else ""
    head = ["Gap", "Kind", "Class or subgroup", "Severity", "Labelled inside", "Pool inside", "Open since round"]
    return (
        f"Under-represented regions, classes and subgroups still open {seen}. Severity lies in [0, 1]; 1 means "
        "nothing labelled there.\n\n" + table([*head, "What was tried", "What sets it apart"], rows) + more
    )


def _annotation(facts: Facts) -> str:
    select = facts.config.get("select", {})
    terms = (select.get("alpha"), select.get("beta"), select.get("gamma"))
    how = "\n".join(
        [
            _annotator_words(facts),
            f"Each round chose at most {select.get('batch')} samples to ask about, by {escape(select.get('selector'))} "
            f"on {terms[0]}·U + {terms[1]}·Div + {terms[2]}·Q at the start. Labels of the seed set and of the held-out "
            "splits came with the source data and were not reviewed.",
        ]
    )
    if facts.decisions.is_empty():
        return how + "\n\nNo decision has been taken yet."
    acts = [[ACTION_WORDS.get(name, name), n] for name, n in _counts(facts.decisions["action"])]
    shares = [[name, n, _share(n, len(facts.train))] for name, n in _counts(facts.train["annotators"].explode())]
    decided = dict(_counts(facts.decisions["annotator"]))
    names = sorted(decided.keys() | {name for name, *_ in shares})
    held = {name: rest for name, *rest in shares}
    rows = [[name, decided.get(name, 0), *held.get(name, [0, _share(0, 1)])] for name in names]
    return (
        f"{how}\n\n{table(['Decision', 'Times'], acts)}\n"
        f"{table(['Annotator', 'Decisions', 'Samples in train', 'Share of train'], rows)}"
    )


def _annotator_words(facts: Facts) -> str:
    review = facts.config.get("review", {})
    if _simulated(facts):
        if people := review.get("people"):
            return f"**No person answers in this run.** {len(people)} simulated annotators do, from labels held back."
        if review.get("replay"):
            return "**No person answers in this run.** Answers that people gave before are given again."
        rate = review.get("error_rate")
        wrong = f" with an error rate of {escape(rate)}" if rate else ""
        return f"**No person answers in this run.** A simulated annotator does, from labels held back{wrong}."
    if review.get("annotator") == "model":
        sure = escape(review.get("min_confidence"))
        return f"**No person answers in this run.** The model's own label is taken where its confidence reaches {sure}."
    if review.get("annotator") == "file":
        return "People answer through a review file, one row per sample."
    if review.get("annotator") == "page":
        several = "" if review.get("overlap") == 1 else f", overlap {escape(review.get('overlap'))}"
        return f"People answer on a review page{several}; what they said, person by person, is kept with the run."
    return f"Annotator: {escape(review.get('annotator'))}."


def _limits(facts: Facts) -> str:
    limits = [
        "Licence, creators, intended use and how the source data was collected are not known to the run. "
        "Fill them in before publishing: `license` in this file's header, and `license`, `creator`, `url` and "
        "`datePublished` in `croissant.json`.",
        "Training samples were chosen for what they teach, not at random: class and subgroup shares here say nothing "
        "about how common they are in the source.",
    ]
    if "validation" in facts.splits:
        limits.append(
            "The validation split steered the run, so figures on it are optimistic; test and ood, where present, "
            "only report."
        )
    counts = facts.counts(facts.train)
    if absent := [name for name in facts.classes if not counts.get(name)]:
        limits.append(f"Classes without a training sample: {', '.join(map(escape, absent))}.")
    elif len(counts) > 1:
        most, least = max(counts.values()), min(counts.values())
        limits.append(f"The most common class has {most} training samples, the rarest {least}.")
    if facts.num_synthetic:
        share = _share(facts.num_synthetic, len(facts.train))
        limits.append(f"{share} of train is synthetic: filter on `origin` for real samples alone.")
    for column in facts.subgroups:
        if unknown := facts.train[column].null_count():
            limits.append(f"{escape(column)} is unknown for {unknown} training samples.")
    if facts.num_rejected:
        limits.append(f"{facts.num_rejected} rows of the source could not be used and were set aside.")
    return "\n".join(f"- {limit}" for limit in limits)


# --- helpers -------------------------------------------------------------------------------------------


def _simulated(facts: Facts) -> bool:
    return facts.config.get("review", {}).get("annotator") == "simulated"


def _num_rounds(facts: Facts) -> int:
    """Rounds that bought labels."""
    return max([*facts.train["round"].drop_nulls(), *(r.t for r in facts.rounds)], default=0)


def _adaptation(changes: list[dict]) -> str:
    """Changes with one reason are told together. The text is escaped by the table."""
    told: dict[tuple, list[str]] = {}
    for change in changes:
        moved = f"{change['what']} {_figure(change['from'])} → {_figure(change['to'])}"
        told.setdefault((change["rule"], change["reason"]), []).append(moved)
    return "; ".join(f"{', '.join(moved)} ({rule}: {reason})" for (rule, reason), moved in told.items())


def _counts(values: pl.Series) -> list[tuple[str, int]]:
    """Value -> times, most frequent first, ties by name."""
    counted = values.drop_nulls().value_counts(name="times")
    return sorted(counted.iter_rows(), key=lambda pair: (-pair[1], pair[0]))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _figure(value: object, digits: int = 3) -> object:
    return f"{value:.{digits}f}" if isinstance(value, float) else value
