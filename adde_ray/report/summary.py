"""A run in one record: what `adde summary` prints and the report is built on. Reads artifacts only."""

from __future__ import annotations

from adde_ray.artifacts.descriptions import notes
from adde_ray.artifacts.run_dir import RoundDir, RunDir, read_json
from adde_ray.artifacts.schema import ACTIONS
from adde_ray.errors import UserError
from adde_ray.review import actions
from adde_ray.review.pending import changed_answers, pending, strays
from adde_ray.review.write_review import TABLE

MEASURES = ("fairness", "groups", "amplification", "corruptions", "drops", "forgetting", "grid", "random_share")


def summarise(run: RunDir) -> dict:
    """The run's state and its rounds. Keys:

    run, status (running | awaiting_review | finished), stop_reason, num_rounds, num_asked (samples asked about),
    num_labels (annotations bought: as many, or none where the model answers for itself), num_samples, num_synthetic,
    answers (action -> samples, those of a round under way included), set_aside (gate -> rows), images (see `images`),
    dataset_fingerprint, rounds, under_way (what is known of a round that is not done; None before it has been
    analysed), selection (what it is worth, a sentence; None where nothing says so), baselines (name -> the same
    record), notes (what people changed, saved elsewhere or said of classes that counts for nothing, a sentence each),
    and while people are waited for review (see `_awaited`).
    Each of rounds: round, num_asked, num_labels, num_samples, num_synthetic, answers (action -> samples), weights,
    diversity, quality (on val), test, ood, gaps, adaptation, seconds (by stage); and, as in metrics.json, fairness,
    groups, amplification, corruptions, drops, forgetting, grid and, where answers are drawn by chance, random_share.
    """
    committed = run.rounds()
    last = committed[-1].manifest if committed else {}
    seconds = stage_seconds(run)
    rounds = [_of_round(round_, round_.manifest, seconds) for round_ in committed]
    asked = sum(round_.manifest["asked"] for round_ in committed)
    answers = [*(r["answers"] for r in rounds), _answers(run.round(len(committed)))]
    dataset = run.dataset() if run.dataset_part(0).exists() else None
    record = {
        "run": run.root.name,
        "status": _status(run, last),
        "stop_reason": last.get("stop_reason"),
        "num_rounds": len(rounds),
        "num_asked": asked,
        "num_labels": asked if run.config.review.by_people else 0,
        "num_samples": 0 if dataset is None else len(dataset),
        "num_synthetic": 0 if dataset is None else int((dataset["origin"] == "synthetic").sum()),
        "answers": {a: n for a in ACTIONS if (n := sum(of_round.get(a, 0) for of_round in answers))},
        "set_aside": set_aside(run),
        "images": images(run),
        "dataset_fingerprint": None if dataset is None else run.dataset_fingerprint(),
        "rounds": rounds,
        "notes": [*changed_answers(run), *notes(run)],
        "under_way": _under_way(run, committed, seconds),
    }
    if record["status"] == "awaiting_review":
        record["review"] = _awaited(run)
        record["notes"] += strays(run.round(len(committed)), record["review"]["table"])
    beside = sorted((run.root / "baselines").glob("*/config.json"))
    record |= {"baselines": {p.parent.name: summarise(RunDir.at(p.parent)) for p in beside}} if beside else {}
    return record | {"selection": _selection(record)}


def _selection(record: dict) -> str | None:
    """What selection is worth: by the random selection beside the run, else by what the answers drawn by chance say."""
    random = record.get("baselines", {}).get("random", {"rounds": []})["rounds"]
    if random and record["rounds"]:
        return _against(record["rounds"], random)
    newest = record["under_way"] or (record["rounds"][-1] if record["rounds"] else {})
    found = newest.get("random_share", {})
    if "worth" not in found:
        return None
    from adde_ray.methods.stats import selection_worth  # scipy takes half a second

    return selection_worth.sentence(found["worth"], found["rows"])


def _against(ours: list[dict], random: list[dict]) -> str | None:
    rounds = [*ours, *random]
    split = next((name for name in ("test", "quality") if all(r[name] for r in rounds)), None)
    if split is None:  # nothing to hold one against the other by
        return None
    level, spent = random[-1][split]["macro_f1"], random[-1]["num_asked"]
    labels = next((r["num_asked"] for r in ours if r[split]["macro_f1"] >= level), None)
    end = f"random selection's end, macro-F1 {level:.3f} with {spent:,} labels"
    return f"does not reach {end}" if labels is None else f"reaches {end}, with {labels:,}"


def _of_round(round_: RoundDir, manifest: dict, seconds: dict[int, dict[str, float]]) -> dict:
    metrics = round_.metrics
    counts = ("round", "num_asked", "num_labels", "num_samples", "num_synthetic")
    return {
        **{key: metrics.get(key) for key in counts},
        "answers": _answers(round_),
        "weights": manifest["weights"],
        "diversity": metrics["diversity"],
        "quality": metrics["val"],
        "test": metrics["test"],
        "ood": metrics["ood"],
        "gaps": metrics.get("gaps", {}),
        "adaptation": manifest["adaptation"],
        "seconds": seconds.get(round_.t, {}),
        **{key: metrics[key] for key in MEASURES if key in metrics},
    }


def _under_way(run: RunDir, committed: list[RoundDir], seconds: dict[int, dict[str, float]]) -> dict | None:
    """The round after the committed ones, by the weights that the one before has left it."""
    round_ = run.round(len(committed))
    if not (round_.root / "metrics.json").exists():
        return None
    policy = run.config.select.model_dump() | (committed[-1].manifest["policy"] if committed else {})
    weights = {name: policy[name] for name in ("alpha", "beta", "gamma")}
    return _of_round(round_, {"weights": weights, "adaptation": []}, seconds)


def set_aside(run: RunDir) -> dict[str, int]:
    """Rows that did not pass a gate, by gate."""
    path, rows = run.root / "ingest" / "gates.json", {}
    for found in read_json(path)["rejected"] if path.exists() else []:
        rows[found["gate"]] = rows.get(found["gate"], 0) + found["rows"]
    return rows


def images(run: RunDir) -> dict | None:
    """What of real images was encoded: side (pixels that the encoder wants), larger (read again from their originals),
    small (originals without more pixels than are kept), lacking (why an original was not there -> images encoded as
    they are kept). None where they all were."""
    kept = sorted((run.root / "embeddings").glob("*/images.json"), key=lambda path: (path.stat().st_mtime, path))
    return read_json(kept[-1]) if kept else None


def stage_seconds(run: RunDir) -> dict[int, dict[str, float]]:
    """round -> stage -> seconds, summed over resumptions."""
    total: dict[int, dict[str, float]] = {}
    for event in run.ended():
        stages = total.setdefault(event["round"], {})
        stages[event["stage"]] = round(stages.get(event["stage"], 0.0) + event["seconds"], 4)
    return total


def _answers(round_: RoundDir) -> dict[str, int]:
    decisions = round_.read("decisions.parquet", "action")
    return {} if decisions is None else actions.count(decisions)


def _awaited(run: RunDir) -> dict:
    """Of the query people are asked: round, table (its name; None: they answer on the page), asked (samples), open
    (samples) and lines (where in the table they stand); or mistakes (as they are told) where the answers have some."""
    round_ = run.round(len(run.rounds()))
    query = round_.read("query.parquet", "sample_id")
    asked = 0 if query is None else len(query)
    table = None if run.config.review.annotator == "page" else TABLE
    try:
        found = pending(run)
    except UserError as error:
        return {"round": round_.t, "table": table, "asked": asked, "mistakes": str(error)}
    if found is None:
        return {"round": round_.t, "table": table, "asked": asked, "open": asked, "lines": []}
    return {"round": round_.t, "table": found.table, "asked": asked, "open": found.open, "lines": found.lines}


def _status(run: RunDir, last: dict) -> str:
    if last.get("stop_reason"):
        return "finished"
    current = run.round(len(run.rounds()))
    asked, answered = ((current.root / f"{name}.parquet").exists() for name in ("query", "decisions"))
    return "awaiting_review" if run.config.review.waits and asked and not answered else "running"
