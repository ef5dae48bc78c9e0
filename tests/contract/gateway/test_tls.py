"""Clary for other machines: TLS by its own authority, for boto3 and for the tools of images."""

import shutil
import socket
import subprocess

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import SSLError

from clary.gateway.certificates import Authority
from clary.testing.registry import RegistryClient, layout, password_of
from clary.testing.server import ClaryServer

pytestmark = pytest.mark.slow


def own_address():
    """Return an address of this machine from which a client is another machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return probe.getsockname()[0]


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    """A Clary that listens on all addresses."""
    server = ClaryServer.start(tmp_path_factory.mktemp("tls") / "data", host="0.0.0.0")
    yield server
    server.stop()


@pytest.fixture
def away(open_server):
    return f"{own_address()}:{open_server.settings.port}"


def client(account, service, url, **more):
    keys = {
        "aws_access_key_id": account.access_key_id,
        "aws_secret_access_key": account.secret_access_key,
        "region_name": "us-east-1",
        "config": Config(proxies={}, retries={"total_max_attempts": 1}),
    }
    return boto3.session.Session().client(service, endpoint_url=url, **(keys | more))


def authority(server):
    return server.data_dir / "certificates/ca.pem"


@pytest.mark.parametrize("service", ["sagemaker", "s3", "ecr"])
def test_boto3_elsewhere_trusts_the_authority_and_nobody_else(open_server, away, service, tmp_path):
    account = open_server.account()
    calls = {"sagemaker": "list_training_jobs", "s3": "list_buckets", "ecr": "describe_repositories"}
    trusting = client(account, service, f"https://{away}", verify=str(authority(open_server)))
    assert getattr(trusting, calls[service])()["ResponseMetadata"]["HTTPStatusCode"] == 200
    Authority(tmp_path).leaf()
    other = client(account, service, f"https://{away}", verify=str(tmp_path / "certificates/ca.pem"))
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        getattr(other, calls[service])()


def test_an_image_is_pushed_and_pulled_over_tls(open_server, away, tmp_path):
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed: apt-get install skopeo")
    account = open_server.account()
    uri = account.client("ecr").create_repository(repositoryName="churn")["repository"]["repositoryUri"]
    assert uri == f"{socket.gethostname().lower()}:{open_server.settings.port}/churn"
    told = account.client("ecr").get_authorization_token()["authorizationData"][0]
    assert told["proxyEndpoint"] == f"https://{uri.partition('/')[0]}"
    layout(tmp_path / "image", b"a layer", b"another")
    (tmp_path / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    environ = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin:/usr/local/bin",
        "SSL_CERT_FILE": str(authority(open_server)),
    }
    password = f"AWS:{password_of(account)}"

    def skopeo(*arguments):
        argv = ["skopeo", "--policy", str(tmp_path / "policy.json"), *arguments]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    image = f"docker://{away}/churn:1"
    skopeo("copy", "--dest-creds", password, f"oci:{tmp_path / 'image'}", image)
    skopeo("copy", "--src-creds", password, image, f"oci:{tmp_path / 'back'}")
    assert RegistryClient.of(account, "churn").ask("GET", "tags/list").json["tags"] == ["1"]
