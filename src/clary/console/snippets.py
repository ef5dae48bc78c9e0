"""Programs that do what a page shows: the request that made a job, for boto3."""

from collections.abc import Mapping
from pprint import pformat
from typing import Any

_ANSWERED = frozenset({"ResponseMetadata", "NextToken"})


def request_of(document: Mapping[str, Any], members: frozenset[str]) -> dict[str, Any]:
    """Return the members of a described document that its Create takes, without those that say nothing."""
    kept = {
        name: value for name, value in document.items() if name in members and value not in ({}, [], None, "")
    }
    algorithm = kept.get("AlgorithmSpecification")
    if (
        algorithm
        and "MetricDefinitions" in algorithm
        and not document.get("HyperParameters", {}).get("sagemaker_program")
    ):
        # A built-in algorithm's own table, which Create refuses to be given.
        kept["AlgorithmSpecification"] = {k: v for k, v in algorithm.items() if k != "MetricDefinitions"}
    return kept


def boto3(operation: str, request: Mapping[str, Any]) -> str:
    """Return a program that calls an operation."""
    members = ",\n".join(f"    {name}={_spelled(value)}" for name, value in request.items())
    return f'import boto3\n\nsagemaker = boto3.client("sagemaker")\nsagemaker.{operation}(\n{members},\n)\n'


def _spelled(value: Any) -> str:
    return pformat(value, width=96, sort_dicts=False).replace("\n", "\n    ")
