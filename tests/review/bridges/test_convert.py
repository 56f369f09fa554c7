"""Labels made elsewhere: a table of them that a run starts from."""

from __future__ import annotations

import json

import pytest
from bridged import picture, written

from adde_ray.config import Config
from adde_ray.errors import UserError
from adde_ray.review.bridges import commands
from adde_ray.stages.ingest import prepare


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def task(text: str, *names: str, action: str | None = None, **more) -> dict:
    result = [{"from_name": "kind", "type": "choices", "value": {"choices": list(names)}}] if names else []
    if action:
        result.append({"from_name": "action", "type": "choices", "value": {"choices": [action]}})
    return {"data": {"body": text, "n": 1}, "annotations": [{"id": 1, "result": result, **more}]}


def test_coco_becomes_a_table_from_which_a_run_starts(tmp_path):
    whole = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(24)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": i, "image_id": i, "category_id": 1 + i % 2} for i in range(16)],
    }
    for i in range(24):
        (tmp_path / f"{i}.png").write_bytes(picture(i, 12))
    out = tmp_path / "labelled.jsonl"
    commands.convert(written(tmp_path / "instances.json", whole), out)
    assert rows(out)[:2] == [{"file_name": "0.png", "label": "cat"}, {"file_name": "1.png", "label": "dog"}]
    with out.open("a") as file:
        file.writelines(json.dumps({"file_name": f"{i}.png", "label": None}) + "\n" for i in range(16, 24))
    data = {"source": "table", "path": str(out), "image_column": "file_name", "size": 12}
    meta = prepare(Config.parse({"data": data})).meta
    assert meta.classes == ("cat", "dog")
    assert meta.num_rows["pool"] == 8 and meta.num_rows["seed"] + meta.num_rows["val"] == 16


def test_label_studio_becomes_a_table_and_what_is_no_label_stays_out(tmp_path):
    whole = [
        task('=1+1, "é"', "b", "a"),
        task("two", "a"),
        task("three", "a", action="reject"),
        task("four", was_cancelled=True),
        task("two", "a"),
        task("none of them", "none"),
    ]
    out = tmp_path / "x.jsonl"
    commands.convert(written(tmp_path / "x.json", whole), out)
    assert [(row["body"], row["label"]) for row in rows(out)] == [
        ('=1+1, "é"', "a|b"),
        ("two", "a"),
        ("none of them", "none"),
    ]


def test_answers_that_differ_are_told_and_nothing_is_written(tmp_path):
    path = written(tmp_path / "x.json", [task("two", "a"), task("two", "b"), task("three", "a")])
    with pytest.raises(UserError, match=r"task 2, annotation 1: contradicts the answer at .*task 1.*which says 'a'"):
        commands.convert(path, tmp_path / "out.jsonl")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.json"]


def test_a_file_without_labels_is_told(tmp_path):
    with pytest.raises(UserError, match="has no labelled sample"):
        commands.convert(written(tmp_path / "x.json", [{"data": {}, "annotations": []}]), tmp_path / "out.jsonl")
