"""Amazon Resource Names: `arn:partition:service:region:account:resource`."""

import re
from dataclasses import dataclass

_PATTERN = re.compile(r"^arn:(aws[a-z\-]*):([a-z0-9\-]+):([a-z0-9\-]*):(\d{12}|aws|):(.+)$")


@dataclass(frozen=True, slots=True)
class Arn:
    """One ARN, taken apart."""

    service: str
    region: str
    account: str
    resource: str
    partition: str = "aws"

    def __str__(self) -> str:
        """Spell it as on the wire."""
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"

    @classmethod
    def parse(cls, text: str) -> "Arn":
        """Take `text` apart.

        Raises
        ------
        ValueError
            `text` is not an ARN.
        """
        match = _PATTERN.match(text)
        if match is None:
            raise ValueError(f"not an ARN: {text!r}")
        partition, service, region, account, resource = match.groups()
        return cls(service=service, region=region, account=account, resource=resource, partition=partition)
