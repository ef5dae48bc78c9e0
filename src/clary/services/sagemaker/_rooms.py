"""Room for inference components: variants of endpoints that have no model, and who is in them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.store import listing
from clary.store.listing import Query
from clary.store.records import Record

NOUN = "InferenceComponent"


def room_of(endpoint: Record, variant: str) -> Mapping[str, Any] | None:
    """Return the variant of an endpoint that components may be placed on."""
    rooms = (each for each in endpoint.private["plan"]["variants"] if each.get("Room"))
    return next((each for each in rooms if each["VariantName"] == variant), None)


def limit_of(room: Mapping[str, Any]) -> int:
    """Return how many instances a variant may have."""
    scaling = room.get("ManagedInstanceScaling", {})
    if scaling.get("Status") == "ENABLED":
        return max(int(scaling.get("MaxInstanceCount", 1)), int(room["InstanceCount"]))
    return int(room["InstanceCount"])


def of_endpoint(conn: Connection, endpoint: Record) -> list[Record]:
    """Return the components of an endpoint, oldest first."""
    found: list[Record] = []
    query = Query(
        account=endpoint.account,
        region=endpoint.region,
        noun=NOUN,
        sort="created",
        descending=False,
        limit=1000,
    )
    while True:
        page = listing.page(conn, query)
        found += [each for each in page.records if each.document["EndpointName"] == endpoint.key]
        if page.next is None:
            return found
        query = replace(query, after=page.next)
