"""The platform's own public paths: what agents and jobs ask of the control plane."""

import json
import re
from collections.abc import Callable

from clary import __version__
from clary.engine import runs
from clary.gateway.control.answers import as_error, as_json
from clary.gateway.control.platform import Platform
from clary.kernel.errors import AwsError, ResourceNotFound
from clary.wire.http import Request, Response


class Reports:
    """Answers below `/_clary/`."""

    def __init__(self, platform: Platform) -> None:
        self._world = platform.world
        self._paths: tuple[tuple[str, re.Pattern[str], Callable[..., Response]], ...] = (
            ("GET", re.compile(r"/_clary/health"), self._health),
            ("POST", re.compile(r"/_clary/runs/([\w.-]+)/([\w.-]+)/reports"), self._report),
            ("GET", re.compile(r"/_clary/runs/([\w.-]+)/credentials"), self._credentials),
        )

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        for method, pattern, function in self._paths:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                try:
                    return function(request, *match.groups())
                except AwsError as error:
                    status = 404 if isinstance(error, ResourceNotFound) else error.wire_status
                    return as_error(error, status)
        return as_json({"message": f"nothing at {request.path}"}, 404)

    def _health(self, _request: Request) -> Response:
        return as_json({"status": "ok", "version": __version__})

    def _report(self, request: Request, run_id: str, host: str) -> Response:
        runs.check_token(self._world, run_id, "report", request.headers.get("authorization", ""))
        runs.receive(self._world, run_id, host, json.loads(request.body))
        return as_json({})

    def _credentials(self, request: Request, run_id: str) -> Response:
        runs.check_token(self._world, run_id, "credentials", request.headers.get("authorization", ""))
        return as_json(runs.credentials_of(self._world, run_id))
