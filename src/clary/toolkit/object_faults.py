"""What can go wrong with objects, and whose fault it is, in the service's words."""

from botocore.exceptions import ClientError

from clary.kernel.errors import CustomerError

_REFUSED = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed"}
)
_BUSY = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable"})


class ObjectsUnavailableError(Exception):
    """The object store did not answer, however often it was asked; a fault of the platform."""


class CancelledError(Exception):
    """The transfer was called off."""


class MissingError(CustomerError):
    """The bucket or the key is not there."""


def fault(verb: str, uri: str, error: ClientError, region: str) -> Exception | None:
    """Return what to raise for the store's answer; None to ask again."""
    answer = error.response.get("Error", {})
    code = str(answer.get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = answer.get("Message", "")
    if status >= 500 or status == 429 or code in _BUSY:
        return None
    if code in _REFUSED:
        return ObjectsUnavailableError(f"the object store refuses the run's own credentials: {code} ({uri})")
    if code == "NoSuchBucket":
        return MissingError(
            f"Data {verb} failed:NoSuchBucket (404): The specified bucket does not exist: {uri}. "
            f"Please ensure that the bucket exists in the selected region ({region})."
        )
    if code == "NoSuchKey" or status == 404:
        return MissingError(f"Data {verb} failed:NoSuchKey (404): The specified key does not exist: {uri}")
    if status in {401, 403}:
        text = "Access Denied. Please ensure that the bucket belongs to this account and the role may use it:"
        code, status = "AccessDenied", 403
    elif status == 412:
        text = "The object was replaced while it was read:"
    return CustomerError(f"Data {verb} failed:{code} ({status}): {text} {uri}")
