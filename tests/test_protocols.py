"""The benchmarks' protocols, on made-up tables with the columns of the real ones."""

import numpy as np
import polars as pl
import protocols
import pytest

from adde_ray import Config

ROWS = 6000
INTENTS = Config.load(protocols.CONFIGS / "clinc150.toml").data.classes


def payloads(n):
    return [i.to_bytes(4, "big") for i in range(n)]


def ham10000():
    classes = ["nv"] * 60 + ["bkl"] * 15 + ["mel"] * 10 + ["bcc"] * 6 + ["akiec"] * 4 + ["vasc"] * 3 + ["df"] * 2
    dx = [classes[i % 100] if i % 7 else None for i in range(ROWS)]
    columns = {"image_id": [f"i{i:05d}" for i in range(ROWS)], "lesion_id": [f"l{i}" for i in range(ROWS)], "dx": dx}
    columns |= {"age": [None if i % 50 == 1 else float(i % 18 * 5) for i in range(ROWS)]}
    return pl.DataFrame(columns | {"sex": ["male", "unknown"] * 3000, "localization": ["back"] * ROWS})


def harvey():
    rng = np.random.default_rng(0)
    cell = [f"c{i}" for i in rng.integers(60, size=ROWS)]
    label = rng.choice(["damage", "no_damage", "bad_images"], ROWS, p=[0.6, 0.37, 0.03])
    region = rng.choice(["houston", "west", "east", "unknown"], ROWS, p=[0.7, 0.2, 0.07, 0.03])
    return pl.DataFrame({"label": label, "file": [f"{i}" for i in range(ROWS)], "region": region, "cell": cell})


def cifar10():
    split, label = ["train"] * 5000 + ["test"] * 1000, [i % 10 for i in range(ROWS)]
    human3 = [[(c + 1) % 10] * 3 for c in label[:5000]] + [None] * 1000
    return pl.DataFrame({"split": split, "index": [*range(5000), *range(1000)], "label": label, "human3": human3})


def clinc150():
    split = ["train"] * 4500 + ["val"] * 900 + ["test"] * 500 + ["oos_train"] * 60 + ["oos_test"] * 40
    label = [INTENTS[i % 150] for i in range(5900)] + ["oos"] * 100
    imbalanced = [i % 150 < 100 or i < 1500 for i in range(4500)] + [None] * 1500
    return pl.DataFrame({"split": split, "label": label, "in_imbalanced_train": imbalanced})


FILES = {"ham10000_64": ham10000, "harvey_64": harvey, "cifar10_32": cifar10, "clinc150": clinc150}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, make in FILES.items():
        payload = pl.Series("text", [f"sentence {i}" for i in range(ROWS)])
        payload = payload if name == "clinc150" else pl.Series("image", payloads(ROWS))
        make().with_columns(payload).write_parquet(folder / f"{name}.parquet")
    z = np.array([(i // 100, i % 100) for i in range(ROWS)], dtype=np.float16)
    np.save(folder / "cifar10_dinov2s.npy", z)
    np.savez(folder / "ham10000_dinov2s.npz", image_id=np.array(ham10000()["image_id"].to_list()), z=z)
    return folder


@pytest.fixture
def cut(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ADDE_DATA_DIR", str(folder))

    def cut(name, seed=0):
        table = pl.read_parquet(protocols.build(name, seed, tmp_path))
        return table, {s: table.filter(split=s) for s in table["split"].unique()}

    return cut


def counts(table):
    return dict(table["label"].value_counts(name="rows").iter_rows())


@pytest.mark.parametrize("name", protocols.PROTOCOLS)
def test_tables_share_nothing_between_splits_and_follow_the_seed(cut, folder, name):
    table, splits = cut(name)
    payload = "text" if name == "clinc150" else "vector" if name.endswith(protocols.GIVEN) else "image"
    assert len(set(map(str, table[payload].to_list()))) == len(table) and set(splits) >= {"seed", "pool", "val"}
    settings = protocols.config(name, 0, folder / "tables")
    classes = set(settings.data.classes)
    assert set(splits["seed"]["label"]) < classes or name == "harvey"
    assert all(set(splits[s]["label"]) == classes for s in ("val", "test", "ood") if s in splits)
    again = protocols.PROTOCOLS[name](folder, protocols.derive_rng(0, "protocol", name.removesuffix(protocols.GIVEN)))
    assert again.equals(table)
    other = cut(name, seed=1)[0]
    assert {*zip(map(str, other[payload]), other["split"], strict=True)} != {
        *zip(map(str, table[payload]), table["split"], strict=True)
    }
    assert settings.stop.labels % settings.select.batch == 0


def test_ham10000(cut):
    table, splits = cut("ham10000")
    known = ham10000().filter(pl.col("dx").is_not_null())
    assert len(table) == len(known) and set(table.columns) == {"image", "label", "split", "sex", "age_band", "site"}
    for split, share in (("test", 0.3), ("val", 0.1)):
        for label, count in counts(splits[split]).items():
            assert count == pytest.approx(share * len(known.filter(dx=label)), abs=1)
    assert counts(splits["seed"]) == {"nv": 10, "bkl": 10, "mel": 10}
    assert set(table["sex"]) == {"male", None}
    assert set(table["age_band"]) == {None, "0-19", "20-39", "40-59", "60-79", "80-99"}


@pytest.mark.parametrize("name", ["ham10000", "cifar10-lt"])
def test_given_features_are_those_of_the_same_images_in_the_same_splits(cut, name):
    (images, _), (given, _) = cut(name), cut(name + protocols.GIVEN)
    assert given["split"].equals(images["split"]) and given["label"].equals(images["label"])
    rows = [int.from_bytes(payload, "big") for payload in images["image"]]
    if name == "cifar10-lt":  # features come in the order of split and index: the thousand of test first
        rows = [(row + 1000) % ROWS for row in rows]
    assert [int(a) * 100 + int(b) for a, b in given["vector"]] == rows


def test_harvey(cut):
    _, splits = cut("harvey")
    source = harvey().with_columns(pl.Series("image", payloads(ROWS)))
    joined = {s: t.join(source, on="image") for s, t in splits.items()}
    assert set(splits) == {"seed", "pool", "val", "ood"}
    for learned in ("seed", "pool"):
        assert not set(joined[learned]["cell"]) & set(joined["val"]["cell"])
    assert all(set(joined[s]["region"]) == {"houston"} for s in ("seed", "pool", "val"))
    assert set(joined["ood"]["region"]) == {"west"}
    pool = counts(splits["pool"])
    assert pool["damage"] / sum(pool.values()) == pytest.approx(0.03, abs=0.001) and pool["bad_images"] > 0
    assert counts(splits["seed"]) == {"no_damage": 30, "damage": 3}
    assert "bad_images" not in counts(splits["val"]) | counts(splits["ood"])
    houston = len(source.filter(region="houston"))
    assert 0.07 * houston < len(splits["val"]) <= 0.1 * houston


def test_cifar10_lt(cut):
    table, splits = cut("cifar10-lt")
    truth = cifar10().with_columns(pl.Series("image", payloads(ROWS))).rename({"label": "truth"})
    truth = truth.with_columns(pl.col("truth").replace_strict(dict(enumerate(protocols.CIFAR10))))
    joined = table.join(truth.select("image", "truth"), on="image")
    real = joined.filter(split="pool")["truth"].value_counts(name="rows").sort("rows", descending=True)
    assert real["rows"].max() / real["rows"].min() == pytest.approx(50, rel=0.1)
    assert counts(splits["seed"]) == dict.fromkeys(real["truth"][:5], 5)
    assert all(a != b for a, b in joined.filter(split="pool").select("label", "truth").iter_rows())  # as people said
    assert joined.filter(pl.col("split") != "pool").select((pl.col("label") == pl.col("truth")).all()).item()
    assert len(splits["test"]) == 1000 and set(counts(splits["val"]).values()) == {100}


def test_clinc150(cut):
    _, splits = cut("clinc150")
    pool = counts(splits["pool"])
    assert pool["oos"] == 60 and set(counts(splits["seed"]).values()) == {2} and len(counts(splits["seed"])) == 75
    assert set(counts(splits["seed"])) < set(INTENTS[:100])
    assert len(splits["val"]) == 900 and len(splits["test"]) == 500
    assert pool[INTENTS[149]] == 10 and len(splits["pool"]) + len(splits["seed"]) == 3000 + 500 + 60
