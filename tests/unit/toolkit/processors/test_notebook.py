"""Parameters of a notebook job: how they are read, and where they go."""

import pytest

from clary.toolkit.processors import notebook


def cell(source, *tags):
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source}


def book(*cells, minor=5):
    return {"nbformat": 4, "nbformat_minor": minor, "cells": list(cells)}


def test_values_are_json_or_the_text_itself():
    given = ["n=3", "rate=0.5", "name=Ada", 'names=["a", "b"]', "flag=true", "text=a=b", "none="]
    assert notebook.parameters(given) == {
        "n": 3,
        "rate": 0.5,
        "name": "Ada",
        "names": ["a", "b"],
        "flag": True,
        "text": "a=b",
        "none": "",
    }


@pytest.mark.parametrize("given", ["n", "1n=2", "import os; x=1", "=2"])
def test_a_name_must_be_one_of_pythons(given):
    with pytest.raises(ValueError, match="NAME=VALUE"):
        notebook.parameters([given])


def test_values_go_behind_the_cell_of_defaults():
    made = book(cell("import os"), cell("n = 1", "parameters"), cell("n"))
    notebook.inject(made, {"n": 2, "name": "it's"})
    assert [each["source"] for each in made["cells"]] == [
        "import os",
        "n = 1",
        '# Parameters\nn = 2\nname = "it\'s"',
        "n",
    ]
    assert made["cells"][2]["metadata"]["tags"] == ["injected-parameters"]


def test_without_defaults_values_go_first_and_earlier_ones_leave():
    made = book(cell("n = 7", "injected-parameters"), cell("n"), minor=4)
    notebook.inject(made, {"n": 2})
    assert [each["source"] for each in made["cells"]] == ["# Parameters\nn = 2", "n"]
    assert "id" not in made["cells"][0]
    untouched = book(cell("n"))
    notebook.inject(untouched, {})
    assert len(untouched["cells"]) == 1
