"""The galleries: what people were asked about in each round, and what was generated, as tiles for the template."""

from __future__ import annotations

from collections import Counter

import polars as pl

from adde_ray.artifacts.schema import CHOSEN_BY
from adde_ray.artifacts.wishes import FOUND
from adde_ray.labels import SEPARATOR, in_words
from adde_ray.report.figures import FATES, fate
from adde_ray.report.read import Round, RunRecord, final_labels, gap_names, lent, outcomes

MAX_TILES = 200  # in each gallery


def selected(record: RunRecord) -> list[dict]:
    """Per round: `t`, `tiles` (best rank first), `total` asked and a `note` that counts the outcomes."""
    labels, gaps = final_labels(record), gap_names(record)
    asked = [(r, r.query) for r in record.rounds if r.query is not None and len(r.query)]
    shares = _shares([len(query) for _, query in asked], MAX_TILES)
    sections = []
    for (r, query), share in zip(asked, shares, strict=True):
        states = outcomes(r, labels)
        rows = query.sort("rank").head(share).iter_rows(named=True)
        found = found_by(r)
        counts = Counter(o["state"] for o in states.values())
        note = ", ".join(f"{n} {state}" for state, n in counts.most_common())
        if found:
            note += f", {len(found)} by adde find"
        tiles = [_asked_tile(row, states[row["sample_id"]], gaps) for row in rows]
        for tile in tiles:
            tile["found"] = found.get(tile["id"])
        _spell(tiles, record)
        sections.append({"t": r.t, "tiles": tiles, "total": len(query), "note": note})
    return sections


def found_by(r: Round) -> dict[str, str]:
    """sample_id → what it was found by, of what is in a round's query since somebody asked for it."""
    if r.query is None or CHOSEN_BY.name not in r.query.columns:
        return {}
    known = {} if r.wishes is None else dict(r.wishes.select("sample_id", "asked_for").iter_rows())
    return {i: known.get(i, "") for i in r.query.filter(pl.col(CHOSEN_BY.name) == FOUND)["sample_id"]}


def searches(record: RunRecord) -> list[dict]:
    """What somebody searched for and asked about, in order: `told`, `asked` and a `note` that counts the outcomes."""
    labels, found = final_labels(record), dict[str, list[str]]()
    for r in record.rounds:
        states = outcomes(r, labels)
        for sample_id, told in found_by(r).items():
            outcome = states[sample_id]
            found.setdefault(told, []).append(outcome["label"] or outcome["state"])
    return [
        {
            "told": told or "not told",
            "asked": len(came),
            "note": ", ".join(f"{n} {in_words(what)}" for what, n in Counter(came).most_common()),
        }
        for told, came in found.items()
    ]


def generated(record: RunRecord) -> list[dict]:
    """Per round: `t`, `groups` of tiles by fate, `total` made, a `note` of counts and the `reasons` for rejects."""
    labels, gaps = final_labels(record), gap_names(record)
    asked: dict[str, dict] = {}
    gave = lent(record)
    for r in record.rounds:
        asked |= outcomes(r, labels)
    made = [(r.t, r.synthetic) for r in record.rounds if r.synthetic is not None and len(r.synthetic)]
    sections = []
    for (t, table), share in zip(made, _shares([len(table) for _, table in made], MAX_TILES), strict=True):
        sections.append(_made(t, table, share, asked, gave, gaps))
        for group in sections[-1]["groups"]:
            _spell(group["tiles"], record)
    return sections


def tile_ids(sections: list[dict]) -> list[str]:
    """The sample_ids a gallery shows."""
    tiles = [t for s in sections for t in s.get("tiles", [])]
    tiles += [t for s in sections for g in s.get("groups", []) for t in g["tiles"]]
    return [t["id"] for t in tiles]


def _made(
    t: int, synthetic: pl.DataFrame, share: int, asked: dict[str, dict], gave: set[str], gaps: dict[str, str]
) -> dict:
    states = {i: o["state"] for i, o in asked.items()}
    by_fate: dict[str, list[dict]] = {name: [] for name in FATES}
    for row in synthetic.iter_rows(named=True):
        by_fate[fate(row, states, gave)].append(row)
    groups = []
    for name, limit in zip(by_fate, _shares([len(rows) for rows in by_fate.values()], share), strict=True):
        if rows := by_fate[name]:
            tiles = [_made_tile(row, asked.get(row["sample_id"]), gaps) for row in rows[:limit]]
            groups.append({"name": name, "colour": FATES[name], "tiles": tiles, "total": len(rows)})
    why = Counter(_reason(row["reason"]) for row in by_fate["rejected by quality control"] if row["reason"])
    note = ", ".join(f"{len(rows)} {name}" for name, rows in by_fate.items() if rows)
    return {"t": t, "groups": groups, "total": len(synthetic), "note": note, "reasons": why.most_common(8)}


def _reason(reason: str) -> str:
    # "confidence 0.12 < 0.30; agreement 0.33 < 0.50" → "low confidence and low agreement": what differs by row goes.
    words = []
    for part in reason.split(";"):
        what, colon, _ = part.strip().partition(":")
        stem = what.rstrip("0123456789. <>")
        words.append(f"low {stem}" if stem and stem != what and not colon else what)
    return " and ".join(words)


def _asked_tile(row: dict, outcome: dict, gaps: dict[str, str]) -> dict:
    return {
        "id": row["sample_id"],
        "suggested": row["suggested"],
        "confidence": row["confidence"],
        "decided": outcome["label"],
        "state": outcome["state"],
        "scores": [(name, row[name]) for name in ("U", "Div", "Q", "score") if row[name] is not None],
        "origin": row["origin"],
        "generator": row["generator"],
        "gap": gaps.get(row["gap_id"], row["gap_id"]),
        "comments": outcome["comments"],
    }


def _made_tile(row: dict, outcome: dict | None, gaps: dict[str, str]) -> dict:
    return {
        "id": row["sample_id"],
        "suggested": row["intended"],
        "confidence": row["confidence"],
        "decided": outcome["label"] if outcome else None,
        "state": outcome["state"] if outcome else None,
        "scores": [(name, row[key]) for name, key in _CHECKS if row[key] is not None],
        "origin": "synthetic",
        "generator": row["generator"],
        "gap": gaps.get(row["gap_id"], row["gap_id"]),
        "reason": row["reason"],
        "comments": outcome["comments"] if outcome else [],
    }


def _spell(tiles: list[dict], record: RunRecord) -> None:
    # Labels of several classes in words, with room to break between them.
    for tile in tiles if record.meta.multi else ():
        for key in ("suggested", "decided"):
            if (words := in_words(tile[key])) is not None:
                tile[key] = words.replace(SEPARATOR, f" {SEPARATOR} ")


_CHECKS = (("agreement", "agreement"), ("distance", "nn_ratio"))


def _shares(sizes: list[int], total: int) -> list[int]:
    # Split `total` tiles evenly; what one part does not need goes to the others.
    shares = [0] * len(sizes)
    left = min(total, sum(sizes))
    while left > 0:
        short = [i for i, size in enumerate(sizes) if shares[i] < size]
        each = max(1, left // len(short))
        # The later parts first, so that the newest round is shown best.
        for i in reversed(short):
            step = min(each, sizes[i] - shares[i], left)
            shares[i] += step
            left -= step
    return shares
