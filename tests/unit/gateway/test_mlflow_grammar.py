"""MLflow's filters and orders, taken apart."""

import pytest

from clary.gateway.mlflow import grammar
from clary.gateway.mlflow.errors import MlflowError
from clary.gateway.mlflow.experiments import key_of
from clary.gateway.mlflow.grammar import Term
from clary.gateway.mlflow.values import parameter_of, text_of


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("metrics.rmse < 1.5e-3", [Term("metrics", "rmse", "lt", "1.5e-3")]),
        ("params.`a b` = 'x and y'", [Term("params", "a b", "eq", "x and y")]),
        ("tag.mlflow.user LIKE '%me%'", [Term("tags", "mlflow.user", "contains", "me")]),
        ('status != "FAILED"', [Term("attributes", "status", "ne", "FAILED")]),
        ("run_id NOT IN ('a', 'b')", [Term("attributes", "run_id", "not_in", ("a", "b"))]),
        ("tags.a IS NOT NULL", [Term("tags", "a", "exists", None)]),
        ("metrics.a > 1 AND params.b='c'", [Term("metrics", "a", "gt", "1"), Term("params", "b", "eq", "c")]),
    ],
)
def test_a_filter_is_its_comparisons(text, terms):
    assert grammar.parse(text) == terms


@pytest.mark.parametrize(
    "text", ["metrics.a", "a = 1 OR b = 2", "params.a ILIKE 'x'", "params.a LIKE '_x'", "x.y.z ! 1"]
)
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(MlflowError, match="filter"):
        grammar.parse(text)


def test_orders_name_what_and_which_way():
    assert grammar.order("metrics.`val loss` DESC") == ("metrics", "val loss", True)
    assert grammar.order("start_time") == ("attributes", "start_time", False)
    with pytest.raises(MlflowError, match="order_by"):
        grammar.order("metrics.a sideways")


@pytest.mark.parametrize("text", ["0.10", "1e-3", "tree", "", "nan", "1_000", "007"])
def test_a_parameter_is_read_as_it_was_written(text):
    assert text_of(parameter_of(text)) == text


def test_names_become_keys_that_differ_where_names_do():
    assert key_of("MyExp") == "myexp"
    keys = {key_of(name) for name in ("a b", "a/b", "a_b", "ü", "x" * 70, "x" * 71)}
    assert len(keys) == 6
    assert all(len(key) <= 59 for key in keys)
