"""Lifecycle policies: which images of a repository expire."""

import json
from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.ecr import _lifecycle
from clary.services.ecr._records import Place, place_of, repository_of
from clary.store.records import Record


def answer(place: Place, text: str) -> dict[str, Any]:
    """Return what every operation on a policy answers."""
    return {"registryId": place.account, "repositoryName": place.name, "lifecyclePolicyText": text}


def found(call: Call, place: Place) -> Record:
    """Return a repository's policy.

    Raises
    ------
    AwsError
        `RepositoryNotFoundException`, `LifecyclePolicyNotFoundException`.
    """
    call.read(repository_of, place)
    record: Record | None = call.read(_lifecycle.find, place)
    if record is None:
        text = f"Lifecycle policy does not exist for the {place.words}"
        raise AwsError(text, code="LifecyclePolicyNotFoundException")
    return record


@operation("PutLifecyclePolicy")
def put_lifecycle_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a repository a policy; it is applied from the next sweep on."""
    place = place_of(call, request)
    call.read(repository_of, place)
    _lifecycle.parse(request["lifecyclePolicyText"])
    text = json.dumps(json.loads(request["lifecyclePolicyText"]), separators=(",", ":"))
    call.write(_lifecycle.keep, place, text, call.now)
    return answer(place, text)


@operation("GetLifecyclePolicy")
def get_lifecycle_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a repository's policy, and when it was last applied."""
    place = place_of(call, request)
    record = found(call, place)
    applied = record.document.get("evaluated")
    return answer(place, record.document["text"]) | ({"lastEvaluatedAt": applied} if applied else {})


@operation("DeleteLifecyclePolicy")
def delete_lifecycle_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take a repository's policy away."""
    place = place_of(call, request)
    record = found(call, place)
    call.write(_lifecycle.forget, place)
    return answer(place, record.document["text"])
