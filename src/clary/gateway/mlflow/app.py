"""MLflow's REST interface: who asks, what for, and how it is answered.

MLFLOW_TRACKING_URI       <Clary>/_clary/mlflow
MLFLOW_TRACKING_USERNAME  access key id        or  MLFLOW_TRACKING_TOKEN  of a job
MLFLOW_TRACKING_PASSWORD  secret access key
"""

import base64
import binascii
import hmac
import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from clary.engine.runs import MLFLOW_PURPOSE
from clary.gateway.control.answers import as_json
from clary.gateway.control.platform import Platform
from clary.gateway.mlflow import artifacts, experiments, models, runs, search
from clary.gateway.mlflow.errors import MlflowError, invalid, of_aws
from clary.kernel import ids
from clary.kernel.errors import AwsError, CustomerError
from clary.resource.call import Call
from clary.store import identities
from clary.store import runs as stored_runs
from clary.store.identities import Credential
from clary.wire.http import Request, Response

PREFIX = "/_clary/mlflow"
VERSION = "2.22.0"
"""Of the interface: what clients may expect. Registered models and traces are not part of it here."""
_CALL = re.compile(rf"{PREFIX}/(?:ajax-)?api/[23]\.0/mlflow/(.+)")
_ARTIFACT = re.compile(rf"{PREFIX}/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts(?:/(.*))?")

_MODEL = re.compile(r"(\w+) logged-models/(m-\w+)(/\w+)?(?:/([^/]+))?")

Answer = Callable[[Call, Mapping[str, Any]], dict[str, Any]]
ANSWERS: Mapping[str, Answer] = {
    "POST experiments/create": experiments.make,
    "GET experiments/get": experiments.get,
    "GET experiments/get-by-name": experiments.get_by_name,
    "POST experiments/update": experiments.update,
    "POST experiments/delete": experiments.delete,
    "POST experiments/restore": experiments.restore,
    "POST experiments/set-experiment-tag": experiments.set_tag,
    "POST experiments/delete-experiment-tag": experiments.delete_tag,
    "POST experiments/search": experiments.search,
    "GET experiments/search": experiments.search,
    "POST runs/create": runs.create,
    "GET runs/get": runs.get,
    "POST runs/update": runs.update,
    "POST runs/delete": runs.delete,
    "POST runs/restore": runs.restore,
    "POST runs/search": search.search,
    "POST runs/log-metric": runs.log_metric,
    "POST runs/log-parameter": runs.log_parameter,
    "POST runs/log-batch": runs.log_batch,
    "POST runs/log-model": runs.log_model,
    "POST runs/log-inputs": runs.log_inputs,
    "POST runs/set-tag": runs.set_tag,
    "POST runs/delete-tag": runs.delete_tag,
    "GET metrics/get-history": runs.history,
    "GET artifacts/list": artifacts.of_run,
    "POST runs/outputs": models.outputs,
    "POST logged-models": models.make,
    "POST logged-models/search": models.search,
    "GET logged-models/{model_id}": models.get,
    "PATCH logged-models/{model_id}": models.finish,
    "DELETE logged-models/{model_id}": models.delete,
    "POST logged-models/{model_id}/params": models.add_parameters,
    "PATCH logged-models/{model_id}/tags": models.set_tags,
    "DELETE logged-models/{model_id}/tags/{tag_key}": models.delete_tag,
}

log = logging.getLogger("clary.mlflow")


class Mlflow:
    """Answers below `/_clary/mlflow`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._world = platform.world

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        if request.path == f"{PREFIX}/version":
            return Response(200, {"content-type": "text/plain"}, VERSION.encode())
        if request.path == f"{PREFIX}/health":
            return Response(200, {"content-type": "text/plain"}, b"OK")
        try:
            return self._answer(request)
        except Exception as error:
            refusal = _as_refusal(error)
            if refusal.status >= 500:
                log.exception("%s %s failed", request.method, request.path)
            return _refused(refusal)

    def _answer(self, request: Request) -> Response:
        call = self._call(request)
        given = dict(parse_qsl(request.query, keep_blank_values=True))
        artifact = _ARTIFACT.fullmatch(request.path)
        if artifact is not None:
            return _artifact(call, request, artifact[1] or "", given)
        match = _CALL.fullmatch(request.path)
        name, named = _row(f"{request.method} {match[1]}" if match else "")
        if name not in ANSWERS:
            raise MlflowError(
                "ENDPOINT_NOT_FOUND",
                f"{request.method} {request.path.removeprefix(PREFIX)} is not served: experiments, runs, "
                "metrics, parameters, tags and artifacts are; registered models and traces are not.",
            )
        body = json.loads(request.body) if request.body else {}
        return as_json(ANSWERS[name](call, {**given, **body, **named}))

    def _call(self, request: Request) -> Call:
        caller, region = self._caller(request.headers.get("authorization", ""))
        return Call(
            account=caller.account,
            region=region,
            principal=caller.principal,
            service="sagemaker",
            operation="MLflow",
            request_id=ids.request_id(),
            now=self._world.clock(),
            world=self._world,
            resources=self._platform.resources,
            access_key_id=caller.access_key_id,
        )

    def _caller(self, authorization: str) -> tuple[Credential, str]:
        kind, _, value = authorization.partition(" ")
        if kind.lower() == "basic":
            return self._by_keys(value), self._world.settings.region
        if kind.lower() == "bearer":
            return self._by_token(value)
        raise MlflowError(
            "UNAUTHENTICATED",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an access key id and its secret; "
            "`clary env` prints them.",
        )

    def _by_keys(self, value: str) -> Credential:
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise MlflowError("UNAUTHENTICATED", "The Authorization header is malformed.") from None
        found: Credential | None = self._world.store.read(identities.find, name)
        known = "" if found is None else found.secret
        if found is not None and found.session_token:
            known = f"{found.secret}:{found.session_token}"
        is_good = hmac.compare_digest(secret.encode(), known.encode())
        is_over = found is not None and found.expires is not None and found.expires <= self._world.clock()
        if found is None or not is_good or is_over:
            raise MlflowError("UNAUTHENTICATED", "The access key or its secret is wrong, or has expired.")
        return found

    def _by_token(self, value: str) -> tuple[Credential, str]:
        run_id, _, token = value.partition(":")
        row = self._world.store.read(stored_runs.find_run, run_id)
        if row is None or not hmac.compare_digest(token, self._world.run_token(run_id, MLFLOW_PURPOSE)):
            raise MlflowError("UNAUTHENTICATED", "The token is not that of a job that runs.")
        found = self._world.store.read(identities.find, row.document["access_key_id"])
        if found is None:
            raise MlflowError("UNAUTHENTICATED", "The job of this token has ended.")
        return found, row.document["region"]


def _row(name: str) -> tuple[str, dict[str, str]]:
    """Return the row of the table that answers, and what its path names."""
    if name not in ANSWERS and (match := _MODEL.fullmatch(name)) is not None:
        method, model_id, rest, tag = match.groups()
        named = {"model_id": model_id} | ({"tag_key": unquote(tag)} if tag else {})
        return f"{method} logged-models/{{model_id}}{rest or ''}{'/{tag_key}' if tag else ''}", named
    return name, {}


def _artifact(call: Call, request: Request, place: str, given: Mapping[str, str]) -> Response:
    match request.method:
        case "PUT":
            return as_json(artifacts.put(call, place, request.body))
        case "DELETE":
            return as_json(artifacts.delete(call, place))
        case "GET" if place:
            return artifacts.get(call, place)
        case "GET":
            return as_json(artifacts.listing(call, given.get("path", "")))
    raise MlflowError("ENDPOINT_NOT_FOUND", f"{request.method} is not served for artifacts.")


def _as_refusal(error: Exception) -> MlflowError:
    match error:
        case MlflowError():
            return error
        case AwsError():
            return of_aws(error)
        case KeyError():
            return invalid(f"Missing value for required parameter {error}.")
        case CustomerError() | TypeError() | ValueError():
            return invalid(f"The request makes no sense: {error}")
        case _:
            return MlflowError("INTERNAL_ERROR", "An internal error occurred; the log names it.")


def _refused(error: MlflowError) -> Response:
    response = as_json({"error_code": error.code, "message": error.message}, error.status)
    if error.status == 401:
        response.headers["www-authenticate"] = 'Basic realm="mlflow"'
    return response
