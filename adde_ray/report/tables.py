"""The words and tables of the report: a `RunRecord` in, plain rows for the template out."""

from __future__ import annotations

from collections import Counter

from adde_ray.report.figures import reaches_random, seconds_per_stage
from adde_ray.report.read import RunRecord, gap_name

MAX_GAPS = 150  # rows of the gap table
MAX_REGRESSIONS = 40  # rows of the table of classes that fell
SPARK = (96, 22)  # width and height of a severity curve, CSS pixels


def sentence(record: RunRecord) -> str:
    """The run in one sentence."""
    meta, asked = record.meta, record.summary["num_asked"]
    what = {"image": "images", "text": "texts", "vector": "vectors"}[meta.modality]
    source = record.config.get("data", {}).get("source", "data")
    pool = meta.num_rows.get("pool")
    rows = f", {pool:,} {what} in the pool" if pool is not None else f", {what}"
    done = sum((r.manifest or {}).get("asked", 0) > 0 for r in record.rounds)
    bought = f"{_count(asked, 'label')} bought" if record.by_people else f"{_count(asked, 'sample')} looked at"
    spent = f"{bought} in {_count(done, 'round')}" if asked else "no label bought yet"
    ending = {
        "finished": f"Stopped: {record.summary['stop_reason']}.",
        "awaiting_review": f"Round {record.last.t} waits for people to answer.",
        "running": f"Round {record.last.t} is not over." if record.last.manifest is None else "Not finished.",
    }[record.summary["status"]]
    if record.config.get("review", {}).get("annotator") == "simulated":
        ending += " The answers are simulated from the pool's hidden labels."
    if not record.by_people:
        ending += " The model answers for itself: no person labels anything."
    classes = f"{len(meta.classes)} classes{', of which several may hold at once' if meta.multi else ''}"
    return f"{source.replace('_', ' ').capitalize()}: {classes}{rows}; {spent}. {ending}"


def key_figures(record: RunRecord) -> list[dict]:
    """Tiles of `name`, `value` and a `note` that says what to compare it with; where random selection was run beside
    it, its figure as `beside`. `trend`: better or worse than at the start; `against`: than random selection.
    """
    split = record.headline
    tiles = [_change(record, f"macro-F1, {split}", split, "macro_f1")]
    seeds = int((record.dataset["round"] == 0).sum())
    tiles.append(
        {"name": "labels bought", "value": f"{record.summary['num_labels']:,}", "note": f"and {seeds} in the seed set"}
    )
    if saving := saving_text(record):
        tiles.append(saving)
    tiles.append(_change(record, "M_div", "diversity", "m_div"))
    tiles.append(_change(record, f"worst class's recall, {split}", split, "worst_class_recall"))
    gaps = gap_rows(record)
    if gaps:
        filled = sum(g["status"] == "filled" for g in gaps)
        tiles.append({"name": "gaps filled", "value": str(filled), "note": f"of {len(gaps)} found"})
    made = int((record.dataset["origin"] == "synthetic").sum())
    if any(r.synthetic is not None and len(r.synthetic) for r in record.rounds):
        tiles.append({"name": "synthetic rows", "value": str(made), "note": f"of {len(record.dataset)} in the dataset"})
    return tiles


def saving_text(record: RunRecord) -> dict | None:
    """What random selection needed and this run did; None without the comparison."""
    found = reaches_random(record)
    if found is None:
        return None
    name, rival = "labels to random's level", f"random: {found['random_labels']:,} for {found['level']:.3f}"
    return {"name": name, "value": "–" if found["labels"] is None else f"{found['labels']:,}", "note": rival}


def gap_rows(record: RunRecord) -> list[dict]:
    """One row a gap, as last seen: open ones first, the most severe on top. `spark`: an SVG path of its severity."""
    last: dict[str, dict] = {}
    severity: dict[str, list[tuple[int, float]]] = {}
    for r in record.rounds:
        for row in [] if r.gaps is None else r.gaps.iter_rows(named=True):
            last[row["gap_id"]] = row
            if row["status"] == "open" or row["filled_round"] == r.t:
                severity.setdefault(row["gap_id"], []).append((r.t, row["severity"] or 0.0))
    ordered = sorted(
        last.values(), key=lambda g: (g["status"] != "open", -(g["severity"] or 0), g["opened_round"], g["gap_id"])
    )
    rounds = len(record.rounds)
    return [
        {
            "id": g["gap_id"],
            "name": gap_name(g),
            "in_words": g.get("in_words"),  # of an earlier version none
            "kind": g["kind"].replace("_", " "),
            "status": g["status"],
            "opened": g["opened_round"],
            "filled": g["filled_round"],
            "severity": g["severity"],
            "labelled": g["num_labelled"],
            "pool": g["num_pool"],
            "tried": (g["num_synthesised"] or 0, g["num_asked"] or 0, g["num_confirmed"] or 0),
            "inside": g.get("num_inside"),  # of the asked; the first version did not count it
            "spark": _spark(severity.get(g["gap_id"], []), rounds),
        }
        for g in ordered
    ]


def regression_rows(record: RunRecord) -> list[dict]:
    """Each fall of a class's recall on val from one round to the next: the largest first, with the last recall."""
    latest = record.last.metrics.get("val", {}).get("recall", {})
    falls = [
        {"t": r.t, "label": label, "from": fall["from"], "to": fall["to"], "last": latest.get(label)}
        for r in record.rounds
        for label, fall in r.metrics.get("regressions", {}).items()
    ]
    return sorted(falls, key=lambda f: (f["to"] - f["from"], f["t"], f["label"]))


def adaptation_rows(record: RunRecord) -> list[dict]:
    """Every change a rule made, in order."""
    return [
        {"t": r.t, **{k: _value(change.get(k)) for k in ("rule", "what", "from", "to", "reason")}}
        for r in record.rounds
        for change in (r.manifest or {}).get("adaptation", [])
    ]


def loss_text(record: RunRecord) -> str:
    """Which losses val chose in how many rounds, in one sentence; empty where there was no choice."""
    train, losses = record.config.get("train", {}), [r.loss for r in record.rounds if r.loss]
    if not losses or not any(len(train.get(name, ())) > 1 for name in losses[0]):
        return ""
    chosen = Counter(", ".join(f"{name} {value:g}" for name, value in loss.items()) for loss in losses)
    told = [f"{what} in {_count(times, 'round')}" for what, times in chosen.most_common()]
    return f"The model's loss, as val chose it: {'; '.join(told)}."


def head_text(record: RunRecord) -> str:
    """The last round's head, in one sentence or two; empty where f is no linear head."""
    head = next((r.head for r in reversed(record.rounds) if r.head), None)
    if head is None:
        return ""
    penalty = f"penalty {head['decay']:g}" if head["per_row"] else f"penalty {head['decay']:g} / rows"
    told = f"The head, as rows it did not see chose it: {penalty}, features flattened by {head['flatten']:g}."
    drawn = head["prototypes"]
    if not head["described"]:
        return told
    if drawn is None:
        return f"{told} What the classes are called is not used: rows held out speak against it."
    kind = f"rows of their own, and weights drawn towards them by {drawn:g}" if drawn else "rows of their own"
    return f"{told} Descriptions of the classes are {kind}."


def time_text(record: RunRecord) -> str:
    """Where the time went, in one sentence; empty when nothing was timed."""
    totals = {stage: sum(by.values()) for stage, by in seconds_per_stage(record).items()}
    whole = sum(totals.values())
    if not whole:
        return ""
    most = sorted(totals.items(), key=lambda item: -item[1])[:3]
    return f"{_seconds(whole)} in all: " + ", ".join(f"{s} {_seconds(x)} ({x / whole:.0%})" for s, x in most) + "."


def flat(tree: dict, at: str = "") -> list[tuple[str, str]]:
    """A nested dict as (dotted key, value) rows."""
    rows = []
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            rows += flat(value, f"{at}{key}.")
        else:
            rows.append((f"{at}{key}", _value(value)))
    return rows


def _spark(points: list[tuple[int, float]], rounds: int) -> dict | None:
    if not points:
        return None
    width, height = SPARK
    x = [3 + (width - 6) * t / max(1, rounds - 1) for t, _ in points]
    y = [3 + (height - 6) * (1 - min(1.0, max(0.0, s))) for _, s in points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return {"points": path, "x": f"{x[-1]:.1f}", "y": f"{y[-1]:.1f}"}


def _change(record: RunRecord, name: str, split: str, metric: str) -> dict:
    known = [v for v in record.curve(split, metric) if v is not None]
    if not known:
        return {"name": name, "value": "–", "note": "not measured"}
    first, last = known[0], known[-1]
    arrow = {"better": "▲ ", "worse": "▼ ", "": ""}[trend := _trend(first, last)]
    tile = {"name": name, "value": f"{last:.3f}", "trend": trend}
    tile["note"] = f"{arrow}from {first:.3f}" if len(known) > 1 else "round 0 only"
    random = [v for v in record.random_curve(split, metric) if v is not None]
    if random:
        tile |= {"beside": f"random: {random[-1]:.3f}", "against": _trend(random[-1], last)}
    return tile


def _trend(before: float, now: float) -> str:
    """What a figure that should be large has become, as far as three decimals tell."""
    change = round(now, 3) - round(before, 3)
    return "" if abs(change) < 5e-4 else "better" if change > 0 else "worse"


def _value(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value)) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items()) or "–"
    return str(value)


def _seconds(x: float) -> str:
    if x < 90:
        return f"{x:.1f} s"
    return f"{x / 60:.0f} min" if x < 5400 else f"{x / 3600:.1f} h"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
