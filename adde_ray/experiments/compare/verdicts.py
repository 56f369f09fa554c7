"""What a comparison comes to, in words: the dict of figures.py in, sections on the subject, on differences and on ranks
out."""

from __future__ import annotations

import math
from dataclasses import fields
from statistics import mean, median

from adde_ray.experiments.compare import words
from adde_ray.experiments.compare.charts import MANY
from adde_ray.experiments.compare.document import Section, Table
from adde_ray.experiments.compare.figures import DROPS, MEASURES, less_is_better
from adde_ray.methods.stats.verdict import Judged, interval, sentence

MAX_FIGURES = 12  # of fairness and amplification, in the table beside


def lead(found: dict) -> str:
    """What was compared, by what, and what steered."""
    ds = found["datasets"]
    seeds = words.seeds_text([len(d["seeds"]) for d in ds.values()])
    metrics = words.joined(sorted({words.title(d["metric"]) for d in ds.values()}))
    each = " each" if len(ds) * len(found["strategies"]) > 1 else ""
    on = f"{len(ds)} dataset{'s' if len(ds) > 1 else ''}"
    return f"{len(found['strategies'])} strategies on {on}, {seeds}{each}, compared by {metrics}."


STANDS = {
    "higher": "ahead",
    "noise": "no difference beyond noise",
    "lower": "behind",
    "one seed": "one seed, which cannot tell a difference from noise",
}
"""A verdict -> how those it is of stand against the other."""


def ending(found: dict) -> list[str]:
    """Who is ahead at the end of the budget, over all datasets: a sentence for two strategies; for more, those that are
    ahead of the reference, level with it and behind, then the same against the subject."""
    lines = [line for a in found["pooled"] for line in _standing(found, a)]
    return lines[:1] if len(found["strategies"]) == 2 else lines


def _standing(found: dict, against: str) -> list[str]:
    rows = found["pooled"][against]["final"]
    judged = {s: Judged(**{f.name: row[f.name] for f in fields(Judged)}) for s, row in rows.items()}
    level, of = _final(found, against), _measured(found)
    if len(found["strategies"]) == 2:
        return [sentence((s, _final(found, s)), (against, level), row, of) for s, row in judged.items()]
    lines = [f"{of}, against {against} ({level:.3f}):"] if judged else []
    for verdict, stands in STANDS.items():
        named = sorted((s for s in judged if judged[s].verdict == verdict), key=lambda s: (-judged[s].mean, s))
        if named:
            told = ", ".join(f"{s} {judged[s].mean:+.3f} {interval(judged[s])}".rstrip() for s in named)
            lines.append(f"  {stands}: {told}")
    return lines


def _final(found: dict, strategy: str) -> float:
    """Its mean at the end; every dataset counts alike."""
    return mean(
        d["strategies"][strategy]["final"]["mean"] for d in found["datasets"].values() if strategy in d["strategies"]
    )


def _measured(found: dict) -> str:
    """The figure with its split, and how often it was measured."""
    ds = found["datasets"].values()
    number = f", {len(ds)} datasets" if len(ds) > 1 else ""
    metrics = words.joined(sorted({words.measured(d["metric"]) for d in ds}))
    return f"{metrics}{number}, {words.seeds_text([len(d['seeds']) for d in ds])}"


def honesty(found: dict) -> list[str]:
    """How far the figures can be trusted."""
    ds = found["datasets"]
    text = ["val steered the runs (calibration, stopping, adaptation); test and ood were only looked at."]
    if on_val := [name for name, d in ds.items() if d["split"] == "val"]:
        text.append(f"{words.joined(on_val)}: compared on val, which also steered; such figures flatter.")
    few = min(len(d["seeds"]) for d in ds.values())
    if few == 1:
        text.append("One seed: there are no intervals and no tests, and any difference may be chance.")
    else:
        text.append(
            f"Brackets are {words.percent()} intervals over the seeds: Student's for means; for medians the values "
            "that enclose it. A bootstrap over so few seeds would promise more than it keeps."
        )
    return text


def curves_text(found: dict) -> str:
    """What the learning curves show."""
    few = "" if len(found["strategies"]) <= MANY else " (of the subject, the reference and the best baseline)"
    bands = f"bands are {words.percent()} intervals at each point{few}"
    return f"Means over the seeds; {bands}. Dotted: where {found['reference']} ends."


def tiles(found: dict) -> list[dict]:
    """What the subject comes to, over the datasets."""
    s, reference, ds = found["subject"], found["reference"], found["datasets"]
    if s is None:
        return []
    tiles = []
    for level, whose in (("reference", f"{reference}'s end"), ("best", "the best baseline's end")):
        shares = [x["share"] for d in ds.values() if (x := _to_level(d, s, level))]
        if shares and s != reference:
            over = f"median of {len(shares)} datasets; worst {words.share(max(shares))}"
            note = f"of its labels{f', {over}' if len(shares) > 1 else ''}"
            tiles.append({"name": f"{s}: labels to {whose}", "value": words.share(middle(shares)), "note": note})
    for measure in MEASURES:
        if row := found["pooled"].get(reference, {}).get(measure, {}).get(s):
            note = "one seed, no interval" if row["low"] is None else f"{words.interval(row, True)}, {row['verdict']}"
            name = f"{s} over {reference}, {words.MEASURE[measure]}"
            tiles.append({"name": name, "value": words.number(row["mean"], True), "note": note})
    if ranking := found["ranking"]["area"]:
        note = f"of {len(ranking['ranks'])}, mean over the curve, {ranking['n']} datasets"
        tiles.append({"name": f"{s}: average rank", "value": f"{ranking['ranks'][s]:.1f}", "note": note})
    return tiles


def middle(values: list[float]) -> float:
    """The median, where never is larger than any number of labels."""
    finite = [x if math.isfinite(x) else 1e300 for x in values]
    found = median(finite)
    return math.inf if found > 1e200 else found


# --- the subject ---------------------------------------------------------------------------------------


def on_trial(found: dict) -> Section | None:
    """The subject against the reference and the best baseline of each dataset; None without a subject."""
    s, reference, ds = found["subject"], found["reference"], found["datasets"]
    if s is None:
        return None
    rows, shares = [], {"reference": [], "best": []}
    for name, d in ds.items():
        if s not in d["strategies"]:
            continue
        cells = [name, d["best_baseline"] or words.NONE]
        for level in shares:
            row = _to_level(d, s, level)
            shares[level] += [row["share"]] if row else []
            cells.append(words.of_budget(row) if row else words.NONE)
        best = d["best_baseline"]
        cells += [words.judged(_difference(d, s, to, "final")) for to in (reference, best)]
        rows.append(tuple(cells))
    if len(rows) > 1:
        rows.append(("median", "", *(words.share(middle(x)) if x else words.NONE for x in shares.values()), "", ""))
    head = (
        "dataset", "best baseline", f"labels to {reference}'s end", "labels to the best baseline's end",
        f"end, against {reference}", "end, against the best baseline",
    )  # fmt: skip
    note = (
        f"Labels are those at which {s}'s mean curve first is where the other's ends. The best baseline is chosen by "
        "its end on these very figures, which favours it. Differences are corrected by Holm over the strategies."
    )
    tables = [Table("Labels and the end", head, rows, note)]
    if beside := _beside(found):
        tables.append(beside)
    return Section("trial", f"{s} against {reference} and the best baseline", tables=tables)


def _beside(found: dict) -> Table | None:
    s, reference = found["subject"], found["reference"]
    known = dict.fromkeys(n for d in found["datasets"].values() for n in d["subject_at_end"])
    main = ("rare_recall", "diversity.m_div", *DROPS)
    names = [n for n in known if n in main or n.endswith(".worst_class_recall")]
    names += [n for n in known if {"fairness", "amplification"} & set(n.split("."))][:MAX_FIGURES]
    rows = []
    for name in names:
        for dataset, d in found["datasets"].items():
            row = d["subject_at_end"].get(name)
            if row:
                better = "less is better" if less_is_better(name) else ""
                top = row.get("top")
                shown = f"{words.judged(top)} ({top['against']})" if top else words.NONE
                judged = [words.judged(row.get(to)) for to in ("reference", "best")]
                rows.append((words.title(name), dataset, *judged, shown, better))
    if not rows:
        return None
    whom = (f"against {reference}", "against the best baseline", "against the baseline best in it")
    note = f"Differences of {s}, paired over the seeds; each is one test, not corrected for the others."
    return Table("Beside it", ("figure at the end", "dataset", *whom, ""), rows, note)


def what_lost(found: dict) -> Section:
    """Where the subject is beaten, and who falls under the reference."""
    s, reference = found["subject"], found["reference"]
    section = Section("lost", "What lost")
    head = ("dataset", "strategy", *words.MEASURE.values())
    for against, sign, title in ((s, 1, f"Above {s}"), (reference, -1, f"Below {reference}")):
        if against is None or (against == s and sign == -1):
            continue
        rows = []
        for name, d in found["datasets"].items():
            by = d["differences"].get(against)
            for other in d["strategies"] if by else ():
                if other != against and any(sign * by[m][other]["mean"] > 0 for m in MEASURES):
                    rows.append((name, other, *(words.judged(by[m][other]) for m in MEASURES)))
        if rows:
            section.tables.append(Table(title, head, rows, "Corrected by Holm over the strategies of a dataset."))
        else:
            where = "above" if sign > 0 else "below"
            section.text.append(
                f"No strategy is {where} {against} on any dataset, neither over the curve nor at the end."
            )
    return section


def differences(found: dict, against: str) -> Section:
    """Paired differences from one strategy, dataset by dataset and over all of them."""
    role = "reference" if against == found["reference"] else "subject"
    section = Section(f"differences-{role}", f"Differences from {against}")
    fewest = min((len(d["seeds"]) for d in found["datasets"].values() if against in d["differences"]), default=0)
    section.text.append(
        "Paired over the seeds. p is Student's, as the interval is, with Holm's correction over all strategies held "
        f"against {against} on the dataset. Noise: above .05 after the correction; an interval is of one difference, "
        "without it, and may leave out 0 all the same."
    )
    if 1 < fewest < 6:
        section.text.append(
            f"Flipping the signs of the differences assumes less, but with {fewest} seeds it cannot give less than "
            f"{2.0 ** (1 - fewest):.3f}, so it does not decide here."
        )
    head = ("strategy", *(h for m in words.MEASURE.values() for h in (m, "p, Holm", "p, flipped signs")))
    pooled = found["pooled"].get(against, {})
    if len(found["datasets"]) > 1 and any(pooled.values()):
        rows = _difference_rows(pooled)
        note = "Every dataset counts alike. It says what holds on these datasets; for others, see the ranks."
        section.tables.append(Table("All datasets", head, rows, note))
    for name, d in found["datasets"].items():
        if against in d["differences"]:
            section.tables.append(Table(name, head, _difference_rows(d["differences"][against])))
    return section


def _difference_rows(by_measure: dict[str, dict]) -> list[tuple[str, ...]]:
    order = sorted(by_measure["area"], key=lambda s: (-by_measure["area"][s]["mean"], s))

    def cells(row: dict) -> tuple[str, ...]:
        return words.judged(row), words.p_value(row["p_holm"]), words.p_value(row["p_flip"])

    return [(s, *(cell for m in MEASURES for cell in cells(by_measure[m][s]))) for s in order]


def ranking(found: dict) -> Section:
    """Average ranks over the datasets, and who cannot be told apart."""
    section = Section("ranking", "Ranks over the datasets")
    for m in MEASURES:
        r = found["ranking"][m]
        if r is None:
            section.text = ["Ranks need two datasets that every strategy has results of."]
            return section
        section.text.append(f"{words.MEASURE[m].capitalize()}: {ranking_sentence(r)}")
    if r["n"] < 10:
        section.text.append(f"{r['n']} datasets are few for ranks: only large differences show.")
    names = sorted(found["ranking"]["area"]["ranks"], key=lambda s: (found["ranking"]["area"]["ranks"][s], s))
    rows = [(s, *(f"{found['ranking'][m]['ranks'][s]:.2f}" for m in MEASURES)) for s in names]
    section.tables.append(Table("", ("strategy", *words.MEASURE.values()), rows))
    return section


def ranking_sentence(r: dict) -> str:
    """What the ranks tell apart, in plain words."""
    test = "Wilcoxon" if len(r["ranks"]) == 2 else "Friedman"
    far = f"two ranks must be {r['critical']:.2f} apart"
    if r["p"] > 0.05 or any(len(g) == len(r["ranks"]) for g in r["groups"]):
        return f"no strategy can be told from any other by its ranks ({test}: {words.p_is(r['p'])}; {far})."
    alike = "; ".join(words.joined(group) for group in r["groups"])
    who = f"not told apart: {alike}" if alike else "all are told apart"
    return f"the strategies differ ({test}: {words.p_is(r['p'])}); {who}; {far} (Nemenyi)."


def _to_level(d: dict, s: str, level: str) -> dict | None:
    return d["strategies"][s]["to_level"].get(level) if s in d["strategies"] else None


def _difference(d: dict, s: str, to: str | None, measure: str) -> dict | None:
    # s against `to`: kept as the difference of s from the reference, or turned round from that of `to` from s.
    if to is None or to == s or to not in d["strategies"]:
        return None
    if to in d["differences"]:
        return d["differences"][to][measure].get(s)
    back = d["differences"].get(s, {}).get(measure, {}).get(to)
    if back is None:
        return None
    turned = {"higher": "lower", "lower": "higher"}
    low, high = (None if back[x] is None else -back[x] for x in ("high", "low"))
    return {
        **back,
        "mean": -back["mean"],
        "low": low,
        "high": high,
        "verdict": turned.get(back["verdict"], back["verdict"]),
    }
