"""CodeRepository: a git repository that notebook instances clone, with the secret that opens it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import NotFound, Resource
from clary.resource.operation import operation
from clary.store.records import Record


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check that the secret is the account's."""
    config = request["GitConfig"]
    if "@" in config["RepositoryUrl"].removeprefix("https://").partition("/")[0]:
        raise ValidationException(
            "GitConfig.RepositoryUrl must not carry a user or password; put them in a secret and give its "
            "ARN as GitConfig.SecretArn."
        )
    _check_secret(call, config)
    return {}


def _check_secret(call: Call, config: Mapping[str, Any]) -> None:
    if "SecretArn" in config:
        call.own(config["SecretArn"])


CODE_REPOSITORY = Resource(
    noun="CodeRepository",
    arn="code-repository/{CodeRepositoryName}",
    missing=NotFound.VALIDATION,
    missing_text="Cannot find CodeRepository: {arn}",
    taken="ValidationException",
    taken_text="Cannot create already existing CodeRepository: {arn}",
    admit=admit,
)


@operation("UpdateCodeRepository")
def update_code_repository(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a repository another secret; instances take it from their next start on."""
    given = request.get("GitConfig", {})
    _check_secret(call, given)

    def change(record: Record) -> Record:
        config = {**record.document["GitConfig"], **given}
        return replace(record, document={**record.document, "GitConfig": config}, modified=call.now)

    record = call.amend(call.find("CodeRepository", request["CodeRepositoryName"]), change)
    return {"CodeRepositoryArn": record.arn}
