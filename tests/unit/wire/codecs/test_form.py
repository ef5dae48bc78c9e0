import pytest

from clary.kernel.errors import ValidationException
from clary.wire.codecs import form
from clary.wire.service import service

CREATE_ROLE = service("iam").operations["CreateRole"].input
STATISTICS = service("cloudwatch").operations["GetMetricStatistics"].input


def test_lists_are_read_by_their_numbers_not_by_their_order():
    pairs = [("Tags.member.10.Key", "j"), ("Tags.member.2.Key", "b"), ("Tags.member.1.Key", "a")]
    assert form.reader(CREATE_ROLE)(form.tree(pairs)) == {"Tags": [{"Key": "a"}, {"Key": "b"}, {"Key": "j"}]}


def test_an_empty_list_is_one():
    assert form.reader(STATISTICS)(form.tree([("Dimensions", "")])) == {"Dimensions": []}


def test_keys_that_the_model_does_not_know_are_dropped():
    pairs = [("Action", "CreateRole"), ("Version", "1"), ("Brand.new.1", "a"), ("RoleName", "a")]
    assert form.reader(CREATE_ROLE)(form.tree(pairs)) == {"RoleName": "a"}


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([("MaxSessionDuration", "long")], "'maxSessionDuration' must be a whole number"),
        ([("MaxSessionDuration", "9" * 5000)], "'maxSessionDuration' must be a whole number"),
        ([("RoleName.a", "b")], "'roleName' must be a single value"),
        ([("Tags.member.1.Key.x", "b")], "'tags.1.member.key' must be a single value"),
        ([("a" + ".a" * 100, "b")], "nested too deep"),
    ],
)
def test_a_wrong_type_is_named_with_its_place(pairs, text):
    with pytest.raises(ValidationException) as caught:
        form.reader(CREATE_ROLE)(form.tree(pairs))
    assert text in caught.value.message
    assert caught.value.wire_code == "SerializationException"
