"""Rules of the developer guide that no range says."""

import pytest

from clary.algorithms import base
from clary.kernel.errors import CustomerError

PICTURES = {"num_classes": "2", "num_training_samples": "3"}
PAIRS = {"enc0_max_seq_len": "3", "enc0_vocab_size": "4"}


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("seq2seq", {"rnn_num_hidden": "13"}, "rnn_num_hidden: value 13 must be an even integer"),
        (
            "semantic_segmentation",
            {**PICTURES, "lr_scheduler": "step"},
            "lr_scheduler_step is required where",
        ),
        (
            "object2vec",
            {**PAIRS, "enc0_vocab_file": "../words"},
            r"enc0_vocab_file: value \.\./words must be",
        ),
        (
            "object_detection",
            {**PICTURES, "lr_scheduler_step": "x"},
            "integers separated by commas or nothing",
        ),
    ],
)
def test_what_breaks_a_rule_is_named(name: str, given: dict[str, str], text: str) -> None:
    with pytest.raises(CustomerError, match=text):
        base.find(name).validate(given)


@pytest.mark.parametrize("name", ["object_detection", "image_classification", "semantic_segmentation"])
def test_no_epochs_at_which_the_rate_falls_is_none(name: str) -> None:
    assert not base.find(name).validate({**PICTURES, "lr_scheduler_step": ""}).get("lr_scheduler_step")
