"""What selectors look at: candidates and dataset as arrays; and what a selector is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """What selectors look at: n candidates and the m samples that are in the dataset."""

    score: np.ndarray  # (n,) in [0, 1]
    embedding: np.ndarray  # (n, e)
    proba: np.ndarray  # (n, C) calibrated
    dataset_embedding: np.ndarray  # (m, e)
    multi: bool = False  # several classes may hold at once
    length: np.ndarray | None = None  # (n,) within which another sample stands for it; see `local_scale`
    representativeness: float = 1.0  # in [0, 1]: how much it counts that a sample stands for others; see `local_scale`

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: np.ndarray) -> Candidates:
        """These candidates only."""
        length = None if self.length is None else self.length[rows]
        part = {"score": self.score[rows], "embedding": self.embedding[rows], "proba": self.proba[rows]}
        return replace(self, **part, length=length)

    def by_content(self) -> tuple[Candidates, np.ndarray]:
        """Candidates and dataset in an order that embeddings alone decide, and (n,) the row each candidate came from.

        For what starts at random or adds up over rows: its result is then the same bits in whatever order rows come.
        """
        order, of_dataset = content_order(self.embedding), content_order(self.dataset_embedding)
        return replace(self.take(order), dataset_embedding=self.dataset_embedding[of_dataset]), order


class Selector(Protocol):
    def __call__(self, candidates: Candidates, size: int, *, redundancy: float, rng: np.random.Generator) -> np.ndarray:
        """Up to `size` distinct rows, best first; those of a smaller batch are the first of a larger one (but for
        `FOR_SIZE`)."""
        ...


def content_order(z: np.ndarray) -> np.ndarray:
    """(n,) rows of z (n, e) sorted by their bytes; equal rows stay in order."""
    return np.argsort(as_bytes(z), kind="stable")


def as_bytes(z: np.ndarray) -> np.ndarray:
    """(n,) each row of z (n, e >= 1) as one value."""
    z = np.ascontiguousarray(z, dtype=np.float32) + np.float32(0)  # no -0, which is 0 by other bytes
    return z.view(f"V{z.itemsize * z.shape[1]}").ravel()
