"""Uncertainty Herding and ProbCover are the plain greedy computations, and pick what scikit-activeml picks."""

from dataclasses import replace

import numpy as np
import pytest
from offered import groups, mixture, pick
from scipy.spatial.distance import cdist, pdist

from adde_ray.methods.query.selectors import Candidates, herding


def squared(x, y) -> np.ndarray:
    return cdist(x.astype(np.float64), y.astype(np.float64), "sqeuclidean")


def greedy(kernel: np.ndarray, covered: np.ndarray, weights: np.ndarray, size: int) -> list[int]:
    """kernel (n, n): each adds Σ_j w_j max(k_ij - covered_j, 0)."""
    chosen: list[int] = []
    for _ in range(size):
        gain = np.round((np.maximum(kernel - covered, 0) * weights).sum(axis=1) / weights.sum(), 12)
        gain[chosen] = -1
        chosen.append(int(np.argmax(gain)))
        covered = np.maximum(covered, kernel[chosen[-1]])
    return chosen


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("m", [0, 1, 2, 30])
def test_uncertainty_herding_is_greedy_kernel_coverage(seed, m):
    c = mixture(m=m, seed=seed)
    z, dataset = c.embedding, c.dataset_embedding
    both = np.concatenate([z, dataset]).astype(np.float64)
    width = pdist(dataset.astype(np.float64)).min() ** 2 if m > 1 else np.square(z - both.mean(axis=0)).sum(1).mean()
    covered = np.exp(-squared(z, dataset) / width).max(axis=1, initial=0)
    expected = greedy(np.exp(-squared(z, z) / width), covered, c.score, 60)
    # Of two equal rows either may come: which does is up to the order of contents.
    assert [c.score[row] for row in pick("uncertainty_herding", c, 60)] == [c.score[row] for row in expected]


def test_uncertainty_herding_with_equal_scores_picks_what_scikit_activeml_picks():
    """scikit-activeml 1.0.1, MaxHerding with an RBF kernel of our width."""
    expected = [50, 103, 229, 202, 289, 10, 145, 237, 117, 337, 394, 305]
    assert pick("uncertainty_herding", groups(), 12) == expected


def test_uncertainty_herding_turns_to_the_score_as_samples_come_close():
    c = mixture().take(np.arange(300))  # no copies, which count twice
    far, near = c.dataset_embedding[:2], c.dataset_embedding[:2].copy()
    far[1], near[1] = far[0] + 5, near[0] + np.float32(1e-3)
    best = set(np.argsort(-c.score)[:40])
    of = {name: pick("uncertainty_herding", replace(c, dataset_embedding=d), 20) for name, d in
          {"far": far, "near": near}.items()}  # fmt: skip
    assert set(of["near"]) <= best and len(set(of["far"]) & best) < 10


@pytest.mark.parametrize("name", ["uncertainty_herding", "prob_cover"])
def test_sums_over_a_sample_of_the_pool_choose_nearly_as_well(name, monkeypatch):
    c = mixture(n=900)
    width = pdist(c.dataset_embedding).min() ** 2 if name == "uncertainty_herding" else 4.0
    weights = c.score if name == "uncertainty_herding" else np.ones(900)

    def covered(rows: list[int]) -> float:
        held = np.concatenate([c.dataset_embedding, c.embedding[rows]])
        return float((np.exp(-squared(c.embedding, held) / width).max(axis=1) * weights).sum())

    before, all_of_it = covered([]), covered(pick(name, c, 40))
    monkeypatch.setattr(herding, "MAX_POOL", 300)
    sampled = pick(name, c, 40)
    assert len(set(sampled)) == 40 and covered(sampled) - before > 0.9 * (all_of_it - before)


def test_what_is_sampled_does_not_choose_for_what_is_not(monkeypatch):
    """A narrow kernel: rows cover themselves alone, and the best scores come first whether sampled or not."""
    monkeypatch.setattr(herding, "MAX_POOL", 50)
    c = mixture().take(np.arange(300))
    near = np.array([[100.0] * 16, [100.0] * 15 + [100.001]], np.float32)
    c = replace(c, score=np.linspace(0.1, 0.9, 300), dataset_embedding=near)
    assert pick("uncertainty_herding", c, 10) == list(range(299, 289, -1))


def test_prob_cover_covers_as_many_as_scikit_activemls():
    """scikit-activeml 1.0.1, ProbCover with radii in steps of .01: radius 3.36, and so many new rows at each pick.

    Which of many rows that cover a whole group it takes is drawn there.
    """
    c, found = groups(), []
    within = squared(c.embedding, np.concatenate([c.embedding, c.dataset_embedding])) <= 3.36**2
    covered = within[:, len(c) :].any(axis=1)
    for row in pick("prob_cover", c, 8):
        found.append(int((within[row, : len(c)] & ~covered).sum()))
        covered |= within[row, : len(c)]
    assert found == [56, 52, 50, 48, 42, 5, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_prob_cover_is_greedy_coverage_by_pure_balls(seed):
    c, _ = mixture(seed=seed).by_content()
    pool, dataset, _ = herding.centred(c)
    both = np.concatenate([pool, dataset])
    radius = herding._pure_radius(both, 7, np.random.default_rng(0))
    cluster = herding.kmeans(both, 7, seed=int(np.random.default_rng(0).integers(2**31)))

    def purity(at: float) -> float:
        return 1 - ((squared(both, both) <= at) & (cluster[:, None] != cluster)).any(axis=1).mean()

    assert purity(radius) >= herding.PURITY > purity(1.02 * radius)
    near, covered = squared(pool, pool) <= radius, (squared(pool, dataset) <= radius).any(axis=1)
    for row in pick("prob_cover", c, 40):
        new = (near & ~covered).sum(axis=1)
        assert new[row] == new.max()
        covered |= near[row]


def test_one_class_of_rows_that_are_alike():
    c = Candidates(np.ones(3), np.ones((3, 2), np.float32), np.ones((3, 1)), np.zeros((0, 2)))
    assert pick("prob_cover", c, 2) == pick("uncertainty_herding", c, 2) == [0, 1]
