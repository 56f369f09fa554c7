"""One simulated person: whom they mix up, how they tire, and how long an answer takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from adde_ray import labels as codec

SPREAD = 0.5
"""Of the logarithm of the seconds of an answer, which are log-normal around their median."""


@dataclass(frozen=True)
class SimulatedPerson:
    """error_rate: chance in [0, 1] of naming another class, by true class; multi: of taking a class for its contrary.
    confusion: true class -> class named instead -> its chance; of classes in it, error_rate does not count.
    fatigue: what each answer in a sitting adds to the chance of an error. seconds: median of an answer's.
    """

    classes: tuple[str, ...]
    error_rate: Mapping[str, float]
    confusion: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fatigue: float = 0.0
    seconds: float = 0.0
    multi: bool = False
    mark: str = ""
    """What their chances are drawn from, with the sample: of the same mark, people err alike."""

    def says(self, sample_id: str, label: str, nth: int = 0) -> str:
        """Their answer about a sample of this true label, the nth (from 0) of their sitting."""
        # Drawn from the sample's own id: the same person makes the same mistake on it in whatever batch it comes.
        rng = self._rng(self.mark, sample_id)
        tired = self.fatigue * nth
        if self.multi:
            holds, unknown = codec.split(label)
            wrong = [c for c in self.classes if rng.random() < self.error_rate[c] + tired and c not in unknown]
            return codec.join(set(holds) ^ set(wrong), unknown)
        others = [c for c in self.classes if c != label]
        if (mixed := self.confusion.get(label)) is not None:
            return self._mixed_up(label, mixed, tired, rng)
        return others[rng.integers(len(others))] if others and rng.random() < self.error_rate[label] + tired else label

    def takes(self, sample_id: str) -> float:
        """Seconds of their answer."""
        if not self.seconds:
            return 0.0
        drawn = self._rng(self.mark, "seconds", sample_id).standard_normal()
        return round(self.seconds * float(np.exp(SPREAD * drawn)), 3)

    def _mixed_up(self, label: str, mixed: Mapping[str, float], tired: float, rng: np.random.Generator) -> str:
        """By the row of the matrix; who is tired errs more often, and alike."""
        wrong = {name: chance for name, chance in mixed.items() if name != label and chance > 0}
        rate = sum(wrong.values())
        if not wrong or rng.random() >= rate + tired:
            return label
        ends = np.cumsum(list(wrong.values())) / rate
        return list(wrong)[min(int(np.searchsorted(ends, rng.random(), side="right")), len(wrong) - 1)]

    @staticmethod
    def _rng(*parts: str) -> np.random.Generator:
        digest = hashlib.blake2b("/".join(parts).encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(digest))
