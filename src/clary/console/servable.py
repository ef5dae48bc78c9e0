"""What can be put to work: a training job's model, or a model; and how a model of it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.console.snippets import decoded
from clary.console.visit import Missing, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError

KINDS = "job|model"
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
        return str(self.container.get("ModelDataUrl", ""))

    @property
    def container(self) -> Mapping[str, Any]:
        """Its container, as CreateModel takes it; of several, the first."""
        document = self.document
        if self.kind == "model":
            first: Mapping[str, Any] = (
                document.get("PrimaryContainer") or (document.get("Containers") or [{}])[0]
            )
            return first
        given = document.get("HyperParameters", {})
        variables = {
            variable: str(decoded(given[name])) for name, variable in SCRIPT.items() if name in given
        }
        return {
            "Image": document["AlgorithmSpecification"]["TrainingImage"],
            "ModelDataUrl": document["ModelArtifacts"]["S3ModelArtifacts"],
            **({"Environment": variables} if variables else {}),
        }

    def model(self, visit: Visit, name: str, undo: list[tuple[str, str]]) -> str:
        """Return the name of its model; one that is made is noted among what a failure takes back."""
        if self.kind == "model":
            return self.name
        model = f"{name[:56].rstrip('-')}-{ids.short(6)}"
        visit.api.call(
            "CreateModel", ModelName=model, ExecutionRoleArn=visit.role, PrimaryContainer=self.container
        )
        undo.append(("Model", model))
        return model


def take_back(visit: Visit, undo: list[tuple[str, str]]) -> None:
    """Delete what was made for something that then failed, the newest first."""
    for noun, made in reversed(undo):
        visit.api.seek(f"Delete{noun}", **{f"{noun}Name": made})
