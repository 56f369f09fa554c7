"""The short form: some cases of every source."""

import data_files


def test_damaged_data_is_read_or_refused_in_one_line():
    report = data_files.run(5 * len(data_files.MAKERS), seed=11)
    assert report["failures"] == [] and sum(report["counts"].values()) == 5 * len(data_files.MAKERS)
    assert report["counts"]["read"] > 20 and report["counts"]["refused"] > 10
