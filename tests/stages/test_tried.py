"""What has been tried for a gap: made for it, asked about near it and in it, and confirmed as what it lacks."""

from adde_ray.artifacts.run_dir import RunDir, read_table, write_table
from adde_ray.artifacts.schema import DATASET, GAPS, QUERY, SYNTHETIC, frame
from adde_ray.stages.analyse import tried


def written(root, label_of_gap: str, labels: dict[str, str]) -> RunDir:
    """Round 0 asked four real samples in a class gap, one in a region and one in none; `labels` entered the dataset."""
    run, gap_of = RunDir(root), {"a": "c1", "b": "c1", "c": "c1", "d": "c1", "e": "d1", "f": None}
    gaps = [{"gap_id": "c1", "kind": "class", "label": label_of_gap}, {"gap_id": "d1", "kind": "density", "label": "x"}]
    write_table(run.round(0).root / "gaps.parquet", frame(gaps, GAPS))
    made = [{"sample_id": s, "gap_id": "c1"} for s in "mno"]
    write_table(run.round(0).root / "synthetic.parquet", frame(made, SYNTHETIC))
    asked = [{"sample_id": s, "gap_id": gap, "near_gap": gap or "c1"} for s, gap in gap_of.items()]
    write_table(run.round(0).root / "query.parquet", frame(asked, QUERY))
    grown = [{"sample_id": s, "gap_id": gap_of[s], "label": label, "round": 1} for s, label in labels.items()]
    write_table(run.dataset_part(1), frame(grown, DATASET))
    return run


def test_a_class_gap_counts_what_turned_out_to_be_of_that_class(tmp_path):
    run = written(tmp_path, "rare", {"a": "rare", "b": "common", "d": "common", "e": "common", "f": "rare"})
    assert tried(run.round(1), multi=False) == {"c1": (3, 5, 1, 4), "d1": (0, 1, 1, 1)}
    assert tried(run.round(0), multi=False) == {}


def test_of_several_classes_one_must_be_it(tmp_path):
    run = written(tmp_path, "rare", {"a": "common|rare", "b": "?rare", "c": "", "d": "rarest", "e": ""})
    assert tried(run.round(1), multi=True) == {"c1": (3, 5, 1, 4), "d1": (0, 1, 1, 1)}


def test_a_separator_in_the_name_of_a_class_is_part_of_it(tmp_path):
    run = written(tmp_path, "a|b", {"a": "a|b", "b": "a"})
    assert tried(run.round(1), multi=False)["c1"] == (3, 5, 1, 4)


def test_a_query_of_the_first_version_has_near_and_inside_in_one(tmp_path):
    run = written(tmp_path, "rare", {"a": "rare"})
    path = run.round(0).root / "query.parquet"
    write_table(path, read_table(path).drop("near_gap"))
    assert tried(run.round(1), multi=False)["c1"] == (3, 4, 1, 4)
