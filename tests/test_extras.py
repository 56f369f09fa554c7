"""What an extra installs: asked for without it, there is one line with the command; a report does without."""

import numpy as np
import pytest
from small import tree

from adde_ray import errors
from adde_ray.config import Config
from adde_ray.config_check import check_names
from adde_ray.errors import UserError
from adde_ray.experiments import proposals
from adde_ray.report.latent import project


@pytest.fixture
def bare(monkeypatch):
    """An environment without any extra."""
    absent = {"peft", "tifffile", "imagecodecs", "umap", "optuna"}
    find = errors.importlib.util.find_spec
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None if name in absent else find(name))


@pytest.mark.parametrize(
    ("sections", "package", "extra"),
    [
        ({"data": {"source": "tiles", "path": "tiles"}}, "tifffile", "tiles"),
        (
            {"train": {"mode": "lora"}, "encoder": {"name": "transformer", "model": "m"}},
            "peft",
            "pretrained",
        ),
        ({"clustering": {"reduction": "umap"}}, "umap", "map"),
    ],
    ids=["tiles", "lora", "umap"],
)
def test_what_asks_for_an_extra_is_told_its_command(bare, tmp_path, sections, package, extra):
    given = tree(tmp_path / "rows.parquet") | sections
    with pytest.raises(UserError, match=rf'needs the package {package} .*Run: pip install "adde_ray\[{extra}\]"'):
        check_names(Config.parse(given))


def test_searching_by_optuna_is_told_its_command(bare):
    with pytest.raises(UserError, match=r'search: needs the package optuna .*"adde_ray\[optuna\]"'):
        proposals.require()


def test_a_map_without_umap_says_how_to_have_it(bare):
    points, method = project(np.random.default_rng(0).normal(size=(40, 8)), seed=0)
    assert points.shape == (40, 2) and "PCA" in method and 'pip install "adde_ray[map]"' in method


def test_with_everything_installed_nobody_is_asked(tmp_path):
    given = tree(tmp_path / "rows.parquet") | {"data": {"source": "tiles", "path": "tiles"}}
    check_names(Config.parse(given))
