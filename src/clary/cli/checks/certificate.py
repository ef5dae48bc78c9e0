"""A certificate of the user's own: how long it holds, and for which names."""

from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from clary.cli import preflight
from clary.cli.checks.base import Finding, Grade
from clary.kernel.clock import now
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

SUBJECT = "Certificate"
RENEW_DAYS = 14
"""So many days before its end, what renews it by itself has done so."""


def check(settings: Settings) -> Iterator[Finding]:
    """Look at `CLARY_TLS_CERTIFICATE`, where it is set."""
    if not settings.tls_certificate and not settings.tls_key:
        yield Finding(subject=SUBJECT, grade=Grade.OK, text="signed by Clary's own authority")
        return
    try:
        preflight.check_host(settings)
    except SetupError as error:
        mend = "name a PEM file of the chain, its own certificate first, and one of its key"
        yield Finding(subject=SUBJECT, grade=Grade.BROKEN, text=str(error), mend=mend)
        return
    certificate = x509.load_pem_x509_certificates(Path(settings.tls_certificate).read_bytes())[0]
    ends = certificate.not_valid_after_utc
    text = f"{', '.join(_names(certificate))}, until {ends:%Y-%m-%d}"
    n_days = (ends - now()).days
    if n_days >= RENEW_DAYS:
        yield Finding(subject=SUBJECT, grade=Grade.OK, text=text)
    else:
        text += ": it has ended" if n_days < 0 else f": {n_days} days are left"
        mend = "put the renewed one in its place: a Clary that runs takes it within a minute"
        yield Finding(subject=SUBJECT, grade=Grade.LIMITED, text=text, mend=mend)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ["no names, which clients refuse"]
    return [str(each.value) for each in named]
