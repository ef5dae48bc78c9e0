"""Account: who is signed in, the keys, the roles, and how the service does."""

from clary.console import cost
from clary.console.visit import Context, Page, Place, Visit

PAGE = Page(
    path=r"/account", title="Account", places=(Place("Account", "9 Account", "/account", 90),), live_s=5.0
)


def view(visit: Visit) -> Context:
    """Show the account."""
    key = visit.api.key
    roles = (visit.api.seek("ListRoles", "iam") or {}).get("Roles", ())
    users = (visit.api.seek("ListUsers", "iam") or {}).get("Users", ())
    return {
        "key": key,
        "roles": roles,
        "users": users,
        "prices": sorted(cost.prices(visit.data_dir).items()),
        "prices_path": visit.data_dir / "prices.json",
    }
