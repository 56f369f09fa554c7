"""Fitting f: the same weights every time, in this process or over Ray Train workers, whichever of them are lost."""

import contextlib
import signal
import threading
import time

import numpy as np
import pytest
import torch

from adde_ray.config import Train
from adde_ray.distributed import training as fitting
from adde_ray.distributed.training import fit
from adde_ray.errors import UserError
from adde_ray.methods.model import learner
from adde_ray.methods.model.learner import LEARNERS

ABSENT = 1


@pytest.fixture(scope="module")
def samples():
    """101 rows of classes 0, 2 and 3 of four: an odd number, in batches of 33 or whole."""
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 2, 3], 101)
    return (rng.normal(size=(101, 6)) + labels[:, None]).astype(np.float32), labels


def weights(samples, seed=7, **settings) -> dict[str, torch.Tensor]:
    return fit(*samples, 4, Train(**{"steps": 20, **settings}), seed=seed)


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("batch_size", [33, 1024])
def test_the_same_bits_every_time(samples, name, batch_size):
    first = weights(samples, learner=name, batch_size=batch_size)
    torch.manual_seed(1)
    np.random.seed(1)
    threads = torch.get_num_threads()
    assert equal(first, weights(samples, learner=name, batch_size=batch_size))
    assert torch.get_num_threads() == threads
    assert all(torch.isfinite(value).all() for value in first.values())


def test_seed_and_batch_size_matter(samples):
    first = weights(samples, learner="mlp", batch_size=33)
    assert not equal(first, weights(samples, learner="mlp", batch_size=33, seed=8))
    assert not equal(first, weights(samples, learner="mlp", batch_size=32))


@pytest.mark.timeout(120)
def test_workers_give_what_one_process_gives(samples, ray_cluster):
    """Two workers, batches of an odd 33 rows out of 101: shards differ in size, and epochs end within a batch."""
    settings = {"learner": "mlp", "batch_size": 33, "steps": 10}
    alone, together = weights(samples, **settings), weights(samples, **settings, workers=2)
    assert alone.keys() == together.keys()
    for name in alone:
        np.testing.assert_allclose(together[name], alone[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_fit_that_loses_a_worker_goes_on_from_what_was_kept(samples, ray_cluster, monkeypatch):
    """A worker is killed once a state has been kept; the end is that of a fit that was left alone, and the kept
    state is taken up, not the beginning."""
    import psutil
    import ray

    settings = {"batch_size": 33, "steps": 400, "checkpoint_steps": 10}
    alone = weights(samples, **settings)
    killed, steps = [], []
    original = fitting.held_checkpoint

    @contextlib.contextmanager
    def watched(config):
        with original(config) as checkpoint:
            threading.Thread(target=strike, args=(checkpoint,), daemon=True).start()
            yield checkpoint

    def strike(checkpoint) -> None:
        with contextlib.suppress(ray.exceptions.RayActorError):  # the fit is over
            while True:
                if (state := ray.get(checkpoint.get.remote())) is not None:
                    steps.append(state["step"])
                if steps and not killed:
                    worker = next(p for p in psutil.Process().children(recursive=True) if _is_worker(p))
                    killed.append(worker.pid)
                    worker.send_signal(signal.SIGKILL)
                time.sleep(0.1)

    monkeypatch.setattr(fitting, "held_checkpoint", watched)
    survived = weights(samples, **settings, workers=2)
    assert killed and steps[0] < 400 and steps == sorted(steps)
    for name in alone:
        np.testing.assert_allclose(survived[name], alone[name], rtol=1e-3, atol=1e-4, err_msg=name)


def _is_worker(process) -> bool:
    """Of this process's Ray: another may train on the same machine."""
    return "RayTrainWorker" in " ".join(process.cmdline())


MEMBERS = [{"ensemble": 3}, {"ensemble": 3, "learner": "mlp", "dropout": 0.3}]


@pytest.mark.parametrize("settings", MEMBERS, ids=str)
def test_members_learn_and_are_the_same_every_time(samples, settings):
    config = Train(**settings)
    network = learner.build(6, 4, config, seed=7)
    trained = weights(samples, steps=200, **settings)
    assert equal(trained, weights(samples, steps=200, **settings))
    network.load_state_dict(trained)
    heads = None if config.dropout else network
    members = learner.Model(network, 1.0, ensemble=config.ensemble, members=heads).member_proba(samples[0])
    assert all((members[:, k].argmax(axis=1) == samples[1]).mean() > 0.75 for k in range(3))
    assert 0 < np.abs(members[:, 0] - members[:, 1]).max() < 1


@pytest.mark.parametrize("name", LEARNERS)
def test_a_class_without_samples_is_never_predicted_and_never_impossible(samples, name):
    network = learner.build(6, 4, Train(learner=name), seed=7)
    network.load_state_dict(weights(samples, learner=name, steps=200))
    proba = learner.Model(network, 1.0).proba(samples[0])
    assert np.isfinite(proba).all() and (proba.argmax(axis=1) != ABSENT).all() and (proba > 0).all()
    assert (proba.argmax(axis=1) == samples[1]).mean() > 0.8


def test_one_sample_is_enough():
    only = np.ones((1, 6), np.float32), np.array([2])
    assert all(torch.isfinite(value).all() for value in weights(only).values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_the_users_mistake(samples):
    with pytest.raises(UserError, match=r"train.gpu: needs 1 GPUs and there are 0"):
        weights(samples, gpu=True)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_workers_give_what_one_process_gives_with_several_classes_at_once(samples, ray_cluster):
    features, _ = samples
    rng = np.random.default_rng(1)
    targets = rng.choice([0.0, 1.0, np.nan], (101, 4), p=[0.6, 0.3, 0.1]).astype(np.float32)
    settings = {"learner": "mlp", "batch_size": 33, "steps": 10}
    alone, together = (weights((features, targets), **settings, workers=n) for n in (0, 2))
    for name in alone:
        torch.testing.assert_close(alone[name], together[name], rtol=1e-3, atol=1e-4)
