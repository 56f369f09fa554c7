"""Which settings a head takes: those it had, unless rows held out speak for others."""

import numpy as np
import pytest

from adde_ray.config import Train
from adde_ray.methods.model.head import Described, Fitter, Settings
from adde_ray.methods.model.head_choice import Choice, choose, first
from adde_ray.methods.model.losses import Loss
from adde_ray.methods.model.standard import Standard


def data(number: int, *, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that differ in one small component beside nine large ones that say nothing."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=number)
    x = rng.normal(size=(number, 10)) * 10
    x[:, 0] = (2 * y - 1) + noise * rng.normal(size=number)
    return x.astype(np.float32), y


def chosen(x, y, val, *, described=None, before=None, seed=0, **train) -> Choice:
    fitter = Fitter(Standard.fit(np.concatenate([x, val[0]]), seed=0), x, y, 2, described=described)
    return choose(fitter, before, Train(**train), val, multi=False, seed=seed)[0]


def test_components_are_flattened_where_that_tells_classes_apart():
    found = chosen(*data(80), data(200, seed=1))
    assert found.settings.flatten > 0 and found.rows == 80


def test_what_is_given_is_not_chosen():
    assert first(Train(weight_decay=0.01, flatten=0.5), described=False) == Settings(0.01, 0.5, per_row=True)
    found = chosen(*data(80), data(200, seed=1), flatten=0.0, weight_decay=0.02).settings
    assert (found.decay, found.flatten, found.per_row) == (0.02, 0.0, True)


def test_few_rows_change_nothing():
    assert chosen(*data(7), data(200, seed=1)) == Choice(Settings())


def test_settings_are_looked_at_again_when_there_is_half_as_much_again():
    x, y = data(80)
    before = Choice(Settings(decay=3.0), rows=60)
    assert chosen(x, y, data(200, seed=1), before=before) == before
    assert chosen(x, y, data(200, seed=1), before=Choice(Settings(), rows=50)).rows == 80


@pytest.mark.parametrize("right", [True, False])
def test_wrong_descriptions_are_dropped(right):
    x, y = data(60)
    x[:, 0] *= 20
    prototypes = np.stack([x[y == c].mean(axis=0) for c in (0, 1)])
    described = Described(prototypes if right else prototypes[::-1].copy(), np.arange(2))
    x[:, 0] += 15 * np.random.default_rng(3).normal(size=60)  # so that sixty rows do not tell all
    found = chosen(x, y, (x[:0], y[:0]), described=described)
    assert (found.settings.prototypes is not None) == right


def test_a_choice_is_kept_as_json():
    choice = Choice(Settings(3.0, 0.5, Loss(0.5, 0.7), 10.0, True), 12)
    assert Choice.from_kept(choice.kept()) == choice
