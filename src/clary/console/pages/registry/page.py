"""The model registry: groups of versions, and models that are in none."""

from clary.console import packages
from clary.console.visit import Answer, Context, Missing, Page, Place, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/registry",
    title="Model registry",
    places=(Place("Model registry", "2 Serve", "/registry", 48),),
    live_s=3.0,
)
SORTS = {"CreationTime": "Created", "Name": "Name"}
SIZE = 25


def view(visit: Visit) -> Context:
    """List one page of groups, each with its newest version, and the models without a group."""
    query = visit.query
    sort = query.get("sort", "") if query.get("sort", "") in SORTS else "CreationTime"
    order = "Ascending" if query.get("order") == "Ascending" else "Descending"
    answer = visit.api.call(
        "ListModelPackageGroups",
        NameContains=query.get("name"),
        SortBy=sort,
        SortOrder=order,
        MaxResults=SIZE,
        NextToken=query.get("token"),
    )
    alone = visit.api.seek("ListModelPackages", NameContains=query.get("name"), MaxResults=100) or {}
    return {
        "groups": [
            {**each, "newest": _newest(visit, each["ModelPackageGroupName"])}
            for each in answer.get("ModelPackageGroupSummaryList", ())
        ],
        "alone": alone.get("ModelPackageSummaryList", ()),
        "slug": packages.slug,
        "next_token": answer.get("NextToken"),
        "asked": {"name": query.get("name", ""), "sort": sort, "order": order},
        "sorts": SORTS,
    }


def act(visit: Visit) -> Answer:
    """Create a group."""
    if visit.form.get("do") != "create":
        raise Missing("There is no such action.")
    name = visit.form.get("name", "").strip()
    try:
        visit.api.call(
            "CreateModelPackageGroup",
            ModelPackageGroupName=name,
            ModelPackageGroupDescription=visit.form.get("about", "").strip(),
        )
    except AwsError as error:
        return Redirect("/registry", error.message)
    return Redirect(f"/registry/{name}", "The group was created.")


def _newest(visit: Visit, group: str) -> dict[str, object]:
    """Return the newest version of a group; empty where it has none."""
    answer = visit.api.seek(
        "ListModelPackages",
        ModelPackageGroupName=group,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )
    found = (answer or {}).get("ModelPackageSummaryList", ())
    return dict(found[0]) if found else {}
