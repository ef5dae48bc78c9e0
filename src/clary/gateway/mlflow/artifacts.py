"""Artefacts of runs: kept below `s3://<the SDK's bucket>/mlflow/<experiment>/<run>/artifacts`.

What SageMaker's clients logged as a file of a run is found here by its name, too.
"""

import asyncio
import mimetypes
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from clary.gateway.mlflow import runs
from clary.gateway.mlflow.errors import MlflowError, invalid, missing
from clary.resource.call import Call
from clary.services.s3.bucket import create_bucket, owner_of
from clary.store.records import Record
from clary.toolkit.object_faults import MissingError
from clary.toolkit.objects import Objects, split_uri
from clary.wire.http import Response

MAX_SHOWN = 60
"""Output artefacts of a trial component. Source: shape `TrialComponentArtifacts`, `max`."""
_PLACE = re.compile(r"([^/]+)/([^/]+)/artifacts(?:/(.*))?")


def _objects(call: Call) -> Objects:
    objects: Objects = call.world.extras["objects"]
    return objects


def _root(call: Call, run: Record) -> str:
    parents = run.document.get("Parents", ())
    experiment = parents[0]["ExperimentName"] if parents else "default"
    return f"s3://{bucket_of(call)}/mlflow/{experiment}/{run.key}/artifacts"


def bucket_of(call: Call) -> str:
    """Return the bucket that the SageMaker SDK uses by default, too."""
    return f"sagemaker-{call.region}-{call.account}"


def _place(call: Call, text: str) -> tuple[Record, str]:
    """Return the run and the path inside it that an artefact's path stands for."""
    match = _PLACE.fullmatch(unquote(text).strip("/"))
    if match is None:
        raise invalid(f"artifact path '{text}' is not such as <experiment>/<run>/artifacts/<file>.")
    inside = (match[3] or "").strip("/")
    if any(part in {"", ".", ".."} for part in inside.split("/") if inside):
        raise invalid(f"artifact path '{inside}' leads out of the run.")
    return runs.find(call, match[2]), inside


def put(call: Call, text: str, body: bytes) -> dict[str, Any]:
    """Keep an artefact, and show it among those of the trial component."""
    run, inside = _place(call, text)
    if not inside:
        raise invalid("an artifact needs a name.")
    _ensure_bucket(call)
    uri = f"{_root(call, run)}/{inside}"
    kind = mimetypes.guess_type(inside)[0] or "application/octet-stream"
    _objects(call).put(uri, body, content_type=kind)
    shown = {"Value": uri} | ({"MediaType": kind} if re.fullmatch(r"[-\w]+/[-\w+]+", kind) else {})

    def change(record: Record) -> Record:
        made = dict(record.document.get("OutputArtifacts", {}))
        if inside not in made and len(made) >= MAX_SHOWN:
            return record
        document = {**record.document, "OutputArtifacts": {**made, inside[-128:]: shown}}
        return replace(record, document=document, modified=call.now)

    if run.document.get("OutputArtifacts", {}).get(inside[-128:]) != shown:
        call.amend(run, change)
    return {}


def _ensure_bucket(call: Call) -> None:
    owner = call.read(owner_of, bucket_of(call))
    if owner is None:
        create_bucket(call, {"Bucket": bucket_of(call)})
    elif owner.account != call.account:
        raise MlflowError("PERMISSION_DENIED", f"The bucket {bucket_of(call)} belongs to another account.")


def get(call: Call, text: str) -> Response:
    """Stream an artefact."""
    run, inside = _place(call, text)
    for uri in (f"{_root(call, run)}/{inside}", _logged(call, run, inside)):
        pieces = _objects(call).stream(uri) if uri and _is_own(call, uri) else iter(())
        try:
            first = next(pieces, None)
        except MissingError:
            continue
        if first is not None or (uri and _is_own(call, uri) and _objects(call).head(uri)):
            return Response(
                200, {"content-type": "application/octet-stream"}, pieces=_stream(first or b"", pieces)
            )
    raise missing("Artifact", inside)


def _is_own(call: Call, uri: str) -> bool:
    owner = call.read(owner_of, split_uri(uri)[0])
    return owner is not None and owner.account == call.account


def _logged(call: Call, run: Record, name: str) -> str:
    """Return where SageMaker's clients put what they logged under a name; empty where they did not."""
    for member in ("OutputArtifacts", "InputArtifacts"):
        uri = str(run.document.get(member, {}).get(name, {}).get("Value", ""))
        if uri.startswith("s3://") and _is_own(call, uri):
            return uri
    return ""


async def _stream(first: bytes, rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    while True:
        piece = await asyncio.to_thread(next, rest, None)
        if piece is None:
            return
        yield piece


def listing(call: Call, text: str) -> dict[str, Any]:
    """Return what lies in a folder of a run's artefacts, by the last part of its name."""
    run, inside = _place(call, text)
    return {
        "files": [{**each, "path": each["path"].rpartition("/")[2]} for each in _files(call, run, inside)]
    }


def of_run(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what lies in a folder of a run's artefacts, by its whole path."""
    run = runs.find(call, runs.run_id_of(request))
    uri = _root(call, run).removeprefix(f"s3://{bucket_of(call)}/mlflow/")
    return {"root_uri": f"mlflow-artifacts:/{uri}", "files": _files(call, run, request.get("path") or "")}


def _files(call: Call, run: Record, inside: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    folder = f"{_root(call, run)}/{inside.strip('/')}".rstrip("/") + "/"
    start = len(split_uri(folder)[1])
    before = f"{inside.strip('/')}/" if inside.strip("/") else ""
    try:
        for entry in _objects(call).list(folder):
            name, _, below = entry.key[start:].partition("/")
            file = {"path": f"{before}{name}", "is_dir": bool(below)}
            found[name] = file if below else {**file, "file_size": entry.size or 0}
    except MissingError:
        pass  # no bucket yet
    if not before:
        for member in ("OutputArtifacts", "InputArtifacts"):
            for name in run.document.get(member, {}):
                if "/" not in name and name not in found and _logged(call, run, name):
                    found[name] = {"path": name, "is_dir": False}
    return [found[name] for name in sorted(found)]


def delete(call: Call, text: str) -> dict[str, Any]:
    """Delete an artefact, or a folder of them."""
    run, inside = _place(call, text)
    objects = _objects(call)
    uri = f"{_root(call, run)}/{inside}".rstrip("/")
    objects.delete([uri, *[entry.uri for entry in objects.list(f"{uri}/")]])

    def change(record: Record) -> Record:
        made = record.document.get("OutputArtifacts", {})
        kept = {
            name: each for name, each in made.items() if name != inside and not name.startswith(f"{inside}/")
        }
        return replace(record, document={**record.document, "OutputArtifacts": kept}, modified=call.now)

    call.amend(run, change)
    return {}
