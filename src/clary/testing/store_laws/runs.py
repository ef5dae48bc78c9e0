# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of runs."""

import pytest

from clary.store import runs
from clary.store.base import Duplicate
from clary.store.database import Store
from clary.testing.store_laws.samples import NOW


class RunLaws:
    """What runs promise."""

    def test_a_run_is_open_until_it_is_closed(self, store: Store) -> None:
        opened = ("run-1", "arn:1", "digest", "other", {"a": [NOW]})
        store.write(runs.open_run, *opened)
        store.write(runs.open_run, *opened)
        with pytest.raises(Duplicate, match="run-1"):
            store.write(runs.open_run, "run-1", "arn:1", "another digest", "other", {})
        assert store.read(runs.find_run, "run-1") == runs.Run(*opened)
        assert [each.run_id for each in store.read(runs.of_arn, "arn:1")] == ["run-1"]
        assert store.write(runs.close_run, "run-1") is True
        assert store.write(runs.close_run, "run-1") is False
        assert store.read(runs.find_run, "run-1") is None

    def test_a_report_counts_once_and_leaves_out_what_it_does_not_say(self, store: Store) -> None:
        store.write(runs.open_run, "run-1", "arn:1", "", "", {})
        run = store.read(runs.find_run, "run-1")
        assert run is not None
        assert store.write(runs.report, run, "algo-1", 1, "Training", None, None) is True
        assert store.write(runs.report, run, "algo-1", 1, "Lost", None, None) is False
        assert store.write(runs.report, run, "algo-1", 2, None, "socket", None) is True
        assert store.write(runs.report, run, "algo-2", 1, None, None, {"exit_code": 0}) is True
        assert store.read(runs.hosts, "run-1") == {
            "algo-1": runs.HostRow("algo-1", 2, "Training", "socket", None),
            "algo-2": runs.HostRow("algo-2", 1, None, None, {"exit_code": 0}),
        }
