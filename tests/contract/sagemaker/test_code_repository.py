"""Code repositories through boto3, and cloned by notebook instances from a git server of the test's own."""

import base64
import datetime
import http.server
import ipaddress
import json
import shutil
import ssl
import subprocess
import threading
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clary.testing.environments import stand_in
from clary.testing.notebooks import Visitor, create, settled, stop
from clary.testing.server import ClaryServer, end_agents

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]
USER, PASSWORD = "reader", "pass word"


def git(*words, cwd):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=cwd, check=True, capture_output=True)


def certificate(folder):
    """Write a self-signed certificate for 127.0.0.1 with its key; return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "git server of a test")])
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return pem


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """Two bare repositories over HTTPS, one of them behind a password; yields URL and folder."""
    root = tmp_path_factory.mktemp("git")
    for name in ("open", "closed"):
        work = root / "work" / name
        work.mkdir(parents=True)
        (work / "README.md").write_text(f"{name} on main")
        git("init", ".", cwd=work)
        git("add", ".", cwd=work)
        git("commit", "-m", "first", cwd=work)
        git("checkout", "-b", "other", cwd=work)
        (work / "README.md").write_text(f"{name} on other")
        git("commit", "-am", "second", cwd=work)
        git("checkout", "main", cwd=work)
        bare = root / "www" / f"{name}.git"
        git("clone", "--bare", str(work), str(bare), cwd=root)
        git("update-server-info", cwd=bare)
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given):
            super().__init__(*given, directory=str(root / "www"))

        def do_GET(self):
            if self.path.startswith("/closed") and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            super().do_GET()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(root))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}", root
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def account(repositories, tmp_path_factory):
    """An account of a Clary that trusts the git server's certificate."""
    home = tmp_path_factory.mktemp("trusting")
    for folder in (home, *home.parents[:2]):
        folder.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(repositories[1] / "ca.pem"))
        server = ClaryServer.start(home / "data", notebook_python=str(stand_in(home / "notebooks")))
    yield server.account()
    server.stop()
    end_agents(server.settings)


def read(account, name, files):
    """Return what files of an instance's volume say."""
    client = account.client("sagemaker")
    url = client.create_presigned_notebook_instance_url(NotebookInstanceName=name)["AuthorizedUrl"]
    visitor = Visitor.of(url)
    visitor.enter(url)
    source = f"import json, pathlib; print(json.dumps([pathlib.Path(p).read_text() for p in {files!r}]))"
    return json.loads(visitor.run(urlsplit(url).path.rstrip("/"), source))


def test_repositories_are_cloned_with_their_secrets(account, repositories):
    client, url = account.client("sagemaker"), repositories[0]
    text = json.dumps({"username": USER, "password": PASSWORD})
    secret = account.client("secretsmanager").create_secret(Name="closed", SecretString=text)["ARN"]
    client.create_code_repository(
        CodeRepositoryName="closed",
        GitConfig={"RepositoryUrl": f"{url}/closed.git", "Branch": "other", "SecretArn": secret},
    )
    described = create(
        account,
        "cloning",
        DefaultCodeRepository="closed",
        AdditionalCodeRepositories=[f"{url}/open.git"],
    )
    assert described["NotebookInstanceStatus"] == "InService", described
    found = read(account, "cloning", ["closed/README.md", "open/README.md", "closed/.git/config"])
    assert found[:2] == ["closed on other", "open on main"]
    assert PASSWORD not in found[2]
    listed = client.list_notebook_instances(AdditionalCodeRepositoryEquals=f"{url}/open.git")
    assert [each["NotebookInstanceName"] for each in listed["NotebookInstances"]] == ["cloning"]
    stop(account, "cloning")
    client.start_notebook_instance(NotebookInstanceName="cloning")
    assert settled(account, "cloning")["NotebookInstanceStatus"] == "InService"
    stop(account, "cloning")


def test_a_clone_that_fails_says_why(account, repositories):
    described = create(account, "lost", DefaultCodeRepository=f"{repositories[0]}/none.git")
    assert described["NotebookInstanceStatus"] == "Failed"
    assert f"Cannot clone the repository {repositories[0]}/none.git" in described["FailureReason"]
    assert "not found" in described["FailureReason"]


def test_a_repository_is_described_listed_updated_and_deleted(account):
    client = account.client("sagemaker")
    config = {"RepositoryUrl": "https://example.com/team/code.git"}
    arn = client.create_code_repository(CodeRepositoryName="code", GitConfig=config)["CodeRepositoryArn"]
    described = client.describe_code_repository(CodeRepositoryName="code")
    assert (described["CodeRepositoryArn"], described["GitConfig"]) == (arn, config)
    secret = account.client("secretsmanager").create_secret(Name="code", SecretString="{}")["ARN"]
    client.update_code_repository(CodeRepositoryName="code", GitConfig={"SecretArn": secret})
    listed = client.list_code_repositories(NameContains="code")["CodeRepositorySummaryList"]
    assert [each["GitConfig"] for each in listed] == [config | {"SecretArn": secret}]
    with pytest.raises(ClientError, match="Cannot create already existing"):
        client.create_code_repository(CodeRepositoryName="code", GitConfig=config)
    client.delete_code_repository(CodeRepositoryName="code")
    with pytest.raises(ClientError, match="Cannot find CodeRepository"):
        client.describe_code_repository(CodeRepositoryName="code")


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"RepositoryUrl": "https://me:secret@example.com/code.git"}, "must not carry a user"),
        (
            {
                "RepositoryUrl": "https://example.com/code.git",
                "SecretArn": "arn:aws:secretsmanager:us-east-1:999999999999:secret:theirs-abcdef",
            },
            "not authorized",
        ),
    ],
)
def test_what_cannot_be_is_refused(account, config, text):
    with pytest.raises(ClientError, match=text):
        account.client("sagemaker").create_code_repository(CodeRepositoryName="refused", GitConfig=config)
