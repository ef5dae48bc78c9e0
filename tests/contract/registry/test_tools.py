"""The tools that people use, unmodified: skopeo, podman, buildah push, pull, copy, list and delete."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from clary.testing.registry import RegistryClient, layout, password_of
from clary.testing.server import Account

pytestmark = pytest.mark.slow
LAYERS = (b"small", os.urandom(3_000_000))


def tool(name: str) -> str:
    """Return where a tool is, or skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return found


class Desk:
    """A user's desk: a folder, the login, the tools' own storage."""

    def __init__(self, home: Path, account: Account, environ: Mapping[str, str]) -> None:
        self.home, self.account = home, account
        self.registry = account.url.removeprefix("http://")
        (home / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{home}/graph"\nrunroot = "{home}/run"\n'
        )
        (home / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{self.registry}"\ninsecure = true\n'
        )
        (home / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.environ = os.environ | {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "REGISTRY_AUTH_FILE": str(home / "auth.json"),
            "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
            "SSL_CERT_FILE": environ["AWS_CA_BUNDLE"],
            "NO_PROXY": "127.0.0.1",
        }

    def run(self, *argv: str, given: str = "", more: Mapping[str, str] | None = None) -> str:
        """Run a tool; return what it printed."""
        done = subprocess.run(
            [tool(argv[0]), *argv[1:]],
            input=given,
            capture_output=True,
            text=True,
            env=self.environ | dict(more or {}),
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(argv)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def login(self, name: str) -> None:
        """Log a tool in, as `aws ecr get-login-password` would."""
        more = ("--username", "AWS", "--password-stdin", self.registry)
        self.run(name, "login", *more, given=password_of(self.account))


@pytest.fixture
def desk(clary_server, tmp_path):
    account = clary_server.account()
    for name in ("team/app", "copies"):
        account.client("ecr").create_repository(repositoryName=name)
    return Desk(tmp_path, account, clary_server.env(account))


def files_of(folder: Path, digests: Sequence[str]) -> list[bytes]:
    """Return the layers in a folder of skopeo's."""
    return [(folder / each.partition(":")[2]).read_bytes() for each in digests]


def test_skopeo_copies_in_across_and_out_lists_and_deletes(desk):
    desk.login("skopeo")
    digests = layout(desk.home / "image", *LAYERS)
    there, across = (f"docker://{desk.registry}/{name}" for name in ("team/app", "copies"))
    desk.run("skopeo", "copy", f"oci:{desk.home}/image:latest", f"{there}:v1")
    desk.run("skopeo", "copy", f"{there}:v1", f"{across}:v1")
    desk.run("skopeo", "copy", f"{across}:v1", f"dir:{desk.home}/out")
    layers = [each["digest"] for each in json.loads((desk.home / "out/manifest.json").read_text())["layers"]]
    assert layers == digests
    blobs = [(desk.home / "image/blobs/sha256" / each.partition(":")[2]).read_bytes() for each in digests]
    assert files_of(desk.home / "out", layers) == blobs
    inspected = json.loads(desk.run("skopeo", "inspect", f"{there}:v1"))
    assert (inspected["Layers"], inspected["RepoTags"]) == (digests, ["v1"])
    desk.run("skopeo", "copy", "--format", "v2s2", f"oci:{desk.home}/image:latest", f"{there}:docker")
    assert json.loads(desk.run("skopeo", "list-tags", there))["Tags"] == ["docker", "v1"]
    desk.run("skopeo", "delete", f"{there}:v1")
    assert json.loads(desk.run("skopeo", "list-tags", there))["Tags"] == ["docker"]
    assert json.loads(desk.run("skopeo", "list-tags", across))["Tags"] == ["v1"]


def test_buildah_builds_and_pushes_and_podman_pulls_and_pushes(desk):
    tool("podman")
    desk.login("buildah")
    (desk.home / "file").write_bytes(LAYERS[1])
    made = desk.run("buildah", "from", "scratch").strip()
    desk.run("buildah", "copy", made, str(desk.home / "file"), "/file")
    desk.run("buildah", "config", "--cmd", "/file", made)
    desk.run("buildah", "commit", made, "localhost/app:latest")
    target = f"{desk.registry}/team/app"
    desk.run("buildah", "push", "localhost/app:latest", f"docker://{target}:built")
    desk.run("podman", "rmi", "--force", "localhost/app:latest")
    desk.run("podman", "pull", f"{target}:built")
    desk.run("podman", "tag", f"{target}:built", f"{target}:again")
    desk.run("podman", "push", f"{target}:again")
    ecr = desk.account.client("ecr")
    found = ecr.describe_images(repositoryName="team/app", imageIds=[{"imageTag": "built"}])["imageDetails"]
    assert found[0]["imageSizeInBytes"] > len(LAYERS[1])
    tags = ecr.list_images(repositoryName="team/app", filter={"tagStatus": "TAGGED"})["imageIds"]
    assert {each["imageTag"] for each in tags} == {"built", "again"}


def test_a_script_written_for_ecr_pushes_through_the_proxy(clary_server, desk):
    layout(desk.home / "image", *LAYERS)
    environ = clary_server.env(desk.account)
    proxied = {name: environ[name] for name in ("HTTPS_PROXY", "https_proxy")}
    host = f"{desk.account.account_id}.dkr.ecr.us-east-1.amazonaws.com"
    login = ("login", "--username", "AWS", "--password-stdin", host)
    desk.run("skopeo", *login, given=password_of(desk.account), more=proxied)
    there = f"docker://{host}/team/app:v1"
    desk.run("skopeo", "copy", f"oci:{desk.home}/image:latest", there, more=proxied)
    mine = RegistryClient.of(desk.account, "team/app")
    assert mine.ask("GET", "tags/list").json["tags"] == ["v1"]
