"""Errors as the distribution protocol spells them."""

import json
from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import AwsError
from clary.wire.http import Response

VERSION = {"docker-distribution-api-version": "registry/2.0"}
_BY_CODE: Mapping[str, tuple[str, int]] = {
    "RepositoryNotFoundException": ("NAME_UNKNOWN", 404),
    "LayersNotFoundException": ("MANIFEST_BLOB_UNKNOWN", 404),
    "ReferencedImagesNotFoundException": ("MANIFEST_BLOB_UNKNOWN", 404),
    "ImageTagAlreadyExistsException": ("TAG_INVALID", 400),
    "ImageReferencedByManifestList": ("DENIED", 405),
    "UploadNotFoundException": ("BLOB_UPLOAD_UNKNOWN", 404),
    "InvalidParameterException": ("MANIFEST_INVALID", 400),
    "AccessDeniedException": ("DENIED", 403),
}


class OciError(Exception):
    """A refusal: a code of the specification, a text, a status."""

    def __init__(
        self,
        code: str,
        message: str,
        status: int,
        headers: Mapping[str, str] | None = None,
        detail: Any = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.detail = code, message, status, detail
        self.headers = headers or {}

    @property
    def response(self) -> Response:
        """The answer."""
        error = {"code": self.code, "message": self.message, "detail": self.detail}
        body = json.dumps({"errors": [error]}).encode()
        return Response(self.status, {"content-type": "application/json", **VERSION, **self.headers}, body)


def of_aws(error: AwsError) -> OciError:
    """Return an error of ECR's as the protocol spells it."""
    code, status = _BY_CODE.get(error.wire_code, ("UNSUPPORTED", 400))
    return OciError(code, error.message, status, detail=dict(error.members) or None)
