"""The benchmarks that run whole grids: their quick variants from the data to the last line, and what they read."""

import json
import sys

import fake_results as fake
import headline
import numpy as np
import polars as pl
import pytest
import stability

from adde_ray.experiments.compare import compare


def last_line(benchmark, folder, capsys, monkeypatch) -> dict:
    monkeypatch.delenv("ADDE_DATA_DIR", raising=False)
    monkeypatch.setattr(sys, "argv", [benchmark.__name__, "--quick", "--folder", str(folder)])
    benchmark.main()
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.slow
def test_the_headline_runs_on_the_digits_and_goes_on_where_it_stopped(tmp_path, ray_cluster, capsys, monkeypatch):
    told = last_line(headline, tmp_path / "h", capsys, monkeypatch)
    assert told["name"] == "headline" and told["figures"].keys() >= told["targets"].keys() == told["met"].keys()
    assert told["figures"]["labels_to_random/datasets"] == 1 and (tmp_path / "h" / "compare.html").exists()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("h/trials/*/result.json")}
    assert len(written) == 6
    again = last_line(headline, tmp_path / "h", capsys, monkeypatch)
    assert again == told and {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.slow
def test_the_stability_benchmark_runs_on_the_digits(tmp_path, ray_cluster, capsys, monkeypatch):
    told = last_line(stability, tmp_path / "s", capsys, monkeypatch)
    assert 0 <= told["figures"]["adde/worst"] < 0.5 and told["figures"]["rounds"] == 3


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Made-up results of two datasets in which ADDE is the fastest, and what `adde compare` makes of them."""
    strategies = ("adde", "random", "entropy", "margin", "mads_naive")
    table = fake.ablation(strategies=strategies)
    rng, better = np.random.default_rng(0), pl.col("strategy") == "adde"
    table = table.with_columns(
        pl.when(better)
        .then(-0.1)
        .when(pl.col("strategy") == "mads_naive")
        .then(0.3)
        .otherwise(0.0)
        .alias("amplification.overall")
        + 0.001 * pl.Series(rng.normal(size=len(table))),
        pl.when(better).then(0.1).otherwise(0.2).alias("corruptions.noise.drop"),
        pl.when(better).then(0.3).otherwise(0.2).alias("fairness.test.sex.gap"),
    )
    page = compare([fake.write(tmp_path_factory.mktemp("results") / "made-up", table)])
    return json.loads(page.with_suffix(".json").read_text())["ablation"]["datasets"]


def test_the_headlines_figures_say_who_is_ahead_and_where_not(datasets):
    found = headline.figures_of(datasets)
    assert found["labels_to_random/median"] < 0.6 and found["labels_to_best/worst"] <= 1
    assert found["rare_recall/higher"] == 2 and found["rare_recall/lower_beyond_noise"] == 0
    assert found["coverage/over_best"] > 0 and "vendi/over_best" not in found
    assert found["drop/over_learners"] < 0 < found["group_gap/over_learners"]
    assert found["amplification/adde_high"] < 0 < found["amplification/mads_naive_low"]


def test_a_level_never_reached_is_the_worst_of_shares(datasets):
    never = json.loads(json.dumps(datasets))
    never["digits"]["strategies"]["adde"]["to_level"]["reference"]["share"] = "never"
    found = headline.figures_of(never)
    assert found["labels_to_random/worst"] == found["labels_to_random/median"] == float("inf")
    never["harvey"]["strategies"]["adde"]["to_level"]["reference"] = None
    assert headline.figures_of(never)["labels_to_random/datasets"] == 1
