# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of facets: a lookup by them finds what the same condition finds in the documents."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from clary.store import listing, records
from clary.store.conditions import Condition, Group
from clary.store.database import Store
from clary.store.listing import Query
from clary.store.schema import facet
from clary.testing.store_laws.samples import HERE, keys_of, make_record


def component(key: str, *trials: str, source: str = "") -> Any:
    """Return a trial component of some trials."""
    document: dict[str, Any] = {
        "Parents": [{"TrialName": trial, "ExperimentName": f"of-{trial}"} for trial in trials]
    }
    if source:
        document["Source"] = {"SourceArn": source}
    return make_record(key, document, noun="TrialComponent")


def query(*where: Any, **changes: Any) -> Query:
    """Return a query over trial components."""
    return Query(*HERE, "TrialComponent", tuple(where), **{"sort": "key", "descending": False, **changes})


class FacetLaws:
    """What facets promise."""

    def test_a_facet_finds_what_its_condition_says(self, store: Store) -> None:
        for each in (component("a", "t1"), component("b", "t1", "t2"), component("c", "t2"), component("d")):
            store.write(records.insert, each)
        name = "Parents.TrialName"
        assert keys_of(store, query(Condition(name, "eq", "t1"))) == ["a", "b"]
        assert keys_of(store, query(Condition(name, "in", ("t1", "t2")))) == ["a", "b", "c"]
        assert keys_of(store, query(Condition(name, "ne", "t1"))) == ["c", "d"]
        assert keys_of(store, query(Condition(name, "eq", "t3"))) == []
        both = Group("all", (Condition(name, "eq", "t1"), Condition(name, "eq", "t2")))
        assert keys_of(store, query(both)) == ["b"]
        assert store.read(listing.count, query(Condition(name, "eq", "t2"))) == 2

    def test_facets_follow_a_record_through_its_life(self, store: Store) -> None:
        first = store.write(records.insert, component("a", "t1"))
        moved = replace(component("a", "t2"), version=first.version)
        store.write(records.update, moved)
        assert keys_of(store, query(Condition("Parents.TrialName", "eq", "t1"))) == []
        assert keys_of(store, query(Condition("Parents.TrialName", "eq", "t2"))) == ["a"]
        store.write(records.delete, *HERE, "TrialComponent", "a")
        assert store.read(lambda conn: conn.execute(sa.select(facet)).all()) == []

    def test_other_accounts_and_nouns_are_not_found(self, store: Store) -> None:
        store.write(records.insert, replace(component("a", "t1"), account="999988887777", arn="arn:x"))
        store.write(records.insert, make_record("a", {"Parents": [{"TrialName": "t1"}]}, noun="Other"))
        assert keys_of(store, query(Condition("Parents.TrialName", "eq", "t1"))) == []

    def test_a_common_facet_is_walked_past_page_by_page(self, store: Store, monkeypatch: Any) -> None:
        monkeypatch.setattr("clary.store.plans.GATHER", 3)
        for n in range(12):
            store.write(records.insert, component(f"c{n:02}", "t1" if n % 2 else "t2"))
        wanted = [f"c{n:02}" for n in range(1, 12, 2)]
        assert keys_of(store, query(Condition("Parents.TrialName", "eq", "t1"), limit=2)) == wanted

    def test_a_source_is_found_by_its_lower_case_spelling_too(self, store: Store) -> None:
        store.write(records.insert, component("a", source="arn:aws:x:Job"))
        for asked in ("arn:aws:x:Job", "arn:aws:x:job"):
            assert keys_of(store, query(Condition("Source.SourceArn", "eq", asked))) == ["a"]
