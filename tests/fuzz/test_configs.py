"""The short form of the fuzzing of configs."""

from __future__ import annotations

import configs


def test_a_mutated_config_is_accepted_or_refused_in_plain_lines():
    report = configs.run(199, seed=1)
    assert not report["failures"], "\n".join(report["failures"])
    assert report["counts"]["refused"] > 100 and report["counts"]["accepted"] > 5
