"""Signatures hold by what the edge knows, also in the moments in which the control plane comes and goes."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clary.gateway.edge.callers import Callers
from clary.gateway.edge.head import Head
from clary.gateway.edge.relay import Away
from clary.gateway.edge.tables import Table
from clary.kernel.errors import SignatureFault
from clary.wire.credential import Credential

ACCOUNT, KEY, SECRET = "111122223333", "ASIATESTTESTTESTTEST", "s3cret/with+signs"


class ControlPlane:
    """One that may be away, and knows one credential until it is revoked."""

    def __init__(self) -> None:
        self.is_away = self.is_revoked = False
        self.credentials = Table(self._fetch, lambda *_: Credential(KEY, SECRET, ACCOUNT, "arn"))

    async def _fetch(self, _key: str) -> dict[str, Any] | None:
        if self.is_away:
            raise Away("killed")
        return None if self.is_revoked else {}


def signed() -> Head:
    request = AWSRequest("GET", "http://h:1/bucket/key", headers={"Host": "h:1"})
    S3SigV4Auth(Credentials(KEY, SECRET), "s3", "us-east-1").add_auth(request)
    lines = [(name.encode(), str(value).encode()) for name, value in request.headers.items()]
    return Head("GET", b"/bucket/key", lines, is_http10=False, keeps_alive=True)


async def account_of(control: ControlPlane) -> str:
    callers = Callers(SimpleNamespace(credentials=control.credentials))  # type: ignore[arg-type]
    await callers.fetch(KEY)
    return callers.check(signed(), None, "s3").account


async def test_who_was_known_is_known_while_nobody_can_be_asked() -> None:
    control = ControlPlane()
    assert await account_of(control) == ACCOUNT
    control.credentials.age()  # the control plane came back, and was killed again
    control.is_away = True
    assert await account_of(control) == ACCOUNT


async def test_who_was_just_fetched_is_known_though_pushes_broke_off_meanwhile() -> None:
    control = ControlPlane()
    callers = Callers(SimpleNamespace(credentials=control.credentials))  # type: ignore[arg-type]
    await callers.fetch(KEY)
    control.credentials.age()
    assert callers.check(signed(), None, "s3").account == ACCOUNT


async def test_who_was_revoked_is_refused_once_that_can_be_asked() -> None:
    control = ControlPlane()
    await account_of(control)
    control.credentials.age()
    control.is_revoked = True
    with pytest.raises(SignatureFault):
        await account_of(control)
