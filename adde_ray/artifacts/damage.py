"""What is missing or damaged in a run's folder: found when it is read, made again where nothing stands on it yet.

A folder in → a list of `Damage` out. What should be there is what the ledgers say (`digests`): that of the run, which
knows rounds, dataset and ingest, and those of its embeddings, which may be shared. Where a ledger is lost itself, the
objects that say what is done (manifests, meta.json, encoder.json) speak for it. A run of an earlier version has
neither: of it only what it is made of is looked at, that rounds and dataset parts are all there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from adde_ray.artifacts.digests import LEDGER, Digest, Ledger, spoken_for, text_of
from adde_ray.errors import Halted

MANIFEST = "manifest.json"

CONFIG, PROVENANCE, META, ENCODER = "config.json", "provenance.json", "ingest/meta.json", "encoder.json"

CHOICE = "ingest/encoder.json"
"""Which encoder a run took where its config leaves that open."""

DECISIONS = "decisions.parquet"

OPINIONS = "opinions.parquet"
"""In rounds/t/, where several people may answer: what each of them said."""

AMENDED = "amended.parquet"
"""In rounds/t/: what people had changed of their earlier decisions when the round began; see `stages.amend`."""

ANSWERED = (DECISIONS, OPINIONS, AMENDED)
"""What a round keeps of people's answers, which nothing but people makes again."""

LINKED = ("ingest", "embeddings")
"""What a trial's folder has as links."""

ARTIFACT = re.compile(r"(dataset|rounds/\d{3,}|ingest|embeddings/[^/]+)/([^.].*/)?[^./]+\.(parquet|json|safetensors)")
"""What a run's folder holds that only a run writes."""

PASSING = re.compile(r"ingest/pool/(?!part-\d{5}\.parquet)|rounds/\d+/review")
"""What lies beside the parts of a pool while they are read, and what people change: neither is recorded."""


FOREIGN, LEFT_OVER = "is none of this run's", "is left over"


class Damage(NamedTuple):
    """One file. file: relative to the run's folder. what: is wrong with it, as "is missing"."""

    file: str
    what: str


# --- found ---------------------------------------------------------------------------------------------


def find(root: Path, *, deep: bool = True) -> list[Damage]:
    """All damage in a run, in its baselines, and in data and embeddings it shares. Empty: it is whole.

    deep: look at every digest; else, of the parts of a streamed pool, at presence and size alone.
    """
    found = _find(root, deep)
    # Of a run that is at work something may have been half done a moment ago.
    return found and _find(root, deep)


def refuse(root: Path) -> None:
    """Raises Halted when something is damaged: its first, and how much more there is."""
    if found := find(root, deep=False):
        raise _halted(root, found)


def _halted(root: Path, found: list[Damage]) -> Halted:
    first, *rest = found
    more = f" (and {len(rest)} more)" if rest else ""
    remedy = f"`adde verify {root} --repair` makes again what can be; else copy the folder again from where it is whole"
    if first.file in LINKED:
        remedy = "Copy the folder from its experiment again, and what its links lead to (cp -rL)"
    return Halted(f"{first.what}{more}", where=root / first.file, remedy=remedy)


def is_recorded(root: Path) -> bool:
    """Whether there is a run that this version began, or what is left of one."""
    ledger = Ledger.read(root)
    return ledger is not None and bool(ledger.records.keys() - {ledger.last})


def holds_digests(root: Path) -> bool:
    """Whether this version began the run, so that digests tell what was changed in it."""
    return is_recorded(root) or bool(_spoken(root)[0])


def is_whole(path: Path) -> bool:
    """Whether an artifact beside a ledger is as it was made; one without a record is."""
    ledger = Ledger.read(path.parent)
    if ledger is None or path.name not in ledger.records:
        return True
    return ledger.allows(path.name, Digest.of(path) if path.is_file() else None)


def _find(root: Path, deep: bool) -> list[Damage]:
    found: dict[str, Damage] = {}
    gaps, leftovers = _structure(root)
    recorded, last = list(_recorded(root, deep)), num_done(root) - 1
    if any(damage.file == manifest_name(last) for damage in recorded):
        # It cannot tell whether the run ended there: then nothing was to follow.
        gaps = [damage for damage in gaps if damage.file != part_name(last + 1)]
    for damage in (
        *gaps,
        *recorded,
        *_provenance(root),
        *leftovers,
        *_shared(root, deep),
        *_baselines(root, deep),
    ):
        found.setdefault(damage.file, damage)
    return list(found.values())


def _recorded(root: Path, deep: bool) -> Iterator[Damage]:
    """Against the run's own ledger."""
    expected, damaged = expected_in(root)
    yield from damaged
    ledger = Ledger.read(root) or Ledger({})
    names = {digest: name for name, digest in expected.items()}
    for name, digest in expected.items():
        if name == ledger.last and not _there(root / name) and ledger.allows(name, None):
            continue
        what = compare(root / name, digest, deep=deep or not _is_part(name), names=names)
        if what and not (name == ledger.last and _allowed(root / name, ledger)):
            yield Damage(name, what)
    if expected and not damaged:  # of a ledger that lacks lines nobody can tell
        names = (name for name in _artifacts(root) if name not in expected and _is_own(name, ledger))
        yield from (Damage(name, FOREIGN) for name in names)


def expected_in(root: Path) -> tuple[dict[str, Digest], list[Damage]]:
    """name → digest of what should be in a run, by its ledger or what speaks for it; and what is wrong with these."""
    ledger = Ledger.read(root)
    spoken, damaged = _spoken(root)
    if ledger is None:
        return spoken, [Damage(LEDGER, "is missing"), *damaged] if spoken else []
    if ledger.damaged:
        damaged.insert(0, Damage(LEDGER, f"is damaged in line {ledger.damaged[0]}"))
    elif lacking := [n for n in spoken if n not in ledger.records and _is_own(n, ledger)]:
        damaged.insert(0, Damage(LEDGER, f"was cut short: it lacks {lacking[0]}"))
    # The ledger is younger, unless its line is lost.
    return {**spoken, **ledger.records}, damaged


def compare(path: Path, digest: Digest, *, deep: bool = True, names: Mapping[Digest, str] | None = None) -> str | None:
    """What is wrong with a file that should have this digest. names: of what else there is, to name a mix-up."""
    try:
        size = path.stat().st_size
        found = Digest.of(path) if deep or size != digest.size else digest
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if found == digest:
        return None
    if other := (names or {}).get(found):
        return f"was changed: it is {other}"
    return f"is cut short: {size} of {digest.size} bytes" if size < digest.size else "was changed after it was made"


def _provenance(root: Path) -> Iterator[Damage]:
    """How the run was begun speaks for its config, and for itself. Baselines and prepared data have none."""
    if not is_recorded(root) or not round_numbers(root) or root.parent.name == "baselines":
        return
    try:
        spoken = spoken_for(json.loads((root / PROVENANCE).read_bytes()))
    except FileNotFoundError:
        yield Damage(PROVENANCE, "is missing")
    except (OSError, ValueError, TypeError, AttributeError):
        yield Damage(PROVENANCE, "is damaged: no JSON as it was written")
    else:
        ledger = Ledger.read(root) or Ledger({})
        if (spoken or {}).get(CONFIG) != ledger.records.get(CONFIG):
            yield Damage(PROVENANCE, "is of another run")


def _is_own(name: str, ledger: Ledger) -> bool:
    """Whether the ledger speaks of such files: where a trial was copied with its data, not of that."""
    return not name.startswith("ingest/") or any(known.startswith("ingest/") for known in ledger.records)


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _allowed(path: Path, ledger: Ledger) -> bool:
    """Whether the ledger's last artifact, at `path`, may be as it is there."""
    return ledger.last is not None and path.is_file() and ledger.allows(ledger.last, Digest.of(path))


def _is_part(name: str) -> bool:
    """Whether it is a part of a pool, or its features: large."""
    return "/pool/" in name or name.startswith("pool/")


def _artifacts(root: Path) -> list[str]:
    """The files only a run writes, but those of embeddings, which have a ledger of their own."""
    folders = [root / name for name in ("dataset", "rounds", "ingest") if not (root / name).is_symlink()]
    names = (path.relative_to(root).as_posix() for folder in folders for path in sorted(folder.rglob("*")))
    names = [name for name in names if ARTIFACT.fullmatch(name) and not PASSING.match(name)]
    return [name for name in names if not Path(name).name.startswith(".")]


# --- what speaks for artifacts -----------------------------------------------------------------------------


def manifest_name(t: int) -> str:
    """Round t's manifest, relative to the run's folder."""
    return f"rounds/{t:03d}/{MANIFEST}"


def part_name(t: int) -> str:
    """D_t's last part."""
    return f"dataset/round-{t:03d}.parquet"


def of_round(t: int, records: Mapping[str, Digest]) -> dict[str, Digest]:
    """What round t's manifest speaks for: its artifacts, and the parts of the dataset they are made into."""
    parts = {part_name(t + 1)} | ({part_name(0)} if t == 0 else set())
    inside = f"rounds/{t:03d}/"
    return {n: d for n, d in records.items() if n in parts or (n.startswith(inside) and n != manifest_name(t))}


def _spoken(root: Path) -> tuple[dict[str, Digest], list[Damage]]:
    """name → digest by manifests and meta.json, and which of these are damaged."""
    spoken: dict[str, Digest] = {}
    damaged: list[Damage] = []
    before: str | None = None
    documents = [] if (root / "ingest").is_symlink() else [META]
    rounds = [manifest_name(t) for t in range(max(round_numbers(root), default=-1) + 1)]
    for name in documents + rounds:
        path = root / name
        if not path.exists():
            before = None
            continue
        try:
            data = path.read_bytes()
            tree = json.loads(data)
            found = spoken_for(tree)
            if name in rounds and tree["round"] != int(path.parent.name):
                raise ValueError(f"is that of round {tree['round']}")
            if found is not None and name in rounds and before is not None and tree["before"] != before:
                raise ValueError("is of another run: it does not go on from the round before")
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
            told = isinstance(error, ValueError) and str(error).startswith(("is ", "was "))
            damaged.append(Damage(name, str(error) if told else "is damaged: no JSON as it was written"))
            before = None
            continue
        if name in rounds:
            before = Digest.of_bytes(data).blake2b
        if found is not None:
            inside = "" if name in rounds else "ingest/"
            spoken |= {inside + artifact: digest for artifact, digest in found.items()}
            spoken[name] = Digest.of_bytes(data)
    return spoken, damaged


# --- what a run is made of -----------------------------------------------------------------------------------


def round_numbers(root: Path) -> list[int]:
    """Of the rounds that have a folder, done or not."""
    return sorted(int(path.name) for path in (root / "rounds").glob("[0-9][0-9][0-9]*") if path.name.isdigit())


def num_done(root: Path) -> int:
    """Rounds that are done, the first without a manifest ending the count."""
    t = 0
    while (root / manifest_name(t)).exists():
        t += 1
    return t


def _structure(root: Path) -> tuple[list[Damage], list[Damage]]:
    """Rounds and parts of the dataset that are missing, and those that belong to nothing."""
    done = num_done(root)
    # A run of an earlier version may have been cut off in several ways; what is done after a gap tells for sure.
    numbers = [t for t in round_numbers(root) if is_recorded(root) or (root / manifest_name(t)).exists()]
    stopped = done > 0 and _stopped(root / manifest_name(done - 1))
    gaps, leftovers = [], []
    for t in (t for t in numbers if t > done or (stopped and t == done)):
        if stopped:
            leftovers.append(Damage(f"rounds/{t:03d}", f"{LEFT_OVER}: the run ended with round {done - 1}"))
        else:
            gaps.append(Damage(manifest_name(done), f"is missing, though there is round {t}"))
    needed = set(range(done + (not stopped))) if done else set()
    parts = {int(p.stem[6:]) for p in (root / "dataset").glob("round-*.parquet") if p.stem[6:].isdigit()}
    gaps += [Damage(part_name(t), "is missing") for t in sorted(needed - parts)]
    # The round under way may have grown the dataset; whether it did, a ledger knows.
    under_way = root / "rounds" / f"{done:03d}"
    grown = not stopped and (under_way / ("" if is_recorded(root) else DECISIONS)).exists()
    allowed = needed | {0} | ({done + 1} if grown else set())
    leftovers += [Damage(part_name(t), f"{LEFT_OVER} from a round that is gone") for t in sorted(parts - allowed)]
    return gaps, leftovers


def _stopped(manifest: Path) -> bool:
    try:
        return bool(json.loads(manifest.read_bytes())["stop_reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


# --- beside the run ------------------------------------------------------------------------------------------


def _shared(root: Path, deep: bool) -> Iterator[Damage]:
    """In the embeddings, which other runs may share, and in the data of a trial, which its experiment prepared."""
    for name in LINKED:
        link = root / name
        if link.is_symlink() and not link.exists():
            yield Damage(name, "is a link that leads nowhere: a trial shares the data of its experiment")
    ingest = root / "ingest"
    if is_recorded(root) and num_done(root) and not _there(ingest) and root.parent.name != "baselines":
        yield Damage("ingest", "is missing")
    if ingest.is_symlink() and ingest.exists():
        home = ingest.resolve().parent
        expected, damaged = expected_in(home)
        yield from (d for d in damaged if d.file.startswith(("ingest/", LEDGER)))
        for name in (name for name in expected if name.startswith("ingest/")):
            if what := compare(home / name, expected[name], deep=deep or not _is_part(name)):
                yield Damage(name, what)
    for folder in sorted((root / "embeddings").glob("*")):
        yield from (Damage(f"embeddings/{folder.name}/{d.file}", d.what) for d in _embeddings(folder, deep))
    recorded = {name.split("/")[1] for name in _fitted(root)}
    for mark in sorted(recorded - {folder.name for folder in (root / "embeddings").glob("*") if folder.exists()}):
        yield Damage(f"embeddings/{mark}", "is missing")


def _fitted(root: Path) -> list[str]:
    ledger = Ledger.read(root) or Ledger({})
    return [name for name in ledger.records if name.startswith("embeddings/")]


def _embeddings(folder: Path, deep: bool) -> Iterator[Damage]:
    """In one folder of embeddings."""
    ledger = Ledger.read(folder)
    try:
        spoken = spoken_for(json.loads((folder / ENCODER).read_bytes())) or {}
    except FileNotFoundError:
        spoken = {}
    except (OSError, ValueError, TypeError, AttributeError):
        spoken = {}
        yield Damage(ENCODER, "is damaged: no JSON as it was written")
    if ledger is None:
        if spoken:
            yield Damage(LEDGER, "is missing")
        return
    if ledger.damaged:
        yield Damage(LEDGER, f"is damaged in line {ledger.damaged[0]}")
    expected = spoken | ledger.records
    for name, digest in expected.items():
        what = compare(folder / name, digest, deep=deep or not _is_part(name))
        if what and not (name == ledger.last and (not _there(folder / name) or _allowed(folder / name, ledger))):
            yield Damage(name, what)
    for path in sorted([*folder.glob("*.parquet"), *folder.glob("pool/part-*.parquet")]):
        if not ledger.damaged and (name := path.relative_to(folder).as_posix()) not in expected:
            yield Damage(LEDGER, f"was cut short: it lacks {name}")
            break


def _baselines(root: Path, deep: bool) -> Iterator[Damage]:
    for folder in sorted((root / "baselines").glob("*")):
        for damage in _find(folder, deep):
            yield Damage(f"baselines/{folder.name}/{damage.file}", damage.what)


# --- made again ----------------------------------------------------------------------------------------------


def heal(root: Path) -> list[str]:
    """Remove what is damaged and has nothing standing on it yet, so that going on makes it again. Says what, in lines.

    That is the round under way, features, and an ingest that is not done. Raises Halted for all other damage, and for
    answers of people, which nothing makes again.
    """
    found = [d for d in find(root) if not d.file.startswith("baselines/")]
    if not found:
        return []
    lines = [rebuild(root)] if any(d.file == LEDGER for d in found) else []
    found = [d for d in find(root) if not d.file.startswith("baselines/")] if lines else found
    done = num_done(root)
    if done and any(d.file == manifest_name(done - 1) for d in found) and max(round_numbers(root)) == done - 1:
        done -= 1  # the last manifest: nothing stands on it
    firm = [d for d in found if not _is_loose(root, d.file, done) or d.what.startswith(LEFT_OVER)]
    if firm:
        raise _halted(root, firm)
    if by_people(root) and (lost := [d for d in found if d.file.endswith(ANSWERED)]):
        raise _halted(root, lost)
    for damage in found:
        lines.append(f"{root / damage.file} {damage.what}: it is made again")
        for name in _with_later(root, damage.file, done):
            (root / name).unlink(missing_ok=True)
    return lines


def _is_loose(root: Path, name: str, done: int) -> bool:
    """Whether nothing that is done stands on a file, or it is features, which are computed again."""
    if name.startswith("embeddings/"):
        return not (root / "embeddings").is_symlink()
    if name.startswith("ingest/"):
        return not (root / META).exists() and not (root / "ingest").is_symlink() and not (root / "dataset").exists()
    number = re.match(r"(rounds/|dataset/round-)(\d+)", name)
    if not number:
        return False
    t = int(number[2]) - name.startswith("dataset/")
    there = round_numbers(root)
    return t >= done and not any((root / manifest_name(later)).exists() for later in there if later > done)


def _with_later(root: Path, name: str, done: int) -> list[str]:
    """A file, and what was made after it in the same round but for answers: a step looks at what later ones left."""
    if name.startswith("embeddings/"):
        folder, file = root / Path(name).parent, Path(name).name
        if file == LEDGER:  # nobody can tell what the others are
            return [p.relative_to(root).as_posix() for p in folder.rglob("*") if p.is_file()]
        return [name, f"{Path(name).parent.as_posix()}/{ENCODER}"] if file.startswith("encoder.") else [name]
    ledger = Ledger.read(root)
    if ledger is None or not name.startswith(("rounds/", "dataset/")):
        return [name]
    own = [*of_round(done, ledger.records), manifest_name(done)]
    later = own[own.index(name) :] if name in own else [name]
    return [n for n in later if n == name or not (n.endswith(ANSWERED) and by_people(root))]


def rebuild(root: Path) -> str:
    """Write the ledger again from what speaks for the artifacts, and from its lines that can be read."""
    ledger = Ledger.read(root) or Ledger({})
    records, _ = expected_in(root)
    if not (root / "ingest").is_symlink():  # nothing speaks for it but the ledger, and nothing surely makes it again
        records |= {CHOICE: Digest.of(root / CHOICE)} if CHOICE not in records and (root / CHOICE).is_file() else {}
    if CONFIG not in ledger.records and (root / CONFIG).exists():
        records = {CONFIG: _config_digest(root), **records}
    temporary = root / f".{LEDGER}.tmp"
    temporary.write_text(text_of(records))
    temporary.replace(root / LEDGER)
    return f"{root / LEDGER} was missing or damaged: made again"


def _config_digest(root: Path) -> Digest:
    """As provenance.json has it; where that is lost, of the config as it is."""
    try:
        spoken = spoken_for(json.loads((root / PROVENANCE).read_bytes())) or {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        spoken = {}
    return spoken.get(CONFIG) or Digest.of(root / CONFIG)


def by_people(root: Path) -> bool:
    """Whether people answer in this run."""
    try:
        return json.loads((root / CONFIG).read_bytes())["review"]["annotator"] not in ("simulated", "model")
    except (OSError, ValueError, KeyError, TypeError):
        return True
