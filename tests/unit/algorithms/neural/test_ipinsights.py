"""IP Insights: what it reads, what it says, and whether its gradients are right."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._hosts import Hosts
from clary.algorithms.base import Question, Source
from clary.algorithms.ipinsights import events
from clary.algorithms.ipinsights._network import Network, prefixes_of
from clary.algorithms.ipinsights.fit import area
from clary.kernel.errors import CustomerError
from clary.testing.algorithm_suite import train

IPINSIGHTS = base.find("ipinsights")
[EXAMPLE] = base.examples("ipinsights")


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: Any) -> Path:
    return train(IPINSIGHTS, EXAMPLE, tmp_path_factory.mktemp("logins"))


def ask(model_dir: Path, body: str, content_type: str, accept: str = "") -> Any:
    [answer] = IPINSIGHTS.load(model_dir, {}).predict_many(
        [Question(body=body.encode(), content_type=content_type, accept=accept)]
    )
    return answer


def read(folder: Path, text: str) -> Any:
    (folder / "train").mkdir(exist_ok=True)
    (folder / "train/part").write_bytes(text.encode())
    return events.read(Source(name="train", path=folder / "train"), 1000)


def test_lines_may_have_blanks_quotes_and_carriage_returns(tmp_path: Path) -> None:
    rows, addresses = read(tmp_path, 'ann, 10.0.0.1\r\n\n"ann",10.0.0.2\n"last, first",1.2.3.4')
    assert rows[0] == rows[1] != rows[2]
    assert addresses.tolist() == [0x0A000001, 0x0A000002, 0x01020304]


def test_files_may_be_gzip(tmp_path: Path) -> None:
    (tmp_path / "part.gz").write_bytes(gzip.compress(b"ann,10.0.0.1\n"))
    rows, _ = events.read(Source(name="train", path=tmp_path), 10)
    assert len(rows) == 1
    (tmp_path / "part.gz").write_bytes(gzip.compress(b"ann,10.0.0.1\n")[:-6])
    with pytest.raises(CustomerError, match=r"part\.gz is damaged"):
        events.read(Source(name="train", path=tmp_path), 10)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ann,10.0.0", "'10.0.0' is not an IPv4 address"),
        ("ann,10.0.0.256", "'10.0.0.256' is not an IPv4 address"),
        ("ann,::1", "'::1' is not an IPv4 address"),
        ("user,ip", "'ip' is not an IPv4 address"),
        (",10.0.0.1", "has no entity"),
        ("10.0.0.1", "has no entity"),
        ("a,b,10.0.0.1", "has 3 columns"),
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(CustomerError, match=re.escape(f"train/part, line 2: {reason}")):
        read(tmp_path, f"ann,10.0.0.1\n{line}\n")


def test_rates_of_negatives_must_add_up() -> None:
    with pytest.raises(CustomerError, match=r"must add up to a number in range \[1, 500\]"):
        IPINSIGHTS.validate(
            {
                "num_entity_vectors": "10",
                "vector_dim": "4",
                "random_negative_sampling_rate": "0",
                "shuffled_negative_sampling_rate": "0",
            }
        )
    with pytest.raises(CustomerError, match="at most 8 GiB"):
        IPINSIGHTS.validate({"num_entity_vectors": "250000000", "vector_dim": "128"})


def test_a_known_pair_fits_better_than_a_foreign_one(model_dir: Path) -> None:
    answer = ask(model_dir, "ann,10.1.2.3\nann, 192.168.0.9\nnobody,10.1.2.3", "text/csv")
    known, foreign, nobody = (each["dot_product"] for each in json.loads(answer.body)["predictions"])
    assert known > 0.5 > -0.5 > foreign
    assert nobody == 0


def test_all_request_formats_say_the_same(model_dir: Path) -> None:
    wanted = json.loads(ask(model_dir, "ann,10.1.2.3\nben,8.8.8.8", "text/csv").body)
    rows = [{"data": {"features": {"values": ["ann", "10.1.2.3"]}}}, {"features": ["ben", "8.8.8.8"]}]
    lines = "\n".join(map(json.dumps, rows))
    assert json.loads(ask(model_dir, json.dumps({"instances": rows}), "application/json").body) == wanted
    assert json.loads(ask(model_dir, lines, "application/jsonlines").body) == wanted
    answer = ask(model_dir, lines, "application/jsonlines", "application/jsonlines")
    assert [json.loads(line) for line in answer.body.splitlines()] == wanted["predictions"]


def test_a_verbose_answer_has_the_vectors(model_dir: Path) -> None:
    for accept in ("application/json;verbose=True", "application/json; verbose=true"):
        [found] = json.loads(ask(model_dir, "ann,10.1.2.3", "text/csv", accept).body)["predictions"]
        product = np.dot(found["entity_embedding"], found["ip_embedding"])
        assert found["dot_product"] == pytest.approx(product, rel=1e-5)
        assert len(found["ip_embedding"]) == 8


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status"),
    [
        ("ann,10.1", "text/csv", "", 400),
        ("{", "application/json", "", 400),
        ('{"instances": []}', "application/json", "", 400),
        ('{"instances": [{"features": ["ann"]}]}', "application/json", "", 400),
        ("ann,1.2.3.4", "application/x-recordio-protobuf", "", 415),
        ("ann,1.2.3.4", "text/csv", "text/csv", 406),
    ],
)
def test_what_it_cannot_answer_has_a_status(
    model_dir: Path, body: str, content_type: str, accept: str, status: int
) -> None:
    assert ask(model_dir, body, content_type, accept).status == status


def test_the_lines_of_its_readme_open_the_model(model_dir: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(model_dir)
    text = (Path(events.__file__).parent / "README.md").read_text()
    names: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[-1], names)
    for pair in ("ann,10.1.2.3", "ben,8.8.8.8"):
        [found] = json.loads(ask(model_dir, pair, "text/csv").body)["predictions"]
        assert names["score"](*pair.split(",")) == pytest.approx(found["dot_product"], rel=1e-5)


def test_gradients_are_those_of_the_loss() -> None:
    draw = np.random.default_rng(1)
    addresses = draw.integers(0, 4, 12).astype(np.uint32) << np.uint32(14)
    network = Network.begin(3, 5, 2, prefixes_of(addresses, Hosts(0, (), 1)))
    network.arrays = {
        name: values.astype(np.float64) if values.dtype == np.float32 else values
        for name, values in network.arrays.items()
    }
    network.arrays["prefix_vectors"] += draw.standard_normal(network.arrays["prefix_vectors"].shape)
    direction = draw.standard_normal((len(addresses), 5))
    _, tape = network.encode(addresses)
    found, to_prefixes = network.back(direction, tape)
    uses = np.repeat(np.arange(len(addresses)), np.diff(tape.starts))
    whole = np.zeros_like(network.arrays["prefix_vectors"])
    np.add.at(whole, tape.rows, to_prefixes[uses])
    for name, gradient in {**found, "prefix_vectors": whole}.items():
        values = network.arrays[name].reshape(-1)
        for place in draw.permutation(values.size)[:4]:
            kept, ends = values[place], []
            for step in (1e-6, -1e-6):
                values[place] = kept + step
                ends.append(float((network.encode(addresses)[0] * direction).sum()))
            values[place] = kept
            slope = (ends[0] - ends[1]) / 2e-6
            assert gradient.reshape(-1)[place] == pytest.approx(slope, abs=1e-5), name


def test_the_area_under_the_curve_counts_pairs() -> None:
    assert area(np.array([2.0, 1.0]), np.array([1.0, 0.0])) == 0.875
