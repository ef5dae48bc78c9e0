import random

import pytest

from clary.testing.shapes import invalid, maximal, minimal
from clary.testing.texts import invalid_texts, valid_text
from clary.wire.pattern import matcher
from clary.wire.service import service
from clary.wire.shape import Shape, Shapes
from clary.wire.validate import checker

CREATE = service("sagemaker").operations["CreateTrainingJob"].input


def text_shape(**traits) -> Shape:
    return Shape("Text", {"type": "string", **traits}, Shapes({}))


def test_the_least_value_has_the_required_members_only():
    assert set(minimal(CREATE)) == set(CREATE.required)


def test_the_fullest_value_has_every_member():
    whole = maximal(CREATE)
    assert set(whole) == set(CREATE.members)
    assert set(whole["AlgorithmSpecification"]) == set(CREATE.members["AlgorithmSpecification"].members)


def test_the_same_seed_gives_the_same_value():
    assert maximal(CREATE, random.Random(1)) == maximal(CREATE, random.Random(1))
    assert maximal(CREATE, random.Random(1)) != maximal(CREATE, random.Random(2))


def test_shapes_within_themselves_come_to_an_end():
    search = service("sagemaker").operations["Search"].input
    assert maximal(search)["SearchExpression"]


@pytest.mark.parametrize("seed", range(20))
def test_texts_satisfy_pattern_and_length(seed):
    shape = text_shape(pattern=r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+", min=20, max=60)
    text = valid_text(shape, random.Random(seed))
    assert matcher(shape.pattern)(text)
    assert 20 <= len(text) <= 60


def test_a_shape_that_no_text_satisfies_is_named():
    with pytest.raises(LookupError, match=r"a\{3\}"):
        valid_text(text_shape(pattern="a{3}", max=2), random.Random(0))


def test_bad_texts_are_bad_for_the_reason_given():
    shape = text_shape(pattern="[a-z]+", min=2, max=5)
    found = {why: text for text, why in invalid_texts(shape, random.Random(0))}
    assert found["too long"] == "a" * 6
    assert found["too short"] == "a"
    assert not matcher("[a-z]+")(found["pattern"])


def test_each_bad_value_has_one_thing_wrong():
    reasons = set()
    check = checker(CREATE)
    assert check is not None
    for params, path, why in invalid(CREATE, random.Random(0)):
        reasons.add(why)
        if why == "type":
            continue
        faults: list[str] = []
        check(params, "", faults)
        assert faults
        assert all(f"'{path}'" in fault for fault in faults), (path, why, faults)
    assert reasons == {
        "missing",
        "type",
        "enum",
        "pattern",
        "too long",
        "too short",
        "too small",
        "too large",
    }
