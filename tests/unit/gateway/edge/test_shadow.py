"""A shadow's answer beside its variant's: the same, another number, another form."""

import pytest

from clary.gateway.edge.stages.shadow import MOST_BYTES, compared

LONG = b"1" * MOST_BYTES


@pytest.mark.parametrize(
    ("answer", "shadow", "is_apart", "distance"),
    [
        (b"0.5", b"0.5", False, 0.0),
        (b"0.5", b"0.50", False, 0.0),
        (b"0.5,1", b"0.25,4", True, 3.0),
        (b'{"predictions": [{"score": 1e-1}]}', b'{"predictions": [{"score": -0.4}]}', True, 0.5),
        (b'{"score": 1}', b'{"label": 1}', True, 0.0),
        (b"1\n2", b"1", True, 0.0),
        (b"1e999", b"1", True, 0.0),
        (LONG + b"1", LONG + b"2", True, 0.0),
        (b"", b"x", True, 0.0),
    ],
)
def test_two_answers_are_compared(answer: bytes, shadow: bytes, is_apart: bool, distance: float) -> None:
    assert compared(answer, shadow) == (is_apart, distance)
    assert compared(shadow, answer) == (is_apart, distance)
