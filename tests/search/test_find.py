"""What `adde find` finds, in runs of every modality and state, against plain arithmetic; and what it must not touch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny
from finished import SYNTHETIC, artifacts
from pages import Page, assert_sound
from photos import photo
from small import blobs, config, row, rows, write

from adde_ray import find
from adde_ray.artifacts import wishes
from adde_ray.artifacts.encoder_choice import choice_of
from adde_ray.artifacts.features import read_features
from adde_ray.artifacts.run_dir import RunDir, derive_seed, locked, read_table
from adde_ray.artifacts.wishes import FOUND
from adde_ray.config import Config
from adde_ray.dataset import Data
from adde_ray.errors import UserError
from adde_ray.loop import prepare, run
from adde_ray.methods.space import gaps
from adde_ray.methods.space.clustering import fit_space
from adde_ray.stages.train import load

HOSTILE = "the cat <script>window.hacked=1</script> sat & 'ran'"


class Stop(Exception):
    pass


def until(settings: Config, folder: Path, stage: str, t: int | None = 0) -> Path:
    """A run that was killed as a stage began."""

    def stop(run_, name, round_):
        if (name, round_) == (stage, t):
            raise Stop

    with pytest.raises(Stop):
        run(settings, folder, resume=True, on_stage=stop)
    return folder


def asked(folder: Path) -> set[str]:
    found = [read_table(path) for path in folder.glob("rounds/*/query.parquet")]
    return {i for query in found for i in query["sample_id"]}


def embedded(folder: Path, name: str = "pool") -> tuple[list[str], np.ndarray]:
    [path] = folder.glob(f"embeddings/*/{name}.parquet")
    ids, features = read_features(path)
    return ids.to_list(), np.asarray(features, dtype=np.float32)


def by_cosine(folder: Path, vector: np.ndarray, number: int, without=()) -> list[str]:
    """The nearest of the pool that nobody was asked about, by sorting all of them."""
    ids, features = embedded(folder)
    near = features @ vector / np.maximum(np.linalg.norm(features, axis=1), 1e-9)
    gone = asked(folder) | set(RunDir(folder).dataset()["sample_id"]) | set(without)
    free = [at for at in range(len(ids)) if ids[at] not in gone]
    return [ids[at] for at in sorted(free, key=lambda at: (-near[at], ids[at]))][:number]


# --- texts --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> tuple[Config, Path]:
    """Sentences under TF-IDF, a hostile one among them; the run has ended."""
    folder = tmp_path_factory.mktemp("texts")
    sentences, labels = tiny.texts(80)
    sentences[-4:] = [f"{HOSTILE} {i}" for i in range(4)]
    settings = tiny.config(tiny.write(folder / "texts.parquet", sentences, labels), {"name": "tfidf"})
    run(settings, folder / "run")
    return settings, folder / "run"


def encode(settings: Config, folder: Path):
    return prepare(settings, RunDir(folder)).encode


def test_words_find_the_texts_nearest_to_them(texts):
    settings, folder = texts
    found = find(folder, "the hen slept on  grass", number=7)
    vector = encode(settings, folder)(pl.Series("text", ["the hen slept on  grass"]))[0]
    assert found.table["sample_id"].to_list() == by_cosine(folder, vector, 7)
    assert found.measure == "similarity" and found.table["similarity"].is_sorted(descending=True)
    assert found.told == "“the hen slept on grass”" and found.notes == []
    pool = dict(read_table(folder / "ingest" / "pool.parquet").select("sample_id", "text").iter_rows())
    assert found.table["text"].to_list() == [pool[i] for i in found.table["sample_id"]]


def test_the_last_model_says_what_they_may_be(texts):
    settings, folder = texts
    found = find(folder, "the hen slept").table
    ids, features = embedded(folder)
    last = RunDir(folder).rounds()[-1]
    proba = load(last, settings.train).proba(features[[ids.index(i) for i in found["sample_id"]]])
    assert np.allclose(found["confidence"], proba.max(axis=1), atol=1e-6)
    assert set(found["suggested"]) <= set(tiny.DEEDS)


def test_the_sheet_holds_all_it_needs_and_texts_stay_texts(texts):
    found = find(texts[1], "<b>cat</b> <script>", number=70)
    assert found.page.parent == texts[1] / "find" and HOSTILE in " ".join(found.table["text"])
    html = found.page.read_text()
    page = Page(html)
    assert [a.get("type") for tag, a in page.tags if tag == "script"] == ["application/json"]
    assert not re.search(r"(src|href)=\"?(?!data:)[^\"> ]*[/.]", html) and "<b>cat" not in html
    assert "default-src 'none'" in html and html.count("<figure") == len(found.table)
    assert all(i in page.text for i in found.table["sample_id"])
    assert find(texts[1], "<b>cat</b> <script>").page == found.page  # the same search, the same place


def test_the_sheet_is_sound_in_a_browser(texts, browser):
    browser.get(find(texts[1], "cat", number=30).page.as_uri())
    assert_sound(browser)


def test_a_file_is_read_as_a_text(texts, tmp_path):
    settings, folder = texts
    (tmp_path / "like.txt").write_bytes(b"\xef\xbb\xbfa cow lay on the mat")
    found = find(folder, like=tmp_path / "like.txt", number=5, out=tmp_path / "out.html")
    vector = encode(settings, folder)(pl.Series("text", ["a cow lay on the mat"]))[0]
    assert found.table["sample_id"].to_list() == by_cosine(folder, vector, 5)
    assert found.page == tmp_path / "out.html" and "a cow lay on the mat" in found.page.read_text()


@pytest.mark.parametrize("split", ["seed", "pool", "val", "test"])
def test_any_sample_of_the_run_is_an_example(texts, split):
    folder = texts[1]
    ids, features = embedded(folder, split)
    found = find(folder, like=ids[3], number=4)
    assert found.table["sample_id"].to_list() == by_cosine(folder, features[3], 4, without=[ids[3]])


def test_a_search_touches_nothing_of_the_run_and_needs_no_lock(texts):
    before = {n: d for n, d in artifacts(texts[1]).items() if not n.startswith("find/")}
    with locked(texts[1]):
        find(texts[1], "cat")
    assert {n: d for n, d in artifacts(texts[1]).items() if not n.startswith("find/")} == before


# --- images -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> tuple[Config, Path]:
    """Pictures in a folder, under a model of two towers; round 0 has begun."""
    folder = tmp_path_factory.mktemp("images")
    data = {"source": "image_folder", "path": str(tiny.folder(folder / "data")), "size": 12, "mode": "L"}
    encoder = {"name": "transformer", "model": str(tiny.clip(folder / "clip"))}
    settings = tiny.config(folder, encoder, data=data)
    return settings, until(settings, folder / "run", "analyse")


def test_words_find_pictures_by_a_model_of_two_towers(images):
    settings, folder = images
    found = find(folder, "the cat sat on the mat", number=6)
    vector = encode(settings, folder).texts(["the cat sat on the mat"])[0]
    assert found.table["sample_id"].to_list() == by_cosine(folder, vector, 6)
    assert found.page.read_text().count('src="data:image/') == 6


def test_a_picture_is_read_as_the_source_reads_it_and_its_own_sample_is_the_nearest(images, tmp_path):
    settings, folder = images
    pool = read_table(folder / "ingest" / "pool.parquet").sort("file")
    path = Path(settings.data.path) / pool["file"][3]
    found = find(folder, like=path, number=3)
    assert found.table["sample_id"][0] == pool["sample_id"][3] and found.table["similarity"][0] == pytest.approx(1)
    assert found.page.read_text().count('src="data:image/') == 4  # and the example itself
    (tmp_path / "large.jpg").write_bytes(photo(np.random.default_rng(0), (10, 200, 30)))
    assert len(find(folder, like=tmp_path / "large.jpg").table) == 30


def test_originals_are_shown_where_they_still_are(images, tmp_path):
    """What the model saw has 12 pixels a side; a source whose files are larger has its originals on the sheet."""
    data = tmp_path / "data"
    for at, split in enumerate(["labelled/a", "labelled/b"] * 8 + ["unlabelled"] * 8):
        (data / split).mkdir(parents=True, exist_ok=True)
        (data / split / f"{at}.png").write_bytes(photo(np.random.default_rng(at), (at * 9, 80, 90), "PNG"))
    tree = {"data": {"source": "image_folder", "path": str(data), "size": 8}, "encoder": {"name": "pixels"}}
    tree |= {"generate": {"generator": "none"}, "review": {"annotator": "file"}}
    folder = until(Config.parse(tree), tmp_path / "run", "train")
    ids, _ = embedded(folder)
    large = len(find(folder, like=ids[0]).page.read_text())
    assert "class=pixels" not in find(folder, like=ids[0]).page.read_text()
    for path in (data / "unlabelled").iterdir():
        path.unlink()
    small = find(folder, like=ids[0]).page.read_text()
    assert len(small) < large - 5_000 and small.count("class=pixels") == len(ids) - 1


# --- vectors, gaps, states ----------------------------------------------------------------------------------


def lacking() -> list[dict]:
    """Blobs of three classes, of which the seed set has two; val has all, and one more column."""
    found = [r for r in rows(pool=90) if r["split"] != "seed"] + blobs("seed", 6, classes="ab")
    return [r | {"site": "x" if at % 3 else "y"} for at, r in enumerate(found)]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> tuple[Config, Path]:
    folder = tmp_path_factory.mktemp("vectors")
    settings = config(
        write(folder / "data.parquet", lacking()),
        data={"subgroup_columns": ["site"], "classes": ["a", "b", "c"]},
        gaps={"tolerance": 1.0},
        diversity={"subgroup_target": {"site": {"x": 0.1, "y": 0.9}}},
        review={"annotator": "file"},
    )
    run(settings, folder / "run")  # round 0 waits for people
    return settings, folder / "run"


def gap_of(folder: Path, kind: str) -> gaps.Gap:
    return next(g for g in gaps.from_frame(read_table(folder / "rounds/000/gaps.parquet")) if g.kind == kind)


def points(settings: Config, folder: Path) -> tuple[list[str], np.ndarray]:
    """The pool in the space in which gaps were found."""
    data: Data = prepare(settings, RunDir(folder))
    space = fit_space(data.reference.features, settings.clustering, seed=derive_seed(settings.run.seed, "space"))
    return data.pool.sample.ids, space.reduce(data.pool.sample.features)


@pytest.mark.parametrize("kind", ["density", "subgroup"])
def test_a_gap_finds_what_lies_nearest_to_its_place(vectors, kind):
    settings, folder = vectors
    gap = gap_of(folder, kind)
    found = find(folder, gap=gap.gap_id, number=5)
    ids, at = points(settings, folder)
    away = np.linalg.norm(at - np.array(gap.centroid), axis=1)
    site = dict(read_table(folder / "ingest/pool.parquet").select("sample_id", "site").iter_rows())
    free = [i for i in range(len(ids)) if ids[i] not in asked(folder)]
    free = [i for i in free if kind != "subgroup" or gap.subgroup == f"site={site[ids[i]]}"]
    best = sorted(free, key=lambda i: away[i])[:5]
    assert found.table["sample_id"].to_list() == [ids[i] for i in best]
    assert found.measure == "distance" and np.allclose(found.table["distance"], away[best], atol=1e-4)
    assert found.told.startswith(f"gap {gap.gap_id}, {kind}")


def test_a_class_nothing_is_known_of_is_looked_for_by_its_probability(vectors):
    settings, folder = vectors
    gap = next(g for g in gaps.from_frame(read_table(folder / "rounds/000/gaps.parquet")) if g.label == "c")
    assert gap.kind == "class" and gap.num_labelled == 0
    found = find(folder, gap=gap.gap_id, number=5)
    ids, features = embedded(folder)
    proba = load(RunDir(folder).round(0), settings.train).proba(features)[:, 2]
    free = [i for i in range(len(ids)) if ids[i] not in asked(folder)]
    assert found.table["sample_id"].to_list() == [ids[i] for i in sorted(free, key=lambda i: -proba[i])[:5]]
    assert found.measure == "probability"


@pytest.mark.parametrize("name", ["one.npy", "one.txt"])
def test_a_vector_is_read_from_a_file(vectors, tmp_path, name):
    settings, folder = vectors
    if name.endswith(".npy"):
        np.save(tmp_path / name, np.array([[1.0, 2, 3, 4]]))
    else:
        (tmp_path / name).write_text("1, 2 3\n4.0")
    vector = encode(settings, folder)(pl.Series("vector", [[1.0, 2, 3, 4]], dtype=pl.List(pl.Float32)))[0]
    assert find(folder, like=tmp_path / name, number=5).table["sample_id"].to_list() == by_cosine(folder, vector, 5)


def test_a_pool_in_shards_gives_the_same(vectors, tmp_path):
    settings, folder = vectors
    streamed = settings.override("stream.min_rows=10", "stream.shard_rows=8", "stream.sample_rows=40")
    streamed = streamed.override("stream.workers=0")
    shards = until(streamed, tmp_path / "run", "score")
    ids, _ = embedded(folder)
    left = [i for i in ids if i not in asked(folder)]
    mine, others = (find(at, like=left[0], number=90).table for at in (folder, shards))
    others = others.filter(pl.col("sample_id").is_in(left))
    assert set(mine["sample_id"]) == set(others["sample_id"]) and len(mine) > 50
    near = dict(others.select("sample_id", "similarity").iter_rows())
    assert np.allclose([near[i] for i in mine["sample_id"]], mine["similarity"], atol=2e-3)
    gap = gap_of(shards, "density")
    assert len(find(shards, gap=gap.gap_id, number=9).table) == 9


def test_before_the_first_round_there_is_no_class_to_suggest(vectors, tmp_path):
    settings, _ = vectors
    folder = until(settings, tmp_path / "run", "train")
    found = find(folder, like=embedded(folder)[0][0])
    assert found.table["suggested"].null_count() == len(found.table) == 30


def test_a_synthetic_sample_is_an_example(tmp_path):
    settings = config(write(tmp_path / "data.parquet", rows()), **SYNTHETIC, stop={"labels": 5})
    settings = settings.override("generate.actors=0")
    run(settings, tmp_path / "run")
    made = RunDir(tmp_path / "run").round(0).read("synthetic.parquet")
    found = find(tmp_path / "run", like=made["sample_id"][0], number=4)
    assert found.table["sample_id"].to_list() == by_cosine(tmp_path / "run", np.array(made["features"][0]), 4)


@pytest.mark.parametrize(("streamed", "reembed"), [(False, "all"), (True, "all"), (True, "shortlist")])
def test_a_gap_of_a_trained_encoder_is_looked_for_by_its_features(tmp_path, streamed, reembed):
    sentences, labels = tiny.texts(60)
    settings = tiny.config(
        tiny.write(tmp_path / "t.parquet", sentences, labels),
        {"name": "transformer", "model": str(tiny.bert(tmp_path / "bert"))},
        train={"mode": "full", "reembed": reembed, "shortlist_rows": 12},
        diversity={"class_target": {"sat": 0.9}},
        stream={"min_rows": 10 if streamed else 100_000, "shard_rows": 8, "sample_rows": 20, "workers": 0},
    )
    folder = until(settings, tmp_path / "run", "acquire")
    found = gaps.from_frame(read_table(folder / "rounds/000/gaps.parquet"))
    short = next(gap for gap in found if gap.label == "sat" and gap.num_labelled)
    there = find(folder, gap=short.gap_id, number=5)
    assert there.measure == "distance"
    assert 0 < len(there.table) <= 5 and there.table["text"].null_count() == 0
    assert there.table["suggested"].null_count() == 0
    assert any("has encoded again" in note for note in there.notes) == (reembed == "shortlist")
    assert len(find(folder, "the cat", number=5).table) == 5


# --- into the query -----------------------------------------------------------------------------------------


def test_what_is_asked_for_comes_first_in_the_next_query(vectors, tmp_path):
    settings = vectors[0].override("review.annotator=simulated")
    folder = until(settings, tmp_path / "run", "train")
    found = find(folder, like=embedded(folder)[0][5], number=2, ask=3)
    assert found.notes == ["3 of these come first in the next query"] and len(found.table) == 3
    assert found.table["wished"].all() and found.page.read_text().count("asked for</span>") == 3
    again = find(folder, like=embedded(folder)[0][5], ask=4)
    assert again.notes == ["1 of these come first in the next query, 3 were asked for before"]
    run(settings, folder, resume=True)
    query = RunDir(folder).round(0).read("query.parquet").sort("rank")
    assert query["sample_id"][:4].to_list() == again.table["sample_id"][:4].to_list()
    assert query["chosen_by"].to_list() == [FOUND] * 4 + ["batch_greedy"]
    kept = read_table(folder / wishes.FILE)
    assert set(kept["asked_for"]) == {found.told}


def test_what_is_asked_for_is_among_what_a_trained_encoder_reads(tmp_path):
    """With `reembed` "shortlist" the round's pool is a few rows, and these."""
    sentences, labels = tiny.texts(60)
    settings = tiny.config(
        tiny.write(tmp_path / "t.parquet", sentences, labels),
        {"name": "transformer", "model": str(tiny.bert(tmp_path / "bert"))},
        train={"mode": "full", "reembed": "shortlist", "shortlist_rows": 6},
        stop={"labels": 6},
    )
    folder = until(settings, tmp_path / "run", "train")
    found = find(folder, "the hen slept", ask=4)
    run(settings, folder, resume=True)
    query = RunDir(folder).round(0).read("query.parquet").sort("rank")
    assert query["sample_id"][:4].to_list() == found.table["sample_id"][:4].to_list()
    assert query["chosen_by"].to_list()[:4] == [FOUND] * 4


def test_who_asks_while_people_answer_is_told_when_it_comes(vectors, tmp_path):
    folder = until(vectors[0], tmp_path / "run", "train")
    run(vectors[0], folder, resume=True)
    found = find(folder, like=embedded(folder)[0][5], ask=7)
    assert found.notes == [
        "7 of these come first in the next query",
        "the query of round 0 is out already: they come in the one after it",
        "7 are asked for and a query takes 5: the rest come in those after it",
    ]
    assert not set(found.table["sample_id"]) & asked(folder)


# --- the user's mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "give words, --like or --gap, one of them"),
        ({"words": "cat", "gap": "C1"}, "give words, --like or --gap, one of them"),
        ({"words": "  "}, "no words to look for"),
        ({"words": "写真"}, "the run's encoder knows nothing of these words"),
        ({"gap": "nowhere"}, "no such gap"),
        ({"like": "nowhere.txt"}, "no such file, and no sample of this run"),
        ({"like": "0" * 32}, "no such file, and no sample of this run"),
        ({"words": "cat", "ask": 2}, "has ended, and asks about nothing more"),
    ],
)
def test_mistakes_are_told_in_one_line(texts, options, told):
    with pytest.raises(UserError) as caught:
        find(texts[1], **options)
    assert told in str(caught.value) and "\n" not in str(caught.value) and ". " in str(caught.value)
    assert not (texts[1] / wishes.FILE).exists()


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"\xff\xfea\0b\0", "is UTF-16"), (b"caf\xe9", "is not UTF-8"), (b" \n", "no text"), (None, "cannot be read")],
)
def test_a_text_that_cannot_be_read_is_told(texts, tmp_path, data, told):
    path = tmp_path / "example"
    path.mkdir() if data is None else path.write_bytes(data)
    with pytest.raises(UserError, match=told):
        find(texts[1], like=path)


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.txt", b"1 2 x 4", "is no vector"),
        ("a.txt", b"1 2 3", "is no vector of 4 finite numbers"),
        ("a.txt", b"1 2 3 nan", "is no vector of 4 finite numbers"),
        ("a.npy", b"1 2 3 4", "cannot be read as .npy"),
    ],
)
def test_a_vector_that_cannot_be_read_is_told(vectors, tmp_path, name, data, told):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=told):
        find(vectors[1], like=tmp_path / name)


def test_a_picture_that_cannot_be_read_is_told(images, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="is no image that can be decoded"):
        find(images[1], like=tmp_path / "a.png")


def test_an_encoder_that_reads_no_words_says_what_to_do(vectors, tmp_path):
    with pytest.raises(UserError, match=r"reads no words .*--like FILE, or --like SAMPLE_ID\.?$"):
        find(vectors[1], "rust on bolts")
    data = {"source": "image_folder", "path": str(tiny.folder(tmp_path / "data")), "size": 12}
    folder = until(tiny.config(tmp_path, {"name": "pixels"}, data=data), tmp_path / "run", "train")
    with pytest.raises(UserError, match=r"reads no words .*--like FILE.*encoder\.model = "):
        find(folder, "rust on bolts")


def test_a_run_without_features_or_gaps_yet_says_so(vectors, tmp_path):
    folder = until(vectors[0], tmp_path / "run", "embedding", None)
    with pytest.raises(UserError, match="has no features to look through yet"):
        find(folder, like="x")
    until(vectors[0], folder, "train")
    with pytest.raises(UserError, match="has found no gaps yet"):
        find(folder, gap="C1")


def test_a_pool_that_is_used_up_is_told(tmp_path):
    given = [*blobs("seed", 6), *blobs("val", 12), *(row(v["vector"], "a", "pool") for v in blobs("pool", 5))]
    run(config(write(tmp_path / "d.parquet", given)), tmp_path / "run")
    with pytest.raises(UserError, match="the pool holds nothing that could be asked about"):
        find(tmp_path / "run", like=embedded(tmp_path / "run")[0][0])


def test_an_example_is_seen_by_the_encoder_that_auto_took(tmp_path):
    path = tiny.write(tmp_path / "p.parquet", *tiny.pictures(90), "image")
    folder = until(tiny.config(path, {}, "image"), tmp_path / "run", "train")
    assert choice_of(folder).taken != "pixels"
    shown = read_table(folder / "ingest" / "pool.parquet").row(3, named=True)
    (tmp_path / "like.png").write_bytes(shown["image"])
    assert find(folder, like=str(tmp_path / "like.png"), number=1).table["sample_id"].to_list() == [shown["sample_id"]]
