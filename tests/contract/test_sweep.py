"""Every served operation gets a minimal and a maximal input; what comes back must satisfy the model.

A refusal must be a 4xx with a code and a message; an answer must have every member that its shape requires.
"""

import base64
import json
import random
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from clary.resource.registry import served
from clary.services.sagemaker._refused import reason_of
from clary.testing import coverage
from clary.testing.jobs import XGBOOST
from clary.testing.shapes import invalid, maximal, minimal
from clary.wire.shape import Shape

SERVICES = {name: each for name, each in served("clary.services").items() if name != "s3"}
OPERATIONS = sorted((name, operation) for name, each in SERVICES.items() for operation in each.handlers)
N_INVALID = 300


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


def client(account, service):
    config = Config(
        parameter_validation=False,
        inject_host_prefix=False,
        user_agent_extra=coverage.SWEEP,
        retries={"total_max_attempts": 1},
        proxies={},
    )
    return boto3.client(
        service,
        endpoint_url=account.url,
        region_name=account.region,
        aws_access_key_id=account.access_key_id,
        aws_secret_access_key=account.secret_access_key,
        config=config,
    )


def pinned(value: Any, account: Any) -> Any:
    """Return the value with members that must name something real set to it, at any depth."""
    fixed = {
        "RoleArn": account.role_arn,
        "ExecutionRoleArn": account.role_arn,
        "TrainingImage": XGBOOST,
        "Image": XGBOOST,
        "InstanceType": "ml.m5.large",
        "InstanceCount": 1,
        "Resource": "TrainingJob",
        "AssumeRolePolicyDocument": "{}",
    }
    if isinstance(value, Mapping):
        return {name: fixed.get(name, pinned(item, account)) for name, item in value.items()}
    if isinstance(value, list):
        return [pinned(item, account) for item in value]
    return value


def missing(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of required members that an answer lacks."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name in shape.required:
            if name not in value:
                yield f"{path}.{name}"
        for name, member in shape.members.items():
            if name in value:
                yield from missing(member, value[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for n, item in enumerate(value):
            yield from missing(shape.element, item, f"{path}[{n}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from missing(shape.value, item, f"{path}.{key}")


def answer_of(caller: Any, operation: str, params: Any) -> dict[str, Any]:
    """Return the answer, or the error's."""
    try:
        return dict(caller._make_api_call(operation, params))
    except ClientError as refused:
        return dict(refused.response)


@pytest.mark.parametrize("make", [minimal, maximal], ids=["minimal", "maximal"])
@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_an_answer_satisfies_its_shape_and_a_refusal_is_awss(account, service, operation, make):
    model = SERVICES[service].model.operations[operation]
    params = pinned(make(model.input, random.Random(5)), account)
    caller = client(account, service)
    answer = answer_of(caller, operation, params)
    metadata = answer.pop("ResponseMetadata")
    if metadata["HTTPStatusCode"] >= 400:
        assert metadata["HTTPStatusCode"] < 500, answer
        assert answer["Error"]["Code"]
        assert answer["Error"]["Message"]
        return
    assert list(missing(model.output, answer)) == []


def invalid_requests() -> list[tuple[str, str, Any, str, str]]:
    """Return generated requests, each with one thing wrong, spread over the served operations."""
    rng = random.Random(11)
    found = []
    for service, operation in OPERATIONS:
        if "json" not in SERVICES[service].model.protocols:
            continue  # every value of a query is text; members of REST requests lie in paths and headers, too
        faults = list(invalid(SERVICES[service].model.operations[operation].input, rng))
        found += [(service, operation, *fault) for fault in faults]
    return rng.sample(found, min(N_INVALID, len(found)))


def sent_raw(account: Any, service: str, operation: str, params: Any) -> tuple[int, dict[str, Any]]:
    """Send JSON as it is, whatever botocore would make of it; return the status and the error."""
    model = SERVICES[service].model
    body = json.dumps(params, default=_plain).encode()
    headers = {
        "content-type": f"application/x-amz-json-{model.json_version}",
        "x-amz-target": f"{model.target_prefix}.{operation}",
    }
    request = AWSRequest("POST", account.url + "/", headers, body)
    keys = Credentials(account.access_key_id, account.secret_access_key)
    SigV4Auth(keys, model.signing_name, account.region).add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    return answer.status_code, json.loads(answer.content)


def _plain(value: Any) -> Any:
    """Return a timestamp or a blob as JSON spells it."""
    return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode()


def test_three_hundred_invalid_requests_are_refused_by_name(account):
    requests = invalid_requests()
    assert len(requests) == N_INVALID
    wrong = []
    for service, operation, params, path, why in requests:
        status, error = sent_raw(account, service, operation, params)
        text = str(error.get("message") or error.get("Message"))  # each service spells it its own way
        member = next(part for part in reversed(path.split(".")) if part != "member" and not part.isdigit())
        if not (400 <= status < 500 and error.get("__type") and member.lower() in text.lower()):
            wrong.append((operation, path, why, status, error))
    assert wrong == []


_CLIENTS: dict[tuple[str, str], Any] = {}


def client_of(account, service):
    key = (account.account_id, service)
    if key not in _CLIENTS:
        _CLIENTS[key] = client(account, service)
    return _CLIENTS[key]


def test_every_operation_of_sagemaker_is_served_or_listed_with_a_reason():
    model, handlers = SERVICES["sagemaker"].model, SERVICES["sagemaker"].handlers
    assert [name for name in model.operations if name not in handlers and reason_of(name) is None] == []


def test_an_operation_that_is_not_served_is_refused_by_name(account):
    model, handlers = SERVICES["sagemaker"].model, SERVICES["sagemaker"].handlers
    caller = client_of(account, "sagemaker")
    for name in sorted(set(model.operations) - set(handlers))[::25]:
        with pytest.raises(ClientError) as refused:
            caller._make_api_call(name, minimal(model.operations[name].input, random.Random(3)))
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert f"sagemaker:{name}" in refused.value.response["Error"]["Message"]
