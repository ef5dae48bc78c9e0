"""Jobs of one kind: filtered, sorted, paged, alive."""

from clary.console.kinds import KINDS, STATUSES
from clary.console.visit import Context, Missing, Page, Place, Visit

PAGE = Page(
    path=r"/jobs/(\w+)",
    title="Jobs",
    places=tuple(
        Place(kind.plural, "1 Build", f"/jobs/{kind.slug}", 10 + n) for n, kind in enumerate(KINDS.values())
    ),
)
SIZES = (25, 50, 100)
SORTS = {"CreationTime": "Created", "Name": "Name", "Status": "Status"}

HINTS = {
    "processing": "Process data makes the first: it runs a script, judges predictions or runs a notebook.",
    "transform": "Each model, and the page of a completed training job, has Transform, which makes one.",
    "training": "Train a model makes the first; or another region has some: it is chosen at the top.",
    "tuning": "The page of a completed training job has Tune, which makes one.",
}
"""What an empty list says."""


def view(visit: Visit) -> Context:
    """List one page of jobs."""
    kind = KINDS.get(visit.arguments[0])
    if kind is None:
        raise Missing(f"There is no kind of job named {visit.arguments[0]}.")
    query = visit.query
    sort = query.get("sort", "") if query.get("sort", "") in SORTS else "CreationTime"
    order = "Ascending" if query.get("order") == "Ascending" else "Descending"
    status = query.get("status", "") if query.get("status", "") in STATUSES else ""
    answer = visit.api.call(
        kind.list_operation,
        NameContains=query.get("name"),
        StatusEquals=status,
        SortBy=sort,
        SortOrder=order,
        MaxResults=SIZES[0] if not query.get("size", "").isdigit() else min(100, max(1, int(query["size"]))),
        NextToken=query.get("token"),
    )
    return {
        "kind": kind,
        "title": kind.plural,
        "here": f"/jobs/{kind.slug}",
        "jobs": answer.get(kind.summaries, ()),
        "next_token": answer.get("NextToken"),
        "asked": {"name": query.get("name", ""), "status": status, "sort": sort, "order": order},
        "statuses": STATUSES,
        "sorts": SORTS,
        "hints": HINTS,
    }
