"""Who is stopped depends on what trials are worth, not on who was faster."""

import numpy as np
import pytest

from adde_ray.experiments.halving import Halving, rungs

RUNGS, KEEP = [2, 4, 8], 2.0


def one_after_another(curves: list[list[float]]) -> list[int | None]:
    """ASHA's rule as it is written down, trial by trial."""
    seen: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    found = []
    for curve in curves:
        stopped = None
        for rung in RUNGS:
            if stopped is None and len(curve) >= rung:
                mean = np.mean(curve[:rung])
                if seen[rung] and mean < np.quantile(seen[rung], 1 - 1 / KEEP):
                    stopped = rung
                seen[rung].append(mean)
        found.append(stopped)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_events_stops_the_same_trials(seed):
    rng = np.random.default_rng(seed)
    curves = [rng.random(rng.integers(1, 11)).tolist() for _ in range(12)]  # some end before the last rung
    expected = one_after_another(curves)
    halving, told = Halving(RUNGS, keep=KEEP), [0] * len(curves)
    while at_work := [i for i, curve in enumerate(curves) if told[i] <= len(curve)]:
        i = int(rng.choice(at_work))
        if told[i] == len(curves[i]):
            halving.end(i)
        else:
            halving.tell(i, told[i], curves[i][told[i]])
        told[i] += 1
    assert [halving.stopped(i) for i in range(len(curves))] == expected
    assert any(expected) and not all(expected)
    for i, curve in enumerate(curves):
        assert halving.mean(i) == pytest.approx(np.mean(curve[: expected[i]]))


def test_a_trial_told_again_or_cut_off_where_it_was_stopped_changes_nothing():
    """As after a resume: what was stopped has only the rounds that count."""
    curves = [[0.5] * 8, [0.9] * 8, [0.1] * 8, [0.7] * 8]
    whole, again = Halving(RUNGS, keep=KEEP), Halving(RUNGS, keep=KEEP)
    for i, curve in enumerate(curves):
        for t, value in enumerate(curve):
            whole.tell(i, t, value)
        whole.end(i)
    for i, curve in enumerate(curves):
        for t, value in [*enumerate(curve[: whole.stopped(i)]), (0, curve[0])]:
            again.tell(i, t, value)
        again.end(i)
    stops = [whole.stopped(i) for i in range(4)]
    assert stops == [again.stopped(i) for i in range(4)] == [None, None, 2, None]


def test_nobody_is_stopped_before_it_is_known_what_went_before():
    halving = Halving([1], keep=2.0)
    halving.tell(1, 0, 0.1)
    assert halving.stopped(1) is None
    halving.tell(0, 0, 0.5)
    assert halving.stopped(1) == 1


def test_rungs():
    assert rungs(3, 3.0, 50) == [3, 9, 27] and rungs(1, 1.5, 5) == [1, 2, 3, 5]
    assert rungs(5, 2.0, 4) == []
