"""What sets each open gap apart, in words: gaps of a round in, the same with `in_words` out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from adde_ray.dataset import Data, Dataset
from adde_ray.labels import holds
from adde_ray.methods.descriptions import phrases
from adde_ray.methods.space.clustering import Space
from adde_ray.methods.space.gap_words import MEMBERS, Attributes, called, near, of_region
from adde_ray.methods.space.gaps import OF_REGIONS, Gap
from adde_ray.stages.run_context import RunContext


def in_words(gaps: list[Gap], space: Space, dataset: Dataset, context: RunContext) -> list[Gap]:
    """`gaps` with words for those that are open and have none yet: what was found once stays.

    A region: the descriptions nearest to it, terms of its texts, attributes. A class: its description, and what sets
    its labelled samples apart. A subgroup: terms, and attributes of other columns.
    """
    said = Words(space, dataset, context)
    return [replace(gap, in_words=said.of(gap)) if gap.is_open and not gap.in_words else gap for gap in gaps]


@dataclass(frozen=True)
class Words:
    """What the gaps of a round are described from. What takes time is made when a gap first asks for it."""

    space: Space
    dataset: Dataset
    context: RunContext

    def of(self, gap: Gap) -> str:
        """What there is to say of a gap, divided by semicolons; empty where there is nothing."""
        return "; ".join(part for part in self._parts(gap) if part)

    def _parts(self, gap: Gap) -> Iterator[str]:
        data, rows = self._data, self._rows(gap)
        if gap.kind == "class":
            yield self._described(str(gap.label))
        if gap.kind in OF_REGIONS:
            yield _listed("near ", self._near(rows))
        if data.meta.modality == "text" and len(rows):
            yield _listed("terms: ", self.context.spaces.terms(data, self.context.config).of(rows))
        if data.meta.subgroups and len(rows):
            own = gap.subgroup.partition("=")[0] if gap.subgroup else None
            yield _listed("", self._attributes.of(rows, without=own))

    @property
    def _data(self) -> Data:
        return self.context.data

    @property
    def _frozen(self) -> Data:
        return self._data.frozen or self._data

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {sample_id: row for row, sample_id in enumerate(self._data.reference.ids)}

    @cached_property
    def _subgroups(self) -> dict[str, list[str | None]]:
        return self._data.subgroups(self._data.reference.table)

    @cached_property
    def _attributes(self) -> Attributes:
        return Attributes(self._subgroups)

    def _rows(self, gap: Gap) -> np.ndarray:
        """Rows of the reference in the gap, of a class those labelled so; none where nothing would be said of them."""
        data = self._data
        if data.meta.modality != "text" and not data.meta.subgroups and self._frozen.prototypes is None:
            return np.zeros(0, dtype=np.int64)
        if gap.kind in OF_REGIONS:
            return of_region(gap, self.space)
        if gap.kind == "class":
            held = holds(self.dataset.labels, len(data.meta.classes))[:, data.meta.classes.index(str(gap.label))]
            ids = self.dataset.table["sample_id"].filter(held).to_list()
            found = [self._row_of[i] for i in ids if i in self._row_of]
        else:
            column, _, value = str(gap.subgroup).partition("=")
            found = [row for row, own in enumerate(self._subgroups[column]) if own == value]
        return np.array(sorted(found)[:MEMBERS], dtype=np.int64)  # sorted by sample_id, so a random part

    def _described(self, label: str) -> str:
        """What a class is described by; words that the encoder does not read, too."""
        known, row = self._frozen.prototypes, self._data.meta.classes.index(label)
        if known is not None and known.source[row] == "files":
            return "described by example files"
        if known is not None and known.phrases[row]:
            return f"described as {called(known.phrases[row], 2)}"
        source, said = phrases(getattr(self.context.config.data, "describe", "none"), [label]).get(label, ("name", []))
        return f"described as {called(said, 2)}" if source == "words" else ""

    def _near(self, rows: np.ndarray) -> list[str]:
        """What the nearest classes are called."""
        frozen, known = self._frozen, self._frozen.prototypes
        if known is None:
            return []
        if frozen is not self._data:  # whose reference may hold others
            ids = {self._data.reference.ids[row] for row in rows.tolist()}
            rows = np.array([row for row, own in enumerate(frozen.reference.ids) if own in ids], dtype=np.int64)
        return near(rows, frozen.reference.features, known, self._data.meta.classes)


def _listed(before: str, found: list[str]) -> str:
    return before + ", ".join(found) if found else ""
