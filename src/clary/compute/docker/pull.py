"""Having an image here: what is looked up, what is pulled from where, and how it goes in words."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

from clary.compute.docker.client import Docker, DockerError
from clary.kernel.errors import CustomerError

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[^\s]+)"
)
"""An image in an account's registry."""
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


def ensure(docker: Docker, uri: str, source: Source, say: Say, cancel: threading.Event) -> None:
    """Have image `uri` in the engine: it is there already, or is pulled and named so.

    Raises
    ------
    CustomerError
        It is nowhere to be had; the text names the image, and says what the registry said.
    """
    is_ours = source.reference != uri
    if not is_ours and exists(docker, uri):
        return
    say(f"[clary] Pulling image {uri}")
    try:
        _pull(docker, source, say, cancel)
        if is_ours:
            repository, tag = split(uri)
            docker.ask("POST", f"/images/{source.reference}/tag", repo=repository, tag=tag)
    except DockerError as error:
        if is_ours and exists(docker, uri):
            say(f"[clary] The registry did not give {uri} ({error}); the copy on this machine is used")
            return
        raise CustomerError(
            f"The image {uri} could not be pulled: {error}. Push it to the registry that its name says, or "
            "build it on this machine with this very name."
        ) from error
    say(f"[clary] Image {uri} is here")


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


def _pull(docker: Docker, source: Source, say: Say, cancel: threading.Event) -> None:
    headers = {}
    if source.user:
        login = {"username": source.user, "password": source.password}
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
    repository, tag = split(source.reference)
    query: dict[str, Any] = {"fromImage": repository, "tag": tag}
    if source.is_plain:
        query["tlsVerify"] = "false"  # Podman's; Docker takes loopback addresses without
    done: set[str] = set()
    with docker.opened("POST", "/images/create", headers=headers, **query) as answer:
        for step in _steps(answer, cancel):
            if "error" in step:
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
