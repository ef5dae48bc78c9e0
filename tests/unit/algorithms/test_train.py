"""The program of a built-in job, on a staged `/opt/ml`."""

import pytest

from clary.algorithms import base
from clary.kernel.errors import CustomerError


def test_a_job_leaves_a_model_and_no_failure(job, rows):
    job.channel("train", rows)
    assert job.run(objective="binary:logistic") == 0
    assert job.model.is_file()
    assert not (job.ml / "output/failure").exists()


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"max_depth": "-1"}, "Hyperparameter max_depth: value -1 not in range [0, +inf)"),
        ({"depth": "3"}, "Extraneous hyperparameter found: depth"),
        ({"objective": "multi:softmax"}, "Require input for parameter 'num_class'"),
        ({"objective": "binary:logistic", "num_class": "3"}, "Do not need to setup parameter 'num_class'"),
        ({"eval_metric": "auc"}, "Metric 'auc' can only be applied for classification and ranking problems"),
        ({"eval_metric": "accuracy"}, "Metric 'accuracy' can only be applied for classification problems"),
        ({"monotone_constraints": "(1,0,0)"}, "monotone_constraints can be used only when the tree_method"),
        (
            {"process_type": "update", "updater": "refresh"},
            "Hyperparameter process_type: value update needs a model",
        ),
        (
            {"updater": "grow_colmaker,grow_histmaker"},
            "Hyperparameter updater: value grow_colmaker,grow_histmaker",
        ),
        ({"objective": "binary:logistic", "base_score": "3"}, "XGB train call failed with exception: "),
    ],
)
def test_bad_hyperparameters_end_as_the_failure_reason(job, rows, hyperparameters, reason):
    job.channel("train", rows)
    assert job.run(**hyperparameters) == 1
    assert job.failure.startswith(reason)
    assert "Stack trace" not in job.failure


@pytest.mark.parametrize(
    ("channel", "text", "content_type", "reason"),
    [
        ("test", "1,2", "text/csv", "Missing required channel: train"),
        (
            "train",
            "1,2\n0,x\n",
            "text/csv",
            "Failed to load data of channel train: train/part-0, line 2: column 2 is 'x'",
        ),
        ("train", "", "text/csv", "No data in training channel path"),
        (
            "train",
            "1,2\n",
            "image/png",
            "Channel configuration for 'train' channel is not supported: ContentType",
        ),
        (
            "train",
            "1,2\n",
            "text/csv;label_size=0",
            "text/csv;label_size=0 is not an accepted csv ContentType",
        ),
        ("train", "2,1\n0,1\n", "text/csv", "XGB train call failed with exception: "),
        (
            "train",
            "nan,1\n",
            "text/csv",
            "Failed to load data of channel train: train/part-0, line 1: label nan",
        ),
    ],
)
def test_bad_data_ends_as_the_failure_reason(job, channel, text, content_type, reason):
    job.channel(channel, text, content_type)
    assert job.run(objective="binary:logistic") == 1
    assert job.failure.startswith(reason)


def test_csv_without_a_content_type_says_how_it_was_read(job, rows):
    job.channel("train", rows, content_type="")
    assert job.run() == 1
    assert "is not in LIBSVM format" in job.failure
    assert job.failure.endswith("channel train has no ContentType, so it is read as text/libsvm")


def test_a_fault_of_ours_shows_its_stack(job, rows, monkeypatch, capsys):
    job.channel("train", rows)

    def broken(*_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(type(base.find("xgboost")), "fit", broken)
    assert job.run() == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_channel_names_those_that_are():
    with pytest.raises(
        CustomerError, match=r"Extraneous channel found: test\. There are: code, model, train"
    ):
        base.validate_channels(base.find("xgboost"), {"train": {}, "test": {}})
