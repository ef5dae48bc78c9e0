# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of lists; the property test covers their combinations."""

from datetime import timedelta
from typing import Any

import pytest

from clary.store import listing, records, tags
from clary.store.database import Store
from clary.store.listing import Condition, Group, Position, Sort, Within
from clary.testing.store_laws.samples import HERE, NOW, keys_of, make_query, make_record


class ListingLaws:
    """What lists promise; the property test covers combinations."""

    @pytest.fixture
    def shelf(self, store: Store) -> Store:
        """Return a store with five jobs, of which `e` has the fullest document."""
        documents: dict[str, dict[str, Any]] = {
            "a": {},
            "b": {"Value": 5, "Text": "five", "At": NOW, "IsOn": True},
            "c": {"Value": "5", "Text": "5", "At": None, "IsOn": False, "Empty": []},
            "d": {"Value": 7.5, "Deep": {"Er": {"Name": "x.y"}}, "a.b": {"c": 1}, 'quo"te': 3},
            "e": {"List": [{"Name": "p", "N": 1}, {"Name": "q", "N": 9}], "Plain": ["one", "two"], "At": NOW},
        }
        for i, (key, document) in enumerate(documents.items()):
            moment = NOW + timedelta(seconds=i)
            store.write(records.insert, make_record(key, document, created=moment, status="Failed" * (i % 2)))
        store.write(tags.put, make_record("d").arn, {"team": "blue", "n": "12"})
        return store

    @pytest.mark.parametrize(
        ("clause", "expected"),
        [
            (Condition("Value", "eq", 5), "bc"),
            (Condition("Value", "eq", "5"), "bc"),
            (Condition("Text", "eq", 5), "c"),
            (Condition("Text", "eq", "5"), "c"),
            (Condition("Value", "gt", 5), "d"),
            (Condition("Value", "ge", 5.0), "bcd"),
            (Condition("Value", "lt", "6"), "bc"),
            (Condition("Value", "ne", 5), "ade"),
            (Condition("Value", "in", [7.5, "nothing"]), "d"),
            (Condition("Value", "exists"), "bcd"),
            (Condition("At", "not_exists"), "acd"),
            (Condition("Empty", "exists"), ""),
            (Condition("At", "le", NOW), "be"),
            (Condition("At", "eq", NOW.isoformat()), "be"),
            (Condition("At", "lt", NOW), ""),
            (Condition("IsOn", "eq", True), "b"),
            (Condition("IsOn", "eq", "false"), "c"),
            (Condition("Text", "contains", "iv"), "b"),
            (Condition("Text", "not_contains", "iv"), "acde"),
            (Condition("Text", "prefix", "fi"), "b"),
            (Condition("Text", "prefix", "FI"), ""),
            (Condition("Deep.Er.Name", "eq", "x.y"), "d"),
            (Condition('"a.b".c', "eq", 1), "d"),
            (Condition(listing.path("a.b", "c"), "eq", 1), "d"),
            (Condition(listing.path('quo"te'), "eq", 3), "d"),
            (Condition("List.Name", "eq", "q"), "e"),
            (Condition("List.N", "gt", 8), "e"),
            (Condition("List.Name", "ne", "q"), "abcd"),
            (Condition("Plain", "eq", "two"), "e"),
            (Condition("Plain", "contains", "w"), "e"),
            (Group("all", (Condition("List.Name", "eq", "p"), Condition("List.N", "eq", 9))), "e"),
            (Within("List", (Condition("Name", "eq", "p"), Condition("N", "eq", 9))), ""),
            (Within("List", (Condition("Name", "eq", "q"), Condition("N", "eq", 9))), "e"),
            (Within("Plain", (Condition("Name", "exists"),)), ""),
            (Condition("tag:team", "eq", "blue"), "d"),
            (Condition("tag:team", "not_exists"), "abce"),
            (Condition("tag:n", "gt", 9), "d"),
            (Condition("status", "eq", "Failed"), "bd"),
            (Condition("status", "exists"), "bd"),
            (Condition("status", "prefix", "Fa"), "bd"),
            (Condition("status", "in", ["Failed", "Other"]), "bd"),
            (Condition("created", "gt", NOW + timedelta(seconds=2)), "de"),
            (Condition("created", "le", (NOW + timedelta(seconds=1)).isoformat()), "ab"),
            (Condition("key", "in", ["a", "e", "z"]), "ae"),
            (Condition("key", "ne", "a"), "bcde"),
            (Condition("arn", "eq", make_record("c").arn), "c"),
            (Condition("arn", "contains", "Job/c"), "c"),
            (Group("any", ()), ""),
            (Group("all", ()), "abcde"),
            (
                Group("any", (Condition("key", "eq", "a"), Group("all", (Condition("Value", "eq", 7.5),)))),
                "ad",
            ),
        ],
        ids=str,
    )
    def test_a_clause_keeps_what_it_says(self, shelf: Store, clause: Any, expected: str) -> None:
        query = make_query(clause, sort="key", descending=False, limit=2)
        assert "".join(keys_of(shelf, query)) == expected
        assert shelf.read(listing.count, query) == len(expected)

    @pytest.mark.parametrize(
        "clause",
        [
            Condition("key", "like", "a"),
            Condition("key", "eq", 5),
            Condition("created", "gt", "soon"),
            Condition("created", "contains", NOW),
            Condition("Value", "contains", 5),
            Condition("Value", "in", "text"),
            Condition("Value", "eq", None),
            Condition("Value..Deep", "eq", 1),
            Condition("", "eq", 1),
        ],
        ids=str,
    )
    def test_a_clause_without_sense_is_an_error_that_names_it(self, store: Store, clause: Condition) -> None:
        with pytest.raises(ValueError, match=clause.field or "path"):
            store.read(listing.page, make_query(clause))

    def test_any_of_several_clauses_may_match(self, shelf: Store) -> None:
        either = (Condition("key", "eq", "a"), Condition("Value", "gt", 6))
        query = make_query(*either, match="any", sort="key", descending=False)
        assert keys_of(shelf, query) == ["a", "d"]

    def test_ties_break_by_key_in_the_direction_of_the_list(self, store: Store) -> None:
        for key in ("b", "c", "a"):
            store.write(records.insert, make_record(key))
        assert keys_of(store, make_query(limit=1)) == ["c", "b", "a"]
        assert keys_of(store, make_query(limit=1, descending=False)) == ["a", "b", "c"]

    def test_text_sorts_by_code_point(self, store: Store) -> None:
        keys = ["Z", "a", "A", "_", "-1", "é", "\U0001f600", "1", "a-b", "ab", "a b"]
        for key in keys:
            store.write(records.insert, make_record(key))
        assert keys_of(store, make_query(sort="key", descending=False, limit=3)) == sorted(keys)

    def test_a_list_sorts_by_a_path_missing_first_then_numbers_text_and_times(self, store: Store) -> None:
        values: dict[str, Any] = {
            "a": NOW,
            "b": "x",
            "c": 10,
            "d": 9.5,
            "e": None,
            "f": "y",
            "g": [1],
            "h": "x",
            "i": 2**40,
        }
        for key, value in values.items():
            store.write(records.insert, make_record(key, {"V": {"W": value}}))
        store.write(records.insert, make_record("z"))
        expected = ["e", "g", "z", "d", "c", "i", "b", "h", "f", "a"]
        assert keys_of(store, make_query(sort="V.W", descending=False, limit=1)) == expected
        assert keys_of(store, make_query(sort="V.W", descending=True, limit=3)) == expected[::-1]

    def test_a_list_sorts_texts_that_spell_numbers_as_numbers_where_asked(self, store: Store) -> None:
        for key, value in {"a": "100", "b": "9.5", "c": "x", "d": 12, "e": "1e3"}.items():
            store.write(records.insert, make_record(key, {"V": {"W": value}}))
        store.write(records.insert, make_record("z"))
        expected = ["z", "b", "d", "a", "e", "c"]
        by = Sort("V.W", spelled=True)
        assert keys_of(store, make_query(sort=by, descending=False, limit=1)) == expected
        assert keys_of(store, make_query(sort=by, descending=True, limit=4)) == expected[::-1]

    def test_a_list_sorts_by_a_member_of_the_element_that_bears_a_name(self, store: Store) -> None:
        for key, value in {"a": 0.5, "b": 0.25, "c": 3}.items():
            named = [{"N": "other", "V": 9 - value}, "x", {"N": "auc", "V": value}, {"N": "auc", "V": -1}]
            store.write(records.insert, make_record(key, {"L": named}))
        store.write(records.insert, make_record("d", {"L": [{"N": "other", "V": 1}]}))
        store.write(records.insert, make_record("e", {"L": "auc"}))
        store.write(records.insert, make_record("z"))
        expected = ["d", "e", "z", "b", "a", "c"]
        by = Sort("V", element=("L", "N", "auc"))
        assert keys_of(store, make_query(sort=by, descending=False, limit=1)) == expected
        assert keys_of(store, make_query(sort=by, descending=True, limit=4)) == expected[::-1]
        store.write(records.update, make_record("b", {"L": [{"N": "auc", "V": 7, "W": 0}]}))
        assert keys_of(store, make_query(sort=by, descending=False)) == ["d", "e", "z", "a", "c", "b"]
        other = Sort("W", element=("L", "N", "auc"))
        assert keys_of(store, make_query(sort=other, descending=True))[0] == "b"

    def test_a_page_goes_on_where_the_last_one_ended_whatever_came_or_went(self, store: Store) -> None:
        for i in range(6):
            store.write(records.insert, make_record(f"k{i}", created=NOW + timedelta(seconds=i)))
        first = store.read(listing.page, make_query(limit=3))
        assert [each.key for each in first.records] == ["k5", "k4", "k3"]
        store.write(records.delete, *HERE, "Job", "k3")
        store.write(records.insert, make_record("k9", created=NOW + timedelta(seconds=9)))
        second = store.read(listing.page, make_query(limit=3, after=first.next))
        assert [each.key for each in second.records] == ["k2", "k1", "k0"]
        assert second.next is None

    @pytest.mark.parametrize(
        "part", ["a", "ab", "abc", "100%", "_under", 'q"uo', "ünï", "'", "ABC", "bc-D", ""]
    )
    def test_names_are_found_by_any_part_of_them(self, store: Store, part: str) -> None:
        keys = [
            "abc-DEF",
            "xabcx",
            "100%-sure",
            "100-sure",
            "an_underscore",
            'q"uote',
            "ünïcode",
            "it's",
            "ABC",
        ]
        for key in keys:
            store.write(records.insert, make_record(key))
        query = make_query(Condition("key", "contains", part), sort="key", descending=False, limit=2)
        assert keys_of(store, query) == sorted(key for key in keys if part in key)

    @pytest.mark.parametrize("descending", [True, False])
    @pytest.mark.parametrize("sort", ["key", "created"])
    def test_bounds_on_the_sort_column_hold_on_every_page(
        self, store: Store, sort: str, descending: bool
    ) -> None:
        for i, key in enumerate(["a", "b1", "b2", "b3", "b4", "c", "d"]):
            store.write(records.insert, make_record(key, created=NOW + timedelta(seconds=i)))
        expected = ["b2", "b3", "b4"][:: -1 if descending else 1]
        for bounds in (
            (Condition("key", "prefix", "b"), Condition("key", "gt", "b1")),
            (Condition("key", "ge", "b2"), Condition("key", "lt", "c")),
            (
                Condition("created", "gt", NOW + timedelta(seconds=1)),
                Condition("created", "le", NOW + timedelta(seconds=4)),
            ),
        ):
            assert keys_of(store, make_query(*bounds, sort=sort, descending=descending, limit=1)) == expected

    def test_a_position_of_another_order_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="does not belong"):
            store.read(listing.page, make_query(sort="key", after=Position((5,), "a")))
        for parts in ([], [5], ["a", None], [True, "a"]):
            with pytest.raises(ValueError, match="not a position"):
                Position.from_json(parts)
        with pytest.raises(ValueError, match="limit"):
            store.read(listing.page, make_query(limit=0))
