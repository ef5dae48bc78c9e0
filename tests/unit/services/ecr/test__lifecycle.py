import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clary.kernel.errors import AwsError
from clary.services.ecr import _lifecycle
from clary.store.records import Record

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def image(digest: str, days: int, *tags: str) -> Record:
    pushed = NOW - timedelta(days=days)
    return Record("1" * 12, "r", "EcrImage n", digest, "", "", pushed, pushed, {"imageTags": list(tags)})


def rule(
    priority: int, status: str, count: int, *, days: bool = False, **filters: list[str]
) -> dict[str, Any]:
    kind = (
        {"countType": "sinceImagePushed", "countUnit": "days"}
        if days
        else {"countType": "imageCountMoreThan"}
    )
    selection = {"tagStatus": status, "countNumber": count, **kind, **filters}
    return {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}


def expired(images: list[Record], *rules: dict[str, Any]) -> dict[str, int]:
    return _lifecycle.expired(_lifecycle.parse(json.dumps({"rules": rules})), images, NOW)


IMAGES = [
    image("a", 1, "prod-1"),
    image("b", 5, "prod-2"),
    image("c", 10, "beta-1", "x"),
    image("d", 20),
    image("e", 30),
    image("f", 40, "prod-3"),
]


def test_images_expire_by_count_oldest_first() -> None:
    assert expired(IMAGES, rule(1, "any", 2)) == {"c": 1, "d": 1, "e": 1, "f": 1}


def test_images_expire_by_age() -> None:
    assert expired(IMAGES, rule(1, "untagged", 25, days=True)) == {"e": 1}


def test_prefixes_and_patterns_select_tags() -> None:
    assert expired(IMAGES, rule(1, "tagged", 1, tagPrefixList=["prod"])) == {"b": 1, "f": 1}
    assert expired(IMAGES, rule(1, "tagged", 1, tagPatternList=["p*-*"])) == {"b": 1, "f": 1}
    both = rule(1, "tagged", 5, days=True, tagPrefixList=["beta", "x"])
    assert expired(IMAGES, both) == {"c": 1}


def test_what_a_rule_is_about_no_later_one_expires_though_it_is_counted() -> None:
    keep = rule(1, "tagged", 100, tagPrefixList=["prod"])
    assert expired(IMAGES, keep, rule(2, "any", 3)) == {"d": 2, "e": 2}


def test_the_priority_decides_and_not_the_order() -> None:
    keep = rule(1, "tagged", 100, tagPrefixList=["prod"])
    assert expired(IMAGES, rule(2, "any", 3), keep) == expired(IMAGES, keep, rule(2, "any", 3))


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([], "at least one rule"),
        ([rule(1, "any", 1), rule(1, "untagged", 1)], "unique rulePriority"),
        ([rule(1, "any", 1), rule(2, "untagged", 1)], "highest rulePriority"),
        ([rule(1, "untagged", 1), rule(2, "untagged", 1)], "only one rule"),
        ([rule(1, "tagged", 1)], "tagPrefixList"),
        ([rule(1, "untagged", 1, tagPrefixList=["x"])], "tagPrefixList"),
        ([rule(0, "any", 1)], "rulePriority"),
        ([rule(1, "any", 0)], "countNumber"),
        ([rule(1, "all", 1)], "tagStatus 'all'"),
        ([{}], "KeyError"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(rules: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(AwsError, match=reason):
        _lifecycle.parse(json.dumps({"rules": rules}))


def test_what_is_no_policy_is_refused() -> None:
    for text in ("no json", "[]", '{"rules": 1}'):
        with pytest.raises(AwsError, match="Lifecycle policy validation failure"):
            _lifecycle.parse(text)
