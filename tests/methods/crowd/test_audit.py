"""Quality by class, anchoring, and routes: by simulation, they promise no more than they keep."""

import numpy as np
import polars as pl
import pytest

from adde_ray.methods.crowd import audit, routing
from adde_ray.methods.crowd.anchoring import anchoring
from adde_ray.methods.crowd.intervals import exact, lower_bound, upper_bound


def test_bounds_are_clopper_and_pearsons():
    """The rule of three, and its exact form: none wrong of n says at most 1 - .05 ** (1 / n) wrong."""
    assert lower_bound(60, 60) == pytest.approx(0.05 ** (1 / 60)) and upper_bound(60, 60) == 1.0
    assert lower_bound(0, 9) == 0.0 and exact(0, 0).low == 0.0 and exact(0, 0).high == 1.0
    found = exact(7, 10)
    assert (found.low, found.high) == (pytest.approx(0.3475, abs=1e-4), pytest.approx(0.9333, abs=1e-4))


class TestAudit:
    LABELS = ("a",) * 900 + ("b",) * 97 + ("c",) * 3

    def test_rare_classes_have_a_minimum(self):
        rows = audit.draw(self.LABELS, 60, minimum=10, seed=1)
        assert len(rows) == len(set(rows.tolist())) == 60
        taken = [self.LABELS[r] for r in rows]
        assert taken.count("c") == 3 and 10 <= taken.count("b") <= 20
        assert rows.tolist() == audit.draw(self.LABELS, 60, minimum=10, seed=1).tolist()
        assert len(audit.draw(self.LABELS, 5, minimum=10)) == 23 and len(audit.draw((), 5)) == 0

    def test_a_multi_label_label_counts_for_its_rarest_class(self):
        labels = ["p"] * 50 + ["p|q"] * 5 + [""] * 45
        rows = audit.draw(labels, 10, minimum=4, multi=True)
        assert sum(labels[r] == "p|q" for r in rows) >= 4

    def test_overall_weighs_classes_as_they_are(self):
        """Nine in ten are a, all right; b is checked as often, and is half wrong."""
        found = audit.quality(["a"] * 20 + ["b"] * 20, np.arange(40) < 30, ["a"] * 900 + ["b"] * 100)
        assert found.classes["a"].value == 1.0 and found.classes["b"].value == 0.5
        assert found.overall.value == pytest.approx(0.95) and found.overall.low < 0.95 < found.overall.high

    def test_a_class_nobody_checked_is_not_known(self):
        found = audit.quality(["a"] * 50, np.ones(50, dtype=bool), ["a"] * 50 + ["b"] * 50)
        assert np.isnan(found.classes["b"].value) and (found.classes["b"].low, found.classes["b"].high) == (0, 1)
        assert found.overall.low < audit.quality(["a"] * 50, np.ones(50, dtype=bool), ["a"] * 50).overall.low - 0.05
        assert np.isnan(audit.quality([], np.zeros(0, dtype=bool), ["a"]).overall.value)

    def test_intervals_hold_the_truth(self):
        rng, kept = np.random.default_rng(0), []
        population = np.array(self.LABELS)
        right = rng.random(1000) < np.select([population == "a", population == "b"], [0.95, 0.7], 0.5)
        for seed in range(200):
            rows = audit.draw(self.LABELS, 100, minimum=15, seed=seed)
            overall = audit.quality(population[rows].tolist(), right[rows], self.LABELS).overall
            kept.append(overall.low <= right.mean() <= overall.high)
        assert np.mean(kept) > 0.92


class TestAnchoring:
    def test_a_difference_is_found_with_its_interval(self):
        shown = np.arange(400) < 300
        accepted = np.concatenate([np.arange(300) < 270, np.arange(100) < 70])
        found = anchoring(accepted, shown)
        assert (found.shown.value, found.hidden.value) == (0.9, 0.7)
        assert (
            found.difference.value == pytest.approx(0.2) and 0.09 < found.difference.low < 0.2 < found.difference.high
        )

    def test_intervals_hold_the_truth(self):
        rng = np.random.default_rng(0)
        found = []
        for _ in range(300):
            shown = rng.random(150) < 0.8
            found.append(anchoring(rng.random(150) < np.where(shown, 0.9, 0.8), shown).difference)
        assert np.mean([f.low <= 0.1 <= f.high for f in found]) > 0.92

    def test_without_a_hidden_guess_nothing_is_told(self):
        found = anchoring(np.ones(5, dtype=bool), np.ones(5, dtype=bool))
        assert found.shown.value == 1.0 and np.isnan([found.difference.value, found.difference.low]).all()


class TestRouting:
    def confident(self, rng, n, accuracy_at=lambda c: c):
        confidence = rng.uniform(0.5, 1, n)
        return confidence, rng.random(n) < accuracy_at(confidence)

    def test_a_threshold_is_proved_and_told_with_what_was_tried(self):
        found = routing.route(*self.confident(np.random.default_rng(0), 4000), target=0.9)
        assert found is not None and found.threshold == 0.9 and found.tried == len(routing.THRESHOLDS)
        assert 0.9 <= found.bound < found.right / found.gold

    def test_too_little_gold_proves_nothing(self):
        assert routing.route(*self.confident(np.random.default_rng(0), 20), target=0.95) is None
        assert routing.route(np.zeros(0), np.zeros(0, dtype=bool), target=0.5) is None

    def test_over_many_trials_hardly_a_route_is_opened_that_should_not_be(self):
        """Nothing is right more often than the target, whatever its confidence."""
        rng = np.random.default_rng(1)
        opened = [routing.route(*self.confident(rng, 400, lambda c: 0.9), target=0.9) for _ in range(400)]
        assert np.mean([o is not None for o in opened]) <= 0.06

    def test_only_the_confident_of_open_classes_go_through(self):
        found = routing.Route(0.9, 99, 100, 0.95, 5)
        confidence, labels = np.array([0.95, 0.95, 0.5]), ["a", "b", "a"]
        assert routing.routed(confidence, labels, found).tolist() == [True, True, False]
        assert routing.routed(confidence, labels, found, ["b"]).tolist() == [True, False, False]
        assert not routing.routed(confidence, labels, found, [routing.ALL]).any()

    @staticmethod
    def audits(rng, rounds, accuracy):
        rows = [(t, c, bool(rng.random() < accuracy[c])) for t in range(rounds) for c in accuracy for _ in range(8)]
        return pl.DataFrame(rows, schema=["round", "label", "right"], orient="row")

    def test_a_route_stays_open_while_it_is_as_good_as_asked(self):
        rng = np.random.default_rng(2)
        closed = [routing.closed(self.audits(rng, 10, {"a": 0.95, "b": 0.95}), target=0.95) for _ in range(200)]
        assert np.mean([len(names) > 0 for names in closed]) <= 0.06

    def test_it_closes_the_class_that_falls_and_stays_closed(self):
        rng = np.random.default_rng(3)
        audits = self.audits(rng, 10, {"a": 0.99, "b": 0.6})
        assert "b" in routing.closed(audits, target=0.95) and "a" not in routing.closed(audits, target=0.95)
        better = self.audits(rng, 60, {"a": 0.99, "b": 1.0}).with_columns(pl.col("round") + 10)
        assert "b" in routing.closed(pl.concat([audits, better]), target=0.95)

    def test_an_audit_has_some_of_each_class(self):
        labels = ["a"] * 90 + ["b"] * 2
        assert sum(labels[r] == "b" for r in routing.audit_sample(labels, 12)) == 2
