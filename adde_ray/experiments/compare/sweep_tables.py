"""A sweep in words and tables: the dict of sweeps.py in, its section out."""

from __future__ import annotations

from adde_ray.experiments.compare import words
from adde_ray.experiments.compare.document import Section, Table

BEST_TRIALS = 10
MAX_KEYS = 12  # columns of settings; the rest is in the JSON


def lead(found: dict) -> str:
    """The sweep in a sentence."""
    trials = sum(len(d["trials"]) + d["left_out"] for d in found["datasets"].values())
    on = words.joined(list(found["datasets"]))
    return f"A sweep of {trials} trials on {on}."


def sweep(found: dict, index: int) -> Section:
    """The best trials of a sweep, and how much its settings explain."""
    section = Section(f"sweep-{index}", f"Sweep {found['name']}")
    for name, d in found["datasets"].items():
        if d["objective"] is None or not d["trials"]:
            section.text.append(f"{name}: no trial has a figure to judge it by.")
            continue
        left = f"; {d['left_out']} that ended earlier are left out" if d["left_out"] else ""
        judged = f"{len(d['trials'])} trials judged by {words.title(d['objective'])}"
        over = f"the mean over {d['labels'][0]:,} to {d['labels'][1]:,} labels"
        section.text += [f"{name}: {judged}, {over}{left}.", sensitivity_sentence(d)]
        if d["reported"] != d["objective"]:
            section.text.append(f"{words.title(d['reported'])} is shown beside it and did not choose.")
        section.tables.append(_best_trials(name, d))
        if d["sensitivity"]:
            rows = sorted(d["sensitivity"]["importance"].items(), key=lambda item: -item[1])
            cells = [(key, words.number(x)) for key, x in rows]
            section.tables.append(
                Table(f"{name}: importance", ("key", "share of the variance that goes through it"), cells)
            )
    return section


def _best_trials(name: str, d: dict) -> Table:
    keys = d["keys"][:MAX_KEYS]
    measures = list(dict.fromkeys((d["objective"], d["reported"])))
    rows = [
        (t["trial"], *(words.number(t["values"].get(m)) for m in measures), *(_setting(t["settings"][k]) for k in keys))
        for t in d["trials"][:BEST_TRIALS]
    ]
    note = "The first of many is luck in part: run it again with other seeds before you believe its figure."
    return Table(f"{name}: best trials", ("trial", *map(words.title, measures), *keys), rows, note)


def sensitivity_sentence(d: dict) -> str:
    """How much the settings explain, so that nobody reads curves of noise."""
    if not d["keys"]:
        return "No setting differs between the trials."
    if d["sensitivity"] is None:
        return f"Too few different settings, or no difference, to say what mattered ({d['needed']} are needed)."
    explained = d["sensitivity"]["explained"]
    if explained < 0.1:
        return (
            f"The settings explain next to nothing of the differences ({max(explained, 0):.0%} in trials held out): "
            "the curves below are mostly noise."
        )
    return (
        f"A random forest on the settings explains {explained:.0%} of the differences, in trials it was not fitted on."
    )


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
