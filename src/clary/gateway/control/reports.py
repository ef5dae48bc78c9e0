"""The platform's own public paths: what agents and jobs ask of the control plane."""

import json

from clary import __version__
from clary.engine import runs
from clary.gateway.control.answers import as_json
from clary.gateway.control.paths import Paths
from clary.gateway.control.platform import Platform
from clary.wire.http import Request, Response


class Reports:
    """Answers below `/_clary/`."""

    def __init__(self, platform: Platform) -> None:
        self._world = platform.world
        self.answer = Paths(
            {
                r"GET /_clary/health": self._health,
                r"POST /_clary/runs/([\w.-]+)/([\w.-]+)/reports": self._report,
                r"GET /_clary/runs/([\w.-]+)/credentials": self._credentials,
                r"GET /_clary/sns": platform.deliveries.answer,
                r"GET /_clary/sns/certificate\.pem": platform.deliveries.certificate,
            }
        ).answer

    def _health(self, _request: Request) -> Response:
        return as_json({"status": "ok", "version": __version__})

    def _report(self, request: Request, run_id: str, host: str) -> Response:
        runs.check_token(self._world, run_id, "report", request.headers.get("authorization", ""))
        runs.receive(self._world, run_id, host, json.loads(request.body))
        return as_json({})

    def _credentials(self, request: Request, run_id: str) -> Response:
        runs.check_token(self._world, run_id, "credentials", request.headers.get("authorization", ""))
        return as_json(runs.credentials_of(self._world, run_id))
