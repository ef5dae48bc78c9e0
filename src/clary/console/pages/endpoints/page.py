"""Endpoints: what is in service."""

from clary.console.visit import Context, Page, Place, Visit

PAGE = Page(path=r"/endpoints", title="Endpoints", places=(Place("Endpoints", "2 Serve", "/endpoints", 40),))


def view(visit: Visit) -> Context:
    """List one page of endpoints."""
    answer = visit.api.call(
        "ListEndpoints",
        NameContains=visit.query.get("name"),
        MaxResults=50,
        NextToken=visit.query.get("token"),
    )
    return {
        "endpoints": answer["Endpoints"],
        "next_token": answer.get("NextToken"),
        "asked": {"name": visit.query.get("name", "")},
    }
