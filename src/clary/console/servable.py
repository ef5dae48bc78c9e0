"""What can be put to work: a job's model, a model, one of the registry; and how a model of it is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.console import packages
from clary.console.snippets import decoded
from clary.console.visit import Missing, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError

KINDS = "job|model|package"
"""In addresses, as a pattern."""
SCRIPT = {
    "sagemaker_program": "SAGEMAKER_PROGRAM",
    "sagemaker_submit_directory": "SAGEMAKER_SUBMIT_DIRECTORY",
}
"""Hyperparameters of a script that its model's container wants as variables. Source: SDK, FrameworkModel."""


@dataclass(frozen=True, kw_only=True)
class Servable:
    """One of them, described."""

    kind: str
    name: str
    document: Mapping[str, Any]
    path: str
    """Of its page, below the console's own."""

    @classmethod
    def find(cls, visit: Visit, kind: str, name: str) -> "Servable":
        """Describe one.

        Raises
        ------
        Missing
            It is not there, or has left no model.
        """
        if kind == "package":
            found = packages.described(visit, name)
            return cls(kind=kind, name=name.replace(":", "-"), document=found, path=f"/packages/{name}")
        noun = {"job": "TrainingJob", "model": "Model"}[kind]
        try:
            found = visit.api.call(f"Describe{noun}", **{f"{noun}Name": name})
        except AwsError as error:
            raise Missing(error.message) from None
        if kind == "job" and found["TrainingJobStatus"] not in {"Completed", "Stopped"}:
            raise Missing(f"{name} has left no model: it is {found['TrainingJobStatus']}.")
        path = f"/jobs/training/{name}" if kind == "job" else f"/models?name={name}"
        return cls(kind=kind, name=name, document=found, path=path)

    @property
    def artifact(self) -> str:
        """Address of what was trained; empty where the image has it."""
        return str(self.containers[0].get("ModelDataUrl", ""))

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        """Its containers, as CreateModel takes them."""
        document = self.document
        if self.kind == "package":
            return document.get("InferenceSpecification", {}).get("Containers") or [{}]
        if self.kind == "model":
            return document.get("Containers") or [document.get("PrimaryContainer") or {}]
        given = document.get("HyperParameters", {})
        variables = {name: str(decoded(given[key])) for key, name in SCRIPT.items() if key in given}
        made = {
            "Image": document["AlgorithmSpecification"]["TrainingImage"],
            "ModelDataUrl": document["ModelArtifacts"]["S3ModelArtifacts"],
        }
        return [{**made, **({"Environment": variables} if variables else {})}]

    def model(self, visit: Visit, name: str, undo: list[tuple[str, str]]) -> str:
        """Return the name of its model; one that is made is noted among what a failure takes back."""
        if self.kind == "model":
            return self.name
        first = (
            {"ModelPackageName": self.document["ModelPackageArn"]}
            if self.kind == "package"
            else self.containers[0]
        )
        model = f"{name[:56].rstrip('-')}-{ids.short(6)}"
        visit.api.call("CreateModel", ModelName=model, ExecutionRoleArn=visit.role, PrimaryContainer=first)
        undo.append(("Model", model))
        return model


def take_back(visit: Visit, undo: list[tuple[str, str]]) -> None:
    """Delete what was made for something that then failed, the newest first."""
    for noun, made in reversed(undo):
        visit.api.seek(f"Delete{noun}", **{f"{noun}Name": made})
