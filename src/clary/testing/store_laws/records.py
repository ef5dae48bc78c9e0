# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of records and tags."""

import math
from datetime import timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from clary.store import listing, records, tags
from clary.store.base import Duplicate, Stale
from clary.store.database import Store
from clary.store.listing import Condition
from clary.testing.store_laws.samples import HERE, NOW, keys_of, make_query, make_record


class RecordLaws:
    """What records promise."""

    def test_a_document_comes_back_as_it_went_in(self, store: Store) -> None:
        document: dict[str, Any] = {
            "z": 1,
            "a": [1.0, 1e22, 1e-5, -0.5, True, None, 2**60, "ü\U0001f600 'quoted\"", "nul\0", "\ud800"],
            "times": {"deep": [{"at": NOW, "elsewhere": NOW.astimezone(timezone(timedelta(hours=5)))}]},
            "$time": "mine",
            "marked": {"$time": "not a time"},
            "twice": {"$$float": 1},
            "infinite": [math.inf, -math.inf],
            "bytes": b"\0\xff",
            "empty": {},
            "a.b": {"c d": ""},
        }
        private = {"since": NOW}
        store.write(records.insert, make_record("odd", document, private=private))
        found = store.read(records.find, *HERE, "Job", "odd")
        assert found == make_record("odd", document, private=private)
        assert found is not None
        assert list(found.document) == list(document)
        assert [type(each) for each in found.document["a"]] == [type(each) for each in document["a"]]

    def test_nan_survives(self, store: Store) -> None:
        store.write(records.insert, make_record("nan", {"Value": math.nan}))
        found = store.read(records.find, *HERE, "Job", "nan")
        assert found is not None
        assert math.isnan(found.document["Value"])

    def test_a_taken_key_or_arn_is_a_duplicate_and_spoils_nothing(self, store: Store) -> None:
        store.write(records.insert, make_record("one"))

        def again(conn: sa.Connection) -> None:
            for taken in (
                make_record("one", arn="arn:other"),
                make_record("two", arn=make_record("one").arn),
            ):
                with pytest.raises(Duplicate, match="exists already"):
                    records.insert(conn, taken)
            records.insert(conn, make_record("three"))

        store.write(again)
        assert keys_of(store, make_query(sort="key", descending=False)) == ["one", "three"]

    def test_records_without_arn_do_not_collide(self, store: Store) -> None:
        for key in ("one", "two"):
            store.write(records.insert, make_record(key, arn=""))
        assert store.read(records.find_by_arn, "") is None

    def test_an_update_bumps_the_version_and_a_stale_one_is_refused(self, store: Store) -> None:
        first = store.write(records.insert, make_record("one", {"a": 1}))
        second = store.write(records.update, make_record("one", {"a": 2}, status="Failed"), first.version)
        assert (first.version, second.version) == (1, 2)
        assert store.read(records.find_by_arn, first.arn) == second
        with pytest.raises(Stale, match="version 1"):
            store.write(records.update, first, expected_version=1)
        assert store.write(records.update, first).version == 3
        with pytest.raises(Stale, match="not there any more"):
            store.write(records.update, make_record("never"))

    def test_a_deleted_record_is_gone_from_every_list(self, store: Store) -> None:
        store.write(records.insert, make_record("some-name"))
        assert store.write(records.delete, *HERE, "Job", "some-name") is True
        assert store.write(records.delete, *HERE, "Job", "some-name") is False
        assert store.read(records.find, *HERE, "Job", "some-name") is None
        assert keys_of(store, make_query(Condition("key", "contains", "some"))) == []

    def test_account_region_and_noun_are_walls(self, store: Store) -> None:
        elsewhere: list[dict[str, Any]] = [
            {"account": "999900001111"},
            {"region": "eu-west-1"},
            {"noun": "Model"},
        ]
        for place in ({}, *elsewhere):
            store.write(records.insert, make_record("same-name", **place))
        for query in (make_query(), make_query(Condition("key", "contains", "same-name"))):
            (only,) = store.read(listing.page, query).records
            assert (only.account, only.region, only.noun) == (*HERE, "Job")

    def test_tags_belong_to_an_arn(self, store: Store) -> None:
        store.write(tags.put, "arn:a", {"team": "blue", "cost": "7"})
        store.write(tags.put, "arn:a", {"team": "red"})
        store.write(tags.put, "arn:b", {})
        assert store.read(tags.of, "arn:a") == {"cost": "7", "team": "red"}
        assert store.read(tags.of_many, ["arn:b", "arn:a"]) == {
            "arn:b": {},
            "arn:a": {"cost": "7", "team": "red"},
        }
        store.write(tags.remove, "arn:a", ["cost", "unknown"])
        assert store.read(tags.of, "arn:a") == {"team": "red"}
        store.write(tags.drop, "arn:a")
        assert store.read(tags.of, "arn:a") == {}
