"""The distribution protocol: which function answers which path.

    edge ── POST internal/registry/read ────▶ where the bytes of a blob are
         ── POST internal/registry/write ───▶ where the body of an upload goes
         ── POST internal/registry/stored ──▶ segments that are in the object store now
         ── POST internal/registry/finish ──▶ the last byte came, and this is the digest
         ── all else of /v2/, as it came ───▶ manifests, tags, referrers, deletions

Source: OCI distribution specification 1.1.
"""

import logging
import re
from collections.abc import Callable, Mapping

from clary.gateway.control.platform import Platform
from clary.gateway.registry import blobs, manifests, uploads
from clary.gateway.registry.callers import caller, place
from clary.gateway.registry.errors import VERSION, OciError, of_aws
from clary.gateway.registry.visit import Visit
from clary.kernel.errors import AwsError
from clary.wire.http import Request, Response

Answer = Callable[..., Response]
_DIGEST = r"([a-zA-Z0-9+._-]+:[a-zA-Z0-9=_-]+)"
_ROWS: Mapping[str, Answer] = {
    rf"HEAD /v2/(.+)/blobs/{_DIGEST}": blobs.head,
    rf"DELETE /v2/(.+)/blobs/{_DIGEST}": blobs.delete,
    r"GET /v2/(.+)/blobs/uploads/([^/]+)": uploads.state,
    r"DELETE /v2/(.+)/blobs/uploads/([^/]+)": uploads.cancel,
    r"(?:GET|HEAD) /v2/(.+)/manifests/([^/]+)": manifests.get,
    r"PUT /v2/(.+)/manifests/([^/]+)": manifests.put,
    r"DELETE /v2/(.+)/manifests/([^/]+)": manifests.delete,
    r"GET /v2/(.+)/tags/list": manifests.tags,
    rf"GET /v2/(.+)/referrers/{_DIGEST}": manifests.referrers,
}
log = logging.getLogger(__name__)


class Registry:
    """Answers below `/v2/` that carry no blob."""

    def __init__(self, platform: Platform) -> None:
        self._world = platform.world
        self._rows = [(re.compile(row), answer) for row, answer in _ROWS.items()]

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        return answered(lambda: self._answer(request), request)

    def _answer(self, request: Request) -> Response:
        grant = caller(self._world.secret, request, self._world.clock())
        if request.path in {"/v2/", "/v2"}:
            return Response(200, {"content-type": "application/json", **VERSION}, b"{}")
        if request.path == "/v2/_catalog":
            text = "repositories are listed by ECR's DescribeRepositories: `aws ecr describe-repositories`"
            raise OciError("UNSUPPORTED", text, 405)
        for pattern, function in self._rows:
            match = pattern.fullmatch(f"{request.method} {request.path}")
            if match is not None:
                name, *rest = match.groups()
                return function(Visit(self._world, place(grant, name), request), *rest)
        raise OciError("UNSUPPORTED", f"{request.method} {request.path} is not of this protocol", 404)


def answered(answer: Callable[[], Response], request: Request) -> Response:
    """Return an answer, or the error in its place."""
    try:
        return answer()
    except OciError as error:
        return error.response
    except AwsError as error:
        return of_aws(error).response
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return OciError("UNKNOWN", "an internal error occurred", 500).response
