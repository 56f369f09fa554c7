"""Training f: kept as safetensors, once a round."""

import pytest
from safetensors.numpy import load_file
from small import CLASSES, blobs, config, rows, write

from adde_ray.artifacts.run_dir import RunDir, read_json
from adde_ray.loop import run
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


def test_of_several_losses_val_chooses(tmp_path):
    """Two of five seed labels are wrong: what learns all of them does worse on val."""
    data = rows()
    wrong = [{**row, "label": "abc"[("abc".index(row["label"]) + 1) % 3]} for row in blobs("seed", 24, seed=1)]
    data = [row for row in data if row["split"] != "seed"] + blobs("seed", 36) + wrong
    path, offered = write(tmp_path / "data.parquet", data), {"balance": [1.0, 0.5], "robustness": [0.0, 0.7]}
    found = {}
    for name, train in (("plain", {}), ("robust", {"robustness": 0.7}), ("chosen", offered)):
        settings = config(path, stop={"labels": 0}, train={"steps": 200, "lr": 0.2, "weight_decay": 0.0, **train})
        run(settings, tmp_path / name)
        first = tmp_path / name / "rounds" / "000"
        found[name] = read_json(first / "metrics.json")["val"]["macro_f1"]
        kept = read_json(first / "model" / "model.json")["loss"]
        assert kept["robustness"] == (0.0 if name == "plain" else 0.7)
    assert found["plain"] < found["robust"] <= found["chosen"]


@pytest.mark.parametrize(
    ("train", "select"), [({}, {}), ({"learner": "mlp"}, {}), ({"ensemble": 3}, {"uncertainty": "bald"})], ids=str
)
def test_a_choice_that_falls_on_the_first_changes_nothing(tmp_path, train, select):
    path = write(tmp_path / "data.parquet", rows())
    for name, offered in (("one", {}), ("several", {"robustness": [0.0, 1e-9]})):
        run(config(path, stop={"labels": 5}, train=train | offered, select=select), tmp_path / name)
    for file in (tmp_path / "one").glob("rounds/*/model/*.safetensors"):
        assert file.read_bytes() == (tmp_path / "several" / file.relative_to(tmp_path / "one")).read_bytes()


def test_settings_are_tried_in_this_process_and_the_chosen_ones_are_fitted_by_the_workers(
    tmp_path, monkeypatch, ray_cluster
):
    fits, original = [], stage.fit

    def fit(*arguments, loss, **options):
        *data, train = arguments
        fits.append((train.workers, train.gpu, loss.robustness))
        return original(*data, train.model_copy(update={"workers": 0, "gpu": False}), loss=loss, **options)

    monkeypatch.setattr(stage, "fit", fit)
    path = write(tmp_path / "data.parquet", rows())
    run(config(path, stop={"labels": 0}, train={"workers": 2, "robustness": [0.0, 0.5]}), tmp_path / "run")
    chosen = read_json(tmp_path / "run" / "rounds" / "000" / "model" / "model.json")["loss"]["robustness"]
    assert fits == [(2, False, chosen)]
