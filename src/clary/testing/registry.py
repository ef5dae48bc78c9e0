"""A client of the distribution protocol for tests, and images to push: plain HTTP, nothing hidden."""

import base64
import gzip
import hashlib
import http.client
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from clary.testing.server import Account

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = b"{}"


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of bytes, as the protocol spells it."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Code of the error."""
        return str(self.json["errors"][0]["code"])


@dataclass
class RegistryClient:
    """Speaks to one repository of an account's registry."""

    url: str
    name: str
    authorization: str = ""
    host: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account, name: str) -> "RegistryClient":
        """Return the client of a repository, with a password of its account."""
        return cls(account.url, name, f"Basic {token_of(account)}")

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> Reply:
        """Send one request; `path` begins below the repository, or with a slash at the root."""
        where = urlsplit(self.url)
        target = path if path.startswith("/") else f"/v2/{self.name}/{path}"
        if query:
            target += ("&" if "?" in target else "?") + urlencode(query, quote_via=quote)
        given = {**self.headers, **(headers or {})}
        if self.authorization:
            given["authorization"] = self.authorization
        if self.host:
            given["host"] = self.host
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        try:
            connection.request(method, target, body=body, headers=given)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, told, answer.read())
        finally:
            connection.close()

    def begin(self) -> str:
        """Begin an upload; return its path."""
        reply = self.ask("POST", "blobs/uploads/")
        assert reply.status == 202, reply
        return reply.headers["location"]

    def push_blob(self, data: bytes) -> str:
        """Push a blob; return its digest."""
        digest = digest_of(data)
        reply = self.ask("PUT", self.begin(), data, digest=digest)
        assert reply.status == 201, reply
        return digest

    def push_image(
        self, *layers: bytes, tag: str = "", subject: str = "", artifact_type: str = "", note: str = ""
    ) -> str:
        """Push an image of these layers; return its digest."""
        for each in (EMPTY, *layers):
            self.push_blob(each)
        return self.push_manifest(
            manifest(*layers, subject=subject, artifact_type=artifact_type, note=note), tag
        )

    def push_manifest(self, text: bytes, tag: str = "", media_type: str = OCI_IMAGE) -> str:
        """Push a manifest; return its digest."""
        digest = digest_of(text)
        reply = self.ask("PUT", f"manifests/{tag or digest}", text, {"content-type": media_type})
        assert reply.status == 201, reply
        assert reply.headers["docker-content-digest"] == digest
        return digest


def token_of(account: Account) -> str:
    """Return the authorization token of an account's registry."""
    (found,) = account.client("ecr").get_authorization_token()["authorizationData"]
    return str(found["authorizationToken"])


def password_of(account: Account) -> str:
    """Return the password that goes with the user `AWS`."""
    return base64.b64decode(token_of(account)).decode().partition(":")[2]


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    """Return what a manifest says of bytes."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def manifest(*layers: bytes, subject: str = "", artifact_type: str = "", note: str = "") -> bytes:
    """Return the manifest of an image with these layers, and an empty configuration."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(each, "application/vnd.oci.image.layer.v1.tar") for each in layers],
    }
    if subject:
        document["subject"] = {"mediaType": OCI_IMAGE, "digest": subject, "size": 1}
    if artifact_type:
        document["artifactType"] = artifact_type
    if note:
        document["annotations"] = {"org.example.note": note}
    return json.dumps(document).encode()


def index(*manifests: bytes) -> bytes:
    """Return an index that lists manifests."""
    listed = [descriptor(each, OCI_IMAGE) for each in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()


def layout(folder: Path, *files: bytes) -> list[str]:
    """Write an image in OCI's layout, a layer a file, tagged `latest`; return its layers' digests."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers, contents = [], []
    for number, data in enumerate(files):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(f"file{number}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        contents.append(digest_of(archive.getvalue()))
        packed = gzip.compress(archive.getvalue(), 1, mtime=0)
        layers.append((packed, "application/vnd.oci.image.layer.v1.tar+gzip"))
    rootfs = {"type": "layers", "diff_ids": contents}
    configuration = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
    ).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "config": descriptor(configuration, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(*each) for each in layers],
    }
    text = json.dumps(document).encode()
    for each in (configuration, text, *(packed for packed, _ in layers)):
        (blobs / digest_of(each).partition(":")[2]).write_bytes(each)
    named = descriptor(text, OCI_IMAGE) | {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return [digest_of(packed) for packed, _ in layers]
