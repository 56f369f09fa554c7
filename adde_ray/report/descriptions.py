"""What the classes were described by, and what the model made of it: a `RunRecord` in, plain rows for the template."""

from __future__ import annotations

from adde_ray.report.read import RunRecord

MAX_SHOWN = 60
"""Example files shown."""

BY = {"name": "its name", "words": "words", "files": "example files"}


def described(record: RunRecord) -> dict | None:
    """`told` (what the model made of it), `rows` (`label`, `by`, `said`: phrases) of all classes and `shown` (`id`,
    `label` of example files); None where nothing is said of any class."""
    unread = _unread(record)
    if record.descriptions is None and not unread:
        return None
    rows, shown = {}, []
    if record.descriptions is not None:
        for row in record.descriptions.select("label", "source", "described_by").iter_rows(named=True):
            of, by = row["described_by"], row["source"]
            if by == "files":
                shown += [{"id": sample_id, "label": row["label"]} for sample_id in of]
                of = [f"{len(of)} of them"]
            rows[row["label"]] = {"by": BY[by], "said": of}
    for label, of in unread.items():
        rows[label] = {"by": "words that the encoder does not read", "said": of}
    nothing = {"by": "nothing", "said": []}
    told = _use(record) if record.descriptions is not None and len(record.descriptions) else ""
    return {
        "told": told,
        "rows": [{"label": label} | rows.get(label, nothing) for label in record.meta.classes],
        "shown": shown[:MAX_SHOWN],
    }


def _unread(record: RunRecord) -> dict[str, list[str]]:
    """Class → the words of its config that came to nothing."""
    said = record.config.get("data", {}).get("describe")
    known = set() if record.descriptions is None else set(record.descriptions["label"])
    given = said.items() if isinstance(said, dict) else ()
    words = {label: [of] if isinstance(of, str) else list(of) for label, of in given if not isinstance(of, dict)}
    return {label: of for label, of in words.items() if label not in known}


def _use(record: RunRecord) -> str:
    """Whether the last round's model uses them, in one sentence or two."""
    head, last = record.last.head, record.last
    if head is None:
        if not last.metrics.get("num_samples"):
            return "No sample is labelled yet: the model compares samples with them."
        return (
            "The model does not learn from them. Before the first label it was a comparison with them, and they say "
            "where classes without a labelled sample lie."
        )
    tuned = record.config.get("train", {}).get("mode", "head") != "head"
    what = "The head that fine-tuning starts from" if tuned else "The head"
    heads = [r.head for r in record.rounds if r.head]
    used = sum(one["prototypes"] is not None for one in heads)
    counted = f" ({used} of {len(heads)} rounds did)" if 0 < used < len(heads) else ""
    if head["prototypes"] is None:
        return f"{what} does not use them{counted}: rows that it did not see speak against them."
    drawn = f", and its weights are drawn towards them by {head['prototypes']:g}" if head["prototypes"] else ""
    return f"{what} uses them{counted}: they are rows of their own among those it learns from{drawn}."
