"""Two edges of two nodes: what one cannot answer the other does, as the client signed it."""

import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.gateway.certificates import ensure_ca
from clary.gateway.edge.limits import Limits
from clary.kernel.settings import Settings
from clary.serving.frames import pack

from .conftest import Site, eventually, free_port, running
from .neighbours import ACCOUNT, Control, Neighbours, Replica

LIMITS = Limits(sweep_s=0.05, drain_s=0.1, invocation_s=2.0, away_s=0.5)


@pytest.fixture
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Site]]:
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            settings = Settings(data_dir=tmp_path_factory.mktemp("n"), port=free_port())
            settings.socket_dir.mkdir()
            control = Control(settings.control_socket, Neighbours())
            control.start()
            stack.callback(control.stop)
            stack.enter_context(running(settings, LIMITS))
            made.append(Site(settings, control))
        eventually(lambda: all(site.control.n_watchers for site in made))
        yield made[0], made[1]


def place(site: Site, scheme: str = "http") -> dict[str, str]:
    """Return where a site's edge answers, as a node's row has it."""
    authority = ensure_ca(site.settings.data_dir).certificate.read_text()
    return {"url": f"{scheme}://127.0.0.1:{site.port}", "authority": authority}


def away(site: Site, endpoint: str, where: dict[str, str], address: str) -> None:
    site.control.neighbours.route(endpoint, Path(address))
    site.control.neighbours.routes[f"{ACCOUNT}/us-east-1/{endpoint}"]["away"] = where


def asked(site: Site, endpoint: str, **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = site.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, **given)
    return answer


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_invocation_goes_to_the_edge_that_has_the_replicas_and_its_answer_comes_back(
    sites: tuple[Site, Site], replica: Replica, scheme: str
) -> None:
    here, there = sites
    away(here, "echo", place(there, scheme), str(replica.path))
    there.control.neighbours.route("echo", replica.path)
    for body in (b"1,2", b"", b"x" * 3_000_000):
        answer = asked(here, "echo", Body=body, ContentType="text/csv", CustomAttributes="c=1")
        assert answer["Body"].read() == body
        assert (answer["ContentType"], answer["CustomAttributes"]) == ("text/csv", "c=1")
    assert len(replica.frames) == 3
    assert replica.n_connections == 1  # that edge's alone: this one has nothing to do with them


def test_a_streamed_answer_comes_in_parts_from_the_other_edge(
    sites: tuple[Site, Site], replica: Replica
) -> None:
    def parts(frame: Any, write: Any, _close: Any) -> None:
        write(pack(frame.request_id, {"status": 200, "content_type": "text/plain", "more": True}, b"one "))
        write(pack(frame.request_id, {"status": 200}, b"two"))

    here, there = sites
    replica.behave = parts
    away(here, "parts", place(there), str(replica.path))
    there.control.neighbours.route("parts", replica.path)
    runtime = here.client("sagemaker-runtime")
    events = runtime.invoke_endpoint_with_response_stream(EndpointName="parts", Body=b"?")["Body"]
    assert b"".join(event["PayloadPart"]["Bytes"] for event in events) == b"one two"


def test_what_was_passed_on_is_not_passed_on_again(sites: tuple[Site, Site]) -> None:
    here, there = sites
    away(here, "lost", place(there), "/nowhere")
    away(there, "lost", place(here), "/nowhere")
    with pytest.raises(ClientError, match="node is lost") as refused:
        asked(here, "lost", Body=b"?")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_a_node_that_does_not_answer_is_named_in_a_503(sites: tuple[Site, Site]) -> None:
    here, _ = sites
    nobody = {"url": f"http://127.0.0.1:{free_port()}", "authority": ""}
    away(here, "gone", nobody, "/nowhere")
    with pytest.raises(ClientError, match=nobody["url"]) as refused:
        asked(here, "gone", Body=b"?")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_another_nodes_control_plane_answers_while_the_own_one_is_away(sites: tuple[Site, Site]) -> None:
    here, there = sites
    here.control.push("peers", "", {"peers": [place(there, "https")]})
    client = here.client("sagemaker")
    here.control.stop()

    def answered() -> dict[str, Any]:
        client.create_experiment(ExperimentName="e")
        return there.control.requests[-1]

    eventually(lambda: _is_answered(client))
    request = answered()
    assert json.loads(request["body"]) == {"ExperimentName": "e"}
    assert f"127.0.0.1:{here.port}" in dict(request["headers"])["host"]  # as it was signed
    here.control.start()
    before = len(there.control.requests)
    eventually(lambda: _is_answered(client) and here.control.requests)
    assert len(there.control.requests) - before <= 1


def test_whichever_control_plane_comes_back_first_answers(sites: tuple[Site, Site]) -> None:
    here, there = sites
    here.control.push("peers", "", {"peers": [place(there)]})
    client = here.client("sagemaker")
    eventually(lambda: _is_answered(client))
    there.control.stop()
    here.control.stop()
    with pytest.raises(ClientError, match="does not answer"):  # nobody does, however long one waits
        client.list_experiments()
    here.control.start()
    eventually(lambda: _is_answered(client))
    assert here.control.requests
    there.control.start()


def test_who_is_told_to_try_again_meets_somebody_then(own_site: Callable[..., Site]) -> None:
    site = own_site(Limits(sweep_s=0.05, drain_s=0.1, away_s=30.0))
    told: list[str] = []

    def create() -> None:
        with pytest.raises(ClientError, match="does not answer"):
            site.client("sagemaker").create_experiment(ExperimentName="e")
        told.append("try again")

    site.control.stop()
    client = Thread(target=create)
    _die_with(b"CreateExperiment", site.control.path, client.start)
    client.join(0.3)
    told.append("it is back")
    site.control.start()
    client.join(20.0)
    assert told == ["it is back", "try again"]
    assert site.client("sagemaker").create_experiment(ExperimentName="e")


def _die_with(request: bytes, path: Path, begin: Callable[[], None]) -> None:
    """Be a control plane that is killed while it has a request."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(path))
        stack.callback(path.unlink)
        listening.listen()
        begin()
        heard: dict[socket.socket, bytes] = {}
        while not any(request in each for each in heard.values()):
            for ready in select.select([listening, *heard], [], [], 20.0)[0]:
                if ready is listening:
                    heard[stack.enter_context(listening.accept()[0])] = b""
                else:
                    heard[ready] += ready.recv(1 << 16)


def _is_answered(client: Any) -> bool:
    try:
        client.list_experiments()
    except ClientError:
        return False
    return True
