"""Metrics are found as the service finds them."""

import re

import pytest

from clary.toolkit.metrics import Scraper, literal_of


def scrape(regex: str, line: str) -> list[float]:
    return [value for _, value in Scraper([{"Name": "m", "Regex": regex}]).scrape(line)]


@pytest.mark.parametrize(
    ("regex", "line", "values"),
    [
        (r".*\[[0-9]+\].*#011validation-auc:(\S+)", "[4]\ttrain-auc:0.9\tvalidation-auc:0.875", [0.875]),
        (r"\tloss=(\S+)", "step 1\tloss=0.5", [0.5]),
        (r"loss=(\S+),", "loss=0.5, acc=1", [0.5]),
        (r"loss: ([0-9.]+)", "loss: 1.5 loss: 2.5", [1.5]),
        (r"loss=([-+0-9.e]+)", "loss=-1e-3", [-0.001]),
        (r"loss=(\S+)", "loss=nan", []),
        (r"loss=(\S+)", "loss=soon", []),
        (r"loss=(\S+)", "nothing", []),
        (r"[0-9]+", "epoch 12", [12.0]),
        (r"(a)?b", "b", []),
    ],
)
def test_the_first_group_of_the_first_match_is_the_value(regex: str, line: str, values: list[float]) -> None:
    assert scrape(regex, line) == values


def test_every_definition_is_tried_on_every_line() -> None:
    scraper = Scraper([{"Name": "a", "Regex": r"a=(\S+)"}, {"Name": "b", "Regex": r"b=(\S+)"}])
    assert list(scraper.scrape("a=1 b=2")) == [("a", 1.0), ("b", 2.0)]


@pytest.mark.parametrize(
    ("regex", "literal"),
    [
        (r".*\[[0-9]+\].*#011validation-auc:(\S+)", "#011validation-auc:"),
        (r"los+=(\d)", "lo"),
        (r"(?i)loss=(\d)", ""),
        (r"(?:loss|error)=(\d)", "="),
        (r"loss=(\d)|error", ""),
        (r"(loss)?", ""),
        (r"\tloss ?: (\d)", "\tloss"),
    ],
)
def test_lines_are_passed_over_by_what_every_match_holds(regex: str, literal: str) -> None:
    assert literal_of(re.compile(regex)) == literal


def test_a_wrong_expression_names_its_metric() -> None:
    with pytest.raises(ValueError, match='metric "bad"'):
        Scraper([{"Name": "bad", "Regex": "("}])
