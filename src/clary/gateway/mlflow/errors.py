"""Errors as MLflow's clients read them: a code of theirs, a message, a status."""

from clary.kernel.errors import AccessDenied, AwsError, ResourceInUse, ResourceNotFound, SignatureFault

STATUSES = {
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "INTERNAL_ERROR": 500,
}
"""Of every other code: 400."""


class MlflowError(Exception):
    """An error in MLflow's shape."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """HTTP status."""
        return STATUSES.get(self.code, 400)


def missing(what: str, name: str) -> MlflowError:
    """Return the error of what does not exist."""
    return MlflowError("RESOURCE_DOES_NOT_EXIST", f"{what} '{name}' does not exist.")


def invalid(text: str) -> MlflowError:
    """Return the error of a request that makes no sense."""
    return MlflowError("INVALID_PARAMETER_VALUE", text)


def of_aws(error: AwsError) -> MlflowError:
    """Return an AWS error as one of MLflow's."""
    kinds: tuple[tuple[type[AwsError], str], ...] = (
        (ResourceNotFound, "RESOURCE_DOES_NOT_EXIST"),
        (ResourceInUse, "RESOURCE_ALREADY_EXISTS"),
        (AccessDenied, "PERMISSION_DENIED"),
        (SignatureFault, "UNAUTHENTICATED"),
    )
    code = next((code for kind, code in kinds if isinstance(error, kind)), "")
    if "already exists" in error.message:
        code = "RESOURCE_ALREADY_EXISTS"
    fallback = "INTERNAL_ERROR" if error.wire_status >= 500 else "INVALID_PARAMETER_VALUE"
    return MlflowError(code or fallback, error.message)
