"""Comparing experiments: figures worked out by hand, honest with what is missing, a page that lives."""

from __future__ import annotations

import json
import os
from pathlib import Path

import fake_results as fake
import numpy as np
import polars as pl
import pytest
from pages import Page, assert_sound, wait_for
from typer.testing import CliRunner

from adde_ray import run
from adde_ray.artifacts.run_dir import RunDir, write_json, write_table
from adde_ray.artifacts.schema import RESULT_KEYS
from adde_ray.cli import app
from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.experiments.compare import compare, ending
from adde_ray.experiments.compare.align import align
from adde_ray.experiments.compare.figures import figures
from adde_ray.experiments.compare.read import read_experiments
from adde_ray.experiments.compare.sweeps import sweep_figures
from adde_ray.experiments.grid import Grid
from adde_ray.strategies import STRATEGIES, strategy

NASTY = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'> & | ` \" q"


def curve(dataset: str, strategy: str, seed: int, values: list, labels=(0, 10, 20, 40), **more) -> list[dict]:
    """One trial with these values of test.macro_f1, and the like on val."""
    return [
        {
            "trial": f"{dataset}-{strategy}-{seed}", "dataset": dataset, "strategy": strategy, "seed": seed, "round": t,
            "num_asked": at, "num_labels": at, "num_samples": 10 + at, "num_synthetic": 0, "seconds": 1.0,
            "test.macro_f1": value, "val.macro_f1": value, **{name: column[t] for name, column in more.items()},
        }
        for t, (at, value) in enumerate(zip(labels, values, strict=True))
    ]  # fmt: skip


def table(*trials: list[dict]) -> pl.DataFrame:
    return pl.DataFrame([row for rows in trials for row in rows], infer_schema_length=None)


def by_hand() -> pl.DataFrame:
    return table(
        curve("d", "random", 0, [0.2, 0.3, 0.4, 0.6]),
        curve("d", "random", 1, [0.2, 0.3, 0.4, 0.7]),
        curve("d", "margin", 0, [0.2, 0.4, 0.6, 0.9]),
        curve("d", "margin", 1, [0.2, 0.5, 0.75, 0.9]),
        curve("d", "adde", 0, [0.2, 0.6, 0.8, 0.7]),
        curve("d", "adde", 1, [0.2, 0.5, 0.7, 0.8]),
    )


# --- figures -------------------------------------------------------------------------------------------


def test_figures_by_hand():
    datasets, notes = align(by_hand(), None)
    found = figures(datasets, "random", "adde")
    d = found["datasets"]["d"]
    assert notes == [] and d["metric"] == "test.macro_f1" and d["seeds"] == [0, 1] and d["labels"] == [0, 10, 20, 40]
    assert list(d["strategies"]) == ["adde", "margin", "random"] and d["best_baseline"] == "margin"
    adde, random = d["strategies"]["adde"], d["strategies"]["random"]
    assert [p["mean"] for p in adde["curve"]] == pytest.approx([0.2, 0.55, 0.75, 0.75])
    # Trapezoids: (.4 · 10 + .7 · 10 + .75 · 20) / 40 and (.35 · 10 + .6 · 10 + .75 · 20) / 40.
    assert adde["area"]["mean"] == pytest.approx((26 / 40 + 24.5 / 40) / 2)
    # Random ends at .65; adde's mean curve is there with 20 labels, its seeds pass .6 and .7 with 10 and 20.
    assert adde["to_level"]["reference"] | {"per_seed": 0} == {
        "level_of": "random", "level": pytest.approx(0.65), "spent": 40, "labels": 20, "share": 0.5,
        "by_seed": [10, 20], "per_seed": 0, "never": 0,
    }  # fmt: skip
    # Margin ends at .9, where neither of the others ever is.
    best = adde["to_level"]["best"]
    assert (best["labels"], best["share"], best["never"]) == (np.inf, np.inf, 2)
    assert random["to_level"]["reference"]["share"] == 1
    # .7 - .6 and .8 - .7: the same in both seeds, so only the signs could tell, and two of them cannot.
    end = d["differences"]["random"]["final"]["adde"]
    assert end["mean"] == pytest.approx(0.1) and end["p"] == 0.5 and end["verdict"] == "noise"
    assert d["differences"]["adde"]["final"]["random"]["mean"] == pytest.approx(-0.1)
    assert adde["stability"]["worst"] == pytest.approx(0.1) and random["stability"]["worst"] == 0
    assert adde["stability"]["end_below_best"]["mean"] == pytest.approx(0.05)
    assert adde["cost"]["labels"] == 40 and adde["cost"]["seconds"]["mean"] == 4
    assert found["ranking"] == {"area": None, "final": None}  # one dataset


def test_intervals_end_where_a_share_does():
    d = figures(align(by_hand(), None)[0], "random", None)["datasets"]["d"]
    end = d["strategies"]["random"]["final"]
    assert end["low"] == pytest.approx(0.65 - 12.706 * 0.05, abs=1e-4) and end["high"] == 1


def test_strategies_that_bought_less_keep_their_last_value():
    early = curve("d", "margin", 0, [0.2, 0.5], labels=(0, 10))
    datasets, notes = align(table(curve("d", "random", 0, [0.2, 0.3, 0.4, 0.6]), early), None)
    assert datasets[0].curves["margin"].tolist() == [[0.2, 0.5, 0.5, 0.5]]
    assert notes == ["margin on d ended with 10 of 40 labels; its last value is kept."]
    # One that never asks anybody ends with what its last round has.
    naive = curve("d", "naive", 0, [0.2, 0.5, 0.1], labels=(0, 0, 0))
    datasets, _ = align(table(curve("d", "random", 0, [0.2, 0.3, 0.4, 0.6]), naive), None)
    assert datasets[0].curves["naive"].tolist() == [[0.1] * 4]
    assert figures(datasets, "random", None)["datasets"]["d"]["strategies"]["naive"]["stability"]["worst"] == 0.4


def test_only_common_seeds_count_and_it_is_said():
    whole = by_hand()
    datasets, notes = align(whole.filter(~((pl.col("strategy") == "margin") & (pl.col("seed") == 1))), None)
    assert datasets[0].seeds == (0,) and all(len(c) == 1 for c in datasets[0].curves.values())
    assert notes == ["d is compared on the seeds 0: margin lacks 1."]
    d = figures(datasets, "random", "adde")["datasets"]["d"]
    assert d["strategies"]["adde"]["final"] == {"mean": 0.7, "low": None, "high": None, "n": 1}
    assert d["differences"]["random"]["final"]["adde"]["verdict"] == "one seed"


def test_each_dataset_has_the_first_split_that_all_its_trials_have():
    rows = fake.ablation(datasets=("digits",), seeds=(0, 1))
    shifted = fake.ablation(datasets=("harvey",), seeds=(0, 1), splits=("val", "ood"))
    plain = fake.ablation(datasets=("notes",), seeds=(0, 1), splits=("val",))
    both = pl.concat([rows, shifted, plain], how="diagonal_relaxed")
    datasets, _ = align(both, None)
    assert [d.metric for d in datasets] == ["test.macro_f1", "ood.macro_f1", "val.macro_f1"]
    datasets, notes = align(both, "test.worst_class_recall")
    assert [d.name for d in datasets] == ["digits"] and len(notes) == 2


def test_a_level_that_random_did_not_gain_is_none():
    rows = table(curve("d", "random", 0, [0.5, 0.4, 0.4, 0.5]), curve("d", "adde", 0, [0.5, 0.6, 0.7, 0.8]))
    d = figures(align(rows, None)[0], "random", "adde")["datasets"]["d"]
    assert d["strategies"]["adde"]["to_level"] == {"reference": None, "best": None}


def test_rare_classes_are_those_random_bought_the_fewest_of():
    datasets, _ = align(fake.ablation(), None)
    found = figures(datasets, "random", "adde")["datasets"]["digits"]
    assert found["rare_classes"] == ["eel"]
    adde = found["strategies"]["adde"]["at_end"]
    assert adde["rare_recall"]["mean"] == pytest.approx(found["strategies"]["adde"]["final"]["mean"] - 0.2)
    assert adde["drop"]["mean"] == pytest.approx(0.1, abs=0.02)
    assert {"diversity.m_div", "fairness.worst_group_gap", "amplification.class_share"} <= adde.keys()
    against = found["subject_at_end"]["fairness.worst_group_gap"]
    assert against["reference"]["verdict"] == "lower" and against["top"]["against"] == "margin"


def test_tables_of_older_versions_have_the_m_div_of_today(tmp_path):
    terms = {"diversity.class_representation": 0.2, "diversity.vendi_share": 0.5, "diversity.m_div": 0.9}
    ours = fake.ablation(datasets=("digits",)).with_columns(pl.lit(value).alias(name) for name, value in terms.items())
    groups = fake.ablation(datasets=("harvey",)).with_columns(
        pl.lit(value).alias(name) for name, value in {**terms, "diversity.subgroup_representation": 0.8}.items()
    )
    bare = fake.ablation(datasets=("notes",)).with_columns(pl.lit(0.7).alias("diversity.m_div"))
    write_table(tmp_path / "results.parquet", pl.concat([ours, groups, bare], how="diagonal_relaxed"))
    read = read_experiments([tmp_path])[0].table
    found = dict(read.select("dataset", "diversity.m_div").unique().iter_rows())
    assert found == {"digits": 0.35, "harvey": 0.5, "notes": 0.7}


def test_ranks_and_pooled_differences_tell_what_is_there():
    names = ("digits", "harvey", "ham10000", "clinc150", "cifar10-lt", "notes", "tiles", "scans")
    few = ("random", "margin", "k_center")
    rows = pl.concat([fake.ablation((name,), few, seeds=(i, i + 10)) for i, name in enumerate(names)])
    found = figures(align(rows, None)[0], "random", None)
    ranking = found["ranking"]["area"]
    assert ranking["ranks"] == {"k_center": 2, "margin": 1, "random": 3} and ranking["p"] < 0.001
    assert ["margin", "random"] not in [sorted(g) for g in ranking["groups"]] and ranking["n"] == 8
    pooled = found["pooled"]["random"]["area"]["margin"]
    assert pooled["verdict"] == "higher" and pooled["datasets"] == 8 and pooled["n"] == 16


@pytest.mark.parametrize("name", STRATEGIES)
def test_baselines_are_what_is_not_our_own(name):
    assert STRATEGIES[name].baseline != (name == "adde" or STRATEGIES[name].about.startswith("ADDE"))


def test_a_users_variant_of_adde_is_no_baseline(tmp_path):
    table = fake.ablation(("digits",), ("adde", "random", "margin", "no_synthesis"))
    better = pl.when(pl.col("strategy") == "no_synthesis").then(pl.lit("mine")).otherwise("strategy")
    folder = fake.write(tmp_path / "own", table.with_columns(better.alias("strategy")))

    def best() -> str:
        compare([folder])
        return json.loads((folder / "compare.json").read_text())["ablation"]["datasets"]["digits"]["best_baseline"]

    assert best() == "mine"  # nobody knows better
    told = Grid(name="own", strategies=["adde", "random", "margin", {"name": "mine", "over": "adde"}], datasets=["d"])
    write_json(folder / "experiment.json", told.told())
    assert best() == "margin"


# --- sweeps --------------------------------------------------------------------------------------------


def test_a_sweep_shows_what_mattered(tmp_path):
    (experiment,) = read_experiments([fake.write(tmp_path / "weights", fake.sweep(), "sweep")])
    d = sweep_figures(experiment, None)["datasets"]["digits"]
    assert d["objective"] == "val.macro_f1" and d["reported"] == "test.macro_f1"
    assert d["labels"] == [0, 80] and len(d["trials"]) == 50 and d["left_out"] == 10
    importance = d["sensitivity"]["importance"]
    assert max(importance, key=importance.get) == "select.alpha" and importance["select.beta"] < 0.1
    assert d["sensitivity"]["explained"] > 0.5
    x, y = d["sensitivity"]["dependence"]["select.alpha"]
    assert 0.4 < x[int(np.argmax(y))] < 0.8
    best = d["trials"][0]["settings"]["select.alpha"]
    assert 0.4 < best < 0.8


def test_where_most_trials_were_stopped_early_all_are_judged_early(tmp_path):
    (experiment,) = read_experiments([fake.write(tmp_path / "weights", fake.sweep(stopped=20), "sweep")])
    d = sweep_figures(experiment, None)["datasets"]["digits"]
    assert d["labels"] == [0, 20] and len(d["trials"]) == 60 and d["left_out"] == 0


# --- the user's mistakes -------------------------------------------------------------------------------


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def mistakes(tmp_path: Path) -> dict[str, tuple]:
    whole = fake.ablation(seeds=(0, 1))
    seeds = whole.filter((pl.col("strategy") == "random") == (pl.col("seed") == 0))
    one = whole.filter(pl.col("strategy") == "adde")
    twice = pl.concat([whole, whole.with_columns(trial=pl.col("trial") + "-again")])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "empty").mkdir()
    none = fake.write(tmp_path / "none", whole.clear(), failures=[{"trial": "a", "reason": "b"}])
    fake.write(tmp_path / "odd", whole)
    (tmp_path / "odd" / "experiment.json").write_text("{")
    good = fake.write(tmp_path / "good", whole)
    return {
        "no such folder": ([tmp_path / "nowhere"], {}, "there is no such folder"),
        "no table in it": ([tmp_path / "empty"], {}, r"no results\.parquet"),
        "not a table": ([tmp_path / "broken.parquet"], {}, "not a Parquet file"),
        "no rows": ([none], {}, "holds no rows.*Failed: 1"),
        "no JSON": ([tmp_path / "odd"], {}, "is not JSON"),
        "no such columns": (
            [fake.write(tmp_path / "c", whole.drop("seed", "round"))],
            {},
            "lacks the columns seed, round",
        ),
        "holes": ([fake.write(tmp_path / "h", whole.with_columns(seed=None))], {}, "empty cells in seed"),
        "wrong type": ([fake.write(tmp_path / "t", whole.with_columns(seed=pl.lit("x")))], {}, "wrong type"),
        "one strategy": ([fake.write(tmp_path / "o", one)], {}, "one strategy only"),
        "a trial twice": ([fake.write(tmp_path / "tw", twice)], {}, "several trials with seed 0"),
        "infinite": (
            [fake.write(tmp_path / "i", whole.with_columns(pl.lit(float("inf")).alias("test.macro_f1")))],
            {},
            r"test\.macro_f1 holds an infinite figure, in row 1",
        ),
        "texts as figures": (
            [fake.write(tmp_path / "x", whole.with_columns(pl.lit("high").alias("test.macro_f1")))],
            {},
            r"test\.macro_f1 holds no figures .*'high'",
        ),
        "a round twice": (
            [fake.write(tmp_path / "r", pl.concat([whole, whole.head(1)]))],
            {},
            "a round of a trial twice",
        ),
        "a FIFO": ([_fifo(tmp_path / "fifo.parquet")], {}, "there is no such folder or file"),
        "named twice": ([good, good / "results.parquet"], {}, "named twice"),
        "no common seed": ([fake.write(tmp_path / "s", seeds)], {}, "no seed in common.*adde: 1.*random: 0"),
        "no such metric": ([good], {"metric": "test.f2"}, r"no such figure.*test\.macro_f1"),
        "less is better": ([good], {"metric": "test.ece"}, "better when larger"),
        "no such reference": ([good], {"reference": "badge"}, "no such strategy.*k_center"),
        "no such subject": ([good], {"subject": "ours"}, "no such strategy.*k_center"),
        "out is a file": ([good], {"out": tmp_path / "broken.parquet"}, "is a file"),
    }


def test_mistakes_are_told_in_one_line_and_write_nothing(tmp_path):
    for name, (paths, options, said) in mistakes(tmp_path).items():
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError, match=said) as error:
            compare(paths, **options)
        assert "\n" not in str(error.value), name
        assert sorted(tmp_path.rglob("*")) == before, name


def test_the_command(tmp_path):
    folder = fake.write(tmp_path / "headline", fake.ablation(seeds=(0, 1)))
    done = CliRunner().invoke(app, ["compare", str(folder), "--metric", "accuracy"])
    assert done.exit_code == 2 and done.stderr.startswith("error: metric: no such figure")
    done = CliRunner().invoke(app, ["compare", str(folder), "--out", str(tmp_path / "out"), "--subject", "margin"])
    assert done.exit_code == 0, done.output
    assert f"comparison: {tmp_path / 'out' / 'compare.html'}" in done.output
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["ablation"]["subject"] == "margin"


# --- page, Markdown, JSON ------------------------------------------------------------------------------


def experiment(kind: str, root: Path) -> list[Path]:
    """The results in a state the page must cope with."""
    if kind == "sweep":
        return [fake.write(root / "weights", fake.sweep(16, stopped=2), "sweep")]
    if kind == "small sweep":
        return [fake.write(root / "weights", fake.sweep(3, stopped=0), "sweep")]
    if kind == "both":
        failed = [{"trial": "digits-badge-0", "reason": NASTY}]
        whole = fake.write(root / "headline", fake.ablation(("digits", "harvey")), failures=failed)
        return [whole, fake.write(root / "weights", fake.sweep(12, stopped=0), "sweep")]
    if kind == "many strategies":
        names = [*fake.SPEED, *(f"own_{i}" for i in range(20))]
        return [fake.write(root / "many", fake.ablation(("digits",), names, seeds=(0, 1)))]
    if kind == "one seed, val only":
        return [fake.write(root / "one", fake.ablation(seeds=(3,), splits=("val",)))]
    if kind == "neither adde nor random":
        return [fake.write(root / "peers", fake.ablation(strategies=("margin", "k_center"), seeds=(0, 1, 2)))]
    if kind == "only curves":
        rows = by_hand().drop("val.macro_f1")
        write_table(root / "bare.parquet", rows)
        return [root / "bare.parquet"]
    rows = fake.ablation(("digits", "harvey"), seeds=(0, 1)).with_columns(
        pl.col("dataset", "strategy").replace({"digits": NASTY, "margin": NASTY + "m"})
    )
    return [
        fake.write(
            root / "<u>exp",
            rows.rename({"test.recall.eel": f"test.recall.{NASTY}", "per_class.eel": f"per_class.{NASTY}"}),
        )
    ]


KINDS = (
    "both",
    "sweep",
    "small sweep",
    "many strategies",
    "one seed, val only",
    "neither adde nor random",
    "only curves",
    "nasty",
)


@pytest.mark.parametrize("kind", KINDS)
def test_page_markdown_and_json_are_whole(kind, tmp_path):
    import plotly.graph_objects as go

    path = compare(experiment(kind, tmp_path), tmp_path / "out")
    assert sorted(p.name for p in path.parent.iterdir()) == ["compare.html", "compare.json", "compare.md"]
    page = Page(path.read_text(encoding="utf-8"))
    assert not [a for tag, a in page.tags if tag == "link" or a.get("src") or a.get("href", "#")[0] != "#"]
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and policy.count("'sha256-") == 3
    assert [tag for tag, _ in page.tags].count("script") == 4
    places = {i.removeprefix("chart-") for i in page.ids if i.startswith("chart-")}
    assert places == set(page.data["charts"])
    for chart in page.data["charts"].values():
        go.Figure(chart["data"], chart["layout"])
    assert {a["href"][1:] for tag, a in page.tags if tag == "a"} <= page.ids
    assert not {"None", "nan", "inf"} & set(page.text.replace("[", " ").replace(",", " ").split())
    text = (path.parent / "compare.md").read_text()
    assert "<script" not in text and "<u>" not in text
    widths = [len(line.replace("\\|", "").split("|")) for line in text.splitlines() if line.startswith("|")]
    assert widths and min(widths) > 3
    assert not [tag for tag, _ in page.tags if tag in ("img", "u")]
    found = json.loads((path.parent / "compare.json").read_text())
    assert found["title"] and (found["ablation"] or found["sweeps"])


def test_the_same_results_make_the_same_files(tmp_path):
    paths = experiment("both", tmp_path)
    first, again = (compare(paths, tmp_path / name) for name in ("a", "b"))
    for suffix in (".html", ".md", ".json"):
        assert first.with_suffix(suffix).read_bytes() == again.with_suffix(suffix).read_bytes()


def test_the_page_says_what_counts(tmp_path):
    rows = pl.concat(
        [
            by_hand(),
            table(
                *(
                    curve("e", s, seed, [0.2, 0.3, 0.4, 0.5 + 0.1 * (s == "margin") + seed / 50])
                    for s in ("random", "margin", "adde")
                    for seed in (0, 1)
                )
            ),
        ]
    )
    folder = fake.write(tmp_path / "e", rows, failures=[{"trial": "d-badge-0", "reason": "out of memory"}])
    path = compare([folder])
    assert path == folder / "compare.html"
    page, text = Page(path.read_text()).text, path.with_suffix(".md").read_text()
    for said in (
        "3 strategies on 2 datasets, 2 seeds each, compared by Macro-F1, test.",
        "val steered the runs",
        "test and ood were only looked at",
        "Above adde",  # margin, on both
        "20 of 40 (50%)",
        "never, all 2",
        "out of memory",
        "two ranks must be",
    ):
        assert said in page and said in text, said
    found = json.loads(path.with_suffix(".json").read_text())["ablation"]["datasets"]["d"]
    assert found["strategies"]["adde"]["to_level"]["best"]["labels"] == "never"


# --- who is ahead at the end ---------------------------------------------------------------------------


def test_the_end_of_two_strategies_is_one_sentence(tmp_path):
    folder = fake.write(
        tmp_path / "e",
        table(
            *(curve("d", s, seed, [0.2, 0.3, 0.3, 0.38 + seed / 100]) for s in ("adde", "random") for seed in (0, 1))
        ),
    )
    [told] = ending(folder)
    assert told == (
        "no difference beyond noise between adde (0.385) and random (0.385) in macro-F1 on test, 2 seeds: "
        "+0.000 [0.000, 0.000]"
    )


def test_the_end_says_what_the_comparison_of_the_same_results_says(tmp_path):
    folder = fake.write(tmp_path / "e", fake.ablation(datasets=("digits", "harvey")))
    path = compare([folder])
    pooled = json.loads(path.with_suffix(".json").read_text())["ablation"]["pooled"]["random"]["final"]
    told = ending(folder)
    assert told[0].startswith("macro-F1 on test, 2 datasets, 5 seeds, against random (")
    ahead = next(line for line in told if line.startswith("  ahead: "))
    for name, row in pooled.items():
        assert (f"{name} {row['mean']:+.3f} [{row['low']:.3f}, {row['high']:.3f}]" in ahead) == (
            row["verdict"] == "higher"
        )
    assert any("against adde (" in line for line in told)
    page, text = Page(path.read_text()).text, path.with_suffix(".md").read_text()
    assert all(" ".join(line.split()) in " ".join(page.split()) for line in told) and "Who is ahead at the end" in text


def test_the_end_names_the_split_where_there_is_no_test(tmp_path):
    rows = table(*(curve("d", s, seed, [0.2, 0.3, 0.3, 0.4]) for s in ("adde", "random") for seed in (0, 1)))
    folder = fake.write(tmp_path / "e", rows.drop("test.macro_f1"))
    assert "in macro-F1 on val, 2 seeds" in ending(folder)[0]


def test_one_seed_is_told_so_at_the_end(tmp_path):
    folder = fake.write(tmp_path / "e", fake.ablation(datasets=("digits",), seeds=range(1)))
    told = " ".join(ending(folder))
    assert "one seed, which cannot tell a difference from noise" in told and "ahead" not in told


def test_seeds_may_come_from_several_experiments_in_any_order(tmp_path):
    whole = fake.ablation(("digits",))
    parts = [fake.write(tmp_path / str(i), whole.filter(pl.col("seed") % 2 == i)) for i in (1, 0)]
    one = compare([fake.write(tmp_path / "all", whole)], tmp_path / "a").with_suffix(".json")
    two = compare(parts, tmp_path / "b").with_suffix(".json")
    assert json.loads(one.read_text())["ablation"] == json.loads(two.read_text())["ablation"]


def test_two_experiments_with_the_same_trials_are_told_apart(tmp_path):
    before = fake.write(tmp_path / "before", fake.ablation(seeds=(0, 1)))
    after = fake.write(tmp_path / "after", fake.ablation(("digits",), ("adde",), seeds=(0, 1)))
    path = compare([before, after], tmp_path / "out")
    found = json.loads(path.with_suffix(".json").read_text())["ablation"]
    assert {"adde (before)", "adde (after)", "random"} <= set(found["strategies"]) and "adde" not in found["strategies"]
    assert found["reference"] == "random" and found["subject"] == "adde (after)"
    same = fake.write(tmp_path / "elsewhere" / "before", fake.ablation(("digits",), ("adde",), seeds=(0, 1)))
    with pytest.raises(UserError, match="experiments of one name hold the same trials of adde"):
        compare([before, same])


# --- real runs -----------------------------------------------------------------------------------------


def rows_of(run_: RunDir, strategy: str, seed: int) -> list[dict]:
    """A finished run as rows of results."""

    def flat(tree: dict, at: str = "") -> dict:
        found = {}
        for key, value in tree.items():
            if isinstance(value, dict):
                found |= flat(value, f"{at}{key}.")
            elif isinstance(value, (int, float)) and f"{at}{key}" not in RESULT_KEYS:
                found[f"{at}{key}"] = float(value)
        return found

    about = {
        "trial": f"digits-{strategy}-{seed}",
        "dataset": "digits",
        "strategy": strategy,
        "seed": seed,
        "seconds": 1.0,
    }
    names = ("round", "num_asked", "num_labels", "num_samples", "num_synthetic")
    return [about | {n: r.metrics[n] for n in names} | flat(r.metrics) for r in run_.rounds()]


def test_real_runs(tmp_path):
    rows = []
    for name in ("random", "margin"):
        for seed in (0, 1):
            tree = {
                "data": {"source": "digits"},
                "encoder": {"name": "pixels"},
                "run": {"seed": seed},
                "select": {"batch": 20},
                "stop": {"labels": 40},
            }
            tree |= {"train": {"steps": 20}, "gates": {"near_copies": False, "drift_rows": 0}}
            folder = tmp_path / f"{name}-{seed}"
            run(strategy(name).over(Config.parse(tree)), folder)
            rows += rows_of(RunDir.at(folder), name, seed)
    path = compare([fake.write(tmp_path / "e", pl.DataFrame(rows, infer_schema_length=None))])
    found = json.loads(path.with_suffix(".json").read_text())["ablation"]
    d = found["datasets"]["digits"]
    assert d["labels"] == [0, 20, 40] and d["metric"] == "test.macro_f1" and len(d["rare_classes"]) == 4
    ends = [RunDir.at(tmp_path / f"random-{seed}").rounds()[-1].metrics for seed in (0, 1)]
    random = d["strategies"]["random"]
    assert random["final"]["mean"] == pytest.approx(np.mean([m["test"]["macro_f1"] for m in ends]), abs=1e-6)
    assert random["at_end"]["diversity.m_div"]["mean"] == pytest.approx(
        np.mean([m["diversity"]["m_div"] for m in ends]), abs=1e-6
    )
    assert d["strategies"]["margin"]["area"]["mean"] > random["area"]["mean"]


# --- in a browser --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["both", "nasty"])
def test_the_page_lives(browser, tmp_path, kind):
    browser.get(compare(experiment(kind, tmp_path), tmp_path / "out").as_uri())
    wait_for(browser, "document.querySelectorAll('.js-plotly-plot').length > 8")
    axis = "document.getElementById('chart-curves-0')._fullLayout.xaxis.type"
    assert wait_for(browser, axis) == "linear"
    browser.execute_script("document.getElementById('log').click()")
    wait_for(browser, f"{axis} === 'log'")
    wait_for(browser, axis.replace("curves-0", "curves-1") + " === 'log'")
    assert_sound(browser)


def test_who_labels_for_itself_is_drawn_over_what_it_asked_about(tmp_path):
    made = fake.ablation(seeds=range(3))
    free = made.with_columns(num_labels=pl.when(pl.col("strategy") == "margin").then(0).otherwise("num_labels"))
    write_table(tmp_path / "results.parquet", free)
    compare([tmp_path], tmp_path / "out")
    told = (tmp_path / "out" / "compare.md").read_text()
    assert "margin on digits labels for itself" in told and "random on digits labels" not in told


def test_a_table_that_does_not_say_what_was_asked(tmp_path):
    write_table(tmp_path / "results.parquet", fake.ablation(seeds=range(3)).drop("num_asked"))
    assert compare([tmp_path], tmp_path / "out").exists()
