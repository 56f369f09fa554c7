import io
import json
import os
import re

import numpy as np
import polars as pl
import pytest
from pictures import picture
from PIL import Image

from adde_ray.artifacts.images import decode_images
from adde_ray.config.data import CsvData, DigitsData, FolderData
from adde_ray.errors import UserError
from adde_ray.sources import SOURCES, WHERE, digits
from adde_ray.sources.images import image_folder
from adde_ray.sources.rows import draw, identify
from adde_ray.sources.tables import table as tables


def pixels_of(table):
    return np.rint(decode_images(table["image"])[:, 0] * 255).astype(int)


# --- drawing splits ---------------------------------------------------------------------------------------


def drawn(labels, seed=0, ids=None, **fractions):
    ids = [f"id{i}" for i in range(len(labels))] if ids is None else ids
    return draw(pl.Series(ids), pl.Series(labels), fractions, np.random.default_rng(seed)).to_list()


def test_draw_is_stratified_and_leaves_every_class_a_seed_sample():
    labels = ["a"] * 100 + ["b"] * 10 + ["c"] * 2 + ["d"]
    split = drawn(labels, val=0.2, test=0.1)
    count = {
        c: {s: sum(1 for a, b in zip(labels, split, strict=True) if (a, b) == (c, s)) for s in set(split)}
        for c in "abcd"
    }
    assert count["a"] == {"val": 20, "test": 10, "seed": 70}
    assert count["b"] == {"val": 2, "test": 1, "seed": 7}
    assert count["c"] == {"val": 1, "test": 0, "seed": 1}
    assert count["d"] == {"val": 0, "test": 0, "seed": 1}


def test_draw_ignores_row_order_and_follows_the_seed():
    labels, ids = ["a", "b"] * 20, [f"id{i:02d}" for i in range(40)]
    order = np.random.default_rng(1).permutation(40)
    straight = dict(zip(ids, drawn(labels, ids=ids, val=0.5), strict=True))
    shuffled_ids = [ids[i] for i in order]
    shuffled = drawn([labels[i] for i in order], ids=shuffled_ids, val=0.5)
    assert dict(zip(shuffled_ids, shuffled, strict=True)) == straight
    assert drawn(labels, seed=1, ids=ids, val=0.5) != list(straight.values())


def test_copies_of_a_sample_share_a_split():
    ids = [f"id{i % 10}" for i in range(40)]
    split = drawn(["a"] * 40, ids=ids, val=0.5)
    assert len(set(zip(ids, split, strict=True))) == 10 and split.count("val") == 20


def test_fractions_that_leave_nothing_are_refused():
    with pytest.raises(UserError, match="sum to less than 1"):
        drawn(["a"] * 10, val=0.6, test=0.4)


# --- digits -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digit_rows():
    return digits.read(DigitsData(source="digits"), seed=3)


def test_digits_follow_the_protocol(digit_rows):
    splits = digit_rows.splits
    assert digit_rows.classes == tuple("0123456789") and digit_rows.modality == "image"
    assert len(splits["test"]) == pytest.approx(0.3 * 1797, abs=5)
    assert len(splits["val"]) == pytest.approx(0.1 * 1797, abs=5)
    for name, low, high in (("test", 52, 55), ("val", 17, 18)):
        counts = splits[name]["label"].value_counts()["count"]
        assert len(counts) == 10 and low <= counts.min() <= counts.max() <= high

    pool = dict(splits["pool"]["label"].value_counts().iter_rows())
    sizes = sorted(pool.values(), reverse=True)
    expected = [round(sizes[0] * 30 ** (-i / 9)) for i in range(10)]
    assert sizes == expected and sizes[0] >= 100
    seed = dict(splits["seed"]["label"].value_counts().iter_rows())
    assert seed == {c: 2 for c in sorted(pool, key=pool.get, reverse=True)[:5]}


def test_digits_share_nothing_between_splits_and_each_is_right(digit_rows):
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    ids = {name: set(identify(table["image"])) for name, table in digit_rows.splits.items()}
    assert sum(map(len, ids.values())) == len(set().union(*ids.values()))
    for name in ("seed", "pool", "val", "test"):
        table = digit_rows.splits[name]
        rows = [int(where.removeprefix("digits:")) for where in table[WHERE]]
        assert [str(t) for t in target[rows]] == table["label"].to_list()
        assert np.array_equal(pixels_of(table), np.rint(data[rows].reshape(-1, 8, 8) * 255 / 16))


def test_digits_ood_is_the_test_set_turned_and_noisy(digit_rows):
    test, ood = digit_rows.splits["test"], digit_rows.splits["ood"]
    assert ood["label"].equals(test["label"]) and len(set(identify(ood["image"]))) == len(ood)
    before, after = pixels_of(test), pixels_of(ood)
    same = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(before, after, strict=True)])
    other = np.mean(
        [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(before, np.roll(after, 7, 0), strict=True)]
    )
    assert other + 0.3 < same < 0.95


def test_digits_depend_on_the_seed_alone(digit_rows):
    again = digits.read(DigitsData(source="digits"), seed=3)
    other = digits.read(DigitsData(source="digits"), seed=4)
    assert all(again.splits[n].equals(t) for n, t in digit_rows.splits.items())
    assert not other.splits["test"].equals(digit_rows.splits["test"])
    assert set(other.splits["seed"]["label"]) != set(digit_rows.splits["seed"]["label"])


def test_digits_settings_are_used():
    rows = digits.read(DigitsData(source="digits", longtail_ratio=1, seed_classes=10, seed_per_class=1), seed=0)
    assert rows.splits["pool"]["label"].value_counts()["count"].n_unique() == 1
    assert len(rows.splits["seed"]) == 10
    with pytest.raises(UserError, match="seed_per_class"):
        digits.read(DigitsData(source="digits", seed_per_class=200), seed=0)


# --- image folders ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    shade = 0
    for name, count in (("labelled/cat", 10), ("labelled/dog", 6), ("unlabelled/deep/er", 20), ("pool/dog", 3)):
        (tmp_path / name).mkdir(parents=True)
        for i in range(count):
            shade += 3
            picture(shade).save(tmp_path / name / f"{i}.{('png', 'jpg', 'JPEG', 'bmp', 'gif', 'webp', 'tiff')[i % 7]}")
    return tmp_path


def read_folder(path, **settings):
    return image_folder.read(FolderData(source="image_folder", path=path, **settings), seed=0).whole()


def test_small_originals_are_set_aside(folder):
    picture(250, size=(40, 9)).save(folder / "unlabelled" / "thin.png")
    rows = read_folder(folder, size=9, min_side=12)
    assert rows.rejected == [{"where": "unlabelled/thin.png", "reason": "is 40x9 pixels, smaller than 12"}]
    assert not read_folder(folder, size=9).rejected


def test_folder_is_read_into_one_size_and_mode(folder):
    for mode, channels in (("RGB", 3), ("L", 1)):
        rows = read_folder(folder, size=9, mode=mode)
        assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 13, "val": 3, "pool": 23}
        assert rows.classes == ("cat", "dog") and not rows.rejected
        for table in rows.splits.values():
            assert decode_images(table["image"]).shape == (len(table), channels, 9, 9)
    pool = rows.splits["pool"]
    assert pool.filter(pl.col("file").str.starts_with("pool/dog"))["label"].to_list() == ["dog"] * 3
    assert pool.filter(pl.col("file").str.starts_with("unlabelled/"))["label"].null_count() == 20
    assert "unlabelled/deep/er/0.png" in pool["file"].to_list()


def test_broken_files_are_set_aside_with_their_name_and_reason(folder):
    broken = folder / "unlabelled"
    (broken / "corrupt.png").write_bytes(b"no image at all")
    (broken / "empty.gif").write_bytes(b"")
    for name, format_ in (("half.jpg", "JPEG"), ("half.png", "PNG")):
        buffer = io.BytesIO()
        Image.effect_noise((80, 80), 50).save(buffer, format_)
        (broken / name).write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    picture(250).save(folder / "labelled" / "stray.png")
    Image.fromarray(np.ones((4, 4), np.float32)).save(broken / "float.tif")

    rows = read_folder(folder, max_rejected=0.2)
    assert len(rows.splits["pool"]) == 23 and len(rows.splits["seed"]) == 13
    reasons = {r["where"]: r["reason"] for r in rows.rejected}
    assert list(reasons) == [
        "labelled/stray.png",
        "unlabelled/corrupt.png",
        "unlabelled/empty.gif",
        "unlabelled/float.tif",
        "unlabelled/half.jpg",
        "unlabelled/half.png",
    ]
    assert "outside any class folder" in reasons["labelled/stray.png"]
    assert "no image" in reasons["unlabelled/corrupt.png"] and "empty" in reasons["unlabelled/empty.gif"]
    assert all("truncated" in reasons[f"unlabelled/half.{e}"] for e in ("jpg", "png"))
    assert "32-bit" in reasons["unlabelled/float.tif"]
    with pytest.raises(UserError, match=r"6 of 45 images are unusable .*labelled/stray\.png: .*max_rejected"):
        read_folder(folder, max_rejected=0.1)


def test_hidden_and_other_files_are_passed_over(folder):
    (folder / "unlabelled" / ".DS_Store").write_bytes(b"x")
    (folder / "unlabelled" / ".thumb.png").write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / "labelled" / ".cache").mkdir()
    (folder / "unlabelled" / "notes.txt").write_text("x")
    (folder / "trian").mkdir()
    rows = read_folder(folder)
    assert not rows.rejected and rows.classes == ("cat", "dog")
    assert any("trian" in note for note in rows.notes) and any("unlabelled/notes.txt" in note for note in rows.notes)
    assert not any(".git" in note or "DS_Store" in note for note in rows.notes)


def test_val_test_and_ood_folders_are_taken_as_they_are(folder):
    for i, name in enumerate(("val/cat", "val/fox", "test/dog", "ood/cat")):
        (folder / name).mkdir(parents=True)
        picture(200 + 5 * i).save(folder / name / "x.png")
    (folder / "labelled" / "newt").mkdir()
    rows = read_folder(folder, test_fraction=0.5)
    assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 16, "pool": 23, "val": 2, "test": 1, "ood": 1}
    assert rows.classes == ("cat", "dog", "fox", "newt")


def test_american_spelling_and_linked_folders(folder):
    os.rename(folder / "labelled", folder / "labeled")
    os.rename(folder / "unlabelled", folder / "elsewhere")
    (folder / "unlabeled").symlink_to(folder / "elsewhere")
    (folder / "elsewhere" / "loop").symlink_to(folder / "elsewhere")
    rows = read_folder(folder)
    assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 13, "val": 3, "pool": 23} and not rows.rejected


def test_pictures_that_decoders_get_wrong(tmp_path):
    """16-bit greys are scaled, not clipped; photos are turned the way their camera says; alpha and palettes decode."""
    for name in ("labelled/a", "labelled/b", "unlabelled"):
        (tmp_path / name).mkdir(parents=True)
    Image.fromarray(np.full((8, 8), 0x8000, np.uint16)).save(tmp_path / "unlabelled" / "deep.png")
    turned = Image.new("L", (8, 8), 0)
    turned.paste(255, (0, 0, 4, 8))  # white on the left
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: white on top
    turned.save(tmp_path / "unlabelled" / "turned.png", exif=exif)
    picture(3, mode="P").save(tmp_path / "unlabelled" / "palette.gif")
    picture(4, mode="RGBA").save(tmp_path / "unlabelled" / "alpha.png")
    for i in range(8):
        picture(40 + i).save(tmp_path / "labelled" / "ab"[i % 2] / f"{i}.png")
    rows = read_folder(tmp_path, size=8, mode="L")
    images = dict(zip(rows.splits["pool"]["file"], pixels_of(rows.splits["pool"]), strict=True))
    assert len(images) == 4 and not rows.rejected
    assert np.all(images["unlabelled/deep.png"] == 0x80)
    assert images["unlabelled/turned.png"][0].min() == 255 and images["unlabelled/turned.png"][-1].max() == 0


def test_folder_errors_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match=r"no folder `labelled` \(folders there: images\).*labelled/<class>"):
        read_folder(tmp_path)


# --- csv and parquet --------------------------------------------------------------------------------------

GREETINGS = ["hello", "good morning", "hi there", "good evening", "hey you"]
FAREWELLS = ["bye", "see you", "farewell", "good night", "so long"]


def read_csv(path, content=None, **settings):
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if not settings.keys() & {"vector_column", "image_column"}:
        settings.setdefault("text_column", "text")
    return tables.read(CsvData(source="csv", path=path, **settings), seed=0)


def table(extra=""):
    lines = ["id,text,label,site"]
    lines += [f"{i},{text},greet,north" for i, text in enumerate(GREETINGS)]
    lines += [f"{i},{text},leave," for i, text in enumerate(FAREWELLS, 5)]
    lines += [f"{i},unlabelled sentence {i},,south" for i in range(10, 20)]
    return "\n".join(lines) + "\n" + extra


def test_csv_without_a_split_column(tmp_path):
    rows = read_csv(tmp_path / "a.csv", table(), subgroup_columns=("site",))
    assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 8, "val": 2, "pool": 10}
    assert rows.classes == ("greet", "leave") and rows.subgroups == ("site",) and rows.modality == "text"
    assert rows.splits["pool"]["label"].null_count() == 10
    assert rows.splits["val"]["label"].sort().to_list() == ["greet", "leave"]
    both = pl.concat(rows.splits.values())
    assert both.filter(text="bye").select("id", "label", "site", WHERE).row(0) == ("5", "leave", None, "a.csv:7")


def test_csv_splits_do_not_depend_on_row_order(tmp_path):
    lines = table().splitlines()
    a = read_csv(tmp_path / "a.csv", table(), test_fraction=0.2)
    b = read_csv(tmp_path / "b.csv", "\n".join([lines[0], *reversed(lines[1:])]), test_fraction=0.2)
    assert all(set(t["text"]) == set(b.splits[n]["text"]) for n, t in a.splits.items()) and len(a.splits) == 4


def test_broken_rows_are_set_aside_with_file_and_line(tmp_path):
    extra = (
        b"20,one field,too,many,here\n"
        b"21,too few\n"
        b"22,caf\xe9 au lait,,\n"
        b"23,   ,,\n"
        b'24,"never closed,,\n'
        b"25,this one is fine,,\n"
        b'26,"so is, this ""one""\nover two lines",,\n'
        b"27,and this: caf\xc3\xa9,,\n"
        b"\n"
        b'28,"closed" too soon,,\n'
        b'29,5" pipe,,\n'
        b'30,"the end'
    )
    rows = read_csv(tmp_path / "a.csv", table().encode() + extra, max_rejected=0.5)
    reasons = {r["where"]: r["reason"] for r in rows.rejected}
    assert sorted(reasons) == [f"a.csv:{n}" for n in (22, 23, 24, 25, "26-29", "32-34")]
    assert reasons["a.csv:22"] == "5 fields where the header has 4"
    assert reasons["a.csv:23"] == "2 fields where the header has 4"
    assert "UTF-8" in reasons["a.csv:24"] and reasons["a.csv:25"] == "no text"
    # What stands after a broken quote may be its text: it is given up to where the quote can end.
    assert all("quote" in reasons[f"a.csv:{lines}"] for lines in ("26-29", "32-34"))
    pool = dict(rows.splits["pool"].select(WHERE, "text").iter_rows())
    assert pool["a.csv:30"] == "and this: café" and len(pool) == 11
    with pytest.raises(UserError, match=r"11 of 32 rows are unusable .*a\.csv:22: 5 fields .*data\.max_rejected"):
        read_csv(tmp_path / "a.csv", max_rejected=0.2)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_bom_and_line_ends(tmp_path, separator):
    content = "\ufeff" + table().removeprefix("id,").replace(",", separator).replace("\n", "\r\n")
    content = re.sub(rf"(?m)^\d+{separator}", "", content)  # the text column comes first, right after the mark
    rows = read_csv(tmp_path / "a.csv", content)
    assert len(rows.splits["pool"]) == 10 and not rows.rejected
    assert not any("\r" in text for text in rows.splits["pool"]["text"])


def test_a_separator_within_a_name_is_none(tmp_path):
    content = table().replace("id,text,label", '"id, or, number";text;label', 1).replace(",", ";")
    header, *lines = content.splitlines()
    rows = read_csv(tmp_path / "a.csv", "\n".join([header.replace("id; or; number", "id, or, number"), *lines]))
    assert len(rows.splits["pool"]) == 10 and "id, or, number" in rows.splits["pool"].columns


def test_split_column_and_hidden_truth(tmp_path):
    content = (
        "text,label,split\na,x,seed\nb,y,seed\nc,x,val\nd, y ,val\ne,x,pool\nf,,pool\ng,junk,pool\nh,x,test\ni,y,ood\n"
        "j,,val\n"
    )
    rows = read_csv(tmp_path / "a.csv", content, split_column="split", max_rejected=0.1)
    assert {n: t["text"].to_list() for n, t in rows.splits.items()} == {
        "seed": ["a", "b"],
        "val": ["c", "d"],
        "pool": ["e", "f", "g"],
        "test": ["h"],
        "ood": ["i"],
    }
    assert rows.classes == ("x", "y") and rows.splits["val"]["label"].to_list() == ["x", "y"]
    assert rows.splits["pool"]["label"].to_list() == ["x", None, "junk"]
    assert rows.rejected == [{"where": "a.csv:11", "reason": "a val row without a label"}]
    assert any("junk" in note for note in rows.notes)
    assert set(rows.splits["seed"].columns) == {"text", "label", WHERE}


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (table(), {"text_column": "txt"}, r"data\.text_column: .*'txt'.*Columns: id, text, label, site\."),
        (table(), {"label_column": "intent"}, r"data\.label_column: .*'intent'.*Columns: id, text"),
        (table(), {"subgroup_columns": ("sex",)}, r"data\.subgroup_columns: .*'sex'"),
        (table(), {"subgroup_columns": ("label",)}, "named twice"),
        (table(), {"split_column": "site"}, r"a\.csv:2, column site: not a split .*'north'.*seed, pool, val"),
        (table(), {"classes": ("greet", "stay")}, r"a\.csv:7: .*'leave'.*greet, stay"),
        (table(), {"classes": ("greet", "greet", "leave")}, "named twice"),
        (table(), {"text_column": None, "vector_column": "text"}, "not read from CSV"),
        ("text,label,text\na,b,c\n", {}, "two columns have one name"),
        ("text,label\n", {}, "holds no rows"),
        ("", {}, "is empty"),
        ('"text,label\na,b\n', {}, r"a\.csv:1: a quote is opened"),
        (table().encode("utf-16"), {}, "UTF-16"),
    ],
)
def test_csv_errors_name_the_culprit(tmp_path, content, settings, message):
    with pytest.raises(UserError, match=message):
        read_csv(tmp_path / "a.csv", content, **settings)


def test_class_outside_the_label_list_in_a_held_out_split(tmp_path):
    content = "text,label,split\na,x,seed\nb,y,seed\nc,x,val\nd,z,test\ne,,pool\n"
    with pytest.raises(UserError, match=r"a\.csv:5: a test row's label .*'z'.*x, y"):
        read_csv(tmp_path / "a.csv", content, split_column="split", classes=("x", "y"))


def test_files_that_are_not_there_or_not_tables(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_csv(tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"neither \.csv, \.jsonl nor \.parquet"):
        read_csv(tmp_path / "a.xlsx", "x")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_csv(tmp_path / "a.parquet", "not parquet")


def test_columns_named_like_ours_are_kept_under_another_name(tmp_path):
    content = "sample_id,text,label,sentence,dx\n1,old,was,hello,greet\n2,old,was,bye,leave\n3,old,was,well,\n"
    rows = read_csv(tmp_path / "a.csv", content, text_column="sentence", label_column="dx")
    pool = rows.splits["pool"].to_dicts()
    assert pool == [
        {
            "label": None,
            WHERE: "a.csv:4",
            "text": "well",
            "source_sample_id": "3",
            "source_text": "old",
            "source_label": "was",
        }
    ]


FLOATS = pl.List(pl.Float64)


def vectors(path, values, labels, dtype=FLOATS, **columns):
    pl.DataFrame({"z": pl.Series(values, dtype=dtype), "label": labels, **columns}).write_parquet(path)
    return path


def test_vectors_from_parquet(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 3)).tolist()
    values += [[1.0, float("nan"), 0.0], [1.0, 2.0], None, [1e300, 0.0, 0.0], [1.0, None, 0.0], []]
    labels = [0.0, 1.0] * 3 + [None] * 12  # whole numbers that a gap turned into floats
    path = vectors(tmp_path / "a.parquet", values, labels, age=[31] * 18)
    rows = read_csv(path, vector_column="z", max_rejected=0.5, subgroup_columns=("age",))
    assert rows.modality == "vector" and rows.classes == ("0", "1")
    pool = rows.splits["pool"]
    assert pool["vector"].dtype == pl.List(pl.Float32) and len(pool) == 6 and pool["age"].to_list() == ["31"] * 6
    assert np.allclose(np.stack(pool["vector"].to_list()), values[6:12])
    reasons = [(r["where"], r["reason"]) for r in rows.rejected]
    assert [w for w, _ in reasons] == [f"a.parquet: row {n}" for n in range(13, 19)]
    assert "not finite" in reasons[0][1] and "2 numbers where most have 3" in reasons[1][1]
    assert reasons[2][1] == reasons[5][1] == "no vector" and all("float32" in reasons[i][1] for i in (3, 4))
    with pytest.raises(UserError, match="6 of 18 rows are unusable"):
        read_csv(path, vector_column="z")


def test_fixed_size_vectors_and_columns_of_the_wrong_type(tmp_path):
    path = vectors(tmp_path / "a.parquet", np.eye(4).tolist(), ["a", "b", "a", None], pl.Array(pl.Float32, 4), name="x")
    assert len(read_csv(path, vector_column="z").splits["pool"]) == 1
    with pytest.raises(UserError, match="not lists of numbers"):
        read_csv(path, vector_column="label", label_column="name")
    with pytest.raises(UserError, match="not texts"):
        read_csv(path, text_column="z")
    with pytest.raises(UserError, match="column holds List"):
        read_csv(vectors(path, [[1.0]], ["a"]), text_column="label", label_column="z")


def test_all_rows_broken_is_an_error_not_a_crash(tmp_path):
    path = vectors(tmp_path / "a.parquet", [None, None], ["a", "b"])
    with pytest.raises(UserError, match="2 of 2 rows"):
        read_csv(path, vector_column="z")
    assert not read_csv(path, vector_column="z", max_rejected=1).splits


# --- json lines -------------------------------------------------------------------------------------------


def test_json_lines(tmp_path):
    rows = [{"text": text, "label": "greet", "n": i} for i, text in enumerate(GREETINGS)]
    rows += [{"label": "leave", "text": text, "n": i / 2, "tags": ["a", "b"]} for i, text in enumerate(FAREWELLS)]
    lines = [json.dumps(row, ensure_ascii=i % 2 == 0).encode() for i, row in enumerate(rows)]
    lines += [
        '{"text": "a\u2028line of its own\\nand another, caf\u00e9", "site": {"x": 1}}'.encode(),
        b"",
        b'{"text": 12}',
    ]
    lines += [
        b'{"text": "cut',
        b'["a list"]',
        b'{"text": "caf\xe9"}',
        b'{"text": "half \\ud83d"}',
        b'{"label": "greet"}',
    ]
    for name, end in (("a.jsonl", b"\n"), ("b.ndjson", b"\r\n")):
        rows = read_csv(tmp_path / name, b"\xef\xbb\xbf" + end.join(lines), max_rejected=0.5)
        assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 8, "val": 2, "pool": 2}
        assert rows.splits["pool"]["text"].to_list() == ["a\u2028line of its own\nand another, café", "12"]
        assert rows.splits["pool"]["site"].to_list() == ['{"x": 1}', None]
        assert rows.splits["pool"]["tags"].dtype == pl.List(pl.String) and rows.splits["pool"]["n"].dtype == pl.Float64
        reasons = {r["where"]: r["reason"] for r in rows.rejected}
        assert list(reasons) == [f"{name}:{n}" for n in (14, 15, 16, 17, 18)]
        assert "JSON" in reasons[f"{name}:14"] and reasons[f"{name}:15"] == "not a JSON object"
        assert all("UTF-8" in reasons[f"{name}:{n}"] for n in (16, 17)) and reasons[f"{name}:18"] == "no text"


def test_vectors_and_errors_in_json_lines(tmp_path):
    lines = ['{"z": [1, 2.5], "label": "a"}', '{"z": [0, 3], "label": "b"}', '{"z": [null, 3]}', '{"z": [7, 7]}']
    rows = read_csv(tmp_path / "a.jsonl", "\n".join(lines), vector_column="z", max_rejected=0.5)
    assert rows.splits["pool"]["vector"].to_list() == [[7.0, 7.0]] and rows.rejected[0]["where"] == "a.jsonl:3"
    with pytest.raises(UserError, match=r"a\.jsonl:1: not valid JSON: .*Write one JSON object a line"):
        read_csv(tmp_path / "a.jsonl", "text,label\na,b\n")
    with pytest.raises(UserError, match="holds no rows"):
        read_csv(tmp_path / "a.jsonl", "\n\n")


# --- images in tables -------------------------------------------------------------------------------------


def encoded(image, format_="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, format_)
    return buffer.getvalue()


def test_encoded_images_from_parquet_are_those_a_folder_gives(tmp_path, folder):
    files = sorted((folder / "labelled").rglob("*.*")) + sorted((folder / "pool").rglob("*.*"))
    given = [path.read_bytes() for path in files] + [encoded(picture(200))[:60], b"", None, b"no image at all"]
    labels = [path.parent.name if "labelled" in path.parts else None for path in files] + [None] * 4
    schema = {"picture": pl.Binary}
    plain = pl.DataFrame({"picture": given, "label": labels, "image": range(len(given))}, schema_overrides=schema)
    nested = plain.with_columns(pl.struct(pl.col("picture").alias("bytes"), pl.lit("x").alias("path")).alias("picture"))
    folders = read_folder(folder, size=9).splits
    expected = set(pl.concat([folders["seed"], folders["val"]])["image"])
    for name, content in (("plain", plain), ("nested", nested)):  # the latter as Hugging Face datasets write it
        content.write_parquet(tmp_path / f"{name}.parquet")
        rows = read_csv(tmp_path / f"{name}.parquet", image_column="picture", size=9, max_rejected=0.3)
        assert rows.modality == "image" and rows.classes == ("cat", "dog")
        assert set(pl.concat([rows.splits["seed"], rows.splits["val"]])["image"]) == expected
        assert decode_images(rows.splits["pool"]["image"]).shape == (3, 3, 9, 9)
        assert rows.splits["pool"]["source_image"].to_list() == [16, 17, 18]
        assert ("file" in rows.splits["pool"].columns) == (name == "nested")
        reasons = [(r["where"], r["reason"]) for r in rows.rejected]
        assert [where for where, _ in reasons] == [f"{name}.parquet: row {n}" for n in (20, 21, 22, 23)]
        assert "truncated" in reasons[0][1] and [reason for _, reason in reasons[1:]] == [
            "is empty",
            "no image" if name == "plain" else "x cannot be read: No such file or directory",
            "is no image that can be decoded",
        ]
    with pytest.raises(UserError, match=r"4 of 23 rows are unusable .*plain\.parquet: row 20"):
        read_csv(tmp_path / "plain.parquet", image_column="picture")
    with pytest.raises(UserError, match=r"data\.image_column: holds Int64, neither encoded images nor paths"):
        read_csv(tmp_path / "plain.parquet", image_column="image")


def test_paths_of_images_are_relative_to_the_table(folder):
    (folder / "empty.png").write_bytes(b"")
    lines = ["photo,label"] + [
        f"labelled/{c}/{p.name},{c}" for c in ("cat", "dog") for p in (folder / "labelled" / c).iterdir()
    ]
    lines += [
        "pool/dog/0.png,",
        f"{folder / 'pool/dog/1.jpg'},",
        " pool/dog/2.JPEG ,",
        "nowhere.png,",
        ",cat",
        "empty.png,",
    ]
    lines += ["pool,"]
    rows = read_csv(folder / "a.csv", "\n".join(lines), image_column="photo", size=8, mode="L", max_rejected=0.5)
    assert {n: len(t) for n, t in rows.splits.items()} == {"seed": 13, "val": 3, "pool": 3}
    assert decode_images(rows.splits["pool"]["image"]).shape == (3, 1, 8, 8)
    assert rows.splits["pool"]["file"][0] == "pool/dog/0.png" and "photo" not in rows.splits["pool"].columns
    reasons = {r["where"]: r["reason"] for r in rows.rejected}
    assert reasons["a.csv:21"] == "nowhere.png cannot be read: No such file or directory"
    assert reasons["a.csv:22"] == "no image" and reasons["a.csv:23"] == "empty.png is empty"
    assert reasons["a.csv:24"].startswith("pool cannot be read") and len(reasons) == 4


def test_sources_are_listed():
    assert set(SOURCES) == {"digits", "image_folder", "csv", "table", "huggingface", "tiles", "npy", "chexpert"}
