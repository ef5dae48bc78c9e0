"""Versions of model packages that two control planes over one PostgreSQL make at once."""

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.testing import postgres
from clary.testing.deployment import deployment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing()),
    pytest.mark.xdist_group("nodes"),
]

N_ROUNDS = 15


@pytest.fixture(scope="module")
def both():
    """Return one account's clients of two control planes, which ask once."""
    home = Path(tempfile.mkdtemp(prefix="clary-registry-"))
    home.chmod(0o711)
    once = Config(proxies={}, retries={"total_max_attempts": 1})
    try:
        with deployment(home / "nodes") as made:
            account = made.nodes[0].account()
            yield [made.seen_by(account, node).client("sagemaker", config=once) for node in made.nodes]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def outcome(call: Callable[..., Any], **request: Any) -> str:
    """Return the ARN that a call made, or the code of its refusal."""
    try:
        answer = call(**request)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return str(answer.get("ModelPackageArn", ""))


def number(arn: str) -> int:
    return int(arn.rpartition("/")[2])


def test_two_control_planes_number_versions_without_gaps_or_twins(both):
    both[0].create_model_package_group(ModelPackageGroupName="raced")
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(
            lambda n: outcome(both[n % 2].create_model_package, ModelPackageGroupName="raced"), range(80)
        )
        assert sorted(map(number, made)) == list(range(1, 81))
    for asked in (
        {"ModelPackageGroupName": "raced"},
        {"ModelPackageType": "Versioned", "NameContains": "raced"},
    ):
        pages = both[1].get_paginator("list_model_packages").paginate(**asked)
        listed = [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]
        assert sorted(map(number, listed)) == list(range(1, 81))
    assert both[1].list_model_packages()["ModelPackageSummaryList"] == []


def test_a_token_makes_one_version_whichever_control_plane_it_reaches(both):
    both[0].create_model_package_group(ModelPackageGroupName="tokens")
    with ThreadPoolExecutor(4) as pool:
        for n in range(1, N_ROUNDS + 1):
            request = {"ModelPackageGroupName": "tokens", "ClientToken": f"token-{n}"}
            made = list(
                pool.map(lambda i, of=request: outcome(both[i % 2].create_model_package, **of), range(4))
            )
            assert [number(arn) for arn in made] == [n] * 4


def test_a_group_is_deleted_or_gets_a_version_never_both(both):
    seen = set()
    with ThreadPoolExecutor(2) as pool:
        for n in range(N_ROUNDS):
            group = {"ModelPackageGroupName": f"either-{n}"}
            both[0].create_model_package_group(**group)
            made = pool.submit(outcome, both[n % 2].create_model_package, **group)
            gone = pool.submit(outcome, both[1 - n % 2].delete_model_package_group, **group)
            pair = (made.result(), gone.result())
            seen.add(pair[1])
            if pair[1]:
                assert (number(pair[0]), pair[1]) == (1, "ConflictException")
            else:
                assert pair[0] == "ValidationException"
    assert seen <= {"", "ConflictException"}
