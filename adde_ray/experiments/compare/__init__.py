"""`adde compare`: what many runs say together, as one page that works offline, a Markdown file and JSON.

`compare([Path("experiments/headline")])` reads results tables (`read.py`), puts trials side by side (`align.py`), takes
every figure (`figures.py`, `sweeps.py`) and shows them; compare.json holds all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from adde_ray.artifacts.run_dir import atomic, write_json
from adde_ray.errors import UserError

NAME = "compare"
REFERENCE, SUBJECT = "random", "adde"


def compare(
    results: Sequence[Path],
    out: Path | None = None,
    *,
    metric: str | None = None,
    reference: str | None = None,
    subject: str | None = None,
) -> Path:
    """Compare the experiments' strategies; write compare.html, .md and .json into `out` and return the page's path.

    out: a folder; default that of the first results. metric: `test.accuracy`, or `accuracy` on the first of test, ood
    and val that has it. reference: the strategy others are held against; subject: the one on trial.
    Raises UserError, before anything is written, when there is nothing to compare.
    """
    from adde_ray.experiments.compare.read import read_experiments

    experiments = read_experiments(results)
    found, notes = _figures(experiments, metric, reference, subject)
    failures = [(e.name, trial, reason) for e in experiments for trial, reason in e.failures]
    folder = Path(out) if out is not None else experiments[0].path.parent
    if folder.exists() and not folder.is_dir():
        raise UserError("is a file; a folder is needed", where=folder)
    title = " + ".join(dict.fromkeys(e.name for e in experiments))
    page, text = _render(title, found, notes, failures)
    write_json(
        folder / f"{NAME}.json", _plain({"title": title, **found, "notes": notes, "failures": failures}), recorded=False
    )
    for suffix, content in ((".md", text), (".html", page)):
        with atomic(folder / f"{NAME}{suffix}", recorded=False) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return folder / f"{NAME}.html"


def ending(results: Path) -> list[str]:
    """Who is ahead at the end of an ablation, in a line or a few: as `compare` says it of the same results.

    Raises UserError when there is nothing to compare.
    """
    from adde_ray.experiments.compare import verdicts
    from adde_ray.experiments.compare.read import read_experiments

    found, _ = _figures(read_experiments([results]), None, None, None)
    return verdicts.ending(found["ablation"])


def _figures(experiments: list, metric: str | None, reference: str | None, subject: str | None) -> tuple[dict, list]:
    import polars as pl

    from adde_ray.experiments.compare.align import align
    from adde_ray.experiments.compare.figures import figures
    from adde_ray.experiments.compare.sweeps import sweep_figures

    sweeps = [sweep_figures(e, metric) for e in experiments if e.kind == "sweep"]
    tables = [e.table for e in experiments if e.kind == "ablation"]
    if not tables:
        return {"ablation": None, "sweeps": sweeps}, []
    datasets, notes = align(pl.concat(tables, how="diagonal_relaxed"), metric)
    names = sorted({s for d in datasets for s in d.curves})
    subject = _named(subject, SUBJECT, names, "subject")
    first = next(s for s in names if s != subject)
    reference = _named(reference, REFERENCE, names, "reference")
    if reference is None:
        reference = first
        notes.append(f"There is no {REFERENCE}: strategies are held against {reference}.")
    own = frozenset[str]().union(*(e.own for e in experiments if e.kind == "ablation"))
    return {"ablation": figures(datasets, reference, subject, own), "sweeps": sweeps}, notes


def _named(wanted: str | None, usual: str, names: list[str], option: str) -> str | None:
    if wanted is not None and wanted not in names:
        remedy = f"Choose one of: {', '.join(names)}"
        raise UserError("no such strategy in these results", where=option, value=wanted, remedy=remedy)
    # Where two experiments have it, each is named after its own: the first will do.
    return wanted or next((s for s in names if s == usual or s.startswith(f"{usual} (")), None)


def _render(title: str, found: dict, notes: list[str], failures: list) -> tuple[str, str]:
    """The page and the Markdown file."""
    from adde_ray.experiments.compare.document import markdown
    from adde_ray.experiments.compare.outline import outline
    from adde_ray.web.page import assemble

    told = outline(found, notes, failures)
    page = assemble(
        "experiments/compare",
        charts=told.charts,
        data={},
        title=title,
        lead=told.lead,
        tiles=told.tiles,
        sections=told.sections,
    )
    return page, markdown(title, told.lead, told.sections)


def _plain(value: object) -> object:
    """As JSON has it: inf is "never", what no number stands for is null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return "never" if math.isinf(value) else None if math.isnan(value) else round(value, 6)
    return value
