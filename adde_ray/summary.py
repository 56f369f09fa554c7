"""A run in one record: what `adde summary` prints and the report is built on. Reads artifacts only."""

from __future__ import annotations

from adde_ray.rundir import RunDir, read_json

MEASURES = ("fairness", "groups", "amplification", "corruptions", "drops", "forgetting", "grid")


def summarise(run: RunDir) -> dict:
    """The run's state and its rounds. Keys:

    run, status (running | awaiting_review | finished), stop_reason, num_rounds, num_asked (samples asked about),
    num_labels (annotations bought: as many, or none where the model answers for itself), num_samples, num_synthetic,
    set_aside (gate -> rows), dataset_fingerprint, rounds, baselines (name -> the same record).
    Each of rounds: round, num_asked, num_labels, num_samples, num_synthetic, weights, diversity, quality (on val),
    test, ood, gaps, adaptation, seconds (by stage); and, as in metrics.json, fairness, groups, amplification,
    corruptions, drops, forgetting, grid.
    """
    committed = run.rounds()
    last = committed[-1].manifest if committed else {}
    seconds = stage_seconds(run)
    rounds = []
    for round_ in committed:
        metrics, manifest = round_.metrics, round_.manifest
        rounds.append(
            {
                **{key: metrics[key] for key in ("round", "num_asked", "num_labels", "num_samples", "num_synthetic")},
                "weights": manifest["weights"],
                "diversity": metrics["diversity"],
                "quality": metrics["val"],
                "test": metrics["test"],
                "ood": metrics["ood"],
                "gaps": metrics["gaps"],
                "adaptation": manifest["adaptation"],
                "seconds": seconds.get(round_.t, {}),
                **{key: metrics[key] for key in MEASURES if key in metrics},
            }
        )
    asked = sum(round_.manifest["asked"] for round_ in committed)
    has_data = run.dataset_part(0).exists()
    dataset = run.dataset() if has_data else None
    record = {
        "run": run.root.name,
        "status": _status(run, last),
        "stop_reason": last.get("stop_reason"),
        "num_rounds": len(rounds),
        "num_asked": asked,
        "num_labels": asked if run.config.review.by_people else 0,
        "num_samples": len(dataset) if has_data else 0,
        "num_synthetic": int((dataset["origin"] == "synthetic").sum()) if has_data else 0,
        "set_aside": set_aside(run),
        "dataset_fingerprint": run.dataset_fingerprint() if has_data else None,
        "rounds": rounds,
    }
    beside = sorted((run.root / "baselines").glob("*/config.json"))
    return record | ({"baselines": {p.parent.name: summarise(RunDir.at(p.parent)) for p in beside}} if beside else {})


def set_aside(run: RunDir) -> dict[str, int]:
    """Rows that did not pass a gate, by gate."""
    path, rows = run.root / "ingest" / "gates.json", {}
    for found in read_json(path)["rejected"] if path.exists() else []:
        rows[found["gate"]] = rows.get(found["gate"], 0) + found["rows"]
    return rows


def stage_seconds(run: RunDir) -> dict[int, dict[str, float]]:
    """round -> stage -> seconds, summed over resumptions."""
    total: dict[int, dict[str, float]] = {}
    for event in run.ended():
        stages = total.setdefault(event["round"], {})
        stages[event["stage"]] = round(stages.get(event["stage"], 0.0) + event["seconds"], 4)
    return total


def _status(run: RunDir, last: dict) -> str:
    if last.get("stop_reason"):
        return "finished"
    current = run.round(len(run.rounds()))
    asked, answered = ((current.root / f"{name}.parquet").exists() for name in ("query", "decisions"))
    people = run.config.review.annotator not in ("simulated", "model")
    return "awaiting_review" if people and asked and not answered else "running"
