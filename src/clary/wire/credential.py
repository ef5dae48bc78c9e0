"""What a signature is checked against."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Key(Protocol):
    """The part of an access key that a signature depends on."""

    @property
    def secret(self) -> str:
        """Secret access key."""
        ...

    @property
    def session_token(self) -> str | None:
        """Token that a temporary key comes with."""
        ...

    @property
    def expires(self) -> datetime | None:
        """When it ends; None means never."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """One access key."""

    access_key_id: str
    secret: str
    account: str
    principal: str
    """ARN of whom the key speaks for."""
    session_token: str | None = None
    expires: datetime | None = None
    """None lasts until deleted."""
