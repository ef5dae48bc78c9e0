"""The JSONPath of filters, as the developer guide has it."""

import pytest

from clary.toolkit.transform import jsonpath
from clary.toolkit.transform.jsonpath import PathError

RECORD = {"id": 7, "features": [1, 2, 3], "deep": {"a": 1, "b": {"c": 2}}, "a b": 5}


@pytest.mark.documented
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$", RECORD),
        ("", RECORD),
        ("$.id", 7),
        ("$['id']", 7),
        ('$["id"]', 7),
        ("$.features", [1, 2, 3]),
        ("$.features[0]", 1),
        ("$.features[-1]", 3),
        ("$.features[1:]", [2, 3]),
        ("$.features[:2]", [1, 2]),
        ("$.features[0,2]", [1, 3]),
        ("$.features[0,1:]", [1, 2, 3]),
        ("$.features[*]", [1, 2, 3]),
        ("$.deep.*", [1, {"c": 2}]),
        ("$.deep.b.c", 2),
        ("$['id','features']", {"id": 7, "features": [1, 2, 3]}),
        ("$.deep.['a','b']", {"a": 1, "b": {"c": 2}}),
        ("$.deep['a']", 1),
        ("$['a b']", 5),
    ],
)
def test_an_expression_selects_what_the_guide_says(text, found):
    assert jsonpath.parse(text).select(RECORD) == found


@pytest.mark.parametrize(
    "text",
    ["id", "$id", "$.", "$[", "$[]", "$[a]", "$['a',]", "$[1,,2]", "$..id", "$[?(@.x)]", "$[1:2:3]", "$[ ]"],
)
def test_what_is_not_supported_is_refused(text):
    with pytest.raises(PathError):
        jsonpath.parse(text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("$", [0, 1, 2, 3]),
        ("$[1:]", [1, 2, 3]),
        ("$[0,-1]", [0, 3]),
        ("$[0,2:]", [0, 2, 3]),
        ("$[3,0]", [3, 0]),
    ],
)
def test_columns_of_a_row(text, columns):
    assert jsonpath.parse(text).columns(4) == columns


@pytest.mark.documented
@pytest.mark.parametrize("text", ["$[4]", "$[-5]", "$[0,4]"])
def test_an_index_that_is_not_within_the_record_is_an_error(text):
    with pytest.raises(PathError, match="not within the 4"):
        jsonpath.parse(text).columns(4)


@pytest.mark.parametrize(
    ("text", "value"),
    [("$.x", {"y": 1}), ("$.x", [1]), ("$[0]", {"y": 1}), ("$.x.*", {"x": 1}), ("$[*]", "a")],
)
def test_what_a_record_does_not_have_is_an_error(text, value):
    with pytest.raises(PathError):
        jsonpath.parse(text).select(value)
