"""Train: choose a built-in algorithm, say where its data is, and start a training job."""

from collections.abc import Mapping
from typing import Any

from clary.algorithms import base as algorithms
from clary.algorithms.base import Algorithm, Channel
from clary.console import catalog
from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError, CustomerError

PAGE = Page(path=r"/train(?:/([a-z0-9_]+))?", title="Train", live_s=3600.0)
CSV = "text/csv"
SCRIPT = ("text/python",)
"""Of a channel that only scripts read."""
MINUTES, VOLUME_GB = 60, 10


def view(visit: Visit) -> Context:
    """Show the algorithms, or the form of one."""
    name = visit.arguments[0]
    if not name:
        found = [algorithms.find(each) for each in catalog.repositories()]
        data = {"data": visit.query["data"]} if visit.query.get("data") else {}
        return {
            "algorithm": None,
            "here": "/jobs/training",
            "given": data,
            "algorithms": [{"name": each.name, "title": each.title, "about": _about(each)} for each in found],
        }
    algorithm = _algorithm(name)
    return _form(visit, algorithm, _asked(visit, algorithm))


def act(visit: Visit) -> Answer:
    """Start the job; what is wrong is said above the form, which keeps what was typed."""
    algorithm = _algorithm(visit.arguments[0])
    form = visit.form
    try:
        request = _request(visit, algorithm)
        algorithm.validate(request["HyperParameters"])  # the job would say it, later
        catalog.provide(visit, form.get("output", ""))
        visit.api.call("CreateTrainingJob", **request)
    except AwsError as error:
        return _form(visit, algorithm, form, error.message)
    except CustomerError as error:
        return _form(visit, algorithm, form, str(error))
    except ValueError:
        return _form(visit, algorithm, form, "Instances and minutes are whole numbers, from 1 on.")
    return Redirect(f"/jobs/training/{request['TrainingJobName']}", "The job was started.")


def _algorithm(name: str) -> Algorithm:
    if name not in catalog.repositories():
        raise Missing(f"There is no algorithm {name!r} here.")
    return algorithms.find(name)


def _about(algorithm: Algorithm) -> str:
    """Return what it does, from the first line of its documentation."""
    return (type(algorithm).__doc__ or "").strip().partition(", SageMaker's")[0] + "."


def _asked(visit: Visit, algorithm: Algorithm) -> dict[str, str]:
    """Return what the form begins with: defaults, or what another job was made of."""
    asked = {
        "name": f"{algorithm.name.replace('_', '-')}-{ids.short(6)}",
        "type": catalog.TYPES[0],
        "count": "1",
        "minutes": str(MINUTES),
        "output": f"s3://{catalog.default_bucket(visit)}/models/",
    }
    first = next((each for each in algorithm.channels if each.required), algorithm.channels[0])
    if data := visit.query.get("data"):
        asked[f"data:{first.name}"] = data
    like = visit.query.get("like")
    job = visit.api.seek("DescribeTrainingJob", TrainingJobName=like) if like else None
    return asked | (_like(job) if job else {})


def _like(job: Mapping[str, Any]) -> dict[str, str]:
    resources = job["ResourceConfig"]
    found = {
        "type": resources.get("InstanceType", catalog.TYPES[0]),
        "count": str(resources.get("InstanceCount", 1)),
        "minutes": str(max(1, job["StoppingCondition"].get("MaxRuntimeInSeconds", 3600) // 60)),
        "output": job["OutputDataConfig"]["S3OutputPath"],
    }
    for channel in job.get("InputDataConfig", ()):
        source = channel["DataSource"].get("S3DataSource", {})
        found[f"data:{channel['ChannelName']}"] = source.get("S3Uri", "")
        found[f"content:{channel['ChannelName']}"] = channel.get("ContentType", "")
    return found | {f"hp:{name}": value for name, value in job.get("HyperParameters", {}).items()}


def _form(visit: Visit, algorithm: Algorithm, asked: Mapping[str, str], error: str = "") -> Context:
    wanted = [each for each in algorithm.hyperparameters if each.is_required]
    others = [each for each in algorithm.hyperparameters if not each.is_required]
    changed = [each for each in others if asked.get(f"hp:{each.name}")]
    return {
        "algorithm": algorithm,
        "title": f"Train {algorithm.title}",
        "here": "/jobs/training",
        "about": _about(algorithm),
        "channels": [
            (each, asked.get(f"content:{each.name}", _content_type(each)))
            for each in algorithm.channels
            if each.content_types != SCRIPT
        ],
        "first": wanted + changed,
        "others": [each for each in others if each not in changed],
        "types": catalog.TYPES,
        "folders": catalog.folders(visit),
        "asked": asked,
        "error": error,
    }


def _content_type(channel: Channel) -> str:
    return CSV if CSV in channel.content_types else channel.content_types[0]


def _request(visit: Visit, algorithm: Algorithm) -> dict[str, Any]:
    form = visit.form
    given = {
        name.removeprefix("hp:"): value.strip()
        for name, value in form.items()
        if name.startswith("hp:") and value.strip()
    }
    minutes = int(form.get("minutes") or MINUTES)
    return {
        "TrainingJobName": form.get("name", "").strip(),
        "AlgorithmSpecification": {
            "TrainingImage": catalog.image_of(algorithm.name, visit.api.region),
            "TrainingInputMode": "File",
        },
        "RoleArn": visit.role,
        "HyperParameters": given,
        "InputDataConfig": [
            _channel(each.name, uri, form.get(f"content:{each.name}", "").strip())
            for each in algorithm.channels
            if (uri := form.get(f"data:{each.name}", "").strip())
        ],
        "OutputDataConfig": {"S3OutputPath": form.get("output", "").strip()},
        "ResourceConfig": {
            "InstanceType": form.get("type", catalog.TYPES[0]),
            "InstanceCount": int(form.get("count") or 1),
            "VolumeSizeInGB": VOLUME_GB,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60 * minutes},
    }


def _channel(name: str, uri: str, content_type: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": source},
        **({"ContentType": content_type} if content_type else {}),
    }
