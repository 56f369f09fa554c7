"""One trial of an experiment: a run on data that was prepared once for all trials that share it.

A trial's folder is a run's folder as any other, its ingest/ and embeddings/ being links, and `result.json` in it,
written last, means finished.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from adde_ray.annotators import Annotator, make_annotator
from adde_ray.artifacts import provenance
from adde_ray.artifacts.run_dir import RoundDir, RunDir, fingerprint, locked, write_json
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.errors import UserError
from adde_ray.experiments.spec import IN_ONE_PROCESS, laid_over
from adde_ray.loop import prepare, rounds, stop_reason
from adde_ray.report.summary import stage_seconds
from adde_ray.stages.spaces import Spaces

RESULT = "result.json"

OF_DATA = ("data", "gates", "encoder", "simulate", "stream")
"""Sections that say what the data is and how it is embedded: with the seed, all that preparing it depends on."""

LINKED = ("ingest", "embeddings")

WAIT_S = 60.0
"""A worker of an experiment that was killed may hold a trial's lock a little longer than the experiment lived."""


@dataclass(frozen=True)
class Trial:
    """A run of an experiment. `data` names the prepared data below data/ that it shares with others."""

    name: str
    dataset: str
    strategy: str
    seed: int
    config: Config
    data: str
    drawn: dict[str, object] = field(default_factory=dict)  # of a sweep: dotted key → value

    @classmethod
    def of(
        cls,
        name: str,
        dataset: str,
        strategy: str,
        base: Config,
        config: Config,
        drawn: dict[str, object] | None = None,
    ) -> Trial:
        """base: the dataset's config before the strategy, by which its data is named.

        Raises UserError where people would have to answer: a trial cannot wait for them.
        """
        if config.review.waits:
            raise UserError(
                "trials need answers at once",
                where=f"{name}: review.annotator",
                value=config.review.annotator,
                remedy='Use data whose pool is labelled, and set review.annotator = "simulated"',
            )
        config, base = (
            Config.parse(laid_over(c.told(), {**IN_ONE_PROCESS, "run": {"name": name}})) for c in (config, base)
        )
        data = f"{dataset}-{config.run.seed}"
        if (mark := _data_mark(config)) != _data_mark(base):
            data = f"{data}-{mark}"
        return cls(name, dataset, strategy, config.run.seed, config, data, drawn or {})


def _as_prepared(config: Config) -> Config:
    """With images as an encoder that is trained sees them, as they are kept: data is prepared without `train`."""
    columns = (getattr(config.data, name, None) for name in ("text_column", "vector_column"))
    images = hasattr(config.data, "size") and not any(columns)
    return config.override("encoder.originals=false") if images and config.train.mode != "head" else config


def _data_mark(config: Config) -> str:
    config = _as_prepared(config)
    return fingerprint({section: getattr(config, section).model_dump(mode="json") for section in OF_DATA})[:8]


def prepare_data(trial: Trial, folder: Path) -> Data:
    """The trial's data, read, checked and embedded below `folder`/data unless it is there. Raises UserError."""
    told = _as_prepared(trial.config).told()
    sections = {name: told[name] for name in (*OF_DATA, "run", "plugins") if name in told}
    config = Config.parse(laid_over(sections, {"run": {"name": trial.data}}))
    with RunDir.start(folder / "data" / trial.data, config, resume=True, wait=WAIT_S) as run:
        return prepare(run.config, run)


class Shared:
    """A dataset's data, and what trials on it make of it alike: the latent space, the annotator's judges."""

    def __init__(self, data: Data, prepared: RunDir):
        self.data, self._prepared = data, prepared
        self._spaces: dict[str, Spaces] = {}
        self._annotators: dict[str, Annotator] = {}

    def spaces(self, config: Config) -> Spaces:
        """Those of trials that cluster and measure alike. What they keep stands on the features, and where a model
        moves them they keep nothing of it."""
        sections = (config.clustering, config.measure, config.diversity)
        mark = fingerprint(*(section.model_dump() for section in sections), config.train.mode)
        if mark not in self._spaces:
            spaces = Spaces()
            with locked(self._prepared.root, wait=10 * WAIT_S):  # one worker encodes corrupted samples, for all
                spaces.reference(self.data, config)
            self._spaces[mark] = spaces
        return self._spaces[mark]

    def annotator(self, config: Config) -> Annotator:
        """It answers by sample and round: trials that are reviewed alike can ask the same one."""
        mark = fingerprint(config.review.model_dump(), config.generate.generator)
        if mark not in self._annotators:
            self._annotators[mark] = make_annotator(config, self.data, self._prepared)
        return self._annotators[mark]


def run_trial(trial: Trial, folder: Path, shared: Shared) -> Generator[RoundDir, None, None]:
    """Its rounds, those first that were done before; after the last `result.json`. Closed early, it goes on later."""
    root = folder / "trials" / trial.name
    with RunDir.start(root, trial.config, resume=True, wait=WAIT_S) as run:
        for name in LINKED:
            if not (root / name).is_symlink():
                os.symlink(Path("..", "..", "data", trial.data, name), root / name, target_is_directory=True)
        run.keep_provenance(provenance.describe)
        yield from run.rounds()
        config = run.config
        yield from rounds(run, config, shared.data, shared.spaces(config), shared.annotator(config))
        if not stop_reason(run):
            what = "trials need answers at once, and this annotator gave none"
            raise UserError(what, where="review.annotator", value=config.review.annotator)
        write_result(trial, folder)


def write_result(trial: Trial, folder: Path, *, stopped_after: int | None = None) -> None:
    """Keep what came out. stopped_after: rounds that count, where the trial was stopped early."""
    run = RunDir.at(folder / "trials" / trial.name)
    finished = stopped_after is None
    result = {
        "trial": trial.name,
        "dataset": trial.dataset,
        "strategy": trial.strategy,
        "seed": trial.seed,
        "config": trial.drawn,
        "status": "finished" if finished else "stopped",
        "stop_reason": stop_reason(run) if finished else "worse than others so far",
        "dataset_fingerprint": run.dataset_fingerprint() if finished else None,
        "rounds": list(rows(run))[:stopped_after],
    }
    write_json(run.root / RESULT, result)


def rows(run: RunDir) -> Iterator[dict[str, float]]:
    """Every figure of every round by its dotted name, whatever is measured."""
    seconds = stage_seconds(run)
    for done in run.rounds():
        manifest = done.manifest
        told = {key: manifest[key] for key in ("weights", "asked", "confirmed")}
        yield {**flat(done.metrics), **flat(told), "seconds": round(sum(seconds.get(done.t, {}).values()), 4)}


def flat(tree: dict, at: str = "") -> dict[str, float]:
    """The numbers in a tree by their dotted names."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= flat(value, f"{at}{key}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[f"{at}{key}"] = value
    return found
