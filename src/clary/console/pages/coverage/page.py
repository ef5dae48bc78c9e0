"""Coverage: which operations of each service are served, and why others are not."""

from clary.console.visit import Context, Page, Place, Visit

PAGE = Page(
    path=r"/coverage",
    title="Coverage",
    places=(Place("Coverage", "9 Account", "/coverage", 94),),
    live_s=3600.0,
)
SHOWN = ("sagemaker",)
"""Services of which every operation is listed; of the others those that are served."""


def view(visit: Visit) -> Context:
    """List operations by service, found by name."""
    name = visit.query.get("name", "").strip().lower()
    services = []
    for service, operations in sorted(
        visit.coverage().items(), key=lambda pair: (pair[0] not in SHOWN, pair[0])
    ):
        fitting = {each: why for each, why in operations.items() if name in each.lower()}
        reasons = sorted({why for why in fitting.values() if why}) if service in SHOWN else []
        services.append(
            {
                "name": service,
                "n_served": sum(not why for why in operations.values()),
                "n_all": len(operations),
                "served": [each for each, why in fitting.items() if not why],
                "refused": [(why, [each for each in fitting if fitting[each] == why]) for why in reasons],
            }
        )
    return {"services": services, "asked": {"name": visit.query.get("name", "")}}
