"""Who calls: signatures checked against the control plane's credentials."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote_plus

from clary.gateway.edge.classify import Scope
from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.head import Head
from clary.kernel import clock
from clary.kernel.errors import FaultKind, SignatureFault
from clary.wire import post_policy, signature
from clary.wire.post_policy import Allowed

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_LEGAL_KEY = re.compile(r"^\w{3,128}$", re.ASCII)
_V2_KEY = re.compile(r"(?:^|&)AWSAccessKeyId=([^&]*)")
_V2_HEADER = re.compile(r"AWS ([^:\s]+):\S+")


class Caller(NamedTuple):
    """A checked caller."""

    account: str
    region: str
    """Of the credential scope."""
    secret: str
    """The secret access key, for chunk signatures."""
    service: str
    """Of the credential scope."""
    signature: str
    amz_date: str


class Callers:
    """Checks signatures, without waiting where the credential is cached; else it is fetched first."""

    def __init__(self, control: ControlPlane) -> None:
        self._credentials = control.credentials

    def is_known(self, access_key_id: str) -> bool:
        """Tell whether `check` can be called at once."""
        return self._credentials.get(access_key_id) is not None

    async def fetch(self, access_key_id: str) -> None:
        """Have the credential cached, if there is one.

        Raises
        ------
        Away
            The control plane cannot be asked.
        """
        if _LEGAL_KEY.match(access_key_id):
            await self._credentials.find(access_key_id)

    def check(
        self,
        head: Head,
        body_sha256: str | None,
        service: str,
        now: datetime | None = None,
        bucket: str = "",
    ) -> Caller:
        """Check a signature; `body_sha256` None means what the request itself claims.

        Parameters
        ----------
        service : str
            Signing name of the service that answers.
        bucket : str
            That the host names instead of the path.

        Raises
        ------
        SignatureFault
            The signature does not hold; `kind` says why.
        """
        verified = signature.verify(
            method=head.method,
            path=head.path,
            query=head.query,
            headers=head.fields,
            body_sha256=body_sha256,
            lookup=self._credentials.at_hand,
            now=now or clock.now(),
            service=service,
            bucket=bucket,
        )
        credential = verified.credential
        return Caller(
            credential.account,
            verified.region,
            credential.secret,
            verified.service,
            verified.signature,
            verified.amz_date,
        )

    def check_form(self, fields: Mapping[str, str], bucket: str) -> tuple[str, Allowed]:
        """Check the policy of a POST form; return the signer's account, and what the policy leaves open.

        Raises
        ------
        AwsError
            The signature does not hold, or the policy forbids the form.
        """
        credential, allowed = post_policy.verify(
            fields, bucket, lookup=self._credentials.at_hand, now=clock.now()
        )
        return credential.account, allowed


def access_key_id(head: Head, signer: Scope | None) -> str:
    """Return the access key id that a request names.

    Raises
    ------
    SignatureFault
        It names none: the request is not signed.
    """
    if signer is not None:
        return signer.access_key_id
    match = _V2_HEADER.fullmatch(head.fields.get("authorization", "")) or _V2_KEY.search(head.query)
    if match:
        return unquote_plus(match[1])
    if "authorization" in head.fields or "X-Amz-Signature=" in head.query:
        raise SignatureFault(
            FaultKind.MALFORMED, "The authorization is malformed: it names no credential scope."
        )
    raise SignatureFault(FaultKind.MISSING, "Missing Authentication Token")
