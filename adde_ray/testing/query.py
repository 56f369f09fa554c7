"""Checks of what chooses samples: uncertainty and diversity terms, selectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adde_ray.methods.query.selectors import Candidates, Selector
from adde_ray.methods.query.terms import CandidateBatch, DiversityTerm, Uncertainty
from adde_ray.testing.expect import expect, expect_same, expect_scores

CLASSES = 5


def check_uncertainty(term: Uncertainty, *, of_members: bool = False) -> None:
    """(n, C) probabilities, or (n, K, C) of K members → (n,) in [0, 1]; each row by itself, certainty below doubt."""
    rng = np.random.default_rng(0)
    members = (3,) if of_members else ()
    for classes in (2, CLASSES):
        proba = rng.dirichlet(np.ones(classes), (40, *members)).astype(np.float32)
        before, u = proba.copy(), term(proba)
        expect_scores(u, 40, "the uncertainty of 40 samples")
        expect_same(proba, before, "the probabilities it was given are changed")
        expect_same(term(proba), u, "the same probabilities give another uncertainty the second time")
        order = rng.permutation(40)
        expect_same(term(proba[order]), u[order], "a sample's uncertainty depends on the samples beside it")
        expect_scores(term(proba[:0]), 0, "the uncertainty of no samples")
        expect_scores(term(np.eye(classes, dtype=np.float32)[np.zeros((2, *members), int)]), 2, "certainty's value")
    sure, doubtful = np.zeros((1, CLASSES), np.float32), np.full((1, CLASSES), 1 / CLASSES, np.float32)
    sure[0, 0] = 1
    if of_members:
        agree, other = np.stack([sure, sure], axis=1), np.roll(sure, 1, axis=1)
        pair = term(agree)[0], term(np.stack([sure, other], axis=1))[0]
        expect(pair[0] < pair[1], "members that contradict each other are not more uncertain than such that agree")
    else:
        expect(term(sure)[0] < term(doubtful)[0], "doubt between all classes is not more uncertain than certainty")


def check_diversity(term: DiversityTerm) -> None:
    """A batch of candidates → (n,) in [0, 1]; each row by itself, also where there is no dataset and no gap."""
    for n, m, gaps in ((40, 12, 3), (40, 0, 0), (1, 1, 1), (0, 12, 3)):
        batch = _batch(n, m, gaps)
        div = expect_scores(term(batch), n, f"the diversity of {n} candidates beside {m} samples and {gaps} gaps")
        expect_same(term(batch), div, "the same candidates give another diversity the second time")
        expect_same(batch.embedding, _batch(n, m, gaps).embedding, "the candidates it was given are changed")
        if n > 1:
            order = np.random.default_rng(1).permutation(n)
            expect_same(term(_take(batch, order)), div[order], "a candidate's diversity depends on the order of rows")
    batch = _batch(400, 12, 3)
    for rows in ([3], [7, 9, 11], np.arange(0, 40, 3), np.arange(17, 390)):
        rows = np.array(rows)
        expect_same(term(_take(batch, rows)), term(batch)[rows], "a candidate's diversity depends on the others")
    batch = _batch(40, 12, 3)
    alike = {"embedding": np.ones_like(batch.embedding), "dataset_embedding": np.ones_like(batch.dataset_embedding)}
    flat = replace(batch, **alike, novelty_scale=0.0)
    expect_scores(term(flat), 40, "the diversity of candidates that are all alike")
    expect_scores(term(replace(batch, multi=True)), 40, "the diversity in a multi-label task")


def check_selector(selector: Selector) -> None:
    """Candidates → up to so many distinct rows, best first; of candidates that are all alike, too."""
    for n, m in ((40, 12), (40, 0), (3, 12), (1, 1), (0, 12)):
        for size in (0, 1, 5, 40):
            what = f"{size} of {n} candidates beside {m} samples"
            _picks(selector, _candidates(n, m), size, what)
    c = _candidates(40, 12)
    first = _picks(selector, c, 10, "10 of 40 candidates")
    expect_same(_picks(selector, c, 10, "the same"), first, "the same candidates and seed give another batch")
    fresh = _candidates(40, 12)
    for name in ("score", "embedding", "proba", "dataset_embedding"):
        expect_same(getattr(c, name), getattr(fresh, name), f"the candidates' {name} is changed")
    alike = {"score": np.full(40, 0.5), "embedding": np.zeros_like(c.embedding), "proba": np.full_like(c.proba, 0.2)}
    _picks(selector, replace(c, **alike, dataset_embedding=np.zeros_like(c.dataset_embedding)), 10, "10 of 40 copies")
    _picks(selector, replace(c, multi=True), 10, "10 of 40 candidates of a multi-label task")


def _picks(selector: Selector, c: Candidates, size: int, what: str) -> np.ndarray:
    rows = np.asarray(selector(c, size, redundancy=0.5, rng=np.random.default_rng(0)))
    wanted = min(size, len(c))
    expect(rows.ndim == 1, f"{what}: rows of {rows.ndim} dimensions, not one")
    expect(len(rows) == wanted, f"{what}: {len(rows)} rows, not {wanted}")
    if wanted:
        expect(np.issubdtype(rows.dtype, np.integer), f"{what}: rows are {rows.dtype}, not whole numbers")
        expect(len(set(rows.tolist())) == wanted, f"{what}: a row is there twice")
        expect(rows.min() >= 0 and rows.max() < len(c), f"{what}: a row is none of the candidates")
    return rows


def _candidates(n: int, m: int) -> Candidates:
    rng = np.random.default_rng(0)
    return Candidates(
        score=rng.permutation(n) / max(n, 1),
        embedding=rng.normal(size=(n, 4)).astype(np.float32),
        proba=rng.dirichlet(np.ones(CLASSES), n).astype(np.float32),
        dataset_embedding=rng.normal(size=(m, 4)).astype(np.float32),
    )


def _batch(n: int, m: int, gaps: int) -> CandidateBatch:
    rng = np.random.default_rng(0)
    return CandidateBatch(
        proba=rng.dirichlet(np.ones(CLASSES), n).astype(np.float32),
        embedding=rng.normal(size=(n, 4)).astype(np.float32),
        dataset_embedding=rng.normal(size=(m, 4)).astype(np.float32),
        class_counts=np.array([6, 4, 2, 0, 0]),
        membership=rng.random((n, gaps)).astype(np.float32),
        novelty_scale=2.0,
    )


def _take(s: CandidateBatch, rows: np.ndarray) -> CandidateBatch:
    return replace(s, proba=s.proba[rows], embedding=s.embedding[rows], membership=s.membership[rows])
