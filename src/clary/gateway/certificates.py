"""Clary's own certificate authority: one for a data folder, known to those who run under `clary env`.

data_dir/certificates/ca.pem       the authority's certificate
data_dir/certificates/ca.key       its key                                        (0600)
data_dir/certificates/bundle.pem   what this system trusts, and the authority     (AWS_CA_BUNDLE)
data_dir/certificates/leaf.key     the key of every leaf                          (0600)
data_dir/certificates/leaves/      one certificate for each host name asked for
"""

import contextlib
import fcntl
import importlib.util
import ipaddress
import logging
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clary.kernel import clock

CA_DAYS = 3650
LEAF_DAYS = 397
"""Longest life that clients accept of a server's certificate. Source: CA/Browser Forum, ballot SC31."""
RENEW_DAYS = 30
KEEP_S = 60.0
MAX_LEAVES = 1024
"""Host names that get a certificate of their own; each costs a file."""
AWS = ".amazonaws.com"
"""End of the names that no certificate of the user's can have."""

log = logging.getLogger(__name__)

_HOST_NAME = re.compile(
    r"^(?=.{1,200}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$"
)
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_USER_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_PACKAGED_BUNDLES = (("certifi", "cacert.pem"), ("botocore", "cacert.pem"))


class Trust(NamedTuple):
    """What a client needs."""

    certificate: Path
    """The authority alone."""
    bundle: Path
    """The authority, and everything that this system trusts."""


def ensure_ca(root: Path, environ: Mapping[str, str] | None = None) -> Trust:
    """Make the authority of the data folder `root` if there is none, and write its bundle anew.

    Parameters
    ----------
    root : Path
        The data folder.
    environ : mapping, optional
        Where the user's own bundles are named; they are part of ours.
    """
    home = root / "certificates"
    trust = Trust(home / "ca.pem", home / "bundle.pem")
    with _locked(home):
        if not _is_current(trust.certificate) or not (home / "ca.key").exists():
            _make_ca(home)
        blocks = [trust.certificate.read_bytes().strip()]
        for path in _bundles(os.environ if environ is None else environ, home):
            with contextlib.suppress(OSError):
                blocks += _BLOCK.findall(path.read_bytes())
        text = b"\n".join(dict.fromkeys(blocks)) + b"\n"
        if not trust.bundle.exists() or trust.bundle.read_bytes() != text:
            _write(trust.bundle, text, mode=0o644)
    return trust


def _bundles(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield the user's own bundles, and what the system or a package trusts."""
    for variable in _USER_BUNDLES:
        named = environ.get(variable, "")
        if named and Path(named).is_file() and Path(named).resolve().parent != home.resolve():
            yield Path(named)
    default = ssl.get_default_verify_paths().cafile
    for path in (*((default,) if default else ()), *_SYSTEM_BUNDLES):
        if Path(path).is_file():
            yield Path(path)
            break
    for package, name in _PACKAGED_BUNDLES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin and (path := Path(spec.origin).parent / name).is_file():
            yield path
            break


class Authority:
    """Makes a certificate for each host name that is asked for, and TLS contexts of them.

    Parameters
    ----------
    root : Path
        The data folder.
    names : tuple of str
        Names and addresses of this machine, beside those it knows.
    given : (str, str), optional
        Files of the user's own certificate chain and its key, shown to whoever asks for no name of AWS.
    """

    def __init__(self, root: Path, names: tuple[str, ...] = (), given: tuple[str, str] = ("", "")) -> None:
        self._home = root / "certificates"
        self._root = root
        self._names = names
        self._given = given
        self._contexts: dict[str, tuple[ssl.SSLContext, float]] = {}

    def context(self, name: str = "") -> ssl.SSLContext:
        """Return the server side for `name`; where that is empty or an address, the client's SNI decides.

        It is made anew once a minute, for certificates that were renewed meanwhile.
        """
        name = name.lower().rstrip(".")
        context, made = self._contexts.get(name, (None, 0.0))
        moment = time.monotonic()
        if context is None or moment - made > KEEP_S:
            try:
                context = self._make_context(name)
            except OSError as error:  # half-written, or gone: the old one serves until it is well
                if context is None:
                    raise
                log.warning("the certificate cannot be read again: %s", error.strerror or error)
            if name in self._contexts or len(self._contexts) < MAX_LEAVES:
                self._contexts[name] = (context, moment)
        return context

    def _make_context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._given[0] and (not name or _is_address(name)):
            context.load_cert_chain(*self._given)
        else:
            context.load_cert_chain(self.leaf(name), self._home / "leaf.key")
        context.set_alpn_protocols(["http/1.1"])
        if not name or _is_address(name):  # who goes to an address by a name says so
            context.sni_callback = self._switch
        return context

    def _switch(self, tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name and _HOST_NAME.match(name.lower()) and (not self._given[0] or name.lower().endswith(AWS)):
            tls.context = self.context(name)

    def leaf(self, name: str = "") -> Path:
        """Return the certificate chain of `name`; of this machine's own names without one.

        A name that cannot be a host name, and any beyond `MAX_LEAVES`, gets this machine's.
        """
        folder = self._home / "leaves"
        path = folder / f"{name or '_own'}.pem"
        if name and not (_HOST_NAME.match(name) or _is_address(name)):
            return self.leaf()
        if _is_current(path) and (name or self._is_complete(path)):
            return path
        if not (self._home / "ca.key").exists():
            ensure_ca(self._root)
        with _locked(self._home):
            folder.mkdir(exist_ok=True)
            if name and sum(1 for _ in folder.iterdir()) >= MAX_LEAVES:
                name = ""
                path = folder / "_own.pem"
            if not (_is_current(path) and (name or self._is_complete(path))):
                self._make_leaf(path, (name,) if name else self._own_names())
        return path

    def _own_names(self) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(("localhost", "127.0.0.1", "::1", socket.gethostname().lower(), *self._names))
        )

    def _is_complete(self, path: Path) -> bool:
        """Tell whether this machine's certificate has all its names: they change with the settings."""
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return all(_general_name(each) in names for each in self._own_names())

    def _make_leaf(self, path: Path, names: tuple[str, ...]) -> None:
        key = _key(self._home / "leaf.key")
        ca_key = _key(self._home / "ca.key")
        ca_pem = (self._home / "ca.pem").read_bytes()
        ca = x509.load_pem_x509_certificate(ca_pem)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = (
            _builder(subject, ca.subject, key.public_key(), LEAF_DAYS)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(each) for each in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
            .sign(ca_key, hashes.SHA256())
        )
        _write(path, certificate.public_bytes(serialization.Encoding.PEM) + ca_pem, mode=0o644)


def _general_name(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if _is_address(name) else x509.DNSName(name)


def _is_address(name: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False


def _make_ca(home: Path) -> None:
    for stale in (home / "leaves").glob("*.pem"):
        stale.unlink()
    (home / "ca.key").unlink(missing_ok=True)
    key = _key(home / "ca.key")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Clary on {socket.gethostname()}"[:64])])
    certificate = (
        _builder(name, name, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(home / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a key, making it first when there is none."""
    if not path.exists():
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(path, pem, mode=0o600)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} must hold an elliptic-curve key, not {type(key).__name__}")
    return key


def _is_current(path: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    return certificate.not_valid_after_utc - clock.now() > timedelta(days=RENEW_DAYS)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Write by rename, so that a reader sees the old content or the new."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Keep other processes out: the supervisor and several edges may come at once."""
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
