"""Kinds of job: what their lists, pages and buttons are made of."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of job."""

    slug: str
    """In addresses."""
    noun: str
    """AWS's: `TrainingJob`."""
    plural: str
    title: str
    log_group: str = ""

    @property
    def name(self) -> str:
        """Member that names a job."""
        return f"{self.noun}Name"

    @property
    def status(self) -> str:
        """Member that says how a job stands."""
        return f"{self.noun}Status"

    @property
    def end(self) -> str:
        """Member that says when a job ended."""
        return f"{self.noun.removesuffix('Job')}EndTime"

    @property
    def summaries(self) -> str:
        """Member of the list's answer that has the jobs."""
        return f"{self.noun}Summaries"

    @property
    def list_operation(self) -> str:
        """The operation that lists them."""
        return f"List{self.noun}s"


KINDS: Mapping[str, Kind] = {
    kind.slug: kind
    for kind in (
        Kind(
            slug="training",
            noun="TrainingJob",
            plural="Training jobs",
            title="Training job",
            log_group="/aws/sagemaker/TrainingJobs",
        ),
        Kind(
            slug="processing",
            noun="ProcessingJob",
            plural="Processing jobs",
            title="Processing job",
            log_group="/aws/sagemaker/ProcessingJobs",
        ),
        Kind(
            slug="transform",
            noun="TransformJob",
            plural="Transform jobs",
            title="Transform job",
            log_group="/aws/sagemaker/TransformJobs",
        ),
        Kind(
            slug="tuning",
            noun="HyperParameterTuningJob",
            plural="Tuning jobs",
            title="Tuning job",
        ),
    )
}
STATUSES = ("InProgress", "Completed", "Failed", "Stopping", "Stopped")
