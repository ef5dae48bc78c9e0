"""Patterns of every routed service: they are read, they agree with Python's engine, and they never hang."""

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.testing.texts import valid_text
from clary.wire.pattern import matcher
from clary.wire.pattern.syntax import read
from clary.wire.route import service_names
from clary.wire.service import service
from clary.wire.shape import Shape, Shapes

UNREAD = {r"(?i)all|[0-9]{12}", r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDBFF-\uDC00\uDFFF\r\n\t]*"}
"""Patterns of services that are routed but not served; even Java reads them otherwise than meant."""
CRUEL = ("a", "a-", "ab ", "0", "a.", "arn:", "/a", "aA0", ":", "-", "s3://a/", "a_", "A", "https://a/")


def patterns() -> list[str]:
    found = set()
    for name in service_names():
        shapes = service(name).shapes
        found |= {shape.pattern for each in shapes if (shape := shapes.refer({"shape": each})).pattern}
    return sorted(pattern for pattern in found if pattern is not None)


PATTERNS = patterns()
READ = [pattern for pattern in PATTERNS if pattern not in UNREAD]


def python_reads(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


PLAIN = [pattern for pattern in READ if python_reads(pattern)]


def test_every_pattern_is_read():
    for pattern in READ:
        assert callable(matcher(pattern))
    for pattern in UNREAD & set(PATTERNS):
        with pytest.raises(ValueError, match="in "):
            matcher(pattern)


def test_no_pattern_takes_longer_than_a_moment_for_the_cruellest_text():
    for pattern in READ:
        match = matcher(pattern)
        for part in CRUEL:
            text = part * (1000 // len(part)) + "\u2028"
            start = time.process_time()
            match(text)
            assert time.process_time() - start < 0.5, (pattern, part)


@settings(max_examples=300, deadline=None)
@given(pattern=st.sampled_from(PLAIN), seed=st.integers(0, 2**32), data=st.data())
def test_matching_agrees_with_pythons_engine(pattern, seed, data):
    rng = random.Random(seed)
    shape = Shape("Text", {"type": "string", "pattern": pattern}, Shapes({}))
    text = list(valid_text(shape, rng)[:40])
    if text and data.draw(st.booleans()):
        text[rng.randrange(len(text))] = data.draw(st.sampled_from("aA0-_./: é,{}"))
    whole = "".join(text)
    assert matcher(pattern)(whole) == bool(re.fullmatch(pattern, whole, re.ASCII)), whole


SMALL = st.from_regex(
    r"([ab]|\(a\|b\)|\(ab?\)|\[ab\]|\.)([*+?]|\{1,2\}|\{2\}|\{1,\})?([ab][*+?]?){0,3}", fullmatch=True
)
COUNTED = st.sampled_from(["a", "ab", "a?b", "a|ab", "a*b?", "(a{1,2}){1,2}", "(a?){0,3}b"])


@settings(max_examples=300, deadline=None)
@given(pattern=SMALL, text=st.text("abc", max_size=8))
def test_small_patterns_agree_with_pythons_engine(pattern, text):
    assert matcher(pattern)(text) == bool(re.fullmatch(pattern, text))


@settings(max_examples=300, deadline=None)
@given(inner=COUNTED, low=st.integers(0, 3), more=st.integers(0, 3), text=st.text("ab", max_size=12))
def test_counts_agree_with_pythons_engine(inner, low, more, text):
    pattern = f"({inner}){{{low},{low + more}}}"
    assert matcher(pattern)(text) == bool(re.fullmatch(pattern, text))


@given(st.sampled_from(["(", ")", "a{2", "[a", "\\", "(?<n>a)", "[b-a]", r"\p{Nonsense}", r"\q"]))
def test_a_malformed_pattern_is_named_as_such(pattern):
    try:
        tree = read(pattern)
    except ValueError:
        return
    assert pattern == "a{2"  # a brace that counts nothing stands for itself
    assert tree.source
