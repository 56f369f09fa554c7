"""The ledger: what is recorded, what a kill may leave of it, and what it tells from damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from adde_ray.artifacts import digests
from adde_ray.artifacts.digests import LEDGER, Digest, Ledger, sealed, spoken_for, unsealed


@pytest.fixture
def folder(tmp_path) -> Path:
    """With a ledger that has two artifacts, one of them in a folder of its own."""
    digests.begin(tmp_path)
    for name in ("a.json", "deep/er/b.json"):
        make(tmp_path / name, name)
    return tmp_path


def make(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    digests.record(path)


def test_every_artifact_below_is_recorded_by_its_name(folder):
    ledger = Ledger.read(folder)
    assert list(ledger.records) == ["a.json", "deep/er/b.json"] and not ledger.damaged
    assert ledger.records["a.json"] == Digest.of(folder / "a.json") == Digest.of_bytes(b"a.json")


def test_without_a_ledger_nothing_is_recorded(tmp_path):
    make(tmp_path / "a.json", "a")
    assert Ledger.read(tmp_path) is None and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_last_artifact_may_not_be_there_yet_until_the_ledger_is_closed(folder):
    ledger = Ledger.read(folder)
    assert ledger.allows("deep/er/b.json", None) and not ledger.allows("a.json", None)
    digests.close(folder)
    assert not Ledger.read(folder).allows("deep/er/b.json", None)


def test_an_artifact_that_is_replaced_may_still_be_the_one_before(folder):
    before = Digest.of(folder / "a.json")
    digests.record(folder / "a.json", Digest.of_bytes(b"new"))
    ledger = Ledger.read(folder)
    assert ledger.allows("a.json", before) and ledger.allows("a.json", Digest.of_bytes(b"new"))
    digests.record(folder / "c.json", Digest.of_bytes(b"c"))
    assert not Ledger.read(folder).allows("a.json", before)


def test_what_is_made_again_leaves_the_ledger_as_it_is(folder):
    digests.close(folder)
    before = (folder / LEDGER).read_bytes()
    digests.record(folder / "a.json")
    digests.close(folder)
    assert (folder / LEDGER).read_bytes() == before


def test_it_goes_there_and_back(folder):
    for text in ("new", "a.json", "new"):
        make(folder / "a.json", text)
        assert Ledger.read(folder).records["a.json"] == Digest.of(folder / "a.json")


def test_what_was_removed_is_forgotten(folder):
    digests.forget(folder / "a.json")
    assert list(Ledger.read(folder).records) == ["deep/er/b.json"]
    make(folder / "a.json", "a.json")
    assert "a.json" in Ledger.read(folder).records


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_cut_short_by_a_kill_is_passed_over_and_made_again(folder, cut):
    path = folder / LEDGER
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    ledger = Ledger.read(folder)
    assert list(ledger.records) == ["a.json"] and not ledger.damaged
    digests.record(folder / "deep/er/b.json")
    assert path.read_bytes() == whole


def test_any_bit_flipped_in_it_is_noticed(folder):
    path = folder / LEDGER
    digests.close(folder)
    whole, read = path.read_bytes(), Ledger.read(folder)
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1
        path.write_bytes(data)
        found = Ledger.read(folder)
        # The last line break gone is a line cut short; a closed ledger is then one that is not.
        assert found.damaged or (at == len(whole) - 1 and found.records == read.records)


def test_an_object_speaks_for_artifacts_and_guards_itself():
    tree = sealed({"round": 1, "x": [0.5, "é"]}, {"b": Digest.of_bytes(b"b"), "a": Digest.of_bytes(b"a")})
    assert spoken_for(tree) == {"a": Digest.of_bytes(b"a"), "b": Digest.of_bytes(b"b")}
    assert unsealed(tree) == {"round": 1, "x": [0.5, "é"]} and spoken_for(unsealed(tree)) is None
    for changed in (tree | {"round": 2}, tree | {"digests": {}}, {k: v for k, v in tree.items() if k != "digest"}):
        with pytest.raises(ValueError, match="was changed"):
            spoken_for(changed)
