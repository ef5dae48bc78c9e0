# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of log lines."""

from typing import Any

import pytest

from clary.kernel.errors import ValidationException
from clary.store import logs
from clary.store.database import Store
from clary.testing.store_laws.samples import HERE


class LogLaws:
    """What log lines promise."""

    def test_lines_page_in_both_directions_even_at_one_time(self, store: Store) -> None:
        lines = [(1_000, f"line {i}") for i in range(7)]
        store.write(logs.append, *HERE, "/group", "one", lines[:3], 2_000)
        store.write(logs.append, *HERE, "/group", "other", [(1_000, "noise")], 2_000)
        last = store.write(logs.append, *HERE, "/group", "one", lines[3:], 2_001)

        def read(**how: Any) -> list[logs.LogEvent]:
            return store.read(logs.events, *HERE, "/group", "one", limit=2, **how)

        seen: list[logs.LogEvent] = []
        while batch := read(after=seen[-1].id if seen else None):
            seen += batch
        assert [(each.ms, each.message) for each in seen] == lines
        assert seen[-1].id == last
        assert [each.message for each in read(forward=False)] == ["line 5", "line 6"]
        assert [each.message for each in read(forward=False, after=seen[5].id)] == ["line 3", "line 4"]
        assert read(after=seen[-1].id) == []

    def test_times_bound_the_lines(self, store: Store) -> None:
        store.write(logs.append, *HERE, "/group", "one", [(ms, str(ms)) for ms in (10, 20, 30)], 40)
        found = store.read(logs.events, *HERE, "/group", "one", start_ms=20, end_ms=30)
        assert [each.ms for each in found] == [20]
        both = store.read(logs.filter_events, *HERE, "/group", start_ms=20, end_ms=30)
        assert [(each.ms, each.stream, each.ingested_ms) for each in both] == [
            (20, "one", 40),
            (30, "one", 40),
        ]

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("", "abcd"),
            ("error", "ab"),
            ("error timeout", "a"),
            ('"not found"', "c"),
            ("?timeout ?found", "ac"),
            ("error -timeout", "b"),
            ("-error", "cd"),
            ("ERROR", "d"),
            ("?missing error", "ab"),
        ],
    )
    def test_patterns_filter_lines(self, store: Store, pattern: str, expected: str) -> None:
        lines = {"a": "error: timeout", "b": "an error", "c": "was not found", "d": "ERROR 100%"}
        for stream, text in lines.items():
            store.write(logs.append, *HERE, "/group", stream, [(1, text)], 1)
        found = store.read(logs.filter_events, *HERE, "/group", pattern=pattern)
        assert "".join(each.stream for each in found) == expected

    def test_filtering_keeps_to_streams_and_goes_on_after_an_id(self, store: Store) -> None:
        for stream in ("job/1", "job/2", "Job/3", "other"):
            store.write(logs.append, *HERE, "/group", stream, [(1, "x")], 1)
        by_prefix = store.read(logs.filter_events, *HERE, "/group", prefix="job/")
        assert [each.stream for each in by_prefix] == ["job/1", "job/2"]
        named = store.read(logs.filter_events, *HERE, "/group", streams=["other", "job/2"])
        assert [each.stream for each in named] == ["job/2", "other"]
        rest = store.read(logs.filter_events, *HERE, "/group", after=by_prefix[0].id, limit=2)
        assert [each.stream for each in rest] == ["job/2", "Job/3"]
        with pytest.raises(ValidationException, match="only terms are served"):
            store.read(logs.filter_events, *HERE, "/group", pattern="{ $.a = 1 }")

    def test_streams_list_by_name_and_by_last_line(self, store: Store) -> None:
        for stream, ms in (("b", 30), ("a", 10), ("c", 20), ("d", 20)):
            store.write(logs.append, *HERE, "/group", stream, [(ms, "x"), (ms - 5, "earlier")], 50)
        assert store.write(logs.create_stream, *HERE, "/group", "e", 5) is True
        assert store.write(logs.create_stream, *HERE, "/group", "e", 6) is False

        def names(**how: Any) -> str:
            return "".join(each.name for each in store.read(logs.streams, *HERE, "/group", **how))

        assert names() == "abcde"
        assert names(descending=True, limit=2) == "ed"
        assert names(after="b", limit=2) == "cd"
        assert names(order_by="last") == "eacdb"
        assert names(order_by="last", descending=True, after=[20, "d"]) == "cae"
        assert names(prefix="c") == "c"
        (first,) = store.read(logs.streams, *HERE, "/group", "b")
        assert first == logs.LogStream("b", 50, 25, 30, 50)

    def test_groups_and_streams_go_with_their_lines(self, store: Store) -> None:
        store.write(logs.append, *HERE, "/group", "one", [(1, "x")], 1)
        store.write(logs.append, *HERE, "/group", "two", [(1, "y")], 1)
        assert store.write(logs.create_group, *HERE, "/group", 5) is False
        assert store.write(logs.create_group, *HERE, "/empty", 5) is True
        assert store.read(logs.groups, *HERE) == [logs.LogGroup("/empty", 5), logs.LogGroup("/group", 1)]
        assert [each.name for each in store.read(logs.groups, *HERE, "/g")] == ["/group"]
        assert store.write(logs.delete_stream, *HERE, "/group", "one") is True
        assert store.write(logs.delete_stream, *HERE, "/group", "one") is False
        assert store.read(logs.has_stream, *HERE, "/group", "one") is False
        assert [each.message for each in store.read(logs.filter_events, *HERE, "/group")] == ["y"]
        assert store.write(logs.delete_group, *HERE, "/group") is True
        assert store.write(logs.delete_group, *HERE, "/group") is False
        assert store.read(logs.has_group, *HERE, "/group") is False
        assert store.read(logs.events, *HERE, "/group", "two") == []

    def test_what_no_database_holds_is_replaced(self, store: Store) -> None:
        store.write(logs.append, *HERE, "/group", "one", [(1, "a\0b\ud800c")], 1)
        (event,) = store.read(logs.events, *HERE, "/group", "one")
        assert event.message == "a\ufffdb\ufffdc"
