"""Studio: domains, their users and spaces, and the JupyterLab of each."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from clary.console.visit import Answer, Context, Leave, Missing, Page, Place, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/studio(?:/(d-[a-z0-9-]+)(/open)?)?",
    title="Studio",
    places=(Place("Studio", "1 Build", "/studio", 8),),
)
LIVE = ("Pending", "InService")
_NOTHING: Context = {
    "here": "/studio",
    "title": "Studio",
    "domains": (),
    "domain": None,
    "users": (),
    "spaces": (),
    "apps": {},
    "failed": (),
}


def view(visit: Visit) -> Answer:
    """List the domains, or describe one."""
    domain = visit.arguments[0]
    if not domain:
        domains = list(visit.api.pages("ListDomains", "Domains", MaxResults=100))
        return {**_NOTHING, "domains": domains}
    if visit.arguments[1]:
        try:
            return _opened(visit, domain)
        except AwsError as error:
            return Redirect(f"/studio/{domain}", error.message)
    try:
        found = visit.api.call("DescribeDomain", DomainId=domain)
    except AwsError as error:
        raise Missing(f"Domain {domain}: {error.message}") from None
    asked: dict[str, Any] = {"DomainIdEquals": domain, "MaxResults": 100}
    apps = {
        each.get("SpaceName") or each.get("UserProfileName"): each
        for each in visit.api.pages("ListApps", "Apps", **asked)
        if each["Status"] in {*LIVE, "Deleting", "Failed"}
    }
    users = list(visit.api.pages("ListUserProfiles", "UserProfiles", **asked))
    return {
        **_NOTHING,
        "domain": found,
        "title": found["DomainName"],
        "users": users,
        "spaces": list(visit.api.pages("ListSpaces", "Spaces", **asked)),
        "apps": apps,
        "failed": [_described(visit, each) for each in apps.values() if each["Status"] == "Failed"],
    }


def act(visit: Visit) -> Answer:
    """Make a domain, a user or a space; open or end a JupyterLab; delete."""
    domain, form = visit.arguments[0], visit.form
    try:
        if not domain:
            return _made(visit)
        match form.get("do"):
            case "user":
                visit.api.call(
                    "CreateUserProfile", DomainId=domain, UserProfileName=form.get("name", "").strip()
                )
                return Redirect(visit.path, "The user profile was created.")
            case "space":
                visit.api.call("CreateSpace", DomainId=domain, SpaceName=form.get("name", "").strip())
                return Redirect(visit.path, "The space was created, shared by all of the domain.")
            case "end":
                visit.api.call("DeleteApp", DomainId=domain, AppName="default", **_owner(form))
                return Redirect(visit.path, "It is being ended; its files stay.")
            case "delete":
                return _deleted(visit, domain)
    except AwsError as error:
        return Redirect(visit.path, error.message)
    raise Missing("There is no such action.")


def _made(visit: Visit) -> Answer:
    """Create a domain whose apps run as the visitor's own role."""
    settings = {"ExecutionRole": visit.role}
    made = visit.api.call(
        "CreateDomain",
        DomainName=visit.form.get("name", "").strip(),
        AuthMode="IAM",
        DefaultUserSettings=settings,
        DefaultSpaceSettings=settings,
    )
    return Redirect(f"/studio/{made['DomainId']}", "The domain was created. A user profile comes next.")


def _opened(visit: Visit, domain: str) -> Answer:
    """Lead to a JupyterLab, by the port at which the browser sees this Clary."""
    answer = visit.api.call(
        "CreatePresignedDomainUrl",
        DomainId=domain,
        UserProfileName=visit.query.get("user"),
        SpaceName=visit.query.get("space"),
    )
    url, seen = urlsplit(answer["AuthorizedUrl"]), urlsplit(visit.address)
    port = f":{seen.port}" if seen.port else ""
    return Leave(url._replace(scheme=seen.scheme, netloc=f"{url.hostname}{port}").geturl())


def _deleted(visit: Visit, domain: str) -> Answer:
    form = visit.form
    if space := form.get("space"):
        visit.api.call("DeleteSpace", DomainId=domain, SpaceName=space)
        return Redirect(visit.path, f"{space} and its files were deleted.")
    if user := form.get("user"):
        visit.api.call("DeleteUserProfile", DomainId=domain, UserProfileName=user)
        return Redirect(visit.path, f"{user} and its files were deleted.")
    visit.api.call("DeleteDomain", DomainId=domain)
    return Redirect("/studio", "The domain was deleted.")


def _owner(form: Mapping[str, str]) -> dict[str, str]:
    if form.get("space"):
        return {"AppType": "JupyterLab", "SpaceName": form["space"]}
    return {"AppType": "JupyterServer", "UserProfileName": form.get("user", "")}


def _described(visit: Visit, app: Mapping[str, Any]) -> Mapping[str, Any]:
    names = ("DomainId", "AppType", "AppName", "SpaceName", "UserProfileName")
    return visit.api.seek("DescribeApp", **{name: app[name] for name in names if app.get(name)}) or app
