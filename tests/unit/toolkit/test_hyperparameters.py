import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.kernel.errors import CustomerError
from clary.toolkit.hyperlists import Groups, Signs, Words
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Integer,
    Interval,
    Params,
    unquoted,
    validate,
)

DECLARED = (
    Integer(name="rounds", min=1, doc="Required."),
    Integer(name="depth", min=0, max=10, default=6, doc="With a default."),
    Continuous(name="eta", min=0, max=1, aliases=("learning_rate",), default=None, doc="Optional."),
    Continuous(name="share", above=0, below=1, default=None, doc="Open."),
    Categorical(name="kind", choices=("a", "b"), default=None, doc="A word."),
    Categorical(name="flag", choices=("true", "false"), default=None, doc="A boolean."),
    Words(name="metrics", choices=("auc", "ndcg"), prefixes=("ndcg",), default=None, doc="Words."),
    Signs(name="signs", default=None, doc="Signs."),
    Groups(name="groups", default=None, doc="Groups."),
)


def test_values_are_typed_and_defaults_filled_in():
    params = validate(
        DECLARED,
        {
            "rounds": "5",
            "learning_rate": "0.5",
            "flag": "True",
            "metrics": "auc, ndcg@5",
            "signs": "(1,-1)",
            "groups": "[[0,1],[2]]",
        },
    )
    assert dict(params) == {
        "rounds": 5,
        "depth": 6,
        "eta": 0.5,
        "flag": "true",
        "metrics": ("auc", "ndcg@5"),
        "signs": (1, -1),
        "groups": ((0, 1), (2,)),
    }
    assert params.int("rounds") == 5
    assert params.float("eta") == 0.5
    assert params.is_true("flag")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Missing required hyperparameter: rounds"),
        ({"rounds": "0"}, "Hyperparameter rounds: value 0 not in range [1, +inf)"),
        (
            {"rounds": "x"},
            "Hyperparameter rounds: could not parse value 'x'; expected an integer in range [1, +inf)",
        ),
        ({"rounds": "1", "depth": "11"}, "Hyperparameter depth: value 11 not in range [0, 10]"),
        ({"rounds": "1", "share": "1"}, "Hyperparameter share: value 1 not in range (0, 1)"),
        ({"rounds": "1", "share": "nan"}, "Hyperparameter share: value nan not in range (0, 1)"),
        ({"rounds": "1", "kind": "c"}, "Hyperparameter kind: value c not in range [a, b]"),
        (
            {"rounds": "1", "metrics": "auc@1"},
            "Hyperparameter metrics: value auc@1 not in range [auc, ndcg, ndcg@<number>]",
        ),
        ({"rounds": "1", "signs": "(2,)"}, "Hyperparameter signs: value (2,) not in range [-1, 0, 1]"),
        ({"rounds": "1", "round": "1"}, "Extraneous hyperparameter found: round. Did you mean rounds?"),
        ({"rounds": "1", "eta": "0.1", "learning_rate": "0.2"}, "Hyperparameter eta: given twice"),
    ],
)
def test_a_bad_value_is_refused_by_name_value_and_range(given, message):
    with pytest.raises(CustomerError) as refused:
        validate(DECLARED, given)
    assert str(refused.value).startswith(message)


def test_code_in_a_tuple_is_not_run():
    with pytest.raises(CustomerError, match="could not parse"):
        validate(DECLARED, {"rounds": "1", "signs": "__import__('os').getcwd()"})


def test_json_quotes_and_the_platforms_own_names_are_passed_over():
    assert validate(DECLARED, {"rounds": '"7"', "sagemaker_program": '"train.py"'})["rounds"] == 7
    assert unquoted('"a\\"b"') == 'a"b'
    assert unquoted('"') == '"'


def test_rules_see_all_values():
    def rule(params: Params) -> None:
        if params.int("rounds") > params.int("depth"):
            raise CustomerError("rounds over depth")

    validate(DECLARED, {"rounds": "6"}, [rule])
    with pytest.raises(CustomerError, match="rounds over depth"):
        validate(DECLARED, {"rounds": "7"}, [rule])


@given(value=st.floats(allow_nan=False), low=st.integers(-5, 5), width=st.integers(0, 5))
def test_an_interval_holds_what_lies_between_its_ends(value, low, width):
    assert (value in Interval(min=low, max=low + width)) == (low <= value <= low + width)
    assert (value in Interval(above=low, below=low + width)) == (low < value < low + width)
