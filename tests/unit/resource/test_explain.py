"""What `clary explain` says of a noun."""

import pytest

from clary.resource.explain import explain


def test_states_stand_in_the_order_of_a_life_and_the_final_ones_last() -> None:
    lines = explain("TrainingJob").partition("  states\n")[2].splitlines()
    states = [line.split()[0] for line in lines]
    assert states[:4] == ["Starting", "Pending", "Downloading", "Training"]
    assert states[-1] == "Stopped"
    assert lines[-1].endswith("-> the end")
    assert next(line for line in lines if "Stopping " in line[:24]).endswith("-> any end")


def test_a_noun_is_found_however_it_is_spelled() -> None:
    assert explain("endpoint-config") == explain("EndpointConfig")


def test_an_unknown_noun_is_refused_with_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"'Nonesuch' is not served; there are: .*TrainingJob"):
        explain("Nonesuch")
