"""The loop's wall time against the same computation written as a bare script: what artifacts, Ray and resume cost.

    python benchmarks/loop_overhead.py
    python benchmarks/loop_overhead.py --quick             # fewer rounds

Both run in this process on the digits, by turns. The bare script keeps everything in memory: no run folder, no Ray, no
actors, no lineage. It must ask about the very same samples in every round, or the comparison is void; pseudo-labels,
strategies that share the query and the search for real samples are off in both. Timed per round, after imports, Ray's
start and a first round that warms both up.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import arguments, finish, show

from adde_ray import Config, run
from adde_ray.annotators.simulated import Judges, SimulatedAnnotator
from adde_ray.artifacts.run_dir import RunDir, derive_rng, derive_seed
from adde_ray.artifacts.schema import QUERY, UNLABELLED, Population, Split, frame, payload_series, sample_id
from adde_ray.dataset import Data
from adde_ray.methods.encoders import decode_images, make
from adde_ray.methods.metrics import amplification, fairness
from adde_ray.methods.metrics.evaluation import evaluate
from adde_ray.methods.model import learner
from adde_ray.methods.model.convex import solve
from adde_ray.methods.model.head import Fitter
from adde_ray.methods.model.head_choice import Choice, choose
from adde_ray.methods.model.standard import Standard
from adde_ray.methods.policy import adaptation, stopping
from adde_ray.methods.policy.adaptation import Evidence, Policy
from adde_ray.methods.query import local_scale, selectors, terms
from adde_ray.methods.space import diversity, drift, gaps
from adde_ray.methods.space.clustering import fit_space
from adde_ray.methods.space.gap_tracking import track
from adde_ray.methods.synthesis.generators import GENERATORS, FitData, to_payload
from adde_ray.methods.synthesis.quality import quality_control, quality_scores
from adde_ray.methods.synthesis.requests import aim, plan_requests
from adde_ray.pool.shards import MemoryShard, Pool
from adde_ray.report.summary import stage_seconds
from adde_ray.stages.ingest import prepare
from adde_ray.stages.metrics import MetricsReference

CONFIG = Path(__file__).parents[1] / "jobs" / "configs" / "digits.toml"


def bare_train(
    standard: Standard, x: np.ndarray, y: np.ndarray, val: tuple, before: Choice | None, config: Config, t: int
) -> tuple[learner.Network, Choice]:
    """The choice of a linear head's settings and its fit, as one would write it for one machine."""
    num_classes = int(max(y.max(), val[1].max())) + 1
    fitter = Fitter(standard, x, y, num_classes, steps=config.train.steps)
    seed = derive_seed(config.run.seed, t, "head")
    choice, _ = choose(fitter, before, config.train, val, multi=False, seed=seed)
    head = fitter.folded(solve(fitter.problem(choice.settings), steps=config.train.steps), choice.settings)
    network = learner.linear(x.shape[1], num_classes, config.train)
    network.load_state_dict({"head.weight": torch.from_numpy(head.weight), "head.bias": torch.from_numpy(head.bias)})
    return network, choice


def bare(config: Config, num_rounds: int) -> tuple[list[list[str]], list[float]]:
    """The samples asked about and the seconds of each round."""
    prepared = prepare(config)
    classes, splits = prepared.meta.classes, prepared.splits
    encoder = make(config.encoder, "image")
    both = [splits["pool"], splits["seed"]]
    seed = config.run.seed
    encoder.fit(
        payload_series([p for t in both for p in t.sort("sample_id")["image"]], "image"),
        seed=derive_seed(seed, "encoder"),
    )
    whole = {n: Split(t, encoder.encode(t["image"])) for n, t in splits.items()}
    pool = whole.pop("pool")
    data = Data(prepared.meta, whole, Pool((MemoryShard(pool, ()),), len(pool), pool), encoder.encode)
    reference = data.reference
    rows = {name: row for row, name in enumerate(reference.ids)}
    truth = dict(prepared.oracle.iter_rows())
    known = truth | dict(splits["seed"].select("sample_id", "label").iter_rows())
    at = np.array([rows[i] for i in sorted(known)])
    all_labels = np.array([classes.index(known[i]) for i in sorted(known)])
    judges = Judges(reference.features[at], all_labels, seed=derive_seed(seed, "annotator"))
    annotator = SimulatedAnnotator(classes, judges=judges, seed=derive_seed(seed, "annotator"))
    by = MetricsReference.of(data, config)
    val, said = data.splits["val"].features, data.labels("val")
    exponent = local_scale.exponent(val, said, reference.features, seed=derive_seed(seed, "locality"))
    local = local_scale.LocalScale(exponent, local_scale.unit(reference.features, seed=derive_seed(seed, "unit")))
    generator = GENERATORS["cvae"](config.generate)
    standard, choice = Standard.fit(reference.features, seed=derive_seed(seed, "standard")), None

    ids = list(splits["seed"]["sample_id"])
    features = [reference.features[rows[i]] for i in ids]
    images = [reference.table["image"][rows[i]] for i in ids]
    labels = [classes.index(c) for c in splits["seed"]["label"]]
    asked, history, tracked, tried = [], [], [], {}
    policy, space, synthetic_asked = Policy.initial(config), None, 0
    queries, seconds = [], []
    for t in range(num_rounds):
        began = time.perf_counter()
        order = np.argsort(ids)
        x = np.stack(features)[order].astype(np.float32)
        y, in_dataset = np.array(labels)[order], [ids[i] for i in order]
        val = data.splits["val"].features
        network, choice = bare_train(standard, x, y, (val, data.labels("val")), choice, config, t)
        model = learner.Model(network, 1.0)
        model = learner.Model(network, learner.fit_temperature(model.logits(val), data.labels("val")))

        proba = model.proba(reference.features)
        space = space or fit_space(reference.features, config.clustering, seed=derive_seed(seed, "space"))
        everyone = Population(reference.ids, space.points, np.full(len(reference), UNLABELLED))
        labelled = Population(in_dataset, space.reduce(x), y)
        taken_ids = set(in_dataset) | set(asked)
        taken = np.array([i in taken_ids for i in reference.ids])
        found = gaps.find_gaps(
            space,
            everyone,
            labelled,
            asked=taken,
            proba=proba,
            classes=classes,
            config=config.gaps,
            diversity=config.diversity,
        )
        tracked = track(tracked, found, round=t, ids=reference.ids, points=space.points, tried=tried)
        to_fill = gaps.open_gaps(tracked, config.gaps)
        said = {n: model.proba(data.splits[n].features) for n in by.groups}
        for n, groups in by.groups.items():
            for g in groups.values():
                fairness.measure(g, data.labels(n), said[n], classes)
                amplification.misstatement(data.labels(n), said[n], g)
        quality = {n: evaluate(data.labels(n), said[n], classes, by.rare) for n in ("val", "test", "ood")}
        spread = diversity.measure(
            space, everyone, labelled, reference.features, x, classes=classes, config=config.diversity
        )
        space_of_val, drift_rng = space.reduce(val), derive_rng(seed, t, "drift")
        drift.measure(
            {"pool": space.points, "dataset": labelled.points, "val": space_of_val},
            {"pool": space.cells, "dataset": space.cell_of(labelled.points), "val": space.cell_of(space_of_val)},
            len(space.centroids),
            rng=drift_rng,
            max_rows=config.gates.drift_rows,
        )
        history.append({"num_asked": len(asked), "val": quality["val"], "diversity": spread})
        if stopping.first_reason(history, 0.0, config.stop):
            break

        generate_seed = derive_seed(seed, t, "generate")
        requests = plan_requests(to_fill, per_round=config.generate.per_round, classes=classes, known=set(y.tolist()))
        kept, num_made = [], 0
        if requests and policy.synthetic_share > 0 and t >= policy.synthesis_from:
            rest = np.array([r for r, i in enumerate(reference.ids) if i not in set(in_dataset)])
            payloads = [images[i] for i in order] + [reference.table["image"][int(r)] for r in rest]
            fit_on = FitData(
                decode_images(payload_series(payloads, "image")),
                np.concatenate([np.eye(len(classes), dtype=np.float32)[y], proba[rest]]),
                np.concatenate([labelled.points, space.points[rest]]),
            )
            torch.set_num_threads(1)
            weights = generator.fit(fit_on, seed=derive_seed(generate_seed, "fit"))
            parts = []
            for request in requests:
                points, _ = aim(request, fit_on.points, fit_on.class_probs, seed=generate_seed)
                own = derive_seed(generate_seed, "sample", request.gap_id, request.label)
                wanted = np.full(request.count, request.label)
                parts.append(generator.sample(weights, wanted, points, temperature=policy.temperature, seed=own))
            torch.set_num_threads(torch_threads)
            made = to_payload(np.concatenate(parts), "image")
            z, num_made = data.encode(payload_series(made, "image")), len(made)
            request_of = np.repeat(np.arange(len(requests)), [r.count for r in requests])
            intended = np.array([requests[r].label for r in request_of])
            judged = quality_control(
                z,
                intended,
                model.proba(z),
                dataset_features=x,
                dataset_labels=y,
                real_features=reference.features,
                config=config.quality_control,
                min_confidence=policy.min_confidence,
                seed=generate_seed,
            )
            seen = set(asked)
            for i, payload in enumerate(made):
                name = sample_id(payload)
                if judged["status"][i] == "kept" and name not in seen:
                    seen.add(name)
                    signals = tuple(float(judged[c][i]) for c in ("confidence", "agreement", "nn_ratio"))
                    kept.append((name, payload, z[i], intended[i], requests[request_of[i]].gap_id, signals))
            kept.sort(key=lambda k: k[0])

        real = np.flatnonzero(~taken)
        extra = np.array([k[2] for k in kept], dtype=np.float32).reshape(len(kept), reference.features.shape[1])
        embedding = np.concatenate([reference.features[real], extra])
        p = np.concatenate([proba[real], model.proba(extra)])
        points = np.concatenate([space.points[real], space.reduce(extra)])
        member = gaps.membership(points, p, {}, to_fill, classes)
        counts = np.bincount(y, minlength=len(classes))
        scale = terms.novelty_scale(reference.features[real], x)
        batch = terms.CandidateBatch(p, embedding, x, counts, member, scale)
        sharpness = terms.sharpness(terms.uncertainty(proba[real], config.select.uncertainty))
        u = terms.uncertainty(p, config.select.uncertainty)
        u = terms.weighted(u, batch, sharpness=sharpness, rarity=config.select.rarity)
        div = terms.diversity(batch, config.select.diversity)
        q = np.ones(len(p), dtype=np.float32)
        if kept:
            q[len(real) :] = quality_scores(
                *np.array([k[5] for k in kept], dtype=np.float32).T, None, config.quality_control
            )
        names = [reference.ids[r] for r in real] + [k[0] for k in kept]
        u, div, q = (np.asarray(v, dtype=np.float32) for v in (u, div, q))
        score = terms.weighted_sum(u, div, q, policy.weights).astype(np.float32).astype(np.float64)
        by_name = np.argsort(names)
        synthetic = by_name >= len(real)
        size = min(config.select.batch, config.stop.labels - len(asked))
        lengths = local.lengths(space, points[by_name])
        offered = selectors.Candidates(
            score[by_name],
            embedding[by_name],
            p[by_name],
            x,
            length=lengths,
            representativeness=local.representativeness,
        )
        picked = selectors.select(
            offered,
            size + int(synthetic.sum()),
            selector=config.select.selector,
            redundancy=config.select.redundancy,
            rng=derive_rng(seed, t, "select"),
        )
        over_run = int(config.generate.max_share * (len(asked) + size)) - synthetic_asked
        probe = int(policy.synthetic_share > 0)
        cap = max(min(max(round(policy.synthetic_share * size), probe), over_run), 0)
        chosen = by_name[selectors.cap_synthetic(picked, synthetic, cap)[:size]]

        best = p.argmax(axis=1)
        suggested = [classes[best[c]] if c < len(real) else classes[kept[c - len(real)][3]] for c in chosen]
        origin = ["real" if c < len(real) else "synthetic" for c in chosen]
        query = frame({"sample_id": [names[c] for c in chosen], "origin": origin, "suggested": suggested}, QUERY)
        made_features = {names[c]: embedding[c] for c in chosen if c >= len(real)}
        answers = dict(annotator.answer(query, truth, made_features, t=t).select("sample_id", "label").iter_rows())
        gap_of = terms.gap_of(member[: len(real)], [g.gap_id for g in to_fill]) + [k[4] for k in kept]
        paid_rows = sorted(chosen, key=lambda c: names[c])
        answered = np.array([-1 if answers[names[c]] is None else classes.index(answers[names[c]]) for c in paid_rows])
        label = np.maximum(answered, 0)
        paid = adaptation.payoff(p[paid_rows, label], counts[label], answered >= 0)
        valued = np.stack([u[paid_rows], div[paid_rows], q[paid_rows]], axis=1).astype(np.float64)
        tested = [answers[names[c]] is not None for c in chosen if c >= len(real)]
        evidence = Evidence(
            history, valued, paid, Policy.initial(config), config.generate.max_share, num_made, len(tested), sum(tested)
        )
        tried = {}
        for c in range(len(real), len(names)):
            tried.setdefault(gap_of[c], [0, 0, 0])[0] += 1
        for c in chosen:
            name, answer = names[c], answers[names[c]]
            asked.append(name)
            if gap_of[c] is not None:
                tally = tried.setdefault(gap_of[c], [0, 0, 0])
                tally[1] += 1
                tally[2] += answer is not None
            if answer is not None:
                ids.append(name)
                features.append(embedding[c])
                images.append(kept[c - len(real)][1] if c >= len(real) else reference.table["image"][int(real[c])])
                labels.append(classes.index(answer))
        synthetic_asked += sum(c >= len(real) for c in chosen)
        tried = {gap_id: tuple(tally) for gap_id, tally in tried.items()}
        policy, _ = adaptation.adapt(policy, evidence, config.adapt)
        queries.append([names[c] for c in chosen])
        seconds.append(time.perf_counter() - began)
    return queries, seconds


def ours(config: Config, folder: Path, num_rounds: int) -> tuple[list[list[str]], list[float]]:
    """The same through the loop. A round's time is from its first stage's start to the next round's."""
    run(config, folder)
    kept = RunDir.at(folder)
    starts = [e["time"] for e in kept.events() if e["event"] == "start" and e["stage"] == "train"]
    queries = [kept.round(t).read("query.parquet")["sample_id"].to_list() for t in range(num_rounds)]
    assert len(stage_seconds(kept)) == num_rounds + 1
    return queries, list(np.diff(starts))


def main() -> None:
    args = arguments(__doc__).parse_args()
    num_rounds = 5 if args.quick else 14
    pairs = 2 if args.quick else 3
    plain = ["train.pseudo_labels=0", "select.mix=[]", "generate.search=false", "encoder.name=pixels"]
    budget = f"stop.labels={10 * num_rounds}"
    config = Config.load(CONFIG, ["compare.random=false", "measure.corruptions=[]", budget, *plain])
    times: dict[str, list[list[float]]] = {"loop": [], "bare": []}
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as root:
            in_loop, loop_seconds = ours(config, Path(root) / "run", num_rounds)
        in_bare, bare_seconds = bare(config, num_rounds)
        same = sum(a == b for a, b in zip(in_loop, in_bare, strict=True))
        assert same == num_rounds, f"only {same} of {num_rounds} queries agree: not the same computation"
        times["loop"].append(loop_seconds[1:])
        times["bare"].append(bare_seconds[1:])
    per_round = {name: float(np.median([np.median(s) for s in runs])) for name, runs in times.items()}
    ratios = [sum(a) / sum(b) for a, b in zip(times["loop"], times["bare"], strict=True)]
    rows = [[name, per_round[name] * 1000, min(sum(s) for s in times[name])] for name in times]
    show(
        f"{num_rounds - 1} rounds, {pairs} pairs, same samples asked", ["", "ms / round (median)", "s (best run)"], rows
    )
    ratio = math.exp(np.mean(np.log(ratios)))
    figures = {"ratio": ratio, "ratio_min": min(ratios), "ratio_max": max(ratios)}
    figures |= {f"ms_per_round/{name}": 1000 * value for name, value in per_round.items()}
    finish("loop_overhead", figures, {"ratio": "<= 1.25"})


torch_threads = torch.get_num_threads()

if __name__ == "__main__":
    main()
