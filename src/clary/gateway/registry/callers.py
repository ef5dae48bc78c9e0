"""Who asks, and for which repository."""

import base64
import binascii
import re
from datetime import datetime
from urllib.parse import parse_qs

from clary.gateway.registry.errors import OciError
from clary.services.ecr import _tokens
from clary.services.ecr._records import NAME, Place
from clary.services.ecr._tokens import USER, Grant
from clary.wire.http import Request

_READING = frozenset({"GET", "HEAD"})
_HOST = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.(?:localhost|amazonaws\.com(?:\.cn)?)(?::\d+)?")


def caller(secret: bytes, request: Request, now: datetime) -> Grant:
    """Return what a request's password opens, within the registry that its host names.

    Raises
    ------
    OciError
        There is none that holds; or it is another account's.
    """
    headers = request.headers
    token = parse_qs(request.query).get("token", [""])[0]
    grant = _tokens.read(secret, token or _password(headers.get("authorization", "")), now)
    if grant is None or grant.only != (request.path if token and request.method in _READING else ""):
        host = headers.get("host", "")
        realm = {"www-authenticate": f'Basic realm="http://{host}/",service="ecr.amazonaws.com"'}
        text = "log in as AWS with the password that `aws ecr get-login-password` prints"
        raise OciError("UNAUTHORIZED", text, 401, realm)
    match = _HOST.fullmatch(headers.get("host", "").lower())
    if match is None:
        return grant
    if match[1] != grant.account:
        text = f"the password is of account {grant.account}, and this the registry of {match[1]}"
        raise OciError("DENIED", text, 403)
    return Grant(grant.account, match[2], grant.expires, grant.only)


def _password(header: str) -> str:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        user, _, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password if user == USER else ""


def place(grant: Grant, name: str) -> Place:
    """Return the repository of a path.

    Raises
    ------
    OciError
        No repository can be called so.
    """
    if not NAME.fullmatch(name):
        raise OciError("NAME_INVALID", f"'{name}' must satisfy the regular expression '{NAME.pattern}'", 400)
    return Place(grant.account, grant.region, name)
