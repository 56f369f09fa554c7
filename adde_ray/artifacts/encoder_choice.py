"""Which encoder a run with `encoder.name = "auto"` took, and why: `ingest/encoder.json`.

It stays what it is however many encoders can be had later. A run of an earlier version has none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adde_ray.artifacts.damage import CHOICE
from adde_ray.artifacts.run_dir import read_json
from adde_ray.config import Encoder

__all__ = ["CHOICE", "EncoderChoice", "Tried", "choice_of", "encoder_of"]


@dataclass(frozen=True)
class Tried:
    """An encoder that was at hand. macro_f1, low, high: its figure and 95 % interval, None where nothing was compared.

    dims: of its features. problem: why it could not be had after all.
    """

    name: str
    macro_f1: float | None = None
    low: float | None = None
    high: float | None = None
    dims: int | None = None
    problem: str | None = None

    @property
    def figure(self) -> str:
        """Macro-F1 with its interval."""
        return "–" if self.macro_f1 is None else f"{self.macro_f1:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class EncoderChoice:
    """settings: of the encoder that was taken, named. rows: labelled rows it was compared on, 0 = none.

    tried: in order of preference. better: how a pretrained one is had where none was at hand.
    """

    settings: dict[str, Any]
    taken: str
    rows: int
    tried: tuple[Tried, ...]
    better: str | None = None

    @classmethod
    def read(cls, path: Path) -> EncoderChoice:
        """The one in a file. Raises Halted: not there, or damaged."""
        tree = read_json(path)
        return cls(**{**tree, "tried": tuple(Tried(**one) for one in tree["tried"])})

    def as_json(self) -> dict:
        """What `read` reads."""
        return asdict(self)

    def over(self, encoder: Encoder) -> Encoder:
        """The config's section with what was taken in the place of "auto"."""
        return encoder.model_copy(update=self.settings)

    @property
    def score(self) -> float | None:
        """Macro-F1 of what was taken; None where nothing was compared."""
        return next((one.macro_f1 for one in self.tried if one.name == self.taken), None)

    @property
    def line(self) -> str:
        """What was taken and why, in one line."""
        others = [one for one in self.tried if one.name != self.taken]
        [mine] = [one for one in self.tried if one.name == self.taken]
        told = [f"encoder: {self.taken} (auto)"]
        if mine.macro_f1 is not None:
            what = f"macro-F1 {mine.figure} on {self.rows} labelled rows by cross-validation"
            beside = ", ".join(f"{one.name} {one.macro_f1:.3f}" for one in others if one.macro_f1 is not None)
            above = any((one.macro_f1 or 0) > mine.macro_f1 for one in others)
            even = "; the difference is noise, and it is preferred" if above else ""
            told.append(f"{what}; {beside}{even}")
        elif any(one.problem is None for one in others):
            named = ", ".join(one.name for one in others if one.problem is None)
            told.append(f"preferred to {named}: too few labels of two classes to compare them")
        told += [f"{one.name} {one.problem}" for one in others if one.problem]
        if self.better:
            told.append(f"a pretrained one mostly tells more: {self.better}")
        return "; ".join(told).replace("(auto);", "(auto):", 1)


def choice_of(root: Path) -> EncoderChoice | None:
    """A run's; None where it names its encoder, or has not chosen."""
    path = root / CHOICE
    return EncoderChoice.read(path) if path.exists() else None


def encoder_of(root: Path, encoder: Encoder) -> Encoder:
    """The config's section with what the run took in the place of "auto", where it has chosen."""
    choice = choice_of(root) if encoder.name == "auto" else None
    return choice.over(encoder) if choice else encoder
