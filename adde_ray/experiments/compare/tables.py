"""Every strategy's figures, table by table: the dict of figures.py in, sections out."""

from __future__ import annotations

from collections.abc import Callable

from adde_ray.artifacts.m_div import IN_M_DIV
from adde_ray.experiments.compare import words
from adde_ray.experiments.compare.document import Section, Table
from adde_ray.experiments.compare.figures import DROPS, MEASURES, less_is_better

MAX_COLUMNS = 12  # of one table; the rest is in the JSON


def values(found: dict) -> Section:
    """Mean over the curve and the end of every strategy."""
    section = Section("values", "Every strategy")
    for name, d in found["datasets"].items():
        seeds = ", ".join(map(str, d["seeds"]))
        section.text.append(f"{name}: {words.title(d['metric'])}, seeds {seeds}, {d['labels'][-1]:,} labels.")
    for m in MEASURES:
        by = {name: {s: row[m] for s, row in d["strategies"].items()} for name, d in found["datasets"].items()}
        section.tables.append(_side_by_side(words.MEASURE[m].capitalize(), by))
    return section


def _side_by_side(title: str, by: dict[str, dict[str, dict]], best: Callable | None = max, note: str = "") -> Table:
    """Strategies down, columns across; `best` of each column set off. by: column -> strategy -> estimate."""
    strategies = list(dict.fromkeys(s for column in by.values() for s in column))
    rows = [(s, *(words.estimate(column.get(s)) for column in by.values())) for s in strategies]
    strong = set()
    for i, column in enumerate(by.values(), 1):
        if best and column:
            top = best(e["mean"] for e in column.values())
            strong |= {(strategies.index(s), i) for s, e in column.items() if e["mean"] == top}
    return Table(title, ("strategy", *by), rows, note, frozenset(strong))


def levels(found: dict) -> Section:
    """Labels each strategy needs to reach where the reference and the best baseline end."""
    section = Section("levels", "Labels to reach a level")
    section.text.append(
        "The first number of labels at which a curve is at least as high as another ends: of the mean curves, and seed "
        "by seed against the other's same seed. Never means not within this budget; it counts as more than any number."
    )
    fewest = min(len(d["seeds"]) for d in found["datasets"].values())
    if 1 < fewest < 6:
        section.text.append(
            f"Brackets enclose the median. Of {fewest} seeds they are the smallest and the largest, and still miss it "
            f"in {2.0 ** (1 - fewest):.0%} of cases."
        )
    for name, d in found["datasets"].items():
        goals = targets(found, d)
        for level, whose in dict(goals).items():
            if not all(row["to_level"].get(level) for row in d["strategies"].values()):
                section.text.append(f"{name}: {whose} ends no higher than it begins, so there is no level to reach.")
                goals.pop(level)
        if goals:
            section.tables.append(_levels(name, d, goals))
    return section


def targets(found: dict, d: dict) -> dict[str, str]:
    """Whose ends there are to reach, by level; the best baseline may be the reference itself."""
    whose = {"reference": found["reference"], "best": d["best_baseline"]}
    whose = {level: s for level, s in whose.items() if s in d["strategies"]}
    return {level: s for level, s in whose.items() if level == "reference" or s != whose.get("reference")}


def _levels(name: str, d: dict, targets: dict[str, str]) -> Table:
    by = {s: {level: row["to_level"][level] for level in targets} for s, row in d["strategies"].items()}
    first = next(iter(targets))
    order = sorted(by, key=lambda s: (by[s][first]["labels"], s))

    def cells(r: dict) -> tuple[str, ...]:
        mean = words.labels(r["labels"])
        return mean if mean == words.NEVER else f"{mean} ({words.share(r['share'])})", words.seed_median(r)

    head = [h for whose in targets.values() for h in (f"to {whose}'s end", "median over the seeds")]
    ends = [
        f"{whose} ends at {(r := by[order[0]][level])['level']:.3f} with {r['spent']:,} labels"
        for level, whose in targets.items()
    ]
    rows = [(s, *(cell for level in targets for cell in cells(by[s][level]))) for s in order]
    return Table(name, ("strategy", *head), rows, "; ".join(ends) + ".")


def beside(found: dict) -> list[Section]:
    """Figures at the end of the budget: rare classes, diversity, shift, fairness, bias amplification."""
    groups = (
        ("rare", "Rare and worst classes", lambda n: n == "rare_recall" or n.endswith(".worst_class_recall")),
        ("diversity", "Diversity of the dataset", lambda n: n.startswith("diversity.")),
        ("shift", "From val to ood and to corrupted val", lambda n: n in DROPS),
        ("fairness", "Fairness", lambda n: "fairness" in n.split(".")),
        ("amplification", "Bias amplification", lambda n: "amplification" in n.split(".")),
    )
    sections = []
    for id_, title, belongs in groups:
        section = Section(id_, title)
        by = {name: _by_figure(d, belongs) for name, d in found["datasets"].items()}
        by = {name: figures for name, figures in by.items() if figures}
        names = list(dict.fromkeys(n for figures in by.values() for n in figures))
        best = None if id_ == "amplification" else min if names and less_is_better(names[0]) else max
        if len(names) <= len(by):  # fewer tables that way round
            for n in names:
                columns = {name: figures[n] for name, figures in by.items() if n in figures}
                section.tables.append(_side_by_side(words.title(n), columns, best))
        else:
            for name, figures in by.items():
                shown = {words.title(n): figures[n] for n in list(figures)[:MAX_COLUMNS]}
                left = len(figures) - len(shown)
                section.tables.append(_side_by_side(name, shown, best, f"{left} more are in the JSON." if left else ""))
        if section.tables:
            section.text += _about(id_, found)
            sections.append(section)
    return sections


def _by_figure(d: dict, belongs: Callable[[str], bool]) -> dict[str, dict[str, dict]]:
    names = dict.fromkeys(n for row in d["strategies"].values() for n in row["at_end"] if belongs(n))
    return {n: {s: row["at_end"][n] for s, row in d["strategies"].items() if n in row["at_end"]} for n in names}


def _about(group: str, found: dict) -> list[str]:
    if group == "rare":
        rare = {name: d["rare_classes"] for name, d in found["datasets"].items() if d["rare_classes"]}
        listed = "; ".join(f"{name}: {', '.join(c[:8])}{' …' if len(c) > 8 else ''}" for name, c in rare.items())
        what = f"Rare is the third of the classes of which {found['reference']} bought the fewest"
        return [f"{what} ({listed})."] if rare else ["Which classes are rare is not in the results."]
    parts = words.joined([words.title(f"diversity.{n}").lower() for n in IN_M_DIV])
    return {
        "diversity": [f"Of the dataset each strategy ends with. M_div is the mean of {parts}, where measured."],
        "shift": ["The figure on val less that on ood: less is better."],
        "fairness": ["Less is better."],
        "amplification": ["Above 0, dataset or model exaggerate what they started from; best is none at all."],
    }[group]  # fmt: skip


def stability(found: dict) -> Section:
    """How far curves fell below the best they had been."""
    section = Section("stability", "Stability over the rounds")
    for name, d in found["datasets"].items():
        rows = [
            (s, words.estimate(x["largest_fall"]), words.number(x["worst"]), words.estimate(x["end_below_best"]),
             str(x["rounds"]))
            for s, row in d["strategies"].items()
            if (x := row["stability"])
        ]  # fmt: skip
        head = ("strategy", "largest fall below the best so far", "in the worst seed", "end below the best", "rounds")
        section.tables.append(Table(f"{name}: {words.title(d['metric'])}", head, rows))
    return section


def cost(found: dict) -> Section:
    """Labels, seconds, synthetic share."""
    section = Section("cost", "Cost")
    for name, d in found["datasets"].items():
        rows = [
            (s, f"{c['labels']:,.0f}", f"{c['samples']:,.0f}", words.estimate(c["synthetic_share"]),
             words.estimate(c["seconds"]))
            for s, row in d["strategies"].items()
            if (c := row["cost"])
        ]  # fmt: skip
        head = ("strategy", "labels", "samples", "synthetic share", "seconds a run")
        section.tables.append(Table(name, head, rows))
    section.text.append(
        "Seconds are those of the machine at that time; trials that ran side by side slow each other down."
    )
    return section


def failed(failures: list[tuple[str, str, str]]) -> Section:
    """failures: experiment, trial, reason."""
    rows = [(trial, reason, experiment) for experiment, trial, reason in failures]
    return Section("failures", "Trials that failed", tables=[Table("", ("trial", "reason", "experiment"), rows)])
