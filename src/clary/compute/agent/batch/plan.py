"""What a transform job asks for, as the agent needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clary.toolkit.channels import Channel
from clary.toolkit.transform import split

DEFAULT_CONCURRENCY = 1
"""Source: API reference, MaxConcurrentTransforms, without execution parameters."""
MOST_CONCURRENT = 128
"""Payloads in flight beyond these only wait in memory."""
DEFAULT_TIMEOUT_S = 600
DEFAULT_RETRIES = 3
"""Source: API reference, ModelClientConfig."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One CreateTransformJob request, defaults filled in."""

    channel: Channel
    content_type: str
    accept: str
    split: str
    strategy: str
    payload_mb: int
    """0 means any length."""
    concurrency: int
    timeout_s: float
    retries: int
    assemble_with: str
    output: str
    """S3 URI without a slash at its end."""
    processing: Mapping[str, Any]
    capture: Mapping[str, Any]
    """`DataCaptureConfig`, or nothing."""
    job: str
    """What tells this job from every other: kept with what it publishes."""

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> "Plan":
        """Read the run's request."""
        source, made = request["TransformInput"], request["TransformOutput"]
        where = source["DataSource"]["S3DataSource"]
        client = request.get("ModelClientConfig") or {}
        payload_mb = request.get("MaxPayloadInMB")
        return cls(
            channel=Channel(
                name="transform",
                uri=where["S3Uri"],
                data_type=where["S3DataType"],
                compression=source.get("CompressionType") or "None",
            ),
            content_type=source.get("ContentType") or "",
            accept=made.get("Accept") or "",
            split=source.get("SplitType") or split.NONE,
            strategy=request.get("BatchStrategy") or split.MULTI,
            payload_mb=split.DEFAULT_PAYLOAD_MB if payload_mb is None else payload_mb,
            concurrency=min(request.get("MaxConcurrentTransforms") or DEFAULT_CONCURRENCY, MOST_CONCURRENT),
            timeout_s=float(client.get("InvocationsTimeoutInSeconds") or DEFAULT_TIMEOUT_S),
            retries=client.get("InvocationsMaxRetries", DEFAULT_RETRIES),
            assemble_with=made.get("AssembleWith") or "None",
            output=made["S3OutputPath"].rstrip("/"),
            processing=request.get("DataProcessing") or {},
            capture=request.get("DataCaptureConfig") or {},
            job=request["JobMark"],
        )

    def advised(self, parameters: Mapping[str, Any], request: Mapping[str, Any]) -> "Plan":
        """Return the plan with what a container says of itself, where the request says nothing.

        Source: developer guide, "Use your own inference code with batch transform": /execution-parameters.
        """
        found: dict[str, Any] = {}
        n, mb = parameters.get("MaxConcurrentTransforms"), parameters.get("MaxPayloadInMB")
        if not request.get("MaxConcurrentTransforms") and isinstance(n, int) and n > 0:
            found["concurrency"] = min(n, MOST_CONCURRENT)
        if request.get("MaxPayloadInMB") is None and isinstance(mb, int) and mb >= 0:
            found["payload_mb"] = mb
        named = {shown: own for own, shown in split.STRATEGIES.items()}
        strategy = named.get(parameters.get("BatchStrategy", ""))
        if not request.get("BatchStrategy") and strategy:
            found["strategy"] = strategy
        return replace(self, **found)

    @property
    def limit_bytes(self) -> int:
        """Longest payload; 0 means any length."""
        return self.payload_mb * split.MIB

    @property
    def is_single_lines(self) -> bool:
        """Every line is a payload of its own."""
        return self.split == split.LINE and self.strategy == split.SINGLE

    @property
    def is_stamped(self) -> bool:
        """Every record of the output gets an inference id and a time."""
        return bool(self.capture.get("GenerateInferenceId"))

    @property
    def headline(self) -> str:
        """First line of the data log. Source: the service's own."""
        return (
            f"MaxConcurrentTransforms={self.concurrency}, MaxPayloadInMB={self.payload_mb}, "
            f"BatchStrategy={split.STRATEGIES[self.strategy]}"
        )
