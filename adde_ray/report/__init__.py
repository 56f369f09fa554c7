"""The report of a run: one HTML file that holds everything it needs and loads nothing.

`write_report(RunDir.at("runs/digits"))` reads the run's artifacts, whatever state the run is in, and writes
report.html beside them.
"""

from __future__ import annotations

from pathlib import Path

from adde_ray.artifacts.run_dir import RunDir, atomic
from adde_ray.errors import Halted, UserError

PICTURE_BUDGET = 2_500_000  # characters of pictures and texts in the page


def write_report(run: RunDir, out: Path | None = None) -> Path:
    """Write the report of `run` to `out` (report.html in the run's folder) and return its path.

    Raises UserError when the run has not analysed its first round yet.
    """
    from adde_ray.report.read import read_run_record

    out = Path(out) if out is not None else run.root / "report.html"
    page = render(read_run_record(run))
    try:
        with atomic(out, recorded=False) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except Halted as error:
        raise UserError(error.what, where=out, remedy="Name another place with --out") from None
    return out


def render(record) -> str:
    """The page for a `read.RunRecord`."""
    # The command line imports this module at its start; what takes time to load is loaded here.
    from adde_ray.methods.metrics.fairness import MIN_ROWS
    from adde_ray.report import descriptions, fairness, figures, gallery, gates, latent, random_share, tables
    from adde_ray.report.read import final_labels
    from adde_ray.web import page

    charts, titles = _charts(record)
    selected, generated = gallery.selected(record), gallery.generated(record)
    points = latent.latent_map(record)
    described = descriptions.described(record)
    tiles = gallery.tile_ids(selected) + gallery.tile_ids(generated)
    tiles += [shown["id"] for shown in described["shown"]] if described else []
    samples, left_out = _samples(record, tiles, points)
    gaps, falls = tables.gap_rows(record), tables.regression_rows(record)
    set_aside, near_copies = gates.gate_rows(record), gates.pairs(record)

    return page.assemble(
        "report",
        data={"map": points, "samples": samples},
        record=record,
        worth=random_share.worth(record),
        random_share=random_share.lines(record),
        sentence=tables.sentence(record),
        figures=tables.key_figures(record),
        saving=figures.reaches_random(record),
        charts=charts,
        **titles,
        grid=fairness.grid(record),
        min_group=MIN_ROWS,
        leakage=gates.leakage_text(record),
        set_aside=set_aside,
        near_copies=near_copies,
        gaps=gaps[: tables.MAX_GAPS],
        num_gaps=len(gaps),
        spark=tables.SPARK,
        adaptation=tables.adaptation_rows(record),
        loss=tables.loss_text(record),
        settings=tables.head_text(record),
        regressions=falls[: tables.MAX_REGRESSIONS],
        num_regressions=len(falls),
        points=points,
        left_out=left_out,
        selected=selected,
        searches=gallery.searches(record),
        described=described,
        generated=generated,
        tiles=gallery.MAX_TILES,
        samples=samples,
        time=tables.time_text(record),
        config=tables.flat(record.config),
        provenance=tables.flat(record.provenance),
        num_dataset=len(final_labels(record)),
    )


def _charts(record) -> tuple[dict, dict[str, list]]:
    from adde_ray.report import fairness, figures, random_share
    from adde_ray.report.read import final_labels

    heat = figures.classes(record)
    charts = {
        "first": figures.first_picture(record),
        "held": heat["held"],
        "recall": heat["recall"],
        "weights": figures.weights(record),
        "gaps": figures.gaps(record),
        "chose": figures.who_chose(record),
        "fate": figures.fate_of_synthetics(record, final_labels(record)),
        "time": figures.time(record),
        "amplification": fairness.amplification(record),
        "shares": random_share.shares(record),
    }
    many = {
        "quality": figures.quality(record),
        "diversity": figures.diversity(record),
        "drift": figures.drift(record),
        "fairness": fairness.charts(record),
    }
    titles = {}
    for group, made in many.items():
        titles[group] = [(f"{group}-{i}", title) for i, (title, _) in enumerate(made)]
        charts |= {f"{group}-{i}": chart for i, (_, chart) in enumerate(made)}
    return {k: v for k, v in charts.items() if v is not None}, titles


def _samples(record, in_tiles: list[str], points: dict | None) -> tuple[dict, int]:
    # What is looked at most comes first: tiles, then the dataset and what was asked, synthetics, the pool.
    from adde_ray.report.read import read_payloads
    from adde_ray.web.pictures import show_all

    on_map = []
    if points:
        asked = {row for r in points["rounds"] for row in r["query"]}
        rank = [
            0 if points["entered"][i] >= 0 or i in asked else 2 - points["synthetic"][i]
            for i in range(len(points["ids"]))
        ]
        on_map = [points["ids"][i] for i in sorted(range(len(rank)), key=lambda i: (rank[i], i))]
    ids = [*in_tiles, *on_map]
    return show_all(ids, read_payloads(record, set(ids)), record.meta.modality, PICTURE_BUDGET)
