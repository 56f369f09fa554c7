"""The comparison from top to bottom: all figures in, sections with their charts out."""

from __future__ import annotations

from dataclasses import dataclass

from adde_ray.experiments.compare import charts, sweep_tables, tables, verdicts, words
from adde_ray.experiments.compare.document import Section


@dataclass(frozen=True)
class Outline:
    """lead: the whole in a sentence. charts: plotly figures by the id under which a section names them."""

    lead: str
    tiles: list[dict]
    sections: list[Section]
    charts: dict[str, dict]


def outline(found: dict, notes: list[str], failures: list[tuple[str, str, str]]) -> Outline:
    """found: `ablation` (see figures.py) or None, and `sweeps` (see sweeps.py)."""
    drawn: dict[str, dict] = {}
    sections, lead, tiles = [], "", []
    if main := found["ablation"]:
        lead, tiles = verdicts.lead(main), verdicts.tiles(main)
        sections += _of_strategies(main, notes, drawn)
    for i, sweep in enumerate(found["sweeps"]):
        sections.append(_of_sweep(sweep, i, drawn))
        lead = f"{lead} {sweep_tables.lead(sweep)}".strip()
    if failures:
        sections.append(tables.failed(failures))
    return Outline(lead, tiles, sections, drawn)


def _of_strategies(found: dict, notes: list[str], drawn: dict[str, dict]) -> list[Section]:
    lines = charts.styles(found)

    def draw(section: Section, id_: str, caption: str, figure: dict | None) -> None:
        if figure is not None:
            drawn[id_] = figure
            section.charts.append((id_, caption))

    curves = Section("curves", "Learning curves", [verdicts.curves_text(found)])
    levels = tables.levels(found)
    ranking = verdicts.ranking(found)
    about = {a: verdicts.differences(found, a) for a in found["pooled"]}
    beside = tables.beside(found)
    for i, (name, d) in enumerate(found["datasets"].items()):
        draw(curves, f"curves-{i}", name, charts.learning_curves(d, found, lines))
        for level, whose in tables.targets(found, d).items():
            draw(levels, f"levels-{level}-{i}", f"{name}: to where {whose} ends", charts.labels_needed(d, level))
        for a, section in about.items():
            if a in d["differences"]:
                rows = d["differences"][a]["area"]
                draw(section, f"{section.id}-{i}", f"{name}: mean over the curve", charts.differences(rows, a))
        for section in beside:
            if section.id == "amplification":
                names = dict.fromkeys(n for row in d["strategies"].values() for n in row["by_round"])
                for j, figure in enumerate(list(names)[: tables.MAX_COLUMNS]):
                    caption = f"{name}: {words.title(figure)}, by round"
                    draw(section, f"rounds-{i}-{j}", caption, charts.over_rounds(d, figure, found, lines))
    for measure, r in found["ranking"].items():
        if r:
            draw(ranking, f"ranks-{measure}", words.MEASURE[measure].capitalize(), charts.ranks(r, lines))
    trial = verdicts.on_trial(found)
    return [
        Section("end", "Who is ahead at the end", verdicts.ending(found)),
        Section("about", "How far to trust this", [*verdicts.honesty(found), *notes]),
        *([trial] if trial else []), verdicts.what_lost(found), curves, levels, tables.values(found), *about.values(),
        ranking, *beside, tables.stability(found), tables.cost(found),
    ]  # fmt: skip


def _of_sweep(found: dict, index: int, drawn: dict[str, dict]) -> Section:
    section = sweep_tables.sweep(found, index)
    for i, (name, d) in enumerate(found["datasets"].items()):
        if d.get("sensitivity"):
            drawn[f"importance-{index}-{i}"] = charts.importance(d)
            section.charts.append((f"importance-{index}-{i}", f"{name}: importance"))
            for j, key in enumerate(d["sensitivity"]["dependence"]):
                drawn[f"dependence-{index}-{i}-{j}"] = charts.dependence(d, key)
                section.charts.append((f"dependence-{index}-{i}-{j}", f"{name}: {key}"))
    return section
