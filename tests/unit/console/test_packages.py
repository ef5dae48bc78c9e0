"""Figures of a registered model: what of an evaluation's file is one."""

import pytest

from clary.console import packages


def test_figures_are_read_as_evaluations_have_them() -> None:
    report = {
        "binary_classification_metrics": {
            "auc": {"value": 0.9, "standard_deviation": 0.01},
            "confusion_matrix": {"0": {"0": 10, "1": 2}},
            "recall": {"value": 1},
        },
        "version": 1.0,
    }
    assert dict(packages.numbers(report)) == {"auc": 0.9, "recall": 1.0}


@pytest.mark.parametrize("value", [True, None, "much", float("nan"), float("inf"), 10**400, {"value": 1}])
def test_what_is_no_finite_number_is_no_figure(value: object) -> None:
    assert dict(packages.numbers({"auc": {"value": value}})) in ({}, {"value": 1.0})


def test_a_deep_document_ends() -> None:
    document: dict[str, object] = {"value": 1}
    for _ in range(900):
        document = {"deeper": document}
    assert dict(packages.numbers(document)) == {}


def test_addresses_name_versions_and_packages_of_their_own() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/"
    assert packages.slug({"ModelPackageArn": f"{arn}churn/3"}) == "churn:3"
    assert packages.slug({"ModelPackageArn": f"{arn}churn"}) == "churn"


def test_who_did_it_is_a_studio_user_or_the_name_of_an_arn() -> None:
    role = "arn:aws:sts::123456789012:assumed-role/Team/ada"
    assert packages.who({"IamIdentity": {"Arn": role}}) == "Team/ada"
    assert packages.who({"UserProfileName": "ada", "IamIdentity": {"Arn": role}}) == "ada"
    assert packages.who(None) == ""
