"""Having an image here: what is looked up, what is pulled from where, and how it goes in words."""

import base64
import fcntl
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from clary.compute.docker.client import Docker, DockerError
from clary.kernel.errors import CustomerError

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|localhost(?::\d+)?)"
    r"/(?P<name>\S+)"
)
"""An image in an account's registry."""
PRIVATE = "clary.local/"
"""Begins the engine's names of images from our registry; nobody may ask for them by these."""
LIBPOD = "/v4.0.0/libpod/images/pull"
AGAIN_S = (1.0, 3.0)
"""Before a pull that broke off is tried again; what is here of it is not brought once more."""
_BROKEN = re.compile(
    r"unexpected EOF|reset by peer|broken pipe|timeout|connection refused|the pull broke off", re.IGNORECASE
)
TOLD_EVERY = 10
"""Layers between two lines of progress."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where an image is pulled from."""

    reference: str
    """As the engine is asked for it."""
    user: str = ""
    password: str = ""
    is_plain: bool = False
    """The registry speaks HTTP without TLS."""
    lock: Path | None = None
    """Held from the pull to the naming: another account's image may have the same reference."""


def own(uri: str, account: str, netloc: str, told: str = "") -> tuple[str, str] | None:
    """Return how Clary's own registry at `netloc` names an image of an account, and its region.

    None where it is not the account's; the region is empty where the image's name has none. `told` is where
    `repositoryUri` says that the registry is.
    """
    for host in filter(None, (netloc, told)):
        if uri.startswith(f"{host}/"):
            return netloc + uri.removeprefix(host), ""
    match = ECR.fullmatch(uri)
    if match is None or match["account"] != account:
        return None
    return f"{netloc}/{match['name']}", match["region"]


def name_of(uri: str, account: str, netloc: str, told: str = "") -> str:
    """Return what an image is called in the engine: one of a registry of ours, by whose it is."""
    found = own(uri, account, netloc, told)
    if found is None:
        return uri
    repository, tag = split(found[0].removeprefix(f"{netloc}/"))
    return f"{PRIVATE}{account}/{found[1] or 'local'}/{repository}:{tag.replace(':', '-')}"


def is_local_open(chosen: str, account: str) -> bool:
    """Return whether `CLARY_LOCAL_IMAGES` lets an account use images that were built on this machine."""
    return chosen == "all" or account in {each.strip() for each in chosen.split(",")}


def ensure(
    docker: Docker,
    uri: str,
    name: str,
    source: Source,
    say: Say,
    cancel: threading.Event,
    *,
    is_local_open: bool = True,
) -> None:
    """Have image `uri` in the engine as `name`: it is there already, or is pulled and named so.

    Parameters
    ----------
    is_local_open : bool
        The account may use what the engine has by that name, whoever built it.

    Raises
    ------
    CustomerError
        It is nowhere to be had; the text names the image, and says what the registry said.
    """
    is_ours = bool(source.user)
    if is_local_open and not is_ours and exists(docker, uri):
        return
    say(f"[clary] Pulling image {uri}")
    try:
        with _held(source.lock):
            _pull_whole(docker, source, say, cancel)
            _call(docker, source.reference, name)
    except DockerError as error:
        if is_local_open and is_ours and exists(docker, uri):
            say(f"[clary] The registry has no {uri}; the image of that name on this machine is used")
            _call(docker, uri, name)
            return
        mend = "Push it to the registry that its name says"
        mend += ", or build it on this machine with this very name." if is_local_open else "."
        raise CustomerError(f"The image {uri} could not be pulled: {error}. {mend}") from error
    say(f"[clary] Image {uri} is here")


def _call(docker: Docker, reference: str, name: str) -> None:
    if reference != name:
        repository, tag = split(name)
        docker.ask("POST", f"/images/{reference}/tag", repo=repository, tag=tag)


@contextmanager
def _held(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def exists(docker: Docker, reference: str) -> bool:
    """Return whether the engine has an image."""
    try:
        docker.ask("GET", f"/images/{reference}/json")
    except DockerError as error:
        if error.status == 404:
            return False
        raise
    return True


def split(uri: str) -> tuple[str, str]:
    """Return repository and tag of an image's name; a digest stands for the tag."""
    head, _, digest = uri.partition("@")
    repository, colon, tag = head.rpartition(":")
    if not colon or "/" in tag:
        return head, digest or "latest"
    return repository, digest or tag


def _pull_whole(docker: Docker, source: Source, say: Say, cancel: threading.Event) -> None:
    """Pull, and again where the line broke: Docker does so by itself, Podman's API does not."""
    for pause_s in AGAIN_S:
        try:
            return _pull(docker, source, say, cancel)
        except DockerError as error:
            if cancel.is_set() or not _BROKEN.search(str(error)):
                raise
            say(f"[clary] The pull broke off, and begins again: {error}")
            cancel.wait(pause_s)
    return _pull(docker, source, say, cancel)


def _pull(docker: Docker, source: Source, say: Say, cancel: threading.Event) -> None:
    headers = {}
    if source.user:
        login = {"username": source.user, "password": source.password}
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
    if source.is_plain:
        try:  # of Podman alone, whose Docker API has no way to do without TLS; Docker does so on loopback
            path = {"reference": source.reference, "tlsVerify": "false"}
            return _told(docker, LIBPOD, path, headers, say, cancel)
        except DockerError as error:
            if error.status != 404:
                raise
    repository, tag = split(source.reference)
    query = {"fromImage": repository, "tag": tag}
    return _told(docker, "/images/create", query, headers, say, cancel)


def _told(
    docker: Docker,
    path: str,
    query: Mapping[str, Any],
    headers: Mapping[str, str],
    say: Say,
    cancel: threading.Event,
) -> None:
    """Follow a pull to its end."""
    done: set[str] = set()
    with docker.opened("POST", path, headers=headers, **query) as answer:
        for step in _steps(answer, cancel):
            if step.get("error"):
                raise DockerError(500, str(step["error"]))
            layer, status = str(step.get("id", "")), str(step.get("status", ""))
            if status.lower().startswith(("pull complete", "download complete")) and layer not in done:
                done.add(layer)
                if len(done) % TOLD_EVERY == 0:
                    say(f"[clary] {len(done)} layers are here")


def _steps(answer: HTTPResponse, cancel: threading.Event) -> Iterator[dict[str, object]]:
    """Yield what the engine tells line by line; a cancellation hangs up, which ends the pull."""
    over = threading.Event()

    def guard() -> None:
        while not over.wait(0.1):
            if cancel.is_set():
                answer.close()
                return

    threading.Thread(target=guard, name="pull", daemon=True).start()
    try:
        while line := answer.readline():
            if cancel.is_set():
                raise DockerError(0, "the pull was called off")
            if line.strip():
                yield json.loads(line)
    except (OSError, ValueError, AttributeError, HTTPException) as error:
        raise DockerError(0, f"the pull broke off: {error}") from error
    finally:
        over.set()
