"""Models in place, through boto3: the same answers as a replica's, and never those of another model."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clary.gateway.edge.limits import Limits
from clary.kernel import ids
from clary.serving.frames import Frame, pack
from clary.toolkit import flat
from clary.toolkit.flat import Flat, Form

from .conftest import Site, eventually
from .neighbours import ACCOUNT, Neighbours, Replica
from .test_invoke import invoke


def constant(path: Path, value: float) -> None:
    """Write a forest of no splits that says `value`, beside the socket of a replica."""
    arrays = {
        "nodes": np.array([[1, 0]], np.int32),
        "splits": np.array([np.nan], np.float32),
        "values": np.array([value], np.float32),
        "trees": np.array([[0, 0, 0]], np.int32),
        "base": np.zeros(1, np.float32),
    }
    form = Form(content_type="text/csv", pieces=("", ""), between="\n", end="\n")
    made = Flat(
        kind="forest", n_features=2, arrays=arrays, numbers={"link": "identity"}, requests=("text/csv",),
        forms={"": form, "*/*": form, "text/csv": form},
    )  # fmt: skip
    flat.write(made, path.with_suffix(".flat"))


def saying(text: bytes) -> Callable[[Frame, Callable[[bytes], None], Callable[[], None]], None]:
    def behave(frame: Frame, write: Callable[[bytes], None], _close: Callable[[], None]) -> None:
        write(pack(frame.request_id, {"status": 200, "content_type": "text/csv"}, text))

    return behave


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    found = []
    for n, name in enumerate(("a", "b")):
        one = Replica(tmp_path / f"{name}.sock", saying(b"%d.0\n" % (n + 1)))
        constant(one.path, float(n + 1))
        one.start()
        found.append(one)
    yield found[0], found[1]
    for one in found:
        one.stop()


def ask(client: Any, endpoint: str, body: bytes = b"1,2", **given: Any) -> bytes:
    return bytes(
        client.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="text/csv", **given)[
            "Body"
        ].read()
    )


def metrics(site: Site) -> str:
    return site.exchange(
        b"GET /_clary/metrics/edge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    ).decode()


def comes_into_place(site: Site, endpoint: str, replica: Replica) -> None:
    """Ask until the replica is no longer asked."""
    client = site.client("sagemaker-runtime")

    def is_in_place() -> bool:
        n = len(replica.frames)
        ask(client, endpoint)
        return len(replica.frames) == n

    eventually(is_in_place, within_s=60)


def test_a_model_in_place_answers_like_its_replica(
    site: Site, neighbours: Neighbours, pair: tuple[Replica, Replica]
) -> None:
    neighbours.route("inplace", pair[0].path)
    comes_into_place(site, "inplace", pair[0])
    n = len(pair[0].frames)
    answer = invoke(site, "inplace", b"1,2\n3,4\n", ContentType="text/csv", Accept="text/csv")
    assert answer["Body"] == b"1.0\n1.0\n"
    assert answer["ContentType"] == "text/csv"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["ResponseMetadata"]["RequestId"]
    assert len(pair[0].frames) == n


@pytest.mark.parametrize(
    "given",
    [
        {"Body": b"1,2,3", "ContentType": "text/csv"},
        {"Body": b"1,oops", "ContentType": "text/csv"},
        {"Body": b"", "ContentType": "text/csv"},
        {"Body": b"1,2", "ContentType": "text/libsvm"},
        {"Body": b"1,2", "ContentType": "text/csv", "Accept": "application/json"},
        {"Body": b"1,2"},
    ],
)
def test_whatever_is_not_plain_goes_to_the_replica(
    site: Site, neighbours: Neighbours, pair: tuple[Replica, Replica], given: dict[str, Any]
) -> None:
    name = f"plain-{ids.short()}"  # one that no edge has heard of: what it knew would answer meanwhile
    neighbours.route(name, pair[0].path)
    comes_into_place(site, name, pair[0])
    n = len(pair[0].frames)
    site.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, **given)
    assert len(pair[0].frames) == n + 1


def test_a_model_in_place_answers_while_its_only_replica_restarts(
    site: Site, neighbours: Neighbours, pair: tuple[Replica, Replica]
) -> None:
    name = f"resting-{ids.short()}"
    key = f"{ACCOUNT}/us-east-1/{name}"
    neighbours.route(name, pair[0].path)
    comes_into_place(site, name, pair[0])
    whole = neighbours.routes[key]
    (variant,) = whole["variants"]
    neighbours.routes[key] = {
        **whole, "variants": [{**variant, "replicas": [], "resting": variant["replicas"]}]
    }  # fmt: skip
    client = site.client("sagemaker-runtime")
    site.control.push("route", key, neighbours.routes[key])
    eventually(lambda: not _is_answered(client, name, b"1,oops"))  # the push is there: nobody to ask
    assert [ask(client, name) for _ in range(10)] == [b"1.0\n"] * 10
    site.control.push("route", key, {**whole, "variants": [{**variant, "replicas": []}]})
    eventually(lambda: not _is_answered(client, name, b"1,2"))  # gone, and not restarted


def test_a_variant_without_instances_is_answered_by_what_the_edge_still_has(
    own_site: Callable[..., Any], pair: tuple[Replica, Replica]
) -> None:
    neighbours, name = Neighbours(), "asleep"
    key = f"{ACCOUNT}/us-east-1/{name}"
    neighbours.route(name, pair[0].path)
    site = own_site(neighbours=neighbours)
    comes_into_place(site, name, pair[0])
    whole = neighbours.routes[key]
    (variant,) = whole["variants"]
    asleep = {**variant, "replicas": [], "resting": variant["replicas"], "wakes": True}
    site.control.push("route", key, {**whole, "variants": [asleep]})
    client = site.client("sagemaker-runtime")
    assert [ask(client, name) for _ in range(20)] == [b"1.0\n"] * 20  # before and after the push
    held: list[bytes] = []
    waiting = threading.Thread(target=lambda: held.append(ask(client, name, b"1,oops")))
    waiting.start()  # no plain one: it waits for an instance
    eventually(lambda: any(each._held for each in site.edge._routing.stages if each.name == "hold"))
    site.control.push("route", key, whole)
    waiting.join(timeout=30)
    assert held == [b"1.0\n"]


def _is_answered(client: Any, endpoint: str, body: bytes) -> bool:
    try:
        ask(client, endpoint, body)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] != 503
    return True


def test_an_update_never_lets_the_old_model_answer_after_it(
    site: Site, neighbours: Neighbours, pair: tuple[Replica, Replica]
) -> None:
    key = f"{ACCOUNT}/us-east-1/swap"
    neighbours.route("swap", pair[0].path)
    first = neighbours.routes[key]
    neighbours.route("swap", pair[1].path)
    second = neighbours.routes[key]
    client = site.client("sagemaker-runtime")
    wrong: list[bytes] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            said = ask(client, "swap")
            if said not in {b"1.0\n", b"2.0\n"}:
                wrong.append(said)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(20):
        route, said = ((first, b"1.0\n"), (second, b"2.0\n"))[n % 2]
        neighbours.routes[key] = route
        site.control.push("route", key, route)
        eventually(partial(_says, client, "swap", said))
        assert all(ask(client, "swap") == said for _ in range(10))
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    del neighbours.routes[key]
    site.control.push("route", key, None)
    eventually(lambda: _is_gone(client, "swap"))


def _says(client: Any, endpoint: str, wanted: bytes) -> bool:
    return ask(client, endpoint) == wanted


def _is_gone(client: Any, endpoint: str) -> bool:
    try:
        ask(client, endpoint)
    except ClientError as error:
        return "not found" in str(error)
    return False


def test_variants_with_weights_and_by_name_are_each_their_own_model(
    site: Site, neighbours: Neighbours, pair: tuple[Replica, Replica]
) -> None:
    neighbours.route("ab", A=(1.0, (pair[0].path,)), B=(1.0, (pair[1].path,)))
    client = site.client("sagemaker-runtime")
    for _ in range(2):
        assert {ask(client, "ab") for _ in range(40)} == {b"1.0\n", b"2.0\n"}
        assert ask(client, "ab", TargetVariant="A") == b"1.0\n"
        assert ask(client, "ab", TargetVariant="B") == b"2.0\n"
        time.sleep(0.3)  # by now they are in place


def test_replicas_of_one_variant_take_turns_in_place(
    site: Site, neighbours: Neighbours, pair: tuple[Replica, Replica]
) -> None:
    neighbours.route("rolling", pair[0].path, pair[1].path)
    client = site.client("sagemaker-runtime")
    said = [ask(client, "rolling") for _ in range(60)]
    assert {b"1.0\n", b"2.0\n"} == set(said)


def test_a_broken_file_leaves_the_model_with_its_replica(
    site: Site, neighbours: Neighbours, pair: tuple[Replica, Replica]
) -> None:
    content = bytearray(pair[0].path.with_suffix(".flat").read_bytes())
    content[-64:] = b"\xff" * 64
    pair[0].path.with_suffix(".flat").write_bytes(content[:-3])
    neighbours.route("broken", pair[0].path)
    client = site.client("sagemaker-runtime")
    for _ in range(5):
        n = len(pair[0].frames)
        assert ask(client, "broken") == b"1.0\n"
        assert len(pair[0].frames) == n + 1
        time.sleep(0.05)


def test_requests_in_place_are_counted(own_site: Callable[..., Any], pair: tuple[Replica, Replica]) -> None:
    neighbours = Neighbours()
    neighbours.route("counted", pair[0].path)
    site = own_site(Limits(sweep_s=60.0, drain_s=0.1), neighbours)
    comes_into_place(site, "counted", pair[0])
    client = site.client("sagemaker-runtime")
    n_replica = len(pair[0].frames)
    for _ in range(7):
        ask(client, "counted")
    (tally,) = [tally for key, tally in site.edge.tallies._live.items() if key.endpoint == "counted"]
    assert len(pair[0].frames) == n_replica
    assert tally.n >= 7
    assert tally.n_in_place >= 7
    assert tally.model_s > 0
    assert "clary_edge_requests_total{" in metrics(site)


def test_memory_is_bounded_and_the_longest_unused_makes_room(
    own_site: Callable[..., Any], pair: tuple[Replica, Replica]
) -> None:
    neighbours = Neighbours()
    neighbours.route("one", pair[0].path)
    neighbours.route("two", pair[1].path)
    site = own_site(neighbours=neighbours)
    comes_into_place(site, "one", pair[0])
    site.edge.inplace._most_bytes = site.edge.inplace.n_bytes + 10
    comes_into_place(site, "two", pair[1])
    client, n = site.client("sagemaker-runtime"), len(pair[0].frames)
    assert ask(client, "one") == b"1.0\n"
    assert len(pair[0].frames) == n + 1
