"""Models: what can be deployed."""

from clary.console.visit import Context, Page, Place, Visit

PAGE = Page(path=r"/models", title="Models", places=(Place("Models", "2 Serve", "/models", 50),))


def view(visit: Visit) -> Context:
    """List one page of models, each with its image and artefact."""
    answer = visit.api.call(
        "ListModels", NameContains=visit.query.get("name"), MaxResults=50, NextToken=visit.query.get("token")
    )
    models = [
        visit.api.seek("DescribeModel", ModelName=each["ModelName"]) or {**each, "PrimaryContainer": {}}
        for each in answer["Models"]
    ]
    return {
        "models": [
            {**each, "first": each.get("PrimaryContainer") or (each.get("Containers") or [{}])[0]}
            for each in models
        ],
        "next_token": answer.get("NextToken"),
        "asked": {"name": visit.query.get("name", "")},
    }
