import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clary.store import documents

texts = st.text(alphabet=st.characters())  # NUL and halves of surrogate pairs included
names = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from(
    ["$time", "$$time", "$float", "$bytes", "$text", "$", "$other"]
)
moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=30))]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.binary() | moments,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


@example("\0")
@given(values)
def test_every_document_comes_back(value):
    text = documents.dumps(value)
    assert documents.loads(text) == value
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert "\\u0000" not in text.replace("\\\\", "")  # PostgreSQL's jsonb holds none


def test_times_sort_as_text():
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(999, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, microsecond=1, tzinfo=UTC),
    ]
    texts = [documents.dumps(moment) for moment in moments]
    assert texts == sorted(texts)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (datetime(2026, 1, 1), ValueError, "no time zone"),  # noqa: DTZ001 - the fault under test
        ({1: "a"}, TypeError, "member names"),
        ({"a\0": 1}, TypeError, "member names"),
        ({"a": object()}, TypeError, "cannot hold a object"),
    ],
)
def test_what_a_document_cannot_hold_is_named(value, error, text):
    with pytest.raises(error, match=text):
        documents.dumps(value)
