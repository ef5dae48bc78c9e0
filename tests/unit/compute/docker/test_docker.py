"""Docker's API as the client speaks it, against a small server of our own."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from struct import pack

import pytest

from clary.compute.docker import pull, service, stream
from clary.compute.docker.client import Docker, DockerError
from clary.kernel.errors import CustomerError, SetupError
from clary.kernel.settings import Settings

ACCOUNT = "111122223333"
NETLOC = "127.0.0.1:4747"


class Engine:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                engine.asked.append((self.command, self.path))
                status, body = engine.answers.get(self.path.partition("?")[0], (404, b'{"message":"none"}'))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - their names

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.docker = Docker(f"tcp://127.0.0.1:{self.server.server_address[1]}")


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.server.shutdown()
    made.server.server_close()


def have(engine: Engine, uri: str, source: pull.Source, name: str = "", **more: bool) -> list[str]:
    said: list[str] = []
    pull.ensure(engine.docker, uri, name or uri, source, said.append, threading.Event(), **more)
    return said


def test_the_engines_own_words_are_the_error(engine: Engine) -> None:
    engine.answers["/containers/x/start"] = (500, b'{"message":"no room"}')
    with pytest.raises(DockerError, match="no room") as caught:
        engine.docker.ask("POST", "/containers/x/start")
    assert caught.value.status == 500


def test_an_engine_that_is_away_has_no_status() -> None:
    with pytest.raises(DockerError, match="does not answer") as caught:
        Docker("unix:///nowhere/docker.sock").ask("GET", "/version")
    assert caught.value.status == 0


def test_an_image_that_is_here_is_not_pulled(engine: Engine) -> None:
    engine.answers["/images/mine:1/json"] = (200, b"{}")
    assert have(engine, "mine:1", pull.Source(reference="mine:1")) == []
    assert engine.asked == [("GET", "/images/mine:1/json")]


def test_a_pull_says_where_it_stands_and_how_it_failed(engine: Engine) -> None:
    steps = [{"status": "Pull complete", "id": str(n)} for n in range(10)]
    engine.answers["/images/create"] = (200, b"\r\n".join(json.dumps(each).encode() for each in steps))
    said = have(engine, "mine:1", pull.Source(reference="mine:1"))
    assert said == [
        "[clary] Pulling image mine:1",
        "[clary] 10 layers are here",
        "[clary] Image mine:1 is here",
    ]
    engine.answers["/images/create"] = (200, b'{"error":"unauthorized"}')
    with pytest.raises(CustomerError, match="mine:1 could not be pulled: unauthorized"):
        have(engine, "mine:1", pull.Source(reference="mine:1"))


def test_a_pull_whose_line_breaks_begins_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "AGAIN_S", (0.0, 0.0))
    engine.answers["/images/create"] = (200, b'{"error":"writing blob: unexpected EOF"}\n')
    with pytest.raises(CustomerError, match=r"mine:1 could not be pulled: .*unexpected EOF"):
        have(engine, "mine:1", pull.Source(reference="mine:1"))
    assert [path.partition("?")[0] for _, path in engine.asked].count("/images/create") == 3


def test_an_image_of_our_registry_is_pulled_each_time_and_named_by_its_account(engine: Engine) -> None:
    uri = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/team/app:2"
    name = pull.name_of(uri, ACCOUNT, NETLOC)
    assert name == f"clary.local/{ACCOUNT}/us-east-1/team/app:2"
    reference = f"{NETLOC}/team/app:2"
    engine.answers["/images/create"] = (200, b"{}")
    engine.answers[f"/images/{reference}/tag"] = (201, b"")
    have(engine, uri, pull.Source(reference=reference, user="AWS", password="p", is_plain=True), name)
    assert [path.partition("?")[0] for _, path in engine.asked] == [
        pull.LIBPOD,  # which Docker has not
        "/images/create",
        f"/images/{reference}/tag",
    ]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("a", ("a", "latest")),
        ("h:5000/a", ("h:5000/a", "latest")),
        ("h:5000/a/b:1", ("h:5000/a/b", "1")),
        ("a:1@sha256:ff", ("a", "sha256:ff")),
    ],
)
def test_an_images_name_is_split(uri: str, expected: tuple[str, str]) -> None:
    assert pull.split(uri) == expected


def test_an_image_of_another_account_is_not_of_the_callers_registry() -> None:
    uri = "444455556666.dkr.ecr.us-east-1.amazonaws.com/app:1"
    assert pull.own(uri, ACCOUNT, NETLOC) is None
    assert pull.name_of(uri, ACCOUNT, NETLOC) == uri
    assert pull.own(f"{NETLOC}/app:1", ACCOUNT, NETLOC) == (f"{NETLOC}/app:1", "")


def test_an_image_named_by_its_repository_uri_is_pulled_from_where_clary_answers() -> None:
    told = "ml.example.com:4747"
    assert pull.own(f"{told}/app:1", ACCOUNT, NETLOC, told) == (f"{NETLOC}/app:1", "")
    assert pull.name_of(f"{told}/app:1", ACCOUNT, NETLOC, told) == f"clary.local/{ACCOUNT}/local/app:1"
    assert pull.own(f"{told}.evil/app:1", ACCOUNT, NETLOC, told) is None


def test_a_stream_is_taken_apart_wherever_it_is_cut() -> None:
    class Bit(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(1 if size else 0)

    raw = pack(">BxxxI", 1, 3) + b"out" + pack(">BxxxI", 2, 5) + b"error" + pack(">BxxxI", 1, 9) + b"torn"
    found: list[tuple[bool, bytes]] = []
    for source in (io.BytesIO(raw), Bit(raw)):
        stream.copy(source, lambda is_error, piece: found.append((is_error, piece)))
    assert found == [(False, b"out"), (True, b"error"), (False, b"torn")] * 2


def test_where_the_engine_listens_is_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert not service.is_on(Settings())
    assert service.url_of(Settings(containers="docker")) == service.DOCKER_URL
    assert service.url_of(Settings(containers="podman")).endswith("/podman.sock")
    assert service.url_of(Settings(containers="unix:///run/x.sock")) == "unix:///run/x.sock"
    with pytest.raises(SetupError, match="CLARY_CONTAINERS is 'lxc'; it must be `podman`"):
        service.url_of(Settings(containers="lxc"))


@pytest.mark.parametrize(
    ("chosen", "is_open"),
    [
        ("all", True),
        ("none", False),
        ("", False),
        (ACCOUNT, True),
        (f"222233334444, {ACCOUNT}", True),
        ("222233334444", False),
    ],
)
def test_a_setting_says_whose_the_images_of_this_machine_are(chosen: str, is_open: bool) -> None:
    assert pull.is_local_open(chosen, ACCOUNT) is is_open


def test_an_image_of_this_machine_is_not_used_by_an_account_that_may_not(engine: Engine) -> None:
    uri = "localhost/theirs:1"
    engine.answers[f"/images/{uri}/json"] = (200, b"{}")
    assert have(engine, uri, pull.Source(reference=uri)) == []
    with pytest.raises(
        CustomerError, match=r"could not be pulled: .*Push it to the registry that its name says\.$"
    ):
        have(engine, uri, pull.Source(reference=uri), is_local_open=False)
    ours = pull.Source(
        reference=f"{NETLOC}/mine:1", user="AWS", password="p"
    )  # the registry has no such image
    engine.answers[f"/images/{NETLOC}/mine:1/json"] = (200, b"{}")
    with pytest.raises(CustomerError, match="could not be pulled"):
        have(engine, f"{NETLOC}/mine:1", ours, "clary.local/x/mine:1", is_local_open=False)
