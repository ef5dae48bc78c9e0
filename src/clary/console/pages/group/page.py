"""One group of the model registry: its versions side by side, with their figures and who decided what."""

from clary.console import packages
from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/registry/([^/]+)", title="Model group", live_s=10.0)
STATUSES = ("PendingManualApproval", "Approved", "Rejected")
SIZE = 20
"""Versions of a page: each is described, and its files of figures are read."""


def view(visit: Visit) -> Context:
    """Describe a group and compare one page of its versions."""
    name = visit.arguments[0]
    try:
        group = visit.api.call("DescribeModelPackageGroup", ModelPackageGroupName=name)
    except AwsError as error:
        raise Missing(f"Model group {name}: {error.message}") from None
    status = visit.query.get("status", "") if visit.query.get("status", "") in STATUSES else ""
    answer = visit.api.call(
        "ListModelPackages",
        ModelPackageGroupName=name,
        ModelApprovalStatus=status,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=SIZE,
        NextToken=visit.query.get("token"),
    )
    versions = []
    for each in answer.get("ModelPackageSummaryList", ()):
        found = visit.api.seek("DescribeModelPackage", ModelPackageName=each["ModelPackageArn"]) or each
        versions.append(
            {
                **found,
                "slug": packages.slug(each),
                "figures": packages.figures(visit, found),
                "by": packages.who(found.get("CreatedBy")),
                "decided_by": packages.who(found.get("LastModifiedBy")),
            }
        )
    return {
        "group": group,
        "name": name,
        "title": name,
        "here": "/registry",
        "by": packages.who(group.get("CreatedBy")),
        "versions": versions,
        "metrics": list(dict.fromkeys(metric for each in versions for metric in each["figures"])),
        "statuses": STATUSES,
        "asked": {"status": status},
        "next_token": answer.get("NextToken"),
    }


def act(visit: Visit) -> Answer:
    """Delete the group, once it has no version."""
    if visit.form.get("do") != "delete":
        raise Missing("There is no such action.")
    try:
        visit.api.call("DeleteModelPackageGroup", ModelPackageGroupName=visit.arguments[0])
    except AwsError as error:
        return Redirect(visit.path, error.message)
    return Redirect("/registry", f"{visit.arguments[0]} was deleted.")
