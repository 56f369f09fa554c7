"""The charts, as plain plotly figures (`{"data": […], "layout": {…}}`): a `RunRecord` in, JSON-able dicts out.

Every user's string goes through `plain`: plotly reads a small HTML of its own in labels.
"""

from __future__ import annotations

import textwrap

from adde_ray.artifacts.m_div import IN_M_DIV
from adde_ray.artifacts.schema import CHOSEN_BY
from adde_ray.report.read import Round, RunRecord, lent, outcomes
from adde_ray.web.chart_style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RANDOM,
    RED,
    SERIES,
    SKY,
    bar,
    dotted,
    figure,
    heat,
    line,
    plain,
    round_axis,
    small,
    stacked,
)

STAGES = ("embed", "train", "analyse", "acquire", "score", "select", "review", "grow", "adapt")

LABELS = {
    "macro_f1": "Macro-F1",
    "accuracy": "Accuracy",
    "worst_class_recall": "Worst class's recall",
    "ece": "Calibration error (ECE)",
    "nll": "Negative log-likelihood",
    "rare_recall": "Rare classes' recall",
    "micro_f1": "Micro-F1",
    "macro_auroc": "Macro-AUROC",
    "macro_auprc": "Macro-AUPRC",
    "m_div": "M_div, overall diversity",
    "min_inter_cluster": "Closest clusters' distance",
    "max_intra_cluster": "Widest cluster's radius",
    "vendi": "Vendi score",
}


def name_of(key: str) -> str:
    """A metric's name in words."""
    return LABELS.get(key, key.replace("_", " ").capitalize())


# --- quality -------------------------------------------------------------------------------------------


def first_picture(record: RunRecord) -> dict:
    """Macro-F1 against labels bought: this run, random selection, and where this run reaches random's last level."""
    split = record.headline
    ours = _points([r.metrics for r in record.rounds], split)
    random = _points(record.random, split)
    data, notes, shapes = [], [], []
    above = not random or not ours or ours[-1][1] >= random[-1][1]
    if random:
        x, y = zip(*random, strict=True)
        data.append(line(x, y, "random", RANDOM, "random: %{y:.3f} with %{x} labels"))
        notes.append(_end_label(random[-1], "random", GREY, up=not above))
    if ours:
        style = {"color": BLUE, "width": 3}
        x, y = zip(*ours, strict=True)
        data.append(line(x, y, "ADDE", style, "ADDE: %{y:.3f} with %{x} labels"))
        notes.append(_end_label(ours[-1], "ADDE", BLUE, up=above))
    saving = reaches_random(record)
    if saving and saving["labels"] is not None:
        mark, note, shapes = _reached(saving)
        data.append(mark)
        notes.append(note)
    values = [y for _, y in ours + random]
    low = max(0.0, min(values, default=0.0) - 0.05)
    most = max((x for x, _ in ours + random), default=0)
    pad = max(0.5, 0.04 * most)
    spent = "labels bought" if record.by_people else "samples the model was asked about"
    return figure(
        data,
        f"{spent} (seed set of {_seed_rows(record)} not counted)",
        f"macro-F1 on {split}",
        height=420,
        annotations=notes,
        shapes=shapes,
        xaxis={"range": [-pad, most + pad]} | ({"dtick": 1} if most < 5 else {}),
        yaxis={"range": [low, min(1.0, max(values, default=1.0) + 0.05)]},
        margin={"r": 70},
    )


def _reached(saving: dict) -> tuple[dict, dict, list[dict]]:
    # A ring where random's last level is reached, its label, and dotted lines to both axes of the comparison.
    x, y, level = saving["labels"], saving["value"], saving["level"]
    shapes = [dotted(x, saving["random_labels"], level, level, GREY), dotted(x, x, 0, y, GREY)]
    ring = {"symbol": "circle-open", "size": 16, "color": RED, "line": {"width": 3}}
    hover = f"reaches random's last level ({level:.3f})<br>with {x} labels<extra></extra>"
    mark = {"type": "scatter", "mode": "markers", "x": [x], "y": [y], "marker": ring, "hovertemplate": hover}
    beside = {"xanchor": "right", "yanchor": "bottom", "xshift": -10, "yshift": 4}
    note = {"x": x, "y": y, "text": f"<b>{x} labels</b>", "showarrow": False, "font": {"color": RED}, **beside}
    return mark, note, shapes


def reaches_random(record: RunRecord) -> dict | None:
    """Where this run first reaches random's last level; `labels` is None while it does not. None without random."""
    ours = _points([r.metrics for r in record.rounds], record.headline)
    random = _points(record.random, record.headline)
    if not ours or not random:
        return None
    random_labels, level = random[-1]
    labels, value = next(((x, y) for x, y in ours if y >= level), (None, None))
    return {"level": level, "random_labels": random_labels, "labels": labels, "value": value}


def quality(record: RunRecord) -> list[tuple[str, dict]]:
    """(title, chart) per measure on val, random's dashed; the last one compares the splits."""
    keys = ["macro_f1", "worst_class_recall", "rare_recall", "accuracy", "ece", "macro_auroc", "macro_auprc"]
    keys += ["micro_f1"] if record.meta.multi else []  # where one class holds, it is the accuracy
    keys = [k for k in keys if any(_known(record.curve("val", k)))]
    charts = [(f"{name_of(k)}, val", _versus_random(record, "val", k)) for k in keys]
    splits = [s for s in ("val", "test", "ood") if any(_known(record.curve(s, "macro_f1")))]
    if len(splits) > 1:
        rounds = [r.t for r in record.rounds]
        colours: dict[str, str] = dict(zip(("val", "test", "ood"), (BLUE, GREEN, RED), strict=True))
        data = [
            line(rounds, record.curve(s, "macro_f1"), s, {"color": colours[s], "width": 2}, s + ": %{y:.3f}")
            for s in splits
        ]
        charts.append(("Macro-F1 on each split", small(data, legend=True)))
    return charts


def diversity(record: RunRecord) -> list[tuple[str, dict]]:
    """(title, chart) for M_div, each of its parts, then what else was measured; random's dashed."""
    keys = {k for r in record.rounds for k, v in r.metrics.get("diversity", {}).items() if _number(v)}
    parts = [k for k in ("m_div", *IN_M_DIV) if k in keys]
    charts = [(name_of(k), _versus_random(record, "diversity", k)) for k in parts]
    beside = sorted(keys.difference(parts))
    return charts + [(f"{name_of(k)} (not in M_div)", _versus_random(record, "diversity", k)) for k in beside]


def drift(record: RunRecord) -> list[tuple[str, dict]]:
    """(title, chart) of how far the dataset is from the pool and from val; empty when it was not measured."""
    rounds = [r.t for r in record.rounds]
    measures = {"mmd2": "Drift: MMD²", "p": "Its p-value", "moved": "Share that lies in other cells"}
    ends = {"pool_dataset": ("dataset from pool", BLUE), "dataset_val": ("dataset from val", GREEN)}
    charts = []
    for measure, title in measures.items():
        curves = {end: [r.metrics.get("drift", {}).get(end, {}).get(measure) for r in record.rounds] for end in ends}
        data = [
            line(rounds, values, ends[end][0], {"color": ends[end][1], "width": 2}, ends[end][0] + ": %{y:.3f}")
            for end, values in curves.items()
            if any(_known(values))
        ]
        if data:
            charts.append((title, small(data, legend=True)))
    return charts


def classes(record: RunRecord, limit: int = 40) -> dict[str, dict]:
    """Heat maps by class and round: labels held, and recall. At most `limit` classes: those with the fewest labels."""
    last = record.last.metrics.get("per_class", {})
    names = sorted(record.meta.classes, key=lambda c: (-(last.get(c) or 0), c))[-limit:][::-1]
    rounds = [r.t for r in record.rounds]
    held = [[r.metrics.get("per_class", {}).get(c, 0) for r in record.rounds] for c in names]
    most = max([1, *(n for row in held for n in row)])
    split = record.headline
    recall = [[r.metrics.get(split, {}).get("recall", {}).get(c) for r in record.rounds] for c in names]
    return {
        "held": heat(rounds, names, held, "rows", "%{text}, round %{x}: %{z} rows", zmin=0, zmax=most),
        "recall": heat(rounds, names, recall, "recall", "%{text}, round %{x}: recall %{z:.2f}", zmin=0, zmax=1),
    }


# --- what adapts ---------------------------------------------------------------------------------------


def weights(record: RunRecord) -> dict:
    """α, β, γ per round; a triangle where a rule changed something, with its reason on hover."""
    used = {r.t: r.manifest["weights"] for r in record.rounds if r.manifest and r.manifest.get("weights")}
    if record.last.manifest is None:  # a round that is not over uses what the one before decided
        before = record.rounds[-2].manifest if len(record.rounds) > 1 else None
        used[record.last.t] = before["policy"] if before else record.config.get("select", {})
    x = list(used)
    data = []
    for key, symbol, colour in (("alpha", "α", BLUE), ("beta", "β", ORANGE), ("gamma", "γ", GREEN)):
        name = f"{symbol} ({ {'alpha': 'uncertainty', 'beta': 'diversity', 'gamma': 'quality'}[key] })"
        y = [w.get(key) for w in used.values()]
        data.append(line(x, y, name, {"color": colour, "width": 2, "shape": "hv"}, symbol + " = %{y:.3f}"))
    changed = [r for r in record.rounds if r.manifest and r.manifest.get("adaptation")]
    top = max((y for trace in data for y in trace["y"] if y is not None), default=1.0) * 1.12
    if changed:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "a rule changed something (hover)",
                "x": [r.t + 1 for r in changed],  # where the change takes effect
                "y": [top] * len(changed),
                "marker": {"symbol": "triangle-down", "size": 12, "color": RED},
                "hovertext": ["<br>".join(_changes(r)) for r in changed],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )
    shapes = [dotted(r.t + 1, r.t + 1, 0, top, RED) for r in changed]
    return figure(
        data,
        "round",
        "weight used",
        height=340,
        legend=True,
        shapes=shapes,
        xaxis=round_axis(x + [r.t + 1 for r in changed]),
        yaxis={"range": [0, (top or 1.0) * 1.06]},
    )


def _changes(r: Round) -> list[str]:
    lines = [f"<b>after round {r.t}</b>"]
    for change in (r.manifest or {}).get("adaptation", []):
        what, before, after = (plain(change.get(k, "")) for k in ("what", "from", "to"))
        lines.append(f"{plain(change.get('rule', ''))}: {what} {before} → {after}")
        lines.extend(plain(part) for part in textwrap.wrap(str(change.get("reason", "")), 60))
    return lines


# --- gaps, synthesis, time -----------------------------------------------------------------------------


def gaps(record: RunRecord) -> dict | None:
    """Open gaps per round by kind, and how many are filled by then. None when the run tracks no gaps."""
    tables = [r.gaps for r in record.rounds]
    if not any(t is not None and len(t) for t in tables):
        return None
    rounds = [r.t for r in record.rounds]
    kinds = sorted({k for t in tables if t is not None for k in t["kind"].to_list()})
    data = []
    for kind, colour in zip(kinds, SERIES, strict=False):
        y = [0 if t is None else len(t.filter((t["kind"] == kind) & (t["status"] == "open"))) for t in tables]
        data.append(bar(rounds, y, kind.replace("_", " "), colour, "%{y} open"))
    status: dict[str, str] = {}  # as last seen: a gap may open again
    filled = []
    for table in tables:
        status.update([] if table is None else table.select("gap_id", "status").iter_rows())
        filled.append(sum(state == "filled" for state in status.values()))
    style = {"color": GREY, "width": 2, "dash": "dot"}
    data.append(line(rounds, filled, "filled", style, "%{y} filled"))
    return stacked(data, rounds, "gaps")


def who_chose(record: RunRecord) -> dict | None:
    """Per round, how many samples each strategy named. None while one alone names all."""
    rounds, counts = [r.t for r in record.rounds], {}
    for column, r in enumerate(record.rounds):
        if r.query is not None and CHOSEN_BY.name in r.query.columns:
            for name in r.query[CHOSEN_BY.name].drop_nulls():
                counts.setdefault(name, [0] * len(rounds))[column] += 1
    if len(counts) < 2:
        return None
    own = record.config.get("select", {}).get("selector")
    names = sorted(counts, key=lambda name: (name != own, name))
    data = [
        bar(rounds, counts[name], "the score" if name == own else plain(name), SERIES[i % len(SERIES)], "%{y}")
        for i, name in enumerate(names)
    ]
    return stacked(data, rounds, "samples asked about")


def fate_of_synthetics(record: RunRecord, labels: dict[str, str]) -> dict | None:
    """Per round, what became of the candidates synthesised in it. None when nothing was synthesised."""
    if all(r.synthetic is None or r.synthetic.is_empty() for r in record.rounds):
        return None
    asked = {i: o["state"] for r in record.rounds for i, o in outcomes(r, labels).items()}
    rounds, counts, gave = [r.t for r in record.rounds], {}, lent(record)
    for column, r in enumerate(record.rounds):
        for row in [] if r.synthetic is None else r.synthetic.iter_rows(named=True):
            counts.setdefault(fate(row, asked, gave), [0] * len(rounds))[column] += 1
    data = [bar(rounds, counts[name], name, colour, "%{y} " + name) for name, colour in FATES.items() if name in counts]
    return stacked(data, rounds, "candidates")


FATES = {
    "confirmed by people": GREEN,
    "rejected by people": RED,
    "waiting for people": PURPLE,
    "a real one was asked about instead": ORANGE,
    "passed, not asked about": SKY,
    "rejected by quality control": GREY,
}
"""What becomes of a synthetic candidate, and its colour."""


def fate(row: dict, asked: dict[str, str], gave: set[str]) -> str:
    """One of `FATES` for a row of synthetic.parquet; `asked`: sample_id -> state, `gave`: see `lent`."""
    state = asked.get(row["sample_id"])
    if state in ("accepted", "corrected"):
        return "confirmed by people"
    if state == "waiting":
        return "waiting for people"
    if state is not None:
        return "rejected by people"
    if row["sample_id"] in gave:
        return "a real one was asked about instead"
    return "rejected by quality control" if row["status"] == "rejected" else "passed, not asked about"


def seconds_per_stage(record: RunRecord) -> dict[str, dict[int, float]]:
    """stage -> round -> seconds, the stages in the order they run."""
    spent: dict[str, dict[int, float]] = {}
    for t, stages in record.seconds.items():
        for stage, seconds in stages.items():
            spent.setdefault(stage, {})[t] = seconds
    order = {name: i for i, name in enumerate(STAGES)}
    return dict(sorted(spent.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def time(record: RunRecord) -> dict | None:
    """Seconds per round, stacked by stage. None when no stage ended."""
    spent, rounds = seconds_per_stage(record), sorted(record.seconds)
    data = [
        bar(rounds, [by.get(t, 0.0) for t in rounds], plain(stage), SERIES[i % len(SERIES)], "%{y:.2f} s")
        for i, (stage, by) in enumerate(spent.items())
    ]
    return stacked(data, rounds, "seconds") if data else None


def _versus_random(record: RunRecord, group: str, key: str) -> dict:
    data = []
    if any(_known(random := record.random_curve(group, key))):
        data.append(line([m["round"] for m in record.random], random, "random", RANDOM, "random: %{y:.3f}"))
    rounds = [r.t for r in record.rounds]
    data.append(line(rounds, record.curve(group, key), "ADDE", {"color": BLUE, "width": 2}, "ADDE: %{y:.3f}"))
    return small(data)


def _end_label(point: tuple, text: str, colour: str, up: bool) -> dict:
    x, y = point
    shift = {"xanchor": "left", "xshift": 8, "yanchor": "middle", "yshift": 6 if up else -6}
    return {"x": x, "y": y, "text": f"<b>{text}</b>", "showarrow": False, "font": {"color": colour}} | shift


def _points(metrics: list[dict], split: str) -> list[tuple[int, float]]:
    pairs = [(m["num_asked"], m.get(split, {}).get("macro_f1")) for m in metrics]
    return [(x, y) for x, y in pairs if y is not None]


def _seed_rows(record: RunRecord) -> int:
    return len(record.dataset.filter(record.dataset["round"] == 0))


def _known(values: list) -> list[bool]:
    return [v is not None for v in values]


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
