import json
import shlex
from pathlib import Path

import pytest

from clary.cli import hosts
from clary.kernel.errors import SetupError

LISTED = {
    "head": "ada@10.0.0.1",
    "workers": ["ada@10.0.0.2", {"host": "ada@far", "address": "10.0.0.3", "cpus": 8, "gpus": 1}],
    "python": "/opt/clary/bin/python",
    "environment": {"CLARY_CONTAINERS": "docker"},
}


def listed(folder: Path, document: object) -> Path:
    path = folder / "hosts.yaml"
    path.write_text(json.dumps(document))
    return path


def test_a_list_of_hosts_is_read(tmp_path: Path) -> None:
    found = hosts.read(listed(tmp_path, LISTED))
    assert found.address == "ray://10.0.0.1:10001"
    assert [each.address for each in found.all] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"workers": []}, "has `head`"),
        ({"head": "a", "hands": []}, "'hands' is not known"),
        ({"head": {"host": "a", "ram": 1}}, "'ram' of a is not known"),
        ({"head": 7}, "7 is no host"),
        ({"head": "a", "environment": {"CLARY_CONTAINERS": "podman"}}, "where each host's engine listens"),
    ],
)
def test_what_is_wrong_in_a_list_is_named(tmp_path: Path, document: object, what: str) -> None:
    with pytest.raises(SetupError, match=what):
        hosts.read(listed(tmp_path, document))


def test_head_and_workers_start_with_the_token_on_their_input(tmp_path: Path) -> None:
    found = hosts.read(listed(tmp_path, LISTED))
    head, worker = hosts.starting(found, found.head), hosts.starting(found, found.workers[1])
    assert "--head" in shlex.split(head)
    assert "--include-dashboard=false" in head
    assert {"--address=10.0.0.1:6379", "--num-cpus=8", "--num-gpus=1"} <= set(shlex.split(worker))
    for text in (head, worker):
        assert "read -r RAY_AUTH_TOKEN" in text
        assert "CLARY_CONTAINERS=docker" in text
        assert "--disable-usage-stats" in text


def test_a_text_runs_on_every_host_and_what_fails_is_named(tmp_path: Path) -> None:
    reach = tmp_path / "reach"
    reach.write_text('#!/bin/sh\nhost=$1; shift; cd "$0.d" && HOST=$host sh -c "$1"\n')
    reach.chmod(0o755)
    (tmp_path / "reach.d").mkdir()
    machines = [hosts.Machine(host=name, address=name) for name in ("a", "b")]
    text = 'IFS= read -r said; echo "$said" > $HOST; test $HOST = a || { echo no room >&2; exit 3; }'
    failed = hosts.run(machines, [text, text], ssh=[str(reach)], said="token\n")
    assert failed == ["b: no room"]
    assert (tmp_path / "reach.d/a").read_text() == "token\n"
