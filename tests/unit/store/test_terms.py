import pytest

from clary.kernel.errors import ValidationException
from clary.store import terms


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", terms.Terms()),
        ("  a  b ", terms.Terms(required=("a", "b"))),
        ('"a b" c', terms.Terms(required=("a b", "c"))),
        ("?a ?b", terms.Terms(optional=("a", "b"))),
        ('a -"b c" -d', terms.Terms(required=("a",), excluded=("b c", "d"))),
        (r'"say \"hi\""', terms.Terms(required=('say "hi"',))),
        ("[INFO", None),
    ],
)
def test_a_pattern_is_taken_apart(pattern, expected):
    if expected is None:
        with pytest.raises(ValidationException, match="only terms"):
            terms.parse(pattern)
    else:
        assert terms.parse(pattern) == expected


@pytest.mark.parametrize("pattern", ['"open', "{ $.a = 1 }", "[a, b]", "%regex%"])
def test_other_patterns_are_refused_by_name(pattern):
    with pytest.raises(ValidationException, match="filterPattern") as caught:
        terms.parse(pattern)
    assert caught.value.wire_code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("pattern", "line", "fits"),
    [
        ("a b", "b a", True),
        ("a b", "a", False),
        ("?a ?b", "xb", True),
        ("?a", "x", False),
        ("?z a", "a", True),
        ("-a", "ba", False),
    ],
)
def test_match_says_what_sql_says(pattern, line, fits):
    assert terms.parse(pattern).match(line) is fits
