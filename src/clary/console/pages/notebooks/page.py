"""Notebook instances: how each stands, what it costs, and a form that makes one."""

from clary.console.visit import Answer, Context, Missing, Page, Place, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/notebooks", title="Notebooks", places=(Place("Notebooks", "1 Build", "/notebooks", 7),))
TYPES = ("ml.t3.medium", "ml.t3.large", "ml.t3.xlarge", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.c5.2xlarge")

IDLE = "clary:idle-stop-minutes"
"""Tag of an instance that says after how many idle minutes it stops; 0 never."""
VOLUME = "The volume is a whole number of GB, from 5 on; idle minutes are one from 0, never, on."


def view(visit: Visit) -> Context:
    """List one page of instances."""
    answer = visit.api.call(
        "ListNotebookInstances",
        NameContains=visit.query.get("name"),
        MaxResults=50,
        NextToken=visit.query.get("token"),
    )
    notebooks, prices = answer["NotebookInstances"], visit.costs.prices()
    live = [each for each in notebooks if each["NotebookInstanceStatus"] == "InService"]
    configs = visit.api.pages("ListNotebookInstanceLifecycleConfigs", "NotebookInstanceLifecycleConfigs")
    repositories = visit.api.pages("ListCodeRepositories", "CodeRepositorySummaryList")
    return {
        "notebooks": notebooks,
        "prices": prices,
        "hourly": sum(prices.get(each["InstanceType"], 0.0) for each in live),
        "types": TYPES,
        "configs": [each["NotebookInstanceLifecycleConfigName"] for each in configs],
        "repositories": [each["CodeRepositoryName"] for each in repositories],
        "next_token": answer.get("NextToken"),
        "asked": {"name": visit.query.get("name", "")},
    }


def act(visit: Visit) -> Answer:
    """Create an instance that runs as the visitor's own role."""
    if visit.form.get("do") != "create":
        raise Missing("There is no such action.")
    name = visit.form.get("name", "").strip()
    try:
        visit.api.call(
            "CreateNotebookInstance",
            NotebookInstanceName=name,
            InstanceType=visit.form.get("type", TYPES[0]),
            RoleArn=visit.role,
            VolumeSizeInGB=int(visit.form.get("volume") or 5),
            LifecycleConfigName=visit.form.get("config"),
            DefaultCodeRepository=visit.form.get("repository", "").strip(),
            Tags=idle_tags(visit.form.get("idle", "")) or None,
        )
    except AwsError as error:
        return Redirect("/notebooks", error.message)
    except ValueError:
        return Redirect("/notebooks", VOLUME)
    return Redirect(f"/notebooks/{name}", "It is being started.")


def idle_tags(minutes: str) -> list[dict[str, str]]:
    """Return the tag that stops an idle instance; none where nothing is said.

    Raises
    ------
    ValueError
        It is no number.
    """
    return [{"Key": IDLE, "Value": str(max(0, int(minutes)))}] if minutes.strip() else []
