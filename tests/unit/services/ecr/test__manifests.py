import json
from typing import Any

import pytest

from clary.kernel.errors import AwsError
from clary.services.ecr._manifests import DOCKER_LIST, OCI_IMAGE, OCI_INDEX, parse
from clary.testing.registry import EMPTY, digest_of, index, manifest


def test_a_manifest_names_its_parts() -> None:
    found = parse(manifest(b"layer", b"layer", subject=digest_of(b"s")), OCI_IMAGE)
    assert found.blobs == (digest_of(EMPTY), digest_of(b"layer"))
    assert (found.size, found.subject) == (len(EMPTY) + 2 * len(b"layer"), digest_of(b"s"))
    assert parse(index(manifest())).children == (digest_of(manifest()),)


def test_the_kind_is_the_clients_word_or_the_manifests_own() -> None:
    bare = {"schemaVersion": 2, "manifests": []}
    assert parse(json.dumps(bare).encode()).media_type == OCI_INDEX
    assert parse(json.dumps(bare).encode(), DOCKER_LIST).media_type == DOCKER_LIST


def test_layers_that_are_elsewhere_are_not_wanted_here() -> None:
    document = json.loads(manifest(b"here", b"elsewhere"))
    document["layers"][1]["urls"] = ["https://example.org/layer"]
    assert digest_of(b"elsewhere") not in parse(json.dumps(document).encode()).blobs


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("annotations", ["x"]),
        ("annotations", {"a": 1}),
        ("annotations", {"a": "\ud800"}),
        ("artifactType", 5),
        ("layers", {"a": 1}),
        ("layers", [5]),
        ("layers", [{"digest": "md5:0", "size": 1}]),
        ("layers", [{"digest": digest_of(b""), "size": -1}]),
        ("layers", [{"digest": digest_of(b""), "size": True}]),
        ("layers", [{"digest": digest_of(b""), "size": 1, "mediaType": {}}]),
        ("config", None),
        ("subject", "x"),
        ("schemaVersion", 1),
        ("mediaType", "text/html"),
    ],
)
def test_a_member_that_cannot_be_is_refused(member: str, value: Any) -> None:
    text = json.dumps(json.loads(manifest(b"layer")) | {member: value}).encode()
    with pytest.raises(AwsError, match="imageManifest"):
        parse(text)


def test_what_is_no_json_is_refused() -> None:
    for raw in (b"", b"\xff", b"5", b"[" * 100_000):
        with pytest.raises(AwsError, match="imageManifest"):
            parse(raw)
