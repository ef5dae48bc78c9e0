"""Presigned URLs of notebook instances: redeemed once, for a session that the edges then check themselves."""

import hashlib
import hmac
import re
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import Connection

from clary.gateway.control.platform import Platform
from clary.services.sagemaker._notebook_machine import noun_of, seal_of
from clary.services.sagemaker.notebook_instance import is_awaited, redeemed
from clary.store import records
from clary.store.base import Stale
from clary.store.records import Record
from clary.wire.http import Request, Response

COOKIE = "clary-notebook"
_STARTING = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>Starting</title><body>"
    b"<h1>JupyterLab is starting</h1><p>This page opens it as soon as it answers.</p></body></html>\n"
)
AGAIN_S = 1
"""Between two looks of a browser at an app that starts."""
_PATH = re.compile(r"(/_clary/notebook/(\d{12})/([a-z0-9-]+)/([a-zA-Z0-9-]+))/.*")
_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
_OVER = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>Notebook</title><body>"
    b"<h1>This link is over</h1><p>It was used, is older than five minutes, or its notebook was stopped. "
    b"Open the notebook again from the console, or create a new presigned URL.</p></body></html>\n"
)


class Notebooks:
    """Answers requests below `/_clary/notebook/` that carry a token."""

    def __init__(self, platform: Platform) -> None:
        self._world = platform.world

    def answer(self, request: Request) -> Response:
        """Begin a session where the token is good, and lead on to the same page without it."""
        match = _PATH.fullmatch(request.path)
        query = parse_qsl(request.query, keep_blank_values=True)
        token = dict(query).get("authToken", "")
        session = self._redeem(*match.groups()[1:], token=token) if match and token else None
        if match is not None and session is None and self._is_starting(*match.groups()[1:], token=token):
            return Response(200, _HEADERS | {"refresh": str(AGAIN_S)}, _STARTING)
        if match is None or session is None:
            return Response(403, dict(_HEADERS), _OVER)
        record, session_s = session
        expires = str(int((self._world.clock() + timedelta(seconds=session_s)).timestamp()))
        seal = seal_of(record, self._world)
        proof = hmac.new(seal.encode(), expires.encode(), hashlib.sha256).hexdigest()
        rest = [(name, value) for name, value in query if name not in {"authToken", "view"}]
        secure = "; Secure" if self._world.settings.url.startswith("https:") else ""
        headers = {
            "location": request.path + (f"?{urlencode(rest)}" if rest else ""),
            "set-cookie": f"{COOKIE}={expires}.{proof}; Path={match[1]}/; Max-Age={session_s}; HttpOnly; "
            f"SameSite=Lax{secure}",
        }
        return Response(303, _HEADERS | headers)

    def _is_starting(self, account: str, region: str, name: str, *, token: str) -> bool:
        record = self._world.store.read(records.find, account, region, noun_of(name), name)
        return record is not None and is_awaited(record, token, self._world.clock().timestamp())

    def _redeem(self, account: str, region: str, name: str, *, token: str) -> tuple[Record, int] | None:
        """Void a token, and return the instance and the seconds of the session; None for a wrong token."""
        now_s = self._world.clock().timestamp()

        def unit(conn: Connection) -> tuple[Record, int] | None:
            record = records.find(conn, account, region, noun_of(name), name)
            found = redeemed(record, token, now_s) if record else None
            if record is None or found is None:
                return None
            return records.update(conn, found[0], expected_version=record.version), found[1]

        try:
            redeemed_now: tuple[Record, int] | None = self._world.store.write(unit)
        except Stale:  # another control plane was faster, perhaps with this very token
            return None
        return redeemed_now
