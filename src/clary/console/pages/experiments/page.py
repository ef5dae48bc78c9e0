"""Experiments: what was tried, by question."""

from clary.console.visit import Context, Page, Place, Visit

PAGE = Page(
    path=r"/experiments",
    title="Experiments",
    places=(Place("Experiments", "1 Build", "/experiments", 25),),
    live_s=3.0,
)


def view(visit: Visit) -> Context:
    """List one page of experiments, found by name."""
    name = visit.query.get("name", "")
    filters = [{"Name": "ExperimentName", "Operator": "Contains", "Value": name}] if name else []
    answer = visit.api.call(
        "Search",
        Resource="Experiment",
        SearchExpression={"Filters": filters} if filters else None,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=50,
        NextToken=visit.query.get("token"),
    )
    return {
        "experiments": [each["Experiment"] for each in answer.get("Results", ())],
        "next_token": answer.get("NextToken"),
        "asked": {"name": name},
    }
