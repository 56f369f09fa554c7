"""What the data did not pass, for the report: ingest/gates.json and near_copies.parquet → rows and pairs."""

from __future__ import annotations

from adde_ray.artifacts.run_dir import read_json, read_table
from adde_ray.report.read import RunRecord
from adde_ray.web.pictures import show

NAMES = {
    "read": "cannot be used",
    "copy": "copy",
    "near_copy": "near copy",
    "leakage": "copy of what is held out",
    "overlap": "held out twice",
    "length": "text too short or long",
    "repetition": "repetitive text",
    "symbols": "text without letters",
    "contrast": "blank image",
    "column": "unexpected value in a column",
    "semantic": "says the same as another",
}
"""Gate → its name in words."""

MAX_PAIRS = 12


def gate_rows(record: RunRecord) -> list[dict]:
    """One row a gate and split: `gate`, `split`, `rows`, `share` of the split as read, `where` and `reason` of one."""
    told = _report(record)
    rows = []
    for found in told.get("rejected", []):
        read = told["rows"].get(found["split"], {}).get("read")
        share = f"{found['rows'] / read:.1%}" if read else "–"
        rows.append({**found, "gate": NAMES.get(found["gate"], found["gate"]), "share": share})
    path = record.root / "ingest" / "semantic.parquet"
    if path.exists() and len(alike := read_table(path)):
        share = f"{len(alike) / max(record.meta.num_rows.get('pool', 1), 1):.1%}"
        reason = f"most alike: {alike['similarity'].max():.3f}; these stay in the pool and are not asked about"
        rows.append({"gate": NAMES["semantic"], "split": "pool", "rows": len(alike), "share": share, "reason": reason})
    return rows


def leakage_text(record: RunRecord) -> str:
    """What was found of held-out samples in pool and seed set, in one sentence; empty when the run kept no report."""
    told = _report(record)
    if not told:
        return ""
    leaks = told["leakage"]
    if not leaks["exact"] + leaks["near"]:
        looked = "" if told["settings"]["near_copies"] else " Near copies were not looked for."
        return f"Nothing that is held out was found in the pool or the seed set.{looked}"
    done = {"drop": "they were taken out", "allow": "they were kept, so the figures below are too good"}
    found = f"{leaks['exact']} exact and {leaks['near']} near copies of held-out samples were in pool and seed set"
    return f"{found}; {done.get(leaks['action'], '')}."


def pairs(record: RunRecord) -> list[dict]:
    """Near copies to look at, the least alike first: `what`, `similarity`, and both samples as `shown`."""
    path = record.root / "ingest" / "near_copies.parquet"
    modality = record.meta.modality
    found = read_table(path).head(MAX_PAIRS).to_dicts() if path.exists() else []
    return [
        {
            "what": NAMES[pair["gate"]],
            "similarity": pair["similarity"],
            "shown": [
                {**show(pair[modality], modality), "split": pair["split"], "where": pair["where"]},
                {
                    **show(pair[f"other_{modality}"], modality),
                    "split": pair["other_split"],
                    "where": pair["other_where"],
                },
            ],
        }
        for pair in found
    ]


def _report(record: RunRecord) -> dict:
    path = record.root / "ingest" / "gates.json"
    return read_json(path) if path.exists() else {}
