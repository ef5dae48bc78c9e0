"""What the SageMaker SDK asks of lineage against the direction in which it is recorded.

    model ──ContributedTo──▶ deployment ──AssociatedWith──▶ endpoint      as recorded
    endpoint ──▶ deployment ──▶ model                                     as `EndpointContext.models` asks

The questions are answered from what is recorded where nothing else answers them; nothing is recorded twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.services.sagemaker import _lineage as lineage


@dataclass(frozen=True, slots=True)
class Reading:
    """Another reading of a question: how it is asked of what is recorded."""

    kind: str
    """`DestinationType` as it is recorded."""
    is_backward: bool = False
    """Whether what is asked for leads to the entity, instead of the entity to it."""

    def request(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the ListAssociations request that finds what is meant."""
        rest = {name: value for name, value in asked.items() if name not in {"SourceArn", "DestinationType"}}
        if self.is_backward:
            return {**rest, "DestinationArn": asked["SourceArn"], "SourceType": self.kind}
        return {**rest, "SourceArn": asked["SourceArn"], "DestinationType": self.kind}


_READINGS: Mapping[tuple[str, str], Reading] = {
    ("Context", "ModelDeployment"): Reading("ModelDeployment", is_backward=True),
    ("Action", "Model"): Reading("Model", is_backward=True),
    ("TrialComponent", "Context"): Reading("Model"),
}
"""Source: SageMaker SDK 2.257, `EndpointContext.models`, `DatasetArtifact.trained_models`."""
_TURNED = {
    "SourceArn": "DestinationArn",
    "SourceType": "DestinationType",
    "SourceName": "DestinationName",
}
_TURNED |= {there: here for here, there in _TURNED.items()}


def of_list(asked: Mapping[str, Any]) -> Reading | None:
    """Return the other reading of a ListAssociations request."""
    if {"DestinationArn", "SourceType"} & set(asked):
        return None
    return _READINGS.get((lineage.lineage_type(asked.get("SourceArn", "")), asked.get("DestinationType", "")))


def is_of_query(asked: Mapping[str, Any]) -> bool:
    """Say whether QueryLineage is asked down for what lies one step up (`EndpointContext.models_v2`)."""
    kinds = asked.get("Filters", {}).get("Types", ())
    if asked.get("Direction") != "Descendants" or len(kinds) != 1:
        return False
    found = (_READINGS.get((lineage.lineage_type(arn), kinds[0])) for arn in asked["StartArns"])
    return all(each is not None and each.is_backward for each in found)


def turned(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an association as seen from its destination."""
    return {_TURNED.get(name, name): value for name, value in item.items()}
