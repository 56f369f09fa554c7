"""The annotator that stands for people: the pool's hidden truth, their errors and their taste."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
import polars as pl

from adde_ray import labels as codec
from adde_ray.annotators.crowd import Crowd
from adde_ray.annotators.judges import Judges
from adde_ray.annotators.person import SimulatedPerson
from adde_ray.annotators.protocol import decision
from adde_ray.annotators.replayed import Replayed
from adde_ray.artifacts.damage import OPINIONS
from adde_ray.artifacts.run_dir import ORACLE, RoundDir, RunDir, derive_seed, readable
from adde_ray.artifacts.schema import DECISIONS, frame
from adde_ray.config import Config, Review
from adde_ray.dataset import Data
from adde_ray.methods.synthesis.generators import generator_for


class SimulatedAnnotator:
    """Answers from the truth, with a chance of a wrong class; rejects synthetic samples nobody would recognise.

    error_rate: chance in [0, 1] of naming another class, by true class; multi: of taking a class for its contrary.
    judges: None = synthetic samples are taken at their word.
    multi: any number of classes may hold of a sample.
    """

    name = "simulated"

    def __init__(
        self,
        classes: tuple[str, ...],
        *,
        error_rate: float | dict[str, float] = 0.0,
        judges: Judges | None = None,
        multi: bool = False,
        seed: int = 0,
    ):
        self._classes, self._multi, self._judges = classes, multi, judges
        self._person = SimulatedPerson(classes, rates(classes, error_rate), multi=multi, mark=str(seed))

    def answer(
        self, query: pl.DataFrame, truth: dict[str, str], synthetic_features: dict[str, np.ndarray], *, t: int
    ) -> pl.DataFrame:
        """DECISIONS, one for each row of the query.

        truth: sample_id -> true label of its real rows; a label outside the classes is junk, which is rejected.
        synthetic_features: sample_id -> (d,) of its synthetic rows.
        """
        rows = []
        known = self.known(query, truth, synthetic_features)
        for sample_id, origin, suggested in query.select("sample_id", "origin", "suggested").iter_rows():
            label, comment = known[sample_id], None
            if label is not None:
                label = self._person.says(sample_id, label)
            elif origin == "synthetic":
                comment = "not recognisable"
            else:
                comment = "none of the classes" if truth.get(sample_id) else "truth unknown"
            action = "reject" if label is None else "accept" if label == suggested else "correct"
            rows.append(decision(sample_id, self.name, action, label, comment, t=t))
        return frame(rows, DECISIONS)

    def known(
        self, query: pl.DataFrame, truth: dict[str, str], synthetic_features: dict[str, np.ndarray]
    ) -> dict[str, str | None]:
        """sample_id -> what a person who never errs says of it: its true label, of a synthetic row what it looks like;
        None where it is to be rejected."""
        judged = self._judge(synthetic_features)
        found: dict[str, str | None] = {}
        for sample_id, origin, suggested in query.select("sample_id", "origin", "suggested").iter_rows():
            label = truth.get(sample_id) if origin == "real" else judged.get(sample_id, suggested)
            found[sample_id] = label if self._is_label(label) else None
        return found

    def _judge(self, features: dict[str, np.ndarray]) -> dict[str, str | None]:
        if self._judges is None or not features:
            return {}
        ids = sorted(features)
        recognised = self._judges.recognise(np.stack([features[i] for i in ids]))
        return dict(zip(ids, map(self._label, recognised), strict=True))

    def _label(self, found: int | np.ndarray | None) -> str | None:
        """What `Judges.recognise` gives for a sample, as text."""
        if found is None:
            return None
        return self._classes[found] if isinstance(found, int) else codec.texts(found[None], self._classes)[0]

    def _is_label(self, label: str | None) -> TypeGuard[str]:
        return label is not None and not codec.foreign(label, self._classes, multi=self._multi)


def rates(classes: tuple[str, ...], error_rate: float | dict[str, float]) -> dict[str, float]:
    """Class -> chance of an error, of one for all or of those by class, where a class left out has none."""
    given = error_rate if isinstance(error_rate, dict) else dict.fromkeys(classes, error_rate)
    return {label: given.get(label, 0.0) for label in classes}


class Simulated:
    """Answers the queries of a run from its oracle: the pool's hidden labels."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        seed = derive_seed(config.run.seed, "annotator")
        self._oracle = run.root / ORACLE
        judges = None
        if config.review.reject_unrealistic and generator_for(config.generate.generator, data.meta.modality):
            ids, classes, multi = data.reference.ids, data.meta.classes, data.meta.multi
            known = self._truth(ids) | dict(data.splits["seed"].table.select("sample_id", "label").iter_rows())
            own = [not codec.foreign(known.get(i, ""), classes, multi=multi) for i in ids]
            usable = [row for row, i in enumerate(ids) if i in known and own[row]]
            labels = data.meta.numbers([known[ids[row]] for row in usable])
            judges = Judges(data.reference.features[usable], labels, seed=seed)
        self._annotator = SimulatedAnnotator(
            data.meta.classes,
            error_rate=config.review.error_rate,
            judges=judges,
            multi=data.meta.multi,
            seed=seed,
        )
        self._crowd = _crowd(config.review, data.meta.classes, multi=data.meta.multi, seed=seed)
        self._weighed = config.review.weighs_people

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame:
        """DECISIONS about every row of the query. Of several people, what each said is kept as OPINIONS."""
        features = dict(synthetic.select("sample_id", "features").iter_rows())
        made = {i: np.array(features[i], dtype=np.float32) for i in query["sample_id"] if i in features}
        truth = self._truth(query["sample_id"].to_list())
        if (crowd := self._crowd) is None:
            return self._annotator.answer(query, truth, made, t=round_.t)
        known = self._annotator.known(query, truth, made)
        opinions = round_.once(OPINIONS, lambda: crowd.ask(query, known, t=round_.t))
        earlier = (round_.run.round(t).read(OPINIONS) for t in range(round_.t)) if self._weighed else ()
        every = pl.concat([*(table for table in earlier if table is not None), opinions])
        return crowd.decide(query, every, t=round_.t)

    def _truth(self, sample_ids: list[str]) -> dict[str, str]:
        """Of these samples alone: there may be millions more."""
        with readable(self._oracle):
            wanted = pl.scan_parquet(self._oracle, glob=False).filter(pl.col("sample_id").is_in(sample_ids))
            return dict(wanted.select("sample_id", "label").collect().iter_rows())


def _crowd(review: Review, classes: tuple[str, ...], *, multi: bool, seed: int) -> Crowd | None:
    """The people of the config, or those whose answers are replayed; None where one alone is simulated."""
    if not review.people and review.replay is None:
        return None
    people = {
        name: SimulatedPerson(
            classes,
            rates(classes, person.error_rate),
            person.confusion,
            person.fatigue,
            person.seconds,
            multi=multi,
            mark=f"{seed}/{name}",
        )
        for name, person in review.people.items()
    }
    replayed = None if review.replay is None else Replayed(review.replay)
    if not people:  # of synthetic samples nobody ever answered
        people["simulated"] = SimulatedPerson(classes, rates(classes, review.error_rate), multi=multi, mark=str(seed))
    return Crowd(classes, review, people, replayed=replayed, multi=multi, seed=seed)
