"""Training f: kept as safetensors, once a round."""

import pytest
from safetensors.numpy import load_file
from small import CLASSES, config, rows, write

from adde_ray.loop import run
from adde_ray.rundir import RunDir, read_json
from adde_ray.stages import train as stage


def test_a_run_keeps_its_models_as_safetensors_and_trains_once(tmp_path, monkeypatch):
    settings = config(
        write(tmp_path / "data.parquet", rows()), stop={"labels": 0}, train={"steps": 20, "learner": "mlp"}
    )
    before = run(settings, tmp_path / "run")
    folder = tmp_path / "run" / "rounds" / "000" / "model"
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors"]
    assert {"head.weight", "head.bias"} < load_file(folder / "model.safetensors").keys()
    kept = read_json(folder / "model.json")
    assert kept["classes"] == list(CLASSES) and kept["dims"] == 4 and 0.05 <= kept["temperature"] <= 20

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(stage, "fit", never)
    for name in ("manifest.json", "metrics.json", "gaps.parquet"):
        (folder.parent / name).unlink()
    after = run(settings, tmp_path / "run", resume=True)
    assert after["rounds"][0]["quality"] == before["rounds"][0]["quality"]

    (folder.parent / "manifest.json").unlink()
    (folder / "model.json").unlink()  # killed between the two files: the weights alone do not count
    with pytest.raises(AssertionError, match="trained again"):
        run(settings, tmp_path / "run", resume=True)
    assert RunDir(tmp_path / "run").rounds() == []
