"""`adde verify`: all damage in a run or an experiment, and what can be made again.

A folder in → a `Finding` for each damaged file out. What is made again is made beside, by the loop's own steps, and
takes the damaged file's place when its digest is the recorded one; else that file stays as it is. It can be made in any
round, also in the middle: D_t and what was asked depend on the rounds before alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
from safetensors import safe_open

from adde_ray.annotators import make_annotator
from adde_ray.artifacts import damage, digests, wishes
from adde_ray.artifacts.damage import ANSWERED, ARTIFACT, CONFIG, DECISIONS, LINKED, PROVENANCE, Damage, find
from adde_ray.artifacts.digests import LEDGER, Digest
from adde_ray.artifacts.encoder_choice import CHOICE
from adde_ray.artifacts.run_dir import RunDir, atomic, halted_by_disk, locked, readable
from adde_ray.config import Config
from adde_ray.dataset import Data, seed_part
from adde_ray.errors import UserError, first_line
from adde_ray.loop import at_work, one_round, policy_before, prepare
from adde_ray.stages.metrics import corrupted_val
from adde_ray.stages.run_context import RunContext
from adde_ray.stages.spaces import Spaces

BESIDE = ".repair"
"""The folder in a run in which things are made again."""


class Finding(NamedTuple):
    """A damaged file. file: relative to the folder that was looked at. remedy: what can be, or was, done about it."""

    file: str
    what: str
    remedy: str
    mended: bool = False


class Found(NamedTuple):
    """recorded: whether digests tell what was changed; else only what is missing or cannot be read was noticed."""

    findings: list[Finding]
    recorded: bool


def verify(root: Path, *, repair: bool = False) -> Found:
    """Everything that is damaged in a run, or in an experiment with its data and trials.

    repair: make again what can be made again to the same bytes, while nobody else works there. Raises UserError when
    there is neither, or somebody does.
    """
    root = Path(root)
    runs = [root] if (root / CONFIG).exists() or damage.is_recorded(root) else []
    if (root / "experiment.json").exists():
        runs = sorted(path for path in (*root.glob("data/*"), *root.glob("trials/*")) if path.is_dir())
    if not runs:
        raise UserError("no run here", where=root, remedy="Give a folder that `adde run` or an experiment made")
    findings, recorded = [], True
    if root not in runs:
        findings += [Finding(d.file, d.what, "repeat the experiment's command with --resume") for d in files_of(root)]
    for run in runs:
        at = "" if run == root else f"{run.relative_to(root).as_posix()}/"
        recorded = recorded and damage.holds_digests(run)
        if repair and _damaged(run):
            with locked(run), halted_by_disk(run, whatever=False):
                found = _repair(run)
        else:
            found = [Finding(d.file, d.what, _outlook(run, d.file)) for d in _damaged(run)]
        findings += [f._replace(file=f"{at}{f.file}") for f in found]
    return Found(findings, recorded)


def files_of(root: Path) -> list[Damage]:
    """What is damaged of an experiment's own files: `results.parquet` and the like."""
    expected, damaged = damage.expected_in(root)
    found = [(name, damage.compare(root / name, digest)) for name, digest in expected.items()]
    return [*damaged, *(Damage(name, what) for name, what in found if what)]


def _damaged(run: Path) -> list[Damage]:
    return find(run) if damage.holds_digests(run) else [*find(run), *_unreadable(run)]


def _unreadable(run: Path) -> Iterator[Damage]:
    """What no reader makes sense of in a run without digests."""
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if not path.is_file() or not (
            ARTIFACT.fullmatch(re.sub(r"^baselines/[^/]+/", "", name)) or path.suffix == ".json"
        ):
            continue
        try:
            with readable(path):
                if path.suffix == ".parquet":
                    pq.read_table(path)
                elif path.suffix == ".safetensors":
                    with safe_open(path, framework="numpy") as weights:
                        list(weights.keys())
                else:
                    json.loads(path.read_bytes())
        except UserError as error:
            yield Damage(name, error.what)


def _outlook(run: Path, name: str) -> str:
    """What can be done about a damaged file."""
    if not damage.holds_digests(run):
        return "no digest says what it was: copy it from where it is whole"
    if name == CONFIG:
        return "`adde run CONFIG --resume` writes it again"
    if name.endswith(PROVENANCE):
        return "cannot be made again; nothing stands on it, and --repair lets it go"
    if name.endswith(ANSWERED) and damage.by_people(run):
        in_table = name.endswith(DECISIONS) and (run / name).with_name("review.csv").exists()
        return "--repair takes it from review.csv" if in_table else "answers of people: copy it from where it is whole"
    if name in LINKED:
        return "copy the experiment's data along"
    if (run / "ingest").is_symlink() and name.startswith(("ingest/", "embeddings/")):
        return f"`adde verify {(run / 'ingest').resolve().parent} --repair`"
    if name.startswith("ingest/"):
        return "--repair makes it again from the data, where that is the same"
    return "--repair makes it again"


# --- made again ----------------------------------------------------------------------------------------------


def _repair(run: Path) -> list[Finding]:
    before = _damaged(run)
    if not damage.holds_digests(run):
        return [Finding(d.file, d.what, _outlook(run, d.file)) for d in before]
    reasons: dict[str, str] = {}
    if any(d.file == LEDGER for d in before):
        damage.rebuild(run)
    _let_go(run)
    with contextlib.suppress(UserError):
        _make_again(run, reasons)
    shutil.rmtree(run / BESIDE, ignore_errors=True)
    left = {d.file: d.what for d in find(run)}
    findings = []
    for name, what in before:
        mended = name not in left
        remedy = "made again" if mended else reasons.get(name) or reasons.get("") or _outlook(run, name)
        if mended and name.endswith(PROVENANCE):
            remedy = "let go: how the run was begun is lost"
        elif mended and what == damage.FOREIGN:
            remedy = "set aside"
        findings.append(Finding(name, what, remedy, mended))
    known = {d.file for d in before}
    return findings + [Finding(n, w, reasons.get(n) or _outlook(run, n)) for n, w in left.items() if n not in known]


def _let_go(run: Path) -> None:
    """Leave out what nothing stands on: a damaged provenance, and files that are none of the run's.

    Those of the round under way may be its own, where the ledger lost their lines: they are made again, and compared.
    """
    done = damage.num_done(run)
    for name, what in find(run):
        path = run / name
        if (what == damage.FOREIGN and _round_of(name) != done) or name.endswith(PROVENANCE):
            if path.exists():
                os.replace(path, path.with_name(f".{path.name}.damaged"))
            if name.endswith(PROVENANCE):
                RunDir(path.parent).keep_provenance(
                    lambda: {"lost": "it was damaged, and let go by `adde verify --repair`"}
                )


def _make_again(run: Path, reasons: dict[str, str]) -> None:
    """Make what is damaged again, in the order in which it was made first. reasons: why something could not be."""
    config = RunDir(run).config
    config = config.model_copy(update={"run": config.run.model_copy(update={"cache": None})})
    try:
        _before_rounds(run, config, reasons)
    except (UserError, OSError) as error:
        reasons[""] = f"cannot be made again: {error if isinstance(error, UserError) else first_line(error)}"
    data = _data(run, config)
    spaces, annotator = Spaces(), None
    for folder in (run, *sorted((run / "baselines").glob("*"))):
        own = config if folder == run else RunDir(folder).config
        try:
            annotator = annotator or make_annotator(config, data, RunDir(run))
            with at_work(own, data, spaces, annotator) as context:
                _rounds(folder, context, reasons, "" if folder == run else f"baselines/{folder.name}/")
        except UserError as error:
            reasons[""] = f"cannot be made again: {error}"


def _data(run: Path, config: Config) -> Data:
    """What the run knows before its first round, from what is there."""
    with _beside(run, linked=LINKED) as beside:
        return prepare(config, beside)


def _before_rounds(run: Path, config: Config, reasons: dict[str, str]) -> None:
    """Ingest, embeddings and the first part of the dataset."""
    names = [d.file for d in find(run)]
    ingested = any(name.startswith("ingest/") for name in names)
    if (run / "ingest").is_symlink():  # a trial's, of the data it shares
        return
    if not ingested and not any(name.startswith(("embeddings/", damage.part_name(0))) for name in names):
        return
    with _beside(run, linked=() if ingested else ("ingest",)) as beside:
        if ingested:
            _bring_choice(run, beside.root)
        data = prepare(config, beside)
        if config.measure.corruptions:
            corrupted_val(data, config, data.encode.folder)
        beside.once(damage.part_name(0), lambda: seed_part(data))
        if ingested:
            _take("ingest/", beside.root, run, reasons)
        _take(damage.part_name(0), beside.root, run, reasons)
        for folder in (beside.root / "embeddings").glob("*"):
            _take_embeddings(folder, run / "embeddings" / folder.name)


def _bring_choice(run: Path, beside: Path) -> None:
    """The encoder that the run took, where that is whole: others may be at hand by now."""
    expected, _ = damage.expected_in(run)
    if (run / CHOICE).exists() and not damage.compare(run / CHOICE, expected.get(CHOICE) or Digest.of(run / CHOICE)):
        _put(run / CHOICE, beside / CHOICE)
        digests.record(beside / CHOICE)


def _take_embeddings(made: Path, kept: Path) -> None:
    """Where a ledger says what features were, those; where it is lost, all of them as they are made now."""
    kept.mkdir(parents=True, exist_ok=True)
    ledger, again = digests.Ledger.read(kept), digests.Ledger.read(made)
    assert again is not None, "just made"
    whole = ledger is not None and not ledger.damaged and again.records.keys() <= ledger.records.keys()
    records = ledger.records if ledger is not None and whole else {}
    for path in sorted(made.rglob("*")):
        name = path.relative_to(made).as_posix()
        if path.is_file() and name != LEDGER and not path.name.startswith("."):
            digest = Digest.of(path)
            if records.get(name, digest) == digest and damage.compare(kept / name, digest):
                _put(path, kept / name)
    if not whole:
        (kept / LEDGER).write_bytes((made / LEDGER).read_bytes())


def _rounds(run: Path, context: RunContext, reasons: dict[str, str], at: str) -> None:
    """Every round that lacks something, from the first."""
    kept = RunDir(run)
    for t in sorted({t for name, _ in find(run) if (t := _round_of(name)) is not None}):
        with _beside(run, linked=LINKED, before=t) as beside:
            _bring(run, beside.root, t)
            one_round(beside.round(t), policy_before(kept, t, context.config), context)
            for start in (f"rounds/{t:03d}/", damage.part_name(t + 1)):
                _take(start, beside.root, run, reasons, at)
            if t == damage.num_done(run):
                _record_again(t, beside.root, run)


def _record_again(t: int, made: Path, run: Path) -> None:
    """Of the round under way, take and record what the ledger has lost."""
    expected, _ = damage.expected_in(run)
    for name, what in find(run):
        if what == damage.FOREIGN and _round_of(name) == t and name not in expected and (made / name).is_file():
            if Digest.of(made / name) != Digest.of(run / name):
                _put(made / name, run / name)
            digests.record(run / name)
    digests.close(run)


def _round_of(name: str) -> int | None:
    number = re.match(r"(rounds/|dataset/round-)(\d+)", name)
    return None if number is None else max(int(number[2]) - name.startswith("dataset/"), 0)


def _bring(run: Path, beside: Path, t: int) -> None:
    """What making round t again stands on besides the rounds before: what its manifest speaks for, what was wished for,
    and people's answers, which are in review.csv where the decisions are damaged."""
    expected, _ = damage.expected_in(run)
    for name in (damage.manifest_name(t - 1), damage.part_name(0)):
        if name in expected:
            digests.record(beside / name, expected[name])
    if damage.by_people(run):
        name = f"rounds/{t:03d}/{DECISIONS}"
        whole = name in expected and damage.compare(run / name, expected[name]) is None
        answers = run / name if whole else (run / name).with_name("review.csv")
        if answers.exists():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(answers, (beside / name).parent)
        if whole:
            digests.record(beside / name, expected[name])
        for other in (f"rounds/{t:03d}/{file}" for file in ANSWERED if file != DECISIONS):
            if other in expected and damage.compare(run / other, expected[other]) is None:
                shutil.copy(run / other, (beside / other).parent)
                digests.record(beside / other, expected[other])
    name = f"rounds/{t:03d}/{wishes.FILE}"
    whole = name in expected and damage.compare(run / name, expected[name]) is None
    source = name if whole or ((run / name).exists() and name not in expected) else wishes.FILE  # made again from these
    if (name in expected or source == name) and (run / source).exists():
        (beside / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run / source, beside / source)
    if whole:
        digests.record(beside / name, expected[name])


def _take(start: str, made: Path, run: Path, reasons: dict[str, str], at: str = "") -> None:
    """Put what was made again in the place of what is damaged, where it is what that was."""
    expected, _ = damage.expected_in(run)
    for name, _ in find(run):
        if name.startswith(start) and name in expected and (made / name).is_file():
            if Digest.of(made / name) == expected[name]:
                _put(made / name, run / name)
            else:
                reasons[f"{at}{name}"] = "made again it differs: the data, the machine or the versions are others"


def _put(made: Path, kept: Path) -> None:
    with atomic(kept, recorded=False) as temporary:
        shutil.copy(made, temporary)


@contextlib.contextmanager
def _beside(run: Path, *, linked: Iterable[str], before: int | None = None) -> Iterator[RunDir]:
    """A run in a folder beside the artifacts, with links to some of these and to all that round `before` stands on."""
    root = run / BESIDE
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    digests.begin(root)
    (root / CONFIG).symlink_to((run / CONFIG).resolve())
    home = run if (run / "ingest").exists() else run.resolve().parents[1]  # a run in baselines/ has no data of its own
    for name in linked:
        (root / name).symlink_to((home / name).resolve(), target_is_directory=True)
    if before is not None:
        names = [f"rounds/{t:03d}" for t in range(before)] + [damage.part_name(t) for t in range(before + 1)]
        for name in (name for name in names if (run / name).exists()):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).symlink_to((run / name).resolve())
    try:
        yield RunDir(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
