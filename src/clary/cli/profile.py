"""Named profiles in the AWS configuration files, written without touching any other line."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from clary.cli.credentials import Keys
from clary.cli.supervisor.state import Running
from clary.kernel.errors import SetupError

MARK = "# written by `clary env --profile`; run it again to refresh"
_NAME = re.compile(r"[A-Za-z0-9_.@+-]{1,64}")


def write(name: str, running: Running, keys: Keys) -> tuple[Path, Path]:
    """Write profile `name` into both files and return their paths.

    Raises
    ------
    SetupError
        The name cannot be a profile's, or belongs to a profile that Clary did not write.
    """
    if not _NAME.fullmatch(name):
        raise SetupError(f"--profile {name!r}: letters, digits and . _ @ + - only, at most 64")
    config = Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    secrets = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    header = name if name == "default" else f"profile {name}"
    texts = {
        config: _with_section(
            config,
            header,
            {"region": running.region, "endpoint_url": running.url, "ca_bundle": running.ca_bundle},
        ),
        secrets: _with_section(
            secrets,
            name,
            {"aws_access_key_id": keys.access_key_id, "aws_secret_access_key": keys.secret_access_key},
        ),
    }
    for path, text in texts.items():  # both were composed, so neither is refused, before one is written
        _replace(path, text)
    return config, secrets


def _with_section(path: Path, header: str, values: Mapping[str, str]) -> str:
    """Return the text of `path` with one section replaced, or added at the end."""
    try:
        lines = path.read_text().splitlines() if path.exists() else []
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from None
    section = [f"[{header}]", MARK, *(f"{key} = {value}" for key, value in values.items())]
    start = next((i for i, line in enumerate(lines) if _header(line) == header), None)
    if start is None:
        gap = [""] if lines and lines[-1].strip() else []
        return "\n".join([*lines, *gap, *section]) + "\n"
    end = next((i for i in range(start + 1, len(lines)) if _header(lines[i]) is not None), len(lines))
    if MARK not in lines[start:end]:
        raise SetupError(
            f"{path} has a section [{header}] that Clary did not write; choose another --profile"
        )
    gap = [""] if end < len(lines) else []
    return "\n".join([*lines[:start], *section, *gap, *lines[end:]]) + "\n"


def _header(line: str) -> str | None:
    match = re.match(r"\s*\[(.*)\]", line)
    return " ".join(match.group(1).split()) if match else None


def _replace(path: Path, text: str) -> None:
    path = path.resolve()  # a link stays a link
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        beside = path.with_name(f"{path.name}.clary-tmp")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        beside.chmod(mode)
        beside.replace(path)
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}") from None
