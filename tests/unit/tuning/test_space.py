"""Ranges and scales: between the wire's strings and the unit cube."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.tuning.space import Parameter, Space, fitting


def continuous(low, high, scale="Linear"):
    return {"Name": "x", "MinValue": str(low), "MaxValue": str(high), "ScalingType": scale}


@pytest.mark.parametrize(
    ("scale", "ends", "middle"),
    [
        ("Linear", (0.0, 10.0), 5.0),
        ("Logarithmic", (0.0001, 1.0), 0.01),
        ("ReverseLogarithmic", (0.0, 0.9999), 0.99),
    ],
)
def test_the_middle_of_a_scale_is_where_the_scale_has_it(
    scale: str, ends: tuple[float, float], middle: float
) -> None:
    parameter = Parameter.from_range("Continuous", continuous(*ends, scale))
    assert float(parameter.value(0.5)) == pytest.approx(middle)
    assert float(parameter.value(0.0)) == pytest.approx(ends[0])
    assert float(parameter.value(1.0)) == pytest.approx(ends[1])


@given(st.floats(0, 1), st.sampled_from(["Linear", "Logarithmic", "ReverseLogarithmic"]))
def test_a_value_lies_in_its_range_and_finds_back_to_its_place(unit, scale):
    parameter = Parameter.from_range("Continuous", continuous(0.001, 0.99, scale))
    text = parameter.value(unit)
    assert 0.001 <= float(text) <= 0.99
    assert parameter.unit(text) == pytest.approx(unit, abs=1e-6)


@given(st.integers(-50, 50), st.integers(0, 40), st.floats(0, 1))
def test_integers_are_whole_in_range_and_stay_what_they_are(low, width, unit):
    parameter = Parameter.from_range("Integer", continuous(low, low + width))
    text = parameter.value(unit)
    assert low <= int(text) <= low + width
    place = parameter.unit(text)
    assert place is not None
    assert parameter.value(place) == text


def test_each_integer_gets_its_share():
    parameter = Parameter.from_range("Integer", continuous(1, 4))
    places = [parameter.value((step + 0.5) / 400) for step in range(400)]
    assert [places.count(str(value)) for value in (1, 2, 3, 4)] == [100] * 4


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (0.001, 1, "Logarithmic"),
        (1, 50, "Linear"),
        (0, 1, "Linear"),
        (0.5, 0.999, "ReverseLogarithmic"),
        (-5, 5, "Linear"),
    ],
)
def test_auto_takes_the_scale_on_which_values_crowd_less(low, high, scale):
    assert fitting(low, high) == scale
    assert Parameter.from_range("Continuous", continuous(low, high, "Auto")).scale == scale


def test_a_space_counts_its_combinations_and_refuses_what_lies_outside():
    ranges: dict[str, list[dict[str, Any]]] = {
        "IntegerParameterRanges": [{"Name": "depth", "MinValue": "1", "MaxValue": "3"}],
        "CategoricalParameterRanges": [{"Name": "booster", "Values": ["a", "b"]}],
    }
    space = Space.from_ranges(ranges)
    assert space.n_values == 6
    assert space.units({"depth": "2", "booster": "b"}) is not None
    assert space.units({"depth": "4", "booster": "b"}) is None
    assert space.units({"depth": "2"}) is None
    wide = Space.from_ranges({**ranges, "ContinuousParameterRanges": [continuous(0, 1)]})
    assert math.isinf(wide.n_values)


@pytest.mark.parametrize("text", ["nan", "inf", "one", "1.5"])
def test_an_end_that_is_no_whole_number_is_refused(text):
    with pytest.raises(ValueError, match="not"):
        Parameter.from_range("Integer", continuous(text, 5))
