"""Signatures of messages, with a key of this installation's own.

Source: developer guide, "Verifying the signatures of Amazon SNS messages": the members, in the order of their
names, each on a line before its value.
"""

import base64
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
"""Members that are signed, by the message's type."""
_DIGESTS = {"1": hashes.SHA1, "2": hashes.SHA256}  # version 1 is the service's default, and SHA-1
_DAYS = 3650


def signed(data_dir: Path, message: Mapping[str, str], version: str) -> str:
    """Return the signature of a message, base64."""
    names = SIGNED[message["Type"]]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    digest = _DIGESTS[version]()
    return base64.b64encode(_key(data_dir).sign(text.encode(), padding.PKCS1v15(), digest)).decode()


def certificate(data_dir: Path) -> bytes:
    """Return the certificate by which clients check signatures, as PEM."""
    _key(data_dir)
    return (data_dir / "certificates/sns.pem").read_bytes()


@cache
def _key(data_dir: Path) -> rsa.RSAPrivateKey:
    path = data_dir / "certificates/sns.key"
    if not path.exists():
        _make(path)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _make(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Clary notifications")])
    begin = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=_DAYS))
        .sign(key, hashes.SHA256())
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    draft = path.with_suffix(".part")
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
    draft.replace(path)
